"""The client: one connection, one session, answers you can act on."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Optional, Type, Union

from . import wire

if TYPE_CHECKING:
    import zmq

_PPM = 1_000_000


class BridgeError(Exception):
    """Something kept the bridge from giving an answer."""


class NoAnswer(BridgeError):
    """Nothing came in time. The signal may or may not be armed; sending it again with the same
    ``signal_id`` cannot arm it twice."""


class NotTheExecutor(BridgeError):
    """The answer to hello does not prove that the executor holds our key."""


class HelloRefused(BridgeError):
    """The executor opened no session; see ``nack``."""

    def __init__(self, nack: Nack) -> None:
        super().__init__(f"hello refused: {nack.reason}; {nack.hint}")
        self.nack = nack


class _Answer:
    """What every answer carries. Times are the executor's CLOCK_MONOTONIC, nanoseconds."""

    def __init__(self, frame: wire.Frame, authentic: bool) -> None:
        body = frame.body
        #: Whether it carries this session's MAC.
        self.authentic = authentic
        self.session_epoch = frame.session_epoch
        self.seq = frame.seq
        self.t_receive_ns = int(body["t_receive_ns"])
        self.t_send_ns = int(body["t_send_ns"])
        self.echo_t_send_ns = int(body["echo_t_send_ns"])
        #: Newest slot the executor has seen; 0 is unknown.
        self.current_slot = int(body["current_slot"])
        self.signal_id = int(body["signal_id"])
        #: Free cells of the ring to the executor's core.
        self.ring_free_count = int(body["ring_free_count"])

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({shown})"


class Ack(_Answer):
    """The signal is in the executor's ring."""

    def __init__(self, frame: wire.Frame, authentic: bool) -> None:
        super().__init__(frame, authentic)
        #: The smaller of what was asked and the producer's cap.
        self.max_notional_lamports = int(frame.body["max_notional_lamports"])
        self.expires_monotonic_ns = int(frame.body["expires_monotonic_ns"])

    def __bool__(self) -> bool:
        return True


class Pong(_Answer):
    """The heartbeat was taken."""


class Nack(_Answer):
    """The frame was refused. False in a condition, so ``if bridge.send(...)`` reads as it should."""

    def __init__(self, frame: wire.Frame, authentic: bool) -> None:
        super().__init__(frame, authentic)
        #: Number of the reason.
        self.code = int(frame.body["reason"])
        name, hint = wire.REASONS.get(self.code, ("unknown", "the executor is newer; upgrade"))
        #: Stable name of the reason, for example ``expired``.
        self.reason = name
        #: What to do about it.
        self.hint = hint
        #: When a quarantine ends; 0 if there is none.
        self.retry_after_ms = int(frame.body["retry_after_ms"])

    def __bool__(self) -> bool:
        return False


class Bridge:
    """One connection to the executor. Belongs to one thread; use it as a context manager.

    Reconnects by itself: when the executor says that it does not know the session (it restarted),
    hello is said again and the frame is sent once more. Limits the executor stated in its answer
    to hello are attributes: ``max_notional_lamports``, ``ttl_max_us``, ``rate_per_second``,
    ``confidence_min_ppm``; ``current_slot`` is the newest it has told us.
    """

    def __init__(
        self,
        endpoint: str,
        key_file: Union[str, os.PathLike[str]],
        producer_id: int,
        timeout_ms: int = 1_000,
    ) -> None:
        self._endpoint = endpoint
        self._shared = load_key(key_file)
        self._producer_id = producer_id
        self._timeout_ms = timeout_ms
        self._context: Optional[zmq.Context[zmq.Socket[bytes]]] = None
        self._socket: Optional[zmq.Socket[bytes]] = None
        self._seq = 0
        self.current_slot = 0
        self._connect()

    def __enter__(self) -> Bridge:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. Whatever was acknowledged stays armed until it expires."""
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None
        if self._context is not None:
            self._context.term()
            self._context = None

    def send(
        self,
        *,
        mint: Union[str, bytes],
        family: str,
        side: str,
        confidence: float,
        conviction: Optional[float] = None,
        max_notional_lamports: int = 0,
        max_slippage_bps: int = 500,
        expected_edge_bps: int = 0,
        ttl_ms: int = 800,
        evidence: Union[str, bytes, None] = None,
        event_ns: Optional[int] = None,
        as_of_slot: Optional[int] = None,
        source_id: int = 0,
        signal_id: Optional[int] = None,
        reduce_only: bool = False,
        test: bool = False,
    ) -> Union[Ack, Nack]:
        """Sends one signal and waits for the answer.

        ``mint``: base58, 32 bytes, or ``"next_launch"``. ``side``: ``buy``, ``sell`` or ``veto``.
        ``family``: a name of ``FAMILIES``. ``confidence``: 0 to 1; ``conviction``: -1 to 1, the
        confidence with the side's sign when not given. ``max_notional_lamports``: spend no more;
        the executor lowers it to its cap. ``evidence``: what the signal rests on (a transaction
        signature, an account and slot); 16 bytes as they are, anything else by its hash.
        ``event_ns``: realtime of the evidence, now when not given. ``as_of_slot``: slot of the
        evidence, the executor's newest when not given. ``test``: every check, but nothing armed.

        Raises ``ValueError`` for what can be known to be wrong here, ``NoAnswer`` when no answer
        came in time.
        """
        if signal_id is None:
            signal_id = secrets.randbits(64) or 1
        if conviction is None:
            conviction = {"buy": confidence, "sell": -confidence, "veto": -confidence}.get(side, 0)
        body = {
            "t_event_ns": time.time_ns() if event_ns is None else event_ns,
            "ttl_us": ttl_ms * 1_000,
            "source_id": source_id,
            "family": _code(wire.FAMILIES, "family", family),
            "side": _code(wire.SIDES, "side", side),
            "mint": _mint(mint),
            "conviction_ppm": round(conviction * _PPM),
            "confidence_ppm": round(confidence * _PPM),
            "max_notional_lamports": max_notional_lamports,
            "max_slippage_bps": max_slippage_bps,
            "expected_edge_bps": expected_edge_bps,
            "evidence_id": _evidence_id(evidence, signal_id),
            "signal_id": signal_id,
        }
        flags = wire.FLAG_SAME_HOST_CLOCK
        flags |= wire.FLAG_VETO if side == "veto" else 0
        flags |= wire.FLAG_REDUCE_ONLY if reduce_only else 0
        flags |= wire.FLAG_TEST if test else 0
        answer = self._ask("signal", flags, body, as_of_slot)
        if isinstance(answer, Pong):
            raise BridgeError("the executor answered a signal with a pong")
        return answer

    def heartbeat(self) -> Union[Pong, Nack]:
        """Tells the executor that the brain lives. Call it every 250 ms."""
        body = {"t_event_ns": time.time_ns()}
        answer = self._ask("heartbeat", wire.FLAG_SAME_HOST_CLOCK, body, None)
        if isinstance(answer, Ack):
            raise BridgeError("the executor answered a heartbeat with an ack")
        return answer

    def _ask(
        self, template: str, flags: int, body: dict[str, wire.Value], as_of_slot: Optional[int]
    ) -> Union[Ack, Pong, Nack]:
        answer = self._exchange(template, flags, body, as_of_slot)
        if isinstance(answer, Nack) and answer.reason in ("no_session", "wrong_session"):
            # The executor restarted. It refused the frame, so sending it again is safe.
            self._hello()
            answer = self._exchange(template, flags, body, as_of_slot)
        self.current_slot = max(self.current_slot, answer.current_slot)
        return answer

    def _exchange(
        self, template: str, flags: int, body: dict[str, wire.Value], as_of_slot: Optional[int]
    ) -> Union[Ack, Pong, Nack]:
        self._seq += 1
        slot = self.current_slot if as_of_slot is None else as_of_slot
        stamped = {**body, "as_of_slot": slot, "t_send_ns": time.monotonic_ns()}
        frame = wire.Frame(
            template, flags, self._producer_id, self._keys_epoch, self._seq, stamped
        )
        return self._exchange_bytes(wire.encode(frame, self._keys.brain), self._seq)

    def _exchange_bytes(self, message: bytes, seq: int) -> Union[Ack, Pong, Nack]:
        self._put(message)
        deadline_ns = time.monotonic_ns() + self._timeout_ms * 1_000_000
        while True:
            reply = self._get(deadline_ns)
            authentic = wire.verify(reply, self._keys.executor)
            try:
                frame = wire.decode(reply)
            except ValueError:
                continue
            # Answers to frames we gave up waiting for are not this frame's. A refusal of bytes
            # the executor could not read carries 0.
            if frame.template == "nack" and frame.seq in (seq, 0):
                return Nack(frame, authentic)
            if authentic and frame.seq == seq and frame.template == "ack":
                return Ack(frame, authentic)
            if authentic and frame.seq == seq and frame.template == "pong":
                return Pong(frame, authentic)

    def _connect(self) -> None:
        import zmq

        self._context = zmq.Context()
        self._socket = socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 64)
        socket.setsockopt(zmq.RCVHWM, 64)
        socket.setsockopt(zmq.MAXMSGSIZE, 4_096)
        # Nothing is queued for an executor that is not there: it would arrive late and stale.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.HEARTBEAT_IVL, 250)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 1_000)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1_000)
        try:
            socket.connect(self._endpoint)
            self._hello()
        except BaseException:
            self.close()
            raise

    def _hello(self) -> None:
        nonce = os.urandom(16)
        body = {
            "t_event_ns": time.time_ns(),
            "t_send_ns": time.monotonic_ns(),
            "nonce": nonce,
            "version_min": wire.SCHEMA_VERSION,
            "version_max": wire.SCHEMA_VERSION,
        }
        hello = wire.Frame("hello", 0, self._producer_id, 0, 0, body)
        self._put(wire.encode(hello, wire.hello_key(self._shared, self._producer_id)))
        deadline_ns = time.monotonic_ns() + self._timeout_ms * 1_000_000
        while True:
            reply = self._get(deadline_ns)
            try:
                frame = wire.decode(reply)
            except ValueError:
                raise NotTheExecutor("the answer to hello is not a frame") from None
            if frame.template == "nack" and frame.seq == 0:
                raise HelloRefused(Nack(frame, False))
            # Anything else is an answer to an older frame or hello of ours.
            if frame.template == "hello_ack" and frame.body["nonce"] == nonce:
                break
        challenge = frame.body["challenge"]
        assert isinstance(challenge, bytes)
        keys = wire.session_keys(
            self._shared, self._producer_id, nonce, challenge, frame.session_epoch
        )
        if not wire.verify(reply, keys.executor):
            raise NotTheExecutor("the answer to hello does not verify: another key")
        self._keys, self._keys_epoch, self._seq = keys, frame.session_epoch, 0
        self.current_slot = int(frame.body["current_slot"])
        self.max_notional_lamports = int(frame.body["max_notional_lamports"])
        self.ttl_max_us = int(frame.body["ttl_max_us"])
        self.rate_per_second = int(frame.body["rate_per_second"])
        self.confidence_min_ppm = int(frame.body["confidence_min_ppm"])

    def _open_socket(self) -> zmq.Socket[bytes]:
        if self._socket is None:
            raise BridgeError("the bridge is closed")
        return self._socket

    def _put(self, message: bytes) -> None:
        import zmq

        socket = self._open_socket()
        if not socket.poll(self._timeout_ms, zmq.POLLOUT):
            raise NoAnswer(f"nobody listens at {self._endpoint}")
        socket.send(message, zmq.DONTWAIT)

    def _get(self, deadline_ns: int) -> bytes:
        import zmq

        socket = self._open_socket()
        left_ms = max(0, (deadline_ns - time.monotonic_ns()) // 1_000_000)
        if not socket.poll(left_ms, zmq.POLLIN):
            raise NoAnswer(f"no answer from {self._endpoint} within {self._timeout_ms} ms")
        return socket.recv(zmq.DONTWAIT)


def load_key(path: Union[str, os.PathLike[str]]) -> bytes:
    """Reads a key file: 64 hexadecimal digits, or 32 raw bytes; not open to group or others."""
    file = Path(path).expanduser()
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise PermissionError(f"{file} lets others in; run: chmod 600 {file}")
    content = file.read_bytes()
    if len(content) == 32:
        return content
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError(f"{file}: want 64 hexadecimal digits (signal-inject --keygen FILE)")
    return key


def _code(table: dict[str, int], what: str, name: str) -> int:
    if name not in table:
        raise ValueError(f"{what} {name!r}: want one of {', '.join(table)}")
    return table[name]


def _mint(mint: Union[str, bytes]) -> bytes:
    if mint == "next_launch":
        return wire.NEXT_LAUNCH
    decoded = wire.b58decode(mint) if isinstance(mint, str) else mint
    if len(decoded) != 32:
        raise ValueError("a mint is 32 bytes")
    return decoded


def _evidence_id(evidence: Union[str, bytes, None], signal_id: int) -> bytes:
    """The same rule as signal-inject's: 16 bytes (or 32 hexadecimal digits) as they are, all else
    by its hash; without evidence the signal is its own root."""
    if evidence is None:
        evidence = signal_id.to_bytes(8, "little")
    elif isinstance(evidence, bytes) and len(evidence) == 16:
        return evidence
    elif isinstance(evidence, str) and len(evidence) == 32:
        if all(character in "0123456789abcdefABCDEF" for character in evidence):
            return bytes.fromhex(evidence)
    raw = evidence.encode() if isinstance(evidence, str) else evidence
    return hashlib.sha256(raw).digest()[:16]
