//! Goal: our definitions put the same bytes on the wire as the published ones.
//! Method: every message is encoded and compared with bytes written by hand from the published field numbers
//! (jito-labs/mev-protos at 46ead86), not with anything generated. `key(number, kind)` is the only arithmetic.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jito_searcher_client::proto::{auth, bundle, packet, searcher, shared};
use prost::Message;
use prost::bytes::Bytes;

const VARINT: u8 = 0;
const LEN: u8 = 2;

fn key(number: u8, kind: u8) -> u8 {
    number << 3 | kind
}

/// A length-delimited field of at most 127 bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![key(number, LEN), u8::try_from(content.len()).unwrap()];
    assert!(content.len() < 128);
    bytes.extend_from_slice(content);
    bytes
}

/// A varint field of a value below 128.
fn small(number: u8, value: u8) -> Vec<u8> {
    assert!(value < 128);
    vec![key(number, VARINT), value]
}

fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

#[track_caller]
fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: M, expect: Vec<u8>) {
    assert_eq!(message.encode_to_vec(), expect);
    assert_eq!(M::decode(expect.as_slice()).unwrap(), message);
}

fn timestamp() -> (prost_types::Timestamp, Vec<u8>) {
    (
        prost_types::Timestamp {
            seconds: 5,
            nanos: 6,
        },
        join(&[small(1, 5), small(2, 6)]),
    )
}

fn packet() -> (packet::Packet, Vec<u8>) {
    let flags = packet::PacketFlags {
        discard: true,
        forwarded: true,
        repair: true,
        simple_vote_tx: true,
        tracer_packet: true,
        from_staked_node: true,
    };
    let flags_bytes = (1..=6)
        .flat_map(|number| small(number, 1))
        .collect::<Vec<_>>();
    let meta = packet::Meta {
        size: 3,
        addr: "a".into(),
        port: 9,
        flags: Some(flags),
        sender_stake: 7,
    };
    let meta_bytes = join(&[
        small(1, 3),
        field(2, b"a"),
        small(3, 9),
        field(4, &flags_bytes),
        small(5, 7),
    ]);
    let message = packet::Packet {
        data: Bytes::from_static(&[1, 2, 3]),
        meta: Some(meta),
    };
    (
        message,
        join(&[field(1, &[1, 2, 3]), field(2, &meta_bytes)]),
    )
}

fn whole_bundle() -> (bundle::Bundle, Vec<u8>) {
    let (ts, ts_bytes) = timestamp();
    let (packet, packet_bytes) = packet();
    let message = bundle::Bundle {
        header: Some(shared::Header { ts: Some(ts) }),
        packets: vec![packet.clone(), packet],
    };
    let bytes = join(&[
        field(2, &field(1, &ts_bytes)),
        field(3, &packet_bytes),
        field(3, &packet_bytes),
    ]);
    (message, bytes)
}

#[test]
fn packets_and_bundles() {
    let (ts, ts_bytes) = timestamp();
    check(shared::Header { ts: Some(ts) }, field(1, &ts_bytes));
    let (message, bytes) = packet();
    check(message, bytes);
    let (message, bytes) = whole_bundle();
    check(message.clone(), bytes.clone());
    check(
        bundle::BundleUuid {
            bundle: Some(message),
            uuid: "u".into(),
        },
        join(&[field(1, &bytes), field(2, b"u")]),
    );
}

#[test]
fn sending_and_asking() {
    let (message, bytes) = whole_bundle();
    check(
        searcher::SendBundleRequest {
            bundle: Some(message),
        },
        field(1, &bytes),
    );
    check(
        searcher::SendBundleResponse { uuid: "id".into() },
        field(1, b"id"),
    );
    check(
        searcher::NextScheduledLeaderRequest {
            regions: vec!["ny".into(), "slc".into()],
        },
        join(&[field(1, b"ny"), field(1, b"slc")]),
    );
    check(
        searcher::NextScheduledLeaderResponse {
            current_slot: 1,
            next_leader_slot: 2,
            next_leader_identity: "i".into(),
            next_leader_region: "r".into(),
        },
        join(&[small(1, 1), small(2, 2), field(3, b"i"), field(4, b"r")]),
    );
    check(
        searcher::GetTipAccountsResponse {
            accounts: vec!["a".into(), "b".into()],
        },
        join(&[field(1, b"a"), field(1, b"b")]),
    );
    check(
        searcher::GetRegionsResponse {
            current_region: "a".into(),
            available_regions: vec!["b".into()],
        },
        join(&[field(1, b"a"), field(2, b"b")]),
    );
    check(searcher::SubscribeBundleResultsRequest {}, vec![]);
    check(searcher::GetTipAccountsRequest {}, vec![]);
    check(searcher::GetRegionsRequest {}, vec![]);
    check(searcher::ConnectedLeadersRequest {}, vec![]);
}

#[test]
fn connected_leaders() {
    let slots = searcher::SlotList {
        slots: vec![1, 2, 100],
    };
    // Repeated numbers are packed in proto3.
    let slots_bytes = field(1, &[1, 2, 100]);
    check(slots.clone(), slots_bytes.clone());
    let leaders = searcher::ConnectedLeadersResponse {
        connected_validators: BTreeMap::from([("v".into(), slots)]),
    };
    let leaders_bytes = field(1, &join(&[field(1, b"v"), field(2, &slots_bytes)]));
    check(leaders.clone(), leaders_bytes.clone());
    check(
        searcher::ConnectedLeadersRegionedRequest {
            regions: vec!["ny".into()],
        },
        field(1, b"ny"),
    );
    check(
        searcher::ConnectedLeadersRegionedResponse {
            connected_validators: BTreeMap::from([("ny".into(), leaders)]),
        },
        field(1, &join(&[field(1, b"ny"), field(2, &leaders_bytes)])),
    );
}

#[test]
fn results() {
    use bundle::bundle_result::Result as Kind;
    use bundle::rejected::Reason;
    let result = |kind| bundle::BundleResult {
        bundle_id: "b".into(),
        result: Some(kind),
    };
    let expect = |number, content: &[u8]| join(&[field(1, b"b"), field(number, content)]);

    let accepted = bundle::Accepted {
        slot: 9,
        validator_identity: "v".into(),
    };
    check(
        result(Kind::Accepted(accepted)),
        expect(2, &join(&[small(1, 9), field(2, b"v")])),
    );
    check(
        result(Kind::Finalized(bundle::Finalized {})),
        expect(4, &[]),
    );
    let processed = bundle::Processed {
        validator_identity: "v".into(),
        slot: 9,
        bundle_index: 3,
    };
    check(
        result(Kind::Processed(processed)),
        expect(5, &join(&[field(1, b"v"), small(2, 9), small(3, 3)])),
    );
    for (reason, number) in [
        (bundle::DroppedReason::BlockhashExpired, vec![]),
        (bundle::DroppedReason::PartiallyProcessed, small(1, 1)),
        (bundle::DroppedReason::NotFinalized, small(1, 2)),
    ] {
        check(
            result(Kind::Dropped(bundle::Dropped {
                reason: reason.into(),
            })),
            expect(6, &number),
        );
    }

    let rejected = |reason| {
        result(Kind::Rejected(bundle::Rejected {
            reason: Some(reason),
        }))
    };
    let bid = join(&[field(1, b"a"), small(2, 8), field(3, b"m")]);
    let state = bundle::StateAuctionBidRejected {
        auction_id: "a".into(),
        simulated_bid_lamports: 8,
        msg: Some("m".into()),
    };
    check(
        rejected(Reason::StateAuctionBidRejected(state)),
        expect(3, &field(1, &bid)),
    );
    let batch = bundle::WinningBatchBidRejected {
        auction_id: "a".into(),
        simulated_bid_lamports: 8,
        msg: Some("m".into()),
    };
    check(
        rejected(Reason::WinningBatchBidRejected(batch)),
        expect(3, &field(2, &bid)),
    );
    let failure = bundle::SimulationFailure {
        tx_signature: "s".into(),
        msg: Some(String::new()),
    };
    // A present but empty optional text is written; that is what `optional` is for.
    check(
        rejected(Reason::SimulationFailure(failure)),
        expect(3, &field(3, &join(&[field(1, b"s"), field(2, b"")]))),
    );
    let internal = bundle::InternalError { msg: "m".into() };
    check(
        rejected(Reason::InternalError(internal)),
        expect(3, &field(4, &field(1, b"m"))),
    );
    let dropped = bundle::DroppedBundle { msg: "m".into() };
    check(
        rejected(Reason::DroppedBundle(dropped)),
        expect(3, &field(5, &field(1, b"m"))),
    );
}

#[test]
fn authentication() {
    let (ts, ts_bytes) = timestamp();
    for (role, number) in [
        (auth::Role::Relayer, vec![]),
        (auth::Role::Searcher, small(1, 1)),
        (auth::Role::Validator, small(1, 2)),
        (auth::Role::ShredstreamSubscriber, small(1, 3)),
    ] {
        check(
            auth::GenerateAuthChallengeRequest {
                role: role.into(),
                pubkey: vec![7; 32],
            },
            join(&[number, field(2, &[7; 32])]),
        );
    }
    check(
        auth::GenerateAuthChallengeResponse {
            challenge: "c".into(),
        },
        field(1, b"c"),
    );
    check(
        auth::GenerateAuthTokensRequest {
            challenge: "c".into(),
            client_pubkey: vec![7; 32],
            signed_challenge: vec![8; 64],
        },
        join(&[field(1, b"c"), field(2, &[7; 32]), field(3, &[8; 64])]),
    );
    let token = |value: &str| auth::Token {
        value: value.into(),
        expires_at_utc: Some(ts),
    };
    let token_bytes = |value: &[u8]| join(&[field(1, value), field(2, &ts_bytes)]);
    check(token("t"), token_bytes(b"t"));
    check(
        auth::GenerateAuthTokensResponse {
            access_token: Some(token("a")),
            refresh_token: Some(token("r")),
        },
        join(&[field(1, &token_bytes(b"a")), field(2, &token_bytes(b"r"))]),
    );
    check(
        auth::RefreshAccessTokenRequest {
            refresh_token: "r".into(),
        },
        field(1, b"r"),
    );
    check(
        auth::RefreshAccessTokenResponse {
            access_token: Some(token("a")),
        },
        field(1, &token_bytes(b"a")),
    );
}

/// Goal: packages, services and methods carry the published names, in both generated halves.
/// Method: the server half serves by the published path; the client half is asked to call it elsewhere
/// (`tests/calls.rs`), and an outside client by `tests/peers/grpc_block_engine.py`.
#[test]
fn service_names() {
    assert_eq!(
        searcher::searcher_service_server::SERVICE_NAME,
        "searcher.SearcherService"
    );
    assert_eq!(auth::auth_service_server::SERVICE_NAME, "auth.AuthService");
}
