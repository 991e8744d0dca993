//! The border of the dynamic module with a fake Envoy that keeps to its ABI and to nothing else: odd bytes, absent values, hooks in
//! any order, responses late, twice or never, on several threads at once.
//!
//! `make border` runs it under Valgrind, which finds uses of freed memory. `GATELENS_BORDER_STREAMS` sets the number of streams.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod host;

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use gatelens_dynamic_module::abi::{Buffer, Opaque, TimingInfoV2};
use gatelens_dynamic_module::{bootstrap, filter, guard, logger};
use host::{CALLOUTS, IS_SCHEDULED, LOG, Outcome, SENT, Stream};

const CONFIG: &str = r#"{
    "version": 1, "ingest": {"cluster": "ingest", "compression": "none"}, "limits": {"flush_ms": 500},
    "consumer": {"sources": [{"response_header": "x-caller"}, {"metadata": ["jwt", "claim"]}, {"header": "x-consumer-id"}]},
    "capture": {"request_headers": ["*"], "response_headers": ["*"], "request_body": true, "response_body": true}
}"#;

/// Each the value of Envoy's object for the whole test: never used by the fake but as an address.
const BOOTSTRAP: Opaque = std::ptr::without_provenance(0x10);
const FILTER_CONFIG: Opaque = std::ptr::without_provenance(0x20);

fn buffer(text: &str) -> Buffer {
    Buffer { ptr: text.as_ptr(), length: text.len() }
}

/// One test, because the module's state is the process's.
#[test]
fn nothing_that_envoy_may_do_breaks_the_module() {
    refused();
    let begun = begin();
    let streams = std::env::var("GATELENS_BORDER_STREAMS").map_or(3_000, |number| number.parse().unwrap());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|seed| {
                let (config, filter_config) = (begun.logger.addr(), begun.filter.addr());
                scope.spawn(move || work(seed, streams, config, filter_config))
            })
            .collect();
        let main = &is_over;
        // This thread is Envoy's main one: it is where the module was configured.
        let watch = scope.spawn(move || {
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            main.store(true, Ordering::Release);
        });
        let mut rng = Rng::with_seed(99);
        while !is_over.load(Ordering::Acquire) {
            turn(&mut rng);
        }
        watch.join().unwrap();
    });
    *CALLOUTS.lock().unwrap() = Outcome::Taken;
    caught();
    ends(&begun);
    let log = LOG.lock().unwrap();
    assert_eq!(log.iter().filter(|line| line.contains("a panic of the module")).count(), 1, "{log:#?}");
}

struct Begun {
    logger: Opaque,
    filter: Opaque,
}

/// Configurations that are refused, and a filter without one.
fn refused() {
    // SAFETY: the texts live longer than the calls.
    unsafe {
        let logger =
            logger::envoy_dynamic_module_on_access_logger_config_new(BOOTSTRAP, buffer("a"), buffer(CONFIG));
        assert!(logger.is_null());
        assert!(LOG.lock().unwrap().iter().any(|line| line.contains("needs the bootstrap extension")));
        let odd = bootstrap::envoy_dynamic_module_on_bootstrap_extension_config_new(
            BOOTSTRAP,
            buffer(""),
            buffer("{\"x\": 1}"),
        );
        assert!(odd.is_null());
        let nothing = Buffer { ptr: std::ptr::null(), length: 0 };
        let filter = filter::envoy_dynamic_module_on_http_filter_config_new(FILTER_CONFIG, nothing, nothing);
        assert!(filter.is_null(), "a configuration without `ingest`");
        filter::envoy_dynamic_module_on_http_filter_config_destroy(filter);
        // A filter without a configuration does nothing.
        let idle = filter::envoy_dynamic_module_on_http_filter_new(std::ptr::null(), std::ptr::null());
        assert_eq!(
            filter::envoy_dynamic_module_on_http_filter_request_headers(std::ptr::null(), idle, true),
            0
        );
        filter::envoy_dynamic_module_on_http_filter_destroy(idle);
    }
}

fn begin() -> Begun {
    // SAFETY: the texts live longer than the calls.
    unsafe {
        let name = r#"{"instance": "edge"}"#;
        let extension = bootstrap::envoy_dynamic_module_on_bootstrap_extension_config_new(
            BOOTSTRAP,
            buffer("g"),
            buffer(name),
        );
        assert!(!extension.is_null());
        bootstrap::envoy_dynamic_module_on_bootstrap_extension_server_initialized(
            std::ptr::null(),
            extension,
        );
        let logger = logger::envoy_dynamic_module_on_access_logger_config_new(
            std::ptr::null(),
            buffer("g"),
            buffer(CONFIG),
        );
        let filter = filter::envoy_dynamic_module_on_http_filter_config_new(
            FILTER_CONFIG,
            buffer("g"),
            buffer(CONFIG),
        );
        assert!(!logger.is_null() && !filter.is_null());
        Begun { logger, filter }
    }
}

/// A turn of the main thread's loop: what was scheduled, and responses of any kind.
fn turn(rng: &mut Rng) {
    if IS_SCHEDULED.swap(false, Ordering::AcqRel) {
        bootstrap::envoy_dynamic_module_on_bootstrap_extension_config_scheduled(BOOTSTRAP, BOOTSTRAP, 0);
    }
    let sent: Vec<u64> = SENT.lock().unwrap().drain(..).map(|(id, _, _)| id).collect();
    for id in sent {
        match rng.u8(0..8) {
            0 => host::answer(BOOTSTRAP, id, 1, &[], &[]),
            1 => host::answer(BOOTSTRAP, id, 0, &[(":status", "\u{0}\u{fffd}")], &[&[0xff; 9_000], &[]]),
            2 => {
                host::answer(BOOTSTRAP, id, 0, &[(":status", "429"), ("retry-after", "99999999999999")], &[])
            }
            _ => host::answer(BOOTSTRAP, id, 0, &[(":status", "200")], &[b"{}"]),
        }
        if rng.u8(0..4) == 0 {
            // Again, and one that nobody has asked for.
            host::answer(BOOTSTRAP, id, 0, &[(":status", "200")], &[]);
            host::answer(FILTER_CONFIG, rng.u64(..), 0, &[(":status", "200")], &[]);
        }
    }
    let outcomes =
        [Outcome::Taken, Outcome::Taken, Outcome::AnsweredAtOnce, Outcome::NoCluster, Outcome::Unavailable];
    *CALLOUTS.lock().unwrap() = outcomes[rng.usize(..outcomes.len())];
    thread::sleep(Duration::from_millis(1));
}

/// A worker of Envoy's.
fn work(seed: u64, streams: u64, logger_config: usize, filter_config: usize) {
    let mut rng = Rng::with_seed(seed);
    let (logger_config, filter_config) =
        (std::ptr::with_exposed_provenance(logger_config), std::ptr::with_exposed_provenance(filter_config));
    // SAFETY: the configurations live longer than the workers.
    unsafe {
        let logger = logger::envoy_dynamic_module_on_access_logger_new(logger_config, std::ptr::null());
        assert!(!logger.is_null());
        let mut open: Vec<(Box<Stream>, Opaque)> = Vec::new();
        for _ in 0..streams {
            let stream = Box::new(odd_stream(&mut rng));
            let filter = filter::envoy_dynamic_module_on_http_filter_new(filter_config, stream.pointer());
            open.push((stream, filter));
            let (stream, filter) = open.swap_remove(rng.usize(..open.len()));
            let is_kept = hooks(&mut rng, &stream, filter);
            if is_kept && open.len() < 20 {
                open.push((stream, filter));
            } else {
                logger::envoy_dynamic_module_on_access_logger_log(
                    stream.pointer(),
                    logger,
                    [0, 3, 5, 6, 6, 6, 9, 77][rng.usize(..8)],
                );
                filter::envoy_dynamic_module_on_http_filter_destroy(filter);
            }
        }
        for (_, filter) in open {
            filter::envoy_dynamic_module_on_http_filter_destroy(filter);
        }
        logger::envoy_dynamic_module_on_access_logger_flush(logger);
        logger::envoy_dynamic_module_on_access_logger_destroy(logger);
    }
}

/// Hooks of a stream, mostly in their order. Whether more follow.
///
/// # Safety
/// The filter must be alive.
unsafe fn hooks(rng: &mut Rng, stream: &Stream, filter: Opaque) -> bool {
    let at = stream.pointer();
    for step in 0..rng.usize(1..9) {
        let step = if rng.u8(0..6) == 0 { rng.usize(0..7) } else { step };
        let end = rng.bool();
        // SAFETY: the caller's promise.
        unsafe {
            let status = match step {
                0 => filter::envoy_dynamic_module_on_http_filter_request_headers(at, filter, end),
                1 => filter::envoy_dynamic_module_on_http_filter_request_body(at, filter, end),
                2 => filter::envoy_dynamic_module_on_http_filter_request_trailers(at, filter),
                3 => filter::envoy_dynamic_module_on_http_filter_response_headers(at, filter, end),
                4 => filter::envoy_dynamic_module_on_http_filter_response_body(at, filter, end),
                5 => filter::envoy_dynamic_module_on_http_filter_response_trailers(at, filter),
                _ => {
                    filter::envoy_dynamic_module_on_http_filter_stream_complete(at, filter);
                    return rng.u8(0..8) == 0;
                }
            };
            assert_eq!(status, 0, "every part of every message passes");
        }
    }
    rng.bool()
}

fn odd_stream(rng: &mut Rng) -> Stream {
    let names: [&[u8]; 12] = [
        b":path",
        b":method",
        b":authority",
        b":scheme",
        b"x-consumer-id",
        b"content-type",
        b"content-encoding",
        b"x-caller",
        b"traceparent",
        b"cookie",
        b":status",
        b"",
    ];
    let values: [&[u8]; 9] = [
        b"/users/42?a=b",
        b"POST",
        b"a.test:99999",
        b"application/json",
        b"gzip",
        b"\xff\xfe\0\r\n",
        b"200",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"",
    ];
    let pairs = |rng: &mut Rng| {
        let mut pairs = vec![
            (b":path".to_vec(), b"/a/7?token=8675309".to_vec()),
            (b"content-type".to_vec(), b"application/json".to_vec()),
        ];
        for _ in 0..rng.usize(0..20) {
            let name = if rng.bool() { names[rng.usize(..names.len())].to_vec() } else { bytes(rng, 30) };
            let value = if rng.bool() { values[rng.usize(..values.len())].to_vec() } else { bytes(rng, 300) };
            pairs.push((name, value));
        }
        pairs
    };
    let number = |rng: &mut Rng| [0, 1, 200, 503, u64::MAX, 1 << 63, 4_096][rng.usize(..7)];
    let mut timing = TimingInfoV2 { has: [rng.u8(..); 19], ..TimingInfoV2::default() };
    timing.request_complete_duration_ns = [-1, 0, 5_000_000, i64::MAX, i64::MIN][rng.usize(..5)];
    timing.first_upstream_tx_byte_sent_ns = [-1, 0, 1_000, i64::MAX, i64::MIN][rng.usize(..5)];
    timing.last_upstream_rx_byte_received_ns = [-1, 0, 2_000, i64::MAX, i64::MIN][rng.usize(..5)];
    let body = match rng.u8(0..4) {
        0 => bytes(rng, 9_000),
        1 => br#"{"token": "8675309", "a": [1, 2]}"#.to_vec(),
        2 => "[".repeat(rng.usize(0..5_000)).into_bytes(),
        _ => {
            format!(r#"{{"a": "{}", "password": "8675309"}}"#, "x".repeat(rng.usize(0..20_000))).into_bytes()
        }
    };
    Stream {
        request: pairs(rng),
        response: pairs(rng).into(),
        texts: half(rng, |rng| bytes(rng, 40)),
        numbers: half(rng, number),
        timing,
        chunks: body.chunks(rng.usize(1..3_000)).map(<[u8]>::to_vec).collect(),
        lies: rng.u8(0..20) == 0,
    }
}

/// About half of all attributes, and of the metadata.
fn half<T>(rng: &mut Rng, value: impl Fn(&mut Rng) -> T) -> Vec<(u32, T)> {
    let mut known = Vec::new();
    for id in (0..70).chain([1_000]) {
        if rng.bool() {
            known.push((id, value(rng)));
        }
    }
    known
}

fn bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    (0..rng.usize(0..=most)).map(|_| rng.u8(..)).collect()
}

/// A panic comes no further than the hook, is counted once, and is in the log.
fn caught() {
    let silent = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    assert_eq!(guard::guarded(|| -> u8 { panic!("on purpose") }), None);
    assert_eq!(guard::guarded(|| 7), Some(7));
    std::panic::set_hook(silent);
    bootstrap::envoy_dynamic_module_on_bootstrap_extension_config_scheduled(BOOTSTRAP, BOOTSTRAP, 0);
    assert!(LOG.lock().unwrap().contains(&"counter 7 + 1".to_owned()));
}

static HAS_ENDED: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn ended(context: *mut c_void) {
    assert!(context.is_null());
    assert!(!HAS_ENDED.swap(true, Ordering::AcqRel), "Envoy's callback is called once");
}

/// The end of the process: what is left is sent, and Envoy may go on. No secret is in anything that was sent.
fn ends(begun: &Begun) {
    let mut bodies = Vec::new();
    // SAFETY: the callback and the configurations are alive.
    unsafe {
        bootstrap::envoy_dynamic_module_on_bootstrap_extension_shutdown(
            BOOTSTRAP,
            BOOTSTRAP,
            ended,
            std::ptr::null_mut(),
        );
        let start = Instant::now();
        while !HAS_ENDED.load(Ordering::Acquire) {
            assert!(start.elapsed() < Duration::from_secs(60), "the end never comes");
            let sent: Vec<_> = SENT.lock().unwrap().drain(..).collect();
            for (id, path, body) in sent {
                bodies.push((path, body));
                host::answer(BOOTSTRAP, id, 0, &[(":status", "200")], &[b"{}"]);
            }
            if IS_SCHEDULED.swap(false, Ordering::AcqRel) {
                bootstrap::envoy_dynamic_module_on_bootstrap_extension_config_scheduled(
                    BOOTSTRAP, BOOTSTRAP, 0,
                );
            }
            thread::sleep(Duration::from_millis(1));
        }
        logger::envoy_dynamic_module_on_access_logger_config_destroy(begun.logger);
        filter::envoy_dynamic_module_on_http_filter_config_destroy(begun.filter);
        bootstrap::envoy_dynamic_module_on_bootstrap_extension_config_destroy(BOOTSTRAP);
    }
    assert!(bodies.iter().any(|(path, _)| path == "/v1/metrics"), "{} requests", bodies.len());
    for (path, body) in bodies {
        assert!(!String::from_utf8_lossy(&body).contains("8675309"), "a secret left to {path}");
    }
}
