//! L1: the datagram that makes a launch knowable, in user memory, to the signed bundle's bytes in the ring.
//!
//! Launches are rare (four a slot, some 900 datagrams or a megabyte apart) among full blocks, so caches are as traffic leaves
//! them. Only launches that every contestant answers count.

use std::collections::BTreeSet;
use std::hint::black_box;

use demo::Datagrams;
use hdrhistogram::Histogram;
use overmind::leaders::LeaderSource;
use overmind::rungs::histogram;
use shred_resolve::{Leaders, Policy};

use crate::figures::{Context, Findings};
use crate::launch::{Launch, Order};
use crate::ours::{self, Core};
use crate::parts::{self, TemplateBuilder};
use crate::reassembly::Reassembler;
use crate::row::{Entrant, Row};
use crate::traffic::Stream;
use crate::usual::{self, SdkBuilder};

const SEED: u64 = 13;
/// Four launches per slot.
const LAUNCHES_PER_10K_SLOTS: u64 = 40_000;
/// What the rivals sign over: they ask an RPC node now and then, outside the clock.
const BLOCKHASH: [u8; 32] = [0xbb; 32];

type Signature = [u8; 64];

/// A rival: how it finds launches in a batch, and answers.
trait Rival {
    /// Calls `answered` with each launch's signature after its answer stands in memory.
    fn batch(&mut self, bytes: &[u8], answered: &mut dyn FnMut(&Signature, &[u8]));
}

struct UsualRival {
    builder: SdkBuilder,
    order: Order,
}

impl Rival for UsualRival {
    fn batch(&mut self, bytes: &[u8], answered: &mut dyn FnMut(&Signature, &[u8])) {
        for entry in usual::entries(bytes) {
            for transaction in &entry.transactions {
                if let Some(launch) =
                    usual::launch(transaction).filter(|launch| launch.fits(&self.order))
                {
                    let built = self.builder.build(&launch, &BLOCKHASH);
                    answered(transaction.signatures[0].as_array(), &built);
                }
            }
        }
    }
}

struct PartsRival {
    builder: TemplateBuilder,
    order: Order,
    built: Vec<u8>,
}

impl Rival for PartsRival {
    fn batch(&mut self, bytes: &[u8], answered: &mut dyn FnMut(&Signature, &[u8])) {
        let Self {
            builder,
            order,
            built,
        } = self;
        parts::walk(bytes, |view| {
            if let Some(launch) = parts::launch(view).filter(|launch: &Launch| launch.fits(order)) {
                builder.build(&launch, &BLOCKHASH, built);
                answered(view.signatures()[0].as_array(), built);
            }
        });
    }
}

fn usual_rival() -> UsualRival {
    UsualRival {
        builder: SdkBuilder::new(ours::seed(), ours::order()),
        order: ours::order(),
    }
}

fn parts_rival() -> PartsRival {
    PartsRival {
        builder: TemplateBuilder::new(ours::seed(), ours::order()),
        order: ours::order(),
        built: Vec::new(),
    }
}

/// Index 0: act before checking; index 1: after.
const PROFILES: [(Policy, &str); 2] = [
    (Policy::EmitThenVerify, "unverified"),
    (Policy::VerifyThenEmit, "verified"),
];

/// Measures both profiles.
///
/// # Errors
/// A sentence when no launch was answered by all.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let ticker = context.ticker;
    let mut stream = Stream::new(SEED, LAUNCHES_PER_10K_SLOTS);
    let leaders = stream.leaders(2_000);
    let mut datagrams = Datagrams::new();
    stream.fill(context.size(160_000, 24_000), &mut datagrams);
    let triggers = common_triggers(context, &datagrams, &leaders);
    if triggers.is_empty() {
        return Err("l1: no launch was answered by all".to_owned());
    }
    let mut findings = Findings::default();
    findings.notes.push(format!(
        "l1: {} datagrams, {} launches, {} answered by all; each run takes all of them with fresh state",
        datagrams.len(),
        stream.launches,
        triggers.len(),
    ));
    let mut entrants: [[Entrant; 3]; 2] = Default::default();
    let (mut gate, mut build) = (histogram(), histogram());
    for _ in 0..context.size(7, 5) {
        for (index, (policy, _)) in PROFILES.into_iter().enumerate() {
            let check = (index == 1).then_some(&leaders as &dyn Leaders);
            let mut core = Core::only(policy, ticker, &triggers);
            core.handle(datagrams.iter(), policy, &leaders, |cell| {
                black_box(cell.count());
            });
            let measured = core.finish();
            for (sum, run) in [(&mut gate, &measured.l2), (&mut build, &measured.build)] {
                sum.add(run).expect("both histograms have the same bounds");
            }
            let [by_ours, by_usual, by_parts] = &mut entrants[index];
            by_ours.book(&measured.l1);
            let time = |rival: &mut dyn Rival| answer(context, rival, &datagrams, check, &triggers);
            by_usual.book(&time(&mut usual_rival()));
            by_parts.book(&time(&mut parts_rival()));
        }
    }
    let floors = &context.floors;
    for (index, (_, profile)) in PROFILES.into_iter().enumerate() {
        let [by_ours, by_usual, by_parts] = &entrants[index];
        let mut floor = vec![("sign", floors.sign), ("sign_aws_lc", floors.sign_aws_lc)];
        if index == 1 {
            floor.insert(0, ("leaf", floors.leaf));
        }
        findings.rows.push(
            Row::latency(format!("l1.{profile}"), &by_ours.total)
                .beside("usual", by_usual.over(by_ours))
                .beside("parts", by_parts.over(by_ours))
                .over(&floor),
        );
        for (rival, entrant) in [("usual", by_usual), ("parts", by_parts)] {
            let name = format!("l1.{profile}.{rival}");
            findings.rows.push(Row::latency(name, &entrant.total));
        }
    }
    findings
        .rows
        .push(Row::latency("l1.of_which_build_and_sign", &build).over(&[("sign", floors.sign)]));
    let row = Row::latency("l2.among_traffic", &gate).over(&[("clock", floors.clock)]);
    findings.rows.push(row);
    Ok(findings)
}

/// L1 of a rival over the launches in `triggers`.
fn answer(
    context: &Context,
    rival: &mut dyn Rival,
    datagrams: &Datagrams,
    leaders: Option<&dyn Leaders>,
    triggers: &BTreeSet<Signature>,
) -> Histogram<u64> {
    let (ticker, mut log) = (context.ticker, histogram());
    let mut reassembler = Reassembler::new(leaders);
    for datagram in datagrams.iter() {
        let entered = ticker.nanos();
        reassembler.handle(datagram, |_, batch| {
            rival.batch(batch, &mut |signature, built| {
                let spent = ticker.nanos().wrapping_sub(entered);
                black_box(built);
                if triggers.contains(signature) {
                    log.saturating_record(spent);
                }
            });
        });
    }
    log
}

/// Launches that ours, verified, and both rivals answer.
fn common_triggers(
    context: &Context,
    datagrams: &Datagrams,
    leaders: &LeaderSource,
) -> BTreeSet<Signature> {
    let policy = Policy::VerifyThenEmit;
    let mut core = Core::new(policy, context.ticker);
    core.handle(datagrams.iter(), policy, leaders, |_| {});
    let mut common: BTreeSet<Signature> = core.finish().triggers.into_iter().collect();
    for rival in [&mut usual_rival() as &mut dyn Rival, &mut parts_rival()] {
        let mut answered = BTreeSet::new();
        let mut reassembler = Reassembler::new(Some(leaders));
        for datagram in datagrams.iter() {
            reassembler.handle(datagram, |_, batch| {
                rival.batch(batch, &mut |signature, _| {
                    answered.insert(*signature);
                });
            });
        }
        common.retain(|signature| answered.contains(signature));
    }
    common
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use overmind::clock::Ticker;
    use solana_message::VersionedMessage;
    use solana_transaction::versioned::VersionedTransaction;
    use std::collections::BTreeMap;

    /// Program, accounts, data.
    type Resolved = (Vec<u8>, Vec<Vec<u8>>, Vec<u8>);

    /// Every instruction without indices; without amounts when `blind`.
    fn resolved(bytes: &[u8], blind: bool) -> Vec<Resolved> {
        let transaction: VersionedTransaction = wincode::deserialize(bytes).unwrap();
        assert_eq!(transaction.verify_with_results(), [true], "signed");
        let VersionedMessage::V0(message) = &transaction.message else {
            panic!("another version")
        };
        let key = |index: u8| message.account_keys[usize::from(index)].to_bytes().to_vec();
        let instructions = message.instructions.iter().map(|found| {
            let mut data = found.data.clone();
            if blind && data.len() == 25 {
                // Tokens out: the rivals leave fees out of their arithmetic.
                data[8..16].fill(0);
            }
            let accounts = found.accounts.iter().map(|&index| key(index)).collect();
            (key(found.program_id_index), accounts, data)
        });
        instructions.collect()
    }

    /// Goal: all three do the same work: the same buy of the same coin, signed by the same wallet.
    #[test]
    fn all_answer_a_launch_with_the_same_instructions() {
        let mut stream = Stream::new(5, 200_000);
        let leaders = stream.leaders(200);
        let mut datagrams = Datagrams::new();
        stream.fill(20_000, &mut datagrams);
        let (ticker, policy) = (Ticker::calibrate(), Policy::VerifyThenEmit);
        let mut core = Core::new(policy, ticker);
        let mut cells = Vec::new();
        core.handle(datagrams.iter(), policy, &leaders, |cell| {
            cells.push(cell.transaction(0).unwrap().to_vec());
        });
        let ours: BTreeMap<Signature, Vec<u8>> =
            core.finish().triggers.into_iter().zip(cells).collect();
        let rivals: [&mut dyn Rival; 2] = [&mut usual_rival(), &mut parts_rival()];
        let answers = rivals.map(|rival| {
            let mut answers = BTreeMap::new();
            let mut reassembler = Reassembler::new(Some(&leaders));
            for datagram in datagrams.iter() {
                reassembler.handle(datagram, |_, batch| {
                    rival.batch(batch, &mut |signature, built| {
                        answers.insert(*signature, built.to_vec());
                    });
                });
            }
            answers
        });
        let [by_usual, by_parts] = answers;
        assert!(by_usual.keys().eq(by_parts.keys()));
        let mut compared = 0;
        for (signature, built) in &by_usual {
            assert_eq!(
                resolved(built, false),
                resolved(&by_parts[signature], false)
            );
            if let Some(own) = ours.get(signature) {
                assert_eq!(resolved(built, true), resolved(own, true));
                compared += 1;
            }
        }
        assert!(compared > 5, "{compared} of {}", ours.len());
    }
}
