//! Goal: every instruction of Meteora's three programs that moves a pool reads back, and every other is ignored.
//! Method: each instruction of the interfaces (`golden/meteora_instructions.txt`) with an account named after each
//! place and arguments by hand; then with accounts hidden, cut, and scrambled.

use crate::common::{Instruction, transaction};
use market::event::{Create, Liquidity, Migrate, Price, Swap, SwapAmounts};
use market::{DecodeReject, Decoded, Key, LookupTables, MarketEvent, PoolAction, PoolEvent};
use market::{Program, decode};
use proptest::prelude::*;
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

const INTERFACES: &str = include_str!("../golden/meteora_instructions.txt");

/// One line of the interfaces.
struct Shape {
    program: Program,
    name: &'static str,
    discriminator: Vec<u8>,
    accounts: Vec<(&'static str, bool)>,
}

fn shapes() -> impl Iterator<Item = Shape> {
    let lines = INTERFACES.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let cells: Vec<&str> = line.split(' ').collect();
        let accounts = cells[3].split(',').filter(|name| !name.is_empty());
        Shape {
            program: Program::ALL
                .into_iter()
                .find(|program| program.name() == cells[0])
                .unwrap(),
            name: cells[1],
            discriminator: (0..8)
                .map(|at| u8::from_str_radix(&cells[2][2 * at..2 * at + 2], 16).unwrap())
                .collect(),
            accounts: accounts
                .map(|name| (name.trim_end_matches('*'), name.ends_with('*')))
                .collect(),
        }
    })
}

fn shape(program: Program, name: &str) -> Shape {
    shapes()
        .find(|shape| shape.program == program && shape.name == name)
        .unwrap()
}

/// The account of that name: the name itself, padded.
fn named(name: &str) -> Key {
    let mut key = [b'.'; 32];
    for (at, byte) in name.bytes().take(32).enumerate() {
        key[at] = byte;
    }
    key
}

impl Shape {
    fn with(&self, arguments: &[u8]) -> Instruction {
        let accounts = self.accounts.iter();
        Instruction {
            program: *self.program.id(),
            data: [&self.discriminator[..], arguments].concat(),
            accounts: accounts
                .map(|(name, signs)| (named(name), *signs, true))
                .collect(),
        }
    }
}

fn events(
    instructions: &[Instruction],
    hidden: impl Fn(&Key) -> bool,
) -> (Vec<PoolEvent>, Decoded) {
    let bytes = transaction(instructions, hidden);
    let view = TxnView::parse(&bytes).unwrap();
    let mut events = Vec::new();
    let decoded = decode(
        &view,
        &LookupTables::none(),
        Slot(7),
        Nanos(9),
        &mut |event| match event {
            MarketEvent::Pool(pool) => events.push(pool),
            other => panic!("{other:?}"),
        },
    );
    (events, decoded)
}

/// Pool, actor and action, all of them known.
#[track_caller]
fn reads(
    program: Program,
    name: &str,
    arguments: &[u8],
    pool: &str,
    actor: &str,
    action: PoolAction,
) {
    let instruction = shape(program, name).with(arguments);
    let (found, decoded) = events(std::slice::from_ref(&instruction), |_| false);
    assert_eq!((found.len(), decoded.event_count), (1, 1), "{name}");
    let event = found[0];
    assert_eq!(event.program, program, "{name}");
    assert_eq!(event.inferred_from, None, "{name}");
    assert_eq!(event.call.pool, Some(named(pool)), "{name}");
    assert_eq!(event.call.actor, Some(named(actor)), "{name}");
    assert_eq!(event.call.action, action, "{name}");

    // One account too few is refused; so is an argument cut off.
    let mut fewer = instruction.clone();
    fewer.accounts.pop();
    let (found, decoded) = events(&[fewer], |_| false);
    let missing = decoded.rejected[DecodeReject::MissingAccounts as usize];
    assert_eq!((found.len(), missing), (0, 1), "{name}");
    let mut cut = instruction;
    cut.data.truncate(8 + arguments.len().saturating_sub(1));
    let (found, decoded) = events(&[cut], |_| false);
    let short = decoded.rejected[DecodeReject::ShortData as usize];
    assert_eq!(
        (found.len(), short),
        if arguments.is_empty() { (1, 0) } else { (0, 1) },
        "{name}"
    );
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

const EXACT_IN: SwapAmounts = SwapAmounts::ExactIn {
    amount_in: 1001,
    out_min: 2002,
};

fn swap(amounts: SwapAmounts, account_in: &str, account_out: &str) -> PoolAction {
    PoolAction::Swap(Swap {
        amounts,
        way: None,
        mint_in: None,
        mint_out: None,
        account_in: Some(named(account_in)),
        account_out: Some(named(account_out)),
        price_limit: None,
    })
}

#[test]
fn swaps_of_damm_and_the_bonding_curve_read_back_in_every_mode() {
    for program in [Program::Damm, Program::Dbc] {
        let reads = |name, arguments: &[u8], amounts| {
            let action = swap(amounts, "input_token_account", "output_token_account");
            reads(program, name, arguments, "pool", "payer", action);
        };
        let amounts = numbers(&[1001, 2002]);
        reads("swap", &amounts, EXACT_IN);
        for (mode, expected) in [
            (0, EXACT_IN),
            (
                1,
                SwapAmounts::UpToIn {
                    amount_in: 1001,
                    out_min: 2002,
                },
            ),
            (
                2,
                SwapAmounts::ExactOut {
                    amount_out: 1001,
                    in_max: 2002,
                },
            ),
        ] {
            reads("swap2", &[&amounts[..], &[mode]].concat(), expected);
        }
        let unknown = shape(program, "swap2").with(&[&amounts[..], &[3]].concat());
        let (found, decoded) = events(&[unknown], |_| false);
        let bad = decoded.rejected[DecodeReject::BadArgument as usize];
        assert_eq!((found.len(), bad), (0, 1));
    }
}

#[test]
fn every_way_to_open_a_damm_pool_reads_back() {
    let create = Create {
        mint_a: Some(named("token_a_mint")),
        mint_b: Some(named("token_b_mint")),
        vault_a: Some(named("token_a_vault")),
        vault_b: Some(named("token_b_vault")),
        config: Some(named("config")),
        price: Some(Price::SqrtX64(77 << 64)),
        ..Create::default()
    };
    let wide = |value: u128| value.to_le_bytes().to_vec();
    let plain = [wide(5), wide(77 << 64), vec![1], numbers(&[123])].concat();
    let reads = |name, arguments: &[u8], create| {
        let action = PoolAction::Create(create);
        reads(Program::Damm, name, arguments, "pool", "payer", action);
    };
    // The point of a plain pool is counted as its configuration says: not known to be seconds.
    reads("initialize_pool", &plain, create);
    for (dynamic_fee, by_timestamp) in [(false, true), (true, true), (true, false)] {
        let fee = if dynamic_fee {
            [vec![1], vec![9; 32]].concat()
        } else {
            vec![0]
        };
        let arguments = [
            vec![3; 30],
            fee,
            wide(1),
            wide(2),
            vec![0],
            wide(5),
            wide(77 << 64),
            vec![u8::from(by_timestamp), 1],
            vec![1],
            numbers(&[1_790_000_000]),
        ]
        .concat();
        let opens = Create {
            opens_at: by_timestamp.then_some(1_790_000_000),
            ..create
        };
        reads("initialize_pool_with_dynamic_config", &arguments, opens);
        let custom = Create {
            config: None,
            ..opens
        };
        reads("initialize_customizable_pool", &arguments, custom);
    }
}

#[test]
fn damm_liquidity_reads_back() {
    let share = 5u128 << 70;
    let arguments = [share.to_le_bytes().to_vec(), numbers(&[11, 12])].concat();
    let liquidity = |share| Liquidity {
        share,
        limit_a: 11,
        limit_b: 12,
    };
    let reads = |name, arguments: &[u8], action| {
        reads(Program::Damm, name, arguments, "pool", "owner", action);
    };
    reads(
        "add_liquidity",
        &arguments,
        PoolAction::Deposit(liquidity(share)),
    );
    reads(
        "remove_liquidity",
        &arguments,
        PoolAction::Withdraw(liquidity(share)),
    );
    let all = numbers(&[11, 12]);
    reads(
        "remove_all_liquidity",
        &all,
        PoolAction::Withdraw(liquidity(0)),
    );
}

#[test]
fn a_curve_s_launch_and_its_migrations_read_back() {
    let text = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let arguments = [text("A coin"), text("COIN"), text("https://x")].concat();
    for name in [
        "initialize_virtual_pool_with_spl_token",
        "initialize_virtual_pool_with_token2022",
    ] {
        let action = PoolAction::Create(Create {
            mint_a: Some(named("base_mint")),
            mint_b: Some(named("quote_mint")),
            vault_a: Some(named("base_vault")),
            vault_b: Some(named("quote_vault")),
            config: Some(named("config")),
            makes_mint: true,
            ..Create::default()
        });
        reads(Program::Dbc, name, &arguments, "pool", "creator", action);
    }
    for (name, mint, to) in [
        ("migration_damm_v2", "base_mint", Some(Program::Damm)),
        ("migrate_meteora_damm", "token_a_mint", None),
    ] {
        let action = PoolAction::Migrate(Migrate {
            mint: Some(named(mint)),
            pool: Some(named("pool")),
            to,
        });
        reads(Program::Dbc, name, &[], "virtual_pool", "payer", action);
    }
}

#[test]
fn dlmm_swaps_read_back() {
    let read = |name: &str, arguments: &[u8], amounts| {
        let action = swap(amounts, "user_token_in", "user_token_out");
        reads(Program::Dlmm, name, arguments, "lb_pair", "user", action);
    };
    let amounts = numbers(&[1001, 2002]);
    let exact_out = SwapAmounts::ExactOut {
        in_max: 1001,
        amount_out: 2002,
    };
    let unlimited = SwapAmounts::ExactIn {
        amount_in: 1001,
        out_min: 0,
    };
    for two in ["", "2"] {
        read(&format!("swap{two}"), &amounts, EXACT_IN);
        read(&format!("swap_exact_out{two}"), &amounts, exact_out);
        for active in [vec![0], vec![1, 7, 0, 0, 0]] {
            let impact = [numbers(&[1001]), active, vec![50, 0]].concat();
            read(&format!("swap_with_price_impact{two}"), &impact, unlimited);
        }
    }
}

#[test]
fn every_way_to_open_a_dlmm_pair_reads_back() {
    let create = Create {
        mint_a: Some(named("token_mint_x")),
        mint_b: Some(named("token_mint_y")),
        vault_a: Some(named("reserve_x")),
        vault_b: Some(named("reserve_y")),
        price: Some(Price::Bin(-77)),
        ..Create::default()
    };
    let preset = Create {
        config: Some(named("preset_parameter")),
        ..create
    };
    let read = |name: &str, arguments: &[u8], funder: &str, create| {
        let action = PoolAction::Create(create);
        reads(Program::Dlmm, name, arguments, "lb_pair", funder, action);
    };
    let active = (-77i32).to_le_bytes();
    read("initialize_lb_pair2", &active, "funder", preset);
    read("initialize_lb_pair", &active, "funder", preset);
    read("initialize_permission_lb_pair", &active, "payer", create);
    for by_timestamp in [true, false] {
        let arguments = [
            active.to_vec(),
            vec![25, 0, 16, 39],
            vec![u8::from(by_timestamp), 0, 1],
            numbers(&[1_790_000_000]),
        ]
        .concat();
        let opens = Create {
            opens_at: by_timestamp.then_some(1_790_000_000),
            ..create
        };
        for two in ["", "2"] {
            let name = format!("initialize_customizable_permissionless_lb_pair{two}");
            read(&name, &arguments, "funder", opens);
        }
    }
}

#[test]
fn dlmm_liquidity_and_orders_read_back() {
    let read = |name, arguments: &[u8], actor, action| {
        reads(Program::Dlmm, name, arguments, "lb_pair", actor, action);
    };
    let limits = |limit_a, limit_b| Liquidity {
        share: 0,
        limit_a,
        limit_b,
    };
    let both = numbers(&[11, 12]);
    for name in [
        "add_liquidity",
        "add_liquidity2",
        "add_liquidity_by_strategy",
        "add_liquidity_by_strategy2",
        "add_liquidity_by_weight",
        "add_liquidity_by_weight2",
    ] {
        read(name, &both, "sender", PoolAction::Deposit(limits(11, 12)));
    }
    for name in [
        "add_liquidity_by_strategy_one_side",
        "add_liquidity_one_side",
        "add_liquidity_one_side_precise",
        "add_liquidity_one_side_precise2",
    ] {
        read(name, &[], "sender", PoolAction::Deposit(limits(0, 0)));
    }
    for name in [
        "remove_liquidity",
        "remove_liquidity2",
        "remove_liquidity_by_range",
        "remove_liquidity_by_range2",
        "remove_all_liquidity",
    ] {
        read(name, &[], "sender", PoolAction::Withdraw(limits(0, 0)));
    }
    read(
        "cancel_limit_order",
        &[],
        "owner",
        PoolAction::Withdraw(limits(0, 0)),
    );
    let rebalance = |amounts| [vec![0; 8], numbers(amounts)].concat();
    let deposits = PoolAction::Deposit(limits(2, 4));
    read(
        "rebalance_liquidity",
        &rebalance(&[1, 2, 3, 4]),
        "owner",
        deposits,
    );
    let withdraws = PoolAction::Withdraw(limits(1, 3));
    read(
        "rebalance_liquidity",
        &rebalance(&[1, 0, 3, 0]),
        "owner",
        withdraws,
    );
    for (is_ask, expected) in [(1, limits(50, 0)), (0, limits(0, 50))] {
        let bin = |amount: u64| [vec![7, 0, 0, 0], numbers(&[amount])].concat();
        let arguments = [
            vec![is_ask],
            vec![0; 16],
            vec![1, 7, 0, 0, 0, 3, 0, 0, 0],
            vec![2, 0, 0, 0],
            bin(20),
            bin(30),
        ]
        .concat();
        read(
            "place_limit_order",
            &arguments,
            "sender",
            PoolAction::Deposit(expected),
        );
    }
}

/// What the tests above read.
fn is_followed(shape: &Shape) -> bool {
    let name = shape.name;
    let creates = name.starts_with("initialize_pool")
        || name.starts_with("initialize_customizable")
        || name.starts_with("initialize_lb_pair")
        || name.starts_with("initialize_virtual_pool")
        || name == "initialize_permission_lb_pair";
    creates
        || name.starts_with("swap")
        || name.starts_with("add_liquidity")
        || name.starts_with("remove_")
        || ["migration_damm_v2", "migrate_meteora_damm"].contains(&name)
        || [
            "place_limit_order",
            "cancel_limit_order",
            "rebalance_liquidity",
        ]
        .contains(&name)
}

#[test]
fn every_other_instruction_is_ignored() {
    let mut ignored = 0;
    for shape in shapes().filter(|shape| !is_followed(shape)) {
        let mut instruction = shape.with(&[1; 100]);
        instruction.accounts.push(([1; 32], true, true));
        let (found, decoded) = events(&[instruction], |_| false);
        let other = decoded.rejected[DecodeReject::OtherInstruction as usize];
        assert_eq!((found.len(), other), (0, 1), "{}", shape.name);
        ignored += 1;
    }
    assert_eq!((ignored, shapes().count()), (99, 142));
}

#[test]
fn accounts_behind_a_lookup_table_are_absent() {
    let arguments = numbers(&[1001, 2002]);
    for program in [Program::Damm, Program::Dbc, Program::Dlmm] {
        let instruction = shape(program, "swap").with(&arguments);
        let (found, _) = events(&[instruction], |_| true);
        let call = found[0].call;
        assert_eq!(call.pool, None);
        assert!(call.actor.is_some(), "a signer is never hidden");
        let PoolAction::Swap(swap) = call.action else {
            panic!()
        };
        assert_eq!((swap.amounts, swap.account_in), (EXACT_IN, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever the data and the number of accounts, one outcome is counted.
    #[test]
    fn random_data_never_panics(
        which in any::<prop::sample::Index>(),
        data in prop::collection::vec(any::<u8>(), 0..300),
        account_count in 0usize..32,
    ) {
        let shapes: Vec<Shape> = shapes().collect();
        let mut random = shapes[which.index(shapes.len())].with(&data);
        random.accounts.truncate(account_count);
        random.accounts.push(([1; 32], true, true));
        let (found, decoded) = events(&[random], |key| key[0] > b'm');
        prop_assert_eq!(found.len() as u32, decoded.event_count);
        prop_assert_eq!(decoded.event_count + decoded.rejected.iter().sum::<u32>(), 1);
    }
}
