//! The frames as they lie on the wire, and the total function from bytes to a frame.
//!
//! Little-endian, offsets from the start of the message. `H` is the 32-byte head, the same in
//! every template; the MAC stands at 144..160 in every template; bytes called *reserved* are
//! written as zero and not read.
//!
//! | off | head | | off | Signal 1 |
//! |--:|---|---|--:|---|
//! | 0 | `u32` magic `SGB1` | | 32 | `u64` t_event_ns (realtime of the evidence) |
//! | 4 | `u16` block_length | | 40 | `u64` t_send_ns (CLOCK_MONOTONIC with flag `same_host_clock`, else realtime) |
//! | 6 | `u16` template_id | | 48 | `u32` ttl_us |
//! | 8 | `u16` schema_id | | 52 | `u16` source_id |
//! | 10 | `u16` schema_version | | 54 | `u8` family, 55 `u8` side |
//! | 12 | `u16` flags | | 56 | `u64` as_of_slot |
//! | 14 | `u16` producer_id | | 64 | `[u8; 32]` mint |
//! | 16 | `u64` session_epoch | | 96 | `i32` conviction_ppm, 100 `u32` confidence_ppm |
//! | 24 | `u64` seq | | 104 | `u64` max_notional_lamports |
//! | | | | 112 | `u32` max_slippage_bps, 116 `i32` expected_edge_bps |
//! | | | | 120 | `[u8; 16]` evidence_id, 136 `u64` signal_id |
//!
//! | off | Hello 3 | | off | HelloAck 4 |
//! |--:|---|---|--:|---|
//! | 32 | `u64` t_event_ns (realtime), 40 `u64` t_send_ns | | 32 | `u64` t_receive_ns, 40 `u64` t_send_ns |
//! | 48 | `[u8; 16]` nonce | | 48 | `[u8; 16]` nonce, echoed |
//! | 64 | `u16` version_min, 66 `u16` version_max | | 64 | `[u8; 32]` challenge |
//! | 68 | reserved | | 96 | `u64` current_slot (0 unknown) |
//! | | | | 104 | `u64` max_notional_lamports |
//! | | | | 112 | `u32` ttl_max_us, 116 `u32` rate_per_second |
//! | | | | 120 | `u32` rate_burst, 124 `u32` families (bit = code) |
//! | | | | 128 | `u32` confidence_min_ppm, 132 `u32` heartbeat_timeout_ms, 136 reserved |
//!
//! | off | Heartbeat 2 | | off | Ack 5, Nack 6, Pong 13 |
//! |--:|---|---|--:|---|
//! | 32 | `u64` t_event_ns (realtime) | | 32 | `u64` t_receive_ns (executor's CLOCK_MONOTONIC) |
//! | 40 | `u64` t_send_ns (CLOCK_MONOTONIC) | | 40 | `u64` t_send_ns |
//! | 48 | reserved | | 48 | `u64` echo_t_send_ns, 56 `u64` current_slot (0 unknown) |
//! | | | | 64 | `u64` signal_id |
//! | | | | 72 | `u64` max_notional_lamports after clamping (Ack) |
//! | | | | 80 | `u64` expires_monotonic_ns (Ack) |
//! | | | | 88 | `u32` ring_free_count, 92 `u32` retry_after_ms (Nack) |
//! | | | | 96 | `u8` reason (Nack, see `NackReason`), 97 reserved |
//!
//! In Ack, Nack and Pong the head's `seq` is that of the frame being answered. Hello carries
//! `session_epoch` 0 and `seq` 0; HelloAck carries the new epoch and `seq` 0.

#![allow(unsafe_code)] // the derives of `Pod` below are `unsafe impl`s that the macro proves

use bytemuck::{Pod, Zeroable};

use crate::codes::Template;
use crate::reason::NackReason;

/// Bytes of every frame of schema version 1.
pub const FRAME_LEN: usize = 160;
/// Longest frame a reader of this version takes: room for the tails of later versions.
pub const FRAME_LEN_MAX: usize = 512;
/// Bytes of the MAC at the end of the first 160.
pub const MAC_LEN: usize = 16;
/// Offset of the MAC.
pub const MAC_AT: usize = FRAME_LEN - MAC_LEN;
/// `SGB1` as it reads little-endian.
pub const MAGIC: u32 = u32::from_le_bytes(*b"SGB1");
/// Layout family. A different id is a different layout and is refused.
pub const SCHEMA_ID: u16 = 1;
/// Newest version of the layout this crate writes. Readers take any version from 1 on.
pub const SCHEMA_VERSION: u16 = 1;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "frames are read in place, little-endian"
);

/// First 32 bytes of every frame.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct Head {
    /// [`MAGIC`].
    pub magic: u32,
    /// Bytes of the whole block, MAC included; equals the message's length.
    pub block_length: u16,
    /// See [`Template`].
    pub template_id: u16,
    /// [`SCHEMA_ID`].
    pub schema_id: u16,
    /// At least 1. Higher versions append only.
    pub schema_version: u16,
    /// See [`SignalFlags`](crate::SignalFlags); 0 in other templates.
    pub flags: u16,
    /// Who speaks, or who is spoken to.
    pub producer_id: u16,
    /// Session the frame belongs to; 0 in Hello.
    pub session_epoch: u64,
    /// Position in the session, strictly increasing from 1 over signals and heartbeats together.
    pub seq: u64,
}

impl Head {
    /// A head of this version.
    pub fn new(template: Template, producer_id: u16, session_epoch: u64, seq: u64) -> Self {
        Self {
            magic: MAGIC,
            block_length: FRAME_LEN as u16,
            template_id: template as u16,
            schema_id: SCHEMA_ID,
            schema_version: SCHEMA_VERSION,
            flags: 0,
            producer_id,
            session_epoch,
            seq,
        }
    }

    /// Checks everything about `bytes` that does not depend on the template.
    ///
    /// # Errors
    /// The first of [`NackReason`]'s first six reasons, or `WrongSchema`/`WrongVersion`, that
    /// applies. Never panics, reads each byte at most once.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Template), NackReason> {
        if bytes.first() == Some(&b'{') {
            return Err(NackReason::JsonNotSupported);
        }
        if bytes.len() > FRAME_LEN_MAX {
            return Err(NackReason::Oversized);
        }
        let frame = bytes
            .first_chunk::<FRAME_LEN>()
            .ok_or(NackReason::Truncated)?;
        let head: Self = bytemuck::pod_read_unaligned(&frame[..size_of::<Self>()]);
        if head.magic != MAGIC {
            return Err(NackReason::BadMagic);
        }
        if usize::from(head.block_length) != bytes.len() {
            return Err(NackReason::BadLength);
        }
        if head.schema_id != SCHEMA_ID {
            return Err(NackReason::WrongSchema);
        }
        if head.schema_version == 0 {
            return Err(NackReason::WrongVersion);
        }
        let template = Template::from_id(head.template_id).ok_or(NackReason::UnknownTemplate)?;
        Ok((head, template))
    }
}

/// A signal as it lies on the wire. See the module's table for offsets, units and clocks.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs)] // the table above is the documentation; one line each would repeat it
pub struct SignalFrame {
    pub head: Head,
    pub t_event_ns: u64,
    pub t_send_ns: u64,
    pub ttl_us: u32,
    pub source_id: u16,
    pub family: u8,
    pub side: u8,
    pub as_of_slot: u64,
    pub mint: [u8; 32],
    pub conviction_ppm: i32,
    pub confidence_ppm: u32,
    pub max_notional_lamports: u64,
    pub max_slippage_bps: u32,
    pub expected_edge_bps: i32,
    pub evidence_id: [u8; 16],
    pub signal_id: u64,
    pub mac: [u8; MAC_LEN],
}

/// "The brain lives", as it lies on the wire.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs)]
pub struct HeartbeatFrame {
    pub head: Head,
    pub t_event_ns: u64,
    pub t_send_ns: u64,
    pub reserved: [u8; 96],
    pub mac: [u8; MAC_LEN],
}

/// Opens a session, as it lies on the wire.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs)]
pub struct HelloFrame {
    pub head: Head,
    pub t_event_ns: u64,
    pub t_send_ns: u64,
    pub nonce: [u8; 16],
    pub version_min: u16,
    pub version_max: u16,
    pub reserved: [u8; 76],
    pub mac: [u8; MAC_LEN],
}

/// The executor's answer to Hello, as it lies on the wire.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs)]
pub struct HelloAckFrame {
    pub head: Head,
    pub t_receive_ns: u64,
    pub t_send_ns: u64,
    pub nonce: [u8; 16],
    pub challenge: [u8; 32],
    pub current_slot: u64,
    pub max_notional_lamports: u64,
    pub ttl_max_us: u32,
    pub rate_per_second: u32,
    pub rate_burst: u32,
    pub families: u32,
    pub confidence_min_ppm: u32,
    pub heartbeat_timeout_ms: u32,
    pub reserved: [u8; 8],
    pub mac: [u8; MAC_LEN],
}

/// Ack, Nack or Pong, as it lies on the wire; the head's template says which.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[allow(missing_docs)]
pub struct ReplyFrame {
    pub head: Head,
    pub t_receive_ns: u64,
    pub t_send_ns: u64,
    pub echo_t_send_ns: u64,
    pub current_slot: u64,
    pub signal_id: u64,
    pub max_notional_lamports: u64,
    pub expires_monotonic_ns: u64,
    pub ring_free_count: u32,
    pub retry_after_ms: u32,
    pub reason: u8,
    pub reserved: [u8; 47],
    pub mac: [u8; MAC_LEN],
}

/// The layout is the contract: every offset of the tables above, asserted when this compiles.
macro_rules! assert_layout {
    ($frame:ty { $($field:ident @ $at:literal),* $(,)? }) => {
        const _: () = {
            assert!(size_of::<$frame>() == FRAME_LEN);
            assert!(core::mem::offset_of!($frame, mac) == MAC_AT);
            $(assert!(core::mem::offset_of!($frame, $field) == $at);)*
        };
    };
}

const _: () = {
    assert!(size_of::<Head>() == 32);
    assert!(core::mem::offset_of!(Head, magic) == 0);
    assert!(core::mem::offset_of!(Head, block_length) == 4);
    assert!(core::mem::offset_of!(Head, template_id) == 6);
    assert!(core::mem::offset_of!(Head, schema_id) == 8);
    assert!(core::mem::offset_of!(Head, schema_version) == 10);
    assert!(core::mem::offset_of!(Head, flags) == 12);
    assert!(core::mem::offset_of!(Head, producer_id) == 14);
    assert!(core::mem::offset_of!(Head, session_epoch) == 16);
    assert!(core::mem::offset_of!(Head, seq) == 24);
};
assert_layout!(SignalFrame {
    head @ 0, t_event_ns @ 32, t_send_ns @ 40, ttl_us @ 48, source_id @ 52, family @ 54, side @ 55,
    as_of_slot @ 56, mint @ 64, conviction_ppm @ 96, confidence_ppm @ 100,
    max_notional_lamports @ 104, max_slippage_bps @ 112, expected_edge_bps @ 116,
    evidence_id @ 120, signal_id @ 136,
});
assert_layout!(HeartbeatFrame { head @ 0, t_event_ns @ 32, t_send_ns @ 40, reserved @ 48 });
assert_layout!(HelloFrame {
    head @ 0, t_event_ns @ 32, t_send_ns @ 40, nonce @ 48, version_min @ 64, version_max @ 66,
    reserved @ 68,
});
assert_layout!(HelloAckFrame {
    head @ 0, t_receive_ns @ 32, t_send_ns @ 40, nonce @ 48, challenge @ 64, current_slot @ 96,
    max_notional_lamports @ 104, ttl_max_us @ 112, rate_per_second @ 116, rate_burst @ 120,
    families @ 124, confidence_min_ppm @ 128, heartbeat_timeout_ms @ 132, reserved @ 136,
});
assert_layout!(ReplyFrame {
    head @ 0, t_receive_ns @ 32, t_send_ns @ 40, echo_t_send_ns @ 48, current_slot @ 56,
    signal_id @ 64, max_notional_lamports @ 72, expires_monotonic_ns @ 80, ring_free_count @ 88,
    retry_after_ms @ 92, reason @ 96, reserved @ 97,
});

/// One frame of any template, its layout read, nothing about its content or MAC believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // all variants are 160 bytes
pub enum Message {
    /// Template 1.
    Signal(SignalFrame),
    /// Template 2.
    Heartbeat(HeartbeatFrame),
    /// Template 3.
    Hello(HelloFrame),
    /// Template 4.
    HelloAck(HelloAckFrame),
    /// Template 5.
    Ack(ReplyFrame),
    /// Template 6.
    Nack(ReplyFrame),
    /// Template 13.
    Pong(ReplyFrame),
}

impl Message {
    /// Reads one whole message. Total: any bytes give a frame or a reason.
    ///
    /// Bytes after the first 160 are a later version's; they are skipped here and covered by the
    /// MAC, which the caller checks over the same `bytes`.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NackReason> {
        let (_, template) = Head::parse(bytes)?;
        let frame = bytes.get(..FRAME_LEN).ok_or(NackReason::Truncated)?;
        Ok(match template {
            Template::Signal => Self::Signal(bytemuck::pod_read_unaligned(frame)),
            Template::Heartbeat => Self::Heartbeat(bytemuck::pod_read_unaligned(frame)),
            Template::Hello => Self::Hello(bytemuck::pod_read_unaligned(frame)),
            Template::HelloAck => Self::HelloAck(bytemuck::pod_read_unaligned(frame)),
            Template::Ack => Self::Ack(bytemuck::pod_read_unaligned(frame)),
            Template::Nack => Self::Nack(bytemuck::pod_read_unaligned(frame)),
            Template::Pong => Self::Pong(bytemuck::pod_read_unaligned(frame)),
        })
    }

    /// The head, whatever the template.
    pub fn head(&self) -> &Head {
        match self {
            Self::Signal(frame) => &frame.head,
            Self::Heartbeat(frame) => &frame.head,
            Self::Hello(frame) => &frame.head,
            Self::HelloAck(frame) => &frame.head,
            Self::Ack(frame) | Self::Nack(frame) | Self::Pong(frame) => &frame.head,
        }
    }
}

impl SignalFrame {
    /// Reads one signal. Total: any bytes give a frame or a reason. Neither the MAC nor the
    /// content is checked: see [`MacKey::verify`](crate::MacKey::verify) and
    /// [`Signal::decode`](crate::Signal::decode).
    ///
    /// # Errors
    /// As [`Head::parse`]; `UnknownTemplate` also when the frame is of another template.
    pub fn parse(bytes: &[u8]) -> Result<Self, NackReason> {
        match Message::parse(bytes)? {
            Message::Signal(frame) => Ok(frame),
            _ => Err(NackReason::UnknownTemplate),
        }
    }
}

/// What every 160-byte frame can do.
pub trait Frame: Pod {
    /// The frame's bytes, as they go on the wire.
    #[inline]
    fn as_bytes(&self) -> &[u8] {
        bytemuck::bytes_of(self)
    }

    /// The frame with its MAC under `key` filled in; every other byte stays.
    #[must_use]
    fn sealed(mut self, key: &crate::MacKey) -> Self {
        let mac = key.mac(bytemuck::bytes_of(&self));
        bytemuck::bytes_of_mut(&mut self)[MAC_AT..FRAME_LEN].copy_from_slice(&mac);
        self
    }
}

impl Frame for SignalFrame {}
impl Frame for HeartbeatFrame {}
impl Frame for HelloFrame {}
impl Frame for HelloAckFrame {}
impl Frame for ReplyFrame {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn signal_bytes() -> [u8; FRAME_LEN] {
        let mut frame = SignalFrame::zeroed();
        frame.head = Head::new(Template::Signal, 7, 9, 11);
        bytemuck::cast(frame)
    }

    #[track_caller]
    fn check(bytes: &[u8], expect: NackReason) {
        assert_eq!(Message::parse(bytes), Err(expect));
        assert_eq!(SignalFrame::parse(bytes), Err(expect));
    }

    #[test]
    fn each_malformation_has_its_own_reason() {
        let good = signal_bytes();
        assert!(SignalFrame::parse(&good).is_ok());
        check(&[], NackReason::Truncated);
        check(&good[..FRAME_LEN - 1], NackReason::Truncated);
        check(b"{\"side\":\"buy\"}", NackReason::JsonNotSupported);
        check(&[0; FRAME_LEN_MAX + 1], NackReason::Oversized);
        let with = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            bytes
        };
        check(&with(0, b'X'), NackReason::BadMagic);
        check(&with(4, 159), NackReason::BadLength);
        check(&with(4, 161), NackReason::BadLength);
        check(&with(6, 0), NackReason::UnknownTemplate);
        check(&with(6, 7), NackReason::UnknownTemplate);
        check(&with(8, 2), NackReason::WrongSchema);
        check(&with(10, 0), NackReason::WrongVersion);
    }

    /// Goal: an older reader takes a newer frame and skips its tail.
    #[test]
    fn a_longer_block_of_a_later_version_is_read_up_to_what_is_known() {
        let mut bytes = [0xaa; FRAME_LEN + 24];
        bytes[..FRAME_LEN].copy_from_slice(&signal_bytes());
        bytes[4..6].copy_from_slice(&(FRAME_LEN as u16 + 24).to_le_bytes());
        bytes[10..12].copy_from_slice(&2_u16.to_le_bytes());
        let frame = SignalFrame::parse(&bytes).unwrap();
        assert_eq!((frame.head.schema_version, frame.head.seq), (2, 11));
        check(&bytes[..FRAME_LEN + 23], NackReason::BadLength);
    }
}
