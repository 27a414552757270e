//! A session whose messages pass unread: only their fronts are looked at, for where one ends, whether the client waits,
//! and who has said farewell.

use super::machine::{Mode, Session, SessionError};
use super::outstanding::Request;
use crate::wire::{self, HEADER, Header, Passing};

impl Session {
    /// Whether it is one: then it needs to know nothing of what is around it.
    pub fn is_unread(&self) -> bool {
        self.mode == Mode::Unread
    }

    /// From the client: counts what ReadyForQuery will answer. What the server skips or ignores is counted too: such a
    /// session is taken for busy.
    pub fn pass_up(&mut self, input: &[u8]) -> Result<usize, SessionError> {
        let mut at = 0;
        loop {
            let header = self.client_passes.next(input, &mut at).map_err(SessionError::Client)?;
            let Some(Header { tag, size }) = header else { return Ok(at) };
            match tag {
                b'Q' | b'S' | b'F' => self.outstanding.push(Request::Sync),
                b'X' => self.farewell = true,
                _ => {}
            }
            self.client_passes = Passing::over(size);
        }
    }

    /// From the server. Gives how many bytes may go on, like [`Session::server`].
    pub fn pass_down(&mut self, input: &[u8]) -> Result<usize, SessionError> {
        let mut at = 0;
        loop {
            let header = self.server_passes.next(input, &mut at).map_err(SessionError::Server)?;
            let Some(Header { tag, size }) = header else { return Ok(at) };
            if matches!(tag, b'Z' | b'E') {
                let Some(message) = input.get(at + HEADER..at + size) else { return Ok(at) };
                if tag == b'E' {
                    self.farewell |= wire::is_fatal(message);
                } else {
                    let status = wire::ready_status(message).map_err(SessionError::Server)?;
                    // The first ends the login and answers nothing.
                    if self.status.replace(status).is_some() {
                        self.outstanding.ready(|_, _| {});
                    }
                }
            }
            self.server_passes = Passing::over(size);
        }
    }
}
