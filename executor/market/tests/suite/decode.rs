//! Goal: what the official package builds, we read back, field by field.
//! Method: each instruction of `data/pump_instructions.txt` in a legacy transaction, then with accounts hidden
//! behind a lookup table, then cut and scrambled.

use crate::common::{Instruction, derived, instruction, transaction};
use market::LookupTables;
use market::{
    Amounts, DecodeReject, Decoded, Form, Key, Lamports, Launch, MarketEvent, Mint, Side,
    TokenAmount, Trade, decode, pump,
};
use proptest::prelude::*;
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

const MINT: Mint = Mint([0x11; 32]);
const USER: Key = [0x22; 32];
const CREATOR: Key = [0x33; 32];
const FEE_RECIPIENT: Key = [0x44; 32];
const BUYBACK: Key = [0x55; 32];

const BUY_TOKENS: Amounts = Amounts::TokensOut {
    tokens: TokenAmount(1001),
    quote_max: Lamports(2002),
};
const BUY_EXACT: Amounts = Amounts::ExactIn {
    quote_in: Lamports(2002),
    tokens_min: TokenAmount(1001),
};
const SELL: Amounts = Amounts::Sell {
    tokens: TokenAmount(3003),
    quote_min: Lamports(4004),
};

#[test]
fn every_trade_form_reads_back() {
    for (name, form, amounts) in [
        ("buy", Form::V1, BUY_TOKENS),
        ("sell", Form::V1, SELL),
        ("sell_cashback", Form::V1, SELL),
        ("buy_v2", Form::V2, BUY_TOKENS),
        ("buy_exact_quote_in_v2", Form::V2, BUY_EXACT),
        ("sell_v2", Form::V2, SELL),
        ("buy_v3", Form::V3, BUY_TOKENS),
        ("buy_exact_quote_in_v3", Form::V3, BUY_EXACT),
        ("sell_v3", Form::V3, SELL),
    ] {
        let trade = only_trade(&[instruction(name)]);
        let side = if amounts == SELL {
            Side::Sell
        } else {
            Side::Buy
        };
        assert_eq!(
            (trade.mint, trade.trader, trade.side, trade.form),
            (MINT, USER, side, form),
            "{name}"
        );
        assert_eq!(trade.amounts, amounts, "{name}");
        assert_eq!(
            trade.partial_fill,
            (side == Side::Buy).then_some(true),
            "{name}: the package asks for it"
        );
        assert_eq!(
            (trade.slot, trade.at, trade.signature),
            (Slot(7), Nanos(9), [0xa0; 64]),
            "{name}"
        );

        let shown = trade.shown;
        assert_eq!(
            shown.bonding_curve,
            Some(derived("bonding_curve")),
            "{name}"
        );
        assert_eq!(
            shown.associated_bonding_curve,
            Some(derived("associated_bonding_curve_2022")),
            "{name}"
        );
        assert_eq!(
            shown.token_program,
            Some(pump::TOKEN_2022_PROGRAM),
            "{name}"
        );
        assert_eq!(shown.buyback_fee_recipient, Some(BUYBACK), "{name}");
        let (v1, v2) = (form == Form::V1, form == Form::V2);
        let vault = derived("creator_vault");
        assert_eq!(shown.creator_vault, (v1 || v2).then_some(vault), "{name}");
        assert_eq!(
            shown.fee_recipient,
            (v1 || v2).then_some(FEE_RECIPIENT),
            "{name}"
        );
        assert_eq!(
            shown.quote_mint,
            (!v1).then_some(pump::WRAPPED_SOL),
            "{name}"
        );
        let quote_account = derived("associated_quote_bonding_curve");
        assert_eq!(
            shown.associated_quote_bonding_curve,
            (!v1).then_some(quote_account),
            "{name}"
        );
        assert_eq!(
            shown.associated_creator_vault,
            v2.then(|| derived("associated_creator_vault")),
            "{name}"
        );
        assert_eq!(
            shown.sharing_config,
            v2.then(|| derived("sharing_config")),
            "{name}"
        );
    }
}

#[test]
fn buy_exact_sol_in_reads_as_the_exact_in_form_of_buy() {
    let mut exact = instruction("buy");
    exact.data[..8].copy_from_slice(&pump::discriminator::BUY_EXACT_SOL_IN.to_le_bytes());
    let amounts = Amounts::ExactIn {
        quote_in: Lamports(1001),
        tokens_min: TokenAmount(2002),
    };
    assert_eq!(only_trade(&[exact]).amounts, amounts);
}

#[test]
fn older_buys_and_sells_with_fewer_accounts_and_arguments_still_read() {
    for (name, len_min) in [("buy", 16), ("sell", 14)] {
        let mut older = instruction(name);
        older.accounts.truncate(len_min);
        older.data.truncate(24);
        let trade = only_trade(&[older.clone()]);
        assert_eq!(
            (trade.partial_fill, trade.shown.buyback_fee_recipient),
            (None, None),
            "{name}"
        );
        older.accounts.truncate(len_min - 1);
        assert_eq!(rejected(&[older]), DecodeReject::MissingAccounts, "{name}");
    }
}

#[test]
fn launches_read_back() {
    let legacy = only_launch(&[instruction("create")]);
    assert_eq!(
        (legacy.mint, legacy.user, legacy.creator, legacy.is_v2),
        (MINT, USER, CREATOR, false)
    );
    assert_eq!(legacy.token_program, pump::TOKEN_PROGRAM);
    assert_eq!(legacy.bonding_curve, Some(derived("bonding_curve")));
    assert_eq!(
        legacy.associated_bonding_curve,
        Some(derived("associated_bonding_curve_token"))
    );
    assert_eq!(
        (legacy.quote_mint, legacy.creator_fee_bps),
        (Some(pump::WRAPPED_SOL), None)
    );

    let plain = only_launch(&[instruction("create_v2")]);
    assert_eq!(
        (plain.mint, plain.user, plain.creator, plain.is_v2),
        (MINT, USER, CREATOR, true)
    );
    assert_eq!(plain.token_program, pump::TOKEN_2022_PROGRAM);
    assert_eq!(
        plain.associated_bonding_curve,
        Some(derived("associated_bonding_curve_2022"))
    );
    assert_eq!(
        (plain.mayhem, plain.cashback, plain.holder_reward),
        (false, false, false)
    );
    assert_eq!(
        (plain.quote_mint, plain.creator_fee_bps),
        (Some(pump::WRAPPED_SOL), Some(0))
    );

    let mayhem = only_launch(&[instruction("create_v2_mayhem")]);
    assert_eq!(
        (mayhem.mayhem, mayhem.cashback, mayhem.creator_fee_bps),
        (true, true, Some(77))
    );

    let usdc = only_launch(&[instruction("create_v2_usdc")]);
    assert_eq!(
        usdc.quote_mint,
        Some(market::base58::key(
            "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
        ))
    );
}

#[test]
fn trailing_launch_arguments_may_be_absent_but_required_ones_may_not() {
    let whole = instruction("create_v2_mayhem");
    // is_cashback 1, creator_fee_bps 8, is_holder_reward 1.
    let required = whole.data.len() - 10;
    for len in required..=whole.data.len() {
        let mut cut = whole.clone();
        cut.data.truncate(len);
        let launch = only_launch(&[cut]);
        assert!(launch.mayhem);
        assert_eq!(launch.cashback, len > required);
        assert_eq!(launch.creator_fee_bps, (len >= required + 9).then_some(77));
    }
    for len in 0..required {
        let mut cut = whole.clone();
        cut.data.truncate(len);
        assert_eq!(rejected(&[cut]), DecodeReject::ShortData);
    }
}

#[test]
fn a_dev_buy_in_the_same_transaction_is_foretold() {
    let launch = |instructions: &[Instruction]| match events(&transaction(
        instructions,
        is_constant,
    ))
    .0[..]
    {
        [MarketEvent::Launch(launch), ..] | [_, MarketEvent::Launch(launch), ..] => launch,
        ref other => panic!("{other:?}"),
    };
    for buy in ["buy", "buy_v2", "buy_exact_quote_in_v3"] {
        assert!(
            launch(&[instruction("create_v2"), instruction(buy)]).dev_buy_follows,
            "{buy}"
        );
    }
    assert!(!launch(&[instruction("create_v2"), instruction("sell")]).dev_buy_follows);
    assert!(
        !launch(&[instruction("buy"), instruction("create_v2")]).dev_buy_follows,
        "before is not after"
    );
    let mut other_coin = instruction("buy");
    other_coin.accounts[2].0 = [0x77; 32];
    assert!(!launch(&[instruction("create_v2"), other_coin]).dev_buy_follows);
}

#[test]
fn events_come_in_instruction_order_and_strangers_are_counted() {
    let mut stranger = instruction("sell");
    stranger.data[..8].copy_from_slice(&[9; 8]);
    let instructions = [
        instruction("create_v2"),
        stranger,
        instruction("buy_v3"),
        instruction("sell_v3"),
    ];
    let (events, decoded) = events(&transaction(&instructions, is_constant));
    assert!(matches!(
        events[..],
        [
            MarketEvent::Launch(_),
            MarketEvent::Trade(_),
            MarketEvent::Trade(_)
        ]
    ));
    assert_eq!(decoded.event_count, 3);
    let other = DecodeReject::OtherInstruction as usize;
    assert_eq!(decoded.rejected[other], 1);
    let mut of_programs = [[0; DecodeReject::COUNT]; market::Program::COUNT];
    of_programs[market::Program::Pump as usize][other] = 1;
    assert_eq!(decoded.rejected_of, of_programs);
}

#[test]
fn accounts_behind_a_lookup_table_are_absent_and_never_guessed() {
    let mint_hidden = transaction(&[instruction("buy_v3")], |key| *key == MINT.0);
    let (found, decoded) = events(&mint_hidden);
    let [MarketEvent::Unresolved(unresolved)] = found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((unresolved.trader, unresolved.amounts), (USER, BUY_TOKENS));
    assert_eq!(unresolved.bonding_curve, Some(derived("bonding_curve")));
    assert_eq!(decoded.event_count, 1);

    let all_but_mint = transaction(&[instruction("buy_v2")], |key| *key != MINT.0);
    let [MarketEvent::Trade(trade)] = events(&all_but_mint).0[..] else {
        panic!()
    };
    assert_eq!((trade.mint, trade.trader), (MINT, USER));
    assert_eq!(trade.shown, market::event::ShownAccounts::default());

    let launch_hidden = transaction(&[instruction("create_v2_usdc")], |key| *key != MINT.0);
    let [MarketEvent::Launch(launch)] = events(&launch_hidden).0[..] else {
        panic!()
    };
    assert_eq!(
        (launch.mint, launch.bonding_curve, launch.quote_mint),
        (MINT, None, None)
    );
}

#[test]
fn another_program_with_the_same_discriminators_is_another_program() {
    let mut other = instruction("buy_v2");
    other.program = [0x5a; 32];
    other.accounts.retain(|(key, ..)| *key != pump::PROGRAM);
    let (found, decoded) = events(&transaction(&[other.clone()], |_| false));
    assert_eq!((found.len(), decoded), (0, Decoded::default()));
    // PumpSwap's `buy_v2` has the same eight bytes and other accounts.
    other.program = market::pump_amm::PROGRAM;
    let (found, _) = events(&transaction(&[other], |_| false));
    let [MarketEvent::Pool(pool)] = found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(pool.program, market::Program::PumpAmm);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever the data and the number of accounts, one outcome is counted per Pump instruction.
    #[test]
    fn random_instruction_data_never_panics(
        which in 0usize..11,
        data in prop::collection::vec(any::<u8>(), 0..300),
        account_count in 0usize..30,
    ) {
        let names = ["create", "create_v2", "buy", "sell", "buy_v2", "sell_v2", "buy_v3", "sell_v3",
            "buy_exact_quote_in_v2", "buy_exact_quote_in_v3", "create_v2_usdc"];
        let mut random = instruction(names[which]);
        random.data.truncate(8);
        random.data.extend(&data);
        random.accounts.truncate(account_count);
        random.accounts.push((USER, true, true));
        let (found, decoded) = events(&transaction(&[random], is_constant));
        prop_assert_eq!(found.len() as u32, decoded.event_count);
        prop_assert_eq!(decoded.event_count + decoded.rejected.iter().sum::<u32>(), 1);
    }

    /// Flipped bytes anywhere in a real transaction: refused by the view or decoded, never a panic.
    #[test]
    fn damaged_transactions_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = transaction(&[instruction("create_v2"), instruction("buy_v2")], |key| *key != MINT.0);
        for (at, with) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        if TxnView::parse(&bytes).is_ok() {
            events(&bytes);
        }
    }
}

/// Behind lookup tables in practice too: whatever is not this coin's or this trader's.
fn is_constant(key: &Key) -> bool {
    *key != MINT.0 && *key != derived("bonding_curve")
}

fn events(bytes: &[u8]) -> (Vec<MarketEvent>, Decoded) {
    let view = TxnView::parse(bytes).unwrap();
    let mut events = Vec::new();
    let decoded = decode(
        &view,
        &LookupTables::none(),
        Slot(7),
        Nanos(9),
        &mut |event| events.push(event),
    );
    (events, decoded)
}

#[track_caller]
fn only_trade(instructions: &[Instruction]) -> Trade {
    match events(&transaction(instructions, |_| false)).0[..] {
        [MarketEvent::Trade(trade)] => trade,
        ref other => panic!("{other:?}"),
    }
}

#[track_caller]
fn only_launch(instructions: &[Instruction]) -> Launch {
    match events(&transaction(instructions, |_| false)).0[..] {
        [MarketEvent::Launch(launch)] => launch,
        ref other => panic!("{other:?}"),
    }
}

#[track_caller]
fn rejected(instructions: &[Instruction]) -> DecodeReject {
    let (found, decoded) = events(&transaction(instructions, |_| false));
    assert!(found.is_empty(), "{found:?}");
    let reasons = [
        DecodeReject::OtherInstruction,
        DecodeReject::ShortData,
        DecodeReject::MissingAccounts,
        DecodeReject::SignerUnresolved,
    ];
    reasons
        .into_iter()
        .find(|reason| decoded.rejected[*reason as usize] == 1)
        .unwrap()
}
