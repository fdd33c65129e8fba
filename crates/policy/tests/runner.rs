//! The one integration binary of `policy`: decisions, rule files, releases, the permission matrix.

mod decisions;
mod files;
mod house;
mod matrix;
mod release;
mod speed;
