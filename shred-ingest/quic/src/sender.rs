//! The sending end: one thread offers datagrams, another keeps the connections and sends.
//!
//! ```text
//!  offer() --ring--> dispatcher --queue--> connection --> destination 0        (all on the thread tx-<name>)
//!  never waits              \----queue--> connection --> destination 1
//! ```
//!
//! The congestion controller is Cubic with a first window of 128 full packets, as Agave's TPU client uses it
//! (`tpu-client-next`): two FEC sets leave in one flight instead of trickling out over round trips, and a lost packet
//! costs less of the window than with NewReno. quinn's BBR is marked experimental by its authors and is not used.
//! Datagrams are never sent twice: what is lost on the way, FEC makes up for.
//!
//! What is dropped, and which of them:
//!
//! | where | when | what | counted as |
//! |---|---|---|---|
//! | ring | full: this crate's thread does not keep up | newest | refused by [`QuicSender::offer`] |
//! | queue of a destination | full: the controller holds back | oldest | [`DestinationTally::stale_dropped`] |
//! | queue of a destination | no connection | all | [`DestinationTally::unconnected_dropped`] |
//!
//! The oldest, because a shred is worth less the older it is; and per destination, so that a slow one costs the
//! others nothing.
//!
//! [`DestinationTally::stale_dropped`]: crate::DestinationTally::stale_dropped
//! [`DestinationTally::unconnected_dropped`]: crate::DestinationTally::unconnected_dropped

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, SendDatagramError,
    TokioRuntime, TransportErrorCode,
};
use rtrb::{Consumer, Producer, RingBuffer};
use tokio::sync::{Notify, oneshot};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use crate::counters::{DestinationCounters, SenderCounters};
use crate::identity::{Identity, PeerId};
use crate::source::FAREWELL;
use crate::tls::client_config;
use crate::transport::{SERVER_NAME, bind, close, transport};
use crate::{ALPN_TURBINE, AtThreadStart, QuicError, SHRED_LEN_MAX};

/// Bytes of unsent datagrams in QUIC's hands per connection: enough to fill its batches, little enough that what
/// waits, waits where the oldest can be dropped.
const SEND_BUFFER_LEN: usize = 64 << 10;
/// First congestion window (agave `tpu-client-next`: 128 packets of 1232 bytes).
const INITIAL_WINDOW_LEN: u64 = 128 * SHRED_LEN_MAX as u64;
/// Nothing is received but acknowledgements.
const RECEIVE_BUFFER_LEN: usize = 4096;
const SOCKET_BUFFER_LEN: usize = 1 << 20;

/// Where to send, and who must answer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Address of the source.
    pub address: SocketAddr,
    /// Its identity. Nobody else is sent a byte.
    pub peer: PeerId,
}

/// How a sender is started.
#[derive(Clone)]
pub struct QuicSenderConfig {
    /// Names the thread (`tx-<name>`) and errors.
    pub name: String,
    /// Application protocols that are offered.
    pub alpn: Vec<Vec<u8>>,
    /// Where to send everything.
    pub destinations: Vec<Destination>,
    /// Datagrams between the offering thread and this one.
    pub ring_count: usize,
    /// Datagrams that may wait for one destination. The default is 0.1 s at 10,000 shreds/s.
    pub queue_count_max: usize,
    /// Longest handshake.
    pub handshake_timeout: Duration,
    /// Pause after a failed or ended connection; doubles from here.
    pub backoff_min: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// Runs first on the thread.
    pub at_thread_start: Option<AtThreadStart>,
}

impl QuicSenderConfig {
    /// The usual settings: pauses of 0.25 s to 10 s between tries.
    #[must_use]
    pub fn new(name: impl Into<String>, destinations: Vec<Destination>) -> Self {
        Self {
            name: name.into(),
            alpn: vec![ALPN_TURBINE.to_vec()],
            destinations,
            ring_count: 4096,
            queue_count_max: 1024,
            handshake_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(10),
            at_thread_start: None,
        }
    }

    fn check(&self) -> Result<(), QuicError> {
        let values = [
            ("alpn", self.alpn.len(), "must not be empty"),
            ("ring_count", self.ring_count, "must not be 0"),
            ("queue_count_max", self.queue_count_max, "must not be 0"),
        ];
        match values.into_iter().find(|(_, value, _)| *value == 0) {
            Some((field, value, must)) => Err(QuicError::Config {
                name: self.name.clone(),
                field,
                value,
                must,
            }),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for QuicSenderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicSenderConfig")
            .field("name", &self.name)
            .field("destinations", &self.destinations)
            .finish_non_exhaustive()
    }
}

/// Why a datagram was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum OfferReject {
    /// Not 1 to 1232 bytes.
    Length,
    /// The ring is full, or the sender has been stopped.
    Full,
}

/// A datagram on its way through the ring.
struct Parcel {
    len: u16,
    bytes: [u8; SHRED_LEN_MAX],
}

/// Wakes the sending thread when it sleeps, and costs two atomic operations when it does not.
#[derive(Debug, Default)]
struct Wake {
    asleep: AtomicBool,
    notify: Notify,
}

/// The offering end. Belongs to one thread.
#[derive(Debug)]
pub struct QuicSender {
    ring: Producer<Parcel>,
    wake: Arc<Wake>,
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parcel").field("len", &self.len).finish()
    }
}

impl QuicSender {
    /// Starts the thread `tx-<name>`, which connects at once and stays connected.
    ///
    /// # Errors
    /// [`QuicError`] names what does not fit; nothing runs then.
    pub fn start(
        config: QuicSenderConfig,
        identity: &Identity,
    ) -> Result<(Self, QuicSenderHandle), QuicError> {
        config.check()?;
        let name = config.name.clone();
        let clients = config
            .destinations
            .iter()
            .map(|destination| client(identity, destination.peer, config.alpn.clone()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| QuicError::Tls {
                name: name.clone(),
                source,
            })?;
        let (ring, offered) = RingBuffer::new(config.ring_count);
        let wake = Arc::<Wake>::default();
        let counters = Arc::new(SenderCounters::new(config.destinations.len()));
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::sync_channel(1);
        let io = |step, source| QuicError::Io {
            name: name.clone(),
            step,
            source,
        };
        let shared = (Arc::clone(&wake), Arc::clone(&counters));
        let thread = std::thread::Builder::new()
            .name(format!("tx-{name}"))
            .spawn(move || run(&config, clients, offered, shared, stopped, &tell))
            .map_err(|error| io("start the thread", error))?;
        let handle = QuicSenderHandle {
            counters,
            stop: Some(stop),
            thread: Some(thread),
        };
        match told.recv() {
            Ok(Ok(())) => Ok((Self { ring, wake }, handle)),
            Ok(Err((step, error))) => Err(io(step, error)),
            Err(_) => Err(io(
                "start the thread",
                std::io::Error::other("the thread ended"),
            )),
        }
    }

    /// Takes a copy of `datagram` for every destination. Never waits, locks or allocates; a system call happens only
    /// when the sending thread sleeps and has to be woken.
    ///
    /// # Errors
    /// [`OfferReject`]: nothing was taken. The caller counts it.
    #[inline]
    pub fn offer(&mut self, datagram: &[u8]) -> Result<(), OfferReject> {
        if datagram.is_empty() || datagram.len() > SHRED_LEN_MAX {
            return Err(OfferReject::Length);
        }
        if self.ring.is_abandoned() {
            return Err(OfferReject::Full);
        }
        let mut cell = Parcel {
            len: datagram.len() as u16,
            bytes: [0; SHRED_LEN_MAX],
        };
        cell.bytes[..datagram.len()].copy_from_slice(datagram);
        self.ring.push(cell).map_err(|_| OfferReject::Full)?;
        // Either the thread sees the datagram when it looks again before it sleeps, or we see that it sleeps.
        fence(Ordering::SeqCst);
        if self.wake.asleep.load(Ordering::Relaxed)
            && self.wake.asleep.swap(false, Ordering::Relaxed)
        {
            self.wake.notify.notify_one();
        }
        Ok(())
    }
}

/// Holds the sending thread. Dropping it stops the thread.
#[derive(Debug)]
pub struct QuicSenderHandle {
    counters: Arc<SenderCounters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl QuicSenderHandle {
    /// What was sent and dropped.
    #[must_use]
    pub fn counters(&self) -> &Arc<SenderCounters> {
        &self.counters
    }

    /// True when the thread has ended without being told to, as after a panic.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Closes the connections, with what waits in them, and ends the thread; waits at most about half a second.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may be gone already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

impl Drop for QuicSenderHandle {
    fn drop(&mut self) {
        self.end();
    }
}

fn client(
    identity: &Identity,
    peer: PeerId,
    alpn: Vec<Vec<u8>>,
) -> Result<ClientConfig, rustls::Error> {
    let crypto = QuicClientConfig::try_from(client_config(identity, peer, alpn)?)
        .map_err(|_| rustls::Error::General("no initial cipher suite".into()))?;
    let mut client = ClientConfig::new(Arc::new(crypto));
    client.transport_config(transport(
        RECEIVE_BUFFER_LEN,
        SEND_BUFFER_LEN,
        INITIAL_WINDOW_LEN,
    ));
    Ok(client)
}

type Started = Result<(), (&'static str, std::io::Error)>;

fn run(
    config: &QuicSenderConfig,
    clients: Vec<ClientConfig>,
    offered: Consumer<Parcel>,
    (wake, counters): (Arc<Wake>, Arc<SenderCounters>),
    stopped: oneshot::Receiver<()>,
    tell: &mpsc::SyncSender<Started>,
) {
    if let Some(at_thread_start) = &config.at_thread_start {
        at_thread_start();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return drop(tell.send(Err(("start the runtime", error)))),
    };
    LocalSet::new().block_on(&runtime, async {
        let endpoints = match Endpoints::open(&config.destinations) {
            Ok(endpoints) => endpoints,
            Err(error) => return drop(tell.send(Err(error))),
        };
        drop(tell.send(Ok(())));
        let links: Vec<Rc<Link>> = clients
            .into_iter()
            .enumerate()
            .map(|(index, client)| Link::new(config, index, client, &counters))
            .collect();
        for link in &links {
            let endpoint = endpoints.of(link.destination.address);
            tokio::task::spawn_local(Rc::clone(link).keep(endpoint));
        }
        let mut stopped = pin!(stopped);
        tokio::select! {
            _ = &mut stopped => {}
            () = dispatch(offered, &wake, &counters, &links) => {}
        }
        endpoints.close().await;
    });
}

/// Moves datagrams from the ring to the queues; ends when the offering end is gone.
async fn dispatch(
    mut offered: Consumer<Parcel>,
    wake: &Wake,
    counters: &SenderCounters,
    links: &[Rc<Link>],
) {
    loop {
        let mut burst = 0;
        while let Ok(cell) = offered.pop() {
            counters.datagram_taken.add(1);
            let datagram = Bytes::copy_from_slice(&cell.bytes[..usize::from(cell.len)]);
            for link in links {
                link.push(&datagram);
            }
            burst += 1;
            if burst == BURST {
                // Lets what was queued leave before more is taken.
                burst = 0;
                tokio::task::yield_now().await;
            }
        }
        wake.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !offered.is_empty() {
            wake.asleep.store(false, Ordering::Relaxed);
            continue;
        }
        if offered.is_abandoned() {
            // Nobody will wake us; the connections live until the handle stops them.
            return std::future::pending().await;
        }
        // Looks again now and then, so that an offering end that went away does not stay unnoticed.
        let _ = timeout(LOOK_AGAIN, wake.notify.notified()).await;
        wake.asleep.store(false, Ordering::Relaxed);
    }
}

const BURST: usize = 64;
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// One socket per address family in use.
struct Endpoints {
    v4: Option<Endpoint>,
    v6: Option<Endpoint>,
}

impl Endpoints {
    fn open(destinations: &[Destination]) -> Result<Self, (&'static str, std::io::Error)> {
        let open = |wanted: bool, address: SocketAddr| {
            if !wanted {
                return Ok(None);
            }
            let socket = bind(address, SOCKET_BUFFER_LEN)?;
            Endpoint::new(
                EndpointConfig::default(),
                None,
                socket,
                Arc::new(TokioRuntime),
            )
            .map(Some)
            .map_err(|error| ("start the endpoint", error))
        };
        let any = |v6| {
            destinations
                .iter()
                .any(|destination| destination.address.is_ipv6() == v6)
        };
        Ok(Self {
            v4: open(any(false), (Ipv4Addr::UNSPECIFIED, 0).into())?,
            v6: open(any(true), (Ipv6Addr::UNSPECIFIED, 0).into())?,
        })
    }

    fn of(&self, address: SocketAddr) -> Endpoint {
        let endpoint = if address.is_ipv6() {
            &self.v6
        } else {
            &self.v4
        };
        endpoint.clone().expect("opened for each family in use")
    }

    async fn close(&self) {
        let (code, reason) = close::SHUTDOWN;
        for endpoint in [&self.v4, &self.v6].into_iter().flatten() {
            endpoint.close(code, reason);
            let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
        }
    }
}

/// One destination: its queue, and what keeps it connected.
struct Link {
    destination: Destination,
    client: ClientConfig,
    index: usize,
    counters: Arc<SenderCounters>,
    queue: RefCell<VecDeque<Bytes>>,
    queue_count_max: usize,
    queued: Notify,
    connected: Cell<bool>,
    handshake_timeout: Duration,
    backoff: (Duration, Duration),
}

impl Link {
    fn new(
        config: &QuicSenderConfig,
        index: usize,
        client: ClientConfig,
        counters: &Arc<SenderCounters>,
    ) -> Rc<Self> {
        Rc::new(Self {
            destination: config.destinations[index],
            client,
            index,
            counters: Arc::clone(counters),
            queue: RefCell::new(VecDeque::with_capacity(config.queue_count_max + 1)),
            queue_count_max: config.queue_count_max,
            queued: Notify::new(),
            connected: Cell::new(false),
            handshake_timeout: config.handshake_timeout,
            backoff: (config.backoff_min, config.backoff_max),
        })
    }

    fn counters(&self) -> &DestinationCounters {
        &self.counters.destinations[self.index]
    }

    fn push(&self, datagram: &Bytes) {
        if !self.connected.get() {
            return self.counters().unconnected_dropped.add(1);
        }
        let mut queue = self.queue.borrow_mut();
        queue.push_back(datagram.clone());
        if queue.len() > self.queue_count_max {
            queue.pop_front();
            self.counters().stale_dropped.add(1);
        }
        drop(queue);
        self.queued.notify_one();
    }

    /// Connects, sends, and begins again when the connection ends.
    async fn keep(self: Rc<Self>, endpoint: Endpoint) {
        let (min, max) = self.backoff;
        let mut pause = min;
        loop {
            match self.connect(&endpoint).await {
                Ok(connection) => {
                    let since = tokio::time::Instant::now();
                    self.use_up(&connection).await;
                    // One that ends as soon as it is made has not worked.
                    if since.elapsed() >= max {
                        pause = min;
                    }
                }
                Err(identity_refused) => {
                    self.counters().connect_failed.add(1);
                    self.counters()
                        .identity_refused
                        .add(u64::from(identity_refused));
                }
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(max);
        }
    }

    /// The error tells whether it was the peer's identity.
    async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, bool> {
        let address = self.destination.address;
        let connecting = endpoint
            .connect_with(self.client.clone(), address, SERVER_NAME)
            .map_err(|_| false)?;
        match timeout(self.handshake_timeout, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(is_identity(&error)),
            Err(_) => Err(false),
        }
    }

    async fn use_up(&self, connection: &Connection) {
        self.counters().connection_opened.add(1);
        self.connected.set(true);
        self.send(connection).await;
        self.connected.set(false);
        let left = self.queue.borrow_mut().drain(..).count();
        self.counters().unconnected_dropped.add(left as u64);
        self.counters().connection_ended.add(1);
    }

    /// Sends what is queued until the connection ends.
    async fn send(&self, connection: &Connection) {
        let mut closed = pin!(connection.closed());
        loop {
            let oldest = self.queue.borrow_mut().pop_front();
            let Some(datagram) = oldest else {
                tokio::select! {
                    () = self.queued.notified() => continue,
                    _ = &mut closed => return,
                }
            };
            // Waits while the controller holds back; meanwhile the queue drops its oldest.
            match connection.send_datagram_wait(datagram).await {
                Ok(()) => self.counters().datagram_sent.add(1),
                Err(SendDatagramError::ConnectionLost(_)) => {
                    return self.counters().unconnected_dropped.add(1);
                }
                Err(SendDatagramError::TooLarge) => self.counters().unsendable_dropped.add(1),
                Err(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {
                    self.counters().unsendable_dropped.add(1);
                    let (code, reason) = close::DROPPED;
                    return connection.close(code, reason);
                }
            }
        }
    }
}

fn is_identity(error: &ConnectionError) -> bool {
    let ConnectionError::TransportError(error) = error else {
        return false;
    };
    // access_denied, bad_certificate, decrypt_error: the alerts our verifier ends a handshake with.
    [49, 42, 51]
        .iter()
        .any(|&alert| error.code == TransportErrorCode::crypto(alert))
}
