//! Routers' outer instructions, and what they let infer of the calls inside.

use crate::decode::DecodeReject;
use crate::event::{At, MarketEvent, PoolCall, SwapAmounts};
use crate::instruction::{Arguments, Instruction};
use crate::program::Program;
use crate::router::jupiter;
use crate::router::layout::{self, Actor, Known, Layout, Row};

/// `pump_swap_jupiter(amount_in, out_min, two flags, jupiter)`: SHA-256 of `global:pump_swap_jupiter`, as mainnet has it.
const PUMP_SWAP_JUPITER: u64 = u64::from_le_bytes([0x3c, 0x5e, 0x47, 0x4a, 0x23, 0x9d, 0xa7, 0x49]);
/// Positions of `pump_swap_jupiter`: PumpSwap's 17 accounts from 0 on, two more, Jupiter's id, Jupiter's accounts.
const JUPITER_ID: usize = 19;
const JUPITER_FROM: usize = JUPITER_ID + 1;

/// Hands the calls that one outer instruction of `router` makes to `emit`, as far as they can be told.
///
/// Cost: at most some 30 looks at each of its accounts, for as many venues as a route names.
pub(crate) fn decode(
    router: Program,
    instruction: &Instruction<'_>,
    at: &At,
    emit: &mut impl FnMut(MarketEvent),
) -> Result<(), DecodeReject> {
    if instruction.keys().txn().lookups().len() == 0 {
        return decode_resolved(router, instruction, at, emit);
    }
    let resolved = instruction.keys().resolve();
    decode_resolved(router, &instruction.with(&resolved), at, emit)
}

fn decode_resolved(
    router: Program,
    instruction: &Instruction<'_>,
    at: &At,
    emit: &mut impl FnMut(MarketEvent),
) -> Result<(), DecodeReject> {
    let mut emit = |venue: Program, call: PoolCall| {
        let mut event = call.event(venue, at);
        event.inferred_from = Some(router);
        emit(MarketEvent::Pool(event));
    };
    match router {
        Program::Jupiter => jupiter::decode(instruction, &mut emit),
        Program::PumpApp => match instruction.discriminated()? {
            (PUMP_SWAP_JUPITER, arguments) => pump_swap_jupiter(instruction, arguments, &mut emit),
            _ => rows(instruction, &layout::VENUES, &mut emit),
        },
        Program::Terminal => rows(instruction, &layout::TERMINAL, &mut emit),
        Program::Axiom => rows(instruction, &layout::VENUES, &mut emit),
        _ => Err(DecodeReject::OtherInstruction),
    }
}

/// Every row of `layouts` in the accounts of a router whose arguments are not published.
fn rows(
    instruction: &Instruction<'_>,
    layouts: &[&'static [&'static Layout]],
    emit: &mut impl FnMut(Program, PoolCall),
) -> Result<(), DecodeReject> {
    let known = Known {
        actor: instruction.first_signer(),
        amounts: SwapAmounts::Unknown,
        way: None,
        mint_in: None,
        mint_out: None,
    };
    let (mut position, mut is_none) = (0, true);
    let account_count = instruction.account_count().min(layout::ACCOUNTS_MAX);
    while position < account_count {
        let row = layouts
            .iter()
            .find_map(|venue| layout::row_at(instruction, venue, position, Actor::Signer));
        position = match row {
            Some(row) => {
                is_none = false;
                emit(row.layout.program, known.of(instruction, row));
                row.from + row.layout.len_min
            }
            None => position + 1,
        };
    }
    if is_none {
        Err(DecodeReject::OtherInstruction)
    } else {
        Ok(())
    }
}

/// SOL to the pool's quote through Jupiter and on into the pool, or the same back.
fn pump_swap_jupiter(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
    emit: &mut impl FnMut(Program, PoolCall),
) -> Result<(), DecodeReject> {
    instruction.at_least(JUPITER_FROM)?;
    let (amount_in, out_min) = (arguments.u64()?, arguments.u64()?);
    let _flags = arguments.u16()?;
    let jupiter_len = arguments.u32()? as usize;
    let jupiter_data = arguments
        .rest()
        .get(..jupiter_len)
        .ok_or(DecodeReject::ShortData)?;
    let Some(Row { layout, from: 0 }) =
        layout::row_at(instruction, &[&layout::PUMP_AMM], 0, Actor::Signer)
    else {
        return Err(DecodeReject::BadArgument);
    };
    let jupiter = instruction.inner(JUPITER_FROM, jupiter_data);
    let (source, destination) = jupiter::ends(&jupiter)?;
    let quote = instruction.account(layout::PUMP_AMM_QUOTE);
    let same = |end: Option<crate::Key>| end.is_some() && end == quote;
    let amounts = match (same(destination), same(source)) {
        (true, false) => SwapAmounts::LastLeg { out_min },
        (false, true) => SwapAmounts::FirstLeg { amount_in },
        _ => SwapAmounts::Unknown,
    };
    let known = Known {
        actor: instruction.first_signer(),
        amounts,
        way: None,
        mint_in: destination.filter(|_| same(destination) && !same(source)),
        mint_out: source.filter(|_| same(source) && !same(destination)),
    };
    let pool = known.of(instruction, Row { layout, from: 0 });
    let is_first = matches!(amounts, SwapAmounts::FirstLeg { .. });
    if is_first {
        emit(Program::PumpAmm, pool);
    }
    let through = jupiter::decode(&jupiter, emit);
    if !is_first {
        emit(Program::PumpAmm, pool);
    }
    through
}
