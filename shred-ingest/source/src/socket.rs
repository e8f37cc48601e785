//! The socket under the UDP sources: how it is opened, and what its control messages say.

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use shred_wire::Nanos;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::SourceCounters;
use crate::arena::Descriptor;

/// How a socket is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpConfig {
    /// Address and port datagrams arrive on, IPv4 or IPv6. For multicast the group's own address takes only what
    /// is sent to the group; the unspecified address takes unicast to the port as well.
    pub bind: SocketAddr,
    /// Bytes the kernel may hold for us. Forced beyond `net.core.rmem_max` where we may (`CAP_NET_ADMIN`).
    pub receive_buffer_len: usize,
    /// `SO_REUSEADDR`. Off by default: a second process on the same port would take datagrams silently. A socket
    /// bound to a multicast group always sets it: there each process gets its own copy.
    pub reuse_address: bool,
    /// `SO_BUSY_POLL`: microseconds a receive polls the card's queue. `None` leaves the system's setting.
    pub busy_poll_us: Option<u32>,
    /// `SO_PREFER_BUSY_POLL`: the card's interrupts stay off while the socket is polled. Of use only with
    /// `busy_poll_us` and with `gro_flush_timeout` and `napi_defer_hard_irqs` set on the interface.
    pub prefer_busy_poll: bool,
    /// The interface a multicast group is joined on and whose card stamps.
    pub interface: Interface,
    /// A group to join.
    pub multicast: Option<Multicast>,
    /// Ask the card for receive stamps. Where it gives none the kernel's are used, and [`UdpFacts`] says why.
    pub hardware_stamps: bool,
}

impl UdpConfig {
    /// The usual settings for `bind`: 32 MiB of buffer. The kernel charges its own overhead against it, so the time
    /// it rides out is to be read from `kernel_dropped` under load, not computed from payload bytes.
    #[must_use]
    pub const fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            receive_buffer_len: 32 << 20,
            reuse_address: false,
            busy_poll_us: None,
            prefer_busy_poll: false,
            interface: Interface::Any,
            multicast: None,
            hardware_stamps: false,
        }
    }
}

/// A multicast group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multicast {
    /// The group's address, of the family of [`UdpConfig::bind`].
    pub group: IpAddr,
    /// Take the group from this sender alone (RFC 4607), or from any.
    pub sender: Option<IpAddr>,
}

/// A network interface as an operator names it. Parsed from a name (`eth0`) or an address it has (`10.0.0.7`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// The one the kernel's routes lead to.
    #[default]
    Any,
    /// By name.
    Name(InterfaceName),
    /// The one that has this address.
    Address(IpAddr),
}

/// An interface's name: 1 to 15 bytes, none of them a slash, white space or zero, and neither `.` nor `..`.
/// Source: Linux `net/core/dev.c` (`dev_valid_name`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InterfaceName([u8; libc::IFNAMSIZ]);

/// What is no interface's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no interface: neither an IP address nor a name of 1 to 15 bytes without slash or space"
)]
pub struct NoInterface(String);

impl FromStr for InterfaceName {
    type Err = NoInterface;

    fn from_str(text: &str) -> Result<Self, NoInterface> {
        let valid = (1..libc::IFNAMSIZ).contains(&text.len())
            && !matches!(text, "." | "..")
            && !text.bytes().any(|byte| {
                byte == 0 || byte == b'/' || byte == b':' || byte.is_ascii_whitespace()
            });
        if !valid {
            return Err(NoInterface(text.to_owned()));
        }
        let mut name = [0; libc::IFNAMSIZ];
        name[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(name))
    }
}

impl InterfaceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&byte| byte == 0).unwrap_or(0);
        // Made from a `str` and never cut.
        std::str::from_utf8(&self.0[..len]).unwrap_or_default()
    }

    /// The name that the kernel has written where [`InterfaceName::request`] puts it.
    pub(crate) fn told(request: &libc::ifreq) -> Option<Self> {
        let bytes = request.ifr_name.map(|byte| byte as u8);
        let name = CStr::from_bytes_until_nul(&bytes).ok()?;
        name.to_str().ok()?.parse().ok()
    }

    /// The interface's number in this network namespace.
    pub(crate) fn index(&self) -> io::Result<u32> {
        // SAFETY: the bytes end with a zero, as the last one always is one.
        match unsafe { libc::if_nametoindex(self.0.as_ptr().cast()) } {
            0 => Err(io::Error::last_os_error()),
            index => Ok(index),
        }
    }
}

impl InterfaceName {
    /// A request about this interface, for `ioctl`.
    pub(crate) fn request(&self) -> libc::ifreq {
        // SAFETY: zero bytes are a value of the type, which is plain data.
        let mut request: libc::ifreq = unsafe { zeroed() };
        for (to, &from) in request.ifr_name.iter_mut().zip(&self.0) {
            *to = from as libc::c_char;
        }
        request
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Interface {
    type Err = NoInterface;

    fn from_str(text: &str) -> Result<Self, NoInterface> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

impl Interface {
    /// The interface's name, or `None` where the kernel chooses.
    pub(crate) fn name(self) -> io::Result<Option<InterfaceName>> {
        match self {
            Self::Any => Ok(None),
            Self::Name(name) => Ok(Some(name)),
            Self::Address(address) => name_of_address(address).map(Some),
        }
    }

    /// The interface's number, 0 where the kernel chooses.
    fn index(self) -> io::Result<u32> {
        self.name()?.map_or(Ok(0), |name| name.index())
    }
}

/// The interface that has `address`.
pub(crate) fn name_of_address(address: IpAddr) -> io::Result<InterfaceName> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `getifaddrs` fills in the list, which is freed below and nowhere else.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = None;
    let mut at = list;
    while !at.is_null() && found.is_none() {
        // SAFETY: `at` is an entry of the list; its name is a C string and its address, where there is one, as long
        // as its family says.
        unsafe {
            if !(*at).ifa_addr.is_null() && ip_of((*at).ifa_addr) == Some(address) {
                found = CStr::from_ptr((*at).ifa_name).to_str().ok().map(str::parse);
            }
            at = (*at).ifa_next;
        }
    }
    // SAFETY: came from `getifaddrs`.
    unsafe { libc::freeifaddrs(list) };
    match found {
        Some(Ok(name)) => Ok(name),
        _ => Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL)),
    }
}

/// # Safety
/// `address` points at a socket address that is as long as its family says.
unsafe fn ip_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: by the caller's promise; the fields are read where they are, whatever the alignment.
    unsafe {
        match i32::from((*address).sa_family) {
            libc::AF_INET => {
                let address = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let address = address.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

/// What became of a [`UdpConfig`] on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpFacts {
    /// Where the socket is bound; the port the kernel chose when port 0 was asked for.
    pub local: SocketAddr,
    /// Bytes of buffer the kernel granted (it doubles what is asked, and counts its own overhead against it).
    pub receive_buffer_len: usize,
    /// True when the buffer could be forced beyond `net.core.rmem_max`.
    pub receive_buffer_forced: bool,
    /// `errno` of a refused `SO_BUSY_POLL`.
    pub busy_poll_errno: Option<i32>,
    /// `errno` of a refused `SO_PREFER_BUSY_POLL`.
    pub prefer_busy_poll_errno: Option<i32>,
    /// Who stamps.
    pub hardware_stamps: HardwareStamps,
}

/// What became of a wish for hardware stamps. Its text is for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardwareStamps {
    /// Not asked for: the kernel stamps.
    NotAsked,
    /// The card stamps; what it does not stamp the kernel does.
    On,
    /// The kernel stamps, because this step was refused with this `errno`.
    Refused {
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        errno: i32,
    },
}

impl fmt::Display for HardwareStamps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotAsked => f.write_str("stamps are the kernel's"),
            Self::On => f.write_str("stamps are the card's"),
            Self::Refused { step, errno } => {
                let answer = io::Error::from_raw_os_error(errno);
                write!(f, "stamps are the kernel's: {step}: {answer}")?;
                f.write_str(match errno {
                    libc::EOPNOTSUPP => {
                        "; the driver stamps no received packets (see `ethtool -T`)"
                    }
                    libc::EPERM => "; the card's stamping is set with CAP_NET_ADMIN",
                    libc::ERANGE => "; the card cannot stamp every packet (see `ethtool -T`)",
                    _ => "",
                })
            }
        }
    }
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("udp {bind}: {step}: {source}{}{check}", if check.is_empty() { "" } else { "; " })]
pub struct UdpError {
    /// The address asked for.
    pub bind: SocketAddr,
    /// What was being done.
    pub step: &'static str,
    /// The kernel's answer.
    pub source: io::Error,
    /// What to look at; empty where the answer says it all.
    pub check: &'static str,
}

const STEP_BIND: &str = "bind";
const STEP_INTERFACE: &str = "find the interface";
const STEP_JOIN: &str = "join the multicast group";

/// What an operator should look at when `step` was answered with `errno`.
fn check_of(step: &str, errno: Option<i32>) -> &'static str {
    match (step, errno) {
        (STEP_BIND, Some(libc::EADDRINUSE)) => "another process has the port: `ss -ulnp` names it",
        (STEP_BIND, Some(libc::EADDRNOTAVAIL)) => {
            "no interface has this address: `ip addr` lists them"
        }
        (STEP_BIND, Some(libc::EACCES)) => "ports below 1024 want CAP_NET_BIND_SERVICE",
        (STEP_INTERFACE, Some(libc::ENODEV | libc::EADDRNOTAVAIL)) => {
            "`ip addr` lists the interfaces and their addresses"
        }
        (STEP_JOIN, Some(libc::ENODEV | libc::EADDRNOTAVAIL)) => {
            "name the interface, or give the host a route to the group (`ip route get GROUP`)"
        }
        (STEP_JOIN, Some(libc::ENOBUFS)) => {
            "raise net.ipv4.igmp_max_memberships or net.ipv4.igmp_max_msf"
        }
        (STEP_JOIN, Some(libc::EADDRINUSE)) => "the group was joined on this interface already",
        _ => "",
    }
}

/// Opens, sets and binds the socket, and joins the group if there is one.
pub(crate) fn open_socket(config: &UdpConfig) -> Result<(Socket, UdpFacts), UdpError> {
    let failed = |step| {
        move |source: io::Error| UdpError {
            bind: config.bind,
            step,
            check: check_of(step, source.raw_os_error()),
            source,
        }
    };
    check_families(config)?;
    let socket = Socket::new(
        Domain::for_address(config.bind),
        Type::DGRAM,
        Some(Protocol::UDP),
    )
    .map_err(failed("open"))?;
    let fd = socket.as_raw_fd();
    socket
        .set_nonblocking(true)
        .map_err(failed("set non-blocking"))?;
    if config.bind.is_ipv6() {
        // A source is one address; IPv4 has its own socket.
        socket.set_only_v6(true).map_err(failed("IPV6_V6ONLY"))?;
    }
    if config.reuse_address || config.bind.ip().is_multicast() {
        socket
            .set_reuse_address(true)
            .map_err(failed("SO_REUSEADDR"))?;
    }
    let asked_len = i32::try_from(config.receive_buffer_len).unwrap_or(i32::MAX);
    let receive_buffer_forced = set_option(fd, libc::SO_RCVBUFFORCE, asked_len).is_ok();
    if !receive_buffer_forced {
        set_option(fd, libc::SO_RCVBUF, asked_len).map_err(failed("SO_RCVBUF"))?;
    }
    // Before the socket is bound, so that no datagram comes without.
    set_option(fd, libc::SO_TIMESTAMPNS, 1).map_err(failed("SO_TIMESTAMPNS"))?;
    set_option(fd, libc::SO_RXQ_OVFL, 1).map_err(failed("SO_RXQ_OVFL"))?;
    let hardware_stamps = ask_the_card(fd, config);
    let (busy_poll_errno, prefer_busy_poll_errno) =
        set_busy_poll(fd, config.busy_poll_us, config.prefer_busy_poll);
    if config.multicast.is_some() {
        // Otherwise the socket is also given groups that other processes joined.
        take_joined_groups_only(fd, config.bind).map_err(failed("IP_MULTICAST_ALL"))?;
    }
    socket
        .bind(&SockAddr::from(config.bind))
        .map_err(failed(STEP_BIND))?;
    if let Some(multicast) = &config.multicast {
        let index = config.interface.index().map_err(failed(STEP_INTERFACE))?;
        join(fd, multicast, index).map_err(failed(STEP_JOIN))?;
    }
    let local = socket
        .local_addr()
        .map_err(failed("read the bound address"))?;
    let facts = UdpFacts {
        local: local.as_socket().unwrap_or(config.bind),
        receive_buffer_len: socket
            .recv_buffer_size()
            .map_err(failed("read SO_RCVBUF"))?,
        receive_buffer_forced,
        busy_poll_errno,
        prefer_busy_poll_errno,
        hardware_stamps,
    };
    Ok((socket, facts))
}

/// Refuses what the kernel would take and never deliver anything for.
fn check_families(config: &UdpConfig) -> Result<(), UdpError> {
    let bound = config.bind.ip();
    let check = match &config.multicast {
        None if bound.is_multicast() => {
            "the address is a multicast group: say that it is to be joined"
        }
        None => return Ok(()),
        Some(multicast) if !multicast.group.is_multicast() => "the group is no multicast address",
        Some(multicast)
            if multicast.group.is_ipv4() != bound.is_ipv4()
                || multicast
                    .sender
                    .is_some_and(|sender| sender.is_ipv4() != bound.is_ipv4()) =>
        {
            "bound address, group and sender must all be IPv4 or all IPv6"
        }
        Some(multicast) if bound.is_multicast() && bound != multicast.group => {
            "the bound address is another group than the one to join"
        }
        Some(_) => return Ok(()),
    };
    Err(UdpError {
        bind: config.bind,
        step: STEP_JOIN,
        source: io::ErrorKind::InvalidInput.into(),
        check,
    })
}

/// `errno` of the two options, where they were asked for and refused.
pub(crate) fn set_busy_poll(
    fd: RawFd,
    micros: Option<u32>,
    prefer: bool,
) -> (Option<i32>, Option<i32>) {
    let errno = |result: io::Result<()>| result.err().and_then(|error| error.raw_os_error());
    let busy = micros.map_or(Ok(()), |micros| {
        let micros = i32::try_from(micros).unwrap_or(i32::MAX);
        set_option(fd, libc::SO_BUSY_POLL, micros)
    });
    let preferred = match prefer {
        true => set_option(fd, libc::SO_PREFER_BUSY_POLL, 1),
        false => Ok(()),
    };
    (errno(busy), errno(preferred))
}

fn take_joined_groups_only(fd: RawFd, bind: SocketAddr) -> io::Result<()> {
    let off: i32 = 0;
    match bind {
        SocketAddr::V4(_) => set_at(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, &off),
        SocketAddr::V6(_) => set_at(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL, &off),
    }
}

/// The protocol-independent join of RFC 3678, by interface number.
pub(crate) fn join(fd: RawFd, multicast: &Multicast, index: u32) -> io::Result<()> {
    let level = match multicast.group {
        IpAddr::V4(_) => libc::IPPROTO_IP,
        IpAddr::V6(_) => libc::IPPROTO_IPV6,
    };
    // SAFETY: zero bytes are a value of both types, which are plain data.
    let (mut any, mut one): (libc::group_req, libc::group_source_req) =
        unsafe { (zeroed(), zeroed()) };
    match multicast.sender {
        None => {
            any.gr_interface = index;
            any.gr_group = storage(multicast.group);
            set_at(fd, level, libc::MCAST_JOIN_GROUP, &any)
        }
        Some(sender) => {
            one.gsr_interface = index;
            one.gsr_group = storage(multicast.group);
            one.gsr_source = storage(sender);
            set_at(fd, level, libc::MCAST_JOIN_SOURCE_GROUP, &one)
        }
    }
}

/// `ip` as a socket address without a port.
fn storage(ip: IpAddr) -> libc::sockaddr_storage {
    let address = SockAddr::from(SocketAddr::new(ip, 0));
    // SAFETY: zero bytes are a value of the type; the copy is as long as the address, which fits a storage.
    unsafe {
        let mut storage: libc::sockaddr_storage = zeroed();
        let into = (&raw mut storage).cast::<u8>();
        into.copy_from_nonoverlapping(address.as_ptr().cast(), address.len() as usize);
        storage
    }
}

fn ask_the_card(fd: RawFd, config: &UdpConfig) -> HardwareStamps {
    if !config.hardware_stamps {
        return HardwareStamps::NotAsked;
    }
    let refused = |step| {
        move |error: io::Error| HardwareStamps::Refused {
            step,
            errno: error.raw_os_error().unwrap_or(libc::EINVAL),
        }
    };
    // The address the socket is bound to names the interface where nothing else does.
    let interface = match config.interface {
        Interface::Any => Interface::Address(config.bind.ip()),
        named => named,
    };
    let turned_on = interface
        .name()
        .and_then(|name| name.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV)))
        .map_err(refused(STEP_INTERFACE))
        .and_then(|name| {
            stamp_all_received(fd, &name).map_err(refused("turn on the card's stamps"))
        })
        .and_then(|()| {
            let wanted = libc::SOF_TIMESTAMPING_RX_HARDWARE | libc::SOF_TIMESTAMPING_RAW_HARDWARE;
            set_option(fd, libc::SO_TIMESTAMPING, wanted as i32).map_err(refused("SO_TIMESTAMPING"))
        });
    match turned_on {
        Ok(()) => HardwareStamps::On,
        Err(refused) => refused,
    }
}

/// Has the card stamp every packet, unless it does so already. The setting is the interface's and stays when the
/// socket is closed, as with any other program that sets it.
/// Source: Linux `Documentation/networking/timestamping.rst`, 3.
fn stamp_all_received(fd: RawFd, name: &InterfaceName) -> io::Result<()> {
    // SAFETY: zero bytes are a value of the type, which is plain data.
    let mut config: libc::hwtstamp_config = unsafe { zeroed() };
    let mut request = name.request();
    request.ifr_ifru.ifru_data = (&raw mut config).cast();
    let all = libc::HWTSTAMP_FILTER_ALL as i32;
    // SAFETY: the request holds a name that ends with a zero and points at a live configuration.
    let known = unsafe { libc::ioctl(fd, libc::SIOCGHWTSTAMP as _, &raw mut request) } == 0;
    if known && config.rx_filter == all {
        return Ok(());
    }
    config.flags = 0;
    config.rx_filter = all;
    // SAFETY: as above.
    match unsafe { libc::ioctl(fd, libc::SIOCSHWTSTAMP as _, &raw mut request) } {
        0 if config.rx_filter == all => Ok(()),
        0 => Err(io::Error::from_raw_os_error(libc::ERANGE)),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_option(fd: RawFd, name: i32, value: i32) -> io::Result<()> {
    set_at(fd, libc::SOL_SOCKET, name, &value)
}

/// Sets an option whose value is a `T`, plain data.
pub(crate) fn set_at<T: Copy>(fd: RawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is live and `len` bytes long; the kernel only reads it.
    match unsafe { libc::setsockopt(fd, level, name, std::ptr::from_ref(value).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sleeps until `fd` can be read or `at_most` has passed.
pub(crate) fn sleep_until_readable(fd: RawFd, at_most: std::time::Duration) {
    let mut ready = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let timeout = libc::timespec {
        tv_sec: at_most.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: at_most.subsec_nanos().into(),
    };
    // SAFETY: both point at live locals; the answer is not needed, the next poll finds out.
    unsafe { libc::ppoll(&raw mut ready, 1, &raw const timeout, std::ptr::null()) };
}

pub(crate) fn wall_clock() -> Nanos {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

/// Bytes of the control messages that are asked for: a kernel stamp, three stamps of the card's kind and a drop
/// counter, each behind its 16-byte header.
pub(crate) const CONTROL_LEN: usize = {
    let stamp_len = size_of::<libc::timespec>() as u32;
    // SAFETY: arithmetic on its argument.
    unsafe {
        (libc::CMSG_SPACE(stamp_len) + libc::CMSG_SPACE(3 * stamp_len) + libc::CMSG_SPACE(4))
            as usize
    }
};

/// What the control messages of one datagram said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) stamp: Option<Nanos>,
    /// True when `stamp` is the card's.
    pub(crate) by_card: bool,
    /// The socket's drop counter, which only grows (and wraps).
    pub(crate) kernel_dropped: Option<u32>,
}

const CONTROL_HEADER_LEN: usize = size_of::<libc::cmsghdr>();

impl Told {
    /// Reads whole control messages; stops at the first that is none.
    #[inline]
    pub(crate) fn read(mut control: &[u8]) -> Self {
        let mut told = Self::default();
        while let Some((header, _)) = control.split_first_chunk::<CONTROL_HEADER_LEN>() {
            // `cmsghdr`: a length that counts the header, then level and type.
            let (len, kind) = header.split_at(size_of::<usize>());
            let len = usize::from_ne_bytes(array(len));
            let (level, kind) = kind.split_at(4);
            let Some(data) = control.get(CONTROL_HEADER_LEN..len) else {
                break;
            };
            if i32::from_ne_bytes(array(level)) == libc::SOL_SOCKET {
                told.take(i32::from_ne_bytes(array(kind)), data);
            }
            control = control
                .get(len.next_multiple_of(size_of::<usize>())..)
                .unwrap_or_default();
        }
        told
    }

    #[inline]
    fn take(&mut self, kind: i32, data: &[u8]) {
        match kind {
            libc::SCM_TIMESTAMPNS if !self.by_card => self.stamp = timespec(data),
            libc::SCM_TIMESTAMPING => {
                // Software, deprecated, hardware; zero where there is none.
                let by_card = data
                    .get(2 * size_of::<libc::timespec>()..)
                    .and_then(timespec);
                if let Some(stamp) = by_card.filter(|stamp| stamp.0 != 0) {
                    self.stamp = Some(stamp);
                    self.by_card = true;
                }
            }
            libc::SO_RXQ_OVFL => {
                self.kernel_dropped = data.first_chunk().copied().map(u32::from_ne_bytes);
            }
            _ => {}
        }
    }

    /// The stamp and the flag that says whose it is: the kernel's or the card's where there is one, otherwise
    /// `received_at`, which is taken once for all that were received together.
    #[inline]
    pub(crate) fn stamped(
        &self,
        received_at: &mut Option<Nanos>,
        counters: &SourceCounters,
    ) -> (Nanos, u8) {
        match self.stamp {
            Some(stamp) if self.by_card => (stamp, Descriptor::STAMPED_BY_CARD),
            Some(stamp) => (stamp, 0),
            None => {
                counters.stamp_missing.add(1);
                stamped_by_host(received_at)
            }
        }
    }
}

/// This process's stamp, taken once for all that were received together.
#[inline]
pub(crate) fn stamped_by_host(received_at: &mut Option<Nanos>) -> (Nanos, u8) {
    let stamp = *received_at.get_or_insert_with(wall_clock);
    (stamp, Descriptor::STAMPED_BY_HOST)
}

/// A socket's drop counter as it was last seen.
#[derive(Debug, Default)]
pub(crate) struct KernelDrops(u32);

impl KernelDrops {
    #[inline]
    pub(crate) fn count(&mut self, told: &Told, counters: &SourceCounters) {
        if let Some(total) = told.kernel_dropped {
            let dropped = total.wrapping_sub(self.0);
            counters.kernel_dropped.add(u64::from(dropped));
            self.0 = total;
        }
    }
}

#[inline]
fn timespec(data: &[u8]) -> Option<Nanos> {
    let (seconds, rest) = data.split_first_chunk::<8>()?;
    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).ok()?;
    let nanos = u64::try_from(i64::from_ne_bytes(*rest.first_chunk::<8>()?)).ok()?;
    Some(Nanos(
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?,
    ))
}

const _: () = assert!(size_of::<libc::timespec>() == 16, "a 64-bit system");

/// `bytes` as an array of a length that the caller has split it to.
#[inline]
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// The sender in the bytes of a `sockaddr`; the unspecified address when they are of no family we know.
#[inline]
pub(crate) fn sender(bytes: &[u8]) -> SocketAddr {
    known_sender(bytes).unwrap_or_else(|| SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into())
}

#[inline]
fn known_sender(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    match i32::from(family) {
        libc::AF_INET => {
            let ip: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(SocketAddrV4::new(ip.into(), port).into())
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            Some(SocketAddrV6::new(ip.into(), port, 0, 0).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn senders_of_either_family_are_read() {
        for address in ["10.1.2.3:4567", "[fd00::77]:89"] {
            let address: SocketAddr = address.parse().unwrap();
            let stored = SockAddr::from(address);
            // SAFETY: the address is as long as it says.
            let bytes = unsafe {
                std::slice::from_raw_parts(stored.as_ptr().cast::<u8>(), stored.len() as usize)
            };
            assert_eq!(sender(bytes), address);
            assert_eq!(sender(&bytes[..7]).port(), 0, "cut short");
        }
    }

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (CONTROL_HEADER_LEN + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn time(seconds: i64, nanos: i64) -> Vec<u8> {
        [seconds.to_ne_bytes(), nanos.to_ne_bytes()].concat()
    }

    #[test]
    fn the_cards_stamp_goes_before_the_kernels() {
        let kernel = message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time(5, 6));
        let card = [time(0, 0), time(0, 0), time(7, 8)].concat();
        let card = message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, &card);
        let none = message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, &[0; 48]);
        let dropped = message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &77u32.to_ne_bytes());
        let other = message(libc::IPPROTO_IP, libc::SCM_TIMESTAMPNS, &time(1, 1));
        let told = |parts: &[&[u8]]| Told::read(&parts.concat());
        for both in [told(&[&kernel, &card]), told(&[&card, &other, &kernel])] {
            assert_eq!(
                (both.stamp, both.by_card),
                (Some(Nanos(7_000_000_008)), true)
            );
        }
        let kernel = told(&[&other, &none, &kernel, &dropped]);
        assert_eq!(kernel.stamp, Some(Nanos(5_000_000_006)));
        assert_eq!((kernel.by_card, kernel.kernel_dropped), (false, Some(77)));
        assert_eq!(told(&[&none]), Told::default());
        let before = message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time(-1, 0));
        assert_eq!(told(&[&before]).stamp, None, "before the epoch");
    }

    proptest! {
        #[test]
        fn any_control_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Told::read(&bytes);
            sender(&bytes);
        }

        #[test]
        fn any_control_length_is_read_to_an_end(len: usize, rest in prop::collection::vec(any::<u8>(), 8..90)) {
            Told::read(&[&len.to_ne_bytes(), &rest[..]].concat());
        }
    }

    #[test]
    fn an_interface_is_a_name_or_an_address() {
        assert_eq!(
            "10.0.0.1".parse(),
            Ok(Interface::Address(Ipv4Addr::new(10, 0, 0, 1).into()))
        );
        assert_eq!(
            "::1".parse(),
            Ok(Interface::Address(Ipv6Addr::LOCALHOST.into()))
        );
        let name: InterfaceName = "doublezero1".parse().unwrap();
        assert_eq!("doublezero1".parse(), Ok(Interface::Name(name)));
        assert_eq!(name.to_string(), "doublezero1");
        for bad in ["", "sixteen-bytes-xx", "a/b", "a b", "..", "x\0"] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad:?}");
        }
        let by_address = Interface::Address(Ipv4Addr::LOCALHOST.into())
            .index()
            .unwrap();
        assert_eq!(
            Interface::Name("lo".parse().unwrap()).index().unwrap(),
            by_address
        );
        assert_eq!(Interface::Any.index().unwrap(), 0);
        let gone = Interface::Address(Ipv4Addr::new(192, 0, 2, 1).into())
            .index()
            .unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    }

    #[test]
    fn a_failure_says_what_to_look_at() {
        let refused = |change: &dyn Fn(&mut UdpConfig)| {
            let mut config = UdpConfig::new("127.0.0.1:0".parse().unwrap());
            change(&mut config);
            open_socket(&config).unwrap_err().to_string()
        };
        let group = |group: &str, sender: Option<&str>| {
            Some(Multicast {
                group: group.parse().unwrap(),
                sender: sender.map(|sender| sender.parse().unwrap()),
            })
        };
        type Case<'a> = (&'a str, &'a dyn Fn(&mut UdpConfig));
        let cases: [Case<'_>; 7] = [
            ("`ip addr`", &|config| {
                config.bind = "192.0.2.1:0".parse().unwrap()
            }),
            ("to be joined", &|config| {
                config.bind = "239.1.1.1:0".parse().unwrap()
            }),
            ("no multicast address", &|config| {
                config.multicast = group("10.0.0.1", None)
            }),
            ("all IPv6", &|config| {
                config.multicast = group("ff02::5", None)
            }),
            ("all IPv6", &|config| {
                config.multicast = group("239.1.1.1", Some("::1"))
            }),
            ("another group", &|config| {
                config.bind = "239.1.1.2:0".parse().unwrap();
                config.multicast = group("239.1.1.1", None);
            }),
            ("lists the interfaces", &|config| {
                config.multicast = group("239.1.1.1", None);
                config.interface = Interface::Name("nosuch0".parse().unwrap());
            }),
        ];
        for (wanted, change) in cases {
            let said = refused(change);
            assert!(said.contains(wanted), "{said}");
        }
    }

    /// Goal: a card that cannot stamp (loopback is none) costs the wish, not the source.
    #[test]
    fn without_a_stamping_card_the_kernel_stamps_and_the_facts_say_so() {
        let config = UdpConfig {
            hardware_stamps: true,
            ..UdpConfig::new("127.0.0.1:0".parse().unwrap())
        };
        let (_, facts) = open_socket(&config).unwrap();
        assert!(matches!(
            facts.hardware_stamps,
            HardwareStamps::Refused { .. }
        ));
        let said = facts.hardware_stamps.to_string();
        assert!(
            said.starts_with("stamps are the kernel's: turn on"),
            "{said}"
        );
        let asked = UdpConfig {
            hardware_stamps: false,
            ..config
        };
        assert_eq!(
            open_socket(&asked).unwrap().1.hardware_stamps,
            HardwareStamps::NotAsked
        );
    }
}
