//! Goal: every Whirlpool instruction that moves a pool reads back as what it asks for, and no other does.
//! Method: each instruction with the program's own account order by name and random arguments, in the open and with
//! accounts hidden behind a lookup table; every account list and argument cut short; every other discriminator.

use crate::common::transaction;
use market::event::{Create, Liquidity, Price, Swap, SwapAmounts, Way};
use market::whirlpool::discriminator as of;
use market::{
    DecodeReject, Decoded, Key, LookupTables, MarketEvent, PoolAction, PoolCall, Program, decode,
};
use proptest::prelude::*;
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

// Account orders: orca-so/whirlpools at 630c0e0, `instructions/` and `instructions/{v2,adaptive_fee}/`.
// A `*` marks signers.
const INITIALIZE_POOL: &str = "whirlpools_config token_mint_a token_mint_b funder* whirlpool token_vault_a* \
    token_vault_b* fee_tier token_program system_program rent";
const INITIALIZE_POOL_V2: &str = "whirlpools_config token_mint_a token_mint_b token_badge_a token_badge_b funder* \
    whirlpool token_vault_a* token_vault_b* fee_tier token_program_a token_program_b system_program rent";
const INITIALIZE_ADAPTIVE: &str = "whirlpools_config token_mint_a token_mint_b token_badge_a token_badge_b funder* \
    initialize_pool_authority* whirlpool oracle token_vault_a* token_vault_b* adaptive_fee_tier token_program_a \
    token_program_b system_program rent";
const SWAP: &str = "token_program token_authority* whirlpool token_owner_account_a token_vault_a \
    token_owner_account_b token_vault_b tick_array_0 tick_array_1 tick_array_2 oracle";
const SWAP_V2: &str = "token_program_a token_program_b memo_program token_authority* whirlpool token_mint_a \
    token_mint_b token_owner_account_a token_vault_a token_owner_account_b token_vault_b tick_array_0 tick_array_1 \
    tick_array_2 oracle";
const TWO_HOP: &str = "token_program token_authority* whirlpool_one whirlpool_two token_owner_account_one_a \
    token_vault_one_a token_owner_account_one_b token_vault_one_b token_owner_account_two_a token_vault_two_a \
    token_owner_account_two_b token_vault_two_b tick_array_one_0 tick_array_one_1 tick_array_one_2 tick_array_two_0 \
    tick_array_two_1 tick_array_two_2 oracle_one oracle_two";
const TWO_HOP_V2: &str = "whirlpool_one whirlpool_two token_mint_input token_mint_intermediate token_mint_output \
    token_program_input token_program_intermediate token_program_output token_owner_account_input \
    token_vault_one_input token_vault_one_intermediate token_vault_two_intermediate token_vault_two_output \
    token_owner_account_output token_authority* tick_array_one_0 tick_array_one_1 tick_array_one_2 tick_array_two_0 \
    tick_array_two_1 tick_array_two_2 oracle_one oracle_two memo_program";
const LIQUIDITY: &str = "whirlpool token_program position_authority* position position_token_account \
    token_owner_account_a token_owner_account_b token_vault_a token_vault_b tick_array_lower tick_array_upper";
const LIQUIDITY_V2: &str = "whirlpool token_program_a token_program_b memo_program position_authority* position \
    position_token_account token_mint_a token_mint_b token_owner_account_a token_owner_account_b token_vault_a \
    token_vault_b tick_array_lower tick_array_upper";
const REPOSITION: &str = "whirlpool token_program_a token_program_b memo_program position_authority* funder* \
    position position_token_account token_mint_a token_mint_b token_owner_account_a token_owner_account_b \
    token_vault_a token_vault_b existing_tick_array_lower existing_tick_array_upper new_tick_array_lower \
    new_tick_array_upper system_program";

/// An instruction whose accounts have names.
#[derive(Clone)]
struct Call {
    names: Vec<&'static str>,
    instruction: crate::common::Instruction,
}

impl Call {
    fn new(names: &'static str, discriminator: u64, arguments: &[&[u8]]) -> Self {
        let names: Vec<&str> = names.split_whitespace().collect();
        let accounts = names.iter().enumerate();
        let accounts = accounts.map(|(at, name)| ([at as u8 + 1; 32], name.ends_with('*'), true));
        let instruction = crate::common::Instruction {
            program: *Program::Whirlpool.id(),
            data: [&discriminator.to_le_bytes(), &arguments.concat()[..]].concat(),
            accounts: accounts.collect(),
        };
        let names = names.into_iter().map(|name| name.trim_end_matches('*'));
        Self {
            names: names.collect(),
            instruction,
        }
    }

    fn key(&self, name: &str) -> Option<Key> {
        let at = self.names.iter().position(|known| *known == name);
        Some(self.instruction.accounts[at.unwrap()].0)
    }
}

fn read(call: &Call, hidden: bool) -> (Vec<PoolCall>, Decoded) {
    let bytes = transaction(std::slice::from_ref(&call.instruction), |_| hidden);
    let view = TxnView::parse(&bytes).unwrap();
    let mut calls = Vec::new();
    let tables = LookupTables::default();
    let decoded = decode(
        &view,
        &tables,
        Slot(7),
        Nanos(9),
        &mut |event| match event {
            MarketEvent::Pool(event) => {
                assert_eq!(
                    (event.program, event.inferred_from),
                    (Program::Whirlpool, None)
                );
                calls.push(event.call);
            }
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(decoded.event_count as usize, calls.len());
    (calls, decoded)
}

/// The same call with everything but its signer behind an unknown table.
fn hidden(mut call: PoolCall) -> PoolCall {
    call.pool = None;
    match &mut call.action {
        PoolAction::Create(create) => {
            (create.mint_a, create.mint_b, create.config) = (None, None, None);
        }
        PoolAction::Swap(swap) => {
            (swap.mint_in, swap.mint_out) = (None, None);
            (swap.account_in, swap.account_out) = (None, None);
        }
        _ => {}
    }
    call
}

/// Reads back as `expected`, in the open and hidden, and is refused when an account or an argument is missing.
fn check(call: &Call, argument_len: usize, expected: &[PoolCall]) {
    assert_eq!(read(call, false).0, expected);
    let behind: Vec<PoolCall> = expected.iter().copied().map(hidden).collect();
    assert_eq!(read(call, true).0, behind);
    let refused = |call: &Call, reason: DecodeReject| {
        let (calls, decoded) = read(call, false);
        assert_eq!(
            (calls.len(), decoded.rejected[reason as usize]),
            (0, 1),
            "{reason:?}"
        );
    };
    let mut fewer = call.clone();
    fewer.instruction.accounts.pop();
    refused(&fewer, DecodeReject::MissingAccounts);
    let mut shorter = call.clone();
    shorter.instruction.data.truncate(8 + argument_len - 1);
    refused(&shorter, DecodeReject::ShortData);
    let mut longer = call.clone();
    longer.instruction.data.push(0);
    assert_eq!(
        read(&longer, false).0,
        expected,
        "what follows is not ours to read"
    );
}

const fn way(a_to_b: bool) -> Way {
    if a_to_b { Way::AToB } else { Way::BToA }
}

const fn exact(amount: u64, threshold: u64, is_input: bool) -> SwapAmounts {
    if is_input {
        SwapAmounts::ExactIn {
            amount_in: amount,
            out_min: threshold,
        }
    } else {
        SwapAmounts::ExactOut {
            amount_out: amount,
            in_max: threshold,
        }
    }
}

fn limit(price: u128) -> Option<Price> {
    (price != 0).then_some(Price::SqrtX64(price))
}

fn prices() -> impl Strategy<Value = u128> {
    prop_oneof![Just(0), any::<u128>()]
}

proptest! {
    #[test]
    fn creations_read_back(price in any::<u128>(), spacing in any::<u16>(), bump in any::<u8>(), opens in any::<Option<u64>>()) {
        let spacing = spacing.to_le_bytes();
        let price_bytes = price.to_le_bytes();
        let opens_bytes = opens.map_or(vec![0], |at| [&[1][..], &at.to_le_bytes()].concat());
        let plain = Call::new(INITIALIZE_POOL, of::INITIALIZE_POOL, &[&[bump], &spacing, &price_bytes]);
        let second = Call::new(INITIALIZE_POOL_V2, of::INITIALIZE_POOL_V2, &[&spacing, &price_bytes]);
        let adaptive = Call::new(
            INITIALIZE_ADAPTIVE,
            of::INITIALIZE_POOL_WITH_ADAPTIVE_FEE,
            &[&price_bytes, &opens_bytes],
        );
        for (call, len, opens_at) in [(plain, 19, None), (second, 18, None), (adaptive, 16 + opens_bytes.len(), opens)] {
            let expected = PoolCall {
                pool: call.key("whirlpool"),
                actor: call.key("funder"),
                action: PoolAction::Create(Create {
                    mint_a: call.key("token_mint_a"),
                    mint_b: call.key("token_mint_b"),
                    vault_a: call.key("token_vault_a"),
                    vault_b: call.key("token_vault_b"),
                    config: call.key("whirlpools_config"),
                    price: Some(Price::SqrtX64(price)),
                    opens_at,
                    ..Create::default()
                }),
            };
            // Signing vaults cannot hide; those of the first form sign as well.
            check(&call, len, &[expected]);
        }
    }

    #[test]
    fn swaps_read_back(amounts in any::<[u64; 2]>(), price in prices(), is_input in any::<bool>(), a_to_b in any::<bool>()) {
        let arguments: [&[u8]; 5] = [
            &amounts[0].to_le_bytes(),
            &amounts[1].to_le_bytes(),
            &price.to_le_bytes(),
            &[u8::from(is_input)],
            &[u8::from(a_to_b)],
        ];
        for (names, discriminator, has_mints) in [(SWAP, of::SWAP, false), (SWAP_V2, of::SWAP_V2, true)] {
            let call = Call::new(names, discriminator, &arguments);
            let sides = |a: &str, b: &str| {
                let (a, b) = (call.key(a), call.key(b));
                if a_to_b { (a, b) } else { (b, a) }
            };
            let (mint_in, mint_out) = if has_mints { sides("token_mint_a", "token_mint_b") } else { (None, None) };
            let (account_in, account_out) = sides("token_owner_account_a", "token_owner_account_b");
            check(&call, 34, &[PoolCall {
                pool: call.key("whirlpool"),
                actor: call.key("token_authority"),
                action: PoolAction::Swap(Swap {
                    amounts: exact(amounts[0], amounts[1], is_input),
                    way: Some(way(a_to_b)),
                    mint_in,
                    mint_out,
                    account_in,
                    account_out,
                    price_limit: limit(price),
                }),
            }]);
        }
    }

    #[test]
    fn a_swap_over_two_pools_is_two_swaps(
        amounts in any::<[u64; 2]>(), prices in [prices(), prices()], is_input in any::<bool>(), ways in any::<[bool; 2]>(),
    ) {
        let arguments: [&[u8]; 7] = [
            &amounts[0].to_le_bytes(),
            &amounts[1].to_le_bytes(),
            &[u8::from(is_input)],
            &[u8::from(ways[0])],
            &[u8::from(ways[1])],
            &prices[0].to_le_bytes(),
            &prices[1].to_le_bytes(),
        ];
        let [first, second] = if is_input {
            [SwapAmounts::FirstLeg { amount_in: amounts[0] }, SwapAmounts::LastLeg { out_min: amounts[1] }]
        } else {
            [SwapAmounts::Unknown, SwapAmounts::ExactOut { amount_out: amounts[0], in_max: u64::MAX }]
        };
        let leg = |call: &Call, at: usize, pool, amounts, mints: [Option<Key>; 2], accounts: [Option<Key>; 2]| PoolCall {
            pool: call.key(pool),
            actor: call.key("token_authority"),
            action: PoolAction::Swap(Swap {
                amounts,
                way: Some(way(ways[at])),
                mint_in: mints[0],
                mint_out: mints[1],
                account_in: accounts[0],
                account_out: accounts[1],
                price_limit: limit(prices[at]),
            }),
        };
        let call = Call::new(TWO_HOP, of::TWO_HOP_SWAP, &arguments);
        let sides = |at: usize, a: &str, b: &str| {
            let (a, b) = (call.key(a), call.key(b));
            if ways[at] { [a, b] } else { [b, a] }
        };
        let one = sides(0, "token_owner_account_one_a", "token_owner_account_one_b");
        let two = sides(1, "token_owner_account_two_a", "token_owner_account_two_b");
        check(&call, 51, &[
            leg(&call, 0, "whirlpool_one", first, [None, None], one),
            leg(&call, 1, "whirlpool_two", second, [None, None], two),
        ]);

        let call = Call::new(TWO_HOP_V2, of::TWO_HOP_SWAP_V2, &arguments);
        let middle = call.key("token_mint_intermediate");
        check(&call, 51, &[
            leg(
                &call,
                0,
                "whirlpool_one",
                first,
                [call.key("token_mint_input"), middle],
                [call.key("token_owner_account_input"), None],
            ),
            leg(
                &call,
                1,
                "whirlpool_two",
                second,
                [middle, call.key("token_mint_output")],
                [None, call.key("token_owner_account_output")],
            ),
        ]);
    }

    #[test]
    fn liquidity_reads_back(share in any::<u128>(), limits in any::<[u64; 4]>(), prices in any::<[u128; 2]>()) {
        let bytes = limits.map(u64::to_le_bytes);
        let change = |share, limit_a, limit_b| Liquidity { share, limit_a, limit_b };
        let moved = |call: &Call, action| PoolCall {
            pool: call.key("whirlpool"),
            actor: call.key("position_authority"),
            action,
        };
        let arguments: [&[u8]; 3] = [&share.to_le_bytes(), &bytes[0], &bytes[1]];
        let plain = change(share, limits[0], limits[1]);
        for (names, discriminator, action) in [
            (LIQUIDITY, of::INCREASE_LIQUIDITY, PoolAction::Deposit(plain)),
            (LIQUIDITY_V2, of::INCREASE_LIQUIDITY_V2, PoolAction::Deposit(plain)),
            (LIQUIDITY, of::DECREASE_LIQUIDITY, PoolAction::Withdraw(plain)),
            (LIQUIDITY_V2, of::DECREASE_LIQUIDITY_V2, PoolAction::Withdraw(plain)),
        ] {
            let call = Call::new(names, discriminator, &arguments);
            check(&call, 32, &[moved(&call, action)]);
        }

        let prices = prices.map(u128::to_le_bytes);
        let arguments: [&[u8]; 5] = [&[0], &bytes[0], &bytes[1], &prices[0], &prices[1]];
        let call = Call::new(LIQUIDITY_V2, of::INCREASE_LIQUIDITY_BY_TOKEN_AMOUNTS_V2, &arguments);
        let deposit = PoolAction::Deposit(change(0, limits[0], limits[1]));
        check(&call, 49, &[moved(&call, deposit)]);

        let arguments: [&[u8]; 8] = [
            &(-640i32).to_le_bytes(),
            &640i32.to_le_bytes(),
            &[0],
            &share.to_le_bytes(),
            &bytes[0],
            &bytes[1],
            &bytes[2],
            &bytes[3],
        ];
        let call = Call::new(REPOSITION, of::REPOSITION_LIQUIDITY_V2, &arguments);
        check(&call, 57, &[
            moved(&call, PoolAction::Withdraw(change(0, limits[0], limits[1]))),
            moved(&call, PoolAction::Deposit(change(share, limits[2], limits[3]))),
        ]);
    }

    #[test]
    fn any_other_data_is_passed_over(discriminator in any::<u64>(), data in prop::collection::vec(any::<u8>(), 0..80)) {
        let call = Call::new(TWO_HOP_V2, discriminator, &[&data]);
        prop_assert_eq!(read(&call, false).0, []);
        // A discriminator that is read with whatever behind it is read or refused.
        for known in [of::SWAP, of::SWAP_V2, of::TWO_HOP_SWAP, of::TWO_HOP_SWAP_V2, of::REPOSITION_LIQUIDITY_V2] {
            let (calls, decoded) = read(&Call::new(TWO_HOP_V2, known, &[&data]), false);
            prop_assert_eq!(calls.is_empty(), decoded.rejected.iter().sum::<u32>() == 1);
        }
    }
}

#[test]
fn unknown_methods_are_refused() {
    let rest = [0; 80];
    let by_amounts = [1];
    let reposition = [0, 0, 0, 0, 0, 0, 0, 0, 1];
    let opening = [[0; 16].as_slice(), &[2]].concat();
    for (names, discriminator, head) in [
        (
            LIQUIDITY_V2,
            of::INCREASE_LIQUIDITY_BY_TOKEN_AMOUNTS_V2,
            &by_amounts[..],
        ),
        (REPOSITION, of::REPOSITION_LIQUIDITY_V2, &reposition),
        (
            INITIALIZE_ADAPTIVE,
            of::INITIALIZE_POOL_WITH_ADAPTIVE_FEE,
            &opening,
        ),
    ] {
        let call = Call::new(names, discriminator, &[head, &rest]);
        let (calls, decoded) = read(&call, false);
        let refused = decoded.rejected[DecodeReject::BadArgument as usize];
        assert_eq!((calls.len(), refused), (0, 1), "{names}");
    }
}

#[test]
fn what_moves_no_pool_is_ignored() {
    // `open_position`, `close_position`, `collect_fees`, `initialize_tick_array`, `update_fees_and_rewards`,
    // `set_fee_rate`: SHA-256 over `global:<name>`.
    for discriminator in [
        0x8780_2f4d_0f98_f031u64,
        0x7b86_5100_3144_6262,
        0xa498_cf63_1eba_13b6,
        0x0bbc_c1d6_8d5b_95b8,
        0x9ae6_fa0d_ecd1_4bdf,
        0x35f3_8941_088c_9e06,
    ] {
        let call = Call::new(TWO_HOP_V2, discriminator.swap_bytes(), &[&[0; 80]]);
        let (calls, decoded) = read(&call, false);
        let ignored = decoded.rejected[DecodeReject::OtherInstruction as usize];
        assert_eq!((calls.len(), ignored), (0, 1), "{discriminator:x}");
    }
}
