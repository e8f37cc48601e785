//! Goal: what the official package builds for PumpSwap, and Pump's migrations, we read back, field by field.
//! Method: each instruction of `golden/pump_amm_instructions.txt` in a legacy transaction, then with accounts hidden
//! behind a lookup table, then cut and scrambled.

use crate::common::{Instruction, derived_in, instruction_in, transaction};
use market::event::{Create, Liquidity, Migrate, Swap, SwapAmounts, Way};
use market::{
    DecodeReject, Decoded, Key, LookupTables, MarketEvent, PoolAction, PoolCall, Program, decode,
    pump, pump_amm,
};
use proptest::prelude::*;
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

const FIXTURES: &str = include_str!("../golden/pump_amm_instructions.txt");
const MINT: Key = [0x11; 32];
const USER: Key = [0x22; 32];
const NAMES: [&str; 14] = [
    "buy",
    "buy_cashback",
    "buy_without_creator",
    "sell",
    "sell_cashback",
    "buy_v2",
    "buy_exact_quote_in_v2",
    "sell_v2",
    "multi_hop_buy",
    "multi_hop_sell",
    "multi_hop_one",
    "create_pool",
    "deposit",
    "withdraw",
];

const OUT: SwapAmounts = SwapAmounts::ExactOut {
    amount_out: 1001,
    in_max: 2002,
};
const IN: SwapAmounts = SwapAmounts::ExactIn {
    amount_in: 2002,
    out_min: 1001,
};
const SALE: SwapAmounts = SwapAmounts::ExactIn {
    amount_in: 3003,
    out_min: 4004,
};

#[test]
fn addresses_are_the_ones_the_package_derives() {
    for (ours, name) in [
        (pump_amm::GLOBAL_CONFIG, "global_config"),
        (pump_amm::EVENT_AUTHORITY, "event_authority"),
        (pump_amm::FEE_CONFIG, "fee_config"),
        (
            pump_amm::GLOBAL_VOLUME_ACCUMULATOR,
            "global_volume_accumulator",
        ),
    ] {
        assert_eq!(ours, derived(name), "{name}");
    }
    assert_eq!(*Program::PumpAmm.id(), pump_amm::PROGRAM);
}

#[test]
fn every_trade_reads_back() {
    for (name, amounts, way) in [
        ("buy", OUT, Way::BToA),
        ("buy_cashback", OUT, Way::BToA),
        ("buy_without_creator", OUT, Way::BToA),
        ("buy_v2", OUT, Way::BToA),
        ("buy_exact_quote_in_v2", IN, Way::BToA),
        ("sell", SALE, Way::AToB),
        ("sell_cashback", SALE, Way::AToB),
        ("sell_v2", SALE, Way::AToB),
    ] {
        check_trade(name, instruction(name), amounts, way);
    }
}

#[test]
fn the_exact_in_form_of_buy_reads_as_one() {
    let mut exact = instruction("buy");
    let discriminator = pump_amm::discriminator::BUY_EXACT_QUOTE_IN;
    exact.data[..8].copy_from_slice(&discriminator.to_le_bytes());
    let amounts = SwapAmounts::ExactIn {
        amount_in: 1001,
        out_min: 2002,
    };
    check_trade("buy_exact_quote_in", exact, amounts, Way::BToA);
}

#[track_caller]
fn check_trade(name: &str, instruction: Instruction, amounts: SwapAmounts, way: Way) {
    let (base, quote) = (Some(MINT), Some(pump::WRAPPED_SOL));
    let accounts = (Some(derived("user_base")), Some(derived("user_quote")));
    let ((mint_in, mint_out), (account_in, account_out)) = match way {
        Way::AToB => ((base, quote), accounts),
        Way::BToA => ((quote, base), (accounts.1, accounts.0)),
    };
    let expected = PoolCall {
        pool: Some(derived("pool")),
        actor: Some(USER),
        action: PoolAction::Swap(Swap {
            amounts,
            way: Some(way),
            mint_in,
            mint_out,
            account_in,
            account_out,
            price_limit: None,
        }),
    };
    assert_eq!(
        only_call(&[instruction], Program::PumpAmm),
        expected,
        "{name}"
    );
}

#[test]
fn pools_are_opened_filled_and_emptied() {
    let call = |name| only_call(&[instruction(name)], Program::PumpAmm);
    let created = call("create_pool");
    assert_eq!(
        (created.pool, created.actor),
        (Some(derived("pool")), Some(USER))
    );
    let expected = Create {
        mint_a: Some(MINT),
        mint_b: Some(pump::WRAPPED_SOL),
        vault_a: Some(derived("pool_base")),
        vault_b: Some(derived("pool_quote")),
        config: Some(pump_amm::GLOBAL_CONFIG),
        amount_a: 7007,
        amount_b: 8008,
        ..Create::default()
    };
    assert_eq!(created.action, PoolAction::Create(expected));
    let share = Liquidity {
        share: 9009,
        limit_a: 7007,
        limit_b: 8008,
    };
    for (name, action) in [
        ("deposit", PoolAction::Deposit(share)),
        ("withdraw", PoolAction::Withdraw(share)),
    ] {
        let call = call(name);
        assert_eq!(
            (call.pool, call.actor, call.action),
            (Some(derived("pool")), Some(USER), action)
        );
    }
}

#[test]
fn migrations_name_curve_and_pool() {
    for name in ["migrate", "migrate_v2"] {
        let expected = PoolCall {
            pool: Some(derived("bonding_curve")),
            actor: Some(USER),
            action: PoolAction::Migrate(Migrate {
                mint: Some(MINT),
                pool: Some(derived("pool")),
                to: Some(Program::PumpAmm),
            }),
        };
        assert_eq!(
            only_call(&[instruction(name)], Program::Pump),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_route_gives_a_call_for_each_hop() {
    let (far, middle) = (Some([0x61; 32]), Some([0x62; 32]));
    let sol = Some(pump::WRAPPED_SOL);
    let first = SwapAmounts::ExactIn {
        amount_in: 5005,
        out_min: 0,
    };
    let venues = [Some([0x70; 32]), Some([0x80; 32])];
    let seen = |name| {
        let calls = calls(&[instruction(name)]);
        let [
            (
                Program::PumpAmm,
                PoolCall {
                    pool: one,
                    actor: Some(USER),
                    action: PoolAction::Swap(a),
                },
            ),
            (
                Program::PumpAmm,
                PoolCall {
                    pool: two,
                    actor: Some(USER),
                    action: PoolAction::Swap(b),
                },
            ),
        ] = calls[..]
        else {
            panic!("{calls:?}")
        };
        ([one, two], a, b)
    };
    let (pools, one, two) = seen("multi_hop_buy");
    assert_eq!(pools, venues);
    assert_eq!((one.way, two.way), (Some(Way::BToA), Some(Way::BToA)));
    assert_eq!((one.amounts, two.amounts), (first, SwapAmounts::Unknown));
    assert_eq!((one.mint_in, one.mint_out), (sol, middle));
    assert_eq!((two.mint_in, two.mint_out), (middle, far));
    assert_eq!(
        (one.account_in, one.account_out, two.account_in),
        (Some(derived("user_quote")), None, None)
    );
    assert!(two.account_out.is_some());

    let (pools, one, two) = seen("multi_hop_sell");
    assert_eq!(pools, [venues[1], venues[0]]);
    assert_eq!((one.way, two.way), (Some(Way::AToB), Some(Way::AToB)));
    assert_eq!((one.mint_in, one.mint_out), (far, middle));
    assert_eq!((two.mint_in, two.mint_out), (middle, sol));

    // One hop alone does not say which way it goes; its limit is its own.
    let one = only_call(&[instruction("multi_hop_one")], Program::PumpAmm);
    assert_eq!(one.pool, Some(derived("pool")));
    let PoolAction::Swap(swap) = one.action else {
        panic!("{one:?}")
    };
    let amounts = SwapAmounts::ExactIn {
        amount_in: 5005,
        out_min: 6006,
    };
    assert_eq!((swap.way, swap.amounts), (None, amounts));
    assert_eq!(swap.account_in, Some(derived("user_quote")));
    assert_eq!(swap.account_out, Some(derived("user_base")));
}

#[test]
fn too_few_accounts_or_arguments_are_refused() {
    let len_min = |name: &str| match name {
        "sell" | "sell_cashback" => 21,
        "create_pool" => 18,
        "deposit" | "withdraw" => 15,
        "multi_hop_buy" | "multi_hop_sell" | "multi_hop_one" => 21,
        _ if name.contains("v2") => 17,
        _ => 23,
    };
    for name in NAMES {
        let mut fewer = instruction(name);
        fewer.accounts.truncate(len_min(name));
        assert!(!calls(&[fewer.clone()]).is_empty(), "{name}");
        fewer.accounts.truncate(len_min(name) - 1);
        assert_eq!(rejected(&[fewer]), DecodeReject::MissingAccounts, "{name}");
        let required = if name == "create_pool" {
            8 + 2 + 8 + 8 + 32 + 1
        } else if matches!(name, "deposit" | "withdraw") {
            32
        } else {
            24
        };
        let mut cut = instruction(name);
        cut.data.truncate(required);
        assert!(!calls(&[cut.clone()]).is_empty(), "{name}");
        cut.data.truncate(required - 1);
        assert_eq!(rejected(&[cut]), DecodeReject::ShortData, "{name}");
    }
    for (name, len_min) in [("migrate", 24), ("migrate_v2", 27)] {
        let mut fewer = instruction(name);
        fewer.accounts.truncate(len_min);
        only_call(&[fewer.clone()], Program::Pump);
        fewer.accounts.truncate(len_min - 1);
        assert_eq!(rejected(&[fewer]), DecodeReject::MissingAccounts, "{name}");
    }
}

#[test]
fn accounts_behind_a_lookup_table_are_absent_and_never_guessed() {
    for name in NAMES {
        let bytes = transaction(&[instruction(name)], |_| true);
        let (events, _) = events(&bytes);
        assert!(!events.is_empty(), "{name}");
        for event in events {
            let MarketEvent::Pool(event) = event else {
                panic!("{event:?}")
            };
            assert_eq!((event.call.pool, event.call.actor), (None, Some(USER)));
            match event.call.action {
                PoolAction::Swap(swap) => assert_eq!(
                    (
                        swap.mint_in,
                        swap.mint_out,
                        swap.account_in,
                        swap.account_out
                    ),
                    (None, None, None, None)
                ),
                PoolAction::Create(create) => assert_eq!(
                    (create.mint_a, create.vault_b, create.config),
                    (None, None, None)
                ),
                _ => {}
            }
        }
    }
}

#[test]
fn every_other_discriminator_is_ignored() {
    for name in NAMES {
        for bit in 0..64 {
            let mut other = instruction(name);
            other.data[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(rejected(&[other]), DecodeReject::OtherInstruction, "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever the data and the number of accounts: events, or one refusal.
    #[test]
    fn random_instruction_data_never_panics(
        which in 0usize..NAMES.len(),
        data in prop::collection::vec(any::<u8>(), 0..120),
        account_count in 0usize..60,
    ) {
        let mut random = instruction(NAMES[which]);
        random.data.truncate(8);
        random.data.extend(&data);
        random.accounts.truncate(account_count);
        random.accounts.push((USER, true, true));
        let (found, decoded) = events(&transaction(&[random], |_| false));
        prop_assert_eq!(found.len() as u32, decoded.event_count);
        let refused = decoded.rejected.iter().sum::<u32>();
        prop_assert!(refused == u32::from(found.is_empty()));
    }
}

/// The user pays for the transaction, so it is writable even where the instruction does not ask for that.
fn instruction(name: &str) -> Instruction {
    let mut instruction = instruction_in(FIXTURES, name);
    for (key, _, writable) in &mut instruction.accounts {
        *writable |= *key == USER;
    }
    instruction
}

fn derived(name: &str) -> Key {
    derived_in(FIXTURES, name)
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

fn calls(instructions: &[Instruction]) -> Vec<(Program, PoolCall)> {
    let (events, _) = events(&transaction(instructions, |_| false));
    let call = |event: &MarketEvent| match event {
        MarketEvent::Pool(event) => {
            assert_eq!(
                (event.slot, event.at, event.inferred_from),
                (Slot(7), Nanos(9), None)
            );
            (event.program, event.call)
        }
        other => panic!("{other:?}"),
    };
    events.iter().map(call).collect()
}

#[track_caller]
fn only_call(instructions: &[Instruction], program: Program) -> PoolCall {
    match calls(instructions)[..] {
        [(of, call)] if of == program => call,
        ref other => panic!("{other:?}"),
    }
}

#[track_caller]
fn rejected(instructions: &[Instruction]) -> DecodeReject {
    let (found, decoded) = events(&transaction(instructions, |_| false));
    assert!(found.is_empty(), "{found:?}");
    [
        DecodeReject::OtherInstruction,
        DecodeReject::ShortData,
        DecodeReject::MissingAccounts,
        DecodeReject::SignerUnresolved,
    ]
    .into_iter()
    .find(|reason| decoded.rejected[*reason as usize] == 1)
    .unwrap()
}
