//! Goal: our definitions put the same bytes on the wire as the published ones.
//! Method: every message is encoded and compared with bytes written by hand from the published field numbers
//! (jito-labs/mev-protos at 46ead86: `shredstream.proto`, `shared.proto`, `auth.proto`), not with anything generated.
#![allow(clippy::unwrap_used)]

use jito_auth::proto::auth;
use prost::Message;
use shredstream_client::proto::{shared, shredstream};

#[track_caller]
fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: M, expect: &[u8]) {
    assert_eq!(message.encode_to_vec(), expect);
    assert_eq!(M::decode(expect).unwrap(), message);
}

#[test]
fn heartbeats() {
    let socket = shared::Socket {
        ip: "203.0.113.7".into(),
        port: 20_000,
    };
    // Field 1, length-delimited, 11 bytes; field 2, varint 20000 = 0x9c20 in groups of seven bits.
    let socket_bytes = b"\x0a\x0b203.0.113.7\x10\xa0\x9c\x01";
    check(socket.clone(), socket_bytes);
    // `port` is int64 on the wire: a negative one takes ten bytes, which tells it from sint64 and uint32.
    check(
        shared::Socket {
            ip: String::new(),
            port: -1,
        },
        b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    );
    check(
        shredstream::Heartbeat {
            socket: Some(socket),
            regions: vec!["ny".into(), "tokyo".into()],
        },
        b"\x0a\x11\x0a\x0b203.0.113.7\x10\xa0\x9c\x01\x12\x02ny\x12\x05tokyo",
    );
    check(
        shredstream::HeartbeatResponse { ttl_ms: u32::MAX },
        b"\x08\xff\xff\xff\xff\x0f",
    );
}

#[test]
fn authentication() {
    check(
        auth::GenerateAuthChallengeRequest {
            role: auth::Role::ShredstreamSubscriber as i32,
            pubkey: vec![7; 3],
        },
        b"\x08\x03\x12\x03\x07\x07\x07",
    );
    check(
        auth::GenerateAuthChallengeResponse {
            challenge: "abc".into(),
        },
        b"\x0a\x03abc",
    );
    check(
        auth::GenerateAuthTokensRequest {
            challenge: "c".into(),
            client_pubkey: vec![1],
            signed_challenge: vec![2],
        },
        b"\x0a\x01c\x12\x01\x01\x1a\x01\x02",
    );
    let token = auth::Token {
        value: "t".into(),
        expires_at_utc: Some(prost_types::Timestamp {
            seconds: 5,
            nanos: 6,
        }),
    };
    let token_bytes = b"\x0a\x01t\x12\x04\x08\x05\x10\x06";
    check(token.clone(), token_bytes);
    check(
        auth::GenerateAuthTokensResponse {
            access_token: Some(token.clone()),
            refresh_token: Some(token.clone()),
        },
        &[
            b"\x0a\x09".as_slice(),
            token_bytes,
            b"\x12\x09",
            token_bytes,
        ]
        .concat(),
    );
    check(
        auth::RefreshAccessTokenRequest {
            refresh_token: "r".into(),
        },
        b"\x0a\x01r",
    );
    check(
        auth::RefreshAccessTokenResponse {
            access_token: Some(token),
        },
        &[b"\x0a\x09".as_slice(), token_bytes].concat(),
    );
}
