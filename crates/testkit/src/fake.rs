//! A gateway without Envoy: it drives the core natively, with shared data, a clock and callouts under the test's
//! control.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::host::{
    Callout, CalloutAnswer, CalloutId, Callouts, Certificate, Clock, Conflict, DispatchError, HeaderMap,
    InfoNeeds, Log, LogLevel, PluginIdentity, Setup, SharedData, SoleHeader, Stream, StreamInfo, Version,
};
use gatelens_core::request::protocol::Protocol;
use gatelens_model::Message;

/// What all workers of a process share: data and time. Clones are the same gateway.
#[derive(Clone, Debug, Default)]
pub struct FakeGateway(Rc<Process>);

/// A value and its version.
type Versioned = (Vec<u8>, u32);

#[derive(Debug, Default)]
struct Process {
    data: RefCell<HashMap<Vec<u8>, Versioned>>,
    last_version: Cell<u32>,
    last_random: Cell<u64>,
    now_ns: Cell<u64>,
}

impl FakeGateway {
    /// A process that starts at this time, nanoseconds since the Unix epoch.
    pub fn starting_at(now_ns: u64) -> Self {
        let gateway = Self::default();
        gateway.0.now_ns.set(now_ns);
        // So that two processes differ.
        gateway.0.last_random.set(now_ns);
        gateway
    }

    /// Lets time pass.
    pub fn wait(&self, time: Duration) {
        self.0.now_ns.set(self.0.now_ns.get() + time.as_nanos() as u64);
    }

    /// A worker with this plugin configuration.
    pub fn worker(&self, configuration: &str) -> FakeHost {
        FakeHost {
            gateway: self.clone(),
            configuration: RefCell::new(configuration.into()),
            conflicts_every: Cell::new(0),
            writes: Cell::new(0),
            stream: RefCell::default(),
            reads: Cell::new(0),
            chunk: RefCell::default(),
            each_reading: Cell::default(),
            sent: RefCell::default(),
            refusal: Cell::default(),
            last_callout: Cell::new(0),
            answer: RefCell::default(),
            log: RefCell::default(),
            tick_period: Cell::default(),
            info_needs: Cell::new(ALL_NEEDED),
            info_header: RefCell::default(),
            tests_presence: Cell::default(),
            identity: RefCell::default(),
            on_shared_read: RefCell::default(),
        }
    }

    /// Bytes of keys and values in shared data.
    pub fn shared_bytes(&self) -> usize {
        self.0.data.borrow().iter().map(|(key, (value, _))| key.len() + value.len()).sum()
    }

    /// Keys in shared data.
    pub fn shared_keys(&self) -> usize {
        self.0.data.borrow().len()
    }
}

/// A finished request as the host knows it.
#[derive(Clone, Debug, Default)]
pub struct FakeStream {
    /// Request headers with the pseudo-headers; none for a request that could not be parsed.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Response headers.
    pub response_headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// By attribute; what is not in it is absent.
    pub attributes: BTreeMap<Attribute, Value>,
    /// Dynamic metadata by path, in the host's encoding.
    pub metadata: BTreeMap<Vec<String>, Vec<u8>>,
}

impl FakeStream {
    /// A request that was answered by the upstream.
    pub fn new(method: &str, path: &str, status: u16) -> Self {
        Self::default()
            .header(":method", method)
            .header(":path", path)
            .header(":scheme", "http")
            .int(Attribute::ResponseCode, i64::from(status))
            .int(Attribute::ResponseFlags, 0)
            .text(Attribute::ResponseCodeDetails, "via_upstream")
            .text(Attribute::SourceAddress, "192.0.2.7:51324")
    }

    /// Adds a request header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn response_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.response_headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Sets an integer, a time or a duration.
    #[must_use]
    pub fn int(mut self, attribute: Attribute, value: i64) -> Self {
        self.attributes.insert(attribute, Value::Number(value));
        self
    }

    /// Sets a string.
    #[must_use]
    pub fn text(mut self, attribute: Attribute, value: &str) -> Self {
        self.attributes.insert(attribute, Value::Text(value.to_owned()));
        self
    }
}

impl FakeStream {
    /// Sets a value of the dynamic metadata, in the host's encoding.
    #[must_use]
    pub fn metadata(mut self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        self.metadata.insert(path.iter().map(|name| name.to_string()).collect(), value.as_ref().to_vec());
        self
    }
}

/// What the host knows of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// Total duration, nanoseconds.
    RequestDuration,
    /// Body bytes of the request.
    RequestSize,
    /// Body bytes of the response.
    ResponseSize,
    /// Status of the response.
    ResponseCode,
    /// Envoy's response flags.
    ResponseFlags,
    /// How the response came to be.
    ResponseCodeDetails,
    /// The upstream's share of the duration, nanoseconds.
    UpstreamLatency,
    /// Address and port of the client.
    SourceAddress,
    /// Attempts to send the request to an upstream.
    Attempts,
    /// Status of a gRPC call.
    GrpcStatus,
    /// Name of the route.
    RouteName,
    /// Name of the upstream's cluster.
    UpstreamCluster,
    /// Version of HTTP, as Envoy names it.
    Protocol,
    /// The first URI in the client certificate's subject alternative names.
    UriSan,
    /// The subject of the client's certificate.
    CertificateSubject,
}

/// The value of an [`Attribute`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An integer, a duration or a bit mask; absent if negative.
    Number(i64),
    /// Bytes.
    Text(String),
}

impl FakeStream {
    fn number(&self, attribute: Attribute) -> Option<u64> {
        match self.attributes.get(&attribute)? {
            Value::Number(number) => u64::try_from(*number).ok(),
            Value::Text(_) => None,
        }
    }
}

/// The header map of one message, shared with the stream.
#[derive(Clone, Debug, Default)]
pub struct FakeHeaders(Option<(Rc<FakeStream>, Message)>);

impl HeaderMap for FakeHeaders {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let headers = self.0.as_ref().map(|(stream, message)| match message {
            Message::Request => &stream.headers,
            Message::Response => &stream.response_headers,
        });
        headers.into_iter().flatten().map(|(name, value)| (&name[..], &value[..]))
    }
}

/// Bytes that the host hands over.
#[derive(Clone, Debug)]
pub enum FakeBytes {
    /// An attribute, shared with the stream.
    Attribute(Rc<FakeStream>, Attribute),
    /// The response header at a position, shared with the stream.
    ResponseHeader(Rc<FakeStream>, usize),
    /// A value of its own.
    Value(Vec<u8>),
}

impl FakeBytes {
    fn of(stream: &Rc<FakeStream>, attribute: Attribute) -> Option<Self> {
        let is_text = matches!(stream.attributes.get(&attribute), Some(Value::Text(_)));
        is_text.then(|| Self::Attribute(Rc::clone(stream), attribute))
    }

    /// All values of a response header, with commas between them; `None` where it is absent. A single one is not copied, as
    /// by Envoy's edge.
    fn joined(stream: &Rc<FakeStream>, name: &str) -> Option<Self> {
        let headers = &stream.response_headers;
        let mut same = (0..headers.len()).filter(|at| headers[*at].0 == name.as_bytes());
        let (first, second) = (same.next()?, same.next());
        Some(match second {
            None => Self::ResponseHeader(Rc::clone(stream), first),
            Some(_) => {
                let same = headers.iter().filter(|(known, _)| known == name.as_bytes());
                Self::Value(same.map(|(_, value)| &value[..]).collect::<Vec<_>>().join(&b','))
            }
        })
    }
}

impl AsRef<[u8]> for FakeBytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Value(value) => value,
            Self::ResponseHeader(stream, at) => &stream.response_headers[*at].1,
            Self::Attribute(stream, attribute) => match stream.attributes.get(attribute) {
                Some(Value::Text(text)) => text.as_bytes(),
                _ => b"",
            },
        }
    }
}

/// A request that the core sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its callout.
    pub id: CalloutId,
    /// The cluster.
    pub cluster: String,
    /// Headers with the pseudo-headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Sent {
    /// A header's value; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Of a host that was not prepared.
const ALL_NEEDED: InfoNeeds<'static> =
    InfoNeeds { client_address: true, upstream_cluster: true, protocol: true, response_header: None };

/// One worker's view of the gateway.
#[derive(Debug)]
pub struct FakeHost {
    gateway: FakeGateway,
    configuration: RefCell<Vec<u8>>,
    conflicts_every: Cell<u32>,
    writes: Cell<u32>,
    stream: RefCell<Rc<FakeStream>>,
    reads: Cell<u32>,
    chunk: RefCell<Vec<u8>>,
    each_reading: Cell<Duration>,
    sent: RefCell<Vec<Sent>>,
    refusal: Cell<Option<DispatchError>>,
    last_callout: Cell<u32>,
    answer: RefCell<CalloutAnswer>,
    log: RefCell<Vec<(LogLevel, String)>>,
    tick_period: Cell<Duration>,
    info_needs: Cell<InfoNeeds<'static>>,
    /// [`InfoNeeds::response_header`].
    info_header: RefCell<Option<String>>,
    tests_presence: Cell<bool>,
    identity: RefCell<PluginIdentity>,
    on_shared_read: RefCell<Option<Hook>>,
}

/// Something to do within a host call.
struct Hook(Box<dyn FnOnce()>);

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

impl FakeHost {
    /// From now on the host tests the presence of values that it reads at once, and reads the code details with them.
    pub fn test_presence(&self) {
        self.tests_presence.set(true);
    }

    /// Makes each n-th write meet another worker's write in between; 0 for none.
    pub fn conflict_every(&self, writes: u32) {
        self.conflicts_every.set(writes);
    }

    /// Does something within the next read of shared data.
    pub fn on_next_shared_read(&self, hook: impl FnOnce() + 'static) {
        *self.on_shared_read.borrow_mut() = Some(Hook(Box::new(hook)));
    }

    /// Replaces the plugin configuration.
    pub fn set_configuration(&self, configuration: impl Into<Vec<u8>>) {
        *self.configuration.borrow_mut() = configuration.into();
    }

    /// Sets the names of the plugin and its gateway.
    pub fn set_identity(&self, identity: PluginIdentity) {
        *self.identity.borrow_mut() = identity;
    }

    /// Reads of the stream since the last call, each of which is a host call in Envoy.
    pub fn take_reads(&self) -> u32 {
        self.reads.take()
    }

    /// The request whose end is reported next.
    pub fn finish(&self, stream: FakeStream) {
        *self.stream.borrow_mut() = Rc::new(stream);
    }

    /// The chunk of a body that passes next.
    pub fn pass(&self, chunk: impl Into<Vec<u8>>) {
        *self.chunk.borrow_mut() = chunk.into();
    }

    /// Lets this much time pass with each look at the clock.
    pub fn pass_with_each_reading(&self, time: Duration) {
        self.each_reading.set(time);
    }

    /// Makes every callout fail with this refusal; `None` lets them pass.
    pub fn refuse(&self, refusal: Option<DispatchError>) {
        self.refusal.set(refusal);
    }

    /// Sets the answer that is being delivered.
    pub fn answer_with(&self, answer: CalloutAnswer) {
        *self.answer.borrow_mut() = answer;
    }

    /// Takes what was sent since the last call.
    pub fn take_sent(&self) -> Vec<Sent> {
        self.sent.take()
    }

    /// All log lines so far.
    pub fn log_lines(&self) -> Vec<(LogLevel, String)> {
        self.log.borrow().clone()
    }

    /// The tick period asked for last.
    pub fn tick_period(&self) -> Duration {
        self.tick_period.get()
    }
}

impl Clock for FakeHost {
    fn now(&self) -> u64 {
        self.gateway.wait(self.each_reading.get());
        self.gateway.0.now_ns.get()
    }

    fn random(&self) -> u64 {
        // SplitMix64: reproducible, and different at each call.
        let seed = self.gateway.0.last_random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.gateway.0.last_random.set(seed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }
}

impl Log for FakeHost {
    fn log(&self, level: LogLevel, message: &str) {
        self.log.borrow_mut().push((level, message.to_owned()));
    }
}

impl Setup for FakeHost {
    fn plugin_configuration(&self) -> Vec<u8> {
        self.configuration.borrow().clone()
    }

    fn plugin_identity(&self) -> PluginIdentity {
        self.identity.borrow().clone()
    }

    fn prepare_info(&self, needs: InfoNeeds<'_>) {
        self.info_needs.set(InfoNeeds { response_header: None, ..needs });
        *self.info_header.borrow_mut() = needs.response_header.map(str::to_owned);
    }

    fn set_tick_period(&self, period: Duration) {
        self.tick_period.set(period);
    }
}

impl SharedData for FakeHost {
    fn shared_get(&self, key: &[u8]) -> Option<(Vec<u8>, Version)> {
        let hook = self.on_shared_read.borrow_mut().take();
        hook.into_iter().for_each(|Hook(hook)| hook());
        let data = self.gateway.0.data.borrow();
        data.get(key).map(|(value, version)| (value.clone(), Version(*version)))
    }

    fn shared_set(&self, key: &[u8], value: &[u8], expected: Version) -> Result<(), Conflict> {
        let process = &self.gateway.0;
        let mut data = process.data.borrow_mut();
        let next = || {
            process.last_version.set(process.last_version.get() + 1);
            process.last_version.get()
        };
        self.writes.set(self.writes.get() + 1);
        let every = self.conflicts_every.get();
        let meets_another = every > 0 && self.writes.get().is_multiple_of(every);
        if let (true, Some((_, version))) = (meets_another, data.get_mut(key)) {
            *version = next();
        }
        // As Envoy does it: the version is compared only if the key exists, and zero compares with nothing.
        if data.get(key).is_some_and(|(_, version)| expected.0 != 0 && expected.0 != *version) {
            return Err(Conflict);
        }
        let version = next();
        data.insert(key.to_vec(), (value.to_vec(), version));
        Ok(())
    }
}

impl Callouts for FakeHost {
    fn dispatch(&self, request: &Callout<'_>) -> Result<CalloutId, DispatchError> {
        if let Some(refusal) = self.refusal.get() {
            return Err(refusal);
        }
        self.last_callout.set(self.last_callout.get() + 1);
        let id = CalloutId(self.last_callout.get());
        self.sent.borrow_mut().push(Sent {
            id,
            cluster: request.cluster.to_owned(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            body: request.body.to_vec(),
        });
        Ok(id)
    }

    fn callout_answer(&self) -> CalloutAnswer {
        let mut answer = self.answer.borrow().clone();
        answer.body.truncate(4_096);
        answer
    }

    fn callout_body(&self, most: usize) -> Vec<u8> {
        let mut body = self.answer.borrow().body.clone();
        body.truncate(most);
        body
    }
}

impl Stream for FakeHost {
    type Headers = FakeHeaders;
    type Bytes = FakeBytes;

    fn info(&self) -> StreamInfo<FakeBytes> {
        self.reads.set(self.reads.get() + 1);
        let stream = self.stream.borrow();
        let needs = self.info_needs.get();
        let text = |is_needed: bool, attribute| {
            if is_needed { FakeBytes::of(&stream, attribute) } else { None }
        };
        StreamInfo {
            duration_ns: stream.number(Attribute::RequestDuration),
            upstream_ns: stream.number(Attribute::UpstreamLatency),
            request_bytes: stream.number(Attribute::RequestSize),
            response_bytes: stream.number(Attribute::ResponseSize),
            response_flags: stream.number(Attribute::ResponseFlags),
            attempts: stream.number(Attribute::Attempts),
            client_address: text(needs.client_address, Attribute::SourceAddress),
            upstream_cluster: text(needs.upstream_cluster, Attribute::UpstreamCluster),
            protocol: text(needs.protocol, Attribute::Protocol)
                .and_then(|name| Protocol::from_name(name.as_ref())),
            response_code: stream.number(Attribute::ResponseCode),
            code_details: self
                .tests_presence
                .get()
                .then(|| FakeBytes::of(&stream, Attribute::ResponseCodeDetails))
                .map(|details| details.unwrap_or(FakeBytes::Value(Vec::new()))),
            response_header: match self.info_header.borrow().as_ref() {
                None => SoleHeader::Unread,
                Some(name) => match FakeBytes::joined(&stream, name) {
                    None if self.tests_presence.get() => SoleHeader::Absent,
                    value => SoleHeader::Values(value.unwrap_or(FakeBytes::Value(Vec::new()))),
                },
            },
        }
    }

    fn request_headers(&self) -> FakeHeaders {
        self.reads.set(self.reads.get() + 1);
        FakeHeaders(Some((Rc::clone(&self.stream.borrow()), Message::Request)))
    }

    fn response_headers(&self) -> FakeHeaders {
        self.reads.set(self.reads.get() + 1);
        FakeHeaders(Some((Rc::clone(&self.stream.borrow()), Message::Response)))
    }

    fn code_details(&self) -> Option<FakeBytes> {
        self.reads.set(self.reads.get() + 1);
        FakeBytes::of(&self.stream.borrow(), Attribute::ResponseCodeDetails)
    }

    fn grpc_status(&self) -> Option<u64> {
        self.reads.set(self.reads.get() + 1);
        self.stream.borrow().number(Attribute::GrpcStatus)
    }

    fn route_name(&self) -> Option<FakeBytes> {
        self.reads.set(self.reads.get() + 1);
        FakeBytes::of(&self.stream.borrow(), Attribute::RouteName)
    }

    fn metadata(&self, path: &[Box<str>]) -> Option<FakeBytes> {
        self.reads.set(self.reads.get() + 1);
        let path: Vec<String> = path.iter().map(|name| name.to_string()).collect();
        self.stream.borrow().metadata.get(&path).cloned().map(FakeBytes::Value)
    }

    fn certificate(&self, part: Certificate) -> Option<FakeBytes> {
        self.reads.set(self.reads.get() + 1);
        let attribute = match part {
            Certificate::UriSan => Attribute::UriSan,
            Certificate::Subject => Attribute::CertificateSubject,
        };
        FakeBytes::of(&self.stream.borrow(), attribute)
    }

    fn response_header(&self, name: &str) -> Option<FakeBytes> {
        self.reads.set(self.reads.get() + 1);
        let stream = self.stream.borrow();
        let (_, value) = stream.response_headers.iter().find(|(known, _)| known == name.as_bytes())?;
        Some(FakeBytes::Value(value.clone()))
    }

    fn remove_response_header(&self, name: &str) {
        let mut stream = self.stream.borrow_mut();
        Rc::make_mut(&mut stream).response_headers.retain(|(known, _)| known != name.as_bytes());
    }

    fn body_chunk(&self, _message: Message, part: Range<usize>) -> Vec<u8> {
        let chunk = self.chunk.borrow();
        chunk.get(part.start..part.end.min(chunk.len())).unwrap_or_default().to_vec()
    }
}
