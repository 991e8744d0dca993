//! The worst that strangers can send and configurations can ask for: bounds of stack, result and work.
//!
//! The stack is as small as that of the module. Work is counted in steps ([`crate::work`]), so that no bound depends on
//! the speed of the machine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use gatelens_model::{Message, OmissionReason};

use crate::capture::{BodyEnd, Capture, CaptureConfig, Head};
use crate::{BodyKind, DetectorKind, Hits, MASK, RedactConfig, Redactor, work};

const STACK_BYTES: usize = 1 << 20;

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It stays as it is.
    Kept,
    /// So many masks stand in it.
    Masked(usize),
    LeftOut(OmissionReason),
}
use Fate::{Kept, LeftOut, Masked};

impl Fate {
    fn of(given: &str, left: Result<&str, OmissionReason>) -> Self {
        match left {
            Ok(left) if left == given => Kept,
            Ok(left) => Masked(left.matches(MASK).count()),
            Err(reason) => LeftOut(reason),
        }
    }
}

fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap().join().unwrap();
}

/// Work that does not grow with the input: a path may look at 100,000 nodes of any body.
const FREE_STEPS: u64 = 210_000;

/// Steps for each byte of the input, all rules and detectors together.
const STEPS_PER_BYTE: u64 = 25;

/// Runs within the bound of work for an input of this size.
#[track_caller]
fn bounded<T>(what: &str, bytes: usize, run: impl FnOnce() -> T) -> T {
    let bytes = bytes as u64;
    bounded_by(what, FREE_STEPS + STEPS_PER_BYTE * bytes, bytes, run)
}

#[track_caller]
fn bounded_by<T>(what: &str, most: u64, bytes: u64, run: impl FnOnce() -> T) -> T {
    let (steps, result) = work::of(run);
    if std::env::var_os("SHOW_WORK").is_some() {
        eprintln!("{what}: {steps} steps for {bytes} bytes, {:.1} each", steps as f64 / bytes as f64);
    }
    assert!(steps <= most, "{what}: {steps} steps for {bytes} bytes, at most {most}");
    result
}

fn redactor(paths: &[&str], detectors: &[DetectorKind]) -> Redactor {
    let request_body = paths.iter().map(|path| (*path).to_owned()).collect();
    Redactor::new(&RedactConfig { request_body, detectors: detectors.to_vec(), ..RedactConfig::default() })
        .unwrap()
}

fn repeated(begin: &str, piece: &str, times: usize, end: &str) -> String {
    [begin, &piece.repeat(times), end].concat()
}

/// A value that is percent-encoded once more with each layer that is put around it.
fn layers(around: &str, count: usize) -> String {
    (0..count).fold("x".to_owned(), |inner, _| {
        let encoded = inner.replace('%', "%25").replace('/', "%2F").replace(';', "%3B").replace('&', "%26");
        format!("{around}{encoded}")
    })
}

#[test]
fn bodies() {
    on_a_small_stack(|| {
        let plain = redactor(&["$..never", "$.a[*].b", "$.never[1:9:2]"], &DetectorKind::ALL);
        let filter = redactor(&["$..[?@.never == 1].b", "$..never[-1]"], &[]);
        let check = |what: &str, kind: BodyKind, body: &str, fate: Fate, with_filter: Fate| {
            for (redactor, fate) in [(&plain, fate), (&filter, with_filter)] {
                let left = bounded(what, body.len(), || {
                    redactor.body(Message::Request, kind, body, &mut Hits::default())
                });
                assert_eq!(Fate::of(body, left.as_deref().map_err(|reason| *reason)), fate, "{what}");
            }
        };
        let same = |what: &str, kind: BodyKind, body: &str, fate: Fate| check(what, kind, body, fate, fate);
        let json = BodyKind::Json;
        let too_deep = LeftOut(OmissionReason::TooDeep);
        same("open arrays", json, &"[".repeat(10_000_000), too_deep);
        same("open objects", json, &"{\"a\":".repeat(2_000_000), too_deep);
        same("open arrays in text", BodyKind::Text, &"[".repeat(300_000), Kept);
        same("a quoted word", BodyKind::Text, &repeated("\"", "a", 450_000, "\""), Kept);
        same("as deep as can be", json, &repeated("{\"x\":", "[", 127, &repeated("", "]", 127, "}")), Kept);
        let deep = ["[".repeat(127), "]".repeat(127), ",".to_owned()].concat();
        same("deep ones in a row", json, &repeated("[", &deep, 2_000, "0]"), Kept);
        same("a long array", json, &repeated("{\"x\":[", "1,", 100_000, "1]}"), Kept);
        let members: String = (0..100_000).map(|number| format!("\"k{number}\":1,")).collect();
        same("many members", json, &repeated("{", &members, 1, "\"z\":1}"), Kept);
        let secrets: String = (0..20_000).map(|number| format!("\"token {number}\":[1],")).collect();
        same("many secrets", json, &repeated("{", &secrets, 1, "\"z\":1}"), Masked(20_000));
        let duplicates = repeated("{", "\"a\":1,", 100_000, "\"a\":1}");
        check("one name", json, &duplicates, Kept, LeftOut(OmissionReason::DuplicateNames));
        same("escapes", json, &repeated("\"", "\\u0041", 50_000, "\""), Kept);
        same("an escaped name", json, &repeated("{\"", "\\u0041", 50_000, "\":1}"), Kept);
        same("a secret name", json, &repeated("{\"", "apiKey_ssn", 20_000, "\":1}"), Masked(1));
        same("blanks", json, &" ".repeat(300_000), LeftOut(OmissionReason::Truncated));
        same("digits", json, &"1".repeat(200_000), Kept);
        same("an open string", json, &repeated("\"", "a", 200_000, ""), LeftOut(OmissionReason::Truncated));
        same("lines", BodyKind::JsonLines, &"1\n".repeat(50_000), Kept);
        same("empty events", BodyKind::EventStream, &"\n".repeat(300_000), Kept);
        same("events", BodyKind::EventStream, &"data: {}\n\n".repeat(10_000), Kept);
        same("a long event", BodyKind::EventStream, &"data: x\n".repeat(50_000), Kept);
        let fields = "a=%25;b&".repeat(30_000);
        check("form fields", BodyKind::Form, &fields, Kept, LeftOut(OmissionReason::DuplicateNames));
        // A quoted text is read twice, as JSON and as text.
        let quoted = repeated("\"", "\\u0041: {", 50_000, "\"");
        let bytes = quoted.len() as u64;
        for redactor in [&plain, &filter] {
            let left = bounded_by("a quoted text", 2 * (FREE_STEPS + STEPS_PER_BYTE * bytes), bytes, || {
                redactor.body(Message::Request, BodyKind::Text, &quoted, &mut Hits::default())
            });
            assert_eq!(left.as_deref(), Ok(&*quoted));
        }
        // Values that are encoded layer upon layer are decoded as often: the power of one and a half.
        for (what, body) in [
            ("layers of matrix parameters", layers("//;a=", 250)),
            ("layers of queries", layers("/x?a=", 150)),
            ("layers of fields", layers("a=1&b=", 150)),
        ] {
            let bytes = body.len() as u64;
            for redactor in [&plain, &filter] {
                let left = bounded_by(what, bytes * bytes.isqrt(), bytes, || {
                    redactor.body(Message::Request, BodyKind::Form, &body, &mut Hits::default())
                });
                let fate = Fate::of(&body, left.as_deref().map_err(|reason| *reason));
                assert_eq!(fate, Masked(1), "{what}");
            }
        }
    });
}

#[test]
fn strings_in_bodies() {
    on_a_small_stack(|| {
        let redactor = redactor(&[], &DetectorKind::ALL);
        let check = |piece: &str, fate: Fate| {
            let body = repeated("[\"/?", piece, 20_000, "\"]");
            let left = bounded(piece, body.len(), || {
                redactor.body(Message::Request, BodyKind::Json, &body, &mut Hits::default()).unwrap()
            });
            assert_eq!(Fate::of(&body, Ok(&left)), fate, "{piece}");
        };
        for harmless in ["=", ";", "&", "?", "#", "/", "//", "%25", "a=b;", "a=%25;", "1 ", "4111 ", "a@"] {
            check(harmless, Kept);
        }
        check("token=", Masked(1));
        check("a@b.cd ", Masked(1));
        check("eyJ.", Masked(1));
        check("//a:b@c", Masked(1));
        check("4111111111111111 ", Masked(1));
    });
}

#[test]
fn headers() {
    on_a_small_stack(|| {
        let redactor = redactor(&[], &DetectorKind::ALL);
        let check = |piece: &str, fate: Fate| {
            let value = piece.repeat(60_000 / piece.len());
            let left = bounded(piece, value.len(), || {
                redactor.header(b"referer", value.as_bytes(), &mut Hits::default()).into_owned()
            });
            assert_eq!(redactor.header(b"referer", &left, &mut Hits::default()), left, "{piece}: twice");
            assert_eq!(Fate::of(&value, Ok(&String::from_utf8(left).unwrap())), fate, "{piece}");
        };
        for harmless in ["=", ";", "&", "?", "#", "%25", "a=b;", "a=%25;", "/;a=b", "a=//;", "http://", "1 "]
        {
            check(harmless, Kept);
        }
        check("token=", Masked(1));
        check("/;token=x", Masked(6_666));
        check("//a@", Masked(15_000));
    });
}

#[test]
fn request_paths() {
    on_a_small_stack(|| {
        let redactor = redactor(&[], &DetectorKind::ALL);
        let check = |piece: &str, fate: Fate| {
            let path = piece.repeat(60_000 / piece.len());
            let left = bounded(piece, path.len(), || {
                redactor.path(path.as_bytes(), &mut Hits::default()).into_owned()
            });
            assert_eq!(Fate::of(&path, Ok(&String::from_utf8(left).unwrap())), fate, "{piece}");
        };
        for harmless in ["/", "/{", "/[", "/\"", "/[\"", "/{}", "/{\"a\":1}", "/%25"] {
            check(harmless, Kept);
        }
        check("/{\"", Masked(1));
        check("/{\"a\":\"b/c\",\"token\":1}", Masked(1));
    });
}

#[test]
fn captured_bodies() {
    on_a_small_stack(|| {
        let redactor = redactor(&["$.a"], &[]);
        let config =
            CaptureConfig { request_body: true, max_body_bytes: 1_000_000, ..CaptureConfig::default() };
        let capture = Capture::new(&config).unwrap();
        let see = |media_type: &str, coding: &str, chunk: usize, body: &[u8]| {
            let headers = [("content-type", media_type), ("content-encoding", coding)];
            let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let mut taken = capture.body(Message::Request, &Head::request(headers)).unwrap();
            // A body is inflated to at most a million bytes.
            bounded(media_type, body.len().max(1_000_000), || {
                body.chunks(chunk).for_each(|chunk| taken.push(chunk));
                taken.finish(BodyEnd::Complete, &redactor, &mut Hits::default()).content
            })
        };
        let zip = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let json = "application/json";
        let numbers: String = (0..120_000).map(|number| format!("{number},")).collect();
        let array = repeated("[", &numbers, 1, "1]");
        assert_eq!(see(json, "identity", 1, array.as_bytes()).as_ref(), Ok(&array));
        assert_eq!(see(json, "gzip", 1, &zip(array.as_bytes())).as_ref(), Ok(&array));
        assert_eq!(see(json, "gzip", 4_096, &zip(&vec![b'['; 20_000_000])), Err(OmissionReason::TooLarge));
        // What is compressed twice is unpacked once.
        let twice = zip(&zip(&vec![b' '; 900_000]));
        assert_eq!(see(json, "gzip", 4_096, &twice), Err(OmissionReason::InvalidUtf8));
        assert_eq!(see(json, "gzip", 4_096, &zip(&vec![b' '; 900_000])), Err(OmissionReason::InflateBound));
        assert_eq!(see(json, "gzip", 4_096, &zip(b"").repeat(10_000)), Ok(String::new()));

        let events = "text/event-stream";
        let stream = "data: {\"b\":1}\n\n".repeat(100_000);
        let left = see(events, "identity", 1, stream.as_bytes()).unwrap();
        assert!((999_000..1_001_000).contains(&left.len()), "{}", left.len());
        assert_eq!(left.matches("data: {\"b\":1}\n\n").count() + 1, left.matches("\n\n").count());
        // Not one event is whole.
        let left = see(events, "identity", 1, &vec![b'x'; 1_500_000]).unwrap();
        assert_eq!(left, ": left out: 1500000 bytes\n\n");
    });
}

#[test]
fn paths() {
    on_a_small_stack(|| {
        let nested = |begin: &str, open: &str, inner: &str, close: &str, end: &str, times: usize| {
            [begin, &open.repeat(times), inner, &close.repeat(times), end].concat()
        };
        let check = |path: String, refused: Option<&str>| {
            let config = RedactConfig { request_body: vec![path.clone()], ..RedactConfig::default() };
            match (Redactor::new(&config), refused) {
                (Ok(redactor), None) => {
                    let body = repeated("", "[{\"a\":", 50, &repeated("1", "}]", 50, ""));
                    let left = bounded(&path, body.len(), || {
                        redactor.body(Message::Request, BodyKind::Json, &body, &mut Hits::default())
                    });
                    assert!(matches!(left, Ok(_) | Err(OmissionReason::RuleFailed)), "{path}: {left:?}");
                }
                (Err(defect), Some(says)) => assert!(defect.message.contains(says), "{path}: {defect}"),
                (result, _) => panic!("{path}: {:?}", result.err()),
            }
        };
        for times in [1, 6, 11] {
            check(nested("$[?", "(", "@.a", ")", "]", times), None);
            check(nested("$[?", "!(", "@.a == 1", ")", "]", times), None);
            check(nested("$[?", "(@.a || ", "@.b", ")", "]", times), None);
            check(nested("$", "[?@", ".a", "]", "", times), None);
        }
        check(nested("$[?", "length(", "@.a", ")", " == 1]", 6), None);
        check(nested("$[?", "length(", "@.a", ")", " == 1]", 7), Some("6 deep"));
        check(nested("$[?", "match(", "@.a", ", 'x')", "]", 11), Some("6 deep"));
        for times in [13, 150] {
            for open in ["(", "[", "[?@", "[?(", "!(", "@[?"] {
                check(nested("$[?", open, "", "", "", times), Some("12 deep"));
            }
        }
        check(nested("$", "[?@", "", "", "", 1_000_000), Some("at most 512"));
        check(nested("$", ".a", "", "", "", 255), None);
        check(nested("$", "..*", "", "", "", 170), None);
        check(nested("$[", "0,", "0", "", "]", 250), None);
        check(nested("$[?", "@||", "@", "", "]", 160), None);
        check(nested("$[?", "!", "@.a", "", "]", 500), Some("cannot stand here"));
        check(nested("$[?match(@, '", "(", "a", ")*", "')]", 160), Some("does not compile"));
        check(nested("$[?match(@, '", "(a|b)*", "", "", "')]", 80), None);
    });
}
