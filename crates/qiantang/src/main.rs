//! `qiantang`: the whole public-data platform in one binary.
//!
//! `config` and `folder` are what it is given, `house` wires the engines into the rooms, `serve` opens the doors, `relay`
//! takes commands beside a server, `command` holds one file per command, `demo` makes the synthetic province, `seed` brings it in.

#![expect(
    unreachable_pub,
    reason = "modules of a binary: `pub` says what a module offers its neighbours"
)]

mod command;
mod config;
mod demo;
mod fill;
mod folder;
mod house;
mod relay;
mod seed;
mod seed_basket;
mod seed_channels;
mod seed_crowd;
mod seed_delivery;
mod seed_dispatch;
mod seed_interface;
mod seed_opening;
mod seed_project;
mod seed_realname;
mod seed_restricted;
mod seed_sandbox;
mod seed_voice;
mod serve;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    command::run()
}
