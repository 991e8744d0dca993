//! Sign-in by OpenID Connect: the way of a browser, and every way to cheat.

use crate::support::Service;
use crate::tls::{authority, certify};
use crate::tls_proxy::TlsProxy;
use gatelens_ingest::{AccessConfig, Limits, NewToken, OidcConfig, Role, TokenOwner, user_line};
use gatelens_testkit::oidc::{
    CLIENT_ID, CLIENT_SECRET, DESCRIPTION, KEYS, Provider, Signature, SigningKey, TOKEN, Token, Trouble,
};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;
use tempfile::TempDir;

/// A service, a provider, and a program that reads the audit log.
struct Signing {
    provider: Provider,
    service: Service,
    agent: ureq::Agent,
    admin: String,
    _dir: TempDir,
}

/// A response to a browser.
struct Page {
    status: u16,
    location: String,
    /// Names and values of cookies, without their attributes.
    cookies: Vec<String>,
    /// The cookies as they were set.
    set: Vec<String>,
    text: String,
}

impl Page {
    fn cookie(&self, name: &str) -> String {
        let prefix = format!("{name}=");
        self.cookies.iter().find(|cookie| cookie.starts_with(&prefix)).cloned().unwrap_or_default()
    }
}

impl Signing {
    /// Everybody is a viewer, and `ops` are admins.
    fn start() -> Self {
        Self::with(SigningKey::es256(), |_| ())
    }

    fn with(key: SigningKey, change: impl FnOnce(&mut OidcConfig)) -> Self {
        Self::before(key, |_, config| change(config))
    }

    /// Likewise, with changes of the provider before the service starts.
    fn before(key: SigningKey, change: impl FnOnce(&Provider, &mut OidcConfig)) -> Self {
        let provider = Provider::start(key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (users, secret) = (dir.path().join("users.yaml"), dir.path().join("secret"));
        let program = NewToken::new("auditor", TokenOwner::Person { role: Role::Admin }).unwrap();
        let person = user_line("bob", Role::Analyst, "correct horse battery").unwrap();
        fs::write(&users, format!("{}\n{person}\n", program.line)).unwrap();
        fs::write(&secret, format!("{CLIENT_SECRET}\n")).unwrap();
        let mut oidc: OidcConfig = serde_json::from_value(json!({
            "issuer": provider.issuer(), "client_id": CLIENT_ID, "client_secret_file": secret, "name": "Example",
            "role_claim": "groups", "roles": {"admin": ["ops"]}, "default_role": "viewer",
        }))
        .unwrap();
        change(&provider, &mut oidc);
        let access = AccessConfig { users: Some(users), oidc: Some(oidc), ..AccessConfig::default() };
        let service = Service::guarded(Limits::default(), access);
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let admin = format!("Bearer {}", program.token);
        Self { provider, service, agent: config.build().new_agent(), admin, _dir: dir }
    }

    fn browse(&self, url: &str, headers: &[(&str, &str)]) -> Page {
        let url = if url.starts_with('/') { format!("{}{url}", self.service.url) } else { url.to_owned() };
        let mut request = self.agent.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.call().unwrap();
        let text = |value: &ureq::http::HeaderValue| value.to_str().unwrap().to_owned();
        let set: Vec<_> = response.headers().get_all("set-cookie").iter().map(text).collect();
        Page {
            status: response.status().as_u16(),
            location: response.headers().get("location").map(text).unwrap_or_default(),
            cookies: set.iter().map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect(),
            set,
            text: response.body_mut().read_to_string().unwrap(),
        }
    }

    /// Up to the provider and back: the cookie of the browser, and the address of the callback.
    fn at_callback(&self, start: &str) -> (String, String) {
        let begun = self.browse(start, &[]);
        assert_eq!(begun.status, 303, "{}", begun.text);
        let back = self.browse(&begun.location, &[]);
        assert_eq!(back.status, 302, "{}", back.text);
        (begun.cookie("gatelens-sign-in"), back.location)
    }

    /// The whole way.
    fn sign_in(&self) -> Page {
        let (cookie, callback) = self.at_callback("/auth/start?return=/routes%3Frange%3D6h");
        self.browse(&callback, &[("cookie", &cookie)])
    }

    /// The person of a session.
    fn person(&self, page: &Page) -> Value {
        let shown = self.service.get_with("/api/v1/session", &[("cookie", &page.cookie("gatelens-session"))]);
        serde_json::from_slice::<Value>(&shown.body).unwrap()["person"].clone()
    }

    /// Signs in and must fail with these words; nobody is signed in then.
    fn refused(&self, status: u16, words: &str) {
        let page = self.sign_in();
        assert!(page.text.contains(words), "{words:?}: {} {}", page.status, page.text);
        assert_eq!((page.status, page.cookie("gatelens-session")), (status, String::new()), "{words:?}");
        assert_eq!(page.cookie("gatelens-sign-in"), "gatelens-sign-in=", "{words:?}: the sign-in has ended");
    }

    /// Likewise, with a token that was changed.
    fn forged(&self, words: &str, forge: impl FnMut(&mut Token) + Send + 'static) {
        self.provider.forge(forge);
        self.refused(502, words);
        self.provider.forge(|_| ());
    }

    /// Actions, actors, roles and details, the oldest first.
    fn audit(&self) -> Vec<[String; 4]> {
        let answer = self.service.get_with("/api/v1/audit", &[("authorization", &self.admin)]);
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows = answer["rows"].as_array().unwrap().iter().rev();
        rows.map(|row| ["action", "actor", "role", "detail"].map(|key| text(row, key))).collect()
    }
}

#[test]
fn a_person_signs_in_with_either_algorithm_and_has_a_session_like_any_other() {
    for key in [SigningKey::es256(), SigningKey::rs256()] {
        let signing = Signing::with(key, |_| ());
        let session = signing.service.json("/api/v1/session");
        assert_eq!(
            session,
            json!({"required": true, "methods": ["password", "oidc"], "provider": "Example", "person": null})
        );
        assert_eq!(
            signing.provider.requests(DESCRIPTION),
            0,
            "the provider is not asked before somebody signs in"
        );

        signing.provider.person(json!({"groups": ["staff", "ops"]}));
        let begun = signing.browse("/auth/start", &[]);
        for attribute in ["; Path=/auth", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"] {
            assert!(begun.set[0].contains(attribute), "{:?}", begun.set);
        }
        let page = signing.sign_in();
        assert_eq!((page.status, &*page.location), (303, "/routes?range=6h"), "{}", page.text);
        let session = page.set.iter().find(|cookie| cookie.starts_with("gatelens-session=")).unwrap();
        for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
            assert!(session.contains(attribute), "{session}");
        }
        let person = signing.person(&page);
        assert_eq!((&person["name"], &person["role"]), (&json!("ada@example.com"), &json!("admin")));

        let cookie = page.cookie("gatelens-session");
        let audit = |headers: &[(&str, &str)]| signing.service.get_with("/api/v1/audit", headers).status;
        assert_eq!(audit(&[("cookie", &cookie)]), 200);
        let out =
            |headers: &[(&str, &str)]| signing.service.send_any("delete", "/api/v1/session", headers).status;
        assert_eq!(out(&[("cookie", &cookie)]), 403, "without the header");
        assert_eq!(out(&[("cookie", &cookie), ("x-gatelens-csrf", "1")]), 204);
        assert_eq!(audit(&[("cookie", &cookie)]), 401, "the old cookie is worth nothing");
        let expected = [
            ["sign_in", "ada@example.com", "admin", "with OpenID Connect at Example, subject person-1"],
            ["sign_out", "ada@example.com", "admin", ""],
        ];
        assert_eq!(signing.audit(), expected.map(|row| row.map(str::to_owned)));
    }
}

#[test]
fn the_client_proves_itself_as_the_provider_asks() {
    let signing = Signing::start();
    signing.provider.describe(|description| {
        description["token_endpoint_auth_methods_supported"] =
            json!(["client_secret_post", "private_key_jwt"]);
    });
    assert_eq!(signing.sign_in().status, 303);

    let public = Signing::with(SigningKey::es256(), |config| config.client_secret_file = None);
    public.provider.without_secret();
    assert_eq!(public.sign_in().status, 303);

    let wrong = Signing::with(SigningKey::es256(), |config| config.client_id = "gatelens2".to_owned());
    let begun = wrong.browse("/auth/start", &[]);
    assert_eq!(wrong.browse(&begun.location, &[]).status, 400, "the provider knows another client");
    let unknown = Signing::with(SigningKey::es256(), |config| config.client_secret_file = None);
    unknown.refused(502, "the log of the service has the reason");
}

#[test]
fn an_answer_counts_once_and_in_the_browser_that_began() {
    let signing = Signing::start();
    let (cookie, callback) = signing.at_callback("/auth/start");
    let check = |url: &str, cookie: &str, words: &str| {
        let page = signing.browse(url, &[("cookie", cookie)]);
        assert_eq!((page.status, page.cookie("gatelens-session")), (400, String::new()), "{words}");
        assert!(page.text.contains(words), "{words:?}: {}", page.text);
    };
    // A stranger sends a link with a code of its own.
    check(&callback, "", "took more than 10 minutes");
    check(&callback, "gatelens-sign-in=AAAA", "took more than 10 minutes");
    let (other, _) = signing.at_callback("/auth/start");
    check(&callback, &other, "belongs to another sign-in");
    let (address, _) = callback.split_once('?').unwrap();
    check(&format!("{address}?code=x&state=x"), &cookie, "belongs to another sign-in");
    check(&format!("{address}?code=x"), &cookie, "belongs to another sign-in");
    assert_eq!(signing.provider.requests(TOKEN), 0, "no code of a stranger goes to the provider");

    assert_eq!(signing.browse(&callback, &[("cookie", &cookie)]).status, 303);
    check(&callback, &cookie, "has ended already");
    // The same code in another sign-in of the same browser.
    let code = callback.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    signing.provider.answer(move |pairs| pairs[0].1.clone_from(&code));
    signing.refused(502, "did not accept its own code");
}

#[test]
fn a_code_of_another_browser_does_not_work() {
    // Somebody has the code of a victim and puts it into a sign-in of their own.
    let signing = Signing::start();
    let (_, victim) = signing.at_callback("/auth/start");
    let code = victim.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    signing.provider.answer(move |pairs| pairs[0].1.clone_from(&code));
    signing.refused(502, "did not accept its own code");
    assert_eq!(signing.provider.requests(TOKEN), 1);
}

#[test]
fn a_token_that_is_not_for_this_sign_in_is_refused() {
    let signing = Signing::start();
    let claim =
        |name: &'static str, value: Value| move |token: &mut Token| token.claims[name] = value.clone();
    signing.forged("belongs to another sign-in", claim("nonce", json!("another")));
    signing.forged("belongs to another sign-in", |token| {
        drop(token.claims.as_object_mut().unwrap().remove("nonce"))
    });
    signing.forged("for another client", claim("aud", json!("another")));
    signing.forged("for another client", claim("aud", json!([CLIENT_ID, "another"])));
    signing.forged("for another client", claim("azp", json!("another")));
    signing.forged("from another issuer", claim("iss", json!("https://evil.example")));
    signing.forged("not valid yet", |token| {
        token.claims["nbf"] = json!(token.claims["iat"].as_u64().unwrap() + 600)
    });
    signing.forged("not valid yet", |token| {
        token.claims["iat"] = json!(token.claims["iat"].as_u64().unwrap() + 600)
    });
    signing.forged("has expired", |token| {
        token.claims["exp"] = json!(token.claims["iat"].as_u64().unwrap() - 120)
    });
    for name in ["exp", "iss", "sub", "aud"] {
        signing.forged("is missing or is not what it must be", move |token| {
            drop(token.claims.as_object_mut().unwrap().remove(name));
        });
    }
    assert_eq!(signing.sign_in().status, 303, "an honest one still signs in");
}

#[test]
fn only_good_signatures_count() {
    for key in [SigningKey::es256(), SigningKey::rs256()] {
        let signing = Signing::with(key, |_| ());
        signing.forged("signature is wrong", |token| token.signature = Signature::Broken);
        signing.forged("not signed with RS256 or ES256", |token| {
            token.header["alg"] = json!("none");
            token.signature = Signature::None;
        });
        signing.forged("signature is wrong", |token| token.signature = Signature::None);
        signing.forged("not signed with RS256 or ES256", |token| {
            token.header["alg"] = json!("HS256");
            token.signature = Signature::HmacOfPublicKey;
        });
        // The algorithm of another kind of key.
        signing.forged("does not publish the key", |token| {
            token.header["alg"] = json!(if token.header["alg"] == "RS256" { "ES256" } else { "RS256" });
            token.signature = Signature::HmacOfPublicKey;
        });
        signing.forged("not signed with RS256 or ES256", |token| token.header["alg"] = json!("RS512"));
        signing.forged("critical header", |token| token.header["crit"] = json!(["exp"]));
        let failed = signing.audit();
        assert!(
            failed.iter().all(|[action, actor, ..]| action == "sign_in_failed" && actor.is_empty()),
            "{failed:?}"
        );
        assert_eq!(failed.len(), 7, "{failed:?}");
    }
}

#[test]
fn an_unknown_key_makes_the_service_look_once_a_minute() {
    let signing = Signing::start();
    let begun = Instant::now();
    assert_eq!(signing.sign_in().status, 303);
    assert_eq!(signing.provider.requests(KEYS), 1);
    // Nobody asks for the keys again at once because of a token.
    signing.provider.sign_with_unpublished(SigningKey::es256());
    for _ in 0..3 {
        signing.refused(502, "does not publish the key");
    }
    let minutes = begun.elapsed().as_secs() as usize / 60;
    assert!(signing.provider.requests(KEYS) <= 1 + minutes, "{}", signing.provider.requests(KEYS));
}

#[test]
fn the_keys_are_of_the_time_of_the_first_token() {
    let signing = Signing::start();
    // Someone began before the provider changed its keys.
    let (cookie, callback) = signing.at_callback("/auth/start");
    signing.provider.rotate(SigningKey::rs256());
    let page = signing.browse(&callback, &[("cookie", &cookie)]);
    assert_eq!(page.status, 303, "{}", page.text);
}

#[test]
fn a_mix_up_of_providers_is_noticed() {
    // RFC 9207: the answer names its issuer.
    let signing = Signing::start();
    signing.provider.answer(|pairs| pairs.push(("iss".to_owned(), "https://evil.example".to_owned())));
    signing.refused(400, "from another provider");
    assert_eq!(signing.provider.requests(TOKEN), 0);
    let issuer = signing.provider.issuer();
    signing.provider.answer(move |pairs| pairs.push(("iss".to_owned(), issuer.clone())));
    assert_eq!(signing.sign_in().status, 303);

    // A provider that always names it must.
    let signing = Signing::start();
    signing.provider.describe(|it| it["authorization_response_iss_parameter_supported"] = json!(true));
    signing.refused(400, "from another provider");

    // A description of another issuer, and one that leads away.
    let signing = Signing::start();
    signing.provider.describe(|it| it["issuer"] = json!("https://evil.example"));
    assert_eq!(signing.browse("/auth/start", &[]).status, 502);
    for endpoint in ["token_endpoint", "jwks_uri", "authorization_endpoint"] {
        let signing = Signing::start();
        signing.provider.describe(move |it| it[endpoint] = json!("http://evil.example/x"));
        assert_eq!(signing.browse("/auth/start", &[]).status, 502, "{endpoint}");
    }
}

#[test]
fn who_is_not_meant_learns_why() {
    let signing = Signing::with(SigningKey::es256(), |config| {
        config.default_role = None;
        config.domains = vec!["example.com".to_owned()];
    });
    signing.provider.person(json!({"groups": ["staff"]}));
    signing.refused(403, "You have no role here: ask an admin for it.");
    signing.provider.person(json!({"groups": ["ops"], "email_verified": false}));
    signing.refused(403, "has not verified your e-mail address");
    signing.provider.person(json!({"email_verified": true, "email": "ada@evil.example"}));
    signing.refused(403, "Addresses of your e-mail domain may not sign in here.");
    signing.provider.person(json!({"email": null}));
    signing.refused(403, "gives no claim `email`");
    let noted = signing.audit();
    let actors: Vec<_> = noted.iter().map(|[_, actor, ..]| &**actor).collect();
    assert_eq!(actors, ["ada@example.com", "ada@example.com", "ada@evil.example", ""]);
    assert!(noted.iter().all(|[action, ..]| action == "sign_in_failed"), "{noted:?}");

    // The audit log knows people by their names: nobody gets the name of somebody with a password.
    let signing =
        Signing::with(SigningKey::es256(), |config| config.person_claim = "preferred_username".to_owned());
    signing.provider.person(json!({"preferred_username": "bob"}));
    signing.refused(403, "Somebody of your name signs in with a password here");
    signing.provider.person(json!({"preferred_username": "<b>\u{202e}"}));
    signing.refused(403, "characters that are not allowed");
}

#[test]
fn errors_of_the_provider_are_shown_and_never_repeated() {
    let signing = Signing::start();
    let shown = |error: &'static str, words: &str| {
        signing.provider.answer(move |pairs| {
            pairs[0] = ("error".to_owned(), error.to_owned());
            pairs.push(("error_description".to_owned(), "<script>alert(1)</script>".to_owned()));
        });
        let page = signing.sign_in();
        assert!(page.status == 403 && page.text.contains(words), "{} {}", page.status, page.text);
        assert!(!page.text.contains("script"), "{}", page.text);
    };
    shown("access_denied", "with the error `access_denied`");
    shown("<script>alert(1)</script>", "with the error `unknown`");
}

#[test]
fn a_sign_in_returns_to_this_site_alone() {
    let signing = Signing::start();
    let returns = |to: &str| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("return", to).finish();
        let (cookie, callback) = signing.at_callback(&format!("/auth/start?{query}"));
        signing.browse(&callback, &[("cookie", &cookie)]).location
    };
    assert_eq!(returns("/requests?status=5xx&path=%2Fa"), "/requests?status=5xx&path=%2Fa");
    for evil in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/a\r\nset-cookie: x",
        "javascript:x",
        "",
    ] {
        assert_eq!(returns(evil), "/", "{evil:?}");
    }
}

#[test]
fn the_address_of_the_page_is_not_the_one_of_the_request() {
    let signing = Signing::start();
    let port = signing.service.url.rsplit(':').next().unwrap();
    let redirect = |location: &str| {
        let (_, query) = location.split_once('?').unwrap();
        let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "redirect_uri");
        found.unwrap().1.into_owned()
    };
    let own = format!("{}/auth/callback", signing.service.url);
    for (name, value) in [
        ("host", "evil.example"),
        ("host", &*format!("localhost:{port}")),
        ("host", "10.9.8.7"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
        ("x-forwarded-proto", "https"),
    ] {
        let begun = signing.browse("/auth/start", &[(name, value)]);
        match value {
            "evil.example" if name == "host" => assert_eq!(begun.status, 421),
            _ => assert_eq!(redirect(&begun.location), own, "{name}: {value}"),
        }
    }
    let named = Signing::with(SigningKey::es256(), |config| {
        config.page_url = Some("https://gatelens.example/".to_owned())
    });
    let begun = named.browse("/auth/start", &[]);
    assert_eq!(redirect(&begun.location), "https://gatelens.example/auth/callback");
}

#[test]
fn a_provider_in_trouble_costs_nobody_else_anything() {
    for trouble in [Trouble::Status(500), Trouble::Html, Trouble::Endless, Trouble::Elsewhere] {
        for path in [DESCRIPTION, KEYS, TOKEN] {
            let signing = Signing::start();
            signing.provider.trouble(path, Some(trouble));
            let begun = signing.browse("/auth/start", &[]);
            let page = match path {
                DESCRIPTION => begun,
                _ => signing.sign_in(),
            };
            assert_eq!(page.status, 502, "{trouble:?} at {path}: {}", page.text);
            assert!(page.text.contains("The provider does not respond as it should"), "{}", page.text);
            // Nobody asks again at once, and other ways to sign in work.
            if path == DESCRIPTION {
                assert_eq!(signing.browse("/auth/start", &[]).status, 502);
                assert_eq!(signing.provider.requests(DESCRIPTION), 1);
            }
            let body = json!({"name": "bob", "password": "correct horse battery"}).to_string();
            let headers = [("content-type", "application/json"), ("x-gatelens-csrf", "1")];
            assert_eq!(signing.service.post("/api/v1/session", &headers, body.as_bytes()).status, 200);
        }
    }
}

#[test]
fn a_silent_provider_holds_few_and_the_service_goes_on() {
    let signing = Signing::start();
    signing.provider.trouble(DESCRIPTION, Some(Trouble::Silence));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let start = || signing.browse("/auth/start", &[]).status;
        let waiting: Vec<_> = (0..20).map(|_| scope.spawn(start)).collect();
        let begun = Instant::now();
        while signing.provider.requests(DESCRIPTION) == 0 && begun.elapsed().as_secs() < 60 {
            std::thread::yield_now();
        }
        // Somebody else is not held up.
        assert_eq!(signing.service.get("/healthz").status, 200);
        waiting.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(refused > 0 && statuses.iter().all(|status| matches!(status, 502 | 503)), "{statuses:?}");
    assert_eq!(signing.provider.requests(DESCRIPTION), 1, "all wait for one question");
}

#[test]
fn an_address_has_few_attempts_in_a_row() {
    let signing = Signing::start();
    signing.provider.forge(|token| token.signature = Signature::Broken);
    // One is forgiven in half a minute, so that a slow machine may have some more.
    let failed = (0..200).take_while(|_| signing.sign_in().status == 502).count();
    assert!((20..200).contains(&failed), "{failed}");
    assert_eq!(signing.provider.requests(TOKEN), failed);
    let noted = signing.audit();
    let refused: Vec<_> = noted.iter().filter(|[.., detail]| detail.contains("too many attempts")).collect();
    assert_eq!((noted.len(), refused.len()), (failed + 1, 1));
}

#[test]
fn without_a_provider_there_is_no_such_sign_in() {
    let service = Service::start();
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
    let agent = config.new_agent();
    for path in ["/auth/start", "/auth/callback?code=x&state=y"] {
        assert_eq!(agent.get(format!("{}{path}", service.url)).call().unwrap().status(), 404, "{path}");
    }
    let session = service.json("/api/v1/session");
    assert_eq!(session, json!({"required": false, "methods": [], "provider": null, "person": null}));
}

#[test]
fn the_provider_is_reached_by_tls_under_the_authorities_of_the_file_alone() {
    let (own, other) = (authority(), authority());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let (ours, theirs) = (file("own.crt", &own.pem()), file("other.crt", &other.pem()));
    let (both, none) =
        (file("both.crt", &format!("{}{}", other.pem(), own.pem())), file("none.crt", "empty\n"));
    let check = |name: &str, ca_file: Option<PathBuf>, status: u16| {
        let mut proxy = None;
        let signing = Signing::before(SigningKey::es256(), |provider, config| {
            let running = TlsProxy::start(provider.address(), certify(&own, name));
            provider.known_as(&format!("https://localhost:{}", running.port()));
            config.issuer = provider.issuer();
            config.ca_file.clone_from(&ca_file);
            proxy = Some(running);
        });
        let begun = signing.browse("/auth/start", &[]);
        assert_eq!(begun.status, status, "{name} {ca_file:?}: {}", begun.text);
        match status {
            303 => assert!(begun.location.starts_with("https://localhost:"), "{}", begun.location),
            _ => assert_eq!(signing.provider.requests(DESCRIPTION), 0, "{name} {ca_file:?}"),
        }
        (signing, proxy)
    };
    check("localhost", Some(theirs), 502);
    check("localhost", None, 502);
    check("localhost", Some(none), 502);
    check("localhost", Some(dir.path().join("missing.crt")), 502);
    check("id.example", Some(ours.clone()), 502);
    check("localhost", Some(ours.clone()), 303);

    // The whole way: description, keys and the exchange of the code, each by TLS. Only the browser, which does not trust the
    // authority, goes around the proxy.
    let (signing, proxy) = check("localhost", Some(both), 303);
    let issuer = format!("https://localhost:{}", proxy.as_ref().unwrap().port());
    let begun = signing.browse("/auth/start", &[]);
    let back = signing.browse(&begun.location.replace(&issuer, &signing.provider.origin()), &[]);
    let page = signing.browse(&back.location, &[("cookie", &begun.cookie("gatelens-sign-in"))]);
    assert_eq!(page.status, 303, "{}", page.text);
    assert_eq!(signing.person(&page)["name"], "ada@example.com");
    assert_eq!((signing.provider.requests(KEYS), signing.provider.requests(TOKEN)), (1, 1));
}
