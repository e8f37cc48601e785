//! One refusal per rule, and no text that panics.

#![allow(clippy::unwrap_used)]

use bundle::host::HostKind;
use proptest::prelude::*;

use super::*;

const KEY: &str = "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5";

fn host() -> Host {
    Host {
        cpus: vec![0, 1, 2, 3],
        runtime_dir: PathBuf::from("/run/overmind"),
        state_dir: PathBuf::from("/var/lib/overmind"),
        credentials_dir: Some(PathBuf::from("/run/credentials/overmind.service")),
        kind: HostKind::BareMetal,
    }
}

/// The lines of what `config check` would warn of.
#[track_caller]
fn warned(text: &str, host: &Host) -> Vec<String> {
    let (_, warnings) = Survey::of_text(text, "text", host).verdict().unwrap();
    let lines = |warnings: Problems| warnings.to_string().lines().map(str::to_owned).collect();
    warnings.map(lines).unwrap_or_default()
}

fn plan(text: &str) -> Result<Plan, ConfigError> {
    Config::parse(text, "text")?.plan(&host())
}

/// The message of the refusal that `text` must get.
#[track_caller]
fn refusal(text: &str) -> String {
    match plan(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

/// `text` must be refused with exactly one problem, which names field, value and fix.
#[track_caller]
fn refuses(text: &str, field: &str, value: &str) {
    match plan(text) {
        Err(ConfigError::Fields(errors)) => {
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert_eq!(
                (errors[0].field.as_str(), errors[0].value.as_str()),
                (field, value)
            );
            assert!(!errors[0].problem.is_empty() && !errors[0].fix.is_empty());
        }
        other => panic!("{text}\ngave {other:?}"),
    }
}

/// A value as a refusal shows it: of a URL no path and no user, and no text that ought to be one and may be a key.
fn shown(value: &str) -> String {
    match value {
        "\"engine:1\"" => "\"***\"".to_owned(),
        "\"http://127.0.0.1:1@10.0.0.1:2\"" => "\"http://10.0.0.1:2/***\"".to_owned(),
        _ => value.replace("/path", "/***"),
    }
}

#[test]
fn the_example_is_the_defaults_plus_one_source_and_its_leaders() {
    let example = Config::parse(Config::example(), "example").unwrap();
    let mut expected = Config::default();
    expected.ingest.leaders_file = Some(PathBuf::from("/etc/overmind/leaders.json"));
    let bind = "127.0.0.1:20000".parse().unwrap();
    expected.ingest.sources = vec![SourceConfig::new("local", bind)];
    assert_eq!(example, expected);
    assert_eq!(example.named_files(&host())[0].key, "ingest.leaders_file");
    let plan = example.plan(&host()).unwrap();
    assert_eq!(plan.mode, Mode::Paper);
    assert!(matches!(plan.submit, SubmitPlan::Paper));
    assert_eq!(plan.http, Some("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(plan.ingest.memory.frames_bytes, 8_192 * 2_048);
    assert!(plan.threads.split);
}

/// What nobody typed means what the rooms themselves would do.
#[test]
fn the_defaults_are_those_of_the_rooms() {
    let plan = Config::default().plan(&host()).unwrap();
    let engine = engine::EngineConfig::default();
    assert_eq!(format!("{:?}", plan.engine), format!("{engine:?}"));
    assert_eq!(plan.engine.check(), Ok(()));
    assert_eq!(
        format!("{:?}", plan.builder),
        format!("{:?}", bundle::BuilderConfig::default())
    );
    assert_eq!(
        format!("{:?}", plan.ingest.resolve),
        format!("{:?}", shred_resolve::Plan::default())
    );
    assert_eq!(plan.ingest.arena, shred_source::ArenaPlan::default());
    assert_eq!(plan.capture, shred_source::capture::CapturePlan::default());
}

/// A configuration in which every optional key is present.
fn full() -> Config {
    let mut config = Config::parse(Config::example(), "example").unwrap();
    config.ingest.shred_version = Some(50_093);
    config.ingest.sources_log = Some(PathBuf::from("/var/lib/overmind/sources.jsonl"));
    config.market.lookup_tables = Some(PathBuf::from("/etc/overmind/lookup-tables.json"));
    config.bundle.lookup_table = Some(KEY.to_owned());
    config.venues.rpc = Some("http://127.0.0.1:8899".to_owned());
    config.ingest.sources[0].cpu = Some(1);
    config.threads.core_cpu = Some(2);
    config.threads.submit_cpu = Some(3);
    config.threads.verify_cpu = Some(3);
    config.threads.signing_cpu = Some(3);
    config.bundle.entry_compute_unit_limit = Some(200_000);
    config.bundle.exit_compute_unit_limit = Some(150_000);
    config.ingest.sources[0].busy_poll_us = Some(50);
    config.ingest.sources[0].hardware_stamps = Some(true);
    config.ingest.sources[0].interface = Some("eth0".to_owned());
    let more = |name: &str, kind, bind: &str| SourceConfig {
        kind,
        ..SourceConfig::new(name, bind.parse().unwrap())
    };
    config.ingest.sources.extend([
        SourceConfig {
            interface: Some("10.0.0.7".to_owned()),
            multicast_group: Some("239.1.1.1".parse().unwrap()),
            multicast_sender: Some("10.0.0.8".parse().unwrap()),
            ..more("ring", SourceKind::IoUring, "239.1.1.1:20001")
        },
        SourceConfig {
            interface: Some("eth1".to_owned()),
            queue: Some(3),
            mode: Some(XdpMode::Native),
            zero_copy: Some(ZeroCopy::Require),
            ..more("card", SourceKind::Xdp, "0.0.0.0:20002")
        },
        SourceConfig {
            identity_file: Some("credential:quic".to_owned()),
            peers: Some(vec![KEY.to_owned()]),
            alpn: Some(vec!["solana-turbine".to_owned()]),
            ..more("partner", SourceKind::Quic, "0.0.0.0:20003")
        },
    ]);
    config.shredstream = ShredstreamConfig {
        enabled: true,
        endpoint: Some("http://127.0.0.1:20200".to_owned()),
        auth_endpoint: Some("http://localhost:20201".to_owned()),
        regions: vec!["frankfurt".to_owned(), "amsterdam".to_owned()],
        announce: Some("203.0.113.7:20000".parse().unwrap()),
        source: Some("local".to_owned()),
        key_file: Some("/etc/overmind/keys/shredstream.json".to_owned()),
    };
    config.ingest.sources[0].redistributable = true;
    config.relay.destinations = vec!["10.0.0.9:20000".parse().unwrap()];
    config.relay.nodes = vec![NodeConfig {
        address: "203.0.113.7:20003".parse().unwrap(),
        identity: KEY.to_owned(),
    }];
    config.relay.identity_file = Some("credential:relay".to_owned());
    config.relay.nodes_cpu = Some(1);
    config.relay.entries.bind = Some("0.0.0.0:9999".parse().unwrap());
    config.relay.entries.allow = vec!["10.0.0.10".parse().unwrap()];
    config.relay.entries.token_file = Some("credential:entries-token".to_owned());
    config.strategy.creators_allow = vec![KEY.to_owned()];
    config.engine.dependent_sources = vec![[1, 2]];
    config.submit.lane = Lane::BlockEngine;
    config.submit.endpoint = Some("http://127.0.0.1:20100".to_owned());
    config.bridge.enabled = true;
    config.bridge.endpoint = Some("ipc:///run/overmind/signal.ipc".to_owned());
    config.bridge.epoch_file = Some(PathBuf::from("/var/lib/overmind/bridge.epoch"));
    config.bridge.producers = vec![ProducerConfig {
        id: 1,
        key_file: "credential:producer-1".to_owned(),
        key_file_previous: Some("/etc/overmind/keys/old".to_owned()),
        families: vec!["launch".to_owned()],
        max_notional_lamports: 50_000_000,
        rate_per_second: 500,
        rate_burst: 100,
    }];
    config.admin.socket = Some(PathBuf::from("/run/overmind/admin.sock"));
    config.admin.kill_file = Some(PathBuf::from("/run/overmind/kill"));
    config
}

#[test]
fn what_is_shown_reads_back_the_same() {
    for config in [Config::default(), full()] {
        assert_eq!(Config::parse(&config.to_toml(), "shown").unwrap(), config);
    }
    let plan = full().plan(&host()).unwrap();
    assert_eq!(plan.engine.dependent_sources, [(1, 2)]);
    let key_file = &plan.bridge.unwrap().producers[0].key_file;
    assert_eq!(
        key_file,
        Path::new("/run/credentials/overmind.service/producer-1")
    );
}

#[test]
fn the_example_explains_every_key() {
    for line in full().to_toml().lines() {
        let key = line.split(" = ").next().unwrap();
        if line.contains(" = ") && !key.contains('"') {
            let explained = Config::example().lines().any(|line| {
                line.trim_start_matches("# ")
                    .starts_with(&format!("{key} = "))
            });
            assert!(explained, "{key} is not in the example");
        }
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_table() {
    for table in [
        "mode",
        "ingest",
        "venues",
        "shredstream",
        "threads",
        "strategy",
        "risk",
        "engine",
        "bundle",
        "signing",
        "submit",
        "bridge",
        "relay",
        "relay.entries",
        "admin",
        "http",
        "capture",
    ] {
        let message = refusal(&format!("[{table}]\nsurprise_key = 1\n"));
        assert!(
            message.starts_with("text:2:1: unknown field `surprise_key`"),
            "{message}"
        );
    }
    for text in [
        "surprise = 1",
        "[[ingest.sources]]\nname = \"a\"\nbind = \"127.0.0.1:1\"\nsurprise = 1",
        "[[bridge.producers]]\nid = 1\nkey_file = \"/k\"\nsurprise = 1",
        "[[relay.nodes]]\naddress = \"10.0.0.1:1\"\nsurprise = 1",
    ] {
        assert!(refusal(text).contains("unknown field `surprise`"), "{text}");
    }
}

#[test]
fn a_misspelt_key_or_word_is_answered_with_the_nearest() {
    for (text, nearest) in [
        ("[strategy]\nbudget_lamport = 1", "budget_lamports"),
        ("[strategy]\ntakeprofit_bps = 1", "take_profit_bps"),
        ("[stategy]\n", "strategy"),
        (
            "[risk]\ntrade_notional_lamports = 5",
            "trade_notional_max_lamports",
        ),
        ("[http]\nallow-remote = true", "allow_remote"),
        ("[threads]\nidle = \"spinn\"", "spin"),
    ] {
        let message = refusal(text);
        assert!(
            message.ends_with(&format!("did you mean `{nearest}`?")),
            "{message}"
        );
    }
    assert!(refusal("zzzzzzzzzzzzzz = 1").ends_with("see `overmind config example`"));
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_place() {
    let message = refusal("[strategy]\nenabled = true\ntip_lamports = -5\n");
    assert!(message.starts_with("text:3:"), "{message}");
    for text in [
        "[http]\nbind = \"nowhere\"",
        "[threads]\npark_us = 1.5",
        "[risk]\nwindow_ms = \"1s\"",
        "[",
        "=",
    ] {
        assert!(
            matches!(plan(text), Err(ConfigError::Syntax { .. })),
            "{text}"
        );
    }
}

#[test]
fn every_bound_is_held_on_both_sides() {
    let sixty = 1_u64 << 60;
    for (section, key, low, high) in [
        ("ingest", "slots_behind", 4, 511),
        ("ingest", "slots_ahead", 1, 256),
        ("ingest", "resync_after_ms", 100, 600_000),
        ("ingest", "shreds_per_slot_max", 64, 32_768),
        ("ingest", "ticks_per_slot", 1, 1_024),
        ("ingest", "fec_sets_max", 64, 16_384),
        ("ingest", "fec_versions_max", 2_048, 1_048_576),
        ("ingest", "frames_per_source", 256, 1_048_576),
        ("ingest", "frame_len", 1_280, 9_216),
        ("ingest", "receive_buffer_bytes", 212_992, 1_073_741_824),
        ("threads", "park_us", 1, 10_000),
        ("threads", "core_cpu", 0, 3),
        ("threads", "submit_cpu", 0, 3),
        ("threads", "verify_cpu", 0, 3),
        ("threads", "signing_cpu", 0, 3),
        ("strategy", "dev_buy_min_lamports", 0, 5_000_000_000),
        ("strategy", "dev_buy_max_lamports", 100_000_000, sixty),
        ("strategy", "entry_slots_max", 0, 1_000),
        ("strategy", "budget_lamports", 1, 99_900_000),
        ("strategy", "entry_slippage_bps", 0, 9_999),
        ("strategy", "entry_move_max_bps", 0, 65_535),
        ("strategy", "exit_slippage_bps", 0, 9_999),
        ("strategy", "stop_slippage_bps", 0, 9_999),
        ("strategy", "exit_floor_bps", 0, 10_000),
        ("strategy", "take_profit_bps", 1, 65_535),
        ("strategy", "stop_loss_bps", 1, 10_000),
        ("strategy", "expiry_ms", 0, 86_400_000),
        ("strategy", "expiry_slots", 0, 1_000_000),
        ("strategy", "entry_tip_lamports", 1_000, 2_000_000),
        ("strategy", "exit_tip_lamports", 1_000, 2_000_000),
        (
            "risk",
            "trade_notional_max_lamports",
            50_100_000,
            500_000_000,
        ),
        ("risk", "open_notional_max_lamports", 100_000_000, sixty),
        ("risk", "open_positions_max", 1, 256),
        ("risk", "entries_per_window_max", 1, 4_096),
        ("risk", "exits_per_window_max", 1, 4_096),
        ("risk", "window_ms", 100, 86_400_000),
        ("risk", "tip_max_lamports", 100_000, 10_000_000_000),
        ("engine", "curves_max", 64, 1_048_576),
        ("engine", "pools_max", 64, 1_048_576),
        ("engine", "inflight_max", 10, 4_096),
        ("engine", "inflight_slots_max", 1, 10_000),
        ("engine", "armed_max", 1, 4_096),
        ("engine", "signal_slots_max", 0, 10_000),
        ("engine", "collision_window_ms", 0, 600_000),
        ("bundle", "entry_compute_unit_limit", 10_000, 1_400_000),
        ("bundle", "exit_compute_unit_limit", 10_000, 1_400_000),
        ("bundle", "priority_fee_lamports", 0, 1_000_000_000),
        ("bundle", "loaded_accounts_bytes_max", 1_048_576, 67_108_864),
        ("bundle", "tip_min_lamports", 1_000, 100_000),
        ("bundle", "coins_max", 16, 1_048_576),
        ("bundle", "priority_share_bps", 0, 10_000),
        ("bundle", "slot_guard_slots", 0, 150),
        ("bundle", "wallet_floor_lamports", 0, sixty),
        ("signing", "ladders_max", 1, 64),
        ("bundle", "blockhash_descendants_min", 0, 100),
        ("bundle", "blockhash_age_max_blocks", 2, 150),
        ("submit", "result_timeout_ms", 100, 600_000),
        ("submit", "in_flight_max", 1, 4_096),
        ("bridge", "ttl_max_us", 1, 60_000_000),
        ("bridge", "confidence_min_ppm", 0, 1_000_000),
        ("bridge", "slot_lag_max", 0, 10_000),
        ("bridge", "slot_lead_max", 0, 10_000),
        ("bridge", "heartbeat_timeout_ms", 10, 60_000),
        ("bridge", "garbage_max", 1, 1_000_000),
        ("bridge", "garbage_window_ms", 1, 3_600_000),
        ("bridge", "quarantine_ms", 1, 86_400_000),
        ("relay", "fec_versions_max", 64, 1_048_576),
        ("relay", "send_buffer_bytes", 65_536, 1_073_741_824),
        ("relay", "nodes_cpu", 0, 3),
        ("relay.entries", "clients_max", 1, 4_096),
        ("relay.entries", "connections_max", 1, 4_096),
        ("capture", "ring_datagrams", 256, 1_048_576),
    ] {
        let text = |value: u64| format!("[{section}]\n{key} = {value}\n");
        for inside in [low, high] {
            let plan =
                plan(&text(inside)).unwrap_or_else(|error| panic!("{key} = {inside}: {error}"));
            assert_eq!(plan.engine.check(), Ok(()), "{key} = {inside}");
        }
        for outside in [low.checked_sub(1), Some(high + 1)].into_iter().flatten() {
            let message = refusal(&text(outside));
            assert!(message.contains(key), "{key} = {outside}: {message}");
        }
    }
}

#[test]
fn live_is_refused_with_the_reason_and_the_way_out() {
    let message = refusal("[mode]\nmode = \"live\"");
    assert!(
        message.contains("books") && message.contains("\"paper\""),
        "{message}"
    );
}

#[test]
fn sources_must_be_distinct_named_and_answer_for_their_policy() {
    let source = |name: &str, bind: &str, policy: &str| {
        format!("[[ingest.sources]]\nname = \"{name}\"\nbind = \"{bind}\"\npolicy = \"{policy}\"\n")
    };
    let one = source("a", "127.0.0.1:1", "unverified");
    plan(&one).unwrap();
    refuses(
        &source("a", "127.0.0.1:1", "verified"),
        "ingest.sources[0].policy",
        "\"verified\"",
    );
    refuses(
        &source("a", "127.0.0.1:0", "unverified"),
        "ingest.sources[0].bind",
        "\"127.0.0.1:0\"",
    );
    refuses(
        &(one.clone() + &source("a", "127.0.0.1:2", "unverified")),
        "ingest.sources[1].name",
        "\"a\"",
    );
    refuses(
        &(one.clone() + &source("b", "127.0.0.1:1", "unverified")),
        "ingest.sources[1].bind",
        "\"127.0.0.1:1\"",
    );
    for name in ["", "UPPER", "thirteen-long", "a b", "ä"] {
        let message = refusal(&source(name, "127.0.0.1:1", "unverified"));
        assert!(message.starts_with("ingest.sources[0].name"), "{message}");
    }
    refuses(&(one + "cpu = 9\n"), "ingest.sources[0].cpu", "9");
    let many: String = (1..=33)
        .map(|n| source(&format!("s{n}"), &format!("127.0.0.1:{n}"), "unverified"))
        .collect();
    refuses(&many, "ingest.sources", "33 sources");
}

/// One source of `kind` with `more`, unverified.
fn of_kind(kind: &str, bind: &str, more: &str) -> String {
    format!(
        "[[ingest.sources]]\nname = \"a\"\npolicy = \"unverified\"\nkind = \"{kind}\"\nbind = \"{bind}\"\n{more}\n"
    )
}

fn opening(text: &str) -> Opening {
    plan(text).unwrap().ingest.sources.remove(0).opening
}

#[test]
fn every_kind_is_planned_in_the_words_of_its_room() {
    use shred_source::udp::{Interface, Multicast};
    use shred_source::xdp::Wish;

    let group =
        "interface = \"eth0\"\nmulticast_group = \"239.1.1.1\"\nmulticast_sender = \"10.0.0.8\"\n";
    let joined = Multicast {
        group: "239.1.1.1".parse().unwrap(),
        sender: Some("10.0.0.8".parse().unwrap()),
    };
    let stamped = format!("{group}hardware_stamps = true");
    let Opening::Udp(udp) = opening(&of_kind("udp", "0.0.0.0:1", &stamped)) else {
        panic!("not udp");
    };
    assert_eq!(udp.multicast, Some(joined));
    assert_eq!(udp.interface, Interface::Name("eth0".parse().unwrap()));
    assert!(udp.hardware_stamps && udp.busy_poll_us.is_none());

    let few = "[ingest]\nframes_per_source = 256\n".to_owned();
    let Opening::IoUring(uring) = opening(&(few + &of_kind("io_uring", "239.1.1.1:1", group)))
    else {
        panic!("not io_uring");
    };
    assert_eq!(
        (uring.buffer_count, uring.socket.multicast),
        (256, Some(joined))
    );

    let card = "interface = \"eth1\"\nqueue = 2\nbusy_poll_us = 20\n";
    for (more, native, zero_copy) in [
        ("", Wish::Prefer, Wish::Prefer),
        (
            "mode = \"native\"\nzero_copy = \"require\"",
            Wish::Require,
            Wish::Require,
        ),
        (
            "mode = \"generic\"\nzero_copy = \"never\"",
            Wish::Never,
            Wish::Never,
        ),
    ] {
        let Opening::Xdp(xdp) = opening(&of_kind("xdp", "0.0.0.0:7", &format!("{card}{more}")))
        else {
            panic!("not xdp");
        };
        assert_eq!((xdp.native, xdp.zero_copy), (native, zero_copy), "{more}");
        assert_eq!(
            (xdp.queue, xdp.busy_poll_us, &xdp.ports[..]),
            (2, Some(20), &[7][..])
        );
        assert_eq!(xdp.interface.as_str(), "eth1");
    }

    let key = format!("identity_file = \"/k\"\npeers = [\"{KEY}\"]\n");
    let planned = plan(&of_kind("quic", "0.0.0.0:1", &key)).unwrap();
    let config = Config::parse(&of_kind("quic", "0.0.0.0:1", &key), "text").unwrap();
    let needed = NamedFile {
        key: "ingest.sources[0].identity_file".to_owned(),
        path: PathBuf::from("/k"),
        kind: FileKind::SigningKey,
    };
    assert_eq!(config.named_files(&host()), [needed]);
    let Opening::Quic(quic) = &planned.ingest.sources[0].opening else {
        panic!("not quic");
    };
    assert_eq!(quic.alpn, [b"solana-turbine"]);
    assert!(quic.peers.admits(&KEY.parse().unwrap()));
    assert!(!quic.peers.admits(&shred_quic::PeerId([0; 32])));
}

#[test]
fn a_key_that_does_not_belong_to_the_kind_is_refused_by_name() {
    let quic = format!("identity_file = \"generate\"\npeers = [\"{KEY}\"]\n");
    let needed = |kind: &str| match kind {
        "xdp" => ("0.0.0.0:1", "interface = \"eth0\"\n".to_owned()),
        "quic" => ("127.0.0.1:1", quic.clone()),
        _ => ("127.0.0.1:1", String::new()),
    };
    let stranger = [
        ("busy_poll_us", "5", &["io_uring", "quic"][..]),
        ("interface", "\"eth0\"", &["quic"]),
        ("multicast_group", "\"239.1.1.1\"", &["quic"]),
        ("multicast_sender", "\"10.0.0.8\"", &["quic"]),
        ("hardware_stamps", "false", &["xdp", "quic"]),
        ("queue", "0", &["udp", "io_uring", "quic"]),
        ("mode", "\"prefer\"", &["udp", "io_uring", "quic"]),
        ("zero_copy", "\"never\"", &["udp", "io_uring", "quic"]),
        ("identity_file", "\"/k\"", &["udp", "io_uring", "xdp"]),
        ("peers", "[\"a\"]", &["udp", "io_uring", "xdp"]),
        ("alpn", "[\"a\"]", &["udp", "io_uring", "xdp"]),
    ];
    for (key, value, kinds) in stranger {
        for kind in kinds {
            let (bind, more) = needed(kind);
            plan(&of_kind(kind, bind, &more)).unwrap();
            let text = of_kind(kind, bind, &format!("{more}{key} = {value}"));
            refuses(&text, &format!("ingest.sources[0].{key}"), value);
        }
    }
}

#[test]
fn what_no_socket_of_a_kind_could_be_is_refused() {
    let quic = |more: &str| format!("identity_file = \"generate\"\npeers = [\"{KEY}\"]\n{more}");
    let any = "0.0.0.0:1";
    let card = "interface = \"eth0\"\n";
    let many: Vec<String> = (0..9).map(|at| format!("p{at}")).collect();
    for (kind, bind, more, key, value) in [
        ("udp", "239.1.1.1:1", "", "bind", "\"239.1.1.1:1\""),
        (
            "udp",
            any,
            "multicast_group = \"10.1.1.1\"",
            "multicast_group",
            "\"10.1.1.1\"",
        ),
        (
            "udp",
            any,
            "multicast_group = \"ff02::1\"",
            "multicast_group",
            "\"ff02::1\"",
        ),
        (
            "udp",
            "239.1.1.2:1",
            "multicast_group = \"239.1.1.1\"",
            "multicast_group",
            "\"239.1.1.1\"",
        ),
        (
            "io_uring",
            any,
            "multicast_sender = \"10.0.0.1\"",
            "multicast_sender",
            "\"10.0.0.1\"",
        ),
        (
            "io_uring",
            any,
            "multicast_group = \"239.1.1.1\"\nmulticast_sender = \"::1\"",
            "multicast_sender",
            "\"::1\"",
        ),
        (
            "udp",
            any,
            "hardware_stamps = true",
            "hardware_stamps",
            "true",
        ),
        ("udp", any, "interface = \"eth0\"", "interface", "\"eth0\""),
        (
            "udp",
            any,
            "interface = \"no such\"\nhardware_stamps = true",
            "interface",
            "\"no such\"",
        ),
        ("xdp", any, "", "interface", "absent"),
        (
            "xdp",
            any,
            "interface = \"10.0.0.1/8\"",
            "interface",
            "\"10.0.0.1/8\"",
        ),
        ("xdp", "10.0.0.1:1", card, "bind", "\"10.0.0.1:1\""),
        ("xdp", "[::]:1", card, "bind", "\"[::]:1\""),
        (
            "xdp",
            any,
            "interface = \"eth0\"\nqueue = 1024",
            "queue",
            "1024",
        ),
        (
            "xdp",
            any,
            "interface = \"eth0\"\nmode = \"generic\"\nzero_copy = \"require\"",
            "zero_copy",
            "\"require\"",
        ),
        (
            "quic",
            any,
            &format!("peers = [\"{KEY}\"]"),
            "identity_file",
            "absent",
        ),
        (
            "quic",
            any,
            &format!("identity_file = \"k\"\npeers = [\"{KEY}\"]"),
            "identity_file",
            "\"k\"",
        ),
        ("quic", any, "identity_file = \"generate\"", "peers", "none"),
        (
            "quic",
            any,
            "identity_file = \"generate\"\npeers = [\"abc\"]",
            "peers[0]",
            "\"abc\"",
        ),
        ("quic", any, &quic("alpn = []"), "alpn", "[]"),
        ("quic", any, &quic("alpn = [\"\"]"), "alpn", "[\"\"]"),
        (
            "quic",
            any,
            &quic(&format!("alpn = {many:?}")),
            "alpn",
            &format!("{many:?}"),
        ),
    ] {
        refuses(
            &of_kind(kind, bind, more),
            &format!("ingest.sources[0].{key}"),
            value,
        );
    }
    for (kind, len, more) in [("io_uring", 1_408, ""), ("xdp", 1_536, card)] {
        let text = format!("[ingest]\nframe_len = {len}\n{}", of_kind(kind, any, more));
        refuses(&text, "ingest.sources[0].kind", &format!("\"{kind}\""));
    }
    plan(&format!(
        "[ingest]\nframe_len = 1472\n{}",
        of_kind("io_uring", any, "")
    ))
    .unwrap();
    let message = refusal(&of_kind("io_urin", any, ""));
    assert!(message.ends_with("did you mean `io_uring`?"), "{message}");

    let two = |more: &str| {
        let second = of_kind("xdp", "0.0.0.0:2", &format!("{card}{more}"));
        of_kind("xdp", any, card) + &second.replace("\"a\"", "\"b\"")
    };
    plan(&two("queue = 1")).unwrap();
    refuses(&two(""), "ingest.sources[1].queue", "0");
    refuses(
        &two("queue = 1\nmode = \"native\""),
        "ingest.sources[1].mode",
        "\"native\"",
    );
}

#[test]
fn a_shredstream_is_asked_for_whole_or_not_at_all() {
    let whole = [
        ("endpoint", "\"http://127.0.0.1:1\""),
        ("regions", "[\"frankfurt\"]"),
        ("announce", "\"203.0.113.7:1\""),
        ("source", "\"a\""),
        ("key_file", "\"/k\""),
    ];
    let with = |changed: &str, value: Option<&str>| {
        let mut text = of_kind("udp", "0.0.0.0:1", "") + "[shredstream]\nenabled = true\n";
        for (key, usual) in whole {
            let value = if key == changed { value } else { Some(usual) };
            if let Some(value) = value {
                text += &format!("{key} = {value}\n");
            }
        }
        if !whole.iter().any(|(key, _)| *key == changed) {
            text += &value
                .map(|value| format!("{changed} = {value}\n"))
                .unwrap_or_default();
        }
        text
    };
    let planned = plan(&with("", None)).unwrap();
    let stream = planned.shredstream.as_ref().unwrap();
    assert_eq!(
        (stream.source, &stream.regions[..]),
        (0, &["frankfurt".to_owned()][..])
    );
    let named = Config::parse(&with("", None), "t")
        .unwrap()
        .named_files(&host());
    assert_eq!(named[0].key, "shredstream.key_file");
    let off = with("", None).replace("enabled = true", "enabled = false");
    assert!(plan(&off).unwrap().shredstream.is_none());
    plan(&with("auth_endpoint", Some("\"http://[::1]:1\""))).unwrap();
    if cfg!(feature = "tls") {
        plan(&with("endpoint", Some("\"https://engine.example\""))).unwrap();
    }
    for (key, _) in whole {
        let absent = if key == "regions" { "[]" } else { "absent" };
        refuses(&with(key, None), &format!("shredstream.{key}"), absent);
    }
    for (key, value) in [
        ("endpoint", "\"http://engine.example:1\""),
        ("endpoint", "\"engine:1\""),
        ("endpoint", "\"https://engine/path\""),
        ("auth_endpoint", "\"http://10.0.0.1\""),
        ("regions", "[\"a\", \"b\", \"c\"]"),
        ("announce", "\"0.0.0.0:1\""),
        ("announce", "\"203.0.113.7:0\""),
        ("source", "\"b\""),
        ("key_file", "\"k\""),
    ] {
        refuses(
            &with(key, Some(value)),
            &format!("shredstream.{key}"),
            &shown(value),
        );
    }
    refuses(
        &with("regions", Some("[\"a b\"]")),
        "shredstream.regions[0]",
        "\"a b\"",
    );
}

const FEED: &str = "[ingest]\nleaders_file = \"/l\"\nslots_behind = 20\nshred_version = 9\n[[ingest.sources]]\n\
                    name = \"feed\"\nbind = \"0.0.0.0:20000\"\nredistributable = true\n\
                    [[ingest.sources]]\nname = \"own\"\nbind = \"127.0.0.1:20001\"\n";

fn relaying(relay: &str) -> String {
    format!("{FEED}{relay}")
}

#[test]
fn a_relay_is_planned_in_the_words_of_its_room() {
    assert!(plan(FEED).unwrap().relay.is_none(), "nothing is named");
    let key = "identity_file = \"/k\"\nnodes_cpu = 2\nverify = false\nsegmentation = false\n";
    let text = relaying(&format!(
        "[relay]\ndestinations = [\"10.0.0.1:7\"]\n{key}[[relay.nodes]]\naddress = \"[2001:db8::1]:8\"\n\
         identity = \"{KEY}\"\n[relay.entries]\nbind = \"10.0.0.2:9\"\nallow = [\"10.0.0.3\"]\n\
         token_file = \"credential:token\"\nlagging = \"mark\"\nv1_batches = \"without_v1\"\nclients_max = 3\n",
    ));
    let plan = plan(&text).unwrap();
    let names: Vec<String> = plan
        .redistributable()
        .into_iter()
        .map(|source| source.name)
        .collect();
    assert_eq!(names, ["feed"]);
    let config = Config::parse(&text, "text").unwrap();
    let needed: Vec<String> = config
        .named_files(&host())
        .into_iter()
        .map(|file| file.key)
        .collect();
    assert_eq!(
        needed,
        [
            "ingest.leaders_file",
            "relay.identity_file",
            "relay.entries.token_file"
        ]
    );
    let relay = plan.relay.unwrap();
    let sieve = &relay.room.sieve;
    assert_eq!(
        (sieve.shred_version, sieve.slots_behind, sieve.authenticate),
        (Some(9), 20, false)
    );
    assert_eq!(relay.room.destinations, ["10.0.0.1:7".parse().unwrap()]);
    assert!(!relay.room.segmentation);
    assert_eq!(relay.nodes[0].peer.to_string(), KEY);
    assert_eq!(relay.nodes_cpu, Some(2));
    assert_eq!(relay.identity, Some(QuicIdentity::File("/k".into())));
    let entries = relay.entries.unwrap();
    assert_eq!(entries.room.bind, "10.0.0.2:9".parse().unwrap());
    assert_eq!(entries.room.clients_max, 3);
    assert_eq!(entries.room.lagging, shred_relay::Lagging::Mark);
    assert_eq!(entries.v1, shred_relay::V1Batches::WithoutV1);
    let token = entries.token_file.unwrap();
    assert!(token.ends_with("overmind.service/token"), "{token:?}");
    let usual = Config::default().relay;
    assert!(usual.verify && usual.segmentation);
}

#[test]
fn what_a_relay_could_not_pass_on_or_should_not_is_refused() {
    let one = "[relay]\ndestinations = [\"10.0.0.1:7\"]\n";
    for text in [
        one.to_owned(),
        format!(
            "[[ingest.sources]]\nname = \"a\"\nbind = \"10.0.0.5:1\"\npolicy = \"unverified\"\n{one}"
        ),
    ] {
        refuses(&text, "ingest.sources", "none redistributable");
    }
    for (typed, words) in [
        ("0.0.0.0:7", "no host"),
        ("10.0.0.1:0", "port 0"),
        ("224.0.0.1:7", "groups"),
        ("127.0.0.1:20000", "source feed of this relay"),
        ("[::ffff:127.0.0.1]:20000", "source feed of this relay"),
    ] {
        let text = relaying(&format!("[relay]\ndestinations = [\"{typed}\"]\n"));
        refuses(&text, "relay.destinations[0]", &format!("{typed:?}"));
        assert!(refusal(&text).contains(words), "{}", refusal(&text));
        let text = relaying(&format!(
            "[relay]\nidentity_file = \"generate\"\n[[relay.nodes]]\naddress = \"{typed}\"\nidentity = \"{KEY}\"\n"
        ));
        refuses(&text, "relay.nodes[0].address", &format!("{typed:?}"));
    }
    // What the relay does not open, another process may.
    let own = "[relay]\ndestinations = [\"127.0.0.1:20001\"]\n";
    assert!(plan(&relaying(own)).is_ok());
    let twice = "[relay]\ndestinations = [\"10.0.0.1:7\", \"10.0.0.1:7\"]\n";
    refuses(&relaying(twice), "relay.destinations[1]", "\"10.0.0.1:7\"");
    let many = vec!["\"10.0.0.1:7\""; 257].join(",");
    let said = refusal(&relaying(&format!("[relay]\ndestinations = [{many}]\n")));
    assert!(said.contains("257 destinations"), "{said}");
    let node = |identity: &str, more: &str| {
        relaying(&format!(
            "[relay]\n{more}[[relay.nodes]]\naddress = \"10.0.0.1:7\"\nidentity = \"{identity}\"\n"
        ))
    };
    refuses(&node(KEY, ""), "relay.identity_file", "absent");
    let made = "identity_file = \"generate\"\n";
    assert!(plan(&node(KEY, made)).is_ok());
    refuses(&node("zzz", made), "relay.nodes[0].identity", "\"zzz\"");
    refuses(
        &node(KEY, "identity_file = \"k\"\n"),
        "relay.identity_file",
        "\"k\"",
    );
    for (entries, field, value) in [
        ("bind = \"0.0.0.0:9\"", "bind", "\"0.0.0.0:9\""),
        ("bind = \"127.0.0.1:0\"", "bind", "\"127.0.0.1:0\""),
        ("bind = \"127.0.0.1:8080\"", "bind", "\"127.0.0.1:8080\""),
        (
            "bind = \"127.0.0.1:9\"\ntoken_file = \"t\"",
            "token_file",
            "\"t\"",
        ),
    ] {
        let text = relaying(&format!("[relay.entries]\n{entries}\n"));
        refuses(&text, &format!("relay.entries.{field}"), value);
    }
}

#[test]
fn leaders_come_from_a_file_or_from_one_rpc_node() {
    let source = "[[ingest.sources]]\nname = \"a\"\nbind = \"127.0.0.1:1\"\n";
    let with = |rpc: &str| format!("[ingest]\nleaders_rpc = \"{rpc}\"\n{source}");
    let planned = plan(&with("http://127.0.0.1:8899")).unwrap();
    let endpoint = planned.ingest.leaders_rpc.unwrap();
    assert_eq!(endpoint.to_string(), "127.0.0.1:8899");
    let field = "ingest.leaders_rpc";
    refuses(&with("https://node"), field, "\"https://node\"");
    assert_eq!(planned.venues.rpc.unwrap().to_string(), "127.0.0.1:8899");
    let own = with("http://127.0.0.1:8899")
        .replace("[ingest]", "[venues]\nrpc = \"http://[::1]:1\"\n[ingest]");
    assert_eq!(
        plan(&own).unwrap().venues.rpc.unwrap().to_string(),
        "[::1]:1"
    );
    let of_venues =
        |line: &str| format!("[venues]\n{line}\n[ingest]\nleaders_file = \"/l\"\n{source}");
    refuses(
        &of_venues("rpc = \"https://node\""),
        "venues.rpc",
        "\"https://node\"",
    );
    for (key, value) in [
        ("failures_max", "17"),
        ("failures_window_s", "0"),
        ("watch_interval_s", "0"),
    ] {
        refuses(
            &of_venues(&format!("{key} = {value}")),
            &format!("venues.{key}"),
            value,
        );
    }
    let both = with("http://node").replace("[ingest]", "[ingest]\nleaders_file = \"/l\"");
    refuses(&both, field, "\"http://node\"");
}

#[test]
fn the_embedded_source_needs_no_leaders_file_and_no_port() {
    let config = Config::default().with_embedded_source("127.0.0.1:0".parse().unwrap());
    let plan = config.plan(&host()).unwrap();
    assert_eq!(
        plan.ingest.sources[0].policy,
        shred_resolve::Policy::VerifyThenEmit
    );
    assert!(config.named_files(&host()).is_empty());
}

#[test]
fn addresses_must_be_whole_and_distinct() {
    refuses(
        "[strategy]\ncreators_deny = [\"abc\"]",
        "strategy.creators_deny[0]",
        "\"abc\"",
    );
    refuses(
        "[strategy]\ncreators_allow = [\"0OIl\"]",
        "strategy.creators_allow[0]",
        "\"0OIl\"",
    );
    let twice = format!("[bundle]\ntip_accounts = [\"{KEY}\", \"{KEY}\"]");
    refuses(&twice, "bundle.tip_accounts[1]", &format!("\"{KEY}\""));
    refuses(
        "[bundle]\ntip_accounts = []",
        "bundle.tip_accounts",
        "0 accounts",
    );
}

#[test]
fn in_paper_mode_bundles_stay_on_this_host() {
    let lane =
        |endpoint: &str| format!("[submit]\nlane = \"block_engine\"\nendpoint = \"{endpoint}\"");
    for near in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
        match plan(&lane(near)).unwrap().submit {
            SubmitPlan::BlockEngine(room) => {
                assert_eq!((room.endpoint.as_str(), room.in_flight_max), (near, 256))
            }
            other => panic!("{near} gave {other:?}"),
        }
    }
    for far in [
        "https://mainnet.block-engine.jito.wtf",
        "http://10.0.0.1:1",
        "http://127.0.0.1",
        "http://127.0.0.1:1/path",
        "http://localhost.example.org:1",
        "http://127.0.0.1:1@10.0.0.1:2",
        "127.0.0.1:1",
    ] {
        refuses(&lane(far), "submit.endpoint", &shown(&format!("\"{far}\"")));
    }
    refuses(
        "[submit]\nlane = \"block_engine\"",
        "submit.endpoint",
        "absent",
    );
}

#[test]
fn the_page_stays_on_loopback_unless_told() {
    refuses(
        "[http]\nbind = \"0.0.0.0:8080\"",
        "http.bind",
        "\"0.0.0.0:8080\"",
    );
    assert!(
        plan("[http]\nbind = \"0.0.0.0:8080\"\nallow_remote = true")
            .unwrap()
            .http
            .is_some()
    );
    assert_eq!(plan("[http]\nenabled = false").unwrap().http, None);
}

#[test]
fn bridge_endpoints_and_keys_are_local_files() {
    let producer = |key_file: &str| {
        format!(
            "[bridge]\nenabled = true\n[[bridge.producers]]\nid = 1\nfamilies = [\"launch\"]\n\
             max_notional_lamports = 1\nkey_file = \"{key_file}\"\n"
        )
    };
    let bridge = plan(&producer("/k")).unwrap().bridge.unwrap();
    assert_eq!(bridge.endpoint, "ipc:///run/overmind/signal.ipc");
    assert_eq!(
        bridge.epoch_file,
        Path::new("/var/lib/overmind/bridge.epoch")
    );
    for bad in ["k", "credential:", "credential:../k", "credential:.k"] {
        refuses(
            &producer(bad),
            "bridge.producers[0].key_file",
            &format!("\"{bad}\""),
        );
    }
    refuses("[bridge]\nenabled = true", "bridge.producers", "none");
    refuses(
        "[bridge]\nendpoint = \"tcp://0.0.0.0:5555\"",
        "bridge.endpoint",
        "\"tcp://0.0.0.0:5555\"",
    );
    refuses(
        &producer("/k").replace("id = 1", "id = 0"),
        "bridge.producers[0].id",
        "0",
    );
    refuses(
        &producer("/k").replace("launch", "lunch"),
        "bridge.producers[0].families",
        "\"lunch\"",
    );
    refuses(
        &producer("/k").replace("\"launch\"", ""),
        "bridge.producers[0].families",
        "none",
    );
    let twice = producer("/k") + &producer("/c").replace("[bridge]\nenabled = true\n", "");
    refuses(&twice, "bridge.producers[1].id", "1");
    let mut no_credentials = host();
    no_credentials.credentials_dir = None;
    assert!(
        Config::parse(&producer("credential:k"), "t")
            .unwrap()
            .plan(&no_credentials)
            .is_err()
    );
}

#[test]
fn admin_paths_are_absolute_short_and_distinct() {
    refuses(
        "[admin]\nsocket = \"admin.sock\"",
        "admin.socket",
        "\"admin.sock\"",
    );
    let long = format!("/{}", "a".repeat(107));
    refuses(
        &format!("[admin]\nsocket = \"{long}\""),
        "admin.socket",
        &format!("\"{long}\""),
    );
    refuses(
        "[admin]\nsocket = \"/a\"\nkill_file = \"/a\"",
        "admin.kill_file",
        "\"/a\"",
    );
}

#[test]
fn core_and_submit_do_not_share_a_cpu() {
    refuses(
        "[threads]\ncore_cpu = 1\nsubmit_cpu = 1",
        "threads.submit_cpu",
        "1",
    );
    refuses(
        "[threads]\ncore_cpu = 1\nverify_cpu = 1",
        "threads.verify_cpu",
        "1",
    );
    refuses(
        "[threads]\ncore_cpu = 1\nsigning_cpu = 1",
        "threads.signing_cpu",
        "1",
    );
    let mut small = host();
    small.cpus = vec![0, 1];
    let threads = Config::default().plan(&small).unwrap().threads;
    assert!(!threads.split && threads.verify.is_none());
}

#[test]
fn never_more_priority_fee_is_paid_than_was_typed() {
    for (fee, units) in [
        (10_000_u64, 150_000_u64),
        (1, 1_400_000),
        (0, 10_000),
        (1_000_000_000, 10_000),
        (7, 77_777),
    ] {
        let text =
            format!("[bundle]\npriority_fee_lamports = {fee}\nentry_compute_unit_limit = {units}");
        let budget = plan(&text).unwrap().builder.entry_budget;
        let paid = (budget.unit_price_micro_lamports * units).div_ceil(1_000_000);
        assert!(
            paid <= fee && fee - paid <= units.div_ceil(1_000_000),
            "{fee} typed, {paid} paid"
        );
    }
}

/// A limit that is typed reaches venues whose use was measured, too; one that is not leaves them what was measured.
#[test]
fn unit_limits_are_measured_until_they_are_typed() {
    use market::Side::{Buy, Sell};
    use strategy::Venue;
    let builder = |text: &str| plan(text).unwrap().builder;
    let (usual, typed) = (
        builder(""),
        builder("[bundle]\nentry_compute_unit_limit = 222222"),
    );
    for venue in Venue::ALL {
        let measured = bundle::MEASURED_UNITS;
        assert_eq!(usual.unit_limits.of(venue, Buy), measured.of(venue, Buy));
        assert_eq!(typed.unit_limits.of(venue, Buy), Some(222_222));
        assert_eq!(typed.unit_limits.of(venue, Sell), measured.of(venue, Sell));
    }
    assert_eq!(typed.entry_budget.unit_limit, 222_222);
    let exit = builder("[bundle]\nexit_compute_unit_limit = 77777").unit_limits;
    assert_eq!(exit.of(Venue::PumpSwap, Sell), Some(77_777));
    assert_eq!(exit.of(Venue::PumpSwap, Buy), Some(135_000));
}

/// Goal: every option of the room can be typed, and nothing typed stays behind.
#[test]
fn the_builders_options_reach_it_and_all_together_make_templates() {
    let text = "[bundle]\npriority_share_bps = 5000\ndont_front = true\nwrapped_sol = \"standing\"\n\
                close_coin_account = true\nslot_guard_slots = 4\nwallet_floor_lamports = 900\n";
    let long = refusal(text);
    assert!(
        long.starts_with("bundle.template = \"v0\": the parts"),
        "{long}"
    );
    let builder = plan(&format!("{text}template = \"v1\"\n")).unwrap().builder;
    assert_eq!(builder.priority_share, market::Bps(5_000));
    assert!(builder.dont_front && builder.close_coin_account);
    assert_eq!(builder.wrapped_sol, bundle::WrappedSol::Standing);
    assert_eq!(builder.slot_guard_slots, Some(4));
    assert_eq!(builder.wallet_floor, Some(market::Lamports(900)));
    let usual = plan("").unwrap().builder;
    assert_eq!((usual.slot_guard_slots, usual.wallet_floor), (None, None));
    for more in ["", "template = \"v1\"\nwrapped_sol = \"per_trade\"\n"] {
        let text = text.replace("dont_front = true", "dont_front = false");
        let text = match more {
            "" => text,
            more => text.replace("wrapped_sol = \"standing\"\n", more),
        };
        let text = text.as_str();
        let signer = bundle::Signer::<bundle::ThrowAway>::from_seed(&[91; 32]).unwrap();
        bundle::Builder::new(&plan(text).unwrap().builder, signer).unwrap();
    }
}

#[test]
fn a_lane_class_is_taken_where_a_lane_carries_it_and_its_tip_is_one() {
    let classes = [
        ("private_bundle", strategy::LaneClass::PrivateBundle),
        (
            "private_transaction",
            strategy::LaneClass::PrivateTransaction,
        ),
        ("priority_bundle", strategy::LaneClass::PriorityBundle),
    ];
    for (word, class) in classes {
        let text = format!("[bundle]\nlane_class = \"{word}\"\n");
        assert_eq!(plan(&text).unwrap().engine.params.lane, class);
        let engine =
            text + "[submit]\nlane = \"block_engine\"\nendpoint = \"http://127.0.0.1:1\"\n";
        if word == "private_bundle" {
            plan(&engine).unwrap();
        } else {
            refuses(&engine, "bundle.lane_class", &format!("\"{word}\""));
        }
    }
    let public = "[bundle]\nlane_class = \"public\"\n";
    assert_eq!(refusal(public).lines().count(), 2, "both tips");
    let untipped = format!("{public}[strategy]\nentry_tip_lamports = 0\nexit_tip_lamports = 0\n");
    let lane = plan(&untipped).unwrap().engine.params.lane;
    assert_eq!(lane, strategy::LaneClass::Public);
    // Of 3,000 lamports 900 would be transferred, which is no tip.
    refuses(
        "[bundle]\nlane_class = \"private_transaction\"\n[strategy]\nentry_tip_lamports = 3000\n",
        "strategy.entry_tip_lamports",
        "3000",
    );
}

#[test]
fn signing_ahead_is_planned_as_it_is_typed() {
    let usual = plan("").unwrap().signing;
    assert_eq!(usual.ladders, Some(engine::LadderPlan::default()));
    assert!(!usual.statement.armed_nonces && !usual.statement.snapshots_excluded);
    let typed = plan("[signing]\nladders_max = 3\nsnapshots_excluded = true").unwrap();
    assert_eq!(typed.signing.ladders.unwrap().held_max, 3);
    assert!(typed.signing.statement.snapshots_excluded);
    let none = plan("[signing]\npresign = false").unwrap().signing;
    assert_eq!(none.ladders, None);
    let seat = plan("[threads]\nsigning_cpu = 3\nidle = \"spin\"").unwrap();
    assert_eq!(seat.threads.signing.cpu, Some(3));
    assert!(
        matches!(seat.threads.signing.idle, crate::stage::Idle::Park(_)),
        "it sleeps whatever hot threads do"
    );
}

/// Goal: nonces are made ahead only in a build that can, on a host that cannot be copied or whose operator says that
/// nobody does; in paper mode as in live mode.
#[test]
fn nonces_are_made_ahead_only_where_all_allows_them() {
    const ARMED: &str = "[signing]\narmed_nonces = true\n";
    const STATED: &str = "[signing]\narmed_nonces = true\nsnapshots_excluded = true\n";
    let on = |kind, text| {
        Config::parse(text, "text")
            .unwrap()
            .plan(&Host { kind, ..host() })
    };
    let (metal, guest) = (
        HostKind::BareMetal,
        HostKind::Virtual {
            generation_id: false,
        },
    );
    if !cfg!(feature = "armed-nonces") {
        for kind in [metal, guest, HostKind::Unknown] {
            for text in [ARMED, STATED] {
                let said = on(kind, text).unwrap_err().to_string();
                assert!(
                    said.starts_with("signing.armed_nonces = true: this build"),
                    "{said}"
                );
                assert!(said.contains("--features armed-nonces"), "{said}");
            }
        }
        return;
    }
    assert!(on(metal, ARMED).unwrap().signing.statement.armed_nonces);
    for kind in [guest, HostKind::Unknown] {
        let said = on(kind, ARMED).unwrap_err().to_string();
        assert!(
            said.starts_with("signing.armed_nonces = true: this is a "),
            "{said}"
        );
        assert!(said.contains("signing.snapshots_excluded = true"), "{said}");
        assert!(on(kind, STATED).unwrap().signing.statement.armed_nonces);
    }
}

#[test]
fn sizes_that_an_arena_cannot_have_are_answered_with_the_next_one() {
    let message = refusal("[ingest]\nframes_per_source = 5000");
    assert!(message.contains("power of two; write 8192"), "{message}");
    let message = refusal("[ingest]\nframe_len = 1500");
    assert!(message.contains("multiple of 64; write 1536"), "{message}");
    refuses(
        "[capture]\nring_datagrams = 1000",
        "capture.ring_datagrams",
        "1000",
    );
}

#[test]
fn a_position_must_end_some_day() {
    refuses(
        "[strategy]\nexpiry_ms = 0\nexpiry_slots = 0",
        "strategy.expiry_ms",
        "0",
    );
}

#[test]
fn a_source_is_passed_on_only_if_it_says_so() {
    let source = |more: &str| {
        let text =
            "[[ingest.sources]]\nname = \"a\"\nbind = \"127.0.0.1:1\"\npolicy = \"unverified\"\n";
        plan(&format!("{text}{more}"))
    };
    let is_passed_on = |more: &str| source(more).unwrap().ingest.sources[0].redistributable;
    assert!(!is_passed_on("") && is_passed_on("redistributable = true"));
    assert!(source("redistributable = \"yes\"").is_err());
}

#[test]
fn the_sources_log_has_a_path_of_its_own_and_its_region_a_name() {
    let ingest = plan("[ingest]\nregion = \"fra\"\nsources_log = \"/l\"")
        .unwrap()
        .ingest;
    assert_eq!(
        (ingest.region.as_str(), ingest.sources_log),
        ("fra", Some(PathBuf::from("/l")))
    );
    refuses(
        "[ingest]\nregion = \"New York\"",
        "ingest.region",
        "\"New York\"",
    );
    let log = "ingest.sources_log";
    refuses("[ingest]\nsources_log = \"l\"", log, "\"l\"");
    refuses(
        "[ingest]\nsources_log = \"/run/overmind/kill\"",
        log,
        "\"/run/overmind/kill\"",
    );
    let leaders = "[ingest]\nleaders_file = \"/l\"\nsources_log = \"/l\"";
    refuses(leaders, log, "\"/l\"");
    let tables = "[ingest]\nsources_log = \"/l\"\n[market]\nlookup_tables = \"/l\"";
    refuses(tables, log, "\"/l\"");
}

#[test]
fn every_problem_is_listed_at_once() {
    let message = refusal("[threads]\npark_us = 0\n[risk]\nwindow_ms = 1\n");
    assert_eq!(message.lines().count(), 2, "{message}");
    assert!(message.contains(
        "threads.park_us = 0: must be 1 to 10000 microseconds; the nearest allowed value is 1"
    ));
}

/// The lines that `config check` would print for `text`.
#[track_caller]
fn surveyed(text: &str) -> Vec<String> {
    match Config::survey(text, "text", &host()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// `text` must give exactly these problems: a line's beginning and something it contains.
#[track_caller]
fn surveys(text: &str, expected: &[(&str, &str)]) {
    let said = surveyed(text);
    let fits = said.len() == expected.len()
        && said
            .iter()
            .zip(expected)
            .all(|(line, (begin, word))| line.starts_with(begin) && line.contains(word));
    assert!(fits, "{text}\ngave {said:#?}");
}

#[test]
fn a_survey_lists_every_type_error_and_every_bound_with_its_line() {
    surveys(
        "[strategy]\nentry_tip_lamports = -5\nstop_loss_bps = 20000\n[threads]\npark_us = 0\nidle = \"spinn\"\n\
         [risk]\nwindow_ms = \"1s\"\nsurprise = 1\n[http]\nbind = \"nowhere\"\n",
        &[
            ("text:2:22: strategy.entry_tip_lamports: ", "-5"),
            ("text:3:1: strategy.stop_loss_bps = 20000: ", "10000"),
            ("text:5:1: threads.park_us = 0: ", "nearest"),
            (
                "text:6:8: threads.idle: unknown variant",
                "did you mean `spin`?",
            ),
            ("text:8:13: risk.window_ms: ", "1s"),
            ("text:9:1: unknown field `surprise`", "surprise"),
            ("text:11:8: http.bind: ", "nowhere"),
        ],
    );
}

#[test]
fn a_survey_numbers_sources_as_the_file_does() {
    let source = |name: &str, bind: &str| {
        format!("[[ingest.sources]]\nname = \"{name}\"\npolicy = \"unverified\"\nbind = {bind}\n")
    };
    let text = source("a", "5") + &source("b", "\"127.0.0.1:2\"") + &source("C", "\"127.0.0.1:0\"");
    surveys(
        &text,
        &[
            ("text:4:8: ingest.sources[0].bind: ", "5"),
            ("text:10:1: ingest.sources[2].name = \"C\"", "thread"),
            ("text:12:1: ingest.sources[2].bind = ", "port"),
        ],
    );
    let said = surveyed("[[ingest.sources]]\nname = \"a\"\n[threads]\npark_us = 0\n");
    assert!(said[0].contains("missing field `bind`"), "{said:?}");
    assert!(
        said[0].starts_with("text:1:") && said.len() == 2,
        "{said:?}"
    );
}

#[test]
fn a_survey_does_not_report_what_only_follows() {
    // The default budget does not fit this limit, but the typed one was not even read.
    surveys(
        "[strategy]\nbudget_lamports = \"1\"\n[risk]\ntrade_notional_max_lamports = 1000\n",
        &[("text:2:19: strategy.budget_lamports", "\"1\"")],
    );
    let source = "[[ingest.sources]]\nname = \"a\"\nbind = \"127.0.0.1:1\"\n";
    surveys(
        &format!("[ingest]\nleader_file = \"/l\"\n{source}"),
        &[("text:2:1: unknown field `leader_file`", "`leaders_file`?")],
    );
}

#[test]
fn a_survey_lists_syntax_errors_and_agrees_with_the_plan() {
    let said = surveyed("[strategy]\nenabled = \n[threads\npark_us = 1\n");
    assert!(
        said.len() >= 2 && said[0].starts_with("text:2:"),
        "{said:?}"
    );
    assert!(Config::survey(Config::example(), "example", &host()).is_ok());
    assert!(matches!(
        Config::survey("[mode]\nmode = \"live\"", "text", &host()),
        Err(ConfigError::LiveRefused)
    ));
    surveys(
        "[mode]\nmode = \"live\"\n[threads]\npark_us = 0\n",
        &[
            ("text:2:1: mode.mode", "books"),
            ("text:4:1: threads.park_us", "1"),
        ],
    );
}

#[test]
fn what_is_shown_names_the_paths_that_are_taken() {
    let shown = Config::default().with_paths(&host());
    let text = shown.to_toml();
    for path in [
        "/run/overmind/admin.sock",
        "/run/overmind/kill",
        "ipc:///run/overmind/signal.ipc",
        "/var/lib/overmind/bridge.epoch",
    ] {
        assert!(text.contains(&format!("\"{path}\"")), "{path}\n{text}");
    }
    let (plan, shown) = (Config::default().plan(&host()), shown.plan(&host()));
    assert_eq!(format!("{plan:?}"), format!("{shown:?}"));
}

#[test]
fn the_reading_of_this_host_gives_a_usable_plan() {
    let host = Host::read();
    assert!(!host.cpus.is_empty());
    Config::default().plan(&host).unwrap();
}

/// Text that looks like a configuration, right or wrong.
#[test]
fn a_trusted_source_needs_no_leaders_and_names_who_is_believed() {
    let with =
        |more: &str| format!("[[ingest.sources]]\nname = \"a\"\npolicy = \"trusted\"\n{more}\n");
    let near = with("bind = \"127.0.0.1:1\"");
    let source = plan(&near).unwrap().ingest.sources.remove(0);
    assert_eq!(source.policy, shred_resolve::Policy::Trusted);
    let quic = with(&format!(
        "kind = \"quic\"\nbind = \"0.0.0.0:1\"\nidentity_file = \"generate\"\npeers = [\"{KEY}\"]"
    ));
    for silent in [&near, &quic] {
        assert_eq!(warned(silent, &host()), Vec::<String>::new());
    }
    for loud in [
        with("bind = \"0.0.0.0:7\""),
        with("bind = \"10.0.0.1:7\"\nkind = \"io_uring\""),
        with("bind = \"0.0.0.0:7\"\nkind = \"xdp\"\ninterface = \"eth0\""),
    ] {
        let said = warned(&loud, &host());
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(
            "text:3:1: ingest.sources[0].policy = \"trusted\": whoever reaches port 7"
        ));
    }
}

#[test]
fn a_port_belongs_to_one_socket_whatever_is_spoken() {
    let source = |name: &str, bind: &str, more: &str| {
        format!(
            "[[ingest.sources]]\nname = \"{name}\"\npolicy = \"unverified\"\nbind = \"{bind}\"\n{more}"
        )
    };
    let quic = format!("kind = \"quic\"\nidentity_file = \"generate\"\npeers = [\"{KEY}\"]\n");
    for (first, second) in [
        ("0.0.0.0:5", "127.0.0.1:5"),
        ("127.0.0.1:5", "0.0.0.0:5"),
        ("[::]:5", "[::1]:5"),
    ] {
        for more in ["", &quic] {
            let both = source("a", first, "") + &source("b", second, more);
            refuses(&both, "ingest.sources[1].bind", &format!("\"{second}\""));
        }
    }
    for (first, second) in [
        ("0.0.0.0:5", "127.0.0.1:6"),
        ("127.0.0.1:5", "127.0.0.2:5"),
        // Its sockets of IPv6 take no IPv4.
        ("[::]:5", "0.0.0.0:5"),
    ] {
        plan(&(source("a", first, "") + &source("b", second, &quic))).unwrap();
    }
}

/// What is needed for anything to come of an unverified source without leaders.
const ACTS: &str = "[engine]\nact_on_unverified = true\n";

#[test]
fn what_comes_to_nothing_is_warned_of() {
    let said = warned("[threads]\nidle = \"park\"\npark_us = 5\n", &host());
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("nothing will ever come in"), "{said:?}");
    let stream = |announce: &str| {
        of_kind("udp", "0.0.0.0:7", "")
            + &format!(
                "[shredstream]\nenabled = true\nendpoint = \"http://127.0.0.1:1\"\nregions = [\"a\"]\n\
                 source = \"a\"\nkey_file = \"/k\"\nannounce = \"{announce}\"\n{ACTS}"
            )
    };
    let idle = warned(&of_kind("udp", "0.0.0.0:7", ""), &host());
    assert!(
        idle.len() == 1 && idle[0].contains("no trade comes of this source"),
        "{idle:?}"
    );
    assert_eq!(
        warned(&stream("203.0.113.7:7"), &host()),
        Vec::<String>::new()
    );
    for (announce, word) in [
        ("203.0.113.7:8", "binds port 7"),
        ("127.0.0.1:7", "public"),
        ("10.1.1.1:7", "public"),
        ("100.64.0.1:7", "public"),
        ("[fd00::1]:7", "public"),
    ] {
        let said = warned(&stream(announce), &host());
        assert!(
            said.len() == 1 && said[0].contains(word),
            "{announce}: {said:?}"
        );
    }
}

/// Goal: nobody tunes a key that nothing reads. Method: each with what makes it idle, which is one warning that names it, and
/// with what it needs, which is none.
#[test]
fn a_key_that_another_one_leaves_without_effect_is_warned_of() {
    let source = of_kind("udp", "127.0.0.1:7", "") + ACTS;
    let node = "[venues]\nrpc = \"http://127.0.0.1:1\"\n";
    let fused = Host {
        cpus: vec![0],
        ..host()
    };
    assert_eq!(warned(&source, &host()), Vec::<String>::new());
    for (section, key, value, needed) in [
        (
            "bundle",
            "priority_share_bps",
            "5000",
            "lane_class = \"private_transaction\"",
        ),
        ("bundle", "tip_min_lamports", "2000", ""),
        (
            "submit",
            "result_timeout_ms",
            "500",
            "lane = \"block_engine\"\nendpoint = \"http://127.0.0.1:9\"",
        ),
        (
            "submit",
            "in_flight_max",
            "9",
            "lane = \"block_engine\"\nendpoint = \"http://127.0.0.1:9\"",
        ),
        (
            "submit",
            "endpoint",
            "\"http://127.0.0.1:9\"",
            "lane = \"block_engine\"",
        ),
        ("signing", "ladders_max", "9", ""),
        ("threads", "park_us", "9", "idle = \"park\""),
        ("threads", "verify_cpu", "1", "verify = \"thread\""),
        ("threads", "signing_cpu", "1", ""),
        ("ingest", "region", "\"fra\"", "sources_log = \"/log\""),
        ("http", "bind", "\"127.0.0.1:9\"", "enabled = true"),
        ("http", "allow_remote", "true", "bind = \"0.0.0.0:9\""),
        (
            "relay",
            "send_buffer_bytes",
            "99999",
            "destinations = [\"10.0.0.9:1\"]",
        ),
        (
            "relay",
            "segmentation",
            "false",
            "destinations = [\"10.0.0.9:1\"]",
        ),
        (
            "relay",
            "verify",
            "false",
            "destinations = [\"10.0.0.9:1\"]",
        ),
        (
            "relay.entries",
            "clients_max",
            "9",
            "bind = \"127.0.0.1:9\"",
        ),
        (
            "relay.entries",
            "lagging",
            "\"mark\"",
            "bind = \"127.0.0.1:9\"",
        ),
    ] {
        // What makes a key idle that has an effect by default.
        let idle = match (section, key) {
            ("bundle", "tip_min_lamports") => "lane_class = \"priority_bundle\"",
            ("signing", "ladders_max") => "presign = false",
            ("threads", "verify_cpu") => "verify = \"core\"",
            ("threads", "signing_cpu") => "[signing]\npresign = false",
            ("http", "bind") => "enabled = false",
            _ => "",
        };
        let mut source = source.clone();
        if section.starts_with("relay") {
            source = source.replace("policy", "redistributable = true\npolicy");
        }
        let with = |more: &str| format!("{source}[{section}]\n{key} = {value}\n{more}\n");
        let said = warned(&with(idle), &host());
        let name = format!("{section}.{key} = ");
        assert!(
            said.len() == 1 && said[0].contains(&name) && said[0].contains("has no effect: "),
            "{name}{said:?}"
        );
        assert_eq!(
            warned(&with(needed), &host()),
            Vec::<String>::new(),
            "{name}"
        );
    }
    for (text, name) in [
        (
            "[signing]\nsnapshots_excluded = true\n",
            "signing.snapshots_excluded",
        ),
        (
            "[venues]\nwatch_interval_s = 9\n",
            "venues.watch_interval_s",
        ),
        (
            "[venues]\ncheck_at_start = false\n",
            "venues.check_at_start",
        ),
        ("[shredstream]\nregions = [\"a\"]\n", "shredstream.enabled"),
        ("[relay]\nidentity_file = \"/k\"\n", "relay.identity_file"),
    ] {
        let said = warned(&(source.clone() + text), &host());
        assert!(
            said.len() == 1 && said[0].contains(name),
            "{name}: {said:?}"
        );
    }
    let watched = node.to_owned() + "watch_interval_s = 9\n";
    assert_eq!(
        warned(&(source.clone() + &watched), &host()),
        Vec::<String>::new()
    );
    let signals = "armed_max = 9\nsignal_slots_max = 9\ndependent_sources = [[1, 2]]\n";
    let said = warned(&(source.clone() + signals), &host()).join("\n");
    for name in ["armed_max", "signal_slots_max", "dependent_sources"] {
        assert!(
            said.contains(&format!("engine.{name} = ")),
            "{name}: {said}"
        );
    }
    let trusted = source.replace("\"unverified\"", "\"trusted\"");
    let said = warned(&trusted, &host());
    assert!(
        said.len() == 1 && said[0].contains("engine.act_on_unverified = true: has no effect"),
        "{said:?}"
    );
    let pinned = of_kind("udp", "127.0.0.1:7", "cpu = 0\n") + ACTS;
    let said = warned(&pinned, &fused);
    assert!(
        said.len() == 1 && said[0].contains("ingest.sources[0].cpu = 0"),
        "{said:?}"
    );
    assert_eq!(warned(&pinned, &host()), Vec::<String>::new());
}

/// Goal: what could be a key of an account at a provider is in nothing that is printed of a configuration. Method: one in every
/// URL of the configuration that has everything, as it is shown, refused, warned of, and where the file is no TOML.
#[test]
fn no_secret_of_a_url_is_printed() {
    const SECRET: &str = "5ecretKeyOfAnAccount";
    let full = full().to_toml();
    let urls = full.matches("\"http").count();
    assert_eq!(urls, 4, "a new key with a URL belongs to `without_secrets`");
    let full = full.replacen("[ingest]\n", "[ingest]\nleaders_rpc = \"http://a:1\"\n", 1);
    let full = full.replacen("leaders_file = ", "# leaders_file = ", 1);
    for ending in ["/KEY", "/?api-key=KEY", "?KEY", "/a/KEY/b", "/@KEY"] {
        let ending = ending.replace("KEY", SECRET);
        let lines = full.lines().map(|line| match line.contains("\"http") {
            true => format!("{}{ending}\"", line.trim_end_matches('"')),
            false => line.to_owned(),
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        assert_eq!(text.matches(SECRET).count(), urls + 1);
        let config = Config::parse(&text, "text").unwrap();
        let shown = config.clone().without_secrets();
        assert!(!shown.to_toml().contains(SECRET), "{}", shown.to_toml());
        let said = surveyed(&text).join("\n");
        assert!(
            said.contains("shredstream.endpoint = ") && !said.contains(SECRET),
            "{said}"
        );
        let plan = format!("{:?}", config.checked(&host(), true).0.venues);
        assert!(!plan.contains(SECRET), "{plan}");
        // One line after the other is torn.
        for line in text.lines().filter(|line| line.contains(SECRET)) {
            for torn in [
                line.trim_end_matches('"').to_owned(),
                line.replace('"', ""),
                line.replace(" = ", " "),
                format!("{line} x"),
                line.replace(line.split(" = ").next().unwrap(), "enabled"),
            ] {
                let said = surveyed(&text.replace(line, &torn)).join("\n");
                assert!(!said.is_empty() && !said.contains(SECRET), "{torn}\n{said}");
            }
        }
    }
    let user = format!("[venues]\nrpc = \"http://me:{SECRET}@node:1\"\n");
    let said = surveyed(&user).join("\n");
    assert!(
        said.contains("venues.rpc = \"http://node:1/***\"") && !said.contains(SECRET),
        "{said}"
    );
    let paper = format!("[submit]\nendpoint = \"https://node/{SECRET}\"\n");
    let said = warned(&paper, &host()).join("\n");
    assert!(
        said.contains("submit.endpoint = ") && !said.contains(SECRET),
        "{said}"
    );
}

#[test]
fn a_credential_is_checked_where_it_is_handed_over() {
    let mut outside = host();
    outside.credentials_dir = None;
    let text = of_kind(
        "quic",
        "0.0.0.0:1",
        &format!("identity_file = \"credential:node\"\npeers = [\"{KEY}\"]"),
    ) + ACTS;
    assert_eq!(warned(&text, &host()), Vec::<String>::new());
    let said = warned(&text, &outside);
    assert!(
        said.len() == 1
            && said[0].contains("not checked outside the unit")
            && said[0].contains("LoadCredential=node:"),
        "{said:?}"
    );
    let config = Config::parse(&text, "text").unwrap();
    assert!(config.plan(&outside).is_err(), "a start needs it");
    assert!(config.named_files(&outside).is_empty());
    let named = config.named_files(&host()).remove(0);
    assert_eq!(
        named.path,
        Path::new("/run/credentials/overmind.service/node")
    );
}

#[test]
fn a_lookup_table_is_an_address_of_the_file_and_for_v0() {
    let field = "bundle.lookup_table";
    let file = "[market]\nlookup_tables = \"/t.json\"\n[bundle]\n";
    let named = format!("lookup_table = \"{KEY}\"\n");
    refuses(&format!("[bundle]\n{named}"), field, &format!("{KEY:?}"));
    refuses(&format!("{file}lookup_table = \"none\""), field, "\"none\"");
    refuses(
        &format!("{file}{named}template = \"v1\""),
        field,
        &format!("{KEY:?}"),
    );
    let planned = plan(&format!("{file}{named}")).unwrap();
    assert_eq!(
        planned
            .lookup_table
            .as_ref()
            .map(crate::lookup_tables::text),
        Some(KEY.to_owned())
    );
    assert_eq!(planned.builder.lookup_table, None, "nobody has read it");
    // What is too long without a table may fit with one.
    let long = "dont_front = true\nslot_guard_slots = 3\nwallet_floor_lamports = 5\n";
    assert!(plan(&format!("{file}{long}")).is_err());
    assert!(plan(&format!("{file}{named}{long}")).is_ok());
}

#[test]
fn paths_are_whole_and_names_are_cut() {
    let leaders = "ingest.leaders_file";
    refuses("[ingest]\nleaders_file = \"l.json\"", leaders, "\"l.json\"");
    refuses(
        "[ingest]\nleaders_file = \"/a\\u0000b\"",
        leaders,
        "\"/a\\0b\"",
    );
    let tables = "market.lookup_tables";
    refuses("[market]\nlookup_tables = \"t.json\"", tables, "\"t.json\"");
    let named = Config::parse("[market]\nlookup_tables = \"/t.json\"", "text").unwrap();
    let file = named.named_files(&host()).remove(0);
    assert_eq!(
        (file.key.as_str(), file.kind),
        (tables, FileKind::LookupTables)
    );
    let message = refusal("[admin]\nsocket = \"/a\\u0000b\"");
    assert!(message.contains("NUL"), "{message}");
    let long = "x".repeat(100_000);
    let blanks = "x ".repeat(50_000);
    for text in [
        format!(
            "[[ingest.sources]]\nname = \"{long}\"\nbind = \"127.0.0.1:1\"\npolicy = \"unverified\""
        ),
        format!(
            "[[ingest.sources]]\nname = \"{blanks}\"\nbind = \"127.0.0.1:1\"\npolicy = \"unverified\""
        ),
        format!("[risk]\n{long} = 1"),
        format!("[http]\nbind = \"{long}\""),
        format!("[threads]\nidle = \"{long}\""),
        format!("[bridge]\nendpoint = \"{long}\""),
    ] {
        let said = surveyed(&text).join("\n");
        assert!(said.len() < 6_000, "{} bytes for {:.40}", said.len(), text);
        assert!(refusal(&text).len() < 6_000);
    }
}

#[test]
fn an_address_that_is_none_is_answered_with_one() {
    for (typed, hint) in [
        ("localhost:23001", "write 127.0.0.1:23001"),
        ("127.0.0.1", "write 127.0.0.1:PORT"),
        ("::1", "write [::1]:PORT"),
        ("example.org:1", "write ADDRESS:PORT"),
    ] {
        let message = refusal(&of_kind("udp", typed, ""));
        assert!(message.contains(hint), "{message}");
    }
    let message = refusal(&of_kind("udp", "0.0.0.0:1", "multicast_group = \"g\""));
    assert!(message.contains("239.1.1.1"), "{message}");
    let stream = "[shredstream]\nenabled = true\nregions = []\n";
    let said = refusal(stream);
    assert!(
        said.contains("name the nearest") && !said.contains("ignored"),
        "{said}"
    );
}

/// Goal: a start tells what `config check` tells, with lines; and what is no file is not read.
#[test]
fn a_start_lists_what_a_check_lists() {
    let folder = crate::regular::tests::Folder::new("config");
    let path = folder.0.join("overmind.toml");
    let listed = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let host = Host::read();
        let started = Config::load(&path).and_then(|config| config.plan(&host));
        let checked = Survey::of_file(&path, &host).and_then(Survey::verdict);
        let (started, checked) = (started.unwrap_err(), checked.unwrap_err());
        assert_eq!(started.to_string(), checked.to_string());
        started.to_string().replace(path.to_str().unwrap(), "file")
    };
    let said = listed("[threads]\npark_us = 0\n[risk]\nwindow_ms = 1\n");
    assert!(
        said.starts_with("file:2:1: ") && said.contains("\nfile:4:1: "),
        "{said}"
    );
    let said = listed("[threads]\npark_us = \"x\"\nsurprise = 1\n[risk]\nwindow_ms = 1\n");
    assert_eq!(said.lines().count(), 3, "{said}");
    // What is absent is looked for where it belongs.
    let said = listed(
        "[threads]\npark_us = 5\n[[ingest.sources]]\nname = \"a\"\nbind = \"127.0.0.1:1\"\n",
    );
    assert!(
        said.starts_with("file:3:1: ingest.sources[0].policy"),
        "{said}"
    );
    let fifo = folder.fifo();
    for (path, word) in [
        (fifo.as_path(), "FIFO"),
        (Path::new("/dev/zero"), "device"),
        (&folder.0, "directory"),
    ] {
        let said = Config::load(path).unwrap_err().to_string();
        assert!(said.contains(word), "{said}");
    }
    std::fs::write(&path, "#".repeat(2 << 20)).unwrap();
    let said = Config::load(&path).unwrap_err().to_string();
    assert!(said.contains("at most"), "{said}");
}

fn config_like() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "mode",
            "ingest",
            "ingest.sources",
            "threads",
            "strategy",
            "risk",
            "engine",
            "bundle",
            "submit",
            "bridge",
            "bridge.producers",
            "admin",
            "http",
            "capture",
            "name",
            "bind",
            "policy",
            "endpoint",
            "key_file",
            "budget_lamports",
            "park_us",
            "creators_allow",
            "tip_accounts",
            "fec_sets_max",
            "socket",
            "id",
            "kind",
            "shredstream",
            "peers",
            "interface",
            "multicast_group",
        ])
        .prop_map(str::to_owned),
        "[a-z_]{0,12}",
    ];
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<f64>().prop_map(|x| x.to_string()),
        "\\PC{0,20}".prop_map(|text| format!("{text:?}")),
        Just("\"127.0.0.1:8080\"".to_owned()),
        Just(format!("[\"{KEY}\"]")),
        Just("[]".to_owned()),
    ];
    let line = prop_oneof![
        name.clone().prop_map(|name| format!("[{name}]")),
        name.clone().prop_map(|name| format!("[[{name}]]")),
        (name, value).prop_map(|(name, value)| format!("{name} = {value}")),
        "\\PC{0,30}",
    ];
    prop::collection::vec(line, 0..24).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_text_panics(text in config_like()) {
        let planned = plan(&text);
        let surveyed = Config::survey(&text, "text", &host());
        prop_assert_eq!(planned.is_ok(), surveyed.is_ok());
        let _ = (planned.map_err(|error| error.to_string()), surveyed.map_err(|error| error.to_string()));
    }

    #[test]
    fn no_bytes_panic(text in "\\PC*") {
        let _ = plan(&text).map_err(|error| error.to_string());
    }

    /// One number of the example replaced by any other: a plan or a message, and a plan within bounds.
    #[test]
    fn any_number_anywhere_is_taken_or_refused(at in any::<prop::sample::Index>(), number in any::<i64>()) {
        let lines: Vec<&str> = Config::example().lines().collect();
        let numeric: Vec<usize> = (0..lines.len())
            .filter(|&line| !lines[line].starts_with('#') && lines[line].ends_with(|c: char| c.is_ascii_digit()))
            .collect();
        let chosen = numeric[at.index(numeric.len())];
        let key = lines[chosen].split(' ').next().unwrap();
        let replaced = format!("{key} = {number}");
        let text: Vec<&str> = (0..lines.len())
            .map(|line| if line == chosen { replaced.as_str() } else { lines[line] })
            .collect();
        match plan(&text.join("\n")) {
            Ok(plan) => {
                let engine::EngineConfig { params, limits, .. } = &plan.engine;
                prop_assert_eq!(plan.engine.check(), Ok(()));
                prop_assert!(params.budget.0 + params.entry_tip.0 <= limits.per_trade_max.0);
                prop_assert!(params.entry_tip <= limits.tip_max && params.exit_tip <= limits.tip_max);
                prop_assert!(plan.ingest.memory.total_bytes() < 1 << 40);
            }
            Err(error) => prop_assert!(error.to_string().contains(key), "{}", error),
        }
    }
}
