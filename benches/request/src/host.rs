//! A host that knows one proxied request, of which a few values change with its number.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use gatelens_core::host::pairs::Pairs;
use gatelens_core::host::{
    Callout, CalloutAnswer, CalloutId, Callouts, Certificate, Clock, Conflict, DispatchError, InfoNeeds, Log,
    LogLevel, PluginIdentity, Setup, SharedData, SoleHeader, Stream, StreamInfo, Version,
};
use gatelens_core::request::protocol::Protocol;
use gatelens_model::Message;

/// A value of shared data and its version.
type Versioned = (Vec<u8>, u32);

/// What is different about a request.
#[derive(Default)]
struct Request {
    headers: Vec<u8>,
    client: Vec<u8>,
    duration_ns: u64,
}

/// How requests differ from each other.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Consumers that take turns.
    pub consumers: u64,
    /// Requests of a consumer before it is the next one's turn.
    pub in_a_row: u64,
    /// Routes `/v1/r{n}/items/{item}`, of which ten that are spread over all take turns. Without any: `/v1/items/{item}`.
    pub templates: u64,
    /// Request headers beyond the usual ones.
    pub more_headers: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { consumers: 12, in_a_row: 1, templates: 0, more_headers: 0 }
    }
}

/// A process: time, and what its workers share.
#[derive(Default)]
struct Process {
    now_ns: Cell<u64>,
    shared: RefCell<HashMap<Vec<u8>, Versioned>>,
    shared_reads: Cell<u64>,
    shared_writes: Cell<u64>,
}

/// One worker's view of a gateway.
pub struct RecordedHost {
    configuration: String,
    shape: Shape,
    process: Rc<Process>,
    /// Those that end next, the first one last.
    coming: RefCell<Vec<Request>>,
    request: RefCell<Request>,
    response: Vec<u8>,
    finished: Cell<u64>,
    calls: Cell<u64>,
    buffers: Cell<u64>,
    last_callout: Cell<u32>,
    dispatched: RefCell<Vec<CalloutId>>,
    reads_content_type: Cell<bool>,
    sent_bytes: Cell<u64>,
    answer: RefCell<CalloutAnswer>,
}

impl RecordedHost {
    /// The only worker of a gateway.
    pub fn new(configuration: &str) -> Self {
        let process = Process { now_ns: Cell::new(1_763_726_400_000_000_000), ..Process::default() };
        Self::of(Rc::new(process), configuration)
    }

    /// One more worker of the same process.
    pub fn another(&self) -> Self {
        Self::of(Rc::clone(&self.process), &self.configuration)
    }

    fn of(process: Rc<Process>, configuration: &str) -> Self {
        let response = [
            (":status", "200"),
            ("content-type", "application/json"),
            ("content-length", "512"),
            ("x-envoy-upstream-service-time", "3"),
            ("date", "Fri, 21 Nov 2025 12:00:00 GMT"),
            ("server", "envoy"),
        ];
        Self {
            configuration: configuration.to_owned(),
            shape: Shape::default(),
            process,
            coming: RefCell::default(),
            request: RefCell::default(),
            response: encoded(&response),
            finished: Cell::new(0),
            calls: Cell::new(0),
            buffers: Cell::new(0),
            last_callout: Cell::new(0),
            dispatched: RefCell::default(),
            reads_content_type: Cell::new(false),
            sent_bytes: Cell::new(0),
            answer: RefCell::default(),
        }
    }

    /// Requests of this shape from now on.
    #[must_use]
    pub fn shaped(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// Makes requests: the number of each makes its item, consumer, IDs, time and port.
    pub fn prepare(&self, numbers: Range<u64>) {
        *self.coming.borrow_mut() = numbers.rev().map(|number| Request::new(number, self.shape)).collect();
    }

    /// The next request ends. False when there is none.
    pub fn finish(&self) -> bool {
        let Some(next) = self.coming.borrow_mut().pop() else { return false };
        self.process.now_ns.set(self.process.now_ns.get() + 200_000 + next.duration_ns % 100_000);
        self.request.replace(next);
        self.finished.set(self.finished.get() + 1);
        true
    }

    /// Time passes for all workers of the process.
    pub fn pass(&self, time: Duration) {
        self.process.now_ns.set(self.process.now_ns.get() + time.as_nanos() as u64);
    }

    /// A callout that has no response yet.
    pub fn take_dispatched(&self) -> Option<CalloutId> {
        self.dispatched.borrow_mut().pop()
    }

    /// The response that the next callback about a callout is about.
    pub fn answer(&self, answer: CalloutAnswer) {
        *self.answer.borrow_mut() = answer;
    }

    /// Bytes of log batches so far.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.get()
    }

    /// Calls about requests so far.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// Host calls per request.
    pub fn calls_per_request(&self) -> f64 {
        self.calls.get() as f64 / self.finished.get() as f64
    }

    /// Buffers that it has allocated so far.
    pub fn buffers(&self) -> u64 {
        self.buffers.get()
    }

    /// Reads and writes of shared data by all workers so far.
    pub fn shared_uses(&self) -> (u64, u64) {
        (self.process.shared_reads.get(), self.process.shared_writes.get())
    }

    fn called(&self) {
        self.calls.set(self.calls.get() + 1);
    }

    fn buffer(&self, bytes: &[u8]) -> Vec<u8> {
        self.called();
        self.buffers.set(self.buffers.get() + 1);
        bytes.to_vec()
    }
}

impl Request {
    fn new(number: u64, shape: Shape) -> Self {
        let mixed = mix(number);
        let path = match shape.templates {
            0 => format!("/v1/items/{number}?bytes=512&sleep=0"),
            templates => {
                let route = number % 10 * templates / 10;
                format!("/v1/r{route}/items/{number}?bytes=512&sleep=0")
            }
        };
        let consumer = format!("consumer-{}", number / shape.in_a_row % shape.consumers);
        let trace = format!("00-{:016x}{mixed:016x}-{:016x}-01", mix(mixed), mix(!mixed));
        let id = format!(
            "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
            mixed >> 32,
            mixed & 0xffff,
            mixed >> 16 & 0xfff,
            mixed >> 48 & 0xfff,
            mix(mixed ^ 1) >> 16
        );
        let mut headers = vec![
            (":authority", "127.0.0.1:10000"),
            (":path", &path),
            (":method", "GET"),
            (":scheme", "http"),
            ("x-consumer-id", &consumer),
            ("user-agent", "python-requests/2.32.3"),
            ("accept", "application/json"),
            ("accept-encoding", "gzip, deflate"),
            ("traceparent", &trace),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "http"),
            ("x-envoy-internal", "true"),
            ("x-request-id", &id),
            ("x-envoy-expected-rq-timeout-ms", "15000"),
        ];
        let more: Vec<String> = (0..shape.more_headers).map(|index| format!("x-more-{index}")).collect();
        headers.extend(more.iter().map(|name| (name.as_str(), id.as_str())));
        let client = format!("192.0.2.7:{}", 40_000 + number / 100 % 4).into_bytes();
        Self { headers: encoded(&headers), client, duration_ns: 600_000 + mixed % 900_000 }
    }
}

/// A value that the host returns.
pub enum Bytes {
    /// In a buffer of its own.
    Buffer(Vec<u8>),
    /// In a buffer with others.
    Part(&'static [u8]),
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Bytes::Buffer(buffer) => buffer,
            Bytes::Part(part) => part,
        }
    }
}

fn encoded(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut buffer = (headers.len() as u32).to_le_bytes().to_vec();
    for (name, value) in headers {
        buffer.extend((name.len() as u32).to_le_bytes());
        buffer.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in headers {
        buffer.extend([name.as_bytes(), &[0], value.as_bytes(), &[0]].concat());
    }
    buffer
}

/// SplitMix64.
fn mix(number: u64) -> u64 {
    let seed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Clock for RecordedHost {
    fn now(&self) -> u64 {
        self.called();
        self.process.now_ns.get()
    }

    fn random(&self) -> u64 {
        mix(self.process.now_ns.get())
    }
}

impl Log for RecordedHost {
    fn log(&self, _level: LogLevel, message: &str) {
        eprintln!("{message}");
    }
}

impl Setup for RecordedHost {
    fn plugin_configuration(&self) -> Vec<u8> {
        self.configuration.clone().into_bytes()
    }

    fn plugin_identity(&self) -> PluginIdentity {
        PluginIdentity { node_id: "edge-1".to_owned(), ..PluginIdentity::default() }
    }

    fn prepare_info(&self, needs: InfoNeeds<'_>) {
        self.reads_content_type.set(needs.response_header == Some("content-type"));
    }

    fn set_tick_period(&self, _period: Duration) {}
}

impl SharedData for RecordedHost {
    fn shared_get(&self, key: &[u8]) -> Option<(Vec<u8>, Version)> {
        self.process.shared_reads.set(self.process.shared_reads.get() + 1);
        self.process.shared.borrow().get(key).map(|(value, version)| (value.clone(), Version(*version)))
    }

    fn shared_set(&self, key: &[u8], value: &[u8], expected: Version) -> Result<(), Conflict> {
        self.process.shared_writes.set(self.process.shared_writes.get() + 1);
        let mut shared = self.process.shared.borrow_mut();
        if shared.get(key).is_some_and(|(_, version)| *version != expected.0 && expected.0 != 0) {
            return Err(Conflict);
        }
        let entry = shared.entry(key.to_vec()).or_default();
        *entry = (value.to_vec(), entry.1 + 1);
        Ok(())
    }
}

impl Callouts for RecordedHost {
    fn dispatch(&self, request: &Callout<'_>) -> Result<CalloutId, DispatchError> {
        if request.headers.iter().any(|(_, value)| value.ends_with("/v1/logs")) {
            self.sent_bytes.set(self.sent_bytes.get() + request.body.len() as u64);
        }
        self.last_callout.set(self.last_callout.get() + 1);
        let id = CalloutId(self.last_callout.get());
        self.dispatched.borrow_mut().push(id);
        Ok(id)
    }

    fn callout_answer(&self) -> CalloutAnswer {
        self.answer.borrow().clone()
    }

    fn callout_body(&self, _most: usize) -> Vec<u8> {
        Vec::new()
    }
}

impl Stream for RecordedHost {
    type Headers = Pairs;
    type Bytes = Bytes;

    fn info(&self) -> StreamInfo<Bytes> {
        // One buffer, of which all values are parts. The client's address stands for it.
        let client = self.buffer(&self.request.borrow().client);
        let part = |bytes: &'static [u8]| Bytes::Part(bytes);
        StreamInfo {
            duration_ns: Some(self.request.borrow().duration_ns),
            upstream_ns: Some(self.request.borrow().duration_ns - 120_000),
            request_bytes: Some(0),
            response_bytes: Some(512),
            response_flags: Some(0),
            attempts: Some(1),
            client_address: Some(Bytes::Buffer(client)),
            upstream_cluster: Some(part(b"upstream")),
            protocol: Some(Protocol::Http11),
            response_code: Some(200),
            code_details: None,
            response_header: match self.reads_content_type.get() {
                true => SoleHeader::Values(part(b"application/json")),
                false => SoleHeader::Unread,
            },
        }
    }

    fn request_headers(&self) -> Pairs {
        Pairs::from_host(self.buffer(&self.request.borrow().headers))
    }

    fn response_headers(&self) -> Pairs {
        Pairs::from_host(self.buffer(&self.response))
    }

    fn code_details(&self) -> Option<Bytes> {
        Some(Bytes::Buffer(self.buffer(b"via_upstream")))
    }

    fn grpc_status(&self) -> Option<u64> {
        self.called();
        None
    }

    fn route_name(&self) -> Option<Bytes> {
        self.called();
        None
    }

    fn metadata(&self, _path: &[Box<str>]) -> Option<Bytes> {
        self.called();
        None
    }

    fn certificate(&self, _part: Certificate) -> Option<Bytes> {
        self.called();
        None
    }

    fn response_header(&self, _name: &str) -> Option<Bytes> {
        self.called();
        None
    }

    fn remove_response_header(&self, _name: &str) {
        self.called();
    }

    fn body_chunk(&self, _message: Message, _part: Range<usize>) -> Vec<u8> {
        Vec::new()
    }
}
