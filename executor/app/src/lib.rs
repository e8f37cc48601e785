//! The OVERMIND executor: configuration, topology, commands.

#[macro_use]
pub mod output;

pub mod account_feed;
pub mod admin;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod core_stage;
pub mod decode;
pub mod doctor;
pub mod intake;
pub mod leaders;
mod leftovers;
pub mod lookup_tables;
pub mod notices;
pub mod notify;
mod outage;
pub mod pipeline;
pub mod published;
pub mod receive;
pub mod regular;
pub mod relay;
pub mod rungs;
pub mod secret;
pub mod shredstream;
pub mod signing;
pub mod signing_stage;
pub mod sources;
pub mod stage;
pub mod state_dir;
pub mod status;
pub mod topology;
pub mod venues;
pub mod verify_stage;
pub mod wiring;
