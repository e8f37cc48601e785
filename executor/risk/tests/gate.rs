//! Goal: no sequence of intents, fills and releases gets past a limit, and each limit is reachable.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use market::{Lamports, Mint, PumpAccounts, Side, TokenAmount};
use proptest::prelude::*;
use risk::{Control, Disabled, Fill, Gate, LimitError, Limits, Mode, Refusal, Reservation};
use shred_wire::{Nanos, Slot};
use strategy::{Intent, LaneClass, Origin, Venue};

const LIMITS: Limits = Limits {
    per_trade_max: Lamports(100),
    open_notional_max: Lamports(250),
    tip_max: Lamports(10),
    positions_max: 3,
    entries_per_window_max: 4,
    exits_per_window_max: 4,
    window: Nanos(1_000),
};

#[test]
fn each_limit_has_its_refusal_and_its_last_allowed_value() {
    check(&mut gate(), buy(1, 90, 10), Ok(()));
    check(&mut gate(), buy(1, 91, 10), Err(Refusal::PerTradeNotional));
    check(&mut gate(), buy(1, 89, 11), Err(Refusal::TipCap));
    check(&mut gate(), buy(1, 0, 1), Err(Refusal::ZeroAmount));
    check(
        &mut gate(),
        Intent {
            tokens: TokenAmount(0),
            ..buy(1, 10, 1)
        },
        Err(Refusal::NoMinimum),
    );
    check(&mut gate(), sell(1, 10), Err(Refusal::NothingToExit));

    let mut busy = gate();
    check(&mut busy, buy(1, 100, 0), Ok(()));
    check(&mut busy, buy(1, 1, 0), Err(Refusal::DuplicateEntry));
    check(&mut busy, buy(2, 100, 0), Ok(()));
    check(&mut busy, buy(3, 51, 0), Err(Refusal::OpenNotional));
    check(&mut busy, buy(3, 50, 0), Ok(()));
    check(&mut busy, sell(1, 10), Err(Refusal::NothingToExit));

    let mut crowded = gate();
    for mint in 1..=3 {
        check(&mut crowded, buy(mint, 1, 0), Ok(()));
    }
    check(&mut crowded, buy(4, 1, 0), Err(Refusal::PositionsMax));
}

/// Goal: nothing is entered on a disabled venue, whatever is held there may be left, and other venues go on.
#[test]
fn a_disabled_venue_refuses_entries_and_lets_exits_through() {
    let mut gate = gate();
    let filled = Fill {
        tokens: TokenAmount(100),
        quote: Lamports(40),
    };
    let entry = take(&mut gate, buy(1, 50, 5), 0);
    assert!(gate.settle(entry, filled));
    let venue = buy(1, 50, 5).venue;
    assert!(gate.disable_venue(venue, Disabled::ProgramChanged));
    check(&mut gate, buy(2, 50, 5), Err(Refusal::VenueDisabled));
    let elsewhere = Intent {
        venue: Venue::RaydiumCp,
        ..buy(2, 50, 5)
    };
    assert_ne!(elsewhere.venue, venue);
    check(&mut gate, elsewhere, Ok(()));
    check(&mut gate, sell(1, 100), Ok(()));
    let refused = gate.counters().refused[Refusal::VenueDisabled as usize];
    assert_eq!(refused, 1);
}

#[test]
fn a_holding_is_left_once_and_not_by_more_than_is_held() {
    let mut gate = gate();
    let entry = take(&mut gate, buy(1, 50, 5), 0);
    assert!(gate.settle(
        entry,
        Fill {
            tokens: TokenAmount(100),
            quote: Lamports(40)
        }
    ));
    assert_eq!(
        gate.open_notional(),
        Lamports(40),
        "risked is what was spent"
    );
    check(&mut gate, sell(1, 101), Err(Refusal::ExitExceedsHolding));
    check(
        &mut gate,
        Intent {
            receive_min: Lamports(0),
            ..sell(1, 100)
        },
        Err(Refusal::NoMinimum),
    );
    let exit = take(&mut gate, sell(1, 100), 0);
    check(&mut gate, sell(1, 100), Err(Refusal::DuplicateExit));
    gate.release(exit);
    let exit = take(&mut gate, sell(1, 100), 0);
    assert!(gate.settle(
        exit,
        Fill {
            tokens: TokenAmount(75),
            quote: Lamports(60)
        }
    ));
    assert_eq!(
        (gate.open_notional(), gate.exposures()[0].tokens),
        (Lamports(10), TokenAmount(25))
    );
    let rest = take(&mut gate, sell(1, 25), 0);
    assert!(gate.settle(
        rest,
        Fill {
            tokens: TokenAmount(25),
            quote: Lamports(20)
        }
    ));
    assert_eq!(
        (gate.open_notional(), gate.exposures().len()),
        (Lamports(0), 0)
    );
}

#[test]
fn the_switch_stops_entries_and_then_everything() {
    let control = Arc::new(Control::new(Mode::Active));
    let mut gate = Gate::new(LIMITS, Arc::clone(&control)).unwrap();
    let entry = take(&mut gate, buy(1, 50, 0), 0);
    assert!(gate.settle(
        entry,
        Fill {
            tokens: TokenAmount(10),
            quote: Lamports(50)
        }
    ));
    control.set(Mode::Reducing);
    check(&mut gate, buy(2, 1, 0), Err(Refusal::Reducing));
    let exit = take(&mut gate, sell(1, 10), 0);
    gate.release(exit);
    control.set(Mode::Halted);
    check(&mut gate, buy(2, 1, 0), Err(Refusal::Halted));
    check(&mut gate, sell(1, 10), Err(Refusal::Halted));
    control.set(Mode::Active);
    gate.halt();
    assert_eq!(control.mode(), Mode::Halted);
}

#[test]
fn rates_hold_over_any_stretch_and_releases_do_not_refund_them() {
    let mut gate = gate();
    for at in [0, 10, 20, 30] {
        let entry = take(&mut gate, buy(1, 1, 0), at);
        gate.release(entry);
    }
    assert_eq!(
        gate.check(buy(1, 1, 0), Nanos(999)).map(drop),
        Err(Refusal::EntryRate)
    );
    assert!(gate.check(buy(1, 1, 0), Nanos(1_000)).is_ok());
    assert_eq!(gate.counters().refused[Refusal::EntryRate as usize], 1);
}

#[test]
fn a_stale_reservation_cannot_touch_a_later_entry() {
    let mut gate = gate();
    let stale = take(
        &mut gate,
        Intent {
            id: 1,
            ..buy(1, 50, 0)
        },
        0,
    );
    gate.write_off(&Mint([1; 32]));
    let _kept = take(
        &mut gate,
        Intent {
            id: 2,
            ..buy(1, 60, 0)
        },
        0,
    );
    gate.release(stale);
    assert_eq!(
        (gate.open_notional(), gate.exposures().len()),
        (Lamports(60), 1)
    );
}

#[test]
fn what_lands_after_all_is_adopted_while_there_is_room() {
    let mut gate = gate();
    let fill = Fill {
        tokens: TokenAmount(5),
        quote: Lamports(240),
    };
    assert!(gate.adopt(Mint([9; 32]), 1, fill));
    assert!(!gate.adopt(Mint([9; 32]), 1, fill));
    check(&mut gate, buy(1, 11, 0), Err(Refusal::OpenNotional));
    check(&mut gate, sell(9, 5), Ok(()));
}

#[test]
fn senseless_limits_are_named() {
    let with = |change: fn(&mut Limits)| {
        let mut limits = LIMITS;
        change(&mut limits);
        Gate::new(limits, Arc::new(Control::new(Mode::Active))).map(drop)
    };
    assert_eq!(
        with(|limits| limits.positions_max = 0),
        Err(LimitError::Positions)
    );
    assert_eq!(
        with(|limits| limits.entries_per_window_max = 0),
        Err(LimitError::Rate)
    );
    assert_eq!(
        with(|limits| limits.window = Nanos(0)),
        Err(LimitError::Window)
    );
    assert_eq!(
        with(|limits| limits.per_trade_max = Lamports(251)),
        Err(LimitError::PerTradeAboveOpen)
    );
    let mut gate = gate();
    assert_eq!(
        gate.set_limits(Limits {
            positions_max: 4,
            ..LIMITS
        }),
        Err(LimitError::Positions)
    );
    assert_eq!(
        gate.set_limits(Limits {
            per_trade_max: Lamports(7),
            ..LIMITS
        }),
        Ok(())
    );
    check(&mut gate, buy(1, 8, 0), Err(Refusal::PerTradeNotional));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Buy {
        mint: u8,
        spend: u64,
        tip: u64,
    },
    Sell {
        mint: u8,
        tokens: u64,
    },
    Settle {
        which: usize,
        tokens: u64,
        share: u64,
    },
    Release {
        which: usize,
    },
}

proptest! {
    /// After every step: the total is the sum of its parts and, while fills keep to their reservation, within
    /// bounds; no coin stands twice; releasing everything leaves nothing.
    #[test]
    fn the_account_adds_up(steps in prop::collection::vec(step(), 0..120)) {
        let mut gate = gate();
        let mut out: Vec<Reservation> = Vec::new();
        for (now, step) in (0..).step_by(400).zip(steps) {
            match step {
                Step::Buy { mint, spend, tip } => out.extend(attempt(&mut gate, buy(mint, spend, tip), now)),
                Step::Sell { mint, tokens } => out.extend(attempt(&mut gate, sell(mint, tokens), now)),
                Step::Release { which } if !out.is_empty() => gate.release(out.swap_remove(which % out.len())),
                Step::Settle { which, tokens, share } if !out.is_empty() => {
                    let reservation = out.swap_remove(which % out.len());
                    let quote = Lamports(reservation.notional().0 * share / 100);
                    let fill = Fill { tokens: TokenAmount(tokens), quote };
                    prop_assert!(gate.settle(reservation, fill));
                }
                Step::Release { .. } | Step::Settle { .. } => {}
            }
            let sum: u64 = gate.exposures().iter().map(|exposure| exposure.notional.0).sum();
            prop_assert_eq!(gate.open_notional(), Lamports(sum));
            prop_assert!(sum <= LIMITS.open_notional_max.0);
            prop_assert!(gate.exposures().len() <= usize::from(LIMITS.positions_max));
            let mut mints: Vec<Mint> = gate.exposures().iter().map(|exposure| exposure.mint).collect();
            mints.sort();
            mints.dedup();
            prop_assert_eq!(mints.len(), gate.exposures().len());
        }
        out.into_iter().for_each(|reservation| gate.release(reservation));
        prop_assert!(gate.exposures().iter().all(|exposure| exposure.held && exposure.exit_intent.is_none()));
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u8..6, 0u64..130, 0u64..14).prop_map(|(mint, spend, tip)| Step::Buy { mint, spend, tip }),
        (1u8..6, 0u64..12).prop_map(|(mint, tokens)| Step::Sell { mint, tokens }),
        (any::<usize>(), 1u64..12, 0u64..=100).prop_map(|(which, tokens, share)| Step::Settle {
            which,
            tokens,
            share
        }),
        any::<usize>().prop_map(|which| Step::Release { which }),
    ]
}

fn gate() -> Gate {
    Gate::new(LIMITS, Arc::new(Control::new(Mode::Active))).unwrap()
}

#[track_caller]
fn check(gate: &mut Gate, intent: Intent, expect: Result<(), Refusal>) {
    assert_eq!(gate.check(intent, Nanos(0)).map(drop), expect);
}

fn attempt(gate: &mut Gate, intent: Intent, now: u64) -> Option<Reservation> {
    Some(gate.check(intent, Nanos(now)).ok()?.into_reservation())
}

#[track_caller]
fn take(gate: &mut Gate, intent: Intent, now: u64) -> Reservation {
    attempt(gate, intent, now).unwrap()
}

fn buy(mint: u8, spend: u64, tip: u64) -> Intent {
    intent(
        mint,
        Side::Buy,
        Lamports(spend),
        TokenAmount(1),
        Lamports(0),
        Lamports(tip),
    )
}

fn sell(mint: u8, tokens: u64) -> Intent {
    intent(
        mint,
        Side::Sell,
        Lamports(0),
        TokenAmount(tokens),
        Lamports(1),
        Lamports(1),
    )
}

fn intent(
    mint: u8,
    side: Side,
    spend: Lamports,
    tokens: TokenAmount,
    receive_min: Lamports,
    tip: Lamports,
) -> Intent {
    let mint = Mint([mint; 32]);
    let accounts = PumpAccounts {
        mint,
        ..PumpAccounts::default()
    };
    let (origin, venue, lane) = (Origin::Launch, Venue::PumpV3, LaneClass::PrivateBundle);
    let (slot, at) = (Slot(1), Nanos(1));
    Intent {
        id: 7,
        origin,
        venue,
        lane,
        side,
        mint,
        spend,
        tokens,
        receive_min,
        tip,
        slot,
        at,
        accounts: accounts.into(),
    }
}
