//! `gatelens forget`: removes what a sender, an environment or a consumer has left.

use gatelens_ingest::upkeep::forget::{Deed, Forgotten, Selection, forget};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Removes what has all of the given values, whether or not a service is at work. Stop a gateway first that still reports.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory with the data.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Gateway, by its `service.instance.id`: its log, its reports and its counts.
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Environment: its counts, log, gateways, consumers and learned routes.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Consumer, by ID: its counts, its requests in the log, its name and group.
    #[arg(long, value_name = "ID")]
    consumer: Option<String>,
    /// Only print what would go.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Remove it. It cannot be brought back, except from a backup.
    #[arg(long)]
    yes: bool,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Removes, or prints what would go. 0 when that is done, 1 when it cannot be, 2 without --yes and --dry-run.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { data, instance, environment, consumer, dry_run, yes, format } = arguments;
    crate::log::start_with_warnings();
    let selection = Selection { instance, environment, consumer };
    let deed = if yes { Deed::Remove } else { Deed::Count };
    match forget(&data, &selection, deed) {
        Ok(forgotten) => {
            match format {
                Format::Text => print!("{}", text(&forgotten, deed)),
                Format::Json => println!("{:#}", json!(forgotten)),
            }
            if yes || dry_run {
                return ExitCode::SUCCESS;
            }
            eprintln!("gatelens: nothing was removed: add --yes to remove it");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("gatelens: {error}");
            ExitCode::FAILURE
        }
    }
}

fn text(forgotten: &Forgotten, deed: Deed) -> String {
    let Forgotten {
        series,
        requests_counted,
        requests_logged,
        gateways,
        consumers,
        patterns,
        issues,
        shapes,
        spans,
        shared_series,
        gateways_at_work,
    } = forgotten;
    let verb = if deed == Deed::Remove { "removed" } else { "would remove" };
    let mut text = format!(
        "{verb}: {requests_counted} requests counted in {series} series, {requests_logged} requests of the log, {gateways} \
         gateways, {consumers} consumers, {patterns} scopes of learned routes, {issues} issues, \
         {shapes} shapes of bodies, {spans} spans of applications\n"
    );
    if *shared_series > 0 {
        text.push_str(&format!(
            "{shared_series} series stay: other gateways may have counted in them, too; only its own counts go\n"
        ));
    }
    if *gateways_at_work > 0 {
        text.push_str(&format!(
            "{gateways_at_work} gateways stay: they have reported in the last five minutes; stop them, and repeat this then\n"
        ));
    }
    text
}
