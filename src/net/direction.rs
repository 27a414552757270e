//! One direction of a relay: read, show, write, in one buffer, with nothing copied unless something is edited. A
//! direction through which nothing goes holds no memory.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::session::Splice;

/// How much one read takes at the most, of a stream that comes faster than it goes.
const CHUNK: usize = 64 << 10;
/// How much the first read takes: on the stack, so that waiting for it costs no memory.
const SIP: usize = 8 << 10;

/// Bytes on their way from one side to the other.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Read and not written yet.
    input: BytesMut,
    /// How many bytes at the front of `input` may go out as they are.
    cleared: usize,
    /// Goes out before anything of `input`.
    edited: Vec<u8>,
    /// How much of `edited` went out.
    written: usize,
    /// The last read was filled to the brim: more is there.
    brimful: bool,
    /// The reading side said it sends no more.
    ended: bool,
    /// Bytes were given to the writer and may be held by it.
    unflushed: bool,
}

/// What is to happen with bytes that were shown.
pub(super) enum Look {
    /// So many of them go out, as edited; the rest is the front of a message, to be shown again with more of it.
    Pass(usize),
    /// They stay, as if not seen.
    Keep,
}

/// Why bytes could not pass.
pub(super) enum Trouble<E> {
    /// The reading side failed.
    Reader(io::Error),
    /// Whoever looked refused them.
    Refused(E),
}

impl Direction {
    /// With this already read. What was said before may still be held by the writer.
    pub(super) fn holding(input: BytesMut) -> Self {
        Self { input, unflushed: true, ..Self::default() }
    }

    /// What was read and not shown yet.
    pub(super) fn unseen(&self) -> &[u8] {
        self.input.get(self.cleared..).unwrap_or_default()
    }

    /// Whether everything that was shown went out.
    pub(super) fn is_flushed(&self) -> bool {
        self.cleared == 0 && self.edited.is_empty()
    }

    /// Whether the reading side has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Puts bytes of our own behind everything that was cleared so far.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        let cleared = self.input.split_to(self.cleared);
        self.edited.extend_from_slice(&cleared);
        self.cleared = 0;
        self.edited.extend_from_slice(bytes);
    }

    /// Takes bytes off the front of the input: they were answered elsewhere.
    pub(super) fn take(&mut self, size: usize) {
        self.input.advance(size.min(self.input.len()));
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Shows the unseen input to `look`, which says how much of it goes out and how it is edited.
    pub(super) fn show<E>(
        &mut self,
        look: impl FnOnce(&[u8], &mut Splice) -> Result<Look, E>,
        splice: &mut Splice,
    ) -> Result<(), E> {
        debug_assert!(self.is_flushed(), "shown only when what was shown before is out");
        if self.input.is_empty() {
            return Ok(());
        }
        let Look::Pass(size) = look(&self.input, splice)? else { return Ok(()) };
        if splice.is_empty() {
            self.cleared = size;
        } else {
            splice.apply(&self.input[..size], &mut self.edited);
            self.input.advance(size);
        }
        Ok(())
    }

    /// Writes what may go out.
    pub(super) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<()>> {
        if self.is_flushed() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        self.unflushed = true;
        while self.written < self.edited.len() {
            let size = ready!(Pin::new(&mut *writer).poll_write(cx, &self.edited[self.written..]))?;
            if size == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += size;
        }
        if self.written > 0 {
            self.written = 0;
            self.edited.clear();
            self.edited.shrink_to(SIP);
        }
        while self.cleared > 0 {
            let size = ready!(Pin::new(&mut *writer).poll_write(cx, &self.input[..self.cleared]))?;
            if size == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.input.advance(size);
            self.cleared -= size;
        }
        if !self.brimful && self.input.is_empty() {
            self.input = BytesMut::new();
        }
        // TLS holds back what the socket did not take; the plain kinds hold nothing.
        ready!(Pin::new(writer).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Forgets what may go out: nobody is there to take it.
    pub(super) fn discard(&mut self) {
        self.edited.clear();
        self.written = 0;
        self.input.advance(self.cleared);
        self.cleared = 0;
    }

    /// Reads some more, shows it, and writes at once what the writer takes of it. Without a writer it is only read.
    pub(super) fn poll_pass<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, E>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: Option<&mut W>,
        look: impl FnOnce(&[u8], &mut Splice) -> Result<Look, E>,
        splice: &mut Splice,
    ) -> Poll<Result<(), Trouble<E>>> {
        if self.ended {
            return Poll::Pending;
        }
        if self.brimful || !self.input.is_empty() {
            ready!(self.poll_gulp(cx, reader)).map_err(Trouble::Reader)?;
            return Poll::Ready(self.show(look, splice).map_err(Trouble::Refused));
        }
        let mut space = [const { MaybeUninit::uninit() }; SIP];
        let mut sip = ReadBuf::uninit(&mut space);
        ready!(Pin::new(reader).poll_read(cx, &mut sip)).map_err(Trouble::Reader)?;
        self.brimful = sip.remaining() == 0;
        let bytes = sip.filled();
        self.ended = bytes.is_empty();
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        match look(bytes, splice).map_err(Trouble::Refused)? {
            Look::Keep => self.input.extend_from_slice(bytes),
            Look::Pass(size) if splice.is_empty() => {
                let written = writer.map_or(0, |writer| self.write_at_once(cx, writer, &bytes[..size]));
                self.input.extend_from_slice(&bytes[written..]);
                self.cleared = size - written;
            }
            Look::Pass(size) => {
                splice.apply(&bytes[..size], &mut self.edited);
                self.input.extend_from_slice(&bytes[size..]);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// How much the writer took. What it did not, for whatever reason, is for [`Direction::poll_flush`].
    fn write_at_once<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, writer: &mut W, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        self.unflushed = true;
        match Pin::new(writer).poll_write(cx, bytes) {
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        }
    }

    /// Much at a time, behind what is held.
    fn poll_gulp<R: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, reader: &mut R) -> Poll<io::Result<()>> {
        self.input.reserve(CHUNK);
        let room = self.input.capacity() - self.input.len();
        let size = ready!(pin!(reader.read_buf(&mut self.input)).poll(cx))?;
        self.brimful = size == room;
        self.ended = size == 0;
        Poll::Ready(Ok(()))
    }
}
