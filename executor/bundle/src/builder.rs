//! Approved intent to signed bundle.

use std::sync::Arc;

use market::{Bps, Key, Lamports, Side, TokenAmount, VenueAccounts};
use risk::Approved;
use strategy::{Intent, LaneClass, Venue};

use crate::address::{
    JITO_TIP_ACCOUNTS, PUMP_BUYBACK_FEE_RECIPIENTS, PUMP_FEE_RECIPIENTS, WRAPPED_SOL,
};
use crate::blockhash::RecentBlockhash;
use crate::cell::{BUNDLE_LEN_MAX, BundleCell, CellFull};
use crate::coin::{CoinTable, Underivable};
use crate::ladder::{
    Held, LadderSigner, NoRung, NotReleased, Released, Retired, RungTerms, RungTrade, Wanted,
};
use crate::lookup::LookupTable;
use crate::pda;
use crate::signer::{KeyClass, Signer, ThrowAway};
use crate::signing::{Fallback, HaltWatch, Halted, Signing, TemplateIndex, Way};
use crate::template::{
    Aliased, CompileError, ComputeBudget, KeyField, Patch, PriceSource, Template, ValueField,
    WireVersion,
};
use crate::trader::Trader;
use crate::transaction::{Form, WrappedSol};
use crate::units::UnitLimits;

mod draft;
mod templates;
mod watch;

pub use draft::{Draft, DraftNames};
use templates::{TemplateSet, TokenProgram};
pub use watch::{Unsigned, WatchOnly};

/// What the builder is made from. Lists are the operator's to override; an intent cannot.
#[derive(Clone, Debug)]
pub struct BuilderConfig {
    /// Wire version of every transaction built.
    pub version: WireVersion,
    /// The table that v0 transactions look up what they always name in, as far as it holds that; v1 has no tables.
    /// Without one every account is named in full.
    pub lookup_table: Option<LookupTable>,
    /// Compute budget of buys; its unit limit is for venues that `unit_limits` leaves open.
    pub entry_budget: ComputeBudget,
    /// Compute budget of sells; its unit limit is for venues that `unit_limits` leaves open.
    pub exit_budget: ComputeBudget,
    /// Unit limits by venue and side.
    pub unit_limits: UnitLimits,
    /// Tip accounts the block engine recognises.
    pub tip_accounts: Vec<Key>,
    /// Smallest tip a tipped lane takes.
    pub tip_min: Lamports,
    /// How much of the tip of a single private transaction is priority fee; the rest is transferred.
    pub priority_share: Bps,
    /// Whether bundles and private transactions ask to be the first of their bundle (`jitodontfront`), so that
    /// nobody can bundle something before them. Engines refuse a bundle in which such a transaction follows one
    /// without the mark, so only the first transaction of a cell carries it.
    pub dont_front: bool,
    /// How venues that trade wrapped SOL get it.
    pub wrapped_sol: WrappedSol,
    /// Whether a sell closes our account for the coin, for its rent. Only for a caller whose every sell is of all it
    /// holds, and who accepts the risk: closing fails, and the sale with it, while the account is not empty, so
    /// anybody can hold an exit up by sending us a token of the coin first.
    pub close_coin_account: bool,
    /// Slots after its trigger in which a transaction may still execute; later it fails and costs its fee where
    /// failures land. Names an outside program, Lighthouse, which the operator has to trust not to be changed
    /// against him. `None` leaves it out.
    pub slot_guard_slots: Option<u64>,
    /// Lamports the wallet is left with, or the transaction fails; [`Builder::set_wallet_floor`] moves it. `None`
    /// leaves the guard out.
    pub wallet_floor: Option<Lamports>,
    /// Protocol fee recipients of ordinary coins (v2).
    pub fee_recipients: Vec<Key>,
    /// Buyback fee recipients (Pump and PumpSwap).
    pub buyback_fee_recipients: Vec<Key>,
    /// Coins whose derived addresses are remembered, about half a kibibyte each.
    pub coin_capacity: usize,
}

impl Default for BuilderConfig {
    /// Mainnet's lists and v0.
    ///
    /// The unit limit is the one Pump's documentation uses for v2 (pump-public-docs `BUY.md`). The loaded
    /// data limit covers the Pump program (1.9 MB), its fee program, Token-2022 and the associated token
    /// program with room for growth, at 8 units per 32 KiB. The smallest tip is Jito's (1000 lamports), and so is
    /// the split of a single transaction's tip (70/30). Guards and closing are off.
    fn default() -> Self {
        let budget = ComputeBudget {
            unit_limit: 400_000,
            unit_price_micro_lamports: 0,
            loaded_accounts_data_size_limit: 16 * 1024 * 1024,
        };
        Self {
            version: WireVersion::V0,
            lookup_table: None,
            entry_budget: budget,
            exit_budget: budget,
            unit_limits: UnitLimits::default(),
            tip_accounts: JITO_TIP_ACCOUNTS.to_vec(),
            tip_min: Lamports(1_000),
            priority_share: Bps(7_000),
            dont_front: false,
            wrapped_sol: WrappedSol::PerTrade,
            close_coin_account: false,
            slot_guard_slots: None,
            wallet_floor: None,
            fee_recipients: PUMP_FEE_RECIPIENTS.to_vec(),
            buyback_fee_recipients: PUMP_BUYBACK_FEE_RECIPIENTS.to_vec(),
            coin_capacity: 1_024,
        }
    }
}

impl BuilderConfig {
    /// What every message of each template starts with when `public_key` signs, by the template's index; empty where
    /// there is no such template. For a signer that absorbs it ahead of time. Start-up only: it compiles them all.
    ///
    /// # Errors
    /// As [`Builder::new`], for the templates.
    pub fn static_prefixes(&self, public_key: &Key) -> Result<Vec<Vec<u8>>, BuilderError> {
        let trader = Trader::derive(public_key).ok_or(BuilderError::Underivable)?;
        let templates = TemplateSet::compile(self, &trader)?;
        let prefix = |template: Option<&Template>| {
            template.map_or_else(Vec::new, |found| found.static_prefix().to_vec())
        };
        Ok(templates.iter().map(prefix).collect())
    }

    /// What a lookup table should hold for these transactions, the most used first, each with the number of templates
    /// that name it. Start-up only.
    ///
    /// A wallet's own accounts are left out. A table without them serves any wallet, and the accounts stand before all
    /// that a message leaves open, where a nonce made ahead has absorbed them ([`BuilderConfig::static_prefixes`]).
    ///
    /// # Errors
    /// As [`Builder::new`], for what is compiled.
    pub fn lookup_addresses(&self) -> Result<Vec<(Key, usize)>, BuilderError> {
        let of = |wallet: Key| {
            let trader = Trader::derive(&wallet).ok_or(BuilderError::Underivable)?;
            templates::lookup_keys(self, &trader)
        };
        // What two wallets have in common is no wallet's own.
        let (mut addresses, others) = (of([1; 32])?, of([2; 32])?);
        addresses.retain(|named| others.contains(named));
        addresses.sort_by_key(|(_, count)| core::cmp::Reverse(*count));
        Ok(addresses)
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
    /// The host gave no memory for a key.
    #[error("no page for a key")]
    NoPage,
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
    /// The accounts are those of another venue than the intent's.
    VenueMismatch,
    /// There is no bundle to append to, or the lane carries single transactions.
    NoBundle,
    /// The bundle travels on another lane.
    OtherLane,
    /// The bundle holds the same transaction or serves the intent already, or a rung of the intent has left.
    Repeated,
    /// Nothing is signed any more.
    SigningHalted,
}

impl BuildReject {
    /// Number of reasons.
    pub const COUNT: usize = 14;

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
            "venue_mismatch",
            "no_bundle",
            "other_lane",
            "repeated",
            "signing_halted",
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

impl From<Halted> for BuildReject {
    fn from(_: Halted) -> Self {
        Self::SigningHalted
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

/// Intents remembered whose rung was released.
pub const RELEASED_LEN: usize = 16;

/// Turns approved intents into signed bytes. Owns the key and the templates.
///
/// Built once; after that nothing allocates, and equal intents with equal blockhashes give equal messages.
pub struct Builder {
    signing: Signing,
    templates: Arc<TemplateSet>,
    tip_accounts: Box<[Key]>,
    lane_terms: LaneTerms,
    slot_guard_slots: Option<u64>,
    wallet_floor: Lamports,
    /// Intents whose rung has left.
    released: [u64; RELEASED_LEN],
    released_count: usize,
    fee_recipients: Box<[Recipient]>,
    buyback_recipients: Box<[Recipient]>,
    coins: CoinTable,
    fault: Option<Fault>,
}

/// What lanes are paid by.
#[derive(Clone, Copy)]
struct LaneTerms {
    tip_min: Lamports,
    priority_share: Bps,
    dont_front: bool,
}

/// What a transaction pays for its place, and in which form.
#[derive(Clone, Copy)]
struct Place {
    form: Form,
    tip: u64,
    priority_fee: u64,
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
        Self::assemble(config, Signing::deterministic(signer), None)
    }

    /// [`Builder::new`] with other ways of signing opened: [`BuilderConfig::static_prefixes`] are what armed nonces
    /// absorb, in the order of the templates.
    ///
    /// # Errors
    /// [`BuilderError`] names what in `config` does not work.
    pub fn with_signing(config: &BuilderConfig, signing: Signing) -> Result<Self, BuilderError> {
        Self::assemble(config, signing, None)
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
        Self::assemble(config, Signing::deterministic(signer), Some(fault))
    }

    fn assemble(
        config: &BuilderConfig,
        signing: Signing,
        fault: Option<Fault>,
    ) -> Result<Self, BuilderError> {
        let user = *signing.public_key();
        Self::assemble_for(config, &user, signing, fault)
    }

    /// As [`Self::assemble`], for transactions that `user` pays for and signs.
    fn assemble_for(
        config: &BuilderConfig,
        user: &Key,
        signing: Signing,
        fault: Option<Fault>,
    ) -> Result<Self, BuilderError> {
        let trader = Trader::derive(user).ok_or(BuilderError::Underivable)?;
        let templates = TemplateSet::compile(config, &trader)?;
        let fee_recipients = recipients(&config.fee_recipients)?;
        let buyback_recipients = recipients(&config.buyback_fee_recipients)?;
        check_lists(config, &templates)?;
        Ok(Self {
            coins: CoinTable::new(user, config.coin_capacity),
            signing,
            templates: Arc::new(templates),
            tip_accounts: config.tip_accounts.clone().into(),
            lane_terms: LaneTerms {
                tip_min: config.tip_min,
                priority_share: config.priority_share,
                dont_front: config.dont_front,
            },
            slot_guard_slots: config.slot_guard_slots,
            wallet_floor: config.wallet_floor.unwrap_or(Lamports(0)),
            released: [0; RELEASED_LEN],
            released_count: 0,
            fee_recipients,
            buyback_recipients,
            fault,
        })
    }

    /// The account that pays and signs.
    #[must_use]
    pub fn public_key(&self) -> &Key {
        self.signing.public_key()
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

    /// Builds and signs one more approved intent and appends it to the bundle in `out`, to be executed after what is
    /// there, all or nothing. Five transactions at most.
    ///
    /// The tip of the whole bundle is what counts, so an intent that follows may carry none. On a refusal the cell is
    /// as it was. The cell's ids stay those of its first transaction.
    ///
    /// # Errors
    /// [`BuildReject`].
    pub fn append(
        &mut self,
        approved: &Approved,
        blockhash: &RecentBlockhash,
        out: &mut BundleCell,
    ) -> Result<(), BuildReject> {
        self.append_intent(approved, blockhash, out)
    }

    /// Moves the floor under the wallet's balance, for transactions built from now on. Without effect unless the
    /// configuration asked for a floor.
    pub fn set_wallet_floor(&mut self, floor: Lamports) {
        self.wallet_floor = floor;
    }

    /// Derives, ahead of need, what an exit from this coin will name: after an entry was handed over, when
    /// time is cheap again. Optional; a build derives what is missing.
    ///
    /// # Errors
    /// [`BuildReject::Underivable`].
    pub fn prepare_exit(
        &mut self,
        venue: Venue,
        accounts: &VenueAccounts,
    ) -> Result<(), BuildReject> {
        self.fill_keys(venue, Side::Sell, accounts, &mut Patch::default())
    }

    /// An unsigned transaction for `intent`, its amounts, tip and blockhash left open: what the rungs of a presigned
    /// ladder are rendered from, on another thread. Does not allocate.
    ///
    /// # Errors
    /// [`BuildReject`], as for a build of the intent as it stands.
    pub fn draft(&mut self, intent: &Intent) -> Result<Draft, BuildReject> {
        let token_program = check(intent)?;
        let place = self.lane_terms.first_place(intent.lane, intent.tip)?;
        let mut patch = Patch::default();
        self.fill_fixed(intent, &mut patch)?;
        let index = self
            .templates
            .index_of(intent.venue, intent.side, token_program, place.form)
            .ok_or(BuildReject::UnknownTokenProgram)?;
        Ok(Draft {
            templates: Arc::clone(&self.templates),
            index,
            lane: intent.lane,
            lane_terms: self.lane_terms,
            slot_guard_slots: self.slot_guard_slots.unwrap_or(0),
            patch,
        })
    }

    /// A handle that presigns ladders of rungs with this builder's key, for a thread off the core.
    #[must_use]
    pub fn ladder_signer(&self) -> LadderSigner {
        self.signing.ladder_signer()
    }

    /// Slots after its blockhash's own in which a rung may still execute, if its transactions are guarded.
    #[must_use]
    pub const fn slot_guard_slots(&self) -> Option<u64> {
        self.slot_guard_slots
    }

    /// The floor under the wallet's balance, for transactions built from now on.
    #[must_use]
    pub const fn wallet_floor(&self) -> Lamports {
        self.wallet_floor
    }

    /// Terms of the rung that a release for `intent` would give now, were it approved with these terms as its own. The
    /// intent's tip bounds them; its amounts do not.
    ///
    /// # Errors
    /// Why there is none.
    pub fn peek(&self, intent: &Intent, held: &Held, wanted: &Wanted) -> Result<RungTerms, NoRung> {
        if held.intent_id() != intent.id {
            return Err(NoRung::NoLadder);
        }
        if self.was_released(intent.id) {
            return Err(NoRung::Spent);
        }
        if self.signing.health().is_err() {
            return Err(NoRung::Halted);
        }
        if matches!(
            self.fault,
            Some(Fault::StaleBlockhash | Fault::BrokenSignature)
        ) {
            // Rungs do not have the fault that this builder is made to show.
            return Err(NoRung::Terms);
        }
        let template = self.template_of(intent).ok_or(NoRung::Terms)?;
        let floor = self.wallet_floor.0;
        held.peek_if(&self.bounded(intent, wanted), |layout| {
            layout.trade.as_ref().is_some_and(|trade| {
                trade.template == template
                    && trade.mint == intent.mint.0
                    && trade.wallet_floor >= floor
            })
        })
    }

    /// What may be released for `intent` of what is wanted.
    fn bounded(&self, intent: &Intent, wanted: &Wanted) -> Wanted {
        // A rung's guard counts from its blockhash: an older one has run out.
        let age_max = self
            .slot_guard_slots
            .map_or(u32::MAX, |slots| u32::try_from(slots).unwrap_or(u32::MAX));
        Wanted {
            tip_max: wanted.tip_max.min(intent.tip.0),
            blockhash_age_max: wanted.blockhash_age_max.min(age_max),
            ..*wanted
        }
    }

    /// [`Builder::release`] into a cell, which is left as [`Builder::build`] leaves it. Returns the rung's terms, and the
    /// ladder's memory on its way to be wiped.
    ///
    /// Cost: the choice and one copy. Does not allocate.
    ///
    /// # Errors
    /// [`NotReleased`] gives everything back; the cell then holds no transaction.
    pub fn release_into(
        &mut self,
        approved: &Approved,
        held: Held,
        wanted: &Wanted,
        out: &mut BundleCell,
    ) -> Result<(RungTerms, Retired), NotReleased> {
        self.release_intent_into(approved, held, wanted, out)
    }

    fn release_intent_into(
        &mut self,
        intent: &Intent,
        held: Held,
        wanted: &Wanted,
        out: &mut BundleCell,
    ) -> Result<(RungTerms, Retired), NotReleased> {
        out.clear();
        let released = self.release_intent(intent, held, wanted)?;
        let (terms, layout) = (released.terms(), released.layout());
        let copied = out.push::<CellFull>(
            intent.id,
            layout.len,
            layout.signature_at,
            layout.message.clone(),
            |bytes| {
                bytes.copy_from_slice(released.bytes());
                Ok(())
            },
        );
        debug_assert!(copied.is_ok(), "what is longer than a cell is not released");
        head(intent, &terms.blockhash, out);
        out.tip = Lamports(terms.tip);
        Ok((terms, released.retire()))
    }

    /// Releases the rung of `held` that serves `wanted`, as approved and no worse: the tip may not exceed the intent's, the
    /// amounts may not either (what a buy spends, what a sell gives), the price must be the approved one at least, and a
    /// slot guard must not have run out. The amounts are read from the rung's bytes, whatever its terms say. Venue, side,
    /// lane, coin and wallet floor are those its [`Draft`] was made for.
    ///
    /// An intent whose rung was released is neither built nor released again, as far as the last
    /// [`RELEASED_LEN`] such intents go.
    ///
    /// # Errors
    /// [`NotReleased`] gives everything back; a ladder of another intent counts as none.
    pub fn release(
        &mut self,
        approved: &Approved,
        held: Held,
        wanted: &Wanted,
    ) -> Result<Released, NotReleased> {
        self.release_intent(approved, held, wanted)
    }

    /// The release, on a bare intent: the tests of this crate have no gate that knows a position.
    fn release_intent(
        &mut self,
        approved: &Intent,
        held: Held,
        wanted: &Wanted,
    ) -> Result<Released, NotReleased> {
        held.prefetch();
        if held.intent_id() != approved.id {
            let why = NoRung::NoLadder;
            return Err(NotReleased { held, why });
        }
        if self.was_released(approved.id) {
            let why = NoRung::Spent;
            return Err(NotReleased { held, why });
        }
        let Some(template) = self.template_of(approved) else {
            let why = NoRung::Terms;
            return Err(NotReleased { held, why });
        };
        let bounded = self.bounded(approved, wanted);
        let floor = self.wallet_floor;
        let released = self.signing.release_if(held, &bounded, |rung, layout| {
            layout.trade.as_ref().is_some_and(|trade| {
                trade.template == template
                    && layout.len <= BUNDLE_LEN_MAX
                    && is_as_approved(trade, rung, approved, floor)
            })
        })?;
        self.released[self.released_count % RELEASED_LEN] = approved.id;
        self.released_count = self.released_count.wrapping_add(1);
        Ok(released)
    }

    fn was_released(&self, intent_id: u64) -> bool {
        let known = self.released_count.min(RELEASED_LEN);
        self.released[..known].contains(&intent_id)
    }

    /// The template that `intent` is traded with in the first place of a bundle.
    fn template_of(&self, intent: &Intent) -> Option<TemplateIndex> {
        let token_program = check(intent).ok()?;
        let place = self.lane_terms.first_place(intent.lane, intent.tip).ok()?;
        self.templates
            .index_of(intent.venue, intent.side, token_program, place.form)
    }

    /// Takes note of a signature of ours seen outside, such as one from before this start.
    pub fn remember(&mut self, signature: &[u8; 64]) {
        self.signing.remember(signature);
    }

    /// Signatures given per [`Way`].
    #[must_use]
    pub const fn signature_counts(&self) -> &[u64; Way::COUNT] {
        self.signing.counts()
    }

    /// Signatures that the armed way left to the deterministic one, per [`Fallback`].
    #[must_use]
    pub const fn fallbacks(&self) -> &[u64; Fallback::COUNT] {
        self.signing.fallbacks()
    }

    /// A handle that tells other threads whether signing has halted.
    #[must_use]
    pub fn halt_watch(&self) -> HaltWatch {
        self.signing.halt_watch()
    }

    /// Why signing halted, if it did.
    ///
    /// # Errors
    /// [`Halted`].
    pub fn signing_health(&self) -> Result<(), Halted> {
        self.signing.health()
    }

    /// The build, on a bare intent: the tests of this crate have no gate.
    fn build_intent(
        &mut self,
        intent: &Intent,
        blockhash: &RecentBlockhash,
        out: &mut BundleCell,
    ) -> Result<(), BuildReject> {
        out.clear();
        let place = self.lane_terms.first_place(intent.lane, intent.tip)?;
        self.push(intent, place, blockhash, out)?;
        head(intent, blockhash, out);
        Ok(())
    }

    fn append_intent(
        &mut self,
        intent: &Intent,
        blockhash: &RecentBlockhash,
        out: &mut BundleCell,
    ) -> Result<(), BuildReject> {
        if out.count() == 0 || !intent.lane.is_bundle() {
            return Err(BuildReject::NoBundle);
        }
        if out.lane != intent.lane {
            return Err(BuildReject::OtherLane);
        }
        let place = next_place(intent.lane, intent.tip);
        self.push(intent, place, blockhash, out)?;
        if out.pop_repeated() {
            return Err(BuildReject::Repeated);
        }
        out.blockhash_slot = out.blockhash_slot.min(blockhash.slot);
        out.tip = out.tip.saturating_add(intent.tip);
        Ok(())
    }

    /// Renders, signs and appends one transaction; on an error the cell is as it was.
    fn push(
        &mut self,
        intent: &Intent,
        place: Place,
        blockhash: &RecentBlockhash,
        out: &mut BundleCell,
    ) -> Result<(), BuildReject> {
        let token_program = check(intent)?;
        let mut served = (0..out.count()).filter_map(|index| out.intent_id_of(index));
        if served.any(|id| id == intent.id) || self.was_released(intent.id) {
            return Err(BuildReject::Repeated);
        }
        let mut patch = Patch::default();
        self.fill_fixed(intent, &mut patch)?;
        let limit = match intent.side {
            Side::Buy => intent.spend,
            Side::Sell => intent.receive_min,
        };
        fill_amounts(intent.tokens, limit, &mut patch);
        let slot_max = intent
            .slot
            .0
            .saturating_add(self.slot_guard_slots.unwrap_or(0));
        patch.set_value(ValueField::SlotMax, slot_max);
        let Self {
            signing,
            templates,
            fault,
            ..
        } = self;
        let index = templates
            .index_of(intent.venue, intent.side, token_program, place.form)
            .ok_or(BuildReject::UnknownTokenProgram)?;
        let template = templates
            .get(index)
            .ok_or(BuildReject::UnknownTokenProgram)?;
        fill_place(template, place, &mut patch);
        let hash = if *fault == Some(Fault::StaleBlockhash) {
            &FAULTY_BLOCKHASH
        } else {
            &blockhash.hash
        };
        out.push(
            intent.id,
            template.len(),
            template.signature_range().start,
            template.message(),
            |bytes| {
                template.render(&patch, hash, bytes)?;
                let (mut signature, _) = signing.sign(&bytes[template.message()], index)?;
                if *fault == Some(Fault::BrokenSignature) {
                    signature[0] ^= 1;
                }
                bytes[template.signature_range()].copy_from_slice(&signature);
                Ok::<(), BuildReject>(())
            },
        )
    }

    /// Everything that does not depend on amounts, tip and blockhash.
    fn fill_fixed(&mut self, intent: &Intent, patch: &mut Patch) -> Result<(), BuildReject> {
        self.fill_keys(intent.venue, intent.side, &intent.accounts, patch)?;
        self.fill_turns(intent, patch);
        patch.set_value(ValueField::WalletFloor, self.wallet_floor.0);
        Ok(())
    }

    /// The keys that follow from the coin and its venue.
    fn fill_keys(
        &mut self,
        venue: Venue,
        side: Side,
        accounts: &VenueAccounts,
        patch: &mut Patch,
    ) -> Result<(), BuildReject> {
        match (venue, accounts) {
            (Venue::PumpV3 | Venue::PumpV2, VenueAccounts::Pump(accounts)) => {
                return Ok(self.coins.fill(venue, side, accounts, patch)?);
            }
            (Venue::PumpSwap, VenueAccounts::PumpSwap(pool)) => {
                patch.set_key(KeyField::Pool, pool.pool);
                patch.set_key(KeyField::BaseVault, pool.base_vault);
                patch.set_key(KeyField::QuoteVault, pool.quote_vault);
            }
            (Venue::RaydiumAmm, VenueAccounts::RaydiumAmm(pool)) => {
                patch.set_key(KeyField::Pool, pool.pool);
                patch.set_key(KeyField::BaseVault, pool.coin_vault);
                patch.set_key(KeyField::QuoteVault, pool.pc_vault);
            }
            (Venue::RaydiumCp, VenueAccounts::RaydiumCp(pool)) => {
                patch.set_key(KeyField::Pool, pool.pool);
                patch.set_key(KeyField::PoolConfig, pool.amm_config);
                patch.set_key(KeyField::BaseVault, pool.base_vault);
                patch.set_key(KeyField::QuoteVault, pool.quote_vault);
                patch.set_key(KeyField::Observation, pool.observation);
            }
            (Venue::LaunchLab, VenueAccounts::LaunchLab(pool)) => {
                patch.set_key(KeyField::Pool, pool.pool);
                patch.set_key(KeyField::PoolConfig, pool.global_config);
                patch.set_key(KeyField::PlatformConfig, pool.platform_config);
                patch.set_key(KeyField::BaseVault, pool.base_vault);
                patch.set_key(KeyField::QuoteVault, pool.quote_vault);
                patch.set_key(KeyField::PlatformVault, pool.platform_fee_vault);
                patch.set_key(KeyField::CreatorVault, pool.creator_fee_vault);
            }
            _ => return Err(BuildReject::VenueMismatch),
        }
        let (mint, token_program) = (accounts.mint(), accounts.token_program());
        Ok(self.coins.fill_in_pool(mint, token_program, patch)?)
    }

    /// The keys whose turn it is, by the intent's id.
    fn fill_turns(&self, intent: &Intent, patch: &mut Patch) {
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
    }
}

impl LaneTerms {
    /// What the first transaction of a cell pays for its place. The form depends on the lane alone.
    fn first_place(&self, lane: LaneClass, tip: Lamports) -> Result<Place, BuildReject> {
        let tipped = |form, priority_fee: u64| {
            let place = Place {
                form,
                tip: tip.0 - priority_fee,
                priority_fee,
            };
            let enough = place.tip >= self.tip_min.0;
            enough.then_some(place).ok_or(BuildReject::TipTooSmall)
        };
        let mut place = match lane {
            LaneClass::PrivateBundle => tipped(Form::Tipped, 0)?,
            LaneClass::PrivateTransaction => {
                let transferred = tip.less_bps(self.priority_share);
                tipped(Form::Split, tip.0 - transferred.0)?
            }
            LaneClass::PriorityBundle => next_place(lane, tip),
            LaneClass::Public if tip.0 != 0 => return Err(BuildReject::TipUnwanted),
            LaneClass::Public => Place {
                form: Form::Plain,
                tip: 0,
                priority_fee: 0,
            },
        };
        if self.dont_front {
            place.form = place.form.to_front();
        }
        Ok(place)
    }
}

impl core::fmt::Debug for Builder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Builder")
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

/// Refuses what no bytes should be made of; returns which token program owns the coin.
fn check(intent: &Intent) -> Result<TokenProgram, BuildReject> {
    let Intent {
        accounts,
        mint,
        side,
        spend,
        tokens,
        ..
    } = intent;
    if accounts.mint() != mint {
        return Err(BuildReject::ForeignAccounts);
    }
    if *accounts.quote_mint() != WRAPPED_SOL {
        return Err(BuildReject::QuoteNotSol);
    }
    if tokens.0 == 0 || (*side == Side::Buy && spend.0 == 0) {
        return Err(BuildReject::ZeroAmount);
    }
    TokenProgram::of(accounts.token_program()).ok_or(BuildReject::UnknownTokenProgram)
}

/// What a transaction pays for its place in a bundle that has a first one, or that pays by priority fee alone.
fn next_place(lane: LaneClass, tip: Lamports) -> Place {
    match lane {
        LaneClass::PriorityBundle => Place {
            form: Form::Priced,
            tip: 0,
            priority_fee: tip.0,
        },
        _ => Place {
            form: if tip.0 == 0 {
                Form::Plain
            } else {
                Form::Tipped
            },
            tip: tip.0,
            priority_fee: 0,
        },
    }
}

/// The bookkeeping of a cell whose first transaction serves `intent`.
fn head(intent: &Intent, blockhash: &RecentBlockhash, out: &mut BundleCell) {
    out.intent_id = intent.id;
    out.trigger_at = intent.at;
    out.slot = intent.slot;
    out.blockhash_slot = blockhash.slot;
    out.tip = intent.tip;
    out.lane = intent.lane;
    out.set_id();
}

/// Whether `rung`, the bytes of one of the template's transactions, trades the intent's coin for no more and at no worse
/// price than approved, under a floor no lower than the one in force.
fn is_as_approved(trade: &RungTrade, rung: &[u8], approved: &Intent, floor: Lamports) -> bool {
    let amount = |at: usize| Some(u64::from_le_bytes(*rung.get(at..)?.first_chunk()?));
    let (Some(tokens), Some(limit)) = (amount(trade.tokens_at), amount(trade.quote_limit_at))
    else {
        return false;
    };
    let is_priced = match approved.side {
        // limit / tokens <= spend / approved tokens.
        Side::Buy => {
            limit <= approved.spend.0
                && u128::from(limit) * u128::from(approved.tokens.0)
                    <= u128::from(approved.spend.0) * u128::from(tokens)
        }
        // limit / tokens >= receive_min / approved tokens.
        Side::Sell => {
            tokens <= approved.tokens.0
                && u128::from(limit) * u128::from(approved.tokens.0)
                    >= u128::from(approved.receive_min.0) * u128::from(tokens)
        }
    };
    is_priced && trade.mint == approved.mint.0 && trade.wallet_floor >= floor.0
}

fn fill_amounts(tokens: TokenAmount, quote_limit: Lamports, patch: &mut Patch) {
    patch.set_value(ValueField::Tokens, tokens.0);
    patch.set_value(ValueField::QuoteLimit, quote_limit.0);
}

/// The tip, and where it is open the priority fee: the budget's own and the place's at most.
fn fill_place(template: &Template, place: Place, patch: &mut Patch) {
    patch.set_value(ValueField::TipLamports, place.tip);
    if place.form.price() == PriceSource::Fixed {
        return;
    }
    let (budget, extra) = (template.budget(), place.priority_fee);
    let price = budget.with_extra(extra).unit_price_micro_lamports;
    patch.set_value(ValueField::UnitPrice, price);
    let fee = budget.priority_fee_lamports().saturating_add(extra);
    patch.set_value(ValueField::PriorityFee, fee);
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
fn check_lists(config: &BuilderConfig, templates: &TemplateSet) -> Result<(), BuilderError> {
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
            if templates.name_fixed_key(key) {
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
