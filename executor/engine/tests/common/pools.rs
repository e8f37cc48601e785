//! A coin with a CPMM pool and an AMM v4 pool.

use market::pump::account::BondingCurve;
use market::pump::{TOKEN_PROGRAM, WRAPPED_SOL};
use market::raydium_cp::account::{Config, CreatorFeeOn, Owed};
use market::{
    Curve, CurveTruth, FeedId, Key, Mint, PoolState, PoolTruth, RaydiumAmmAccounts,
    RaydiumCpAccounts, Reserves, TransferFee, Version, raydium_amm, raydium_cp,
};
use shred_wire::Slot;

use super::{World, instruction, transaction};

/// After wrapped SOL's (6), so the coin is token 1 of a CPMM pool.
pub const COIN: Key = [0x59; 32];
pub const CP_POOL: Key = [0x71; 32];
pub const AMM_POOL: Key = [0x72; 32];
pub const SOL: u64 = 1_000_000_000;

/// A CPMM pool between `coin` and so many lamports.
pub fn cp(pool: Key, coin: Key, lamports: u64, slot: u64) -> PoolTruth {
    let state = raydium_cp::Pool {
        config: [1; 32],
        creator: [2; 32],
        vaults: [[3; 32], [4; 32]],
        mints: [WRAPPED_SOL, coin],
        token_programs: [TOKEN_PROGRAM; 2],
        lp_mint: [5; 32],
        observation: [6; 32],
        status: 0,
        lp_supply: 1_000,
        opens_at: 0,
        creator_fee: false,
        creator_fee_on: CreatorFeeOn::Input,
        owed: [Owed::default(); 2],
        held: [lamports, 5_000_000_000_000],
        transfer_fees: [Some(TransferFee::NONE); 2],
    };
    let config = Config {
        closed_to_new_pools: false,
        trade_fee_rate: 2_500,
        protocol_fee_rate: 120_000,
        fund_fee_rate: 40_000,
        creator_fee_rate: 0,
        create_pool_fee: 0,
    };
    let accounts = RaydiumCpAccounts {
        mint: Mint(coin),
        pool,
        amm_config: [1; 32],
        base_vault: [4; 32],
        quote_vault: [3; 32],
        token_program: TOKEN_PROGRAM,
        quote_mint: WRAPPED_SOL,
        observation: [6; 32],
    };
    PoolTruth {
        pool,
        accounts: accounts.into(),
        state: PoolState::RaydiumCp(state, config),
        slot: Slot(slot),
        write_version: 1,
        feed: FeedId(0),
        terms: Version::NONE,
        succession: None,
        is_dangerous: false,
    }
}

/// An AMM v4 pool of the same coin.
pub fn amm(lamports: u64, slot: u64) -> PoolTruth {
    let mut data = vec![0; 752];
    let mut put = |at: usize, bytes: &[u8]| data[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &6u64.to_le_bytes());
    put(176, &25u64.to_le_bytes());
    put(184, &10_000u64.to_le_bytes());
    put(336, &[7; 32]);
    put(368, &[8; 32]);
    put(400, &COIN);
    put(432, &WRAPPED_SOL);
    let state = raydium_amm::Pool::parse(&data).unwrap();
    let accounts = RaydiumAmmAccounts {
        mint: Mint(COIN),
        pool: AMM_POOL,
        coin_vault: [7; 32],
        pc_vault: [8; 32],
        quote_mint: WRAPPED_SOL,
    };
    PoolTruth {
        pool: AMM_POOL,
        accounts: accounts.into(),
        state: PoolState::RaydiumAmm(state.with_vaults(5_000_000_000_000, lamports)),
        ..cp(AMM_POOL, COIN, lamports, slot)
    }
}

/// A stranger's `swap_base_input` of wrapped SOL on the CPMM pool.
pub fn stranger_swaps(world: &mut World, amount_in: u64) {
    world.send_bytes(&swap_bytes(amount_in), |_| {});
}

/// The transaction of it.
pub fn swap_bytes(amount_in: u64) -> Vec<u8> {
    let mut swap = instruction("sell_v3");
    swap.program = *market::Program::RaydiumCp.id();
    let discriminator = [0x8f, 0xbe, 0x5a, 0xda, 0xc4, 0x1e, 0x33, 0xde];
    swap.data = [&discriminator[..], &amount_in.to_le_bytes(), &[0; 8]].concat();
    let keys = [
        [0x99; 32],
        [0x21; 32],
        [1; 32],
        CP_POOL,
        [0x22; 32],
        [0x23; 32],
        [3; 32],
        [4; 32],
        TOKEN_PROGRAM,
        TOKEN_PROGRAM,
        WRAPPED_SOL,
        COIN,
        [6; 32],
    ];
    swap.accounts = keys
        .iter()
        .enumerate()
        .map(|(at, key)| (*key, at == 0, at < 8))
        .collect();
    transaction(&[swap], |_| false)
}

/// What the account of `curve` would say, sold out or not.
pub fn curve_truth(curve: &Curve, complete: bool, slot: Slot) -> CurveTruth {
    let left = if complete {
        0
    } else {
        curve.reserves.real_token
    };
    CurveTruth {
        accounts: curve.accounts,
        curve: BondingCurve {
            reserves: Reserves {
                real_token: left,
                ..curve.reserves
            },
            supply: curve.supply,
            complete,
            creator: curve.accounts.creator,
            mayhem: false,
            cashback: false,
            quote_mint: WRAPPED_SOL,
            creator_fee_bps: 0,
            holder_reward: false,
            creator_fees: 0,
            protocol_fees: 0,
            depth: 0,
            initial_virtual_quote: 0,
            past_tokens: 0,
            past_quote: 0,
        },
        supply: None,
        slot,
        write_version: 1,
        feed: FeedId(0),
    }
}
