//! After its first duty cycle the hot path asks the heap, the pager and (on the core) the kernel for nothing.
//!
//! A short form; `cargo run --release -p overmind-tests --bin hot_path` runs a million datagrams.

#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use overmind_tests::heap::{self, Counting};
use overmind_tests::hot_path::{Drive, Way, drive};
use overmind_tests::trap;
use shred_resolve::Policy;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The counters belong to the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[track_caller]
fn asks_for_nothing(policy: Policy, way: Way, verify_thread: bool) {
    let _alone = alone();
    let findings = drive(&Drive {
        datagrams: 60_000,
        seed: 1,
        policy,
        way,
        verify_thread,
    })
    .unwrap();
    println!("{}", findings.json());
    assert_eq!(
        findings.faults(),
        Vec::<String>::new(),
        "{}",
        findings.json()
    );
    assert!(findings.datagrams >= 60_000 && findings.lost > 1_000);
}

#[test]
fn verified_from_a_ring() {
    asks_for_nothing(Policy::VerifyThenEmit, Way::Ring, false);
}

#[test]
fn unverified_from_a_ring() {
    asks_for_nothing(Policy::EmitThenVerify, Way::Ring, false);
}

#[test]
fn verified_from_a_socket() {
    asks_for_nothing(Policy::VerifyThenEmit, Way::Udp, false);
}

#[test]
fn verified_with_signatures_elsewhere() {
    asks_for_nothing(Policy::VerifyThenEmit, Way::Ring, true);
}

#[test]
fn unverified_with_signatures_elsewhere() {
    asks_for_nothing(Policy::EmitThenVerify, Way::Ring, true);
}

#[test]
fn the_instruments_notice() {
    let _alone = alone();
    assert!(heap::is_counting());
    // Elsewhere the runs above say that they did not check.
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        trap::try_out().unwrap();
    }
}
