//! The log of the binary, on the standard error.

use gatelens_ingest::config::LogFormat;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Levels that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{levels}` are not log levels: write error, warn, info, debug or trace, or levels of modules such as info,gatelens_ingest::store=debug"
)]
pub(crate) struct LevelsError {
    levels: String,
}

/// Reads levels.
///
/// # Errors
/// For anything but a level, or modules with their levels.
pub(crate) fn levels(text: &str) -> Result<Targets, LevelsError> {
    let wrong = || LevelsError { levels: text.to_owned() };
    // A lone word that is not a level would be taken for a module of which everything is logged.
    let is_level = |part: &str| match part.split_once('=') {
        Some((module, level)) => !module.is_empty() && level.parse::<tracing::Level>().is_ok(),
        None => part == "off" || part.parse::<tracing::Level>().is_ok(),
    };
    if !text.split(',').all(is_level) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

/// Writes the log from here on.
pub(crate) fn start(format: LogFormat, levels: Targets) {
    let to_stderr = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => to_stderr.with_target(false).boxed(),
        LogFormat::Json => to_stderr.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(levels)).init();
}

/// Writes the log of a command that only reads: warnings, as text.
pub(crate) fn start_with_warnings() {
    start(LogFormat::Text, Targets::new().with_default(tracing::Level::WARN));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_or_modules_with_words() {
        for right in ["info", "WARN", "off", "info,gatelens_ingest::store=debug", "hyper=error"] {
            assert!(levels(right).is_ok(), "{right}");
        }
        for wrong in ["", "loud", "info,", "=debug", "gatelens_ingest=loud", "gatelens_ingest"] {
            assert!(levels(wrong).is_err(), "{wrong}");
        }
    }
}
