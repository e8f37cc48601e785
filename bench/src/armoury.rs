//! What is made ahead for the trigger, off its thread: nonces, and ladders of signed transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the other thread rests when there is nothing to make.
const REST: Duration = Duration::from_micros(50);

/// A thread that makes what was used up, and says when nothing is missing any more.
pub struct Armoury {
    asked: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Armoury {
    /// Starts it. `work` returns whether it found something to do, and an error to end.
    #[must_use]
    pub fn start(mut work: impl FnMut() -> Result<bool, String> + Send + 'static) -> Self {
        let (asked, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let is_over = Arc::new(AtomicBool::new(false));
        let (questions, answers) = (Arc::clone(&asked), Arc::clone(&answered));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Acquire) {
                // Read before the look: what was missing when the question came is found by it.
                let question = questions.load(Ordering::Acquire);
                match work() {
                    Ok(true) => {}
                    Ok(false) => {
                        answers.store(question, Ordering::Release);
                        std::thread::park_timeout(REST);
                    }
                    Err(error) => {
                        eprintln!("armoury: {error}");
                        return;
                    }
                }
            }
        });
        Self {
            asked,
            answered,
            is_over,
            thread: Some(thread),
        }
    }

    /// Waits until everything used up before the call is there again. For between triggers; allocates nothing.
    pub fn restock(&self) {
        let question = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let Some(thread) = &self.thread else { return };
        thread.thread().unpark();
        while self.answered.load(Ordering::Acquire) < question && !thread.is_finished() {
            std::thread::yield_now();
        }
    }
}

impl Drop for Armoury {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has said on standard error what was wrong.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_restock_nothing_is_missing() {
        let missing = Arc::new(AtomicU64::new(0));
        let shared = Arc::clone(&missing);
        let armoury = Armoury::start(move || {
            let some = shared.load(Ordering::Acquire) > 0;
            if some {
                shared.fetch_sub(1, Ordering::AcqRel);
            }
            Ok(some)
        });
        for used in [1, 7, 0, 30] {
            missing.store(used, Ordering::Release);
            armoury.restock();
            assert_eq!(missing.load(Ordering::Acquire), 0, "{used}");
        }
    }

    #[test]
    fn a_maker_that_fails_keeps_nobody_waiting() {
        Armoury::start(|| Err("as wanted".to_owned())).restock();
    }
}
