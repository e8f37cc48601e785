//! Finding the end of a transaction while its bytes arrive.

use super::check;
use super::{
    BLOCKHASH_LEN, KEY_LEN, LEGACY_AND_V0_LEN_MAX, SIGNATURE_COUNT_MAX, SIGNATURE_LEN, TxnReject,
    V0_PREFIX, V1_LEN_MAX, V1_PREFIX,
};
use crate::short_u16::{self, Decoded};
use core::num::NonZero;

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
/// pieces: between two calls it looks again at no more than the header, or the few bytes of the list lengths,
/// that a piece cut short. On its way it notes what [`TxnView::from_scan`](super::TxnView::from_scan) asks, which then
/// has no walk to make.
#[derive(Clone, Copy, Debug, Default)]
pub struct TxnScan {
    stage: Stage,
    /// Instructions or lookups still to walk.
    left: u16,
    /// First byte of what the stage reads. May lie beyond the bytes shown: what is skipped is not awaited.
    cursor: u16,
    /// Why no view can be had, as far as is known.
    flaw: Option<TxnReject>,
    layout: Layout,
}

/// What the scan reads next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    InstructionCount,
    Instructions,
    Lookups,
    V1Instructions,
    V1Accounts,
    /// Nothing: the length is known.
    End,
}

/// What a stage and those after it found: where the transaction ends, once that is known.
type Answer = Result<Option<NonZero<u16>>, TxnReject>;

/// Where the parts of a transaction are (offsets from its first byte), and what its view asks of its indices.
///
/// Small, because one is made for each transaction. No offset or count passes [`V1_LEN_MAX`]: what would is refused
/// before it is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) version: TxnVersion,
    /// v1 only; five bits.
    pub(super) config_mask: u8,
    pub(super) signature_count: u8,
    pub(super) key_count: u8,
    pub(super) lookup_count: u8,
    pub(super) instruction_count: u16,
    pub(super) signatures_at: u16,
    pub(super) keys_at: u16,
    pub(super) instructions_at: u16,
    pub(super) lookups_at: u16,
    pub(super) len: u16,
    /// Accounts that lookups add.
    pub(super) loaded_count: u16,
    pub(super) lookup_is_empty: bool,
    pub(super) indices: Indices,
}

/// What instructions refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Indices {
    /// Highest there is, 0 without instructions; the payer's index counts as [`PAYER_AS_PROGRAM`].
    pub(super) program_max: u16,
    /// Highest there is; 0 without any.
    pub(super) account_max: u8,
}

/// What the payer's index counts as where a program is to be named: above every other.
pub(super) const PAYER_AS_PROGRAM: u16 = 256;

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
    #[inline]
    pub fn advance(&mut self, bytes: &[u8]) -> Result<ScanStep, TxnReject> {
        let end = match self.stage {
            Stage::Head => self.head(bytes)?,
            _ => self.resume(bytes)?,
        };
        Ok(match end {
            Some(len) if usize::from(len.get()) <= bytes.len() => ScanStep::Done {
                len: usize::from(len.get()),
            },
            _ => ScanStep::NeedMore,
        })
    }

    /// What was found, once it is known where the transaction ends.
    #[inline]
    pub(super) fn found(&self) -> Result<&Layout, TxnReject> {
        match self.flaw {
            _ if self.stage != Stage::End => Err(TxnReject::Truncated),
            Some(flaw) => Err(flaw),
            None => Ok(&self.layout),
        }
    }

    /// Goes on where bytes ran out.
    ///
    /// A stage that has the bytes it needs goes on to the next by itself. Those of the older formats are inlined into
    /// one another, here and in `head`: of a transaction that is all there nothing then passes through memory on the
    /// way to its end, which is what the next one waits for.
    #[inline(never)]
    fn resume(&mut self, bytes: &[u8]) -> Answer {
        match self.stage {
            Stage::Head => self.head(bytes),
            Stage::InstructionCount => self.instruction_count(bytes),
            Stage::Instructions => self.instructions(bytes),
            Stage::Lookups => self.lookups(bytes),
            Stage::V1Instructions => self.v1_instructions(bytes),
            Stage::V1Accounts => Ok(self.v1_accounts(bytes)),
            Stage::End => Ok(NonZero::new(self.layout.len)),
        }
    }

    /// The end is known, and with it all that a view asks.
    #[inline]
    fn end(&mut self, len: usize) -> Option<NonZero<u16>> {
        self.layout.len = len as u16;
        self.stage = Stage::End;
        self.flaw = self.flaw.or_else(|| check::accounts(&self.layout).err());
        NonZero::new(self.layout.len)
    }

    /// Everything up to the number of keys, in one go or not at all: six bytes to look at.
    #[inline(never)]
    fn head(&mut self, bytes: &[u8]) -> Answer {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        if first == V1_PREFIX {
            return self.v1_head(bytes);
        }
        // A signature count passes one byte's seven bits in no transaction that a packet can carry, so a set
        // top bit announces a version. Source: `VersionedTransaction` `SchemaRead`.
        if first >= V0_PREFIX {
            return Err(TxnReject::UnknownVersion);
        }
        let signature_count = checked_signature_count(first)?;
        let message_at = 1 + SIGNATURE_LEN * usize::from(signature_count);
        let (version, header, at) = match bytes.get(message_at..) {
            Some([V0_PREFIX, required, signed, unsigned, ..]) => (
                TxnVersion::V0,
                [*required, *signed, *unsigned],
                message_at + 4,
            ),
            Some([required, signed, unsigned, ..]) if *required < V0_PREFIX => (
                TxnVersion::Legacy,
                [*required, *signed, *unsigned],
                message_at + 3,
            ),
            Some([prefix, ..]) if *prefix > V0_PREFIX => return Err(TxnReject::UnknownVersion),
            _ => return Ok(None),
        };
        let Some((key_count, keys_at)) = length_at(bytes, at)? else {
            return Ok(None);
        };
        let keys_end = keys_at + KEY_LEN * key_count + BLOCKHASH_LEN;
        fits(keys_end + 1, end_max(version))?;
        self.layout = Layout {
            version,
            signature_count,
            signatures_at: 1,
            key_count: key_count as u8,
            keys_at: keys_at as u16,
            ..Layout::default()
        };
        self.flaw = check::header(header, signature_count, key_count as u8).err();
        self.cursor = keys_end as u16;
        self.stage = Stage::InstructionCount;
        self.instruction_count(bytes)
    }

    #[inline(always)]
    fn instruction_count(&mut self, bytes: &[u8]) -> Answer {
        let Some((count, instructions_at)) = length_at(bytes, usize::from(self.cursor))? else {
            return Ok(None);
        };
        fits(
            instructions_at + INSTRUCTION_LEN_MIN * count,
            end_max(self.layout.version),
        )?;
        self.layout.instruction_count = count as u16;
        self.layout.instructions_at = instructions_at as u16;
        self.left = count as u16;
        self.cursor = instructions_at as u16;
        self.stage = Stage::Instructions;
        self.instructions(bytes)
    }

    #[inline(always)]
    fn instructions(&mut self, bytes: &[u8]) -> Answer {
        let end_max = end_max(self.layout.version);
        let known = bytes.get(..end_max).unwrap_or(bytes);
        let mut cursor = usize::from(self.cursor);
        let mut left = self.left;
        let Indices {
            mut program_max,
            mut account_max,
        } = self.layout.indices;
        let mut highest = [0; LANES];
        while left > 0 {
            let (program_index, len) =
                if let Some(usual) = known.get(cursor..).and_then(UsualInstruction::read) {
                    for (highest, index) in highest.iter_mut().zip(usual.accounts) {
                        *highest = (*highest).max(index);
                    }
                    (usual.program_index, usual.len)
                } else if let Some(found) = instruction_at(bytes, cursor, end_max)? {
                    account_max = account_max.max(found.account_max);
                    (found.program_index, found.len)
                } else {
                    break;
                };
            program_max = program_max.max(program_rank(program_index));
            cursor += len;
            left -= 1;
        }
        self.layout.indices = Indices {
            program_max,
            account_max: account_max.max(highest_of(&highest)),
        };
        self.cursor = cursor as u16;
        self.left = left;
        if left > 0 {
            return Ok(None);
        }
        if self.layout.version == TxnVersion::Legacy {
            return Ok(self.end(cursor));
        }
        let Some((count, lookups_at)) = length_at(bytes, cursor)? else {
            return Ok(None);
        };
        fits(lookups_at + LOOKUP_LEN_MIN * count, LEGACY_AND_V0_LEN_MAX)?;
        self.layout.lookup_count = count as u8;
        self.layout.lookups_at = lookups_at as u16;
        self.left = count as u16;
        self.cursor = lookups_at as u16;
        self.stage = Stage::Lookups;
        self.lookups(bytes)
    }

    #[inline(always)]
    fn lookups(&mut self, bytes: &[u8]) -> Answer {
        while self.left > 0 {
            let Some((writable_count, writable_at)) =
                length_at(bytes, usize::from(self.cursor) + KEY_LEN)?
            else {
                return Ok(None);
            };
            let writable_end = writable_at + writable_count;
            fits(writable_end + 1, LEGACY_AND_V0_LEN_MAX)?;
            let Some((readonly_count, readonly_at)) = length_at(bytes, writable_end)? else {
                return Ok(None);
            };
            let end = readonly_at + readonly_count;
            fits(end, LEGACY_AND_V0_LEN_MAX)?;
            let loaded_count = (writable_count + readonly_count) as u16;
            self.layout.loaded_count += loaded_count;
            self.layout.lookup_is_empty |= loaded_count == 0;
            self.cursor = end as u16;
            self.left -= 1;
        }
        Ok(self.end(usize::from(self.cursor)))
    }

    fn v1_head(&mut self, bytes: &[u8]) -> Answer {
        let Some(head) = bytes.first_chunk::<V1_HEAD_LEN>() else {
            return Ok(None);
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
        let signature_count = checked_signature_count(*required)?;
        self.flaw =
            check::header([*required, *signed, *unsigned], signature_count, *key_count).err();
        let layout = &mut self.layout;
        layout.version = TxnVersion::V1;
        layout.config_mask = config_mask as u8;
        layout.signature_count = signature_count;
        layout.key_count = *key_count;
        layout.instruction_count = u16::from(*instruction_count);
        layout.keys_at = V1_HEAD_LEN as u16;
        let instructions_at = V1_HEAD_LEN + KEY_LEN * usize::from(*key_count) + layout.config_len();
        // Moves on as the instruction headers say how long their bodies are.
        let signatures_at =
            instructions_at + V1_INSTRUCTION_HEAD_LEN * usize::from(*instruction_count);
        fits(layout.v1_end(signatures_at), V1_LEN_MAX)?;
        layout.instructions_at = instructions_at as u16;
        layout.signatures_at = signatures_at as u16;
        self.left = layout.instruction_count;
        self.cursor = layout.instructions_at;
        self.stage = Stage::V1Instructions;
        self.v1_instructions(bytes)
    }

    fn v1_instructions(&mut self, bytes: &[u8]) -> Answer {
        while self.left > 0 {
            let Some(&head) = bytes
                .get(usize::from(self.cursor)..)
                .and_then(<[u8]>::first_chunk)
            else {
                return Ok(None);
            };
            let (program_index, account_count, data_len) = v1_instruction_head(head);
            let signatures_at = usize::from(self.layout.signatures_at) + account_count + data_len;
            fits(self.layout.v1_end(signatures_at), V1_LEN_MAX)?;
            let indices = &mut self.layout.indices;
            indices.program_max = indices.program_max.max(program_rank(program_index));
            self.layout.signatures_at = signatures_at as u16;
            self.cursor += V1_INSTRUCTION_HEAD_LEN as u16;
            self.left -= 1;
        }
        self.stage = Stage::V1Accounts;
        Ok(self.v1_accounts(bytes))
    }

    /// The bodies are walked once, when all of them are there.
    fn v1_accounts(&mut self, bytes: &[u8]) -> Option<NonZero<u16>> {
        let layout = &mut self.layout;
        let signatures_at = usize::from(layout.signatures_at);
        let heads_len = V1_INSTRUCTION_HEAD_LEN * usize::from(layout.instruction_count);
        let (heads, mut bodies) = bytes
            .get(usize::from(layout.instructions_at)..signatures_at)?
            .split_at_checked(heads_len)?;
        let mut account_max = 0;
        for &head in heads.as_chunks().0 {
            let (_, account_count, data_len) = v1_instruction_head(head);
            let (accounts, rest) = bodies.split_at_checked(account_count).unwrap_or_default();
            account_max = accounts
                .iter()
                .fold(account_max, |max, index| max.max(*index));
            bodies = rest.get(data_len..).unwrap_or_default();
        }
        layout.indices.account_max = account_max;
        let end = layout.v1_end(signatures_at);
        self.end(end)
    }
}

impl Layout {
    /// Bytes of the v1 config words: one word a bit.
    #[inline]
    pub(super) fn config_len(&self) -> usize {
        // Five bits at most, so the product is small.
        V1_CONFIG_WORD_LEN * self.config_mask.count_ones() as usize
    }

    /// Where a v1 transaction ends whose signatures begin at `signatures_at`.
    #[inline]
    fn v1_end(&self, signatures_at: usize) -> usize {
        signatures_at + SIGNATURE_LEN * usize::from(self.signature_count)
    }
}

/// The index of a program, or [`PAYER_AS_PROGRAM`].
#[inline]
fn program_rank(index: u8) -> u16 {
    u16::from(index.wrapping_sub(1)) + 1
}

/// Account indices looked at together.
const LANES: usize = 16;
/// The `LANES` bytes from `LANES - n` on keep the first `n` lanes.
const KEEP: [u8; 2 * LANES] = {
    let mut keep = [0; 2 * LANES];
    let (first, _) = keep.split_at_mut(LANES);
    first.copy_from_slice(&[0xff; LANES]);
    keep
};

/// An instruction of a legacy or v0 transaction as most of them are: at most [`LANES`] accounts, all of it there and
/// some bytes behind it. What it refuses to read, [`instruction_at`] decides.
struct UsualInstruction {
    program_index: u8,
    /// Zeros behind the last.
    accounts: [u8; LANES],
    len: usize,
}

impl UsualInstruction {
    /// The instruction at the start of `bytes`; `None` when it is none of these.
    #[inline(always)]
    fn read(bytes: &[u8]) -> Option<Self> {
        let [program_index, account_count, rest @ ..] = bytes else {
            return None;
        };
        let account_count = usize::from(*account_count);
        let mut accounts = *rest.first_chunk::<LANES>()?;
        let keep = KEEP.get(LANES.checked_sub(account_count)?..)?;
        for (account, keep) in accounts.iter_mut().zip(keep.first_chunk::<LANES>()?) {
            *account &= *keep;
        }
        let len = match rest.get(account_count..)? {
            [len @ ..0x80, ..] => 3 + account_count + usize::from(*len),
            [low, high @ 1..0x80, ..] => {
                4 + account_count + usize::from(*low & 0x7f) + (usize::from(*high) << 7)
            }
            _ => return None,
        };
        (len <= bytes.len()).then_some(Self {
            program_index: *program_index,
            accounts,
            len,
        })
    }
}

/// Out of line, because there it becomes a few vector instructions: as a part of the walk it becomes sixteen
/// comparisons, each waiting for the one before.
#[inline(never)]
fn highest_of(lanes: &[u8; LANES]) -> u8 {
    lanes.iter().fold(0, |max, lane| max.max(*lane))
}

/// One instruction of a legacy or v0 transaction.
struct InstructionFound {
    program_index: u8,
    account_max: u8,
    len: usize,
}

/// The instruction at `at`; `None` until its accounts and the length of its data are there. Its data is not awaited.
/// Of an instruction in pieces only the list lengths are looked at more than once.
#[inline(never)]
fn instruction_at(
    bytes: &[u8],
    at: usize,
    end_max: usize,
) -> Result<Option<InstructionFound>, TxnReject> {
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
        account_max: accounts.iter().fold(0, |max, index| max.max(*index)),
        len: end - at,
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
fn checked_signature_count(count: u8) -> Result<u8, TxnReject> {
    match usize::from(count) {
        0 => Err(TxnReject::NoSignature),
        wide if wide > SIGNATURE_COUNT_MAX => Err(TxnReject::TooManySignatures),
        _ => Ok(count),
    }
}

/// The compact-u16 at `at`, and the offset after it; `None` when its bytes are not all there.
#[inline]
fn length_at(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, TxnReject> {
    match bytes.get(at) {
        Some(&len) if len < 0x80 => Ok(Some((usize::from(len), at + 1))),
        Some(_) => long_length_at(bytes, at),
        None => Ok(None),
    }
}

/// Lists longer than 127 are rare: out of line, so that the one-byte case stays small.
#[cold]
fn long_length_at(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, TxnReject> {
    match short_u16::decode(bytes.get(at..).unwrap_or_default()) {
        Ok(Decoded::Done { value, len }) => Ok(Some((usize::from(value), at + len))),
        Ok(Decoded::NeedMore) => Ok(None),
        Err(_) => Err(TxnReject::BadLength),
    }
}

/// Where the instructions of a legacy or v0 transaction end at the latest: v0 counts its lookups behind them.
#[inline]
fn end_max(version: TxnVersion) -> usize {
    LEGACY_AND_V0_LEN_MAX - usize::from(version == TxnVersion::V0)
}
