//! The compile form: fields and item rows, every button a plain submit; drafting from a file or pasted text.

use std::sync::Arc;

use app::catalogue::{Basis, Outlook};
use app::{Action, Target};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures::StreamExt;
use futures::stream;
use minijinja::{Value, context};
use model::entry::{EntryDraft, Link};
use model::{Code, Error, FieldError, Kind};

use crate::console::{done, draft, temporary};
use crate::form::{self, Posted};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/entries/new", get(new_page).post(new_post))
        .route("/console/entries/draft", post(draft_post).layer(DefaultBodyLimit::disable()))
        .route("/console/entries/{id}/edit", get(edit_page).post(edit_post))
}

/// What the form shows.
struct Shown<'a> {
    draft: &'a EntryDraft,
    /// The entry that is edited, and what the edit goes on from; none for a new one.
    of: Option<Of>,
    faults: Vec<FieldError>,
    error: Option<Error>,
    /// What was found in the file a draft was made of.
    found: Option<Value>,
    /// The rules were asked and found nothing wrong.
    checked: bool,
    /// What should be thought over.
    advice: Vec<FieldError>,
    /// Where the entry that is edited stands: a refusal to answer, a review that keeps it closed.
    outlook: Option<Outlook>,
}

/// An entry that is edited.
#[derive(Clone, Debug)]
struct Of {
    id: String,
    basis: Basis,
}

async fn show(door: &Door, visit: &Visit, shown: Shown<'_>) -> Answer {
    door.names.refresh(&door.app).await;
    let names = door.names.get();
    let items: Vec<Value> = shown
        .draft
        .items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let prefix = format!("item-{i}-");
            let place = format!("items[{i}]");
            let named = format!("items.{}.", item.identifier);
            let wrong = shown.faults.iter().any(|f| {
                f.field.starts_with(&prefix)
                    || f.field.starts_with(&place)
                    || (!item.identifier.is_empty() && f.field.starts_with(&named))
            });
            context! {
                i, item => value(item), mask => draft::mask_word(item.mask.as_ref()), wrong,
            }
        })
        .collect();
    let context = context! {
        draft => value(shown.draft), items,
        links => Link::lines(&shown.draft.profile.links),
        id => shown.of.as_ref().map(|of| &of.id),
        base_version => shown.of.as_ref().map(|of| of.basis.version),
        base_at => shown.of.as_ref().and_then(|of| of.basis.updated_at.as_ref()),
        locked => shown.outlook.as_ref().is_some_and(|o| o.due.is_some()),
        refused => value(shown.outlook.as_ref().and_then(|o| o.refused.as_ref())),
        changes => value(shown.outlook.as_ref().and_then(|o| o.changes.as_ref())),
        advice => value(&shown.advice),
        grade => shown.draft.grade().as_str(),
        orgs => value(&names.orgs), regions => value(&names.regions),
        faults => value(&shown.faults),
        error => shown.error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => shown.error.as_ref().map(|e| e.code().as_str()),
        found => shown.found, checked => shown.checked,
    };
    door.page_with(visit, "console/entry_form.html", context, shown.error.as_ref()).await
}

fn plain(draft: &EntryDraft) -> Shown<'_> {
    Shown {
        draft,
        of: None,
        faults: Vec::new(),
        error: None,
        found: None,
        checked: false,
        advice: Vec::new(),
        outlook: None,
    }
}

/// An empty draft of the caller's organisation.
async fn own_draft(door: &Door, visit: &Visit) -> model::Result<EntryDraft> {
    door.names.refresh(&door.app).await;
    let org = visit.session()?.user.org.clone().unwrap_or_default();
    let names = door.names.get();
    let region = names.orgs.iter().find(|o| o.id == org).map(|o| o.region.clone());
    Ok(draft::empty(&org, &region.unwrap_or_else(|| "330000".into())))
}

/// The form is for those who may save what it holds (the room decides again).
fn may_compile(door: &Door, visit: &Visit) -> model::Result<()> {
    let org = visit.session()?.user.org.clone();
    let target = Target { kind: "Entry", org, ..Target::default() };
    if door.app.may(&visit.op, Action::EntryCompile, &target) {
        return Ok(());
    }
    Err(Error::of(Code::Denied))
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    may_compile(&door, &visit)?;
    let mut draft = own_draft(&door, &visit).await?;
    draft.items = vec![draft::empty_item(), draft::empty_item(), draft::empty_item()];
    show(&door, &visit, plain(&draft)).await
}

async fn new_post(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    may_compile(&door, &visit)?;
    let (mut draft, faults) = draft::read(&posted);
    if posted.get("do") != "save" {
        return again(&door, &visit, &posted, &mut draft, faults, None).await;
    }
    drop_blank(&mut draft);
    if !faults.is_empty() {
        return refused(
            &door,
            &visit,
            &draft,
            None,
            Error::of(Code::InvalidInput).with_fields(faults),
        )
        .await;
    }
    match app::catalogue::create(&door.app, &visit.op, draft.clone()).await {
        Ok(entry) => done(&format!("/console/entries/{}", entry.id), "created"),
        Err(error) => refused(&door, &visit, &draft, None, error).await,
    }
}

async fn edit_page(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    // A change that was refused or waits is gone on with: what is shown is what will be saved.
    let (entry, draft) = app::catalogue::working(&door.app, &visit.op, &id).await?;
    let outlook = app::catalogue::outlook(&door.app, &visit.op, &entry.id).await?;
    let basis = Basis { version: entry.version, updated_at: Some(entry.updated_at) };
    let of = Some(Of { id: entry.id, basis });
    show(&door, &visit, Shown { of, outlook: Some(outlook), ..plain(&draft) }).await
}

async fn edit_post(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let updated_at = Some(posted.get("base_at").to_owned()).filter(|at| !at.is_empty());
    let basis = Basis { version: posted.number("base_version")?, updated_at };
    let (mut draft, faults) = draft::read(&posted);
    let of = Some(Of { id: id.clone(), basis: basis.clone() });
    if posted.get("do") != "save" {
        return again(&door, &visit, &posted, &mut draft, faults, of).await;
    }
    drop_blank(&mut draft);
    if !faults.is_empty() {
        let error = Error::of(Code::InvalidInput).with_fields(faults);
        return refused(&door, &visit, &draft, of, error).await;
    }
    match app::catalogue::edit_on(&door.app, &visit.op, &id, draft.clone(), &basis).await {
        Ok(entry) => done(&format!("/console/entries/{}", entry.id), "saved"),
        Err(error) => refused(&door, &visit, &draft, of, error).await,
    }
}

/// Rows left wholly empty are not items.
fn drop_blank(draft: &mut EntryDraft) {
    draft.items.retain(|i| !(i.identifier.is_empty() && i.name_cn.is_empty()));
}

/// The form once more, with what is wrong; other failures become their page.
async fn refused(
    door: &Door,
    visit: &Visit,
    draft: &EntryDraft,
    of: Option<Of>,
    error: Error,
) -> Answer {
    if !matches!(error.kind(), Kind::Invalid | Kind::Conflict) {
        return Err(error.into());
    }
    let shown = Shown { of, faults: error.fields().to_vec(), error: Some(error), ..plain(draft) };
    show(door, visit, shown).await
}

/// Buttons that change the form without storing anything.
async fn again(
    door: &Door,
    visit: &Visit,
    posted: &Posted,
    draft: &mut EntryDraft,
    faults: Vec<FieldError>,
    of: Option<Of>,
) -> Answer {
    let button = posted.get("do");
    let mut faults = faults;
    let mut checked = false;
    let mut advice = Vec::new();
    match button {
        "add5" => draft.items.extend(std::iter::repeat_with(draft::empty_item).take(5)),
        "check" => {
            drop_blank(draft);
            faults.extend(app::catalogue::check(&door.app, draft));
            checked = faults.is_empty();
            advice = app::catalogue::advise(&door.app, &visit.op, draft);
        }
        _ => match button.strip_prefix("remove-").and_then(|n| n.parse::<usize>().ok()) {
            Some(n) if n < draft.items.len() => {
                draft.items.remove(n);
            }
            _ => draft.items.push(draft::empty_item()),
        },
    }
    show(door, visit, Shown { of, faults, checked, advice, ..plain(draft) }).await
}

/// A new entry form from a file or from pasted text.
async fn draft_post(
    State(door): State<Arc<Door>>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    may_compile(&door, &visit)?;
    // A sample is enough to draft from; rows are collected elsewhere.
    let most = door.app.rules.catalogue.size.import_bytes;
    let (posted, file) = form::upload(&visit, most, &mut multipart, |_, name, bytes| async move {
        Ok((temporary::keep(bytes, most).await?, name))
    })
    .await?;
    let (file, name) = match file {
        Some(file) => file,
        None if posted.get("paste").is_empty() => {
            return Err(
                Error::invalid("请选择文件或粘贴内容", "choose a file or paste some text").into()
            );
        }
        None => {
            let text = bytes::Bytes::from(posted.raw("paste").to_owned());
            let kept = temporary::keep(stream::iter([Ok(text)]).boxed(), most).await?;
            (kept, "paste.csv".to_owned())
        }
    };
    let (sniffed, mut items) =
        app::catalogue::draft_items(&door.app, &visit.op, file.path(), &name).await?;
    items.truncate(draft::MOST_ITEMS);
    let mut draft = own_draft(&door, &visit).await?;
    draft.items = items;
    draft.title = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned();
    let found = context! { name, sniffed => value(&sniffed) };
    let page = show(&door, &visit, Shown { found: Some(found), ..plain(&draft) }).await?;
    Ok(page.into_response())
}
