//! Whether this host could be copied while nonces wait in its memory.
//!
//! A snapshot restored twice, a clone, or a migration that is rolled back brings the same waiting nonces to life
//! twice: two messages under one nonce, and the key is public. No program can see this from the inside for
//! sure, so it takes a statement of the operator, and what the host shows of itself weighs against it.

use core::marker::PhantomData;
use std::path::Path;

use crate::signer::{KeyClass, ThrowAway};

/// What the operator says, from the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SnapshotStatement {
    /// Nonces may be made ahead on this host at all.
    pub armed_nonces: bool,
    /// Nobody takes, restores or clones memory snapshots of this host or of this process, nor migrates it
    /// live. Needed where the host does not look like bare metal.
    pub snapshots_excluded: bool,
}

/// What the host looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostKind {
    /// No sign of a hypervisor or a container.
    BareMetal,
    /// Under a hypervisor, which can copy memory.
    Virtual {
        /// Whether the hypervisor offers a generation id (`VMGENID`): it means to take snapshots, and the
        /// kernel learns of them, but after the fact.
        generation_id: bool,
    },
    /// In a container, which can be checkpointed, or not to be told.
    Unknown,
}

/// The first process id namespace, as `/proc/self/ns/pid` names it; the number is part of the kernel's interface.
/// Every container runtime that makes another is told by it, with or without a marker file.
/// Source: Linux `include/uapi/linux/nsfs.h` (`PID_NS_INIT_INO`), before 6.18 `include/linux/proc_ns.h`.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

impl HostKind {
    /// Reads the signs below `root`, which is `/` but in tests.
    ///
    /// Source: Linux `arch/x86/kernel/cpu/proc.c` (`hypervisor` among the flags of `/proc/cpuinfo`),
    /// `drivers/virt/vmgenid.c` (ACPI ids `VMGENCTR` and `VM_GEN_COUNTER`), the marker files of Docker and
    /// Podman.
    #[must_use]
    pub fn detect(root: &Path) -> Self {
        let marked = |path: &str| root.join(path).exists();
        if marked(".dockerenv") || marked("run/.containerenv") {
            return Self::Unknown;
        }
        let namespace = std::fs::read_link(root.join("proc/self/ns/pid"));
        if !namespace.is_ok_and(|name| name == Path::new(FIRST_PID_NAMESPACE)) {
            return Self::Unknown;
        }
        let Ok(cpu) = std::fs::read_to_string(root.join("proc/cpuinfo")) else {
            return Self::Unknown;
        };
        let virtual_cpu = cpu
            .lines()
            .filter(|line| line.starts_with("flags"))
            .map(|line| {
                line.split_ascii_whitespace()
                    .any(|flag| flag == "hypervisor")
            })
            .reduce(|any, one| any || one);
        if virtual_cpu == Some(true)
            || marked("sys/hypervisor/type")
            || marked("proc/device-tree/hypervisor")
        {
            let generation_id = has_generation_id(&root.join("sys/bus/acpi/devices"));
            return Self::Virtual { generation_id };
        }
        match virtual_cpu {
            Some(_) => Self::BareMetal,
            // Other processors do not say.
            None => Self::Unknown,
        }
    }
}

fn has_generation_id(devices: &Path) -> bool {
    let Ok(devices) = std::fs::read_dir(devices) else {
        return false;
    };
    devices.flatten().any(|device| {
        let id = std::fs::read_to_string(device.path().join("hid")).unwrap_or_default();
        matches!(id.trim(), "VMGENCTR" | "VM_GEN_COUNTER" | "QEMUVGID")
    })
}

impl core::fmt::Display for HostKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::BareMetal => "bare metal",
            Self::Virtual {
                generation_id: true,
            } => "a virtual machine whose hypervisor announces snapshots",
            Self::Virtual {
                generation_id: false,
            } => "a virtual machine",
            Self::Unknown => "a container, or a host that does not say what it is",
        })
    }
}

/// Why nonces may not be made ahead here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotsPossible {
    /// The operator did not ask for it.
    #[error("armed nonces are not enabled in the configuration")]
    NotRequested,
    /// The host can be copied, and the operator did not exclude it.
    #[error(
        "this is {0}: memory snapshots are possible; state `snapshots_excluded` if nobody takes them"
    )]
    NotExcluded(HostKind),
}

/// Proof that the question was asked: arming nonces for keys of class `C` needs one.
///
/// ```compile_fail,E0599
/// # use bundle::host::SnapshotsExcluded;
/// # use bundle::Live;
/// let proof = SnapshotsExcluded::<Live>::irrelevant();
/// ```
#[derive(Debug)]
pub struct SnapshotsExcluded<C: KeyClass> {
    class: PhantomData<C>,
}

impl<C: KeyClass> SnapshotsExcluded<C> {
    /// Weighs what the operator says against what the host shows.
    ///
    /// # Errors
    /// [`SnapshotsPossible`].
    pub fn establish(
        statement: SnapshotStatement,
        host: HostKind,
    ) -> Result<Self, SnapshotsPossible> {
        match (statement.armed_nonces, statement.snapshots_excluded, host) {
            (false, _, _) => Err(SnapshotsPossible::NotRequested),
            (true, true, _) | (true, false, HostKind::BareMetal) => Ok(Self { class: PhantomData }),
            (true, false, host) => Err(SnapshotsPossible::NotExcluded(host)),
        }
    }
}

impl SnapshotsExcluded<ThrowAway> {
    /// A key that owns nothing has nothing to lose to a snapshot.
    #[must_use]
    pub const fn irrelevant() -> Self {
        Self { class: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::signer::Live;

    /// A host made of the files named, below a folder of its own, outside any container.
    fn host(name: &str, files: &[(&str, &str)]) -> HostKind {
        host_in(FIRST_PID_NAMESPACE, name, files)
    }

    fn host_in(namespace: &str, name: &str, files: &[(&str, &str)]) -> HostKind {
        let root = std::env::temp_dir().join(format!("bundle-host-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let namespaces = root.join("proc/self/ns");
        std::fs::create_dir_all(&namespaces).unwrap();
        std::os::unix::fs::symlink(namespace, namespaces.join("pid")).unwrap();
        let kind = HostKind::detect(&root);
        let _ = std::fs::remove_dir_all(&root);
        kind
    }

    #[test]
    fn hosts_are_told_apart() {
        let metal = ("proc/cpuinfo", "model\t: x\nflags\t\t: fpu sse2\n");
        let guest = ("proc/cpuinfo", "flags\t\t: fpu hypervisor sse2\n");
        let plain = HostKind::Virtual {
            generation_id: false,
        };
        let counted = HostKind::Virtual {
            generation_id: true,
        };
        assert_eq!(host("metal", &[metal]), HostKind::BareMetal);
        assert_eq!(host("guest", &[guest]), plain);
        let device = ("sys/bus/acpi/devices/QEMUVGID:00/hid", "QEMUVGID\n");
        assert_eq!(host("counted", &[guest, device]), counted);
        assert_eq!(
            host("xen", &[metal, ("sys/hypervisor/type", "xen\n")]),
            plain
        );
        assert_eq!(
            host("docker", &[metal, (".dockerenv", "")]),
            HostKind::Unknown
        );
        assert_eq!(
            host("arm", &[("proc/cpuinfo", "Features : fp\n")]),
            HostKind::Unknown
        );
        assert_eq!(host("nothing", &[]), HostKind::Unknown);
        // A runtime that leaves no marker file (containerd, LXC, systemd-nspawn).
        let kind = host_in("pid:[4026532198]", "unmarked", &[metal]);
        assert_eq!(kind, HostKind::Unknown);
    }

    #[test]
    fn only_a_statement_opens_a_host_that_can_be_copied() {
        let establish = |armed_nonces, snapshots_excluded, host| {
            let statement = SnapshotStatement {
                armed_nonces,
                snapshots_excluded,
            };
            SnapshotsExcluded::<Live>::establish(statement, host).map(|_| ())
        };
        let guest = HostKind::Virtual {
            generation_id: true,
        };
        for host in [HostKind::BareMetal, guest, HostKind::Unknown] {
            let not_requested = Err(SnapshotsPossible::NotRequested);
            assert_eq!(establish(false, true, host), not_requested);
            assert_eq!(establish(true, true, host), Ok(()));
        }
        assert_eq!(establish(true, false, HostKind::BareMetal), Ok(()));
        for host in [guest, HostKind::Unknown] {
            let refused = Err(SnapshotsPossible::NotExcluded(host));
            assert_eq!(establish(true, false, host), refused);
        }
        assert_eq!(
            SnapshotStatement::default(),
            SnapshotStatement {
                armed_nonces: false,
                snapshots_excluded: false,
            }
        );
    }
}
