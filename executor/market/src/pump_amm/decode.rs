//! PumpSwap's outer instructions.

use crate::decode::DecodeReject;
use crate::event::{Create, Liquidity, PoolAction, PoolCall, Swap, SwapAmounts, Way};
use crate::instruction::{Arguments, Instruction};
use crate::pump_amm::{create, discriminator, liquidity, route, trade};

/// What one instruction asks for. Of a route it is the first hop; [`each`] gives all of them.
pub(crate) fn decode(instruction: &Instruction<'_>) -> Result<PoolCall, DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    let arguments = &mut arguments;
    match discriminator {
        discriminator::BUY => buy(instruction, trade::V1_BUY_LEN, out(arguments)?),
        discriminator::BUY_EXACT_QUOTE_IN => buy(instruction, trade::V1_BUY_LEN, exact(arguments)?),
        discriminator::SELL => sell(instruction, trade::V1_SELL_LEN, exact(arguments)?),
        discriminator::BUY_V2 => buy(instruction, trade::V2_LEN, out(arguments)?),
        discriminator::BUY_EXACT_QUOTE_IN_V2 => buy(instruction, trade::V2_LEN, exact(arguments)?),
        discriminator::SELL_V2 => sell(instruction, trade::V2_LEN, exact(arguments)?),
        discriminator::MULTI_HOP_SWAP => Route::of(instruction, arguments)?.hop(0),
        discriminator::CREATE_POOL => opening(instruction, arguments),
        discriminator::DEPOSIT => {
            share(instruction, arguments).map(|(call, share)| call(PoolAction::Deposit(share)))
        }
        discriminator::WITHDRAW => {
            share(instruction, arguments).map(|(call, share)| call(PoolAction::Withdraw(share)))
        }
        _ => Err(DecodeReject::OtherInstruction),
    }
}

/// Hands what the instruction asks of each pool to `emit`: one call, or one for each hop of a route.
///
/// A hop's venue is a pool or a curve of Pump; which, only its address tells.
pub(crate) fn each(
    instruction: &Instruction<'_>,
    emit: &mut impl FnMut(PoolCall),
) -> Result<(), DecodeReject> {
    let (discriminator, mut arguments) = instruction.discriminated()?;
    if discriminator != discriminator::MULTI_HOP_SWAP {
        return decode(instruction).map(emit);
    }
    let route = Route::of(instruction, &mut arguments)?;
    for index in 0..route.hop_count {
        emit(route.hop(index)?);
    }
    Ok(())
}

fn exact(arguments: &mut Arguments<'_>) -> Result<SwapAmounts, DecodeReject> {
    Ok(SwapAmounts::ExactIn {
        amount_in: arguments.u64()?,
        out_min: arguments.u64()?,
    })
}

fn out(arguments: &mut Arguments<'_>) -> Result<SwapAmounts, DecodeReject> {
    Ok(SwapAmounts::ExactOut {
        amount_out: arguments.u64()?,
        in_max: arguments.u64()?,
    })
}

fn buy(
    instruction: &Instruction<'_>,
    len_min: usize,
    amounts: SwapAmounts,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(len_min)?;
    let swap = Swap {
        amounts,
        way: Some(Way::BToA),
        mint_in: instruction.account(trade::QUOTE_MINT),
        mint_out: instruction.account(trade::BASE_MINT),
        account_in: instruction.account(trade::USER_QUOTE),
        account_out: instruction.account(trade::USER_BASE),
        price_limit: None,
    };
    traded(instruction, swap)
}

fn sell(
    instruction: &Instruction<'_>,
    len_min: usize,
    amounts: SwapAmounts,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(len_min)?;
    let swap = Swap {
        amounts,
        way: Some(Way::AToB),
        mint_in: instruction.account(trade::BASE_MINT),
        mint_out: instruction.account(trade::QUOTE_MINT),
        account_in: instruction.account(trade::USER_BASE),
        account_out: instruction.account(trade::USER_QUOTE),
        price_limit: None,
    };
    traded(instruction, swap)
}

fn traded(instruction: &Instruction<'_>, swap: Swap) -> Result<PoolCall, DecodeReject> {
    Ok(PoolCall {
        pool: instruction.account(trade::POOL),
        actor: Some(instruction.signer(trade::USER)?),
        action: PoolAction::Swap(swap),
    })
}

fn opening(
    instruction: &Instruction<'_>,
    arguments: &mut Arguments<'_>,
) -> Result<PoolCall, DecodeReject> {
    instruction.at_least(create::LEN)?;
    let _index = arguments.u16()?;
    let (amount_a, amount_b) = (arguments.u64()?, arguments.u64()?);
    let _coin_creator = arguments.key()?;
    let _is_mayhem_mode = arguments.flag()?;
    Ok(PoolCall {
        pool: instruction.account(create::POOL),
        actor: Some(instruction.signer(create::CREATOR)?),
        action: PoolAction::Create(Create {
            mint_a: instruction.account(create::BASE_MINT),
            mint_b: instruction.account(create::QUOTE_MINT),
            vault_a: instruction.account(create::BASE_VAULT),
            vault_b: instruction.account(create::QUOTE_VAULT),
            config: instruction.account(create::GLOBAL_CONFIG),
            amount_a,
            amount_b,
            price: None,
            opens_at: None,
            makes_mint: false,
        }),
    })
}

fn share(
    instruction: &Instruction<'_>,
    arguments: &mut Arguments<'_>,
) -> Result<(impl FnOnce(PoolAction) -> PoolCall, Liquidity), DecodeReject> {
    instruction.at_least(liquidity::LEN)?;
    let share = Liquidity {
        share: u128::from(arguments.u64()?),
        limit_a: arguments.u64()?,
        limit_b: arguments.u64()?,
    };
    let pool = instruction.account(liquidity::POOL);
    let actor = Some(instruction.signer(liquidity::USER)?);
    let call = move |action| PoolCall {
        pool,
        actor,
        action,
    };
    Ok((call, share))
}

/// A `multi_hop_swap`.
struct Route<'a, 'b> {
    instruction: &'b Instruction<'a>,
    amount_in: u64,
    out_min: u64,
    hop_count: usize,
}

impl<'a, 'b> Route<'a, 'b> {
    fn of(
        instruction: &'b Instruction<'a>,
        arguments: &mut Arguments<'_>,
    ) -> Result<Self, DecodeReject> {
        let (amount_in, out_min) = (arguments.u64()?, arguments.u64()?);
        instruction.at_least(route::HOPS + route::HOP_LEN)?;
        Ok(Self {
            instruction,
            amount_in,
            out_min,
            hop_count: (instruction.account_count() - route::HOPS) / route::HOP_LEN,
        })
    }

    /// Every hop trades the same way: a buy's coin is what the next hop is priced in, a sale's quote is the next coin.
    /// A single hop does not say which way it goes.
    fn way(&self) -> Option<Way> {
        let at = |hop: usize, field: usize| route::HOPS + hop * route::HOP_LEN + field;
        if self.hop_count < 2 {
            return None;
        }
        let joins = |from, to| self.instruction.is_same(at(0, from), at(1, to));
        match (
            joins(route::BASE_MINT, route::QUOTE_MINT),
            joins(route::QUOTE_MINT, route::BASE_MINT),
        ) {
            (true, false) => Some(Way::BToA),
            (false, true) => Some(Way::AToB),
            _ => None,
        }
    }

    fn hop(&self, index: usize) -> Result<PoolCall, DecodeReject> {
        let account = |field: usize| {
            self.instruction
                .account(route::HOPS + index * route::HOP_LEN + field)
        };
        let (base, quote) = (account(route::BASE_MINT), account(route::QUOTE_MINT));
        let way = self.way();
        let (mint_in, mint_out) = match way {
            Some(Way::BToA) => (quote, base),
            Some(Way::AToB) => (base, quote),
            None => (None, None),
        };
        let (is_first, is_last) = (index == 0, index + 1 == self.hop_count);
        let amounts = if is_first {
            SwapAmounts::ExactIn {
                amount_in: self.amount_in,
                out_min: if is_last { self.out_min } else { 0 },
            }
        } else {
            SwapAmounts::Unknown
        };
        let end =
            |is_end: bool, position| is_end.then(|| self.instruction.account(position)).flatten();
        Ok(PoolCall {
            pool: account(route::VENUE),
            actor: Some(self.instruction.signer(route::USER)?),
            action: PoolAction::Swap(Swap {
                amounts,
                way,
                mint_in,
                mint_out,
                account_in: end(is_first, route::USER_IN),
                account_out: end(is_last, route::USER_OUT),
                price_limit: None,
            }),
        })
    }
}
