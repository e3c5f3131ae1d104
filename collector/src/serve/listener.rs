//! An address: takes connections, HTTP/1.1 and HTTP/2 on each, until it is ended.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::receive::Answer;

/// Connections beyond are not accepted before one of these ends.
const MAX_CONNECTIONS: usize = 1_024;
/// A handshake, and then a request's line and headers, have to be there by then.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one connection at once.
const MAX_STREAMS: u32 = 64;
/// What a request's headers may take.
const MAX_HEAD_BYTES: u32 = 32 << 10;
/// A sender that is gone is found by then.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Before a connection is accepted again, after one could not be: out of descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Why an address does not serve.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// Which.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// An address that serves.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    end: oneshot::Sender<Duration>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens, and answers; over TLS, if it is given. Needs a runtime around it.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub fn start<F, A>(address: SocketAddr, tls: Option<TlsAcceptor>, answer: F) -> Result<Self, ListenError>
    where
        F: Fn(http::Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let listening = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, TcpListener::from_std(listener)?))
        };
        let (address, listener) = listening().map_err(|source| ListenError { address, source })?;
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(serve(listener, tls, answer, ended));
        Ok(Self { address, end, task })
    }

    /// Where: the port that was found, if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, and gives those that there are so long to end.
    pub async fn end(self, timeout: Duration) {
        // It may have ended by itself.
        let _ = self.end.send(timeout);
        let _ = self.task.await;
    }
}

async fn serve<F, A>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: F,
    mut ended: oneshot::Receiver<Duration>,
) where
    F: Fn(http::Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let timeout = loop {
        let accepted = async {
            // It is never closed.
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _)) => (permit, stream),
                Err(_) => {
                    tokio::time::sleep(AFTER_FAILURE).await;
                    continue;
                }
            },
            timeout = &mut ended => break timeout.unwrap_or_default(),
        };
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let (tls, watcher) = (tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            // A sender that does what it should not, or leaves, is no trouble of ours.
            match tls {
                None => {
                    let connection = builder().serve_connection(TokioIo::new(stream), service).into_owned();
                    let _ = watcher.watch(connection).await;
                }
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                        let connection =
                            builder().serve_connection(TokioIo::new(stream), service).into_owned();
                        let _ = watcher.watch(connection).await;
                    }
                }
            }
            drop(permit);
        });
    };
    drop(listener);
    let _ = tokio::time::timeout(timeout, graceful.shutdown()).await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES)
        .keep_alive_interval(KEEP_ALIVE);
    builder
}
