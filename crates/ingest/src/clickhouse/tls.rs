//! HTTPS with the authorities of a file.

use crate::store::StoreError;
use clickhouse::Client;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Time that a connection waits for its next statement: less than a server does, which closes it after three seconds.
const IDLE: Duration = Duration::from_secs(2);

/// A client that trusts the authorities of a file alone.
pub(super) fn trusting(path: &Path) -> Result<Client, StoreError> {
    let failed = |message: String| StoreError::Configuration {
        message: format!("the certificates in {} cannot be used: {message}", path.display()),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("the file has none".to_owned()));
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let client = legacy::Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
    Ok(Client::with_http_client(client))
}
