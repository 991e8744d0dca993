//! The address of the page's view that an alert is about.

use super::observe::Labels;
use super::rule::{Rule, Source};
use crate::query::{Range, rfc3339};

/// The path and the query of the view, for the traffic in this range.
pub(crate) fn path(rule: &Rule, labels: &Labels, range: Range) -> String {
    until(&begun(rule, labels, range.from), range.to)
}

/// A view with the end of its time, in Unix nanoseconds. One that is about no time stays as it is.
pub(crate) fn until(begun: &str, to: i64) -> String {
    if !begun.contains('?') {
        return begun.to_owned();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    format!("{begun}&{}", query.append_pair("to", &rfc3339(to)).finish())
}

/// The view without the end of its time. The grammar of filters is that of the read API.
pub(crate) fn begun(rule: &Rule, labels: &Labels, from: i64) -> String {
    if rule.config.measure.source() != Source::Counts {
        return "/gateways".to_owned();
    }
    let mut filters = rule.config.scope.clone();
    for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
        filters.insert(name.clone(), escaped(value));
    }
    let is_one = |name: &str| labels.iter().any(|(label, value)| label == name && !value.is_empty());
    let view = match () {
        () if is_one("route") => "/route",
        () if is_one("consumer") => "/consumer",
        () => "/",
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filters).append_pair("from", &rfc3339(from));
    format!("{view}?{}", query.finish())
}

/// A value in the grammar of filters, in which a comma separates and `!` excludes.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (place, character) in value.chars().enumerate() {
        if matches!(character, ',' | '\\') || (character == '!' && place == 0) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::rule::{RuleConfig, built_in};

    #[test]
    fn an_alert_leads_to_its_traffic() {
        let mut config = RuleConfig { name: "r".to_owned(), above: Some(1.0), ..RuleConfig::default() };
        config.scope.insert("status".to_owned(), "!404".to_owned());
        config.each = vec!["route".to_owned()];
        let rule = Rule::compile(config).unwrap();
        let range = Range { from: 0, to: 60_000_000_000 };
        let check = |labels: &[(&str, &str)], expected: &str| {
            let labels =
                labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(path(&rule, &labels, range), expected);
        };
        let tail = "status=%21404&from=1970-01-01T00%3A00%3A00Z&to=1970-01-01T00%3A01%3A00Z";
        check(&[("route", "/a,b")], &format!("/route?route=%2Fa%5C%2Cb&{tail}"));
        check(&[("route", "")], &format!("/?{tail}"));
        check(&[], &format!("/?{tail}"));
        let lost = Rule::compile(built_in().pop().unwrap()).unwrap();
        assert_eq!(path(&lost, &Vec::new(), range), "/gateways");
    }
}
