//! What is fed in: generated traffic of any length, and the captures of the repository.

use std::path::Path;

use demo::prng::Prng;
use demo::wire::{Wire, WireConfig};
use demo::{Datagrams, Generator, GeneratorConfig};
use overmind::leaders::{LeaderSchedule, LeaderSource};
use shred_resolve::{Arrival, Policy, SourceId};
use shred_source::PcapReader;
use shred_wire::{Nanos, Slot};

/// What happens to generated datagrams on their way: 4 % are lost, 2 % come twice, 3 % late.
pub const WAY: WireConfig = WireConfig {
    loss_bps: 400,
    duplicate_bps: 200,
    reorder_bps: 300,
    reorder_depth: 16,
    noise_bps: 0,
};

/// Generated traffic, chunk after chunk.
pub struct Stream {
    generator: Generator,
    wire: Wire,
    made: Datagrams,
    /// Launches sent so far.
    pub launches: u64,
}

impl Stream {
    /// Full blocks (some 3,600 datagrams a slot) with this many launches per 10,000 slots.
    #[must_use]
    pub fn new(seed: u64, launches_per_10k_slots: u64) -> Self {
        Self::of(GeneratorConfig {
            launches_per_10k_slots,
            ..GeneratorConfig::bulk(seed)
        })
    }

    /// A launch and its trades in every set: triggers one after another, in slots of 64 batches of a set each.
    #[must_use]
    pub fn close(seed: u64) -> Self {
        Self::of(GeneratorConfig {
            batches_per_slot: 64,
            txns_per_slot: 64 * 24,
            launches_per_10k_slots: 640_000,
            ..GeneratorConfig::bulk(seed)
        })
    }

    /// As [`Stream::new`], with every background transaction signed for its own slot, so that votes are for slots of
    /// late. Some 100 ms to make a slot.
    #[must_use]
    pub fn signed(seed: u64) -> Self {
        Self::of(GeneratorConfig {
            presigned_txns: 0,
            ..GeneratorConfig::bulk(seed)
        })
    }

    fn of(config: GeneratorConfig) -> Self {
        let seed = config.seed;
        Self {
            generator: Generator::new(config),
            wire: Wire::new(WAY, Prng::new(seed).fork("way")),
            made: Datagrams::new(),
            launches: 0,
        }
    }

    /// Replaces `out` by the next slots' datagrams, at least `count` of them.
    pub fn fill(&mut self, count: usize, out: &mut Datagrams) {
        out.clear();
        while out.len() < count {
            self.made.clear();
            let report = self.generator.next_slot(&mut self.made);
            self.launches += report.transactions.iter().filter(|txn| txn.launch).count() as u64;
            for datagram in self.made.iter() {
                self.wire.pass(datagram, |arrived| out.push(arrived));
            }
        }
    }

    /// Slot of the next datagram.
    #[must_use]
    pub fn slot(&self) -> u64 {
        self.generator.slot()
    }

    /// Copies on the way, of how many delivered.
    #[must_use]
    pub fn duplicated(&self) -> (u64, u64) {
        (
            self.wire.counters().duplicated,
            self.wire.counters().delivered,
        )
    }

    /// Who signs the next `count` slots.
    #[must_use]
    pub fn leaders(&self, count: u64) -> LeaderSource {
        let slots = self.slot()..self.slot() + count;
        let named: Vec<(Slot, [u8; 32])> = self
            .generator
            .schedule()
            .identities(slots)
            .into_iter()
            .map(|(slot, identity)| (Slot(slot), identity))
            .collect();
        LeaderSource::Schedule(
            LeaderSchedule::from_slots(&named).expect("some slots with a few leaders"),
        )
    }
}

/// A recorded capture in memory.
pub struct Capture {
    /// Its name, as under `tests/fixtures`.
    pub name: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// The UDP payloads in it.
    pub datagrams: Datagrams,
    /// When each of them arrived, nanoseconds.
    pub stamps: Vec<u64>,
    /// Who signs which slot.
    pub leaders: LeaderSource,
}

/// Captures with their leaders. Provenance: `tests/fixtures/README.md`.
pub const CAPTURES: [(&str, &str); 4] = [
    ("dev.lossy", "leaders.json"),
    ("dev.adversarial", "leaders.json"),
    ("dev2.adversarial", "leaders.json"),
    ("agave", "agave.leaders.json"),
];

/// The complete set of captures, where it lies beside the checkout.
const BESIDE: &str = "../../shared/data";
/// Those in it that the repository has no copy of, or only a part of: name, file, leaders.
const IN_BESIDE: [(&str, &str, &str); 4] = [
    ("dev.clean", "dev.clean", "leaders.json"),
    ("dev2.clean", "dev2.clean", "leaders.json"),
    ("dev2.lossy", "dev2.lossy", "leaders.json"),
    ("agave.18_slots", "agave", "agave.leaders.json"),
];

/// Reads every one of [`CAPTURES`].
///
/// # Errors
/// A sentence that names the file that cannot be read.
pub fn captures() -> Result<Vec<Capture>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    CAPTURES
        .iter()
        .map(|(name, leaders)| capture(name, &folder, name, leaders))
        .collect()
}

/// Reads [`CAPTURES`] and, where it is there, the complete set beside the checkout.
///
/// # Errors
/// As [`captures`].
pub fn all_captures() -> Result<Vec<Capture>, String> {
    let mut captures = captures()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(BESIDE);
    for (name, file, leaders) in IN_BESIDE {
        if folder.join(format!("{file}.pcap")).exists() {
            captures.push(capture(name, &folder, file, leaders)?);
        }
    }
    Ok(captures)
}

fn capture(
    name: &'static str,
    folder: &Path,
    file: &str,
    leaders: &str,
) -> Result<Capture, String> {
    let path = folder.join(format!("{file}.pcap"));
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let said = |error: shred_source::PcapError| format!("{}: {error}", path.display());
    let (mut datagrams, mut stamps) = (Datagrams::new(), Vec::new());
    let mut reader = PcapReader::new(bytes.as_slice()).map_err(said)?;
    while let Some(datagram) = reader.next().map_err(said)? {
        datagrams.push(datagram.payload);
        stamps.push(datagram.stamp.0);
    }
    let schedule =
        LeaderSchedule::load(&folder.join(leaders)).map_err(|error| error.to_string())?;
    Ok(Capture {
        name,
        bytes,
        datagrams,
        stamps,
        leaders: LeaderSource::Schedule(schedule),
    })
}

/// The `ordinal`-th arrival: a microsecond after the one before.
#[inline]
#[must_use]
pub fn arrival(ordinal: u64, policy: Policy) -> Arrival {
    const START: u64 = 1_790_000_000_000_000_000;
    Arrival {
        source: SourceId(0),
        policy,
        at: Nanos(START + ordinal * 1_000),
    }
}
