//! Counts this crate's tests' heap calls, thread by thread: hot threads make none after construction.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything to the system's allocator; counting touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

/// How many allocations and frees this thread made during `run`.
pub(crate) fn calls(run: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    run();
    CALLS.with(Cell::get) - before
}

#[test]
fn the_heap_is_counted() {
    assert_eq!(calls(|| drop(std::hint::black_box(Box::new(7)))), 2);
}
