#![allow(clippy::unwrap_used)]
use std::collections::HashSet;

use ed25519_dalek::{Signature, VerifyingKey};
use proptest::prelude::*;

use super::*;
use crate::signer::{Signer, ThrowAway};
use crate::signing::Signing;

const CAPACITY: LadderCapacity = LadderCapacity {
    sizes: 4,
    tips: 3,
    blockhashes: 3,
    transaction_len: 200,
};

fn layout() -> RungLayout {
    RungLayout::new(150, 65..150, 1)
}

fn signing() -> Signing {
    Signing::deterministic(Signer::<ThrowAway>::from_seed(&[5; 32]).unwrap())
}

fn blockhash(slot: u64) -> RecentBlockhash {
    RecentBlockhash {
        hash: [slot as u8; 32],
        slot: Slot(slot),
    }
}

/// A transaction of which the terms can be read back.
fn render(terms: &RungTerms, out: &mut [u8]) -> Result<(), ()> {
    out.fill(0xcc);
    out[65..73].copy_from_slice(&terms.size.to_le_bytes());
    out[73..81].copy_from_slice(&terms.tip.to_le_bytes());
    out[81..89].copy_from_slice(&terms.blockhash.slot.0.to_le_bytes());
    out[89..121].copy_from_slice(&terms.blockhash.hash);
    Ok(())
}

fn arm(signing: &Signing, intent_id: u64, sizes: &[u64], tips: &[u64], slots: &[u64]) -> Ladder {
    let blockhashes: Vec<_> = slots.iter().map(|slot| blockhash(*slot)).collect();
    let grid = Grid {
        sizes,
        tips,
        blockhashes: &blockhashes,
    };
    signing
        .ladder_signer()
        .arm(Blank::new(CAPACITY), intent_id, &grid, &layout(), render)
        .map_err(|(_, error)| error)
        .unwrap()
}

const ANY: Wanted = Wanted {
    size_max: u64::MAX,
    size_min: 0,
    tip_min: 0,
    tip_max: u64::MAX,
    slot: Slot(100),
    blockhash_age_max: 50,
};

fn held(signing: &Signing) -> Held {
    let mut held = Intents::default().hold(7).unwrap();
    let ladder = arm(signing, 7, &[10, 20, 40], &[1, 5], &[99, 90, 60]);
    assert!(held.renew(ladder).unwrap().is_none());
    held
}

fn terms_of(bytes: &[u8]) -> (u64, u64, u64) {
    let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    (word(65), word(73), word(81))
}

#[track_caller]
fn verify(signing: &Signing, released: &Released) {
    let bytes = released.bytes();
    VerifyingKey::from_bytes(signing.public_key())
        .unwrap()
        .verify_strict(
            &bytes[released.layout().message.clone()],
            &Signature::from_slice(&bytes[1..65]).unwrap(),
        )
        .unwrap();
}

#[test]
fn the_smallest_size_and_tip_and_the_newest_blockhash_that_serve_are_chosen() {
    let cases = [
        (ANY, (10, 1, 99)),
        (
            Wanted {
                size_min: 11,
                ..ANY
            },
            (20, 1, 99),
        ),
        (
            Wanted {
                size_max: 20,
                size_min: 20,
                ..ANY
            },
            (20, 1, 99),
        ),
        (Wanted { tip_min: 2, ..ANY }, (10, 5, 99)),
        (
            Wanted {
                tip_min: 5,
                tip_max: 5,
                ..ANY
            },
            (10, 5, 99),
        ),
        // A block the trigger's slot does not know yet.
        (
            Wanted {
                slot: Slot(95),
                ..ANY
            },
            (10, 1, 99),
        ),
    ];
    for (wanted, expected) in cases {
        let mut signing = signing();
        let held = held(&signing);
        let peeked = held.peek(&wanted).unwrap();
        let released = signing.release(held, &wanted).unwrap();
        assert_eq!(terms_of(released.bytes()), expected, "{wanted:?}");
        let terms = released.terms();
        assert_eq!(peeked, terms);
        assert_eq!((terms.size, terms.tip, terms.blockhash.slot.0), expected);
        assert_eq!(released.intent_id(), 7);
        verify(&signing, &released);
    }
}

#[test]
fn a_retracted_block_is_passed_over() {
    let mut signing = signing();
    let mut held = held(&signing);
    held.retract(Slot(99));
    held.retract(Slot(1));
    let released = signing.release(held, &ANY).unwrap();
    assert_eq!(terms_of(released.bytes()), (10, 1, 90));
}

/// Goal: a ladder signed before the retraction was known, which arrives after it.
#[test]
fn a_block_stays_retracted_in_the_ladders_that_come_later() {
    let mut signing = signing();
    let mut held = Intents::default().hold(7).unwrap();
    held.retract(Slot(90));
    let ladder = arm(&signing, 7, &[10], &[1], &[91, 90, 60]);
    assert!(held.renew(ladder).unwrap().is_none());
    held.retract(Slot(91));
    let renewed = arm(&signing, 7, &[10], &[1], &[92, 91, 60]);
    assert!(held.renew(renewed).unwrap().is_some());
    held.retract(Slot(92));
    let released = signing.release(held, &ANY).unwrap();
    assert_eq!(terms_of(released.bytes()), (10, 1, 60));
}

/// Goal: a fault or a nonce seen twice stops the signing thread too, even between two rungs.
#[test]
fn nothing_is_signed_ahead_once_halted() {
    // A key of its own: it stays halted as long as this process lives.
    let signer = Signer::<ThrowAway>::from_seed(&[212; 32]).unwrap();
    let signing = Signing::deterministic(signer);
    let signer = signing.ladder_signer();
    let hashes = [blockhash(9)];
    let grid = Grid {
        sizes: &[1, 2],
        tips: &[1],
        blockhashes: &hashes,
    };
    let mut rendered = 0;
    let (blank, error) = signer
        .arm(Blank::new(CAPACITY), 1, &grid, &layout(), |terms, out| {
            rendered += 1;
            signing.halt_for_test(Halted::VerificationFailed);
            render(terms, out)
        })
        .unwrap_err();
    assert_eq!(error, ArmLadderError::Halted(Halted::VerificationFailed));
    assert_eq!(rendered, 1);
    assert!(blank.0.bytes.iter().all(|byte| *byte == 0));
}

#[test]
fn when_nothing_serves_everything_comes_back() {
    let mut signing = signing();
    let refusals = [
        (Wanted { size_max: 9, ..ANY }, NoRung::Size),
        (
            Wanted {
                size_max: 39,
                size_min: 21,
                ..ANY
            },
            NoRung::Size,
        ),
        (
            Wanted {
                size_min: 41,
                ..ANY
            },
            NoRung::Size,
        ),
        (Wanted { tip_min: 6, ..ANY }, NoRung::Tip),
        (
            Wanted {
                tip_min: 2,
                tip_max: 4,
                ..ANY
            },
            NoRung::Tip,
        ),
        (
            Wanted {
                slot: Slot(150),
                ..ANY
            },
            NoRung::Blockhash,
        ),
    ];
    let mut held = held(&signing);
    for (wanted, why) in refusals {
        let wanted = Wanted {
            blockhash_age_max: 50,
            ..wanted
        };
        assert_eq!(held.peek(&wanted), Err(why));
        let refused = signing.release(held, &wanted).unwrap_err();
        assert_eq!(refused.why, why, "{wanted:?}");
        held = refused.held;
    }
    assert!(signing.release(held, &ANY).is_ok());
    let empty = Intents::default().hold(1).unwrap();
    assert_eq!(
        signing.release(empty, &ANY).unwrap_err().why,
        NoRung::NoLadder
    );
    assert_eq!(signing.counts(), &[0, 1, 0]);
}

#[test]
fn an_intent_is_held_once() {
    let mut intents = Intents::default();
    assert!(intents.hold(3).is_some());
    assert!(intents.hold(3).is_none());
    assert!(intents.hold(2).is_none());
    assert_eq!(intents.hold(4).unwrap().intent_id(), 4);
    assert!(intents.hold(u64::MAX).is_none(), "no number comes after");
}

#[test]
fn only_a_newer_ladder_of_the_same_intent_replaces() {
    let signing = signing();
    let mut held = held(&signing);
    let foreign = arm(&signing, 8, &[1], &[1], &[200]);
    assert_eq!(held.renew(foreign).unwrap_err().intent_id(), 8);
    let older = arm(&signing, 7, &[1], &[1], &[98]);
    assert!(held.renew(older).is_err());
    let newer = arm(&signing, 7, &[1], &[1], &[100]);
    let replaced = held.renew(newer).unwrap().unwrap();
    assert_eq!(replaced.newest_slot(), Slot(99));
    assert_eq!(held.forgo().unwrap().0.intent_id, 7);
}

#[test]
fn a_retired_ladder_is_wiped_and_used_again() {
    let mut signing = signing();
    let released = signing.release(held(&signing), &ANY).unwrap();
    let blank = released.retire().wipe();
    assert!(blank.0.bytes.iter().all(|byte| *byte == 0));
    let hashes = [blockhash(1)];
    let grid = Grid {
        sizes: &[1],
        tips: &[1],
        blockhashes: &hashes,
    };
    let again = signing
        .ladder_signer()
        .arm(blank, 9, &grid, &layout(), render)
        .map_err(|(_, error)| error)
        .unwrap();
    assert_eq!((again.intent_id(), again.newest_slot()), (9, Slot(1)));
    assert_eq!(again.0.sizes.as_slice(), [1]);
}

#[test]
fn grids_that_do_not_fit_are_refused() {
    let signer = signing().ladder_signer();
    let hashes = [blockhash(9), blockhash(8)];
    let swapped = [blockhash(8), blockhash(9)];
    let base = Grid {
        sizes: &[1, 2],
        tips: &[1],
        blockhashes: &hashes,
    };
    let refuse = |grid: &Grid<'_>, layout: &RungLayout| {
        let (blank, error) = signer
            .arm(Blank::new(CAPACITY), 1, grid, layout, render)
            .unwrap_err();
        assert!(blank.0.bytes.iter().all(|byte| *byte == 0));
        error
    };
    let tips: [u64; TIP_COUNT_MAX + 1] = core::array::from_fn(|tip| tip as u64);
    let wide = LadderCapacity {
        tips: tips.len(),
        ..CAPACITY
    };
    let many = Grid {
        tips: &tips,
        ..base
    };
    let (_, error) = signer
        .arm(Blank::new(wide), 1, &many, &layout(), render)
        .unwrap_err();
    assert_eq!(
        error,
        ArmLadderError::TooLarge,
        "whatever the blank could hold"
    );
    let too_large = [
        Grid {
            sizes: &[1, 2, 3, 4, 5],
            ..base
        },
        Grid {
            tips: &[1, 2, 3, 4],
            ..base
        },
    ];
    for grid in &too_large {
        assert_eq!(refuse(grid, &layout()), ArmLadderError::TooLarge);
    }
    let disordered = [
        Grid {
            sizes: &[2, 1],
            ..base
        },
        Grid {
            tips: &[1, 1],
            ..base
        },
        Grid { sizes: &[], ..base },
        Grid {
            blockhashes: &swapped,
            ..base
        },
        Grid {
            blockhashes: &[],
            ..base
        },
    ];
    for grid in &disordered {
        assert_eq!(refuse(grid, &layout()), ArmLadderError::Disordered);
    }
    let layouts = [
        RungLayout {
            len: 201,
            ..layout()
        },
        RungLayout {
            message: 65..151,
            ..layout()
        },
        RungLayout {
            signature_at: 87,
            ..layout()
        },
        RungLayout {
            signature_at: usize::MAX,
            ..layout()
        },
        // What is signed must not hold the signature: other bytes would leave than were signed.
        RungLayout {
            signature_at: 70,
            ..layout()
        },
        RungLayout {
            signature_at: 2,
            ..layout()
        },
    ];
    for layout in &layouts {
        assert_eq!(refuse(&base, layout), ArmLadderError::TooLarge);
    }
    let unrendered = signer
        .arm(Blank::new(CAPACITY), 1, &base, &layout(), |terms, _| {
            Err(terms.size)
        })
        .unwrap_err()
        .1;
    assert_eq!(unrendered, ArmLadderError::Unrendered(1));
}

/// Goal: the way of `ladder`'s drawing on two threads: ladders come renewed, used memory goes back, and what arrives
/// after the release is not released.
#[test]
fn ladders_are_renewed_from_another_thread() {
    let mut signing = signing();
    let signer = signing.ladder_signer();
    let (to_core, ladders) = std::sync::mpsc::sync_channel::<Ladder>(1);
    let (to_signer, memory) = std::sync::mpsc::channel::<Retired>();
    for _ in 0..3 {
        let blank = Blank::new(CAPACITY);
        to_signer.send(Retired(blank.0)).unwrap();
    }
    let released = std::thread::scope(|scope| {
        scope.spawn(move || {
            for slot in 1..200 {
                let Ok(used) = memory.recv() else { return };
                let hashes = [blockhash(slot)];
                let grid = Grid {
                    sizes: &[10, 20],
                    tips: &[1],
                    blockhashes: &hashes,
                };
                let ladder = signer
                    .arm(used.wipe(), 7, &grid, &layout(), render)
                    .unwrap();
                if to_core.send(ladder).is_err() {
                    return;
                }
            }
        });
        let mut held = Intents::default().hold(7);
        let mut released = Vec::new();
        for (turn, ladder) in ladders.iter().enumerate() {
            let Some(mut waiting) = held.take() else {
                // Too late: its intent is done.
                let _ = to_signer.send(ladder.retire());
                continue;
            };
            if let Some(replaced) = waiting.renew(ladder).unwrap() {
                // The signing thread may have made its last ladder.
                let _ = to_signer.send(replaced.retire());
            }
            if turn == 99 {
                let rung = signing.release(waiting, &ANY).unwrap();
                verify(&signing, &rung);
                released.push(terms_of(rung.bytes()));
                let _ = to_signer.send(rung.retire());
            } else {
                held = Some(waiting);
            }
        }
        released
    });
    assert_eq!(released, [(10, 1, 100)]);
}

/// What can happen to the ladders of a handful of intents.
#[derive(Clone, Debug)]
enum Step {
    Hold(u64),
    Renew { intent: u64, slot: u64 },
    Retract { intent: u64, slot: u64 },
    Release { intent: u64, wanted: Wanted },
    Forgo(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let wanted = (0u64..60, 0u64..30, 0u64..8, 0u64..40, 0u32..30).prop_map(
        |(size_max, size_min, tip_min, slot, blockhash_age_max)| Wanted {
            size_max,
            size_min,
            tip_min,
            tip_max: 6,
            slot: Slot(slot),
            blockhash_age_max,
        },
    );
    prop_oneof![
        (0u64..5).prop_map(Step::Hold),
        (0u64..5, 2u64..30).prop_map(|(intent, slot)| Step::Renew { intent, slot }),
        (0u64..5, 0u64..30).prop_map(|(intent, slot)| Step::Retract { intent, slot }),
        (0u64..5, wanted).prop_map(|(intent, wanted)| Step::Release { intent, wanted }),
        (0u64..5).prop_map(Step::Forgo),
    ]
}

const SIZES: [u64; 3] = [10, 20, 40];
const TIPS: [u64; 2] = [1, 5];

/// The choice said in another way: of all rungs that serve, the best by blockhash, size and tip.
fn best(slots: &[u64], retracted: &[u64], wanted: &Wanted) -> Option<(u64, u64, u64)> {
    let sizes = SIZES
        .into_iter()
        .filter(|size| (wanted.size_min..=wanted.size_max).contains(size));
    let tips = TIPS
        .into_iter()
        .filter(|tip| (wanted.tip_min..=wanted.tip_max).contains(tip));
    let slot = slots
        .iter()
        .filter(|slot| !retracted.contains(slot))
        .filter(|slot| **slot + u64::from(wanted.blockhash_age_max) >= wanted.slot.0)
        .max()?;
    Some((sizes.min()?, tips.min()?, *slot))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Goal: whatever happens, one intent releases one rung at most, and the right one.
    #[test]
    fn no_interleaving_releases_two_rungs_of_one_intent(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut signing = signing();
        let mut intents = Intents::default();
        let mut held: Vec<Option<Held>> = (0..5).map(|_| None).collect();
        let mut slots: Vec<Vec<u64>> = vec![Vec::new(); 5];
        let mut retracted: Vec<Vec<u64>> = vec![Vec::new(); 5];
        let mut released = HashSet::new();
        for step in steps {
            match step {
                Step::Hold(intent) => {
                    if let Some(fresh) = intents.hold(intent) {
                        held[intent as usize] = Some(fresh);
                    }
                }
                Step::Renew { intent, slot } => {
                    let at = intent as usize;
                    let newest = slots[at].first().copied().unwrap_or(0);
                    let ladder = arm(&signing, intent, &SIZES, &TIPS, &[slot, slot - 1]);
                    if let Some(held) = &mut held[at] {
                        let taken = held.renew(ladder).is_ok();
                        prop_assert_eq!(taken, slot >= newest);
                        if taken {
                            slots[at] = vec![slot, slot - 1];
                            let known = retracted[at].len();
                            retracted[at].drain(..known.saturating_sub(RETRACTED_LEN));
                        }
                    }
                }
                Step::Retract { intent, slot } => {
                    if let Some(held) = &mut held[intent as usize] {
                        held.retract(Slot(slot));
                        retracted[intent as usize].push(slot);
                    }
                }
                Step::Release { intent, wanted } => {
                    let at = intent as usize;
                    let Some(taken) = held[at].take() else { continue };
                    let expected = best(&slots[at], &retracted[at], &wanted);
                    match signing.release(taken, &wanted) {
                        Ok(rung) => {
                            prop_assert_eq!(Some(terms_of(rung.bytes())), expected);
                            prop_assert_eq!(rung.intent_id(), intent);
                            verify(&signing, &rung);
                            prop_assert!(released.insert(intent), "a second rung of {}", intent);
                        }
                        Err(refused) => {
                            prop_assert_eq!(expected, None);
                            held[at] = Some(refused.held);
                        }
                    }
                }
                Step::Forgo(intent) => {
                    if let Some(held) = held[intent as usize].take() {
                        let _ = held.forgo();
                        // A rung may not follow: the intent was signed another way.
                        released.insert(intent);
                    }
                }
            }
        }
        prop_assert!(signing.counts()[1] as usize <= released.len());
    }
}
