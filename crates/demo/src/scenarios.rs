//! The requests of a shop's visitors in plausible proportions, with the names, addresses, passwords and cards in them.

use std::iter;
use std::time::{SystemTime, UNIX_EPOCH};

use gatelens_testkit::client::Request;
use serde_json::{Value, json};

/// One request. The method is repeated because reading the answer needs it.
pub(crate) struct Scenario {
    pub(crate) method: &'static str,
    pub(crate) request: Request,
    pub(crate) access: Access,
}

/// Whether the request carries the consumer's token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It does.
    Token,
    /// It does not: it asks for a token, or needs none.
    Open,
}

/// Numbers that the schemes set aside for tests.
const CARDS: [&str; 4] =
    ["4111 1111 1111 1111", "5555 5555 5555 4444", "4242424242424242", "3782 822463 10005"];
const NAMES: [&str; 6] =
    ["Ann Smith", "Jürgen Groß", "Mei Chen", "Aisha Okafor", "Carlos Muñoz", "Tom O'Neill"];
const WORDS: [&str; 6] = ["lamp", "floor+lamp", "grinder", "notebook", "linen", "mug"];

/// A random scenario.
pub(crate) fn random() -> Scenario {
    let user = fastrand::u32(1..960);
    match fastrand::u32(0..1000) {
        0..50 => get("/users".to_owned()),
        50..60 => get(format!("/users?email=user{user}%40example.com")),
        60..285 => get(format!("/users/{user}")),
        285..315 => json("PUT", format!("/users/{user}"), &json!({"name": name(), "phone": phone()})),
        315..325 => bare("DELETE", format!("/users/{user}")),
        325..350 => json("POST", "/users".to_owned(), &registration(user)),
        // Without an e-mail address: 422.
        350..357 => json("POST", "/users".to_owned(), &json!({"name": name()})),
        357..525 => get(format!("/orders/{}", uuid())),
        525..533 => asked("text/event-stream", "GET", format!("/orders/{}/events", uuid())),
        533..613 => json("POST", "/orders".to_owned(), &basket()),
        613..619 => json("POST", "/v1/orders".to_owned(), &batch()),
        619..800 => get(format!("/v1/items/{}", fastrand::u32(1..50_000))),
        800..880 => get(format!("/v1/search?q={}&page={}", pick(&WORDS), fastrand::u8(1..9))),
        880..920 => payment(),
        920..932 => get(format!("/v1/reports/2026-0{}-1{}", fastrand::u8(1..9), fastrand::u8(0..9))),
        932..942 => open(asked("application/pdf", "GET", invoice())),
        942..960 => open(json("POST", "/login".to_owned(), &login(user, &password()))),
        960..965 => open(json("POST", "/login".to_owned(), &login(user, "wrong"))),
        965..972 => open(credentials()),
        972..982 => open(get("/healthz".to_owned())),
        982..988 => open(get("/wp-login.php".to_owned())),
        988..992 => get("/dead/end".to_owned()),
        992..996 => bare("HEAD", format!("/users/{user}")),
        _ => get("/direct".to_owned()),
    }
}

/// A random identifier in the form of a UUID.
pub(crate) fn uuid() -> String {
    let bits = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn get(target: String) -> Scenario {
    bare("GET", target)
}

fn bare(method: &'static str, target: String) -> Scenario {
    asked("application/json", method, target)
}

fn asked(accept: &str, method: &'static str, target: String) -> Scenario {
    let request = Request::new(method, target).header("accept", accept);
    Scenario { method, request, access: Access::Token }
}

fn json(method: &'static str, target: String, body: &Value) -> Scenario {
    let scenario = bare(method, target);
    let request = scenario.request.header("content-type", "application/json").body(body.to_string());
    Scenario { request, ..scenario }
}

fn open(scenario: Scenario) -> Scenario {
    Scenario { access: Access::Open, ..scenario }
}

fn payment() -> Scenario {
    let body = json!({
        "order": uuid(),
        "amount": euros(),
        "currency": "EUR",
        "card": {"number": pick(&CARDS), "holder": name(), "expires": "09/29", "cvc": format!("{:03}", fastrand::u16(..1000))},
        // Names show the number above, only its form shows this one.
        "note": format!("please not {} again", pick(&CARDS)),
    });
    let scenario = json("POST", "/v1/payments".to_owned(), &body);
    Scenario { request: scenario.request.header("idempotency-key", uuid()), ..scenario }
}

/// A program's login, as a form.
fn credentials() -> Scenario {
    let secret = letters(32);
    let body =
        format!("grant_type=client_credentials&client_id=shop-app&client_secret={secret}&scope=orders");
    let scenario = bare("POST", "/oauth/token".to_owned());
    let request = scenario.request.header("content-type", "application/x-www-form-urlencoded").body(body);
    Scenario { request, ..scenario }
}

/// A link as it stands in an e-mail: whoever has it may see the invoice until it expires.
fn invoice() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("/v1/invoices/{}?expires={}&token={}", fastrand::u32(1_000..9_000), now + 3600, letters(40))
}

fn registration(user: u32) -> Value {
    json!({"email": format!("user{user}@example.com"), "name": name(), "password": password(), "newsletter": fastrand::bool()})
}

fn login(user: u32, password: &str) -> Value {
    json!({"user": format!("user{user}@example.com"), "password": password})
}

fn basket() -> Value {
    let items: Vec<Value> =
        (0..fastrand::u8(1..30)).map(|_| json!({"item": fastrand::u32(1..50_000), "count": 1})).collect();
    json!({"items": items, "shipping": address()})
}

/// What partners hand in once in a while: some dozens of orders of their own customers.
fn batch() -> Value {
    let orders: Vec<Value> = (0..fastrand::usize(3..40))
        .map(|number| {
            let customer = json!({"name": name(), "phone": phone()});
            json!({"id": uuid(), "number": number, "customer": customer, "shipping": address(), "total": euros()})
        })
        .collect();
    json!({"orders": orders})
}

fn address() -> Value {
    json!({"street": format!("Lindenstraße {}", fastrand::u8(1..120)), "zip": "10115", "city": "Berlin"})
}

fn name() -> &'static str {
    pick(&NAMES)
}

fn phone() -> String {
    format!("+49 30 555{:04}", fastrand::u16(..10_000))
}

fn password() -> String {
    format!("{}-{}", letters(5), letters(7))
}

fn euros() -> String {
    format!("{}.{:02}", fastrand::u16(5..400), fastrand::u8(..100))
}

fn letters(count: usize) -> String {
    iter::repeat_with(fastrand::alphanumeric).take(count).collect()
}

fn pick(from: &[&'static str]) -> &'static str {
    from[fastrand::usize(..from.len())]
}
