//! Session epochs that are never used twice, not even across a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Epochs per millisecond of the clock; so many Hellos a millisecond keep the epoch on the clock.
const EPOCHS_PER_MS_BITS: u32 = 10;

/// Hands out epochs, each durable before it is returned.
#[derive(Debug)]
pub(crate) struct EpochStore {
    path: PathBuf,
    last: u64,
}

impl EpochStore {
    /// Reads the last epoch. A missing file is a first start; an unreadable one is an error,
    /// because guessing could reuse an epoch.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let last = match fs::read_to_string(path) {
            Ok(text) => text.trim().parse().map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, "is not one decimal number")
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: path.to_owned(),
            last,
        })
    }

    /// The next epoch: above every earlier one, and at least the clock's, so that even a lost file
    /// does not bring an old epoch back while the clock is right. Costs two fsyncs.
    pub(crate) fn next(&mut self, realtime_ns: u64) -> io::Result<u64> {
        let clock = (realtime_ns / 1_000_000) << EPOCHS_PER_MS_BITS;
        let above = self
            .last
            .checked_add(1)
            .ok_or_else(|| io::Error::other("epochs used up"))?;
        let epoch = clock.max(above);
        persist(&self.path, epoch)?;
        self.last = epoch;
        Ok(epoch)
    }
}

/// Replaces the file atomically: after a crash it holds the old number or the new one.
fn persist(path: &Path, epoch: u64) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    writeln!(file, "{epoch}")?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::tests::TempDir;

    const NOW_NS: u64 = 1_800_000_000_000_000_000;

    #[test]
    fn epochs_rise_across_restarts_and_when_the_clock_goes_back() {
        let dir = TempDir::new("epoch");
        let path = dir.path().join("bridge.epoch");
        let mut store = EpochStore::open(&path).unwrap();
        let first = store.next(NOW_NS).unwrap();
        assert_eq!(first, 1_800_000_000_000 << 10);
        assert_eq!(store.next(NOW_NS).unwrap(), first + 1);
        let mut again = EpochStore::open(&path).unwrap();
        assert_eq!(again.next(NOW_NS - 60_000_000_000).unwrap(), first + 2);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", first + 2)
        );
    }

    #[test]
    fn a_damaged_file_stops_the_start_and_an_unwritable_one_the_hello() {
        let dir = TempDir::new("epoch-damaged");
        let path = dir.path().join("bridge.epoch");
        fs::write(&path, "17x").unwrap();
        assert_eq!(
            EpochStore::open(&path).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        let gone = dir.path().join("no-such-directory/bridge.epoch");
        let mut store = EpochStore::open(&gone).unwrap();
        assert!(store.next(NOW_NS).is_err());
        assert_eq!(store.last, 0, "an epoch that is not durable is not used");
    }
}
