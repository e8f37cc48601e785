//! Recovery of lost data shreds, by the resolver's public door.
//!
//! A set's first shred is always among the lost, so nothing of the set can be told before it is recovered: the time
//! from the 32nd shred to the first transaction is parsing, copying, recovering every lost shred, and reading to
//! the end of one transaction. The rival is `reed-solomon-erasure`'s `reconstruct_data` alone, its shards laid out
//! beforehand.

use demo::prng::Prng;
use demo::{Datagrams, Generator, GeneratorConfig};
use overmind::clock::Ticker;
use overmind::rungs::histogram;
use reed_solomon_erasure::galois_8::ReedSolomon;
use shred_resolve::{NoLeaders, Plan, Policy, ResolvedTxn, Resolver, Sink};
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
    let mut prng = Prng::new(SEED);
    let code = ReedSolomon::new(SET_SHREDS, SET_SHREDS).map_err(|error| error.to_string())?;
    for lost in LOST {
        let (mut ours, mut rival) = (Entrant::default(), Entrant::default());
        for _ in 0..RUNS {
            let (mut own, mut other) = (histogram(), histogram());
            for set in &sets {
                let kept = draw(&mut prng, lost);
                own.saturating_record(by_ours(context.ticker, set, &kept)?);
                other.saturating_record(by_rival(context.ticker, &code, set, &kept)?);
            }
            ours.book(&own);
            rival.book(&other);
        }
        let name = format!("recover.{lost}_lost");
        findings.rows.push(
            Row::latency(&name, &ours.total).beside("reed-solomon-erasure", rival.over(&ours)),
        );
        let rival_row = Row::latency(format!("{name}.reed-solomon-erasure"), &rival.total);
        findings.rows.push(rival_row);
    }
    Ok(findings)
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

/// Stamps the first transaction.
struct First {
    ticker: Ticker,
    at: Option<u64>,
}

impl Sink for First {
    fn transaction(&mut self, _txn: &ResolvedTxn<'_>) {
        self.at.get_or_insert_with(|| self.ticker.nanos());
    }
}

fn by_ours(ticker: Ticker, set: &[Vec<u8>], kept: &[usize]) -> Result<u64, String> {
    let mut resolver = Resolver::new(&Plan {
        slots_behind: 1,
        slots_ahead: 1,
        sets_max: 4,
        versions_max: 16,
        ..Plan::default()
    });
    let mut first = First { ticker, at: None };
    let mut entered = 0;
    for (ordinal, place) in kept.iter().enumerate() {
        entered = ticker.nanos();
        let arrival = arrival(ordinal as u64, Policy::EmitThenVerify);
        let _ = resolver.handle(&set[*place], arrival, &NoLeaders, &mut first);
    }
    let at = first.at.ok_or("recover: no transaction")?;
    if resolver.counters().set_recovered != 1 {
        return Err("recover: nothing was recovered".to_owned());
    }
    Ok(at.wrapping_sub(entered))
}

fn by_rival(
    ticker: Ticker,
    code: &ReedSolomon,
    set: &[Vec<u8>],
    kept: &[usize],
) -> Result<u64, String> {
    let mut shards: Vec<Option<Vec<u8>>> = vec![None; 2 * SET_SHREDS];
    for place in kept {
        shards[*place] = Some(coded(&set[*place], *place).to_vec());
    }
    let start = ticker.nanos();
    let done = code.reconstruct_data(&mut shards);
    let spent = ticker.nanos().wrapping_sub(start);
    done.map_err(|error| error.to_string())?;
    let first = shards[0].as_deref();
    if first != Some(coded(&set[0], 0)) {
        return Err("recover: the rival brought back other bytes".to_owned());
    }
    Ok(spent)
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
