//! `signal-inject`: sends one signal to a running executor and says what became of it.
#![allow(missing_docs)] // a binary: the help text is the documentation

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use brain_bridge::{Answer, BridgeClient, ClientError, SharedKey, now, parse_decimal};
use brain_wire::frame::Frame;
use brain_wire::signal::NEXT_LAUNCH;
use brain_wire::{Family, NackReason, ReplyFrame, Side, Signal, SignalFlags, SignalFrame};
use clap::{ArgGroup, Parser, ValueEnum};
use serde_json::json;
use sha2::{Digest, Sha256};

const ACKED: u8 = 0;
const USAGE: u8 = 2;
const REFUSED: u8 = 3;
const NO_ANSWER: u8 = 4;

const EXAMPLES: &str = "\
Examples:
  signal-inject --keygen brain.key
  signal-inject --key brain.key --next-launch --side buy --notional-sol 0.05
  signal-inject --key brain.key --mint So11111111111111111111111111111111111111112 \\
                --side sell --ttl-ms 800 --json
  signal-inject --key brain.key --next-launch --side buy --notional-sol 0.05 --expired

Exit codes:
  0  acknowledged: the signal is in the executor's ring (with --test: it would be)
  2  the command line, key file or endpoint is wrong; nothing was sent
  3  refused; the reason and what to do about it are printed
  4  no answer within --timeout-ms";

/// Sends one authenticated signal to a running executor.
///
/// The executor decides what it does with it: its own limits clamp every amount, and a signal can
/// name neither a destination nor a program nor a looser limit.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
#[command(group(ArgGroup::new("what").args(["mint", "next_launch"])))]
#[command(group(ArgGroup::new("fault").args(["repeat_last", "expired", "forge", "oversize"])))]
struct Options {
    /// Where the executor's bridge listens
    #[arg(long, default_value = "ipc:///run/overmind/signal.ipc")]
    endpoint: String,
    /// File with the key shared with the executor
    #[arg(long, required_unless_present = "keygen")]
    key: Option<PathBuf>,
    /// Make a new key in FILE (mode 0600, must not exist) and exit
    #[arg(long, value_name = "FILE", exclusive = true)]
    keygen: Option<PathBuf>,
    /// Producer id, as in the executor's [[bridge.producers]]
    #[arg(long, default_value_t = 1)]
    producer: u16,
    /// Mint the signal is about
    #[arg(long, value_name = "BASE58", value_parser = parse_mint)]
    mint: Option<[u8; 32]>,
    /// The signal is about the next launch, whatever its mint
    #[arg(long)]
    next_launch: bool,
    /// What to ask for
    #[arg(long, required_unless_present = "keygen")]
    side: Option<SideName>,
    /// Family the signal speaks for: onchain, technical, mycelial, social, whale, arbitrage,
    /// launch, macro, risk, consensus, operator
    #[arg(long, default_value = "operator", value_parser = parse_family)]
    family: Family,
    /// Spend no more than this, in SOL
    #[arg(long, value_name = "SOL", value_parser = |text: &str| parse_decimal(text, 9))]
    notional_sol: Option<u64>,
    /// Accept no worse price than this
    #[arg(long, default_value_t = 500)]
    slippage_bps: u32,
    /// How long the signal is good for
    #[arg(long, default_value_t = 2_000)]
    ttl_ms: u32,
    /// Probability of being right, 0 to 1
    #[arg(long, default_value = "0.9", value_parser = |text: &str| parse_decimal(text, 6))]
    confidence: u64,
    /// Root evidence: 32 hexadecimal digits as they are, any other text by its hash
    #[arg(long, value_name = "TEXT")]
    evidence: Option<String>,
    /// Slot the signal is as of; the executor's own when not given
    #[arg(long)]
    slot: Option<u64>,
    /// Name of this decision; random when not given
    #[arg(long)]
    signal_id: Option<u64>,
    /// Act on it only to reduce a position
    #[arg(long)]
    reduce_only: bool,
    /// Run every check and answer, but arm nothing
    #[arg(long)]
    test: bool,
    /// How long to wait for each answer
    #[arg(long, default_value_t = 1_000)]
    timeout_ms: u64,
    /// Print one JSON object per answer
    #[arg(long)]
    json: bool,
    /// Show a refusal: send the same bytes a second time
    #[arg(long)]
    repeat_last: bool,
    /// Show a refusal: send it as if it had been on its way for too long
    #[arg(long)]
    expired: bool,
    /// Show a refusal: alter the amount after sealing
    #[arg(long)]
    forge: bool,
    /// Show a refusal: send 600 bytes
    #[arg(long)]
    oversize: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SideName {
    Buy,
    Sell,
    Veto,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let code = match &options.keygen {
        Some(path) => keygen(path),
        None => inject(&options),
    };
    ExitCode::from(code)
}

fn keygen(path: &Path) -> u8 {
    match SharedKey::generate(path) {
        Ok(_) => {
            println!(
                "key written to {0}, mode 0600; name it in key_file of [[bridge.producers]]",
                path.display()
            );
            ACKED
        }
        Err(error) => usage(&error.to_string()),
    }
}

fn inject(options: &Options) -> u8 {
    let Some(path) = &options.key else {
        return usage("--key FILE is needed");
    };
    let key = match SharedKey::load(path) {
        Ok(key) => key,
        Err(error) => return usage(&error.to_string()),
    };
    let signal = match signal(options) {
        Ok(signal) => signal,
        Err(error) => return usage(&error),
    };
    let timeout = Duration::from_millis(options.timeout_ms.max(1));
    let outcome = BridgeClient::connect(&options.endpoint, options.producer, &key, timeout)
        .and_then(|mut client| send(options, &mut client, signal));
    outcome.unwrap_or_else(|error| report_error(options, &error))
}

/// Builds the signal; session, sequence number and send stamp come from the client.
fn signal(options: &Options) -> Result<Signal, String> {
    let side = options.side.ok_or("--side is needed")?;
    let mint = match (options.mint, options.next_launch) {
        (Some(mint), _) => mint,
        (None, true) => NEXT_LAUNCH,
        (None, false) => return Err("name the mint with --mint BASE58, or --next-launch".into()),
    };
    if side == SideName::Buy && options.notional_sol.is_none_or(|lamports| lamports == 0) {
        return Err("a buy needs --notional-sol, the most it may spend".into());
    }
    let signal_id = match options.signal_id {
        Some(id) => id,
        None => random_id()?,
    };
    let mut flags = SignalFlags::SAME_HOST_CLOCK;
    let wanted = [
        (options.test, SignalFlags::TEST),
        (options.reduce_only, SignalFlags::REDUCE_ONLY),
        (side == SideName::Veto, SignalFlags::VETO),
    ];
    for (_, flag) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
        flags = flags.with(flag);
    }
    let confidence_ppm = u32::try_from(options.confidence).unwrap_or(u32::MAX);
    let strength = i32::try_from(confidence_ppm).unwrap_or(i32::MAX);
    Ok(Signal {
        producer_id: options.producer,
        session_epoch: 0,
        seq: 0,
        flags,
        t_event_ns: now().realtime_ns,
        t_send_ns: 0,
        ttl_us: options.ttl_ms.saturating_mul(1_000),
        source_id: 0,
        family: options.family,
        side: match side {
            SideName::Buy => Side::Buy,
            SideName::Sell => Side::Sell,
            SideName::Veto => Side::None,
        },
        as_of_slot: options.slot.unwrap_or(0),
        mint,
        conviction_ppm: if side == SideName::Buy {
            strength
        } else {
            -strength
        },
        confidence_ppm,
        max_notional_lamports: options.notional_sol.unwrap_or(0),
        max_slippage_bps: options.slippage_bps,
        expected_edge_bps: 0,
        evidence_id: evidence_id(options.evidence.as_deref(), signal_id),
        signal_id,
    })
}

fn send(
    options: &Options,
    client: &mut BridgeClient,
    mut signal: Signal,
) -> Result<u8, ClientError> {
    if options.slot.is_none() {
        signal.as_of_slot = client.hello().current_slot;
    }
    let mut frame = client.seal(&signal);
    if options.expired {
        let age_ns = u64::from(frame.ttl_us) * 1_000 + 1_000_000;
        frame.t_send_ns = frame.t_send_ns.saturating_sub(age_ns);
        frame = client.reseal(frame);
    }
    if options.forge {
        frame.max_notional_lamports ^= 1 << 40;
    }
    let mut bytes = frame.as_bytes().to_vec();
    if options.oversize {
        bytes.resize(600, 0);
    }
    let mut code = ACKED;
    for _ in 0..=u8::from(options.repeat_last) {
        let sent_ns = now().monotonic_ns;
        let answer = client.exchange(&bytes)?;
        let round_trip_us = (now().monotonic_ns - sent_ns) / 1_000;
        code = report(options, &frame, &answer, round_trip_us);
    }
    Ok(code)
}

fn report(options: &Options, frame: &SignalFrame, answer: &Answer, round_trip_us: u64) -> u8 {
    match answer {
        Answer::Ack(reply) | Answer::Pong(reply) => {
            report_ack(options, frame, reply, round_trip_us);
            ACKED
        }
        Answer::Nack {
            reason,
            authentic,
            reply,
        } => {
            report_nack(options, *reason, *authentic, reply);
            REFUSED
        }
    }
}

fn report_ack(options: &Options, frame: &SignalFrame, reply: &ReplyFrame, round_trip_us: u64) {
    let left_ns = reply
        .expires_monotonic_ns
        .saturating_sub(reply.t_receive_ns);
    if options.json {
        // 64-bit numbers are strings: JSON readers lose them above 2^53.
        println!(
            "{}",
            json!({
                "result": "ack",
                "armed": !options.test,
                "signal_id": reply.signal_id.to_string(),
                "session_epoch": reply.head.session_epoch.to_string(),
                "seq": reply.head.seq.to_string(),
                "max_notional_lamports": reply.max_notional_lamports.to_string(),
                "clamped": reply.max_notional_lamports < frame.max_notional_lamports,
                "expires_in_us": left_ns / 1_000,
                "current_slot": reply.current_slot.to_string(),
                "ring_free_count": reply.ring_free_count,
                "round_trip_us": round_trip_us,
            })
        );
        return;
    }
    let verb = if options.test {
        "would be armed"
    } else {
        "armed"
    };
    println!(
        "{verb}: signal {} for {} ms, {} us round trip",
        reply.signal_id,
        left_ns / 1_000_000,
        round_trip_us
    );
    if reply.max_notional_lamports < frame.max_notional_lamports {
        println!(
            "lowered to the producer's cap: {} lamports",
            reply.max_notional_lamports
        );
    }
}

fn report_nack(options: &Options, reason: Option<NackReason>, authentic: bool, reply: &ReplyFrame) {
    let name = reason.map_or("unknown", NackReason::name);
    let hint = reason.map_or(
        "the executor is newer than this tool; upgrade it",
        NackReason::hint,
    );
    if options.json {
        println!(
            "{}",
            json!({
                "result": "nack",
                "reason": name,
                "code": reply.reason,
                "hint": hint,
                "authentic": authentic,
                "signal_id": reply.signal_id.to_string(),
                "seq": reply.head.seq.to_string(),
                "current_slot": reply.current_slot.to_string(),
                "retry_after_ms": reply.retry_after_ms,
            })
        );
        return;
    }
    println!("refused: {name}");
    println!("  {hint}");
    if reply.retry_after_ms != 0 {
        println!("  retry after {} ms", reply.retry_after_ms);
    }
}

fn report_error(options: &Options, error: &ClientError) -> u8 {
    match error {
        ClientError::HelloRefused(reason, reply) => {
            report_nack(options, *reason, false, reply);
            REFUSED
        }
        ClientError::NoAnswer(_) => fail(options, "no_answer", error, NO_ANSWER),
        ClientError::NotTheExecutor => fail(options, "not_the_executor", error, REFUSED),
        ClientError::ZeroMq(_) | ClientError::NoRandomness(_) => usage(&error.to_string()),
    }
}

fn fail(options: &Options, result: &str, error: &ClientError, code: u8) -> u8 {
    if options.json {
        println!("{}", json!({ "result": result, "hint": error.to_string() }));
    } else {
        eprintln!("signal-inject: {error}");
    }
    code
}

fn usage(error: &str) -> u8 {
    eprintln!("signal-inject: {error}");
    USAGE
}

fn parse_mint(text: &str) -> Result<[u8; 32], String> {
    let mut mint = [0; 32];
    match bs58::decode(text).onto(&mut mint) {
        Ok(32) => Ok(mint),
        _ => Err("not the base58 form of 32 bytes".into()),
    }
}

fn parse_family(text: &str) -> Result<Family, String> {
    Family::from_name(text).ok_or_else(|| "no such family; see --help".into())
}

fn random_id() -> Result<u64, String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(u64::from_le_bytes(bytes) | 1)
}

/// The same rule as the Python client: 16 bytes in hexadecimal as they are, other text hashed.
/// Without evidence the signal is its own root.
fn evidence_id(text: Option<&str>, signal_id: u64) -> [u8; 16] {
    let Some(text) = text else {
        return hash(&signal_id.to_le_bytes());
    };
    let hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u128::from_str_radix(text, 16) {
        Ok(value) if hexadecimal => value.to_be_bytes(),
        _ => hash(text.as_bytes()),
    }
}

fn hash(bytes: &[u8]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(bytes)[..16]);
    id
}
