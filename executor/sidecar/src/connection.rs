//! Loopback connections, at most so many and each at most so long.
//!
//! The page has no password and loopback is shared by every user of the host, so a client that
//! opens connections and never speaks must not use up the process's descriptors.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

/// Connections served at once; more wait in the kernel's queue.
pub(crate) const CONNECTIONS_MAX: usize = 64;
/// A connection's whole life. A scraper that keeps one open connects again.
pub(crate) const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// A listener that hands out bounded connections.
pub(crate) struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    life: Duration,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener, connections_max: usize, life: Duration) -> Self {
        Self {
            listener,
            permits: Arc::new(Semaphore::new(connections_max)),
            life,
        }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let Ok(permit) = permit else {
                unreachable!("the semaphore is never closed")
            };
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let end = Box::pin(sleep_until(Instant::now() + self.life));
                    return (
                        Connection {
                            stream,
                            end,
                            _permit: permit,
                        },
                        address,
                    );
                }
                // Out of descriptors, or the peer is gone already: neither is worth a busy loop.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// One connection: its place among the allowed ones and the end of its life.
pub(crate) struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn poll_alive(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_alive(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_alive(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_alive(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
