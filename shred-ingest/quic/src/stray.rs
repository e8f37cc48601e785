//! Packets that belong to no connection. quinn drops them without a word, so they are counted on their way to it.
//!
//! Counted is what a look at the header tells. Not told, and counted nowhere: packets that carry the id of one of our
//! connections, even of one that has ended, and are not from it (they fail decryption), and first packets beyond those
//! that may wait for an answer at once. A first packet whose content is nonsense is a failed handshake
//! ([`QuicRefusal::HandshakeFailed`]).

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, EndpointConfig, UdpPoller};

use crate::counters::{QuicCounters, QuicRefusal};

/// QUIC version 1 (RFC 9000 section 15).
const VERSION_1: u32 = 1;
/// Bits of a packet's first byte (RFC 9000 section 17.2 and 17.3.1).
const LONG_HEADER: u8 = 0x80;
const FIXED_BIT: u8 = 0x40;
/// Long header types (RFC 9000 section 17.2).
const TYPE_INITIAL: u8 = 0;
/// Longest connection id of version 1 (RFC 9000 section 17.2).
const ID_LEN_MAX: usize = 20;
/// Shortest datagram that may begin a connection (RFC 9000 section 14.1).
const INITIAL_LEN_MIN: usize = 1200;
/// Half of one of our connection ids: four bytes that differ, and four that prove the id to be ours.
const HALF_LEN: usize = 4;

/// Makes this endpoint's connection ids, and knows them again. Not a secret worth keeping: whoever forges an id is
/// not counted as stray, no more.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnIds {
    draw: RandomState,
    seal: RandomState,
    drawn_count: u64,
}

impl OwnIds {
    fn seal(&self, drawn: [u8; HALF_LEN]) -> [u8; HALF_LEN] {
        half(self.seal.hash_one(drawn))
    }

    fn has(&self, id: &[u8]) -> bool {
        id.split_first_chunk()
            .is_some_and(|(drawn, seal)| seal == self.seal(*drawn))
    }
}

fn half(hash: u64) -> [u8; HALF_LEN] {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    [a, b, c, d]
}

impl ConnectionIdGenerator for OwnIds {
    fn generate_cid(&mut self) -> ConnectionId {
        // Keyed, so that nobody can tell which ids are of one connection. quinn asks again for one that is in use.
        self.drawn_count += 1;
        let drawn = half(self.draw.hash_one(self.drawn_count));
        ConnectionId::new(&[drawn, self.seal(drawn)].concat())
    }

    fn cid_len(&self) -> usize {
        2 * HALF_LEN
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// An endpoint whose packets [`StraySocket`] can read: version 1 alone, the fixed bit always set, our ids.
pub(crate) fn endpoint_config(own: &OwnIds) -> EndpointConfig {
    let own = own.clone();
    let mut config = EndpointConfig::default();
    config
        .supported_versions(vec![VERSION_1])
        .grease_quic_bit(false)
        .cid_generator(move || Box::new(own.clone()));
    config
}

/// Counts what belongs to no connection, and has quinn drop it; all else passes as it is.
#[derive(Debug)]
pub(crate) struct StraySocket {
    inner: Arc<dyn AsyncUdpSocket>,
    own: OwnIds,
    counters: Arc<QuicCounters>,
}

impl StraySocket {
    pub(crate) fn new(
        inner: Arc<dyn AsyncUdpSocket>,
        own: OwnIds,
        counters: Arc<QuicCounters>,
    ) -> Self {
        Self {
            inner,
            own,
            counters,
        }
    }

    fn look_at(&self, packet: &mut [u8]) {
        let Some(reason) = stray(packet, &self.own) else {
            return;
        };
        self.counters.refuse(reason);
        // Without the fixed bit quinn drops it at once. It might answer otherwise: ids that are not ours with a reset.
        // Another version it is to answer, with those that are spoken.
        if reason != QuicRefusal::OtherVersion
            && let Some(first) = packet.first_mut()
        {
            *first = 0;
        }
    }
}

impl AsyncUdpSocket for StraySocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.inner.poll_recv(cx, buffers, meta);
        if let Poll::Ready(Ok(count)) = &polled {
            for (buffer, meta) in buffers.iter_mut().zip(&*meta).take(*count) {
                match buffer.get_mut(..meta.len) {
                    // The kernel may have put several of one length into a buffer.
                    Some(bytes) if meta.len > 0 => bytes
                        .chunks_mut(meta.stride.max(1))
                        .for_each(|packet| self.look_at(packet)),
                    _ => self.look_at(&mut []),
                }
            }
        }
        polled
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// Why the datagram that begins with `packet`'s header can belong to no connection of ours, and begin none.
fn stray(packet: &[u8], own: &OwnIds) -> Option<QuicRefusal> {
    let header = Header::read(packet);
    match header {
        None => Some(QuicRefusal::NotQuic),
        Some(Header::OtherVersion) => Some(QuicRefusal::OtherVersion),
        Some(Header::Initial { id } | Header::Further { id }) if own.has(id) => None,
        Some(Header::Initial { .. }) if packet.len() >= INITIAL_LEN_MIN => None,
        Some(Header::Initial { .. }) => Some(QuicRefusal::ShortInitial),
        Some(Header::Further { .. }) => Some(QuicRefusal::NoConnection),
    }
}

/// As much of a packet's header as says whose it is.
enum Header<'p> {
    /// May begin a connection: the client has made the id up.
    Initial {
        id: &'p [u8],
    },
    /// Of a connection that exists.
    Further {
        id: &'p [u8],
    },
    OtherVersion,
}

impl<'p> Header<'p> {
    /// `None` of what is no packet that a client sends.
    fn read(packet: &'p [u8]) -> Option<Self> {
        let (&first, rest) = packet.split_first()?;
        if first & FIXED_BIT == 0 {
            return None;
        }
        if first & LONG_HEADER == 0 {
            let id = rest.get(..2 * HALF_LEN)?;
            return Some(Self::Further { id });
        }
        let (version, rest) = rest.split_first_chunk()?;
        match u32::from_be_bytes(*version) {
            // Version negotiation, which only servers send.
            0 => return None,
            VERSION_1 => {}
            _ => return Some(Self::OtherVersion),
        }
        let (id, rest) = id(rest)?;
        let (_, _) = self::id(rest)?;
        Some(match (first >> 4) & 3 {
            TYPE_INITIAL => Self::Initial { id },
            _ => Self::Further { id },
        })
    }
}

/// A connection id behind its length, and what follows.
fn id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    let len = usize::from(len);
    (len <= ID_LEN_MAX).then(|| rest.split_at_checked(len))?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn long(first: u8, version: u32, id: &[u8], len: usize) -> Vec<u8> {
        let mut packet = vec![first];
        packet.extend(version.to_be_bytes());
        packet.push(id.len() as u8);
        packet.extend(id);
        packet.extend([0; 5]);
        packet.resize(len, 0);
        packet
    }

    #[test]
    fn own_ids_differ_and_are_known_again() {
        let mut own = OwnIds::default();
        let ids: Vec<ConnectionId> = (0..1000).map(|_| own.generate_cid()).collect();
        assert!(
            ids.iter()
                .all(|id| id.len() == own.cid_len() && own.has(id))
        );
        let different: std::collections::BTreeSet<&[u8]> = ids.iter().map(|id| &id[..]).collect();
        assert!(different.len() >= 999, "{}", different.len());
        assert!(!ids.iter().any(|id| OwnIds::default().has(id)));
        assert!(!own.has(&ids[0][..7]) && !own.has(&[]));
    }

    #[test]
    fn a_header_says_why_a_packet_is_nobodys() {
        let mut own = OwnIds::default();
        let ours = own.generate_cid();
        let short = |id: &[u8]| [&[0x41], id, &[0; 30]].concat();
        let cases = [
            (vec![], Some(QuicRefusal::NotQuic)),
            (b"\x13no quic at all".to_vec(), Some(QuicRefusal::NotQuic)),
            (vec![0x41, 1, 2], Some(QuicRefusal::NotQuic)),
            (long(0xC0, 0, &[], 1200), Some(QuicRefusal::NotQuic)),
            (long(0xC0, 1, &[7; 21], 1200), Some(QuicRefusal::NotQuic)),
            (long(0xC0, 1, &[7; 8], 10), Some(QuicRefusal::NotQuic)),
            (
                long(0xC0, 0xFACE_B001, &[7; 8], 1200),
                Some(QuicRefusal::OtherVersion),
            ),
            (
                long(0xC0, 1, &[7; 8], 1199),
                Some(QuicRefusal::ShortInitial),
            ),
            (
                long(0xE0, 1, &[7; 8], 1200),
                Some(QuicRefusal::NoConnection),
            ),
            (short(&[7; 8]), Some(QuicRefusal::NoConnection)),
            (long(0xC0, 1, &[7; 8], 1200), None),
            (long(0xC0, 1, &ours, 100), None),
            (long(0xE0, 1, &ours, 100), None),
            (short(&ours), None),
        ];
        for (packet, expected) in cases {
            assert_eq!(stray(&packet, &own), expected, "{packet:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            stray(&bytes, &OwnIds::default());
        }
    }
}
