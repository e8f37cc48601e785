//! Interfaces and addresses that sources name: whether this host has them.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;

use shred_source::XdpConfig;
use shred_source::udp::Interface;
use shred_source::xdp::Wish;

use super::checks::{finding, ok};
use super::{Finding, Level};
use crate::config::{Opening, Plan};

/// `IFF_LOOPBACK`. Source: `linux/if.h`.
const FLAG_LOOPBACK: u32 = 0x8;
/// Kinds of devices whose driver has no hook for a program. Source: Linux, no `ndo_bpf` in `net/bridge/br_device.c`,
/// `net/8021q/vlan_dev.c`, `drivers/net/macvlan.c` and `drivers/net/vxlan/vxlan_core.c`.
const WITHOUT_NATIVE: [&str; 4] = ["bridge", "vlan", "macvlan", "vxlan"];

/// What sources name and this host has not: the key, and what is lacking. Interfaces are looked up below `root`.
pub(super) fn lacking(root: &Path, plan: &Plan) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, source) in plan.ingest.sources.iter().enumerate() {
        let mut add = |key: &str, why: String| {
            found.push((format!("ingest.sources[{index}].{key}"), why));
        };
        let named = match &source.opening {
            Opening::Udp(udp) => udp.interface,
            Opening::IoUring(uring) => uring.socket.interface,
            Opening::Xdp(xdp) => {
                if let Some((key, why)) = lacking_of_card(root, xdp) {
                    add(key, why);
                }
                continue;
            }
            Opening::Quic(_) => continue,
        };
        match named {
            Interface::Any => {}
            Interface::Name(name) => {
                if !has_interface(root, name.as_str()) {
                    add("interface", no_interface(name.as_str()));
                }
            }
            Interface::Address(ip) => {
                if !is_own(ip) {
                    add("interface", format!("no interface has the address {ip}"));
                }
            }
        }
    }
    found
}

/// [`lacking`] of this host.
pub(crate) fn lacking_interfaces(plan: &Plan) -> Vec<(String, String)> {
    lacking(Path::new("/"), plan)
}

fn lacking_of_card(root: &Path, xdp: &XdpConfig) -> Option<(&'static str, String)> {
    let name = xdp.interface.as_str();
    if !has_interface(root, name) {
        return Some(("interface", no_interface(name)));
    }
    // A container may hide them.
    if let Some(queues) = receive_queues(root, name)
        && xdp.queue >= queues
    {
        let why = format!(
            "{name} has {queues} receive queues, the first of which is 0 (`ethtool -l {name}`)"
        );
        return Some(("queue", why));
    }
    if xdp.native == Wish::Require
        && let Some(kind) = kind_without_native(root, name)
    {
        let why = format!("{name} is a {kind}, which has no driver's hook; write \"generic\"");
        return Some(("mode", why));
    }
    None
}

fn no_interface(name: &str) -> String {
    format!("there is no interface {name}; `ip link` shows them")
}

fn has_interface(root: &Path, name: &str) -> bool {
    root.join("sys/class/net").join(name).exists()
}

fn receive_queues(root: &Path, name: &str) -> Option<u32> {
    let queues = root.join("sys/class/net").join(name).join("queues");
    let entries = std::fs::read_dir(queues).ok()?.flatten();
    let received = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"rx-"));
    u32::try_from(received.count())
        .ok()
        .filter(|count| *count > 0)
}

fn kind_without_native(root: &Path, name: &str) -> Option<String> {
    let read = |file: &str| {
        let path = root.join("sys/class/net").join(name).join(file);
        std::fs::read_to_string(path).unwrap_or_default()
    };
    let flags = read("flags");
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or_default();
    if flags & FLAG_LOOPBACK != 0 {
        return Some("loopback".to_owned());
    }
    let about = read("uevent");
    let kind = about
        .lines()
        .find_map(|line| line.strip_prefix("DEVTYPE="))?;
    WITHOUT_NATIVE.contains(&kind).then(|| kind.to_owned())
}

/// Whether a socket of this host can have the address.
fn is_own(ip: IpAddr) -> bool {
    !matches!(UdpSocket::bind((ip, 0)), Err(error) if error.kind() == ErrorKind::AddrNotAvailable)
}

/// Whether every source, and the page, could bind its address, now.
pub(super) fn addresses(plan: &Plan) -> Option<Finding> {
    let sources = plan.ingest.sources.iter();
    let bound = sources
        .filter_map(|source| {
            let bind = match &source.opening {
                Opening::Udp(udp) => udp.bind,
                Opening::IoUring(uring) => uring.socket.bind,
                Opening::Quic(quic) => quic.bind,
                Opening::Xdp(_) => return None,
            };
            Some((format!("source {}", source.name), bind))
        })
        // A group's address belongs to nobody, and to everybody at once.
        .filter(|(_, bind)| !bind.ip().is_multicast())
        .map(|(what, bind)| (what, bind, try_bind(bind), 'u'));
    let page = plan.http.map(|bind| {
        let tried = TcpListener::bind(bind).map(drop);
        ("http.bind".to_owned(), bind, tried, 't')
    });
    let tried: Vec<_> = bound.chain(page).collect();
    if tried.is_empty() {
        return None;
    }
    let wanted = "an address of this host and a free port for every source and the page";
    let (mut level, mut measured, mut fix) = (Level::Ok, Vec::new(), String::new());
    for (what, bind, tried, protocol) in tried {
        let Err(error) = tried else { continue };
        let port = bind.port();
        let (worse, fixed) = match error.kind() {
            ErrorKind::AddrNotAvailable => {
                let fix = "write one that `ip addr` shows, or 0.0.0.0".to_owned();
                (Level::Fail, fix)
            }
            ErrorKind::AddrInUse if UnixStream::connect(&plan.admin.socket).is_ok() => (
                Level::Warn,
                format!(
                    "none if it is the service that answers on {}; otherwise find who has it: ss -l{protocol}np 'sport = :{port}'",
                    plan.admin.socket.display()
                ),
            ),
            ErrorKind::AddrInUse => (
                Level::Fail,
                format!(
                    "find who has it: ss -l{protocol}np 'sport = :{port}'; or use another port"
                ),
            ),
            ErrorKind::PermissionDenied => (
                Level::Fail,
                "use a port from 1024 on, or grant CAP_NET_BIND_SERVICE".to_owned(),
            ),
            _ => (Level::Fail, "write another address".to_owned()),
        };
        measured.push(format!("{what}, {bind}: {error}"));
        if worse > level {
            (level, fix) = (worse, fixed);
        }
    }
    if level == Level::Ok {
        return Some(ok("bind", "every address is free".to_owned()));
    }
    Some(finding("bind", level, measured.join("; "), wanted, fix))
}

fn try_bind(bind: SocketAddr) -> std::io::Result<()> {
    // A source's own socket of IPv6 takes no IPv4; this one would, so of the port nothing can be told by it.
    let port = if bind == SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, bind.port())) {
        0
    } else {
        bind.port()
    };
    UdpSocket::bind((bind.ip(), port)).map(drop)
}
