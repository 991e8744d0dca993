//! Every bound of the service in one place.

use crate::query::TrafficLabel;
use std::time::Duration;

/// The bounds of the service. Beyond a bound it refuses with a status that the sender understands.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time. When all places are taken, a further one replaces one that waits for a request; while none
    /// waits, it stays in the kernel's queue. Each takes a file descriptor and at most [`head_bytes`](Self::head_bytes).
    pub connections: usize,
    /// Connections of one peer (an IPv4 address, or a /64 network of IPv6), within
    /// [`connections`](Self::connections). Envoy opens one for each worker thread.
    pub connections_per_peer: usize,
    /// Requests at a time on paths other than `/v1/*` and `/healthz`, until their answers are read; beyond, 503. This
    /// keeps the other places for gateways and health checks.
    pub visitors: usize,
    /// Requests of one peer on `/api/*` at a time, within [`visitors`](Self::visitors), until their answers are read;
    /// beyond, 503. A browser has six.
    pub readers_per_peer: usize,
    /// Bytes of a request's head; a longer one is answered 431.
    pub head_bytes: usize,
    /// Time for a head to arrive, from the opening of the connection or from the first byte of a further head; then the
    /// connection is closed.
    pub head_timeout: Duration,
    /// Time between two requests of a connection; then it is closed. Envoy closes idle connections after an hour, and
    /// notices when they are closed.
    pub idle_timeout: Duration,
    /// Time in which a client must read at least a byte of a blocked answer; then the connection is closed.
    pub write_timeout: Duration,
    /// Time in which a client must read a whole answer; then the connection is closed.
    pub answer_timeout: Duration,
    /// Bytes of all answers of the read API that their clients have not read; beyond, 503.
    pub answer_bytes: usize,
    /// Bytes of these that one peer may have, except that one answer is always allowed; beyond, 503.
    pub answer_bytes_per_peer: usize,
    /// Requests on `/v1/*` of one peer without a token in a second, on the average of ten seconds; beyond, 429. A worker
    /// thread of Envoy sends about three.
    pub sender_requests_per_second: u32,
    /// Bytes on `/v1/*` of one peer without a token in a second, on the average of ten seconds; beyond, 429.
    pub sender_bytes_per_second: u64,
    /// Requests on `/v1/*` of one sender with tokens in a second, from all of its addresses, on the average of ten seconds;
    /// beyond, 429. It takes the place of the bound of its addresses.
    pub token_requests_per_second: u32,
    /// Bytes on `/v1/*` of one sender with tokens in a second, in the same way; beyond, 429.
    pub token_bytes_per_second: u64,
    /// Requests on other paths of one peer in a second, on the average of ten seconds; beyond, 429.
    pub reader_requests_per_second: u32,
    /// Time for a request's body to arrive; a slower one is answered 408.
    pub body_timeout: Duration,
    /// Bytes of one body, as sent and after decompression; a larger one is answered 413.
    pub body_bytes: usize,
    /// Bytes of memory of all bodies being received, decoded or stored; beyond, 429.
    pub memory_bytes: usize,
    /// Bytes of memory that the content of one body may take when it is decoded; beyond, 413. It is held before it is
    /// made, out of [`Limits::memory_bytes`].
    pub decoded_bytes: usize,
    /// Bodies decoded at a time; further ones wait. A half of the places is for counters and a half for the log, and
    /// within a half the peers take turns.
    pub decoders: usize,
    /// Batches that wait for each of the two writers; beyond, 429.
    pub writer_queue: usize,
    /// Series that the store keeps apart; points of further ones are rejected in the answer's partial success.
    pub series: usize,
    /// Series of one environment, which is what a sender's token proves.
    pub series_per_environment: usize,
    /// Series of one service in one environment.
    pub series_per_sender: usize,
    /// Series that all strangers together make on one UTC day: instances that are seen for less than
    /// [`known_after`](Self::known_after). Those with tokens of an environment have a bound of this size for each
    /// environment.
    pub series_of_strangers: usize,
    /// Instances that are new on one UTC day; data of further ones is rejected in the answer's partial success.
    pub new_instances: usize,
    /// Those of one service in one environment.
    pub new_instances_per_sender: usize,
    /// Those of all strangers together; with tokens of an environment, those of the strangers in it.
    pub new_instances_of_strangers: usize,
    /// Time after which an instance, or a service in an environment, is no stranger.
    pub known_after: Duration,
    /// Time between two looks at which routes are new or have vanished.
    pub drift_interval: Duration,
    /// Bytes of spans of applications: a half for an environment, and a quarter for a service in it. The oldest of the
    /// sender with too much, or with the most, give way. 0 keeps none. With a store on ClickHouse these are bytes of its table,
    /// on each of its servers, and the oldest of all give way.
    pub spans_bytes: u64,
    /// Age of a report beyond which a store on ClickHouse counts it in the present, because what it would change is closed.
    pub late_report: Duration,
    /// Requests in the time range of a sort by duration, at or above which a store on ClickHouse first asks for requests that took
    /// more than 64 s, 32 s, and so on.
    pub long_log: u64,
    /// Time between two looks at what this replica has to tell others, and what they have told.
    pub tell_interval: Duration,
    /// Queries answered at a time; further ones wait.
    pub readers: usize,
    /// Bytes of one question to `redact`, as sent and after decompression; beyond, 413.
    pub preview_bytes: usize,
    /// Questions to `redact` answered and documents compared at a time; further ones wait.
    pub previews: usize,
    /// Time for one question to `redact`, once for a place and once for its rules; beyond, 429 and 422. The rules of a
    /// real configuration take milliseconds.
    pub preview_timeout: Duration,
    /// Bytes of one OpenAPI document to compare, as sent and after decompression; beyond, 413.
    pub document_bytes: usize,
    /// Time for one comparison, once for a place among [`previews`](Self::previews) and once for the work; beyond, 429 and
    /// 422.
    pub document_timeout: Duration,
    /// Passwords hashed at a time, each of which takes 19 MiB and tens of milliseconds of a core; further ones wait.
    pub sign_ins: usize,
    /// Sign-ins that wait for the provider of OpenID Connect at a time; beyond, 503.
    pub oidc_sign_ins: usize,
    /// Time for one query to read the store; beyond, 503.
    pub query_timeout: Duration,
    /// Time after which a trial of a rule on the past answers with what it found, to be gone on with. Less than
    /// `query_timeout`.
    pub trial_piece: Duration,
    /// Points in one answer of `timeseries`.
    pub points: usize,
    /// Groups whose percentiles are added up at a time: the most in one answer of `summary`, or of `timeseries` in all.
    pub groups: usize,
    /// Groups of which `summary` makes pages; beyond, it refuses.
    pub ranked_groups: usize,
    /// Bytes of memory for sums of counts that questions may ask for again.
    pub kept_bytes: usize,
    /// Rows in one answer of `requests`.
    pub rows: usize,
    /// Bytes of the rows in one answer of `requests`: the page ends before the row that would exceed them, if it is not
    /// the first.
    pub page_bytes: usize,
    /// Requests of the log that one query reads before it answers with what it found and a cursor.
    pub scanned: usize,
    /// Readers who follow requests as they come; beyond, 503.
    pub streams: usize,
    /// Time after which a stream ends, so that its reader comes again and proves anew who it is.
    pub stream_time: Duration,
    /// Rows in one part of a stream, of which there are two in a second; of more, the earliest are counted as skipped.
    pub stream_rows: usize,
    /// Bytes of these rows.
    pub stream_bytes: usize,
    /// Exports at a time; beyond, 503.
    pub exports: usize,
    /// Rows in one export.
    pub export_rows: usize,
    /// Labels of `/metrics/traffic` where the scraper chooses none.
    pub traffic_labels: Vec<TrafficLabel>,
    /// Sets of labels in one answer of `/metrics/traffic`; beyond, it refuses.
    pub traffic_series: usize,
    /// Time for requests under way to finish after a stop was asked for.
    pub stop_timeout: Duration,
}

impl Limits {
    /// Sets the number of series, and gives an environment, a sender and all strangers their shares of it.
    pub(crate) fn share_series(&mut self, series: usize) {
        self.series = series;
        self.series_per_environment = (series * 4 / 5).max(1);
        self.series_per_sender = (series / 4).max(1);
        self.series_of_strangers = (series / 5).max(1);
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_peer: 256,
            visitors: 512,
            readers_per_peer: 32,
            head_bytes: 64 << 10,
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(20),
            answer_timeout: Duration::from_secs(120),
            answer_bytes: 128 << 20,
            answer_bytes_per_peer: 64 << 20,
            sender_requests_per_second: 2_000,
            sender_bytes_per_second: 64 << 20,
            token_requests_per_second: 10_000,
            token_bytes_per_second: 256 << 20,
            reader_requests_per_second: 200,
            body_timeout: Duration::from_secs(30),
            body_bytes: 16 << 20,
            memory_bytes: 256 << 20,
            decoded_bytes: 96 << 20,
            decoders: 2,
            writer_queue: 64,
            series: 500_000,
            series_per_environment: 400_000,
            series_per_sender: 125_000,
            series_of_strangers: 100_000,
            new_instances: 20_000,
            new_instances_per_sender: 5_000,
            new_instances_of_strangers: 5_000,
            known_after: Duration::from_secs(24 * 3600),
            drift_interval: Duration::from_secs(60),
            late_report: Duration::from_secs(24 * 3600),
            long_log: 4_000_000,
            tell_interval: Duration::from_secs(2),
            spans_bytes: 256 << 20,
            readers: 4,
            preview_bytes: 2 << 20,
            previews: 2,
            preview_timeout: Duration::from_secs(2),
            document_bytes: 8 << 20,
            document_timeout: Duration::from_secs(10),
            sign_ins: 1,
            oidc_sign_ins: 8,
            query_timeout: Duration::from_secs(15),
            trial_piece: Duration::from_secs(3),
            points: 11_000,
            groups: 10_000,
            ranked_groups: 200_000,
            kept_bytes: 32 << 20,
            rows: 1_000,
            page_bytes: 16 << 20,
            scanned: 500_000,
            streams: 32,
            stream_time: Duration::from_secs(300),
            stream_rows: 100,
            stream_bytes: 1 << 20,
            exports: 4,
            export_rows: 1_000_000,
            traffic_labels: TrafficLabel::usual(),
            traffic_series: 10_000,
            stop_timeout: Duration::from_secs(10),
        }
    }
}
