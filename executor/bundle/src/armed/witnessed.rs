//! Signatures under our key that verify, so that two different ones over one nonce are noticed.
//!
//! [`super::used`] keeps a nonce from being released twice by this process; this notices that it was released twice all the
//! same, here or elsewhere: by a copy of this machine, or by somebody who has the key. It lives off the core.

/// Fingerprints of the last signatures, both halves of each.
pub(super) struct Witnessed {
    last: Box<[(u64, u64)]>,
    next: usize,
}

/// Two different signatures share their nonce: the key follows from them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reused;

impl Witnessed {
    /// Remembers the last `count`.
    pub(super) fn new(count: usize) -> Self {
        Self {
            last: vec![(0, 0); count.max(1)].into(),
            next: 0,
        }
    }

    /// Takes note of a signature that was verified. Cost: a scan, some microseconds.
    ///
    /// # Errors
    /// [`Reused`]. The same signature again is none: a transaction may be seen in two versions of a block.
    pub(super) fn note(&mut self, signature: &[u8; 64]) -> Result<(), Reused> {
        let (commitment, response) = (fingerprint(&signature[..32]), fingerprint(&signature[32..]));
        let known = self.last.iter().find(|(known, _)| *known == commitment);
        match known {
            Some((_, known)) if *known == response => Ok(()),
            Some(_) => Err(Reused),
            None => {
                self.last[self.next] = (commitment, response);
                self.next = (self.next + 1) % self.last.len();
                Ok(())
            }
        }
    }
}

/// Zero stands for an empty place.
fn fingerprint(half: &[u8]) -> u64 {
    half.first_chunk()
        .map_or(1, |word| u64::from_le_bytes(*word))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(commitment: u8, response: u8) -> [u8; 64] {
        let mut bytes = [commitment; 64];
        bytes[32..].fill(response);
        bytes
    }

    #[test]
    fn one_nonce_under_two_responses_is_noticed_and_a_repeat_is_not() {
        let mut witnessed = Witnessed::new(3);
        for _ in 0..2 {
            assert_eq!(witnessed.note(&signature(1, 7)), Ok(()));
            assert_eq!(witnessed.note(&signature(2, 7)), Ok(()));
        }
        assert_eq!(witnessed.note(&signature(2, 8)), Err(Reused));
        assert_eq!(witnessed.note(&signature(3, 9)), Ok(()));
        assert_eq!(witnessed.note(&signature(1, 8)), Err(Reused), "still known");
        assert_eq!(witnessed.note(&signature(4, 9)), Ok(()));
        assert_eq!(witnessed.note(&signature(1, 8)), Ok(()), "forgotten");
    }
}
