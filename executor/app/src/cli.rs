//! What may be typed after `overmind`: every command, flag, example and exit code.
//!
//! This file only describes the command line. What a command does stands in its own file; no
//! subcommand at all means `demo`, so that the first thing a newcomer types shows the machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use strategy::Venue;

use crate::venues::venue_of;

/// Exit codes. They are part of the interface: scripts rely on them.
pub mod exit {
    /// The command did what it was asked.
    pub const OK: u8 = 0;
    /// The command ran and its answer is bad: a check failed, a run did not reach its goal, the
    /// service is unhealthy.
    pub const FAILED: u8 = 1;
    /// The command line, a configuration or a file cannot be used.
    pub const BAD_INPUT: u8 = 2;
    /// Refused on purpose, for instance `--mode live`.
    pub const REFUSED: u8 = 3;
    /// No running executor answered on the admin socket.
    pub const UNREACHABLE: u8 = 4;
    /// What was asked cannot be known.
    pub const UNKNOWN: u8 = 5;
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it ran and the answer is bad (a check failed, a goal was missed)
  2  the command line, the configuration or a file cannot be used
  3  refused on purpose (live mode)
  4  no running executor answered";

/// The command line of `overmind`.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(
    name = "overmind",
    version,
    about = "A Solana executor: raw shreds in, signed bundles out.",
    long_about = "A Solana executor: raw shreds in, signed bundles out.\n\n\
                  Without a command it runs `demo`: an embedded market and block engine on \
                  loopback, throw-away keys, no network.",
    args_conflicts_with_subcommands = true,
    after_help = EXIT_CODES,
    after_long_help = concat!(
        "Examples:\n",
        "  overmind                                    the demo, 30 seconds\n",
        "  overmind run --config overmind.toml         the service, in paper mode\n",
        "  overmind decode capture.pcap | head         transactions of a capture, as JSON\n",
        "  overmind kill                               stop all entries and exits now\n\n",
        "Exit codes:\n",
        "  0  done\n",
        "  1  it ran and the answer is bad (a check failed, a goal was missed)\n",
        "  2  the command line, the configuration or a file cannot be used\n",
        "  3  refused on purpose (live mode)\n",
        "  4  no running executor answered"
    )
)]
pub struct Cli {
    /// The command; `None` means [`Command::Demo`] with [`Cli::demo`].
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of the demo when no command was typed.
    #[command(flatten)]
    pub demo: DemoArgs,
}

impl Cli {
    /// The command to run, with the default filled in.
    pub fn into_command(self) -> Command {
        match self.command {
            Some(command) => command,
            None => Command::Demo(self.demo),
        }
    }
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the embedded market and block engine, and print the latency table.
    Demo(DemoArgs),
    /// Run the service.
    Run(RunArgs),
    /// Pass shreds on to other hosts, each once, and serve their entries over gRPC.
    Relay(RelayArgs),
    /// Replay captures deterministically and print the state hash.
    Replay(ReplayArgs),
    /// Print every transaction of a capture as one JSON line.
    Decode(DecodeArgs),
    /// Record live datagrams to a pcap file.
    Capture(CaptureArgs),
    /// Ask a running executor or relay how it is.
    Status(StatusArgs),
    /// Show which source of shreds is first, how late the others are, and which are dead.
    Sources(SourcesArgs),
    /// Show which venues may be entered and why not, and enable one again.
    Venues(VenuesArgs),
    /// Stop a running executor from sending anything more, entries and exits.
    Kill(KillArgs),
    /// Let a killed executor trade again.
    Resume(ResumeArgs),
    /// Check this host and configuration; changes nothing.
    Doctor(DoctorArgs),
    /// Check, show or print a configuration.
    Config(ConfigArgs),
    /// Print the addresses that a lookup table of yours should hold.
    #[command(after_help = "\
All that transactions of the configuration always name, but for programs and your wallet's own accounts, the most used
first. With bundle.lookup_table, stderr says which of it that table lacks.

Examples:
  overmind lookup-table --config overmind.toml
  solana address-lookup-table extend TABLE --addresses \\
      $(overmind lookup-table --config overmind.toml | paste -sd,)
Exit codes:
  0  printed
  2  the configuration or its file of lookup tables cannot be used")]
    LookupTable(ConfigFileArgs),
    /// Make a key for a node, or show the identity of one.
    Keys(KeysArgs),
    /// Say what a refusal or counter code means and what to do about it.
    Explain(ExplainArgs),
}

/// `overmind demo`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  overmind demo
  overmind demo --seconds 10 --seed 7 --http off
  overmind demo --plant wrong-tip          no bundle may land
Exit codes:
  0  the demo ran to its end and its own checks held
  1  the demo ran and a check failed (nothing landed, or a planted fault landed)
  2  a flag or file cannot be used")]
pub struct DemoArgs {
    /// How long the market runs, seconds.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// Seed of everything that is random: keys, traffic, loss, auction. Printed at the end.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Also write every datagram to this pcap file.
    #[arg(long, value_name = "F")]
    pub pcap: Option<PathBuf>,
    /// Length of one slot of the embedded leaders, milliseconds.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(20..=2_000))]
    pub slot_ms: u32,
    /// Datagrams lost on the way, basis points (400 is 4 %).
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(0..=5_000))]
    pub loss_bps: u16,
    /// Plant one fault in every bundle; then none may land.
    #[arg(long, value_name = "FAULT")]
    pub plant: Option<Plant>,
    /// Address of the health and metrics page, or `off`.
    #[arg(long, value_name = "ADDR|off", default_value = "off")]
    pub http: HttpArg,
    /// Whether the stages share one thread or own one each; default by the number of cores.
    #[arg(long, value_name = "LAYOUT")]
    pub threads: Option<ThreadsArg>,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// `overmind run`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  overmind run --config /etc/overmind/overmind.toml
  overmind run --config deploy/overmind.example.toml --embedded-market
Exit codes:
  0  stopped as asked (SIGINT, SIGTERM)
  1  stopped by a fault
  2  the configuration, a socket or the page's address cannot be used, or another executor uses the
     state directory
  3  refused: live mode")]
pub struct RunArgs {
    /// The configuration (deploy/overmind.example.toml explains every key).
    #[arg(long, value_name = "F")]
    pub config: PathBuf,
    /// Overrides `mode.mode` of the configuration. `live` is refused in this version.
    #[arg(long, value_name = "MODE")]
    pub mode: Option<ModeArg>,
    /// Take shreds from the embedded market instead of the configured sources.
    #[arg(long)]
    pub embedded_market: bool,
    /// Print log lines as JSON: one object `{"at":..,"line":..}` each, `at` in nanoseconds of the UNIX epoch.
    #[arg(long)]
    pub json: bool,
}

/// `overmind relay`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Opens the sources of the configuration that are marked `redistributable = true`, and no other.
Every authentic shred goes once, whichever source brings it first, to each of `[relay]`'s
destinations (UDP) and nodes (QUIC); its entries go to the gRPC clients of `[relay.entries]`.
Beside an executor it runs as a process of its own, with a file, ports and a socket of its own.

A file that is enough (README.md, section Relay, shows two regions and existing gRPC clients):

  [ingest]
  leaders_rpc = \"http://127.0.0.1:8899\"
  [[ingest.sources]]
  name = \"feed\"
  bind = \"0.0.0.0:20000\"
  redistributable = true
  [relay]
  destinations = [\"192.0.2.10:20000\"]
  [relay.entries]
  bind = \"127.0.0.1:9999\"

Examples:
  overmind relay --config relay.toml
  overmind status --config relay.toml        what was passed on, dropped and refused
  overmind sources --config relay.toml       which source was first how often
Exit codes:
  0  stopped as asked (SIGINT, SIGTERM)
  1  stopped by a fault
  2  the configuration cannot be used, or names nothing that may or should be passed on
  3  refused: live mode")]
pub struct RelayArgs {
    /// The configuration; `[ingest]` and `[relay]` of it matter (`overmind config example` explains every key).
    #[arg(long, value_name = "F")]
    pub config: PathBuf,
    /// Print log lines as JSON, `{"at":..,"line":..}`, and on stdout the last status as one object when it ends.
    #[arg(long)]
    pub json: bool,
}

/// `overmind replay`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  overmind replay demo.pcap --leaders demo.leaders.json
  overmind replay a.pcap b.pcap --unverified --as-fast-as-possible --json
Exit codes:
  0  every file was read to its end
  2  a file or the configuration cannot be used")]
pub struct ReplayArgs {
    /// Captures (classic or nanosecond pcap); several are merged by stamp, then by order.
    #[arg(value_name = "F.pcap", required = true)]
    pub files: Vec<PathBuf>,
    /// Configuration of leaders, resolver, strategy and risk; without it those of the demo, whose captures they fit: its
    /// limits are wider than the defaults of a configuration.
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// Leaders: `{"<slot>":"<base58 identity>"}`; otherwise `ingest.leaders_file` of `--config`. Wanted unless
    /// `--unverified` is said.
    #[arg(long, value_name = "F.json")]
    pub leaders: Option<PathBuf>,
    /// Emit transactions before their set is authenticated, marked unverified.
    #[arg(long)]
    pub unverified: bool,
    /// Seed of the throw-away wallet: the seed of the demo that made the capture.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Do not keep the pace of the capture; results are the same.
    #[arg(long)]
    pub as_fast_as_possible: bool,
    /// Whether the stages share one thread or own one each; results are the same.
    #[arg(long, value_name = "LAYOUT")]
    pub threads: Option<ThreadsArg>,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// `overmind decode`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Prints JSON lines: one per transaction (slot, fec_set_index, signature, version, datagram,
verified), block, retract and equivocation lines, and a last summary line.

Examples:
  overmind decode capture.pcap --leaders leaders.json
  overmind decode capture.pcap --shred-version 50093 | jq -c 'select(.block)'
Exit codes:
  0  the file was read to its end
  2  the file or the leaders cannot be read")]
pub struct DecodeArgs {
    /// The capture (classic or nanosecond pcap).
    #[arg(value_name = "F.pcap")]
    pub file: PathBuf,
    /// Leaders: `{"<slot>":"<base58 identity>"}`. Slots it does not name are not emitted; without
    /// it nothing is verified and the lines say so.
    #[arg(long, value_name = "F.json")]
    pub leaders: Option<PathBuf>,
    /// Take only shreds of this version; any version otherwise.
    #[arg(long, value_name = "N")]
    pub shred_version: Option<u16>,
    /// With `--leaders`: emit before the set is authenticated, marked unverified.
    #[arg(long)]
    pub unverified: bool,
    /// Accepted for uniformity: the output is always JSON lines.
    #[arg(long)]
    pub json: bool,
}

/// `overmind capture`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  overmind capture --config overmind.toml -o shreds.pcap --seconds 60
Exit codes:
  0  stopped as asked, the file is complete
  2  the configuration or the output file cannot be used")]
pub struct CaptureArgs {
    /// The configuration whose `[ingest]` sources are recorded.
    #[arg(long, value_name = "F")]
    pub config: PathBuf,
    /// The pcap file to write (nanosecond stamps).
    #[arg(short = 'o', long, value_name = "F.pcap")]
    pub output: PathBuf,
    /// Replace the file if there is one; it is refused otherwise.
    #[arg(long)]
    pub overwrite: bool,
    /// Stop after this many seconds; until SIGINT otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: Option<u32>,
    /// Print the final counters as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Where a running executor is found.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SocketArgs {
    /// Path of the admin socket; found by itself when the service runs with the defaults.
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    pub socket: Option<PathBuf>,
    /// Take the socket's path from this configuration.
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// Print the answer as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `overmind status`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  overmind status
  overmind status --all                  refusal counters that stand at zero too
  overmind status --json | jq .health.control
Exit codes:
  0  it answered and is healthy
  1  it answered and is not healthy
  4  nothing answered")]
pub struct StatusArgs {
    /// Show the refusal counters that stand at zero too; `--json` always has all of them.
    #[arg(long)]
    pub all: bool,
    /// Where the executor is.
    #[command(flatten)]
    pub target: SocketArgs,
}

/// `overmind sources`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  overmind sources                       since the executor began
  overmind sources --watch               every second, over the last second
  overmind sources --leaders             and by the leader whose shreds they are
  overmind sources --json | jq '.sources[] | {name, won, state}'
Exit codes:
  0  it answered, and every source is alive; or --watch was interrupted
  1  it answered, and a source is not alive: dead (it brought nothing for two slots while others
     did), silent (nothing for 5 s, or nothing yet) or refused (for 5 s nothing that can be used;
     beside good sources at once)
  4  nothing answered; --watch waits and goes on instead
Columns:
  won %    of all shreds, those that it brought first by the stamps
  unique   shreds that nobody else brought; - until the first slot is settled, some 64 slots on
  sets %   of all FEC sets, those that a shred of it made whole")]
pub struct SourcesArgs {
    /// Go on until interrupted, once a second; with `--json` one object a line, its numbers cumulative.
    #[arg(long)]
    pub watch: bool,
    /// Show the most recent leaders too; `--json` always has them.
    #[arg(long)]
    pub leaders: bool,
    /// Where the executor is.
    #[command(flatten)]
    pub target: SocketArgs,
}

/// `overmind venues`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
A venue is disabled for entries when what is built for it failed in a simulation, when its program was deployed again, when
a global or fee account of it changed, or when our own transactions failed with error 2006, 6000 or 6062 several times. Exits
go on. It stays disabled over restarts until somebody enables it.

--enable waits for the check, ten minutes at most: each question may take 10 s, and a node that refuses the connection or
does not answer one in time is asked no more.

Examples:
  overmind venues
  overmind venues --enable pump_v3          checks it first; what it is made of now is accepted if that passes
  overmind venues --enable pump_v3 --force  unchecked
Exit codes:
  0  every venue may be entered; with --enable, this one
  1  at least one venue is disabled
  3  refused: the check did not pass, or there is no node to ask
  4  nothing answered")]
pub struct VenuesArgs {
    /// Let this venue be entered again: pump_v3, pump_v2, pump_swap, raydium_amm, raydium_cp or launchlab.
    #[arg(long, value_name = "VENUE", value_parser = venue)]
    pub enable: Option<Venue>,
    /// Without a check.
    #[arg(long, requires = "enable")]
    pub force: bool,
    /// Where the executor is.
    #[command(flatten)]
    pub target: SocketArgs,
}

fn venue(name: &str) -> Result<Venue, String> {
    venue_of(name).ok_or_else(|| format!("no such venue; there are {}", Venue::names().join(", ")))
}

/// `overmind kill`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Works with everything else in the process wedged: the thread that hears it sets the control cell
before it answers. If nothing answers, create the kill file of `[admin]` or stop the service.

Examples:
  overmind kill
  overmind kill --reduce          refuse entries, keep exits; after a kill, let exits leave again
Exit codes:
  0  the control cell is set
  3  --reduce is refused: the kill file still exists, or the executor halted itself
  4  nothing answered: nothing was killed by this command")]
pub struct KillArgs {
    /// Refuse entries only; exits stay possible.
    #[arg(long)]
    pub reduce: bool,
    /// Where the executor is.
    #[command(flatten)]
    pub target: SocketArgs,
}

/// `overmind resume`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  overmind resume
Exit codes:
  0  entries and exits are allowed again
  3  refused: the kill file still exists, or the executor halted itself
  4  nothing answered")]
pub struct ResumeArgs {
    /// Where the executor is.
    #[command(flatten)]
    pub target: SocketArgs,
}

/// `overmind doctor`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Each line says what was measured, what is wanted and the command that fixes it. Reads only.

Examples:
  overmind doctor
  overmind doctor --config overmind.toml --json
  overmind doctor --config overmind.toml --venues
With --venues, instead: every transaction that is built for a venue is simulated by the configuration's RPC node,
unsigned, under the name of somebody who traded there a moment ago; and programs and fee accounts are compared with what
`run` has accepted. Nothing is sent. It takes up to a minute. Each question may take 10 s, and a node that
refuses the connection or does not answer one in time is asked no more.
Exit codes:
  0  no check failed (warnings are allowed)
  1  at least one check failed, or with --venues an account has changed
  2  the configuration cannot be used
  5  with --venues: nothing failed, but something could not be checked")]
pub struct DoctorArgs {
    /// Also check this configuration and the files it names.
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// Check what is built for each venue against the chain instead of this host.
    #[arg(long, requires = "config")]
    pub venues: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `overmind config`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ConfigArgs {
    /// What to do with the configuration.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// One of the `config` commands.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ConfigAction {
    /// Check a configuration: syntax, keys, bounds, and the files it names.
    #[command(after_help = "\
Examples:
  overmind config check --config overmind.toml
  systemd-run --pipe --wait -p User=overmind -p LoadCredential=NAME:FILE \\
      overmind config check --config overmind.toml      with keys that come as credentials
Exit codes:
  0  usable; warnings, if any, are on stderr
  2  not usable; every problem is listed with its line and fix")]
    Check(ConfigFileArgs),
    /// Print a configuration with every default filled in, paths of this host and user included; of URLs only scheme, host
    /// and port, since the rest may hold keys.
    #[command(after_help = "\
Examples:
  overmind config show --config overmind.toml
  overmind config show --config overmind.toml --json
Exit codes:
  0  printed
  2  not usable")]
    Show(ConfigFileArgs),
    /// Print the commented example to start from.
    #[command(after_help = "\
Examples:
  overmind config example > overmind.toml
Exit codes:
  0  printed")]
    Example,
}

/// The file that a `config` command or `lookup-table` reads.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ConfigFileArgs {
    /// The configuration.
    #[arg(long, value_name = "F")]
    pub config: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `overmind keys`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: KeysAction,
}

/// One of the `keys` commands.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum KeysAction {
    /// Make a new key in a new file of mode 0600, and print the identity that others know it by.
    #[command(after_help = "\
For `identity_file` of a source of kind quic and of [relay]: who a node is, and nothing that holds money.

Examples:
  overmind keys new --file /etc/overmind/keys/node
Exit codes:
  0  made; its identity is on stdout
  2  the file exists already, or cannot be made")]
    New(KeyFileArgs),
    /// Print the identity of a key file.
    #[command(after_help = "\
Examples:
  overmind keys show --file /etc/overmind/keys/node
Exit codes:
  0  its identity is on stdout
  2  the file cannot be read, is open to others, or holds no key")]
    Show(KeyFileArgs),
}

/// The file that a `keys` command makes or reads.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct KeyFileArgs {
    /// The key file.
    #[arg(long, value_name = "F")]
    pub file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `overmind explain`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  overmind explain risk.per_trade_notional
  overmind explain                       every code
Exit codes:
  0  explained
  2  no such code; the nearest ones are named")]
pub struct ExplainArgs {
    /// A refusal, a counter or a source's state as tables, status, metrics and acknowledgements name it; all when absent.
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A fault that `demo --plant` puts into every bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plant {
    /// The tip goes to an account that is not a tip account.
    WrongTip,
    /// The blockhash is one the chain has forgotten.
    StaleBlockhash,
    /// One bit of the signature is flipped.
    BrokenSignature,
}

/// Whether the stages share a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ThreadsArg {
    /// Sources and core share one thread; submit has its own.
    Fused,
    /// Receive, core and submit own a thread each.
    Split,
}

/// `run --mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Live sources, the same bytes, nothing is sent.
    Paper,
    /// Refused in this version.
    Live,
}

/// `--http ADDR` or `--http off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpArg {
    /// No page.
    Off,
    /// The page listens here. Loopback only.
    At(SocketAddr),
}

impl std::str::FromStr for HttpArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address: SocketAddr = text.parse().map_err(|_| {
            format!("`{text}` is neither `off` nor an address such as 127.0.0.1:8080")
        })?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "{address} is not a loopback address; use 127.0.0.1:{}",
                address.port()
            ));
        }
        Ok(Self::At(address))
    }
}

impl std::fmt::Display for HttpArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(Cli::into_command)
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_the_demo_with_its_flags() {
        let Command::Demo(plain) = parse("overmind").unwrap() else {
            panic!("not the demo")
        };
        assert_eq!((plain.seconds, plain.seed, plain.json), (30, 1, false));
        assert_eq!(
            parse("overmind --seconds 5").unwrap(),
            parse("overmind demo --seconds 5").unwrap()
        );
        assert!(parse("overmind --seconds 5 status").is_err());
    }

    #[test]
    fn the_documented_lines_parse() {
        for line in [
            "overmind demo --seconds 10 --seed 7 --pcap d.pcap --slot-ms 200 --loss-bps 400 --plant wrong-tip --http 127.0.0.1:8080 --threads split --json",
            "overmind demo --plant stale-blockhash --http off --threads fused",
            "overmind demo --plant broken-signature",
            "overmind run --config f.toml --mode paper --embedded-market",
            "overmind relay --config f.toml --json",
            "overmind replay a.pcap b.pcap --config f --leaders l --unverified --as-fast-as-possible --threads fused --json",
            "overmind decode f.pcap --leaders l.json --shred-version 50093 --unverified",
            "overmind capture --config f -o out.pcap --seconds 3",
            "overmind status --json",
            "overmind status --all",
            "overmind sources --watch --leaders --json",
            "overmind kill --socket /run/overmind/admin.sock",
            "overmind kill --reduce",
            "overmind resume --config f",
            "overmind doctor --json",
            "overmind config check --config f",
            "overmind config show --config f --json",
            "overmind config example",
            "overmind keys new --file f",
            "overmind keys show --file f --json",
            "overmind explain risk.killed --json",
            "overmind explain",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "overmind demo --seconds 0",
            "overmind demo --loss-bps 5001",
            "overmind demo --http 0.0.0.0:8080",
            "overmind demo --http here",
            "overmind demo --plant nothing",
            "overmind replay",
            "overmind decode",
            "overmind decode f --shred-version 65536",
            "overmind run",
            "overmind relay",
            "overmind capture --config f",
            "overmind status --socket s --config f",
            "overmind frobnicate",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn every_command_shows_an_example_and_its_exit_codes() {
        fn leaves(command: &mut clap::Command, path: &str) {
            if command.get_subcommands().next().is_some() {
                for sub in command
                    .get_subcommands_mut()
                    .filter(|sub| sub.get_name() != "help")
                {
                    let path = format!("{path} {}", sub.get_name());
                    leaves(sub, &path);
                }
                return;
            }
            let help = command.render_long_help().to_string();
            assert!(
                help.contains("Examples:\n  overmind "),
                "{path} has no example"
            );
            assert!(
                help.contains("Exit codes:\n  0"),
                "{path} has no exit codes"
            );
        }
        leaves(&mut Cli::command(), "overmind");
    }
}
