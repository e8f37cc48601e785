#!/usr/bin/env python3
"""Subscribes to a relay's entries with Google's gRPC library, and reads the bytes by hand.

Nothing generated and nothing of this project is used: path and field numbers are those of jito-labs/mev-protos, the
entries' layout is that of solana-entry (bincode with fixed integers), so a relay that passes is one that an outside
client of the ShredStream proxy could use.

    grpc_entries.py 127.0.0.1:PORT --messages N [--token TOKEN]

Prints `subscribed` once the relay has answered; then for each message one line `slot entries transactions` and the
first signature of each transaction in hexadecimal (legacy and v0 alone, as clients know them). Exit 0: N messages were
read. 1: something did not hold. 77: grpcio is not installed.
"""

import argparse
import struct
import sys

try:
    import grpc
except ImportError:
    print("skipped: grpcio is not installed")
    sys.exit(77)

CALL_SECONDS = 30
SUBSCRIBE = "/shredstream.ShredstreamProxy/SubscribeEntries"
VARINT, LEN = 0, 2


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count:self.at]

    def u8(self):
        return self.take(1)[0]

    def u64(self):
        return struct.unpack("<Q", self.take(8))[0]

    def varint(self):
        """Protobuf's, and with at most three bytes the transaction format's."""
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value


def message(data):
    """Fields of `shredstream.Entry`; others are passed over."""
    reader, fields = Reader(data), {}
    while reader.at < len(data):
        key = reader.varint()
        if key & 7 == VARINT:
            fields[key >> 3] = reader.varint()
        elif key & 7 == LEN:
            fields[key >> 3] = reader.take(reader.varint())
        else:
            raise ValueError(f"wire type {key & 7}")
    return fields.get(1, 0), fields.get(2, b"")


def transaction(reader):
    """A legacy or v0 transaction; its signatures."""
    signatures = [reader.take(64) for _ in range(reader.varint())]
    first = reader.u8()
    if first >= 0x80:
        if first != 0x80:
            raise ValueError(f"message version {first & 0x7F}")
        reader.u8()
    reader.take(2)
    reader.take(32 * reader.varint())
    reader.take(32)
    for _ in range(reader.varint()):
        reader.u8()
        reader.take(reader.varint())
        reader.take(reader.varint())
    if first >= 0x80:
        for _ in range(reader.varint()):
            reader.take(32)
            reader.take(reader.varint())
            reader.take(reader.varint())
    return signatures


def entries(data):
    """`Vec<Entry>`: the transactions of each."""
    reader, out = Reader(data), []
    for _ in range(reader.u64()):
        reader.u64()
        reader.take(32)
        out.append([transaction(reader) for _ in range(reader.u64())])
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes behind the last entry")
    return out


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("address")
    arguments.add_argument("--messages", type=int, required=True)
    arguments.add_argument("--token")
    arguments = arguments.parse_args()
    headers = [("authorization", f"Bearer {arguments.token}")] if arguments.token else []
    with grpc.insecure_channel(arguments.address) as channel:
        subscribe = channel.unary_stream(SUBSCRIBE)
        stream = subscribe(b"", metadata=headers, timeout=CALL_SECONDS)
        stream.initial_metadata()
        print("subscribed", flush=True)
        for _ in range(arguments.messages):
            slot, data = message(next(stream))
            content = entries(data)
            signatures = [signature[0].hex() for entry in content for signature in entry]
            print(slot, len(content), len(signatures), *signatures, flush=True)
        stream.cancel()


if __name__ == "__main__":
    try:
        main()
    except (grpc.RpcError, ValueError) as error:
        print(f"{type(error).__name__}: {error}")
        sys.exit(1)
