//! Classic pcap, read and written: UDP datagrams in a file.
//!
//! Reading is total: whatever the bytes are it neither panics nor grows, and it comes to an end. What is no UDP
//! datagram, or only part of one, is refused, counted under its reason and passed over. Only a file that is no
//! capture of a kind we know, and a read that fails, are errors.
//!
//! Source: draft-ietf-opsawg-pcap (file and record headers), tcpdump.org/linktypes.html (link types),
//! RFC 791 (IPv4), RFC 8200 (IPv6), RFC 768 (UDP), IEEE 802.1Q (VLAN tags).

mod reader;
mod writer;

pub use crate::packet::PcapReject;
pub use reader::{PcapCounters, PcapDatagram, PcapReader};
pub use writer::PcapWriter;

use std::io;

/// Bytes of the file header.
const FILE_HEADER_LEN: usize = 24;
/// Bytes of a record header.
const RECORD_HEADER_LEN: usize = 16;
/// Longest record we read or claim to write: tcpdump's `MAXIMUM_SNAPLEN`.
const RECORD_LEN_MAX: usize = 262_144;
/// First four bytes, as a number in the writer's byte order: stamps in microseconds.
const MAGIC_MICROS: u32 = 0xA1B2_C3D4;
/// The same, stamps in nanoseconds.
const MAGIC_NANOS: u32 = 0xA1B2_3C4D;
/// First block type of a pcapng file; reads the same in both byte orders.
const MAGIC_PCAPNG: u32 = 0x0A0D_0D0A;

/// Why a file cannot be read, or a datagram not written.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// Shorter than a file header.
    #[error("not a pcap file: {len} bytes, shorter than a pcap header ({FILE_HEADER_LEN})")]
    TooShort {
        /// Bytes there were.
        len: usize,
    },
    /// The first four bytes are of no kind we know.
    #[error("not a pcap file: it starts with {0:02x?}")]
    NotPcap([u8; 4]),
    /// A pcapng file.
    #[error(
        "this is pcapng, not pcap; convert it with `tcpdump --nano -r FILE -w OUT` or `editcap -F nsecpcap FILE OUT`"
    )]
    Pcapng,
    /// A pcap file of another version than 2.
    #[error("pcap version {major}.{minor}: only version 2 is known")]
    Version {
        /// Major number in the file.
        major: u16,
        /// Minor number in the file.
        minor: u16,
    },
    /// A link type datagrams cannot be found in.
    #[error(
        "link type {0}: known are 1 (Ethernet), 12, 14, 101, 228, 229 (raw IP), 113 and 276 (Linux cooked)"
    )]
    LinkType(u16),
    /// The reader or writer underneath failed.
    #[error("pcap: {0}")]
    Io(#[from] io::Error),
    /// A datagram to write that does not fit an IP packet.
    #[error("a payload of {0} bytes does not fit a UDP datagram")]
    PayloadTooLong(usize),
    /// A stamp to write that pcap's 32-bit seconds cannot hold (after 2106).
    #[error("stamp {0} ns: pcap holds 32-bit seconds")]
    StampTooLate(u64),
}

#[cfg(test)]
mod tests;
