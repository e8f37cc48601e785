//! The market on the clock: a thread that makes each batch when it is due and sends its shreds.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::accounts::AccountWrite;
use crate::curve::FeeTier;
use crate::exchange::Exchange;
use crate::generator::{Generator, GeneratorConfig, Origin, StepReport};
use crate::keys::Key;
use crate::leader::Schedule;
use crate::prng::Prng;
use crate::shredder::Datagrams;
use crate::traders::TraderConfig;
use crate::wire::{Wire, WireConfig};

/// Datagrams of one FEC set.
const SET_DATAGRAMS: usize = 64;
/// Slots named beyond the last expected one, as pacing may be a little fast.
const LEADERS_MARGIN_SLOTS: u64 = 64;
/// Behind by more than this, the thread gives up catching up and starts a new schedule.
const LAG_MAX: Duration = Duration::from_secs(1);
/// Accounts that wait to be told; what comes when so many do is told to nobody.
const ACCOUNTS_WAITING_MAX: usize = 16_384;

/// What the market does.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    /// Decides everything but the wall clock.
    pub seed: u64,
    /// Ends after this many seconds; 0 runs until stopped.
    pub seconds: u64,
    /// Length of a slot in milliseconds. Mainnet went from 400 over 350 to 300 by September 2026 (SIMD-0525).
    pub slot_ms: u64,
    /// One source per address; each loses datagrams of its own.
    pub destinations: Vec<SocketAddr>,
    /// Accidents on the way to each destination.
    pub wire: WireConfig,
    /// Pause between two FEC sets of one batch, in microseconds. The datagrams of one set leave
    /// back to back; without a pause a long batch overruns a small receive buffer.
    pub set_gap_us: u64,
    /// Coins launched per second.
    pub launches_per_second: u64,
    /// Background transactions per slot.
    pub txns_per_slot: u64,
    /// Shred version on every shred.
    pub shred_version: u16,
    /// First slot.
    pub first_slot: u64,
    /// Slots without a block, per 10,000.
    pub skip_bps: u16,
    /// Throw-away leaders.
    pub leader_count: usize,
    /// Leaders that take bundles, per 10,000; one always does.
    pub jito_bps: u16,
    /// Fees of curve trades.
    pub tier: FeeTier,
    /// Traders.
    pub traders: TraderConfig,
    /// Milliseconds after the shreds of a batch at which its accounts are told: about a slot, as a node has to execute
    /// the block first.
    pub accounts_lag_ms: u64,
}

impl Default for DemoConfig {
    fn default() -> Self {
        let GeneratorConfig {
            seed,
            shred_version,
            first_slot,
            skip_bps,
            leader_count,
            jito_bps,
            tier,
            traders,
            ..
        } = GeneratorConfig::default();
        Self {
            seed,
            seconds: 0,
            slot_ms: 300,
            destinations: Vec::new(),
            wire: WireConfig {
                loss_bps: 100,
                duplicate_bps: 100,
                reorder_bps: 200,
                ..WireConfig::default()
            },
            set_gap_us: 200,
            launches_per_second: 3,
            txns_per_slot: 200,
            shred_version,
            first_slot,
            skip_bps,
            leader_count,
            jito_bps,
            tier,
            traders,
            accounts_lag_ms: 300,
        }
    }
}

impl DemoConfig {
    fn generator(&self) -> GeneratorConfig {
        GeneratorConfig {
            seed: self.seed,
            first_slot: self.first_slot,
            shred_version: self.shred_version,
            leader_count: self.leader_count,
            jito_bps: self.jito_bps,
            skip_bps: self.skip_bps,
            txns_per_slot: self.txns_per_slot,
            launches_per_10k_slots: self.launches_per_second * self.slot_ms * 10,
            tier: self.tier,
            traders: self.traders,
            ..GeneratorConfig::default()
        }
    }

    fn slot_count(&self) -> u64 {
        (self.seconds * 1_000).div_ceil(self.slot_ms.max(1)) + LEADERS_MARGIN_SLOTS
    }
}

/// Sees every datagram that leaves: index of the destination, bytes. Runs on the market thread.
pub type Tee = Box<dyn FnMut(usize, &[u8]) + Send>;

/// What the market did so far. Counts only go up; a snapshot is not taken at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DemoStats {
    /// Slots begun, skipped ones included.
    pub slots: u64,
    /// Slots without a block.
    pub slots_skipped: u64,
    /// Entry batches made.
    pub batches: u64,
    /// Shreds made, before the ways to the receivers.
    pub shreds: u64,
    /// Datagrams sent, over all destinations.
    pub datagrams_sent: u64,
    /// Datagrams the operating system refused to send.
    pub send_errors: u64,
    /// Datagrams lost on purpose, over all destinations.
    pub datagrams_lost: u64,
    /// Transactions in blocks.
    pub transactions: u64,
    /// Coins launched.
    pub launches: u64,
    /// Trades that filled, of traders and bundles.
    pub fills: u64,
    /// Traders' transactions that failed.
    pub trades_failed: u64,
    /// Bundles landed.
    pub bundles_landed: u64,
    /// Bundles refused.
    pub bundles_refused: u64,
    /// Times the schedule was given up because the thread lagged.
    pub lags: u64,
    /// Accounts told, or about to be.
    pub accounts_told: u64,
    /// Accounts told to nobody, since too many waited.
    pub accounts_dropped: u64,
}

macro_rules! shared_stats {
    ($($field:ident),* $(,)?) => {
        #[derive(Default)]
        struct SharedStats { $($field: AtomicU64,)* }

        impl SharedStats {
            fn snapshot(&self) -> DemoStats {
                DemoStats { $($field: self.$field.load(Ordering::Relaxed),)* }
            }
        }
    };
}

shared_stats!(
    slots,
    slots_skipped,
    batches,
    shreds,
    datagrams_sent,
    send_errors,
    datagrams_lost,
    transactions,
    launches,
    fills,
    trades_failed,
    bundles_landed,
    bundles_refused,
    lags,
    accounts_told,
    accounts_dropped,
);

/// A market that is built and does not run yet: its exchange answers and its leaders are known.
pub struct PreparedMarket {
    config: DemoConfig,
    generator: Generator,
    ways: Vec<Way>,
    accounts: Option<SyncSender<Due>>,
}

/// An account and when it is told.
type Due = (Instant, AccountWrite);

/// Where the market's accounts are told, each when a node would tell it.
#[derive(Debug)]
pub struct ToldAccounts {
    waiting: Receiver<Due>,
    next: Option<Due>,
}

impl ToldAccounts {
    /// The next account that is due; `None` while there is none. Never waits.
    pub fn next_due(&mut self) -> Option<AccountWrite> {
        if self.next.is_none() {
            self.next = self.waiting.try_recv().ok();
        }
        let (_, account) = self.next.take_if(|(at, _)| *at <= Instant::now())?;
        Some(account)
    }
}

struct Way {
    socket: UdpSocket,
    wire: Wire,
}

/// A running market.
pub struct DemoMarket {
    exchange: Exchange,
    leaders: BTreeMap<u64, Key>,
    leaders_json: String,
    stop: Arc<AtomicBool>,
    stats: Arc<SharedStats>,
    thread: Option<JoinHandle<()>>,
}

impl PreparedMarket {
    /// Builds the market and connects one socket per destination.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub fn new(config: DemoConfig) -> io::Result<Self> {
        let generator = Generator::new(config.generator());
        let root = Prng::new(config.seed);
        let way = |(at, destination): (usize, &SocketAddr)| {
            let any = match destination {
                SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(destination)?;
            Ok(Way {
                socket,
                wire: Wire::new(config.wire, root.fork(&format!("wire {at}"))),
            })
        };
        let ways = config
            .destinations
            .iter()
            .enumerate()
            .map(way)
            .collect::<io::Result<Vec<Way>>>()?;
        Ok(Self {
            config,
            generator,
            ways,
            accounts: None,
        })
    }

    /// The door for bundles and questions.
    pub fn exchange(&self) -> Exchange {
        self.generator.exchange()
    }

    /// From here on accounts are told, [`DemoConfig::accounts_lag_ms`] after their shreds were sent. One listener: of two
    /// calls the second counts.
    pub fn tell_accounts(&mut self) -> ToldAccounts {
        let (sender, waiting) = sync_channel(ACCOUNTS_WAITING_MAX);
        self.accounts = Some(sender);
        ToldAccounts {
            waiting,
            next: None,
        }
    }

    /// The first slot.
    pub fn first_slot(&self) -> u64 {
        self.config.first_slot
    }

    /// Who leads which slot.
    pub fn schedule(&self) -> &Schedule {
        self.generator.schedule()
    }

    /// Slot to leader over the configured duration, and some slots more.
    pub fn leaders(&self) -> BTreeMap<u64, Key> {
        self.schedule().identities(self.slots())
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start(self, tee: Option<Tee>) -> io::Result<DemoMarket> {
        let (stop, stats) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(SharedStats::default()),
        );
        let (exchange, leaders) = (self.exchange(), self.leaders());
        let leaders_json = self.schedule().identities_json(self.slots());
        let (thread_stop, thread_stats) = (Arc::clone(&stop), Arc::clone(&stats));
        let run = move || {
            Runner {
                market: self,
                tee,
                stop: thread_stop,
                stats: thread_stats,
            }
            .run()
        };
        let thread = Some(
            std::thread::Builder::new()
                .name("demo-market".into())
                .spawn(run)?,
        );
        Ok(DemoMarket {
            exchange,
            leaders,
            leaders_json,
            stop,
            stats,
            thread,
        })
    }

    fn slots(&self) -> std::ops::Range<u64> {
        self.config.first_slot..self.config.first_slot + self.config.slot_count()
    }
}

impl DemoMarket {
    /// Builds a market and starts it.
    ///
    /// # Errors
    /// When a socket or the thread cannot be made.
    pub fn spawn(config: DemoConfig) -> io::Result<Self> {
        PreparedMarket::new(config)?.start(None)
    }

    /// The door for bundles and questions.
    pub fn exchange(&self) -> Exchange {
        self.exchange.clone()
    }

    /// Slot to leader over the configured duration, and some slots more.
    pub fn leaders(&self) -> &BTreeMap<u64, Key> {
        &self.leaders
    }

    /// The same as JSON, `{"<slot>":"<base58>"}`.
    pub fn leaders_json(&self) -> &str {
        &self.leaders_json
    }

    /// What it did so far.
    pub fn stats(&self) -> DemoStats {
        self.stats.snapshot()
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Asks the thread to end after the batch it is at.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the end (of the configured seconds, or after [`DemoMarket::stop`]).
    ///
    /// # Panics
    /// When the market thread panicked.
    pub fn join(mut self) -> DemoStats {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the market thread does not panic");
        }
        self.stats()
    }
}

impl Drop for DemoMarket {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already; a second one here would abort.
            let _ = thread.join();
        }
    }
}

/// The thread's state.
struct Runner {
    market: PreparedMarket,
    tee: Option<Tee>,
    stop: Arc<AtomicBool>,
    stats: Arc<SharedStats>,
}

impl Runner {
    fn run(mut self) {
        let config = self.market.config.clone();
        let batches_per_slot = self.market.generator.config().batches_per_slot;
        let batch_time = Duration::from_millis(config.slot_ms) / batches_per_slot as u32;
        let begun = Instant::now();
        let end = (config.seconds > 0).then(|| begun + Duration::from_secs(config.seconds));
        let (mut due, mut datagrams) = (begun, Datagrams::new());
        let lag = Duration::from_millis(config.accounts_lag_ms);
        let first = self.market.generator.first_accounts().to_vec();
        self.tell(first, begun);
        while !self.stop.load(Ordering::Relaxed) && end.is_none_or(|end| due < end) {
            due = self.wait(due);
            datagrams.clear();
            let mut report = self.market.generator.step(&mut datagrams);
            self.send(&datagrams);
            let accounts = std::mem::take(&mut report.accounts);
            self.tell(accounts, Instant::now() + lag);
            self.count(&report, datagrams.len() as u64);
            due += if report.skipped {
                batch_time * batches_per_slot as u32
            } else {
                batch_time
            };
        }
        self.flush();
        self.market.exchange().close();
    }

    /// Sleeps until `due` and returns the instant the schedule goes on from.
    fn wait(&self, due: Instant) -> Instant {
        let now = Instant::now();
        if now.saturating_duration_since(due) > LAG_MAX {
            add(&self.stats.lags, 1);
            return now;
        }
        std::thread::sleep(due.saturating_duration_since(now));
        due
    }

    /// Sends the shreds of one batch to every destination, set by set.
    fn send(&mut self, datagrams: &Datagrams) {
        let gap = Duration::from_micros(self.market.config.set_gap_us);
        let Self {
            market, tee, stats, ..
        } = self;
        for (at, datagram) in datagrams.iter().enumerate() {
            if at > 0 && at % SET_DATAGRAMS == 0 && !gap.is_zero() {
                std::thread::sleep(gap);
            }
            for (destination, Way { socket, wire }) in market.ways.iter_mut().enumerate() {
                let lost = wire.counters().lost;
                wire.pass(datagram, |bytes| {
                    deliver(socket, stats, tee, destination, bytes)
                });
                add(&stats.datagrams_lost, wire.counters().lost - lost);
            }
        }
    }

    /// Lets accounts be told at `at`.
    fn tell(&self, accounts: Vec<AccountWrite>, at: Instant) {
        let Some(listener) = &self.market.accounts else {
            return;
        };
        for account in accounts {
            let counter = match listener.try_send((at, account)) {
                Ok(()) => &self.stats.accounts_told,
                Err(_) => &self.stats.accounts_dropped,
            };
            add(counter, 1);
        }
    }

    fn flush(&mut self) {
        let Self {
            market, tee, stats, ..
        } = self;
        for (destination, Way { socket, wire }) in market.ways.iter_mut().enumerate() {
            wire.flush(|bytes| deliver(socket, stats, tee, destination, bytes));
        }
    }

    fn count(&self, report: &StepReport, shreds: u64) {
        let stats = &self.stats;
        let traders = report
            .transactions
            .iter()
            .filter(|txn| txn.origin == Origin::Trader);
        let (mut launches, mut failed) = (0, 0);
        for txn in traders {
            launches += u64::from(txn.launch && txn.succeeded);
            failed += u64::from(!txn.succeeded);
        }
        let slot_over = report.skipped || report.blockhash.is_some();
        add(&stats.slots, u64::from(slot_over));
        add(&stats.slots_skipped, u64::from(report.skipped));
        add(&stats.batches, u64::from(!report.skipped));
        add(&stats.shreds, shreds);
        add(&stats.transactions, report.transactions.len() as u64);
        add(&stats.launches, launches);
        add(&stats.trades_failed, failed);
        add(&stats.fills, report.fills.len() as u64);
        add(&stats.bundles_landed, report.bundles_landed);
        add(&stats.bundles_refused, report.bundles_refused);
    }
}

fn deliver(
    socket: &UdpSocket,
    stats: &SharedStats,
    tee: &mut Option<Tee>,
    destination: usize,
    bytes: &[u8],
) {
    // A receiver that is not there yet answers with an error on a later send: no reason to end.
    let counter = if socket.send(bytes).is_ok() {
        &stats.datagrams_sent
    } else {
        &stats.send_errors
    };
    add(counter, 1);
    if let Some(tee) = tee {
        tee(destination, bytes);
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;

    use super::*;

    fn config(destinations: Vec<SocketAddr>) -> DemoConfig {
        DemoConfig {
            seconds: 1,
            slot_ms: 80,
            destinations,
            txns_per_slot: 40,
            ..DemoConfig::default()
        }
    }

    /// Everything until half a second of silence.
    fn receive(socket: &UdpSocket) -> Vec<Vec<u8>> {
        let (mut received, mut buffer) = (Vec::new(), [0; 2_048]);
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        while let Ok(len) = socket.recv(&mut buffer) {
            received.push(buffer[..len].to_vec());
            socket
                .set_read_timeout(Some(Duration::from_millis(500)))
                .unwrap();
        }
        received
    }

    #[test]
    fn two_receivers_get_what_the_tee_saw() {
        let sockets: Vec<UdpSocket> = (0..2)
            .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
            .collect();
        let destinations = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap())
            .collect();
        let receivers: Vec<_> = sockets
            .into_iter()
            .map(|socket| std::thread::spawn(move || receive(&socket)))
            .collect();
        let seen = Arc::new(Mutex::new([const { Vec::new() }; 2]));
        let tee_seen = Arc::clone(&seen);
        let tee: Tee = Box::new(move |at, bytes| tee_seen.lock().unwrap()[at].push(bytes.to_vec()));
        let market = PreparedMarket::new(config(destinations))
            .unwrap()
            .start(Some(tee))
            .unwrap();
        let received: Vec<Vec<Vec<u8>>> = receivers
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        let leaders = market.leaders().len();
        let stats = market.join();
        assert!(
            leaders as u64 > stats.slots && stats.slots >= 8,
            "{stats:?}"
        );
        assert!(
            stats.launches > 0 && stats.transactions > 300 && stats.datagrams_lost > 0,
            "{stats:?}"
        );
        let seen = seen.lock().unwrap();
        assert_ne!(seen[0], seen[1], "each way has accidents of its own");
        for (seen, received) in seen.iter().zip(&received) {
            // A slow host may overrun the receive buffer; what arrives must be what was sent.
            assert!(
                received.len() * 10 >= seen.len() * 9,
                "{} of {}",
                received.len(),
                seen.len()
            );
            let mut sent = seen.iter();
            assert!(
                received.iter().all(|bytes| sent.any(|sent| sent == bytes)),
                "in order, unchanged"
            );
        }
    }

    #[test]
    fn stopping_refuses_what_waits() {
        let market = DemoMarket::spawn(DemoConfig {
            seconds: 0,
            ..config(Vec::new())
        })
        .unwrap();
        let exchange = market.exchange();
        market.stop();
        assert!(market.join().batches <= 2_000);
        let (tell, told) = std::sync::mpsc::channel();
        exchange.land(
            vec![vec![1]],
            u64::MAX,
            Box::new(move |result| tell.send(result).unwrap()),
        );
        let reject = told.recv().unwrap().unwrap_err();
        assert_eq!(reject.reason, crate::exchange::RejectReason::Stopped);
    }
}
