//! Account truth on its way to the core: a feed tells whole accounts, an assembler puts them together, and the core gets
//! one record for each curve and pool through the accounts ring. Terms of venues and lookup tables go as snapshots.
//!
//! All of it runs on the thread `accounts`, which is slow and never in the core's way: when the ring is full, the record is
//! refused and counted, and what it is of stays as it was reckoned until it is told again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use accounts::{AccountData, Assembler, Update};
use engine::{TableWriter, TermsWriter};
use market::LookupTables;
use rtrb::Producer;

use crate::stage::Stage;

/// Who tells accounts: a node, or the embedded market.
pub trait AccountFeed: Send {
    /// Hands on a bounded number of whole accounts that have come in since the last call, in the order they were
    /// written; how many. Never waits.
    fn poll(&mut self, each: &mut dyn FnMut(&AccountData<'_>)) -> usize;
}

/// The writing ends of what account data reaches the core by.
pub struct AccountEnds {
    /// Records of curves and pools.
    pub updates: Producer<Update>,
    /// Terms of the venues.
    pub terms: TermsWriter,
    /// Lookup tables.
    pub tables: TableWriter,
    /// Tables that were configured: a feed's come to them.
    pub configured: LookupTables,
}

/// Pools told again in one duty cycle because of an account that very many depend on: fewer than the ring holds.
const DEFERRED_A_CYCLE: usize = 32;

/// How many numbers [`AccountCounters`] holds.
const COUNTERS: usize = 17;

const NAMES: [&str; COUNTERS] = [
    "account_taken",
    "account_other_owner",
    "account_stale",
    "account_rejected",
    "curve_untracked",
    "pool_incomplete",
    "pool_dangerous",
    "terms_taken",
    "table_taken",
    "update_emitted",
    "update_refused",
    "terms_published",
    "terms_rejected",
    "tables_published",
    "account_old_feed",
    "holding_taken",
    "pool_deferred",
];

/// What the accounts thread counts, for whoever asks.
#[derive(Debug, Default)]
pub struct AccountCounters([AtomicU64; COUNTERS]);

impl AccountCounters {
    /// By name.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let values = self.0.iter().map(|cell| cell.load(Relaxed));
        NAMES.into_iter().zip(values).collect()
    }

    /// One of them; 0 of a name that is none.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let named = self.named().into_iter();
        named
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| value)
            .sum()
    }
}

/// What this stage counts beside its assembler.
#[derive(Debug, Clone, Copy, Default)]
struct Handed {
    update_refused: u64,
    terms_published: u64,
    terms_rejected: u64,
    tables_published: u64,
}

/// Feed, assembler and the writing ends, as a stage.
pub struct AccountsStage {
    feed: Box<dyn AccountFeed>,
    assembler: Assembler,
    ends: AccountEnds,
    handed: Handed,
    counters: Arc<AccountCounters>,
}

impl AccountsStage {
    /// Puts them together.
    #[must_use]
    pub fn new(feed: Box<dyn AccountFeed>, assembler: Assembler, ends: AccountEnds) -> Self {
        Self {
            feed,
            assembler,
            ends,
            handed: Handed::default(),
            counters: Arc::default(),
        }
    }

    /// What it counts.
    #[must_use]
    pub fn counters(&self) -> Arc<AccountCounters> {
        Arc::clone(&self.counters)
    }

    /// Snapshots of what has changed, once for everything that was taken together.
    fn publish_snapshots(&mut self, before: &accounts::Counters) {
        let Self {
            assembler,
            ends,
            handed,
            ..
        } = self;
        let now = *assembler.counters();
        if now.terms_taken != before.terms_taken {
            match assembler.terms() {
                Ok(Some(terms)) => handed.terms_published += u64::from(ends.terms.publish(terms)),
                Ok(None) => {}
                Err(_) => handed.terms_rejected += 1,
            }
        }
        if now.table_taken != before.table_taken {
            let told = assembler.tables();
            let all = ends.configured.iter().chain(told.iter());
            ends.tables.publish(LookupTables::new(all));
            handed.tables_published += 1;
        }
    }

    fn publish_counters(&self) {
        let accounts::Counters {
            account_taken,
            account_other_owner,
            account_stale,
            account_rejected,
            curve_untracked,
            update_emitted,
            pool_incomplete,
            pool_dangerous,
            terms_taken,
            table_taken,
            account_old_feed,
            holding_taken,
            pool_deferred,
        } = *self.assembler.counters();
        let Handed {
            update_refused,
            terms_published,
            terms_rejected,
            tables_published,
        } = self.handed;
        let values = [
            account_taken,
            account_other_owner,
            account_stale,
            account_rejected,
            curve_untracked,
            pool_incomplete,
            pool_dangerous,
            terms_taken,
            table_taken,
            update_emitted,
            update_refused,
            terms_published,
            terms_rejected,
            tables_published,
            account_old_feed,
            holding_taken,
            pool_deferred,
        ];
        for (cell, value) in self.counters.0.iter().zip(values) {
            cell.store(value, Relaxed);
        }
    }
}

impl Stage for AccountsStage {
    fn poll(&mut self) -> usize {
        let before = *self.assembler.counters();
        let Self {
            feed,
            assembler,
            ends,
            handed,
            ..
        } = self;
        let taken = feed.poll(&mut |account| {
            // What gave nothing is counted by the assembler under its reason.
            let _ = assembler.take(account, &mut |update| {
                handed.update_refused += u64::from(ends.updates.push(*update).is_err());
            });
        });
        let told = assembler.tell_deferred(DEFERRED_A_CYCLE, &mut |update| {
            handed.update_refused += u64::from(ends.updates.push(*update).is_err());
        });
        if taken + told > 0 {
            self.publish_snapshots(&before);
            self.publish_counters();
        }
        taken + told
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use demo::{Datagrams, Generator, GeneratorConfig};
    use engine::TermsReader;
    use market::{CurveTruth, FeeSchedule};
    use rtrb::{Consumer, RingBuffer};
    use shred_wire::Slot;

    use super::*;
    use crate::commands::embedded::account_data;

    /// Tells everything at once.
    struct Told(Vec<demo::accounts::AccountWrite>);

    impl AccountFeed for Told {
        fn poll(&mut self, each: &mut dyn FnMut(&AccountData<'_>)) -> usize {
            let told = std::mem::take(&mut self.0);
            told.iter().for_each(|account| each(&account_data(account)));
            told.len()
        }
    }

    /// What some slots of the embedded market write.
    fn writes(slots: u64) -> Vec<demo::accounts::AccountWrite> {
        let mut generator = Generator::new(GeneratorConfig::default());
        let mut told = generator.first_accounts().to_vec();
        for _ in 0..slots {
            told.extend(generator.next_slot(&mut Datagrams::new()).accounts);
        }
        told
    }

    struct Core {
        updates: Consumer<Update>,
        terms: TermsReader,
        tables: Arc<engine::TableCell>,
    }

    fn stage(feed: Told, cells: usize, configured: LookupTables) -> (AccountsStage, Core) {
        let (updates, out) = RingBuffer::new(cells);
        let (terms, terms_cell) = TermsWriter::new();
        let (tables, table_cell) = TableWriter::new(configured.clone());
        let ends = AccountEnds {
            updates,
            terms,
            tables,
            configured,
        };
        let core = Core {
            updates: out,
            terms: TermsReader::new(terms_cell),
            tables: table_cell,
        };
        let stage = AccountsStage::new(Box::new(feed), Assembler::new(0), ends);
        (stage, core)
    }

    #[test]
    fn curves_terms_and_tables_reach_the_core() {
        let told = writes(8);
        let curves = told.iter().filter(|account| account.data.len() == 166);
        let curves = curves.count();
        let own = [[9; 32]];
        let configured = LookupTables::new([([8; 32], &own[..])]);
        let (mut stage, mut core) = stage(Told(told), 1_024, configured);
        let counters = stage.counters();
        assert!(stage.poll() > 0 && stage.poll() == 0);
        assert!(curves > 20, "{curves}");
        let mut truths = Vec::new();
        while let Ok(Update::Curve(truth)) = core.updates.pop() {
            truths.push(truth);
        }
        assert_eq!(truths.len(), curves);
        let of_mint = |truth: &CurveTruth| truth.accounts.bonding_curve != [0; 32];
        assert!(truths.iter().all(of_mint));
        assert!(truths.iter().all(|truth| truth.supply.is_some()));
        let terms = core.terms.changed().unwrap();
        let same = |cap| terms.pump.rates(cap, 0) == FeeSchedule::mainnet().rates(cap, 0);
        assert!(same(0) && same(1 << 40) && terms.pump_amm.is_none());
        let tables = core.tables.load();
        assert_eq!((tables.len(), tables.get(&[8; 32])), (3, Some(&own[..])));
        for (name, value) in [
            ("update_emitted", curves as u64),
            ("update_refused", 0),
            ("account_rejected", 0),
            ("account_stale", 0),
            ("account_other_owner", 0),
            ("curve_untracked", 0),
            ("terms_published", 1),
            ("table_taken", 2),
            ("tables_published", 1),
        ] {
            assert_eq!(counters.get(name), value, "{name}: {:?}", counters.named());
        }
    }

    #[test]
    fn a_full_ring_refuses_and_counts_and_the_next_telling_gets_through() {
        let told = writes(8);
        let (mut stage, mut core) = stage(Told(told.clone()), 4, LookupTables::none());
        stage.poll();
        let counters = stage.counters();
        let (emitted, refused) = (
            counters.get("update_emitted"),
            counters.get("update_refused"),
        );
        assert!(refused > 0 && emitted == refused + 4);
        while core.updates.pop().is_ok() {}
        // Told again as it was, it is stale; told anew, it is taken.
        let mut again = told.last().unwrap().clone();
        stage.feed = Box::new(Told(vec![again.clone()]));
        stage.poll();
        assert_eq!(counters.get("account_stale"), 1);
        assert!(core.updates.pop().is_err());
        again.write_version += 1;
        stage.feed = Box::new(Told(vec![again.clone()]));
        stage.poll();
        let Ok(Update::Curve(truth)) = core.updates.pop() else {
            panic!("nothing came through");
        };
        assert_eq!(truth.slot, Slot(again.slot));
    }
}
