//! Memory shared with the kernel outside the arena: ring pages.

use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;

/// A readable and writable mapping. Says nothing about who may touch what: the rings' protocols do.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: an address range that belongs to no thread; its users answer for what they do with it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Zeroed pages of our own, touched.
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// `len` bytes of what `fd` offers at `offset`.
    pub(crate) fn shared(fd: RawFd, len: usize, offset: libc::off_t) -> io::Result<Self> {
        Self::map(len, libc::MAP_SHARED, fd, offset)
    }

    fn map(len: usize, flags: i32, fd: RawFd, offset: libc::off_t) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = flags | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, offset) };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { start, len }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Where it starts: page-aligned.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes mapped.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and its user is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
