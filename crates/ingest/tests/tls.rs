//! TLS: wrong files are named, changed files come into force, senders prove who they are.

use crate::support::Service;
use gatelens_ingest::{Config, Limits, Network, Server, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The files of a service, made and signed for one test.
struct Pki {
    dir: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    senders: CertifiedIssuer<'static, KeyPair>,
}

pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key in PEM.
pub(crate) fn certify(by: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (parameters.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

impl Pki {
    fn new() -> Self {
        let pki = Self { dir: tempfile::tempdir().unwrap(), authority: authority(), senders: authority() };
        pki.renew("first.test");
        std::fs::write(pki.path("senders.crt"), pki.senders.pem()).unwrap();
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a pair for this name and for localhost.
    fn renew(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let names = vec![name.to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.path("tls.key"), key.serialize_pem()).unwrap();
        std::fs::write(self.path("tls.crt"), certificate.pem()).unwrap();
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.path("tls.crt"), key: self.path("tls.key"), client_authorities: None }
    }

    fn network(&self, files: TlsFiles) -> Network {
        Network { tls: Some(files), hosts: vec!["first.test".parse().unwrap()], ..Network::default() }
    }

    fn client(&self, certificate: Option<(String, String)>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_root_certificates(roots);
        match certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
        }
    }
}

/// The answer to a request to this name; an error when the two sides do not come to terms.
fn ask(service: &Service, client: ClientConfig, name: &str, head: &str) -> std::io::Result<String> {
    let (_, address) = service.url.split_once("://").unwrap();
    let stream = TcpStream::connect(address)?;
    let name = name.to_owned().try_into().unwrap();
    let connection = ClientConnection::new(Arc::new(client), name).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8(answer).unwrap())
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost";

#[test]
fn it_speaks_tls() {
    let pki = Pki::new();
    let service = Service::on(pki.network(pki.files()), Limits::default());
    let answer = ask(&service, pki.client(None), "localhost", HEALTH).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Browsers would hold all of localhost to it.
    assert!(!answer.contains("strict-transport-security"), "{answer}");
    let named = HEALTH.replace("localhost", "first.test");
    let answer = ask(&service, pki.client(None), "first.test", &named).unwrap();
    assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
    // Without TLS there is no answer.
    let (_, address) = service.url.split_once("://").unwrap();
    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(format!("{HEALTH}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn a_changed_certificate_comes_into_force_and_a_broken_one_does_not() {
    let pki = Pki::new();
    let service = Service::on(pki.network(pki.files()), Limits::default());
    let names = |name: &str| ask(&service, pki.client(None), name, HEALTH).is_ok();
    assert!(names("first.test") && !names("second.test"));
    let get =
        |path: &str| ask(&service, pki.client(None), "localhost", &HEALTH.replace("/healthz", path)).unwrap();
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(60), "waited for {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    std::fs::write(pki.path("tls.crt"), "nonsense").unwrap();
    until("the trouble to be seen", &|| get("/metrics").contains("\ngatelens_ingest_tls_outdated 1\n"));
    let health = get("/healthz");
    assert!(health.starts_with("HTTP/1.1 200") && health.contains("tls.crt"), "{health}");
    assert!(get("/metrics").contains("gatelens_ingest_tls_reloads_total{outcome=\"failed\"} 1"));
    assert!(names("first.test"));

    pki.renew("second.test");
    until("the new certificate", &|| names("second.test"));
    assert!(!names("first.test"));
    assert!(get("/metrics").contains("\ngatelens_ingest_tls_outdated 0\n"));
}

#[test]
fn senders_need_a_certificate_where_an_authority_is_given_and_people_do_not() {
    let pki = Pki::new();
    let files = TlsFiles { client_authorities: Some(pki.path("senders.crt")), ..pki.files() };
    let service = Service::on(pki.network(files), Limits::default());
    let send = "POST /v1/logs HTTP/1.1\r\nhost: gatelens_ingest\r\ncontent-type: application/json\r\n\
                content-length: 0";
    let answer = ask(&service, pki.client(None), "localhost", send).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("--client-ca"), "{answer}");
    let known = pki.client(Some(certify(&pki.senders, "edge-1.test")));
    let answer = ask(&service, known, "localhost", send).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "an empty body reaches the decoder: {answer}");
    let answer = ask(&service, pki.client(None), "localhost", HEALTH).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A certificate of a stranger ends the connection, whatever is asked.
    let stranger = pki.client(Some(certify(&authority(), "edge-1.test")));
    assert!(ask(&service, stranger, "localhost", HEALTH).is_err());
}

#[test]
fn wrong_files_are_named() {
    let pki = Pki::new();
    let (_, foreign_key) = certify(&pki.authority, "other.test");
    std::fs::write(pki.path("foreign.key"), foreign_key).unwrap();
    std::fs::write(pki.path("empty"), "").unwrap();
    let check = |files: TlsFiles, words: &[&str]| {
        let message = start(files, &pki.path("data"));
        for word in words {
            assert!(message.contains(word), "{message:?} should say {word:?}");
        }
    };
    let file = |name: &str| pki.path(name);
    check(TlsFiles { certificate: file("absent"), ..pki.files() }, &["absent", "--tls-cert"]);
    check(TlsFiles { key: file("absent"), ..pki.files() }, &["absent", "--tls-key"]);
    let absent = Some(file("absent"));
    check(TlsFiles { client_authorities: absent, ..pki.files() }, &["absent", "--client-ca"]);
    check(TlsFiles { certificate: file("empty"), ..pki.files() }, &["empty", "--tls-cert", "certificate"]);
    check(TlsFiles { certificate: file("tls.key"), ..pki.files() }, &["tls.key", "certificate"]);
    check(TlsFiles { key: file("tls.crt"), ..pki.files() }, &["tls.crt", "--tls-key", "private key"]);
    check(
        TlsFiles { key: file("foreign.key"), ..pki.files() },
        &["foreign.key", "does not belong", "tls.crt"],
    );
    let empty = Some(file("empty"));
    check(TlsFiles { client_authorities: empty, ..pki.files() }, &["empty", "--client-ca"]);
}

/// The error of a service that must not start.
fn start(files: TlsFiles, data: &Path) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config {
        network: Network { tls: Some(files), ..Network::default() },
        ..crate::support::config(data.to_owned(), Limits::default())
    };
    runtime.block_on(Server::bind(config)).err().unwrap().to_string()
}
