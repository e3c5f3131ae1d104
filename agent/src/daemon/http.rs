//! The HTTP server of the daemon: what it knows of itself, for whoever asks, and nothing that changes anything.

mod answer;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::sync::{Semaphore, watch};

use super::board::Board;

/// Connections beyond are not accepted before one of these ends.
const MAX_CONNECTIONS: usize = 64;
/// A request's line and headers have to be there by then.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// And the whole exchange, answer included, has to be over.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// What a connection may have us hold of a request.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// Before a connection is accepted again, after one could not be: out of descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Why there is no server.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no thread, or nothing to wait on.
    #[error("cannot start the HTTP server")]
    Start(#[source] io::Error),
}

/// A server on a thread of its own, for as long as this is there.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, and answers with what is on the board.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub fn start(address: SocketAddr, board: Arc<Board>) -> Result<Self, HttpError> {
        let listening = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = listening().map_err(|source| HttpError::Listen { address, source })?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HttpError::Start)?;
        let listener = {
            let _guard = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(HttpError::Start)?
        };
        let (end, mut ended) = watch::channel(false);
        let body = move || {
            let serving = serve(listener, address, board);
            // Connections end with the runtime.
            runtime.block_on(async {
                tokio::select! {
                    () = serving => {}
                    _ = ended.wait_for(|ended| *ended) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("brazier-http".into()).spawn(body);
        Ok(Self { address, end, thread: Some(thread.map_err(HttpError::Start)?) })
    }

    /// Where it listens: the port that was found, if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It ends without a result.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: tokio::net::TcpListener, address: SocketAddr, board: Arc<Board>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .keep_alive(false);
    loop {
        // It is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(AFTER_FAILURE).await;
            continue;
        };
        let board = Arc::clone(&board);
        let service = service_fn(move |request| {
            let answer = answer::answer(&request, &board, address.ip().is_loopback());
            async { Ok::<_, std::convert::Infallible>(answer) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // A client that does what it should not, or leaves, is no trouble of ours.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests;
