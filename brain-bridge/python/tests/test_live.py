"""Against a running bridge, when OVERMIND_TEST_ENDPOINT and OVERMIND_TEST_KEY name one.

The Rust tests of ``brain-bridge`` start one and run this.
"""

import os
import tempfile
import unittest
from pathlib import Path

from overmind_brain import Ack, Bridge, HelloRefused, Nack, NoAnswer, Pong, load_key
from overmind_brain import wire

ENDPOINT = os.environ.get("OVERMIND_TEST_ENDPOINT")
KEY = os.environ.get("OVERMIND_TEST_KEY", "")

BUY = dict(
    mint="So11111111111111111111111111111111111111112",
    family="onchain",
    side="buy",
    confidence=0.9,
    max_notional_lamports=1_000_000,
    ttl_ms=2_000,
)


@unittest.skipUnless(ENDPOINT, "no running bridge named in OVERMIND_TEST_ENDPOINT")
class Live(unittest.TestCase):
    def setUp(self):
        self.bridge = Bridge(ENDPOINT, KEY, producer_id=1, timeout_ms=5_000)
        self.addCleanup(self.bridge.close)

    def refused(self, reason, **changes):
        answer = self.bridge.send(**{**BUY, **changes})
        self.assertIsInstance(answer, Nack)
        self.assertEqual((answer.reason, answer.authentic), (reason, True))
        self.assertFalse(answer)
        self.assertTrue(answer.hint)

    def test_send_and_heartbeat(self):
        self.assertIsInstance(self.bridge.heartbeat(), Pong)
        answer = self.bridge.send(**BUY, signal_id=2**64 - 1)
        self.assertIsInstance(answer, Ack)
        self.assertTrue(answer)
        self.assertEqual((answer.seq, answer.signal_id), (2, 2**64 - 1))
        self.assertEqual(answer.max_notional_lamports, 1_000_000)
        self.refused("duplicate_signal", signal_id=2**64 - 1)

    def test_the_cap_is_told(self):
        answer = self.bridge.send(**{**BUY, "max_notional_lamports": 10**18})
        self.assertEqual(answer.max_notional_lamports, self.bridge.max_notional_lamports)

    def test_refusals(self):
        self.refused("family_not_allowed", family="social")
        self.refused("confidence_too_low", confidence=0.5)
        self.refused("ttl_too_long", ttl_ms=60_000)
        self.refused("notional_zero", max_notional_lamports=0)
        self.refused("event_in_future", event_ns=2**63)
        self.refused("mint_missing", mint="next_launch", side="sell")

    def test_what_can_be_known_here_is_not_sent(self):
        for changes in ({"family": "astrology"}, {"side": "hold"}, {"mint": "0OIl"}):
            with self.assertRaises(ValueError):
                self.bridge.send(**{**BUY, **changes})

    def test_a_session_taken_over_is_opened_again(self):
        with Bridge(ENDPOINT, KEY, producer_id=1, timeout_ms=5_000) as other:
            self.assertTrue(other.send(**BUY, test=True))
            self.assertTrue(self.bridge.send(**BUY, test=True))

    def test_another_key_is_refused(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "other.key"
            path.touch(mode=0o600)
            path.write_bytes(bytes(32))
            with self.assertRaises(HelloRefused) as caught:
                Bridge(ENDPOINT, path, producer_id=1, timeout_ms=5_000)
        self.assertEqual(caught.exception.nack.reason, "bad_mac")

    def test_nobody_there(self):
        with self.assertRaises(NoAnswer):
            Bridge(ENDPOINT + ".nobody", KEY, producer_id=1, timeout_ms=100)


class KeyFiles(unittest.TestCase):
    def test_open_or_malformed_files_are_refused(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "brain.key"
            path.touch(mode=0o600)
            path.write_text("ab" * 32 + "\n")
            self.assertEqual(load_key(path), b"\xab" * 32)
            path.write_text("ab" * 31)
            self.assertRaises(ValueError, load_key, path)
            path.chmod(0o640)
            self.assertRaises(PermissionError, load_key, path)


class Evidence(unittest.TestCase):
    def test_the_rule_is_the_one_of_signal_inject(self):
        from overmind_brain.bridge import _evidence_id

        self.assertEqual(_evidence_id("00112233445566778899aabbccddeeff", 1)[:3], b"\x00\x11\x22")
        self.assertEqual(_evidence_id(bytes(16), 1), bytes(16))
        self.assertEqual(_evidence_id("tx", 1), _evidence_id(b"tx", 2))
        self.assertNotEqual(_evidence_id(None, 1), _evidence_id(None, 2))
        self.assertEqual(len(_evidence_id("any text", 1)), 16)


if __name__ == "__main__":
    unittest.main()
