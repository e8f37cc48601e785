//! L0: last needed datagram in user memory to transaction emitted.
//!
//! Ours is stamped at the sink. A rival's transaction is knowable to it at the datagram that makes its batch
//! whole, and is stamped when it has been deserialised like all others of its batch: that its datagram comes later
//! than ours is not in these nanoseconds but in the `lead` rows.

use std::collections::HashMap;
use std::hint::black_box;

use demo::Datagrams;
use hdrhistogram::Histogram;
use overmind::clock::Ticker;
use overmind::leaders::LeaderSource;
use overmind::rungs::histogram;
use shred_resolve::{Leaders, Policy, Resolver};

use crate::figures::{Context, Findings};
use crate::ours;
use crate::reassembly::Reassembler;
use crate::row::{Entrant, Row};
use crate::traffic::{Stream, captures};
use crate::{parts, usual};

const SEED: u64 = 12;

/// One case's contestants: ours and the rivals, checked and unchecked.
#[derive(Default)]
struct Case {
    ours: [Entrant; 2],
    first: [Entrant; 2],
    usual: [Entrant; 2],
    parts: [Entrant; 2],
}

/// Index 0 hands on before checking, index 1 after.
const POLICIES: [(Policy, &str); 2] = [
    (Policy::EmitThenVerify, "unverified"),
    (Policy::VerifyThenEmit, "verified"),
];

/// Measures all captures and generated traffic.
///
/// # Errors
/// A sentence when a capture cannot be read or nothing was found in it.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    for capture in captures()? {
        let runs = context.size(40, 5);
        case(
            context,
            &mut findings,
            capture.name,
            &capture.datagrams,
            &capture.leaders,
            runs,
            ours::small_resolver,
        )?;
    }
    let mut stream = Stream::new(SEED, 1_000);
    let leaders = stream.leaders(1_000);
    let mut datagrams = Datagrams::new();
    stream.fill(context.size(60_000, 12_000), &mut datagrams);
    case(
        context,
        &mut findings,
        "generated",
        &datagrams,
        &leaders,
        context.size(7, 5),
        ours::resolver,
    )?;
    Ok(findings)
}

fn case(
    context: &Context,
    findings: &mut Findings,
    name: &str,
    datagrams: &Datagrams,
    leaders: &LeaderSource,
    runs: usize,
    resolver: impl Fn() -> Resolver,
) -> Result<(), String> {
    let ticker = context.ticker;
    let mut entrants = Case::default();
    let nobody = &mut |_: usize, _: &[u8; 64]| {};
    // The first run warms up and books nothing.
    for run in 0..=runs {
        for (index, (policy, _)) in POLICIES.into_iter().enumerate() {
            let check = (index == 1).then_some(leaders as &dyn Leaders);
            let mut latency = [histogram(), histogram(), histogram()];
            let [ours, usual, parts] = &mut latency;
            let first = ours::l0(
                &mut resolver(),
                datagrams,
                policy,
                leaders,
                ticker,
                ours,
                nobody,
            );
            by_usual(datagrams, check, ticker, usual, nobody);
            by_parts(datagrams, check, ticker, parts);
            if run > 0 {
                entrants.ours[index].book(ours);
                entrants.first[index].book(&first);
                entrants.usual[index].book(usual);
                entrants.parts[index].book(parts);
            }
        }
    }
    let floors = &context.floors;
    for (index, (_, policy)) in POLICIES.into_iter().enumerate() {
        let (ours, usual, parts) = (
            &entrants.ours[index],
            &entrants.usual[index],
            &entrants.parts[index],
        );
        if ours.total.is_empty() || usual.total.is_empty() {
            return Err(format!("l0.{name}.{policy}: no transaction"));
        }
        let floor = match index {
            0 => vec![("clock", floors.clock)],
            _ => vec![("leaf", floors.leaf), ("join", floors.join)],
        };
        findings.rows.push(
            Row::latency(format!("l0.{name}.{policy}"), &ours.total)
                .beside("usual", usual.over(ours))
                .beside("parts", parts.over(ours))
                .over(&floor),
        );
        let first = &entrants.first[index];
        for (rival, entrant) in [("first", first), ("usual", usual), ("parts", parts)] {
            let name = format!("l0.{name}.{policy}.{rival}");
            findings.rows.push(Row::latency(name, &entrant.total));
        }
    }
    let lead = lead(datagrams, leaders, ticker, &mut resolver());
    let row = Row::of(format!("l0.{name}.lead_over_usual"), "datagrams", &lead);
    findings.rows.push(row);
    Ok(())
}

/// How many datagrams earlier than the usual way ours emits each transaction that both find, verified.
fn lead(
    datagrams: &Datagrams,
    leaders: &LeaderSource,
    ticker: Ticker,
    resolver: &mut Resolver,
) -> Histogram<u64> {
    let (mut first, mut unused, mut lead) = (HashMap::new(), histogram(), histogram());
    let policy = Policy::VerifyThenEmit;
    ours::l0(
        resolver,
        datagrams,
        policy,
        leaders,
        ticker,
        &mut unused,
        &mut |ordinal, signature| {
            first.entry(*signature).or_insert(ordinal);
        },
    );
    by_usual(
        datagrams,
        Some(leaders),
        ticker,
        &mut unused,
        &mut |ordinal, signature| {
            if let Some(earlier) = first.remove(signature) {
                lead.saturating_record(ordinal.saturating_sub(earlier) as u64);
            }
        },
    );
    lead
}

/// The usual way over `datagrams`.
pub(crate) fn by_usual(
    datagrams: &Datagrams,
    leaders: Option<&dyn Leaders>,
    ticker: Ticker,
    latency: &mut Histogram<u64>,
    seen: &mut dyn FnMut(usize, &[u8; 64]),
) {
    let mut reassembler = Reassembler::new(leaders);
    for (ordinal, datagram) in datagrams.iter().enumerate() {
        let entered = ticker.nanos();
        reassembler.handle(datagram, |_, batch| {
            for entry in usual::entries(batch) {
                for transaction in &entry.transactions {
                    let now = ticker.nanos();
                    latency.saturating_record(now.wrapping_sub(entered));
                    if let Some(signature) = transaction.signatures.first() {
                        seen(ordinal, black_box(signature.as_array()));
                    }
                }
            }
        });
    }
}

fn by_parts(
    datagrams: &Datagrams,
    leaders: Option<&dyn Leaders>,
    ticker: Ticker,
    latency: &mut Histogram<u64>,
) {
    let mut reassembler = Reassembler::new(leaders);
    for datagram in datagrams.iter() {
        let entered = ticker.nanos();
        reassembler.handle(datagram, |_, batch| {
            parts::walk(batch, |view| {
                let now = ticker.nanos();
                latency.saturating_record(now.wrapping_sub(entered));
                black_box(view.signatures());
            });
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    /// Goal: the rivals are whole decoders, not straw men: wherever a batch is whole they find what we find.
    #[test]
    fn the_rivals_find_the_transactions_of_every_whole_batch() {
        let ticker = Ticker::calibrate();
        for capture in captures().unwrap() {
            let mut log = histogram();
            let (mut ours, mut by_usual_way) = (BTreeSet::new(), BTreeSet::new());
            let mut resolver = ours::small_resolver();
            ours::l0(
                &mut resolver,
                &capture.datagrams,
                Policy::VerifyThenEmit,
                &capture.leaders,
                ticker,
                &mut log,
                &mut |_, signature| {
                    ours.insert(*signature);
                },
            );
            by_usual(
                &capture.datagrams,
                Some(&capture.leaders),
                ticker,
                &mut log,
                &mut |_, signature| {
                    by_usual_way.insert(*signature);
                },
            );
            let mut by_view = BTreeSet::new();
            let mut reassembler = Reassembler::new(Some(&capture.leaders));
            for datagram in capture.datagrams.iter() {
                reassembler.handle(datagram, |_, batch| {
                    parts::walk(batch, |view| {
                        by_view.insert(*view.signatures()[0].as_array());
                    });
                });
            }
            let name = capture.name;
            assert!(!by_usual_way.is_empty(), "{name}");
            assert_eq!(by_usual_way, by_view, "{name}: view and deserialiser");
            let extra = by_usual_way.difference(&ours).count();
            assert_eq!(extra, 0, "{name}: found by the usual way alone");
            // What only we find lies in batches that never became whole.
            let only_ours = ours.len() - by_usual_way.len();
            eprintln!(
                "{name}: {} by both, {only_ours} by us alone",
                by_usual_way.len()
            );
            if matches!(name, "dev.lossy" | "agave") {
                assert_eq!(only_ours, 0, "{name}");
            }
        }
    }

    /// Goal: on generated traffic under loss every block that is whole is found by all, checked or not.
    #[test]
    fn all_find_the_same_in_generated_traffic() {
        let mut stream = Stream::new(3, 10_000);
        let leaders = stream.leaders(200);
        let mut datagrams = Datagrams::new();
        stream.fill(8_000, &mut datagrams);
        let ticker = Ticker::calibrate();
        let mut log = histogram();
        let mut found = Vec::new();
        for check in [None, Some(&leaders as &dyn Leaders)] {
            let mut signatures = Vec::new();
            by_usual(&datagrams, check, ticker, &mut log, &mut |_, signature| {
                signatures.push(*signature)
            });
            signatures.sort_unstable();
            found.push(signatures);
        }
        for policy in POLICIES {
            let mut signatures = Vec::new();
            ours::l0(
                &mut ours::resolver(),
                &datagrams,
                policy.0,
                &leaders,
                ticker,
                &mut log,
                &mut |_, signature| signatures.push(*signature),
            );
            signatures.sort_unstable();
            found.push(signatures);
        }
        assert!(found[0].len() > 5_000);
        assert_eq!(found[0], found[1]);
        assert_eq!(found[2], found[3]);
        let (usual, ours) = (&found[1], &found[2]);
        // The tail of the traffic may hold a batch whose last datagrams were never delivered.
        assert!(
            usual
                .iter()
                .all(|signature| ours.binary_search(signature).is_ok())
        );
        assert!(
            ours.len() - usual.len() < 200,
            "{} {}",
            ours.len(),
            usual.len()
        );
    }
}
