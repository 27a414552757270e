//! What the demo shows while it runs: one line that moves on a terminal, plain lines elsewhere. All on stderr; the
//! summary alone goes to stdout.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two plain lines about the same step.
const PLAIN: Duration = Duration::from_secs(3);

pub(super) enum Screen {
    Terminal(ProgressBar),
    Plain { shown: Instant },
}

impl Screen {
    pub(super) fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self::Plain { shown: Instant::now() };
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Terminal(bar)
    }

    /// Something was done, or begins: stays on the screen.
    pub(super) fn say(&mut self, line: &str) {
        match self {
            Self::Terminal(bar) => bar.println(line),
            Self::Plain { shown } => {
                *shown = Instant::now();
                eprintln!("{line}");
            }
        }
    }

    /// How things stand right now: overwritten by the next.
    pub(super) fn now(&mut self, line: &str) {
        match self {
            Self::Terminal(bar) => bar.set_message(line.to_owned()),
            Self::Plain { shown } if shown.elapsed() >= PLAIN => {
                *shown = Instant::now();
                eprintln!("    {line}");
            }
            Self::Plain { .. } => {}
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}
