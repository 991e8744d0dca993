//! Envoy configurations: the files under `envoy/`, changed only where a test needs it.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::{Error, Result, Version, paths};

const CONNECTION_MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// Name of the plugin's entries in the files under `envoy/`.
const PLUGIN: &str = "gatelens";

/// Name of the field that holds the allow-list.
const ALLOW_LIST: &str = "capability_restriction_config";

/// Keys of the configuration of a dynamic module, by what it is.
const MODULE_CONFIGURATIONS: [&str; 2] = ["logger_config", "filter_config"];

/// A configuration that [`Envoy`](crate::Envoy) can be started with.
///
/// Unless said otherwise it listens on free ports of 127.0.0.1.
#[derive(Clone, Debug)]
pub struct EnvoyConfig {
    bootstrap: Value,
}

impl EnvoyConfig {
    /// `envoy/http-filter.yaml`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Unexpected`] when it is no YAML; [`Error::Missing`] without the module.
    pub fn http_filter() -> Result<Self> {
        Ok(Self::load("envoy/http-filter.yaml")?.wasm(&paths::wasm()?))
    }

    /// `envoy/access-logger.yaml`.
    ///
    /// # Errors
    /// As [`http_filter`](Self::http_filter).
    pub fn access_logger() -> Result<Self> {
        Ok(Self::load("envoy/access-logger.yaml")?.wasm(&paths::wasm()?))
    }

    /// `envoy/scrape.yaml`: no ingest, and the listener `scrape` beside the gateway's.
    ///
    /// # Errors
    /// As [`http_filter`](Self::http_filter).
    pub fn scrape() -> Result<Self> {
        let mut config = Self::load("envoy/scrape.yaml")?.wasm(&paths::wasm()?);
        config.set_address("/static_resources/listeners/1", SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok(config)
    }

    /// Both at once in one connection manager: same VM, same root, same configuration.
    ///
    /// # Errors
    /// As [`http_filter`](Self::http_filter).
    pub fn both() -> Result<Self> {
        let logger = Self::access_logger()?;
        let entries = logger.manager()?.get("access_log").cloned().unwrap_or_default();
        let mut config = Self::http_filter()?;
        config.manager_mut()?.insert("access_log".to_owned(), entries);
        Ok(config)
    }

    /// `envoy/dynamic-module.yaml`: filter and logger as a dynamic module.
    ///
    /// # Errors
    /// As [`http_filter`](Self::http_filter).
    pub fn module() -> Result<Self> {
        Self::load("envoy/dynamic-module.yaml")
    }

    /// Only the HTTP filter of that file.
    ///
    /// # Errors
    /// As [`http_filter`](Self::http_filter).
    pub fn module_filter() -> Result<Self> {
        let mut config = Self::module()?;
        config.manager_mut()?.remove("access_log");
        Ok(config)
    }

    /// Only the access logger of that file.
    ///
    /// # Errors
    /// As [`http_filter`](Self::http_filter).
    pub fn module_logger() -> Result<Self> {
        Self::module()?.without_filter()
    }

    /// The same gateway without any plugin.
    ///
    /// # Errors
    /// As [`http_filter`](Self::http_filter), but the module is not needed.
    pub fn plain() -> Result<Self> {
        Self::load("envoy/http-filter.yaml")?.without_filter()
    }

    /// The same gateway with the SDK's no-op filter, which gets every callback.
    ///
    /// # Errors
    /// As [`http_filter`](Self::http_filter), for the no-op module.
    pub fn noop() -> Result<Self> {
        let mut config = Self::load("envoy/http-filter.yaml")?.wasm(&paths::noop_wasm()?);
        config.each_plugin(|plugin| {
            plugin.remove("configuration");
            if let Some(vm) = plugin.get_mut("vm_config").and_then(Value::as_object_mut) {
                vm.remove(ALLOW_LIST);
            }
            plugin.remove(ALLOW_LIST);
        });
        Ok(config)
    }

    /// Puts an HTTP filter in front of all others.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the configuration has no HTTP filters.
    pub fn first_http_filter(mut self, filter: Value) -> Result<Self> {
        let filters = self.manager_mut()?.get_mut("http_filters").and_then(Value::as_array_mut);
        filters.ok_or_else(|| Error::Unexpected("there are no HTTP filters".to_owned()))?.insert(0, filter);
        Ok(self)
    }

    fn without_filter(mut self) -> Result<Self> {
        if let Some(filters) = self.manager_mut()?.get_mut("http_filters").and_then(Value::as_array_mut) {
            filters.retain(|filter| filter["name"] != PLUGIN);
        }
        Ok(self)
    }

    /// Replaces all access loggers by this one, which is given as its `typed_config`.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the configuration has no connection manager.
    pub fn sole_access_logger(mut self, typed_config: &Value) -> Result<Self> {
        let entries = json!([{"name": "sole", "typed_config": typed_config}]);
        self.manager_mut()?.insert("access_log".to_owned(), entries);
        Ok(self)
    }

    /// Listens for requests on this address instead of a free port.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the configuration has no listener.
    pub fn listen(mut self, address: SocketAddr) -> Result<Self> {
        self.set_address("/static_resources/listeners/0", address)?;
        Ok(self)
    }

    /// Puts the admin interface on this address instead of a free port.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the configuration has none.
    pub fn admin(mut self, address: SocketAddr) -> Result<Self> {
        self.set_address("/admin", address)?;
        Ok(self)
    }

    /// Where the cluster `upstream` is.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when there is no such cluster.
    pub fn upstream(self, address: SocketAddr) -> Result<Self> {
        self.endpoint("upstream", address)
    }

    /// Where the cluster `gatelens_ingest` is.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when there is no such cluster.
    pub fn ingest(self, address: SocketAddr) -> Result<Self> {
        self.endpoint("gatelens_ingest", address)
    }

    /// Where the cluster of this name is.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when there is no such cluster.
    pub fn endpoint(mut self, cluster: &str, address: SocketAddr) -> Result<Self> {
        let clusters = self.clusters_mut()?;
        let index = clusters.iter().position(|known| known["name"] == cluster);
        let index = index.ok_or_else(|| Error::Unexpected(format!("there is no cluster {cluster}")))?;
        let base =
            format!("/static_resources/clusters/{index}/load_assignment/endpoints/0/lb_endpoints/0/endpoint");
        self.set_address(&base, address)?;
        Ok(self)
    }

    /// Adds a cluster with one endpoint.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the configuration has no clusters.
    pub fn cluster(mut self, name: &str, address: SocketAddr) -> Result<Self> {
        let mut cluster = self.clusters_mut()?.first().cloned().unwrap_or_default();
        cluster["name"] = json!(name);
        cluster["load_assignment"]["cluster_name"] = json!(name);
        self.clusters_mut()?.push(cluster);
        self.endpoint(name, address)
    }

    /// Replaces the configuration of every plugin entry.
    #[must_use]
    pub fn plugin(self, configuration: &Value) -> Self {
        self.plugin_text(&configuration.to_string())
    }

    /// Replaces the configuration of every plugin entry by a text, which need not be JSON.
    #[must_use]
    pub fn plugin_text(mut self, configuration: &str) -> Self {
        self.each_text(|text| configuration.clone_into(text));
        self
    }

    /// Changes the configuration of every plugin entry.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when one of them is no JSON.
    pub fn each_configuration(mut self, mut change: impl FnMut(&mut Value)) -> Result<Self> {
        let mut result = Ok(());
        self.each_text(|text| match serde_json::from_str(text) {
            Ok(mut configuration) => {
                change(&mut configuration);
                *text = configuration.to_string();
            }
            Err(error) => result = Err(Error::Unexpected(format!("the plugin's configuration: {error}"))),
        });
        result.map(|()| self)
    }

    /// The configuration of the first plugin entry, to change and put back with [`plugin`](Self::plugin).
    ///
    /// # Errors
    /// [`Error::Unexpected`] when there is no plugin or a configuration is no JSON.
    pub fn plugin_configuration(&self) -> Result<Value> {
        let mut first = None;
        self.clone().each_configuration(|configuration| {
            first.get_or_insert_with(|| configuration.clone());
        })?;
        first.ok_or_else(|| Error::Unexpected("there is no plugin".to_owned()))
    }

    /// The functions on the allow-lists of all plugin entries.
    #[must_use]
    pub fn allowed_capabilities(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.clone().each_plugin(|plugin| {
            for place in [plugin.get(ALLOW_LIST), plugin["vm_config"].get(ALLOW_LIST)] {
                let list = place.and_then(|place| place["allowed_capabilities"].as_object());
                names.extend(list.into_iter().flat_map(|list| list.keys().cloned()));
            }
        });
        names
    }

    /// Loads this module in every plugin entry.
    #[must_use]
    pub fn wasm(mut self, module: &Path) -> Self {
        self.each_plugin(|plugin| plugin["vm_config"]["code"]["local"]["filename"] = json!(module));
        self
    }

    /// Sets the `vm_id` of every plugin entry; Istio's is empty.
    #[must_use]
    pub fn vm_id(mut self, id: &str) -> Self {
        self.each_plugin(|plugin| plugin["vm_config"]["vm_id"] = json!(id));
        self
    }

    /// Changes every plugin entry: the object that holds `vm_config`.
    #[must_use]
    pub fn entry(mut self, change: impl FnMut(&mut serde_json::Map<String, Value>)) -> Self {
        self.each_plugin(change);
        self
    }

    /// Moves the allow-list of every plugin entry beside `vm_config`, where Envoy before 1.40 reads it. The files are
    /// loaded so when the Envoy under test is older.
    #[must_use]
    pub fn allow_list_beside_vm(self) -> Self {
        self.entry(|plugin| {
            if let Some(list) = plugin["vm_config"].as_object_mut().and_then(|vm| vm.remove(ALLOW_LIST)) {
                plugin.insert(ALLOW_LIST.to_owned(), list);
            }
        })
    }

    /// Moves the allow-list of every plugin entry under `vm_config`, where Envoy reads it from 1.40 on.
    #[must_use]
    pub fn allow_list_in_vm(self) -> Self {
        self.entry(|plugin| {
            if let Some(list) = plugin.remove(ALLOW_LIST) {
                plugin["vm_config"][ALLOW_LIST] = list;
            }
        })
    }

    /// Sets Envoy's `node.id`.
    #[must_use]
    pub fn node_id(mut self, id: &str) -> Self {
        self.bootstrap["node"]["id"] = json!(id);
        self
    }

    /// Changes anything else; the value is the bootstrap as written.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.bootstrap);
        self
    }

    /// The bootstrap as Envoy reads it (JSON is YAML).
    #[must_use]
    pub fn bootstrap(&self) -> &Value {
        &self.bootstrap
    }

    /// The listeners as the content of an LDS file.
    pub(crate) fn discovery(&self) -> Value {
        let listeners = self.bootstrap.pointer("/static_resources/listeners").and_then(Value::as_array);
        let resources: Vec<Value> = listeners
            .into_iter()
            .flatten()
            .cloned()
            .map(|mut listener| {
                listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
                listener
            })
            .collect();
        json!({ "resources": resources })
    }

    /// The bootstrap with the listeners in an LDS file.
    pub(crate) fn with_discovery(&self, file: &Path) -> Value {
        let mut bootstrap = self.bootstrap.clone();
        if let Some(resources) = bootstrap["static_resources"].as_object_mut() {
            resources.remove("listeners");
        }
        bootstrap["dynamic_resources"] = json!({"lds_config": {"path_config_source": {"path": file}}});
        bootstrap
    }

    fn load(file: &str) -> Result<Self> {
        let path = paths::workspace_root().join(file);
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        let bootstrap: Value =
            serde_saphyr::from_str(&text).map_err(|error| Error::Unexpected(format!("{file}: {error}")))?;
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Self { bootstrap }.listen(free)?.admin(free)?;
        // Without an Envoy nothing reads the configuration, and the file stays as it is.
        let older = Version::under_test().is_ok_and(|version| version < Version::ALLOW_LIST_MOVES);
        Ok(if older { config.allow_list_beside_vm() } else { config })
    }

    fn set_address(&mut self, base: &str, address: SocketAddr) -> Result<()> {
        let socket = self.bootstrap.pointer_mut(&format!("{base}/address/socket_address"));
        let socket = socket.ok_or_else(|| Error::Unexpected(format!("there is no address at {base}")))?;
        socket["address"] = json!(address.ip());
        socket["port_value"] = json!(address.port());
        Ok(())
    }

    fn clusters_mut(&mut self) -> Result<&mut Vec<Value>> {
        let clusters = self.bootstrap.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut);
        clusters.ok_or_else(|| Error::Unexpected("there are no clusters".to_owned()))
    }

    fn manager(&self) -> Result<&Value> {
        let manager = self.bootstrap.pointer(CONNECTION_MANAGER);
        manager.ok_or_else(|| Error::Unexpected("there is no connection manager".to_owned()))
    }

    fn manager_mut(&mut self) -> Result<&mut serde_json::Map<String, Value>> {
        let manager = self.bootstrap.pointer_mut(CONNECTION_MANAGER).and_then(Value::as_object_mut);
        manager.ok_or_else(|| Error::Unexpected("there is no connection manager".to_owned()))
    }

    /// Visits every object that configures a Wasm plugin, wherever it stands: the one with a `vm_config`.
    fn each_plugin(&mut self, mut change: impl FnMut(&mut serde_json::Map<String, Value>)) {
        visit(&mut self.bootstrap, "vm_config", &mut change);
    }

    /// Visits the text of every plugin's configuration, on either edge.
    fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let mut rewrite = |plugin: &mut serde_json::Map<String, Value>, key: &str| {
            let typed = plugin.get(key).map_or("", |typed| typed["value"].as_str().unwrap_or_default());
            let mut text = typed.to_owned();
            change(&mut text);
            let typed = json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text});
            plugin.insert(key.to_owned(), typed);
        };
        visit(&mut self.bootstrap, "vm_config", &mut |plugin| rewrite(plugin, "configuration"));
        for key in MODULE_CONFIGURATIONS {
            visit(&mut self.bootstrap, key, &mut |plugin| rewrite(plugin, key));
        }
    }

    /// Whether Envoy loads a dynamic module.
    pub(crate) fn has_module(&self) -> bool {
        let mut has_module = false;
        visit(&mut self.bootstrap.clone(), "dynamic_module_config", &mut |_| has_module = true);
        has_module
    }
}

/// Visits every object with this key.
fn visit(value: &mut Value, key: &str, change: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(map) if map.contains_key(key) => change(map),
        Value::Object(map) => map.values_mut().for_each(|inner| visit(inner, key, change)),
        Value::Array(list) => list.iter_mut().for_each(|inner| visit(inner, key, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_what_the_harness_expects() {
        for file in ["envoy/http-filter.yaml", "envoy/access-logger.yaml"] {
            let address = SocketAddr::from(([127, 0, 0, 1], 1234));
            let config = EnvoyConfig::load(file).unwrap().wasm(Path::new("/module.wasm"));
            let config = config.upstream(address).unwrap().ingest(address).unwrap();
            let config = config.cluster("other", address).unwrap().node_id("edge-7").vm_id("");
            assert_eq!(config.plugin_configuration().unwrap()["version"], 1, "{file}");
            let text = config.plugin(&json!({"version": 2})).bootstrap().to_string();
            assert_eq!(text.matches("1234").count(), 3, "{file}");
            assert_eq!(text.matches(r#""filename":"/module.wasm""#).count(), 1, "{file}");
            assert_eq!(text.matches(r#"{\"version\":2}"#).count(), 1, "{file}");
        }
    }

    #[test]
    fn listeners_move_to_the_discovery_file() {
        let config = EnvoyConfig::plain().unwrap();
        assert_eq!(config.discovery()["resources"][0]["name"], "gateway");
        let bootstrap = config.with_discovery(Path::new("/lds.json"));
        assert_eq!(bootstrap["static_resources"]["listeners"], Value::Null);
        assert!(!config.bootstrap().to_string().contains("vm_config"));
    }
}
