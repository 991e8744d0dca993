//! What Envoy knows of one stream. Access loggers and HTTP filters ask with functions of their own.

use std::marker::PhantomData;
use std::ops::Range;

use gatelens_core::host::{Certificate, HeaderMap, SoleHeader, Stream, StreamInfo};
use gatelens_core::request::protocol::Protocol;
use gatelens_model::Message;

use crate::abi::{self, Attribute, Buffer, HttpHeader, Opaque, TimingInfoV2};
use crate::host::{At, Envoy};

/// A header map of Envoy's: nothing is copied but the places of the texts.
#[derive(Default)]
pub(crate) struct Headers<'a> {
    all: Vec<HttpHeader>,
    hook: PhantomData<&'a ()>,
}

impl HeaderMap for Headers<'_> {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        // SAFETY: Envoy's texts are valid in the hook, which lasts longer than this map.
        self.all.iter().map(|header| unsafe { header.pair() })
    }
}

/// Bytes of Envoy's, or their copy.
pub(crate) enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

impl AsRef<[u8]> for Bytes<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

impl<'a> Envoy<'a> {
    /// Asks Envoy for bytes.
    fn bytes(&self, ask: impl FnOnce(*mut Buffer) -> bool) -> Option<&'a [u8]> {
        let mut result = Buffer::EMPTY;
        // SAFETY: Envoy's bytes are valid until the hook ends, and nothing that is read so is changed in it.
        ask(&mut result).then(|| unsafe { result.bytes() })
    }

    fn text(&self, attribute: Attribute) -> Option<&'a [u8]> {
        let id = attribute as u32;
        self.bytes(|result| match self.at {
            At::NoStream => false,
            // SAFETY: the pointers are valid in the hook.
            At::Logger(logger) => unsafe { abi::logger_text(logger, id, result) },
            // SAFETY: the pointers are valid in the hook.
            At::Filter(filter) => unsafe { abi::filter_text(filter, id, result) },
        })
    }

    fn number(&self, attribute: Attribute) -> Option<u64> {
        let (id, mut number) = (attribute as u32, 0);
        let known = match self.at {
            At::NoStream => false,
            // SAFETY: the pointers are valid in the hook.
            At::Logger(logger) => unsafe { abi::logger_number(logger, id, &mut number) },
            // SAFETY: the pointers are valid in the hook.
            At::Filter(filter) => unsafe { abi::filter_number(filter, id, &mut number) },
        };
        known.then_some(number)
    }

    fn timing(&self) -> TimingInfoV2 {
        let mut timing = TimingInfoV2::default();
        match self.at {
            At::NoStream => {}
            // SAFETY: the pointers are valid in the hook, and the structure is that of the ABI.
            At::Logger(logger) => unsafe { abi::logger_timing(logger, &mut timing) },
            // SAFETY: the pointers are valid in the hook, and the structure is that of the ABI.
            At::Filter(filter) => unsafe { abi::filter_timing(filter, &mut timing) },
        }
        timing
    }

    /// Address and port, as Envoy itself writes them.
    fn client_address(&self) -> Option<Bytes<'a>> {
        let address = self.text(Attribute::SourceAddress)?;
        if matches!(self.at, At::Filter(_)) {
            return Some(Bytes::Borrowed(address));
        }
        let Some(port) = self.number(Attribute::SourcePort) else { return Some(Bytes::Borrowed(address)) };
        let (open, close) = if address.contains(&b':') { ("[", "]") } else { ("", "") };
        let mut whole = Vec::with_capacity(address.len().saturating_add(8));
        whole.extend_from_slice(open.as_bytes());
        whole.extend_from_slice(address);
        whole.extend_from_slice(format!("{close}:{port}").as_bytes());
        Some(Bytes::Owned(whole))
    }

    fn cluster(&self) -> Option<&'a [u8]> {
        let name = self.bytes(|result| match self.at {
            At::NoStream => false,
            // SAFETY: the pointers are valid in the hook.
            At::Logger(logger) => unsafe { abi::logger_cluster(logger, result) },
            // SAFETY: the pointers are valid in the hook.
            At::Filter(filter) => unsafe { abi::filter_cluster(filter, result) },
        })?;
        Some(name).filter(|name| !name.is_empty())
    }

    fn headers(&self, kind: u32) -> Headers<'a> {
        type Count = unsafe extern "C" fn(Opaque, u32) -> usize;
        type Ask = unsafe extern "C" fn(Opaque, u32, *mut HttpHeader) -> bool;
        let (count, ask, stream): (Count, Ask, Opaque) = match self.at {
            At::NoStream => return Headers::default(),
            At::Logger(logger) => (abi::logger_headers_size, abi::logger_headers, logger),
            At::Filter(filter) => (abi::filter_headers_size, abi::filter_headers, filter),
        };
        // SAFETY: the pointers are valid in the hook.
        let size = unsafe { count(stream, kind) };
        let mut all = vec![HttpHeader::EMPTY; size];
        // SAFETY: as many headers fit as Envoy has just said that it has, and it is asked on the same thread.
        if size == 0 || !unsafe { ask(stream, kind, all.as_mut_ptr()) } {
            return Headers::default();
        }
        Headers { all, hook: PhantomData }
    }

    /// A value of the dynamic metadata under a namespace and keys.
    fn metadata_of(&self, namespace: &str, keys: &[Box<str>]) -> Option<Bytes<'a>> {
        let namespace = Buffer::of(namespace.as_bytes());
        // An access logger joins keys with dots, and a filter has one key.
        let is_exact = match self.at {
            At::Logger(_) => !keys.iter().any(|key| key.contains('.')),
            _ => keys.len() == 1,
        };
        let joined = keys.join(".");
        if !is_exact || joined.is_empty() {
            return None;
        }
        let key = Buffer::of(joined.as_bytes());
        let source = abi::DYNAMIC_METADATA;
        let text = self.bytes(|result| match self.at {
            At::NoStream => false,
            // SAFETY: the texts outlive the call, and the pointers are valid in the hook.
            At::Logger(logger) => unsafe { abi::logger_metadata_text(logger, namespace, key, result) },
            // SAFETY: the texts outlive the call, and the pointers are valid in the hook.
            At::Filter(filter) => unsafe {
                abi::filter_metadata_text(filter, source, namespace, key, result)
            },
        });
        if let Some(text) = text {
            return Some(Bytes::Borrowed(text));
        }
        let (mut number, mut truth) = (0.0, false);
        // SAFETY: the texts outlive the calls, and the pointers are valid in the hook.
        let (is_number, is_truth) = unsafe {
            match self.at {
                At::NoStream => (false, false),
                At::Logger(logger) => (
                    abi::logger_metadata_number(logger, namespace, key, &mut number),
                    abi::logger_metadata_bool(logger, namespace, key, &mut truth),
                ),
                At::Filter(filter) => (
                    abi::filter_metadata_number(filter, source, namespace, key, &mut number),
                    abi::filter_metadata_bool(filter, source, namespace, key, &mut truth),
                ),
            }
        };
        // As the Wasm edge gets them.
        match (is_number, is_truth) {
            (true, _) => Some(Bytes::Owned(number.to_le_bytes().to_vec())),
            (_, true) => Some(Bytes::Owned(vec![u8::from(truth)])),
            _ => None,
        }
    }
}

impl<'a> Stream for Envoy<'a> {
    type Headers = Headers<'a>;
    type Bytes = Bytes<'a>;

    fn info(&self) -> StreamInfo<Bytes<'a>> {
        let (needs, timing) = (self.slot.needs.get(), self.timing());
        let time = |place: usize, time: i64| timing.has.get(place).filter(|has| **has != 0).map(|_| time);
        let sent = time(abi::HAS_FIRST_UPSTREAM_TX, timing.first_upstream_tx_byte_sent_ns);
        let received = time(abi::HAS_LAST_UPSTREAM_RX, timing.last_upstream_rx_byte_received_ns);
        let whole = time(abi::HAS_REQUEST_COMPLETE, timing.request_complete_duration_ns);
        let upstream = received.zip(sent).and_then(|(received, sent)| received.checked_sub(sent));
        StreamInfo {
            duration_ns: whole.and_then(|ns| u64::try_from(ns).ok()),
            upstream_ns: upstream.and_then(|ns| u64::try_from(ns).ok()),
            request_bytes: self.number(Attribute::RequestSize),
            response_bytes: self.number(Attribute::ResponseSize),
            response_flags: self.number(Attribute::ResponseFlags),
            attempts: self.number(Attribute::Attempts),
            client_address: if needs.client_address { self.client_address() } else { None },
            upstream_cluster: if needs.upstream_cluster { self.cluster().map(Bytes::Borrowed) } else { None },
            protocol: if needs.protocol {
                self.text(Attribute::Protocol).and_then(Protocol::from_name)
            } else {
                None
            },
            response_code: self.number(Attribute::ResponseCode),
            code_details: None,
            response_header: SoleHeader::Unread,
        }
    }

    fn request_headers(&self) -> Headers<'a> {
        self.headers(abi::REQUEST_HEADERS)
    }

    fn response_headers(&self) -> Headers<'a> {
        self.headers(abi::RESPONSE_HEADERS)
    }

    fn code_details(&self) -> Option<Bytes<'a>> {
        self.text(Attribute::CodeDetails).map(Bytes::Borrowed)
    }

    fn grpc_status(&self) -> Option<u64> {
        self.number(Attribute::GrpcStatus)
    }

    fn route_name(&self) -> Option<Bytes<'a>> {
        self.text(Attribute::RouteName).map(Bytes::Borrowed)
    }

    fn metadata(&self, path: &[Box<str>]) -> Option<Bytes<'a>> {
        let (namespace, keys) = path.split_first()?;
        self.metadata_of(namespace, keys)
    }

    fn certificate(&self, part: Certificate) -> Option<Bytes<'a>> {
        let attribute = match part {
            Certificate::UriSan => Attribute::UriSan,
            Certificate::Subject => Attribute::CertificateSubject,
        };
        self.text(attribute).map(Bytes::Borrowed)
    }

    /// A copy, because the header may be removed while the value is in use.
    fn response_header(&self, name: &str) -> Option<Bytes<'a>> {
        let (kind, name) = (abi::RESPONSE_HEADERS, Buffer::of(name.as_bytes()));
        let none = std::ptr::null_mut();
        let value = self.bytes(|result| match self.at {
            At::NoStream => false,
            // SAFETY: the name outlives the call, and the pointers are valid in the hook; a null one is allowed for the number.
            At::Logger(logger) => unsafe { abi::logger_header(logger, kind, name, result, 0, none) },
            // SAFETY: the name outlives the call, and the pointers are valid in the hook; a null one is allowed for the number.
            At::Filter(filter) => unsafe { abi::filter_header(filter, kind, name, result, 0, none) },
        })?;
        Some(Bytes::Owned(value.to_vec()))
    }

    fn remove_response_header(&self, name: &str) {
        if let At::Filter(filter) = self.at {
            let name = Buffer::of(name.as_bytes());
            // SAFETY: the name outlives the call. A value without an address removes the header; on failure it stays.
            unsafe { abi::filter_set_header(filter, abi::RESPONSE_HEADERS, name, Buffer::EMPTY) };
        }
    }

    fn body_chunk(&self, message: Message, part: Range<usize>) -> Vec<u8> {
        let At::Filter(filter) = self.at else { return Vec::new() };
        let kind = body_kind(message);
        // SAFETY: the pointer is valid in the hook.
        let mut chunks = vec![Buffer::EMPTY; unsafe { abi::filter_body_chunks_size(filter, kind) }];
        // SAFETY: as many slices fit as Envoy has just said that it has.
        if chunks.is_empty() || !unsafe { abi::filter_body_chunks(filter, kind, chunks.as_mut_ptr()) } {
            return Vec::new();
        }
        let mut copy = Vec::new();
        let mut skip = part.start;
        for chunk in chunks {
            // SAFETY: Envoy's slices are valid until the hook ends.
            let bytes = unsafe { chunk.bytes() };
            let left = part.len().saturating_sub(copy.len());
            let rest = bytes.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(bytes.len());
            copy.extend_from_slice(rest.get(..left).unwrap_or(rest));
        }
        copy
    }
}

/// Envoy's name for the chunk of a body that has just arrived.
pub(crate) fn body_kind(message: Message) -> u32 {
    match message {
        Message::Request => abi::RECEIVED_REQUEST_BODY,
        Message::Response => abi::RECEIVED_RESPONSE_BODY,
    }
}
