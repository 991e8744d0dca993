//! `gatelens redact`: shows a body as the filter's own capture and redaction would send it.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use gatelens_ingest::{PreviewRequest, PreviewResponse, preview};
use gatelens_model::Message;

use crate::{check, input};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The plugin's configuration, or any file that carries it and that `gatelens check` reads. Only its sections `redact`
    /// and `capture` matter here.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The message that the body belongs to.
    #[arg(long, alias = "direction", value_enum, default_value_t = MessageKind::Request)]
    message: MessageKind,
    /// `content-type` of the message.
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// `content-encoding` of the message.
    #[arg(long, value_name = "CODING", default_value = "identity")]
    content_encoding: String,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The body, as it would pass the gateway; `-` is the standard input.
    #[arg(value_name = "BODY")]
    body: PathBuf,
}

/// The half of a request that a body belongs to.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum MessageKind {
    /// From the client.
    Request,
    /// To the client.
    Response,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The body, then the rules.
    Text,
    /// One document.
    Json,
}

/// Shows what would be sent. 0 when the body would be sent, 1 when it would be left out or the configuration refused, 2
/// when a file cannot be read.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (config, body) = match (input::text(&arguments.config), input::bytes(&arguments.body)) {
        (Ok(config), Ok(body)) => (config, body),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("gatelens: {error}");
            return ExitCode::from(2);
        }
    };
    match see(arguments, &config, &body) {
        Ok(seen) => {
            let shown = match arguments.format {
                Format::Text => Shown(&seen).to_string(),
                Format::Json => serde_json::to_string_pretty(&seen).unwrap_or_default() + "\n",
            };
            // Ignore a closed pipe.
            let _ = io::stdout().write_all(shown.as_bytes());
            if seen.body.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(lines) => {
            for line in lines {
                eprintln!("gatelens: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The preview, or why there is none.
fn see(arguments: &Arguments, config: &str, body: &[u8]) -> Result<PreviewResponse, Vec<String>> {
    let config = check::configuration(&input::name(&arguments.config), config)?;
    let message = match arguments.message {
        MessageKind::Request => Message::Request,
        MessageKind::Response => Message::Response,
    };
    let asked = PreviewRequest {
        config: &config,
        message,
        content_type: &arguments.content_type,
        content_encoding: &arguments.content_encoding,
        body,
    };
    // A configuration that `check` accepts is refused for nothing.
    preview(&asked).map_err(|error| vec![error.to_string()])
}

struct Shown<'a>(&'a PreviewResponse);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PreviewResponse { size, body, left_out, hits, never } = self.0;
        if let Some(body) = body {
            writeln!(f, "{}", body.trim_end_matches('\n'))?;
        }
        if let Some(reason) = left_out {
            writeln!(f, "left out: {reason} ({size} bytes)")?;
        }
        let mut title = "\nrules hit:\n";
        for (rule, count) in hits {
            writeln!(f, "{title}{count:>7}  {rule}")?;
            title = "";
        }
        let mut title = "\nrules not hit:\n";
        for rule in never {
            writeln!(f, "{title}         {rule}")?;
            title = "";
        }
        Ok(())
    }
}
