//! Where in a file the configurations are.

use gatelens_core::host::PluginIdentity;
use gatelens_core::plan::Plan;
use gatelens_model::Message;
use serde_json::Value;

use super::yaml::{self, Node, Place};
use super::{Problem, advice};

/// A configuration of the plugin, as it lies in a file.
pub(super) struct Found<'a> {
    file: &'a str,
    /// The text that the filter will read.
    text: String,
    /// Where that text is from.
    origin: Origin,
    /// What there is to say about its surroundings.
    around: Vec<Problem>,
    /// What there is to say of them where bodies are captured.
    around_bodies: Option<Problem>,
    /// Of an Envoy plugin: as what it is loaded, and its virtual machine.
    loaded: Option<(Holder, Node)>,
    /// The Envoy configuration's own clusters, if they are all that it has.
    clusters: Option<Vec<String>>,
}

/// What holds a configuration; each gateway has its own words for the same things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Envoy's HTTP filter.
    EnvoyFilter,
    /// Envoy's access logger.
    EnvoyLogger,
    /// Istio's WasmPlugin.
    WasmPlugin,
    /// Envoy Gateway's EnvoyExtensionPolicy.
    ExtensionPolicy,
}

enum Origin {
    /// The whole file.
    File,
    /// A text in the file.
    Text(Node),
    /// A mapping that the gateway writes as JSON.
    Mapping(Node),
    /// There is none.
    Absent(Place),
}

/// Finds all configurations of a file.
///
/// # Errors
/// The first place at which the file is no YAML.
pub(super) fn configurations(file: &str) -> Result<Vec<Found<'_>>, Problem> {
    if is_plugin_json(file) {
        return Ok(vec![Found::new(file, file.to_owned(), Origin::File)]);
    }
    let documents =
        yaml::documents(file).map_err(|error| Problem::error(error.place(), error.to_string()))?;
    let mut all = Vec::new();
    for document in &documents {
        in_document(file, document, &mut all);
    }
    // A gateway may have plugins of others, too. Where none says that it is gatelens, each is taken for it.
    let ours = all.iter().any(|(named, _)| *named);
    let mut found: Vec<Found<'_>> =
        all.into_iter().filter(|(named, _)| *named || !ours).map(|(_, found)| found).collect();
    let twice: Vec<Problem> = found.iter().filter_map(|logger| logger.counts_twice(&found)).collect();
    if let Some(first) = found.first_mut() {
        first.around.extend(twice);
    }
    Ok(found)
}

impl<'a> Found<'a> {
    fn new(file: &'a str, text: String, origin: Origin) -> Self {
        Self { file, text, origin, around: Vec::new(), around_bodies: None, loaded: None, clusters: None }
    }

    /// All that is wrong with it: what the filter would refuse, else what may not be meant.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.around.to_vec();
        match Plan::read(&self.text, &PluginIdentity::default()) {
            Err(error) => {
                let inner = Place { line: error.line, column: error.column };
                let place = match &self.origin {
                    Origin::Mapping(node) => node.find(&error.path),
                    _ => self.place_in_text(inner),
                };
                problems.push(Problem::error(place, error.message).about(error.path));
            }
            Ok(plan) => {
                if [Message::Request, Message::Response]
                    .iter()
                    .any(|message| plan.capture.takes_bodies(*message))
                {
                    problems.extend(self.around_bodies.clone());
                }
                let read: Value = serde_json::from_str(&self.text).unwrap_or_default();
                let advice = advice::on_configuration(&read, self.clusters.as_deref());
                problems.extend(
                    advice
                        .into_iter()
                        .map(|(path, message)| Problem::warning(self.place_of(&path), message).about(path)),
                );
            }
        }
        problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
        problems
    }

    /// About an access logger that counts what a filter of the same configuration has counted: it leaves that out where
    /// both run in one virtual machine, which takes the same `vm_config`.
    fn counts_twice(&self, all: &[Self]) -> Option<Problem> {
        let vm = |found: &Self, wanted: Holder| match &found.loaded {
            Some((holder, vm)) if *holder == wanted => Some(vm.clone()),
            _ => None,
        };
        let own = vm(self, Holder::EnvoyLogger)?;
        let filters = all.iter().filter(|other| other.text == self.text);
        let differs = |filter: &Node| filter.json() != own.json();
        filters.filter_map(|other| vm(other, Holder::EnvoyFilter)).any(|filter| differs(&filter)).then(|| {
            let message = "filter and access logger have the same configuration and a different `vm_config`: they run in \
                           virtual machines of their own, and each request counts twice where it passes both";
            Problem::warning(own.place, message)
        })
    }

    fn place_in_text(&self, inner: Place) -> Place {
        match &self.origin {
            Origin::File => Place { line: inner.line.max(1), column: inner.column.max(1) },
            Origin::Text(node) => node.place_in_text(self.file, inner),
            Origin::Mapping(node) => node.place,
            Origin::Absent(place) => *place,
        }
    }

    /// Where a path of the configuration leads.
    fn place_of(&self, path: &str) -> Place {
        match &self.origin {
            Origin::Mapping(node) => node.find(path),
            // The text was read as JSON before, and JSON is YAML.
            _ => match yaml::documents(&self.text).ok().and_then(|documents| documents.into_iter().next()) {
                Some(root) => self.place_in_text(root.find(path)),
                None => self.place_in_text(Place { line: 1, column: 1 }),
            },
        }
    }
}

/// Whether the whole file is what the filter reads: an object that mentions nothing of a gateway.
fn is_plugin_json(file: &str) -> bool {
    let marks = ["\"vm_config\"", "\"vmConfig\"", "\"apiVersion\"", "\"static_resources\"", "\"@type\""];
    file.trim_start().starts_with('{') && !marks.iter().any(|mark| file.contains(mark))
}

/// Each with whether it says that it is gatelens.
type All<'a> = Vec<(bool, Found<'a>)>;

fn in_document<'a>(file: &'a str, document: &Node, all: &mut All<'a>) {
    let kind = document.get("kind").and_then(Node::text);
    match kind {
        Some("WasmPlugin") => {
            let Some(spec) = document.get("spec") else { return };
            let named =
                names_us(&[document.at(&["metadata", "name"]), spec.get("url"), spec.get("pluginName")]);
            let config = spec.get("pluginConfig");
            let mut found = from_mapping(file, config, spec.place);
            found.around = advice::on_holder(Holder::WasmPlugin, spec);
            all.push((named, found));
        }
        Some("EnvoyExtensionPolicy") => {
            for wasm in document.at(&["spec", "wasm"]).map(Node::elements).unwrap_or_default() {
                let image = wasm.at(&["code", "image", "url"]);
                let named = names_us(&[wasm.get("name"), wasm.get("rootID"), image]);
                let mut found = from_mapping(file, wasm.get("config"), wasm.place);
                found.around = advice::on_holder(Holder::ExtensionPolicy, wasm);
                all.push((named, found));
            }
        }
        // The plugin's configuration, written as YAML.
        None if document.get("ingest").is_some() && document.get("static_resources").is_none() => {
            all.push((true, from_mapping(file, Some(document), document.place)));
        }
        _ => in_envoy(file, document, Holder::EnvoyFilter, clusters(document).as_ref(), all),
    }
}

/// Visits every object that configures a plugin, wherever it stands: the one with a `vm_config`.
fn in_envoy<'a>(
    file: &'a str,
    node: &Node,
    holder: Holder,
    clusters: Option<&Vec<String>>,
    all: &mut All<'a>,
) {
    let kind = node.get("@type").and_then(Node::text).unwrap_or_default();
    let holder = match kind {
        kind if kind.contains(".access_loggers.wasm.") => Holder::EnvoyLogger,
        kind if kind.contains(".filters.http.wasm.") => Holder::EnvoyFilter,
        _ => holder,
    };
    let Some(vm) = node.get("vm_config").or_else(|| node.get("vmConfig")) else {
        for inner in node.elements().iter().chain(node.members().iter().map(|(_, value)| value)) {
            in_envoy(file, inner, holder, clusters, all);
        }
        return;
    };
    let root = node.get("root_id").or_else(|| node.get("rootId"));
    let module = vm.at(&["code", "local", "filename"]);
    let configuration = node.get("configuration");
    let value = configuration.and_then(|any| any.get("value"));
    let mut found = match value {
        Some(value) if value.text().is_some() => {
            let text = value.text().unwrap_or_default().to_owned();
            Found::new(file, text, Origin::Text(value.clone()))
        }
        value => from_mapping(file, value, configuration.unwrap_or(node).place),
    };
    found.around = advice::on_holder(holder, node);
    found.around.extend(configuration.and_then(advice::on_encoding));
    found.around_bodies = advice::on_bodies(holder, node);
    found.loaded = Some((holder, vm.clone()));
    found.clusters = clusters.cloned();
    all.push((names_us(&[node.get("name"), root, module]), found));
}

fn from_mapping<'a>(file: &'a str, node: Option<&Node>, otherwise: Place) -> Found<'a> {
    match node {
        Some(node) => Found::new(file, node.json().to_string(), Origin::Mapping(node.clone())),
        None => Found::new(file, String::new(), Origin::Absent(otherwise)),
    }
}

fn names_us(texts: &[Option<&Node>]) -> bool {
    texts.iter().any(|node| node.and_then(Node::text).is_some_and(|text| text.contains("gatelens")))
}

/// The clusters of a bootstrap that can get no others.
fn clusters(bootstrap: &Node) -> Option<Vec<String>> {
    let clusters = bootstrap.at(&["static_resources", "clusters"])?;
    if bootstrap.at(&["dynamic_resources", "cds_config"]).is_some() {
        return None;
    }
    let names = clusters.elements().iter().filter_map(|cluster| cluster.get("name")?.text());
    Some(names.map(str::to_owned).collect())
}
