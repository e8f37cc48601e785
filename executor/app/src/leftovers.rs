//! Files that must not outlive the process, not even one that a second SIGINT ends at once.
//!
//! A signal handler may neither allocate nor lock nor run destructors, but it may call `unlink` and `rmdir`
//! (signal-safety(7)). So whoever makes a socket or a folder with a key leaves its path here, ready to use.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// Paths remembered at once; one more is not remembered, and stays behind.
const PATHS_MAX: usize = 32;

/// A fixed table of paths.
#[derive(Debug)]
pub(crate) struct Leftovers([AtomicPtr<libc::c_char>; PATHS_MAX]);

/// Those of this process.
pub(crate) static LEFTOVERS: Leftovers = Leftovers::new();

/// A remembered path; forgotten when dropped.
#[derive(Debug)]
pub(crate) struct Leftover(&'static Leftovers, usize);

impl Leftovers {
    const fn new() -> Self {
        Self([const { AtomicPtr::new(null_mut()) }; PATHS_MAX])
    }

    /// Remembers `path`, a file or a folder that is empty by the time its turn comes: paths go in the order in
    /// which they were remembered. Leaks a copy of it, because a handler may be reading.
    pub(crate) fn remember(&'static self, path: &Path) -> Option<Leftover> {
        let path = CString::new(path.as_os_str().as_bytes()).ok()?.into_raw();
        let free = self.0.iter().position(|cell| {
            cell.compare_exchange(null_mut(), path, SeqCst, SeqCst)
                .is_ok()
        })?;
        Some(Leftover(self, free))
    }

    /// Removes every remembered path. Async-signal-safe.
    pub(crate) fn remove_all(&self) {
        for cell in &self.0 {
            let path = cell.load(SeqCst);
            if path.is_null() {
                continue;
            }
            // SAFETY: `path` came from a CString that is never freed; both calls are async-signal-safe.
            unsafe {
                if libc::unlink(path) != 0 {
                    libc::rmdir(path);
                }
            }
        }
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        self.0.0[self.1].store(null_mut(), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_remembered_goes_and_what_was_forgotten_stays() {
        static OWN: Leftovers = Leftovers::new();
        let folder = std::env::temp_dir().join(format!("overmind-leftover-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let (file, kept) = (folder.join("file"), folder.with_extension("kept"));
        std::fs::write(&file, "").unwrap();
        std::fs::write(&kept, "").unwrap();
        let held = [&file, &folder].map(|path| OWN.remember(path).unwrap());
        drop(OWN.remember(&kept).unwrap());
        OWN.remove_all();
        assert!(!file.exists() && !folder.exists() && kept.exists());
        drop(held);
        std::fs::remove_file(&kept).unwrap();
    }
}
