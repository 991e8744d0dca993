//! Sessions of people who signed in: in memory, so that a sign-out is final, and a restart signs everybody out. Of several replicas
//! each knows those of all ([`super::shared`]), and a sign-out at one is final at all within two seconds.

use super::Role;
use super::shared::Shared;
use super::token::{TokenHash, random};
use crate::clickhouse::{SharedSession, ToldSession};
use crate::sync::lock;
use data_encoding::BASE64URL_NOPAD;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A session ends so long after its beginning, whatever happens.
pub(crate) const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// A session ends so long after its last request.
const IDLE: Duration = Duration::from_secs(3600);
/// Beyond, the session that was used least recently ends; of one person, and of all.
const MAX_SESSIONS_OF_ONE: usize = 50;
const MAX_SESSIONS: usize = 10_000;
const COOKIE_BYTES: usize = 32;
/// An answer of the server is not older. One that was on its way when a session ended here must not bring it back.
const ON_ITS_WAY: Duration = Duration::from_secs(60);
/// Other replicas learn so often that a session is in use.
const TOLD_INTERVAL: Duration = Duration::from_secs(60);

/// A person who signed in.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) way: SignedInBy,
    begun: Instant,
    used: Instant,
    /// When other replicas were last told that it is in use.
    told: Instant,
}

/// How a person proved who they are.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SignedInBy {
    /// With a password: the session ends when this, a hash of its hash, changes.
    Password(String),
    /// At the provider of OpenID Connect, with the role that the ID token gave.
    Oidc(Role),
}

/// The name of a session: the hash of its cookie, so that memory holds no cookie.
pub(crate) type SessionId = String;

impl SignedInBy {
    /// With the password of this hash.
    pub(crate) fn password(hash: &str) -> Self {
        Self::Password(TokenHash::of(hash).to_string())
    }

    /// As other replicas read it.
    fn written(&self) -> String {
        match self {
            Self::Password(hash) => format!("password {hash}"),
            Self::Oidc(role) => format!("oidc {role}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text.split_once(' ')? {
            ("password", hash) => Some(Self::Password(hash.to_owned())),
            ("oidc", role) => Role::named(role).map(Self::Oidc),
            _ => None,
        }
    }
}

/// The sessions that have not ended.
#[derive(Default)]
pub(crate) struct Sessions {
    all: Mutex<HashMap<SessionId, Session>>,
    /// Those that have ended here a short time ago, with that time.
    ended: Mutex<HashMap<SessionId, Instant>>,
    /// With other replicas, where there may be some.
    shared: Option<Shared>,
}

impl Sessions {
    /// Begins a session and returns the value of its cookie; `None` when the system has no random numbers.
    pub(crate) fn begin(&self, name: String, way: SignedInBy, now: Instant) -> Option<String> {
        let cookie = BASE64URL_NOPAD.encode(&random::<COOKIE_BYTES>()?);
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_alive(now));
        let of_one = |session: &Session| session.name == name;
        let mut ended = Vec::new();
        if sessions.values().filter(|session| of_one(session)).count() >= MAX_SESSIONS_OF_ONE {
            ended.extend(end_oldest(&mut sessions, of_one));
        }
        if sessions.len() >= MAX_SESSIONS {
            ended.extend(end_oldest(&mut sessions, |_| true));
        }
        let id = id(&cookie);
        ended.into_iter().for_each(|id| self.note_end(&id, now));
        if let Some(shared) = &self.shared {
            shared.note(told(id.clone(), Some((&name, &way)), false));
        }
        sessions.insert(id, Session { name, way, begun: now, used: now, told: now });
        Some(cookie)
    }

    /// Shares sessions with other replicas.
    pub(super) fn share(&mut self, shared: Shared) {
        self.shared = Some(shared);
    }

    /// Exchanges sessions with other replicas, until it is aborted.
    pub(super) async fn keep(&self) {
        if let Some(shared) = &self.shared {
            shared.keep(self).await;
        }
    }

    /// Asks other replicas for the session of a cookie, unless it is known here.
    pub(super) async fn look_up(&self, cookie: &str) {
        let Some(shared) = &self.shared else { return };
        let id = id(cookie);
        let is_known = self.lock().contains_key(&id);
        if !is_known {
            shared.look_up(id).await;
        }
    }

    /// Tells other replicas what has changed, before somebody relies on it.
    pub(super) async fn tell(&self) {
        let Some(shared) = &self.shared else { return };
        if let Err(error) = shared.tell().await {
            tracing::debug!(%error, "other replicas learn of a session later");
        }
    }

    /// Takes over what other replicas have told.
    pub(super) fn take_over(&self, told: &[SharedSession], now: Instant) {
        let ago = |milliseconds: i64| {
            let ago = Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default());
            now.checked_sub(ago)
        };
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_alive(now));
        for one in told {
            if one.has_ended != 0 || lock(&self.ended).contains_key(&one.id) {
                sessions.remove(&one.id);
                continue;
            }
            // What began before this machine did cannot be measured here; people sign in again.
            let (Some(begun), Some(used)) = (ago(one.age), ago(one.idle)) else { continue };
            if let Some(known) = sessions.get_mut(&one.id) {
                known.used = known.used.max(used);
                continue;
            }
            let Some(way) = SignedInBy::read(&one.proof) else { continue };
            let session = Session { name: one.name.clone(), way, begun, used, told: used };
            if session.is_alive(now) && sessions.len() < MAX_SESSIONS {
                sessions.insert(one.id.clone(), session);
            }
        }
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
        if let Some(shared) = &self.shared
            && now.saturating_duration_since(session.told) >= TOLD_INTERVAL
        {
            session.told = now;
            shared.note(told(id.clone(), None, false));
        }
        let session = session.clone();
        Some((id, session))
    }

    /// Ends a session, at all replicas.
    pub(crate) fn end(&self, id: &SessionId, now: Instant) {
        self.note_end(id, now);
        self.lock().remove(id);
    }

    fn note_end(&self, id: &SessionId, now: Instant) {
        if let Some(shared) = &self.shared {
            shared.note(told(id.clone(), None, true));
        }
        let mut ended = lock(&self.ended);
        ended.retain(|_, at| now.saturating_duration_since(*at) < ON_ITS_WAY);
        ended.insert(id.clone(), now);
    }

    /// Ends a session here. The file of people of another replica may be newer than that of this one.
    pub(crate) fn end_here(&self, id: &SessionId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Session>> {
        lock(&self.all)
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

/// What other replicas are told of a session. A session in use has no more than its name.
fn told(id: SessionId, begun: Option<(&str, &SignedInBy)>, ended: bool) -> ToldSession {
    let (person, way) = begun.map(|(name, way)| (name.to_owned(), way.written())).unwrap_or_default();
    ToldSession { id, person, way, ended: ended.into() }
}

fn end_oldest(
    sessions: &mut HashMap<SessionId, Session>,
    which: impl Fn(&Session) -> bool,
) -> Option<SessionId> {
    let candidates = sessions.iter().filter(|(_, session)| which(session));
    let oldest = candidates.min_by_key(|(_, session)| session.used).map(|(id, _)| id.clone());
    if let Some(oldest) = &oldest {
        sessions.remove(oldest);
    }
    oldest
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
        sessions.end(&id, start);
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
    fn an_answer_that_was_on_its_way_does_not_bring_a_session_back() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let cookie = begin(&sessions, "a", start);
        let (id, _) = sessions.find(&cookie, start).unwrap();
        let proof = SignedInBy::Oidc(Role::Viewer).written();
        let name = "a".to_owned();
        let known = SharedSession { id: id.clone(), name, proof, age: 0, idle: 0, has_ended: 0 };
        sessions.end(&id, start);
        sessions.take_over(std::slice::from_ref(&known), start);
        assert!(sessions.find(&cookie, start).is_none());

        // That of another replica.
        let other = SharedSession { id: super::id("other"), ..known };
        sessions.take_over(&[other], start);
        assert!(sessions.find("other", start).is_some());
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
