//! Raydium LaunchLab's outer instructions.

use super::{Launch, discriminator, initialize, migrate_to_amm, migrate_to_cpswap, trade};
use crate::decode::DecodeReject;
use crate::event::{Create, Migrate, PoolAction, PoolCall, ReferredSwap, Swap, SwapAmounts, Way};
use crate::instruction::{Arguments, Instruction};
use crate::program::Program;

pub(crate) fn decode(instruction: &Instruction<'_>) -> Result<PoolCall, DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    match discriminator {
        discriminator::BUY_EXACT_IN => swap(instruction, Way::BToA, exact_in, arguments),
        discriminator::BUY_EXACT_OUT => swap(instruction, Way::BToA, exact_out, arguments),
        discriminator::SELL_EXACT_IN => swap(instruction, Way::AToB, exact_in, arguments),
        discriminator::SELL_EXACT_OUT => swap(instruction, Way::AToB, exact_out, arguments),
        discriminator::INITIALIZE | discriminator::INITIALIZE_V2 => {
            create(instruction, initialize::COUNT)
        }
        discriminator::INITIALIZE_WITH_TOKEN_2022 => {
            create(instruction, initialize::TOKEN_2022_COUNT)
        }
        discriminator::MIGRATE_TO_AMM => {
            use migrate_to_amm::{AMM_POOL, BASE_MINT, COUNT, PAYER, POOL};
            // Two lot sizes and a nonce, of a market that nothing here reads.
            arguments.take::<17>()?;
            migrate(
                instruction,
                Program::RaydiumAmm,
                [COUNT, PAYER, BASE_MINT, AMM_POOL, POOL],
            )
        }
        discriminator::MIGRATE_TO_CPSWAP => {
            use migrate_to_cpswap::{BASE_MINT, COUNT, CP_POOL, PAYER, POOL};
            migrate(
                instruction,
                Program::RaydiumCp,
                [COUNT, PAYER, BASE_MINT, CP_POOL, POOL],
            )
        }
        _ => Err(DecodeReject::OtherInstruction),
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
        amount_out: arguments.u64()?,
        in_max: arguments.u64()?,
    })
}

/// The share that the trader's front end takes is an argument: it changes what the trade gets.
fn swap(
    instruction: &Instruction<'_>,
    way: Way,
    amounts: fn(&mut Arguments<'_>) -> Result<SwapAmounts, DecodeReject>,
    mut arguments: Arguments<'_>,
) -> Result<PoolCall, DecodeReject> {
    let amounts = amounts(&mut arguments)?;
    let share_fee_rate = arguments.u64()?;
    instruction.at_least(trade::COUNT_MIN)?;
    let base = (
        instruction.account(trade::BASE_MINT),
        instruction.account(trade::USER_BASE),
    );
    let quote = (
        instruction.account(trade::QUOTE_MINT),
        instruction.account(trade::USER_QUOTE),
    );
    let (input, output) = match way {
        Way::AToB => (base, quote),
        Way::BToA => (quote, base),
    };
    let swap = Swap {
        amounts,
        way: Some(way),
        mint_in: input.0,
        mint_out: output.0,
        account_in: input.1,
        account_out: output.1,
        price_limit: None,
    };
    Ok(PoolCall {
        pool: instruction.account(trade::POOL),
        actor: Some(instruction.signer(trade::PAYER)?),
        action: if share_fee_rate == 0 {
            PoolAction::Swap(swap)
        } else {
            PoolAction::ReferredSwap(ReferredSwap {
                swap,
                fee_rate: share_fee_rate,
            })
        },
    })
}

fn create(instruction: &Instruction<'_>, count: usize) -> Result<PoolCall, DecodeReject> {
    let _launch = Launch::read(instruction.data())?;
    instruction.at_least(count)?;
    Ok(PoolCall {
        pool: instruction.account(initialize::POOL),
        actor: Some(instruction.signer(initialize::PAYER)?),
        action: PoolAction::Create(Create {
            mint_a: Some(instruction.signer(initialize::BASE_MINT)?),
            mint_b: instruction.account(initialize::QUOTE_MINT),
            vault_a: instruction.account(initialize::BASE_VAULT),
            vault_b: instruction.account(initialize::QUOTE_VAULT),
            config: instruction.account(initialize::GLOBAL_CONFIG),
            makes_mint: true,
            ..Create::default()
        }),
    })
}

/// `positions`: how many accounts there are, then the payer, the base, the pool that opens and the curve.
fn migrate(
    instruction: &Instruction<'_>,
    to: Program,
    [count, payer, base_mint, opens, curve]: [usize; 5],
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(count)?;
    Ok(PoolCall {
        pool: instruction.account(curve),
        actor: Some(instruction.signer(payer)?),
        action: PoolAction::Migrate(Migrate {
            mint: instruction.account(base_mint),
            pool: instruction.account(opens),
            to: Some(to),
        }),
    })
}
