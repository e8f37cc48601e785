//! Files that are files: to open a FIFO is to wait for its other end, and a device may have no end.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Take};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Never waits for a FIFO's other end, and takes no terminal.
const FLAGS: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

/// Opens a regular file for reading; more than `len_max` bytes are not read.
///
/// # Errors
/// [`ErrorKind::FileTooLarge`] when it holds more, [`ErrorKind::InvalidInput`] when it is something else than a file,
/// and what the system says.
pub fn open_regular(path: &Path, len_max: u64) -> io::Result<Take<File>> {
    // To open some devices is to use them.
    check(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(FLAGS)
        .open(path)?;
    let metadata = file.metadata()?;
    check(&metadata)?;
    if metadata.len() > len_max {
        let reason = format!("{} bytes, at most {len_max} are read", metadata.len());
        return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
    }
    Ok(file.take(len_max))
}

/// Opens a regular file for appending, and for reading what is there; makes it where there is none.
///
/// # Errors
/// As [`open_regular`], without a bound.
pub(crate) fn append_regular(path: &Path) -> io::Result<File> {
    open_or_make(
        path,
        OpenOptions::new().read(true).append(true).create(true),
    )
}

/// Has the disk keep the name of a file that was made or renamed: it is the directory's.
///
/// # Errors
/// What the system says.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Makes a file for writing. What is there stays and is refused, unless `overwrite`: then a regular file is emptied.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`], and as [`open_regular`].
pub(crate) fn make_regular(path: &Path, overwrite: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true);
    if !overwrite {
        let made = options.create_new(true).custom_flags(FLAGS).open(path);
        return made.map_err(|error| match (error.kind(), std::fs::metadata(path)) {
            // That it is something else matters more.
            (ErrorKind::AlreadyExists, Ok(metadata)) => check(&metadata).err().unwrap_or(error),
            _ => error,
        });
    }
    // Emptied when it is known to be a file.
    let file = open_or_make(path, options.create(true).truncate(false))?;
    file.set_len(0)?;
    Ok(file)
}

fn open_or_make(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    match std::fs::metadata(path) {
        Ok(metadata) => check(&metadata)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = options.custom_flags(FLAGS).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

fn check(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let reason = format!(
        "is {}, and a regular file is wanted",
        name(metadata.file_type())
    );
    Err(io::Error::new(ErrorKind::InvalidInput, reason))
}

fn name(kind: FileType) -> &'static str {
    match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a FIFO (pipe)",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::PathBuf;

    use super::*;

    /// A folder of its own, removed in the end.
    pub(crate) struct Folder(pub(crate) PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Self {
            let name = format!("overmind-regular-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(crate) fn fifo(&self) -> PathBuf {
            let path = self.0.join("fifo");
            let name = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
            // SAFETY: the call reads a string that ends in a zero.
            assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_no_file_is_named_and_waited_for_by_nobody() {
        let folder = Folder::new("kinds");
        for (path, kind) in [
            (folder.fifo(), "FIFO"),
            (folder.0.clone(), "directory"),
            (PathBuf::from("/dev/zero"), "device"),
        ] {
            for opened in [
                open_regular(&path, 1 << 20).map(Take::into_inner),
                append_regular(&path),
                make_regular(&path, false),
                make_regular(&path, true),
            ] {
                let said = opened.unwrap_err();
                assert_eq!(said.kind(), ErrorKind::InvalidInput, "{said}");
                assert!(said.to_string().contains(kind), "{said}");
            }
        }
    }

    #[test]
    fn what_is_there_stays_unless_it_may_go() {
        let folder = Folder::new("there");
        let path = folder.0.join("file");
        make_regular(&path, false)
            .unwrap()
            .write_all(b"kept")
            .unwrap();
        let said = make_regular(&path, false).unwrap_err();
        assert_eq!(said.kind(), ErrorKind::AlreadyExists);
        append_regular(&path).unwrap().write_all(b"!").unwrap();
        let mut text = String::new();
        let mut file = open_regular(&path, 5).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "kept!");
        let said = open_regular(&path, 4).unwrap_err();
        assert_eq!(said.kind(), ErrorKind::FileTooLarge);
        make_regular(&path, true).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }
}
