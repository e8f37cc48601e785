//! Writes UDP datagrams as a capture any tool reads: nanosecond stamps, Ethernet, IPv4 or IPv6.

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use shred_wire::Nanos;

use super::{FILE_HEADER_LEN, MAGIC_NANOS, PcapError, RECORD_HEADER_LEN, RECORD_LEN_MAX};

/// A capture being written, in this machine's order of operations: little-endian, version 2.4, link type Ethernet.
///
/// Issues two small writes per datagram; give it a buffered writer.
#[derive(Debug)]
pub struct PcapWriter<W> {
    output: W,
}

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;
const HEAD_LEN_MAX: usize = RECORD_HEADER_LEN + ETHERNET_LEN + IPV6_LEN + UDP_LEN;
const LINK_TYPE_ETHERNET: u32 = 1;
const PROTOCOL_UDP: u8 = 17;
/// Hops a packet may make; nobody forwards these.
const HOP_LIMIT: u8 = 64;

impl<W: Write> PcapWriter<W> {
    /// Writes the file header.
    ///
    /// # Errors
    /// [`PcapError::Io`] when the output fails.
    pub fn new(mut output: W) -> Result<Self, PcapError> {
        let mut header = [0u8; FILE_HEADER_LEN];
        header[0..4].copy_from_slice(&MAGIC_NANOS.to_le_bytes());
        header[4..6].copy_from_slice(&2u16.to_le_bytes());
        header[6..8].copy_from_slice(&4u16.to_le_bytes());
        header[16..20].copy_from_slice(&(RECORD_LEN_MAX as u32).to_le_bytes());
        header[20..24].copy_from_slice(&LINK_TYPE_ETHERNET.to_le_bytes());
        output.write_all(&header)?;
        Ok(Self { output })
    }

    /// Writes one datagram. The addresses decide the packet: IPv4 when both are (or map to) IPv4, else IPv6 with
    /// an IPv4 address mapped. Ethernet addresses are zero, as on the loopback interface.
    ///
    /// # Errors
    /// [`PcapError::PayloadTooLong`] and [`PcapError::StampTooLate`] write nothing; [`PcapError::Io`] may leave part
    /// of a record behind.
    pub fn write(
        &mut self,
        stamp: Nanos,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> Result<(), PcapError> {
        let mut head = Head {
            bytes: [0; HEAD_LEN_MAX],
            len: RECORD_HEADER_LEN,
        };
        let udp_len = u16::try_from(UDP_LEN + payload.len());
        let udp_len = udp_len.map_err(|_| PcapError::PayloadTooLong(payload.len()))?;
        match (from.ip().to_canonical(), to.ip().to_canonical()) {
            (IpAddr::V4(from_ip), IpAddr::V4(to_ip)) => {
                let total_len = udp_len.checked_add(IPV4_LEN as u16);
                let total_len = total_len.ok_or(PcapError::PayloadTooLong(payload.len()))?;
                head.ethernet(0x0800);
                head.ipv4(total_len, from_ip.octets(), to_ip.octets());
                let pseudo = sum(&from_ip.octets()) + sum(&to_ip.octets());
                head.udp(from.port(), to.port(), udp_len, pseudo, payload);
            }
            (from_ip, to_ip) => {
                let (from_ip, to_ip) = (octets_v6(from_ip), octets_v6(to_ip));
                head.ethernet(0x86DD);
                head.ipv6(udp_len, from_ip, to_ip);
                head.udp(
                    from.port(),
                    to.port(),
                    udp_len,
                    sum(&from_ip) + sum(&to_ip),
                    payload,
                );
            }
        }
        head.record(stamp, payload.len())?;
        self.output.write_all(&head.bytes[..head.len])?;
        self.output.write_all(payload)?;
        Ok(())
    }

    /// Flushes the output underneath.
    ///
    /// # Errors
    /// [`PcapError::Io`] when the output fails.
    pub fn flush(&mut self) -> Result<(), PcapError> {
        Ok(self.output.flush()?)
    }

    /// Gives the output back, unflushed.
    pub fn into_inner(self) -> W {
        self.output
    }
}

/// All that stands before a payload, being put together.
struct Head {
    bytes: [u8; HEAD_LEN_MAX],
    len: usize,
}

impl Head {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn ethernet(&mut self, ethertype: u16) {
        self.put(&[0; 12]);
        self.put(&ethertype.to_be_bytes());
    }

    fn ipv4(&mut self, total_len: u16, from: [u8; 4], to: [u8; 4]) {
        let start = self.len;
        // Version 4 with 5 words of header; no type of service.
        self.put(&[0x45, 0]);
        self.put(&total_len.to_be_bytes());
        // Identification 0; don't fragment.
        self.put(&[0, 0, 0x40, 0, HOP_LIMIT, PROTOCOL_UDP, 0, 0]);
        self.put(&from);
        self.put(&to);
        let checksum = fold(sum(&self.bytes[start..self.len]));
        self.bytes[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
    }

    fn ipv6(&mut self, payload_len: u16, from: [u8; 16], to: [u8; 16]) {
        self.put(&[0x60, 0, 0, 0]);
        self.put(&payload_len.to_be_bytes());
        self.put(&[PROTOCOL_UDP, HOP_LIMIT]);
        self.put(&from);
        self.put(&to);
    }

    fn udp(&mut self, from_port: u16, to_port: u16, udp_len: u16, addresses: u64, payload: &[u8]) {
        let start = self.len;
        self.put(&from_port.to_be_bytes());
        self.put(&to_port.to_be_bytes());
        self.put(&udp_len.to_be_bytes());
        self.put(&[0, 0]);
        let pseudo = addresses + u64::from(PROTOCOL_UDP) + u64::from(udp_len);
        let checksum = match fold(pseudo + sum(&self.bytes[start..self.len]) + sum(payload)) {
            // 0 says "no checksum"; its twin in ones' complement says the same sum (RFC 768).
            0 => 0xFFFF,
            checksum => checksum,
        };
        self.bytes[start + 6..start + 8].copy_from_slice(&checksum.to_be_bytes());
    }

    fn record(&mut self, stamp: Nanos, payload_len: usize) -> Result<(), PcapError> {
        let seconds = u32::try_from(stamp.0 / 1_000_000_000);
        let seconds = seconds.map_err(|_| PcapError::StampTooLate(stamp.0))?;
        let nanos = (stamp.0 % 1_000_000_000) as u32;
        let frame_len = (self.len - RECORD_HEADER_LEN + payload_len) as u32;
        for (at, number) in [seconds, nanos, frame_len, frame_len]
            .into_iter()
            .enumerate()
        {
            self.bytes[at * 4..at * 4 + 4].copy_from_slice(&number.to_le_bytes());
        }
        Ok(())
    }
}

fn octets_v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => Ipv6Addr::octets(&ip),
    }
}

/// Sum of big-endian 16-bit words, an odd last byte padded with zero (RFC 1071). Cannot overflow below 2^48 words.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |&byte| u64::from(byte) << 8);
    words
        .iter()
        .map(|&word| u64::from(u16::from_be_bytes(word)))
        .sum::<u64>()
        + last
}

/// Ones' complement of the ones' complement sum.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}
