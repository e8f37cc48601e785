//! The operator's way in: a Unix socket and a kill file, heard by a thread that does nothing else.
//!
//! `kill` must work with everything else wedged. So the `admin` thread holds no lock, calls nothing
//! of the app, sets the control cell first and answers after. Answers that need the app (`status`, `sources`, `venues`)
//! are written by a second thread, `admin-status`, which may wedge alone; each change of the control is a line of the log, which
//! a third, `admin-log`, writes: a log that nobody reads may wedge that one.
//!
//! The protocol is one line each way: `status`, `sources`, `venues`, `enable VENUE [force]`, `kill`, `reduce` or `resume`,
//! answered by one JSON
//! object with `ok`. The end of what a client says ends its line too. Only the service's own user and
//! root are heard (SO_PEERCRED).
//!
//! The control cell is the gate's [`risk::Control`]; its byte holds a [`sidecar::Control`]. This thread
//! writes it; the core reads it every duty cycle and may raise it to [`sidecar::Control::Halted`] by
//! `fetch_max`.

mod client;
mod place;
mod server;
#[cfg(test)]
mod tests;

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use strategy::Venue;

pub use self::client::{ask, find_socket, run_client};
use self::place::{effective_uid, lock_beside, prepare_directory, remove_stale};
use self::server::{
    CONNECTIONS_MAX, LINES_WAITING_MAX, STATUS_WAITING_MAX, Server, answer_status, write_lines,
};
use crate::config::AdminPlan;
use crate::leftovers::{LEFTOVERS, Leftover};
use crate::venues::venue_of;

/// Gives the members of the answer to [`Request::Status`], [`Request::Sources`], [`Request::Venues`] or
/// [`Request::Enable`]; called by the `admin-status` thread.
pub type Status = Arc<dyn Fn(Request) -> Value + Send + Sync>;

/// How long either side waits for the other to take what it says.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the admin socket cannot be served or asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The directory of the socket is not safe.
    #[error("admin.socket: directory {}: {problem}; {fix}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The command that repairs it.
        fix: String,
    },
    /// Another executor serves this socket.
    #[error("admin.socket: {} is served by another executor; stop that one, or give this one another path", .0.display())]
    AlreadyServed(PathBuf),
    /// Something else stands where the socket should.
    #[error("admin.socket: {} exists and is not a socket; remove it or use another path", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("admin.socket: {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody answers.
    #[error("no executor answers on {}: {source}; is it running? (name its socket with --socket or --config)", path.display())]
    Unreachable {
        /// The path asked.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody holds the socket and says nothing.
    #[error(
        "an executor holds {} but did not answer within {} s: it is starting, or stuck",
        path.display(),
        ANSWER_TIMEOUT.as_secs()
    )]
    NoAnswer {
        /// The path asked.
        path: PathBuf,
    },
    /// The answer is not one of ours.
    #[error("{} answered something else than an executor would: {answer:?}", path.display())]
    BadAnswer {
        /// The path asked.
        path: PathBuf,
        /// The first bytes of the answer.
        answer: String,
    },
}

/// One line of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// How are you?
    Status,
    /// Who brings what first?
    Sources,
    /// Which venues may be entered, and why not?
    Venues,
    /// A venue may be entered again, after a check or unchecked.
    Enable {
        /// Which one.
        venue: Venue,
        /// Without a check.
        forced: bool,
    },
    /// Nothing may leave any more.
    Kill,
    /// Exits only.
    Reduce,
    /// Entries and exits again.
    Resume,
}

impl Request {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Sources => "sources",
            Self::Venues => "venues",
            Self::Enable { .. } => "enable",
            Self::Kill => "kill",
            Self::Reduce => "reduce",
            Self::Resume => "resume",
        }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let all = [
            Self::Status,
            Self::Sources,
            Self::Venues,
            Self::Kill,
            Self::Reduce,
            Self::Resume,
        ];
        let word = line.trim_ascii();
        all.into_iter()
            .find(|request| request.as_str().as_bytes() == word)
            .or_else(|| Self::parse_enable(word))
    }

    /// `enable <venue>`, `enable <venue> force`.
    fn parse_enable(line: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let (word, venue, force) = (words.next()?, words.next()?, words.next());
        let is_whole = word == "enable" && words.next().is_none();
        let forced = match force {
            None => false,
            Some("force") => true,
            Some(_) => return None,
        };
        let venue = venue_of(venue).filter(|_| is_whole)?;
        Some(Self::Enable { venue, forced })
    }

    /// The line on the wire, without its end.
    pub fn line(self) -> String {
        match self {
            Self::Enable { venue, forced } => {
                let force = if forced { " force" } else { "" };
                format!("enable {}{force}", Venue::names()[venue as usize])
            }
            other => other.as_str().to_owned(),
        }
    }
}

/// The served socket. Dropping it stops its threads and removes the socket.
#[derive(Debug)]
pub struct Admin {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Writes what is left when the other has ended.
    log_thread: Option<JoinHandle<()>>,
    /// Held as long as the socket is ours; the kernel frees it when the process dies.
    _lock: File,
    /// A second SIGINT removes the socket too.
    _leftover: Option<Leftover>,
}

impl Admin {
    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether the thread that hears `kill` still runs.
    pub fn is_alive(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = self.log_thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Serves `plan.socket` and watches `plan.kill_file`, in threads of their own.
///
/// A kill file that is already there kills before this returns. A process without a `control` trades nothing: it
/// refuses `kill`, `reduce` and `resume`, and its kill file means nothing.
///
/// # Errors
/// When the directory is open to others, another executor holds the socket, or the system refuses.
pub fn spawn(
    plan: &AdminPlan,
    control: Option<Arc<risk::Control>>,
    status: Status,
) -> Result<Admin, AdminError> {
    let io_error = |source| AdminError::Io {
        path: plan.socket.clone(),
        source,
    };
    prepare_directory(&plan.socket)?;
    let lock = lock_beside(&plan.socket)?;
    remove_stale(&plan.socket)?;
    let listener = UnixListener::bind(&plan.socket).map_err(io_error)?;
    std::fs::set_permissions(&plan.socket, Permissions::from_mode(0o600)).map_err(io_error)?;
    listener.set_nonblocking(true).map_err(io_error)?;
    let leftover = LEFTOVERS.remember(&plan.socket);

    let (status_sender, status_receiver) = sync_channel(STATUS_WAITING_MAX);
    spawn_named("admin-status", move || {
        answer_status(&status_receiver, &status)
    })
    .map_err(io_error)?;
    let (log, lines) = sync_channel(LINES_WAITING_MAX);
    let log_thread = spawn_named("admin-log", move || write_lines(&lines)).map_err(io_error)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut server = Server {
        listener,
        connections: Vec::with_capacity(CONNECTIONS_MAX),
        control,
        kill_file: plan.kill_file.clone(),
        own_uid: effective_uid(),
        status: status_sender,
        log,
        unwritten: 0,
    };
    server.check_kill_file();
    let stopped = Arc::clone(&stop);
    let thread = spawn_named("admin", move || {
        while !stopped.load(SeqCst) {
            server.poll();
        }
    })
    .map_err(io_error)?;
    Ok(Admin {
        socket: plan.socket.clone(),
        stop,
        thread: Some(thread),
        log_thread: Some(log_thread),
        _lock: lock,
        _leftover: leftover,
    })
}

fn spawn_named(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
}
