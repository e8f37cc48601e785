"""The same frames as the Rust side, byte for byte."""

import json
import random
import unittest
from pathlib import Path

from overmind_brain import wire

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


def _value(text):
    """Byte arrays are in hexadecimal and 32 or 64 digits long; 64-bit numbers are decimal."""
    if isinstance(text, str):
        return bytes.fromhex(text) if len(text) >= 32 else int(text)
    return text


class GoldenVectors(unittest.TestCase):
    def setUp(self):
        shared = bytes.fromhex(GOLDEN["shared_key"])
        producer_id = GOLDEN["producer_id"]
        session = wire.session_keys(
            shared,
            producer_id,
            bytes.fromhex(GOLDEN["nonce"]),
            bytes.fromhex(GOLDEN["challenge"]),
            int(GOLDEN["session_epoch"]),
        )
        self.keys = {
            "hello": wire.hello_key(shared, producer_id),
            "brain": session.brain,
            "executor": session.executor,
        }

    def test_every_template_is_covered(self):
        self.assertEqual({entry["template"] for entry in GOLDEN["frames"]}, set(wire.LAYOUTS))

    def test_encoding_the_fields_gives_the_bytes(self):
        for entry in GOLDEN["frames"]:
            fields = {name: _value(text) for name, text in entry["fields"].items()}
            head = [fields.pop(name) for name in ("flags", "producer_id", "session_epoch", "seq")]
            frame = wire.Frame(entry["template"], *head, fields)
            self.assertEqual(wire.encode(frame, self.keys[entry["key"]]).hex(), entry["hex"])
            self.assertEqual(wire.decode(bytes.fromhex(entry["hex"])), frame)

    def test_no_altered_frame_verifies(self):
        draw = random.Random(1)
        for entry in GOLDEN["frames"]:
            message, key = bytearray.fromhex(entry["hex"]), self.keys[entry["key"]]
            self.assertTrue(wire.verify(bytes(message), key))
            message[draw.randrange(len(message))] ^= 1 << draw.randrange(8)
            self.assertFalse(wire.verify(bytes(message), key))
            others = [other for other in self.keys.values() if other != key]
            self.assertFalse(any(wire.verify(bytes.fromhex(entry["hex"]), k) for k in others))

    def test_code_tables_agree(self):
        self.assertEqual(wire.FAMILIES, GOLDEN["families"])
        reasons = {code: (name, hint) for name, (code, hint) in GOLDEN["reasons"].items()}
        self.assertEqual(wire.REASONS, reasons)


class AnyBytes(unittest.TestCase):
    def test_decode_gives_a_frame_or_a_value_error(self):
        draw = random.Random(2)
        for _ in range(5_000):
            message = bytearray(draw.randbytes(draw.randrange(600)))
            if len(message) >= 12 and draw.random() < 0.5:
                length = len(message).to_bytes(2, "little")
                message[:12] = b"SGB1" + length + bytes([draw.randrange(16), 0, 1, 0, 1, 0])
            try:
                wire.decode(bytes(message))
            except ValueError:
                pass
            self.assertFalse(wire.verify(bytes(message), bytes(32)))

    def test_base58(self):
        wrapped_sol = wire.b58decode("So11111111111111111111111111111111111111112")
        self.assertEqual(wrapped_sol.hex()[:16], "069b8857feab8184")
        self.assertEqual(wire.b58decode("1" * 32), bytes(32))
        for text in ("", "0", "So1111", "1" * 33):
            with self.assertRaises(ValueError):
                wire.b58decode(text)


if __name__ == "__main__":
    unittest.main()
