//! The bundle builder's bytes against those of the official crates, and of Pump's own client.
//!
//! Inside its class (writable signer, readonly signer, writable, readonly) the order of keys is free, so
//! messages are compared with indices resolved: the same header, the same keys per class, the same
//! instructions.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use bundle::{
    Builder, BuilderConfig, BundleCell, ComputeBudget, RecentBlockhash, Signer, WireVersion, pda,
};
use market::{Lamports, Mint, PumpAccounts, Side, TokenAmount};
use risk::{Approved, Control, Fill, Gate, Limits, Mode};
use serde_json::Value;
use shred_wire::{Nanos, Slot};
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_hash::Hash;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_message::v1::TransactionConfig;
use solana_message::{VersionedMessage, v0, v1};
use solana_pubkey::Pubkey;
use solana_signer::Signer as _;
use solana_transaction::versioned::VersionedTransaction;
use strategy::{Intent, LaneClass, Origin, Venue};

const TIP_ACCOUNT: [u8; 32] = [0x71; 32];
const TIP: u64 = 12_345;
const BLOCKHASH: RecentBlockhash = RecentBlockhash {
    hash: [0xbb; 32],
    slot: Slot(9),
};
const BUDGET: ComputeBudget = ComputeBudget {
    unit_limit: 234_567,
    unit_price_micro_lamports: 89_012,
    loaded_accounts_data_size_limit: 3_456_789,
};

#[test]
fn every_trade_is_the_one_pumps_client_builds() {
    let golden = include_str!("../fixtures/pump/trades.jsonl");
    let mut compared = 0;
    for line in golden.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        for (name, venue, side) in [
            ("buy_v3", Venue::PumpV3, Side::Buy),
            ("sell_v3", Venue::PumpV3, Side::Sell),
            ("buy_v2", Venue::PumpV2, Side::Buy),
            ("sell_v2", Venue::PumpV2, Side::Sell),
        ] {
            let Some(instructions) = case[name].as_array() else {
                continue;
            };
            let mut trade: Vec<Instruction> = instructions.iter().map(instruction).collect();
            if side == Side::Buy {
                // The client asks for a partial fill, we never do.
                assert_eq!(trade[1].data.pop(), Some(1));
                trade[1].data.push(0);
            }
            for version in [WireVersion::V0, WireVersion::V1] {
                for lane in [LaneClass::PrivateBundle, LaneClass::Public] {
                    check(&case, venue, side, version, lane, &trade);
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, (12 * 2 + 6 * 2) * 4);
}

/// Builds the case and holds the bytes to the official compiler's message of `trade`.
fn check(
    case: &Value,
    venue: Venue,
    side: Side,
    version: WireVersion,
    lane: LaneClass,
    trade: &[Instruction],
) {
    let seed = [case["seed"].as_u64().unwrap() as u8; 32];
    let config = BuilderConfig {
        version,
        entry_budget: BUDGET,
        exit_budget: BUDGET,
        tip_accounts: vec![TIP_ACCOUNT],
        fee_recipients: vec![key(&case["fee_recipient"])],
        buyback_fee_recipients: vec![key(&case["buyback_fee_recipient"])],
        ..BuilderConfig::default()
    };
    let mut builder = Builder::new(&config, Signer::from_seed(&seed).unwrap()).unwrap();
    let mut cell = BundleCell::new();
    builder
        .build(&approve(case, venue, side, lane), &BLOCKHASH, &mut cell)
        .unwrap();

    let bytes = cell.transaction(0).unwrap();
    let ours: VersionedTransaction = wincode::deserialize(bytes).unwrap();
    assert_eq!(wincode::serialize(&ours).unwrap(), bytes, "one encoding");
    ours.sanitize().unwrap();
    assert_eq!(ours.verify_with_results(), [true]);
    let user = Keypair::new_from_array(seed);
    assert_eq!(
        ours.signatures,
        [user.sign_message(cell.message(0).unwrap())],
        "deterministic, RFC 8032"
    );
    assert_eq!(ours.message.serialize(), cell.message(0).unwrap());

    let theirs = official(&user.pubkey(), version, lane, trade);
    assert_eq!(ours.message.header(), theirs.header());
    assert_eq!(ours.message.recent_blockhash(), theirs.recent_blockhash());
    assert_eq!(classes(&ours.message), classes(&theirs));
    assert_eq!(resolved(&ours.message), resolved(&theirs));
    assert_eq!(ours.message.serialize().len(), theirs.serialize().len());
    match (&ours.message, &theirs) {
        (VersionedMessage::V0(ours), VersionedMessage::V0(_)) => {
            assert!(ours.address_table_lookups.is_empty())
        }
        (VersionedMessage::V1(ours), VersionedMessage::V1(theirs)) => {
            assert_eq!(ours.config, theirs.config)
        }
        _ => panic!("another version"),
    }
}

/// The same transaction written with the official builders and compiled by the official compiler.
fn official(
    user: &Pubkey,
    version: WireVersion,
    lane: LaneClass,
    trade: &[Instruction],
) -> VersionedMessage {
    let mut instructions = trade.to_vec();
    if lane != LaneClass::Public {
        instructions.push(solana_system_interface::instruction::transfer(
            user,
            &TIP_ACCOUNT.into(),
            TIP,
        ));
    }
    let hash = Hash::new_from_array(BLOCKHASH.hash);
    match version {
        WireVersion::V0 => {
            let budget = [
                ComputeBudgetInstruction::set_compute_unit_limit(BUDGET.unit_limit),
                ComputeBudgetInstruction::set_compute_unit_price(BUDGET.unit_price_micro_lamports),
                ComputeBudgetInstruction::set_loaded_accounts_data_size_limit(
                    BUDGET.loaded_accounts_data_size_limit,
                ),
            ];
            let all = [&budget[..], &instructions].concat();
            VersionedMessage::V0(v0::Message::try_compile(user, &all, &[], hash).unwrap())
        }
        WireVersion::V1 => {
            let fee = (u128::from(BUDGET.unit_limit)
                * u128::from(BUDGET.unit_price_micro_lamports))
            .div_ceil(1_000_000);
            let config = TransactionConfig::empty()
                .with_priority_fee(fee as u64)
                .with_compute_unit_limit(BUDGET.unit_limit)
                .with_loaded_accounts_data_size_limit(BUDGET.loaded_accounts_data_size_limit);
            VersionedMessage::V1(
                v1::Message::try_compile_with_config(user, &instructions, hash, config).unwrap(),
            )
        }
    }
}

/// Keys by class: writable signers, readonly signers, writable, readonly; the payer apart.
fn classes(message: &VersionedMessage) -> (Pubkey, [BTreeSet<Pubkey>; 4]) {
    let keys = message.static_account_keys();
    let header = message.header();
    let signed = usize::from(header.num_required_signatures);
    let writable_signed = signed - usize::from(header.num_readonly_signed_accounts);
    let writable = keys.len() - usize::from(header.num_readonly_unsigned_accounts);
    let set = |range: std::ops::Range<usize>| keys[range].iter().copied().collect();
    (
        keys[0],
        [
            set(0..writable_signed),
            set(writable_signed..signed),
            set(signed..writable),
            set(writable..keys.len()),
        ],
    )
}

/// Program, accounts and data of every instruction, without indices.
fn resolved(message: &VersionedMessage) -> Vec<(Pubkey, Vec<Pubkey>, Vec<u8>)> {
    let keys = message.static_account_keys();
    let at = |index: u8| keys[usize::from(index)];
    let of = |found: &solana_message::compiled_instruction::CompiledInstruction| {
        (
            at(found.program_id_index),
            found.accounts.iter().map(|&index| at(index)).collect(),
            found.data.clone(),
        )
    };
    message.instructions().iter().map(of).collect()
}

/// The intent of a case, through the gate. A launch carries only what a launch shows.
fn approve(case: &Value, venue: Venue, side: Side, lane: LaneClass) -> Approved {
    let (quote, tokens) = (
        case["quote"].as_u64().unwrap(),
        case["tokens"].as_u64().unwrap(),
    );
    let (mint, token_program) = (key(&case["mint"]), key(&case["token_program"]));
    let bonding_curve = pda::bonding_curve(&mint).unwrap();
    let accounts = PumpAccounts {
        mint: Mint(mint),
        bonding_curve,
        associated_bonding_curve: pda::associated_token_account(
            &bonding_curve,
            &token_program,
            &mint,
        )
        .unwrap(),
        token_program,
        quote_mint: market::pump::WRAPPED_SOL,
        creator: key(&case["creator"]),
        associated_quote_bonding_curve: None,
        creator_vault: None,
        associated_creator_vault: None,
        sharing_config: None,
        fee_recipient: None,
        buyback_fee_recipient: None,
    };
    let buys = side == Side::Buy;
    let intent = Intent {
        id: 1,
        origin: Origin::Launch,
        venue,
        lane,
        side,
        mint: accounts.mint,
        spend: Lamports(if buys { quote } else { 0 }),
        tokens: TokenAmount(tokens),
        receive_min: Lamports(if buys { 0 } else { quote }),
        tip: Lamports(if lane == LaneClass::Public { 0 } else { TIP }),
        slot: Slot(1),
        at: Nanos(1),
        accounts,
    };
    let most = Lamports(u64::MAX);
    let limits = Limits {
        per_trade_max: most,
        open_notional_max: most,
        tip_max: most,
        ..Limits::default()
    };
    let mut gate = Gate::new(limits, Arc::new(Control::new(Mode::Active))).unwrap();
    if !buys {
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

fn instruction(value: &Value) -> Instruction {
    let meta = |account: &Value| {
        let flags = account[1].as_u64().unwrap();
        AccountMeta {
            pubkey: key(&account[0]).into(),
            is_signer: flags & 1 != 0,
            is_writable: flags & 2 != 0,
        }
    };
    let data = value[2].as_str().unwrap();
    Instruction {
        program_id: key(&value[0]).into(),
        accounts: value[1].as_array().unwrap().iter().map(meta).collect(),
        data: (0..data.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&data[at..at + 2], 16).unwrap())
            .collect(),
    }
}

fn key(value: &Value) -> [u8; 32] {
    bs58::decode(value.as_str().unwrap())
        .into_vec()
        .unwrap()
        .try_into()
        .unwrap()
}

/// Goal: our derivation is the official one, bump and all, for seeds of every shape.
#[test]
fn derived_addresses_are_the_official_ones() {
    let mut random = SplitMix(7);
    let mut bumps = BTreeSet::new();
    for _ in 0..1_000 {
        let program: [u8; 32] = random.array();
        let count = random.next() as usize % 16;
        let seeds: Vec<Vec<u8>> = (0..count)
            .map(|_| random.array::<32>()[..random.next() as usize % 33].to_vec())
            .collect();
        let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
        let (address, bump) = Pubkey::find_program_address(&seeds, &program.into());
        assert_eq!(
            pda::find_program_address(&seeds, &program),
            Some((address.to_bytes(), bump))
        );
        assert!(!address.is_on_curve());
        bumps.insert(bump);
    }
    assert!(
        bumps.len() > 4,
        "more than the first bump was tried: {bumps:?}"
    );
    for _ in 0..2_000 {
        let bytes: [u8; 32] = random.array();
        assert_eq!(pda::is_on_curve(&bytes), Pubkey::from(bytes).is_on_curve());
    }
}

struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }
}
