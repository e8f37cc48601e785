//! What `build.rs` made of `proto/`.
#![allow(missing_docs, unreachable_pub, clippy::all)]

tonic::include_proto!("shredstream");
