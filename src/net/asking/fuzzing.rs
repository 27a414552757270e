//! What `fuzz/` asks of the start of a connection, without a socket.

use bytes::BytesMut;

use super::{Asking, Refusal, Step};

/// What came of what a client sent in clear.
#[derive(Debug, PartialEq, Eq)]
pub struct Talk {
    /// What it was answered: yes or no to encryption.
    pub answers: Vec<u8>,
    /// With what it ended; `None`: more is needed.
    pub end: Option<String>,
    /// Whether it ended because bytes followed a request for encryption before that was answered.
    pub is_early: bool,
    /// How much of what was sent is taken.
    pub taken: usize,
}

/// Hears the pieces one after the other, each once all before it was answered.
pub fn asked<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, tls: bool) -> Talk {
    let (mut asking, mut input) = (Asking::in_clear(tls), BytesMut::new());
    let mut talk = Talk { answers: Vec::new(), end: None, is_early: false, taken: 0 };
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let before = input.len();
            let step = asking.step(&mut input);
            talk.taken += before - input.len();
            match step {
                Ok(Step::Wait) => break,
                Ok(Step::Decline) => talk.answers.push(b'N'),
                end => {
                    if end == Ok(Step::Encrypt) {
                        talk.answers.push(b'S');
                    }
                    talk.is_early = end == Err(Refusal::EarlyData);
                    talk.end = Some(format!("{end:?}"));
                    return talk;
                }
            }
        }
    }
    talk
}
