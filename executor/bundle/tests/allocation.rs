//! After construction the builder and the tracker touch no heap.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bundle::{
    BlockhashRule, BlockhashTracker, Builder, BuilderConfig, BundleCell, RecentBlockhash, Signer,
    WireVersion,
};
use market::{
    Lamports, LaunchLabAccounts, Mint, PumpAccounts, PumpSwapAccounts, RaydiumAmmAccounts,
    RaydiumCpAccounts, Side, TokenAmount, VenueAccounts,
};
use risk::{Approved, Control, Fill, Gate, Limits};
use shred_wire::{Nanos, Slot};
use strategy::{Intent, LaneClass, Origin, Venue};

/// Counts what this thread asks of the heap; other threads of the test harness do not disturb the count.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is being torn down has no counter any more, and nothing to measure.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is passed on unchanged to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's contract, passed on.
        unsafe { System.realloc(old, layout, len) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's contract, passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn heap_calls_of(work: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

fn accounts(mint: Mint, venue: Venue) -> VenueAccounts {
    let quote_mint = market::pump::WRAPPED_SOL;
    let token_program = market::pump::TOKEN_2022_PROGRAM;
    let (pool, base_vault, quote_vault) = ([0x21; 32], [0x22; 32], [0x23; 32]);
    match venue {
        Venue::PumpV3 | Venue::PumpV2 => PumpAccounts {
            mint,
            bonding_curve: pool,
            associated_bonding_curve: base_vault,
            token_program,
            quote_mint,
            creator: [0x33; 32],
            ..PumpAccounts::default()
        }
        .into(),
        Venue::PumpSwap => PumpSwapAccounts {
            mint,
            pool,
            base_vault,
            quote_vault,
            token_program,
            quote_mint,
        }
        .into(),
        Venue::RaydiumAmm => RaydiumAmmAccounts {
            mint,
            pool,
            coin_vault: base_vault,
            pc_vault: quote_vault,
            quote_mint,
        }
        .into(),
        Venue::RaydiumCp => RaydiumCpAccounts {
            mint,
            pool,
            amm_config: [0x24; 32],
            base_vault,
            quote_vault,
            token_program,
            quote_mint,
            observation: [0x25; 32],
        }
        .into(),
        Venue::LaunchLab => LaunchLabAccounts {
            mint,
            pool,
            global_config: [0x24; 32],
            platform_config: [0x25; 32],
            base_vault,
            quote_vault,
            token_program,
            quote_mint,
            platform_fee_vault: [0x26; 32],
            creator_fee_vault: [0x27; 32],
        }
        .into(),
    }
}

fn intent(id: u64, venue: Venue, side: Side, lane: LaneClass) -> Intent {
    let mint = Mint([id as u8 | 1; 32]);
    Intent {
        id,
        origin: Origin::Launch,
        venue,
        lane,
        side,
        mint,
        spend: Lamports(if side == Side::Buy { 1_000_000 } else { 0 }),
        tokens: TokenAmount(1_000),
        receive_min: Lamports(if side == Side::Buy { 0 } else { 1 }),
        tip: Lamports(10_000),
        slot: Slot(1),
        at: Nanos(1),
        accounts: accounts(mint, venue),
    }
}

/// Passes the gate, as everything must that becomes bytes.
fn approved(intent: Intent) -> Approved {
    let limits = Limits::default();
    let control = Arc::new(Control::new(risk::Mode::Active));
    let mut gate = Gate::new(limits, control).unwrap();
    if intent.side == Side::Sell {
        assert!(gate.adopt(
            intent.mint,
            1,
            Fill {
                tokens: intent.tokens,
                quote: Lamports(1)
            }
        ));
    }
    gate.check(intent, Nanos(1)).unwrap()
}

#[test]
fn a_build_does_not_allocate() {
    let blockhash = RecentBlockhash {
        hash: [9; 32],
        slot: Slot(1),
    };
    for version in [WireVersion::V0, WireVersion::V1] {
        let config = BuilderConfig {
            version,
            dont_front: version == WireVersion::V1,
            slot_guard_slots: Some(4),
            wallet_floor: Some(Lamports(1)),
            ..BuilderConfig::default()
        };
        let mut builder = Builder::new(&config, Signer::from_seed(&[1; 32]).unwrap()).unwrap();
        let mut cell = BundleCell::new();
        let lanes = [
            LaneClass::PrivateBundle,
            LaneClass::PriorityBundle,
            LaneClass::PrivateTransaction,
        ];
        for (venue, side, lane) in Venue::ALL
            .into_iter()
            .flat_map(|venue| [(venue, Side::Buy), (venue, Side::Sell)])
            .flat_map(|(venue, side)| lanes.map(|lane| (venue, side, lane)))
        {
            // Twice the same coin: its addresses derived, then remembered.
            for _ in 0..2 {
                let first = approved(intent(3, venue, side, lane));
                let next = approved(intent(5, venue, side, lane));
                let accounts = first.accounts;
                let calls = heap_calls_of(|| {
                    builder.build(&first, &blockhash, &mut cell).unwrap();
                    if lane.is_bundle() {
                        builder.append(&next, &blockhash, &mut cell).unwrap();
                    }
                    builder.prepare_exit(venue, &accounts).unwrap();
                });
                assert_eq!(calls, 0, "{version:?} {venue:?} {side:?} {lane:?}");
                assert_eq!(cell.count(), 1 + usize::from(lane.is_bundle()));
            }
        }
    }
}

#[test]
fn the_tracker_does_not_allocate_once_built() {
    let mut tracker = BlockhashTracker::new(BlockhashRule::default());
    let calls = heap_calls_of(|| {
        for slot in 1..2_000 {
            tracker.block(Slot(slot), Slot(slot - 1), &[slot as u8; 32], true);
            if slot % 7 == 0 {
                tracker.retract(Slot(slot));
            }
        }
    });
    assert_eq!(calls, 0);
    assert!(tracker.usable().is_some());
}

/// Goal: the counter counts, or the tests above prove nothing.
#[test]
fn the_counter_sees_an_allocation() {
    assert_eq!(
        heap_calls_of(|| drop(std::hint::black_box(Box::new(1u8)))),
        2
    );
}
