//! Signing touches no heap, Rust's or C's.
//!
//! A Rust allocator that counts does not see what C asks for. This program defines the C names itself: the
//! linker binds AWS-LC's calls, Rust's system allocator and the C library's own to them.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::cell::Cell;
use std::ffi::c_void;
use std::hint::black_box;

use bundle::ladder::{Blank, Grid, Intents, LadderCapacity, RungLayout, Wanted};
use bundle::{RecentBlockhash, Signer, Signing, ThrowAway};
use shred_wire::Slot;

thread_local! {
    /// Needs no construction and no destructor, so that reading it cannot allocate.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    CALLS.set(CALLS.get() + 1);
}

// The same allocator under names that nothing overrides; the C library exports them for this purpose.
unsafe extern "C" {
    fn __libc_malloc(len: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, len: usize) -> *mut c_void;
    fn __libc_realloc(old: *mut c_void, len: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, len: usize) -> *mut c_void;
    fn __libc_free(old: *mut c_void);
}

// SAFETY of the six definitions: each has the C library's signature and passes its arguments on unchanged.
#[unsafe(no_mangle)]
extern "C" fn malloc(len: usize) -> *mut c_void {
    count();
    // SAFETY: any length is allowed.
    unsafe { __libc_malloc(len) }
}

#[unsafe(no_mangle)]
extern "C" fn calloc(items: usize, len: usize) -> *mut c_void {
    count();
    // SAFETY: any count and length are allowed.
    unsafe { __libc_calloc(items, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(old: *mut c_void, len: usize) -> *mut c_void {
    count();
    // SAFETY: `old` is the caller's, from this allocator.
    unsafe { __libc_realloc(old, len) }
}

#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(align: usize, len: usize) -> *mut c_void {
    count();
    // SAFETY: the allocator checks the alignment.
    unsafe { __libc_memalign(align, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: usize, len: usize) -> i32 {
    count();
    // SAFETY: the allocator checks the alignment; `out` is the caller's to write to.
    unsafe { *out = __libc_memalign(align, len) };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(old: *mut c_void) {
    count();
    // SAFETY: `old` is the caller's, from this allocator.
    unsafe { __libc_free(old) }
}

fn heap_calls_of(work: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

#[test]
fn signing_calls_no_heap() {
    let signer = throw_away();
    let message = vec![3u8; 1_232];
    for len in [0, 1, 400, 1_000, 1_232] {
        let calls = heap_calls_of(|| {
            black_box(signer.sign(black_box(&message[..len])));
        });
        assert_eq!(calls, 0, "{len} bytes");
    }
}

fn throw_away() -> Signer<ThrowAway> {
    Signer::from_seed(&[7; 32]).unwrap()
}

/// Goal: from the offer of a ladder to the handing back of its memory, the core asks for none and frees none.
#[test]
fn holding_and_releasing_a_ladder_calls_no_heap() {
    let mut signing = Signing::deterministic(throw_away());
    let signer = signing.ladder_signer();
    let capacity = LadderCapacity {
        sizes: 4,
        tips: 2,
        blockhashes: 1,
        transaction_len: 200,
    };
    let layout = RungLayout::new(200, 65..200, 1);
    let blockhashes = [RecentBlockhash {
        hash: [1; 32],
        slot: Slot(9),
    }];
    let grid = Grid {
        sizes: &[1, 2, 3, 4],
        tips: &[5, 6],
        blockhashes: &blockhashes,
    };
    let arm = |blank| {
        let render = |_: &_, out: &mut [u8]| -> Result<(), ()> {
            out.fill(1);
            Ok(())
        };
        signer.arm(blank, 1, &grid, &layout, render).unwrap()
    };
    let blanks = [Blank::new(capacity), Blank::new(capacity)];
    let mut ladders = Vec::new();
    for blank in blanks {
        let calls = heap_calls_of(|| ladders.push(arm(blank)));
        assert!(calls <= 1, "the vector's own, once: {calls}");
    }
    let wanted = Wanted {
        size_max: 3,
        size_min: 1,
        tip_min: 6,
        tip_max: 6,
        slot: Slot(10),
        blockhash_age_max: 5,
    };
    let (second, first) = (ladders.pop().unwrap(), ladders.pop().unwrap());
    let mut out = [0; 200];
    let mut retired = [None, None];
    let calls = heap_calls_of(|| {
        let mut held = Intents::default().hold(1).unwrap();
        assert!(held.renew(first).unwrap().is_none());
        retired[0] = held
            .renew(second)
            .unwrap()
            .map(|replaced| replaced.retire());
        let released = signing.release(held, &wanted).unwrap();
        out.copy_from_slice(released.bytes());
        retired[1] = Some(released.retire());
    });
    assert_eq!(calls, 0);
    assert!(retired.iter().all(Option::is_some));
    assert!(out[1..65] != [0; 64]);
}

#[cfg(feature = "armed-nonces")]
#[test]
fn signing_with_an_armed_nonce_calls_no_heap() {
    use bundle::armed::{ArmError, SeededEntropy, SnapshotsExcluded};
    use bundle::{TemplateIndex, Way};
    let proof = SnapshotsExcluded::irrelevant();
    let halves = Signing::armed(throw_away(), proof, SeededEntropy::new(1), &[&[3; 200]]);
    let (mut signing, mut arming) = match halves {
        Err(ArmError::MemoryUnprotected) => {
            eprintln!("skipped: this host locks no memory (ulimit -l)");
            return;
        }
        halves => halves.unwrap(),
    };
    while arming.poll().unwrap() != 0 {}
    let message = [3; 619];
    for _ in 0..3 {
        let calls = heap_calls_of(|| {
            let signed = signing.sign(black_box(&message), TemplateIndex(0));
            assert_eq!(signed.unwrap().1, Way::Armed);
        });
        assert_eq!(calls, 0);
    }
    while signing.sign(&message, TemplateIndex(0)).unwrap().1 == Way::Armed {}
    let calls = heap_calls_of(|| {
        let signed = signing.sign(black_box(&message), TemplateIndex(0));
        assert_eq!(signed.unwrap().1, Way::Deterministic, "dry");
    });
    assert_eq!(calls, 0);
}

/// Goal: the counter sees what the same library does through its other door, or the test above proves nothing.
#[test]
fn the_counter_sees_the_library_allocate() {
    let seed = [7u8; 32];
    let calls = heap_calls_of(|| {
        // SAFETY: the key is 32 readable bytes; the handle is freed once and not used after.
        unsafe {
            let key = aws_lc_sys::EVP_PKEY_new_raw_private_key(
                aws_lc_sys::EVP_PKEY_ED25519,
                core::ptr::null_mut(),
                seed.as_ptr(),
                seed.len(),
            );
            assert!(!key.is_null());
            aws_lc_sys::EVP_PKEY_free(key);
        }
    });
    assert!(calls >= 2, "{calls}");
    assert_eq!(heap_calls_of(|| drop(black_box(Box::new(1u8)))), 2);
}
