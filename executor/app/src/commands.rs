//! What each command does.

pub mod capture;
pub mod config;
pub mod decode;
pub mod demo;
pub mod embedded;
pub mod explain;
pub mod keys;
pub mod lookup_table;
pub mod observe;
pub mod relay;
pub mod replay;
pub mod run;
pub mod sources;
pub mod venues;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sidecar::Refresher;

use crate::cli::exit;
use crate::config::{IngestPlan, LockMemory};
use crate::leaders::{Follower, LeaderAlarm, LeaderCell};
use crate::leftovers::LEFTOVERS;
use crate::notify::Notifier;
use crate::shredstream::{Asking, StreamAlarm};

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was typed, or a file that was named, cannot be used.
    #[error("{0}")]
    Input(String),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Leaders.
    #[error(transparent)]
    Leaders(#[from] crate::leaders::LeadersError),
    /// Lookup tables.
    #[error(transparent)]
    LookupTables(#[from] crate::lookup_tables::LookupTablesError),
    /// Decoding a capture.
    #[error(transparent)]
    Decode(#[from] crate::decode::DecodeError),
    /// Replaying a capture.
    #[error(transparent)]
    Replay(#[from] shred_source::replay::ReplayError),
    /// The ways of signing.
    #[error(transparent)]
    Signing(#[from] crate::signing::SigningError),
    /// Building the pipeline.
    #[error(transparent)]
    Pipeline(#[from] crate::pipeline::PipelineError),
    /// A thread.
    #[error(transparent)]
    Runner(#[from] crate::stage::RunnerError),
    /// A source.
    #[error(transparent)]
    Source(#[from] crate::receive::SourceError),
    /// The relay.
    #[error("relay: {0}")]
    Relay(#[from] shred_relay::RelayError),
    /// Its connections to other nodes.
    #[error("relay: {0}")]
    Nodes(#[from] shred_quic::QuicError),
    /// Asking for shreds.
    #[error(transparent)]
    Shredstream(#[from] crate::shredstream::AskError),
    /// A socket for datagrams.
    #[error(transparent)]
    Udp(#[from] shred_source::udp::UdpError),
    /// Frames.
    #[error(transparent)]
    Arena(#[from] shred_source::arena::ArenaError),
    /// Recording.
    #[error(transparent)]
    Capture(#[from] shred_source::capture::CaptureError),
    /// The bridge.
    #[error("bridge: {0}")]
    Bridge(#[from] brain_bridge::BridgeError),
    /// The state directory.
    #[error(transparent)]
    StateDir(#[from] crate::state_dir::StateDirError),
    /// The admin socket.
    #[error(transparent)]
    Admin(#[from] crate::admin::AdminError),
    /// Anything else the system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// The exit code that tells scripts what kind of failure it was.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Config(crate::config::ConfigError::LiveRefused) => exit::REFUSED,
            Self::Runner(_) => exit::FAILED,
            _ => exit::BAD_INPUT,
        }
    }

    /// What a command says of it that was asked for JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let said = self.to_string();
        let errors: Vec<&str> = said.lines().collect();
        serde_json::json!({"ok": false, "errors": errors})
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether SIGINT, SIGTERM or SIGHUP has asked for the end.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// From here on SIGINT, SIGTERM and SIGHUP raise [`interrupted`] instead of ending the process; a second one ends it,
/// and takes its sockets along. A second SIGHUP does not: a terminal that closes sends it from more than one side. Where
/// SIGHUP was ignored before (nohup(1)), it stays so.
pub fn listen_for_signals() {
    extern "C" fn note(signal: libc::c_int) {
        if INTERRUPTED.swap(true, Ordering::Relaxed) && signal != libc::SIGHUP {
            LEFTOVERS.remove_all();
            // SAFETY: both calls are async-signal-safe (signal-safety(7)).
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: `note` touches an atomic and calls async-signal-safe functions only.
        let before = unsafe { libc::signal(signal, note as *const () as libc::sighandler_t) };
        if signal == libc::SIGHUP && before == libc::SIG_IGN {
            // SAFETY: puts back what was there.
            unsafe { libc::signal(signal, before) };
        }
    }
}

/// What a service is watched by.
pub struct Watched<'a> {
    /// What the service manager is told when everything runs.
    pub ready: &'a str,
    /// Moves on while the hot thread turns.
    pub turns: &'a dyn Fn() -> u64,
    /// Whether a thread has ended without being told to.
    pub has_died: &'a dyn Fn() -> bool,
}

/// Tells the service manager that everything runs, once the hot thread has turned, and feeds its watchdog, until the
/// end is asked for or a thread has died. `each` is called some fifty times a second.
///
/// The watchdog is fed only while the hot thread turns: a wedged one is restarted.
///
/// # Errors
/// When the service manager's socket is named and is of no use.
pub fn serve(watched: &Watched<'_>, mut each: impl FnMut()) -> io::Result<()> {
    let notifier = Notifier::from_env()?;
    let mut is_ready = false;
    let watchdog = notifier
        .as_ref()
        .and_then(Notifier::watchdog_interval)
        .map(|interval| interval / 3);
    let (mut alive_at, mut turn) = (Instant::now(), 0);
    while !interrupted() && !(watched.has_died)() {
        std::thread::sleep(Duration::from_millis(20));
        each();
        let latest = (watched.turns)();
        if let Some(notifier) = &notifier
            && !is_ready
            && latest > 0
        {
            is_ready = true;
            notifier.ready(watched.ready)?;
        }
        if let (Some(notifier), Some(interval)) = (&notifier, watchdog)
            && alive_at.elapsed() >= interval
            && turn != latest
        {
            (alive_at, turn) = (Instant::now(), latest);
            notifier.alive()?;
        }
    }
    if let Some(notifier) = &notifier {
        notifier.stopping()?;
    }
    Ok(())
}

/// Starts asking the RPC node that names the leaders, if one does.
///
/// # Errors
/// When there is no thread to be had.
pub fn follow(
    ingest: &IngestPlan,
    cell: Option<&Arc<LeaderCell>>,
) -> io::Result<Option<Refresher>> {
    let (Some(endpoint), Some(cell)) = (&ingest.leaders_rpc, cell) else {
        return Ok(None);
    };
    errln!("leaders are asked of {endpoint}");
    let follower = Follower::new(Arc::clone(cell), ingest.resolve.slots_behind);
    let plan = sidecar::RefreshPlan::new(endpoint.clone());
    sidecar::refresh(plan, Box::new(follower)).map(Some)
}

/// Those that are asked beside the hot path, an RPC node and a block engine: says when one begins to fail, and when it
/// answers again.
#[derive(Debug)]
pub struct Outages {
    leaders: Option<LeaderAlarm>,
    stream: Option<StreamAlarm>,
}

impl Outages {
    /// Of those that are asked.
    #[must_use]
    pub fn new(refresher: Option<&Refresher>, asking: Option<&Asking>) -> Self {
        Self {
            leaders: refresher.map(LeaderAlarm::new),
            stream: asking.map(|asking| StreamAlarm::new(asking.state())),
        }
    }

    /// What has changed since the last time, a line for each; cheap enough for every turn of [`serve`].
    pub fn changes(&mut self) -> Vec<String> {
        let leaders = self.leaders.as_mut().and_then(LeaderAlarm::change);
        let stream = self.stream.as_mut().and_then(StreamAlarm::change);
        leaders.into_iter().chain(stream).collect()
    }
}

/// Locks what has been allocated so far, as the configuration asks.
///
/// # Errors
/// [`Failure::Input`] when locking was required and refused.
pub fn lock_memory(wanted: LockMemory) -> Result<(), Failure> {
    if wanted == LockMemory::Off {
        return Ok(());
    }
    // SAFETY: the call takes flags only.
    if unsafe { libc::mlockall(libc::MCL_CURRENT) } == 0 {
        return Ok(());
    }
    let reason = io::Error::last_os_error();
    let advice =
        format!("memory is not locked ({reason}); raise LimitMEMLOCK (ulimit -l), see tuning/");
    if wanted == LockMemory::Require {
        return Err(Failure::Input(format!("threads.lock_memory: {advice}")));
    }
    errln!("{advice}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Goal: a closing terminal ends a command as SIGTERM does, however often it says so, and nohup(1) keeps it. What a
    /// signal does holds for a whole process, so children of their own get them.
    #[test]
    fn a_hangup_asks_for_the_end_and_does_not_force_it() {
        const CHILD: &str = "OVERMIND_TEST_HANGUP";
        let name = "commands::tests::a_hangup_asks_for_the_end_and_does_not_force_it";
        let Ok(case) = std::env::var(CHILD) else {
            for case in ["heard", "ignored"] {
                let child = std::process::Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", name])
                    .env(CHILD, case)
                    .output()
                    .unwrap();
                assert!(child.status.success(), "{case}: {child:?}");
            }
            return;
        };
        let disposition = match case.as_str() {
            "ignored" => libc::SIG_IGN,
            _ => libc::SIG_DFL,
        };
        // SAFETY: both calls take numbers.
        unsafe { libc::signal(libc::SIGHUP, disposition) };
        listen_for_signals();
        for _ in 0..2 {
            // SAFETY: as above.
            unsafe { libc::raise(libc::SIGHUP) };
            assert_eq!(interrupted(), case == "heard");
        }
    }
}
