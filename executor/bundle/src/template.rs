//! Transactions compiled once, patched per intent.
//!
//! A [`Template`] is the bytes of a whole transaction with holes: account keys that depend on the coin, on
//! the rotation of recipients or on the tip account, three amounts, the blockhash and the signature.
//! [`Template::render`] copies the bytes and fills the holes; nothing is laid out again.
//!
//! ```text
//! v0: 1 | signature 64 | 0x80 | header 3 | n | keys 32n | blockhash 32 | m | instructions | lookups
//! v1: 0x81 | header 3 | mask u32 | blockhash 32 | m u8 | n u8 | keys 32n | config values
//!          | m x (program u8, accounts u8, data u16) | m x (account indices, data) | signature 64
//! lookups: 0, or 1 | table 32 | w | indices of writable | r | indices of readonly
//! ```
//! A key stands once in the key table, with the union of its uses' rights, ordered writable signers (payer
//! first), readonly signers, writable, readonly. Since positions are fixed before the patched keys are
//! known, a patched key that equals another key of the table would load one account twice:
//! [`Template::render`] refuses it.
//!
//! With a lookup table, a v0 key leaves the key table for a byte in the lookups when the table holds it, it is the same in
//! every transaction, no instruction's program, and no signer. Looked-up keys are numbered after all of the key table,
//! writable before readonly. Nothing that a block engine looks for goes there: patched keys never do, so the tip account
//! does not, nor does the mark of `jitodontfront`.
//!
//! Source: solana-message 4.4.1 `compiled_keys.rs` (ordering, merged rights, what a table may hold), `versions/v0/mod.rs`
//! (lookups), `versions/v1/message.rs` (v1 layout); SIMD-0385.

use market::Key;
use shred_wire::txn::{
    KEY_LEN, LEGACY_AND_V0_LEN_MAX, SIGNATURE_LEN, V1_INSTRUCTION_COUNT_MAX, V1_KEY_COUNT_MAX,
    V1_LEN_MAX,
};

use crate::address::{COMPUTE_BUDGET_PROGRAM, JITO_DONT_FRONT};
use crate::lookup::LookupTable;

/// Most account keys a template may name: v1's limit; v0 has no smaller one that matters here.
pub const KEY_COUNT_MAX: usize = V1_KEY_COUNT_MAX;
/// Most instructions of one template: v1's limit.
pub const INSTRUCTION_COUNT_MAX: usize = V1_INSTRUCTION_COUNT_MAX;
/// Version byte of a v0 message.
const V0_PREFIX: u8 = 0x80;
/// Version byte of a v1 transaction.
const V1_PREFIX: u8 = 0x81;
/// v1 config mask: priority fee (bits 0 and 1), compute unit limit (2), loaded accounts data size (3).
/// The heap (4) stays unset, which means 32 KiB; an unset limit or size would mean zero.
const V1_CONFIG_MASK: u32 = 0b1111;

/// Wire version of a template. Legacy transactions are not built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum WireVersion {
    /// v0, at most [`LEGACY_AND_V0_LEN_MAX`] bytes; compute budget by instructions.
    #[default]
    V0,
    /// v1 (SIMD-0385), at most [`V1_LEN_MAX`] bytes; compute budget in the config values.
    V1,
}

/// An account key known only when the intent is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum KeyField {
    /// Mint of the coin.
    BaseMint,
    /// The coin's curve or pool.
    Pool,
    /// The pool's token account for the coin; on Raydium AMM v4 for the pool's own coin side.
    BaseVault,
    /// The pool's token account for the quote; on Raydium AMM v4 for the pool's own pc side.
    QuoteVault,
    /// Our token account for the coin.
    UserBaseAccount,
    /// Protocol fee recipient (Pump v2).
    FeeRecipient,
    /// The protocol fee recipient's quote account (Pump v2).
    FeeRecipientQuoteAccount,
    /// Buyback fee recipient.
    BuybackRecipient,
    /// The buyback fee recipient's quote account (Pump v2, PumpSwap).
    BuybackRecipientQuoteAccount,
    /// Fee vault of the coin's creator (Pump v2, LaunchLab).
    CreatorVault,
    /// The vault's quote account (Pump v2).
    CreatorVaultQuoteAccount,
    /// The coin's fee-sharing configuration (Pump v2).
    SharingConfig,
    /// The tip account.
    TipAccount,
    /// The pool's terms (Raydium CPMM, LaunchLab).
    PoolConfig,
    /// The pool's price history (Raydium CPMM).
    Observation,
    /// The launching platform's terms (LaunchLab).
    PlatformConfig,
    /// The launching platform's fee vault (LaunchLab).
    PlatformVault,
}

/// Number of [`KeyField`]s.
pub const KEY_FIELD_COUNT: usize = 17;

/// A little-endian `u64` known only when the intent is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ValueField {
    /// Raw tokens that change hands, to the unit.
    Tokens,
    /// Worst price accepted, lamports: the most to pay when buying, the least to receive when selling.
    QuoteLimit,
    /// Tip, lamports.
    TipLamports,
    /// Price of a compute unit, millionths of a lamport (v0).
    UnitPrice,
    /// Priority fee of the transaction, lamports (v1).
    PriorityFee,
    /// Last slot the transaction may execute in.
    SlotMax,
    /// Lamports the payer must be left with.
    WalletFloor,
}

/// Number of [`ValueField`]s.
pub const VALUE_FIELD_COUNT: usize = 7;

/// What fills the holes of a template. Fields a template has no hole for are not read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patch {
    keys: [Key; KEY_FIELD_COUNT],
    values: [u64; VALUE_FIELD_COUNT],
}

impl Patch {
    /// Sets one key.
    #[inline]
    pub fn set_key(&mut self, field: KeyField, key: Key) {
        self.keys[field as usize] = key;
    }

    /// The key set for `field`; zeros when none was.
    #[inline]
    #[must_use]
    pub const fn key(&self, field: KeyField) -> Key {
        self.keys[field as usize]
    }

    /// The amount set for `field`; zero when none was.
    #[inline]
    pub(crate) const fn value(&self, field: ValueField) -> u64 {
        self.values[field as usize]
    }

    /// Sets one amount.
    #[inline]
    pub fn set_value(&mut self, field: ValueField, value: u64) {
        self.values[field as usize] = value;
    }
}

/// A patched key equals another key of the transaction, which would name one account twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Aliased;

/// Where an instruction's account key comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// The same in every transaction.
    Fixed(Key),
    /// Filled in by [`Template::render`].
    Patched(KeyField),
}

/// One account of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountSpec {
    /// Which account.
    pub key: KeySource,
    /// Must have signed.
    pub signer: bool,
    /// May be written.
    pub writable: bool,
}

impl AccountSpec {
    /// An account that is only read.
    #[must_use]
    pub const fn readonly(key: KeySource) -> Self {
        Self {
            key,
            signer: false,
            writable: false,
        }
    }

    /// An account that may be written.
    #[must_use]
    pub const fn writable(key: KeySource) -> Self {
        Self {
            key,
            signer: false,
            writable: true,
        }
    }

    /// A signing account that may be written: a payer.
    #[must_use]
    pub const fn payer(key: KeySource) -> Self {
        Self {
            key,
            signer: true,
            writable: true,
        }
    }
}

/// One instruction with its holes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstructionSpec {
    /// The program.
    pub program: Key,
    /// Its accounts, in the program's order.
    pub accounts: Vec<AccountSpec>,
    /// Its data; the bytes under a hole are zero.
    pub data: Vec<u8>,
    /// Holes in `data`: which amount, at which offset.
    pub values: Vec<(ValueField, usize)>,
}

/// Compute budget of a transaction: instructions in v0, config values in v1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ComputeBudget {
    /// Compute units the transaction may use. Block engines rank by tip per unit asked for.
    pub unit_limit: u32,
    /// Price of a unit in millionths of a lamport. In v1 the product, rounded up, is the priority fee.
    pub unit_price_micro_lamports: u64,
    /// Most bytes of accounts the transaction may load, programs included.
    pub loaded_accounts_data_size_limit: u32,
}

impl ComputeBudget {
    /// The priority fee these terms cost, lamports, rounded up; the largest amount when it does not fit.
    ///
    /// Source: agave `compute-budget` prioritization fee (`price * limit`, ceiling of a millionth).
    #[must_use]
    pub fn priority_fee_lamports(&self) -> u64 {
        let micro = u128::from(self.unit_price_micro_lamports) * u128::from(self.unit_limit);
        u64::try_from(micro.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// These terms with a unit price that `extra` lamports more pay for, rounded down: the priority fee grows by
    /// `extra` at most.
    #[must_use]
    pub const fn with_extra(self, extra: u64) -> Self {
        let limit = if self.unit_limit == 0 {
            1
        } else {
            self.unit_limit as u64
        };
        let price = match extra.checked_mul(1_000_000) {
            Some(micro) => micro / limit,
            // More than 18,000 SOL: no lane pays that, and the price may saturate.
            None => (extra / limit).saturating_mul(1_000_000),
        };
        Self {
            unit_price_micro_lamports: self.unit_price_micro_lamports.saturating_add(price),
            ..self
        }
    }

    /// These terms for `units`, at a unit price that costs what these cost in total, rounded down.
    #[must_use]
    pub fn for_units(self, units: u32) -> Self {
        let micro = u128::from(self.unit_price_micro_lamports) * u128::from(self.unit_limit);
        let price = micro / u128::from(units.max(1));
        Self {
            unit_limit: units,
            unit_price_micro_lamports: u64::try_from(price).unwrap_or(u64::MAX),
            ..self
        }
    }

    /// The three instructions of v0. Source: solana-compute-budget-interface 3 (borsh tags 2, 3, 4).
    fn instructions(&self, price: PriceSource) -> [InstructionSpec; 3] {
        let of = |tag: u8, value: &[u8]| InstructionSpec {
            program: COMPUTE_BUDGET_PROGRAM,
            accounts: Vec::new(),
            data: [&[tag], value].concat(),
            values: Vec::new(),
        };
        let mut price_of_unit = of(3, &self.unit_price_micro_lamports.to_le_bytes());
        if price == PriceSource::Patched {
            price_of_unit.values.push((ValueField::UnitPrice, 1));
        }
        [
            of(2, &self.unit_limit.to_le_bytes()),
            price_of_unit,
            of(4, &self.loaded_accounts_data_size_limit.to_le_bytes()),
        ]
    }
}

/// Where the price of a compute unit comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PriceSource {
    /// The budget's, the same in every transaction.
    Fixed,
    /// Filled in by [`Template::render`]: [`ValueField::UnitPrice`] in v0, [`ValueField::PriorityFee`] in v1.
    Patched,
}

/// Why a template cannot be compiled. Raised at start, never while trading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// More keys than one transaction may name.
    #[error("{0} account keys, at most {KEY_COUNT_MAX}")]
    TooManyKeys(usize),
    /// More instructions than one transaction may carry.
    #[error("{0} instructions, at most {INSTRUCTION_COUNT_MAX}")]
    TooManyInstructions(usize),
    /// No compute units, or no bytes of accounts: every transaction would fail. In v1 an unset limit is zero.
    #[error("a compute budget of nothing: unit and loaded-data limits must be above zero")]
    NoBudget,
    /// An account besides the payer would have to sign, or a patched key would.
    #[error("only the payer signs a template")]
    ForeignSigner,
    /// An instruction names too many accounts, carries too much data, or has a hole outside its data.
    #[error("instruction {0} does not fit its wire fields")]
    InstructionTooLong(usize),
    /// The transaction is longer than its version allows.
    #[error("{len} bytes, at most {max}")]
    TooLong {
        /// Compiled length.
        len: usize,
        /// What the version allows.
        max: usize,
    },
}

/// A compiled transaction with holes. Immutable; allocates only when compiled.
#[derive(Debug)]
pub struct Template {
    version: WireVersion,
    budget: ComputeBudget,
    bytes: Box<[u8]>,
    keys_at: usize,
    key_count: usize,
    blockhash_at: usize,
    signature_at: usize,
    message: core::ops::Range<usize>,
    key_holes: Box<[(KeyField, usize)]>,
    value_holes: Box<[(ValueField, usize)]>,
    looked_up: Box<[Key]>,
}

impl Template {
    /// Lays out one transaction paid and signed by `payer`.
    ///
    /// v0 gets the compute budget as its first three instructions, v1 as config values.
    ///
    /// # Errors
    /// [`CompileError`] when the result would not be a valid transaction of `version`.
    pub fn compile(
        version: WireVersion,
        payer: &Key,
        budget: &ComputeBudget,
        instructions: &[InstructionSpec],
    ) -> Result<Self, CompileError> {
        let price = PriceSource::Fixed;
        Self::compile_with(version, payer, budget, price, None, instructions)
    }

    /// [`Template::compile`], saying where the price of a compute unit comes from, and with a table that v0 may look
    /// keys up in; v1 has none.
    ///
    /// # Errors
    /// As [`Template::compile`].
    pub fn compile_with(
        version: WireVersion,
        payer: &Key,
        budget: &ComputeBudget,
        price: PriceSource,
        lookup: Option<&LookupTable>,
        instructions: &[InstructionSpec],
    ) -> Result<Self, CompileError> {
        let mut all = match version {
            WireVersion::V0 => budget.instructions(price).to_vec(),
            WireVersion::V1 => Vec::new(),
        };
        all.extend_from_slice(instructions);
        if budget.unit_limit == 0 || budget.loaded_accounts_data_size_limit == 0 {
            return Err(CompileError::NoBudget);
        }
        if all.len() > INSTRUCTION_COUNT_MAX {
            return Err(CompileError::TooManyInstructions(all.len()));
        }
        let mut table = KeyTable::collect(payer, &all)?;
        if let (WireVersion::V0, Some(lookup)) = (version, lookup) {
            table.look_up(lookup, &all);
        }
        let mut layout = Layout::default();
        match version {
            WireVersion::V0 => layout.write_v0(&table, &all)?,
            WireVersion::V1 => layout.write_v1(&table, &all, budget, price)?,
        }
        layout.finish(version, budget, &table)
    }

    /// Length of the transaction, bytes.
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a transaction is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Wire version of the bytes.
    #[inline]
    #[must_use]
    pub const fn version(&self) -> WireVersion {
        self.version
    }

    /// The compute budget it was compiled with.
    #[inline]
    #[must_use]
    pub const fn budget(&self) -> &ComputeBudget {
        &self.budget
    }

    /// What every message rendered from this template starts with: all that comes before its first hole.
    #[must_use]
    pub fn static_prefix(&self) -> &[u8] {
        let keys = self
            .key_holes
            .iter()
            .map(|&(_, index)| self.keys_at + index * KEY_LEN);
        let values = self.value_holes.iter().map(|&(_, at)| at);
        let first_hole = keys.chain(values).fold(self.blockhash_at, usize::min);
        &self.bytes[self.message.start..first_hole]
    }

    /// Where in the bytes the signed message stands.
    #[inline]
    #[must_use]
    pub fn message(&self) -> core::ops::Range<usize> {
        self.message.clone()
    }

    /// Where in the bytes the signature stands; zero after [`Template::render`].
    #[inline]
    #[must_use]
    pub const fn signature_range(&self) -> core::ops::Range<usize> {
        self.signature_at..self.signature_at + SIGNATURE_LEN
    }

    /// Whether `key` is one of the keys that are the same in every transaction of this template.
    #[must_use]
    pub fn names_fixed_key(&self, key: &Key) -> bool {
        let patched = |index: usize| self.key_holes.iter().any(|&(_, hole)| hole == index);
        key_table(&self.bytes, self.keys_at, self.key_count)
            .iter()
            .enumerate()
            .any(|(index, fixed)| fixed == key && !patched(index))
            || self.looked_up.contains(key)
    }

    /// Where the amount of `field` stands first.
    pub(crate) fn value_at(&self, field: ValueField) -> Option<usize> {
        let mut holes = self.value_holes.iter();
        holes.find(|(of, _)| *of == field).map(|&(_, at)| at)
    }

    /// Writes the unsigned transaction of `patch` and `blockhash` into `out`, [`Template::len`] bytes.
    ///
    /// Cost: one copy of the bytes, one comparison of a word per patched key and key. Does not allocate.
    ///
    /// # Errors
    /// [`Aliased`] when a patched key equals another key of the transaction; `out` then holds an unusable draft.
    ///
    /// # Panics
    /// When `out` is not exactly [`Template::len`] bytes long.
    #[inline]
    pub fn render(
        &self,
        patch: &Patch,
        blockhash: &[u8; 32],
        out: &mut [u8],
    ) -> Result<(), Aliased> {
        let Self {
            bytes,
            keys_at,
            key_count,
            blockhash_at,
            key_holes,
            value_holes,
            looked_up,
            ..
        } = self;
        out.copy_from_slice(bytes);
        for &(field, index) in key_holes {
            let at = keys_at + index * KEY_LEN;
            out[at..at + KEY_LEN].copy_from_slice(&patch.keys[field as usize]);
        }
        for &(field, at) in value_holes {
            out[at..at + 8].copy_from_slice(&patch.values[field as usize].to_le_bytes());
        }
        out[*blockhash_at..blockhash_at + 32].copy_from_slice(blockhash);
        let keys = key_table(out, *keys_at, *key_count);
        if key_holes
            .iter()
            .any(|&(_, index)| occurs_again(keys, index, looked_up))
        {
            return Err(Aliased);
        }
        Ok(())
    }
}

fn key_table(bytes: &[u8], at: usize, count: usize) -> &[Key] {
    bytes[at..at + count * KEY_LEN].as_chunks().0
}

/// Whether the key at `index` stands in the key table a second time, or is looked up, too.
#[inline]
fn occurs_again(keys: &[Key], index: usize, looked_up: &[Key]) -> bool {
    // Counting without a branch keeps the scan in vector registers; only a shared word looks closer.
    let word = first_word(&keys[index]);
    let same_word = |of: &[Key]| of.iter().filter(|other| first_word(other) == word).count();
    let same = |of: &[Key]| of.iter().filter(|other| **other == keys[index]).count();
    same_word(keys) + same_word(looked_up) != 1 && same(keys) + same(looked_up) != 1
}

#[inline]
fn first_word(key: &Key) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&key[..8]);
    u64::from_le_bytes(word)
}

/// The keys that a transaction of `instructions` could look up in a table that holds them.
pub(crate) fn lookup_candidates(
    payer: &Key,
    instructions: &[InstructionSpec],
) -> Result<Vec<Key>, CompileError> {
    let table = KeyTable::collect(payer, instructions)?;
    let entries = table.entries.iter();
    Ok(entries
        .filter_map(|entry| lookup_key(entry, instructions))
        .collect())
}

/// The entry's key, if it may stand behind a table.
fn lookup_key(entry: &AccountSpec, instructions: &[InstructionSpec]) -> Option<Key> {
    let KeySource::Fixed(key) = entry.key else {
        return None;
    };
    let is_program = instructions.iter().any(|found| found.program == key);
    (!entry.signer && !is_program && key != JITO_DONT_FRONT).then_some(key)
}

/// The keys of one transaction: what each position holds and with which rights.
struct KeyTable {
    entries: Vec<AccountSpec>,
    /// The table that further keys are looked up in.
    lookup: Key,
    /// Those, with their indices there; they are numbered after the entries.
    looked_up: Vec<(AccountSpec, u8)>,
}

impl KeyTable {
    /// Gathers every key once, joins the rights of its uses and orders the classes.
    fn collect(payer: &Key, instructions: &[InstructionSpec]) -> Result<Self, CompileError> {
        let mut table = Self {
            entries: vec![AccountSpec::payer(KeySource::Fixed(*payer))],
            lookup: [0; 32],
            looked_up: Vec::new(),
        };
        for instruction in instructions {
            for account in &instruction.accounts {
                table.join(*account);
            }
            table.join(AccountSpec::readonly(KeySource::Fixed(instruction.program)));
        }
        if table.entries.len() > KEY_COUNT_MAX {
            return Err(CompileError::TooManyKeys(table.entries.len()));
        }
        if table.entries.iter().skip(1).any(|entry| entry.signer) {
            return Err(CompileError::ForeignSigner);
        }
        // Stable: the payer stays first, and equal inputs give equal bytes. Within a class the order is free, and
        // what never changes goes first, so that a signer can absorb more of the message ahead of time.
        table.entries.sort_by_key(|entry| {
            let class = match (entry.signer, entry.writable) {
                (true, true) => 0,
                (true, false) => 1,
                (false, true) => 2,
                (false, false) => 3,
            };
            (class, matches!(entry.key, KeySource::Patched(_)))
        });
        Ok(table)
    }

    /// Moves what `lookup` holds behind it. The order stays, so writable keys come before readonly ones there, too.
    fn look_up(&mut self, lookup: &LookupTable, instructions: &[InstructionSpec]) {
        let looked_up = &mut self.looked_up;
        self.lookup = lookup.key;
        self.entries.retain(|entry| {
            let key = lookup_key(entry, instructions);
            let index = key.and_then(|key| lookup.index_of(&key));
            looked_up.extend(index.map(|index| (*entry, index)));
            index.is_none()
        });
    }

    fn join(&mut self, account: AccountSpec) {
        match self
            .entries
            .iter_mut()
            .find(|entry| entry.key == account.key)
        {
            Some(entry) => {
                entry.signer |= account.signer;
                entry.writable |= account.writable;
            }
            None => self.entries.push(account),
        }
    }

    fn index_of(&self, key: KeySource) -> u8 {
        let looked_up = self.looked_up.iter().map(|(entry, _)| entry);
        let mut all = self.entries.iter().chain(looked_up);
        let index = all.position(|entry| entry.key == key);
        index.expect("every key of every instruction was collected") as u8
    }

    fn count_of(&self, wanted: impl Fn(&AccountSpec) -> bool) -> u8 {
        self.entries.iter().filter(|entry| wanted(entry)).count() as u8
    }

    /// Required signatures, readonly signed, readonly unsigned.
    fn header(&self) -> [u8; 3] {
        [
            self.count_of(|entry| entry.signer),
            self.count_of(|entry| entry.signer && !entry.writable),
            self.count_of(|entry| !entry.signer && !entry.writable),
        ]
    }
}

/// A transaction while it is laid out.
#[derive(Default)]
struct Layout {
    bytes: Vec<u8>,
    keys_at: usize,
    blockhash_at: usize,
    signature_at: usize,
    message_at: usize,
    message_end: usize,
    value_holes: Vec<(ValueField, usize)>,
}

impl Layout {
    fn write_v0(
        &mut self,
        table: &KeyTable,
        instructions: &[InstructionSpec],
    ) -> Result<(), CompileError> {
        self.bytes.push(1);
        self.signature_at = self.reserve(SIGNATURE_LEN);
        self.message_at = self.bytes.len();
        self.bytes.push(V0_PREFIX);
        self.bytes.extend(table.header());
        self.push_count(table.entries.len());
        self.push_keys(table);
        self.blockhash_at = self.reserve(32);
        self.push_count(instructions.len());
        for (number, instruction) in instructions.iter().enumerate() {
            self.bytes
                .push(table.index_of(KeySource::Fixed(instruction.program)));
            self.push_short(instruction.accounts.len(), number)?;
            self.push_indices(table, instruction);
            self.push_short(instruction.data.len(), number)?;
            self.push_data(instruction, number)?;
        }
        self.push_lookups(table);
        self.message_end = self.bytes.len();
        Ok(())
    }

    fn write_v1(
        &mut self,
        table: &KeyTable,
        instructions: &[InstructionSpec],
        budget: &ComputeBudget,
        price: PriceSource,
    ) -> Result<(), CompileError> {
        self.message_at = 0;
        self.bytes.push(V1_PREFIX);
        self.bytes.extend(table.header());
        self.bytes.extend(V1_CONFIG_MASK.to_le_bytes());
        self.blockhash_at = self.reserve(32);
        self.push_count(instructions.len());
        self.push_count(table.entries.len());
        self.push_keys(table);
        if price == PriceSource::Patched {
            self.value_holes
                .push((ValueField::PriorityFee, self.bytes.len()));
        }
        self.bytes
            .extend(budget.priority_fee_lamports().to_le_bytes());
        self.bytes.extend(budget.unit_limit.to_le_bytes());
        self.bytes
            .extend(budget.loaded_accounts_data_size_limit.to_le_bytes());
        for (number, instruction) in instructions.iter().enumerate() {
            let too_long = CompileError::InstructionTooLong(number);
            let accounts = u8::try_from(instruction.accounts.len()).map_err(|_| too_long)?;
            let data_len = u16::try_from(instruction.data.len()).map_err(|_| too_long)?;
            self.bytes
                .push(table.index_of(KeySource::Fixed(instruction.program)));
            self.bytes.push(accounts);
            self.bytes.extend(data_len.to_le_bytes());
        }
        for (number, instruction) in instructions.iter().enumerate() {
            self.push_indices(table, instruction);
            self.push_data(instruction, number)?;
        }
        self.message_end = self.bytes.len();
        self.signature_at = self.reserve(SIGNATURE_LEN);
        Ok(())
    }

    fn finish(
        self,
        version: WireVersion,
        budget: &ComputeBudget,
        table: &KeyTable,
    ) -> Result<Template, CompileError> {
        let max = match version {
            WireVersion::V0 => LEGACY_AND_V0_LEN_MAX,
            WireVersion::V1 => V1_LEN_MAX,
        };
        if self.bytes.len() > max {
            return Err(CompileError::TooLong {
                len: self.bytes.len(),
                max,
            });
        }
        let key_holes = table
            .entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| match entry.key {
                KeySource::Patched(field) => Some((field, index)),
                KeySource::Fixed(_) => None,
            });
        let looked_up = table
            .looked_up
            .iter()
            .filter_map(|(entry, _)| match entry.key {
                KeySource::Fixed(key) => Some(key),
                KeySource::Patched(_) => None,
            });
        Ok(Template {
            version,
            budget: *budget,
            looked_up: looked_up.collect(),
            key_count: table.entries.len(),
            key_holes: key_holes.collect(),
            keys_at: self.keys_at,
            blockhash_at: self.blockhash_at,
            signature_at: self.signature_at,
            message: self.message_at..self.message_end,
            value_holes: self.value_holes.into(),
            bytes: self.bytes.into(),
        })
    }

    /// Appends `len` zero bytes and returns where they start.
    fn reserve(&mut self, len: usize) -> usize {
        let at = self.bytes.len();
        self.bytes.resize(at + len, 0);
        at
    }

    /// One byte on both wires: counts are bounded far below 128.
    fn push_count(&mut self, count: usize) {
        debug_assert!(count < 0x80);
        self.bytes.push(count as u8);
    }

    /// A compact-u16 of one byte. No instruction this crate builds needs a second.
    fn push_short(&mut self, len: usize, number: usize) -> Result<(), CompileError> {
        if len >= 0x80 {
            return Err(CompileError::InstructionTooLong(number));
        }
        self.bytes.push(len as u8);
        Ok(())
    }

    fn push_keys(&mut self, table: &KeyTable) {
        self.keys_at = self.bytes.len();
        for entry in &table.entries {
            match entry.key {
                KeySource::Fixed(key) => self.bytes.extend(key),
                KeySource::Patched(_) => self.bytes.extend([0; KEY_LEN]),
            }
        }
    }

    /// At most one table, and none that nothing is looked up in: the runtime would load it for nothing.
    fn push_lookups(&mut self, table: &KeyTable) {
        if table.looked_up.is_empty() {
            self.push_count(0);
            return;
        }
        self.push_count(1);
        self.bytes.extend(table.lookup);
        for writable in [true, false] {
            let of_class = table.looked_up.iter();
            let of_class = of_class.filter(|(entry, _)| entry.writable == writable);
            self.push_count(of_class.clone().count());
            self.bytes.extend(of_class.map(|&(_, index)| index));
        }
    }

    fn push_indices(&mut self, table: &KeyTable, instruction: &InstructionSpec) {
        self.bytes.extend(
            instruction
                .accounts
                .iter()
                .map(|account| table.index_of(account.key)),
        );
    }

    fn push_data(
        &mut self,
        instruction: &InstructionSpec,
        number: usize,
    ) -> Result<(), CompileError> {
        for &(field, offset) in &instruction.values {
            if offset + 8 > instruction.data.len() {
                return Err(CompileError::InstructionTooLong(number));
            }
            self.value_holes.push((field, self.bytes.len() + offset));
        }
        self.bytes.extend(&instruction.data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PAYER: Key = [1; 32];
    const PROGRAM: Key = [2; 32];
    const BUDGET: ComputeBudget = ComputeBudget {
        unit_limit: 150_000,
        unit_price_micro_lamports: 7,
        loaded_accounts_data_size_limit: 65_536,
    };

    fn spec(accounts: Vec<AccountSpec>) -> InstructionSpec {
        InstructionSpec {
            program: PROGRAM,
            accounts,
            data: vec![9; 16],
            values: vec![(ValueField::Tokens, 8)],
        }
    }

    fn mint() -> KeySource {
        KeySource::Patched(KeyField::BaseMint)
    }

    #[test]
    fn a_key_used_twice_stands_once_with_the_union_of_rights() {
        let accounts = vec![AccountSpec::readonly(mint()), AccountSpec::writable(mint())];
        let template =
            Template::compile(WireVersion::V1, &PAYER, &BUDGET, &[spec(accounts)]).unwrap();
        assert_eq!(template.key_count, 3);
        assert_eq!(template.key_holes.as_ref(), &[(KeyField::BaseMint, 1)]);
        // One required signature, no readonly signer, one readonly key: the program.
        assert_eq!(template.bytes[1..4], [1, 0, 1]);
    }

    #[test]
    fn a_patched_key_that_repeats_another_is_refused() {
        let accounts = vec![
            AccountSpec::writable(mint()),
            AccountSpec::writable(KeySource::Patched(KeyField::Pool)),
        ];
        for version in [WireVersion::V0, WireVersion::V1] {
            let template =
                Template::compile(version, &PAYER, &BUDGET, &[spec(accounts.clone())]).unwrap();
            let mut out = vec![0; template.len()];
            let mut render = |mint: Key, curve: Key| {
                let mut patch = Patch::default();
                patch.set_key(KeyField::BaseMint, mint);
                patch.set_key(KeyField::Pool, curve);
                template.render(&patch, &[3; 32], &mut out)
            };
            assert_eq!(render([4; 32], [5; 32]), Ok(()));
            assert_eq!(render([4; 32], [4; 32]), Err(Aliased), "two patched keys");
            assert_eq!(render(PAYER, [5; 32]), Err(Aliased), "the payer");
            assert_eq!(render([4; 32], PROGRAM), Err(Aliased), "the program");
        }
    }

    const TABLE: Key = [0x7a; 32];

    fn fixed(byte: u8) -> KeySource {
        KeySource::Fixed([byte; 32])
    }

    fn looking_up(version: WireVersion, addresses: &[Key], accounts: Vec<AccountSpec>) -> Template {
        let lookup = LookupTable {
            key: TABLE,
            addresses: addresses.to_vec(),
        };
        let (price, specs) = (PriceSource::Fixed, [spec(accounts)]);
        Template::compile_with(version, &PAYER, &BUDGET, price, Some(&lookup), &specs).unwrap()
    }

    #[test]
    fn what_the_table_holds_leaves_the_key_table_for_an_index() {
        let accounts = vec![
            AccountSpec::readonly(fixed(20)),
            AccountSpec::writable(fixed(21)),
            AccountSpec::readonly(fixed(22)),
            AccountSpec::writable(mint()),
        ];
        // The first of two that are the same counts; nobody asks for 23.
        let held = [[22; 32], [23; 32], [21; 32], [22; 32], [20; 32]];
        let template = looking_up(WireVersion::V0, &held, accounts.clone());
        let bytes = &template.bytes[template.message()];
        // Payer, mint, program and compute budget program: the header counts those alone.
        assert_eq!(bytes[..5], [V0_PREFIX, 1, 0, 2, 4]);
        let lookups = [&[1], &TABLE[..], &[1, 2], &[2, 4, 0]].concat();
        assert!(bytes.ends_with(&lookups), "{bytes:?}");
        // The table's writable key comes after all of the key table, its readonly ones in the order of their use.
        let called = [&[3, 4, 5, 4, 6, 1, 16], &[9; 16][..]].concat();
        assert!(bytes[..bytes.len() - lookups.len()].ends_with(&called));
        assert!((20..=22).all(|byte| template.names_fixed_key(&[byte; 32])));
        assert!(!template.names_fixed_key(&[23; 32]));

        let of_v1 = looking_up(WireVersion::V1, &held, accounts.clone());
        let plain = Template::compile(WireVersion::V1, &PAYER, &BUDGET, &[spec(accounts)]);
        assert_eq!(of_v1.bytes, plain.unwrap().bytes, "v1 has no tables");
    }

    #[test]
    fn what_must_be_seen_stands_in_the_key_table() {
        let tip = KeySource::Patched(KeyField::TipAccount);
        let accounts = vec![
            AccountSpec::readonly(KeySource::Fixed(JITO_DONT_FRONT)),
            AccountSpec::readonly(KeySource::Fixed(PROGRAM)),
            AccountSpec::writable(tip),
        ];
        // Zeros are what a hole holds before it is filled.
        let held = [
            PAYER,
            PROGRAM,
            COMPUTE_BUDGET_PROGRAM,
            JITO_DONT_FRONT,
            [0; 32],
        ];
        let template = looking_up(WireVersion::V0, &held, accounts.clone());
        let plain = Template::compile(WireVersion::V0, &PAYER, &BUDGET, &[spec(accounts)]);
        assert_eq!(template.bytes, plain.unwrap().bytes, "and no empty lookup");
    }

    #[test]
    fn a_patched_key_that_is_looked_up_too_is_refused() {
        let accounts = vec![
            AccountSpec::readonly(fixed(20)),
            AccountSpec::writable(mint()),
        ];
        let template = looking_up(WireVersion::V0, &[[20; 32]], accounts);
        let mut out = vec![0; template.len()];
        let mut render = |mint: Key| {
            let mut patch = Patch::default();
            patch.set_key(KeyField::BaseMint, mint);
            template.render(&patch, &[3; 32], &mut out)
        };
        assert_eq!(render([4; 32]), Ok(()));
        assert_eq!(render([20; 32]), Err(Aliased));
        let mut same_word = [20; 32];
        same_word[31] = 0;
        assert_eq!(render(same_word), Ok(()));
    }

    #[test]
    fn an_index_is_a_byte() {
        let mut held = vec![[9; 32]; 257];
        held[256] = [20; 32];
        let accounts = || vec![AccountSpec::readonly(fixed(20))];
        let template = looking_up(WireVersion::V0, &held, accounts());
        assert!(template.looked_up.is_empty());
        held[255] = [20; 32];
        let template = looking_up(WireVersion::V0, &held, accounts());
        assert!(template.bytes.ends_with(&[0, 1, 255]));
    }

    #[test]
    fn only_the_payer_signs() {
        let foreign = AccountSpec {
            key: mint(),
            signer: true,
            writable: false,
        };
        let result = Template::compile(WireVersion::V0, &PAYER, &BUDGET, &[spec(vec![foreign])]);
        assert_eq!(result.unwrap_err(), CompileError::ForeignSigner);
    }

    #[test]
    fn what_does_not_fit_is_not_compiled() {
        let compile = |version, specs: &[InstructionSpec]| {
            Template::compile(version, &PAYER, &BUDGET, specs).unwrap_err()
        };
        let key = |n: u8| AccountSpec::readonly(KeySource::Fixed([n; 32]));
        let many = spec((10..80).map(key).collect());
        assert_eq!(
            compile(WireVersion::V1, &[many]),
            CompileError::TooManyKeys(72)
        );
        let wide = spec((10..60).map(key).collect());
        assert_eq!(
            compile(WireVersion::V0, &[wide]),
            CompileError::TooLong {
                len: 1_897,
                max: LEGACY_AND_V0_LEN_MAX
            }
        );
        assert_eq!(
            compile(WireVersion::V0, &vec![spec(vec![]); 62]),
            CompileError::TooManyInstructions(65)
        );
        let mut outside = spec(vec![]);
        outside.values = vec![(ValueField::Tokens, 9)];
        assert_eq!(
            compile(WireVersion::V1, &[outside]),
            CompileError::InstructionTooLong(0)
        );
    }

    #[test]
    fn a_patched_price_costs_what_was_asked_for_and_never_more() {
        for extra in [0, 1, 999, 12_345, 700_000_000, 20_000_000_000_000_000] {
            let fee = BUDGET.with_extra(extra).priority_fee_lamports();
            let most = BUDGET.priority_fee_lamports() + extra;
            assert!(fee <= most, "{extra}: {fee}");
            // The wire's price is a whole number of micro-lamports: less than one per unit is lost.
            assert!(most - fee <= 2 || extra > 1 << 44, "{extra}: {fee}");
        }
        for version in [WireVersion::V0, WireVersion::V1] {
            let compile = |price| {
                let specs = [spec(vec![])];
                Template::compile_with(version, &PAYER, &BUDGET, price, None, &specs).unwrap()
            };
            let (fixed, patched) = (compile(PriceSource::Fixed), compile(PriceSource::Patched));
            assert_eq!(fixed.bytes, patched.bytes);
            let mut patch = Patch::default();
            let dear = BUDGET.with_extra(1_000);
            patch.set_value(ValueField::UnitPrice, dear.unit_price_micro_lamports);
            patch.set_value(ValueField::PriorityFee, dear.priority_fee_lamports());
            let mut out = vec![0; patched.len()];
            patched.render(&patch, &[3; 32], &mut out).unwrap();
            let compiled = Template::compile(version, &PAYER, &dear, &[spec(vec![])]).unwrap();
            let mut expected = vec![0; compiled.len()];
            compiled.render(&patch, &[3; 32], &mut expected).unwrap();
            assert_eq!(out, expected, "{version:?}");
        }
    }

    #[test]
    fn the_static_prefix_ends_at_the_first_hole() {
        let accounts = vec![
            AccountSpec::writable(mint()),
            AccountSpec::writable(KeySource::Fixed([7; 32])),
        ];
        let compile = |version| {
            Template::compile(version, &PAYER, &BUDGET, &[spec(accounts.clone())]).unwrap()
        };
        // Version, header, count, then the payer and the fixed writable key.
        assert_eq!(compile(WireVersion::V0).static_prefix().len(), 5 + 64);
        // In v1 the blockhash comes before the keys.
        assert_eq!(compile(WireVersion::V1).static_prefix().len(), 8);
    }

    #[test]
    fn the_priority_fee_rounds_up() {
        assert_eq!(BUDGET.priority_fee_lamports(), 2);
        let free = ComputeBudget {
            unit_price_micro_lamports: 0,
            ..BUDGET
        };
        assert_eq!(free.priority_fee_lamports(), 0);
        let dear = ComputeBudget {
            unit_price_micro_lamports: u64::MAX,
            unit_limit: u32::MAX,
            ..BUDGET
        };
        assert_eq!(dear.priority_fee_lamports(), u64::MAX);
    }
}
