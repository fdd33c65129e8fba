//! The officer's two buttons at the console: from the click to the first call that is refused, and to the first that is served again,
//! by every way out of every process.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use testkit::chance;

use super::callers::{Caller, Event, Way, settled};
use super::{Stage, ms};
use crate::Outcome;
use crate::enrol::{RESOURCE, between};

const PAGE: &str = "/console/halts";
/// After this nothing may be served any more.
const LATE: Duration = Duration::from_secs(1);
/// How long callers are watched after a click, at least; and until it is said that they never knew.
const WATCHED: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(10);
/// How long they are watched once all are served again.
const AFTERWARDS: Duration = Duration::from_millis(300);
/// Clicks come somewhere within the pauses of the processes that follow, milliseconds.
const ANYWHERE: u64 = 400;

/// What is stopped, in the words of the form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Application,
    Entry,
    Interface,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Application => "application",
            Kind::Entry => "entry",
            Kind::Interface => "interface",
        }
    }

    /// Whether it closes this way; the others go on.
    fn closes(self, way: Way) -> bool {
        self != Kind::Interface || matches!(way, Way::Interface | Way::Console)
    }
}

pub(crate) async fn measure(stage: &Stage<'_>, rounds: usize) -> Outcome<Value> {
    let callers = stage.callers().await?;
    let mut told = Map::new();
    for (kind, name) in [
        (Kind::Application, stage.app.key.as_str()),
        (Kind::Entry, RESOURCE),
        (Kind::Interface, stage.interface.code.as_str()),
    ] {
        let mut tally = Tally::new(kind, &callers);
        for round in 0..rounds {
            one(stage, &callers, name, round, &mut tally).await?;
        }
        println!("stops of an {}: {rounds} rounds", kind.as_str());
        told.insert(kind.as_str().into(), tally.json());
    }
    Ok(told.into())
}

/// Stops, watches, lifts, watches.
async fn one(
    stage: &Stage<'_>,
    callers: &[Caller],
    name: &str,
    round: usize,
    tally: &mut Tally,
) -> Outcome {
    settled(callers).await?;
    let kind = tally.kind;
    let pause = chance(round as u64, kind as u64) % ANYWHERE;
    tokio::time::sleep(Duration::from_millis(pause)).await;
    let officer = &stage.security;
    let token = officer.token(PAGE).await?;
    callers.iter().for_each(Caller::forget);
    let fields = [("kind", kind.as_str()), ("name", name), ("reason", "紧急停用测时")];
    let clicked = Instant::now();
    let (_, page) = officer.send(PAGE, &token, &fields).await?;
    tally.clicks.push(ms(clicked.elapsed()));
    reached(callers, kind, Event::refused).await;
    tokio::time::sleep(WATCHED.saturating_sub(clicked.elapsed())).await;
    tally.stopped(callers, clicked);

    let id = between(&page, "action=\"/console/halts/", "/lift\"").ok_or("no button to lift it")?;
    let token = officer.token(PAGE).await?;
    callers.iter().for_each(Caller::forget);
    let clicked = Instant::now();
    officer.send(&format!("{PAGE}/{id}/lift"), &token, &[("reason", "测时完毕")]).await?;
    reached(callers, kind, Event::served).await;
    tokio::time::sleep(AFTERWARDS).await;
    tally.lifted(callers, clicked);
    Ok(())
}

/// Waits until every caller that is concerned was answered so, or for so long.
async fn reached(callers: &[Caller], kind: Kind, how: fn(&Event) -> bool) {
    let begun = Instant::now();
    let waits = |c: &Caller| kind.closes(c.way) && !c.events(|all| all.iter().any(how));
    while begun.elapsed() < PATIENCE && callers.iter().any(waits) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One way out of one process.
struct Column {
    process: String,
    way: Way,
    /// Milliseconds from each click to the first call that was refused, and from each second click to the first that was served;
    /// `None`: none was.
    refused: Vec<Option<f64>>,
    served: Vec<Option<f64>>,
}

/// What was seen of one kind of stop.
struct Tally {
    kind: Kind,
    columns: Vec<Column>,
    /// Milliseconds until the click itself was answered, with the page that follows.
    clicks: Vec<f64>,
    /// Calls sent after the limit, or after their process had refused one, and served all the same.
    late: usize,
    after: usize,
    /// Calls refused after their way had served one again.
    again: usize,
    /// Calls refused by a way that the stop does not concern.
    beside: usize,
    /// Calls answered by something else.
    wrong: usize,
    first_wrong: Option<String>,
}

impl Tally {
    fn new(kind: Kind, callers: &[Caller]) -> Self {
        let column = |c: &Caller| Column {
            process: c.process.clone(),
            way: c.way,
            refused: Vec::new(),
            served: Vec::new(),
        };
        Self {
            kind,
            columns: callers.iter().map(column).collect(),
            clicks: Vec::new(),
            late: 0,
            after: 0,
            again: 0,
            beside: 0,
            wrong: 0,
            first_wrong: None,
        }
    }

    fn stopped(&mut self, callers: &[Caller], clicked: Instant) {
        let mut known: HashMap<&str, Instant> = HashMap::new();
        for (caller, column) in callers.iter().zip(&mut self.columns) {
            if !self.kind.closes(caller.way) {
                continue;
            }
            let first = caller.events(|all| all.iter().find(|e| e.refused()).map(|e| e.answered));
            column.refused.push(first.map(|at| ms(at.saturating_duration_since(clicked))));
            if let Some(at) = first {
                let earliest = known.entry(&caller.process).or_insert(at);
                *earliest = at.min(*earliest);
            }
        }
        for caller in callers {
            if !self.kind.closes(caller.way) {
                self.beside += caller.events(|all| all.iter().filter(|e| e.refused()).count());
                continue;
            }
            let since = known.get(caller.process.as_str()).copied();
            let (late, after) = caller.events(|all| {
                let served = || all.iter().filter(|e| e.served());
                let late = served().filter(|e| e.sent >= clicked + LATE).count();
                (late, served().filter(|e| since.is_some_and(|at| e.sent > at)).count())
            });
            self.late += late;
            self.after += after;
        }
        self.look_for_wrong(callers);
    }

    fn lifted(&mut self, callers: &[Caller], clicked: Instant) {
        for (caller, column) in callers.iter().zip(&mut self.columns) {
            if !self.kind.closes(caller.way) {
                continue;
            }
            let (first, again) = caller.events(|all| {
                let first = all.iter().find(|e| e.served()).map(|e| e.answered);
                let after = |e: &&Event| e.refused() && first.is_some_and(|at| e.sent > at);
                (first, all.iter().filter(after).count())
            });
            column.served.push(first.map(|at| ms(at.saturating_duration_since(clicked))));
            self.again += again;
        }
        self.look_for_wrong(callers);
    }

    fn look_for_wrong(&mut self, callers: &[Caller]) {
        for caller in callers {
            let (count, first) = caller.events(|all| {
                let mut wrong = all.iter().filter_map(Event::wrong);
                let first = wrong.next().map(str::to_owned);
                (usize::from(first.is_some()) + wrong.count(), first)
            });
            self.wrong += count;
            if self.first_wrong.is_none() {
                let named =
                    |what: String| format!("{} {}: {what}", caller.process, caller.way.as_str());
                self.first_wrong = first.map(named);
            }
        }
    }

    fn json(&self) -> Value {
        let concerned = self.columns.iter().filter(|c| self.kind.closes(c.way));
        let column = |c: &Column| {
            json!({
                "process": c.process, "way": c.way.as_str(), "refused_ms": c.refused,
                "served_ms": c.served,
            })
        };
        json!({
            "click_ms": self.clicks, "ways": concerned.map(column).collect::<Vec<_>>(),
            "late": self.late, "after": self.after, "again": self.again, "beside": self.beside,
            "wrong": self.wrong, "first_wrong": self.first_wrong,
        })
    }
}
