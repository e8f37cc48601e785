//! Whole captures from the bytes of the pcap file to a JSON line per transaction, every shred authenticated.

use std::io::Write;

use hdrhistogram::Histogram;
use overmind::rungs::histogram;
use shred_resolve::{Policy, ResolvedTxn, Sink};
use shred_source::{PcapDatagram, PcapReader};

use crate::figures::{Context, Findings};
use crate::ours;
use crate::reassembly::Reassembler;
use crate::row::{Entrant, Row, per_second};
use crate::traffic::{Capture, arrival, captures};
use crate::usual;

/// Measures `dev.lossy` and `agave`.
///
/// # Errors
/// A sentence when a capture cannot be read or holds nothing.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    let chosen = captures()?
        .into_iter()
        .filter(|capture| matches!(capture.name, "dev.lossy" | "agave"));
    for capture in chosen {
        let (mut by_ours, mut by_usual) = (Entrant::default(), Entrant::default());
        let mut lines = [0, 0];
        for run in 0..=context.size(25, 5) {
            let (ours, found) = by_our_way(context, &capture)?;
            let (usual, found_usually) = by_usual_way(context, &capture)?;
            lines = [found, found_usually];
            if run > 0 {
                by_ours.book(&once(ours));
                by_usual.book(&once(usual));
            }
        }
        let name = capture.name;
        if lines.contains(&0) {
            return Err(format!("decode.{name}: no line"));
        }
        let [found, found_usually] = lines;
        findings.notes.push(format!(
            "decode.{name}: {} datagrams, {} bytes, {found} lines by ours, {found_usually} by the usual way",
            capture.datagrams.len(),
            capture.bytes.len(),
        ));
        findings.rows.extend(rows(&capture, &by_ours, &by_usual));
    }
    Ok(findings)
}

fn rows(capture: &Capture, by_ours: &Entrant, by_usual: &Entrant) -> [Row; 3] {
    let name = format!("decode.{}", capture.name);
    let (datagrams, bytes) = (capture.datagrams.len() as u64, capture.bytes.len() as u64);
    let passes = by_ours.total.len();
    let nanos = |entrant: &Entrant| (entrant.total.mean() * entrant.total.len() as f64) as u64;
    let rate = |name: String, entrant: &Entrant| {
        let (unit, total) = ("datagrams/s", datagrams * passes);
        Row::rate(name, unit, datagrams, &entrant.total, total, nanos(entrant))
    };
    let bytes_rate = Row {
        quantiles: overmind::rungs::quantiles(&by_ours.total)
            .map(|nanos| per_second(bytes, nanos) / 1_000_000),
        overall: Some(per_second(bytes * passes, nanos(by_ours)) / 1_000_000),
        log: None,
        ..Row::of(format!("{name}.bytes"), "MB/s", &by_ours.total)
    };
    [
        rate(name.clone(), by_ours).beside("usual", by_usual.over(by_ours)),
        bytes_rate,
        rate(format!("{name}.usual"), by_usual),
    ]
}

fn once(nanos: u64) -> Histogram<u64> {
    let mut log = histogram();
    log.saturating_record(nanos);
    log
}

/// Nanoseconds and lines of one pass; the resolver is built outside the clock.
fn by_our_way(context: &Context, capture: &Capture) -> Result<(u64, u64), String> {
    let mut resolver = ours::small_resolver();
    let mut lines = Lines::new();
    let start = context.ticker.nanos();
    read(capture, |datagram| {
        let arrival = arrival(datagram.ordinal, Policy::VerifyThenEmit);
        let _ = resolver.handle(datagram.payload, arrival, &capture.leaders, &mut lines);
    })?;
    Ok((context.ticker.nanos().wrapping_sub(start), lines.count))
}

fn by_usual_way(context: &Context, capture: &Capture) -> Result<(u64, u64), String> {
    let mut reassembler = Reassembler::new(Some(&capture.leaders));
    let mut lines = Lines::new();
    let start = context.ticker.nanos();
    read(capture, |datagram| {
        reassembler.handle(datagram.payload, |slot, batch| {
            for entry in usual::entries(batch) {
                for transaction in &entry.transactions {
                    let signature = transaction.signatures.first();
                    lines.line(slot, signature.map_or(&[0; 64], |first| first.as_array()));
                }
            }
        });
    })?;
    Ok((context.ticker.nanos().wrapping_sub(start), lines.count))
}

fn read(capture: &Capture, mut datagram: impl FnMut(PcapDatagram<'_>)) -> Result<(), String> {
    let said = |error: shred_source::PcapError| format!("{}: {error}", capture.name);
    let mut reader = PcapReader::new(capture.bytes.as_slice()).map_err(said)?;
    while let Some(next) = reader.next().map_err(said)? {
        datagram(next);
    }
    Ok(())
}

/// Writes lines into memory that is kept.
struct Lines {
    text: Vec<u8>,
    count: u64,
}

impl Lines {
    fn new() -> Self {
        Self {
            text: Vec::with_capacity(4 << 20),
            count: 0,
        }
    }

    fn line(&mut self, slot: u64, signature: &[u8; 64]) {
        self.count += 1;
        let signature = bs58::encode(signature).into_string();
        writeln!(
            self.text,
            "{{\"slot\":{slot},\"signature\":\"{signature}\",\"verified\":true}}"
        )
        .expect("memory takes every line");
    }
}

impl Sink for Lines {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        self.line(txn.slot.0, txn.view.signature());
    }
}
