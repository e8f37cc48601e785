//! The half of presigned ladders that signs: orders in, signed ladders out, used memory back in.
//!
//! For a thread off the core, which calls [`LadderWorker::poll`] again and again. One thread may as well hold both
//! halves and poll by hand, as tests and benchmarks do.

use bundle::ladder::{
    ArmLadderError, BLOCKHASH_COUNT_MAX, Blank, Grid, Ladder, LadderCapacity, LadderSigner,
    Retired, SIZE_COUNT_MAX,
};
use bundle::{Draft, RecentBlockhash};
use market::{Lamports, Side, TokenAmount};
use rtrb::{Consumer, Producer};

use crate::ladders::LadderPlan;

/// What one ladder is made from.
pub(crate) struct LadderOrder {
    pub(crate) intent_id: u64,
    pub(crate) draft: Draft,
    pub(crate) side: Side,
    /// What all rungs have in common: the most a buy spends, the tokens a sale gives.
    pub(crate) fixed: u64,
    /// What they differ in: tokens to buy, or the least a sale must bring.
    pub(crate) sizes: Values<SIZE_COUNT_MAX>,
    pub(crate) tip: Lamports,
    pub(crate) blockhashes: [RecentBlockhash; BLOCKHASH_COUNT_MAX],
    pub(crate) blockhash_count: usize,
}

/// What became of one order. Every order has one answer.
pub(crate) enum LadderAnswer {
    Made(Ladder),
    /// It cannot be rendered, or signing has halted.
    Refused {
        intent_id: u64,
    },
}

/// Up to `N` numbers in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<const N: usize> {
    values: [u64; N],
    count: usize,
    count_max: usize,
}

impl<const N: usize> Values<N> {
    /// None yet, and `count_max` of them at most.
    pub(crate) fn new(count_max: usize) -> Self {
        Self {
            values: [0; N],
            count: 0,
            count_max: count_max.min(N),
        }
    }

    /// Adds `value` unless it is there; one too many is left out.
    pub(crate) fn push(&mut self, value: u64) {
        if self.count < self.count_max && !self.as_slice().contains(&value) {
            self.values[self.count] = value;
            self.count += 1;
        }
    }

    /// Puts them in ascending order.
    pub(crate) fn sort(&mut self) {
        self.values[..self.count].sort_unstable();
    }

    pub(crate) fn as_slice(&self) -> &[u64] {
        self.values.get(..self.count).unwrap_or_default()
    }
}

/// Signs ladders that the core ordered. Made by [`crate::ladders()`], with all the memory it will use.
pub struct LadderWorker {
    signer: LadderSigner,
    blanks: Vec<Blank>,
    orders: Consumer<LadderOrder>,
    answers: Producer<LadderAnswer>,
    retired: Consumer<Retired>,
}

impl LadderWorker {
    pub(crate) fn new(
        signer: LadderSigner,
        plan: &LadderPlan,
        orders: Consumer<LadderOrder>,
        answers: Producer<LadderAnswer>,
        retired: Consumer<Retired>,
    ) -> Self {
        let capacity = LadderCapacity {
            sizes: plan.sizes,
            tips: 1,
            blockhashes: plan.blockhashes,
            transaction_len: plan.transaction_len,
        };
        let blanks: Vec<_> = (0..plan.blank_count())
            .map(|_| Blank::new(capacity))
            .collect();
        Self {
            signer,
            blanks,
            orders,
            answers,
            retired,
        }
    }

    /// Ladders it has wiped memory for; all there is when nothing is held, waits or travels.
    #[must_use]
    pub fn blank_count(&self) -> usize {
        self.blanks.len()
    }

    /// Wipes what came back and signs at most one ladder. Returns how much there was to do: at 0 nothing waits.
    ///
    /// Cost: some 12 us for each rung of the ladder, sizes by blockhashes. Does not allocate, wait or lock.
    pub fn poll(&mut self) -> usize {
        let mut done = 0;
        while let Ok(retired) = self.retired.pop() {
            self.blanks.push(retired.wipe());
            done += 1;
        }
        // Nothing is taken that could not be answered: the other half counts on an answer to everything.
        if self.answers.is_full() {
            return done;
        }
        let Some(blank) = self.blanks.pop() else {
            return done;
        };
        let Ok(order) = self.orders.pop() else {
            self.blanks.push(blank);
            return done;
        };
        let intent_id = order.intent_id;
        let answer = match make(&self.signer, blank, &order) {
            Ok(ladder) => LadderAnswer::Made(ladder),
            Err(blank) => {
                self.blanks.push(blank);
                LadderAnswer::Refused { intent_id }
            }
        };
        // There is room: this half alone fills the ring.
        let _ = self.answers.push(answer);
        done + 1
    }
}

fn make(signer: &LadderSigner, blank: Blank, order: &LadderOrder) -> Result<Ladder, Blank> {
    let LadderOrder {
        intent_id,
        draft,
        side,
        fixed,
        sizes,
        tip,
        blockhashes,
        blockhash_count,
        ..
    } = order;
    let grid = Grid {
        sizes: sizes.as_slice(),
        tips: &[tip.0],
        blockhashes: blockhashes.get(..*blockhash_count).unwrap_or_default(),
    };
    let made = signer.arm(blank, *intent_id, &grid, &draft.layout(), |rung, out| {
        let (tokens, quote_limit) = match side {
            Side::Buy => (rung.size, *fixed),
            Side::Sell => (*fixed, rung.size),
        };
        draft.render(
            TokenAmount(tokens),
            Lamports(quote_limit),
            Lamports(rung.tip),
            &rung.blockhash,
            out,
        )
    });
    made.map_err(|(blank, _): (_, ArmLadderError<_>)| blank)
}

impl core::fmt::Debug for LadderWorker {
    /// Shows no bytes and no key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LadderWorker")
            .field("blanks", &self.blanks.len())
            .finish_non_exhaustive()
    }
}
