//! A source of the consumer's ID.

use std::borrow::Cow;
use std::rc::Rc;

use super::credential::{self, Secrecy};
use super::pseudonym::Pseudonymizer;
use super::text::clean_id;
use super::{MAX_CONSUMER_CHARS, Sighting, property};
use crate::host::{Certificate, Stream};
use gatelens_redact::KeyForms;

/// Bytes of a value in which a key is looked for. An ID shows less of the value.
const MAX_SEARCHED_BYTES: usize = 2_048;

/// A source, compiled.
#[derive(Debug)]
pub struct Source {
    /// The part of the request that it reads.
    pub place: Place,
    /// The form in which the value leaves the gateway.
    pub form: Form,
    /// Whether clients cannot choose the value.
    pub trusted: bool,
}

/// The part of a request that names the caller. Names of headers are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A request header.
    Header(Box<str>),
    /// A response header: its name, and its position in `RequestPlan::response_headers`.
    ResponseHeader(Box<str>, usize),
    /// Dynamic metadata: the name of a filter, then keys.
    Metadata(Box<[Box<str>]>),
    /// A part of the client's certificate.
    Certificate(Certificate),
    /// A claim of a bearer token that nobody has verified.
    UnverifiedBearerClaim(Box<str>),
    /// The user of basic authentication.
    BasicUser,
    /// A request header with an API key.
    ApiKeyHeader(Box<str>),
    /// A query parameter with an API key.
    ApiKeyQuery(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
    /// The client's address.
    ClientIp,
}

/// The form in which a value leaves the gateway.
#[derive(Clone, Debug)]
pub enum Form {
    /// As it is, made fit to be shown.
    Clear,
    /// As a pseudonym that keeps this number of characters.
    Pseudonym(Rc<Pseudonymizer>, usize),
}

impl Source {
    /// The ID that it gives to the caller of a request.
    pub(super) fn id<'a, S: Stream>(
        &self,
        request: &Sighting<'a, S>,
        keys: &KeyForms,
    ) -> Option<Cow<'a, str>> {
        let value = self.value(request)?;
        match &self.form {
            // Some services take a key in place of the user, and clients send keys in the wrong header.
            Form::Clear if keys.is_in(value.get(..MAX_SEARCHED_BYTES).unwrap_or(&value)) => None,
            Form::Clear => match value {
                Cow::Borrowed(value) => clean_id(value, MAX_CONSUMER_CHARS),
                Cow::Owned(value) => Some(clean_id(&value, MAX_CONSUMER_CHARS)?.into_owned().into()),
            },
            Form::Pseudonym(pseudonymizer, keep_prefix) => {
                let value = value.trim_ascii();
                (!value.is_empty()).then(|| pseudonymizer.pseudonym(value, *keep_prefix).into())
            }
        }
    }

    fn value<'a, S: Stream>(&self, request: &Sighting<'a, S>) -> Option<Cow<'a, [u8]>> {
        let &Sighting { host, headers, query, client_address, response } = request;
        let secrecy = if matches!(self.form, Form::Clear) { Secrecy::Lost } else { Secrecy::Kept };
        match &self.place {
            Place::Header(name) => credential::header(headers, name).map(Cow::Borrowed),
            Place::ResponseHeader(name, position) => response.value(host, *position, name).map(Cow::Owned),
            Place::Metadata(path) => property::text(host.metadata(path)?.as_ref()).map(Cow::Owned),
            Place::Certificate(part) => Some(Cow::Owned(host.certificate(*part)?.as_ref().to_vec())),
            Place::UnverifiedBearerClaim(claim) => credential::bearer_claim(headers, claim).map(Cow::Owned),
            Place::BasicUser => credential::basic_user(headers, secrecy).map(Cow::Owned),
            Place::ApiKeyHeader(name) => credential::api_key(headers, name).map(Cow::Borrowed),
            Place::ApiKeyQuery(name) => credential::parameter(query, name).map(Cow::Owned),
            Place::Cookie(name) => credential::cookie(headers, name).map(Cow::Borrowed),
            Place::ClientIp => Some(Cow::Borrowed(client_address)),
        }
    }
}
