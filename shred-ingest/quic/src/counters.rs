//! What both ends count. Written on their own threads, readable from any.

use std::sync::atomic::{AtomicU64, Ordering};

use shred_source::{SourceReject, SourceTally};

/// Why a peer, a connection or a datagram was refused by a QUIC source. The discriminant indexes
/// [`QuicTally::refused`] and names the metric label, so append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum QuicRefusal {
    /// The peer's key is not on the list.
    NotPinned,
    /// No certificate, or one without an Ed25519 key.
    BadCertificate,
    /// The peer does not hold the key it showed.
    BadSignature,
    /// No application protocol in common.
    WrongAlpn,
    /// The handshake did not end in time.
    HandshakeTimeout,
    /// The handshake failed in any other way.
    HandshakeFailed,
    /// Too many handshakes at once, of addresses that have proven to exist.
    HandshakeLimit,
    /// Too many handshakes at once from one network (IPv4 address, IPv6 /64) that has proven to exist.
    NetworkLimit,
    /// Too many connections.
    ConnectionLimit,
    /// The peer has connected anew, beyond what one peer may hold: its oldest connection was closed.
    PeerReplaced,
    /// The peer broke the stream limit, which is zero.
    Stream,
    /// The peer broke QUIC in any other way.
    Violation,
    /// A datagram without content. Takes no ordinal.
    Empty,
    /// Datagrams dropped before they were read, the oldest first: the connection's buffer was full.
    Stale,
    /// A packet from the socket that is no packet of QUIC version 1. As the three that follow it belongs to no
    /// connection; what else does is dropped uncounted: packets with the id of a connection that are not from it or
    /// come after its end, and first packets beyond those that may wait for an answer at once.
    NotQuic,
    /// A packet of another version of QUIC. Answered, if long enough, with the one that is spoken.
    OtherVersion,
    /// A first packet of less than 1200 bytes.
    ShortInitial,
    /// A packet of a connection that is not, or not any more since this end was started anew.
    NoConnection,
}

impl QuicRefusal {
    /// All reasons, in order of their discriminants.
    pub const ALL: [Self; 18] = [
        Self::NotPinned,
        Self::BadCertificate,
        Self::BadSignature,
        Self::WrongAlpn,
        Self::HandshakeTimeout,
        Self::HandshakeFailed,
        Self::HandshakeLimit,
        Self::NetworkLimit,
        Self::ConnectionLimit,
        Self::PeerReplaced,
        Self::Stream,
        Self::Violation,
        Self::Empty,
        Self::Stale,
        Self::NotQuic,
        Self::OtherVersion,
        Self::ShortInitial,
        Self::NoConnection,
    ];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotPinned => "not_pinned",
            Self::BadCertificate => "bad_certificate",
            Self::BadSignature => "bad_signature",
            Self::WrongAlpn => "wrong_alpn",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::HandshakeLimit => "handshake_limit",
            Self::NetworkLimit => "network_limit",
            Self::ConnectionLimit => "connection_limit",
            Self::PeerReplaced => "peer_replaced",
            Self::Stream => "stream",
            Self::Violation => "violation",
            Self::Empty => "empty",
            Self::Stale => "stale",
            Self::NotQuic => "not_quic",
            Self::OtherVersion => "other_version",
            Self::ShortInitial => "short_initial",
            Self::NoConnection => "no_connection",
        }
    }
}

/// A count that one thread writes.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one QUIC source took and refused.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct QuicCounters {
    /// Datagrams with content, the next one's ordinal.
    pub(crate) datagram_received: Count,
    pub(crate) byte_accepted: Count,
    pub(crate) rejected: [Count; SourceReject::ALL.len()],
    pub(crate) refused: [Count; QuicRefusal::ALL.len()],
    pub(crate) connection_accepted: Count,
    pub(crate) connection_closed: Count,
    pub(crate) retry_sent: Count,
}

impl QuicCounters {
    /// Reads every counter once. Counters move on meanwhile; each value by itself is exact.
    #[must_use]
    pub fn tally(&self) -> QuicTally {
        QuicTally {
            source: SourceTally {
                datagram_received: self.datagram_received.get(),
                byte_accepted: self.byte_accepted.get(),
                rejected: std::array::from_fn(|reason| self.rejected[reason].get()),
                ..SourceTally::default()
            },
            refused: std::array::from_fn(|reason| self.refused[reason].get()),
            connection_accepted: self.connection_accepted.get(),
            connection_closed: self.connection_closed.get(),
            retry_sent: self.retry_sent.get(),
        }
    }

    pub(crate) fn reject(&self, reason: SourceReject) {
        self.rejected[reason as usize].add(1);
    }

    pub(crate) fn refuse(&self, reason: QuicRefusal) {
        self.refuse_many(reason, 1);
    }

    pub(crate) fn refuse_many(&self, reason: QuicRefusal, count: u64) {
        self.refused[reason as usize].add(count);
    }
}

/// [`QuicCounters`] as plain numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuicTally {
    /// What every kind of source counts. All stamps are the host's and none other was to be expected (`stamp_missing`
    /// is 0); what the kernel dropped is not known (`kernel_dropped` is 0): QUIC's own loss detection sees it at the
    /// sender.
    pub source: SourceTally,
    /// What was refused, by [`QuicRefusal`].
    pub refused: [u64; QuicRefusal::ALL.len()],
    /// Connections admitted.
    pub connection_accepted: u64,
    /// Admitted connections that have ended.
    pub connection_closed: u64,
    /// Unproven addresses told to come again with a token, because unproven ones had a handshake under way already.
    pub retry_sent: u64,
}

impl QuicTally {
    /// How often `reason` applied.
    #[must_use]
    pub const fn refused_for(&self, reason: QuicRefusal) -> u64 {
        self.refused[reason as usize]
    }

    /// Connections open now.
    #[must_use]
    pub const fn connection_count(&self) -> u64 {
        self.connection_accepted
            .saturating_sub(self.connection_closed)
    }
}

/// What a [`QuicSender`](crate::QuicSender) sent and dropped.
#[derive(Debug)]
#[repr(align(128))]
pub struct SenderCounters {
    pub(crate) datagram_taken: Count,
    pub(crate) destinations: Vec<DestinationCounters>,
}

#[derive(Debug, Default)]
pub(crate) struct DestinationCounters {
    pub(crate) datagram_sent: Count,
    pub(crate) stale_dropped: Count,
    pub(crate) unconnected_dropped: Count,
    pub(crate) unsendable_dropped: Count,
    pub(crate) connection_opened: Count,
    pub(crate) connection_ended: Count,
    pub(crate) connect_failed: Count,
    pub(crate) identity_refused: Count,
}

impl SenderCounters {
    pub(crate) fn new(destination_count: usize) -> Self {
        Self {
            datagram_taken: Count::default(),
            destinations: (0..destination_count).map(|_| Default::default()).collect(),
        }
    }

    /// Reads every counter once. Allocates the list of destinations.
    #[must_use]
    pub fn tally(&self) -> SenderTally {
        let destinations = self.destinations.iter().map(|count| DestinationTally {
            datagram_sent: count.datagram_sent.get(),
            stale_dropped: count.stale_dropped.get(),
            unconnected_dropped: count.unconnected_dropped.get(),
            unsendable_dropped: count.unsendable_dropped.get(),
            connection_opened: count.connection_opened.get(),
            connection_ended: count.connection_ended.get(),
            connect_failed: count.connect_failed.get(),
            identity_refused: count.identity_refused.get(),
        });
        SenderTally {
            datagram_taken: self.datagram_taken.get(),
            destinations: destinations.collect(),
        }
    }
}

/// [`SenderCounters`] as plain numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SenderTally {
    /// Datagrams taken out of the ring, once for all destinations.
    pub datagram_taken: u64,
    /// In the order of the configuration.
    pub destinations: Vec<DestinationTally>,
}

/// What one destination was sent. Of the datagrams taken, each is in exactly one of the first four counts, or
/// waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestinationTally {
    /// Handed to QUIC. What is still unsent when a connection ends (at most 64 KiB) is lost with it.
    pub datagram_sent: u64,
    /// Dropped, the oldest first: the congestion controller held back for too long.
    pub stale_dropped: u64,
    /// Dropped: there was no connection.
    pub unconnected_dropped: u64,
    /// Dropped: the peer does not take datagrams of that length.
    pub unsendable_dropped: u64,
    /// Connections made.
    pub connection_opened: u64,
    /// Connections that have ended.
    pub connection_ended: u64,
    /// Tries that made none.
    pub connect_failed: u64,
    /// Of those, where somebody else than the pinned identity answered.
    pub identity_refused: u64,
}

impl DestinationTally {
    /// True while connected.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connection_opened > self.connection_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_index_their_counters() {
        let counters = QuicCounters::default();
        for (index, reason) in QuicRefusal::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            counters.refuse_many(reason, index as u64 + 1);
            assert_eq!(counters.tally().refused_for(reason), index as u64 + 1);
        }
        let mut labels = QuicRefusal::ALL.map(QuicRefusal::label).to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), QuicRefusal::ALL.len());
    }
}
