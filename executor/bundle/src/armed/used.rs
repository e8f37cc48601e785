//! Which nonces have been released: a bounded set that never lets one through twice while it remembers it.

/// Fingerprints of the commitments `R` released lately.
///
/// Two tables, old and new: when the new one is half full it becomes the old one, whose fingerprints are
/// forgotten. So the last half table's worth is known at any time, in constant memory. A fingerprint is eight bytes of `R`, which are uniform: an honest nonce is mistaken for a used one
/// once in 2^50 signatures or so, which halts signing and harms nothing.
pub(super) struct UsedCommitments {
    new: Box<[u64]>,
    old: Box<[u64]>,
    new_count: usize,
}

/// A commitment that was released before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen;

impl UsedCommitments {
    /// Remembers at least `remembered_min` commitments; allocates here and nowhere else.
    pub(super) fn new(remembered_min: usize) -> Self {
        let len = (remembered_min.max(4) * 2).next_power_of_two();
        Self {
            new: vec![0; len].into(),
            old: vec![0; len].into(),
            new_count: 0,
        }
    }

    /// How many of the last commitments are certainly remembered.
    #[cfg(test)]
    pub(super) fn remembered_min(&self) -> usize {
        self.new.len() / 2
    }

    /// Checks and remembers in one step. Cost: one or two cache lines. Does not allocate.
    ///
    /// # Errors
    /// [`Seen`]; the set is unchanged.
    #[inline]
    pub(super) fn insert(&mut self, commitment: &[u8; 32]) -> Result<(), Seen> {
        let print = fingerprint(commitment);
        let Probe::Free(mut at) = probe(&self.new, print) else {
            return Err(Seen);
        };
        if matches!(probe(&self.old, print), Probe::Found) {
            return Err(Seen);
        }
        if self.new_count * 2 == self.new.len() {
            core::mem::swap(&mut self.new, &mut self.old);
            self.new.fill(0);
            self.new_count = 0;
            at = slot_of(&self.new, print);
        }
        self.new[at] = print;
        self.new_count += 1;
        Ok(())
    }
}

enum Probe {
    Found,
    Free(usize),
}

/// Zero marks a free slot.
fn fingerprint(commitment: &[u8; 32]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&commitment[..8]);
    u64::from_le_bytes(word).max(1)
}

fn slot_of(table: &[u64], print: u64) -> usize {
    print as usize & (table.len() - 1)
}

/// Tables are at most half full: a free slot ends every search.
#[inline]
fn probe(table: &[u64], print: u64) -> Probe {
    let mut at = slot_of(table, print);
    loop {
        match table[at] {
            0 => return Probe::Free(at),
            found if found == print => return Probe::Found,
            _ => at = (at + 1) & (table.len() - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commitment(number: u64) -> [u8; 32] {
        let mut bytes = [0xaa; 32];
        // Multiples of a large power of two share a slot: the search walks.
        bytes[..8].copy_from_slice(&(number << 40).to_le_bytes());
        bytes
    }

    #[test]
    fn the_last_ones_are_remembered_however_many_came_before() {
        let mut used = UsedCommitments::new(16);
        let window = used.remembered_min() as u64;
        for number in 1..1_000 {
            assert_eq!(used.insert(&commitment(number)), Ok(()), "{number}");
            for back in number.saturating_sub(window - 1).max(1)..=number {
                assert_eq!(
                    used.insert(&commitment(back)),
                    Err(Seen),
                    "{back} after {number}"
                );
            }
        }
    }

    #[test]
    fn a_commitment_of_zeros_counts_like_any() {
        let mut used = UsedCommitments::new(4);
        assert_eq!(used.insert(&[0; 32]), Ok(()));
        assert_eq!(used.insert(&[0; 32]), Err(Seen));
    }
}
