//! Traffic as a shop's gateway sees it: a few large consumers and many small ones, scanners, slow reports, wrong
//! input, clients that hang up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gatelens_testkit::Result;
use gatelens_testkit::client::{Connection, Request};

use crate::Stop;
use crate::scenarios::{self, Access, Scenario};

/// Requests at the same time, at most; more wait their turn.
const WORKERS: usize = 32;

/// A day of the demo's: traffic swells and ebbs once in it.
const DAY: Duration = Duration::from_secs(600);

/// By descending share: the k-th has 1/k of the first one's.
const CONSUMERS: [(&str, &str); 12] = [
    ("acme", "okhttp/4.12.0"),
    ("globex", "python-requests/2.32.3"),
    ("initech", "axios/1.7.9"),
    ("umbrella", "Go-http-client/1.1"),
    ("hooli", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("stark-industries", "curl/8.11.0"),
    ("wayne-enterprises", "Dart/3.5 (dart:io)"),
    ("wonka", "node-fetch/3.3.2"),
    ("tyrell", "Java/21.0.5"),
    ("cyberdyne", "python-httpx/0.28.1"),
    ("soylent", "PostmanRuntime/7.43.0"),
    ("vandelay", "libwww-perl/6.77"),
];

/// Running traffic; [`stop`](Self::stop) ends it.
pub(crate) struct Traffic {
    stop: Stop,
    tally: Arc<Tally>,
    threads: Vec<JoinHandle<()>>,
}

/// Outcomes of the requests so far.
#[derive(Default)]
pub(crate) struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    aborted: AtomicU64,
}

impl Traffic {
    /// Starts sending about `rate` requests per second, in waves.
    pub(crate) fn start(target: SocketAddr, rate: f64) -> Self {
        let (stop, tally) = (Stop::default(), Arc::new(Tally::default()));
        let (sender, receiver) = mpsc::sync_channel(WORKERS);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads: Vec<JoinHandle<()>> = (0..WORKERS)
            .map(|_| {
                let (receiver, tally) = (Arc::clone(&receiver), Arc::clone(&tally));
                thread::spawn(move || work(target, &receiver, &tally))
            })
            .collect();
        let pacing = stop.clone();
        threads.push(thread::spawn(move || pace(rate, &sender, &pacing)));
        Self { stop, tally, threads }
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Sends no more, waits for the answers under way and returns all outcomes.
    pub(crate) fn stop(self) -> Arc<Tally> {
        self.stop.request();
        for thread in self.threads {
            // One that panicked has printed why.
            let _ = thread.join();
        }
        self.tally
    }
}

impl Tally {
    /// Requests that reached the gateway.
    pub(crate) fn sent(&self) -> u64 {
        self.answered.load(Ordering::Relaxed) + self.aborted.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests sent", self.sent())?;
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => write!(f, ", {failed} failed"),
        }
    }
}

/// One visit: who, from where, what.
struct Visit {
    source: IpAddr,
    request: Request,
    method: &'static str,
    patience: Patience,
}

#[derive(PartialEq, Eq)]
enum Patience {
    Waits,
    HangsUp,
}

/// Hands out visits at random intervals (a Poisson process) until it must stop.
fn pace(rate: f64, sender: &SyncSender<Visit>, stop: &Stop) {
    let start = Instant::now();
    let mut due = start;
    while !stop.requested() {
        let phase = start.elapsed().as_secs_f64() / DAY.as_secs_f64() * std::f64::consts::TAU;
        let now = (rate * (1.0 + 0.45 * phase.sin())).max(0.01);
        due += Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / now);
        // In short naps, so that a low rate does not delay the end.
        while due > Instant::now() && !stop.requested() {
            thread::sleep((due - Instant::now().min(due)).min(Duration::from_millis(100)));
        }
        if due + Duration::from_secs(5) < Instant::now() {
            // Too slow a machine or gateway: what was missed is not made up for.
            due = Instant::now();
        }
        if sender.send(visit()).is_err() {
            return;
        }
    }
}

fn work(target: SocketAddr, receiver: &Mutex<Receiver<Visit>>, tally: &Tally) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(visit) = next else { return };
        let counter = match (pay(target, &visit), visit.patience) {
            (Err(_), _) => &tally.failed,
            (Ok(()), Patience::Waits) => &tally.answered,
            (Ok(()), Patience::HangsUp) => &tally.aborted,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn pay(target: SocketAddr, visit: &Visit) -> Result<()> {
    let mut connection = Connection::open_from(visit.source, target)?;
    connection.send_bytes(&visit.request.to_bytes())?;
    if visit.patience == Patience::HangsUp {
        thread::sleep(Duration::from_millis(fastrand::u64(5..60)));
        connection.abort();
        return Ok(());
    }
    connection.read_response(visit.method).map(drop)
}

fn visit() -> Visit {
    let Scenario { method, mut request, access } = scenarios::random();
    let (source, agent) = match consumer() {
        Some(index) => {
            let (name, agent) = CONSUMERS[index];
            request = request.header("x-consumer-id", name);
            if access == Access::Token {
                request = request.header("authorization", format!("Bearer {}", credential(name)));
            }
            // Each consumer calls from a few machines of its own.
            (Ipv4Addr::new(127, 1, index as u8, fastrand::u8(1..4)), agent)
        }
        None => (Ipv4Addr::new(127, 2, fastrand::u8(..), fastrand::u8(1..255)), "curl/8.11.0"),
    };
    request = request.header("user-agent", agent);
    if fastrand::u8(0..10) < 6 {
        let trace = format!("00-{:032x}-{:016x}-01", fastrand::u128(1..), fastrand::u64(1..));
        request = request.header("traceparent", trace);
    }
    if fastrand::u8(0..10) < 3 {
        request = request.header("x-request-id", scenarios::uuid());
    }
    let patience = if fastrand::u16(0..1000) < 6 { Patience::HangsUp } else { Patience::Waits };
    Visit { source: source.into(), request, method, patience }
}

/// `None` for the one visitor in twelve who is anonymous.
fn consumer() -> Option<usize> {
    if fastrand::u8(0..12) == 0 {
        return None;
    }
    let weights = (1..=CONSUMERS.len()).map(|rank| 1.0 / rank as f64);
    let mut left = fastrand::f64() * weights.clone().sum::<f64>();
    for (index, weight) in weights.enumerate() {
        left -= weight;
        if left <= 0.0 {
            return Some(index);
        }
    }
    Some(0)
}

/// The same for each of a consumer's requests, and of no use anywhere.
fn credential(name: &str) -> String {
    let mut random =
        fastrand::Rng::with_seed(name.bytes().fold(7, |seed, byte| seed.wrapping_mul(31) ^ u64::from(byte)));
    format!("{:032x}", random.u128(..))
}
