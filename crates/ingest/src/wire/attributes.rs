//! Reading attributes, and hashing them without regard to their order.

use super::record::ENDUSER;
use super::texts::Texts;
use super::value::{MAX_LABEL_BYTES, Value, clip};
use crate::model::{Gateway, Identity, SENDER, SeriesKey};
use gatelens_model::hash::{START, fnv1a, mix};
use gatelens_model::{attribute, value};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

const MAX_TAGS: usize = 32;

/// The text of an attribute; absent when it is empty or not a string.
pub(super) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    find(attributes, key).label()
}

/// The text of an attribute as long as it is, even empty; absent when it is not a string.
pub(super) fn whole_text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    find(attributes, key).whole_text()
}

/// [`text`], as a string of its own.
pub(super) fn owned(attributes: &[KeyValue], key: &str) -> Option<String> {
    text(attributes, key).map(str::to_owned)
}

/// Whether an attribute is `true`.
pub(super) fn is_true(attributes: &[KeyValue], key: &str) -> bool {
    find(attributes, key).is_true()
}

/// Who called, as a gateway or as another sender names them.
pub(super) fn consumer(attributes: &[KeyValue]) -> Option<&str> {
    text(attributes, attribute::CONSUMER_ID).or_else(|| text(attributes, ENDUSER))
}

/// The route of a server's request, or the template of a client's.
pub(super) fn route(attributes: &[KeyValue]) -> Option<&str> {
    text(attributes, attribute::ROUTE).or_else(|| text(attributes, attribute::URL_TEMPLATE))
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
        status: find(attributes, attribute::STATUS_CODE).status().unwrap_or_default(),
        grpc_status: find(attributes, attribute::RPC_STATUS_CODE)
            .grpc_status()
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

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Value<'a> {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    value.map_or(Value::Other, Value::of)
}
