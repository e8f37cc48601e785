//! One bonding curve: reserves, integer prices, fees.
//!
//! Arithmetic of package `pump-rust-client` 0.5.0, `src/math`.

use crate::market::ExecReason;
use crate::pump::{Coin, Generation, Order, Trade};

/// Pump's `Global` at the time of writing: what a fresh curve starts with.
pub const INITIAL_VIRTUAL_TOKENS: u64 = 1_073_000_000_000_000;
/// Virtual lamports of a fresh curve.
pub const INITIAL_VIRTUAL_LAMPORTS: u64 = 30_000_000_000;
/// Tokens a fresh curve sells.
pub const INITIAL_REAL_TOKENS: u64 = 793_100_000_000_000;
/// Supply of every coin.
pub const TOKEN_SUPPLY: u64 = 1_000_000_000_000_000;

/// The fee tier of every curve trade, unless the coin has its own creator fee.
///
/// A curve's market cap stays below the schedule's second threshold (420 SOL) until it completes
/// (411 SOL), so one tier is the whole schedule here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeTier {
    /// Protocol fee in basis points.
    pub protocol_bps: u64,
    /// Creator fee in basis points.
    pub creator_bps: u64,
}

impl Default for FeeTier {
    fn default() -> Self {
        Self {
            protocol_bps: 95,
            creator_bps: 30,
        }
    }
}

/// A bonding curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curve {
    /// The coin.
    pub coin: Coin,
    /// Virtual token reserves.
    pub virtual_tokens: u64,
    /// Virtual lamport reserves.
    pub virtual_lamports: u64,
    /// Tokens left to sell.
    pub real_tokens: u64,
    /// Lamports raised.
    pub real_lamports: u64,
    /// Fees that v3 trades left on the curve.
    pub unswept_fee_lamports: u64,
    /// No token is left; trading is over.
    pub complete: bool,
}

/// A price: what changes hands and what the curve keeps of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// Raw tokens.
    pub tokens: u64,
    /// Lamports that enter or leave the reserves.
    pub net_lamports: u64,
    /// Protocol fee.
    pub protocol_fee_lamports: u64,
    /// Creator fee.
    pub creator_fee_lamports: u64,
}

impl Quote {
    /// What a buyer pays.
    pub fn cost_lamports(&self) -> u64 {
        self.net_lamports + self.fee_lamports()
    }

    /// What a seller receives; 0 when the fees eat it.
    pub fn proceeds_lamports(&self) -> u64 {
        self.net_lamports.saturating_sub(self.fee_lamports())
    }

    pub(crate) fn fee_lamports(&self) -> u64 {
        self.protocol_fee_lamports + self.creator_fee_lamports
    }
}

impl Curve {
    /// A fresh curve for `coin`.
    pub fn new(coin: Coin) -> Self {
        Self {
            coin,
            virtual_tokens: INITIAL_VIRTUAL_TOKENS,
            virtual_lamports: INITIAL_VIRTUAL_LAMPORTS,
            real_tokens: INITIAL_REAL_TOKENS,
            real_lamports: 0,
            unswept_fee_lamports: 0,
            complete: false,
        }
    }

    /// Price of an exact budget. Past the remaining supply it is the price of the remainder.
    ///
    /// # Errors
    /// When the curve is complete, or the budget buys nothing.
    pub fn quote_exact_in(&self, spend_lamports: u64, tier: FeeTier) -> Result<Quote, ExecReason> {
        self.check_open()?;
        let [protocol_bps, creator_bps] = self.fee_bps(tier);
        let total_bps = u128::from(10_000 + protocol_bps + creator_bps);
        let whole = u128::from(spend_lamports) * 10_000 / total_bps;
        let fees = [fee(whole, protocol_bps), fee(whole, creator_bps)];
        // Rounding the fees up can overshoot the budget: the excess comes out of the net.
        let excess =
            (whole + u128::from(fees[0] + fees[1])).saturating_sub(u128::from(spend_lamports));
        let net = whole
            .checked_sub(excess)
            .filter(|net| *net > 1)
            .ok_or(ExecReason::NotEnoughSolToCoverFees)?;
        let tokens = (net - 1) * u128::from(self.virtual_tokens)
            / (u128::from(self.virtual_lamports) + net - 1);
        if tokens > u128::from(self.real_tokens) {
            let rest = self.quote_exact_out(self.real_tokens, tier)?;
            return if rest.cost_lamports() <= spend_lamports {
                Ok(rest)
            } else {
                Err(ExecReason::TooMuchSolRequired)
            };
        }
        if tokens == 0 {
            return Err(ExecReason::ZeroAmount);
        }
        let [protocol_fee_lamports, creator_fee_lamports] = fees;
        Ok(Quote {
            tokens: tokens as u64,
            net_lamports: net as u64,
            protocol_fee_lamports,
            creator_fee_lamports,
        })
    }

    /// Price of an amount of tokens, capped at what the curve has left.
    ///
    /// # Errors
    /// When the curve is complete, or the amount is 0.
    pub fn quote_exact_out(&self, tokens: u64, tier: FeeTier) -> Result<Quote, ExecReason> {
        self.check_open()?;
        let tokens = tokens.min(self.real_tokens);
        if tokens == 0 {
            return Err(ExecReason::ZeroAmount);
        }
        // Real tokens are always fewer than virtual ones, so the divisor is positive.
        let left = u128::from(self.virtual_tokens - tokens);
        let net = u128::from(tokens) * u128::from(self.virtual_lamports) / left + 1;
        Ok(self.with_fees(tokens, net, tier))
    }

    /// Price of selling an amount of tokens.
    ///
    /// # Errors
    /// When the curve is complete, the amount is 0, or no lamports would be left after fees.
    pub fn quote_sell(&self, tokens: u64, tier: FeeTier) -> Result<Quote, ExecReason> {
        self.check_open()?;
        if tokens == 0 {
            return Err(ExecReason::ZeroAmount);
        }
        let reserves = u128::from(self.virtual_tokens) + u128::from(tokens);
        let gross = u128::from(tokens) * u128::from(self.virtual_lamports) / reserves;
        let quote = self.with_fees(tokens, gross, tier);
        if quote.net_lamports <= quote.fee_lamports() || quote.net_lamports > self.real_lamports {
            return Err(ExecReason::ZeroAmount);
        }
        Ok(quote)
    }

    fn with_fees(&self, tokens: u64, net: u128, tier: FeeTier) -> Quote {
        let [protocol_bps, creator_bps] = self.fee_bps(tier);
        Quote {
            tokens,
            net_lamports: net as u64,
            protocol_fee_lamports: fee(net, protocol_bps),
            creator_fee_lamports: fee(net, creator_bps),
        }
    }

    fn check_open(&self) -> Result<(), ExecReason> {
        if self.complete {
            Err(ExecReason::BondingCurveComplete)
        } else {
            Ok(())
        }
    }

    fn fee_bps(&self, tier: FeeTier) -> [u64; 2] {
        let creator_bps = match self.coin.creator_fee_bps {
            _ if self.coin.creator == [0; 32] => 0,
            0 => tier.creator_bps,
            own => own,
        };
        [tier.protocol_bps, creator_bps]
    }

    pub(crate) fn apply_buy(&mut self, quote: &Quote) {
        self.virtual_tokens -= quote.tokens;
        self.real_tokens -= quote.tokens;
        self.virtual_lamports += quote.net_lamports;
        self.real_lamports += quote.net_lamports;
        self.complete = self.real_tokens == 0;
    }

    pub(crate) fn apply_sell(&mut self, quote: &Quote) {
        self.virtual_tokens += quote.tokens;
        self.real_tokens += quote.tokens;
        self.virtual_lamports -= quote.net_lamports;
        self.real_lamports -= quote.net_lamports;
    }
}

/// The price of `trade` on `curve`, limits checked.
pub(crate) fn price(curve: &Curve, trade: &Trade, tier: FeeTier) -> Result<Quote, ExecReason> {
    // A v3 buy past the remaining supply goes on in the pool to be; the model stops at the curve.
    let partial = trade.partial_fill || (trade.generation == Generation::V3 && !curve.coin.mayhem);
    match trade.order {
        Order::BuyExactIn {
            spend_lamports,
            tokens_min,
        } => {
            let quote = curve.quote_exact_in(spend_lamports, tier)?;
            let emptied = quote.tokens == curve.real_tokens;
            if emptied && !partial {
                return Err(ExecReason::NotEnoughTokensToBuy);
            }
            // With a partial fill the program skips the limit past the remaining supply.
            let limit_skipped = emptied && curve.coin.mayhem && trade.partial_fill;
            if quote.tokens < tokens_min && !limit_skipped {
                return Err(ExecReason::BuySlippageBelowMinTokensOut);
            }
            Ok(quote)
        }
        Order::BuyExactOut {
            tokens,
            cost_lamports_max,
        } => {
            if tokens > curve.real_tokens && !partial {
                return Err(ExecReason::NotEnoughTokensToBuy);
            }
            let quote = curve.quote_exact_out(tokens, tier)?;
            if quote.cost_lamports() > cost_lamports_max {
                return Err(ExecReason::TooMuchSolRequired);
            }
            Ok(quote)
        }
        Order::Sell {
            tokens,
            receive_lamports_min,
        } => {
            let quote = curve.quote_sell(tokens, tier)?;
            if quote.proceeds_lamports() < receive_lamports_min {
                return Err(ExecReason::TooLittleSolReceived);
            }
            Ok(quote)
        }
    }
}

/// `ceil(amount * bps / 10,000)`.
fn fee(amount: u128, bps: u64) -> u64 {
    (amount * u128::from(bps)).div_ceil(10_000) as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::keys::TOKEN_2022;

    const SOL: u64 = 1_000_000_000;

    #[test]
    fn a_fresh_curve_prices_as_the_program_does() {
        let curve = Curve::new(Coin::new([1; 32], TOKEN_2022, [2; 32], false, false, 0));
        let tier = FeeTier {
            protocol_bps: 100,
            creator_bps: 50,
        };
        // The whole supply: the figures of pump-rust-client's own tests.
        let all = curve.quote_exact_out(INITIAL_REAL_TOKENS, tier).unwrap();
        assert_eq!(
            all.cost_lamports(),
            85_005_359_057 + 850_053_591 + 425_026_796
        );
        assert_eq!(curve.quote_exact_in(100 * SOL, tier).unwrap(), all);
        // One SOL at 95 + 30 bps, by hand.
        let one = curve.quote_exact_in(SOL, FeeTier::default()).unwrap();
        assert_eq!(
            (
                one.net_lamports,
                one.protocol_fee_lamports,
                one.creator_fee_lamports
            ),
            (987_654_320, 9_382_717, 2_962_963)
        );
        assert_eq!(one.cost_lamports(), SOL);
        let tokens = 987_654_319_u128 * 1_073_000_000_000_000 / (30_000_000_000 + 987_654_319);
        assert_eq!(u128::from(one.tokens), tokens);
    }

    #[test]
    fn no_round_trip_makes_money_and_no_budget_is_exceeded() {
        let mut prng = crate::prng::Prng::new(5);
        for _ in 0..20_000 {
            let mut curve = Curve::new(Coin::new([1; 32], TOKEN_2022, [2; 32], false, false, 0));
            let skew = curve
                .quote_exact_in(prng.between(1_000, 60 * SOL), FeeTier::default())
                .unwrap();
            curve.apply_buy(&skew);
            let budget = prng.between(1_000, 20 * SOL);
            let buy = curve.quote_exact_in(budget, FeeTier::default()).unwrap();
            assert!(buy.cost_lamports() <= budget);
            curve.apply_buy(&buy);
            if let Ok(sell) = curve.quote_sell(buy.tokens, FeeTier::default()) {
                assert!(sell.proceeds_lamports() < buy.cost_lamports());
                assert!(sell.net_lamports <= buy.net_lamports);
            }
        }
    }
}
