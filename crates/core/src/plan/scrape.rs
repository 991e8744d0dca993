//! The section `scrape`: its checks, and its compiled form.

use super::check::{self, Checked};
use crate::config::{Problem, Scrape, Service, Step, bounds};
use crate::scrape::ScrapePlan;
use gatelens_model::{attribute, prometheus};

/// Compiles the section.
pub(super) fn compile(scrape: &Scrape, service: &Service) -> Result<ScrapePlan, Problem> {
    path(&scrape.path)?;
    check::range(["scrape", "max_series"], scrape.max_series, bounds::SCRAPED_SERIES)?;
    for (index, name) in scrape.labels.iter().enumerate() {
        let is_first = scrape.labels.iter().position(|other| other == name) == Some(index);
        if !is_first || !prometheus::LABELS.iter().any(|known| prometheus::label(known) == *name) {
            let known = prometheus::LABELS.map(prometheus::label).join("`, `");
            let message = format!("`{name}` is unknown or named twice; the labels are `{known}`");
            let at: [Step; 3] = ["scrape".into(), "labels".into(), index.into()];
            return Err(Problem::new(at, message));
        }
    }
    let is_chosen = |name: &&str| scrape.labels.contains(&prometheus::label(name));
    let of_all = [(attribute::SERVICE_NAME, &service.name), (attribute::ENVIRONMENT, &service.environment)];
    let mut of_service = String::new();
    for (name, value) in of_all.iter().filter(|(name, _)| is_chosen(name)) {
        prometheus::put_label(&mut of_service, &prometheus::label(name), value);
    }
    let is_of_series = |name: &&str| of_all.iter().all(|(other, _)| other != name);
    let chosen = prometheus::LABELS.into_iter().filter(|name| is_chosen(name) && is_of_series(name));
    Ok(ScrapePlan {
        path: scrape.path.clone(),
        labels: chosen.map(|name| (name, prometheus::label(name))).collect(),
        of_service,
        max_series: scrape.max_series as usize,
    })
}

fn path(path: &str) -> Checked {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
    if path.starts_with('/') && is_plain {
        return Ok(());
    }
    check::fail(["scrape", "path"], "a path begins with a slash and has no query; write `/metrics`")
}
