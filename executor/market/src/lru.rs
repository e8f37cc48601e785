//! A fixed number of values by key, allocated once, the least recently touched giving way.

use crate::units::Key;

/// Values by key: open addressing over at most half-full slots of indexes into a slab, with a list from most to least
/// recently touched.
///
/// A held value is off that list, so it is never evicted. Every operation is O(1) expected and allocates nothing.
#[derive(Debug)]
pub(crate) struct LruTable<V> {
    slots: Box<[u32]>,
    items: Box<[Item<V>]>,
    /// The list, by index of the item; apart from the items, since a touch changes those of three, and the two others'
    /// values are far away and cold.
    links: Box<[Link]>,
    item_count: u32,
    newest: u32,
    oldest: u32,
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Item<V> {
    key: Key,
    value: V,
    held: bool,
}

/// An item's neighbours in the list.
#[derive(Clone, Copy, Debug)]
struct Link {
    newer: u32,
    older: u32,
}

impl Link {
    const NONE: Self = Self {
        newer: NONE,
        older: NONE,
    };
}

/// What an insertion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inserted {
    /// The key was there; its value was replaced.
    Replaced,
    /// There was room.
    Added,
    /// The least recently touched value made room.
    Evicted,
    /// Every place is held.
    Refused,
}

/// No item.
const NONE: u32 = u32::MAX;

impl<V: Copy> LruTable<V> {
    /// Room for `capacity` values (at least 1), all of it allocated and written now, with `blank` in unused places.
    ///
    /// `seed` keeps an adversary who grinds keys from choosing their places; it changes no answer.
    ///
    /// # Panics
    /// When `capacity` is 0 or above 2^24: a configuration error, raised before anything runs.
    pub(crate) fn new(capacity: usize, seed: u64, blank: V) -> Self {
        assert!(
            (1..=1 << 24).contains(&capacity),
            "table capacity must be 1 to 2^24"
        );
        let blank = Item {
            key: [0; 32],
            value: blank,
            held: false,
        };
        Self {
            slots: vec![NONE; (capacity * 2).next_power_of_two()].into_boxed_slice(),
            items: vec![blank; capacity].into_boxed_slice(),
            links: vec![Link::NONE; capacity].into_boxed_slice(),
            item_count: 0,
            newest: NONE,
            oldest: NONE,
            seed,
        }
    }

    /// Values kept now.
    pub(crate) const fn len(&self) -> usize {
        self.item_count as usize
    }

    /// The value of `key`.
    #[inline]
    pub(crate) fn get(&self, key: &Key) -> Option<&V> {
        let index = self.find(key)?;
        Some(&self.items[index as usize].value)
    }

    /// The value of `key`, to be changed in place; this is no touch.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut V> {
        let index = self.find(key)?;
        Some(&mut self.items[index as usize].value)
    }

    /// The value of `key`, which becomes the most recently touched.
    #[inline]
    pub(crate) fn touch(&mut self, key: &Key) -> Option<&mut V> {
        let index = self.find(key)?;
        self.make_newest(index);
        Some(&mut self.items[index as usize].value)
    }

    /// Puts `value` in, as the most recently touched.
    pub(crate) fn insert(&mut self, key: Key, value: V) -> Inserted {
        if let Some(index) = self.find(&key) {
            self.items[index as usize].value = value;
            self.make_newest(index);
            return Inserted::Replaced;
        }
        let is_full = self.len() == self.items.len();
        let Some(index) = self.vacant() else {
            return Inserted::Refused;
        };
        self.items[index as usize] = Item {
            key,
            value,
            held: false,
        };
        self.place(index);
        self.link_newest(index);
        if is_full {
            Inserted::Evicted
        } else {
            Inserted::Added
        }
    }

    /// Keeps the value of `key` from being evicted, or lets it go again; whether it was kept before. No effect on an
    /// unknown key.
    pub(crate) fn set_held(&mut self, key: &Key, held: bool) -> bool {
        let Some(index) = self.find(key) else {
            return false;
        };
        if self.items[index as usize].held == held {
            return held;
        }
        if held {
            self.unlink(index);
        }
        self.items[index as usize].held = held;
        if !held {
            self.link_newest(index);
        }
        !held
    }

    /// Every value. Walks the whole table.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let used = self.len();
        self.items[..used].iter_mut().map(|item| &mut item.value)
    }

    /// A place for a new item: an unused one, else the least recently touched that is not held.
    fn vacant(&mut self) -> Option<u32> {
        if (self.item_count as usize) < self.items.len() {
            self.item_count += 1;
            return Some(self.item_count - 1);
        }
        let index = self.oldest;
        if index == NONE {
            return None;
        }
        self.unlink(index);
        self.displace(index);
        Some(index)
    }

    #[inline]
    fn find(&self, key: &Key) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(key);
        // At most half the slots are taken, so an empty one ends the walk.
        loop {
            let index = self.slots[slot];
            if index == NONE {
                return None;
            }
            if self.items[index as usize].key == *key {
                return Some(index);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn place(&mut self, index: u32) {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(&self.items[index as usize].key);
        while self.slots[slot] != NONE {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = index;
    }

    /// Takes an item's slot out and shifts later ones back, so that no walk ends too early.
    fn displace(&mut self, index: u32) {
        let mask = self.slots.len() - 1;
        let mut hole = self.home(&self.items[index as usize].key);
        while self.slots[hole] != index {
            hole = (hole + 1) & mask;
        }
        let mut next = (hole + 1) & mask;
        while self.slots[next] != NONE {
            let home = self.home(&self.items[self.slots[next] as usize].key);
            // An item may move back only to a place between its home and where it stands.
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[hole] = NONE;
    }

    #[inline]
    fn home(&self, key: &Key) -> usize {
        (hash(key, self.seed) as usize) & (self.slots.len() - 1)
    }

    fn make_newest(&mut self, index: u32) {
        if self.newest != index && !self.items[index as usize].held {
            self.unlink(index);
            self.link_newest(index);
        }
    }

    fn link_newest(&mut self, index: u32) {
        let previous = self.newest;
        self.links[index as usize] = Link {
            newer: NONE,
            older: previous,
        };
        match previous {
            NONE => self.oldest = index,
            previous => self.links[previous as usize].newer = index,
        }
        self.newest = index;
    }

    fn unlink(&mut self, index: u32) {
        let Link { newer, older } = self.links[index as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
    }
}

/// Four multiplications fold the 32 bytes; keys are public and somebody may have ground them, hence the seed.
#[inline]
fn hash(key: &Key, seed: u64) -> u64 {
    let words = key.as_chunks::<8>().0;
    words
        .iter()
        .fold(seed, |state, word| mix(state, u64::from_le_bytes(*word)))
}

/// Folds one more word into a hash.
#[inline]
pub(crate) fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (product as u64) ^ (product >> 64) as u64
}
