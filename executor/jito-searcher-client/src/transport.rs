//! The connection: how it is opened, and when bytes left for the socket.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

/// Nanoseconds on a clock of the caller's choice.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// When each request's bytes were taken by the socket.
///
/// A request is announced with its length just before it is handed to the transport; it is stamped when the
/// write calls since then have taken that many bytes, first announced first. Write calls below
/// [`CONTROL_LEN_MAX`] bytes carry HTTP/2 control frames and do not count. The request's own headers do,
/// so that a message split over several writes may be stamped at most one header block (about 250 bytes)
/// before its last byte. The stamp is that of the kernel taking the bytes, not of the card sending them.
///
/// Announcing and writing happen on one runtime thread as this project uses it; the lock is never waited for.
pub struct WriteStamps {
    clock: Clock,
    announced: AtomicUsize,
    entries: Mutex<Entries>,
}

/// Longest write call that is taken for control frames: ping, settings, window updates.
pub const CONTROL_LEN_MAX: usize = 64;

#[derive(Default)]
struct Entries {
    next_ticket: u64,
    /// Write calls counted so far.
    writes: u64,
    queue: VecDeque<Entry>,
}

struct Entry {
    ticket: u64,
    remaining: usize,
    writes_before: u64,
    written_at: Option<u64>,
}

/// What is known of a request's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// When the last of them was taken.
    pub(crate) at: Option<u64>,
    /// No write call has taken anything of any request since the announcement.
    pub(crate) nothing: bool,
}

impl WriteStamps {
    /// Stamps with `clock`.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            announced: AtomicUsize::new(0),
            entries: Mutex::default(),
        }
    }

    /// Announces a request of `len` bytes. The announcement ends when it is dropped.
    pub(crate) fn announce(&self, len: usize) -> Announcement<'_> {
        let mut entries = self.entries();
        let ticket = entries.next_ticket;
        entries.next_ticket += 1;
        let writes_before = entries.writes;
        entries.queue.push_back(Entry {
            ticket,
            remaining: len.max(1),
            writes_before,
            written_at: None,
        });
        self.announced.fetch_add(1, Ordering::Relaxed);
        drop(entries);
        Announcement {
            stamps: self,
            ticket,
        }
    }

    fn wrote(&self, len: usize) {
        if len <= CONTROL_LEN_MAX || self.announced.load(Ordering::Relaxed) == 0 {
            return;
        }
        let now = (self.clock)();
        let mut budget = len;
        let mut entries = self.entries();
        entries.writes += 1;
        for entry in entries
            .queue
            .iter_mut()
            .filter(|entry| entry.written_at.is_none())
        {
            let taken = budget.min(entry.remaining);
            entry.remaining -= taken;
            budget -= taken;
            if entry.remaining > 0 {
                break;
            }
            entry.written_at = Some(now);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request that is on its way to the socket.
pub(crate) struct Announcement<'a> {
    stamps: &'a WriteStamps,
    ticket: u64,
}

impl Announcement<'_> {
    /// What is known of the request by now.
    pub(crate) fn written(&self) -> Written {
        let entries = self.stamps.entries();
        let entry = entries
            .queue
            .iter()
            .find(|entry| entry.ticket == self.ticket);
        let entry = entry.expect("an entry lives as long as its announcement");
        Written {
            at: entry.written_at,
            nothing: entry.writes_before == entries.writes,
        }
    }
}

impl Drop for Announcement<'_> {
    fn drop(&mut self) {
        self.stamps
            .entries()
            .queue
            .retain(|entry| entry.ticket != self.ticket);
        self.stamps.announced.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for WriteStamps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteStamps")
            .field("announced", &self.announced)
            .finish_non_exhaustive()
    }
}

/// Opens TCP connections whose writes are stamped.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) stamps: Option<Arc<WriteStamps>>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<StampedStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<StampedStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let stamps = self.stamps.clone();
        Box::pin(async move {
            let host = uri
                .host()
                .unwrap_or_default()
                .trim_start_matches('[')
                .trim_end_matches(']');
            let port = uri
                .port_u16()
                .unwrap_or(if uri.scheme_str() == Some("https") {
                    443
                } else {
                    80
                });
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(StampedStream { stream, stamps }))
        })
    }
}

/// A TCP stream that tells [`WriteStamps`] what the kernel took.
pub(crate) struct StampedStream {
    stream: TcpStream,
    stamps: Option<Arc<WriteStamps>>,
}

impl StampedStream {
    fn stamp(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Some(stamps), Poll::Ready(Ok(len))) = (&self.stamps, &result) {
            stamps.wrote(*len);
        }
        result
    }
}

impl AsyncRead for StampedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for StampedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.stamp(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.stamp(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::AtomicU64;

    fn ticking() -> WriteStamps {
        let now = AtomicU64::new(0);
        WriteStamps::new(Arc::new(move || now.fetch_add(1, Ordering::Relaxed) + 1))
    }

    #[test]
    fn a_request_is_stamped_when_its_bytes_are_taken_not_before() {
        let stamps = ticking();
        let request = stamps.announce(1_000);
        stamps.wrote(17);
        stamps.wrote(400);
        assert_eq!(
            request.written(),
            Written {
                at: None,
                nothing: false
            }
        );
        stamps.wrote(600);
        assert_eq!(
            request.written(),
            Written {
                at: Some(2),
                nothing: false
            }
        );
    }

    #[test]
    fn that_nothing_left_is_known() {
        let stamps = ticking();
        let request = stamps.announce(1_000);
        stamps.wrote(CONTROL_LEN_MAX);
        assert_eq!(
            request.written(),
            Written {
                at: None,
                nothing: true
            }
        );
        stamps.wrote(500);
        assert_eq!(
            request.written(),
            Written {
                at: None,
                nothing: false
            }
        );
    }

    #[test]
    fn one_write_may_carry_several_requests() {
        let stamps = ticking();
        let [a, b, c] = [500, 500, 500].map(|len| stamps.announce(len));
        stamps.wrote(1_100);
        assert_eq!(
            [&a, &b, &c].map(|request| request.written().at),
            [Some(1), Some(1), None]
        );
        drop((a, b, c));
        assert!(stamps.entries().queue.is_empty());
        assert_eq!(stamps.announced.load(Ordering::Relaxed), 0);
    }
}
