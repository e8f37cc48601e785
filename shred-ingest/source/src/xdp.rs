//! Live datagrams by AF_XDP: the card's driver, or the kernel just above it, writes packets into the arena's frames.
//!
//! ```text
//!  free frames --fill ring--> driver --packet into the frame--> receive ring --headers read--> descriptor --> core
//!                                |
//!                                '--> everything that is not for us: the kernel's stack, as ever
//! ```
//!
//! The umem is the arena. A packet lands in a frame with all its headers; this process reads them and the descriptor
//! points the core at the payload. A small program in the kernel (`xdp/program.rs`) redirects UDP over IPv4 to the
//! configured destination ports, whatever the destination *address*, also behind VLAN tags and one GRE tunnel; all
//! else is passed on, so that a host reached over the same interface stays reachable. Detaching is the kernel's:
//! the program is attached by a link that goes with this process.
//!
//! What the stack would have done and nobody does here: IP and UDP checksums are not checked (the card drops what is
//! broken on the wire; a packet of a virtual card may carry an unfinished UDP checksum, so checking would refuse good
//! ones), fragments are left to the stack, no firewall rule applies, and nothing is counted in `ss` or `netstat`.
//! Shreds carry their own proof and signature.
//!
//! A source is one queue of one interface. Packets of other queues go to the stack: give the interface one queue
//! (`ethtool -L IF combined 1`), steer the port to one (`ethtool -N IF flow-type udp4 dst-port P action Q`), or open
//! a source for each queue on one [`XdpProgram`].
//!
//! Source: Linux `Documentation/networking/af_xdp.rst`. Kernel 5.9 or later.

mod bpf;
mod program;
mod ring;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::mem::size_of;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use shred_wire::Nanos;
use socket2::{Domain, Protocol, Socket, Type};

pub use self::program::PORTS_MAX;
use self::ring::{FillRing, ReceiveRing};
use crate::arena::{Datagram, Loan, OFFSET_MAX, RxFrames};
use crate::capture::CaptureTap;
use crate::packet::{Gre, LinkType, find_datagram};
use crate::socket::{Told, join, set_at, set_busy_poll, sleep_until_readable, stamped_by_host};
use crate::udp::{InterfaceName, Multicast};
use crate::{DatagramSource, RX_BURST, SourceCounters, SourceId, SourceReject};

/// How much something is wanted that not every driver has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Not at all.
    Never,
    /// Where it is to be had; otherwise [`XdpFacts`] says why not.
    Prefer,
    /// Refuse to start without.
    Require,
}

/// How a source over AF_XDP is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XdpConfig {
    /// The interface packets arrive on; in a bond or under a VLAN the lowest one.
    pub interface: InterfaceName,
    /// The interface's receive queue, from 0.
    pub queue: u32,
    /// Destination ports whose datagrams are taken, 1 to [`PORTS_MAX`] of them.
    pub ports: Vec<u16>,
    /// Run the program in the driver, before the kernel allocates anything for a packet; otherwise it runs where the
    /// stack begins (generic mode), which every interface can.
    pub native: Wish,
    /// Have the driver write into the frames itself; otherwise the kernel copies each packet into one.
    pub zero_copy: Wish,
    /// Frames the driver holds at most. Too few lose bursts, as there is no buffer behind them; more than the caches
    /// hold costs a miss per packet.
    pub frames_with_kernel: usize,
    /// The longest datagram that must fit, bytes: an arena whose frames are too short for it is refused.
    pub payload_len_min: usize,
    /// Microseconds of `SO_BUSY_POLL`, with `SO_PREFER_BUSY_POLL`: each idle poll then makes a system call that runs
    /// the driver's receive on this thread. Of use with `gro_flush_timeout` and `napi_defer_hard_irqs` set.
    pub busy_poll_us: Option<u32>,
    /// Have the program take the time when a packet reaches it. Otherwise, and where the kernel (before 6.1) or the
    /// driver cannot, this process stamps, once for each burst.
    pub kernel_stamps: bool,
    /// An IPv4 group to join on the interface, so that routers and switches send it here.
    pub multicast: Option<Multicast>,
}

impl XdpConfig {
    /// The usual settings: queue 0, the driver's hook and zero copy where they are to be had, 4,096 frames, room for
    /// a shred with its repair nonce (1,232 bytes).
    #[must_use]
    pub fn new(interface: InterfaceName, ports: Vec<u16>) -> Self {
        Self {
            interface,
            queue: 0,
            ports,
            native: Wish::Prefer,
            zero_copy: Wish::Prefer,
            frames_with_kernel: 4096,
            payload_len_min: 1232,
            busy_poll_us: None,
            kernel_stamps: true,
            multicast: None,
        }
    }
}

/// What became of an [`XdpConfig`] on this host. Its text is for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpFacts {
    /// The interface.
    pub interface: InterfaceName,
    /// Its queue.
    pub queue: u32,
    /// How many receive queues it has; packets of those without a source go to the stack.
    pub queue_count: u32,
    /// True when the program runs in the driver.
    pub native: bool,
    /// `errno` of the driver's refusal to run it.
    pub native_errno: Option<i32>,
    /// True when the driver writes into the frames itself.
    pub zero_copy: bool,
    /// `errno` of the driver's refusal to.
    pub zero_copy_errno: Option<i32>,
    /// `errno` of refused busy polling.
    pub busy_poll_errno: Option<i32>,
    /// True when the program stamps, as far as the driver keeps room for stamps: `stamp_missing` counts where not.
    pub kernel_stamps: bool,
    /// Frames the driver holds at most.
    pub frames_with_kernel: usize,
    /// Longest datagram that fits a frame behind all headers that are looked through.
    pub payload_len_max: usize,
}

impl fmt::Display for XdpFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            interface,
            queue,
            queue_count,
            ..
        } = self;
        write!(f, "{interface} queue {queue} of {queue_count}: ")?;
        f.write_str(match self.native {
            true => "driver's hook",
            false => "generic hook",
        })?;
        if let Some(errno) = self.native_errno {
            write!(f, " ({})", io::Error::from_raw_os_error(errno))?;
        }
        f.write_str(match self.zero_copy {
            true => ", zero copy",
            false => ", each packet copied",
        })?;
        match self.zero_copy_errno {
            Some(errno) => write!(f, " ({})", io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }
}

/// Why a source over AF_XDP could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum XdpError {
    /// None, too many, or port 0.
    #[error("ports {0:?}: 1 to {PORTS_MAX} ports, none of them 0")]
    Ports(Vec<u16>),
    /// A queue the interface has not.
    #[error("queue = {queue}: {interface} has {queue_count}, numbered from 0")]
    Queue {
        /// The interface.
        interface: InterfaceName,
        /// The queue asked for.
        queue: u32,
        /// How many there are.
        queue_count: u32,
    },
    /// The arena's frames cannot be a umem's chunks, or are too short.
    #[error(
        "frame_len = {stride}: AF_XDP wants 2048 or 4096, of which {HEADROOM} are the driver's and up to \
         {HEADERS_LEN} headers, and a datagram of {payload_len_min} must fit"
    )]
    Stride {
        /// Bytes of a frame.
        stride: usize,
        /// What was to fit.
        payload_len_min: usize,
    },
    /// The kernel refused.
    #[error("af_xdp {interface}: {step}: {source}{}{check}", if check.is_empty() { "" } else { "; " })]
    Refused {
        /// The interface.
        interface: InterfaceName,
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
        /// What to look at; empty where the answer says it all.
        check: &'static str,
    },
}

const STEP_INTERFACE: &str = "find the interface";
const STEP_MAP: &str = "create the socket map";
const STEP_LOAD: &str = "load the program";
const STEP_NATIVE: &str = "attach the program to the driver";
const STEP_GENERIC: &str = "attach the program";
const STEP_SOCKET: &str = "open the socket";
const STEP_UMEM: &str = "register the frames";
const STEP_BIND: &str = "bind the queue";
const STEP_ZERO_COPY: &str = "bind the queue for zero copy";

/// What an operator should look at when `step` was answered with `errno`.
fn check_of(step: &str, errno: Option<i32>) -> &'static str {
    match (step, errno) {
        (STEP_INTERFACE, Some(libc::ENODEV)) => "`ip link` lists the interfaces",
        (STEP_MAP | STEP_LOAD, Some(libc::EPERM)) => {
            "wants CAP_BPF and CAP_NET_ADMIN (before Linux 5.8 CAP_SYS_ADMIN), and RLIMIT_MEMLOCK before 5.11"
        }
        (STEP_MAP, Some(libc::EINVAL)) => "the kernel is built without CONFIG_XDP_SOCKETS",
        (STEP_NATIVE | STEP_GENERIC, Some(libc::EPERM)) => "wants CAP_NET_ADMIN",
        (STEP_NATIVE | STEP_GENERIC, Some(libc::EBUSY | libc::EEXIST)) => {
            "another XDP program is on the interface: `ip link show dev IF` names it, `ip link set dev IF xdp off` \
             removes one that no process holds"
        }
        (STEP_NATIVE, Some(libc::EINVAL)) => {
            "the driver wants a smaller MTU or more queues (mode = \"generic\" does without the driver), or the kernel \
             is older than 5.9"
        }
        (STEP_GENERIC, Some(libc::EINVAL)) => "the kernel is older than 5.9",
        (STEP_NATIVE, Some(libc::EOPNOTSUPP)) => {
            "the driver has no XDP: say mode = \"prefer\" or \"generic\""
        }
        (STEP_NATIVE, Some(libc::ERANGE)) => {
            "the interface's MTU is too large for the driver's XDP: lower it, or say mode = \"prefer\" or \"generic\""
        }
        (STEP_SOCKET, Some(libc::EPERM)) => "wants CAP_NET_RAW",
        (STEP_SOCKET, Some(libc::EAFNOSUPPORT)) => "the kernel is built without CONFIG_XDP_SOCKETS",
        (STEP_UMEM, Some(libc::ENOBUFS | libc::ENOMEM)) => {
            "raise LimitMEMLOCK (ulimit -l) or grant CAP_IPC_LOCK"
        }
        (STEP_BIND | STEP_ZERO_COPY, Some(libc::EBUSY)) => {
            "another AF_XDP socket has this queue: `ss --xdp -p` names it"
        }
        (STEP_BIND | STEP_ZERO_COPY, Some(libc::ENETDOWN)) => {
            "the interface is down: `ip link set dev IF up`"
        }
        (STEP_ZERO_COPY, Some(libc::EOPNOTSUPP | libc::EINVAL)) => {
            "the driver has no zero copy, or its hook is not in use (mode = \"native\"): say zero_copy = \"prefer\" or \
             \"never\""
        }
        _ => "",
    }
}

/// The program on an interface, for one source per queue. Detached when the last of them is closed.
#[derive(Debug)]
pub struct XdpProgram {
    interface: InterfaceName,
    interface_index: u32,
    queue_count: u32,
    map: OwnedFd,
    /// What keeps the program attached.
    _link: OwnedFd,
    native: bool,
    native_errno: Option<i32>,
    kernel_stamps: bool,
}

impl XdpProgram {
    /// Attaches the program for [`XdpConfig::ports`] to [`XdpConfig::interface`].
    ///
    /// # Errors
    /// [`XdpError`] says what was refused and what to look at.
    pub fn attach(config: &XdpConfig) -> Result<Arc<Self>, XdpError> {
        let ports = &config.ports;
        if ports.is_empty() || ports.len() > PORTS_MAX || ports.contains(&0) {
            return Err(XdpError::Ports(ports.clone()));
        }
        let interface = config.interface;
        let refused = |step| refused(interface, step);
        let interface_index = interface.index().map_err(refused(STEP_INTERFACE))?;
        let queue_count = queue_count(&interface);
        let map = bpf::create_socket_map(queue_count).map_err(refused(STEP_MAP))?;
        let load = |stamped| {
            let code = program::assemble(ports, map.as_raw_fd(), program::PASS, stamped);
            bpf::load(&code, &mut [])
        };
        let stamping = match config.kernel_stamps {
            true => load(true).ok(),
            false => None,
        };
        let kernel_stamps = stamping.is_some();
        let loaded = match stamping {
            Some(loaded) => loaded,
            None => load(false).map_err(refused(STEP_LOAD))?,
        };
        let attach = |native| patiently(|| bpf::attach(&loaded, interface_index, native));
        let (native_link, native_errno) = match config.native {
            Wish::Never => (None, None),
            Wish::Require => (Some(attach(true).map_err(refused(STEP_NATIVE))?), None),
            Wish::Prefer => match attach(true) {
                Ok(link) => (Some(link), None),
                // The generic hook would be refused, too.
                Err(error) if is_taken(&error) => return Err(refused(STEP_NATIVE)(error)),
                Err(error) => (None, error.raw_os_error()),
            },
        };
        let native = native_link.is_some();
        let link = match native_link {
            Some(link) => link,
            None => attach(false).map_err(refused(STEP_GENERIC))?,
        };
        Ok(Arc::new(Self {
            interface,
            interface_index,
            queue_count,
            map,
            _link: link,
            native,
            native_errno,
            kernel_stamps,
        }))
    }
}

fn refused(interface: InterfaceName, step: &'static str) -> impl Fn(io::Error) -> XdpError {
    move |source| XdpError::Refused {
        interface,
        step,
        check: check_of(step, source.raw_os_error()),
        source,
    }
}

/// How many receive queues the interface has in this network namespace; 1 where the driver does not say.
fn queue_count(interface: &InterfaceName) -> u32 {
    /// `struct ethtool_channels`. Source: `linux/ethtool.h`.
    #[repr(C)]
    #[derive(Default)]
    struct Channels {
        command: u32,
        max: [u32; 4],
        receive: u32,
        send: u32,
        other: u32,
        combined: u32,
    }
    const GET_CHANNELS: u32 = 0x3C;
    let mut channels = Channels {
        command: GET_CHANNELS,
        ..Channels::default()
    };
    let Ok(socket) = Socket::new(Domain::IPV4, Type::DGRAM, None) else {
        return 1;
    };
    let mut request = interface.request();
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: the request holds a name that ends with a zero and points at a live structure of the command's kind.
    match unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) } {
        0 => channels.receive.saturating_add(channels.combined).max(1),
        _ => 1,
    }
}

/// Source: `linux/sockios.h`.
const SIOCETHTOOL: u32 = 0x8946;

/// Bytes at the start of each frame that are the driver's. Source: `linux/bpf.h` (`XDP_PACKET_HEADROOM`).
const HEADROOM: usize = 256;
/// Bytes of the longest usual headers: Ethernet, two tags, IPv4, GRE with all words, IPv4, UDP.
const HEADERS_LEN: usize = 14 + 8 + 20 + 16 + 20 + 8;
/// Chunk lengths a umem may have. Source: Linux `net/xdp/xdp_umem.c` (`XDP_UMEM_MIN_CHUNK_SIZE` to the page size).
const CHUNK_LENS: [usize; 2] = [2048, 4096];
/// How many polls lie between two rounds of upkeep.
const POLLS_PER_UPKEEP: u32 = 1 << 20;
/// How long the kernel is given to take a driver's queues down after a zero-copy socket was closed. It does so in
/// the background and tells nobody.
const ZERO_COPY_REST: Duration = Duration::from_millis(100);

/// How often, and after what rest, a queue or interface that is taken is tried again.
const TAKEN_ATTEMPTS: u32 = 50;
const TAKEN_REST: Duration = Duration::from_millis(5);

/// One queue of an interface and the frames it fills.
///
/// Allocates when opened, never after. A duty cycle makes no system call, unless the driver asks to be woken or busy
/// polling is on. Receive stamps are the program's ([`XdpConfig::kernel_stamps`]), or taken by this process once for
/// each burst and flagged so.
#[derive(Debug)]
pub struct XdpSource {
    // In this order they are dropped: nothing more is redirected, then nothing more is written to the frames.
    _program: Arc<XdpProgram>,
    socket: OwnedFd,
    _group: Option<Socket>,
    fill: FillRing,
    received: ReceiveRing,
    held: Held,
    frames: RxFrames,
    source: SourceId,
    tap: Option<CaptureTap>,
    counters: Arc<SourceCounters>,
    zero_copy: bool,
    busy_poll: bool,
    /// What the program's stamps are ahead of the system's time; `None` where it does not stamp.
    tai_ahead: Option<Nanos>,
    polls_to_upkeep: u32,
}

impl XdpSource {
    /// Attaches the program and binds the queue. With a `tap`, every datagram is also copied to a capture.
    ///
    /// # Errors
    /// [`XdpError`] says what was refused and what to look at.
    pub fn open(
        config: &XdpConfig,
        source: SourceId,
        frames: RxFrames,
        tap: Option<CaptureTap>,
    ) -> Result<(Self, XdpFacts), XdpError> {
        check_frames(config, &frames)?;
        let program = XdpProgram::attach(config)?;
        Self::open_on(&program, config, source, frames, tap)
    }

    /// As [`XdpSource::open`], for another queue of an interface whose program is attached; `config.interface`,
    /// `config.ports` and `config.native` are the program's already.
    ///
    /// # Errors
    /// As [`XdpSource::open`].
    pub fn open_on(
        program: &Arc<XdpProgram>,
        config: &XdpConfig,
        source: SourceId,
        frames: RxFrames,
        tap: Option<CaptureTap>,
    ) -> Result<(Self, XdpFacts), XdpError> {
        check_frames(config, &frames)?;
        let interface = program.interface;
        if config.queue >= program.queue_count {
            return Err(XdpError::Queue {
                interface,
                queue: config.queue,
                queue_count: program.queue_count,
            });
        }
        let refused = |step| refused(interface, step);
        let held_max = config.frames_with_kernel.clamp(1, frames.frame_count());
        let socket = open_socket().map_err(refused(STEP_SOCKET))?;
        let fd = socket.as_raw_fd();
        register(fd, &frames).map_err(refused(STEP_UMEM))?;
        // As long as the frames the kernel may hold, so that neither is ever full.
        let cell_count = held_max.next_power_of_two() as u32;
        let (fill, received) = map_rings(fd, cell_count).map_err(refused("map the rings"))?;
        let (busy, preferred) =
            set_busy_poll(fd, config.busy_poll_us, config.busy_poll_us.is_some());
        let busy_poll_errno = busy.or(preferred);
        let (zero_copy, zero_copy_errno) =
            bind_as_wished(fd, program, config).map_err(|(step, error)| refused(step)(error))?;
        let group = config
            .multicast
            .as_ref()
            .map(|multicast| join_group(multicast, program.interface_index));
        let group = group
            .transpose()
            .map_err(refused("join the multicast group"))?;
        let facts = XdpFacts {
            interface,
            queue: config.queue,
            queue_count: program.queue_count,
            native: program.native,
            native_errno: program.native_errno,
            zero_copy,
            zero_copy_errno,
            busy_poll_errno,
            kernel_stamps: program.kernel_stamps,
            frames_with_kernel: held_max,
            payload_len_max: frames.stride() - HEADROOM - HEADERS_LEN,
        };
        let mut xdp = Self {
            _program: Arc::clone(program),
            socket,
            _group: group,
            fill,
            received,
            held: Held::new(frames.frame_count(), held_max),
            frames,
            source,
            tap,
            counters: Arc::default(),
            zero_copy,
            busy_poll: config.busy_poll_us.is_some() && busy_poll_errno.is_none(),
            tai_ahead: program.kernel_stamps.then(tai_ahead),
            polls_to_upkeep: POLLS_PER_UPKEEP,
        };
        xdp.refill();
        // Only now, with frames to fill, does the program find the socket.
        bpf::put_socket(&program.map, config.queue, fd).map_err(refused("enter the socket"))?;
        Ok((xdp, facts))
    }

    /// Closes the socket, detaches the program unless another queue's source shares it, and gives the frames back.
    /// Takes a tenth of a second after zero copy.
    #[must_use]
    pub fn close(mut self) -> RxFrames {
        self.upkeep();
        let Self {
            _program,
            socket,
            mut held,
            mut frames,
            zero_copy,
            ..
        } = self;
        drop((_program, socket));
        if zero_copy {
            std::thread::sleep(ZERO_COPY_REST);
        }
        held.give_back_all(&mut frames);
        frames
    }

    /// Hands free frames to the kernel, as many as it may hold.
    #[inline]
    fn refill(&mut self) {
        let stride = self.frames.stride() as u64;
        while self.held.count < self.held.count_max {
            let Some(loan) = self.frames.loan() else {
                break;
            };
            if self.tai_ahead.is_some() {
                // A stamp of an earlier packet must not be taken for one of the next.
                // SAFETY: the place lies in a frame loaned to us.
                unsafe { stamp_place(&loan, &self.frames).write([0; program::STAMP_LEN]) };
            }
            let number = self.held.put(loan);
            self.fill.write(u64::from(number) * stride);
        }
        self.fill.publish();
    }

    /// Takes one packet: publishes the datagram in it, or gives the frame back.
    #[inline]
    fn take(&mut self, packet: &libc::xdp_desc, received_at: &mut Option<Nanos>) -> bool {
        let stride = self.frames.stride();
        let number = packet.addr / stride as u64;
        let at = (packet.addr % stride as u64) as usize;
        let Some(loan) = self.held.take(number, &self.frames) else {
            // Not a frame the kernel has.
            self.counters.receive_failed.add(1);
            return false;
        };
        let ordinal = self.counters.datagram_received.get();
        self.counters.datagram_received.add(1);
        let len = (packet.len as usize).min(stride - at);
        // SAFETY: the frame is loaned to us, the kernel has given it back through the ring, and `at + len` is at most
        // its length.
        let bytes = unsafe {
            let start = self.frames.loan_ptr(&loan).add(at);
            std::slice::from_raw_parts(start.as_ptr(), len)
        };
        let found = find_datagram(LinkType::Ethernet, bytes, false, Gre::LookInside);
        let found = found
            .ok()
            .filter(|found| at + found.payload.start <= OFFSET_MAX);
        let Some(found) = found else {
            self.counters.reject(SourceReject::Malformed);
            self.frames.give_back(loan);
            return true;
        };
        let (stamp, flags) = match self.tai_ahead {
            None => stamped_by_host(received_at),
            Some(ahead) => {
                let told = Told {
                    stamp: self.kernel_stamp(&loan, at, ahead),
                    ..Told::default()
                };
                told.stamped(received_at, &self.counters)
            }
        };
        let offset = at + found.payload.start;
        let payload = &bytes[found.payload];
        if let Some(tap) = &mut self.tap {
            tap.offer(stamp, found.from, found.to, payload);
        }
        let about = Datagram {
            stamp,
            ordinal,
            // A frame is shorter than 64 KiB.
            len: payload.len() as u16,
            source: self.source,
            flags,
        };
        self.counters.byte_accepted.add(payload.len() as u64);
        self.frames.publish_at(loan, offset, about);
        true
    }

    /// Has the driver look at the fill ring, and receive where it is polled.
    #[cold]
    fn wake(&self) {
        // SAFETY: nothing is to be written: no buffer, no address.
        unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                std::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
    }

    /// The stamp the program wrote before the packet that starts `at` bytes into the frame, as the system's time.
    #[inline]
    fn kernel_stamp(&self, loan: &Loan, at: usize, ahead: Nanos) -> Option<Nanos> {
        if at != HEADROOM {
            return None;
        }
        // SAFETY: the place lies in a frame loaned to us, which the kernel is done with.
        let bytes = unsafe { stamp_place(loan, &self.frames).read() };
        let (mark, time) = bytes.split_first_chunk::<8>()?;
        let time = u64::from_ne_bytes(*time.first_chunk()?);
        (u64::from_ne_bytes(*mark) == program::STAMP_MARK)
            .then(|| time.checked_sub(ahead.0))?
            .map(Nanos)
    }

    /// What is due now and then, at the cost of some system calls: the kernel's drop counts, and by how much its
    /// stamps are ahead, which changes when the time service learns it and with a leap second.
    #[cold]
    fn upkeep(&mut self) {
        self.polls_to_upkeep = POLLS_PER_UPKEEP;
        if let Some(ahead) = &mut self.tai_ahead {
            *ahead = tai_ahead();
        }
        let fd = self.socket.as_raw_fd();
        let Ok(all) = ring::get::<libc::xdp_statistics>(fd, libc::XDP_STATISTICS) else {
            return;
        };
        let dropped = all.rx_dropped.saturating_add(all.rx_ring_full);
        let counters = &self.counters;
        counters.kernel_dropped.set(dropped);
        counters.frames_exhausted.set(all.rx_fill_ring_empty_descs);
    }
}

/// Where the program writes its stamp in a frame: before the packet, which starts behind the headroom.
#[inline]
fn stamp_place(loan: &Loan, frames: &RxFrames) -> NonNull<[u8; program::STAMP_LEN]> {
    // SAFETY: a frame is longer than its headroom.
    unsafe {
        let start = frames.loan_ptr(loan);
        start.add(HEADROOM - program::STAMP_LEN).cast()
    }
}

/// Whole seconds by which `CLOCK_TAI` is ahead of `CLOCK_REALTIME`, as nanoseconds: 37 s where the time service has
/// told the kernel, 0 where not.
fn tai_ahead() -> Nanos {
    const SECOND: u64 = 1_000_000_000;
    // Between the two readings next to no time passes, but some does.
    let real = clock(libc::CLOCK_REALTIME);
    let ahead = clock(libc::CLOCK_TAI).saturating_sub(real);
    Nanos((ahead + SECOND / 2) / SECOND * SECOND)
}

fn clock(which: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to a live local.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

impl DatagramSource for XdpSource {
    fn poll(&mut self) -> usize {
        self.refill();
        self.polls_to_upkeep -= 1;
        if self.polls_to_upkeep == 0 {
            self.upkeep();
        }
        let count = self.received.waiting_count().min(RX_BURST as u32);
        if count == 0 {
            if self.busy_poll || self.fill.wants_wakeup() {
                self.wake();
            }
            return 0;
        }
        let mut received_at = None;
        let mut taken = 0;
        for _ in 0..count {
            let packet = self.received.read();
            taken += usize::from(self.take(&packet, &mut received_at));
        }
        self.received.release();
        taken
    }

    fn is_ended(&self) -> bool {
        false
    }

    fn wait(&mut self, at_most: Duration) {
        self.refill();
        self.upkeep();
        sleep_until_readable(self.socket.as_raw_fd(), at_most);
    }

    fn counters(&self) -> &Arc<SourceCounters> {
        &self.counters
    }
}

/// Which frames the kernel has, a bit each.
#[derive(Debug)]
struct Held {
    bits: Box<[u64]>,
    count: usize,
    count_max: usize,
}

impl Held {
    fn new(frame_count: usize, count_max: usize) -> Self {
        Self {
            bits: vec![0; frame_count.div_ceil(64)].into_boxed_slice(),
            count: 0,
            count_max,
        }
    }

    #[inline]
    fn put(&mut self, loan: Loan) -> u32 {
        let number = loan.into_number();
        self.bits[number as usize / 64] |= 1 << (number % 64);
        self.count += 1;
        number
    }

    /// The frame of that number; `None` when the kernel does not have it.
    #[inline]
    fn take(&mut self, number: u64, frames: &RxFrames) -> Option<Loan> {
        let word = self.bits.get_mut(usize::try_from(number / 64).ok()?)?;
        let bit = 1 << (number % 64);
        if *word & bit == 0 {
            return None;
        }
        *word &= !bit;
        self.count -= 1;
        // The bits are as many as the arena's frames, or padding that is never set.
        Some(frames.loan_of_number(number as u32))
    }

    /// For when the kernel is gone.
    fn give_back_all(&mut self, frames: &mut RxFrames) {
        for number in 0..self.bits.len() as u64 * 64 {
            if let Some(loan) = self.take(number, frames) {
                frames.give_back(loan);
            }
        }
    }
}

fn check_frames(config: &XdpConfig, frames: &RxFrames) -> Result<(), XdpError> {
    let stride = frames.stride();
    let fits =
        CHUNK_LENS.contains(&stride) && stride - HEADROOM - HEADERS_LEN >= config.payload_len_min;
    if fits {
        return Ok(());
    }
    Err(XdpError::Stride {
        stride,
        payload_len_min: config.payload_len_min,
    })
}

fn open_socket() -> io::Result<OwnedFd> {
    // SAFETY: a plain system call.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes the arena's frames, without the scratch frames behind them, the socket's umem. The kernel pins the pages.
fn register(fd: RawFd, frames: &RxFrames) -> io::Result<()> {
    let umem = libc::xdp_umem_reg {
        addr: frames.first_frame_ptr().as_ptr() as u64,
        len: (frames.frame_count() * frames.stride()) as u64,
        chunk_size: frames.stride() as u32,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    set_at(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &umem)
}

fn map_rings(fd: RawFd, cell_count: u32) -> io::Result<(FillRing, ReceiveRing)> {
    // The kernel wants a completion ring even of those who never send.
    let completions: u32 = 2;
    for (name, cells) in [
        (libc::XDP_UMEM_FILL_RING, cell_count),
        (libc::XDP_UMEM_COMPLETION_RING, completions),
        (libc::XDP_RX_RING, cell_count),
    ] {
        set_at(fd, libc::SOL_XDP, name, &cells)?;
    }
    let offsets = ring::offsets(fd)?;
    Ok((
        FillRing::map(fd, cell_count, &offsets)?,
        ReceiveRing::map(fd, cell_count, &offsets)?,
    ))
}

/// Binds the queue; returns whether for zero copy, and why not where that was preferred.
fn bind_as_wished(
    fd: RawFd,
    program: &XdpProgram,
    config: &XdpConfig,
) -> Result<(bool, Option<i32>), (&'static str, io::Error)> {
    let bind = |mode| bind(fd, program.interface_index, config.queue, mode);
    let mut errno = None;
    if config.zero_copy != Wish::Never {
        // What the generic hook hands over has been copied already.
        let bound = match program.native {
            true => bind(libc::XDP_ZEROCOPY),
            false => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        };
        match bound {
            Ok(()) => return Ok((true, None)),
            Err(error) if config.zero_copy == Wish::Require => return Err((STEP_ZERO_COPY, error)),
            Err(error) => errno = error.raw_os_error(),
        }
    }
    match bind(libc::XDP_COPY) {
        Ok(()) => Ok((false, errno)),
        Err(error) => Err((STEP_BIND, error)),
    }
}

fn bind(fd: RawFd, interface_index: u32, queue: u32, mode: u16) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: mode | libc::XDP_USE_NEED_WAKEUP,
        sxdp_ifindex: interface_index,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let len = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    patiently(|| {
        // SAFETY: the address is live and as long as said.
        match unsafe { libc::bind(fd, (&raw const address).cast(), len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

/// Tries again for a little while what is taken: the kernel releases a queue in the background after its socket was
/// closed, and a program when the last process that had its link, if only between fork and exec, has closed it.
fn patiently<T>(attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..TAKEN_ATTEMPTS {
        match attempt() {
            Err(error) if is_taken(&error) => std::thread::sleep(TAKEN_REST),
            result => return result,
        }
    }
    attempt()
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

/// A socket that only keeps the membership; it has no port and receives nothing.
fn join_group(multicast: &Multicast, interface_index: u32) -> io::Result<Socket> {
    let IpAddr::V4(_) = multicast.group else {
        return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
    };
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    join(socket.as_raw_fd(), multicast, interface_index)?;
    Ok(socket)
}
