//! How late something came, in logarithmic buckets.

use shred_wire::Nanos;

/// Buckets per power of two, so that a bucket's bounds are at most an eighth apart.
const PER_OCTAVE: usize = 8;
/// Powers of two told apart: up to 2^35 ns, 34 s; the last bucket holds what is beyond.
pub const LATENESS_OCTAVES: usize = 35;
/// Buckets of a [`Lateness`].
pub const LATENESS_BUCKETS: usize = (LATENESS_OCTAVES - 2) * PER_OCTAVE;

/// A histogram of nanoseconds.
///
/// A bucket holds what is above the bound of the one before it and not above its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lateness {
    /// Count of each bucket.
    pub counts: [u64; LATENESS_BUCKETS],
    /// Sum, nanoseconds.
    pub sum: u64,
    /// Largest, nanoseconds.
    pub max: u64,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            counts: [0; LATENESS_BUCKETS],
            sum: 0,
            max: 0,
        }
    }
}

impl Lateness {
    /// Counts one.
    #[inline]
    pub fn record(&mut self, late: Nanos) {
        self.counts[bucket_of(late.0)] += 1;
        self.sum = self.sum.saturating_add(late.0);
        self.max = self.max.max(late.0);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Largest value of `bucket`, nanoseconds; of the last one, `u64::MAX`.
    #[must_use]
    pub const fn bound(bucket: usize) -> u64 {
        let next = bucket + 1;
        if next >= LATENESS_BUCKETS {
            u64::MAX
        } else if next < PER_OCTAVE {
            next as u64
        } else {
            ((PER_OCTAVE + next % PER_OCTAVE) as u64) << (next / PER_OCTAVE - 1)
        }
    }

    /// A value that `per_mille` of all are not above, and that is at most an eighth above what it could be; `None`
    /// when nothing was counted.
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> Option<Nanos> {
        let count = self.count();
        let wanted = (count * per_mille).div_ceil(1_000).max(1);
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += count;
            below >= wanted
        })?;
        Some(Nanos(Self::bound(found).min(self.max)))
    }

    /// Counts by power of two: the one at `n` holds what is above `2^(n - 1)` and not above `2^n`, and the first also
    /// 0.
    #[must_use]
    pub fn octaves(&self) -> [u64; LATENESS_OCTAVES + 1] {
        let mut octaves = [0; LATENESS_OCTAVES + 1];
        for (bucket, count) in self.counts.iter().enumerate() {
            octaves[octave_of(Self::bound(bucket)).min(LATENESS_OCTAVES)] += count;
        }
        octaves
    }
}

/// Number of the first power of two that `nanos` is not above.
#[inline]
pub(super) const fn octave_of(nanos: u64) -> usize {
    (u64::BITS - nanos.saturating_sub(1).leading_zeros()) as usize
}

#[inline]
const fn bucket_of(nanos: u64) -> usize {
    let below = nanos.saturating_sub(1) as usize;
    if below < PER_OCTAVE {
        return below;
    }
    let shift = below.ilog2() as usize - PER_OCTAVE.ilog2() as usize;
    let bucket = (shift + 1) * PER_OCTAVE + (below >> shift) % PER_OCTAVE;
    if bucket < LATENESS_BUCKETS {
        bucket
    } else {
        LATENESS_BUCKETS - 1
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_lies_in_the_bucket_whose_bounds_hold_it(bits in 0..64u32, low: u64) {
            let nanos = (1 << bits) | (low & ((1 << bits) - 1));
            for nanos in [0, 1, nanos, nanos - 1, nanos.saturating_add(1), u64::MAX] {
                let bucket = bucket_of(nanos);
                prop_assert!(nanos <= Lateness::bound(bucket));
                prop_assert!(bucket == 0 || nanos > Lateness::bound(bucket - 1));
            }
        }

        #[test]
        fn quantiles_are_near_those_of_a_sorted_list(mut values in prop::collection::vec(0..20_000_000_000u64, 1..200), per_mille in 1..=1_000u64) {
            let mut lateness = Lateness::default();
            values.iter().for_each(|value| lateness.record(Nanos(*value)));
            values.sort_unstable();
            let rank = (values.len() as u64 * per_mille).div_ceil(1_000) as usize;
            let (exact, found) = (values[rank - 1], lateness.quantile(per_mille).unwrap().0);
            prop_assert!(found >= exact && found <= exact + exact / 8 + 1, "{found} for {exact}");
        }
    }

    #[test]
    fn octaves_hold_what_the_buckets_hold() {
        let mut lateness = Lateness::default();
        for value in [0, 1, 2, 3, 4, 5, 8, 9, 1_024, 1_025, u64::MAX] {
            lateness.record(Nanos(value));
        }
        let octaves = lateness.octaves();
        assert_eq!(octaves[..5], [2, 1, 2, 2, 1]);
        assert_eq!(
            (octaves[10], octaves[11], octaves[LATENESS_OCTAVES]),
            (1, 1, 1)
        );
        assert_eq!(octaves.iter().sum::<u64>(), lateness.count());
        assert_eq!(Lateness::default().quantile(500), None);
    }
}
