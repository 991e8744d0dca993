//! A proxy between the gateway and its ingest that fails in the ways in which networks and servers fail, in an order
//! that a seed decides, and that keeps book of what it did.
//!
//! The faults that matter most come *after* the ingest has stored a batch: the gateway sees a failure and must
//! send again what is already there.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use socket2::SockRef;

use crate::Result;
use crate::http1::{self, Framing, Head, Wire};
use crate::server::Server;

/// An ingest that takes longer is given up by the proxy: it was suspended or killed.
const INGEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Answered 503 with `retry-after: 1`.
    Unavailable,
    /// Answered 429 with `retry-after: 1`.
    TooMany,
    /// Answered 500 with a body that is not OTLP, which refuses a batch for good. A request that the ingest may have
    /// stored is answered 503 instead: to refuse what was taken would be a lie that no protocol survives.
    Refused,
    /// Answered with bytes that are not HTTP.
    Garbage,
    /// Read and never answered.
    Hang,
    /// Passed on after a pause, and the answer comes in pieces; no failure unless the gateway is impatient.
    Slow,
    /// Reset on both sides after half of the body has gone to the ingest.
    ResetInRequest,
    /// Stored by the ingest; then the connection is reset.
    ResetAfterStored,
    /// Stored by the ingest; then nothing is said.
    HangAfterStored,
    /// Stored by the ingest; its 200 arrives with a body that is not OTLP.
    GarbageAfterStored,
}

impl Fault {
    /// Every way to fail.
    pub const ALL: [Self; 10] = [
        Self::Unavailable,
        Self::TooMany,
        Self::Refused,
        Self::Garbage,
        Self::Hang,
        Self::Slow,
        Self::ResetInRequest,
        Self::ResetAfterStored,
        Self::HangAfterStored,
        Self::GarbageAfterStored,
    ];
}

/// What a proxy has done so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that came, those that failed included.
    pub requests: u64,
    /// Requests by what was done to them.
    pub faults: BTreeMap<Fault, u64>,
    /// Requests that were to reach an ingest that was not there.
    pub unreachable: u64,
    /// Requests that the ingest itself did not take, by its status.
    pub declined: BTreeMap<u16, u64>,
    /// Requests that the ingest acknowledged although it had acknowledged the same identity before: repeats.
    pub repeats: u64,
    /// Requests under an identity that had come with other bytes before; none, where the gateway keeps its word.
    pub altered: u64,
}

/// A running proxy; ends when dropped.
pub struct FaultProxy {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    ingest: SocketAddr,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    tally: Tally,
    /// Dealt from the back, and made anew when used up.
    deck: Vec<Option<Fault>>,
    recipe: Option<Recipe>,
    identities: HashMap<Identity, Known>,
}

struct Recipe {
    rng: Rng,
    passes_per_fault: usize,
}

/// Path, instance, epoch and sequence.
type Identity = [Vec<u8>; 4];

#[derive(Default)]
struct Known {
    body: u64,
    offered: bool,
    stored: bool,
}

impl FaultProxy {
    /// Starts on a free port of 127.0.0.1 and passes everything on to `ingest`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when it cannot listen.
    pub fn start(ingest: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared { ingest, book: Mutex::default() });
        let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), {
            let shared = Arc::clone(&shared);
            // Broken connections are what it is for.
            move |stream| drop(serve(stream, &shared))
        })?;
        Ok(Self { server, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// From now on lets requests fail. Of every `1 + passes_per_fault` requests one fails on average, and each way to
    /// fail comes equally often; the order is the seed's.
    pub fn disturb(&self, seed: u64, passes_per_fault: usize) {
        let mut book = self.shared.book();
        book.recipe = Some(Recipe { rng: Rng::with_seed(seed), passes_per_fault });
        book.deck.clear();
    }

    /// From now on passes everything on.
    pub fn calm(&self) {
        let mut book = self.shared.book();
        book.recipe = None;
        book.deck.clear();
    }

    /// Ends all connections that are open, those that hang included.
    pub fn disconnect(&self) {
        self.server.disconnect();
    }

    /// What was done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.book().tally.clone()
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Enters a request and decides what becomes of it.
    fn enter(&mut self, identity: &Identity, body: &[u8]) -> Option<Fault> {
        self.tally.requests += 1;
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let hash = hasher.finish();
        let known =
            self.identities.entry(identity.clone()).or_insert(Known { body: hash, ..Known::default() });
        self.tally.altered += u64::from(known.body != hash);
        let may_be_stored = known.offered;
        let fault = match self.deal() {
            Some(Fault::Refused) if may_be_stored => Some(Fault::Unavailable),
            other => other,
        };
        if let Some(fault) = fault {
            *self.tally.faults.entry(fault).or_default() += 1;
        }
        fault
    }

    fn deal(&mut self) -> Option<Fault> {
        let recipe = self.recipe.as_mut()?;
        if self.deck.is_empty() {
            self.deck.extend(Fault::ALL.map(Some));
            self.deck.resize(Fault::ALL.len() * (1 + recipe.passes_per_fault), None);
            recipe.rng.shuffle(&mut self.deck);
        }
        self.deck.pop().flatten()
    }

    fn offered(&mut self, identity: &Identity) {
        self.identities.entry(identity.clone()).or_default().offered = true;
    }

    fn stored(&mut self, identity: &Identity) {
        let known = self.identities.entry(identity.clone()).or_default();
        self.tally.repeats += u64::from(known.stored);
        known.stored = true;
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.read_head()? {
        let body = wire.read_body(head.request_framing()?)?;
        let identity = identity(&head);
        let fault = shared.book().enter(&identity, &body);
        let request = Passage { shared, identity: &identity, head: &head, body: &body };
        match fault {
            None => wire.stream.write_all(&request.pass()?)?,
            Some(Fault::Unavailable) => {
                wire.stream.write_all(&answer(503, "retry-after: 1\r\n", b"later"))?;
            }
            Some(Fault::TooMany) => wire.stream.write_all(&answer(429, "retry-after: 1\r\n", b""))?,
            Some(Fault::Refused) => wire.stream.write_all(&answer(500, "", GARBAGE))?,
            Some(Fault::Garbage) => return wire.stream.write_all(GARBAGE),
            Some(Fault::Hang) => return hang(wire),
            Some(Fault::Slow) => {
                thread::sleep(Duration::from_millis(300));
                let answer = request.pass()?;
                for piece in answer.chunks(answer.len().div_ceil(4)) {
                    wire.stream.write_all(piece)?;
                    thread::sleep(Duration::from_millis(50));
                }
            }
            Some(Fault::ResetInRequest) => {
                request.pass_half()?;
                return reset(&wire.stream);
            }
            Some(Fault::ResetAfterStored) => {
                request.pass()?;
                return reset(&wire.stream);
            }
            Some(Fault::HangAfterStored) => {
                request.pass()?;
                return hang(wire);
            }
            Some(Fault::GarbageAfterStored) => {
                request.pass()?;
                wire.stream.write_all(&answer(200, "content-type: application/x-protobuf\r\n", GARBAGE))?;
            }
        }
    }
    Ok(())
}

/// Neither HTTP nor protobuf: the first byte announces a field of a type that does not exist.
const GARBAGE: &[u8] = b"\xff\x00\x17 nothing that anybody \xe9 understands \r\n\r\n\x00";

/// A request on its way to the ingest.
struct Passage<'a> {
    shared: &'a Shared,
    identity: &'a Identity,
    head: &'a Head,
    body: &'a [u8],
}

impl Passage<'_> {
    /// Has the ingest answer; the error of an ingest that is not there ends the gateway's connection.
    fn pass(&self) -> io::Result<Vec<u8>> {
        let passed = self.answered();
        let mut book = self.shared.book();
        match &passed {
            Ok((status, _)) if (200..300).contains(status) => book.stored(self.identity),
            Ok((status, _)) => *book.tally.declined.entry(*status).or_default() += 1,
            Err(_) => book.tally.unreachable += 1,
        }
        passed.map(|(_, bytes)| bytes)
    }

    fn answered(&self) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = self.connect()?;
        stream.write_all(&self.bytes())?;
        let mut wire = Wire::new(stream);
        let head = wire.read_head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.start.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status: u16 = status.ok_or(io::ErrorKind::InvalidData)?;
        let body = wire.read_body(head.response_framing("POST", status)?)?;
        let mut headers = String::new();
        for name in ["content-type", "retry-after"] {
            if let Some(value) = http1::header(&head.headers, name) {
                headers.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value)));
            }
        }
        Ok((status, answer(status, &headers, &body)))
    }

    fn pass_half(&self) -> io::Result<()> {
        // An ingest that is not there has not seen the first half either.
        let Ok(mut stream) = self.connect() else { return Ok(()) };
        let bytes = self.bytes();
        let half = bytes.len() - self.body.len().div_ceil(2);
        stream.write_all(bytes.get(..half).unwrap_or_default())?;
        // A moment for the half to arrive: a reset discards what waits to be sent.
        thread::sleep(Duration::from_millis(20));
        reset(&stream)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.shared.ingest)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(INGEST_TIMEOUT))?;
        self.shared.book().offered(self.identity);
        Ok(stream)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.head.start).into_bytes();
        let hop = ["content-length", "transfer-encoding", "connection"];
        for (name, value) in &self.head.headers {
            if !hop.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
        }
        bytes.extend(format!("content-length: {}\r\nconnection: close\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend(self.body);
        bytes
    }
}

fn identity(head: &Head) -> Identity {
    let header = |name| http1::header(&head.headers, name).unwrap_or_default().to_vec();
    let path = head.start.split(' ').nth(1).unwrap_or_default().as_bytes().to_vec();
    [path, header("x-gatelens-instance"), header("x-gatelens-epoch"), header("x-gatelens-sequence")]
}

fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} Status\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Until the peer gives up.
fn hang(mut wire: Wire) -> io::Result<()> {
    wire.read_body(Framing::UntilClose).map(drop)
}

/// Closing the connection then resets it.
fn reset(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Receiver;
    use crate::client::{Connection, Request};

    fn send(proxy: &FaultProxy, sequence: u64, body: &str) -> Result<u16> {
        let mut connection = Connection::open(proxy.address())?;
        let request = Request::post("/v1/logs", body).header("x-gatelens-sequence", sequence.to_string());
        connection.request(&request).map(|response| response.status)
    }

    #[test]
    fn each_way_to_fail_comes_equally_often() {
        let receiver = Receiver::start().unwrap();
        let proxy = FaultProxy::start(receiver.address()).unwrap();
        let mut book = proxy.shared.book();
        book.recipe = Some(Recipe { rng: Rng::with_seed(1), passes_per_fault: 3 });
        let dealt: Vec<_> = (0..400).map(|_| book.deal()).collect();
        for fault in Fault::ALL {
            assert_eq!(dealt.iter().filter(|dealt| **dealt == Some(fault)).count(), 10, "{fault:?}");
        }
    }

    #[test]
    fn faults_are_what_they_say() {
        let check = |fault: Option<Fault>, status: Option<u16>, reached: &[&str]| {
            let receiver = Receiver::start().unwrap();
            let proxy = FaultProxy::start(receiver.address()).unwrap();
            {
                let mut book = proxy.shared.book();
                book.recipe = Some(Recipe { rng: Rng::with_seed(1), passes_per_fault: 0 });
                book.deck = vec![fault];
            }
            assert_eq!(send(&proxy, 1, "body").ok(), status, "{fault:?}");
            let bodies: Vec<String> = receiver
                .captured()
                .iter()
                .map(|request| String::from_utf8_lossy(&request.body).into_owned())
                .collect();
            assert_eq!(bodies, reached, "{fault:?}");
        };
        check(None, Some(200), &["body"]);
        check(Some(Fault::Unavailable), Some(503), &[]);
        check(Some(Fault::TooMany), Some(429), &[]);
        check(Some(Fault::Refused), Some(500), &[]);
        check(Some(Fault::Garbage), None, &[]);
        check(Some(Fault::Slow), Some(200), &["body"]);
        check(Some(Fault::ResetInRequest), None, &[]);
        check(Some(Fault::ResetAfterStored), None, &["body"]);
        check(Some(Fault::GarbageAfterStored), Some(200), &["body"]);
    }

    #[test]
    fn repeats_and_altered_bodies_are_noticed() {
        let receiver = Receiver::start().unwrap();
        let proxy = FaultProxy::start(receiver.address()).unwrap();
        for (sequence, body) in [(1, "a"), (2, "b"), (1, "a"), (2, "c")] {
            assert_eq!(send(&proxy, sequence, body).unwrap(), 200);
        }
        let tally = proxy.tally();
        assert_eq!((tally.requests, tally.repeats, tally.altered), (4, 2, 1));
    }
}
