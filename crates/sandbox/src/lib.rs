//! Programs of the data sandbox (数据沙箱): WebAssembly modules that see what they are handed and nothing else. The only crate that
//! runs what others wrote.
//!
//! ```text
//! a module exports  memory, run() -> i32            0: done, anything else: failed
//! and may import    from "qiantang":
//!   table_count() -> i32                            tables it is handed
//!   size(table) -> i64                              bytes of one: CSV with a head, UTF-8
//!   read(table, offset: i64, ptr, len) -> i32       copies up to len bytes, answers how many; 0 at the end
//!   write(ptr, len) -> i32                          adds to the output: CSV with a head
//!   log(ptr, len)                                   adds to the log, which is cut
//! ```
//!
//! Every module has an engine, a store and a thread of its own, dropped after the run. Steps are counted (fuel), memory and tables
//! are bounded, the clock ends it from outside (epochs), what is copied for it is paid in steps, too. There is no WASI, no thread, no clock and
//! no chance, and what is not a number is written one way: same program, same tables, same outcome.

mod host;
mod module;
mod run;

use async_trait::async_trait;
use model::{Error, Result};
use policy::port::{ProgramEnd, ProgramLimits, ProgramSeen, Programs};

/// A module is so large at most, as handed in.
pub const MODULE_BYTES: usize = 1 << 20;

/// A program that ships with the platform: it counts the rows of its first table by the first column.
pub const GROUP_COUNT: &str = include_str!("../samples/group_count.wat");

/// The engine of programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wasm;

#[async_trait]
impl Programs for Wasm {
    async fn check(&self, module: Vec<u8>) -> Result<ProgramSeen> {
        apart(move || module::read(&module).map(|read| read.seen)).await
    }

    async fn run(
        &self,
        module: Vec<u8>,
        tables: Vec<Vec<u8>>,
        limits: ProgramLimits,
    ) -> Result<ProgramEnd> {
        apart(move || {
            let read = module::read(&module)?;
            run::run(&read, tables, &limits)
        })
        .await
    }

    fn sample(&self) -> &'static str {
        GROUP_COUNT
    }
}

/// Compiling and running hold a thread.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::internal("the thread of a program").caused_by(e))?
}

#[cfg(test)]
mod tests;
