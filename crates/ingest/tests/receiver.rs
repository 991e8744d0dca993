//! A receiver of messages: an HTTP server that keeps what it gets.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request that came.
pub(crate) struct Received {
    /// Method and path.
    pub(crate) line: String,
    /// Names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A server on a free port. It answers with the statuses of its list, and with 200 when that is empty.
pub(crate) struct HttpReceiver {
    pub(crate) address: SocketAddr,
    received: Receiver<Received>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl HttpReceiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let waiting = Arc::clone(&answers);
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, waiting) = (sender.clone(), Arc::clone(&waiting));
                std::thread::spawn(move || serve(stream, &sender, &waiting));
            }
        });
        Self { address, received, answers }
    }

    /// The statuses of the next answers.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// The next request, which must come within a minute.
    pub(crate) fn next(&self) -> Received {
        self.next_within(Duration::from_secs(60))
    }

    /// The next request, which must come within this time.
    pub(crate) fn next_within(&self, time: Duration) -> Received {
        self.received.recv_timeout(time).unwrap()
    }

    /// Whether something came that nobody asked for yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.received.try_recv().is_err()
    }
}

fn serve(stream: TcpStream, sender: &Sender<Received>, answers: &Mutex<VecDeque<u16>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = read(&mut reader) {
        let status = answers.lock().unwrap().pop_front().unwrap_or(200);
        if sender.send(request).is_err() {
            return;
        }
        let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 4\r\n\r\nnote");
    }
}

fn read(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|length| *length > 0)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut received = Received {
        line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(),
        headers,
        body: Vec::new(),
    };
    let length = received.header("content-length").parse().unwrap_or(0);
    received.body.resize(length, 0);
    reader.read_exact(&mut received.body).ok()?;
    Some(received)
}
