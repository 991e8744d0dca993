//! A provider of OpenID Connect that signs everybody in, and that lies as a test asks for it.
//!
//! It describes itself, publishes its keys, hands out codes that work once and for the verifier of their challenge, and
//! signs tokens. It checks its clients as strictly as real ones do.

mod sign;

pub use sign::{Signature, SigningKey};

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::Result;
use crate::http1::{self, Framing, Head, Wire};
use crate::server::Server;

/// The only client that it knows.
pub const CLIENT_ID: &str = "gatelens";
/// The secret of that client, with characters that must be encoded.
pub const CLIENT_SECRET: &str = "sécret: of/tests+&";

/// The path of the description.
pub const DESCRIPTION: &str = "/.well-known/openid-configuration";
/// The path of the keys.
pub const KEYS: &str = "/keys";
/// The path at which codes become tokens.
pub const TOKEN: &str = "/token";

/// A token before it is signed.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its header.
    pub header: Value,
    /// Its claims.
    pub claims: Value,
    /// How it is signed.
    pub signature: Signature,
}

/// What it does in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// This status and an empty body.
    Status(u16),
    /// A body without end.
    Endless,
    /// Nothing, and the connection stays open.
    Silence,
    /// 200 with HTML.
    Html,
    /// A redirect to the same path of another host.
    Elsewhere,
}

/// A running provider; ends when dropped.
pub struct Provider {
    server: Server,
    shared: Arc<Shared>,
}

type Forge<T> = Box<dyn FnMut(&mut T) + Send>;

struct Shared {
    state: Mutex<State>,
}

struct State {
    issuer: String,
    keys: Vec<SigningKey>,
    /// The keys that are published; the last of `keys` signs.
    published: Vec<Value>,
    person: Value,
    codes: HashMap<String, Asked>,
    forge: Option<Forge<Token>>,
    describe: Option<Forge<Value>>,
    answer: Option<Forge<Vec<(String, String)>>>,
    troubles: HashMap<&'static str, Trouble>,
    seen: Vec<String>,
    is_public_client: bool,
    asks_people: bool,
}

/// What a code was asked for.
struct Asked {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

impl Provider {
    /// Starts on a free port of 127.0.0.1, and signs with this key.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when it cannot listen.
    pub fn start(key: SigningKey) -> Result<Self> {
        let state = State {
            issuer: String::new(),
            published: vec![key.published()],
            keys: vec![key],
            person: json!({"sub": "person-1", "email": "ada@example.com", "email_verified": true}),
            codes: HashMap::new(),
            forge: None,
            describe: None,
            answer: None,
            troubles: HashMap::new(),
            seen: Vec::new(),
            is_public_client: false,
            asks_people: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), {
            let shared = Arc::clone(&shared);
            // A broken connection is the peer's affair.
            move |stream| drop(serve(stream, &shared))
        })?;
        shared.lock().issuer = format!("http://{}/realms/test", server.address());
        Ok(Self { server, shared })
    }

    /// The issuer, with a path as many have.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.shared.lock().issuer.clone()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Has clients and browsers reach it under another origin, such as that of a proxy with TLS in front of it. The issuer
    /// is of that origin, too.
    pub fn known_as(&self, origin: &str) {
        self.shared.lock().issuer = format!("{origin}/realms/test");
    }

    /// Shows a page with the links `Continue` and `Cancel`, as real ones show a form, and signs nobody in at once.
    pub fn ask_people(&self) {
        self.shared.lock().asks_people = true;
    }

    /// Claims of everybody who signs in from now on; `null` removes one.
    pub fn person(&self, claims: Value) {
        let mut state = self.shared.lock();
        merge(&mut state.person, claims);
    }

    /// Signs with another key from now on, and publishes it alone.
    pub fn rotate(&self, key: SigningKey) {
        let mut state = self.shared.lock();
        state.published = vec![key.published()];
        state.keys.push(key);
    }

    /// Signs with another key from now on, and goes on to publish the old one.
    pub fn sign_with_unpublished(&self, key: SigningKey) {
        self.shared.lock().keys.push(key);
    }

    /// Publishes no key any more, and goes on to sign.
    pub fn withdraw(&self) {
        self.shared.lock().published.clear();
    }

    /// Changes each token before it is signed.
    pub fn forge(&self, forge: impl FnMut(&mut Token) + Send + 'static) {
        self.shared.lock().forge = Some(Box::new(forge));
    }

    /// Changes the description.
    pub fn describe(&self, describe: impl FnMut(&mut Value) + Send + 'static) {
        self.shared.lock().describe = Some(Box::new(describe));
    }

    /// Changes the parameters with which it sends the browser back.
    pub fn answer(&self, answer: impl FnMut(&mut Vec<(String, String)>) + Send + 'static) {
        self.shared.lock().answer = Some(Box::new(answer));
    }

    /// Misbehaves at a path, or no longer.
    pub fn trouble(&self, path: &'static str, trouble: Option<Trouble>) {
        let mut state = self.shared.lock();
        match trouble {
            Some(trouble) => state.troubles.insert(path, trouble),
            None => state.troubles.remove(path),
        };
    }

    /// Asks its client for no secret.
    pub fn without_secret(&self) {
        self.shared.lock().is_public_client = true;
    }

    /// Requests for a path so far.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        self.shared.lock().seen.iter().filter(|seen| *seen == path).count()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.read_head()? {
        let framing = head.request_framing()?;
        let body = wire.read_body(framing)?;
        let mut start = head.start.split(' ').skip(1);
        let target = start.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let own = path.strip_prefix("/realms/test").unwrap_or(path);
        let trouble = {
            let mut state = shared.lock();
            state.seen.push(own.to_owned());
            state.troubles.get(own).copied()
        };
        let answer = match trouble {
            None => shared.lock().answer_to(own, query, &head, &body),
            Some(Trouble::Status(status)) => Answer { status, headers: Vec::new(), body: String::new() },
            Some(Trouble::Html) => {
                Answer { status: 200, headers: Vec::new(), body: "<h1>Hello</h1>".to_owned() }
            }
            Some(Trouble::Elsewhere) => {
                let location = format!("http://localhost:1{path}");
                Answer { status: 302, headers: vec![("location", location)], body: String::new() }
            }
            // Returns when the peer gives up.
            Some(Trouble::Silence) => return wire.read_body(Framing::UntilClose).map(drop),
            Some(Trouble::Endless) => {
                wire.stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\": \"")?;
                loop {
                    wire.stream.write_all(&[b'a'; 4096])?;
                }
            }
        };
        let mut text =
            format!("HTTP/1.1 {} Status\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in answer.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        wire.stream.write_all(format!("{text}\r\n{}", answer.body).as_bytes())?;
    }
    Ok(())
}

impl State {
    fn answer_to(&mut self, path: &str, query: &str, head: &Head, body: &[u8]) -> Answer {
        match path {
            DESCRIPTION => Answer::json(200, &self.description()),
            KEYS => Answer::json(200, &json!({"keys": self.published})),
            "/authorize" => self.authorize(query),
            TOKEN => self.token(head, body),
            _ => Answer { status: 404, headers: Vec::new(), body: String::new() },
        }
    }

    fn description(&mut self) -> Value {
        let issuer = &self.issuer;
        let mut description = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        });
        if let Some(describe) = &mut self.describe {
            describe(&mut description);
        }
        description
    }

    /// Signs the person in, and sends the browser back.
    fn authorize(&mut self, query: &str) -> Answer {
        let asked: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let has = |name: &str, value: &str| asked.get(name).is_some_and(|found| found == value);
        let get = |name: &str| asked.get(name).cloned().unwrap_or_default();
        let is_right = has("response_type", "code")
            && has("client_id", CLIENT_ID)
            && has("code_challenge_method", "S256")
            && get("scope").split(' ').any(|scope| scope == "openid")
            && get("nonce").len() >= 22
            && get("state").len() >= 22;
        if !is_right {
            return Answer { status: 400, headers: Vec::new(), body: "a wrong question".to_owned() };
        }
        let redirect_uri = get("redirect_uri");
        if self.asks_people && get("consent").is_empty() {
            let cancelled = form_urlencoded::Serializer::new(String::new())
                .append_pair("error", "access_denied")
                .append_pair("state", &get("state"))
                .finish();
            return consent(&format!("?{query}&consent=yes"), &format!("{redirect_uri}?{cancelled}"));
        }
        let code = random();
        let known = Asked {
            nonce: get("nonce"),
            challenge: get("code_challenge"),
            redirect_uri: redirect_uri.clone(),
        };
        self.codes.insert(code.clone(), known);
        let mut pairs = vec![("code".to_owned(), code), ("state".to_owned(), get("state"))];
        if let Some(answer) = &mut self.answer {
            answer(&mut pairs);
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Answer {
            status: 302,
            headers: vec![("location", format!("{redirect_uri}?{query}"))],
            body: String::new(),
        }
    }

    fn token(&mut self, head: &Head, body: &[u8]) -> Answer {
        let form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let get = |name: &str| form.get(name).map_or("", String::as_str);
        if !self.knows_client(head, get("client_id"), get("client_secret")) {
            return Answer::json(401, &json!({"error": "invalid_client"}));
        }
        let asked = self.codes.remove(get("code"));
        let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, get("code_verifier").as_bytes()).as_ref());
        let is_right = |asked: &Asked| {
            asked.challenge == challenge
                && asked.redirect_uri == get("redirect_uri")
                && get("grant_type") == "authorization_code"
        };
        match asked.filter(is_right) {
            None => Answer::json(400, &json!({"error": "invalid_grant"})),
            Some(asked) => {
                let id_token = self.id_token(&asked.nonce);
                Answer::json(
                    200,
                    &json!({"token_type": "Bearer", "access_token": "unused", "id_token": id_token}),
                )
            }
        }
    }

    fn knows_client(&self, head: &Head, id: &str, secret: &str) -> bool {
        if self.is_public_client {
            return id == CLIENT_ID && secret.is_empty();
        }
        let basic = http1::header(&head.headers, "authorization")
            .and_then(|value| BASE64.decode(value.strip_prefix(b"Basic ")?).ok())
            .and_then(|pair| String::from_utf8(pair).ok());
        match basic {
            None => id == CLIENT_ID && secret == CLIENT_SECRET,
            Some(pair) => {
                let decoded = |text: &str| {
                    let mut pairs = form_urlencoded::parse(text.as_bytes());
                    pairs.next().map(|(text, _)| text.into_owned()).unwrap_or_default()
                };
                pair.split_once(':')
                    .is_some_and(|(id, secret)| decoded(id) == CLIENT_ID && decoded(secret) == CLIENT_SECRET)
            }
        }
    }

    fn id_token(&mut self, nonce: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce,
        });
        merge(&mut claims, self.person.clone());
        let Some(key) = self.keys.last() else { return String::new() };
        let mut token = Token { header: key.header(), claims, signature: Signature::Good };
        if let Some(forge) = &mut self.forge {
            forge(&mut token);
        }
        sign::sign(&token, key)
    }
}

/// A page that leaves the next step to the person.
fn consent(yes: &str, no: &str) -> Answer {
    let link =
        |text: &str, address: &str| format!("<a href=\"{}\">{text}</a>", address.replace('&', "&amp;"));
    let links = [link("Continue", yes), link("Cancel", no)].join("\n");
    Answer {
        status: 200,
        headers: vec![("content-type", "text/html; charset=utf-8".to_owned())],
        body: format!("<!doctype html>\n<html lang=\"en\">\n<title>Provider</title>\n{links}\n</html>\n"),
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
        into.retain(|_, value| !value.is_null());
    }
}

fn random() -> String {
    HEXLOWER.encode(&std::array::from_fn::<u8, 16, _>(|_| fastrand::u8(..)))
}
