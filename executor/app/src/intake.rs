//! Sources and the one stage that reads their frames: started, watched and stopped as one.
//!
//! Split, every source has a thread and so has the stage; fused, one thread polls the sources and then the stage. A
//! QUIC source has a thread of its own either way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shred_quic::QuicHandle;
use shred_source::DatagramSource;

use crate::stage::{Fused, Runner, RunnerError, Seat, Stage};

/// Which threads run sources and stage.
#[derive(Debug, Clone, Copy)]
pub struct IntakeLayout<'a> {
    /// A thread for every source and one for the stage; otherwise one thread for all of them.
    pub split: bool,
    /// Seat of the stage, and of the fused thread.
    pub stage: Seat,
    /// Seats of the source threads when split; the last one serves all further sources.
    pub sources: &'a [Seat],
}

/// What brings datagrams.
#[derive(Default)]
pub struct Feeders {
    /// Polled by a hot thread, in the order of their seats.
    pub polled: Vec<Box<dyn DatagramSource + Send>>,
    /// With threads of their own, by name.
    pub quic: Vec<(String, QuicHandle)>,
}

/// Sources and a stage that run.
pub struct Intake<S> {
    name: &'static str,
    hot: Hot<S>,
    quic: Vec<(String, QuicHandle)>,
    stop_sources: Arc<AtomicBool>,
    stop_stage: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

enum Hot<S> {
    Split {
        rx: Vec<Runner<Rx>>,
        stage: Runner<S>,
    },
    Fused(Runner<Fused<Vec<Rx>, S>>),
}

impl<S: Stage + 'static> Intake<S> {
    /// Starts the threads: `rx-<number>` for each polled source and `name` for the stage, or `name` alone. `before`
    /// runs on the stage's thread before its first cycle.
    ///
    /// # Errors
    /// [`RunnerError::Start`] when there is no thread to be had.
    pub fn start(
        name: &'static str,
        layout: &IntakeLayout<'_>,
        feeders: Feeders,
        stage: S,
        before: impl FnOnce() + Send + 'static,
    ) -> Result<Self, RunnerError> {
        let Feeders { polled, quic } = feeders;
        let (stop_sources, stop_stage) = (Arc::default(), Arc::default());
        let ended = Arc::new(AtomicBool::new(polled.is_empty() && quic.is_empty()));
        let left = Arc::new(AtomicUsize::new(polled.len()));
        let sources: Vec<Rx> = polled
            .into_iter()
            .map(|source| Rx {
                source,
                done: false,
                left: Arc::clone(&left),
                ended: Arc::clone(&ended),
            })
            .collect();
        let hot = if layout.split {
            let stage = Runner::spawn(name, layout.stage, Arc::clone(&stop_stage), stage, before)?;
            let mut rx = Vec::new();
            for (index, source) in sources.into_iter().enumerate() {
                let seats = layout.sources;
                let seat = seats.get(index).or(seats.last());
                let seat = seat.copied().unwrap_or(layout.stage);
                let name = format!("rx-{index}");
                let stop = Arc::clone(&stop_sources);
                rx.push(Runner::spawn(&name, seat, stop, source, || {})?);
            }
            Hot::Split { rx, stage }
        } else {
            let fused = Fused {
                first: sources,
                second: stage,
            };
            let stop = Arc::clone(&stop_stage);
            Hot::Fused(Runner::spawn(name, layout.stage, stop, fused, before)?)
        };
        Ok(Self {
            name,
            hot,
            quic,
            stop_sources,
            stop_stage,
            ended,
        })
    }

    /// True when every polled source has said that nothing more will come.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// True when a thread has ended without being told to; [`Intake::stop`] says which.
    #[must_use]
    pub fn has_died(&self) -> bool {
        let hot = match &self.hot {
            Hot::Split { rx, stage } => rx.iter().any(Runner::is_finished) || stage.is_finished(),
            Hot::Fused(fused) => fused.is_finished(),
        };
        hot || self.quic.iter().any(|(_, handle)| handle.is_dead())
    }

    /// Stops the sources, then the stage, which has by then read what they brought; gives the stage back.
    ///
    /// # Errors
    /// [`RunnerError::Panicked`] names the thread that did.
    pub fn stop(self) -> Result<S, RunnerError> {
        for (name, handle) in self.quic {
            let dead = handle.is_dead();
            if handle.stop().is_none() || dead {
                return Err(RunnerError::Panicked(format!("rx-{name}")));
            }
        }
        match self.hot {
            Hot::Split { rx, stage } => {
                self.stop_sources.store(true, Ordering::Relaxed);
                for source in rx {
                    drop(source.join()?);
                }
                self.stop_stage.store(true, Ordering::Relaxed);
                stage.join()
            }
            Hot::Fused(fused) => {
                self.stop_stage.store(true, Ordering::Relaxed);
                Ok(fused.join()?.second)
            }
        }
    }
}

impl<S> std::fmt::Debug for Intake<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake")
            .field("name", &self.name)
            .field("split", &matches!(self.hot, Hot::Split { .. }))
            .finish_non_exhaustive()
    }
}

/// A source as a stage.
struct Rx {
    source: Box<dyn DatagramSource + Send>,
    done: bool,
    left: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Stage for Rx {
    #[inline]
    fn poll(&mut self) -> usize {
        let taken = self.source.poll();
        if taken == 0 && !self.done && self.source.is_ended() {
            self.done = true;
            if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.ended.store(true, Ordering::Release);
            }
        }
        taken
    }
}
