//! Who may do what: senders with tokens, people with roles.
//!
//! A request becomes a [`Principal`] before any handler runs (`http/access.rs`). Tokens and people are read from files
//! that may change while the service runs ([`watched`]).

mod role;
mod senders;
mod token;
mod watched;

pub use role::Role;
pub use token::{NewToken, TokenOwner};

pub(crate) use senders::{SenderToken, SenderTokens};
pub(crate) use watched::Watched;

use crate::error::ReceiveError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// How senders and people prove who they are. The default asks nobody, which is meant for a loopback address.
#[derive(Debug, Clone, Default)]
pub struct AccessConfig {
    /// File with the tokens of senders; without it every sender is accepted.
    pub sender_tokens: Option<PathBuf>,
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
         Make a token with `gatelens token new`, listen on 127.0.0.1, or accept the risk with --insecure"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// What a stranger could do.
        risk: &'static str,
        /// The flags that are missing.
        missing: String,
    },
}

/// The senders and people in force.
pub(crate) struct Access {
    senders: Option<Watched<SenderTokens>>,
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
            Self::Sender(_) | Self::Open | Self::Nobody => Ok(()),
        }
    }
}

impl Access {
    /// Reads the files, and refuses an address that strangers reach while nobody is asked for a name.
    pub(crate) fn open(config: &AccessConfig, listen: SocketAddr) -> Result<Self, AccessError> {
        let senders = config.sender_tokens.as_deref();
        let access =
            Self { senders: senders.map(|path| Watched::open(path, SenderTokens::parse)).transpose()? };
        access.check_exposure(config, listen)?;
        Ok(access)
    }

    /// Reads files again that have changed. Blocks.
    pub(crate) fn refresh(&self) {
        if let Some(senders) = &self.senders {
            senders.refresh();
        }
    }

    /// The sender of a request with this bearer token.
    pub(crate) fn sender(&self, bearer: Option<&str>) -> Principal {
        let Some(senders) = &self.senders else { return Principal::Open };
        let sender = bearer.and_then(|token| senders.get().find(token));
        sender.map_or(Principal::Nobody, Principal::Sender)
    }

    fn check_exposure(&self, config: &AccessConfig, listen: SocketAddr) -> Result<(), AccessError> {
        if listen.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let (missing, risk) = match &self.senders {
            None => ("--sender-tokens FILE", "store false counts and log records"),
            Some(_) => return Ok(()),
        };
        if config.insecure {
            tracing::warn!(
                %listen,
                "INSECURE: other machines can reach this address, and whoever does can {risk}; missing: {missing}"
            );
            return Ok(());
        }
        Err(AccessError::Exposed { address: listen, risk, missing: missing.to_owned() })
    }
}
