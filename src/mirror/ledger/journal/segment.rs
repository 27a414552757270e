//! One segment: a magic number, then framed records `[length][crc32][payload]`.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::effect::{Seq, Shape};
use crate::mirror::entry::Entry;

use super::folder::{segment_path, sync_folder};
use super::record::{Record, WrittenShapes, decode, encode};

/// Names the format and its version.
const MAGIC: &[u8; 8] = b"cfledg02";

/// Length and checksum before each payload.
const HEADER: usize = 8;

/// What is known of a segment without reading it.
#[derive(Debug, Clone, Copy)]
pub(in crate::mirror::ledger) struct SegmentInfo {
    /// It is named after it.
    pub(in crate::mirror::ledger) first: u64,
    /// The last place in it.
    pub(in crate::mirror::ledger) last: Seq,
    /// The largest horizon in it.
    pub(in crate::mirror::ledger) horizon: u64,
    /// Its size.
    pub(in crate::mirror::ledger) bytes: u64,
}

/// The segment that is being written.
#[derive(Debug)]
pub(in crate::mirror::ledger) struct SegmentFile {
    file: Arc<File>,
    info: SegmentInfo,
    shapes: WrittenShapes,
}

impl SegmentFile {
    /// A new, empty one.
    pub(in crate::mirror::ledger) fn create(folder: &Path, first: Seq) -> io::Result<Self> {
        let path = segment_path(folder, first.0);
        let mut file = File::create(&path)?;
        file.write_all(MAGIC)?;
        sync_folder(&path)?;
        let info = SegmentInfo { first: first.0, last: Seq(first.0 - 1), horizon: 0, bytes: MAGIC.len() as u64 };
        Ok(Self { file: Arc::new(file), info, shapes: WrittenShapes::default() })
    }

    /// Appends the entries with one write. On an error none of them is in it.
    pub(in crate::mirror::ledger) fn append(&mut self, entries: &[Arc<Entry>]) -> Result<(), AppendError> {
        let shapes = self.shapes.len();
        let mut buffer = Vec::with_capacity(entries.iter().map(|entry| entry.bytes).sum());
        for entry in entries {
            encode(entry, &mut self.shapes, |payload| frame(&mut buffer, payload));
        }
        let mut file = &*self.file;
        if let Err(source) = file.write_all(&buffer) {
            self.shapes.forget_behind(shapes);
            let undone = file.set_len(self.info.bytes).and_then(|()| file.seek(SeekFrom::End(0)));
            return Err(AppendError { source, usable: undone.is_ok() });
        }
        self.info.bytes += buffer.len() as u64;
        for entry in entries {
            self.info.last = entry.seq;
            self.info.horizon = self.info.horizon.max(entry.flight.newest);
        }
        Ok(())
    }

    /// To be synced; what is appended meanwhile may be part of it or not.
    pub(in crate::mirror::ledger) fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    pub(in crate::mirror::ledger) fn info(&self) -> SegmentInfo {
        self.info
    }
}

/// Entries could not be appended.
#[derive(Debug, Error)]
#[error("{source}")]
pub(in crate::mirror::ledger) struct AppendError {
    source: io::Error,
    /// Whether the segment is as it was before.
    pub(in crate::mirror::ledger) usable: bool,
}

impl From<AppendError> for io::Error {
    fn from(error: AppendError) -> Self {
        error.source
    }
}

fn frame(buffer: &mut Vec<u8>, payload: &[u8]) {
    buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    buffer.extend_from_slice(payload);
}

/// Why a segment could not be read on.
#[derive(Debug, Error)]
pub(in crate::mirror::ledger) enum ReadError {
    /// The disk.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// The last record is incomplete.
    #[error("{path}: the record at byte {offset} is incomplete")]
    Torn { path: PathBuf, offset: u64 },
    /// A record is not what was written.
    #[error("{path}: the record at byte {offset} is damaged")]
    Damaged { path: PathBuf, offset: u64 },
}

/// Reads a segment from front to back.
#[derive(Debug)]
pub(super) struct SegmentReader {
    path: PathBuf,
    file: BufReader<File>,
    length: u64,
    offset: u64,
    shapes: Vec<Arc<Shape>>,
}

/// Where to read on in a segment later.
#[derive(Debug)]
pub(super) struct Bookmark {
    pub(super) first: u64,
    offset: u64,
    shapes: Vec<Arc<Shape>>,
}

impl Bookmark {
    /// The front of a segment.
    pub(super) fn front(first: u64) -> Self {
        Self { first, offset: 0, shapes: Vec::new() }
    }
}

impl SegmentReader {
    pub(super) fn open(folder: &Path, bookmark: Bookmark) -> Result<Self, ReadError> {
        let path = segment_path(folder, bookmark.first);
        let open = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(bookmark.offset))?;
            let length = file.metadata()?.len();
            io::Result::Ok((BufReader::with_capacity(256 << 10, file), length))
        };
        match open() {
            Ok((file, length)) => Ok(Self { path, file, length, offset: bookmark.offset, shapes: bookmark.shapes }),
            Err(source) => Err(ReadError::Io { path, source }),
        }
    }

    /// Behind the last record that was read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn bookmark(self, first: u64) -> Bookmark {
        Bookmark { first, offset: self.offset, shapes: self.shapes }
    }

    /// The next entry; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        if self.offset == 0 && self.length > 0 {
            let magic = self.take(MAGIC.len())?;
            if magic != MAGIC {
                return Err(self.damaged());
            }
            self.offset = MAGIC.len() as u64;
        }
        while self.offset < self.length {
            let payload = self.payload()?;
            let record = decode(&payload, &self.shapes).map_err(|_| self.damaged())?;
            self.offset += (HEADER + payload.len()) as u64;
            match record {
                Record::Shape(shape) => self.shapes.push(Arc::new(shape)),
                Record::Entry(entry) => return Ok(Some(entry)),
            }
        }
        Ok(None)
    }

    fn payload(&mut self) -> Result<Vec<u8>, ReadError> {
        let header = self.take(HEADER)?;
        let word = |at: usize| header.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
        let (Some(length), Some(crc)) = (word(0), word(4)) else { return Err(self.torn()) };
        if HEADER as u64 + u64::from(length) > self.length - self.offset {
            return Err(self.torn());
        }
        let payload = self.take(length as usize)?;
        if crc32fast::hash(&payload) == crc { Ok(payload) } else { Err(self.damaged()) }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; count];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.torn()),
            Err(source) => Err(ReadError::Io { path: self.path.clone(), source }),
        }
    }

    fn torn(&self) -> ReadError {
        ReadError::Torn { path: self.path.clone(), offset: self.offset }
    }

    /// For a record that reads well and makes no sense.
    pub(super) fn damaged(&self) -> ReadError {
        ReadError::Damaged { path: self.path.clone(), offset: self.offset }
    }
}
