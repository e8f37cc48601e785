//! Coins on Pump: making them, reading them, and trading them as others do.

use anchor_lang::{InstructionData, ToAccountMetas};
use market::{Curve, PumpAccounts, Reserves};
use pump_rust_client::pump::client;
use pump_rust_client::pump::types::OptionBool;
use pump_rust_client::state::BondingCurve;
use pump_rust_client::token::create_associated_token_account_idempotent;
use pump_rust_client::{PumpSdk, accounts, constants, pda};
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::world::{SOL, World};

/// Which instruction made a coin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Generation {
    /// `create`: SPL Token with Metaplex metadata.
    Legacy,
    /// `create_v2`: Token-2022.
    V2,
}

/// A coin and its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Coin {
    /// The mint.
    pub mint: Address,
    /// What made it.
    pub generation: Generation,
    /// Program of the mint.
    pub token_program: Address,
    /// The curve.
    pub curve: Address,
    /// The curve's tokens.
    pub curve_tokens: Address,
    /// Creator of the launch.
    pub creator: Address,
}

impl Coin {
    /// Launches a coin with the program's own instruction. `seed` becomes the mint's key; the creator pays.
    ///
    /// # Panics
    /// When the program refuses.
    pub fn launch(
        world: &mut World,
        generation: Generation,
        seed: [u8; 32],
        creator: &Keypair,
    ) -> Self {
        let mint_key = Keypair::new_from_array(seed);
        let mint = mint_key.pubkey();
        let user = creator.pubkey();
        let sdk = PumpSdk::new();
        let (kind, token_program, create) = match generation {
            Generation::Legacy => {
                #[allow(deprecated)]
                let create = sdk.create_instruction(mint, user, "Coin", "COIN", "https://c", user);
                ("pump create", constants::SPL_TOKEN_PROGRAM_ID, create)
            }
            Generation::V2 => {
                let create = sdk.create_v2_instruction(
                    mint,
                    user,
                    "Coin",
                    "COIN",
                    "https://c",
                    user,
                    constants::NATIVE_MINT,
                    constants::SPL_TOKEN_PROGRAM_ID,
                    false,
                    false,
                    0,
                );
                (
                    "pump create_v2",
                    constants::SPL_TOKEN_2022_PROGRAM_ID,
                    create,
                )
            }
        };
        let signers = [creator, &mint_key];
        world.machine.run(kind, &[create], &signers).expect(kind);
        let (curve, _) = pda::pump::bonding_curve(&mint);
        Self {
            mint,
            generation,
            token_program,
            curve,
            curve_tokens: pda::associated_token(&curve, &token_program, &mint).0,
            creator: user,
        }
    }

    /// The wallet's account for the coin.
    #[must_use]
    pub fn account_of(&self, owner: &Address) -> Address {
        pda::associated_token(owner, &self.token_program, &self.mint).0
    }

    /// The curve as its account holds it.
    ///
    /// # Panics
    /// When the publisher's own decoder cannot read it.
    #[must_use]
    pub fn state(&self, world: &World) -> BondingCurve {
        let account = world
            .machine
            .account(&self.curve)
            .expect("a launched coin has a curve");
        accounts::decode_bonding_curve(&account.data).expect("a curve")
    }

    /// Supply that the mint counts.
    ///
    /// # Panics
    /// When the mint does not exist.
    #[must_use]
    pub fn supply(&self, world: &World) -> u64 {
        let account = world
            .machine
            .account(&self.mint)
            .expect("a launched coin has a mint");
        u64::from_le_bytes(account.data[36..44].try_into().expect("eight bytes"))
    }

    /// The accounts as a trigger would have shown them: what must be known, and nothing that can be derived.
    #[must_use]
    pub fn accounts(&self) -> PumpAccounts {
        PumpAccounts {
            mint: market::Mint(self.mint.to_bytes()),
            bonding_curve: self.curve.to_bytes(),
            associated_bonding_curve: self.curve_tokens.to_bytes(),
            token_program: self.token_program.to_bytes(),
            quote_mint: constants::NATIVE_MINT.to_bytes(),
            creator: self.creator.to_bytes(),
            ..PumpAccounts::default()
        }
    }

    /// Our curve at what the account says now.
    #[must_use]
    pub fn our_curve(&self, world: &World) -> Curve {
        let state = self.state(world);
        let accounts = PumpAccounts {
            creator: state.creator.to_bytes(),
            ..self.accounts()
        };
        let mut curve = Curve {
            accounts,
            reserves: reserves(&state),
            supply: self.supply(world),
            creator_fee_bps: state.creator_fee_bps,
            rates: market::FeeRates::default(),
            cashback: state.is_cashback_coin,
            tradable: if state.complete {
                Err(market::Untradable::Complete)
            } else {
                Ok(())
            },
            launcher: self.creator.to_bytes(),
            dev_buy: None,
            launch_slot: shred_wire::Slot(0),
            touched_slot: shred_wire::Slot(0),
            trade_count: 0,
            creator_proven: true,
        };
        curve.refresh_rates(&world.schedule());
        curve
    }

    /// Rewrites the curve's account: states that nobody can reach by instructions any more (cashback), or not
    /// within a test (rates of their own on a coin priced in SOL).
    pub fn rewrite(&self, world: &mut World, change: impl FnOnce(&mut BondingCurve)) {
        use anchor_lang::AccountSerialize;
        let mut state = self.state(world);
        change(&mut state);
        let account = world
            .machine
            .account(&self.curve)
            .expect("a launched coin has a curve");
        let len = account.data.len();
        let mut data = Vec::new();
        state
            .try_serialize(&mut data)
            .expect("a vector takes every byte");
        data.resize(len.max(data.len()), 0);
        let held = state.real_quote_reserves + state.creator_fee + state.protocol_fees;
        let lamports = world.machine.rent(data.len()) + held;
        world.machine.put(
            self.curve,
            solana_account::Account {
                lamports,
                data,
                ..account
            },
        );
    }
}

/// The four numbers of a curve's account.
#[must_use]
pub fn reserves(state: &BondingCurve) -> Reserves {
    Reserves {
        virtual_token: state.virtual_token_reserves,
        virtual_quote: state.virtual_quote_reserves,
        real_token: state.real_token_reserves,
        real_quote: state.real_quote_reserves,
    }
}

/// An instruction that trades on a curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `buy`: tokens, most lamports.
    BuyV1,
    /// `buy_exact_sol_in`: lamports, fewest tokens.
    BuyExactInV1,
    /// `sell`: tokens, fewest lamports.
    SellV1,
    /// `buy_v2`.
    BuyV2,
    /// `buy_exact_quote_in_v2`.
    BuyExactInV2,
    /// `sell_v2`.
    SellV2,
    /// `buy_v3`.
    BuyV3,
    /// `buy_exact_quote_in_v3`.
    BuyExactInV3,
    /// `sell_v3`.
    SellV3,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::BuyV1,
        Self::BuyExactInV1,
        Self::SellV1,
        Self::BuyV2,
        Self::BuyExactInV2,
        Self::SellV2,
        Self::BuyV3,
        Self::BuyExactInV3,
        Self::SellV3,
    ];

    /// Name in the table of compute units.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BuyV1 => "pump buy",
            Self::BuyExactInV1 => "pump buy_exact_sol_in",
            Self::SellV1 => "pump sell",
            Self::BuyV2 => "pump buy_v2",
            Self::BuyExactInV2 => "pump buy_exact_quote_in_v2",
            Self::SellV2 => "pump sell_v2",
            Self::BuyV3 => "pump buy_v3",
            Self::BuyExactInV3 => "pump buy_exact_quote_in_v3",
            Self::SellV3 => "pump sell_v3",
        }
    }

    /// Whether quote comes out.
    #[must_use]
    pub const fn sells(self) -> bool {
        matches!(self, Self::SellV1 | Self::SellV2 | Self::SellV3)
    }
}

/// The instruction of somebody else's trade, as the publisher's client makes it.
///
/// `first` and `second` are the two amounts in the order of the wire; buys carry `partial_fill`.
///
/// # Panics
/// When the world has no recipients.
#[must_use]
pub fn instruction(
    world: &World,
    coin: &Coin,
    call: Call,
    user: &Address,
    (first, second): (u64, u64),
    partial_fill: bool,
) -> Instruction {
    let sdk = PumpSdk::new();
    let state = coin.state(world);
    // A v1 sale names the account that gets the cashback only when there is any.
    let pays_back = state.is_cashback_coin && coin.our_curve(world).rates.creator_bps > 0;
    let (recipient, buyback) =
        PumpSdk::pump_fee_recipients_pair(&world.global, false).expect("recipients are listed");
    let quote = constants::NATIVE_MINT;
    let token = constants::SPL_TOKEN_PROGRAM_ID;
    let (mint, base, user) = (coin.mint, coin.token_program, *user);
    #[allow(deprecated)]
    let mut instruction = match call {
        Call::BuyV1 | Call::BuyExactInV1 => sdk.buy_instruction(
            mint,
            user,
            state.creator,
            recipient,
            buyback,
            first,
            second,
            base,
        ),
        Call::SellV1 => sdk.sell_instruction(
            mint,
            user,
            state.creator,
            recipient,
            buyback,
            first,
            second,
            base,
            pays_back,
        ),
        Call::BuyV2 => sdk
            .buy_v2_instruction(&world.global, &state, mint, token, user, first, second)
            .expect("recipients are listed"),
        Call::BuyExactInV2 => sdk
            .buy_exact_quote_in_v2_instruction(
                &world.global,
                &state,
                mint,
                token,
                user,
                first,
                second,
            )
            .expect("recipients are listed"),
        Call::SellV2 => sdk
            .sell_v2_instruction(&world.global, &state, mint, token, user, first, second)
            .expect("recipients are listed"),
        Call::BuyV3 => {
            sdk.buy_v3_instruction(mint, quote, base, token, user, buyback, first, second)
        }
        Call::BuyExactInV3 => sdk.buy_exact_quote_in_v3_instruction(
            mint, quote, base, token, user, buyback, first, second,
        ),
        Call::SellV3 => {
            sdk.sell_v3_instruction(mint, quote, base, token, user, buyback, first, second)
        }
    };
    if matches!(call, Call::BuyV2 | Call::BuyExactInV2 | Call::SellV2) {
        for_token_program(&mut instruction, coin, &user);
    }
    if call == Call::BuyExactInV1 {
        let data = client::args::BuyExactSolIn {
            spendable_sol_in: first,
            min_tokens_out: second,
            track_volume: OptionBool(true),
            partial_fill: OptionBool(partial_fill),
        };
        instruction.data = data.data();
    }
    if !call.sells() {
        *instruction
            .data
            .last_mut()
            .expect("buys end with the option") = u8::from(partial_fill);
    }
    instruction
}

/// The client's v2 builders know Token-2022 coins only: names an older coin's token program and accounts.
fn for_token_program(instruction: &mut Instruction, coin: &Coin, user: &Address) {
    let token_2022 = constants::SPL_TOKEN_2022_PROGRAM_ID;
    let swap = [
        (token_2022, coin.token_program),
        (
            pda::associated_token(&coin.curve, &token_2022, &coin.mint).0,
            coin.curve_tokens,
        ),
        (
            pda::associated_token(user, &token_2022, &coin.mint).0,
            coin.account_of(user),
        ),
    ];
    for account in &mut instruction.accounts {
        if let Some((_, theirs)) = swap.iter().find(|(named, _)| *named == account.pubkey) {
            account.pubkey = *theirs;
        }
    }
}

/// Makes the wallet's account for the coin.
#[must_use]
pub fn open_account(coin: &Coin, user: &Address) -> Instruction {
    create_associated_token_account_idempotent(user, user, &coin.mint, &coin.token_program)
}

/// `migrate` of a coin that is sold out: its pool on PumpSwap. Anybody may call it.
#[must_use]
pub fn migrate(world: &World, coin: &Coin, user: &Address) -> Instruction {
    let authority = pda::pump::pool_authority(&coin.mint).0;
    let pool = pda::pump_amm::canonical_pool(&coin.mint, &constants::NATIVE_MINT).0;
    let lp_mint = pda::pump_amm::lp_mint(&pool).0;
    let of = |owner: &Address, program: &Address, mint: &Address| {
        pda::associated_token(owner, program, mint).0
    };
    let token = constants::SPL_TOKEN_PROGRAM_ID;
    let token_2022 = constants::SPL_TOKEN_2022_PROGRAM_ID;
    let native = constants::NATIVE_MINT;
    let accounts = client::accounts::Migrate {
        global: pda::pump::global().0,
        withdraw_authority: world.global.withdraw_authority,
        mint: coin.mint,
        bonding_curve: coin.curve,
        associated_bonding_curve: coin.curve_tokens,
        user: *user,
        system_program: Address::default(),
        token_program: token,
        pump_amm: constants::pump_amm::PROGRAM_ID,
        pool,
        pool_authority: authority,
        pool_authority_mint_account: of(&authority, &coin.token_program, &coin.mint),
        pool_authority_wsol_account: of(&authority, &token, &native),
        amm_global_config: pda::pump_amm::global_config().0,
        wsol_mint: native,
        lp_mint,
        user_pool_token_account: of(&authority, &token_2022, &lp_mint),
        pool_base_token_account: of(&pool, &coin.token_program, &coin.mint),
        pool_quote_token_account: of(&pool, &token, &native),
        token_2022_program: token_2022,
        associated_token_program: constants::SPL_ATA_PROGRAM_ID,
        pump_amm_event_authority: pda::pump_amm::event_authority().0,
        event_authority: pda::pump::event_authority().0,
        program: constants::pump::PROGRAM_ID,
        rent: constants::RENT_SYSVAR_ID,
    };
    let mut accounts: Vec<AccountMeta> = accounts.to_account_metas(None);
    accounts.push(AccountMeta::new_readonly(coin.token_program, false));
    Instruction {
        program_id: constants::pump::PROGRAM_ID,
        accounts,
        data: client::args::Migrate.data(),
    }
}

/// `migrate_v2`, which takes coins of either token program.
#[must_use]
pub fn migrate_v2(world: &World, coin: &Coin, user: &Address) -> Instruction {
    PumpSdk::new().migrate_v2_instruction(
        coin.mint,
        constants::NATIVE_MINT,
        *user,
        world.global.withdraw_authority,
        coin.token_program,
        constants::SPL_TOKEN_PROGRAM_ID,
    )
}

/// A wallet rich enough for any trade here.
pub fn trader(world: &mut World, seed: [u8; 32]) -> Keypair {
    world.wallet(seed, 1_000_000 * SOL)
}
