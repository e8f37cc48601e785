//! L1: the datagram that makes a trigger knowable, in user memory, to the signed bundle's bytes in the ring.
//!
//! A table of policy by way of signing, for a launch with its first buy and for a trade of a coin seen before, rarely
//! among full blocks and one after another. Only triggers that every contestant answers count.

use std::hint::black_box;

use bundle::Way;
use hdrhistogram::Histogram;
use overmind::rungs::histogram;
use shred_resolve::{Leaders, Policy};

use crate::figures::{Context, Findings};
use crate::occasion::{Occasion, Pace};
use crate::ours::{Core, Measured};
use crate::rivals::{self, PartsRival, UsualRival};
use crate::row::{Entrant, Row};
use crate::sign::Sign;

/// Index 0: act before checking; index 1: after.
const PROFILES: [(Policy, &str); 2] = [
    (Policy::EmitThenVerify, "unverified"),
    (Policy::VerifyThenEmit, "verified"),
];

/// Measures the table.
///
/// # Errors
/// A sentence when no trigger was answered by all, or when a signature was made another way than its row says.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    let mut gate = histogram();
    for pace in [Pace::Rare, Pace::Warm] {
        let count = match pace {
            Pace::Rare => context.size(160_000, 24_000),
            Pace::Warm => context.size(40_000, 20_000),
        };
        for make in [Occasion::create, Occasion::seen] {
            let occasion = make(pace, count, context.ticker)?;
            let (name, pace) = (occasion.name, pace.name());
            findings.notes.push(format!(
                "l1.{name}.{pace}: {} datagrams, {} triggers answered by all; each run takes all of them with fresh state; .first: the trigger is the first transaction its datagram makes known",
                occasion.datagrams.len(),
                occasion.triggers.len(),
            ));
            for (policy, profile) in PROFILES {
                let mut table = Table::new();
                for _ in 0..context.size(7, 5) {
                    table.turn(context, &occasion, policy)?;
                }
                table.report(
                    context,
                    &format!("l1.{name}.{pace}.{profile}"),
                    &mut findings,
                );
                gate.add(&table.gate)
                    .expect("both histograms have the same bounds");
            }
        }
    }
    let row = Row::latency("l2.among_traffic", &gate).over(&[("clock", context.floors.clock)]);
    findings.rows.push(row);
    Ok(findings)
}

/// One occasion under one policy: every way of signing, and the rivals.
struct Table {
    ways: Vec<Column>,
    usual: Entrant,
    parts: Entrant,
    gate: Histogram<u64>,
    policy: Policy,
    #[cfg(feature = "armed-nonces")]
    absorbed: Option<(usize, usize)>,
}

/// One way of signing at the trigger.
struct Column {
    sign: Sign,
    /// Whether this host has it.
    absent: Option<String>,
    l1: Entrant,
    first: Entrant,
    stages: [Histogram<u64>; 5],
    signatures: [u64; Way::COUNT],
}

/// As [`Measured`] splits L1.
const STAGES: [&str; 5] = ["told", "decided", "gate", "signed", "to the ring"];

impl Table {
    fn new() -> Self {
        let column = |sign: &Sign| Column {
            sign: *sign,
            absent: None,
            l1: Entrant::default(),
            first: Entrant::default(),
            stages: std::array::from_fn(|_| histogram()),
            signatures: [0; Way::COUNT],
        };
        Self {
            ways: Sign::ALL.iter().map(column).collect(),
            usual: Entrant::default(),
            parts: Entrant::default(),
            gate: histogram(),
            policy: Policy::default(),
            #[cfg(feature = "armed-nonces")]
            absorbed: None,
        }
    }

    /// Everybody once.
    fn turn(
        &mut self,
        context: &Context,
        occasion: &Occasion,
        policy: Policy,
    ) -> Result<(), String> {
        self.policy = policy;
        for index in 0..self.ways.len() {
            self.ours(context, occasion, index)?;
        }
        let Occasion {
            datagrams,
            leaders,
            watch,
            triggers,
            ..
        } = occasion;
        let check = (policy == Policy::VerifyThenEmit).then_some(leaders as &dyn Leaders);
        let (ticker, usual) = (context.ticker, &mut UsualRival::new(watch));
        let run = rivals::time(ticker, usual, datagrams, check, triggers);
        self.usual.book(&run);
        let parts = &mut PartsRival::new(watch);
        let run = rivals::time(ticker, parts, datagrams, check, triggers);
        self.parts.book(&run);
        Ok(())
    }

    fn ours(&mut self, context: &Context, occasion: &Occasion, index: usize) -> Result<(), String> {
        let column = &mut self.ways[index];
        if !occasion.has(column.sign) {
            column.absent = Some("nothing is signed ahead for a coin nobody knows yet".to_owned());
            return Ok(());
        }
        let setup = occasion.setup(self.policy, column.sign);
        let mut core = match Core::of(&setup, context.ticker) {
            Ok(core) => core,
            Err(error) => {
                column.absent = Some(error);
                return Ok(());
            }
        };
        #[cfg(feature = "armed-nonces")]
        let absorbed = &mut self.absorbed;
        occasion.run(&mut core, self.policy, |cell| {
            black_box(cell.count());
            #[cfg(feature = "armed-nonces")]
            if absorbed.is_none() {
                *absorbed = cell.message(0).and_then(crate::sign::absorbed);
            }
        });
        let signatures = core.signatures();
        let other = column.sign.check(&signatures);
        other.map_err(|error| format!("l1: {error}"))?;
        for (sum, count) in column.signatures.iter_mut().zip(signatures) {
            *sum += count;
        }
        let measured = core.finish();
        column.book(&measured);
        self.gate
            .add(&measured.l2)
            .expect("both histograms have the same bounds");
        Ok(())
    }

    fn report(&self, context: &Context, name: &str, findings: &mut Findings) {
        let floors = &context.floors;
        let (usual, parts) = (&self.usual, &self.parts);
        let leaf = (self.policy == Policy::VerifyThenEmit).then_some(("leaf", floors.leaf));
        let mut add = |name: String, entrant: &Entrant, floor: &[(&'static str, u64)]| {
            let row = Row::latency(name, &entrant.total)
                .beside("usual", usual.over(entrant))
                .beside("parts", parts.over(entrant))
                .over(leaf.as_slice())
                .over(floor);
            findings.rows.push(row);
        };
        for column in &self.ways {
            let way = column.sign.name();
            if let Some(absent) = &column.absent {
                findings
                    .notes
                    .push(format!("{name}.{way}: absent: {absent}"));
                continue;
            }
            let sign = [("sign_aws_lc", floors.sign_aws_lc)];
            let floor = if column.sign == Sign::Deterministic {
                &sign[..]
            } else {
                &[]
            };
            add(format!("{name}.{way}"), &column.l1, floor);
            if !column.first.total.is_empty() {
                add(format!("{name}.{way}.first"), &column.first, floor);
            }
            findings
                .notes
                .push(format!("{name}.{way}: {}", column.split()));
        }
        #[cfg(feature = "armed-nonces")]
        if let Some((absorbed, hashed)) = self.absorbed {
            findings.notes.push(format!(
                "{name}.armed: {absorbed} of {hashed} bytes of R, A and message absorbed ahead",
            ));
        }
        for (rival, entrant) in [("usual", usual), ("parts", parts)] {
            let row = Row::latency(format!("{name}.{rival}"), &entrant.total);
            findings.rows.push(row);
        }
    }
}

impl Column {
    fn book(&mut self, measured: &Measured) {
        self.l1.book(&measured.l1);
        self.first.book(&measured.first);
        let Measured {
            told,
            decided,
            l2,
            build,
            hand,
            ..
        } = measured;
        for (sum, run) in self.stages.iter_mut().zip([told, decided, l2, build, hand]) {
            sum.add(run).expect("both histograms have the same bounds");
        }
    }

    fn split(&self) -> String {
        let stages = STAGES.iter().zip(&self.stages).map(|(stage, log)| {
            let [p50, p99] = [0.5, 0.99].map(|share| log.value_at_quantile(share));
            format!("{stage} {p50} ({p99})")
        });
        let stages: Vec<String> = stages.collect();
        let [deterministic, presigned, armed] = self.signatures;
        format!(
            "p50 (p99) in ns: {}; of its signatures {deterministic} deterministic, {presigned} presigned, {armed} armed",
            stages.join(", "),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::reassembly::Reassembler;
    use crate::rivals::{Rival, Watch};
    use crate::traffic::Stream;
    use demo::Datagrams;
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
        // Each launch is of another coin; the triggers measured are not all of those answered.
        let coin = |instructions: &[Resolved]| instructions[3].1[3].clone();
        let mut ours = BTreeMap::new();
        core.handle(datagrams.iter(), policy, &leaders, |cell| {
            let instructions = resolved(cell.transaction(0).unwrap(), true);
            ours.insert(coin(&instructions), instructions);
        });
        let watch = Watch::Launches;
        let rivals: [&mut dyn Rival; 2] =
            [&mut UsualRival::new(&watch), &mut PartsRival::new(&watch)];
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
            let built = resolved(built, true);
            if let Some(own) = ours.get(&coin(&built)) {
                assert_eq!(built, *own);
                compared += 1;
            }
        }
        assert!(
            compared > 5 && compared == ours.len(),
            "{compared} of {}",
            ours.len()
        );
    }
}
