//! Live datagrams by io_uring: one multishot receive whose provided buffers are frames of the arena.
//!
//! ```text
//!  free frames --buffer ring--> kernel --receives into the frame--> completion --descriptor--> core
//! ```
//!
//! The kernel takes a frame from the buffer ring for each datagram, writes into it what `recvmsg` would (a header,
//! the sender, the control messages, then the payload at [`PAYLOAD_AT`]) and completes with the buffer's number; the
//! descriptor points the core at the payload. As long as nothing is there, a poll makes no system call at all: the
//! kernel raises a flag in shared memory when there is work, which the polling thread then does by entering
//! (`DEFER_TASKRUN` with `TASKRUN_FLAG`).
//!
//! A frame is with the kernel (its number is in the table of buffers), with the core, or free. When the core has
//! them all the receive ends with `ENOBUFS`; datagrams then wait in the socket's buffer, and the newest are dropped
//! by the kernel when that is full. The receive is armed again once a frame is back.
//!
//! Source: `io_uring_setup(2)`, `io_uring_register(2)`, `io_uring_prep_recvmsg_multishot(3)`. Kernel 6.1 or later.

use std::io;
use std::mem::size_of;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode};
use shred_wire::Nanos;
use socket2::Socket;

use crate::arena::{Datagram, Loan, OFFSET_MAX, RxFrames};
use crate::capture::CaptureTap;
use crate::mapping::Mapping;
use crate::socket::{CONTROL_LEN, KernelDrops, Told, open_socket, sender};
use crate::udp::{UdpConfig, UdpError, UdpFacts};
use crate::{DatagramSource, RX_BURST, SourceCounters, SourceId, SourceReject};

/// How a source over io_uring is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UringConfig {
    /// The socket. Busy polling is of no effect here: a poll does not enter the kernel while nothing is there.
    pub socket: UdpConfig,
    /// Frames the kernel holds at most; a power of two up to [`BUFFERS_MAX`], and of no use beyond the arena's. Few
    /// stay in the caches; a burst beyond them waits in the socket's buffer.
    pub buffer_count: u16,
    /// The longest datagram that must fit, bytes: an arena whose frames are shorter than this and
    /// [`PAYLOAD_AT`] is refused.
    pub payload_len_min: usize,
}

impl UringConfig {
    /// The usual settings: 512 buffers, and room for a shred with its repair nonce (1,232 bytes).
    #[must_use]
    pub const fn new(bind: SocketAddr) -> Self {
        Self {
            socket: UdpConfig::new(bind),
            buffer_count: 512,
            payload_len_min: 1232,
        }
    }
}

/// Most buffers a ring can have. Source: Linux `io_uring/kbuf.c` (`io_register_pbuf_ring`, below 65,536 and a power
/// of two).
pub const BUFFERS_MAX: u16 = 1 << 15;

/// What became of a [`UringConfig`] on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UringFacts {
    /// The socket's facts.
    pub socket: UdpFacts,
    /// Longest datagram that is taken: what a frame has beyond [`PAYLOAD_AT`].
    pub payload_len_max: usize,
    /// Frames the kernel holds at most.
    pub buffer_count: u16,
}

/// Why a source over io_uring could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UringError {
    /// Not a power of two in range.
    #[error("buffer_count = {0}: must be a power of two from 2 to {BUFFERS_MAX}")]
    BufferCount(u16),
    /// The arena's frames are too short.
    #[error(
        "frames of {stride} bytes: io_uring puts {PAYLOAD_AT} bytes before a datagram, and one of {payload_len_min} \
         must fit"
    )]
    Stride {
        /// Bytes of a frame.
        stride: usize,
        /// What was to fit.
        payload_len_min: usize,
    },
    /// The socket could not be opened.
    #[error(transparent)]
    Udp(#[from] UdpError),
    /// The kernel refused the ring.
    #[error("io_uring: {step}: {source}; {check}")]
    Refused {
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
        /// What to look at.
        check: &'static str,
    },
}

/// One socket, one ring and the frames they fill.
///
/// Allocates when opened, never after. A duty cycle makes no system call while nothing is there, and one for each
/// burst the kernel has work for.
///
/// Opened on any thread; from its first [`poll`](DatagramSource::poll) or [`wait`](DatagramSource::wait) on it
/// belongs to the thread that made it, which is what lets the kernel do without locks (`SINGLE_ISSUER`). On another
/// thread a poll receives nothing and counts `receive_failed`.
#[derive(Debug)]
pub struct UringSource {
    // First, so that it is dropped first: from then on the kernel writes to no frame.
    ring: Ring,
    buffers: Buffers,
    socket: Socket,
    source: SourceId,
    local: SocketAddr,
    frames: RxFrames,
    tap: Option<CaptureTap>,
    counters: Arc<SourceCounters>,
    drops: KernelDrops,
}

impl UringSource {
    /// Opens and binds the socket and sets up the ring. With a `tap`, every datagram is also copied to a capture.
    ///
    /// # Errors
    /// [`UringError`] says what was refused and what to look at. Where a host may lack io_uring, ask
    /// [`UringSource::check`] before the frames are given away, and use a [`crate::UdpSource`] instead.
    pub fn open(
        config: &UringConfig,
        source: SourceId,
        frames: RxFrames,
        tap: Option<CaptureTap>,
    ) -> Result<(Self, UringFacts), UringError> {
        let count = config.buffer_count;
        if !count.is_power_of_two() || !(2..=BUFFERS_MAX).contains(&count) {
            return Err(UringError::BufferCount(count));
        }
        let stride = frames.stride();
        let payload_len_max = stride.saturating_sub(PAYLOAD_AT);
        if payload_len_max < config.payload_len_min.max(1) {
            return Err(UringError::Stride {
                stride,
                payload_len_min: config.payload_len_min,
            });
        }
        let (ring, buffers) = set_up(count)?;
        let (socket, facts) = open_socket(&config.socket)?;
        let facts = UringFacts {
            socket: facts,
            payload_len_max,
            buffer_count: count,
        };
        let mut uring = Self {
            ring,
            buffers,
            socket,
            source,
            local: facts.socket.local,
            frames,
            tap,
            counters: Arc::default(),
            drops: KernelDrops::default(),
        };
        uring.buffers.refill(&mut uring.frames);
        Ok((uring, facts))
    }

    /// Whether this process may use io_uring on this kernel.
    ///
    /// # Errors
    /// [`UringError::Refused`] says why not and what would change it.
    pub fn check() -> Result<(), UringError> {
        set_up(2).map(drop)
    }

    /// Ends the receive, closes the socket and gives the frames back.
    #[must_use]
    pub fn close(self) -> RxFrames {
        let Self {
            ring,
            mut buffers,
            mut frames,
            socket,
            ..
        } = self;
        drop((ring, socket));
        buffers.give_back_all(&mut frames);
        frames
    }

    /// Where the socket is bound.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Puts frames that came back into the buffer ring and arms the receive if it has ended; false when there is
    /// nothing to receive into, or the kernel refused.
    #[inline]
    fn make_ready(&mut self) -> bool {
        if self.buffers.is_short() {
            self.buffers.refill(&mut self.frames);
        }
        if self.ring.armed {
            return true;
        }
        if self.buffers.with_kernel == 0 {
            return false;
        }
        let armed = self.ring.arm(&self.socket);
        if armed.is_err() {
            self.counters.receive_failed.add(1);
        }
        armed.is_ok()
    }

    /// Works off up to [`RX_BURST`] completions and returns how many of them were datagrams.
    #[inline]
    fn reap(&mut self) -> usize {
        let mut received_at = None;
        let mut count = 0;
        for _ in 0..RX_BURST {
            let Some(completion) = self.ring.uring.completion().next() else {
                break;
            };
            count += usize::from(self.complete(&completion, &mut received_at));
        }
        self.buffers.commit();
        count
    }

    #[inline]
    fn complete(&mut self, completion: &cqueue::Entry, received_at: &mut Option<Nanos>) -> bool {
        self.ring.armed &= cqueue::more(completion.flags());
        let loan = cqueue::buffer_select(completion.flags()).and_then(|id| self.buffers.take(id));
        match (loan, usize::try_from(completion.result())) {
            (Some(loan), Ok(len)) => self.receive(loan, len, received_at),
            (None, Err(_)) if completion.result() == -libc::ENOBUFS => {
                self.counters.frames_exhausted.add(1);
                false
            }
            (loan, _) => {
                self.counters.receive_failed.add(1);
                if let Some(loan) = loan {
                    self.frames.give_back(loan);
                }
                false
            }
        }
    }

    /// Takes the datagram the kernel wrote into the first `len` bytes of the loaned frame.
    #[inline]
    fn receive(&mut self, loan: Loan, len: usize, received_at: &mut Option<Nanos>) -> bool {
        let len = len.min(self.frames.stride());
        // SAFETY: the frame is loaned to us, and the kernel has given it back by this completion.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.frames.loan_ptr(&loan).as_ptr(), len) };
        let Some(message) = Message::read(bytes) else {
            self.counters.receive_failed.add(1);
            self.frames.give_back(loan);
            return false;
        };
        let ordinal = self.counters.datagram_received.get();
        self.counters.datagram_received.add(1);
        let told = Told::read(message.control);
        self.drops.count(&told, &self.counters);
        let (stamp, flags) = told.stamped(received_at, &self.counters);
        if message.cut {
            self.counters.reject(SourceReject::Oversize);
            self.frames.give_back(loan);
            return true;
        }
        let payload = message.payload;
        if let Some(tap) = &mut self.tap {
            tap.offer(stamp, sender(message.name), self.local, payload);
        }
        let about = Datagram {
            stamp,
            ordinal,
            // A frame is shorter than 64 KiB.
            len: payload.len() as u16,
            source: self.source,
            flags,
        };
        self.counters.byte_accepted.add(payload.len() as u64);
        self.frames.publish_at(loan, PAYLOAD_AT, about);
        true
    }
}

impl DatagramSource for UringSource {
    fn poll(&mut self) -> usize {
        if !self.make_ready() {
            return 0;
        }
        let count = self.reap();
        if count > 0 || !self.ring.has_work() {
            return count;
        }
        if self.ring.work().is_err() {
            self.counters.receive_failed.add(1);
        }
        self.reap()
    }

    fn is_ended(&self) -> bool {
        false
    }

    fn wait(&mut self, at_most: Duration) {
        if self.make_ready() {
            self.ring.wait(at_most);
        } else {
            // No frame to receive into: what is awaited is the core, which does not wake anyone.
            std::thread::sleep(at_most.min(Duration::from_millis(1)));
        }
    }

    fn counters(&self) -> &Arc<SourceCounters> {
        &self.counters
    }
}

/// Bytes before a datagram in its frame: `io_uring_recvmsg_out`, then as much room for the sender's address and the
/// control messages as the receive asks for.
pub const PAYLOAD_AT: usize = OUT_LEN + NAME_LEN + CONTROL_ROOM;
/// `struct io_uring_recvmsg_out`: lengths of name, control and payload, and flags. Source: `linux/io_uring.h`.
const OUT_LEN: usize = 16;
/// A `sockaddr_in6` is 28 bytes; the control messages after it want alignment.
const NAME_LEN: usize = 32;
/// What the control messages want, rounded so that payloads start at a cache line.
const CONTROL_ROOM: usize = 144;
const _: () = assert!(CONTROL_ROOM >= CONTROL_LEN && PAYLOAD_AT.is_multiple_of(64));
const _: () = assert!(PAYLOAD_AT <= OFFSET_MAX);

/// What the kernel wrote into a frame.
struct Message<'a> {
    name: &'a [u8],
    control: &'a [u8],
    payload: &'a [u8],
    /// True when the datagram was longer than the frame.
    cut: bool,
}

impl<'a> Message<'a> {
    #[inline]
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (out, rest) = bytes.split_first_chunk::<OUT_LEN>()?;
        let word = |at: usize| u32::from_ne_bytes([out[at], out[at + 1], out[at + 2], out[at + 3]]);
        let (name, rest) = rest.split_at_checked(NAME_LEN)?;
        let (control, payload) = rest.split_at_checked(CONTROL_ROOM)?;
        Some(Self {
            name: &name[..NAME_LEN.min(word(0) as usize)],
            control: &control[..CONTROL_ROOM.min(word(4) as usize)],
            payload,
            cut: word(12) & libc::MSG_TRUNC as u32 != 0,
        })
    }
}

/// The one group of buffers a ring has.
const BUFFER_GROUP: u16 = 0;
/// `IORING_ENTER_GETEVENTS`: also do what work is pending. Source: `linux/io_uring.h`.
const ENTER_GETEVENTS: u32 = 1;
/// Longest time the end of a receive is waited for when a source is closed.
const CANCEL_AT_MOST: Duration = Duration::from_millis(200);
/// A receive that datagrams keep coming for may slip a cancellation, but not often.
const CANCEL_ATTEMPTS: usize = 8;

/// The ring and what we know of its one request.
struct Ring {
    uring: IoUring,
    /// A `msghdr` that says how much room name and control messages get. Where the kernel reads it must not move.
    header: Mapping,
    /// False until the polling thread has made the ring its own.
    enabled: bool,
    /// True while the multishot receive runs.
    armed: bool,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { enabled, armed, .. } = self;
        f.debug_struct("Ring")
            .field("enabled", enabled)
            .field("armed", armed)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// Submits the multishot receive.
    #[cold]
    fn arm(&mut self, socket: &Socket) -> io::Result<()> {
        if !self.enabled {
            self.uring.submitter().register_enable_rings()?;
            self.enabled = true;
        }
        // An entry that the kernel did not take the last time is still there.
        if self.uring.submission().is_empty() {
            let header = self.header.start().cast::<libc::msghdr>().as_ptr();
            let fd = Fd(socket.as_raw_fd());
            let receive = opcode::RecvMsgMulti::new(fd, header, BUFFER_GROUP).build();
            // SAFETY: the header lives as long as the ring; the kernel reads it while it takes the entry and holds
            // the socket itself.
            unsafe { self.uring.submission().push(&receive) }
                .map_err(|_| io::ErrorKind::WouldBlock)?;
        }
        match self.enter(1) {
            Ok(1) => {
                self.armed = true;
                Ok(())
            }
            Ok(_) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error),
        }
    }

    /// True when the kernel has work that only the polling thread may do, or completions that did not fit.
    #[inline]
    fn has_work(&mut self) -> bool {
        let submission = self.uring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    #[inline]
    fn work(&mut self) -> io::Result<()> {
        self.enter(0).map(drop)
    }

    #[inline]
    fn enter(&self, submit_count: u32) -> io::Result<usize> {
        let submitter = self.uring.submitter();
        // SAFETY: no argument is passed; the entries to submit are the caller's to answer for.
        unsafe { submitter.enter::<libc::sigset_t>(submit_count, 0, ENTER_GETEVENTS, None) }
    }

    /// Sleeps until a completion is there or the time is up.
    fn wait(&mut self, at_most: Duration) {
        if !self.uring.completion().is_empty() {
            return;
        }
        let timeout = Timespec::from(at_most);
        let arguments = SubmitArgs::new().timespec(&timeout);
        // Whatever the answer is, the next poll finds out.
        let _ = self.uring.submitter().submit_with_args(1, &arguments);
    }
}

impl Drop for Ring {
    /// Ends the receive, so that the port is free when the socket is closed. On another thread than the polling one
    /// the kernel refuses that, and ends it in the background.
    ///
    /// Either way it writes to no buffer any more: with `DEFER_TASKRUN` it does so only inside a call of ours.
    fn drop(&mut self) {
        for _ in 0..CANCEL_ATTEMPTS {
            if !self.armed {
                return;
            }
            // Not found while it has work waiting; so that is done, and then there is something to cancel.
            let timeout = Some(Timespec::from(CANCEL_AT_MOST));
            let _ = self
                .uring
                .submitter()
                .register_sync_cancel(timeout, CancelBuilder::any());
            if self.work().is_err() {
                return;
            }
            for completion in self.uring.completion() {
                self.armed &= cqueue::more(completion.flags());
            }
        }
    }
}

/// Builds a ring with `buffer_count` empty places for buffers. It belongs to no thread yet.
fn set_up(buffer_count: u16) -> Result<(Ring, Buffers), UringError> {
    let refused = |step| {
        move |source: io::Error| UringError::Refused {
            step,
            check: check_of(source.raw_os_error(), disabled_setting()),
            source,
        }
    };
    let uring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_r_disabled()
        // A completion for each buffer and some for ends of receives, so that none overflows.
        .setup_cqsize(u32::from(buffer_count) * 2)
        .build(SUBMISSION_ENTRIES)
        .map_err(refused("io_uring_setup"))?;
    let buffers = Buffers::new(buffer_count).map_err(refused("map the buffer ring"))?;
    let header = Mapping::anonymous(size_of::<libc::msghdr>()).map_err(refused("map a page"))?;
    // SAFETY: zero bytes, which the page holds, are a value of the type, and nobody else knows the page.
    unsafe {
        let header = header.start().cast::<libc::msghdr>().as_mut();
        header.msg_namelen = NAME_LEN as libc::socklen_t;
        header.msg_controllen = CONTROL_ROOM;
    }
    // SAFETY: the memory is page-aligned and as long as `buffer_count` entries. The kernel pins its pages, and reads
    // them only inside calls that this ring makes.
    unsafe {
        let address = buffers.memory.start().as_ptr() as u64;
        uring
            .submitter()
            .register_buf_ring_with_flags(address, buffer_count, BUFFER_GROUP, 0)
    }
    .map_err(refused("register the buffer ring"))?;
    let ring = Ring {
        uring,
        header,
        enabled: false,
        armed: false,
    };
    Ok((ring, buffers))
}

const SUBMISSION_ENTRIES: u32 = 2;

/// `kernel.io_uring_disabled`, where there is such a setting.
fn disabled_setting() -> Option<u8> {
    let setting = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    setting.trim().parse().ok()
}

/// What to look at when the kernel refuses a ring. `disabled` is `kernel.io_uring_disabled`: 1 leaves io_uring to
/// CAP_SYS_ADMIN and one group, 2 to nobody. Source: Linux `Documentation/admin-guide/sysctl/kernel.rst`.
fn check_of(errno: Option<i32>, disabled: Option<u8>) -> &'static str {
    match (errno, disabled) {
        (Some(libc::EPERM), Some(2)) => {
            "io_uring is switched off: `sysctl kernel.io_uring_disabled=0`, or receive by recvmmsg"
        }
        (Some(libc::EPERM), Some(1)) => {
            "io_uring is for CAP_SYS_ADMIN and the group of kernel.io_uring_group: join it, or receive by recvmmsg"
        }
        (Some(libc::EPERM | libc::EACCES), _) => {
            "a seccomp filter or security module denies io_uring (containers do by default): allow it, or receive by \
             recvmmsg"
        }
        (Some(libc::ENOSYS), _) => "the kernel is built without io_uring: receive by recvmmsg",
        (Some(libc::EINVAL), _) => "the kernel is older than 6.1: receive by recvmmsg",
        (Some(libc::ENOMEM), _) => "raise LimitMEMLOCK (ulimit -l)",
        _ => "receive by recvmmsg",
    }
}

/// The buffer ring: places that the kernel takes frames from. Place and buffer number are the same.
#[derive(Debug)]
struct Buffers {
    memory: Mapping,
    /// The frame each number stands for; `None` while it is not with the kernel.
    loans: Box<[Option<Loan>]>,
    /// Numbers that stand for no frame.
    unused: Vec<u16>,
    /// Entries ever written; the kernel has seen them up to the last [`Buffers::commit`].
    tail: u16,
    committed: u16,
    /// How many of `loans` are there.
    with_kernel: usize,
}

impl Buffers {
    fn new(count: u16) -> io::Result<Self> {
        let memory = Mapping::anonymous(usize::from(count) * size_of::<BufRingEntry>())?;
        Ok(Self {
            memory,
            loans: (0..count).map(|_| None).collect(),
            unused: (0..count).rev().collect(),
            tail: 0,
            committed: 0,
            with_kernel: 0,
        })
    }

    /// True when the kernel could be given more frames.
    #[inline]
    fn is_short(&self) -> bool {
        !self.unused.is_empty()
    }

    /// Gives the kernel free frames for all numbers that stand for none, as far as there are free frames.
    #[inline]
    fn refill(&mut self, frames: &mut RxFrames) {
        while let Some(&id) = self.unused.last() {
            let Some(loan) = frames.loan() else {
                break;
            };
            self.unused.pop();
            self.write(id, &loan, frames);
            self.loans[usize::from(id)] = Some(loan);
            self.with_kernel += 1;
        }
        self.commit();
    }

    #[inline]
    fn write(&mut self, id: u16, loan: &Loan, frames: &RxFrames) {
        let place = usize::from(self.tail) & (self.loans.len() - 1);
        let entries: NonNull<BufRingEntry> = self.memory.start().cast();
        // SAFETY: the place lies inside the mapping. The kernel does not read the entry before the tail is moved, and
        // the tail, which shares the first entry's bytes, is written by `commit` alone.
        let entry = unsafe { entries.add(place).as_mut() };
        entry.set_addr(frames.loan_ptr(loan).as_ptr() as u64);
        // A stride is at most 64 KiB.
        entry.set_len(frames.stride() as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was written.
    #[inline]
    fn commit(&mut self) {
        if self.committed == self.tail {
            return;
        }
        self.committed = self.tail;
        let entries: NonNull<BufRingEntry> = self.memory.start().cast();
        // SAFETY: the tail is two aligned bytes inside the first entry, written by us alone and read by the kernel.
        let tail = unsafe {
            let tail = BufRingEntry::tail(entries.as_ptr());
            AtomicU16::from_ptr(tail.cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }

    /// Takes back the frame that number `id` stands for; `None` when the kernel was never given it.
    #[inline]
    fn take(&mut self, id: u16) -> Option<Loan> {
        let loan = self.loans.get_mut(usize::from(id))?.take()?;
        self.with_kernel -= 1;
        self.unused.push(id);
        Some(loan)
    }

    /// For when the kernel is gone.
    fn give_back_all(&mut self, frames: &mut RxFrames) {
        for loan in self.loans.iter_mut().filter_map(Option::take) {
            frames.give_back(loan);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::arena::{ArenaPlan, CoreFrames, Descriptor, Lock, frame_ring};
    use crate::capture::{Capture, CapturePlan};
    use crate::socket::wall_clock;
    use crate::{PcapReader, until};
    use std::net::UdpSocket;
    use std::sync::atomic::AtomicU64;

    /// False, with the reason on stderr, where this host has no io_uring for us.
    fn is_possible() -> bool {
        let checked = UringSource::check();
        if let Err(error) = &checked {
            eprintln!("skipped: {error}");
        }
        checked.is_ok()
    }

    fn plan(frame_count: usize) -> ArenaPlan {
        ArenaPlan {
            frame_count,
            stride: 1536,
            lock: Lock::Try,
            huge_pages: false,
        }
    }

    fn config(bind: &str, buffer_count: u16) -> UringConfig {
        UringConfig {
            buffer_count,
            ..UringConfig::new(bind.parse().unwrap())
        }
    }

    const LOOPBACK: &str = "127.0.0.1:0";

    fn open(
        config: &UringConfig,
        id: u8,
        frame_count: usize,
        tap: Option<CaptureTap>,
    ) -> (UringSource, CoreFrames, UringFacts) {
        let (frames, core, _) = frame_ring(&plan(frame_count)).unwrap();
        let (source, facts) = UringSource::open(config, SourceId(id), frames, tap).unwrap();
        (source, core, facts)
    }

    /// Loopback delivers during `send`, so what was sent is there.
    fn sending_to(to: SocketAddr) -> UdpSocket {
        let socket = UdpSocket::bind((to.ip(), 0)).unwrap();
        socket.connect(to).unwrap();
        socket
    }

    /// Polls until `count` datagrams were taken; the kernel hands over as many at a time as it likes.
    #[track_caller]
    fn poll_all(source: &mut UringSource, count: usize) {
        let mut taken = 0;
        until("all were taken", || {
            let now = source.poll();
            assert!(now <= RX_BURST);
            taken += now;
            taken >= count
        });
        assert_eq!(taken, count);
        assert_eq!(source.poll(), 0);
    }

    fn drain(core: &mut CoreFrames) -> Vec<(Descriptor, Vec<u8>)> {
        let mut all = Vec::new();
        core.drain(usize::MAX, |about, bytes| {
            all.push((*about, bytes.to_vec()))
        });
        all
    }

    /// Goal: order, bytes, stamps, over several turns of the buffer ring, of both families, opened on one thread and
    /// polled on another.
    #[test]
    fn datagrams_are_received_in_order_into_frames() {
        if !is_possible() {
            return;
        }
        for (bind, id) in [(LOOPBACK, 1), ("[::1]:0", 2)] {
            let before = wall_clock();
            let (mut source, mut core, facts) = open(&config(bind, 16), id, 64, None);
            assert_eq!(facts.payload_len_max, 1536 - PAYLOAD_AT);
            assert_eq!(source.local(), facts.socket.local);
            let all = std::thread::spawn(move || {
                let socket = sending_to(source.local());
                let mut all = Vec::new();
                for turn in 0..20u8 {
                    for index in 0..30u8 {
                        socket
                            .send(&vec![turn ^ index; 1300 - usize::from(index)])
                            .unwrap();
                    }
                    poll_all(&mut source, 30);
                    all.extend(drain(&mut core));
                }
                let tally = source.counters().tally();
                assert_eq!((tally.datagram_received, tally.accepted()), (600, 600));
                assert_eq!((tally.stamp_missing, tally.receive_failed), (0, 0));
                let bytes: usize = all.iter().map(|(_, bytes)| bytes.len()).sum();
                assert_eq!(tally.byte_accepted, bytes as u64);
                assert_eq!(source.close().free_count(), 64, "a frame leaked");
                all
            });
            let all = all.join().unwrap();
            assert_eq!(all.len(), 600);
            let mut last = before;
            for (ordinal, (about, bytes)) in all.iter().enumerate() {
                let (turn, index) = (ordinal / 30, ordinal % 30);
                assert_eq!(*bytes, vec![(turn ^ index) as u8; 1300 - index]);
                assert_eq!(
                    (about.source, about.ordinal),
                    (SourceId(id), ordinal as u64)
                );
                assert_eq!(
                    (about.flags, about.offset()),
                    (0, PAYLOAD_AT),
                    "the kernel stamps"
                );
                assert!(about.stamp >= last, "stamps rise");
                last = about.stamp;
            }
            assert!(last <= wall_clock());
        }
    }

    /// Goal: what does not fit is refused, and a datagram without payload, which ends the kernel's receive, is one.
    #[test]
    fn a_datagram_longer_than_a_frame_is_refused_not_cut() {
        if !is_possible() {
            return;
        }
        let (mut source, mut core, facts) = open(&config(LOOPBACK, 8), 0, 16, None);
        let socket = sending_to(facts.socket.local);
        let most = facts.payload_len_max;
        let lens = [most + 1, 9000, most, 0, 0, 1, most + 1, 0, 5];
        for len in lens {
            socket.send(&vec![5; len]).unwrap();
        }
        poll_all(&mut source, lens.len());
        let all = drain(&mut core);
        let seen: Vec<_> = all
            .iter()
            .map(|(about, bytes)| (about.ordinal, bytes.len()))
            .collect();
        assert_eq!(seen, [(2, most), (3, 0), (4, 0), (5, 1), (7, 0), (8, 5)]);
        let tally = source.counters().tally();
        assert_eq!(tally.refused(SourceReject::Oversize), 3);
        assert_eq!(tally.receive_failed, 0);
        assert_eq!(source.close().free_count(), 16);
    }

    /// Goal: a core that holds every frame stalls the receive, and loses nothing the socket's buffer can hold.
    #[test]
    fn with_every_frame_out_datagrams_wait_in_the_socket() {
        if !is_possible() {
            return;
        }
        let (mut source, mut core, facts) = open(&config(LOOPBACK, 32), 0, 8, None);
        let socket = sending_to(facts.socket.local);
        for index in 0..20u8 {
            socket.send(&[index]).unwrap();
        }
        poll_all(&mut source, 8);
        assert_eq!(source.counters().tally().frames_exhausted, 1);
        for _ in 0..100 {
            assert_eq!(source.poll(), 0, "there is no frame");
        }
        source.wait(Duration::from_millis(2));
        let mut read = Vec::new();
        until("all came", || {
            read.extend(drain(&mut core).into_iter().map(|(_, bytes)| bytes[0]));
            source.poll();
            read.len() == 20
        });
        assert_eq!(read, (0..20).collect::<Vec<_>>());
        let tally = source.counters().tally();
        assert_eq!((tally.accepted(), tally.receive_failed), (20, 0));
        assert!(
            (1..=3).contains(&tally.frames_exhausted),
            "once per stall, not once per poll"
        );
        assert_eq!(source.close().free_count(), 8);
    }

    #[test]
    fn kernel_drops_are_counted() {
        if !is_possible() {
            return;
        }
        let mut config = config(LOOPBACK, 64);
        config.socket.receive_buffer_len = 1;
        let (mut source, _core, facts) = open(&config, 0, 1024, None);
        let socket = sending_to(facts.socket.local);
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

    /// Goal: 100,000 datagrams through 16 frames with a reader that dawdles; each frame comes home, no payload is
    /// torn, and the datagrams in between are not reordered.
    #[test]
    fn a_flood_leaks_no_frame() {
        const SENT: u64 = 100_000;
        if !is_possible() {
            return;
        }
        let (mut source, mut core, facts) = open(&config(LOOPBACK, 8), 0, 16, None);
        let read_count = Arc::new(AtomicU64::new(0));
        let reader_count = Arc::clone(&read_count);
        let reader = std::thread::spawn(move || {
            let mut last = None;
            while !core.is_ended() {
                let read = core.drain(RX_BURST, |_, bytes| {
                    let index = u64::from_le_bytes(*bytes.first_chunk().unwrap());
                    assert_eq!(bytes.len(), 8 + (index % 512) as usize);
                    assert!(
                        bytes[8..].iter().all(|&byte| byte == index as u8),
                        "torn payload"
                    );
                    assert!(last.replace(index) < Some(index), "order was lost");
                });
                reader_count.fetch_add(read as u64, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let flood_count = Arc::clone(&read_count);
        let flood = std::thread::spawn(move || {
            let socket = sending_to(facts.socket.local);
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
        until("all was received", || {
            source.poll();
            let tally = source.counters().tally();
            tally.datagram_received == read_count.load(Ordering::Relaxed) && source.poll() == 0
        });
        let counters = Arc::clone(source.counters());
        let mut frames = source.close();
        assert_eq!(frames.free_count(), 16);
        drop(frames);
        reader
            .join()
            .expect("the reader saw the bytes it was promised");
        let tally = counters.tally();
        assert_eq!(tally.accepted(), read_count.load(Ordering::Relaxed));
        assert_eq!(tally.receive_failed, 0);
        assert!(tally.accepted() >= SENT / 1000);
    }

    #[test]
    fn waiting_ends_when_a_datagram_comes_or_the_time_is_up() {
        if !is_possible() {
            return;
        }
        let (mut source, _core, facts) = open(&config(LOOPBACK, 4), 0, 4, None);
        source.wait(Duration::from_millis(15));
        assert_eq!(source.poll(), 0);
        let socket = sending_to(facts.socket.local);
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            socket.send(b"x").unwrap();
        });
        until("it came", || {
            source.wait(Duration::from_secs(3600));
            source.poll() == 1
        });
        late.join().unwrap();
    }

    /// A child that another test is about to start holds the closed socket until it has begun.
    fn until_free(address: SocketAddr) {
        until("the port is free", || UdpSocket::bind(address).is_ok());
    }

    /// Goal: a closed source leaves its port, with datagrams pending and with the receive running.
    #[test]
    fn a_closed_source_leaves_its_port_and_its_frames() {
        if !is_possible() {
            return;
        }
        let (mut source, _core, facts) = open(&config(LOOPBACK, 4), 0, 8, None);
        assert_eq!(source.poll(), 0);
        sending_to(facts.socket.local).send(b"never taken").unwrap();
        assert_eq!(source.close().free_count(), 8);
        until_free(facts.socket.local);

        let (source, _core, facts) = open(&config(LOOPBACK, 4), 0, 8, None);
        assert_eq!(source.close().free_count(), 8, "never polled");
        until_free(facts.socket.local);
    }

    /// Goal: the thread that polled first owns the ring; another one gets nothing, and breaks nothing.
    #[test]
    fn another_thread_than_the_first_receives_nothing_and_is_counted() {
        if !is_possible() {
            return;
        }
        let (mut source, mut core, facts) = open(&config(LOOPBACK, 4), 0, 8, None);
        let socket = sending_to(facts.socket.local);
        socket.send(&[1]).unwrap();
        poll_all(&mut source, 1);
        socket.send(&[2]).unwrap();
        let source = std::thread::spawn(move || {
            assert_eq!(source.poll(), 0);
            assert!(source.counters().tally().receive_failed > 0);
            source
        });
        let mut source = source.join().unwrap();
        poll_all(&mut source, 1);
        assert_eq!(drain(&mut core).len(), 2);
        let closed_elsewhere = std::thread::spawn(move || source.close().free_count());
        assert_eq!(closed_elsewhere.join().unwrap(), 8);
    }

    #[test]
    fn polling_touches_no_heap() {
        if !is_possible() {
            return;
        }
        let (mut source, mut core, facts) = open(&config(LOOPBACK, 8), 0, 16, None);
        let socket = sending_to(facts.socket.local);
        crate::check_that_no_poll_allocates(&mut source, &mut core, &socket);
        assert!(source.counters().tally().frames_exhausted > 0);
        assert_eq!(source.close().free_count(), 16);
    }

    #[test]
    fn a_tap_gets_every_datagram_with_its_addresses() {
        if !is_possible() {
            return;
        }
        let file =
            std::env::temp_dir().join(format!("shred-source-uring-{}.pcap", std::process::id()));
        let (capture, mut taps) = Capture::create(&file, &CapturePlan::default(), 1).unwrap();
        let (mut source, mut core, facts) = open(&config(LOOPBACK, 8), 0, 16, taps.pop());
        let socket = sending_to(facts.socket.local);
        for index in 0..10u8 {
            socket.send(&[index; 77]).unwrap();
        }
        poll_all(&mut source, 10);
        let all = drain(&mut core);
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
            assert_eq!(
                (read.from, read.to),
                (socket.local_addr().unwrap(), facts.socket.local)
            );
        }
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn a_plan_that_does_not_fit_is_refused_by_name() {
        let refused = |config: UringConfig, stride| {
            let plan = ArenaPlan { stride, ..plan(4) };
            let (frames, _core, _) = frame_ring(&plan).unwrap();
            UringSource::open(&config, SourceId(0), frames, None).unwrap_err()
        };
        for count in [0, 1, 3, BUFFERS_MAX + 1] {
            let error = refused(config(LOOPBACK, count), 2048);
            assert!(
                matches!(error, UringError::BufferCount(c) if c == count),
                "{error}"
            );
        }
        let error = refused(config(LOOPBACK, 4), 1408);
        assert!(
            matches!(
                error,
                UringError::Stride {
                    stride: 1408,
                    payload_len_min: 1232
                }
            ),
            "{error}"
        );
        if is_possible() {
            let error = refused(config("192.0.2.1:0", 4), 2048);
            assert!(matches!(error, UringError::Udp(_)), "{error}");
        }
    }

    /// Goal: a host that denies io_uring is told so, with what to do.
    /// Method: a seccomp filter on this thread alone answers `io_uring_setup` with `EPERM`, as containers do.
    #[test]
    fn a_denied_io_uring_says_who_denies_it() {
        let said = std::thread::spawn(|| {
            if !deny_io_uring() {
                eprintln!("skipped: seccomp is not to be had");
                return None;
            }
            Some(UringSource::check().unwrap_err().to_string())
        });
        if let Some(said) = said.join().unwrap() {
            assert!(
                said.contains("io_uring_setup") && said.contains("recvmmsg"),
                "{said}"
            );
            if disabled_setting().is_none_or(|setting| setting == 0) {
                assert!(said.contains("seccomp"), "{said}");
            }
        }
        assert!(check_of(Some(libc::EPERM), Some(2)).contains("kernel.io_uring_disabled=0"));
        assert!(check_of(Some(libc::EPERM), Some(1)).contains("io_uring_group"));
        assert!(check_of(Some(libc::ENOSYS), None).contains("without io_uring"));
        assert!(check_of(Some(libc::EINVAL), Some(0)).contains("6.1"));
    }

    fn deny_io_uring() -> bool {
        let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        // Loads the system call's number (the first word of `seccomp_data`), and denies one.
        let mut steps = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                libc::SYS_io_uring_setup as u32,
                0,
                1,
            ),
            step(
                libc::BPF_RET,
                libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
                0,
                0,
            ),
            step(libc::BPF_RET, libc::SECCOMP_RET_ALLOW, 0, 0),
        ];
        let program = libc::sock_fprog {
            len: steps.len() as u16,
            filter: steps.as_mut_ptr(),
        };
        // SAFETY: plain system calls on live locals; both change this thread alone.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const program,
                ) == 0
        }
    }
}
