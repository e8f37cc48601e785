//! Meteora DAMM v2's outer instructions.

use crate::damm::{self, CreateLayout, add_liquidity, discriminator, remove_liquidity, swap_mode};
use crate::decode::DecodeReject;
use crate::event::{Create, Liquidity, PoolAction, PoolCall, Price, Swap, SwapAmounts};
use crate::instruction::{Arguments, Instruction};

pub(crate) fn decode(instruction: &Instruction<'_>) -> Result<PoolCall, DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    match discriminator {
        discriminator::SWAP => {
            let (amount_in, out_min) = (arguments.u64()?, arguments.u64()?);
            swap(instruction, SwapAmounts::ExactIn { amount_in, out_min })
        }
        discriminator::SWAP2 => swap(instruction, swap2_amounts(&mut arguments)?),
        discriminator::INITIALIZE_POOL => {
            let (_liquidity, price) = (arguments.u128()?, arguments.u128()?);
            let _activation_point = optional(&mut arguments, Arguments::u64)?;
            create(instruction, &damm::INITIALIZE_POOL, price, None)
        }
        discriminator::INITIALIZE_POOL_WITH_DYNAMIC_CONFIG => {
            let (price, opens_at) = custom_arguments(&mut arguments)?;
            let layout = &damm::INITIALIZE_POOL_WITH_DYNAMIC_CONFIG;
            create(instruction, layout, price, opens_at)
        }
        discriminator::INITIALIZE_CUSTOMIZABLE_POOL => {
            let (price, opens_at) = custom_arguments(&mut arguments)?;
            let layout = &damm::INITIALIZE_CUSTOMIZABLE_POOL;
            create(instruction, layout, price, opens_at)
        }
        discriminator::ADD_LIQUIDITY => {
            instruction.at_least(add_liquidity::LEN)?;
            let share = arguments.u128()?;
            Ok(PoolCall {
                pool: instruction.account(add_liquidity::POOL),
                actor: Some(instruction.signer(add_liquidity::OWNER)?),
                action: PoolAction::Deposit(limits(&mut arguments, share)?),
            })
        }
        discriminator::REMOVE_LIQUIDITY => {
            let share = arguments.u128()?;
            withdraw(instruction, limits(&mut arguments, share)?)
        }
        discriminator::REMOVE_ALL_LIQUIDITY => withdraw(instruction, limits(&mut arguments, 0)?),
        _ => Err(DecodeReject::OtherInstruction),
    }
}

/// The arguments of `swap2`: the bonding curve's program reads them the same way.
pub(crate) fn swap2_amounts(arguments: &mut Arguments<'_>) -> Result<SwapAmounts, DecodeReject> {
    let (first, second, mode) = (arguments.u64()?, arguments.u64()?, arguments.u8()?);
    match mode {
        swap_mode::EXACT_IN => Ok(SwapAmounts::ExactIn {
            amount_in: first,
            out_min: second,
        }),
        swap_mode::PARTIAL_FILL => Ok(SwapAmounts::UpToIn {
            amount_in: first,
            out_min: second,
        }),
        swap_mode::EXACT_OUT => Ok(SwapAmounts::ExactOut {
            amount_out: first,
            in_max: second,
        }),
        _ => Err(DecodeReject::BadArgument),
    }
}

/// A borsh `Option`.
pub(crate) fn optional<'a, T>(
    arguments: &mut Arguments<'a>,
    read: impl FnOnce(&mut Arguments<'a>) -> Result<T, DecodeReject>,
) -> Result<Option<T>, DecodeReject> {
    match arguments.u8()? {
        0 => Ok(None),
        1 => read(arguments).map(Some),
        _ => Err(DecodeReject::BadArgument),
    }
}

fn swap(instruction: &Instruction<'_>, amounts: SwapAmounts) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(damm::swap::LEN)?;
    Ok(PoolCall {
        pool: instruction.account(damm::swap::POOL),
        actor: Some(instruction.signer(damm::swap::PAYER)?),
        action: PoolAction::Swap(Swap {
            amounts,
            way: None,
            mint_in: None,
            mint_out: None,
            account_in: instruction.account(damm::swap::INPUT_ACCOUNT),
            account_out: instruction.account(damm::swap::OUTPUT_ACCOUNT),
            price_limit: None,
        }),
    })
}

/// The first price, and the second it opens when the point is in seconds rather than slots.
fn custom_arguments(arguments: &mut Arguments<'_>) -> Result<(u128, Option<u64>), DecodeReject> {
    /// Seconds rather than slots. Source: `ActivationType`.
    const BY_TIMESTAMP: u8 = 1;
    let _base_fee: [u8; 27] = arguments.take()?;
    let _compounding_bps_and_padding: [u8; 3] = arguments.take()?;
    // Bin step, its 64.64 form, three periods and factors, two bounds.
    let _dynamic_fee = optional(arguments, Arguments::take::<32>)?;
    let _price_range = (arguments.u128()?, arguments.u128()?);
    let _has_alpha_vault = arguments.flag()?;
    let (_liquidity, price) = (arguments.u128()?, arguments.u128()?);
    let (activation_type, _collect_fee_mode) = (arguments.u8()?, arguments.u8()?);
    let point = optional(arguments, Arguments::u64)?;
    Ok((price, point.filter(|_| activation_type == BY_TIMESTAMP)))
}

fn create(
    instruction: &Instruction<'_>,
    layout: &CreateLayout,
    price: u128,
    opens_at: Option<u64>,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(layout.len)?;
    Ok(PoolCall {
        pool: instruction.account(layout.pool),
        actor: Some(instruction.signer(layout.payer)?),
        action: PoolAction::Create(Create {
            mint_a: instruction.account(layout.mint_a),
            mint_b: instruction.account(layout.mint_b),
            vault_a: instruction.account(layout.vault_a),
            vault_b: instruction.account(layout.vault_b),
            config: layout.config.and_then(|at| instruction.account(at)),
            price: Some(Price::SqrtX64(price)),
            opens_at,
            ..Create::default()
        }),
    })
}

fn limits(arguments: &mut Arguments<'_>, share: u128) -> Result<Liquidity, DecodeReject> {
    Ok(Liquidity {
        share,
        limit_a: arguments.u64()?,
        limit_b: arguments.u64()?,
    })
}

fn withdraw(instruction: &Instruction<'_>, liquidity: Liquidity) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(remove_liquidity::LEN)?;
    Ok(PoolCall {
        pool: instruction.account(remove_liquidity::POOL),
        actor: Some(instruction.signer(remove_liquidity::OWNER)?),
        action: PoolAction::Withdraw(liquidity),
    })
}
