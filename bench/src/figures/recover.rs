//! Recovery of lost data shreds, by the resolver's public door.
//!
//! A set's first shred is always among the lost, so nothing of the set can be told before it is recovered: the time
//! from the 32nd shred to the set's last transaction is parsing, copying, recovering every lost shred, and reading all
//! of them. From that is taken what the same call takes where the first shred was not lost but late, so that all other
//! 31 wait for it: all but the recovery. Told before it is checked, as the rival checks nothing; the rows called
//! `first` are the whole time to the first transaction, for which not every shred need be back, and those called
//! `verified` that to the last with leaf hashes and joins of all recovered shreds before it.
//!
//! The rival is `reed-solomon-erasure`'s `reconstruct_data` alone, its shards laid out beforehand. It inverts a
//! matrix for each pattern of loss that it hasn't met of late, and patterns hardly ever come again where more than one
//! shred is lost: ratios are over patterns drawn at random, the same for both. What it takes when one pattern comes
//! again and again stands beside.

use std::hint::black_box;

use demo::prng::Prng;
use demo::{Datagrams, Generator, GeneratorConfig};
use overmind::clock::Ticker;
use overmind::rungs::histogram;
use reed_solomon_erasure::galois_8::ReedSolomon;
use shred_resolve::{NoLeaders, Plan, Policy, ResolvedTxn, Resolver, Sink, recovery_kernel};
use shred_wire::shred::{CODE_HEADER_LEN, CODED_MAX, SET_SHREDS, SIGNATURE_LEN};

use crate::figures::{Context, Findings};
use crate::row::{Entrant, Row};
use crate::traffic::arrival;

const SEED: u64 = 14;
const LOST: [usize; 7] = [1, 2, 4, 8, 16, 24, 32];
const RUNS: usize = 7;

/// Measures every number of lost shreds.
///
/// # Errors
/// A sentence when a recovery brings no transaction.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let sets = first_sets(context.size(60, 12));
    let mut findings = Findings::default();
    findings.notes.push(format!(
        "recover: this processor recovers by {}",
        recovery_kernel()
    ));
    let mut prng = Prng::new(SEED);
    let code = ReedSolomon::new(SET_SHREDS, SET_SHREDS).map_err(|error| error.to_string())?;
    for lost in LOST {
        findings
            .rows
            .extend(rows(context, &code, &sets, lost, &mut prng)?);
    }
    Ok(findings)
}

/// The rows for one number of lost shreds.
fn rows(
    context: &Context,
    code: &ReedSolomon,
    sets: &[Vec<Vec<u8>>],
    lost: usize,
    prng: &mut Prng,
) -> Result<[Row; 5], String> {
    let ticker = context.ticker;
    // Ours without the reading, unverified to the first transaction, and verified; the rival under random patterns and under
    // one; the copy.
    let mut entrants: [Entrant; 6] = Default::default();
    let repeated = draw(prng, lost);
    by_rival(ticker, code, &sets[0], &repeated)?;
    for _ in 0..RUNS {
        let mut runs = [(); 6].map(|()| histogram());
        for set in sets {
            let kept = draw(prng, lost);
            let random = by_rival(ticker, code, set, &kept)?;
            let ours = by_ours(ticker, set, &kept, Policy::EmitThenVerify)?;
            let late = (1..SET_SHREDS).chain([0]).collect::<Vec<_>>();
            let late = by_ours(ticker, set, &late, Policy::EmitThenVerify)?;
            let spent = [
                ours.last.saturating_sub(late.last),
                ours.first,
                by_ours(ticker, set, &kept, Policy::VerifyThenEmit)?.last,
                random.recovered,
                by_rival(ticker, code, set, &repeated)?.recovered,
                random.copied,
            ];
            for (run, spent) in runs.iter_mut().zip(spent) {
                run.saturating_record(spent);
            }
        }
        for (entrant, run) in entrants.iter_mut().zip(&runs) {
            entrant.book(run);
        }
    }
    let [ours, first, verified, random, one, copy] = entrants;
    let name = format!("recover.{lost}_lost");
    let floor = copy.total.value_at_quantile(0.5);
    Ok([
        Row::latency(&name, &ours.total)
            .beside("reed-solomon-erasure", random.over(&ours))
            .beside("reed-solomon-erasure, one pattern", one.over(&ours))
            .over(&[("copy", floor)]),
        Row::latency(format!("{name}.first"), &first.total),
        Row::latency(format!("{name}.verified"), &verified.total)
            .over(&[("leaf hashes", lost as u64 * context.floors.leaf)]),
        Row::latency(format!("{name}.reed-solomon-erasure"), &random.total),
        Row::latency(
            format!("{name}.reed-solomon-erasure.one_pattern"),
            &one.total,
        ),
    ])
}

/// The first set of `count` slots, 64 datagrams each: data in order, then code.
fn first_sets(count: usize) -> Vec<Vec<Vec<u8>>> {
    let mut generator = Generator::new(GeneratorConfig {
        resign_last_set: false,
        skip_bps: 0,
        txns_per_slot: 400,
        ..GeneratorConfig::bulk(SEED)
    });
    let mut datagrams = Datagrams::new();
    let next = |_| {
        datagrams.clear();
        generator.next_slot(&mut datagrams);
        let set = datagrams.iter().take(2 * SET_SHREDS);
        set.map(<[u8]>::to_vec).collect()
    };
    (0..count).map(next).collect()
}

/// Which 32 of a set's 64 shreds arrive: `lost` data shreds do not, the first among them, and as many code shreds
/// do; a code shred last.
fn draw(prng: &mut Prng, lost: usize) -> Vec<usize> {
    let mut pick = |mut from: Vec<usize>, count: usize| -> Vec<usize> {
        (0..count)
            .map(|_| from.swap_remove(prng.below(from.len() as u64) as usize))
            .collect()
    };
    let missing = pick((1..SET_SHREDS).collect(), lost - 1);
    let code = pick((SET_SHREDS..2 * SET_SHREDS).collect(), lost);
    (1..SET_SHREDS)
        .filter(|place| !missing.contains(place))
        .chain(code)
        .collect()
}

/// Stamps the first transaction and the last.
struct Stamps {
    ticker: Ticker,
    first: Option<u64>,
    last: u64,
}

impl Sink for Stamps {
    fn transaction(&mut self, _txn: &ResolvedTxn<'_>) {
        self.last = self.ticker.nanos();
        self.first.get_or_insert(self.last);
    }
}

/// What ours took, to the first transaction of the set and to its last.
struct Ours {
    first: u64,
    last: u64,
}

fn by_ours(
    ticker: Ticker,
    set: &[Vec<u8>],
    kept: &[usize],
    policy: Policy,
) -> Result<Ours, String> {
    let mut resolver = Resolver::new(&Plan {
        slots_behind: 1,
        slots_ahead: 1,
        sets_max: 4,
        versions_max: 16,
        ..Plan::default()
    });
    let mut stamps = Stamps {
        ticker,
        first: None,
        last: 0,
    };
    let mut frame = Vec::new();
    let mut entered = 0;
    for (ordinal, place) in kept.iter().enumerate() {
        let arrival = arrival(ordinal as u64, policy);
        // As a receiving call leaves it.
        frame.clone_from(&set[*place]);
        entered = ticker.nanos();
        let _ = resolver.handle(&frame, arrival, &NoLeaders, &mut stamps);
    }
    let first = stamps.first.ok_or("recover: no transaction")?;
    let is_lossy = kept.iter().any(|place| *place >= SET_SHREDS);
    if resolver.counters().set_recovered != u64::from(is_lossy) {
        return Err("recover: nothing was recovered".to_owned());
    }
    Ok(Ours {
        first: first.wrapping_sub(entered),
        last: stamps.last.wrapping_sub(entered),
    })
}

/// What the rival took.
struct Rival {
    recovered: u64,
    /// For copying what it brought back: nothing recovers shreds quicker than that.
    copied: u64,
}

fn by_rival(
    ticker: Ticker,
    code: &ReedSolomon,
    set: &[Vec<u8>],
    kept: &[usize],
) -> Result<Rival, String> {
    let mut shards: Vec<Option<Vec<u8>>> = vec![None; 2 * SET_SHREDS];
    for place in kept {
        shards[*place] = Some(coded(&set[*place], *place).to_vec());
    }
    let start = ticker.nanos();
    let done = code.reconstruct_data(&mut shards);
    let recovered = ticker.nanos().wrapping_sub(start);
    done.map_err(|error| error.to_string())?;
    let lost = |place: &usize| !kept.contains(place);
    let lost: Vec<usize> = (0..SET_SHREDS).filter(lost).collect();
    if lost
        .iter()
        .any(|place| shards[*place].as_deref() != Some(coded(&set[*place], *place)))
    {
        return Err("recover: the rival brought back other bytes".to_owned());
    }
    let mut area = [[0; CODED_MAX]; SET_SHREDS];
    let start = ticker.nanos();
    for (to, place) in area.iter_mut().zip(&lost) {
        if let Some(shard) = &shards[*place] {
            to.copy_from_slice(shard);
        }
    }
    black_box(&mut area);
    let copied = ticker.nanos().wrapping_sub(start);
    Ok(Rival { recovered, copied })
}

/// What the erasure code covers of the shred at `place`.
fn coded(shred: &[u8], place: usize) -> &[u8] {
    let start = if place < SET_SHREDS {
        SIGNATURE_LEN
    } else {
        CODE_HEADER_LEN
    };
    &shred[start..start + CODED_MAX]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_distinct_shreds_arrive_and_the_first_does_not() {
        let mut prng = Prng::new(1);
        for lost in LOST {
            let mut kept = draw(&mut prng, lost);
            assert!(kept.last().is_some_and(|place| *place >= SET_SHREDS));
            kept.sort_unstable();
            kept.dedup();
            assert_eq!(kept.len(), SET_SHREDS);
            assert!(!kept.contains(&0));
            let data = kept.iter().filter(|place| **place < SET_SHREDS).count();
            assert_eq!(data, SET_SHREDS - lost);
        }
    }
}
