//! The units are accepted by systemd's own checker and expose little.
//!
//! `systemd-analyze verify` looks for the program that a unit starts, so the copies checked here
//! start `/bin/true`. Where the tool is missing the tests say so and pass.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Most exposure that `systemd-analyze security` may find, in tenths of its scale from 0 to 10.
const EXPOSURE_TENTHS_MAX: u32 = 15;

const UNITS: [&str; 3] = [
    "overmind.service",
    "overmind-relay.service",
    "overmind.slice",
];
const SERVICES: [&str; 2] = ["overmind.service", "overmind-relay.service"];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../systemd")
        .join(name)
}

/// A folder of unit copies, removed when dropped.
struct Copies(PathBuf);

impl Copies {
    fn new(test: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("overmind-units-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for unit in UNITS {
            let text = std::fs::read_to_string(source(unit)).unwrap();
            std::fs::write(
                folder.join(unit),
                text.replace("/usr/local/bin/overmind", "/bin/true"),
            )
            .unwrap();
        }
        let copies = Self(folder);
        copies.drop_in("overmind.service", "credentials.conf");
        copies
    }

    fn drop_in(&self, service: &str, name: &str) {
        let folder = self.0.join(format!("{service}.d"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(source(name), folder.join(name)).unwrap();
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        UNITS.iter().map(|unit| self.0.join(unit))
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `systemd-analyze`, or nothing where it is missing.
fn analyze() -> Option<Command> {
    let found = Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("systemd-analyze is missing: the units are not checked here");
    }
    found.then(|| Command::new("systemd-analyze"))
}

#[test]
fn the_units_are_accepted() {
    let Some(mut analyze) = analyze() else { return };
    let copies = Copies::new("accepted");
    let output = analyze.arg("verify").args(copies.paths()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    // The tool also reads units of the host; only complaints about ours count.
    let about_ours: Vec<&str> = complaints
        .lines()
        .filter(|line| line.contains("overmind"))
        .collect();
    assert!(
        output.status.success() && about_ours.is_empty(),
        "{complaints}"
    );
}

#[test]
fn a_broken_unit_would_be_found() {
    let Some(mut analyze) = analyze() else { return };
    let copies = Copies::new("broken");
    let path = copies.0.join("overmind.service");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace(
            "ProtectSystem=strict",
            "ProtectSystem=strictly\nSurprise=yes",
        ),
    )
    .unwrap();
    let output = analyze.arg("verify").args(copies.paths()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaints.contains("Surprise") && complaints.contains("strictly"),
        "{complaints}"
    );
}

#[test]
fn the_services_expose_little() {
    for service in SERVICES {
        let Some(mut analyze) = analyze() else { return };
        let copies = Copies::new(&format!("exposure-{service}"));
        let output = analyze
            .args(["security", "--offline=true", "--no-pager"])
            .arg(format!("--threshold={EXPOSURE_TENTHS_MAX}"))
            .arg(copies.0.join(service))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        if errors.contains("unrecognized option") {
            eprintln!("this systemd-analyze cannot judge a file: {errors}");
            return;
        }
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{service}: {report}\n{errors}");
    }
}

/// Goal: with the drop-in for AF_XDP the units are still accepted, and what `doctor` wants is allowed.
#[test]
fn the_drop_in_for_xdp_is_accepted_with_each_service() {
    let text = std::fs::read_to_string(source("xdp.conf")).unwrap();
    for wanted in [
        "AmbientCapabilities=CAP_NET_RAW CAP_BPF CAP_NET_ADMIN",
        "CapabilityBoundingSet=CAP_NET_RAW CAP_BPF CAP_NET_ADMIN",
        "RestrictAddressFamilies=AF_XDP",
        "SystemCallFilter=bpf",
    ] {
        assert!(text.lines().any(|line| line == wanted), "no line {wanted}");
    }
    let Some(mut analyze) = analyze() else { return };
    let copies = Copies::new("xdp");
    for service in SERVICES {
        copies.drop_in(service, "xdp.conf");
    }
    let output = analyze.arg("verify").args(copies.paths()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !complaints.contains("xdp.conf"),
        "{complaints}"
    );
}

#[test]
fn the_services_keep_what_the_program_relies_on() {
    for (service, own) in [
        ("overmind.service", "overmind"),
        ("overmind-relay.service", "overmind-relay"),
    ] {
        let text = std::fs::read_to_string(source(service)).unwrap();
        let runtime = format!("RuntimeDirectory={own}");
        let state = format!("StateDirectory={own}");
        for line in [
            "Type=notify",
            "WatchdogSec=10",
            "RestartPreventExitStatus=2 3",
            runtime.as_str(),
            state.as_str(),
            "RuntimeDirectoryMode=0700",
            "LimitMEMLOCK=infinity",
            "LimitCORE=0",
            "NoNewPrivileges=yes",
            "MemoryDenyWriteExecute=yes",
            "CapabilityBoundingSet=",
        ] {
            assert!(
                text.lines().any(|got| got == line),
                "{service}: no line {line}"
            );
        }
    }
}
