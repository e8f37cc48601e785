//! Bundles to a block engine over gRPC.
//!
//! The lane owns one thread with a single-threaded runtime. The submit thread hands it encoded bundles
//! through a bounded queue and takes reports out of a ring that cannot overflow: a bundle counts as in
//! flight until its last report has been taken out, and the ring has room for everything that many bundles
//! can have said about them.
//!
//! The connection is dialled when the lane starts and stays open: HTTP/2 pings and the result stream run
//! over it, and whenever it breaks the stream's next attempt dials again.

mod driver;
mod flights;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bundle::BundleCell;
use jito_searcher_client::encode::TRANSACTION_COUNT_MAX;
use jito_searcher_client::{ClientError, ConnectOptions, EncodedBundle, SearcherClient};
use rtrb::{Consumer, RingBuffer};
use strategy::LaneClass;
use tokio::sync::mpsc;

use crate::Clock;
use crate::lane::{Lane, LaneReject};
use crate::report::{LaneId, Report};
use driver::Driver;
use flights::REPORTS_PER_FLIGHT_MAX;

/// What the lane's thread does between events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Idle {
    /// Sleeps in the kernel; a bundle pays for the wake-up.
    #[default]
    Park,
    /// Keeps asking; takes a core for itself.
    Spin,
}

/// How the lane connects and what it keeps track of.
#[derive(Debug, Clone)]
pub struct BlockEngineConfig {
    /// `http://host:port`.
    pub endpoint: String,
    /// Authentication, time limits, plain text to other machines. The clock is set by the lane.
    pub connect: ConnectOptions,
    /// Ask for results. Engines that only take bundles have none; then `Acknowledged` is all that comes.
    pub results_wanted: bool,
    /// Longest wait for a result of an acknowledged bundle. Longer than a blockhash lives is of no use.
    pub result_timeout: Duration,
    /// Bundles in flight, at most.
    pub in_flight_max: usize,
    /// Between events.
    pub idle: Idle,
}

impl BlockEngineConfig {
    /// Defaults for `endpoint`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            connect: ConnectOptions::default(),
            results_wanted: true,
            result_timeout: Duration::from_secs(30),
            in_flight_max: 256,
            idle: Idle::default(),
        }
    }
}

/// What is known of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneStatus {
    /// The engine has taken our subscription to results and the stream stands.
    pub subscribed: bool,
    /// Times the stream broke or could not be opened.
    pub interruption_count: u64,
    /// Results about bundles that are not in flight here.
    pub result_unmatched_count: u64,
}

/// [`Lane`] over one block engine. Dropping it ends its thread; bundles whose call is open are abandoned.
#[derive(Debug)]
pub struct BlockEngineLane {
    parcels: Option<mpsc::Sender<Parcel>>,
    events: Consumer<LaneEvent>,
    in_flight: Vec<[u8; 64]>,
    in_flight_max: usize,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the lane's thread writes and others read.
#[derive(Debug, Default)]
struct Shared {
    subscribed: AtomicBool,
    interruptions: AtomicU64,
    unmatched: AtomicU64,
}

/// A bundle on its way from the submit thread to the lane's.
#[derive(Debug)]
struct Parcel {
    intent_id: u64,
    signatures: [[u8; 64]; TRANSACTION_COUNT_MAX],
    count: usize,
    request: EncodedBundle,
}

/// What comes back.
#[derive(Debug)]
enum LaneEvent {
    Report(Report),
    /// Nothing more will be said about the bundle of this first signature.
    Closed([u8; 64]),
}

impl BlockEngineLane {
    /// Starts the lane's thread, `lane-<id>`, which runs `thread_setup` (pinning, priority) and dials.
    ///
    /// A dead engine is not an error: bundles are then reported `Unreachable` until it answers.
    ///
    /// # Errors
    /// An endpoint that is not taken, or a thread that cannot be started.
    pub fn start(
        id: LaneId,
        config: BlockEngineConfig,
        clock: Clock,
        thread_setup: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let BlockEngineConfig {
            endpoint,
            mut connect,
            in_flight_max,
            ..
        } = config.clone();
        let stamp = clock.clone();
        connect.clock = Some(Arc::new(move || stamp().0));
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build()?;
        let client = {
            let _inside = runtime.enter();
            SearcherClient::connect_lazy(&endpoint, connect).map_err(invalid)?
        };
        let (parcels, inbox) = mpsc::channel(in_flight_max.max(1));
        let (outbox, events) = RingBuffer::new(in_flight_max.max(1) * (REPORTS_PER_FLIGHT_MAX + 1));
        let shared = Arc::new(Shared::default());
        let driver = Driver::new(id, config, client, clock, inbox, outbox, shared.clone());
        let run = move || {
            thread_setup();
            runtime.block_on(driver.run());
            // A look-up of a name that nobody answers keeps a thread of the runtime; the end does not wait for it.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new()
            .name(format!("lane-{}", id.0))
            .spawn(run)?;
        let in_flight = Vec::with_capacity(in_flight_max);
        Ok(Self {
            parcels: Some(parcels),
            events,
            in_flight,
            in_flight_max,
            shared,
            thread: Some(thread),
        })
    }

    /// What is known of the connection.
    pub fn status(&self) -> LaneStatus {
        let Shared {
            subscribed,
            interruptions,
            unmatched,
        } = &*self.shared;
        LaneStatus {
            subscribed: subscribed.load(Ordering::Relaxed),
            interruption_count: interruptions.load(Ordering::Relaxed),
            result_unmatched_count: unmatched.load(Ordering::Relaxed),
        }
    }

    /// Bundles whose last word has not been taken out by [`Lane::poll`].
    pub fn in_flight_count(&self) -> usize {
        self.in_flight.len()
    }
}

impl Lane for BlockEngineLane {
    fn takes(&self, class: LaneClass) -> bool {
        class == LaneClass::PrivateBundle
    }

    fn send(&mut self, bundle: &BundleCell) -> Result<(), LaneReject> {
        if self.in_flight.contains(&bundle.signature) {
            return Err(LaneReject::InFlight);
        }
        if self.in_flight.len() >= self.in_flight_max {
            return Err(LaneReject::Full);
        }
        let parcel = Parcel::pack(bundle)?;
        let parcels = self.parcels.as_ref().ok_or(LaneReject::Stopped)?;
        parcels.try_send(parcel).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LaneReject::Full,
            mpsc::error::TrySendError::Closed(_) => LaneReject::Stopped,
        })?;
        self.in_flight.push(bundle.signature);
        Ok(())
    }

    fn poll(&mut self, out: &mut dyn FnMut(Report)) {
        while let Ok(event) = self.events.pop() {
            match event {
                LaneEvent::Report(report) => out(report),
                LaneEvent::Closed(signature) => self.in_flight.retain(|known| *known != signature),
            }
        }
    }
}

impl Drop for BlockEngineLane {
    fn drop(&mut self) {
        self.parcels.take();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by its own hook; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Parcel {
    fn pack(bundle: &BundleCell) -> Result<Self, LaneReject> {
        let mut transactions = [&[][..]; TRANSACTION_COUNT_MAX];
        let mut signatures = [[0; 64]; TRANSACTION_COUNT_MAX];
        let count = bundle.count();
        for index in 0..count {
            let bytes = bundle.transaction(index).zip(transactions.get_mut(index));
            let signature = bundle.signature(index).zip(signatures.get_mut(index));
            let (Some((bytes, to)), Some((signature, signature_to))) = (bytes, signature) else {
                return Err(LaneReject::BadCell);
            };
            (*to, *signature_to) = (bytes, *signature);
        }
        let transactions = transactions.get(..count).ok_or(LaneReject::BadCell)?;
        let request =
            EncodedBundle::new(transactions, unix_nanos()).map_err(|_| LaneReject::BadCell)?;
        Ok(Self {
            intent_id: bundle.intent_id,
            signatures,
            count,
            request,
        })
    }
}

fn unix_nanos() -> Option<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

fn invalid(error: ClientError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
