//! The file of `gatelens serve --config`: YAML, of which JSON is a subset.

use std::path::{Path, PathBuf};

use gatelens_ingest::alerts::AlertsConfig;
use gatelens_ingest::config::{Options, OptionsError};
use gatelens_ingest::{ProbeConfig, RemoteWriteConfig};

use gatelens_documents::problem::Problem;
use gatelens_documents::yaml::{self, Content, Node, Place};

/// Keys at the top of the files of gateways, Kubernetes and the plugin.
const KEYS_OF_OTHERS: [&str; 8] = [
    "@type",
    "apiVersion",
    "dynamic_resources",
    "ingest",
    "kind",
    "resources",
    "static_resources",
    "version",
];

/// Reads the options out of the text of a file.
///
/// # Errors
/// The first defect, with its place in the file.
pub(crate) fn read(text: &str) -> Result<Options, Problem> {
    let documents =
        yaml::documents(text).map_err(|error| Problem::error(error.place(), error.to_string()))?;
    match documents.as_slice() {
        [] => Ok(Options::default()),
        [document] => from_document(document),
        [_, second, ..] => {
            Err(Problem::error(second.place, "a second document; write all keys into one document"))
        }
    }
}

/// The document of such a file: a single mapping that has one of the keys, and none of another kind of file.
pub(crate) fn find(text: &str) -> Option<Node> {
    let [document] = <[Node; 1]>::try_from(yaml::documents(text).ok()?).ok()?;
    let has = |key: &&str| document.get(key).is_some();
    (Options::KEYS.iter().any(has) && !KEYS_OF_OTHERS.iter().any(has)).then_some(document)
}

/// The options of a document.
///
/// # Errors
/// As [`read`].
fn from_document(document: &Node) -> Result<Options, Problem> {
    if document.text().is_some_and(|text| matches!(text, "" | "~" | "null")) {
        return Ok(Options::default());
    }
    if !matches!(document.content, Content::Mapping(_)) {
        return Err(Problem::error(
            document.place,
            "expected keys with values, such as `data: /var/lib/gatelens`",
        ));
    }
    let json = document.json();
    Options::parse(&json.text).map_err(|error| {
        let place = json.place(error.column).unwrap_or(document.place);
        Problem::error(place, error.message).about(error.path)
    })
}

/// What a check finds in a file: an error, or warnings about options that perhaps are not meant.
pub(crate) fn problems(document: &Node) -> Vec<Problem> {
    let options = match from_document(document) {
        Ok(options) => options,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    if let Err(error) = crate::log::levels(options.log_level()) {
        problems.push(Problem::error(document.key_place("log_level"), error.to_string()).about("log_level"));
    }
    if let Err(error @ (OptionsError::MaxDisk { .. } | OptionsError::MaxDiskOfServer)) =
        options.clone().settle()
    {
        problems.push(Problem::error(document.key_place("max_disk"), error.to_string()).about("max_disk"));
    }
    if let Some(Err(error)) = options.alerts.as_ref().map(AlertsConfig::check) {
        let path = format!("alerts.{}", error.path);
        problems.push(Problem::error(place_of(document, &path), error.message).about(path));
    }
    if let Some(Err(error)) = options.probes.as_deref().map(ProbeConfig::check) {
        let path = format!("probes{}", error.path);
        problems.push(Problem::error(place_of(document, &path), error.message).about(path));
    }
    if let Some(Err(error)) = options.remote_write.as_ref().map(RemoteWriteConfig::check) {
        let path = format!("remote_write.{}", error.path);
        problems.push(Problem::error(place_of(document, &path), error.message).about(path));
    }
    if let Err(OptionsError::Oidc { path, message }) =
        with_data(Options { probes: None, remote_write: None, ..options.clone() }).settle()
    {
        let path = format!("oidc.{path}");
        problems.push(Problem::error(place_of(document, &path), message).about(path));
    }
    let readable = options.secret_files().into_iter().filter(|(_, file)| is_readable_by_others(file));
    problems.extend(readable.map(|(key, file)| {
        let place = place_of(document, key);
        let message = format!("others can read {0}: chmod 600 {0}", file.display());
        Problem::warning(place, message).about(key)
    }));
    problems
}

/// The options with a directory for the data, which may be given by a flag.
fn with_data(options: Options) -> Options {
    options.over(Options { data: Some(PathBuf::from("data")), ..Options::default() })
}

/// The place of a path such as `alerts.rules[2].above`, or of the nearest key above it that is in the file.
fn place_of(document: &Node, path: &str) -> Place {
    let mut node = document;
    let mut place = document.place;
    for part in path.split(['.', '[']) {
        let next = match (part.strip_suffix(']'), &node.content) {
            (Some(index), Content::Sequence(items)) => {
                index.parse::<usize>().ok().and_then(|index| items.get(index))
            }
            (None, Content::Mapping(_)) => {
                if node.get(part).is_some() {
                    place = node.key_place(part);
                }
                node.get(part)
            }
            _ => None,
        };
        let Some(next) = next else { break };
        if part.ends_with(']') {
            place = next.place;
        }
        node = next;
    }
    place
}

/// Whether anyone but the owner and its group may read a file. One that is not there is not readable.
fn is_readable_by_others(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
