//! Sessions of people who signed in: in memory, so that a sign-out is final, and a restart signs everybody out.

use super::Role;
use super::token::{TokenHash, random};
use data_encoding::BASE64URL_NOPAD;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A session ends so long after its beginning, whatever happens.
pub(crate) const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// A session ends so long after its last request.
const IDLE: Duration = Duration::from_secs(3600);
/// Beyond, the session that was used least recently ends; of one person, and of all.
const MAX_SESSIONS_OF_ONE: usize = 50;
const MAX_SESSIONS: usize = 10_000;
const COOKIE_BYTES: usize = 32;

/// A person who signed in.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) way: SignedInBy,
    begun: Instant,
    used: Instant,
}

/// How a person proved who they are.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SignedInBy {
    /// With the password of this hash: the session ends when the hash changes.
    Password(String),
    /// At the provider of OpenID Connect, with the role that the ID token gave.
    Oidc(Role),
}

/// The name of a session: the hash of its cookie, so that memory holds no cookie.
pub(crate) type SessionId = String;

/// The sessions that have not ended.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<SessionId, Session>>);

impl Sessions {
    /// Begins a session and returns the value of its cookie; `None` when the system has no random numbers.
    pub(crate) fn begin(&self, name: String, way: SignedInBy, now: Instant) -> Option<String> {
        let cookie = BASE64URL_NOPAD.encode(&random::<COOKIE_BYTES>()?);
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_alive(now));
        let of_one = |session: &Session| session.name == name;
        if sessions.values().filter(|session| of_one(session)).count() >= MAX_SESSIONS_OF_ONE {
            end_oldest(&mut sessions, of_one);
        }
        if sessions.len() >= MAX_SESSIONS {
            end_oldest(&mut sessions, |_| true);
        }
        sessions.insert(id(&cookie), Session { name, way, begun: now, used: now });
        Some(cookie)
    }

    /// The session of a cookie, which counts as used now.
    pub(crate) fn find(&self, cookie: &str, now: Instant) -> Option<(SessionId, Session)> {
        let id = id(cookie);
        let mut sessions = self.lock();
        let session = sessions.get_mut(&id)?;
        if !session.is_alive(now) {
            sessions.remove(&id);
            return None;
        }
        session.used = now;
        let session = session.clone();
        Some((id, session))
    }

    /// Ends a session.
    pub(crate) fn end(&self, id: &SessionId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Time until it ends, if it is used until then.
    pub(crate) fn remaining(&self, now: Instant) -> Duration {
        LIFETIME.saturating_sub(now.saturating_duration_since(self.begun))
    }

    fn is_alive(&self, now: Instant) -> bool {
        !self.remaining(now).is_zero() && now.saturating_duration_since(self.used) < IDLE
    }
}

/// The map is searched by the hash of 256 random bits: the time of a search reveals nothing that helps to guess them.
fn id(cookie: &str) -> SessionId {
    TokenHash::of(cookie).to_string()
}

fn end_oldest(sessions: &mut HashMap<SessionId, Session>, which: impl Fn(&Session) -> bool) {
    let candidates = sessions.iter().filter(|(_, session)| which(session));
    let oldest = candidates.min_by_key(|(_, session)| session.used).map(|(id, _)| id.clone());
    if let Some(oldest) = oldest {
        sessions.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(sessions: &Sessions, name: &str, now: Instant) -> String {
        sessions.begin(name.to_owned(), SignedInBy::Oidc(Role::Viewer), now).unwrap()
    }

    #[test]
    fn a_session_ends_by_sign_out_idle_time_and_age() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let cookie = begin(&sessions, "a", start);
        let (id, session) = sessions.find(&cookie, start).unwrap();
        assert_eq!(session.name, "a");
        assert!(!id.contains(&cookie) && sessions.find(&id, start).is_none());
        sessions.end(&id);
        assert!(sessions.find(&cookie, start).is_none());

        let cookie = begin(&sessions, "a", start);
        assert!(sessions.find(&cookie, start + IDLE).is_none());

        let cookie = begin(&sessions, "a", start);
        let half = IDLE / 2;
        let mut now = start;
        while now + half < start + LIFETIME {
            now += half;
            assert!(sessions.find(&cookie, now).is_some());
        }
        assert!(sessions.find(&cookie, start + LIFETIME).is_none());
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let other = begin(&sessions, "b", at(0));
        let cookies: Vec<_> =
            (0..=MAX_SESSIONS_OF_ONE as u64).map(|n| begin(&sessions, "a", at(n))).collect();
        let now = at(60);
        assert!(sessions.find(&cookies[0], now).is_none(), "the oldest of the same person ends");
        assert!(cookies[1..].iter().all(|cookie| sessions.find(cookie, now).is_some()));
        assert!(sessions.find(&other, now).is_some());
    }
}
