//! `gatelens user`: makes the lines of the file that `serve --users` names.

use crate::token::role;
use gatelens_ingest::{Role, user_line};
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;

/// More is not a password.
const MAX_INPUT_BYTES: u64 = 4096;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the line of a person who signs in; the password comes from the terminal or the standard input.
    Add(Add),
}

#[derive(clap::Args)]
struct Add {
    /// Name with which the person signs in.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What the person may do: viewer, analyst or admin.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Role,
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Wrong(String),
    #[error("the two passwords differ: try again")]
    Differ,
    #[error("cannot read the password: {0}")]
    Input(io::Error),
    #[error("cannot write the line: {0}")]
    Output(io::Error),
}

pub(crate) fn run(Arguments { command: Command::Add(add) }: &Arguments) -> ExitCode {
    match line(add) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatelens: {error}");
            ExitCode::FAILURE
        }
    }
}

fn line(add: &Add) -> Result<(), Failure> {
    let password = if io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(Failure::Input)?;
        if rpassword::prompt_password("Again: ").map_err(Failure::Input)? != first {
            return Err(Failure::Differ);
        }
        first
    } else {
        let mut text = String::new();
        io::stdin().lock().take(MAX_INPUT_BYTES).read_to_string(&mut text).map_err(Failure::Input)?;
        without_line_end(&text).to_owned()
    };
    let line = user_line(&add.name, add.role, &password).map_err(Failure::Wrong)?;
    eprintln!("Add this line to the file that --users names:");
    writeln!(io::stdout().lock(), "{line}").map_err(Failure::Output)
}

fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
