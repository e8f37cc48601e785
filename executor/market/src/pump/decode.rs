//! Pump's outer instructions, as events.

use crate::decode::DecodeReject;
use crate::event::{
    Amounts, At, Form, Launch, MarketEvent, Migrate, PoolAction, PoolCall, ShownAccounts, Side,
    Trade, Unresolved,
};
use crate::instruction::{AccountKeys, Arguments, Instruction};
use crate::program::Program;
use crate::pump::{self, MigrateLayout, TradeLayout, create, discriminator};
use crate::units::{Lamports, Mint, TokenAmount};

/// The launch, trade or migration of one outer Pump instruction, the `position`th of its transaction.
pub(crate) fn decode(
    instruction: &Instruction<'_>,
    position: usize,
    at: &At,
) -> Result<MarketEvent, DecodeReject> {
    let (discriminator, arguments) = instruction.discriminated()?;
    let trade = |layout, shape, form| trade(instruction, arguments, layout, shape, form, at);
    match discriminator {
        discriminator::CREATE => launch(instruction, arguments, false, position, at),
        discriminator::CREATE_V2 => launch(instruction, arguments, true, position, at),
        discriminator::BUY => trade(&pump::BUY_V1, Shape::TokensOut, Form::V1),
        discriminator::BUY_EXACT_SOL_IN => trade(&pump::BUY_V1, Shape::ExactIn, Form::V1),
        discriminator::SELL => trade(&pump::SELL_V1, Shape::Sell, Form::V1),
        discriminator::BUY_V2 => trade(&pump::BUY_V2, Shape::TokensOut, Form::V2),
        discriminator::BUY_EXACT_QUOTE_IN_V2 => trade(&pump::BUY_V2, Shape::ExactIn, Form::V2),
        discriminator::SELL_V2 => trade(&pump::SELL_V2, Shape::Sell, Form::V2),
        discriminator::BUY_V3 => trade(&pump::TRADE_V3, Shape::TokensOut, Form::V3),
        discriminator::BUY_EXACT_QUOTE_IN_V3 => trade(&pump::TRADE_V3, Shape::ExactIn, Form::V3),
        discriminator::SELL_V3 => trade(&pump::TRADE_V3, Shape::Sell, Form::V3),
        discriminator::MIGRATE => migrate(instruction, &pump::MIGRATE, at),
        discriminator::MIGRATE_V2 => migrate(instruction, &pump::MIGRATE_V2, at),
        _ => Err(DecodeReject::OtherInstruction),
    }
}

fn migrate(
    instruction: &Instruction<'_>,
    layout: &MigrateLayout,
    at: &At,
) -> Result<MarketEvent, DecodeReject> {
    instruction.at_least(layout.len_min)?;
    let call = PoolCall {
        pool: instruction.account(layout.bonding_curve),
        actor: Some(instruction.signer(layout.user)?),
        action: PoolAction::Migrate(Migrate {
            mint: instruction.account(layout.mint),
            pool: instruction.account(layout.pool),
            to: Some(Program::PumpAmm),
        }),
    };
    Ok(MarketEvent::Pool(call.event(Program::Pump, at)))
}

fn launch(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
    is_v2: bool,
    position: usize,
    at: &At,
) -> Result<MarketEvent, DecodeReject> {
    let (len_min, user) = if is_v2 {
        (create::V2_LEN, create::V2_USER)
    } else {
        (create::V1_LEN, create::V1_USER)
    };
    instruction.at_least(len_min)?;
    for _name_symbol_uri in 0..3 {
        arguments.skip_bytes()?;
    }
    let creator = arguments.key()?;
    // `is_mayhem_mode` is required by `create_v2`; what follows may be left off the wire, and a missing
    // argument reads as false or zero.
    let mayhem = is_v2 && arguments.flag()?;
    let cashback = is_v2 && arguments.trailing_flag().unwrap_or(false);
    let creator_fee_bps = if is_v2 { arguments.u64().ok() } else { None };
    let holder_reward = is_v2 && arguments.trailing_flag().unwrap_or(false);
    let mint = Mint(instruction.signer(create::MINT)?);
    Ok(MarketEvent::Launch(Launch {
        mint,
        user: instruction.signer(user)?,
        creator,
        bonding_curve: instruction.account(create::BONDING_CURVE),
        associated_bonding_curve: instruction.account(create::ASSOCIATED_BONDING_CURVE),
        token_program: if is_v2 {
            pump::TOKEN_2022_PROGRAM
        } else {
            pump::TOKEN_PROGRAM
        },
        // Wrapped SOL when `create_v2` names nothing else, `None` when hidden.
        quote_mint: if !is_v2 || instruction.account_count() <= create::V2_QUOTE_MINT {
            Some(pump::WRAPPED_SOL)
        } else {
            instruction.account(create::V2_QUOTE_MINT)
        },
        is_v2,
        mayhem,
        cashback,
        holder_reward,
        creator_fee_bps,
        dev_buy_follows: buys_after(instruction.keys(), position, mint),
        slot: at.slot,
        at: at.at,
        signature: at.signature,
    }))
}

/// Whether an outer Pump instruction after `position` buys `mint`.
fn buys_after(keys: AccountKeys<'_>, position: usize, mint: Mint) -> bool {
    keys.txn().instructions().skip(position + 1).any(|view| {
        let instruction = Instruction::new(keys, &view);
        keys.get(view.program_index) == Some(&pump::PROGRAM)
            && instruction
                .discriminated()
                .ok()
                .and_then(|(discriminator, _)| buy_layout(discriminator))
                .is_some_and(|layout| instruction.account(layout.mint) == Some(mint.0))
    })
}

fn trade(
    instruction: &Instruction<'_>,
    mut arguments: Arguments<'_>,
    layout: &TradeLayout,
    shape: Shape,
    form: Form,
    at: &At,
) -> Result<MarketEvent, DecodeReject> {
    instruction.at_least(layout.len_min)?;
    let amounts = shape.amounts(arguments.u64()?, arguments.u64()?);
    let side = shape.side();
    if side == Side::Buy && form == Form::V1 {
        let _track_volume = arguments.trailing_flag();
    }
    let partial_fill = if side == Side::Buy {
        arguments.trailing_flag()
    } else {
        None
    };
    let trader = instruction.signer(layout.user)?;
    let Some(mint) = instruction.account(layout.mint) else {
        return Ok(MarketEvent::Unresolved(Unresolved {
            trader,
            bonding_curve: instruction.account(layout.bonding_curve),
            side,
            form,
            amounts,
            slot: at.slot,
            at: at.at,
            signature: at.signature,
        }));
    };
    Ok(MarketEvent::Trade(Trade {
        mint: Mint(mint),
        trader,
        side,
        amounts,
        form,
        partial_fill,
        shown: shown(instruction, layout, side, form),
        slot: at.slot,
        at: at.at,
        signature: at.signature,
    }))
}

fn shown(
    instruction: &Instruction<'_>,
    layout: &TradeLayout,
    side: Side,
    form: Form,
) -> ShownAccounts {
    ShownAccounts {
        bonding_curve: instruction.account(layout.bonding_curve),
        associated_bonding_curve: instruction.account(layout.associated_bonding_curve),
        token_program: instruction.account(layout.token_program),
        quote_mint: instruction.account(layout.quote_mint),
        associated_quote_bonding_curve: instruction.account(layout.associated_quote_bonding_curve),
        creator_vault: instruction.account(layout.creator_vault),
        associated_creator_vault: instruction.account(layout.associated_creator_vault),
        sharing_config: instruction.account(layout.sharing_config),
        fee_recipient: instruction.account(layout.fee_recipient),
        buyback_fee_recipient: match (side, form) {
            (Side::Sell, Form::V1) => sell_v1_buyback(instruction),
            _ => instruction.account(layout.buyback_fee_recipient),
        },
    }
}

/// The last of `sell`'s two trailing accounts, which only the newer 16- and 17-account forms carry.
fn sell_v1_buyback(instruction: &Instruction<'_>) -> Option<crate::Key> {
    let count = instruction.account_count();
    if count < pump::SELL_V1.len_min + 2 {
        None
    } else {
        instruction.account(count - 1)
    }
}

/// How a trade's two numbers are meant.
#[derive(Clone, Copy)]
enum Shape {
    ExactIn,
    TokensOut,
    Sell,
}

impl Shape {
    const fn side(self) -> Side {
        match self {
            Self::ExactIn | Self::TokensOut => Side::Buy,
            Self::Sell => Side::Sell,
        }
    }

    const fn amounts(self, first: u64, second: u64) -> Amounts {
        match self {
            Self::ExactIn => Amounts::ExactIn {
                quote_in: Lamports(first),
                tokens_min: TokenAmount(second),
            },
            Self::TokensOut => Amounts::TokensOut {
                tokens: TokenAmount(first),
                quote_max: Lamports(second),
            },
            Self::Sell => Amounts::Sell {
                tokens: TokenAmount(first),
                quote_min: Lamports(second),
            },
        }
    }
}

/// Layout of a buy instruction, or `None` for every other discriminator.
const fn buy_layout(discriminator: u64) -> Option<&'static TradeLayout> {
    match discriminator {
        discriminator::BUY | discriminator::BUY_EXACT_SOL_IN => Some(&pump::BUY_V1),
        discriminator::BUY_V2 | discriminator::BUY_EXACT_QUOTE_IN_V2 => Some(&pump::BUY_V2),
        discriminator::BUY_V3 | discriminator::BUY_EXACT_QUOTE_IN_V3 => Some(&pump::TRADE_V3),
        _ => None,
    }
}
