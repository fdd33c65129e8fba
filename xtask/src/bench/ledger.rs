//! `bench ledger` and `bench recall`: the four ledgers filled to the size of a province, search against its rivals on the
//! same corpus in the same run; and recall on real records.

use serde_json::{Value, json};

use super::{Options, last_json};
use crate::Outcome;
use crate::shell::{Scratch, program, read, root};

/// Thousands of data items of a province.
const PROVINCE: u64 = 2244;
/// Least data items indexed per second, and most memory of the filling process.
const ITEMS_PER_SECOND: f64 = 30_000.0;
const MEMORY_MB: u64 = 3072;

pub(crate) fn run(options: &Options) -> Outcome {
    let scratch = Scratch::new("ledger")?;
    let thousands = options.thousands.unwrap_or(PROVINCE);
    let folder = scratch.path().join("data");
    let bin = options.bin();
    // The province's figures, or the same proportions of fewer.
    let share = |whole: u64| (whole * thousands / PROVINCE).max(10).to_string();
    let mut fill = program(bin.join("qiantang"));
    fill.args(["ledger", "fill", "--json", "--data"]).arg(&folder);
    fill.args(["--items", &(thousands * 1000).to_string()]);
    for (flag, whole) in [
        ("--entries", 200_000),
        ("--applications", 13_363),
        ("--components", 397),
        ("--cloud", 89_000),
    ] {
        fill.args([flag, &share(whole)]);
    }
    let made = last_json(&read(&mut fill)?)?;
    let number = |v: &Value, name: &str| v.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let rate = number(&made, "items") / number(&made, "index_seconds").max(0.001);
    println!(
        "filled in {:.0} s; index of {} documents in {:.1} s: {rate:.0} items/s; most memory {} MB",
        number(&made, "write_seconds"),
        made.get("documents").cloned().unwrap_or_default(),
        number(&made, "index_seconds"),
        made.get("peak_mb").cloned().unwrap_or_default()
    );
    let said = read(program(bin.join("ledgerbench")).arg("search").arg(&folder))?;
    let found = last_json(&said)?;
    for line in said.lines().filter(|l| !l.starts_with('{')) {
        println!("{line}");
    }
    let pass = found.get("pass") == Some(&Value::Bool(true))
        && rate >= ITEMS_PER_SECOND
        && made.get("peak_mb").and_then(Value::as_u64).is_some_and(|mb| mb <= MEMORY_MB);
    let all = json!({ "bench": "ledger", "fill": made, "items_per_second": rate, "search": found, "pass": pass });
    println!("{all}");
    if pass {
        Ok(())
    } else {
        Err("a promise of the ledgers is not kept; the figures stand above".into())
    }
}

pub(crate) fn recall(options: &Options) -> Outcome {
    let data = options.data.as_ref().ok_or(
        "`bench recall` needs `--data DIR`: the folder catalogue_opendata_zh with its CSV of real records",
    )?;
    if !data.is_dir() {
        return Err(format!("the data folder {} is not there", data.display()));
    }
    let questions = root().join("crates/testkit/questions/catalogue_opendata_zh.toml");
    let said =
        read(program(options.bin().join("ledgerbench")).arg("recall").arg(data).arg(questions))?;
    print!("{said}");
    if last_json(&said)?.get("pass") == Some(&Value::Bool(true)) {
        Ok(())
    } else {
        Err("recall@10 is below its limit".into())
    }
}
