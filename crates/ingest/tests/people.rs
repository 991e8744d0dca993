//! Who may read: sign-in, sessions, roles, and the fields that a role does not see.

use crate::support::otlp::{NOON, export_logs, int, list, made, record, text};
use crate::support::{Answer, Service};
use gatelens_ingest::{AccessConfig, Limits, NewToken, Role, TokenOwner, user_line};
use gatelens_testkit::wait;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

const EVER: &str = "from=2026-06-01T00:00:00Z&to=2026-07-01T00:00:00Z";
const PASSWORD: &str = "correct horse battery";
const CSRF: (&str, &str) = ("x-gatelens-csrf", "1");

/// A service with people and programs of each role, and senders.
pub(crate) struct Guarded {
    service: Service,
    users: PathBuf,
    lines: String,
    /// By role.
    tokens: [String; 3],
    sender: String,
    _dir: TempDir,
}

impl Guarded {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (users, senders) = (dir.path().join("users.yaml"), dir.path().join("tokens.yaml"));
        let program = |role| NewToken::new(&format!("ci-{role}"), TokenOwner::Person { role }).unwrap();
        let programs = Role::ALL.map(program);
        let people = Role::ALL.map(|role| user_line(role.name(), role, PASSWORD).unwrap());
        let lines: Vec<_> = people.iter().chain(programs.iter().map(|token| &token.line)).cloned().collect();
        let lines = lines.join("\n");
        fs::write(&users, &lines).unwrap();
        let sender = NewToken::new("edge", TokenOwner::Sender { environment: "*" }).unwrap();
        fs::write(&senders, &sender.line).unwrap();
        let access = AccessConfig {
            sender_tokens: Some(senders),
            users: Some(users.clone()),
            ..AccessConfig::default()
        };
        let service = Service::guarded(Limits::default(), access);
        let (tokens, sender) = (programs.map(|token| token.token), sender.token);
        Self { service, users, lines, tokens, sender, _dir: dir }
    }

    fn token(&self, role: Role) -> String {
        format!("Bearer {}", self.tokens[role as usize])
    }

    pub(crate) fn get(&self, path: &str, role: Role) -> Answer {
        self.service.get_with(path, &[("authorization", &self.token(role))])
    }

    /// Sends spans with the sender's token.
    pub(crate) fn send_spans(&self, export: &impl prost::Message) {
        let authorization = format!("Bearer {}", self.sender);
        let headers = [("content-type", "application/x-protobuf"), ("authorization", &*authorization)];
        self.service.post("/v1/traces", &headers, &export.encode_to_vec()).accepted();
    }

    fn json(&self, path: &str, role: Role) -> Value {
        let answer = self.get(path, role);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn sign_in(&self, name: &str, password: &str) -> Answer {
        let body = json!({"name": name, "password": password}).to_string();
        let headers = [("content-type", "application/json"), CSRF];
        self.service.post("/api/v1/session", &headers, body.as_bytes())
    }

    /// The cookie of a new session, as a browser sends it back.
    fn cookie(&self, name: &str) -> String {
        let answer = self.sign_in(name, PASSWORD);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    /// A request with everything that may be personal.
    fn with_a_request(self) -> Self {
        let mut full = record(NOON, &made("/a", 200, 0.1));
        full.attributes.extend([
            text("url.query", "secret-query=1"),
            int("client.port", 4711),
            text("user_agent.original", "secret-agent"),
            list("http.request.header.x-tag", &["secret-header"]),
            list("http.response.header.x-tag", &["secret-header"]),
            text("gatelens.request.body.content", "{\"a\": \"secret-body\"}"),
            text("gatelens.response.body.content", "secret-body"),
        ]);
        let body = prost::Message::encode_to_vec(&export_logs(vec![full]));
        let sender = format!("Bearer {}", self.sender);
        let headers = [("content-type", crate::support::PROTOBUF), ("authorization", &*sender)];
        assert_eq!(self.service.post("/v1/logs", &headers, &body).status, 200);
        self
    }
}

/// Who is let in at each operation of the description: nobody, viewer, analyst, admin, a sender.
const WHO: &[(&str, &str, [bool; 5])] = &[
    ("get", "/healthz", [true; 5]),
    ("get", "/metrics", READERS),
    ("get", "/metrics/traffic", READERS),
    ("post", "/v1/metrics", SENDERS),
    ("post", "/v1/logs", SENDERS),
    ("post", "/v1/traces", SENDERS),
    ("get", "/v1/gatelens/route-patterns", SENDERS),
    ("get", "/api/v1/openapi.json", [true; 5]),
    ("get", "/api/v1/session", [true; 5]),
    ("post", "/api/v1/session", [true; 5]),
    ("delete", "/api/v1/session", [true; 5]),
    ("get", "/auth/start", [true; 5]),
    ("get", "/auth/callback", [true; 5]),
    ("get", "/api/v1/summary", READERS),
    ("get", "/api/v1/timeseries", READERS),
    ("get", "/api/v1/latencies", READERS),
    ("get", "/api/v1/requests", READERS),
    ("get", "/api/v1/requests/stream", READERS),
    ("get", "/api/v1/requests/export", READERS),
    ("get", "/api/v1/spans", READERS),
    ("get", "/api/v1/gateways", READERS),
    ("get", "/api/v1/consumers", READERS),
    ("get", "/api/v1/directory", READERS),
    ("put", "/api/v1/consumers/{id}", ADMIN),
    ("delete", "/api/v1/consumers/{id}", ADMIN),
    ("post", "/api/v1/consumers/import", ADMIN),
    ("get", "/api/v1/releases", READERS),
    ("get", "/api/v1/uptime", READERS),
    ("get", "/api/v1/patterns", READERS),
    ("get", "/api/v1/drift", READERS),
    ("get", "/api/v1/shapes", READERS),
    ("get", "/api/v1/openapi", READERS),
    ("post", "/api/v1/openapi/compare", READERS),
    ("get", "/api/v1/storage", READERS),
    ("get", "/api/v1/links", READERS),
    ("get", "/api/v1/audit", [false, false, false, true, false]),
    ("post", "/api/v1/redact", [false, false, true, true, false]),
    ("get", "/api/v1/issues", READERS),
    ("get", "/api/v1/issues/{id}", READERS),
    ("put", "/api/v1/issues/{id}", [false, false, true, true, false]),
    ("get", "/api/v1/alerts", READERS),
    ("get", "/api/v1/alerts/deliveries", READERS),
    ("get", "/api/v1/alerts/history", READERS),
    ("post", "/api/v1/alerts/try", READERS),
    ("post", "/api/v1/alerts/rules", ADMIN),
    ("put", "/api/v1/alerts/rules/{name}", ADMIN),
    ("delete", "/api/v1/alerts/rules/{name}", ADMIN),
    ("post", "/api/v1/alerts/rules/{name}/mute", ADMIN),
    ("post", "/api/v1/alerts/rules/{name}/unmute", ADMIN),
    ("post", "/api/v1/alerts/receivers", ADMIN),
    ("get", "/api/v1/alerts/receivers/{name}", ADMIN),
    ("put", "/api/v1/alerts/receivers/{name}", ADMIN),
    ("delete", "/api/v1/alerts/receivers/{name}", ADMIN),
    ("post", "/api/v1/alerts/receivers/{name}/test", ADMIN),
];
const ADMIN: [bool; 5] = [false, false, false, true, false];
const READERS: [bool; 5] = [false, true, true, true, false];
const SENDERS: [bool; 5] = [false, false, false, false, true];

#[test]
fn every_operation_lets_in_whom_the_table_names() {
    let guarded = Guarded::start();
    let document: Value = serde_json::from_slice(&guarded.service.get("/api/v1/openapi.json").body).unwrap();
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let row = WHO.iter().find(|(known, at, _)| known == method && at == path);
            let (_, _, expected) = row.unwrap_or_else(|| panic!("{method} {path} is not in the table"));
            let tokens =
                guarded.tokens.iter().chain([&guarded.sender]).map(|token| format!("Bearer {token}"));
            for (who, authorization) in std::iter::once(None).chain(tokens.map(Some)).enumerate() {
                let mut headers: Vec<_> =
                    authorization.iter().map(|value| ("authorization", &**value)).collect();
                headers.push(("content-type", "application/json"));
                headers.push(CSRF);
                let answer = guarded.service.send_any(method, path, &headers);
                let is_denied = matches!(answer.status, 401 | 403);
                assert_eq!(!is_denied, expected[who], "{method} {path} by {who}: {}", answer.status);
                if is_denied {
                    // Only somebody with a role can have too low a one.
                    let known = (1..=3).contains(&who) && !path.starts_with("/v1/");
                    assert_eq!(answer.status, if known { 403 } else { 401 }, "{method} {path} by {who}");
                }
            }
            walked += 1;
        }
    }
    assert_eq!(walked, WHO.len(), "the table has operations that are not described");
    // Nor does a path that nobody described, or another method, let anybody pass.
    for (method, path, role, status) in [
        ("get", "/api/v1/nothing", None, 401),
        ("get", "/api/v1/nothing", Some(Role::Viewer), 404),
        ("post", "/api/v1/summary", Some(Role::Analyst), 403),
        ("post", "/api/v1/summary", Some(Role::Admin), 405),
        ("get", "/v1/nothing", Some(Role::Admin), 401),
        ("get", "/", None, 200),
    ] {
        let token = role.map(|role| guarded.token(role));
        let mut headers: Vec<_> = token.iter().map(|token| ("authorization", &**token)).collect();
        headers.push(("accept", "text/html"));
        assert_eq!(
            guarded.service.send_any(method, path, &headers).status,
            status,
            "{method} {path} {role:?}"
        );
    }
}

#[test]
fn a_viewer_sees_neither_bodies_nor_headers_nor_queries_nor_addresses() {
    let guarded = Guarded::start().with_a_request();
    let path = format!("/api/v1/requests?{EVER}");
    let withheld = [
        "query",
        "client_address",
        "client_port",
        "user_agent",
        "request_headers",
        "response_headers",
        "request_body",
        "response_body",
    ];
    let answer = guarded.get(&path, Role::Viewer);
    assert!(!answer.text().contains("secret") && !answer.text().contains("192.0.2.7"), "{}", answer.text());
    let row = &guarded.json(&path, Role::Viewer)["rows"][0];
    assert_eq!((&row["path"], &row["status"]), (&json!("/a"), &json!(200)));
    let named: Vec<_> =
        row["withheld"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for name in withheld {
        assert!(row.get(name).is_none() && named.contains(&name), "{name}: {row}");
    }
    assert_eq!(named.len(), withheld.len());
    for role in [Role::Analyst, Role::Admin] {
        let row = &guarded.json(&path, role)["rows"][0];
        assert!(row["query"] == "secret-query=1" && row["response_body"] == "secret-body", "{row}");
        assert_eq!(row["client_address"], "192.0.2.7");
        assert!(row.get("withheld").is_none(), "{row}");
    }
    for format in ["csv", "ndjson"] {
        let export = format!("/api/v1/requests/export?{EVER}&format={format}");
        let text = guarded.get(&export, Role::Viewer).text();
        assert!(text.contains("withheld") && text.contains("/a"), "{text}");
        assert!(!text.contains("secret") && !text.contains("192.0.2.7"), "{text}");
        let text = guarded.get(&export, Role::Analyst).text();
        assert!(text.contains("secret-query=1") && text.contains("192.0.2.7"), "{text}");
        for path in [export, "/api/v1/requests/stream?".to_owned()] {
            let answer = guarded.get(&format!("{path}&q=body:secret"), Role::Viewer);
            assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        }
    }
    // A search would show by its answer what the row does not show.
    for parameter in ["client_address=192.0.2.7", "user_agent=secret*", "client_address=!x"] {
        let answer = guarded.get(&format!("{path}&{parameter}"), Role::Viewer);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let field = parameter.split('=').next().unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (403, &json!(field)), "{}", answer.text());
        assert_eq!(guarded.get(&format!("{path}&{parameter}"), Role::Analyst).status, 200);
    }
    for (search, field) in [
        ("client_address:192.0.2.7", "client_address"),
        ("-user_agent:secret", "user_agent"),
        ("query:secret", "query"),
        ("status:200 header.x-a:b", "request_headers"),
        ("response_header:b", "response_headers"),
        ("body:secret", "request_body"),
        ("response_body:secret", "response_body"),
    ] {
        let path = format!("{path}&q={search}").replace(' ', "%20");
        let answer = guarded.get(&path, Role::Viewer);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &body["error"]["field"]), (403, &json!(field)), "{}", answer.text());
        assert_eq!(guarded.get(&path, Role::Analyst).status, 200);
    }
    // A word is looked for in what everybody sees only.
    let words = guarded.json(&format!("{path}&q=secret"), Role::Analyst);
    assert_eq!(words["rows"], json!([]));
}

#[test]
fn a_person_signs_in_and_out() {
    let guarded = Guarded::start();
    let answer = guarded.sign_in("analyst", PASSWORD);
    let set = answer.header("set-cookie").to_owned();
    for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = set.split(';').next().unwrap();
    let (_, value) = cookie.split_once('=').unwrap();
    assert!(value.len() == 43 && !answer.text().contains(value));
    let with = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("cookie", cookie)]].concat();
        guarded.service.get_with("/api/v1/summary", &headers).status
    };
    assert_eq!(with(&[]), 200);
    // Who has a token and a cookie is the one of the token.
    assert_eq!(with(&[("authorization", "Bearer x")]), 401);
    let shown = guarded.service.get_with("/api/v1/session", &[("cookie", cookie)]);
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    assert_eq!((&shown["person"]["name"], &shown["person"]["role"]), (&json!("analyst"), &json!("analyst")));
    assert!((43_000..=43_200).contains(&shown["person"]["expires_in"].as_u64().unwrap()));

    let out = |headers: &[(&str, &str)]| guarded.service.send_any("delete", "/api/v1/session", headers);
    assert_eq!(out(&[("cookie", cookie)]).status, 403, "without the header");
    assert_eq!(with(&[]), 200);
    let answer = out(&[("cookie", cookie), CSRF]);
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").contains("=; ") && answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(with(&[]), 401, "the old cookie is worth nothing");
}

#[test]
fn another_site_cannot_use_a_cookie() {
    let guarded = Guarded::start();
    let cookie = guarded.cookie("analyst");
    let body = json!({"config": r#"{"version": 1, "ingest": {"cluster": "c"}}"#, "body": "{}"}).to_string();
    let post = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("content-type", "application/json"), ("cookie", &*cookie)]].concat();
        guarded.service.post("/api/v1/redact", &headers, body.as_bytes()).status
    };
    assert_eq!(post(&[CSRF]), 200);
    assert_eq!(post(&[]), 403);
    assert_eq!(post(&[CSRF, ("origin", "https://evil.example")]), 403);
    // Nor sign a person in under a name of its own.
    let credentials = json!({"name": "analyst", "password": PASSWORD}).to_string();
    let headers = [("content-type", "application/json")];
    let answer = guarded.service.post("/api/v1/session", &headers, credentials.as_bytes());
    assert_eq!((answer.status, answer.header("set-cookie")), (403, ""));
}

#[test]
fn wrong_credentials_are_told_apart_by_nothing_and_end() {
    let guarded = Guarded::start();
    let wrong = ["analyst", "nobody", "ci-viewer", &"x".repeat(500)].map(|name| {
        let answer = guarded.sign_in(name, "wrong password");
        (answer.status, answer.text())
    });
    assert!(wrong.iter().all(|answer| *answer == wrong[0] && answer.0 == 401), "{wrong:?}");
    assert_eq!(guarded.sign_in("analyst", PASSWORD).status, 200);
    let statuses: Vec<_> = (0..11).map(|_| guarded.sign_in("viewer", "wrong password").status).collect();
    assert_eq!(statuses, [&[401; 10][..], &[429]].concat());
    let answer = guarded.sign_in("viewer", PASSWORD);
    assert_eq!(answer.status, 429, "even the right password must wait");
    assert!((1..=60).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(guarded.sign_in("admin", PASSWORD).status, 200, "others do not wait");
}

#[test]
fn people_change_without_a_restart() {
    let guarded = Guarded::start();
    let cookie = guarded.cookie("admin");
    let role = || {
        let shown = guarded.service.get_with("/api/v1/session", &[("cookie", &cookie)]);
        serde_json::from_slice::<Value>(&shown.body).unwrap()["person"]["role"].clone()
    };
    let becomes = |lines: &str, expected: Value| {
        fs::write(&guarded.users, lines).unwrap();
        wait::eventually("the changed file", || Ok((role() == expected).then_some(()))).unwrap();
    };
    assert_eq!(role(), "admin");
    becomes(&guarded.lines.replace("\"admin\", role: admin", "\"admin\", role: viewer"), json!("viewer"));
    // Another password, or none, ends the session for good.
    let goes = |line: &&str| line.contains("\"admin\"") || line.contains("\"ci-viewer\"");
    let others: Vec<_> = guarded.lines.lines().filter(|line| !goes(line)).collect();
    let changed =
        format!("{}\n{}", others.join("\n"), user_line("admin", Role::Admin, "another password").unwrap());
    becomes(&changed, Value::Null);
    fs::write(&guarded.users, &guarded.lines).unwrap();
    wait::eventually("the first file", || {
        Ok((guarded.get("/api/v1/summary", Role::Viewer).status == 200).then_some(()))
    })
    .unwrap();
    assert_eq!(role(), Value::Null);
}

#[test]
fn a_stranger_learns_of_health_and_not_of_files() {
    let guarded = Guarded::start();
    fs::write(guarded.service.data().join("requests-2026-06-20.db"), "not a database").unwrap();
    // Reading finds the damage.
    assert_eq!(guarded.get(&format!("/api/v1/requests?{EVER}"), Role::Viewer).status, 200);
    let troubles =
        |answer: Answer| serde_json::from_slice::<Value>(&answer.body).unwrap()["troubles"].clone();
    assert_eq!(troubles(guarded.service.get("/healthz")), Value::Null);
    assert_eq!(troubles(guarded.get("/healthz", Role::Viewer)).as_array().unwrap().len(), 1);
}

#[test]
fn the_audit_log_has_sign_ins_and_who_saw_bodies() {
    let guarded = Guarded::start().with_a_request();
    guarded.sign_in("mallory\n2026 admin", "wrong password");
    let cookie = guarded.cookie("analyst");
    let path = format!("/api/v1/requests?{EVER}");
    let get = |path: &str| {
        let answer = guarded.service.get_with(path, &[("cookie", &cookie)]);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    // Twice the same, as the page refreshes; then a question of its own, and two without content.
    get(&path);
    get(&format!("{path}&limit=7"));
    get(&format!("{path}&status=200"));
    get(&format!("{path}&status=404"));
    assert_eq!(guarded.get(&path, Role::Viewer).status, 200);
    guarded.service.send_any("delete", "/api/v1/session", &[("cookie", &cookie), CSRF]);

    let rows = |query: &str| {
        let answer = guarded.json(&format!("/api/v1/audit?{query}"), Role::Admin);
        answer["rows"].as_array().unwrap().clone()
    };
    let shown: Vec<_> = rows("")
        .iter()
        .rev()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            assert!(text("peer") == "127.0.0.1" && text("time").starts_with("20"), "{row}");
            (text("action"), text("actor"), text("role"))
        })
        .collect();
    let entry =
        |action: &str, actor: &str, role: &str| (action.to_owned(), actor.to_owned(), role.to_owned());
    let expected = [
        entry("sign_in_failed", "mallory\n2026 admin", ""),
        entry("sign_in", "analyst", "analyst"),
        entry("captured_read", "analyst", "analyst"),
        entry("captured_read", "analyst", "analyst"),
        entry("sign_out", "analyst", "analyst"),
    ];
    assert_eq!(shown, expected);
    assert!(rows("action=captured_read")[0]["detail"].as_str().unwrap().contains("rows: 1, query: "));
    assert_eq!(rows("actor=analyst").len(), 4);
    assert_eq!(rows("from=2000-01-01T00:00:00Z&to=2001-01-01T00:00:00Z").len(), 0);
    // Pages neither repeat nor miss.
    let (mut cursor, mut walked) = (String::new(), 0);
    loop {
        let page = guarded.json(&format!("/api/v1/audit?limit=2&cursor={cursor}"), Role::Admin);
        walked += page["rows"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(walked, expected.len());
}

#[test]
fn a_question_that_reaches_further_back_is_noted_again() {
    let guarded = Guarded::start().with_a_request();
    let get = |from: &str, more: &str| {
        let path = format!("/api/v1/requests?from={from}&to=2026-07-01T00:00:00Z{more}");
        let rows = guarded.json(&path, Role::Analyst)["rows"].as_array().unwrap().len();
        let noted = guarded.json("/api/v1/audit?action=captured_read", Role::Admin);
        (rows, noted["rows"].as_array().unwrap().len())
    };
    assert_eq!(get("2026-06-20T00:00:00Z", ""), (1, 1));
    assert_eq!(get("2026-06-20T00:00:10Z", ""), (1, 1), "a refresh");
    assert_eq!(get("2020-01-01T00:00:00Z", ""), (1, 2), "all that there is");
    assert_eq!(get("2026-06-20T00:00:00Z", "&limit=1"), (1, 2), "a part of it");
}

#[test]
fn changes_are_in_the_audit_log() {
    let guarded = Guarded::start();
    let post = |body: &Value, role: Role| {
        let headers = [("content-type", "application/json"), ("authorization", &*guarded.token(role))];
        guarded.service.post("/api/v1/alerts/rules", &headers, body.to_string().as_bytes()).status
    };
    let rule = json!({"name": "slow", "above": 500});
    assert_eq!(post(&json!({"name": "slow"}), Role::Admin), 422);
    assert_eq!(post(&rule, Role::Analyst), 403);
    assert_eq!(post(&rule, Role::Admin), 200);
    let changes = guarded.json("/api/v1/audit?action=change", Role::Admin);
    let [change] = changes["rows"].as_array().unwrap().as_slice() else { panic!("{changes}") };
    let found = ["actor", "role", "peer", "detail"].map(|key| change[key].as_str().unwrap());
    assert_eq!(found, ["ci-admin", "admin", "127.0.0.1", "POST /api/v1/alerts/rules: rule \"slow\""]);
}

#[test]
fn changes_of_receivers_and_mutes_are_in_the_audit_log_without_secrets() {
    const RECEIVERS: &str = "/api/v1/alerts/receivers";
    const ERRORS: &str = "/api/v1/alerts/rules/errors";
    let guarded = Guarded::start();
    let token = guarded.token(Role::Admin);
    let post = |path: &str, body: Value| {
        let headers = [("content-type", "application/json"), ("authorization", &*token)];
        let answer = guarded.service.post(path, &headers, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    };
    let webhook = json!({"url": "http://127.0.0.1:9/hook-key", "secret": "a-key-of-the-receiver"});
    post(RECEIVERS, json!({"name": "ops", "webhook": webhook}));
    post(&format!("{RECEIVERS}/ops/test"), json!({}));
    post(&format!("{ERRORS}/mute"), json!({"until": "2199-01-01T00:00:00Z"}));
    post(&format!("{ERRORS}/unmute"), json!({}));
    let path = format!("{RECEIVERS}/ops");
    assert_eq!(guarded.service.send_any("delete", &path, &[("authorization", &token)]).status, 200);
    let changes = guarded.json("/api/v1/audit?action=change", Role::Admin);
    let rows = changes["rows"].as_array().unwrap();
    let noted: Vec<_> = rows.iter().rev().map(|row| row["detail"].as_str().unwrap().to_owned()).collect();
    let expected = [
        format!("POST {RECEIVERS}: receiver \"ops\""),
        format!("POST {RECEIVERS}/ops/test"),
        format!("POST {ERRORS}/mute: until 2199-01-01T00:00:00Z"),
        format!("POST {ERRORS}/unmute"),
        format!("DELETE {RECEIVERS}/ops"),
    ];
    assert_eq!(noted, expected);
}

#[test]
fn attempts_that_are_refused_do_not_crowd_the_audit_log() {
    let guarded = Guarded::start();
    let statuses: Vec<_> = (0..15).map(|_| guarded.sign_in("viewer", "wrong password").status).collect();
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 5]].concat());
    let failed = guarded.json("/api/v1/audit?action=sign_in_failed", Role::Admin);
    assert_eq!(failed["rows"].as_array().unwrap().len(), 11, "the first of those that were refused");
}
