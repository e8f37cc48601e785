//! What a decoder made of a transaction, in terms that both have.

use market::event::{Swap, SwapAmounts, Way};
use market::{Amounts, Key, Launch, MarketEvent, PoolAction, PoolEvent, Program, Side};
use sol_parser_sdk::DexEvent;
use sol_parser_sdk::core::events::PumpFunTradeEvent;
use solana_sdk::pubkey::Pubkey;

/// A launch, a trade, or a swap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Seen {
    pub(crate) program: Program,
    /// The coin of a curve, the pool of a pool; `None` behind a lookup table.
    pub(crate) place: Option<Key>,
    /// Who asks, where both decoders say so.
    pub(crate) actor: Option<Key>,
    /// `None` for a launch, and where no decoder can know.
    pub(crate) side: Option<Side>,
    /// Of what goes into a pool and what comes out, as far as the accounts tell.
    pub(crate) mints: [Option<Key>; 2],
    /// What goes in and what comes out, exact or limit as the instruction has it.
    pub(crate) amounts: (u64, u64),
}

/// One of ours.
pub(crate) fn ours(event: &MarketEvent) -> Option<Seen> {
    let pump = |place, actor, side, amounts: &Amounts| Seen {
        program: Program::Pump,
        place,
        actor: Some(actor),
        side: Some(side),
        mints: [None; 2],
        amounts: match *amounts {
            Amounts::ExactIn {
                quote_in,
                tokens_min,
            } => (quote_in.0, tokens_min.0),
            Amounts::TokensOut { tokens, quote_max } => (quote_max.0, tokens.0),
            Amounts::Sell { tokens, quote_min } => (tokens.0, quote_min.0),
        },
    };
    match event {
        MarketEvent::Launch(Launch { mint, user, .. }) => Some(launch(mint.0, *user)),
        MarketEvent::Trade(trade) => Some(pump(
            Some(trade.mint.0),
            trade.trader,
            trade.side,
            &trade.amounts,
        )),
        MarketEvent::Unresolved(trade) => {
            Some(pump(None, trade.trader, trade.side, &trade.amounts))
        }
        MarketEvent::Pool(event) => pool(event),
    }
}

fn launch(mint: Key, user: Key) -> Seen {
    Seen {
        program: Program::Pump,
        place: Some(mint),
        actor: Some(user),
        side: None,
        mints: [None; 2],
        amounts: (0, 0),
    }
}

fn pool(event: &PoolEvent) -> Option<Seen> {
    // What a router's arguments let infer, the other does not look for.
    if event.inferred_from.is_some() {
        return None;
    }
    let PoolAction::Swap(swap) = event.call.action else {
        return None;
    };
    Some(Seen {
        program: event.program,
        place: event.call.pool,
        actor: event.call.actor.filter(|_| names_actor(event.program)),
        side: swap.way.filter(|_| tells_side(event.program)).map(side),
        mints: [swap.mint_in, swap.mint_out],
        amounts: amounts(&swap)?,
    })
}

/// sol-parser-sdk's Whirlpool event has no trader.
fn names_actor(program: Program) -> bool {
    program != Program::Whirlpool
}

/// On the others a side is known only with the pool's account.
fn tells_side(program: Program) -> bool {
    matches!(
        program,
        Program::PumpAmm | Program::LaunchLab | Program::Whirlpool
    )
}

/// Side a is the coin.
fn side(way: Way) -> Side {
    match way {
        Way::AToB => Side::Sell,
        Way::BToA => Side::Buy,
    }
}

fn amounts(swap: &Swap) -> Option<(u64, u64)> {
    match swap.amounts {
        SwapAmounts::ExactIn { amount_in, out_min }
        | SwapAmounts::UpToIn { amount_in, out_min } => Some((amount_in, out_min)),
        SwapAmounts::ExactOut { amount_out, in_max } => Some((in_max, amount_out)),
        SwapAmounts::FirstLeg { .. } | SwapAmounts::LastLeg { .. } | SwapAmounts::Unknown => None,
    }
}

/// One of sol-parser-sdk's; its guesses about programs that call Pump's are left out.
pub(crate) fn theirs(event: &DexEvent) -> Option<Seen> {
    match event {
        DexEvent::PumpFunCreate(create) => {
            Some(launch(create.mint.to_bytes(), create.user.to_bytes()))
        }
        DexEvent::PumpFunCreateV2(create) => {
            Some(launch(create.mint.to_bytes(), create.user.to_bytes()))
        }
        DexEvent::PumpFunTrade(trade)
        | DexEvent::PumpFunBuy(trade)
        | DexEvent::PumpFunSell(trade)
        | DexEvent::PumpFunBuyExactSolIn(trade) => pump_trade(trade),
        DexEvent::PumpSwapBuy(buy) => Some(Seen {
            program: Program::PumpAmm,
            place: known(&buy.pool),
            actor: known(&buy.user),
            side: Some(Side::Buy),
            mints: [known(&buy.quote_mint), known(&buy.base_mint)],
            amounts: (
                buy.max_quote_amount_in.max(buy.quote_amount_in),
                buy.base_amount_out.max(buy.min_base_amount_out),
            ),
        }),
        DexEvent::PumpSwapSell(sell) => Some(Seen {
            program: Program::PumpAmm,
            place: known(&sell.pool),
            actor: known(&sell.user),
            side: Some(Side::Sell),
            mints: [known(&sell.base_mint), known(&sell.quote_mint)],
            amounts: (sell.base_amount_in, sell.min_quote_amount_out),
        }),
        DexEvent::RaydiumAmmV4Swap(swap) => Some(Seen {
            program: Program::RaydiumAmm,
            place: known(&swap.amm),
            actor: known(&swap.user_source_owner),
            side: None,
            mints: [None; 2],
            amounts: (
                swap.instruction_amount_in.max(swap.max_amount_in),
                swap.minimum_amount_out.max(swap.instruction_amount_out),
            ),
        }),
        DexEvent::RaydiumCpmmSwap(swap) => Some(Seen {
            program: Program::RaydiumCp,
            place: known(&swap.pool_id),
            actor: known(&swap.payer),
            side: None,
            mints: [&swap.input_token_mint, &swap.output_token_mint].map(known),
            amounts: (
                swap.amount_in.max(swap.max_amount_in),
                swap.minimum_amount_out.max(swap.amount_out),
            ),
        }),
        DexEvent::RaydiumClmmSwap(swap) => Some(Seen {
            program: Program::RaydiumClmm,
            place: known(&swap.pool_state),
            actor: known(&swap.sender),
            side: None,
            mints: [&swap.input_mint, &swap.output_mint].map(known),
            amounts: ordered(swap.is_base_input, swap.amount, swap.other_amount_threshold),
        }),
        DexEvent::OrcaWhirlpoolSwap(swap) => Some(Seen {
            program: Program::Whirlpool,
            place: known(&swap.whirlpool),
            actor: None,
            side: Some(if swap.a_to_b { Side::Sell } else { Side::Buy }),
            mints: in_out(swap.a_to_b, &swap.token_mint_a, &swap.token_mint_b),
            amounts: ordered(
                swap.amount_specified_is_input,
                swap.amount,
                swap.other_amount_threshold,
            ),
        }),
        DexEvent::RaydiumLaunchlabTrade(trade) => Some(Seen {
            program: Program::LaunchLab,
            place: known(&trade.pool_state),
            actor: known(&trade.user),
            side: Some(if trade.is_buy { Side::Buy } else { Side::Sell }),
            mints: in_out(!trade.is_buy, &trade.base_mint, &trade.quote_mint),
            amounts: (trade.amount_in, trade.amount_out),
        }),
        _ => None,
    }
}

fn pump_trade(trade: &PumpFunTradeEvent) -> Option<Seen> {
    if trade.third_program.is_some() {
        return None;
    }
    let (side, amounts) = if trade.is_buy {
        (Side::Buy, (trade.sol_amount, trade.token_amount))
    } else {
        (Side::Sell, (trade.token_amount, trade.sol_amount))
    };
    Some(Seen {
        program: Program::Pump,
        place: known(&trade.mint),
        actor: known(&trade.user),
        side: Some(side),
        mints: [None; 2],
        amounts,
    })
}

const fn ordered(exact_in: bool, amount: u64, threshold: u64) -> (u64, u64) {
    if exact_in {
        (amount, threshold)
    } else {
        (threshold, amount)
    }
}

fn in_out(a_to_b: bool, a: &Pubkey, b: &Pubkey) -> [Option<Key>; 2] {
    let (mint_in, mint_out) = if a_to_b { (a, b) } else { (b, a) };
    [mint_in, mint_out].map(known)
}

/// It puts the default key where it knows none.
fn known(key: &Pubkey) -> Option<Key> {
    (*key != Pubkey::default()).then(|| key.to_bytes())
}
