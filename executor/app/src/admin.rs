//! The operator's way in: a Unix socket and a kill file, heard by a thread that does nothing else.
//!
//! `kill` must work with everything else wedged. So the `admin` thread holds no lock, calls nothing
//! of the app, sets the control cell first and answers after. Answers that need the app (`status`)
//! are written by a second thread, `admin-status`, which may wedge alone.
//!
//! The protocol is one line each way: `status`, `kill`, `reduce` or `resume`, answered by one JSON
//! object with `ok`. Only the service's own user and root are heard (SO_PEERCRED).
//!
//! The control cell is the gate's [`risk::Control`]; its byte holds a [`Control`]. This thread writes it; the core reads
//! it every duty cycle and may raise it to [`Control::Halted`] by `fetch_max`.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidecar::Control;

use crate::cli::{SocketArgs, exit};
use crate::config::{AdminPlan, Config, Host};

/// Gives the members of the `status` object; called by the `admin-status` thread.
pub type Status = Arc<dyn Fn() -> Value + Send + Sync>;

/// How often the kill file is looked for; also the longest the thread sleeps.
const KILL_FILE_PERIOD: Duration = Duration::from_millis(20);
/// How long a client may take to say its line.
const CONNECTION_LIFE: Duration = Duration::from_secs(2);
/// Clients at once; one more pushes out the oldest, so that silent ones cannot keep `kill` out.
const CONNECTIONS_MAX: usize = 16;
/// `status` requests that may wait for the second thread.
const STATUS_WAITING_MAX: usize = 8;
const LINE_LEN_MAX: usize = 64;
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
            Self::Kill => "kill",
            Self::Reduce => "reduce",
            Self::Resume => "resume",
        }
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let all = [Self::Status, Self::Kill, Self::Reduce, Self::Resume];
        let word = line.trim_ascii();
        all.into_iter()
            .find(|request| request.as_str().as_bytes() == word)
    }
}

/// The served socket. Dropping it stops both threads and removes the socket.
#[derive(Debug)]
pub struct Admin {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Held as long as the socket is ours; the kernel frees it when the process dies.
    _lock: File,
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
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Serves `plan.socket` and watches `plan.kill_file`, in threads of their own.
///
/// A kill file that is already there kills before this returns.
///
/// # Errors
/// When the directory is open to others, another executor holds the socket, or the system refuses.
pub fn spawn(
    plan: &AdminPlan,
    control: Arc<risk::Control>,
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

    let (status_sender, status_receiver) = sync_channel(STATUS_WAITING_MAX);
    spawn_named("admin-status", move || {
        answer_status(&status_receiver, &status)
    })
    .map_err(io_error)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut server = Server {
        listener,
        connections: Vec::with_capacity(CONNECTIONS_MAX),
        control,
        kill_file: plan.kill_file.clone(),
        own_uid: effective_uid(),
        status: status_sender,
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
        _lock: lock,
    })
}

fn spawn_named(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
}

/// What the `admin` thread owns.
struct Server {
    listener: UnixListener,
    connections: Vec<Connection>,
    control: Arc<risk::Control>,
    kill_file: PathBuf,
    own_uid: u32,
    status: SyncSender<UnixStream>,
}

/// A client that has not said its line yet.
struct Connection {
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
    fn poll(&mut self) {
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

    fn check_kill_file(&mut self) {
        // Anything but a clear "no such file" kills: a file that cannot be looked at may be there.
        let absent =
            matches!(std::fs::symlink_metadata(&self.kill_file), Err(error) if is_absent(&error));
        if !absent {
            self.control.byte().fetch_max(Control::Killed as u8, SeqCst);
        }
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
    fn serve(&mut self, stream: UnixStream, request: Option<Request>) {
        let allowed = peer_uid(&stream).is_some_and(|uid| uid == self.own_uid || uid == 0);
        if !allowed {
            let error = format!("only uid {} and root are heard", self.own_uid);
            return answer(stream, &json!({ "ok": false, "error": error }));
        }
        let Some(request) = request else {
            let error = "say one of: status, kill, reduce, resume";
            return answer(stream, &json!({ "ok": false, "error": error }));
        };
        match request {
            Request::Kill => {
                self.control.byte().fetch_max(Control::Killed as u8, SeqCst);
                answer(stream, &self.control_answer());
            }
            Request::Reduce => self.lower(stream, Control::Reducing),
            Request::Resume => self.lower(stream, Control::Running),
            Request::Status => self.hand_over(stream),
        }
    }

    /// Sets a control that may be looser than the present one; refused while something forbids it.
    fn lower(&mut self, stream: UnixStream, wanted: Control) {
        self.check_kill_file();
        let mut refusal = None;
        let changed = self.control.byte().fetch_update(SeqCst, SeqCst, |byte| {
            refusal = self.why_not(Control::from_byte(byte));
            refusal.is_none().then_some(wanted as u8)
        });
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
        json!({ "ok": true, "control": Control::from_byte(self.control.byte().load(SeqCst)).as_str() })
    }

    fn hand_over(&self, stream: UnixStream) {
        if let Err(unsent) = self.status.try_send(stream) {
            let (std::sync::mpsc::TrySendError::Full(stream)
            | std::sync::mpsc::TrySendError::Disconnected(stream)) = unsent;
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
                Ok(0) => return Heard::Gone,
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

/// Body of the `admin-status` thread; ends when the `admin` thread drops its end.
fn answer_status(requests: &Receiver<UnixStream>, status: &Status) {
    while let Ok(stream) = requests.recv() {
        let mut value = status();
        if let Value::Object(members) = &mut value {
            members.insert("ok".to_owned(), true.into());
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

/// Creates the socket's directory with mode 0700, or checks that it is ours alone.
fn prepare_directory(socket: &Path) -> Result<(), AdminError> {
    let path = socket.parent().unwrap_or(Path::new("/"));
    let refuse = |problem: String, fix: String| AdminError::Directory {
        path: path.to_owned(),
        problem,
        fix,
    };
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(path) {
        return Err(refuse(
            error.to_string(),
            "name a directory that can be made with [admin] socket".to_owned(),
        ));
    }
    let metadata = std::fs::symlink_metadata(path).map_err(|error| {
        refuse(
            error.to_string(),
            "name another with [admin] socket".to_owned(),
        )
    })?;
    if !metadata.is_dir() {
        return Err(refuse(
            "is not a directory itself".to_owned(),
            "name the real path".to_owned(),
        ));
    }
    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o777);
    if uid != effective_uid() {
        return Err(refuse(
            format!("belongs to uid {uid}"),
            "name a directory of this user".to_owned(),
        ));
    }
    if mode & 0o077 != 0 {
        let fix = format!(
            "chmod 700 {}, or name a directory that only holds this",
            path.display()
        );
        return Err(refuse(format!("mode {mode:o} lets others in"), fix));
    }
    Ok(())
}

/// Takes the lock that says who owns the socket's path.
fn lock_beside(socket: &Path) -> Result<File, AdminError> {
    let path = socket.with_extension("lock");
    let io_error = |source| AdminError::Io {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(io_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(AdminError::AlreadyServed(socket.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(io_error(source)),
    }
}

/// Removes the socket of a process that died. Whoever holds the lock may.
fn remove_stale(socket: &Path) -> Result<(), AdminError> {
    match std::fs::symlink_metadata(socket) {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.file_type().is_socket() => {
            std::fs::remove_file(socket).map_err(|source| AdminError::Io {
                path: socket.to_owned(),
                source,
            })
        }
        Ok(_) => Err(AdminError::NotASocket(socket.to_owned())),
    }
}

fn effective_uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// The uid at the other end when it connected; `None` when the kernel does not say.
fn peer_uid(stream: &UnixStream) -> Option<u32> {
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
    (result == 0 && len as usize == size_of::<libc::ucred>()).then_some(credentials.uid)
}

/// Asks the executor at `socket` and returns its answer, which has `ok`.
///
/// # Errors
/// [`AdminError::Unreachable`] within about two seconds when nobody answers.
pub fn ask(socket: &Path, request: Request) -> Result<Value, AdminError> {
    let unreachable = |source| AdminError::Unreachable {
        path: socket.to_owned(),
        source,
    };
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    stream
        .set_read_timeout(Some(ANSWER_TIMEOUT))
        .map_err(unreachable)?;
    stream
        .set_write_timeout(Some(ANSWER_TIMEOUT))
        .map_err(unreachable)?;
    stream
        .write_all(format!("{}\n", request.as_str()).as_bytes())
        .map_err(unreachable)?;
    let mut text = String::new();
    stream
        .take(1 << 20)
        .read_to_string(&mut text)
        .map_err(unreachable)?;
    serde_json::from_str::<Value>(&text)
        .ok()
        .filter(|value| value["ok"].is_boolean())
        .ok_or_else(|| AdminError::BadAnswer {
            path: socket.to_owned(),
            answer: text.chars().take(80).collect(),
        })
}

/// The socket meant by the flags: the one named, the configuration's, or the first that exists
/// where a service or a session puts it.
///
/// # Errors
/// The configuration's problem, in words.
pub fn find_socket(target: &SocketArgs) -> Result<PathBuf, String> {
    if let Some(socket) = &target.socket {
        return Ok(socket.clone());
    }
    let host = Host::read();
    let own = host.runtime_dir.join("admin.sock");
    if let Some(path) = &target.config {
        let config = Config::load(path).map_err(|error| error.to_string())?;
        return Ok(config.admin.socket.unwrap_or(own));
    }
    let service = PathBuf::from("/run/overmind/admin.sock");
    let exists = |path: &PathBuf| std::fs::symlink_metadata(path).is_ok();
    Ok(if !exists(&own) && exists(&service) {
        service
    } else {
        own
    })
}

/// Runs `overmind status`, `kill`, `kill --reduce` or `resume`: asks, prints, returns the exit code.
pub fn run_client(request: Request, target: &SocketArgs) -> u8 {
    let socket = match find_socket(target) {
        Ok(socket) => socket,
        Err(problem) => {
            errln!("overmind: {problem}");
            return exit::BAD_INPUT;
        }
    };
    match ask(&socket, request) {
        Ok(value) => {
            print_answer(&value, target.json);
            exit_code(request, &value)
        }
        Err(error) => {
            if target.json {
                outln!("{}", json!({ "ok": false, "error": error.to_string() }));
            } else {
                errln!("overmind: {error}");
            }
            if request == Request::Kill {
                errln!(
                    "overmind: nothing was killed; create the kill file ([admin] kill_file) or stop the service"
                );
            }
            exit::UNREACHABLE
        }
    }
}

fn exit_code(request: Request, value: &Value) -> u8 {
    match (value["ok"] == true, request) {
        (true, Request::Status) if value["healthy"] == false => exit::FAILED,
        (true, _) => exit::OK,
        (false, Request::Status) => exit::FAILED,
        (false, _) => exit::REFUSED,
    }
}

fn print_answer(value: &Value, as_json: bool) {
    if as_json {
        outln!("{value}");
        return;
    }
    out!("{}", in_words(value));
}

/// One `name: value` line per member, nested names joined by dots.
fn in_words(value: &Value) -> String {
    fn add(out: &mut String, name: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                for (member, value) in members.iter().filter(|(member, _)| *member != "ok") {
                    let name = if name.is_empty() {
                        member.clone()
                    } else {
                        format!("{name}.{member}")
                    };
                    add(out, &name, value);
                }
            }
            Value::Array(values) if values.is_empty() => {}
            Value::Array(values) => values.iter().for_each(|value| add(out, name, value)),
            Value::String(text) => {
                let text: String = text.chars().flat_map(char::escape_debug).collect();
                out.push_str(&format!("{name}: {text}\n"));
            }
            other => out.push_str(&format!("{name}: {other}\n")),
        }
    }
    let mut out = String::new();
    add(&mut out, "", value);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::AtomicU32;

    use super::*;

    /// A directory of this test alone, removed when dropped.
    struct Home(PathBuf);

    impl Home {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "overmind-admin-{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, SeqCst)
            );
            let path = std::env::temp_dir().join(name);
            let _ = std::fs::remove_dir_all(&path);
            Self(path)
        }

        fn plan(&self) -> AdminPlan {
            AdminPlan {
                socket: self.0.join("admin.sock"),
                kill_file: self.0.join("kill"),
            }
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn healthy() -> Status {
        Arc::new(|| json!({ "healthy": true, "mode": "paper" }))
    }

    fn cell() -> Arc<risk::Control> {
        Arc::new(risk::Control::new(risk::Mode::Active))
    }

    fn control(cell: &risk::Control) -> Control {
        Control::from_byte(cell.byte().load(SeqCst))
    }

    #[track_caller]
    fn wait_for(what: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !what() {
            assert!(Instant::now() < end, "it did not happen");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn kill_reduce_and_resume_set_the_cell() {
        let (home, cell) = (Home::new(), cell());
        let admin = spawn(&home.plan(), Arc::clone(&cell), healthy()).unwrap();
        for (request, expected) in [
            (Request::Reduce, Control::Reducing),
            (Request::Kill, Control::Killed),
            (Request::Resume, Control::Running),
            (Request::Kill, Control::Killed),
            (Request::Reduce, Control::Reducing),
        ] {
            let value = ask(admin.socket(), request).unwrap();
            assert_eq!(value, json!({ "ok": true, "control": expected.as_str() }));
            assert_eq!(control(&cell), expected);
        }
        let status = ask(admin.socket(), Request::Status).unwrap();
        assert_eq!(
            status,
            json!({ "ok": true, "healthy": true, "mode": "paper" })
        );
    }

    #[test]
    fn kill_works_while_the_rest_is_wedged() {
        let (home, cell) = (Home::new(), cell());
        let (release, wedged) = std::sync::mpsc::channel::<()>();
        let wedged = std::sync::Mutex::new(wedged);
        let status: Status = Arc::new(move || {
            let _ = wedged.lock().unwrap().recv();
            json!({})
        });
        let admin = spawn(&home.plan(), Arc::clone(&cell), status).unwrap();
        // The status thread hangs, its queue is full, and every place for a silent client is taken.
        let silent: Vec<UnixStream> = (0..STATUS_WAITING_MAX + 1 + CONNECTIONS_MAX)
            .map(|index| {
                let mut stream = UnixStream::connect(admin.socket()).unwrap();
                if index <= STATUS_WAITING_MAX {
                    stream.write_all(b"status\n").unwrap();
                }
                stream
            })
            .collect();
        let asked = Instant::now();
        assert_eq!(
            ask(admin.socket(), Request::Kill).unwrap()["control"],
            "killed"
        );
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{:?}",
            asked.elapsed()
        );
        assert_eq!(control(&cell), Control::Killed);
        assert!(admin.is_alive());
        drop(silent);
        drop(release);
    }

    #[test]
    fn the_kill_file_kills_and_must_go_before_resume() {
        let (home, cell) = (Home::new(), cell());
        let plan = home.plan();
        let admin = spawn(&plan, Arc::clone(&cell), healthy()).unwrap();
        std::fs::write(&plan.kill_file, "").unwrap();
        wait_for(|| control(&cell) == Control::Killed);
        for request in [Request::Resume, Request::Reduce] {
            let refused = ask(admin.socket(), request).unwrap();
            assert_eq!(refused["ok"], false);
            assert!(
                refused["error"].as_str().unwrap().contains("kill file"),
                "{refused}"
            );
        }
        std::fs::remove_file(&plan.kill_file).unwrap();
        std::thread::sleep(3 * KILL_FILE_PERIOD);
        assert_eq!(control(&cell), Control::Killed, "only the operator resumes");
        assert_eq!(
            ask(admin.socket(), Request::Resume).unwrap()["control"],
            "running"
        );
    }

    #[test]
    fn a_kill_file_from_before_the_start_kills_before_anything_runs() {
        let (home, cell) = (Home::new(), cell());
        let plan = home.plan();
        DirBuilder::new().mode(0o700).create(&home.0).unwrap();
        // A dangling link counts: somebody put it there.
        std::os::unix::fs::symlink("/nowhere", &plan.kill_file).unwrap();
        let _admin = spawn(&plan, Arc::clone(&cell), healthy()).unwrap();
        assert_eq!(control(&cell), Control::Killed);
    }

    #[test]
    fn a_halted_executor_stays_halted() {
        let (home, cell) = (Home::new(), cell());
        let admin = spawn(&home.plan(), Arc::clone(&cell), healthy()).unwrap();
        cell.byte().fetch_max(Control::Halted as u8, SeqCst);
        for request in [Request::Resume, Request::Reduce] {
            assert_eq!(ask(admin.socket(), request).unwrap()["ok"], false);
        }
        assert_eq!(
            ask(admin.socket(), Request::Kill).unwrap()["control"],
            "halted"
        );
    }

    #[test]
    fn the_socket_is_private_and_gone_afterwards() {
        let (home, cell) = (Home::new(), cell());
        let plan = home.plan();
        let admin = spawn(&plan, cell, healthy()).unwrap();
        let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&plan.socket), mode(&home.0)), (0o600, 0o700));
        drop(admin);
        assert!(!plan.socket.exists());
        assert!(matches!(
            ask(&plan.socket, Request::Kill),
            Err(AdminError::Unreachable { .. })
        ));
    }

    #[test]
    fn a_dead_one_is_replaced_and_a_living_one_is_not() {
        let home = Home::new();
        let plan = home.plan();
        DirBuilder::new().mode(0o700).create(&home.0).unwrap();
        drop(UnixListener::bind(&plan.socket).unwrap());
        assert!(plan.socket.exists(), "the stale socket is there");
        let admin = spawn(&plan, cell(), healthy()).unwrap();
        assert!(matches!(
            spawn(&plan, cell(), healthy()),
            Err(AdminError::AlreadyServed(_))
        ));
        assert!(
            ask(admin.socket(), Request::Status).is_ok(),
            "the first still serves"
        );
        drop(admin);
        std::fs::write(&plan.socket, "precious").unwrap();
        assert!(matches!(
            spawn(&plan, cell(), healthy()),
            Err(AdminError::NotASocket(_))
        ));
        assert_eq!(std::fs::read(&plan.socket).unwrap(), b"precious");
    }

    #[test]
    fn a_directory_open_to_others_is_refused_with_the_repair() {
        let home = Home::new();
        DirBuilder::new().mode(0o755).create(&home.0).unwrap();
        let error = spawn(&home.plan(), cell(), healthy())
            .unwrap_err()
            .to_string();
        assert!(error.contains("chmod 700"), "{error}");
        let link = Home::new();
        std::fs::set_permissions(&home.0, Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&home.0, &link.0).unwrap();
        assert!(matches!(
            spawn(&link.plan(), cell(), healthy()),
            Err(AdminError::Directory { .. })
        ));
        std::fs::remove_file(&link.0).unwrap();
    }

    #[test]
    fn garbage_changes_nothing_and_is_told_so() {
        let (home, cell) = (Home::new(), cell());
        let admin = spawn(&home.plan(), Arc::clone(&cell), healthy()).unwrap();
        for garbage in [
            &b"\n"[..],
            b"kill me\n",
            b"KILL\n",
            b"\xff\xfe\0\n",
            &[b'k'; 4_096],
        ] {
            let mut stream = UnixStream::connect(admin.socket()).unwrap();
            let _ = stream.write_all(garbage);
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            assert!(text.is_empty() || text.contains("\"ok\":false"), "{text}");
            assert_eq!(control(&cell), Control::Running);
        }
        // A line may come in pieces, with a carriage return.
        let mut stream = UnixStream::connect(admin.socket()).unwrap();
        for piece in [&b"ki"[..], b"ll\r", b"\n"] {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        wait_for(|| control(&cell) == Control::Killed);
    }

    /// Two connected sockets whose maker is neither the service's user nor root.
    ///
    /// Run as root, a thread of its own takes another uid for this; the raw system call changes
    /// that thread alone.
    fn strangers_pair() -> (UnixStream, UnixStream) {
        std::thread::spawn(|| {
            if effective_uid() == 0 {
                let uid: libc::c_long = 65_534;
                // SAFETY: setresuid takes three integers and changes this thread's credentials only.
                let result = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
                assert_eq!(result, 0);
            }
            UnixStream::pair().unwrap()
        })
        .join()
        .unwrap()
    }

    #[test]
    fn a_stranger_is_not_heard() {
        let (home, cell) = (Home::new(), cell());
        DirBuilder::new().mode(0o700).create(&home.0).unwrap();
        let (stream, mut client) = strangers_pair();
        let stranger = peer_uid(&stream).unwrap();
        assert_ne!(stranger, 0);
        let (status, _waiting) = sync_channel(1);
        let mut server = Server {
            listener: UnixListener::bind(home.0.join("s")).unwrap(),
            connections: Vec::new(),
            control: Arc::clone(&cell),
            kill_file: home.0.join("kill"),
            own_uid: stranger + 1,
            status,
        };
        server.serve(stream, Some(Request::Kill));
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert!(
            text.contains("\"ok\":false") && control(&cell) == Control::Running,
            "{text}"
        );
    }

    #[test]
    fn answers_become_exit_codes_and_lines() {
        assert_eq!(
            exit_code(Request::Status, &json!({ "ok": true, "healthy": false })),
            exit::FAILED
        );
        assert_eq!(
            exit_code(Request::Status, &json!({ "ok": true, "healthy": true })),
            exit::OK
        );
        assert_eq!(
            exit_code(Request::Resume, &json!({ "ok": false })),
            exit::REFUSED
        );
        assert_eq!(exit_code(Request::Kill, &json!({ "ok": true })), exit::OK);
        let text = in_words(
            &json!({ "ok": true, "a": { "b": 1 }, "problems": ["x\u{1b}[0m"], "none": [] }),
        );
        assert_eq!(text, "a.b: 1\nproblems: x\\u{1b}[0m\n");
    }
}
