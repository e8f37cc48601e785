//! An allocator that counts what watched threads ask of it.
//!
//! A binary makes it its own with `#[global_allocator]`; without that, nothing is counted, and
//! [`is_counting`] says so.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The system's allocator, watched.
pub struct Counting;

/// What watched threads asked for since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeapCalls {
    /// Allocations; a reallocation is one, and one free.
    pub allocations: u64,
    /// Frees.
    pub frees: u64,
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);
/// Lowered while watched threads wind down.
static COUNTING: AtomicBool = AtomicBool::new(true);

thread_local! {
    // Constant and without a destructor: reading it never allocates.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// From here on the calling thread is watched.
pub fn watch() {
    WATCHED.set(true);
}

/// From here on the calling thread is not watched.
pub fn unwatch() {
    WATCHED.set(false);
}

/// Whether the watched threads' calls are counted at all: lowered while they wind down.
pub fn count(counting: bool) {
    COUNTING.store(counting, Relaxed);
}

/// What watched threads asked for so far.
#[must_use]
pub fn calls() -> HeapCalls {
    HeapCalls {
        allocations: ALLOCATIONS.load(Relaxed),
        frees: FREES.load(Relaxed),
    }
}

/// Tries whether this process counts: one allocation and its free, on a thread of its own.
#[must_use]
pub fn is_counting() -> bool {
    // An earlier run may have left the counting lowered.
    let counting = COUNTING.swap(true, Relaxed);
    let before = calls();
    let tried = std::thread::spawn(|| {
        watch();
        drop(std::hint::black_box(Box::new(0u64)));
        unwatch();
    });
    let after = tried.join().map(|()| calls()).unwrap_or_default();
    COUNTING.store(counting, Relaxed);
    (after.allocations, after.frees) == (before.allocations + 1, before.frees + 1)
}

fn note(counter: &AtomicU64) {
    // A thread that is being torn down has no flag any more, and is not watched.
    if WATCHED.try_with(Cell::get) == Ok(true) && COUNTING.load(Relaxed) {
        counter.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(&ALLOCATIONS);
        // SAFETY: the caller's contract, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(&ALLOCATIONS);
        // SAFETY: the caller's contract, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        note(&ALLOCATIONS);
        note(&FREES);
        // SAFETY: the caller's contract, passed on.
        unsafe { System.realloc(old, layout, len) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        note(&FREES);
        // SAFETY: the caller's contract, passed on.
        unsafe { System.dealloc(old, layout) }
    }
}
