//! What each command does.

pub mod capture;
pub mod config;
pub mod decode;
pub mod demo;
pub mod explain;
pub mod observe;
pub mod replay;
pub mod run;
pub mod sources;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::exit;
use crate::leftovers::LEFTOVERS;

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
    /// Decoding a capture.
    #[error(transparent)]
    Decode(#[from] crate::decode::DecodeError),
    /// Replaying a capture.
    #[error(transparent)]
    Replay(#[from] shred_source::replay::ReplayError),
    /// Building the pipeline.
    #[error(transparent)]
    Pipeline(#[from] crate::pipeline::PipelineError),
    /// A thread.
    #[error(transparent)]
    Runner(#[from] crate::stage::RunnerError),
    /// A source.
    #[error("{name}: {error}")]
    Source {
        /// Its name.
        name: String,
        /// What was refused.
        error: crate::receive::OpenError,
    },
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
    Io(#[from] std::io::Error),
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
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether SIGINT or SIGTERM has asked for the end.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// From here on SIGINT and SIGTERM raise [`interrupted`] instead of ending the process; a second one ends it, and takes
/// its sockets along.
pub fn listen_for_signals() {
    extern "C" fn note(signal: libc::c_int) {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            LEFTOVERS.remove_all();
            // SAFETY: both calls are async-signal-safe (signal-safety(7)).
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
    }
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: `note` touches an atomic and calls async-signal-safe functions only.
        unsafe { libc::signal(signal, note as *const () as libc::sighandler_t) };
    }
}
