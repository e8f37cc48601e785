//! How much earlier our streaming path knows a transaction than decoders that wait for more.
//!
//! Ours emits at a datagram; [`crate::reference`] says at which one a decoder that waits for whole FEC sets in order,
//! or for the whole batch, could at best. The nanoseconds are those between the two datagrams' stamps in the capture:
//! nobody's computing is in them.

use std::collections::BTreeMap;

use bench::figures::Findings;
use bench::ours::small_resolver;
use bench::row::Row;
use hdrhistogram::Histogram;
use overmind::rungs::histogram;
use shred_resolve::{Arrival, Policy, ResolvedTxn, Retract, Sink, SourceId};
use shred_wire::Nanos;

use crate::Context;
use crate::captures::Capture;
use crate::reference::{Known, Received};

/// What the rows' names begin with.
pub(crate) const PREFIX: &str = "lead.";

/// Works out every capture.
///
/// # Errors
/// A sentence when nothing was emitted, or something that the reference says cannot be known.
pub(crate) fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    for capture in &context.captures {
        one(capture, &mut findings)?;
    }
    Ok(findings)
}

fn one(capture: &Capture, findings: &mut Findings) -> Result<(), String> {
    let name = capture.name;
    let emitted = Emitted::by_ours(capture);
    let received = Received::new(capture.datagrams.iter(), &capture.leaders);
    let known: BTreeMap<_, Known> = received
        .transactions()
        .into_iter()
        .map(|known| ((known.slot, known.signature), known))
        .collect();
    if emitted.first.is_empty() {
        return Err(format!("lead.{name}: nothing was emitted"));
    }
    let ways: [(&str, Way); 2] = [
        ("whole_set", |known| known.whole_set),
        ("whole_batch", |known| known.whole_batch),
    ];
    let mut parts = Vec::new();
    for (way, at) in ways {
        let lead = Lead::of(capture, &emitted, &known, at)?;
        parts.push(lead.sentence(way));
        for (unit, log) in [("datagrams", &lead.datagrams), ("ns", &lead.nanos)] {
            let name = format!("{PREFIX}{name}.over_{way}.{unit}");
            findings.rows.push(Row::of(name, unit, log));
        }
    }
    findings.notes.push(format!(
        "lead.{name}: {} transactions emitted, {} of them at the first datagram possible; {}; {} were emitted and \
         retracted later, {} were emitted as retracted",
        emitted.first.len(),
        emitted.at_first_possible(&known),
        parts.join("; "),
        emitted.retracted_later(),
        emitted.retracted_before,
    ));
    Ok(())
}

/// When a way of decoding knows a transaction.
type Way = fn(&Known) -> Option<usize>;

/// How far ours is ahead of one way.
struct Lead {
    datagrams: Histogram<u64>,
    nanos: Histogram<u64>,
    never: usize,
    /// Known that way before ours emitted it.
    behind: usize,
}

impl Lead {
    fn of(
        capture: &Capture,
        emitted: &Emitted,
        known: &BTreeMap<(u64, [u8; 64]), Known>,
        way: Way,
    ) -> Result<Self, String> {
        let mut lead = Self {
            datagrams: histogram(),
            nanos: histogram(),
            never: 0,
            behind: 0,
        };
        for (key, ours) in &emitted.first {
            let known = known.get(key).ok_or_else(|| {
                let (name, slot) = (capture.name, key.0);
                format!("lead.{name}: a transaction of slot {slot} that nobody can know")
            })?;
            let Some(at) = way(known) else {
                lead.never += 1;
                continue;
            };
            lead.behind += usize::from(at < ours.ordinal);
            let datagrams = at.saturating_sub(ours.ordinal) as u64;
            let nanos = capture.stamps[at].saturating_sub(capture.stamps[ours.ordinal]);
            lead.datagrams.saturating_record(datagrams);
            lead.nanos.saturating_record(nanos);
        }
        Ok(lead)
    }

    fn sentence(&self, way: &str) -> String {
        let behind = if self.behind > 0 {
            format!(", {} known that way first", self.behind)
        } else {
            String::new()
        };
        format!(
            "ahead of {way} by {:.1} datagrams and {:.1} us in the mean, p99 {} and {:.1} us, {} never known that \
             way{behind}",
            self.datagrams.mean(),
            self.nanos.mean() / 1e3,
            self.datagrams.value_at_quantile(0.99),
            self.nanos.value_at_quantile(0.99) as f64 / 1e3,
            self.never,
        )
    }
}

/// What ours emitted of a capture, verified.
#[derive(Default)]
struct Emitted {
    ordinal: usize,
    first: BTreeMap<(u64, [u8; 64]), Emission>,
    retracts: Vec<(usize, Retract)>,
    retracted_before: usize,
}

struct Emission {
    ordinal: usize,
    set: u32,
    retracted: bool,
}

impl Emitted {
    fn by_ours(capture: &Capture) -> Self {
        let (mut resolver, mut emitted) = (small_resolver(), Self::default());
        for (ordinal, (datagram, stamp)) in
            capture.datagrams.iter().zip(&capture.stamps).enumerate()
        {
            emitted.ordinal = ordinal;
            let arrival = Arrival {
                source: SourceId(0),
                policy: Policy::VerifyThenEmit,
                at: Nanos(*stamp),
            };
            let _ = resolver.handle(datagram, arrival, &capture.leaders, &mut emitted);
        }
        emitted
    }

    fn at_first_possible(&self, known: &BTreeMap<(u64, [u8; 64]), Known>) -> usize {
        let emissions = self.first.iter();
        emissions
            .filter(|(key, ours)| {
                known
                    .get(key)
                    .is_some_and(|one| one.streaming == ours.ordinal)
            })
            .count()
    }

    /// Emitted as good, and void by what came after.
    fn retracted_later(&self) -> usize {
        let is_void = |slot: u64, emission: &Emission| {
            self.retracts.iter().any(|(at, retract)| {
                retract.slot.0 == slot && emission.set < retract.before.0 && emission.ordinal <= *at
            })
        };
        let emissions = self.first.iter();
        emissions
            .filter(|((slot, _), emission)| !emission.retracted && is_void(*slot, emission))
            .count()
    }
}

impl Sink for Emitted {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        self.retracted_before += usize::from(txn.retracted);
        self.first
            .entry((txn.slot.0, *txn.view.signature()))
            .or_insert(Emission {
                ordinal: self.ordinal,
                set: txn.fec_set_index.0,
                retracted: txn.retracted,
            });
    }

    fn retract(&mut self, retract: &Retract) {
        self.retracts.push((self.ordinal, *retract));
    }
}
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::captures;

    /// Goal: the lead is that of the first datagram at which anybody could know a transaction, for all there are to
    /// know, and a way that waits for more is never ahead of it.
    #[test]
    fn ours_knows_each_transaction_at_the_first_datagram_possible() {
        let mut leads = 0;
        for capture in captures::read().unwrap() {
            let emitted = Emitted::by_ours(&capture);
            let received = Received::new(capture.datagrams.iter(), &capture.leaders);
            let known = received.transactions();
            assert_eq!(emitted.first.len(), known.len(), "{}", capture.name);
            for known in known {
                let ours = &emitted.first[&(known.slot, known.signature)];
                assert_eq!(ours.ordinal, known.streaming, "{}", capture.name);
                for later in [known.whole_batch, known.whole_set].into_iter().flatten() {
                    assert!(later >= ours.ordinal, "{}", capture.name);
                    leads += usize::from(later > ours.ordinal);
                }
            }
        }
        assert!(leads > 500);
    }

    /// Goal: what is counted as retracted later is what stood before an UpdateParent marker or in an abandoned block.
    #[test]
    fn what_a_leader_takes_back_is_counted() {
        for capture in captures::read().unwrap() {
            let emitted = Emitted::by_ours(&capture);
            let is_dev = capture.name.starts_with("dev");
            assert_eq!(emitted.retracts.is_empty(), !is_dev, "{}", capture.name);
            assert_eq!(emitted.retracted_later() > 0, is_dev, "{}", capture.name);
        }
    }
}
