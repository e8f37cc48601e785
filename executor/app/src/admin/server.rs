//! The threads behind the socket: one that hears and obeys, one that writes what may wedge.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidecar::Control;

use super::{ANSWER_TIMEOUT, Request, Status};
use crate::output::counted;

/// How often the kill file is looked for; also the longest the thread sleeps.
pub(super) const KILL_FILE_PERIOD: Duration = Duration::from_millis(20);
/// How long a client may take to say its line.
const CONNECTION_LIFE: Duration = Duration::from_secs(2);
/// Clients at once; one more pushes out the oldest, so that silent ones cannot keep `kill` out.
pub(super) const CONNECTIONS_MAX: usize = 16;
/// Lines that may wait for the log.
pub(super) const LINES_WAITING_MAX: usize = 64;
/// `status` requests that may wait for the second thread.
pub(super) const STATUS_WAITING_MAX: usize = 8;
const LINE_LEN_MAX: usize = 64;
/// What a process without a control cell says to `kill`, `reduce` and `resume`.
const NOTHING_TO_KILL: &str = "this is a relay: it trades nothing, so there is nothing to kill or to resume; to stop \
                               passing shreds on, stop it (systemctl stop overmind-relay, or SIGTERM)";

/// What the `admin` thread owns.
pub(super) struct Server {
    pub(super) listener: UnixListener,
    pub(super) connections: Vec<Connection>,
    /// What `kill` sets; nothing in a process that trades nothing.
    pub(super) control: Option<Arc<risk::Control>>,
    pub(super) kill_file: PathBuf,
    pub(super) own_uid: u32,
    pub(super) status: SyncSender<(Request, UnixStream)>,
    /// Takes a line for each change of the control; never waited for, or a log that nobody reads could hold up `kill`.
    pub(super) log: SyncSender<String>,
    /// Lines that the log had no room for since the last one that it took.
    pub(super) unwritten: u64,
}

/// A client that has not said its line yet.
pub(super) struct Connection {
    stream: UnixStream,
    line: [u8; LINE_LEN_MAX],
    len: usize,
    since: Instant,
}

/// What reading from a client came to.
enum Heard {
    Nothing,
    Line(Option<Request>),
    Gone,
}

impl Server {
    /// One duty cycle: sleeps until somebody speaks or the kill file is due, then serves.
    pub(super) fn poll(&mut self) {
        self.wait();
        self.check_kill_file();
        self.accept();
        self.read();
    }

    fn wait(&self) {
        let interest = |fd: RawFd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut fds = [interest(-1); CONNECTIONS_MAX + 1];
        fds[0] = interest(self.listener.as_raw_fd());
        for (entry, connection) in fds[1..].iter_mut().zip(&self.connections) {
            *entry = interest(connection.stream.as_raw_fd());
        }
        let count = fds.len() as libc::nfds_t;
        let timeout_ms = KILL_FILE_PERIOD.as_millis() as libc::c_int;
        // SAFETY: `fds` holds `count` entries and outlives the call; negative descriptors are skipped.
        unsafe { libc::poll(fds.as_mut_ptr(), count, timeout_ms) };
    }

    pub(super) fn check_kill_file(&mut self) {
        let Some(control) = self.control.clone() else {
            return;
        };
        // Anything but a clear "no such file" kills: a file that cannot be looked at may be there.
        let absent =
            matches!(std::fs::symlink_metadata(&self.kill_file), Err(error) if is_absent(&error));
        if !absent && let Some(before) = raise(&control) {
            let file = self.kill_file.display();
            self.note(before, Control::Killed, &format!("the kill file {file}"));
        }
    }

    /// Lets the log say that the control has changed, and by whom.
    fn note(&mut self, before: Control, now: Control, by: &str) {
        let (before, now) = (before.as_str(), now.as_str());
        let mut line = format!("control: {now} (was {before}), by {by}");
        if self.unwritten > 0 {
            let changes = counted(self.unwritten, "change", "changes");
            line.push_str(&format!("; {changes} before it could not be written down"));
        }
        self.unwritten = match self.log.try_send(line) {
            Ok(()) => 0,
            Err(_) => self.unwritten + 1,
        };
    }

    /// Takes a few clients and hears each at once: a flood of connections can neither keep this thread from the
    /// kill file nor push out a client that has spoken.
    fn accept(&mut self) {
        for _ in 0..CONNECTIONS_MAX {
            if self.connections.len() == CONNECTIONS_MAX {
                self.read();
            }
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Out of descriptors, or a client that is gone already: no reason to spin.
                Err(_) => return std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn admit(&mut self, stream: UnixStream) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        if self.connections.len() == CONNECTIONS_MAX {
            self.connections.remove(0);
        }
        self.connections.push(Connection {
            stream,
            line: [0; LINE_LEN_MAX],
            len: 0,
            since: Instant::now(),
        });
    }

    fn read(&mut self) {
        let mut index = 0;
        while index < self.connections.len() {
            match self.connections[index].hear() {
                Heard::Nothing => index += 1,
                Heard::Gone => drop(self.connections.remove(index)),
                Heard::Line(request) => {
                    let connection = self.connections.remove(index);
                    self.serve(connection.stream, request);
                }
            }
        }
    }

    /// Obeys first, answers after.
    pub(super) fn serve(&mut self, stream: UnixStream, request: Option<Request>) {
        let peer = peer(&stream).filter(|peer| peer.uid == self.own_uid || peer.uid == 0);
        let Some(peer) = peer else {
            let error = format!("only uid {} and root are heard", self.own_uid);
            return answer(stream, &json!({ "ok": false, "error": error }));
        };
        let Some(request) = request else {
            let error = "say one of: status, sources, venues, enable VENUE, kill, reduce, resume";
            return answer(stream, &json!({ "ok": false, "error": error }));
        };
        let is_of_the_app = matches!(
            request,
            Request::Status | Request::Sources | Request::Venues | Request::Enable { .. }
        );
        if is_of_the_app {
            return self.hand_over(request, stream);
        }
        let Some(control) = self.control.clone() else {
            return answer(stream, &json!({ "ok": false, "error": NOTHING_TO_KILL }));
        };
        let by = format!(
            "{} on the control socket (process {}, uid {})",
            request.as_str(),
            peer.pid,
            peer.uid
        );
        match request {
            Request::Reduce => self.lower(stream, &control, Control::Reducing, &by),
            Request::Resume => self.lower(stream, &control, Control::Running, &by),
            _ => {
                if let Some(before) = raise(&control) {
                    self.note(before, Control::Killed, &by);
                }
                answer(stream, &self.control_answer());
            }
        }
    }

    /// Sets a control that may be looser than the present one; refused while something forbids it.
    fn lower(&mut self, stream: UnixStream, control: &risk::Control, wanted: Control, by: &str) {
        self.check_kill_file();
        let mut refusal = None;
        let changed = control.byte().fetch_update(SeqCst, SeqCst, |byte| {
            refusal = self.why_not(Control::from_byte(byte));
            refusal.is_none().then_some(wanted as u8)
        });
        if let Ok(before) = changed
            && before != wanted as u8
        {
            self.note(Control::from_byte(before), wanted, by);
        }
        match (changed, refusal) {
            (Err(_), Some(error)) => answer(stream, &json!({ "ok": false, "error": error })),
            _ => answer(stream, &self.control_answer()),
        }
    }

    fn why_not(&self, present: Control) -> Option<String> {
        if present == Control::Halted {
            return Some(
                "the executor halted itself: read its log, repair the cause, restart it".to_owned(),
            );
        }
        let absent =
            matches!(std::fs::symlink_metadata(&self.kill_file), Err(error) if is_absent(&error));
        (!absent).then(|| {
            format!(
                "the kill file {} exists: remove it first",
                self.kill_file.display()
            )
        })
    }

    fn control_answer(&self) -> Value {
        let mut value = json!({ "ok": true });
        if let Some(control) = &self.control {
            value["control"] = Control::from_byte(control.byte().load(SeqCst))
                .as_str()
                .into();
        }
        value
    }

    fn hand_over(&self, request: Request, stream: UnixStream) {
        if let Err(unsent) = self.status.try_send((request, stream)) {
            let (std::sync::mpsc::TrySendError::Full((_, stream))
            | std::sync::mpsc::TrySendError::Disconnected((_, stream))) = unsent;
            let mut value = self.control_answer();
            value["ok"] = false.into();
            value["error"] = "the status thread does not answer; kill still works".into();
            answer(stream, &value);
        }
    }
}

impl Connection {
    /// Reads what there is, without waiting.
    fn hear(&mut self) -> Heard {
        loop {
            if self.len == LINE_LEN_MAX {
                return Heard::Line(None);
            }
            match self.stream.read(&mut self.line[self.len..]) {
                Ok(0) if self.len == 0 => return Heard::Gone,
                // It has said all it will say: `printf kill | nc -U` sends no end of line.
                Ok(0) => return Heard::Line(Request::parse(&self.line[..self.len])),
                Ok(count) => self.len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Heard::Gone,
            }
            if let Some(end) = self.line[..self.len].iter().position(|&byte| byte == b'\n') {
                return Heard::Line(Request::parse(&self.line[..end]));
            }
        }
        if self.since.elapsed() > CONNECTION_LIFE {
            Heard::Gone
        } else {
            Heard::Nothing
        }
    }
}

/// Kills; what was before, when that is a change.
fn raise(control: &risk::Control) -> Option<Control> {
    let killed = Control::Killed as u8;
    let before = control.byte().fetch_max(killed, SeqCst);
    (before < killed).then(|| Control::from_byte(before))
}

/// Body of the `admin-log` thread; ends when the `admin` thread drops its end.
pub(super) fn write_lines(lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        errln!("{line}");
    }
}

/// Body of the `admin-status` thread; ends when the `admin` thread drops its end.
pub(super) fn answer_status(requests: &Receiver<(Request, UnixStream)>, status: &Status) {
    while let Ok((request, stream)) = requests.recv() {
        let mut value = status(request);
        if let Value::Object(members) = &mut value {
            members.entry("ok").or_insert(true.into());
        } else {
            value = json!({ "ok": false, "error": "the status is not an object" });
        }
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_write_timeout(Some(ANSWER_TIMEOUT));
        answer(stream, &value);
    }
}

/// A client that does not take its answer loses it.
fn answer(mut stream: UnixStream, value: &Value) {
    let _ = stream.write_all(format!("{value}\n").as_bytes());
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound)
}

/// Who was at the other end when it connected; `None` when the kernel does not say.
pub(super) fn peer(stream: &UnixStream) -> Option<libc::ucred> {
    let mut credentials = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `credentials` is writable for `len` bytes, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    };
    (result == 0 && len as usize == size_of::<libc::ucred>()).then_some(credentials)
}
