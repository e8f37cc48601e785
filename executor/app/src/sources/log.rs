//! The log of one region: what every source has brought so far, a line of JSON a second.
//!
//! Counters are cumulative and stamps are the UNIX epoch's nanoseconds, so the logs of two regions can be laid side by
//! side: by time, or by slot, since each line also tells which slots began, when, and whose shred was the first.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::{SourceFacts, read, tally_object};
use crate::clock::realtime;
use crate::published::Published;
use crate::regular::append_regular;

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
    /// When the file cannot be opened for appending, is no regular file, or there is no thread to be had.
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
        append_regular(&lines.path)?;
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

/// Appends `line` whole, or leaves the file as it was.
fn append_line(file: &mut File, line: &str) -> io::Result<()> {
    let len = file.metadata()?.len();
    // Whoever wrote before may have been killed inside a line.
    let mut last = [0];
    let torn = len > 0 && file.read_exact_at(&mut last, len - 1).is_ok() && last != *b"\n";
    let begin = if torn { "\n" } else { "" };
    let written = file.write_all(format!("{begin}{line}\n").as_bytes());
    if written.is_err() {
        // A full disk takes a part. If that cannot be taken back, the next line begins anew.
        let _ = file.set_len(len);
    }
    written
}

impl Lines {
    /// Says once that it fails, and once that it works again: a full disk is no reason to fill another.
    fn append(&mut self) {
        let (line, begun) = self.line();
        let written = append_regular(&self.path)
            .and_then(|mut file| append_line(&mut file, &line.to_string()));
        if written.is_ok() {
            self.begun = begun;
        }
        match (written, self.failed) {
            (Err(error), false) => errln!("sources log {}: {error}", self.path.display()),
            (Ok(()), true) => errln!("sources log {}: written again", self.path.display()),
            (Err(_), true) => return,
            (Ok(()), false) => return,
        }
        self.failed = !self.failed;
    }

    /// The line, and how many beginnings are told when it is written.
    fn line(&self) -> (Value, u64) {
        let race = &self.published.sources;
        let (beginnings, begun) = race.beginnings(self.begun);
        let name = |source: usize| self.facts.get(source).map(|facts| facts.name.as_str());
        let beginnings: Vec<Value> = beginnings
            .into_iter()
            .map(|begun| json!([begun.slot.0, begun.at.0, name(usize::from(begun.source.0))]))
            .collect();
        let states = self.published.states().sources;
        let sources: Vec<Value> = read(&self.facts, race)
            .zip(states)
            .map(|((facts, tally), (state, _))| {
                let mut source = tally_object(&tally);
                source.insert("name".to_owned(), facts.name.as_str().into());
                source.insert("state".to_owned(), state.as_str().into());
                source.into()
            })
            .collect();
        let line = json!({
            "at": realtime().0,
            "region": self.region,
            "slot": self.published.slot.load(Relaxed),
            "slot_duration_ns": race.slot_duration().0,
            "begun": beginnings,
            "sources": sources,
        });
        (line, begun)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::regular::tests::Folder;

    #[test]
    fn a_line_begins_at_a_lines_beginning_whatever_was_left_there() {
        let folder = Folder::new("log");
        let path = folder.0.join("log");
        let append = |line: &str| append_line(&mut append_regular(&path).unwrap(), line);
        append("1").unwrap();
        append("2").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2\n");
        std::fs::write(&path, "1\n{\"half").unwrap();
        append("2").unwrap();
        append("3").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "1\n{\"half\n2\n3\n");
    }

    /// A write beyond the limit of a file's size fails as one to a full disk does: a part is written. The limit holds
    /// for a whole process, so a child of its own has it.
    #[test]
    fn half_a_line_is_taken_back() {
        const CHILD: &str = "OVERMIND_TEST_LOG_LIMIT";
        let name = "sources::log::tests::half_a_line_is_taken_back";
        let Some(path) = std::env::var_os(CHILD) else {
            let folder = Folder::new("full");
            let path = folder.0.join("log");
            std::fs::write(&path, "1\n").unwrap();
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name])
                .env(CHILD, &path)
                .output()
                .unwrap();
            assert!(child.status.success(), "{child:?}");
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, "1\n2\n");
            return;
        };
        let limit = |len| {
            let limit = libc::rlimit {
                rlim_cur: len,
                rlim_max: libc::RLIM_INFINITY,
            };
            // SAFETY: both calls take numbers and a structure that outlives them.
            unsafe {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
            }
        };
        let path = PathBuf::from(path);
        let mut file = append_regular(&path).unwrap();
        limit(5);
        assert!(append_line(&mut file, "a long line").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
        limit(libc::RLIM_INFINITY);
        append_line(&mut file, "2").unwrap();
    }
}
