//! `gatelens token`: makes bearer tokens.

use gatelens_ingest::{NewToken, Role, TokenOwner};
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a token: the token goes to stdout once, the line for the file to stderr.
    New(New),
}

#[derive(clap::Args)]
struct New {
    /// Name of the sender, person or program, for the log.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// For a sender: the environment that it may report for; * is any.
    #[arg(long, value_name = "NAME", required_unless_present = "role", conflicts_with = "role")]
    environment: Option<String>,
    /// For a person or program that reads: what it may do.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Option<Role>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Wrong(String),
    #[error("cannot write the token: {0}")]
    Output(#[from] io::Error),
}

pub(crate) fn run(Arguments { command: Command::New(new) }: &Arguments) -> ExitCode {
    match make(new) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatelens: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(new: &New) -> Result<(), Failure> {
    let (owner, file) = match (&new.environment, new.role) {
        (Some(environment), _) => (TokenOwner::Sender { environment }, "--sender-tokens"),
        (None, Some(role)) => (TokenOwner::Person { role }, "--users"),
        (None, None) => return Err(Failure::Wrong("--environment or --role is missing".to_owned())),
    };
    let made = NewToken::new(&new.name, owner).map_err(Failure::Wrong)?;
    // Apart, so that a script can keep the token without its line.
    writeln!(io::stdout().lock(), "{}", made.token)?;
    eprintln!("The token is above; nothing keeps it. Add this line to the file that {file} names:");
    eprintln!("{}", made.line);
    Ok(())
}

pub(crate) fn role(name: &str) -> Result<Role, String> {
    let known = Role::ALL.map(Role::name).join(", ");
    Role::named(name).ok_or_else(|| format!("expected one of {known}"))
}
