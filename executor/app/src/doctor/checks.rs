//! The checks: each says what was measured, what is wanted, and the command that gets there.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use shred_source::udp::{Interface, Multicast};

use super::facts::Facts;
use super::{Finding, Level};
use crate::config::{LockMemory, Opening, Plan, QuicIdentity};

/// Memory locked beside the arenas: code, stacks, heap of the slow threads.
const MEMORY_BESIDE_ARENAS_BYTES: u64 = 512 << 20;
const NOFILE_WANTED: u64 = 4_096;
const KERNEL_WANTED: (u32, u32) = (5, 10);
const CPUS_WANTED: usize = 4;
pub(super) const CAP_NET_ADMIN: u32 = 12;
pub(super) const CAP_NET_RAW: u32 = 13;
pub(super) const CAP_BPF: u32 = 39;
/// Bytes of an IP packet that carries a shred: 1,232 with its repair nonce, and IPv6 and UDP headers.
const MTU_WANTED: u32 = 1_280;
/// `IFF_UP` and `IFF_MULTICAST`. Source: `linux/if.h`.
const FLAG_UP: u32 = 0x1;
const FLAG_MULTICAST: u32 = 0x1000;
pub(super) const CAP_IPC_LOCK: u32 = 14;

impl Facts {
    pub(super) fn files_finding(&self, plan: &Plan) -> Finding {
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

    pub(super) fn keys_finding(&self, plan: &Plan) -> Option<Finding> {
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

    pub(super) fn kernel(&self) -> Finding {
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

    pub(super) fn cpus(&self) -> Finding {
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

    pub(super) fn isolation(&self, plan: Option<&Plan>) -> Finding {
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

    pub(super) fn governor(&self) -> Finding {
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

    pub(super) fn smt(&self) -> Finding {
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
    pub(super) fn interrupts(&self, plan: Option<&Plan>) -> Finding {
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

    pub(super) fn clocksource(&self) -> Finding {
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

    pub(super) fn clock_sync(&self) -> Finding {
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

    pub(super) fn huge_pages(&self) -> Finding {
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

    pub(super) fn memlock(&self, plan: Option<&Plan>) -> Finding {
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

    pub(super) fn receive_buffer(&self, plan: Option<&Plan>) -> Finding {
        let sources = plan.map(|plan| {
            plan.ingest
                .sources
                .iter()
                .filter_map(|source| source.opening.receive_buffer_len())
                .map(|bytes| bytes as u64)
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

    pub(super) fn receive_stamps(&self) -> Finding {
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

    pub(super) fn io_uring(&self, plan: Option<&Plan>) -> Finding {
        let is_wanted = sources_of(plan, |opening| matches!(opening, Opening::IoUring(_)));
        let switch = self.read("proc/sys/kernel/io_uring_disabled");
        let switch = match switch.as_deref() {
            None => "no switch in this kernel",
            Some("0") => "allowed",
            Some(_) => "switched off",
        };
        if is_wanted.is_empty() {
            return ok("io-uring", format!("{switch}; no source wants it"));
        }
        match &self.io_uring {
            Ok(()) => ok(
                "io-uring",
                format!("{switch}; {} can use it", is_wanted.join(", ")),
            ),
            Err(error) => {
                let fix = "sysctl -w kernel.io_uring_disabled=0, on Linux 6.1 or later outside of containers that \
                           deny it; or write kind = \"udp\"";
                finding(
                    "io-uring",
                    Level::Warn,
                    format!(
                        "{switch}; {} will use recvmmsg: {error}",
                        is_wanted.join(", ")
                    ),
                    "io_uring for the sources of kind io_uring",
                    fix.to_owned(),
                )
            }
        }
    }

    /// Only with sources of kind xdp: rights and interfaces.
    pub(super) fn xdp(&self, plan: Option<&Plan>) -> Option<Finding> {
        let wanted = "CAP_NET_RAW, CAP_BPF and CAP_NET_ADMIN, and the interface, for kind xdp";
        let mut interfaces: Vec<String> = interfaces(plan, |opening| match opening {
            Opening::Xdp(xdp) => Some(xdp.interface.to_string()),
            _ => None,
        });
        if interfaces.is_empty() {
            return None;
        }
        let measured = interfaces.join(", ");
        interfaces.retain(|name| self.interface(name).is_none());
        if !interfaces.is_empty() {
            return Some(finding(
                "xdp",
                Level::Fail,
                format!("this host has no interface {}", interfaces.join(", ")),
                wanted,
                "write one that `ip link` shows".to_owned(),
            ));
        }
        let lacking: Vec<&str> = [
            (CAP_NET_RAW, "CAP_NET_RAW"),
            (CAP_BPF, "CAP_BPF"),
            (CAP_NET_ADMIN, "CAP_NET_ADMIN"),
        ]
        .into_iter()
        .filter(|(bit, _)| !self.has_capability(*bit))
        .map(|(_, name)| name)
        .collect();
        if lacking.is_empty() {
            return Some(ok("xdp", format!("{measured}: the rights are there")));
        }
        let fix = "setcap cap_net_raw,cap_bpf,cap_net_admin+ep on the binary; under systemd AmbientCapabilities= and \
                   CapabilityBoundingSet= of these, RestrictAddressFamilies= with AF_XDP, and SystemCallFilter=bpf";
        Some(finding(
            "xdp",
            Level::Fail,
            format!("{measured}: this process lacks {}", lacking.join(", ")),
            wanted,
            fix.to_owned(),
        ))
    }

    /// Only with sources that join groups: the interfaces that they are joined on.
    pub(super) fn multicast(&self, plan: Option<&Plan>) -> Option<Finding> {
        let joins = |multicast: Option<Multicast>, interface: String| multicast.map(|_| interface);
        let named = |interface: Interface| match interface {
            Interface::Any => String::new(),
            Interface::Name(name) => name.to_string(),
            Interface::Address(address) => address.to_string(),
        };
        let on = interfaces(plan, |opening| match opening {
            Opening::Udp(udp) => joins(udp.multicast, named(udp.interface)),
            Opening::IoUring(uring) => joins(uring.socket.multicast, named(uring.socket.interface)),
            Opening::Xdp(xdp) => joins(xdp.multicast, xdp.interface.to_string()),
            Opening::Quic(_) => None,
        });
        if on.is_empty() {
            return None;
        }
        let wanted = format!(
            "an interface that is up, takes multicast and has an MTU of {MTU_WANTED} or more"
        );
        let bad = |measured: String, fix: String| {
            Some(finding("multicast", Level::Warn, measured, &wanted, fix))
        };
        let mut seen = Vec::new();
        for name in on {
            if name.is_empty() {
                let fix = "write interface = \"NAME\", or check `ip route get GROUP`".to_owned();
                return bad("a group is joined where the routes lead".to_owned(), fix);
            }
            if name.parse::<std::net::IpAddr>().is_ok() {
                seen.push(format!("the interface of {name} (not looked at)"));
                continue;
            }
            let Some((mtu, flags)) = self.interface(&name) else {
                let fix = "write one that `ip link` shows".to_owned();
                return bad(format!("this host has no interface {name}"), fix);
            };
            if mtu < MTU_WANTED {
                return bad(
                    format!("{name} has an MTU of {mtu}"),
                    format!("ip link set dev {name} mtu 1500 (of a tunnel as its path allows)"),
                );
            }
            for (flag, lack, fix) in [
                (FLAG_UP, "is down", "up"),
                (FLAG_MULTICAST, "takes no multicast", "multicast on"),
            ] {
                if flags & flag == 0 {
                    return bad(
                        format!("{name} {lack}"),
                        format!("ip link set dev {name} {fix}"),
                    );
                }
            }
            seen.push(format!("{name} has an MTU of {mtu}"));
        }
        Some(ok("multicast", seen.join(", ")))
    }

    /// Only with sources of kind quic: whether peers can go on knowing us.
    pub(super) fn quic(&self, plan: Option<&Plan>) -> Option<Finding> {
        let sources = sources_of(plan, |opening| matches!(opening, Opening::Quic(_)));
        if sources.is_empty() {
            return None;
        }
        let made = sources_of(
            plan,
            |opening| matches!(opening, Opening::Quic(quic) if quic.identity == QuicIdentity::Generated),
        );
        if made.is_empty() {
            return Some(ok("quic", format!("{}: keys are kept", sources.join(", "))));
        }
        let fix = "solana-keygen new --no-bip39-passphrase -o FILE, and identity_file = \"FILE\"";
        Some(finding(
            "quic",
            Level::Warn,
            format!("{}: another key at every start", made.join(", ")),
            "a key file, whose identity peers can name",
            fix.to_owned(),
        ))
    }

    /// MTU and flags of an interface of this host.
    fn interface(&self, name: &str) -> Option<(u32, u32)> {
        let read = |file: &str| self.read(&format!("sys/class/net/{name}/{file}"));
        let flags = read("flags")?;
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
        Some((read("mtu")?.parse().ok()?, flags))
    }

    pub(super) fn open_files(&self) -> Finding {
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

    pub(super) fn core_dumps(&self) -> Finding {
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

    pub(super) fn service_manager(&self) -> Finding {
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

/// Names of the sources that are opened in this way.
fn sources_of(plan: Option<&Plan>, wanted: impl Fn(&Opening) -> bool) -> Vec<String> {
    let sources = plan.iter().flat_map(|plan| &plan.ingest.sources);
    sources
        .filter(|source| wanted(&source.opening))
        .map(|source| source.name.clone())
        .collect()
}

/// The interfaces that `of` finds in the sources, each once.
fn interfaces(plan: Option<&Plan>, of: impl Fn(&Opening) -> Option<String>) -> Vec<String> {
    let sources = plan.iter().flat_map(|plan| &plan.ingest.sources);
    let mut names: Vec<String> = sources.filter_map(|source| of(&source.opening)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn config_finding(path: &Path, problem: Option<String>) -> Finding {
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
pub(super) fn parse_cpu_list(text: &str) -> Vec<u16> {
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
