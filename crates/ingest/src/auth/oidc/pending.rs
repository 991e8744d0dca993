//! A sign-in that has begun and not ended: it is kept in a cookie of the browser and nowhere else.
//!
//! A stranger can begin sign-ins without end, and a table of them would be full at some time. The cookie has 256 random
//! bits; `state`, `nonce` and the verifier of PKCE are derived from them with a key that never leaves this process, or the replicas
//! that share it. So
//! only the browser that began a sign-in can end it.

use crate::auth::token::random;
use crate::sync::lock;
use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use ring::hmac;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Time that a person has for the sign-in at the provider.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// Bytes of a path to return to. A browser keeps 4,096 bytes of a cookie.
const MAX_RETURN_BYTES: usize = 2_000;
/// Ended sign-ins that are remembered. Beyond, the oldest is forgotten: its browser has no cookie of it any more.
const MAX_ENDED: usize = 10_000;
/// Seconds by which the clocks of replicas may differ.
const CLOCKS_DIFFER: u64 = 60;
const SECRET_BYTES: usize = 32;
const TIME_BYTES: usize = 8;
const TAG_BYTES: usize = 32;

/// The key of all cookies, and the sign-ins that have ended.
pub(super) struct Seal {
    key: hmac::Key,
    made: Instant,
    /// The second at which it was made: 0, or that of a clock that all replicas share.
    made_at: u64,
    ended: Mutex<HashMap<[u8; SECRET_BYTES], Instant>>,
}

/// A sign-in that has begun.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pending {
    secret: [u8; SECRET_BYTES],
    /// Seconds since the key was made, or Unix seconds where replicas share it.
    begun: u64,
    /// A path of the page.
    pub(super) return_to: String,
}

impl Seal {
    /// A new key; `None` when the system has no random numbers.
    pub(super) fn new(now: Instant) -> Option<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?);
        Some(Self { key, made: now, made_at: 0, ended: Mutex::default() })
    }

    /// The key of all replicas, at a time in Unix seconds. Each remembers the sign-ins that have ended at it; beyond, the provider
    /// takes a code once.
    pub(super) fn shared(key: &[u8; 32], time: u64, now: Instant) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        Self { key, made: now, made_at: time, ended: Mutex::default() }
    }

    /// Begins a sign-in that returns to a path; `None` when the system has no random numbers.
    pub(super) fn begin(&self, return_to: &str, now: Instant) -> Option<Pending> {
        let begun = self.seconds(now);
        Some(Pending { secret: random()?, begun, return_to: own_path(return_to).to_owned() })
    }

    /// The value of the cookie.
    pub(super) fn close(&self, pending: &Pending) -> String {
        let mut bytes = pending.secret.to_vec();
        bytes.extend(pending.begun.to_be_bytes());
        bytes.extend(pending.return_to.as_bytes());
        let tag = self.sign("cookie", &bytes);
        bytes.extend(tag.as_ref());
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The sign-in of a cookie, unless it is too old or not from here.
    pub(super) fn open(&self, cookie: &str, now: Instant) -> Option<Pending> {
        let bytes = BASE64URL_NOPAD.decode(cookie.as_bytes()).ok()?;
        let (content, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        if !bool::from(self.sign("cookie", content).as_ref().ct_eq(tag)) {
            return None;
        }
        let (secret, rest) = content.split_at_checked(SECRET_BYTES)?;
        let (begun, return_to) = rest.split_at_checked(TIME_BYTES)?;
        let begun = u64::from_be_bytes(begun.try_into().ok()?);
        let age =
            self.seconds(now).saturating_add(CLOCKS_DIFFER).checked_sub(begun)?.saturating_sub(CLOCKS_DIFFER);
        let return_to = String::from_utf8(return_to.to_vec()).ok()?;
        let pending = Pending { secret: secret.try_into().ok()?, begun, return_to };
        (age <= PATIENCE.as_secs()).then_some(pending)
    }

    fn seconds(&self, now: Instant) -> u64 {
        self.made_at.saturating_add(now.saturating_duration_since(self.made).as_secs())
    }

    /// Ends a sign-in; whether it had not ended before.
    pub(super) fn end(&self, pending: &Pending, now: Instant) -> bool {
        let mut ended = lock(&self.ended);
        if ended.contains_key(&pending.secret) {
            return false;
        }
        if ended.len() >= MAX_ENDED {
            ended.retain(|_, at| now.saturating_duration_since(*at) <= PATIENCE);
        }
        if ended.len() >= MAX_ENDED {
            let oldest = ended.iter().min_by_key(|(_, at)| **at).map(|(secret, _)| *secret);
            oldest.map(|oldest| ended.remove(&oldest));
        }
        ended.insert(pending.secret, now);
        true
    }

    /// Binds the answer of the provider to the browser.
    pub(super) fn state(&self, pending: &Pending) -> String {
        self.derive("state", pending)
    }

    /// Binds the ID token to this sign-in.
    pub(super) fn nonce(&self, pending: &Pending) -> String {
        self.derive("nonce", pending)
    }

    /// Binds the code to this service (RFC 7636, 4.1).
    pub(super) fn verifier(&self, pending: &Pending) -> String {
        self.derive("verifier", pending)
    }

    /// The hash of the verifier, with the method S256.
    pub(super) fn challenge(&self, pending: &Pending) -> String {
        BASE64URL_NOPAD.encode(digest(&SHA256, self.verifier(pending).as_bytes()).as_ref())
    }

    fn derive(&self, purpose: &str, pending: &Pending) -> String {
        BASE64URL_NOPAD.encode(self.sign(purpose, &pending.secret).as_ref())
    }

    fn sign(&self, purpose: &str, content: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(content);
        context.sign()
    }
}

/// A path of this service, or `/` in place of anything that a browser could take for another address.
fn own_path(path: &str) -> &str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_own = path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/auth/");
    if is_plain && is_own && path.len() <= MAX_RETURN_BYTES { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_process_opens_a_cookie_and_only_for_a_while() {
        let start = Instant::now();
        let seal = Seal::new(start).unwrap();
        let pending = seal.begin("/routes?from=1", start).unwrap();
        let cookie = seal.close(&pending);
        assert_eq!(seal.open(&cookie, start).unwrap(), pending);
        assert!(seal.open(&cookie, start + PATIENCE).is_some());
        assert!(seal.open(&cookie, start + PATIENCE + Duration::from_secs(2)).is_none());
        assert!(Seal::new(start).unwrap().open(&cookie, start).is_none());
        for place in 0..cookie.len() {
            let other = if &cookie[place..=place] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &cookie[..place], &cookie[place + 1..]);
            assert!(seal.open(&changed, start).is_none(), "{place}");
        }
        for wrong in ["", "AAAA", &"A".repeat(200), "ä"] {
            assert!(seal.open(wrong, start).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_sign_in_ends_once() {
        let now = Instant::now();
        let seal = Seal::new(now).unwrap();
        let [one, two] = [(); 2].map(|()| seal.begin("/", now).unwrap());
        assert!(seal.end(&one, now) && !seal.end(&one, now) && seal.end(&two, now));
        let derived = [seal.state(&one), seal.nonce(&one), seal.verifier(&one), seal.state(&two)];
        let different: std::collections::HashSet<_> = derived.iter().collect();
        assert_eq!(different.len(), derived.len());
        // RFC 7636, 4.1: 43 to 128 characters.
        assert_eq!(seal.verifier(&one).len(), 43);
    }

    #[test]
    fn ended_sign_ins_are_bounded() {
        let now = Instant::now();
        let seal = Seal::new(now).unwrap();
        for number in 0..=MAX_ENDED as u64 {
            assert!(seal.end(&seal.begin("/", now).unwrap(), now + Duration::from_millis(number)));
        }
        assert_eq!(seal.ended.lock().unwrap().len(), MAX_ENDED);
    }

    #[test]
    fn a_sign_in_returns_to_the_page_alone() {
        for path in ["/", "/routes?from=1&to=2", "/requests?path=%2F%2Fx", "/?a=//b"] {
            assert_eq!(own_path(path), path);
        }
        for path in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/auth/start",
            "evil",
            "/a\r\nset-cookie: x",
            "/ä",
            "\\\\evil",
            "/a b",
            &format!("/{}", "a".repeat(2_000)),
        ] {
            assert_eq!(own_path(path), "/", "{path:?}");
        }
    }
}
