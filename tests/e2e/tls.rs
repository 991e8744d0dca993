//! The ingest behind TLS, with certificates and tokens of senders: while clients send, its certificate and the gateway's token
//! are replaced, and every request is counted once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use gatelens_testkit::{Envoy, EnvoyConfig, Ingest, Launch, Upstream, client, paths, wait};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ecds::Discovery;
use super::stack::Mode;
use super::tokens::Token;

/// The name in the certificates of the ingest.
const NAME: &str = "ingest.test";
/// Requests of a gateway that sends no more.
const WAVE: u64 = 5;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Its name tells it from others in a bundle.
fn authority(name: &str) -> Authority {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key in PEM.
fn certify(by: &Authority, name: &str) -> [String; 2] {
    let key = KeyPair::generate().unwrap();
    // A command on the same machine knows it as localhost.
    let parameters = CertificateParams::new(vec![name.to_owned(), "localhost".to_owned()]).unwrap();
    [parameters.signed_by(&key, by).unwrap().pem(), key.serialize_pem()]
}

/// The files of an ingest.
struct Files(TempDir);

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Gives the ingest a certificate of this authority.
    fn certify(&self, by: &Authority) {
        let [certificate, key] = certify(by, NAME);
        self.write("tls.key", &key);
        self.write("tls.crt", &certificate);
    }

    fn serve(&self) -> Ingest {
        let mut command = Command::new(paths::gatelens().unwrap());
        command.args(["serve", "--listen", "127.0.0.1:0", "--host", NAME, "--data"]).arg(self.path("data"));
        for (flag, name) in [
            ("--tls-cert", "tls.crt"),
            ("--tls-key", "tls.key"),
            ("--client-ca", "senders.crt"),
            ("--sender-tokens", "tokens.yaml"),
        ] {
            command.arg(flag).arg(self.path(name));
        }
        Ingest::run(command).unwrap()
    }
}

/// Lets a cluster speak TLS with the ingest, as docs/operations.md has it, and opens a connection for each request, so that
/// each meets the certificate in force.
fn over_tls(config: EnvoyConfig, cluster: &str, trusted: &str, own: Option<&[String; 2]>) -> EnvoyConfig {
    let mut context = json!({
        "validation_context": {
            "trusted_ca": {"inline_string": trusted},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": NAME}}],
        },
    });
    if let Some([certificate, key]) = own {
        context["tls_certificates"] = json!([{
            "certificate_chain": {"inline_string": certificate},
            "private_key": {"inline_string": key},
        }]);
    }
    config.edit(|bootstrap| {
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
        let found = clusters.iter_mut().find(|known| known["name"] == cluster).unwrap();
        found["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": NAME,
                "common_tls_context": context,
            },
        });
        found["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"max_requests_per_connection": 1},
                "explicit_http_config": {"http_protocol_options": {}},
            },
        });
    })
}

fn plugin(service: &str, token: &Token) -> Value {
    json!({
        "version": 1,
        "service": {"name": service, "environment": "prod"},
        "ingest": {
            "cluster": "gatelens_ingest",
            "authority": NAME,
            "headers": {"authorization": format!("Bearer {}", token.token)},
        },
    })
}

fn launch(config: &EnvoyConfig, service: &str) -> Envoy {
    let config = config.clone().node_id(service);
    Envoy::launch(&config, &Launch { concurrency: 1, ..Launch::default() }).unwrap()
}

/// Reads the API through an Envoy of its own, which speaks TLS and has no certificate, as a browser.
struct Reader(Envoy);

impl Reader {
    fn get(&self, path: &str) -> Value {
        let request = client::Request::get(path).host(self.0.address().to_string());
        let answer = client::send(self.0.address(), &request).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json().unwrap()
    }

    fn counted(&self, service: &str) -> u64 {
        let summary = self.get(&format!("/api/v1/summary?service={service}"));
        summary["rows"].as_array().unwrap().iter().map(|row| row["requests"].as_u64().unwrap()).sum()
    }

    fn wait_for_count(&self, envoy: &Envoy, service: &str, requests: u64) {
        wait::eventually("the counts of a gateway", || Ok((self.counted(service) >= requests).then_some(())))
            .unwrap_or_else(|error| panic!("{service}: {error}\n{}", envoy.log()));
    }

    /// Waits until each of the records has an end, and returns the gateway's row.
    fn wait_for_fates(&self, service: &str, records: u64) -> Value {
        wait::eventually("an end of every record", || {
            let gateways = self.get(&format!("/api/v1/gateways?service={service}"));
            let row = gateways["rows"][0].clone();
            Ok(Some(row).filter(|row| row["captured"] == records && row["held"] == 0))
        })
        .unwrap()
    }
}

fn wave(envoy: &Envoy) {
    for _ in 0..WAVE {
        assert_eq!(client::get(envoy.address(), "/bytes/9").unwrap().status, 200);
    }
}

fn wait_for_log(ingest: &mut Ingest, words: &str) {
    ingest.process().wait_until(words, |process| Ok(process.log().contains(words).then_some(()))).unwrap();
}

#[test]
fn certificates_and_tokens_are_replaced_under_traffic_and_every_request_counts_once() {
    let mode = Mode::Filter.config();
    let [first, second, senders] = ["first", "second", "senders"].map(authority);
    let files = Files(TempDir::new().unwrap());
    let [old, new] = ["edge", "edge"].map(|name| Token::make(name, "prod"));
    files.certify(&first);
    files.write("senders.crt", &senders.pem());
    files.write("tokens.yaml", &old.line);
    let mut ingest = files.serve();
    let upstream = Upstream::start().unwrap();
    let both = format!("{}{}", first.pem(), second.pem());
    let base = mode.upstream(upstream.address()).unwrap().ingest(ingest.address()).unwrap();
    let own = certify(&senders, "edge.test");
    let with =
        |trusted: &str, own: Option<&[String; 2]>| over_tls(base.clone(), "gatelens_ingest", trusted, own);
    let page = EnvoyConfig::plain().unwrap().upstream(ingest.address()).unwrap();
    let reader = Reader(launch(&over_tls(page, "upstream", &both, None), "reader"));

    // A gateway with the token and without a certificate is refused.
    let without = launch(&with(&both, None).plugin(&plugin("without", &old)), "without");
    wave(&without);
    wait::eventually("a refusal", || Ok(without.log().contains("answered 403").then_some(())))
        .unwrap_or_else(|error| panic!("{error}\n{}", without.log()));

    let discovery = Discovery::new(files.0.path());
    let gateway = with(&both, Some(&own));
    let config = discovery.detach(gateway.clone().plugin(&plugin("edge", &old)));
    let edge = launch(&config, "edge");
    let (sent, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                assert_eq!(client::get(edge.address(), "/bytes/9").unwrap().status, 200);
                sent.fetch_add(1, Relaxed);
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        // Whatever fails here ends the traffic, too.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let delivered = || reader.wait_for_count(&edge, "edge", sent.load(Relaxed) + 1);
            delivered();
            files.certify(&second);
            // Only the new certificate satisfies this one.
            let later = launch(&with(&second.pem(), Some(&own)).plugin(&plugin("later", &old)), "later");
            wave(&later);
            reader.wait_for_count(&later, "later", WAVE);
            assert_eq!(reader.counted("later"), WAVE);
            delivered();
            let in_force = "the changed file is in force";
            files.write("tokens.yaml", &format!("{}{}", old.line, new.line));
            wait_for_log(&mut ingest, in_force);
            discovery.update(&edge, &gateway.clone().plugin(&plugin("edge", &new)));
            // Two deliveries: the first may have been under way with the old token.
            delivered();
            delivered();
            files.write("tokens.yaml", &new.line);
            // The holder of the old one is refused from then on.
            wave(&later);
            wait::eventually("a refusal", || Ok(later.log().contains("answered 401").then_some(())))
                .unwrap_or_else(|error| panic!("{error}\n{}", later.log()));
            delivered();
        }));
        over.store(true, Relaxed);
        if let Err(cause) = outcome {
            std::panic::resume_unwind(cause);
        }
    });
    let sent = sent.load(Relaxed);
    reader.wait_for_count(&edge, "edge", sent);
    assert_eq!(reader.counted("edge"), sent);
    let fates = reader.wait_for_fates("edge", sent);
    assert_eq!(
        (&fates["stored"], &fates["gaps"]),
        (&json!(sent), &json!({"metrics": 0, "logs": 0})),
        "{fates:#}"
    );
    assert_eq!(reader.counted("without"), 0);
    // The command line reads over TLS, too, with the authorities that it is given and no others.
    let query = |authorities: &str| {
        files.write("authorities.crt", authorities);
        let mut command = Command::new(paths::gatelens().unwrap());
        command.args(["query", "summary", "--service", "edge", "--columns", "requests", "--url"]);
        command.arg(format!("https://localhost:{}", ingest.address().port()));
        command.arg("--ca-file").arg(files.path("authorities.crt")).output().unwrap()
    };
    let answer = query(&second.pem());
    let told = String::from_utf8_lossy(&answer.stdout);
    assert!(told.lines().any(|line| line.trim() == sent.to_string()), "{answer:?}");
    let refused = query(&first.pem());
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(is_absent(&files.path("data"), &old.token) && is_absent(&files.path("data"), &new.token));
}

/// Whether no file of a directory has these bytes.
fn is_absent(directory: &Path, token: &str) -> bool {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let has = |content: Vec<u8>| content.windows(token.len()).any(|window| window == token.as_bytes());
    files.filter(|path| path.is_file()).all(|path| !has(fs::read(path).unwrap()))
}
