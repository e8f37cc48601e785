//! Goal: every CLMM instruction that moves a pool reads back as what it asks for, and no other does.
//! Method: each instruction with the program's own account order by name and random arguments, in the open and with
//! accounts hidden behind a lookup table; every account list and argument cut short; every other discriminator.

use crate::common::transaction;
use market::event::{Create, Liquidity, Price, Swap, SwapAmounts, Way};
use market::raydium_clmm::discriminator as of;
use market::{
    DecodeReject, Decoded, Key, LookupTables, MarketEvent, PoolAction, PoolCall, Program, decode,
};
use proptest::prelude::*;
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

// Account orders: raydium-io/raydium-clmm at 03b44b7, `instructions/` and `instructions/limit_order/`.
// A `*` marks signers.
const CREATE: &str = "pool_creator* amm_config pool_state token_mint_0 token_mint_1 token_vault_0 token_vault_1 \
    observation_state tick_array_bitmap token_program_0 token_program_1 system_program rent";
const SWAP: &str = "payer* amm_config pool_state input_token_account output_token_account input_vault output_vault \
    observation_state token_program tick_array";
const SWAP_V2: &str = "payer* amm_config pool_state input_token_account output_token_account input_vault \
    output_vault observation_state token_program token_program_2022 memo_program input_vault_mint output_vault_mint";
const ROUTER: &str = "payer* input_token_account input_token_mint token_program token_program_2022 memo_program \
    amm_config pool_state output_token_account input_vault output_vault output_token_mint observation_state";
const OPEN: &str = "payer* position_nft_owner position_nft_mint* position_nft_account metadata_account pool_state \
    protocol_position tick_array_lower tick_array_upper personal_position token_account_0 token_account_1 \
    token_vault_0 token_vault_1 rent system_program token_program associated_token_program metadata_program";
const OPEN_V2: &str = "payer* position_nft_owner position_nft_mint* position_nft_account metadata_account pool_state \
    protocol_position tick_array_lower tick_array_upper personal_position token_account_0 token_account_1 \
    token_vault_0 token_vault_1 rent system_program token_program associated_token_program metadata_program \
    token_program_2022 vault_0_mint vault_1_mint";
const OPEN_TOKEN22: &str = "payer* position_nft_owner position_nft_mint* position_nft_account pool_state \
    protocol_position tick_array_lower tick_array_upper personal_position token_account_0 token_account_1 \
    token_vault_0 token_vault_1 rent system_program token_program associated_token_program token_program_2022 \
    vault_0_mint vault_1_mint";
const INCREASE: &str = "nft_owner* nft_account pool_state protocol_position personal_position tick_array_lower \
    tick_array_upper token_account_0 token_account_1 token_vault_0 token_vault_1 token_program";
const INCREASE_V2: &str = "nft_owner* nft_account pool_state protocol_position personal_position tick_array_lower \
    tick_array_upper token_account_0 token_account_1 token_vault_0 token_vault_1 token_program token_program_2022 \
    vault_0_mint vault_1_mint";
const DECREASE: &str = "nft_owner* nft_account personal_position pool_state protocol_position token_vault_0 \
    token_vault_1 tick_array_lower tick_array_upper recipient_token_account_0 recipient_token_account_1 token_program";
const DECREASE_V2: &str = "nft_owner* nft_account personal_position pool_state protocol_position token_vault_0 \
    token_vault_1 tick_array_lower tick_array_upper recipient_token_account_0 recipient_token_account_1 \
    token_program token_program_2022 memo_program vault_0_mint vault_1_mint";
const OPEN_ORDER: &str = "payer* pool_state tick_array limit_order_nonce limit_order input_token_account \
    input_vault input_vault_mint input_token_program system_program";
const INCREASE_ORDER: &str = "owner* pool_state tick_array limit_order input_token_account input_vault \
    input_vault_mint input_token_program";
const DECREASE_ORDER: &str = "owner* pool_state tick_array limit_order input_token_account output_token_account \
    input_vault output_vault input_vault_mint output_vault_mint token_program token_program_2022";
const SETTLE_ORDER: &str = "signer* pool_state tick_array limit_order output_token_account output_vault \
    output_vault_mint output_token_program";

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
            program: *Program::RaydiumClmm.id(),
            data: [&discriminator.to_le_bytes(), &arguments.concat()[..]].concat(),
            accounts: accounts.collect(),
        };
        let names = names.into_iter().map(|name| name.trim_end_matches('*'));
        Self {
            names: names.collect(),
            instruction,
        }
    }

    fn at(&self, name: &str) -> usize {
        self.names.iter().position(|known| *known == name).unwrap()
    }

    fn key(&self, name: &str) -> Option<Key> {
        Some(self.instruction.accounts[self.at(name)].0)
    }

    /// Appends accounts without a name.
    fn with_more(mut self, count: usize) -> Self {
        let first = self.instruction.accounts.len() as u8 + 1;
        let more = (first..).take(count).map(|at| ([at; 32], false, true));
        self.instruction.accounts.extend(more);
        self
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
                    (Program::RaydiumClmm, None)
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
            (create.vault_a, create.vault_b) = (None, None);
        }
        PoolAction::Swap(swap) => {
            (swap.mint_in, swap.mint_out, swap.way) = (None, None, None);
            (swap.account_in, swap.account_out) = (None, None);
        }
        _ => {}
    }
    call
}

/// Reads back as `expected`, in the open and hidden, and is refused when an account or an argument is missing.
fn check(call: &Call, argument_len: usize, expected: PoolCall) {
    assert_eq!(read(call, false).0, [expected]);
    assert_eq!(read(call, true).0, [hidden(expected)]);
    let refused = |call: &Call, reason: DecodeReject| {
        let (calls, decoded) = read(call, false);
        assert_eq!(
            (calls.len(), decoded.rejected[reason as usize]),
            (0, 1),
            "{reason:?}"
        );
    };
    let mut fewer = call.clone();
    fewer.instruction.accounts.truncate(call.names.len() - 1);
    refused(&fewer, DecodeReject::MissingAccounts);
    if argument_len > 0 {
        let mut shorter = call.clone();
        shorter.instruction.data.truncate(8 + argument_len - 1);
        refused(&shorter, DecodeReject::ShortData);
    }
    let mut longer = call.clone();
    longer.instruction.data.push(0);
    assert_eq!(
        read(&longer, false).0,
        [expected],
        "what follows is not ours to read"
    );
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

fn prices() -> impl Strategy<Value = u128> {
    prop_oneof![Just(0), any::<u128>()]
}

proptest! {
    #[test]
    fn creations_read_back(price in any::<u128>(), opens in any::<u64>(), fee_on in 0u8..3, is_dynamic in any::<bool>()) {
        let price_bytes = price.to_le_bytes();
        let plain = Call::new(CREATE, of::CREATE_POOL, &[&price_bytes, &opens.to_le_bytes()]);
        let custom = Call::new(
            CREATE,
            of::CREATE_CUSTOMIZABLE_POOL,
            &[&price_bytes, &[fee_on], &[u8::from(is_dynamic)]],
        );
        for (call, len, opens_at) in [(plain, 24, Some(opens)), (custom, 18, None)] {
            let expected = PoolCall {
                pool: call.key("pool_state"),
                actor: call.key("pool_creator"),
                action: PoolAction::Create(Create {
                    mint_a: call.key("token_mint_0"),
                    mint_b: call.key("token_mint_1"),
                    vault_a: call.key("token_vault_0"),
                    vault_b: call.key("token_vault_1"),
                    config: call.key("amm_config"),
                    price: Some(Price::SqrtX64(price)),
                    opens_at,
                    ..Create::default()
                }),
            };
            check(&call, len, expected);
        }
    }

    #[test]
    fn swaps_read_back(
        amounts in any::<[u64; 2]>(), price in prices(), is_input in any::<bool>(), is_down in any::<bool>(), more in 0usize..5,
    ) {
        let arguments: [&[u8]; 4] = [
            &amounts[0].to_le_bytes(),
            &amounts[1].to_le_bytes(),
            &price.to_le_bytes(),
            &[u8::from(is_input)],
        ];
        for (names, discriminator, has_mints) in [(SWAP, of::SWAP, false), (SWAP_V2, of::SWAP_V2, true)] {
            let mut call = Call::new(names, discriminator, &arguments).with_more(more);
            if has_mints && !is_down {
                let (one, other) = (call.at("input_vault_mint"), call.at("output_vault_mint"));
                call.instruction.accounts.swap(one, other);
            }
            let mint = |name| if has_mints { call.key(name) } else { None };
            let (mint_in, mint_out) = (mint("input_vault_mint"), mint("output_vault_mint"));
            // The mint of side 0 has the lesser address.
            let way = if is_down { Way::AToB } else { Way::BToA };
            check(&call, 33, PoolCall {
                pool: call.key("pool_state"),
                actor: call.key("payer"),
                action: PoolAction::Swap(Swap {
                    amounts: exact(amounts[0], amounts[1], is_input),
                    way: has_mints.then_some(way),
                    mint_in,
                    mint_out,
                    account_in: call.key("input_token_account"),
                    account_out: call.key("output_token_account"),
                    price_limit: (price != 0).then_some(Price::SqrtX64(price)),
                }),
            });
        }
    }

    #[test]
    fn a_route_reads_as_its_first_pool(amounts in any::<[u64; 2]>(), more in 0usize..12) {
        let arguments: [&[u8]; 2] = [&amounts[0].to_le_bytes(), &amounts[1].to_le_bytes()];
        let call = Call::new(ROUTER, of::SWAP_ROUTER_BASE_IN, &arguments).with_more(more);
        // With a tick array, seven accounts and another tick array there can be a second pool.
        let amounts = if more < 9 {
            exact(amounts[0], amounts[1], true)
        } else {
            SwapAmounts::FirstLeg { amount_in: amounts[0] }
        };
        check(&call, 16, PoolCall {
            pool: call.key("pool_state"),
            actor: call.key("payer"),
            action: PoolAction::Swap(Swap {
                amounts,
                way: Some(Way::AToB),
                mint_in: call.key("input_token_mint"),
                mint_out: call.key("output_token_mint"),
                account_in: call.key("input_token_account"),
                account_out: call.key("output_token_account"),
                price_limit: None,
            }),
        });
    }

    #[test]
    fn liquidity_reads_back(share in any::<u128>(), limits in any::<[u64; 2]>(), range in any::<[i32; 4]>()) {
        let range: Vec<u8> = range.into_iter().flat_map(i32::to_le_bytes).collect();
        let share_bytes = share.to_le_bytes();
        let (first, second) = (limits[0].to_le_bytes(), limits[1].to_le_bytes());
        let opening: [&[u8]; 4] = [&range, &share_bytes, &first, &second];
        let change = Liquidity { share, limit_a: limits[0], limit_b: limits[1] };
        let (deposit, withdraw) = (PoolAction::Deposit(change), PoolAction::Withdraw(change));
        for (names, discriminator, arguments, actor, action) in [
            (OPEN, of::OPEN_POSITION, &opening[..], "payer", deposit),
            (OPEN_V2, of::OPEN_POSITION_V2, &opening, "payer", deposit),
            (OPEN_TOKEN22, of::OPEN_POSITION_WITH_TOKEN22_NFT, &opening, "payer", deposit),
            (INCREASE, of::INCREASE_LIQUIDITY, &opening[1..], "nft_owner", deposit),
            (INCREASE_V2, of::INCREASE_LIQUIDITY_V2, &opening[1..], "nft_owner", deposit),
            (DECREASE, of::DECREASE_LIQUIDITY, &opening[1..], "nft_owner", withdraw),
            (DECREASE_V2, of::DECREASE_LIQUIDITY_V2, &opening[1..], "nft_owner", withdraw),
        ] {
            let call = Call::new(names, discriminator, arguments);
            let expected = PoolCall { pool: call.key("pool_state"), actor: call.key(actor), action };
            check(&call, arguments.concat().len(), expected);
        }
    }

    #[test]
    fn limit_orders_read_as_what_they_put_in_and_take_out(
        amounts in any::<[u64; 2]>(), tick in any::<i32>(), sells_0 in any::<bool>(), nonce in any::<u8>(),
    ) {
        let (first, second) = (amounts[0].to_le_bytes(), amounts[1].to_le_bytes());
        let tick = tick.to_le_bytes();
        let side = [u8::from(sells_0)];
        let nonce = [nonce];
        let opening: [&[u8]; 4] = [&nonce, &side, &tick, &first];
        let (limit_a, limit_b) = if sells_0 { (amounts[0], 0) } else { (0, amounts[0]) };
        let put_in = PoolAction::Deposit(Liquidity { share: 0, limit_a, limit_b });
        let unsaid = Liquidity::default();
        for (names, discriminator, arguments, actor, action) in [
            (OPEN_ORDER, of::OPEN_LIMIT_ORDER, &opening[..], "payer", put_in),
            (INCREASE_ORDER, of::INCREASE_LIMIT_ORDER, &[&first], "owner", PoolAction::Deposit(unsaid)),
            (DECREASE_ORDER, of::DECREASE_LIMIT_ORDER, &[&first, &second], "owner", PoolAction::Withdraw(unsaid)),
            (SETTLE_ORDER, of::SETTLE_LIMIT_ORDER, &[], "signer", PoolAction::Withdraw(unsaid)),
        ] {
            let call = Call::new(names, discriminator, arguments);
            let expected = PoolCall { pool: call.key("pool_state"), actor: call.key(actor), action };
            check(&call, arguments.concat().len(), expected);
        }
    }

    #[test]
    fn any_other_data_is_passed_over(discriminator in any::<u64>(), data in prop::collection::vec(any::<u8>(), 0..80)) {
        let call = Call::new(OPEN_V2, discriminator, &[&data]);
        prop_assert_eq!(read(&call, false).0, []);
        // A discriminator that is read with whatever behind it is read or refused.
        for known in [of::SWAP, of::SWAP_V2, of::SWAP_ROUTER_BASE_IN, of::OPEN_POSITION_V2, of::OPEN_LIMIT_ORDER] {
            let (calls, decoded) = read(&Call::new(OPEN_V2, known, &[&data]), false);
            prop_assert_eq!(calls.is_empty(), decoded.rejected.iter().sum::<u32>() == 1);
        }
    }
}

#[test]
fn what_moves_no_pool_is_ignored() {
    // `close_position`, `close_limit_order`, `collect_protocol_fee`, `update_pool_status`, `update_reward_infos`:
    // SHA-256 over `global:<name>`.
    for discriminator in [
        0x7b86_5100_3144_6262u64,
        0x4c7c_800f_d557_25fa,
        0x8888_fcdd_c242_7e59,
        0x8257_6c06_2ee0_757b,
        0xa3ac_e034_0b9a_6adf,
    ] {
        let call = Call::new(OPEN_V2, discriminator.swap_bytes(), &[&[0; 80]]);
        let (calls, decoded) = read(&call, false);
        let ignored = decoded.rejected[DecodeReject::OtherInstruction as usize];
        assert_eq!((calls.len(), ignored), (0, 1), "{discriminator:x}");
    }
}
