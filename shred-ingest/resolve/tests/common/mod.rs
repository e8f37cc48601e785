//! What the tests share: a shredder, traffic, a dice, a sink that writes down, and the reference.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

pub mod payload;
pub mod reference;
pub mod shredder;
pub mod traffic;

use shred_resolve::{
    Arrival, BlockEnd, Equivocation, Leader, Leaders, Plan, Policy, Reject, ResolvedTxn, Resolver,
    Retract, Root, Sink, SourceId, Verdict,
};
use shred_wire::{FecSetIndex, Nanos, Slot};
use std::collections::BTreeMap;

/// Splitmix64: the same numbers for the same seed, everywhere.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }

    pub fn percent(&mut self, chance: u32) -> bool {
        self.roll() % 100 < u64::from(chance)
    }

    /// Moves each of `items` by no more than about `reach` places.
    pub fn shuffle<T>(&mut self, items: &mut [T], reach: usize) {
        for at in 0..items.len() {
            let to = (at + self.below(reach + 1)).min(items.len() - 1);
            items.swap(at, to);
        }
    }
}

/// Leaders by slot.
#[derive(Clone, Default)]
pub struct Schedule(pub BTreeMap<u64, [u8; 32]>);

impl Schedule {
    /// `key` leads all `slots`.
    pub fn of(key: &ed25519_dalek::SigningKey, slots: impl IntoIterator<Item = u64>) -> Self {
        Self(
            slots
                .into_iter()
                .map(|slot| (slot, key.verifying_key().to_bytes()))
                .collect(),
        )
    }
}

impl Leaders for Schedule {
    fn leader(&self, slot: Slot) -> Leader {
        self.0
            .get(&slot.0)
            .map_or(Leader::Unnamed, |key| Leader::Identity(*key))
    }
}

/// One transaction as it was told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Line {
    pub slot: u64,
    pub signature: [u8; 64],
    pub fec_set_index: u32,
    pub root: Option<Root>,
    pub verified: bool,
    pub retracted: bool,
    pub bytes: Vec<u8>,
}

/// Writes down all it is told, by sequence.
#[derive(Clone, Default)]
pub struct Notes {
    pub lines: BTreeMap<u64, Line>,
    pub revoked: Vec<Line>,
    pub blocks: Vec<BlockEnd>,
    pub retracts: Vec<Retract>,
    pub equivocations: Vec<Equivocation>,
    pub verdicts: Vec<Verdict>,
    pub mismatches: Vec<(Slot, FecSetIndex)>,
}

impl Notes {
    /// First eight bytes of each signature, in the order told: what [`payload`] numbers transactions with.
    pub fn ids(&self) -> Vec<u64> {
        self.lines
            .values()
            .map(|line| payload::id_of(&line.signature))
            .collect()
    }
}

impl Sink for Notes {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let line = Line {
            slot: txn.slot.0,
            signature: *txn.view.signature(),
            fec_set_index: txn.fec_set_index.0,
            root: txn.merkle_root,
            verified: txn.verified,
            retracted: txn.retracted,
            bytes: txn.view.bytes().to_vec(),
        };
        assert!(
            self.lines.insert(txn.sequence, line).is_none(),
            "a sequence number twice"
        );
    }

    fn block(&mut self, block: &BlockEnd) {
        self.blocks.push(*block);
    }

    fn retract(&mut self, retract: &Retract) {
        self.retracts.push(*retract);
    }

    fn equivocation(&mut self, equivocation: &Equivocation) {
        self.equivocations.push(*equivocation);
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.verdicts.push(*verdict);
        for sequence in verdict.from..verdict.to {
            if verdict.authentic {
                self.lines.get_mut(&sequence).unwrap().verified = true;
            } else {
                self.revoked.push(self.lines.remove(&sequence).unwrap());
            }
        }
    }

    fn code_mismatch(&mut self, slot: Slot, fec_set_index: FecSetIndex) {
        self.mismatches.push((slot, fec_set_index));
    }
}

/// A small plan: a window of a few slots, and memory for `sets_max` sets.
pub fn plan(sets_max: usize) -> Plan {
    Plan {
        shred_version: Some(shredder::VERSION),
        slots_behind: 4,
        slots_ahead: 4,
        sets_max,
        versions_max: 4 * sets_max,
        ticks_per_slot: 2,
        ..Plan::default()
    }
}

/// A resolver with its leaders, notes and clock.
pub struct Bench<L> {
    pub resolver: Resolver,
    pub leaders: L,
    pub notes: Notes,
    pub policy: Policy,
    pub source: SourceId,
    pub at: Nanos,
}

impl<L: Leaders> Bench<L> {
    pub fn new(plan: &Plan, leaders: L) -> Self {
        Self {
            resolver: Resolver::new(plan),
            leaders,
            notes: Notes::default(),
            policy: Policy::VerifyThenEmit,
            source: SourceId(0),
            at: Nanos(1_000_000_000),
        }
    }

    pub fn early(mut self) -> Self {
        self.policy = Policy::EmitThenVerify;
        self
    }

    pub fn give(&mut self, datagram: &[u8]) -> Result<(), Reject> {
        self.at.0 += 1_000;
        let arrival = Arrival {
            source: self.source,
            policy: self.policy,
            at: self.at,
        };
        self.resolver
            .handle(datagram, arrival, &self.leaders, &mut self.notes)
    }

    /// Gives what must be accepted, or be of no more use.
    #[track_caller]
    pub fn give_all<'a>(&mut self, datagrams: impl IntoIterator<Item = &'a Vec<u8>>) {
        for datagram in datagrams {
            match self.give(datagram) {
                Ok(()) | Err(Reject::Surplus | Reject::Duplicate) => {}
                Err(reason) => panic!("{reason:?}"),
            }
        }
    }
}
