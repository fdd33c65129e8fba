//! Interfaces that are new or changed: from the click at the console to the first right answer at each gateway, beside callers of the
//! others, none of whom may notice.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use testkit::percentile;

use super::callers::{Caller, code, cut, get, settled};
use super::{KEY, NAME, PACE, Stage, ms};
use crate::Outcome;
use crate::enrol::{RESOURCE, between};

/// How long the others are watched while nothing is changed.
const QUIET: Duration = Duration::from_secs(10);
/// When it is said that a gateway never knew.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls that are watched after the first right answer: none may be answered as before.
const HELD: usize = 20;
/// What the second version returns besides.
const MORE: &str = "djzt";

pub(crate) async fn measure(stage: &Stage<'_>, rounds: usize) -> Outcome<Value> {
    let others = stage.others()?;
    settled(&others).await?;
    others.iter().for_each(Caller::forget);
    tokio::time::sleep(QUIET).await;
    let quiet = Others::of(&others);
    others.iter().for_each(Caller::forget);
    let mut tally = Tally::default();
    for round in 0..rounds {
        one(stage, round, &mut tally).await?;
    }
    let busy = Others::of(&others);
    println!("interfaces published and changed: {rounds} rounds");
    Ok(json!({
        "changes": tally.columns, "back": tally.back, "quiet": quiet.json(),
        "others": busy.json(),
    }))
}

/// What those were answered who call other interfaces.
struct Others {
    calls: usize,
    failed: usize,
    first_failed: Option<String>,
    times: Vec<Duration>,
}

impl Others {
    fn of(callers: &[Caller]) -> Self {
        let mut all = Self { calls: 0, failed: 0, first_failed: None, times: Vec::new() };
        for caller in callers {
            caller.events(|events| {
                all.calls += events.len();
                all.times.extend(events.iter().map(|e| e.answered - e.sent));
                for failed in events.iter().filter(|e| !e.served()) {
                    all.failed += 1;
                    let what = || failed.wrong().unwrap_or("an emergency stop").to_owned();
                    all.first_failed.get_or_insert_with(what);
                }
            });
        }
        all
    }

    fn json(&self) -> Value {
        let p99 =
            (!self.times.is_empty()).then(|| (percentile(&self.times, 0.99) * 10.0).round() / 10.0);
        json!({
            "calls": self.calls, "failed": self.failed, "first_failed": self.first_failed,
            "p99_ms": p99,
        })
    }
}

/// Times by kind of change and gateway.
#[derive(Default)]
struct Tally {
    columns: Vec<Value>,
    /// Answers as before, after a right one.
    back: usize,
}

impl Tally {
    fn add(&mut self, change: &str, process: &str, time: Option<Duration>) {
        let same = |c: &&mut Value| {
            c.get("change").and_then(Value::as_str) == Some(change)
                && c.get("process").and_then(Value::as_str) == Some(process)
        };
        let time = json!(time.map(ms));
        match self.columns.iter_mut().find(same).and_then(|c| c.get_mut("ms")) {
            Some(Value::Array(all)) => all.push(time),
            _ => self.columns.push(json!({ "change": change, "process": process, "ms": [time] })),
        }
    }
}

/// What an interface answers.
struct Wanted {
    version: u64,
    row: Map<String, Value>,
}

impl Wanted {
    fn new(stage: &Stage<'_>, version: u64, columns: &[&str]) -> Self {
        let is = |name: &str| columns.contains(&name);
        let row = stage.row.iter().filter(|(name, _)| is(name));
        Self { version, row: row.map(|(name, value)| (name.clone(), value.clone())).collect() }
    }

    fn is(&self, text: &str) -> bool {
        let Ok(told) = serde_json::from_str::<Value>(text) else { return false };
        let rows = told.get("rows").and_then(Value::as_array);
        told.get("version").and_then(Value::as_u64) == Some(self.version)
            && rows
                .is_some_and(|r| matches!(r.as_slice(), [Value::Object(row)] if *row == self.row))
    }
}

/// A click that changes an interface.
struct Change<'a> {
    name: &'a str,
    /// Code of the interface.
    code: &'a str,
    /// Where the button is, and what it posts.
    page: &'a str,
    step: &'a str,
    fields: &'a [(&'a str, &'a str)],
    /// The answer before (`None`: there is no such interface) and after.
    before: Option<&'a Wanted>,
    after: &'a Wanted,
}

/// A new interface is published, then a second version of it, then the first is given to all callers again but to one of a hundred.
async fn one(stage: &Stage<'_>, round: usize, tally: &mut Tally) -> Outcome {
    let people = &stage.authority;
    let (page, code) = drawn_up(stage, round).await?;
    people.post(&page, &format!("{page}/step"), &[("to", "test")]).await?;
    let first = Wanted::new(stage, 1, &[KEY, NAME]);
    let mut change = Change {
        name: "new",
        code: &code,
        page: &page,
        step: "step",
        fields: &[("to", "published"), ("share", "100")],
        before: None,
        after: &first,
    };
    click(stage, &change, tally).await?;

    let (form, text) = people.post(&page, &format!("{page}/version"), &[]).await?;
    let seen = between(&text, "name=\"seen\" value=\"", "\"").ok_or("a form without `seen`")?;
    let next = form.trim_end_matches("/edit").to_owned();
    let fields = [("text", described(round, &[KEY, NAME, MORE])), ("seen", seen.to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    people.post(&form, &form, &fields).await?;
    people.post(&next, &format!("{next}/step"), &[("to", "test")]).await?;
    let second = Wanted::new(stage, 2, &[KEY, NAME, MORE]);
    change =
        Change { name: "changed", page: &next, before: Some(&first), after: &second, ..change };
    click(stage, &change, tally).await?;
    change = Change {
        name: "share",
        step: "share",
        fields: &[("share", "1")],
        before: Some(&second),
        after: &first,
        ..change
    };
    click(stage, &change, tally).await
}

/// The first version of an interface, as a draft: its page and code. One of which the caller is in the first hundredth of callers is
/// of no use to see a share change.
async fn drawn_up(stage: &Stage<'_>, round: usize) -> Outcome<(String, String)> {
    let form = format!("/console/interfaces/new?entry={RESOURCE}&kind=query");
    let text = described(round, &[KEY, NAME]);
    loop {
        let (page, told) =
            stage.authority.post(&form, "/console/interfaces", &[("text", &text)]).await?;
        let code = between(&told, "id=\"interface-code\">", "<").ok_or("no code was shown")?;
        let digest = guard::hash::sm3_hex(format!("{code}\n{}", stage.id).as_bytes());
        let place = u32::from_str_radix(digest.get(..8).unwrap_or_default(), 16)?;
        if place % 100 > 0 {
            return Ok((page, code.to_owned()));
        }
    }
}

fn described(round: usize, columns: &[&str]) -> String {
    let returns: String = columns.iter().map(|c| format!("[[return]]\nitem = \"{c}\"\n")).collect();
    format!(
        "title = \"即时生效 {round:02}\"\nkind = \"query\"\nentry = \"{RESOURCE}\"\n\
         [[param]]\nname = \"uscc\"\nitem = \"{KEY}\"\nrequired = true\n{returns}"
    )
}

/// Clicks, and asks every gateway until it answers as it should.
async fn click(stage: &Stage<'_>, change: &Change<'_>, tally: &mut Tally) -> Outcome {
    let gateways: Vec<(String, &str)> = stage.gateways().collect();
    for (process, gate) in &gateways {
        if !matches!(look(stage, gate, change).await?, Seen::Before) {
            let told = format!("`{}` was answered by {process} before the click", change.name);
            return Err(told.into());
        }
    }
    let people = &stage.authority;
    let token = people.token(change.page).await?;
    let to = format!("{}/{}", change.page, change.step);
    let clicked = Instant::now();
    let watched = gateways.iter().map(|(_, gate)| until(stage, gate, change, clicked));
    let (answered, seen) = tokio::join!(people.send(&to, &token, change.fields), join_all(watched));
    answered?;
    for ((process, _), seen) in gateways.iter().zip(seen) {
        let (time, back) = seen?;
        tally.add(change.name, process, time);
        tally.back += back;
    }
    Ok(())
}

enum Seen {
    Before,
    After,
}

/// One call; anything but the answers before and after is an error.
async fn look(stage: &Stage<'_>, gate: &str, change: &Change<'_>) -> Outcome<Seen> {
    let path = format!("/api/interface/{}", change.code);
    let query = format!("uscc={}", stage.value(KEY)?);
    let (status, text) = get(&stage.client, gate, &stage.app, &path, &query).await?;
    if status.is_success() && change.after.is(&text) {
        return Ok(Seen::After);
    }
    let before = match change.before {
        Some(before) => status.is_success() && before.is(&text),
        None => status == StatusCode::NOT_FOUND && code(&text).as_deref() == Some("not_found"),
    };
    match before {
        true => Ok(Seen::Before),
        false => Err(format!("`{}` was answered {status}: {}", change.name, cut(&text)).into()),
    }
}

/// How long after the click the first right answer came, if one did, and how many answers as before came after it.
async fn until(
    stage: &Stage<'_>,
    gate: &str,
    change: &Change<'_>,
    clicked: Instant,
) -> Outcome<(Option<Duration>, usize)> {
    let (mut first, mut held, mut back) = (None, 0, 0);
    loop {
        match (look(stage, gate, change).await?, first) {
            (Seen::After, None) => first = Some(clicked.elapsed()),
            (Seen::After, Some(_)) => held += 1,
            (Seen::Before, Some(_)) => back += 1,
            (Seen::Before, None) => {}
        }
        if held + back >= HELD || (first.is_none() && clicked.elapsed() > PATIENCE) {
            return Ok((first, back));
        }
        tokio::time::sleep(PACE).await;
    }
}
