//! Orca Whirlpool's outer instructions.
//!
//! Opening a position moves no token and no price: it is passed over, the increase that follows is not.

use crate::decode::DecodeReject;
use crate::event::{Create, Liquidity, PoolAction, PoolCall, Price, Swap, SwapAmounts, Way};
use crate::instruction::{Arguments, Instruction};
use crate::whirlpool::{
    self, CreateLayout, LiquidityLayout, SwapLayout, discriminator, two_hop, two_hop_v2,
};

/// What the instruction asks for; of those that ask two things (see [`each`]), the first.
pub(crate) fn decode(instruction: &Instruction<'_>) -> Result<PoolCall, DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    match discriminator {
        discriminator::INITIALIZE_POOL => {
            let _bump = arguments.u8()?;
            let _tick_spacing = arguments.u16()?;
            create(instruction, arguments, &whirlpool::CREATE)
        }
        discriminator::INITIALIZE_POOL_V2 => {
            let _tick_spacing = arguments.u16()?;
            create(instruction, arguments, &whirlpool::CREATE_V2)
        }
        discriminator::INITIALIZE_POOL_WITH_ADAPTIVE_FEE => create_adaptive(instruction, arguments),
        discriminator::SWAP => swap(instruction, arguments, &whirlpool::SWAP),
        discriminator::SWAP_V2 => swap(instruction, arguments, &whirlpool::SWAP_V2),
        discriminator::TWO_HOP_SWAP => two_hop_legs(instruction, arguments).map(|legs| legs[0]),
        discriminator::TWO_HOP_SWAP_V2 => {
            two_hop_v2_legs(instruction, arguments).map(|legs| legs[0])
        }
        discriminator::INCREASE_LIQUIDITY => {
            let action = PoolAction::Deposit(liquidity(&mut arguments)?);
            provide(instruction, &whirlpool::LIQUIDITY, action)
        }
        discriminator::INCREASE_LIQUIDITY_V2 => {
            let action = PoolAction::Deposit(liquidity(&mut arguments)?);
            provide(instruction, &whirlpool::LIQUIDITY_V2, action)
        }
        discriminator::INCREASE_LIQUIDITY_BY_TOKEN_AMOUNTS_V2 => {
            let action = PoolAction::Deposit(by_token_amounts(&mut arguments)?);
            provide(instruction, &whirlpool::LIQUIDITY_V2, action)
        }
        discriminator::DECREASE_LIQUIDITY => {
            let action = PoolAction::Withdraw(liquidity(&mut arguments)?);
            provide(instruction, &whirlpool::LIQUIDITY, action)
        }
        discriminator::DECREASE_LIQUIDITY_V2 => {
            let action = PoolAction::Withdraw(liquidity(&mut arguments)?);
            provide(instruction, &whirlpool::LIQUIDITY_V2, action)
        }
        discriminator::REPOSITION_LIQUIDITY_V2 => {
            let [withdrawn, _] = reposition(&mut arguments)?;
            let action = PoolAction::Withdraw(withdrawn);
            provide(instruction, &whirlpool::REPOSITION, action)
        }
        _ => Err(DecodeReject::OtherInstruction),
    }
}

/// Hands on what the instruction asks for; a swap over two pools is two swaps, a moved position a withdrawal and a
/// deposit.
pub(crate) fn each(
    instruction: &Instruction<'_>,
    emit: &mut impl FnMut(PoolCall),
) -> Result<(), DecodeReject> {
    emit(decode(instruction)?);
    if let Some(second) = second(instruction)? {
        emit(second);
    }
    Ok(())
}

/// The second thing an instruction asks for, if it asks two.
fn second(instruction: &Instruction<'_>) -> Result<Option<PoolCall>, DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    let call = match discriminator {
        discriminator::TWO_HOP_SWAP => two_hop_legs(instruction, arguments)?[1],
        discriminator::TWO_HOP_SWAP_V2 => two_hop_v2_legs(instruction, arguments)?[1],
        discriminator::REPOSITION_LIQUIDITY_V2 => {
            let [_, deposited] = reposition(&mut arguments)?;
            let action = PoolAction::Deposit(deposited);
            provide(instruction, &whirlpool::REPOSITION, action)?
        }
        _ => return Ok(None),
    };
    Ok(Some(call))
}

fn create(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
    layout: &CreateLayout,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(layout.len)?;
    let sqrt_price = arguments.u128()?;
    Ok(PoolCall {
        pool: instruction.account(layout.pool),
        actor: Some(instruction.signer(layout.funder)?),
        action: PoolAction::Create(Create {
            mint_a: instruction.account(layout.mint_a),
            mint_b: instruction.account(layout.mint_b),
            vault_a: instruction.account(layout.vault_a),
            vault_b: instruction.account(layout.vault_b),
            config: instruction.account(layout.config),
            price: Some(Price::SqrtX64(sqrt_price)),
            ..Create::default()
        }),
    })
}

fn create_adaptive(
    instruction: &Instruction<'_>,
    arguments: Arguments<'_>,
) -> Result<PoolCall, DecodeReject> {
    let mut call = create(instruction, arguments, &whirlpool::CREATE_ADAPTIVE)?;
    let mut after_price = arguments;
    let _sqrt_price = after_price.u128()?;
    let opens_at = match after_price.u8()? {
        0 => None,
        1 => Some(after_price.u64()?),
        _ => return Err(DecodeReject::BadArgument),
    };
    if let PoolAction::Create(create) = &mut call.action {
        create.opens_at = opens_at;
    }
    Ok(call)
}

fn swap(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
    layout: &SwapLayout,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(layout.len)?;
    let (amount, threshold) = (arguments.u64()?, arguments.u64()?);
    let price_limit = arguments.u128()?;
    let is_input = arguments.flag()?;
    let way = way(arguments.flag()?);
    let account = |position| instruction.account(position);
    let (mint_a, mint_b) = layout
        .mints
        .map_or((None, None), |(a, b)| (account(a), account(b)));
    let (mint_in, mint_out) = in_and_out(way, mint_a, mint_b);
    let (account_in, account_out) =
        in_and_out(way, account(layout.owner_a), account(layout.owner_b));
    Ok(PoolCall {
        pool: account(layout.pool),
        actor: Some(instruction.signer(layout.authority)?),
        action: PoolAction::Swap(Swap {
            amounts: amounts(amount, threshold, is_input),
            way: Some(way),
            mint_in,
            mint_out,
            account_in,
            account_out,
            price_limit: limit(price_limit),
        }),
    })
}

/// What a swap over two pools says of each.
struct TwoHop {
    amounts: [SwapAmounts; 2],
    ways: [Way; 2],
    price_limits: [Option<Price>; 2],
}

impl TwoHop {
    fn read(arguments: &mut Arguments<'_>) -> Result<Self, DecodeReject> {
        let (amount, threshold) = (arguments.u64()?, arguments.u64()?);
        let amounts = if arguments.flag()? {
            let (amount_in, out_min) = (amount, threshold);
            [
                SwapAmounts::FirstLeg { amount_in },
                SwapAmounts::LastLeg { out_min },
            ]
        } else {
            // The threshold is what the first pool may take at most, of which it need not take all.
            let exact = SwapAmounts::ExactOut {
                amount_out: amount,
                in_max: u64::MAX,
            };
            [SwapAmounts::Unknown, exact]
        };
        Ok(Self {
            amounts,
            ways: [way(arguments.flag()?), way(arguments.flag()?)],
            price_limits: [limit(arguments.u128()?), limit(arguments.u128()?)],
        })
    }
}

fn two_hop_legs(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
) -> Result<[PoolCall; 2], DecodeReject> {
    instruction.at_least(two_hop::LEN)?;
    let hop = TwoHop::read(&mut arguments)?;
    let actor = instruction.signer(two_hop::AUTHORITY)?;
    let legs = [
        (
            two_hop::POOL_ONE,
            two_hop::OWNER_ONE_A,
            two_hop::OWNER_ONE_B,
        ),
        (
            two_hop::POOL_TWO,
            two_hop::OWNER_TWO_A,
            two_hop::OWNER_TWO_B,
        ),
    ];
    let leg = |at: usize| {
        let (pool, owner_a, owner_b) = legs[at];
        let (account_in, account_out) = in_and_out(
            hop.ways[at],
            instruction.account(owner_a),
            instruction.account(owner_b),
        );
        PoolCall {
            pool: instruction.account(pool),
            actor: Some(actor),
            action: PoolAction::Swap(Swap {
                amounts: hop.amounts[at],
                way: Some(hop.ways[at]),
                mint_in: None,
                mint_out: None,
                account_in,
                account_out,
                price_limit: hop.price_limits[at],
            }),
        }
    };
    Ok([leg(0), leg(1)])
}

fn two_hop_v2_legs(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
) -> Result<[PoolCall; 2], DecodeReject> {
    instruction.at_least(two_hop_v2::LEN)?;
    let hop = TwoHop::read(&mut arguments)?;
    let actor = instruction.signer(two_hop_v2::AUTHORITY)?;
    let account = |position| instruction.account(position);
    let leg = |at: usize, pool, mint_in, mint_out, account_in, account_out| PoolCall {
        pool: account(pool),
        actor: Some(actor),
        action: PoolAction::Swap(Swap {
            amounts: hop.amounts[at],
            way: Some(hop.ways[at]),
            mint_in: account(mint_in),
            mint_out: account(mint_out),
            account_in,
            account_out,
            price_limit: hop.price_limits[at],
        }),
    };
    Ok([
        leg(
            0,
            two_hop_v2::POOL_ONE,
            two_hop_v2::MINT_IN,
            two_hop_v2::MINT_MIDDLE,
            account(two_hop_v2::OWNER_IN),
            None,
        ),
        leg(
            1,
            two_hop_v2::POOL_TWO,
            two_hop_v2::MINT_MIDDLE,
            two_hop_v2::MINT_OUT,
            None,
            account(two_hop_v2::OWNER_OUT),
        ),
    ])
}

fn provide(
    instruction: &Instruction<'_>,
    layout: &LiquidityLayout,
    action: PoolAction,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(layout.len)?;
    Ok(PoolCall {
        pool: instruction.account(layout.pool),
        actor: Some(instruction.signer(layout.authority)?),
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

/// `IncreaseLiquidityMethod`, whose only variant is `ByTokenAmounts { token_max_a, token_max_b, min_sqrt_price,
/// max_sqrt_price }`.
fn by_token_amounts(arguments: &mut Arguments<'_>) -> Result<Liquidity, DecodeReject> {
    if arguments.u8()? != 0 {
        return Err(DecodeReject::BadArgument);
    }
    let limits = Liquidity {
        share: 0,
        limit_a: arguments.u64()?,
        limit_b: arguments.u64()?,
    };
    let _price_bounds = (arguments.u128()?, arguments.u128()?);
    Ok(limits)
}

/// What leaves the old range (all of it: the share is not on the wire) and what enters the new one.
///
/// `RepositionLiquidityMethod`, whose only variant is `ByLiquidity { new_liquidity_amount, existing_range_token_min_a,
/// existing_range_token_min_b, new_range_token_max_a, new_range_token_max_b }`.
fn reposition(arguments: &mut Arguments<'_>) -> Result<[Liquidity; 2], DecodeReject> {
    let _new_range = (arguments.u32()?, arguments.u32()?);
    if arguments.u8()? != 0 {
        return Err(DecodeReject::BadArgument);
    }
    let share = arguments.u128()?;
    let withdrawn = Liquidity {
        share: 0,
        limit_a: arguments.u64()?,
        limit_b: arguments.u64()?,
    };
    let deposited = Liquidity {
        share,
        limit_a: arguments.u64()?,
        limit_b: arguments.u64()?,
    };
    Ok([withdrawn, deposited])
}

const fn amounts(amount: u64, threshold: u64, is_input: bool) -> SwapAmounts {
    if is_input {
        SwapAmounts::ExactIn {
            amount_in: amount,
            out_min: threshold,
        }
    } else {
        SwapAmounts::ExactOut {
            amount_out: amount,
            in_max: threshold,
        }
    }
}

const fn way(a_to_b: bool) -> Way {
    if a_to_b { Way::AToB } else { Way::BToA }
}

fn in_and_out<T>(way: Way, a: T, b: T) -> (T, T) {
    match way {
        Way::AToB => (a, b),
        Way::BToA => (b, a),
    }
}

/// Zero asks for no limit. Source: `math/swap_math.rs` `NO_EXPLICIT_SQRT_PRICE_LIMIT`.
fn limit(sqrt_price: u128) -> Option<Price> {
    (sqrt_price != 0).then_some(Price::SqrtX64(sqrt_price))
}
