//! What all open transactions hold together. No one of them may hold more than it leaves for all the others, so that
//! few large ones do not turn the writes of many small ones into marks (rule 23).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// For the changes of all open transactions, in bytes.
const ROOM: usize = 16 << 20;

/// Shared by all sessions.
#[derive(Debug)]
pub struct Room {
    left: AtomicUsize,
}

impl Default for Room {
    fn default() -> Self {
        Self { left: AtomicUsize::new(ROOM) }
    }
}

/// What one transaction has of it; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Holding {
    room: Arc<Room>,
    bytes: usize,
}

impl Holding {
    pub(super) fn nothing_of(room: Arc<Room>) -> Self {
        Self { room, bytes: 0 }
    }

    /// Where it has it from.
    pub(super) fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// Takes or gives back what makes it hold so many; whether there is room for them.
    pub(super) fn resize(&mut self, bytes: usize) -> bool {
        let left = &self.room.left;
        let held = self.bytes;
        let rest = |left: usize| {
            let all = left + held;
            (bytes <= held || bytes <= all / 2).then(|| all - bytes)
        };
        let fits = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_ok();
        if fits {
            self.bytes = bytes;
        }
        fits
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_23_large_transactions_leave_room_for_small_ones_and_give_all_of_it_back() {
        let room = Arc::new(Room::default());
        let mut large: Vec<_> = (0..20).map(|_| Holding::nothing_of(room.clone())).collect();
        for holding in &mut large {
            while holding.resize(holding.bytes + 1000) {}
        }
        assert!(large[0].bytes > ROOM / 2 - 1001 && large[0].bytes <= ROOM / 2);
        let left = room.left.load(Ordering::Relaxed);
        assert_eq!(large.iter().map(|holding| holding.bytes).sum::<usize>() + left, ROOM);
        assert!(left > 900, "{left}");
        let mut small = Holding::nothing_of(room.clone());
        assert!(small.resize(400) && small.resize(0) && small.resize(400));
        drop((large, small));
        assert_eq!(room.left.load(Ordering::Relaxed), ROOM);
    }
}
