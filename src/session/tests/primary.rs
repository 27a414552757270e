//! A model of a primary: prepared statements, portals, what is skipped up to a Sync, and where it refuses what crossfade
//! appends. No transaction blocks.

use std::collections::HashMap;

use super::support::*;
use crate::wire::{self, HEADER, Header, Target};

/// What it does not take.
pub(super) const NONSENSE: &str = "select nonsense";

/// Where it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refuses {
    Nothing,
    AtParse,
    AtBind,
    AtDescribe,
    AtExecute,
}

pub(super) struct Primary {
    pub(super) refuses: Refuses,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
    skipping: bool,
    /// Inserts that are committed, and those of the transaction under way.
    pub(super) inserted: usize,
    inserting: usize,
}

impl Primary {
    pub(super) fn new() -> Self {
        Self {
            refuses: Refuses::Nothing,
            statements: HashMap::new(),
            portals: HashMap::new(),
            skipping: false,
            inserted: 0,
            inserting: 0,
        }
    }

    /// What it answers to whole messages.
    pub(super) fn answer(&mut self, mut requests: &[u8]) -> Vec<u8> {
        let mut answers = Vec::new();
        while let Some(Header { tag, size }) = wire::header(requests).unwrap() {
            if tag == b'S' {
                self.skipping = false;
                answers.extend(self.ready());
            } else if !self.skipping {
                match self.request(tag, &requests[HEADER..size]) {
                    Ok(answer) => answers.extend(answer),
                    Err(sqlstate) => {
                        self.skipping = tag != b'Q';
                        self.inserting = 0;
                        answers.extend(refused(sqlstate, ""));
                    }
                }
                if tag == b'Q' {
                    answers.extend(self.ready());
                }
            }
            requests = &requests[size..];
        }
        assert!(requests.is_empty(), "whole messages");
        answers
    }

    fn ready(&mut self) -> Vec<u8> {
        self.portals.clear();
        self.inserted += std::mem::take(&mut self.inserting);
        ready(b'I')
    }

    fn request(&mut self, tag: u8, body: &[u8]) -> Result<Vec<u8>, &'static str> {
        match tag {
            b'Q' => {
                let text = String::from_utf8(wire::cstring(body).unwrap().0.to_vec()).unwrap();
                self.statements.remove(&b""[..]);
                self.refuse(self.refuses, &text)?;
                if let Some(name) = text.strip_prefix("deallocate ") {
                    self.statements.remove(name.as_bytes()).ok_or("26000")?;
                    return Ok(complete("DEALLOCATE"));
                }
                Ok([columns(&text).map(description).unwrap_or_default(), self.run(&text)].concat())
            }
            b'P' => {
                let parse = wire::parse(body).unwrap();
                let text = String::from_utf8(parse.sql.to_vec()).unwrap();
                if parse.name.is_empty() {
                    self.statements.remove(parse.name);
                }
                self.refuse(Refuses::AtParse, &text)?;
                if !parse.name.is_empty() && self.statements.contains_key(parse.name) {
                    return Err("42P05");
                }
                self.statements.insert(parse.name.to_vec(), text);
                Ok(message(b'1', b""))
            }
            b'B' => {
                let bind = wire::bind(body).unwrap();
                let text = self.statements.get(bind.statement).ok_or("26000")?.clone();
                self.refuse(Refuses::AtBind, &text)?;
                if bind.formats() > 1 && columns(&text).is_some_and(|columns| columns != bind.formats()) {
                    return Err("08P01");
                }
                self.portals.insert(bind.portal.to_vec(), text);
                Ok(message(b'2', b""))
            }
            b'D' => {
                let (text, parameters) = match wire::close_or_describe(body).unwrap() {
                    Target::Statement(name) => (self.statements.get(name), message(b't', &[0, 0])),
                    Target::Portal(name) => (self.portals.get(name), Vec::new()),
                };
                let text = text.ok_or("34000")?;
                self.refuse(Refuses::AtDescribe, text)?;
                Ok([parameters, columns(text).map_or_else(|| message(b'n', b""), description)].concat())
            }
            b'E' => {
                let text = self.portals.get(wire::execute(body).unwrap().portal).ok_or("34000")?;
                self.refuse(Refuses::AtExecute, text)?;
                let text = text.clone();
                Ok(self.run(&text))
            }
            b'C' => {
                match wire::close_or_describe(body).unwrap() {
                    Target::Statement(name) => drop(self.statements.remove(name)),
                    Target::Portal(name) => drop(self.portals.remove(name)),
                }
                Ok(message(b'3', b""))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn run(&mut self, text: &str) -> Vec<u8> {
        if text.starts_with("select") {
            return [row(&["1", "2", "3", "4", "5"]), complete("SELECT 1")].concat();
        }
        self.inserting += 1;
        let all = ["a", "(1,a)", "100", "7", "0/10"];
        let row = match columns(text) {
            None => Vec::new(),
            Some(1) => row(&all[..1]),
            Some(4) => row(&all[1..]),
            Some(_) => row(&all),
        };
        [row, complete("INSERT 0 1")].concat()
    }

    fn refuse(&self, at: Refuses, text: &str) -> Result<(), &'static str> {
        if text == NONSENSE {
            return Err("42601");
        }
        let refuses = at != Refuses::Nothing && at == self.refuses && is_ours(text);
        if refuses { Err("42501") } else { Ok(()) }
    }
}

fn is_ours(text: &str) -> bool {
    text.contains("pg_catalog.pg_current_xact_id()")
}

/// How many columns it returns.
fn columns(text: &str) -> Option<usize> {
    match (text.to_lowercase().contains("returning v"), is_ours(text)) {
        _ if text.starts_with("select") => Some(5),
        (false, false) => None,
        (own, ours) => Some(usize::from(own) + if ours { 4 } else { 0 }),
    }
}
