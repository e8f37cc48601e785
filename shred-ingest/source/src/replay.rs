//! Captures as a source: the same frames, the same trait, and nothing dropped.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shred_wire::Nanos;

use crate::arena::{Datagram, RxFrames};
use crate::pcap::{PcapCounters, PcapError, PcapReader};
use crate::{DatagramSource, RX_BURST, SourceCounters, SourceId, SourceReject};

/// When a replayed datagram is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As soon as there is a frame for it.
    AsFastAsPossible,
    /// As long after the first as its stamp says, at this percentage of the captured speed (100 = as captured,
    /// 50 = half as fast). 0 counts as 1.
    Stamped {
        /// Percentage of the captured speed.
        speed_percent: u32,
    },
}

/// A file that cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct ReplayError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub source: PcapError,
}

/// Several captures merged into one stream: by stamp, equal stamps in the order the captures were given. The order
/// inside a file is kept even where its stamps run backwards.
///
/// Each datagram keeps the [`SourceId`] of its file and its ordinal in it. When all frames are with the core the
/// replay waits: [`DatagramSource::poll`] returns 0 and the next one goes on where this one stopped.
#[derive(Debug)]
pub struct ReplaySource<R = File> {
    lanes: Vec<Lane<R>>,
    frames: RxFrames,
    pace: Pace,
    /// Stamp of the first datagram, and when it was played.
    first_stamp: Option<Nanos>,
    started_at: Option<Instant>,
    counters: Arc<SourceCounters>,
    ended: bool,
}

#[derive(Debug)]
struct Lane<R> {
    source: SourceId,
    reader: PcapReader<R>,
    /// Stamp of the datagram the reader stands on; `None` at the end of the file.
    head: Option<Nanos>,
    error: Option<PcapError>,
}

impl<R: Read> Lane<R> {
    fn advance(&mut self) {
        match self.reader.advance() {
            Ok(_) => {}
            Err(error) => self.error = Some(error),
        }
        self.head = self.reader.current().map(|datagram| datagram.stamp);
    }
}

impl ReplaySource<File> {
    /// Opens every capture.
    ///
    /// # Errors
    /// [`ReplayError`] names the first file that cannot be read.
    pub fn open<P: AsRef<Path>>(
        captures: &[(SourceId, P)],
        frames: RxFrames,
        pace: Pace,
    ) -> Result<Self, ReplayError> {
        let mut readers = Vec::with_capacity(captures.len());
        for (source, path) in captures {
            let path = path.as_ref();
            let reader = File::open(path)
                .map_err(PcapError::from)
                .and_then(PcapReader::new);
            let reader = reader.map_err(|source| ReplayError {
                path: path.to_path_buf(),
                source,
            })?;
            readers.push((*source, reader));
        }
        Ok(Self::new(readers, frames, pace))
    }
}

impl<R: Read> ReplaySource<R> {
    /// Replays readers that stand at their beginning.
    pub fn new(readers: Vec<(SourceId, PcapReader<R>)>, frames: RxFrames, pace: Pace) -> Self {
        let lane = |(source, reader)| {
            let mut lane = Lane {
                source,
                reader,
                head: None,
                error: None,
            };
            lane.advance();
            lane
        };
        Self {
            lanes: readers.into_iter().map(lane).collect(),
            frames,
            pace,
            first_stamp: None,
            started_at: None,
            counters: Arc::default(),
            ended: false,
        }
    }

    /// As [`DatagramSource::poll`], with the time since the first datagram was played as an argument.
    pub fn poll_at(&mut self, elapsed: Duration) -> usize {
        let mut taken = 0;
        while taken < RX_BURST {
            let Some((stamp, lane)) = self.earliest() else {
                self.ended = true;
                break;
            };
            if self.due(stamp) > elapsed || !self.play(lane, stamp) {
                break;
            }
            taken += 1;
        }
        taken
    }

    /// The read that failed, when one did; that capture ended there.
    #[must_use]
    pub fn error(&self) -> Option<(SourceId, &PcapError)> {
        self.lanes
            .iter()
            .find_map(|lane| lane.error.as_ref().map(|error| (lane.source, error)))
    }

    /// What was read and refused of each capture, in the order given.
    pub fn pcap_counters(&self) -> impl Iterator<Item = (SourceId, &PcapCounters)> {
        self.lanes
            .iter()
            .map(|lane| (lane.source, lane.reader.counters()))
    }

    /// Gives the frames back.
    #[must_use]
    pub fn close(self) -> RxFrames {
        self.frames
    }

    fn earliest(&self) -> Option<(Nanos, usize)> {
        let heads = self.lanes.iter().enumerate();
        heads
            .filter_map(|(index, lane)| lane.head.map(|stamp| (stamp, index)))
            .min()
    }

    /// How long after the first datagram one with `stamp` is to be played.
    fn due(&self, stamp: Nanos) -> Duration {
        match self.pace {
            Pace::AsFastAsPossible => Duration::ZERO,
            Pace::Stamped { speed_percent } => {
                let captured = stamp.since(self.first_stamp.unwrap_or(stamp));
                let due = u128::from(captured.0) * 100 / u128::from(speed_percent.max(1));
                Duration::from_nanos(u64::try_from(due).unwrap_or(u64::MAX))
            }
        }
    }

    /// Hands the lane's datagram to the core; false when it has to wait for a frame.
    fn play(&mut self, lane: usize, stamp: Nanos) -> bool {
        let lane = &mut self.lanes[lane];
        let Some(datagram) = lane.reader.current() else {
            return false;
        };
        let len = datagram.payload.len();
        if len > self.frames.stride() {
            self.counters.reject(SourceReject::Oversize);
        } else {
            let Some(mut frame) = self.frames.reserve() else {
                // Nobody will ever give a frame back.
                self.ended = self.frames.is_abandoned();
                return false;
            };
            frame.bytes_mut()[..len].copy_from_slice(datagram.payload);
            frame.publish(Datagram {
                stamp,
                ordinal: datagram.ordinal,
                // A frame is shorter than 64 KiB.
                len: len as u16,
                source: lane.source,
                flags: 0,
            });
            self.counters.byte_accepted.add(len as u64);
        }
        self.counters.datagram_received.add(1);
        self.first_stamp.get_or_insert(stamp);
        lane.advance();
        true
    }

    fn elapsed(&mut self) -> Duration {
        match self.pace {
            Pace::AsFastAsPossible => Duration::ZERO,
            Pace::Stamped { .. } => self.started_at.get_or_insert_with(Instant::now).elapsed(),
        }
    }
}

impl<R: Read> DatagramSource for ReplaySource<R> {
    fn poll(&mut self) -> usize {
        let elapsed = self.elapsed();
        self.poll_at(elapsed)
    }

    fn is_ended(&self) -> bool {
        self.ended
    }

    fn wait(&mut self, at_most: Duration) {
        let until_due = self
            .earliest()
            .map_or(Duration::ZERO, |(stamp, _)| self.due(stamp));
        let missing = until_due.saturating_sub(self.elapsed());
        if missing.is_zero() {
            // Due but not played: the core is behind.
            std::thread::yield_now();
        } else {
            std::thread::sleep(missing.min(at_most));
        }
    }

    fn counters(&self) -> &Arc<SourceCounters> {
        &self.counters
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::arena::{ArenaPlan, CoreFrames, Lock, frame_ring};
    use crate::pcap::PcapWriter;

    fn rings(frame_count: usize) -> (RxFrames, CoreFrames) {
        let plan = ArenaPlan {
            frame_count,
            stride: 128,
            lock: Lock::Skip,
            huge_pages: false,
        };
        let (rx, core, _) = frame_ring(&plan).unwrap();
        (rx, core)
    }

    /// A capture of one-byte payloads with the given stamps.
    fn capture(tag: u8, stamps: &[u64]) -> Vec<u8> {
        let address = "10.0.0.1:1".parse().unwrap();
        let mut writer = PcapWriter::new(Vec::new()).unwrap();
        for &stamp in stamps {
            writer
                .write(Nanos(stamp), address, address, &[tag])
                .unwrap();
        }
        writer.into_inner()
    }

    fn replay<'a>(
        captures: &[(u8, &'a [u8])],
        frames: RxFrames,
        pace: Pace,
    ) -> ReplaySource<&'a [u8]> {
        let reader =
            |&(id, bytes): &(u8, &'a [u8])| (SourceId(id), PcapReader::new(bytes).unwrap());
        ReplaySource::new(captures.iter().map(reader).collect(), frames, pace)
    }

    /// (source, ordinal, stamp) of all that waits.
    fn taken(core: &mut CoreFrames) -> Vec<(u8, u64, u64)> {
        let mut all = Vec::new();
        core.drain(usize::MAX, |about, bytes| {
            assert_eq!(bytes, [about.source.0]);
            all.push((about.source.0, about.ordinal, about.stamp.0));
        });
        all
    }

    #[test]
    fn captures_merge_by_stamp_then_by_the_order_given() {
        let first = capture(9, &[10, 30, 30, 50]);
        let second = capture(4, &[5, 30, 60]);
        let (rx, mut core) = rings(16);
        let mut source = replay(&[(9, &first), (4, &second)], rx, Pace::AsFastAsPossible);
        assert_eq!(source.poll(), 7);
        let expected = [
            (4, 0, 5),
            (9, 0, 10),
            (9, 1, 30),
            (9, 2, 30),
            (4, 1, 30),
            (9, 3, 50),
            (4, 2, 60),
        ];
        assert_eq!(taken(&mut core), expected);
        assert_eq!(source.poll(), 0);
        assert!(source.is_ended());
        assert_eq!(source.counters().tally().accepted(), 7);
        assert_eq!(source.close().free_count(), 16);
    }

    #[test]
    fn stamps_that_run_backwards_do_not_change_a_files_order() {
        let capture = capture(1, &[50, 20, 70]);
        let (rx, mut core) = rings(4);
        replay(&[(1, &capture)], rx, Pace::AsFastAsPossible).poll();
        assert_eq!(taken(&mut core), [(1, 0, 50), (1, 1, 20), (1, 2, 70)]);
    }

    /// Goal: whatever the core's pace and the ring's size, a replay gives the same datagrams.
    /// Method: two frames only, drained now and then.
    #[test]
    fn a_full_ring_makes_the_replay_wait_and_nothing_is_dropped() {
        let stamps: Vec<u64> = (0..1000).collect();
        let capture = capture(1, &stamps);
        let (rx, mut core) = rings(2);
        let mut source = replay(&[(1, &capture)], rx, Pace::AsFastAsPossible);
        let mut all = Vec::new();
        let mut waited = 0;
        while !source.is_ended() {
            source.poll();
            waited += usize::from(source.poll() == 0);
            all.extend(taken(&mut core));
        }
        assert_eq!(
            all,
            stamps.iter().map(|&at| (1, at, at)).collect::<Vec<_>>()
        );
        assert!(waited > 100);
        assert_eq!(
            source.counters().tally().rejected,
            [0; SourceReject::ALL.len()]
        );
        assert_eq!(source.close().free_count(), 2);
    }

    #[test]
    fn a_paced_replay_follows_the_stamps() {
        let capture = capture(1, &[1_000_000_000, 1_000_001_000, 1_000_010_000]);
        for (speed_percent, due) in [
            (100, [1_000, 10_000]),
            (200, [500, 5_000]),
            (50, [2_000, 20_000]),
        ] {
            let (rx, mut core) = rings(4);
            let mut source = replay(&[(1, &capture)], rx, Pace::Stamped { speed_percent });
            assert_eq!(source.poll_at(Duration::ZERO), 1);
            for due in due {
                assert_eq!(source.poll_at(Duration::from_nanos(due - 1)), 0);
                assert!(!source.is_ended());
                assert_eq!(source.poll_at(Duration::from_nanos(due)), 1);
            }
            assert_eq!(source.poll_at(Duration::from_secs(1)), 0);
            assert!(source.is_ended());
            assert_eq!(taken(&mut core).len(), 3);
        }
    }

    #[test]
    fn waiting_lets_the_stamps_time_pass() {
        let capture = capture(1, &[0, 20_000_000]);
        let (rx, mut core) = rings(4);
        let mut source = replay(&[(1, &capture)], rx, Pace::Stamped { speed_percent: 100 });
        let started = Instant::now();
        while !source.is_ended() {
            if source.poll() == 0 {
                source.wait(Duration::from_millis(5));
            }
        }
        assert!(started.elapsed() >= Duration::from_millis(20));
        assert_eq!(taken(&mut core).len(), 2);
    }

    #[test]
    fn a_datagram_longer_than_a_frame_is_refused_and_counted() {
        let address = "10.0.0.1:1".parse().unwrap();
        let mut writer = PcapWriter::new(Vec::new()).unwrap();
        for payload in [&[7; 129][..], &[7; 128]] {
            writer.write(Nanos(0), address, address, payload).unwrap();
        }
        let capture = writer.into_inner();
        let (rx, mut core) = rings(4);
        let mut source = replay(&[(1, &capture)], rx, Pace::AsFastAsPossible);
        assert_eq!(source.poll(), 2);
        let frame = core.next_frame().unwrap();
        assert_eq!((frame.descriptor().ordinal, frame.bytes().len()), (1, 128));
        assert_eq!(source.counters().tally().refused(SourceReject::Oversize), 1);
        assert_eq!(source.counters().tally().accepted(), 1);
    }

    #[test]
    fn without_a_core_the_replay_ends() {
        let capture = capture(1, &[0; 9]);
        let (rx, core) = rings(4);
        drop(core);
        let mut source = replay(&[(1, &capture)], rx, Pace::AsFastAsPossible);
        while !source.is_ended() {
            source.poll();
        }
        assert_eq!(source.counters().tally().accepted(), 4);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let (rx, _core) = rings(2);
        let missing = [(SourceId(0), "no/such/file.pcap")];
        let refused = ReplaySource::open(&missing, rx, Pace::AsFastAsPossible).unwrap_err();
        assert!(refused.to_string().starts_with("no/such/file.pcap: "));
    }
}
