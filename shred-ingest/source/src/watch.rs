//! Whether a source can still receive: what has become of the interface it was opened on.
//!
//! No source can tell by itself. A socket whose interface goes down, or away, is one on which nothing arrives; and
//! what was made for an interface (an XDP program, the membership in a multicast group) goes with it and does not come
//! back with another of the same name. So a slow thread asks, once a second or so, beside the source and not in it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

use crate::socket::{Interface, InterfaceName, UdpConfig, name_of_address};
use crate::xdp::XdpConfig;

/// What has become of an interface, seen from the source that was opened on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterfaceState {
    /// As it was.
    Up,
    /// Up, but its driver sees no link: the cable, or the other end of it. Receives again when that is back.
    NoCarrier,
    /// Taken down. Receives again when it is up.
    Down,
    /// There, without the address that the source is bound to. Receives again when the address is back.
    NoAddress,
    /// Removed, or moved to another network namespace.
    Gone,
    /// Another one has its name, or it has come back: what the source had set up on it went with the first. Stays so
    /// until the source is opened anew.
    Replaced,
}

impl InterfaceState {
    /// One word for records.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::NoCarrier => "no_carrier",
            Self::Down => "down",
            Self::NoAddress => "no_address",
            Self::Gone => "gone",
            Self::Replaced => "replaced",
        }
    }

    /// True when datagrams can arrive.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::Up)
    }
}

/// Watches the interface of one source. Its text is for the operator: the state last seen, in words.
///
/// Made right after the source was opened, and in its network namespace. An interface that is removed and made again
/// between two checks is told by its number, which the kernel does not soon give again; one that was given its old
/// number on purpose, or was moved to another namespace and back, is told when a check falls between.
#[derive(Debug)]
pub struct InterfaceWatch {
    /// To ask through; it also keeps the namespace.
    socket: Socket,
    name: InterfaceName,
    tie: Tie,
    state: InterfaceState,
}

/// By what a source hangs on its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tie {
    /// It was set up on the interface of this number.
    Number(u32),
    /// It takes what is sent to this address, whichever interface has it.
    Address(IpAddr),
}

impl InterfaceWatch {
    /// Of a UDP source, over io_uring or not: the interface it has joined a group on, or that has the address it is
    /// bound to. `None` where there is no such one interface: bound to all addresses, to one that no interface has by
    /// itself (127.0.0.7), or the group was joined where the routes led.
    ///
    /// # Errors
    /// The kernel's answer when the interface is not there at all.
    pub fn of_udp(config: &UdpConfig) -> io::Result<Option<Self>> {
        let bound = config.bind.ip();
        if config.multicast.is_some() {
            let name = config.interface.name()?;
            return name.map(Self::of_name).transpose();
        }
        if bound.is_unspecified() || bound.is_multicast() {
            return Ok(None);
        }
        match Interface::Address(bound).name() {
            Ok(Some(name)) => Self::new(name, |_| Ok(Tie::Address(bound))).map(Some),
            _ => Ok(None),
        }
    }

    /// Of a source over AF_XDP.
    ///
    /// # Errors
    /// As [`InterfaceWatch::of_udp`].
    pub fn of_xdp(config: &XdpConfig) -> io::Result<Self> {
        Self::of_name(config.interface)
    }

    fn of_name(name: InterfaceName) -> io::Result<Self> {
        Self::new(name, |socket| {
            let gone = || io::Error::from_raw_os_error(libc::ENODEV);
            number_of(socket, &name).map(Tie::Number).ok_or_else(gone)
        })
    }

    fn new(name: InterfaceName, tie: impl FnOnce(&Socket) -> io::Result<Tie>) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        let tie = tie(&socket)?;
        let mut watch = Self {
            socket,
            name,
            tie,
            state: InterfaceState::Up,
        };
        watch.check();
        Ok(watch)
    }

    /// Asks the kernel. Two or three system calls, a dozen for a source that is bound to an address: for a slow thread.
    pub fn check(&mut self) -> InterfaceState {
        self.state = match self.tie {
            Tie::Number(number) => self.look_for(number),
            Tie::Address(address) => self.look_for_address(address),
        };
        self.state
    }

    /// What [`InterfaceWatch::check`] last found.
    #[must_use]
    pub const fn state(&self) -> InterfaceState {
        self.state
    }

    fn look_for(&mut self, number: u32) -> InterfaceState {
        use InterfaceState::{Gone, Replaced};
        let was_away = matches!(self.state, Gone | Replaced);
        match name_of(&self.socket, number) {
            // An interface that has come back from elsewhere may have its number again.
            Some(_) if was_away => Replaced,
            Some(name) => {
                // It may have been renamed, which changes nothing else.
                self.name = name;
                self.flags().unwrap_or(Gone)
            }
            None if self.state == Replaced => Replaced,
            None => number_of(&self.socket, &self.name).map_or(Gone, |_| Replaced),
        }
    }

    fn look_for_address(&mut self, address: IpAddr) -> InterfaceState {
        use InterfaceState::{Gone, NoAddress, Up};
        if let Ok(name) = name_of_address(address) {
            self.name = name;
            return self.flags().unwrap_or(Gone);
        }
        match self.flags() {
            // A card that is down may have lost its address with that, and is to be told as down.
            Some(Up) => NoAddress,
            other => other.unwrap_or(Gone),
        }
    }

    /// What the interface says of itself; `None` where there is none of that name.
    fn flags(&self) -> Option<InterfaceState> {
        let answer = ask(&self.socket, libc::SIOCGIFFLAGS, self.name.request())?;
        // SAFETY: the kernel has filled in the flags.
        let flags = i32::from(unsafe { answer.ifr_ifru.ifru_flags });
        Some(match flags {
            flags if flags & libc::IFF_UP == 0 => InterfaceState::Down,
            flags if flags & libc::IFF_RUNNING == 0 => InterfaceState::NoCarrier,
            _ => InterfaceState::Up,
        })
    }
}

impl fmt::Display for InterfaceWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (self.state, self.tie) {
            (InterfaceState::Up, _) => write!(f, "{name} is up"),
            (InterfaceState::NoCarrier, _) => write!(f, "{name} has no carrier"),
            (InterfaceState::Down, _) => write!(f, "{name} is down"),
            (InterfaceState::NoAddress, Tie::Address(address)) => {
                write!(f, "{name} has {address} no more")
            }
            (InterfaceState::NoAddress, _) => write!(f, "{name} has its address no more"),
            (InterfaceState::Gone, _) => write!(f, "{name} is gone"),
            (InterfaceState::Replaced, _) => write!(
                f,
                "{name} is another interface now: restart to receive from it"
            ),
        }
    }
}

fn number_of(socket: &Socket, name: &InterfaceName) -> Option<u32> {
    let answer = ask(socket, libc::SIOCGIFINDEX, name.request())?;
    // SAFETY: the kernel has filled in the number.
    u32::try_from(unsafe { answer.ifr_ifru.ifru_ifindex }).ok()
}

fn name_of(socket: &Socket, number: u32) -> Option<InterfaceName> {
    // SAFETY: zero bytes are a value of the type, which is plain data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_ifindex = i32::try_from(number).ok()?;
    InterfaceName::told(&ask(socket, libc::SIOCGIFNAME, request)?)
}

/// `None` when the kernel knows no such interface, which is all that these requests can fail for.
fn ask(socket: &Socket, what: libc::c_ulong, mut request: libc::ifreq) -> Option<libc::ifreq> {
    // SAFETY: the request is live and of the kind that these commands read and fill in.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), what as _, &raw mut request) };
    (answer == 0).then_some(request)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::InterfaceState::{Down, Gone, NoAddress, NoCarrier, Replaced, Up};
    use super::*;
    use crate::lab::{NEAR, in_lab, ip};
    use crate::udp::Multicast;
    use crate::until;

    fn group_on(interface: Interface) -> UdpConfig {
        UdpConfig {
            multicast: Some(Multicast {
                group: "239.7.7.7".parse().unwrap(),
                sender: None,
            }),
            interface,
            ..UdpConfig::new("239.7.7.7:7777".parse().unwrap())
        }
    }

    fn bound_to(ip: &str) -> UdpConfig {
        UdpConfig::new((ip.parse::<IpAddr>().unwrap(), 7777).into())
    }

    /// Goal: each thing that can happen to an interface is told, and what it means for each kind of source.
    #[test]
    fn what_becomes_of_an_interface_is_seen() {
        in_lab(|lab| {
            let name = lab.near_name;
            let by_address = Interface::Address(NEAR.parse().unwrap());
            let watch_udp = |config| InterfaceWatch::of_udp(&config).unwrap().unwrap();
            let mut tied = [
                InterfaceWatch::of_xdp(&XdpConfig::new(name, vec![1])).unwrap(),
                watch_udp(group_on(Interface::Name(name))),
                watch_udp(group_on(by_address)),
            ];
            let mut bound = watch_udp(bound_to(NEAR));
            let mut check = |of_tied, of_bound| {
                let seen = tied.each_mut().map(InterfaceWatch::check);
                assert_eq!((seen, bound.check()), ([of_tied; 3], of_bound));
                assert_eq!(tied[0].state(), of_tied);
                [tied[0].to_string(), bound.to_string()]
            };
            check(Up, Up);

            // The kernel sees to carriers in the background.
            let mut own = InterfaceWatch::of_xdp(&XdpConfig::new(name, vec![1])).unwrap();
            lab.far(|| ip(&format!("link set {} down", lab.far_name)).unwrap());
            until("the carrier is lost", || own.check() == NoCarrier);
            let said = check(NoCarrier, NoCarrier);
            assert_eq!(said[0], format!("{name} has no carrier"));
            lab.far(|| ip(&format!("link set {} up", lab.far_name)).unwrap());
            until("the carrier is back", || own.check() == Up);
            check(Up, Up);

            ip(&format!("link set {name} down")).unwrap();
            assert_eq!(check(Down, Down)[1], format!("{name} is down"));
            // A new name is the same interface.
            ip(&format!("link set {name} name renamed")).unwrap();
            assert_eq!(check(Down, Down)[0], "renamed is down");
            ip(&format!("link set renamed name {name}")).unwrap();
            ip(&format!("link set {name} up")).unwrap();
            until("the carrier is back", || own.check() == Up);
            check(Up, Up);

            ip(&format!("addr del {NEAR}/24 dev {name}")).unwrap();
            assert_eq!(
                check(Up, NoAddress)[1],
                format!("{name} has {NEAR} no more")
            );
            ip(&format!("addr add {NEAR}/24 dev {name}")).unwrap();
            check(Up, Up);

            // Removed and made again, once seen to be away and with the same number, once too fast for that.
            let number = name.index().unwrap();
            ip(&format!("link del {name}")).unwrap();
            let said = check(Gone, Gone);
            assert_eq!(said[0], format!("{name} is gone"));
            let anew = |number: u32| {
                let (other, kind) = (number + 1, "type veth peer name other");
                ip(&format!(
                    "link add {name} index {number} {kind} index {other}"
                ))
                .unwrap();
                ip("link set other up").unwrap();
            };
            anew(number);
            assert_eq!(name.index().unwrap(), number);
            let said = check(Replaced, Down);
            assert_eq!(
                said[0],
                format!("{name} is another interface now: restart to receive from it")
            );
            ip(&format!("addr add {NEAR}/24 dev {name}")).unwrap();
            ip(&format!("link set {name} up")).unwrap();
            let mut fresh = InterfaceWatch::of_xdp(&XdpConfig::new(name, vec![1])).unwrap();
            until("the carrier is there", || fresh.check() == Up);
            // What is bound to the address receives again, the others do not.
            check(Replaced, Up);
            ip(&format!("link del {name}")).unwrap();
            anew(number + 10);
            assert_eq!(fresh.check(), Replaced);
            ip(&format!("link del {name}")).unwrap();
            assert_eq!(fresh.check(), Replaced, "until the source is opened anew");
        });
    }

    #[test]
    fn only_where_there_is_one_interface_is_there_something_to_watch() {
        for config in [
            bound_to("0.0.0.0"),
            bound_to("::"),
            bound_to("127.0.0.7"),
            group_on(Interface::Any),
        ] {
            assert!(InterfaceWatch::of_udp(&config).unwrap().is_none());
        }
        let nowhere: InterfaceName = "nosuch0".parse().unwrap();
        let error = InterfaceWatch::of_xdp(&XdpConfig::new(nowhere, vec![1])).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        assert!(InterfaceWatch::of_udp(&group_on(Interface::Name(nowhere))).is_err());
        let own = InterfaceWatch::of_udp(&bound_to("127.0.0.1")).unwrap();
        assert!(own.unwrap().to_string().starts_with("lo is "));
    }
}
