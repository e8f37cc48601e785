//! A transaction's bytes to market events.
//!
//! sol-parser-sdk's way for shreds: `wincode` into the SDK's `VersionedTransaction`, `sanitize`, then
//! `parse_transaction_dex_events_with_filter`, which is what its ShredStream client calls for every transaction; its
//! gRPC and RPC ways need what a node adds. `*_events_only` starts behind the deserialisation, and for ours behind
//! the view.

use std::hint::black_box;

use bench::figures::Findings;
use market::{LookupTables, MarketEvent};
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};
use sol_parser_sdk::DexEvent;
use sol_parser_sdk::shredstream::parse_transaction_dex_events_with_filter;
use solana_transaction::versioned::VersionedTransaction;

use crate::Context;
use crate::contest::{Contest, SLICE, slices};
use crate::corpus::{self, Corpus};
use crate::seen::{self, Seen};

const SLOT: u64 = 1_000;
/// When it came, in microseconds.
const RECEIVED: i64 = 1_790_000_000_000_000;

/// Measures every corpus.
///
/// # Errors
/// A sentence when the two find different trades.
pub(crate) fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    for corpus in corpus::all() {
        let Tally {
            same,
            none,
            different,
        } = compare(&corpus);
        let Corpus { name, transactions } = &corpus;
        if transactions.len() < SLICE {
            return Err(format!(
                "decode.{name}: {} transactions only",
                transactions.len()
            ));
        }
        findings.notes.push(format!(
            "decode.{name}: {} transactions, {same} seen alike, {none} nothing to either, {} seen differently",
            transactions.len(),
            different.len()
        ));
        findings.rows.extend(contest(context, &corpus));
    }
    Ok(findings)
}

fn contest(context: &Context, corpus: &Corpus) -> Vec<bench::row::Row> {
    let (ticker, transactions) = (context.ticker, &corpus.transactions);
    let passes = 1 + context.size(40_000, 6_000) / transactions.len();
    let few = 1 + context.size(8_000, 1_500) / transactions.len();
    let views: Vec<TxnView<'_>> = transactions
        .iter()
        .filter_map(|bytes| TxnView::parse(bytes).ok())
        .collect();
    let read: Vec<VersionedTransaction> = transactions
        .iter()
        .filter_map(|bytes| wincode::deserialize(bytes).ok())
        .collect();
    let tables = LookupTables::none();
    let (mut events, mut events_only) = (Vec::with_capacity(4), Vec::with_capacity(4));
    let name = format!("decode.{}", corpus.name);
    let mut rows = Contest::sliced(name.clone(), |log| {
        for _ in 0..passes {
            slices(ticker, log, transactions, |bytes| {
                if let Ok(view) = TxnView::parse(black_box(bytes)) {
                    decode(&view, &tables);
                }
            });
        }
    })
    .against("sol_parser_sdk", |log| {
        for _ in 0..few {
            slices(ticker, log, transactions, |bytes| {
                events.clear();
                theirs_into(black_box(bytes), &mut events);
                black_box(&events);
            });
        }
    })
    .rows(context);
    let events = Contest::sliced(format!("{name}.events_only"), |log| {
        for _ in 0..passes {
            slices(ticker, log, &views, |view| decode(black_box(view), &tables));
        }
    })
    .against("sol_parser_sdk", |log| {
        for _ in 0..few {
            slices(ticker, log, &read, |transaction| {
                events_only.clear();
                parse(black_box(transaction), &mut events_only);
                black_box(&events_only);
            });
        }
    });
    rows.extend(events.rows(context));
    rows
}

#[inline]
fn decode(view: &TxnView<'_>, tables: &LookupTables) {
    let mut emit = |event: MarketEvent| {
        black_box(&event);
    };
    black_box(market::decode(
        view,
        tables,
        Slot(SLOT),
        Nanos(0),
        &mut emit,
    ));
}

#[inline]
fn theirs_into(bytes: &[u8], events: &mut Vec<DexEvent>) {
    let Ok(transaction) = wincode::deserialize::<VersionedTransaction>(bytes) else {
        return;
    };
    if transaction.sanitize().is_ok() {
        parse(&transaction, events);
    }
}

#[inline]
fn parse(transaction: &VersionedTransaction, events: &mut Vec<DexEvent>) {
    if let Some(signature) = transaction.signatures.first() {
        parse_transaction_dex_events_with_filter(
            transaction,
            *signature,
            SLOT,
            0,
            RECEIVED,
            None,
            events,
        );
    }
}

/// Ours, kept.
pub(crate) fn ours(bytes: &[u8]) -> Vec<MarketEvent> {
    let mut events = Vec::new();
    if let Ok(view) = TxnView::parse(bytes) {
        let tables = LookupTables::none();
        market::decode(&view, &tables, Slot(SLOT), Nanos(0), &mut |event| {
            events.push(event);
        });
    }
    events
}

/// Theirs, kept.
pub(crate) fn theirs(bytes: &[u8]) -> Vec<DexEvent> {
    let mut events = Vec::new();
    theirs_into(bytes, &mut events);
    events
}

/// How the two agree on a corpus.
pub(crate) struct Tally {
    /// Transactions in which both saw the same, and something.
    pub(crate) same: usize,
    /// Transactions in which neither saw anything.
    pub(crate) none: usize,
    /// The others: what ours saw, and theirs.
    pub(crate) different: Vec<(Vec<Seen>, Vec<Seen>)>,
}

/// Both on every transaction.
pub(crate) fn compare(corpus: &Corpus) -> Tally {
    let mut tally = Tally {
        same: 0,
        none: 0,
        different: Vec::new(),
    };
    for bytes in &corpus.transactions {
        let ours: Vec<Seen> = ours(bytes).iter().filter_map(seen::ours).collect();
        let theirs: Vec<Seen> = theirs(bytes).iter().filter_map(seen::theirs).collect();
        if ours != theirs {
            tally.different.push((ours, theirs));
        } else if ours.is_empty() {
            tally.none += 1;
        } else {
            tally.same += 1;
        }
    }
    tally
}
