//! Latency histograms of the rungs that the core measures itself.

use hdrhistogram::Histogram;

/// Longest latency told apart; what takes longer is counted as this.
const LONGEST_NS: u64 = 10_000_000_000;
/// Decimal digits kept.
const DIGITS: u8 = 3;

/// One histogram per rung, in nanoseconds. Their memory is taken and touched at construction; recording does not
/// allocate.
#[derive(Debug, Clone)]
pub struct Rungs {
    /// Last needed datagram in user space to transaction emitted.
    pub l0: Histogram<u64>,
    /// The same datagram to signed bundle bytes in the submit ring.
    pub l1: Histogram<u64>,
    /// The risk gate.
    pub l2: Histogram<u64>,
}

impl Rungs {
    /// Empty histograms.
    #[must_use]
    pub fn new() -> Self {
        Self {
            l0: histogram(),
            l1: histogram(),
            l2: histogram(),
        }
    }

    /// Name, what it measures, and the histogram.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &'static str, &Histogram<u64>); 3] {
        [
            (
                "L0",
                "datagram in user space to transaction emitted",
                &self.l0,
            ),
            (
                "L1",
                "datagram in user space to signed bundle in the submit ring",
                &self.l1,
            ),
            ("L2", "risk gate", &self.l2),
        ]
    }
}

impl Default for Rungs {
    fn default() -> Self {
        Self::new()
    }
}

/// An empty histogram with fixed bounds.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    let mut histogram =
        Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("the bounds are in order");
    // Fresh counts are pages that nobody has touched; this writes every one of them.
    histogram.reset();
    histogram
}

/// The quantiles every table shows: p50, p99, p99.9 and the maximum, in nanoseconds.
#[must_use]
pub fn quantiles(histogram: &Histogram<u64>) -> [u64; 4] {
    [
        histogram.value_at_quantile(0.5),
        histogram.value_at_quantile(0.99),
        histogram.value_at_quantile(0.999),
        histogram.max(),
    ]
}
