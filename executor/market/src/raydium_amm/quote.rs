//! A Raydium AMM v4 swap, as the program reckons it.

use super::account::{OrderBook, Pool, Status};
use crate::event::Way;
use crate::math::mul_div_ceil;
use crate::quote::{Amount, QuoteReject, Swapped};

impl Pool {
    /// Swaps at `now` (unix seconds) and leaves the pool as the program would; on an error it is unchanged.
    ///
    /// Input fee rounded up, then `floor(out * in / (in + reserve))`; for an exact output the input is rounded up, then
    /// up again over the fee. Reserves are the vaults less what the protocol takes. Both generations agree while the
    /// order book holds nothing of the pool's. Cost: at most four 128-bit divisions.
    /// Source: raydium-amm 27f461d `process_swap_base_in`, `process_swap_base_out` (`_v2` are the same),
    /// `Calculator::swap_token_amount_base_in`, `..._out`.
    ///
    /// # Errors
    /// [`QuoteReject::Closed`] before the opening time, for a status that does not swap, and while the pool's funds in
    /// the order book are not known; [`QuoteReject`] otherwise.
    pub fn swap(&mut self, now: u64, way: Way, amount: Amount) -> Result<Swapped, QuoteReject> {
        let status = self.status_at(now)?;
        let coin = reserve(self.coin, self.need_take_coin)?;
        let pc = reserve(self.pc, self.need_take_pc)?;
        let (reserve_in, reserve_out) = match way {
            Way::AToB => (coin, pc),
            Way::BToA => (pc, coin),
        };
        let swapped = match amount {
            Amount::In(amount_in) => Swapped {
                amount_in,
                amount_out: self.out_for(amount_in, reserve_in, reserve_out)?,
            },
            Amount::Out(amount_out) => Swapped {
                amount_in: self.in_for(amount_out, reserve_in, reserve_out)?,
                amount_out,
            },
        };
        let (vault_in, vault_out) = match way {
            Way::AToB => (&mut self.coin, &mut self.pc),
            Way::BToA => (&mut self.pc, &mut self.coin),
        };
        let after_in = vault_in.checked_add(swapped.amount_in);
        let after_out = vault_out.checked_sub(swapped.amount_out);
        let (after_in, after_out) = after_in.zip(after_out).ok_or(QuoteReject::Overflow)?;
        (*vault_in, *vault_out) = (after_in, after_out);
        self.status = status;
        Ok(swapped)
    }

    /// The status a swap at `now` leaves.
    fn status_at(&self, now: u64) -> Result<Status, QuoteReject> {
        match self.status {
            Status::SwapOnly => Ok(Status::SwapOnly),
            Status::WaitingTrade if now >= self.opens_at => Ok(Status::SwapOnly),
            Status::Initialized if self.order_book == OrderBook::Empty => Ok(Status::Initialized),
            _ => Err(QuoteReject::Closed),
        }
    }

    fn out_for(
        &self,
        amount_in: u64,
        reserve_in: u64,
        reserve_out: u64,
    ) -> Result<u64, QuoteReject> {
        if amount_in == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        let fee = mul_div_ceil(
            u128::from(amount_in),
            u128::from(self.swap_fee_numerator),
            u128::from(self.swap_fee_denominator),
        );
        let after_fee = fee
            .and_then(|fee| u128::from(amount_in).checked_sub(fee))
            .ok_or(QuoteReject::Overflow)?;
        let out = u128::from(reserve_out) * after_fee;
        let out = out
            .checked_div(u128::from(reserve_in) + after_fee)
            .ok_or(QuoteReject::EmptyReserves)? as u64;
        match out {
            0 => Err(QuoteReject::ZeroAmount),
            out if out >= reserve_out => Err(QuoteReject::PastRemaining),
            out => Ok(out),
        }
    }

    fn in_for(
        &self,
        amount_out: u64,
        reserve_in: u64,
        reserve_out: u64,
    ) -> Result<u64, QuoteReject> {
        if amount_out == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        let left = reserve_out.checked_sub(amount_out).filter(|left| *left > 0);
        let left = u128::from(left.ok_or(QuoteReject::PastRemaining)?);
        let before_fee = (u128::from(reserve_in) * u128::from(amount_out)).div_ceil(left);
        let denominator = u128::from(self.swap_fee_denominator);
        let kept = denominator
            .checked_sub(u128::from(self.swap_fee_numerator))
            .filter(|kept| *kept > 0)
            .ok_or(QuoteReject::Overflow)?;
        let amount_in = before_fee
            .checked_mul(denominator)
            .and_then(|product| u64::try_from(product.div_ceil(kept)).ok())
            .ok_or(QuoteReject::Overflow)?;
        if amount_in == 0 {
            return Err(QuoteReject::ZeroAmount);
        }
        Ok(amount_in)
    }
}

fn reserve(vault: u64, need_take: u64) -> Result<u64, QuoteReject> {
    vault
        .checked_sub(need_take)
        .ok_or(QuoteReject::EmptyReserves)
}
