//! Frames of a network card, beside a reader that peels one header after the other off.

use std::net::{IpAddr, SocketAddr};

use super::{Corpus, Dice};

/// Of `shred-source`, where only captures and AF_XDP see it: no way in leads to its GRE tunnels without a card.
#[path = "../../../shred-ingest/source/src/packet.rs"]
#[allow(dead_code, unreachable_pub)]
mod under_test;

use under_test::{Gre, LinkType, PcapReject, find_datagram};

/// Frames of any link with tags, options, extension headers and tunnels, whole, cut and damaged: the datagram that is
/// found in one is the one that the reference finds, or there is none.
pub(super) fn packet(dice: &mut Dice, corpus: &Corpus) {
    let link = *dice.pick(&[
        LinkType::Ethernet,
        LinkType::Ethernet,
        LinkType::RawIp,
        LinkType::LinuxCooked,
        LinkType::LinuxCooked2,
    ]);
    let payload = &dice.pick(&corpus.datagrams).1;
    let payload = &payload[..dice.below(payload.len() + 1)];
    let mut frame = framed(dice, link, payload);
    match dice.below(6) {
        0 => dice.mutate(&mut frame),
        1 => frame.truncate(dice.below(frame.len() + 1)),
        2 | 3 => {
            let head = frame.len().min(120);
            for _ in 0..1 + dice.below(3) {
                let at = dice.below(head);
                if let Some(byte) = frame.get_mut(at) {
                    *byte = match dice.below(3) {
                        0 => dice.next() as u8,
                        1 => *byte ^ 1 << dice.below(8),
                        _ => *dice.pick(&[0, 1, 6, 8, 17, 43, 44, 45, 47, 60, 0x45, 0xff]),
                    };
                }
            }
        }
        _ => {}
    }
    for (gre, tunnels) in [(Gre::Refuse, 0), (Gre::LookInside, 1)] {
        let expected = datagram_in(link, &frame, tunnels);
        for cut in [false, true] {
            match (find_datagram(link, &frame, cut, gre), &expected) {
                (Ok(found), Some((from, to, payload))) => {
                    assert_eq!((found.from, found.to), (*from, *to));
                    assert_eq!(frame.get(found.payload), Some(*payload));
                }
                (Err(refused), None) => {
                    let of_udp = matches!(refused.reason, PcapReject::Malformed | PcapReject::Cut);
                    assert!(of_udp || !refused.is_datagram);
                    assert!(cut || refused.reason != PcapReject::Cut);
                }
                (Ok(found), None) => panic!("{found:?}, where there is none"),
                (Err(refused), Some(_)) => panic!("{refused:?}, though there is one"),
            }
        }
    }
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// A frame that carries `payload`, of some form.
fn framed(dice: &mut Dice, link: LinkType, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    let udp = [
        &[0x1f, 0x40, 0x1f, 0x41],
        &len.to_be_bytes()[..],
        &[0, 0],
        payload,
    ]
    .concat();
    let (mut kind, mut bytes) = ip(dice, 17, &udp);
    for _ in 0..[0, 0, 1, 2][dice.below(4)] {
        let flags = match dice.below(6) {
            0 => dice.next() as u16,
            _ => [0, 0x8000, 0x2000, 0x1000, 0xb000][dice.below(5)],
        };
        let words = [0x8000, 0x2000, 0x1000]
            .iter()
            .filter(|flag| flags & **flag != 0);
        let words = vec![0xee; 4 * words.count()];
        let inner = [
            &flags.to_be_bytes()[..],
            &kind.to_be_bytes(),
            &words,
            &bytes,
        ]
        .concat();
        (kind, bytes) = ip(dice, 47, &inner);
    }
    if link == LinkType::RawIp {
        return bytes;
    }
    // What follows the link's own header: tags, each with the type of what is behind it.
    let mut types = vec![kind];
    for _ in 0..[0, 0, 0, 1, 2, 3][dice.below(6)] {
        types.insert(0, *dice.pick(&[0x8100, 0x88a8, 0x9100]));
    }
    let first = types.remove(0).to_be_bytes();
    let tags = types
        .iter()
        .flat_map(|kind| [[0, 5], kind.to_be_bytes()].concat());
    let tags: Vec<u8> = tags.collect();
    let head = match link {
        LinkType::Ethernet => [&[2; 12][..], &first].concat(),
        LinkType::LinuxCooked => [&[3; 14][..], &first].concat(),
        _ => [&first[..], &[4; 18]].concat(),
    };
    let trailer = vec![9; [0, 0, 4, 30][dice.below(4)]];
    [head, tags, bytes, trailer].concat()
}

/// An IP packet of `protocol` around `inner`, and its EtherType.
fn ip(dice: &mut Dice, protocol: u8, inner: &[u8]) -> (u16, Vec<u8>) {
    if dice.chance(60) || protocol == 47 {
        let options = vec![1; [0, 0, 4, 40][dice.below(4)]];
        let total = match dice.below(12) {
            0 => 0,
            _ => (20 + options.len() + inner.len()) as u16,
        };
        let words = 5 + options.len() as u8 / 4;
        let mut head = vec![0x40 | words, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        head[2..4].copy_from_slice(&total.to_be_bytes());
        head.extend([10, 0, 0, protocol, 10, 0, 1, protocol]);
        return (IPV4, [&head, &options, inner].concat());
    }
    let mut next = protocol;
    let mut behind = inner.to_vec();
    for _ in 0..[0, 0, 1, 3][dice.below(4)] {
        let kind = *dice.pick(&[0, 43, 44, 60]);
        let more = if kind == 44 { 0 } else { dice.below(3) as u8 };
        let mut extension = vec![0; 8 * (1 + usize::from(more))];
        (extension[0], extension[1]) = (next, more);
        behind = [extension, behind].concat();
        next = kind;
    }
    let len = match dice.below(12) {
        0 => 0,
        _ => behind.len() as u16,
    };
    let head = [&[0x60, 0, 0, 0], &len.to_be_bytes()[..], &[next, 64]].concat();
    (
        IPV6,
        [&head[..], &[0xfd; 16], &[0xfe; 16], &behind].concat(),
    )
}

type Found<'a> = (SocketAddr, SocketAddr, &'a [u8]);

/// The datagram in a frame, if it is one and all of it is there.
fn datagram_in(link: LinkType, frame: &[u8], tunnels: u32) -> Option<Found<'_>> {
    let bytes = match link {
        LinkType::RawIp => frame,
        LinkType::Ethernet => untagged(frame.get(12..14)?, frame.get(14..)?)?,
        LinkType::LinuxCooked => untagged(frame.get(14..16)?, frame.get(16..)?)?,
        LinkType::LinuxCooked2 => untagged(frame.get(..2)?, frame.get(20..)?)?,
    };
    let packet = Packet::read(bytes)?;
    let packet = match packet.protocol {
        47 if packet.is_ipv4 && tunnels > 0 => {
            // A tunnel ends with its packet.
            let tunnel = packet.held();
            let (head, mut inner) = tunnel.split_at_checked(4)?;
            let flags = u16::from_be_bytes([head[0], head[1]]);
            let kind = u16::from_be_bytes([head[2], head[3]]);
            if flags & 0x4c07 != 0 || ![IPV4, IPV6].contains(&kind) {
                return None;
            }
            for flag in [0x8000, 0x2000, 0x1000] {
                if flags & flag != 0 {
                    inner = inner.get(4..)?;
                }
            }
            Packet::read(inner)?
        }
        _ => packet,
    };
    if packet.protocol != 17 {
        return None;
    }
    let (ports, len) = (packet.behind.get(..4)?, packet.behind.get(4..6)?);
    let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
    if len < 8 || len > packet.claimed || packet.behind.len() < 8 {
        return None;
    }
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    let from = SocketAddr::new(packet.from, port(0));
    let to = SocketAddr::new(packet.to, port(2));
    Some((from, to, packet.behind.get(8..len)?))
}

/// What is behind the tags, if it is IP.
fn untagged<'a>(kind: &[u8], behind: &'a [u8]) -> Option<&'a [u8]> {
    match u16::from_be_bytes([kind[0], kind[1]]) {
        IPV4 | IPV6 => Some(behind),
        0x8100 | 0x88a8 | 0x9100 => untagged(behind.get(2..4)?, behind.get(4..)?),
        _ => None,
    }
}

struct Packet<'a> {
    is_ipv4: bool,
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    /// Everything behind the IP headers, what is behind the packet included.
    behind: &'a [u8],
    /// How much of it is the packet's by its own word, be it there or not.
    claimed: usize,
}

impl<'a> Packet<'a> {
    fn held(&self) -> &'a [u8] {
        &self.behind[..self.claimed.min(self.behind.len())]
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        match bytes.first()? >> 4 {
            4 if bytes.len() >= 20 => {
                let head = 4 * usize::from(bytes[0] & 15);
                let total = match usize::from(word(2)) {
                    0 => bytes.len(),
                    total => total,
                };
                let is_fragment = word(6) & 0x2000 != 0 || word(6) & 0x1fff != 0;
                if head < 20 || is_fragment {
                    return None;
                }
                Some(Self {
                    is_ipv4: true,
                    from: <[u8; 4]>::try_from(&bytes[12..16]).ok()?.into(),
                    to: <[u8; 4]>::try_from(&bytes[16..20]).ok()?.into(),
                    protocol: bytes[9],
                    behind: bytes.get(head..)?,
                    claimed: total.checked_sub(head)?,
                })
            }
            6 if bytes.len() >= 40 => {
                let mut claimed = match usize::from(word(4)) {
                    0 => bytes.len() - 40,
                    len => len,
                };
                let (mut protocol, mut behind) = (bytes[6], &bytes[40..]);
                while [0, 43, 44, 60].contains(&protocol) {
                    let head = behind.first_chunk::<8>()?;
                    let len = match protocol {
                        44 if head[2] != 0 || head[3] & !6 != 0 => return None,
                        44 => 8,
                        _ => 8 + 8 * usize::from(head[1]),
                    };
                    protocol = head[0];
                    // One that goes on behind the end has nothing behind it.
                    behind = behind.get(len..)?;
                    claimed = claimed.checked_sub(len)?;
                }
                Some(Self {
                    is_ipv4: false,
                    from: <[u8; 16]>::try_from(&bytes[8..24]).ok()?.into(),
                    to: <[u8; 16]>::try_from(&bytes[24..40]).ok()?.into(),
                    protocol,
                    behind,
                    claimed,
                })
            }
            _ => None,
        }
    }
}
