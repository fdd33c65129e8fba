//! `bench rail`: the real-time rail against the bare limits of its source: `pg_recvlogical` to nowhere, and `COPY … TO` of
//! the same table.

use super::{Options, last_json};
use crate::Outcome;
use crate::shell::{Scratch, program, read};

pub(crate) fn run(options: &Options) -> Outcome {
    let scratch = Scratch::new("rail")?;
    let rows = options.thousands.unwrap_or(10_000) * 1000;
    // A fifth as many changes as rows, so that both take about as long.
    let (changes, seconds) = (rows / 5, options.seconds.max(20));
    let mut bench = program(options.bin().join("railbench"));
    bench.arg(scratch.path().join("data"));
    bench.args([rows, changes, seconds].map(|n| n.to_string()));
    let said = read(&mut bench)?;
    print!("{said}");
    match last_json(&said)?.get("pass") == Some(&serde_json::Value::Bool(true)) {
        true => Ok(()),
        false => Err("a promise of the rail is not kept; the figures stand above".into()),
    }
}
