//! Memory: versions and slabs come from pools, and only authenticated sets make others give way.

use super::Resolver;
use crate::burst::Shred;
use crate::leader::Leader;
use crate::merkle::Root;
use crate::plan::Policy;
use crate::reject::Reject;
use crate::scan::Phase;
use crate::version::{NONE, Version};
use shred_wire::Slot;
use shred_wire::shred::SET_SHREDS;

/// Versions of one set that are told apart when the leader's signature vouches for each.
const VERSIONS_SIGNED_MAX: usize = 2;
/// As above when signatures cannot be checked, and a corrupted shred looks like a version of its own.
const VERSIONS_UNSIGNED_MAX: usize = 4;
/// A slot that holds more than one part in this many of the slabs, or of the versions, makes no other slot give
/// way. A leader has four slots in a row, and could otherwise sign its way through everybody's memory.
const SHARE: usize = 8;
/// Slabs kept free for sets that are read before they are authenticated, however few checks may be under way.
const RESERVE_MIN: usize = 4;

impl Resolver {
    /// Whether one more version of the shred's set would be told apart.
    pub(super) fn check_versions(
        &self,
        shred: &Shred<'_, '_>,
        leader: Leader,
    ) -> Result<(), Reject> {
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        let versions_max = if leader == Leader::NoSource {
            VERSIONS_UNSIGNED_MAX
        } else {
            VERSIONS_SIGNED_MAX
        };
        // What is only vouched for must not keep out what is signed, or the other way round.
        let vouched = shred.arrival().policy == Policy::Trusted;
        let counts = |version: &Version| version.awaited.is_none() && version.vouched == vouched;
        let versions = self
            .versions_of(shred.slot(), set)
            .filter(|id| counts(&self.versions[*id as usize]));
        if versions.count() < versions_max {
            Ok(())
        } else {
            Err(Reject::VersionsExhausted)
        }
    }

    /// Whether as many versions of the set of version `id` as are told apart are signed.
    pub(super) fn is_fully_versioned(&self, id: u32) -> bool {
        let version = &self.versions[id as usize];
        self.versions_of(version.identity.slot, version.set_number())
            .map(|id| &self.versions[id as usize])
            .filter(|version| version.is_signed())
            .count()
            >= VERSIONS_SIGNED_MAX
    }

    /// Opens a version for an authenticated shred, making room if need be.
    pub(super) fn open(
        &mut self,
        shred: &Shred<'_, '_>,
        root: Root,
        verified: bool,
    ) -> Result<u32, Reject> {
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
    pub(super) fn open_unchecked(&mut self, shred: &Shred<'_, '_>) -> Option<u32> {
        if !self.is_new(shred) {
            return None;
        }
        self.install(shred, [0; 32], false)
    }

    /// Whether nothing is known of the shred's set.
    pub(super) fn is_new(&self, shred: &Shred<'_, '_>) -> bool {
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        self.versions_of(shred.slot(), set).next().is_none()
    }

    pub(super) fn install(
        &mut self,
        shred: &Shred<'_, '_>,
        root: Root,
        verified: bool,
    ) -> Option<u32> {
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

    /// Takes back a version of which nothing was settled, and closes its slot if nothing else is in it.
    pub(super) fn discard(&mut self, id: u32) {
        let version = &self.versions[id as usize];
        let (slot, set, next) = (version.identity.slot, version.set_number(), version.next);
        let has_bytes = version.slab != NONE;
        let before = self
            .versions_of(slot, set)
            .find(|before| self.versions[*before as usize].next == id);
        if let Some(before) = before {
            self.versions[before as usize].next = next;
        }
        self.free(id);
        if let Some(state) = self.window.get_mut(slot) {
            if before.is_none() {
                state.sets[set] = next;
            }
            state.versions -= 1;
            state.unread -= usize::from(has_bytes);
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
        self.deferral.forget(id);
    }

    /// Keeps some slabs free, one authenticated shred after the other: sets that nobody vouches for yet take none
    /// but free ones, and would have to be authenticated first if there were none.
    #[inline]
    pub(super) fn keep_reserve(&mut self) {
        let reserve = (self.slabs.len() / SHARE).min(self.plan.checks_max.max(RESERVE_MIN));
        if self.slab_pool.free_count() < reserve {
            self.reuse_read();
        }
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

    pub(super) fn close_leaving(&mut self) {
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
