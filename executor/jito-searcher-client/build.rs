//! Turns the service definitions under `proto/` into Rust, without `protoc` on the machine.

use std::error::Error;

const DEFINITIONS: [&str; 4] = [
    "proto/bundle.proto",
    "proto/packet.proto",
    "proto/searcher.proto",
    "proto/shared.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let descriptors = protox::compile(DEFINITIONS, ["proto"])?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        // A received transaction stays where the transport put it.
        .bytes(".packet.Packet.data")
        // Ordered, so that what is printed or compared does not depend on a hasher's seed.
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
