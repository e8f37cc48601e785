//! What this host and process tell, read once.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use crate::config::Host;

/// What system calls tell; files are read below `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) root: PathBuf,
    pub(super) host: Host,
    pub(super) memlock_bytes: u64,
    pub(super) nofile: u64,
    pub(super) core_bytes: u64,
    pub(super) capabilities: u64,
    pub(super) clock_synchronised: bool,
    pub(super) receive_stamps: Result<(), String>,
    pub(super) io_uring: Result<(), String>,
}

impl Facts {
    /// Asks this host.
    pub(super) fn measure() -> Self {
        Self {
            root: PathBuf::from("/"),
            host: Host::read(),
            memlock_bytes: soft_limit(libc::RLIMIT_MEMLOCK),
            nofile: soft_limit(libc::RLIMIT_NOFILE),
            core_bytes: soft_limit(libc::RLIMIT_CORE),
            capabilities: effective_capabilities(),
            clock_synchronised: clock_synchronised(),
            io_uring: shred_source::UringSource::check().map_err(|error| error.to_string()),
            receive_stamps: try_receive_stamps().map_err(|error| error.to_string()),
        }
    }

    /// A file below the root, trimmed; `None` when it cannot be read.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    pub(super) fn has_capability(&self, bit: u32) -> bool {
        self.capabilities & (1 << bit) != 0
    }
}

fn soft_limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable and outlives the call.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    if result == 0 { limit.rlim_cur } else { 0 }
}

/// The effective capability mask. Source: proc(5), `CapEff`.
fn effective_capabilities() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

fn clock_synchronised() -> bool {
    // SAFETY: `timex` is plain integers, for which zeroes are values; `modes` 0 only reads.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `timex` is writable and outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    state >= 0 && state != libc::TIME_ERROR
}

/// Opens a socket on loopback and asks for kernel receive stamps on it.
fn try_receive_stamps() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int, `on` is one and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
