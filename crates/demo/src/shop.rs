//! A web shop's API, as plausible as a demo needs: some routes are slow, some fail, some do not exist, and its bodies
//! hold what bodies hold: people, addresses, tokens, cards.

mod records;

use std::time::{SystemTime, UNIX_EPOCH};

use gatelens_testkit::answer::{Answer, Ending, Received};
use serde_json::{Value, json};

/// Users beyond this number do not exist.
const USERS: u64 = 900;

/// Answers any path.
#[must_use]
pub fn answer(request: &Received) -> Answer {
    // Many services disclose more about themselves than their clients need.
    let node = format!("shop-{}.fra.internal", fastrand::u8(1..4));
    route(request).header("x-internal-node", &node)
}

fn route(request: &Received) -> Answer {
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["healthz"]) => Answer::text(200, "ok\n"),
        ("POST", ["login"]) => login(request),
        ("POST", ["oauth", "token"]) => Answer::json(200, &records::token()).after(delay(15)),
        ("GET", ["users"]) => users(request),
        ("POST", ["users"]) => {
            create(request, &["email", "name"], "/users", &fastrand::u64(900..999).to_string())
        }
        (method, ["users", id]) => one_user(method, id),
        ("GET", ["orders", id]) => order(id),
        ("GET", ["orders", id, "events"]) => events(id),
        ("POST", ["orders"]) => create(request, &["items"], "/orders", &records::id()),
        ("POST", ["v1", "orders"]) => batch(request),
        ("GET", ["v1", "items", id]) => Answer::json(200, &records::item(id)).after(delay(3)),
        ("GET", ["v1", "search"]) => Answer::json(200, &records::found()).after(delay(60)),
        ("POST", ["v1", "payments"]) => payment(request),
        ("GET", ["v1", "invoices", number]) => invoice(number),
        ("GET", ["v1", "reports", day]) => Answer::json(200, &records::report(day)).after(300 + delay(250)),
        ("GET", []) | ("GET", [""]) => Answer::text(200, "a demo shop behind gatelens\n"),
        _ => Answer::json(404, &problem("Not Found", "there is no such route")),
    }
}

/// All of the first page, or the one with an e-mail address.
fn users(request: &Received) -> Answer {
    let users: Vec<Value> = match request.parameter("email") {
        Some(_) => vec![records::user(fastrand::u64(1..=USERS))],
        None => (1..=20).map(records::user).collect(),
    };
    Answer::json(200, &json!({"users": users, "total": USERS})).after(delay(12))
}

fn one_user(method: &str, id: &str) -> Answer {
    let Some(id) = id.parse().ok().filter(|id| *id <= USERS) else {
        return Answer::json(404, &problem("Not Found", "there is no such user")).after(delay(3));
    };
    match method {
        "GET" | "HEAD" => Answer::json(200, &records::user(id)).after(delay(6)),
        "PUT" | "PATCH" => Answer::json(200, &records::user(id)).after(delay(15)),
        "DELETE" => Answer::text(204, "").after(delay(10)),
        _ => Answer::json(405, &problem("Method Not Allowed", "users are read, changed or deleted")),
    }
}

fn login(request: &Received) -> Answer {
    let wrong = request.body.windows(5).any(|window| window == b"wrong");
    if wrong {
        return Answer::json(401, &problem("Unauthorized", "unknown user or password")).after(delay(40));
    }
    let answer = Answer::json(200, &records::token()).after(delay(40));
    answer.header("set-cookie", &format!("session={:032x}; Path=/; HttpOnly; Secure", fastrand::u128(..)))
}

fn create(request: &Received, fields: &[&str], collection: &str, id: &str) -> Answer {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if let Some(missing) = fields.iter().find(|field| body.get(field).is_none()) {
        return incomplete(missing);
    }
    let answer = Answer::json(201, &json!({"id": id, "state": "created"})).after(delay(20));
    answer.header("location", &format!("{collection}/{id}"))
}

/// Orders that a partner hands in together; each is confirmed.
fn batch(request: &Received) -> Answer {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    match body["orders"].as_array() {
        Some(orders) => {
            let orders: Vec<Value> = orders.iter().map(records::confirmation).collect();
            Answer::json(201, &json!({"accepted": orders.len(), "orders": orders})).after(delay(35))
        }
        None => incomplete("orders"),
    }
}

fn order(id: &str) -> Answer {
    if fastrand::u32(0..100) < 2 {
        return Answer::json(500, &problem("Internal Server Error", "the order book is locked"))
            .after(delay(25));
    }
    Answer::json(200, &records::order(id)).after(delay(25))
}

/// What became of an order, as server-sent events.
fn events(id: &str) -> Answer {
    let answer = Answer::text(200, records::events(id)).after(500 + delay(200)).ending(Ending::Chunked(64));
    Answer { content_type: "text/event-stream".to_owned(), ..answer }
}

fn payment(request: &Received) -> Answer {
    // Twice an hour the bank has a bad minute and a half, to be found on the page.
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 1800;
    let failing = if second < 90 { 40 } else { 3 };
    match fastrand::u32(0..100) {
        n if n < failing => Answer::json(503, &problem("Service Unavailable", "the bank does not answer"))
            .after(400 + delay(200)),
        n if n < failing + 6 => {
            Answer::json(402, &problem("Payment Required", "the card was declined")).after(delay(80))
        }
        _ => Answer::json(201, &records::receipt(&request.body)).after(delay(120)),
    }
}

fn invoice(number: &str) -> Answer {
    let answer = Answer::text(200, records::invoice(number)).after(delay(30));
    Answer { content_type: "application/pdf".to_owned(), ..answer }
}

fn incomplete(field: &str) -> Answer {
    let detail = json!([{"loc": ["body", field], "msg": "Field required", "type": "missing"}]);
    Answer::json(422, &json!({"detail": detail})).after(delay(4))
}

fn problem(title: &str, detail: &str) -> Value {
    json!({"type": "about:blank", "title": title, "detail": detail})
}

/// A delay in milliseconds with a long tail around a typical one: one in a hundred takes three times as long.
fn delay(typical: u64) -> u64 {
    let skewed = -(1.0 - fastrand::f64()).ln();
    (typical as f64 * (0.4 + 0.6 * skewed)) as u64
}
