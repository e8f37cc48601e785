"""Sends one heartbeat and one signal to a running executor.

    python3 examples/send_signal.py ipc:///run/overmind/signal.ipc brain.key [PRODUCER_ID]

Exits 0 when the signal was armed, 3 when it was refused, 4 when nobody answered.
"""

import sys
from pathlib import Path

# Runs from a checkout as well as from an installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from overmind_brain import Bridge, HelloRefused, Nack, NoAnswer  # noqa: E402


def main() -> int:
    if len(sys.argv) not in (3, 4):
        print(__doc__)
        return 2
    endpoint, key_file = sys.argv[1:3]
    producer_id = int(sys.argv[3]) if len(sys.argv) == 4 else 1
    try:
        with Bridge(endpoint, key_file, producer_id) as bridge:
            bridge.heartbeat()
            answer = bridge.send(
                mint="next_launch",
                family="onchain",
                side="buy",
                confidence=0.9,
                max_notional_lamports=50_000_000,  # 0.05 SOL
                ttl_ms=2_000,
                evidence="an example rests on nothing",
            )
    except HelloRefused as refused:
        answer = refused.nack
    except NoAnswer as error:
        print(error)
        return 4
    if isinstance(answer, Nack):
        print(f"refused: {answer.reason}\n  {answer.hint}")
        return 3
    left_ms = (answer.expires_monotonic_ns - answer.t_receive_ns) // 1_000_000
    print(f"armed: signal {answer.signal_id} for {left_ms} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
