//! Finding the end of a transaction while its bytes arrive.

use super::{
    BLOCKHASH_LEN, KEY_LEN, LEGACY_AND_V0_LEN_MAX, SIGNATURE_COUNT_MAX, SIGNATURE_LEN, TxnReject,
    V0_PREFIX, V1_LEN_MAX, V1_PREFIX,
};
use crate::short_u16::{self, Decoded};

/// Format of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TxnVersion {
    /// No version byte.
    #[default]
    Legacy,
    /// Address lookup tables.
    V0,
    /// SIMD-0385: up to 4096 bytes, signatures last, no lookups.
    V1,
}

/// What the bytes shown so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// The transaction goes on past them.
    NeedMore,
    /// The transaction is the first `len` of them.
    Done {
        /// Bytes of the whole transaction.
        len: usize,
    },
}

/// A resumable walk to the end of one transaction.
///
/// Made fresh (`Default`) for each transaction, shown its bytes as they arrive, and done once it says so. It
/// keeps its place, so all calls together cost what one call with all the bytes costs, however small the
/// pieces: between two calls it looks again at no more than the few bytes of the list lengths that a piece
/// cut short. On its way it notes what [`TxnView::from_scan`](super::TxnView::from_scan) asks, which then has no
/// walk to make.
#[derive(Clone, Copy, Debug, Default)]
pub struct TxnScan {
    stage: Stage,
    /// First byte of what the stage reads. May lie beyond the bytes shown: what is skipped is not awaited.
    cursor: usize,
    /// Instructions or lookups still to walk.
    left: usize,
    layout: Layout,
}

/// What the scan reads next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    First,
    MessageHead,
    Keys,
    InstructionCount,
    Instructions,
    LookupCount,
    Lookups,
    V1Head,
    V1Instructions,
    V1Accounts,
    End,
    Done,
}

/// Where the parts of a transaction are (offsets from its first byte), and what its view asks of its indices.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layout {
    pub(super) version: TxnVersion,
    /// Required signatures, read-only signed accounts, read-only unsigned accounts.
    pub(super) header: [u8; 3],
    /// v1 only; five bits.
    pub(super) config_mask: u32,
    pub(super) signature_count: usize,
    pub(super) key_count: usize,
    pub(super) instruction_count: usize,
    pub(super) lookup_count: usize,
    pub(super) signatures_at: usize,
    pub(super) keys_at: usize,
    pub(super) instructions_at: usize,
    pub(super) lookups_at: usize,
    pub(super) len: usize,
    /// Accounts that lookups add.
    pub(super) loaded_count: usize,
    pub(super) lookup_is_empty: bool,
    pub(super) indices: Indices,
}

/// What instructions refer to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Indices {
    pub(super) payer_is_program: bool,
    /// Highest there is; 0 without instructions.
    pub(super) program_max: u8,
    /// Highest there is; 0 without any.
    pub(super) account_max: u8,
}

/// Whether a stage had the bytes it needs.
enum Turn {
    Moved,
    Short,
}

/// Bytes of a v1 transaction before its keys.
pub(super) const V1_HEAD_LEN: usize = 1 + 3 + 4 + BLOCKHASH_LEN + 1 + 1;
/// Where a v1 transaction has its blockhash.
pub(super) const V1_BLOCKHASH_AT: usize = 1 + 3 + 4;
/// Bytes of one instruction header of a v1 transaction.
pub(super) const V1_INSTRUCTION_HEAD_LEN: usize = 4;
/// Bytes of one v1 config word.
pub(super) const V1_CONFIG_WORD_LEN: usize = 4;
/// v1 config mask: the priority fee, two words.
pub(super) const CONFIG_PRIORITY_FEE: u32 = 0b11;
/// v1 config mask: the compute unit limit.
pub(super) const CONFIG_COMPUTE_UNIT_LIMIT: u32 = 0b100;
/// v1 config mask: the limit on loaded account data.
pub(super) const CONFIG_LOADED_DATA_LEN: u32 = 0b1000;
/// v1 config mask: the heap size.
pub(super) const CONFIG_HEAP_LEN: u32 = 0b1_0000;
/// Source: `solana-message` `v1::TransactionConfigMask::KNOWN_BITS`.
const CONFIG_KNOWN: u32 =
    CONFIG_PRIORITY_FEE | CONFIG_COMPUTE_UNIT_LIMIT | CONFIG_LOADED_DATA_LEN | CONFIG_HEAP_LEN;
/// An instruction is at least its program index and two empty lists.
const INSTRUCTION_LEN_MIN: usize = 3;
/// A lookup is at least its table and two lists' lengths.
const LOOKUP_LEN_MIN: usize = KEY_LEN + 2;

impl TxnScan {
    /// Looks at the bytes that arrived since the last call.
    ///
    /// `bytes[0]` is the transaction's first byte in every call, and `bytes` holds at least what it held the
    /// call before; it may go on past the transaction. After `Done`, further calls say the same. After a
    /// refusal start again from `Default`. Handing in other bytes than before gives a wrong answer, never a panic.
    ///
    /// # Errors
    /// The first group of [`TxnReject`], as soon as the bytes at hand settle it. Whatever the pieces, the same
    /// bytes end in the same answer.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<ScanStep, TxnReject> {
        loop {
            let turn = match self.stage {
                Stage::First => self.first(bytes)?,
                Stage::MessageHead => self.message_head(bytes)?,
                Stage::Keys => self.keys(bytes)?,
                Stage::InstructionCount => self.instruction_count(bytes)?,
                Stage::Instructions => self.instructions(bytes)?,
                Stage::LookupCount => self.lookup_count(bytes)?,
                Stage::Lookups => self.lookups(bytes)?,
                Stage::V1Head => self.v1_head(bytes)?,
                Stage::V1Instructions => self.v1_instructions(bytes)?,
                Stage::V1Accounts => self.v1_accounts(bytes),
                Stage::End => self.end(bytes),
                Stage::Done => {
                    return Ok(ScanStep::Done {
                        len: self.layout.len,
                    });
                }
            };
            if let Turn::Short = turn {
                return Ok(ScanStep::NeedMore);
            }
        }
    }

    /// What was found, once `advance` said `Done`.
    #[inline]
    pub(super) fn layout(&self) -> Option<&Layout> {
        (self.stage == Stage::Done).then_some(&self.layout)
    }

    fn first(&mut self, bytes: &[u8]) -> Result<Turn, TxnReject> {
        let Some(&first) = bytes.first() else {
            return Ok(Turn::Short);
        };
        if first == V1_PREFIX {
            self.layout.version = TxnVersion::V1;
            self.stage = Stage::V1Head;
            return Ok(Turn::Moved);
        }
        // A signature count passes one byte's seven bits in no transaction that a packet can carry, so a set
        // top bit announces a version. Source: `VersionedTransaction` `SchemaRead`.
        if first >= V0_PREFIX {
            return Err(TxnReject::UnknownVersion);
        }
        self.layout.signature_count = checked_signature_count(first)?;
        self.layout.signatures_at = 1;
        self.cursor = 1 + SIGNATURE_LEN * self.layout.signature_count;
        self.stage = Stage::MessageHead;
        Ok(Turn::Moved)
    }

    fn message_head(&mut self, bytes: &[u8]) -> Result<Turn, TxnReject> {
        let (version, header, len) = match *bytes.get(self.cursor..).unwrap_or_default() {
            [V0_PREFIX, required, signed, unsigned, ..] => {
                (TxnVersion::V0, [required, signed, unsigned], 4)
            }
            [required, signed, unsigned, ..] if required < V0_PREFIX => {
                (TxnVersion::Legacy, [required, signed, unsigned], 3)
            }
            [prefix, ..] if prefix > V0_PREFIX => return Err(TxnReject::UnknownVersion),
            _ => return Ok(Turn::Short),
        };
        self.layout.version = version;
        self.layout.header = header;
        self.cursor += len;
        self.stage = Stage::Keys;
        Ok(Turn::Moved)
    }

    fn keys(&mut self, bytes: &[u8]) -> Result<Turn, TxnReject> {
        let Some((count, keys_at)) = length_at(bytes, self.cursor)? else {
            return Ok(Turn::Short);
        };
        let end = keys_at + KEY_LEN * count + BLOCKHASH_LEN;
        self.must_fit(end + 1 + self.lookup_count_len())?;
        self.layout.key_count = count;
        self.layout.keys_at = keys_at;
        self.cursor = end;
        self.stage = Stage::InstructionCount;
        Ok(Turn::Moved)
    }

    fn instruction_count(&mut self, bytes: &[u8]) -> Result<Turn, TxnReject> {
        let Some((count, instructions_at)) = length_at(bytes, self.cursor)? else {
            return Ok(Turn::Short);
        };
        self.must_fit(instructions_at + INSTRUCTION_LEN_MIN * count + self.lookup_count_len())?;
        self.layout.instruction_count = count;
        self.layout.instructions_at = instructions_at;
        self.left = count;
        self.cursor = instructions_at;
        self.stage = Stage::Instructions;
        Ok(Turn::Moved)
    }

    fn instructions(&mut self, bytes: &[u8]) -> Result<Turn, TxnReject> {
        let end_max = self.len_max() - self.lookup_count_len();
        let mut indices = self.layout.indices;
        while self.left > 0 {
            let Some(instruction) = instruction_at(bytes, self.cursor, end_max)? else {
                self.layout.indices = indices;
                return Ok(Turn::Short);
            };
            indices.note_program(instruction.program_index);
            indices.note_accounts(instruction.accounts);
            self.cursor = instruction.end;
            self.left -= 1;
        }
        self.layout.indices = indices;
        self.stage = match self.layout.version {
            TxnVersion::V0 => Stage::LookupCount,
            TxnVersion::Legacy | TxnVersion::V1 => Stage::End,
        };
        Ok(Turn::Moved)
    }

    fn lookup_count(&mut self, bytes: &[u8]) -> Result<Turn, TxnReject> {
        let Some((count, lookups_at)) = length_at(bytes, self.cursor)? else {
            return Ok(Turn::Short);
        };
        self.must_fit(lookups_at + LOOKUP_LEN_MIN * count)?;
        self.layout.lookup_count = count;
        self.layout.lookups_at = lookups_at;
        self.left = count;
        self.cursor = lookups_at;
        self.stage = Stage::Lookups;
        Ok(Turn::Moved)
    }

    fn lookups(&mut self, bytes: &[u8]) -> Result<Turn, TxnReject> {
        while self.left > 0 {
            let Some((writable_count, writable_at)) = length_at(bytes, self.cursor + KEY_LEN)?
            else {
                return Ok(Turn::Short);
            };
            let writable_end = writable_at + writable_count;
            self.must_fit(writable_end + 1)?;
            let Some((readonly_count, readonly_at)) = length_at(bytes, writable_end)? else {
                return Ok(Turn::Short);
            };
            let end = readonly_at + readonly_count;
            self.must_fit(end)?;
            self.layout.loaded_count += writable_count + readonly_count;
            self.layout.lookup_is_empty |= writable_count + readonly_count == 0;
            self.cursor = end;
            self.left -= 1;
        }
        self.stage = Stage::End;
        Ok(Turn::Moved)
    }

    fn v1_head(&mut self, bytes: &[u8]) -> Result<Turn, TxnReject> {
        let Some(head) = bytes.first_chunk::<V1_HEAD_LEN>() else {
            return Ok(Turn::Short);
        };
        let [
            _,
            required,
            signed,
            unsigned,
            mask @ ..,
            instruction_count,
            key_count,
        ] = head;
        let config_mask = mask
            .first_chunk()
            .map_or(0, |mask| u32::from_le_bytes(*mask));
        if config_mask & !CONFIG_KNOWN != 0 {
            return Err(TxnReject::UnknownConfig);
        }
        if !matches!(config_mask & CONFIG_PRIORITY_FEE, 0 | CONFIG_PRIORITY_FEE) {
            return Err(TxnReject::HalfPriorityFee);
        }
        let layout = &mut self.layout;
        layout.header = [*required, *signed, *unsigned];
        layout.config_mask = config_mask;
        layout.signature_count = checked_signature_count(*required)?;
        layout.key_count = usize::from(*key_count);
        layout.instruction_count = usize::from(*instruction_count);
        layout.keys_at = V1_HEAD_LEN;
        layout.instructions_at = V1_HEAD_LEN + KEY_LEN * layout.key_count + layout.config_len();
        // Moves on as the instruction headers say how long their bodies are.
        layout.signatures_at =
            layout.instructions_at + V1_INSTRUCTION_HEAD_LEN * layout.instruction_count;
        self.left = layout.instruction_count;
        self.cursor = layout.instructions_at;
        self.must_fit(self.layout.v1_end())?;
        self.stage = Stage::V1Instructions;
        Ok(Turn::Moved)
    }

    fn v1_instructions(&mut self, bytes: &[u8]) -> Result<Turn, TxnReject> {
        while self.left > 0 {
            let Some(&head) = bytes.get(self.cursor..).and_then(<[u8]>::first_chunk) else {
                return Ok(Turn::Short);
            };
            let (program_index, account_count, data_len) = v1_instruction_head(head);
            self.layout.indices.note_program(program_index);
            self.layout.signatures_at += account_count + data_len;
            self.must_fit(self.layout.v1_end())?;
            self.cursor += V1_INSTRUCTION_HEAD_LEN;
            self.left -= 1;
        }
        self.stage = Stage::V1Accounts;
        Ok(Turn::Moved)
    }

    /// The bodies are walked once, when all of them are there.
    fn v1_accounts(&mut self, bytes: &[u8]) -> Turn {
        let Layout {
            instructions_at,
            signatures_at,
            ..
        } = self.layout;
        let Some((heads, mut bodies)) = bytes.get(instructions_at..signatures_at).and_then(|all| {
            all.split_at_checked(V1_INSTRUCTION_HEAD_LEN * self.layout.instruction_count)
        }) else {
            return Turn::Short;
        };
        for &head in heads.as_chunks().0 {
            let (_, account_count, data_len) = v1_instruction_head(head);
            let (accounts, rest) = bodies.split_at_checked(account_count).unwrap_or_default();
            self.layout.indices.note_accounts(accounts);
            bodies = rest.get(data_len..).unwrap_or_default();
        }
        self.cursor = self.layout.v1_end();
        self.stage = Stage::End;
        Turn::Moved
    }

    fn end(&mut self, bytes: &[u8]) -> Turn {
        if bytes.len() < self.cursor {
            return Turn::Short;
        }
        self.layout.len = self.cursor;
        self.stage = Stage::Done;
        Turn::Moved
    }

    /// Refuses a transaction that is known to reach `end`, before waiting for its bytes.
    #[inline]
    fn must_fit(&self, end: usize) -> Result<(), TxnReject> {
        fits(end, self.len_max())
    }

    #[inline]
    fn len_max(&self) -> usize {
        match self.layout.version {
            TxnVersion::Legacy | TxnVersion::V0 => LEGACY_AND_V0_LEN_MAX,
            TxnVersion::V1 => V1_LEN_MAX,
        }
    }

    /// Bytes that the number of lookups takes at least, after the instructions.
    #[inline]
    fn lookup_count_len(&self) -> usize {
        usize::from(self.layout.version == TxnVersion::V0)
    }
}

impl Layout {
    /// Bytes of the v1 config words: one word a bit.
    #[inline]
    pub(super) fn config_len(&self) -> usize {
        // Five bits at most, so the product is small.
        V1_CONFIG_WORD_LEN * self.config_mask.count_ones() as usize
    }

    #[inline]
    fn v1_end(&self) -> usize {
        self.signatures_at + SIGNATURE_LEN * self.signature_count
    }
}

impl Indices {
    #[inline]
    fn note_program(&mut self, index: u8) {
        self.payer_is_program |= index == 0;
        self.program_max = self.program_max.max(index);
    }

    #[inline]
    fn note_accounts(&mut self, indices: &[u8]) {
        self.account_max = indices
            .iter()
            .fold(self.account_max, |max, &index| max.max(index));
    }
}

/// One instruction of a legacy or v0 transaction, its data left out.
struct InstructionFound<'a> {
    program_index: u8,
    accounts: &'a [u8],
    end: usize,
}

/// The instruction at `at`; `None` until its accounts and the length of its data are there. Its data is not awaited.
/// Of an instruction in pieces only the list lengths are looked at more than once.
#[inline]
fn instruction_at(
    bytes: &[u8],
    at: usize,
    end_max: usize,
) -> Result<Option<InstructionFound<'_>>, TxnReject> {
    let Some(&program_index) = bytes.get(at) else {
        return Ok(None);
    };
    let Some((account_count, accounts_at)) = length_at(bytes, at + 1)? else {
        return Ok(None);
    };
    let accounts_end = accounts_at + account_count;
    fits(accounts_end + 1, end_max)?;
    let Some((data_len, data_at)) = length_at(bytes, accounts_end)? else {
        return Ok(None);
    };
    let end = data_at + data_len;
    fits(end, end_max)?;
    let accounts = bytes.get(accounts_at..accounts_end).unwrap_or_default();
    Ok(Some(InstructionFound {
        program_index,
        accounts,
        end,
    }))
}

/// A v1 instruction header: program index, number of accounts, bytes of data.
#[inline]
pub(super) fn v1_instruction_head(head: [u8; V1_INSTRUCTION_HEAD_LEN]) -> (u8, usize, usize) {
    let [program_index, account_count, low, high] = head;
    (
        program_index,
        usize::from(account_count),
        usize::from(u16::from_le_bytes([low, high])),
    )
}

#[inline]
fn fits(end: usize, end_max: usize) -> Result<(), TxnReject> {
    if end > end_max {
        Err(TxnReject::TooLong)
    } else {
        Ok(())
    }
}

#[inline]
fn checked_signature_count(count: u8) -> Result<usize, TxnReject> {
    match usize::from(count) {
        0 => Err(TxnReject::NoSignature),
        count if count > SIGNATURE_COUNT_MAX => Err(TxnReject::TooManySignatures),
        count => Ok(count),
    }
}

/// The compact-u16 at `at`, and the offset after it; `None` when its bytes are not all there.
#[inline]
fn length_at(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, TxnReject> {
    match short_u16::decode(bytes.get(at..).unwrap_or_default()) {
        Ok(Decoded::Done { value, len }) => Ok(Some((usize::from(value), at + len))),
        Ok(Decoded::NeedMore) => Ok(None),
        Err(_) => Err(TxnReject::BadLength),
    }
}
