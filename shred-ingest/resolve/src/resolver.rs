//! From datagrams to transactions.

use crate::leader::{Leader, Leaders, SignatureCheck};
use crate::merkle::{Root, claimed_root};
use crate::plan::{Plan, Policy};
use crate::pool::SlabPool;
use crate::reject::{Counters, READING, Reject};
use crate::scan::{BatchEnd, Phase, ScanSink};
use crate::sink::{BlockEnd, Equivocation, ResolvedTxn, Retract, RetractReason, Sink, Verdict};
use crate::slab::{CARRY_LEN, Slab};
use crate::version::{Chain, NONE, Tail, Told, Version};
use crate::window::{Place, Window};
use shred_wire::batch::{EntryHead, Marker};
use shred_wire::shred::{SET_SHREDS, SIGNATURE_LEN, ShredView};
use shred_wire::txn::{TxnScan, TxnView};
use shred_wire::{FecSetIndex, Nanos, Slot, SourceId};

/// Versions of one set that are told apart when the leader's signature vouches for each.
const VERSIONS_SIGNED_MAX: usize = 2;
/// As above when signatures cannot be checked, and a corrupted shred looks like a version of its own.
const VERSIONS_UNSIGNED_MAX: usize = 4;
/// A slot that holds more than one part in this many of the slabs, or of the versions, makes no other slot give
/// way. A leader has four slots in a row, and could otherwise sign its way through everybody's memory.
const SHARE: usize = 8;

/// Where and when a datagram arrived, and what may be done with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Its source.
    pub source: SourceId,
    /// The source's policy.
    pub policy: Policy,
    /// Receive stamp. The only time a resolver knows.
    pub at: Nanos,
}

/// Turns datagrams into transactions, each at the datagram that makes it knowable.
///
/// Owns all of its memory: after construction it neither allocates nor frees, makes no system call and reads no
/// clock. Not shared between threads; one per core.
pub struct Resolver {
    plan: Plan,
    window: Window,
    versions: Box<[Version]>,
    free_versions: Vec<u32>,
    slabs: Box<[Slab]>,
    slab_pool: SlabPool,
    /// Versions to read in the current call.
    work: Vec<u32>,
    /// Versions that were read to their end in the current call, and those that follow them in a block.
    finished: Vec<u32>,
    /// What a carry buffer held before something unchecked was read.
    carry: Box<[u8; CARRY_LEN]>,
    signatures: SignatureCheck,
    sequence: u64,
    counters: Counters,
}

impl Resolver {
    /// Allocates and touches everything that `plan` asks for: about `sets_max` times 67 KB.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let sets_per_slot = (plan.limits.shreds_per_slot_max as usize).div_ceil(SET_SHREDS);
        Self {
            plan: plan.clone(),
            window: Window::new(
                plan.slots_behind,
                plan.slots_ahead,
                plan.resync_after,
                sets_per_slot,
            ),
            versions: (0..plan.versions_max).map(|_| Version::vacant()).collect(),
            free_versions: (0..plan.versions_max as u32).rev().collect(),
            slabs: (0..plan.sets_max).map(|_| Slab::new()).collect(),
            slab_pool: SlabPool::new(plan.sets_max),
            work: Vec::with_capacity(plan.versions_max),
            // Each enters once as read and once as the follower of another.
            finished: Vec::with_capacity(2 * plan.versions_max),
            carry: Box::new([0; CARRY_LEN]),
            signatures: SignatureCheck::new(),
            sequence: 0,
            counters: Counters::default(),
        }
    }

    /// What has been seen so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The highest slot that something authentic was received of.
    #[must_use]
    pub fn highest_slot(&self) -> Option<Slot> {
        self.window.highest()
    }

    /// Takes one datagram and tells `sink` all that it made known before returning.
    ///
    /// Cost: for a shred of a known set one copy, one leaf hash and the joins nobody has paid for; for a set's
    /// first shred a signature check; for the shred that makes a lossy set whole, its recovery.
    ///
    /// # Errors
    /// [`Reject`] says why the datagram was not used; it is counted.
    #[inline]
    pub fn handle(
        &mut self,
        datagram: &[u8],
        arrival: Arrival,
        leaders: &impl Leaders,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        self.counters.datagram += 1;
        let outcome = self.sort(datagram, arrival, leaders, sink);
        match outcome {
            Ok(()) => self.counters.shred_accepted += 1,
            Err(reason) => self.counters.rejected[reason.index()] += 1,
        }
        outcome
    }

    /// Chooses the way a datagram goes: its set is known, it is to be told before it is checked, or neither.
    fn sort(
        &mut self,
        datagram: &[u8],
        arrival: Arrival,
        leaders: &impl Leaders,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        let shred = ShredView::parse(datagram, &self.plan.limits)?;
        if self
            .plan
            .shred_version
            .is_some_and(|version| version != shred.version())
        {
            return Err(Reject::ForeignVersion);
        }
        let place = self.window.place(shred.slot(), arrival.at);
        if place == Place::Outside {
            return Err(Reject::SlotOutOfWindow);
        }
        let early = arrival.policy == Policy::EmitThenVerify;
        if let Some(id) = self.find(&shred, |version| {
            version.is_trusted() && version.signed_by(shred.signature())
        }) {
            let outcome = self.take_known(id, &shred, early, arrival, sink);
            if outcome.is_ok() || self.versions[id as usize].verified || self.belongs(id, &shred) {
                return outcome;
            }
        }
        let leader = leaders.leader(shred.slot());
        if leader == Leader::Unnamed {
            return Err(Reject::NoLeader);
        }
        if early
            && place == Place::Inside
            && let Some(id) = self.open_unchecked(&shred)
        {
            return self.take_then_authenticate(id, &shred, arrival, leader, sink);
        }
        self.authenticate_then_take(&shred, place, arrival, leader, sink)
    }

    /// Takes a shred that carries the signature of version `id`, whose root is beyond doubt.
    #[inline]
    fn take_known(
        &mut self,
        id: u32,
        shred: &ShredView<'_>,
        early: bool,
        arrival: Arrival,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        self.check_fit(id, shred)?;
        if early {
            return self.take_then_check(id, shred, arrival, sink);
        }
        if !self.admit(id, shred) {
            return Err(Reject::BadMerkleProof);
        }
        self.take(id, shred, arrival, sink);
        Ok(())
    }

    /// Whether a shred that carries the signature of version `id` is of that version. Without leaders anyone can
    /// copy a signature onto a set of their own, and the set that it was copied from must not be refused for it.
    fn belongs(&mut self, id: u32, shred: &ShredView<'_>) -> bool {
        self.versions[id as usize].slab != NONE && self.admit(id, shred)
    }

    /// Authenticates a shred by its own proof and signature, opening a version of its set if need be.
    fn authenticate_then_take(
        &mut self,
        shred: &ShredView<'_>,
        place: Place,
        arrival: Arrival,
        leader: Leader,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        let root = claimed_root(shred);
        let known = self.find(shred, |version| version.root == root);
        // What would not be used need not be verified either, which costs far more than a hash.
        match known {
            Some(id) => self.check_fit(id, shred)?,
            None => self.check_versions(shred, leader)?,
        }
        let verified = self.authenticate(&root, shred.signature(), leader)?;
        if place == Place::OnProof {
            self.counters.window_resynced += u64::from(self.window.highest().is_some());
            self.window.anchor(shred.slot());
            self.close_leaving();
        }
        let id = match known {
            Some(id) => {
                let version = &mut self.versions[id as usize];
                version.verified |= verified;
                if !version.signed_by(shred.signature()) {
                    version.other_signature = Some(*shred.signature());
                }
                id
            }
            None => self.open(shred, root, verified)?,
        };
        if !self.admit(id, shred) {
            return Err(Reject::BadMerkleProof);
        }
        self.take(id, shred, arrival, sink);
        Ok(())
    }

    /// `Ok(true)`: the leader signed `root`. `Ok(false)`: there is nobody to ask.
    fn authenticate(
        &mut self,
        root: &Root,
        signature: &[u8; SIGNATURE_LEN],
        leader: Leader,
    ) -> Result<bool, Reject> {
        let Leader::Identity(key) = leader else {
            return Ok(false);
        };
        let signed = self.signatures.verify(&key, root, signature);
        self.counters.signature_checked = self.signatures.checked;
        if signed {
            Ok(true)
        } else {
            Err(Reject::BadLeaderSignature)
        }
    }

    /// The first version of the shred's set that `wanted` says yes to.
    #[inline]
    fn find(&self, shred: &ShredView<'_>, wanted: impl Fn(&Version) -> bool) -> Option<u32> {
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        self.versions_of(shred.slot(), set)
            .find(|id| wanted(&self.versions[*id as usize]))
    }

    #[inline]
    fn versions_of(&self, slot: Slot, set: usize) -> impl Iterator<Item = u32> + '_ {
        let first = self
            .window
            .get(slot)
            .and_then(|state| state.sets.get(set))
            .copied()
            .unwrap_or(NONE);
        std::iter::successors(Some(first), |id| {
            Some(self.versions.get(*id as usize)?.next)
        })
        .take_while(|id| *id != NONE)
    }

    /// Whether a shred of version `id` adds to it.
    #[inline]
    fn check_fit(&self, id: u32, shred: &ShredView<'_>) -> Result<(), Reject> {
        let version = &self.versions[id as usize];
        if version.has(shred) {
            return Err(Reject::Duplicate);
        }
        if version.is_whole() {
            return Err(Reject::Surplus);
        }
        if version.slab == NONE {
            return Err(Reject::SlabsExhausted);
        }
        let same_set = version.identity.version == shred.version()
            && version.identity.resigned == shred.variant().resigned
            && version.chained_root == *shred.chained_root();
        if same_set {
            Ok(())
        } else {
            Err(Reject::SetMismatch)
        }
    }

    #[inline]
    fn admit(&mut self, id: u32, shred: &ShredView<'_>) -> bool {
        let version = &self.versions[id as usize];
        self.slabs[version.slab as usize]
            .nodes
            .admit(shred, &version.root)
    }

    /// Puts an authenticated shred in its place and tells all that follows from it.
    fn take(&mut self, id: u32, shred: &ShredView<'_>, arrival: Arrival, sink: &mut impl Sink) {
        self.store(id, shred);
        self.after_authentication(id, arrival, sink);
        if self.versions[id as usize].is_recoverable() {
            self.recover(id, sink);
        }
        self.note_tail(id);
        self.advance(id, arrival, sink);
    }

    fn store(&mut self, id: u32, shred: &ShredView<'_>) {
        let version = &mut self.versions[id as usize];
        version.mark(shred);
        self.slabs[version.slab as usize].store(shred);
    }

    /// An authentic shred moves the window; a root that is beyond doubt and not alone is a conflict.
    fn after_authentication(&mut self, id: u32, arrival: Arrival, sink: &mut impl Sink) {
        let version = &self.versions[id as usize];
        if !version.is_trusted() {
            return;
        }
        let (slot, equivocated) = (version.identity.slot, version.equivocated);
        self.window.note_authentic(arrival.at);
        if self.window.highest().is_none_or(|highest| slot > highest) {
            self.window.raise(slot);
            self.close_leaving();
        }
        if !equivocated {
            self.report_equivocation(id, sink);
        }
    }

    fn report_equivocation(&mut self, id: u32, sink: &mut impl Sink) {
        let version = &self.versions[id as usize];
        let (slot, set) = (version.identity.slot, version.set_number());
        let (fec_set_index, root) = (version.identity.fec_set_index, version.root);
        let Some(other) = self
            .versions_of(slot, set)
            .find(|other| *other != id && self.versions[*other as usize].is_trusted())
        else {
            return;
        };
        self.versions[id as usize].equivocated = true;
        self.versions[other as usize].equivocated = true;
        self.counters.equivocation += 1;
        sink.equivocation(&Equivocation {
            slot,
            fec_set_index,
            merkle_roots: [self.versions[other as usize].root, root],
        });
    }

    /// Brings back the missing data shreds of a set that has enough shreds, if they are what was signed.
    fn recover(&mut self, id: u32, sink: &mut impl Sink) {
        let version = &mut self.versions[id as usize];
        let slab = &mut self.slabs[version.slab as usize];
        let missing = !version.data;
        if slab.recover(version.data, version.code, version.capacity())
            && slab.admit_recovered(missing, &version.identity, &version.chained_root)
        {
            version.data = u32::MAX;
            self.counters.set_recovered += 1;
            self.counters.shred_recovered += u64::from(missing.count_ones());
        } else {
            self.note_code_mismatch(id, sink);
        }
    }

    fn note_code_mismatch(&mut self, id: u32, sink: &mut impl Sink) {
        let version = &mut self.versions[id as usize];
        version.code_mismatched = true;
        self.counters.set_code_mismatched += 1;
        sink.code_mismatch(version.identity.slot, version.identity.fec_set_index);
    }

    /// Remembers what the set's last data shred says of batch and slot.
    fn note_tail(&mut self, id: u32) {
        let version = &mut self.versions[id as usize];
        if version.tail.is_some() || version.data >> (SET_SHREDS - 1) == 0 {
            return;
        }
        let head = self.slabs[version.slab as usize].head(SET_SHREDS - 1);
        version.tail = Some(Tail {
            data_complete: head.data_complete(),
            last_in_slot: head.last_in_slot(),
            parent_offset: head.parent_offset(),
        });
    }

    /// Reads on in version `id` and, as far as that carries, in the sets that follow it.
    fn advance(&mut self, id: u32, arrival: Arrival, sink: &mut impl Sink) {
        self.start(id);
        self.work.clear();
        self.work.push(id);
        while let Some(id) = self.work.pop() {
            let verified = self.versions[id as usize].verified;
            let retract = self.read(id, arrival, verified, sink);
            self.settle(id, retract, sink);
            self.start_successors(id);
        }
        self.finish_blocks(arrival, sink);
    }

    /// Starts a waiting version if it is known where its batch stands.
    fn start(&mut self, id: u32) {
        let version = &self.versions[id as usize];
        if version.scan.phase() != Phase::Waiting {
            return;
        }
        let Some(before) = version.set_number().checked_sub(1) else {
            let set = version.identity.fec_set_index;
            self.versions[id as usize].scan.start_fresh(set);
            return;
        };
        let (slot, root) = (version.identity.slot, version.chained_root);
        let before = self
            .versions_of(slot, before)
            .find(|id| self.versions[*id as usize].root == root);
        if let Some(before) = before {
            self.hand_over(before, id);
        }
    }

    /// Starts the versions of the next set that chain to `id`.
    fn start_successors(&mut self, id: u32) {
        let version = &self.versions[id as usize];
        if version.tail.is_none() {
            return;
        }
        let (slot, next, root) = (
            version.identity.slot,
            version.set_number() + 1,
            version.root,
        );
        let mut successor = self.versions_of(slot, next).next().unwrap_or(NONE);
        while successor != NONE {
            let candidate = &self.versions[successor as usize];
            let following = candidate.next;
            if candidate.chained_root == root
                && candidate.scan.phase() == Phase::Waiting
                && self.hand_over(id, successor)
            {
                self.work.push(successor);
            }
            successor = following;
        }
    }

    /// Starts `after` where `before` ends, if that is known.
    fn hand_over(&mut self, before: u32, after: u32) -> bool {
        let set = self.versions[after as usize].identity.fec_set_index;
        let to_slab = self.versions[after as usize].slab;
        let from = &self.versions[before as usize];
        let from_slab = from.slab;
        // Nothing may follow the set that ends the slot.
        if from.tail.is_some_and(|tail| tail.last_in_slot) {
            return false;
        }
        if from.tail.is_some_and(|tail| tail.data_complete) {
            self.versions[after as usize].scan.start_fresh(set);
            return true;
        }
        if from.scan.phase() != Phase::Done {
            return false;
        }
        let (from_scan, carried) = (from.scan, from.scan.carried_len());
        if carried > 0 {
            let Ok([from_slab, to_slab]) = self
                .slabs
                .get_disjoint_mut([from_slab as usize, to_slab as usize])
            else {
                // One of the two has lost its bytes, and with them the beginning of what crosses over.
                return false;
            };
            to_slab.carry[..carried].copy_from_slice(&from_slab.carry[..carried]);
        }
        self.versions[after as usize]
            .scan
            .continue_from(&from_scan, set);
        true
    }

    /// Reads what is contiguous in version `id`, and tells its transactions.
    fn read(
        &mut self,
        id: u32,
        arrival: Arrival,
        verified: bool,
        sink: &mut impl Sink,
    ) -> Option<Retract> {
        let Self {
            versions,
            slabs,
            window,
            sequence,
            counters,
            ..
        } = self;
        let version = &mut versions[id as usize];
        if version.slab == NONE || version.scan.phase() != Phase::Active {
            return None;
        }
        let (data, capacity) = (version.data, version.capacity());
        let void_before = window
            .get(version.identity.slot)
            .map_or(0, |state| state.void_before);
        let merkle_root = (version.root != [0; 32]).then_some(version.root);
        let mut teller = Teller {
            slot: version.identity.slot,
            set: version.identity.fec_set_index,
            merkle_root,
            verified,
            void_before,
            arrival,
            told: &mut version.told,
            retract: None,
            sequence,
            counters,
            sink,
        };
        let slab = &mut slabs[version.slab as usize];
        version.scan.run(
            slab,
            data,
            capacity,
            version.identity.fec_set_index,
            &mut teller,
        );
        teller.retract
    }

    /// Books what an authenticated reading brought: a retraction, or the end of the set.
    fn settle(&mut self, id: u32, retract: Option<Retract>, sink: &mut impl Sink) {
        let version = &mut self.versions[id as usize];
        let slot = version.identity.slot;
        if let Some(retract) = retract {
            if let Some(state) = self.window.get_mut(slot) {
                state.void_before = state
                    .void_before
                    .max(retract.before.0 as usize / SET_SHREDS);
            }
            match retract.reason {
                RetractReason::UpdateParent { .. } => self.counters.parent_updated += 1,
                RetractReason::Abandoned => self.counters.block_abandoned += 1,
            }
            sink.retract(&retract);
        }
        let version = &mut self.versions[id as usize];
        if version.scan.phase() == Phase::Done && !version.told.done {
            version.told.done = true;
            self.slab_pool.note_read(version.slab, id);
            self.finished.push(id);
            if let Some(state) = self.window.get_mut(slot) {
                state.unread -= 1;
            }
        }
    }

    /// Adds what was read to its end in this call to the blocks that it belongs to, and tells those that are whole.
    ///
    /// Cost: each version is added once, when it and all before it have been read.
    fn finish_blocks(&mut self, arrival: Arrival, sink: &mut impl Sink) {
        while let Some(id) = self.finished.pop() {
            let version = &self.versions[id as usize];
            if version.told.chain.is_some() {
                continue;
            }
            let Some(chain) = self.chain_through(version) else {
                continue;
            };
            if version.tail.is_some_and(|tail| tail.last_in_slot)
                && let Some(block) = self.block_end(version, &chain, arrival)
            {
                self.counters.block_completed += 1;
                sink.block(&block);
            }
            let (slot, next, root) = (
                version.identity.slot,
                version.set_number() + 1,
                version.root,
            );
            self.versions[id as usize].told.chain = Some(chain);
            let mut follower = self.versions_of(slot, next).next().unwrap_or(NONE);
            while follower != NONE {
                let candidate = &self.versions[follower as usize];
                if candidate.told.done
                    && candidate.told.chain.is_none()
                    && candidate.chained_root == root
                {
                    self.finished.push(follower);
                }
                follower = candidate.next;
            }
        }
    }

    /// Sums over the block up to `version`, which was read to its end; `None` while something before it is missing.
    fn chain_through(&self, version: &Version) -> Option<Chain> {
        if version.told.broken {
            return None;
        }
        let slot = version.identity.slot;
        let before = if let Some(parent_slot) = version.told.new_parent {
            // What came before in the slot is void.
            Chain::new(parent_slot)
        } else if let Some(before) = version.set_number().checked_sub(1) {
            self.versions_of(slot, before)
                .map(|id| &self.versions[id as usize])
                .find(|before| before.root == version.chained_root)?
                .told
                .chain?
        } else {
            Chain::new(Slot(
                slot.0.checked_sub(u64::from(version.tail?.parent_offset))?,
            ))
        };
        Some(before.and(&version.told))
    }

    fn block_end(&self, last: &Version, chain: &Chain, arrival: Arrival) -> Option<BlockEnd> {
        let slot = last.identity.slot;
        let ticks_due = self
            .plan
            .ticks_per_slot
            .saturating_mul(slot.0.saturating_sub(chain.parent_slot.0));
        Some(BlockEnd {
            slot,
            parent_slot: chain.parent_slot,
            blockhash: chain.last_hash?,
            last_root: last.root,
            transactions: chain.transactions,
            ticks: chain.ticks,
            ticks_complete: chain.footer || chain.ticks == ticks_due,
            at: arrival.at,
        })
    }
}

/// A version as it was before something unchecked was read into it.
struct Before {
    version: Version,
    counters: [u64; READING],
}

/// Telling before checking: for sources whose operator asked for it.
impl Resolver {
    /// As [`Resolver::take`], but the set's own transactions go out first. If the shred turns out not to belong
    /// to its set, they are revoked and the set is as it was.
    fn take_then_check(
        &mut self,
        id: u32,
        shred: &ShredView<'_>,
        arrival: Arrival,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        let before = self.keep(id);
        let from = self.sequence;
        self.store(id, shred);
        let missing = self.recover_unchecked(id);
        self.start(id);
        let retract = self.read(id, arrival, false, sink);
        let authentic = self.admit(id, shred);
        let recovered = authentic && (missing == 0 || self.admit_recovered(id, missing));
        self.tell_verdict(from, recovered, sink);
        if !recovered {
            self.undo(id, &before);
        }
        if !authentic {
            return Err(Reject::BadMerkleProof);
        }
        if recovered {
            self.counters.set_recovered += u64::from(missing != 0);
            self.counters.shred_recovered += u64::from(missing.count_ones());
            self.settle(id, retract, sink);
        } else {
            self.versions[id as usize].mark(shred);
            self.note_code_mismatch(id, sink);
        }
        self.after_authentication(id, arrival, sink);
        self.note_tail(id);
        self.advance(id, arrival, sink);
        Ok(())
    }

    /// As [`Resolver::take_then_check`] for the first shred of a set: root and signature are checked last.
    fn take_then_authenticate(
        &mut self,
        id: u32,
        shred: &ShredView<'_>,
        arrival: Arrival,
        leader: Leader,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        let from = self.sequence;
        let counters = self.counters.of_reading().map(|counter| *counter);
        self.store(id, shred);
        self.start(id);
        let retract = self.read(id, arrival, false, sink);
        let root = claimed_root(shred);
        let outcome = self.authenticate(&root, shred.signature(), leader);
        self.tell_verdict(from, outcome.is_ok(), sink);
        match outcome {
            Err(reason) => {
                self.discard_only(id);
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

    /// Puts candidates for all missing data shreds in place; which ones.
    fn recover_unchecked(&mut self, id: u32) -> u32 {
        let version = &mut self.versions[id as usize];
        if !version.is_recoverable() {
            return 0;
        }
        let missing = !version.data;
        self.slabs[version.slab as usize].recover(version.data, version.code, version.capacity());
        version.data = u32::MAX;
        missing
    }

    fn admit_recovered(&mut self, id: u32, missing: u32) -> bool {
        let version = &self.versions[id as usize];
        self.slabs[version.slab as usize].admit_recovered(
            missing,
            &version.identity,
            &version.chained_root,
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

/// Memory: versions and slabs come from pools, and only authenticated sets make others give way.
impl Resolver {
    /// Whether one more version of the shred's set would be told apart.
    fn check_versions(&self, shred: &ShredView<'_>, leader: Leader) -> Result<(), Reject> {
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        let versions_max = if leader == Leader::NoSource {
            VERSIONS_UNSIGNED_MAX
        } else {
            VERSIONS_SIGNED_MAX
        };
        if self.versions_of(shred.slot(), set).count() < versions_max {
            Ok(())
        } else {
            Err(Reject::VersionsExhausted)
        }
    }

    /// Opens a version for an authenticated shred, making room if need be.
    fn open(&mut self, shred: &ShredView<'_>, root: Root, verified: bool) -> Result<u32, Reject> {
        let slot = shred.slot();
        let (versions, unread) = self
            .window
            .get(slot)
            .map_or((0, 0), |state| (state.versions, state.unread));
        if self.free_versions.is_empty()
            && (versions >= self.versions.len().div_ceil(SHARE) || !self.give_up_lowest(slot))
        {
            return Err(Reject::VersionsExhausted);
        }
        if !self.slab_pool.has_free()
            && !self.reuse_read()
            && (unread >= self.slabs.len().div_ceil(SHARE) || !self.evict_lowest(slot))
        {
            return Err(Reject::SlabsExhausted);
        }
        let id = self
            .install(shred, root, verified)
            .ok_or(Reject::SlabsExhausted)?;
        self.counters.set_opened += 1;
        Ok(id)
    }

    /// Opens a version for a shred that nothing vouches for: only for a set that has none, and only from what
    /// is free.
    fn open_unchecked(&mut self, shred: &ShredView<'_>) -> Option<u32> {
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        if self.versions_of(shred.slot(), set).next().is_some() {
            return None;
        }
        self.install(shred, [0; 32], false)
    }

    fn install(&mut self, shred: &ShredView<'_>, root: Root, verified: bool) -> Option<u32> {
        if self.free_versions.is_empty() {
            return None;
        }
        let slab = self.slab_pool.take()?;
        let id = self.free_versions.pop()?;
        self.slabs[slab as usize].nodes.clear();
        self.versions[id as usize] = Version::open(shred, root, verified, slab);
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        let last = self.versions_of(shred.slot(), set).last();
        let state = self.window.open(shred.slot());
        state.versions += 1;
        state.unread += 1;
        match last {
            Some(last) => self.versions[last as usize].next = id,
            None => {
                state.sets[set] = id;
                state.sets_end = state.sets_end.max(set + 1);
            }
        }
        Some(id)
    }

    /// Frees the only version of its set, and closes its slot if nothing else is in it.
    fn discard_only(&mut self, id: u32) {
        let version = &self.versions[id as usize];
        let (slot, set) = (version.identity.slot, version.set_number());
        self.free(id);
        if let Some(state) = self.window.get_mut(slot) {
            state.sets[set] = NONE;
            state.versions -= 1;
            state.unread -= 1;
            if state.versions == 0 {
                state.close();
            }
        }
    }

    fn free(&mut self, id: u32) {
        let slab = std::mem::replace(&mut self.versions[id as usize], Version::vacant()).slab;
        if slab != NONE {
            self.slab_pool.give_back(slab);
        }
        self.free_versions.push(id);
    }

    /// Takes the bytes of the set that was read to its end longest ago.
    fn reuse_read(&mut self) -> bool {
        let Some(id) = self.slab_pool.oldest_read() else {
            return false;
        };
        let cut_off = self.versions[id as usize].scan.carried_len() > 0 && !self.is_followed(id);
        self.counters.set_evicted += u64::from(cut_off);
        self.slab_pool.give_back(std::mem::replace(
            &mut self.versions[id as usize].slab,
            NONE,
        ));
        true
    }

    /// Whether the set after version `id` has gone on with what that carried over.
    fn is_followed(&self, id: u32) -> bool {
        let version = &self.versions[id as usize];
        self.versions_of(version.identity.slot, version.set_number() + 1)
            .map(|id| &self.versions[id as usize])
            .any(|next| next.chained_root == version.root && next.scan.phase() != Phase::Waiting)
    }

    /// Takes the bytes of the lowest slot below `slot` that has some.
    fn evict_lowest(&mut self, slot: Slot) -> bool {
        let Some(lowest) = self
            .window
            .lowest(|state| state.unread > 0 && state.slot < slot)
        else {
            return false;
        };
        let sets = self.window.get(lowest).map_or(0, |state| state.sets_end);
        for set in 0..sets {
            let mut id = self.versions_of(lowest, set).next().unwrap_or(NONE);
            while id != NONE {
                let version = &mut self.versions[id as usize];
                id = version.next;
                if version.slab != NONE && !version.told.done {
                    self.counters.set_evicted += 1;
                    self.slab_pool
                        .give_back(std::mem::replace(&mut version.slab, NONE));
                }
            }
        }
        if let Some(state) = self.window.get_mut(lowest) {
            state.unread = 0;
        }
        true
    }

    /// Forgets the lowest slot below `slot`, and that it was worked on.
    fn give_up_lowest(&mut self, slot: Slot) -> bool {
        let Some(lowest) = self
            .window
            .lowest(|state| state.versions > 0 && state.slot < slot)
        else {
            return false;
        };
        self.window.raise_floor(lowest);
        self.close(lowest);
        true
    }

    fn close_leaving(&mut self) {
        while let Some(slot) = self.window.leaving() {
            self.close(slot);
        }
    }

    fn close(&mut self, slot: Slot) {
        let sets = self.window.get(slot).map_or(0, |state| state.sets_end);
        for set in 0..sets {
            let mut id = self.versions_of(slot, set).next().unwrap_or(NONE);
            while id != NONE {
                let version = &self.versions[id as usize];
                let (next, unread) = (version.next, version.slab != NONE && !version.told.done);
                self.counters.set_evicted += u64::from(unread && version.is_whole());
                self.free(id);
                id = next;
            }
        }
        if let Some(state) = self.window.get_mut(slot) {
            state.close();
        }
    }
}

/// Stands between a scan and the sink: adds what the scan does not know.
struct Teller<'a, S> {
    slot: Slot,
    set: FecSetIndex,
    merkle_root: Option<Root>,
    verified: bool,
    void_before: usize,
    arrival: Arrival,
    told: &'a mut Told,
    retract: Option<Retract>,
    sequence: &'a mut u64,
    counters: &'a mut Counters,
    sink: &'a mut S,
}

impl<S: Sink> ScanSink for Teller<'_, S> {
    #[inline]
    fn transaction(&mut self, bytes: &[u8], scan: &TxnScan, origin: FecSetIndex) {
        self.told.transactions += 1;
        let Ok(view) = TxnView::from_scan(scan, bytes) else {
            self.counters.transaction_malformed += 1;
            return;
        };
        self.counters.transaction += 1;
        self.counters.transaction_unverified += u64::from(!self.verified);
        let sequence = *self.sequence;
        *self.sequence += 1;
        self.sink.transaction(&ResolvedTxn {
            view,
            slot: self.slot,
            fec_set_index: origin,
            merkle_root: self.merkle_root,
            verified: self.verified,
            retracted: (self.set.0 as usize / SET_SHREDS) < self.void_before,
            sequence,
            at: self.arrival.at,
            source: self.arrival.source,
        });
    }

    fn entry(&mut self, head: &EntryHead<'_>) {
        self.told.ticks += u64::from(head.is_tick());
        self.told.last_hash = Some(*head.hash());
    }

    fn marker(&mut self, marker: &Marker<'_>) {
        self.counters.marker += 1;
        match marker {
            Marker::UpdateParent(parent) => {
                self.told.new_parent = Some(parent.slot);
                self.retract = Some(Retract {
                    slot: self.slot,
                    before: self.set,
                    reason: RetractReason::UpdateParent {
                        parent_slot: parent.slot,
                    },
                });
            }
            Marker::Footer(_) => self.told.footer = true,
            _ => {}
        }
    }

    fn batch_end(&mut self, end: BatchEnd) {
        match end {
            BatchEnd::Whole => self.counters.batch_completed += 1,
            BatchEnd::Malformed => {
                self.told.broken = true;
                self.counters.batch_malformed += 1;
            }
            BatchEnd::Empty => {
                self.told.broken = true;
                self.retract = Some(Retract {
                    slot: self.slot,
                    before: FecSetIndex(self.set.0.saturating_add(SET_SHREDS as u32)),
                    reason: RetractReason::Abandoned,
                });
            }
        }
    }
}
