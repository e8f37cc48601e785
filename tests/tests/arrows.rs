//! The arrows of `ARCHITECTURE.md`, held against what Cargo really resolves.
//!
//! Bytes flow wire -> core -> I/O -> app. A package may depend on those named for it in [`ROOMS`]
//! and on no other of ours; the core pulls in no runtime, no RPC, no virtual machine.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, PackageId};

/// A package, the folder it lives in, and the packages of ours that it may depend on.
struct Room {
    package: &'static str,
    folder: &'static str,
    layer: Layer,
    may_use: &'static [&'static str],
}

/// What a package may touch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// Meaning of bytes: `no_std`.
    Wire,
    /// Pure rules, or bare sockets without a runtime: no tree of [`TOO_HEAVY_FOR_CORE`].
    Core,
    /// Talks to the outside.
    Shell,
    /// Puts everything together, or looks at everything.
    Top,
}

#[rustfmt::skip]
const ROOMS: &[Room] = &[
    room("shred-wire",           "shred-ingest/wire",             Layer::Wire,  &[]),
    room("shred-resolve",        "shred-ingest/resolve",          Layer::Core,  &["shred-wire"]),
    room("shred-source",         "shred-ingest/source",           Layer::Core,  &["shred-wire", "shred-resolve"]),
    room("shred-quic",           "shred-ingest/quic",             Layer::Shell, &["shred-wire", "shred-source"]),
    // Tokens for ShredStream, and for the searcher service of the same house.
    room("jito-auth",            "shred-ingest/jito-auth",        Layer::Shell, &[]),
    room("shredstream-client",   "shred-ingest/shredstream",      Layer::Shell, &["jito-auth"]),
    room("shred-relay",          "shred-ingest/relay",            Layer::Shell, &["shred-wire", "shred-resolve", "shred-source", "shred-quic"]),

    room("brain-wire",           "brain-bridge/wire",             Layer::Wire,  &[]),
    room("brain-bridge",         "brain-bridge/bridge",           Layer::Shell, &["brain-wire"]),

    room("program-address",      "executor/program-address",      Layer::Core,  &[]),
    room("market",               "executor/market",               Layer::Core,  &["shred-wire", "program-address"]),
    room("accounts",             "executor/accounts",             Layer::Core,  &["shred-wire", "program-address", "market"]),
    room("strategy",             "executor/strategy",             Layer::Core,  &["shred-wire", "market"]),
    room("risk",                 "executor/risk",                 Layer::Core,  &["shred-wire", "market", "strategy"]),
    room("bundle",               "executor/bundle",               Layer::Core,  &["shred-wire", "program-address", "market", "strategy", "risk"]),
    room("engine",               "executor/engine",               Layer::Core,  &["shred-wire", "shred-resolve", "brain-wire", "market", "strategy", "risk", "bundle"]),
    room("jito-searcher-client", "executor/jito-searcher-client", Layer::Shell, &["jito-auth"]),
    room("submit",               "executor/submit",               Layer::Shell, &["shred-wire", "market", "strategy", "risk", "bundle", "jito-searcher-client"]),
    room("sidecar",              "executor/sidecar",              Layer::Shell, &["shred-wire", "market", "strategy", "risk", "bundle"]),
    room("venue-check",          "executor/venue-check",          Layer::Core,  &["shred-wire", "program-address", "market", "accounts", "strategy", "risk", "bundle"]),
    // The other side of the wire: it shares no reader, no quote and no builder with the executor.
    room("demo",                 "executor/demo",                 Layer::Shell, &["jito-searcher-client"]),
    room("overmind",             "executor/app",                  Layer::Top,   EVERYTHING_BELOW_APP),

    room("bench",                "bench",                         Layer::Top,   EVERYTHING),
    room("ingest-tests",         "tests/ingest",                  Layer::Top,   INGEST_AND_DEMO),
    room("overmind-tests",       "tests",                         Layer::Top,   EVERYTHING),
];

const EVERYTHING_BELOW_APP: &[&str] = &[
    "shred-wire",
    "shred-resolve",
    "shred-source",
    "shred-quic",
    "jito-auth",
    "shredstream-client",
    "shred-relay",
    "brain-wire",
    "brain-bridge",
    "program-address",
    "market",
    "accounts",
    "strategy",
    "risk",
    "bundle",
    "engine",
    "jito-searcher-client",
    "submit",
    "sidecar",
    "venue-check",
    "demo",
];

const EVERYTHING: &[&str] = &[
    "shred-wire",
    "shred-resolve",
    "shred-source",
    "shred-quic",
    "jito-auth",
    "shredstream-client",
    "shred-relay",
    "brain-wire",
    "brain-bridge",
    "program-address",
    "market",
    "accounts",
    "strategy",
    "risk",
    "bundle",
    "engine",
    "jito-searcher-client",
    "submit",
    "sidecar",
    "venue-check",
    "demo",
    "overmind",
];

/// What tests of the ingest stand on: they run without the app.
const INGEST_AND_DEMO: &[&str] = &[
    "shred-wire",
    "shred-resolve",
    "shred-source",
    "shred-quic",
    "demo",
];

/// Runtimes, transports, RPC clients and virtual machines.
const TOO_HEAVY_FOR_CORE: &[&str] = &[
    "tokio",
    "tonic",
    "quinn",
    "rustls",
    "hyper",
    "reqwest",
    "axum",
    "prost",
    "zmq",
    "solana-client",
    "solana-rpc-client",
    "solana-sdk",
    "litesvm",
    "rocksdb",
];

/// The design card's folders, and the one that holds the gate.
const TOP_FOLDERS: &[&str] = &[
    "executor",
    "shred-ingest",
    "brain-bridge",
    "bench",
    "deploy",
    "systemd",
    "tuning",
    "tests",
    ".ci",
];

const TOP_FILES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "clippy.toml",
    ".gitignore",
    ".gitattributes",
    ".editorconfig",
];

const fn room(
    package: &'static str,
    folder: &'static str,
    layer: Layer,
    may_use: &'static [&'static str],
) -> Room {
    Room {
        package,
        folder,
        layer,
        may_use,
    }
}

fn find(package: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.package == package)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// What Cargo resolves for this platform from the committed lock file; from disk alone when that is
/// enough.
fn metadata() -> Metadata {
    let ask = |options: &[&str]| {
        let mut options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        options.extend(["--filter-platform".to_owned(), platform]);
        MetadataCommand::new()
            .manifest_path(workspace().join("Cargo.toml"))
            .features(CargoOpt::AllFeatures)
            .other_options(options)
            .exec()
    };
    ask(&["--locked", "--offline"])
        .or_else(|_| ask(&["--locked"]))
        .unwrap()
}

#[test]
fn every_package_has_its_room_and_every_room_its_package() {
    let metadata = metadata();
    let members: BTreeMap<String, String> = metadata
        .workspace_packages()
        .iter()
        .map(|package| {
            let folder = package.manifest_path.parent().unwrap();
            let folder = folder.strip_prefix(&metadata.workspace_root).unwrap();
            (package.name.to_string(), folder.to_string())
        })
        .collect();
    let rooms: BTreeMap<String, String> = ROOMS
        .iter()
        .map(|room| (room.package.to_owned(), room.folder.to_owned()))
        .collect();
    assert_eq!(
        members, rooms,
        "left: Cargo.toml, right: the table of this test"
    );
    for folder in rooms.values() {
        let top = folder.split('/').next().unwrap();
        assert!(
            TOP_FOLDERS.contains(&top),
            "{folder} is outside the card's folders"
        );
    }
    let app = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == "overmind")
        .unwrap()
        .id
        .clone();
    assert_eq!(
        metadata.workspace_default_members.to_vec(),
        [app],
        "`cargo run` starts the app"
    );
}

#[test]
fn packages_depend_only_on_what_their_room_allows() {
    let mut offences = Vec::new();
    for package in metadata().workspace_packages() {
        let room = find(&package.name).unwrap();
        for dependency in &package.dependencies {
            let Some(used) = find(&dependency.name) else {
                continue;
            };
            let offends = match dependency.kind {
                DependencyKind::Development => !may_test_with(room, used),
                _ => !room.may_use.contains(&used.package),
            };
            if offends {
                offences.push(format!(
                    "{} -> {} ({:?})",
                    room.package, used.package, dependency.kind
                ));
            }
        }
    }
    assert!(
        offences.is_empty(),
        "arrows that point the wrong way: {offences:#?}"
    );
}

/// Tests may look sideways within what their package could use, the core's never up or out.
fn may_test_with(room: &Room, used: &Room) -> bool {
    let top = |folder: &'static str| folder.split('/').next().unwrap();
    match (room.layer, used.layer) {
        (Layer::Top, _) => true,
        (_, Layer::Top) => false,
        (Layer::Wire | Layer::Core, Layer::Shell) => false,
        _ => top(room.folder) == "executor" || top(room.folder) == top(used.folder),
    }
}

#[test]
fn ingest_and_bridge_know_nothing_of_each_other_or_of_the_executor() {
    for room in ROOMS {
        let top = room.folder.split('/').next().unwrap();
        if top == "shred-ingest" || top == "brain-bridge" {
            for used in room.may_use {
                let used = find(used).unwrap();
                assert!(
                    used.folder.starts_with(top),
                    "{} may use {}",
                    room.package,
                    used.package
                );
            }
        }
    }
}

/// The table cannot be turned into a circle: each package stands after all that it may use.
#[test]
fn the_table_is_in_the_order_data_moves() {
    for (index, room) in ROOMS.iter().enumerate() {
        for used in room.may_use {
            assert!(
                ROOMS[..index]
                    .iter()
                    .any(|earlier| earlier.package == *used),
                "{} uses {used}",
                room.package
            );
        }
    }
}

#[test]
fn the_core_pulls_in_no_runtime_rpc_or_virtual_machine() {
    let metadata = metadata();
    let names: BTreeMap<&PackageId, &str> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.as_str()))
        .collect();
    for package in metadata.workspace_packages() {
        let layer = find(&package.name).unwrap().layer;
        if !matches!(layer, Layer::Wire | Layer::Core) {
            continue;
        }
        let tree: BTreeSet<&str> = tree_of(&metadata, &package.id)
            .iter()
            .map(|id| names[id])
            .collect();
        assert!(tree.contains(package.name.as_str()));
        let heavy: Vec<&&str> = TOO_HEAVY_FOR_CORE
            .iter()
            .filter(|name| tree.contains(**name))
            .collect();
        assert!(heavy.is_empty(), "{} pulls in {heavy:?}", package.name);
    }
}

/// The walk above would find them: the app, which may, does pull some in.
#[test]
fn the_tree_walk_sees_through_the_app() {
    let metadata = metadata();
    let app = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == "overmind")
        .unwrap();
    let tree = tree_of(&metadata, &app.id);
    for name in ["tokio", "axum", "zmq"] {
        assert!(
            metadata
                .packages
                .iter()
                .any(|package| package.name == name && tree.contains(&package.id)),
            "{name}"
        );
    }
}

/// A package and everything that its normal and build dependencies resolve to.
fn tree_of(metadata: &Metadata, root: &PackageId) -> BTreeSet<PackageId> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let nodes: BTreeMap<&PackageId, _> =
        resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut tree = BTreeSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if !tree.insert(id.clone()) {
            continue;
        }
        let built = |kinds: &[cargo_metadata::DepKindInfo]| {
            kinds
                .iter()
                .any(|info| info.kind != DependencyKind::Development)
        };
        open.extend(
            nodes[id]
                .deps
                .iter()
                .filter(|edge| built(&edge.dep_kinds))
                .map(|edge| &edge.pkg),
        );
    }
    tree
}

#[test]
fn wire_packages_have_no_standard_library() {
    for room in ROOMS.iter().filter(|room| room.layer == Layer::Wire) {
        let source = workspace().join(room.folder).join("src/lib.rs");
        let text = std::fs::read_to_string(&source).unwrap();
        let without_std = ["#![no_std]", "#![cfg_attr(not(test), no_std)]"];
        assert!(
            text.lines().any(|line| without_std.contains(&line.trim())),
            "{} has std",
            room.package
        );
        assert!(
            !text.contains("extern crate std;") || text.contains("#[cfg(test)]"),
            "{} takes std back",
            room.package
        );
    }
}

#[test]
fn nothing_else_stands_at_the_top() {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(workspace())
        .output();
    let Some(listed) = listed.ok().filter(|output| output.status.success()) else {
        eprintln!("not a git checkout: nothing to list");
        return;
    };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let strangers: BTreeSet<&str> = listed
        .split('\0')
        .filter(|path| !path.is_empty())
        .filter_map(|path| match path.split_once('/') {
            Some((folder, _)) => (!TOP_FOLDERS.contains(&folder)).then_some(folder),
            None => (!TOP_FILES.contains(&path)).then_some(path),
        })
        .collect();
    assert!(
        strangers.is_empty(),
        "at the top of the tree: {strangers:?}"
    );
}
