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
}

impl Direction {
    /// With this already read.
    pub(super) fn holding(input: BytesMut) -> Self {
        Self { input, ..Self::default() }
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
    }

    /// Shows the unseen input to `look`, which says how much of it goes out and how it is edited.
    pub(super) fn show<E>(
        &mut self,
        look: impl FnOnce(&[u8], &mut Splice) -> Result<usize, E>,
        splice: &mut Splice,
    ) -> Result<(), E> {
        debug_assert!(self.is_flushed(), "shown only when what was shown before is out");
        if self.input.is_empty() {
            return Ok(());
        }
        let size = look(&self.input, splice)?;
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
        Pin::new(writer).poll_flush(cx)
    }

    /// Forgets what may go out: nobody is there to take it.
    pub(super) fn discard(&mut self) {
        self.edited.clear();
        self.written = 0;
        self.input.advance(self.cleared);
        self.cleared = 0;
    }

    /// Reads some more.
    pub(super) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Pending;
        }
        let size = if self.brimful || !self.input.is_empty() {
            self.input.reserve(CHUNK);
            let room = self.input.capacity() - self.input.len();
            let size = ready!(pin!(reader.read_buf(&mut self.input)).poll(cx))?;
            self.brimful = size == room;
            size
        } else {
            let mut space = [const { MaybeUninit::uninit() }; SIP];
            let mut sip = ReadBuf::uninit(&mut space);
            ready!(Pin::new(reader).poll_read(cx, &mut sip))?;
            self.input.extend_from_slice(sip.filled());
            self.brimful = sip.remaining() == 0;
            sip.filled().len()
        };
        self.ended = size == 0;
        Poll::Ready(Ok(()))
    }
}
