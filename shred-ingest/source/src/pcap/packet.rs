//! From a captured frame to the UDP datagram in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// Why a record gave no datagram. The discriminant indexes [`super::PcapCounters::rejected`] and names the metric
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
pub(super) enum LinkType {
    Ethernet,
    RawIp,
    LinuxCooked,
    LinuxCooked2,
}

impl LinkType {
    pub(super) const fn from_number(number: u16) -> Option<Self> {
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
pub(super) struct Found {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// Payload, as offsets into the record's bytes.
    pub(super) payload: Range<usize>,
}

/// A refused record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: PcapReject,
    /// True when it is a UDP datagram all the same, and so takes an ordinal.
    pub(super) is_datagram: bool,
}

impl From<PcapReject> for Refused {
    fn from(reason: PcapReject) -> Self {
        Self {
            reason,
            is_datagram: false,
        }
    }
}

/// Finds the UDP datagram in the captured bytes of one record. `cut` says that the frame was longer.
pub(super) fn find_datagram(link: LinkType, bytes: &[u8], cut: bool) -> Result<Found, Refused> {
    // Bytes that are missing are the sender's fault or the capture's.
    let missing = if cut {
        PcapReject::Cut
    } else {
        PcapReject::Malformed
    };
    let ip_at = skip_link(link, bytes, missing)?;
    let ip = bytes.get(ip_at..).ok_or(missing)?;
    let packet = match ip.first().ok_or(missing)? >> 4 {
        4 => parse_ipv4(ip, missing)?,
        6 => parse_ipv6(ip, missing)?,
        _ => return Err(PcapReject::NotIp.into()),
    };
    let udp_at = ip_at + packet.payload.start;
    let mut found = parse_udp(bytes, udp_at..ip_at + packet.payload.end, missing)?;
    found.from.set_ip(packet.from);
    found.to.set_ip(packet.to);
    Ok(found)
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

const PROTOCOL_UDP: u8 = 17;

struct IpPacket {
    from: IpAddr,
    to: IpAddr,
    /// Where the UDP header starts and the packet ends by its own account, from the IP header's first byte.
    payload: Range<usize>,
}

const IPV4_HEADER_LEN: usize = 20;

fn parse_ipv4(ip: &[u8], missing: PcapReject) -> Result<IpPacket, PcapReject> {
    let header = ip.first_chunk::<IPV4_HEADER_LEN>().ok_or(missing)?;
    let header_len = usize::from(header[0] & 0x0F) * 4;
    if header_len < IPV4_HEADER_LEN {
        return Err(PcapReject::Malformed);
    }
    if header[9] != PROTOCOL_UDP {
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
        payload: at..end,
    })
}

const UDP_HEADER_LEN: usize = 8;

/// `packet` is where the UDP header starts and the IP packet ends by its own account, which may be beyond `bytes`.
/// The addresses of the result are the caller's to fill in.
fn parse_udp(bytes: &[u8], packet: Range<usize>, missing: PcapReject) -> Result<Found, Refused> {
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
    let at_port = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    Ok(Found {
        from: at_port(u16::from_be_bytes([header[0], header[1]])),
        to: at_port(u16::from_be_bytes([header[2], header[3]])),
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
