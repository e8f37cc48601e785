//! What the operators of the venues set up before anybody trades: configurations, recipients, mints.
//!
//! Written as account bytes, laid out by the publisher's client: on mainnet these accounts are made by keys that
//! are not ours to sign with. Everything a trade touches after that, the programs make themselves.

use anchor_lang::AccountSerialize;
use bundle::address::{JITO_TIP_ACCOUNTS, PUMP_BUYBACK_FEE_RECIPIENTS, PUMP_FEE_RECIPIENTS};
use market::FeeSchedule;
use market::pump_amm::Terms as PoolTerms;
use pump_rust_client::pump::types;
use pump_rust_client::state::{FeeConfig, Global, GlobalVolumeAccumulator, pump_amm};
use pump_rust_client::{constants, pda};
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;

use crate::machine::Machine;

/// Lamports of a SOL.
pub const SOL: u64 = 1_000_000_000;

/// Rates from a market cap on: `lp`, `protocol`, `creator`, in basis points.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tier {
    /// Least market cap in lamports.
    pub from: u128,
    /// Liquidity providers' rate (pools only).
    pub lp: u64,
    /// Protocol's rate.
    pub protocol: u64,
    /// Creator's rate.
    pub creator: u64,
}

/// What the operators may change from one day to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The fee schedule for SOL, of curves and of pools.
    pub tiers: Vec<Tier>,
    /// Rates of pools that Pump did not make.
    pub flat: Tier,
    /// Whether a coin's own creator rate wins.
    pub creator_fee_configurable: bool,
    /// Share of the protocol fee that buys back, basis points.
    pub buyback_bps: u64,
}

impl Default for Terms {
    /// Rates of mainnet's curves (`FeeSchedule::mainnet`), one tier.
    fn default() -> Self {
        let tier = Tier {
            from: 0,
            lp: 20,
            protocol: 95,
            creator: 30,
        };
        Self {
            tiers: vec![tier],
            flat: Tier {
                lp: 25,
                protocol: 5,
                creator: 0,
                ..tier
            },
            creator_fee_configurable: true,
            buyback_bps: 5_000,
        }
    }
}

impl Terms {
    fn fee_config(&self) -> FeeConfig {
        let fees = |tier: &Tier| types::Fees {
            lp_fee_bps: tier.lp,
            protocol_fee_bps: tier.protocol,
            creator_fee_bps: tier.creator,
        };
        let mut config = FeeConfig::default();
        config.flat_fees = fees(&self.flat);
        config.fee_tiers = self
            .tiers
            .iter()
            .map(|tier| types::FeeTier {
                market_cap_lamports_threshold: tier.from,
                fees: fees(tier),
            })
            .collect();
        config.stable_fee_tiers = config.fee_tiers.clone();
        config
    }
}

/// The machine with the venues open for business.
pub struct World {
    /// Where it happens.
    pub machine: Machine,
    /// May change what operators may change.
    pub authority: Keypair,
    /// Pump's configuration as its account holds it.
    pub global: Global,
    /// PumpSwap's.
    pub pool_config: pump_amm::GlobalConfig,
    /// The fee schedules of both.
    pub terms: Terms,
}

/// Bytes of a `FeeConfig`: the program refuses a shorter one. Source: pump-rust-client 0.5.0 `math/fees.rs` (4073
/// before `exotic_flat_fees`).
const FEE_CONFIG_LEN: usize = 4_073 + 24;
/// `create_v2` takes these for quotes that are not SOL; unused here but never zero.
const MAX_CREATOR_FEE_BPS: u64 = 5_000;
/// Lamports the migration of a SOL curve keeps. Source: `Global` on mainnet.
const POOL_MIGRATION_FEE: u64 = 15_000_001;

impl World {
    /// A world under `terms`.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let mut machine = Machine::new();
        let authority = Keypair::new_from_array([0xa0; 32]);
        machine.fund(&authority.pubkey(), 1_000 * SOL);
        let mut world = Self {
            global: global(authority.pubkey()),
            pool_config: pool_config(authority.pubkey()),
            machine,
            authority,
            terms: terms.clone(),
        };
        world.mint_of_wrapped_sol();
        world.volume_accumulators();
        world.recipients();
        world.set_terms(terms);
        world
    }

    /// Changes the terms from now on.
    pub fn set_terms(&mut self, terms: Terms) {
        self.global.creator_fee_configurable = terms.creator_fee_configurable;
        self.global.buyback_basis_points = terms.buyback_bps;
        self.pool_config.creator_fee_configurable = terms.creator_fee_configurable;
        self.pool_config.buyback_basis_points = terms.buyback_bps;
        let global = bytes(&self.global);
        let (address, _) = pda::pump::global();
        self.machine
            .put_data(address, constants::pump::PROGRAM_ID, global);
        let pool_config = bytes(&self.pool_config);
        let (address, _) = pda::pump_amm::global_config();
        self.machine
            .put_data(address, constants::pump_amm::PROGRAM_ID, pool_config);
        for (address, bump) in [pda::pump::fee_config(), pda::pump_amm::fee_config()] {
            let mut config = terms.fee_config();
            config.bump = bump;
            config.admin = self.authority.pubkey();
            let mut data = bytes(&config);
            data.resize(FEE_CONFIG_LEN, 0);
            self.machine
                .put_data(address, constants::FEE_PROGRAM_ID, data);
        }
        self.terms = terms;
    }

    /// The schedule of curves, as our reader takes it from the account.
    ///
    /// # Panics
    /// When it cannot read it.
    #[must_use]
    pub fn schedule(&self) -> FeeSchedule {
        let (address, _) = pda::pump::fee_config();
        let account = self
            .machine
            .account(&address)
            .expect("set up with the world");
        FeeSchedule::parse(&account.data, self.terms.creator_fee_configurable).expect("a schedule")
    }

    /// The terms of pools, as our reader takes them from the accounts.
    ///
    /// # Panics
    /// When it cannot read them.
    #[must_use]
    pub fn pool_terms(&self) -> PoolTerms {
        let data = |(address, _): (Address, u8)| {
            self.machine
                .account(&address)
                .expect("set up with the world")
                .data
        };
        let (config, fees) = (pda::pump_amm::global_config(), pda::pump_amm::fee_config());
        PoolTerms::parse(&data(config), &data(fees)).expect("terms")
    }

    /// A funded wallet of that seed.
    pub fn wallet(&mut self, seed: [u8; 32], lamports: u64) -> Keypair {
        let wallet = Keypair::new_from_array(seed);
        self.machine.fund(&wallet.pubkey(), lamports);
        wallet
    }

    /// Puts `lamports` of wrapped SOL into the wallet's account for it, on top of what is there.
    pub fn wrap(&mut self, owner: &Address, lamports: u64) -> Address {
        let address = wrapped_sol_account(owner);
        let held = self.machine.tokens(&address) + lamports;
        self.put_wrapped_sol(owner, address, held);
        address
    }

    /// Makes the wallet's account for wrapped SOL hold exactly that.
    pub fn set_wrapped(&mut self, owner: &Address, lamports: u64) -> Address {
        let address = wrapped_sol_account(owner);
        self.put_wrapped_sol(owner, address, lamports);
        address
    }

    /// Makes `address` a wrapped-SOL account of `owner` that holds `held`.
    pub fn put_wrapped_sol(&mut self, owner: &Address, address: Address, held: u64) {
        let rent = self.machine.rent(TOKEN_ACCOUNT_LEN);
        let mut data = token_account(&constants::NATIVE_MINT, owner, held);
        // `is_native` holds the rent of a wrapped-SOL account.
        data[109..113].copy_from_slice(&1u32.to_le_bytes());
        data[113..121].copy_from_slice(&rent.to_le_bytes());
        self.machine
            .put_data(address, constants::SPL_TOKEN_PROGRAM_ID, data);
        self.machine.fund(&address, rent + held);
    }

    fn mint_of_wrapped_sol(&mut self) {
        if self.machine.account(&constants::NATIVE_MINT).is_none() {
            let data = mint(None, 0, 9);
            self.machine.put_data(
                constants::NATIVE_MINT,
                constants::SPL_TOKEN_PROGRAM_ID,
                data,
            );
        }
    }

    fn volume_accumulators(&mut self) {
        let data = bytes(&GlobalVolumeAccumulator::default());
        let (address, _) = pda::pump::global_volume_accumulator();
        self.machine
            .put_data(address, constants::pump::PROGRAM_ID, data);
        let data = bytes(&pump_amm::GlobalVolumeAccumulator::default());
        let (address, _) = pda::pump_amm::global_volume_accumulator();
        self.machine
            .put_data(address, constants::pump_amm::PROGRAM_ID, data);
    }

    /// Wallets of every recipient, with their accounts for wrapped SOL, and the tip accounts.
    fn recipients(&mut self) {
        let wallets = PUMP_FEE_RECIPIENTS
            .iter()
            .chain(&PUMP_BUYBACK_FEE_RECIPIENTS);
        for wallet in wallets.copied().map(Address::from) {
            self.machine.fund(&wallet, SOL);
            self.wrap(&wallet, 0);
        }
        for account in JITO_TIP_ACCOUNTS.map(Address::from) {
            self.machine.fund(&account, SOL);
        }
    }
}

/// The wallet's account for wrapped SOL.
#[must_use]
pub fn wrapped_sol_account(owner: &Address) -> Address {
    pda::associated_token(
        owner,
        &constants::SPL_TOKEN_PROGRAM_ID,
        &constants::NATIVE_MINT,
    )
    .0
}

/// Bytes of a token account.
pub const TOKEN_ACCOUNT_LEN: usize = 165;

/// A token account of SPL Token (mint, owner, amount, no delegate, initialized).
#[must_use]
pub fn token_account(mint: &Address, owner: &Address, amount: u64) -> Vec<u8> {
    let mut data = vec![0; TOKEN_ACCOUNT_LEN];
    data[..32].copy_from_slice(mint.as_ref());
    data[32..64].copy_from_slice(owner.as_ref());
    data[64..72].copy_from_slice(&amount.to_le_bytes());
    data[108] = 1;
    data
}

/// A mint of SPL Token without a freeze authority.
#[must_use]
pub fn mint(authority: Option<&Address>, supply: u64, decimals: u8) -> Vec<u8> {
    let mut data = vec![0; 82];
    if let Some(authority) = authority {
        data[..4].copy_from_slice(&1u32.to_le_bytes());
        data[4..36].copy_from_slice(authority.as_ref());
    }
    data[36..44].copy_from_slice(&supply.to_le_bytes());
    data[44] = decimals;
    data[45] = 1;
    data
}

fn bytes(account: &impl AccountSerialize) -> Vec<u8> {
    let mut data = Vec::new();
    account
        .try_serialize(&mut data)
        .expect("a vector takes every byte");
    data
}

fn global(authority: Address) -> Global {
    use market::pump::fresh;
    let mut global = Global::default();
    let recipients = PUMP_FEE_RECIPIENTS.map(Address::from);
    global.initialized = true;
    global.authority = authority;
    global.fee_recipient = recipients[0];
    global.fee_recipients.copy_from_slice(&recipients[1..]);
    global.initial_virtual_token_reserves = fresh::VIRTUAL_TOKEN;
    global.initial_virtual_sol_reserves = fresh::VIRTUAL_QUOTE;
    global.initial_real_token_reserves = fresh::REAL_TOKEN;
    global.token_total_supply = fresh::SUPPLY;
    global.withdraw_authority = authority;
    global.enable_migrate = true;
    global.pool_migration_fee = POOL_MIGRATION_FEE;
    global.set_creator_authority = authority;
    global.admin_set_creator_authority = authority;
    global.create_v2_enabled = true;
    global.whitelist_pda = Address::new_from_array([0xb1; 32]);
    global.reserved_fee_recipient = Address::new_from_array([0xb2; 32]);
    global.buyback_fee_recipients = PUMP_BUYBACK_FEE_RECIPIENTS.map(Address::from);
    global.max_configurable_creator_fee_bps = MAX_CREATOR_FEE_BPS;
    global
}

// A wrapper around what cannot be named from outside the client: there is no literal to write.
#[allow(clippy::field_reassign_with_default)]
fn pool_config(admin: Address) -> pump_amm::GlobalConfig {
    let mut config = pump_amm::GlobalConfig::default();
    config.admin = admin;
    config.protocol_fee_recipients = PUMP_FEE_RECIPIENTS.map(Address::from);
    config.admin_set_coin_creator_authority = admin;
    config.whitelist_pda = Address::new_from_array([0xb1; 32]);
    config.reserved_fee_recipient = Address::new_from_array([0xb2; 32]);
    config.buyback_fee_recipients = PUMP_BUYBACK_FEE_RECIPIENTS.map(Address::from);
    config.boost_authority = admin;
    config.max_configurable_creator_fee_bps = MAX_CREATOR_FEE_BPS;
    config
}
