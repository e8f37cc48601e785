//! Loopback connections, at most so many, each at most so long, and none silent for long.
//!
//! The page has no password and loopback is shared by every user of the host, so a client that opens connections and
//! never speaks must neither use up the process's descriptors nor keep others waiting: when all places are taken, the
//! connection that has been answered least recently gives its place up.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, Sleep, sleep_until};

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections served at once. One more may wait for its place; others stay in the kernel's queue.
    pub(crate) connections_max: usize,
    /// A connection's whole life. A scraper that keeps one open connects again.
    pub(crate) life: Duration,
    /// Longest time without a byte of an answer, from the beginning and after each answer: for a request to arrive
    /// whole, and for an answer to be fetched.
    pub(crate) silence: Duration,
}

impl Limits {
    /// Those of the page.
    pub(crate) const PAGE: Self = Self {
        connections_max: 64,
        life: Duration::from_secs(60),
        silence: Duration::from_secs(5),
    };
}

/// A listener that hands out bounded connections.
pub(crate) struct Bounded {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    seats: Arc<Seats>,
    limits: Limits,
    /// Number of the next connection.
    next: u64,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener, limits: Limits) -> Self {
        Self {
            listener,
            permits: Arc::new(Semaphore::new(limits.connections_max)),
            seats: Arc::default(),
            limits,
            next: 0,
        }
    }

    /// A place, which the quietest connection gives up when there is none.
    async fn permit(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return permit;
        }
        self.seats.evict_quietest();
        match Arc::clone(&self.permits).acquire_owned().await {
            Ok(permit) => permit,
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let permit = self.permit().await;
                    let number = self.next;
                    self.next += 1;
                    let now = Instant::now();
                    let life_end = now + self.limits.life;
                    let silence = self.limits.silence;
                    let connection = Connection {
                        stream,
                        evicted: self.seats.take(number, now),
                        ended: false,
                        end: Box::pin(sleep_until(life_end.min(now + silence))),
                        life_end,
                        silence,
                        number,
                        seats: Arc::clone(&self.seats),
                        _permit: permit,
                    };
                    return (connection, address);
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

/// The open connections, by number.
#[derive(Default)]
struct Seats(Mutex<BTreeMap<u64, Seat>>);

struct Seat {
    /// When it began, or was last answered.
    quiet_since: Instant,
    /// `None` once it was told to go.
    evict: Option<oneshot::Sender<()>>,
}

impl Seats {
    fn take(&self, number: u64, now: Instant) -> oneshot::Receiver<()> {
        let (evict, evicted) = oneshot::channel();
        let seat = Seat {
            quiet_since: now,
            evict: Some(evict),
        };
        self.all().insert(number, seat);
        evicted
    }

    fn evict_quietest(&self) {
        let mut seats = self.all();
        let staying = seats.values_mut().filter(|seat| seat.evict.is_some());
        if let Some(seat) = staying.min_by_key(|seat| seat.quiet_since)
            && let Some(evict) = seat.evict.take()
        {
            // It may be going already.
            let _ = evict.send(());
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection: its place among the allowed ones and the end of its life.
pub(crate) struct Connection {
    stream: TcpStream,
    evicted: oneshot::Receiver<()>,
    ended: bool,
    /// Of its silence or its life, whichever comes first.
    end: Pin<Box<Sleep>>,
    life_end: Instant,
    silence: Duration,
    number: u64,
    seats: Arc<Seats>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn poll_alive(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.ended = self.ended
            || Pin::new(&mut self.evicted).poll(context).is_ready()
            || self.end.as_mut().poll(context).is_ready();
        if self.ended {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// A part of an answer was taken by the kernel.
    fn answered(&mut self) {
        let now = Instant::now();
        self.end
            .as_mut()
            .reset(self.life_end.min(now + self.silence));
        if let Some(seat) = self.seats.all().get_mut(&self.number) {
            seat.quiet_since = now;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.seats.all().remove(&self.number);
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
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(1..)) = written {
            self.answered();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_alive(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
