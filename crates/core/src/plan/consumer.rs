//! The section `consumer`: its checks, and its compiled form.
//!
//! No credential leaves the gateway in clear: a source whose name is that of a credential must be pseudonymised, and what
//! is pseudonymised is also masked in the log.

use std::rc::Rc;

use super::check::{self, Checked};
use super::in_section;
use crate::config::{
    Consumer, ConsumerLabel, ConsumerSource, DirectoryEntry, Problem, RedactConfig, Step, bounds,
};
use crate::host::Certificate;
use crate::request::consumer::{
    ConsumerPlan, Form, Label, LabelSource, Labels, MAX_CONSUMER_CHARS, Place, Pseudonymizer, Source,
    clean_id,
};
use crate::request::report::ResponseHeaders;
use gatelens_redact::{
    Hits, MASK, Redactor, is_credential_claim, is_credential_cookie, is_credential_header,
};

/// Compiles the section, and names the response headers among its sources.
pub(super) fn compile(
    consumer: &Consumer,
    redact: &RedactConfig,
) -> Result<(ConsumerPlan, ResponseHeaders), Problem> {
    check::at_most(["consumer", "sources"], consumer.sources.len(), bounds::SOURCES, "sources")?;
    let pseudonymizer = pseudonymizer(consumer)?;
    let masked = masked_headers(redact)?;
    let hidden = pseudonymised(consumer)?;
    let mut plan = ConsumerPlan { labels: labels(consumer, &masked, &hidden)?, ..ConsumerPlan::default() };
    let mut response_headers = ResponseHeaders::new();
    for (index, source) in consumer.sources.iter().enumerate() {
        let at =
            |key: &str| -> Vec<Step> { vec!["consumer".into(), "sources".into(), index.into(), key.into()] };
        let (key, mut place) = place(source, index)?;
        let is_hidden = hidden.contains(&place);
        if let Place::ResponseHeader(name, position) = &mut place {
            let known = response_headers.iter().position(|known| known == name);
            *position = known.unwrap_or(response_headers.len());
            if known.is_none() {
                response_headers.push(name.clone());
            }
        }
        check_name(&place).map_err(|message| Problem::new(at(key), message))?;
        if source.trusted && key != "header" {
            let message = format!("only a `header` needs this mark; remove it from `{key}`");
            return Err(Problem::new(at("trusted"), message));
        }
        let is_key = matches!(place, Place::ApiKeyHeader(_) | Place::ApiKeyQuery(_));
        let form = if source.pseudonymize || is_key {
            let Some(pseudonymizer) = &pseudonymizer else {
                let at = at(if source.pseudonymize { "pseudonymize" } else { key });
                return Err(Problem::new(at, NO_KEY));
            };
            check::range(at("keep_prefix"), source.keep_prefix, bounds::KEEP_PREFIX)?;
            plan.hides_client_address |= place == Place::ClientIp;
            Form::Pseudonym(Rc::clone(pseudonymizer), source.keep_prefix as usize)
        } else {
            if source.keep_prefix > 0 {
                let message =
                    "only a pseudonym keeps a prefix; add `\"pseudonymize\": true`, or remove this key";
                return Err(Problem::new(at("keep_prefix"), message));
            }
            refuse_credential(&place, written(source), &masked, PSEUDONYMISE)
                .and_then(|()| if is_hidden { Err(HIDDEN.to_owned()) } else { Ok(()) })
                .map_err(|message| Problem::new(at(key), message))?;
            Form::Clear
        };
        plan.sources.push(Source { trusted: source.trusted || is_vouched_for(&place), place, form });
    }
    Ok((plan, response_headers))
}

/// The rules of redaction, extended by what the sources pseudonymise: the log must not show it in clear either.
pub(super) fn masked(consumer: &Consumer, redact: &RedactConfig) -> RedactConfig {
    let mut extended = redact.clone();
    let mask = |list: &mut Vec<String>, name: &str| {
        if !list.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            list.push(name.to_owned());
        }
    };
    for source in &consumer.sources {
        if let Some(name) = &source.api_key_header {
            mask(&mut extended.headers, name);
        }
        if let Some(name) = &source.api_key_query {
            mask(&mut extended.query, name);
        }
        if source.pseudonymize {
            if let Some(name) = &source.header {
                mask(&mut extended.headers, name);
            }
            // The built-in names have these, unless they are switched off.
            if !redact.defaults && source.cookie.is_some() {
                mask(&mut extended.headers, "cookie");
                mask(&mut extended.headers, "set-cookie");
            }
            if source.certificate_uri_san || source.certificate_subject {
                mask(&mut extended.headers, "x-forwarded-client-cert");
            }
            if source.client_ip {
                ADDRESS_HEADERS.iter().for_each(|name| mask(&mut extended.headers, name));
            }
            if !redact.defaults && (source.basic_user || source.unverified_bearer_claim.is_some()) {
                mask(&mut extended.headers, "authorization");
            }
        }
    }
    extended
}

/// Headers in which proxies pass on the address of the client.
const ADDRESS_HEADERS: &[&str] = &[
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded-for",
    "x-original-forwarded-for",
    "x-real-ip",
];

const NO_KEY: &str = "a pseudonym needs a key; add `pseudonymize_key` to `consumer`: at least 32 random characters, the \
                      same on all gateways";

const SOURCES: &str = "`header`, `metadata`, `certificate_uri_san`, `certificate_subject`, `response_header`, \
                       `unverified_bearer_claim`, `basic_user`, `api_key_header`, `api_key_query`, `cookie`, `client_ip`";

const PSEUDONYMISE: &str =
    "consumer IDs are sent in clear; add `\"pseudonymize\": true`, or use a value that the gateway sets";

/// Names and groups cannot be pseudonymised.
const USE_ANOTHER: &str =
    "names and groups of consumers are sent in clear; use a value that the gateway sets, or the directory";

const HIDDEN_LABEL: &str =
    "a source pseudonymises this value, so it must not leave the gateway in clear; use another value";

const HIDDEN: &str = "a source pseudonymises this value, so it must not leave the gateway in clear; pseudonymise it here \
                      too, or use another value";

/// The places whose values are pseudonymised. An API key in a header is the value of that header.
fn pseudonymised(consumer: &Consumer) -> Result<Vec<Place>, Problem> {
    let mut hidden = Vec::new();
    for (index, source) in consumer.sources.iter().enumerate() {
        match place(source, index)?.1 {
            Place::ApiKeyHeader(name) => hidden.push(Place::Header(name)),
            other if source.pseudonymize => hidden.push(other),
            _ => {}
        }
    }
    Ok(hidden)
}

fn pseudonymizer(consumer: &Consumer) -> Result<Option<Rc<Pseudonymizer>>, Problem> {
    let Some(key) = &consumer.pseudonymize_key else { return Ok(None) };
    let at = || ["consumer".into(), "pseudonymize_key".into()];
    let characters = key.expose().chars().count();
    if !bounds::PSEUDONYMIZE_KEY.contains(&characters) {
        let most = bounds::PSEUDONYMIZE_KEY.end();
        let message = format!("the key has {characters} characters; use 32 random ones, at most {most}");
        return Err(Problem::new(at(), message));
    }
    let made = Pseudonymizer::new(key.expose());
    made.map(|made| Some(Rc::new(made)))
        .ok_or_else(|| Problem::new(at(), "the key cannot be used; use another one"))
}

/// The one place of a source, and its key in the configuration.
fn place(source: &ConsumerSource, index: usize) -> Result<(&'static str, Place), Problem> {
    let lower = |name: &String| Box::<str>::from(name.to_ascii_lowercase());
    let flag = |set: bool, place: Place| set.then_some(place);
    let places = [
        ("header", source.header.as_ref().map(|name| Place::Header(lower(name)))),
        ("metadata", source.metadata.as_ref().map(|path| Place::Metadata(boxed(path)))),
        ("certificate_uri_san", flag(source.certificate_uri_san, Place::Certificate(Certificate::UriSan))),
        ("certificate_subject", flag(source.certificate_subject, Place::Certificate(Certificate::Subject))),
        (
            "response_header",
            source.response_header.as_ref().map(|name| Place::ResponseHeader(lower(name), 0)),
        ),
        (
            "unverified_bearer_claim",
            source
                .unverified_bearer_claim
                .as_ref()
                .map(|claim| Place::UnverifiedBearerClaim(claim.as_str().into())),
        ),
        ("basic_user", flag(source.basic_user, Place::BasicUser)),
        ("api_key_header", source.api_key_header.as_ref().map(|name| Place::ApiKeyHeader(lower(name)))),
        ("api_key_query", source.api_key_query.as_ref().map(|name| Place::ApiKeyQuery(name.as_str().into()))),
        ("cookie", source.cookie.as_ref().map(|name| Place::Cookie(name.as_str().into()))),
        ("client_ip", flag(source.client_ip, Place::ClientIp)),
    ];
    let mut named = places.into_iter().filter_map(|(key, place)| Some((key, place?)));
    let at: [Step; 3] = ["consumer".into(), "sources".into(), index.into()];
    let Some(first) = named.next() else {
        return Err(Problem::new(
            at,
            format!("this source names no part of the request; write one of {SOURCES}"),
        ));
    };
    match named.next() {
        None => Ok(first),
        Some((second, _)) => {
            let message = format!(
                "a source has one place; move `{second}` to a source of its own, after `{}`",
                first.0
            );
            Err(Problem::new(at.into_iter().chain([second.into()]), message))
        }
    }
}

fn boxed(path: &[String]) -> Box<[Box<str>]> {
    path.iter().map(|name| name.as_str().into()).collect()
}

/// Whether the name is one that can occur.
fn check_name(place: &Place) -> Result<(), String> {
    match place {
        Place::Header(name) | Place::ResponseHeader(name, _) | Place::ApiKeyHeader(name) => header_name(name),
        Place::Metadata(path) => metadata_path(path),
        Place::UnverifiedBearerClaim(name) | Place::ApiKeyQuery(name) | Place::Cookie(name) => word(name),
        Place::Certificate(_) | Place::BasicUser | Place::ClientIp => Ok(()),
    }
}

fn header_name(name: &str) -> Result<(), String> {
    if check::is_header_name(name) { Ok(()) } else { Err(check::NOT_A_HEADER.to_owned()) }
}

fn metadata_path(path: &[Box<str>]) -> Result<(), String> {
    if !bounds::METADATA_PATH.contains(&path.len()) {
        let (least, most) = bounds::METADATA_PATH.into_inner();
        return Err(format!(
            "the path has {} names; write {least} to {most}: that of the filter and then keys, as in \
             [\"envoy.filters.http.jwt_authn\", \"payload\", \"sub\"]",
            path.len()
        ));
    }
    path.iter().try_for_each(|name| word(name))
}

fn word(name: &str) -> Result<(), String> {
    if name.chars().any(char::is_control) {
        return Err("the name has control characters; remove them".to_owned());
    }
    if bounds::SOURCE_NAME.contains(&name.chars().count()) {
        return Ok(());
    }
    let (least, most) = bounds::SOURCE_NAME.into_inner();
    Err(format!("the name has {} characters; use {least} to {most}", name.chars().count()))
}

/// A value that leaves the gateway in clear must not be a credential, nor one that the operator has masked.
/// `header` is the name of a header as it is written.
fn refuse_credential(place: &Place, header: &str, masked: &Redactor, advice: &str) -> Result<(), String> {
    let (name, is_credential) = match place {
        Place::Header(_) | Place::ResponseHeader(..) => (header, is_credential_header(header)),
        Place::UnverifiedBearerClaim(claim) => (&**claim, is_credential_claim(claim)),
        Place::Metadata(path) => {
            let last = path.last().map(|name| &**name).unwrap_or_default();
            (last, is_credential_claim(last))
        }
        Place::Cookie(name) => (&**name, is_credential_cookie(name)),
        _ => return Ok(()),
    };
    if is_credential {
        return Err(format!("`{name}` holds a credential, and {advice}"));
    }
    let is_header = matches!(place, Place::Header(_) | Place::ResponseHeader(..));
    if is_header { refuse_masked(header, masked) } else { Ok(()) }
}

fn written(source: &ConsumerSource) -> &str {
    source.header.as_deref().or(source.response_header.as_deref()).unwrap_or_default()
}

/// A header that the operator has masked must not leave as the ID, the name or the group of a consumer.
fn refuse_masked(header: &str, masked: &Redactor) -> Result<(), String> {
    if *masked.header(header.to_ascii_lowercase().as_bytes(), b"-", &mut Hits::default()) != *MASK.as_bytes()
    {
        return Ok(());
    }
    Err(format!(
        "`redact.headers` masks `{header}`, so it cannot name a consumer; remove it from one of the two"
    ))
}

fn masked_headers(redact: &RedactConfig) -> Result<Redactor, Problem> {
    let headers =
        RedactConfig { headers: redact.headers.clone(), defaults: false, ..RedactConfig::default() };
    Redactor::new(&headers).map_err(|defect| in_section("redact", defect))
}

/// Whether somebody other than the client vouches for the value: a filter before ours that verified it, the certification
/// authority of the listener, the application.
fn is_vouched_for(place: &Place) -> bool {
    matches!(place, Place::Metadata(_) | Place::Certificate(_) | Place::ResponseHeader(..))
}

fn labels(consumer: &Consumer, masked: &Redactor, hidden: &[Place]) -> Result<Labels, Problem> {
    let source = |key: &'static str, label: &Option<ConsumerLabel>| match label {
        Some(label) => label_source(key, label, masked, hidden).map(Some),
        None => Ok(None),
    };
    let directory = consumer.directory.iter().map(|(id, entry)| {
        check_entry(id, entry)?;
        Ok((id.as_str().into(), Label::new(&entry.name, &entry.group)))
    });
    check::at_most(["consumer", "directory"], consumer.directory.len(), bounds::DIRECTORY, "consumers")?;
    Ok(Labels {
        name: source("name", &consumer.name)?,
        group: source("group", &consumer.group)?,
        directory: directory.collect::<Result<_, Problem>>()?,
    })
}

fn label_source(
    key: &'static str,
    label: &ConsumerLabel,
    masked: &Redactor,
    hidden: &[Place],
) -> Result<LabelSource, Problem> {
    let refuse = |place: Place, header: &str| {
        refuse_credential(&place, header, masked, USE_ANOTHER)?;
        if hidden.contains(&place) { Err(HIDDEN_LABEL.to_owned()) } else { Ok(()) }
    };
    let at = |inner: Option<&str>| {
        let steps: [Step; 2] = ["consumer".into(), key.into()];
        steps.into_iter().chain(inner.map(Step::from)).collect::<Vec<_>>()
    };
    match (&label.header, &label.metadata) {
        (Some(name), None) => {
            let lower: Box<str> = name.to_ascii_lowercase().into();
            header_name(name)
                .and_then(|()| refuse(Place::Header(lower.clone()), name))
                .map_err(|message| Problem::new(at(Some("header")), message))?;
            Ok(LabelSource::Header(lower))
        }
        (None, Some(path)) => {
            let path = boxed(path);
            metadata_path(&path)
                .and_then(|()| refuse(Place::Metadata(path.clone()), ""))
                .map_err(|message| Problem::new(at(Some("metadata")), message))?;
            Ok(LabelSource::Metadata(path))
        }
        _ => Err(Problem::new(at(None), "write exactly one of `header` and `metadata`")),
    }
}

fn check_entry(id: &str, entry: &DirectoryEntry) -> Checked {
    let at = ["consumer", "directory", id];
    check::length(at, id, bounds::CONSUMER_ID)?;
    if clean_id(id.as_bytes(), MAX_CONSUMER_CHARS).as_deref() != Some(id) {
        return check::fail(at, "no request has this ID; remove blanks around it and invisible characters");
    }
    check::length(["consumer", "directory", id, "name"], &entry.name, bounds::LABEL)?;
    check::length(["consumer", "directory", id, "group"], &entry.group, bounds::LABEL)
}
