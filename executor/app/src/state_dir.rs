//! The state directory, for one executor at a time.
//!
//! Two of them would append to one `paper-bundles.bin` and take each other's session epochs. The lock is advisory
//! (`flock`), on a file that stays; the kernel frees it when the process dies, however it dies.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The locked file; it names the process that holds it.
const LOCK_FILE: &str = "overmind.lock";
/// How to get another directory.
const ANOTHER: &str = "name another with STATE_DIRECTORY or XDG_STATE_HOME";

/// The state directory of this process, locked until dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why the state directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another executor uses it.
    #[error("state directory {}: another executor uses it{}; stop that one, or {ANOTHER}", path.display(), holder(*pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other's process id, when its lock file says so.
        pid: Option<u32>,
    },
    /// The system refused.
    #[error("state directory: {}: {source}; {ANOTHER}", path.display())]
    Io {
        /// The directory, or the lock file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})"))
        .unwrap_or_default()
}

impl StateDir {
    /// Makes the directory with mode 0700 if there is none, and locks it.
    ///
    /// # Errors
    /// [`StateDirError`] names the path.
    pub fn lock(path: &Path) -> Result<Self, StateDirError> {
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| StateDirError::Io { path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io_error(path))?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let (path, pid) = (path.to_owned(), read_pid(&mut lock));
                return Err(StateDirError::InUse { path, pid });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(&lock_path)(source)),
        }
        // Who holds it is said for people; the lock does not depend on it.
        let _ = write_pid(&mut lock);
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("overmind-state-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_second_one_is_refused_with_path_and_process_until_the_first_is_gone() {
        let path = place("two");
        let first = StateDir::lock(&path.join("deep")).unwrap();
        assert_eq!(
            std::fs::metadata(first.path()).unwrap().mode() & 0o777,
            0o700
        );
        let said = StateDir::lock(first.path()).unwrap_err().to_string();
        assert!(said.contains(&first.path().display().to_string()), "{said}");
        assert!(
            said.contains(&format!("(process {})", std::process::id())),
            "{said}"
        );
        let again = first.path().to_owned();
        drop(first);
        StateDir::lock(&again).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let path = place("file");
        std::fs::write(&path, "").unwrap();
        let said = StateDir::lock(&path.join("below")).unwrap_err().to_string();
        assert!(said.contains(&path.display().to_string()), "{said}");
        std::fs::remove_file(&path).unwrap();
    }
}
