//! Requests and answers stay matched, whatever comes in whatever pieces.

use super::support::*;
use crate::session::Session;
use crate::wire::Startup;
use proptest::prelude::*;

const INSERT: &str = "insert into t values (1, 'a') returning v";

#[test]
fn a_session_that_is_relayed_unread_shows_where_messages_end_and_whether_the_client_waits() {
    let startup = Startup { parameters: vec![("user".into(), "bob".into())] };
    for piece in [1, 3, usize::MAX] {
        let mut stage = Stage::of(Session::unread(&startup), piece);
        let begin = [message(b'R', &[0; 4]), message(b'S', b"a\0Z\0")].concat();
        assert_eq!(stage.server(&begin), begin);
        assert!(!stage.session.is_logged_in());
        stage.server(&ready(b'I'));
        assert!(stage.session.is_logged_in() && stage.session.is_idle());
        let request = [query(INSERT), parse("", INSERT), sync()].concat();
        assert_eq!(stage.client(&request), request);
        let answer = [complete("INSERT 0 1"), ready(b'I')].concat();
        assert_eq!(stage.server(&answer), answer);
        assert!(!stage.session.is_idle() && stage.session.awaits_ready(), "a Sync is not answered");
        assert_eq!(stage.server(&answer[..7]), answer[..7]);
        assert!(!stage.session.is_between_answers());
        stage.server(&answer[7..]);
        assert!(stage.session.is_idle() && stage.session.is_between_answers());
        stage.client(&query("begin"));
        stage.server(&[complete("BEGIN"), ready(b'T')].concat());
        assert!(!stage.session.is_idle() && !stage.session.awaits_ready());
        stage.server(&message(b'E', b"SFATAL\0VFATAL\0C57P01\0\0"));
        assert!(stage.session.has_said_farewell());
        assert_eq!(stage.told(), []);
    }
    let mut stage = Stage::of(Session::unread(&startup), 1);
    stage.client(&message(b'X', b""));
    assert!(stage.session.has_said_farewell());
}

/// A conversation with every message of the protocol in it: what the client sends and what the server answers, in turn.
fn conversation() -> Vec<(Vec<u8>, Vec<u8>)> {
    let told = row(&["a", "(1,a)", "100", "7", "0/10"]);
    let own = || row(&["1"]);
    let (parsed, bound, closed, suspended) =
        (message(b'1', b""), message(b'2', b""), message(b'3', b""), message(b's', b""));
    let noise =
        [message(b'S', b"TimeZone\0UTC\0"), message(b'A', b"\0\0\0\x01c\0p\0"), message(b'N', b"SNOTICE\0C00000\0\0")]
            .concat();
    let flush = || message(b'H', b"");
    let copy_in = || message(b'G', &[0, 0, 0]);
    let data = || message(b'd', b"1\ta\n");
    let (copy_done, copy_fail) = (message(b'c', b""), message(b'f', b"no\0"));
    let steps: Vec<[Vec<Vec<u8>>; 2]> = vec![
        [vec![query("select 1")], vec![noise.clone(), description(1), own(), complete("SELECT 1"), ready(b'I')]],
        [vec![query(INSERT)], vec![description(5), noise.clone(), told.clone(), complete("INSERT 0 1"), ready(b'I')]],
        [
            vec![parse("s", INSERT), message(b'D', b"Ss\0"), bind("s", &[]), execute(0), flush(), sync()],
            vec![
                parsed.clone(),
                message(b't', &[0, 0]),
                description(5),
                bound.clone(),
                told.clone(),
                noise.clone(),
                complete("INSERT 0 1"),
                ready(b'I'),
            ],
        ],
        [
            vec![parse("", "select 1"), bind("", &[]), message(b'D', b"P\0"), execute(1), execute(1), sync()],
            vec![
                parsed.clone(),
                bound.clone(),
                description(1),
                own(),
                suspended.clone(),
                complete("SELECT 0"),
                ready(b'I'),
            ],
        ],
        [
            vec![bind("s", &[]), execute(1), message(b'C', b"P\0"), sync()],
            vec![bound.clone(), told.clone(), suspended, closed.clone(), ready(b'I')],
        ],
        [
            vec![parse("", ""), bind("", &[]), message(b'D', b"P\0"), execute(0), sync()],
            vec![parsed.clone(), bound.clone(), message(b'n', b""), message(b'I', b""), ready(b'I')],
        ],
        // Errors in the middle: of a Parse, and of an Execute with more behind it.
        [vec![parse("u", "selec"), bind("u", &[]), query(INSERT), flush(), sync()], vec![error(), ready(b'I')]],
        [
            vec![bind("s", &[]), execute(0), message(b'C', b"P\0"), bind("s", &[]), execute(0), sync()],
            vec![bound.clone(), told.clone(), error(), ready(b'I')],
        ],
        [
            vec![bind("s", &[]), execute(0), sync()],
            vec![bound.clone(), told.clone(), complete("INSERT 0 1"), ready(b'I')],
        ],
        [vec![query("copy t from stdin")], vec![copy_in()]],
        [vec![data(), copy_done.clone()], vec![complete("COPY 1"), ready(b'I')]],
        [vec![query("copy t from stdin")], vec![copy_in()]],
        [vec![data(), copy_fail.clone()], vec![error(), ready(b'I')]],
        [
            vec![parse("", "copy t from stdin"), bind("", &[]), execute(0), data(), flush(), copy_done.clone(), sync()],
            vec![parsed.clone(), bound.clone(), copy_in(), complete("COPY 1"), ready(b'I')],
        ],
        [
            vec![parse("", "copy t from stdin"), bind("", &[]), execute(0), data(), copy_fail, sync()],
            vec![parsed, bound, copy_in(), error(), ready(b'I')],
        ],
        [
            vec![query("copy t to stdout")],
            vec![message(b'H', &[0, 0, 0]), data(), noise, copy_done.clone(), complete("COPY 1"), ready(b'I')],
        ],
        // Ignored outside of COPY.
        [vec![data(), copy_done, query("select 1")], vec![description(1), own(), complete("SELECT 1"), ready(b'I')]],
        [vec![query("")], vec![message(b'I', b""), ready(b'I')]],
        [vec![message(b'F', &[0; 10])], vec![message(b'V', &[0, 0, 0, 0]), ready(b'I')]],
        [vec![message(b'F', &[0; 10])], vec![error(), ready(b'I')]],
        [vec![message(b'C', b"Ss\0"), sync()], vec![closed, ready(b'I')]],
        [vec![message(b'p', b"unasked\0")], vec![]],
        [vec![query("begin")], vec![complete("BEGIN"), ready(b'T')]],
        [vec![query(INSERT)], vec![description(5), told, complete("INSERT 0 1"), error(), ready(b'E')]],
        [vec![query("rollback")], vec![complete("ROLLBACK"), ready(b'I')]],
        [vec![message(b'X', b"")], vec![]],
    ];
    steps.into_iter().map(|[request, answer]| (request.concat(), answer.concat())).collect()
}

/// What both sides see, and what was told, when bytes come as `cut` makes of them.
fn run(cut: impl Fn(&[u8]) -> Vec<&[u8]>) -> (Vec<Vec<u8>>, Vec<Told>) {
    let mut stage = Stage::new();
    let mut seen = Vec::new();
    for (request, answer) in conversation() {
        seen.push(cut(&request).into_iter().flat_map(|piece| stage.client(piece)).collect());
        seen.push(cut(&answer).into_iter().flat_map(|piece| stage.server(piece)).collect());
    }
    assert!(stage.session.is_idle());
    (seen, stage.told())
}

#[test]
fn it_does_not_matter_where_the_bytes_are_split() {
    let whole = run(|bytes| vec![bytes]);
    let commits = whole.1.iter().filter(|told| matches!(told, Told::Commit(_))).count();
    assert_eq!(commits, 7, "{:?}", whole.1);
    for piece in 1..40 {
        assert_eq!(run(|bytes| bytes.chunks(piece).collect()), whole, "in pieces of {piece}");
    }
    let longest = conversation().iter().map(|(request, answer)| request.len().max(answer.len())).max().unwrap();
    for at in 1..longest {
        let in_two = run(|bytes| {
            let (front, back) = bytes.split_at(at.min(bytes.len()));
            vec![front, back]
        });
        assert_eq!(in_two, whole, "split at byte {at}");
    }
}

#[test]
fn a_client_that_is_far_ahead_of_the_answers_sees_and_tells_the_same() {
    let (seen, told) = run(|bytes| vec![bytes]);
    let commits = |told: Vec<Told>| told.into_iter().filter(|told| matches!(told, Told::Commit(_))).collect::<Vec<_>>();
    let mut stage = Stage::new();
    let (requests, answers): (Vec<_>, Vec<_>) = conversation().into_iter().unzip();
    let sent = stage.client(&requests.concat());
    let received = stage.server(&answers.concat());
    assert_eq!(sent, seen.iter().step_by(2).flatten().copied().collect::<Vec<_>>());
    assert_eq!(received, seen.iter().skip(1).step_by(2).flatten().copied().collect::<Vec<_>>());
    assert_eq!(commits(stage.told()), commits(told));
    assert!(stage.session.is_idle() && stage.session.has_said_farewell());
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
fn a_portal_bound_behind_a_sync_outlives_the_end_of_what_came_before_it() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", INSERT), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    stage.client(&[bind("s", &[]), execute(0), sync(), bind("s", &[])].concat());
    let row = row(&["a", "(1,a)", "100", "7", "0/10"]);
    let done = [message(b'2', b""), row, complete("INSERT 0 1"), ready(b'I')].concat();
    stage.server(&done);
    stage.client(&[execute(0), sync()].concat());
    let seen = stage.server(&done);
    assert_eq!(seen, [message(b'2', b""), super::support::row(&["a"]), complete("INSERT 0 1"), ready(b'I')].concat());
    assert_eq!(stage.commits(), [["t 1 (1,a)"], ["t 1 (1,a)"]]);
}

#[test]
fn a_close_that_the_server_skipped_leaves_the_statement() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", INSERT), sync()].concat());
    stage.server(&[message(b'1', b""), ready(b'I')].concat());
    stage.client(&[parse("u", "selec"), message(b'C', b"Ss\0"), sync()].concat());
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
            if from_client { stage.try_client(&bytes) } else { drop(stage.try_server(&bytes)) }
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

#[test]
fn the_end_of_a_copy_leaves_nothing_outstanding() {
    let mut stage = Stage::new();
    stage.query("copy t from stdin", &[message(b'G', &[0, 0, 0])]);
    stage.client(&[message(b'd', b"1\ta\n"), message(b'c', b"")].concat());
    stage.server(&[complete("COPY 1"), ready(b'I')].concat());
    assert!(stage.session.is_idle());
    // Outside of COPY the server ignores them.
    stage.client(&[message(b'c', b""), message(b'f', b"no\0"), message(b'd', b"")].concat());
    assert!(stage.session.is_idle());
}

#[test]
fn a_sync_among_copy_data_that_the_server_gave_up_ends_the_skipping() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "copy t from stdin"), bind("", &[]), execute(0)].concat());
    stage.server(&[message(b'1', b""), message(b'2', b""), message(b'G', &[0, 0, 0])].concat());
    // The server had failed already when it read this Sync, which it would ignore while it copies.
    stage.client(&[message(b'd', b"x\n"), sync()].concat());
    stage.server(&[error(), ready(b'I')].concat());
    assert!(stage.session.is_idle());
    stage.query(
        INSERT,
        &[description(5), row(&["a", "(1,a)", "100", "7", "0/10"]), complete("INSERT 0 1"), ready(b'I')],
    );
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
}

#[test]
fn a_malformed_body_is_for_the_server_to_refuse() {
    let bodies = [(b'P', &b"s"[..]), (b'B', b"\0s\0\0\0\0\x09"), (b'D', b"Xs\0"), (b'C', b""), (b'E', b"\0\0")];
    for (tag, body) in bodies {
        let mut stage = Stage::new();
        let malformed = message(tag, body);
        assert_eq!(stage.client(&malformed), malformed);
        stage.server(&error());
        stage.client(&[query("insert into t values (2, 'b')"), sync()].concat());
        stage.server(&ready(b'I'));
        assert!(stage.session.is_idle(), "{}", tag as char);
        assert_eq!(stage.commits(), Vec::<Vec<String>>::new());
    }
}

#[test]
fn what_is_asked_before_the_login_is_over_is_answered_behind_it() {
    let startup = Startup { parameters: vec![("user".into(), "bob".into())] };
    let welcome = [message(b'R', &[0; 4]), ready(b'I')].concat();
    let row = row(&["a", "(1,a)", "100", "7", "0/10"]);
    let answer = [description(5), row, complete("INSERT 0 1"), ready(b'I')].concat();
    let mut stage = Stage::before_login(&startup);
    stage.client(&query(INSERT));
    assert_eq!(stage.server(&welcome), welcome);
    assert!(stage.session.is_logged_in() && !stage.session.is_idle());
    assert_ne!(stage.server(&answer), answer);
    assert_eq!(stage.commits(), [["t 1 (1,a)"]]);
    assert!(stage.session.is_idle());
    let mut unread = Stage::of(Session::unread(&startup), usize::MAX);
    unread.client(&query(INSERT));
    unread.server(&welcome);
    assert!(!unread.session.is_idle());
}

#[test]
fn a_server_that_is_ready_reads_no_copy_data_and_hears_every_sync() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "insert into t values (1, 'a')"), bind("", &[]), execute(0), sync()].concat());
    // No server says so to an INSERT.
    stage.server(&[message(b'1', b""), message(b'2', b""), message(b'G', &[0, 0, 0]), ready(b'I')].concat());
    stage.client(&[message(b'c', b""), sync()].concat());
    stage.server(&ready(b'I'));
    assert!(stage.session.is_idle());
    let announced = stage.told().into_iter().fold(0_usize, |open, told| match told {
        Told::Enter(_) => open + 1,
        Told::Resolve(count) => open - count,
        _ => open,
    });
    assert_eq!(announced, 0, "what was announced is decided");
}
