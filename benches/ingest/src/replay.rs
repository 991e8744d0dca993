//! Sends the exports of a gateway in the names of many.

use crate::batches::Batch;
use gatelens_testkit::client::{Connection, Request};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Repeats of a batch that is answered with 429 or 503, and the time before each.
const REPEATS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// What senders saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) batches: u64,
    /// Answers other than 200, after all repeats.
    pub(crate) refused: u64,
    /// Repeats of a batch for which the service had no room.
    pub(crate) repeated: u64,
    /// From the moment when a batch was due to its acknowledgement, ascending.
    pub(crate) acknowledged: Vec<Duration>,
    pub(crate) took: Duration,
}

impl Seen {
    /// The time within which this share of the batches was acknowledged.
    pub(crate) fn within(&self, share: f64) -> Duration {
        let last = self.acknowledged.len().saturating_sub(1);
        self.acknowledged.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// A batch in the name of a gateway.
struct Order<'a> {
    batch: &'a Batch,
    gateway: usize,
    /// Since the start; `None` as soon as the sender is free.
    due: Option<Duration>,
}

/// Sends all batches of each gateway as fast as they are acknowledged.
pub(crate) fn at_full_speed(
    address: SocketAddr,
    batches: &[&Batch],
    gateways: usize,
    senders: usize,
) -> Seen {
    let orders = (0..gateways)
        .flat_map(|gateway| batches.iter().map(move |batch| Order { batch, gateway, due: None }));
    send(address, &orders.collect::<Vec<_>>(), senders)
}

/// Sends each batch when it is due, the gateways in turn within a tick.
pub(crate) fn in_time(address: SocketAddr, batches: &[&Batch], gateways: usize, senders: usize) -> Seen {
    let mut orders: Vec<Order<'_>> = (0..gateways)
        .flat_map(|gateway| {
            let shift = Duration::from_millis(500) * gateway as u32 / gateways as u32;
            batches.iter().map(move |batch| Order { batch, gateway, due: Some(batch.due + shift) })
        })
        .collect();
    orders.sort_by_key(|order| order.due);
    send(address, &orders, senders)
}

fn send(address: SocketAddr, orders: &[Order<'_>], senders: usize) -> Seen {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let work = || {
        let mut seen = Seen::default();
        let mut connection = None;
        while let Some(order) = orders.get(next.fetch_add(1, Relaxed)) {
            if let Some(due) = order.due {
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
            let from = order.due.map_or_else(Instant::now, |due| start + due);
            let mut ask = || match &mut connection {
                Some(open) => Connection::request(open, &request(order)),
                none => Connection::open(address)
                    .and_then(|open| Connection::request(none.insert(open), &request(order))),
            };
            let mut answer = ask();
            // A gateway repeats these, too.
            for _ in 0..REPEATS {
                if !answer.as_ref().is_ok_and(|answer| matches!(answer.status, 429 | 503)) {
                    break;
                }
                seen.repeated += 1;
                std::thread::sleep(PAUSE);
                answer = ask();
            }
            match answer {
                Ok(answer) if answer.status == 200 => {
                    seen.requests += order.batch.requests;
                    seen.acknowledged.push(from.elapsed());
                }
                Ok(_) => seen.refused += 1,
                Err(_) => {
                    seen.refused += 1;
                    connection = None;
                }
            }
            seen.batches += 1;
        }
        seen
    };
    let mut all = Seen::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..senders).map(|_| scope.spawn(work)).collect();
        for seen in threads.into_iter().filter_map(|thread| thread.join().ok()) {
            all.requests += seen.requests;
            all.batches += seen.batches;
            all.refused += seen.refused;
            all.repeated += seen.repeated;
            all.acknowledged.extend(seen.acknowledged);
        }
    });
    all.took = start.elapsed();
    all.acknowledged.sort_unstable();
    all
}

fn request(order: &Order<'_>) -> Request {
    let headers = order.batch.headers.iter().filter(|(name, _)| name != "content-length");
    let request = Request::post(&order.batch.path, order.batch.body.clone())
        .host("localhost")
        .header("x-gatelens-instance", format!("edge-{}", order.gateway));
    headers.fold(request, |request, (name, value)| request.header(name, value))
}
