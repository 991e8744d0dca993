//! The authorities that a client of HTTPS trusts.

use std::path::Path;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// TLS with the authorities of a file in PEM, or with those of Mozilla.
///
/// # Errors
/// A sentence, if the file cannot be read or has no certificate.
pub fn trusting(ca_file: Option<&Path>) -> Result<TlsConfig, String> {
    let tls = TlsConfig::builder();
    let Some(path) = ca_file else { return Ok(tls.build()) };
    let failed = |error: String| format!("the certificates in {} cannot be read: {error}", path.display());
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| failed(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(failed("there is none in it".to_owned()));
    }
    Ok(tls.root_certs(RootCerts::from(certificates)).build())
}
