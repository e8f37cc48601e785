//! `overmind doctor`: is this host fit for it? Reads, changes nothing.
//!
//! Every check says what was measured, what is wanted, and the command that gets there; the page in
//! `tuning/` says why. WARN costs latency or comfort; FAIL means that it will not run as configured.

use std::fmt::Write as _;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::{DoctorArgs, exit};
use crate::config::{Config, Host, LockMemory, Plan};

/// Memory locked beside the arenas: code, stacks, heap of the slow threads.
const MEMORY_BESIDE_ARENAS_BYTES: u64 = 512 << 20;
const NOFILE_WANTED: u64 = 4_096;
const KERNEL_WANTED: (u32, u32) = (5, 10);
const CPUS_WANTED: usize = 4;
const CAP_NET_ADMIN: u32 = 12;
const CAP_IPC_LOCK: u32 = 14;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// As wanted, or not applicable here.
    Ok,
    /// Works, at a cost.
    Warn,
    /// Will not work as configured.
    Fail,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name, for scripts.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub measured: String,
    /// What is wanted.
    pub wanted: String,
    /// The command that gets there; empty when nothing needs to be done.
    pub fix: String,
}

/// All findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of all levels.
    pub worst: Level,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

/// What system calls tell; files are read below `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    root: PathBuf,
    host: Host,
    memlock_bytes: u64,
    nofile: u64,
    core_bytes: u64,
    capabilities: u64,
    clock_synchronised: bool,
    receive_stamps: Result<(), String>,
}

/// Runs `overmind doctor`: examines, prints, returns the exit code.
pub fn run(args: &DoctorArgs) -> u8 {
    let report = examine(args.config.as_deref());
    if args.json {
        outln!("{}", serde_json::json!(report));
    } else {
        out!("{}", report.in_words());
    }
    if report.worst == Level::Fail {
        exit::FAILED
    } else {
        exit::OK
    }
}

/// Examines this host and, when one is named, a configuration and the files it names.
pub fn examine(config: Option<&Path>) -> Report {
    Facts::measure().examine(config)
}

impl Report {
    /// A line per finding, a line below each that needs something, and a last line with the count.
    pub fn in_words(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let Finding {
                check,
                level,
                measured,
                wanted,
                fix,
            } = finding;
            let _ = writeln!(out, "{:<4}  {check:<14}  {measured}", level.as_str());
            if *level != Level::Ok {
                let _ = writeln!(
                    out,
                    "      {:<14}  wanted: {wanted}\n      {:<14}  fix: {fix}",
                    "", ""
                );
            }
        }
        let count = |level| {
            self.findings
                .iter()
                .filter(|finding| finding.level == level)
                .count()
        };
        let (ok, warn, fail) = (count(Level::Ok), count(Level::Warn), count(Level::Fail));
        let _ = writeln!(out, "{ok} ok, {warn} warnings, {fail} failures");
        out
    }
}

impl Facts {
    /// Asks this host.
    fn measure() -> Self {
        Self {
            root: PathBuf::from("/"),
            host: Host::read(),
            memlock_bytes: soft_limit(libc::RLIMIT_MEMLOCK),
            nofile: soft_limit(libc::RLIMIT_NOFILE),
            core_bytes: soft_limit(libc::RLIMIT_CORE),
            capabilities: effective_capabilities(),
            clock_synchronised: clock_synchronised(),
            receive_stamps: try_receive_stamps().map_err(|error| error.to_string()),
        }
    }

    fn examine(&self, config: Option<&Path>) -> Report {
        let mut findings = Vec::new();
        let configured =
            config.map(|path| Config::load(path).and_then(|config| config.plan(&self.host)));
        let plan = match &configured {
            Some(Ok(plan)) => Some(plan),
            _ => None,
        };
        if let (Some(path), Some(result)) = (config, &configured) {
            findings.push(config_finding(
                path,
                result.as_ref().err().map(ToString::to_string),
            ));
        }
        findings.extend(plan.map(|plan| self.files_finding(plan)));
        findings.extend(plan.and_then(|plan| self.keys_finding(plan)));
        findings.push(self.kernel());
        findings.push(self.cpus());
        findings.push(self.isolation(plan));
        findings.push(self.governor());
        findings.push(self.smt());
        findings.push(self.interrupts(plan));
        findings.push(self.clocksource());
        findings.push(self.clock_sync());
        findings.push(self.huge_pages());
        findings.push(self.memlock(plan));
        findings.push(self.receive_buffer(plan));
        findings.push(self.receive_stamps());
        findings.push(self.io_uring());
        findings.push(self.open_files());
        findings.push(self.core_dumps());
        findings.push(self.service_manager());
        let worst = findings
            .iter()
            .map(|finding| finding.level)
            .max()
            .unwrap_or(Level::Ok);
        Report { worst, findings }
    }

    /// A file below the root, trimmed; `None` when it cannot be read.
    fn read(&self, path: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    fn has_capability(&self, bit: u32) -> bool {
        self.capabilities & (1 << bit) != 0
    }

    fn files_finding(&self, plan: &Plan) -> Finding {
        let unreadable: Vec<String> = plan
            .files_needed()
            .into_iter()
            .filter(|(_, path)| std::fs::File::open(path).is_err())
            .map(|(field, path)| format!("{field} = {}", path.display()))
            .collect();
        if unreadable.is_empty() {
            return ok(
                "files",
                "every file that the configuration names can be read".to_owned(),
            );
        }
        let fix = "create them, or let the service's user read them (chown)".to_owned();
        finding(
            "files",
            Level::Fail,
            format!("cannot read {}", unreadable.join(", ")),
            "readable",
            fix,
        )
    }

    fn keys_finding(&self, plan: &Plan) -> Option<Finding> {
        let files = plan.key_files();
        if files.is_empty() {
            return None;
        }
        let handed_over = |path: &Path| {
            self.host
                .credentials_dir
                .as_ref()
                .is_some_and(|dir| path.starts_with(dir))
        };
        let open: Vec<String> = files
            .into_iter()
            .filter(|(_, path)| std::fs::metadata(path).is_ok_and(|file| file.mode() & 0o077 != 0))
            // A credential shows group rights, because that is how its access list looks from outside.
            .filter(|(_, path)| !handed_over(path))
            .map(|(_, path)| path.display().to_string())
            .collect();
        if open.is_empty() {
            return Some(ok("key-modes", "no key file is open to others".to_owned()));
        }
        let fix = format!("chmod 600 {}", open.join(" "));
        Some(finding(
            "key-modes",
            Level::Fail,
            format!("others may read {}", open.join(", ")),
            "mode 0600",
            fix,
        ))
    }

    fn kernel(&self) -> Finding {
        let (major, minor) = KERNEL_WANTED;
        let wanted = format!("{major}.{minor} or later");
        let Some(release) = self.read("proc/sys/kernel/osrelease") else {
            return finding(
                "kernel",
                Level::Fail,
                "not Linux".to_owned(),
                &wanted,
                "run it on Linux".to_owned(),
            );
        };
        let mut numbers = release
            .split(['.', '-'])
            .map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version >= KERNEL_WANTED {
            return ok("kernel", release);
        }
        finding(
            "kernel",
            Level::Warn,
            release,
            &wanted,
            "upgrade the distribution's kernel".to_owned(),
        )
    }

    fn cpus(&self) -> Finding {
        let count = self.host.cpus.len();
        let measured = format!("{count} usable");
        if count >= CPUS_WANTED {
            return ok("cpus", measured);
        }
        let fix = "use a larger host, or keep threads.layout = \"fused\"".to_owned();
        let wanted = format!("{CPUS_WANTED} or more, for one core per hot thread");
        finding("cpus", Level::Warn, measured, &wanted, fix)
    }

    /// The CPUs that hot threads are pinned to.
    fn pinned(plan: Option<&Plan>) -> Vec<u16> {
        let Some(plan) = plan else { return Vec::new() };
        let sources = plan.ingest.sources.iter().map(|source| source.seat);
        let seats = sources.chain([plan.threads.core, plan.threads.submit]);
        let mut cpus: Vec<u16> = seats
            .filter_map(|seat| u16::try_from(seat.cpu?).ok())
            .collect();
        cpus.sort_unstable();
        cpus.dedup();
        cpus
    }

    fn isolation(&self, plan: Option<&Plan>) -> Finding {
        let isolated = parse_cpu_list(
            &self
                .read("sys/devices/system/cpu/isolated")
                .unwrap_or_default(),
        );
        let pinned = Self::pinned(plan);
        let shared: Vec<u16> = pinned
            .iter()
            .copied()
            .filter(|cpu| !isolated.contains(cpu))
            .collect();
        let measured = format!(
            "isolated: {}; pinned to: {}",
            list(&isolated),
            list(&pinned)
        );
        if !shared.is_empty() {
            let fix = format!(
                "boot with isolcpus={0} nohz_full={0} rcu_nocbs={0} (tuning/cpu-isolation.md)",
                list(&shared)
            );
            return finding(
                "isolation",
                Level::Warn,
                measured,
                "every pinned CPU isolated",
                fix,
            );
        }
        if pinned.is_empty() {
            let fix =
                "isolate CPUs and name them in [threads] (tuning/cpu-isolation.md)".to_owned();
            return finding(
                "isolation",
                Level::Warn,
                measured,
                "hot threads pinned to isolated CPUs",
                fix,
            );
        }
        ok("isolation", measured)
    }

    fn governor(&self) -> Finding {
        let governors: Vec<String> = self
            .host
            .cpus
            .iter()
            .filter_map(|cpu| {
                self.read(&format!(
                    "sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"
                ))
            })
            .collect();
        if governors.is_empty() {
            return ok(
                "governor",
                "not exposed (virtual machine, or set by firmware)".to_owned(),
            );
        }
        let slow = governors
            .iter()
            .filter(|governor| *governor != "performance")
            .count();
        if slow == 0 {
            return ok(
                "governor",
                format!("performance on all {}", governors.len()),
            );
        }
        let measured = format!("not performance on {slow} of {}", governors.len());
        let fix = "cpupower frequency-set -g performance (tuning/governor.md)".to_owned();
        finding("governor", Level::Warn, measured, "performance on all", fix)
    }

    fn smt(&self) -> Finding {
        match self.read("sys/devices/system/cpu/smt/active").as_deref() {
            None => ok("smt", "not exposed".to_owned()),
            Some("1") => {
                let fix =
                    "echo off > /sys/devices/system/cpu/smt/control (tuning/smt.md)".to_owned();
                finding(
                    "smt",
                    Level::Warn,
                    "two threads share a core".to_owned(),
                    "off",
                    fix,
                )
            }
            Some(_) => ok("smt", "off".to_owned()),
        }
    }

    /// Device interrupts that may arrive on a pinned CPU.
    fn interrupts(&self, plan: Option<&Plan>) -> Finding {
        let pinned = Self::pinned(plan);
        if pinned.is_empty() {
            return ok("irq-affinity", "no pinned CPU to keep clear".to_owned());
        }
        let entries = std::fs::read_dir(self.root.join("proc/irq"))
            .into_iter()
            .flatten()
            .flatten();
        let disturbing = entries
            .filter_map(|entry| {
                let number = entry.file_name().into_string().ok()?;
                self.read(&format!("proc/irq/{number}/effective_affinity_list"))
            })
            .filter(|cpus| parse_cpu_list(cpus).iter().any(|cpu| pinned.contains(cpu)))
            .count();
        let measured = format!(
            "{disturbing} interrupts are routed to CPUs {}",
            list(&pinned)
        );
        if disturbing == 0 {
            return ok("irq-affinity", measured);
        }
        let fix = "route them elsewhere by /proc/irq/*/smp_affinity_list (tuning/irq-affinity.md)"
            .to_owned();
        finding("irq-affinity", Level::Warn, measured, "none", fix)
    }

    fn clocksource(&self) -> Finding {
        let at = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        let current = self.read(at).unwrap_or_else(|| "unknown".to_owned());
        if matches!(current.as_str(), "tsc" | "arch_sys_counter") {
            return ok("clocksource", current);
        }
        let fix = format!("echo tsc > /{at} (tuning/clocksource.md)");
        finding(
            "clocksource",
            Level::Warn,
            current,
            "tsc: a clock read without a system call",
            fix,
        )
    }

    fn clock_sync(&self) -> Finding {
        if self.clock_synchronised {
            return ok("clock-sync", "the kernel's clock is disciplined".to_owned());
        }
        let fix = "timedatectl set-ntp true".to_owned();
        let measured = "the kernel's clock is not disciplined".to_owned();
        finding(
            "clock-sync",
            Level::Warn,
            measured,
            "disciplined by NTP or PTP (stamps are compared across hosts)",
            fix,
        )
    }

    fn huge_pages(&self) -> Finding {
        let text = self
            .read("sys/kernel/mm/transparent_hugepage/enabled")
            .unwrap_or_default();
        let transparent = text
            .split(['[', ']'])
            .nth(1)
            .unwrap_or("not exposed")
            .to_owned();
        let reserved = self
            .read("proc/sys/vm/nr_hugepages")
            .unwrap_or_else(|| "0".to_owned());
        let measured = format!("transparent: {transparent}; reserved: {reserved}");
        if transparent != "always" {
            return ok("hugepages", measured);
        }
        let fix =
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (tuning/hugepages.md)"
                .to_owned();
        finding(
            "hugepages",
            Level::Warn,
            measured,
            "madvise: no compaction behind our back",
            fix,
        )
    }

    fn memlock(&self, plan: Option<&Plan>) -> Finding {
        let arenas = plan.map_or(0, |plan| plan.ingest.memory.total_bytes());
        let wanted = arenas + MEMORY_BESIDE_ARENAS_BYTES;
        if self.has_capability(CAP_IPC_LOCK) {
            return ok("memlock", "unlimited (CAP_IPC_LOCK)".to_owned());
        }
        let measured = in_bytes(self.memlock_bytes);
        if self.memlock_bytes >= wanted {
            return ok("memlock", measured);
        }
        let required = plan.is_some_and(|plan| plan.threads.lock_memory == LockMemory::Require);
        let level = if required { Level::Fail } else { Level::Warn };
        let fix = "start by systemd/overmind.service, or ulimit -l unlimited (tuning/memlock.md)"
            .to_owned();
        finding(
            "memlock",
            level,
            measured,
            &format!("{} or more", in_bytes(wanted)),
            fix,
        )
    }

    fn receive_buffer(&self, plan: Option<&Plan>) -> Finding {
        let sources = plan.map(|plan| {
            plan.ingest
                .sources
                .iter()
                .map(|source| source.udp.receive_buffer_len as u64)
        });
        let wanted = sources.and_then(Iterator::max).unwrap_or(33_554_432);
        if self.has_capability(CAP_NET_ADMIN) {
            return ok("rmem-max", "not a limit here (CAP_NET_ADMIN)".to_owned());
        }
        let text = self.read("proc/sys/net/core/rmem_max").unwrap_or_default();
        let measured: u64 = text.parse().unwrap_or(0);
        if measured >= wanted {
            return ok("rmem-max", in_bytes(measured));
        }
        let fix = format!("sysctl -w net.core.rmem_max={wanted} (tuning/network-buffers.md)");
        finding(
            "rmem-max",
            Level::Warn,
            in_bytes(measured),
            &format!("{} or more", in_bytes(wanted)),
            fix,
        )
    }

    fn receive_stamps(&self) -> Finding {
        match &self.receive_stamps {
            Ok(()) => ok(
                "rx-stamps",
                "the kernel stamps datagrams (SO_TIMESTAMPNS)".to_owned(),
            ),
            Err(error) => {
                let fix = "run it where a UDP socket on loopback may be opened".to_owned();
                finding(
                    "rx-stamps",
                    Level::Fail,
                    error.clone(),
                    "SO_TIMESTAMPNS on a UDP socket",
                    fix,
                )
            }
        }
    }

    fn io_uring(&self) -> Finding {
        match self.read("proc/sys/kernel/io_uring_disabled").as_deref() {
            None => ok(
                "io-uring",
                "no switch in this kernel; receiving uses recvmmsg".to_owned(),
            ),
            Some("0") => ok("io-uring", "allowed; receiving uses recvmmsg".to_owned()),
            Some(_) => ok(
                "io-uring",
                "switched off; receiving uses recvmmsg and does not need it".to_owned(),
            ),
        }
    }

    fn open_files(&self) -> Finding {
        let measured = self.nofile.to_string();
        if self.nofile >= NOFILE_WANTED {
            return ok("nofile", measured);
        }
        let fix = format!("ulimit -n {NOFILE_WANTED}, or start by systemd/overmind.service");
        finding(
            "nofile",
            Level::Warn,
            measured,
            &format!("{NOFILE_WANTED} or more"),
            fix,
        )
    }

    fn core_dumps(&self) -> Finding {
        if self.core_bytes == 0 {
            return ok("core-dumps", "off".to_owned());
        }
        let fix = "ulimit -c 0, or start by systemd/overmind.service".to_owned();
        finding(
            "core-dumps",
            Level::Warn,
            in_bytes(self.core_bytes),
            "off: a dump would hold keys",
            fix,
        )
    }

    fn service_manager(&self) -> Finding {
        if self.root.join("run/systemd/system").is_dir() {
            return ok("systemd", "this host runs systemd".to_owned());
        }
        let fix = "install systemd/overmind.service on a host with systemd".to_owned();
        let measured = "this host does not run systemd".to_owned();
        finding(
            "systemd",
            Level::Warn,
            measured,
            "systemd, which restarts, limits and hardens the service",
            fix,
        )
    }
}

fn config_finding(path: &Path, problem: Option<String>) -> Finding {
    match problem {
        None => ok("config", format!("{} is usable", path.display())),
        Some(problem) => {
            let fix = format!(
                "edit {}; `overmind config example` explains every key",
                path.display()
            );
            finding(
                "config",
                Level::Fail,
                problem,
                "a configuration without problems",
                fix,
            )
        }
    }
}

fn ok(check: &'static str, measured: String) -> Finding {
    Finding {
        check,
        level: Level::Ok,
        measured,
        wanted: String::new(),
        fix: String::new(),
    }
}

fn finding(
    check: &'static str,
    level: Level,
    measured: String,
    wanted: &str,
    fix: String,
) -> Finding {
    Finding {
        check,
        level,
        measured,
        wanted: wanted.to_owned(),
        fix,
    }
}

fn in_bytes(bytes: u64) -> String {
    match bytes {
        u64::MAX => "unlimited".to_owned(),
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{bytes} bytes"),
    }
}

/// The kernel's list form: `0-3,8`. Parts that are none are left out.
fn parse_cpu_list(text: &str) -> Vec<u16> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            cpus.extend(first..=last);
        }
    }
    cpus
}

fn list(cpus: &[u16]) -> String {
    if cpus.is_empty() {
        return "none".to_owned();
    }
    cpus.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    /// A host made of files, removed when dropped.
    struct FakeHost(Facts);

    impl Drop for FakeHost {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0.root);
        }
    }

    impl FakeHost {
        /// A host on which every check is OK but the pinning, which needs a configuration.
        fn tuned() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "overmind-doctor-{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, Relaxed)
            );
            let root = std::env::temp_dir().join(name);
            let host = Self(Facts {
                root: root.clone(),
                host: Host {
                    cpus: vec![0, 1, 2, 3],
                    runtime_dir: root.join("run/overmind"),
                    state_dir: root.join("state"),
                    credentials_dir: None,
                },
                memlock_bytes: u64::MAX,
                nofile: 65_536,
                core_bytes: 0,
                capabilities: 0,
                clock_synchronised: true,
                receive_stamps: Ok(()),
            });
            host.write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
            host.write("proc/sys/net/core/rmem_max", "134217728\n");
            host.write("proc/sys/vm/nr_hugepages", "0\n");
            host.write("proc/irq/24/effective_affinity_list", "0\n");
            host.write("sys/devices/system/cpu/isolated", "2-3\n");
            host.write("sys/devices/system/cpu/smt/active", "0\n");
            host.write(
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "tsc\n",
            );
            host.write(
                "sys/kernel/mm/transparent_hugepage/enabled",
                "always [madvise] never\n",
            );
            (0..4).for_each(|cpu| host.write(&governor_path(cpu), "performance\n"));
            std::fs::create_dir_all(root.join("run/systemd/system")).unwrap();
            host.write("leaders.json", "{}");
            host
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        /// Writes a configuration with pinned cores and a verified source, and examines it.
        fn examine_with(&self, more: &str) -> Report {
            let text = format!(
                "{more}\n[threads]\nlayout = \"split\"\ncore_cpu = 2\nsubmit_cpu = 3\nlock_memory = \"require\"\n\
                 [ingest]\nleaders_file = {:?}\n[[ingest.sources]]\nname = \"a\"\nbind = \"127.0.0.1:1\"\n",
                self.0.root.join("leaders.json"),
            );
            self.write("overmind.toml", &text);
            self.0.examine(Some(&self.0.root.join("overmind.toml")))
        }

        /// The one finding that is not OK.
        #[track_caller]
        fn only(&self) -> (&'static str, Level) {
            let report = self.examine_with("");
            let bad: Vec<&Finding> = report
                .findings
                .iter()
                .filter(|finding| finding.level != Level::Ok)
                .collect();
            assert_eq!(bad.len(), 1, "{bad:?}");
            assert!(
                !bad[0].fix.is_empty() && !bad[0].wanted.is_empty(),
                "{bad:?}"
            );
            assert_eq!(report.worst, bad[0].level);
            (bad[0].check, bad[0].level)
        }
    }

    fn governor_path(cpu: u16) -> String {
        format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")
    }

    #[test]
    fn a_tuned_host_has_nothing_to_fix() {
        let report = FakeHost::tuned().examine_with("");
        assert_eq!(report.worst, Level::Ok, "{}", report.in_words());
        assert!(
            report
                .in_words()
                .ends_with("18 ok, 0 warnings, 0 failures\n"),
            "{}",
            report.in_words()
        );
    }

    #[test]
    fn each_detuned_knob_is_found_alone() {
        for (path, text, check) in [
            ("proc/sys/kernel/osrelease", "4.19.0", "kernel"),
            ("proc/sys/net/core/rmem_max", "212992", "rmem-max"),
            ("proc/irq/25/effective_affinity_list", "1-2", "irq-affinity"),
            ("sys/devices/system/cpu/isolated", "3", "isolation"),
            ("sys/devices/system/cpu/smt/active", "1", "smt"),
            (
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "hpet",
                "clocksource",
            ),
            (
                "sys/kernel/mm/transparent_hugepage/enabled",
                "[always] madvise never",
                "hugepages",
            ),
            (&governor_path(3), "powersave", "governor"),
        ] {
            let host = FakeHost::tuned();
            host.write(path, text);
            assert_eq!(host.only(), (check, Level::Warn), "{path}");
        }
    }

    #[test]
    fn limits_are_judged_by_what_the_configuration_needs() {
        let mut host = FakeHost::tuned();
        host.0.memlock_bytes = 8 << 20;
        assert_eq!(host.only(), ("memlock", Level::Fail));
        host.0.capabilities = 1 << CAP_IPC_LOCK;
        assert_eq!(host.examine_with("").worst, Level::Ok);
        host.0.nofile = 256;
        assert_eq!(host.only(), ("nofile", Level::Warn));
        host.0.nofile = 65_536;
        host.0.core_bytes = u64::MAX;
        assert_eq!(host.only(), ("core-dumps", Level::Warn));
        host.0.core_bytes = 0;
        host.0.clock_synchronised = false;
        assert_eq!(host.only(), ("clock-sync", Level::Warn));
        host.0.clock_synchronised = true;
        host.0.receive_stamps = Err("Operation not permitted".to_owned());
        assert_eq!(host.only(), ("rx-stamps", Level::Fail));
    }

    #[test]
    fn a_bad_configuration_missing_files_and_open_keys_fail() {
        let host = FakeHost::tuned();
        let failed = |report: &Report| -> Vec<&str> {
            report
                .findings
                .iter()
                .filter(|finding| finding.level == Level::Fail)
                .map(|finding| finding.check)
                .collect()
        };
        assert_eq!(failed(&host.examine_with("[risk]\nwindow = 1")), ["config"]);
        let key = host.0.root.join("key");
        let bridge = format!(
            "[bridge]\nenabled = true\n[[bridge.producers]]\nid = 1\nfamilies = [\"launch\"]\n\
             max_notional_lamports = 1\nkey_file = {key:?}\n"
        );
        assert_eq!(failed(&host.examine_with(&bridge)), ["files"]);
        host.write("key", "0123");
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .unwrap();
        assert_eq!(failed(&host.examine_with(&bridge)), ["key-modes"]);
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        assert_eq!(failed(&host.examine_with(&bridge)), Vec::<&str>::new());
    }

    #[test]
    fn an_empty_host_warns_and_never_panics() {
        let mut host = FakeHost::tuned();
        let _ = std::fs::remove_dir_all(&host.0.root);
        host.0.host.cpus.clear();
        let report = host.0.examine(None);
        assert!(report.worst == Level::Fail, "{}", report.in_words());
    }

    #[test]
    fn this_host_is_examined_and_printed_both_ways() {
        let report = examine(None);
        let json = serde_json::json!(report);
        assert_eq!(
            json["findings"].as_array().unwrap().len(),
            report.findings.len()
        );
        assert!(report.in_words().lines().count() > report.findings.len());
    }

    #[test]
    fn cpu_lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_cpu_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(parse_cpu_list(""), Vec::<u16>::new());
        assert_eq!(parse_cpu_list("x,3-1,4"), [4]);
    }
}
