//! Jupiter v6. Source of the instructions: as for the route plan, see [`plan`](super::plan).

use crate::decode::DecodeReject;
use crate::event::{PoolCall, SwapAmounts};
use crate::instruction::{Arguments, Instruction};
use crate::program::Program;
use crate::router::layout::{self, Actor, Known, Layout};
use crate::router::plan::{Plan, STEPS_MAX, Venue};
use crate::units::{BPS_WHOLE, Key};

const fn of(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

/// No such position.
const ABSENT: usize = usize::MAX;

/// One of the routing instructions: where its accounts and arguments stand.
struct Route {
    discriminator: u64,
    /// Accounts of its own; the legs' follow.
    own_count: usize,
    user: usize,
    /// Who owns the tokens between the legs.
    authority: usize,
    source_mint: usize,
    destination_mint: usize,
    has_id: bool,
    /// The v2 set: amounts before the plan, shares and fee in basis points of two bytes.
    is_v2: bool,
    is_exact_out: bool,
    /// What goes in is counted by a token ledger, so it is not in the arguments.
    by_ledger: bool,
}

const ROUTE: Route = Route {
    discriminator: of([0xe5, 0x17, 0xcb, 0x97, 0x7a, 0xe3, 0xad, 0x2a]),
    own_count: 9,
    user: 1,
    authority: 1,
    source_mint: ABSENT,
    destination_mint: 5,
    has_id: false,
    is_v2: false,
    is_exact_out: false,
    by_ledger: false,
};

const SHARED: Route = Route {
    discriminator: of([0xc1, 0x20, 0x9b, 0x33, 0x41, 0xd6, 0x9c, 0x81]),
    own_count: 13,
    user: 2,
    authority: 1,
    source_mint: 7,
    destination_mint: 8,
    has_id: true,
    ..ROUTE
};

const ROUTE_V2: Route = Route {
    discriminator: of([0xbb, 0x64, 0xfa, 0xcc, 0x31, 0xc4, 0xaf, 0x14]),
    own_count: 10,
    user: 0,
    authority: 0,
    source_mint: 3,
    destination_mint: 4,
    is_v2: true,
    ..ROUTE
};

const SHARED_V2: Route = Route {
    discriminator: of([0xd1, 0x98, 0x53, 0x93, 0x7c, 0xfe, 0xd8, 0xe9]),
    own_count: 12,
    user: 1,
    authority: 0,
    source_mint: 6,
    destination_mint: 7,
    has_id: true,
    is_v2: true,
    ..ROUTE
};

const ROUTES: [Route; 10] = [
    ROUTE,
    SHARED,
    ROUTE_V2,
    SHARED_V2,
    // `route_with_token_ledger`.
    Route {
        discriminator: of([0x96, 0x56, 0x47, 0x74, 0xa7, 0x5d, 0x0e, 0x68]),
        own_count: 10,
        by_ledger: true,
        ..ROUTE
    },
    // `exact_out_route`.
    Route {
        discriminator: of([0xd0, 0x33, 0xef, 0x97, 0x7b, 0x2b, 0xed, 0x5c]),
        own_count: 11,
        source_mint: 5,
        destination_mint: 6,
        is_exact_out: true,
        ..ROUTE
    },
    // `shared_accounts_route_with_token_ledger`.
    Route {
        discriminator: of([0xe6, 0x79, 0x8f, 0x50, 0x77, 0x9f, 0x6a, 0xaa]),
        own_count: 14,
        by_ledger: true,
        ..SHARED
    },
    // `shared_accounts_exact_out_route`.
    Route {
        discriminator: of([0xb0, 0xd1, 0x69, 0xa8, 0x9a, 0x7d, 0x45, 0x3e]),
        is_exact_out: true,
        ..SHARED
    },
    // `exact_out_route_v2`.
    Route {
        discriminator: of([0x9d, 0x8a, 0xb8, 0x52, 0x15, 0xf4, 0xf3, 0x24]),
        is_exact_out: true,
        ..ROUTE_V2
    },
    // `shared_accounts_exact_out_route_v2`.
    Route {
        discriminator: of([0x35, 0x60, 0xe5, 0xca, 0xd8, 0xbb, 0xfa, 0x18]),
        is_exact_out: true,
        ..SHARED_V2
    },
];

impl Route {
    fn find(discriminator: u64) -> Result<&'static Self, DecodeReject> {
        ROUTES
            .iter()
            .find(|route| route.discriminator == discriminator)
            .ok_or(DecodeReject::OtherInstruction)
    }
}

/// What a route's arguments say.
struct Asked {
    plan: Plan,
    /// Fixed amount: in, or out of an exact-out route; `None` when a ledger counts it.
    amount: Option<u64>,
    /// What the other end was quoted at.
    quoted: u64,
    slippage_bps: u16,
    has_fee: bool,
}

impl Asked {
    fn read(route: &Route, mut arguments: Arguments<'_>) -> Result<Self, DecodeReject> {
        if route.has_id {
            arguments.skip(1)?;
        }
        let before = if route.is_v2 {
            None
        } else {
            Some(Plan::read(&mut arguments, false)?)
        };
        let amount = if route.by_ledger {
            None
        } else {
            Some(arguments.u64()?)
        };
        let (quoted, slippage_bps) = (arguments.u64()?, arguments.u16()?);
        let fee_bps = if route.is_v2 {
            let fee_bps = arguments.u16()?;
            let _positive_slippage_bps = arguments.u16()?;
            fee_bps
        } else {
            u16::from(arguments.u8()?)
        };
        let plan = match before {
            Some(plan) => plan,
            None => Plan::read(&mut arguments, true)?,
        };
        if u64::from(slippage_bps) > BPS_WHOLE {
            return Err(DecodeReject::BadArgument);
        }
        Ok(Self {
            plan,
            amount,
            quoted,
            slippage_bps,
            has_fee: fee_bps != 0,
        })
    }

    /// The quoted output less the slippage, rounded down: what the user gets at least.
    fn out_min(&self) -> u64 {
        let kept = BPS_WHOLE - u64::from(self.slippage_bps);
        let out_min = u128::from(self.quoted) * u128::from(kept) / u128::from(BPS_WHOLE);
        u64::try_from(out_min).unwrap_or(u64::MAX)
    }

    /// The quoted input and the slippage, rounded up: what the user pays at most.
    fn in_max(&self) -> u64 {
        let with = BPS_WHOLE + u64::from(self.slippage_bps);
        let in_max = (u128::from(self.quoted) * u128::from(with)).div_ceil(u128::from(BPS_WHOLE));
        u64::try_from(in_max).unwrap_or(u64::MAX)
    }

    /// What is known of the amounts of the step at `position`.
    ///
    /// A fee may be kept of the input or of the output, which the arguments do not tell: then the input is a bound.
    fn amounts(&self, route: &Route, position: usize) -> SwapAmounts {
        let is_first = self.plan.first() == Some(position);
        let is_last = self.plan.last() == Some(position);
        match (is_first, is_last, self.amount) {
            (true, true, Some(amount_out)) if route.is_exact_out => SwapAmounts::ExactOut {
                amount_out,
                in_max: self.in_max(),
            },
            _ if route.is_exact_out => SwapAmounts::Unknown,
            (true, true, Some(amount_in)) if self.has_fee => SwapAmounts::UpToIn {
                amount_in,
                out_min: self.out_min(),
            },
            (true, true, Some(amount_in)) => SwapAmounts::ExactIn {
                amount_in,
                out_min: self.out_min(),
            },
            (true, false, Some(amount_in)) => SwapAmounts::FirstLeg { amount_in },
            (_, true, _) => SwapAmounts::LastLeg {
                out_min: self.out_min(),
            },
            _ => SwapAmounts::Unknown,
        }
    }
}

/// Venues whose rows are not in a route's accounts: searches only go forward, so none is made twice. A route may name
/// the same venue in every step and a thousand accounts that are none of its.
#[derive(Default)]
struct Missing {
    venues: [Option<&'static [&'static Layout]>; STEPS_MAX],
    len: usize,
}

impl Missing {
    fn holds(&self, layouts: &'static [&'static Layout]) -> bool {
        self.venues[..self.len]
            .iter()
            .flatten()
            .any(|known| core::ptr::eq(*known, layouts))
    }

    fn note(&mut self, layouts: &'static [&'static Layout]) {
        if !self.holds(layouts)
            && let Some(place) = self.venues.get_mut(self.len)
        {
            *place = Some(layouts);
            self.len += 1;
        }
    }
}

/// Hands each leg at a venue we read to `emit`, in the route's order.
pub(super) fn decode(
    instruction: &Instruction<'_>,
    emit: &mut impl FnMut(Program, PoolCall),
) -> Result<(), DecodeReject> {
    let (discriminator, arguments) = instruction.discriminated()?;
    let route = Route::find(discriminator)?;
    instruction.at_least(route.own_count)?;
    let user = instruction.signer(route.user)?;
    let asked = Asked::read(route, arguments)?;
    let (source, destination) = (
        own(instruction, route.source_mint),
        own(instruction, route.destination_mint),
    );
    let actor = Actor::OneOf(route.authority, route.user);
    // Where the next leg's accounts may begin; lost behind a leg whose venue is chosen when it runs.
    let mut from = Some(route.own_count);
    let mut missing = Missing::default();
    for (position, step) in asked.plan.steps().iter().enumerate() {
        let (program, layouts, way) = match Venue::of(step) {
            Venue::Ours(program, layouts, way) => (program, layouts, way),
            Venue::Candidates => {
                from = None;
                continue;
            }
            Venue::Other => continue,
        };
        let known = Known {
            actor: Some(user),
            amounts: asked.amounts(route, position),
            way,
            mint_in: source.filter(|_| step.input == 0),
            mint_out: destination.filter(|_| Some(step.output) == asked.plan.output()),
        };
        let row = from
            .filter(|_| !missing.holds(layouts))
            .and_then(|from| layout::next_of(instruction, layouts, from, actor));
        if from.is_some() && row.is_none() {
            missing.note(layouts);
        }
        let call = match row {
            Some(row) => {
                from = Some(row.from + row.layout.len_min);
                known.of(instruction, row)
            }
            None => known.elsewhere(),
        };
        emit(program, call);
    }
    Ok(())
}

/// The mints a route begins and ends in, as far as its accounts tell.
pub(super) fn ends(
    instruction: &Instruction<'_>,
) -> Result<(Option<Key>, Option<Key>), DecodeReject> {
    let (discriminator, _) = instruction.discriminated()?;
    let route = Route::find(discriminator)?;
    instruction.at_least(route.own_count)?;
    Ok((
        own(instruction, route.source_mint),
        own(instruction, route.destination_mint),
    ))
}

fn own(instruction: &Instruction<'_>, position: usize) -> Option<Key> {
    match position {
        ABSENT => None,
        _ => instruction.account(position),
    }
}
