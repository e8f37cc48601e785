//! Where admitted bundles wait, bid, go to a leader and become results.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jito_searcher_client::BundleId;
use jito_searcher_client::proto::bundle::bundle_result::Result as Kind;
use jito_searcher_client::proto::bundle::rejected::Reason;
use jito_searcher_client::proto::bundle::{
    Accepted, DroppedBundle, DroppedReason, Finalized, InternalError, Processed, SimulationFailure,
    StateAuctionBidRejected, WinningBatchBidRejected,
};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::BlockEngineConfig;
use super::admission::{Admitted, Refusal};
use super::auction::{Bid, Verdict};
use super::counters::{Counters, Happened};
use super::results::{Owner, Results, dropped, rejected};
use super::venue::{LandResult, Venue};
use crate::exchange::{LandingReject, RejectReason};
use crate::keys::{Key, base58};
use crate::leader::SLOTS_PER_TURN;
use crate::prng::Prng;

enum Message {
    /// With the slot in which it was received.
    Bundle(Owner, Admitted, u64),
    Decided(Owner, BundleId, LandResult),
}

/// Puts admitted bundles on the desk.
#[derive(Clone)]
pub(super) struct DeskSender {
    inbox: mpsc::UnboundedSender<Message>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
}

impl DeskSender {
    /// Puts down a bundle received in `slot`. Refuses when the desk is full or gone.
    pub(super) fn offer(&self, owner: Owner, bundle: Admitted, slot: u64) -> Result<(), Refusal> {
        // One thread offers and takes away, so the check and the addition cannot be split.
        if self.waiting.load(Ordering::Relaxed) >= self.waiting_max {
            return Err(Refusal::RateLimited);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.inbox
            .send(Message::Bundle(owner, bundle, slot))
            .map_err(|_| Refusal::Stopping)
    }
}

struct Waiting {
    owner: Owner,
    bundle: Admitted,
    since_slot: u64,
    prng: Prng,
}

pub(super) struct Desk<V> {
    venue: Arc<V>,
    config: Arc<BlockEngineConfig>,
    counters: Arc<Counters>,
    results: Results,
    sender: DeskSender,
    inbox: mpsc::UnboundedReceiver<Message>,
    waiting: Vec<Waiting>,
    /// Landed, in order of arrival, and not final yet.
    landed: VecDeque<(u64, Owner, BundleId)>,
}

impl<V: Venue> Desk<V> {
    pub(super) fn new(
        venue: Arc<V>,
        config: Arc<BlockEngineConfig>,
        counters: Arc<Counters>,
        results: Results,
    ) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        let sender = DeskSender {
            inbox: sender,
            waiting: Arc::default(),
            waiting_max: config.waiting_max,
        };
        let (waiting, landed) = (Vec::new(), VecDeque::new());
        Self {
            venue,
            config,
            counters,
            results,
            sender,
            inbox,
            waiting,
            landed,
        }
    }

    pub(super) fn sender(&self) -> DeskSender {
        self.sender.clone()
    }

    pub(super) async fn run(mut self) {
        let mut auctions =
            tokio::time::interval(self.config.auction_interval.max(Duration::from_millis(1)));
        auctions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(Message::Bundle(owner, bundle, slot)) => self.take(owner, bundle, slot),
                    Some(Message::Decided(owner, id, result)) => self.decided(owner, id, result),
                    None => return,
                },
                _ = auctions.tick() => self.hold_auctions(),
            }
        }
    }

    fn take(&mut self, owner: Owner, bundle: Admitted, since_slot: u64) {
        let prng = Prng::new(self.config.seed).fork(bundle.id.as_str());
        self.waiting.push(Waiting {
            owner,
            bundle,
            since_slot,
            prng,
        });
    }

    fn hold_auctions(&mut self) {
        let slot = self.venue.current_slot();
        self.report_final(slot);
        if self.waiting.is_empty() {
            return;
        }
        let leader = self.venue.next_jito_leader(slot);
        let leader =
            leader.filter(|(at, _)| at.saturating_sub(slot) <= self.config.auction_slots_ahead);
        let mut waiting = std::mem::take(&mut self.waiting);
        // The better bid is forwarded first. A stable sort keeps the order of arrival among equals.
        waiting.sort_by(|a, b| rank(&b.bundle.bid, &a.bundle.bid));
        for bundle in waiting {
            match leader {
                Some((at, identity)) => self.judge(bundle, at, identity),
                None if slot.saturating_sub(bundle.since_slot) > self.config.hold_slots_max => {
                    self.give_up(bundle)
                }
                None => self.waiting.push(bundle),
            }
        }
    }

    fn judge(&mut self, waiting: Waiting, slot: u64, leader: Key) {
        let Waiting {
            owner,
            bundle:
                Admitted {
                    id,
                    bid,
                    transactions,
                },
            mut prng,
            ..
        } = waiting;
        if prng.chance_bps(self.config.internal_error_bps) {
            let reason = Reason::InternalError(InternalError {
                msg: "drawn by the model".to_owned(),
            });
            return self.end(Happened::InternalError, owner, id, Some(rejected(reason)));
        }
        if let Err(reject) = self.venue.simulate(&transactions) {
            return self.end(
                Happened::SimulationFailed,
                owner,
                id,
                Some(simulation_failure(&reject)),
            );
        }
        let auction_id = format!("{slot}-{}", &id.as_str()[..8]);
        let (simulated_bid_lamports, msg) = (bid.tip_lamports, None);
        match self.config.rivals.judge(&bid, &mut prng) {
            Verdict::Won => self.forward(owner, id, transactions, slot, leader, prng),
            Verdict::StateBidRejected => {
                let lost = StateAuctionBidRejected {
                    auction_id,
                    simulated_bid_lamports,
                    msg,
                };
                let kind = rejected(Reason::StateAuctionBidRejected(lost));
                self.end(Happened::Outbid, owner, id, Some(kind));
            }
            Verdict::BatchBidRejected => {
                let lost = WinningBatchBidRejected {
                    auction_id,
                    simulated_bid_lamports,
                    msg,
                };
                let kind = rejected(Reason::WinningBatchBidRejected(lost));
                self.end(Happened::Outbid, owner, id, Some(kind));
            }
        }
    }

    fn forward(
        &mut self,
        owner: Owner,
        id: BundleId,
        transactions: Vec<Vec<u8>>,
        slot: u64,
        leader: Key,
        mut prng: Prng,
    ) {
        self.counters.count(Happened::Accepted);
        let accepted = Accepted {
            slot,
            validator_identity: base58(&leader),
        };
        self.results.send(owner, id, Kind::Accepted(accepted));
        if prng.chance_bps(self.config.lost_bps) {
            return self.end(Happened::Lost, owner, id, None);
        }
        let (shortest, longest) = self.config.forward_latency;
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let latency = Duration::from_nanos(prng.between(nanos(shortest), nanos(longest)));
        let last_slot = last_slot_of_turn(&*self.venue, slot, leader);
        let (venue, inbox) = (self.venue.clone(), self.sender.inbox.clone());
        tokio::spawn(async move {
            tokio::time::sleep(latency).await;
            let done = move |result| {
                // The desk may be gone; then so are the subscribers.
                let _ = inbox.send(Message::Decided(owner, id, result));
            };
            venue.land(transactions, last_slot, Box::new(done));
        });
    }

    fn decided(&mut self, owner: Owner, id: BundleId, result: LandResult) {
        match result {
            Ok(landing) => {
                let (slot, bundle_index) = (landing.slot, landing.bundle_index);
                let validator_identity = base58(&landing.leader);
                self.landed.push_back((slot, owner, id));
                let processed = Processed {
                    validator_identity,
                    slot,
                    bundle_index,
                };
                self.end(
                    Happened::Landed,
                    owner,
                    id,
                    Some(Kind::Processed(processed)),
                );
            }
            Err(reject) => self.end(
                Happened::FailedAtLeader,
                owner,
                id,
                Some(failed_at_leader(&reject)),
            ),
        }
    }

    fn give_up(&mut self, waiting: Waiting) {
        let Waiting {
            owner,
            bundle,
            mut prng,
            ..
        } = waiting;
        let silent = prng.chance_bps(self.config.expiry_silent_bps);
        let kind = (!silent).then(|| dropped(DroppedReason::BlockhashExpired));
        let happened = if silent {
            Happened::ExpiredSilently
        } else {
            Happened::Expired
        };
        self.end(happened, owner, bundle.id, kind);
    }

    /// The bundle leaves the desk.
    fn end(&mut self, happened: Happened, owner: Owner, id: BundleId, result: Option<Kind>) {
        self.sender.waiting.fetch_sub(1, Ordering::Relaxed);
        self.counters.count(happened);
        if let Some(kind) = result {
            self.results.send(owner, id, kind);
        }
    }

    fn report_final(&mut self, slot: u64) {
        let Self {
            landed,
            counters,
            results,
            config,
            ..
        } = self;
        landed.retain(|(landed_slot, owner, id)| {
            let is_final = landed_slot.saturating_add(config.finalized_after_slots) <= slot;
            if is_final {
                counters.count(Happened::Finalized);
                results.send(*owner, *id, Kind::Finalized(Finalized {}));
            }
            !is_final
        });
    }
}

/// By lamports per compute unit; a total order, unlike [`Bid::beats`], which favours the asker in a draw.
fn rank(a: &Bid, b: &Bid) -> std::cmp::Ordering {
    let cross = |a: &Bid, b: &Bid| u128::from(a.tip_lamports) * u128::from(b.compute_units);
    cross(a, b).cmp(&cross(b, a))
}

/// The last slot in a row, from `slot`, that `leader` leads: what comes later is too late for it.
fn last_slot_of_turn(venue: &impl Venue, slot: u64, leader: Key) -> u64 {
    let turn = slot..slot.saturating_add(SLOTS_PER_TURN);
    turn.take_while(|at| venue.leader(*at) == (leader, true))
        .last()
        .unwrap_or(slot)
}

fn simulation_failure(reject: &LandingReject) -> Kind {
    let tx_signature = reject
        .transaction
        .map(|(_, signature)| bs58::encode(signature).into_string());
    rejected(Reason::SimulationFailure(SimulationFailure {
        tx_signature: tx_signature.unwrap_or_default(),
        msg: Some(reject.to_string()),
    }))
}

fn failed_at_leader(reject: &LandingReject) -> Kind {
    match reject.reason {
        RejectReason::BlockhashNotFound => dropped(DroppedReason::BlockhashExpired),
        RejectReason::AlreadyProcessed => dropped(DroppedReason::PartiallyProcessed),
        RejectReason::Stopped => dropped(DroppedReason::NotFinalized),
        _ => rejected(Reason::DroppedBundle(DroppedBundle {
            msg: reject.to_string(),
        })),
    }
}
