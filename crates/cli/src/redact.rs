//! `gatelens redact`: takes a body through the filter's own capture and redaction, before a gateway does.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gatelens_core::capture::{Preview, preview};
use gatelens_core::config::{CaptureConfig, RedactConfig};
use gatelens_core::pairs::Pairs;
use gatelens_core::redact::Message;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The plugin's configuration, JSON; its sections `redact` and `capture` count.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Whose body it is.
    #[arg(long, value_enum, default_value_t = Direction::Request)]
    direction: Direction,
    /// `content-type` of the message.
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// `content-encoding` of the message.
    #[arg(long, value_name = "CODING", default_value = "identity")]
    content_encoding: String,
    /// How to say what would be sent.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The body, as it would pass the gateway; `-` is the standard input.
    #[arg(value_name = "BODY")]
    body: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Direction {
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
    let read = |file: &Path| {
        read(file).map_err(|error| {
            eprintln!("gatelens: {}: {error}", file.display());
            ExitCode::from(2)
        })
    };
    let (config, body) = match (read(&arguments.config), read(&arguments.body)) {
        (Ok(config), Ok(body)) => (config, body),
        (Err(code), _) | (_, Err(code)) => return code,
    };
    match see(arguments, &config, &body) {
        Ok(seen) => {
            let shown = match arguments.format {
                Format::Text => Shown(&seen).to_string(),
                Format::Json => format!("{:#}\n", json(&seen)),
            };
            // A reader that has seen enough is no failure.
            let _ = io::stdout().write_all(shown.as_bytes());
            if seen.captured.content.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            eprintln!("gatelens: {}: {message}", arguments.config.display());
            ExitCode::FAILURE
        }
    }
}

/// The sections that this is about. What else is in the file is not its business; `gatelens check` reads all of it.
#[derive(Deserialize)]
struct Sections {
    #[serde(default)]
    redact: RedactConfig,
    #[serde(default)]
    capture: CaptureConfig,
}

fn see(arguments: &Arguments, config: &[u8], body: &[u8]) -> Result<Preview, String> {
    let sections: Sections = serde_json::from_slice(config).map_err(|error| error.to_string())?;
    let (message, start) = match arguments.direction {
        Direction::Request => (Message::Request, (":method", "POST")),
        Direction::Response => (Message::Response, (":status", "200")),
    };
    let headers = Pairs::encode(&[
        start,
        ("content-type", arguments.content_type.as_str()),
        ("content-encoding", arguments.content_encoding.as_str()),
    ]);
    preview(&sections.redact, &sections.capture, message, &headers, body).map_err(|defect| {
        let section = if defect.list == "max_body_bytes" || defect.list.ends_with("_headers") {
            "capture"
        } else {
            "redact"
        };
        format!("{section}.{defect}")
    })
}

fn json(seen: &Preview) -> Value {
    let hits: Map<String, Value> =
        seen.hits.iter().map(|(rule, count)| (rule.clone(), (*count).into())).collect();
    let captured = &seen.captured;
    json!({
        "size": captured.size,
        "body": captured.content.as_ref().ok(),
        "left_out": captured.content.as_ref().err().map(|reason| reason.name()),
        "hits": hits,
        "never": seen.never,
    })
}

struct Shown<'a>(&'a Preview);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Preview { captured, hits, never } = self.0;
        match &captured.content {
            Ok(body) => writeln!(f, "{}", body.trim_end_matches('\n'))?,
            Err(reason) => writeln!(f, "left out: {} ({} bytes)", reason.name(), captured.size)?,
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

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}
