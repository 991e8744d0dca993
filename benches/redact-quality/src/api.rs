//! The APIs that are measured, and the labels of their fields.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::field::{Field, Kind, Types};
use crate::{openapi, typescript};

/// An API, by the package that describes it.
pub(crate) struct Api {
    pub(crate) name: &'static str,
    /// The directory of the package, and those of the types within it.
    package: &'static str,
    parts: &'static [&'static str],
    pub(crate) labels: &'static str,
    /// Whether it was held out until the rules stood. ADR 16 has the figures of that time.
    pub(crate) held_out: bool,
}

macro_rules! labels {
    ($name:literal) => {
        include_str!(concat!("../labels/", $name, ".txt"))
    };
}

/// Names that are secret in every API.
const COMMON: &str = labels!("common");

pub(crate) const APIS: &[Api] = &[
    Api {
        name: "stripe",
        package: "stripe",
        parts: &["cjs/resources"],
        labels: labels!("stripe"),
        held_out: false,
    },
    Api {
        name: "plaid",
        package: "plaid",
        parts: &["dist/api.d.ts"],
        labels: labels!("plaid"),
        held_out: false,
    },
    Api {
        name: "github",
        package: "octokit-openapi",
        parts: &["generated/api.github.com.json"],
        labels: labels!("github"),
        held_out: false,
    },
    Api {
        name: "okta",
        package: "okta-okta-sdk-nodejs",
        parts: &["src/types/generated/models"],
        labels: labels!("okta"),
        held_out: false,
    },
    Api {
        name: "adyen",
        package: "adyen-api-library",
        parts: &["lib/src/typings"],
        labels: labels!("adyen"),
        held_out: false,
    },
    Api { name: "square", package: "square", parts: &["api"], labels: labels!("square"), held_out: false },
    Api {
        name: "paypal",
        package: "paypal-paypal-server-sdk",
        parts: &["dist/cjs/types/models"],
        labels: labels!("paypal"),
        held_out: true,
    },
    Api {
        name: "twilio",
        package: "twilio",
        parts: &["lib/rest"],
        labels: labels!("twilio"),
        held_out: true,
    },
    Api {
        name: "kubernetes",
        package: "kubernetes-client-node",
        parts: &["dist/gen/models"],
        labels: labels!("kubernetes"),
        held_out: true,
    },
];

impl Api {
    /// All fields of the API.
    pub(crate) fn fields(&self, directory: &Path) -> io::Result<BTreeSet<Field>> {
        let mut types = Types::default();
        for part in self.parts {
            for file in files(&directory.join(self.package).join("package").join(part))? {
                let name = file.to_string_lossy();
                if name.ends_with(".d.ts") {
                    typescript::read(&fs::read_to_string(&file)?, &mut types);
                } else if name.ends_with(".json") {
                    openapi::read(
                        &serde_json::from_reader(io::BufReader::new(fs::File::open(&file)?))?,
                        &mut types,
                    );
                }
            }
        }
        Ok(types.fields())
    }
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(path)? {
        all.extend(files(&entry?.path())?);
    }
    Ok(all)
}

/// The names that are secret; all others are not.
pub(crate) struct Labels {
    names: BTreeSet<String>,
}

impl Labels {
    /// The names that are secret in every API, and those of one. Each line is a name, a name with the name around it, `card.number`, or a name of an object that is secret as a
    /// whole, `dob{}`. Names are in words between underscores. A `!` takes a name of all APIs back, and a `#` begins a
    /// comment.
    pub(crate) fn read(text: &str) -> Self {
        let lines =
            COMMON.lines().chain(text.lines()).map(|line| line.split('#').next().unwrap_or("").trim());
        let mut names = BTreeSet::new();
        for line in lines.filter(|line| !line.is_empty()) {
            match line.strip_prefix('!') {
                Some(name) => names.remove(name),
                None => names.insert(line.to_owned()),
            };
        }
        Self { names }
    }

    pub(crate) fn is_secret(&self, field: &Field) -> bool {
        let suffix = match field.kind {
            Kind::Boolean | Kind::Enumeration => return false,
            Kind::Text | Kind::Number => "",
            Kind::Object => "{}",
        };
        let (name, around) = (snake(&field.name), snake(&field.around));
        self.names.contains(&format!("{name}{suffix}"))
            || self.names.contains(&format!("{around}.{name}{suffix}"))
    }
}

/// A name in lower-case words between underscores.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut last = '_';
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let ends_capitals = last.is_uppercase() && chars.peek().is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && last != '_' && (!last.is_uppercase() || ends_capitals) {
            out.push('_');
        }
        let c = if c.is_alphanumeric() { c } else { '_' };
        out.extend(c.to_lowercase());
        last = c;
    }
    out
}
