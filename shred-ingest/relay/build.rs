//! Turns the service definition under `proto/` into Rust, and the public one into the client that tests call it with;
//! without `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=tests/proto");
    println!("cargo:rerun-if-changed=build.rs");
    let served = protox::compile(["proto/shredstream.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(true)
        // One batch is shared by all clients.
        .bytes(".shredstream.Entry.entries")
        .compile_fds(served)?;

    let public = protox::compile(["tests/proto/public.proto"], ["tests/proto"])?;
    let folder = PathBuf::from(std::env::var("OUT_DIR")?).join("public");
    std::fs::create_dir_all(&folder)?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(false)
        .out_dir(folder)
        .compile_fds(public)?;
    Ok(())
}
