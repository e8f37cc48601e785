//! The other end: `overmind status`, `kill`, `reduce` and `resume`.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{ANSWER_TIMEOUT, AdminError, Request};
use crate::cli::{SocketArgs, exit};
use crate::config::{Config, Host};
use crate::status;

/// Where the services' sockets stand, in the order they are looked for: the executor's, the relay's.
const SERVICES: [&str; 2] = ["/run/overmind/admin.sock", "/run/overmind-relay/admin.sock"];

/// Asks the executor at `socket` and returns its answer, which has `ok`.
///
/// # Errors
/// [`AdminError::Unreachable`] when nobody is there, [`AdminError::NoAnswer`] after two seconds when somebody is and
/// does not answer.
pub fn ask(socket: &Path, request: Request) -> Result<Value, AdminError> {
    let path = || socket.to_owned();
    // What a socket's time-out is called differs between reading and connecting (socket(7)).
    let unreachable = |source: io::Error| match source.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AdminError::NoAnswer { path: path() },
        _ => AdminError::Unreachable {
            path: path(),
            source,
        },
    };
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    stream
        .set_read_timeout(Some(ANSWER_TIMEOUT))
        .map_err(unreachable)?;
    stream
        .set_write_timeout(Some(ANSWER_TIMEOUT))
        .map_err(unreachable)?;
    stream
        .write_all(format!("{}\n", request.line()).as_bytes())
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
    let exists = |path: &PathBuf| std::fs::symlink_metadata(path).is_ok();
    let services = SERVICES.map(PathBuf::from);
    Ok(if exists(&own) {
        own
    } else {
        services.into_iter().find(exists).unwrap_or(own)
    })
}

/// Runs `overmind status`, `kill`, `kill --reduce` or `resume`: asks, prints, returns the exit code. `all` also shows
/// the refusal counters of `status` that stand at zero.
pub fn run_client(request: Request, target: &SocketArgs, all: bool) -> u8 {
    let socket = match find_socket(target) {
        Ok(socket) => socket,
        Err(problem) => {
            errln!("overmind: {problem}");
            return exit::BAD_INPUT;
        }
    };
    match ask(&socket, request) {
        Ok(value) => {
            print_answer(request, &value, target.json, all);
            exit_code(request, &value)
        }
        Err(error) => {
            if target.json {
                outln!("{}", json!({ "ok": false, "error": error.to_string() }));
            } else {
                errln!("overmind: {error}");
            }
            if request == Request::Kill {
                let said = match error {
                    AdminError::NoAnswer { .. } => "whether it has heard that is not known",
                    _ => "nothing was killed",
                };
                errln!(
                    "overmind: {said}; create the kill file ([admin] kill_file) or stop the service"
                );
            }
            exit::UNREACHABLE
        }
    }
}

pub(super) fn exit_code(request: Request, value: &Value) -> u8 {
    match (value["ok"] == true, request) {
        (true, Request::Status) if value["healthy"] == false => exit::FAILED,
        (true, _) => exit::OK,
        (false, Request::Status | Request::Sources | Request::Venues) => exit::FAILED,
        (false, _) => exit::REFUSED,
    }
}

fn print_answer(request: Request, value: &Value, as_json: bool, all: bool) {
    if as_json {
        outln!("{value}");
    } else if request == Request::Status && value["ok"] == true {
        out!("{}", status::in_words(value, all));
    } else {
        out!("{}", in_words(value));
    }
}

/// One `name: value` line per member, nested names joined by dots.
pub(super) fn in_words(value: &Value) -> String {
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
                let text = sidecar::printable(text);
                out.push_str(&format!("{name}: {text}\n"));
            }
            other => out.push_str(&format!("{name}: {other}\n")),
        }
    }
    let mut out = String::new();
    add(&mut out, "", value);
    out
}
