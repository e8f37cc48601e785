//! Counters one thread writes and any thread reads, without a locked instruction on either side.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a datagram that reached us did not reach the core. The discriminant indexes
/// [`SourceCounters::rejected`] and names the metric label, so append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SourceReject {
    /// Longer than a frame. Cutting it would hand on bytes nobody sent.
    Oversize,
    /// Every frame was with the core: the newest is dropped. A replay waits instead.
    FramesFull,
    /// A packet whose headers contradict its length or each other; only where this process reads headers (AF_XDP).
    Malformed,
}

impl SourceReject {
    /// All reasons, in order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Oversize, Self::FramesFull, Self::Malformed];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Oversize => "oversize",
            Self::FramesFull => "frames_full",
            Self::Malformed => "malformed",
        }
    }
}

/// A count with one writer: plain load and store, so it costs what a plain `u64` costs.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`. Only the owning thread may call this; a second writer would lose counts, no more.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(count),
            Ordering::Relaxed,
        );
    }

    /// Takes over a total that something else counts. Only the owning thread may call this.
    #[inline]
    pub(crate) fn set(&self, total: u64) {
        self.0.store(total, Ordering::Relaxed);
    }

    /// The count, which may be an instant old.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one source took and refused. Aligned so that no other source's counters share its cache lines
/// (two lines: adjacent-line prefetch pairs them).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct SourceCounters {
    /// Datagrams read from the outside, refused ones included. The next one's ordinal.
    pub datagram_received: Counter,
    /// Payload bytes of the datagrams handed to the core.
    pub byte_accepted: Counter,
    /// Datagrams refused, by [`SourceReject`].
    pub rejected: [Counter; SourceReject::ALL.len()],
    /// Datagrams the kernel dropped because the socket's buffer was full (`SO_RXQ_OVFL`); on AF_XDP because no frame
    /// was there for them or they were longer than one (`XDP_STATISTICS`, read now and then).
    pub kernel_dropped: Counter,
    /// Times the kernel found none of our frames to receive into. On io_uring the datagram waits in the socket's
    /// buffer; on AF_XDP it is dropped.
    pub frames_exhausted: Counter,
    /// Datagrams that should have come with a stamp of the kernel's or the card's, did not, and were stamped by this
    /// process. Where none was to be expected (AF_XDP whose program does not stamp, QUIC) none is missing.
    pub stamp_missing: Counter,
    /// Receives that failed with anything but "nothing there".
    pub receive_failed: Counter,
}

impl SourceCounters {
    /// Reads every counter once. Counters move on meanwhile; each value by itself is exact.
    #[must_use]
    pub fn tally(&self) -> SourceTally {
        SourceTally {
            datagram_received: self.datagram_received.get(),
            byte_accepted: self.byte_accepted.get(),
            rejected: std::array::from_fn(|reason| self.rejected[reason].get()),
            kernel_dropped: self.kernel_dropped.get(),
            frames_exhausted: self.frames_exhausted.get(),
            stamp_missing: self.stamp_missing.get(),
            receive_failed: self.receive_failed.get(),
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn reject(&self, reason: SourceReject) {
        self.rejected[reason as usize].add(1);
    }
}

/// [`SourceCounters`] as plain numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceTally {
    /// See [`SourceCounters::datagram_received`].
    pub datagram_received: u64,
    /// See [`SourceCounters::byte_accepted`].
    pub byte_accepted: u64,
    /// See [`SourceCounters::rejected`].
    pub rejected: [u64; SourceReject::ALL.len()],
    /// See [`SourceCounters::kernel_dropped`].
    pub kernel_dropped: u64,
    /// See [`SourceCounters::frames_exhausted`].
    pub frames_exhausted: u64,
    /// See [`SourceCounters::stamp_missing`].
    pub stamp_missing: u64,
    /// See [`SourceCounters::receive_failed`].
    pub receive_failed: u64,
}

impl SourceTally {
    /// Datagrams refused for `reason`.
    #[must_use]
    pub const fn refused(&self, reason: SourceReject) -> u64 {
        self.rejected[reason as usize]
    }

    /// Datagrams handed to the core.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.datagram_received - self.rejected.iter().sum::<u64>()
    }
}
