//! Live datagrams: a UDP socket read by `recvmmsg` straight into the arena's frames.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shred_wire::Nanos;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::arena::{Datagram, Descriptor, Loan, RxFrames};
use crate::capture::CaptureTap;
use crate::{DatagramSource, RX_BURST, SourceCounters, SourceId, SourceReject};

/// How a socket is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpConfig {
    /// Address and port datagrams arrive on, IPv4 or IPv6.
    pub bind: SocketAddr,
    /// Bytes the kernel may hold for us. Forced beyond `net.core.rmem_max` where we may (`CAP_NET_ADMIN`).
    pub receive_buffer_len: usize,
    /// `SO_REUSEADDR`. Off by default: a second process on the same port would take datagrams silently.
    pub reuse_address: bool,
    /// `SO_BUSY_POLL`: microseconds a receive polls the card's queue. `None` leaves the system's setting.
    pub busy_poll_us: Option<u32>,
}

impl UdpConfig {
    /// The usual settings for `bind`: 32 MiB of buffer. The kernel charges its own overhead against it, so the time
    /// it rides out is to be read from `kernel_dropped` under load, not computed from payload bytes.
    #[must_use]
    pub const fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            receive_buffer_len: 32 << 20,
            reuse_address: false,
            busy_poll_us: None,
        }
    }
}

/// What became of a [`UdpConfig`] on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpFacts {
    /// Where the socket is bound; the port the kernel chose when port 0 was asked for.
    pub local: SocketAddr,
    /// Bytes of buffer the kernel granted (it doubles what is asked, and counts its own overhead against it).
    pub receive_buffer_len: usize,
    /// True when the buffer could be forced beyond `net.core.rmem_max`.
    pub receive_buffer_forced: bool,
    /// `errno` of a refused `SO_BUSY_POLL`.
    pub busy_poll_errno: Option<i32>,
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("udp {bind}: {step}: {source}")]
pub struct UdpError {
    /// The address asked for.
    pub bind: SocketAddr,
    /// What was being done.
    pub step: &'static str,
    /// The kernel's answer.
    pub source: io::Error,
}

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
    /// The socket's drop counter when it was last seen.
    kernel_dropped_seen: u32,
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
            kernel_dropped_seen: 0,
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
        let start = match &loan {
            Some(loan) => self.frames.loan_ptr(loan),
            None => self.frames.scratch_ptr(index),
        };
        self.batch.loans[index] = loan;
        self.batch.scratch_count += usize::from(self.batch.loans[index].is_none());
        self.batch.point(index, start, self.frames.stride());
    }

    /// Frames may have come back since messages were pointed at scratch frames.
    #[cold]
    fn rearm_scratch(&mut self) {
        self.batch.scratch_count = 0;
        for index in 0..RX_BURST {
            if self.batch.loans[index].is_none() {
                self.arm(index);
            }
        }
    }

    /// Takes message `index` of those just received and arms it anew.
    #[inline]
    fn take(&mut self, index: usize, received_at: &mut Option<Nanos>) {
        let message = self.batch.message(index);
        let ordinal = self.counters.datagram_received.get();
        self.counters.datagram_received.add(1);
        self.count_kernel_drops(message.kernel_dropped);
        let (stamp, flags) = match message.stamp {
            Some(stamp) => (stamp, 0),
            None => {
                self.counters.stamp_missing.add(1);
                (
                    *received_at.get_or_insert_with(wall_clock),
                    Descriptor::STAMPED_BY_HOST,
                )
            }
        };
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

    #[inline]
    fn count_kernel_drops(&mut self, total: Option<u32>) {
        if let Some(total) = total {
            let dropped = total.wrapping_sub(self.kernel_dropped_seen);
            self.counters.kernel_dropped.add(u64::from(dropped));
            self.kernel_dropped_seen = total;
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
        let mut ready = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let timeout = libc::timespec {
            tv_sec: at_most.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        // SAFETY: both point at live locals; the answer is not needed, the next poll finds out.
        unsafe { libc::ppoll(&raw mut ready, 1, &raw const timeout, std::ptr::null()) };
    }

    fn counters(&self) -> &Arc<SourceCounters> {
        &self.counters
    }
}

fn open_socket(config: &UdpConfig) -> Result<(Socket, UdpFacts), UdpError> {
    let failed = |step| {
        move |source| UdpError {
            bind: config.bind,
            step,
            source,
        }
    };
    let socket = Socket::new(
        Domain::for_address(config.bind),
        Type::DGRAM,
        Some(Protocol::UDP),
    )
    .map_err(failed("open"))?;
    let fd = socket.as_raw_fd();
    socket
        .set_nonblocking(true)
        .map_err(failed("set non-blocking"))?;
    if config.bind.is_ipv6() {
        // A source is one address; IPv4 has its own socket.
        socket.set_only_v6(true).map_err(failed("IPV6_V6ONLY"))?;
    }
    if config.reuse_address {
        socket
            .set_reuse_address(true)
            .map_err(failed("SO_REUSEADDR"))?;
    }
    let asked_len = i32::try_from(config.receive_buffer_len).unwrap_or(i32::MAX);
    let receive_buffer_forced = set_option(fd, libc::SO_RCVBUFFORCE, asked_len).is_ok();
    if !receive_buffer_forced {
        set_option(fd, libc::SO_RCVBUF, asked_len).map_err(failed("SO_RCVBUF"))?;
    }
    // Before the socket is bound, so that no datagram comes without.
    set_option(fd, libc::SO_TIMESTAMPNS, 1).map_err(failed("SO_TIMESTAMPNS"))?;
    set_option(fd, libc::SO_RXQ_OVFL, 1).map_err(failed("SO_RXQ_OVFL"))?;
    let busy_poll = config.busy_poll_us.map_or(Ok(()), |micros| {
        set_option(
            fd,
            libc::SO_BUSY_POLL,
            i32::try_from(micros).unwrap_or(i32::MAX),
        )
    });
    socket
        .bind(&SockAddr::from(config.bind))
        .map_err(failed("bind"))?;
    let local = socket
        .local_addr()
        .map_err(failed("read the bound address"))?;
    let facts = UdpFacts {
        local: local.as_socket().unwrap_or(config.bind),
        receive_buffer_len: socket
            .recv_buffer_size()
            .map_err(failed("read SO_RCVBUF"))?,
        receive_buffer_forced,
        busy_poll_errno: busy_poll.err().and_then(|error| error.raw_os_error()),
    };
    Ok((socket, facts))
}

fn set_option(fd: RawFd, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: `value` is a live `int`, which is what every option used here takes.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn wall_clock() -> Nanos {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

/// Control messages we asked for: a stamp and a drop counter, each behind its 16-byte header.
const CONTROL_LEN: usize = {
    // SAFETY: arithmetic on its argument.
    unsafe { (libc::CMSG_SPACE(size_of::<libc::timespec>() as u32) + libc::CMSG_SPACE(4)) as usize }
};

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
    stamp: Option<Nanos>,
    kernel_dropped: Option<u32>,
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
        let header = unsafe { &(*self.memory.as_ptr()).headers[index] };
        let mut message = Message {
            len: header.msg_len as usize,
            cut: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            stamp: None,
            kernel_dropped: None,
        };
        // SAFETY: the kernel wrote `msg_controllen` bytes of whole control messages into our control array; the
        // macros stay inside them. Their data need not be aligned.
        unsafe {
            let mut control = libc::CMSG_FIRSTHDR(&raw const header.msg_hdr);
            while !control.is_null() {
                let data = libc::CMSG_DATA(control);
                match ((*control).cmsg_level, (*control).cmsg_type) {
                    (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                        message.stamp = nanos(data.cast::<libc::timespec>().read_unaligned());
                    }
                    (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                        message.kernel_dropped = Some(data.cast::<u32>().read_unaligned());
                    }
                    _ => {}
                }
                control = libc::CMSG_NXTHDR(&raw const header.msg_hdr, control);
            }
        }
        message
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
            (sender(&raw const (*memory).senders[index]), payload)
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: came from a leaked `Box` and is given back once.
        drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
    }
}

#[inline]
fn nanos(time: libc::timespec) -> Option<Nanos> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanos = u64::try_from(time.tv_nsec).ok()?;
    Some(Nanos(
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?,
    ))
}

/// # Safety
/// `storage` points at a zeroed `sockaddr_storage` or one the kernel filled in.
unsafe fn sender(storage: *const libc::sockaddr_storage) -> SocketAddr {
    // SAFETY: `sockaddr_storage` is large and aligned enough for both kinds, and every field is plain data.
    unsafe {
        match i32::from((*storage).ss_family) {
            libc::AF_INET => {
                let address = storage.cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(u32::from_be((*address).sin_addr.s_addr));
                SocketAddrV4::new(ip, u16::from_be((*address).sin_port)).into()
            }
            libc::AF_INET6 => {
                let address = storage.cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from((*address).sin6_addr.s6_addr);
                SocketAddrV6::new(ip, u16::from_be((*address).sin6_port), 0, 0).into()
            }
            _ => SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::arena::{ArenaPlan, CoreFrames, Lock, frame_ring};
    use crate::until;
    use std::net::UdpSocket;
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
    fn waiting_ends_when_a_datagram_comes_or_the_time_is_up() {
        let (mut source, _core, facts) = open(LOOPBACK, 0, 4);
        let started = std::time::Instant::now();
        source.wait(Duration::from_millis(15));
        assert!(started.elapsed() >= Duration::from_millis(15));
        sender(facts.local).send(b"x").unwrap();
        source.wait(Duration::from_secs(3600));
        assert_eq!(source.poll(), 1);
    }

    #[test]
    fn the_facts_tell_what_the_host_granted() {
        let config = UdpConfig {
            receive_buffer_len: 300_000,
            busy_poll_us: Some(50),
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

    #[test]
    fn senders_of_either_family_are_read() {
        for address in ["10.1.2.3:4567", "[fd00::77]:89"] {
            let address: SocketAddr = address.parse().unwrap();
            let stored = SockAddr::from(address);
            // SAFETY: zero bytes are a value of the type, and the copy stays inside both.
            let storage = unsafe {
                let mut storage: libc::sockaddr_storage = zeroed();
                let into = (&raw mut storage).cast::<u8>();
                into.copy_from_nonoverlapping(stored.as_ptr().cast(), stored.len() as usize);
                storage
            };
            // SAFETY: filled in above.
            assert_eq!(unsafe { super::sender(&raw const storage) }, address);
        }
    }
}
