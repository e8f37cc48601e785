//! Which transactions were knowable from what arrived, and whether just these were told.

use std::collections::{BTreeMap, HashMap};

use super::world::{Place, place_of};
use super::{Mark, fingerprint};
use demo::Datagrams;

/// A slot is looked at when something of one so much later has arrived: long after its last stragglers, and long
/// before a resolver may forget it.
const SLOTS_LATER: u64 = 12;
/// Shreds of a set that are enough.
const ENOUGH: u32 = 32;

/// What a run has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Datagrams that the core took, by source.
    pub(super) arrived: [u64; 2],
    /// Of these, what was no authentic shred of a slot that is still open.
    pub(super) junk: u64,
    /// Of these, shreds that had arrived before.
    pub(super) again: u64,
    pub(super) slots: u64,
    pub(super) sets: u64,
    /// Sets of which too few shreds arrived for recovery.
    pub(super) sets_short: u64,
    pub(super) transactions: u64,
    pub(super) knowable: u64,
    /// Knowable and not told.
    pub(super) lost: u64,
    /// Told and not knowable.
    pub(super) unfounded: u64,
    /// Told more than once.
    pub(super) twice: u64,
    /// Told of a slot that was never sent, or was looked at already.
    pub(super) strange: u64,
}

/// Knows what was sent.
#[derive(Default)]
pub(super) struct Auditor {
    slots: BTreeMap<u64, SlotTruth>,
    shreds: HashMap<u64, (u64, u32, u8)>,
    pub(super) account: Account,
}

struct SlotTruth {
    prints: Vec<u64>,
    /// By set, a bit for each shred that has arrived.
    arrived: Vec<u64>,
    places: Vec<Place>,
    told: Vec<u8>,
}

impl Auditor {
    /// A slot is about to be sent.
    pub(super) fn expect(&mut self, slot: u64, datagrams: &Datagrams, places: Vec<Place>) {
        let prints: Vec<u64> = datagrams.iter().map(fingerprint).collect();
        for (at, print) in prints.iter().enumerate() {
            self.shreds
                .insert(*print, (slot, (at / 64) as u32, (at % 64) as u8));
        }
        let truth = SlotTruth {
            arrived: vec![0; prints.len() / 64],
            prints,
            told: vec![0; places.len()],
            places,
        };
        self.slots.insert(slot, truth);
    }

    /// One line of the trail.
    pub(super) fn note(&mut self, mark: Mark) {
        match mark.kind {
            Mark::ARRIVED => self.note_arrival(mark),
            _ => self.note_told(mark.value),
        }
    }

    fn note_arrival(&mut self, mark: Mark) {
        self.account.arrived[mark.source as usize & 1] += 1;
        let Some(&(slot, set, shred)) = self.shreds.get(&mark.value) else {
            self.account.junk += 1;
            return;
        };
        if let Some(truth) = self.slots.get_mut(&slot) {
            let arrived = &mut truth.arrived[set as usize];
            self.account.again += *arrived >> shred & 1;
            *arrived |= 1 << shred;
        }
        while let Some((&oldest, _)) = self.slots.first_key_value()
            && oldest + SLOTS_LATER <= slot
        {
            self.close_oldest();
        }
    }

    fn note_told(&mut self, number: u64) {
        let (slot, at) = place_of(number);
        let told = self
            .slots
            .get_mut(&slot)
            .and_then(|truth| truth.told.get_mut(at));
        match told {
            Some(told) => *told = told.saturating_add(1),
            None => self.account.strange += 1,
        }
    }

    /// Looks at all that is left.
    pub(super) fn close_all(&mut self) {
        while !self.slots.is_empty() {
            self.close_oldest();
        }
    }

    fn close_oldest(&mut self) {
        let Some((_, truth)) = self.slots.pop_first() else {
            return;
        };
        for print in &truth.prints {
            self.shreds.remove(print);
        }
        let account = &mut self.account;
        account.slots += 1;
        account.sets += truth.arrived.len() as u64;
        let short = truth.arrived.iter();
        account.sets_short += short.filter(|bits| bits.count_ones() < ENOUGH).count() as u64;
        for (place, told) in truth.places.iter().zip(&truth.told) {
            let knowable = truth.is_knowable(place);
            account.transactions += 1;
            account.knowable += u64::from(knowable);
            account.lost += u64::from(knowable && *told == 0);
            account.unfounded += u64::from(!knowable && *told > 0);
            account.twice += u64::from(*told > 1);
        }
    }
}

impl SlotTruth {
    /// It is known where the batch begins, and all of it up to the transaction's last byte is there.
    fn is_knowable(&self, place: &Place) -> bool {
        let begins = place
            .first_set
            .checked_sub(1)
            .is_none_or(|before| self.has(before, 31));
        let whole = (place.first_set..place.set).all(|set| self.has_up_to(set, 31));
        begins && whole && self.has_up_to(place.set, place.shred)
    }

    fn has(&self, set: usize, shred: usize) -> bool {
        let arrived = self.arrived[set];
        arrived.count_ones() >= ENOUGH || arrived >> shred & 1 == 1
    }

    fn has_up_to(&self, set: usize, shred: usize) -> bool {
        (0..=shred).all(|shred| self.has(set, shred))
    }
}

impl Account {
    /// What is wrong with it; empty when nothing is.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (count, what) in [
            (self.lost, "knowable transactions were not told"),
            (self.unfounded, "transactions were told and not knowable"),
            (self.twice, "transactions were told twice"),
            (self.strange, "transactions were told that nobody sent"),
        ] {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        }
        if self.knowable == 0 || self.sets_short == 0 || self.junk == 0 {
            faults.push(
                "no transactions, no set beyond recovery or no junk: nothing is proven".to_owned(),
            );
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;

    fn arrived(print: u64) -> Mark {
        Mark {
            kind: Mark::ARRIVED,
            source: 0,
            value: print,
        }
    }

    fn told(number: u64) -> Mark {
        Mark {
            kind: Mark::TOLD,
            source: 0,
            value: number,
        }
    }

    /// Goal: the auditor knows a loss, an invention and a repetition when it sees one.
    #[test]
    fn what_is_amiss_is_found() {
        let (mut world, mut out) = (World::new(1), Datagrams::new());
        let (slot, places) = world.next_slot(&mut out);
        let prints: Vec<u64> = out.iter().map(fingerprint).collect();
        let run = |marks: Vec<Mark>| {
            let mut auditor = Auditor::default();
            auditor.expect(slot, &out, places.clone());
            marks.into_iter().for_each(|mark| auditor.note(mark));
            auditor.close_all();
            auditor.account
        };
        // Everything, by half of every set.
        let some = prints.iter().enumerate().filter(|(at, _)| at % 64 >= 32);
        let mut marks: Vec<Mark> = some.map(|(_, print)| arrived(*print)).collect();
        marks.extend((0..places.len() as u64).map(told));
        let good = run(marks.clone());
        assert_eq!(good.knowable, places.len() as u64);
        assert_eq!((good.lost, good.unfounded, good.twice), (0, 0, 0));
        let mut lost = marks.clone();
        lost.pop();
        assert_eq!(run(lost).lost, 1);
        let mut twice = marks.clone();
        twice.push(told(3));
        assert_eq!(run(twice).twice, 1);
        // One shred less of the first set, and its code is worth nothing.
        assert!(run(marks[1..].to_vec()).unfounded > 0);
        let strange = told(1 << 40);
        assert_eq!(run(vec![strange]).strange, 1);
    }
}
