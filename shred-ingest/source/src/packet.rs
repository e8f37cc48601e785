//! From the bytes of a link's frame to the UDP datagram in it: for captures and for AF_XDP alike.
//!
//! Total: whatever the bytes are, the answer is offsets into them or a reason. Checksums are not looked at: a capture
//! may hold packets whose checksums the card was yet to fill in, and so does a frame that AF_XDP is given by a
//! virtual card.
//!
//! Source: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 768 (UDP), IEEE 802.1Q (VLAN tags), RFC 2784 and RFC 2890 (GRE).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// Why a record gave no datagram. The discriminant indexes [`crate::pcap::PcapCounters::rejected`] and names the metric
/// label, so append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PcapReject {
    /// Neither IPv4 nor IPv6: ARP, LLDP and the like.
    NotIp,
    /// IP, but another protocol than UDP.
    NotUdp,
    /// A piece of a fragmented IP packet. Shreds are sent unfragmented.
    Fragment,
    /// Fewer bytes than its own headers need, and the capture did not cut it.
    Malformed,
    /// The capture kept fewer bytes than there were (`tcpdump -s`), and the datagram is not whole.
    Cut,
    /// The record claims more bytes than any capture keeps; passed over by its own claim.
    RecordTooLong,
    /// The file ends inside a record.
    FileCut,
}

impl PcapReject {
    /// All reasons, in order of their discriminants.
    pub const ALL: [Self; 7] = [
        Self::NotIp,
        Self::NotUdp,
        Self::Fragment,
        Self::Malformed,
        Self::Cut,
        Self::RecordTooLong,
        Self::FileCut,
    ];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::NotUdp => "not_udp",
            Self::Fragment => "fragment",
            Self::Malformed => "malformed",
            Self::Cut => "cut",
            Self::RecordTooLong => "record_too_long",
            Self::FileCut => "file_cut",
        }
    }
}

/// What stands before the IP header. Numbers: tcpdump.org/linktypes.html.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkType {
    Ethernet,
    RawIp,
    LinuxCooked,
    LinuxCooked2,
}

impl LinkType {
    pub(crate) const fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Ethernet),
            // 12 and 14 are DLT_RAW of different systems, 228 and 229 fix the version the header names anyway.
            12 | 14 | 101 | 228 | 229 => Some(Self::RawIp),
            113 => Some(Self::LinuxCooked),
            276 => Some(Self::LinuxCooked2),
            _ => None,
        }
    }
}

/// A datagram found in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// Payload, as offsets into the record's bytes.
    pub(crate) payload: Range<usize>,
}

/// A refused record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: PcapReject,
    /// True when it is a UDP datagram all the same, and so takes an ordinal.
    pub(crate) is_datagram: bool,
}

impl From<PcapReject> for Refused {
    fn from(reason: PcapReject) -> Self {
        Self {
            reason,
            is_datagram: false,
        }
    }
}

/// What to do about a GRE tunnel in IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gre {
    /// It is no UDP datagram.
    Refuse,
    /// The datagram is the one inside, of the first tunnel.
    LookInside,
}

/// Finds the UDP datagram in the bytes of one frame. `cut` says that the frame was longer.
#[inline]
pub(crate) fn find_datagram(
    link: LinkType,
    bytes: &[u8],
    cut: bool,
    gre: Gre,
) -> Result<Found, Refused> {
    // Bytes that are missing are the sender's fault or the capture's.
    let missing = if cut {
        PcapReject::Cut
    } else {
        PcapReject::Malformed
    };
    let ip_at = skip_link(link, bytes, missing)?;
    let packet = parse_ip(bytes, ip_at, gre, missing)?;
    if packet.protocol != PROTOCOL_GRE {
        return parse_udp(bytes, &packet, missing);
    }
    // What is behind the outer packet's end is not of the tunnel.
    let tunnel = bytes.get(..packet.payload.end.min(bytes.len()));
    let tunnel = tunnel.unwrap_or_default();
    let inner_at = skip_gre(tunnel, packet.payload.start, missing)?;
    let packet = parse_ip(tunnel, inner_at, Gre::Refuse, missing)?;
    parse_udp(tunnel, &packet, missing)
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;
/// 802.1Q, 802.1ad (QinQ) and the older QinQ number.
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88A8, 0x9100];

/// Returns where the IP header starts.
fn skip_link(link: LinkType, bytes: &[u8], missing: PcapReject) -> Result<usize, PcapReject> {
    // Where the EtherType stands, and where what it names starts.
    let (mut type_at, mut next_at) = match link {
        LinkType::RawIp => return Ok(0),
        LinkType::Ethernet => (12, 14),
        LinkType::LinuxCooked => (14, 16),
        LinkType::LinuxCooked2 => (0, 20),
    };
    loop {
        match be16(bytes, type_at).ok_or(missing)? {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Ok(next_at),
            vlan if ETHERTYPES_VLAN.contains(&vlan) => {
                // A tag is two bytes of tag and the EtherType of what follows.
                type_at = next_at + 2;
                next_at += 4;
            }
            _ => return Err(PcapReject::NotIp),
        }
    }
}

/// The flags of a GRE header that are understood: each adds a word. Source: RFC 2784, RFC 2890.
const GRE_CHECKSUM: u16 = 0x8000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
/// Bits that say the header has another form: routing and the reserved bits a receiver must refuse (RFC 2784, 2.3),
/// and the version.
const GRE_UNKNOWN: u16 = 0x4C07;

/// Returns where the IP header inside the tunnel starts.
fn skip_gre(bytes: &[u8], at: usize, missing: PcapReject) -> Result<usize, PcapReject> {
    let flags = be16(bytes, at).ok_or(missing)?;
    let inside = be16(bytes, at + 2).ok_or(missing)?;
    if flags & GRE_UNKNOWN != 0 || !matches!(inside, ETHERTYPE_IPV4 | ETHERTYPE_IPV6) {
        return Err(PcapReject::NotUdp);
    }
    let words = (flags & (GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE)).count_ones() as usize;
    Ok(at + 4 + 4 * words)
}

const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_GRE: u8 = 47;

struct IpPacket {
    from: IpAddr,
    to: IpAddr,
    /// [`PROTOCOL_UDP`] or [`PROTOCOL_GRE`].
    protocol: u8,
    /// Where what follows the IP headers starts, and the packet ends by its own account, which may be beyond the
    /// bytes there are.
    payload: Range<usize>,
}

/// Parses the IP headers at `at` of `bytes`.
fn parse_ip(
    bytes: &[u8],
    at: usize,
    gre: Gre,
    missing: PcapReject,
) -> Result<IpPacket, PcapReject> {
    let ip = bytes.get(at..).ok_or(missing)?;
    let mut packet = match ip.first().ok_or(missing)? >> 4 {
        4 => parse_ipv4(ip, gre, missing)?,
        6 => parse_ipv6(ip, missing)?,
        _ => return Err(PcapReject::NotIp),
    };
    packet.payload.start += at;
    packet.payload.end += at;
    Ok(packet)
}

const IPV4_HEADER_LEN: usize = 20;

fn parse_ipv4(ip: &[u8], gre: Gre, missing: PcapReject) -> Result<IpPacket, PcapReject> {
    let header = ip.first_chunk::<IPV4_HEADER_LEN>().ok_or(missing)?;
    let header_len = usize::from(header[0] & 0x0F) * 4;
    if header_len < IPV4_HEADER_LEN {
        return Err(PcapReject::Malformed);
    }
    let protocol = header[9];
    let is_tunnel = protocol == PROTOCOL_GRE && gre == Gre::LookInside;
    if protocol != PROTOCOL_UDP && !is_tunnel {
        return Err(PcapReject::NotUdp);
    }
    // More-fragments flag or a fragment offset.
    if u16::from_be_bytes([header[6], header[7]]) & 0x3FFF != 0 {
        return Err(PcapReject::Fragment);
    }
    let end = match u16::from_be_bytes([header[2], header[3]]) {
        // Left to the card by segmentation offload.
        0 => ip.len(),
        total_len => usize::from(total_len),
    };
    if end < header_len {
        return Err(PcapReject::Malformed);
    }
    Ok(IpPacket {
        from: IpAddr::V4(Ipv4Addr::new(
            header[12], header[13], header[14], header[15],
        )),
        to: IpAddr::V4(Ipv4Addr::new(
            header[16], header[17], header[18], header[19],
        )),
        protocol,
        payload: header_len..end,
    })
}

const IPV6_HEADER_LEN: usize = 40;
const IPV6_HOP_BY_HOP: u8 = 0;
const IPV6_ROUTING: u8 = 43;
const IPV6_FRAGMENT: u8 = 44;
const IPV6_DESTINATION: u8 = 60;

fn parse_ipv6(ip: &[u8], missing: PcapReject) -> Result<IpPacket, PcapReject> {
    let header = ip.first_chunk::<IPV6_HEADER_LEN>().ok_or(missing)?;
    let end = match u16::from_be_bytes([header[4], header[5]]) {
        // A jumbogram, or left to the card.
        0 => ip.len(),
        payload_len => IPV6_HEADER_LEN + usize::from(payload_len),
    };
    let mut next = header[6];
    let mut at = IPV6_HEADER_LEN;
    // Every extension header is at least 8 bytes, so this ends with the record.
    while next != PROTOCOL_UDP {
        let extension = ip.get(at..).and_then(<[u8]>::first_chunk::<8>);
        match next {
            IPV6_HOP_BY_HOP | IPV6_ROUTING | IPV6_DESTINATION => {
                let extension = extension.ok_or(missing)?;
                next = extension[0];
                at += (usize::from(extension[1]) + 1) * 8;
            }
            IPV6_FRAGMENT => {
                let extension = extension.ok_or(missing)?;
                // Offset and more-fragments flag both zero: an atomic fragment, whole (RFC 6946).
                if u16::from_be_bytes([extension[2], extension[3]]) & 0xFFF9 != 0 {
                    return Err(PcapReject::Fragment);
                }
                next = extension[0];
                at += 8;
            }
            _ => return Err(PcapReject::NotUdp),
        }
    }
    if end < at {
        return Err(PcapReject::Malformed);
    }
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    Ok(IpPacket {
        from: address(8),
        to: address(24),
        protocol: PROTOCOL_UDP,
        payload: at..end,
    })
}

const UDP_HEADER_LEN: usize = 8;

fn parse_udp(bytes: &[u8], ip: &IpPacket, missing: PcapReject) -> Result<Found, Refused> {
    let packet = ip.payload.clone();
    // Ports and length that the IP packet itself does not hold are nobody's datagram.
    if packet.len() < UDP_HEADER_LEN {
        return Err(PcapReject::Malformed.into());
    }
    let header = bytes
        .get(packet.start..)
        .and_then(<[u8]>::first_chunk::<UDP_HEADER_LEN>);
    let header = header.ok_or(missing)?;
    let refuse = |reason| Refused {
        reason,
        is_datagram: true,
    };
    let udp_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if udp_len < UDP_HEADER_LEN || udp_len > packet.len() {
        return Err(refuse(PcapReject::Malformed));
    }
    let payload = packet.start + UDP_HEADER_LEN..packet.start + udp_len;
    if payload.end > bytes.len() {
        return Err(refuse(missing));
    }
    Ok(Found {
        from: SocketAddr::new(ip.from, u16::from_be_bytes([header[0], header[1]])),
        to: SocketAddr::new(ip.to, u16::from_be_bytes([header[2], header[3]])),
        payload,
    })
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn find(bytes: &[u8]) -> Result<Found, PcapReject> {
        find_datagram(LinkType::Ethernet, bytes, false, Gre::LookInside)
            .map_err(|refused| refused.reason)
    }

    fn udp(payload: &[u8]) -> Vec<u8> {
        let len = (UDP_HEADER_LEN + payload.len()) as u16;
        [&[0, 7, 0, 9], &len.to_be_bytes()[..], &[0, 0], payload].concat()
    }

    fn ipv4(protocol: u8, inner: &[u8]) -> Vec<u8> {
        let len = (IPV4_HEADER_LEN + inner.len()) as u16;
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        bytes.extend([10, 0, 0, protocol, 10, 0, 1, protocol]);
        [&bytes, inner].concat()
    }

    fn ethernet(kind: u16, inner: &[u8]) -> Vec<u8> {
        [&[2; 12][..], &kind.to_be_bytes(), inner].concat()
    }

    fn gre(flags: u16, kind: u16, inner: &[u8]) -> Vec<u8> {
        let words = (flags & 0xB000).count_ones() as usize;
        let head = [flags.to_be_bytes(), kind.to_be_bytes()].concat();
        [&head, &vec![0xEE; 4 * words], inner].concat()
    }

    fn tunnelled(flags: u16, payload: &[u8]) -> Vec<u8> {
        let inner = gre(flags, ETHERTYPE_IPV4, &ipv4(PROTOCOL_UDP, &udp(payload)));
        ethernet(ETHERTYPE_IPV4, &ipv4(PROTOCOL_GRE, &inner))
    }

    #[test]
    fn a_tunnel_of_any_form_is_looked_into_when_asked() {
        for flags in [0, GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE, 0xB000] {
            let frame = tunnelled(flags, b"inside");
            let found = find(&frame).unwrap();
            assert_eq!(&frame[found.payload.clone()], b"inside");
            assert_eq!(
                found.from,
                "10.0.0.17:7".parse().unwrap(),
                "the inner addresses"
            );
            assert_eq!(found.to, "10.0.1.17:9".parse().unwrap());
            let refused =
                find_datagram(LinkType::Ethernet, &frame, false, Gre::Refuse).unwrap_err();
            assert_eq!(refused.reason, PcapReject::NotUdp);
            let tagged = [&frame[..12], &[0x81, 0, 0, 5], &frame[12..]].concat();
            assert_eq!(&tagged[find(&tagged).unwrap().payload], b"inside");
        }
    }

    #[test]
    fn a_tunnel_we_do_not_know_is_refused() {
        for flags in [1, 7, 0x4000, 0x0800, 0x0400] {
            assert_eq!(find(&tunnelled(flags, b"x")), Err(PcapReject::NotUdp));
        }
        let of = |kind, inner: &[u8]| {
            find(&ethernet(
                ETHERTYPE_IPV4,
                &ipv4(PROTOCOL_GRE, &gre(0, kind, inner)),
            ))
        };
        let plain = ipv4(PROTOCOL_UDP, &udp(b"x"));
        assert_eq!(
            of(0x6558, &plain),
            Err(PcapReject::NotUdp),
            "Ethernet in GRE"
        );
        assert_eq!(
            of(ETHERTYPE_IPV4, &ipv4(6, &udp(b"x"))),
            Err(PcapReject::NotUdp)
        );
        let nested = ipv4(PROTOCOL_GRE, &gre(0, ETHERTYPE_IPV4, &plain));
        assert_eq!(
            of(ETHERTYPE_IPV4, &nested),
            Err(PcapReject::NotUdp),
            "one tunnel only"
        );
    }

    /// Goal: bytes behind the outer packet (an Ethernet trailer) are nobody's, even where an inner length claims them.
    #[test]
    fn an_inner_packet_ends_with_the_outer_one() {
        let mut frame = tunnelled(0, b"inside");
        let whole = find(&frame).unwrap();
        frame.extend([9; 20]);
        assert_eq!(find(&frame).unwrap(), whole);
        // The outer packet says that it is one byte shorter.
        frame[17] -= 1;
        assert_eq!(find(&frame), Err(PcapReject::Malformed));
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused() {
        for flags in [0, 0xB000] {
            let frame = tunnelled(flags, b"inside");
            for len in 0..frame.len() {
                assert_eq!(
                    find(&frame[..len]),
                    Err(PcapReject::Malformed),
                    "{len} bytes"
                );
            }
        }
    }

    proptest! {
        /// Any change of any bytes is taken or refused; what is taken lies inside the frame.
        #[test]
        fn what_is_found_lies_inside(
            flags in prop::sample::select(vec![0u16, 0x8000, 0xB000, 0x3000]),
            tunnel: bool,
            tags in 0usize..4,
            changes in prop::collection::vec((0usize..120, any::<u8>()), 0..6),
            len in 0usize..200,
            cut: bool,
        ) {
            let mut frame = match tunnel {
                true => tunnelled(flags, &[7; 40]),
                false => ethernet(ETHERTYPE_IPV4, &ipv4(PROTOCOL_UDP, &udp(&[7; 40]))),
            };
            for _ in 0..tags {
                frame.splice(12..12, [0x81, 0, 0, 1]);
            }
            for (at, value) in changes {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            frame.truncate(len);
            for gre in [Gre::Refuse, Gre::LookInside] {
                for link in [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxCooked, LinkType::LinuxCooked2] {
                    if let Ok(found) = find_datagram(link, &frame, cut, gre) {
                        prop_assert!(found.payload.start <= found.payload.end);
                        prop_assert!(found.payload.end <= frame.len());
                    }
                }
            }
        }
    }
}
