//! Who wins: our tip per compute unit against the bids of seeded rivals.

use crate::prng::Prng;

/// What a bundle offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bid {
    /// Lamports to the tip accounts.
    pub tip_lamports: u64,
    /// Compute units asked for, at least 1.
    pub compute_units: u64,
}

impl Bid {
    /// Whether this bid is at least as good as `other`: lamports per compute unit, without rounding.
    pub fn beats(&self, other: &Self) -> bool {
        let cross = |a: &Self, b: &Self| u128::from(a.tip_lamports) * u128::from(b.compute_units);
        cross(self, other) >= cross(other, self)
    }
}

/// The others at the auction. Parameters of a model, not measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rivals {
    /// Auctions in which a rival wants the same state, per 10,000.
    pub state_rival_bps: u16,
    /// Most rivals in such an auction.
    pub count_max: u64,
    /// Lowest bid, for [`Rivals::compute_units`].
    pub tip_lamports_min: u64,
    /// Highest bid. Between the two every doubling is equally likely.
    pub tip_lamports_max: u64,
    /// Compute units a rival asks for.
    pub compute_units: u64,
    /// Winners whose whole batch is outbid all the same, per 10,000.
    pub batch_rejected_bps: u16,
}

impl Default for Rivals {
    fn default() -> Self {
        Self {
            state_rival_bps: 2_200,
            count_max: 3,
            tip_lamports_min: 1_000,
            tip_lamports_max: 2_000_000,
            compute_units: 150_000,
            batch_rejected_bps: 200,
        }
    }
}

/// How an auction ended for one bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forwarded to the leader.
    Won,
    /// A rival offered more for the same state.
    StateBidRejected,
    /// The whole batch was outbid.
    BatchBidRejected,
}

impl Rivals {
    /// Nobody else bids.
    pub const NONE: Self = Self {
        state_rival_bps: 0,
        count_max: 0,
        tip_lamports_min: 0,
        tip_lamports_max: 0,
        compute_units: 1,
        batch_rejected_bps: 0,
    };

    /// Holds the auction for `bid`. A draw goes to `bid`.
    pub fn judge(&self, bid: &Bid, prng: &mut Prng) -> Verdict {
        let contested = prng.chance_bps(self.state_rival_bps);
        let rival_count = if contested {
            prng.between(1, self.count_max)
        } else {
            0
        };
        let outbid = (0..rival_count)
            .map(|_| self.bid(prng))
            .any(|rival| !bid.beats(&rival));
        if outbid {
            Verdict::StateBidRejected
        } else if prng.chance_bps(self.batch_rejected_bps) {
            Verdict::BatchBidRejected
        } else {
            Verdict::Won
        }
    }

    /// Log-uniform between the bounds: a doubling, then a place within it.
    fn bid(&self, prng: &mut Prng) -> Bid {
        let low = self.tip_lamports_min.max(1);
        let doublings = (self.tip_lamports_max.max(low) / low).ilog2();
        let base = low << prng.between(0, u64::from(doublings));
        let tip_lamports = base
            .saturating_add(prng.below(base))
            .min(self.tip_lamports_max.max(low));
        Bid {
            tip_lamports,
            compute_units: self.compute_units.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wins(rivals: &Rivals, tip_lamports: u64) -> usize {
        let bid = Bid {
            tip_lamports,
            compute_units: 150_000,
        };
        (0..2_000)
            .filter(|seed| rivals.judge(&bid, &mut Prng::new(*seed)) == Verdict::Won)
            .count()
    }

    #[test]
    fn the_better_ratio_wins_whatever_the_size() {
        let bid = |tip_lamports, compute_units| Bid {
            tip_lamports,
            compute_units,
        };
        assert!(bid(10, 1).beats(&bid(90, 10)));
        assert!(!bid(90, 10).beats(&bid(10, 1)));
        assert!(bid(10, 1).beats(&bid(100, 10)), "a draw is ours");
        assert!(bid(u64::MAX, u64::MAX).beats(&bid(1, 1)));
    }

    #[test]
    fn more_tip_wins_more_often_and_enough_always() {
        let rivals = Rivals {
            state_rival_bps: 10_000,
            batch_rejected_bps: 0,
            ..Rivals::default()
        };
        let counts = [1_000, 50_000, 500_000, 2_000_000].map(|tip| wins(&rivals, tip));
        assert!(
            counts.is_sorted() && counts[0] < 200 && counts[2] > 1_000,
            "{counts:?}"
        );
        assert_eq!(counts[3], 2_000);
    }

    #[test]
    fn without_rivals_everyone_wins() {
        assert_eq!(wins(&Rivals::NONE, 1), 2_000);
        let batch = Rivals {
            batch_rejected_bps: 10_000,
            ..Rivals::NONE
        };
        assert_eq!(
            batch.judge(
                &Bid {
                    tip_lamports: 1,
                    compute_units: 1
                },
                &mut Prng::new(1)
            ),
            Verdict::BatchBidRejected
        );
    }

    #[test]
    fn bids_stay_within_their_bounds() {
        let rivals = Rivals::default();
        let mut prng = Prng::new(9);
        for _ in 0..10_000 {
            let bid = rivals.bid(&mut prng);
            assert!((1_000..=2_000_000).contains(&bid.tip_lamports));
        }
        let extreme = Rivals {
            tip_lamports_min: 0,
            tip_lamports_max: u64::MAX,
            ..rivals
        };
        (0..1_000).for_each(|_| assert!(extreme.bid(&mut prng).tip_lamports >= 1));
    }
}
