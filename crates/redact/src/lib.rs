//! Capture and redaction: secrets are masked before anything is queued, and a body that cannot be redacted is omitted.
//!
//! ```
//! use gatelens_model::Message;
//! use gatelens_redact::{BodyKind, Hits, RedactConfig, Redactor};
//!
//! let config = RedactConfig { request_body: vec!["$.user.email".into()], ..RedactConfig::default() };
//! let redactor = Redactor::new(&config)?;
//! let mut hits = Hits::default();
//! let body = r#"{"user": {"id": 7, "email": "ann@example.com"}, "apiKey": ["k", 1]}"#;
//! assert_eq!(
//!     redactor.body(Message::Request, BodyKind::Json, body, &mut hits),
//!     Ok(r#"{"user": {"id": 7, "email": "[CLIENT_REDACTED]"}, "apiKey": "[CLIENT_REDACTED]"}"#.into()),
//! );
//! # Ok::<(), gatelens_redact::SectionError>(())
//! ```
//!
//! A [`Redactor`] is compiled once, with the configuration. Using it cannot fail, except that it omits a body and gives
//! the [`OmissionReason`](gatelens_model::OmissionReason). Rules have names ([`Redactor::rules`]) and count what they select ([`Hits`]), also
//! within what another rule masks.
//!
//! | module | content |
//! |---|---|
//! | [`capture`] | copies bodies while they stream through, within bounds, and decodes them |
//! | `redactor` | the compiled rules, and what they leave of a header, query, path or body |
//! | `body` | bodies by kind: JSON, lines of JSON, forms, text, server-sent events |
//! | `parameters` | queries, forms, matrix parameters and the URLs around them |
//! | `names` | names of headers, parameters and members that are sensitive |
//! | `path`, `automaton`, `tree`, `select` | JSONPath: compiled, followed in one pass, or evaluated in a tree |
//! | `detect` | secrets that are recognised by their form |
//! | `json` | the JSON tokenizer |
//! | `interrupt` | giving up the evaluation of a preview's rules |
//! | `sniff`, `stable` | whether a text is JSON; masking until nothing changes |

#![deny(clippy::indexing_slicing, clippy::unreachable)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod capture;

mod automaton;
mod body;
mod config;
mod detect;
mod interrupt;
mod json;
mod mask;
mod names;
mod parameters;
mod path;
mod redactor;
mod rules;
mod select;
mod signs;
mod sniff;
mod stable;
mod tree;
mod work;
#[cfg(test)]
mod worst_cases;

pub use body::BodyKind;
pub use config::{DetectorKind, RedactConfig};
pub use detect::KeyForms;
pub use interrupt::Interrupt;
pub use mask::MASK;
pub use names::{is_credential_claim, is_credential_cookie, is_credential_header};
pub use redactor::{MAX_LIST, MAX_NAME_CHARS, Redactor, SectionError};
pub use rules::{Hits, RuleId};
