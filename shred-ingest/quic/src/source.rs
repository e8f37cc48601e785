//! The receiving end: a QUIC server whose datagrams become frames.
//!
//! What is dropped, and which of them:
//!
//! | where | when | what | counted as |
//! |---|---|---|---|
//! | kernel socket | buffer full | newest packet | not visible here; QUIC's sender sees the loss |
//! | connection | `datagram_buffer_len` full | oldest datagram | [`QuicRefusal::Stale`], exact when the buffer next runs empty |
//! | this thread | longer than 1232 bytes or a frame | that datagram | [`SourceReject::Oversize`] |
//! | this thread | no free frame | newest datagram | [`SourceReject::FramesFull`] |
//!
//! Handshakes are bounded in number, per network and in time. Anybody can send a first packet in anybody's name, so
//! addresses that have not proven to exist have a few places of their own, one for each network; whoever comes beyond
//! them is asked for the proof (Retry, one more round trip), and with it finds the places that only proven addresses
//! take. Peers are known before the handshake ends: whoever is not pinned never gets as far as a datagram. A peer
//! that comes back gets in at once: beyond its share, its oldest connection gives way, and each pinned peer's share
//! is there for it.
//!
//! Packets that belong to no connection are dropped and counted by what is wrong with them
//! ([`QuicRefusal::NotQuic`] and those after it).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connecting, Connection, ConnectionError, Endpoint, Incoming, Runtime, ServerConfig,
    TokioRuntime, TransportErrorCode,
};
use rustls::pki_types::CertificateDer;
use shred_source::arena::Datagram;
use shred_source::{Descriptor, RX_BURST, RxFrames, SourceId, SourceReject};
use shred_wire::Nanos;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::counters::{QuicCounters, QuicRefusal};
use crate::identity::{Identity, PeerId, peer_id};
use crate::stray::{OwnIds, StraySocket, endpoint_config};
use crate::tls::{Peers, server_config};
use crate::transport::{SMALL_WINDOW_LEN, bind, close, transport};
use crate::{ALPN_TURBINE, AtThreadStart, QuicError, SHRED_LEN_MAX};

/// Handshakes at once of addresses that have not proven to exist: enough that peers who connect now and then are
/// spared the round trip, few enough that what they cost is nothing.
const UNPROVEN_MAX: usize = 8;
/// Of those, from one network.
const UNPROVEN_PER_NETWORK_MAX: usize = 1;
/// First packets that may wait for [`Room::knock`], at least.
const INCOMING_MIN: usize = 64;
/// Connections at once where anybody may send.
const CONNECTIONS_OF_ANYBODY: usize = 64;
/// Bytes of datagrams that may wait in all connections together, unless that left each less than the share below.
const DATAGRAMS_LEN_MAX: usize = 256 << 20;
const DATAGRAM_SHARE_LEN_MIN: usize = 64 << 10;

/// How a QUIC source is opened.
#[derive(Clone)]
pub struct QuicSourceConfig {
    /// Names the thread (`rx-<name>`) and errors.
    pub name: String,
    /// Address and port, IPv4 or IPv6.
    pub bind: SocketAddr,
    /// Application protocols that are spoken; a client must offer one of them.
    pub alpn: Vec<Vec<u8>>,
    /// Who may send.
    pub peers: Peers,
    /// Connections at once. `None` is the share of each pinned peer, so that none can take another's place; where
    /// anybody may send, 64.
    pub connections_max: Option<usize>,
    /// Connections at once of one peer; its oldest gives way to a further one.
    pub connections_per_peer_max: usize,
    /// Handshakes at once, of addresses that have proven to exist. Unproven ones have 8 places beside, one for each
    /// IPv4 address or IPv6 /64.
    pub handshakes_max: usize,
    /// Handshakes at once from one IPv4 address or IPv6 /64 that has proven to exist.
    pub handshakes_per_network_max: usize,
    /// Longest handshake.
    pub handshake_timeout: Duration,
    /// Bytes of datagrams that may wait in one connection, overhead included; less where all connections together
    /// could hold more than 256 MiB. The default rides out some 0.3 s of a thread that does not run, at 10,000
    /// shreds/s.
    pub datagram_buffer_len: usize,
    /// Bytes the kernel may hold, within `net.core.rmem_max`.
    pub socket_buffer_len: usize,
    /// Runs first on the thread.
    pub at_thread_start: Option<AtThreadStart>,
}

impl QuicSourceConfig {
    /// The usual settings, with nobody let in.
    #[must_use]
    pub fn new(name: impl Into<String>, bind: SocketAddr) -> Self {
        Self {
            name: name.into(),
            bind,
            alpn: vec![ALPN_TURBINE.to_vec()],
            peers: Peers::Pinned([].into()),
            connections_max: None,
            connections_per_peer_max: 2,
            handshakes_max: 64,
            handshakes_per_network_max: 8,
            handshake_timeout: Duration::from_secs(2),
            datagram_buffer_len: 4 << 20,
            socket_buffer_len: 8 << 20,
            at_thread_start: None,
        }
    }

    /// Connections at once.
    fn connections(&self) -> usize {
        self.connections_max.unwrap_or(match &self.peers {
            Peers::Pinned(pinned) => pinned.len().saturating_mul(self.connections_per_peer_max),
            Peers::Any => CONNECTIONS_OF_ANYBODY,
        })
    }

    /// Bytes of datagrams that may wait in one connection.
    fn datagram_share_len(&self) -> usize {
        let share = DATAGRAMS_LEN_MAX / self.connections().max(1);
        self.datagram_buffer_len
            .min(share.max(DATAGRAM_SHARE_LEN_MIN))
    }

    fn check(&self, stride: usize) -> Result<(), QuicError> {
        let at_least = |field, value: usize, min: usize, must| {
            if value >= min {
                return Ok(());
            }
            Err(QuicError::Config {
                name: self.name.clone(),
                field,
                value,
                must,
            })
        };
        at_least("alpn", self.alpn.len(), 1, "must not be empty")?;
        let longest = self.alpn.iter().map(Vec::len).max().unwrap_or(0);
        let shortest = self.alpn.iter().map(Vec::len).min().unwrap_or(0);
        at_least("alpn", shortest, 1, "a protocol's name has a length")?;
        at_least(
            "alpn",
            256usize.saturating_sub(longest),
            1,
            "a protocol's name has at most 255 bytes",
        )?;
        at_least(
            "connections_max",
            self.connections_max.unwrap_or(1),
            1,
            "must not be 0",
        )?;
        at_least(
            "connections_per_peer_max",
            self.connections_per_peer_max,
            1,
            "must not be 0",
        )?;
        at_least("handshakes_max", self.handshakes_max, 1, "must not be 0")?;
        at_least(
            "handshakes_per_network_max",
            self.handshakes_per_network_max,
            1,
            "must not be 0",
        )?;
        at_least(
            "datagram_buffer_len",
            self.datagram_buffer_len,
            4096,
            "must be at least 4096",
        )?;
        at_least(
            "stride",
            stride,
            SHRED_LEN_MAX,
            "frames must hold a shred of 1232 bytes",
        )
    }
}

impl std::fmt::Debug for QuicSourceConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicSourceConfig")
            .field("name", &self.name)
            .field("bind", &self.bind)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

/// Starts QUIC sources; what runs is held by a [`QuicHandle`].
#[derive(Debug)]
pub struct QuicSource;

impl QuicSource {
    /// Binds the socket and starts the thread `rx-<name>`, which from then on fills `frames`.
    ///
    /// # Errors
    /// [`QuicError`] names what does not fit; nothing runs then.
    pub fn start(
        config: QuicSourceConfig,
        identity: &Identity,
        source: SourceId,
        frames: RxFrames,
    ) -> Result<QuicHandle, QuicError> {
        config.check(frames.stride())?;
        let name = config.name.clone();
        let tls = |source| QuicError::Tls {
            name: name.clone(),
            source,
        };
        let io = |step, source| QuicError::Io {
            name: name.clone(),
            step,
            source,
        };
        let crypto = server_config(identity, config.peers.clone(), config.alpn.clone())
            .and_then(|crypto| {
                QuicServerConfig::try_from(crypto)
                    .map_err(|_| rustls::Error::General("no initial cipher suite".into()))
            })
            .map_err(tls)?;
        let server = server(&config, crypto);
        let socket =
            bind(config.bind, config.socket_buffer_len).map_err(|(step, error)| io(step, error))?;
        let local = socket
            .local_addr()
            .map_err(|error| io("read the bound address", error))?;
        let counters = Arc::<QuicCounters>::default();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::sync_channel(1);
        let door = Door {
            config,
            source,
            counters: Arc::clone(&counters),
        };
        let thread = std::thread::Builder::new()
            .name(format!("rx-{name}"))
            .spawn(move || serve(door, server, socket, frames, stopped, &tell))
            .map_err(|error| io("start the thread", error))?;
        match told.recv() {
            Ok(Ok(())) => Ok(QuicHandle {
                local,
                counters,
                stop: Some(stop),
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(io("start the endpoint", error)),
            Err(_) => Err(io(
                "start the endpoint",
                std::io::Error::other("the thread ended"),
            )),
        }
    }
}

fn server(config: &QuicSourceConfig, crypto: QuicServerConfig) -> ServerConfig {
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    // Nothing is sent back but acknowledgements.
    let transport = transport(config.datagram_share_len(), 0, SMALL_WINDOW_LEN);
    let incoming_max = config.handshakes_max.max(INCOMING_MIN);
    server
        .transport_config(transport)
        .max_incoming(incoming_max)
        .incoming_buffer_size(16 << 10)
        .incoming_buffer_size_total((incoming_max as u64) << 14);
    server
}

/// A running QUIC source. Dropping it stops it.
#[derive(Debug)]
pub struct QuicHandle {
    local: SocketAddr,
    counters: Arc<QuicCounters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<RxFrames>>,
}

impl QuicHandle {
    /// Where the socket is bound; the port the kernel chose when port 0 was asked for.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// What was taken and refused.
    #[must_use]
    pub fn counters(&self) -> &Arc<QuicCounters> {
        &self.counters
    }

    /// True when the thread has ended without being told to, as after a panic.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Tells the peers, closes the socket and gives the frames back; waits at most about half a second. `None` when
    /// the thread had panicked.
    #[must_use]
    pub fn stop(mut self) -> Option<RxFrames> {
        self.end()
    }

    fn end(&mut self) -> Option<RxFrames> {
        if let Some(stop) = self.stop.take() {
            // The thread may be gone already.
            let _ = stop.send(());
        }
        self.thread.take()?.join().ok()
    }
}

impl Drop for QuicHandle {
    fn drop(&mut self) {
        self.end();
    }
}

/// How long a stopping end waits for its peers to be told.
pub(crate) const FAREWELL: Duration = Duration::from_millis(500);

/// What the thread is given.
struct Door {
    config: QuicSourceConfig,
    source: SourceId,
    counters: Arc<QuicCounters>,
}

/// Everything of the thread. Tasks share it without locks: they all run on this thread.
struct Room {
    door: Door,
    frames: RefCell<RxFrames>,
    proven: Handshakes,
    unproven: Handshakes,
    /// Oldest first.
    connections: RefCell<BTreeMap<PeerId, VecDeque<Connection>>>,
    connection_count: Cell<usize>,
}

/// Handshakes under way.
#[derive(Default)]
struct Handshakes {
    count: Cell<usize>,
    networks: RefCell<BTreeMap<IpAddr, usize>>,
}

impl Handshakes {
    fn count_of(&self, network: IpAddr) -> usize {
        self.networks.borrow().get(&network).copied().unwrap_or(0)
    }

    fn enter(&self, network: IpAddr) {
        self.count.set(self.count.get() + 1);
        *self.networks.borrow_mut().entry(network).or_default() += 1;
    }

    fn leave(&self, network: IpAddr) {
        self.count.set(self.count.get() - 1);
        let mut networks = self.networks.borrow_mut();
        if let Some(count) = networks.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                networks.remove(&network);
            }
        }
    }
}

fn serve(
    door: Door,
    server: ServerConfig,
    socket: UdpSocket,
    frames: RxFrames,
    stopped: oneshot::Receiver<()>,
    tell: &mpsc::SyncSender<std::io::Result<()>>,
) -> RxFrames {
    if let Some(at_thread_start) = &door.config.at_thread_start {
        at_thread_start();
    }
    let room = Rc::new(Room {
        door,
        frames: RefCell::new(frames),
        proven: Handshakes::default(),
        unproven: Handshakes::default(),
        connections: RefCell::default(),
        connection_count: Cell::new(0),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Err(error) => drop(tell.send(Err(error))),
        Ok(runtime) => {
            let tasks = LocalSet::new();
            tasks.block_on(&runtime, async {
                let endpoint = endpoint(server, socket, &room.door.counters);
                match endpoint {
                    Err(error) => drop(tell.send(Err(error))),
                    Ok(endpoint) => {
                        drop(tell.send(Ok(())));
                        Rc::clone(&room).open(endpoint, stopped).await;
                    }
                }
            });
        }
    }
    // The tasks are gone with their set, and their shares of the room with them.
    let room = Rc::into_inner(room).expect("no task outlives its set");
    room.frames.into_inner()
}

/// quinn's endpoint behind a socket that counts strays; belongs to the runtime it is made in.
fn endpoint(
    server: ServerConfig,
    socket: UdpSocket,
    counters: &Arc<QuicCounters>,
) -> std::io::Result<Endpoint> {
    let own = OwnIds::default();
    let runtime = Arc::new(TokioRuntime);
    let socket = runtime.wrap_udp_socket(socket)?;
    let config = endpoint_config(&own);
    let socket = StraySocket::new(socket, own, Arc::clone(counters));
    Endpoint::new_with_abstract_socket(config, Some(server), Arc::new(socket), runtime)
}

impl Room {
    /// Takes connections until told to stop.
    async fn open(self: Rc<Self>, endpoint: Endpoint, stopped: oneshot::Receiver<()>) {
        let mut stopped = pin!(stopped);
        loop {
            tokio::select! {
                // Also when the handle is gone without a word.
                _ = &mut stopped => break,
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => self.knock(incoming),
                    None => break,
                },
            }
        }
        let (code, reason) = close::SHUTDOWN;
        endpoint.close(code, reason);
        let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
    }

    /// Decides whether a handshake may begin.
    fn knock(self: &Rc<Self>, incoming: Incoming) {
        let config = &self.door.config;
        let counters = &self.door.counters;
        let network = network(incoming.remote_address().ip());
        let is_proven = incoming.remote_address_validated();
        if is_proven {
            if self.proven.count.get() >= config.handshakes_max {
                counters.refuse(QuicRefusal::HandshakeLimit);
                return incoming.refuse();
            }
            if self.proven.count_of(network) >= config.handshakes_per_network_max {
                counters.refuse(QuicRefusal::NetworkLimit);
                return incoming.refuse();
            }
        } else if self.unproven.count.get() >= UNPROVEN_MAX
            || self.unproven.count_of(network) >= UNPROVEN_PER_NETWORK_MAX
        {
            // Never refused: the packet may be somebody else's, in the name of a peer who is about to connect.
            counters.retry_sent.add(1);
            // An unproven address has answered no Retry, and may be asked.
            let _ = incoming.retry();
            return;
        }
        match incoming.accept() {
            Ok(connecting) => {
                let place = Place::take(self, network, is_proven);
                tokio::task::spawn_local(Rc::clone(self).admit(connecting, place));
            }
            // What can be seen from the first packet is: it offers none of our protocols, or is nonsense.
            Err(error) => counters.refuse(handshake_refusal(&error)),
        }
    }

    /// Sees a handshake through and reads what comes after.
    async fn admit(self: Rc<Self>, connecting: Connecting, place: Place) {
        let counters = &self.door.counters;
        let connection = match timeout(self.door.config.handshake_timeout, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return counters.refuse(handshake_refusal(&error)),
            Err(_) => return counters.refuse(QuicRefusal::HandshakeTimeout),
        };
        drop(place);
        let Some(peer) = identity_of(&connection) else {
            counters.refuse(QuicRefusal::BadCertificate);
            let (code, reason) = close::INVALID_IDENTITY;
            return connection.close(code, reason);
        };
        if !self.seat(peer, &connection) {
            counters.refuse(QuicRefusal::ConnectionLimit);
            let (code, reason) = close::PRUNED;
            return connection.close(code, reason);
        }
        counters.connection_accepted.add(1);
        let end = self.read(&connection).await;
        self.unseat(peer, &connection);
        counters.connection_closed.add(1);
        if let ConnectionError::TransportError(error) = end {
            counters.refuse(if error.code == TransportErrorCode::STREAM_LIMIT_ERROR {
                QuicRefusal::Stream
            } else {
                QuicRefusal::Violation
            });
        }
    }

    /// Gives `connection` a place, if need be that of the peer's oldest. False when all are taken by others.
    fn seat(&self, peer: PeerId, connection: &Connection) -> bool {
        let config = &self.door.config;
        let mut connections = self.connections.borrow_mut();
        let own_count = connections.get(&peer).map_or(0, VecDeque::len);
        let replaces = own_count >= config.connections_per_peer_max;
        if !replaces && self.connection_count.get() >= config.connections() {
            return false;
        }
        let own = connections.entry(peer).or_default();
        if replaces && let Some(oldest) = own.pop_front() {
            let (code, reason) = close::REPLACED;
            oldest.close(code, reason);
            self.door.counters.refuse(QuicRefusal::PeerReplaced);
        } else {
            self.connection_count.set(self.connection_count.get() + 1);
        }
        own.push_back(connection.clone());
        true
    }

    /// Undoes [`Room::seat`], unless another connection has taken the place meanwhile.
    fn unseat(&self, peer: PeerId, connection: &Connection) {
        let mut connections = self.connections.borrow_mut();
        let Some(own) = connections.get_mut(&peer) else {
            return;
        };
        let before = own.len();
        own.retain(|other| other.stable_id() != connection.stable_id());
        let freed = before - own.len();
        if own.is_empty() {
            connections.remove(&peer);
        }
        self.connection_count
            .set(self.connection_count.get() - freed);
    }

    /// Reads datagrams until the connection ends.
    async fn read(&self, connection: &Connection) -> ConnectionError {
        let mut read_count = 0u64;
        let mut stale_count = 0;
        let mut settle = |read_count: u64| {
            // Nothing waits in the connection, so whatever arrived and was not read was dropped by it.
            let arrived = connection.stats().frame_rx.datagram;
            let stale = arrived.saturating_sub(read_count);
            let newly = stale.saturating_sub(stale_count);
            self.door.counters.refuse_many(QuicRefusal::Stale, newly);
            stale_count += newly;
        };
        loop {
            let mut next = pin!(connection.read_datagram());
            let at_once = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
            let datagram = match at_once {
                Poll::Ready(datagram) => datagram,
                Poll::Pending => {
                    settle(read_count);
                    next.await
                }
            };
            match datagram {
                Ok(bytes) => self.take(&bytes),
                Err(error) => {
                    settle(read_count);
                    return error;
                }
            }
            read_count += 1;
            if read_count.is_multiple_of(RX_BURST as u64) {
                // A peer that floods must not keep the others, or the socket, waiting.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Copies one datagram into a frame.
    fn take(&self, bytes: &[u8]) {
        let counters = &self.door.counters;
        if bytes.is_empty() {
            return counters.refuse(QuicRefusal::Empty);
        }
        let stamp = wall_clock();
        let ordinal = counters.datagram_received.get();
        counters.datagram_received.add(1);
        if bytes.len() > SHRED_LEN_MAX {
            return counters.reject(SourceReject::Oversize);
        }
        let mut frames = self.frames.borrow_mut();
        let Some(mut frame) = frames.reserve() else {
            return counters.reject(SourceReject::FramesFull);
        };
        // A frame holds a shred: checked at start.
        frame.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        counters.byte_accepted.add(bytes.len() as u64);
        frame.publish(Datagram {
            stamp,
            ordinal,
            // At most 1232.
            len: bytes.len() as u16,
            source: self.door.source,
            flags: Descriptor::STAMPED_BY_HOST,
        });
    }
}

/// A handshake's place among those allowed at once; given back when dropped.
struct Place {
    room: Rc<Room>,
    network: IpAddr,
    is_proven: bool,
}

impl Place {
    fn take(room: &Rc<Room>, network: IpAddr, is_proven: bool) -> Self {
        let place = Self {
            room: Rc::clone(room),
            network,
            is_proven,
        };
        place.handshakes().enter(network);
        place
    }

    fn handshakes(&self) -> &Handshakes {
        match self.is_proven {
            true => &self.room.proven,
            false => &self.room.unproven,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshakes().leave(self.network);
    }
}

/// What one party is given of the address space: an IPv4 address, an IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(prefix.into())
        }
    }
}

fn identity_of(connection: &Connection) -> Option<PeerId> {
    let shown = connection.peer_identity()?;
    let certificates = shown.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    peer_id(certificates.first()?).ok()
}

/// The alert that ended a handshake says why (RFC 8446 section 6; QUIC carries it as 0x100 + alert).
fn handshake_refusal(error: &ConnectionError) -> QuicRefusal {
    let ConnectionError::TransportError(error) = error else {
        return QuicRefusal::HandshakeFailed;
    };
    let is = |alert| error.code == TransportErrorCode::crypto(alert);
    if is(49) {
        QuicRefusal::NotPinned // access_denied
    } else if is(42) || is(116) {
        QuicRefusal::BadCertificate // bad_certificate, certificate_required
    } else if is(51) {
        QuicRefusal::BadSignature // decrypt_error
    } else if is(120) {
        QuicRefusal::WrongAlpn // no_application_protocol
    } else {
        QuicRefusal::HandshakeFailed
    }
}

fn wall_clock() -> Nanos {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_prefix_of_64_bits() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("203.0.113.7"), "203.0.113.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn each_pinned_peer_has_its_share_of_connections_and_of_memory() {
        let of = |peer_count: u16| {
            let mut config = QuicSourceConfig::new("q", "127.0.0.1:0".parse().unwrap());
            let peers = (0..peer_count).map(|number| {
                let mut peer = PeerId([0; 32]);
                peer.0[..2].copy_from_slice(&number.to_le_bytes());
                peer
            });
            config.peers = peers.collect();
            config
        };
        assert_eq!(of(1).connections(), 2);
        assert_eq!(of(1).datagram_share_len(), 4 << 20);
        assert_eq!(of(256).connections(), 512);
        assert_eq!(of(256).datagram_share_len(), 512 << 10);
        assert_eq!(of(60_000).datagram_share_len(), 64 << 10);
        let anybody = QuicSourceConfig {
            peers: Peers::Any,
            ..of(0)
        };
        assert_eq!(anybody.connections(), 64);
        let chosen = QuicSourceConfig {
            connections_max: Some(3),
            ..of(256)
        };
        assert_eq!(chosen.connections(), 3);
    }
}
