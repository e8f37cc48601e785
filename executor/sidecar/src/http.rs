//! The `sidecar` thread: a small runtime that answers `/health`, `/metrics` and `/`.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;

use crate::connection::{Bounded, Limits};
use crate::metrics::{METRICS_CONTENT_TYPE, render_metrics};
use crate::page::{SCRIPT, render_page};
use crate::snapshot::Read;

const THREAD_NAME: &str = "sidecar";

/// The running page. Dropping it stops the thread and waits for it.
#[derive(Debug)]
pub struct Sidecar {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sidecar {
    /// The address it listens on, with the port the kernel chose when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether its thread still runs.
    pub fn is_alive(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Stops the thread and waits for it; open requests are cut off.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Errors mean that the thread is gone, which is what is wanted.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.end();
    }
}

/// Binds `address` and serves what `read` returns, in a thread of its own.
///
/// Whether an address that is not loopback is acceptable is the configuration's decision; there is
/// no password here and nothing but `GET` is answered.
///
/// # Errors
/// When the address cannot be bound or the thread cannot start; the message names the address.
pub fn spawn(address: SocketAddr, read: Read) -> io::Result<Sidecar> {
    spawn_bounded(address, read, Limits::PAGE)
}

fn spawn_bounded(address: SocketAddr, read: Read, limits: Limits) -> io::Result<Sidecar> {
    let in_words =
        |error: io::Error| io::Error::new(error.kind(), format!("http {address}: {error}"));
    let listener = std::net::TcpListener::bind(address).map_err(in_words)?;
    listener.set_nonblocking(true).map_err(in_words)?;
    let address = listener.local_addr().map_err(in_words)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                let listener = Bounded::new(listener, limits);
                tokio::select! {
                    _ = async { axum::serve(listener, router(read)).await } => {}
                    _ = stopped => {}
                }
            });
        })?;
    Ok(Sidecar {
        address,
        stop: Some(stop),
        thread: Some(thread),
    })
}

fn router(read: Read) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/page.js", get(script))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(read)
}

async fn health(State(read): State<Read>) -> Response {
    let (healthy, body) = read().health().to_json();
    let status = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, headers("application/json"), format!("{body}\n")).into_response()
}

async fn metrics(State(read): State<Read>) -> Response {
    match render_metrics(read()) {
        Ok(text) => (headers(METRICS_CONTENT_TYPE), text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn page(State(read): State<Read>) -> Response {
    (headers("text/html; charset=utf-8"), render_page(&read())).into_response()
}

async fn script() -> Response {
    (headers("text/javascript; charset=utf-8"), SCRIPT).into_response()
}

/// Nothing is cached, framed, sniffed or loaded from elsewhere, and no script runs but the page's own file: none that another
/// host's text might bring.
fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 5] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'",
        ),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::{Health, Snapshot};

    const AGES: Duration = Duration::from_secs(600);

    fn page(limits: Limits) -> Sidecar {
        let read: Read = Arc::new(|| Snapshot::new(Health::default()));
        spawn_bounded("127.0.0.1:0".parse().unwrap(), read, limits).unwrap()
    }

    fn connect(page: &Sidecar) -> TcpStream {
        let stream = TcpStream::connect(page.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    #[track_caller]
    fn ask(stream: &mut TcpStream, end: &str) -> String {
        let request = format!("GET /health HTTP/1.1\r\nHost: a\r\nConnection: {end}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}\n") {
            let mut some = [0; 512];
            let len = stream.read(&mut some).unwrap();
            assert!(len > 0, "closed instead of answered");
            answer.extend_from_slice(&some[..len]);
        }
        String::from_utf8(answer).unwrap()
    }

    /// Two connections are allowed and both are held, for ever if they may. A third is answered at once, in the place
    /// of the one that was answered least recently.
    #[test]
    fn a_silent_connection_gives_its_place_up() {
        let page = page(Limits {
            connections_max: 2,
            life: AGES,
            silence: AGES,
        });
        let mut used = connect(&page);
        ask(&mut used, "keep-alive");
        let mut silent = connect(&page);
        // The silent one came last, and the other one was answered since.
        let answer = ask(&mut used, "keep-alive");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        ask(&mut connect(&page), "close");
        assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0, "it is closed");
        ask(&mut used, "keep-alive");
    }

    /// Neither silence nor a request that never ends nor one that is kept open after its answer lasts.
    #[test]
    fn whoever_does_not_ask_within_the_time_is_closed() {
        let page = page(Limits {
            connections_max: 8,
            life: AGES,
            silence: Duration::from_millis(300),
        });
        let mut silent = connect(&page);
        let mut answered = connect(&page);
        ask(&mut answered, "keep-alive");
        let mut slow = connect(&page);
        slow.set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        slow.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
        let trickled = (0..1_000).take_while(|_| {
            let open = slow.write_all(b"A: b\r\n").is_ok();
            let wait = slow.read(&mut [0; 16]).map_err(|error| error.kind());
            open && wait == Err(std::io::ErrorKind::WouldBlock)
        });
        assert!(trickled.count() < 1_000, "never closed");
        assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0);
        assert_eq!(answered.read(&mut [0; 16]).unwrap(), 0);
    }

    #[test]
    fn a_life_ends_however_busy_it_is() {
        let page = page(Limits {
            connections_max: 8,
            life: Duration::from_millis(300),
            silence: AGES,
        });
        let mut busy = connect(&page);
        let request = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
        let asked = (0..1_000).take_while(|_| {
            std::thread::sleep(Duration::from_millis(10));
            busy.write_all(request).is_ok() && matches!(busy.read(&mut [0; 4_096]), Ok(1..))
        });
        assert!(asked.count() < 1_000, "never closed");
    }
}
