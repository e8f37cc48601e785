//! The block engine lane against an engine over loopback gRPC, and against none.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bundle::BundleCell;
use jito_searcher_client::BundleId;
use jito_searcher_client::proto::bundle as wire;
use jito_searcher_client::proto::bundle::bundle_result::Result as Kind;
use jito_searcher_client::proto::bundle::rejected::Reason as WireReason;
use shred_wire::{Nanos, Slot};
use submit::{BlockEngineConfig, BlockEngineLane, Idle, Lane, LaneId, LaneReject, Outcome, Reason};
use support::{Answer, Cells, Engine, clock, reports, wait};

fn lane(config: BlockEngineConfig) -> BlockEngineLane {
    BlockEngineLane::start(LaneId(3), config, clock(), || {}).unwrap()
}

fn connected(engine: &Engine) -> BlockEngineLane {
    let lane = lane(BlockEngineConfig::new(engine.endpoint()));
    wait(|| lane.status().subscribed);
    lane
}

fn id_of(cell: &BundleCell) -> String {
    BundleId::of_signatures((0..cell.count()).map(|index| cell.signature(index).unwrap()))
        .to_string()
}

fn outcomes(lane: &mut BlockEngineLane, count: usize) -> Vec<Outcome> {
    reports(lane, count)
        .iter()
        .map(|report| report.outcome)
        .collect()
}

#[test]
fn a_bundle_is_followed_from_the_socket_to_its_finality() {
    let engine = Engine::start("127.0.0.1:0");
    let (mut lane, mut cells) = (connected(&engine), Cells::new());
    let cell = cells.bundle();
    let before = clock()();
    lane.send(&cell).unwrap();
    let sent = reports(&mut lane, 2);
    let bytes: Vec<Vec<u8>> = cell.transactions().map(<[u8]>::to_vec).collect();
    assert_eq!(engine.received.recv().unwrap(), bytes);
    assert_eq!(
        [sent[0].outcome, sent[1].outcome],
        [Outcome::HandedOver, Outcome::Acknowledged]
    );
    assert!(Nanos(0) < before && sent[0].at <= sent[1].at, "{sent:?}");
    for report in &sent {
        assert_eq!(
            (report.lane, report.intent_id, report.signature),
            (LaneId(3), cell.intent_id, cell.signature)
        );
    }

    let id = id_of(&cell);
    engine.say(
        &id,
        Kind::Accepted(wire::Accepted {
            slot: 8,
            ..Default::default()
        }),
    );
    engine.say(
        &id,
        Kind::Accepted(wire::Accepted {
            slot: 8,
            ..Default::default()
        }),
    );
    engine.say("somebody else's", Kind::Finalized(wire::Finalized {}));
    engine.say(
        &id,
        Kind::Processed(wire::Processed {
            slot: 9,
            ..Default::default()
        }),
    );
    assert_eq!(
        outcomes(&mut lane, 2),
        [
            Outcome::Accepted { slot: Slot(8) },
            Outcome::Processed { slot: Slot(9) }
        ]
    );
    assert_eq!(lane.in_flight_count(), 1);
    engine.say(&id, Kind::Finalized(wire::Finalized {}));
    assert_eq!(outcomes(&mut lane, 1), [Outcome::Finalized]);
    assert_eq!(lane.in_flight_count(), 0);
    assert_eq!(lane.status().result_unmatched_count, 2);
}

#[test]
fn every_no_of_the_engine_has_its_reason() {
    let engine = Engine::start("127.0.0.1:0");
    let (mut lane, mut cells) = (connected(&engine), Cells::new());
    let rejected = |reason| {
        Kind::Rejected(wire::Rejected {
            reason: Some(reason),
        })
    };
    let dropped = |reason: wire::DroppedReason| {
        Kind::Dropped(wire::Dropped {
            reason: reason.into(),
        })
    };
    let cases = [
        (
            rejected(WireReason::StateAuctionBidRejected(Default::default())),
            Outcome::Rejected(Reason::StateBidRejected),
        ),
        (
            rejected(WireReason::WinningBatchBidRejected(Default::default())),
            Outcome::Rejected(Reason::BatchBidRejected),
        ),
        (
            rejected(WireReason::SimulationFailure(Default::default())),
            Outcome::Rejected(Reason::SimulationFailed),
        ),
        (
            rejected(WireReason::InternalError(Default::default())),
            Outcome::Rejected(Reason::InternalError),
        ),
        (
            rejected(WireReason::DroppedBundle(Default::default())),
            Outcome::Rejected(Reason::DroppedByEngine),
        ),
        (
            dropped(wire::DroppedReason::BlockhashExpired),
            Outcome::Dropped(Reason::BlockhashExpired),
        ),
        (
            dropped(wire::DroppedReason::PartiallyProcessed),
            Outcome::Dropped(Reason::PartiallyProcessed),
        ),
        (
            dropped(wire::DroppedReason::NotFinalized),
            Outcome::Dropped(Reason::NotFinalized),
        ),
    ];
    for (kind, expect) in cases {
        let cell = cells.bundle();
        lane.send(&cell).unwrap();
        outcomes(&mut lane, 2);
        engine.say(&id_of(&cell), kind);
        assert_eq!(outcomes(&mut lane, 1), [expect]);
        assert_eq!(lane.in_flight_count(), 0);
    }
}

#[test]
fn every_status_has_its_reason() {
    use tonic::Code;
    let engine = Engine::start("127.0.0.1:0");
    let (mut lane, mut cells) = (connected(&engine), Cells::new());
    for (code, expect) in [
        (Code::InvalidArgument, Outcome::Rejected(Reason::Refused)),
        (
            Code::ResourceExhausted,
            Outcome::Rejected(Reason::RateLimited),
        ),
        (
            Code::Unauthenticated,
            Outcome::Rejected(Reason::NotAuthenticated),
        ),
        // The engine has it already: as good as taken.
        (Code::AlreadyExists, Outcome::Acknowledged),
        (Code::Internal, Outcome::Unknown(Reason::Protocol)),
        (Code::Unavailable, Outcome::Unknown(Reason::Unreachable)),
    ] {
        engine.answer(Answer::Refuse(code));
        lane.send(&cells.bundle()).unwrap();
        assert_eq!(
            outcomes(&mut lane, 2),
            [Outcome::HandedOver, expect],
            "{code:?}"
        );
    }
}

#[test]
fn a_dead_engine_is_unreachable_and_comes_back() {
    let engine = Engine::start("127.0.0.1:0");
    let (mut lane, mut cells) = (connected(&engine), Cells::new());
    let address = engine.address.to_string();
    drop(engine);
    wait(|| !lane.status().subscribed);
    for _ in 0..3 {
        lane.send(&cells.bundle()).unwrap();
        // Nothing left this machine, so this is no "unknown".
        assert_eq!(
            outcomes(&mut lane, 1),
            [Outcome::Rejected(Reason::Unreachable)]
        );
    }
    assert_eq!(lane.in_flight_count(), 0);
    assert!(lane.status().interruption_count > 0);

    let engine = Engine::start(&address);
    wait(|| lane.status().subscribed);
    let cell = cells.bundle();
    lane.send(&cell).unwrap();
    assert_eq!(
        outcomes(&mut lane, 2),
        [Outcome::HandedOver, Outcome::Acknowledged]
    );
    engine.say(&id_of(&cell), Kind::Finalized(wire::Finalized {}));
    assert_eq!(outcomes(&mut lane, 1), [Outcome::Finalized]);
}

#[test]
fn nobody_ever_there_is_unreachable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (mut lane, mut cells) = (
        lane(BlockEngineConfig::new(format!("http://{free}"))),
        Cells::new(),
    );
    lane.send(&cells.bundle()).unwrap();
    assert_eq!(
        outcomes(&mut lane, 1),
        [Outcome::Rejected(Reason::Unreachable)]
    );
}

#[test]
fn an_engine_that_dies_with_the_bundle_leaves_it_unknown() {
    let engine = Engine::start("127.0.0.1:0");
    let (mut lane, mut cells) = (connected(&engine), Cells::new());
    engine.answer(Answer::Silence);
    lane.send(&cells.bundle()).unwrap();
    engine.received.recv().unwrap();
    drop(engine);
    assert_eq!(
        outcomes(&mut lane, 2),
        [Outcome::HandedOver, Outcome::Unknown(Reason::Unreachable)]
    );
    assert_eq!(lane.in_flight_count(), 1, "its result may still come");
}

#[test]
fn silence_is_told_twice() {
    let engine = Engine::start("127.0.0.1:0");
    let mut config = BlockEngineConfig::new(engine.endpoint());
    config.connect.call_timeout = Duration::from_millis(50);
    config.result_timeout = Duration::from_millis(200);
    let (mut lane, mut cells) = (lane(config), Cells::new());
    engine.answer(Answer::Silence);
    lane.send(&cells.bundle()).unwrap();
    assert_eq!(
        outcomes(&mut lane, 3),
        [
            Outcome::HandedOver,
            Outcome::Unknown(Reason::NoAnswer),
            Outcome::Unknown(Reason::NoResult)
        ]
    );
    assert_eq!(lane.in_flight_count(), 0);
}

#[test]
fn the_lane_keeps_its_bounds() {
    let engine = Engine::start("127.0.0.1:0");
    let config = BlockEngineConfig {
        in_flight_max: 2,
        ..BlockEngineConfig::new(engine.endpoint())
    };
    let (mut lane, mut cells) = (lane(config), Cells::new());
    let cell = cells.bundle();
    lane.send(&cell).unwrap();
    assert_eq!(lane.send(&cell), Err(LaneReject::InFlight));
    lane.send(&cells.bundle()).unwrap();
    assert_eq!(lane.send(&cells.bundle()), Err(LaneReject::Full));
    assert_eq!(lane.send(&BundleCell::new()), Err(LaneReject::Full));
    outcomes(&mut lane, 4);
    engine.say(&id_of(&cell), Kind::Finalized(wire::Finalized {}));
    outcomes(&mut lane, 1);
    assert_eq!(lane.send(&BundleCell::new()), Err(LaneReject::BadCell));
    lane.send(&cells.bundle()).unwrap();
}

#[test]
fn a_spinning_lane_does_the_same() {
    let engine = Engine::start("127.0.0.1:0");
    let config = BlockEngineConfig {
        idle: Idle::Spin,
        ..BlockEngineConfig::new(engine.endpoint())
    };
    let (mut lane, mut cells) = (lane(config), Cells::new());
    wait(|| lane.status().subscribed);
    for _ in 0..20 {
        lane.send(&cells.bundle()).unwrap();
    }
    let all = outcomes(&mut lane, 40);
    assert_eq!(
        all.iter()
            .filter(|outcome| **outcome == Outcome::Acknowledged)
            .count(),
        20
    );
}

#[test]
fn an_endpoint_that_is_not_taken_is_an_error_at_the_start() {
    // Whether https is taken depends on how the client was built; its own tests tell.
    for endpoint in ["", "http://10.0.0.1:1", "nonsense"] {
        let started =
            BlockEngineLane::start(LaneId(0), BlockEngineConfig::new(endpoint), clock(), || {});
        assert_eq!(
            started.unwrap_err().kind(),
            std::io::ErrorKind::InvalidInput,
            "{endpoint}"
        );
    }
}
