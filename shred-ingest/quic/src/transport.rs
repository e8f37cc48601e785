//! What both ends tell quinn, and the socket they speak through.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{IdleTimeout, TransportConfig, VarInt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Bytes of a UDP payload, first and smallest: a shred of 1232 bytes and QUIC's own fit, and every path carries it
/// (agave `turbine/src/quic_endpoint.rs`). Nothing larger is looked for.
pub(crate) const MTU: u16 = 1280;
/// Pause between keep-alives of an idle connection (as there).
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// A peer that was silent for so long is gone (as there).
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// First congestion window of an end that only acknowledges (RFC 9002 section 7.2).
pub(crate) const SMALL_WINDOW_LEN: u64 = 14_720;
/// Server name that clients send; nobody looks at it (as there).
pub(crate) const SERVER_NAME: &str = "solana-turbine";

/// Application close codes (as there).
pub(crate) mod close {
    use quinn::VarInt;

    /// This end stops.
    pub(crate) const SHUTDOWN: (VarInt, &[u8]) = (VarInt::from_u32(1), b"SHUTDOWN");
    /// This end cannot use the connection.
    pub(crate) const DROPPED: (VarInt, &[u8]) = (VarInt::from_u32(2), b"DROPPED");
    /// The handshake showed no key.
    pub(crate) const INVALID_IDENTITY: (VarInt, &[u8]) = (VarInt::from_u32(3), b"INVALID_IDENTITY");
    /// The same peer has connected anew.
    pub(crate) const REPLACED: (VarInt, &[u8]) = (VarInt::from_u32(4), b"REPLACED");
    /// Too many connections.
    pub(crate) const PRUNED: (VarInt, &[u8]) = (VarInt::from_u32(5), b"PRUNED");
}

/// Datagrams only. `receive_len` and `send_len` are bytes that quinn may hold for one connection in each direction.
pub(crate) fn transport(
    receive_len: usize,
    send_len: usize,
    initial_window_len: u64,
) -> Arc<TransportConfig> {
    let mut congestion = CubicConfig::default();
    congestion.initial_window(initial_window_len);
    let idle = IdleTimeout::try_from(IDLE_TIMEOUT).expect("fits QUIC's range");
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(0))
        .initial_mtu(MTU)
        .min_mtu(MTU)
        .mtu_discovery_config(None)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(idle))
        .datagram_receive_buffer_size(Some(receive_len))
        .datagram_send_buffer_size(send_len)
        .congestion_controller_factory(Arc::new(congestion));
    Arc::new(config)
}

/// A bound socket with about `receive_len` bytes of buffer in the kernel, as far as `net.core.rmem_max` lets.
pub(crate) fn bind(
    address: SocketAddr,
    receive_len: usize,
) -> Result<UdpSocket, (&'static str, io::Error)> {
    let at = |step| move |source| (step, source);
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )
    .map_err(at("open"))?;
    if address.is_ipv6() {
        // An end is one address; IPv4 has its own socket.
        socket.set_only_v6(true).map_err(at("IPV6_V6ONLY"))?;
    }
    socket
        .set_recv_buffer_size(receive_len)
        .map_err(at("SO_RCVBUF"))?;
    socket.set_nonblocking(true).map_err(at("non-blocking"))?;
    socket.bind(&SockAddr::from(address)).map_err(at("bind"))?;
    Ok(socket.into())
}
