//! From datagrams to transactions.

mod blocks;
mod deferred;
mod early;
mod memory;
mod reading;

pub(crate) use deferred::Awaited;
pub use deferred::{Check, Checked, Checker, Ticket};

pub(crate) use deferred::Deferral;

use crate::burst::{Arrived, Shred};
use crate::leader::{Leader, Leaders, SignatureCheck};
use crate::merkle::{Node, Root, claimed_root};
use crate::plan::{Plan, Policy};
use crate::pool::SlabPool;
use crate::reject::{Counters, Reject};
use crate::sha256::{HashKernel, LANES_MAX, LeafJob, leaf_hashes};
use crate::sink::{Equivocation, Sink};
use crate::slab::{CARRY_LEN, Slab};
use crate::version::{NONE, Tail, Version};
use crate::window::{Place, Window};
use shred_wire::shred::{NODE_LEN, SET_SHREDS, SIGNATURE_LEN};
use shred_wire::{Nanos, Slot, SourceId};

/// How far ahead of the datagram that is handled the processor is told which bytes will be wanted: not much longer than
/// memory takes, since a shred of a trusted source takes some 300 ns (`bench -- shreds`).
const PREFETCH_AHEAD: usize = 2;

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
    hashing: &'static HashKernel,
    signatures: SignatureCheck,
    deferral: Deferral,
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
            hashing: HashKernel::best(),
            signatures: SignatureCheck::new(),
            deferral: Deferral::new(plan.checks_max, plan.versions_max),
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
        self.handle_in(&[Arrived::new(datagram, arrival)], 0, leaders, sink)
    }

    /// As [`Resolver::handle`] for the datagram at `index` of a burst. What comes of it is the same as if it had come
    /// alone; the leaves of those behind it may be hashed together with its own.
    ///
    /// # Errors
    /// As [`Resolver::handle`].
    ///
    /// # Panics
    /// When there is nothing at `index`.
    #[inline]
    pub fn handle_in(
        &mut self,
        burst: &[Arrived<'_>],
        index: usize,
        leaders: &impl Leaders,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        self.counters.datagram += 1;
        if let Some(coming) = burst.get(index + PREFETCH_AHEAD) {
            coming.prefetch();
        }
        let outcome = self.sort(burst, index, leaders, sink);
        match outcome {
            Ok(()) => self.counters.shred_accepted += 1,
            Err(reason) => self.counters.rejected[reason.index()] += 1,
        }
        outcome
    }

    /// Chooses the way a datagram goes: its set is known, it is to be told before it is checked, or neither.
    fn sort(
        &mut self,
        burst: &[Arrived<'_>],
        index: usize,
        leaders: &impl Leaders,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        let arrival = burst[index].arrival();
        let shred = Shred::new(burst[index].view(&self.plan.limits)?, burst, index);
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
        if arrival.policy == Policy::Trusted {
            return self.sort_trusted(&shred, place, arrival, leaders, sink);
        }
        let early = arrival.policy == Policy::EmitThenVerify;
        let expects = |version: &Version| version.expects(shred.signature());
        let expected = self
            .find(&shred, |version| !version.vouched && expects(version))
            .or_else(|| self.find(&shred, expects));
        if let Some(id) = expected {
            let outcome = if self.versions[id as usize].awaited.is_some() {
                self.take_meanwhile(id, &shred, arrival, sink)
            } else {
                self.take_known(id, &shred, early, arrival, sink)
            };
            let is_signed = self.versions[id as usize].is_signed();
            let is_settled = match outcome {
                Ok(()) => true,
                Err(Reject::BadMerkleProof) => is_signed,
                Err(_) => is_signed || self.belongs(id, &shred),
            };
            if is_settled {
                return outcome;
            }
        }
        let leader = leaders.leader(shred.slot());
        if leader == Leader::Unnamed {
            return Err(Reject::NoLeader);
        }
        if early && place == Place::Inside && self.is_new(&shred) {
            let defers = self.defers(&shred, leader, arrival)?;
            if let Some(id) = self.open_unchecked(&shred) {
                return self.take_then_authenticate(id, &shred, arrival, leader, defers, sink);
            }
        }
        self.authenticate_then_take(&shred, place, arrival, leader, sink)
    }

    /// Takes a shred that carries the signature of version `id`, whose root is beyond doubt.
    #[inline]
    fn take_known(
        &mut self,
        id: u32,
        shred: &Shred<'_, '_>,
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

    /// Takes a shred of a trusted source. Its signature alone says which version it is of, once that is verified.
    #[inline]
    fn sort_trusted(
        &mut self,
        shred: &Shred<'_, '_>,
        place: Place,
        arrival: Arrival,
        leaders: &impl Leaders,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        let known = self.find(shred, |version| {
            version.verified && version.signed_by(shred.signature())
        });
        let Some(id) = known else {
            let leader = leaders.leader(shred.slot());
            if leader == Leader::Unnamed {
                return Err(Reject::NoLeader);
            }
            return self.authenticate_then_take(shred, place, arrival, leader, sink);
        };
        self.check_fit(id, shred)?;
        if self.versions[id as usize].is_recoverable_with(shred) {
            // Hashing what is recovered takes several times as long as reading it.
            return self.take_then_check(id, shred, arrival, sink);
        }
        self.admit(id, shred);
        self.take(id, shred, arrival, sink);
        Ok(())
    }

    /// Whether a shred that carries the signature of version `id` is of that version. Without leaders anyone can
    /// copy a signature onto a set of their own, and the set that it was copied from must not be refused for it.
    ///
    /// Bytes are compared, and nothing is hashed: half of what arrives is surplus to its set.
    fn belongs(&self, id: u32, shred: &Shred<'_, '_>) -> bool {
        let version = &self.versions[id as usize];
        if version.slab == NONE || version.chained_root != *shred.chained_root() {
            return false;
        }
        let slab = &self.slabs[version.slab as usize];
        // A code shred that is surplus to its set was not kept; its proof names the root of the set's data.
        slab.nodes.agrees_with(shred) && (!version.has(shred) || slab.holds(shred))
    }

    /// Authenticates a shred by its own proof and signature, opening a version of its set if need be.
    fn authenticate_then_take(
        &mut self,
        shred: &Shred<'_, '_>,
        place: Place,
        arrival: Arrival,
        leader: Leader,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        let root = claimed_root(shred, &self.leaf(shred));
        let known = self.find(shred, |version| version.root == root);
        // What would not be used need not be verified either, which costs far more than a hash.
        match known {
            Some(id) if self.versions[id as usize].awaited.is_some() => {
                self.versions[id as usize].note_other_signature(shred.signature());
                return self.take_meanwhile(id, shred, arrival, sink);
            }
            Some(id) => {
                self.check_fit(id, shred)?;
                if arrival.policy != Policy::Trusted {
                    self.versions[id as usize].check_patience()?;
                }
            }
            None => self.check_versions(shred, leader)?,
        }
        if known.is_none() && place == Place::Inside {
            self.signatures.check_bad(&root, shred.signature())?;
            if self.defers(shred, leader, arrival)?
                && let Some(id) = self.open_awaited(shred, root, leader, arrival)
            {
                return self.take_meanwhile(id, shred, arrival, sink);
            }
        }
        let verified = match self.authenticate(&root, shred.signature(), leader, arrival) {
            Ok(verified) => verified,
            Err(reason) => {
                if let Some(id) = known {
                    self.versions[id as usize].bad_signatures += 1;
                }
                return Err(reason);
            }
        };
        if place == Place::OnProof {
            self.counters.window_resynced += u64::from(self.window.highest().is_some());
            self.window.anchor(shred.slot());
            self.close_leaving();
        }
        let id = match known {
            Some(id) => {
                let version = &mut self.versions[id as usize];
                version.vouched &= !verified || arrival.policy == Policy::Trusted;
                version.verified |= verified;
                version.note_other_signature(shred.signature());
                id
            }
            None => {
                let id = self.open(shred, root, verified)?;
                self.versions[id as usize].vouched = arrival.policy == Policy::Trusted;
                id
            }
        };
        if !self.admit(id, shred) {
            return Err(Reject::BadMerkleProof);
        }
        self.take(id, shred, arrival, sink);
        Ok(())
    }

    /// `Ok(true)`: the leader signed `root`, or whoever sent it vouches for that. `Ok(false)`: there is nobody to ask.
    fn authenticate(
        &mut self,
        root: &Root,
        signature: &[u8; SIGNATURE_LEN],
        leader: Leader,
        arrival: Arrival,
    ) -> Result<bool, Reject> {
        if arrival.policy == Policy::Trusted {
            return Ok(true);
        }
        let Leader::Identity(key) = leader else {
            return Ok(false);
        };
        let signed = self.signatures.verify(&key, root, signature);
        self.counters.signature_checked = self.signatures.checked;
        self.deferral.note(arrival.source, signed);
        if signed {
            Ok(true)
        } else {
            Err(Reject::BadLeaderSignature)
        }
    }

    /// The first version of the shred's set that `wanted` says yes to.
    #[inline]
    fn find(&self, shred: &Shred<'_, '_>, wanted: impl Fn(&Version) -> bool) -> Option<u32> {
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
    fn check_fit(&self, id: u32, shred: &Shred<'_, '_>) -> Result<(), Reject> {
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

    /// The hash of the shred's leaf, worked out together with those behind it in the burst that will be asked for.
    #[inline]
    fn leaf(&self, shred: &Shred<'_, '_>) -> Node {
        if let Some(leaf) = shred.leaf() {
            return leaf;
        }
        let mut together = [*shred; LANES_MAX];
        let mut count = 1;
        let lanes = self.hashing.lanes();
        // As many again may be of no use: half of what arrives is surplus.
        for behind in shred.behind(2 * lanes, &self.plan.limits) {
            if count == lanes {
                break;
            }
            if self.is_wanted(&behind) {
                together[count] = behind;
                count += 1;
            }
        }
        let mut leaves = [[0; NODE_LEN]; LANES_MAX];
        let jobs = together
            .each_ref()
            .map(|shred| LeafJob::Received(shred.leaf_bytes()));
        leaf_hashes(self.hashing, &jobs[..count], &mut leaves[..count]);
        for (shred, leaf) in together.iter().zip(leaves).take(count) {
            shred.set_leaf(leaf);
        }
        leaves[0]
    }

    /// Whether a leaf that is hashed now is likely to be asked for.
    #[inline]
    fn is_wanted(&self, shred: &Shred<'_, '_>) -> bool {
        let version = shred.version();
        shred.arrival().policy != Policy::Trusted
            && self.plan.shred_version.is_none_or(|own| own == version)
            && self
                .find(shred, |version| version.expects(shred.signature()))
                .is_none_or(|id| self.check_fit(id, shred).is_ok())
    }

    /// Whether the shred is of version `id`: by its proof or, if a trusted source sent it, because that says so.
    #[inline]
    fn admit(&mut self, id: u32, shred: &Shred<'_, '_>) -> bool {
        if shred.arrival().policy == Policy::Trusted {
            let slab = self.versions[id as usize].slab;
            self.slabs[slab as usize].nodes.believe(shred);
            return true;
        }
        let leaf = self.leaf(shred);
        let version = &self.versions[id as usize];
        self.slabs[version.slab as usize]
            .nodes
            .admit(shred, &leaf, &version.root)
    }

    /// Puts an authenticated shred in its place and tells all that follows from it.
    fn take(&mut self, id: u32, shred: &Shred<'_, '_>, arrival: Arrival, sink: &mut impl Sink) {
        self.store(id, shred);
        self.after_authentication(id, arrival, sink);
        if self.versions[id as usize].is_recoverable() {
            self.recover(id, sink);
        }
        self.note_tail(id);
        self.advance(id, arrival, sink);
    }

    fn store(&mut self, id: u32, shred: &Shred<'_, '_>) {
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
        self.tell_link(id, arrival, sink);
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
            && slab.admit_recovered(
                missing,
                &version.identity,
                &version.chained_root,
                self.hashing,
            )
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
}
