//! Live datagrams: a UDP socket read by `recvmmsg` straight into the arena's frames.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use shred_wire::Nanos;
use socket2::Socket;

use crate::arena::{Datagram, Loan, RxFrames};
use crate::capture::CaptureTap;
use crate::socket::{CONTROL_LEN, KernelDrops, Told, open_socket, sender, sleep_until_readable};
use crate::{DatagramSource, RX_BURST, SourceCounters, SourceId, SourceReject};

pub use crate::socket::{
    HardwareStamps, Interface, InterfaceName, Multicast, NoInterface, UdpConfig, UdpError, UdpFacts,
};

/// One socket and the frames it fills.
///
/// Allocates when opened, never after. Each duty cycle is one system call.
#[derive(Debug)]
pub struct UdpSource {
    socket: Socket,
    source: SourceId,
    local: SocketAddr,
    frames: RxFrames,
    batch: Batch,
    tap: Option<CaptureTap>,
    counters: Arc<SourceCounters>,
    drops: KernelDrops,
}

impl UdpSource {
    /// Opens and binds the socket. With a `tap`, every datagram is also copied to a capture, those included that
    /// the core has no frame for.
    ///
    /// # Errors
    /// [`UdpError`] names the address and the step that failed.
    pub fn open(
        config: &UdpConfig,
        source: SourceId,
        frames: RxFrames,
        tap: Option<CaptureTap>,
    ) -> Result<(Self, UdpFacts), UdpError> {
        let (socket, facts) = open_socket(config)?;
        let udp = Self {
            socket,
            source,
            local: facts.local,
            batch: Batch::new(),
            frames,
            tap,
            counters: Arc::default(),
            drops: KernelDrops::default(),
        };
        Ok((udp.armed(), facts))
    }

    /// Closes the socket and gives the frames back.
    #[must_use]
    pub fn close(mut self) -> RxFrames {
        for loan in &mut self.batch.loans {
            if let Some(loan) = loan.take() {
                self.frames.give_back(loan);
            }
        }
        self.frames
    }

    /// Where the socket is bound.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Points every message at a frame.
    fn armed(mut self) -> Self {
        for index in 0..RX_BURST {
            self.arm(index);
        }
        self
    }

    /// Points message `index` at a free frame, or at a scratch frame when there is none: what arrives there is
    /// dropped.
    #[inline]
    fn arm(&mut self, index: usize) {
        let loan = self.frames.loan();
        self.arm_with(index, loan);
    }

    #[inline]
    fn arm_with(&mut self, index: usize, loan: Option<Loan>) {
        let start = match &loan {
            Some(loan) => self.frames.loan_ptr(loan),
            None => self.frames.scratch_ptr(index),
        };
        self.batch.loans[index] = loan;
        self.batch.scratch_count += usize::from(self.batch.loans[index].is_none());
        self.batch.point(index, start, self.frames.stride());
    }

    /// Frames may have come back since messages were pointed at scratch frames. The first messages go first, as the
    /// kernel fills them first: while there are fewer frames than messages, the last ones' are brought forward, or a
    /// trickle of datagrams would never meet a frame.
    #[cold]
    fn rearm_scratch(&mut self) {
        self.batch.scratch_count = 0;
        for index in 0..RX_BURST {
            if self.batch.loans[index].is_none() {
                let free = self.frames.loan();
                let behind = &mut self.batch.loans[index + 1..];
                let loan = free.or_else(|| behind.iter_mut().rev().find_map(Option::take));
                self.arm_with(index, loan);
            }
        }
    }

    /// Takes message `index` of those just received and arms it anew.
    #[inline]
    fn take(&mut self, index: usize, received_at: &mut Option<Nanos>) {
        let message = self.batch.message(index);
        let ordinal = self.counters.datagram_received.get();
        self.counters.datagram_received.add(1);
        self.drops.count(&message.told, &self.counters);
        let (stamp, flags) = message.told.stamped(received_at, &self.counters);
        let loan = self.batch.loans[index].take();
        if loan.is_none() {
            self.batch.scratch_count -= 1;
        }
        if message.cut {
            self.counters.reject(SourceReject::Oversize);
            if let Some(loan) = loan {
                self.frames.give_back(loan);
            }
        } else {
            self.tap_message(index, stamp, message.len);
            match loan {
                Some(loan) => {
                    let about = Datagram {
                        stamp,
                        ordinal,
                        // A frame is shorter than 64 KiB.
                        len: message.len as u16,
                        source: self.source,
                        flags,
                    };
                    self.counters.byte_accepted.add(message.len as u64);
                    self.frames.publish(loan, about);
                }
                None => self.counters.reject(SourceReject::FramesFull),
            }
        }
        self.arm(index);
    }

    #[inline]
    fn tap_message(&mut self, index: usize, stamp: Nanos, len: usize) {
        if let Some(tap) = &mut self.tap {
            // The loan (if it was one) has not been published yet.
            let (from, payload) = self.batch.received(index, len);
            tap.offer(stamp, from, self.local, payload);
        }
    }
}

impl DatagramSource for UdpSource {
    fn poll(&mut self) -> usize {
        if self.batch.scratch_count > 0 {
            self.rearm_scratch();
        }
        let count = match self.batch.receive(self.socket.as_raw_fd()) {
            Ok(count) => count,
            Err(error) => {
                if !matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) {
                    self.counters.receive_failed.add(1);
                }
                return 0;
            }
        };
        let mut received_at = None;
        for index in 0..count {
            self.take(index, &mut received_at);
        }
        count
    }

    fn is_ended(&self) -> bool {
        false
    }

    fn wait(&mut self, at_most: Duration) {
        sleep_until_readable(self.socket.as_raw_fd(), at_most);
    }

    fn counters(&self) -> &Arc<SourceCounters> {
        &self.counters
    }
}

#[repr(C, align(8))]
struct Control([u8; CONTROL_LEN]);

/// What `recvmmsg` works on.
struct BatchMemory {
    headers: [libc::mmsghdr; RX_BURST],
    vectors: [libc::iovec; RX_BURST],
    controls: [Control; RX_BURST],
    senders: [libc::sockaddr_storage; RX_BURST],
}

/// [`RX_BURST`] messages, each pointed at a frame.
#[derive(Debug)]
struct Batch {
    /// From `Box::into_raw`: the headers point at their neighbours, so no `&mut` to the whole may come between.
    memory: NonNull<BatchMemory>,
    /// The frame message `index` is pointed at; `None` for a scratch frame.
    loans: [Option<Loan>; RX_BURST],
    /// How many of `loans` are `None` between two polls.
    scratch_count: usize,
}

// SAFETY: `memory` is owned by the batch alone, and what its headers point at is owned by it or lent by the arena
// that lies beside it in its `UdpSource`.
unsafe impl Send for Batch {}

/// What the kernel said about one message.
struct Message {
    len: usize,
    /// True when the datagram was longer than the frame.
    cut: bool,
    told: Told,
}

impl Batch {
    fn new() -> Self {
        // SAFETY: every field is plain data for which zero bytes are a value.
        let memory: Box<BatchMemory> = Box::new(unsafe { zeroed() });
        let memory = NonNull::from(Box::leak(memory));
        Self {
            memory,
            loans: [const { None }; RX_BURST],
            scratch_count: 0,
        }
    }

    /// Points message `index` at `len` bytes from `start` and resets what the last receive wrote to its header.
    #[inline]
    fn point(&mut self, index: usize, start: NonNull<u8>, len: usize) {
        assert!(index < RX_BURST);
        let memory = self.memory.as_ptr();
        // SAFETY: `memory` is live and ours; `index` is in range; only places are taken, no references that would
        // overlap what other headers point at.
        unsafe {
            (*memory).vectors[index] = libc::iovec {
                iov_base: start.as_ptr().cast(),
                iov_len: len,
            };
            let header = &raw mut (*memory).headers[index].msg_hdr;
            (*header).msg_iov = &raw mut (*memory).vectors[index];
            (*header).msg_iovlen = 1;
            (*header).msg_control = (&raw mut (*memory).controls[index]).cast();
            (*header).msg_controllen = CONTROL_LEN;
            (*header).msg_name = (&raw mut (*memory).senders[index]).cast();
            (*header).msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            (*header).msg_flags = 0;
        }
    }

    /// Receives into the first of the messages what the socket holds, without waiting.
    #[inline]
    fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        // SAFETY: every header points at live memory: frames lent to or scratch of this batch, and its own arrays.
        let count = unsafe {
            libc::recvmmsg(
                fd,
                (&raw mut (*self.memory.as_ptr()).headers).cast(),
                RX_BURST as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    #[inline]
    fn message(&self, index: usize) -> Message {
        assert!(index < RX_BURST);
        // SAFETY: `memory` is live and ours, `index` in range, and the kernel is done with it.
        let (header, control) = unsafe {
            let memory = self.memory.as_ptr();
            (&(*memory).headers[index], &(*memory).controls[index].0)
        };
        let written = header.msg_hdr.msg_controllen.min(CONTROL_LEN);
        Message {
            len: header.msg_len as usize,
            cut: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            told: Told::read(&control[..written]),
        }
    }

    /// Sender and bytes of a message that was received and not armed anew.
    #[inline]
    fn received(&self, index: usize, len: usize) -> (SocketAddr, &[u8]) {
        assert!(index < RX_BURST);
        // SAFETY: `memory` is live and ours. The vector still points at the frame the message was received into,
        // which is ours or on loan to us until the caller publishes it; `len` bytes of it were written.
        unsafe {
            let memory = self.memory.as_ptr();
            let vector = (*memory).vectors[index];
            let payload =
                std::slice::from_raw_parts(vector.iov_base.cast(), len.min(vector.iov_len));
            let from = std::slice::from_raw_parts(
                (&raw const (*memory).senders[index]).cast::<u8>(),
                size_of::<libc::sockaddr_storage>(),
            );
            (sender(from), payload)
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: came from a leaked `Box` and is given back once.
        drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::arena::{ArenaPlan, CoreFrames, Descriptor, Lock, frame_ring};
    use crate::lab::{FAR, NEAR, in_lab, ip};
    use crate::socket::wall_clock;
    use crate::until;
    use std::net::{IpAddr, UdpSocket};
    use std::sync::atomic::{AtomicU64, Ordering};

    const LOOPBACK: &str = "127.0.0.1:0";

    fn open(bind: &str, id: u8, frame_count: usize) -> (UdpSource, CoreFrames, UdpFacts) {
        let plan = ArenaPlan {
            frame_count,
            stride: 1280,
            lock: Lock::Try,
            huge_pages: false,
        };
        let (frames, core, _) = frame_ring(&plan).unwrap();
        let config = UdpConfig::new(bind.parse().unwrap());
        let (source, facts) = UdpSource::open(&config, SourceId(id), frames, None).unwrap();
        (source, core, facts)
    }

    /// Loopback delivers during `send`, so what was sent is there.
    fn sender(to: SocketAddr) -> UdpSocket {
        let socket = UdpSocket::bind((to.ip(), 0)).unwrap();
        socket.connect(to).unwrap();
        socket
    }

    fn drain(core: &mut CoreFrames) -> Vec<(Descriptor, Vec<u8>)> {
        let mut all = Vec::new();
        core.drain(usize::MAX, |about, bytes| {
            all.push((*about, bytes.to_vec()))
        });
        all
    }

    #[test]
    fn two_sources_receive_their_own_datagrams_in_order() {
        let (mut first, mut first_core, first_facts) = open(LOOPBACK, 1, 64);
        let (mut second, mut second_core, second_facts) = open("[::1]:0", 2, 64);
        let before = wall_clock();
        let to_first = sender(first_facts.local);
        let to_second = sender(second_facts.local);
        for index in 0..50u8 {
            to_first.send(&[1, index]).unwrap();
            to_second.send(&vec![index; 1280]).unwrap();
        }
        for (source, core, id) in [
            (&mut first, &mut first_core, 1),
            (&mut second, &mut second_core, 2),
        ] {
            assert_eq!(source.poll(), RX_BURST);
            assert_eq!(source.poll(), 50 - RX_BURST);
            assert_eq!(source.poll(), 0);
            assert!(!source.is_ended());
            let all = drain(core);
            assert_eq!(all.len(), 50);
            let mut last = before;
            for (index, (about, bytes)) in all.iter().enumerate() {
                let expected = if id == 1 {
                    vec![1, index as u8]
                } else {
                    vec![index as u8; 1280]
                };
                assert_eq!(*bytes, expected);
                assert_eq!((about.source, about.ordinal), (SourceId(id), index as u64));
                assert_eq!(about.flags, 0, "the kernel stamps");
                assert!(about.stamp >= last, "stamps rise");
                last = about.stamp;
            }
            assert!(last <= wall_clock());
            let tally = source.counters().tally();
            assert_eq!((tally.datagram_received, tally.accepted()), (50, 50));
            assert_eq!(tally.byte_accepted, if id == 1 { 100 } else { 64_000 });
            assert_eq!((tally.stamp_missing, tally.receive_failed), (0, 0));
        }
    }

    #[test]
    fn a_datagram_longer_than_a_frame_is_refused_not_cut() {
        let (mut source, mut core, facts) = open(LOOPBACK, 0, 64);
        let socket = sender(facts.local);
        for len in [1281, 9000, 1280, 0] {
            socket.send(&vec![5; len]).unwrap();
        }
        assert_eq!(source.poll(), 4);
        let all = drain(&mut core);
        let seen: Vec<_> = all
            .iter()
            .map(|(about, bytes)| (about.ordinal, bytes.len()))
            .collect();
        assert_eq!(seen, [(2, 1280), (3, 0)]);
        assert_eq!(source.counters().tally().refused(SourceReject::Oversize), 2);
        assert_eq!(source.close().free_count(), 64);
    }

    /// Goal: the newest are dropped and counted while the core is away, and all is well when it is back.
    #[test]
    fn with_every_frame_out_the_newest_datagram_is_dropped() {
        let (mut source, mut core, facts) = open(LOOPBACK, 0, 8);
        let socket = sender(facts.local);
        for index in 0..20u8 {
            socket.send(&[index]).unwrap();
        }
        assert_eq!(source.poll(), 20);
        assert_eq!(
            source.counters().tally().refused(SourceReject::FramesFull),
            12
        );
        let ordinals = |all: Vec<(Descriptor, Vec<u8>)>| -> Vec<u64> {
            assert!(
                all.iter()
                    .all(|(about, bytes)| *bytes == [about.ordinal as u8])
            );
            all.iter().map(|(about, _)| about.ordinal).collect()
        };
        assert_eq!(ordinals(drain(&mut core)), (0..8).collect::<Vec<_>>());
        for index in 20..28u8 {
            socket.send(&[index]).unwrap();
        }
        assert_eq!(source.poll(), 8);
        assert_eq!(ordinals(drain(&mut core)), (20..28).collect::<Vec<_>>());
        assert_eq!(source.counters().tally().accepted(), 16);
        assert_eq!(source.close().free_count(), 8, "a frame leaked");
    }

    /// Goal: with fewer frames than messages, a frame that came back to a late message is not out of reach.
    /// Method: all frames are put where a core on another thread can leave them, behind scratch frames.
    #[test]
    fn frames_of_the_last_messages_are_brought_forward() {
        let (mut source, mut core, facts) = open(LOOPBACK, 0, 4);
        for index in 0..4 {
            let loan = source.batch.loans[index].take();
            source.arm_with(index, None);
            source.batch.scratch_count -= 1;
            source.arm_with(RX_BURST - 1 - index, loan);
        }
        let socket = sender(facts.local);
        for index in 0..10u8 {
            socket.send(&[index]).unwrap();
            assert_eq!(source.poll(), 1);
            assert_eq!(drain(&mut core)[0].1, [index]);
        }
        assert_eq!(source.close().free_count(), 4);
    }

    /// Goal: what the kernel drops before we see it is counted too.
    /// Method: the smallest buffer the kernel grants, flooded; the next datagram brings the drop count along.
    #[test]
    fn kernel_drops_are_counted() {
        let plan = ArenaPlan {
            frame_count: 1024,
            stride: 1280,
            lock: Lock::Skip,
            huge_pages: false,
        };
        let (frames, _core, _) = frame_ring(&plan).unwrap();
        let bind = LOOPBACK.parse().unwrap();
        let config = UdpConfig {
            receive_buffer_len: 1,
            ..UdpConfig::new(bind)
        };
        let (mut source, facts) = UdpSource::open(&config, SourceId(0), frames, None).unwrap();
        let socket = sender(facts.local);
        for _ in 0..200 {
            socket.send(&[0; 1000]).unwrap();
        }
        while source.poll() > 0 {}
        socket.send(&[1]).unwrap();
        while source.poll() > 0 {}
        let tally = source.counters().tally();
        assert!(tally.kernel_dropped > 0);
        assert_eq!(tally.datagram_received + tally.kernel_dropped, 201);
    }

    /// Goal: 100,000 datagrams through a small ring with drops; each frame comes home and no payload is torn.
    /// Method: every thousand the flood waits until the reader has moved, so it always meets one.
    #[test]
    fn a_flood_leaks_no_frame() {
        const SENT: u64 = 100_000;
        let (mut source, mut core, facts) = open(LOOPBACK, 0, 16);
        let read_count = Arc::new(AtomicU64::new(0));
        let reader_count = Arc::clone(&read_count);
        let reader = std::thread::spawn(move || {
            while !core.is_ended() {
                let read = core.drain(RX_BURST, |_, bytes| {
                    let index = u64::from_le_bytes(*bytes.first_chunk().unwrap());
                    assert_eq!(bytes.len(), 8 + (index % 512) as usize);
                    assert!(
                        bytes[8..].iter().all(|&byte| byte == index as u8),
                        "torn payload"
                    );
                });
                reader_count.fetch_add(read as u64, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let flood_count = Arc::clone(&read_count);
        let flood = std::thread::spawn(move || {
            let socket = sender(facts.local);
            let mut seen = 0;
            for index in 0..SENT {
                let len = 8 + (index % 512) as usize;
                let mut payload = vec![index as u8; len];
                payload[..8].copy_from_slice(&index.to_le_bytes());
                socket.send(&payload).unwrap();
                if index % 1000 == 999 {
                    until("the reader moved", || {
                        flood_count.load(Ordering::Relaxed) > seen
                    });
                    seen = flood_count.load(Ordering::Relaxed);
                }
            }
        });
        while !flood.is_finished() {
            if source.poll() == 0 {
                std::thread::yield_now();
            }
        }
        flood.join().unwrap();
        while source.poll() > 0 {}
        let counters = Arc::clone(source.counters());
        let mut frames = source.close();
        until("all frames are back", || {
            frames.is_abandoned() || frames.free_count() == 16
        });
        drop(frames);
        reader
            .join()
            .expect("the reader saw the bytes it was promised");
        let tally = counters.tally();
        assert_eq!(tally.accepted(), read_count.load(Ordering::Relaxed));
        assert!(tally.accepted() >= SENT / 1000);
        assert!(tally.datagram_received + tally.kernel_dropped <= SENT);
    }

    #[test]
    fn polling_touches_no_heap() {
        let (mut source, mut core, facts) = open(LOOPBACK, 0, 16);
        let socket = sender(facts.local);
        crate::check_that_no_poll_allocates(&mut source, &mut core, &socket);
        assert_eq!(source.close().free_count(), 16);
    }

    #[test]
    fn waiting_ends_when_a_datagram_comes_or_the_time_is_up() {
        let (mut source, _core, facts) = open(LOOPBACK, 0, 4);
        source.wait(Duration::from_millis(15));
        assert_eq!(source.poll(), 0);
        sender(facts.local).send(b"x").unwrap();
        crate::until("it came", || {
            source.wait(Duration::from_secs(3600));
            source.poll() == 1
        });
    }

    #[test]
    fn the_facts_tell_what_the_host_granted() {
        let config = UdpConfig {
            receive_buffer_len: 300_000,
            busy_poll_us: Some(50),
            prefer_busy_poll: true,
            ..UdpConfig::new(LOOPBACK.parse().unwrap())
        };
        let plan = ArenaPlan {
            frame_count: 4,
            ..ArenaPlan::default()
        };
        let (frames, _core, _) = frame_ring(&plan).unwrap();
        let (source, facts) = UdpSource::open(&config, SourceId(0), frames, None).unwrap();
        assert_ne!(facts.local.port(), 0);
        assert_eq!(source.local(), facts.local);
        if facts.receive_buffer_forced {
            assert_eq!(facts.receive_buffer_len, 600_000, "the kernel doubles");
        }
        // A second process on the same port would take our datagrams: refused unless asked for.
        let (frames, _core, _) = frame_ring(&plan).unwrap();
        let taken =
            UdpSource::open(&UdpConfig::new(facts.local), SourceId(1), frames, None).unwrap_err();
        assert_eq!(taken.step, "bind");
        assert!(taken.to_string().contains(&facts.local.to_string()));
    }

    fn group(group: &str, sender: Option<&str>) -> Option<Multicast> {
        Some(Multicast {
            group: group.parse().unwrap(),
            sender: sender.map(|sender| sender.parse().unwrap()),
        })
    }

    fn open_group(config: &UdpConfig) -> (UdpSource, CoreFrames) {
        let plan = ArenaPlan {
            frame_count: 16,
            ..ArenaPlan::default()
        };
        let (frames, core, _) = frame_ring(&plan).unwrap();
        let (source, _) = UdpSource::open(config, SourceId(0), frames, None).unwrap();
        (source, core)
    }

    /// Goal: what is sent to the group on that interface is taken, by each of two processes, and nothing that is
    /// sent to another group.
    #[test]
    fn a_group_is_received_on_its_interface() {
        in_lab(|lab| {
            let by_name = Interface::Name(lab.near_name);
            let by_address = Interface::Address(NEAR.parse().unwrap());
            ip(&format!("addr add fd77::1/64 dev {} nodad", lab.near_name)).unwrap();
            let to_v4 = lab.far(|| {
                ip(&format!("route add 239.0.0.0/8 dev {}", lab.far_name)).unwrap();
                UdpSocket::bind((FAR, 0)).unwrap()
            });
            let far_index = lab.far(|| lab.far_name.index().unwrap());
            let to_v6 = lab.far(|| {
                ip(&format!("addr add fd77::2/64 dev {} nodad", lab.far_name)).unwrap();
                UdpSocket::bind("[fd77::2]:0").unwrap()
            });
            for (joined, other, interface, scope) in [
                ("239.7.7.7", "239.7.7.8", by_name, 0),
                ("239.7.7.7", "239.7.7.8", by_address, 0),
                ("ff15::7", "ff15::8", by_name, far_index),
                (
                    "ff15::7",
                    "ff15::8",
                    Interface::Address("fd77::1".parse().unwrap()),
                    far_index,
                ),
            ] {
                let group_ip: IpAddr = joined.parse().unwrap();
                let config = UdpConfig {
                    multicast: group(joined, None),
                    interface,
                    ..UdpConfig::new((group_ip, 7777).into())
                };
                let mut both = [open_group(&config), open_group(&config)];
                let socket = if group_ip.is_ipv4() { &to_v4 } else { &to_v6 };
                let send = |group: &str, bytes: &[u8]| {
                    let mut to = SocketAddr::new(group.parse().unwrap(), 7777);
                    if let SocketAddr::V6(to) = &mut to {
                        to.set_scope_id(scope);
                    }
                    socket.send_to(bytes, to).unwrap();
                };
                // Somebody else on this host has joined the other group.
                let others = UdpConfig {
                    multicast: group(other, None),
                    bind: (other.parse::<IpAddr>().unwrap(), 7777).into(),
                    ..config
                };
                let (mut others, _) = open_group(&others);
                send(other, b"not for us");
                send(joined, b"to all");
                for (source, core) in &mut both {
                    until("it came", || source.poll() == 1);
                    assert_eq!(drain(core)[0].1, b"to all");
                    assert_eq!(source.poll(), 0);
                }
                until("the other came", || others.poll() == 1);
            }
        });
    }

    /// Goal: with a sender chosen, nobody else's datagrams are taken.
    #[test]
    fn a_group_may_be_taken_from_one_sender_alone() {
        in_lab(|lab| {
            let [chosen, other] = lab.far(|| {
                ip(&format!("route add 232.0.0.0/8 dev {}", lab.far_name)).unwrap();
                ip(&format!("addr add 10.77.0.3/24 dev {}", lab.far_name)).unwrap();
                [FAR, "10.77.0.3"].map(|from| UdpSocket::bind((from, 0)).unwrap())
            });
            let to: SocketAddr = "232.7.7.7:7777".parse().unwrap();
            let config = UdpConfig {
                multicast: group("232.7.7.7", Some(FAR)),
                interface: Interface::Name(lab.near_name),
                ..UdpConfig::new("0.0.0.0:7777".parse().unwrap())
            };
            let (mut source, mut core) = open_group(&config);
            // A group that only somebody else on this host has joined, for another port.
            let others = UdpConfig {
                multicast: group("232.7.7.8", None),
                bind: "0.0.0.0:8888".parse().unwrap(),
                ..config
            };
            let (_others, _) = open_group(&others);
            chosen
                .send_to(b"to another group", "232.7.7.8:7777")
                .unwrap();
            other.send_to(b"from another", to).unwrap();
            chosen.send_to(b"from the chosen", to).unwrap();
            until("it came", || source.poll() == 1);
            assert_eq!(drain(&mut core)[0].1, b"from the chosen");
            assert_eq!(source.poll(), 0);
        });
    }
}
