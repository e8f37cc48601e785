//! Jupiter's route plan: a vector of steps, each an enum with a payload of its own.
//!
//! The length of every payload must be known to find the next step, so a variant that is not known ends it.
//!
//! Source: the interface that the program's authority publishes on the chain (IDL account
//! `C88XWfp26heEmDkmfSzeXP7Fd7GQJ2j9dDTUsyiZbUTa`), as sava-software/idl-clients carries it at ed1dab2 (15 Aug 2026,
//! compared there with the deployed program): types `Swap`, `RoutePlanStep`, `RoutePlanStepV2`, `CandidateSwap`.

use crate::decode::DecodeReject;
use crate::event::Way;
use crate::instruction::Arguments;
use crate::program::Program;
use crate::router::layout::{self, Layout};

/// Most steps that are read; a transaction has room for 64 accounts, and a step takes several.
pub(super) const STEPS_MAX: usize = 32;

/// One step of a route.
#[derive(Clone, Copy, Default)]
pub(super) struct Step {
    /// The venue's variant.
    pub(super) variant: u8,
    /// First byte of its payload; 0 when it has none.
    pub(super) flag: u8,
    /// It takes all of its input.
    pub(super) is_whole: bool,
    /// Which token of the route goes in; 0 is the route's own input.
    pub(super) input: u8,
    /// Which comes out.
    pub(super) output: u8,
}

/// A whole route plan.
pub(super) struct Plan {
    steps: [Step; STEPS_MAX],
    len: usize,
}

impl Plan {
    /// Reads a plan whose steps count their share in percent, or in basis points.
    pub(super) fn read(arguments: &mut Arguments<'_>, in_bps: bool) -> Result<Self, DecodeReject> {
        let len = arguments.u32()? as usize;
        let mut plan = Self {
            steps: [Step::default(); STEPS_MAX],
            len,
        };
        for step in plan
            .steps
            .get_mut(..len)
            .ok_or(DecodeReject::UnknownRoute)?
        {
            step.variant = arguments.u8()?;
            step.flag = arguments.rest().first().copied().unwrap_or(0);
            skip_payload(step.variant, arguments)?;
            step.is_whole = if in_bps {
                arguments.u16()? == 10_000
            } else {
                arguments.u8()? == 100
            };
            step.input = arguments.u8()?;
            step.output = arguments.u8()?;
        }
        Ok(plan)
    }

    /// Its steps, in order.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps[..self.len]
    }

    /// The step that alone takes the route's whole input.
    pub(super) fn first(&self) -> Option<usize> {
        self.only(|step| step.input == 0)
            .filter(|at| self.steps[*at].is_whole)
    }

    /// The step that alone gives the route's output.
    pub(super) fn last(&self) -> Option<usize> {
        let output = self.steps().last()?.output;
        self.only(|step| step.output == output)
    }

    /// Which token of the route it ends in.
    pub(super) fn output(&self) -> Option<u8> {
        Some(self.steps().last()?.output)
    }

    fn only(&self, is: impl Fn(&Step) -> bool) -> Option<usize> {
        let mut found = self
            .steps()
            .iter()
            .enumerate()
            .filter(|(_, step)| is(step))
            .map(|(at, _)| at);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

/// The payload says itself how long it is.
const VARIES: u8 = u8::MAX;
/// Bytes of each `Swap` variant's payload, by its number.
#[rustfmt::skip]
const PAYLOAD_LEN: [u8; 177] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0,
    0, 1, 0, 1, 1, 0, 0, 1, 1, 16, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1,
    0, 4, 3, 10, 5, 5, 0, VARIES, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
    1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, VARIES, 0, 0, 0, 0,
    0, 8, 8, 0, 0, 1, 2, 9, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0,
    0, 0, 0, VARIES, 1, 0, 1, 1, 0, 0, 1, VARIES, 0, 0, 0, 0, 1, 1, 9, 1,
    VARIES, 1, 16, 48, 0, 1, 17, 1, 0, 1, 0, 0, 1, 0, 0, 10, 1, 0, 0, 0,
    0, 1, 0, 0, 0, 1, VARIES, 0, 0, 0, 0, 1, 1, 1, 0, 2, 0, 9, 0, 8,
    1, 5, 1, 0, 1, 1, 1, 2, 1, 0, 1, 1, 1, 0, 1, 0, 0,
];

/// Passes over the payload of a `Swap` variant.
fn skip_payload(variant: u8, arguments: &mut Arguments<'_>) -> Result<(), DecodeReject> {
    match PAYLOAD_LEN.get(usize::from(variant)) {
        None => return Err(DecodeReject::UnknownRoute),
        Some(&VARIES) => {}
        Some(len) => return arguments.skip(usize::from(*len)),
    }
    match variant {
        // `WhirlpoolSwapV2`, `DefiTuna`: a flag, then slices or none.
        47 | 103 => {
            arguments.skip(1)?;
            skip_slices_if_any(arguments)
        }
        // `MeteoraDlmmSwapV2`.
        75 => skip_slices(arguments),
        // `DynamicV1`: candidates, then a place or none.
        111 => {
            for _ in 0..arguments.u32()? {
                skip_candidate(arguments)?;
            }
            let has_place = arguments.flag()?;
            arguments.skip(usize::from(has_place))
        }
        // `JupiterRfqV2`: a side, then bytes.
        120 => {
            arguments.skip(1)?;
            arguments.skip_bytes()
        }
        // `DynamicV2`: candidates with their share, then two counts.
        146 => {
            for _ in 0..arguments.u32()? {
                skip_candidate(arguments)?;
                arguments.skip(4)?;
            }
            arguments.skip(2)
        }
        _ => Err(DecodeReject::UnknownRoute),
    }
}

/// `RemainingAccountsInfo`: pairs of a kind and a count.
fn skip_slices(arguments: &mut Arguments<'_>) -> Result<(), DecodeReject> {
    let count = arguments.u32()? as usize;
    arguments.skip(count.checked_mul(2).ok_or(DecodeReject::ShortData)?)
}

fn skip_slices_if_any(arguments: &mut Arguments<'_>) -> Result<(), DecodeReject> {
    if arguments.flag()? {
        skip_slices(arguments)
    } else {
        Ok(())
    }
}

/// `CandidateSwap`.
fn skip_candidate(arguments: &mut Arguments<'_>) -> Result<(), DecodeReject> {
    match arguments.u8()? {
        0 | 2 => arguments.skip(9),
        1 | 5 | 7..=9 => arguments.skip(1),
        3 | 4 | 6 | 11 => Ok(()),
        10 => {
            arguments.skip(1)?;
            skip_slices_if_any(arguments)
        }
        _ => Err(DecodeReject::UnknownRoute),
    }
}

/// The venue of a step, if it is one we read.
#[derive(Clone, Copy)]
pub(super) enum Venue {
    /// The venue, the rows its accounts may stand in, and the way if the variant says it.
    Ours(Program, &'static [&'static Layout], Option<Way>),
    /// Chosen when it runs, out of candidates whose accounts all stand in the route's.
    Candidates,
    /// One that is not read.
    Other,
}

impl Venue {
    /// The venue of `step`.
    pub(super) fn of(step: &Step) -> Self {
        let flagged = Some(if step.flag == 0 { Way::BToA } else { Way::AToB });
        let (buys, sells) = (Some(Way::BToA), Some(Way::AToB));
        let (layouts, way): (&'static [&'static Layout], Option<Way>) = match step.variant {
            7 => (&[&layout::RAYDIUM_AMM], None),
            17 => (&[&layout::WHIRLPOOL], flagged),
            26 => (&[&layout::RAYDIUM_CLMM], None),
            38 => (&[&layout::DLMM], None),
            40 => (&[&layout::RAYDIUM_CLMM_V2], None),
            46 => (&[&layout::RAYDIUM_CP], None),
            47 => (&[&layout::WHIRLPOOL_V2], flagged),
            // `PumpWrappedBuy` to `PumpWrappedBuyV5`, the one with a cashback claim among them, and their sales.
            49 | 90 | 97 | 112 | 149 | 152 => (&layout::PUMP, buys),
            50 | 91 | 98 | 113 | 150 | 153 => (&layout::PUMP, sells),
            // `PumpSwapBuy` to `PumpSwapBuyV3`, and their sales.
            72 | 92 | 99 | 147 => (&[&layout::PUMP_AMM], buys),
            73 | 93 | 100 | 148 => (&[&layout::PUMP_AMM], sells),
            75 => (&[&layout::DLMM_V2], None),
            77 | 108 => (&[&layout::DAMM], None),
            78 | 88 => (&[&layout::DBC], None),
            81 => (&[&layout::LAUNCHLAB], buys),
            82 => (&[&layout::LAUNCHLAB], sells),
            105 => (&[&layout::RAYDIUM_AMM_V2], None),
            111 | 146 => return Self::Candidates,
            _ => return Self::Other,
        };
        match layouts.first() {
            Some(layout) => Self::Ours(layout.program, layouts, way),
            None => Self::Other,
        }
    }
}
