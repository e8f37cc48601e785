//! Leader signatures on a thread of their own, so that a set's first shred does not hold up the burst behind it.

use rtrb::{Consumer, Producer};
use shred_resolve::{Check, Checked, Checker};

use crate::stage::Stage;

/// Takes signatures to check, and answers each.
pub struct VerifyStage {
    checks: Consumer<Check>,
    answers: Producer<Checked>,
    checker: Checker,
}

impl VerifyStage {
    /// Between these two rings. `answers` has room for as many as may be under way.
    #[must_use]
    pub const fn new(checks: Consumer<Check>, answers: Producer<Checked>) -> Self {
        Self {
            checks,
            answers,
            checker: Checker::new(),
        }
    }
}

impl VerifyStage {
    /// True when no check will ever come again.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.checks.is_abandoned()
    }
}

impl Stage for VerifyStage {
    fn poll(&mut self) -> usize {
        if self.answers.is_full() {
            return 0;
        }
        let Ok(check) = self.checks.pop() else {
            return 0;
        };
        // There is room, as was just seen; or nobody is left to take the answer.
        let _ = self.answers.push(self.checker.check(&check));
        1
    }
}

/// The core's ends of the two rings.
pub struct VerifyRings {
    checks: Producer<Check>,
    answers: Consumer<Checked>,
    under_way: usize,
}

impl VerifyRings {
    /// `checks` has room for as many as the resolver lets be under way.
    #[must_use]
    pub const fn new(checks: Producer<Check>, answers: Consumer<Checked>) -> Self {
        Self {
            checks,
            answers,
            under_way: 0,
        }
    }

    /// Hands a check over.
    #[inline]
    pub fn send(&mut self, check: Check) {
        // By sizing there is room; if the thread has died, its end is noticed elsewhere.
        self.under_way += usize::from(self.checks.push(check).is_ok());
    }

    /// The next answer.
    #[inline]
    pub fn receive(&mut self) -> Option<Checked> {
        let answer = self.answers.pop().ok()?;
        self.under_way -= 1;
        Some(answer)
    }

    /// Whether an answer will come.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.under_way > 0 && !self.answers.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use rtrb::RingBuffer;

    #[test]
    fn nobody_waits_for_a_stage_that_is_gone() {
        let (to, checks) = RingBuffer::new(2);
        let (answers, from) = RingBuffer::new(2);
        let mut rings = VerifyRings::new(to, from);
        let mut stage = VerifyStage::new(checks, answers);
        assert_eq!(stage.poll(), 0);
        assert!(rings.receive().is_none() && !rings.is_waiting());
        rings.under_way = 1;
        assert!(rings.is_waiting());
        drop(stage);
        assert!(!rings.is_waiting());
    }
}
