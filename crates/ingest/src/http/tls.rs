//! TLS by rustls: a certificate that follows its files, and certificates of senders.

use crate::stats::Stats;
use crate::sync::lock;
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls::crypto::ring as provider};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// Bytes of one file of certificates or keys.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The files that TLS needs, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the service, followed by the intermediate ones.
    pub certificate: PathBuf,
    /// The key of the certificate: PKCS #8, PKCS #1 or SEC 1, without a password.
    pub key: PathBuf,
    /// Certificates of the authorities that sign senders' certificates. With them, `/v1/*` needs a certificate.
    pub client_authorities: Option<PathBuf>,
}

/// Why the files for TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}, given by {flag}: {source}", path.display())]
    File {
        /// The option that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file holds nothing of the kind that it should.
    #[error("{}, given by {flag}, has no usable {kind} in PEM: it must begin with -----BEGIN", path.display())]
    Empty {
        /// The option that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The kind of thing.
        kind: &'static str,
    },
    /// The key belongs to another certificate.
    #[error("the key in {} does not belong to the certificate in {}: give the pair that was made together",
        key.display(), certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// rustls refuses the pair, or an authority.
    #[error("{}, given by {flag}, cannot be used: {message}", path.display())]
    Unusable {
        /// The option that named it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        message: String,
    },
}

/// A sender's certificate that an authority of `--client-ca` has signed, among the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(dead_code, reason = "handlers may ask who sends")]
pub(crate) struct ClientCertificate {
    /// Subject alternative names that are URIs, such as `spiffe://mesh/ns/shop/sa/gateway`.
    pub(crate) uris: Vec<String>,
    /// Subject alternative names that are names in DNS.
    pub(crate) dns_names: Vec<String>,
    /// SHA-256 of the certificate, in hex.
    pub(crate) fingerprint: String,
}

impl ClientCertificate {
    fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(der).ok()?;
        Some(Self {
            uris: certificate.valid_uri_names().map(str::to_owned).collect(),
            dns_names: certificate.valid_dns_names().map(str::to_owned).collect(),
            fingerprint: HEXLOWER.encode(digest(&SHA256, der).as_ref()),
        })
    }
}

/// The certificate in force.
pub(super) struct Tls {
    files: TlsFiles,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// The bytes that were looked at last, whether they could be used or not.
    seen: Contents,
    /// Why the files on disk are not in force.
    trouble: Option<String>,
}

#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read or used, or the key does not belong to the certificate.
    pub(super) fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = Contents::read(&files)?;
        let config = configuration(&files, &seen)?;
        Ok(Self { current: Mutex::new(Current { config, seen, trouble: None }), files })
    }

    /// Shakes hands. The certificate is that of the client, if it has one; rustls has verified it.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<ClientCertificate>)> {
        let config = Arc::clone(&self.current().config);
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(<[_]>::first).and_then(ClientCertificate::of);
        Ok((stream, certificate))
    }

    /// Whether senders need a certificate.
    pub(super) fn asks_senders(&self) -> bool {
        self.files.client_authorities.is_some()
    }

    /// Why the files on disk are not in force.
    pub(super) fn trouble(&self) -> Option<String> {
        self.current().trouble.clone()
    }

    /// Looks at the files, and puts a new pair in force. A pair that cannot be used leaves the old one in force.
    fn refresh(&self, stats: &Stats) {
        let contents = Contents::read(&self.files);
        let mut current = self.current();
        let (seen, loaded) = match contents {
            Ok(contents) if contents == current.seen => {
                return;
            }
            Ok(contents) => {
                let loaded = configuration(&self.files, &contents);
                (Some(contents), loaded)
            }
            Err(error) => (None, Err(error)),
        };
        match loaded {
            Ok(config) => {
                tracing::info!("the new certificate for TLS is in force");
                current.config = config;
                current.trouble = None;
                stats.tls_reloaded("loaded");
            }
            Err(error) => {
                let trouble = format!("the previous certificate for TLS stays in force: {error}");
                if current.trouble.as_ref() != Some(&trouble) {
                    tracing::error!("{trouble}");
                    stats.tls_reloaded("failed");
                }
                current.trouble = Some(trouble);
            }
        }
        if let Some(seen) = seen {
            current.seen = seen;
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        lock(&self.current)
    }
}

/// Follows the files until it is dropped.
pub(super) async fn follow(tls: Arc<Tls>, stats: Arc<Stats>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let (tls, stats) = (Arc::clone(&tls), Arc::clone(&stats));
        // Files may be on a network, so that reading blocks.
        let _ = tokio::task::spawn_blocking(move || tls.refresh(&stats)).await;
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let authorities = files.client_authorities.as_deref();
        Ok(Self {
            certificate: read("--tls-cert", &files.certificate)?,
            key: read("--tls-key", &files.key)?,
            client_authorities: authorities.map(|path| read("--client-ca", path)).transpose()?,
        })
    }
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::File { flag, path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE_BYTES {
        return Err(failed(io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes"))));
    }
    std::fs::read(path).map_err(failed)
}

fn configuration(files: &TlsFiles, contents: &Contents) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates = certificates("--tls-cert", &files.certificate, &contents.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|_| TlsError::Empty {
        flag: "--tls-key",
        path: files.key.clone(),
        kind: "private key without a password",
    })?;
    let unusable = |flag, path: &Path, error: &dyn std::fmt::Display| TlsError::Unusable {
        flag,
        path: path.to_owned(),
        message: error.to_string(),
    };
    let provider = Arc::new(provider::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("--tls-cert", &files.certificate, &error))?;
    let builder = match (&files.client_authorities, &contents.client_authorities) {
        (Some(path), Some(bytes)) => {
            let mut roots = RootCertStore::empty();
            for authority in self::certificates("--client-ca", path, bytes)? {
                roots.add(authority).map_err(|error| unusable("--client-ca", path, &error))?;
            }
            // People have no certificate: the page must open without one.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| unusable("--client-ca", path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        other => unusable("--tls-cert", &files.certificate, &other),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(
    flag: &'static str,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Empty { flag, path: path.to_owned(), kind: "certificate" }),
    }
}
