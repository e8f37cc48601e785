//! The last so many signal ids, exactly: a ring for the order, a table for the question.

/// Remembers the newest `capacity` ids it was given. Fixed memory, O(1), no allocation after
/// construction.
pub(crate) struct DedupeRing {
    /// Oldest first from `oldest`; 0 is an unused cell.
    order: Box<[u64]>,
    oldest: usize,
    /// Open addressing, linear probing, at most half full; 0 is an empty cell.
    table: Box<[u64]>,
    seed: u64,
}

impl DedupeRing {
    /// `seed` only spreads ids over the table, so that a producer cannot aim them at one cell; it
    /// decides nothing.
    pub(crate) fn new(capacity: usize, seed: u64) -> Self {
        let cells = (capacity.max(1) * 2).next_power_of_two();
        Self {
            order: vec![0; capacity.max(1)].into_boxed_slice(),
            oldest: 0,
            table: vec![0; cells].into_boxed_slice(),
            seed,
        }
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.table[self.find(id)] == id && id != 0
    }

    /// Remembers `id` and forgets the oldest one if it must. 0 and known ids change nothing.
    pub(crate) fn insert(&mut self, id: u64) {
        if id == 0 || self.contains(id) {
            return;
        }
        let forgotten = std::mem::replace(&mut self.order[self.oldest], id);
        self.oldest = (self.oldest + 1) % self.order.len();
        if forgotten != 0 {
            self.remove(forgotten);
        }
        let cell = self.find(id);
        self.table[cell] = id;
    }

    fn home(&self, id: u64) -> usize {
        // Fibonacci hashing; the top bits are the well mixed ones.
        let mixed = (id ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 32) as usize & (self.table.len() - 1)
    }

    /// The cell that holds `id`, or the empty one where it would go. Ends because half the table
    /// is empty.
    fn find(&self, id: u64) -> usize {
        let mask = self.table.len() - 1;
        let mut cell = self.home(id);
        while self.table[cell] != 0 && self.table[cell] != id {
            cell = (cell + 1) & mask;
        }
        cell
    }

    /// Takes `id` out and closes the gap, so that no probe stops early.
    fn remove(&mut self, id: u64) {
        let mask = self.table.len() - 1;
        let mut hole = self.find(id);
        let mut cell = hole;
        loop {
            cell = (cell + 1) & mask;
            let Some(home) = (self.table[cell] != 0).then(|| self.home(self.table[cell])) else {
                break;
            };
            // It may move into the hole unless its home lies between the hole and itself.
            if cell.wrapping_sub(home) & mask >= cell.wrapping_sub(hole) & mask {
                self.table[hole] = self.table[cell];
                hole = cell;
            }
        }
        self.table[hole] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Goal: exactly the newest ids are known, whatever the collisions.
    /// Method: a small ring against a queue, ids from a small set so that they collide and repeat.
    #[test]
    fn the_ring_agrees_with_a_queue() {
        for seed in 0..8 {
            let mut ring = DedupeRing::new(16, seed);
            let mut model = VecDeque::new();
            let mut state = seed | 1;
            for _ in 0..20_000 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let id = state % 48;
                assert_eq!(
                    ring.contains(id),
                    model.contains(&id),
                    "id {id} seed {seed}"
                );
                ring.insert(id);
                if id != 0 && !model.contains(&id) {
                    model.push_back(id);
                    if model.len() > 16 {
                        model.pop_front();
                    }
                }
            }
        }
    }

    #[test]
    fn the_full_size_remembers_its_capacity_and_no_more() {
        let mut ring = DedupeRing::new(65_536, 9);
        (1..=65_537).for_each(|id| ring.insert(id));
        assert!(!ring.contains(1));
        assert!((2..=65_537).all(|id| ring.contains(id)));
    }
}
