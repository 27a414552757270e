//! What is logged of a panic: where it was raised, and nothing of its message, which may hold what a client sent.

use std::panic;

use metrics::counter;
use tracing::error;

use super::recorder::SESSION_PANICS;

/// For the whole process, from now on.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(place, "a bug in crossfade: a task panicked");
    }));
}

/// One more session ended by a panic.
pub fn count_session_panic() {
    counter!(SESSION_PANICS).increment(1);
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_logged_by_its_place_and_without_its_message() {
        let (lines, before) = (Lines::default(), panic::take_hook());
        log_panics();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let caught = tracing::subscriber::with_default(subscriber, || {
            panic::catch_unwind(|| panic!("the row was {}", "s3cret"))
        });
        panic::set_hook(before);
        assert!(caught.is_err());
        let logged = String::from_utf8(lines.0.lock().clone()).unwrap();
        assert!(logged.contains(file!()) && !logged.contains("s3cret"), "{logged}");
    }
}
