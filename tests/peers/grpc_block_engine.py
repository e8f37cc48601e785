#!/usr/bin/env python3
"""Calls a block engine with Google's gRPC library and bytes written by hand.

Nothing generated and nothing of this project is used: paths and field numbers are those of
jito-labs/mev-protos, so an engine that passes is one an outside searcher could use.

    grpc_block_engine.py 127.0.0.1:PORT [--bundle HEX[,HEX...] --id BUNDLE_ID]

With --bundle the transactions are sent, the answer is compared with the id, and the result stream must
bring `accepted` and then `processed`. Exit 0: all held. 1: something did not. 77: grpcio is not installed.
"""

import argparse
import sys

try:
    import grpc
except ImportError:
    print("skipped: grpcio is not installed")
    sys.exit(77)

VARINT, LEN = 0, 2
CALL_SECONDS = 5


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3 | VARINT) + varint(value)


def piece(field, content):
    return varint(field << 3 | LEN) + varint(len(content)) + content


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """A message as {field: [values]}, values being ints or bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if key & 7 == LEN:
            value, at = data[at : at + value], at + value
        found.setdefault(key >> 3, []).append(value)
    return found


def same(data):
    return data


class Engine:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)

    def call(self, service, method, request=b""):
        call = self.channel.unary_unary(f"/{service}/{method}", same, same)
        return fields(call(request, timeout=CALL_SECONDS))

    def searcher(self, method, request=b""):
        return self.call("searcher.SearcherService", method, request)

    def results(self):
        path = "/searcher.SearcherService/SubscribeBundleResults"
        stream = self.channel.unary_stream(path, same, same)(b"", timeout=4 * CALL_SECONDS)
        stream.initial_metadata()
        return stream


def check(name, holds):
    print(f"{'ok  ' if holds else 'FAIL'} {name}")
    if not holds:
        sys.exit(1)


def refused(call, code):
    try:
        call()
    except grpc.RpcError as error:
        return error.code() is code
    return False


def bundle_request(transactions):
    packets = b"".join(piece(3, piece(1, data) + piece(2, number(1, len(data)))) for data in transactions)
    header = piece(2, piece(1, number(1, 1_790_000_000)))
    return piece(1, header + packets)


def check_questions(engine):
    accounts = engine.searcher("GetTipAccounts")[1]
    check("GetTipAccounts names eight accounts", len(set(accounts)) == 8)
    check("one of them is Jito's", b"96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5" in accounts)
    regions = engine.searcher("GetRegions")
    check("GetRegions names its own region among all", regions[1][0] in regions[2])
    leader = engine.searcher("GetNextScheduledLeader")
    check("GetNextScheduledLeader is not in the past", leader[2][0] >= leader.get(1, [0])[0])
    leaders = engine.searcher("GetConnectedLeaders")
    identities = [fields(entry)[1][0] for entry in leaders.get(1, [])]
    check("GetConnectedLeaders knows that leader", leader[3][0] in identities)
    regioned = engine.searcher("GetConnectedLeadersRegioned", piece(1, regions[1][0]))
    check("GetConnectedLeadersRegioned answers for the region", fields(regioned[1][0])[1][0] == regions[1][0])


def check_refusals(engine):
    def send(transactions):
        return lambda: engine.searcher("SendBundle", bundle_request(transactions))

    bad = grpc.StatusCode.INVALID_ARGUMENT
    check("no bundle is refused", refused(lambda: engine.searcher("SendBundle"), bad))
    check("an empty bundle is refused", refused(send([]), bad))
    check("six transactions are refused", refused(send([b"\x01"] * 6), bad))
    check("bytes that are no transaction are refused", refused(send([b"\x01\x02\x03"]), bad))


def check_authentication(engine):
    key = bytes(range(32))
    service = "auth.AuthService"
    challenge = engine.call(service, "GenerateAuthChallenge", number(1, 1) + piece(2, key))
    check("GenerateAuthChallenge gives one", len(challenge[1][0]) > 0)
    forged = piece(1, b"x-" + challenge[1][0]) + piece(2, key) + piece(3, bytes(64))
    denied = grpc.StatusCode.UNAUTHENTICATED
    check("a forged answer buys no token", refused(lambda: engine.call(service, "GenerateAuthTokens", forged), denied))


def check_bundle(engine, transactions, expected_id):
    results = engine.results()
    uuid = engine.searcher("SendBundle", bundle_request(transactions))[1][0].decode()
    check("SendBundle answers with the id", uuid == expected_id)
    repeated = grpc.StatusCode.ALREADY_EXISTS
    again = lambda: engine.searcher("SendBundle", bundle_request(transactions))
    check("the same bundle again is refused", refused(again, repeated))
    kinds = []
    for result in results:
        result = fields(result)
        if result[1][0].decode() == uuid:
            kinds += [field for field in result if field != 1]
        if len(kinds) == 2:
            break
    results.cancel()
    check("the stream brings accepted (2), then processed (5)", kinds == [2, 5])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="host:port of the engine")
    parser.add_argument("--bundle", help="signed transactions, hexadecimal, separated by commas")
    parser.add_argument("--id", help="the id the bundle must have")
    arguments = parser.parse_args()
    engine = Engine(arguments.address)
    check_questions(engine)
    check_refusals(engine)
    check_authentication(engine)
    if arguments.bundle:
        transactions = [bytes.fromhex(text) for text in arguments.bundle.split(",")]
        check_bundle(engine, transactions, arguments.id)


if __name__ == "__main__":
    main()
