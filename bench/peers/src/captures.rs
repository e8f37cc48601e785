//! Captures in memory, with their stamps.

use std::path::{Path, PathBuf};

use demo::Datagrams;
use overmind::leaders::{LeaderSchedule, LeaderSource};
use shred_source::PcapReader;

/// A recorded capture.
pub(crate) struct Capture {
    /// Its name in the figures.
    pub(crate) name: &'static str,
    /// The UDP payloads.
    pub(crate) datagrams: Datagrams,
    /// When each of them arrived, nanoseconds.
    pub(crate) stamps: Vec<u64>,
    /// Who signs which slot.
    pub(crate) leaders: LeaderSource,
}

/// Those of the repository. Provenance: `tests/fixtures/README.md`.
const FIXTURES: &str = "../../tests/fixtures";
const IN_FIXTURES: [Named; 4] = [
    Named::new("dev.lossy", "dev.lossy", "leaders.json"),
    Named::new("dev.adversarial", "dev.adversarial", "leaders.json"),
    Named::new("dev2.adversarial", "dev2.adversarial", "leaders.json"),
    Named::new("agave", "agave", "agave.leaders.json"),
];
/// The complete set, where it lies beside the checkout.
const BESIDE: &str = "../../../shared/data";
const IN_BESIDE: [Named; 4] = [
    Named::new("dev.clean", "dev.clean", "leaders.json"),
    Named::new("dev2.clean", "dev2.clean", "leaders.json"),
    Named::new("dev2.lossy", "dev2.lossy", "leaders.json"),
    Named::new("agave.18_slots", "agave", "agave.leaders.json"),
];

/// A capture's name in the figures, its file's and that of its leaders.
struct Named {
    name: &'static str,
    file: &'static str,
    leaders: &'static str,
}

impl Named {
    const fn new(name: &'static str, file: &'static str, leaders: &'static str) -> Self {
        Self {
            name,
            file,
            leaders,
        }
    }

    fn read(&self, folder: &Path) -> Result<Capture, String> {
        let path = folder.join(format!("{}.pcap", self.file));
        let said = |error: shred_source::PcapError| format!("{}: {error}", path.display());
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let (mut datagrams, mut stamps) = (Datagrams::new(), Vec::new());
        let mut reader = PcapReader::new(bytes.as_slice()).map_err(said)?;
        while let Some(datagram) = reader.next().map_err(said)? {
            datagrams.push(datagram.payload);
            stamps.push(datagram.stamp.0);
        }
        let leaders = LeaderSchedule::load(&folder.join(self.leaders));
        let leaders = leaders.map_err(|error| error.to_string())?;
        Ok(Capture {
            name: self.name,
            datagrams,
            stamps,
            leaders: LeaderSource::Schedule(leaders),
        })
    }
}

/// Reads all there are.
///
/// # Errors
/// A sentence that names the file that cannot be read.
pub(crate) fn read() -> Result<Vec<Capture>, String> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut captures = Vec::new();
    for named in IN_FIXTURES {
        captures.push(named.read(&here.join(FIXTURES))?);
    }
    let beside = here.join(BESIDE);
    for named in IN_BESIDE {
        if beside.join(format!("{}.pcap", named.file)).exists() {
            captures.push(named.read(&beside)?);
        }
    }
    Ok(captures)
}
