//! Meteora dynamic bonding curve's outer instructions.

use crate::damm::decode::swap2_amounts;
use crate::dbc::{self, discriminator, initialize, migrate_meteora_damm, migration_damm_v2};
use crate::decode::DecodeReject;
use crate::event::{Create, Migrate, PoolAction, PoolCall, Swap, SwapAmounts};
use crate::instruction::{Arguments, Instruction};
use crate::program::Program;

pub(crate) fn decode(instruction: &Instruction<'_>) -> Result<PoolCall, DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    match discriminator {
        discriminator::SWAP => {
            let (amount_in, out_min) = (arguments.u64()?, arguments.u64()?);
            swap(instruction, SwapAmounts::ExactIn { amount_in, out_min })
        }
        discriminator::SWAP2 => swap(instruction, swap2_amounts(&mut arguments)?),
        discriminator::INITIALIZE_WITH_SPL_TOKEN => {
            create(instruction, arguments, initialize::SPL_TOKEN_LEN)
        }
        discriminator::INITIALIZE_WITH_TOKEN_2022 => {
            create(instruction, arguments, initialize::TOKEN_2022_LEN)
        }
        discriminator::MIGRATION_DAMM_V2 => {
            instruction.at_least(migration_damm_v2::LEN)?;
            Ok(PoolCall {
                pool: instruction.account(migration_damm_v2::CURVE),
                actor: Some(instruction.signer(migration_damm_v2::PAYER)?),
                action: PoolAction::Migrate(Migrate {
                    mint: instruction.account(migration_damm_v2::BASE_MINT),
                    pool: instruction.account(migration_damm_v2::POOL),
                    to: Some(Program::Damm),
                }),
            })
        }
        discriminator::MIGRATE_METEORA_DAMM => {
            instruction.at_least(migrate_meteora_damm::LEN)?;
            Ok(PoolCall {
                pool: instruction.account(migrate_meteora_damm::CURVE),
                actor: Some(instruction.signer(migrate_meteora_damm::PAYER)?),
                action: PoolAction::Migrate(Migrate {
                    mint: instruction.account(migrate_meteora_damm::BASE_MINT),
                    pool: instruction.account(migrate_meteora_damm::POOL),
                    // The older dynamic AMM is not read.
                    to: None,
                }),
            })
        }
        _ => Err(DecodeReject::OtherInstruction),
    }
}

fn swap(instruction: &Instruction<'_>, amounts: SwapAmounts) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(dbc::swap::LEN)?;
    Ok(PoolCall {
        pool: instruction.account(dbc::swap::POOL),
        actor: Some(instruction.signer(dbc::swap::PAYER)?),
        action: PoolAction::Swap(Swap {
            amounts,
            way: None,
            mint_in: None,
            mint_out: None,
            account_in: instruction.account(dbc::swap::INPUT_ACCOUNT),
            account_out: instruction.account(dbc::swap::OUTPUT_ACCOUNT),
            price_limit: None,
        }),
    })
}

fn create(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
    account_count_min: usize,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(account_count_min)?;
    for _name_symbol_uri in 0..3 {
        arguments.skip_bytes()?;
    }
    Ok(PoolCall {
        pool: instruction.account(initialize::POOL),
        actor: Some(instruction.signer(initialize::CREATOR)?),
        action: PoolAction::Create(Create {
            mint_a: Some(instruction.signer(initialize::BASE_MINT)?),
            mint_b: instruction.account(initialize::QUOTE_MINT),
            vault_a: instruction.account(initialize::BASE_VAULT),
            vault_b: instruction.account(initialize::QUOTE_VAULT),
            config: instruction.account(initialize::CONFIG),
            makes_mint: true,
            ..Create::default()
        }),
    })
}
