//! Outer instructions of one transaction, as events.
//!
//! Shreds carry no inner instructions: what a program does on the trader's behalf is not in the bytes, so it is not
//! in the events either, but for what a router's own arguments and accounts let infer, which is marked.

use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

use crate::event::{At, MarketEvent, PoolCall};
use crate::instruction::{AccountKeys, Instruction};
use crate::lookup::LookupTables;
use crate::program::Program;
use crate::{damm, dbc, dlmm, launchlab, pump, pump_amm};
use crate::{raydium_amm, raydium_clmm, raydium_cp, router, whirlpool};

/// Why an instruction of a program we read gave no event. One byte, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum DecodeReject {
    /// An instruction this decoder does not follow (claims, sweeps, administration).
    OtherInstruction,
    /// The data ends before a required argument.
    ShortData,
    /// Fewer accounts than the instruction needs.
    MissingAccounts,
    /// A required signer is behind a lookup table, which the runtime refuses.
    SignerUnresolved,
    /// An argument has a value the program refuses or that we do not know.
    BadArgument,
    /// A router's route has a step whose length is not known, so nothing of it is inferred.
    UnknownRoute,
}

impl DecodeReject {
    /// How many reasons there are.
    pub const COUNT: usize = 6;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "other_instruction",
            "short_data",
            "missing_accounts",
            "signer_unresolved",
            "bad_argument",
            "unknown_route",
        ]
    }
}

/// What one transaction held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Decoded {
    /// Events handed to `emit`.
    pub event_count: u32,
    /// Instructions of programs we read without an event, by [`DecodeReject`].
    pub rejected: [u32; DecodeReject::COUNT],
    /// The same by [`Program`] too; of more than 255 the rest is not counted, and no transaction has as many instructions.
    pub rejected_of: [[u8; DecodeReject::COUNT]; Program::COUNT],
}

/// Hands what every outer instruction of a program we read asks for to `emit`, in instruction order.
///
/// Accounts behind a lookup table that `tables` does not hold are absent from the events.
/// Cost: one look at the program of each instruction; a transaction that calls none of ours ends there.
/// Allocates nothing and cannot panic, whatever the bytes are.
pub fn decode(
    txn: &TxnView<'_>,
    tables: &LookupTables,
    slot: Slot,
    at: Nanos,
    emit: &mut impl FnMut(MarketEvent),
) -> Decoded {
    let mut decoded = Decoded::default();
    let keys = AccountKeys::new(txn, tables);
    let at = At {
        slot,
        at,
        signature: *txn.signature(),
    };
    for (position, view) in txn.instructions().enumerate() {
        // A program id is never loaded through a lookup table.
        let program = txn.keys().get(usize::from(view.program_index));
        let Some(program) = program.and_then(Program::of) else {
            continue;
        };
        let instruction = Instruction::new(keys, &view);
        let mut count = |event| {
            decoded.event_count += 1;
            emit(event);
        };
        let done = match program {
            Program::Pump => pump::decode::decode(&instruction, position, &at).map(count),
            Program::Jupiter | Program::PumpApp | Program::Terminal | Program::Axiom => {
                router::decode::decode(program, &instruction, &at, &mut count)
            }
            Program::PumpAmm => pump_amm::decode::each(&instruction, &mut |call: PoolCall| {
                count(MarketEvent::Pool(call.event(Program::PumpAmm, &at)));
            }),
            Program::Whirlpool => whirlpool::decode::each(&instruction, &mut |call: PoolCall| {
                count(MarketEvent::Pool(call.event(Program::Whirlpool, &at)));
            }),
            pool => pool_call(pool, &instruction)
                .map(|call| count(MarketEvent::Pool(call.event(pool, &at)))),
        };
        if let Err(reason) = done {
            decoded.rejected[reason as usize] += 1;
            let of_program = &mut decoded.rejected_of[program as usize][reason as usize];
            *of_program = of_program.saturating_add(1);
        }
    }
    decoded
}

/// What an instruction of a venue with pools asks for.
pub(crate) fn pool_call(
    program: Program,
    instruction: &Instruction<'_>,
) -> Result<PoolCall, DecodeReject> {
    match program {
        Program::PumpAmm => pump_amm::decode::decode(instruction),
        Program::RaydiumAmm => raydium_amm::decode::decode(instruction),
        Program::RaydiumCp => raydium_cp::decode::decode(instruction),
        Program::RaydiumClmm => raydium_clmm::decode::decode(instruction),
        Program::LaunchLab => launchlab::decode::decode(instruction),
        Program::Whirlpool => whirlpool::decode::decode(instruction),
        Program::Dlmm => dlmm::decode::decode(instruction),
        Program::Dbc => dbc::decode::decode(instruction),
        Program::Damm => damm::decode::decode(instruction),
        Program::Pump
        | Program::Jupiter
        | Program::PumpApp
        | Program::Terminal
        | Program::Axiom => Err(DecodeReject::OtherInstruction),
    }
}
