//! One shred: a leader-signed, Merkle-committed piece of a block.
//!
//! Only the four variants that are alive are accepted: data and code shreds of chained Merkle FEC sets with
//! 32 data and 32 code shreds, with or without the retransmitter's signature at the end.
//!
//! Sources: agave `ledger/src/shred/wire.rs`, `ledger/src/shred/merkle.rs`; firedancer
//! `src/ballet/shred/fd_shred.h`; SIMD-0317 (32:32 sets), SIMD-0337 (data-complete only at a set's end),
//! SIMD-0504 (position equals index within the set).

use crate::units::{FecSetIndex, Slot};

/// Data shreds, and as many code shreds, in an FEC set (SIMD-0317; agave `DATA_SHREDS_PER_FEC_BLOCK`).
pub const SET_SHREDS: usize = 32;
/// Bytes of a data shred on the wire, trailing bytes excluded (agave `ShredData::SIZE_OF_PAYLOAD`).
pub const DATA_SHRED_LEN: usize = 1203;
/// Bytes of a code shred on the wire (agave `ShredCode::SIZE_OF_PAYLOAD`).
pub const CODE_SHRED_LEN: usize = 1228;
/// Bytes of the header that both kinds share.
pub const COMMON_HEADER_LEN: usize = 83;
/// Bytes before a data shred's payload.
pub const DATA_HEADER_LEN: usize = 88;
/// Bytes before a code shred's parity.
pub const CODE_HEADER_LEN: usize = 89;
/// Sibling hashes in a proof: six levels over 64 leaves.
pub const PROOF_LEN: usize = 6;
/// Bytes of a proof entry: a SHA-256 cut to its first 20 bytes.
pub const NODE_LEN: usize = 20;
/// Bytes of a Merkle root.
pub const ROOT_LEN: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;
/// Bytes of a data shred's header that the erasure code covers: from the variant to the payload.
pub const CODED_HEAD_LEN: usize = DATA_HEADER_LEN - SIGNATURE_LEN;
/// Payload bytes of a full data shred that carries no retransmitter signature.
pub const PAYLOAD_MAX: usize = ShredVariant {
    kind: ShredKind::Data,
    resigned: false,
}
.capacity();
/// Erasure-coded bytes of a shred that carries no retransmitter signature.
pub const CODED_MAX: usize = CODED_HEAD_LEN + PAYLOAD_MAX;

const VARIANT_AT: usize = 64;
const SLOT_AT: usize = 65;
const INDEX_AT: usize = 73;
const VERSION_AT: usize = 77;
const FEC_SET_INDEX_AT: usize = 79;
const PARENT_OFFSET_AT: usize = 83;
const FLAGS_AT: usize = 85;
const SIZE_AT: usize = 86;
const NUM_DATA_AT: usize = 83;
const NUM_CODE_AT: usize = 85;
const POSITION_AT: usize = 87;

const FLAG_REFERENCE_TICK: u8 = 0x3f;
const FLAG_DATA_COMPLETE: u8 = 0x40;
const FLAG_LAST_IN_SLOT: u8 = 0xc0;
/// Last-in-slot without data-complete, which no leader may write.
const FLAG_LAST_ALONE: u8 = 0x80;

const _: () = assert!(FEC_SET_INDEX_AT + 4 == COMMON_HEADER_LEN);
const _: () = assert!(SIZE_AT + 2 == DATA_HEADER_LEN && POSITION_AT + 2 == CODE_HEADER_LEN);
const _: () = assert!(PAYLOAD_MAX == 963 && CODED_MAX == 987);

/// Why a datagram is not a shred that a validator of today would use.
///
/// Ordered by the check that raises it. The discriminant indexes counters: append, never reorder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ShredReject {
    /// Shorter than its variant demands.
    Truncated,
    /// The variant byte is none of 0x96, 0x66, 0xB6, 0x76.
    UnknownVariant,
    /// `fec_set_index` is not a multiple of 32.
    FecSetIndexUnaligned,
    /// `index` lies outside its FEC set.
    IndexOutsideSet,
    /// `index` is at or above the slot's limit.
    IndexAboveLimit,
    /// The parent is not an earlier slot.
    BadParent,
    /// `size` lies outside the payload area.
    BadSize,
    /// Last-in-slot without data-complete.
    BadFlags,
    /// Data-complete elsewhere than on the last data shred of a set (SIMD-0337).
    DataCompleteInsideSet,
    /// A code shred of a set that is not 32:32.
    BadSetShape,
    /// A code shred whose position is not its index within the set.
    BadPosition,
}

impl ShredReject {
    /// Every reason, in discriminant order.
    pub const ALL: [ShredReject; 11] = [
        Self::Truncated,
        Self::UnknownVariant,
        Self::FecSetIndexUnaligned,
        Self::IndexOutsideSet,
        Self::IndexAboveLimit,
        Self::BadParent,
        Self::BadSize,
        Self::BadFlags,
        Self::DataCompleteInsideSet,
        Self::BadSetShape,
        Self::BadPosition,
    ];

    /// The reason's name in metrics and summaries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::UnknownVariant => "unknown_variant",
            Self::FecSetIndexUnaligned => "fec_set_index_unaligned",
            Self::IndexOutsideSet => "index_outside_set",
            Self::IndexAboveLimit => "index_above_limit",
            Self::BadParent => "bad_parent",
            Self::BadSize => "bad_size",
            Self::BadFlags => "bad_flags",
            Self::DataCompleteInsideSet => "data_complete_inside_set",
            Self::BadSetShape => "bad_set_shape",
            Self::BadPosition => "bad_position",
        }
    }
}

/// Data or code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShredKind {
    /// Carries a piece of the block.
    Data,
    /// Carries parity over the 32 data shreds of its set.
    Code,
}

/// What the variant byte says: kind, and whether a retransmitter's signature follows the proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShredVariant {
    /// Data or code.
    pub kind: ShredKind,
    /// The last 64 bytes are a retransmitter's signature over the same root.
    pub resigned: bool,
}

impl ShredVariant {
    /// Reads the variant byte (high nibble: type; low nibble: proof length, 6 for 32:32 sets).
    ///
    /// # Errors
    /// [`ShredReject::UnknownVariant`] for the 252 other values, dead forms included.
    #[inline]
    pub const fn from_byte(byte: u8) -> Result<Self, ShredReject> {
        let (kind, resigned) = match byte {
            0x96 => (ShredKind::Data, false),
            0x66 => (ShredKind::Code, false),
            0xb6 => (ShredKind::Data, true),
            0x76 => (ShredKind::Code, true),
            _ => return Err(ShredReject::UnknownVariant),
        };
        Ok(Self { kind, resigned })
    }

    /// Bytes of the shred on the wire, trailing bytes excluded.
    #[inline]
    #[must_use]
    pub const fn shred_len(self) -> usize {
        match self.kind {
            ShredKind::Data => DATA_SHRED_LEN,
            ShredKind::Code => CODE_SHRED_LEN,
        }
    }

    /// Bytes of payload area (data) or parity (code).
    #[inline]
    #[must_use]
    pub const fn capacity(self) -> usize {
        let header = match self.kind {
            ShredKind::Data => DATA_HEADER_LEN,
            ShredKind::Code => CODE_HEADER_LEN,
        };
        let retransmitter = if self.resigned { SIGNATURE_LEN } else { 0 };
        self.shred_len() - header - ROOT_LEN - PROOF_LEN * NODE_LEN - retransmitter
    }

    /// Offset of the chained root, which follows payload or parity.
    #[inline]
    const fn chained_root_at(self) -> usize {
        let header = match self.kind {
            ShredKind::Data => DATA_HEADER_LEN,
            ShredKind::Code => CODE_HEADER_LEN,
        };
        header + self.capacity()
    }
}

/// Limits that the cluster changes over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShredLimits {
    /// Data shreds, and separately code shreds, allowed in a slot. 32,768 at 400 ms slots, less at shorter
    /// ones (SIMD-0525: 24,576 at 300 ms, 16,384 at 200 ms).
    pub shreds_per_slot_max: u32,
}

impl Default for ShredLimits {
    fn default() -> Self {
        Self {
            shreds_per_slot_max: 32_768,
        }
    }
}

/// A checked view of one shred. Parsed once; every accessor after that is a load.
///
/// Little-endian, offsets from the start of the UDP payload:
///
/// | bytes | field         | data: bytes | field           | code: bytes | field      |
/// |------:|---------------|------------:|-----------------|------------:|------------|
/// |  0-63 | `signature`   |       83-84 | `parent_offset` |       83-84 | `num_data` |
/// |    64 | variant       |          85 | flags           |       85-86 | `num_code` |
/// | 65-72 | `slot`        |       86-87 | size            |       87-88 | position   |
/// | 73-76 | `index`       |             |                 |             |            |
/// | 77-78 | `version`     |             |                 |             |            |
/// | 79-82 | `fec_set_index` |           |                 |             |            |
///
/// Payload (or parity), chained Merkle root, proof and, when re-signed, the retransmitter's signature follow.
#[derive(Clone, Copy, Debug)]
pub struct ShredView<'a> {
    shred: &'a [u8],
    header: &'a [u8; DATA_HEADER_LEN],
    variant: ShredVariant,
}

impl<'a> ShredView<'a> {
    /// Checks everything that can be checked without the rest of the set. Trailing bytes (a repair nonce, a
    /// relay's trailer) are tolerated and not part of the shred.
    ///
    /// # Errors
    /// The first [`ShredReject`] that applies.
    #[inline]
    pub fn parse(datagram: &'a [u8], limits: &ShredLimits) -> Result<Self, ShredReject> {
        let header = datagram
            .first_chunk::<DATA_HEADER_LEN>()
            .ok_or(ShredReject::Truncated)?;
        let variant = ShredVariant::from_byte(header[VARIANT_AT])?;
        let shred = datagram
            .get(..variant.shred_len())
            .ok_or(ShredReject::Truncated)?;
        let view = Self {
            shred,
            header,
            variant,
        };
        check_position(view.index(), view.fec_set_index(), limits)?;
        match variant.kind {
            ShredKind::Data => view.data_head().check(variant)?,
            ShredKind::Code => view.check_code()?,
        }
        Ok(view)
    }

    fn check_code(&self) -> Result<(), ShredReject> {
        let set = SET_SHREDS as u16;
        if u16_at::<NUM_DATA_AT>(self.header) != set || u16_at::<NUM_CODE_AT>(self.header) != set {
            return Err(ShredReject::BadSetShape);
        }
        let position = self.shred.get(POSITION_AT..POSITION_AT + 2);
        let expected = (self.place() as u16).to_le_bytes();
        if position != Some(expected.as_slice()) {
            return Err(ShredReject::BadPosition);
        }
        Ok(())
    }

    /// Data or code, re-signed or not.
    #[inline]
    #[must_use]
    pub const fn variant(&self) -> ShredVariant {
        self.variant
    }

    /// The leader's signature over the set's Merkle root; the same in all 64 shreds of a set.
    #[inline]
    #[must_use]
    pub fn signature(&self) -> &'a [u8; SIGNATURE_LEN] {
        // The view holds at least a data header, which begins with the signature.
        match self.header.first_chunk::<SIGNATURE_LEN>() {
            Some(signature) => signature,
            None => &[0; SIGNATURE_LEN],
        }
    }

    /// The slot this shred belongs to.
    #[inline]
    #[must_use]
    pub fn slot(&self) -> Slot {
        Slot(u64::from_le_bytes(field::<SLOT_AT, 8>(self.header)))
    }

    /// Index within the slot; data and code shreds count separately.
    #[inline]
    #[must_use]
    pub fn index(&self) -> u32 {
        u32::from_le_bytes(field::<INDEX_AT, 4>(self.header))
    }

    /// Cluster version, derived from genesis and hard forks.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u16 {
        u16_at::<VERSION_AT>(self.header)
    }

    /// Index of the first data shred of this shred's set.
    #[inline]
    #[must_use]
    pub fn fec_set_index(&self) -> FecSetIndex {
        FecSetIndex(u32::from_le_bytes(field::<FEC_SET_INDEX_AT, 4>(
            self.header,
        )))
    }

    /// Place among the 32 shreds of its kind in the set: 0..=31.
    #[inline]
    #[must_use]
    pub fn place(&self) -> usize {
        (self.index().wrapping_sub(self.fec_set_index().0) as usize) % SET_SHREDS
    }

    /// Place among the 64 leaves of the set's Merkle tree: data first, then code.
    #[inline]
    #[must_use]
    pub fn leaf_index(&self) -> usize {
        match self.variant.kind {
            ShredKind::Data => self.place(),
            ShredKind::Code => SET_SHREDS + self.place(),
        }
    }

    /// The part of the header that the erasure code covers. Meaningful for data shreds.
    #[inline]
    #[must_use]
    pub fn data_head(&self) -> DataHead<'a> {
        match self.header.last_chunk::<CODED_HEAD_LEN>() {
            Some(bytes) => DataHead { bytes },
            None => DataHead {
                bytes: &[0; CODED_HEAD_LEN],
            },
        }
    }

    /// Payload area of a data shred, padding included, or the parity of a code shred.
    #[inline]
    #[must_use]
    pub fn area(&self) -> &'a [u8] {
        let end = self.variant.chained_root_at();
        self.shred
            .get(end - self.variant.capacity()..end)
            .unwrap_or_default()
    }

    /// Bytes that the Merkle leaf commits to: from the variant byte to the chained root's end, for code
    /// shreds too.
    #[inline]
    #[must_use]
    pub fn leaf_bytes(&self) -> &'a [u8] {
        self.shred
            .get(SIGNATURE_LEN..self.variant.chained_root_at() + ROOT_LEN)
            .unwrap_or_default()
    }

    /// Merkle root of the set before this one: within a slot the set at `fec_set_index - 32`, for the first
    /// set the parent's last.
    #[inline]
    #[must_use]
    pub fn chained_root(&self) -> &'a [u8; ROOT_LEN] {
        chunk_at(self.shred, self.variant.chained_root_at()).unwrap_or(&[0; ROOT_LEN])
    }

    /// Sibling of the path's node at `level`, from the leaf (0) up to the root's children (5).
    #[inline]
    #[must_use]
    pub fn sibling(&self, level: usize) -> &'a [u8; NODE_LEN] {
        let at = self.variant.chained_root_at() + ROOT_LEN + level * NODE_LEN;
        chunk_at(self.shred, at).unwrap_or(&[0; NODE_LEN])
    }
}

/// The 24 header bytes of a data shred that the erasure code covers: what recovery brings back.
#[derive(Clone, Copy, Debug)]
pub struct DataHead<'a> {
    bytes: &'a [u8; CODED_HEAD_LEN],
}

/// Offset within [`DataHead`] of a field at `at` in the shred.
const fn in_head(at: usize) -> usize {
    at - SIGNATURE_LEN
}

impl<'a> DataHead<'a> {
    /// Takes 24 bytes as a header. [`DataHead::check_recovered`] says whether they are one.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8; CODED_HEAD_LEN]) -> Self {
        Self { bytes }
    }

    /// The bytes themselves.
    #[inline]
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8; CODED_HEAD_LEN] {
        self.bytes
    }

    /// Slots between this block and its parent.
    #[inline]
    #[must_use]
    pub const fn parent_offset(&self) -> u16 {
        u16::from_le_bytes([
            self.bytes[in_head(PARENT_OFFSET_AT)],
            self.bytes[in_head(PARENT_OFFSET_AT) + 1],
        ])
    }

    /// PoH tick within the slot when the batch was made, clamped to 63.
    #[inline]
    #[must_use]
    pub const fn reference_tick(&self) -> u8 {
        self.bytes[in_head(FLAGS_AT)] & FLAG_REFERENCE_TICK
    }

    /// The entry batch ends with this shred.
    #[inline]
    #[must_use]
    pub const fn data_complete(&self) -> bool {
        self.bytes[in_head(FLAGS_AT)] & FLAG_DATA_COMPLETE != 0
    }

    /// The slot ends with this shred.
    #[inline]
    #[must_use]
    pub const fn last_in_slot(&self) -> bool {
        self.bytes[in_head(FLAGS_AT)] & FLAG_LAST_IN_SLOT == FLAG_LAST_IN_SLOT
    }

    /// Bytes of payload that count; the rest of the area is padding.
    #[inline]
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        (self.size() as usize).saturating_sub(DATA_HEADER_LEN)
    }

    const fn size(&self) -> u16 {
        u16::from_le_bytes([
            self.bytes[in_head(SIZE_AT)],
            self.bytes[in_head(SIZE_AT) + 1],
        ])
    }

    const fn slot(&self) -> u64 {
        u64::from_le_bytes(head_field::<SLOT_AT, 8>(self.bytes))
    }

    const fn index(&self) -> u32 {
        u32::from_le_bytes(head_field::<INDEX_AT, 4>(self.bytes))
    }

    const fn check(&self, variant: ShredVariant) -> Result<(), ShredReject> {
        let parent_offset = self.parent_offset() as u64;
        if parent_offset > self.slot() || (parent_offset == 0 && self.slot() != 0) {
            return Err(ShredReject::BadParent);
        }
        let size = self.size() as usize;
        if size < DATA_HEADER_LEN || size > DATA_HEADER_LEN + variant.capacity() {
            return Err(ShredReject::BadSize);
        }
        let flags = self.bytes[in_head(FLAGS_AT)];
        if flags & FLAG_LAST_IN_SLOT == FLAG_LAST_ALONE {
            return Err(ShredReject::BadFlags);
        }
        if self.data_complete() && self.index() as usize % SET_SHREDS != SET_SHREDS - 1 {
            return Err(ShredReject::DataCompleteInsideSet);
        }
        Ok(())
    }

    /// Checks a recovered header as [`ShredView::parse`] checks a received one, and that it is the header of
    /// the data shred at `place` in the set of `sibling`, a shred of the same set.
    ///
    /// # Errors
    /// The first [`ShredReject`] that applies; [`ShredReject::IndexOutsideSet`] when it belongs elsewhere.
    pub fn check_recovered(&self, sibling: &SetIdentity, place: usize) -> Result<(), ShredReject> {
        let expected_variant = if sibling.resigned { 0xb6 } else { 0x96 };
        if self.bytes[in_head(VARIANT_AT)] != expected_variant {
            return Err(ShredReject::UnknownVariant);
        }
        let belongs = self.slot() == sibling.slot.0
            && self.index() as usize == sibling.fec_set_index.0 as usize + place
            && u16::from_le_bytes(head_field::<VERSION_AT, 2>(self.bytes)) == sibling.version
            && u32::from_le_bytes(head_field::<FEC_SET_INDEX_AT, 4>(self.bytes))
                == sibling.fec_set_index.0;
        if !belongs {
            return Err(ShredReject::IndexOutsideSet);
        }
        self.check(ShredVariant {
            kind: ShredKind::Data,
            resigned: sibling.resigned,
        })
    }
}

/// What all shreds of a set have in common, besides root and signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetIdentity {
    /// The slot.
    pub slot: Slot,
    /// The set's place in the slot.
    pub fec_set_index: FecSetIndex,
    /// The cluster version.
    pub version: u16,
    /// Whether its shreds end in a retransmitter's signature.
    pub resigned: bool,
}

impl SetIdentity {
    /// The identity of the set that `shred` belongs to.
    #[inline]
    #[must_use]
    pub fn of(shred: &ShredView<'_>) -> Self {
        Self {
            slot: shred.slot(),
            fec_set_index: shred.fec_set_index(),
            version: shred.version(),
            resigned: shred.variant().resigned,
        }
    }
}

#[inline]
fn check_position(
    index: u32,
    fec_set_index: FecSetIndex,
    limits: &ShredLimits,
) -> Result<(), ShredReject> {
    if !(fec_set_index.0 as usize).is_multiple_of(SET_SHREDS) {
        return Err(ShredReject::FecSetIndexUnaligned);
    }
    match index.checked_sub(fec_set_index.0) {
        Some(place) if (place as usize) < SET_SHREDS => {}
        _ => return Err(ShredReject::IndexOutsideSet),
    }
    if index >= limits.shreds_per_slot_max {
        return Err(ShredReject::IndexAboveLimit);
    }
    Ok(())
}

/// Copies `N` bytes out of the header at `AT`; both are constants, so no check survives.
#[inline]
const fn field<const AT: usize, const N: usize>(header: &[u8; DATA_HEADER_LEN]) -> [u8; N] {
    const { assert!(AT + N <= DATA_HEADER_LEN) };
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = header[AT + i];
        i += 1;
    }
    bytes
}

/// As [`field`], from the coded part of a data header.
#[inline]
const fn head_field<const AT: usize, const N: usize>(head: &[u8; CODED_HEAD_LEN]) -> [u8; N] {
    const { assert!(AT >= SIGNATURE_LEN && AT + N <= DATA_HEADER_LEN) };
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = head[in_head(AT) + i];
        i += 1;
    }
    bytes
}

#[inline]
const fn u16_at<const AT: usize>(header: &[u8; DATA_HEADER_LEN]) -> u16 {
    u16::from_le_bytes(field::<AT, 2>(header))
}

#[inline]
fn chunk_at<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data shred at `index`, valid, full, not the last of its batch.
    fn data(index: u32) -> [u8; 1232] {
        let mut bytes = [0; 1232];
        bytes[VARIANT_AT] = 0x96;
        bytes[SLOT_AT..SLOT_AT + 8].copy_from_slice(&1000u64.to_le_bytes());
        bytes[INDEX_AT..INDEX_AT + 4].copy_from_slice(&index.to_le_bytes());
        bytes[FEC_SET_INDEX_AT..FEC_SET_INDEX_AT + 4]
            .copy_from_slice(&(index / 32 * 32).to_le_bytes());
        bytes[PARENT_OFFSET_AT] = 1;
        bytes[SIZE_AT..SIZE_AT + 2].copy_from_slice(&(88u16 + 963).to_le_bytes());
        bytes
    }

    fn code(index: u32) -> [u8; 1232] {
        let mut bytes = data(index);
        bytes[VARIANT_AT] = 0x66;
        bytes[NUM_DATA_AT..NUM_DATA_AT + 2].copy_from_slice(&32u16.to_le_bytes());
        bytes[NUM_CODE_AT..NUM_CODE_AT + 2].copy_from_slice(&32u16.to_le_bytes());
        bytes[POSITION_AT..POSITION_AT + 2].copy_from_slice(&((index % 32) as u16).to_le_bytes());
        bytes
    }

    #[track_caller]
    fn refused(bytes: &[u8], why: ShredReject) {
        assert_eq!(
            ShredView::parse(bytes, &ShredLimits::default()).err(),
            Some(why)
        );
    }

    #[track_caller]
    fn accepted(bytes: &[u8]) -> ShredView<'_> {
        ShredView::parse(bytes, &ShredLimits::default()).expect("a valid shred")
    }

    #[test]
    fn only_the_four_live_variants_are_taken() {
        let mut taken = [0u8; 4];
        let mut count = 0;
        for byte in 0..=255u8 {
            if ShredVariant::from_byte(byte).is_ok() {
                taken[count] = byte;
                count += 1;
            }
        }
        assert_eq!((count, taken), (4, [0x66, 0x76, 0x96, 0xb6]));
    }

    #[test]
    fn areas_lie_where_the_protocol_says() {
        // Offsets: the sizes table for proof length 6 (agave merkle.rs `capacity`).
        for (byte, header, capacity, chained) in [
            (0x96, 88, 963, 1051),
            (0xb6, 88, 899, 987),
            (0x66, 89, 987, 1076),
            (0x76, 89, 923, 1012),
        ] {
            let variant = ShredVariant::from_byte(byte).expect("live");
            assert_eq!(variant.capacity(), capacity);
            assert_eq!(variant.chained_root_at(), chained);
            assert_eq!(header + capacity, chained);
            let mut bytes = if variant.kind == ShredKind::Data {
                data(7)
            } else {
                code(7)
            };
            bytes[VARIANT_AT] = byte;
            if variant.kind == ShredKind::Data {
                bytes[SIZE_AT..SIZE_AT + 2].copy_from_slice(&100u16.to_le_bytes());
            }
            for (at, byte) in bytes.iter_mut().enumerate().skip(header) {
                *byte = at as u8;
            }
            if variant.kind == ShredKind::Code {
                bytes[POSITION_AT..POSITION_AT + 2].copy_from_slice(&7u16.to_le_bytes());
            }
            let view = accepted(&bytes);
            assert_eq!(view.area(), &bytes[header..chained]);
            assert_eq!(view.leaf_bytes(), &bytes[64..chained + 32]);
            assert_eq!(
                view.chained_root().as_slice(),
                &bytes[chained..chained + 32]
            );
            for level in 0..PROOF_LEN {
                let at = chained + 32 + 20 * level;
                assert_eq!(view.sibling(level).as_slice(), &bytes[at..at + 20]);
            }
        }
    }

    #[test]
    fn lengths_at_the_boundary() {
        let bytes = data(0);
        refused(&bytes[..87], ShredReject::Truncated);
        refused(&bytes[..DATA_SHRED_LEN - 1], ShredReject::Truncated);
        accepted(&bytes[..DATA_SHRED_LEN]);
        accepted(&bytes[..DATA_SHRED_LEN + 4]);
        let bytes = code(0);
        refused(&bytes[..CODE_SHRED_LEN - 1], ShredReject::Truncated);
        accepted(&bytes[..CODE_SHRED_LEN]);
        accepted(&bytes);
        refused(&[], ShredReject::Truncated);
    }

    #[test]
    fn payload_size_at_the_boundary() {
        for (byte, max) in [(0x96, 1051u16), (0xb6, 987)] {
            for (size, good) in [
                (87, false),
                (88, true),
                (max, true),
                (max + 1, false),
                (u16::MAX, false),
            ] {
                let mut bytes = data(3);
                bytes[VARIANT_AT] = byte;
                bytes[SIZE_AT..SIZE_AT + 2].copy_from_slice(&size.to_le_bytes());
                let parsed = ShredView::parse(&bytes, &ShredLimits::default());
                assert_eq!(parsed.is_ok(), good, "variant {byte:#x} size {size}");
            }
        }
    }

    #[test]
    fn index_and_set_must_agree() {
        let mut bytes = data(33);
        bytes[FEC_SET_INDEX_AT] = 31;
        refused(&bytes, ShredReject::FecSetIndexUnaligned);
        bytes[FEC_SET_INDEX_AT] = 0;
        refused(&bytes, ShredReject::IndexOutsideSet);
        bytes[FEC_SET_INDEX_AT] = 64;
        refused(&bytes, ShredReject::IndexOutsideSet);
        refused(&data(32_768), ShredReject::IndexAboveLimit);
        accepted(&data(32_767 - 1));
        let limits = ShredLimits {
            shreds_per_slot_max: 16_384,
        };
        assert_eq!(
            ShredView::parse(&data(16_384), &limits).err(),
            Some(ShredReject::IndexAboveLimit)
        );
    }

    #[test]
    fn flags_and_parents() {
        let mut bytes = data(31);
        bytes[FLAGS_AT] = 0x80;
        refused(&bytes, ShredReject::BadFlags);
        bytes[FLAGS_AT] = 0xc0;
        assert!(accepted(&bytes).data_head().last_in_slot());
        bytes[FLAGS_AT] = 0x7f;
        let head = accepted(&bytes).data_head();
        assert!(head.data_complete() && !head.last_in_slot());
        assert_eq!(head.reference_tick(), 63);
        let mut bytes = data(30);
        bytes[FLAGS_AT] = 0x40;
        refused(&bytes, ShredReject::DataCompleteInsideSet);
        let mut bytes = data(30);
        bytes[PARENT_OFFSET_AT] = 0;
        refused(&bytes, ShredReject::BadParent);
        bytes[PARENT_OFFSET_AT..PARENT_OFFSET_AT + 2].copy_from_slice(&1001u16.to_le_bytes());
        refused(&bytes, ShredReject::BadParent);
        let mut genesis = data(0);
        genesis[SLOT_AT..SLOT_AT + 8].fill(0);
        genesis[PARENT_OFFSET_AT] = 0;
        accepted(&genesis);
    }

    #[test]
    fn code_shape() {
        let mut bytes = code(40);
        assert_eq!(accepted(&bytes).leaf_index(), 32 + 8);
        bytes[POSITION_AT] = 9;
        refused(&bytes, ShredReject::BadPosition);
        let mut bytes = code(40);
        bytes[NUM_DATA_AT] = 31;
        refused(&bytes, ShredReject::BadSetShape);
    }

    #[test]
    fn a_recovered_head_must_belong_to_its_set() {
        let bytes = data(37);
        let view = accepted(&bytes);
        let identity = SetIdentity::of(&view);
        assert_eq!(view.data_head().check_recovered(&identity, 5), Ok(()));
        assert!(view.data_head().check_recovered(&identity, 6).is_err());
        let elsewhere = SetIdentity {
            slot: Slot(1001),
            ..identity
        };
        assert!(view.data_head().check_recovered(&elsewhere, 5).is_err());
        let resigned = SetIdentity {
            resigned: true,
            ..identity
        };
        assert!(view.data_head().check_recovered(&resigned, 5).is_err());
    }
}
