//! `gatelens serve` as a process: how it starts, how it refuses to, and how it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod support;

use gatelens_testkit::process::Signal;
use std::net::TcpListener;
use std::path::Path;
use support::{Service, gatelens};

#[test]
fn a_signal_ends_it_well() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let dir = tempfile::tempdir().unwrap();
        let service = Service::start(dir.path());
        assert_eq!(service.json("/healthz")["status"], "ok");
        service.signal(signal);
        assert_eq!(service.end(), (Some(0), String::new()), "{signal}");
    }
}

#[test]
fn it_listens_beyond_loopback_when_it_is_told_to_be_insecure_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut command = gatelens(&["serve", "--listen", "0.0.0.0:0", "--insecure", "--data"]);
    let mut child =
        command.arg(dir.path().join("data")).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let said = gatelens_testkit::wait::eventually("the service to listen", || {
        let said = std::fs::read_to_string(&log).unwrap();
        Ok(said.contains(" listening on ").then_some(said))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let said = said.unwrap();
    for word in ["WARN", "INSECURE", "--sender-tokens"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_new_token_is_printed_once_and_its_line_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let output = gatelens(&["token", "new", "--name", "edge", "--environment", "prod"]).output().unwrap();
    let [token, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success() && token.trim_end().starts_with("gls_"), "{token}{said}");
    assert!(!said.contains(token.trim_end()), "{said}");
    let file = dir.path().join("tokens.yaml");
    std::fs::write(&file, said.lines().last().unwrap()).unwrap();
    let mut command = gatelens(&["serve", "--listen", "127.0.0.1:0", "--sender-tokens"]);
    command.arg(&file).arg("--data").arg(dir.path().join("data"));
    let service = Service::start_with(command).unwrap();
    let post = |authorization: &str| {
        let request = ureq::post(format!("{}/v1/logs", service.url)).header("authorization", authorization);
        let request = request.header("content-type", "application/x-protobuf");
        request.config().http_status_as_error(false).build().send(&[][..]).unwrap().status().as_u16()
    };
    assert_eq!(post(&format!("Bearer {}", token.trim_end())), 200);
    assert_eq!(post("Bearer gls_other"), 401);
    service.stop();

    for (arguments, words) in [
        (&["--name", "a"][..], "--environment"),
        (&["--name", "a", "--environment", "b", "--role", "viewer"], "cannot be used with"),
        (&["--name", "a", "--role", "boss"], "viewer, analyst, admin"),
    ] {
        let output = gatelens(&["token", "new"]).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_program_queries_with_its_token_and_a_person_has_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &str| {
        let mut command = gatelens(arguments);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code().unwrap(), out, err)
    };
    let (status, line, _) =
        run(&["user", "add", "--name", "ada", "--role", "admin"], "correct horse battery\n");
    assert!(status == 0 && line.contains("$argon2id$") && !line.contains("horse"), "{line}");
    let (status, _, said) = run(&["user", "add", "--name", "ada", "--role", "admin"], "short\n");
    assert!(status == 1 && said.contains("12 characters"), "{said}");
    let (_, token, made) = run(&["token", "new", "--name", "ci", "--role", "viewer"], "");

    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("users"), format!("{line}{}", made.lines().last().unwrap())).unwrap();
    std::fs::write(path("token"), &token).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--users", &path("users"), "--data", &path("data")];
    let service = Service::start_with(gatelens(&serve)).unwrap();
    let query = ["query", "summary", "--url", &service.url];
    let (status, _, said) = run(&query, "");
    assert!(status == 1 && said.contains("--token-file") && said.contains("GATELENS_TOKEN"), "{said}");
    let (status, _, said) = run(&[&query[..], &["--token-file", &path("token")]].concat(), "");
    assert_eq!((status, said.as_str()), (0, ""));
    let output = gatelens(&query).env("GATELENS_TOKEN", token.trim_end()).output().unwrap();
    assert!(output.status.success());
    service.stop();
}

#[test]
fn it_says_why_it_cannot_start() {
    let dir = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], status: i32, words: &[&str]| {
        let output = gatelens(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        words
            .iter()
            .for_each(|word| assert!(said.contains(word), "{arguments:?} should say {word:?}: {said}"));
    };
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();

    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    check(&["serve", "--listen", &taken, "--data", &path("a")], 1, &[&taken, "--listen"]);

    std::fs::write(path("file"), "").unwrap();
    check(
        &["serve", "--listen", "127.0.0.1:0", "--data", &path("file")],
        1,
        &["data directory", &path("file")],
    );

    std::fs::create_dir(path("foreign")).unwrap();
    // A database of another program, of nothing but its header: the application id is at byte 68.
    let other = Service::start(Path::new(&path("foreign")));
    other.stop();
    let mut bytes = std::fs::read(path("foreign/metrics.db")).unwrap();
    bytes[68..72].copy_from_slice(b"bird");
    std::fs::write(path("foreign/metrics.db"), bytes).unwrap();
    check(&["serve", "--listen", "127.0.0.1:0", "--data", &path("foreign")], 1, &["not a file of gatelens"]);

    let running = Service::start(Path::new(&path("used")));
    check(&["serve", "--listen", "127.0.0.1:0", "--data", &path("used")], 1, &["in use by another gatelens"]);
    running.stop();

    check(&["serve", "--listen", "127.0.0.1:0"], 2, &["--data"]);
    check(&["serve", "--listen", "here", "--data", "x"], 2, &["--listen"]);
    check(&["serve", "--data", "x", "--keep-requests", "0"], 2, &["--keep-requests", "1..=3650"]);
    let address = "0.0.0.0:0";
    let exposed = ["serve", "--listen", address, "--data", &path("exposed")];
    check(&exposed, 1, &["0.0.0.0", "--sender-tokens", "--users", "--insecure", "gatelens token new"]);
    assert!(!Path::new(&path("exposed")).exists(), "nothing is made before the refusal");
    check(&[&exposed[..], &["--sender-tokens", &path("none")]].concat(), 1, &[&path("none")]);
    std::fs::write(path("empty"), "").unwrap();
    check(&[&exposed[..], &["--sender-tokens", &path("empty")]].concat(), 1, &["--users FILE", "bodies"]);
    std::fs::write(path("wrong"), "- {name: a}").unwrap();
    check(&["serve", "--data", "x", "--sender-tokens", &path("wrong")], 1, &[&path("wrong"), "environment"]);
    check(&["surve"], 2, &["serve"]);
    check(&["--version"], 0, &[]);
}

/// Starts with a file and further arguments.
fn start(config: &Path, arguments: &[&str]) -> Result<Service, String> {
    let mut command = gatelens(&["serve", "--config"]);
    command.arg(config).args(arguments);
    Service::start_with(command)
}

#[test]
fn options_come_from_a_file_and_flags_win() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("serve.yaml");
    let (in_file, by_flag) = (dir.path().join("in-file"), dir.path().join("by-flag"));
    std::fs::write(
        &config,
        format!("# The service.\nlisten: 127.0.0.1:0\ndata: {}\nlog_format: json\n", in_file.display()),
    )
    .unwrap();
    let service = start(&config, &["--data", by_flag.to_str().unwrap()]).unwrap();
    let line = service.log();
    let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["version"], env!("CARGO_PKG_VERSION"));
    assert!(line["message"].as_str().unwrap().contains("by-flag"), "{line}");
    service.stop();
    assert!(by_flag.exists() && !in_file.exists());
    start(&config, &[]).unwrap().stop();
    assert!(in_file.exists());

    // JSON is YAML.
    std::fs::write(&config, r#"{"listen": "127.0.0.1:0", "log_level": "loud"}"#).unwrap();
    let refused = start(&config, &["--data", "x"]).err().unwrap();
    assert!(refused.contains("`loud` are not log levels"), "{refused}");
}

#[test]
fn a_wrong_file_of_options_is_refused_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("serve.yaml");
    let check = |text: &str, words: &[&str]| {
        std::fs::write(&config, text).unwrap();
        let path = config.to_str().unwrap();
        for arguments in [&["serve", "--config", path, "--data", "x"][..], &["check", path][..]] {
            let output = gatelens(arguments).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            let place = words.iter().chain([&path]);
            place.for_each(|word| assert!(said.contains(word), "{arguments:?} should say {word:?}: {said}"));
        }
    };
    check(
        "data: /x\nkeep_minuts: 3\n",
        &[":2:1: error: keep_minuts: unknown key `keep_minuts`; did you mean `keep_minutes`?"],
    );
    check("data: /x\nkeep_minutes: 0\n", &[":2:1: error: keep_minutes: 0 is not in 1..=3650"]);
    check("data: 7\n", &[":1:1: error: data: invalid type"]);
    check("data: /x\nlisten: [1\n", &[":", "this is not YAML"]);
}

#[test]
fn check_finds_wrong_rules_and_receivers_of_alerts_at_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("serve.yaml");
    let check = |alerts: &str| {
        std::fs::write(&config, format!("data: /x\nalerts:\n{alerts}")).unwrap();
        let output = gatelens(&["check", config.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap().replace(config.to_str().unwrap(), "FILE");
        (output.status.code(), said)
    };
    let receiver = "  receivers:\n    - name: ops\n      webhook: {url: 'https://hooks.example.com/x'}\n";
    let right = "  rules:\n    - {name: errors, measure: error_percent, above: 2, receivers: [ops]}\n";
    assert_eq!(check(&format!("{receiver}{right}")), (Some(0), "FILE: ok\n".to_owned()));
    for (wrong, line, words) in [
        ("{name: slow, above: 2, sustain_minuts: 3}", 8, "did you mean `sustain_minutes`?"),
        ("{name: slow, above: 2, window_minutes: 0}", 8, "0 is not in 1..=1440"),
        ("{name: slow, measure: p95_ms}", 8, "the threshold is missing"),
        ("{name: slow, above: 2, receivers: [opps]}", 8, "did you mean `ops`?"),
        ("{name: errors, above: 2}", 8, "errors"),
    ] {
        let (status, said) = check(&format!("{receiver}{right}    - {wrong}\n"));
        assert_eq!(status, Some(1), "{wrong}: {said}");
        assert!(said.starts_with(&format!("FILE:{line}:")) && said.contains(words), "{wrong}: {said}");
        assert!(said.contains("alerts.rules[1]"), "{wrong}: {said}");
    }
    let (status, said) = check("  receivers:\n    - {name: ops, webhook: {url: 'ftp://a'}}\n");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.starts_with("FILE:4:") && said.contains("alerts.receivers[0]"), "{said}");
    let mail = |more: &str| {
        let smtp = format!("{{host: mail.example.com, from: a@example.com, to: [b@example.com]{more}}}");
        check(&format!("  receivers:\n    - name: mail\n      smtp: {smtp}\n"))
    };
    assert_eq!(mail(""), (Some(0), "FILE: ok\n".to_owned()));
    let (status, said) = mail(", tls: none");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.starts_with("FILE:5:") && said.contains("receivers[0].smtp.tls"), "{said}");
    assert!(mail(", starttls: true").1.contains("unknown key `starttls`"));
}

#[test]
fn check_takes_the_options_of_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("serve.yaml");
    std::fs::write(&config, "data: /x\nkeep_requests: 3\n").unwrap();
    let output = gatelens(&["check", config.to_str().unwrap()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}: ok\n", config.display()));
}

#[test]
fn check_finds_a_wrong_sign_in_by_openid_connect_at_its_place() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("serve.yaml");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "x").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let right = "  issuer: https://id.example.com\n  client_id: gatelens\n  default_role: viewer\n";
    let check = |top: &str, oidc: &str| {
        let text = format!("listen: 0.0.0.0:4318\n{top}\noidc:\n{right}{oidc}");
        std::fs::write(&config, text).unwrap();
        let output = gatelens(&["check", config.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap().replace(config.to_str().unwrap(), "FILE");
        (output.status.code(), said)
    };
    let page = "  page_url: https://gatelens.example.com\n";
    assert_eq!(check("host: [gatelens.example.com]", page), (Some(0), "FILE: ok\n".to_owned()));
    for (top, oidc, place, words) in [
        ("host: [a.example]", "  client_secret: x\n", ":7:3: ", "did you mean `client_secret_file`?"),
        ("host: [a.example]", page, ":7:3: ", "oidc.page_url: requests for the name in"),
        ("host: [a.example]", "", ":3:1: ", "the address of the page is missing"),
        ("data: d", "  page_url: http://gatelens.example.com\n", ":7:3: ", "must begin with https://"),
        ("data: d", "  scopes: [openid, a b]\n", ":7:20: ", "oidc.scopes[1]"),
        ("data: d", "  role_claim: groups\n  roles: {admins: [a]}\n", ":8:11: ", "did you mean `admin`?"),
    ] {
        let (status, said) = check(top, oidc);
        assert_eq!(status, Some(1), "{oidc}: {said}");
        assert!(said.starts_with(&format!("FILE{place}")) && said.contains(words), "{oidc}: {said}");
    }
    let readable = format!("{page}  client_secret_file: {}\n", secret.display());
    let (status, said) = check("host: [gatelens.example.com]", &readable);
    assert!(status == Some(0) && said.contains("FILE:8:3: warning: oidc.client_secret_file"), "{said}");
}

#[test]
fn the_flag_oidc_names_a_file_with_the_keys_of_the_section() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("oidc.yaml"));
    let serve = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let arguments = ["serve", "--listen", "0.0.0.0:0", "--data", data.to_str().unwrap()];
        let output = gatelens(&arguments).args(["--oidc", file.to_str().unwrap()]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let right = "issuer: https://id.example.com\nclient_id: gatelens\ndefault_role: viewer\n";
    for (text, words) in [
        ("issuer: https://id.example.com\n", "client_id: `client_id` is missing"),
        ("issuer: https://id.example.com\nclient_secret: hidden\n", "unknown field"),
        (right, "the address of the page is missing"),
        (&format!("{right}page_url: https://a.example\n"), "add it as `host`"),
    ] {
        let (status, said) = serve(text);
        assert!(status == Some(2) && said.contains(words) && !said.contains("hidden"), "{text}: {said}");
    }
    // It is a sign-in, so that beyond loopback only the tokens of senders are missing.
    let (status, said) = serve(&format!("{right}page_url: https://10.0.0.1\n"));
    assert!(status == Some(1) && said.contains("Missing: --sender-tokens FILE. "), "{said}");
}
