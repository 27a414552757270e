//! Whether sessions are asked to end.

use std::future::pending;
use std::pin::Pin;
use std::task::Context;

use tokio::sync::watch;

/// What sessions are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leaving {
    /// Stay.
    #[default]
    No,
    /// As soon as no transaction is open.
    WhenIdle,
    /// At once.
    Now,
}

/// Waits until sessions are asked for something else than to stay.
pub(super) async fn asked(leaving: &mut watch::Receiver<Leaving>) {
    if leaving.wait_for(|now| *now != Leaving::No).await.is_err() {
        pending::<()>().await;
    }
}

/// What one task is asked for, as cheap as a glance: for a loop that looks each time it is woken.
pub(super) struct Asked {
    leaving: watch::Receiver<Leaving>,
    now: Leaving,
    /// Wakes the task at the next change. Polled once, for a task's waker stays the same.
    change: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Asked {
    pub(super) fn new(leaving: watch::Receiver<Leaving>) -> Self {
        Self { leaving, now: Leaving::No, change: None }
    }

    /// What is asked now; the task of `cx` is woken when that changes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Leaving {
        while self.change.is_none() || matches!(self.leaving.has_changed(), Ok(true)) {
            self.now = *self.leaving.borrow_and_update();
            let mut next = self.leaving.clone();
            let mut change: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
                if next.changed().await.is_err() {
                    pending::<()>().await;
                }
            });
            if change.as_mut().poll(cx).is_pending() {
                self.change = Some(change);
            }
        }
        self.now
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn every_change_wakes_the_task_and_is_seen() {
        let (ask, leaving) = watch::channel(Leaving::No);
        let mut asked = Asked::new(leaving);
        let (tell, mut seen) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(poll_fn(move |cx| {
            let _ = tell.send(asked.poll(cx));
            Poll::<()>::Pending
        }));
        assert_eq!(seen.recv().await, Some(Leaving::No));
        ask.send_replace(Leaving::WhenIdle);
        assert_eq!(seen.recv().await, Some(Leaving::WhenIdle));
        ask.send_replace(Leaving::Now);
        assert_eq!(seen.recv().await, Some(Leaving::Now));
        drop(ask);
        tokio::task::yield_now().await;
        while let Ok(last) = seen.try_recv() {
            assert_eq!(last, Leaving::Now, "with nobody left to ask, the last word holds");
        }
    }
}
