//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A shadow-write proxy for PostgreSQL: a second database is filled, kept in step, compared, and given a growing share
/// of the reads, while the application notices nothing.
#[derive(Debug, Parser)]
#[command(name = "crossfade", version, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the proxy
    Run(RunArgs),
    /// See the whole thing on two throw-away databases, for a minute
    Demo,
    #[command(flatten)]
    Talk(Talk),
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration file [default: proxy.toml of this folder, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The database that is the truth: postgres://user@host:port/database
    #[arg(long, value_name = "URL")]
    pub(super) primary: Option<String>,
    /// The database that is to become it
    #[arg(long, value_name = "URL")]
    pub(super) shadow: Option<String>,
    /// Where clients connect [default: 127.0.0.1:6432]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
}

/// What is asked of a running proxy.
#[derive(Debug, Subcommand)]
pub(super) enum Talk {
    /// How things stand
    Status {
        #[command(flatten)]
        target: Target,
    },
    /// Whether both databases hold the same; exit code 1 when they diverged
    Report {
        /// One table only (schema.table)
        table: Option<String>,
        /// Show the rows that differ, values included
        #[arg(long)]
        values: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Show or set the share of reads sent to the shadow
    Ramp {
        /// 0 to 100
        #[arg(value_name = "N", allow_negative_numbers = true)]
        percent: Option<f64>,
        #[command(flatten)]
        target: Target,
    },
    /// Compare tables now, and report; exit code 1 when they diverged
    Check(Check),
    /// Fill the shadow from the primary, while the application writes
    Backfill {
        /// First bring the primary's schema to the empty shadow, by `pg_dump` and `psql` where the proxy runs
        #[arg(long)]
        create_schema: bool,
        #[command(flatten)]
        work: Work,
    },
    /// Heal confirmed differences
    Repair {
        /// Change nothing: show the SQL for the rows that differ now
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        work: Work,
    },
    /// Read the configuration again
    Reload {
        #[command(flatten)]
        target: Target,
    },
    /// Stop applying to the shadow; writes are still captured
    Pause {
        #[command(flatten)]
        target: Target,
    },
    /// Go on applying to the shadow
    Resume {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Without a running proxy: the two databases must be quiet
    #[arg(long, conflicts_with_all = ["admin", "token_file"])]
    pub(super) once: bool,
    /// The database that is the truth [default: of the configuration file]
    #[arg(long, value_name = "URL", requires = "once")]
    pub(super) primary: Option<String>,
    /// The database to be compared with it [default: of the configuration file]
    #[arg(long, value_name = "URL", requires = "once")]
    pub(super) shadow: Option<String>,
    #[command(flatten)]
    pub(super) work: Work,
}

#[derive(Debug, Args)]
pub(super) struct Work {
    /// schema.table; all tables if none is named
    #[arg(value_name = "TABLE")]
    pub(super) tables: Vec<String>,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Which proxy, and how to show its answer.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    /// The proxy's admin address [default: of the configuration file, else 127.0.0.1:9632]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// Holds the token for changes [default: of the configuration file]
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// The configuration file [default: proxy.toml of this folder, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The file named, else `proxy.toml` of the working directory, if there is one.
pub(super) fn config_file(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| Some(PathBuf::from("proxy.toml")).filter(|file| file.exists()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_is_there() {
        for line in [
            "run --config proxy.toml --primary a --shadow b --listen c",
            "demo",
            "status --json",
            "report public.orders --values",
            "ramp",
            "ramp 12.5 --admin 127.0.0.1:1",
            "check public.a public.b",
            "check --once --primary a --shadow b public.a --json",
            "backfill",
            "backfill public.a --create-schema",
            "repair --token-file t",
            "repair --dry-run public.a",
            "reload",
            "pause",
            "resume",
        ] {
            let words = std::iter::once("crossfade").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
        for line in ["cutover", "check --primary a", "check --dry-run", "check --once --admin 127.0.0.1:1"] {
            let words = std::iter::once("crossfade").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_err(), "{line}");
        }
    }
}
