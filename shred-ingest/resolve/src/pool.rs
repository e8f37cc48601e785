//! Which slabs are free, and in which order those that were read to their end are taken back.

use crate::version::NONE;

/// Slabs by number.
///
/// Slabs whose version was read to its end are listed, oldest first. The list runs through links that belong to
/// the slabs, so that one leaves it wherever it stands when its version is forgotten, and no entry outlives its
/// version.
pub(crate) struct SlabPool {
    free: Vec<u32>,
    links: Box<[Link]>,
    oldest: u32,
    newest: u32,
}

/// A slab's place in the list.
#[derive(Clone, Copy)]
struct Link {
    /// Whose bytes the slab holds; `NONE` when it is not in the list.
    version: u32,
    older: u32,
    newer: u32,
}

const UNLISTED: Link = Link {
    version: NONE,
    older: NONE,
    newer: NONE,
};

impl SlabPool {
    /// All of `count` slabs free.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            free: (0..count as u32).rev().collect(),
            links: vec![UNLISTED; count].into_boxed_slice(),
            oldest: NONE,
            newest: NONE,
        }
    }

    pub(crate) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub(crate) fn free_count(&self) -> usize {
        self.free.len()
    }

    pub(crate) fn take(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Frees `slab`, which its version no longer names.
    pub(crate) fn give_back(&mut self, slab: u32) {
        self.unlist(slab);
        self.free.push(slab);
    }

    /// Lists `slab`, whose `version` was read to its end.
    pub(crate) fn note_read(&mut self, slab: u32, version: u32) {
        self.links[slab as usize] = Link {
            version,
            older: self.newest,
            newer: NONE,
        };
        match self.links.get_mut(self.newest as usize) {
            Some(newest) => newest.newer = slab,
            None => self.oldest = slab,
        }
        self.newest = slab;
    }

    /// The version that was read to its end longest ago and still has its slab.
    pub(crate) fn oldest_read(&self) -> Option<u32> {
        self.links
            .get(self.oldest as usize)
            .map(|link| link.version)
    }

    fn unlist(&mut self, slab: u32) {
        let link = std::mem::replace(&mut self.links[slab as usize], UNLISTED);
        if link.version == NONE {
            return;
        }
        match self.links.get_mut(link.older as usize) {
            Some(older) => older.newer = link.newer,
            None => self.oldest = link.newer,
        }
        match self.links.get_mut(link.newer as usize) {
            Some(newer) => newer.older = link.older,
            None => self.newest = link.older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: whatever leaves the list from wherever, the rest keeps its order.
    #[test]
    fn slabs_leave_the_list_from_any_place() {
        let mut pool = SlabPool::new(5);
        let slabs: Vec<u32> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(slabs.len(), 5);
        assert!(!pool.has_free());
        for slab in &slabs[..4] {
            pool.note_read(*slab, 100 + slab);
        }
        // One that is in the middle, the last, one that is not listed, the first.
        for (gone, oldest) in [
            (1, Some(0)),
            (3, Some(0)),
            (4, Some(0)),
            (0, Some(2)),
            (2, None),
        ] {
            pool.give_back(slabs[gone]);
            assert_eq!(pool.oldest_read(), oldest.map(|at: usize| 100 + slabs[at]));
        }
        pool.note_read(slabs[0], 7);
        assert_eq!(pool.oldest_read(), Some(7));
        assert_eq!(std::iter::from_fn(|| pool.take()).count(), 5);
    }
}
