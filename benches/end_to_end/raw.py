"""A client in as few instructions as can be, so that what is measured is what lies behind it."""

import contextlib
import socket
import struct

CHUNK = 256 << 10
READY = b"Z\0\0\0\5I"


def message(tag, body):
    return tag + struct.pack("!I", len(body) + 4) + body


class Connection:
    """Logged in as postgres, by trust."""

    def __init__(self, port, database="postgres"):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        parameters = f"user\0postgres\0database\0{database}\0\0".encode()
        self.socket.sendall(struct.pack("!II", len(parameters) + 8, 196608) + parameters)
        self.buffer = bytearray(CHUNK)
        self.until_ready()

    def until_ready(self):
        """Reads until the server is idle again; gives how many bytes came. An error ends the program."""
        size, last = 0, b""
        while not last.endswith(READY):
            got = self.socket.recv_into(self.buffer)
            if got == 0:
                raise ConnectionError("closed")
            last = (last + bytes(self.buffer[max(0, got - 6) : got]))[-6:]
            if size == 0 and self.buffer[0] == ord("E"):
                raise RuntimeError(bytes(self.buffer[:got]).decode(errors="replace"))
            size += got
        return size

    def query(self, text):
        self.socket.sendall(message(b"Q", text.encode() + b"\0"))
        return self.until_ready()

    def copy_in(self, text, rows, times):
        """COPY FROM STDIN of `rows`, so many times over; gives how many bytes went."""
        self.socket.sendall(message(b"Q", text.encode() + b"\0"))
        self.socket.recv(CHUNK)
        chunk = message(b"d", rows)
        for _ in range(times):
            self.socket.sendall(chunk)
        self.socket.sendall(message(b"c", b""))
        self.until_ready()
        return len(chunk) * times

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.sendall(message(b"X", b""))
        self.socket.close()
