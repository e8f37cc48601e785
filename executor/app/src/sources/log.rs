//! The log of one region: what every source has brought so far, a line of JSON a second.
//!
//! Counters are cumulative and stamps are the UNIX epoch's nanoseconds, so the logs of two regions can be laid side by
//! side: by time, or by slot, since each line also tells which slots began, when, and whose shred was the first.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::{SourceFacts, read, state, tally_object};
use crate::clock::realtime;
use crate::published::Published;

/// Between two lines.
const PERIOD: Duration = Duration::from_secs(1);

/// The thread `sources-log`. Dropping it writes a last line and ends it.
#[derive(Debug)]
pub struct SourcesLog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SourcesLog {
    /// Appends a line a second to `path`, from now on. The file is opened anew for each: whoever moves it away gets a
    /// new one.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or there is no thread to be had.
    pub fn start(
        path: &Path,
        region: &str,
        facts: Arc<[SourceFacts]>,
        published: Arc<Published>,
    ) -> io::Result<Self> {
        let mut lines = Lines {
            path: path.to_owned(),
            region: region.to_owned(),
            facts,
            published,
            begun: 0,
            failed: false,
        };
        lines.open()?;
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("sources-log".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                    lines.append();
                }
                lines.append();
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for SourcesLog {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Lines {
    path: PathBuf,
    region: String,
    facts: Arc<[SourceFacts]>,
    published: Arc<Published>,
    /// Beginnings that were told.
    begun: u64,
    failed: bool,
}

impl Lines {
    fn open(&self) -> io::Result<std::fs::File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)
    }

    /// Says once that it fails, and once that it works again: a full disk is no reason to fill another.
    fn append(&mut self) {
        let line = format!("{}\n", self.line());
        let written = self
            .open()
            .and_then(|mut file| file.write_all(line.as_bytes()));
        match (written, self.failed) {
            (Err(error), false) => errln!("sources log {}: {error}", self.path.display()),
            (Ok(()), true) => errln!("sources log {}: written again", self.path.display()),
            (Err(_), true) => return,
            (Ok(()), false) => return,
        }
        self.failed = !self.failed;
    }

    fn line(&mut self) -> Value {
        let race = &self.published.sources;
        let (beginnings, begun) = race.beginnings(self.begun);
        self.begun = begun;
        let name = |source: usize| self.facts.get(source).map(|facts| facts.name.as_str());
        let beginnings: Vec<Value> = beginnings
            .into_iter()
            .map(|begun| json!([begun.slot.0, begun.at.0, name(usize::from(begun.source.0))]))
            .collect();
        let sources: Vec<Value> = read(&self.facts, race)
            .map(|(facts, tally)| {
                let mut source = tally_object(&tally);
                source.insert("name".to_owned(), facts.name.as_str().into());
                source.insert("state".to_owned(), state(&tally).into());
                source.into()
            })
            .collect();
        json!({
            "at": realtime().0,
            "region": self.region,
            "slot": self.published.slot.load(Relaxed),
            "slot_duration_ns": race.slot_duration().0,
            "begun": beginnings,
            "sources": sources,
        })
    }
}
