//! Outer instructions of the token programs and the system program: what changes a coin's rules, and whose money moves.
//!
//! Source: spl-token-interface 3.0.0 and spl-token-2022-interface 3.1.1 `instruction.rs` (tags, arguments, accounts),
//! solana-system-interface 3.3.0.

use shred_wire::txn::TxnView;

use super::{SYSTEM_PROGRAM, TokenProgram, TransferFee};
use crate::decode::{DecodeReject, Decoded};
use crate::instruction::{AccountKeys, Arguments, Instruction};
use crate::lookup::LookupTables;
use crate::units::{Key, Lamports};

/// Whose transfers are told.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    owners: &'a [Key],
    tips: &'a [Key],
}

impl<'a> Watch<'a> {
    /// Nobody's.
    pub const NOBODY: Watch<'static> = Watch {
        owners: &[],
        tips: &[],
    };

    /// Transfers by any of `owners`, and SOL to any of `tips`. Sorts both in place.
    #[must_use]
    pub fn new(owners: &'a mut [Key], tips: &'a mut [Key]) -> Self {
        owners.sort_unstable();
        tips.sort_unstable();
        Self { owners, tips }
    }

    fn is_owner(&self, key: Option<Key>) -> bool {
        key.is_some_and(|key| self.owners.binary_search(&key).is_ok())
    }

    fn is_tip(&self, key: Option<Key>) -> bool {
        key.is_some_and(|key| self.tips.binary_search(&key).is_ok())
    }
}

/// One change. Accounts behind an unknown lookup table are `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenEvent {
    /// A mint is made.
    Mint {
        /// The mint.
        mint: Option<Key>,
        /// Its program.
        program: TokenProgram,
        /// Its decimals.
        decimals: u8,
        /// Who may make more.
        mint_authority: Key,
        /// Who may freeze.
        freeze_authority: Option<Key>,
    },
    /// A mint gets an extension, or an extension's rule changes.
    Extended {
        /// The mint.
        mint: Option<Key>,
        /// The extension, as it is from now on.
        extension: Extension,
    },
    /// An authority is handed on or given up.
    Authority {
        /// The mint or token account.
        account: Option<Key>,
        /// Over what.
        role: Role,
        /// Who has it from now on; `None` when given up.
        to: Option<Key>,
        /// Who had it.
        by: Option<Key>,
    },
    /// More of a coin is made.
    Minted {
        /// The mint.
        mint: Option<Key>,
        /// The token account that gets it.
        to: Option<Key>,
        /// How much, raw units.
        amount: u64,
    },
    /// A token account is frozen or thawed.
    Frozen {
        /// The token account.
        account: Option<Key>,
        /// Its mint.
        mint: Option<Key>,
        /// Frozen, not thawed.
        is_frozen: bool,
    },
    /// Every transfer of a coin is stopped or let go.
    Paused {
        /// The mint.
        mint: Option<Key>,
        /// Stopped, not let go.
        is_paused: bool,
    },
    /// A watched owner sends tokens.
    Sent {
        /// The owner.
        owner: Key,
        /// The token account that gives.
        from: Option<Key>,
        /// The token account that gets.
        to: Option<Key>,
        /// The mint, where the instruction names it.
        mint: Option<Key>,
        /// How much is sent, raw units, transfer fee included.
        amount: u64,
    },
    /// A watched owner sends SOL.
    SentSol {
        /// The owner.
        owner: Key,
        /// Who gets it.
        to: Option<Key>,
        /// How much.
        amount: Lamports,
    },
    /// SOL is sent to a tip account.
    Tip {
        /// Who sends it.
        from: Option<Key>,
        /// The tip account.
        to: Key,
        /// How much.
        amount: Lamports,
    },
}

/// What an authority is over. Source: `instruction.rs` `AuthorityType`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// Making more of a coin.
    MintTokens,
    /// Freezing its token accounts.
    Freeze,
    /// A token account's owner.
    Owner,
    /// Closing a token account.
    CloseAccount,
    /// The transfer fee.
    TransferFee,
    /// Taking transfer fees that were withheld.
    WithheldFees,
    /// Closing a mint.
    CloseMint,
    /// The permanent delegate.
    PermanentDelegate,
    /// The program that transfers call.
    TransferHook,
    /// Stopping transfers.
    Pause,
    /// One that moves no token: pointers, shown amounts, confidential transfers, permissioned burns.
    Other,
    /// One that is not known.
    Unknown,
}

impl Role {
    const fn of(kind: u8) -> Self {
        match kind {
            0 => Self::MintTokens,
            1 => Self::Freeze,
            2 => Self::Owner,
            3 => Self::CloseAccount,
            4 => Self::TransferFee,
            5 => Self::WithheldFees,
            6 => Self::CloseMint,
            8 => Self::PermanentDelegate,
            10 => Self::TransferHook,
            16 => Self::Pause,
            7 | 9 | 11..=15 | 17 => Self::Other,
            _ => Self::Unknown,
        }
    }
}

/// An extension of a mint that says how its tokens move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extension {
    /// Transfers cost a part.
    TransferFee(TransferFee),
    /// Transfers call a program, or none until its authority names one.
    TransferHook(Option<Key>),
    /// Someone may move or burn anyone's tokens.
    PermanentDelegate(Key),
    /// Whether new token accounts are frozen.
    FrozenByDefault(bool),
    /// Someone may stop every transfer.
    Pausable(Key),
    /// It never moves.
    NonTransferable,
    /// Someone may close the mint while there is no supply.
    MayBeClosed(Option<Key>),
    /// Only who is named here may burn.
    PermissionedBurn,
}

/// Tags of the instructions. The two programs share them; those from 25 on are Token-2022's, but for the batch.
mod tag {
    pub(super) const INITIALIZE_MINT: u8 = 0;
    pub(super) const TRANSFER: u8 = 3;
    pub(super) const SET_AUTHORITY: u8 = 6;
    pub(super) const MINT_TO: u8 = 7;
    pub(super) const FREEZE_ACCOUNT: u8 = 10;
    pub(super) const THAW_ACCOUNT: u8 = 11;
    pub(super) const TRANSFER_CHECKED: u8 = 12;
    pub(super) const MINT_TO_CHECKED: u8 = 14;
    pub(super) const INITIALIZE_MINT_2: u8 = 20;
    pub(super) const INITIALIZE_MINT_CLOSE_AUTHORITY: u8 = 25;
    pub(super) const TRANSFER_FEE: u8 = 26;
    pub(super) const DEFAULT_ACCOUNT_STATE: u8 = 28;
    pub(super) const INITIALIZE_NON_TRANSFERABLE: u8 = 32;
    pub(super) const INITIALIZE_PERMANENT_DELEGATE: u8 = 35;
    pub(super) const TRANSFER_HOOK: u8 = 36;
    pub(super) const PAUSABLE: u8 = 44;
    pub(super) const PERMISSIONED_BURN: u8 = 46;
    pub(super) const LAST: u8 = 46;
    pub(super) const BATCH: u8 = 255;
}

/// Tags of the system program's transfers. Source: solana-system-interface `SystemInstruction`.
mod system {
    pub(super) const TRANSFER: u32 = 2;
    pub(super) const TRANSFER_WITH_SEED: u32 = 11;
}

const STATE_INITIALIZED: u8 = 1;
const STATE_FROZEN: u8 = 2;

/// Hands every such change among `txn`'s outer instructions to `emit`, in order.
///
/// Instructions that change nothing of the sort are passed over; ones that are not known, or that the program would
/// refuse, are counted. Allocates nothing and cannot panic, whatever the bytes are.
pub fn decode(
    txn: &TxnView<'_>,
    tables: &LookupTables,
    watch: &Watch<'_>,
    emit: &mut impl FnMut(TokenEvent),
) -> Decoded {
    let mut decoded = Decoded::default();
    let keys = AccountKeys::new(txn, tables);
    for view in txn.instructions() {
        let Some(id) = txn.keys().get(usize::from(view.program_index)) else {
            continue;
        };
        let instruction = Instruction::new(keys, &view);
        let mut count = |event| {
            decoded.event_count += 1;
            emit(event);
        };
        let done = if *id == SYSTEM_PROGRAM {
            transfer_sol(&instruction, watch, &mut count)
        } else if let Some(program) = TokenProgram::of(id) {
            token(&instruction, program, watch, &mut count)
        } else {
            continue;
        };
        if let Err(reason) = done {
            decoded.rejected[reason as usize] += 1;
        }
    }
    decoded
}

fn transfer_sol(
    instruction: &Instruction<'_>,
    watch: &Watch<'_>,
    emit: &mut impl FnMut(TokenEvent),
) -> Result<(), DecodeReject> {
    let mut arguments = Arguments::new(instruction.data());
    let to = match arguments.u32()? {
        system::TRANSFER => 1,
        system::TRANSFER_WITH_SEED => 2,
        _ => return Ok(()),
    };
    instruction.at_least(to + 1)?;
    let amount = Lamports(arguments.u64()?);
    let (from, to) = (instruction.account(0), instruction.account(to));
    if let Some(to) = to.filter(|to| watch.is_tip(Some(*to))) {
        emit(TokenEvent::Tip { from, to, amount });
    }
    if let Some(owner) = from.filter(|from| watch.is_owner(Some(*from))) {
        emit(TokenEvent::SentSol { owner, to, amount });
    }
    Ok(())
}

fn token(
    instruction: &Instruction<'_>,
    program: TokenProgram,
    watch: &Watch<'_>,
    emit: &mut impl FnMut(TokenEvent),
) -> Result<(), DecodeReject> {
    if instruction.data().first() == Some(&tag::BATCH) {
        return batch(instruction, program, watch, emit);
    }
    if let Some(event) = single(instruction, program, watch)? {
        emit(event);
    }
    Ok(())
}

/// Several instructions in one: of each, how many accounts, how many bytes, the bytes. None of them is a batch.
fn batch(
    instruction: &Instruction<'_>,
    program: TokenProgram,
    watch: &Watch<'_>,
    emit: &mut impl FnMut(TokenEvent),
) -> Result<(), DecodeReject> {
    let mut rest = instruction.data().get(1..).unwrap_or_default();
    let mut from = 0;
    while let Some(([account_count, len], after)) = rest.split_first_chunk::<2>() {
        let (data, after) = after
            .split_at_checked(usize::from(*len))
            .ok_or(DecodeReject::ShortData)?;
        let account_count = usize::from(*account_count);
        instruction.at_least(from + account_count)?;
        let part = instruction.part(from, account_count, data);
        if let Some(event) = single(&part, program, watch)? {
            emit(event);
        }
        from += account_count;
        rest = after;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(DecodeReject::ShortData)
    }
}

fn single(
    instruction: &Instruction<'_>,
    program: TokenProgram,
    watch: &Watch<'_>,
) -> Result<Option<TokenEvent>, DecodeReject> {
    let mut arguments = Arguments::new(instruction.data());
    let of = |position| instruction.account(position);
    let event = match arguments.u8()? {
        tag::INITIALIZE_MINT | tag::INITIALIZE_MINT_2 => {
            instruction.at_least(1)?;
            TokenEvent::Mint {
                mint: of(0),
                program,
                decimals: arguments.u8()?,
                mint_authority: arguments.key()?,
                freeze_authority: option_key(&mut arguments)?,
            }
        }
        tag::SET_AUTHORITY => {
            instruction.at_least(2)?;
            TokenEvent::Authority {
                account: of(0),
                role: Role::of(arguments.u8()?),
                to: option_key(&mut arguments)?,
                by: of(1),
            }
        }
        tag::MINT_TO | tag::MINT_TO_CHECKED => {
            instruction.at_least(3)?;
            TokenEvent::Minted {
                mint: of(0),
                to: of(1),
                amount: arguments.u64()?,
            }
        }
        tag @ (tag::FREEZE_ACCOUNT | tag::THAW_ACCOUNT) => {
            instruction.at_least(3)?;
            TokenEvent::Frozen {
                account: of(0),
                mint: of(1),
                is_frozen: tag == tag::FREEZE_ACCOUNT,
            }
        }
        tag::TRANSFER => {
            instruction.at_least(3)?;
            return Ok(sent(watch, of(2), [of(0), of(1), None], arguments.u64()?));
        }
        tag::TRANSFER_CHECKED => {
            return sent_checked(instruction, watch, &mut arguments);
        }
        // What is known of both programs, and changes nothing here.
        1 | 2 | 4 | 5 | 8 | 9 | 13 | 15..=19 | 21..=24 | 38 | 45 => return Ok(None),
        tag if program == TokenProgram::Token2022 && tag <= tag::LAST => {
            return extension(instruction, tag, watch, &mut arguments);
        }
        _ => return Err(DecodeReject::OtherInstruction),
    };
    Ok(Some(event))
}

/// Token-2022's instructions for its extensions: a tag, and for most a second one.
fn extension(
    instruction: &Instruction<'_>,
    tag: u8,
    watch: &Watch<'_>,
    arguments: &mut Arguments<'_>,
) -> Result<Option<TokenEvent>, DecodeReject> {
    let extension = match tag {
        tag::INITIALIZE_MINT_CLOSE_AUTHORITY => Extension::MayBeClosed(option_key(arguments)?),
        tag::INITIALIZE_NON_TRANSFERABLE => Extension::NonTransferable,
        tag::INITIALIZE_PERMANENT_DELEGATE => Extension::PermanentDelegate(arguments.key()?),
        tag::TRANSFER_FEE => match arguments.u8()? {
            0 => {
                let _config_authority = option_key(arguments)?;
                let _withdraw_authority = option_key(arguments)?;
                Extension::TransferFee(transfer_fee(arguments)?)
            }
            1 => return sent_checked(instruction, watch, arguments),
            5 => Extension::TransferFee(transfer_fee(arguments)?),
            _ => return Ok(None),
        },
        tag::DEFAULT_ACCOUNT_STATE => match (arguments.u8()?, arguments.u8()?) {
            (0 | 1, STATE_INITIALIZED) => Extension::FrozenByDefault(false),
            (0 | 1, STATE_FROZEN) => Extension::FrozenByDefault(true),
            _ => return Err(DecodeReject::BadArgument),
        },
        tag::TRANSFER_HOOK => match arguments.u8()? {
            0 => {
                let _authority = arguments.key()?;
                Extension::TransferHook(key_or_none(arguments)?)
            }
            1 => Extension::TransferHook(key_or_none(arguments)?),
            _ => return Err(DecodeReject::BadArgument),
        },
        tag::PAUSABLE => match arguments.u8()? {
            0 => Extension::Pausable(arguments.key()?),
            order @ (1 | 2) => {
                instruction.at_least(2)?;
                return Ok(Some(TokenEvent::Paused {
                    mint: instruction.account(0),
                    is_paused: order == 1,
                }));
            }
            _ => return Err(DecodeReject::BadArgument),
        },
        tag::PERMISSIONED_BURN => match arguments.u8()? {
            0 => Extension::PermissionedBurn,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    instruction.at_least(1)?;
    Ok(Some(TokenEvent::Extended {
        mint: instruction.account(0),
        extension,
    }))
}

/// `transfer_checked`, with or without the fee said: source, mint, destination, owner.
fn sent_checked(
    instruction: &Instruction<'_>,
    watch: &Watch<'_>,
    arguments: &mut Arguments<'_>,
) -> Result<Option<TokenEvent>, DecodeReject> {
    instruction.at_least(4)?;
    let of = |position| instruction.account(position);
    Ok(sent(watch, of(3), [of(0), of(2), of(1)], arguments.u64()?))
}

fn sent(
    watch: &Watch<'_>,
    owner: Option<Key>,
    [from, to, mint]: [Option<Key>; 3],
    amount: u64,
) -> Option<TokenEvent> {
    let owner = owner.filter(|owner| watch.is_owner(Some(*owner)))?;
    Some(TokenEvent::Sent {
        owner,
        from,
        to,
        mint,
        amount,
    })
}

/// A byte that says whether a key follows.
fn option_key(arguments: &mut Arguments<'_>) -> Result<Option<Key>, DecodeReject> {
    match arguments.u8()? {
        0 => Ok(None),
        1 => arguments.key().map(Some),
        _ => Err(DecodeReject::BadArgument),
    }
}

/// A key, where zeroes stand for none.
fn key_or_none(arguments: &mut Arguments<'_>) -> Result<Option<Key>, DecodeReject> {
    let key = arguments.key()?;
    Ok(Some(key).filter(|key| *key != [0; 32]))
}

fn transfer_fee(arguments: &mut Arguments<'_>) -> Result<TransferFee, DecodeReject> {
    Ok(TransferFee {
        bps: arguments.u16()?,
        fee_max: arguments.u64()?,
    })
}
