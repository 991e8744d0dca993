//! Alerts: rules over counts, gateways and the disk, their state, and the messages about them.
//!
//! ```text
//! job, each minute ─▶ engine ─▶ store (values) ─▶ state ─▶ alerts.db: states, incidents, deliveries, in one transaction
//! job, when due    ─▶ deliver ─▶ receivers                 ▲ rules and receivers of the page
//! ```
//!
//! Of several replicas one evaluates and sends (`lease`); all share the rows of `alerts.db` (`share`).

mod attempts;
mod deliver;
mod engine;
mod file;
#[cfg(test)]
mod large;
mod lease;
mod message;
mod observe;
mod receivers;
mod rule;
mod schedule;
mod settings;
mod share;
mod shown;
mod state;
mod stats;
mod trial;
mod view;
#[cfg(test)]
mod week;

pub(crate) use engine::{EngineError, Origin};
pub(crate) use file::{ALERTS_FILE, Past};
pub use receivers::{
    AlertmanagerConfig, MailTls, PagerdutyConfig, ReceiverConfig, Secret, SlackConfig, SmtpConfig,
    WebhookConfig,
};
pub(crate) use receivers::{ReceiverSettings, agent, whole_url, words};
pub use rule::{Measure, Missing, RuleConfig, RuleError};
pub use schedule::MaintenanceConfig;
pub use settings::AlertsConfig;
pub(crate) use share::{exchange, keep_lease, leave};
pub(crate) use stats::AlertStats;
pub(crate) use trial::Trial;
use trial::Trials;

use crate::clickhouse::ClickHouse;
use crate::clock;
use crate::limits::Limits;
use crate::query::Files;
use crate::store::{DataDir, StoreError};
use crate::sync::lock;
use attempts::Attempts;
use engine::{Engine, Evaluated, KnownRule, Note, Setting};
use file::{AlertsFile, Delivery, Texts};
use observe::SECOND;
use receivers::{Receiver, receiver_settings, with_kept_secrets};
use rule::Rule;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use settings::{MAX_RECEIVERS, MAX_RULES, Settings, known_receivers};
use share::Sharing;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it today.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    pub(crate) const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Why the API does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AlertsError {
    #[error("{0}")]
    Rule(#[from] RuleError),
    #[error("{0}")]
    Unknown(String),
    #[error("{0}")]
    Conflict(String),
    #[error("the state of alerts cannot be kept: {0}")]
    Store(#[from] StoreError),
}

/// Everything about alerts in a running service.
pub(crate) struct Alerts {
    settings: Settings,
    file: Mutex<AlertsFile>,
    engine: Mutex<Engine>,
    store: Files,
    data: Arc<DataDir>,
    /// The bytes that the data may have.
    max_disk: Option<u64>,
    trials: Trials,
    /// Of the latest evaluation: it must not be waited for by those who read.
    notes: Mutex<HashMap<String, Note>>,
    stats: AlertStats,
    /// There may be something to deliver.
    queued: Notify,
    /// With other replicas, where there may be some.
    sharing: Option<Sharing>,
}

/// When the next look at the queue is due, if nothing is queued before.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Time between two looks at the clock for a new minute.
const TICK: Duration = Duration::from_secs(5);

impl Alerts {
    /// Opens the file of alerts in the data directory. One that is damaged is set aside.
    pub(crate) fn start(
        config: &AlertsConfig,
        (data, server): (&Arc<DataDir>, Option<Arc<ClickHouse>>),
        limits: &Limits,
        max_disk: Option<u64>,
        stats: AlertStats,
    ) -> Result<Self, StoreError> {
        let settings = Settings::compile(config)
            .map_err(|error| StoreError::Configuration { message: format!("alerts.{error}") })?;
        let path = data.path().join(ALERTS_FILE);
        let mut file = data.open_or_replace(&path, StoreError::is_damage, || AlertsFile::open(&path))?;
        match server {
            Some(_) => file.share()?,
            None => file.keep_apart()?,
        }
        Ok(Self {
            settings,
            file: Mutex::new(file),
            engine: Mutex::new(Engine::new(clock::now())),
            store: Files::new(Arc::clone(data), limits.clone()).beside(server.clone()),
            data: Arc::clone(data),
            max_disk,
            trials: Trials::new(limits.trial_piece),
            notes: Mutex::default(),
            stats,
            queued: Notify::new(),
            sharing: server.map(Sharing::new),
        })
    }

    /// Whether this replica evaluates and sends.
    pub(crate) fn acts(&self) -> bool {
        self.sharing.as_ref().is_none_or(|sharing| sharing.acts(Instant::now()))
    }

    /// Other replicas must know of a change.
    fn changed(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.changed();
        }
    }

    /// Evaluates the rules at `now`, in Unix nanoseconds, unless another replica does. Blocks.
    pub(crate) fn evaluate(&self, now: i64) -> Result<Evaluated, EngineError> {
        let acts = self.acts();
        self.stats.evaluating(acts);
        if !acts {
            lock(&self.engine).look_on(&self.store, &self.file, now)?;
            return Ok(Evaluated::default());
        }
        let begun = Instant::now();
        let outcome = self.evaluate_all(now);
        // Most looks at the clock find no new minute.
        if !matches!(&outcome, Ok(evaluated) if evaluated.minutes == 0) {
            self.stats.evaluated(begun.elapsed());
            if let Ok(firing) = self.firing() {
                self.stats.firing(&firing);
            }
        }
        if outcome.as_ref().map_or(true, |evaluated| evaluated.failures > 0) {
            self.stats.failed();
        }
        if outcome.as_ref().is_ok_and(|evaluated| evaluated.messages > 0) {
            self.queued.notify_one();
        }
        if !matches!(&outcome, Ok(evaluated) if evaluated.minutes == 0) {
            self.changed();
        }
        outcome
    }

    fn evaluate_all(&self, now: i64) -> Result<Evaluated, EngineError> {
        let rules = self.rules()?;
        let receivers: Vec<String> = self.receivers()?.into_iter().map(|receiver| receiver.name).collect();
        let setting = Setting {
            store: &self.store,
            rules: &rules,
            receivers: &receivers,
            maintenance: &self.settings.maintenance,
            disk_percent: disk_percent(&self.data, self.max_disk),
            page_url: &self.settings.page_url,
            lag: i64::from(self.settings.lag_seconds) * SECOND,
            may_go_on: &|| self.acts(),
        };
        let mut engine = lock(&self.engine);
        let evaluated = engine.evaluate(&setting, &self.file, now);
        if !self.acts() {
            return evaluated;
        }
        lock(&self.notes).clone_from(engine.notes());
        if self.sharing.is_some() && !matches!(&evaluated, Ok(evaluated) if evaluated.minutes == 0) {
            lock(&self.file).put_notes(&share::written_notes(engine.notes()))?;
        }
        evaluated
    }

    /// The next message that is due for each receiver at `now` (Unix nanoseconds), with the receiver if there still is one.
    fn due(&self, now: i64) -> Result<Vec<(Delivery, Option<Receiver>)>, StoreError> {
        if !self.acts() {
            return Ok(Vec::new());
        }
        let due = lock(&self.file).due(now)?;
        let receivers = if due.is_empty() { Vec::new() } else { self.receivers()? };
        let named = |name: &str| receivers.iter().find(|receiver| receiver.name == name).cloned();
        let with_receiver = |delivery: Delivery| {
            let receiver = named(&delivery.receiver);
            (delivery, receiver)
        };
        Ok(due.into_iter().map(with_receiver).collect())
    }

    /// Sends a message, and notes what became of it. Blocks for at most about 20 s. `now` is in Unix nanoseconds.
    fn attempt(&self, delivery: &Delivery, receiver: Option<&Receiver>, now: i64) {
        let attempt = deliver::attempt(delivery, receiver, now);
        if let Some(error) = &attempt.error {
            tracing::warn!(receiver = delivery.receiver, error, "a message about an alert was not delivered");
        }
        let kind = receiver.map_or("removed", |receiver| receiver.shown().kind);
        self.stats.attempted(kind, attempt.outcome.name());
        let noted = lock(&self.file).attempted(delivery.id, &attempt, clock::now().max(now));
        if let Err(error) = noted {
            tracing::error!(%error, "the outcome of a delivery could not be kept, so it may be repeated");
        }
        self.changed();
    }

    /// All rules that hold.
    pub(crate) fn rules(&self) -> Result<Vec<KnownRule>, StoreError> {
        let file = lock(&self.file);
        let stored = file.texts(Texts::Rules)?;
        let page = stored.into_iter().filter_map(|text| match serde_json::from_str(&text.content) {
            Ok(config) => Some(config),
            Err(error) => {
                tracing::warn!(rule = text.name, %error, "a stored rule cannot be read and is left out");
                None
            }
        });
        let page = page.collect();
        Ok(self.settings.with(page, &file.mutes()?))
    }

    /// All receivers. One of the file wins over one of the page.
    fn receivers(&self) -> Result<Vec<Receiver>, StoreError> {
        let mut all = self.settings.receivers.clone();
        for text in lock(&self.file).texts(Texts::Receivers)? {
            let read = serde_json::from_str::<ReceiverConfig>(&text.content).ok();
            let compiled = read.and_then(|config| Receiver::compile(&config, Origin::Page).ok());
            match compiled {
                Some(receiver) if all.iter().all(|other| other.name != receiver.name) => all.push(receiver),
                Some(_) => {}
                None => {
                    tracing::warn!(receiver = text.name, "a stored receiver cannot be read and is left out")
                }
            }
        }
        Ok(all)
    }

    /// Checks a rule of the page and keeps it. `replaces` is the name of the one that it changes.
    pub(crate) fn put_rule(
        &self,
        config: RuleConfig,
        replaces: Option<&str>,
        now: i64,
    ) -> Result<(), AlertsError> {
        let rule = Rule::compile(config)?;
        let receivers = self.receivers()?;
        known_receivers(&rule.config, receivers.iter().map(|receiver| receiver.name.as_str()))?;
        let rules = self.rules()?;
        if let Some(name) = replaces {
            changeable(&rules, name)?;
            if name != rule.name() {
                let message = format!("the name {:?} is not that of the address, {name:?}", rule.name());
                return Err(RuleError::new("name", message).into());
            }
        } else if let Some(known) = rules.iter().find(|known| known.rule.name() == rule.name()) {
            let message = match known.origin {
                Origin::BuiltIn => format!("there is a built-in rule {:?}: change that one", rule.name()),
                Origin::File | Origin::Page => format!("there is a rule {:?} already", rule.name()),
            };
            return Err(AlertsError::Conflict(message));
        } else if rules.len() >= MAX_RULES {
            return Err(AlertsError::Conflict(format!("there are {MAX_RULES} rules, which is the most")));
        }
        let content = serde_json::to_string(&rule.config).unwrap_or_default();
        lock(&self.file).put_text(Texts::Rules, rule.name(), &content, now)?;
        self.changed();
        Ok(())
    }

    /// Removes a rule of the page. A built-in one that it replaced holds again.
    pub(crate) fn remove_rule(&self, name: &str) -> Result<(), AlertsError> {
        let rules = self.rules()?;
        match changeable(&rules, name)?.origin {
            Origin::BuiltIn => Err(AlertsError::Conflict(format!(
                "{name:?} is a built-in rule, which cannot be removed: switch it off, or mute it"
            ))),
            Origin::File | Origin::Page => {
                let file = lock(&self.file);
                file.remove_text(Texts::Rules, name)?;
                file.mute(name, None)?;
                drop(file);
                self.changed();
                Ok(())
            }
        }
    }

    /// Mutes a rule until a time in Unix nanoseconds, or ends its mute.
    fn mute(&self, name: &str, until: Option<i64>) -> Result<(), AlertsError> {
        find(&self.rules()?, name)?;
        lock(&self.file).mute(name, until)?;
        self.changed();
        Ok(())
    }

    /// Mutes a rule until a time in RFC 3339.
    pub(crate) fn mute_until(&self, name: &str, until: &str, now: i64) -> Result<(), AlertsError> {
        let until = schedule::time("until", until)?;
        if until <= now {
            return Err(RuleError::new("until", "the end of the mute must be in the future").into());
        }
        self.mute(name, Some(until))
    }

    /// Ends the mute of a rule.
    pub(crate) fn unmute(&self, name: &str) -> Result<(), AlertsError> {
        self.mute(name, None)
    }

    /// Checks a receiver of the page and keeps it. The text is that of the request.
    pub(crate) fn put_receiver(
        &self,
        config: &ReceiverConfig,
        text: &str,
        now: i64,
    ) -> Result<(), AlertsError> {
        let receiver = Receiver::compile(config, Origin::Page)?;
        let receivers = self.receivers()?;
        match receivers.iter().find(|other| other.name == receiver.name).map(|other| other.origin) {
            Some(Origin::Page) => {}
            Some(_) => {
                let message =
                    format!("the receiver {:?} is in the configuration file: change it there", receiver.name);
                return Err(AlertsError::Conflict(message));
            }
            None if receivers.len() >= MAX_RECEIVERS => {
                return Err(AlertsError::Conflict(format!(
                    "there are {MAX_RECEIVERS} receivers, which is the most"
                )));
            }
            None => {}
        }
        lock(&self.file).put_text(Texts::Receivers, &receiver.name, text, now)?;
        self.changed();
        Ok(())
    }

    /// Changes a receiver of the page, and keeps its secrets where the change names none. The text is that of the request.
    pub(crate) fn change_receiver(&self, name: &str, text: &str, now: i64) -> Result<(), AlertsError> {
        let stored = self.receiver_of_page(name)?;
        let changed: Value = serde_json::from_str(text).unwrap_or_default();
        let changed = with_kept_secrets(&stored, changed)?;
        let unreadable = |error: serde_json::Error| RuleError::new("", error.to_string());
        let config: ReceiverConfig = serde_json::from_value(changed.clone()).map_err(unreadable)?;
        if config.name != name {
            let message = format!("the name {:?} is not that of the address, {name:?}", config.name);
            return Err(RuleError::new("name", message).into());
        }
        self.put_receiver(&config, &changed.to_string(), now)
    }

    /// What an admin may see of a receiver of the page: all but its secrets.
    pub(crate) fn receiver(&self, name: &str) -> Result<ReceiverSettings, AlertsError> {
        let stored = self.receiver_of_page(name)?;
        let config = serde_json::from_value(stored.clone()).ok();
        let settings = config.and_then(|config| receiver_settings(&config, &stored));
        settings.ok_or_else(|| {
            AlertsError::Conflict(format!(
                "the stored receiver {name:?} cannot be read: remove it and make it again"
            ))
        })
    }

    /// A receiver of the page as it is stored.
    fn receiver_of_page(&self, name: &str) -> Result<Value, AlertsError> {
        if self.settings.receivers.iter().any(|receiver| receiver.name == name) {
            let message = format!("the receiver {name:?} is in the configuration file: change it there");
            return Err(AlertsError::Conflict(message));
        }
        let stored = lock(&self.file).texts(Texts::Receivers)?;
        match stored.into_iter().find(|text| text.name == name) {
            Some(text) => Ok(serde_json::from_str(&text.content).unwrap_or_default()),
            None => find_receiver(&self.receivers()?, name).map(|_| Value::Null),
        }
    }

    /// Removes a receiver of the page.
    pub(crate) fn remove_receiver(&self, name: &str) -> Result<(), AlertsError> {
        let receivers = self.receivers()?;
        let receiver = find_receiver(&receivers, name)?;
        if receiver.origin != Origin::Page {
            let message = format!("the receiver {name:?} is in the configuration file: remove it there");
            return Err(AlertsError::Conflict(message));
        }
        if let Some(known) = self.rules()?.iter().find(|known| {
            known.rule.config.receivers.as_ref().is_some_and(|names| names.iter().any(|other| other == name))
        }) {
            let message =
                format!("the rule {:?} names this receiver: change the rule first", known.rule.name());
            return Err(AlertsError::Conflict(message));
        }
        lock(&self.file).remove_text(Texts::Receivers, name)?;
        self.changed();
        Ok(())
    }

    /// Queues a test message for a receiver, and returns the number of its delivery. `now` is in Unix nanoseconds.
    pub(crate) fn test_receiver(&self, name: &str, now: i64) -> Result<i64, AlertsError> {
        find_receiver(&self.receivers()?, name)?;
        let content = shown::test_message(now, &self.settings.page_url);
        let mut file = lock(&self.file);
        let change = file.begin()?;
        let id = change.queue(name, ("test", "test"), state::Kind::Test, &content, now)?;
        change.commit()?;
        drop(file);
        self.queued.notify_one();
        self.changed();
        Ok(id)
    }

    /// Alerts that fire, by the severity of their rule.
    fn firing(&self) -> Result<BTreeMap<Severity, usize>, StoreError> {
        let rules = self.rules()?;
        let mut firing: BTreeMap<Severity, usize> = Severity::ALL.map(|severity| (severity, 0)).into();
        for alert in lock(&self.file).alerts()?.iter().filter(|alert| alert.state.fired_at().is_some()) {
            if let Some(known) = rules.iter().find(|known| known.rule.name() == alert.rule) {
                *firing.entry(known.rule.config.severity).or_default() += 1;
            }
        }
        Ok(firing)
    }

    /// Deliveries that wait.
    pub(crate) fn next_due(&self) -> Result<Option<i64>, StoreError> {
        if !self.acts() {
            return Ok(None);
        }
        lock(&self.file).next_due()
    }
}

/// A rule by its name.
fn find<'a>(rules: &'a [KnownRule], name: &str) -> Result<&'a KnownRule, AlertsError> {
    rules.iter().find(|known| known.rule.name() == name).ok_or_else(|| {
        let meant = rule::meant(name, rules.iter().map(|known| known.rule.name()));
        AlertsError::Unknown(format!("there is no rule {name:?}: {meant}"))
    })
}

fn changeable<'a>(rules: &'a [KnownRule], name: &str) -> Result<&'a KnownRule, AlertsError> {
    let known = find(rules, name)?;
    if known.origin == Origin::File {
        let message = format!("the rule {name:?} is in the configuration file: change it there");
        return Err(AlertsError::Conflict(message));
    }
    Ok(known)
}

fn find_receiver<'a>(receivers: &'a [Receiver], name: &str) -> Result<&'a Receiver, AlertsError> {
    receivers.iter().find(|receiver| receiver.name == name).ok_or_else(|| {
        let meant = rule::meant(name, receivers.iter().map(|receiver| receiver.name.as_str()));
        AlertsError::Unknown(format!("there is no receiver {name:?}: {meant}"))
    })
}

/// The used share of the disk of the data directory, as `df` has it, or that of the size which the data may have
/// (`--max-disk`, in bytes), whichever is larger.
fn disk_percent(data: &DataDir, max_disk: Option<u64>) -> Option<f64> {
    let of_limit = max_disk.map(|limit| data.live_bytes() as f64 / limit as f64 * 100.0);
    let of_disk = rustix::fs::statvfs(data.path()).ok().and_then(|disk| {
        let used = disk.f_blocks.saturating_sub(disk.f_bfree) as f64;
        let usable = used + disk.f_bavail as f64;
        (usable > 0.0).then(|| used / usable * 100.0)
    });
    of_disk.into_iter().chain(of_limit).reduce(f64::max)
}

/// Evaluates the rules each minute, until it is aborted.
pub(crate) async fn evaluate(alerts: Arc<Alerts>) {
    loop {
        let alerts = Arc::clone(&alerts);
        let evaluated = tokio::task::spawn_blocking(move || alerts.evaluate(clock::now())).await;
        if let Ok(Err(error)) = evaluated {
            tracing::error!(%error, "alerts could not be evaluated; trying again");
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Delivers messages when they are due, until it is aborted. A receiver that does not answer holds up no other one.
pub(crate) async fn deliver(alerts: Arc<Alerts>) {
    let mut attempts = Attempts::default();
    loop {
        let working = Arc::clone(&alerts);
        let looked = tokio::task::spawn_blocking(move || {
            let now = clock::now();
            Ok::<_, StoreError>((working.due(now)?, working.next_due()?, now))
        });
        let wait = match looked.await {
            Ok(Ok((due, next, now))) => {
                for (delivery, receiver) in due {
                    let working = Arc::clone(&alerts);
                    attempts.begin(&delivery.receiver.clone(), move || {
                        working.attempt(&delivery, receiver.as_ref(), now);
                    });
                }
                next.map_or(LONGEST_WAIT, |next| {
                    let nanos = u64::try_from(next.saturating_sub(now)).unwrap_or_default();
                    // What is due and held back by another message is looked at again soon.
                    Duration::from_nanos(nanos).clamp(Duration::from_secs(1), LONGEST_WAIT)
                })
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "messages about alerts could not be delivered; trying again");
                LONGEST_WAIT
            }
            Err(_) => LONGEST_WAIT,
        };
        tokio::select! {
            () = alerts.queued.notified() => {}
            () = attempts.ended() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_the_disk_is_that_of_the_allowed_size_where_it_is_larger() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("metrics.db"), [0; 5000]).unwrap();
        let data = DataDir::new(directory.path().to_owned());
        let of_disk = disk_percent(&data, None).unwrap();
        assert!((0.0..=100.0).contains(&of_disk), "{of_disk}");
        assert_eq!(disk_percent(&data, Some(4000)), Some(125.0));
        let large = disk_percent(&data, Some(u64::MAX)).unwrap();
        assert!((0.0..=100.0).contains(&large), "{large}");
    }
}
