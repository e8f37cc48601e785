//! Approved intent to signed bundle.

use market::{Key, Lamports, PumpAccounts, Side};
use risk::Approved;
use strategy::{Intent, LaneClass, Venue};

use crate::address::{
    JITO_TIP_ACCOUNTS, PUMP_BUYBACK_FEE_RECIPIENTS, PUMP_FEE_RECIPIENTS, TOKEN_2022_PROGRAM,
    TOKEN_PROGRAM, WRAPPED_SOL,
};
use crate::blockhash::RecentBlockhash;
use crate::cell::{BundleCell, CellFull};
use crate::coin::{CoinTable, Underivable};
use crate::pda;
use crate::pump::{self, Trader};
use crate::signer::{KeyClass, Signer, SigningPair, ThrowAway};
use crate::template::{
    Aliased, CompileError, ComputeBudget, KeyField, Patch, Template, ValueField, WireVersion,
};

/// What the builder is made from. Lists are the operator's to override; an intent cannot.
#[derive(Clone, Debug)]
pub struct BuilderConfig {
    /// Wire version of every transaction built.
    pub version: WireVersion,
    /// Compute budget of buys.
    pub entry_budget: ComputeBudget,
    /// Compute budget of sells.
    pub exit_budget: ComputeBudget,
    /// Tip accounts the block engine recognises.
    pub tip_accounts: Vec<Key>,
    /// Smallest tip a tipped lane takes.
    pub tip_min: Lamports,
    /// Protocol fee recipients of ordinary coins (v2).
    pub fee_recipients: Vec<Key>,
    /// Buyback fee recipients (v2 and v3).
    pub buyback_fee_recipients: Vec<Key>,
    /// Coins whose derived addresses are remembered, about half a kibibyte each.
    pub coin_capacity: usize,
}

impl Default for BuilderConfig {
    /// Mainnet's lists and v0.
    ///
    /// The unit limit is the one Pump's documentation uses for v2 (pump-public-docs `BUY.md`). The loaded
    /// data limit covers the Pump program (1.9 MB), its fee program, Token-2022 and the associated token
    /// program with room for growth, at 8 units per 32 KiB. The smallest tip is Jito's (1000 lamports).
    fn default() -> Self {
        let budget = ComputeBudget {
            unit_limit: 400_000,
            unit_price_micro_lamports: 0,
            loaded_accounts_data_size_limit: 16 * 1024 * 1024,
        };
        Self {
            version: WireVersion::V0,
            entry_budget: budget,
            exit_budget: budget,
            tip_accounts: JITO_TIP_ACCOUNTS.to_vec(),
            tip_min: Lamports(1_000),
            fee_recipients: PUMP_FEE_RECIPIENTS.to_vec(),
            buyback_fee_recipients: PUMP_BUYBACK_FEE_RECIPIENTS.to_vec(),
            coin_capacity: 1_024,
        }
    }
}

/// Why a builder cannot be made. Start-up only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuilderError {
    /// A template does not compile.
    #[error("{venue:?} {side:?}: {source}")]
    Template {
        /// Which venue's.
        venue: Venue,
        /// Which side's.
        side: Side,
        /// Why.
        source: CompileError,
    },
    /// A list has no entry.
    #[error("{0} is empty: at least one address is needed")]
    EmptyList(&'static str),
    /// A listed address is listed twice, in the same list or in two.
    #[error("{0}: an address is listed twice; one transaction may name it only once")]
    ListedTwice(&'static str),
    /// A listed address is a program or an account the transactions name anyway.
    #[error("{0}: an address is already part of every transaction")]
    ListedFixed(&'static str),
    /// No program address exists for our own key.
    #[error("no program address for the signing key")]
    Underivable,
}

/// Why an approved intent did not become bytes. One byte; indexes counters, so append, never reorder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum BuildReject {
    /// The accounts belong to another coin than the intent.
    ForeignAccounts,
    /// The curve is not priced in SOL.
    QuoteNotSol,
    /// The coin's mint belongs to neither token program.
    UnknownTokenProgram,
    /// No tokens would change hands, or a buy may cost nothing.
    ZeroAmount,
    /// The lane needs a larger tip.
    TipTooSmall,
    /// The lane takes no tip, but the intent carries one.
    TipUnwanted,
    /// No program address exists for the coin.
    Underivable,
    /// Two accounts of the transaction are the same.
    AliasedAccount,
    /// The cell has no room.
    CellFull,
}

impl BuildReject {
    /// Number of reasons.
    pub const COUNT: usize = 9;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "foreign_accounts",
            "quote_not_sol",
            "unknown_token_program",
            "zero_amount",
            "tip_too_small",
            "tip_unwanted",
            "underivable",
            "aliased_account",
            "cell_full",
        ]
    }
}

impl From<CellFull> for BuildReject {
    fn from(_: CellFull) -> Self {
        Self::CellFull
    }
}

impl From<Aliased> for BuildReject {
    fn from(_: Aliased) -> Self {
        Self::AliasedAccount
    }
}

impl From<Underivable> for BuildReject {
    fn from(_: Underivable) -> Self {
        Self::Underivable
    }
}

/// What a demonstration can get wrong on purpose, to show that the other side notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The tip goes to an account that is no tip account.
    WrongTipAccount,
    /// The blockhash is none that any block had.
    StaleBlockhash,
    /// One bit of the signature is flipped.
    BrokenSignature,
}

/// What [`Fault::WrongTipAccount`] tips.
const FAULTY_TIP_ACCOUNT: Key = [0xfa; 32];
/// What [`Fault::StaleBlockhash`] signs over.
const FAULTY_BLOCKHASH: [u8; 32] = [0xfb; 32];

/// Turns approved intents into signed bytes. Owns the key and the templates.
///
/// Built once; after that nothing allocates, and equal intents with equal blockhashes give equal bytes.
pub struct Builder {
    signer: SigningPair,
    templates: [Template; TEMPLATE_COUNT],
    tip_accounts: Box<[Key]>,
    tip_min: Lamports,
    fee_recipients: Box<[Recipient]>,
    buyback_recipients: Box<[Recipient]>,
    coins: CoinTable,
    fault: Option<Fault>,
}

#[derive(Clone, Copy)]
struct Recipient {
    wallet: Key,
    quote_account: Key,
}

impl Builder {
    /// Compiles every template for the key of `signer`.
    ///
    /// # Errors
    /// [`BuilderError`] names what in `config` does not work.
    pub fn new<C: KeyClass>(
        config: &BuilderConfig,
        signer: Signer<C>,
    ) -> Result<Self, BuilderError> {
        Self::assemble(config, signer.into_pair(), None)
    }

    /// A builder whose every transaction carries `fault`. For demonstrations; by type, a key that owns
    /// anything never meets it.
    ///
    /// ```
    /// # use bundle::{Builder, BuilderConfig, Fault, Signer, ThrowAway};
    /// let signer = Signer::<ThrowAway>::from_seed(&[1; 32])?;
    /// Builder::with_planted_fault(&BuilderConfig::default(), signer, Fault::BrokenSignature)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    /// ```compile_fail,E0308
    /// # use bundle::{Builder, BuilderConfig, Fault, Signer, Live};
    /// let signer = Signer::<Live>::from_bytes(&[1; 32])?;
    /// Builder::with_planted_fault(&BuilderConfig::default(), signer, Fault::BrokenSignature)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Builder::new`].
    pub fn with_planted_fault(
        config: &BuilderConfig,
        signer: Signer<ThrowAway>,
        fault: Fault,
    ) -> Result<Self, BuilderError> {
        Self::assemble(config, signer.into_pair(), Some(fault))
    }

    fn assemble(
        config: &BuilderConfig,
        signer: SigningPair,
        fault: Option<Fault>,
    ) -> Result<Self, BuilderError> {
        let trader = Trader::derive(signer.public_key()).ok_or(BuilderError::Underivable)?;
        let templates = compile(config, &trader)?;
        let fee_recipients = recipients(&config.fee_recipients)?;
        let buyback_recipients = recipients(&config.buyback_fee_recipients)?;
        check_lists(config, &templates)?;
        Ok(Self {
            coins: CoinTable::new(signer.public_key(), config.coin_capacity),
            signer,
            templates,
            tip_accounts: config.tip_accounts.clone().into(),
            tip_min: config.tip_min,
            fee_recipients,
            buyback_recipients,
            fault,
        })
    }

    /// The account that pays and signs.
    #[must_use]
    pub fn public_key(&self) -> &Key {
        self.signer.public_key()
    }

    /// Builds and signs the one-transaction bundle of an approved intent into `out`.
    ///
    /// Overwrites the cell; `built_at` is left to the caller, who has the clock. Tip account and fee
    /// recipients rotate with the intent's id. On a refusal the cell holds no transaction.
    ///
    /// Cost: one copy of the template, the signature, and on a coin's first use the derivation of addresses
    /// its trigger did not carry. Does not allocate.
    ///
    /// # Errors
    /// [`BuildReject`].
    pub fn build(
        &mut self,
        approved: &Approved,
        blockhash: &RecentBlockhash,
        out: &mut BundleCell,
    ) -> Result<(), BuildReject> {
        self.build_intent(approved, blockhash, out)
    }

    /// Derives, ahead of need, what an exit from this coin will name: after an entry was handed over, when
    /// time is cheap again. Optional; a build derives what is missing.
    ///
    /// # Errors
    /// [`BuildReject::Underivable`].
    pub fn prepare_exit(
        &mut self,
        venue: Venue,
        accounts: &PumpAccounts,
    ) -> Result<(), BuildReject> {
        Ok(self.coins.prepare(venue, accounts)?)
    }

    /// The build, on a bare intent: the tests of this crate have no gate.
    fn build_intent(
        &mut self,
        intent: &Intent,
        blockhash: &RecentBlockhash,
        out: &mut BundleCell,
    ) -> Result<(), BuildReject> {
        out.clear();
        let token_program = self.check(intent)?;
        let patch = self.patch(intent)?;
        let Self {
            signer,
            templates,
            fault,
            ..
        } = self;
        let template = &templates[template_index(
            intent.venue,
            intent.side,
            token_program,
            is_tipped(intent.lane),
        )];
        let hash = if *fault == Some(Fault::StaleBlockhash) {
            &FAULTY_BLOCKHASH
        } else {
            &blockhash.hash
        };
        out.push(
            template.len(),
            template.signature_range().start,
            template.message(),
            |bytes| {
                template.render(&patch, hash, bytes)?;
                let mut signature = signer.sign(&bytes[template.message()]);
                if *fault == Some(Fault::BrokenSignature) {
                    signature[0] ^= 1;
                }
                bytes[template.signature_range()].copy_from_slice(&signature);
                Ok::<(), BuildReject>(())
            },
        )?;
        out.intent_id = intent.id;
        out.trigger_at = intent.at;
        out.slot = intent.slot;
        out.blockhash_slot = blockhash.slot;
        out.tip = intent.tip;
        out.lane = intent.lane;
        out.set_id();
        Ok(())
    }

    /// Refuses what no bytes should be made of; returns which token program owns the coin.
    fn check(&self, intent: &Intent) -> Result<TokenProgram, BuildReject> {
        let Intent {
            accounts,
            mint,
            side,
            spend,
            tokens,
            tip,
            lane,
            ..
        } = intent;
        if accounts.mint != *mint {
            return Err(BuildReject::ForeignAccounts);
        }
        if accounts.quote_mint != WRAPPED_SOL {
            return Err(BuildReject::QuoteNotSol);
        }
        if tokens.0 == 0 || (*side == Side::Buy && spend.0 == 0) {
            return Err(BuildReject::ZeroAmount);
        }
        if is_tipped(*lane) && *tip < self.tip_min {
            return Err(BuildReject::TipTooSmall);
        }
        if !is_tipped(*lane) && tip.0 != 0 {
            return Err(BuildReject::TipUnwanted);
        }
        TokenProgram::of(&accounts.token_program).ok_or(BuildReject::UnknownTokenProgram)
    }

    /// Everything the templates leave open but the blockhash and the signature.
    fn patch(&mut self, intent: &Intent) -> Result<Patch, BuildReject> {
        let mut patch = Patch::default();
        self.coins
            .fill(intent.venue, intent.side, &intent.accounts, &mut patch)?;
        let turn = mix(intent.id);
        let fee = of_turn(&self.fee_recipients, turn >> 16);
        patch.set_key(KeyField::FeeRecipient, fee.wallet);
        patch.set_key(KeyField::FeeRecipientQuoteAccount, fee.quote_account);
        let buyback = of_turn(&self.buyback_recipients, turn >> 8);
        patch.set_key(KeyField::BuybackRecipient, buyback.wallet);
        patch.set_key(
            KeyField::BuybackRecipientQuoteAccount,
            buyback.quote_account,
        );
        let tip_account = if self.fault == Some(Fault::WrongTipAccount) {
            &FAULTY_TIP_ACCOUNT
        } else {
            of_turn(&self.tip_accounts, turn)
        };
        patch.set_key(KeyField::TipAccount, *tip_account);
        let quote_limit = match intent.side {
            Side::Buy => intent.spend,
            Side::Sell => intent.receive_min,
        };
        patch.set_value(ValueField::Tokens, intent.tokens.0);
        patch.set_value(ValueField::QuoteLimit, quote_limit.0);
        patch.set_value(ValueField::TipLamports, intent.tip.0);
        Ok(patch)
    }
}

impl core::fmt::Debug for Builder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Builder")
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

/// The token program of a coin's mint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TokenProgram {
    Token,
    Token2022,
}

impl TokenProgram {
    fn of(key: &Key) -> Option<Self> {
        match *key {
            TOKEN_2022_PROGRAM => Some(Self::Token2022),
            TOKEN_PROGRAM => Some(Self::Token),
            _ => None,
        }
    }
}

/// Two venues, two sides, two token programs, with and without a tip.
const TEMPLATE_COUNT: usize = 16;

const fn template_index(
    venue: Venue,
    side: Side,
    token_program: TokenProgram,
    tipped: bool,
) -> usize {
    (venue as usize) << 3 | (side as usize) << 2 | (token_program as usize) << 1 | tipped as usize
}

/// Block engines and private relays are tipped; on a leader's public port a tip would be a gift.
const fn is_tipped(lane: LaneClass) -> bool {
    match lane {
        LaneClass::PrivateBundle | LaneClass::PrivateTransaction => true,
        LaneClass::Public => false,
    }
}

fn compile(
    config: &BuilderConfig,
    trader: &Trader,
) -> Result<[Template; TEMPLATE_COUNT], BuilderError> {
    let mut templates = Vec::with_capacity(TEMPLATE_COUNT);
    // In the order of `template_index`.
    for venue in [Venue::PumpV3, Venue::PumpV2] {
        for side in [Side::Buy, Side::Sell] {
            for token_program in [TOKEN_PROGRAM, TOKEN_2022_PROGRAM] {
                for tipped in [false, true] {
                    let template = compile_one(config, trader, venue, side, &token_program, tipped);
                    templates.push(template.map_err(|source| BuilderError::Template {
                        venue,
                        side,
                        source,
                    })?);
                }
            }
        }
    }
    Ok(templates
        .try_into()
        .expect("the loops make one template per index"))
}

fn compile_one(
    config: &BuilderConfig,
    trader: &Trader,
    venue: Venue,
    side: Side,
    token_program: &Key,
    tipped: bool,
) -> Result<Template, CompileError> {
    let mut instructions = pump::trade(venue, side, token_program, trader);
    if tipped {
        // Last, so that a trade that fails has paid nothing even where failures land.
        instructions.push(pump::tip(&trader.user));
    }
    let budget = match side {
        Side::Buy => &config.entry_budget,
        Side::Sell => &config.exit_budget,
    };
    Template::compile(config.version, &trader.user, budget, &instructions)
}

fn recipients(wallets: &[Key]) -> Result<Box<[Recipient]>, BuilderError> {
    let with_account = |wallet: &Key| {
        let quote_account = pda::wrapped_sol_account(wallet).ok_or(BuilderError::Underivable)?;
        Ok(Recipient {
            wallet: *wallet,
            quote_account,
        })
    };
    wallets.iter().map(with_account).collect()
}

/// Every list has an entry, and no listed address can meet another in one transaction.
fn check_lists(config: &BuilderConfig, templates: &[Template]) -> Result<(), BuilderError> {
    let lists = [
        ("tip_accounts", &config.tip_accounts),
        ("fee_recipients", &config.fee_recipients),
        ("buyback_fee_recipients", &config.buyback_fee_recipients),
    ];
    let mut seen: Vec<Key> = Vec::new();
    for (name, list) in lists {
        if list.is_empty() {
            return Err(BuilderError::EmptyList(name));
        }
        for key in list {
            if seen.contains(key) {
                return Err(BuilderError::ListedTwice(name));
            }
            if templates
                .iter()
                .any(|template| template.names_fixed_key(key))
            {
                return Err(BuilderError::ListedFixed(name));
            }
            seen.push(*key);
        }
    }
    Ok(())
}

/// The entry whose turn it is; lists are never empty.
fn of_turn<T>(list: &[T], turn: u64) -> &T {
    &list[(turn % list.len() as u64) as usize]
}

/// Spreads consecutive numbers over all bits, so that rotation does not follow the order of intents: the
/// finaliser of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests;
