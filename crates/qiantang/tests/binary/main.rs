//! The built binary as operators use it: commands, and several processes on one store. Wiring only; what rooms and
//! engines do is tried on lower floors.

mod commands;
mod desk;
mod processes;
