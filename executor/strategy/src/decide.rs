//! Launch in, exits out: the micro-lightning rules.

use market::{
    BPS_WHOLE, Bps, Curve, Key, Lamports, Launch, Listing, MarketEvent, PoolState, Side, Trade,
};
use shred_wire::{Nanos, Slot};

use crate::intent::{Intent, Origin, Venue};
use crate::params::Params;
use crate::position::Position;

/// Why an event led to nothing. One byte, counted; append, never reorder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Pass {
    /// The event is no occasion for anything.
    NoOccasion,
    /// The launch passed every filter, but launches are switched off.
    LaunchesOff,
    /// The launch is followed by the launcher's own buy; the decision falls there.
    AwaitsDevBuy,
    /// The launcher has put in too little, or nothing yet.
    DevBuyBelow,
    /// The launcher has put in too much.
    DevBuyAbove,
    /// The creator is on the deny list.
    CreatorDenied,
    /// There is an allow list and the creator is not on it.
    CreatorNotAllowed,
    /// The launch is too many slots ago.
    TooLate,
    /// The curve must not be traded.
    Untradable,
    /// The curve gives no quote, or our buy would complete it.
    NoQuote,
    /// An exit is already in flight.
    Exiting,
    /// The position has reached neither target nor stop nor its end.
    Holding,
    /// The position cannot be sold on the curve any more.
    CurveComplete,
    /// Our own entry is on its way; raised by the engine, which knows.
    Entering,
    /// An exit failed lately and the next try waits; raised by the engine, which knows.
    ExitDeferred,
    /// Our own buy would move the pool's price further than the slippage: it has too little in it.
    PoolShallow,
    /// A cashback coin on its curve: nothing we build sells it in the pool it goes on in once the curve sells out.
    CashbackStrands,
    /// An entry on a lane without revert protection while no account data comes in, which alone could tell whether it
    /// filled; raised by the engine, which knows.
    NoAccountData,
    /// The price is further than `entry_move_max` from what account data said last: only transactions say that it is there,
    /// and those that fail look like any other; raised by the engine, which knows.
    PriceUnproven,
}

impl Pass {
    /// How many reasons there are.
    pub const COUNT: usize = 19;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "no_occasion",
            "launches_off",
            "awaits_dev_buy",
            "dev_buy_below",
            "dev_buy_above",
            "creator_denied",
            "creator_not_allowed",
            "too_late",
            "untradable",
            "no_quote",
            "exiting",
            "holding",
            "curve_complete",
            "entering",
            "exit_deferred",
            "pool_shallow",
            "cashback_strands",
            "no_account_data",
            "price_unproven",
        ]
    }
}

/// Chooses what to do about one event. Pure.
///
/// `listing` is already moved by `event`, which is one of its own; `position` is ours in it, if any; `now` is the
/// event's stamp. Returns at most one intent, with `id` 0: the engine numbers it.
#[must_use]
pub fn decide(
    listing: &Listing<'_>,
    position: Option<&Position>,
    params: &Params,
    event: &MarketEvent,
    now: Nanos,
) -> Option<Intent> {
    let proposal = consider(listing, position, params, event, now).ok()?;
    Some(proposal.intent)
}

/// [`decide()`], saying also why not.
///
/// # Errors
/// The [`Pass`] to count.
pub fn consider(
    listing: &Listing<'_>,
    position: Option<&Position>,
    params: &Params,
    event: &MarketEvent,
    now: Nanos,
) -> Result<Proposal, Pass> {
    match (position, event, listing) {
        (Some(position), event, _) => consider_time(listing, position, params, event.slot(), now),
        (None, MarketEvent::Launch(launch), Listing::Curve(curve)) => {
            consider_launch(curve, params, launch)
        }
        (None, MarketEvent::Trade(trade), Listing::Curve(curve)) => {
            consider_dev_buy(curve, params, trade)
        }
        _ => Err(Pass::NoOccasion),
    }
}

/// Whether a position should be left now: stop first, then profit, then age. For events of its coin and for
/// the passing of time alike.
///
/// # Errors
/// The [`Pass`] to count.
pub fn consider_time(
    listing: &Listing<'_>,
    position: &Position,
    params: &Params,
    slot: Slot,
    now: Nanos,
) -> Result<Proposal, Pass> {
    if position.exiting {
        return Err(Pass::Exiting);
    }
    if listing.is_over() {
        return Err(Pass::CurveComplete);
    }
    let deal = listing.sell(position.tokens).map_err(|_| Pass::NoQuote)?;
    let value = deal.quote;
    let (origin, slippage) = if position.lost(value, params.stop_loss) {
        (Origin::Stop, params.stop_slippage)
    } else if position.gained(value, params.take_profit) {
        (Origin::TakeProfit, params.exit_slippage)
    } else if expired(position, params, slot, now) {
        (Origin::Expiry, params.stop_slippage)
    } else {
        return Err(Pass::Holding);
    };
    let exit = Exit {
        origin,
        slippage,
        slot,
        at: now,
    };
    Ok(exit_for(listing, position, params, &exit, value))
}

/// An intent with what it was reckoned against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// What is wanted done.
    pub intent: Intent,
    /// What the market gives for it at the price it was reckoned at: tokens of a buy, lamports of a sale. Asking for more
    /// would fail at that price.
    pub given: u64,
}

/// An entry as its occasion describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Why.
    pub origin: Origin,
    /// Most quote to spend, fees included.
    pub spend: Lamports,
    /// How many fewer tokens are asked for than `spend` would buy now.
    pub slippage: Bps,
    /// Slot of the occasion.
    pub slot: Slot,
    /// Stamp of the occasion.
    pub at: Nanos,
}

/// An exit as its occasion describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exit {
    /// Why.
    pub origin: Origin,
    /// How much less is asked for than the sale would bring now.
    pub slippage: Bps,
    /// Slot of the occasion.
    pub slot: Slot,
    /// Stamp of the occasion.
    pub at: Nanos,
}

/// The buy for `entry`: as many tokens as `spend` would buy at the listing's price, less `slippage`, for at most
/// `spend`. At that price it costs less than that; the rest is what the price may rise before it lands.
///
/// # Errors
/// [`Pass::Untradable`], [`Pass::CashbackStrands`], [`Pass::PoolShallow`] when the spend is more than `entry_slippage` of what a pool has to pay
/// with, or [`Pass::NoQuote`]; the last also when spending all of it would complete the
/// curve, which leaves a position that nobody can sell until the pool opens, and when no token is left.
pub fn enter(listing: &Listing<'_>, params: &Params, entry: &Entry) -> Result<Proposal, Pass> {
    refuse(!listing.is_tradable(), Pass::Untradable)?;
    refuse(strands(listing), Pass::CashbackStrands)?;
    if let Some(depth) = listing.depth() {
        let moved = u128::from(entry.spend.0) * u128::from(BPS_WHOLE);
        let bearable = u128::from(depth.0) * u128::from(params.entry_slippage.0);
        refuse(moved > bearable, Pass::PoolShallow)?;
    }
    let deal = listing.buy(entry.spend).map_err(|_| Pass::NoQuote)?;
    let tokens = deal.tokens.less_bps(entry.slippage);
    if deal.completes || tokens.0 == 0 {
        return Err(Pass::NoQuote);
    }
    let intent = Intent {
        id: 0,
        origin: entry.origin,
        venue: venue(listing),
        lane: params.lane,
        side: Side::Buy,
        mint: listing.mint(),
        spend: entry.spend,
        tokens,
        receive_min: Lamports(0),
        tip: params.entry_tip,
        slot: entry.slot,
        at: entry.at,
        accounts: listing.accounts(),
    };
    Ok(Proposal {
        intent,
        given: deal.tokens.0,
    })
}

/// The sale of everything in `position` at the listing's price less the slippage, for no less than its floor
/// ([`Position::floor`]).
///
/// A doubtful one may still be left: holding on is not safer. Where the price is below the floor the sale is tried at the
/// floor: if the fall was made up it is taken there, and if not it fails and the floor gives way.
///
/// # Errors
/// [`Pass::CurveComplete`] where trading has ended, [`Pass::NoQuote`] when the sale brings nothing.
pub fn exit(
    listing: &Listing<'_>,
    position: &Position,
    params: &Params,
    exit: &Exit,
) -> Result<Proposal, Pass> {
    refuse(listing.is_over(), Pass::CurveComplete)?;
    let deal = listing.sell(position.tokens).map_err(|_| Pass::NoQuote)?;
    Ok(exit_for(listing, position, params, exit, deal.quote))
}

/// [`exit`] where the listing pays `value`.
fn exit_for(
    listing: &Listing<'_>,
    position: &Position,
    params: &Params,
    exit: &Exit,
    value: Lamports,
) -> Proposal {
    let wanted = value.less_bps(exit.slippage);
    let receive_min = wanted.max(position.floor(params.exit_floor));
    let intent = Intent {
        id: 0,
        origin: exit.origin,
        venue: venue(listing),
        lane: params.lane,
        side: Side::Sell,
        mint: position.mint,
        spend: Lamports(0),
        tokens: position.tokens,
        // At least one lamport: a sale for nothing is not an exit.
        receive_min: receive_min.max(Lamports(1)),
        tip: params.exit_tip,
        slot: exit.slot,
        at: exit.at,
        accounts: listing.accounts(),
    };
    Proposal {
        intent,
        given: value.0,
    }
}

/// A launch is an occasion by itself only when the launcher need not, and does not, buy first.
fn consider_launch(curve: &Curve, params: &Params, launch: &Launch) -> Result<Proposal, Pass> {
    refuse(launch.dev_buy_follows, Pass::AwaitsDevBuy)?;
    refuse(params.dev_buy_min.0 > 0, Pass::DevBuyBelow)?;
    check_creator(curve, params)?;
    enter_launch(curve, params, launch.slot, launch.at)
}

/// The launcher's first buy is the occasion, at the price it leaves behind.
fn consider_dev_buy(curve: &Curve, params: &Params, trade: &Trade) -> Result<Proposal, Pass> {
    let Some((dev_buy, ordinal)) = curve.dev_buy else {
        return Err(Pass::NoOccasion);
    };
    let is_it =
        trade.side == Side::Buy && trade.trader == curve.launcher && ordinal == curve.trade_count;
    refuse(!is_it, Pass::NoOccasion)?;
    let age = trade.slot.0.saturating_sub(curve.launch_slot.0);
    refuse(age > params.entry_slots_max, Pass::TooLate)?;
    refuse(dev_buy.quote < params.dev_buy_min, Pass::DevBuyBelow)?;
    refuse(dev_buy.quote > params.dev_buy_max, Pass::DevBuyAbove)?;
    check_creator(curve, params)?;
    enter_launch(curve, params, trade.slot, trade.at)
}

/// Asked last whether launches are bought at all: [`Pass::LaunchesOff`] means that everything else fits, which
/// is what a signal for the next launch waits for.
fn enter_launch(curve: &Curve, params: &Params, slot: Slot, at: Nanos) -> Result<Proposal, Pass> {
    curve.tradable.map_err(|_| Pass::Untradable)?;
    refuse(!params.launches_enabled, Pass::LaunchesOff)?;
    let (spend, slippage) = (params.budget, params.entry_slippage);
    enter(
        &Listing::Curve(curve),
        params,
        &Entry {
            origin: Origin::Launch,
            spend,
            slippage,
            slot,
            at,
        },
    )
}

/// Whether the launcher or the named creator is on the deny list, which binds every entry, a signal's too.
#[must_use]
pub fn creator_denied(listing: &Listing<'_>, params: &Params) -> bool {
    creators(listing).any(|key| params.creators_denied.contains(key))
}

fn creators<'a>(listing: &Listing<'a>) -> impl Iterator<Item = &'a Key> {
    listing.creators().into_iter().flatten()
}

fn check_creator(curve: &Curve, params: &Params) -> Result<(), Pass> {
    let listing = Listing::Curve(curve);
    refuse(creator_denied(&listing, params), Pass::CreatorDenied)?;
    let allowed = params.creators_allowed.is_empty()
        || creators(&listing).any(|key| params.creators_allowed.contains(key));
    refuse(!allowed, Pass::CreatorNotAllowed)
}

fn expired(position: &Position, params: &Params, slot: Slot, now: Nanos) -> bool {
    let by_time = params.hold_max.0 > 0 && now.since(position.opened_at) >= params.hold_max;
    let slots = slot.0.saturating_sub(position.opened_slot.0);
    by_time || (params.hold_slots_max > 0 && slots >= params.hold_slots_max)
}

/// Which of our instructions trades it. On curves v3 needs neither creator vault nor fee recipient, but refuses
/// cashback coins. Source: pump-public-docs `docs/instructions/TRADE_V3.md` at 2293f9a (error 6094).
const fn venue(listing: &Listing<'_>) -> Venue {
    match listing {
        Listing::Curve(curve) if curve.cashback => Venue::PumpV2,
        Listing::Curve(_) => Venue::PumpV3,
        Listing::Pool(pool, _) => match pool.state {
            PoolState::PumpAmm(_) => Venue::PumpSwap,
            PoolState::RaydiumAmm(_) => Venue::RaydiumAmm,
            PoolState::RaydiumCp(..) => Venue::RaydiumCp,
            PoolState::LaunchLab(..) => Venue::LaunchLab,
        },
    }
}

/// Whether the coin cannot be sold any more once its curve sells out: PumpSwap's v2 set, which is what we build, refuses
/// pools of cashback coins, and so does Pump's v3. No new ones can be made. Sources: package `pump-rust-client` 0.5.0,
/// `pump_amm.json` (`CashbackCoinNotSupported`: "v2 trades do not support cashback coins; use the v1 instructions") and
/// `pump.json` (`CashbackDeprecated`: "Cashback coins can no longer be created").
const fn strands(listing: &Listing<'_>) -> bool {
    matches!(listing, Listing::Curve(curve) if curve.cashback)
}

#[inline]
const fn refuse(when: bool, reason: Pass) -> Result<(), Pass> {
    if when { Err(reason) } else { Ok(()) }
}
