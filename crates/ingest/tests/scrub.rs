//! Damage within files is found and set aside, and everything else is answered as before.

use crate::support::otlp::{Frame, MINUTE, Made, NOON, SECOND, export_logs, made, record, text};
use crate::support::{Service, noise};
use gatelens_ingest::query_offline;
use gatelens_ingest::upkeep::scrub::{Damage, Deed, Scrubbed, scrub};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const RANGE: &str = "from=2026-06-20T11:00:00Z&to=2026-06-20T14:00:00Z";
const MINUTES: u64 = 40;
const ROUTES: [&str; 8] = [
    "/users/{id}",
    "/orders/{id}",
    "/orders/{id}/items",
    "/carts/{id}",
    "/search",
    "/login",
    "/logout",
    "/status",
];

/// All requests up to the end of a minute: each route had one more in each.
fn made_until(minute: u64) -> Vec<Made> {
    (0..minute)
        .flat_map(|minute| ROUTES.map(|route| made(route, 200, 0.01 * (minute % 7 + 1) as f64)))
        .collect()
}

fn count(service: &Service, minute: u64) {
    let frame = Frame::at(NOON + minute * MINUTE).of(&made_until(minute));
    service.send("/v1/metrics", Some(("edge-1", 1, minute)), &frame).accepted();
}

/// A service with counts of more than an hour, and chunks of the log of which some are longer than a page.
fn filled() -> Service {
    let service = Service::start();
    for minute in 1..=MINUTES {
        count(&service, minute);
    }
    for batch in 1..=6 {
        let records = (0..100).map(|index| {
            let mut record =
                record(NOON + batch * MINUTE + index * SECOND / 2, &made("/users/{id}", 200, 0.1));
            if batch % 2 == 0 && index < 10 {
                record.attributes.push(text(
                    "gatelens.request.body.content",
                    &noise(batch * 100 + index, 2_000, b'a'..=b'z'),
                ));
            }
            record
        });
        service.send("/v1/logs", Some(("edge-1", 1, batch)), &export_logs(records.collect())).accepted();
    }
    service
}

/// The files of a directory: their contents by name.
fn contents(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(data).unwrap().map(Result::unwrap);
    let files = files.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "db"));
    files
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

fn put(data: &Path, files: &BTreeMap<String, Vec<u8>>) {
    let _ = std::fs::remove_dir_all(data);
    std::fs::create_dir_all(data).unwrap();
    for (name, content) in files {
        std::fs::write(data.join(name), content).unwrap();
    }
}

fn ask(data: &Path, question: &str) -> Value {
    let (status, body) = query_offline(data, question);
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{question}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// All that can be asked of a store.
#[derive(Debug, PartialEq)]
struct Answers {
    /// Rows by route and minute.
    minutes: BTreeMap<(String, String), Value>,
    /// By route, over whole half hours.
    half_hours: BTreeMap<String, Value>,
    /// Rows of the log by id.
    log: BTreeMap<String, Value>,
}

fn answers(data: &Path) -> Answers {
    let mut minutes = BTreeMap::new();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let series = ask(data, &format!("timeseries?{RANGE}&step=60&group_by=route"));
    for point in series["points"].as_array().unwrap() {
        minutes.insert((text(point, "route"), text(point, "time")), point.clone());
    }
    let summary = ask(data, &format!("summary?{RANGE}&group_by=route"));
    let half_hours = summary["rows"].as_array().unwrap().iter().map(|row| (text(row, "route"), row.clone()));
    let mut log = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = ask(data, &format!("requests?{RANGE}&limit=1000{cursor}"));
        let rows = page["rows"].as_array().unwrap();
        log.extend(rows.iter().map(|row| (text(row, "request_id"), row.clone())));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    Answers { half_hours: half_hours.collect(), minutes, log }
}

/// Changes the bytes of a page.
type Harm = fn(&mut [u8]);

const HARMS: [(&str, Harm); 4] = [
    ("its head", |page| page[..16].iter_mut().for_each(|byte| *byte ^= 0x5a)),
    ("a bit in its middle", |page| page[page.len() / 2] ^= 0x10),
    ("a bit near its end", |page| page[page.len() - 300] ^= 0x02),
    ("all of it", |page| page.fill(0xa5)),
];

/// Whether damage of a table may have cost a row of a time.
fn covers(damage: &[Damage], table: &str, time: &str) -> bool {
    let time: jiff::Timestamp = time.parse().unwrap();
    damage.iter().any(|one| {
        one.table.as_deref() == Some(table)
            && one.lost > 0
            && one.from.is_none_or(|from| from <= time)
            && one.to.is_none_or(|to| time <= to)
    })
}

/// Asserts that all answers are as before, except those about what the scrub has reported as lost.
fn compare(before: &Answers, after: &Answers, scrubbed: &Scrubbed, case: &str) {
    let damage = &scrubbed.damage;
    for ((route, time), row) in &before.minutes {
        let found = after.minutes.get(&(route.clone(), time.clone()));
        assert!(
            found == Some(row) || covers(damage, "minutes", time),
            "{case}: {route} at {time}: {found:?}, {damage:?}"
        );
    }
    let known = |row: &(String, String)| before.minutes.contains_key(row);
    assert!(after.minutes.keys().all(known), "{case}: minutes that there were not");
    let is_lost = damage.iter().any(|one| one.table.as_deref() == Some("half_hours") && one.lost > 0);
    for (route, row) in &before.half_hours {
        let found = after.half_hours.get(route);
        assert!(found == Some(row) || is_lost, "{case}: {route}: {found:?}, {damage:?}");
    }
    for (id, row) in &after.log {
        assert_eq!(before.log.get(id), Some(row), "{case}");
    }
    let lost: u64 =
        damage.iter().filter(|one| one.table.as_deref() == Some("chunks")).map(|one| one.lost).sum();
    let missing = (before.log.len() - after.log.len()) as u64;
    assert!(missing <= lost, "{case}: {missing} rows are missing, {damage:?}");
}

#[test]
fn any_damaged_page_costs_no_more_than_what_the_scrub_reports() {
    let mut service = filled();
    let mut files = BTreeMap::new();
    service.restart(|data| files = contents(data));
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    put(&data, &files);
    let before = answers(&data);
    assert_eq!((before.minutes.len(), before.log.len()), (MINUTES as usize * ROUTES.len(), 600));
    let mut found = 0;
    for (name, content) in
        files.iter().filter(|(name, _)| !["alerts.db", "issues.db", "spans.db"].contains(&name.as_str()))
    {
        let page_size = usize::from(u16::from_be_bytes([content[16], content[17]]));
        for page in 0..content.len() / page_size {
            // A page of each kind has seen each harm when all have seen one.
            for (place, harm) in HARMS.iter().skip(page % HARMS.len()).take(1) {
                let mut harmed = files.clone();
                harm(&mut harmed.get_mut(name).unwrap()[page * page_size..][..page_size]);
                put(&data, &harmed);
                let case = format!("{place}, page {} of {name}", page + 1);
                let scrubbed = scrub(&data, Deed::SetAside).unwrap_or_else(|error| panic!("{case}: {error}"));
                let after = answers(&data);
                if scrubbed.report.damaged == 0 {
                    // The bytes are in use by nothing.
                    assert_eq!(after, before, "{case}");
                    continue;
                }
                found += 1;
                compare(&before, &after, &scrubbed, &case);
                if found % 5 == 0 {
                    let again = scrub(&data, Deed::SetAside).unwrap();
                    assert_eq!(again.report.damaged, 0, "{case}: {again:?}");
                }
            }
        }
    }
    assert!(found > 20, "{found} cases of damage");
}
