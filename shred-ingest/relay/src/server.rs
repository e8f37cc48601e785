//! The gRPC service, on a thread with a runtime of its own.

mod client;
mod incoming;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use shred_quic::AtThreadStart;
use tokio::sync::watch;
use tonic::transport::Server;

use crate::RelayError;
use crate::counters::Count;
use crate::feed::EntryFeed;
use crate::proto::shredstream_proxy_server::ShredstreamProxyServer;
use client::Service;
use incoming::Incoming;

/// A request has no content.
const REQUEST_LEN_MAX: usize = 4096;
/// Calls of one connection at once: clients that share a channel.
const CALLS_PER_CONNECTION: u32 = 16;
/// How often a silent connection is asked whether its other end is still there, and how long it may take to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long clients that do not read may delay the end.
const FAREWELL: Duration = Duration::from_millis(500);

/// How a client that reads slower than entries come is told what it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lagging {
    /// The stream ends with `DATA_LOSS`, the number in its words and in the trailer `missed-count`. The client
    /// connects anew; a client that knows nothing of marks cannot overlook it.
    #[default]
    End,
    /// A message without entries (they decode as an empty list) says so in its field 1001, and the stream goes on.
    Mark,
}

/// How a server is started.
#[derive(Clone)]
pub struct EntryServerConfig {
    /// Names the thread (`grpc-<name>`) and errors.
    pub name: String,
    /// Where to listen. Nothing is encrypted: beyond this host only where `allow` names who may connect.
    pub bind: SocketAddr,
    /// Addresses that may connect, besides this host's own loopback.
    pub allow: Vec<IpAddr>,
    /// Clients must bring `authorization: Bearer <token>`.
    pub token: Option<String>,
    /// Subscriptions at once.
    pub clients_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// What a lagging client gets. A client may choose otherwise with the header `x-lagging: end` or `mark`.
    pub lagging: Lagging,
    /// Runs first on the thread.
    pub at_thread_start: Option<AtThreadStart>,
}

impl EntryServerConfig {
    /// The usual settings: 32 clients over at most 64 connections.
    #[must_use]
    pub fn new(name: impl Into<String>, bind: SocketAddr) -> Self {
        Self {
            name: name.into(),
            bind,
            allow: Vec::new(),
            token: None,
            clients_max: 32,
            connections_max: 64,
            lagging: Lagging::default(),
            at_thread_start: None,
        }
    }

    fn check(&self) -> Result<(), RelayError> {
        let refuse = |field, value: String, must| Err(RelayError::Config { field, value, must });
        if !self.bind.ip().to_canonical().is_loopback() && self.allow.is_empty() {
            let must = "without a list of addresses that may connect the service is for this host: \
                        bind 127.0.0.1 or [::1], or fill `allow`";
            return refuse("bind", self.bind.to_string(), must);
        }
        if self.token.as_ref().is_some_and(String::is_empty) {
            return refuse("token", "empty".into(), "must not be empty");
        }
        for (field, value) in [
            ("clients_max", self.clients_max),
            ("connections_max", self.connections_max),
        ] {
            if value == 0 {
                return refuse(field, "0".into(), "must not be 0");
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for EntryServerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryServerConfig")
            .field("name", &self.name)
            .field("bind", &self.bind)
            .field("allow", &self.allow)
            .field("token", &self.token.as_ref().map(|_| "set"))
            .finish_non_exhaustive()
    }
}

/// Why a connection or a call was refused. The discriminant indexes [`ServerTally::refused`] and names the metric
/// label, so append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerRefusal {
    /// The address is not on the list.
    NotAllowed,
    /// As many connections as may be.
    ConnectionLimit,
    /// As many clients as may be.
    ClientLimit,
    /// Without the token, or with another.
    BadToken,
}

impl ServerRefusal {
    /// All reasons, in order of their discriminants.
    pub const ALL: [Self; 4] = [
        Self::NotAllowed,
        Self::ConnectionLimit,
        Self::ClientLimit,
        Self::BadToken,
    ];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::ConnectionLimit => "connection_limit",
            Self::ClientLimit => "client_limit",
            Self::BadToken => "bad_token",
        }
    }
}

/// What a server did. Written by its thread.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServerCounters {
    pub(crate) connection_accepted: Count,
    pub(crate) client_started: Count,
    pub(crate) client_ended: Count,
    pub(crate) message_sent: Count,
    pub(crate) client_lagged: Count,
    pub(crate) message_missed: Count,
    pub(crate) refused: [Count; ServerRefusal::ALL.len()],
}

impl ServerCounters {
    pub(crate) fn refuse(&self, reason: ServerRefusal) {
        self.refused[reason as usize].add(1);
    }

    /// Reads every counter once. Counters move on meanwhile; each value by itself is exact.
    #[must_use]
    pub fn tally(&self) -> ServerTally {
        ServerTally {
            connection_accepted: self.connection_accepted.get(),
            client_started: self.client_started.get(),
            client_ended: self.client_ended.get(),
            message_sent: self.message_sent.get(),
            client_lagged: self.client_lagged.get(),
            message_missed: self.message_missed.get(),
            refused: std::array::from_fn(|reason| self.refused[reason].get()),
        }
    }
}

/// [`ServerCounters`] as plain numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerTally {
    /// Connections taken.
    pub connection_accepted: u64,
    /// Subscriptions begun.
    pub client_started: u64,
    /// Of these, how many have ended.
    pub client_ended: u64,
    /// Messages handed to connections, marks aside.
    pub message_sent: u64,
    /// Times a client was told that it missed something.
    pub client_lagged: u64,
    /// Messages that clients missed.
    pub message_missed: u64,
    /// What was refused, by [`ServerRefusal`].
    pub refused: [u64; ServerRefusal::ALL.len()],
}

impl ServerTally {
    /// How often `reason` applied.
    #[must_use]
    pub const fn refused_for(&self, reason: ServerRefusal) -> u64 {
        self.refused[reason as usize]
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct EntryServer {
    address: SocketAddr,
    counters: Arc<ServerCounters>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl EntryServer {
    /// Binds and starts the thread `grpc-<name>`. Clients are sent what comes into `feed` from then on. The feed
    /// outlives the server: another may be started on it.
    ///
    /// # Errors
    /// [`RelayError`] names what does not fit; nothing runs then.
    pub fn start(config: EntryServerConfig, feed: &EntryFeed) -> Result<Self, RelayError> {
        config.check()?;
        let io = |step: &str, error| {
            RelayError::io(
                format!("grpc {}: {step} {}", config.name, config.bind),
                error,
            )
        };
        let listener = TcpListener::bind(config.bind).map_err(|error| io("listen on", error))?;
        listener
            .set_nonblocking(true)
            .map_err(|error| io("set up", error))?;
        let address = listener.local_addr().map_err(|error| io("set up", error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| io("start the runtime of", error))?;
        let counters = Arc::<ServerCounters>::default();
        let (stop, stopped) = watch::channel(false);
        let service = Service::new(
            &config,
            feed.clone(),
            Arc::clone(&counters),
            stopped.clone(),
        );
        let shared = Arc::clone(&counters);
        let name = format!("grpc-{}", config.name);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn({
                let config = config.clone();
                move || {
                    if let Some(at_thread_start) = &config.at_thread_start {
                        at_thread_start();
                    }
                    runtime.block_on(serve(listener, &config, service, shared, stopped));
                    // What clients do not read is not waited for.
                    runtime.shutdown_background();
                }
            })
            .map_err(|error| io("start the thread of", error))?;
        Ok(Self {
            address,
            counters,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it did.
    #[must_use]
    pub fn counters(&self) -> &Arc<ServerCounters> {
        &self.counters
    }

    /// True when the thread has ended without being told to, as after a panic.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends all streams with `UNAVAILABLE`, and the thread; waits at most about half a second.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // The thread may be gone already.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

impl Drop for EntryServer {
    fn drop(&mut self) {
        self.end();
    }
}

async fn serve(
    listener: TcpListener,
    config: &EntryServerConfig,
    service: Service,
    counters: Arc<ServerCounters>,
    stopped: watch::Receiver<bool>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let incoming = Incoming::new(listener, config, counters);
    let service = ShredstreamProxyServer::new(service).max_decoding_message_size(REQUEST_LEN_MAX);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that nobody holds the server any more.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let serving = Server::builder()
        .max_concurrent_streams(CALLS_PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, until(stopped.clone()));
    let farewell = async {
        until(stopped).await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        // It ends by being told to; connections end by themselves.
        _ = serving => {}
        () = farewell => {}
    }
}
