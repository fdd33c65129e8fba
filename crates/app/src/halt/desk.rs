//! The button: stop, lift, and what is or was stopped.

use model::asset::Node;
use model::bounds::BoundsKind;
use model::halt::{Halt, HaltKind};
use model::notice::Watched;
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use crate::notice::{self, Told};
use crate::{App, Page, account, audit};

/// Longest reason, characters.
const LONGEST: usize = 500;

/// What is to be stopped, and why.
#[derive(Clone, Debug)]
pub struct HaltAsk {
    pub kind: HaltKind,
    /// Id, or what people know it by: the application's access key, the entry's or interface's code.
    pub name: String,
    pub reason: String,
}

/// A stop as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct HaltView {
    #[serde(flatten)]
    pub halt: Halt,
    pub in_force: bool,
    /// Where the thing is in the console.
    pub href: String,
}

/// Something that can be stopped.
struct Thing {
    target: Target,
    holder: String,
    code: String,
    title: String,
}

/// Whether the caller has the button for such a thing.
#[must_use]
pub fn may_halt(app: &App, op: &Op, kind: HaltKind) -> bool {
    app.may(op, Action::HaltSet, &Target::plain(thing(kind), "any"))
}

/// Whether the caller sees what is stopped.
#[must_use]
pub fn may_read(app: &App, op: &Op) -> bool {
    app.may(op, Action::HaltRead, &Target::plain("System", "halts"))
}

fn thing(kind: HaltKind) -> &'static str {
    match kind {
        HaltKind::Application => "Application",
        HaltKind::Entry => "Entry",
        HaltKind::Interface => "Interface",
    }
}

/// Stops a thing at once. When it returns nothing leaves by this process; the others follow within `halt_follow_ms`.
pub async fn begin(app: &App, op: &Op, ask: &HaltAsk) -> Result<Halt> {
    let reason = reason(&ask.reason)?;
    let found = resolve(app, ask.kind, &ask.name).await?;
    let permit = audit::permit(app, op, Action::HaltSet, &found.target).await?;
    let halt = Halt {
        id: op.new_id(),
        kind: ask.kind.as_str().to_owned(),
        holder: found.holder,
        code: found.code,
        title: found.title,
        reason,
        at: op.stamp(),
        by_name: op.actor.name().to_owned(),
        ..Halt::default()
    };
    app.store.halt_begin(&permit, &halt).await?;
    app.halts.take_in(app).await?;
    // It holds whatever becomes of record and notices; they are told of in turn.
    recorded(app, op, "halt.begin", &halt, &halt.reason).await?;
    tell(app, op, &halt).await?;
    Ok(halt)
}

/// Lifts a stop.
pub async fn lift(app: &App, op: &Op, id: &str, why: &str) -> Result<Halt> {
    let why = reason(why)?;
    let found = app.store.halt_get(id).await?.ok_or_else(|| unknown(id))?;
    let target = match kind_of(&found) {
        Some(kind) => Target::plain(thing(kind), &found.holder),
        None => return Err(Error::internal(format!("halt of `{}`", found.kind))),
    };
    let permit = audit::permit(app, op, Action::HaltSet, &target).await?;
    let lifted = Halt {
        lifted_at: Some(op.stamp()),
        lifted_by: op.actor.name().to_owned(),
        lift_reason: why,
        ..found
    };
    if !app.store.halt_lift(&permit, &lifted).await? {
        return Err(Error::new(
            Code::WrongState,
            "该紧急停用已被解除",
            "this emergency stop was lifted already",
        ));
    }
    app.halts.take_in(app).await?;
    recorded(app, op, "halt.lift", &lifted, &lifted.lift_reason).await?;
    tell(app, op, &lifted).await?;
    Ok(lifted)
}

/// Stops in force, and a page of all of them, newest first; people by the names shown. *constant page*.
pub async fn list(
    app: &App,
    op: &Op,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<HaltView>, Page<HaltView>)> {
    audit::permit(app, op, Action::HaltRead, &Target::plain("System", "halts")).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let mut now: Vec<HaltView> =
        app.store.halts_in_force().await?.into_iter().rev().map(view).collect();
    let all = app.store.halts(None, after, limit + 1).await?;
    let mut page =
        Page::cut(all.into_iter().map(view).collect(), limit, |v: &HaltView| v.halt.id.clone());
    let seen = now.iter_mut().chain(&mut page.items).map(|v| &mut v.halt);
    let people = seen.flat_map(|h| [&mut h.by_name, &mut h.lifted_by]);
    account::logins_named(app, people.collect()).await?;
    Ok((now, page))
}

/// The stop in force of a thing that the caller's page shows.
pub async fn of(app: &App, kind: HaltKind, holder: &str) -> Result<Option<HaltView>> {
    app.halts.look(app).await?;
    Ok(app.policy.halted(kind, holder).map(view))
}

/// The stop in force of a thing by what people know it by (for the command line).
pub async fn find(app: &App, op: &Op, kind: HaltKind, name: &str) -> Result<Halt> {
    audit::permit(app, op, Action::HaltRead, &Target::plain("System", "halts")).await?;
    let found =
        app.store.halts_in_force().await?.into_iter().find(|h| {
            kind_of(h) == Some(kind) && (h.id == name || h.holder == name || h.code == name)
        });
    found.ok_or_else(|| unknown(name))
}

fn kind_of(halt: &Halt) -> Option<HaltKind> {
    HaltKind::parse(&halt.kind)
}

fn view(halt: Halt) -> HaltView {
    let href = match kind_of(&halt) {
        Some(HaltKind::Application) => {
            format!("/console/bounds/{}/{}", BoundsKind::Application, halt.holder)
        }
        Some(HaltKind::Entry) => format!("/console/entries/{}", halt.holder),
        _ => format!("/console/interfaces?whose=all&q={}", halt.code),
    };
    HaltView { in_force: halt.in_force(), href, halt }
}

fn unknown(name: &str) -> Error {
    Error::not_found("紧急停用", "emergency stop", &name.chars().take(80).collect::<String>())
}

fn reason(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST {
        return Err(Error::invalid(
            format!("请写明原因（最长 {LONGEST} 字）"),
            format!("say why (at most {LONGEST} characters)"),
        )
        .field("reason", "必填", "required"));
    }
    Ok(text.to_owned())
}

async fn resolve(app: &App, kind: HaltKind, name: &str) -> Result<Thing> {
    let shown: String = name.chars().take(80).collect();
    let missing = || Error::not_found(kind.zh(), kind.as_str(), &shown);
    match kind {
        HaltKind::Application => {
            let by_key = app.store.application_by_key(name).await?.map(|(found, _)| found);
            let found = match by_key {
                Some(found) => found,
                None => app.store.application_get(name).await?.ok_or_else(missing)?,
            };
            Ok(Thing {
                target: Target::application(&found),
                holder: found.id,
                code: found.key,
                title: found.name,
            })
        }
        HaltKind::Entry => {
            let found = app.store.entry_get(name).await?.ok_or_else(missing)?;
            Ok(Thing {
                target: Target::entry(&found),
                holder: found.id,
                code: found.draft.code,
                title: found.draft.title,
            })
        }
        HaltKind::Interface => {
            let code = match app.store.interface_get(name).await? {
                Some(version) => version.code,
                None => name.to_owned(),
            };
            let newest = app.store.interface_versions(&code).await?.into_iter().next();
            let found = newest.ok_or_else(missing)?;
            Ok(Thing {
                target: Target::interface(&found),
                holder: found.code.clone(),
                title: found.draft.title,
                code: found.code,
            })
        }
    }
}

async fn recorded(app: &App, op: &Op, action: &str, halt: &Halt, reason: &str) -> Result<()> {
    let mut event = audit::event(op, action, &halt.code);
    event.scope = format!("{} {} stop {}", halt.kind, halt.holder, halt.id);
    event.reason = reason.to_owned();
    audit::record(app, event).await
}

/// Tells whom it concerns: the application's keeper, those who were granted the resource and who subscribe to it.
async fn tell(app: &App, op: &Op, halt: &Halt) -> Result<()> {
    let system = Op { actor: Actor::System, ..op.clone() };
    let permit =
        app.policy.permit(&system, Action::SystemWork, &Target::plain("System", "halt"))?;
    let told = |href: String| Told {
        mark: format!("halt:{}:{}", halt.id, if halt.in_force() { "begun" } else { "lifted" }),
        kind: if halt.in_force() { "halt.begun" } else { "halt.lifted" },
        title: halt.title.clone(),
        words: format!("{} {}", kind_of(halt).map_or("", HaltKind::zh), halt.code),
        href,
    };
    let entry = match kind_of(halt) {
        Some(HaltKind::Application) => {
            let people = app.store.application_get(&halt.holder).await?.map(|a| a.owner);
            let people: Vec<String> = people.into_iter().collect();
            return notice::tell(
                app,
                &system,
                &permit,
                &people,
                &told("/console/applications".into()),
            )
            .await;
        }
        Some(HaltKind::Entry) => halt.holder.clone(),
        _ => match app.store.interface_versions(&halt.holder).await?.into_iter().next() {
            Some(interface) => interface.entry,
            None => return Ok(()),
        },
    };
    let href = match kind_of(halt) {
        Some(HaltKind::Entry) => format!("/console/entries/{entry}"),
        _ => format!("/console/interfaces?whose=all&q={}", halt.code),
    };
    let node = Node::entry(&entry).key();
    let subscribed = app.store.subscribers(Watched::Thing, &node).await?;
    let people: Vec<String> = subscribed.into_iter().map(|s| s.owner).collect();
    let told = told(href);
    notice::tell(app, &system, &permit, &people, &told).await?;
    notice::tell_granted(app, &system, &permit, entry, &told).await
}
