//! Pools on PumpSwap: what a migration makes of a coin, pools of others, and trades as others make them.

use anchor_lang::{AccountSerialize, InstructionData, ToAccountMetas};
use pump_rust_client::pump_amm::client;
use pump_rust_client::pump_amm::types::{OptionBool, OptionU64};
use pump_rust_client::state::pump_amm::Pool as PoolState;
use pump_rust_client::{PumpSdk, accounts, constants, pda};
use solana_account::Account;
use solana_address::Address;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::pump::Coin;
use crate::world::{World, wrapped_sol_account};

/// A pool priced in wrapped SOL.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// The pool.
    pub address: Address,
    /// The coin.
    pub base_mint: Address,
    /// Program of the coin.
    pub base_program: Address,
    /// The pool's coins.
    pub base_vault: Address,
    /// The pool's wrapped SOL.
    pub quote_vault: Address,
}

impl Pool {
    /// The pool that a migration of `coin` opens.
    #[must_use]
    pub fn of(coin: &Coin) -> Self {
        let address = pda::pump_amm::canonical_pool(&coin.mint, &constants::NATIVE_MINT).0;
        Self::at(address, coin)
    }

    fn at(address: Address, coin: &Coin) -> Self {
        let vault =
            |program: &Address, mint: &Address| pda::associated_token(&address, program, mint).0;
        Self {
            address,
            base_mint: coin.mint,
            base_program: coin.token_program,
            base_vault: vault(&coin.token_program, &coin.mint),
            quote_vault: vault(&constants::SPL_TOKEN_PROGRAM_ID, &constants::NATIVE_MINT),
        }
    }

    /// Opens a pool of `owner`'s own, which Pump did not make: it pays the flat fees and has no coin creator.
    ///
    /// # Panics
    /// When the program refuses.
    pub fn open(world: &mut World, coin: &Coin, owner: &Keypair, base: u64, quote: u64) -> Self {
        let user = owner.pubkey();
        world.wrap(&user, quote);
        let (address, _) = pda::pump_amm::pool(1, &user, &coin.mint, &constants::NATIVE_MINT);
        let pool = Self::at(address, coin);
        let lp_mint = pda::pump_amm::lp_mint(&address).0;
        let token_2022 = constants::SPL_TOKEN_2022_PROGRAM_ID;
        let accounts = client::accounts::CreatePool {
            pool: address,
            global_config: pda::pump_amm::global_config().0,
            creator: user,
            base_mint: coin.mint,
            quote_mint: constants::NATIVE_MINT,
            lp_mint,
            user_base_token_account: coin.account_of(&user),
            user_quote_token_account: wrapped_sol_account(&user),
            user_pool_token_account: pda::associated_token(&user, &token_2022, &lp_mint).0,
            pool_base_token_account: pool.base_vault,
            pool_quote_token_account: pool.quote_vault,
            system_program: Address::default(),
            token_2022_program: token_2022,
            base_token_program: coin.token_program,
            quote_token_program: constants::SPL_TOKEN_PROGRAM_ID,
            associated_token_program: constants::SPL_ATA_PROGRAM_ID,
            event_authority: pda::pump_amm::event_authority().0,
            program: constants::pump_amm::PROGRAM_ID,
        };
        let arguments = client::args::CreatePool {
            index: 1,
            base_amount_in: base,
            quote_amount_in: quote,
            coin_creator: Address::default(),
            is_mayhem_mode: false,
            is_cashback_coin: OptionBool(false),
            creator_fee_bps: OptionU64(0),
            can_edit_creator_fee: OptionBool(false),
            is_holder_reward: OptionBool(false),
        };
        let create = Instruction {
            program_id: constants::pump_amm::PROGRAM_ID,
            accounts: accounts.to_account_metas(None),
            data: arguments.data(),
        };
        let kind = "pump_amm create_pool";
        world.machine.run(kind, &[create], &[owner]).expect(kind);
        pool
    }

    /// The pool as its account holds it.
    ///
    /// # Panics
    /// When the publisher's own decoder cannot read it.
    #[must_use]
    pub fn state(&self, world: &World) -> PoolState {
        accounts::pump_amm::decode_pool(&self.data(world)).expect("a pool")
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
            .expect("an open pool")
            .data
    }

    /// What the vaults hold: coins, lamports.
    #[must_use]
    pub fn vaults(&self, world: &World) -> (u64, u64) {
        let machine = &world.machine;
        (
            machine.tokens(&self.base_vault),
            machine.tokens(&self.quote_vault),
        )
    }

    /// Supply of the coin's mint.
    ///
    /// # Panics
    /// When there is no mint.
    #[must_use]
    pub fn supply(&self, world: &World) -> u64 {
        let mint = world.machine.account(&self.base_mint).expect("a mint");
        u64::from_le_bytes(mint.data[36..44].try_into().expect("eight bytes"))
    }

    /// Rewrites the pool's account: virtual reserves, rates of its own, cashback.
    pub fn rewrite(&self, world: &mut World, change: impl FnOnce(&mut PoolState)) {
        let account = world.machine.account(&self.address).expect("an open pool");
        let mut state = self.state(world);
        change(&mut state);
        let mut data = Vec::new();
        state
            .try_serialize(&mut data)
            .expect("a vector takes every byte");
        data.resize(account.data.len().max(data.len()), 0);
        let lamports = world.machine.rent(data.len()).max(account.lamports);
        let account = Account {
            lamports,
            data,
            ..account
        };
        world.machine.put(self.address, account);
    }

    /// Sets what the vaults hold.
    ///
    /// # Panics
    /// When there are none.
    pub fn set_vaults(&self, world: &mut World, base: u64, quote: u64) {
        let mut account = world.machine.account(&self.base_vault).expect("a vault");
        account.data[64..72].copy_from_slice(&base.to_le_bytes());
        world.machine.put(self.base_vault, account);
        world.set_wrapped(&self.address, quote);
    }
}

/// An instruction that trades with a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `buy`: coins, most lamports.
    Buy,
    /// `buy_exact_quote_in`: lamports, fewest coins.
    BuyExactIn,
    /// `sell`: coins, fewest lamports.
    Sell,
    /// `buy_v2`.
    BuyV2,
    /// `buy_exact_quote_in_v2`.
    BuyExactInV2,
    /// `sell_v2`.
    SellV2,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Buy,
        Self::BuyExactIn,
        Self::Sell,
        Self::BuyV2,
        Self::BuyExactInV2,
        Self::SellV2,
    ];

    /// Name in the table of compute units.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buy => "pump_amm buy",
            Self::BuyExactIn => "pump_amm buy_exact_quote_in",
            Self::Sell => "pump_amm sell",
            Self::BuyV2 => "pump_amm buy_v2",
            Self::BuyExactInV2 => "pump_amm buy_exact_quote_in_v2",
            Self::SellV2 => "pump_amm sell_v2",
        }
    }

    /// Whether quote comes out.
    #[must_use]
    pub const fn sells(self) -> bool {
        matches!(self, Self::Sell | Self::SellV2)
    }

    /// Whether fees stay in the pool until they are swept.
    #[must_use]
    pub const fn is_v2(self) -> bool {
        matches!(self, Self::BuyV2 | Self::BuyExactInV2 | Self::SellV2)
    }
}

/// The instruction of somebody else's trade, as the publisher's client makes it; `first` and `second` are the two
/// amounts in the order of the wire.
///
/// `pays_back` says whether the trade pays a creator fee. A legacy trade that pays none names neither the account
/// that gets a cashback nor the pool's second account, which the client does not know: it names them by the creator
/// alone, and the program takes one of them for the buyback recipient (6053).
///
/// # Panics
/// When the world has no recipients.
#[must_use]
pub fn instruction(
    world: &World,
    pool: &Pool,
    call: Call,
    user: &Address,
    (first, second): (u64, u64),
    pays_back: bool,
) -> Instruction {
    let sdk = PumpSdk::new();
    let mut state = pool.state(world);
    if !call.is_v2() {
        state.is_cashback_coin &= pays_back;
    }
    let config = &world.pool_config;
    let token = constants::SPL_TOKEN_PROGRAM_ID;
    let (base, user) = (pool.base_program, *user);
    let buyback = PumpSdk::buyback_fee_recipient_from_amm_global(config).expect("listed");
    let mut instruction = match call {
        Call::Buy => sdk
            .buy_amm_instruction(
                pool.address,
                config,
                &state,
                base,
                token,
                user,
                first,
                second,
            )
            .expect("recipients are listed"),
        Call::BuyExactIn => {
            let mut buy = sdk
                .buy_amm_instruction(
                    pool.address,
                    config,
                    &state,
                    base,
                    token,
                    user,
                    first,
                    second,
                )
                .expect("recipients are listed");
            let arguments = client::args::BuyExactQuoteIn {
                spendable_quote_in: first,
                min_base_amount_out: second,
                track_volume: OptionBool(true),
            };
            buy.data = arguments.data();
            buy
        }
        Call::Sell => sdk
            .sell_amm_instruction(
                pool.address,
                config,
                &state,
                base,
                token,
                user,
                first,
                second,
            )
            .expect("recipients are listed"),
        Call::BuyV2 => {
            sdk.buy_amm_v2_instruction(&state, base, token, user, buyback, first, second)
        }
        Call::BuyExactInV2 => sdk.buy_exact_quote_in_amm_v2_instruction(
            &state, base, token, user, buyback, first, second,
        ),
        Call::SellV2 => {
            sdk.sell_amm_v2_instruction(&state, base, token, user, buyback, first, second)
        }
    };
    if !call.is_v2() && !pays_back {
        let (pool_v2, _) = pda::pump_amm::pool_v2(&pool.base_mint);
        instruction
            .accounts
            .retain(|account| account.pubkey != pool_v2);
    }
    instruction
}

/// The accounts a legacy trade names for the creator and for cashback, when they have to exist beforehand.
#[must_use]
pub fn creator_vault(state: &PoolState) -> Address {
    let (authority, _) = pda::pump_amm::coin_creator_vault_authority(&state.coin_creator);
    wrapped_sol_account(&authority)
}
