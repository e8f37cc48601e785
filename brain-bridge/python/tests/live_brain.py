"""A brain and a liar: buys the next launches, then sends four frames that have to be refused.

    python3 tests/live_brain.py ENDPOINT KEY [--producer 1] [--wait-s 4] [--buys 6] [--pause-s 0.9]

Prints one JSON line per frame sent: what it was, the answer, and the reason of a refusal. Exits 0
when every answer came, whatever it said; 4 when one did not. The end-to-end test of the demo runs
this and judges the lines.
"""

import argparse
import json
import sys
import time
from pathlib import Path

# Runs from a checkout as well as from an installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from overmind_brain import Bridge, BridgeError, Nack  # noqa: E402
from overmind_brain import wire  # noqa: E402

BUY = dict(
    mint="next_launch",
    family="launch",
    side="buy",
    confidence=0.9,
    max_notional_lamports=50_000_000,  # 0.05 SOL
    ttl_ms=5_000,
    evidence="a test rests on nothing",
)


class Liar(Bridge):
    """A client that can alter a signal between its seal and the socket."""

    alter = None
    last = b""

    def _exchange_bytes(self, message, seq):
        self.last = message if self.alter is None else self.alter(message)
        return super()._exchange_bytes(self.last, seq)

    def send_altered(self, alter):
        self.alter = alter
        try:
            return self.send(**BUY)
        finally:
            self.alter = None

    def replay(self):
        """The bytes of the last message, once more."""
        return self._exchange_bytes(self.last, self._seq)

    def expired(self, message):
        """Sealed as it should be, and sent a millisecond longer ago than it is good for."""
        frame = wire.decode(message)
        sent_ns = frame.body["t_send_ns"] - frame.body["ttl_us"] * 1_000 - 1_000_000
        late = frame._replace(body={**frame.body, "t_send_ns": sent_ns})
        return wire.encode(late, self._keys.brain)

    def forged(self, message):
        """Asks for more than what was sealed: the old MAC under a new sum."""
        frame = wire.decode(message)
        more = {**frame.body, "max_notional_lamports": frame.body["max_notional_lamports"] + 1}
        raised = wire.encode(frame._replace(body=more), bytes(32))
        return raised[: wire.MAC_AT] + message[wire.MAC_AT :]

    def oversized(self, message):
        return message + bytes(wire.FRAME_LEN_MAX + 1 - len(message))


def show(sent, answer):
    line = {
        "sent": sent,
        "answer": type(answer).__name__.lower(),
        "authentic": answer.authentic,
        "signal_id": answer.signal_id,
        "current_slot": answer.current_slot,
    }
    if isinstance(answer, Nack):
        line["reason"] = answer.reason
    print(json.dumps(line), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("endpoint")
    parser.add_argument("key", type=Path)
    parser.add_argument("--producer", type=int, default=1)
    # Until blocks are deep enough the executor has no blockhash to sign with.
    parser.add_argument("--wait-s", type=float, default=4.0)
    parser.add_argument("--buys", type=int, default=6)
    parser.add_argument("--pause-s", type=float, default=0.9)
    args = parser.parse_args()
    time.sleep(args.wait_s)
    try:
        with Liar(args.endpoint, args.key, args.producer, timeout_ms=2_000) as liar:
            show("heartbeat", liar.heartbeat())
            for _ in range(args.buys):
                show("buy", liar.send(**BUY))
                time.sleep(args.pause_s)
            show("buy", liar.send(**BUY))
            show("replayed", liar.replay())
            show("expired", liar.send_altered(liar.expired))
            show("forged", liar.send_altered(liar.forged))
            show("oversized", liar.send_altered(liar.oversized))
    except BridgeError as error:
        print(error, file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
