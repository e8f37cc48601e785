//! A real ZeroMQ peer over ipc: what is accepted, and each refusal by its reason.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use brain_bridge::{
    Answer, BrainState, Bridge, BridgeClient, BridgeError, ClientError, ProducerConfig, SharedKey,
    now,
};
use brain_wire::frame::Frame;
use brain_wire::{Family, NackReason, Side, Signal, SignalFlags};
use support::{CAP_LAMPORTS, PATIENCE, Rig, acked, buy, nacked};

#[test]
fn a_signal_is_in_the_ring_before_it_is_acknowledged() {
    let mut rig = Rig::new();
    rig.shared.current_slot.store(900, Relaxed);
    let mut client = rig.client();
    assert_eq!(client.hello().current_slot, 900);
    assert_eq!(client.hello().max_notional_lamports, CAP_LAMPORTS);
    let asked = Signal {
        as_of_slot: 900,
        max_notional_lamports: 3 * CAP_LAMPORTS,
        ..buy()
    };
    let before = now();
    let reply = acked(client.send(&asked).unwrap());
    let armed = rig.ring.pop().unwrap();
    assert_eq!((reply.head.seq, reply.signal_id), (1, asked.signal_id));
    assert_eq!(reply.max_notional_lamports, CAP_LAMPORTS);
    assert_eq!(reply.expires_monotonic_ns, armed.expires_monotonic_ns);
    assert_eq!((armed.signal.mint, armed.signal.seq), (asked.mint, 1));
    assert_eq!(armed.signal.max_notional_lamports, 3 * CAP_LAMPORTS);
    assert_eq!(armed.max_notional_lamports, CAP_LAMPORTS);
    assert!(armed.expires_monotonic_ns >= before.monotonic_ns + 2_000_000_000);
    assert!(armed.expires_monotonic_ns <= now().monotonic_ns + 2_000_000_000);
    let stats = &rig.shared.stats;
    assert_eq!(
        (
            stats.signal_accepted.load(Relaxed),
            stats.signal_clamped.load(Relaxed)
        ),
        (1, 1)
    );
}

#[test]
fn socket_and_directory_are_ours_alone() {
    let rig = Rig::new();
    let mode = |name: &str| fs::metadata(rig.dir.path().join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("run"), mode("run/signal.ipc")), (0o700, 0o600));
    assert_eq!(mode("bridge.epoch"), 0o600);
}

#[test]
fn an_open_directory_or_a_second_executor_is_refused_at_start() {
    let rig = Rig::new();
    let spawn = |config| {
        let (ring, _keep) = rtrb::RingBuffer::new(1);
        Bridge::spawn(config, ring, Arc::default())
            .map(drop)
            .unwrap_err()
    };
    assert!(matches!(
        spawn(rig.config.clone()),
        BridgeError::AlreadyRunning(_)
    ));
    let open = rig.dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o750)).unwrap();
    let mut config = rig.config.clone();
    config.endpoint = format!("ipc://{}/signal.ipc", open.display());
    let error = spawn(config);
    assert!(error.to_string().contains("chmod 700"), "{error}");
    acked(rig.client().send(&buy()).unwrap());
}

/// Sends one altered signal and expects the reason, its counter and an untouched ring; then an
/// honest signal of the same session must still pass.
#[track_caller]
fn check(change: impl FnOnce(&mut Signal), expect: NackReason) {
    let mut rig = Rig::new();
    rig.shared.current_slot.store(1_000, Relaxed);
    let mut client = rig.client();
    let honest = || Signal {
        as_of_slot: 1_000,
        ..buy()
    };
    let mut signal = honest();
    change(&mut signal);
    nacked(client.send(&signal).unwrap(), expect);
    assert_eq!(rig.refused(expect), 1);
    assert!(rig.ring.pop().is_err());
    acked(client.send(&honest()).unwrap());
    assert!(rig.ring.pop().is_ok());
}

#[test]
fn each_content_rule_is_refused_by_its_reason() {
    check(|s| s.family = Family::Social, NackReason::FamilyNotAllowed);
    check(|s| s.confidence_ppm = 699_999, NackReason::ConfidenceTooLow);
    check(
        |s| s.conviction_ppm = 1_000_001,
        NackReason::ConvictionOutOfRange,
    );
    check(|s| s.max_notional_lamports = 0, NackReason::NotionalZero);
    check(|s| s.side = Side::None, NackReason::FlagsContradict);
    check(|s| s.flags = SignalFlags(0x8008), NackReason::UnknownFlags);
    check(|s| s.signal_id = 0, NackReason::SignalIdZero);
    check(|s| s.ttl_us = 5_000_001, NackReason::TtlTooLong);
    check(
        |s| s.t_event_ns += 60_000_000_000,
        NackReason::EventInFuture,
    );
    check(|s| s.as_of_slot = 967, NackReason::SlotTooOld);
    check(|s| s.as_of_slot = 1_009, NackReason::SlotInFuture);
}

#[test]
fn expired_forged_repeated_and_misaddressed_frames_are_refused() {
    let mut rig = Rig::new();
    let mut client = rig.client();

    let mut expired = client.seal(&buy());
    expired.t_send_ns -= 2_000_000_000;
    let expired = client.reseal(expired);
    nacked(
        client.exchange(expired.as_bytes()).unwrap(),
        NackReason::Expired,
    );

    let mut forged = client.seal(&buy());
    forged.max_notional_lamports += 1;
    nacked(
        client.exchange(forged.as_bytes()).unwrap(),
        NackReason::BadMac,
    );

    let good = client.seal(&buy());
    acked(client.exchange(good.as_bytes()).unwrap());
    nacked(
        client.exchange(good.as_bytes()).unwrap(),
        NackReason::Replay,
    );

    let again = Signal {
        signal_id: good.signal_id,
        ..buy()
    };
    nacked(client.send(&again).unwrap(), NackReason::DuplicateSignal);

    let mut other = client.seal(&buy());
    other.head.session_epoch += 1;
    let other = client.reseal(other);
    nacked(
        client.exchange(other.as_bytes()).unwrap(),
        NackReason::WrongSession,
    );

    let mut nobody = client.seal(&buy());
    nobody.head.producer_id = 9;
    let nobody = client.reseal(nobody);
    nacked(
        client.exchange(nobody.as_bytes()).unwrap(),
        NackReason::UnknownProducer,
    );

    let older = Signal {
        t_event_ns: buy().t_event_ns - 2_100_000_000,
        ..buy()
    };
    nacked(client.send(&older).unwrap(), NackReason::TimeTravel);

    assert_eq!(rig.ring.pop().unwrap().signal.signal_id, good.signal_id);
    assert!(
        rig.ring.pop().is_err(),
        "only the one good signal was armed"
    );
}

#[test]
fn malformed_messages_are_refused_by_reason_and_huge_ones_cost_only_their_sender() {
    let rig = Rig::new();
    let mut client = rig.client();
    let good = client.seal(&buy());
    let padded = |len: usize| {
        let mut bytes = good.as_bytes().to_vec();
        bytes.resize(len, 0);
        bytes
    };
    nacked(
        client.exchange(&padded(600)).unwrap(),
        NackReason::Oversized,
    );
    nacked(
        client.exchange(&padded(4_096)).unwrap(),
        NackReason::Oversized,
    );
    nacked(
        client.exchange(&padded(161)).unwrap(),
        NackReason::BadLength,
    );
    nacked(
        client.exchange(&padded(159)).unwrap(),
        NackReason::Truncated,
    );
    nacked(client.exchange(b"").unwrap(), NackReason::Truncated);
    nacked(
        client.exchange(b"{\"side\":\"buy\"}").unwrap(),
        NackReason::JsonNotSupported,
    );
    let mut ours = good;
    ours.head.template_id = 5;
    nacked(
        client.exchange(ours.as_bytes()).unwrap(),
        NackReason::WrongDirection,
    );

    let stranger = rig.stranger();
    stranger
        .send_multipart([good.as_bytes(), b"attachment"], 0)
        .unwrap();
    assert_eq!(
        stranger.recv_bytes(0).unwrap()[96],
        NackReason::ExtraFrame as u8
    );
    let huge = rig.stranger();
    huge.send(vec![b'x'; 5_000], 0).unwrap();
    huge.set_rcvtimeo(100).unwrap();
    assert!(
        huge.recv_bytes(0).is_err(),
        "libzmq cuts the connection; nobody is there to answer"
    );
    acked(client.exchange(good.as_bytes()).unwrap());
}

#[test]
fn a_frame_without_hello_is_told_so_and_a_wrong_key_gets_no_session() {
    let rig = Rig::new();
    let frame = rig.client().seal(&buy());
    let stranger = rig.stranger();
    stranger.send(frame.as_bytes(), 0).unwrap();
    assert_eq!(
        stranger.recv_bytes(0).unwrap()[96],
        NackReason::NoSession as u8
    );

    let hello = |producer, key: &SharedKey| {
        let refused = BridgeClient::connect(&rig.config.endpoint, producer, key, PATIENCE);
        match refused.map(drop).unwrap_err() {
            ClientError::HelloRefused(reason, _) => reason.unwrap(),
            other => panic!("{other}"),
        }
    };
    assert_eq!(
        hello(1, &SharedKey::from_bytes([1; 32])),
        NackReason::BadMac
    );
    assert_eq!(hello(2, &rig.key), NackReason::UnknownProducer);
}

#[test]
fn the_rate_is_limited_and_a_lasting_flood_is_quarantined() {
    let rig = Rig::with(256, |config| {
        config.producers[0].rate_per_second = 1;
        config.producers[0].rate_burst = 3;
        config.garbage_window_ms = 5_000;
    });
    let mut client = rig.client();
    for _ in 0..3 {
        acked(client.send(&buy()).unwrap());
    }
    let mut reasons = Vec::new();
    // Refusals at twice the rate for the window: here five of them.
    while reasons.last() != Some(&NackReason::Quarantined) && reasons.len() < 20 {
        if let Answer::Nack { reason, .. } = client.send(&buy()).unwrap() {
            reasons.push(reason.unwrap());
        }
    }
    assert_eq!(reasons[..5], [NackReason::RateLimited; 5]);
    assert_eq!(reasons[5..], [NackReason::Quarantined]);
    assert_eq!(rig.shared.stats.producer_quarantined.load(Relaxed), 1);
    let again = BridgeClient::connect(&rig.config.endpoint, 1, &rig.key, PATIENCE);
    let Err(ClientError::HelloRefused(Some(reason), reply)) = again else {
        panic!()
    };
    assert_eq!(
        reason,
        NackReason::Quarantined,
        "a new connection does not help"
    );
    assert!((1..=300_000).contains(&reply.retry_after_ms));
}

#[test]
fn garbage_is_quarantined_and_time_ends_it() {
    let rig = Rig::with(256, |config| config.quarantine_ms = 1_000);
    let mut client = rig.client();
    let mut honest = BridgeClient::connect(&rig.config.endpoint, 1, &rig.key, PATIENCE).unwrap();
    for _ in 0..20 {
        nacked_any(client.exchange(b"garbage").unwrap(), NackReason::Truncated);
    }
    // The connection had not proven its key, so the producer is not to blame.
    nacked_any(client.send(&buy()).unwrap(), NackReason::Quarantined);
    acked(honest.send(&buy()).unwrap());
    std::thread::sleep(Duration::from_millis(1_100));
    // Its handshake is older than the session that now stands.
    nacked_any(client.send(&buy()).unwrap(), NackReason::WrongSession);

    for _ in 0..20 {
        nacked_any(honest.exchange(b"garbage").unwrap(), NackReason::Truncated);
    }
    let again = BridgeClient::connect(&rig.config.endpoint, 1, &rig.key, PATIENCE);
    assert!(matches!(
        again,
        Err(ClientError::HelloRefused(Some(NackReason::Quarantined), _))
    ));
    std::thread::sleep(Duration::from_millis(1_100));
    acked(rig.client().send(&buy()).unwrap());
    assert_eq!(rig.shared.stats.peer_quarantined.load(Relaxed), 2);
    assert_eq!(rig.shared.stats.producer_quarantined.load(Relaxed), 1);
}

#[track_caller]
fn nacked_any(answer: Answer, expect: NackReason) {
    let Answer::Nack { reason, .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(reason, Some(expect));
}

#[test]
fn a_full_ring_is_reported_and_the_same_signal_may_be_tried_again() {
    let mut rig = Rig::with(2, |_| ());
    let mut client = rig.client();
    acked(client.send(&buy()).unwrap());
    assert_eq!(acked(client.send(&buy()).unwrap()).ring_free_count, 0);
    let third = buy();
    nacked(client.send(&third).unwrap(), NackReason::QueueFull);
    rig.ring.pop().unwrap();
    acked(client.send(&third).unwrap());
    nacked(client.send(&third).unwrap(), NackReason::DuplicateSignal);
}

#[test]
fn a_core_that_is_gone_is_reported() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    rig.ring = rtrb::RingBuffer::new(1).1;
    nacked(client.send(&buy()).unwrap(), NackReason::ExecutorStopped);
}

#[test]
fn a_test_signal_is_checked_but_not_armed() {
    let mut rig = Rig::new();
    let flags = SignalFlags::SAME_HOST_CLOCK.with(SignalFlags::TEST);
    acked(rig.client().send(&Signal { flags, ..buy() }).unwrap());
    assert!(rig.ring.pop().is_err());
    assert_eq!(rig.shared.stats.signal_tested.load(Relaxed), 1);
}

#[test]
fn a_newer_session_replaces_the_older_one_only_once_it_is_proven() {
    let rig = Rig::new();
    let mut first = rig.client();
    acked(first.send(&buy()).unwrap());
    let mut second = rig.client();
    acked(first.send(&buy()).unwrap());
    acked(second.send(&buy()).unwrap());
    nacked_any(first.send(&buy()).unwrap(), NackReason::NoSession);
    assert_eq!(rig.shared.stats.session_replaced.load(Relaxed), 1);
}

/// Goal: whatever was recorded before a restart is worthless after it.
/// Method: record Hello and signals as bytes, restart the bridge on the same files, play them back
/// from a fresh connection within the signals' time to live.
#[test]
fn a_recorded_session_is_refused_after_a_restart() {
    let mut rig = Rig::new();
    let mut client = rig.client();
    let old_epoch = client.hello().head.session_epoch;
    let sent = client.seal(&buy());
    let kept = client.seal(&buy());
    acked(client.exchange(sent.as_bytes()).unwrap());
    rig.restart();

    let player = rig.stranger();
    let play = |bytes: &[u8]| {
        player.send(bytes, 0).unwrap();
        let answer = player.recv_bytes(0).unwrap();
        NackReason::from_byte(answer[96])
    };
    assert_eq!(play(sent.as_bytes()), Some(NackReason::NoSession));
    assert_eq!(play(kept.as_bytes()), Some(NackReason::NoSession));
    // The old client's own connection comes back by itself; its session does not.
    nacked_any(
        client.exchange(kept.as_bytes()).unwrap(),
        NackReason::NoSession,
    );

    let mut fresh = rig.client();
    assert!(fresh.hello().head.session_epoch > old_epoch);
    nacked(
        fresh.exchange(kept.as_bytes()).unwrap(),
        NackReason::WrongSession,
    );
    acked(fresh.send(&buy()).unwrap());
    assert_eq!(rig.ring.slots(), 1);
}

/// A recorded Hello opens no session: its player cannot answer the challenge, and the session
/// that stands is not disturbed.
#[test]
fn a_recorded_hello_does_not_disturb_the_session() {
    use brain_wire::{Head, HelloFrame, HelloKey, Template};
    let rig = Rig::new();
    let mut client = rig.client();
    acked(client.send(&buy()).unwrap());
    let key_text = fs::read_to_string(rig.dir.path().join("brain.key")).unwrap();
    let mut shared = [0; 32];
    for (at, byte) in shared.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&key_text[2 * at..2 * at + 2], 16).unwrap();
    }
    let hello = HelloFrame {
        head: Head::new(Template::Hello, 1, 0, 0),
        t_event_ns: 0,
        t_send_ns: 0,
        nonce: [3; 16],
        version_min: 1,
        version_max: 1,
        reserved: [0; 76],
        mac: [0; 16],
    }
    .sealed(&HelloKey::derive(&shared, 1).0);
    let player = rig.stranger();
    let mut challenges = Vec::new();
    for _ in 0..3 {
        player.send(hello.as_bytes(), 0).unwrap();
        let ack = player.recv_bytes(0).unwrap();
        assert_eq!(ack[6], Template::HelloAck as u8);
        challenges.push(ack[64..96].to_vec());
    }
    challenges.dedup();
    assert_eq!(challenges.len(), 3, "every challenge is new");
    // Guessing a MAC in the pending session is garbage, not proof.
    let mut guess = client.seal(&buy());
    guess.head.session_epoch += 3;
    player.send(guess.as_bytes(), 0).unwrap();
    player.recv_bytes(0).unwrap();
    acked(client.send(&buy()).unwrap());
    let stats = &rig.shared.stats;
    assert_eq!(
        (
            stats.session_opened.load(Relaxed),
            stats.session_replaced.load(Relaxed)
        ),
        (1, 0)
    );
}

#[test]
fn both_keys_are_valid_during_a_rotation() {
    let rig = Rig::with(8, |config| {
        let directory = config.epoch_file.parent().unwrap().to_owned();
        SharedKey::generate(&directory.join("new.key")).unwrap();
        let old = std::mem::replace(&mut config.producers[0].key_file, directory.join("new.key"));
        config.producers[0].key_file_previous = Some(old);
        let other = ProducerConfig::new(2, directory.join("new.key"), &[Family::Risk], 1);
        config.producers.push(other);
    });
    acked(rig.client().send(&buy()).unwrap());
    let new = SharedKey::load(&rig.dir.path().join("new.key")).unwrap();
    let mut client = BridgeClient::connect(&rig.config.endpoint, 1, &new, PATIENCE).unwrap();
    acked(client.send(&buy()).unwrap());
    // Another producer with its own families, at the same time.
    let mut guardian = BridgeClient::connect(&rig.config.endpoint, 2, &new, PATIENCE).unwrap();
    nacked(guardian.send(&buy()).unwrap(), NackReason::FamilyNotAllowed);
    let flags = SignalFlags::SAME_HOST_CLOCK.with(SignalFlags::VETO);
    let veto = Signal {
        flags,
        side: Side::None,
        family: Family::Risk,
        confidence_ppm: 0,
        ..buy()
    };
    acked(guardian.send(&veto).unwrap());
    acked(client.send(&buy()).unwrap());
}

#[test]
fn heartbeats_make_the_brain_live_and_their_absence_makes_it_stale() {
    let rig = Rig::with(8, |config| config.heartbeat_timeout_ms = 1_000);
    let state = || rig.shared.brain_state(now().monotonic_ns);
    assert_eq!(state(), BrainState::Absent);
    let mut client = rig.client();
    for _ in 0..7 {
        let pong = acked(client.heartbeat().unwrap());
        assert!(pong.t_receive_ns >= pong.echo_t_send_ns);
        assert_ne!(state(), BrainState::Live);
    }
    assert_eq!(state(), BrainState::Recovering);
    client.heartbeat().unwrap();
    assert_eq!(state(), BrainState::Live);
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(state(), BrainState::Stale);
    client.heartbeat().unwrap();
    assert_eq!(
        state(),
        BrainState::Recovering,
        "one heartbeat after a silence is not enough"
    );
}

/// Goal: noise from many connections stops nobody else.
#[test]
fn two_hundred_connections_of_random_bytes_do_not_stop_the_bridge() {
    let rig = Rig::new();
    let mut client = rig.client();
    acked(client.send(&buy()).unwrap());
    let context = zmq::Context::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut sockets = Vec::new();
    for _ in 0..200 {
        let socket = context.socket(zmq::DEALER).unwrap();
        socket.set_linger(0).unwrap();
        socket.connect(&rig.config.endpoint).unwrap();
        for _ in 0..30 {
            let len = random() as usize % 700;
            let mut bytes: Vec<u8> = (0..len).map(|_| random() as u8).collect();
            if random() % 2 == 0 && bytes.len() >= 160 {
                let head = [
                    b'S',
                    b'G',
                    b'B',
                    b'1',
                    len as u8,
                    (len >> 8) as u8,
                    (random() % 8) as u8,
                    0,
                    1,
                    0,
                    1,
                    0,
                ];
                bytes[..12].copy_from_slice(&head);
            }
            let _ = socket.send(bytes, zmq::DONTWAIT);
        }
        sockets.push(socket);
    }
    // Connections that do not even speak ZMTP.
    for _ in 0..20 {
        use std::io::Write;
        let path = rig.config.endpoint.strip_prefix("ipc://").unwrap();
        let mut raw = std::os::unix::net::UnixStream::connect(path).unwrap();
        let noise: Vec<u8> = (0..512).map(|_| random() as u8).collect();
        let _ = raw.write_all(&noise);
    }
    for _ in 0..50 {
        acked(client.send(&buy()).unwrap());
    }
    let refused: u64 = rig.shared.stats.refusals().map(|(_, count)| count).sum();
    assert!(refused > 1_000, "{refused}");
    assert_eq!(rig.shared.stats.signal_accepted.load(Relaxed), 51);
    assert!(rig.handle.as_ref().unwrap().is_running());
}

#[test]
fn the_stop_flag_ends_the_thread() {
    let mut rig = Rig::new();
    rig.shared.stop.store(true, Relaxed);
    let handle = rig.handle.take().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!handle.is_running());
    handle.stop().unwrap();
}

/// Prints the round trip; asserts only that it is not absurd, because the machine may be busy.
#[test]
fn round_trip_is_measured() {
    let mut rig = Rig::with(256, |config| {
        (
            config.producers[0].rate_per_second,
            config.producers[0].rate_burst,
        ) = (1_000_000, 100_000);
    });
    let mut client = rig.client();
    let mut round_trip = hdrhistogram::Histogram::<u64>::new(3).unwrap();
    let mut to_bridge = hdrhistogram::Histogram::<u64>::new(3).unwrap();
    for turn in 0..4_000 {
        let sent_ns = now().monotonic_ns;
        acked(client.send(&buy()).unwrap());
        let done_ns = now().monotonic_ns;
        let armed = rig.ring.pop().unwrap();
        if turn >= 500 {
            round_trip.record(done_ns - sent_ns).unwrap();
            to_bridge
                .record(armed.accepted_monotonic_ns - armed.signal.t_send_ns)
                .unwrap();
        }
    }
    for (name, figure) in [
        ("round trip", &round_trip),
        ("sent to read by the bridge", &to_bridge),
    ] {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| figure.value_at_quantile(q) / 1_000);
        println!(
            "{name}: p50 {p50} us, p99 {p99} us, p99.9 {p999} us, max {} us, n {}",
            figure.max() / 1_000,
            figure.len()
        );
    }
    assert!(round_trip.value_at_quantile(0.5) < 50_000_000);
}
