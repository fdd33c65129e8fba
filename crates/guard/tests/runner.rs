//! The one integration binary of `guard`: known vectors stand beside the code, behaviour and properties here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests: they fail by panic and may print"
)]

mod chain;
mod mask;
mod speed;
