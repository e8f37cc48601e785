"""The frames of the bridge: layouts, codes, keys and MAC. No socket, no clock.

Every frame is 160 bytes, little-endian, with the same head (0..32) and the MAC at 144..160. The
layouts below mirror the tables of the Rust crate ``brain-wire``; golden vectors hold them together.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Dict, Mapping, NamedTuple, Tuple, Union

FRAME_LEN = 160
FRAME_LEN_MAX = 512
MAC_AT = 144
MAGIC = b"SGB1"
SCHEMA_ID = 1
SCHEMA_VERSION = 1
NEXT_LAUNCH = bytes(32)

FLAG_TEST = 1
FLAG_REDUCE_ONLY = 2
FLAG_VETO = 4
FLAG_SAME_HOST_CLOCK = 8

SIDES: Dict[str, int] = {"veto": 0, "buy": 1, "sell": 2}

FAMILIES: Dict[str, int] = {
    "onchain": 1,
    "technical": 2,
    "mycelial": 3,
    "social": 4,
    "whale": 5,
    "arbitrage": 6,
    "launch": 7,
    "macro": 8,
    "risk": 9,
    "consensus": 10,
    "operator": 11,
}

#: Number of a refusal: its stable name and what to do about it. The numbers are the wire contract.
REASONS: Dict[int, Tuple[str, str]] = {
    1: ("truncated", "send whole 160-byte frames; is something else talking to this socket?"),
    2: ("json_not_supported", "send the binary frame; use the Python client or signal-inject"),
    3: ("bad_magic", "start the frame with SGB1; is something else talking to this socket?"),
    4: ("bad_length", "set block_length to the message's length, at least 160"),
    5: ("oversized", "send one frame per message, 160 bytes in this schema version"),
    6: ("unknown_template", "use Signal 1, Heartbeat 2 or Hello 3"),
    7: (
        "wrong_direction",
        "only the executor sends this template; is another executor connected here?",
    ),
    8: ("wrong_schema", "client and executor speak different layouts; upgrade the older one"),
    9: ("wrong_version", "no common schema version; upgrade the older one"),
    10: ("unknown_flags", "clear the flag bits this version does not define"),
    11: ("extra_frame", "send one message part; attachments are not part of this version"),
    12: (
        "unknown_producer",
        "add the producer id to the executor's [[bridge.producers]] or correct --producer",
    ),
    13: (
        "no_session",
        "say Hello (again): the executor restarted, or a newer session of this producer took over",
    ),
    14: (
        "wrong_session",
        "another Hello replaced this session, or the frame is from an older one; say Hello again",
    ),
    15: (
        "bad_mac",
        "check that both sides read the same key file and that nothing alters the frame",
    ),
    16: ("replay", "count seq up by one for every frame of the session; never resend old bytes"),
    17: ("rate_limited", "send less often, or raise rate_per_second for this producer"),
    18: (
        "quarantined",
        "stop the sender, find why its frames were garbage, wait for retry_after_ms",
    ),
    19: ("family_unknown", "use a family code of the table"),
    20: (
        "family_not_allowed",
        "add the family to this producer's families, or send it from another producer",
    ),
    21: ("side_unknown", "use side 0 (veto), 1 (buy) or 2 (sell)"),
    22: (
        "flags_contradict",
        "veto goes with side 0 and only with it; reduce_only does not go with buy",
    ),
    23: (
        "mint_missing",
        "name the mint; all zero means the next launch and can only be bought or vetoed",
    ),
    24: ("conviction_out_of_range", "keep conviction_ppm within -1000000..=1000000"),
    25: ("confidence_out_of_range", "keep confidence_ppm within 0..=1000000"),
    26: ("confidence_too_low", "the executor asks for more confidence (bridge.confidence_min_ppm)"),
    27: ("notional_zero", "state how many lamports the buy may spend at most"),
    28: ("slippage_out_of_range", "keep max_slippage_bps within 0..=10000"),
    29: ("signal_id_zero", "give every signal its own id, not 0"),
    30: ("duplicate_signal", "this signal was armed before; a new decision needs a new signal_id"),
    31: ("ttl_zero", "state how long the signal is good for"),
    32: ("ttl_too_long", "shorten ttl_us to the cap the HelloAck states"),
    33: ("expired", "send sooner or allow a longer ttl; the executor never acts on old signals"),
    34: (
        "sent_in_future",
        "use CLOCK_MONOTONIC with same_host_clock, else a synchronised realtime clock",
    ),
    35: ("event_in_future", "t_event_ns is realtime nanoseconds of the evidence; check the clock"),
    36: ("slot_too_old", "decide on newer chain state; current_slot is in this answer"),
    37: (
        "slot_in_future",
        "as_of_slot is ahead of the executor's chain; current_slot is in this answer",
    ),
    38: ("time_travel", "evidence may go back by 2 s or 8 slots at most within a session"),
    39: (
        "queue_full",
        "the core has not taken earlier signals yet; try again while the signal is still good",
    ),
    40: ("executor_stopped", "the executor is stopping; connect again when it is back"),
    41: (
        "epoch_not_durable",
        "the executor could not write its epoch file; check the disk and its rights",
    ),
}

Value = Union[int, bytes]

#: magic, block_length, template_id, schema_id, schema_version, flags, producer_id, epoch, seq
HEAD = struct.Struct("<4s6H2Q")


class Layout(NamedTuple):
    """One template: its id, its body as a ``struct`` format, and the names of the body's fields."""

    template_id: int
    body: struct.Struct
    fields: Tuple[str, ...]


_REPLY = struct.Struct("<7Q2IB47x")
_REPLY_FIELDS = (
    "t_receive_ns",
    "t_send_ns",
    "echo_t_send_ns",
    "current_slot",
    "signal_id",
    "max_notional_lamports",
    "expires_monotonic_ns",
    "ring_free_count",
    "retry_after_ms",
    "reason",
)

LAYOUTS: Dict[str, Layout] = {
    "signal": Layout(
        1,
        struct.Struct("<2QIHBBQ32siIQIi16sQ"),
        (
            "t_event_ns",
            "t_send_ns",
            "ttl_us",
            "source_id",
            "family",
            "side",
            "as_of_slot",
            "mint",
            "conviction_ppm",
            "confidence_ppm",
            "max_notional_lamports",
            "max_slippage_bps",
            "expected_edge_bps",
            "evidence_id",
            "signal_id",
        ),
    ),
    "heartbeat": Layout(2, struct.Struct("<2Q96x"), ("t_event_ns", "t_send_ns")),
    "hello": Layout(
        3,
        struct.Struct("<2Q16s2H76x"),
        ("t_event_ns", "t_send_ns", "nonce", "version_min", "version_max"),
    ),
    "hello_ack": Layout(
        4,
        struct.Struct("<2Q16s32s2Q6I8x"),
        (
            "t_receive_ns",
            "t_send_ns",
            "nonce",
            "challenge",
            "current_slot",
            "max_notional_lamports",
            "ttl_max_us",
            "rate_per_second",
            "rate_burst",
            "families",
            "confidence_min_ppm",
            "heartbeat_timeout_ms",
        ),
    ),
    "ack": Layout(5, _REPLY, _REPLY_FIELDS),
    "nack": Layout(6, _REPLY, _REPLY_FIELDS),
    "pong": Layout(13, _REPLY, _REPLY_FIELDS),
}
_NAMES = {layout.template_id: name for name, layout in LAYOUTS.items()}

for _layout in LAYOUTS.values():
    if HEAD.size + _layout.body.size != MAC_AT:
        raise AssertionError("every body fills the frame up to the MAC")


class Frame(NamedTuple):
    """One frame, its layout read; nothing about its MAC is believed yet."""

    template: str
    flags: int
    producer_id: int
    session_epoch: int
    seq: int
    body: Mapping[str, Value]


def encode(frame: Frame, key: bytes) -> bytes:
    """The frame's 160 bytes, sealed under ``key``. ``struct.error`` if a number does not fit."""
    layout = LAYOUTS[frame.template]
    head = HEAD.pack(
        MAGIC,
        FRAME_LEN,
        layout.template_id,
        SCHEMA_ID,
        SCHEMA_VERSION,
        frame.flags,
        frame.producer_id,
        frame.session_epoch,
        frame.seq,
    )
    unsealed = head + layout.body.pack(*(frame.body[name] for name in layout.fields))
    return unsealed + _mac(key, unsealed)


def decode(message: bytes) -> Frame:
    """Reads one message; ``ValueError`` says what is wrong with it. Bytes after the first 160
    belong to a later version and are skipped; the MAC covers them."""
    if not FRAME_LEN <= len(message) <= FRAME_LEN_MAX:
        raise ValueError("not a frame: wrong length")
    head = HEAD.unpack_from(message)
    magic, block_length, template_id, schema_id, version, flags, producer_id, epoch, seq = head
    if magic != MAGIC or block_length != len(message):
        raise ValueError("not a frame: wrong magic or block length")
    if schema_id != SCHEMA_ID or version == 0 or template_id not in _NAMES:
        raise ValueError("a layout this client does not know")
    name = _NAMES[template_id]
    layout = LAYOUTS[name]
    body = dict(zip(layout.fields, layout.body.unpack_from(message, HEAD.size)))
    return Frame(name, flags, producer_id, epoch, seq, body)


def verify(message: bytes, key: bytes) -> bool:
    """Whether the message's MAC is right. Compares in constant time."""
    if len(message) < FRAME_LEN:
        return False
    expect = _mac(key, message[:MAC_AT] + message[FRAME_LEN:])
    return hmac.compare_digest(message[MAC_AT:FRAME_LEN], expect)


def hello_key(shared: bytes, producer_id: int) -> bytes:
    """The key that seals Hello."""
    return _hmac(shared, b"overmind bridge hello v1" + struct.pack("<H", producer_id))


class SessionKeys(NamedTuple):
    """The two keys of one session: what the brain seals with, and what the executor does."""

    brain: bytes
    executor: bytes


def session_keys(
    shared: bytes, producer_id: int, nonce: bytes, challenge: bytes, epoch: int
) -> SessionKeys:
    """HKDF-SHA-256 (RFC 5869): salt nonce and challenge, one block per direction."""
    extracted = _hmac(nonce + challenge, shared)
    names = struct.pack("<HQ", producer_id, epoch) + b"\x01"
    return SessionKeys(
        _hmac(extracted, b"overmind bridge brain v1" + names),
        _hmac(extracted, b"overmind bridge executor v1" + names),
    )


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _mac(key: bytes, covered: bytes) -> bytes:
    return _hmac(key, covered)[:16]


_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def b58decode(text: str) -> bytes:
    """The 32 bytes that ``text`` is the base58 form of; ``ValueError`` otherwise."""
    number = 0
    for character in text:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise ValueError(f"{text!r} is not base58")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    rest = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if zeros + len(rest) != 32:
        raise ValueError(f"{text!r} is not the base58 form of 32 bytes")
    return bytes(zeros) + rest
