//! The built binary as operators use it: commands, and several processes on one store. Wiring only; what rooms and
//! engines do is tried on lower floors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where something is wrong"
)]

mod cluster;
mod commands;
mod desk;
mod processes;
mod receipts;
mod stamps;
mod tlsfiles;
