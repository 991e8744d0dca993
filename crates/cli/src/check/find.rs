//! Finds the plugin configurations of a file.

use gatelens_core::host::PluginIdentity;
use gatelens_core::plan::Plan;
use gatelens_model::Message;

use super::carrier::Carrier;
use super::lints;
use gatelens_documents::problem::Problem;
use gatelens_documents::yaml::{self, Json, Node, Place};

/// A configuration of the plugin in a file.
pub(super) struct PluginConfig<'a> {
    file: &'a str,
    /// The text that the filter will read.
    text: String,
    /// The source of that text.
    origin: Origin,
    /// Warnings about the entry that carries it.
    context_warnings: Vec<Problem>,
    /// A warning about its allow-list if the plugin counts.
    counting_warning: Option<Problem>,
    /// A problem of that entry if the plugin is an endpoint for Prometheus.
    scrape_problem: Option<Problem>,
    /// A warning about that entry if bodies are captured.
    body_warning: Option<Problem>,
    /// A warning about that entry if a response header names the consumer.
    response_header_warning: Option<Problem>,
    /// Of an Envoy plugin: its carrier and its `vm_config`.
    loaded: Option<(Carrier, Node)>,
    /// The Envoy configuration's own clusters, if it can get no others.
    clusters: Option<Vec<String>>,
}

enum Origin {
    /// The whole file.
    File,
    /// A text in the file.
    Text(Node),
    /// A mapping, which the gateway writes as JSON.
    Mapping(Node, Json),
    /// There is none.
    Absent(Place),
}

/// Finds all configurations of a file.
///
/// # Errors
/// The first place at which the file is not YAML.
pub(super) fn configurations(file: &str) -> Result<Vec<PluginConfig<'_>>, Problem> {
    if is_plugin_json(file) {
        return Ok(vec![PluginConfig::new(file, file.to_owned(), Origin::File)]);
    }
    let documents =
        yaml::documents(file).map_err(|error| Problem::error(error.place(), error.to_string()))?;
    let mut all = Vec::new();
    for document in &documents {
        in_document(file, document, &mut all);
    }
    // A gateway may have other plugins, too. Where no name contains gatelens, each is taken for it.
    let ours = all.iter().any(|(named, _)| *named);
    let mut found: Vec<PluginConfig<'_>> =
        all.into_iter().filter(|(named, _)| *named || !ours).map(|(_, found)| found).collect();
    let twice: Vec<Problem> = found.iter().filter_map(|logger| logger.counts_twice(&found)).collect();
    if let Some(first) = found.first_mut() {
        first.context_warnings.extend(twice);
    }
    Ok(found)
}

/// Whether a file without a plugin has only documents of Kubernetes or Envoy that need none, such as the cluster of the
/// ingest or a patch of a Deployment.
pub(super) fn is_companion(file: &str) -> bool {
    let Ok(documents) = yaml::documents(file) else { return false };
    let is_empty = |document: &&Node| document.text().is_some_and(|text| matches!(text, "" | "~" | "null"));
    let mut documents = documents.iter().filter(|document| !is_empty(document)).peekable();
    documents.peek().is_some() && documents.all(needs_no_plugin)
}

fn needs_no_plugin(document: &Node) -> bool {
    let kind = document.get("kind").and_then(Node::text);
    // A resource with one of these keys of a plugin, but not of a known kind, has a wrong kind.
    let is_carrier = matches!(kind, Some("WasmPlugin" | "EnvoyExtensionPolicy"))
        || document
            .get("spec")
            .is_some_and(|spec| ["pluginConfig", "wasm"].iter().any(|key| spec.get(key).is_some()));
    let is_kubernetes = match (kind, document.get("apiVersion")) {
        (Some(_), Some(_)) => true,
        // A patch can leave out both.
        (None, None) => document.get("spec").is_some(),
        _ => false,
    };
    let envoy = ["static_resources", "dynamic_resources", "resources", "@type"];
    !is_carrier && (is_kubernetes || envoy.iter().any(|key| document.get(key).is_some()))
}

impl<'a> PluginConfig<'a> {
    fn new(file: &'a str, text: String, origin: Origin) -> Self {
        Self {
            file,
            text,
            origin,
            context_warnings: Vec::new(),
            counting_warning: None,
            scrape_problem: None,
            body_warning: None,
            response_header_warning: None,
            loaded: None,
            clusters: None,
        }
    }

    /// The text that the filter will read.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where it begins in the file.
    pub(super) fn place(&self) -> Place {
        self.place_in_text(Place { line: 1, column: 1 })
    }

    /// Everything that the filter would refuse; if nothing, everything that may not be meant.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.context_warnings.to_vec();
        match Plan::read(&self.text, &PluginIdentity::default()) {
            Err(_) => {
                problems.extend(self.counting_warning.clone());
                for error in Plan::defects(&self.text, &PluginIdentity::default()) {
                    let place = self.place_in_text(Place { line: error.line, column: error.column });
                    problems.push(Problem::error(place, error.message).about(error.path));
                }
            }
            Ok(plan) if plan.scrape.is_some() => problems.extend(self.scrape_problem.clone()),
            Ok(plan) => {
                problems.extend(self.counting_warning.clone());
                if [Message::Request, Message::Response]
                    .iter()
                    .any(|message| plan.request.capture.takes_bodies(*message))
                {
                    problems.extend(self.body_warning.clone());
                }
                if !plan.request.response_headers.is_empty() {
                    problems.extend(self.response_header_warning.clone());
                }
                problems.extend(self.lints(&plan));
            }
        }
        problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
        problems
    }

    fn lints(&self, plan: &Plan) -> Vec<Problem> {
        let on = |root: &Node, place: &dyn Fn(Place) -> Place| {
            let lints = lints::on_configuration(root, self.clusters.as_deref()).into_iter();
            let lints = lints.chain(lints::on_caps(root, &plan.export.caps));
            lints.map(|lint| Problem::warning(place(lint.place), lint.message).about(lint.path)).collect()
        };
        match &self.origin {
            Origin::Mapping(root, _) => on(root, &|place| place),
            // The text was read as JSON before, and JSON is YAML.
            _ => match yaml::documents(&self.text).ok().and_then(|documents| documents.into_iter().next()) {
                Some(root) => on(&root, &|place| self.place_in_text(place)),
                None => Vec::new(),
            },
        }
    }

    /// About an access logger that counts a request again that a filter of the same configuration has counted. It does
    /// not where both run in one Wasm VM, which takes the same `vm_config`.
    fn counts_twice(&self, all: &[Self]) -> Option<Problem> {
        let vm = |found: &Self, wanted: Carrier| match &found.loaded {
            Some((carrier, vm)) if *carrier == wanted => Some(vm.clone()),
            _ => None,
        };
        let own = vm(self, Carrier::EnvoyLogger)?;
        let filters = all.iter().filter(|other| other.text == self.text);
        let differs = |filter: &Node| !filter.equals(&own);
        filters.filter_map(|other| vm(other, Carrier::EnvoyFilter)).any(|filter| differs(&filter)).then(|| {
            let message = "filter and access logger have the same configuration but a different `vm_config`, so they run in \
                           separate Wasm VMs and each request that passes both counts twice: use the same `vm_config`";
            Problem::warning(own.place, message)
        })
    }

    /// The place in the file of a place in the text.
    fn place_in_text(&self, inner: Place) -> Place {
        match &self.origin {
            Origin::File => Place { line: inner.line.max(1), column: inner.column.max(1) },
            Origin::Text(node) => node.place_in_text(self.file, inner),
            Origin::Mapping(node, json) => json.place(inner.column).unwrap_or(node.place),
            Origin::Absent(place) => *place,
        }
    }
}

/// Whether the whole file is the plugin's JSON: an object that mentions no key of a gateway.
pub(super) fn is_plugin_json(file: &str) -> bool {
    let marks = [
        "\"vm_config\"",
        "\"vmConfig\"",
        "\"dynamic_module_config\"",
        "\"apiVersion\"",
        "\"static_resources\"",
        "\"@type\"",
    ];
    file.trim_start().starts_with('{') && !marks.iter().any(|mark| file.contains(mark))
}

/// Each with whether a name in its entry contains gatelens.
type All<'a> = Vec<(bool, PluginConfig<'a>)>;

fn in_document<'a>(file: &'a str, document: &Node, all: &mut All<'a>) {
    let kind = document.get("kind").and_then(Node::text);
    match kind {
        Some("WasmPlugin") => {
            let Some(spec) = document.get("spec") else { return };
            let named =
                is_ours(&[document.at(&["metadata", "name"]), spec.get("url"), spec.get("pluginName")]);
            let config = spec.get("pluginConfig");
            let mut found = from_mapping(file, config, spec.place);
            found.context_warnings = lints::on_carrier(Carrier::WasmPlugin, spec);
            all.push((named, found));
        }
        Some("EnvoyExtensionPolicy") => {
            for wasm in document.at(&["spec", "wasm"]).map(Node::elements).unwrap_or_default() {
                let image = wasm.at(&["code", "image", "url"]);
                let named = is_ours(&[wasm.get("name"), wasm.get("rootID"), image]);
                let mut found = from_mapping(file, wasm.get("config"), wasm.place);
                found.context_warnings = lints::on_carrier(Carrier::ExtensionPolicy, wasm);
                all.push((named, found));
            }
        }
        // `kubectl get -o yaml` prints the resources of several kinds in one list.
        Some("List") => {
            for item in document.get("items").map(Node::elements).unwrap_or_default() {
                in_document(file, item, all);
            }
        }
        // The plugin's configuration, written as YAML.
        None if document.get("ingest").is_some() && document.get("static_resources").is_none() => {
            all.push((true, from_mapping(file, Some(document), document.place)));
        }
        _ => in_envoy(file, document, Carrier::EnvoyFilter, &Bootstrap::of(document), all),
    }
}

/// What the rest of an Envoy configuration means for the plugins in it.
struct Bootstrap {
    /// The clusters, if it can get no others.
    clusters: Option<Vec<String>>,
    /// It is whole, and no bootstrap extension sends for an access logger of a dynamic module.
    lacks_extension: bool,
}

impl Bootstrap {
    fn of(document: &Node) -> Self {
        let extensions = document.get("bootstrap_extensions").map(Node::elements).unwrap_or_default();
        let sends = |extension: &Node| {
            let kind = extension.at(&["typed_config", "@type"]).and_then(Node::text).unwrap_or_default();
            kind.contains(".bootstrap.dynamic_modules.")
        };
        let is_whole = document.get("static_resources").is_some();
        Self { clusters: clusters(document), lacks_extension: is_whole && !extensions.iter().any(sends) }
    }
}

/// Visits every object that configures a plugin, wherever it stands: the one with a `vm_config`, or with a module and its
/// configuration.
fn in_envoy<'a>(file: &'a str, node: &Node, carrier: Carrier, bootstrap: &Bootstrap, all: &mut All<'a>) {
    let kind = node.get("@type").and_then(Node::text).unwrap_or_default();
    let carrier = match kind {
        kind if kind.contains(".access_loggers.wasm.") => Carrier::EnvoyLogger,
        kind if kind.contains(".filters.http.wasm.") => Carrier::EnvoyFilter,
        kind if kind.contains(".access_loggers.dynamic_modules.") => {
            return all.push(in_module(file, node, Carrier::EnvoyLogger, bootstrap));
        }
        kind if kind.contains(".filters.http.dynamic_modules.") => {
            return all.push(in_module(file, node, Carrier::EnvoyFilter, bootstrap));
        }
        _ => carrier,
    };
    let Some(vm) = node.get("vm_config").or_else(|| node.get("vmConfig")) else {
        for inner in node.elements().iter().chain(node.members().iter().map(|(_, value)| value)) {
            in_envoy(file, inner, carrier, bootstrap, all);
        }
        return;
    };
    let root = node.get("root_id").or_else(|| node.get("rootId"));
    let module = vm.at(&["code", "local", "filename"]);
    let entry = Entry { node, carrier, warnings: lints::on_carrier(carrier, node) };
    let found = PluginConfig {
        counting_warning: lints::missing_capabilities(node),
        loaded: Some((carrier, vm.clone())),
        ..in_entry(file, entry, "configuration", bootstrap)
    };
    all.push((is_ours(&[node.get("name"), root, module]), found));
}

/// A filter or an access logger of a dynamic module.
fn in_module<'a>(
    file: &'a str,
    node: &Node,
    carrier: Carrier,
    bootstrap: &Bootstrap,
) -> (bool, PluginConfig<'a>) {
    let (name, configuration) = match carrier {
        Carrier::EnvoyLogger => ("logger_name", "logger_config"),
        _ => ("filter_name", "filter_config"),
    };
    let entry = Entry { node, carrier, warnings: lints::on_module(carrier, node, bootstrap.lacks_extension) };
    let found = in_entry(file, entry, configuration, bootstrap);
    (is_ours(&[node.get(name), node.at(&["dynamic_module_config", "name"])]), found)
}

/// An entry of Envoy that carries a plugin, with the warnings about it.
struct Entry<'n> {
    node: &'n Node,
    carrier: Carrier,
    warnings: Vec<Problem>,
}

/// The plugin of an entry, which has the configuration under a key.
fn in_entry<'a>(
    file: &'a str,
    Entry { node, carrier, mut warnings }: Entry<'_>,
    key: &str,
    bootstrap: &Bootstrap,
) -> PluginConfig<'a> {
    let configuration = node.get(key);
    warnings.extend(configuration.and_then(lints::on_encoding));
    PluginConfig {
        context_warnings: warnings,
        scrape_problem: lints::on_scrape(carrier, node),
        body_warning: lints::on_bodies(carrier, node),
        response_header_warning: lints::on_response_header(carrier, node),
        clusters: bootstrap.clusters.clone(),
        ..from_any(file, configuration, node)
    }
}

/// The text in a message of any type.
fn from_any<'a>(file: &'a str, any: Option<&Node>, carrier: &Node) -> PluginConfig<'a> {
    match any.and_then(|any| any.get("value")) {
        Some(value) if value.text().is_some() => {
            let text = value.text().unwrap_or_default().to_owned();
            PluginConfig::new(file, text, Origin::Text(value.clone()))
        }
        value => from_mapping(file, value, any.unwrap_or(carrier).place),
    }
}

fn from_mapping<'a>(file: &'a str, node: Option<&Node>, otherwise: Place) -> PluginConfig<'a> {
    match node {
        Some(node) => {
            let json = node.json();
            PluginConfig::new(file, json.text.clone(), Origin::Mapping(node.clone(), json))
        }
        None => PluginConfig::new(file, String::new(), Origin::Absent(otherwise)),
    }
}

fn is_ours(texts: &[Option<&Node>]) -> bool {
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
