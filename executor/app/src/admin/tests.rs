//! The socket as an operator, a stranger and a wedged process use it.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicU32;

use std::fs::{DirBuilder, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use serde_json::json;
use sidecar::Control;

use super::client::{exit_code, in_words};
use super::place::effective_uid;
use super::server::{CONNECTIONS_MAX, KILL_FILE_PERIOD, STATUS_WAITING_MAX, Server, peer};
use super::*;
use crate::cli::exit;

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
    Arc::new(|_| json!({ "healthy": true, "mode": "paper" }))
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
    let admin = spawn(&home.plan(), Some(Arc::clone(&cell)), healthy()).unwrap();
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
    let status: Status = Arc::new(move |_| {
        let _ = wedged.lock().unwrap().recv();
        json!({})
    });
    let admin = spawn(&home.plan(), Some(Arc::clone(&cell)), status).unwrap();
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
    let admin = spawn(&plan, Some(Arc::clone(&cell)), healthy()).unwrap();
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
    let _admin = spawn(&plan, Some(Arc::clone(&cell)), healthy()).unwrap();
    assert_eq!(control(&cell), Control::Killed);
}

#[test]
fn a_halted_executor_stays_halted() {
    let (home, cell) = (Home::new(), cell());
    let admin = spawn(&home.plan(), Some(Arc::clone(&cell)), healthy()).unwrap();
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
    let admin = spawn(&plan, Some(cell), healthy()).unwrap();
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
    let admin = spawn(&plan, Some(cell()), healthy()).unwrap();
    assert!(matches!(
        spawn(&plan, Some(cell()), healthy()),
        Err(AdminError::AlreadyServed(_))
    ));
    assert!(
        ask(admin.socket(), Request::Status).is_ok(),
        "the first still serves"
    );
    drop(admin);
    std::fs::write(&plan.socket, "precious").unwrap();
    assert!(matches!(
        spawn(&plan, Some(cell()), healthy()),
        Err(AdminError::NotASocket(_))
    ));
    assert_eq!(std::fs::read(&plan.socket).unwrap(), b"precious");
}

#[test]
fn a_directory_open_to_others_is_refused_with_the_repair() {
    let home = Home::new();
    DirBuilder::new().mode(0o755).create(&home.0).unwrap();
    let error = spawn(&home.plan(), Some(cell()), healthy())
        .unwrap_err()
        .to_string();
    assert!(error.contains("chmod 700"), "{error}");
    let link = Home::new();
    std::fs::set_permissions(&home.0, Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&home.0, &link.0).unwrap();
    assert!(matches!(
        spawn(&link.plan(), Some(cell()), healthy()),
        Err(AdminError::Directory { .. })
    ));
    std::fs::remove_file(&link.0).unwrap();
}

#[test]
fn garbage_changes_nothing_and_is_told_so() {
    let (home, cell) = (Home::new(), cell());
    let admin = spawn(&home.plan(), Some(Arc::clone(&cell)), healthy()).unwrap();
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

#[test]
fn a_line_that_ends_with_the_connection_is_obeyed() {
    let (home, cell) = (Home::new(), cell());
    let admin = spawn(&home.plan(), Some(Arc::clone(&cell)), healthy()).unwrap();
    let say = |text: &str| {
        let mut stream = UnixStream::connect(admin.socket()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(say("kill").contains("\"control\":\"killed\""));
    assert_eq!(control(&cell), Control::Killed);
    assert!(say("resum").contains("\"ok\":false"), "half a word is none");
    assert_eq!(control(&cell), Control::Killed);
    assert_eq!(say(""), "", "who says nothing is told nothing");
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
    let stranger = peer(&stream).unwrap().uid;
    assert_ne!(stranger, 0);
    let (mut server, said) = server(&home, &cell, 1);
    server.own_uid = stranger + 1;
    server.serve(stream, Some(Request::Kill));
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(
        text.contains("\"ok\":false") && control(&cell) == Control::Running,
        "{text}"
    );
    assert!(said.try_recv().is_err());
}

/// A server without threads, and what it lets the log say, up to `lines_max` lines.
fn server(home: &Home, cell: &Arc<risk::Control>, lines_max: usize) -> (Server, Receiver<String>) {
    let (log, said) = sync_channel(lines_max);
    let server = Server {
        listener: UnixListener::bind(home.0.join("s")).unwrap(),
        connections: Vec::new(),
        control: Some(Arc::clone(cell)),
        kill_file: home.0.join("kill"),
        own_uid: effective_uid(),
        status: sync_channel(1).0,
        log,
        unwritten: 0,
    };
    (server, said)
}

/// Goal: whoever reads the log sees when the control changed, from what, by whom and from where; what changes nothing says
/// nothing.
#[test]
fn each_change_of_the_control_is_a_line_of_the_log() {
    let (home, cell) = (Home::new(), cell());
    DirBuilder::new().mode(0o700).create(&home.0).unwrap();
    let (mut server, said) = server(&home, &cell, 8);
    let ask = |server: &mut Server, request| {
        server.serve(UnixStream::pair().unwrap().0, Some(request));
        said.try_iter().collect::<Vec<String>>()
    };
    let who = format!("(process {}, uid {})", std::process::id(), effective_uid());
    for (request, change) in [
        (Request::Resume, None),
        (Request::Kill, Some("killed (was running), by kill")),
        (Request::Kill, None),
        (Request::Reduce, Some("reducing (was killed), by reduce")),
        (Request::Reduce, None),
        (Request::Resume, Some("running (was reducing), by resume")),
    ] {
        let line = change.map(|change| format!("control: {change} on the control socket {who}"));
        assert_eq!(ask(&mut server, request), Vec::from_iter(line));
    }
    std::fs::write(home.0.join("kill"), "").unwrap();
    server.check_kill_file();
    server.check_kill_file();
    let said = ask(&mut server, Request::Resume);
    let by = format!("by the kill file {}", home.0.join("kill").display());
    assert_eq!(said, [format!("control: killed (was running), {by}")]);
}

/// Goal: a log that nobody reads holds up no kill, and what it could not take is counted.
#[test]
fn a_log_that_is_full_holds_nothing_up() {
    let (home, cell) = (Home::new(), cell());
    DirBuilder::new().mode(0o700).create(&home.0).unwrap();
    let (mut server, said) = server(&home, &cell, 1);
    for request in [Request::Kill, Request::Resume, Request::Kill] {
        server.serve(UnixStream::pair().unwrap().0, Some(request));
    }
    assert_eq!(control(&cell), Control::Killed);
    assert!(said.recv().unwrap().starts_with("control: killed"));
    server.serve(UnixStream::pair().unwrap().0, Some(Request::Resume));
    let line = said.recv().unwrap();
    assert!(
        line.ends_with("; 2 changes before it could not be written down"),
        "{line}"
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
    let text =
        in_words(&json!({ "ok": true, "a": { "b": 1 }, "problems": ["x\u{1b}[0m"], "none": [] }));
    assert_eq!(text, "a.b: 1\nproblems: x\\u{1b}[0m\n");
}

#[test]
fn a_process_that_trades_nothing_says_so_and_its_kill_file_means_nothing() {
    let home = Home::new();
    let plan = home.plan();
    let admin = spawn(&plan, None, healthy()).unwrap();
    std::fs::write(&plan.kill_file, "").unwrap();
    for request in [Request::Kill, Request::Reduce, Request::Resume] {
        let value = ask(admin.socket(), request).unwrap();
        let said = value["error"].as_str().unwrap();
        assert!(
            said.contains("nothing to kill") && said.contains("systemctl stop"),
            "{said}"
        );
        assert_eq!(exit_code(request, &value), exit::REFUSED);
    }
    let status = ask(admin.socket(), Request::Status).unwrap();
    assert_eq!(status["healthy"], true, "{status}");
}

/// Goal: a process that holds the socket and says nothing is not taken for one that does not run.
#[test]
fn silence_is_not_absence() {
    let home = Home::new();
    DirBuilder::new().mode(0o700).create(&home.0).unwrap();
    let socket = home.plan().socket;
    let said = ask(&socket, Request::Status).unwrap_err().to_string();
    assert!(said.contains("is it running?"), "{said}");
    let _listener = UnixListener::bind(&socket).unwrap();
    let said = ask(&socket, Request::Status).unwrap_err().to_string();
    assert!(said.contains("did not answer within 2 s"), "{said}");
    assert!(!said.contains("os error"), "{said}");
}

#[test]
fn a_venue_is_named_whole_or_nothing_is_enabled() {
    for request in [
        Request::Venues,
        Request::Enable {
            venue: Venue::PumpV3,
            forced: false,
        },
        Request::Enable {
            venue: Venue::LaunchLab,
            forced: true,
        },
    ] {
        assert_eq!(Request::parse(request.line().as_bytes()), Some(request));
    }
    for line in [
        "enable",
        "enable ",
        "enable pump",
        "enable pump_v3 forced",
        "enable pump_v3 force now",
        "enable  pump_v3",
        "ENABLE pump_v3",
        "venues pump_v3",
    ] {
        assert_eq!(Request::parse(line.as_bytes()), None, "{line}");
    }
}

/// What the app refuses is refused, and not called well because it was answered.
#[test]
fn a_refusal_of_the_app_is_a_refusal() {
    let home = Home::new();
    let status: Status = Arc::new(|request| match request {
        Request::Enable { venue, forced } => {
            json!({ "ok": false, "error": format!("{venue:?} {forced}") })
        }
        _ => json!({ "venues": [] }),
    });
    let admin = spawn(&home.plan(), Some(cell()), status).unwrap();
    let enable = Request::Enable {
        venue: Venue::PumpSwap,
        forced: true,
    };
    let refused = ask(admin.socket(), enable).unwrap();
    assert_eq!(refused, json!({ "ok": false, "error": "PumpSwap true" }));
    assert_eq!(exit_code(enable, &refused), exit::REFUSED);
    let listed = ask(admin.socket(), Request::Venues).unwrap();
    assert_eq!(listed, json!({ "ok": true, "venues": [] }));
}
