//! The programs' binaries, found where cargo unpacked the package that ships them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cargo_metadata::MetadataCommand;

/// The package that ships the binaries.
const PACKAGE: &str = "pump-rust-client";

/// Folder of the binaries.
///
/// The lock file holds the package to a checksum, so these are the bytes its publisher released. They are never
/// copied into the tree.
///
/// # Panics
/// When cargo does not know the package: this crate depends on it, so a build has just used it.
#[must_use]
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(ask_cargo)
}

fn ask_cargo() -> PathBuf {
    // Without a platform cargo would ask for packages of systems that nothing here was built for.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .other_options(["--locked", "--offline", "--filter-platform", &platform].map(String::from))
        .exec()
        .expect("cargo knows the packages it built this from");
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name == PACKAGE);
    let manifest = &package.expect("a dependency of this crate").manifest_path;
    manifest
        .parent()
        .expect("a manifest lies in a folder")
        .join("artifacts")
        .into()
}

/// Bytes of one program, by the name of its file.
///
/// # Panics
/// When the package does not ship it.
#[must_use]
pub fn program(folder: &Path, name: &str) -> Vec<u8> {
    let path = folder.join(name).with_extension("so");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
