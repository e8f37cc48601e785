//! Goal: what the venue's own package builds and encodes, we read back, field by field, on all three of Raydium's
//! pools and curves.
//! Method: `golden/raydium_instructions.txt` and `golden/raydium_accounts.txt`, whose heads say how they were made.

use crate::common::{bytes, instruction_in};
use crate::raydium::call_built;
use market::event::{Create, Liquidity, PoolAction, ReferredSwap, Swap, SwapAmounts, Way};
use market::launchlab::{self, CurveType, Launch};
use market::token::TransferFee;
use market::{Key, pump, raydium_amm, raydium_cp};

const POOL: Key = [1; 32];
const ACTOR: Key = [2; 32];
const MINT_A: Key = [3; 32];
const MINT_B: Key = [4; 32];
const VAULT_A: Key = [5; 32];
const VAULT_B: Key = [6; 32];
const CONFIG: Key = [7; 32];
const ACCOUNT_A: Key = [8; 32];
const ACCOUNT_B: Key = [9; 32];

fn built(name: &str) -> crate::common::Instruction {
    instruction_in(include_str!("../golden/raydium_instructions.txt"), name)
}

/// What the instruction called `name` asks, of the pool and by the trader that all of them name.
#[track_caller]
fn asked(name: &str) -> PoolAction {
    let call = call_built(&built(name)).unwrap();
    assert_eq!((call.pool, call.actor), (Some(POOL), Some(ACTOR)), "{name}");
    call.action
}

const EXACT_IN: SwapAmounts = SwapAmounts::ExactIn {
    amount_in: 1_001,
    out_min: 2_002,
};

/// In the order of AMM v4 and CPMM: the limit first.
const EXACT_OUT: SwapAmounts = SwapAmounts::ExactOut {
    in_max: 1_001,
    amount_out: 2_002,
};

#[test]
fn swaps_read_back() {
    let swap = |amounts, way, mints: Option<(Key, Key)>, accounts: (Key, Key)| Swap {
        amounts,
        way,
        mint_in: mints.map(|mints| mints.0),
        mint_out: mints.map(|mints| mints.1),
        account_in: Some(accounts.0),
        account_out: Some(accounts.1),
        price_limit: None,
    };
    let accounts = (ACCOUNT_A, ACCOUNT_B);
    for (name, amounts) in [
        ("amm_swap_base_in", EXACT_IN),
        ("amm_swap_base_out", EXACT_OUT),
        ("amm_swap_base_in_v2", EXACT_IN),
        ("amm_swap_base_out_v2", EXACT_OUT),
    ] {
        let expect = swap(amounts, None, None, accounts);
        assert_eq!(asked(name), PoolAction::Swap(expect), "{name}");
    }
    for (name, amounts) in [
        ("cp_swap_base_input", EXACT_IN),
        ("cp_swap_base_output", EXACT_OUT),
    ] {
        let expect = swap(amounts, Some(Way::AToB), Some((MINT_A, MINT_B)), accounts);
        assert_eq!(asked(name), PoolAction::Swap(expect), "{name}");
    }
    let exact_out = SwapAmounts::ExactOut {
        amount_out: 1_001,
        in_max: 2_002,
    };
    for (name, amounts, way) in [
        ("ll_buy_exact_in", EXACT_IN, Way::BToA),
        ("ll_buy_exact_out", exact_out, Way::BToA),
        ("ll_sell_exact_in", EXACT_IN, Way::AToB),
        ("ll_sell_exact_out", exact_out, Way::AToB),
    ] {
        let expect = match way {
            Way::AToB => swap(amounts, Some(way), Some((MINT_A, MINT_B)), accounts),
            Way::BToA => swap(
                amounts,
                Some(way),
                Some((MINT_B, MINT_A)),
                (ACCOUNT_B, ACCOUNT_A),
            ),
        };
        assert_eq!(asked(name), PoolAction::Swap(expect), "{name}");
        let referred = ReferredSwap {
            swap: expect,
            fee_rate: 77,
        };
        let shared = format!("{name}_shared");
        assert_eq!(
            asked(&shared),
            PoolAction::ReferredSwap(referred),
            "{shared}"
        );
    }
}

#[test]
fn creations_and_liquidity_read_back() {
    let create = Create {
        mint_a: Some(MINT_A),
        mint_b: Some(MINT_B),
        vault_a: Some(VAULT_A),
        vault_b: Some(VAULT_B),
        config: Some(CONFIG),
        amount_a: 1_001,
        amount_b: 2_002,
        opens_at: Some(3_003),
        ..Create::default()
    };
    for name in [
        "amm_initialize2",
        "cp_initialize",
        "cp_initialize_with_permission",
    ] {
        assert_eq!(asked(name), PoolAction::Create(create), "{name}");
    }
    let launch = Create {
        amount_a: 0,
        amount_b: 0,
        opens_at: None,
        makes_mint: true,
        ..create
    };
    for name in [
        "ll_initialize_v2",
        "ll_initialize_v2_rules",
        "ll_initialize_with_token_2022",
        "ll_initialize_with_token_2022_no_fee",
    ] {
        assert_eq!(asked(name), PoolAction::Create(launch), "{name}");
    }
    let liquidity = |share, limit_a, limit_b| Liquidity {
        share,
        limit_a,
        limit_b,
    };
    for (name, action) in [
        (
            "amm_deposit",
            PoolAction::Deposit(liquidity(0, 1_001, 2_002)),
        ),
        (
            "amm_withdraw",
            PoolAction::Withdraw(liquidity(1_001, 2_002, 3_003)),
        ),
        (
            "cp_deposit",
            PoolAction::Deposit(liquidity(1_001, 2_002, 3_003)),
        ),
        (
            "cp_withdraw",
            PoolAction::Withdraw(liquidity(1_001, 2_002, 3_003)),
        ),
    ] {
        assert_eq!(asked(name), action, "{name}");
    }
}

#[test]
fn a_launchs_terms_read_back() {
    let expect = Launch {
        decimals: 6,
        curve: CurveType::ConstantProduct,
        supply: 1_000_000_000_000_000,
        total_base_sell: 793_100_000_000_000,
        total_quote_fund_raising: 85_000_000_000,
        migrates_to_cp: true,
        total_locked_amount: 11,
        transfer_fee: None,
    };
    let derived = |curve| Launch {
        curve,
        total_base_sell: 0,
        ..expect
    };
    let transfer_fee = Some(TransferFee {
        bps: 300,
        fee_max: 900,
    });
    for (name, expect) in [
        ("ll_initialize_v2", expect),
        ("ll_initialize_v2_rules", derived(CurveType::LinearPrice)),
        (
            "ll_initialize_with_token_2022",
            Launch {
                transfer_fee,
                ..expect
            },
        ),
        (
            "ll_initialize_with_token_2022_no_fee",
            derived(CurveType::FixedPrice),
        ),
    ] {
        assert_eq!(Launch::read(&built(name).data), Ok(expect), "{name}");
    }
}

/// Positions that builders fill, and the accounts the IDLs leave off.
#[test]
fn the_packages_accounts_stand_where_ours_do() {
    let legacy = built("amm_swap_base_in");
    let positions = raydium_amm::SwapPositions::LEGACY_TARGET;
    assert_eq!(legacy.accounts.len(), positions.count);
    assert_eq!(legacy.accounts[positions.coin_vault].0, VAULT_A);
    assert_eq!(legacy.accounts[positions.pc_vault()].0, VAULT_B);
    assert_eq!(legacy.accounts[positions.owner()], (ACTOR, true, false));
    let v2 = built("amm_swap_base_in_v2");
    let positions = raydium_amm::SwapPositions::V2;
    assert_eq!(v2.accounts.len(), positions.count);
    assert_eq!(v2.accounts[positions.coin_vault].0, VAULT_A);
    assert_eq!(v2.accounts[positions.pc_vault()].0, VAULT_B);

    let swap = built("cp_swap_base_input");
    assert_eq!(swap.accounts.len(), raydium_cp::swap::COUNT);
    for (position, key) in [
        (raydium_cp::swap::CONFIG, CONFIG),
        (raydium_cp::swap::INPUT_VAULT, VAULT_A),
        (raydium_cp::swap::OUTPUT_VAULT, VAULT_B),
        (raydium_cp::swap::INPUT_TOKEN_PROGRAM, pump::TOKEN_PROGRAM),
        (raydium_cp::swap::OUTPUT_TOKEN_PROGRAM, pump::TOKEN_PROGRAM),
        (raydium_cp::swap::INPUT_MINT, MINT_A),
        (raydium_cp::swap::OUTPUT_MINT, MINT_B),
        (raydium_cp::swap::AUTHORITY, [0x21; 32]),
        (raydium_cp::swap::OBSERVATION, [0x22; 32]),
    ] {
        assert_eq!(swap.accounts[position].0, key, "{position}");
    }

    let trade = built("ll_buy_exact_in");
    use launchlab::trade;
    assert_eq!(trade.accounts.len(), trade::CREATOR_FEE_VAULT + 1);
    for (position, key) in [
        (trade::AUTHORITY, [0x21; 32]),
        (trade::GLOBAL_CONFIG, CONFIG),
        (trade::PLATFORM_CONFIG, [10; 32]),
        (trade::BASE_VAULT, VAULT_A),
        (trade::QUOTE_VAULT, VAULT_B),
        (trade::BASE_TOKEN_PROGRAM, pump::TOKEN_PROGRAM),
        (trade::QUOTE_TOKEN_PROGRAM, pump::TOKEN_PROGRAM),
        (trade::EVENT_AUTHORITY, launchlab::EVENT_AUTHORITY),
        (trade::PROGRAM, *market::Program::LaunchLab.id()),
        (trade::SYSTEM_PROGRAM, [0; 32]),
        (trade::PLATFORM_FEE_VAULT, [0x22; 32]),
        (trade::CREATOR_FEE_VAULT, [0x23; 32]),
    ] {
        assert_eq!(trade.accounts[position].0, key, "{position}");
    }
    assert!(
        trade.accounts[trade::PLATFORM_FEE_VAULT].2 && trade.accounts[trade::CREATOR_FEE_VAULT].2
    );
}

fn encoded(name: &str) -> Vec<u8> {
    let text = include_str!("../golden/raydium_accounts.txt");
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    bytes(lines.find(|(found, _)| *found == name).unwrap().1)
}

fn keys<const N: usize>() -> [Key; N] {
    std::array::from_fn(|at| [at as u8 + 1; 32])
}

#[test]
fn pools_read_back() {
    let amm = raydium_amm::Pool::parse(&encoded("amm_pool")).unwrap();
    assert_eq!(
        (amm.status, amm.nonce),
        (raydium_amm::Status::SwapOnly, 254)
    );
    assert_eq!(
        (amm.swap_fee_numerator, amm.swap_fee_denominator),
        (1_020, 1_021)
    );
    assert_eq!(
        (amm.need_take_coin, amm.need_take_pc, amm.opens_at),
        (1_022, 1_023, 1_026)
    );
    let found = [
        amm.coin_vault,
        amm.pc_vault,
        amm.coin_mint,
        amm.pc_mint,
        amm.lp_mint,
        amm.open_orders,
        amm.market,
        amm.market_program,
        amm.target_orders,
    ];
    assert_eq!(found, keys());

    let cp = raydium_cp::Pool::parse(&encoded("cp_pool")).unwrap();
    let found = [
        cp.config,
        cp.creator,
        cp.vaults[0],
        cp.vaults[1],
        cp.lp_mint,
        cp.mints[0],
        cp.mints[1],
        cp.observation,
    ];
    assert_eq!(found, keys());
    assert_eq!(
        cp.token_programs,
        [pump::TOKEN_PROGRAM, pump::TOKEN_2022_PROGRAM]
    );
    assert_eq!((cp.status, cp.lp_supply, cp.opens_at), (3, 1_000, 1_005));
    assert_eq!(
        (cp.creator_fee, cp.creator_fee_on),
        (true, raydium_cp::CreatorFeeOn::Token1)
    );
    let owed = cp.owed.map(|owed| [owed.protocol, owed.fund, owed.creator]);
    assert_eq!(owed, [[1_001, 1_003, 1_007], [1_002, 1_004, 1_008]]);
    assert_eq!(cp.transfer_fees, [Some(TransferFee::NONE), None]);

    let curve = launchlab::Pool::parse(&encoded("ll_pool")).unwrap();
    let found = [
        curve.global_config,
        curve.platform_config,
        curve.base_mint,
        curve.quote_mint,
        curve.base_vault,
        curve.quote_vault,
        curve.creator,
    ];
    assert_eq!(found, keys());
    let reserves = launchlab::Reserves {
        total_base_sell: 1_002,
        virtual_base: 1_003,
        virtual_quote: 1_004,
        real_base: 5,
        real_quote: 1_005,
    };
    assert_eq!(
        (curve.reserves, curve.total_quote_fund_raising),
        (reserves, 1_006)
    );
    assert_eq!(
        (curve.status, curve.migrates_to_cp),
        (launchlab::Status::Migrate, true)
    );
    assert_eq!(
        (curve.base_token_2022, curve.quote_token_2022),
        (false, true)
    );
}

#[test]
fn configurations_read_back() {
    let expect = raydium_cp::Config {
        closed_to_new_pools: true,
        trade_fee_rate: 1_000,
        protocol_fee_rate: 1_001,
        fund_fee_rate: 1_002,
        create_pool_fee: 1_003,
        creator_fee_rate: 1_004,
    };
    assert_eq!(raydium_cp::Config::parse(&encoded("cp_config")), Ok(expect));
    let expect = launchlab::GlobalConfig {
        curve: CurveType::LinearPrice,
        migrate_fee: 1_001,
        trade_fee_rate: 1_002,
        share_fee_rate_max: 1_003,
        quote_mint: [1; 32],
    };
    assert_eq!(
        launchlab::GlobalConfig::parse(&encoded("ll_global")),
        Ok(expect)
    );
    let expect = launchlab::PlatformConfig {
        fee_rate: 1_004,
        creator_fee_rate: 1_005,
        cp_config: [3; 32],
    };
    assert_eq!(
        launchlab::PlatformConfig::parse(&encoded("ll_platform")),
        Ok(expect)
    );
}
