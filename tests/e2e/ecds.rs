//! The plugin configured apart from its listener (ECDS), from a file that is replaced.

use std::fs;
use std::path::{Path, PathBuf};

use gatelens_testkit::{Envoy, EnvoyConfig, wait};
use serde_json::{Value, json};

/// Envoy's counter of accepted configurations.
const RELOADS: &str = "extension_config_discovery.http_filter.gatelens.config_reload";

/// A filter whose configuration is in a file.
pub(crate) struct Discovery {
    file: PathBuf,
}

impl Discovery {
    /// In this directory.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { file: directory.join("plugin.json") }
    }

    /// Moves the plugin's configuration out of a listener and into the file.
    pub(crate) fn detach(&self, config: EnvoyConfig) -> EnvoyConfig {
        self.write(&config);
        config.edit(|bootstrap| {
            let filter = plugin_mut(bootstrap);
            let typed_config = filter.as_object_mut().unwrap().remove("typed_config").unwrap();
            filter["config_discovery"] = json!({
                "config_source": {"path_config_source": {"path": self.file}},
                "type_urls": [typed_config["@type"]],
            });
        })
    }

    /// Replaces the file by the plugin's configuration in `config` and waits until Envoy has accepted it.
    pub(crate) fn update(&self, envoy: &Envoy, config: &EnvoyConfig) {
        let before = envoy.stat(RELOADS).unwrap();
        self.write(config);
        wait::eventually("the plugin's new configuration", || {
            Ok(Some(envoy.stat(RELOADS)?).filter(|reloads| *reloads > before))
        })
        .unwrap();
    }

    fn write(&self, config: &EnvoyConfig) {
        let mut bootstrap = config.bootstrap().clone();
        let filter = plugin_mut(&mut bootstrap);
        let resource = json!({
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": filter["name"],
            "typed_config": filter["typed_config"],
        });
        let draft = self.file.with_extension("draft");
        fs::write(&draft, json!({"resources": [resource]}).to_string()).unwrap();
        fs::rename(&draft, &self.file).unwrap();
    }
}

fn plugin_mut(bootstrap: &mut Value) -> &mut Value {
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let filters = bootstrap.pointer_mut(manager).and_then(Value::as_array_mut).unwrap();
    filters.iter_mut().find(|filter| filter["name"] == "gatelens").unwrap()
}
