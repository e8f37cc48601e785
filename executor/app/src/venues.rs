//! Whether the venues are still what we build for: a thread that checks builders at start and looks at programs and fee
//! accounts from then on, and what an operator sees of it.
//!
//! The thread `venues` may take as long as its node does; nobody waits for it. What it finds goes through
//! [`Guard`] into the gate's bytes, and into `venues.json` in the state directory, so that what changed while nobody
//! looked is seen at the next start and what was disabled stays so.

mod report;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bundle::BuilderConfig;
use risk::Control;
use serde_json::{Value, json};
use sidecar::{Asker, AskerEnd, Endpoint, RpcError, Snapshot, asker, printable};
use strategy::Venue;
use venue_check::{ChainError, Checked, Checker, Guard, Record, RpcChain, Verdict, look};

use self::report::summary;
pub use self::report::{shown_state, shown_verdict};
use crate::config::VenuesPlan;
use crate::outage::{Outage, Turn};
use crate::regular::{open_regular, sync_name};

/// The record, in the state directory.
pub const RECORD_FILE: &str = "venues.json";
/// Longest record that is read: many times what is written.
const RECORD_LEN_MAX: u64 = 1 << 20;
/// Longest wait for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Longest that all questions of one round may take together, and one answer more: a look, and a check of every venue or of
/// the one that is asked for. With a builder for each of six venues that is some 460 questions at most (a program's trades,
/// a dozen coins, three trials a side), which a node that needs a quarter of a second for each gets through. Nothing is
/// entered before the check at start is over, so a slower one must not hold that up for an hour.
pub const CHECK_LIMIT: Duration = Duration::from_secs(120);
/// Operator's wishes that wait for the thread.
const WISHES_MAX: usize = 16;
/// Pause before a record that could not be written is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(5);
/// JSON-RPC's code for a method that a node does not know.
const METHOD_NOT_FOUND: i64 = -32_601;
/// Why nobody is asked.
const NO_NODE: &str = "no RPC node is named ([venues] rpc)";
const EMBEDDED: &str = "the embedded market has no programs";

/// A venue of that name, as metrics and commands write it.
#[must_use]
pub fn venue_of(name: &str) -> Option<Venue> {
    let mut all = Venue::ALL.into_iter().zip(Venue::names());
    all.find(|(_, known)| *known == name)
        .map(|(venue, _)| venue)
}

/// What is known of the venues, for whoever asks. Holds the lock only for as long as it takes to read or note it.
#[derive(Debug)]
pub struct VenueBook {
    guard: Mutex<Guard>,
    watching: Mutex<Watching>,
    /// The node that is asked, or why nobody is.
    node: Result<String, &'static str>,
    wishes: Mutex<Option<SyncSender<Venue>>>,
}

/// How asking the node goes.
#[derive(Debug, Default)]
struct Watching {
    failure: String,
    looked: Option<Instant>,
    looks: u64,
    looks_failed: u64,
    /// Builders that the time of a round was over for.
    out_of_time: u64,
    /// What has happened to checks since it was last said, a line each.
    told: Vec<String>,
    /// Whether something is not yet in the record on disk.
    unsaved: bool,
    /// Venues that somebody wants enabled after a check.
    pending: Vec<Venue>,
    /// Why the last such wish was not granted.
    refusals: BTreeMap<&'static str, String>,
}

/// The running watch. Dropping it ends the question under way and waits for the thread.
#[derive(Debug)]
pub struct VenueWatch {
    book: Arc<VenueBook>,
    record: Option<PathBuf>,
    unsaved: Option<String>,
    tried: Option<Instant>,
    saving: Outage,
    asking: Outage,
    end: Option<AskerEnd>,
    thread: Option<JoinHandle<()>>,
}

impl VenueBook {
    /// A book over the gate's bytes that nobody checks: that of the embedded market.
    #[must_use]
    pub fn unchecked(control: Arc<Control>) -> Self {
        Self::new(Guard::new(control, None), Err(EMBEDDED), None)
    }

    fn new(
        guard: Guard,
        node: Result<String, &'static str>,
        wishes: Option<SyncSender<Venue>>,
    ) -> Self {
        Self {
            guard: Mutex::new(guard),
            watching: Mutex::default(),
            node,
            wishes: Mutex::new(wishes),
        }
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watching(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The member `venues` of `status`, and the answer to `venues`.
    #[must_use]
    pub fn status(&self) -> Value {
        let guard = self.guard();
        let (states, is_changed) = (guard.states(), guard.is_changed());
        drop(guard);
        let watching = self.watching();
        let names = |venues: &[Venue]| -> Vec<&str> {
            let venues = venues.iter();
            venues
                .map(|venue| Venue::names()[*venue as usize])
                .collect()
        };
        json!({
            "venues": states.iter().map(shown_state).collect::<Vec<_>>(),
            "node": self.node.as_ref().ok(),
            "not_checked": self.node.as_ref().err(),
            "unsaved": is_changed || watching.unsaved,
            "looked_s": watching.looked.map(|at| at.elapsed().as_secs()),
            "looks": watching.looks,
            "looks_failed": watching.looks_failed,
            "out_of_time": watching.out_of_time,
            "last_failure": watching.failure,
            "pending": names(&watching.pending),
            "refusals": watching.refusals,
        })
    }

    /// What is disabled, a sentence each.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let states = self.guard().states();
        let disabled = states.iter().filter_map(|state| {
            let reason = state
                .disabled
                .filter(|reason| *reason != risk::Disabled::Unchecked)?;
            let words = printable(state.words.as_deref().unwrap_or_default());
            let name = Venue::names()[state.venue as usize];
            Some(format!(
                "venue {name} is disabled for entries ({}): {words}",
                reason.name()
            ))
        });
        disabled.collect()
    }

    /// How many may be entered, and which not, in a line.
    #[must_use]
    pub fn in_brief(&self) -> String {
        let states = self.guard().states();
        let disabled = states.iter().filter_map(|state| {
            let name = Venue::names()[state.venue as usize];
            Some(format!("{name} ({})", state.disabled?.name()))
        });
        let disabled: Vec<String> = disabled.collect();
        let (all, enabled) = (states.len(), states.len() - disabled.len());
        match disabled.is_empty() {
            true => format!("{enabled} of {all} may be entered"),
            false => format!(
                "{enabled} of {all} may be entered; disabled: {}",
                disabled.join(", ")
            ),
        }
    }

    /// For metrics.
    pub fn measure(&self, snapshot: &mut Snapshot) {
        let states = self.guard().states();
        let mut enabled = snapshot.gauge("venue_enabled", "1 for a venue that may be entered.");
        for state in &states {
            let name = Venue::names()[state.venue as usize];
            enabled = enabled.with(&[("venue", name)], i64::from(state.disabled.is_none()));
        }
        let help = "1 for why a venue may not be entered.";
        let mut disabled = snapshot.gauge("venue_disabled", help);
        for state in &states {
            if let Some(reason) = state.disabled {
                let name = Venue::names()[state.venue as usize];
                disabled = disabled.with(&[("venue", name), ("reason", reason.name())], 1);
            }
        }
        let watching = self.watching();
        let _ = snapshot
            .counter(
                "venue_looks",
                "Looks at the venues' programs and accounts, by outcome.",
            )
            .with(&[("outcome", "told")], watching.looks)
            .with(&[("outcome", "failed")], watching.looks_failed);
        let help = "Builders that were not checked: the time for the whole check was over.";
        let _ = snapshot
            .counter("venue_checks_out_of_time", help)
            .with(&[], watching.out_of_time);
    }

    /// The operator wants `venue` enabled: at once when he forces it, else after a new check, which takes a while.
    ///
    /// The answer has `ok`; while a check is under way `pending` of [`VenueBook::status`] names the venue.
    #[must_use]
    pub fn enable(&self, venue: Venue, forced: bool) -> Value {
        let name = Venue::names()[venue as usize];
        if forced {
            return match self.guard().enable(venue, true) {
                Ok(()) => json!({"ok": true, "venue": name, "enabled": true}),
                Err(why) => json!({"ok": false, "error": why}),
            };
        }
        let refused = |why: &str| {
            let error = self.guard().not_checked(venue, why);
            json!({"ok": false, "error": format!("{error}; --force enables it unchecked")})
        };
        if let Err(why) = self.node {
            return refused(why);
        }
        let wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wishes) = wishes.as_ref() else {
            return refused("nobody checks any more");
        };
        let mut watching = self.watching();
        if !watching.pending.contains(&venue) {
            if wishes.try_send(venue).is_err() {
                drop(watching);
                return refused("too many wishes wait, or nobody hears them");
            }
            watching.pending.push(venue);
            watching.refusals.remove(name);
        }
        json!({"ok": true, "venue": name, "enabled": false, "checking": true})
    }
}

impl VenueWatch {
    /// Takes up what was remembered in `state_dir` and starts to check and to watch, if there is a node to ask. Without a
    /// `state_dir` nothing is remembered.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        plan: &VenuesPlan,
        builder: &BuilderConfig,
        control: Arc<Control>,
        state_dir: Option<&Path>,
    ) -> io::Result<Self> {
        let record = state_dir.map(|path| path.join(RECORD_FILE));
        let remembered = record.as_deref().and_then(read_record).map(|read| {
            read.map_err(|unread| {
                format!("{unread}: look at it, then overmind venues --enable VENUE")
            })
        });
        let mut guard = Guard::new(control, remembered);
        let (mut end, mut thread) = (None, None);
        let book = if let Some(endpoint) = &plan.rpc {
            if plan.check_at_start {
                guard.await_check();
            }
            let (wishes, heard) = sync_channel(WISHES_MAX);
            let book = VenueBook::new(guard, Ok(endpoint.to_string()), Some(wishes));
            let book = Arc::new(book);
            let words = if plan.check_at_start {
                format!("venues are checked at {endpoint}; none is entered before")
            } else {
                format!("venues are watched at {endpoint}, and not checked at start")
            };
            book.watching().told.push(words);
            let (asker, ended) = asker(endpoint.clone(), ANSWER_LIMIT)?;
            let round = Round::default();
            let rounds = Rounds {
                book: Arc::clone(&book),
                chain: chain(asker, round.clone()),
                round,
                builder: builder.clone(),
                interval: plan.watch_interval,
                check_at_start: plan.check_at_start,
            };
            end = Some(ended);
            let named = std::thread::Builder::new().name("venues".to_owned());
            thread = Some(named.spawn(move || rounds.run(&heard))?);
            book
        } else {
            Arc::new(VenueBook::new(guard, Err(NO_NODE), None))
        };
        let mut watch = Self::over(book);
        (watch.record, watch.end, watch.thread) = (record, end, thread);
        Ok(watch)
    }

    /// A watch that asks nobody and remembers nothing: that of the embedded market.
    #[must_use]
    pub fn unchecked(control: Arc<Control>) -> Self {
        Self::over(Arc::new(VenueBook::unchecked(control)))
    }

    fn over(book: Arc<VenueBook>) -> Self {
        Self {
            book,
            record: None,
            unsaved: None,
            tried: None,
            saving: Outage::default(),
            asking: Outage::default(),
            end: None,
            thread: None,
        }
    }

    /// What is known, for whoever asks.
    #[must_use]
    pub fn book(&self) -> Arc<VenueBook> {
        Arc::clone(&self.book)
    }

    /// Notices what the core has disabled, writes down what has changed, and says what has happened since the last call, a
    /// line each. To be called a few times a second.
    pub fn changes(&mut self) -> Vec<String> {
        let mut guard = self.book.guard();
        guard.notice();
        let mut lines = guard.take_told();
        if let Some(record) = guard.take_changed() {
            self.unsaved = Some(record.to_json());
            self.tried = None;
            self.book.watching().unsaved = true;
        }
        drop(guard);
        lines.extend(self.save());
        let mut watching = self.book.watching();
        watching.unsaved = self.unsaved.is_some();
        let failure = watching.failure.clone();
        lines.splice(0..0, std::mem::take(&mut watching.told));
        drop(watching);
        match self.asking.turn(!failure.is_empty(), Instant::now()) {
            Some(Turn::Fails) => lines.push(format!("venues are not watched: {failure}")),
            Some(Turn::Works) => lines.push("venues are watched again".to_owned()),
            None => {}
        }
        lines.into_iter().map(|line| printable(&line)).collect()
    }

    /// Writes what is not written yet; what is worth saying of it.
    fn save(&mut self) -> Option<String> {
        let (Some(path), Some(text)) = (&self.record, &self.unsaved) else {
            self.unsaved = None;
            return None;
        };
        if self.tried.is_some_and(|tried| tried.elapsed() < SAVE_AGAIN) {
            return None;
        }
        let now = Instant::now();
        self.tried = Some(now);
        match write_record(path, text) {
            Ok(()) => {
                self.unsaved = None;
                let turn = self.saving.turn(false, now);
                turn.map(|_| format!("{}: written again", path.display()))
            }
            Err(error) => {
                let turn = self.saving.turn(true, now);
                turn.map(|_| {
                    let path = path.display();
                    format!("{path}: {error}: what is disabled now is forgotten by a restart")
                })
            }
        }
    }
}

impl Drop for VenueWatch {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end.end();
        }
        *self
            .book
            .wishes
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.thread.take().map(JoinHandle::join);
        self.tried = None;
        let _ = self.changes();
    }
}

/// What the thread does.
struct Rounds<C> {
    book: Arc<VenueBook>,
    chain: C,
    round: Round,
    builder: BuilderConfig,
    interval: Duration,
    check_at_start: bool,
}

impl<C: venue_check::Chain> Rounds<C> {
    fn run(mut self, wishes: &Receiver<Venue>) {
        self.look();
        if self.check_at_start {
            let mut checker = Checker::new(self.builder.clone());
            let mut found = Vec::new();
            for venue in Venue::ALL {
                let checked = self.check(&mut checker, venue);
                found.extend(checked.iter().map(|checked| checked.verdict.clone()));
                self.book.guard().note_checked(venue, checked);
            }
            let mut guard = self.book.guard();
            guard.end_await();
            let states = guard.states();
            drop(guard);
            self.book.watching().told.push(summary(&found, &states));
        }
        loop {
            match wishes.recv_timeout(self.interval) {
                Ok(venue) => self.grant(venue),
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn check(&mut self, checker: &mut Checker, venue: Venue) -> [Checked; 2] {
        let checked = checker.check(&mut self.chain, venue);
        for builder in &checked {
            let is_late = builder.verdict == Verdict::OutOfTime;
            self.book.watching().out_of_time += u64::from(is_late);
        }
        checked
    }

    /// Begins a round; whether the node told everything that was looked at.
    fn look(&mut self) -> bool {
        self.round.begin(Instant::now());
        let seen = look(&mut self.chain, &Venue::ALL);
        let mut failure = String::new();
        match &seen {
            Ok(prints) => self.book.guard().note_prints(prints),
            Err(error) => failure = error.to_string(),
        }
        self.look_up();
        let mut watching = self.book.watching();
        watching.looks += 1;
        watching.looks_failed += u64::from(seen.is_err());
        if seen.is_ok() {
            watching.looked = Some(Instant::now());
        }
        watching.failure = failure;
        seen.is_ok()
    }

    /// Fails every venue when the chain has the lookup table otherwise: whoever may change it can take it from us while we
    /// run.
    fn look_up(&mut self) {
        let mut checker = Checker::new(self.builder.clone());
        if let Ok(Some(_)) = checker.table(&mut self.chain) {
            for venue in Venue::ALL {
                let failed = checker.check(&mut self.chain, venue);
                self.book.guard().note_checked(venue, failed);
            }
        }
    }

    fn grant(&mut self, venue: Venue) {
        let name = Venue::names()[venue as usize];
        let granted = if self.look() {
            let checked = self.check(&mut Checker::new(self.builder.clone()), venue);
            let mut guard = self.book.guard();
            guard.note_checked(venue, checked);
            guard.enable(venue, false)
        } else {
            let failure = self.book.watching().failure.clone();
            Err(self.book.guard().not_checked(venue, &failure))
        };
        let mut watching = self.book.watching();
        watching.pending.retain(|pending| *pending != venue);
        if let Err(why) = granted {
            watching.refusals.insert(name, why);
        }
    }
}

/// A chain behind a node.
fn chain(mut asker: Asker, round: Round) -> impl venue_check::Chain {
    RpcChain::new(move |method: &'static str, params: Value| {
        if let Some(over) = round.over(Instant::now()) {
            return Err(over);
        }
        let answer = asker.ask(method, params);
        answer.map_err(|error| {
            let told = chain_error(asker.endpoint(), method, &error);
            if let RpcError::Connect(_) | RpcError::Late(_) | RpcError::Ended = error {
                round.lock().silent = Some(told.clone());
            }
            told
        })
    })
}

/// One round of questions: until when a node is asked, and whether it is there.
#[derive(Clone, Debug)]
struct Round(Arc<Mutex<Asking>>);

#[derive(Debug)]
struct Asking {
    began: Instant,
    /// Why nothing more is asked: it was not there, or late, and each question would take as long.
    silent: Option<ChainError>,
}

impl Default for Round {
    /// One that begins now.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Asking {
            began: Instant::now(),
            silent: None,
        })))
    }
}

impl Round {
    fn lock(&self) -> MutexGuard<'_, Asking> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new round.
    fn begin(&self, now: Instant) {
        *self.lock() = Asking {
            began: now,
            silent: None,
        };
    }

    /// Why the node is asked nothing more in this round; `None` while it is.
    fn over(&self, now: Instant) -> Option<ChainError> {
        let Asking { began, silent } = &*self.lock();
        let late = now.saturating_duration_since(*began) >= CHECK_LIMIT;
        silent.clone().or(late.then_some(ChainError::OutOfTime))
    }
}

/// A chain behind the node at `endpoint`, for a command that waits, for one round.
///
/// # Errors
/// When there is no runtime to be had.
pub fn chain_of(endpoint: &Endpoint) -> io::Result<(impl venue_check::Chain, AskerEnd)> {
    let (asker, end) = asker(endpoint.clone(), ANSWER_LIMIT)?;
    Ok((chain(asker, Round::default()), end))
}

fn chain_error(endpoint: &Endpoint, method: &str, error: &RpcError) -> ChainError {
    let words = printable(&format!("{method} at {endpoint}: {error}"));
    match error {
        RpcError::Refused { code, .. } if *code == METHOD_NOT_FOUND => {
            ChainError::Unsupported(method.to_owned())
        }
        RpcError::Refused { .. } => ChainError::Refused(words),
        _ => ChainError::Unreachable(words),
    }
}

/// A record that is there and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    path: PathBuf,
    why: String,
    /// Whether that may be so for this user alone.
    pub is_denied: bool,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read ({})", self.path.display(), self.why)
    }
}

/// The record at `path`; `None` when there is none.
///
/// # Errors
/// [`Unread`], within.
pub fn read_record(path: &Path) -> Option<Result<Record, Unread>> {
    let unread = |why: String, is_denied| Unread {
        path: path.to_owned(),
        why,
        is_denied,
    };
    let of_file = |error: &io::Error| {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        unread(error.to_string(), is_denied)
    };
    let mut text = String::new();
    match open_regular(path, RECORD_LEN_MAX) {
        // A link that leads nowhere is something that is there and says nothing.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() =>
        {
            return None;
        }
        Err(error) => return Some(Err(of_file(&error))),
        Ok(mut file) => {
            if let Err(error) = file.read_to_string(&mut text) {
                return Some(Err(of_file(&error)));
            }
        }
    }
    Some(Record::parse(&text).map_err(|reject| unread(reject.to_string(), false)))
}

/// Whole or not at all: beside it first, then in its place.
fn write_record(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    // Whatever was left there, a pipe that nobody reads included, must not be opened.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    sync_name(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use risk::{Disabled, Mode};

    fn plan() -> VenuesPlan {
        VenuesPlan {
            rpc: None,
            check_at_start: true,
            watch_interval: Duration::from_secs(3_600),
        }
    }

    fn watch(state_dir: &Path) -> (VenueWatch, Arc<Control>) {
        let control = Arc::new(Control::new(Mode::Active));
        let builder = BuilderConfig::default();
        let watch = VenueWatch::start(&plan(), &builder, Arc::clone(&control), Some(state_dir));
        (watch.unwrap(), control)
    }

    fn home(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("overmind-venues-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        path
    }

    /// Goal: without a node nothing is checked and nothing is held up; what the core disables is told, shown, remembered
    /// over a restart, and enabled by the operator alone.
    #[test]
    fn what_was_disabled_stays_so_until_the_operator_says_otherwise() {
        let home = home("stays");
        let (mut first, control) = watch(&home);
        assert!(first.changes().is_empty());
        assert_eq!(control.venues().disabled(Venue::PumpV3), None);
        control
            .venues()
            .disable(Venue::PumpV3, Disabled::ErrorsRepeated);
        let said = first.changes();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("pump_v3") && said[0].contains("errors_repeated"));
        assert!(first.changes().is_empty(), "said once");
        assert_eq!(first.book().alarms().len(), 1);
        drop(first);

        let (mut second, control) = watch(&home);
        assert_eq!(
            control.venues().disabled(Venue::PumpV3),
            Some(Disabled::ErrorsRepeated)
        );
        assert_eq!(second.changes().len(), 1, "said at every start");
        let book = second.book();
        let refused = book.enable(Venue::PumpV3, false);
        assert!(refused["ok"] == false && refused["error"].as_str().unwrap().contains("--force"));
        assert_eq!(book.enable(Venue::PumpV3, true)["ok"], true);
        assert!(second.changes()[0].contains("enabled by the operator"));
        drop(second);
        let (_, control) = watch(&home);
        assert_eq!(control.venues().disabled(Venue::PumpV3), None);
        std::fs::remove_dir_all(&home).unwrap();
    }

    #[test]
    fn a_record_that_cannot_be_read_disables_everything() {
        let home = home("damaged");
        std::fs::write(home.join(RECORD_FILE), "{\"version\": 1").unwrap();
        let (mut watch, control) = watch(&home);
        for venue in Venue::ALL {
            assert_eq!(control.venues().disabled(venue), Some(Disabled::RecordLost));
        }
        let said = watch.changes();
        assert_eq!(said.len(), 1, "once, not six times: {said:?}");
        let path = home.join(RECORD_FILE).display().to_string();
        for part in [
            format!("{path} cannot be read (no record of venues: no JSON)"),
            "look at it, then overmind venues --enable VENUE".to_owned(),
        ] {
            assert!(said[0].contains(&part), "{part}\n{said:?}");
        }
        drop(watch);
        std::fs::remove_dir_all(&home).unwrap();
    }

    #[test]
    fn the_embedded_market_is_no_node_that_was_forgotten() {
        let watch = VenueWatch::unchecked(Arc::new(Control::new(Mode::Active)));
        let book = watch.book();
        assert_eq!(book.status()["not_checked"], EMBEDDED);
        let refused = book.enable(Venue::PumpV3, false);
        let error = refused["error"].as_str().unwrap();
        assert!(
            error.contains("was not checked (the embedded market has no programs)")
                && error.contains("it stays as it was: enabled;"),
            "{error}"
        );
    }

    #[test]
    fn a_record_that_cannot_be_written_is_said_once() {
        let home = home("unwritable");
        let (mut watch, control) = watch(&home);
        std::fs::remove_dir_all(&home).unwrap();
        control
            .venues()
            .disable(Venue::LaunchLab, Disabled::CheckFailed);
        let said = watch.changes();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].contains("forgotten by a restart"), "{said:?}");
        assert!(watch.changes().is_empty());
    }

    /// Goal: a node is asked until the end of a round and not after it; what is left then is not checked, which is counted and
    /// changes nothing, whatever a venue was before.
    #[test]
    fn what_the_time_of_a_round_does_not_reach_stays_as_it_was() {
        let began = Instant::now();
        let round = Round::default();
        round.begin(began);
        let almost = began + CHECK_LIMIT - Duration::from_millis(1);
        assert_eq!(round.over(almost), None);
        let end = began + CHECK_LIMIT;
        assert_eq!(round.over(end), Some(ChainError::OutOfTime));
        round.begin(end);
        assert_eq!(round.over(end), None);

        let past = Instant::now().checked_sub(CHECK_LIMIT).unwrap();
        round.begin(past);
        let node = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        node.set_nonblocking(true).unwrap();
        let address = format!("http://{}", node.local_addr().unwrap());
        let (asker, _end) = asker(Endpoint::parse(&address).unwrap(), ANSWER_LIMIT).unwrap();
        let control = Arc::new(Control::new(Mode::Active));
        let venues = control.venues();
        venues.disable(Venue::PumpSwap, Disabled::CheckFailed);
        let book = Arc::new(VenueBook::unchecked(Arc::clone(&control)));
        let mut rounds = Rounds {
            book: Arc::clone(&book),
            chain: chain(asker, round.clone()),
            round,
            builder: BuilderConfig::default(),
            interval: Duration::MAX,
            check_at_start: true,
        };
        book.guard().await_check();
        let mut checker = Checker::new(BuilderConfig::default());
        let mut found = Vec::new();
        for venue in Venue::ALL {
            let checked = rounds.check(&mut checker, venue);
            found.extend(checked.iter().map(|checked| checked.verdict.clone()));
            book.guard().note_checked(venue, checked);
        }
        assert!(node.accept().is_err(), "nobody was asked");
        for venue in Venue::ALL {
            let before = (venue == Venue::PumpSwap).then_some(Disabled::CheckFailed);
            assert_eq!(venues.disabled(venue), before, "{venue:?}");
        }
        let said = summary(&found, &book.guard().states());
        let counted = "0 failed, 12 unknown, 12 of them not checked: out of time; enabled: none";
        assert!(said.contains(counted), "{said}");
        let status = book.status();
        assert_eq!(status["out_of_time"], 12);
        assert_eq!(
            status["venues"][0]["buy"]["why"],
            "not checked: out of time"
        );
        let mut snapshot = Snapshot::new(sidecar::Health::default());
        book.measure(&mut snapshot);
        let metrics = sidecar::render_metrics(snapshot).unwrap();
        let line = "overmind_venue_checks_out_of_time_total 12";
        assert!(metrics.lines().any(|said| said == line), "{metrics}");
        let refused = book.guard().enable(Venue::PumpSwap, false).unwrap_err();
        assert!(
            refused.contains("buy not checked: out of time"),
            "{refused}"
        );
    }

    /// Goal: a lookup table that somebody takes from us while we run disables entries at the next look.
    #[test]
    fn a_lookup_table_that_is_gone_disables_every_venue() {
        const TABLE: market::Key = [7; 32];
        struct OnlyTable(bool);
        impl venue_check::Chain for OnlyTable {
            fn accounts(
                &mut self,
                keys: &[market::Key],
                _: venue_check::Slice,
            ) -> Result<venue_check::Accounts, ChainError> {
                if keys != [TABLE] {
                    return Err(ChainError::OutOfTime);
                }
                let held = venue_check::Account {
                    owner: market::base58::key("AddressLookupTab1e1111111111111111111111111"),
                    data: [&[1, 0, 0, 0][..], &[0xff; 8], &[0; 44]].concat(),
                    ..Default::default()
                };
                Ok(venue_check::Accounts {
                    slot: 1,
                    accounts: vec![self.0.then_some(held)],
                })
            }

            fn simulate(&mut self, _: &[u8]) -> Result<venue_check::Simulated, ChainError> {
                Err(ChainError::OutOfTime)
            }

            fn recent(
                &mut self,
                _: &market::Key,
                _: &mut dyn FnMut(&venue_check::Recent) -> bool,
            ) -> Result<(), ChainError> {
                Err(ChainError::OutOfTime)
            }
        }
        let control = Arc::new(Control::new(Mode::Active));
        let mut rounds = Rounds {
            book: Arc::new(VenueBook::unchecked(Arc::clone(&control))),
            chain: OnlyTable(true),
            round: Round::default(),
            builder: BuilderConfig {
                lookup_table: Some(bundle::LookupTable {
                    key: TABLE,
                    addresses: Vec::new(),
                }),
                ..BuilderConfig::default()
            },
            interval: Duration::MAX,
            check_at_start: false,
        };
        for (there, reason) in [(true, None), (false, Some(Disabled::CheckFailed))] {
            rounds.chain.0 = there;
            rounds.look();
            for venue in Venue::ALL {
                assert_eq!(control.venues().disabled(venue), reason, "{venue:?}");
            }
        }
    }

    #[test]
    fn metrics_and_status_show_what_is_disabled_and_why() {
        let control = Arc::new(Control::new(Mode::Active));
        let book = VenueBook::unchecked(Arc::clone(&control));
        control
            .venues()
            .disable(Venue::PumpSwap, Disabled::TermsChanged);
        let mut snapshot = Snapshot::new(sidecar::Health::default());
        book.measure(&mut snapshot);
        let metrics = sidecar::render_metrics(snapshot).unwrap();
        for line in [
            "overmind_venue_enabled{venue=\"pump_v3\"} 1",
            "overmind_venue_enabled{venue=\"pump_swap\"} 0",
            "overmind_venue_disabled{venue=\"pump_swap\",reason=\"terms_changed\"} 1",
        ] {
            assert!(
                metrics.lines().any(|said| said == line),
                "{line}\n{metrics}"
            );
        }
        let brief = "5 of 6 may be entered; disabled: pump_swap (terms_changed)";
        assert_eq!(book.in_brief(), brief);
        let status = book.status();
        assert_eq!(status["venues"][2]["name"], "pump_swap");
        assert_eq!(status["venues"][2]["reason"], "terms_changed");
        assert!(
            status["venues"][0]["buy"].is_null(),
            "never shown as passed"
        );
        assert!(status["node"].is_null());
    }
}
