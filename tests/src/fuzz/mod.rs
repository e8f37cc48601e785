//! Seeded fuzz targets, at least one per parser of outside bytes and per state machine that stands behind one.
//!
//! Each case is one number: whatever it draws, it draws from a [`Dice`] of its own, so any case can be repeated alone.
//! A finding is a panic. Where something can be said of the right answer, a slow and obvious reference says it.

#![allow(clippy::unwrap_used)]

mod corpus;
mod dice;
mod forks;
mod leaders;
mod market;
mod packet;
mod resolver;
mod text;
mod votes;
mod wire;

use std::time::{Duration, Instant};

pub use corpus::Corpus;
pub use dice::Dice;

/// One case.
pub type Target = fn(&mut Dice, &Corpus);

/// All of them by name.
pub const TARGETS: [(&str, Target); 13] = [
    ("shred", wire::shred),
    ("batch", wire::batch),
    ("transaction", wire::transaction),
    ("venue", market::venue),
    ("pcap", wire::pcap),
    ("signal", wire::signal),
    ("resolver", resolver::resolver),
    ("packet", packet::packet),
    ("votes", |dice, corpus| {
        votes::votes(dice, corpus);
    }),
    ("forks", |dice, _| {
        forks::forks(dice);
    }),
    ("follow", |dice, _| leaders::follow(dice)),
    ("leaders", |dice, _| leaders::file(dice)),
    ("config", |dice, _| text::config(dice)),
];

/// Runs `target` on case after case from `first` on until `time` is up, or `first` alone; the number of cases, or the
/// one that panicked.
///
/// # Errors
/// The number of the case.
pub fn drive(
    target: Target,
    corpus: &Corpus,
    time: Option<Duration>,
    seed: u64,
    first: u64,
) -> Result<u64, u64> {
    let start = Instant::now();
    let mut case = first;
    loop {
        let mut dice = Dice::of_case(seed, case);
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&mut dice, corpus)));
        if outcome.is_err() {
            return Err(case);
        }
        case += 1;
        if time.is_none_or(|time| case.is_multiple_of(16) && start.elapsed() >= time) {
            return Ok(case - first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no target has a finding in its first cases.
    #[test]
    fn the_first_cases_of_every_target() {
        let corpus = Corpus::load();
        for (name, target) in TARGETS {
            for case in 0..40 {
                let cases = drive(target, &corpus, None, 1, case);
                assert_eq!(cases, Ok(1), "{name}, seed 1");
            }
        }
    }
}
