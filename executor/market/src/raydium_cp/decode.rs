//! Raydium CPMM's outer instructions.

use super::{InitializePositions, discriminator, liquidity, swap as positions};
use crate::decode::DecodeReject;
use crate::event::{Create, Liquidity, PoolAction, PoolCall, Swap, SwapAmounts, Way};
use crate::instruction::{Arguments, Instruction};

pub(crate) fn decode(instruction: &Instruction<'_>) -> Result<PoolCall, DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    match discriminator {
        discriminator::SWAP_BASE_INPUT => swap(
            instruction,
            SwapAmounts::ExactIn {
                amount_in: arguments.u64()?,
                out_min: arguments.u64()?,
            },
        ),
        discriminator::SWAP_BASE_OUTPUT => swap(
            instruction,
            SwapAmounts::ExactOut {
                in_max: arguments.u64()?,
                amount_out: arguments.u64()?,
            },
        ),
        discriminator::INITIALIZE => create(instruction, InitializePositions::OPEN, arguments),
        discriminator::INITIALIZE_WITH_PERMISSION => {
            create(instruction, InitializePositions::PERMITTED, arguments)
        }
        discriminator::DEPOSIT => {
            let limits = limits(arguments)?;
            share(
                instruction,
                liquidity::DEPOSIT_COUNT,
                PoolAction::Deposit(limits),
            )
        }
        discriminator::WITHDRAW => {
            let limits = limits(arguments)?;
            share(
                instruction,
                liquidity::WITHDRAW_COUNT,
                PoolAction::Withdraw(limits),
            )
        }
        _ => Err(DecodeReject::OtherInstruction),
    }
}

/// Token 0 is the mint with the smaller bytes, so the two mints tell the way.
fn swap(instruction: &Instruction<'_>, amounts: SwapAmounts) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(positions::COUNT)?;
    let mint_in = instruction.account(positions::INPUT_MINT);
    let mint_out = instruction.account(positions::OUTPUT_MINT);
    let way = mint_in.zip(mint_out).map(|(mint_in, mint_out)| {
        if mint_in < mint_out {
            Way::AToB
        } else {
            Way::BToA
        }
    });
    Ok(PoolCall {
        pool: instruction.account(positions::POOL),
        actor: Some(instruction.signer(positions::PAYER)?),
        action: PoolAction::Swap(Swap {
            amounts,
            way,
            mint_in,
            mint_out,
            account_in: instruction.account(positions::INPUT_ACCOUNT),
            account_out: instruction.account(positions::OUTPUT_ACCOUNT),
            price_limit: None,
        }),
    })
}

/// The permitted form's last argument, on which token the creator's fee is taken, stands in the pool's account too.
fn create(
    instruction: &Instruction<'_>,
    positions: InitializePositions,
    mut arguments: Arguments<'_>,
) -> Result<PoolCall, DecodeReject> {
    let (amount_a, amount_b) = (arguments.u64()?, arguments.u64()?);
    let opens_at = arguments.u64()?;
    if positions == InitializePositions::PERMITTED && arguments.u8()? > 2 {
        return Err(DecodeReject::BadArgument);
    }
    instruction.at_least(positions.count)?;
    Ok(PoolCall {
        pool: instruction.account(positions.pool()),
        actor: Some(instruction.signer(InitializePositions::SIGNER)?),
        action: PoolAction::Create(Create {
            mint_a: instruction.account(positions.mint_0()),
            mint_b: instruction.account(positions.mint_0() + 1),
            vault_a: instruction.account(positions.vault_0()),
            vault_b: instruction.account(positions.vault_0() + 1),
            config: instruction.account(positions.config),
            amount_a,
            amount_b,
            opens_at: Some(opens_at),
            ..Create::default()
        }),
    })
}

fn limits(mut arguments: Arguments<'_>) -> Result<Liquidity, DecodeReject> {
    Ok(Liquidity {
        share: u128::from(arguments.u64()?),
        limit_a: arguments.u64()?,
        limit_b: arguments.u64()?,
    })
}

fn share(
    instruction: &Instruction<'_>,
    count: usize,
    action: PoolAction,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(count)?;
    Ok(PoolCall {
        pool: instruction.account(liquidity::POOL),
        actor: Some(instruction.signer(liquidity::OWNER)?),
        action,
    })
}
