#![allow(clippy::unwrap_used)]

use std::io::{self, Read};
use std::net::SocketAddr;

use proptest::prelude::*;
use shred_wire::Nanos;

use super::*;

/// How a handcrafted file is written.
#[derive(Clone, Copy)]
struct Craft {
    magic: u32,
    big_endian: bool,
    snap_len: u32,
    link: u32,
}

const PLAIN: Craft = Craft {
    magic: MAGIC_NANOS,
    big_endian: false,
    snap_len: 65_535,
    link: 1,
};

impl Craft {
    fn number(self, number: u32) -> [u8; 4] {
        if self.big_endian {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn header(self) -> Vec<u8> {
        let mut bytes = self.number(self.magic).to_vec();
        for half in [2u16, 4] {
            bytes.extend(if self.big_endian {
                half.to_be_bytes()
            } else {
                half.to_le_bytes()
            });
        }
        for number in [0, 0, self.snap_len, self.link] {
            bytes.extend(self.number(number));
        }
        bytes
    }

    /// A record whose lengths are claims, true or not.
    fn record(self, stamp: (u32, u32), kept_len: u32, frame_len: u32, bytes: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        for number in [stamp.0, stamp.1, kept_len, frame_len] {
            record.extend(self.number(number));
        }
        record.extend(bytes);
        record
    }

    /// A file of whole frames, one nanosecond (or microsecond) apart.
    fn file(self, frames: &[Vec<u8>]) -> Vec<u8> {
        let mut file = self.header();
        for (index, frame) in frames.iter().enumerate() {
            let len = frame.len() as u32;
            file.extend(self.record((100, index as u32), len, len, frame));
        }
        file
    }
}

fn udp(from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for half in [from_port, to_port, 8 + payload.len() as u16, 0] {
        bytes.extend(half.to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// `options` is a multiple of four bytes; `fragment` is the flags-and-offset field.
fn ipv4(protocol: u8, fragment: u16, options: &[u8], inner: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    let mut bytes = vec![0x40 | (header_len / 4) as u8, 0];
    bytes.extend(((header_len + inner.len()) as u16).to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(options);
    bytes.extend(inner);
    bytes
}

/// `extensions` are whole extension headers with their own next-header fields.
fn ipv6(next: u8, extensions: &[u8], inner: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(((extensions.len() + inner.len()) as u16).to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend([[0xFD; 16], [0xFE; 16]].concat());
    bytes.extend(extensions);
    bytes.extend(inner);
    bytes
}

fn ethernet(ethertype: u16, inner: &[u8]) -> Vec<u8> {
    [&[2u8; 12][..], &ethertype.to_be_bytes(), inner].concat()
}

/// The usual datagram.
fn datagram(payload: &[u8]) -> Vec<u8> {
    ipv4(17, 0x4000, &[], &udp(8001, 20000, payload))
}

type Owned = (u64, Nanos, SocketAddr, SocketAddr, Vec<u8>);

fn read_all(input: impl Read) -> Result<(Vec<Owned>, PcapCounters), PcapError> {
    let mut reader = PcapReader::new(input)?;
    let mut all = Vec::new();
    while let Some(found) = reader.next()? {
        let PcapDatagram {
            payload,
            stamp,
            ordinal,
            from,
            to,
        } = found;
        all.push((ordinal, stamp, from, to, payload.to_vec()));
    }
    assert!(reader.next()?.is_none(), "the end is the end");
    Ok((all, *reader.counters()))
}

/// The one datagram of a file with one frame.
#[track_caller]
fn read_one(craft: Craft, frame: Vec<u8>) -> Owned {
    let (mut all, counters) = read_all(craft.file(&[frame]).as_slice()).unwrap();
    assert_eq!(all.len(), 1, "{counters:?}");
    all.remove(0)
}

/// The reason a file's only frame is refused for.
#[track_caller]
fn refused(craft: Craft, frame: Vec<u8>) -> PcapReject {
    let (all, counters) = read_all(craft.file(&[frame]).as_slice()).unwrap();
    assert!(all.is_empty());
    let reasons = PcapReject::ALL
        .into_iter()
        .filter(|&reason| counters.refused(reason) > 0);
    let [reason] = reasons.collect::<Vec<_>>()[..] else {
        panic!("{counters:?}")
    };
    assert_eq!(counters.refused(reason), 1);
    reason
}

#[test]
fn every_magic_and_byte_order_gives_the_same_datagram() {
    for (magic, stamp) in [
        (MAGIC_NANOS, Nanos(100_000_000_000)),
        (MAGIC_MICROS, Nanos(100_000_000_000)),
    ] {
        for big_endian in [false, true] {
            let craft = Craft {
                magic,
                big_endian,
                ..PLAIN
            };
            let found = read_one(craft, ethernet(0x0800, &datagram(b"shred")));
            assert_eq!(found.0, 0);
            assert_eq!(found.1, stamp);
            assert_eq!(found.2, "10.0.0.1:8001".parse().unwrap());
            assert_eq!(found.3, "10.0.0.2:20000".parse().unwrap());
            assert_eq!(found.4, b"shred");
        }
    }
}

#[test]
fn fractions_are_in_the_files_unit() {
    for (magic, nanos) in [(MAGIC_NANOS, 7), (MAGIC_MICROS, 7000)] {
        let craft = Craft { magic, ..PLAIN };
        let frame = ethernet(0x0800, &datagram(b""));
        let len = frame.len() as u32;
        let file = [craft.header(), craft.record((3, 7), len, len, &frame)].concat();
        assert_eq!(
            read_all(file.as_slice()).unwrap().0[0].1,
            Nanos(3_000_000_000 + nanos)
        );
    }
}

#[test]
fn every_link_type_is_looked_through() {
    let v4 = datagram(b"v4");
    let v6 = ipv6(17, &[], &udp(1, 2, b"v6"));
    let vlan = |inner: &[u8]| [&[0x00, 0x64][..], inner].concat();
    let cooked = |protocol: u16, inner: &[u8]| {
        [
            &[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0][..],
            &protocol.to_be_bytes(),
            inner,
        ]
        .concat()
    };
    let cooked2 = |protocol: u16, inner: &[u8]| {
        let rest = [0, 0, 0, 0, 0, 1, 3, 4, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0];
        [&protocol.to_be_bytes()[..], &rest, inner].concat()
    };
    let tagged = |kind: u16, inner_type: u16, inner: &[u8]| {
        ethernet(
            kind,
            &vlan(&[&inner_type.to_be_bytes()[..], inner].concat()),
        )
    };
    let double = ethernet(
        0x88A8,
        &vlan(&[&[0x81, 0x00][..], &vlan(&[&[0x08, 0x00][..], &v4].concat())].concat()),
    );
    let cases: [(u32, Vec<u8>, &[u8]); 18] = [
        (1, ethernet(0x0800, &v4), b"v4"),
        (1, ethernet(0x86DD, &v6), b"v6"),
        (1, tagged(0x8100, 0x0800, &v4), b"v4"),
        (1, tagged(0x9100, 0x86DD, &v6), b"v6"),
        (1, double, b"v4"),
        (113, cooked(0x0800, &v4), b"v4"),
        (113, cooked(0x86DD, &v6), b"v6"),
        (
            113,
            cooked(0x8100, &vlan(&[&[0x08, 0x00][..], &v4].concat())),
            b"v4",
        ),
        (276, cooked2(0x0800, &v4), b"v4"),
        (276, cooked2(0x86DD, &v6), b"v6"),
        (12, v4.clone(), b"v4"),
        (14, v6.clone(), b"v6"),
        (101, v4.clone(), b"v4"),
        (101, v6.clone(), b"v6"),
        (228, v4.clone(), b"v4"),
        (229, v6.clone(), b"v6"),
        // The upper half of the field: four bytes of frame check sequence follow each frame.
        (
            0x4400_0001,
            [ethernet(0x0800, &v4), vec![0xAA; 4]].concat(),
            b"v4",
        ),
        // Ethernet pads short frames to 60 bytes.
        (1, [ethernet(0x0800, &v4), vec![0; 16]].concat(), b"v4"),
    ];
    for (link, frame, payload) in cases {
        assert_eq!(
            read_one(Craft { link, ..PLAIN }, frame).4,
            payload,
            "link type {link}"
        );
    }
}

#[test]
fn ip_headers_of_any_plain_shape_are_looked_through() {
    let inner = udp(1, 2, b"x");
    // Hop-by-hop of 16 bytes, then routing, then destination options of 8 bytes each.
    let chain = [&[43, 1][..], &[0; 14], &[60, 0], &[0; 6], &[17, 0], &[0; 6]].concat();
    // Fragment header with offset and flag zero.
    let atomic = [17, 0, 0, 0, 9, 9, 9, 9];
    for packet in [
        ipv4(17, 0, &[1; 12], &inner),
        ipv6(0, &chain, &inner),
        ipv6(44, &atomic, &inner),
    ] {
        assert_eq!(read_one(Craft { link: 101, ..PLAIN }, packet).4, b"x");
    }
    let mut offloaded = datagram(b"whole");
    offloaded[2..4].fill(0);
    assert_eq!(
        read_one(Craft { link: 101, ..PLAIN }, offloaded).4,
        b"whole"
    );
}

#[test]
fn what_is_no_datagram_is_refused_under_its_reason() {
    let inner = udp(1, 2, b"x");
    let raw = Craft { link: 101, ..PLAIN };
    assert_eq!(
        refused(PLAIN, ethernet(0x0806, &[0; 28])),
        PcapReject::NotIp
    );
    assert_eq!(refused(raw, vec![0x50; 40]), PcapReject::NotIp);
    assert_eq!(refused(raw, ipv4(6, 0, &[], &[0; 20])), PcapReject::NotUdp);
    assert_eq!(refused(raw, ipv6(58, &[], &[0; 20])), PcapReject::NotUdp);
    assert_eq!(
        refused(raw, ipv4(17, 0x2000, &[], &inner)),
        PcapReject::Fragment
    );
    assert_eq!(
        refused(raw, ipv4(17, 0x0001, &[], &inner)),
        PcapReject::Fragment
    );
    assert_eq!(
        refused(raw, ipv6(44, &[17, 0, 0, 1, 0, 0, 0, 0], &inner)),
        PcapReject::Fragment
    );
    assert_eq!(refused(PLAIN, vec![]), PcapReject::Malformed);
    assert_eq!(refused(PLAIN, ethernet(0x8100, &[])), PcapReject::Malformed);
    assert_eq!(
        refused(raw, ipv4(17, 0, &[], &inner[..7])),
        PcapReject::Malformed
    );
    assert_eq!(refused(raw, ipv6(0, &[17], &[])), PcapReject::Malformed);
    let mut short_header = datagram(b"x");
    short_header[0] = 0x44;
    assert_eq!(refused(raw, short_header), PcapReject::Malformed);
    for udp_len in [0u16, 7, 10] {
        let mut lying = datagram(b"x");
        lying[24..26].copy_from_slice(&udp_len.to_be_bytes());
        assert_eq!(
            refused(raw, lying),
            PcapReject::Malformed,
            "UDP length {udp_len}"
        );
    }
}

/// Goal: `datagram` ordinals mean the same to every reader of the file.
#[test]
fn ordinals_count_udp_datagrams_of_any_port_and_those_refused() {
    let whole = |tag: &[u8]| ethernet(0x0800, &datagram(tag));
    let mut file = PLAIN.file(&[
        whole(b"0"),
        ethernet(0x0806, &[0; 28]),
        ethernet(0x0800, &ipv4(17, 0x2000, &[], &udp(1, 2, b"fragment"))),
        ethernet(0x0800, &ipv4(17, 0, &[], &udp(53, 53, b"1"))),
    ]);
    // The capture kept all but the last byte of this one, ordinal 2.
    let frame = whole(b"cut");
    let len = frame.len() as u32;
    file.extend(PLAIN.record((0, 0), len - 1, len, &frame[..frame.len() - 1]));
    let frame = whole(b"3");
    file.extend(PLAIN.record((0, 0), frame.len() as u32, frame.len() as u32, &frame));
    let (all, counters) = read_all(file.as_slice()).unwrap();
    let seen: Vec<_> = all.iter().map(|found| (found.0, found.4.clone())).collect();
    assert_eq!(
        seen,
        [(0, b"0".to_vec()), (1, b"1".to_vec()), (3, b"3".to_vec())]
    );
    assert_eq!(counters.refused(PcapReject::Cut), 1);
    assert_eq!(counters.refused(PcapReject::Fragment), 1);
    assert_eq!(counters.refused(PcapReject::NotIp), 1);
    assert_eq!((counters.record_read, counters.datagram_read), (6, 3));
}

/// A record cut inside its headers cannot be told to be UDP.
#[test]
fn a_record_cut_in_its_headers_takes_no_ordinal() {
    let frame = ethernet(0x0800, &datagram(b"payload"));
    let mut file = PLAIN.header();
    for kept_len in 0..14 + 20 + 8 {
        file.extend(PLAIN.record(
            (0, 0),
            kept_len,
            frame.len() as u32,
            &frame[..kept_len as usize],
        ));
    }
    file.extend(PLAIN.record((0, 0), frame.len() as u32, frame.len() as u32, &frame));
    let (all, counters) = read_all(file.as_slice()).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0, 0);
    assert_eq!(counters.refused(PcapReject::Cut), 42);
}

#[test]
fn a_last_record_cut_anywhere_ends_the_file_cleanly() {
    let file = PLAIN.file(&[
        ethernet(0x0800, &datagram(b"a")),
        ethernet(0x0800, &datagram(b"b")),
    ]);
    let second_at = FILE_HEADER_LEN + (file.len() - FILE_HEADER_LEN) / 2;
    for len in second_at..file.len() {
        let (all, counters) = read_all(&file[..len]).unwrap();
        assert_eq!(all.len(), 1, "cut at {len}");
        assert_eq!(
            counters.refused(PcapReject::FileCut),
            u64::from(len > second_at),
            "cut at {len}"
        );
    }
    assert_eq!(
        read_all(&file[..FILE_HEADER_LEN]).unwrap(),
        (vec![], PcapCounters::default())
    );
}

#[test]
fn lengths_that_lie_are_survived_and_counted() {
    let frame = ethernet(0x0800, &datagram(b"x"));
    let len = frame.len() as u32;
    let good = PLAIN.record((0, 0), len, len, &frame);

    // More kept than there was, and more than the snap length: used by what was kept.
    let craft = Craft {
        snap_len: 10,
        ..PLAIN
    };
    let file = [
        craft.header(),
        craft.record((0, 0), len, 3, &frame),
        good.clone(),
    ]
    .concat();
    let (all, counters) = read_all(file.as_slice()).unwrap();
    assert_eq!((all.len(), counters.record_contradicting), (2, 2));

    // Longer than any capture keeps, and really that long: passed over.
    let long = vec![0xEE; RECORD_LEN_MAX * 3];
    let long_len = long.len() as u32;
    let record = PLAIN.record((0, 0), long_len, long_len, &long);
    let file = [PLAIN.header(), good.clone(), record, good.clone()].concat();
    let (all, counters) = read_all(file.as_slice()).unwrap();
    assert_eq!(
        (all.len(), counters.refused(PcapReject::RecordTooLong)),
        (2, 1)
    );

    // The longest that is read, so that the buffer is used to its end; and a claim beyond the file.
    let mut longest = frame.clone();
    longest.resize(RECORD_LEN_MAX, 0);
    let record = PLAIN.record(
        (0, 0),
        RECORD_LEN_MAX as u32,
        RECORD_LEN_MAX as u32,
        &longest,
    );
    let lie = PLAIN.record((0, 0), u32::MAX, u32::MAX, &frame);
    let file = [
        PLAIN.header(),
        good.clone(),
        record.clone(),
        good.clone(),
        record,
        good,
        lie,
    ]
    .concat();
    let (all, counters) = read_all(file.as_slice()).unwrap();
    assert_eq!(
        (all.len(), counters.refused(PcapReject::RecordTooLong)),
        (5, 1)
    );
}

#[test]
fn a_file_that_is_no_pcap_says_what_it_is() {
    let error = |bytes: &[u8]| read_all(bytes).unwrap_err();
    assert!(matches!(error(b""), PcapError::TooShort { len: 0 }));
    assert!(matches!(
        error(&PLAIN.header()[..23]),
        PcapError::TooShort { len: 23 }
    ));
    assert!(matches!(error(&[0x7F; 64]), PcapError::NotPcap([0x7F, ..])));
    let pcapng = [&[0x0A, 0x0D, 0x0D, 0x0A][..], &[0x1C; 24]].concat();
    assert!(error(&pcapng).to_string().contains("pcapng"));
    assert!(matches!(error(&pcapng[..12]), PcapError::Pcapng));
    assert!(matches!(
        error(&Craft { link: 105, ..PLAIN }.header()),
        PcapError::LinkType(105)
    ));
    for big_endian in [false, true] {
        let mut header = Craft {
            big_endian,
            ..PLAIN
        }
        .header();
        header[if big_endian { 5 } else { 4 }] = 3;
        assert!(matches!(
            error(&header),
            PcapError::Version { major: 3, minor: 4 }
        ));
    }
}

/// Gives its bytes in pieces of changing size, with interruptions, and fails at the end if told to.
struct Dribble<'a> {
    bytes: &'a [u8],
    turn: usize,
    fails: bool,
}

impl Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.bytes.is_empty() && self.fails {
            return Err(io::Error::other("disk on fire"));
        }
        let len = (self.turn * 7 % 61 + 1)
            .min(self.bytes.len())
            .min(into.len());
        into[..len].copy_from_slice(&self.bytes[..len]);
        self.bytes = &self.bytes[len..];
        Ok(len)
    }
}

#[test]
fn how_the_bytes_arrive_does_not_matter() {
    let frames: Vec<_> = (0..200u16)
        .map(|len| ethernet(0x0800, &datagram(&vec![len as u8; usize::from(len)])))
        .collect();
    let file = PLAIN.file(&frames);
    let at_once = read_all(file.as_slice()).unwrap();
    assert_eq!(at_once.0.len(), 200);
    let dribbled = read_all(Dribble {
        bytes: &file,
        turn: 0,
        fails: false,
    })
    .unwrap();
    assert_eq!(dribbled, at_once);
}

#[test]
fn a_read_that_fails_is_an_error_once_and_then_the_end() {
    let file = PLAIN.file(&[ethernet(0x0800, &datagram(b"x"))]);
    let mut reader = PcapReader::new(Dribble {
        bytes: &file,
        turn: 0,
        fails: true,
    })
    .unwrap();
    assert!(reader.next().unwrap().is_some());
    assert!(matches!(reader.next(), Err(PcapError::Io(_))));
    assert!(matches!(reader.next(), Ok(None)));
}

fn written(datagrams: &[(Nanos, SocketAddr, SocketAddr, Vec<u8>)]) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new()).unwrap();
    for (stamp, from, to, payload) in datagrams {
        writer.write(*stamp, *from, *to, payload).unwrap();
    }
    writer.into_inner()
}

/// The bytes are checked against an independent writer's of the same datagram (a reference capture's first record).
#[test]
fn a_written_ipv4_datagram_has_the_known_bytes() {
    let file = written(&[(
        Nanos(1_000_000_005),
        "192.0.2.10:8001".parse().unwrap(),
        "192.0.2.1:20000".parse().unwrap(),
        vec![0; 1203],
    )]);
    let ip = &file[FILE_HEADER_LEN + RECORD_HEADER_LEN + 14..];
    assert_eq!(
        &file[FILE_HEADER_LEN..FILE_HEADER_LEN + 16],
        &[1, 0, 0, 0, 5, 0, 0, 0, 0xDD, 4, 0, 0, 0xDD, 4, 0, 0]
    );
    assert_eq!(&ip[..4], &[0x45, 0, 0x04, 0xCF]);
    // The reference leaves the don't-fragment flag (0x4000) off: its checksum 0xF212 becomes 0xB212.
    assert_eq!(&ip[10..12], &[0xB2, 0x12]);
    assert_eq!(&ip[20..26], &[0x1F, 0x41, 0x4E, 0x20, 0x04, 0xBB]);
}

/// A receiver adds up everything a checksum covers, checksum included, and gets all ones (RFC 1071).
#[test]
fn written_checksums_add_up() {
    for (from, to, header_len) in [
        ("10.1.2.3:9", "10.3.2.1:8", 20),
        ("[fd00::1]:9", "[fd00::2]:8", 40),
    ] {
        for len in [0, 1, 2, 1203] {
            let payload: Vec<u8> = (0..len).map(|at| (at * 37) as u8).collect();
            let file = written(&[(
                Nanos(0),
                from.parse().unwrap(),
                to.parse().unwrap(),
                payload,
            )]);
            let ip = &file[FILE_HEADER_LEN + RECORD_HEADER_LEN + 14..];
            let udp = &ip[header_len..];
            let addresses = if header_len == 20 {
                &ip[12..20]
            } else {
                &ip[8..40]
            };
            let pseudo = [addresses, &[0, 17], &(udp.len() as u16).to_be_bytes()].concat();
            assert_eq!(
                ones_sum(&[&pseudo[..], udp].concat()),
                0xFFFF,
                "{from} {len}"
            );
            if header_len == 20 {
                assert_eq!(ones_sum(&ip[..20]), 0xFFFF);
            }
        }
    }
}

/// A checksum field of 0 would say that there is none; 0xFFFF stands for the same sum (RFC 768).
#[test]
fn a_checksum_of_zero_is_written_as_its_twin() {
    let address: SocketAddr = "10.1.2.3:9".parse().unwrap();
    let field = |payload: &[u8]| {
        let file = written(&[(Nanos(0), address, address, payload.to_vec())]);
        let udp = &file[FILE_HEADER_LEN + RECORD_HEADER_LEN + 14 + 20..];
        [udp[6], udp[7]]
    };
    // With the complement itself as payload the sum is all ones.
    assert_eq!(field(&field(&[0, 0])), [0xFF, 0xFF]);
}

fn ones_sum(bytes: &[u8]) -> u32 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum
}

#[test]
fn what_does_not_fit_pcap_is_not_written() {
    let v4: SocketAddr = "10.0.0.1:1".parse().unwrap();
    let v6: SocketAddr = "[fd00::1]:1".parse().unwrap();
    let mut writer = PcapWriter::new(Vec::new()).unwrap();
    let too_long = vec![0; 65_508];
    assert!(matches!(
        writer.write(Nanos(0), v4, v4, &too_long),
        Err(PcapError::PayloadTooLong(65_508))
    ));
    assert!(matches!(
        writer.write(Nanos(0), v6, v6, &[too_long.as_slice(), &[0; 20]].concat()),
        Err(PcapError::PayloadTooLong(_))
    ));
    let late = Nanos((u64::from(u32::MAX) + 1) * 1_000_000_000);
    assert!(matches!(
        writer.write(late, v4, v4, b""),
        Err(PcapError::StampTooLate(_))
    ));
    writer.write(Nanos(0), v4, v4, &too_long[1..]).unwrap();
    let (all, _) = read_all(writer.into_inner().as_slice()).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].4.len(), 65_507);
}

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(|(ip, port)| SocketAddr::from((ip, port))),
        any::<([u8; 16], u16)>().prop_map(|(ip, port)| {
            SocketAddr::from((ip, port))
                .ip()
                .to_canonical()
                .to_string()
                .parse()
                .map(|ip: std::net::IpAddr| SocketAddr::new(ip, port))
                .unwrap()
        }),
    ]
}

/// The mapped form a file shows an IPv4 address in when the other end is IPv6.
fn as_written(address: SocketAddr, other: SocketAddr) -> SocketAddr {
    match (address, other) {
        (SocketAddr::V4(v4), SocketAddr::V6(_)) => {
            SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
        }
        _ => address,
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        datagrams in prop::collection::vec(
            (0..u64::from(u32::MAX) * 1_000_000_000, address(), address(), prop::collection::vec(any::<u8>(), 0..1500)),
            0..40,
        )
    ) {
        let datagrams: Vec<_> =
            datagrams.into_iter().map(|(stamp, from, to, payload)| (Nanos(stamp), from, to, payload)).collect();
        let file = written(&datagrams);
        let (all, counters) = read_all(Dribble { bytes: &file, turn: 0, fails: false }).unwrap();
        prop_assert_eq!(counters.datagram_read, datagrams.len() as u64);
        for (index, (found, (stamp, from, to, payload))) in all.iter().zip(&datagrams).enumerate() {
            prop_assert_eq!(found.0, index as u64);
            prop_assert_eq!(found.1, *stamp);
            prop_assert_eq!(found.2, as_written(*from, *to));
            prop_assert_eq!(found.3, as_written(*to, *from));
            prop_assert_eq!(&found.4, payload);
        }
    }

    /// Random bytes behind a valid file header: never a panic, always an end, every record accounted for.
    #[test]
    fn any_bytes_come_to_an_end(
        magic in prop::sample::select(vec![MAGIC_MICROS, MAGIC_NANOS]),
        big_endian in any::<bool>(),
        link in prop::sample::select(vec![1u32, 12, 14, 101, 113, 228, 229, 276]),
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let craft = Craft { magic, big_endian, link, ..PLAIN };
        check_accounts(&[craft.header(), bytes].concat())?;
    }

    /// Random frames in well-formed records reach the parsers behind the record header.
    #[test]
    fn any_frames_are_taken_or_refused(
        link in prop::sample::select(vec![1u32, 101, 113, 276]),
        frames in prop::collection::vec((prop::sample::select(vec![0x45u8, 0x46, 0x4F, 0x60]), prop::collection::vec(any::<u8>(), 0..120)), 0..20),
    ) {
        let frames: Vec<Vec<u8>> = frames.into_iter().map(|(first, rest)| {
            let ip = [vec![first], rest].concat();
            match link {
                101 => ip,
                1 => ethernet(if first == 0x60 { 0x86DD } else { 0x0800 }, &ip),
                113 => [&[0; 14][..], &[0x08, 0x00], &ip].concat(),
                _ => [&[0x86, 0xDD][..], &[0; 18], &ip].concat(),
            }
        }).collect();
        check_accounts(&Craft { link, ..PLAIN }.file(&frames))?;
    }

    /// A real file with bytes changed, removed and doubled.
    #[test]
    fn a_mutated_file_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..24),
    ) {
        let chain = [&[43, 1][..], &[0; 14], &[17, 0], &[0; 6]].concat();
        let frames: Vec<_> = (0..12u8).map(|tag| match tag % 3 {
            0 => ethernet(0x0800, &datagram(&[tag; 90])),
            1 => ethernet(0x86DD, &ipv6(0, &chain, &udp(1, 2, &[tag; 60]))),
            _ => ethernet(0x8100, &[&[0, 1, 8, 0][..], &datagram(&[tag; 30])].concat()),
        }).collect();
        let mut file = PLAIN.file(&frames);
        for (at, byte, how) in changes {
            let at = at.index(file.len());
            match how {
                0 => file[at] = byte,
                1 => { file.remove(at); }
                _ => file.insert(at, byte),
            }
        }
        check_accounts(&file)?;
    }
}

fn check_accounts(file: &[u8]) -> Result<(), TestCaseError> {
    if let Ok((all, counters)) = read_all(file) {
        prop_assert_eq!(all.len() as u64, counters.datagram_read);
        let refused: u64 = counters.rejected.iter().sum();
        // A header that is cut short is refused without having been read.
        let accounted = counters.datagram_read + refused;
        prop_assert!(accounted == counters.record_read || accounted == counters.record_read + 1);
        prop_assert!(all.is_sorted_by(|a, b| a.0 < b.0), "ordinals increase");
        prop_assert!(all.iter().map(|found| found.4.len()).sum::<usize>() <= file.len());
    }
    Ok(())
}
