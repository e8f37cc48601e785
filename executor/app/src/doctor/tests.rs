//! A host made of files, tuned and then detuned knob by knob.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::checks::{CAP_BPF, CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW, parse_cpu_list};
use super::*;
use crate::config::Host;

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
                kind: bundle::host::HostKind::BareMetal,
            },
            memlock_bytes: u64::MAX,
            nofile: 65_536,
            core_bytes: 0,
            capabilities: 0,
            clock_synchronised: true,
            receive_stamps: Ok(()),
            io_uring: Ok(()),
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
        let leader = bs58::encode([7; 32]).into_string();
        host.write("leaders.json", &format!("{{\"5\":\"{leader}\"}}"));
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
             [ingest]\nleaders_file = {:?}\n[[ingest.sources]]\nname = \"a\"\nbind = \"127.0.0.1:21001\"\n\
             [http]\nenabled = false\n",
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
            .ends_with("19 ok, 0 warnings, 0 failures\n"),
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

/// Goal: who makes nonces ahead is told what that rests on; who does not is told nothing.
#[cfg(feature = "armed-nonces")]
#[test]
fn nonces_made_ahead_are_judged_by_the_host() {
    use bundle::host::HostKind;
    const ARMED: &str = "[signing]\narmed_nonces = true\nsnapshots_excluded = true\n";
    let mut host = FakeHost::tuned();
    let signing = |host: &FakeHost, more: &str| {
        let findings = host.examine_with(more).findings;
        let mut found = findings
            .into_iter()
            .filter(|found| found.check == "signing");
        found.next().map(|found| (found.level, found.measured))
    };
    assert_eq!(signing(&host, ""), None);
    assert_eq!(signing(&host, ARMED).unwrap().0, Level::Ok);
    host.0.host.kind = HostKind::Unknown;
    let (level, measured) = signing(&host, ARMED).unwrap();
    assert_eq!(level, Level::Warn);
    assert!(measured.contains("snapshots_excluded"), "{measured}");
    host.0.memlock_bytes = 1 << 20;
    assert_eq!(signing(&host, ARMED).unwrap().0, Level::Fail);
    host.0.capabilities = 1 << CAP_IPC_LOCK;
    assert_eq!(signing(&host, ARMED).unwrap().0, Level::Warn);
}

#[test]
fn a_lookup_table_is_read_and_what_it_lacks_is_named() {
    let host = FakeHost::tuned();
    let table = bs58::encode([9; 32]).into_string();
    let file = host.0.root.join("tables.json");
    let text = format!("[market]\nlookup_tables = {file:?}\n[bundle]\nlookup_table = \"{table}\"");
    let all = bundle::BuilderConfig::default().lookup_addresses().unwrap();
    let all: Vec<String> = all
        .iter()
        .map(|(key, _)| bs58::encode(key).into_string())
        .collect();
    let found = |holder: &str, held: &[String]| {
        host.write(
            "tables.json",
            &serde_json::json!({ holder: held }).to_string(),
        );
        let report = host.examine_with(&text);
        let mut findings = report.findings.into_iter();
        findings
            .find(|finding| finding.check == "lookup-table")
            .unwrap()
    };
    assert_eq!(found(&table, &all).level, Level::Ok);
    let lacking = found(&table, &all[2..]);
    assert_eq!(lacking.level, Level::Warn);
    assert!(
        lacking
            .measured
            .contains(&format!("lacks 2 of {}", all.len())),
        "{lacking:?}"
    );
    assert!(lacking.fix.contains(&all[..2].join(",")), "{lacking:?}");
    assert_eq!(found(&all[0], &all).level, Level::Fail);
}

#[test]
fn each_kind_of_source_has_its_check() {
    let mut host = FakeHost::tuned();
    let finding = |host: &FakeHost, check: &str, source: &str| {
        let source = format!(
            "[ingest]\n[[ingest.sources]]\nname = \"b\"\npolicy = \"unverified\"\n{source}\n"
        );
        host.write("overmind.toml", &source);
        let report = host.0.examine(Some(&host.0.root.join("overmind.toml")));
        let mut found = report
            .findings
            .into_iter()
            .filter(|found| found.check == check);
        found.next().unwrap_or_else(|| panic!("no {check}"))
    };
    let uring = "kind = \"io_uring\"\nbind = \"127.0.0.1:2\"";
    assert_eq!(finding(&host, "io-uring", uring).level, Level::Ok);
    host.0.io_uring = Err("Operation not permitted".to_owned());
    let found = finding(&host, "io-uring", uring);
    assert!(
        found.level == Level::Warn && found.fix.contains("io_uring_disabled"),
        "{found:?}"
    );
    let plain = finding(&host, "io-uring", "bind = \"127.0.0.1:2\"");
    assert_eq!(plain.level, Level::Ok, "nobody wants it");

    let xdp = "kind = \"xdp\"\nbind = \"0.0.0.0:2\"\ninterface = \"eth7\"";
    let found = finding(&host, "xdp", xdp);
    assert!(
        found.level == Level::Fail && found.measured.contains("no interface eth7"),
        "{found:?}"
    );
    host.write("sys/class/net/eth7/mtu", "1500\n");
    host.write("sys/class/net/eth7/flags", "0x1003\n");
    let found = finding(&host, "xdp", xdp);
    let lacking = "lacks CAP_NET_RAW, CAP_BPF, CAP_NET_ADMIN";
    assert!(
        found.level == Level::Fail && found.measured.ends_with(lacking),
        "{found:?}"
    );
    host.0.capabilities = [CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW]
        .iter()
        .map(|bit| 1_u64 << bit)
        .sum();
    assert_eq!(finding(&host, "xdp", xdp).level, Level::Ok);
    host.write("sys/class/net/eth7/queues/rx-0/rps_cpus", "0");
    assert_eq!(finding(&host, "xdp", xdp).level, Level::Ok);
    let beyond = finding(&host, "xdp", &format!("{xdp}\nqueue = 1"));
    assert!(
        beyond.level == Level::Fail && beyond.measured.contains("1 receive queues"),
        "{beyond:?}"
    );
    host.write("sys/class/net/eth7/uevent", "DEVTYPE=bridge\n");
    assert_eq!(finding(&host, "xdp", xdp).level, Level::Ok);
    let native = finding(&host, "xdp", &format!("{xdp}\nmode = \"native\""));
    assert!(
        native.level == Level::Fail && native.measured.contains("bridge"),
        "{native:?}"
    );

    let elsewhere = "bind = \"0.0.0.0:2\"\ninterface = \"eth8\"\nmulticast_group = \"239.1.1.1\"";
    assert_eq!(finding(&host, "multicast", elsewhere).level, Level::Fail);
    let group = "bind = \"0.0.0.0:2\"\ninterface = \"eth7\"\nmulticast_group = \"239.1.1.1\"";
    assert_eq!(finding(&host, "multicast", group).level, Level::Ok);
    for (file, text, fix) in [
        ("mtu", "1200", "mtu 1500"),
        ("flags", "0x1002", "eth7 up"),
        ("flags", "0x3", "multicast on"),
    ] {
        let path = format!("sys/class/net/eth7/{file}");
        let before = std::fs::read_to_string(host.0.root.join(&path)).unwrap();
        host.write(&path, text);
        let found = finding(&host, "multicast", group);
        assert!(
            found.level == Level::Warn && found.fix.contains(fix),
            "{found:?}"
        );
        host.write(&path, &before);
    }

    let quic = format!(
        "kind = \"quic\"\nbind = \"127.0.0.1:2\"\nidentity_file = \"generate\"\npeers = [\"{}\"]",
        bs58::encode([7; 32]).into_string()
    );
    assert_eq!(finding(&host, "quic", &quic).level, Level::Warn);
    let kept = quic.replace("generate", "/k");
    assert_eq!(finding(&host, "quic", &kept).level, Level::Fail);
    assert_eq!(finding(&host, "files", &kept).level, Level::Fail);
    let key = host.0.root.join("key");
    host.write("key", "junk");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let kept = quic.replace("generate", key.to_str().unwrap());
    assert_eq!(finding(&host, "quic", &kept).level, Level::Fail);
    std::fs::write(&key, [7; 32]).unwrap();
    assert_eq!(finding(&host, "quic", &kept).level, Level::Ok);
    // Nobody hands credentials over to a doctor; that is said, and no failure.
    let handed = quic.replace("generate", "credential:k");
    let said = finding(&host, "quic", &handed);
    assert!(
        said.level == Level::Ok && said.measured.contains("not seen here"),
        "{said:?}"
    );
    let said = finding(&host, "config", &handed);
    assert!(
        said.level == Level::Warn && said.measured.contains("not checked outside the unit"),
        "{said:?}"
    );
}

/// Goal: what could not be bound is found before: another host's address, and a port that somebody has.
#[test]
fn addresses_are_tried() {
    let host = FakeHost::tuned();
    let path = host.0.root.join("overmind.toml");
    let found = |bind: &str| {
        let text = format!(
            "[[ingest.sources]]\nname = \"b\"\npolicy = \"unverified\"\nbind = \"{bind}\"\n[http]\nenabled = false\n[admin]\nsocket = {:?}\n",
            host.0.root.join("admin.sock"),
        );
        std::fs::write(&path, text).unwrap();
        let report = host.0.examine(Some(&path));
        let mut found = report.findings.into_iter();
        found.find(|found| found.check == "bind").unwrap()
    };
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap().to_string();
    let said = found(&bind);
    assert!(
        said.level == Level::Fail && said.fix.contains("ss -lunp"),
        "{said:?}"
    );
    let service = std::os::unix::net::UnixListener::bind(host.0.root.join("admin.sock")).unwrap();
    assert_eq!(found(&bind).level, Level::Warn, "it may be ours");
    drop((service, taken));
    assert_eq!(found(&bind).level, Level::Ok);
    // Source: RFC 5737, an address for documentation.
    let said = found("203.0.113.7:21002");
    assert!(
        said.level == Level::Fail && said.fix.contains("ip addr"),
        "{said:?}"
    );
}

/// Goal: a source that believes everything is named, unless only named peers or this host reach it.
#[test]
fn trust_is_named() {
    let host = FakeHost::tuned();
    let path = host.0.root.join("overmind.toml");
    let warned = |source: &str| {
        let source = format!("[[ingest.sources]]\nname = \"b\"\npolicy = \"trusted\"\n{source}\n");
        std::fs::write(&path, source).unwrap();
        let report = host.0.examine(Some(&path));
        let found = report
            .findings
            .into_iter()
            .find(|found| found.check == "trust");
        found.map(|found| (found.level, found.measured))
    };
    let quic = format!(
        "kind = \"quic\"\nbind = \"0.0.0.0:21003\"\nidentity_file = \"generate\"\npeers = [\"{}\"]",
        bs58::encode([7; 32]).into_string()
    );
    assert_eq!(warned(&quic), None);
    assert_eq!(warned("bind = \"127.0.0.1:21003\""), None);
    let (level, said) = warned("bind = \"0.0.0.0:21003\"").unwrap();
    assert!(
        level == Level::Warn
            && said.contains("whoever reaches port 21003 decides what is traded on"),
        "{said}"
    );
}

/// Goal: what a relay needs is looked at: routes, the port, keys and the token, and that it does not feed itself.
#[test]
fn a_relay_has_its_checks() {
    let host = FakeHost::tuned();
    let path = host.0.root.join("relay.toml");
    let found = |port: u16, more: &str| -> Vec<(&'static str, Level)> {
        let text = format!(
            "{more}[relay.entries]\nbind = \"127.0.0.1:{port}\"\ntoken_file = {:?}\n[ingest]\nleaders_file = {:?}\n\
             [[ingest.sources]]\nname = \"a\"\nbind = \"0.0.0.0:21007\"\nredistributable = true\n\
             [http]\nenabled = false\n",
            host.0.root.join("token"),
            host.0.root.join("leaders.json"),
        );
        std::fs::write(&path, text).unwrap();
        let report = host.0.examine(Some(&path));
        let relevant = report
            .findings
            .iter()
            .filter(|finding| finding.check.starts_with("relay") || finding.level == Level::Fail);
        relevant
            .map(|finding| (finding.check, finding.level))
            .collect()
    };
    host.write("token", "0123456789abcdef");
    let token = host.0.root.join("token");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, closed).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let routed = ("relay-routes", Level::Ok);
    let near = "[relay]\ndestinations = [\"127.0.0.1:9\"]\n";
    assert_eq!(found(port, near), [routed, ("relay-port", Level::Warn)]);
    drop(listener);
    let free = ("relay-port", Level::Ok);
    assert_eq!(found(port, near), [routed, free]);
    host.write("token", "short");
    assert_eq!(found(port, near), [("files", Level::Fail), routed, free]);
    host.write("token", "0123456789abcdef");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&token, open).unwrap();
    assert_eq!(
        found(port, near),
        [("key-modes", Level::Fail), routed, free]
    );
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, closed).unwrap();
    let made = format!(
        "[relay]\nidentity_file = \"generate\"\n[[relay.nodes]]\naddress = \"127.0.0.1:9\"\nidentity = \"{}\"\n",
        bs58::encode([7; 32]).into_string()
    );
    assert_eq!(
        found(port, &made),
        [routed, free, ("relay-identity", Level::Warn)]
    );
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
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(failed(&host.examine_with(&bridge)), ["key-modes"]);
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(failed(&host.examine_with(&bridge)), ["files"], "no key");
    std::fs::write(&key, [7; 32]).unwrap();
    assert_eq!(failed(&host.examine_with(&bridge)), Vec::<&str>::new());
    host.write("leaders.json", "{}");
    assert_eq!(failed(&host.examine_with(&bridge)), ["files"], "no leader");
    // What does not fit and what is missing are told in one go, and a start's list is this one.
    let report = host.examine_with("[risk]\nwindow = 1");
    assert_eq!(failed(&report), ["config", "files"]);
    let said = &report.findings[0].measured;
    assert!(said.contains("overmind.toml:2:1: unknown field"), "{said}");
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
