//! The submit thread's work, one duty cycle at a time.

use std::fmt;

use bundle::BundleCell;
use rtrb::{Consumer, Producer};

use crate::Clock;
use crate::lane::Lane;
use crate::report::{LaneId, Outcome, Reason, Report};

/// Moves bundles from the core to the lanes and reports back.
pub struct SubmitStage {
    bundles: Consumer<BundleCell>,
    reports: Producer<Report>,
    lanes: Vec<Box<dyn Lane>>,
    clock: Clock,
    halt: Box<dyn FnMut() + Send>,
    counters: SubmitCounters,
}

/// What the stage has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmitCounters {
    /// Bundles taken from the ring.
    pub bundle_taken: u64,
    /// Bundles given to a lane; one bundle may go to several.
    pub bundle_sent: u64,
    /// Reports passed to the core.
    pub report_passed: u64,
    /// Reports the core's ring had no room for. Each one also raised the halt.
    pub report_lost: u64,
    /// `Rejected`, `Dropped` and `Unknown` outcomes by reason.
    pub failed: [u64; Reason::COUNT],
}

impl Default for SubmitCounters {
    fn default() -> Self {
        let failed = [0; Reason::COUNT];
        Self {
            bundle_taken: 0,
            bundle_sent: 0,
            report_passed: 0,
            report_lost: 0,
            failed,
        }
    }
}

impl SubmitStage {
    /// A stage over `lanes`; lane `n` of the list speaks as `LaneId(n)` when the stage speaks for it.
    ///
    /// `reports` must hold what the lanes can say about everything that can be in flight; if it is full all
    /// the same, `halt` is called: a core that has lost an outcome must not open anything new.
    pub fn new(
        bundles: Consumer<BundleCell>,
        reports: Producer<Report>,
        lanes: Vec<Box<dyn Lane>>,
        clock: Clock,
        halt: impl FnMut() + Send + 'static,
    ) -> Self {
        Self {
            bundles,
            reports,
            lanes,
            clock,
            halt: Box::new(halt),
            counters: SubmitCounters::default(),
        }
    }

    /// One duty cycle: sends every bundle that waits, passes on every report. Returns how many of both there
    /// were, so that a caller may rest after a zero.
    ///
    /// A bundle goes to every lane that takes its class: they carry the same bytes, so it lands at most once.
    pub fn poll(&mut self) -> usize {
        self.drain_bundles() + self.drain_lanes()
    }

    /// What has been done so far.
    pub fn counters(&self) -> SubmitCounters {
        self.counters
    }

    fn drain_bundles(&mut self) -> usize {
        let Self {
            bundles,
            reports,
            lanes,
            clock,
            halt,
            counters,
        } = self;
        let mut taken = 0;
        // Read in place: a cell is several kilobytes.
        while let Ok(chunk) = bundles.read_chunk(1) {
            for cell in chunk.as_slices().0 {
                let mut has_lane = false;
                for (lane, id) in lanes
                    .iter_mut()
                    .zip(0..)
                    .filter(|(lane, _)| lane.takes(cell.lane))
                {
                    has_lane = true;
                    match lane.send(cell) {
                        Ok(()) => counters.bundle_sent += 1,
                        Err(reject) => pass(
                            reports,
                            counters,
                            halt,
                            refusal(cell, LaneId(id), reject.into(), clock),
                        ),
                    }
                }
                if !has_lane {
                    pass(
                        reports,
                        counters,
                        halt,
                        refusal(cell, LaneId::NONE, Reason::NoLane, clock),
                    );
                }
            }
            chunk.commit_all();
            taken += 1;
        }
        counters.bundle_taken += taken as u64;
        taken
    }

    fn drain_lanes(&mut self) -> usize {
        let Self {
            reports,
            lanes,
            halt,
            counters,
            ..
        } = self;
        let mut passed = 0;
        for lane in lanes {
            lane.poll(&mut |report| {
                passed += 1;
                pass(reports, counters, halt, report);
            });
        }
        passed
    }
}

impl fmt::Debug for SubmitStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lanes, counters, ..
        } = self;
        f.debug_struct("SubmitStage")
            .field("lanes", &lanes.len())
            .field("counters", counters)
            .finish_non_exhaustive()
    }
}

fn refusal(cell: &BundleCell, lane: LaneId, reason: Reason, clock: &Clock) -> Report {
    let (intent_id, signature) = (cell.intent_id, cell.signature);
    Report {
        lane,
        intent_id,
        signature,
        outcome: Outcome::Rejected(reason),
        program_error: None,
        at: clock(),
    }
}

fn pass(
    reports: &mut Producer<Report>,
    counters: &mut SubmitCounters,
    halt: &mut (dyn FnMut() + Send),
    report: Report,
) {
    if let Outcome::Rejected(reason) | Outcome::Dropped(reason) | Outcome::Unknown(reason) =
        report.outcome
    {
        counters.failed[reason as usize] += 1;
    }
    match reports.push(report) {
        Ok(()) => counters.report_passed += 1,
        Err(_) => {
            counters.report_lost += 1;
            halt();
        }
    }
}
