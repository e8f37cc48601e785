//! Goal: a router's outer instruction gives the pools it calls, and nothing that it does not say.
//! Method: instructions that landed on mainnet, with the pools their inner instructions called; then Jupiter's
//! routes over every variant of its plan, generated from its published types, known and hidden accounts mixed.

use crate::common::{Instruction, transaction};
use market::base58::key;
use market::event::{Swap, SwapAmounts, Way};
use market::{
    DecodeReject, Decoded, Key, LookupTables, MarketEvent, PoolAction, PoolEvent, Program, decode,
};
use proptest::prelude::*;
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

const MAINNET: &str = include_str!("../data/router_mainnet.txt");
const SWAPS: &str = include_str!("../data/jupiter_swaps.txt");
const TABLE: Key = [0xcc; 32];
/// How many variants the plan's enum has.
const VARIANT_COUNT: usize = 177;

fn pools(bytes: &[u8], tables: &LookupTables) -> (Vec<PoolEvent>, Decoded) {
    let mut events = Vec::new();
    let view = TxnView::parse(bytes).unwrap();
    let decoded = decode(&view, tables, Slot(7), Nanos(9), &mut |event| match event {
        MarketEvent::Pool(pool) => events.push(pool),
        other => panic!("{other:?}"),
    });
    assert_eq!(decoded.event_count as usize, events.len());
    (events, decoded)
}

fn swap(event: &PoolEvent) -> Swap {
    match event.call.action {
        PoolAction::Swap(swap) => swap,
        other => panic!("{other:?}"),
    }
}

/// A v1 transaction of one instruction: there is room for every account.
fn v1(instruction: &Instruction) -> Vec<u8> {
    let mut keys: Vec<(Key, bool)> = Vec::new();
    let program = (instruction.program, false, false);
    for (key, signer, _) in instruction.accounts.iter().copied().chain([program]) {
        match keys.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 |= signer,
            None => keys.push((key, signer)),
        }
    }
    keys.sort_by_key(|(_, signer)| !signer);
    let signer_count = keys.iter().filter(|(_, signer)| *signer).count() as u8;
    let index = |key: &Key| keys.iter().position(|(known, _)| known == key).unwrap() as u8;
    let mut out = vec![0x81, signer_count, 0, 1, 0, 0, 0, 0];
    out.extend([0xbb; 32]);
    out.extend([1, keys.len() as u8]);
    keys.iter().for_each(|(key, _)| out.extend(key));
    out.extend([
        index(&instruction.program),
        instruction.accounts.len() as u8,
    ]);
    out.extend((instruction.data.len() as u16).to_le_bytes());
    out.extend(instruction.accounts.iter().map(|(key, ..)| index(key)));
    out.extend(&instruction.data);
    (0..signer_count).for_each(|signer| out.extend([0xa0 + signer; 64]));
    out
}

/// The addresses that `transaction` puts behind its table, in the table's order.
fn hidden(bytes: &[u8], instruction: &Instruction) -> Vec<Key> {
    let view = TxnView::parse(bytes).unwrap();
    let shown = view.keys().to_vec();
    let mut hidden: Vec<(Key, bool)> = Vec::new();
    for (key, _, writable) in &instruction.accounts {
        if !shown.contains(key) {
            match hidden.iter_mut().find(|(known, _)| known == key) {
                Some(known) => known.1 |= *writable,
                None => hidden.push((*key, *writable)),
            }
        }
    }
    hidden.sort_by_key(|(_, writable)| !writable);
    hidden.into_iter().map(|(key, _)| key).collect()
}

struct Landed {
    instruction: Instruction,
    legs: Vec<(String, Key)>,
}

fn landed() -> Vec<Landed> {
    let mut all: Vec<Landed> = Vec::new();
    for line in MAINNET.lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.split(' ');
        let (kind, rest) = (cells.next().unwrap(), cells.collect::<Vec<_>>());
        let last = all.last_mut();
        match (kind, last) {
            ("transaction", _) => all.push(Landed {
                instruction: Instruction {
                    program: [0; 32],
                    data: Vec::new(),
                    accounts: Vec::new(),
                },
                legs: Vec::new(),
            }),
            ("program", Some(last)) => last.instruction.program = key(rest[0]),
            ("data", Some(last)) => {
                last.instruction.data = (0..rest[0].len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&rest[0][at..at + 2], 16).unwrap())
                    .collect();
            }
            ("accounts", Some(last)) => {
                last.instruction.accounts = rest
                    .iter()
                    .map(|cell| match cell.strip_suffix('+') {
                        Some(address) => (key(address), true, true),
                        None => (key(cell), false, false),
                    })
                    .collect();
            }
            ("leg", Some(last)) => last.legs.push((rest[0].to_string(), key(rest[1]))),
            _ => panic!("{line}"),
        }
    }
    all
}

#[test]
fn what_landed_on_mainnet_gives_the_pools_it_called() {
    let all = landed();
    assert_eq!(all.len(), 7);
    for one in &all {
        let router = Program::of(&one.instruction.program).unwrap();
        let signer = one.instruction.accounts.iter().find(|it| it.1).unwrap().0;
        let shown = v1(&one.instruction);
        let looked_up = transaction(std::slice::from_ref(&one.instruction), |_| true);
        let behind = hidden(&looked_up, &one.instruction);
        let tables = LookupTables::new([(TABLE, &behind[..])]);
        for (bytes, tables) in [(&shown, &LookupTables::none()), (&looked_up, &tables)] {
            let (events, _) = pools(bytes, tables);
            let found: Vec<_> = events
                .iter()
                .map(|event| (event.program.name().to_string(), event.call.pool.unwrap()))
                .collect();
            assert_eq!(found, one.legs, "{router:?}");
            for event in &events {
                assert_eq!(event.inferred_from, Some(router));
                assert_eq!(event.call.actor, Some(signer));
            }
        }
    }
}

#[test]
fn nothing_is_told_of_hidden_accounts_but_what_the_plan_says() {
    for one in &landed() {
        let router = Program::of(&one.instruction.program).unwrap();
        let bytes = transaction(std::slice::from_ref(&one.instruction), |_| true);
        let (events, decoded) = pools(&bytes, &LookupTables::none());
        if router == Program::Jupiter {
            let venues: Vec<_> = events.iter().map(|it| it.program.name()).collect();
            let expected: Vec<_> = one.legs.iter().map(|leg| leg.0.as_str()).collect();
            assert_eq!(venues, expected);
        } else {
            assert!(events.is_empty(), "{router:?}");
            assert_eq!(decoded.rejected.iter().sum::<u32>(), 1);
        }
        for event in &events {
            let swap = swap(event);
            assert_eq!(
                (event.call.pool, swap.mint_in, swap.mint_out),
                (None, None, None)
            );
            assert_eq!((swap.account_in, swap.account_out), (None, None));
        }
    }
}

/// The Pump app's purchase of a coin with USDC's change of SOL: the amounts of its two ends, and nothing between.
#[test]
fn the_ends_of_a_purchase_through_jupiter_are_known() {
    let one = &landed()[2];
    let (events, _) = pools(&v1(&one.instruction), &LookupTables::none());
    let swaps: Vec<Swap> = events.iter().map(swap).collect();
    let usdc = key("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
    let sol = market::pump::WRAPPED_SOL;
    let coin = key("HXqxTwCzREUXNK4CbNDgNEUEh2jLzFKdC4tvTuojpump");
    // Deriverse takes the input, so the two venues that are read share what it gave.
    assert_eq!(swaps[0].amounts, SwapAmounts::Unknown);
    assert_eq!(swaps[1].amounts, SwapAmounts::Unknown);
    assert_eq!(
        (swaps[0].way, swaps[0].mint_out),
        (Some(Way::BToA), Some(sol))
    );
    assert_ne!(swaps[0].mint_in, Some(usdc));
    let out_min = 0x1_41c6_5011;
    assert_eq!(swaps[2].amounts, SwapAmounts::LastLeg { out_min });
    assert_eq!(swaps[2].way, Some(Way::BToA));
    assert_eq!(
        (swaps[2].mint_in, swaps[2].mint_out),
        (Some(sol), Some(coin))
    );
    let account_in = key("BecyBAt2KptNW6cs7cQ7jaQqCvhFym3rucB8qCbJjtCh");
    assert_eq!(swaps[2].account_in, Some(account_in));
}

/// A small generator of its own, so that a failure names its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn key(&mut self) -> Key {
        std::array::from_fn(|_| self.next() as u8)
    }
}

/// Writes a random value of the type called `name`.
fn value(name: &str, dice: &mut Dice, out: &mut Vec<u8>) {
    if let Some(count) = name.strip_prefix("enum") {
        out.push(dice.below(count.parse().unwrap()) as u8);
    } else if let Some(inner) = name.strip_prefix("option<") {
        let is_some = dice.below(2) == 1;
        out.push(u8::from(is_some));
        if is_some {
            value(inner.strip_suffix('>').unwrap(), dice, out);
        }
    } else if let Some(inner) = name.strip_prefix("vec<") {
        let count = dice.below(4);
        out.extend((count as u32).to_le_bytes());
        for _ in 0..count {
            value(inner.strip_suffix('>').unwrap(), dice, out);
        }
    } else if name == "array<u64,5>" {
        out.extend(dice.bytes(40));
    } else if name == "CandidateSwap" || name == "CandidateSwapWithBps" {
        let candidates: Vec<&str> = SWAPS
            .lines()
            .filter(|it| it.starts_with("candidate"))
            .collect();
        let cells: Vec<&str> = candidates[dice.below(candidates.len())]
            .split(' ')
            .collect();
        out.push(cells[1].parse().unwrap());
        cells[3..].iter().for_each(|it| value(it, dice, out));
        if name == "CandidateSwapWithBps" {
            out.extend(dice.bytes(4));
        }
    } else {
        let len = match name {
            "bool" => return out.push(dice.below(2) as u8),
            "u8" => 1,
            "u16" => 2,
            "u32" => 4,
            "u64" => 8,
            "u128" => 16,
            "bytes" | "RemainingAccountsInfo" => {
                let count = dice.below(5);
                out.extend((count as u32).to_le_bytes());
                count * if name == "bytes" { 1 } else { 2 }
            }
            other => panic!("{other}"),
        };
        out.extend(dice.bytes(len));
    }
}

/// One of Jupiter's instructions, from its published interface: name, discriminator, count of its own accounts, and
/// the positions of the user, of the owner of the tokens between, and of the two mints.
type Route = (&'static str, u64, usize, [usize; 2], [Option<usize>; 2]);

const ROUTES: [Route; 10] = [
    ("route", 0xe517_cb97_7ae3_ad2a, 9, [1, 1], [None, Some(5)]),
    (
        "route_with_token_ledger",
        0x9656_4774_a75d_0e68,
        10,
        [1, 1],
        [None, Some(5)],
    ),
    (
        "exact_out_route",
        0xd033_ef97_7b2b_ed5c,
        11,
        [1, 1],
        [Some(5), Some(6)],
    ),
    (
        "shared_accounts_route",
        0xc120_9b33_41d6_9c81,
        13,
        [2, 1],
        [Some(7), Some(8)],
    ),
    (
        "shared_accounts_route_with_token_ledger",
        0xe679_8f50_779f_6aaa,
        14,
        [2, 1],
        [Some(7), Some(8)],
    ),
    (
        "shared_accounts_exact_out_route",
        0xb0d1_69a8_9a7d_453e,
        13,
        [2, 1],
        [Some(7), Some(8)],
    ),
    (
        "route_v2",
        0xbb64_facc_31c4_af14,
        10,
        [0, 0],
        [Some(3), Some(4)],
    ),
    (
        "exact_out_route_v2",
        0x9d8a_b852_15f4_f324,
        10,
        [0, 0],
        [Some(3), Some(4)],
    ),
    (
        "shared_accounts_route_v2",
        0xd198_5393_7cfe_d8e9,
        12,
        [1, 0],
        [Some(6), Some(7)],
    ),
    (
        "shared_accounts_exact_out_route_v2",
        0x3560_e5ca_d8bb_fa18,
        12,
        [1, 0],
        [Some(6), Some(7)],
    ),
];

/// Accounts of a venue's swap by its interface: count, where pool, owner and side a's and b's mint stand, and which
/// addresses are always the same.
struct VenueRow {
    program: Program,
    count: usize,
    pool: usize,
    owner: usize,
    mints: Option<[usize; 2]>,
    fixed: &'static [(usize, &'static str)],
    /// The mints are the trader's in and out, not the pool's sides.
    by_way: bool,
}

const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const MEMO: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";

fn venue_row(name: &str) -> Option<VenueRow> {
    let row = |program, count, pool, owner, mints, fixed| VenueRow {
        program,
        count,
        pool,
        owner,
        mints,
        fixed,
        by_way: false,
    };
    Some(match name {
        "Whirlpool" => row(Program::Whirlpool, 11, 2, 1, None, &[(0, TOKEN)]),
        "WhirlpoolSwapV2" => row(Program::Whirlpool, 15, 4, 3, Some([5, 6]), &[(2, MEMO)]),
        "Raydium" => row(
            Program::RaydiumAmm,
            17,
            1,
            16,
            None,
            &[
                (0, TOKEN),
                (2, "5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1"),
            ],
        ),
        "RaydiumV2" => row(
            Program::RaydiumAmm,
            8,
            1,
            7,
            None,
            &[
                (0, TOKEN),
                (2, "5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1"),
            ],
        ),
        "RaydiumClmm" => row(Program::RaydiumClmm, 12, 2, 0, None, &[(8, TOKEN)]),
        "RaydiumClmmV2" => VenueRow {
            by_way: true,
            ..row(
                Program::RaydiumClmm,
                15,
                2,
                0,
                Some([11, 12]),
                &[
                    (8, TOKEN),
                    (9, "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"),
                    (10, MEMO),
                ],
            )
        },
        "RaydiumCP" => VenueRow {
            by_way: true,
            ..row(
                Program::RaydiumCp,
                13,
                3,
                0,
                Some([10, 11]),
                &[(1, "GpMZbSM2GgvTKHJirzeGfMFoaZ8UR2X7F4v8vHTvxFbL")],
            )
        },
        "MeteoraDlmm" => row(
            Program::Dlmm,
            18,
            0,
            10,
            Some([6, 7]),
            &[(14, "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo")],
        ),
        "MeteoraDlmmSwapV2" => row(
            Program::Dlmm,
            17,
            0,
            10,
            Some([6, 7]),
            &[
                (13, MEMO),
                (15, "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"),
            ],
        ),
        "MeteoraDammV2" | "MeteoraDammV2WithRemainingAccounts" => row(
            Program::Damm,
            14,
            1,
            8,
            Some([6, 7]),
            &[
                (0, "HLnpSz9h2S4hiLQ43rnSD9XkcUThA7B8hQMKmDaiTLcC"),
                (13, "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG"),
            ],
        ),
        "MeteoraDynamicBondingCurveSwap"
        | "MeteoraDynamicBondingCurveSwapWithRemainingAccounts" => row(
            Program::Dbc,
            15,
            2,
            9,
            Some([7, 8]),
            &[
                (0, "FhVo3mqL8PW5pH5U2CN4XE33DokiyZnUwuGpH2hmHLuM"),
                (14, "dbcij3LWUppWqq96dh6gJWwBifmcGfLSB5D4DuSMaqN"),
            ],
        ),
        "RaydiumLaunchlabBuy" | "RaydiumLaunchlabSell" => row(
            Program::LaunchLab,
            18,
            4,
            0,
            Some([9, 10]),
            &[
                (1, "WLHv2UAZm6z4KyaaELi5pjdbJh6RESMva1Rnn8pJVVh"),
                (14, "LanMV9sAd7wArD4vJFi2qDdfnVhFxYSUg6eADduJ3uj"),
            ],
        ),
        _ if name.starts_with("PumpSwap") => row(
            Program::PumpAmm,
            17,
            0,
            1,
            Some([3, 4]),
            &[
                (2, "ADyA8hdefvWN2dbGGWFotbzWxrAvLW83WG6QCVXvJKqw"),
                (15, "GS4CU59F31iL7aR2Q8zVS8DRrcRnXX1yjQ66TqNVQnaR"),
                (16, "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA"),
            ],
        ),
        _ if name.starts_with("PumpWrapped") => row(
            Program::Pump,
            17,
            5,
            8,
            Some([1, 2]),
            &[
                (0, "4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf"),
                (12, "8Wf5TiAheLUqBrKXeYg2JtAFFMWtKdG2BSFgqUcPVwTt"),
                (14, "11111111111111111111111111111111"),
                (15, "Ce6TQqeHC9p8KetsN6JsjHK7UTZk7nasjjnr7XxXp9F1"),
                (16, "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"),
            ],
        ),
        _ => return None,
    })
}

/// Goal: every variant is passed over by its length, and each leg of a venue we read is found where it stands.
#[test]
fn routes_over_every_variant_read_back() {
    let swaps: Vec<Vec<&str>> = SWAPS
        .lines()
        .filter(|line| line.starts_with("swap"))
        .map(|line| line.split(' ').collect())
        .collect();
    assert_eq!(swaps.len(), VARIANT_COUNT);
    let mut seen = vec![false; VARIANT_COUNT];
    for seed in 0..4_000 {
        let mut dice = Dice(seed);
        // Every variant in turn, in company.
        let mut steps: Vec<usize> = (0..dice.below(3))
            .map(|_| dice.below(VARIANT_COUNT))
            .collect();
        steps.insert(dice.below(steps.len() + 1), seed as usize % VARIANT_COUNT);
        one_route(&mut dice, &swaps, &steps, seed, &mut seen);
    }
    assert!(seen.iter().all(|seen| *seen));
}

fn one_route(dice: &mut Dice, swaps: &[Vec<&str>], steps: &[usize], seed: u64, seen: &mut [bool]) {
    let (name, discriminator, own_count, [user_at, owner_at], mints_at) =
        ROUTES[dice.below(ROUTES.len())];
    let is_v2 = name.ends_with("_v2");
    let mut accounts: Vec<(Key, bool, bool)> =
        (0..own_count).map(|_| (dice.key(), false, false)).collect();
    accounts[user_at].1 = true;
    let (user, owner) = (accounts[user_at].0, accounts[owner_at].0);
    let end_mints = mints_at.map(|at| at.map(|at| accounts[at].0));
    let last = steps.len() as u8;
    // A chain: each step takes all of what the one before gave.
    let tokens: Vec<Key> = (0..=last)
        .map(|at| match (at, end_mints) {
            (0, [Some(mint), _]) => mint,
            (at, [_, Some(mint)]) if at == last => mint,
            _ => dice.key(),
        })
        .collect();

    let mut plan = (steps.len() as u32).to_le_bytes().to_vec();
    let mut expected = Vec::new();
    let (mut is_lost, mut lost) = (false, Vec::new());
    for (place, variant) in steps.iter().enumerate() {
        let cells = &swaps[*variant];
        let begin = plan.len() + 1;
        plan.push(*variant as u8);
        cells[3..].iter().for_each(|it| value(it, dice, &mut plan));
        let flag = plan.get(begin).copied().unwrap_or(0) != 0;
        plan.extend(if is_v2 { &[0x10, 0x27][..] } else { &[100][..] });
        plan.extend([place as u8, place as u8 + 1]);
        seen[*variant] = true;
        let swap_name = cells[2];
        is_lost |= swap_name.starts_with("Dynamic");
        let Some(row) = venue_row(swap_name) else {
            accounts.extend((0..3 + dice.below(6)).map(|_| (dice.key(), false, true)));
            continue;
        };
        let way = match swap_name {
            "Whirlpool" | "WhirlpoolSwapV2" => flag,
            _ if swap_name.contains("Buy") => false,
            _ if swap_name.contains("Sell") => true,
            _ => dice.below(2) == 1,
        };
        accounts.push((*row.program.id(), false, false));
        let from = accounts.len();
        accounts.extend((0..row.count).map(|_| (dice.key(), false, true)));
        accounts[from + row.owner].0 = owner;
        for (at, fixed) in row.fixed {
            accounts[from + at].0 = key(fixed);
        }
        let (given, got) = (tokens[place], tokens[place + 1]);
        if let Some([a, b]) = row.mints {
            let by_way = row.by_way;
            let (first, second) = if way || by_way {
                (given, got)
            } else {
                (got, given)
            };
            accounts[from + a].0 = first;
            accounts[from + b].0 = second;
        }
        let way = if row.by_way { given < got } else { way };
        let known_way = row.mints.is_some()
            || swap_name == "Whirlpool"
            || swap_name.contains("Buy")
            || swap_name.contains("Sell");
        expected.push((
            row.program,
            accounts[from + row.pool].0,
            known_way.then_some(if way { Way::AToB } else { Way::BToA }),
            row.mints.is_some(),
            place,
        ));
        lost.push(is_lost);
    }

    let (amount, quoted) = (dice.next(), dice.next() >> 1);
    let slippage = dice.below(10_001) as u16;
    let fee = dice.below(2) as u8;
    let mut data = discriminator.to_be_bytes().to_vec();
    if name.starts_with("shared") {
        data.push(dice.next() as u8);
    }
    let by_ledger = name.contains("ledger");
    let mut amounts = Vec::new();
    if !by_ledger {
        amounts.extend(amount.to_le_bytes());
    }
    amounts.extend(quoted.to_le_bytes());
    amounts.extend(slippage.to_le_bytes());
    if is_v2 {
        amounts.extend([fee, 0, 3, 0]);
        data.extend(amounts);
        data.extend(plan);
    } else {
        amounts.push(fee);
        data.extend(plan);
        data.extend(amounts);
    }

    let instruction = Instruction {
        program: *Program::Jupiter.id(),
        data,
        accounts,
    };
    let bytes = transaction(std::slice::from_ref(&instruction), |_| false);
    // A long transaction is no finding of this test: the wire refuses it.
    if TxnView::parse(&bytes).is_err() {
        return;
    }
    let (events, decoded) = pools(&bytes, &LookupTables::none());
    assert_eq!(
        decoded.rejected,
        [0; DecodeReject::COUNT],
        "seed {seed} {name}"
    );
    assert_eq!(events.len(), expected.len(), "seed {seed} {name}");
    for ((event, (program, pool, way, has_mints, place)), is_lost) in
        events.iter().zip(&expected).zip(lost)
    {
        let got = swap(event);
        assert_eq!(event.program, *program, "seed {seed}");
        assert_eq!(event.inferred_from, Some(Program::Jupiter), "seed {seed}");
        assert_eq!(event.call.actor, Some(user), "seed {seed}");
        assert_eq!(
            event.call.pool,
            (!is_lost).then_some(*pool),
            "seed {seed} {name}"
        );
        if !is_lost {
            let said = |token: usize| match token {
                0 => end_mints[0].is_some(),
                at => at == steps.len() && end_mints[1].is_some(),
            };
            let known_way =
                *way == got.way || got.way.is_none() && !said(*place) && !said(place + 1);
            assert!(known_way, "seed {seed} {name} {way:?} {:?}", got.way);
            if *has_mints && got.way.is_some() {
                assert_eq!(got.mint_in, Some(tokens[*place]), "seed {seed}");
                assert_eq!(got.mint_out, Some(tokens[place + 1]), "seed {seed}");
            }
        }
        let bps = u128::from(quoted) * u128::from(10_000 - slippage) / 10_000;
        let more = (u128::from(quoted) * u128::from(10_000 + slippage)).div_ceil(10_000);
        let (out_min, in_max) = (bps as u64, u64::try_from(more).unwrap_or(u64::MAX));
        let (is_first, is_last) = (*place == 0, place + 1 == steps.len());
        let exact_out = name.contains("exact_out");
        let expected = match (is_first, is_last) {
            (true, true) if exact_out => SwapAmounts::ExactOut {
                amount_out: amount,
                in_max,
            },
            _ if exact_out => SwapAmounts::Unknown,
            (_, true) if by_ledger || !is_first => SwapAmounts::LastLeg { out_min },
            (true, true) if fee != 0 => SwapAmounts::UpToIn {
                amount_in: amount,
                out_min,
            },
            (true, true) => SwapAmounts::ExactIn {
                amount_in: amount,
                out_min,
            },
            (true, false) if !by_ledger => SwapAmounts::FirstLeg { amount_in: amount },
            _ => SwapAmounts::Unknown,
        };
        assert_eq!(got.amounts, expected, "seed {seed} {name}");
    }
}

#[test]
fn a_variant_that_is_not_known_ends_the_inference() {
    let one = landed().swap_remove(3);
    assert_eq!(one.instruction.program, *Program::Jupiter.id());
    let plan_at = 8 + 1 + 8 + 8 + 2 + 2 + 2;
    for (variant, reason) in [
        (177, DecodeReject::UnknownRoute),
        (255, DecodeReject::UnknownRoute),
    ] {
        let mut instruction = one.instruction.clone();
        instruction.data[plan_at + 4] = variant;
        let (events, decoded) = pools(&v1(&instruction), &LookupTables::none());
        assert!(events.is_empty());
        assert_eq!(decoded.rejected[reason as usize], 1);
    }
    // More steps than a transaction can hold, and a plan that is cut.
    for (len, reason) in [
        (33, DecodeReject::UnknownRoute),
        (4, DecodeReject::ShortData),
    ] {
        let mut instruction = one.instruction.clone();
        instruction.data[plan_at] = len;
        let (events, decoded) = pools(&v1(&instruction), &LookupTables::none());
        assert!(events.is_empty());
        assert_eq!(decoded.rejected[reason as usize], 1);
    }
}

proptest! {
    #[test]
    fn scrambled_routes_never_panic(
        which in 0usize..7,
        cut in 0usize..160,
        keep in 0usize..80,
        changes in prop::collection::vec((0usize..160, any::<u8>()), 0..6),
    ) {
        let mut instruction = landed().swap_remove(which).instruction;
        for (at, to) in changes {
            if let Some(byte) = instruction.data.get_mut(at) {
                *byte = to;
            }
        }
        instruction.data.truncate(cut);
        instruction.accounts.truncate(keep);
        instruction.accounts.push(([9; 32], true, true));
        let bytes = v1(&instruction);
        let view = TxnView::parse(&bytes).unwrap();
        decode(&view, &LookupTables::none(), Slot(7), Nanos(9), &mut |_| ());
    }
}
