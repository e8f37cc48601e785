//! Goal: the table is a map with least-recently-touched eviction that spares what is held.
//! Method: random operations against an obvious model, on few mints and a small table so that slots collide.
#![allow(clippy::unwrap_used)]

use market::{CurveTable, FeeSchedule, Launch, Mint, pump};
use proptest::prelude::*;
use shred_wire::{Nanos, Slot};

#[derive(Clone, Copy, Debug)]
enum Step {
    Launch(u8),
    Hold(u8, bool),
    Doubt(u8),
}

/// Most recent first; the flag says held.
#[derive(Default)]
struct Model(Vec<(u8, bool)>);

impl Model {
    fn launch(&mut self, mint: u8, capacity: usize) -> bool {
        if self.0.iter().any(|(known, _)| *known == mint) {
            return false;
        }
        if self.0.len() == capacity {
            let Some(oldest) = self.0.iter().rposition(|(_, held)| !held) else {
                return false;
            };
            self.0.remove(oldest);
        }
        self.0.insert(0, (mint, false));
        true
    }

    fn hold(&mut self, mint: u8, held: bool) {
        let Some(at) = self.0.iter().position(|(known, _)| *known == mint) else {
            return;
        };
        if self.0[at].1 != held {
            // Letting go counts as a touch; holding keeps the place, which no longer matters.
            self.0.remove(at);
            self.0.insert(0, (mint, held));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn behaves_as_the_model(
        capacity in 1usize..9,
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut table = CurveTable::new(capacity, seed, FeeSchedule::mainnet());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Launch(mint) => prop_assert_eq!(table.launch(&launch(mint, 1)), model.launch(mint, capacity)),
                Step::Hold(mint, held) => {
                    table.set_held(&Mint([mint; 32]), held);
                    model.hold(mint, held);
                }
                Step::Doubt(mint) => table.doubt(&Mint([mint; 32])),
            }
            prop_assert_eq!(table.len(), model.0.len());
            for mint in 0..24 {
                let known = model.0.iter().any(|(known, _)| *known == mint);
                prop_assert_eq!(table.get(&Mint([mint; 32])).is_some(), known, "mint {}", mint);
            }
            // A doubtful curve is replaced by its next launch, which the model does not know.
            if let Step::Doubt(mint) = step
                && table.get(&Mint([mint; 32])).is_some()
            {
                prop_assert!(table.launch(&launch(mint, 1)));
                let at = model.0.iter().position(|(known, _)| *known == mint).unwrap();
                let item = model.0.remove(at);
                model.0.insert(0, item);
            }
        }
    }
}

#[test]
fn a_coin_launched_again_later_starts_again_and_in_the_same_slot_does_not() {
    let mut table = CurveTable::new(4, 0, FeeSchedule::mainnet());
    assert!(table.launch(&launch(1, 5)));
    assert!(!table.launch(&launch(1, 5)));
    assert!(table.launch(&launch(1, 6)));
    assert_eq!(table.counters().launch_repeated, 1);
    assert_eq!(table.get(&Mint([1; 32])).unwrap().launch_slot, Slot(6));
}

#[test]
fn doubt_reaches_every_curve_touched_from_the_slot_on_and_no_other() {
    let mut table = CurveTable::new(8, 0, FeeSchedule::mainnet());
    for mint in 1..=5 {
        table.launch(&launch(mint, u64::from(mint)));
    }
    assert_eq!(table.doubt_from(Slot(4)), 2);
    for mint in 1..=5 {
        assert_eq!(
            table.get(&Mint([mint; 32])).unwrap().tradable.is_ok(),
            mint < 4,
            "mint {mint}"
        );
    }
    assert_eq!(table.doubt_from(Slot(4)), 0, "doubted once");
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..24).prop_map(Step::Launch),
        2 => (0u8..24, any::<bool>()).prop_map(|(mint, held)| Step::Hold(mint, held)),
        1 => (0u8..24).prop_map(Step::Doubt),
    ]
}

fn launch(mint: u8, slot: u64) -> Launch {
    Launch {
        mint: Mint([mint; 32]),
        user: [2; 32],
        creator: [3; 32],
        bonding_curve: Some([4; 32]),
        associated_bonding_curve: Some([5; 32]),
        token_program: pump::TOKEN_2022_PROGRAM,
        quote_mint: Some(pump::WRAPPED_SOL),
        is_v2: true,
        mayhem: false,
        cashback: false,
        holder_reward: false,
        creator_fee_bps: None,
        dev_buy_follows: false,
        slot: Slot(slot),
        at: Nanos(1),
        signature: [6; 64],
    }
}
