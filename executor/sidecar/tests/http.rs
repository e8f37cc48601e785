//! The pages as a client on TCP sees them.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sidecar::{Control, Health, LatencyCells, Sidecar, Snapshot, State};

/// An executor reduced to the cells that its page reads.
#[derive(Default)]
struct Cells {
    control: AtomicU8,
    received: AtomicU64,
    age_ms: AtomicU64,
    decide: LatencyCells,
}

impl Cells {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new(Health {
            mode: "paper",
            state: State::Running,
            control: Control::from_byte(self.control.load(Relaxed)),
            uptime_ms: 90_500,
            last_datagram_age_ms: Some(self.age_ms.load(Relaxed)),
            ..Health::default()
        });
        snapshot
            .counter("ingest_datagram_received", "Datagrams received.")
            .with(&[("source", "local")], self.received.load(Relaxed))
            .with(&[("source", "odd\"<na\\me>")], 7);
        snapshot
            .gauge("position_open", "Positions held.")
            .with(&[], -1);
        snapshot
            .bytes("ingest_arena", "Memory of the arenas.")
            .with(&[], 4_096);
        snapshot
            .nanos("slot_duration", "Learned length of a slot.")
            .with(&[], 400_000_000);
        snapshot
            .latency("stage_latency", "Time a rung took.")
            .with(&[("rung", "l1")], self.decide.read());
        snapshot
    }
}

fn spawn(cells: &Arc<Cells>) -> Sidecar {
    let cells = Arc::clone(cells);
    sidecar::spawn(
        "127.0.0.1:0".parse().unwrap(),
        Arc::new(move || cells.snapshot()),
    )
    .unwrap()
}

/// Sends one request and returns status code, head and body.
fn request(address: SocketAddr, line: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn health_answers_200_while_fed_and_503_with_the_reason_otherwise() {
    let cells = Arc::new(Cells::default());
    let page = spawn(&cells);
    let health = || {
        let (status, head, body) = request(page.address(), "GET /health");
        assert!(head.contains("content-type: application/json"));
        (
            status,
            serde_json::from_str::<serde_json::Value>(&body).unwrap(),
        )
    };
    cells.age_ms.store(12, Relaxed);
    let (status, body) = health();
    assert_eq!(status, 200);
    let expected = serde_json::json!({
        "healthy": true, "mode": "paper", "state": "running", "control": "running",
        "uptime_ms": 90_500, "last_datagram_age_ms": 12, "problems": [],
    });
    assert_eq!(body, expected);

    cells.control.store(Control::Killed as u8, Relaxed);
    let (status, body) = health();
    assert_eq!(
        (status, &body["control"], &body["problems"][0]),
        (503, &"killed".into(), &"control is killed".into())
    );

    cells.control.store(Control::Running as u8, Relaxed);
    cells.age_ms.store(60_000, Relaxed);
    assert_eq!(health().0, 503);
}

#[test]
fn metrics_are_open_metrics_with_prefix_units_and_totals() {
    let cells = Arc::new(Cells::default());
    cells.received.store(41, Relaxed);
    cells.decide.record(100);
    cells.decide.record(1_000_000);
    let page = spawn(&cells);
    let (status, head, body) = request(page.address(), "GET /metrics");
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    for line in [
        "# TYPE overmind_ingest_datagram_received counter",
        "overmind_ingest_datagram_received_total{source=\"local\"} 41",
        "overmind_ingest_datagram_received_total{source=\"odd\\\"<na\\\\me>\"} 7",
        "overmind_position_open -1",
        "# UNIT overmind_ingest_arena_bytes bytes",
        "overmind_ingest_arena_bytes 4096",
        "overmind_slot_duration_seconds 0.4",
        "# TYPE overmind_stage_latency_seconds histogram",
        "overmind_stage_latency_seconds_count{rung=\"l1\"} 2",
        "overmind_stage_latency_seconds_sum{rung=\"l1\"} 0.0010001",
        "overmind_stage_latency_seconds_bucket{le=\"1.28e-7\",rung=\"l1\"} 1",
        "overmind_stage_latency_seconds_bucket{le=\"+Inf\",rung=\"l1\"} 2",
        "overmind_control_state{control=\"killed\"} 0",
        "overmind_healthy 1",
        "# EOF",
    ] {
        assert!(
            body.lines().any(|got| got == line),
            "no line `{line}` in\n{body}"
        );
    }
    assert!(
        body.lines()
            .filter(|line| !line.starts_with('#'))
            .all(|line| line.starts_with("overmind_"))
    );
    cells.received.store(42, Relaxed);
    assert!(
        request(page.address(), "GET /metrics")
            .2
            .contains("{source=\"local\"} 42")
    );
}

#[test]
fn the_page_is_escaped_and_loads_nothing() {
    let page = spawn(&Arc::new(Cells::default()));
    let (status, head, body) = request(page.address(), "GET /");
    assert_eq!(status, 200);
    assert!(head.contains("default-src 'none'") && head.contains("x-frame-options: deny"));
    assert!(
        head.contains("; script-src 'self'; connect-src 'self'\r\n"),
        "{head}"
    );
    assert!(body.contains("source odd&quot;&lt;na\\me&gt;") && !body.contains("<na"));
    // One script, its own file.
    assert!(!body.contains("http://") && !body.contains("https://"));
    let scripts: Vec<&str> = body.split("<script").skip(1).collect();
    assert_eq!(scripts.len(), 1, "{body}");
    assert!(
        scripts[0].starts_with(" src=\"/page.js\" defer></script>"),
        "{body}"
    );
    let (status, head, script) = request(page.address(), "GET /page.js");
    assert!(
        status == 200 && head.contains("content-type: text/javascript"),
        "{head}"
    );
    assert!(
        !script.contains("//") && !script.contains("innerHTML"),
        "{script}"
    );
}

#[test]
fn nothing_but_get_on_known_paths_is_answered() {
    let page = spawn(&Arc::new(Cells::default()));
    for (line, status) in [
        ("GET /nothing", 404),
        ("POST /health", 405),
        ("DELETE /metrics", 405),
    ] {
        assert_eq!(request(page.address(), line).0, status, "{line}");
    }
    assert_eq!(request(page.address(), "GET /health").0, 200);
}

#[test]
fn silent_connections_do_not_keep_others_out_and_garbage_does_not_end_it() {
    let page = spawn(&Arc::new(Cells::default()));
    let silent: Vec<TcpStream> = (0..32)
        .map(|_| TcpStream::connect(page.address()).unwrap())
        .collect();
    for garbage in [
        &b"\0\xff\xfe\r\n\r\n"[..],
        &[b'A'; 100_000],
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(page.address()).unwrap();
        let _ = stream.write_all(garbage);
    }
    assert_eq!(request(page.address(), "GET /health").0, 200);
    assert!(page.is_alive());
    drop(silent);
}

#[test]
fn stopping_frees_the_address_and_a_taken_one_is_named() {
    let page = spawn(&Arc::new(Cells::default()));
    let address = page.address();
    let taken = sidecar::spawn(address, Arc::new(|| Snapshot::new(Health::default()))).unwrap_err();
    assert!(taken.to_string().contains(&address.to_string()), "{taken}");
    page.stop();
    drop(std::net::TcpListener::bind(address).unwrap());
}
