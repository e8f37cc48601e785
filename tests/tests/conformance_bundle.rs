//! The bundle builder's bytes against those of the official crates, of Pump's own client, and for Raydium's venues of
//! another trader's.
//!
//! Inside its class (writable signer, readonly signer, writable, readonly) the order of keys is free, so
//! messages are compared with indices resolved: the same header, the same keys per class, the same
//! instructions, and the same keys behind a lookup table.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use agave_transaction_view::sanitize::SanitizeConfig;
use agave_transaction_view::transaction_view::TransactionView;
use bundle::{
    Builder, BuilderConfig, BundleCell, ComputeBudget, LookupTable, RecentBlockhash, Signer,
    UnitLimits, WireVersion, pda,
};
use market::{
    Lamports, LaunchLabAccounts, Mint, PumpAccounts, PumpSwapAccounts, RaydiumAmmAccounts,
    RaydiumCpAccounts, Side, TokenAmount, VenueAccounts,
};
use risk::{Approved, Control, Fill, Gate, Limits, Mode};
use serde_json::Value;
use shred_wire::txn::{V1_HEAP_LEN_MAX, V1_HEAP_LEN_MIN};
use shred_wire::{Nanos, Slot};
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_hash::Hash;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_message::v1::TransactionConfig;
use solana_message::{AddressLookupTableAccount, VersionedMessage, v0, v1};
use solana_pubkey::Pubkey;
use solana_signer::Signer as _;
use solana_transaction::versioned::VersionedTransaction;
use strategy::{Intent, LaneClass, Origin, Venue};

const TIP_ACCOUNT: [u8; 32] = [0x71; 32];
const TIP: u64 = 12_345;
/// What a single private transaction transfers of it; the rest is priority fee.
const TIP_OF_SPLIT: u64 = 3_703;
/// What a guarded transaction leaves in the wallet.
const FLOOR: u64 = 67_890;
/// Slots that a guarded transaction may wait.
const SLOTS: u64 = 5;
const LANES: [LaneClass; LaneClass::COUNT] = [
    LaneClass::PrivateBundle,
    LaneClass::PrivateTransaction,
    LaneClass::Public,
    LaneClass::PriorityBundle,
];
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
            let limit = case["quote"].as_u64().unwrap();
            let accounts = pump_accounts(&case).into();
            for version in [WireVersion::V0, WireVersion::V1] {
                for lane in LANES {
                    let intent = intent(&case, venue, side, lane, limit, accounts);
                    check(&case, intent, version, false, &trade);
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, (12 * 2 + 6 * 2) * 8);
}

#[test]
fn every_pool_trade_is_the_one_others_build() {
    let swap = include_str!("../fixtures/pools/pump_swap.jsonl");
    let raydium = include_str!("../fixtures/pools/raydium.jsonl");
    let mut compared = 0;
    for line in swap.lines().chain(raydium.lines()) {
        let case: Value = serde_json::from_str(line).unwrap();
        for (name, venue) in [
            ("pump_swap", Venue::PumpSwap),
            ("raydium_amm", Venue::RaydiumAmm),
            ("raydium_cp", Venue::RaydiumCp),
            ("launchlab", Venue::LaunchLab),
        ] {
            for (way, side) in [("buy", Side::Buy), ("sell", Side::Sell)] {
                let Some(instructions) = case[format!("{name}_{way}")].as_array() else {
                    continue;
                };
                let trade: Vec<Instruction> = instructions.iter().map(instruction).collect();
                let minimum = &case[format!("{name}_minimum")];
                let limit = match (side, minimum.as_u64()) {
                    (Side::Sell, Some(minimum)) => minimum,
                    _ => case["quote"].as_u64().unwrap(),
                };
                for version in [WireVersion::V0, WireVersion::V1] {
                    for lane in LANES {
                        let accounts = pool_accounts(&case, venue);
                        let intent = intent(&case, venue, side, lane, limit, accounts);
                        check(&case, intent, version, false, &trade);
                        compared += 1;
                    }
                }
            }
        }
    }
    // Eight cases a venue; AMM v4 has four, since it knows SPL Token only.
    assert_eq!(compared, (8 + 4 + 8 + 8) * 2 * 8);
}

/// Goal: guards and the mark stand where they should and change nothing else.
#[test]
fn a_guarded_trade_is_the_same_trade_between_its_guards() {
    let raydium = include_str!("../fixtures/pools/raydium.jsonl");
    for line in raydium.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let list = case["launchlab_buy"].as_array().unwrap();
        let mut trade = vec![instruction(&case["slot_guard"])];
        trade.extend(list.iter().map(instruction));
        for version in [WireVersion::V0, WireVersion::V1] {
            let limit = case["quote"].as_u64().unwrap();
            let accounts = pool_accounts(&case, Venue::LaunchLab);
            let (side, lane) = (Side::Buy, LaneClass::PrivateBundle);
            let intent = intent(&case, Venue::LaunchLab, side, lane, limit, accounts);
            check(&case, intent, version, true, &trade);
        }
    }
}

/// Holds the bytes to the official compiler's message of `trade`, without a lookup table and with some.
fn check(case: &Value, intent: Intent, version: WireVersion, guards: bool, trade: &[Instruction]) {
    check_with(case, intent, version, guards, trade, None);
    let mut random = SplitMix(case["seed"].as_u64().unwrap() << 8 | intent.venue as u64);
    for _ in 0..3 {
        let table = Table::draw(&mut random, case, &intent, trade);
        check_with(case, intent, version, guards, trade, Some(&table));
    }
}

/// A lookup table of whatever there is, by chance.
struct Table {
    /// As we are handed it.
    ours: LookupTable,
    /// With strangers where ours holds what an intent says: that, we leave in sight.
    official: AddressLookupTableAccount,
}

impl Table {
    fn draw(random: &mut SplitMix, case: &Value, intent: &Intent, trade: &[Instruction]) -> Self {
        let wallet = Keypair::new_from_array([case["seed"].as_u64().unwrap() as u8; 32]).pubkey();
        let wallet = wallet.to_bytes();
        let accumulator = pda::user_volume_accumulator(&wallet).unwrap();
        let named = BuilderConfig::default().lookup_addresses().unwrap();
        let said = [TIP_ACCOUNT, intent.mint.0];
        let mut pool: Vec<[u8; 32]> = named.into_iter().map(|(key, _)| key).collect();
        pool.extend([
            wallet,
            pda::wrapped_sol_account(&wallet).unwrap(),
            accumulator,
        ]);
        pool.extend(pda::wrapped_sol_account(&accumulator));
        pool.extend(trade.iter().map(|called| called.program_id.to_bytes()));
        pool.extend(said);
        pool.extend((0..8).map(|_| random.array::<32>()));
        let count = random.next() as usize % (2 * pool.len());
        let drawn = (0..count).map(|_| pool[random.next() as usize % pool.len()]);
        let addresses: Vec<[u8; 32]> = drawn.collect();
        let official = addresses.iter().map(|key| match said.contains(key) {
            true => [0xee; 32].into(),
            false => Pubkey::from(*key),
        });
        let key = random.array();
        Self {
            official: AddressLookupTableAccount {
                key: key.into(),
                addresses: official.collect(),
            },
            ours: LookupTable { key, addresses },
        }
    }

    /// What the message looks up here, writable keys first.
    fn loaded(&self, message: &VersionedMessage) -> [Vec<Pubkey>; 2] {
        let lookups = message.address_table_lookups().unwrap_or_default();
        assert!(lookups.len() <= 1);
        let key = |at: &u8| Pubkey::from(self.ours.addresses[usize::from(*at)]);
        lookups.first().map_or_else(Default::default, |lookup| {
            assert_eq!(lookup.account_key, self.official.key);
            [&lookup.writable_indexes, &lookup.readonly_indexes]
                .map(|indices| indices.iter().map(key).collect())
        })
    }
}

/// Builds the intent and holds the bytes to the official compiler's message of `trade`; with `guards`, under a slot
/// guard, over a floor and asking to be first.
fn check_with(
    case: &Value,
    intent: Intent,
    version: WireVersion,
    guards: bool,
    trade: &[Instruction],
    table: Option<&Table>,
) {
    let seed = [case["seed"].as_u64().unwrap() as u8; 32];
    let listed = |name: &str, other: u8| match &case[name] {
        Value::Null => vec![[other; 32]],
        found => vec![key(found)],
    };
    let config = BuilderConfig {
        version,
        entry_budget: BUDGET,
        exit_budget: BUDGET,
        unit_limits: UnitLimits::none(),
        tip_accounts: vec![TIP_ACCOUNT],
        fee_recipients: listed("fee_recipient", 0x72),
        buyback_fee_recipients: listed("buyback_fee_recipient", 0x73),
        dont_front: asks_to_be_first(version, guards),
        slot_guard_slots: guards.then_some(SLOTS),
        wallet_floor: guards.then_some(Lamports(FLOOR)),
        lookup_table: table.map(|table| table.ours.clone()),
        ..BuilderConfig::default()
    };
    let lane = intent.lane;
    let mut builder = Builder::new(&config, Signer::from_seed(&seed).unwrap()).unwrap();
    let mut cell = BundleCell::new();
    builder
        .build(&approve(intent), &BLOCKHASH, &mut cell)
        .unwrap();

    let bytes = cell.transaction(0).unwrap();
    let ours: VersionedTransaction = wincode::deserialize(bytes).unwrap();
    assert_eq!(wincode::serialize(&ours).unwrap(), bytes, "one encoding");
    assert!(agave_accepts(bytes));
    ours.sanitize().unwrap();
    assert_eq!(ours.verify_with_results(), [true]);
    let user = Keypair::new_from_array(seed);
    assert_eq!(
        ours.signatures,
        [user.sign_message(cell.message(0).unwrap())],
        "deterministic, RFC 8032"
    );
    assert_eq!(ours.message.serialize(), cell.message(0).unwrap());

    let tables = table.map(|table| table.official.clone());
    let tables = tables.as_slice();
    let theirs = official(&user.pubkey(), version, lane, guards, trade, tables);
    assert_eq!(ours.message.header(), theirs.header());
    assert_eq!(ours.message.recent_blockhash(), theirs.recent_blockhash());
    assert_eq!(classes(&ours.message), classes(&theirs));
    let loaded = |message| table.map_or_else(Default::default, |table| table.loaded(message));
    let (our_loaded, their_loaded) = (loaded(&ours.message), loaded(&theirs));
    let sorted = |[writable, readonly]: &[Vec<Pubkey>; 2]| {
        [writable, readonly].map(|keys| keys.iter().copied().collect::<BTreeSet<_>>())
    };
    assert_eq!(sorted(&our_loaded), sorted(&their_loaded));
    assert_eq!(
        resolved(&ours.message, &our_loaded),
        resolved(&theirs, &their_loaded)
    );
    assert_eq!(ours.message.serialize().len(), theirs.serialize().len());
    match (&ours.message, &theirs) {
        (VersionedMessage::V0(ours), VersionedMessage::V0(_)) => {
            assert!(table.is_some() || ours.address_table_lookups.is_empty())
        }
        (VersionedMessage::V1(ours), VersionedMessage::V1(theirs)) => {
            assert_eq!(ours.config, theirs.config)
        }
        _ => panic!("another version"),
    }
}

/// All three guards at once are too long for a Pump v2 buy in v0, and a builder has one configuration.
fn asks_to_be_first(version: WireVersion, guards: bool) -> bool {
    guards && version == WireVersion::V1
}

/// Whether the validator's own parser takes the bytes, with the limits that the validator hands in.
fn agave_accepts(bytes: &[u8]) -> bool {
    let config = SanitizeConfig {
        min_requested_heap_size: V1_HEAP_LEN_MIN,
        max_requested_heap_size: V1_HEAP_LEN_MAX,
        max_instructions: 64,
        max_accounts_per_instruction: Some(255),
    };
    TransactionView::try_new_sanitized(bytes, &config).is_ok()
}

/// The same transaction written with the official builders and compiled by the official compiler.
fn official(
    user: &Pubkey,
    version: WireVersion,
    lane: LaneClass,
    guards: bool,
    trade: &[Instruction],
    tables: &[AddressLookupTableAccount],
) -> VersionedMessage {
    let mut instructions = trade.to_vec();
    let transfer = solana_system_interface::instruction::transfer;
    let (tip, extra_fee) = match lane {
        LaneClass::PrivateBundle => (TIP, 0),
        LaneClass::PrivateTransaction => (TIP_OF_SPLIT, TIP - TIP_OF_SPLIT),
        LaneClass::PriorityBundle => (0, TIP),
        LaneClass::Public => (0, 0),
    };
    if tip > 0 {
        instructions.push(transfer(user, &TIP_ACCOUNT.into(), tip));
    }
    if guards {
        let mut floor = transfer(user, user, FLOOR);
        if asks_to_be_first(version, guards) {
            let front = "jitodontfront111111111111111111111111111111".parse();
            let front = AccountMeta::new_readonly(front.unwrap(), false);
            floor.accounts.push(front);
        }
        instructions.push(floor);
    }
    let hash = Hash::new_from_array(BLOCKHASH.hash);
    let limit = u64::from(BUDGET.unit_limit);
    match version {
        WireVersion::V0 => {
            let price = BUDGET.unit_price_micro_lamports + extra_fee * 1_000_000 / limit;
            let budget = [
                ComputeBudgetInstruction::set_compute_unit_limit(BUDGET.unit_limit),
                ComputeBudgetInstruction::set_compute_unit_price(price),
                ComputeBudgetInstruction::set_loaded_accounts_data_size_limit(
                    BUDGET.loaded_accounts_data_size_limit,
                ),
            ];
            let all = [&budget[..], &instructions].concat();
            VersionedMessage::V0(v0::Message::try_compile(user, &all, tables, hash).unwrap())
        }
        WireVersion::V1 => {
            let fee = (limit * BUDGET.unit_price_micro_lamports).div_ceil(1_000_000) + extra_fee;
            let config = TransactionConfig::empty()
                .with_priority_fee(fee)
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
fn resolved(
    message: &VersionedMessage,
    loaded: &[Vec<Pubkey>; 2],
) -> Vec<(Pubkey, Vec<Pubkey>, Vec<u8>)> {
    let keys = [message.static_account_keys(), &loaded.concat()].concat();
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

/// A launch's accounts: only what a launch shows.
fn pump_accounts(case: &Value) -> PumpAccounts {
    let (mint, token_program) = (key(&case["mint"]), key(&case["token_program"]));
    let bonding_curve = pda::bonding_curve(&mint).unwrap();
    PumpAccounts {
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
        ..PumpAccounts::default()
    }
}

fn pool_accounts(case: &Value, venue: Venue) -> VenueAccounts {
    let of = |name: &str| key(&case[name]);
    let (mint, pool, token_program) = (Mint(of("mint")), of("pool"), of("token_program"));
    let (base_vault, quote_vault) = (of("base_vault"), of("quote_vault"));
    let quote_mint = market::pump::WRAPPED_SOL;
    match venue {
        Venue::PumpSwap => PumpSwapAccounts {
            mint,
            pool,
            base_vault,
            quote_vault,
            token_program,
            quote_mint,
        }
        .into(),
        Venue::RaydiumAmm => {
            let sol_is_coin = case["sol_is_coin"].as_bool().unwrap();
            let (coin_vault, pc_vault) = match sol_is_coin {
                true => (quote_vault, base_vault),
                false => (base_vault, quote_vault),
            };
            RaydiumAmmAccounts {
                mint,
                pool,
                coin_vault,
                pc_vault,
                quote_mint,
            }
            .into()
        }
        Venue::RaydiumCp => RaydiumCpAccounts {
            mint,
            pool,
            amm_config: of("amm_config"),
            base_vault,
            quote_vault,
            token_program,
            quote_mint,
            observation: of("observation"),
        }
        .into(),
        Venue::LaunchLab => LaunchLabAccounts {
            mint,
            pool,
            global_config: of("global_config"),
            platform_config: of("platform_config"),
            base_vault,
            quote_vault,
            token_program,
            quote_mint,
            platform_fee_vault: of("platform_fee_vault"),
            creator_fee_vault: of("creator_fee_vault"),
        }
        .into(),
        Venue::PumpV3 | Venue::PumpV2 => unreachable!("curves have their own cases"),
    }
}

/// The intent of a case. A guarded one may wait until the case's slot.
fn intent(
    case: &Value,
    venue: Venue,
    side: Side,
    lane: LaneClass,
    limit: u64,
    accounts: VenueAccounts,
) -> Intent {
    let buys = side == Side::Buy;
    Intent {
        id: 1,
        origin: Origin::Launch,
        venue,
        lane,
        side,
        mint: *accounts.mint(),
        spend: Lamports(if buys { limit } else { 0 }),
        tokens: TokenAmount(case["tokens"].as_u64().unwrap()),
        receive_min: Lamports(if buys { 0 } else { limit }),
        tip: Lamports(if lane == LaneClass::Public { 0 } else { TIP }),
        slot: Slot(case["slot"].as_u64().map_or(1, |slot| slot - SLOTS)),
        at: Nanos(1),
        accounts,
    }
}

/// Passes the gate, as everything must that becomes bytes.
fn approve(intent: Intent) -> Approved {
    let most = Lamports(u64::MAX);
    let limits = Limits {
        per_trade_max: most,
        open_notional_max: most,
        tip_max: most,
        ..Limits::default()
    };
    let mut gate = Gate::new(limits, Arc::new(Control::new(Mode::Active))).unwrap();
    if intent.side == Side::Sell {
        let held = Fill {
            tokens: intent.tokens,
            quote: Lamports(1),
        };
        assert!(gate.adopt(intent.mint, 1, held));
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
