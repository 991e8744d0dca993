//! Sessions of several replicas on ClickHouse: signed in at one is signed in at all, and signed out at all.

use crate::support::clickhouse::run;
use crate::support::{Answer, Service, database_at};
use gatelens_ingest::{AccessConfig, OidcConfig, Role, user_line};
use gatelens_testkit::oidc::{CLIENT_ID, CLIENT_SECRET, Provider, SigningKey};
use gatelens_testkit::{ClickHouse, ClickHouseFault, ClickHouseTarget};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PASSWORD: &str = "correct horse battery";
const SESSION: &str = "/api/v1/session";

/// A file of people in a directory.
fn people(directory: &Path) -> PathBuf {
    let users = directory.join("users.yaml");
    fs::write(&users, user_line("ada", Role::Admin, PASSWORD).unwrap()).unwrap();
    users
}

fn access(users: &Path) -> AccessConfig {
    AccessConfig { users: Some(users.to_owned()), ..AccessConfig::default() }
}

/// The cookie of a new session.
fn sign_in(service: &Service) -> String {
    let body = json!({"name": "ada", "password": PASSWORD}).to_string();
    let headers = [("content-type", "application/json"), ("x-gatelens-csrf", "1")];
    let answer = service.post(SESSION, &headers, body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    cookie(&answer)
}

fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn person(service: &Service, cookie: &str) -> Value {
    let answer = service.get_with(SESSION, &[("cookie", cookie)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice::<Value>(&answer.body).unwrap()["person"].clone()
}

fn sign_out(service: &Service, cookie: &str) {
    let headers = [("cookie", cookie), ("x-gatelens-csrf", "1")];
    assert_eq!(service.send_any("delete", SESSION, &headers).status, 204);
}

/// Waits until a cookie is worth nothing, and returns how long it took.
fn until_out(service: &Service, cookie: &str) -> Duration {
    let begun = Instant::now();
    while !person(service, cookie).is_null() {
        assert!(begun.elapsed() < Duration::from_secs(30), "still signed in");
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

#[test]
fn a_session_is_that_of_all_replicas_and_ends_at_all() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let directory = tempfile::tempdir().unwrap();
    let users = people(directory.path());
    let store = database_at(server.url());
    let mut first = Service::guarded_on_store(store.clone(), access(&users));
    let second = Service::guarded_on_store(store.clone(), access(&users));
    // The very next request may come to another replica.
    let took = [(); 5].map(|()| {
        let cookie = sign_in(&first);
        let found = person(&second, &cookie);
        assert_eq!((&found["name"], &found["role"]), (&json!("ada"), &json!("admin")));
        assert!(found["expires_in"].as_u64().unwrap() > 12 * 3600 - 60, "{found}");
        assert_eq!(second.get_with("/api/v1/audit", &[("cookie", &cookie)]).status, 200);
        sign_out(&second, &cookie);
        assert!(person(&second, &cookie).is_null());
        until_out(&first, &cookie)
    });
    // On a machine that does something else meanwhile, one of them.
    assert!(took.iter().any(|took| *took < Duration::from_secs(2)), "{took:?}");
    // The database holds no cookie and no hash of a password.
    let cookie = sign_in(&first);
    let rows = run(&store, "SELECT * FROM sessions");
    let (_, value) = cookie.split_once('=').unwrap();
    assert!(rows.contains("ada") && !rows.contains(value) && !rows.contains("argon2"), "{rows}");

    // A session outlives its replica, and one that was invented is none.
    first.restart(|_| ());
    assert_eq!(person(&first, &cookie)["name"], "ada");
    let third = Service::guarded_on_store(store, access(&users));
    assert_eq!(person(&third, &cookie)["name"], "ada");
    assert!(person(&third, "gatelens-session=invented").is_null());

    // Another password ends it.
    fs::write(&users, user_line("ada", Role::Admin, "another horse battery").unwrap()).unwrap();
    until_out(&first, &cookie);
    until_out(&second, &cookie);
}

#[test]
fn sessions_that_are_known_stay_while_the_store_is_away() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let directory = tempfile::tempdir().unwrap();
    let users = people(directory.path());
    let store = database_at(server.url());
    let [first, second] = std::array::from_fn(|_| Service::guarded_on_store(store.clone(), access(&users)));
    let cookie = sign_in(&first);
    assert_eq!(person(&second, &cookie)["name"], "ada");
    server.shut().unwrap();
    assert_eq!(person(&first, &cookie)["name"], "ada");
    assert_eq!(person(&second, &cookie)["name"], "ada");
    // Who signs in is known here; who signs out is gone here, and elsewhere when the store is back.
    let alone = sign_in(&first);
    assert_eq!(person(&first, &alone)["name"], "ada");
    assert!(person(&second, &alone).is_null());
    sign_out(&first, &cookie);
    assert!(person(&first, &cookie).is_null());
    server.open().unwrap();
    until_out(&second, &cookie);
    let begun = Instant::now();
    while person(&second, &alone).is_null() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never known");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_flood_of_invented_cookies_is_one_question_at_a_time() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let directory = tempfile::tempdir().unwrap();
    let users = people(directory.path());
    let store = database_at(server.url());
    let [first, second] = std::array::from_fn(|_| Service::guarded_on_store(store.clone(), access(&users)));
    // Each look-up takes a while, so that those behind it wait for one another.
    let slow = ClickHouseFault::Delay(Duration::from_millis(300));
    server.fault(slow, &ClickHouseTarget::containing("FROM sessions WHERE id IN ('", 1_000)).unwrap();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..10 {
            let second = &second;
            scope.spawn(move || {
                for number in 0..10 {
                    assert!(
                        person(second, &format!("gatelens-session=invented-{thread}-{number}")).is_null()
                    );
                }
            });
        }
        let cookie = sign_in(&first);
        assert_eq!(person(&second, &cookie)["name"], "ada");
    });
    // 100 questions one after the other would take half a minute.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_sign_in_at_a_provider_may_end_at_another_replica() {
    let Some(server) = ClickHouse::start().unwrap() else { return };
    let provider = Provider::start(SigningKey::es256()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, format!("{CLIENT_SECRET}\n")).unwrap();
    let page = "http://127.0.0.1:1";
    let oidc: OidcConfig = serde_json::from_value(json!({
        "issuer": provider.issuer(), "client_id": CLIENT_ID, "client_secret_file": secret, "page_url": page,
        "default_role": "viewer",
    }))
    .unwrap();
    let access = AccessConfig { oidc: Some(oidc), ..AccessConfig::default() };
    let store = database_at(server.url());
    let [first, second] = std::array::from_fn(|_| Service::guarded_on_store(store.clone(), access.clone()));
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    let browser = config.build().new_agent();
    let location = |response: &ureq::http::Response<ureq::Body>| {
        response.headers().get("location").unwrap().to_str().unwrap().to_owned()
    };
    let set = |response: &ureq::http::Response<ureq::Body>, name: &str| {
        let cookies = response.headers().get_all("set-cookie").iter();
        let mut cookies = cookies.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned());
        cookies.find(|cookie| cookie.starts_with(name)).unwrap()
    };
    let begun = browser.get(format!("{}/auth/start", first.url)).call().unwrap();
    let back = location(&browser.get(location(&begun)).call().unwrap());
    let callback = back.replace(page, &second.url);
    assert_ne!(callback, back);
    let mut ended = browser.get(&callback).header("cookie", set(&begun, "gatelens-sign-in")).call().unwrap();
    assert_eq!(ended.status(), 303, "{}", ended.body_mut().read_to_string().unwrap());
    let session = set(&ended, "gatelens-session");
    for replica in [&first, &second] {
        assert_eq!(person(replica, &session)["role"], "viewer");
    }
    // The provider takes its code once, whichever replica has it.
    let again = back.replace(page, &first.url);
    let again = browser.get(&again).header("cookie", set(&begun, "gatelens-sign-in")).call().unwrap();
    assert_ne!(again.status(), 303);
}
