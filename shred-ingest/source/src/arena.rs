//! One source's frames: a mapped region, and the two rings that say who owns which frame.
//!
//! A frame has exactly one owner at any time. It is *free* (its number is in [`RxFrames`]' stack or in the twin
//! ring), *loaned* to the receive (its number is inside a [`Reservation`] or a crate-private loan), *published*
//! (its descriptor is in the ring) or *read* (inside a [`Frame`] or a drain). Numbers cross threads only through
//! the rings, whose release and acquire order the bytes. Both rings have as many cells as there are frames, so
//! neither can be full.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};
use shred_wire::Nanos;

use crate::{RX_BURST, SourceId};

/// Frames are multiples of a cache line, so that two owners never share one.
pub const STRIDE_UNIT: usize = 64;
/// Longest frame: a descriptor's length is 16 bits.
pub const STRIDE_MAX: usize = 65_536 - STRIDE_UNIT;
/// Most frames an arena may have (2 GiB at the default stride).
pub const FRAMES_MAX: usize = 1 << 20;

/// Frames beyond the ring's, into which the newest datagrams are received when they are to be dropped.
const SCRATCH_FRAMES: usize = RX_BURST;

/// A descriptor's place is its frame's number in the low 20 bits and the payload's offset in the upper 12.
const FRAME_BITS: u32 = FRAMES_MAX.trailing_zeros();
/// Furthest into its frame that a payload may start.
pub(crate) const OFFSET_MAX: usize = (1 << (u32::BITS - FRAME_BITS)) - 1;

/// Sizes of one source's arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaPlan {
    /// Frames in circulation; a power of two. At 10,000 shreds/s the default rides out 0.8 s of a stalled core.
    pub frame_count: usize,
    /// Bytes per frame, a multiple of [`STRIDE_UNIT`]; the longest datagram that is taken.
    pub stride: usize,
    /// What to do about `mlock`.
    pub lock: Lock,
    /// Ask for transparent huge pages: fewer TLB misses, but start-up may stall while the kernel compacts.
    pub huge_pages: bool,
}

impl Default for ArenaPlan {
    fn default() -> Self {
        Self {
            frame_count: 8192,
            stride: 2048,
            lock: Lock::Try,
            huge_pages: false,
        }
    }
}

/// Whether the arena's pages are locked in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Do not try.
    Skip,
    /// Try; a refusal is a fact in [`ArenaFacts`], not an error.
    Try,
    /// Refuse to start when the pages cannot be locked.
    Require,
}

/// What became of an [`ArenaPlan`] on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaFacts {
    /// Bytes mapped and touched.
    pub mapped_len: usize,
    /// True when the pages are locked.
    pub locked: bool,
    /// `errno` of the refused `mlock`, when it was tried and refused.
    pub lock_errno: Option<i32>,
    /// True when the kernel took the advice to use huge pages.
    pub huge_pages_advised: bool,
}

/// Why an arena could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// Not a power of two in range.
    #[error("frame_count = {0}: must be a power of two from 2 to {FRAMES_MAX}")]
    FrameCount(usize),
    /// Not a multiple of the unit in range.
    #[error("stride = {0}: must be a multiple of {STRIDE_UNIT} from {STRIDE_UNIT} to {STRIDE_MAX}")]
    Stride(usize),
    /// The kernel gave no memory.
    #[error("cannot map {len} bytes for datagrams: {source}")]
    Map {
        /// Bytes asked for.
        len: usize,
        /// The kernel's answer.
        source: io::Error,
    },
    /// `mlock` was required and refused.
    #[error(
        "cannot lock {len} bytes for datagrams: {source}; raise LimitMEMLOCK (ulimit -l) or grant CAP_IPC_LOCK"
    )]
    Lock {
        /// Bytes asked for.
        len: usize,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// What the core is told about one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Receive stamp: the kernel's, or the capture's.
    pub stamp: Nanos,
    /// 0-based number of this datagram among all that its source saw, refused ones included: gaps are losses.
    pub ordinal: u64,
    /// See [`FRAME_BITS`].
    place: u32,
    /// Payload bytes.
    pub len: u16,
    /// Where it came from.
    pub source: SourceId,
    /// [`Descriptor::STAMPED_BY_HOST`], [`Descriptor::STAMPED_BY_CARD`] or 0: the kernel's software stamp.
    pub flags: u8,
}

const _: () = assert!(size_of::<Descriptor>() == 24);

impl Descriptor {
    /// Flag: the kernel gave no stamp, this process took the time after the receive.
    pub const STAMPED_BY_HOST: u8 = 1;
    /// Flag: the network card stamped. Its clock is the system's only where something (`phc2sys`) keeps it so.
    pub const STAMPED_BY_CARD: u8 = 2;

    /// Where in its frame the payload starts: behind the headers where those were received into the frame too.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        (self.place >> FRAME_BITS) as usize
    }

    #[inline]
    const fn frame(&self) -> u32 {
        self.place & (FRAMES_MAX as u32 - 1)
    }
}

/// Builds an arena and hands out its two ends. All memory is mapped, touched and (see [`Lock`]) locked here, by
/// the calling thread: on a NUMA host, call it on the node that will use it.
///
/// # Errors
/// [`ArenaError`] names what does not fit.
pub fn frame_ring(plan: &ArenaPlan) -> Result<(RxFrames, CoreFrames, ArenaFacts), ArenaError> {
    let frame_count = plan.frame_count;
    if !frame_count.is_power_of_two() || !(2..=FRAMES_MAX).contains(&frame_count) {
        return Err(ArenaError::FrameCount(frame_count));
    }
    if !plan.stride.is_multiple_of(STRIDE_UNIT)
        || !(STRIDE_UNIT..=STRIDE_MAX).contains(&plan.stride)
    {
        return Err(ArenaError::Stride(plan.stride));
    }
    let (region, facts) = Region::map(plan)?;
    let region = Arc::new(region);
    let nothing = Descriptor {
        stamp: Nanos(0),
        ordinal: 0,
        place: 0,
        len: 0,
        source: SourceId(0),
        flags: 0,
    };
    let (publish, published) = touched_ring(frame_count, nothing);
    let (give_back, given_back) = touched_ring(frame_count, 0);
    // In ring order from the end: the lowest numbers are taken first.
    let free: Vec<u32> = (0..frame_count as u32).rev().collect();
    let rx = RxFrames {
        region: Arc::clone(&region),
        free,
        publish,
        given_back,
    };
    Ok((
        rx,
        CoreFrames {
            region,
            published,
            give_back,
        },
        facts,
    ))
}

/// An empty ring whose every cell has been written once, so that its first turn meets no page fault either.
fn touched_ring<T: Copy>(cell_count: usize, value: T) -> (Producer<T>, Consumer<T>) {
    let (mut producer, mut consumer) = RingBuffer::new(cell_count);
    while producer.push(value).is_ok() {}
    while consumer.pop().is_ok() {}
    (producer, consumer)
}

/// The receiving end: takes free frames, fills them, publishes them.
#[derive(Debug)]
pub struct RxFrames {
    region: Arc<Region>,
    /// Last in, first out: the frame that came back last is still in the caches.
    free: Vec<u32>,
    publish: Producer<Descriptor>,
    given_back: Consumer<u32>,
}

impl RxFrames {
    /// Bytes of a frame.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.region.stride
    }

    /// Frames in circulation.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.region.frame_count
    }

    /// Frames this end could fill now.
    #[must_use]
    pub fn free_count(&mut self) -> usize {
        self.collect();
        self.free.len()
    }

    /// True when the other end is gone: no frame will come back, nothing published will be read.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.publish.is_abandoned()
    }

    /// Takes a free frame to fill, or `None` when all are with the core.
    #[inline]
    pub fn reserve(&mut self) -> Option<Reservation<'_>> {
        let loan = self.loan()?;
        Some(Reservation {
            frames: self,
            loan: Some(loan),
        })
    }

    #[inline]
    pub(crate) fn loan(&mut self) -> Option<Loan> {
        if self.free.is_empty() {
            self.collect();
        }
        self.free.pop().map(|frame| Loan { frame })
    }

    /// Where the loaned frame's `stride` bytes are. They are the holder's alone until the loan is published or
    /// given back; the address stays valid as long as `self` lives.
    #[inline]
    pub(crate) fn loan_ptr(&self, loan: &Loan) -> NonNull<u8> {
        self.region.frame_ptr(loan.frame)
    }

    /// The loan of a frame whose number alone was kept while the kernel had it.
    ///
    /// The caller took the number from [`Loan::into_number`], and answers for using it once.
    #[inline]
    pub(crate) fn loan_of_number(&self, frame: u32) -> Loan {
        assert!((frame as usize) < self.region.frame_count);
        Loan { frame }
    }

    /// Where frame 0 starts; page-aligned, the others follow each other at [`RxFrames::stride`]. Who may touch which
    /// is what loans say.
    pub(crate) fn first_frame_ptr(&self) -> NonNull<u8> {
        self.region.start
    }

    /// Where the bytes of one of the [`RX_BURST`] scratch frames are. They are never published.
    #[inline]
    pub(crate) fn scratch_ptr(&self, index: usize) -> NonNull<u8> {
        assert!(index < SCRATCH_FRAMES);
        self.region
            .frame_ptr((self.region.frame_count + index) as u32)
    }

    #[inline]
    pub(crate) fn publish(&mut self, loan: Loan, about: Datagram) {
        self.publish_at(loan, 0, about);
    }

    /// As [`RxFrames::publish`], of a payload that starts `offset` bytes into the frame.
    #[inline]
    pub(crate) fn publish_at(&mut self, loan: Loan, offset: usize, about: Datagram) {
        assert!(offset <= OFFSET_MAX && offset + about.len as usize <= self.region.stride);
        let Datagram {
            stamp,
            ordinal,
            len,
            source,
            flags,
        } = about;
        let descriptor = Descriptor {
            stamp,
            ordinal,
            place: loan.frame | ((offset as u32) << FRAME_BITS),
            len,
            source,
            flags,
        };
        self.publish
            .push(descriptor)
            .expect("the ring has a cell for every frame");
    }

    #[inline]
    pub(crate) fn give_back(&mut self, loan: Loan) {
        self.free.push(loan.frame);
    }

    /// Moves what the core gave back onto the stack, whose capacity is the number of frames.
    #[inline]
    pub(crate) fn collect(&mut self) {
        while let Ok(frame) = self.given_back.pop() {
            self.free.push(frame);
        }
    }
}

/// The right to fill one frame. Neither `Clone` nor `Copy`; used only with the arena it came from.
#[derive(Debug)]
pub(crate) struct Loan {
    frame: u32,
}

impl Loan {
    /// Gives the loan up to whoever keeps the number: see [`RxFrames::loan_of_number`].
    #[inline]
    pub(crate) fn into_number(self) -> u32 {
        self.frame
    }
}

/// What is said about a datagram when it is published; a [`Descriptor`] without its frame.
#[derive(Debug, Clone, Copy)]
pub struct Datagram {
    /// See [`Descriptor::stamp`].
    pub stamp: Nanos,
    /// See [`Descriptor::ordinal`].
    pub ordinal: u64,
    /// Payload bytes.
    pub len: u16,
    /// Where it came from.
    pub source: SourceId,
    /// See [`Descriptor::flags`].
    pub flags: u8,
}

/// A free frame being filled. Goes back unused when dropped.
#[derive(Debug)]
pub struct Reservation<'a> {
    frames: &'a mut RxFrames,
    loan: Option<Loan>,
}

impl Reservation<'_> {
    /// The frame's bytes; what they hold is left over from an earlier datagram.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let Some(loan) = &self.loan else {
            return &mut [];
        };
        let start = self.frames.loan_ptr(loan);
        // SAFETY: a loaned frame is `stride` mapped, initialised bytes that nobody else reads or writes until it
        // is published, which consumes `self`; the result borrows `self`.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.frames.region.stride) }
    }

    /// Hands the frame's first `about.len` bytes to the core.
    ///
    /// # Panics
    /// When `about.len` is more than a frame holds.
    #[inline]
    pub fn publish(mut self, about: Datagram) {
        if let Some(loan) = self.loan.take() {
            self.frames.publish(loan, about);
        }
    }
}

impl Drop for Reservation<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(loan) = self.loan.take() {
            self.frames.give_back(loan);
        }
    }
}

/// The core's end: reads published datagrams in place and gives their frames back.
#[derive(Debug)]
pub struct CoreFrames {
    region: Arc<Region>,
    published: Consumer<Descriptor>,
    give_back: Producer<u32>,
}

impl CoreFrames {
    /// Datagrams waiting.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.published.slots()
    }

    /// True when the receiving end is gone and everything it published has been read.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        // The order matters: what was published before the end is visible once the end is.
        self.published.is_abandoned() && self.published.is_empty()
    }

    /// Calls `handle` with up to `count_max` waiting datagrams, oldest first, and returns how many there were.
    ///
    /// The bytes are valid during the call. The frames go back together when all have been handled.
    #[inline]
    pub fn drain(&mut self, count_max: usize, mut handle: impl FnMut(&Descriptor, &[u8])) -> usize {
        self.drain_burst(count_max, |burst| {
            for (descriptor, bytes) in burst {
                handle(descriptor, bytes);
            }
        })
    }

    /// As [`CoreFrames::drain`], with all of them at hand at once.
    #[inline]
    pub fn drain_burst(
        &mut self,
        count_max: usize,
        handle: impl for<'a> FnOnce(Burst<'a>),
    ) -> usize {
        let Self {
            region,
            published,
            give_back,
        } = self;
        let count = published.slots().min(count_max);
        if count == 0 {
            return 0;
        }
        let Ok(chunk) = published.read_chunk(count) else {
            return 0;
        };
        let (older, newer) = chunk.as_slices();
        handle(Burst {
            region,
            older: older.iter(),
            newer: newer.iter(),
        });
        let mut returned = give_back
            .write_chunk(count)
            .expect("the twin ring has a cell for every frame");
        let (first, second) = returned.as_mut_slices();
        let cells = first.iter_mut().chain(second);
        for (cell, descriptor) in cells.zip(older.iter().chain(newer)) {
            *cell = descriptor.frame();
        }
        // The descriptors' cells first: whoever gets a frame back may publish it at once, and finds a cell for it.
        chunk.commit_all();
        returned.commit_all();
        count
    }

    /// The oldest waiting datagram; its frame goes back when the result is dropped.
    #[inline]
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let descriptor = self.published.pop().ok()?;
        Some(Frame {
            frames: self,
            descriptor,
        })
    }

    /// The stamp of the oldest waiting datagram, which stays where it is.
    #[inline]
    #[must_use]
    pub fn peek(&self) -> Option<&Descriptor> {
        self.published.peek().ok()
    }
}

/// Waiting datagrams, oldest first.
#[derive(Debug)]
pub struct Burst<'a> {
    region: &'a Region,
    older: std::slice::Iter<'a, Descriptor>,
    newer: std::slice::Iter<'a, Descriptor>,
}

impl<'a> Iterator for Burst<'a> {
    type Item = (&'a Descriptor, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let descriptor = self.older.next().or_else(|| self.newer.next())?;
        // SAFETY: only `drain_burst` makes one, of descriptors that were published and are still in the ring for as
        // long as its borrows live, so the frames are ours to read; their numbers go back afterwards, and a panic
        // leaves the descriptors in the ring.
        Some((descriptor, unsafe { self.region.bytes(descriptor) }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.older.len() + self.newer.len();
        (count, Some(count))
    }
}

impl ExactSizeIterator for Burst<'_> {}

/// A datagram being read where it was received. Dropping it gives the frame back.
#[derive(Debug)]
pub struct Frame<'a> {
    frames: &'a mut CoreFrames,
    descriptor: Descriptor,
}

impl Frame<'_> {
    /// Who sent what, when.
    #[inline]
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The payload.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the descriptor left the ring into `self` and the frame's number goes back only when `self` is
        // dropped; the result borrows `self`.
        unsafe { self.frames.region.bytes(&self.descriptor) }
    }
}

impl Drop for Frame<'_> {
    #[inline]
    fn drop(&mut self) {
        let pushed = self.frames.give_back.push(self.descriptor.frame());
        debug_assert!(pushed.is_ok(), "the twin ring has a cell for every frame");
    }
}

/// The mapping. Says nothing about who may touch which frame: the rings do.
#[derive(Debug)]
struct Region {
    start: NonNull<u8>,
    mapped_len: usize,
    stride: usize,
    frame_count: usize,
}

// SAFETY: `Region` is an address range; every access to its bytes goes through `frame_ptr` or `bytes`, whose callers
// own the frame they name.
unsafe impl Send for Region {}
// SAFETY: as above; `&Region` alone gives no access to bytes.
unsafe impl Sync for Region {}

impl Region {
    fn map(plan: &ArenaPlan) -> Result<(Self, ArenaFacts), ArenaError> {
        let len = ((plan.frame_count + SCRATCH_FRAMES) * plan.stride).next_multiple_of(page_len());
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        let start = match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => start,
            _ => {
                return Err(ArenaError::Map {
                    len,
                    source: io::Error::last_os_error(),
                });
            }
        };
        // From here on `Drop` unmaps.
        let region = Self {
            start,
            mapped_len: len,
            stride: plan.stride,
            frame_count: plan.frame_count,
        };
        let huge_pages_advised = plan.huge_pages && region.advise_huge_pages();
        region.touch();
        let lock_error = match plan.lock {
            Lock::Skip => None,
            Lock::Try | Lock::Require => region.lock().err(),
        };
        let facts = ArenaFacts {
            mapped_len: len,
            locked: plan.lock != Lock::Skip && lock_error.is_none(),
            lock_errno: lock_error.as_ref().and_then(io::Error::raw_os_error),
            huge_pages_advised,
        };
        match lock_error {
            Some(source) if plan.lock == Lock::Require => Err(ArenaError::Lock { len, source }),
            _ => Ok((region, facts)),
        }
    }

    fn advise_huge_pages(&self) -> bool {
        // SAFETY: the range is our own mapping; the advice changes no contents.
        unsafe {
            libc::madvise(
                self.start.as_ptr().cast(),
                self.mapped_len,
                libc::MADV_HUGEPAGE,
            ) == 0
        }
    }

    /// Writes to every page, so that the first datagram does not pay for a page fault.
    fn touch(&self) {
        for offset in (0..self.mapped_len).step_by(page_len()) {
            // SAFETY: `offset` is inside the mapping, which nobody else knows yet.
            unsafe { self.start.as_ptr().add(offset).write_volatile(0) };
        }
    }

    fn lock(&self) -> io::Result<()> {
        // SAFETY: the range is our own mapping; locking changes no contents.
        match unsafe { libc::mlock(self.start.as_ptr().cast(), self.mapped_len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    #[inline]
    fn frame_ptr(&self, frame: u32) -> NonNull<u8> {
        let range = self.range(frame, self.stride);
        // SAFETY: `range` lies inside the mapping.
        unsafe { self.start.add(range.start) }
    }

    /// # Safety
    /// The caller owns the descriptor's frame for reading for as long as it uses the result.
    #[inline]
    unsafe fn bytes(&self, descriptor: &Descriptor) -> &[u8] {
        let (offset, len) = (descriptor.offset(), usize::from(descriptor.len));
        let range = self.range(descriptor.frame(), offset + len);
        let range = range.start + offset..range.end;
        // SAFETY: `range` lies inside the mapping, whose bytes are initialised (the kernel zeroes them); nobody
        // writes to the frame meanwhile, by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// The first `len` bytes of a frame as offsets into the mapping. Checked: own state that does not fit is a
    /// defect, and must not become a wild read.
    #[inline]
    fn range(&self, frame: u32, len: usize) -> Range<usize> {
        assert!((frame as usize) < self.frame_count + SCRATCH_FRAMES && len <= self.stride);
        let start = frame as usize * self.stride;
        start..start + len
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and, both ends being gone, nobody uses it. Unmapping unlocks.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.mapped_len) };
    }
}

fn page_len() -> usize {
    // SAFETY: reads a constant of the system.
    let len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(len).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::until;
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn tiny(frame_count: usize) -> ArenaPlan {
        ArenaPlan {
            frame_count,
            stride: 128,
            lock: Lock::Try,
            huge_pages: false,
        }
    }

    fn about(ordinal: u64, len: u16) -> Datagram {
        Datagram {
            stamp: Nanos(ordinal * 10),
            ordinal,
            len,
            source: SourceId(3),
            flags: 0,
        }
    }

    /// The bytes datagram `ordinal` is filled with: its number, then a pattern of it.
    fn contents(ordinal: u64, len: usize) -> Vec<u8> {
        let mut bytes = ordinal.to_le_bytes().to_vec();
        bytes.extend((8..len).map(|at| (ordinal as u8).wrapping_mul(31).wrapping_add(at as u8)));
        bytes
    }

    #[test]
    fn a_frame_that_comes_back_finds_a_cell() {
        const DATAGRAMS: u64 = 2_000_000;
        let (mut rx, mut core, _) = frame_ring(&tiny(2)).unwrap();
        let receiving = std::thread::spawn(move || {
            let mut ordinal = 0;
            while ordinal < DATAGRAMS {
                match rx.reserve() {
                    Some(frame) => {
                        frame.publish(about(ordinal, 8));
                        ordinal += 1;
                    }
                    None => std::thread::yield_now(),
                }
            }
        });
        while !core.is_ended() {
            if core.drain(RX_BURST, |_, _| {}) == 0 {
                std::thread::yield_now();
            }
        }
        receiving.join().unwrap();
    }

    #[test]
    fn a_plan_that_does_not_fit_is_refused_by_name() {
        for frame_count in [0, 1, 3, FRAMES_MAX * 2] {
            let refused = frame_ring(&tiny(frame_count)).unwrap_err();
            assert!(matches!(refused, ArenaError::FrameCount(count) if count == frame_count));
        }
        for stride in [0, 63, 100, STRIDE_MAX + 64] {
            let refused = frame_ring(&ArenaPlan { stride, ..tiny(4) }).unwrap_err();
            assert!(matches!(refused, ArenaError::Stride(len) if len == stride));
        }
    }

    #[test]
    fn a_datagram_is_read_where_it_was_written() {
        let (mut rx, mut core, facts) = frame_ring(&tiny(4)).unwrap();
        assert!(facts.mapped_len >= (4 + SCRATCH_FRAMES) * 128);
        let mut frame = rx.reserve().unwrap();
        frame.bytes_mut()[..5].copy_from_slice(b"hello");
        let written_at = frame.bytes_mut().as_ptr();
        frame.publish(about(7, 5));
        assert_eq!(rx.free_count(), 3);

        assert_eq!(core.peek().unwrap().ordinal, 7);
        let frame = core.next_frame().unwrap();
        assert_eq!(frame.bytes(), b"hello");
        assert_eq!(frame.bytes().as_ptr(), written_at);
        assert_eq!(frame.descriptor().stamp, Nanos(70));
        assert_eq!(frame.descriptor().source, SourceId(3));
        drop(frame);
        assert_eq!(rx.free_count(), 4);
        assert!(core.next_frame().is_none());
    }

    /// Goal: the last frame and the furthest offset fit one word together.
    #[test]
    fn a_payload_may_start_anywhere_in_its_frame() {
        let plan = ArenaPlan {
            stride: 4160,
            ..tiny(2)
        };
        let (mut rx, mut core, _) = frame_ring(&plan).unwrap();
        for (offset, len) in [(0, 4160), (1, 4159), (OFFSET_MAX, 65), (OFFSET_MAX, 0)] {
            let loan = rx.loan().unwrap();
            let start = rx.loan_ptr(&loan);
            // SAFETY: the loan's frame is `stride` bytes that are ours.
            unsafe { start.add(offset).write_bytes(offset as u8, len) };
            rx.publish_at(loan, offset, about(1, len as u16));
            let frame = core.next_frame().unwrap();
            assert_eq!(frame.descriptor().offset(), offset);
            assert_eq!(frame.bytes(), vec![offset as u8; len]);
            // SAFETY: as above.
            let expected = unsafe { start.add(offset) };
            assert_eq!(frame.bytes().as_ptr(), expected.as_ptr());
        }
        assert_eq!(rx.free_count(), 2);
        let last = FRAMES_MAX as u32 - 1;
        let place = last | ((OFFSET_MAX as u32) << FRAME_BITS);
        let about = Descriptor {
            stamp: Nanos(0),
            ordinal: 0,
            place,
            len: 0,
            source: SourceId(0),
            flags: 0,
        };
        assert_eq!((about.frame(), about.offset()), (last, OFFSET_MAX));
    }

    #[test]
    #[should_panic(expected = "stride")]
    fn a_payload_cannot_reach_beyond_its_frame() {
        let (mut rx, _core, _) = frame_ring(&tiny(2)).unwrap();
        let loan = rx.loan().unwrap();
        rx.publish_at(loan, 64, about(0, 65));
    }

    #[test]
    fn a_reservation_that_is_dropped_goes_back() {
        let (mut rx, core, _) = frame_ring(&tiny(2)).unwrap();
        drop(rx.reserve().unwrap());
        assert_eq!(rx.free_count(), 2);
        assert_eq!(core.waiting_count(), 0);
    }

    #[test]
    fn when_every_frame_is_out_there_is_none_to_reserve() {
        let (mut rx, mut core, _) = frame_ring(&tiny(4)).unwrap();
        let mut seen = HashSet::new();
        for ordinal in 0..4 {
            let mut frame = rx.reserve().unwrap();
            assert!(
                seen.insert(frame.bytes_mut().as_ptr()),
                "a frame was given out twice"
            );
            frame.publish(about(ordinal, 0));
        }
        assert!(rx.reserve().is_none());
        assert_eq!(core.drain(1, |_, _| ()), 1);
        assert!(rx.reserve().is_some());
    }

    #[test]
    #[should_panic(expected = "stride")]
    fn a_length_beyond_the_frame_cannot_be_published() {
        let (mut rx, _core, _) = frame_ring(&tiny(2)).unwrap();
        rx.reserve().unwrap().publish(about(0, 129));
    }

    /// A reader that panics must not free frames it never finished.
    #[test]
    fn a_panic_while_draining_neither_leaks_nor_frees_twice() {
        let (mut rx, mut core, _) = frame_ring(&tiny(4)).unwrap();
        for ordinal in 0..3 {
            rx.reserve().unwrap().publish(about(ordinal, 1));
        }
        let mut handled = 0;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            core.drain(8, |_, _| {
                handled += 1;
                assert!(handled < 2, "second datagram");
            })
        }));
        assert!(outcome.is_err());
        assert_eq!(rx.free_count(), 1);
        assert_eq!(core.drain(8, |_, _| ()), 3);
        assert_eq!(rx.free_count(), 4);
    }

    /// Goal: no frame is lost, read twice or written while it is read.
    /// Method: 100,000 datagrams through 8 frames between two threads, with drops; every payload is checked and
    /// the reader sometimes dawdles inside a frame, then looks at the bytes again. Every thousand the writer
    /// floods the ring and then waits for the reader, so neither can miss the other whatever the scheduler does.
    #[test]
    fn frames_neither_leak_nor_alias_between_threads() {
        const SENT: u64 = 100_000;
        let (mut rx, mut core, _) = frame_ring(&tiny(8)).unwrap();
        let read_count = Arc::new(AtomicU64::new(0));
        let reader_count = Arc::clone(&read_count);
        let reader = std::thread::spawn(move || {
            let mut read = Vec::new();
            while !core.is_ended() {
                if read.len() % 3 == 0 {
                    if let Some(frame) = core.next_frame() {
                        let ordinal = frame.descriptor().ordinal;
                        assert_eq!(frame.bytes(), contents(ordinal, frame.bytes().len()));
                        std::thread::yield_now();
                        assert_eq!(frame.bytes(), contents(ordinal, frame.bytes().len()));
                        read.push(ordinal);
                    }
                } else {
                    core.drain(5, |descriptor, bytes| {
                        assert_eq!(bytes, contents(descriptor.ordinal, bytes.len()));
                        read.push(descriptor.ordinal);
                    });
                }
                reader_count.store(read.len() as u64, Ordering::Relaxed);
                std::thread::yield_now();
            }
            read
        });
        let mut dropped = 0u64;
        for ordinal in 0..SENT {
            let len = 8 + (ordinal % 121) as usize;
            match rx.reserve() {
                Some(mut frame) => {
                    frame.bytes_mut()[..len].copy_from_slice(&contents(ordinal, len));
                    frame.publish(about(ordinal, len as u16));
                }
                None => {
                    dropped += 1;
                    if ordinal % 4 == 0 {
                        std::thread::yield_now();
                    }
                }
            }
            if ordinal % 1000 == 999 {
                let published = ordinal + 1 - dropped;
                until("all published was read", || {
                    rx.is_abandoned() || read_count.load(Ordering::Relaxed) == published
                });
            }
        }
        until("all frames are back", || {
            rx.is_abandoned() || rx.free_count() == 8
        });
        drop(rx);
        let read = reader
            .join()
            .expect("the reader saw the bytes it was promised");
        assert!(read.is_sorted_by(|a, b| a < b), "order was lost");
        assert_eq!(
            read.len() as u64 + dropped,
            SENT,
            "a datagram was lost or read twice"
        );
        assert!(read.len() >= 800, "at least a ring's worth per thousand");
    }

    /// Goal: drops are part of the above whatever the scheduler does: a reader that holds everything.
    #[test]
    fn a_reader_that_holds_on_costs_the_newest() {
        let (mut rx, mut core, _) = frame_ring(&tiny(2)).unwrap();
        for ordinal in 0..1000 {
            let held = ordinal % 5 != 4;
            match rx.reserve() {
                Some(frame) => frame.publish(about(ordinal, 1)),
                None => assert!(ordinal % 5 >= 2),
            }
            if !held {
                let mut ordinals = Vec::new();
                core.drain(9, |descriptor, _| ordinals.push(descriptor.ordinal));
                assert_eq!(ordinals, [ordinal - 4, ordinal - 3]);
            }
        }
        assert_eq!(rx.free_count(), 2);
    }

    /// Goal: the first turn of the rings is like any other.
    #[test]
    fn rings_are_touched_and_empty_when_handed_out() {
        let (mut rx, core, _) = frame_ring(&tiny(4)).unwrap();
        assert_eq!((rx.free_count(), core.waiting_count()), (4, 0));
        assert_eq!(rx.publish.slots(), 4);
        let (producer, consumer) = touched_ring(4, 9u32);
        assert_eq!((producer.slots(), consumer.slots()), (4, 0));
    }

    #[test]
    fn each_end_sees_that_the_other_is_gone() {
        let (mut rx, core, _) = frame_ring(&tiny(2)).unwrap();
        assert!(!rx.is_abandoned());
        drop(core);
        assert!(rx.is_abandoned());

        let (mut other, mut core, _) = frame_ring(&tiny(2)).unwrap();
        other.reserve().unwrap().publish(about(0, 1));
        drop(other);
        assert!(!core.is_ended(), "a published datagram outlives its sender");
        assert_eq!(core.next_frame().unwrap().descriptor().len, 1);
        assert!(core.is_ended());
        assert!(rx.reserve().is_some());
    }

    /// Goal: a host that denies `mlock` still runs, and says so.
    /// Method: this thread gives up `CAP_IPC_LOCK` and the process its soft limit, for the length of the test.
    #[test]
    fn a_denied_mlock_is_a_fact_unless_it_is_required() {
        let denied = std::thread::spawn(|| {
            deny_mlock(|| {
                let plan = ArenaPlan::default();
                let tried = frame_ring(&plan).map(|(mut rx, _core, facts)| {
                    rx.reserve().unwrap().bytes_mut().fill(1);
                    facts
                });
                (
                    tried,
                    frame_ring(&ArenaPlan {
                        lock: Lock::Require,
                        ..plan
                    })
                    .map(|_| ()),
                )
            })
        });
        let (tried, required) = denied.join().unwrap();
        let facts = tried.unwrap();
        assert!(!facts.locked);
        assert!(matches!(
            facts.lock_errno,
            Some(libc::ENOMEM | libc::EPERM | libc::EAGAIN)
        ));
        let required = required.unwrap_err();
        assert!(matches!(required, ArenaError::Lock { .. }), "{required}");
        assert!(required.to_string().contains("LimitMEMLOCK"));
        let skipped = frame_ring(&ArenaPlan {
            lock: Lock::Skip,
            ..tiny(2)
        })
        .unwrap()
        .2;
        assert!(!skipped.locked && skipped.lock_errno.is_none());
    }

    fn deny_mlock<T>(run: impl FnOnce() -> T) -> T {
        // Version 3 of the header, and the word with capabilities 0 to 31 of which CAP_IPC_LOCK is number 14:
        // linux/capability.h.
        let header = [0x2008_0522u32, 0];
        let mut sets = [[0u32; 3]; 2];
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: plain system calls on local variables of the size the kernel expects; `capset` changes this thread.
        unsafe {
            libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr());
            sets[0][0] &= !(1 << 14);
            assert_eq!(
                libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()),
                0
            );
            assert_eq!(libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit), 0);
            let none = libc::rlimit {
                rlim_cur: 0,
                ..limit
            };
            assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none), 0);
        }
        let result = run();
        // SAFETY: puts the old limit back.
        unsafe { assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit), 0) };
        result
    }
}
