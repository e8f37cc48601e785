//! Reads a capture of any size through one bounded buffer.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::ops::Range;

use shred_wire::Nanos;

use crate::packet::{Gre, LinkType, find_datagram};

use super::{
    FILE_HEADER_LEN, MAGIC_MICROS, MAGIC_NANOS, MAGIC_PCAPNG, PcapError, PcapReject,
    RECORD_HEADER_LEN, RECORD_LEN_MAX,
};

/// One UDP datagram of a capture. Its bytes are valid until the reader moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcapDatagram<'a> {
    /// UDP payload.
    pub payload: &'a [u8],
    /// When it was captured.
    pub stamp: Nanos,
    /// 0-based number over all UDP datagrams of the file, of any port, in file order. A datagram of which the
    /// capture kept only part, or whose own length is wrong, is refused but takes its number; an IP fragment
    /// takes none.
    pub ordinal: u64,
    /// Who sent it.
    pub from: SocketAddr,
    /// Where to.
    pub to: SocketAddr,
}

/// What was read and refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PcapCounters {
    /// Records whose header was read, with whatever was in them.
    pub record_read: u64,
    /// Datagrams handed out.
    pub datagram_read: u64,
    /// Records whose lengths contradict the file's (kept more than the snap length, or more than there was);
    /// used all the same, by what was kept.
    pub record_contradicting: u64,
    /// Records refused, by [`PcapReject`].
    pub rejected: [u64; PcapReject::ALL.len()],
}

impl PcapCounters {
    /// Records refused for `reason`.
    #[must_use]
    pub const fn refused(&self, reason: PcapReject) -> u64 {
        self.rejected[reason as usize]
    }
}

/// A capture being read. Allocates its buffer (512 KiB) once.
#[derive(Debug)]
pub struct PcapReader<R> {
    input: R,
    buffer: Box<[u8]>,
    /// Bytes read from `input` and not yet passed.
    unread: Range<usize>,
    format: Format,
    current: Option<Current>,
    ordinal_next: u64,
    ended: bool,
    counters: PcapCounters,
}

/// Twice the longest record, so that most reads are long.
const BUFFER_LEN: usize = 2 * (RECORD_LEN_MAX + RECORD_HEADER_LEN);

#[derive(Debug, Clone, Copy)]
struct Format {
    big_endian: bool,
    nanos_per_fraction: u64,
    snap_len: u32,
    link: LinkType,
}

#[derive(Debug)]
struct Current {
    payload: Range<usize>,
    stamp: Nanos,
    ordinal: u64,
    from: SocketAddr,
    to: SocketAddr,
}

impl<R: Read> PcapReader<R> {
    /// Reads the file header.
    ///
    /// `input` needs no buffering of its own.
    ///
    /// # Errors
    /// [`PcapError`] says what the file is instead of a capture, or that it cannot be read.
    pub fn new(input: R) -> Result<Self, PcapError> {
        let mut reader = Self {
            input,
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            unread: 0..0,
            format: Format {
                big_endian: false,
                nanos_per_fraction: 1,
                snap_len: 0,
                link: LinkType::RawIp,
            },
            current: None,
            ordinal_next: 0,
            ended: false,
            counters: PcapCounters::default(),
        };
        let len = reader.fill(FILE_HEADER_LEN)?;
        let header = reader.peek();
        let Some(header) = header.first_chunk() else {
            return Err(match header.first_chunk() {
                Some(&magic) if u32::from_be_bytes(magic) == MAGIC_PCAPNG => PcapError::Pcapng,
                _ => PcapError::TooShort { len },
            });
        };
        reader.format = Format::parse(header)?;
        reader.unread.start += FILE_HEADER_LEN;
        Ok(reader)
    }

    /// Moves to the next UDP datagram and returns it; `None` at the end of the file.
    ///
    /// Cost: no allocation; one long read per 256 to 512 KiB of file.
    ///
    /// # Errors
    /// [`PcapError::Io`] when the input fails; after that the file is at its end.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend its items"
    )]
    pub fn next(&mut self) -> Result<Option<PcapDatagram<'_>>, PcapError> {
        self.advance()?;
        Ok(self.current())
    }

    /// Moves to the next UDP datagram and says whether there is one.
    ///
    /// # Errors
    /// As [`PcapReader::next`].
    pub fn advance(&mut self) -> Result<bool, PcapError> {
        self.current = None;
        while !self.ended {
            match self.read_record() {
                Ok(()) if self.current.is_some() => return Ok(true),
                Ok(()) => {}
                Err(error) => {
                    self.ended = true;
                    return Err(error.into());
                }
            }
        }
        Ok(false)
    }

    /// The datagram last moved to.
    #[must_use]
    pub fn current(&self) -> Option<PcapDatagram<'_>> {
        self.current.as_ref().map(|current| PcapDatagram {
            payload: &self.buffer[current.payload.clone()],
            stamp: current.stamp,
            ordinal: current.ordinal,
            from: current.from,
            to: current.to,
        })
    }

    /// What was read and refused so far.
    #[must_use]
    pub fn counters(&self) -> &PcapCounters {
        &self.counters
    }

    /// Reads one record, whatever is in it; sets `current` or counts a refusal or ends.
    fn read_record(&mut self) -> io::Result<()> {
        self.fill(RECORD_HEADER_LEN)?;
        let Some(&header) = self.peek().first_chunk::<RECORD_HEADER_LEN>() else {
            self.end(self.unread.is_empty());
            return Ok(());
        };
        self.unread.start += RECORD_HEADER_LEN;
        self.counters.record_read += 1;
        let record = self.format.record(&header);
        if record.kept_len as usize > RECORD_LEN_MAX {
            self.reject(PcapReject::RecordTooLong);
            return self.skip(record.kept_len as usize);
        }
        if record.kept_len > record.frame_len || record.kept_len > self.format.snap_len {
            self.counters.record_contradicting += 1;
        }
        let kept_len = record.kept_len as usize;
        if self.fill(kept_len)? < kept_len {
            self.end(false);
            return Ok(());
        }
        let start = self.unread.start;
        self.unread.start += kept_len;
        self.take_datagram(&record, start..start + kept_len);
        Ok(())
    }

    fn take_datagram(&mut self, record: &Record, bytes: Range<usize>) {
        let cut = record.kept_len < record.frame_len;
        match find_datagram(
            self.format.link,
            &self.buffer[bytes.clone()],
            cut,
            Gre::Refuse,
        ) {
            Ok(found) => {
                self.counters.datagram_read += 1;
                self.current = Some(Current {
                    payload: bytes.start + found.payload.start..bytes.start + found.payload.end,
                    stamp: record.stamp,
                    ordinal: self.ordinal_next,
                    from: found.from,
                    to: found.to,
                });
                self.ordinal_next += 1;
            }
            Err(refused) => {
                self.reject(refused.reason);
                self.ordinal_next += u64::from(refused.is_datagram);
            }
        }
    }

    /// The input has no more bytes, between two records or inside one.
    fn end(&mut self, between_records: bool) {
        if !between_records {
            self.reject(PcapReject::FileCut);
        }
        self.ended = true;
    }

    fn reject(&mut self, reason: PcapReject) {
        self.counters.rejected[reason as usize] += 1;
    }

    fn peek(&self) -> &[u8] {
        &self.buffer[self.unread.clone()]
    }

    /// Reads until `len` bytes are unread or the input ends; returns how many of them there are.
    fn fill(&mut self, len: usize) -> io::Result<usize> {
        if self.unread.len() < len {
            // Less than a record moves, and all of the buffer behind it is read into at once.
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        while self.unread.len() < len {
            match self.input.read(&mut self.buffer[self.unread.end..]) {
                Ok(0) => break,
                Ok(read) => self.unread.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.unread.len().min(len))
    }

    /// Passes over `len` bytes, however many the buffer holds.
    fn skip(&mut self, mut len: usize) -> io::Result<()> {
        while len > 0 {
            let step = self.fill(len.min(RECORD_LEN_MAX))?;
            if step == 0 {
                self.ended = true;
                break;
            }
            self.unread.start += step;
            len -= step;
        }
        Ok(())
    }
}

struct Record {
    stamp: Nanos,
    /// Bytes in the file.
    kept_len: u32,
    /// Bytes there were on the wire.
    frame_len: u32,
}

impl Format {
    fn parse(header: &[u8; FILE_HEADER_LEN]) -> Result<Self, PcapError> {
        let magic = [header[0], header[1], header[2], header[3]];
        let (big_endian, nanos_per_fraction) =
            match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
                (MAGIC_MICROS, _) => (false, 1000),
                (MAGIC_NANOS, _) => (false, 1),
                (_, MAGIC_MICROS) => (true, 1000),
                (_, MAGIC_NANOS) => (true, 1),
                (MAGIC_PCAPNG, _) => return Err(PcapError::Pcapng),
                _ => return Err(PcapError::NotPcap(magic)),
            };
        let number = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            if big_endian {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        // Two 16-bit numbers read as one 32-bit number: major first, in either byte order.
        let (first, second) = (number(4) >> 16, number(4) & 0xFFFF);
        let (major, minor) = if big_endian {
            (first, second)
        } else {
            (second, first)
        };
        if major != 2 {
            return Err(PcapError::Version {
                major: major as u16,
                minor: minor as u16,
            });
        }
        // The upper half says whether and how long a frame check sequence follows each frame; the IP header's own
        // length leaves it out.
        let link_number = number(20) as u16;
        let link = LinkType::from_number(link_number).ok_or(PcapError::LinkType(link_number))?;
        // 0 is written by some tools for "no limit".
        let snap_len = if number(16) == 0 {
            u32::MAX
        } else {
            number(16)
        };
        Ok(Self {
            big_endian,
            nanos_per_fraction,
            snap_len,
            link,
        })
    }

    fn record(&self, header: &[u8; RECORD_HEADER_LEN]) -> Record {
        let number = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            if self.big_endian {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        // Cannot overflow: 2^32 s is a quarter of what 64 bits of nanoseconds hold.
        let seconds = u64::from(number(0)) * 1_000_000_000;
        let stamp = Nanos(seconds + u64::from(number(4)) * self.nanos_per_fraction);
        Record {
            stamp,
            kept_len: number(8),
            frame_len: number(12),
        }
    }
}
