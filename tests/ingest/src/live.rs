//! The live end: frames drained into a resolver as the core does it, everything that arrived written down, and the
//! whole held against the slow reference afterwards.

use std::collections::{BTreeMap, BTreeSet};

use shred_resolve::{Arrival, Plan, Policy, Resolver, SourceId};
use shred_source::{CoreFrames, RX_BURST};

use crate::common::reference::{Reference, Whole};
use crate::common::{Line, Notes, Schedule, shredder};
use crate::retractions::{self, Retractions};

/// A datagram as its source published it, and how much had been told when it had been worked off.
#[derive(Debug)]
pub struct Step {
    /// Its source.
    pub source: SourceId,
    /// Its number within the source.
    pub ordinal: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    transactions: u64,
    blocks: usize,
    retracts: usize,
}

/// A resolver at the reading end of frame rings.
pub struct Live {
    resolver: Resolver,
    leaders: Schedule,
    notes: Notes,
    steps: Vec<Step>,
}

/// What both decoders agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Slot and signature of each transaction.
    pub transactions: BTreeSet<(u64, [u8; 64])>,
    /// Slots that have a whole block.
    pub blocks: BTreeSet<u64>,
    /// Retractions.
    pub retracts: usize,
    /// Sets that were recovered.
    pub recovered: u64,
}

/// Room for what the captures and a few generated slots hold.
#[must_use]
pub fn plan() -> Plan {
    Plan {
        shred_version: Some(shredder::VERSION),
        sets_max: 256,
        versions_max: 1024,
        ..Plan::default()
    }
}

impl Live {
    /// Nothing has arrived.
    #[must_use]
    pub fn new(leaders: Schedule) -> Self {
        Self {
            resolver: Resolver::new(&plan()),
            leaders,
            notes: Notes::default(),
            steps: Vec::new(),
        }
    }

    /// Datagrams in the order in which they were worked off.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Takes a burst from every source in turn, as the core stage does; how many datagrams that were.
    pub fn drain(&mut self, sources: &mut [CoreFrames]) -> usize {
        let Self {
            resolver,
            leaders,
            notes,
            steps,
        } = self;
        let mut taken = 0;
        for source in sources {
            taken += source.drain(RX_BURST, |about, datagram| {
                let arrival = Arrival {
                    source: about.source,
                    policy: Policy::VerifyThenEmit,
                    at: about.stamp,
                };
                // What was refused is counted; the reference refuses it too, or the comparison says so.
                let _ = resolver.handle(datagram, arrival, leaders, notes);
                steps.push(Step {
                    source: about.source,
                    ordinal: about.ordinal,
                    bytes: datagram.to_vec(),
                    transactions: notes.lines.len() as u64,
                    blocks: notes.blocks.len(),
                    retracts: notes.retracts.len(),
                });
            });
        }
        taken
    }

    /// Feeds the reference what arrived, in the order in which it arrived, and compares all that was told at each
    /// datagram: transactions with slot, set, root, bytes and whether verified, their order within a batch, whole
    /// blocks, and retractions.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self) -> Result<Agreed, String> {
        let mut reference = Reference::new(self.leaders.clone());
        let mut voids = Retractions::default();
        let mut told: BTreeMap<u64, BTreeMap<Line, u64>> = BTreeMap::new();
        let mut whole: BTreeMap<u64, BTreeSet<Whole>> = BTreeMap::new();
        let mut next_ordinal: BTreeMap<u8, u64> = BTreeMap::new();
        let (mut transactions, mut blocks) = (0, 0);
        for (at, step) in self.steps.iter().enumerate() {
            let differs = |what: &str| Err(format!("{what} after datagram {at}"));
            let next = next_ordinal.entry(step.source.0).or_default();
            if step.ordinal < *next {
                return differs("an ordinal that does not rise");
            }
            *next = step.ordinal + 1;
            let is_quiet = transactions == step.transactions && blocks == step.blocks;
            for sequence in transactions..step.transactions {
                let line = self.notes.lines.get(&sequence).cloned();
                let Some(line) = line else {
                    return differs("a gap in the sequence");
                };
                let line = Line {
                    retracted: false,
                    ..line
                };
                let slot = told.entry(line.slot).or_default();
                if slot.insert(line, sequence).is_some() {
                    return differs("a transaction twice");
                }
            }
            for block in &self.notes.blocks[blocks..step.blocks] {
                if !whole
                    .entry(block.slot.0)
                    .or_default()
                    .insert(Whole::from(block))
                {
                    return differs("a block twice");
                }
            }
            (transactions, blocks) = (step.transactions, step.blocks);
            let Some((slot, root)) = reference.accept(&step.bytes) else {
                match is_quiet {
                    true => continue,
                    false => return differs("something told of a datagram that is refused"),
                }
            };
            voids.accept(&step.bytes, root);
            let runs = reference.known(slot);
            let known: BTreeSet<&Line> = runs.iter().flatten().collect();
            let told = told.entry(slot).or_default();
            if !told.keys().eq(known) {
                return differs("other transactions");
            }
            for run in &runs {
                if !run.iter().map(|line| told[line]).is_sorted() {
                    return differs("transactions out of order");
                }
            }
            if *whole.entry(slot).or_default() != reference.blocks(slot) {
                return differs("other blocks");
            }
            let retracts = &self.notes.retracts[..step.retracts];
            if retractions::told(retracts, slot) != voids.of(slot) {
                return differs("other retractions");
            }
        }
        self.check_retracted()?;
        Ok(Agreed {
            transactions: self
                .notes
                .lines
                .values()
                .map(|line| (line.slot, line.signature))
                .collect(),
            blocks: self.notes.blocks.iter().map(|block| block.slot.0).collect(),
            retracts: self.notes.retracts.len(),
            recovered: self.resolver.counters().set_recovered,
        })
    }

    /// Only what lies before a retraction is marked as retracted.
    fn check_retracted(&self) -> Result<(), String> {
        let is_void = |line: &&Line| {
            self.notes
                .retracts
                .iter()
                .any(|retract| retract.slot.0 == line.slot && line.fec_set_index < retract.before.0)
        };
        let mut marked = self.notes.lines.values().filter(|line| line.retracted);
        match marked.find(|line| !is_void(line)) {
            Some(line) => Err(format!("marked as void, and is not: slot {}", line.slot)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::traffic::capture;
    use shred_source::arena::{Datagram, Lock};
    use shred_source::{ArenaPlan, frame_ring};

    /// A capture worked off without a transport.
    fn worked_off() -> Live {
        let traffic = capture("dev2.adversarial");
        let plan = ArenaPlan {
            frame_count: 64,
            lock: Lock::Skip,
            ..ArenaPlan::default()
        };
        let (mut rx, core, _) = frame_ring(&plan).unwrap();
        let (mut live, mut cores) = (Live::new(traffic.leaders), [core]);
        for (ordinal, datagram) in (0..).zip(&traffic.datagrams) {
            let mut frame = rx.reserve().unwrap();
            frame.bytes_mut()[..datagram.len()].copy_from_slice(datagram);
            frame.publish(Datagram {
                stamp: shred_wire::Nanos(1 + ordinal),
                ordinal,
                len: datagram.len() as u16,
                source: SourceId(0),
                flags: 0,
            });
            assert_eq!(live.drain(&mut cores), 1);
        }
        live
    }

    /// Goal: the comparison is one: whatever is taken away from either side, or put there, is a difference.
    #[test]
    fn every_kind_of_difference_is_noticed() {
        let mut live = worked_off();
        let agreed = live.compare().unwrap();
        assert!(agreed.transactions.len() > 100 && agreed.retracts == 1);
        let whole = live.notes.clone();
        let refused = |live: &Live| live.compare().is_err();
        for change in [
            |notes: &mut Notes| notes.lines.get_mut(&7).unwrap().verified = false,
            |notes: &mut Notes| notes.lines.get_mut(&7).unwrap().fec_set_index += 32,
            |notes: &mut Notes| notes.lines.get_mut(&7).unwrap().slot += 1,
            |notes: &mut Notes| notes.lines.get_mut(&7).unwrap().bytes[99] ^= 1,
            |notes: &mut Notes| drop(notes.lines.remove(&7)),
            |notes: &mut Notes| drop(notes.lines.insert(7, notes.lines[&8].clone())),
            |notes: &mut Notes| {
                let (one, other) = (notes.lines[&7].clone(), notes.lines[&8].clone());
                notes.lines.extend([(7, other), (8, one)]);
            },
            |notes: &mut Notes| notes.retracts[0].before.0 += 32,
        ] {
            change(&mut live.notes);
            assert!(refused(&live));
            live.notes = whole.clone();
        }
        assert!(!refused(&live));
        // The reference is told of less than what arrived, or of another order.
        let used = live.steps.iter().position(|step| step.transactions > 50);
        let steps: Vec<Step> = live.steps.drain(..used.unwrap()).collect();
        assert!(refused(&live));
        live.steps.splice(..0, steps);
        assert!(!refused(&live));
        live.steps.swap(0, 900);
        assert!(refused(&live));
    }
}
