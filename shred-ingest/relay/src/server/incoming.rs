//! Connections: from whom, how many, and how long one may stay without a call that is admitted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::{EntryServerConfig, ServerCounters, ServerRefusal};

/// How long a new connection may take until a call of it is admitted: without a token nobody keeps a place.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Pause when the process has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are let in.
pub(super) struct Incoming {
    listener: TcpListener,
    allow: Vec<IpAddr>,
    connections_max: usize,
    open: Arc<AtomicUsize>,
    counters: Arc<ServerCounters>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    pub(super) fn new(
        listener: TcpListener,
        config: &EntryServerConfig,
        counters: Arc<ServerCounters>,
    ) -> Self {
        Self {
            listener,
            allow: config.allow.iter().map(IpAddr::to_canonical).collect(),
            connections_max: config.connections_max,
            open: Arc::default(),
            counters,
            pause: None,
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Option<Guarded> {
        let ip = peer.ip().to_canonical();
        if !ip.is_loopback() && !self.allow.contains(&ip) {
            self.counters.refuse(ServerRefusal::NotAllowed);
            return None;
        }
        if self.open.load(Ordering::Relaxed) >= self.connections_max {
            self.counters.refuse(ServerRefusal::ConnectionLimit);
            return None;
        }
        // A connection that is gone by now will say so when it is read.
        let _ = stream.set_nodelay(true);
        self.counters.connection_accepted.add(1);
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Guarded {
            stream,
            silence: Some(Box::pin(sleep(SILENCE_MAX))),
            admission: Admission::default(),
            open: Arc::clone(&self.open),
        })
    }
}

impl Stream for Incoming {
    type Item = io::Result<Guarded>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, peer)) => {
                    if let Some(guarded) = self.admit(stream, peer) {
                        return Poll::Ready(Some(Ok(guarded)));
                    }
                }
                Err(_) => self.pause = Some(Box::pin(sleep(ACCEPT_PAUSE))),
            }
        }
    }
}

/// A connection that counts while it is open.
pub(super) struct Guarded {
    stream: TcpStream,
    silence: Option<Pin<Box<Sleep>>>,
    admission: Admission,
    open: Arc<AtomicUsize>,
}

/// Whether a call of a connection was admitted; each of its requests carries it.
#[derive(Debug, Clone, Default)]
pub(super) struct Admission(Arc<AtomicBool>);

impl Admission {
    pub(super) fn grant(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connected for Guarded {
    type ConnectInfo = Admission;

    fn connect_info(&self) -> Admission {
        self.admission.clone()
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.admission.0.load(Ordering::Relaxed) {
            self.silence = None;
        } else if let Some(silence) = &mut self.silence
            && silence.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
