//! The shop's records: an identifier always has the same user, order or item.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter;
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use serde_json::{Value, json};

const GIVEN_NAMES: [&str; 8] = ["Ann", "Jürgen", "Mei", "Łukasz", "Aisha", "Carlos", "Ingrid", "Tom"];
const FAMILY_NAMES: [&str; 8] = ["Smith", "Groß", "Chen", "Żak", "Okafor", "Muñoz", "Lund", "O'Neill"];
const STREETS: [&str; 5] = ["Main Street", "Lindenstraße", "Rua Augusta", "Nygade", "High Street"];
const CITIES: [(&str, &str); 5] = [
    ("10115", "Berlin"),
    ("SW1A 1AA", "London"),
    ("01310", "São Paulo"),
    ("8000", "Aarhus"),
    ("10001", "New York"),
];
const GOODS: [&str; 6] =
    ["Desk lamp", "Floor lamp", "Coffee grinder", "Notebook, squared", "Linen curtain", "Mug, 0.3 l"];
const STATES: [&str; 4] = ["received", "packed", "shipped", "delivered"];

/// Rows of a report: more than is captured of a body by default.
const REPORT_ROWS: usize = 900;

const INVOICE_BYTES: usize = 18_000;

pub(super) fn user(id: u64) -> Value {
    let mut rng = Rng::with_seed(id);
    let (given, family) = (pick(&mut rng, &GIVEN_NAMES), pick(&mut rng, &FAMILY_NAMES));
    json!({
        "id": id,
        "name": format!("{given} {family}"),
        "email": format!("user{id}@example.com"),
        "phone": format!("+49 30 555{:04}", rng.u32(0..10_000)),
        "address": address(&mut rng),
        "newsletter": rng.bool(),
    })
}

pub(super) fn order(id: &str) -> Value {
    let mut rng = seeded(id);
    let lines: Vec<Value> = (0..rng.usize(1..6))
        .map(|_| {
            let price = rng.u32(290..19_900);
            json!({"item": rng.u32(1..50_000), "title": pick(&mut rng, &GOODS), "count": 1, "price": euros(price)})
        })
        .collect();
    let customer = user(rng.u64(1..900));
    json!({
        "id": id,
        "state": pick(&mut rng, &STATES),
        "customer": {"id": customer["id"], "name": customer["name"], "email": customer["email"]},
        "shipping": customer["address"],
        "lines": lines,
        "total": euros(rng.u32(1_290..49_900)),
    })
}

/// An order of a partner's with what it was accepted as.
pub(super) fn confirmation(order: &Value) -> Value {
    json!({
        "id": order["id"],
        "number": order["number"],
        "state": "received",
        "customer": order["customer"],
        "shipping": order["shipping"],
        "total": order["total"],
        "links": {"self": format!("/orders/{}", order["id"].as_str().unwrap_or_default())},
    })
}

pub(super) fn item(id: &str) -> Value {
    let mut rng = seeded(id);
    json!({"item": id, "title": pick(&mut rng, &GOODS), "price": euros(rng.u32(290..19_900)), "in_stock": rng.u8(..)})
}

pub(super) fn found() -> Value {
    let items: Vec<Value> = (0..10).map(|_| item(&fastrand::u32(1..50_000).to_string())).collect();
    json!({"hits": fastrand::u32(10..300), "items": items})
}

/// What a login is answered with.
pub(super) fn token() -> Value {
    let letters = |count| iter::repeat_with(fastrand::alphanumeric).take(count).collect::<String>();
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{}.{}", letters(60), letters(86));
    json!({"access_token": token, "refresh_token": letters(40), "token_type": "Bearer", "expires_in": 3600})
}

/// What is said of a payment that was made; as much of the card as may be printed.
pub(super) fn receipt(payment: &[u8]) -> Value {
    let payment: Value = serde_json::from_slice(payment).unwrap_or_default();
    let number = payment["card"]["number"].as_str().unwrap_or_default();
    let last: String = number.chars().skip(number.chars().count().saturating_sub(4)).collect();
    json!({"id": id(), "order": payment["order"], "amount": payment["amount"], "state": "paid", "card_ending": last})
}

/// A year of sales by item: too large for a log.
pub(super) fn report(day: &str) -> Value {
    let mut rng = seeded(day);
    let rows: Vec<Value> = (0..REPORT_ROWS)
        .map(|_| {
            json!({"item": rng.u32(1..50_000), "title": pick(&mut rng, &GOODS), "sold": rng.u8(..), "returned": rng.u8(..9),
                   "revenue": euros(rng.u32(..900_000))})
        })
        .collect();
    json!({"day": day, "orders": 1312, "rows": rows})
}

/// Server-sent events with what became of an order, from its packing to the door.
pub(super) fn events(id: &str) -> String {
    let mut rng = seeded(id);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let courier = user(rng.u64(1..900));
    let events = [
        ("status", json!({"order": id, "state": "packed", "at": now})),
        ("courier", json!({"name": courier["name"], "phone": courier["phone"], "vehicle": "bicycle"})),
        ("position", json!({"lat": 52.5 + rng.f64() / 10.0, "lon": 13.3 + rng.f64() / 5.0})),
        (
            "status",
            json!({"order": id, "state": "delivered", "at": now + 1, "door_code": rng.u32(1_000..10_000)}),
        ),
    ];
    events.iter().map(|(name, data)| format!("event: {name}\ndata: {data}\n\n")).collect()
}

/// Something that a program for documents would complain of, but a gateway does not.
pub(super) fn invoice(number: &str) -> Vec<u8> {
    let mut file = format!("%PDF-1.7\n% invoice {number}\n").into_bytes();
    file.resize(INVOICE_BYTES, 0xe2);
    file
}

/// A random identifier in the form of a UUID.
pub(super) fn id() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn address(rng: &mut Rng) -> Value {
    let (zip, city) = CITIES[rng.usize(..CITIES.len())];
    json!({"street": format!("{} {}", pick(rng, &STREETS), rng.u8(1..120)), "zip": zip, "city": city})
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

fn euros(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn seeded(text: &str) -> Rng {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Rng::with_seed(hasher.finish())
}
