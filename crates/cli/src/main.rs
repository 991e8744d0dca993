//! The `gatelens` binary.
//!
//! Exit status: 0 when all went well, 1 when something is wrong, 2 for a wrong command line.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod backup;
mod check;
mod forget;
mod input;
mod log;
mod openapi;
mod query;
mod redact;
mod routes;
mod scrub;
mod serve;
mod serve_config;
mod store;
mod token;
mod user;

/// API analytics at the gateway.
#[derive(Parser)]
#[command(name = "gatelens", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receive and store the reports of the gateways, and serve the dashboard.
    Serve(Box<serve::Arguments>),
    /// Query an ingest or its files, and print the answer.
    Query(Box<query::Arguments>),
    /// Copy the data of a service, which may be at work meanwhile, to a new directory.
    Backup(backup::BackupArguments),
    /// Put a backup back into a data directory that no service uses.
    Restore(backup::RestoreArguments),
    /// Remove the data of a gateway, an environment or a consumer.
    Forget(forget::Arguments),
    /// Read all data, and set damage aside without losing the rest.
    Scrub(scrub::Arguments),
    /// Check configurations with the filter's own code.
    Check(check::Arguments),
    /// Show a body as the filter would send it, and the rules that matched.
    Redact(redact::Arguments),
    /// Plan a store on ClickHouse for several replicas.
    Store(store::Arguments),
    /// Make tokens for senders and for programs that read.
    Token(token::Arguments),
    /// Make the lines of the file of people who sign in.
    User(user::Arguments),
    /// Make route templates from OpenAPI and Swagger documents.
    Routes(routes::Arguments),
    /// Make an OpenAPI document of what was seen, or compare one with it.
    Openapi(openapi::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Store(arguments) => store::run(arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::User(arguments) => user::run(&arguments),
        Command::Query(arguments) => query::run(&arguments),
        Command::Backup(arguments) => backup::back_up(&arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Forget(arguments) => forget::run(arguments),
        Command::Scrub(arguments) => scrub::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Redact(arguments) => redact::run(&arguments),
        Command::Routes(arguments) => routes::run(&arguments),
        Command::Openapi(arguments) => openapi::run(&arguments),
    }
}
