//! The stage between its rings, and the paper lane's file.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bundle::BundleCell;
use rtrb::RingBuffer;
use shred_wire::Nanos;
use strategy::LaneClass;
use submit::{
    BlockEngineConfig, BlockEngineLane, Lane, LaneId, LaneReject, Outcome, PaperError, PaperLane,
    PaperLog, Reason, Report, SubmitStage,
};
use support::{Cells, Engine, clock, wait};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("submit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("paper")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A lane that says whatever a test wants.
struct Chatty {
    class: LaneClass,
    refuse: Option<LaneReject>,
    says: Vec<Report>,
    sent: Arc<AtomicUsize>,
}

impl Lane for Chatty {
    fn takes(&self, class: LaneClass) -> bool {
        class == self.class
    }

    fn send(&mut self, _: &BundleCell) -> Result<(), LaneReject> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.refuse.map_or(Ok(()), Err)
    }

    fn poll(&mut self, out: &mut dyn FnMut(Report)) {
        self.says.drain(..).for_each(out);
    }
}

fn chatty(class: LaneClass, refuse: Option<LaneReject>) -> (Box<Chatty>, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    (
        Box::new(Chatty {
            class,
            refuse,
            says: Vec::new(),
            sent: sent.clone(),
        }),
        sent,
    )
}

#[test]
fn bundles_go_to_every_lane_of_their_class_and_refusals_are_told() {
    let (mut bundles, from_core) = RingBuffer::new(8);
    let (to_core, mut reports) = RingBuffer::new(8);
    let (private, private_sent) = chatty(LaneClass::PrivateBundle, None);
    let (full, full_sent) = chatty(LaneClass::PrivateBundle, Some(LaneReject::Full));
    let mut stage = SubmitStage::new(from_core, to_core, vec![private, full], clock(), || {
        panic!("halted")
    });
    let mut cells = Cells::new();
    let (ours, nobodys) = (cells.bundle(), cells.cell(LaneClass::Public));
    bundles.push(ours.clone()).unwrap();
    bundles.push(nobodys.clone()).unwrap();
    assert_eq!(stage.poll(), 2);
    assert_eq!(stage.poll(), 0);

    let of = |report: Report| (report.lane, report.intent_id, report.outcome);
    let (first, second) = (reports.pop().unwrap(), reports.pop().unwrap());
    assert_eq!(
        of(first),
        (
            LaneId(1),
            ours.intent_id,
            Outcome::Rejected(Reason::LaneFull)
        )
    );
    assert_eq!(
        of(second),
        (
            LaneId::NONE,
            nobodys.intent_id,
            Outcome::Rejected(Reason::NoLane)
        )
    );
    assert!(first.at > Nanos(0) && second.signature == nobodys.signature);
    assert_eq!(
        [private_sent, full_sent].map(|sent| sent.load(Ordering::Relaxed)),
        [1, 1]
    );
    let counters = stage.counters();
    assert_eq!(
        (
            counters.bundle_taken,
            counters.bundle_sent,
            counters.report_passed
        ),
        (2, 1, 2)
    );
    assert_eq!(counters.failed[Reason::LaneFull as usize], 1);
    assert_eq!(bundles.slots(), 8, "the ring is empty again");
}

#[test]
fn a_full_report_ring_halts() {
    let (_bundles, from_core) = RingBuffer::new(1);
    let (to_core, mut reports) = RingBuffer::new(2);
    let report = Report {
        lane: LaneId(0),
        intent_id: 1,
        signature: [0; 64],
        outcome: Outcome::Finalized,
        program_error: None,
        at: Nanos(1),
    };
    let (mut lane, _) = chatty(LaneClass::Public, None);
    lane.says = vec![report; 3];
    let halts = Arc::new(AtomicUsize::new(0));
    let raised = halts.clone();
    let halt = move || {
        raised.fetch_add(1, Ordering::Relaxed);
    };
    let mut stage = SubmitStage::new(from_core, to_core, vec![lane], clock(), halt);
    assert_eq!(stage.poll(), 3);
    assert_eq!(halts.load(Ordering::Relaxed), 1);
    assert_eq!(
        (stage.counters().report_passed, stage.counters().report_lost),
        (2, 1)
    );
    assert_eq!(reports.pop(), Ok(report));
}

#[test]
fn a_stage_over_a_real_lane_reports_to_the_core() {
    let engine = Engine::start("127.0.0.1:0");
    let (mut bundles, from_core) = RingBuffer::new(8);
    let (to_core, mut reports) = RingBuffer::new(64);
    let lane = BlockEngineLane::start(
        LaneId(0),
        BlockEngineConfig::new(engine.endpoint()),
        clock(),
        || {},
    )
    .unwrap();
    let mut stage = SubmitStage::new(from_core, to_core, vec![Box::new(lane)], clock(), || {
        panic!("halted")
    });
    bundles.push(Cells::new().bundle()).unwrap();
    let mut outcomes = Vec::new();
    wait(|| {
        stage.poll();
        outcomes.extend(std::iter::from_fn(|| reports.pop().ok()).map(|report| report.outcome));
        outcomes.len() == 2
    });
    assert_eq!(outcomes, [Outcome::HandedOver, Outcome::Acknowledged]);
}

#[test]
fn paper_keeps_what_would_have_been_sent() {
    let folder = Folder::new("keeps");
    let mut cells = Cells::new();
    let sent = [
        cells.bundle(),
        cells.cell(LaneClass::Public),
        cells.bundle(),
    ];
    for (cell, expect) in sent.iter().zip([1, 2, 1]) {
        // The second lane continues the first one's file.
        if expect == 1 {
            drop(PaperLane::open(&folder.file()).unwrap());
        }
        let mut lane = PaperLane::open(&folder.file()).unwrap();
        lane.send(cell).unwrap();
        lane.poll(&mut |report| panic!("{report:?}"));
        assert_eq!(lane.recorded_count(), 1);
    }
    let mut lane = PaperLane::open(&folder.file()).unwrap();
    assert_eq!(lane.send(&BundleCell::new()), Err(LaneReject::BadCell));

    let log = PaperLog::read(&folder.file()).unwrap();
    assert_eq!((log.records.len(), log.torn_len), (3, 0));
    for (record, cell) in log.records.iter().zip(&sent) {
        assert_eq!(
            (record.intent_id, record.tip_lamports),
            (cell.intent_id, cell.tip.0)
        );
        assert_eq!(
            (record.trigger_at, record.built_at),
            (cell.trigger_at, cell.built_at)
        );
        assert_eq!(
            (record.slot, record.blockhash_slot),
            (cell.slot, cell.blockhash_slot)
        );
        assert_eq!(record.lane_class, cell.lane as u8);
        assert_eq!(
            record.transactions,
            cell.transactions().map(<[u8]>::to_vec).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_crash_costs_the_last_record_at_most() {
    let folder = Folder::new("crash");
    let mut cells = Cells::new();
    let mut lane = PaperLane::open(&folder.file()).unwrap();
    lane.send(&cells.bundle()).unwrap();
    let one_len = std::fs::metadata(folder.file()).unwrap().len();
    lane.send(&cells.bundle()).unwrap();
    drop(lane);
    let whole = std::fs::read(folder.file()).unwrap();
    for cut in [
        whole.len() - 1,
        one_len as usize + 3,
        one_len as usize + 100,
    ] {
        std::fs::write(folder.file(), &whole[..cut]).unwrap();
        let log = PaperLog::read(&folder.file()).unwrap();
        assert_eq!((log.records.len(), log.torn_len), (1, cut as u64 - one_len));
        PaperLane::open(&folder.file())
            .unwrap()
            .send(&cells.bundle())
            .unwrap();
        let log = PaperLog::read(&folder.file()).unwrap();
        assert_eq!((log.records.len(), log.torn_len), (2, 0));
    }

    let mut bent = whole.clone();
    *bent.last_mut().unwrap() ^= 1;
    std::fs::write(folder.file(), &bent).unwrap();
    assert_eq!(PaperLog::read(&folder.file()).unwrap().records.len(), 1);
}

#[test]
fn other_files_are_not_touched() {
    let folder = Folder::new("other");
    for content in [
        &b"short"[..],
        b"not a paper file at all",
        b"OVMPAPER\x02\0\0\0",
    ] {
        std::fs::write(folder.file(), content).unwrap();
        assert!(matches!(
            PaperLane::open(&folder.file()),
            Err(PaperError::NotAPaperFile)
        ));
        assert_eq!(std::fs::read(folder.file()).unwrap(), content);
    }
}
