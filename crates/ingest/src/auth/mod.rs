//! Who may do what: senders with tokens, people with roles.
//!
//! A request becomes a [`Principal`] before any handler runs (`http/access.rs`). Tokens and people are read from files
//! that may change while the service runs ([`watched`]).

mod attempts;
pub(crate) mod audit;
pub(crate) mod oidc;
mod role;
mod senders;
mod sessions;
mod shared;
mod token;
mod users;
mod watched;

pub use oidc::{OidcConfig, OidcError, OidcRoles};
pub use role::Role;
pub use token::{NewToken, TokenOwner};
pub use users::user_line;

pub(crate) use senders::{SenderId, SenderToken, SenderTokens};
pub(crate) use sessions::{LIFETIME, SessionId};
pub(crate) use token::random;
pub(crate) use users::Users;
pub(crate) use watched::Watched;

use crate::clickhouse::ClickHouse;
use crate::error::ReceiveError;
use crate::model::Standing;
use crate::store::StoreError;
use attempts::Attempts;
use audit::Noted;
use oidc::{Begun, Callback, Identity, Oidc, OidcFault};
use sessions::{Sessions, SignedInBy};
use shared::Shared;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How senders and people prove who they are. The default asks nobody, which is meant for a loopback address.
#[derive(Debug, Clone, Default)]
pub struct AccessConfig {
    /// File with the tokens of senders; without it every sender is accepted.
    pub sender_tokens: Option<PathBuf>,
    /// File with the people who may sign in, and with the tokens of programs that read; without it everybody may read.
    pub users: Option<PathBuf>,
    /// A provider of OpenID Connect at which people may sign in, besides those in the file.
    pub oidc: Option<OidcConfig>,
    /// Listen beyond loopback although senders or people are not asked who they are.
    pub insecure: bool,
}

/// Why the service cannot start with its [`AccessConfig`].
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file has wrong content.
    #[error("{path}: {message}", path = path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The fault, and where it is.
        message: String,
    },
    /// Other machines could reach an address that nobody guards.
    #[error(
        "other machines can reach {address}, and whoever does could {risk}. Missing: {missing}. \
         Make the first two files with `gatelens token new` and `gatelens user add`, listen on 127.0.0.1, or accept \
         the risk with --insecure"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// What a stranger could do.
        risk: String,
        /// The flags that are missing.
        missing: String,
    },
    /// The system has no random numbers, or the password hash does not work.
    #[error("cannot prepare the sign-in: {0}")]
    Broken(String),
}

/// The senders and people in force.
pub(crate) struct Access {
    senders: Option<Watched<SenderTokens>>,
    people: Option<People>,
    noted: Noted,
}

/// The people in force, and their sessions.
struct People {
    users: Option<Watched<Users>>,
    oidc: Option<Oidc>,
    sessions: Sessions,
    attempts: Attempts,
    /// The hash of a password that nobody has: an unknown name takes the same time as a known one.
    nobody: String,
}

/// Who a request is from.
#[derive(Debug, Clone)]
pub(crate) enum Principal {
    /// Nobody is asked for a name here.
    Open,
    /// No name was given.
    Nobody,
    /// A sender with a token.
    Sender(Arc<SenderToken>),
    /// A person, or a program that reads.
    Person(Person),
}

/// A person, or a program that reads.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Of a person who signed in. A program has a token.
    pub(crate) session: Option<CurrentSession>,
}

/// The session of a request.
#[derive(Debug, Clone)]
pub(crate) struct CurrentSession {
    pub(crate) id: SessionId,
    /// Time until it ends, if it is used until then.
    pub(crate) remaining: Duration,
}

/// A person who has just signed in at the provider.
pub(crate) struct SignedIn {
    /// The value of the session's cookie.
    pub(crate) cookie: String,
    pub(crate) person: Person,
    /// For the audit log.
    pub(crate) detail: String,
    /// A path of the page.
    pub(crate) return_to: String,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    #[error("the name or the password is wrong")]
    Wrong,
    #[error("too many attempts to sign in failed: try again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    #[error("nobody can sign in here with a password: start the service with --users")]
    Off,
    #[error("the system has no random numbers")]
    Broken,
}

/// Why a sign-in at the provider came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcSignInError {
    #[error(transparent)]
    Fault(#[from] OidcFault),
    #[error("too many attempts to sign in failed: try again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    #[error(
        "somebody of your name signs in with a password here: an admin must give that entry another name"
    )]
    Taken {
        /// The name.
        name: String,
    },
}

impl Principal {
    /// Refuses a sender that reports for an environment of others.
    pub(crate) fn check_environment(&self, environment: &str) -> Result<(), ReceiveError> {
        match self {
            Self::Sender(sender) if !sender.may_report(environment) => Err(ReceiveError::OtherEnvironment {
                name: sender.name.clone(),
                allowed: sender.environment().to_owned(),
                environment: environment.to_owned(),
            }),
            Self::Sender(_) | Self::Person(_) | Self::Open | Self::Nobody => Ok(()),
        }
    }

    /// Whether a token proves the environment that this one reports for.
    pub(crate) fn standing(&self) -> Standing {
        match self {
            Self::Sender(sender) if !sender.reports_for_any() => Standing::Proven,
            Self::Sender(_) | Self::Person(_) | Self::Open | Self::Nobody => Standing::Claimed,
        }
    }

    /// The role of a reader. Everybody is an admin where nobody is asked for a name.
    pub(crate) fn role(&self) -> Option<Role> {
        match self {
            Self::Open => Some(Role::Admin),
            Self::Person(person) => Some(person.role),
            Self::Sender(_) | Self::Nobody => None,
        }
    }
}

impl Access {
    /// Reads the files, and refuses an address that strangers reach while nobody is asked for a name.
    pub(crate) fn open(config: &AccessConfig, listen: SocketAddr) -> Result<Self, AccessError> {
        let senders = config.sender_tokens.as_deref();
        let senders = senders.map(|path| Watched::open(path, SenderTokens::parse)).transpose()?;
        let users = config.users.as_deref();
        let users = users.map(|path| Watched::open(path, Users::parse)).transpose()?;
        let oidc = config.oidc.clone().map(|config| Oidc::new(config, Instant::now()));
        let oidc = oidc.transpose().map_err(AccessError::Broken)?;
        let asks_people = users.is_some() || oidc.is_some();
        let people = asks_people.then(|| People::new(users, oidc)).transpose()?;
        let access = Self { senders, people, noted: Noted::default() };
        access.check_exposure(config, listen)?;
        Ok(access)
    }

    /// With sessions that the replicas before a server share.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub(crate) async fn beside(mut self, server: Option<&Arc<ClickHouse>>) -> Result<Self, StoreError> {
        let (Some(people), Some(server)) = (&mut self.people, server) else { return Ok(self) };
        people.sessions.share(Shared::new(Arc::clone(server)));
        if let Some(oidc) = &mut people.oidc
            && let Some(key) = server.shared_key(random::<32>).await?
        {
            oidc.share(&key, server.server_time().await?, Instant::now());
        }
        Ok(self)
    }

    /// Exchanges sessions with other replicas, until it is aborted.
    pub(crate) async fn keep_sessions(&self) {
        if let Some(people) = &self.people {
            people.sessions.keep().await;
        }
    }

    /// Learns of the session of a cookie, where another replica may know it.
    pub(crate) async fn look_up(&self, cookie: &str) {
        if let Some(people) = &self.people {
            people.sessions.look_up(cookie).await;
        }
    }

    /// Tells other replicas who signed in or out, for at most 2 s.
    pub(crate) async fn tell_sessions(&self) {
        if let Some(people) = &self.people {
            people.sessions.tell().await;
        }
    }

    /// Reads files again that have changed. Blocks.
    pub(crate) fn refresh(&self) {
        if let Some(senders) = &self.senders {
            senders.refresh();
        }
        if let Some(users) = self.people.as_ref().and_then(|people| people.users.as_ref()) {
            users.refresh();
        }
    }

    /// The sender of a request with this bearer token.
    pub(crate) fn sender(&self, bearer: Option<&str>) -> Principal {
        let Some(senders) = &self.senders else { return Principal::Open };
        let sender = bearer.and_then(|token| senders.get().find(token));
        sender.map_or(Principal::Nobody, Principal::Sender)
    }

    /// The reader of a request with this bearer token, or else with this cookie.
    pub(crate) fn reader(&self, bearer: Option<&str>, cookie: Option<&str>, now: Instant) -> Principal {
        let Some(people) = &self.people else { return Principal::Open };
        let person = match bearer {
            Some(token) => people.with_token(token),
            None => cookie.and_then(|cookie| people.with_cookie(cookie, now)),
        };
        person.map_or(Principal::Nobody, Principal::Person)
    }

    /// Whether a question of somebody must be noted in the audit log. `from`, in Unix nanoseconds, is the earliest time
    /// that it is about.
    pub(crate) fn must_note(&self, person: &Person, query: &str, from: i64, now: Instant) -> bool {
        self.noted.is_new(&person.name, query, from, now)
    }

    /// Whether it must be noted that an address made too many attempts to sign in.
    pub(crate) fn must_note_refusal(&self, peer: IpAddr, now: Instant) -> bool {
        self.noted.is_new_refusal(peer, now)
    }

    /// Whether people sign in here at all.
    pub(crate) fn asks_people(&self) -> bool {
        self.people.is_some()
    }

    /// Signs a person in; the value of the session's cookie. Blocks for as long as the password's hash takes.
    pub(crate) fn sign_in(
        &self,
        name: &str,
        password: &str,
        peer: IpAddr,
        now: Instant,
    ) -> Result<(String, Person), SignInError> {
        let people = self.people.as_ref().ok_or(SignInError::Off)?;
        let users = people.users.as_ref().ok_or(SignInError::Off)?.get();
        // No name or password in the file is longer.
        if name.len() > token::MAX_NAME_BYTES || password.len() > users::MAX_PASSWORD_BYTES {
            return Err(SignInError::Wrong);
        }
        people.attempts.begin(name, peer, now).map_err(SignInError::TooMany)?;
        let user = users.named(name);
        let hash = user.as_ref().and_then(|user| user.password()).unwrap_or(&people.nobody);
        let is_right = users::verify(password, hash);
        let way = SignedInBy::password(hash);
        let user = user.filter(|_| is_right).ok_or(SignInError::Wrong)?;
        people.attempts.succeeded(name, peer);
        people.begin(user.name.clone(), way, now).ok_or(SignInError::Broken)
    }

    /// Whether people sign in with a password, and at which provider.
    pub(crate) fn ways(&self) -> (bool, Option<String>) {
        let people = self.people.as_ref();
        let has_users = people.is_some_and(|people| people.users.is_some());
        (has_users, people.and_then(|people| people.oidc.as_ref()).map(Oidc::name))
    }

    /// Begins a sign-in at the provider. Blocks while the provider is asked.
    pub(crate) fn begin_oidc(
        &self,
        return_to: &str,
        page_url: &str,
        now: Instant,
    ) -> Result<Begun, OidcFault> {
        self.oidc()?.1.begin(return_to, page_url, now)
    }

    /// Ends a sign-in at the provider: the value of the session's cookie, the person, what the audit log notes, and the path
    /// of the page to go on at. Blocks while the provider is asked.
    pub(crate) fn finish_oidc(
        &self,
        cookie: Option<&str>,
        callback: Callback,
        page_url: &str,
        peer: IpAddr,
        now: Instant,
    ) -> Result<SignedIn, OidcSignInError> {
        let (people, oidc) = self.oidc()?;
        // Only an answer to a sign-in of this browser costs the provider anything.
        let returned = oidc.take(cookie, callback, now)?;
        people.attempts.begin_unnamed(peer, now).map_err(OidcSignInError::TooMany)?;
        let (identity, return_to) = oidc.finish(returned, page_url, now)?;
        people.attempts.succeeded_unnamed(peer);
        let Identity { name, role, subject } = identity;
        // The audit log knows people by their names alone.
        if people.users.as_ref().is_some_and(|users| users.get().has(&name)) {
            return Err(OidcSignInError::Taken { name });
        }
        let begun = people.begin(name, SignedInBy::Oidc(role), now);
        let (cookie, person) = begun.ok_or(OidcFault::Broken)?;
        let detail = format!("with OpenID Connect at {}, subject {subject}", oidc.name());
        Ok(SignedIn { cookie, person, detail, return_to })
    }

    fn oidc(&self) -> Result<(&People, &Oidc), OidcFault> {
        let people = self.people.as_ref().ok_or(OidcFault::Off)?;
        Ok((people, people.oidc.as_ref().ok_or(OidcFault::Off)?))
    }

    /// Ends a session.
    pub(crate) fn sign_out(&self, session: &SessionId) {
        if let Some(people) = &self.people {
            people.sessions.end(session, Instant::now());
        }
    }

    fn check_exposure(&self, config: &AccessConfig, listen: SocketAddr) -> Result<(), AccessError> {
        if listen.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let lacks = [
            (self.senders.is_none(), "--sender-tokens FILE", "store false counts and log records"),
            (
                self.people.is_none(),
                "--users FILE or --oidc FILE",
                "read all counts and the request log with its bodies",
            ),
        ];
        let lacks: Vec<_> = lacks.into_iter().filter(|(lacks, ..)| *lacks).collect();
        if lacks.is_empty() {
            return Ok(());
        }
        let missing = lacks.iter().map(|(_, flag, _)| *flag).collect::<Vec<_>>().join(" and ");
        let risk = lacks.iter().map(|(_, _, risk)| *risk).collect::<Vec<_>>().join(", and ");
        if config.insecure {
            tracing::warn!(
                %listen,
                "INSECURE: other machines can reach this address, and whoever does can {risk}; missing: {missing}"
            );
            return Ok(());
        }
        Err(AccessError::Exposed { address: listen, risk, missing })
    }
}

impl People {
    fn new(users: Option<Watched<Users>>, oidc: Option<Oidc>) -> Result<Self, AccessError> {
        let password = token::random::<16>().ok_or("the system has no random numbers".to_owned());
        let nobody = password.and_then(|password| users::hash(&data_encoding::HEXLOWER.encode(&password)));
        Ok(Self {
            users,
            oidc,
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            nobody: nobody.map_err(AccessError::Broken)?,
        })
    }

    fn begin(&self, name: String, way: SignedInBy, now: Instant) -> Option<(String, Person)> {
        let cookie = self.sessions.begin(name, way, now)?;
        let person = self.with_cookie(&cookie, now)?;
        Some((cookie, person))
    }

    fn with_token(&self, token: &str) -> Option<Person> {
        let user = self.users.as_ref()?.get().with_token(token)?;
        Some(Person { name: user.name.clone(), role: user.role, session: None })
    }

    /// The person of a session, with the role that the file names now, or that the provider gave at the sign-in.
    fn with_cookie(&self, cookie: &str, now: Instant) -> Option<Person> {
        let (id, session) = self.sessions.find(cookie, now)?;
        let role = match &session.way {
            SignedInBy::Oidc(role) => Some(*role),
            SignedInBy::Password(_) => {
                let user = self.users.as_ref().and_then(|users| users.get().named(&session.name));
                let is_same = |hash: &str| SignedInBy::password(hash) == session.way;
                user.filter(|user| user.password().is_some_and(is_same)).map(|user| user.role)
            }
        };
        let Some(role) = role else {
            // The person is gone from the file, or has another password.
            self.sessions.end_here(&id);
            return None;
        };
        let current = CurrentSession { id, remaining: session.remaining(now) };
        Some(Person { name: session.name, role, session: Some(current) })
    }
}
