//! `gatelens scrub`: reads all data, and sets damage aside without losing the rest.

use gatelens_ingest::upkeep::scrub::{Damage, Deed, Report, Scrubbed, scrub};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Reads every row and every page of the data, whether or not a service is at work, and sets damage aside. The rest stays.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory with the data.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Only print the damage; nothing is changed.
    #[arg(long)]
    dry_run: bool,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Scrubs. 0 without damage, 1 when it cannot be done, 2 when there was damage.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { data, dry_run, format } = arguments;
    crate::log::start_with_warnings();
    let deed = if dry_run { Deed::Find } else { Deed::SetAside };
    match scrub(&data, deed) {
        Ok(scrubbed) => {
            match format {
                Format::Text => print!("{}", text(&scrubbed, deed)),
                Format::Json => println!("{:#}", json!(scrubbed)),
            }
            if scrubbed.report.damaged == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) }
        }
        Err(error) => {
            eprintln!("gatelens: {error}");
            ExitCode::FAILURE
        }
    }
}

fn text(Scrubbed { report, damage }: &Scrubbed, deed: Deed) -> String {
    let Report { files, bytes, rows, damaged, lost, .. } = report;
    let mut text = format!("read: {files} files, {bytes} bytes, {rows} rows\n");
    if *damaged == 0 {
        text.push_str("no damage\n");
        return text;
    }
    match deed {
        Deed::Find => text.push_str(&format!(
            "damage: {damaged} pieces; repeat this without --dry-run to set them aside\n"
        )),
        Deed::SetAside => {
            text.push_str(&format!("set aside: {damaged} pieces of damage; probably lost: {lost} rows\n"))
        }
    }
    damage.iter().for_each(|one| text.push_str(&line(one)));
    text
}

fn line(damage: &Damage) -> String {
    let Damage { file, table, reason, from, to, lost, kept_as, .. } = damage;
    let table = table.as_ref().map(|table| format!(", {table}")).unwrap_or_default();
    let time = match (from, to) {
        (Some(from), Some(to)) => format!(", {from} to {to}"),
        (Some(from), None) => format!(", from {from}"),
        (None, Some(to)) => format!(", until {to}"),
        (None, None) => String::new(),
    };
    let kept = kept_as.as_ref().map(|name| format!("; the file is kept as {name}")).unwrap_or_default();
    format!("  {file}{table}{time}: {reason}; {lost} rows{kept}\n")
}
