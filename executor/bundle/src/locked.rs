//! One page of memory that is not swapped, not dumped, and wiped before it is given back.

use core::ptr::NonNull;

use zeroize::Zeroize;

/// A value on a page of its own, kept out of swap and core dumps as far as the host allows.
///
/// `mlock` and `MADV_DONTDUMP` are best effort: a host that refuses them (a memory-lock limit of zero) still
/// gets a working value, and [`Locked::is_locked`] says so. The page is wiped on drop.
pub(crate) struct Locked<T: Zeroize> {
    page: NonNull<T>,
    len: usize,
    locked: bool,
}

impl<T: Zeroize> Locked<T> {
    /// Moves `value` to a page of its own. The caller's copy of the bytes is the caller's to wipe.
    ///
    /// # Errors
    /// When the host gives no page.
    pub(crate) fn new(value: T) -> std::io::Result<Self> {
        let len = page_len().max(size_of::<T>()).next_multiple_of(page_len());
        // SAFETY: an anonymous private mapping touches no existing memory; the result is checked below.
        let page = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: `page..page + len` is the mapping made above, and nothing else refers to it.
        let locked = unsafe { libc::mlock(page, len) == 0 };
        // SAFETY: as above. Failure leaves the page dumpable, which `is_locked` does not hide.
        let undumped = unsafe { libc::madvise(page, len, libc::MADV_DONTDUMP) == 0 };
        let page = NonNull::new(page.cast::<T>())
            .expect("mmap never maps the null page without MAP_FIXED");
        // SAFETY: the mapping is writable, long enough, and page-aligned, which satisfies any `T` here.
        unsafe { page.write(value) };
        Ok(Self {
            page,
            len,
            locked: locked && undumped,
        })
    }

    /// Whether the host kept the page out of swap and core dumps.
    pub(crate) const fn is_locked(&self) -> bool {
        self.locked
    }

    /// The value.
    #[inline]
    pub(crate) const fn get(&self) -> &T {
        // SAFETY: `page` holds an initialised `T` from construction to drop, and `&self` forbids writes.
        unsafe { self.page.as_ref() }
    }
}

impl<T: Zeroize> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: the value is initialised and `&mut self` is the only access to it; after the wipe its own
        // drop runs once and the mapping is given back with the length it was made with.
        unsafe {
            self.page.as_mut().zeroize();
            self.page.drop_in_place();
            libc::munmap(self.page.as_ptr().cast(), self.len);
        }
    }
}

// SAFETY: `Locked` owns its page alone, as a box would.
unsafe impl<T: Zeroize + Send> Send for Locked<T> {}
// SAFETY: shared access only hands out `&T`.
unsafe impl<T: Zeroize + Sync> Sync for Locked<T> {}

fn page_len() -> usize {
    // SAFETY: `sysconf` reads a constant of the host.
    let len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(len).unwrap_or(4_096)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_value_is_kept_whole() {
        let locked = Locked::new([7u8; 64]).unwrap();
        assert_eq!(locked.get(), &[7; 64]);
        let sent = std::thread::spawn(move || locked.get()[63]).join().unwrap();
        assert_eq!(sent, 7);
    }
}
