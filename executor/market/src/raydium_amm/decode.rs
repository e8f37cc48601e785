//! Raydium AMM v4's outer instructions: a byte of tag, then little-endian integers.
//!
//! Source: `AmmInstruction::unpack` and the account lists of each `process_*` (raydium-amm 27f461d and 3b087ad). The
//! program counts accounts exactly where this does, and refuses others.

use super::{InitializePositions, POOL, SwapPositions, liquidity, tag};
use crate::decode::DecodeReject;
use crate::event::{Create, Liquidity, PoolAction, PoolCall, Swap, SwapAmounts};
use crate::instruction::{Arguments, Instruction};

pub(crate) fn decode(instruction: &Instruction<'_>) -> Result<PoolCall, DecodeReject> {
    let mut arguments = Arguments::new(instruction.data());
    match arguments.u8()? {
        tag::INITIALIZE2 => initialize(instruction, arguments),
        tag::DEPOSIT => deposit(instruction, arguments),
        tag::WITHDRAW => withdraw(instruction, arguments),
        tag::SWAP_BASE_IN => swap(instruction, legacy(instruction)?, exact_in(arguments)?),
        tag::SWAP_BASE_OUT => swap(instruction, legacy(instruction)?, exact_out(arguments)?),
        tag::SWAP_BASE_IN_V2 => swap(instruction, SwapPositions::V2, exact_in(arguments)?),
        tag::SWAP_BASE_OUT_V2 => swap(instruction, SwapPositions::V2, exact_out(arguments)?),
        _ => Err(DecodeReject::OtherInstruction),
    }
}

/// Target orders are optional, and only the count tells whether they are there.
fn legacy(instruction: &Instruction<'_>) -> Result<SwapPositions, DecodeReject> {
    [SwapPositions::LEGACY, SwapPositions::LEGACY_TARGET]
        .into_iter()
        .find(|positions| positions.count == instruction.account_count())
        .ok_or(DecodeReject::MissingAccounts)
}

fn exact_in(mut arguments: Arguments<'_>) -> Result<SwapAmounts, DecodeReject> {
    Ok(SwapAmounts::ExactIn {
        amount_in: arguments.u64()?,
        out_min: arguments.u64()?,
    })
}

fn exact_out(mut arguments: Arguments<'_>) -> Result<SwapAmounts, DecodeReject> {
    Ok(SwapAmounts::ExactOut {
        in_max: arguments.u64()?,
        amount_out: arguments.u64()?,
    })
}

/// No mint is named: which way it goes, only the owner of the two token accounts knows.
fn swap(
    instruction: &Instruction<'_>,
    positions: SwapPositions,
    amounts: SwapAmounts,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(positions.count)?;
    Ok(PoolCall {
        pool: instruction.account(POOL),
        actor: Some(instruction.signer(positions.owner())?),
        action: PoolAction::Swap(Swap {
            amounts,
            way: None,
            mint_in: None,
            mint_out: None,
            account_in: instruction.account(positions.source),
            account_out: instruction.account(positions.destination()),
            price_limit: None,
        }),
    })
}

fn initialize(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
) -> Result<PoolCall, DecodeReject> {
    let _nonce = arguments.u8()?;
    let opens_at = arguments.u64()?;
    let (amount_b, amount_a) = (arguments.u64()?, arguments.u64()?);
    let positions = if instruction.account_count() == InitializePositions::SHORT.count {
        InitializePositions::SHORT
    } else {
        InitializePositions::LEGACY
    };
    instruction.at_least(positions.count)?;
    let after_lp_mint = |position| instruction.account(positions.lp_mint + position);
    Ok(PoolCall {
        pool: instruction.account(InitializePositions::POOL),
        actor: Some(instruction.signer(positions.user)?),
        action: PoolAction::Create(Create {
            mint_a: after_lp_mint(1),
            mint_b: after_lp_mint(2),
            vault_a: after_lp_mint(3),
            vault_b: after_lp_mint(4),
            config: after_lp_mint(6),
            amount_a,
            amount_b,
            opens_at: Some(opens_at),
            ..Create::default()
        }),
    })
}

/// The share is what the program reckons from the limits; which side is fixed (`base_side`) is not in the event.
fn deposit(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
) -> Result<PoolCall, DecodeReject> {
    let (limit_a, limit_b) = (arguments.u64()?, arguments.u64()?);
    let _base_side = arguments.u64()?;
    let owner = match instruction.account_count() {
        liquidity::SHORT_COUNT => liquidity::SHORT_OWNER,
        liquidity::DEPOSIT_COUNT | 15 => liquidity::DEPOSIT_OWNER,
        _ => return Err(DecodeReject::MissingAccounts),
    };
    Ok(PoolCall {
        pool: instruction.account(POOL),
        actor: Some(instruction.signer(owner)?),
        action: PoolAction::Deposit(Liquidity {
            share: 0,
            limit_a,
            limit_b,
        }),
    })
}

fn withdraw(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
) -> Result<PoolCall, DecodeReject> {
    let share = u128::from(arguments.u64()?);
    // Both minima or none: the program ignores a lone one.
    let (limit_a, limit_b) = if arguments.rest().len() >= 16 {
        (arguments.u64()?, arguments.u64()?)
    } else {
        (0, 0)
    };
    let owner = match instruction.account_count() {
        liquidity::SHORT_COUNT => liquidity::SHORT_OWNER,
        liquidity::WITHDRAW_COUNT | 21 => liquidity::WITHDRAW_OWNER,
        22 | 23 => liquidity::WITHDRAW_OWNER + liquidity::WITHDRAW_PADDING,
        _ => return Err(DecodeReject::MissingAccounts),
    };
    Ok(PoolCall {
        pool: instruction.account(POOL),
        actor: Some(instruction.signer(owner)?),
        action: PoolAction::Withdraw(Liquidity {
            share,
            limit_a,
            limit_b,
        }),
    })
}
