//! The lane that sends nothing: every bundle it would have sent goes to a file.
//!
//! ```text
//! file   = magic "OVMPAPER" (8) | version u32 = 1 | record...
//! record = body length u32 | CRC-32 of the body u32 | body
//! body   = intent_id u64 | trigger_at_nanos u64 | built_at_nanos u64 | slot u64 | blockhash_slot u64
//!        | tip_lamports u64 | lane class u8 | transaction count u8
//!        | (length u16 | transaction bytes) per transaction
//! ```
//! All numbers are little-endian. The file only ever grows; a record cut short by a crash is recognised by its
//! length or CRC and cut off when the lane opens the file again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bundle::BundleCell;
use shred_wire::{Nanos, Slot};
use strategy::LaneClass;

use crate::lane::{Lane, LaneReject};
use crate::report::Report;

const MAGIC: &[u8; 8] = b"OVMPAPER";
const VERSION: u32 = 1;
const FILE_HEAD_LEN: usize = MAGIC.len() + 4;
const RECORD_HEAD_LEN: usize = 8;
const BODY_HEAD_LEN: usize = 6 * 8 + 2;
/// Five transactions of the longest kind; a longer length is damage.
const BODY_LEN_MAX: usize = BODY_HEAD_LEN + 5 * (2 + 4096);

/// [`Lane`] that records and never answers: outcomes are modelled elsewhere, from the shreds that follow.
#[derive(Debug)]
pub struct PaperLane {
    file: File,
    /// Bytes of the file that are whole records.
    file_len: u64,
    record: Vec<u8>,
    recorded_count: u64,
}

/// A bundle that would have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaperRecord {
    /// Intent it serves.
    pub intent_id: u64,
    /// Stamp of the datagram that led to it.
    pub trigger_at: Nanos,
    /// When its bytes were complete.
    pub built_at: Nanos,
    /// Slot of the event that led to it.
    pub slot: Slot,
    /// Slot whose block gave the blockhash.
    pub blockhash_slot: Slot,
    /// Tip its bytes carry, lamports.
    pub tip_lamports: u64,
    /// [`LaneClass`] as a byte.
    pub lane_class: u8,
    /// Its transactions, in order.
    pub transactions: Vec<Vec<u8>>,
}

/// A paper file, read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PaperLog {
    /// Whole records, in order.
    pub records: Vec<PaperRecord>,
    /// Bytes after the last whole record: what a crash left behind.
    pub torn_len: u64,
}

/// Why a file is not a paper file, or could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// The system's words.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another lane writes to it, in this process or another one.
    #[error("in use by another executor: two would mix their records")]
    InUse,
    /// It does not begin as one of this version.
    #[error("not a paper file of version 1")]
    NotAPaperFile,
}

impl PaperLane {
    /// Opens `path` for appending, or begins it, and locks it (`flock`) until dropped. What a crash cut short is cut
    /// off.
    ///
    /// # Errors
    /// [`PaperError`].
    pub fn open(path: &Path) -> Result<Self, PaperError> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        // First of all: what looks torn may be what another lane is writing.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PaperError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        if file.metadata()?.len() == 0 {
            file.write_all(MAGIC)?;
            file.write_all(&VERSION.to_le_bytes())?;
        } else {
            let log = read(&mut file)?;
            let len = file.metadata()?.len();
            file.set_len(len - log.torn_len)?;
        }
        let file_len = file.seek(SeekFrom::End(0))?;
        let record = Vec::with_capacity(RECORD_HEAD_LEN + BODY_LEN_MAX);
        Ok(Self {
            file,
            file_len,
            record,
            recorded_count: 0,
        })
    }

    /// Bundles recorded since the lane was opened.
    pub fn recorded_count(&self) -> u64 {
        self.recorded_count
    }
}

impl Lane for PaperLane {
    fn takes(&self, _: LaneClass) -> bool {
        true
    }

    /// One write call per bundle; the submit thread may do that, the core may not.
    fn send(&mut self, bundle: &BundleCell) -> Result<(), LaneReject> {
        if bundle.count() == 0 {
            return Err(LaneReject::BadCell);
        }
        put_record(&mut self.record, bundle)?;
        if self.file.write_all(&self.record).is_err() {
            // Half a record would hide every later one. If even this fails, the next open cuts it off.
            let _ = self.file.set_len(self.file_len);
            return Err(LaneReject::Storage);
        }
        self.file_len += self.record.len() as u64;
        self.recorded_count += 1;
        Ok(())
    }

    fn poll(&mut self, _: &mut dyn FnMut(Report)) {}
}

impl PaperLog {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`PaperError`]; a torn end is not one.
    pub fn read(path: &Path) -> Result<Self, PaperError> {
        read(&mut File::open(path)?)
    }
}

fn put_record(out: &mut Vec<u8>, bundle: &BundleCell) -> Result<(), LaneReject> {
    out.clear();
    out.extend_from_slice(&[0; RECORD_HEAD_LEN]);
    for number in [
        bundle.intent_id,
        bundle.trigger_at.0,
        bundle.built_at.0,
        bundle.slot.0,
        bundle.blockhash_slot.0,
        bundle.tip.0,
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.push(bundle.lane as u8);
    out.push(u8::try_from(bundle.count()).map_err(|_| LaneReject::BadCell)?);
    for bytes in bundle.transactions() {
        let len = u16::try_from(bytes.len()).map_err(|_| LaneReject::BadCell)?;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    let (head, body) = out.split_at_mut(RECORD_HEAD_LEN);
    let len = u32::try_from(body.len()).map_err(|_| LaneReject::BadCell)?;
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4..].copy_from_slice(&crc32(body).to_le_bytes());
    Ok(())
}

fn read(file: &mut File) -> Result<PaperLog, PaperError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (head, mut rest) = bytes
        .split_at_checked(FILE_HEAD_LEN)
        .ok_or(PaperError::NotAPaperFile)?;
    if head[..MAGIC.len()] != *MAGIC || head[MAGIC.len()..] != VERSION.to_le_bytes() {
        return Err(PaperError::NotAPaperFile);
    }
    let mut records = Vec::new();
    while let Some((record, after)) = take_record(rest) {
        records.push(record);
        rest = after;
    }
    Ok(PaperLog {
        records,
        torn_len: rest.len() as u64,
    })
}

/// The next whole record and what follows it.
fn take_record(bytes: &[u8]) -> Option<(PaperRecord, &[u8])> {
    let (len, bytes) = take::<4>(bytes)?;
    let (crc, bytes) = take::<4>(bytes)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > BODY_LEN_MAX {
        return None;
    }
    let (body, after) = bytes.split_at_checked(len)?;
    (crc32(body) == u32::from_le_bytes(crc)).then_some((parse_body(body)?, after))
}

fn parse_body(mut body: &[u8]) -> Option<PaperRecord> {
    let mut numbers = [0; 6];
    for number in &mut numbers {
        let (bytes, rest) = take::<8>(body)?;
        (*number, body) = (u64::from_le_bytes(bytes), rest);
    }
    let ([lane_class, count], mut body) = take::<2>(body)?;
    let mut transactions = Vec::with_capacity(usize::from(count.min(5)));
    for _ in 0..count {
        let (len, rest) = take::<2>(body)?;
        let (bytes, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(len)))?;
        transactions.push(bytes.to_vec());
        body = rest;
    }
    let [
        intent_id,
        trigger_at,
        built_at,
        slot,
        blockhash_slot,
        tip_lamports,
    ] = numbers;
    let (trigger_at, built_at) = (Nanos(trigger_at), Nanos(built_at));
    let (slot, blockhash_slot) = (Slot(slot), Slot(blockhash_slot));
    let record = PaperRecord {
        intent_id,
        trigger_at,
        built_at,
        slot,
        blockhash_slot,
        tip_lamports,
        lane_class,
        transactions,
    };
    body.is_empty().then_some(record)
}

fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    let (taken, rest) = bytes.split_first_chunk()?;
    Some((*taken, rest))
}

/// CRC-32 of ISO 3309 (polynomial 0x04C11DB7, reflected), as in gzip.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lanes_do_not_share_a_file() {
        let path = std::env::temp_dir().join(format!("paper-lock-{}", std::process::id()));
        let first = PaperLane::open(&path).expect("opens");
        assert!(matches!(PaperLane::open(&path), Err(PaperError::InUse)));
        drop(first);
        PaperLane::open(&path).expect("it is free again");
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn the_checksum_is_the_common_one() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        let mut state = 1_u64;
        for len in 0..400 {
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            assert!(take_record(&bytes).is_none());
            // A body whose checksum is right may still be nonsense.
            parse_body(&bytes);
        }
    }
}
