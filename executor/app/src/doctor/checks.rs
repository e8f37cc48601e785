//! The checks: each says what was measured, what is wanted, and the command that gets there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use bundle::host::HostKind;
use shred_source::udp::{Interface, Multicast};

use super::facts::Facts;
use super::files::{Seen, look_at};
use super::interfaces::lacking;
use super::{Finding, Level};
use crate::config::{LockMemory, Opening, Plan, Problems, QuicIdentity, RelayPlan, Survey};
use crate::lookup_tables;
use crate::relay::{own_identity, refuse_loops};
use crate::secret::Secret;

/// Pages of nonces of some hundred templates, and of the secrets they are made with.
const NONCES_BYTES: u64 = 4 << 20;
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
    /// Files that the configuration names, read as a start would, and keys among them that others may read.
    pub(super) fn files_findings(&self, survey: &Survey) -> Vec<Finding> {
        let files = survey.named_files(&self.host);
        let has_secret = files.iter().any(|file| file.kind.is_secret());
        let (mut told, mut open, mut doubtful, mut unusable) = (vec![], vec![], vec![], vec![]);
        for file in files {
            match look_at(&file) {
                Seen::Usable(None) => {}
                Seen::Usable(Some(note)) => told.push(format!("{}: {note}", file.key)),
                Seen::Open(_) => open.push(file.path.display().to_string()),
                Seen::Doubtful(why) => doubtful.push(format!("{}: {why}", file.key)),
                Seen::Unusable(why) => unusable.push(format!("{}: {why}", file.key)),
            }
        }
        let fix =
            "do what is said of each; look as the service's user: sudo -u overmind overmind doctor";
        let wanted = "every file readable, and of use";
        let mut findings = vec![if !unusable.is_empty() {
            unusable.append(&mut doubtful);
            let measured = unusable.join("; ");
            finding("files", Level::Fail, measured, wanted, fix.to_owned())
        } else if !doubtful.is_empty() {
            let measured = doubtful.join("; ");
            finding("files", Level::Warn, measured, wanted, fix.to_owned())
        } else {
            told.insert(
                0,
                "every file that the configuration names can be used".to_owned(),
            );
            ok("files", told.join("; "))
        }];
        if !open.is_empty() {
            findings.push(finding(
                "key-modes",
                Level::Fail,
                format!("others may read {}", open.join(", ")),
                "mode 0600",
                format!("chmod 600 {}", open.join(" ")),
            ));
        } else if has_secret {
            let measured = "no key file is open to others".to_owned();
            findings.push(ok("key-modes", measured));
        }
        findings
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
        let nodes = plan.relay.iter().filter_map(|relay| relay.nodes_cpu);
        let mut cpus: Vec<u16> = seats
            .filter_map(|seat| seat.cpu)
            .chain(nodes)
            .filter_map(|cpu| u16::try_from(cpu).ok())
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

    /// Only where nonces are made ahead: what that rests on here.
    pub(super) fn signing(&self, plan: Option<&Plan>) -> Option<Finding> {
        let plan = plan?.signing;
        if !plan.statement.armed_nonces {
            return None;
        }
        let kind = plan.host;
        if !self.has_capability(CAP_IPC_LOCK) && self.memlock_bytes < NONCES_BYTES {
            return Some(finding(
                "signing",
                Level::Fail,
                format!("{} may be locked", in_bytes(self.memlock_bytes)),
                &format!("{} for nonces made ahead", in_bytes(NONCES_BYTES)),
                "start by systemd/overmind.service, or ulimit -l unlimited (tuning/memlock.md)"
                    .to_owned(),
            ));
        }
        if kind == HostKind::BareMetal {
            return Some(ok("signing", format!("nonces are made ahead, on {kind}")));
        }
        let fix = "signing.armed_nonces = false, unless nobody takes, restores or clones snapshots of this machine, nor \
                   migrates it live";
        Some(finding(
            "signing",
            Level::Warn,
            format!("nonces are made ahead, on {kind}, by signing.snapshots_excluded alone"),
            "bare metal: a snapshot restored twice gives the key away",
            fix.to_owned(),
        ))
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
        let interfaces: Vec<String> = interfaces(plan, |opening| match opening {
            Opening::Xdp(xdp) => Some(xdp.interface.to_string()),
            _ => None,
        });
        if interfaces.is_empty() {
            return None;
        }
        let measured = interfaces.join(", ");
        let lacking = self.lacking_of(plan, |opening| matches!(opening, Opening::Xdp(_)));
        if !lacking.is_empty() {
            return Some(finding(
                "xdp",
                Level::Fail,
                lacking.join("; "),
                wanted,
                "write what `ip link` and `ethtool -l INTERFACE` show".to_owned(),
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
        let fix = "setcap cap_net_raw,cap_bpf,cap_net_admin+ep on the binary; under systemd the \
                   drop-in systemd/xdp.conf, which allows these, AF_XDP and bpf";
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
        let lacking = self.lacking_of(plan, |opening| !matches!(opening, Opening::Xdp(_)));
        if !lacking.is_empty() {
            let fix = "write one that `ip addr` shows".to_owned();
            let measured = lacking.join("; ");
            return Some(finding("multicast", Level::Fail, measured, &wanted, fix));
        }
        let mut seen = Vec::new();
        for name in on {
            if name.is_empty() {
                let fix = "write interface = \"NAME\", or check `ip route get GROUP`".to_owned();
                return bad("a group is joined where the routes lead".to_owned(), fix);
            }
            let is_address = name.parse::<std::net::IpAddr>().is_ok();
            let (false, Some((mtu, flags))) = (is_address, self.interface(&name)) else {
                seen.push(format!("{name} (not looked at)"));
                continue;
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
        let missing = sources_of(
            plan,
            |opening| matches!(opening, Opening::Quic(quic) if lacks_key(&quic.identity)),
        );
        if !missing.is_empty() {
            return Some(finding(
                "quic",
                Level::Fail,
                format!("{}: identity_file cannot be used", missing.join(", ")),
                "a key file, whose identity peers can name",
                "see `files` and `key-modes`".to_owned(),
            ));
        }
        if made.is_empty() {
            let unseen = sources_of(
                plan,
                |opening| matches!(opening, Opening::Quic(quic) if is_elsewhere(&quic.identity)),
            );
            let measured = match unseen.is_empty() {
                true => format!("{}: keys are kept", sources.join(", ")),
                false => format!("{}: keys are credentials, not seen here", unseen.join(", ")),
            };
            return Some(ok("quic", measured));
        }
        let fix = "overmind keys new --file FILE, and identity_file = \"FILE\"";
        Some(finding(
            "quic",
            Level::Warn,
            format!("{}: another key at every start", made.join(", ")),
            "a key file, whose identity peers can name",
            fix.to_owned(),
        ))
    }

    /// Only with something to pass shreds on to: ports, routes and keys.
    pub(super) fn relay(&self, plan: Option<&Plan>) -> Vec<Finding> {
        let Some((plan, relay)) = plan.and_then(|plan| Some((plan, plan.relay.as_ref()?))) else {
            return Vec::new();
        };
        let mut findings = vec![relay_routes(relay)];
        if let Some(entries) = &relay.entries {
            findings.push(entries_port(entries.room.bind));
        }
        let loops = refuse_loops(relay, &plan.redistributable());
        if let Err(error) = loops {
            let fix = "name other hosts in [relay], or another port".to_owned();
            let measured = error.to_string();
            findings.push(finding(
                "relay-loop",
                Level::Fail,
                measured,
                "no destination that is a source of it",
                fix,
            ));
        }
        let sources = plan.redistributable();
        let quic = sources.iter().filter_map(|source| match &source.opening {
            Opening::Quic(quic) => Some(&quic.identity),
            _ => None,
        });
        // Keys that cannot be read are found beside the files.
        let unread = |identity| lacks_key(identity) || is_elsewhere(identity);
        let unread = relay.identity.iter().chain(quic).any(unread);
        if !unread && let Err(error) = own_identity(relay, &sources) {
            findings.push(finding(
                "relay-identity",
                Level::Fail,
                error.to_string(),
                "identities of other nodes",
                "write the identity that the other node prints for its source".to_owned(),
            ));
        } else if relay.identity == Some(QuicIdentity::Generated) {
            let fix = "overmind keys new --file FILE, and relay.identity_file = \"FILE\"";
            findings.push(finding(
                "relay-identity",
                Level::Warn,
                "another key at every start".to_owned(),
                "a key file, whose identity other nodes can name",
                fix.to_owned(),
            ));
        }
        findings
    }

    /// What sources of some kinds name and this host has not.
    fn lacking_of(&self, plan: Option<&Plan>, wanted: impl Fn(&Opening) -> bool) -> Vec<String> {
        let Some(plan) = plan else { return Vec::new() };
        let is_wanted = |key: &str| {
            let sources = plan.ingest.sources.iter().enumerate();
            sources
                .filter(|(_, source)| wanted(&source.opening))
                .any(|(index, _)| key.starts_with(&format!("ingest.sources[{index}].")))
        };
        lacking(&self.root, plan)
            .into_iter()
            .filter(|(key, _)| is_wanted(key))
            .map(|(key, why)| format!("{key}: {why}"))
            .collect()
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

/// Whether packets to each destination would leave. Nothing is sent: a connected UDP socket only looks up its route.
fn relay_routes(relay: &RelayPlan) -> Finding {
    let nodes = relay.nodes.iter().map(|node| node.address);
    let all: Vec<SocketAddr> = relay
        .room
        .destinations
        .iter()
        .copied()
        .chain(nodes)
        .collect();
    let unrouted: Vec<String> = all
        .iter()
        .filter_map(|address| {
            let any: IpAddr = if address.is_ipv4() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            };
            let connected = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address));
            Some(format!("{address}: {}", connected.err()?))
        })
        .collect();
    if unrouted.is_empty() {
        let measured = format!("a route to each of {} destinations", all.len());
        return ok("relay-routes", measured);
    }
    finding(
        "relay-routes",
        Level::Fail,
        unrouted.join("; "),
        "a route to every destination and node of [relay]",
        "check `ip route get ADDRESS`, or take it out".to_owned(),
    )
}

/// Whether the service of entries could listen, now.
fn entries_port(bind: SocketAddr) -> Finding {
    match TcpListener::bind(bind) {
        Ok(_) => ok("relay-port", format!("{bind} is free for entries")),
        Err(error) => finding(
            "relay-port",
            Level::Warn,
            format!("{bind}: {error}"),
            "the address of relay.entries.bind, free unless the relay runs",
            format!("find who has it: ss -ltnp 'sport = :{}'", bind.port()),
        ),
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

/// Whether a key is named that cannot be used.
fn lacks_key(identity: &QuicIdentity) -> bool {
    match identity {
        QuicIdentity::File(path) => !is_elsewhere(identity) && Secret::load(path).is_err(),
        QuicIdentity::Generated => false,
    }
}

/// Whether it is a credential that was not handed over here, which was warned of.
fn is_elsewhere(identity: &QuicIdentity) -> bool {
    matches!(identity, QuicIdentity::File(path) if path.is_relative())
}

/// Whether the table that transactions use is in the file, and what it could hold besides: an address that it lacks is
/// named in full.
pub(super) fn lookup_table(plan: &Plan) -> Option<Finding> {
    let table = lookup_tables::text(&plan.lookup_table?);
    let mut plan = plan.clone();
    let loaded = lookup_tables::load_for(&mut plan).map_err(|error| error.to_string());
    let wanted = loaded.and_then(|_| {
        let wanted = lookup_tables::wanted(&plan.builder);
        wanted.map_err(|error| error.to_string())
    });
    let (level, measured, fix) = match wanted {
        Ok(wanted) => {
            let (held, missing): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|one| one.held);
            let (count, all) = (missing.len(), held.len() + missing.len());
            if missing.is_empty() {
                let measured = format!("{table} holds all {all} addresses that templates can use");
                return Some(ok("lookup-table", measured));
            }
            let missing: Vec<String> = missing.into_iter().map(|one| one.address).collect();
            let missing = missing.join(",");
            (
                Level::Warn,
                format!("{table} lacks {count} of {all} addresses that templates can use"),
                format!(
                    "solana address-lookup-table extend {table} --addresses {missing}, then the file anew"
                ),
            )
        }
        Err(error) => {
            let fix = "overmind lookup-table --config FILE prints what a table should hold";
            (Level::Fail, error, fix.to_owned())
        }
    };
    let wanted = "all that templates always name behind the table, as in the file";
    Some(finding("lookup-table", level, measured, wanted, fix))
}

/// The configuration itself, and what may be wrong with it; of trust a finding of its own.
pub(super) fn config_findings(path: &Path, survey: &Survey) -> Vec<Finding> {
    let fix = || {
        format!(
            "edit {}; `overmind config example` explains every key",
            path.display()
        )
    };
    let mut findings = Vec::new();
    let (mut trusts, mut others) = (Vec::new(), Vec::new());
    if let Some(Problems { origin, list }) = survey.warnings() {
        for problem in list {
            let is_trust = problem.key.ends_with("].policy");
            if is_trust { &mut trusts } else { &mut others }.push(problem);
        }
        let said = |list| Problems {
            origin: origin.clone(),
            list,
        };
        if !trusts.is_empty() {
            findings.push(finding(
                "trust",
                Level::Warn,
                said(trusts).to_string(),
                "only your own relay reaches a trusted source",
                "kind = \"quic\" with peers, or a loopback address, or a wire that nothing else leads to".to_owned(),
            ));
        }
        if !others.is_empty() && survey.problems().is_none() {
            findings.push(finding(
                "config",
                Level::Warn,
                said(others).to_string(),
                "a configuration that leaves no doubt",
                fix(),
            ));
        }
    }
    if let Some(problems) = survey.problems() {
        findings.push(unread_config(path, problems.to_string()));
    } else if !findings.iter().any(|finding| finding.check == "config") {
        findings.push(ok("config", format!("{} is usable", path.display())));
    }
    findings
}

pub(super) fn unread_config(path: &Path, problem: String) -> Finding {
    finding(
        "config",
        Level::Fail,
        problem,
        "a configuration without problems",
        format!(
            "edit {}; `overmind config example` explains every key",
            path.display()
        ),
    )
}

pub(super) fn ok(check: &'static str, measured: String) -> Finding {
    Finding {
        check,
        level: Level::Ok,
        measured,
        wanted: String::new(),
        fix: String::new(),
    }
}

pub(super) fn finding(
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
