//! The one integration binary of `policy`: decisions, rule files, releases, the permission matrix.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests: they fail by panic and may print"
)]

mod decisions;
mod files;
mod flow;
mod house;
mod matrix;
mod release;
mod speed;
