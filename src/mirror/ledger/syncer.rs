//! Makes segments durable beside the writer: a disk that takes its time over it holds up nothing that is written
//! meanwhile, and so nobody's writes become marks for it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Instant;

/// Segments on their way to the disk, in the order in which they were given.
#[derive(Debug)]
pub(super) struct Syncer {
    orders: Sender<Order>,
    done: Receiver<io::Result<Instant>>,
    ordered: usize,
}

#[derive(Debug)]
struct Order {
    file: Arc<File>,
    placed_before: Instant,
}

impl Syncer {
    /// Starts its thread, which ends with it.
    pub(super) fn start() -> io::Result<Self> {
        let (orders, taken) = channel::<Order>();
        let (report, done) = channel();
        let work = move || {
            for Order { file, placed_before } in taken {
                if report.send(file.sync_data().map(|()| placed_before)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("journal-sync".to_owned()).spawn(work)?;
        Ok(Self { orders, done, ordered: 0 })
    }

    /// `file` is to be synced; all that was placed before this moment is in it, or in what was ordered before.
    pub(super) fn order(&mut self, file: Arc<File>, placed_before: Instant) {
        // It takes orders as long as it can be told what became of them.
        if self.orders.send(Order { file, placed_before }).is_ok() {
            self.ordered += 1;
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.ordered == 0
    }

    /// What became of an order since the last question, if anything.
    pub(super) fn done(&mut self) -> Option<io::Result<Instant>> {
        match self.done.try_recv() {
            Ok(result) => {
                self.ordered -= 1;
                Some(result)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Waits for all orders.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        while self.ordered > 0 {
            let Ok(result) = self.done.recv() else {
                return Err(io::Error::other("the journal's sync thread is gone"));
            };
            self.ordered -= 1;
            result?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    #[test]
    fn orders_are_answered_in_order_and_waited_for() {
        let mut syncer = Syncer::start().unwrap();
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        for placed_before in [now, later] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"entry").unwrap();
            syncer.order(Arc::new(file), placed_before);
        }
        assert!(!syncer.is_idle());
        let mut done = Vec::new();
        while !syncer.is_idle() {
            done.extend(syncer.done().map(Result::unwrap));
        }
        assert_eq!(done, [now, later]);
        syncer.order(Arc::new(tempfile::tempfile().unwrap()), later);
        syncer.wait().unwrap();
        assert!(syncer.is_idle() && syncer.done().is_none());
    }
}
