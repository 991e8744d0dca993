//! The rules of the sections `exclude` and `sample`.

use super::{Checked, at_most, range};
use crate::config::{Exclude, Problem, Sample, Step, bounds};
use crate::outcome::Method;
use crate::request::consumer::MAX_CONSUMER_CHARS;

pub(in crate::plan) fn exclude(exclude: &Exclude) -> Checked {
    let (counters, log) = (&exclude.counters, &exclude.log);
    lists("counters", &counters.paths, &counters.methods, &counters.user_agents)?;
    lists("log", &log.paths, &log.methods, &log.user_agents)
}

pub(in crate::plan) fn sample(sample: &Sample) -> Checked {
    range(["sample", "rate"], sample.rate, bounds::SAMPLE_RATE)?;
    if let Some(ms) = sample.keep_slower_than_ms {
        range(["sample", "keep_slower_than_ms"], ms, bounds::KEEP_SLOWER_THAN_MS)?;
    }
    let at = ["sample", "keep_consumers"];
    at_most(at, sample.keep_consumers.len(), bounds::KEEP_CONSUMERS, "consumers")?;
    for (index, consumer) in sample.keep_consumers.iter().enumerate() {
        if !(1..=MAX_CONSUMER_CHARS).contains(&consumer.chars().count()) || consumer.trim() != consumer {
            let message = format!(
                "this cannot be the name of a consumer; use 1 to {MAX_CONSUMER_CHARS} characters without blanks around them"
            );
            return Err(problem(at.map(Step::from), index, message));
        }
    }
    Ok(())
}

fn lists(half: &str, paths: &[String], methods: &[String], agents: &[String]) -> Checked {
    each(half, "paths", paths, |path| {
        if !path.starts_with(['/', '*']) {
            return Err(format!("a path begins with a slash; write `/{path}`"));
        }
        match path.contains(['?', '#']) {
            true => {
                Err("a path is compared without a query; remove the `?` or `#` and all behind it".to_owned())
            }
            false => Ok(()),
        }
    })?;
    each(half, "methods", methods, |method| match Method::new(method.as_bytes()) {
        Method::OTHER if method != Method::OTHER.name() => Err(unknown_method(method)),
        _ => Ok(()),
    })?;
    each(half, "user_agents", agents, |_| Ok(()))
}

fn unknown_method(method: &str) -> String {
    let upper = method.to_ascii_uppercase();
    match Method::new(upper.as_bytes()) {
        Method::OTHER => {
            let all: Vec<String> = Method::all().map(|method| format!("`{}`", method.name())).collect();
            format!("`{method}` is not a known method; use one of {}", all.join(", "))
        }
        _ => format!("methods are case-sensitive; write `{upper}`"),
    }
}

fn each(half: &str, list: &str, entries: &[String], check: impl Fn(&str) -> Result<(), String>) -> Checked {
    at_most(["exclude", half, list], entries.len(), bounds::EXCLUSIONS, "entries")?;
    for (index, entry) in entries.iter().enumerate() {
        let (least, most) = bounds::EXCLUSION.into_inner();
        let checked = match (least..=most).contains(&entry.len()) {
            true => check(entry),
            false => Err(format!("the entry has {} bytes; use {least} to {most}", entry.len())),
        };
        checked.map_err(|message| problem(["exclude", half, list].map(Step::from), index, message))?;
    }
    Ok(())
}

fn problem(at: impl IntoIterator<Item = Step>, index: usize, message: String) -> Problem {
    Problem::new(at.into_iter().chain([index.into()]), message)
}
