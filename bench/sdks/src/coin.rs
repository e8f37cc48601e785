//! The coins that everybody buys, and the terms.

use bench::launch::{Launch, Order};
use bench::usual::SdkBuilder;
use bundle::{BuilderConfig, LookupTable, pda};
use market::pump::{TOKEN_2022_PROGRAM, WRAPPED_SOL};
use market::{Key, Lamports, Mint, PumpAccounts, Side, TokenAmount};
use shred_wire::{Nanos, Slot};
use strategy::{Intent, LaneClass, Origin, Venue};

/// What everybody signs over.
pub(crate) const BLOCKHASH: [u8; 32] = [0xbb; 32];
/// Slot of that hash.
pub(crate) const BLOCKHASH_SLOT: Slot = Slot(1_000);
/// Millionths of a lamport. Not zero: sol-trade-sdk leaves the instruction out then.
const UNIT_PRICE: u64 = 10_000;
/// Time of the first intent.
const START: u64 = 1_790_000_000_000_000_000;

/// How transactions name the accounts that they always name.
#[derive(Clone, Copy)]
pub(crate) enum Naming {
    InFull,
    /// By a lookup table that holds all it should, for ours and the rivals' alike.
    ByTable,
}

impl Naming {
    pub(crate) const ALL: [Self; 2] = [Self::InFull, Self::ByTable];

    /// Builder's terms: one address per list, so that instructions can be compared.
    pub(crate) fn config(self) -> BuilderConfig {
        let mut config = bench::ours::builder_config();
        config.entry_budget.unit_price_micro_lamports = UNIT_PRICE;
        if let Self::ByTable = self {
            let addresses = config.lookup_addresses().expect("the templates compile");
            config.lookup_table = Some(LookupTable {
                key: [0x7a; 32],
                addresses: addresses.into_iter().map(|(key, _)| key).collect(),
            });
        }
        config
    }

    /// The SDK on the same terms.
    pub(crate) fn usual(self) -> SdkBuilder {
        let usual = SdkBuilder::new(bench::ours::seed(), order());
        match self.config().lookup_table {
            Some(table) => usual.with_table(&table),
            None => usual,
        }
    }

    /// The row's name for transactions that name so.
    pub(crate) fn row(self, name: &str) -> String {
        match self {
            Self::InFull => name.to_owned(),
            Self::ByTable => format!("{name}_by_table"),
        }
    }
}

/// The same for the rivals.
pub(crate) fn order() -> Order {
    let mut order = bench::ours::order();
    // The same fee, spread over the units that our builder asks for.
    let budget = Naming::InFull.config().entry_budget;
    order.budget = budget.for_units(order.budget.unit_limit);
    order
}

/// Tokens that everybody buys of one coin.
pub(crate) const TOKENS: u64 = 1_234_567_890_123;

/// Keys that nobody chose.
pub(crate) struct Keys(u64);

impl Keys {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (SplitMix64).
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next key.
    pub(crate) fn key(&mut self) -> Key {
        let mut key = [0; 32];
        for chunk in key.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes());
        }
        key
    }

    /// A coin of `create_v2` with its true curve and the curve's true account.
    pub(crate) fn coin(&mut self) -> Launch {
        loop {
            let mint = self.key();
            let curve = pda::bonding_curve(&mint);
            let account = curve.and_then(|curve| {
                pda::associated_token_account(&curve, &TOKEN_2022_PROGRAM, &mint)
            });
            if let (Some(bonding_curve), Some(associated_bonding_curve)) = (curve, account) {
                return Launch {
                    mint,
                    bonding_curve,
                    associated_bonding_curve,
                    token_program: TOKEN_2022_PROGRAM,
                    dev_buy: 0,
                };
            }
        }
    }

    pub(crate) fn coins(&mut self, count: usize) -> Vec<Launch> {
        (0..count).map(|_| self.coin()).collect()
    }
}

/// Our intent to buy `coin`, knowing of it what its launch shows. A second after the one before, so that no rate is
/// reached.
pub(crate) fn intent(id: u64, coin: &Launch, order: &Order) -> Intent {
    Intent {
        id,
        origin: Origin::Launch,
        venue: Venue::PumpV3,
        lane: LaneClass::PrivateBundle,
        side: Side::Buy,
        mint: Mint(coin.mint),
        spend: Lamports(order.spend),
        tokens: TokenAmount(TOKENS),
        receive_min: Lamports(0),
        tip: Lamports(order.tip),
        slot: BLOCKHASH_SLOT,
        at: Nanos(START + id * 1_000_000_000),
        accounts: PumpAccounts {
            mint: Mint(coin.mint),
            bonding_curve: coin.bonding_curve,
            associated_bonding_curve: coin.associated_bonding_curve,
            token_program: coin.token_program,
            quote_mint: WRAPPED_SOL,
            ..PumpAccounts::default()
        }
        .into(),
    }
}
