//! `bench switch`: how soon what one process switches is known in all. An officer stops an application, a resource and an interface at
//! the console of one process, while callers ask by every way out of every other without a pause; then interfaces are published and
//! changed, beside callers of the others. `gatebench switch` turns the switches; here is told and judged what it saw.

mod verdict;

use serde_json::{Map, Value, json};

use self::verdict::{LIMIT_MS, Times, Verdict};
use super::Options;
use crate::Outcome;
use crate::shell::{Scratch, program, run as shown};

/// How often each switch is turned, where nothing is said.
const ROUNDS: u64 = 10;
/// What is stopped, and what changes, each with its heading.
const STOPS: [(&str, &str); 3] =
    [("application", "an application"), ("entry", "a resource"), ("interface", "an interface")];
const CHANGES: [(&str, &str); 3] =
    [("new", "published"), ("changed", "a new version"), ("share", "its share of callers")];

pub(crate) fn run(options: &Options) -> Outcome {
    let scratch = Scratch::new("switch")?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut turn = program(options.bin().join("gatebench"));
    turn.arg("switch").arg(options.bin().join("qiantang")).arg(scratch.path());
    shown(turn.arg(rounds.to_string()))?;
    let file = scratch.path().join("switch.json");
    let seen = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let seen: Value = serde_json::from_str(&seen).map_err(|e| e.to_string())?;

    let rounds = usize::try_from(rounds).map_err(|e| e.to_string())?;
    let mut verdict = Verdict::new(rounds);
    let stops = stops(&seen, &mut verdict);
    let live = live(&seen, &mut verdict);
    let told = json!({
        "bench": "switch", "rounds": rounds, "limit_ms": LIMIT_MS, "stops": stops, "live": live,
        "missed": verdict.missed(), "pass": verdict.missed().is_empty(),
    });
    println!("{told}");
    verdict.outcome()
}

/// Stops: a table of milliseconds by way out, and the same as JSON.
fn stops(seen: &Value, verdict: &mut Verdict) -> Value {
    let headings: Vec<&str> = STOPS.iter().map(|(_, heading)| *heading).collect();
    println!("milliseconds from the click to the first call, median and longest");
    println!("| refused · served again | {} |", headings.join(" | "));
    println!("|---|{}", "---|".repeat(STOPS.len()));
    let mut table = Table::default();
    let mut told = Map::new();
    for (column, (kind, heading)) in STOPS.iter().enumerate() {
        let stop = at(seen, &["stops", *kind]);
        let mut ways = Map::new();
        for way in list(stop, "ways") {
            let name = format!("{}, {}", text(way, "process"), text(way, "way"));
            let (refused, served) =
                (Times::of(list(way, "refused_ms")), Times::of(list(way, "served_ms")));
            verdict.soon(&format!("a stop of {heading} at {name}"), &refused);
            verdict.soon(&format!("the lifting of a stop of {heading} at {name}"), &served);
            table.put(&name, column, format!("{} · {}", refused.line(), served.line()));
            ways.insert(name, json!({ "refused": refused.json(), "served": served.json() }));
        }
        verdict.ways(heading, ways.len());
        for (what, count) in [
            ("late", "calls were served a second after the click or later"),
            ("after", "calls were served after their process had refused one"),
            ("again", "calls were refused after the stop was lifted and one was served"),
            ("beside", "calls were refused by ways that the stop does not concern"),
            ("wrong", "calls were answered neither by rows nor by the stop"),
        ] {
            verdict.none(&format!("stop of {heading}: {count}"), number(stop, what));
        }
        if let Some(first) = stop.get("first_wrong").and_then(Value::as_str) {
            println!("a stop of {heading}, first wrong answer: {first}");
        }
        let clicks = Times::of(list(stop, "click_ms"));
        told.insert((*kind).into(), json!({ "ways": ways, "click": clicks.json() }));
    }
    table.print(STOPS.len());
    told.into()
}

/// Changed interfaces: the same.
fn live(seen: &Value, verdict: &mut Verdict) -> Value {
    let live = at(seen, &["live"]);
    let headings: Vec<&str> = CHANGES.iter().map(|(_, heading)| *heading).collect();
    println!("milliseconds from the click to the first right answer, median and longest");
    println!("| | {} |", headings.join(" | "));
    println!("|---|{}", "---|".repeat(CHANGES.len()));
    let mut table = Table::default();
    let mut told = Map::new();
    for (column, (change, heading)) in CHANGES.iter().enumerate() {
        let mut gateways = Map::new();
        for one in list(live, "changes").iter().filter(|c| text(c, "change") == *change) {
            let (name, times) = (text(one, "process"), Times::of(list(one, "ms")));
            verdict.soon(&format!("an interface ({heading}) at {name}"), &times);
            table.put(name, column, times.line());
            gateways.insert(name.to_owned(), times.json());
        }
        verdict.ways(heading, gateways.len());
        told.insert((*change).into(), gateways.into());
    }
    table.print(CHANGES.len());
    verdict.none("interfaces answered as before, after a right answer", number(live, "back"));
    for (name, when) in [("quiet", "before"), ("others", "during the changes")] {
        let others = at(live, &[name]);
        let (calls, failed) = (number(others, "calls"), number(others, "failed"));
        println!(
            "other interfaces {when}: {} calls, {} failed, p99 {} ms",
            at(others, &["calls"]),
            at(others, &["failed"]),
            at(others, &["p99_ms"])
        );
        if let Some(first) = others.get("first_failed").and_then(Value::as_str) {
            println!("  the first that failed: {first}");
        }
        verdict.none(&format!("calls of other interfaces failed {when}"), failed);
        verdict.some(&format!("calls of other interfaces {when}"), calls);
        told.insert(name.into(), others.clone());
    }
    told.into()
}

/// Rows of a table in the order in which they first came.
#[derive(Default)]
struct Table(Vec<(String, Vec<(usize, String)>)>);

impl Table {
    fn put(&mut self, row: &str, column: usize, cell: String) {
        match self.0.iter_mut().find(|(name, _)| name == row) {
            Some((_, cells)) => cells.push((column, cell)),
            None => self.0.push((row.to_owned(), vec![(column, cell)])),
        }
    }

    fn print(&self, columns: usize) {
        for (name, cells) in &self.0 {
            let cell = |column: usize| {
                cells.iter().find(|(c, _)| *c == column).map_or("", |(_, text)| text.as_str())
            };
            let cells: Vec<&str> = (0..columns).map(cell).collect();
            println!("| {name} | {} |", cells.join(" | "));
        }
    }
}

/// What stands there; null when it does not.
fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A count; what was not counted is none that can be relied on.
fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name).and_then(Value::as_u64)
}
