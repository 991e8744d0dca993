//! What is said to a mail server, and what follows from its answers.

use super::super::address::{REFUSED, is_allowed};
use super::super::{Secret, SendError, repeats, secret_parts};
use super::lines::Lines;
use super::{MailTls, Smtp};
use crate::alerts::engine::Origin;
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Time for a whole exchange. Mail servers may take longer to answer than others.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time to connect to one of several addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the farewell, when everything is done.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Characters of an answer that are shown.
const SHOWN: usize = 300;

/// Sends an e-mail to the recipients who do not have it yet. Blocks.
pub(super) fn run(smtp: &Smtp, mail: &[u8], reached: &[String]) -> Result<Option<u16>, SendError> {
    let password = smtp.login.as_ref().map(|(_, password)| password.read()).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| SendError::again(None, format!("it cannot be connected to: {error}")))?;
    let dialogue = Dialogue { smtp, password, mail, reached };
    let sent = runtime.block_on(async { timeout(TIMEOUT, dialogue.hold()).await });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    sent.unwrap_or_else(|_| {
        let message = format!("it did not take the message within {} s", TIMEOUT.as_secs());
        Err(SendError { reached: reached.to_vec(), ..SendError::again(None, message) })
    })
}

struct Dialogue<'a> {
    smtp: &'a Smtp,
    password: Option<Secret>,
    mail: &'a [u8],
    /// The recipients who have it already.
    reached: &'a [String],
}

impl Dialogue<'_> {
    async fn hold(&self) -> Result<Option<u16>, SendError> {
        let held = async {
            let mut connection = self.connect().await?;
            let sent = self.deliver(&mut connection).await;
            // Its answer changes nothing.
            let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
            sent
        };
        held.await.map_err(|error: SendError| match error.reached.is_empty() {
            true => SendError { reached: self.reached.to_vec(), ..error },
            false => error,
        })
    }

    /// A connection that is encrypted as it must be, and signed in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let (stream, peer) = self.reach().await?;
        let local = stream.local_addr().map_or(peer.ip(), |address| address.ip());
        // RFC 5321, section 4.1.4: a client without a name of its own says its address.
        let hello = match local.to_canonical() {
            IpAddr::V4(ip) => ClientId::Ipv4(ip),
            IpAddr::V6(ip) => ClientId::Ipv6(ip),
        };
        let greet = |stream: Box<dyn AsyncTokioStream>| async {
            AsyncSmtpConnection::connect_with_transport(stream, &hello)
                .await
                .map_err(|error| self.refusal(&error))
        };
        let mut connection = match self.smtp.tls {
            MailTls::None => greet(Box::new(Lines::new(stream, peer))).await?,
            MailTls::Implicit => {
                let stream = self.encrypted(stream).await?;
                greet(Box::new(Lines::new(stream, peer))).await?
            }
            MailTls::Starttls => {
                let mut connection = greet(Box::new(Lines::new(stream, peer))).await?;
                if !connection.can_starttls() {
                    let message = "it does not offer STARTTLS, so that nothing was sent: somebody in between may have taken \
                                   the offer away";
                    return Err(SendError::again(None, message));
                }
                let parameters = self.parameters()?;
                connection.starttls(parameters, &hello).await.map_err(|error| self.refusal(&error))?;
                connection
            }
        };
        if let (Some((name, _)), Some(password)) = (&self.smtp.login, &self.password) {
            let credentials = Credentials::new(name.clone(), password.expose().to_owned());
            let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            signed_in.map_err(|error| self.sign_in_refusal(&error))?;
        }
        Ok(connection)
    }

    /// Connects to the first address that answers, of those that may be.
    async fn reach(&self) -> Result<(TcpStream, SocketAddr), SendError> {
        let Smtp { host, port, tls, allow_plain_text, origin, .. } = self.smtp;
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        let found: Vec<SocketAddr> =
            found.map_err(|_| SendError::again(None, "its host is not found"))?.collect();
        let must_be_here = *tls == MailTls::None && !allow_plain_text;
        let may_be = |address: &&SocketAddr| {
            let is_allowed = *origin != Origin::Page || is_allowed(address);
            is_allowed && (!must_be_here || address.ip().to_canonical().is_loopback())
        };
        let mut failure =
            SendError::again(None, if must_be_here { "it is not on this host" } else { REFUSED });
        for address in found.iter().filter(may_be) {
            failure = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, *address)),
                Ok(Err(error)) => SendError::again(None, format!("it cannot be reached: {error}")),
                Err(_) => SendError::again(None, "it cannot be reached: it did not answer"),
            };
        }
        Err(failure)
    }

    /// Shakes hands, for TLS from the first byte.
    async fn encrypted(
        &self,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, SendError> {
        let failed = |error: String| SendError::again(None, format!("TLS failed: {error}"));
        let mut roots = RootCertStore::empty();
        match self.authorities()? {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(&pem) {
                    let certificate = certificate.map_err(|error| self.unreadable(&error))?;
                    roots.add(certificate).map_err(|error| self.unreadable(&error))?;
                }
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(self.smtp.host.clone()).map_err(|error| failed(error.to_string()))?;
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        shaken.map_err(|error| failed(error.to_string()))
    }

    /// For TLS after STARTTLS.
    fn parameters(&self) -> Result<TlsParameters, SendError> {
        let mut builder = TlsParameters::builder(self.smtp.host.clone());
        if let Some(pem) = self.authorities()? {
            let certificate = Certificate::from_pem(&pem).map_err(|error| self.unreadable(&error))?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
        }
        builder.build().map_err(|error| SendError::again(None, format!("TLS failed: {error}")))
    }

    /// The certificates of `ca_file`, if there is one.
    fn authorities(&self) -> Result<Option<Vec<u8>>, SendError> {
        let read = self.smtp.ca_file.as_ref().map(std::fs::read).transpose();
        read.map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> SendError {
        let path = self.smtp.ca_file.as_deref().unwrap_or_else(|| std::path::Path::new(""));
        SendError::again(None, format!("the certificates in {} cannot be read: {error}", path.display()))
    }

    /// Hands the e-mail over for the recipients who do not have it.
    async fn deliver(&self, connection: &mut AsyncSmtpConnection) -> Result<Option<u16>, SendError> {
        let refusal = |error: Error| self.refusal(&error);
        let from = self.smtp.from.email.clone();
        connection.command(Mail::new(Some(from), Vec::new())).await.map_err(refusal)?;
        let wanted: Vec<&Address> = self
            .smtp
            .to
            .iter()
            .map(|mailbox| &mailbox.email)
            .filter(|address| !self.reached.iter().any(|reached| reached == AsRef::<str>::as_ref(address)))
            .collect();
        let mut accepted = Vec::new();
        let mut refused: Vec<SendError> = Vec::new();
        for address in &wanted {
            match connection.command(Rcpt::new((*address).clone(), Vec::new())).await {
                Ok(_) => accepted.push(*address),
                Err(error) if error.status().is_some() => refused.push(self.refusal(&error)),
                Err(error) => return Err(self.refusal(&error)),
            }
        }
        let mut reached = self.reached.to_vec();
        let mut status = None;
        if !accepted.is_empty() {
            connection.command(Data).await.map_err(refusal)?;
            let taken = connection.message(self.mail).await.map_err(refusal)?;
            status = Some(u16::from(taken.code()));
            reached.extend(accepted.iter().map(ToString::to_string));
        }
        // One that may be reached later decides: the others are not sent to again.
        let decisive =
            refused.iter().find(|error| error.retry == super::super::Retry::Later).or(refused.first());
        match decisive {
            None => Ok(status),
            Some(error) => {
                let message =
                    format!("{} of {} recipients: {}", refused.len(), self.smtp.to.len(), error.message);
                Err(SendError { message, reached, ..error.clone() })
            }
        }
    }

    /// What follows from an error. The text of a server is shown where it repeats none of the names that are not shown.
    fn refusal(&self, error: &Error) -> SendError {
        let said = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let said: String = said.lines().next().unwrap_or_default().trim().chars().take(SHOWN).collect();
        let Some(code) = error.status() else {
            let what = if error.is_tls() { "TLS failed" } else { "the exchange with it failed" };
            return SendError::again(None, format!("{what}: {said}"));
        };
        let status = u16::from(code);
        let message = match said.is_empty() || self.is_private(&said) {
            true => format!("it answered with {status}"),
            false => format!("it answered with {status}: {said}"),
        };
        match error.is_permanent() {
            true => SendError::never(Some(status), message),
            false => SendError::again(Some(status), message),
        }
    }

    /// What follows from a failed sign-in. The text of the server is not shown, because it may be about the name.
    fn sign_in_refusal(&self, error: &Error) -> SendError {
        let Some(code) = error.status() else { return self.refusal(error) };
        let status = u16::from(code);
        let message = format!("it refused the user name or the password with {status}");
        match error.is_permanent() {
            true => SendError::never(Some(status), message),
            false => SendError::again(Some(status), message),
        }
    }

    /// Whether a text repeats a part of an address, of the user name or of the password.
    fn is_private(&self, said: &str) -> bool {
        let name = self.smtp.login.as_ref().map_or("", |(name, _)| name.as_str());
        let password = self.password.as_ref().map_or("", Secret::expose);
        let addresses = std::iter::once(&self.smtp.from).chain(&self.smtp.to);
        let mut users = addresses.map(|mailbox| mailbox.email.user());
        repeats(said, secret_parts([name, password])) || users.any(|user| repeats(said, secret_parts([user])))
    }
}
