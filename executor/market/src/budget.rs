//! What a transaction asks of the scheduler: compute, fee, data, heap.
//!
//! A legacy or v0 transaction asks by instructions of the compute-budget program, a v1 transaction in its own header,
//! where such instructions do nothing. Source: solana-compute-budget-interface 3.0.0, agave 4.2
//! `compute-budget-instruction/src/compute_budget_instruction_details.rs` (one of each kind at most, a heap of whole
//! KiB within bounds, a data limit above zero), SIMD-0385.

use shred_wire::txn::{TxnView, V1_HEAP_LEN_MAX, V1_HEAP_LEN_MIN};

use crate::base58::key;
use crate::units::{Key, Lamports};

/// The compute-budget program. Source: solana-sdk-ids.
pub const PROGRAM: Key = key("ComputeBudget111111111111111111111111111111");
/// Most compute units a transaction gets. Source: agave `compute-budget/src/compute_budget_limits.rs`.
pub const UNIT_LIMIT_MAX: u32 = 1_400_000;
/// Millionths of a lamport in one.
const MICRO: u128 = 1_000_000;

/// What a transaction asks for; what it leaves to the rules is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Budget {
    /// Compute units. A v1 transaction that names none gets none.
    pub unit_limit: Option<u32>,
    /// Millionths of a lamport per compute unit (legacy and v0).
    pub unit_price_micro: Option<u64>,
    /// Priority fee of the whole transaction (v1).
    pub fee: Option<Lamports>,
    /// Bytes of accounts that may be loaded.
    pub loaded_len_max: Option<u32>,
    /// Bytes of heap for each program.
    pub heap_len: Option<u32>,
}

/// Why the runtime refuses what is asked. One byte, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum BudgetReject {
    /// Asked for twice.
    Twice,
    /// No such instruction, or one that is cut.
    BadInstruction,
    /// A value out of bounds.
    BadValue,
}

impl BudgetReject {
    /// How many reasons there are.
    pub const COUNT: usize = 3;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        ["twice", "bad_instruction", "bad_value"]
    }
}

impl Budget {
    /// Priority fee of the whole transaction, rounded up as the runtime does; `None` when it depends on a compute limit
    /// that is left to the rules.
    #[must_use]
    pub fn priority_fee(&self) -> Option<Lamports> {
        if self.fee.is_some() {
            return self.fee;
        }
        let price = self.unit_price_micro.unwrap_or(0);
        if price == 0 {
            return Some(Lamports(0));
        }
        let fee = u128::from(self.unit_limit?.min(UNIT_LIMIT_MAX)) * u128::from(price);
        Some(Lamports(
            u64::try_from(fee.div_ceil(MICRO)).unwrap_or(u64::MAX),
        ))
    }
}

/// What `txn` asks for. Allocates nothing and cannot panic.
///
/// # Errors
/// [`BudgetReject`]: the runtime will not execute such a transaction.
pub fn of(txn: &TxnView<'_>) -> Result<Budget, BudgetReject> {
    if let Some(config) = txn.config() {
        return Ok(Budget {
            unit_limit: Some(config.compute_unit_limit.unwrap_or(0)),
            unit_price_micro: None,
            fee: Some(Lamports(config.priority_fee_lamports.unwrap_or(0))),
            loaded_len_max: Some(config.loaded_data_len_max.unwrap_or(0)),
            heap_len: config.heap_len,
        });
    }
    let mut budget = Budget::default();
    for instruction in txn.instructions() {
        if txn.keys().get(usize::from(instruction.program_index)) != Some(&PROGRAM) {
            continue;
        }
        let (tag, value) = instruction
            .data
            .split_first()
            .ok_or(BudgetReject::BadInstruction)?;
        match tag {
            1 => {
                let len = word(value)?;
                if !(V1_HEAP_LEN_MIN..=V1_HEAP_LEN_MAX).contains(&len) || len % 1024 != 0 {
                    return Err(BudgetReject::BadValue);
                }
                once(&mut budget.heap_len, len)?;
            }
            2 => once(&mut budget.unit_limit, word(value)?)?,
            3 => {
                let price = value.first_chunk().ok_or(BudgetReject::BadInstruction)?;
                once(&mut budget.unit_price_micro, u64::from_le_bytes(*price))?;
            }
            4 => {
                let len = word(value)?;
                if len == 0 {
                    return Err(BudgetReject::BadValue);
                }
                once(&mut budget.loaded_len_max, len)?;
            }
            _ => return Err(BudgetReject::BadInstruction),
        }
    }
    Ok(budget)
}

fn word(value: &[u8]) -> Result<u32, BudgetReject> {
    let word = value.first_chunk().ok_or(BudgetReject::BadInstruction)?;
    Ok(u32::from_le_bytes(*word))
}

fn once<T>(field: &mut Option<T>, value: T) -> Result<(), BudgetReject> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(BudgetReject::Twice),
    }
}
