//! The state that transactions act on: wallets, token accounts and Pump's bonding curves.
//!
//! Prices and fees are [`crate::curve`]'s. What is simplified: the second leg of a v3 buy that empties a curve is not bought
//! (the buy takes what the curve has left and completes it), a complete curve never migrates, and
//! programs other than system, token, associated token, compute budget, Pump and this market's own
//! two routers do nothing.
//!
//! Every change is in an undo log until [`Market::commit`], so that a bundle takes effect whole or
//! not at all.

use std::collections::BTreeMap;

use crate::accounts::{AccountWrite, Written};
use crate::curve::{Curve, FeeTier, Quote, price};
use crate::keys::{
    ASSOCIATED_TOKEN, COMPUTE_BUDGET, Key, PUMP, PUMP_BUYBACK_RECIPIENTS, PUMP_FEE_RECIPIENTS,
    ROUTERS, SYSTEM, TIP_ACCOUNTS, TOKEN, TOKEN_2022, WRAPPED_SOL, associated_token, bonding_curve,
};
use crate::pump::{Buyback, Coin, Generation, Launch, Recipients, Trade, User};
use crate::txn::{AccountMeta, ParsedInstruction, ParsedTxn};

/// Base fee per signature (agave `FeeStructure::default`).
pub const LAMPORTS_PER_SIGNATURE: u64 = 5_000;
/// Rent of an SPL token account (165 bytes).
pub const TOKEN_ACCOUNT_RENT_LAMPORTS: u64 = 2_039_280;
/// Rent of a Token-2022 account as the associated token program makes it (170 bytes).
pub const TOKEN_2022_ACCOUNT_RENT_LAMPORTS: u64 = 2_074_080;
/// Rent of a user's volume accumulator (137 bytes), paid by the user's first trade.
pub const VOLUME_ACCUMULATOR_RENT_LAMPORTS: u64 = 1_844_400;
/// What the model charges a launch for the accounts it creates. A round figure.
pub const LAUNCH_RENT_LAMPORTS: u64 = 10_000_000;
/// Compute units assumed per instruction when a transaction sets no limit.
const COMPUTE_UNITS_PER_INSTRUCTION: u64 = 200_000;
/// `SystemInstruction::Transfer`.
const SYSTEM_TRANSFER: u32 = 2;
/// Compute units one transaction may use at most.
const COMPUTE_UNITS_MAX: u64 = 1_400_000;

/// Why an instruction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecReason {
    /// Fewer accounts than the instruction takes.
    NotEnoughAccounts,
    /// The account at this index is not the one the program derives or knows.
    WrongAccount(u8),
    /// The account at this index must sign.
    MissingSignature(u8),
    /// The account at this index must be writable.
    NotWritable(u8),
    /// The data is not what the instruction takes.
    BadData,
    /// A lookup table is unknown or shorter than the index into it.
    LookupTable,
    /// A wallet has fewer lamports than it is to pay.
    InsufficientLamports,
    /// A token account does not exist.
    TokenAccountMissing,
    /// A token account to be closed still holds tokens.
    TokenAccountNotEmpty,
    /// The coin has no curve.
    UnknownCurve,
    /// The coin already has a curve.
    CurveExists,
    /// Pump 6002: costs more than the limit.
    TooMuchSolRequired,
    /// Pump 6003: returns less than the limit.
    TooLittleSolReceived,
    /// Pump 6005: the curve is complete.
    BondingCurveComplete,
    /// Pump 6020 or 6022: nothing to trade.
    ZeroAmount,
    /// Pump 6021: more than the curve has left.
    NotEnoughTokensToBuy,
    /// Pump 6023: more than the seller holds.
    NotEnoughTokensToSell,
    /// Pump 6041: the budget does not cover the fees.
    NotEnoughSolToCoverFees,
    /// Pump 6042: fewer tokens than the limit.
    BuySlippageBelowMinTokensOut,
    /// Pump 6057: not one of the listed recipients.
    BuybackFeeRecipientNotAuthorized,
    /// Pump 6094: v3 refuses cashback coins.
    CashbackCoinNotSupported,
}

impl ExecReason {
    /// The custom error code Pump would return, where it is Pump's.
    pub fn pump_code(&self) -> Option<u32> {
        Some(match self {
            Self::TooMuchSolRequired => 6002,
            Self::TooLittleSolReceived => 6003,
            Self::BondingCurveComplete => 6005,
            Self::ZeroAmount => 6020,
            Self::NotEnoughTokensToBuy => 6021,
            Self::NotEnoughTokensToSell => 6023,
            Self::NotEnoughSolToCoverFees => 6041,
            Self::BuySlippageBelowMinTokensOut => 6042,
            Self::BuybackFeeRecipientNotAuthorized => 6057,
            Self::CashbackCoinNotSupported => 6094,
            _ => return None,
        })
    }
}

/// A failed transaction: which instruction, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecError {
    /// Index of the instruction; `None` when the fees could not be paid or accounts not be loaded.
    pub instruction: Option<u8>,
    /// Why.
    pub reason: ExecReason,
}

/// A trade that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Coin.
    pub mint: Key,
    /// Trader.
    pub trader: Key,
    /// Whether tokens were bought.
    pub buy: bool,
    /// Instruction generation.
    pub generation: Generation,
    /// Raw tokens that changed hands.
    pub tokens: u64,
    /// Lamports paid (buy) or received (sell) by the trader, curve fees included.
    pub lamports: u64,
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TxnOutcome {
    /// Base and priority fee.
    pub fee_lamports: u64,
    /// Paid to tip accounts.
    pub tip_lamports: u64,
    /// Trades, in order.
    pub fills: Vec<Fill>,
    /// Coins launched.
    pub launches: Vec<Key>,
}

/// A token account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TokenAccount {
    owner: Key,
    mint: Key,
    token_program: Key,
    amount: u64,
}

impl TokenAccount {
    fn rent_lamports(&self) -> u64 {
        rent_of(&self.token_program)
    }
}

fn rent_of(token_program: &Key) -> u64 {
    if *token_program == TOKEN_2022 {
        TOKEN_2022_ACCOUNT_RENT_LAMPORTS
    } else {
        TOKEN_ACCOUNT_RENT_LAMPORTS
    }
}

/// What an entry was before it changed.
enum Undo {
    Lamports(Key, Option<u64>),
    Token(Key, Option<TokenAccount>),
    Curve(Key, Option<Box<Curve>>),
    Accumulator(Key),
    Locked(u64),
}

/// A point in the undo log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(usize);

/// Wallets, token accounts and curves.
#[derive(Default)]
pub struct Market {
    tier: FeeTier,
    lamports: BTreeMap<Key, u64>,
    token_accounts: BTreeMap<Key, TokenAccount>,
    /// By curve address.
    curves: BTreeMap<Key, Curve>,
    /// Volume accumulators that exist.
    accumulators: BTreeMap<Key, ()>,
    tables: BTreeMap<Key, Vec<Key>>,
    /// Derived addresses of traders seen. A cache: never undone.
    users: BTreeMap<Key, User>,
    /// Lamports out of circulation: burnt fees and rents.
    locked_lamports: u64,
    undo: Vec<Undo>,
    written: Written,
}

impl Market {
    /// An empty market.
    pub fn new(tier: FeeTier) -> Self {
        Self {
            tier,
            ..Self::default()
        }
    }

    /// The fee tier.
    pub fn tier(&self) -> FeeTier {
        self.tier
    }

    /// Lamports of `account`.
    pub fn lamports(&self, account: &Key) -> u64 {
        self.lamports.get(account).copied().unwrap_or(0)
    }

    /// Raw tokens of `mint` in `owner`'s associated account.
    pub fn tokens(&self, owner: &Key, mint: &Key) -> u64 {
        let amount = |program| {
            Some(
                self.token_accounts
                    .get(&associated_token(owner, program, mint))?
                    .amount,
            )
        };
        amount(&TOKEN_2022).or_else(|| amount(&TOKEN)).unwrap_or(0)
    }

    /// The curve of the coin whose curve account is `bonding_curve`.
    pub fn curve(&self, bonding_curve: &Key) -> Option<&Curve> {
        self.curves.get(bonding_curve)
    }

    /// Curves ever launched.
    pub fn curve_count(&self) -> usize {
        self.curves.len()
    }

    /// Gives `lamports` to `account` out of nothing.
    pub fn credit(&mut self, account: &Key, lamports: u64) {
        let balance = self.lamports.entry(*account).or_insert(0);
        *balance = balance.saturating_add(lamports);
    }

    /// Makes the content of a lookup table known.
    pub fn register_table(&mut self, table: Key, addresses: Vec<Key>) {
        self.tables.insert(table, addresses);
    }

    /// A point to go back to.
    pub fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Undoes everything since `mark`.
    pub fn roll_back(&mut self, mark: Mark) {
        while self.undo.len() > mark.0 {
            match self.undo.pop() {
                Some(Undo::Lamports(key, before)) => restore(&mut self.lamports, key, before),
                Some(Undo::Token(key, before)) => restore(&mut self.token_accounts, key, before),
                Some(Undo::Curve(key, before)) => {
                    restore(&mut self.curves, key, before.map(|curve| *curve))
                }
                Some(Undo::Accumulator(key)) => restore(&mut self.accumulators, key, None),
                Some(Undo::Locked(before)) => self.locked_lamports = before,
                None => break,
            }
        }
    }

    /// Keeps everything done so far. Curves that changed are written once, as they are now.
    pub fn commit(&mut self) {
        self.written.next_batch();
        let mut seen: Vec<Key> = Vec::new();
        for undo in &self.undo {
            let Undo::Curve(key, before) = undo else {
                continue;
            };
            if seen.contains(key) {
                continue;
            }
            seen.push(*key);
            // The first entry of a curve tells what was there before all of them.
            let is_new = before.is_none();
            if let Some(curve) = self.curves.get(key) {
                self.written.push_curve(*key, curve, is_new);
            }
        }
        self.undo.clear();
    }

    /// Accounts that were written since the last call, in order, by the block of `slot`.
    pub fn take_writes(&mut self, slot: u64) -> Vec<AccountWrite> {
        self.written.take(slot)
    }

    /// Writes what is there before anybody trades: terms and lookup tables.
    pub(crate) fn write_first(&mut self) {
        self.written.next_batch();
        self.written.push_first(self.tier, self.tables.iter());
    }

    /// Executes one transaction. When it fails its fees stay paid and nothing else of it does.
    ///
    /// Signatures, blockhash and repetition are the caller's to check.
    ///
    /// # Errors
    /// The first instruction that fails.
    pub fn execute(&mut self, txn: &ParsedTxn<'_>) -> Result<TxnOutcome, ExecError> {
        let early = |reason| ExecError {
            instruction: None,
            reason,
        };
        let accounts = self.load_accounts(txn).map_err(early)?;
        let fee_lamports = fee_of(txn, &accounts);
        self.take(&accounts[0].key, fee_lamports).map_err(early)?;
        self.lock(fee_lamports);
        let mut outcome = TxnOutcome {
            fee_lamports,
            ..TxnOutcome::default()
        };
        let mark = self.mark();
        for (index, instruction) in txn.instructions().iter().enumerate() {
            let call = Call::new(instruction, &accounts);
            if let Err(reason) = self.call(&call, &mut outcome) {
                self.roll_back(mark);
                return Err(ExecError {
                    instruction: Some(index as u8),
                    reason,
                });
            }
        }
        Ok(outcome)
    }

    fn load_accounts(&self, txn: &ParsedTxn<'_>) -> Result<Vec<AccountMeta>, ExecReason> {
        let meta = |(index, key): (usize, &Key)| AccountMeta {
            key: *key,
            signer: txn.is_signer(index),
            writable: txn.is_writable(index),
        };
        let mut accounts: Vec<AccountMeta> = txn.keys().iter().enumerate().map(meta).collect();
        for writable in [true, false] {
            for lookup in txn.lookups() {
                let addresses = self
                    .tables
                    .get(lookup.table)
                    .ok_or(ExecReason::LookupTable)?;
                for at in if writable {
                    lookup.writable
                } else {
                    lookup.readonly
                } {
                    let key = *addresses
                        .get(usize::from(*at))
                        .ok_or(ExecReason::LookupTable)?;
                    accounts.push(AccountMeta {
                        key,
                        signer: false,
                        writable,
                    });
                }
            }
        }
        Ok(accounts)
    }

    fn call(&mut self, call: &Call<'_>, outcome: &mut TxnOutcome) -> Result<(), ExecReason> {
        match call.program {
            PUMP => self.call_pump(call, outcome),
            SYSTEM => self.call_system(call, outcome),
            ASSOCIATED_TOKEN => self.create_token_account(call),
            TOKEN | TOKEN_2022 => self.call_token(call),
            router if ROUTERS.contains(&router) => self.call_router(call, outcome),
            _ => Ok(()),
        }
    }

    fn call_pump(&mut self, call: &Call<'_>, outcome: &mut TxnOutcome) -> Result<(), ExecReason> {
        if let Some(trade) = Trade::decode(call.data) {
            outcome.fills.push(self.trade(call, &trade)?);
        } else if let Some(launch) = Launch::decode(call.data) {
            outcome.launches.push(self.launch(call, &launch)?);
        }
        Ok(())
    }

    /// A router's data is 8 bytes of its own and Pump's; its accounts are Pump and what Pump takes.
    fn call_router(&mut self, call: &Call<'_>, outcome: &mut TxnOutcome) -> Result<(), ExecReason> {
        let (Some(data), Some((pump, accounts))) =
            (call.data.get(8..), call.accounts.split_first())
        else {
            return Err(ExecReason::BadData);
        };
        if pump.key != PUMP {
            return Err(ExecReason::WrongAccount(0));
        }
        self.call_pump(
            &Call {
                program: PUMP,
                accounts: accounts.to_vec(),
                data,
            },
            outcome,
        )
    }

    fn launch(&mut self, call: &Call<'_>, launch: &Launch) -> Result<Key, ExecReason> {
        let mint = call.signer(Launch::MINT_AT)?;
        let user = call.signer(launch.user_at())?;
        let token_program = if launch.v2 { TOKEN_2022 } else { TOKEN };
        let Launch {
            creator,
            mayhem,
            cashback,
            ..
        } = *launch;
        // A creator rate in the launch is ignored on coins priced in SOL, which all of this market's are
        // (pump-public-docs `docs/instructions/COIN_CREATION.md`).
        let coin = Coin::new(mint, token_program, creator, mayhem, cashback, 0);
        if call.writable(Launch::CURVE_AT)? != coin.bonding_curve {
            return Err(ExecReason::WrongAccount(Launch::CURVE_AT as u8));
        }
        if self.curves.contains_key(&coin.bonding_curve) {
            return Err(ExecReason::CurveExists);
        }
        self.take(&user, LAUNCH_RENT_LAMPORTS)?;
        self.lock(LAUNCH_RENT_LAMPORTS);
        self.undo.push(Undo::Curve(coin.bonding_curve, None));
        self.curves.insert(coin.bonding_curve, Curve::new(coin));
        Ok(mint)
    }

    fn trade(&mut self, call: &Call<'_>, trade: &Trade) -> Result<Fill, ExecReason> {
        let places = trade.places();
        let curve_key = call.account(places.curve)?.key;
        let curve = self
            .curves
            .get(&curve_key)
            .ok_or(ExecReason::UnknownCurve)?;
        let user = *self
            .users
            .entry(call.signer(places.user)?)
            .or_insert_with_key(|key| User::new(*key));
        let recipients = call.recipients(trade)?;
        call.check_accounts(&trade.accounts(&curve.coin, &user, &recipients))?;
        if trade.generation == Generation::V3 && curve.coin.cashback {
            return Err(ExecReason::CashbackCoinNotSupported);
        }
        let quote = price(curve, trade, self.tier)?;
        let token_account =
            associated_token(&user.key, &curve.coin.token_program, &curve.coin.mint);
        let mut holding = *self
            .token_accounts
            .get(&token_account)
            .ok_or(ExecReason::TokenAccountMissing)?;
        let fill = |lamports| Fill {
            mint: curve.coin.mint,
            trader: user.key,
            buy: trade.is_buy(),
            generation: trade.generation,
            tokens: quote.tokens,
            lamports,
        };
        let (mut after, fill) = if trade.is_buy() {
            holding.amount += quote.tokens;
            let mut after = curve.clone();
            after.apply_buy(&quote);
            (after, fill(quote.cost_lamports()))
        } else {
            let left = holding.amount.checked_sub(quote.tokens);
            holding.amount = left.ok_or(ExecReason::NotEnoughTokensToSell)?;
            let mut after = curve.clone();
            after.apply_sell(&quote);
            (after, fill(quote.proceeds_lamports()))
        };
        if fill.buy {
            self.take(&user.key, fill.lamports)?;
        } else {
            self.give(&user.key, fill.lamports);
        }
        self.pay_fees(&mut after, trade, &quote, &recipients);
        self.open_accumulator(&user, trade)?;
        self.put_token_account(token_account, holding);
        let before = self.curves.insert(curve_key, after);
        self.undo.push(Undo::Curve(curve_key, before.map(Box::new)));
        Ok(fill)
    }

    /// v3 leaves the fees on the curve; the older forms pay them out. The buyback slice, a part of
    /// the protocol fee, is not told apart.
    fn pay_fees(
        &mut self,
        curve: &mut Curve,
        trade: &Trade,
        quote: &Quote,
        recipients: &Recipients,
    ) {
        if trade.generation == Generation::V3 {
            curve.unswept_fee_lamports += quote.fee_lamports();
        } else {
            self.give(&recipients.fee, quote.protocol_fee_lamports);
            self.give(curve.coin.creator_vault(), quote.creator_fee_lamports);
        }
    }

    fn open_accumulator(&mut self, user: &User, trade: &Trade) -> Result<(), ExecReason> {
        let named = trade.is_buy() || trade.generation != Generation::V1;
        if !named || self.accumulators.contains_key(&user.volume_accumulator) {
            return Ok(());
        }
        self.take(&user.key, VOLUME_ACCUMULATOR_RENT_LAMPORTS)?;
        self.lock(VOLUME_ACCUMULATOR_RENT_LAMPORTS);
        self.accumulators.insert(user.volume_accumulator, ());
        self.undo.push(Undo::Accumulator(user.volume_accumulator));
        Ok(())
    }

    /// `Transfer` moves lamports; the program's other instructions do nothing here.
    fn call_system(&mut self, call: &Call<'_>, outcome: &mut TxnOutcome) -> Result<(), ExecReason> {
        let Some((tag, rest)) = call.data.split_first_chunk::<4>() else {
            return Err(ExecReason::BadData);
        };
        if u32::from_le_bytes(*tag) != SYSTEM_TRANSFER {
            return Ok(());
        }
        let lamports = u64::from_le_bytes(*rest.first_chunk::<8>().ok_or(ExecReason::BadData)?);
        let (from, to) = (call.signer(0)?, call.writable(1)?);
        self.take(&from, lamports)?;
        self.give(&to, lamports);
        if TIP_ACCOUNTS.contains(&to) {
            outcome.tip_lamports += lamports;
        }
        Ok(())
    }

    /// `Create` (0 or no data) and `CreateIdempotent` (1).
    fn create_token_account(&mut self, call: &Call<'_>) -> Result<(), ExecReason> {
        let idempotent = match call.data {
            [] | [0] => false,
            [1] => true,
            _ => return Err(ExecReason::BadData),
        };
        let (payer, account) = (call.signer(0)?, call.writable(1)?);
        let [owner, mint, token_program] = [
            call.account(2)?.key,
            call.account(3)?.key,
            call.account(5)?.key,
        ];
        if associated_token(&owner, &token_program, &mint) != account {
            return Err(ExecReason::WrongAccount(1));
        }
        if self.token_accounts.contains_key(&account) {
            return if idempotent {
                Ok(())
            } else {
                Err(ExecReason::WrongAccount(1))
            };
        }
        let known_program = match self.curves.get(&bonding_curve(&mint)) {
            Some(curve) => curve.coin.token_program,
            None if mint == WRAPPED_SOL => TOKEN,
            None => return Err(ExecReason::WrongAccount(3)),
        };
        if token_program != known_program {
            return Err(ExecReason::WrongAccount(5));
        }
        self.take(&payer, rent_of(&token_program))?;
        self.lock(rent_of(&token_program));
        self.put_token_account(
            account,
            TokenAccount {
                owner,
                mint,
                token_program,
                amount: 0,
            },
        );
        Ok(())
    }

    /// `CloseAccount` gives the rent back; the programs' other instructions do nothing here.
    fn call_token(&mut self, call: &Call<'_>) -> Result<(), ExecReason> {
        const CLOSE_ACCOUNT: u8 = 9;
        if call.data != [CLOSE_ACCOUNT] {
            return Ok(());
        }
        let (account, destination, owner) = (call.writable(0)?, call.writable(1)?, call.owner(2)?);
        let holding = *self
            .token_accounts
            .get(&account)
            .ok_or(ExecReason::TokenAccountMissing)?;
        if holding.owner != owner || holding.token_program != call.program {
            return Err(ExecReason::WrongAccount(0));
        }
        if holding.amount != 0 {
            return Err(ExecReason::TokenAccountNotEmpty);
        }
        self.undo.push(Undo::Locked(self.locked_lamports));
        self.locked_lamports -= holding.rent_lamports();
        self.give(&destination, holding.rent_lamports());
        self.undo.push(Undo::Token(account, Some(holding)));
        self.token_accounts.remove(&account);
        Ok(())
    }

    fn put_token_account(&mut self, key: Key, account: TokenAccount) {
        let before = self.token_accounts.insert(key, account);
        self.undo.push(Undo::Token(key, before));
    }

    fn take(&mut self, from: &Key, lamports: u64) -> Result<(), ExecReason> {
        let left = self
            .lamports(from)
            .checked_sub(lamports)
            .ok_or(ExecReason::InsufficientLamports)?;
        self.set_lamports(from, left);
        Ok(())
    }

    fn give(&mut self, to: &Key, lamports: u64) {
        self.set_lamports(to, self.lamports(to).saturating_add(lamports));
    }

    fn set_lamports(&mut self, account: &Key, lamports: u64) {
        let before = self.lamports.insert(*account, lamports);
        self.undo.push(Undo::Lamports(*account, before));
    }

    fn lock(&mut self, lamports: u64) {
        self.undo.push(Undo::Locked(self.locked_lamports));
        self.locked_lamports += lamports;
    }

    /// Every lamport there is, wherever it is. Only [`Market::credit`] changes it.
    #[cfg(test)]
    pub(crate) fn total_lamports(&self) -> u64 {
        let curves = self
            .curves
            .values()
            .map(|curve| curve.real_lamports + curve.unswept_fee_lamports);
        self.lamports.values().sum::<u64>() + curves.sum::<u64>() + self.locked_lamports
    }
}

fn restore<V>(map: &mut BTreeMap<Key, V>, key: Key, before: Option<V>) {
    match before {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

/// Lamports a transaction's top-level transfers offer to tip accounts among its static keys, without
/// executing it.
pub(crate) fn tip_of(txn: &ParsedTxn<'_>) -> u64 {
    let tip = |instruction: &ParsedInstruction<'_>| {
        let to = txn.keys().get(usize::from(*instruction.accounts.get(1)?))?;
        let (tag, lamports) = instruction.data.split_first_chunk::<4>()?;
        let offered = *txn.keys().get(usize::from(instruction.program_index))? == SYSTEM
            && u32::from_le_bytes(*tag) == SYSTEM_TRANSFER
            && TIP_ACCOUNTS.contains(to);
        offered.then(|| {
            lamports
                .first_chunk()
                .map(|bytes| u64::from_le_bytes(*bytes))
        })?
    };
    txn.instructions()
        .iter()
        .filter_map(tip)
        .fold(0, u64::saturating_add)
}

/// Base fee and priority fee of a transaction, as its budget asks for.
fn fee_of(txn: &ParsedTxn<'_>, accounts: &[AccountMeta]) -> u64 {
    const SET_LIMIT: u8 = 2;
    const SET_PRICE: u8 = 3;
    let base = LAMPORTS_PER_SIGNATURE * txn.signatures().len() as u64;
    if let Some(priority) = txn.priority_fee_lamports() {
        return base.saturating_add(priority);
    }
    let (mut limit, mut micro_lamports_per_unit, mut default_limit) = (None, 0_u64, 0);
    for instruction in txn.instructions() {
        if accounts[usize::from(instruction.program_index)].key != COMPUTE_BUDGET {
            default_limit += COMPUTE_UNITS_PER_INSTRUCTION;
            continue;
        }
        match instruction.data {
            [SET_LIMIT, units @ ..] => {
                limit = units
                    .first_chunk()
                    .map(|units| u64::from(u32::from_le_bytes(*units)));
            }
            [SET_PRICE, price @ ..] => {
                micro_lamports_per_unit = price
                    .first_chunk()
                    .map_or(0, |price| u64::from_le_bytes(*price));
            }
            _ => {}
        }
    }
    let units = limit.unwrap_or(default_limit).min(COMPUTE_UNITS_MAX);
    let priority = (u128::from(units) * u128::from(micro_lamports_per_unit)).div_ceil(1_000_000);
    base.saturating_add(u64::try_from(priority).unwrap_or(u64::MAX))
}

/// One instruction with its accounts at hand.
struct Call<'a> {
    program: Key,
    accounts: Vec<AccountMeta>,
    data: &'a [u8],
}

impl<'a> Call<'a> {
    fn new(instruction: &ParsedInstruction<'a>, all: &[AccountMeta]) -> Self {
        let accounts = instruction
            .accounts
            .iter()
            .map(|at| all[usize::from(*at)])
            .collect();
        Self {
            program: all[usize::from(instruction.program_index)].key,
            accounts,
            data: instruction.data,
        }
    }

    fn account(&self, at: usize) -> Result<&AccountMeta, ExecReason> {
        self.accounts.get(at).ok_or(ExecReason::NotEnoughAccounts)
    }

    /// The key of a writable signer.
    fn signer(&self, at: usize) -> Result<Key, ExecReason> {
        self.owner(at)?;
        self.writable(at)
    }

    /// The key of a signer.
    fn owner(&self, at: usize) -> Result<Key, ExecReason> {
        let account = self.account(at)?;
        if account.signer {
            Ok(account.key)
        } else {
            Err(ExecReason::MissingSignature(at as u8))
        }
    }

    fn writable(&self, at: usize) -> Result<Key, ExecReason> {
        let account = self.account(at)?;
        if account.writable {
            Ok(account.key)
        } else {
            Err(ExecReason::NotWritable(at as u8))
        }
    }

    fn recipients(&self, trade: &Trade) -> Result<Recipients, ExecReason> {
        let places = trade.places();
        let fee = match places.fee {
            None => [0; 32],
            Some(at) => {
                let fee = self.account(at)?.key;
                if !PUMP_FEE_RECIPIENTS.contains(&fee) {
                    return Err(ExecReason::WrongAccount(at as u8));
                }
                fee
            }
        };
        let buyback_at = match places.buyback {
            Buyback::At(at) => at,
            Buyback::Last => self.accounts.len() - 1,
        };
        let buyback = self.account(buyback_at)?.key;
        if !PUMP_BUYBACK_RECIPIENTS.contains(&buyback) {
            return Err(ExecReason::BuybackFeeRecipientNotAuthorized);
        }
        Ok(Recipients { fee, buyback })
    }

    /// Whether the accounts are the expected ones with at least the expected rights.
    fn check_accounts(&self, expected: &[AccountMeta]) -> Result<(), ExecReason> {
        if self.accounts.len() < expected.len() {
            return Err(ExecReason::NotEnoughAccounts);
        }
        for (at, (given, wanted)) in self.accounts.iter().zip(expected).enumerate() {
            if given.key != wanted.key {
                return Err(ExecReason::WrongAccount(at as u8));
            }
            if wanted.writable && !given.writable {
                return Err(ExecReason::NotWritable(at as u8));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::curve::{INITIAL_REAL_TOKENS, INITIAL_VIRTUAL_TOKENS};
    use crate::pump::{Label, Order, create_token_account, create_v2};
    use crate::txn::{Form, Instruction, write};

    const SOL: u64 = 1_000_000_000;
    const RECIPIENTS: Recipients = Recipients {
        fee: PUMP_FEE_RECIPIENTS[0],
        buyback: PUMP_BUYBACK_RECIPIENTS[3],
    };

    struct Bench {
        market: Market,
        trader: SigningKey,
        user: User,
        coin: Coin,
    }

    impl Bench {
        /// A market with one trader worth 1,000 SOL and one launched coin.
        fn new(cashback: bool) -> Self {
            let (trader, mint) = (
                SigningKey::from_bytes(&[1; 32]),
                SigningKey::from_bytes(&[2; 32]),
            );
            let user = User::new(trader.verifying_key().to_bytes());
            let coin = Coin::new(
                mint.verifying_key().to_bytes(),
                TOKEN_2022,
                user.key,
                false,
                cashback,
                0,
            );
            let mut bench = Self {
                market: Market::new(FeeTier::default()),
                trader,
                user,
                coin,
            };
            bench.market.credit(&bench.user.key, 1_000 * SOL);
            let label = Label {
                name: "N".into(),
                symbol: "S".into(),
                uri: "U".into(),
            };
            let launch = create_v2(&bench.coin, &bench.user.key, &label, true);
            let account = create_token_account(
                &bench.user.key,
                &bench.user.key,
                &TOKEN_2022,
                &bench.coin.mint,
            );
            let bytes = write(
                &[&bench.trader, &mint],
                &[launch, account],
                &[0; 32],
                Form::Legacy,
            );
            let outcome = bench
                .market
                .execute(&ParsedTxn::parse(&bytes).unwrap())
                .unwrap();
            assert_eq!(outcome.launches, [bench.coin.mint]);
            bench
        }

        fn run(&mut self, instructions: &[Instruction]) -> Result<TxnOutcome, ExecError> {
            let bytes = write(&[&self.trader], instructions, &[0; 32], Form::Legacy);
            self.market.execute(&ParsedTxn::parse(&bytes).unwrap())
        }

        fn trade(&mut self, generation: Generation, order: Order) -> Result<Fill, ExecReason> {
            let trade = Trade {
                generation,
                order,
                partial_fill: false,
            };
            let instruction = trade.instruction(&self.coin, &self.user, &RECIPIENTS);
            self.run(&[instruction])
                .map(|outcome| outcome.fills[0])
                .map_err(|error| error.reason)
        }

        fn curve(&self) -> &Curve {
            self.market.curve(&self.coin.bonding_curve).unwrap()
        }

        fn tokens(&self) -> u64 {
            self.market.tokens(&self.user.key, &self.coin.mint)
        }
    }

    const ALL: [Generation; 3] = [Generation::V1, Generation::V2, Generation::V3];

    #[test]
    fn every_generation_buys_and_sells() {
        for generation in ALL {
            let mut bench = Bench::new(false);
            let before = bench.market.total_lamports();
            let fill = bench
                .trade(
                    generation,
                    Order::BuyExactIn {
                        spend_lamports: SOL,
                        tokens_min: 1,
                    },
                )
                .unwrap();
            assert_eq!((fill.tokens, fill.lamports), (bench.tokens(), SOL));
            let order = Order::BuyExactOut {
                tokens: 1_000_000,
                cost_lamports_max: SOL,
            };
            assert_eq!(bench.trade(generation, order).unwrap().tokens, 1_000_000);
            let tokens = bench.tokens();
            bench
                .trade(
                    generation,
                    Order::Sell {
                        tokens,
                        receive_lamports_min: SOL / 2,
                    },
                )
                .unwrap();
            assert_eq!(bench.tokens(), 0);
            assert_eq!(bench.curve().virtual_tokens, INITIAL_VIRTUAL_TOKENS);
            assert_eq!(
                bench.market.total_lamports(),
                before,
                "no lamport appears or vanishes"
            );
        }
    }

    #[test]
    fn limits_hold_to_the_lamport() {
        let mut bench = Bench::new(false);
        let tier = FeeTier::default();
        let quote = bench.curve().quote_exact_in(SOL, tier).unwrap();
        let buy = |tokens_min| Order::BuyExactIn {
            spend_lamports: SOL,
            tokens_min,
        };
        let refused = bench.trade(Generation::V3, buy(quote.tokens + 1));
        assert_eq!(refused, Err(ExecReason::BuySlippageBelowMinTokensOut));
        bench.trade(Generation::V3, buy(quote.tokens)).unwrap();

        let cost = bench
            .curve()
            .quote_exact_out(1_000_000, tier)
            .unwrap()
            .cost_lamports();
        let buy = |cost_lamports_max| Order::BuyExactOut {
            tokens: 1_000_000,
            cost_lamports_max,
        };
        assert_eq!(
            bench.trade(Generation::V2, buy(cost - 1)),
            Err(ExecReason::TooMuchSolRequired)
        );
        bench.trade(Generation::V2, buy(cost)).unwrap();

        let tokens = bench.tokens();
        let proceeds = bench
            .curve()
            .quote_sell(tokens, tier)
            .unwrap()
            .proceeds_lamports();
        let sell = |receive_lamports_min| Order::Sell {
            tokens,
            receive_lamports_min,
        };
        assert_eq!(
            bench.trade(Generation::V1, sell(proceeds + 1)),
            Err(ExecReason::TooLittleSolReceived)
        );
        bench.trade(Generation::V1, sell(proceeds)).unwrap();
        let more = Order::Sell {
            tokens: 1,
            receive_lamports_min: 0,
        };
        assert!(bench.trade(Generation::V1, more).is_err());
    }

    #[test]
    fn a_failed_transaction_pays_its_fee_and_does_nothing_else() {
        let mut bench = Bench::new(false);
        let (lamports, curve) = (
            bench.market.lamports(&bench.user.key),
            bench.curve().clone(),
        );
        let buy = Order::BuyExactIn {
            spend_lamports: SOL,
            tokens_min: u64::MAX,
        };
        bench.trade(Generation::V3, buy).unwrap_err();
        assert_eq!(
            bench.market.lamports(&bench.user.key),
            lamports - LAMPORTS_PER_SIGNATURE
        );
        assert_eq!(*bench.curve(), curve);
    }

    #[test]
    fn rolling_back_restores_everything() {
        let mut bench = Bench::new(false);
        let (lamports, curve) = (
            bench.market.lamports(&bench.user.key),
            bench.curve().clone(),
        );
        let mark = bench.market.mark();
        bench
            .trade(
                Generation::V3,
                Order::BuyExactIn {
                    spend_lamports: SOL,
                    tokens_min: 1,
                },
            )
            .unwrap();
        bench.market.roll_back(mark);
        assert_eq!(
            (bench.market.lamports(&bench.user.key), bench.tokens()),
            (lamports, 0)
        );
        assert_eq!(*bench.curve(), curve);
        assert!(bench.market.accumulators.is_empty());
    }

    #[test]
    fn accounts_are_checked_one_by_one() {
        let order = Order::BuyExactIn {
            spend_lamports: SOL,
            tokens_min: 1,
        };
        for generation in ALL {
            let mut bench = Bench::new(false);
            let trade = Trade {
                generation,
                order,
                partial_fill: false,
            };
            let right = trade.instruction(&bench.coin, &bench.user, &RECIPIENTS);
            for at in 0..right.accounts.len() {
                let mut wrong = right.clone();
                wrong.accounts[at].key[5] ^= 0x40;
                // A signer nobody signs for cannot even be written.
                if !wrong.accounts[at].signer {
                    assert!(bench.run(&[wrong]).is_err(), "{generation:?} account {at}");
                }
            }
            let mut short = right.clone();
            short.accounts.truncate(16);
            assert!(bench.run(&[short]).is_err());
            bench.run(&[right]).unwrap();
        }
    }

    #[test]
    fn v3_refuses_cashback_coins_and_v2_takes_them() {
        let mut bench = Bench::new(true);
        let order = Order::BuyExactIn {
            spend_lamports: SOL,
            tokens_min: 1,
        };
        assert_eq!(
            bench.trade(Generation::V3, order),
            Err(ExecReason::CashbackCoinNotSupported)
        );
        bench.trade(Generation::V2, order).unwrap();
    }

    #[test]
    fn the_token_account_must_exist_and_its_rent_comes_back() {
        let mut bench = Bench::new(false);
        let account = associated_token(&bench.user.key, &TOKEN_2022, &bench.coin.mint);
        let close = |owner: Key| Instruction {
            program: TOKEN_2022,
            accounts: vec![
                AccountMeta::write(account),
                AccountMeta::write(owner),
                AccountMeta::sign(owner),
            ],
            data: vec![9],
        };
        let order = Order::BuyExactIn {
            spend_lamports: SOL,
            tokens_min: 1,
        };
        bench.trade(Generation::V3, order).unwrap();
        let closing = close(bench.user.key);
        assert_eq!(
            bench
                .run(std::slice::from_ref(&closing))
                .unwrap_err()
                .reason,
            ExecReason::TokenAccountNotEmpty
        );
        let tokens = bench.tokens();
        bench
            .trade(
                Generation::V3,
                Order::Sell {
                    tokens,
                    receive_lamports_min: 1,
                },
            )
            .unwrap();
        let before = bench.market.lamports(&bench.user.key);
        bench.run(&[closing]).unwrap();
        let after = bench.market.lamports(&bench.user.key);
        assert_eq!(
            after + LAMPORTS_PER_SIGNATURE,
            before + TOKEN_2022_ACCOUNT_RENT_LAMPORTS
        );
        assert_eq!(
            bench.trade(Generation::V3, order),
            Err(ExecReason::TokenAccountMissing)
        );
    }

    #[test]
    fn priority_fees_are_price_times_limit() {
        let mut bench = Bench::new(false);
        let budget = |data: Vec<u8>| Instruction {
            program: COMPUTE_BUDGET,
            accounts: vec![],
            data,
        };
        let limit = budget([&[2][..], &100_000_u32.to_le_bytes()].concat());
        let price = budget([&[3][..], &25_001_u64.to_le_bytes()].concat());
        // 100,000 * 25,001 / 1,000,000, rounded up.
        assert_eq!(
            bench.run(&[limit, price]).unwrap().fee_lamports,
            LAMPORTS_PER_SIGNATURE + 2_501
        );
    }

    #[test]
    fn emptying_the_curve_completes_it() {
        let mut bench = Bench::new(false);
        let order = Order::BuyExactIn {
            spend_lamports: 200 * SOL,
            tokens_min: 1,
        };
        let fill = bench.trade(Generation::V3, order).unwrap();
        assert_eq!(fill.tokens, INITIAL_REAL_TOKENS);
        assert!(fill.lamports < 87 * SOL && bench.curve().complete);
        assert_eq!(
            bench.trade(Generation::V3, order),
            Err(ExecReason::BondingCurveComplete)
        );
    }
}
