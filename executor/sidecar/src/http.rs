//! The `sidecar` thread: a small runtime that answers `/health`, `/metrics` and `/`.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;

use crate::connection::{Bounded, CONNECTION_LIFE, CONNECTIONS_MAX};
use crate::metrics::{METRICS_CONTENT_TYPE, render_metrics};
use crate::page::render_page;
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
    spawn_bounded(address, read, CONNECTIONS_MAX, CONNECTION_LIFE)
}

fn spawn_bounded(
    address: SocketAddr,
    read: Read,
    connections_max: usize,
    connection_life: Duration,
) -> io::Result<Sidecar> {
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
                let listener = Bounded::new(listener, connections_max, connection_life);
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

/// Nothing is cached, framed, sniffed or loaded from elsewhere.
fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 5] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::sync::Arc;

    use super::*;
    use crate::{Health, Snapshot};

    /// Two connections are allowed and both are held by clients that say nothing. A third is
    /// answered as soon as their lives end, and not before.
    #[test]
    fn silent_connections_are_bounded_in_number_and_life() {
        let read: Read = Arc::new(|| Snapshot::new(Health::default()));
        let life = Duration::from_millis(300);
        let page = spawn_bounded("127.0.0.1:0".parse().unwrap(), read, 2, life).unwrap();
        let silent: Vec<TcpStream> = (0..2)
            .map(|_| TcpStream::connect(page.address()).unwrap())
            .collect();
        let mut third = TcpStream::connect(page.address()).unwrap();
        third
            .write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        third
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        assert!(
            third.read(&mut [0; 16]).is_err(),
            "answered beside two others"
        );
        third
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut answer = String::new();
        third.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        drop(silent);
    }
}
