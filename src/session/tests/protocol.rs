//! Requests and answers stay matched, whatever comes in whatever pieces.

use super::support::*;
use crate::session::Session;
use crate::wire::Startup;
use proptest::prelude::*;

const INSERT: &str = "insert into t values (1, 'a') returning v";

#[test]
fn a_session_that_is_relayed_unread_is_logged_in_with_its_first_ready_and_never_known_to_be_idle() {
    let startup = Startup { parameters: vec![("user".into(), "bob".into())] };
    for piece in [1, 3, usize::MAX] {
        let mut stage = Stage::of(Session::unread(&startup), piece);
        let begin = [message(b'R', &[0; 4]), message(b'S', b"a\0Z\0")].concat();
        assert_eq!(stage.server(&begin), begin);
        assert!(!stage.session.is_logged_in());
        assert_eq!(stage.server(&ready(b'I')), ready(b'I'));
        assert!(stage.session.is_logged_in() && !stage.session.is_idle());
        assert_eq!(stage.server(b"anything"), b"anything");
    }
}

/// A conversation with everything in it: what the client sends and what the server answers, in turn.
fn conversation() -> Vec<(Vec<u8>, Vec<u8>)> {
    let row = row(&["a", "(1,a)", "100", "7", "0/10"]);
    let extended = [parse("s", INSERT), message(b'D', b"Ss\0"), bind("s", &[]), execute(0), sync()].concat();
    let parameters = message(b't', &[0, 0]);
    vec![
        (query("select 1"), [description(1), super::support::row(&["1"]), complete("SELECT 1"), ready(b'I')].concat()),
        (query(INSERT), [description(5), row.clone(), complete("INSERT 0 1"), ready(b'I')].concat()),
        (
            extended,
            [
                message(b'1', b""),
                parameters,
                description(5),
                message(b'2', b""),
                row.clone(),
                complete("INSERT 0 1"),
                ready(b'I'),
            ]
            .concat(),
        ),
        (query("copy t from stdin"), message(b'G', &[0, 0, 0])),
        ([message(b'd', b"1\ta\n"), message(b'c', b"")].concat(), [complete("COPY 1"), ready(b'I')].concat()),
        (query(""), [message(b'I', b""), ready(b'I')].concat()),
        (message(b'F', &[0; 10]), [message(b'V', &[0, 0, 0, 0]), ready(b'I')].concat()),
        (query("begin"), [complete("BEGIN"), ready(b'T')].concat()),
        (query(INSERT), [description(5), row, complete("INSERT 0 1"), error(), ready(b'E')].concat()),
        (query("rollback"), [complete("ROLLBACK"), ready(b'I')].concat()),
    ]
}

fn run(piece: usize) -> (Vec<Vec<u8>>, Vec<Told>) {
    let mut stage = Stage::with_pieces_of(piece);
    let mut seen = Vec::new();
    for (request, answer) in conversation() {
        seen.push(stage.client(&request));
        seen.push(stage.server(&answer));
    }
    assert!(stage.session.is_idle());
    (seen, stage.told())
}

#[test]
fn it_does_not_matter_where_the_bytes_are_split() {
    let whole = run(usize::MAX);
    assert!(whole.1.iter().any(|told| matches!(told, Told::Commit(_))));
    for piece in 1..40 {
        assert_eq!(run(piece), whole, "in pieces of {piece}");
    }
}

#[test]
fn after_an_extended_error_even_a_simple_query_is_skipped_until_sync() {
    let mut stage = Stage::new();
    stage.client(&parse("", "nonsense"));
    stage.server(&error());
    stage.client(&[query("insert into t values (2, 'b')"), sync()].concat());
    assert!(!stage.session.is_idle());
    stage.server(&ready(b'I'));
    assert!(stage.session.is_idle());
    assert_eq!(stage.commits(), Vec::<Vec<String>>::new());
}

#[test]
fn a_statement_the_server_refused_leaves_the_one_that_was_there() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", INSERT), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    stage.client(&[parse("s", "select 1"), bind("s", &[]), sync()].concat());
    stage.server(&[error(), ready(b'I')].concat());
    stage.client(&[bind("s", &[]), execute(0), sync()].concat());
    let row = row(&["a", "(1,a)", "100", "7", "0/10"]);
    stage.server(&[message(b'2', b""), row, complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
}

#[test]
fn a_sync_sent_before_the_server_reads_copy_data_is_ignored_by_it() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "copy t from stdin"), bind("", &[]), execute(0), sync()].concat());
    stage.server(&[message(b'1', b""), message(b'2', b""), message(b'G', &[0, 0, 0])].concat());
    stage.client(&[message(b'd', b"1\ta\n"), message(b'c', b""), sync()].concat());
    stage.server(&complete("COPY 1"));
    assert!(!stage.session.is_idle());
    stage.server(&ready(b'I'));
    assert!(stage.session.is_idle());
    assert_eq!(stage.commits(), [["mark 100 Copy"]]);
    assert!(stage.told().is_empty());
}

#[test]
fn a_series_answered_before_its_sync_is_no_idle_session() {
    let series = [parse("", "insert into t values (1, 'a')"), bind("", &[]), execute(0)].concat();
    let answers = [message(b'1', b""), message(b'2', b""), complete("INSERT 0 1")].concat();
    let mut stage = Stage::new();
    stage.client(&[series.clone(), message(b'H', b"")].concat());
    stage.server(&answers);
    assert!(!stage.session.is_idle(), "its transaction is open until the Sync");
    stage.client(&query("insert into t values (2, 'b')"));
    let refused = message(b'E', b"SERROR\0VERROR\0C42501\0Mno\0\0");
    assert_eq!(stage.server(&refused), refused, "what went before is lost, which the client must learn");
    stage.server(&ready(b'I'));
    assert!(stage.session.is_idle());
    assert_eq!(stage.commits(), Vec::<Vec<String>>::new());
}

#[test]
fn an_answer_that_fits_no_request_loses_no_announcement() {
    let mut stage = Stage::new();
    stage.client(&query("nonsense"));
    stage.server(&message(b'1', b""));
    stage.client(&sync());
    stage.server(&ready(b'I'));
    let all = Told::Enter(crate::effect::Touched::All);
    assert_eq!(stage.told(), [all.clone(), all, Told::Resolve(2)]);
}

#[test]
fn a_session_is_idle_after_a_copy_as_after_anything_else() {
    let mut stage = Stage::new();
    stage.client(&query("copy t from stdin"));
    stage.server(&message(b'G', &[0, 0, 0]));
    stage.client(&[message(b'd', b"1\ta\n"), message(b'c', b"")].concat());
    stage.server(&[complete("COPY 1"), ready(b'I')].concat());
    assert!(stage.session.is_idle());
}

#[test]
fn asynchronous_messages_come_at_any_time() {
    let mut stage = Stage::new();
    let parameter = message(b'S', b"TimeZone\0UTC\0");
    let notification = message(b'A', b"\0\0\0\x01c\0p\0");
    let notice = message(b'N', b"SNOTICE\0\0");
    let noise = [parameter, notification, notice].concat();
    assert_eq!(stage.server(&noise), noise);
    stage.client(&query(INSERT));
    let row = row(&["a", "(1,a)", "100", "7", "0/10"]);
    let answer =
        [&noise[..], &description(5), &noise, &row, &noise, &complete("INSERT 0 1"), &noise, &ready(b'I')].concat();
    stage.server(&answer);
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
}

#[test]
fn a_long_query_passes_unheld_and_marks_everything() {
    let mut stage = Stage::with_pieces_of(100_000);
    let long = query(&format!("insert into t values (1, '{}')", "x".repeat(3 << 20)));
    assert_eq!(stage.client(&long), long);
    stage.server(&[complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["mark all Unparsed"]]);
}

proptest! {
    #[test]
    fn no_bytes_from_either_side_panic(
        steps in prop::collection::vec((any::<bool>(), 0_usize..28, prop::collection::vec(any::<u8>(), 0..40)), 1..12),
    ) {
        let tags = *b"QPBDECSFXcfdZT12nstGHWVRKAEI";
        let mut stage = Stage::new();
        for (from_client, tag, body) in steps {
            let bytes = message(tags[tag % tags.len()], &body);
            if from_client { stage.try_client(&bytes) } else { stage.try_server(&bytes) }
        }
    }
}

#[test]
fn a_negotiated_version_and_a_longer_cancel_key_pass_unchanged() {
    let mut stage = Stage::with_pieces_of(1);
    let negotiated = message(b'v', b"\0\x03\0\0\0\0\0\x01_pq_.novelty\0");
    let key: Vec<u8> = (0..36).collect();
    let welcome = [negotiated, message(b'K', &key)].concat();
    stage.session.take_cancel_key();
    assert_eq!(stage.server(&welcome), welcome);
    assert_eq!(stage.session.take_cancel_key(), Some(key));
}
