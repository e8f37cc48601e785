//! Where the socket stands: a directory of this user alone, a lock, and no socket of the dead.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
};
use std::path::Path;

use super::AdminError;

/// Creates the socket's directory with mode 0700, or checks that it is ours alone.
pub(super) fn prepare_directory(socket: &Path) -> Result<(), AdminError> {
    let path = socket.parent().unwrap_or(Path::new("/"));
    let refuse = |problem: String, fix: String| AdminError::Directory {
        path: path.to_owned(),
        problem,
        fix,
    };
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(path) {
        return Err(refuse(
            error.to_string(),
            "name a directory that can be made with [admin] socket".to_owned(),
        ));
    }
    let metadata = std::fs::symlink_metadata(path).map_err(|error| {
        refuse(
            error.to_string(),
            "name another with [admin] socket".to_owned(),
        )
    })?;
    if !metadata.is_dir() {
        return Err(refuse(
            "is not a directory itself".to_owned(),
            "name the real path".to_owned(),
        ));
    }
    let (uid, mode) = (metadata.uid(), metadata.mode() & 0o777);
    if uid != effective_uid() {
        return Err(refuse(
            format!("belongs to uid {uid}"),
            "name a directory of this user".to_owned(),
        ));
    }
    if mode & 0o077 != 0 {
        let fix = format!(
            "chmod 700 {}, or name a directory that only holds this",
            path.display()
        );
        return Err(refuse(format!("mode {mode:o} lets others in"), fix));
    }
    Ok(())
}

/// Takes the lock that says who owns the socket's path.
pub(super) fn lock_beside(socket: &Path) -> Result<File, AdminError> {
    let path = socket.with_extension("lock");
    let io_error = |source| AdminError::Io {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(io_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(AdminError::AlreadyServed(socket.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(io_error(source)),
    }
}

/// Removes the socket of a process that died. Whoever holds the lock may.
pub(super) fn remove_stale(socket: &Path) -> Result<(), AdminError> {
    match std::fs::symlink_metadata(socket) {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.file_type().is_socket() => {
            std::fs::remove_file(socket).map_err(|source| AdminError::Io {
                path: socket.to_owned(),
                source,
            })
        }
        Ok(_) => Err(AdminError::NotASocket(socket.to_owned())),
    }
}

pub(super) fn effective_uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}
