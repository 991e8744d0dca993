//! Warnings about `exclude` and `sample`: entries without an effect.

use super::Lint;
use gatelens_documents::yaml::Node;

/// About both sections of a configuration that the filter accepts.
pub(super) fn lints(root: &Node) -> Vec<Lint> {
    let mut lints = Vec::new();
    if let Some(sample) = root.get("sample") {
        on_sample(root, sample, &mut lints);
    }
    for half in ["counters", "log"] {
        let agents = root.at(&["exclude", half, "user_agents"]).map(Node::elements).unwrap_or_default();
        for (index, node) in agents.iter().enumerate() {
            let agent = node.text().unwrap_or_default();
            if !agent.contains(['*', '/', ' ']) {
                lints.push(Lint {
                    path: format!("exclude.{half}.user_agents[{index}]"),
                    place: node.place,
                    message: format!(
                        "`{agent}` matches only this whole user agent, and most have a version behind their name; write `{agent}*`"
                    ),
                });
            }
        }
    }
    lints
}

fn on_sample(root: &Node, sample: &Node, lints: &mut Vec<Lint>) {
    let keeps: Vec<&str> = ["keep_errors", "keep_slower_than_ms", "keep_consumers"]
        .into_iter()
        .filter(|key| sample.get(key).is_some())
        .collect();
    let rate = sample.get("rate").and_then(Node::text).and_then(|text| text.parse::<f64>().ok());
    if rate.is_none_or(|rate| rate >= 1.0) {
        for key in &keeps {
            lints.push(Lint {
                path: format!("sample.{key}"),
                place: sample.key_place(key),
                message: "this is an exception from the rate, and with a rate of 1 every request is logged; set `rate` below 1, or remove it"
                    .to_owned(),
            });
        }
        return;
    }
    let consumers = sample.get("keep_consumers").map(Node::elements).unwrap_or_default();
    // Without a source nobody is named.
    let sources = root.at(&["consumer", "sources"]);
    if !consumers.is_empty() && sources.is_some_and(|sources| sources.elements().is_empty()) {
        lints.push(Lint {
            path: "sample.keep_consumers".to_owned(),
            place: sample.key_place("keep_consumers"),
            message: "`consumer.sources` is empty, so no request has a consumer; add a source".to_owned(),
        });
    }
    let directory = root.at(&["consumer", "directory"]).map(Node::members).unwrap_or_default();
    for (index, node) in consumers.iter().enumerate() {
        let consumer = node.text().unwrap_or_default();
        let is_known = directory.iter().any(|(name, _)| name.text() == Some(consumer));
        if !directory.is_empty() && !is_known {
            lints.push(Lint {
                path: format!("sample.keep_consumers[{index}]"),
                place: node.place,
                message: format!(
                    "`consumer.directory` has no `{consumer}`; write the exact ID of a consumer, or add it to the directory"
                ),
            });
        }
    }
}
