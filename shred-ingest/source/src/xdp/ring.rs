//! The two rings an AF_XDP socket shares with the kernel: frames to fill, and frames that were filled.
//!
//! Source: Linux `Documentation/networking/af_xdp.rst`, `linux/if_xdp.h`. Each ring has one producer and one
//! consumer; the positions only grow and wrap at 2^32, the place is their remainder by the ring's length.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::mapping::Mapping;

/// Shared positions and cells of `T`.
#[derive(Debug)]
struct Shared<T> {
    map: Mapping,
    offsets: Offsets,
    mask: u32,
    cells: std::marker::PhantomData<T>,
}

/// Where in the mapping things are, checked against its length when it was made.
#[derive(Debug, Clone, Copy)]
struct Offsets {
    producer: usize,
    consumer: usize,
    flags: usize,
    cells: usize,
}

impl<T: Copy> Shared<T> {
    fn map(
        fd: RawFd,
        cell_count: u32,
        at: u64,
        offsets: &libc::xdp_ring_offset,
    ) -> io::Result<Self> {
        let cells_len = cell_count as usize * size_of::<T>();
        let map = Mapping::shared(fd, offsets.desc as usize + cells_len, at as libc::off_t)?;
        let offsets = Offsets {
            producer: offsets.producer as usize,
            consumer: offsets.consumer as usize,
            flags: offsets.flags as usize,
            cells: offsets.desc as usize,
        };
        let last = map.len() - size_of::<u32>();
        assert!(offsets.producer <= last && offsets.consumer <= last && offsets.flags <= last);
        assert!(offsets.cells.is_multiple_of(align_of::<T>()));
        Ok(Self {
            map,
            offsets,
            mask: cell_count - 1,
            cells: std::marker::PhantomData,
        })
    }

    #[inline]
    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: `map` checked that the word lies inside the mapping; the kernel too reads and writes it whole.
        unsafe { self.map.start().add(offset).cast::<AtomicU32>().as_ref() }
    }

    #[inline]
    fn cell(&self, position: u32) -> NonNull<T> {
        let place = (position & self.mask) as usize;
        // SAFETY: the mapping has `mask + 1` cells from `offsets.cells`.
        unsafe {
            self.map
                .start()
                .add(self.offsets.cells)
                .cast::<T>()
                .add(place)
        }
    }
}

/// Frames for the kernel to fill: addresses into the umem.
#[derive(Debug)]
pub(super) struct FillRing {
    shared: Shared<u64>,
    written: u32,
    published: u32,
}

impl FillRing {
    pub(super) fn map(
        fd: RawFd,
        cell_count: u32,
        offsets: &libc::xdp_mmap_offsets,
    ) -> io::Result<Self> {
        let at = libc::XDP_UMEM_PGOFF_FILL_RING;
        Ok(Self {
            shared: Shared::map(fd, cell_count, at, &offsets.fr)?,
            written: 0,
            published: 0,
        })
    }

    /// Writes one address. The caller has never more with the kernel than the ring has cells.
    #[inline]
    pub(super) fn write(&mut self, address: u64) {
        // SAFETY: the cell is ours until `publish`, as the kernel has at most the others.
        unsafe { self.shared.cell(self.written).write(address) };
        self.written = self.written.wrapping_add(1);
    }

    /// Lets the kernel see what was written.
    #[inline]
    pub(super) fn publish(&mut self) {
        if self.published != self.written {
            self.published = self.written;
            let producer = self.shared.word(self.shared.offsets.producer);
            producer.store(self.written, Ordering::Release);
        }
    }

    /// True when the driver sleeps and must be woken to see the ring.
    #[inline]
    pub(super) fn wants_wakeup(&self) -> bool {
        let flags = self.shared.word(self.shared.offsets.flags);
        flags.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// Frames the kernel has filled.
#[derive(Debug)]
pub(super) struct ReceiveRing {
    shared: Shared<libc::xdp_desc>,
    read: u32,
}

impl ReceiveRing {
    pub(super) fn map(
        fd: RawFd,
        cell_count: u32,
        offsets: &libc::xdp_mmap_offsets,
    ) -> io::Result<Self> {
        let at = libc::XDP_PGOFF_RX_RING as u64;
        Ok(Self {
            shared: Shared::map(fd, cell_count, at, &offsets.rx)?,
            read: 0,
        })
    }

    /// How many there are to read.
    #[inline]
    pub(super) fn waiting_count(&self) -> u32 {
        let producer = self.shared.word(self.shared.offsets.producer);
        producer.load(Ordering::Acquire).wrapping_sub(self.read)
    }

    /// Reads the next of those that [`ReceiveRing::waiting_count`] told of.
    #[inline]
    pub(super) fn read(&mut self) -> libc::xdp_desc {
        // SAFETY: the kernel has written the cell before it moved the producer, which the caller has seen, and does
        // not write it again before `release`.
        let cell = unsafe { self.shared.cell(self.read).read() };
        self.read = self.read.wrapping_add(1);
        cell
    }

    /// Gives the cells that were read back to the kernel.
    #[inline]
    pub(super) fn release(&mut self) {
        let consumer = self.shared.word(self.shared.offsets.consumer);
        consumer.store(self.read, Ordering::Release);
    }
}

/// Where the kernel put what, for the rings of one socket.
pub(super) fn offsets(fd: RawFd) -> io::Result<libc::xdp_mmap_offsets> {
    get(fd, libc::XDP_MMAP_OFFSETS)
}

/// Reads an option whose value is plain data. An older kernel may fill in less than the type's length.
pub(super) fn get<T: Copy>(fd: RawFd, name: i32) -> io::Result<T> {
    // SAFETY: only called for structures of `linux/if_xdp.h`, for which zero bytes are a value.
    let mut value: T = unsafe { zeroed() };
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is live and `len` bytes long.
    let answer = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_XDP,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    match answer {
        0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}
