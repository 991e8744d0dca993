//! A server with one thread per connection that ends when dropped, and with it every open connection.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{Error, Result};

pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    next: AtomicU64,
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Server {
    /// Serves each connection with `serve` until either side closes it. Port 0 picks a free one.
    pub(crate) fn start(
        address: SocketAddr,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Result<Self> {
        let doing = || format!("listening on {address}");
        let listener = TcpListener::bind(address).map_err(Error::io(doing()))?;
        let address = listener.local_addr().map_err(Error::io(doing()))?;
        let shared = Arc::new(Shared::default());
        let serve = Arc::new(serve);
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, &serve)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every open connection; new ones are served.
    pub(crate) fn disconnect(&self) {
        for (_, stream) in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            // A connection that is already gone is what is wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that it is to stop.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.disconnect();
    }
}

fn accept(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    serve: &Arc<impl Fn(TcpStream) + Send + Sync + 'static>,
) {
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: others will close theirs.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        // Answers are small: Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let id = shared.next.fetch_add(1, Ordering::Relaxed);
        if let Ok(handle) = stream.try_clone() {
            shared.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, handle);
        }
        let shared = Arc::clone(shared);
        let serve = Arc::clone(serve);
        thread::spawn(move || {
            serve(stream);
            // The last handle: closing it ends the connection, with a reset where `serve` asked for one.
            shared.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
    }
}
