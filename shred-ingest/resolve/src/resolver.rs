//! From datagrams to transactions.

use crate::leader::{Leader, Leaders, SignatureCheck};
use crate::merkle::{Root, claimed_root};
use crate::plan::{Plan, Policy};
use crate::reject::{Counters, Reject};
use crate::scan::{BatchEnd, Phase, ScanSink};
use crate::sink::{BlockEnd, Equivocation, ResolvedTxn, Retract, RetractReason, Sink, Verdict};
use crate::slab::Slab;
use crate::version::{NONE, Tail, Told, Version};
use crate::window::{Place, Window};
use shred_wire::batch::{EntryHead, Marker};
use shred_wire::shred::{SET_SHREDS, SIGNATURE_LEN, ShredView};
use shred_wire::txn::{TxnScan, TxnView};
use shred_wire::{FecSetIndex, Nanos, Slot, SourceId};
use std::collections::VecDeque;

/// Versions of one set that are told apart when the leader's signature vouches for each.
const VERSIONS_SIGNED_MAX: usize = 2;
/// As above when signatures cannot be checked, and a corrupted shred looks like a version of its own.
const VERSIONS_UNSIGNED_MAX: usize = 4;

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
    free_slabs: Vec<u32>,
    /// Versions that were read to their end, oldest first: their slabs are reused before any other's.
    done: VecDeque<u32>,
    /// Versions to read in the current call.
    work: Vec<u32>,
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
            window: Window::new(plan.slots_behind, plan.slots_ahead, plan.resync_after, sets_per_slot),
            versions: (0..plan.versions_max).map(|_| Version::vacant()).collect(),
            free_versions: (0..plan.versions_max as u32).rev().collect(),
            slabs: (0..plan.sets_max).map(|_| Slab::new()).collect(),
            free_slabs: (0..plan.sets_max as u32).rev().collect(),
            done: VecDeque::with_capacity(plan.versions_max + 1),
            work: Vec::with_capacity(plan.versions_max),
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
        if self.plan.shred_version.is_some_and(|version| version != shred.version()) {
            return Err(Reject::ForeignVersion);
        }
        let place = self.window.place(shred.slot(), arrival.at);
        if place == Place::Outside {
            return Err(Reject::SlotOutOfWindow);
        }
        let leader = leaders.leader(shred.slot());
        if leader == Leader::Unnamed {
            return Err(Reject::NoLeader);
        }
        let early = arrival.policy == Policy::EmitThenVerify;
        match self.find(&shred, |version| version.signed_by(shred.signature())) {
            Some(id) if self.versions[id as usize].is_trusted() => {
                self.check_fit(id, &shred)?;
                if early {
                    return self.take_then_check(id, &shred, arrival, sink);
                }
                if self.admit(id, &shred) {
                    self.take(id, &shred, arrival, sink);
                    return Ok(());
                }
                if self.versions[id as usize].verified {
                    return Err(Reject::BadMerkleProof);
                }
            }
            None if early && place == Place::Inside => {
                if let Some(id) = self.open_unchecked(&shred) {
                    return self.take_then_authenticate(id, &shred, arrival, leader, sink);
                }
            }
            _ => {}
        }
        self.authenticate_then_take(&shred, place, arrival, leader, sink)
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
        let verified = self.authenticate(&root, shred.signature(), leader)?;
        if place == Place::OnProof {
            self.counters.window_resynced += u64::from(self.window.highest().is_some());
            self.window.anchor(shred.slot());
            self.close_leaving();
        }
        let id = match self.find(shred, |version| version.root == root) {
            Some(id) => {
                self.check_fit(id, shred)?;
                let version = &mut self.versions[id as usize];
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
        let Leader::Identity(key) = leader else { return Ok(false) };
        let signed = self.signatures.verify(&key, root, signature);
        self.counters.signature_checked = self.signatures.checked;
        if signed { Ok(true) } else { Err(Reject::BadLeaderSignature) }
    }

    /// The first version of the shred's set that `wanted` says yes to.
    #[inline]
    fn find(&self, shred: &ShredView<'_>, wanted: impl Fn(&Version) -> bool) -> Option<u32> {
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        self.versions_of(shred.slot(), set).find(|id| wanted(&self.versions[*id as usize]))
    }

    #[inline]
    fn versions_of(&self, slot: Slot, set: usize) -> impl Iterator<Item = u32> + '_ {
        let first = self.window.get(slot).and_then(|state| state.sets.get(set)).copied().unwrap_or(NONE);
        std::iter::successors(Some(first), |id| Some(self.versions.get(*id as usize)?.next))
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
        if same_set { Ok(()) } else { Err(Reject::SetMismatch) }
    }

    #[inline]
    fn admit(&mut self, id: u32, shred: &ShredView<'_>) -> bool {
        let version = &self.versions[id as usize];
        self.slabs[version.slab as usize].nodes.admit(shred, &version.root)
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
        let version = self.versions[id as usize];
        self.window.note_authentic(arrival.at);
        if version.is_trusted() && self.window.highest().is_none_or(|highest| version.identity.slot > highest) {
            self.window.raise(version.identity.slot);
            self.close_leaving();
        }
        if !version.equivocated && version.is_trusted() {
            self.report_equivocation(id, sink);
        }
    }

    fn report_equivocation(&mut self, id: u32, sink: &mut impl Sink) {
        let version = self.versions[id as usize];
        let (slot, set) = (version.identity.slot, version.set_number());
        let Some(other) =
            self.versions_of(slot, set).find(|other| *other != id && self.versions[*other as usize].is_trusted())
        else {
            return;
        };
        self.versions[id as usize].equivocated = true;
        self.versions[other as usize].equivocated = true;
        self.counters.equivocation += 1;
        sink.equivocation(&Equivocation {
            slot,
            fec_set_index: version.identity.fec_set_index,
            merkle_roots: [self.versions[other as usize].root, version.root],
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
        let tail = Tail {
            data_complete: head.data_complete(),
            last_in_slot: head.last_in_slot(),
            parent_offset: head.parent_offset(),
        };
        version.tail = Some(tail);
        let set = version.set_number();
        if tail.last_in_slot
            && let Some(state) = self.window.get_mut(version.identity.slot)
        {
            state.last_set = Some(set);
        }
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
        self.finish_block(self.versions[id as usize].identity.slot, arrival, sink);
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
        let before = self.versions_of(slot, before).find(|id| self.versions[*id as usize].root == root);
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
        let (slot, next, root) = (version.identity.slot, version.set_number() + 1, version.root);
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
        let (from, set) = (self.versions[before as usize], self.versions[after as usize].identity.fec_set_index);
        let scan = &mut self.versions[after as usize].scan;
        if from.tail.is_some_and(|tail| tail.data_complete) {
            scan.start_fresh(set);
            return true;
        }
        if from.scan.phase() != Phase::Done || from.slab == NONE {
            return false;
        }
        scan.continue_from(&from.scan, set);
        let (from_slab, to_slab) = (from.slab as usize, self.versions[after as usize].slab as usize);
        if let Ok([from_slab, to_slab]) = self.slabs.get_disjoint_mut([from_slab, to_slab]) {
            let carried = from.scan.carried_len();
            to_slab.carry[..carried].copy_from_slice(&from_slab.carry[..carried]);
        }
        true
    }

    /// Reads what is contiguous in version `id`, and tells its transactions.
    fn read(&mut self, id: u32, arrival: Arrival, verified: bool, sink: &mut impl Sink) -> Option<Retract> {
        let Self { versions, slabs, window, sequence, counters, .. } = self;
        let version = &mut versions[id as usize];
        if version.slab == NONE || version.scan.phase() != Phase::Active {
            return None;
        }
        let (data, capacity) = (version.data, version.capacity());
        let void_before = window.get(version.identity.slot).map_or(0, |state| state.void_before);
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
        version.scan.run(slab, data, capacity, version.identity.fec_set_index, &mut teller);
        teller.retract
    }

    /// Books what an authenticated reading brought: a retraction, or the end of the set.
    fn settle(&mut self, id: u32, retract: Option<Retract>, sink: &mut impl Sink) {
        let version = &mut self.versions[id as usize];
        let slot = version.identity.slot;
        if let Some(retract) = retract {
            if let Some(state) = self.window.get_mut(slot) {
                state.void_before = state.void_before.max(retract.before.0 as usize / SET_SHREDS);
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
            if let Some(state) = self.window.get_mut(slot) {
                state.done += 1;
            }
            if self.done.len() == self.versions.len() {
                self.done.pop_front();
            }
            self.done.push_back(id);
        }
    }

    /// Tells the block of `slot` if a chain of read sets leads from its last set to its first.
    fn finish_block(&mut self, slot: Slot, arrival: Arrival, sink: &mut impl Sink) {
        let Some(state) = self.window.get(slot) else { return };
        let Some(last) = state.last_set else { return };
        if state.done <= last {
            return;
        }
        let mut id = self.versions_of(slot, last).next().unwrap_or(NONE);
        while id != NONE {
            if !self.versions[id as usize].told.block
                && let Some(block) = self.walk_block(id, arrival)
            {
                self.versions[id as usize].told.block = true;
                self.counters.block_completed += 1;
                sink.block(&block);
            }
            id = self.versions[id as usize].next;
        }
    }

    /// Adds up the block that ends in version `id`, from its last set backwards.
    fn walk_block(&self, id: u32, arrival: Arrival) -> Option<BlockEnd> {
        let last = &self.versions[id as usize];
        let slot = last.identity.slot;
        if !last.tail?.last_in_slot {
            return None;
        }
        let (mut transactions, mut ticks, mut blockhash, mut footer) = (0, 0, None, false);
        let mut version = last;
        let parent_slot = loop {
            if !version.told.done || version.told.abandoned {
                return None;
            }
            transactions += version.told.transactions;
            ticks += version.told.ticks;
            footer |= version.told.footer;
            blockhash = blockhash.or(version.told.last_hash);
            if let Some(parent_slot) = version.told.new_parent {
                break parent_slot;
            }
            let Some(before) = version.set_number().checked_sub(1) else {
                break Slot(slot.0.checked_sub(u64::from(version.tail?.parent_offset))?);
            };
            let before = self
                .versions_of(slot, before)
                .find(|before| self.versions[*before as usize].root == version.chained_root)?;
            version = &self.versions[before as usize];
        };
        let ticks_due = self.plan.ticks_per_slot.saturating_mul(slot.0.saturating_sub(parent_slot.0));
        Some(BlockEnd {
            slot,
            parent_slot,
            blockhash: blockhash?,
            last_root: last.root,
            transactions,
            ticks,
            ticks_complete: footer || ticks == ticks_due,
            at: arrival.at,
        })
    }
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
        let before = self.versions[id as usize];
        let from = self.sequence;
        self.store(id, shred);
        let missing = self.recover_unchecked(id);
        self.start(id);
        let retract = self.read(id, arrival, false, sink);
        let authentic = self.admit(id, shred);
        let recovered = authentic && (missing == 0 || self.admit_recovered(id, missing));
        self.tell_verdict(from, recovered, sink);
        if !recovered {
            self.versions[id as usize] = before;
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
        self.store(id, shred);
        self.start(id);
        let retract = self.read(id, arrival, false, sink);
        let root = claimed_root(shred);
        let outcome = self.authenticate(&root, shred.signature(), leader);
        self.tell_verdict(from, outcome.is_ok(), sink);
        match outcome {
            Err(reason) => {
                self.discard_only(id);
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
        self.slabs[version.slab as usize].admit_recovered(missing, &version.identity, &version.chained_root)
    }

    fn tell_verdict(&mut self, from: u64, authentic: bool, sink: &mut impl Sink) {
        if self.sequence == from {
            return;
        }
        if !authentic {
            self.counters.transaction_revoked += self.sequence - from;
        }
        sink.verdict(&Verdict { from, to: self.sequence, authentic });
    }
}

/// Memory: versions and slabs come from pools, and only authenticated sets make others give way.
impl Resolver {
    /// Opens a version for an authenticated shred, making room if need be.
    fn open(
        &mut self,
        shred: &ShredView<'_>,
        root: Root,
        verified: bool,
    ) -> Result<u32, Reject> {
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        let versions_max = if verified { VERSIONS_SIGNED_MAX } else { VERSIONS_UNSIGNED_MAX };
        if self.versions_of(shred.slot(), set).count() >= versions_max {
            return Err(Reject::VersionsExhausted);
        }
        if self.free_versions.is_empty() && !self.give_up_lowest(shred.slot()) {
            return Err(Reject::VersionsExhausted);
        }
        if self.free_slabs.is_empty() && !self.reuse_done() && !self.evict_lowest(shred.slot()) {
            return Err(Reject::SlabsExhausted);
        }
        let id = self.install(shred, root, verified).ok_or(Reject::SlabsExhausted)?;
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
        let slab = self.free_slabs.pop()?;
        let id = self.free_versions.pop()?;
        self.slabs[slab as usize].nodes.clear();
        self.versions[id as usize] = Version::open(shred, root, verified, slab);
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        let last = self.versions_of(shred.slot(), set).last();
        match last {
            Some(last) => self.versions[last as usize].next = id,
            None => {
                let state = self.window.open(shred.slot());
                state.sets[set] = id;
                state.sets_end = state.sets_end.max(set + 1);
            }
        }
        Some(id)
    }

    /// Frees the only version of its set.
    fn discard_only(&mut self, id: u32) {
        let version = self.versions[id as usize];
        if let Some(state) = self.window.get_mut(version.identity.slot) {
            state.sets[version.set_number()] = NONE;
        }
        self.free(id);
    }

    fn free(&mut self, id: u32) {
        let slab = std::mem::replace(&mut self.versions[id as usize], Version::vacant()).slab;
        if slab != NONE {
            self.free_slabs.push(slab);
        }
        self.free_versions.push(id);
    }

    /// Takes the bytes of the set that was read to its end longest ago.
    fn reuse_done(&mut self) -> bool {
        while let Some(id) = self.done.pop_front() {
            let version = &mut self.versions[id as usize];
            if version.told.done && version.slab != NONE {
                self.free_slabs.push(version.slab);
                version.slab = NONE;
                return true;
            }
        }
        false
    }

    /// Takes the bytes of the lowest slot below `slot`.
    fn evict_lowest(&mut self, slot: Slot) -> bool {
        let Some(lowest) = self.window.lowest_open().filter(|lowest| *lowest < slot) else { return false };
        let sets = self.window.get(lowest).map_or(0, |state| state.sets_end);
        for set in 0..sets {
            let mut id = self.versions_of(lowest, set).next().unwrap_or(NONE);
            while id != NONE {
                let version = &mut self.versions[id as usize];
                id = version.next;
                if version.slab != NONE {
                    self.counters.set_evicted += u64::from(!version.told.done);
                    self.free_slabs.push(version.slab);
                    version.slab = NONE;
                }
            }
        }
        if self.free_slabs.is_empty() {
            // Nothing was left in it: forget the slot and look at the next.
            self.window.raise_floor(lowest);
            self.close(lowest);
            return self.evict_lowest(slot);
        }
        true
    }

    /// Forgets the lowest slot below `slot`, and that it was worked on.
    fn give_up_lowest(&mut self, slot: Slot) -> bool {
        let Some(lowest) = self.window.lowest_open().filter(|lowest| *lowest < slot) else { return false };
        self.window.raise_floor(lowest);
        self.close(lowest);
        !self.free_versions.is_empty() || self.give_up_lowest(slot)
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
                    reason: RetractReason::UpdateParent { parent_slot: parent.slot },
                });
            }
            Marker::Footer(_) => self.told.footer = true,
            _ => {}
        }
    }

    fn batch_end(&mut self, end: BatchEnd) {
        match end {
            BatchEnd::Whole => self.counters.batch_completed += 1,
            BatchEnd::Malformed => self.counters.batch_malformed += 1,
            BatchEnd::Empty => {
                self.told.abandoned = true;
                self.retract = Some(Retract {
                    slot: self.slot,
                    before: FecSetIndex(self.set.0.saturating_add(SET_SHREDS as u32)),
                    reason: RetractReason::Abandoned,
                });
            }
        }
    }
}
