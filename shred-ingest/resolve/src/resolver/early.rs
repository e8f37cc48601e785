//! Telling before checking: for sources whose operator asked for it, and for what a trusted source's recovery brings.

use super::{Arrival, Resolver};
use crate::burst::Shred;
use crate::field::GROUP;
use crate::leader::Leader;
use crate::merkle::claimed_root;
use crate::plan::Policy;
use crate::reject::{READING, Reject};
use crate::sink::{Retract, Sink, Verdict};
use crate::slab::Recovery;
use crate::version::Version;

/// A version as it was before something unchecked was read into it.
struct Before {
    version: Version,
    counters: [u64; READING],
}

impl Resolver {
    /// As [`Resolver::take`], but the set's own transactions go out first. If the shred turns out not to belong
    /// to its set, they are revoked and the set is as it was.
    pub(super) fn take_then_check(
        &mut self,
        id: u32,
        shred: &Shred<'_, '_>,
        arrival: Arrival,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        let before = self.keep(id);
        let from = self.sequence;
        self.store(id, shred);
        self.start(id);
        // A trusted source's word is good for what follows from it, until the proofs say otherwise.
        let is_vouched = arrival.policy == Policy::Trusted;
        let (missing, retract) = self.read_unchecked(id, arrival, is_vouched, sink);
        let authentic = self.admit(id, shred);
        let recovered = authentic && (missing == 0 || self.admit_recovered(id, missing));
        let is_awaited = self.versions[id as usize].awaited.is_some();
        if !(recovered && (is_awaited || is_vouched)) {
            self.tell_verdict(from, recovered, sink);
        }
        if !recovered {
            self.undo(id, &before);
        }
        if !authentic {
            return Err(Reject::BadMerkleProof);
        }
        if recovered {
            self.counters.set_recovered += u64::from(missing != 0);
            self.counters.shred_recovered += u64::from(missing.count_ones());
        } else {
            self.versions[id as usize].mark(shred);
            self.note_code_mismatch(id, sink);
        }
        if is_awaited {
            let from = if recovered { from } else { self.sequence };
            self.note_told(id, from, retract.filter(|_| recovered), arrival);
            return Ok(());
        }
        if recovered {
            self.settle(id, retract, sink);
        }
        self.after_authentication(id, arrival, sink);
        self.note_tail(id);
        self.advance(id, arrival, sink);
        Ok(())
    }

    /// As [`Resolver::take_then_check`] for the first shred of a set: root and signature are checked last, the
    /// signature elsewhere if `defers`.
    pub(super) fn take_then_authenticate(
        &mut self,
        id: u32,
        shred: &Shred<'_, '_>,
        arrival: Arrival,
        leader: Leader,
        defers: bool,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        let from = self.sequence;
        let counters = self.counters.of_reading().map(|counter| *counter);
        self.store(id, shred);
        self.start(id);
        let retract = self.read(id, arrival, false, sink);
        let root = claimed_root(shred, &self.leaf(shred));
        let outcome = match self.signatures.check_bad(&root, shred.signature()) {
            Err(reason) => Err(reason),
            Ok(()) if defers => {
                self.versions[id as usize].root = root;
                self.await_check(id, leader, arrival);
                self.note_told(id, from, retract, arrival);
                // A shred is a leaf of the root that it claims.
                self.admit(id, shred);
                return Ok(());
            }
            Ok(()) => self.authenticate(&root, shred.signature(), leader, arrival),
        };
        self.tell_verdict(from, outcome.is_ok(), sink);
        match outcome {
            Err(reason) => {
                self.discard(id);
                self.uncount(&counters);
                return Err(reason);
            }
            Ok(verified) => {
                let version = &mut self.versions[id as usize];
                version.root = root;
                version.verified = verified;
            }
        }
        self.counters.set_opened += 1;
        if !self.admit(id, shred) {
            return Err(Reject::BadMerkleProof);
        }
        self.settle(id, retract, sink);
        self.after_authentication(id, arrival, sink);
        self.note_tail(id);
        self.advance(id, arrival, sink);
        Ok(())
    }

    /// What reading unchecked bytes may spoil.
    fn keep(&mut self, id: u32) -> Before {
        let version = self.versions[id as usize];
        let carried = version.scan.carried_len();
        self.carry[..carried].copy_from_slice(&self.slabs[version.slab as usize].carry[..carried]);
        Before {
            version,
            counters: self.counters.of_reading().map(|counter| *counter),
        }
    }

    /// Puts back what [`Resolver::keep`] kept. Bytes that were stored meanwhile stay where they are: their places
    /// were empty, and are empty again.
    fn undo(&mut self, id: u32, before: &Before) {
        self.versions[id as usize] = before.version;
        self.uncount(&before.counters);
        let carried = before.version.scan.carried_len();
        self.slabs[before.version.slab as usize].carry[..carried]
            .copy_from_slice(&self.carry[..carried]);
    }

    fn uncount(&mut self, before: &[u64; READING]) {
        for (counter, before) in self.counters.of_reading().into_iter().zip(before) {
            *counter = *before;
        }
    }

    /// Reads on in version `id` unchecked. If it can be recovered, candidates for the missing data shreds are put in
    /// place a few at a time, in index order, and read in between: what the first of them make known need not wait
    /// for the last. Which were missing, and what a marker voids.
    fn read_unchecked(
        &mut self,
        id: u32,
        arrival: Arrival,
        verified: bool,
        sink: &mut impl Sink,
    ) -> (u32, Option<Retract>) {
        let version = &mut self.versions[id as usize];
        if !version.is_recoverable() {
            return (0, self.read(id, arrival, verified, sink));
        }
        let (data, code, capacity) = (version.data, version.code, version.capacity());
        let slab = &mut self.slabs[version.slab as usize];
        let recovery = (data.count_zeros() as usize > GROUP)
            .then(|| Recovery::new(data, code, capacity))
            .flatten();
        let Some(mut recovery) = recovery else {
            slab.recover(data, code, capacity);
            version.data = u32::MAX;
            return (!data, self.read(id, arrival, verified, sink));
        };
        let mut retract = None;
        loop {
            let version = &mut self.versions[id as usize];
            match self.slabs[version.slab as usize].recover_next(&mut recovery) {
                0 => return (!data, retract),
                brought => version.data |= brought,
            }
            retract = self.read(id, arrival, verified, sink).or(retract);
        }
    }

    fn admit_recovered(&mut self, id: u32, missing: u32) -> bool {
        let version = &self.versions[id as usize];
        self.slabs[version.slab as usize].admit_recovered(
            missing,
            &version.identity,
            &version.chained_root,
            self.hashing,
        )
    }

    fn tell_verdict(&mut self, from: u64, authentic: bool, sink: &mut impl Sink) {
        if self.sequence == from {
            return;
        }
        if !authentic {
            self.counters.transaction_revoked += self.sequence - from;
        }
        sink.verdict(&Verdict {
            from,
            to: self.sequence,
            authentic,
        });
    }
}
