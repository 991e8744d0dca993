//! The real Envoy as a child process.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Group, Process};
use crate::{EnvoyConfig, Error, Result, client, paths, wait};

/// How Envoy is started, beside its configuration.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Worker threads.
    pub concurrency: u32,
    /// Where the listeners are configured.
    pub listeners: Listeners,
    /// Directory for configuration and log; without one a temporary directory is used.
    pub directory: Option<PathBuf>,
    /// Who receives Ctrl-C.
    pub group: Group,
    /// More arguments, such as `--component-log-level wasm:debug`.
    pub arguments: Vec<String>,
}

impl Default for Launch {
    /// Two workers, static listeners, a temporary directory.
    fn default() -> Self {
        Self {
            concurrency: 2,
            listeners: Listeners::Static,
            directory: None,
            group: Group::Shared,
            arguments: Vec::new(),
        }
    }
}

/// Where the listeners are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listeners {
    /// In the bootstrap: a refused one keeps Envoy from starting.
    Static,
    /// In a file that [`Envoy::update`] replaces: a refused one leaves the old one running.
    Discovered,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// The new listeners are in force.
    Accepted,
    /// Envoy refused them; the old ones stay active.
    Rejected,
}

/// A running Envoy; killed when dropped.
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    address: SocketAddr,
    discovery: PathBuf,
    // Removed after the process is gone.
    _temporary: Option<TempDir>,
}

impl Envoy {
    /// Starts with two workers and waits until it serves.
    ///
    /// # Errors
    /// [`Error::Exited`] with the end of its log when it refuses the configuration; [`Error::Missing`].
    pub fn start(config: &EnvoyConfig) -> Result<Self> {
        Self::launch(config, &Launch::default())
    }

    /// Starts with these options and waits until it serves.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn launch(config: &EnvoyConfig, launch: &Launch) -> Result<Self> {
        let temporary = match launch.directory {
            Some(_) => None,
            None => Some(TempDir::new().map_err(Error::io("creating a temporary directory"))?),
        };
        let here = launch.directory.as_deref().or(temporary.as_ref().map(TempDir::path));
        let here = here.unwrap_or(Path::new(".")).to_path_buf();
        fs::create_dir_all(&here).map_err(Error::file(&here))?;

        let discovery = here.join("listeners.json");
        let bootstrap = match launch.listeners {
            Listeners::Static => config.bootstrap().clone(),
            Listeners::Discovered => {
                write(&discovery, &config.discovery())?;
                config.with_discovery(&discovery)
            }
        };
        let (file, admin_file) = (here.join("envoy.json"), here.join("admin-address"));
        write(&file, &bootstrap)?;
        // One left by an earlier run would be believed.
        let _ = fs::remove_file(&admin_file);

        let mut command = Command::new(paths::envoy()?);
        command.arg("-c").arg(&file).arg("--admin-address-path").arg(&admin_file);
        command.args(["--concurrency", &launch.concurrency.to_string(), "--use-dynamic-base-id"]);
        command.args(&launch.arguments);
        if config.has_module() {
            command.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", search_path(&here)?);
        }
        let mut process = Process::spawn("envoy", command, &here.join("envoy.log"), launch.group)?;
        let admin = process.wait_until("Envoy's admin interface", |_| Ok(read_address(&admin_file)))?;
        let address = process.wait_until("Envoy to serve", |_| serving(admin))?;
        Ok(Self { process, admin, address, discovery, _temporary: temporary })
    }

    /// Where the (first) listener takes requests.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin interface is.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The addresses of all listeners, by name.
    ///
    /// # Errors
    /// As [`admin_get`](Self::admin_get).
    pub fn listeners(&self) -> Result<BTreeMap<String, SocketAddr>> {
        listeners(self.admin)
    }

    /// The body of `GET path` at the admin interface.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unexpected`] for an answer other than 200.
    pub fn admin_get(&self, path: &str) -> Result<String> {
        admin_get(self.admin, path)
    }

    /// Counters and gauges whose names match a regular expression.
    ///
    /// # Errors
    /// As [`admin_get`](Self::admin_get).
    pub fn stats(&self, pattern: &str) -> Result<BTreeMap<String, u64>> {
        let text = admin_get(self.admin, &format!("/stats?filter={pattern}"))?;
        let pairs = text.lines().filter_map(|line| line.split_once(": "));
        Ok(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// One counter or gauge; 0 while Envoy does not know it.
    ///
    /// # Errors
    /// As [`admin_get`](Self::admin_get).
    pub fn stat(&self, name: &str) -> Result<u64> {
        let pattern = format!("^{}$", name.replace('.', "%5C."));
        Ok(self.stats(&pattern)?.get(name).copied().unwrap_or(0))
    }

    /// Waits until a counter or gauge has at least this value.
    ///
    /// # Errors
    /// [`Error::Timeout`]; as [`admin_get`](Self::admin_get).
    pub fn wait_for_stat(&self, name: &str, at_least: u64) -> Result<u64> {
        wait::eventually(&format!("{name} ≥ {at_least}"), || {
            Ok(Some(self.stat(name)?).filter(|value| *value >= at_least))
        })
    }

    /// Replaces the listeners of an Envoy launched with [`Listeners::Discovered`], and waits for the verdict.
    ///
    /// Only the listeners of `config` count: clusters stay as they were at the start.
    ///
    /// # Errors
    /// [`Error::Timeout`] when Envoy takes no notice; [`Error::File`].
    pub fn update(&self, config: &EnvoyConfig) -> Result<Update> {
        let verdicts = || -> Result<(u64, u64)> {
            let accepted = self.stat("listener_manager.lds.update_success")?;
            Ok((accepted, self.stat("listener_manager.lds.update_rejected")?))
        };
        let (accepted, rejected) = verdicts()?;
        write(&self.discovery, &config.discovery())?;
        wait::eventually("the verdict on an update", || {
            let now = verdicts()?;
            Ok(match now {
                _ if now.1 > rejected => Some(Update::Rejected),
                _ if now.0 > accepted => Some(Update::Accepted),
                _ => None,
            })
        })
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it had to be killed.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.terminate(Duration::from_secs(30))
    }

    /// The child process: its log, CPU time and memory; to kill, suspend or resume it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// All it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of Envoy's log\n{}\n---", self.process.log_tail());
        }
    }
}

/// A directory where Envoy finds the dynamic module under its name, whatever the file is called.
fn search_path(here: &Path) -> Result<PathBuf> {
    let link = here.join("libgatelens.so");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(paths::native()?, &link).map_err(Error::file(&link))?;
    Ok(here.to_path_buf())
}

/// Replaced by a rename, so that Envoy never reads half a file, and notices.
fn write(file: &Path, content: &Value) -> Result<()> {
    let draft = file.with_extension("draft");
    fs::write(&draft, content.to_string()).map_err(Error::file(&draft))?;
    fs::rename(&draft, file).map_err(Error::file(file))
}

fn read_address(file: &Path) -> Option<SocketAddr> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn serving(admin: SocketAddr) -> Result<Option<SocketAddr>> {
    // The admin interface accepts before it answers.
    let Ok(ready) = client::get(admin, "/ready") else { return Ok(None) };
    if ready.status != 200 {
        return Ok(None);
    }
    Ok(listeners(admin)?.into_values().next())
}

fn listeners(admin: SocketAddr) -> Result<BTreeMap<String, SocketAddr>> {
    let text = admin_get(admin, "/listeners?format=json")?;
    let list: Value =
        serde_json::from_str(&text).map_err(|error| Error::Unexpected(format!("{error}: {text}")))?;
    let statuses = list["listener_statuses"].as_array();
    Ok(statuses
        .into_iter()
        .flatten()
        .filter_map(|status| {
            let socket = &status["local_address"]["socket_address"];
            let ip = socket["address"].as_str()?.parse().ok()?;
            let port = u16::try_from(socket["port_value"].as_u64()?).ok()?;
            Some((status["name"].as_str()?.to_owned(), SocketAddr::new(ip, port)))
        })
        .collect())
}

fn admin_get(admin: SocketAddr, path: &str) -> Result<String> {
    let response = client::get(admin, path)?;
    match response.status {
        200 => Ok(response.text()),
        status => Err(Error::Unexpected(format!("GET {path}: {status} {}", response.text()))),
    }
}
