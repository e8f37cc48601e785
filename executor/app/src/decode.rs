//! `overmind decode`: every transaction of a capture as one JSON line, at the datagram that makes it knowable.

use std::io::{self, Read, Write};

use shred_resolve::{
    Arrival, BlockEnd, Counters, Equivocation, Plan, Policy, Reject, ResolvedTxn, Resolver,
    Retract, RetractReason, Root, Sink, SourceId, Verdict,
};
use shred_source::pcap::PcapCounters;
use shred_source::{PcapError, PcapReader};
use shred_wire::txn::TxnVersion;
use shred_wire::{FecSetIndex, Slot};

use crate::leaders::LeaderSource;

/// What is decoded and how.
#[derive(Debug, Clone)]
pub struct DecodeOptions {
    /// Sizes and rules of the resolver.
    pub plan: Plan,
    /// Who signs which slot.
    pub leaders: LeaderSource,
    /// When lines are printed.
    pub policy: Policy,
}

/// What was read of a capture, and what became of it.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// Records and datagrams of the file.
    pub capture: PcapCounters,
    /// Shreds and what was in them.
    pub resolved: Counters,
}

/// Why a capture was not decoded to its end.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The capture.
    #[error(transparent)]
    Capture(#[from] PcapError),
    /// The output.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Decodes `capture` to its end and prints its lines to `out`, the summary last.
///
/// # Errors
/// [`DecodeError`] when the capture cannot be read or `out` refuses.
pub fn decode(
    mut capture: PcapReader<impl Read>,
    options: &DecodeOptions,
    out: impl Write,
) -> Result<Decoded, DecodeError> {
    let mut resolver = Resolver::new(&options.plan);
    let mut lines = Lines {
        out,
        datagram: 0,
        failure: None,
    };
    while let Some(datagram) = capture.next()? {
        lines.datagram = datagram.ordinal;
        let arrival = Arrival {
            source: SourceId(0),
            policy: options.policy,
            at: datagram.stamp,
        };
        // A refusal is counted by the resolver, and the counters are printed.
        let _ = resolver.handle(datagram.payload, arrival, &options.leaders, &mut lines);
        if let Some(failure) = lines.failure.take() {
            return Err(failure.into());
        }
    }
    lines.summary(resolver.counters(), capture.counters());
    lines.out.flush()?;
    match lines.failure {
        Some(failure) => Err(failure.into()),
        None => Ok(Decoded {
            capture: *capture.counters(),
            resolved: resolver.counters().clone(),
        }),
    }
}

/// Prints what a resolver tells. Every value is a number, a bool or text of a fixed alphabet, so nothing needs
/// escaping.
struct Lines<W> {
    out: W,
    datagram: u64,
    failure: Option<io::Error>,
}

impl<W: Write> Lines<W> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        if self.failure.is_none()
            && let Err(failure) = writeln!(self.out, "{line}")
        {
            self.failure = Some(failure);
        }
    }

    fn summary(&mut self, counters: &Counters, capture: &PcapCounters) {
        let mut fields = String::new();
        let refused: u64 = capture.rejected.iter().sum();
        fields.push_str(&format!(
            "\"record_read\":{},\"record_refused\":{refused},",
            capture.record_read
        ));
        for (name, value) in counters.named() {
            fields.push_str(&format!("\"{name}\":{value},"));
        }
        let rejected: Vec<String> = counters
            .rejected
            .iter()
            .enumerate()
            .map(|(index, count)| format!("\"{}\":{count}", Reject::name_at(index)))
            .collect();
        self.line(format_args!(
            "{{\"summary\":{{{fields}\"rejected\":{{{}}}}}}}",
            rejected.join(",")
        ));
    }
}

impl<W: Write> Sink for Lines<W> {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let version = match txn.view.version() {
            TxnVersion::Legacy => "\"legacy\"",
            TxnVersion::V0 => "0",
            TxnVersion::V1 => "1",
        };
        let root = txn
            .merkle_root
            .map(|root| format!(",\"merkle_root\":\"{}\"", hex(&root)))
            .unwrap_or_default();
        let retracted = if txn.retracted {
            ",\"retracted\":true"
        } else {
            ""
        };
        let datagram = self.datagram;
        self.line(format_args!(
            "{{\"slot\":{},\"fec_set_index\":{},\"signature\":\"{}\",\"version\":{version},\"datagram\":{datagram},\
             \"verified\":{}{root}{retracted}}}",
            txn.slot.0,
            txn.fec_set_index.0,
            bs58::encode(txn.view.signature()).into_string(),
            txn.verified,
        ));
    }

    fn block(&mut self, block: &BlockEnd) {
        let datagram = self.datagram;
        self.line(format_args!(
            "{{\"block\":{{\"slot\":{},\"parent_slot\":{},\"blockhash\":\"{}\",\"transactions\":{},\"ticks\":{},\
             \"ticks_complete\":{},\"datagram\":{datagram}}}}}",
            block.slot.0,
            block.parent_slot.0,
            bs58::encode(block.blockhash).into_string(),
            block.transactions,
            block.ticks,
            block.ticks_complete,
        ));
    }

    fn retract(&mut self, retract: &Retract) {
        let datagram = self.datagram;
        let reason = match retract.reason {
            RetractReason::UpdateParent { parent_slot } => {
                format!(
                    "\"reason\":\"update_parent\",\"parent_slot\":{}",
                    parent_slot.0
                )
            }
            RetractReason::Abandoned => "\"reason\":\"abandoned\"".to_owned(),
        };
        self.line(format_args!(
            "{{\"retract\":{{\"slot\":{},\"before_fec_set_index\":{},{reason},\"datagram\":{datagram}}}}}",
            retract.slot.0, retract.before.0,
        ));
    }

    fn equivocation(&mut self, equivocation: &Equivocation) {
        let datagram = self.datagram;
        let [first, second] = equivocation.merkle_roots;
        self.line(format_args!(
            "{{\"equivocation\":{{\"slot\":{},\"fec_set_index\":{},\"merkle_roots\":[\"{}\",\"{}\"],\
             \"datagram\":{datagram}}}}}",
            equivocation.slot.0,
            equivocation.fec_set_index.0,
            hex(&first),
            hex(&second),
        ));
    }

    fn verdict(&mut self, verdict: &Verdict) {
        if verdict.authentic {
            return;
        }
        let datagram = self.datagram;
        self.line(format_args!(
            "{{\"revoke\":{{\"transactions\":[{},{}],\"datagram\":{datagram}}}}}",
            verdict.from, verdict.to,
        ));
    }

    fn code_mismatch(&mut self, slot: Slot, fec_set_index: FecSetIndex) {
        let datagram = self.datagram;
        self.line(format_args!(
            "{{\"code_mismatch\":{{\"slot\":{},\"fec_set_index\":{},\"datagram\":{datagram}}}}}",
            slot.0, fec_set_index.0,
        ));
    }
}

fn hex(root: &Root) -> String {
    root.iter().map(|byte| format!("{byte:02x}")).collect()
}
