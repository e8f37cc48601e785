//! What sets carry, told set by set: entry batches can be put together of it.
#![allow(clippy::unwrap_used)]

mod common;

use common::shredder::{Block, DATA_COMPLETE, Shape, VERSION, key};
use common::{Dice, Schedule, payload};
use shred_resolve::{
    Arrival, Plan, Policy, ResolvedTxn, Resolver, Root, SetPayload, Sink, SourceId,
};
use shred_wire::Nanos;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Eq)]
struct Told {
    slot: u64,
    fec_set_index: u32,
    chained_root: Root,
    begins: bool,
    ends: bool,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Payloads(BTreeMap<Root, Told>);

impl Sink for Payloads {
    fn transaction(&mut self, _txn: &ResolvedTxn<'_>) {}

    fn payload(&mut self, payload: &SetPayload<'_>) {
        assert!(payload.verified);
        assert_eq!(payload.pieces().count(), 32);
        let told = Told {
            slot: payload.slot.0,
            fec_set_index: payload.fec_set_index.0,
            chained_root: payload.chained_root,
            begins: payload.begins_batch,
            ends: payload.ends_batch,
            bytes: payload.pieces().collect::<Vec<_>>().concat(),
        };
        // A set that goes on with a batch comes after the one before it.
        let before = self.0.get(&payload.chained_root);
        assert!(told.begins || before.is_some_and(|before| !before.ends));
        assert!(self.0.insert(payload.root, told).is_none(), "told twice");
    }
}

/// Goal: each set is told once, with its bytes and its place in its batch, whatever was lost and in whatever order the
/// rest came, whether transactions wait for authentication or not.
#[test]
fn each_set_tells_what_it_carries() {
    for policy in [Policy::VerifyThenEmit, Policy::EmitThenVerify] {
        for seed in 0..20 {
            let mut dice = Dice(seed);
            let txns = |count: u64, len| {
                let txns: Vec<_> = (0..count).map(|id| payload::legacy(id, len)).collect();
                payload::one_entry(&txns)
            };
            let batches = [txns(3, 50), txns(90, 900), txns(40, 400), txns(60, 900)];
            let mut block = Block::new(&key(1), 100);
            block
                .batch(&batches[0])
                .batch(&batches[1])
                .push(&batches[2], Shape::Ragged(dice.clone()), DATA_COMPLETE)
                .last(&batches[3]);
            let mut shreds = Vec::new();
            for set in &block.sets {
                let mut own = set.shreds.clone();
                dice.shuffle(&mut own, 64);
                own.truncate(32 + dice.below(6));
                shreds.extend(own);
            }
            dice.shuffle(&mut shreds, 100);
            let mut resolver = Resolver::new(&Plan {
                shred_version: Some(VERSION),
                ..common::plan(64)
            });
            let leaders = Schedule::of(&key(1), [100]);
            let mut told = Payloads::default();
            for (at, shred) in shreds.iter().enumerate() {
                let arrival = Arrival {
                    source: SourceId(0),
                    policy,
                    at: Nanos(1_000_000_000 + at as u64),
                };
                let _ = resolver.handle(shred, arrival, &leaders, &mut told);
            }
            assert_eq!(told.0.len(), block.sets.len());
            let mut whole = vec![Vec::new()];
            for set in &block.sets {
                let told = &told.0[&set.root];
                assert_eq!(told.fec_set_index, set.head.fec_set_index);
                assert_eq!(told.chained_root, set.head.chained_root);
                let batch = whole.last_mut().unwrap();
                assert_eq!(told.begins, batch.is_empty());
                batch.extend_from_slice(&told.bytes);
                if told.ends {
                    whole.push(Vec::new());
                }
            }
            assert!(whole.pop().unwrap().is_empty());
            assert!(whole == batches, "{policy:?} seed {seed}");
        }
    }
}
