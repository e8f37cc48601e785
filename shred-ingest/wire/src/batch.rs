//! Entry batches: what stands between transactions, and block markers.
//!
//! A batch is the payload of the data shreds from one data-complete mark to the next. It begins with a `u64`:
//!
//! ```text
//! n > 0              n entries: { num_hashes u64 | hash 32 | txn_count u64 | transactions }
//! 0, and more        a block marker: version u16 = 1 | variant u8 | payload length u16 | payload
//! 0, and no more     the leader has abandoned the block (`is_abort`)
//! ```
//!
//! Integers are little-endian. Bytes past the last entry, or past the marker, are legal and mean nothing. Agave
//! also ends an abandoned slot with a batch of one byte: shorter than [`BATCH_HEAD_LEN`], it holds nothing.
//!
//! Sources: crate `solana-entry` 4.2.2 (`entry.rs`, `block_component.rs`), SIMD-0307, SIMD-0337, SIMD-0384;
//! read 2026-11-21.
#![deny(clippy::indexing_slicing)]

use crate::{Nanos, Slot};

/// Bytes of the entry count that begins a batch.
pub const BATCH_HEAD_LEN: usize = 8;
/// Bytes of an entry before its transactions.
pub const ENTRY_HEAD_LEN: usize = 48;
/// Bytes of a marker before its payload: the zero entry count, version, variant, payload length.
pub const MARKER_HEAD_LEN: usize = BATCH_HEAD_LEN + 2 + 1 + 2;
/// Longest marker, its head included.
pub const MARKER_LEN_MAX: usize = MARKER_HEAD_LEN + u16::MAX as usize;
/// Longest bitmap of a genesis certificate, bytes: 4096 validators. Source: `GenesisCertBlockMarker`.
pub const GENESIS_BITMAP_LEN_MAX: usize = 512;
/// The whole of a batch by which a leader abandons its block. Source: `infer_is_empty_entry_batch`.
pub const ABORT: [u8; BATCH_HEAD_LEN] = [0; BATCH_HEAD_LEN];

/// The entry count that begins a batch: 0 announces a [`Marker`] or, alone, an abort. `None` until it is there.
///
/// Any value may stand there: it bounds nothing before the entries themselves arrive.
#[inline]
#[must_use]
pub fn entry_count(batch: &[u8]) -> Option<u64> {
    batch.first_chunk().map(|count| u64::from_le_bytes(*count))
}

/// Whether `batch`, which must be whole (up to its data-complete mark), abandons the block: every earlier
/// transaction of the slot is then void. The same eight bytes with more to come begin a marker.
#[inline]
#[must_use]
pub fn is_abort(batch: &[u8]) -> bool {
    batch == ABORT
}

/// The head of one entry; its transactions follow it.
///
/// | bytes | field        |
/// |------:|--------------|
/// |   0-7 | `num_hashes` |
/// |  8-39 | `hash`       |
/// | 40-47 | `txn_count`  |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead<'a> {
    num_hashes: &'a [u8; 8],
    hash: &'a [u8; 32],
    txn_count: &'a [u8; 8],
}

impl<'a> EntryHead<'a> {
    /// Reads the head at the start of `bytes`; `None` until [`ENTRY_HEAD_LEN`] of them are there. Every 48 bytes
    /// are a head.
    #[inline]
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (num_hashes, rest) = bytes.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let txn_count = rest.first_chunk()?;
        Some(Self {
            num_hashes,
            hash,
            txn_count,
        })
    }

    /// Hashes since the entry before.
    #[inline]
    #[must_use]
    pub fn num_hashes(&self) -> u64 {
        u64::from_le_bytes(*self.num_hashes)
    }

    /// The PoH hash at this entry; that of the slot's last one is its blockhash.
    #[inline]
    #[must_use]
    pub fn hash(&self) -> &'a [u8; 32] {
        self.hash
    }

    /// Transactions that follow. Any value may stand there.
    #[inline]
    #[must_use]
    pub fn txn_count(&self) -> u64 {
        u64::from_le_bytes(*self.txn_count)
    }

    /// Whether this entry is a PoH tick: it has no transactions.
    #[inline]
    #[must_use]
    pub fn is_tick(&self) -> bool {
        self.txn_count() == 0
    }
}

/// What a leader says about its block, in a batch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker<'a> {
    /// Ends the block.
    Footer(Footer<'a>),
    /// Begins the block: the first batch of FEC set 0.
    Header(Parent<'a>),
    /// The block builds on another parent after all: every earlier transaction of the slot is void. Begins a later
    /// FEC set.
    UpdateParent(Parent<'a>),
    /// The last block before Alpenglow.
    GenesisCertificate(GenesisCertificate<'a>),
}

/// The block that a block builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent<'a> {
    /// Its slot.
    pub slot: Slot,
    /// Its block id: the double Merkle root over its FEC sets.
    pub block_id: &'a [u8; 32],
}

/// What ends a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer<'a> {
    /// Hash of the bank after the block.
    pub bank_hash: &'a [u8; 32],
    /// The leader's clock, UNIX epoch.
    pub producer_time: Nanos,
    /// The leader's software, as it names itself; not always UTF-8.
    pub user_agent: &'a [u8],
    /// Finalisation and reward certificates, unread: each an option byte and, if 1, the certificate.
    pub certificates: &'a [u8],
}

/// Proof that a block is final, at the change to Alpenglow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisCertificate<'a> {
    /// Slot of the block.
    pub slot: Slot,
    /// Its block id.
    pub block_id: &'a [u8; 32],
    /// BLS aggregate signature, uncompressed. Not verified here.
    pub bls_signature: &'a [u8; 192],
    /// Who signed, encoded.
    pub bitmap: &'a [u8],
}

/// What the bytes at hand say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerStep<'a> {
    /// A legal beginning.
    NeedMore {
        /// Bytes, from the first of the batch, without which the next look says `NeedMore` again. More than were
        /// handed in.
        len: usize,
    },
    /// A whole marker.
    Done {
        /// The marker.
        marker: Marker<'a>,
        /// Bytes it took, from the first of the batch.
        len: usize,
    },
}

/// Why a batch with entry count 0 is no marker. The discriminant indexes a counter: append, never reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MarkerReject {
    /// The entry count is not 0: this is a batch of entries.
    EntriesInstead,
    /// Marker version other than 1.
    UnknownVersion,
    /// Variant above 3.
    UnknownVariant,
    /// Version of a footer, header or parent update other than 1.
    UnknownPayloadVersion,
    /// Genesis certificate with a bitmap over [`GENESIS_BITMAP_LEN_MAX`].
    BitmapTooLong,
}

impl MarkerReject {
    /// Every reason, in order of discriminant.
    pub const ALL: [Self; 5] = [
        Self::EntriesInstead,
        Self::UnknownVersion,
        Self::UnknownVariant,
        Self::UnknownPayloadVersion,
        Self::BitmapTooLong,
    ];
    /// How many reasons there are: the length of a counter array.
    pub const COUNT: usize = Self::ALL.len();

    /// The metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EntriesInstead => "entries_instead",
            Self::UnknownVersion => "unknown_version",
            Self::UnknownVariant => "unknown_variant",
            Self::UnknownPayloadVersion => "unknown_payload_version",
            Self::BitmapTooLong => "bitmap_too_long",
        }
    }
}

impl<'a> Marker<'a> {
    /// Reads the marker that `batch` begins with; what follows it is ignored.
    ///
    /// The fields decide where a header, parent update or genesis certificate ends, not the length written before
    /// them: agave reads that length and does not compare it, so a block in which it is wrong stands all the same.
    /// A footer is taken to reach as far as its length says, or its fields if they go further; one whose length
    /// passes the end of its batch is never done, which costs what it reports and no transaction.
    ///
    /// Total; constant cost. Call again with more bytes after `NeedMore`.
    ///
    /// # Errors
    /// [`MarkerReject`] as soon as the bytes at hand settle it. Agave refuses the block for the same reasons, the
    /// bitmap's length excepted, which it refuses to write.
    pub fn parse(batch: &'a [u8]) -> Result<MarkerStep<'a>, MarkerReject> {
        let mut fields = Fields { batch, at: 0 };
        match fields.marker() {
            Ok(marker) => Ok(MarkerStep::Done {
                marker,
                len: fields.at,
            }),
            Err(Stop::NeedMore(len)) => Ok(MarkerStep::NeedMore { len }),
            Err(Stop::Refused(reason)) => Err(reason),
        }
    }
}

/// Reads fields one after the other.
struct Fields<'a> {
    batch: &'a [u8],
    at: usize,
}

/// Why reading ended early.
enum Stop {
    NeedMore(usize),
    Refused(MarkerReject),
}

const MARKER_VERSION: u16 = 1;
const PAYLOAD_VERSION: u8 = 1;

impl<'a> Fields<'a> {
    fn marker(&mut self) -> Result<Marker<'a>, Stop> {
        if u64::from_le_bytes(*self.array()?) != 0 {
            return Err(Stop::Refused(MarkerReject::EntriesInstead));
        }
        if u16::from_le_bytes(*self.array()?) != MARKER_VERSION {
            return Err(Stop::Refused(MarkerReject::UnknownVersion));
        }
        let [variant] = *self.array()?;
        if variant > 3 {
            return Err(Stop::Refused(MarkerReject::UnknownVariant));
        }
        let payload_len = usize::from(u16::from_le_bytes(*self.array()?));
        match variant {
            0 => self.footer(self.at + payload_len).map(Marker::Footer),
            1 => self.parent().map(Marker::Header),
            2 => self.parent().map(Marker::UpdateParent),
            _ => self.genesis_certificate().map(Marker::GenesisCertificate),
        }
    }

    fn footer(&mut self, end: usize) -> Result<Footer<'a>, Stop> {
        self.payload_version()?;
        let bank_hash = self.array()?;
        let producer_time = Nanos(u64::from_le_bytes(*self.array()?));
        let [user_agent_len] = *self.array()?;
        let user_agent = self.slice(usize::from(user_agent_len))?;
        let certificates = self.slice(end.saturating_sub(self.at))?;
        Ok(Footer {
            bank_hash,
            producer_time,
            user_agent,
            certificates,
        })
    }

    fn parent(&mut self) -> Result<Parent<'a>, Stop> {
        self.payload_version()?;
        let slot = Slot(u64::from_le_bytes(*self.array()?));
        Ok(Parent {
            slot,
            block_id: self.array()?,
        })
    }

    /// The only payload without a version of its own.
    fn genesis_certificate(&mut self) -> Result<GenesisCertificate<'a>, Stop> {
        let slot = Slot(u64::from_le_bytes(*self.array()?));
        let block_id = self.array()?;
        let bls_signature = self.array()?;
        let bitmap_len = usize::try_from(u64::from_le_bytes(*self.array()?)).unwrap_or(usize::MAX);
        if bitmap_len > GENESIS_BITMAP_LEN_MAX {
            return Err(Stop::Refused(MarkerReject::BitmapTooLong));
        }
        Ok(GenesisCertificate {
            slot,
            block_id,
            bls_signature,
            bitmap: self.slice(bitmap_len)?,
        })
    }

    fn payload_version(&mut self) -> Result<(), Stop> {
        match *self.array()? {
            [PAYLOAD_VERSION] => Ok(()),
            [_] => Err(Stop::Refused(MarkerReject::UnknownPayloadVersion)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Stop> {
        let field = self.batch.get(self.at..).and_then(<[u8]>::first_chunk);
        let field = field.ok_or(Stop::NeedMore(self.at + N))?;
        self.at += N;
        Ok(field)
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        let end = self.at + len;
        let field = self.batch.get(self.at..end).ok_or(Stop::NeedMore(end))?;
        self.at = end;
        Ok(field)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const ID: [u8; 32] = [7; 32];

    fn marker(variant: u8, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).unwrap().to_le_bytes();
        [&ABORT[..], &[1, 0, variant], &len, payload].concat()
    }

    fn parent(variant: u8) -> Vec<u8> {
        marker(variant, &[&[1][..], &99u64.to_le_bytes(), &ID].concat())
    }

    fn footer(certificates: &[u8]) -> Vec<u8> {
        marker(
            0,
            &[
                &[1][..],
                &ID,
                &5u64.to_le_bytes(),
                &[4],
                b"frog",
                certificates,
            ]
            .concat(),
        )
    }

    fn genesis(bitmap_len: u64, bitmap: &[u8]) -> Vec<u8> {
        let fields = [
            &42u64.to_le_bytes()[..],
            &ID,
            &[3; 192],
            &bitmap_len.to_le_bytes(),
            bitmap,
        ];
        marker(3, &fields.concat())
    }

    #[track_caller]
    fn done(batch: &[u8]) -> (Marker<'_>, usize) {
        match Marker::parse(batch) {
            Ok(MarkerStep::Done { marker, len }) => (marker, len),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entry_head_fields_stand_where_the_table_says() {
        let mut bytes = [0; ENTRY_HEAD_LEN + 1];
        bytes[0] = 1;
        bytes[7] = 2;
        bytes[8..40].copy_from_slice(&ID);
        bytes[40] = 3;
        bytes[47] = 4;
        bytes[48] = 0xff;
        let head = EntryHead::parse(&bytes).unwrap();
        assert_eq!(head.num_hashes(), 1 | 2 << 56);
        assert_eq!(head.hash(), &ID);
        assert_eq!(head.txn_count(), 3 | 4 << 56);
        assert!(!head.is_tick());
        assert!(EntryHead::parse(&[0; ENTRY_HEAD_LEN]).unwrap().is_tick());
        assert_eq!(EntryHead::parse(&bytes[..ENTRY_HEAD_LEN - 1]), None);
    }

    #[test]
    fn entry_count_waits_for_eight_bytes() {
        assert_eq!(entry_count(&[1, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(
            entry_count(&[1, 0, 0, 0, 0, 0, 0, 0x80, 9]),
            Some(1 | 0x80 << 56)
        );
    }

    /// Eight zeros are an abort only as a whole batch; with more they begin a marker.
    #[test]
    fn abort_is_exactly_eight_zeros() {
        assert!(is_abort(&[0; 8]));
        assert!(!is_abort(&[0; 7]));
        assert!(!is_abort(&[0; 9]));
        assert!(!is_abort(&[0, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(
            Marker::parse(&ABORT),
            Ok(MarkerStep::NeedMore {
                len: BATCH_HEAD_LEN + 2
            })
        );
    }

    #[test]
    fn every_variant_gives_its_fields() {
        let parent_of = Parent {
            slot: Slot(99),
            block_id: &ID,
        };
        assert_eq!(
            done(&parent(1)),
            (Marker::Header(parent_of), MARKER_HEAD_LEN + 41)
        );
        assert_eq!(
            done(&parent(2)),
            (Marker::UpdateParent(parent_of), MARKER_HEAD_LEN + 41)
        );

        let bytes = footer(&[0, 1, 2]);
        let wanted = Footer {
            bank_hash: &ID,
            producer_time: Nanos(5),
            user_agent: b"frog",
            certificates: &[0, 1, 2],
        };
        assert_eq!(done(&bytes), (Marker::Footer(wanted), bytes.len()));

        let bytes = genesis(3, &[9, 8, 7]);
        let wanted = GenesisCertificate {
            slot: Slot(42),
            block_id: &ID,
            bls_signature: &[3; 192],
            bitmap: &[9, 8, 7],
        };
        assert_eq!(
            done(&bytes),
            (Marker::GenesisCertificate(wanted), bytes.len())
        );
    }

    /// Goal: a marker in pieces ends as it does whole, and `NeedMore` is honest.
    /// Method: every cut of every variant; the wanted length is past the cut and never past the end.
    #[test]
    fn every_cut_waits_for_bytes_that_do_come() {
        for bytes in [
            parent(1),
            parent(2),
            footer(&[1; 300]),
            genesis(512, &[5; 512]),
        ] {
            for cut in 0..bytes.len() {
                let Ok(MarkerStep::NeedMore { len }) = Marker::parse(&bytes[..cut]) else {
                    panic!("cut at {cut}");
                };
                assert!(
                    cut < len && len <= bytes.len(),
                    "{cut} < {len} <= {}",
                    bytes.len()
                );
            }
            let trailing = [&bytes[..], &[0xee; 70]].concat();
            assert_eq!(Marker::parse(&bytes), Marker::parse(&trailing));
            assert_eq!(done(&trailing).1, bytes.len());
        }
    }

    #[test]
    fn refusals_come_with_the_byte_that_settles_them() {
        let mut other_version = parent(1)[..10].to_vec();
        other_version[8] = 2;
        assert_eq!(
            Marker::parse(&other_version),
            Err(MarkerReject::UnknownVersion)
        );
        assert_eq!(
            Marker::parse(&marker(4, &[])[..11]),
            Err(MarkerReject::UnknownVariant)
        );
        for variant in 0..3 {
            assert_eq!(
                Marker::parse(&marker(variant, &[2])),
                Err(MarkerReject::UnknownPayloadVersion)
            );
        }
        assert_eq!(
            Marker::parse(&1u64.to_le_bytes()),
            Err(MarkerReject::EntriesInstead)
        );
        assert_eq!(
            Marker::parse(&genesis(513, &[])),
            Err(MarkerReject::BitmapTooLong)
        );
        assert_eq!(
            Marker::parse(&genesis(u64::MAX, &[])),
            Err(MarkerReject::BitmapTooLong)
        );
    }

    /// A wrong length before the payload does not void a block on agave, so it must not hide one from us.
    #[test]
    fn the_written_length_does_not_move_the_fields() {
        for wrong in [0u16, 40, 42, u16::MAX] {
            let mut bytes = parent(2);
            bytes[11..13].copy_from_slice(&wrong.to_le_bytes());
            assert_eq!(
                done(&bytes).0,
                Marker::UpdateParent(Parent {
                    slot: Slot(99),
                    block_id: &ID
                })
            );
        }
        let mut bytes = footer(&[]);
        bytes[11..13].copy_from_slice(&3u16.to_le_bytes());
        assert_eq!(done(&bytes).1, bytes.len());
    }

    #[test]
    fn discriminants_index_the_list_of_reasons() {
        for (index, reason) in MarkerReject::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.name());
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = Marker::parse(&tail);
            let _ = EntryHead::parse(&tail);
            let zero = [&ABORT[..], &[1, 0], &tail].concat();
            if let Ok(MarkerStep::Done { len, .. }) = Marker::parse(&zero) {
                proptest::prop_assert!(len <= zero.len());
            }
        }
    }
}
