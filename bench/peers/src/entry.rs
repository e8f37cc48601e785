//! A whole batch's bytes to transactions, per transaction.
//!
//! | contestant | what it does with the batch |
//! |---|---|
//! | `ours` | entry heads, `TxnScan` to each transaction's end, `TxnView::from_scan`: what the resolver does |
//! | `ours_in_pieces` | the same with the bytes of one more shred at a time |
//! | `view` | agave's `TransactionView`, unsanitized, told where each transaction is: it cannot find out |
//! | `view_sanitized` | the same, with the checks that our view makes too |
//! | `view_after_scan`, `view_sanitized_after_scan` | the same two, told by our scan inside the clock |
//! | `wincode`, `bincode` | the batch deserialised into owned entries, and dropped |

use std::hint::black_box;

use agave_transaction_view::sanitize::SanitizeConfig;
use agave_transaction_view::transaction_view::{
    SanitizedTransactionView, UnsanitizedTransactionView,
};
use bench::figures::Findings;
use bench::reassembly::Reassembler;
use bench::row::{Entrant, Row};
use bench::traffic::Stream;
use demo::Datagrams;
use overmind::rungs::histogram;
use serde::Deserialize;
use shred_resolve::Leaders;
use shred_wire::batch::{BATCH_HEAD_LEN, ENTRY_HEAD_LEN, EntryHead};
use shred_wire::shred::PAYLOAD_MAX;
use shred_wire::txn::{ScanStep, TxnScan, TxnVersion, TxnView};
use solana_transaction::versioned::VersionedTransaction;

use crate::Context;

const SEED: u64 = 22;
/// Bytes of a corpus at least gone over in one run: enough for a steady figure.
const RUN_BYTES: usize = 64 << 20;

/// Measures every corpus.
///
/// # Errors
/// A sentence when contestants read different transactions.
pub(crate) fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    for corpus in corpora(context) {
        corpus.check()?;
        findings.notes.push(corpus.sentence());
        findings.rows.extend(corpus.measure(context));
    }
    Ok(findings)
}

/// Reads a batch and returns the sum over its transactions of what [`id`] says, so that nobody can leave one out.
type Read = fn(&Batch) -> u64;

/// Ours first.
const CONTESTANTS: [(&str, Read); 8] = [
    ("ours", ours),
    ("ours_in_pieces", ours_in_pieces),
    ("view", view),
    ("view_sanitized", view_sanitized),
    ("view_after_scan", view_after_scan),
    ("view_sanitized_after_scan", view_sanitized_after_scan),
    ("wincode", wincode),
    ("bincode", bincode),
];
/// Reads no v1.
const BINCODE: &str = "bincode";

/// A whole batch with at least one transaction.
struct Batch {
    bytes: Vec<u8>,
    /// Where each transaction begins and how long it is.
    transactions: Vec<(usize, usize)>,
    has_v1: bool,
}

impl Batch {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut transactions, mut has_v1) = (Vec::new(), false);
        let base = bytes.as_ptr() as usize;
        walk(bytes, |view| {
            has_v1 |= view.version() == TxnVersion::V1;
            let bytes = view.bytes();
            transactions.push((bytes.as_ptr() as usize - base, bytes.len()));
        })?;
        (!transactions.is_empty()).then(|| Self {
            bytes: bytes.to_vec(),
            transactions,
            has_v1,
        })
    }
}

/// Batches of one kind.
struct Corpus {
    name: String,
    batches: Vec<Batch>,
    has_v1: bool,
}

impl Corpus {
    fn contestants(&self) -> impl Iterator<Item = (&'static str, Read)> {
        let has_v1 = self.has_v1;
        CONTESTANTS
            .into_iter()
            .filter(move |(name, _)| !(has_v1 && *name == BINCODE))
    }

    fn transactions(&self) -> usize {
        self.batches.iter().map(|one| one.transactions.len()).sum()
    }

    fn bytes(&self) -> usize {
        self.batches.iter().map(|one| one.bytes.len()).sum()
    }

    fn sentence(&self) -> String {
        let (batches, transactions, bytes) =
            (self.batches.len(), self.transactions(), self.bytes());
        format!(
            "entry.{}: {transactions} transactions in {batches} batches, {bytes} bytes",
            self.name
        )
    }

    fn check(&self) -> Result<(), String> {
        for batch in &self.batches {
            let expected = ours(batch);
            for (name, read) in self.contestants() {
                if read(batch) != expected {
                    let corpus = &self.name;
                    return Err(format!("entry.{corpus}: {name} reads other transactions"));
                }
            }
        }
        Ok(())
    }

    fn measure(&self, context: &Context) -> Vec<Row> {
        let contestants: Vec<(&str, Read)> = self.contestants().collect();
        let mut entrants = vec![Entrant::default(); contestants.len()];
        let passes = context.size(RUN_BYTES, RUN_BYTES / 16) / self.bytes().max(1) + 1;
        for run in 0..=context.size(9, 5) {
            for turn in 0..contestants.len() {
                let at = (turn + run) % contestants.len();
                let (mut log, read) = (histogram(), contestants[at].1);
                for _ in 0..passes {
                    log.saturating_record(self.pass(context, read));
                }
                if run > 0 {
                    entrants[at].book(&log);
                }
            }
        }
        let row = |at: usize| {
            let name = format!("entry.{}.{}", self.name, contestants[at].0);
            Row::of(name, "ps/txn", &entrants[at].total)
        };
        // The rivals behind ours, quickest reading of the goal first.
        let beside = |mut row: Row, ours: usize| {
            for (rival, entrant) in contestants.iter().zip(&entrants).skip(2) {
                row = row.beside(rival.0, entrant.over(&entrants[ours]));
            }
            row
        };
        let own = [beside(row(0), 0), beside(row(1), 1)];
        own.into_iter()
            .chain((2..contestants.len()).map(row))
            .collect()
    }

    /// Picoseconds per transaction of one pass over the corpus.
    fn pass(&self, context: &Context, read: Read) -> u64 {
        let start = context.ticker.nanos();
        for batch in &self.batches {
            black_box(read(black_box(batch)));
        }
        let spent = context.ticker.nanos().wrapping_sub(start);
        spent * 1_000 / self.transactions().max(1) as u64
    }
}

fn corpora(context: &Context) -> Vec<Corpus> {
    let mut families: Vec<(&str, Vec<Batch>)> = Vec::new();
    for capture in &context.captures {
        let family = capture
            .name
            .split_once('.')
            .map_or(capture.name, |(family, _)| family);
        let batches = batches(&capture.datagrams, &capture.leaders);
        match families.iter_mut().find(|(name, _)| *name == family) {
            Some((_, all)) => all.extend(batches),
            None => families.push((family, batches)),
        }
    }
    let mut stream = Stream::new(SEED, 10_000);
    let leaders = stream.leaders(200);
    let mut datagrams = Datagrams::new();
    // Little enough to stay in the cache, where a batch is while it arrives.
    stream.fill(4_000, &mut datagrams);
    families.push(("generated", batches(&datagrams, &leaders)));
    let mut corpora = Vec::new();
    for (family, batches) in families {
        let (with_v1, without): (Vec<Batch>, Vec<Batch>) =
            batches.into_iter().partition(|batch| batch.has_v1);
        for (has_v1, name, batches) in [
            (false, family.to_owned(), without),
            (true, format!("{family}_with_v1"), with_v1),
        ] {
            // Fewer say nothing about a transaction: they are ticks.
            let corpus = Corpus {
                name,
                batches,
                has_v1,
            };
            corpora.extend((corpus.transactions() >= 100).then_some(corpus));
        }
    }
    corpora
}

/// Every whole batch with transactions.
fn batches(datagrams: &Datagrams, leaders: &dyn Leaders) -> Vec<Batch> {
    let (mut reassembler, mut found) = (Reassembler::new(Some(leaders)), Vec::new());
    for datagram in datagrams.iter() {
        reassembler.handle(datagram, |_, bytes| found.extend(Batch::read(bytes)));
    }
    found
}

/// What is taken of every transaction: something of its first signature.
#[inline]
fn id(signature: &[u8; 64]) -> u64 {
    signature
        .first_chunk()
        .map_or(0, |head| u64::from_le_bytes(*head))
}

fn ours(batch: &Batch) -> u64 {
    let mut sum = 0_u64;
    walk(&batch.bytes, |view| {
        sum = sum.wrapping_add(id(view.signature()))
    });
    sum
}

/// The resolver's loop over a batch that is all there; `None` when it cannot be read to its end.
#[inline]
fn walk<'a>(batch: &'a [u8], mut transaction: impl FnMut(&TxnView<'a>)) -> Option<()> {
    scan_each(batch, |scan, bytes| {
        if let Ok(view) = TxnView::from_scan(scan, bytes) {
            transaction(&view);
        }
    })
}

/// Every transaction of a batch, as our scan finds it.
#[inline]
fn scan_each<'a>(batch: &'a [u8], mut transaction: impl FnMut(&TxnScan, &'a [u8])) -> Option<()> {
    let mut rest = batch.get(BATCH_HEAD_LEN..)?;
    for _ in 0..shred_wire::batch::entry_count(batch)? {
        let head = EntryHead::parse(rest)?;
        rest = &rest[ENTRY_HEAD_LEN..];
        for _ in 0..head.txn_count() {
            let mut scan = TxnScan::default();
            let Ok(ScanStep::Done { len }) = scan.advance(rest) else {
                return None;
            };
            let (bytes, after) = rest.split_at_checked(len)?;
            transaction(&scan, bytes);
            rest = after;
        }
    }
    Some(())
}

/// What stands next in a batch that is read in pieces.
enum Next {
    Batch,
    Entry,
    Transaction(TxnScan),
}

fn ours_in_pieces(batch: &Batch) -> u64 {
    let (mut sum, mut at, mut next) = (0_u64, 0, Next::Batch);
    let (mut entries, mut txns) = (0, 0);
    let mut known = 0;
    while known < batch.bytes.len() {
        known = (known + PAYLOAD_MAX).min(batch.bytes.len());
        while let Some(rest) = batch.bytes.get(at..known) {
            match &mut next {
                Next::Batch => {
                    let Some(count) = shred_wire::batch::entry_count(rest) else {
                        break;
                    };
                    entries = count;
                    at += BATCH_HEAD_LEN;
                }
                Next::Entry => {
                    let Some(head) = EntryHead::parse(rest) else {
                        break;
                    };
                    entries -= 1;
                    txns = head.txn_count();
                    at += ENTRY_HEAD_LEN;
                }
                Next::Transaction(scan) => {
                    let Ok(ScanStep::Done { len }) = scan.advance(rest) else {
                        break;
                    };
                    if let Ok(view) = TxnView::from_scan(scan, &rest[..len]) {
                        sum = sum.wrapping_add(id(view.signature()));
                    }
                    txns -= 1;
                    at += len;
                }
            }
            next = match (txns, entries) {
                (0, 0) => return sum,
                (0, _) => Next::Entry,
                _ => Next::Transaction(TxnScan::default()),
            };
        }
    }
    sum
}

fn view(batch: &Batch) -> u64 {
    let mut sum = 0_u64;
    for (at, len) in &batch.transactions {
        let bytes = &batch.bytes[*at..*at + *len];
        if let Ok(view) = UnsanitizedTransactionView::try_new_unsanitized(bytes) {
            sum = sum.wrapping_add(id(view.signatures()[0].as_array()));
        }
    }
    sum
}

/// What a validator of agave 4.2 asks.
const SANITIZE: SanitizeConfig = SanitizeConfig {
    min_requested_heap_size: 32 * 1024,
    max_requested_heap_size: 256 * 1024,
    max_instructions: 64,
    max_accounts_per_instruction: None,
};

fn view_sanitized(batch: &Batch) -> u64 {
    let mut sum = 0_u64;
    for (at, len) in &batch.transactions {
        let bytes = &batch.bytes[*at..*at + *len];
        if let Ok(view) = SanitizedTransactionView::try_new_sanitized(bytes, &SANITIZE) {
            sum = sum.wrapping_add(id(view.signatures()[0].as_array()));
        }
    }
    sum
}

fn view_after_scan(batch: &Batch) -> u64 {
    let mut sum = 0_u64;
    let found = scan_each(&batch.bytes, |_, bytes| {
        if let Ok(view) = UnsanitizedTransactionView::try_new_unsanitized(bytes) {
            sum = sum.wrapping_add(id(view.signatures()[0].as_array()));
        }
    });
    found.map_or(0, |()| sum)
}

fn view_sanitized_after_scan(batch: &Batch) -> u64 {
    let mut sum = 0_u64;
    let found = scan_each(&batch.bytes, |_, bytes| {
        if let Ok(view) = SanitizedTransactionView::try_new_sanitized(bytes, &SANITIZE) {
            sum = sum.wrapping_add(id(view.signatures()[0].as_array()));
        }
    });
    found.map_or(0, |()| sum)
}

fn wincode(batch: &Batch) -> u64 {
    let entries: Vec<solana_entry::entry::Entry> =
        wincode::deserialize(&batch.bytes).unwrap_or_default();
    let transactions = entries.iter().flat_map(|entry| &entry.transactions);
    sum(transactions)
}

/// As `solana-entry` had it while it still could be read by `bincode`.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "num_hashes")]
    _num_hashes: u64,
    #[serde(rename = "hash")]
    _hash: [u8; 32],
    transactions: Vec<VersionedTransaction>,
}

fn bincode(batch: &Batch) -> u64 {
    let entries: Vec<Entry> = bincode::deserialize(&batch.bytes).unwrap_or_default();
    let transactions = entries.iter().flat_map(|entry| &entry.transactions);
    sum(transactions)
}

fn sum<'a>(transactions: impl Iterator<Item = &'a VersionedTransaction>) -> u64 {
    transactions
        .filter_map(|transaction| transaction.signatures.first())
        .fold(0, |sum, signature| {
            sum.wrapping_add(id(signature.as_array()))
        })
}
