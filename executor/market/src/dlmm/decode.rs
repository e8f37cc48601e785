//! Meteora DLMM's outer instructions.

use crate::damm::decode::optional;
use crate::decode::DecodeReject;
use crate::dlmm::{self, CreateLayout, LiquidityLayout, discriminator, discriminator as of};
use crate::event::{Create, Liquidity, PoolAction, PoolCall, Price, Swap, SwapAmounts};
use crate::instruction::{Arguments, Instruction};

pub(crate) fn decode(instruction: &Instruction<'_>) -> Result<PoolCall, DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    match discriminator {
        discriminator::SWAP => swap(instruction, exact_in(&mut arguments)?, dlmm::swap::LEN),
        discriminator::SWAP2 => swap(instruction, exact_in(&mut arguments)?, dlmm::swap::LEN2),
        discriminator::SWAP_EXACT_OUT => {
            swap(instruction, exact_out(&mut arguments)?, dlmm::swap::LEN)
        }
        discriminator::SWAP_EXACT_OUT2 => {
            swap(instruction, exact_out(&mut arguments)?, dlmm::swap::LEN2)
        }
        discriminator::SWAP_WITH_PRICE_IMPACT => {
            swap(instruction, impact(&mut arguments)?, dlmm::swap::LEN)
        }
        discriminator::SWAP_WITH_PRICE_IMPACT2 => {
            swap(instruction, impact(&mut arguments)?, dlmm::swap::LEN2)
        }
        discriminator::INITIALIZE_LB_PAIR => {
            create(instruction, arguments, &dlmm::INITIALIZE_LB_PAIR)
        }
        discriminator::INITIALIZE_LB_PAIR2 => {
            create(instruction, arguments, &dlmm::INITIALIZE_LB_PAIR2)
        }
        discriminator::INITIALIZE_PERMISSION => {
            create(instruction, arguments, &dlmm::INITIALIZE_PERMISSION)
        }
        discriminator::INITIALIZE_CUSTOMIZABLE => {
            customizable(instruction, arguments, &dlmm::INITIALIZE_CUSTOMIZABLE)
        }
        discriminator::INITIALIZE_CUSTOMIZABLE2 => {
            customizable(instruction, arguments, &dlmm::INITIALIZE_CUSTOMIZABLE2)
        }
        other => liquidity(instruction, arguments, other),
    }
}

fn exact_in(arguments: &mut Arguments<'_>) -> Result<SwapAmounts, DecodeReject> {
    Ok(SwapAmounts::ExactIn {
        amount_in: arguments.u64()?,
        out_min: arguments.u64()?,
    })
}

fn exact_out(arguments: &mut Arguments<'_>) -> Result<SwapAmounts, DecodeReject> {
    Ok(SwapAmounts::ExactOut {
        in_max: arguments.u64()?,
        amount_out: arguments.u64()?,
    })
}

/// The limit is a share of the active bin's price, which the program turns into a least amount: not on the wire.
fn impact(arguments: &mut Arguments<'_>) -> Result<SwapAmounts, DecodeReject> {
    let amount_in = arguments.u64()?;
    let _active_bin = optional(arguments, Arguments::u32)?;
    let _price_impact_max_bps = arguments.u16()?;
    Ok(SwapAmounts::ExactIn {
        amount_in,
        out_min: 0,
    })
}

fn swap(
    instruction: &Instruction<'_>,
    amounts: SwapAmounts,
    account_count_min: usize,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(account_count_min)?;
    Ok(PoolCall {
        pool: instruction.account(dlmm::swap::PAIR),
        actor: Some(instruction.signer(dlmm::swap::USER)?),
        action: PoolAction::Swap(Swap {
            amounts,
            way: None,
            mint_in: None,
            mint_out: None,
            account_in: instruction.account(dlmm::swap::ACCOUNT_IN),
            account_out: instruction.account(dlmm::swap::ACCOUNT_OUT),
            price_limit: None,
        }),
    })
}

/// Every creation begins with the active bin.
fn create(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
    layout: &CreateLayout,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(layout.len)?;
    let active_bin = i32::from_le_bytes(arguments.take()?);
    Ok(PoolCall {
        pool: instruction.account(layout.pair),
        actor: Some(instruction.signer(layout.funder)?),
        action: PoolAction::Create(Create {
            mint_a: instruction.account(layout.mint_x),
            mint_b: instruction.account(layout.mint_y),
            vault_a: instruction.account(layout.reserve_x),
            vault_b: instruction.account(layout.reserve_y),
            config: layout.preset.and_then(|at| instruction.account(at)),
            price: Some(Price::Bin(active_bin)),
            ..Create::default()
        }),
    })
}

fn customizable(
    instruction: &Instruction<'_>,
    arguments: Arguments<'_>,
    layout: &CreateLayout,
) -> Result<PoolCall, DecodeReject> {
    /// Seconds rather than slots. Source: `ActivationType`.
    const BY_TIMESTAMP: u8 = 1;
    let mut call = create(instruction, arguments, layout)?;
    let mut rest = arguments;
    let _active_bin_step_and_factor: [u8; 8] = rest.take()?;
    let (activation_type, _has_alpha_vault) = (rest.u8()?, rest.flag()?);
    let point = optional(&mut rest, Arguments::u64)?;
    if let PoolAction::Create(create) = &mut call.action {
        create.opens_at = point.filter(|_| activation_type == BY_TIMESTAMP);
    }
    Ok(call)
}

fn liquidity(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
    which: u64,
) -> Result<PoolCall, DecodeReject> {
    let (layout, action) = match which {
        of::ADD_LIQUIDITY | of::ADD_LIQUIDITY_BY_STRATEGY | of::ADD_LIQUIDITY_BY_WEIGHT => {
            (dlmm::BOTH_SIDES, deposit(&mut arguments)?)
        }
        of::ADD_LIQUIDITY2 | of::ADD_LIQUIDITY_BY_STRATEGY2 | of::ADD_LIQUIDITY_BY_WEIGHT2 => {
            (dlmm::BOTH_SIDES_ADD2, deposit(&mut arguments)?)
        }
        // One side's amount, and its account does not tell which side without the pair.
        of::ADD_LIQUIDITY_BY_STRATEGY_ONE_SIDE
        | of::ADD_LIQUIDITY_ONE_SIDE
        | of::ADD_LIQUIDITY_ONE_SIDE_PRECISE => {
            (dlmm::ONE_SIDE, PoolAction::Deposit(Liquidity::default()))
        }
        of::ADD_LIQUIDITY_ONE_SIDE_PRECISE2 => {
            (dlmm::ONE_SIDE2, PoolAction::Deposit(Liquidity::default()))
        }
        of::REMOVE_LIQUIDITY | of::REMOVE_LIQUIDITY_BY_RANGE | of::REMOVE_ALL_LIQUIDITY => {
            (dlmm::BOTH_SIDES, PoolAction::Withdraw(Liquidity::default()))
        }
        of::REMOVE_LIQUIDITY2 | of::REMOVE_LIQUIDITY_BY_RANGE2 => (
            dlmm::BOTH_SIDES_REMOVE2,
            PoolAction::Withdraw(Liquidity::default()),
        ),
        of::REBALANCE_LIQUIDITY => (dlmm::REBALANCE, rebalance(&mut arguments)?),
        of::PLACE_LIMIT_ORDER => (dlmm::PLACE_LIMIT_ORDER, order(&mut arguments)?),
        of::CANCEL_LIMIT_ORDER => (
            dlmm::CANCEL_LIMIT_ORDER,
            PoolAction::Withdraw(Liquidity::default()),
        ),
        _ => return Err(DecodeReject::OtherInstruction),
    };
    let LiquidityLayout { pair, sender, len } = layout;
    instruction.at_least(len)?;
    Ok(PoolCall {
        pool: instruction.account(pair),
        actor: Some(instruction.signer(sender)?),
        action,
    })
}

fn deposit(arguments: &mut Arguments<'_>) -> Result<PoolAction, DecodeReject> {
    Ok(PoolAction::Deposit(Liquidity {
        share: 0,
        limit_a: arguments.u64()?,
        limit_b: arguments.u64()?,
    }))
}

/// Takes out and puts in by one instruction: a deposit when it may put in anything.
fn rebalance(arguments: &mut Arguments<'_>) -> Result<PoolAction, DecodeReject> {
    let _active_bin_slippage_and_claims: [u8; 8] = arguments.take()?;
    let (withdraw_x_min, deposit_x_max) = (arguments.u64()?, arguments.u64()?);
    let (withdraw_y_min, deposit_y_max) = (arguments.u64()?, arguments.u64()?);
    let limits = |limit_a, limit_b| Liquidity {
        share: 0,
        limit_a,
        limit_b,
    };
    Ok(if deposit_x_max == 0 && deposit_y_max == 0 {
        PoolAction::Withdraw(limits(withdraw_x_min, withdraw_y_min))
    } else {
        PoolAction::Deposit(limits(deposit_x_max, deposit_y_max))
    })
}

/// An order sells x (ask) or y (bid) in some bins: the sum of them is what goes in.
fn order(arguments: &mut Arguments<'_>) -> Result<PoolAction, DecodeReject> {
    let is_ask = arguments.flag()?;
    let _padding: [u8; 16] = arguments.take()?;
    let _relative_to_active_bin = optional(arguments, Arguments::u64)?;
    let mut total = 0u64;
    for _ in 0..arguments.u32()? {
        let _bin = arguments.u32()?;
        total = total.saturating_add(arguments.u64()?);
    }
    let (limit_a, limit_b) = if is_ask { (total, 0) } else { (0, total) };
    Ok(PoolAction::Deposit(Liquidity {
        share: 0,
        limit_a,
        limit_b,
    }))
}
