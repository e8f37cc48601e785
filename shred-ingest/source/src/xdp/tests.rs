//! The kernel's part is tested with the kernel: in network namespaces of the test's own, over a pair of virtual
//! cards. Without the rights for that, or without `ip`, a test says so on stderr and passes.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use proptest::prelude::*;

use super::*;
use crate::arena::{ArenaPlan, CoreFrames, Descriptor, Lock, frame_ring};
use crate::capture::{Capture, CapturePlan};
use crate::lab::{FAR, FAR_MAC, Lab, NEAR, NEAR_MAC, in_lab, in_lab_of, ip};
use crate::socket::wall_clock;
use crate::{PcapReader, until};

const PORT: u16 = 20_000;
const OTHER_PORT: u16 = 20_001;
impl Lab {
    fn config(&self, native: Wish) -> XdpConfig {
        XdpConfig {
            native,
            ..XdpConfig::new(self.near_name, vec![PORT])
        }
    }
}

fn plan(frame_count: usize) -> ArenaPlan {
    ArenaPlan {
        frame_count,
        lock: Lock::Skip,
        ..ArenaPlan::default()
    }
}

fn open(config: &XdpConfig, frame_count: usize) -> (XdpSource, CoreFrames, XdpFacts) {
    let (frames, core, _) = frame_ring(&plan(frame_count)).unwrap();
    let (source, facts) = XdpSource::open(config, SourceId(9), frames, None).unwrap();
    (source, core, facts)
}

/// Polls and drains until `count` datagrams were read.
#[track_caller]
fn receive(
    source: &mut XdpSource,
    core: &mut CoreFrames,
    count: usize,
) -> Vec<(Descriptor, Vec<u8>)> {
    let mut all = Vec::new();
    until("all were received", || {
        assert!(source.poll() <= RX_BURST);
        core.drain(usize::MAX, |about, bytes| {
            all.push((*about, bytes.to_vec()))
        });
        all.len() >= count
    });
    assert_eq!(source.poll(), 0);
    assert_eq!(all.len(), count);
    all
}

fn udp(to: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    [
        &7u16.to_be_bytes()[..],
        &to.to_be_bytes(),
        &len.to_be_bytes(),
        &[0, 0],
        payload,
    ]
    .concat()
}

/// An IPv4 header with a true checksum, so that the stack takes what is passed to it.
fn ipv4(protocol: u8, fragment: u16, options: &[u8], inner: &[u8]) -> Vec<u8> {
    let head_len = 20 + options.len();
    let mut bytes = vec![
        0x40 | (head_len / 4) as u8,
        0,
        0,
        0,
        0,
        1,
        0,
        0,
        64,
        protocol,
        0,
        0,
    ];
    bytes[2..4].copy_from_slice(&((head_len + inner.len()) as u16).to_be_bytes());
    bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
    bytes.extend([10, 77, 0, 2, 10, 77, 0, 1]);
    bytes.extend(options);
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    bytes[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    [&bytes, inner].concat()
}

fn ethernet(tags: &[u16], kind: u16, inner: &[u8]) -> Vec<u8> {
    let mut frame = [NEAR_MAC, FAR_MAC].concat();
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 5]);
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(inner);
    frame
}

fn gre(flags: u16, inner: &[u8]) -> Vec<u8> {
    let words = (flags & 0xB000).count_ones() as usize;
    [
        &flags.to_be_bytes()[..],
        &[8, 0],
        &vec![0xEE; 4 * words],
        inner,
    ]
    .concat()
}

fn plain(payload: &[u8]) -> Vec<u8> {
    ipv4(17, 0, &[], &udp(PORT, payload))
}

/// Goal: order, bytes and stamps over several turns of the rings, through the driver's hook and the generic one.
#[test]
fn datagrams_are_received_in_order_into_frames() {
    in_lab(|lab| {
        let hooks = [Wish::Require, Wish::Never];
        for (native, kernel_stamps) in hooks
            .into_iter()
            .flat_map(|hook| [(hook, true), (hook, false)])
        {
            let before = wall_clock();
            let config = XdpConfig {
                frames_with_kernel: 48,
                kernel_stamps,
                ..lab.config(native)
            };
            let (mut source, mut core, facts) = open(&config, 64);
            assert_eq!(facts.native, native == Wish::Require);
            assert!(
                !facts.zero_copy && facts.zero_copy_errno.is_some(),
                "{facts}"
            );
            assert_eq!((facts.queue_count, facts.frames_with_kernel), (1, 48));
            let socket = lab.far_socket(PORT);
            let mut all = Vec::new();
            for turn in 0..20u8 {
                for index in 0..30u8 {
                    socket
                        .send(&vec![turn ^ index; 1300 - usize::from(index)])
                        .unwrap();
                }
                all.extend(receive(&mut source, &mut core, 30));
            }
            let mut last = before;
            for (ordinal, (about, bytes)) in all.iter().enumerate() {
                let (turn, index) = (ordinal / 30, ordinal % 30);
                assert_eq!(*bytes, vec![(turn ^ index) as u8; 1300 - index]);
                assert_eq!((about.source, about.ordinal), (SourceId(9), ordinal as u64));
                let expected = if facts.kernel_stamps {
                    0
                } else {
                    Descriptor::STAMPED_BY_HOST
                };
                assert_eq!(about.flags, expected);
                assert!(about.stamp >= last, "stamps rise");
                last = about.stamp;
            }
            assert!(last <= wall_clock());
            let tally = source.counters().tally();
            assert_eq!((tally.datagram_received, tally.accepted()), (600, 600));
            assert_eq!((tally.kernel_dropped, tally.receive_failed), (0, 0));
            assert_eq!(
                tally.stamp_missing, 0,
                "none is missing where none was expected"
            );
            if facts.kernel_stamps {
                let stamps: std::collections::HashSet<_> =
                    all.iter().map(|one| one.0.stamp).collect();
                assert!(
                    stamps.len() > 300,
                    "each packet has its own: {}",
                    stamps.len()
                );
            }
            assert!(kernel_stamps || !facts.kernel_stamps);
            assert_eq!(source.close().free_count(), 64, "a frame leaked");
        }
    });
}

/// Goal: where the driver keeps no room for stamps, an old one is not taken for the packet's.
/// Method: frames full of stamps go to a program that writes none, and a source that believes it does.
#[test]
fn a_stamp_of_an_earlier_packet_is_not_taken() {
    in_lab(|lab| {
        let (mut source, mut core, facts) = open(&lab.config(Wish::Prefer), 16);
        if !facts.kernel_stamps {
            return;
        }
        let socket = lab.far_socket(PORT);
        for turn in 0..2 {
            for _ in 0..16 {
                socket.send(b"stamped").unwrap();
            }
            let flags = if turn == 0 {
                0
            } else {
                Descriptor::STAMPED_BY_HOST
            };
            for (about, _) in receive(&mut source, &mut core, 16) {
                assert_eq!(about.flags, flags);
            }
            if turn == 0 {
                let frames = source.close();
                let config = XdpConfig {
                    kernel_stamps: false,
                    ..lab.config(Wish::Prefer)
                };
                let mut program = XdpProgram::attach(&config).unwrap();
                Arc::get_mut(&mut program).unwrap().kernel_stamps = true;
                (source, _) =
                    XdpSource::open_on(&program, &config, SourceId(0), frames, None).unwrap();
            }
        }
    });
}

/// Goal: what a DoubleZero link or a switch port puts around a datagram is looked through.
#[test]
fn tags_tunnels_and_options_are_stripped() {
    in_lab(|lab| {
        for native in [Wish::Require, Wish::Never] {
            let (mut source, mut core, _) = open(&lab.config(native), 64);
            let wire = lab.far_wire();
            let mut frames = vec![
                ethernet(&[], 0x0800, &plain(b"0 plain")),
                ethernet(&[0x8100], 0x0800, &plain(b"1 tagged")),
                ethernet(&[0x88A8, 0x8100], 0x0800, &plain(b"2 tagged twice")),
                ethernet(
                    &[],
                    0x0800,
                    &ipv4(17, 0x4000, &[1; 40], &udp(PORT, b"3 options")),
                ),
            ];
            for (index, flags) in [0, 0x8000, 0x2000, 0x1000, 0xB000].into_iter().enumerate() {
                let payload = format!("{} in a tunnel", 4 + index);
                let inner = gre(flags, &plain(payload.as_bytes()));
                frames.push(ethernet(&[], 0x0800, &ipv4(47, 0, &[], &inner)));
            }
            let tunnel = ipv4(47, 0, &[], &gre(0x2000, &plain(b"9 tunnel, tagged")));
            frames.push(ethernet(&[0x8100], 0x0800, &tunnel));
            // A short frame as a card pads it: what is behind the IP packet is not of the datagram.
            frames.push([ethernet(&[], 0x0800, &plain(b"")), vec![0xAA; 30]].concat());
            for frame in &frames {
                wire.send(frame);
            }
            let all = receive(&mut source, &mut core, frames.len());
            for (index, (about, bytes)) in all[..10].iter().enumerate() {
                assert!(bytes.starts_with(index.to_string().as_bytes()), "{bytes:?}");
                assert!(frames[index].ends_with(bytes), "{bytes:?}");
                assert!(about.offset() > HEADROOM);
            }
            assert_eq!(all[10].1, b"");
            let tally = source.counters().tally();
            assert_eq!(
                (tally.accepted(), tally.refused(SourceReject::Malformed)),
                (11, 0)
            );
            assert_eq!(source.close().free_count(), 64);
        }
    });
}

/// Goal: headers that lie are refused and counted, and cost no frame.
#[test]
fn lengths_that_lie_are_refused_and_counted() {
    in_lab(|lab| {
        let (mut source, mut core, _) = open(&lab.config(Wish::Prefer), 16);
        let wire = lab.far_wire();
        let good = ethernet(&[], 0x0800, &plain(&[7; 50]));
        let changed = |at: usize, value: u8| {
            let mut frame = good.clone();
            frame[at] = value;
            frame
        };
        let tunnel = ethernet(&[], 0x0800, &ipv4(47, 0, &[], &gre(0, &plain(&[7; 50]))));
        let mut shorter_outside = tunnel.clone();
        shorter_outside[17] -= 1;
        let bad = [
            changed(17, 20),     // IP packet ends before its UDP header does
            changed(16, 0x7F),   // IP packet, and with it the datagram, ends behind the frame...
            changed(39, 7),      // UDP length shorter than its header
            changed(39, 59),     // UDP length beyond the packet
            good[..50].to_vec(), // cut in the payload
            shorter_outside,     // inner packet beyond the outer one
            tunnel[..70].to_vec(),
        ];
        // ...which the UDP length alone decides, as the padding of short frames is decided by it.
        let taken = 1;
        for turn in 1..=10 {
            for frame in &bad {
                wire.send(frame);
            }
            until("all were seen", || {
                source.poll();
                core.drain(usize::MAX, |_, bytes| assert_eq!(bytes, [7; 50]));
                source.counters().tally().datagram_received == turn * bad.len() as u64
            });
        }
        let tally = source.counters().tally();
        assert_eq!(tally.datagram_received, 70);
        assert_eq!(
            tally.refused(SourceReject::Malformed),
            10 * (bad.len() as u64 - taken)
        );
        assert_eq!(source.close().free_count(), 16);
    });
}

/// Goal: a host is not cut off: TCP (SSH), other UDP ports, fragments, unknown tunnels, and IPv6 go to the stack.
#[test]
fn everything_else_reaches_the_stack() {
    in_lab(|lab| {
        for native in [Wish::Require, Wish::Never] {
            let (mut source, _core, _) = open(&lab.config(native), 16);
            let patience = Duration::from_secs(30);
            let wait = Some(patience);

            let other = UdpSocket::bind((NEAR, OTHER_PORT)).unwrap();
            other.set_read_timeout(wait).unwrap();
            lab.far_socket(OTHER_PORT).send(b"not ours").unwrap();
            let mut bytes = [0; 4096];
            assert_eq!(other.recv(&mut bytes).unwrap(), 8);
            assert_eq!(&bytes[..8], b"not ours");
            lab.far_wire().send(&ethernet(
                &[],
                0x0800,
                &ipv4(17, 0, &[1; 8], &udp(OTHER_PORT, b"x")),
            ));
            assert_eq!(other.recv(&mut bytes).unwrap(), 1);

            // A session as SSH has it, on the very port number whose datagrams are taken.
            let listener = TcpListener::bind((NEAR, PORT)).unwrap();
            let mut there = lab
                .far(|| {
                    TcpStream::connect_timeout(
                        &SocketAddr::new(NEAR.parse().unwrap(), PORT),
                        patience,
                    )
                })
                .unwrap();
            let (mut here, _) = listener.accept().unwrap();
            here.set_read_timeout(wait).unwrap();
            there.set_read_timeout(wait).unwrap();
            there.write_all(&[5; 100_000]).unwrap();
            here.read_exact(&mut [0; 100_000]).unwrap();
            here.write_all(b"answer").unwrap();
            there.read_exact(&mut [0; 6]).unwrap();

            // A datagram to our port in pieces: the stack puts it together.
            let same_port = UdpSocket::bind((NEAR, PORT)).unwrap();
            same_port.set_read_timeout(wait).unwrap();
            lab.far_socket(PORT).send(&[3; 4000]).unwrap();
            assert_eq!(same_port.recv(&mut bytes).unwrap(), 4000);

            assert_eq!(source.poll(), 0);
            assert_eq!(source.counters().tally().datagram_received, 0);

            // And once the source is closed, all is as before.
            lab.far_socket(PORT).send(b"ours").unwrap();
            until("it came", || source.poll() == 1);
            assert_eq!(source.close().free_count(), 15, "one is with the core");
            // A packet that comes while the driver takes its receive down may be lost.
            same_port
                .set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
            until("back to the stack", || {
                lab.far_socket(PORT).send(b"back to the stack").unwrap();
                same_port.recv(&mut bytes).is_ok_and(|len| len == 17)
            });
        }
    });
}

/// Goal: a core that holds every frame costs the newest, which are counted, and all is well when it is back.
#[test]
fn with_every_frame_out_the_newest_datagram_is_dropped() {
    in_lab(|lab| {
        for native in [Wish::Require, Wish::Never] {
            let (mut source, mut core, _) = open(&lab.config(native), 8);
            let socket = lab.far_socket(PORT);
            for index in 0..20u8 {
                socket.send(&[index]).unwrap();
            }
            let mut taken = 0;
            until("eight came", || {
                taken += source.poll();
                taken == 8
            });
            until("twelve were dropped", || {
                source.wait(Duration::ZERO);
                source.counters().tally().kernel_dropped == 12
            });
            assert_eq!(source.counters().tally().frames_exhausted, 12);
            let mut read = Vec::new();
            core.drain(usize::MAX, |_, bytes| read.push(bytes[0]));
            assert_eq!(read, (0..8).collect::<Vec<_>>());
            assert_eq!(source.poll(), 0);
            for index in 20..28u8 {
                socket.send(&[index]).unwrap();
            }
            let read: Vec<_> = receive(&mut source, &mut core, 8)
                .iter()
                .map(|one| one.1[0])
                .collect();
            assert_eq!(read, (20..28).collect::<Vec<_>>());
            assert_eq!(source.close().free_count(), 8, "a frame leaked");
        }
    });
}

/// Goal: 20,000 datagrams through 32 frames with the core on another thread; no payload is torn.
#[test]
fn a_flood_leaks_no_frame() {
    const SENT: u64 = 20_000;
    in_lab(|lab| {
        let (mut source, mut core, _) = open(&lab.config(Wish::Prefer), 32);
        let socket = lab.far_socket(PORT);
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let (mut read, mut last) = (0u64, None);
                while !core.is_ended() {
                    read += core.drain(RX_BURST, |_, bytes| {
                        let index = u64::from_le_bytes(*bytes.first_chunk().unwrap());
                        assert_eq!(bytes.len(), 8 + (index % 512) as usize);
                        assert!(
                            bytes[8..].iter().all(|&byte| byte == index as u8),
                            "torn payload"
                        );
                        assert!(last.replace(index) < Some(index), "order was lost");
                    }) as u64;
                    std::thread::yield_now();
                }
                read
            });
            for index in 0..SENT {
                let mut payload = vec![index as u8; 8 + (index % 512) as usize];
                payload[..8].copy_from_slice(&index.to_le_bytes());
                socket.send(&payload).unwrap();
                source.poll();
            }
            until("all were seen", || {
                source.poll();
                source.wait(Duration::ZERO);
                let tally = source.counters().tally();
                tally.datagram_received + tally.kernel_dropped == SENT
            });
            let mut frames = source.close();
            until("all frames are back", || {
                frames.is_abandoned() || frames.free_count() == 32
            });
            drop(frames);
            reader
                .join()
                .expect("the reader saw the bytes it was promised")
        });
        assert!(read >= 32);
    });
}

#[test]
fn waiting_ends_when_a_datagram_comes_or_the_time_is_up() {
    in_lab(|lab| {
        let (mut source, _core, _) = open(&lab.config(Wish::Prefer), 4);
        source.wait(Duration::from_millis(15));
        assert_eq!(source.poll(), 0);
        lab.far_socket(PORT).send(b"x").unwrap();
        until("it came", || {
            source.wait(Duration::from_secs(3600));
            source.poll() == 1
        });
    });
}

#[test]
fn polling_touches_no_heap() {
    in_lab(|lab| {
        let (mut source, mut core, _) = open(&lab.config(Wish::Prefer), 16);
        // Takes what is too long for the interface, in pieces, so that the stack does not answer.
        let _stack = UdpSocket::bind((NEAR, PORT)).unwrap();
        let socket = lab.far_socket(PORT);
        crate::check_that_no_poll_allocates(&mut source, &mut core, &socket);
        source.wait(Duration::ZERO);
        assert!(source.counters().tally().frames_exhausted > 0);
        assert_eq!(source.close().free_count(), 16);
    });
}

#[test]
fn a_tap_gets_every_datagram_with_its_addresses() {
    in_lab(|lab| {
        let file =
            std::env::temp_dir().join(format!("shred-source-xdp-{}.pcap", std::process::id()));
        let (capture, mut taps) = Capture::create(&file, &CapturePlan::default(), 1).unwrap();
        let (frames, mut core, _) = frame_ring(&plan(16)).unwrap();
        let (mut source, _) =
            XdpSource::open(&lab.config(Wish::Prefer), SourceId(0), frames, taps.pop()).unwrap();
        let socket = lab.far_socket(PORT);
        for index in 0..10u8 {
            socket.send(&[index; 77]).unwrap();
        }
        let all = receive(&mut source, &mut core, 10);
        drop(source);
        assert_eq!(capture.stop().unwrap().datagram_written, 10);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let mut reader = PcapReader::new(bytes.as_slice()).unwrap();
        for (about, payload) in all {
            let read = reader.next().unwrap().unwrap();
            assert_eq!(
                (read.stamp, read.payload),
                (about.stamp, payload.as_slice())
            );
            assert_eq!(read.from, socket.local_addr().unwrap());
            assert_eq!(read.to, SocketAddr::new(NEAR.parse().unwrap(), PORT));
        }
        assert!(reader.next().unwrap().is_none());
    });
}

/// Goal: two queues, one program, two sources; the program stays until the last of them is closed.
#[test]
fn queues_share_a_program() {
    in_lab_of(2, |lab| {
        let config = lab.config(Wish::Never);
        let program = XdpProgram::attach(&config).unwrap();
        let mut sources = Vec::new();
        for queue in 0..2 {
            let config = XdpConfig {
                queue,
                ..config.clone()
            };
            let (frames, core, _) = frame_ring(&plan(16)).unwrap();
            let (source, facts) =
                XdpSource::open_on(&program, &config, SourceId(queue as u8), frames, None).unwrap();
            assert_eq!(facts.queue, queue);
            sources.push((source, core));
        }
        drop(program);
        let socket = lab.far_socket(PORT);
        for _ in 0..10 {
            socket.send(b"to either").unwrap();
        }
        until("all came", || {
            sources
                .iter_mut()
                .map(|(source, _)| {
                    source.poll();
                    source.counters().tally().accepted()
                })
                .sum::<u64>()
                == 10
        });
        // With its source gone, a queue's packets go to the stack, and the other queue goes on.
        let stack = UdpSocket::bind((NEAR, PORT)).unwrap();
        stack
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let taking = sources
            .iter()
            .position(|(source, _)| source.counters().tally().accepted() > 0);
        drop(sources.remove(taking.unwrap()));
        // Sent until it comes: a child that another test is about to start holds the closed socket until it has begun.
        until("the stack has one", || {
            socket.send(b"to the stack").unwrap();
            stack.recv(&mut [0; 100]).is_ok_and(|len| len == 12)
        });
    });
}

#[test]
fn a_group_is_joined_while_the_source_lives() {
    in_lab(|lab| {
        let group = "239.7.7.7".parse().unwrap();
        let config = XdpConfig {
            multicast: Some(Multicast {
                group,
                sender: None,
            }),
            ..lab.config(Wish::Prefer)
        };
        let (mut source, mut core, _) = open(&config, 16);
        let memberships = || std::fs::read_to_string("/proc/thread-self/net/igmp").unwrap();
        assert!(memberships().contains("070707EF"), "{}", memberships());
        lab.far(|| {
            let socket = UdpSocket::bind((FAR, 0)).unwrap();
            ip(&format!("route add 239.0.0.0/8 dev {}", lab.far_name)).unwrap();
            socket.send_to(b"to all", (group, PORT)).unwrap();
        });
        assert_eq!(receive(&mut source, &mut core, 1)[0].1, b"to all");
        drop(source);
        until("the group is left", || !memberships().contains("070707EF"));
    });
}

#[track_caller]
fn refused(config: &XdpConfig, stride: usize) -> XdpError {
    let plan = ArenaPlan { stride, ..plan(16) };
    let (frames, _core, _) = frame_ring(&plan).unwrap();
    XdpSource::open(config, SourceId(0), frames, None).unwrap_err()
}

#[test]
fn a_plan_that_does_not_fit_is_refused_by_name() {
    let config = XdpConfig::new("lo".parse().unwrap(), vec![PORT]);
    for stride in [1280, 2112, 8192] {
        let error = refused(&config, stride);
        assert!(
            matches!(error, XdpError::Stride { stride: s, .. } if s == stride),
            "{error}"
        );
    }
    let long = XdpConfig {
        payload_len_min: 1800,
        ..config.clone()
    };
    assert!(matches!(refused(&long, 2048), XdpError::Stride { .. }));
    for ports in [vec![], vec![0], vec![1; PORTS_MAX + 1]] {
        let config = XdpConfig {
            ports,
            ..config.clone()
        };
        assert!(matches!(refused(&config, 2048), XdpError::Ports(_)));
    }
    let nowhere = XdpConfig::new("nosuch0".parse().unwrap(), vec![PORT]);
    assert!(refused(&nowhere, 2048).to_string().contains("`ip link`"));
}

/// Not every driver has XDP; those of the lab have.
#[test]
fn a_driver_without_xdp_is_told_with_the_key_that_asked_for_it() {
    let said = |step, errno| refused_by("far0", step, errno).to_string();
    let native = said(STEP_NATIVE, libc::EOPNOTSUPP);
    assert!(
        native.contains("mode = \"prefer\" or \"generic\""),
        "{native}"
    );
    let zero_copy = said(STEP_ZERO_COPY, libc::EINVAL);
    assert!(
        zero_copy.contains("zero_copy = \"prefer\" or \"never\""),
        "{zero_copy}"
    );
}

fn refused_by(interface: &str, step: &'static str, errno: i32) -> XdpError {
    let refused = super::refused(interface.parse().unwrap(), step);
    refused(io::Error::from_raw_os_error(errno))
}

/// Goal: each refusal of the kernel is told with what to look at.
#[test]
fn a_refusal_says_what_to_look_at() {
    in_lab_of(2, |lab| {
        let config = lab.config(Wish::Require);
        let said = |config: &XdpConfig| refused(config, 2048).to_string();
        let zero_copy = XdpConfig {
            zero_copy: Wish::Require,
            ..config.clone()
        };
        assert!(
            said(&zero_copy).contains("say zero_copy = \"prefer\""),
            "{}",
            said(&zero_copy)
        );
        let generic = XdpConfig {
            native: Wish::Never,
            ..zero_copy
        };
        assert!(
            said(&generic).contains("no zero copy"),
            "{}",
            said(&generic)
        );
        let queue = XdpConfig {
            queue: 2,
            ..config.clone()
        };
        assert!(matches!(
            refused(&queue, 2048),
            XdpError::Queue { queue_count: 2, .. }
        ));

        let program = XdpProgram::attach(&config).unwrap();
        assert!(
            said(&config).contains("another XDP program"),
            "{}",
            said(&config)
        );
        let on = |queue| {
            let (frames, _core, _) = frame_ring(&plan(16)).unwrap();
            let config = XdpConfig {
                queue,
                ..config.clone()
            };
            XdpSource::open_on(&program, &config, SourceId(0), frames, None)
        };
        let _first = on(0).unwrap();
        let second = on(0).unwrap_err().to_string();
        assert!(second.contains("another AF_XDP socket"), "{second}");
    });
}

#[test]
fn without_the_rights_the_missing_ones_are_named() {
    in_lab(|lab| {
        let config = lab.config(Wish::Never);
        let program = XdpProgram::attach(&config).unwrap();
        give_up_capabilities();
        // Before the program is loaded, with none on the interface that it would be refused for.
        let error = refused(&config, 2048).to_string();
        assert!(error.contains("CAP_BPF"), "{error}");
        let (frames, _core, _) = frame_ring(&plan(16)).unwrap();
        let error = XdpSource::open_on(&program, &config, SourceId(0), frames, None).unwrap_err();
        assert!(error.to_string().contains("CAP_NET_RAW"), "{error}");
    });
}

/// Empties this thread's effective set.
fn give_up_capabilities() {
    // Version 3 of the header: linux/capability.h.
    let header = [0x2008_0522u32, 0];
    let sets = [[0u32; 3]; 2];
    // SAFETY: a system call on local variables of the size the kernel expects; it changes this thread.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    assert_eq!(done, 0);
}

/// Goal: a source is opened on one thread and polled on another.
#[test]
fn sources_may_change_threads() {
    fn may_change_threads<T: Send>() {}
    may_change_threads::<XdpSource>();
    may_change_threads::<crate::UringSource>();
    may_change_threads::<crate::UdpSource>();
}

#[test]
fn the_facts_read_as_a_sentence() {
    let facts = XdpFacts {
        interface: "eth0".parse().unwrap(),
        queue: 1,
        queue_count: 4,
        native: true,
        native_errno: None,
        zero_copy: false,
        zero_copy_errno: Some(libc::EOPNOTSUPP),
        busy_poll_errno: None,
        kernel_stamps: true,
        frames_with_kernel: 4,
        payload_len_max: 9,
    };
    let said = facts.to_string();
    assert!(
        said.starts_with(
            "eth0 queue 1 of 4: driver's hook, each packet copied (Operation not supp"
        ),
        "{said}"
    );
}

/// The verdict of the kernel on one frame, for a program whose queue has no socket.
struct Judge(OwnedFd, #[allow(dead_code)] OwnedFd);

/// `XDP_DROP`, which the program itself never says: here it stands for "redirected".
const TAKEN: i32 = 1;

impl Judge {
    fn new(ports: &[u16], stamped: bool) -> Option<Self> {
        let map = bpf::create_socket_map(4)
            .map_err(|error| eprintln!("skipped: {error}"))
            .ok()?;
        let code = program::assemble(ports, map.as_raw_fd(), TAKEN, stamped);
        let mut log = vec![0; 1 << 16];
        match bpf::load(&code, &mut log) {
            Ok(program) => Some(Self(program, map)),
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&log)),
        }
    }

    /// `None` for a frame shorter than an Ethernet header, which the kernel does not judge.
    fn takes(&self, frame: &[u8]) -> Option<bool> {
        #[repr(C)]
        #[derive(Default)]
        struct Attributes {
            program_fd: u32,
            verdict: u32,
            len_in: u32,
            len_out: u32,
            data_in: u64,
            data_out: u64,
            repeat: u32,
            duration: u32,
            context_len_in: u32,
            context_len_out: u32,
            context_in: u64,
            context_out: u64,
        }
        const PROGRAM_TEST_RUN: i32 = 10;
        let attributes = Attributes {
            program_fd: self.0.as_raw_fd() as u32,
            len_in: frame.len() as u32,
            data_in: frame.as_ptr() as u64,
            ..Attributes::default()
        };
        // SAFETY: the frame is live and read; the verdict is written to the attributes.
        let done = unsafe { bpf::call(PROGRAM_TEST_RUN, &attributes) };
        if frame.len() < 14 {
            return None;
        }
        done.unwrap();
        // SAFETY: reads what the kernel wrote behind the compiler's back.
        let verdict = unsafe { (&raw const attributes.verdict).read_volatile() };
        match verdict as i32 {
            TAKEN => Some(true),
            program::PASS => Some(false),
            other => panic!("verdict {other}"),
        }
    }
}

#[test]
fn the_program_takes_our_ports_and_nothing_else() {
    let ports: Vec<u16> = (1..=PORTS_MAX as u16).map(|port| port * 4001).collect();
    for stamped in [false, true] {
        let Some(judge) = Judge::new(&ports, stamped) else {
            return;
        };
        judge_some(&judge, &ports);
    }
}

fn judge_some(judge: &Judge, ports: &[u16]) {
    let to = |port| ipv4(17, 0, &[], &udp(port, b"payload"));
    for &port in ports {
        assert_eq!(
            judge.takes(&ethernet(&[], 0x0800, &to(port))),
            Some(true),
            "{port}"
        );
        let swapped = ethernet(&[], 0x0800, &to(port.swap_bytes()));
        assert_eq!(judge.takes(&swapped), Some(false), "{port}");
    }
    let inner = to(4001);
    let tcp = ipv4(6, 0, &[], &udp(4001, b"payload"));
    let mut version_6 = inner.clone();
    version_6[0] = 0x65;
    let mut short_head = inner.clone();
    short_head[0] = 0x44;
    let tunnel = |flags, inner: &[u8]| ethernet(&[], 0x0800, &ipv4(47, 0, &[], &gre(flags, inner)));
    let passed = [
        ethernet(&[], 0x0800, &to(22)),
        ethernet(&[], 0x0806, &inner),
        ethernet(&[], 0x86DD, &inner),
        ethernet(&[0x8100; 3], 0x0800, &inner),
        ethernet(&[], 0x0800, &tcp),
        ethernet(&[], 0x0800, &version_6),
        ethernet(&[], 0x0800, &short_head),
        ethernet(
            &[],
            0x0800,
            &ipv4(17, 0x2000, &[], &udp(4001, b"first fragment")),
        ),
        ethernet(
            &[],
            0x0800,
            &ipv4(17, 0x0001, &[], &udp(4001, b"later fragment")),
        ),
        tunnel(0, &tcp),
        tunnel(0, &to(22)),
        tunnel(0x4000, &inner),
        tunnel(0x0001, &inner),
        tunnel(0, &ipv4(47, 0, &[], &gre(0, &inner))),
        ethernet(&[], 0x0800, &inner)[..41].to_vec(),
        ethernet(&[], 0x0800, &inner)[..14].to_vec(),
    ];
    for frame in passed {
        assert_eq!(judge.takes(&frame), Some(false), "{frame:02x?}");
    }
    let taken = [
        ethernet(&[0x8100; 2], 0x0800, &inner),
        ethernet(&[0x9100], 0x0800, &inner),
        tunnel(0xB000, &inner),
        ethernet(&[], 0x0800, &ipv4(17, 0x4000, &[1; 40], &udp(4001, b""))),
    ];
    for frame in taken {
        assert_eq!(judge.takes(&frame), Some(true), "{frame:02x?}");
    }
}

/// Tags, flags of a tunnel, words of IP options, protocol, fragment field, port, changed bytes, and length.
type Crafted = (
    Vec<u16>,
    Option<u16>,
    usize,
    u8,
    u16,
    u16,
    Vec<(usize, u8)>,
    usize,
);

/// Goal: the two readers of the same headers agree: what this process would find, the kernel's program takes, and
/// what the program takes is refused here for its lengths alone.
#[test]
fn program_and_parser_agree() {
    let Some(judge) = Judge::new(&[PORT], true) else {
        return;
    };
    let frame = (
        prop::collection::vec(
            prop::sample::select(vec![0x8100u16, 0x88A8, 0x9100, 0x0800]),
            0..3,
        ),
        prop::option::of(prop::sample::select(vec![
            0u16, 0x2000, 0x3000, 0xB000, 0x4000, 1,
        ])),
        0usize..11,
        prop::sample::select(vec![17u8, 17, 17, 6, 47]),
        prop::sample::select(vec![0u16, 0x4000, 0x2000, 1]),
        prop::sample::select(vec![PORT, PORT, OTHER_PORT]),
        prop::collection::vec((12usize..90, any::<u8>()), 0..4),
        14usize..140,
    );
    let run = |(tags, tunnel, options, protocol, fragment, port, changes, len): Crafted| {
        let mut ip = ipv4(
            protocol,
            fragment,
            &vec![1; options * 4],
            &udp(port, &[7; 20]),
        );
        if let Some(flags) = tunnel {
            ip = ipv4(47, 0, &[], &gre(flags, &ip));
        }
        let mut frame = ethernet(&tags, 0x0800, &ip);
        for (at, value) in changes {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        frame.truncate(len);
        let found = find_datagram(LinkType::Ethernet, &frame, false, Gre::LookInside);
        let found = found.map_err(|refused| refused.reason);
        let takes = judge.takes(&frame).unwrap();
        match found {
            Ok(found) => {
                let v4 = found.to.is_ipv4() && found.from.is_ipv4();
                if takes {
                    prop_assert_eq!(found.to.port(), PORT);
                    prop_assert!(v4);
                } else if v4 && found.to.port() == PORT {
                    let kinds = [&frame[12..14], &frame[16..18], &frame[20..22]];
                    let is_tag =
                        |kind: &&[u8]| matches!(kind, [0x81, 0] | [0x88, 0xA8] | [0x91, 0]);
                    prop_assert!(kinds.iter().all(is_tag), "{frame:02x?}");
                }
            }
            Err(reason) if takes => {
                prop_assert_eq!(reason, crate::pcap::PcapReject::Malformed, "{:02x?}", frame);
            }
            Err(_) => {}
        }
        Ok(())
    };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(4000));
    runner.run(&frame, run).unwrap();
}
