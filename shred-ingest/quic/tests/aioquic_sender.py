"""Sends shreds as QUIC datagrams with aioquic, an implementation that shares nothing with ours.

    aioquic_sender.py PORT ALPN SEED_HEX SERVER_KEY_HEX COUNT MODE

SEED_HEX is the client's Ed25519 seed. Datagram number i has 1 + (i * 7) % 1232 bytes, all of them i % 251.
MODE `datagrams` sends and waits until the server has acknowledged them all; `stream` then opens a stream although the
server allows none, and waits to be thrown out. Prints one line that tells how it went.
"""

import asyncio
import datetime
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
import ssl

port, alpn, seed, server_key, count, mode = sys.argv[1:]


class Sender(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.end = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated) and not self.end.done():
            self.end.set_result(event)


def self_signed(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aioquic")])
    start = datetime.datetime(2020, 1, 1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .sign(key, None)
    )


async def main():
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=[alpn],
        max_datagram_frame_size=65536,
        max_datagram_size=1280,
        server_name="solana-turbine",
        verify_mode=ssl.CERT_NONE,
    )
    configuration.certificate = self_signed(key)
    configuration.private_key = key
    async with connect(
        "127.0.0.1", int(port), configuration=configuration, create_protocol=Sender
    ) as client:
        shown = client._quic.tls._peer_certificate.public_key()
        shown = shown.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        assert shown == server_key, f"the server is {shown}"
        for index in range(int(count)):
            client._quic.send_datagram_frame(bytes([index % 251]) * (1 + (index * 7) % 1232))
            if index % 10 == 9:
                client.transmit()
                await asyncio.sleep(0.001)
        client.transmit()
        # Acknowledged after all datagrams before it.
        await client.ping()
        if mode == "datagrams":
            print("sent")
            return
        # As if the server had allowed one.
        client._quic._remote_max_streams_uni = 1
        client._quic._remote_max_stream_data_uni = 1000
        client._quic._remote_max_data = 1000
        client._quic.send_stream_data(2, b"a stream")
        client.transmit()
        event = await client.end
        print(f"thrown out with code {event.error_code}")


asyncio.run(asyncio.wait_for(main(), 30))
