//! The embedded block engine: Jito's searcher service over loopback, in front of the embedded market.
//!
//! ```text
//! SendBundle -> admission (shape, signatures, tip, blockhash, repeats) --no--> gRPC status
//!                  | yes: the bundle's id is the answer
//!                  v
//!               desk: waits for a leader that takes bundles ... at most `hold_slots_max`
//!                  | every `auction_interval`
//!                  v
//!               simulate, then bid against seeded rivals --lost--> Rejected
//!                  | won: Accepted
//!                  v
//!               forwarded after a latency -> market executes it in a batch of that leader's slots
//!                  |                                  '--late or failed--> Rejected, Dropped
//!                  v
//!               Processed, later Finalized            some are lost on the way: no result ever
//! ```
//!
//! What is modelled and what is not: the checks, the statuses and the order of results follow the public
//! documentation; the rivals' bids, the latencies and the share of bundles lost are parameters, not
//! measurements of anybody's engine. A bundle's fate depends on the seed, its bytes and the market it meets;
//! the moments at which it meets it are the host's.
//!
//! One thread of its own, with a small runtime. Nothing here is meant for a hot thread.

pub mod admission;
pub mod auction;
pub mod counters;

mod auth;
mod desk;
mod results;
mod service;
mod venue;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use jito_searcher_client::proto::auth::auth_service_server::AuthServiceServer;
use jito_searcher_client::proto::searcher::searcher_service_server::SearcherServiceServer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

pub use admission::Refusal;
pub use auction::Rivals;
pub use counters::{CounterSnapshot, Counters};
pub use venue::{LandResult, Venue};

/// How the engine behaves.
#[derive(Debug, Clone)]
pub struct BlockEngineConfig {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Fixes every draw.
    pub seed: u64,
    /// Name of the one region.
    pub region: String,
    /// Requests to `SendBundle` per second and address; `None` for any number. Jito's default is 1.
    pub sends_per_second: Option<u32>,
    /// Refuse calls without a token.
    pub authentication_wanted: bool,
    /// Time between two auctions. Source of 50 ms: jito-docs, `lowlatencytxnsend.md`.
    pub auction_interval: Duration,
    /// Who else bids.
    pub rivals: Rivals,
    /// Shortest and longest way from the engine to the leader.
    pub forward_latency: (Duration, Duration),
    /// Slots ahead of a bundle-taking leader at which its auctions begin.
    pub auction_slots_ahead: u64,
    /// Slots a bundle waits for such a leader before it is given up.
    pub hold_slots_max: u64,
    /// Bundles that win and then vanish without a result, per 10,000.
    pub lost_bps: u16,
    /// Given-up bundles nobody hears of, per 10,000; of the others a `Dropped` result is sent.
    pub expiry_silent_bps: u16,
    /// Bundles refused with an internal error, per 10,000.
    pub internal_error_bps: u16,
    /// Slots after which a landed bundle counts as finalized (about 32 on mainnet).
    pub finalized_after_slots: u64,
    /// Most bundles on the desk; more are refused as over the rate.
    pub waiting_max: usize,
}

impl Default for BlockEngineConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)),
            seed: 0,
            region: "loopback".to_owned(),
            sends_per_second: None,
            authentication_wanted: false,
            auction_interval: Duration::from_millis(50),
            rivals: Rivals::default(),
            forward_latency: (Duration::from_millis(2), Duration::from_millis(12)),
            auction_slots_ahead: 1,
            hold_slots_max: 4,
            lost_bps: 100,
            expiry_silent_bps: 5_000,
            internal_error_bps: 20,
            finalized_after_slots: 32,
            waiting_max: 1_024,
        }
    }
}

/// A running engine. Dropping it stops it.
#[derive(Debug)]
pub struct BlockEngine {
    address: SocketAddr,
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl BlockEngine {
    /// Listens, and serves from a thread called `block-engine` until dropped.
    ///
    /// # Errors
    /// When the address cannot be bound or the thread not be started.
    pub fn start(venue: impl Venue, config: BlockEngineConfig) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(config.bind)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let engine = Engine {
            venue: Arc::new(venue),
            config,
            counters: counters.clone(),
        };
        let serve = move || {
            // An error here is the listener's; calls then fail as they would against a dead engine.
            let _ = runtime.block_on(engine.serve(listener, stopped));
        };
        let thread = std::thread::Builder::new()
            .name("block-engine".to_owned())
            .spawn(serve)?;
        Ok(Self {
            address,
            counters,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint in the form clients take.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has happened so far.
    pub fn counters(&self) -> CounterSnapshot {
        self.counters.snapshot()
    }
}

impl Drop for BlockEngine {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by its own hook; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

struct Engine<V> {
    venue: Arc<V>,
    config: BlockEngineConfig,
    counters: Arc<Counters>,
}

impl<V: Venue> Engine<V> {
    async fn serve(
        self,
        listener: std::net::TcpListener,
        stopped: oneshot::Receiver<()>,
    ) -> io::Result<()> {
        let Self {
            venue,
            config,
            counters,
        } = self;
        let incoming = TcpIncoming::from(TcpListener::from_std(listener)?).with_nodelay(Some(true));
        let config = Arc::new(config);
        let results = results::Results::new(counters.clone());
        let desk = desk::Desk::new(
            venue.clone(),
            config.clone(),
            counters.clone(),
            results.clone(),
        );
        let door = Arc::new(auth::Door::new(config.seed, config.authentication_wanted));
        let searcher = service::Searcher::new(
            venue,
            config,
            counters,
            results,
            desk.sender(),
            door.clone(),
        );
        let server = Server::builder()
            .add_service(
                SearcherServiceServer::new(searcher).max_decoding_message_size(REQUEST_LEN_MAX),
            )
            .add_service(
                AuthServiceServer::new(auth::Auth(door)).max_decoding_message_size(REQUEST_LEN_MAX),
            )
            .serve_with_incoming(incoming);
        // Open result streams would keep a graceful shutdown waiting for ever: everything is dropped at once.
        tokio::select! {
            served = server => served.map_err(io::Error::other),
            () = desk.run() => Ok(()),
            _ = stopped => Ok(()),
        }
    }
}

/// Five transactions of 4,096 bytes and their frames, with room to spare so that a bundle that is too long
/// gets its own refusal and not the transport's.
const REQUEST_LEN_MAX: usize = 256 * 1024;
