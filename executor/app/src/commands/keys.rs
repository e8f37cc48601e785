//! `overmind keys`: keys that nodes know each other by.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::json;
use shred_quic::{Identity, PeerId};
use zeroize::Zeroizing;

use crate::cli::{KeyFileArgs, KeysAction, KeysArgs, exit};
use crate::commands::Failure;
use crate::secret::Secret;

/// Makes or shows a key; the exit code.
///
/// # Errors
/// [`Failure::Input`] names the file.
pub fn run(args: &KeysArgs) -> Result<u8, Failure> {
    let (KeysAction::New(file) | KeysAction::Show(file)) = &args.action;
    if matches!(args.action, KeysAction::New(_)) {
        make(&file.file).map_err(|error| {
            let what = format!("{}: {error}", file.file.display());
            Failure::Input(match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    format!("{what}; a key is never overwritten: name another file")
                }
                _ => what,
            })
        })?;
    }
    show(file)?;
    Ok(exit::OK)
}

/// Writes a seed of the system's randomness into a file that must not exist.
fn make(path: &Path) -> std::io::Result<()> {
    let mut seed = Zeroizing::new([0; 32]);
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed[..])?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&seed[..])?;
    file.sync_all()
}

fn show(args: &KeyFileArgs) -> Result<PeerId, Failure> {
    let secret = Secret::load(&args.file).map_err(|error| Failure::Input(error.to_string()))?;
    let id = Identity::from_seed(&secret.seed()).id();
    if args.json {
        let file = args.file.display().to_string();
        outln!("{}", json!({ "identity": id.to_string(), "file": file }));
    } else {
        outln!("{id}");
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_closed_and_shown_again() {
        let name = format!("overmind-keys-{}", std::process::id());
        let file = KeyFileArgs {
            file: std::env::temp_dir().join(name),
            json: false,
        };
        let new = KeysArgs {
            action: KeysAction::New(file.clone()),
        };
        assert_eq!(run(&new).unwrap(), exit::OK);
        let mode = std::fs::metadata(&file.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = std::fs::read(&file.file).unwrap();
        let said = run(&new).unwrap_err().to_string();
        assert!(said.contains("never overwritten"), "{said}");
        assert_eq!(std::fs::read(&file.file).unwrap(), before);
        let seed = before.try_into().unwrap();
        assert_eq!(show(&file).unwrap(), Identity::from_seed(&seed).id());
        std::fs::remove_file(&file.file).unwrap();
    }
}
