//! The commands. `run` builds settings and hands them to `proxy.rs`; the others talk to a running proxy through its
//! admin address and know nothing of it but the contract's HTTP.
//!
//! What is asked for goes to stdout, everything else to stderr.

mod args;
mod client;
mod columns;
mod exit;
mod once;
mod open_files;
mod render;
mod run;
mod script;
mod talk;
mod work;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

use crate::demo;
use args::{Arguments, Command};
use exit::{Exit, Failure};

/// Does what the command line says.
pub fn main() -> ExitCode {
    let Arguments { command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    match carry_out(command) {
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            let _ = writeln!(std::io::stderr(), "crossfade: {message}");
            exit.into()
        }
    }
}

fn carry_out(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Demo => on_a_runtime(&mut Builder::new_multi_thread(), demonstrate()),
        Command::Talk(talk) => on_a_runtime(&mut Builder::new_current_thread(), talk::talk(talk)),
    }
}

/// Interrupted is as good an end as any.
async fn demonstrate() -> Result<Exit, Failure> {
    match demo::run(&demo::Script::default()).await {
        Ok(demo::Outcome::AsPromised | demo::Outcome::Interrupted) => Ok(Exit::Done),
        Ok(demo::Outcome::Broken) => Ok(Exit::Bad),
        Err(error) => Err(Failure::new(Exit::Bad, format!("{error:#}"))),
    }
}

fn on_a_runtime(builder: &mut Builder, work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Bad, format!("cannot start: {error}")))?.block_on(work)
}
