//! Sign-in with OpenID Connect in a real browser: `dashboard/test/sign-in.test.mjs` in headless Chromium, with the ingest and
//! the provider of this test. No gateway is part of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use gatelens_testkit::oidc::{CLIENT_ID, CLIENT_SECRET, KEYS, Provider, SigningKey, TOKEN};
use gatelens_testkit::{Ingest, artefacts, paths};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An ingest at which people of these domains sign in.
fn serve(dir: &Path, name: &str, provider: &Provider, domain: &str) -> Ingest {
    let path = |kind: &str| dir.join(format!("{name}.{kind}"));
    fs::write(path("secret"), CLIENT_SECRET).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0", "data": path("data"),
        "oidc": {
            "name": "Example", "issuer": provider.issuer(), "client_id": CLIENT_ID, "client_secret_file": path("secret"),
            "role_claim": "groups", "roles": {"admin": ["ops"]}, "domains": [domain],
        },
    });
    fs::write(path("yaml"), config.to_string()).unwrap();
    let mut command = Command::new(paths::gatelens().unwrap());
    command.args(["serve", "--config"]).arg(path("yaml"));
    Ingest::run(command).unwrap()
}

#[test]
fn a_person_signs_in_at_a_provider_is_refused_and_signs_out() {
    artefacts::or_skip();
    let provider = Provider::start(SigningKey::rs256()).unwrap();
    // Another site than that of the page: a strict cookie does not come along when the provider sends the browser back.
    provider.known_as(&format!("http://localhost:{}", provider.address().port()));
    provider.ask_people();
    provider.person(json!({"groups": ["staff", "ops"]}));
    let dir = TempDir::new().unwrap();
    let open = serve(dir.path(), "open", &provider, "example.com");
    let closed = serve(dir.path(), "closed", &provider, "other.example");
    let url = |ingest: &Ingest| format!("http://{}", ingest.address());

    // Screenshots go to GATELENS_SHOTS, if the environment names a directory.
    let output = Command::new("node")
        .args(["--test", "test/sign-in.test.mjs"])
        .current_dir(paths::workspace_root().join("dashboard"))
        .env("GATELENS_SIGN_IN", url(&open))
        .env("GATELENS_REFUSED", url(&closed))
        .env("GATELENS_PROVIDER", provider.issuer())
        .output()
        .expect("the page's test needs node; `make doctor` prints the command that installs it");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("# skipped 0") || report.contains("ℹ skipped 0"), "{report}");

    // One sign-in by each of the two services went through to its end; each has its keys from the provider once.
    assert_eq!((provider.requests(TOKEN), provider.requests(KEYS)), (2, 2));
    // Whoever is signed out reads nothing.
    let session = open.get_json("/api/v1/session").unwrap();
    assert_eq!((&session["required"], &session["person"]), (&json!(true), &Value::Null));
    assert!(open.get_json("/api/v1/summary").is_err());
}
