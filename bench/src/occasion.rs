//! What is answered in `l1`: launches, and trades of coins seen before, rarely among full blocks or one after another.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hint::black_box;

use brain_wire::{ArmedSignal, Family, Side, Signal, SignalFlags};
use bundle::BundleCell;
use demo::Datagrams;
use overmind::clock::Ticker;
use overmind::leaders::LeaderSource;
use shred_resolve::Policy;
use shred_source::RX_BURST;

use crate::ours::{self, Core, Setup};
use crate::parts;
use crate::reassembly::Reassembler;
use crate::rivals::{self, Known, PartsRival, Signature, UsualRival, Watch};
use crate::sign::Sign;
use crate::traffic::{Stream, arrival};
use crate::usual::{Derived, SdkBuilder};

const SEED: u64 = 13;
/// Four launches per slot.
const LAUNCHES_PER_10K_SLOTS: u64 = 40_000;

/// How close triggers follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Some 900 datagrams, a megabyte, apart among full blocks: caches are as traffic leaves them.
    Rare,
    /// One in every set: caches are as the trigger before left them.
    Warm,
}

impl Pace {
    /// As rows name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rare => "rare",
            Self::Warm => "warm",
        }
    }

    /// Datagrams between a signal's arming and the batch with its trade: longer than a batch takes to arrive.
    const fn lead(self) -> usize {
        match self {
            Self::Rare => 400,
            Self::Warm => 70,
        }
    }

    /// Datagrams between two signals.
    const fn spacing(self) -> usize {
        match self {
            Self::Rare => 900,
            Self::Warm => 1,
        }
    }
}

/// Datagrams, when signals are armed among them, and what everybody answers.
pub struct Occasion {
    /// `create` or `seen`.
    pub name: &'static str,
    /// How close triggers are.
    pub pace: Pace,
    /// The traffic.
    pub datagrams: Datagrams,
    /// Who signs it.
    pub leaders: LeaderSource,
    /// For rivals.
    pub watch: Watch,
    /// First answers of everybody, under both policies.
    pub triggers: BTreeSet<Signature>,
    /// Mint and the number of datagrams before its signal is armed, ascending.
    schedule: Vec<(usize, [u8; 32])>,
}

impl Occasion {
    /// Launches with the launcher's first buy: addresses are derived at first sight.
    ///
    /// # Errors
    /// A sentence when no launch is answered by all.
    pub fn create(pace: Pace, count: usize, ticker: Ticker) -> Result<Self, String> {
        let (datagrams, leaders) = traffic(pace, count);
        let occasion = Self {
            name: "create",
            pace,
            datagrams,
            leaders,
            watch: Watch::Launches,
            triggers: BTreeSet::new(),
            schedule: Vec::new(),
        };
        let [verified, unverified] = occasion.ours(ticker)?;
        let unverified: BTreeSet<Signature> = unverified.into_iter().collect();
        let common = verified.into_iter().filter(|one| unverified.contains(one));
        let common = common.collect();
        occasion.restricted_to(common)
    }

    /// Trades of coins that were bought before, met by a signal that names the coin. Launches are not bought; the
    /// first signal on a coin makes it seen, later ones are measured.
    ///
    /// # Errors
    /// A sentence when no trade is answered by all.
    pub fn seen(pace: Pace, count: usize, ticker: Ticker) -> Result<Self, String> {
        let (datagrams, leaders) = traffic(pace, count);
        let Survey { coins, trades } = survey(&datagrams);
        let mut occasion = Self {
            name: "seen",
            pace,
            schedule: schedule(pace, &trades),
            datagrams,
            leaders,
            watch: Watch::Coins(Known::default()),
            triggers: BTreeSet::new(),
        };
        let mints: HashMap<Signature, [u8; 32]> = trades
            .iter()
            .map(|trade| (trade.signature, trade.mint))
            .collect();
        let again = occasion.ours(ticker)?.map(|fired| {
            let mut seen = HashSet::new();
            let again = fired
                .into_iter()
                .filter(|one| mints.get(one).is_some_and(|mint| !seen.insert(*mint)));
            again.collect::<BTreeSet<Signature>>()
        });
        let due: BTreeSet<Signature> = &again[0] & &again[1];
        occasion.watch = Watch::Coins(Known {
            coins,
            due: due.clone(),
        });
        occasion.restricted_to(due)
    }

    /// Runs it through a core.
    pub fn run(&self, core: &mut Core, policy: Policy, mut bundle: impl FnMut(&BundleCell)) {
        let mut schedule = self.schedule.iter().zip(1..).peekable();
        let mut left = self.datagrams.iter();
        while left.len() > 0 {
            let arrived = core.arrived();
            while let Some(((_, mint), id)) = schedule.next_if(|((at, _), _)| *at as u64 <= arrived)
            {
                core.signal(&self.buy(mint, id, arrived));
            }
            let burst = left.by_ref().take(RX_BURST);
            core.handle(burst, policy, &self.leaders, &mut bundle);
        }
    }

    fn buy(&self, mint: &[u8; 32], signal_id: u64, arrived: u64) -> ArmedSignal {
        let ends = arrival(arrived + 4 * self.pace.lead() as u64, Policy::default()).at;
        let now = arrival(arrived, Policy::default()).at;
        let signal = Signal {
            producer_id: 1,
            session_epoch: 1,
            seq: signal_id,
            flags: SignalFlags(0),
            t_event_ns: now.0,
            t_send_ns: now.0,
            ttl_us: 1_000,
            source_id: 1,
            family: Family::Onchain,
            side: Side::Buy,
            as_of_slot: 0,
            mint: *mint,
            conviction_ppm: 900_000,
            confidence_ppm: 900_000,
            max_notional_lamports: u64::MAX,
            max_slippage_bps: 10_000,
            expected_edge_bps: 0,
            evidence_id: u128::from(signal_id).to_le_bytes(),
            signal_id,
        };
        ArmedSignal {
            signal,
            max_notional_lamports: signal.max_notional_lamports,
            accepted_monotonic_ns: 0,
            expires_monotonic_ns: u64::MAX,
            expires_realtime_ns: ends.0,
        }
    }

    /// Whether a core can sign its answers so: nothing is signed ahead for a launch, whose coin nobody knows before.
    #[must_use]
    pub fn has(&self, sign: Sign) -> bool {
        sign != Sign::Presigned || matches!(self.watch, Watch::Coins(_))
    }

    /// What a core is made with to answer this.
    #[must_use]
    pub fn setup(&self, policy: Policy, sign: Sign) -> Setup<'_> {
        Setup {
            policy,
            sign,
            launches: matches!(self.watch, Watch::Launches),
            only: Some(&self.triggers),
        }
    }

    /// What ours answers first in its datagram, in order: checking first, and checking afterwards.
    fn ours(&self, ticker: Ticker) -> Result<[Vec<Signature>; 2], String> {
        let mut answers = [Vec::new(), Vec::new()];
        let policies = [Policy::VerifyThenEmit, Policy::EmitThenVerify];
        for (answer, policy) in answers.iter_mut().zip(policies) {
            let setup = Setup {
                only: None,
                ..self.setup(policy, Sign::Deterministic)
            };
            let mut core = Core::of(&setup, ticker)?;
            self.run(&mut core, policy, |cell| {
                black_box(cell.count());
            });
            *answer = core.finish().triggers;
        }
        Ok(answers)
    }

    fn restricted_to(mut self, mut common: BTreeSet<Signature>) -> Result<Self, String> {
        let (datagrams, leaders) = (&self.datagrams, &self.leaders);
        for answered in [
            rivals::firsts(&mut UsualRival::new(&self.watch), datagrams, leaders),
            rivals::firsts(&mut PartsRival::new(&self.watch), datagrams, leaders),
        ] {
            common.retain(|signature| answered.contains(signature));
        }
        if common.is_empty() {
            let (name, pace) = (self.name, self.pace.name());
            return Err(format!("l1: {name}, {pace}: nothing was answered by all"));
        }
        self.triggers = common;
        Ok(self)
    }
}

fn traffic(pace: Pace, count: usize) -> (Datagrams, LeaderSource) {
    let mut stream = match pace {
        Pace::Rare => Stream::new(SEED, LAUNCHES_PER_10K_SLOTS),
        Pace::Warm => Stream::close(SEED),
    };
    let leaders = stream.leaders(2_000);
    let mut datagrams = Datagrams::new();
    stream.fill(count, &mut datagrams);
    (datagrams, leaders)
}

/// What a first look at the traffic finds.
struct Survey {
    coins: HashMap<[u8; 32], (crate::launch::Launch, Derived)>,
    trades: Vec<Trade>,
}

struct Trade {
    /// Number of the datagram that made its batch whole.
    at: usize,
    mint: [u8; 32],
    signature: Signature,
}

/// Launches that fit the order, and the trades of their coins.
fn survey(datagrams: &Datagrams) -> Survey {
    let order = ours::order();
    let user = SdkBuilder::new(ours::seed(), order).user();
    let mut found = Survey {
        coins: HashMap::new(),
        trades: Vec::new(),
    };
    let mut reassembler = Reassembler::new(None);
    for (at, datagram) in datagrams.iter().enumerate() {
        reassembler.handle(datagram, |_, batch| {
            parts::walk(batch, |view| {
                if let Some(launch) = parts::launch(view).filter(|launch| launch.fits(&order)) {
                    let derived = Derived::of(&launch, &user);
                    found.coins.insert(launch.mint, (launch, derived));
                } else if let Some(mint) = parts::traded(view)
                    && found.coins.contains_key(&mint)
                {
                    found.trades.push(Trade {
                        at,
                        mint,
                        signature: *view.signatures()[0].as_array(),
                    });
                }
            });
        });
    }
    found
}

/// When to arm which coin's signal: a coin that had one already, if it trades soon, else a new one.
fn schedule(pace: Pace, trades: &[Trade]) -> Vec<(usize, [u8; 32])> {
    let (lead, spacing) = (pace.lead(), pace.spacing());
    let (mut armed, mut seen) = (Vec::new(), HashSet::new());
    let (mut next, mut from) = (0, 0);
    loop {
        while trades.get(from).is_some_and(|trade| trade.at < next + lead) {
            from += 1;
        }
        let Some(first) = trades.get(from) else {
            return armed;
        };
        let again = trades[from..]
            .iter()
            .take_while(|trade| trade.at < first.at + spacing.max(lead))
            .find(|trade| seen.contains(&trade.mint));
        let chosen = again.unwrap_or(first);
        seen.insert(chosen.mint);
        armed.push((chosen.at - lead, chosen.mint));
        next = chosen.at - lead + spacing;
    }
}
