//! Files that a configuration names, read by the code that reads them at start.

use std::io::ErrorKind;
use std::path::Path;

use brain_bridge::{KeyError, SharedKey};

use crate::config::{FileKind, NamedFile};
use crate::leaders::LeaderSchedule;
use crate::lookup_tables;
use crate::regular::open_regular;
use crate::secret::{Secret, SecretError, load_token, why};

/// Longest file of a producer's key that is worth reading: 64 digits and a line's end.
const PRODUCER_KEY_LEN_MAX: u64 = 4_096;

/// What a file is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It can be used; what it says, if that is worth telling.
    Usable(Option<String>),
    /// It can be used, by others than its owner, too.
    Open(String),
    /// Whether it can be used is decided by who runs.
    Doubtful(String),
    /// It cannot be used.
    Unusable(String),
}

/// Reads a file as a start would, and writes nothing.
pub(crate) fn look_at(file: &NamedFile) -> Seen {
    let path = &file.path;
    match file.kind {
        FileKind::Leaders => match LeaderSchedule::load(path) {
            Ok(schedule) => Seen::Usable(Some(schedule.summary())),
            Err(error) => Seen::Unusable(error.to_string()),
        },
        FileKind::LookupTables => match lookup_tables::load(path) {
            Ok(tables) => Seen::Usable(Some(lookup_tables::summary(&tables))),
            Err(error) => Seen::Unusable(error.to_string()),
        },
        FileKind::SigningKey => Secret::load(path).map_or_else(of_secret, |_| Seen::Usable(None)),
        FileKind::Token => load_token(path).map_or_else(of_secret, |_| Seen::Usable(None)),
        FileKind::ProducerKey => producer_key(path),
        FileKind::Log => log(path),
    }
}

fn of_secret(error: SecretError) -> Seen {
    match error {
        SecretError::TooOpen { .. } => Seen::Open(error.to_string()),
        _ => Seen::Unusable(error.to_string()),
    }
}

fn producer_key(path: &Path) -> Seen {
    if let Err(error) = open_regular(path, PRODUCER_KEY_LEN_MAX) {
        let why = why(&error, path, "`signal-inject --keygen FILE`");
        return Seen::Unusable(format!("{}: {why}", path.display()));
    }
    match SharedKey::load(path) {
        Ok(_) => Seen::Usable(None),
        Err(error @ KeyError::TooOpen { .. }) => Seen::Open(error.to_string()),
        Err(error) => Seen::Unusable(error.to_string()),
    }
}

/// A log is made at start: its folder is not.
fn log(path: &Path) -> Seen {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Seen::Unusable(format!("{shown}: is no regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            let is_folder = std::fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir());
            let folder = folder.display();
            if !is_folder {
                return Seen::Unusable(format!(
                    "{shown}: there is no folder {folder}; run: install -d {folder}"
                ));
            }
        }
        Err(error) => {
            return Seen::Doubtful(format!("{shown}: not looked at: {error}"));
        }
    }
    if may_write(path) {
        return Seen::Usable(None);
    }
    Seen::Doubtful(format!(
        "{shown}: this user may not write there; the one that runs it must"
    ))
}

/// Whether this user may append to the file, or make it.
fn may_write(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let target = if path.exists() {
        Some(path)
    } else {
        path.parent()
    };
    let Some(name) =
        target.and_then(|path| std::ffi::CString::new(path.as_os_str().as_bytes()).ok())
    else {
        return false;
    };
    // SAFETY: the call reads a string that ends in a zero and outlives it.
    unsafe { libc::access(name.as_ptr(), libc::W_OK) == 0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::regular::tests::Folder;

    fn seen(kind: FileKind, path: &Path) -> Seen {
        look_at(&NamedFile {
            key: "k".to_owned(),
            path: path.to_owned(),
            kind,
        })
    }

    /// Goal: what `run` would not start with is named before; nothing waits for a FIFO, or reads a device to its end.
    #[test]
    fn every_kind_of_file_is_read_as_at_start() {
        let folder = Folder::new("doctor");
        let kinds = [
            FileKind::Leaders,
            FileKind::LookupTables,
            FileKind::SigningKey,
            FileKind::ProducerKey,
            FileKind::Token,
            FileKind::Log,
        ];
        let fifo = folder.fifo();
        for kind in kinds {
            for path in [&fifo, Path::new("/dev/zero"), &folder.0] {
                let seen = seen(kind, path);
                assert!(matches!(seen, Seen::Unusable(_)), "{kind:?}: {seen:?}");
            }
            let absent = folder.0.join("none/file");
            let seen = seen(kind, &absent);
            assert!(matches!(seen, Seen::Unusable(_)), "{kind:?}: {seen:?}");
        }
        let path = folder.0.join("file");
        std::fs::write(&path, "junk").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(seen(FileKind::Log, &path), Seen::Usable(None));
        assert_eq!(
            seen(FileKind::Log, &folder.0.join("new")),
            Seen::Usable(None)
        );
        for kind in [FileKind::Leaders, FileKind::LookupTables] {
            let said = seen(kind, &path);
            assert!(matches!(said, Seen::Unusable(_)), "{kind:?}: {said:?}");
        }
        for kind in kinds.into_iter().filter(|kind| kind.is_secret()) {
            let said = seen(kind, &path);
            assert!(matches!(said, Seen::Open(_)), "{kind:?}: {said:?}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for kind in kinds.into_iter().filter(|kind| kind.is_secret()) {
            let said = seen(kind, &path);
            assert!(matches!(said, Seen::Unusable(_)), "{kind:?}: {said:?}");
        }
        let key = bs58::encode([7; 32]).into_string();
        std::fs::write(&path, format!("{{\"5\":\"{key}\",\"9\":\"{key}\"}}")).unwrap();
        let Seen::Usable(Some(said)) = seen(FileKind::Leaders, &path) else {
            panic!("refused");
        };
        assert!(said.contains("5..9, 1 leader"), "{said}");
        std::fs::write(&path, format!("{{\"{key}\":[\"{key}\"]}}")).unwrap();
        let said = seen(FileKind::LookupTables, &path);
        let wanted = "1 lookup table with 1 address".to_owned();
        assert_eq!(said, Seen::Usable(Some(wanted)));
    }
}
