//! Pools on Raydium AMM v4: opened by its own instruction or written as it lays them out, and swaps of both
//! generations.
//!
//! Opening a pool takes an order book market; ours is written, and never sees an order. Source of the layout and the instructions: raydium-amm `program/src/state.rs`, `program/src/instruction.rs`
//! (27f461d, 3b087ad).

use pump_rust_client::constants::{
    NATIVE_MINT, RENT_SYSVAR_ID, SPL_ATA_PROGRAM_ID, SPL_TOKEN_PROGRAM_ID,
};
use pump_rust_client::pda;
use solana_account::Account;
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::machine::{RAYDIUM_AMM, SERUM_DEX, compute_limit};
use crate::world::{World, mint, token_account};

/// Bytes of a pool's account.
pub const POOL_LEN: usize = 752;

/// The numbers of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// `AmmStatus`: 6 swaps only, 7 waits for `opens_at`.
    pub status: u64,
    /// Fee on the input.
    pub fee: (u64, u64),
    /// Coin and pc in the vaults that belong to the protocol.
    pub need_take: (u64, u64),
    /// Unix seconds.
    pub opens_at: u64,
    /// Coin and pc in the vaults.
    pub vaults: (u64, u64),
}

/// Which side of a pool is wrapped SOL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrapped {
    /// Neither.
    Neither,
    /// The coin.
    Coin,
    /// The pc.
    Pc,
}

/// A pool and its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// The pool.
    pub address: Address,
    /// Who signs for its vaults.
    pub authority: Address,
    /// The coin.
    pub coin_mint: Address,
    /// What it is priced in.
    pub pc_mint: Address,
    /// The pool's coins.
    pub coin_vault: Address,
    /// The pool's pc.
    pub pc_vault: Address,
    /// Mint of its shares.
    pub lp_mint: Address,
    /// The order book that it never trades on: legacy swaps name it all the same.
    pub book: Book,
}

/// Accounts of an order book.
#[derive(Clone, Copy, Debug)]
pub struct Book {
    /// The pool's orders.
    pub open_orders: Address,
    /// What the pool would order.
    pub target_orders: Address,
    /// The market.
    pub market: Address,
    /// Its program.
    pub program: Address,
    /// Bids, asks, event queue, vault of the coin, vault of the pc.
    pub parts: [Address; 5],
    /// Who signs for its vaults.
    pub signer: Address,
}

/// Where the fee for a new pool goes. Source: raydium-amm `processor.rs`, `create_pool_fee_address`.
const CREATE_POOL_FEE: Address =
    Address::from_str_const("7YttLkHDoNj9wyDur5pM1ejNaAvT9X4eqaYcHQqtj2G5");
/// Lamports of that fee on mainnet.
const POOL_FEE_LAMPORTS: u64 = 150_000_000;
/// Bytes of a serum market: five of head, the state, seven of tail. Source: serum-dex `state.rs`.
const MARKET_LEN: usize = 388;

impl Pool {
    /// Writes a pool; `seed` becomes its addresses.
    pub fn write(world: &mut World, seed: [u8; 32], shape: &Shape, wrapped: Wrapped) -> Self {
        let (authority, nonce) = Address::find_program_address(&[b"amm authority"], &RAYDIUM_AMM);
        let of = |what: u8| {
            let mut key = seed;
            key[0] ^= what;
            Address::new_from_array(key)
        };
        let mint_at = |what: u8, is_wrapped: bool| if is_wrapped { NATIVE_MINT } else { of(what) };
        let pool = Self {
            address: of(1),
            authority,
            coin_mint: mint_at(2, wrapped == Wrapped::Coin),
            pc_mint: mint_at(3, wrapped == Wrapped::Pc),
            coin_vault: of(4),
            pc_vault: of(5),
            lp_mint: of(6),
            book: Book {
                open_orders: of(7),
                target_orders: of(8),
                market: of(9),
                program: SERUM_DEX,
                parts: [10, 11, 12, 13, 14].map(of),
                signer: of(15),
            },
        };
        for mint_address in [pool.coin_mint, pool.pc_mint] {
            if mint_address != NATIVE_MINT {
                let data = mint(None, u64::MAX, 6);
                world
                    .machine
                    .put_data(mint_address, SPL_TOKEN_PROGRAM_ID, data);
            }
        }
        hold(
            world,
            pool.coin_vault,
            &pool.coin_mint,
            &authority,
            shape.vaults.0,
        );
        hold(
            world,
            pool.pc_vault,
            &pool.pc_mint,
            &authority,
            shape.vaults.1,
        );
        let data = pool.bytes(nonce, shape);
        world.machine.put_data(pool.address, RAYDIUM_AMM, data);
        pool
    }

    /// Opens a pool with `initialize2`, over a market written for it. `coin` and `pc` go in.
    ///
    /// # Panics
    /// When the program refuses.
    pub fn open(
        world: &mut World,
        seed: [u8; 32],
        owner: &Keypair,
        wrapped: Wrapped,
        (coin, pc): (u64, u64),
    ) -> Self {
        let pool = Self::planned(seed, wrapped);
        for mint_address in [pool.coin_mint, pool.pc_mint] {
            if mint_address != NATIVE_MINT {
                let data = mint(None, u64::MAX, 6);
                world
                    .machine
                    .put_data(mint_address, SPL_TOKEN_PROGRAM_ID, data);
            }
        }
        world
            .machine
            .put_data(pool.book.market, SERUM_DEX, pool.market());
        let (config, _) =
            Address::find_program_address(&[b"amm_config_account_seed"], &RAYDIUM_AMM);
        let mut terms = vec![0; 544];
        terms[536..].copy_from_slice(&POOL_FEE_LAMPORTS.to_le_bytes());
        world.machine.put_data(config, RAYDIUM_AMM, terms);
        world.put_wrapped_sol(&config, CREATE_POOL_FEE, 0);

        let user = owner.pubkey();
        let account = |mint: &Address| pda::associated_token(&user, &SPL_TOKEN_PROGRAM_ID, mint).0;
        hold(
            world,
            account(&pool.coin_mint),
            &pool.coin_mint,
            &user,
            coin,
        );
        hold(world, account(&pool.pc_mint), &pool.pc_mint, &user, pc);
        let (_, nonce) = Address::find_program_address(&[b"amm authority"], &RAYDIUM_AMM);
        let mut data = vec![1, nonce];
        for number in [0, pc, coin] {
            data.extend(u64::to_le_bytes(number));
        }
        let readonly = |key: Address| AccountMeta::new_readonly(key, false);
        let writable = |key: Address| AccountMeta::new(key, false);
        let initialize = Instruction {
            program_id: RAYDIUM_AMM,
            accounts: vec![
                readonly(SPL_TOKEN_PROGRAM_ID),
                readonly(SPL_ATA_PROGRAM_ID),
                readonly(Address::default()),
                readonly(RENT_SYSVAR_ID),
                writable(pool.address),
                readonly(pool.authority),
                writable(pool.book.open_orders),
                writable(pool.lp_mint),
                readonly(pool.coin_mint),
                readonly(pool.pc_mint),
                writable(pool.coin_vault),
                writable(pool.pc_vault),
                writable(pool.book.target_orders),
                readonly(config),
                writable(CREATE_POOL_FEE),
                readonly(pool.book.program),
                readonly(pool.book.market),
                AccountMeta::new(user, true),
                writable(account(&pool.coin_mint)),
                writable(account(&pool.pc_mint)),
                writable(account(&pool.lp_mint)),
            ],
            data,
        };
        let kind = "amm v4 initialize2";
        let limit = compute_limit(600_000);
        world
            .machine
            .run(kind, &[limit, initialize], &[owner])
            .expect(kind);
        pool
    }

    /// The addresses of the pool that `initialize2` opens over the market of `seed`.
    fn planned(seed: [u8; 32], wrapped: Wrapped) -> Self {
        let of = |what: u8| {
            let mut key = seed;
            key[0] ^= what;
            Address::new_from_array(key)
        };
        let mint_at = |what: u8, is_wrapped: bool| if is_wrapped { NATIVE_MINT } else { of(what) };
        let market = of(9);
        let derived = |label: &[u8]| {
            let seeds = [RAYDIUM_AMM.as_ref(), market.as_ref(), label];
            Address::find_program_address(&seeds, &RAYDIUM_AMM).0
        };
        Self {
            address: derived(b"amm_associated_seed"),
            authority: Address::find_program_address(&[b"amm authority"], &RAYDIUM_AMM).0,
            coin_mint: mint_at(2, wrapped == Wrapped::Coin),
            pc_mint: mint_at(3, wrapped == Wrapped::Pc),
            coin_vault: derived(b"coin_vault_associated_seed"),
            pc_vault: derived(b"pc_vault_associated_seed"),
            lp_mint: derived(b"lp_mint_associated_seed"),
            book: Book {
                open_orders: derived(b"open_order_associated_seed"),
                target_orders: derived(b"target_associated_seed"),
                market,
                program: SERUM_DEX,
                parts: [10, 11, 12, 13, 14].map(of),
                signer: of(15),
            },
        }
    }

    /// The market's account: flags, its own address, both mints, both lots; the rest is never read.
    fn market(&self) -> Vec<u8> {
        const INITIALIZED_MARKET: u64 = 1 | 2;
        let mut data = vec![0; MARKET_LEN];
        data[..5].copy_from_slice(b"serum");
        data[5..13].copy_from_slice(&INITIALIZED_MARKET.to_le_bytes());
        data[13..45].copy_from_slice(self.book.market.as_ref());
        data[53..85].copy_from_slice(self.coin_mint.as_ref());
        data[85..117].copy_from_slice(self.pc_mint.as_ref());
        for (at, lot) in [(349, 1_000_000u64), (357, 1)] {
            data[at..at + 8].copy_from_slice(&lot.to_le_bytes());
        }
        data[381..].copy_from_slice(b"padding");
        data
    }

    fn bytes(&self, nonce: u8, shape: &Shape) -> Vec<u8> {
        let mut data = vec![0; POOL_LEN];
        let mut numbers = |at: usize, values: &[u64]| {
            for (index, value) in values.iter().enumerate() {
                data[at + 8 * index..][..8].copy_from_slice(&value.to_le_bytes());
            }
        };
        // status, nonce, order_num, depth, decimals of both, state, reset_flag, min_size, ratios, lots, multipliers,
        // sys_decimal_value.
        numbers(
            0,
            &[shape.status, nonce.into(), 7, 3, 6, 6, 1, 0, 1, 500, 5_000],
        );
        numbers(88, &[1, 1, 1, 1_000_000_000, 1_000_000]);
        // min_separate, trade fee, pnl, swap fee.
        numbers(
            128,
            &[5, 10_000, 25, 10_000, 12, 100, shape.fee.0, shape.fee.1],
        );
        numbers(
            192,
            &[shape.need_take.0, shape.need_take.1, 0, 0, shape.opens_at],
        );
        let keys = [
            self.coin_vault,
            self.pc_vault,
            self.coin_mint,
            self.pc_mint,
            self.lp_mint,
            self.book.open_orders,
            self.book.market,
            self.book.program,
            self.book.target_orders,
        ];
        for (index, key) in keys.iter().enumerate() {
            data[336 + 32 * index..][..32].copy_from_slice(key.as_ref());
        }
        data
    }

    /// The account's bytes.
    ///
    /// # Panics
    /// When there is no account.
    #[must_use]
    pub fn data(&self, world: &World) -> Vec<u8> {
        world
            .machine
            .account(&self.address)
            .expect("a written pool")
            .data
    }

    /// What the vaults hold: coin, pc.
    #[must_use]
    pub fn vaults(&self, world: &World) -> (u64, u64) {
        let machine = &world.machine;
        (
            machine.tokens(&self.coin_vault),
            machine.tokens(&self.pc_vault),
        )
    }
}

/// Makes `address` a token account of SPL Token that holds `amount`.
pub fn hold(world: &mut World, address: Address, mint: &Address, owner: &Address, amount: u64) {
    if *mint == NATIVE_MINT {
        return world.put_wrapped_sol(owner, address, amount);
    }
    let data = token_account(mint, owner, amount);
    let lamports = world.machine.rent(data.len());
    world.machine.put(
        address,
        Account {
            lamports,
            data,
            owner: SPL_TOKEN_PROGRAM_ID,
            executable: false,
            rent_epoch: u64::MAX,
        },
    );
}

/// An instruction that swaps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `SwapBaseIn` (9): what goes in, least that comes out.
    In,
    /// `SwapBaseOut` (11): most that goes in, what comes out.
    Out,
    /// `SwapBaseInV2` (16).
    InV2,
    /// `SwapBaseOutV2` (17).
    OutV2,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::In, Self::Out, Self::InV2, Self::OutV2];

    /// Name in the table of compute units.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "amm v4 swap_base_in",
            Self::Out => "amm v4 swap_base_out",
            Self::InV2 => "amm v4 swap_base_in_v2",
            Self::OutV2 => "amm v4 swap_base_out_v2",
        }
    }

    /// Whether what comes out is fixed.
    #[must_use]
    pub const fn fixes_out(self) -> bool {
        matches!(self, Self::Out | Self::OutV2)
    }

    const fn tag(self) -> u8 {
        match self {
            Self::In => 9,
            Self::Out => 11,
            Self::InV2 => 16,
            Self::OutV2 => 17,
        }
    }
}

/// A swap's instruction; `first` and `second` are the two amounts in the order of the wire.
#[must_use]
pub fn instruction(
    pool: &Pool,
    call: Call,
    user: &Address,
    source: &Address,
    destination: &Address,
    (first, second): (u64, u64),
) -> Instruction {
    let mut accounts = vec![
        AccountMeta::new_readonly(SPL_TOKEN_PROGRAM_ID, false),
        AccountMeta::new(pool.address, false),
        AccountMeta::new_readonly(pool.authority, false),
    ];
    let vaults = [pool.coin_vault, pool.pc_vault].map(|vault| AccountMeta::new(vault, false));
    match call {
        Call::In | Call::Out => {
            // Open orders; then market program, market, bids, asks, event queue, its vaults, their signer.
            let book = &pool.book;
            accounts.push(AccountMeta::new(book.open_orders, false));
            accounts.extend(vaults);
            accounts.push(AccountMeta::new_readonly(book.program, false));
            accounts.push(AccountMeta::new(book.market, false));
            accounts.extend(book.parts.map(|part| AccountMeta::new(part, false)));
            accounts.push(AccountMeta::new_readonly(book.signer, false));
        }
        Call::InV2 | Call::OutV2 => accounts.extend(vaults),
    }
    accounts.extend([
        AccountMeta::new(*source, false),
        AccountMeta::new(*destination, false),
        AccountMeta::new_readonly(*user, true),
    ]);
    let mut data = vec![call.tag()];
    data.extend(first.to_le_bytes());
    data.extend(second.to_le_bytes());
    Instruction {
        program_id: RAYDIUM_AMM,
        accounts,
        data,
    }
}
