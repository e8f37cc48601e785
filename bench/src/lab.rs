//! Two hosts on one machine: two network namespaces joined by a pair of virtual cards.

use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};

/// The receiving host's address.
pub const NEAR: &str = "10.79.0.1";
/// The receiving host's card.
pub const NEAR_CARD: &str = "near";
const FAR: &str = "10.79.0.2";
const FAR_CARD: &str = "far";
const NEAR_MAC: &str = "02:00:00:00:02:01";
const FAR_MAC: &str = "02:00:00:00:02:02";
/// For a card to notice its carrier.
const PATIENCE: Duration = Duration::from_secs(10);

/// The two hosts. Belongs to its thread, which is on the near one.
pub struct Lab {
    near: File,
    far: File,
}

/// Runs `act` on the near host, on a thread of its own; `Err` says why there can be no such host here.
///
/// # Errors
/// No rights for network namespaces, or no `ip`.
///
/// # Panics
/// As `act` does.
pub fn in_lab<T: Send>(act: impl FnOnce(&Lab) -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let run = scope.spawn(|| Lab::build().map(|lab| act(&lab)));
        run.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Lab {
    fn build() -> Result<Self, String> {
        let near = new_namespace()?;
        ip("link set lo up")?;
        let far = new_namespace()?;
        ip(&format!(
            "link add {FAR_CARD} address {FAR_MAC} type veth peer name {NEAR_CARD} address {NEAR_MAC}"
        ))?;
        let near_path = format!("/proc/{}/fd/{}", std::process::id(), near.as_raw_fd());
        ip(&format!("link set {NEAR_CARD} netns {near_path}"))?;
        bring_up(FAR_CARD, FAR, NEAR, NEAR_MAC)?;
        let lab = Self { near, far };
        enter(&lab.near)?;
        bring_up(NEAR_CARD, NEAR, FAR, FAR_MAC)?;
        until_up(NEAR_CARD)?;
        lab.far(|| until_up(FAR_CARD))??;
        Ok(lab)
    }

    fn far<T>(&self, act: impl FnOnce() -> T) -> Result<T, String> {
        enter(&self.far)?;
        let result = act();
        enter(&self.near)?;
        Ok(result)
    }

    /// A socket on the far host that sends to `port` of the near one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn far_socket(&self, port: u16) -> Result<UdpSocket, String> {
        let socket = self.far(|| {
            let socket = UdpSocket::bind((FAR, 0))?;
            socket.connect((NEAR, port))?;
            Ok::<_, io::Error>(socket)
        })?;
        socket.map_err(|error| error.to_string())
    }
}

/// Moves this thread into `namespace`.
fn enter(namespace: &File) -> Result<(), String> {
    // SAFETY: moves this thread alone, into a namespace it made.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(format!("setns: {}", io::Error::last_os_error())),
    }
}

/// Moves this thread into a network namespace of its own.
fn new_namespace() -> Result<File, String> {
    // SAFETY: changes this thread alone.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string()),
        _ => Err(format!(
            "no network namespace: {}",
            io::Error::last_os_error()
        )),
    }
}

fn bring_up(card: &str, address: &str, other: &str, other_mac: &str) -> Result<(), String> {
    ip(&format!("addr add {address}/24 dev {card}"))?;
    ip(&format!("link set {card} up"))?;
    ip(&format!(
        "neigh add {other} lladdr {other_mac} dev {card} nud permanent"
    ))?;
    Ok(())
}

/// Until the kernel has noticed the carrier it drops what is sent.
fn until_up(card: &str) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let said = ip(&format!("-o link show dev {card}"))?;
        if said.contains("state UP") && !said.contains("qdisc noop ") {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{card} does not come up: {said}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ip(words: &str) -> Result<String, String> {
    let done = Command::new("ip").args(words.split_whitespace()).output();
    let done = done.map_err(|error| format!("ip: {error}"))?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(format!(
            "ip {words}: {}",
            String::from_utf8_lossy(&done.stderr)
        )),
    }
}
