//! Entries: the list, one entry with its state, steps, items, versions and collections, the moves of its state, and drafts given up.

use std::sync::Arc;

use app::catalogue::Move;
use app::{Action, Target};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::asset::Node;
use model::code::{OnlineState, PublishState};
use model::entry::{Entry, EntryDraft, EntryFilter};
use model::halt::HaltKind;
use model::item::Item;
use model::notice::Watched;
use model::{Code, Error, Result};

use crate::console::{PAGE, done, next_link, or_empty};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/entries", get(list))
        .route("/console/entries/{id}", get(detail))
        .route("/console/entries/{id}/moves", post(make_move))
        .route("/console/entries/{id}/discard", post(discard))
        .route("/console/entries/{id}/compare", get(compare))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let own = visit.session()?.user.org.clone();
    let org = match visit.q("org") {
        Some("mine") => own.clone(),
        Some(id) => Some(id.to_owned()),
        None => None,
    };
    let filter = EntryFilter {
        org,
        publish_state: visit.q("publish_state").and_then(PublishState::parse),
        online_state: visit.q("online_state").and_then(OnlineState::parse),
        auditing: false,
        refused: visit.q("refused").is_some(),
        text: visit.q("q").map(str::to_owned),
        after: visit.q("after").map(str::to_owned),
        limit: PAGE,
    };
    let page = app::catalogue::list(&door.app, &visit.op, &filter).await?;
    door.names.refresh(&door.app).await;
    let mut target = Target { kind: "Entry", ..Target::default() };
    target.org.clone_from(&own);
    let context = context! {
        entries => value(&page.items),
        next => next_link(&visit, "after", page.next.as_deref()),
        q => visit.q("q"), org => visit.q("org"),
        publish_state => visit.q("publish_state"), online_state => visit.q("online_state"),
        orgs => value(&door.names.get().orgs), own,
        may_compile => door.app.may(&visit.op, Action::EntryCompile, &target),
        may_export => door.app.may(&visit.op, Action::EntryExport, &target),
        done => visit.q("done"),
    };
    door.page(&visit, "console/entries.html", context).await
}

async fn detail(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let entry = app::catalogue::get(app, op, &id).await?;
    let steps = or_unknown(app::catalogue::steps(app, op, &entry.id).await)?.unwrap_or_default();
    let versions =
        or_unknown(app::catalogue::versions(app, op, &entry.id).await)?.unwrap_or_default();
    let target = Target::entry(&entry);
    let runs = if app.may(op, Action::RunRead, &target) {
        or_empty(app::collection::runs(app, op, Some(&entry.id), None, 10).await.map(|p| p.items))?
    } else {
        Vec::new()
    };
    let kept: Vec<_> = versions
        .iter()
        .map(|v| context! { version => v.version, at => &v.at, actor => &v.actor, title => &v.draft.title })
        .collect();
    let outlook = or_unknown(app::catalogue::outlook(app, op, &entry.id).await)?;
    let may_collect = app.may(op, Action::DataCollect, &target);
    let sources = if may_collect { app::collection::source::list(app, op).await? } else { vec![] };
    let origin = app::catalogue::schema::of_entry(app, op, &entry).await?;
    let shown = items_page(&visit, &entry.draft.items);
    let context = context! {
        origin => value(origin.as_ref().map(|(origin, _)| context! {
            source => &origin.source, table => origin.table.of.dotted(), at => &origin.at,
        })),
        drift => value(origin.as_ref().and_then(|(_, drift)| drift.as_ref().map(|d| &d.id))),
        outlook => value(&outlook), sources => value(&sources),
        // A declaration of thousands of items is shown by pages; the page itself needs no more of them.
        entry => value(Entry { draft: EntryDraft { items: Vec::new(), ..entry.draft.clone() }, ..entry.clone() }),
        items => value(&shown.items), items_total => entry.draft.items.len(), items_found => shown.found,
        item_q => &shown.text, item_page => shown.page, item_pages => shown.pages,
        masks => shown.items.iter().map(|i| i.mask.as_ref().map(model::mask::Mask::label)).collect::<Vec<_>>(),
        steps => value(&steps), versions => kept, runs => value(&runs),
        moves => value(outlook.as_ref().map(|o| &o.moves)),
        may_edit => app.may(op, Action::EntryCompile, &target),
        may_discard => app::catalogue::discardable(&entry) && app.may(op, Action::EntryCompile, &target),
        may_collect,
        may_apply => app::sharing::may_apply(app, op, &entry),
        may_basket => entry.live() && app::basket::may_file(app, op),
        node => Node::entry(&entry.id).key(),
        subscribed => app::notice::subscribed(app, op, Watched::Thing, &Node::entry(&entry.id).key()).await?,
        is_open => entry.open(),
        has_key => !entry.draft.key().is_empty(),
        largest => app.rules.upload.max_bytes,
        compared => super::oversight::of_entry(&door, &visit, &entry).await?,
        halt => value(app::halt::of(app, HaltKind::Entry, &entry.id).await?),
        done => visit.q("done"),
    };
    door.page(&visit, "console/entry.html", context).await
}

/// What a person may only see of an open entry has no outlook.
fn or_unknown<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(e) if matches!(e.kind(), model::Kind::NotFound | model::Kind::Denied) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Items of one page of the table.
const ITEMS: usize = 100;

/// The items that the page shows: of those that hold the searched text, one page.
struct Shown<'a> {
    items: Vec<&'a Item>,
    found: usize,
    text: String,
    page: usize,
    pages: usize,
}

fn items_page<'a>(visit: &Visit, all: &'a [Item]) -> Shown<'a> {
    let text = visit.q("item").unwrap_or_default().to_lowercase();
    let holds = |i: &Item| {
        text.is_empty()
            || [&i.identifier, &i.name_cn, &i.name_en, &i.definition]
                .iter()
                .any(|t| t.to_lowercase().contains(&text))
    };
    let found: Vec<&Item> = all.iter().filter(|i| holds(i)).collect();
    let pages = found.len().div_ceil(ITEMS).max(1);
    let page = visit.q("item_page").and_then(|p| p.parse().ok()).unwrap_or(1).clamp(1, pages);
    let items = found.iter().skip((page - 1) * ITEMS).take(ITEMS).copied().collect();
    Shown { items, found: found.len(), text, page, pages }
}

/// Reads a move's word.
fn parse(word: &str) -> Result<Move> {
    Ok(match word {
        "submit" => Move::Submit,
        "approve" => Move::Approve,
        "reject" => Move::Reject,
        "put_online" => Move::PutOnline,
        "take_offline" => Move::TakeOffline,
        "withdraw" => Move::Withdraw,
        _ => {
            return Err(Error::invalid(
                format!("没有操作 `{word}`"),
                format!("there is no move `{word}`"),
            ));
        }
    })
}

async fn make_move(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let word = posted.get("move");
    let entry =
        app::catalogue::step(&door.app, &visit.op, &id, parse(word)?, posted.get("reason")).await?;
    if posted.get("back") == "review" {
        return done("/console/review", word);
    }
    done(&format!("/console/entries/{}", entry.id), word)
}

async fn discard(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    if !posted.ticked("sure") {
        let error = Error::invalid(
            "草稿放弃后不能恢复，请勾选确认后再提交",
            "a draft that is given up does not come back: tick that you are sure, then send again",
        );
        return Err(error.field("sure", "请勾选确认", "tick it").into());
    }
    app::catalogue::discard(&door.app, &visit.op, &id, posted.get("reason")).await?;
    done("/console/entries?org=mine", "discarded")
}

async fn compare(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let number = |name: &str| -> Result<i64> {
        visit.q(name).and_then(|v| v.parse().ok()).ok_or_else(|| {
            Error::new(
                Code::InvalidQuery,
                format!("请选择要比较的版本 `{name}`"),
                format!("choose the version `{name}` to compare"),
            )
        })
    };
    let (from, to) = (number("from")?, number("to")?);
    let entry = app::catalogue::get(&door.app, &visit.op, &id).await?;
    let versions = app::catalogue::versions(&door.app, &visit.op, &entry.id).await?;
    let differences = app::catalogue::compare(&door.app, &visit.op, &entry.id, from, to).await?;
    let context = context! {
        entry => value(&entry), from, to, differences => value(&differences),
        versions => versions.iter().map(|v| v.version).collect::<Vec<_>>(),
        pending => to == entry.version + 1,
    };
    door.page(&visit, "console/compare.html", context).await
}
