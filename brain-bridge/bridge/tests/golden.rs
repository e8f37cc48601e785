//! Golden vectors: the same frames, byte for byte, in Rust and Python.
//!
//! `brain-bridge/python/tests/golden.json` holds fields, key material and bytes. This test writes
//! the file anew and compares; the Python tests encode the fields and compare with the bytes.
//! After a deliberate change of the layout:
//! `OVERMIND_WRITE_GOLDEN=1 cargo test -p brain-bridge --test golden`.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use brain_wire::frame::Frame;
use brain_wire::{
    FRAME_LEN, Family, Head, HeartbeatFrame, HelloAckFrame, HelloFrame, HelloKey, MacKey, Message,
    NackReason, ReplyFrame, SessionKeys, SignalFrame, Template,
};
use serde_json::{Map, Value, json};

const SHARED: [u8; 32] = *b"golden vectors use this one key.";
const NONCE: [u8; 16] = *b"nonce of a brain";
const CHALLENGE: [u8; 32] = *b"challenge made by the executor..";
const EPOCH: u64 = 1_843_200_000_000_017;
const PRODUCER: u16 = 513;

/// Reproducible values; every eighth draw is an extreme.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        match self.0 >> 60 {
            0 => 0,
            1 => u64::MAX,
            _ => self.0,
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    fn head(&mut self, template: Template) -> Head {
        let mut head = Head::new(template, PRODUCER, EPOCH, self.next());
        head.flags = self.next() as u16;
        head
    }

    fn signal(&mut self) -> SignalFrame {
        SignalFrame {
            head: self.head(Template::Signal),
            t_event_ns: self.next(),
            t_send_ns: self.next(),
            ttl_us: self.next() as u32,
            source_id: self.next() as u16,
            family: self.next() as u8,
            side: self.next() as u8,
            as_of_slot: self.next(),
            mint: self.bytes(),
            conviction_ppm: self.next() as i32,
            confidence_ppm: self.next() as u32,
            max_notional_lamports: self.next(),
            max_slippage_bps: self.next() as u32,
            expected_edge_bps: self.next() as i32,
            evidence_id: self.bytes(),
            signal_id: self.next(),
            mac: [0; 16],
        }
    }

    fn heartbeat(&mut self) -> HeartbeatFrame {
        HeartbeatFrame {
            head: self.head(Template::Heartbeat),
            t_event_ns: self.next(),
            t_send_ns: self.next(),
            reserved: [0; 96],
            mac: [0; 16],
        }
    }

    fn hello(&mut self) -> HelloFrame {
        HelloFrame {
            head: Head::new(Template::Hello, PRODUCER, 0, 0),
            t_event_ns: self.next(),
            t_send_ns: self.next(),
            nonce: self.bytes(),
            version_min: self.next() as u16,
            version_max: self.next() as u16,
            reserved: [0; 76],
            mac: [0; 16],
        }
    }

    fn hello_ack(&mut self) -> HelloAckFrame {
        HelloAckFrame {
            head: self.head(Template::HelloAck),
            t_receive_ns: self.next(),
            t_send_ns: self.next(),
            nonce: NONCE,
            challenge: CHALLENGE,
            current_slot: self.next(),
            max_notional_lamports: self.next(),
            ttl_max_us: self.next() as u32,
            rate_per_second: self.next() as u32,
            rate_burst: self.next() as u32,
            families: self.next() as u32,
            confidence_min_ppm: self.next() as u32,
            heartbeat_timeout_ms: self.next() as u32,
            reserved: [0; 8],
            mac: [0; 16],
        }
    }

    fn reply(&mut self, template: Template) -> ReplyFrame {
        ReplyFrame {
            head: self.head(template),
            t_receive_ns: self.next(),
            t_send_ns: self.next(),
            echo_t_send_ns: self.next(),
            current_slot: self.next(),
            signal_id: self.next(),
            max_notional_lamports: self.next(),
            expires_monotonic_ns: self.next(),
            ring_free_count: self.next() as u32,
            retry_after_ms: self.next() as u32,
            reason: self.next() as u8,
            reserved: [0; 47],
            mac: [0; 16],
        }
    }
}

/// Puts the named fields of a struct into a JSON object: byte arrays in hexadecimal, 64-bit
/// numbers as strings because JSON readers lose them above 2^53.
macro_rules! fields {
    ($from:expr, $($field:ident),*) => {{
        let mut object = Map::new();
        $(object.insert(stringify!($field).to_owned(), $from.$field.to_json());)*
        object
    }};
}

trait ToJson {
    fn to_json(&self) -> Value;
}

macro_rules! numbers_to_json {
    ($($number:ty)*) => {$(impl ToJson for $number {
        fn to_json(&self) -> Value {
            json!(self)
        }
    })*};
}
numbers_to_json!(u8 u16 u32 i32);

impl ToJson for u64 {
    fn to_json(&self) -> Value {
        json!(self.to_string())
    }
}

impl<const N: usize> ToJson for [u8; N] {
    fn to_json(&self) -> Value {
        json!(hex(self))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entry<F: Frame>(
    name: &str,
    key_name: &str,
    key: &MacKey,
    head: Head,
    fields: Map<String, Value>,
    frame: F,
) -> Value {
    let sealed = frame.sealed(key);
    let bytes = sealed.as_bytes();
    assert!(Message::parse(bytes).is_ok() && key.verify(bytes) && bytes.len() == FRAME_LEN);
    let mut all = fields!(head, flags, producer_id, session_epoch, seq);
    all.extend(fields);
    json!({ "template": name, "key": key_name, "fields": all, "hex": hex(bytes) })
}

fn frames() -> Vec<Value> {
    let session = SessionKeys::derive(&SHARED, PRODUCER, &NONCE, &CHALLENGE, EPOCH);
    let hello_key = HelloKey::derive(&SHARED, PRODUCER).0;
    let mut draw = Draw(0x0bad_5eed);
    let mut entries = Vec::new();
    for _ in 0..100 {
        let f = draw.signal();
        let fields = fields!(
            f,
            t_event_ns,
            t_send_ns,
            ttl_us,
            source_id,
            family,
            side,
            as_of_slot,
            mint,
            conviction_ppm,
            confidence_ppm,
            max_notional_lamports,
            max_slippage_bps,
            expected_edge_bps,
            evidence_id,
            signal_id
        );
        entries.push(entry("signal", "brain", &session.brain, f.head, fields, f));
    }
    for _ in 0..8 {
        let f = draw.heartbeat();
        let fields = fields!(f, t_event_ns, t_send_ns);
        entries.push(entry(
            "heartbeat",
            "brain",
            &session.brain,
            f.head,
            fields,
            f,
        ));
        let f = draw.hello();
        let fields = fields!(f, t_event_ns, t_send_ns, nonce, version_min, version_max);
        entries.push(entry("hello", "hello", &hello_key, f.head, fields, f));
        let f = draw.hello_ack();
        let fields = fields!(
            f,
            t_receive_ns,
            t_send_ns,
            nonce,
            challenge,
            current_slot,
            max_notional_lamports,
            ttl_max_us,
            rate_per_second,
            rate_burst,
            families,
            confidence_min_ppm,
            heartbeat_timeout_ms
        );
        entries.push(entry(
            "hello_ack",
            "executor",
            &session.executor,
            f.head,
            fields,
            f,
        ));
        for (name, template) in [
            ("ack", Template::Ack),
            ("nack", Template::Nack),
            ("pong", Template::Pong),
        ] {
            let f = draw.reply(template);
            let fields = fields!(
                f,
                t_receive_ns,
                t_send_ns,
                echo_t_send_ns,
                current_slot,
                signal_id,
                max_notional_lamports,
                expires_monotonic_ns,
                ring_free_count,
                retry_after_ms,
                reason
            );
            entries.push(entry(
                name,
                "executor",
                &session.executor,
                f.head,
                fields,
                f,
            ));
        }
    }
    entries
}

#[test]
fn the_committed_vectors_are_what_this_code_writes() {
    let families: Map<_, _> = Family::all()
        .map(|f| (f.name().to_owned(), json!(f as u8)))
        .collect();
    let reasons: Map<_, _> = NackReason::all()
        .map(|r| (r.name().to_owned(), json!([r as u8, r.hint()])))
        .collect();
    let vectors = json!({
        "shared_key": hex(&SHARED),
        "producer_id": PRODUCER,
        "nonce": hex(&NONCE),
        "challenge": hex(&CHALLENGE),
        "session_epoch": EPOCH.to_string(),
        "families": families,
        "reasons": reasons,
        "frames": frames(),
    });
    let text = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/tests/golden.json");
    if std::env::var_os("OVERMIND_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == text,
        "layout, codes or reasons changed: see the top of this test"
    );
}
