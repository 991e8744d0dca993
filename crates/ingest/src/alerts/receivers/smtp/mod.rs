//! E-mail, by a server that takes it by SMTP (RFC 5321).

mod dialogue;
mod lines;
mod mail;

use super::{Held, Secret, SendError};
use crate::alerts::engine::Origin;
use crate::alerts::file::Delivery;
use crate::alerts::message::Message;
use crate::alerts::rule::RuleError;
use lettre::message::Mailbox;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::PathBuf;
use tokio_rustls::rustls::pki_types::ServerName;

/// Recipients of one receiver.
const MAX_RECIPIENTS: usize = 20;
/// Bytes of a user name, and of an address with its name.
const MAX_TEXT_BYTES: usize = 320;

/// A mail server, and whom it sends to, as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SmtpConfig {
    /// Name or address of the mail server.
    pub host: String,
    /// Port. By default 587; with `tls: implicit` 465, and with `tls: none` 25.
    pub port: Option<u16>,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// Whether `tls: none` holds for a server beyond this host, too: everybody on the way can read and change the messages.
    pub allow_plain_text: bool,
    /// Name to sign in with. Without one, the server must take mail from the service as it is.
    pub username: Option<String>,
    /// Password to sign in with. It is sent over an encrypted connection only, or to this host.
    pub password: Option<Secret>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// Address of the sender, such as `gatelens <alerts@example.com>`.
    pub from: String,
    /// Addresses of the recipients: 1 to 20.
    pub to: Vec<String>,
    /// File with the certificates (PEM) of the authorities that are trusted, in the place of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// By STARTTLS (RFC 3207). Nothing is sent to a server that does not offer it.
    #[default]
    Starttls,
    /// From the first byte (RFC 8314).
    Implicit,
    /// Not at all: for a server on this host.
    None,
}

/// A checked receiver of e-mail.
#[derive(Debug, Clone)]
pub(super) struct Smtp {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    tls: MailTls,
    allow_plain_text: bool,
    login: Option<(String, Held)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    ca_file: Option<PathBuf>,
    /// Whoever chose the host: a person at the page is kept from the addresses of the host's own network link.
    origin: Origin,
}

impl Smtp {
    pub(super) fn compile(config: &SmtpConfig, origin: Origin) -> Result<Self, RuleError> {
        let SmtpConfig { host, port, tls, allow_plain_text, from, to, .. } = config;
        let host = host.trim().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(RuleError::new("host", "the host is missing: write the name of the mail server"));
        }
        if ServerName::try_from(host).is_err() {
            let message = "it is not a host: write a name or an address, and the port as `port`";
            return Err(RuleError::new("host", message));
        }
        if *port == Some(0) {
            return Err(RuleError::new("port", "0 is not a port: write one from 1 to 65535"));
        }
        let default_port = match tls {
            MailTls::Starttls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        };
        let is_plain = *tls == MailTls::None;
        if is_plain && !is_this_host(host) && !allow_plain_text {
            let message = "everybody on the way to the server could read the messages: write `starttls` or `implicit`, or \
                           `allow_plain_text: true`";
            return Err(RuleError::new("tls", message));
        }
        let login = login(config, origin)?;
        if is_plain && !is_this_host(host) && login.is_some() {
            let message =
                "everybody on the way to the server could read the password: write `starttls` or `implicit`";
            return Err(RuleError::new("tls", message));
        }
        if to.is_empty() {
            return Err(RuleError::new("to", "the recipients are missing: write 1 to 20 addresses"));
        }
        if to.len() > MAX_RECIPIENTS {
            let message = format!("there are {} recipients, and {MAX_RECIPIENTS} at most", to.len());
            return Err(RuleError::new("to", message));
        }
        if origin == Origin::Page && config.ca_file.is_some() {
            return Err(RuleError::new("ca_file", "files are for receivers in the configuration file"));
        }
        let recipients = to.iter().enumerate().map(|(place, text)| mailbox(&format!("to[{place}]"), text));
        Ok(Self {
            host: host.to_owned(),
            port: port.unwrap_or(default_port),
            tls: *tls,
            allow_plain_text: *allow_plain_text,
            login,
            from: mailbox("from", from)?,
            to: recipients.collect::<Result<_, _>>()?,
            ca_file: config.ca_file.clone(),
            origin,
        })
    }

    pub(super) fn host(&self) -> String {
        self.host.clone()
    }

    /// Sends to those recipients that earlier attempts did not reach.
    pub(super) fn send(&self, message: &Message, delivery: &Delivery) -> Result<Option<u16>, SendError> {
        let mail = mail::Mail { message, delivery, from: &self.from, to: &self.to }.formatted()?;
        dialogue::run(self, &mail, &delivery.reached)
    }
}

fn login(config: &SmtpConfig, origin: Origin) -> Result<Option<(String, Held)>, RuleError> {
    let password = Held::of("password", config.password.as_ref(), config.password_file.as_ref(), origin)?;
    match (&config.username, password) {
        (None, None) => Ok(None),
        (Some(name), Some(password)) => {
            let is_name = (1..=MAX_TEXT_BYTES).contains(&name.len()) && !name.contains(char::is_control);
            if !is_name {
                let message =
                    format!("the name must have 1 to {MAX_TEXT_BYTES} bytes and no control characters");
                return Err(RuleError::new("username", message));
            }
            Ok(Some((name.clone(), password)))
        }
        (Some(_), None) => {
            Err(RuleError::new("password", "the password is missing: write `password` or `password_file`"))
        }
        (None, Some(_)) => Err(RuleError::new(
            "username",
            "there is a password and no name to sign in with: write `username`",
        )),
    }
}

/// Reads an address, with or without a name before it.
fn mailbox(key: &str, text: &str) -> Result<Mailbox, RuleError> {
    if text.trim().is_empty() {
        return Err(RuleError::new(key, "the address is missing"));
    }
    let is_fit = text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control);
    let parsed = text.parse::<Mailbox>().ok().filter(|mailbox| {
        // Few servers take addresses of other characters (RFC 6531).
        let address: &str = mailbox.email.as_ref();
        is_fit && address.is_ascii()
    });
    parsed.ok_or_else(|| {
        RuleError::new(
            key,
            "it is not an address: write one such as `alerts@example.com` or `Alerts <alerts@example.com>`",
        )
    })
}

/// Whether a host is surely this one.
fn is_this_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(change: &str, origin: Origin) -> Result<Smtp, RuleError> {
        let mut config =
            serde_json::json!({"host": "mail.example.com", "from": "a@example.com", "to": ["b@example.com"]});
        let change: serde_json::Value = serde_json::from_str(change).unwrap();
        for (key, value) in change.as_object().unwrap() {
            config[key] = value.clone();
        }
        Smtp::compile(&serde_json::from_value(config).unwrap(), origin)
    }

    #[test]
    fn a_wrong_receiver_is_refused_with_its_key_and_what_was_meant() {
        let check = |change: &str, path: &str, words: &str| {
            let error = compiled(change, Origin::File).unwrap_err();
            assert_eq!(error.path, path, "{change}: {error}");
            assert!(error.message.contains(words), "{error} should contain {words:?}");
        };
        check(r#"{"host": ""}"#, "host", "the host is missing");
        check(r#"{"host": "mail.example.com:25"}"#, "host", "the port as `port`");
        check(r#"{"host": "mail example"}"#, "host", "it is not a host");
        check(r#"{"port": 0}"#, "port", "from 1 to 65535");
        check(r#"{"tls": "none"}"#, "tls", "allow_plain_text");
        let open = r#"{"tls": "none", "allow_plain_text": true, "username": "u", "password": "p"}"#;
        check(open, "tls", "read the password");
        check(r#"{"username": "u"}"#, "password", "`password_file`");
        check(r#"{"password": "p"}"#, "username", "write `username`");
        check(r#"{"username": "a\nb", "password": "p"}"#, "username", "no control characters");
        check(r#"{"username": "u", "password": "p", "password_file": "/f"}"#, "password_file", "not both");
        check(r#"{"from": ""}"#, "from", "the address is missing");
        check(r#"{"from": "alerts"}"#, "from", "alerts@example.com");
        check(r#"{"from": "A\r\nBcc: x@example.com <a@example.com>"}"#, "from", "it is not an address");
        check(r#"{"to": []}"#, "to", "the recipients are missing");
        check(r#"{"to": ["b@example.com", "ö@example.com"]}"#, "to[1]", "it is not an address");
        check(r#"{"to": ["b@example.com, c@example.com"]}"#, "to[0]", "it is not an address");
        let many = serde_json::json!({"to": vec!["b@example.com"; 21]}).to_string();
        check(&many, "to", "21 recipients, and 20 at most");
    }

    #[test]
    fn the_port_follows_from_the_encryption() {
        let check = |change: &str, port: u16| assert_eq!(compiled(change, Origin::File).unwrap().port, port);
        check("{}", 587);
        check(r#"{"tls": "implicit"}"#, 465);
        check(r#"{"tls": "none", "host": "localhost"}"#, 25);
        check(r#"{"tls": "none", "host": "[::1]", "username": "u", "password": "p"}"#, 25);
        check(r#"{"tls": "none", "allow_plain_text": true}"#, 25);
        check(r#"{"port": 2525}"#, 2525);
    }

    #[test]
    fn a_person_at_the_page_names_no_files() {
        for file in [r#"{"ca_file": "/f"}"#, r#"{"username": "u", "password_file": "/f"}"#] {
            let error = compiled(file, Origin::Page).unwrap_err();
            assert!(error.message.contains("files are for receivers in the configuration file"), "{error}");
        }
    }
}
