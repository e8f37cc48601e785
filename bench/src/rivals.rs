//! The two rivals of `l1`: how each finds its occasion in a batch, and answers.

use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;

use demo::Datagrams;
use hdrhistogram::Histogram;
use overmind::clock::Ticker;
use overmind::rungs::histogram;
use shred_resolve::Leaders;
use solana_transaction::versioned::VersionedTransaction;

use crate::launch::{Launch, Order};
use crate::ours;
use crate::parts::{self, TemplateBuilder, View};
use crate::reassembly::Reassembler;
use crate::usual::{self, Derived, SdkBuilder};

/// What rivals sign over: they ask an RPC node now and then, outside the clock.
pub const BLOCKHASH: [u8; 32] = [0xbb; 32];

/// A transaction's id.
pub type Signature = [u8; 64];

/// What a rival waits for.
#[derive(Debug, Clone)]
pub enum Watch {
    /// Launches that the order takes.
    Launches,
    /// Trades of coins it knows.
    Coins(Known),
}

/// Coins that a rival knows, with every address its answer names, and which of their trades it acts on: it need not
/// ask whether a signal is armed, which is a gift.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// By mint.
    pub coins: HashMap<[u8; 32], (Launch, Derived)>,
    /// Trades to act on.
    pub due: BTreeSet<Signature>,
}

/// A rival: how it finds launches or trades in a batch, and answers.
pub trait Rival {
    /// Calls `answered` with each trigger's signature after its answer stands in memory.
    fn batch(&mut self, bytes: &[u8], answered: &mut dyn FnMut(&Signature, &[u8]));
}

/// Everything by the SDK.
pub struct UsualRival<'a> {
    builder: SdkBuilder,
    order: Order,
    watch: &'a Watch,
}

impl<'a> UsualRival<'a> {
    /// One that waits for this.
    #[must_use]
    pub fn new(watch: &'a Watch) -> Self {
        Self {
            builder: SdkBuilder::new(ours::seed(), ours::order()),
            order: ours::order(),
            watch,
        }
    }

    fn answer(&self, transaction: &VersionedTransaction) -> Option<Vec<u8>> {
        match self.watch {
            Watch::Launches => {
                let launch =
                    usual::launch(transaction).filter(|launch| launch.fits(&self.order))?;
                Some(self.builder.build(&launch, &BLOCKHASH))
            }
            Watch::Coins(known) => {
                let (launch, derived) = known.coins.get(&usual::traded(transaction)?)?;
                known
                    .due
                    .contains(transaction.signatures[0].as_array())
                    .then(|| self.builder.build_with(launch, derived, &BLOCKHASH))
            }
        }
    }
}

impl Rival for UsualRival<'_> {
    fn batch(&mut self, bytes: &[u8], answered: &mut dyn FnMut(&Signature, &[u8])) {
        for entry in usual::entries(bytes) {
            for transaction in &entry.transactions {
                if let Some(built) = self.answer(transaction) {
                    answered(transaction.signatures[0].as_array(), &built);
                }
            }
        }
    }
}

/// The registry's best parts.
pub struct PartsRival<'a> {
    builder: TemplateBuilder,
    order: Order,
    watch: &'a Watch,
    built: Vec<u8>,
}

impl<'a> PartsRival<'a> {
    /// One that waits for this.
    #[must_use]
    pub fn new(watch: &'a Watch) -> Self {
        Self {
            builder: TemplateBuilder::new(ours::seed(), ours::order()),
            order: ours::order(),
            watch,
            built: Vec::new(),
        }
    }

    /// Whether there was something to answer.
    fn answer(&mut self, view: &View<'_>) -> Option<()> {
        match self.watch {
            Watch::Launches => {
                let launch = parts::launch(view).filter(|launch| launch.fits(&self.order))?;
                self.builder.build(&launch, &BLOCKHASH, &mut self.built);
            }
            Watch::Coins(known) => {
                let (launch, derived) = known.coins.get(&parts::traded(view)?)?;
                if !known.due.contains(view.signatures()[0].as_array()) {
                    return None;
                }
                self.builder
                    .build_with(launch, derived, &BLOCKHASH, &mut self.built);
            }
        }
        Some(())
    }
}

impl Rival for PartsRival<'_> {
    fn batch(&mut self, bytes: &[u8], answered: &mut dyn FnMut(&Signature, &[u8])) {
        parts::walk(bytes, |view| {
            if self.answer(view).is_some() {
                answered(view.signatures()[0].as_array(), &self.built);
            }
        });
    }
}

/// L1 of a rival over `triggers`. Of several in one batch only the first counts: the others waited for it.
pub fn time(
    ticker: Ticker,
    rival: &mut dyn Rival,
    datagrams: &Datagrams,
    leaders: Option<&dyn Leaders>,
    triggers: &BTreeSet<Signature>,
) -> Histogram<u64> {
    let mut log = histogram();
    let mut reassembler = Reassembler::new(leaders);
    for datagram in datagrams.iter() {
        let mut is_first = true;
        let entered = ticker.nanos();
        reassembler.handle(datagram, |_, batch| {
            rival.batch(batch, &mut |signature, built| {
                let spent = ticker.nanos().wrapping_sub(entered);
                black_box(built);
                if std::mem::take(&mut is_first) && triggers.contains(signature) {
                    log.saturating_record(spent);
                }
            });
        });
    }
    log
}

/// What a rival answers first in its batch.
pub fn firsts(
    rival: &mut dyn Rival,
    datagrams: &Datagrams,
    leaders: &dyn Leaders,
) -> BTreeSet<Signature> {
    let mut answered = BTreeSet::new();
    let mut reassembler = Reassembler::new(Some(leaders));
    for datagram in datagrams.iter() {
        let mut is_first = true;
        reassembler.handle(datagram, |_, batch| {
            rival.batch(batch, &mut |signature, _| {
                if std::mem::take(&mut is_first) {
                    answered.insert(*signature);
                }
            });
        });
    }
    answered
}
