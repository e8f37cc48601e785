//! One burst of shreds to many UDP destinations.
//!
//! Each destination has a connected socket of its own: its buffer fills for itself, what its host says of it reaches
//! only its own counters, and the route is looked up once. A burst is laid out once and handed to each socket by
//! `sendmmsg`; consecutive shreds of one length are one message that the kernel cuts apart (`UDP_SEGMENT`).

use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::RelayError;
use crate::counters::DestinationCounters;

/// Longest shred.
pub(crate) const SHRED_LEN_MAX: usize = shred_wire::shred::CODE_SHRED_LEN;
/// Shreds of a burst.
pub(crate) const BURST_MAX: usize = 64;
/// Segments of one message: below the kernel's 64 (`UDP_MAX_SEGMENTS`, linux/udp.h), and 64 KiB of them.
const SEGMENTS_MAX: usize = 48;
/// Bytes of a control message with the segment length.
// SAFETY: arithmetic on a constant.
const CONTROL_LEN: usize = unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) } as usize;

/// A control buffer; aligned as its header wants.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_LEN]);

struct Target {
    socket: Socket,
    segmented: bool,
}

/// Shreds that wait for the end of a burst, and where they go.
pub(crate) struct Fan {
    targets: Vec<Target>,
    /// End to end, as segmentation wants them.
    bytes: Box<[u8; BURST_MAX * SHRED_LEN_MAX]>,
    /// Where each shred ends.
    ends: [u32; BURST_MAX],
    count: usize,
}

/// One message: shreds of one length, but for a shorter last one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Run {
    start: u32,
    end: u32,
    shred_len: u16,
    shreds: u16,
}

/// What came of handing over.
enum Outcome {
    /// So many messages.
    Sent(usize),
    Full,
    /// The other host has said that nobody listens; what was to be sent has not been.
    Unreachable,
    /// Segmentation is not to be had on this route.
    NoSegments,
    Failed,
}

impl Fan {
    pub(crate) fn open(
        destinations: &[SocketAddr],
        send_buffer_len: usize,
        segmented: bool,
    ) -> Result<Self, RelayError> {
        let sockets = destinations
            .iter()
            .map(|address| {
                connect(*address, send_buffer_len)
                    .map_err(|error| RelayError::io(format!("open a socket to {address}"), error))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::over(sockets, segmented))
    }

    fn over(sockets: Vec<Socket>, segmented: bool) -> Self {
        Self {
            targets: sockets
                .into_iter()
                .map(|socket| Target { socket, segmented })
                .collect(),
            bytes: Box::new([0; BURST_MAX * SHRED_LEN_MAX]),
            ends: [0; BURST_MAX],
            count: 0,
        }
    }

    #[inline]
    pub(crate) const fn is_full(&self) -> bool {
        self.count == BURST_MAX
    }

    /// Copies a shred in. There must be room, and it must be no longer than [`SHRED_LEN_MAX`].
    #[inline]
    pub(crate) fn push(&mut self, shred: &[u8]) {
        let start = self.start(self.count);
        let end = start + shred.len();
        self.bytes[start..end].copy_from_slice(shred);
        self.ends[self.count] = end as u32;
        self.count += 1;
    }

    fn start(&self, shred: usize) -> usize {
        shred
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize)
    }

    /// Hands the burst to every destination's socket, and forgets it. Never waits.
    ///
    /// Cost: a system call for each destination; two where its buffer fills on the way.
    pub(crate) fn flush(&mut self, counters: &[DestinationCounters]) {
        if self.count == 0 {
            return;
        }
        for (index, counters) in counters.iter().enumerate().take(self.targets.len()) {
            self.send_to(index, counters);
        }
        self.count = 0;
    }

    fn send_to(&mut self, index: usize, counters: &DestinationCounters) {
        let mut first = 0;
        let mut told = false;
        while first < self.count {
            let mut runs = [Run::default(); BURST_MAX];
            let count = self.runs(first, self.targets[index].segmented, &mut runs);
            let runs = &runs[..count];
            match self.send(&self.targets[index].socket, runs) {
                Outcome::Sent(sent) => {
                    let shreds: u64 = runs[..sent].iter().map(|run| u64::from(run.shreds)).sum();
                    counters.datagram_sent.add(shreds);
                    first += shreds as usize;
                }
                // Told once, the kernel sends again.
                Outcome::Unreachable if !told => {
                    told = true;
                    counters.unreachable_told.add(1);
                }
                Outcome::NoSegments if self.targets[index].segmented => {
                    self.targets[index].segmented = false;
                    counters.segmentation_lost.set(1);
                }
                Outcome::Full => return counters.full_dropped.add((self.count - first) as u64),
                _ => return counters.failed_dropped.add((self.count - first) as u64),
            }
        }
    }

    /// The messages that the shreds from `first` on make; how many.
    fn runs(&self, first: usize, segmented: bool, runs: &mut [Run; BURST_MAX]) -> usize {
        let mut count = 0usize;
        for shred in first..self.count {
            let (start, end) = (self.start(shred) as u32, self.ends[shred]);
            let len = (end - start) as u16;
            if let Some(last) = count.checked_sub(1).map(|last| &mut runs[last])
                && segmented
                && last.shred_len == len
                && usize::from(last.shreds) < SEGMENTS_MAX
            {
                last.end = end;
                last.shreds += 1;
                continue;
            }
            runs[count] = Run {
                start,
                end,
                shred_len: len,
                shreds: 1,
            };
            count += 1;
        }
        count
    }

    fn send(&self, socket: &Socket, runs: &[Run]) -> Outcome {
        // SAFETY: zero bytes are a value of these types, which are plain data.
        let (mut messages, mut parts): ([libc::mmsghdr; BURST_MAX], [libc::iovec; BURST_MAX]) =
            unsafe { (zeroed(), zeroed()) };
        let mut controls = [Control([0; CONTROL_LEN]); BURST_MAX];
        for (index, run) in runs.iter().enumerate() {
            let bytes = &self.bytes[run.start as usize..run.end as usize];
            parts[index] = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            let header = &mut messages[index].msg_hdr;
            header.msg_iov = &raw mut parts[index];
            header.msg_iovlen = 1;
            if run.shreds > 1 {
                header.msg_control = controls[index].0.as_mut_ptr().cast();
                header.msg_controllen = CONTROL_LEN as _;
                // SAFETY: the control buffer is aligned and has room for one header and a `u16`.
                unsafe {
                    let control = libc::CMSG_FIRSTHDR(header);
                    (*control).cmsg_level = libc::SOL_UDP;
                    (*control).cmsg_type = libc::UDP_SEGMENT;
                    (*control).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
                    libc::CMSG_DATA(control)
                        .cast::<u16>()
                        .write_unaligned(run.shred_len);
                }
            }
        }
        loop {
            // SAFETY: the headers, and all that they point to, outlive the call, which reads the bytes and writes each
            // message's `msg_len`.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    messages.as_mut_ptr(),
                    runs.len() as u32,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            if sent > 0 {
                return Outcome::Sent(sent as usize);
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::ENOBUFS) => return Outcome::Full,
                Some(libc::ECONNREFUSED) => return Outcome::Unreachable,
                Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP) => {
                    return Outcome::NoSegments;
                }
                _ => return Outcome::Failed,
            }
        }
    }
}

fn connect(address: SocketAddr, send_buffer_len: usize) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    // The kernel cuts it to `net.core.wmem_max`.
    socket.set_send_buffer_size(send_buffer_len)?;
    socket.connect(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::*;

    fn shreds(count: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|at| {
                let len = [1203, 1203, 1203, 1228, 1228][at % 5];
                (0..len).map(|byte| (byte * 7 + at * 31) as u8).collect()
            })
            .collect()
    }

    fn counters(count: usize) -> Vec<DestinationCounters> {
        (0..count).map(|_| DestinationCounters::new(None)).collect()
    }

    fn receiver() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket
    }

    fn received(socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2048];
        (0..count)
            .map(|_| {
                let len = socket.recv(&mut buffer).unwrap();
                buffer[..len].to_vec()
            })
            .collect()
    }

    #[test]
    fn a_burst_arrives_in_order_with_and_without_segmentation() {
        for segmented in [true, false] {
            let sockets = [receiver(), receiver()];
            let addresses: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
            let mut fan = Fan::open(&addresses, 1 << 20, segmented).unwrap();
            let counters = counters(2);
            let burst = shreds(BURST_MAX);
            for count in [1, 5, BURST_MAX] {
                for shred in &burst[..count] {
                    fan.push(shred);
                }
                fan.flush(&counters);
                for socket in &sockets {
                    assert_eq!(received(socket, count), burst[..count]);
                }
            }
            for counters in &counters {
                assert_eq!(counters.datagram_sent.get(), 70);
                assert_eq!(counters.full_dropped.get(), 0);
            }
        }
    }

    #[test]
    fn runs_are_of_one_length_and_bounded() {
        let mut fan = Fan::over(Vec::new(), true);
        for _ in 0..50 {
            fan.push(&[0; 1228]);
        }
        fan.push(&[0; 1203]);
        let mut runs = [Run::default(); BURST_MAX];
        let count = fan.runs(1, true, &mut runs);
        let shape: Vec<_> = runs[..count]
            .iter()
            .map(|run| (run.start, run.shred_len, run.shreds))
            .collect();
        assert_eq!(
            shape,
            [(1228, 1228, 48), (49 * 1228, 1228, 1), (50 * 1228, 1203, 1)]
        );
        assert!(runs[..count].iter().all(|run| run.end - run.start < 65_000));
        assert_eq!(fan.runs(0, false, &mut runs), 51);
    }

    /// Goal: a destination that takes nothing costs the others nothing.
    /// Method: a Unix datagram socket that nobody reads says that it is full, as a UDP socket does whose card is slow.
    #[test]
    fn a_full_socket_drops_its_own() {
        let (slow, unread) = UnixDatagram::pair().unwrap();
        let quick = receiver();
        let sockets = vec![
            Socket::from(std::os::fd::OwnedFd::from(slow)),
            connect(quick.local_addr().unwrap(), 1 << 20).unwrap(),
        ];
        let mut fan = Fan::over(sockets, false);
        let counters = counters(2);
        let burst = shreds(BURST_MAX);
        for _ in 0..20 {
            for shred in &burst {
                fan.push(shred);
            }
            fan.flush(&counters);
            assert_eq!(received(&quick, BURST_MAX), burst);
        }
        let total = 20 * BURST_MAX as u64;
        assert_eq!(counters[1].datagram_sent.get(), total);
        let (sent, dropped) = (
            counters[0].datagram_sent.get(),
            counters[0].full_dropped.get(),
        );
        assert!(sent > 0 && dropped > 0, "{sent} sent, {dropped} dropped");
        assert_eq!(sent + dropped, total);
        drop(unread);
        fan.push(&burst[0]);
        fan.flush(&counters);
        assert_eq!(quick.recv(&mut [0; 2048]).unwrap(), 1203);
    }

    /// Goal: a host where nobody listens yet is sent to all the same, and gets all once somebody does.
    #[test]
    fn an_unreachable_destination_is_counted_and_not_given_up() {
        let socket = receiver();
        let address = socket.local_addr().unwrap();
        drop(socket);
        let mut fan = Fan::open(&[address], 1 << 20, true).unwrap();
        let counters = counters(1);
        for _ in 0..10 {
            fan.push(&[1; 1203]);
            fan.flush(&counters);
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(counters[0].datagram_sent.get(), 10);
        assert!(counters[0].unreachable_told.get() > 0);
        let socket = UdpSocket::bind(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        fan.push(&[2; 1203]);
        fan.flush(&counters);
        assert_eq!(received(&socket, 1), [vec![2; 1203]]);
    }

    /// Goal: where the kernel refuses to cut messages apart, shreds go one by one, and none is lost for it.
    /// Method: the kernel cuts nothing apart where checksums are off (`udp_send_skb`, net/ipv4/udp.c).
    #[test]
    fn refused_segmentation_is_given_up() {
        let socket = receiver();
        let out = connect(socket.local_addr().unwrap(), 1 << 20).unwrap();
        let on: libc::c_int = 1;
        // SAFETY: an open socket, and an option of the length that is said.
        let set = unsafe {
            libc::setsockopt(
                out.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NO_CHECK,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as u32,
            )
        };
        assert_eq!(set, 0);
        let mut fan = Fan::over(vec![out], true);
        let counters = counters(1);
        let burst = shreds(10);
        for shred in &burst {
            fan.push(shred);
        }
        fan.flush(&counters);
        assert_eq!(received(&socket, 10), burst);
        assert_eq!(counters[0].segmentation_lost.get(), 1);
        assert_eq!(counters[0].datagram_sent.get(), 10);
    }
}
