//! `crossfade check --once`: two databases, and no proxy.

use tokio::time::interval;

use super::args::{Check, Work, config_file};
use super::exit::{Exit, Failure};
use super::render;
use super::talk::{exit_of, say};
use super::work::{Display, LOOK, json_line};
use crate::check::CheckError;
use crate::config::Sources;
use crate::proxy::{OnceError, check_once};
use crate::report::job::{JobKind, Progress};

/// Compares, and shows how far it is.
pub(super) async fn check(args: Check) -> Result<Exit, Failure> {
    let Check { primary, shadow, work: Work { tables, target }, .. } = args;
    let sources = Sources::new(config_file(target.config)).with_flag("--primary", "primary.url", primary).with_flag(
        "--shadow",
        "shadow.url",
        shadow,
    );
    let loaded = sources
        .load()
        .map_err(|problems| Failure::new(Exit::Usage, format!("the configuration is refused\n{problems}")))?;
    let progress = Progress::begin(1, JobKind::Check);
    let mut display = Display::new("comparing; ctrl-c ends it");
    let mut looks = interval(LOOK);
    let mut checking =
        std::pin::pin!(check_once(loaded.settings, (!tables.is_empty()).then_some(tables), progress.clone()));
    let checked = loop {
        tokio::select! {
            checked = &mut checking => break checked,
            _ = looks.tick() => display.update(&progress.job()),
            _ = tokio::signal::ctrl_c() => return Err(Failure::new(Exit::Bad, "interrupted")),
        }
    };
    display.finish();
    let report = checked.map_err(|error| failure(&error))?;
    say(&if target.json { json_line(&report) } else { render::comparison(&report) });
    Ok(exit_of(&report))
}

fn failure(error: &OnceError) -> Failure {
    let exit = match error {
        OnceError::Connect(_) | OnceError::Load(_) => Exit::Unreachable,
        OnceError::Check(CheckError::UnknownTable(_)) => Exit::Usage,
        OnceError::Folder { .. } | OnceError::Open(_) | OnceError::Check(_) => Exit::Bad,
    };
    Failure::new(exit, error.to_string())
}
