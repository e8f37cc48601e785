//! Connections the bridge knows, in a table that does not grow.

use brain_wire::{Sequence, SessionKeys};

use crate::strikes::Strikes;

/// Connections remembered at once.
pub(crate) const PEER_COUNT_MAX: usize = 256;
/// Longest ZeroMQ routing id (RFC 28, "identity" of 1 to 255 octets).
pub(crate) const ROUTING_ID_LEN_MAX: usize = 255;

/// A session, or a handshake that is not proven yet.
#[derive(Debug)]
pub(crate) struct Session {
    /// Index of the producer.
    pub(crate) producer: usize,
    pub(crate) epoch: u64,
    pub(crate) keys: SessionKeys,
    pub(crate) sequence: Sequence,
    /// Good heartbeats in a row.
    pub(crate) heartbeat_count: u32,
    pub(crate) heartbeat_at_ns: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    routing_id: Box<[u8]>,
    seen_ns: u64,
    pub(crate) quarantined_until_ns: u64,
    pub(crate) garbage: Strikes,
    /// Handshake whose brain has not proven its key yet.
    pub(crate) pending: Option<Box<Session>>,
    /// Session whose brain has.
    pub(crate) session: Option<Box<Session>>,
}

/// Every connection, at most [`PEER_COUNT_MAX`].
#[derive(Debug)]
pub(crate) struct Peers {
    peers: Vec<Peer>,
    garbage: Strikes,
}

impl Peers {
    /// `garbage` is the fresh strike counter each new connection gets.
    pub(crate) fn new(garbage: Strikes) -> Self {
        Self {
            peers: Vec::with_capacity(PEER_COUNT_MAX),
            garbage,
        }
    }

    /// The index of the connection with this routing id, known or new, and whether another had to
    /// be forgotten for it. Indices stay valid until the next call.
    pub(crate) fn find(&mut self, routing_id: &[u8], now_ns: u64) -> (usize, bool) {
        if let Some(index) = self
            .peers
            .iter()
            .position(|peer| &*peer.routing_id == routing_id)
        {
            self.peers[index].seen_ns = now_ns;
            return (index, false);
        }
        let fresh = Peer {
            routing_id: routing_id.into(),
            seen_ns: now_ns,
            quarantined_until_ns: 0,
            garbage: self.garbage,
            pending: None,
            session: None,
        };
        if self.peers.len() < PEER_COUNT_MAX {
            self.peers.push(fresh);
            return (self.peers.len() - 1, false);
        }
        let index = self.least_useful(now_ns);
        self.peers[index] = fresh;
        (index, true)
    }

    /// The connection to forget: without a session first (there are fewer producers than cells, so
    /// sessions are never pushed out by strangers), then without a handshake under way, then out
    /// of quarantine, then longest silent.
    fn least_useful(&self, now_ns: u64) -> usize {
        let usefulness = |peer: &Peer| {
            (
                peer.session.is_some(),
                peer.pending.is_some(),
                peer.quarantined_until_ns > now_ns,
                peer.seen_ns,
            )
        };
        let indices = 0..self.peers.len();
        indices
            .min_by_key(|index| usefulness(&self.peers[*index]))
            .unwrap_or(0)
    }

    pub(crate) fn get(&mut self, index: usize) -> &mut Peer {
        &mut self.peers[index]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.iter_mut()
    }
}

impl Peer {
    /// The session or handshake of this epoch and producer.
    pub(crate) fn session_of(&self, epoch: u64, producer: usize) -> Option<&Session> {
        let both = [self.session.as_deref(), self.pending.as_deref()];
        both.into_iter()
            .flatten()
            .find(|session| session.epoch == epoch && session.producer == producer)
    }

    /// The keys to answer a frame of `epoch` with: those the peer is using, as far as we can tell.
    pub(crate) fn answer_keys(&self, epoch: u64) -> Option<&SessionKeys> {
        let both = [self.session.as_deref(), self.pending.as_deref()];
        let exact = both
            .into_iter()
            .flatten()
            .find(|session| session.epoch == epoch);
        let any = self.session.as_deref().or(self.pending.as_deref());
        exact.or(any).map(|session| &session.keys)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn session() -> Box<Session> {
        let keys = SessionKeys::derive(&[0; 32], 1, &[0; 16], &[0; 32], 1);
        let sequence = Sequence::default();
        Box::new(Session {
            producer: 0,
            epoch: 1,
            keys,
            sequence,
            heartbeat_count: 0,
            heartbeat_at_ns: 0,
        })
    }

    /// Goal: strangers push out strangers, never a session, and the quarantined stay known.
    #[test]
    fn strangers_cannot_push_out_a_session_or_a_quarantine() {
        let mut peers = Peers::new(Strikes::new(20, 1));
        let (honest, _) = peers.find(b"honest", 0);
        peers.get(honest).session = Some(session());
        let (bad, _) = peers.find(b"bad", 1);
        peers.get(bad).quarantined_until_ns = u64::MAX;
        for number in 0..10_000_u64 {
            peers.find(&number.to_le_bytes(), 2 + number);
            assert!(peers.peers.len() <= PEER_COUNT_MAX);
        }
        assert_eq!(peers.find(b"honest", 20_000), (honest, false));
        assert_eq!(peers.find(b"bad", 20_000), (bad, false));
        assert!(peers.get(honest).session.is_some());
    }
}
