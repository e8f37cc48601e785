//! The OVERMIND executor: configuration, topology, commands.

#[macro_use]
mod output;

pub mod admin;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod core_stage;
pub mod decode;
pub mod doctor;
pub mod leaders;
pub mod notify;
pub mod pipeline;
pub mod published;
pub mod rungs;
pub mod stage;
pub mod topology;
