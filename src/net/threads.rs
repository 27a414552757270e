//! The threads of the data path: each has a runtime of its own, and a session lives on one of them from its first byte
//! to its last. No work is stolen, so no message of a session wakes another thread.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Threads that run until the last handle to them is dropped.
#[derive(Debug)]
pub struct Threads {
    handles: Vec<Handle>,
    next: AtomicUsize,
    /// Its receivers see it go.
    _stop: watch::Sender<()>,
}

impl Threads {
    /// Half as many as there are cores, at least one: the relay is mostly the kernel's work, and clients and servers on
    /// the same machine want to run too.
    pub fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let (stop, stopped) = watch::channel(());
        let handles = (0..cores.div_ceil(2)).map(|_| start_one(stopped.clone())).collect::<io::Result<_>>()?;
        Ok(Self { handles, next: AtomicUsize::new(0), _stop: stop })
    }

    /// The one for the next session: they take turns.
    pub(super) fn next(&self) -> &Handle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.handles[turn % self.handles.len()]
    }
}

fn start_one(mut stopped: watch::Receiver<()>) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("sessions".into()).spawn(move || {
        runtime.block_on(async { while stopped.changed().await.is_ok() {} });
        runtime.shutdown_background();
    })?;
    Ok(handle)
}
