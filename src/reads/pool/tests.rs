use super::super::testing::{self, eventually, lease};
use super::*;

impl Pool {
    /// For a tally beside it.
    pub(in crate::reads) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }
}

#[tokio::test]
async fn no_one_waits_and_no_more_are_opened_than_allowed() {
    let (cluster, client) = testing::cluster("").await;
    let (pool, live) = testing::pool(&cluster);
    let sized = |size| {
        let mut settings = testing::settings(&cluster);
        settings.reads.pool_size = size;
        live.swap(settings);
    };
    sized(2);
    assert!(pool.take(&Arc::default()).is_none(), "opened behind the read's back");
    let (one, two) = (lease(&pool).await, lease(&pool).await);
    assert!(pool.take(&Arc::default()).is_none());
    let counts = |state: &State| (state.open, state.opening, state.idle.len());
    assert_eq!(counts(&pool.state.lock()), (2, 0, 0));
    sized(3);
    let three = lease(&pool).await;
    sized(1);
    drop((one, two, three));
    assert_eq!(counts(&pool.state.lock()), (1, 0, 1));
    let count = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'crossfade-reads'";
    while client.query(count, &[]).await.unwrap().len() != 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sized(0);
    let last = lease(&pool).await;
    drop(last);
    assert_eq!(pool.state.lock().open, 0);
}

#[tokio::test]
async fn a_shadow_that_goes_is_noticed_and_found_again() {
    let (cluster, _client) = testing::cluster("").await;
    let (pool, _) = testing::pool(&cluster);
    drop(lease(&pool).await);
    cluster.stop_server("immediate").unwrap();
    eventually(|| pool.take(&Arc::default()).is_none().then_some(())).await;
    eventually(|| pool.state.lock().trouble).await;
    cluster.start_server().unwrap();
    lease(&pool).await;
    assert!(pool.state.lock().trouble.is_none());
}

#[tokio::test]
async fn idle_connections_are_closed_after_a_while() {
    let (cluster, _client) = testing::cluster("").await;
    let (pool, _) = testing::pool(&cluster);
    drop(lease(&pool).await);
    // Whoever waited long for the first has asked for another.
    while pool.state.lock().opening > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let open = pool.state.lock().open;
    pool.state.lock().close_idle(0, Instant::now());
    assert_eq!(pool.state.lock().open, open);
    pool.state.lock().close_idle(1, Instant::now() + IDLE);
    assert_eq!(pool.state.lock().open, 1, "kept warm");
    pool.state.lock().close_idle(0, Instant::now() + IDLE);
    assert_eq!(pool.state.lock().open, 0);
}

#[tokio::test]
async fn connections_are_there_before_the_first_read_once_the_ramp_is_up() {
    let (cluster, _client) = testing::cluster("").await;
    let (pool, live) = testing::pool(&cluster);
    assert_eq!(pool.state.lock().open, 0);
    live.ramp(1.0);
    eventually(|| (pool.state.lock().idle.len() == WARM).then_some(())).await;
    assert!(pool.take(&Arc::default()).is_some());
    let mut small = testing::settings(&cluster);
    small.reads.pool_size = 2;
    live.swap(small);
    let pool = Pool::new(cluster.url("postgres").parse().unwrap(), Arc::clone(&live));
    live.ramp(1.0);
    eventually(|| (pool.state.lock().idle.len() == 2).then_some(())).await;
    pool.look_after(Instant::now());
    assert_eq!(pool.state.lock().open, 2, "not more than the pool may have");
}

#[tokio::test]
async fn the_next_read_finds_a_connection_while_the_first_has_one() {
    let (cluster, _client) = testing::cluster("").await;
    let (pool, _) = testing::pool(&cluster);
    let _first = lease(&pool).await;
    eventually(|| (!pool.state.lock().idle.is_empty()).then_some(())).await;
}

#[tokio::test]
async fn an_idle_connection_that_does_not_answer_is_closed_before_a_read_meets_it() {
    let (cluster, client) = testing::cluster("").await;
    let (pool, _) = testing::pool(&cluster);
    drop(lease(&pool).await);
    eventually(|| (pool.state.lock().opening == 0).then_some(())).await;
    let open = pool.state.lock().open;
    pool.look_after(Instant::now() + CHECK);
    eventually(|| (pool.state.lock().idle.len() == open).then_some(())).await;
    let pids = "SELECT pid::text FROM pg_stat_activity WHERE application_name = 'crossfade-reads'";
    let pids: Vec<String> = client.query(pids, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let signal = |name: &str| {
        assert!(std::process::Command::new("kill").arg(name).args(&pids).status().unwrap().success());
    };
    signal("-STOP");
    pool.look_after(Instant::now() + CHECK);
    eventually(|| (pool.state.lock().open == 0).then_some(())).await;
    signal("-CONT");
}

#[tokio::test]
async fn a_full_shadow_gets_half_of_what_is_idle_back_and_is_asked_rarely() {
    let (cluster, client) = testing::cluster("CREATE ROLE few LOGIN CONNECTION LIMIT 4").await;
    let url = cluster.url("postgres").replace("postgres@", "few@");
    let pool = Pool::new(url.parse().unwrap(), Live::new(testing::settings(&cluster)));
    let mut leases = Vec::new();
    while leases.len() < 4 {
        leases.push(lease(&pool).await);
    }
    assert!(pool.take(&Arc::default()).is_none());
    let trouble = eventually(|| pool.state.lock().trouble).await;
    assert_eq!(trouble.failure, Failure::Full);
    leases.clear();
    eventually(|| (pool.state.lock().opening == 0).then_some(())).await;
    {
        let mut state = pool.state.lock();
        let before = state.idle.len();
        state.open += 1;
        state.fail(Failure::Full, Instant::now());
        assert!(before > 0);
        assert_eq!((state.open, state.idle.len()), (before / 2, before / 2));
    }
    let others = "SELECT 1 FROM pg_stat_activity WHERE usename = 'few'";
    while client.query(others, &[]).await.unwrap().len() > 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn attempts_on_a_shadow_that_is_down_become_rare_but_never_end() {
    let (mut state, now) = (State::default(), Instant::now());
    assert!(state.may_open(1, now));
    for attempt in 0..20 {
        state.open += 1;
        assert_eq!(state.fail(Failure::Unreachable, now), attempt == 0, "told once");
    }
    assert!(!state.may_open(1, now));
    assert!(state.may_open(1, now + LAST_BACKOFF));
    state.opening = 1;
    assert!(!state.may_open(2, now + LAST_BACKOFF), "one attempt at a time");
    assert_eq!(state.succeed(now), Some(Failure::Unreachable));
    state.opening = 0;
    assert!(state.may_open(2, now), "at once, when it is there again");
}

#[test]
fn a_shadow_that_was_full_is_taken_slowly() {
    let (mut state, now) = (State::default(), Instant::now());
    for _ in 0..3 {
        state.open += 1;
        state.fail(Failure::Full, now);
    }
    state.open = 1;
    for halved in [2, 1] {
        assert_eq!(state.succeed(now), Some(Failure::Full));
        assert!(!state.may_open(9, now) && state.may_open(9, now + FIRST_BACKOFF * halved));
    }
    assert_eq!(state.succeed(now), Some(Failure::Full));
    assert!(state.may_open(9, now));
}
