//! The few facts about this machine that a plan depends on.

use std::path::{Path, PathBuf};

use bundle::host::HostKind;

/// The facts about the machine that a plan depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// CPUs this process may run on.
    pub cpus: Vec<u16>,
    /// Directory of sockets, emptied at boot, mode 0700.
    pub runtime_dir: PathBuf,
    /// Directory of what must survive a restart, mode 0700.
    pub state_dir: PathBuf,
    /// Directory of systemd credentials, when the service manager gave one.
    pub credentials_dir: Option<PathBuf>,
    /// Whether its memory could be copied.
    pub kind: HostKind,
}

impl Host {
    /// Reads the facts of this process: its CPU mask and the directories systemd (or the desktop
    /// session) handed over.
    pub fn read() -> Self {
        Self {
            cpus: allowed_cpus(),
            runtime_dir: runtime_dir(),
            state_dir: state_dir(),
            credentials_dir: first_dir("CREDENTIALS_DIRECTORY"),
            kind: HostKind::detect(Path::new("/")),
        }
    }
}

/// The CPUs of this process's affinity mask, ascending.
fn allowed_cpus() -> Vec<u16> {
    // SAFETY: `cpu_set_t` is a plain bit array, for which all zeroes is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is writable and of the length passed; pid 0 is this thread.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    if result != 0 {
        return vec![0];
    }
    let is_set = |cpu: &u16| {
        // SAFETY: `cpu` is below CPU_SETSIZE, so the bit lies inside `set`.
        unsafe { libc::CPU_ISSET(usize::from(*cpu), &set) }
    };
    let cpus: u16 = u16::try_from(libc::CPU_SETSIZE).unwrap_or(1_024);
    (0..cpus).filter(is_set).collect()
}

/// First entry of a colon-separated directory variable of systemd, when it is absolute.
fn first_dir(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable)?;
    std::env::split_paths(&value)
        .next()
        .filter(|path| path.is_absolute())
}

fn runtime_dir() -> PathBuf {
    if let Some(dir) = first_dir("RUNTIME_DIRECTORY") {
        return dir;
    }
    if let Some(dir) = first_dir("XDG_RUNTIME_DIR") {
        return dir.join("overmind");
    }
    // SAFETY: getuid has no preconditions and cannot fail.
    let uid = unsafe { libc::getuid() };
    std::env::temp_dir().join(format!("overmind-{uid}"))
}

fn state_dir() -> PathBuf {
    if let Some(dir) = first_dir("STATE_DIRECTORY") {
        return dir;
    }
    if let Some(dir) = first_dir("XDG_STATE_HOME") {
        return dir.join("overmind");
    }
    match first_dir("HOME") {
        Some(home) => home.join(".local/state/overmind"),
        None => runtime_dir(),
    }
}
