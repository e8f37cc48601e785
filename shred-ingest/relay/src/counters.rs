//! What is counted. Written by one thread each, readable from any.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use shred_resolve::{Reject, SieveCounters};

use crate::batches::BatchTally;

/// A count that one thread writes: plain load and store.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.set(self.get().wrapping_add(count));
    }

    #[inline]
    pub(crate) fn set(&self, total: u64) {
        self.0.store(total, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a [`Relay`](crate::Relay) took, refused, sent and dropped.
#[derive(Debug)]
#[repr(align(128))]
pub struct RelayCounters {
    pub(crate) rejected: [Count; Reject::COUNT],
    pub(crate) shred_passed: Count,
    pub(crate) set_opened: Count,
    pub(crate) signature_checked: Count,
    pub(crate) window_resynced: Count,
    pub(crate) quic_offered: Count,
    pub(crate) quic_refused: Count,
    pub(crate) entries_offered: Count,
    pub(crate) entries_dropped: Count,
    pub(crate) inputs: Vec<InputCounters>,
    pub(crate) destinations: Vec<DestinationCounters>,
}

#[derive(Debug, Default)]
pub(crate) struct InputCounters {
    pub(crate) datagram_received: Count,
    pub(crate) shred_first: Count,
}

#[derive(Debug)]
pub(crate) struct DestinationCounters {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) datagram_sent: Count,
    pub(crate) full_dropped: Count,
    pub(crate) failed_dropped: Count,
    pub(crate) unreachable_told: Count,
    pub(crate) segmentation_lost: Count,
}

impl DestinationCounters {
    pub(crate) fn new(address: Option<SocketAddr>) -> Self {
        Self {
            address,
            datagram_sent: Count::default(),
            full_dropped: Count::default(),
            failed_dropped: Count::default(),
            unreachable_told: Count::default(),
            segmentation_lost: Count::default(),
        }
    }
}

impl RelayCounters {
    pub(crate) fn new(input_count: usize, destinations: Vec<DestinationCounters>) -> Self {
        Self {
            rejected: std::array::from_fn(|_| Count::default()),
            shred_passed: Count::default(),
            set_opened: Count::default(),
            signature_checked: Count::default(),
            window_resynced: Count::default(),
            quic_offered: Count::default(),
            quic_refused: Count::default(),
            entries_offered: Count::default(),
            entries_dropped: Count::default(),
            inputs: (0..input_count).map(|_| InputCounters::default()).collect(),
            destinations,
        }
    }

    pub(crate) fn take_over(&self, sieve: &SieveCounters) {
        self.set_opened.set(sieve.set_opened);
        self.signature_checked.set(sieve.signature_checked);
        self.window_resynced.set(sieve.window_resynced);
    }

    /// Reads every counter once. Counters move on meanwhile; each value by itself is exact.
    #[must_use]
    pub fn tally(&self) -> RelayTally {
        RelayTally {
            rejected: std::array::from_fn(|reason| self.rejected[reason].get()),
            shred_passed: self.shred_passed.get(),
            set_opened: self.set_opened.get(),
            signature_checked: self.signature_checked.get(),
            window_resynced: self.window_resynced.get(),
            quic_offered: self.quic_offered.get(),
            quic_refused: self.quic_refused.get(),
            entries_offered: self.entries_offered.get(),
            entries_dropped: self.entries_dropped.get(),
            inputs: self
                .inputs
                .iter()
                .map(|input| InputTally {
                    datagram_received: input.datagram_received.get(),
                    shred_first: input.shred_first.get(),
                })
                .collect(),
            destinations: self
                .destinations
                .iter()
                .map(|destination| DestinationTally {
                    address: destination.address,
                    datagram_sent: destination.datagram_sent.get(),
                    full_dropped: destination.full_dropped.get(),
                    failed_dropped: destination.failed_dropped.get(),
                    unreachable_told: destination.unreachable_told.get(),
                    segmentation_lost: destination.segmentation_lost.get() != 0,
                })
                .collect(),
        }
    }
}

/// [`RelayCounters`] as plain numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayTally {
    /// Datagrams not passed on, by [`Reject::index`]; `duplicate` among them.
    pub rejected: [u64; Reject::COUNT],
    /// Shreds passed on.
    pub shred_passed: u64,
    /// Versions of sets opened.
    pub set_opened: u64,
    /// Leader signatures checked.
    pub signature_checked: u64,
    /// Times the window was moved after silence.
    pub window_resynced: u64,
    /// Shreds handed to the QUIC sender.
    pub quic_offered: u64,
    /// Shreds that the QUIC sender did not take: its ring was full, or it has been stopped.
    pub quic_refused: u64,
    /// Shreds handed to the assembler.
    pub entries_offered: u64,
    /// Shreds that the assembler had no free frame for.
    pub entries_dropped: u64,
    /// By input, in the order they were given.
    pub inputs: Vec<InputTally>,
    /// By UDP destination, in the order of the configuration.
    pub destinations: Vec<DestinationTally>,
}

impl RelayTally {
    /// Datagrams refused for `reason`.
    #[must_use]
    pub fn refused(&self, reason: Reject) -> u64 {
        self.rejected[reason.index()]
    }
}

/// What one input brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputTally {
    /// Datagrams taken from its ring.
    pub datagram_received: u64,
    /// Shreds that it was the first to bring.
    pub shred_first: u64,
}

/// What one UDP destination was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestinationTally {
    /// Where to.
    pub address: Option<SocketAddr>,
    /// Shreds that the kernel took.
    pub datagram_sent: u64,
    /// Shreds dropped because the socket was full.
    pub full_dropped: u64,
    /// Shreds dropped because the kernel refused them for any other reason (no route, a firewall).
    pub failed_dropped: u64,
    /// Times the destination's host said that nobody listens there. Nothing is dropped for that.
    pub unreachable_told: u64,
    /// Segmentation by the kernel was tried and refused: shreds are handed over one by one.
    pub segmentation_lost: bool,
}

/// What an [`Assembler`](crate::Assembler) read and made of it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct AssemblerCounters {
    pub(crate) shred_received: Count,
    pub(crate) shred_refused: Count,
    pub(crate) set_recovered: Count,
    pub(crate) batch_sent: Count,
    pub(crate) message_sent: Count,
    pub(crate) entry_sent: Count,
    pub(crate) transaction_sent: Count,
    pub(crate) v1_seen: Count,
    pub(crate) marker_skipped: Count,
    pub(crate) batch_malformed: Count,
    pub(crate) batch_incomplete: Count,
    pub(crate) entry_oversize: Count,
}

impl AssemblerCounters {
    pub(crate) fn take_over(&self, batches: &BatchTally) {
        self.batch_sent.set(batches.batch_sent);
        self.message_sent.set(batches.message_sent);
        self.entry_sent.set(batches.entry_sent);
        self.transaction_sent.set(batches.transaction_sent);
        self.v1_seen.set(batches.v1_seen);
        self.marker_skipped.set(batches.marker_skipped);
        self.batch_malformed.set(batches.batch_malformed);
        self.batch_incomplete.set(batches.batch_incomplete);
        self.entry_oversize.set(batches.entry_oversize);
    }

    /// Shreds read, and of these how many the resolver had no use for (most are surplus to their sets).
    #[must_use]
    pub fn shreds(&self) -> (u64, u64) {
        (self.shred_received.get(), self.shred_refused.get())
    }

    /// Sets that needed recovery and got it.
    #[must_use]
    pub fn set_recovered(&self) -> u64 {
        self.set_recovered.get()
    }

    /// What became of the batches.
    #[must_use]
    pub fn batches(&self) -> BatchTally {
        BatchTally {
            batch_sent: self.batch_sent.get(),
            message_sent: self.message_sent.get(),
            entry_sent: self.entry_sent.get(),
            transaction_sent: self.transaction_sent.get(),
            v1_seen: self.v1_seen.get(),
            marker_skipped: self.marker_skipped.get(),
            batch_malformed: self.batch_malformed.get(),
            batch_incomplete: self.batch_incomplete.get(),
            entry_oversize: self.entry_oversize.get(),
        }
    }
}
