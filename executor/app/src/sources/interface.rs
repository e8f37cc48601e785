//! The interfaces that sources hang on: a source cannot tell by itself that its own is gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shred_source::InterfaceWatch;

use super::SourceFacts;

/// Between two looks: each asks the kernel.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The interface of a source, looked at by whoever asks, once a second at most.
#[derive(Debug, Clone, Default)]
pub struct Interface(Arc<Mutex<Looked>>);

#[derive(Debug, Default)]
struct Looked {
    watch: Option<InterfaceWatch>,
    at: Option<Instant>,
}

impl Interface {
    /// Of a source that has just been opened; `None` where there is no such one interface.
    #[must_use]
    pub fn new(watch: Option<InterfaceWatch>) -> Self {
        Self(Arc::new(Mutex::new(Looked { watch, at: None })))
    }

    /// What keeps the source from receiving, if something does: "eth0 is gone".
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Looked { watch, at } = &mut *looked;
        let watch = watch.as_mut()?;
        if at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            *at = Some(Instant::now());
            watch.check();
        }
        (!watch.state().receives()).then(|| watch.to_string())
    }
}

/// The sources whose interface keeps them from receiving, in words.
pub fn interface_alarms(facts: &[SourceFacts]) -> impl Iterator<Item = String> {
    facts.iter().filter_map(|facts| {
        let problem = facts.interface.problem()?;
        Some(line(facts, &format!("cannot receive: {problem}")))
    })
}

/// Notices when a source's interface begins or ceases to keep it from receiving.
#[derive(Debug, Default)]
pub struct InterfaceAlarms {
    said: Vec<Option<String>>,
}

impl InterfaceAlarms {
    /// A line for each source that this has changed for.
    pub fn changes(&mut self, facts: &[SourceFacts]) -> Vec<String> {
        self.said.resize(facts.len(), None);
        let mut lines = Vec::new();
        for (facts, said) in facts.iter().zip(&mut self.said) {
            let problem = facts.interface.problem();
            if *said != problem {
                let what = match &problem {
                    Some(problem) => format!("cannot receive: {problem}"),
                    None => "can receive again".to_owned(),
                };
                lines.push(line(facts, &what));
                *said = problem;
            }
        }
        lines
    }
}

fn line(facts: &SourceFacts, what: &str) -> String {
    format!("source {} on {} {what}", facts.name, facts.address)
}
