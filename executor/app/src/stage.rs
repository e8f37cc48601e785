//! Stages and the threads that run them.
//!
//! A stage does one duty cycle when it is polled. It can own a thread, share one with others, or be stepped by a
//! replay: it cannot tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Something that is polled.
pub trait Stage: Send {
    /// Runs one bounded duty cycle; the amount of work done, 0 when there was none.
    fn poll(&mut self) -> usize;

    /// Called once by the thread that polls from then on, before the first cycle: for what a thread does only once,
    /// such as taking its place in a list of readers, and a duty cycle must not do at all.
    fn begin(&mut self) {}
}

/// What a thread does with a duty cycle that found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Nothing: the next cycle follows at once. For threads that own their core.
    Spin,
    /// Lets another thread run.
    Yield,
    /// Sleeps. For laptops and continuous integration.
    Park(Duration),
}

impl Idle {
    /// Waits as the policy says. `Spin` makes no system call.
    #[inline]
    pub fn rest(self) {
        match self {
            Self::Spin => std::hint::spin_loop(),
            Self::Yield => std::thread::yield_now(),
            Self::Park(time) => std::thread::park_timeout(time),
        }
    }
}

/// Where and how a thread runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Core to pin to.
    pub cpu: Option<usize>,
    /// What to do when idle.
    pub idle: Idle,
}

/// How long what is on its way is worked off after the stop. A full frame ring takes some 10 ms.
const FAREWELL: Duration = Duration::from_millis(500);

/// A thread that polls stages until it is told to stop, and then gives them back.
pub struct Runner<S> {
    name: String,
    thread: JoinHandle<S>,
}

/// A thread could not be started, pinned, or ended in a panic.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The system gave no thread.
    #[error("cannot start thread {name}: {source}")]
    Start {
        /// Its name.
        name: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The thread panicked.
    #[error("thread {0} panicked; see its message above")]
    Panicked(String),
}

impl<S: Stage + 'static> Runner<S> {
    /// Starts `stage` on a thread named `name`. `before` runs on that thread, after pinning, before the first
    /// cycle: a test can put its traps there.
    ///
    /// After `stop` is raised the stage is polled until it finds nothing more, so that nothing on its way is lost, but
    /// no longer than half a second: in a flood there is always more.
    ///
    /// # Errors
    /// [`RunnerError::Start`] when there is no thread to be had.
    pub fn spawn(
        name: &str,
        seat: Seat,
        stop: Arc<AtomicBool>,
        mut stage: S,
        before: impl FnOnce() + Send + 'static,
    ) -> Result<Self, RunnerError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                if let Some(cpu) = seat.cpu {
                    core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
                }
                touch_stack();
                stage.begin();
                before();
                while !stop.load(Ordering::Relaxed) {
                    if stage.poll() == 0 {
                        seat.idle.rest();
                    }
                }
                let end = Instant::now() + FAREWELL;
                while stage.poll() > 0 && Instant::now() < end {}
                stage
            })
            .map_err(|source| RunnerError::Start {
                name: name.to_owned(),
                source,
            })?;
        Ok(Self {
            name: name.to_owned(),
            thread,
        })
    }

    /// Whether the thread has ended: before it was told to, that is a panic.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the thread, which has been told to stop, and takes its stage back.
    ///
    /// # Errors
    /// [`RunnerError::Panicked`] when it did.
    pub fn join(self) -> Result<S, RunnerError> {
        self.thread
            .join()
            .map_err(|_| RunnerError::Panicked(self.name))
    }
}

/// Stack that a duty cycle may need, with room: the deepest holds a bundle and the shreds of a set's recovery.
const STACK_TOUCHED: usize = 256 * 1024;

/// Writes to the stack below the caller's frame, so that no duty cycle is the first to need a page of it.
#[inline(never)]
fn touch_stack() {
    let mut below = [0u8; STACK_TOUCHED];
    std::hint::black_box(&mut below);
}

/// Two stages on one thread, in the order data moves.
pub struct Fused<A, B> {
    /// The stage that data reaches first.
    pub first: A,
    /// The stage that reads what the first has written.
    pub second: B,
}

impl<A: Stage, B: Stage> Stage for Fused<A, B> {
    #[inline]
    fn poll(&mut self) -> usize {
        self.first.poll() + self.second.poll()
    }

    fn begin(&mut self) {
        self.first.begin();
        self.second.begin();
    }
}

impl<S: Stage + ?Sized> Stage for Box<S> {
    fn poll(&mut self) -> usize {
        (**self).poll()
    }

    fn begin(&mut self) {
        (**self).begin();
    }
}

impl<S: Stage> Stage for Vec<S> {
    fn poll(&mut self) -> usize {
        self.iter_mut().map(Stage::poll).sum()
    }

    fn begin(&mut self) {
        self.iter_mut().for_each(Stage::begin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct CountDown(u32, u32);

    impl Stage for CountDown {
        fn poll(&mut self) -> usize {
            let work = self.0.min(3);
            self.0 -= work;
            self.1 += work;
            work as usize
        }
    }

    #[test]
    fn what_is_on_its_way_is_worked_off_after_the_stop() {
        for idle in [
            Idle::Spin,
            Idle::Yield,
            Idle::Park(Duration::from_micros(50)),
        ] {
            let stop = Arc::new(AtomicBool::new(true));
            let seat = Seat { cpu: None, idle };
            let runner =
                Runner::spawn("count", seat, stop, CountDown(1000, 0), || {}).expect("starts");
            assert_eq!(runner.join().expect("ends").1, 1000);
        }
    }

    #[test]
    fn every_stage_begins_on_the_thread_that_polls_it() {
        use std::thread::ThreadId;
        #[derive(Default)]
        struct Begun(Vec<ThreadId>, Option<ThreadId>);
        impl Stage for Begun {
            fn poll(&mut self) -> usize {
                self.1 = Some(std::thread::current().id());
                0
            }
            fn begin(&mut self) {
                assert!(self.1.is_none(), "it was polled before");
                self.0.push(std::thread::current().id());
            }
        }
        let stop = Arc::new(AtomicBool::new(true));
        let seat = Seat {
            cpu: None,
            idle: Idle::Yield,
        };
        let stages = Fused {
            first: vec![Box::new(Begun::default())],
            second: Begun::default(),
        };
        let runner = Runner::spawn("begin", seat, stop, stages, || {}).expect("starts");
        let Fused { mut first, second } = runner.join().expect("ends");
        for Begun(begun, polled) in [*first.remove(0), second] {
            assert_eq!(begun, [polled.expect("it was polled")]);
        }
    }

    #[test]
    fn a_flood_does_not_put_off_the_end() {
        struct Flood;
        impl Stage for Flood {
            fn poll(&mut self) -> usize {
                1
            }
        }
        let stop = Arc::new(AtomicBool::new(true));
        let seat = Seat {
            cpu: None,
            idle: Idle::Yield,
        };
        // Without a bound this never returns.
        Runner::spawn("flood", seat, stop, Flood, || {})
            .expect("starts")
            .join()
            .expect("ends");
    }

    #[test]
    fn a_panic_is_told_not_spread() {
        struct Bad;
        impl Stage for Bad {
            fn poll(&mut self) -> usize {
                panic!("as the test asks");
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        let seat = Seat {
            cpu: None,
            idle: Idle::Yield,
        };
        let runner = Runner::spawn("bad", seat, stop, Bad, || {}).expect("starts");
        assert!(matches!(runner.join(), Err(RunnerError::Panicked(name)) if name == "bad"));
    }
}
