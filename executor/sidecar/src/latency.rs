//! A latency histogram that one hot thread writes and anybody reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets: the first holds everything up to 64 ns, each next one twice as much, the last the rest
/// (over 34 s).
pub const LATENCY_BUCKET_COUNT: usize = 31;

const FIRST_BOUND_LOG2: u32 = 6;

/// Counts per power of two of nanoseconds, in relaxed atomics.
///
/// One thread calls [`LatencyCells::record`]: the cells are loaded and stored, not exchanged, so a
/// second writer would lose counts (never corrupt them). Readers may see a record half applied:
/// the sum may run ahead of the counts by one value.
#[derive(Debug)]
pub struct LatencyCells {
    counts: [AtomicU64; LATENCY_BUCKET_COUNT],
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl LatencyCells {
    /// All zero.
    pub const fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; LATENCY_BUCKET_COUNT],
            sum_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }

    /// Counts one latency. Six memory accesses, no lock prefix, no allocation.
    #[inline]
    pub fn record(&self, nanos: u64) {
        let count = &self.counts[bucket_of(nanos)];
        count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
        self.sum_ns
            .store(self.sum_ns.load(Relaxed).wrapping_add(nanos), Relaxed);
        if nanos > self.max_ns.load(Relaxed) {
            self.max_ns.store(nanos, Relaxed);
        }
    }

    /// A copy for rendering.
    pub fn read(&self) -> LatencyRead {
        LatencyRead {
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Relaxed)),
            sum_ns: self.sum_ns.load(Relaxed),
            max_ns: self.max_ns.load(Relaxed),
        }
    }
}

impl Default for LatencyCells {
    fn default() -> Self {
        Self::new()
    }
}

#[inline]
fn bucket_of(nanos: u64) -> usize {
    let bits = u64::BITS - nanos.saturating_sub(1).leading_zeros();
    (bits.saturating_sub(FIRST_BOUND_LOG2) as usize).min(LATENCY_BUCKET_COUNT - 1)
}

/// What [`LatencyCells`] held at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyRead {
    /// Count of each bucket, not cumulative.
    pub counts: [u64; LATENCY_BUCKET_COUNT],
    /// Sum of all latencies, nanoseconds.
    pub sum_ns: u64,
    /// Largest latency, nanoseconds.
    pub max_ns: u64,
}

impl LatencyRead {
    /// Latencies counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bound of a bucket, inclusive, nanoseconds; `None` for the last one.
    pub fn bound_ns(bucket: usize) -> Option<u64> {
        (bucket + 1 < LATENCY_BUCKET_COUNT).then(|| 1 << (FIRST_BOUND_LOG2 as usize + bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_lies_in_the_bucket_whose_bounds_hold_it() {
        for nanos in [
            0,
            1,
            63,
            64,
            65,
            127,
            128,
            129,
            1_000_000,
            34_359_738_368,
            34_359_738_369,
            1 << 62,
            u64::MAX,
        ] {
            let cells = LatencyCells::new();
            cells.record(nanos);
            let bucket = cells.read().counts.iter().position(|&count| count == 1);
            let Some(bucket) = bucket else {
                panic!("{nanos} was not counted")
            };
            assert!(
                LatencyRead::bound_ns(bucket).is_none_or(|bound| nanos <= bound),
                "{nanos} in {bucket}"
            );
            let below = bucket.checked_sub(1).and_then(LatencyRead::bound_ns);
            assert!(
                below.is_none_or(|bound| nanos > bound),
                "{nanos} in {bucket}"
            );
        }
    }

    #[test]
    fn counts_sums_and_maxima_add_up() {
        let cells = LatencyCells::new();
        (1..=1_000).for_each(|nanos| cells.record(nanos));
        let read = cells.read();
        assert_eq!(
            (read.count(), read.sum_ns, read.max_ns),
            (1_000, 500_500, 1_000)
        );
        assert_eq!(read.counts[..5], [64, 64, 128, 256, 488]);
    }
}
