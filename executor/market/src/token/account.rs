//! The bytes of mints and token accounts.
//!
//! Layouts: spl-token-interface 3.0.0 `state.rs`; spl-token-2022-interface 3.1.1 `state.rs` and `extension/`. An account
//! of Token-2022 is the same 82 or 165 bytes, at least zeroes up to 165, a byte that says which of the two it is, and
//! then extensions: a type, a length, that many bytes.

use super::{TokenProgram, TransferFee};
use crate::account::{AccountReject, Fields};
use crate::units::{BPS_WHOLE, Key};

const MINT_LEN: usize = 82;
const ACCOUNT_LEN: usize = 165;
/// A multisig has this length, and no mint or token account may. Source: `state.rs` `Multisig::LEN`.
const MULTISIG_LEN: usize = 355;
const KIND_AT: usize = ACCOUNT_LEN;
const EXTENSIONS_AT: usize = KIND_AT + 1;
const KIND_MINT: u8 = 1;
const KIND_ACCOUNT: u8 = 2;
const STATE_FROZEN: u8 = 2;

/// Types of extensions. Source: `extension/mod.rs` `ExtensionType`.
mod kind {
    pub(super) const END: u16 = 0;
    pub(super) const TRANSFER_FEE_CONFIG: u16 = 1;
    pub(super) const TRANSFER_FEE_AMOUNT: u16 = 2;
    pub(super) const MINT_CLOSE_AUTHORITY: u16 = 3;
    pub(super) const CONFIDENTIAL_TRANSFER_MINT: u16 = 4;
    pub(super) const CONFIDENTIAL_TRANSFER_ACCOUNT: u16 = 5;
    pub(super) const DEFAULT_ACCOUNT_STATE: u16 = 6;
    pub(super) const IMMUTABLE_OWNER: u16 = 7;
    pub(super) const MEMO_TRANSFER: u16 = 8;
    pub(super) const NON_TRANSFERABLE: u16 = 9;
    pub(super) const INTEREST_BEARING: u16 = 10;
    pub(super) const CPI_GUARD: u16 = 11;
    pub(super) const PERMANENT_DELEGATE: u16 = 12;
    pub(super) const NON_TRANSFERABLE_ACCOUNT: u16 = 13;
    pub(super) const TRANSFER_HOOK: u16 = 14;
    pub(super) const TRANSFER_HOOK_ACCOUNT: u16 = 15;
    pub(super) const CONFIDENTIAL_TRANSFER_FEE_CONFIG: u16 = 16;
    pub(super) const CONFIDENTIAL_TRANSFER_FEE_AMOUNT: u16 = 17;
    pub(super) const METADATA_POINTER: u16 = 18;
    pub(super) const TOKEN_METADATA: u16 = 19;
    pub(super) const GROUP_POINTER: u16 = 20;
    pub(super) const TOKEN_GROUP: u16 = 21;
    pub(super) const GROUP_MEMBER_POINTER: u16 = 22;
    pub(super) const TOKEN_GROUP_MEMBER: u16 = 23;
    pub(super) const CONFIDENTIAL_MINT_BURN: u16 = 24;
    pub(super) const SCALED_UI_AMOUNT: u16 = 25;
    pub(super) const PAUSABLE: u16 = 26;
    pub(super) const PAUSABLE_ACCOUNT: u16 = 27;
    pub(super) const PERMISSIONED_BURN: u16 = 28;
}

/// A mint's transfer fee: what it is until an epoch, and from that epoch on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FeeConfig {
    /// Who may change it.
    pub authority: Option<Key>,
    /// Until [`FeeConfig::epoch`].
    pub older: TransferFee,
    /// From [`FeeConfig::epoch`] on.
    pub newer: TransferFee,
    /// First epoch of the newer fee.
    pub epoch: u64,
}

/// A mint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MintAccount {
    /// Who may make more of it.
    pub mint_authority: Option<Key>,
    /// Who may freeze its token accounts.
    pub freeze_authority: Option<Key>,
    /// How much there is, raw units.
    pub supply: u64,
    /// Decimals.
    pub decimals: u8,
    /// What its transfers cost.
    pub fee: Option<FeeConfig>,
    /// The program that every transfer calls.
    pub hook_program: Option<Key>,
    /// Who may change that program.
    pub hook_authority: Option<Key>,
    /// Who may move or burn anyone's tokens.
    pub permanent_delegate: Option<Key>,
    /// Who may close it while there is no supply.
    pub close_authority: Option<Key>,
    /// Who may stop every transfer.
    pub pause_authority: Option<Key>,
    /// Its transfers are stopped now.
    pub is_paused: bool,
    /// New token accounts are frozen.
    pub is_frozen_by_default: bool,
    /// It never moves.
    pub is_non_transferable: bool,
    /// First extension whose meaning is not known.
    pub unknown_extension: Option<u16>,
}

impl MintAccount {
    /// Reads a mint of `program`.
    ///
    /// # Errors
    /// [`AccountReject`]; an extension of a type that is not known is no error but
    /// [`MintAccount::unknown_extension`].
    pub fn parse(data: &[u8], program: TokenProgram) -> Result<Self, AccountReject> {
        let fields = whole(data, program, MINT_LEN, KIND_MINT)?;
        if !fields.flag(45)? {
            return Err(AccountReject::OtherKind);
        }
        let mut mint = Self {
            mint_authority: option_key(&fields, 0)?,
            supply: fields.u64(36)?,
            decimals: fields.u8(44)?,
            freeze_authority: option_key(&fields, 46)?,
            ..Self::default()
        };
        each_extension(data, |kind, value| mint.extend(kind, value))?;
        Ok(mint)
    }

    fn extend(&mut self, kind: u16, value: &[u8]) -> Result<(), AccountReject> {
        let fields = Fields::new(value);
        match kind {
            kind::TRANSFER_FEE_CONFIG => {
                exactly(value, 108)?;
                let (epoch, newer) = (fields.u64(90)?, transfer_fee(&fields, 98)?);
                self.fee = Some(FeeConfig {
                    authority: key_or_none(&fields, 0)?,
                    older: transfer_fee(&fields, 80)?,
                    newer,
                    epoch,
                });
            }
            kind::MINT_CLOSE_AUTHORITY => {
                exactly(value, 32)?;
                self.close_authority = key_or_none(&fields, 0)?;
            }
            kind::DEFAULT_ACCOUNT_STATE => {
                exactly(value, 1)?;
                self.is_frozen_by_default = fields.u8(0)? == STATE_FROZEN;
            }
            kind::NON_TRANSFERABLE => {
                exactly(value, 0)?;
                self.is_non_transferable = true;
            }
            kind::PERMANENT_DELEGATE => {
                exactly(value, 32)?;
                self.permanent_delegate = key_or_none(&fields, 0)?;
            }
            kind::TRANSFER_HOOK => {
                exactly(value, 64)?;
                self.hook_authority = key_or_none(&fields, 0)?;
                self.hook_program = key_or_none(&fields, 32)?;
            }
            kind::PAUSABLE => {
                exactly(value, 33)?;
                self.pause_authority = key_or_none(&fields, 0)?;
                self.is_paused = fields.flag(32)?;
            }
            // What is shown, said of it or kept secret: a plain transfer moves the same amount.
            kind::CONFIDENTIAL_TRANSFER_MINT
            | kind::INTEREST_BEARING
            | kind::CONFIDENTIAL_TRANSFER_FEE_CONFIG
            | kind::METADATA_POINTER
            | kind::TOKEN_METADATA
            | kind::GROUP_POINTER
            | kind::TOKEN_GROUP
            | kind::GROUP_MEMBER_POINTER
            | kind::TOKEN_GROUP_MEMBER
            | kind::CONFIDENTIAL_MINT_BURN
            | kind::SCALED_UI_AMOUNT
            | kind::PERMISSIONED_BURN => {}
            other => self.unknown_extension = self.unknown_extension.or(Some(other)),
        }
        Ok(())
    }

    /// What its transfers cost in `epoch`.
    #[must_use]
    pub fn transfer_fee(&self, epoch: u64) -> TransferFee {
        match self.fee {
            None => TransferFee::NONE,
            Some(fee) if epoch >= fee.epoch => fee.newer,
            Some(fee) => fee.older,
        }
    }

    /// What of it may hurt who holds it.
    #[must_use]
    pub fn dangers(&self) -> Dangers {
        let is_fee = |fee: FeeConfig| fee.older.bps != 0 || fee.newer.bps != 0;
        let found = [
            (Danger::UnknownExtension, self.unknown_extension.is_some()),
            (Danger::NonTransferable, self.is_non_transferable),
            (Danger::TransferHook, self.hook_program.is_some()),
            (Danger::Paused, self.is_paused),
            (Danger::FrozenByDefault, self.is_frozen_by_default),
            (Danger::MintAuthority, self.mint_authority.is_some()),
            (Danger::FreezeAuthority, self.freeze_authority.is_some()),
            (Danger::PermanentDelegate, self.permanent_delegate.is_some()),
            (Danger::TransferFee, self.fee.is_some_and(is_fee)),
            (
                Danger::FeeMayChange,
                self.fee.is_some_and(|fee| fee.authority.is_some()),
            ),
            (Danger::HookMayChange, self.hook_authority.is_some()),
            (Danger::MayBePaused, self.pause_authority.is_some()),
            (Danger::MayBeClosed, self.close_authority.is_some()),
        ];
        let mut dangers = Dangers::default();
        for (danger, _) in found.into_iter().filter(|(_, is)| *is) {
            dangers.0 |= 1 << danger as u16;
        }
        dangers
    }
}

/// What of a mint may hurt who holds it. Those up to [`Danger::FrozenByDefault`] forbid trading.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Danger {
    /// An extension whose meaning is not known.
    UnknownExtension,
    /// It never moves.
    NonTransferable,
    /// Every transfer calls a program, which may refuse it.
    TransferHook,
    /// Its transfers are stopped.
    Paused,
    /// New token accounts are frozen.
    FrozenByDefault,
    /// More may be made.
    MintAuthority,
    /// Token accounts may be frozen.
    FreezeAuthority,
    /// Someone may move or burn anyone's tokens.
    PermanentDelegate,
    /// Transfers cost a part, now or from an epoch on.
    TransferFee,
    /// The transfer fee may be changed.
    FeeMayChange,
    /// The program that transfers call may be changed, or set.
    HookMayChange,
    /// Its transfers may be stopped.
    MayBePaused,
    /// It may be closed while there is no supply.
    MayBeClosed,
}

impl Danger {
    /// How many there are.
    pub const COUNT: usize = 13;
    /// Every one, in the order of the discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::UnknownExtension,
        Self::NonTransferable,
        Self::TransferHook,
        Self::Paused,
        Self::FrozenByDefault,
        Self::MintAuthority,
        Self::FreezeAuthority,
        Self::PermanentDelegate,
        Self::TransferFee,
        Self::FeeMayChange,
        Self::HookMayChange,
        Self::MayBePaused,
        Self::MayBeClosed,
    ];

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "unknown_extension",
            "non_transferable",
            "transfer_hook",
            "paused",
            "frozen_by_default",
            "mint_authority",
            "freeze_authority",
            "permanent_delegate",
            "transfer_fee",
            "fee_may_change",
            "hook_may_change",
            "may_be_paused",
            "may_be_closed",
        ]
    }
}

/// A set of [`Danger`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dangers(u16);

impl Dangers {
    const FORBIDDING: u16 = (1 << (Danger::FrozenByDefault as u16 + 1)) - 1;

    /// Whether it holds `danger`.
    #[inline]
    #[must_use]
    pub const fn has(self, danger: Danger) -> bool {
        self.0 & 1 << danger as u16 != 0
    }

    /// Whether somebody can, now or at will, take the coin from whoever holds it, keep it from being sold, or make it
    /// worthless: what the mint of a launch pad's coin never leaves open. A transfer fee that nobody may change is no
    /// threat, it has its place in the price.
    #[must_use]
    pub const fn threatens_holders(self) -> bool {
        const THREATS: [Danger; 6] = [
            Danger::MintAuthority,
            Danger::FreezeAuthority,
            Danger::PermanentDelegate,
            Danger::FeeMayChange,
            Danger::HookMayChange,
            Danger::MayBePaused,
        ];
        let mut mask = Self::FORBIDDING;
        let mut index = 0;
        while index < THREATS.len() {
            mask |= 1 << THREATS[index] as u16;
            index += 1;
        }
        self.0 & mask != 0
    }

    /// The first danger that forbids trading.
    #[must_use]
    pub fn forbidding(self) -> Option<Danger> {
        Self(self.0 & Self::FORBIDDING).iter().next()
    }

    /// Every danger in it.
    pub fn iter(self) -> impl Iterator<Item = Danger> {
        Danger::ALL
            .into_iter()
            .filter(move |danger| self.has(*danger))
    }
}

/// A token account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TokenAccount {
    /// Of which coin.
    pub mint: Key,
    /// Whose.
    pub owner: Key,
    /// How much, raw units. What a transfer fee withheld here is not in it.
    pub amount: u64,
    /// Who else may move some of it.
    pub delegate: Option<Key>,
    /// How much of it, raw units.
    pub delegated_amount: u64,
    /// Nothing moves in or out.
    pub is_frozen: bool,
    /// Wrapped SOL: the lamports that stay behind as rent.
    pub native_rent: Option<u64>,
    /// Who may close it besides the owner.
    pub close_authority: Option<Key>,
    /// Transfers to it need a memo before them.
    pub needs_memo: bool,
    /// Its owner's signature does not move it from inside other programs.
    pub is_cpi_guarded: bool,
    /// First extension whose meaning is not known.
    pub unknown_extension: Option<u16>,
}

impl TokenAccount {
    /// Reads a token account of `program`.
    ///
    /// # Errors
    /// [`AccountReject`]; as for a mint, an unknown extension is no error.
    pub fn parse(data: &[u8], program: TokenProgram) -> Result<Self, AccountReject> {
        let fields = whole(data, program, ACCOUNT_LEN, KIND_ACCOUNT)?;
        let is_frozen = match fields.u8(108)? {
            0 => return Err(AccountReject::OtherKind),
            1 => false,
            STATE_FROZEN => true,
            _ => return Err(AccountReject::BadField),
        };
        let mut account = Self {
            mint: fields.key(0)?,
            owner: fields.key(32)?,
            amount: fields.u64(64)?,
            delegate: option_key(&fields, 72)?,
            is_frozen,
            native_rent: if is_some(&fields, 109)? {
                Some(fields.u64(113)?)
            } else {
                None
            },
            delegated_amount: fields.u64(121)?,
            close_authority: option_key(&fields, 129)?,
            ..Self::default()
        };
        each_extension(data, |kind, value| account.extend(kind, value))?;
        Ok(account)
    }

    fn extend(&mut self, kind: u16, value: &[u8]) -> Result<(), AccountReject> {
        let fields = Fields::new(value);
        match kind {
            kind::MEMO_TRANSFER => {
                exactly(value, 1)?;
                self.needs_memo = fields.flag(0)?;
            }
            kind::CPI_GUARD => {
                exactly(value, 1)?;
                self.is_cpi_guarded = fields.flag(0)?;
            }
            // What the mint's extensions leave behind here.
            kind::TRANSFER_FEE_AMOUNT
            | kind::CONFIDENTIAL_TRANSFER_ACCOUNT
            | kind::IMMUTABLE_OWNER
            | kind::NON_TRANSFERABLE_ACCOUNT
            | kind::TRANSFER_HOOK_ACCOUNT
            | kind::CONFIDENTIAL_TRANSFER_FEE_AMOUNT
            | kind::PAUSABLE_ACCOUNT => {}
            other => self.unknown_extension = self.unknown_extension.or(Some(other)),
        }
        Ok(())
    }
}

/// Checks an account's length and kind.
fn whole(
    data: &[u8],
    program: TokenProgram,
    base_len: usize,
    kind: u8,
) -> Result<Fields<'_>, AccountReject> {
    if data.len() < base_len {
        return Err(AccountReject::Short);
    }
    if data.len() == base_len {
        return Ok(Fields::new(data));
    }
    let padding = data.get(base_len..KIND_AT).unwrap_or_default();
    let is_extended = program == TokenProgram::Token2022
        && data.len() != MULTISIG_LEN
        && data.get(KIND_AT) == Some(&kind)
        && padding.iter().all(|byte| *byte == 0);
    if is_extended {
        Ok(Fields::new(data))
    } else {
        Err(AccountReject::OtherKind)
    }
}

/// Calls `each` with the type and the bytes of every extension. Nothing follows a type of zero.
fn each_extension(
    data: &[u8],
    mut each: impl FnMut(u16, &[u8]) -> Result<(), AccountReject>,
) -> Result<(), AccountReject> {
    let mut rest = data.get(EXTENSIONS_AT..).unwrap_or_default();
    while let Some((kind, after)) = rest.split_first_chunk::<2>() {
        let kind = u16::from_le_bytes(*kind);
        if kind == kind::END {
            break;
        }
        let (len, after) = after.split_first_chunk::<2>().ok_or(AccountReject::Short)?;
        let (value, after) = after
            .split_at_checked(usize::from(u16::from_le_bytes(*len)))
            .ok_or(AccountReject::Short)?;
        each(kind, value)?;
        rest = after;
    }
    Ok(())
}

fn exactly(value: &[u8], len: usize) -> Result<(), AccountReject> {
    if value.len() == len {
        Ok(())
    } else {
        Err(AccountReject::BadField)
    }
}

/// `COption`: four bytes that say whether there is one.
fn is_some(fields: &Fields<'_>, offset: usize) -> Result<bool, AccountReject> {
    match fields.u32(offset)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(AccountReject::BadField),
    }
}

fn option_key(fields: &Fields<'_>, offset: usize) -> Result<Option<Key>, AccountReject> {
    if is_some(fields, offset)? {
        fields.key(offset + 4).map(Some)
    } else {
        Ok(None)
    }
}

/// An extension's key, where zeroes stand for none.
fn key_or_none(fields: &Fields<'_>, offset: usize) -> Result<Option<Key>, AccountReject> {
    let key = fields.key(offset)?;
    Ok(Some(key).filter(|key| *key != [0; 32]))
}

/// A fee at its bound: eight bytes, then two of basis points.
fn transfer_fee(fields: &Fields<'_>, offset: usize) -> Result<TransferFee, AccountReject> {
    let bps = fields.u16(offset + 8)?;
    if u64::from(bps) > BPS_WHOLE {
        return Err(AccountReject::BadField);
    }
    Ok(TransferFee {
        bps,
        fee_max: fields.u64(offset)?,
    })
}
