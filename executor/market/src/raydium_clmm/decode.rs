//! Raydium CLMM's outer instructions.
//!
//! A limit order rests in the pool until a swap meets it: placing and enlarging one is a deposit, and reducing and
//! settling one a withdrawal, without a share.

use crate::decode::DecodeReject;
use crate::event::{Create, Liquidity, PoolAction, PoolCall, Price, Swap, SwapAmounts, Way};
use crate::instruction::{Arguments, Instruction};
use crate::raydium_clmm::{self as clmm, LiquidityLayout, create, discriminator, router, swap};
use crate::units::Key;

/// What the instruction asks for; of a route, its first pool.
pub(crate) fn decode(instruction: &Instruction<'_>) -> Result<PoolCall, DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    let rest = &mut arguments;
    match discriminator {
        discriminator::CREATE_POOL => {
            let (price, opens_at) = (rest.u128()?, rest.u64()?);
            created(instruction, price, Some(opens_at))
        }
        discriminator::CREATE_CUSTOMIZABLE_POOL => {
            let price = rest.u128()?;
            let _fee_on_and_is_dynamic = (rest.u8()?, rest.flag()?);
            created(instruction, price, None)
        }
        discriminator::SWAP => swapped(instruction, rest, false),
        discriminator::SWAP_V2 => swapped(instruction, rest, true),
        discriminator::SWAP_ROUTER_BASE_IN => routed(instruction, rest),
        discriminator::OPEN_POSITION => opened(instruction, rest, &clmm::OPEN),
        discriminator::OPEN_POSITION_V2 => opened(instruction, rest, &clmm::OPEN_V2),
        discriminator::OPEN_POSITION_WITH_TOKEN22_NFT => {
            opened(instruction, rest, &clmm::OPEN_TOKEN22)
        }
        discriminator::INCREASE_LIQUIDITY => {
            let action = PoolAction::Deposit(liquidity(rest)?);
            provided(instruction, &clmm::INCREASE, action)
        }
        discriminator::INCREASE_LIQUIDITY_V2 => {
            let action = PoolAction::Deposit(liquidity(rest)?);
            provided(instruction, &clmm::INCREASE_V2, action)
        }
        discriminator::DECREASE_LIQUIDITY => {
            let action = PoolAction::Withdraw(liquidity(rest)?);
            provided(instruction, &clmm::DECREASE, action)
        }
        discriminator::DECREASE_LIQUIDITY_V2 => {
            let action = PoolAction::Withdraw(liquidity(rest)?);
            provided(instruction, &clmm::DECREASE_V2, action)
        }
        _ => order(instruction, discriminator, rest),
    }
}

fn order(
    instruction: &Instruction<'_>,
    discriminator: u64,
    arguments: &mut Arguments<'_>,
) -> Result<PoolCall, DecodeReject> {
    let unsaid = Liquidity::default();
    match discriminator {
        discriminator::OPEN_LIMIT_ORDER => {
            let _nonce_index = arguments.u8()?;
            let sells_0 = arguments.flag()?;
            let _tick_index = arguments.u32()?;
            let amount = arguments.u64()?;
            let (limit_a, limit_b) = if sells_0 { (amount, 0) } else { (0, amount) };
            let action = PoolAction::Deposit(Liquidity {
                share: 0,
                limit_a,
                limit_b,
            });
            provided(instruction, &clmm::OPEN_ORDER, action)
        }
        // Which side the amount is of, only the order's account says.
        discriminator::INCREASE_LIMIT_ORDER => {
            let _amount = arguments.u64()?;
            provided(
                instruction,
                &clmm::INCREASE_ORDER,
                PoolAction::Deposit(unsaid),
            )
        }
        discriminator::DECREASE_LIMIT_ORDER => {
            let _amounts = (arguments.u64()?, arguments.u64()?);
            provided(
                instruction,
                &clmm::DECREASE_ORDER,
                PoolAction::Withdraw(unsaid),
            )
        }
        discriminator::SETTLE_LIMIT_ORDER => provided(
            instruction,
            &clmm::SETTLE_ORDER,
            PoolAction::Withdraw(unsaid),
        ),
        _ => Err(DecodeReject::OtherInstruction),
    }
}

fn created(
    instruction: &Instruction<'_>,
    sqrt_price: u128,
    opens_at: Option<u64>,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(create::LEN)?;
    Ok(PoolCall {
        pool: instruction.account(create::POOL),
        actor: Some(instruction.signer(create::CREATOR)?),
        action: PoolAction::Create(Create {
            mint_a: instruction.account(create::MINT_0),
            mint_b: instruction.account(create::MINT_1),
            vault_a: instruction.account(create::VAULT_0),
            vault_b: instruction.account(create::VAULT_1),
            config: instruction.account(create::CONFIG),
            price: Some(Price::SqrtX64(sqrt_price)),
            opens_at,
            ..Create::default()
        }),
    })
}

fn swapped(
    instruction: &Instruction<'_>,
    arguments: &mut Arguments<'_>,
    is_v2: bool,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(if is_v2 { swap::V2_LEN } else { swap::LEN })?;
    let (amount, threshold) = (arguments.u64()?, arguments.u64()?);
    let price_limit = arguments.u128()?;
    let amounts = if arguments.flag()? {
        SwapAmounts::ExactIn {
            amount_in: amount,
            out_min: threshold,
        }
    } else {
        SwapAmounts::ExactOut {
            amount_out: amount,
            in_max: threshold,
        }
    };
    let mint = |position| instruction.account(position).filter(|_| is_v2);
    let (mint_in, mint_out) = (mint(swap::MINT_IN), mint(swap::MINT_OUT));
    Ok(PoolCall {
        pool: instruction.account(swap::POOL),
        actor: Some(instruction.signer(swap::PAYER)?),
        action: PoolAction::Swap(Swap {
            amounts,
            way: way(mint_in, mint_out),
            mint_in,
            mint_out,
            account_in: instruction.account(swap::ACCOUNT_IN),
            account_out: instruction.account(swap::ACCOUNT_OUT),
            // Zero asks for no limit. Source: `swap_v2.rs` `exact_internal_v2`.
            price_limit: (price_limit != 0).then_some(Price::SqrtX64(price_limit)),
        }),
    })
}

fn routed(
    instruction: &Instruction<'_>,
    arguments: &mut Arguments<'_>,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(router::LEN)?;
    let (amount_in, out_min) = (arguments.u64()?, arguments.u64()?);
    let amounts = if instruction.account_count() < router::TWO_POOLS_LEN {
        SwapAmounts::ExactIn { amount_in, out_min }
    } else {
        SwapAmounts::FirstLeg { amount_in }
    };
    let mint_in = instruction.account(router::MINT_IN);
    let mint_out = instruction.account(router::MINT_OUT);
    Ok(PoolCall {
        pool: instruction.account(router::POOL),
        actor: Some(instruction.signer(router::PAYER)?),
        action: PoolAction::Swap(Swap {
            amounts,
            way: way(mint_in, mint_out),
            mint_in,
            mint_out,
            account_in: instruction.account(router::ACCOUNT_IN),
            account_out: instruction.account(router::ACCOUNT_OUT),
            price_limit: None,
        }),
    })
}

/// Side 0 is the mint of the lesser address. Source: `create_pool.rs`, constraint of `token_mint_0`.
fn way(mint_in: Option<Key>, mint_out: Option<Key>) -> Option<Way> {
    Some(if mint_in? < mint_out? {
        Way::AToB
    } else {
        Way::BToA
    })
}

fn opened(
    instruction: &Instruction<'_>,
    arguments: &mut Arguments<'_>,
    layout: &LiquidityLayout,
) -> Result<PoolCall, DecodeReject> {
    for _range_and_its_arrays in 0..4 {
        arguments.u32()?;
    }
    let action = PoolAction::Deposit(liquidity(arguments)?);
    provided(instruction, layout, action)
}

fn provided(
    instruction: &Instruction<'_>,
    layout: &LiquidityLayout,
    action: PoolAction,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(layout.len)?;
    Ok(PoolCall {
        pool: instruction.account(layout.pool),
        actor: Some(instruction.signer(layout.owner)?),
        action,
    })
}

fn liquidity(arguments: &mut Arguments<'_>) -> Result<Liquidity, DecodeReject> {
    Ok(Liquidity {
        share: arguments.u128()?,
        limit_a: arguments.u64()?,
        limit_b: arguments.u64()?,
    })
}
