//! Reading attributes, and hashing them without regard to their order.

use super::texts::Texts;
use crate::model::{Gateway, Identity, SENDER, SeriesKey};
use gatelens_model::hash::{START, fnv1a, mix};
use gatelens_model::{attribute, grpc, value};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The caller, where a sender follows the conventions alone.
const ENDUSER: &str = "enduser.id";
/// Longer strings are cut: no label of ours is longer, and a sender must not fill the store with one.
const MAX_LABEL_BYTES: usize = 2048;
const MAX_TAGS: usize = 32;
/// Longer ones are cut, too: bytes of a query.
const MAX_QUERY_BYTES: usize = 4096;

/// The text of an attribute; absent when it is empty or not a string.
pub(super) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    whole_text(attributes, key).filter(|text| !text.is_empty()).map(|text| clip(text, MAX_LABEL_BYTES))
}

/// The text of an attribute that may be longer than a label, cut where it is too long for a query.
pub(super) fn query<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let text = whole_text(attributes, key).filter(|text| !text.is_empty())?;
    Some(clip(text, MAX_QUERY_BYTES))
}

/// The text of an attribute as long as it is, even empty; absent when it is not a string.
pub(super) fn whole_text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match find(attributes, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// [`text`], as a string of its own.
pub(super) fn owned(attributes: &[KeyValue], key: &str) -> Option<String> {
    text(attributes, key).map(str::to_owned)
}

/// A number that is not negative. Status codes come as strings from some senders.
pub(super) fn number(attributes: &[KeyValue], key: &str) -> Option<u64> {
    match find(attributes, key)? {
        Value::IntValue(number) => u64::try_from(*number).ok(),
        Value::StringValue(text) => text.parse().ok().filter(|number| *number <= i64::MAX as u64),
        _ => None,
    }
}

/// The weight of a record in a sample, as the bits of an `f64`; absent where it is 1, or no weight.
pub(super) fn weight(attributes: &[KeyValue], key: &str) -> Option<u64> {
    let weight = match find(attributes, key)? {
        Value::DoubleValue(weight) => *weight,
        Value::IntValue(weight) => *weight as f64,
        _ => return None,
    };
    (weight.is_finite() && weight > 1.0).then(|| weight.to_bits())
}

/// Whether an attribute is `true`.
pub(super) fn is_true(attributes: &[KeyValue], key: &str) -> bool {
    matches!(find(attributes, key), Some(Value::BoolValue(true)))
}

/// Who called, as a gateway or as another sender names them.
pub(super) fn consumer(attributes: &[KeyValue]) -> Option<&str> {
    text(attributes, attribute::CONSUMER_ID).or_else(|| text(attributes, ENDUSER))
}

/// The route of a server's request, or the template of a client's.
pub(super) fn route(attributes: &[KeyValue]) -> Option<&str> {
    text(attributes, attribute::ROUTE).or_else(|| text(attributes, attribute::URL_TEMPLATE))
}

/// The status code, 0 when there is none.
pub(super) fn status(attributes: &[KeyValue], key: &str) -> u16 {
    number(attributes, key).and_then(|code| u16::try_from(code).ok()).filter(|c| *c < 1000).unwrap_or(0)
}

/// The number of a gRPC status that is given by its name, or by the number as a text.
pub(super) fn grpc_status(attributes: &[KeyValue], key: &str) -> Option<u64> {
    text(attributes, key).and_then(grpc::number).or_else(|| number(attributes, key))
}

/// The direction that a sender names; absent where it is neither of the two, because no question could find that one.
pub(super) fn direction(attributes: &[KeyValue]) -> Option<&'static str> {
    let named = text(attributes, attribute::DIRECTION)?;
    [value::INBOUND, value::OUTBOUND].into_iter().find(|known| *known == named)
}

/// The sender. The identity takes precedence over the resource.
pub(super) fn gateway(identity: Option<&Identity>, resource: Option<&Resource>) -> Gateway {
    let attributes = resource.map_or(&[][..], |resource| resource.attributes.as_slice());
    let service = owned(attributes, attribute::SERVICE_NAME).unwrap_or_else(|| "unknown_service".to_owned());
    let (instance, epoch) = match identity {
        Some(identity) => (identity.instance.clone(), identity.epoch.clone()),
        None => (
            owned(attributes, attribute::INSTANCE_ID).unwrap_or_else(|| service.clone()),
            format!("{:016x}", hash(attributes) as u64),
        ),
    };
    Gateway {
        instance,
        epoch,
        service: service.into(),
        environment: text(attributes, attribute::ENVIRONMENT).unwrap_or("default").into(),
        direction: direction(attributes).unwrap_or(value::INBOUND).to_owned(),
        version: owned(attributes, attribute::VERSION),
        service_version: text(attributes, attribute::SERVICE_VERSION).map(Into::into),
        config_hash: owned(attributes, attribute::CONFIG_HASH),
        series: None,
        tags: tags(attributes),
    }
}

fn tags(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let tag = |attribute: &KeyValue| {
        let name = attribute.key.strip_prefix(attribute::TAGS).filter(|name| !name.is_empty())?;
        Some((
            clip(name, MAX_LABEL_BYTES).to_owned(),
            owned(std::slice::from_ref(attribute), &attribute.key)?,
        ))
    };
    attributes.iter().filter_map(tag).take(MAX_TAGS).collect()
}

/// The series that a point's attributes name.
pub(super) fn series(
    gateway: &Gateway,
    direction: &str,
    attributes: &[KeyValue],
    texts: &mut Texts,
) -> SeriesKey {
    let overflow = is_true(attributes, attribute::OVERFLOW);
    let source = match gateway.infers_routes() {
        true => text(attributes, attribute::ROUTE_SOURCE),
        false => Some(SENDER),
    };
    let mut share = |text: Option<&str>| texts.share(text.unwrap_or_default());
    let (route_source, direction, error_type) =
        (share(source), share(Some(direction)), share(text(attributes, attribute::ERROR_TYPE)));
    let host = share(text(attributes, attribute::SERVER_ADDRESS));
    let upstream_cluster = share(text(attributes, attribute::UPSTREAM_CLUSTER));
    let mut label = |found: Option<&str>, absent: &str| {
        let absent = if overflow { value::OVERFLOW } else { absent };
        share(Some(found.unwrap_or(absent)))
    };
    SeriesKey {
        service: Arc::clone(&gateway.service),
        environment: Arc::clone(&gateway.environment),
        version: gateway.service_version.clone().unwrap_or_default(),
        direction,
        consumer: label(consumer(attributes), value::ANONYMOUS),
        method: label(text(attributes, attribute::METHOD), value::OTHER_METHOD),
        route: label(route(attributes), value::UNMATCHED),
        host,
        upstream_cluster,
        status: status(attributes, attribute::STATUS_CODE),
        grpc_status: grpc_status(attributes, attribute::RPC_STATUS_CODE)
            .and_then(|status| u8::try_from(status).ok()),
        error_type,
        overflow,
        route_source,
    }
}

/// A hash of a set of attributes that stays the same over versions and machines, since it is stored.
pub(super) fn hash(attributes: &[KeyValue]) -> i64 {
    let mut each: Vec<u64> = attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.as_ref().map(AnyValue::encode_to_vec).unwrap_or_default();
            mix(fnv1a(fnv1a(fnv1a(START, attribute.key.as_bytes()), &[0xff]), &value))
        })
        .collect();
    each.sort_unstable();
    mix(each.iter().fold(START, |state, hash| fnv1a(state, &hash.to_le_bytes()))) as i64
}

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

/// The beginning of a text: at most `max_bytes` of it, whole characters.
pub(super) fn clip(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}
