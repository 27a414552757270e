//! Which direction of a relay is to be looked at. Each wakes the session's task by a waker of its own, so that the other,
//! for which nothing happened, need not be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

/// Wakes a task, and remembers that it did.
#[derive(Debug)]
struct Bell {
    rang: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

/// What wakes the task for one direction.
#[derive(Debug)]
pub(super) struct Direct {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Direct {
    fn new(task: Waker) -> Self {
        // Nobody was asked yet.
        let bell = Arc::new(Bell { rang: AtomicBool::new(true), task });
        Self { waker: Arc::clone(&bell).into(), bell }
    }

    /// Whether it rang since this was asked last.
    fn rang(&self) -> bool {
        self.bell.rang.swap(false, Ordering::Acquire)
    }

    /// To ask the direction with.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

/// Of both directions of a session.
#[derive(Debug)]
pub(super) struct Bells {
    pub(super) upward: Direct,
    pub(super) downward: Direct,
    wires: Wires,
}

/// How the sockets of a session ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wires {
    /// Who reads and who writes a socket are woken apart.
    Apart,
    /// To read TLS may take a write, and the other way round: whatever rings is meant for both.
    Crossed,
}

/// For which directions it rang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rang {
    pub(super) upward: bool,
    pub(super) downward: bool,
}

impl Bells {
    /// For the task that `task` wakes: a task's waker stays the same.
    pub(super) fn new(task: &Waker, wires: Wires) -> Self {
        Self { upward: Direct::new(task.clone()), downward: Direct::new(task.clone()), wires }
    }

    /// For which directions it rang since this was asked last; the first time, for both.
    pub(super) fn rang(&self) -> Rang {
        let (upward, downward) = (self.upward.rang(), self.downward.rang());
        match self.wires {
            Wires::Apart => Rang { upward, downward },
            Wires::Crossed => Rang { upward: upward || downward, downward: upward || downward },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rang(bells: &Bells) -> (bool, bool) {
        let Rang { upward, downward } = bells.rang();
        (upward, downward)
    }

    #[test]
    fn a_direction_is_asked_when_it_rang_and_at_first() {
        let bells = Bells::new(Waker::noop(), Wires::Apart);
        assert_eq!(rang(&bells), (true, true));
        assert_eq!(rang(&bells), (false, false));
        bells.upward.context().waker().wake_by_ref();
        assert_eq!(rang(&bells), (true, false));
        bells.downward.context().waker().wake_by_ref();
        assert_eq!(rang(&bells), (false, true));
    }

    #[test]
    fn on_crossed_wires_it_rings_for_both() {
        let bells = Bells::new(Waker::noop(), Wires::Crossed);
        assert_eq!(rang(&bells), (true, true));
        bells.upward.context().waker().wake_by_ref();
        assert_eq!(rang(&bells), (true, true));
        assert_eq!(rang(&bells), (false, false));
    }

    #[test]
    fn whatever_rings_wakes_the_task() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = Arc::new(Count(0.into()));
        let bells = Bells::new(&Arc::clone(&count).into(), Wires::Apart);
        bells.upward.context().waker().wake_by_ref();
        bells.downward.context().waker().wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
