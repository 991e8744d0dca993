//! A server that takes mail by SMTP, with STARTTLS, TLS from the first byte and AUTH, and keeps what it gets.

use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

/// A mail that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) to: Vec<String>,
    pub(crate) is_encrypted: bool,
    /// The name that signed in.
    pub(crate) user: Option<String>,
    /// Header lines, unfolded.
    pub(crate) headers: Vec<(String, String)>,
    /// All parts, decoded.
    pub(crate) body: String,
}

impl Taken {
    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that must be there once.
    pub(crate) fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}: {:?}", self.headers);
        all[0]
    }

    /// The subject, with its encoded words decoded (RFC 2047).
    pub(crate) fn subject(&self) -> String {
        let mut out = String::new();
        let mut rest = self.header("Subject").replace("?= =?utf-8?b?", "?==?utf-8?b?");
        while let Some((before, behind)) = rest.split_once("=?utf-8?b?") {
            out.push_str(before);
            let (word, behind) = behind.split_once("?=").unwrap();
            out.push_str(&String::from_utf8(BASE64.decode(word.as_bytes()).unwrap()).unwrap());
            rest = behind.to_owned();
        }
        out + &rest
    }
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begins {
    /// It is encrypted after STARTTLS.
    Starttls,
    Encrypted,
    /// It is never encrypted.
    Plain,
}

/// A server on a free port of this host.
pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    /// The authority of its certificate, which is for `localhost`.
    pub(crate) ca_file: PathBuf,
    taken: Receiver<Taken>,
    shared: Arc<Shared>,
    _dir: TempDir,
}

struct Shared {
    begins: Begins,
    tls: Arc<ServerConfig>,
    /// Name and password, where signing in is required.
    login: Option<(&'static str, &'static str)>,
    /// Answers to the next lines that begin so, in the place of the usual ones. The line `.` ends a mail.
    answers: Mutex<VecDeque<(&'static str, &'static str)>>,
    lines: Mutex<Vec<String>>,
}

impl MailServer {
    pub(crate) fn start(begins: Begins, login: Option<(&'static str, &'static str)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = names.signed_by(&key, &authority).unwrap();
        let ca_file = dir.path().join("ca.crt");
        std::fs::write(&ca_file, authority.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
            );
        let shared = Arc::new(Shared {
            begins,
            tls: Arc::new(tls.unwrap()),
            login,
            answers: Mutex::default(),
            lines: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, taken) = channel();
        let serving = Arc::clone(&shared);
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, serving) = (sender.clone(), Arc::clone(&serving));
                std::thread::spawn(move || Session::new(stream, &serving).serve(&sender));
            }
        });
        Self { address, ca_file, taken, shared, _dir: dir }
    }

    /// The section of a receiver that sends here, in need of `tls`.
    pub(crate) fn receiver(&self, tls: &str) -> serde_json::Value {
        serde_json::json!({
            "host": "localhost", "port": self.address.port(), "tls": tls, "ca_file": self.ca_file,
            "from": "gatelens <alerts@sender.example>", "to": ["first@example.com"],
        })
    }

    /// Answers so the next time that a line begins so.
    pub(crate) fn answer(&self, line: &'static str, answer: &'static str) {
        self.shared.answers.lock().unwrap().push_back((line, answer));
    }

    /// The next mail, which must come within a minute.
    pub(crate) fn next(&self) -> Taken {
        self.taken.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Whether a mail came that nobody asked for yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.try_recv().is_err()
    }

    /// The lines that came outside of mails, and forgets them.
    pub(crate) fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.lines.lock().unwrap())
    }
}

enum Wire {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ServerConnection, TcpStream>>),
}

struct Session<'a> {
    wire: Wire,
    shared: &'a Shared,
    user: Option<String>,
}

impl<'a> Session<'a> {
    fn new(stream: TcpStream, shared: &'a Shared) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut session = Self { wire: Wire::Plain(stream), shared, user: None };
        if shared.begins == Begins::Encrypted {
            session.encrypt();
        }
        session
    }

    fn encrypt(&mut self) {
        if let Wire::Plain(stream) = &self.wire {
            let connection = ServerConnection::new(Arc::clone(&self.shared.tls)).unwrap();
            let stream = StreamOwned::new(connection, stream.try_clone().unwrap());
            self.wire = Wire::Encrypted(Box::new(stream));
        }
    }

    /// Byte by byte, so that nothing behind a line is taken before its time.
    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            let read = match &mut self.wire {
                Wire::Plain(stream) => stream.read(&mut byte),
                Wire::Encrypted(stream) => stream.read(&mut byte),
            };
            read.ok().filter(|length| *length > 0)?;
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        Some(String::from_utf8(line).unwrap())
    }

    fn say(&mut self, answer: &str) {
        let answer = format!("{answer}\r\n");
        let _ = match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(answer.as_bytes()),
            Wire::Encrypted(stream) => stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()),
        };
    }

    /// The answer that was set for a line.
    fn set(&self, line: &str) -> Option<&'static str> {
        let mut answers = self.shared.answers.lock().unwrap();
        let place = answers.iter().position(|(begin, _)| line.starts_with(begin))?;
        answers.remove(place).map(|(_, answer)| answer)
    }

    fn serve(mut self, sender: &Sender<Taken>) {
        self.say("220 localhost ESMTP");
        let mut to: Vec<String> = Vec::new();
        while let Some(line) = self.line() {
            self.shared.lines.lock().unwrap().push(line.clone());
            let set = self.set(&line);
            let is_encrypted = matches!(self.wire, Wire::Encrypted(_));
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            if let Some(answer) = set {
                self.say(answer);
                continue;
            }
            match verb.as_str() {
                "EHLO" => {
                    let offer = if is_encrypted || self.shared.begins != Begins::Starttls {
                        "250-AUTH PLAIN LOGIN"
                    } else {
                        "250-STARTTLS"
                    };
                    self.say(&format!("250-localhost\r\n{offer}\r\n250 8BITMIME"));
                }
                "STARTTLS" => {
                    self.say("220 go ahead");
                    self.encrypt();
                }
                "AUTH" => {
                    let secret = BASE64.decode(line.rsplit(' ').next().unwrap().as_bytes()).unwrap();
                    let secret = String::from_utf8(secret).unwrap();
                    let (name, password) = self.shared.login.unwrap();
                    if secret == format!("\0{name}\0{password}") {
                        self.user = Some(name.to_owned());
                        self.say("235 2.7.0 welcome");
                    } else {
                        self.say(&format!("535 5.7.8 not the password of {name}: {secret:?}"));
                    }
                }
                "MAIL" if self.shared.login.is_some() && self.user.is_none() => {
                    self.say("530 5.7.0 authenticate")
                }
                "MAIL" => {
                    to.clear();
                    self.say("250 ok");
                }
                "RCPT" => {
                    to.push(line.trim_start_matches("RCPT TO:<").trim_end_matches('>').to_owned());
                    self.say("250 ok");
                }
                "DATA" => {
                    self.say("354 go ahead");
                    let Some(text) = self.mail() else { return };
                    let answer = self.set(".").unwrap_or("250 2.0.0 taken");
                    if answer.starts_with('2') {
                        let taken = parsed(&text, std::mem::take(&mut to), is_encrypted, self.user.clone());
                        if sender.send(taken).is_err() {
                            return;
                        }
                    }
                    self.say(answer);
                }
                "QUIT" => {
                    self.say("221 bye");
                    return;
                }
                _ => self.say("500 unknown"),
            }
        }
    }

    fn mail(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let line = self.line()?;
            if line == "." {
                return Some(text);
            }
            text.push_str(line.strip_prefix('.').unwrap_or(&line));
            text.push('\n');
        }
    }
}

fn parsed(text: &str, to: Vec<String>, is_encrypted: bool, user: Option<String>) -> Taken {
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.lines() {
        match (line.starts_with([' ', '\t']), headers.last_mut()) {
            (true, Some((_, value))) => value.push_str(line),
            _ => {
                let (name, value) = line.split_once(": ").unwrap();
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    Taken { to, is_encrypted, user, headers, body: unquoted(body) }
}

/// The text of quoted-printable (RFC 2045), and any other text as it is.
fn unquoted(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.replace("=\n", "");
    while let Some((before, behind)) = rest.split_once('=') {
        out.extend_from_slice(before.as_bytes());
        match behind.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = behind[2..].to_owned();
            }
            None => {
                out.push(b'=');
                rest = behind.to_owned();
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).unwrap()
}
