//! Two hosts on one machine, for tests that want interfaces of their own.
//!
//! Without the rights for network namespaces, or without `ip`, a test says so on stderr and passes.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::udp::InterfaceName;
use crate::until;

pub(crate) const NEAR: &str = "10.77.0.1";
pub(crate) const FAR: &str = "10.77.0.2";
pub(crate) const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Two network namespaces joined by a pair of virtual cards: `near`, where datagrams are received, and `far`.
///
/// Belongs to its thread, which it leaves in the near namespace; use it through [`in_lab`].
pub(crate) struct Lab {
    near: File,
    far: File,
    pub(crate) near_name: InterfaceName,
    pub(crate) far_name: InterfaceName,
    far_index: u32,
}

/// Runs `test` on a thread of its own in a new lab.
pub(crate) fn in_lab(test: impl FnOnce(&Lab) + Send) {
    in_lab_of(1, test);
}

/// As [`in_lab`], with cards of that many queues.
pub(crate) fn in_lab_of(queue_count: u32, test: impl FnOnce(&Lab) + Send) {
    std::thread::scope(|scope| {
        let run = scope.spawn(|| match Lab::build(queue_count) {
            Ok(lab) => test(&lab),
            Err(why) => eprintln!("skipped: {why}"),
        });
        if let Err(panic) = run.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

impl Lab {
    fn build(queue_count: u32) -> Result<Self, String> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let (near_name, far_name) = (format!("near{number}"), format!("far{number}"));
        let queues = format!("numrxqueues {queue_count} numtxqueues {queue_count}");
        let near = new_namespace()?;
        ip("link set lo up")?;
        let far = new_namespace()?;
        ip(&format!(
            "link add {far_name} address 02:00:00:00:00:02 {queues} type veth \
             peer name {near_name} address 02:00:00:00:00:01 {queues}"
        ))?;
        let near_path = format!("/proc/{}/fd/{}", std::process::id(), near.as_raw_fd());
        ip(&format!("link set {near_name} netns {near_path}"))?;
        ip(&format!("addr add {FAR}/24 dev {far_name}"))?;
        ip(&format!("link set {far_name} up"))?;
        ip(&format!(
            "neigh add {NEAR} lladdr 02:00:00:00:00:01 dev {far_name} nud permanent"
        ))?;
        let far_name: InterfaceName = far_name.parse().unwrap();
        let far_index = far_name.index().unwrap();
        let lab = Self {
            near,
            far,
            near_name: near_name.parse().unwrap(),
            far_name,
            far_index,
        };
        lab.enter(&lab.near);
        ip(&format!("addr add {NEAR}/24 dev {near_name}"))?;
        ip(&format!("link set {near_name} up"))?;
        ip(&format!(
            "neigh add {FAR} lladdr 02:00:00:00:00:02 dev {near_name} nud permanent"
        ))?;
        until("the near card is up", || is_up(&near_name));
        lab.far(|| until("the far card is up", || is_up(far_name.as_str())));
        Ok(lab)
    }

    fn enter(&self, namespace: &File) {
        // SAFETY: moves this thread alone into a namespace it made.
        let moved = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(moved, 0);
    }

    /// Runs `act` in the far namespace; sockets stay where they were made.
    pub(crate) fn far<T>(&self, act: impl FnOnce() -> T) -> T {
        self.enter(&self.far);
        let result = act();
        self.enter(&self.near);
        result
    }

    pub(crate) fn far_socket(&self, to_port: u16) -> UdpSocket {
        self.far(|| {
            let socket = UdpSocket::bind((FAR, 0)).unwrap();
            socket.connect((NEAR, to_port)).unwrap();
            socket
        })
    }

    /// A socket on the far card that sends frames as they are.
    pub(crate) fn far_wire(&self) -> Wire {
        // SAFETY: a plain system call; the descriptor is new and nobody else's.
        let socket = self.far(|| unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
            assert!(fd >= 0);
            OwnedFd::from_raw_fd(fd)
        });
        Wire {
            socket,
            index: self.far_index,
        }
    }
}

pub(crate) struct Wire {
    socket: OwnedFd,
    index: u32,
}

impl Wire {
    pub(crate) fn send(&self, frame: &[u8]) {
        // SAFETY: zero bytes are a value of the type.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = self.index as i32;
        // SAFETY: frame and address are live and as long as said.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const to).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        assert_eq!(sent, frame.len() as isize, "{}", io::Error::last_os_error());
    }
}

/// Moves this thread into a network namespace of its own.
fn new_namespace() -> Result<File, String> {
    // SAFETY: changes this thread alone.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(File::open("/proc/thread-self/ns/net").unwrap()),
        _ => Err(format!(
            "no network namespace: {}",
            io::Error::last_os_error()
        )),
    }
}

/// Until the kernel has noticed the carrier it drops what is sent.
fn is_up(name: &str) -> bool {
    ip(&format!("-o link show dev {name}"))
        .is_ok_and(|said| said.contains("state UP") && !said.contains("qdisc noop "))
}

pub(crate) fn ip(words: &str) -> Result<String, String> {
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
