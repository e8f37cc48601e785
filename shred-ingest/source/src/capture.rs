//! Records live datagrams to a pcap file beside the hot threads.
//!
//! ```text
//!  rx thread --CaptureTap::offer--> frames of the tap's own arena --> writer thread --> file
//! ```
//!
//! The receiving thread copies a datagram into a frame of the tap's own arena and goes on; when the writer is
//! behind and no frame is free, the newest is dropped and counted. Only the writer thread touches the file. It
//! flushes every second and at the end, so a process that is killed loses a second at most, and the file it leaves
//! is readable up to there.
//!
//! `overmind capture` needs no core: the receiving thread drains the core's end of the source's frames itself
//! (`frames.drain(RX_BURST, |_, _| ())`) after each poll, and the tap has had its copy by then.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shred_wire::Nanos;

use crate::arena::{
    ArenaError, ArenaPlan, CoreFrames, Datagram, Descriptor, Lock, RxFrames, STRIDE_MAX,
    STRIDE_UNIT, frame_ring,
};
use crate::counters::Counter;
use crate::pcap::{PcapError, PcapWriter};
use crate::{RX_BURST, SourceId};

/// Longest a written datagram stays out of the file.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How long the writer sleeps when there is nothing to write. At a million datagrams a second that is 1,000 frames.
const IDLE_SLEEP: Duration = Duration::from_millis(1);
/// Bytes buffered before the file is written to.
const FILE_BUFFER_LEN: usize = 1 << 20;

/// Sizes of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapturePlan {
    /// Datagrams that may wait for the writer, per tap; a power of two. The default is 1.6 s at 10,000 shreds/s.
    pub frame_count: usize,
    /// Longest datagram that is captured, bytes.
    pub payload_len_max: usize,
    /// What to do about `mlock`.
    pub lock: Lock,
}

impl Default for CapturePlan {
    fn default() -> Self {
        Self {
            frame_count: 16_384,
            payload_len_max: 2048,
            lock: Lock::Try,
        }
    }
}

/// Why a capture could not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A tap's arena does not fit.
    #[error("capture: {0}")]
    Arena(#[from] ArenaError),
    /// Longest datagram beyond what a frame can hold.
    #[error("payload_len_max = {0}: at most {PAYLOAD_LEN_MAX}")]
    PayloadLenMax(usize),
    /// The file cannot be created or written.
    #[error("capture: {0}")]
    Pcap(#[from] PcapError),
    /// The writer thread could not be started.
    #[error("capture: cannot start the writer thread: {0}")]
    Thread(io::Error),
    /// The writer thread panicked: a defect. What was flushed is in the file.
    #[error("capture: the writer thread died")]
    WriterDied,
}

/// What a tap took. Written by the receiving thread alone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct TapCounters {
    /// Datagrams handed to the writer.
    pub datagram_taken: Counter,
    /// Datagrams dropped because the writer was behind (or had failed).
    pub datagram_dropped: Counter,
    /// Datagrams longer than the plan said.
    pub datagram_oversize: Counter,
}

/// What a finished capture wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaptureReport {
    /// Datagrams in the file.
    pub datagram_written: u64,
    /// Their payload bytes.
    pub byte_written: u64,
    /// Datagrams dropped because the writer was behind.
    pub datagram_dropped: u64,
    /// Datagrams too long for the plan.
    pub datagram_oversize: u64,
}

/// A capture in progress; owns the writer thread. Dropping it stops it as [`Capture::stop`] does.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    taps: Vec<Arc<TapCounters>>,
    writer: Option<JoinHandle<Result<Written, PcapError>>>,
}

#[derive(Debug, Default)]
struct Written {
    datagrams: u64,
    bytes: u64,
}

impl Capture {
    /// Creates (or empties) the file and starts the writer; returns one tap for each of `tap_count` sources.
    ///
    /// # Errors
    /// [`CaptureError`] when the plan does not fit or the file cannot be created.
    pub fn create(
        path: &Path,
        plan: &CapturePlan,
        tap_count: usize,
    ) -> Result<(Self, Vec<CaptureTap>), CaptureError> {
        let file = File::create(path).map_err(PcapError::from)?;
        Self::spawn(
            BufWriter::with_capacity(FILE_BUFFER_LEN, file),
            plan,
            tap_count,
        )
    }

    /// As [`Capture::create`], into any output; give it a buffered one.
    ///
    /// # Errors
    /// As [`Capture::create`].
    pub fn spawn<W: Write + Send + 'static>(
        output: W,
        plan: &CapturePlan,
        tap_count: usize,
    ) -> Result<(Self, Vec<CaptureTap>), CaptureError> {
        if plan.payload_len_max > PAYLOAD_LEN_MAX {
            return Err(CaptureError::PayloadLenMax(plan.payload_len_max));
        }
        let arena = ArenaPlan {
            frame_count: plan.frame_count,
            stride: (ADDRESSES_LEN + plan.payload_len_max).next_multiple_of(STRIDE_UNIT),
            lock: plan.lock,
            huge_pages: false,
        };
        let mut taps = Vec::with_capacity(tap_count);
        let mut rings = Vec::with_capacity(tap_count);
        for _ in 0..tap_count {
            let (frames, ring, _) = frame_ring(&arena)?;
            taps.push(CaptureTap {
                frames,
                payload_len_max: plan.payload_len_max,
                counters: Arc::default(),
            });
            rings.push(ring);
        }
        let mut pcap = PcapWriter::new(output)?;
        pcap.flush()?;
        let stop = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            pcap,
            rings,
            stop: Arc::clone(&stop),
            written: Written::default(),
        };
        let writer = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || writer.run())
            .map_err(CaptureError::Thread)?;
        let counters = taps.iter().map(|tap| Arc::clone(&tap.counters)).collect();
        Ok((
            Self {
                stop,
                taps: counters,
                writer: Some(writer),
            },
            taps,
        ))
    }

    /// True when the writer has ended before it was told to: [`Capture::stop`] says why.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.writer.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// What each tap took, in the order they were given out.
    #[must_use]
    pub fn taps(&self) -> &[Arc<TapCounters>] {
        &self.taps
    }

    /// Writes what the taps hold at this moment, flushes and ends the writer thread. Waits for the output, so not for
    /// a hot thread. What is offered afterwards is dropped once a tap is full.
    ///
    /// # Errors
    /// [`CaptureError`] when a write failed, now or earlier.
    pub fn stop(mut self) -> Result<CaptureReport, CaptureError> {
        let written = self.join()?;
        let total = |count: fn(&TapCounters) -> &Counter| {
            self.taps.iter().map(|tap| count(tap).get()).sum()
        };
        Ok(CaptureReport {
            datagram_written: written.datagrams,
            byte_written: written.bytes,
            datagram_dropped: total(|tap| &tap.datagram_dropped),
            datagram_oversize: total(|tap| &tap.datagram_oversize),
        })
    }

    fn join(&mut self) -> Result<Written, CaptureError> {
        self.stop.store(true, Ordering::Release);
        let Some(writer) = self.writer.take() else {
            return Ok(Written::default());
        };
        writer.thread().unpark();
        Ok(writer.join().map_err(|_| CaptureError::WriterDied)??)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `stop`.
        let _ = self.join();
    }
}

/// The receiving thread's end of a capture.
#[derive(Debug)]
pub struct CaptureTap {
    frames: RxFrames,
    payload_len_max: usize,
    counters: Arc<TapCounters>,
}

/// Before each payload in a tap's frame: sender and receiver, each an IPv6 (or mapped) address and a port.
const ADDRESS_LEN: usize = 18;
const ADDRESSES_LEN: usize = 2 * ADDRESS_LEN;
/// Longest payload a tap can be planned for.
const PAYLOAD_LEN_MAX: usize = STRIDE_MAX - ADDRESSES_LEN;

impl CaptureTap {
    /// Copies one datagram for the writer; false when it was dropped or too long, which is counted.
    ///
    /// Cost: one copy of the payload. Never waits, allocates or makes a system call.
    #[inline]
    pub fn offer(
        &mut self,
        stamp: Nanos,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> bool {
        if payload.len() > self.payload_len_max {
            self.counters.datagram_oversize.add(1);
            return false;
        }
        let Some(mut frame) = self.frames.reserve() else {
            self.counters.datagram_dropped.add(1);
            return false;
        };
        let len = ADDRESSES_LEN + payload.len();
        let bytes = &mut frame.bytes_mut()[..len];
        bytes[..ADDRESS_LEN].copy_from_slice(&pack(from));
        bytes[ADDRESS_LEN..ADDRESSES_LEN].copy_from_slice(&pack(to));
        bytes[ADDRESSES_LEN..].copy_from_slice(payload);
        let ordinal = self.counters.datagram_taken.get();
        // A frame is shorter than 64 KiB.
        frame.publish(Datagram {
            stamp,
            ordinal,
            len: len as u16,
            source: SourceId(0),
            flags: 0,
        });
        self.counters.datagram_taken.add(1);
        true
    }

    /// What this tap took and dropped.
    #[must_use]
    pub fn counters(&self) -> &Arc<TapCounters> {
        &self.counters
    }
}

/// The writer thread.
struct Writer<W> {
    pcap: PcapWriter<W>,
    rings: Vec<CoreFrames>,
    stop: Arc<AtomicBool>,
    written: Written,
}

impl<W: Write> Writer<W> {
    fn run(mut self) -> Result<Written, PcapError> {
        let mut flushed_at = Instant::now();
        let mut unflushed = false;
        loop {
            // Read before draining: what was offered before the stop is then written.
            let stopping = self.stop.load(Ordering::Acquire);
            let wanted = if stopping {
                self.rings.iter().map(CoreFrames::waiting_count).sum()
            } else {
                RX_BURST
            };
            let count = self.write_earliest(wanted)?;
            unflushed |= count > 0;
            if stopping {
                break;
            }
            if unflushed && flushed_at.elapsed() >= FLUSH_EVERY {
                self.pcap.flush()?;
                flushed_at = Instant::now();
                unflushed = false;
            }
            if count == 0 {
                std::thread::park_timeout(IDLE_SLEEP);
            }
        }
        self.pcap.flush()?;
        Ok(self.written)
    }

    /// Writes up to `count_max` datagrams, of all that wait always the one with the earliest stamp.
    fn write_earliest(&mut self, count_max: usize) -> Result<usize, PcapError> {
        for written in 0..count_max {
            let heads = self.rings.iter().enumerate();
            let earliest = heads
                .filter_map(|(index, ring)| Some((ring.peek()?.stamp, index)))
                .min();
            let Some(frame) = earliest.and_then(|(_, index)| self.rings[index].next_frame()) else {
                return Ok(written);
            };
            let &Descriptor { stamp, .. } = frame.descriptor();
            let (addresses, payload) = frame.bytes().split_at(ADDRESSES_LEN);
            let (from, to) = addresses.split_at(ADDRESS_LEN);
            self.pcap.write(stamp, unpack(from), unpack(to), payload)?;
            self.written.datagrams += 1;
            self.written.bytes += payload.len() as u64;
        }
        Ok(count_max)
    }
}

#[inline]
fn pack(address: SocketAddr) -> [u8; ADDRESS_LEN] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; ADDRESS_LEN];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

/// The inverse of [`pack`], but for mapped addresses, which come out as IPv4.
fn unpack(bytes: &[u8]) -> SocketAddr {
    let mut ip = [0; 16];
    ip.copy_from_slice(&bytes[..16]);
    SocketAddr::new(
        Ipv6Addr::from(ip).to_canonical(),
        u16::from_be_bytes([bytes[16], bytes[17]]),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::pcap::PcapReader;
    use crate::udp::{UdpConfig, UdpSource};
    use crate::{DatagramSource, SourceReject, until};
    use std::net::UdpSocket;
    use std::sync::{Condvar, Mutex};

    /// An output that counts flushes, can be held up, and can fail.
    #[derive(Clone, Default)]
    struct Disk(Arc<(Mutex<DiskState>, Condvar)>);

    #[derive(Default)]
    struct DiskState {
        bytes: Vec<u8>,
        flushed_len: usize,
        held: bool,
        full_at: Option<usize>,
    }

    /// A disk that hangs until this is dropped, by a failing test too.
    struct Held(Disk);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.with(|state| state.held = false);
        }
    }

    impl Disk {
        fn hold(&self) -> Held {
            self.with(|state| state.held = true);
            Held(self.clone())
        }

        fn with<T>(&self, change: impl FnOnce(&mut DiskState) -> T) -> T {
            let result = change(&mut self.0.0.lock().unwrap());
            self.0.1.notify_all();
            result
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let state = self.0.0.lock().unwrap();
            let mut state = self.0.1.wait_while(state, |state| state.held).unwrap();
            if state
                .full_at
                .is_some_and(|len| state.bytes.len() + bytes.len() > len)
            {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.bytes.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.with(|state| state.flushed_len = state.bytes.len());
            Ok(())
        }
    }

    fn plan(frame_count: usize) -> CapturePlan {
        CapturePlan {
            frame_count,
            payload_len_max: 200,
            lock: Lock::Skip,
        }
    }

    fn addresses() -> (SocketAddr, SocketAddr) {
        (
            "10.9.8.7:65".parse().unwrap(),
            "[fd00::5]:43".parse().unwrap(),
        )
    }

    fn read(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut reader = PcapReader::new(bytes).unwrap();
        let mut all = Vec::new();
        while let Some(datagram) = reader.next().unwrap() {
            all.push((datagram.stamp.0, datagram.payload.to_vec()));
        }
        all
    }

    #[test]
    fn everything_offered_before_the_stop_is_in_the_file() {
        let disk = Disk::default();
        let (capture, mut taps) = Capture::spawn(disk.clone(), &plan(1024), 2).unwrap();
        let (from, to) = addresses();
        for index in 0..500u64 {
            assert!(taps[0].offer(Nanos(index * 2), from, from, &[0, index as u8]));
            assert!(taps[1].offer(Nanos(index * 2 + 1), from, to, &[1, index as u8]));
        }
        assert!(!taps[0].offer(Nanos(0), from, to, &[0; 201]));
        let report = capture.stop().unwrap();
        let expected = CaptureReport {
            datagram_written: 1000,
            byte_written: 2000,
            datagram_dropped: 0,
            datagram_oversize: 1,
        };
        assert_eq!(report, expected);
        let (bytes, flushed_len) = disk.with(|state| (state.bytes.clone(), state.flushed_len));
        assert_eq!(flushed_len, bytes.len());
        let mut all = read(&bytes);
        all.sort();
        let expected: Vec<_> = (0..1000u64)
            .map(|stamp| (stamp, vec![(stamp % 2) as u8, (stamp / 2) as u8]))
            .collect();
        assert_eq!(all, expected);
    }

    /// Goal: sources are merged by stamp as far as they are waiting together.
    #[test]
    fn waiting_datagrams_of_several_taps_are_written_by_stamp() {
        let disk = Disk::default();
        let (capture, mut taps) = Capture::spawn(disk.clone(), &plan(64), 2).unwrap();
        let held = disk.hold();
        let (from, _) = addresses();
        // The writer hangs on this one, so all others are waiting when it goes on.
        taps[0].offer(Nanos(0), from, from, b"first");
        for stamp in [3, 5, 7] {
            taps[0].offer(Nanos(stamp), from, from, b"odd");
        }
        for stamp in [2, 4, 9] {
            taps[1].offer(Nanos(stamp), from, from, b"other");
        }
        drop(held);
        capture.stop().unwrap();
        let stamps: Vec<_> = read(&disk.with(|state| state.bytes.clone()))
            .iter()
            .map(|one| one.0)
            .collect();
        assert_eq!(stamps, [0, 2, 3, 4, 5, 7, 9]);
    }

    /// Goal: a disk that hangs costs datagrams of the capture, never time of the receiving thread.
    #[test]
    fn when_the_writer_is_behind_the_newest_is_dropped_and_counted() {
        let disk = Disk::default();
        let (capture, mut taps) = Capture::spawn(disk.clone(), &plan(8), 1).unwrap();
        let held = disk.hold();
        let (from, to) = addresses();
        let taken = (0..100)
            .filter(|&stamp| taps[0].offer(Nanos(stamp), from, to, &[stamp as u8]))
            .count() as u64;
        assert!((8..100).contains(&taken));
        drop(held);
        let report = capture.stop().unwrap();
        assert_eq!(
            (report.datagram_written, report.datagram_dropped),
            (taken, 100 - taken)
        );
        let all = read(&disk.with(|state| state.bytes.clone()));
        assert_eq!(all.len() as u64, taken);
        assert!(all[..8].iter().map(|one| one.0).eq(0..8), "the oldest stay");
    }

    /// Goal: a process that is killed leaves what is older than a second in the file.
    #[test]
    fn the_file_is_flushed_while_the_capture_runs() {
        let disk = Disk::default();
        let (capture, mut taps) = Capture::spawn(disk.clone(), &plan(8), 1).unwrap();
        let (from, to) = addresses();
        taps[0].offer(Nanos(1), from, to, b"kept");
        until("flushed", || {
            read(&disk.with(|state| state.bytes[..state.flushed_len].to_vec())).len() == 1
        });
        drop(capture);
    }

    #[test]
    fn a_full_disk_ends_the_capture_and_not_the_receive() {
        let disk = Disk::default();
        disk.with(|state| state.full_at = Some(400));
        let (capture, mut taps) = Capture::spawn(disk, &plan(8), 1).unwrap();
        let (from, to) = addresses();
        until("failed", || {
            taps[0].offer(Nanos(1), from, to, &[0; 100]);
            capture.has_failed()
        });
        for _ in 0..20 {
            taps[0].offer(Nanos(1), from, to, &[0; 100]);
        }
        assert!(taps[0].counters().datagram_dropped.get() >= 12);
        let failed = capture.stop().unwrap_err();
        assert!(
            matches!(failed, CaptureError::Pcap(PcapError::Io(_))),
            "{failed}"
        );
    }

    #[test]
    fn a_plan_that_does_not_fit_is_refused() {
        let plan = CapturePlan {
            payload_len_max: PAYLOAD_LEN_MAX + 1,
            ..plan(8)
        };
        let refused = Capture::spawn(io::sink(), &plan, 1).unwrap_err();
        assert!(matches!(refused, CaptureError::PayloadLenMax(_)));
    }

    /// Goal: the whole of `overmind capture`: socket, tap, file, with no core and with one that is stuck.
    #[test]
    fn a_socket_is_captured_whether_or_not_a_core_keeps_up() {
        let path =
            std::env::temp_dir().join(format!("shred-source-capture-{}.pcap", std::process::id()));
        let (capture, mut taps) = Capture::create(&path, &CapturePlan::default(), 1).unwrap();
        let (frames, mut core, _) = frame_ring(&ArenaPlan {
            frame_count: 8,
            ..ArenaPlan::default()
        })
        .unwrap();
        let config = UdpConfig::new("127.0.0.1:0".parse().unwrap());
        let (mut source, facts) =
            UdpSource::open(&config, SourceId(0), frames, taps.pop()).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut stamps = Vec::new();
        for index in 0..60u8 {
            socket.send_to(&[index; 1203], facts.local).unwrap();
            if index % 3 == 2 {
                source.poll();
            }
            // Nobody drains the first 30, so from the ninth on there is no frame.
            if index >= 30 {
                core.drain(RX_BURST, |about, _| stamps.push(about.stamp.0));
            }
        }
        assert!(source.counters().tally().refused(SourceReject::FramesFull) > 0);
        drop(source);
        let report = capture.stop().unwrap();
        assert_eq!((report.datagram_written, report.datagram_dropped), (60, 0));
        let file = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut reader = PcapReader::new(file.as_slice()).unwrap();
        for index in 0..60u8 {
            let datagram = reader.next().unwrap().unwrap();
            assert_eq!(datagram.payload, [index; 1203]);
            assert_eq!(datagram.from, socket.local_addr().unwrap());
            assert_eq!(datagram.to, facts.local);
            stamps.retain(|&stamp| stamp != datagram.stamp.0);
        }
        assert!(reader.next().unwrap().is_none());
        assert!(stamps.is_empty(), "the capture's stamps are the core's");
    }
}
