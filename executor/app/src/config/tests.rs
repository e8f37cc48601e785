//! One refusal per rule, and no text that panics.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const KEY: &str = "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5";

fn host() -> Host {
    Host {
        cpus: vec![0, 1, 2, 3],
        runtime_dir: PathBuf::from("/run/overmind"),
        state_dir: PathBuf::from("/var/lib/overmind"),
        credentials_dir: Some(PathBuf::from("/run/credentials/overmind.service")),
    }
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

#[test]
fn the_example_is_the_defaults_plus_one_source_and_its_leaders() {
    let example = Config::parse(Config::example(), "example").unwrap();
    let mut expected = Config::default();
    expected.ingest.leaders_file = Some(PathBuf::from("/etc/overmind/leaders.json"));
    expected.ingest.sources = vec![SourceConfig {
        name: "local".to_owned(),
        bind: "127.0.0.1:20000".parse().unwrap(),
        redistributable: false,
        policy: Policy::Verified,
        cpu: None,
        busy_poll_us: None,
    }];
    assert_eq!(example, expected);
    let plan = example.plan(&host()).unwrap();
    assert_eq!(plan.mode, Mode::Paper);
    assert!(matches!(plan.submit, SubmitPlan::Paper));
    assert_eq!(plan.http, Some("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(plan.ingest.memory.frames_bytes, 8_192 * 2_048);
    assert!(plan.threads.split);
    assert_eq!(plan.files_needed()[0].0, "ingest.leaders_file");
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
    config.ingest.sources[0].cpu = Some(1);
    config.threads.core_cpu = Some(2);
    config.threads.submit_cpu = Some(3);
    config.ingest.sources[0].busy_poll_us = Some(50);
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
        "mode", "ingest", "threads", "strategy", "risk", "engine", "bundle", "submit", "bridge",
        "admin", "http", "capture",
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
        ("strategy", "dev_buy_min_lamports", 0, 5_000_000_000),
        ("strategy", "dev_buy_max_lamports", 100_000_000, sixty),
        ("strategy", "entry_slots_max", 0, 1_000),
        ("strategy", "budget_lamports", 1, 99_900_000),
        ("strategy", "entry_slippage_bps", 0, 9_999),
        ("strategy", "exit_slippage_bps", 0, 9_999),
        ("strategy", "stop_slippage_bps", 0, 9_999),
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

#[test]
fn the_embedded_source_needs_no_leaders_file_and_no_port() {
    let config = Config::default().with_embedded_source("127.0.0.1:0".parse().unwrap());
    let plan = config.plan(&host()).unwrap();
    assert_eq!(
        plan.ingest.sources[0].policy,
        shred_resolve::Policy::VerifyThenEmit
    );
    assert!(plan.files_needed().is_empty());
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
        refuses(&lane(far), "submit.endpoint", &format!("\"{far}\""));
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
    let mut small = host();
    small.cpus = vec![0, 1];
    assert!(!Config::default().plan(&small).unwrap().threads.split);
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
fn every_problem_is_listed_at_once() {
    let message = refusal("[threads]\npark_us = 0\n[risk]\nwindow_ms = 1\n");
    assert_eq!(message.lines().count(), 2, "{message}");
    assert!(message.contains(
        "threads.park_us = 0: must be 1 to 10000 microseconds; the nearest allowed value is 1"
    ));
}

#[test]
fn the_reading_of_this_host_gives_a_usable_plan() {
    let host = Host::read();
    assert!(!host.cpus.is_empty());
    Config::default().plan(&host).unwrap();
}

/// Text that looks like a configuration, right or wrong.
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
        let _ = plan(&text).map_err(|error| error.to_string());
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
