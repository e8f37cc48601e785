//! Distinct, authentic shreds, one at a time: what a relay passes on.
//!
//! The same rules as a [`Resolver`](crate::Resolver)'s (window, versions of sets, proofs, signatures), without the
//! bytes: nothing is kept of a shred but that it was there. A resolver refuses what is surplus to a set; a relay
//! passes it on, because the next hop loses shreds of its own.

use std::ops::ControlFlow;

use crate::leader::{Leader, Leaders, SignatureCheck};
use crate::merkle::{Node, NodeCache, Root, claimed_root};
use crate::reject::Reject;
use crate::resolver::{Arrival, Deferral};
use crate::sha256::{HashKernel, LeafJob, leaf_hashes};
use crate::version::NONE;
use crate::window::{Place, Window};
use shred_wire::shred::{NODE_LEN, SET_SHREDS, SIGNATURE_LEN, ShredLimits, ShredView};
use shred_wire::{Nanos, Slot};

/// Versions of one set that are told apart: pairs of root and signature. A corrupted shred looks like a version of
/// its own where signatures cannot be checked.
const VERSIONS_PER_SET: usize = 4;
/// A slot that holds more than one part in this many of the versions makes no other slot give way.
const SHARE: usize = 8;

/// What a [`Sieve`] is built from. Everything is allocated at construction.
#[derive(Clone, Debug)]
pub struct SievePlan {
    /// Only shreds of this version pass; `None` lets any.
    pub shred_version: Option<u16>,
    /// The cluster's limits.
    pub limits: ShredLimits,
    /// Slots below the highest authenticated one that pass.
    pub slots_behind: u64,
    /// Slots above the highest authenticated one that pass.
    pub slots_ahead: u64,
    /// With nothing authenticated for this long, an authenticated shred outside the window moves the window.
    pub resync_after: Nanos,
    /// Versions of sets that are remembered; about 2.8 KB each. To be at least the window's slots times the sets of
    /// a block: when all are in use the lowest slot is given up, and a slot that has an eighth of them gets no more.
    pub versions_max: usize,
    /// Whether Merkle proofs are checked and, where leaders are known, signatures. Without, whoever reaches the
    /// sources can have anything that has a shred's shape passed on, and can keep true shreds from being passed on by
    /// sending shreds with their numbers and signature first.
    pub authenticate: bool,
}

impl Default for SievePlan {
    /// The window of [`Plan`](crate::Plan), memory for a hundred sets in each of its slots: about 20 MB.
    fn default() -> Self {
        let plan = crate::Plan::default();
        Self {
            shred_version: None,
            limits: plan.limits,
            slots_behind: plan.slots_behind,
            slots_ahead: plan.slots_ahead,
            resync_after: plan.resync_after,
            versions_max: 6400,
            authenticate: true,
        }
    }
}

/// What a [`Sieve`] has seen. Refusals are its caller's to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SieveCounters {
    /// Versions of sets opened.
    pub set_opened: u64,
    /// Leader signatures checked.
    pub signature_checked: u64,
    /// Times the window was moved after silence.
    pub window_resynced: u64,
}

/// One version of a set.
#[derive(Clone)]
struct Known {
    slot: Slot,
    next: u32,
    root: Root,
    signature: [u8; SIGNATURE_LEN],
    /// Which of the 64 shreds have passed.
    passed: u64,
    /// The leader signed the root.
    verified: bool,
    nodes: NodeCache,
}

/// Lets each authentic shred pass once.
///
/// After construction it neither allocates nor frees, makes no system call and reads no clock. While the window moves
/// forward, as it does as long as anything authentic arrives, no shred passes twice: what is forgotten is below the
/// window. That also ends every loop of relays.
pub struct Sieve {
    plan: SievePlan,
    window: Window,
    /// When something that nobody signed last moved the window.
    moved_unsigned_at: Option<Nanos>,
    versions: Box<[Known]>,
    free: Vec<u32>,
    hashing: &'static HashKernel,
    signatures: SignatureCheck,
    /// Who sent forgeries of late.
    doubt: Deferral,
    counters: SieveCounters,
}

impl Sieve {
    /// Allocates everything that `plan` asks for.
    #[must_use]
    pub fn new(plan: &SievePlan) -> Self {
        let vacant = Known {
            slot: Slot(0),
            next: NONE,
            root: [0; 32],
            signature: [0; SIGNATURE_LEN],
            passed: 0,
            verified: false,
            nodes: NodeCache::new(),
        };
        Self {
            plan: plan.clone(),
            window: Window::new(
                plan.slots_behind,
                plan.slots_ahead,
                plan.resync_after,
                (plan.limits.shreds_per_slot_max as usize).div_ceil(SET_SHREDS),
            ),
            moved_unsigned_at: None,
            versions: vec![vacant; plan.versions_max].into_boxed_slice(),
            free: (0..plan.versions_max as u32).rev().collect(),
            hashing: HashKernel::best(),
            signatures: SignatureCheck::new(),
            doubt: Deferral::new(0, 0),
            counters: SieveCounters::default(),
        }
    }

    /// What has been seen so far.
    #[must_use]
    pub const fn counters(&self) -> &SieveCounters {
        &self.counters
    }

    /// The highest slot that something authentic was received of.
    #[must_use]
    pub fn highest_slot(&self) -> Option<Slot> {
        self.window.highest()
    }

    /// Whether `datagram` is a shred to pass on: one that is new, and authentic as far as that can be told.
    ///
    /// Cost: a duplicate of a signed set a look-up; a new shred of a known set a leaf hash and the joins nobody has
    /// paid for; the first shred of a set seven hashes and a signature check.
    ///
    /// # Errors
    /// [`Reject`] says why it is not. The shred's bytes otherwise, without what may trail them in the datagram.
    #[inline]
    pub fn admit<'a>(
        &mut self,
        datagram: &'a [u8],
        arrival: Arrival,
        leaders: &impl Leaders,
    ) -> Result<&'a [u8], Reject> {
        let shred = ShredView::parse(datagram, &self.plan.limits)?;
        self.pass(&shred, arrival, leaders)?;
        // The view has found them to be there.
        Ok(datagram
            .get(..shred.variant().shred_len())
            .unwrap_or(datagram))
    }

    fn pass(
        &mut self,
        shred: &ShredView<'_>,
        arrival: Arrival,
        leaders: &impl Leaders,
    ) -> Result<(), Reject> {
        let own = self.plan.shred_version;
        if own.is_some_and(|own| own != shred.version()) {
            return Err(Reject::ForeignVersion);
        }
        let place = self.window.place(shred.slot(), arrival.at);
        if place == Place::Outside {
            return Err(Reject::SlotOutOfWindow);
        }
        if !self.plan.authenticate {
            return self.pass_unchecked(shred, place, arrival);
        }
        let leaf = match self.pass_known(shred, arrival) {
            ControlFlow::Break(outcome) => return outcome,
            ControlFlow::Continue(leaf) => leaf,
        };
        let leader = leaders.leader(shred.slot());
        if leader == Leader::Unnamed {
            return Err(Reject::NoLeader);
        }
        let leaf = leaf.unwrap_or_else(|| self.leaf(shred));
        let root = claimed_root(shred, &leaf);
        self.check_versions(shred)?;
        let verified = self.verify(shred, &root, leader, arrival)?;
        let id = self.open(shred, root, verified, place, arrival.at)?;
        let known = &mut self.versions[id as usize];
        // A shred is a leaf of the root that it claims.
        known.nodes.admit(shred, &leaf, &root);
        known.passed |= 1 << shred.leaf_index();
        self.after(id, arrival);
        Ok(())
    }

    /// Looks for the shred among the versions that carry its signature. Goes on when it is of none of them, with its
    /// leaf's hash if that has been worked out.
    #[inline]
    fn pass_known(
        &mut self,
        shred: &ShredView<'_>,
        arrival: Arrival,
    ) -> ControlFlow<Result<(), Reject>, Option<Node>> {
        let bit = 1 << shred.leaf_index();
        let mut leaf = None;
        let mut id = self.first(shred);
        while let Some(known) = self.versions.get(id as usize) {
            let (this, next) = (id, known.next);
            id = next;
            if known.signature != *shred.signature() {
                continue;
            }
            // Of a root that was signed there is one such shred. A stranger's may be a copy of the signature.
            if known.verified && known.passed & bit != 0 {
                return ControlFlow::Break(Err(Reject::Duplicate));
            }
            let hashed = *leaf.get_or_insert_with(|| self.leaf(shred));
            let known = &mut self.versions[this as usize];
            if known.nodes.admit(shred, &hashed, &known.root) {
                if known.passed & bit != 0 {
                    return ControlFlow::Break(Err(Reject::Duplicate));
                }
                known.passed |= bit;
                self.after(this, arrival);
                return ControlFlow::Break(Ok(()));
            }
            if known.verified {
                return ControlFlow::Break(Err(Reject::BadMerkleProof));
            }
        }
        ControlFlow::Continue(leaf)
    }

    /// By number and signature alone.
    fn pass_unchecked(
        &mut self,
        shred: &ShredView<'_>,
        place: Place,
        arrival: Arrival,
    ) -> Result<(), Reject> {
        let bit = 1 << shred.leaf_index();
        let mut id = self.first(shred);
        while let Some(known) = self.versions.get(id as usize) {
            if known.signature == *shred.signature() {
                break;
            }
            id = known.next;
        }
        if id == NONE {
            self.check_versions(shred)?;
            id = self.open(shred, [0; 32], false, place, arrival.at)?;
        }
        let known = &mut self.versions[id as usize];
        if known.passed & bit != 0 {
            return Err(Reject::Duplicate);
        }
        known.passed |= bit;
        self.after(id, arrival);
        Ok(())
    }

    /// `Ok(true)`: the leader signed `root`. `Ok(false)`: there is nobody to ask.
    fn verify(
        &mut self,
        shred: &ShredView<'_>,
        root: &Root,
        leader: Leader,
        arrival: Arrival,
    ) -> Result<bool, Reject> {
        let Leader::Identity(key) = leader else {
            return Ok(false);
        };
        self.signatures.check_bad(root, shred.signature())?;
        if !self.doubt.may_check(arrival) {
            return Err(Reject::ChecksExhausted);
        }
        let signed = self.signatures.verify(&key, root, shred.signature());
        self.counters.signature_checked = self.signatures.checked;
        self.doubt.note(arrival.source, signed);
        if signed {
            Ok(true)
        } else {
            Err(Reject::BadLeaderSignature)
        }
    }

    #[inline]
    fn leaf(&self, shred: &ShredView<'_>) -> Node {
        let mut leaf = [[0; NODE_LEN]];
        leaf_hashes(
            self.hashing,
            &[LeafJob::Received(shred.leaf_bytes())],
            &mut leaf,
        );
        leaf[0]
    }

    /// The first version of the shred's set.
    #[inline]
    fn first(&self, shred: &ShredView<'_>) -> u32 {
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        self.window
            .get(shred.slot())
            .and_then(|state| state.sets.get(set))
            .copied()
            .unwrap_or(NONE)
    }

    fn chain(&self, first: u32) -> impl Iterator<Item = u32> + '_ {
        let exists = |id: u32| (id != NONE).then_some(id);
        std::iter::successors(exists(first), move |id| {
            exists(self.versions[*id as usize].next)
        })
    }

    fn check_versions(&self, shred: &ShredView<'_>) -> Result<(), Reject> {
        if self.chain(self.first(shred)).count() < VERSIONS_PER_SET {
            Ok(())
        } else {
            Err(Reject::VersionsExhausted)
        }
    }

    /// Opens a version, making room if need be.
    fn open(
        &mut self,
        shred: &ShredView<'_>,
        root: Root,
        verified: bool,
        place: Place,
        at: Nanos,
    ) -> Result<u32, Reject> {
        let slot = shred.slot();
        if place == Place::OnProof {
            if !verified {
                self.check_move(at)?;
            }
            self.counters.window_resynced += u64::from(self.window.highest().is_some());
            self.window.anchor(slot);
            self.close_leaving();
        }
        let held = self.window.get(slot).map_or(0, |state| state.versions);
        if self.free.is_empty()
            && (held >= self.versions.len().div_ceil(SHARE) || !self.give_up_lowest(slot))
        {
            return Err(Reject::VersionsExhausted);
        }
        let id = self.free.pop().ok_or(Reject::VersionsExhausted)?;
        let last = self.chain(self.first(shred)).last();
        let known = &mut self.versions[id as usize];
        known.slot = slot;
        known.next = NONE;
        known.root = root;
        known.signature = *shred.signature();
        known.passed = 0;
        known.verified = verified;
        known.nodes.clear();
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        let state = self.window.open(slot);
        state.versions += 1;
        match last {
            Some(last) => self.versions[last as usize].next = id,
            None => {
                state.sets[set] = id;
                state.sets_end = state.sets_end.max(set + 1);
            }
        }
        self.counters.set_opened += 1;
        Ok(id)
    }

    /// Whether what nobody signed may move the window once more. Where it has been is forgotten, and would pass again:
    /// relays that feed each other would send a few shreds of far slots round and round.
    fn check_move(&mut self, at: Nanos) -> Result<(), Reject> {
        // A clock that was set back must not put this off for long.
        let is_recent = |before: Nanos| before <= at && at.since(before) <= self.plan.resync_after;
        if self.moved_unsigned_at.is_some_and(is_recent) {
            return Err(Reject::SlotOutOfWindow);
        }
        self.moved_unsigned_at = Some(at);
        Ok(())
    }

    /// What is beyond doubt moves the window: signed or, where that cannot be checked, brought by two shreds.
    #[inline]
    fn after(&mut self, id: u32, arrival: Arrival) {
        let known = &self.versions[id as usize];
        if !known.verified && known.passed.count_ones() < 2 {
            return;
        }
        let slot = known.slot;
        self.window.note_authentic(arrival.at);
        if self.window.highest().is_none_or(|highest| slot > highest) {
            self.window.raise(slot);
            self.close_leaving();
        }
    }

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
            let mut id = self.window.get(slot).map_or(NONE, |state| state.sets[set]);
            while id != NONE {
                self.free.push(id);
                id = self.versions[id as usize].next;
            }
        }
        if let Some(state) = self.window.get_mut(slot) {
            state.close();
        }
    }
}
