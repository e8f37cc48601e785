//! Goal: the table is a map with least-recently-touched eviction that spares what is held.
//! Method: random operations against an obvious model, on few mints and a small table so that slots collide.

use market::event::ShownAccounts;
use market::pump::account::BondingCurve;
use market::{
    Amounts, Bps, Corrected, Curve, CurveTable, CurveTruth, FeeSchedule, FeedId, Form, Lamports,
    Launch, Lineage, Mint, Side, TokenAmount, Trade, Untradable, pump,
};
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
                Step::Launch(mint) => prop_assert_eq!(table.launch(&launch(mint, 1), &Lineage::new()), model.launch(mint, capacity)),
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
                prop_assert!(table.launch(&launch(mint, 1), &Lineage::new()));
                let at = model.0.iter().position(|(known, _)| *known == mint).unwrap();
                let item = model.0.remove(at);
                model.0.insert(0, item);
            }
        }
    }
}

#[test]
fn a_coin_launched_again_starts_again_only_on_another_fork() {
    let mut table = CurveTable::new(4, 0, FeeSchedule::mainnet());
    let mut lineage = Lineage::new();
    lineage.note(Slot(5), Slot(4));
    assert!(table.launch(&launch(1, 5), &lineage));
    assert!(!table.launch(&launch(1, 5), &lineage));
    // The creator holds the coin's key, and may send a second launch that fails: the curve would look fresh.
    lineage.note(Slot(6), Slot(5));
    assert!(!table.launch(&launch(1, 6), &lineage));
    assert_eq!(table.counters().launch_repeated, 2);
    lineage.note(Slot(7), Slot(4));
    assert!(table.launch(&launch(1, 7), &lineage));
    assert_eq!(table.get(&Mint([1; 32])).unwrap().launch_slot, Slot(7));
}

/// Shreds of a block's end and of the next one's beginning interleave.
#[test]
fn a_trade_of_the_block_before_that_comes_late_is_not_lost() {
    let schedule = FeeSchedule::mainnet();
    let mut table = CurveTable::new(4, 7, schedule);
    let mut lineage = Lineage::new();
    for slot in 11..=13 {
        lineage.note(Slot(slot), Slot(slot - 1));
    }
    table.launch(&launch(1, 10), &lineage);
    let trades = [(11, 1), (12, 2), (11, 4), (12, 5), (13, 7)].map(|(slot, n)| trade(slot, n));
    let mut all = Curve::at_launch(&launch(1, 10), &schedule);
    for trade in &trades {
        table.apply(trade, &lineage);
        all.apply(trade, &schedule);
    }
    let curve = table.get(&launch(1, 10).mint).unwrap();
    assert_eq!(curve.reserves, all.reserves);
    assert_eq!(curve.trade_count, 5);
    assert_eq!(table.counters().curve_switched, 0);
}

#[test]
fn a_trade_that_account_data_counts_already_is_not_counted_again() {
    let mut table = CurveTable::new(4, 7, FeeSchedule::mainnet());
    let mut lineage = Lineage::new();
    for slot in 11..=13 {
        lineage.note(Slot(slot), Slot(slot - 1));
    }
    table.launch(&launch(1, 10), &lineage);
    let mut later = *table.get(&launch(1, 10).mint).unwrap();
    later.apply(&trade(11, 1), &FeeSchedule::mainnet());
    table.correct(&truth_of(&later, 12, 1), &lineage);
    assert_eq!(
        table.apply(&trade(11, 1), &lineage),
        market::TableApply::Counted
    );
    let known = table.get(&launch(1, 10).mint).unwrap();
    assert_eq!(known.reserves, later.reserves);
}

/// A state that doubt ended is not brought back by a block of it that was left for another fork's.
#[test]
fn doubt_reaches_what_is_remembered_of_other_blocks() {
    let mut table = CurveTable::new(4, 7, FeeSchedule::mainnet());
    let mut lineage = Lineage::new();
    for (slot, parent) in [(12, 10), (11, 10)] {
        lineage.note(Slot(slot), Slot(parent));
    }
    table.launch(&launch(1, 10), &lineage);
    let mint = launch(1, 10).mint;
    for slot in [12, 11] {
        table.apply(&trade(slot, 1), &lineage);
    }
    // It stands at 11; 12 turns out to be two blocks.
    table.doubt_from(Slot(12));
    table.apply(&trade(12, 2), &lineage);
    assert_eq!(
        table.get(&mint).unwrap().tradable,
        Err(Untradable::Doubtful)
    );
}

/// A forged buy of everything must not end a coin for good.
#[test]
fn what_only_a_doubtful_trade_completed_is_doubtful() {
    let mut table = CurveTable::new(4, 7, FeeSchedule::mainnet());
    let lineage = Lineage::new();
    table.launch(&launch(1, 10), &lineage);
    let mint = launch(1, 10).mint;
    let mut all = trade(11, 1);
    all.form = Form::V2;
    all.partial_fill = Some(true);
    all.amounts = Amounts::ExactIn {
        quote_in: Lamports(500_000_000_000),
        tokens_min: TokenAmount(0),
    };
    table.apply(&all, &lineage);
    assert_eq!(
        table.get(&mint).unwrap().tradable,
        Err(Untradable::Complete)
    );
    table.doubt(&mint);
    assert_eq!(
        table.get(&mint).unwrap().tradable,
        Err(Untradable::Doubtful)
    );
}

/// Where account data went another way, an earlier reckoning that it passes by later is not what is kept.
#[test]
fn what_was_reckoned_before_a_divergence_agrees_with_nothing() {
    let mut table = CurveTable::new(4, 7, FeeSchedule::mainnet());
    let lineage = Lineage::new();
    table.launch(&launch(1, 10), &lineage);
    let mint = launch(1, 10).mint;
    table.apply(&trade(11, 1), &lineage);
    let reckoned = *table.get(&mint).unwrap();
    let mut other = reckoned;
    other.apply(&trade(11, 4), &FeeSchedule::mainnet());
    table.correct(&truth_of(&other, 11, 1), &lineage);
    table.correct(&truth_of(&reckoned, 11, 2), &lineage);
    assert_eq!(table.get(&mint).unwrap().reserves, reckoned.reserves);
}

#[test]
fn doubt_reaches_every_curve_touched_from_the_slot_on_and_no_other() {
    let mut table = CurveTable::new(8, 0, FeeSchedule::mainnet());
    for mint in 1..=5 {
        table.launch(&launch(mint, u64::from(mint)), &Lineage::new());
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

/// A buy or a sale in the block of `slot`; `number` makes it differ from others.
fn trade(slot: u64, number: u64) -> Trade {
    let (side, amounts) = if number.is_multiple_of(3) {
        let tokens = TokenAmount(1_000_000_000 + number * 7_777);
        let quote_min = Lamports(0);
        (Side::Sell, Amounts::Sell { tokens, quote_min })
    } else {
        let quote_in = Lamports(900_000_000 + number * 12_345);
        let tokens_min = TokenAmount(0);
        let amounts = Amounts::ExactIn {
            quote_in,
            tokens_min,
        };
        (Side::Buy, amounts)
    };
    Trade {
        mint: launch(1, 10).mint,
        trader: [9; 32],
        side,
        amounts,
        form: Form::V3,
        partial_fill: None,
        shown: ShownAccounts::default(),
        slot: Slot(slot),
        at: Nanos(0),
        signature: [0; 64],
    }
}

proptest! {
    /// Goal: a coin's reserves are those of its own fork, whatever order the forks' trades come in.
    /// Method: a random tree of few blocks above the launch; trades of random blocks, parents before children; against
    /// a replay of the fork's own trades.
    #[test]
    fn forks_do_not_mix(
        parents in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
        dropped in any::<prop::sample::Index>(),
    ) {
        let schedule = FeeSchedule::mainnet();
        let mut table = CurveTable::new(4, 7, schedule);
        let mut lineage = Lineage::new();
        table.launch(&launch(1, 10), &Lineage::new());
        // Slot 10 is the launch; slot 11 + n builds on any below it.
        let parent_of: Vec<u64> = parents
            .iter()
            .enumerate()
            .map(|(index, parent)| 10 + parent.index(index + 1) as u64)
            .collect();
        for (index, parent) in parent_of.iter().enumerate() {
            lineage.note(Slot(11 + index as u64), Slot(*parent));
        }
        let chain = |slot: u64| {
            let mut chain = vec![slot];
            while chain[0] > 10 {
                chain.insert(0, parent_of[(chain[0] - 11) as usize]);
            }
            chain
        };
        // Trades in an order in which no block comes before one that it builds on is done.
        let mut trades: Vec<Trade> = Vec::new();
        let mut order: Vec<u64> = picks.iter().map(|pick| 11 + pick.index(parent_of.len()) as u64).collect();
        let is_leaf = |slot: u64| !parent_of.contains(&slot);
        let (mut inner, leaves): (Vec<u64>, Vec<u64>) = order.drain(..).partition(|slot| !is_leaf(*slot));
        inner.sort_unstable();
        for (number, slot) in inner.into_iter().chain(leaves).enumerate() {
            trades.push(trade(slot, number as u64));
        }
        let replay = |slot: u64, until: usize| {
            let mut curve = Curve::at_launch(&launch(1, 10), &schedule);
            for part in chain(slot) {
                for trade in trades[..until].iter().filter(|trade| trade.slot.0 == part) {
                    curve.apply(trade, &schedule);
                }
            }
            curve
        };
        let mint = launch(1, 10).mint;
        for (index, trade) in trades.iter().enumerate() {
            table.apply(trade, &lineage);
            let expected = replay(trade.slot.0, index + 1);
            let curve = table.get(&mint).unwrap();
            prop_assert_eq!(curve.reserves, expected.reserves, "{:?} {}", &parent_of, index);
            prop_assert_eq!(curve.trade_count, expected.trade_count);
        }
        // A block is given up: what stood at it goes back.
        let slot = 11 + dropped.index(parent_of.len()) as u64;
        if trades.last().is_some_and(|last| last.slot.0 == slot) && is_leaf(slot) {
            table.drop_block(Slot(slot), &lineage);
            let curve = table.get(&mint).unwrap();
            let before = replay(parent_of[(slot - 11) as usize], trades.len());
            prop_assert_eq!(curve.reserves, before.reserves);
            prop_assert_eq!(curve.tradable, Ok(()));
        }
    }
}

#[test]
fn a_coin_of_a_void_block_alone_becomes_doubtful() {
    let mut table = CurveTable::new(4, 7, FeeSchedule::mainnet());
    let lineage = Lineage::new();
    table.launch(&launch(1, 10), &Lineage::new());
    table.drop_block(Slot(10), &lineage);
    let curve = table.get(&launch(1, 10).mint).unwrap();
    assert_eq!(curve.tradable, Err(Untradable::Doubtful));
}

/// What the curve's own account would say at its state of `curve`.
fn account_of(curve: &Curve) -> BondingCurve {
    BondingCurve {
        reserves: curve.reserves,
        supply: curve.supply,
        complete: false,
        creator: curve.accounts.creator,
        mayhem: false,
        cashback: false,
        quote_mint: pump::WRAPPED_SOL,
        creator_fee_bps: 0,
        holder_reward: false,
        creator_fees: 0,
        protocol_fees: 0,
        depth: 0,
        initial_virtual_quote: 0,
        past_tokens: 0,
        past_quote: 0,
    }
}

fn truth_of(curve: &Curve, slot: u64, write_version: u64) -> CurveTruth {
    CurveTruth {
        accounts: curve.accounts,
        curve: account_of(curve),
        supply: None,
        slot: Slot(slot),
        write_version,
        feed: FeedId(0),
    }
}

#[test]
fn account_data_agrees_with_what_was_reckoned_or_wins() {
    let mut table = CurveTable::new(4, 7, FeeSchedule::mainnet());
    let lineage = Lineage::new();
    table.launch(&launch(1, 10), &Lineage::new());
    let mint = launch(1, 10).mint;
    table.apply(&trade(11, 1), &lineage);
    let first = *table.get(&mint).unwrap();
    table.apply(&trade(11, 2), &lineage);
    let second = *table.get(&mint).unwrap();
    // It is of the first trade, and comes after the second was seen.
    assert_eq!(
        table.correct(&truth_of(&first, 11, 1), &lineage),
        Corrected::Agreed
    );
    assert_eq!(table.get(&mint).unwrap().reserves, second.reserves);
    assert_eq!(
        table.correct(&truth_of(&first, 11, 1), &lineage),
        Corrected::Stale
    );
    // A trade inside another program's call, which no shred shows.
    let mut hidden = second;
    hidden.apply(&trade(11, 4), &FeeSchedule::mainnet());
    assert_eq!(
        table.correct(&truth_of(&hidden, 11, 2), &lineage),
        Corrected::Diverged
    );
    assert_eq!(table.get(&mint).unwrap().reserves, hidden.reserves);
    // It ends doubt, whatever was reckoned.
    table.doubt(&mint);
    assert_eq!(
        table.correct(&truth_of(&hidden, 12, 3), &lineage),
        Corrected::Behind
    );
    assert_eq!(table.get(&mint).unwrap().tradable, Ok(()));
    let counters = table.counters();
    assert_eq!(
        (
            counters.truth_agreed,
            counters.truth_stale,
            counters.truth_diverged,
            counters.truth_behind
        ),
        (1, 1, 1, 1)
    );
}

/// What a curve is held against is what was told, not what transactions made of it.
#[test]
fn a_price_is_near_what_was_told_or_what_the_curve_began_with() {
    let mut table = CurveTable::new(4, 7, FeeSchedule::mainnet());
    let lineage = Lineage::new();
    table.launch(&launch(1, 10), &lineage);
    let mint = launch(1, 10).mint;
    let near = |table: &CurveTable| table.is_near_told(&mint, Bps(10_000));
    let pump = Trade {
        amounts: Amounts::ExactIn {
            quote_in: Lamports(20_000_000_000),
            tokens_min: TokenAmount(1),
        },
        ..trade(11, 1)
    };
    assert!(near(&table));
    table.apply(&pump, &lineage);
    assert!(!near(&table), "some 2.7 times what it began with");
    let pumped = *table.get(&mint).unwrap();
    table.correct(&truth_of(&pumped, 11, 1), &lineage);
    assert!(near(&table));
}

#[test]
fn what_was_told_of_slots_that_cannot_be_is_void() {
    let mut table = CurveTable::new(4, 7, FeeSchedule::mainnet());
    let lineage = Lineage::new();
    table.launch(&launch(1, 10), &lineage);
    let mint = launch(1, 10).mint;
    let fresh = *table.get(&mint).unwrap();
    table.correct(&truth_of(&fresh, u64::MAX, 1), &lineage);
    let told = table.correct(&truth_of(&fresh, 100, 1), &lineage);
    assert_eq!(told, Corrected::Stale);
    table.disbelieve_after(Slot(600));
    assert_eq!(
        table.get(&mint).unwrap().tradable,
        Err(Untradable::Doubtful)
    );
    let told = table.correct(&truth_of(&fresh, 100, 1), &lineage);
    assert_eq!(told, Corrected::Behind);
    assert_eq!(table.get(&mint).unwrap().tradable, Ok(()));
}

/// A sale of what its sender does not have fails, and no shred tells what anybody has. Regression: each later trade of the
/// block looked wrong as well, and until its account came the curve stood without it.
#[test]
fn a_trade_that_failed_for_its_senders_balance_makes_one_divergence() {
    let mut table = CurveTable::new(4, 7, FeeSchedule::mainnet());
    let lineage = Lineage::new();
    table.launch(&launch(1, 10), &lineage);
    let mint = launch(1, 10).mint;
    let start = *table.get(&mint).unwrap();
    // As the chain has it: the second trade failed there.
    let (mut states, mut truly) = (Vec::new(), start);
    for amount in [1, 3, 4, 5] {
        truly.apply(&trade(11, amount), &FeeSchedule::mainnet());
        states.push(truly);
    }
    for amount in [1, 2, 3, 4] {
        table.apply(&trade(11, amount), &lineage);
    }
    table.apply(&trade(12, 5), &lineage);
    let tell = |table: &mut CurveTable, at: usize, slot| {
        table.correct(&truth_of(&states[at], slot, at as u64), &lineage)
    };
    assert_eq!(tell(&mut table, 0, 11), Corrected::Agreed);
    assert_eq!(tell(&mut table, 1, 11), Corrected::Diverged);
    let reserves = |table: &CurveTable| table.get(&mint).unwrap().reserves;
    assert_eq!(
        reserves(&table),
        truly.reserves,
        "all that came after stands"
    );
    assert_eq!(tell(&mut table, 2, 11), Corrected::Agreed);
    assert_eq!(tell(&mut table, 3, 12), Corrected::Agreed);
    assert_eq!(reserves(&table), truly.reserves);
}

#[test]
fn a_coin_whose_launch_was_not_seen_comes_from_its_account() {
    let (mut table, lineage) = (
        CurveTable::new(4, 7, FeeSchedule::mainnet()),
        Lineage::new(),
    );
    let curve = Curve::at_launch(&launch(1, 10), &FeeSchedule::mainnet());
    assert_eq!(
        table.correct(&truth_of(&curve, 20, 1), &lineage),
        Corrected::New
    );
    let known = table.get(&launch(1, 10).mint).unwrap();
    assert_eq!((known.reserves, known.tradable), (curve.reserves, Ok(())));
}

/// Goal: a stranger's trade does not name the creator's vault once the curve's account has said who the creator is.
#[test]
fn a_shown_vault_gives_way_to_the_accounts_creator() {
    let (mut table, lineage) = (
        CurveTable::new(4, 7, FeeSchedule::mainnet()),
        Lineage::new(),
    );
    table.launch(&launch(1, 10), &lineage);
    let mint = launch(1, 10).mint;
    let mut lie = trade(11, 1);
    lie.shown.creator_vault = Some([66; 32]);
    table.apply(&lie, &lineage);
    let shown = |table: &CurveTable| table.get(&mint).unwrap().accounts.creator_vault;
    assert_eq!(shown(&table), Some([66; 32]));
    let mut hidden = *table.get(&mint).unwrap();
    hidden.apply(&trade(11, 4), &FeeSchedule::mainnet());
    table.correct(&truth_of(&hidden, 11, 2), &lineage);
    assert_eq!(shown(&table), None);
    lie.slot = Slot(12);
    table.apply(&lie, &lineage);
    assert_eq!(shown(&table), None);
}
