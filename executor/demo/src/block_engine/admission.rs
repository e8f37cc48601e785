//! The checks a bundle passes before it may bid, cheapest first, and the status each refusal becomes.

use ed25519_dalek::{Signature, VerifyingKey};
use jito_searcher_client::BundleId;
use tonic::{Code, Status};

use super::auction::Bid;
use super::venue::Venue;
use crate::exchange::{BUNDLE_TRANSACTIONS_MAX, TIP_LAMPORTS_MIN};
use crate::keys::{COMPUTE_BUDGET, Key, SYSTEM, base58};
use crate::market::LAMPORTS_PER_SIGNATURE;
use crate::txn::{ParsedTxn, TxnError, Version};

/// Why a call to `SendBundle` is refused. The discriminant indexes a counter: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// Wants a token, or another one.
    NotAuthenticated,
    /// More requests than the address may make, or more bundles waiting than the desk holds.
    RateLimited,
    /// No bundle, or no transaction in it.
    Empty,
    /// More than five transactions.
    TooManyTransactions,
    /// A legacy or v0 transaction above 1,232 bytes, or a v1 transaction above 4,096.
    TransactionTooLong,
    /// Bytes that are not one whole transaction.
    Malformed,
    /// A transaction names a `jitodontfront` account and is not the first of its bundle.
    DontFrontMisplaced,
    /// A signature does not verify.
    SignatureInvalid,
    /// No lamports go to any account by a transfer.
    TipMissing,
    /// Lamports are transferred, but to no tip account.
    TipAccountWrong,
    /// Less than [`TIP_LAMPORTS_MIN`] goes to the tip accounts.
    TipTooLow,
    /// A recent blockhash is unknown or older than 150 blocks.
    BlockhashNotFound,
    /// A fee payer cannot pay its fee and transfers.
    PayerCannotPay,
    /// The same bundle was taken before.
    Duplicate,
    /// The engine is stopping.
    Stopping,
}

impl Refusal {
    /// Number of reasons.
    pub const COUNT: usize = Self::Stopping as usize + 1;

    /// Every reason, by discriminant.
    pub const ALL: [Self; Self::COUNT] = [
        Self::NotAuthenticated,
        Self::RateLimited,
        Self::Empty,
        Self::TooManyTransactions,
        Self::TransactionTooLong,
        Self::Malformed,
        Self::DontFrontMisplaced,
        Self::SignatureInvalid,
        Self::TipMissing,
        Self::TipAccountWrong,
        Self::TipTooLow,
        Self::BlockhashNotFound,
        Self::PayerCannotPay,
        Self::Duplicate,
        Self::Stopping,
    ];

    /// The reason in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotAuthenticated => "a valid access token is wanted",
            Self::RateLimited => "rate limit exceeded",
            Self::Empty => "a bundle holds at least one transaction",
            Self::TooManyTransactions => "a bundle holds at most 5 transactions",
            Self::TransactionTooLong => "a transaction is too long for its version",
            Self::Malformed => "a packet is not one whole transaction",
            Self::DontFrontMisplaced => {
                "a transaction with a jitodontfront account must be the first"
            }
            Self::SignatureInvalid => "a signature does not verify",
            Self::TipMissing => "no transfer to a tip account",
            Self::TipAccountWrong => "transfers, but none to a tip account",
            Self::TipTooLow => "the tip is below 1000 lamports",
            Self::BlockhashNotFound => "a recent blockhash is unknown or expired",
            Self::PayerCannotPay => "a fee payer lacks the lamports",
            Self::Duplicate => "this bundle was received before",
            Self::Stopping => "the engine is stopping",
        }
    }

    pub(super) fn status(self) -> Status {
        let code = match self {
            Self::NotAuthenticated => Code::Unauthenticated,
            Self::RateLimited => Code::ResourceExhausted,
            Self::Duplicate => Code::AlreadyExists,
            Self::Stopping => Code::Unavailable,
            _ => Code::InvalidArgument,
        };
        Status::new(code, self.text())
    }
}

/// A bundle that may bid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Its id.
    pub id: BundleId,
    /// What it offers.
    pub bid: Bid,
    /// Its transactions.
    pub transactions: Vec<Vec<u8>>,
}

/// Checks `packets` against the chain of this moment.
///
/// # Errors
/// The first [`Refusal`] found, in the order of the variants.
pub fn admit(venue: &impl Venue, packets: Vec<Vec<u8>>) -> Result<Admitted, Refusal> {
    if packets.is_empty() {
        return Err(Refusal::Empty);
    }
    if packets.len() > BUNDLE_TRANSACTIONS_MAX {
        return Err(Refusal::TooManyTransactions);
    }
    let (id, bid) = {
        let parsed = packets
            .iter()
            .map(|bytes| parse(bytes))
            .collect::<Result<Vec<_>, _>>()?;
        check_shape(&packets, &parsed)?;
        let tip_lamports = check_tip(venue, &parsed)?;
        check_chain(venue, &parsed)?;
        let compute_units = packets
            .iter()
            .zip(&parsed)
            .map(|(bytes, txn)| compute_units(bytes, txn))
            .sum();
        let id = BundleId::of_signatures(parsed.iter().map(ParsedTxn::signature));
        (
            id,
            Bid {
                tip_lamports,
                compute_units,
            },
        )
    };
    Ok(Admitted {
        id,
        bid,
        transactions: packets,
    })
}

fn parse(bytes: &[u8]) -> Result<ParsedTxn<'_>, Refusal> {
    ParsedTxn::parse(bytes).map_err(|error| match error {
        TxnError::TooLong => Refusal::TransactionTooLong,
        _ => Refusal::Malformed,
    })
}

fn check_shape(packets: &[Vec<u8>], parsed: &[ParsedTxn<'_>]) -> Result<(), Refusal> {
    if parsed.iter().skip(1).any(names_dont_front) {
        return Err(Refusal::DontFrontMisplaced);
    }
    let verifies = |(bytes, txn): (&Vec<u8>, &ParsedTxn<'_>)| signatures_verify(bytes, txn);
    if packets.iter().zip(parsed).all(verifies) {
        Ok(())
    } else {
        Err(Refusal::SignatureInvalid)
    }
}

/// Any account whose text begins so asks not to be put behind another transaction (jito-docs,
/// `lowlatencytxnsend.md`). Only static keys can be read here; that is also where the documentation wants it.
const DONT_FRONT_PREFIX: &str = "jitodontfront";

fn names_dont_front(txn: &ParsedTxn<'_>) -> bool {
    txn.keys()
        .iter()
        .any(|key| base58(key).starts_with(DONT_FRONT_PREFIX))
}

/// Strict verification, as validators do: no small-order keys, no non-canonical encodings.
fn signatures_verify(bytes: &[u8], txn: &ParsedTxn<'_>) -> bool {
    let signatures_len = txn.signatures().len() * 64;
    let message = match txn.version() {
        Version::V1 => &bytes[..bytes.len() - signatures_len],
        // At most 12 signatures: their count is one byte.
        Version::Legacy | Version::V0 => &bytes[1 + signatures_len..],
    };
    txn.signatures()
        .iter()
        .zip(txn.keys())
        .all(|(signature, key)| {
            let signature = Signature::from_bytes(signature);
            VerifyingKey::from_bytes(key)
                .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
        })
}

fn check_tip(venue: &impl Venue, parsed: &[ParsedTxn<'_>]) -> Result<u64, Refusal> {
    let tip_accounts = venue.tip_accounts();
    let (mut tip_lamports, mut tips, mut transfers) = (0_u64, 0, 0);
    for transfer in parsed.iter().flat_map(transfers_of) {
        transfers += 1;
        if tip_accounts.contains(&transfer.to) {
            tips += 1;
            tip_lamports = tip_lamports.saturating_add(transfer.lamports);
        }
    }
    match (tips, transfers) {
        (0, 0) => Err(Refusal::TipMissing),
        (0, _) => Err(Refusal::TipAccountWrong),
        _ if tip_lamports < TIP_LAMPORTS_MIN => Err(Refusal::TipTooLow),
        _ => Ok(tip_lamports),
    }
}

fn check_chain(venue: &impl Venue, parsed: &[ParsedTxn<'_>]) -> Result<(), Refusal> {
    if parsed
        .iter()
        .any(|txn| venue.blockhash_age(txn.blockhash()).is_none())
    {
        return Err(Refusal::BlockhashNotFound);
    }
    let can_pay = |txn: &ParsedTxn<'_>| {
        let payer = &txn.keys()[0];
        let fee = LAMPORTS_PER_SIGNATURE * txn.signatures().len() as u64;
        let sent = transfers_of(txn)
            .filter(|transfer| transfer.from == *payer)
            .map(|transfer| transfer.lamports);
        venue.balance(payer) >= sent.fold(fee, u64::saturating_add)
    };
    if parsed.iter().all(can_pay) {
        Ok(())
    } else {
        Err(Refusal::PayerCannotPay)
    }
}

struct Transfer {
    from: Key,
    to: Key,
    lamports: u64,
}

/// `SystemInstruction::Transfer`: tag 2 as u32, lamports as u64; accounts from, to. Accounts behind lookup
/// tables are not followed: a tip account must not be in one (jito-docs).
const SYSTEM_TRANSFER_TAG: [u8; 4] = 2_u32.to_le_bytes();

fn transfers_of<'a>(txn: &'a ParsedTxn<'_>) -> impl Iterator<Item = Transfer> + 'a {
    txn.instructions().iter().filter_map(|instruction| {
        let key = |index: u8| txn.keys().get(usize::from(index)).copied();
        if key(instruction.program_index)? != SYSTEM {
            return None;
        }
        let lamports = instruction.data.strip_prefix(&SYSTEM_TRANSFER_TAG)?;
        let lamports = u64::from_le_bytes(lamports.try_into().ok()?);
        let [from, to, ..] = *instruction.accounts else {
            return None;
        };
        Some(Transfer {
            from: key(from)?,
            to: key(to)?,
            lamports,
        })
    })
}

/// What an instruction is granted when nobody asks (solana `DEFAULT_INSTRUCTION_COMPUTE_UNIT_LIMIT`).
const COMPUTE_UNITS_PER_INSTRUCTION: u64 = 200_000;
/// Most a transaction may ask for (solana `MAX_COMPUTE_UNIT_LIMIT`).
const COMPUTE_UNITS_MAX: u64 = 1_400_000;
/// `ComputeBudgetInstruction::SetComputeUnitLimit`.
const SET_COMPUTE_UNIT_LIMIT_TAG: u8 = 2;

/// Compute units the transaction asks for; the auction ranks by tip over this.
fn compute_units(bytes: &[u8], txn: &ParsedTxn<'_>) -> u64 {
    if txn.version() == Version::V1 {
        // Unset means 0 in v1 (SIMD-0385); one keeps the ratio defined.
        return compute_units_v1(bytes)
            .unwrap_or(0)
            .clamp(1, COMPUTE_UNITS_MAX);
    }
    let budget =
        |program_index: u8| txn.keys().get(usize::from(program_index)) == Some(&COMPUTE_BUDGET);
    let asked = txn
        .instructions()
        .iter()
        .filter(|instruction| budget(instruction.program_index))
        .find_map(|instruction| match *instruction.data {
            [SET_COMPUTE_UNIT_LIMIT_TAG, a, b, c, d] => {
                Some(u64::from(u32::from_le_bytes([a, b, c, d])))
            }
            _ => None,
        });
    let others = txn
        .instructions()
        .iter()
        .filter(|instruction| !budget(instruction.program_index))
        .count() as u64;
    asked
        .unwrap_or(others * COMPUTE_UNITS_PER_INSTRUCTION)
        .clamp(1, COMPUTE_UNITS_MAX)
}

/// SIMD-0385: `0x81`, header 3, mask u32, lifetime 32, instruction count, key count, keys, then one four-byte
/// value per mask bit in order: the priority fee takes bits 0 and 1, the compute unit limit is bit 2.
fn compute_units_v1(bytes: &[u8]) -> Option<u64> {
    let mask = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    if mask & 0b100 == 0 {
        return None;
    }
    let key_count = usize::from(*bytes.get(41)?);
    let before = (mask & 0b11).count_ones() as usize * 4;
    let value = bytes.get(42 + key_count * 32 + before..)?.first_chunk()?;
    Some(u64::from(u32::from_le_bytes(*value)))
}
