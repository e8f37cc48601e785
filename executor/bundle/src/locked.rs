//! Pages of memory that are not swapped, not dumped, not inherited by a fork, and wiped before they are given
//! back.

use core::ptr::NonNull;

use zeroize::Zeroize;

/// A value on pages of its own, kept out of swap, core dumps and forked children as far as the host allows.
///
/// `mlock`, `MADV_DONTDUMP` and `MADV_WIPEONFORK` are best effort: a host that refuses them (a memory-lock
/// limit of zero) still gets a working value, and [`Locked::is_locked`] and [`Locked::is_wiped_on_fork`] say
/// so. The pages are wiped on drop. A forked child reads zeros where the parent has the value: `T` must be
/// such that zeros are one of its values.
pub(crate) struct Locked<T: Zeroize> {
    page: NonNull<T>,
    len: usize,
    locked: bool,
    wiped_on_fork: bool,
}

impl<T: Zeroize> Locked<T> {
    /// Moves `value` to a page of its own. A secret is better written there afterwards ([`Locked::get_mut`]): moving
    /// a value leaves copies of it on the stack.
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
        // SAFETY: as above; the mapping is private and anonymous, which the advice demands.
        let wiped_on_fork = unsafe { libc::madvise(page, len, libc::MADV_WIPEONFORK) == 0 };
        let page = NonNull::new(page.cast::<T>())
            .expect("mmap never maps the null page without MAP_FIXED");
        // SAFETY: the mapping is writable, long enough, and page-aligned, which satisfies any `T` here.
        unsafe { page.write(value) };
        Ok(Self {
            page,
            len,
            locked: locked && undumped,
            wiped_on_fork,
        })
    }

    /// Whether the host kept the page out of swap and core dumps.
    pub(crate) const fn is_locked(&self) -> bool {
        self.locked
    }

    /// Whether a forked child gets zeros in place of the value.
    #[cfg_attr(not(feature = "armed-nonces"), allow(dead_code))]
    pub(crate) const fn is_wiped_on_fork(&self) -> bool {
        self.wiped_on_fork
    }

    /// The value, to write a secret where it is to stay.
    pub(crate) const fn get_mut(&mut self) -> &mut T {
        // SAFETY: as for `get`, and `&mut self` forbids every other access.
        unsafe { self.page.as_mut() }
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

/// Words of the stack that [`scrub_stack`] overwrites: 16 KiB.
const SCRUBBED_WORDS: usize = 2_048;

/// Overwrites the part of the stack that the calls before it used: arithmetic on secrets leaves them there, in the
/// frames of libraries that do not wipe.
///
/// Covers what was called from where it is called; a secret in the caller's own frame stays. Cost: about a
/// microsecond.
#[inline(never)]
pub(crate) fn scrub_stack() {
    let mut words = [0u64; SCRUBBED_WORDS];
    words.zeroize();
    core::hint::black_box(&mut words);
}

fn page_len() -> usize {
    // SAFETY: `sysconf` reads a constant of the host.
    let len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(len).unwrap_or(4_096)
}

/// What a call leaves on the stack, for tests.
#[cfg(test)]
pub(crate) mod residue {
    #![allow(clippy::unwrap_used)]
    use std::ffi::c_void;

    const STACK_LEN: usize = 1 << 20;

    /// Runs `call` on a thread whose stack is a mapping of our own, and gives the bytes left in it.
    pub(crate) fn left_on_the_stack_by<F: FnOnce() + Send>(call: F) -> Vec<u8> {
        extern "C" fn run<F: FnOnce()>(call: *mut c_void) -> *mut c_void {
            // SAFETY: the pointer is to the option below, which outlives the thread and is used by it alone.
            let call = unsafe { &mut *call.cast::<Option<F>>() };
            call.take().unwrap()();
            core::ptr::null_mut()
        }
        let mut call = Some(call);
        // SAFETY: the mapping is fresh, is the thread's stack alone until it is joined, and is given back once; the
        // attributes are initialised before use.
        unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let stack = libc::mmap(core::ptr::null_mut(), STACK_LEN, access, flags, -1, 0);
            assert_ne!(stack, libc::MAP_FAILED);
            let mut attributes = core::mem::zeroed();
            assert_eq!(libc::pthread_attr_init(&raw mut attributes), 0);
            let set = libc::pthread_attr_setstack(&raw mut attributes, stack, STACK_LEN);
            assert_eq!(set, 0);
            let mut thread = core::mem::zeroed();
            let argument = (&raw mut call).cast();
            let created =
                libc::pthread_create(&raw mut thread, &raw const attributes, run::<F>, argument);
            assert_eq!(created, 0);
            assert_eq!(libc::pthread_join(thread, core::ptr::null_mut()), 0);
            libc::pthread_attr_destroy(&raw mut attributes);
            let bytes = core::slice::from_raw_parts(stack.cast::<u8>(), STACK_LEN).to_vec();
            libc::munmap(stack, STACK_LEN);
            bytes
        }
    }

    /// Whether `secret`, or its digits to base 16 as scalar multiplication recodes them, stands in `bytes`.
    pub(crate) fn holds(bytes: &[u8], secret: &[u8; 32]) -> bool {
        let mut digits = [0i8; 64];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(secret) {
            *pair = [(byte & 15) as i8, (byte >> 4) as i8];
        }
        let mut carry = 0;
        let (last, rest) = digits.split_last_mut().unwrap();
        for digit in rest {
            *digit += carry;
            carry = (*digit + 8) >> 4;
            *digit -= carry << 4;
        }
        *last += carry;
        let digits = digits.map(|digit| digit as u8);
        // Half of either is found too: it gives the rest away or leaves little to search.
        let parts = [&secret[..16], &secret[16..], &digits[..32], &digits[32..]];
        parts.iter().any(|part| {
            let mut windows = bytes.windows(part.len());
            windows.any(|window| window == *part)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Goal: the search finds what is there, and scrubbing is what removes it.
    #[test]
    fn what_a_call_leaves_is_found_until_it_is_scrubbed() {
        #[inline(never)]
        fn leave(secret: [u8; 32]) {
            let mut copies = [secret; 8];
            core::hint::black_box(&mut copies);
        }
        // Not a constant, which would be copied from elsewhere: made on the thread.
        let secret: [u8; 32] = core::array::from_fn(|at| 200 - at as u8);
        let left = residue::left_on_the_stack_by(|| leave(core::hint::black_box(secret)));
        assert!(residue::holds(&left, &secret));
        let boxed = Box::new(secret);
        let left = residue::left_on_the_stack_by(|| {
            leave_boxed(&boxed);
            scrub_stack();
        });
        assert!(!residue::holds(&left, &secret));

        #[inline(never)]
        fn leave_boxed(secret: &[u8; 32]) {
            leave(*core::hint::black_box(secret));
        }
    }

    #[test]
    fn the_value_is_kept_whole() {
        let locked = Locked::new([7u8; 64]).unwrap();
        assert_eq!(locked.get(), &[7; 64]);
        let sent = std::thread::spawn(move || locked.get()[63]).join().unwrap();
        assert_eq!(sent, 7);
    }

    /// What the host grants a page, asked without the code under test: locking, and wiping on fork.
    fn host_grants() -> (bool, bool) {
        let (len, access) = (page_len(), libc::PROT_READ | libc::PROT_WRITE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping, touched by nothing else, given back with its own length.
        unsafe {
            let page = libc::mmap(core::ptr::null_mut(), len, access, flags, -1, 0);
            assert_ne!(page, libc::MAP_FAILED);
            let grants = (
                libc::mlock(page, len) == 0,
                libc::madvise(page, len, libc::MADV_WIPEONFORK) == 0,
            );
            libc::munmap(page, len);
            grants
        }
    }

    #[test]
    fn what_the_host_grants_is_taken() {
        let locked = Locked::new([7u8; 64]).unwrap();
        let taken = (locked.is_locked(), locked.is_wiped_on_fork());
        assert_eq!(taken, host_grants());
    }

    #[test]
    fn a_forked_child_reads_zeros() {
        let locked = Locked::new([7u8; 64]).unwrap();
        if !host_grants().1 {
            eprintln!("skipped: this kernel does not wipe pages on fork (before 4.14)");
            return;
        }
        // SAFETY: the child only reads a page and leaves without running anything of the parent's.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let wiped = locked.get().iter().all(|byte| *byte == 0);
            // SAFETY: `_exit` ends the child at once.
            unsafe { libc::_exit(if wiped { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: `status` outlives the call, `child` is ours.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the child saw the parent's bytes");
        assert_eq!(locked.get(), &[7; 64], "the parent's are untouched");
    }
}
