//! The routes that an ingest has learned from traffic.

use serde_json::Value;

use super::{Methods, Selection};
use crate::query::client::{self, Failure, Source};
use gatelens_documents::openapi::Operation;
use gatelens_documents::yaml::Place;

/// Adds the learned routes of these services, environments and directions: of all services and environments where none
/// is named, and of inbound traffic where no direction is.
pub(super) fn add(
    selection: &mut Selection,
    server: &str,
    scopes: [(&str, &Vec<String>); 3],
    methods: Methods,
) -> Result<(), Failure> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, values) in scopes {
        query.extend_pairs(values.iter().map(|value| (name, value)));
    }
    let token = client::token(None).map_err(Failure::Refused)?;
    let source = Source::service(server, token, None).map_err(Failure::Refused)?;
    let question = query.finish();
    let mut answer = source.ask("patterns", &question)?;
    while let Some(next) = answer["next"].as_str() {
        let mut page = source.ask("patterns", &format!("{question}&cursor={next}"))?;
        client::append(&mut answer, &mut page);
    }
    for row in members(&answer, "rows") {
        let scope = format!("{server} ({}, {})", text(row, "service"), text(row, "environment"));
        for template in members(row, "templates") {
            let operation = Operation {
                method: text(template, "method").to_owned(),
                path: text(template, "route").to_owned(),
                place: Place { line: 1, column: 1 },
                at: String::new(),
                node: None,
            };
            selection.add(&scope, &operation, methods);
        }
    }
    selection.end_file();
    Ok(())
}

fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
