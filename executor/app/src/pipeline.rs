//! The stages of [`topology`](crate::topology), built, started and stopped as one.
//!
//! ```text
//! sources --frames--> core --bundles--> submit
//!            bridge --signals--^  ^------reports----'
//!             verify <--checks--> core
//!          accounts --updates, snapshots--> core
//!            signing --ladders, nonces--> core
//! ```
//!
//! `demo`, `run` and `replay` differ in what they plug in at both ends, and in nothing between.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use accounts::{Assembler, Update};
use brain_wire::ArmedSignal;
use engine::{Engine, EngineConfig, EngineError, TableWriter, TermsReader, TermsWriter};
use market::LookupTables;
use risk::Control;
use rtrb::{Consumer, Producer, RingBuffer};
use shred_quic::QuicHandle;
use shred_resolve::{Arbiter, ArbiterPlan, Plan as ResolvePlan, Policy, Resolver};
use shred_source::arena::ArenaError;
use shred_source::{ArenaPlan, CoreFrames, DatagramSource, RxFrames, frame_ring};
use submit::{Lane, SubmitCounters, SubmitStage};

use crate::account_feed::{AccountCounters, AccountEnds, AccountFeed, AccountsStage};
use crate::clock::{Ticker, realtime};
use crate::core_stage::{CoreOutcome, CoreParts, CoreRings, CoreStage};
use crate::intake::{Feeders, Intake, IntakeLayout};
use crate::leaders::LeaderSource;
use crate::published::Published;
use crate::signing_stage::{SigningAhead, SigningEnds, SigningRoom, SigningStage};
use crate::stage::{Idle, Runner, RunnerError, Seat, Stage};
use crate::topology::{Cell, cells};
use crate::verify_stage::{VerifyRings, VerifyStage};
use crate::wiring::Time;

/// Which threads run the stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// A thread for every source and one for the core; otherwise one thread for all of them.
    pub split: bool,
    /// Seat of the core, and of the fused thread.
    pub core: Seat,
    /// Seats of the source threads when split; the last one serves all further sources.
    pub sources: Vec<Seat>,
    /// Seat of a thread that checks leaders' signatures; `None`: the core checks each where it needs it.
    pub verify: Option<Seat>,
    /// Seat of the submit thread.
    pub submit: Seat,
}

impl Layout {
    /// One thread for sources and core and one for submit, sleeping when idle: for machines with other work to do.
    #[must_use]
    pub fn modest(split: bool) -> Self {
        let seat = Seat {
            cpu: None,
            idle: Idle::Park(Duration::from_micros(20)),
        };
        Self {
            split,
            core: seat,
            sources: vec![seat],
            verify: None,
            submit: seat,
        }
    }
}

/// What a pipeline is built from.
pub struct PipelinePlan {
    /// Sizes and rules of the resolver.
    pub resolve: ResolvePlan,
    /// Frames of each source.
    pub arena: ArenaPlan,
    /// Frame rings; several captures share one.
    pub rings: usize,
    /// One per source: when its transactions are handed on.
    pub policies: Vec<Policy>,
    /// Who signs which slot.
    pub leaders: LeaderSource,
    /// The engine.
    pub engine: EngineConfig,
    /// Lookup tables that are known from the start.
    pub tables: LookupTables,
    /// Builds and signs.
    pub builder: bundle::Builder,
    /// What is done for it ahead of the trigger.
    pub ahead: SigningAhead,
    /// The kill switch.
    pub control: Arc<Control>,
    /// What makes time pass.
    pub time: Time,
    /// Which threads.
    pub layout: Layout,
}

/// A pipeline could not be built.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Frames.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A thread.
    #[error(transparent)]
    Runner(#[from] RunnerError),
}

/// A pipeline whose memory is taken and whose threads do not run yet.
pub struct Prepared {
    layout: Layout,
    core: CoreStage,
    verify: Option<VerifyStage>,
    signing: Option<(SigningStage, Seat)>,
    /// Taken by the sources, in the order of their numbers.
    frames: Vec<RxFrames>,
    /// Sources with threads of their own, by name.
    quic: Vec<(String, QuicHandle)>,
    /// Taken by the bridge, if there is one.
    signals: Option<Producer<ArmedSignal>>,
    bundles: Consumer<bundle::BundleCell>,
    reports: Producer<submit::Report>,
    /// Taken by a feed of accounts, if there is one.
    account_ends: Option<AccountEnds>,
    accounts: Option<AccountsStage>,
    /// Whose trades these are: what it holds is told to the core.
    owner: market::Key,
    control: Arc<Control>,
    published: Arc<Published>,
}

impl Prepared {
    /// Builds resolver, arbiter, engine and rings. All memory of the hot path is allocated and touched here.
    ///
    /// # Errors
    /// [`PipelineError`] names what does not fit.
    pub fn new(plan: PipelinePlan) -> Result<Self, PipelineError> {
        let PipelinePlan {
            resolve,
            arena,
            rings,
            policies,
            leaders,
            engine,
            tables: configured,
            builder,
            ahead,
            control,
            time,
            layout,
        } = plan;
        let mut rx = Vec::new();
        let mut core_frames: Vec<CoreFrames> = Vec::new();
        for _ in 0..rings {
            let (source_end, core_end, _facts) = frame_ring(&arena)?;
            rx.push(source_end);
            core_frames.push(core_end);
        }
        let (signals, signals_out) = touched_ring(cells(Cell::Signal));
        let (bundles_in, bundles) = touched_ring(cells(Cell::Bundle));
        let (reports, reports_out) = touched_ring(cells(Cell::Report));
        let (updates, updates_out) = touched_ring::<Update>(cells(Cell::Account));
        let (terms, terms_cell) = TermsWriter::new();
        let (tables, table_cell) = TableWriter::new(configured.clone());
        let account_ends = AccountEnds {
            updates,
            terms,
            tables,
            configured,
        };
        let checks_max = if layout.verify.is_some() {
            cells(Cell::Check)
        } else {
            0
        };
        let (verify, verify_rings) = if checks_max > 0 {
            let (to_verify, checks) = touched_ring(checks_max);
            let (answers, from_verify) = touched_ring(checks_max);
            (
                Some(VerifyStage::new(checks, answers)),
                Some(VerifyRings::new(to_verify, from_verify)),
            )
        } else {
            (None, None)
        };
        let resolve = ResolvePlan {
            checks_max,
            ..resolve
        };
        let ticker = Ticker::calibrate();
        let race = ArbiterPlan::beside(&resolve, policies.len());
        let arbiter = Arbiter::new(&race);
        let slots = race.slots.next_power_of_two();
        let published = Arc::new(Published::remembering(arbiter.sources().len(), slots));
        let room = SigningRoom::new(&builder, ahead);
        published.signing.watch(room.watch());
        let owner = *builder.public_key();
        let engine = Engine::with_ticks(&engine, builder, Arc::clone(&control), ticker)?
            .with_lookup_tables(table_cell);
        let SigningEnds {
            engine,
            stage: signing,
            own,
        } = room.join(engine, Arc::clone(&control), Arc::clone(&published));
        let rings = CoreRings {
            frames: core_frames,
            signals: Some(signals_out),
            verify: verify_rings,
            bundles: bundles_in,
            reports: reports_out,
            accounts: Some(updates_out),
            own,
        };
        let core = CoreStage::new(CoreParts {
            rings,
            policies,
            resolver: Resolver::new(&resolve),
            arbiter,
            leaders: Arc::new(leaders),
            engine,
            terms: TermsReader::new(terms_cell),
            ticker,
            time,
            published: Arc::clone(&published),
        });
        Ok(Self {
            layout,
            core,
            verify,
            signing,
            frames: rx,
            quic: Vec::new(),
            signals: Some(signals),
            bundles,
            reports,
            account_ends: Some(account_ends),
            accounts: None,
            owner,
            control,
            published,
        })
    }

    /// The next source's end of its frame ring, in the order of source numbers.
    pub fn take_frames(&mut self) -> Option<RxFrames> {
        (!self.frames.is_empty()).then(|| self.frames.remove(0))
    }

    /// Takes charge of a source that fills its frames by a thread of its own: it is stopped before the core, and its
    /// death is the pipeline's.
    pub fn attach(&mut self, name: &str, handle: QuicHandle) {
        self.quic.push((name.to_owned(), handle));
    }

    /// The bridge's end of the signal ring.
    pub fn take_signals(&mut self) -> Option<Producer<ArmedSignal>> {
        self.signals.take()
    }

    /// Lets `feed` tell accounts, on a thread of its own; transfer fees are those of `epoch`. What is counted of it;
    /// `None` when there is a feed already.
    pub fn feed_accounts(
        &mut self,
        feed: Box<dyn AccountFeed>,
        epoch: u64,
    ) -> Option<Arc<AccountCounters>> {
        let ends = self.account_ends.take()?;
        let assembler = Assembler::new(epoch).owned_by(self.owner);
        let stage = AccountsStage::new(feed, assembler, ends);
        let counters = stage.counters();
        self.accounts = Some(stage);
        Some(counters)
    }

    /// Counters that the core publishes.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    /// Starts the threads. `before_core` runs on the core's thread before its first cycle.
    ///
    /// # Errors
    /// [`PipelineError::Runner`] when there is no thread to be had.
    pub fn start(
        self,
        sources: Vec<Box<dyn DatagramSource + Send>>,
        lanes: Vec<Box<dyn Lane>>,
        before_core: impl FnOnce() + Send + 'static,
    ) -> Result<Pipeline, PipelineError> {
        let Self {
            layout,
            core,
            verify,
            signing,
            quic,
            bundles,
            reports,
            accounts,
            control,
            published,
            ..
        } = self;
        let stop = Stops::default();
        let halt = move || {
            control.tighten(risk::Mode::Halted);
        };
        let submit = SubmitStage::new(bundles, reports, lanes, Arc::new(realtime), halt);
        let submit = Runner::spawn(
            "submit",
            layout.submit,
            Arc::clone(&stop.submit),
            Submit(submit),
            || {},
        )?;
        let verify = verify
            .zip(layout.verify)
            .map(|(stage, seat)| {
                Runner::spawn("verify", seat, Arc::clone(&stop.verify), stage, || {})
            })
            .transpose()?;
        let signing = signing
            .map(|(stage, seat)| {
                Runner::spawn("signing", seat, Arc::clone(&stop.signing), stage, || {})
            })
            .transpose()?;
        let intake = Intake::start(
            "core",
            &IntakeLayout {
                split: layout.split,
                stage: layout.core,
                sources: &layout.sources,
            },
            Feeders {
                polled: sources,
                quic,
            },
            core,
            before_core,
        )?;
        let accounts = accounts
            .map(|stage| {
                let seat = Seat {
                    cpu: None,
                    idle: Idle::Park(ACCOUNTS_IDLE),
                };
                Runner::spawn("accounts", seat, Arc::clone(&stop.accounts), stage, || {})
            })
            .transpose()?;
        Ok(Pipeline {
            intake,
            accounts,
            verify,
            signing,
            submit,
            stop,
            published,
        })
    }
}

/// An empty ring whose every cell has been written once, so that its first turn meets no page fault.
fn touched_ring<T>(cell_count: usize) -> (Producer<T>, Consumer<T>) {
    let (mut producer, consumer) = RingBuffer::new(cell_count);
    if let Ok(mut chunk) = producer.write_chunk_uninit(cell_count) {
        // Nothing is committed: to the ring the cells stay empty.
        chunk.as_mut_slices().0.fill_with(MaybeUninit::zeroed);
    }
    (producer, consumer)
}

/// How long the accounts thread sleeps when nothing has come: little beside the time a node takes.
const ACCOUNTS_IDLE: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Stops {
    accounts: Arc<AtomicBool>,
    verify: Arc<AtomicBool>,
    signing: Arc<AtomicBool>,
    submit: Arc<AtomicBool>,
}

/// A running pipeline.
pub struct Pipeline {
    intake: Intake<CoreStage>,
    accounts: Option<Runner<AccountsStage>>,
    verify: Option<Runner<VerifyStage>>,
    signing: Option<Runner<SigningStage>>,
    submit: Runner<Submit>,
    stop: Stops,
    published: Arc<Published>,
}

impl Pipeline {
    /// True when every source has said that nothing more will come.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.intake.is_ended() || self.has_died()
    }

    /// True when a thread has ended without being told to; [`Pipeline::stop`] says which.
    #[must_use]
    pub fn has_died(&self) -> bool {
        let verify = self.verify.as_ref().is_some_and(Runner::is_finished);
        let accounts = self.accounts.as_ref().is_some_and(Runner::is_finished);
        let signing = self.signing.as_ref().is_some_and(Runner::is_finished);
        self.intake.has_died() || accounts || verify || signing || self.submit.is_finished()
    }

    /// Counters that the core publishes.
    #[must_use]
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// Stops in the order data moves, so that everything on its way arrives: accounts, sources, core with the signatures
    /// it waits for, signing with what it has yet to verify, submit.
    ///
    /// # Errors
    /// [`RunnerError::Panicked`] names the thread that did.
    pub fn stop(self) -> Result<(CoreOutcome, SubmitCounters), RunnerError> {
        let Self {
            intake,
            accounts,
            verify,
            signing,
            submit,
            stop,
            ..
        } = self;
        stop.accounts.store(true, Ordering::Relaxed);
        if let Some(accounts) = accounts {
            drop(accounts.join()?);
        }
        let core = intake.stop()?;
        stop.verify.store(true, Ordering::Relaxed);
        if let Some(verify) = verify {
            drop(verify.join()?);
        }
        stop.signing.store(true, Ordering::Relaxed);
        if let Some(signing) = signing {
            drop(signing.join()?);
        }
        stop.submit.store(true, Ordering::Relaxed);
        let submitted = submit.join()?.0.counters();
        Ok((core.finish(), submitted))
    }
}

/// The submit stage of its crate, as a stage of this one.
struct Submit(SubmitStage);

impl Stage for Submit {
    fn poll(&mut self) -> usize {
        self.0.poll()
    }
}
