//! A web shop's API, as plausible as a demo needs: some routes are slow, some fail, some do not exist.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::upstream::{Answer, Received};

/// Users beyond this number do not exist.
const USERS: u64 = 900;

/// Answers any path.
pub(crate) fn answer(request: &Received) -> Answer {
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["healthz"]) => Answer::text(200, "ok\n"),
        ("POST", ["login"]) => login(request),
        ("GET", ["users"]) => {
            Answer::json(200, &json!({"users": (1..=20).map(user).collect::<Vec<_>>()})).after(delay(12))
        }
        ("POST", ["users"]) => create(request, &["email", "name"]),
        (method, ["users", id]) => one_user(method, id),
        ("GET", ["orders", id]) => order(id),
        ("POST", ["orders"]) => create(request, &["items"]),
        ("GET", ["v1", "items", id]) => {
            Answer::json(200, &json!({"item": id, "price": "12.90"})).after(delay(3))
        }
        ("GET", ["v1", "search"]) => {
            Answer::json(200, &json!({"hits": fastrand::u32(0..300)})).after(delay(60))
        }
        ("POST", ["v1", "payments"]) => payment(),
        ("GET", ["v1", "reports", day]) => {
            Answer::json(200, &json!({"day": day, "orders": 1312})).after(300 + delay(250))
        }
        ("GET", []) | ("GET", [""]) => Answer::text(200, "a demo shop behind gatelens\n"),
        _ => Answer::json(404, &problem("Not Found", "there is no such route")),
    }
}

fn one_user(method: &str, id: &str) -> Answer {
    let Some(id) = id.parse().ok().filter(|id| *id <= USERS) else {
        return Answer::json(404, &problem("Not Found", "there is no such user")).after(delay(3));
    };
    match method {
        "GET" | "HEAD" => Answer::json(200, &user(id)).after(delay(6)),
        "PUT" | "PATCH" => Answer::json(200, &user(id)).after(delay(15)),
        "DELETE" => Answer::text(204, "").after(delay(10)),
        _ => Answer::json(405, &problem("Method Not Allowed", "users are read, changed or deleted")),
    }
}

fn login(request: &Received) -> Answer {
    let wrong = request.body.windows(5).any(|window| window == b"wrong");
    if wrong {
        return Answer::json(401, &problem("Unauthorized", "unknown user or password")).after(delay(40));
    }
    Answer::json(200, &json!({"expires_in": 3600})).after(delay(40))
}

fn create(request: &Received, fields: &[&str]) -> Answer {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if let Some(missing) = fields.iter().find(|field| body.get(field).is_none()) {
        let detail = json!([{"loc": ["body", missing], "msg": "Field required", "type": "missing"}]);
        return Answer::json(422, &json!({"detail": detail})).after(delay(4));
    }
    Answer::json(201, &json!({"created": true})).after(delay(20))
}

fn order(id: &str) -> Answer {
    if fastrand::u32(0..100) < 2 {
        return Answer::json(500, &problem("Internal Server Error", "the order book is locked"))
            .after(delay(25));
    }
    Answer::json(200, &json!({"order": id, "state": "shipped", "total": "48.20"})).after(delay(25))
}

fn payment() -> Answer {
    // Twice an hour the bank has a bad minute and a half, to be found on the page.
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 1800;
    let failing = if second < 90 { 40 } else { 3 };
    match fastrand::u32(0..100) {
        n if n < failing => Answer::json(503, &problem("Service Unavailable", "the bank does not answer"))
            .after(400 + delay(200)),
        n if n < failing + 6 => {
            Answer::json(402, &problem("Payment Required", "the card was declined")).after(delay(80))
        }
        _ => Answer::json(201, &json!({"paid": true})).after(delay(120)),
    }
}

fn user(id: u64) -> serde_json::Value {
    json!({"id": id, "name": format!("User {id}"), "email": format!("user{id}@example.com")})
}

fn problem(title: &str, detail: &str) -> serde_json::Value {
    json!({"type": "about:blank", "title": title, "detail": detail})
}

/// A delay in milliseconds with a long tail around a typical one: one in a hundred takes three times as long.
fn delay(typical: u64) -> u64 {
    let skewed = -(1.0 - fastrand::f64()).ln();
    (typical as f64 * (0.4 + 0.6 * skewed)) as u64
}
