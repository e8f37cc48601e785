//! Why a transaction was not used.

/// Why a transaction was not used. One byte, `Copy`: the hot path counts it, never formats it.
///
/// The discriminant indexes a counter and names a metric label, so append, never reorder. The first group comes
/// from [`TxnScan`](super::TxnScan) and leaves the end of the transaction unknown; the rest come from
/// [`TxnView`](super::TxnView) and concern one transaction only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TxnReject {
    /// A format this code does not know. Source: `VersionedTransaction` `SchemaRead`.
    UnknownVersion,
    /// No signature: nobody pays. Source: `Message::sanitize` (a writable signer is required).
    NoSignature,
    /// More than [`SIGNATURE_COUNT_MAX`](super::SIGNATURE_COUNT_MAX) signatures.
    TooManySignatures,
    /// A list length is not a legal compact-u16.
    BadLength,
    /// Longer than its version may be.
    TooLong,
    /// A v1 config mask bit without a meaning, so without a known size.
    UnknownConfig,
    /// Only one of the two v1 config mask bits that together announce the priority fee.
    HalfPriorityFee,

    /// The bytes end before the transaction does.
    Truncated,
    /// The transaction ends before the bytes do.
    TrailingBytes,
    /// The header wants another number of signatures than there are.
    SignatureCountMismatch,
    /// Every signer is read-only, so nobody can pay.
    PayerReadonly,
    /// Fewer keys than the header's signers and read-only accounts.
    TooFewKeys,
    /// More accounts than the version allows.
    TooManyKeys,
    /// More instructions than v1 allows.
    TooManyInstructions,
    /// A v1 heap request out of bounds or off the step.
    BadHeapLen,
    /// A lookup that loads nothing.
    EmptyLookup,
    /// An instruction whose program is the payer.
    PayerIsProgram,
    /// An instruction whose program is not among the static keys.
    ProgramOutOfRange,
    /// An instruction account that is neither among the keys nor looked up.
    AccountOutOfRange,
}

impl TxnReject {
    /// Every reason, in order of discriminant.
    pub const ALL: [Self; 19] = [
        Self::UnknownVersion,
        Self::NoSignature,
        Self::TooManySignatures,
        Self::BadLength,
        Self::TooLong,
        Self::UnknownConfig,
        Self::HalfPriorityFee,
        Self::Truncated,
        Self::TrailingBytes,
        Self::SignatureCountMismatch,
        Self::PayerReadonly,
        Self::TooFewKeys,
        Self::TooManyKeys,
        Self::TooManyInstructions,
        Self::BadHeapLen,
        Self::EmptyLookup,
        Self::PayerIsProgram,
        Self::ProgramOutOfRange,
        Self::AccountOutOfRange,
    ];
    /// How many reasons there are: the length of a counter array.
    pub const COUNT: usize = Self::ALL.len();

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownVersion => "unknown_version",
            Self::NoSignature => "no_signature",
            Self::TooManySignatures => "too_many_signatures",
            Self::BadLength => "bad_length",
            Self::TooLong => "too_long",
            Self::UnknownConfig => "unknown_config",
            Self::HalfPriorityFee => "half_priority_fee",
            Self::Truncated => "truncated",
            Self::TrailingBytes => "trailing_bytes",
            Self::SignatureCountMismatch => "signature_count_mismatch",
            Self::PayerReadonly => "payer_readonly",
            Self::TooFewKeys => "too_few_keys",
            Self::TooManyKeys => "too_many_keys",
            Self::TooManyInstructions => "too_many_instructions",
            Self::BadHeapLen => "bad_heap_len",
            Self::EmptyLookup => "empty_lookup",
            Self::PayerIsProgram => "payer_is_program",
            Self::ProgramOutOfRange => "program_out_of_range",
            Self::AccountOutOfRange => "account_out_of_range",
        }
    }
}
