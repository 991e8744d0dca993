//! E-mail about alerts: to a server that speaks SMTP, and one that refuses.

use crate::alerts::{count, post, rewind, service, wait};
use crate::mail_server::{Begins, MailServer};
use crate::support::Service;
use crate::support::otlp::made;
use rusqlite::Connection;
use serde_json::{Value, json};

const LOGIN: (&str, &str) = ("mailer-of-gatelens", "correct horse battery");
const DELIVERIES: &str = "/api/v1/alerts/deliveries";

fn with(mut receiver: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        receiver[key] = value.clone();
    }
    receiver
}

fn mailing(receiver: &Value) -> Service {
    service(&json!({
        "page_url": "https://gatelens.example",
        "receivers": [{"name": "post", "smtp": receiver}],
    }))
}

/// Has a test message sent, and returns its delivery after the first attempt.
fn test(service: &Service) -> Value {
    let (status, queued) = post(service, "/api/v1/alerts/receivers/post/test", &json!({}));
    assert_eq!(status, 200, "{queued}");
    let found = wait(service, DELIVERIES, |found| {
        found["rows"][0]["id"] == queued["delivery"] && found["rows"][0]["attempts"] == 1
    });
    found["rows"][0].clone()
}

/// Makes what waits due at once.
fn due(data: &std::path::Path) {
    let file = Connection::open(data.join("alerts.db")).unwrap();
    file.execute("UPDATE deliveries SET next_at = 1 WHERE outcome = 'waiting'", []).unwrap();
}

#[test]
fn an_alert_and_its_end_are_one_thread_of_mails() {
    let server = MailServer::start(Begins::Starttls, Some(LOGIN));
    let to = json!({
        "to": ["Operators <first@example.com>", "second@example.com"], "username": LOGIN.0, "password": LOGIN.1,
    });
    let mut service = mailing(&with(server.receiver("starttls"), &to));
    count(&service, 12, &vec![made("/a", 500, 0.01); 40]);
    service.restart(rewind(12));
    let first = server.next();
    assert!(first.is_encrypted);
    assert_eq!(first.user.as_deref(), Some(LOGIN.0));
    assert_eq!(first.to, ["first@example.com", "second@example.com"]);
    assert_eq!(first.subject(), "Firing: errors (prod, orders): 100 % errors");
    assert_eq!(first.header("From"), "gatelens <alerts@sender.example>");
    assert_eq!(first.header("To"), "Operators <first@example.com>, second@example.com");
    assert_eq!(first.header("Auto-Submitted"), "auto-generated");
    let view = "https://gatelens.example/?environment=prod&service=orders&from=";
    assert!(first.body.contains(view) && first.body.contains("service: orders"), "{}", first.body);
    assert!(first.body.contains(&view.replace('&', "&amp;")), "{}", first.body);
    // Everybody who knows of the alert learns of its end.
    let off = json!({"name": "errors", "enabled": false, "measure": "error_percent", "above": 1});
    assert_eq!(service.put("/api/v1/alerts/rules/errors", &off.to_string()).status, 200);
    service.restart(rewind(2));
    let end = server.next();
    assert!(end.subject().starts_with("Resolved: errors"), "{}", end.subject());
    let id = first.header("Message-ID");
    assert!(id.ends_with("@sender.example>"), "{id}");
    assert_eq!((end.header("In-Reply-To"), end.header("References")), (id, id));
    assert_ne!(end.header("Message-ID"), id);
    wait(&service, DELIVERIES, |found| found["rows"][0]["outcome"] == "delivered");
    let alerts = service.json("/api/v1/alerts");
    let shown = &alerts["receivers"][0];
    assert_eq!((&shown["kind"], &shown["host"]), (&json!("smtp"), &json!("localhost")));
    let all = alerts.to_string() + &service.json(DELIVERIES).to_string();
    for hidden in [LOGIN.0, LOGIN.1, "example.com"] {
        assert!(!all.contains(hidden), "{hidden} in {all}");
    }
    assert!(server.is_empty());
}

#[test]
fn a_hostile_name_adds_no_header_and_no_markup() {
    let server = MailServer::start(Begins::Plain, None);
    let mut service = mailing(&server.receiver("none"));
    let route = "/a\r\nBcc: victim@example.com\r\n\r\n.\r\nMAIL FROM:<x>\u{202e}<img src=x>";
    let rule = json!({"name": "routes", "measure": "error_percent", "above": 1, "each": ["route"]});
    assert_eq!(post(&service, "/api/v1/alerts/rules", &rule).0, 200);
    let off = json!({"name": "errors", "enabled": false, "measure": "error_percent", "above": 1});
    assert_eq!(service.put("/api/v1/alerts/rules/errors", &off.to_string()).status, 200);
    count(&service, 12, &vec![made(route, 500, 0.01); 40]);
    service.restart(rewind(12));
    let mail = server.next();
    assert!(!mail.is_encrypted);
    assert_eq!(mail.to, ["first@example.com"]);
    assert_eq!(mail.all("Bcc"), [] as [&str; 0]);
    let subject = mail.subject();
    assert!(subject.starts_with("Firing: routes (/a"), "{subject:?}");
    assert!(!subject.contains(|c: char| c.is_control() || c == '\u{202e}'), "{subject:?}");
    let (_, html) = mail.body.split_once("<!doctype html>").unwrap();
    assert!(!html.contains("<img") && !mail.body.contains('\u{202e}'), "{}", mail.body);
    let mails = server.lines().iter().filter(|line| line.starts_with("MAIL")).count();
    assert_eq!(mails, 1);
}

#[test]
fn only_those_who_were_put_off_are_sent_to_again() {
    let server = MailServer::start(Begins::Encrypted, None);
    server.answer("RCPT TO:<second@", "450 4.7.1 greylisted: second@example.com");
    let to = json!({"to": ["first@example.com", "second@example.com", "third@example.com"]});
    let mut service = mailing(&with(server.receiver("implicit"), &to));
    let row = test(&service);
    assert_eq!((&row["outcome"], &row["status"]), (&json!("waiting"), &json!(450)), "{row:#}");
    // The answer repeats an address, which is not shown.
    assert_eq!(row["error"], "1 of 3 recipients: it answered with 450");
    assert_eq!(server.next().to, ["first@example.com", "third@example.com"]);
    service.restart(due);
    let again = server.next();
    assert_eq!(again.to, ["second@example.com"]);
    assert_eq!(again.header("To"), "first@example.com, second@example.com, third@example.com");
    wait(&service, DELIVERIES, |found| found["rows"][0]["outcome"] == "delivered");
    assert!(server.is_empty());
}

#[test]
fn a_refusal_is_final_and_a_passing_one_is_not() {
    let server = MailServer::start(Begins::Starttls, None);
    // What waits would be sent again to a service that goes on.
    let test_anew = || test(&mailing(&server.receiver("starttls")));
    for (line, answer, outcome, error) in [
        (".", "554 5.7.1 spam", "failed", "it answered with 554: 5.7.1 spam"),
        ("MAIL", "550 5.7.1 not you", "failed", "it answered with 550: 5.7.1 not you"),
        ("RCPT", "550 5.1.1 nobody", "failed", "1 of 1 recipients: it answered with 550: 5.1.1 nobody"),
        ("DATA", "451 4.3.0 later", "waiting", "it answered with 451: 4.3.0 later"),
        (".", "452 4.3.1 full", "waiting", "it answered with 452: 4.3.1 full"),
        ("EHLO", "421 4.3.2 closing", "waiting", "it answered with 421: 4.3.2 closing"),
    ] {
        server.answer(line, answer);
        let row = test_anew();
        assert_eq!((&row["outcome"], &row["error"]), (&json!(outcome), &json!(error)), "{row:#}");
        assert!(server.is_empty(), "{answer}");
    }
    assert_eq!(test_anew()["outcome"], "delivered");
    assert_eq!(server.next().subject(), "Test: test");
}

#[test]
fn nothing_is_sent_without_the_encryption_that_was_asked_for() {
    let verbs = |server: &MailServer| -> Vec<String> {
        let verb = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
        server.lines().iter().map(verb).collect()
    };
    let check = |server: &MailServer, receiver: &Value, words: &str, expected: &[&str]| {
        let login = json!({"username": LOGIN.0, "password": LOGIN.1});
        let row = test(&mailing(&with(receiver.clone(), &login)));
        assert_eq!(row["outcome"], "waiting", "{row:#}");
        assert!(row["error"].as_str().unwrap().contains(words), "{words:?} in {row:#}");
        assert_eq!(verbs(server), expected, "{words}");
        assert!(server.is_empty());
    };
    // The offer was taken away.
    let stripped = MailServer::start(Begins::Plain, Some(LOGIN));
    check(&stripped, &stripped.receiver("starttls"), "does not offer STARTTLS", &["EHLO"]);
    // Somebody in between adds an answer to what is asked over TLS.
    let injected = MailServer::start(Begins::Starttls, Some(LOGIN));
    injected.answer("STARTTLS", "220 go ahead\r\n250 AUTH PLAIN");
    check(&injected, &injected.receiver("starttls"), "the exchange with it failed", &["EHLO", "STARTTLS"]);
    // Another authority certified the server, or its certificate is for another name.
    let (encrypted, other) =
        (MailServer::start(Begins::Encrypted, None), MailServer::start(Begins::Starttls, None));
    let foreign = json!({"ca_file": other.ca_file});
    check(
        &encrypted,
        &with(encrypted.receiver("implicit"), &foreign),
        "TLS failed: invalid peer certificate",
        &[],
    );
    let foreign = json!({"ca_file": encrypted.ca_file});
    let words = "invalid peer certificate";
    check(&other, &with(other.receiver("starttls"), &foreign), words, &["EHLO", "STARTTLS"]);
    let named = json!({"host": "127.0.0.1"});
    check(&other, &with(other.receiver("starttls"), &named), words, &["EHLO", "STARTTLS"]);
}

#[test]
fn a_refused_sign_in_is_shown_without_the_name_and_the_password() {
    let server = MailServer::start(Begins::Starttls, Some(LOGIN));
    let login = json!({"username": LOGIN.0, "password": "wrong horse"});
    let row = test(&mailing(&with(server.receiver("starttls"), &login)));
    assert_eq!((&row["outcome"], &row["status"]), (&json!("failed"), &json!(535)), "{row:#}");
    assert_eq!(row["error"], "it refused the user name or the password with 535");
    let row = test(&mailing(&server.receiver("starttls")));
    assert_eq!(row["error"], "it answered with 530: 5.7.0 authenticate");
}

#[test]
fn a_receiver_made_on_the_page_reaches_no_credentials_of_a_cloud() {
    let service = Service::start();
    let receivers = "/api/v1/alerts/receivers";
    let smtp = |host: &str| json!({"name": "post", "smtp": {"host": host, "from": "a@example.com", "to": ["b@example.com"]}});
    assert_eq!(post(&service, receivers, &smtp("169.254.169.254")).0, 200);
    let row = test(&service);
    assert!(row["error"].as_str().unwrap().contains("link-local"), "{row:#}");
    let wrong = post(&service, receivers, &smtp("mail.example.com:25"));
    assert_eq!((wrong.0, &wrong.1["error"]["field"]), (422, &json!("smtp.host")), "{}", wrong.1);
}
