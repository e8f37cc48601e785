//! Turns the public definition of the entries service into the client that `tests/relay_end_to_end.rs` calls it with;
//! without `protoc` on the machine.

use std::error::Error;

/// Beside the tests of the relay's own crate, which are made from it too.
const FOLDER: &str = "../shred-ingest/relay/tests/proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={FOLDER}");
    println!("cargo:rerun-if-changed=build.rs");
    let public = protox::compile([format!("{FOLDER}/public.proto")], [FOLDER])?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(false)
        .compile_fds(public)?;
    Ok(())
}
