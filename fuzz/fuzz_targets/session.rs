//! The session machine between a client and a server that say anything: it does not matter where their bytes are split,
//! what is forwarded is what was said and what capture adds, and the books balance.

#![no_main]

use std::sync::{Arc, LazyLock};

use crossfade::catalog::{Catalog, Currency};
use crossfade::config::Ddl;
use crossfade::effect::Epoch;
use crossfade::session::testing::{Books, Told, asking};
use crossfade::session::{Env, Session, Splice};
use crossfade::sql::Cache;
use crossfade::wire::{self, Startup};
use crossfade_fuzz::{Side, Turn, body, conversation, messages};
use libfuzzer_sys::fuzz_target;

/// With the tables of the tests, and with none: then nothing qualifies.
static CATALOGS: LazyLock<[Arc<Catalog>; 2]> = LazyLock::new(|| [Arc::new(asking()), Arc::new(Catalog::default())]);

/// Parsing costs more than all the rest, and most texts come again.
static CACHE: LazyLock<Cache> = LazyLock::new(|| Cache::new(10_000));

fuzz_target!(|input: &[u8]| {
    let Some((&[world, piece], rest)) = input.split_first_chunk() else { return };
    let world = World::of(world);
    let turns = conversation(rest);
    let whole = Stage::run(world, &turns, usize::MAX);
    let pieces = Stage::run(world, &turns, usize::from(piece).max(1));
    whole.agrees_with(&pieces);
    let said =
        |side| turns.iter().filter(|turn| turn.side == side).flat_map(|turn| turn.bytes.clone()).collect::<Vec<_>>();
    if world.nothing_qualifies() {
        assert!(said(Side::Client).starts_with(&whole.upward) && said(Side::Server).starts_with(&whole.downward));
    } else {
        sent(&said(Side::Client), &whole);
        answered(&said(Side::Server), &whole.downward);
    }
    whole.balances(&said(Side::Client));
});

/// Everything that is not said by one of the sides.
#[derive(Clone, Copy)]
struct World {
    has_tables: bool,
    is_current: bool,
    ddl: Ddl,
}

impl World {
    fn of(bits: u8) -> Self {
        let ddl = match bits & 3 {
            0 => Ddl::Mirror,
            1 => Ddl::Skip,
            _ => Ddl::Refuse,
        };
        Self { has_tables: bits & 4 == 0, is_current: bits & 8 == 0, ddl }
    }

    fn nothing_qualifies(self) -> bool {
        !self.has_tables && self.ddl != Ddl::Refuse
    }

    fn catalog(self) -> &'static Arc<Catalog> {
        &CATALOGS[usize::from(!self.has_tables)]
    }
}

/// One session and all that came of it.
struct Stage {
    session: Session,
    books: Books,
    world: World,
    /// Said by the client and not forwarded yet.
    client: Vec<u8>,
    upward: Vec<u8>,
    downward: Vec<u8>,
    /// How many originals were sent again among what went upward.
    again: usize,
    is_broken: bool,
}

impl Stage {
    /// The conversation with every turn in pieces of this size, up to the first bytes that are no message.
    fn run(world: World, turns: &[Turn], piece: usize) -> Self {
        let startup = Startup { parameters: vec![("user".into(), "bob".into()), ("database".into(), "app".into())] };
        let mut stage = Self {
            session: Session::tracked(&startup, world.catalog(), &Arc::default()),
            books: Books::default(),
            world,
            client: Vec::new(),
            upward: Vec::new(),
            downward: Vec::new(),
            again: 0,
            is_broken: false,
        };
        let mut server = Vec::new();
        for turn in turns {
            for piece in turn.bytes.chunks(piece.min(turn.bytes.len().max(1))) {
                if turn.side == Side::Client {
                    stage.client.extend_from_slice(piece);
                    stage.show_client();
                } else {
                    server.extend_from_slice(piece);
                    stage.show(Side::Server, &mut server);
                }
                if stage.is_broken {
                    return stage;
                }
            }
            // Not within the turn: a server does not answer what it has not got yet.
            if stage.session.waits_for_answers() {
                stage.show_client();
            }
        }
        stage
    }

    /// Shows what is held of the client.
    fn show_client(&mut self) {
        let mut client = std::mem::take(&mut self.client);
        self.show(Side::Client, &mut client);
        self.client = client;
    }

    /// Shows the machine what is held of one side and takes off what it clears, as the relay does.
    fn show(&mut self, side: Side, held: &mut Vec<u8>) {
        let catalog = self.world.catalog();
        let currency = if self.world.is_current { Currency::whole(0) } else { Currency::nothing(0) };
        let env = Env { catalog, currency: &currency, cache: &CACHE, ddl: self.world.ddl, epoch: Epoch(1) };
        let mut splice = Splice::default();
        let (shown, out) = match side {
            Side::Client => (self.session.client(held, &env, &mut self.books, &mut splice), &mut self.upward),
            Side::Server => (self.session.server(held, &env, &mut self.books, &mut splice), &mut self.downward),
        };
        let Ok(size) = shown else {
            self.is_broken = true;
            return;
        };
        assert!(splice.is_empty() || !self.world.nothing_qualifies());
        splice.apply(&held[..size], out);
        held.drain(..size);
        if let Some(again) = self.session.take_again() {
            self.upward.extend_from_slice(&again);
            self.again += 1;
        }
    }

    /// Where a side says what is no message, the machine has seen the messages before it or not, as they came.
    fn agrees_with(&self, pieces: &Self) {
        assert_eq!(self.is_broken, pieces.is_broken);
        assert_eq!(self.books.0, pieces.books.0);
        if self.is_broken {
            assert!(pieces.upward.starts_with(&self.upward) && pieces.downward.starts_with(&self.downward));
        } else {
            assert_eq!(self.upward, pieces.upward);
            assert_eq!(self.downward, pieces.downward);
        }
        assert_eq!(self.session.is_idle(), pieces.session.is_idle());
    }

    /// Nothing is decided before it was announced, and everything is once the last Sync is answered.
    fn balances(mut self, said: &[u8]) {
        let requests = messages(said);
        if requests.iter().map(|request| request.len()).sum::<usize>() < said.len() {
            // The Sync would be the rest of a message.
            return;
        }
        self.client.extend_from_slice(b"c\0\0\0\x04S\0\0\0\x04");
        self.show_client();
        self.show(Side::Server, &mut b"Z\0\0\0\x05I".repeat(requests.len() + 1));
        while self.session.waits_for_answers() && !self.is_broken {
            self.show_client();
            self.show(Side::Server, &mut b"Z\0\0\0\x05I".repeat(requests.len() + 1));
        }
        let mut open = 0_usize;
        for told in &self.books.0 {
            match told {
                Told::Enter(_) => open += 1,
                Told::Resolve(count) => open = open.checked_sub(*count).expect("more decided than announced"),
                Told::Commit(_) | Told::Skip | Told::Ddl(_) | Told::Defined | Told::Refused | Told::Refusal(_) => {}
            }
        }
        assert!(self.is_broken || !self.session.is_idle() || open == 0, "{open} announcements are never decided");
    }
}

/// A name in all messages that ask what was written.
const QUESTION: &[u8] = b"crossfade question";

/// The same messages in the same order, with more text in some queries and other result formats in some Binds.
fn sent(said: &[u8], stage: &Stage) {
    let ours = |message: &[u8]| message.windows(QUESTION.len()).any(|window| window == QUESTION);
    // A client that uses the name, too, says what looks like ours.
    if stage.again > 0 || stage.world.ddl == Ddl::Refuse || ours(said) {
        return;
    }
    let upward = messages(&stage.upward).into_iter().filter(|message| !ours(message));
    for (said, sent) in messages(said).into_iter().zip(upward) {
        assert_eq!(said[0], sent[0]);
        if said == sent {
            continue;
        }
        match said[0] {
            b'Q' => assert!(is_subsequence(body(said), body(sent))),
            b'P' => {
                let (said, sent) = (wire::parse(body(said)).expect("whole"), wire::parse(body(sent)).expect("whole"));
                assert_eq!((said.name, said.types()), (sent.name, sent.types()));
                assert!(is_subsequence(said.sql, sent.sql));
            }
            b'B' => {
                let (before, after) = (wire::bind(body(said)).expect("whole"), wire::bind(body(sent)).expect("whole"));
                assert_eq!(body(said)[..before.formats_at], body(sent)[..after.formats_at]);
            }
            b'E' => {
                let (said, sent) =
                    (wire::execute(body(said)).expect("whole"), wire::execute(body(sent)).expect("whole"));
                assert_eq!((said.portal, sent.limit), (sent.portal, 0));
            }
            tag => panic!("a message of type {tag} was changed"),
        }
    }
}

/// Some of the messages in the same order, rows and their descriptions perhaps without their last columns, and
/// `CommandComplete` perhaps later.
fn answered(said: &[u8], seen: &[u8]) {
    let mut said = messages(said).into_iter();
    let mut held = Vec::new();
    for seen in messages(seen) {
        if let Some(index) = held.iter().position(|tag| *tag == seen) {
            held.remove(index);
            continue;
        }
        let mut is_said = |said: &&[u8]| {
            let is_it = may_become(said, seen);
            if !is_it && said[0] == b'C' {
                held.push(said.to_vec());
            }
            is_it
        };
        assert!(said.any(|said| is_said(&said)), "{} was not said", seen.escape_ascii());
    }
}

fn may_become(said: &[u8], seen: &[u8]) -> bool {
    if said == seen {
        return true;
    }
    match (said[0], seen[0]) {
        (b'T', b'T') | (b'D', b'D') => {
            body(said).get(2..).is_some_and(|said| said.starts_with(body(seen).get(2..).unwrap_or(b"no")))
        }
        (b'T', b'n') => true,
        // The position of the error.
        (b'E', b'E') => wire::error_fields(body(said))
            .zip(wire::error_fields(body(seen)))
            .all(|(said, seen)| said == seen || (said.0, seen.0) == (b'P', b'P')),
        _ => false,
    }
}

fn is_subsequence(of: &[u8], whole: &[u8]) -> bool {
    let mut whole = whole.iter();
    of.iter().all(|byte| whole.any(|other| other == byte))
}
