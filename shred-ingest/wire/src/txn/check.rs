//! What every validator asks of a transaction before it may stand in a block.

use super::scan::{Layout, PAYER_AS_PROGRAM};
use super::{
    TxnReject, TxnVersion, V0_ACCOUNT_COUNT_MAX, V1_HEAP_LEN_MAX, V1_HEAP_LEN_MIN,
    V1_HEAP_LEN_STEP, V1_INSTRUCTION_COUNT_MAX, V1_KEY_COUNT_MAX,
};

/// Who signs and who pays. Source: `Message::sanitize` of all three versions, `sanitize_signatures`.
#[inline]
pub(super) fn header(header: [u8; 3], signature_count: u8, key_count: u8) -> Result<(), TxnReject> {
    let [required, readonly_signed, readonly_unsigned] = header.map(usize::from);
    if required != usize::from(signature_count) {
        return Err(TxnReject::SignatureCountMismatch);
    }
    if readonly_signed >= required {
        return Err(TxnReject::PayerReadonly);
    }
    if required + readonly_unsigned > usize::from(key_count) {
        return Err(TxnReject::TooFewKeys);
    }
    Ok(())
}

/// Counts and indices. Source: `legacy::Message::sanitize`, `v0::Message::sanitize`, `v1::Message::validate`.
/// The older formats have no bound on instructions here: agave's of 64 (SIMD-0160) hangs on a feature gate.
#[inline]
pub(super) fn accounts(layout: &Layout) -> Result<(), TxnReject> {
    let account_count = usize::from(layout.key_count) + usize::from(layout.loaded_count);
    let account_count_max = match layout.version {
        // Bounded by the length alone: 38 keys fill a packet.
        TxnVersion::Legacy => usize::MAX,
        TxnVersion::V0 => V0_ACCOUNT_COUNT_MAX,
        TxnVersion::V1 => V1_KEY_COUNT_MAX,
    };
    if account_count > account_count_max {
        return Err(TxnReject::TooManyKeys);
    }
    if layout.version == TxnVersion::V1
        && usize::from(layout.instruction_count) > V1_INSTRUCTION_COUNT_MAX
    {
        return Err(TxnReject::TooManyInstructions);
    }
    if layout.lookup_is_empty {
        return Err(TxnReject::EmptyLookup);
    }
    if layout.indices.program_max == PAYER_AS_PROGRAM {
        return Err(TxnReject::PayerIsProgram);
    }
    if layout.indices.program_max >= u16::from(layout.key_count) {
        return Err(TxnReject::ProgramOutOfRange);
    }
    if usize::from(layout.indices.account_max) >= account_count {
        return Err(TxnReject::AccountOutOfRange);
    }
    Ok(())
}

/// The heap that a v1 transaction asks for. Source: `v1::Message::validate`; `agave-transaction-view`
/// `sanitize_config`.
#[inline]
pub(super) fn heap_len(asked: Option<u32>) -> Result<(), TxnReject> {
    let allowed = |len: u32| {
        (V1_HEAP_LEN_MIN..=V1_HEAP_LEN_MAX).contains(&len) && len.is_multiple_of(V1_HEAP_LEN_STEP)
    };
    match asked {
        Some(len) if !allowed(len) => Err(TxnReject::BadHeapLen),
        _ => Ok(()),
    }
}
