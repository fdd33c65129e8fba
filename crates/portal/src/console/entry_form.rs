//! The compile form: fields and item rows, every button a plain submit; drafting from a file or pasted text.

use std::sync::Arc;

use app::{Action, Target};
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use futures::StreamExt;
use futures::stream;
use minijinja::{Value, context};
use model::entry::EntryDraft;
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
    /// Id and version of the entry that is edited; none for a new one.
    of: Option<(&'a str, i64)>,
    faults: Vec<FieldError>,
    error: Option<Error>,
    /// What was found in the file a draft was made of.
    found: Option<Value>,
    /// The rules were asked and found nothing wrong.
    checked: bool,
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
        id => shown.of.map(|(id, _)| id),
        base_version => shown.of.map(|(_, version)| version),
        grade => shown.draft.grade().as_str(),
        orgs => value(&names.orgs), regions => value(&names.regions),
        faults => value(&shown.faults),
        error => shown.error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => shown.error.as_ref().map(|e| e.code().as_str()),
        found => shown.found, checked => shown.checked,
    };
    let mut response = door.page(visit, "console/entry_form.html", context).await?;
    if let Some(error) = &shown.error {
        *response.status_mut() =
            StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::BAD_REQUEST);
    }
    Ok(response)
}

fn plain(draft: &EntryDraft) -> Shown<'_> {
    Shown { draft, of: None, faults: Vec::new(), error: None, found: None, checked: false }
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
    let entry = app::catalogue::get(&door.app, &visit.op, &id).await?;
    let shown = Shown { of: Some((&entry.id, entry.version)), ..plain(&entry.draft) };
    show(&door, &visit, shown).await
}

async fn edit_post(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let base: i64 = posted.number("base_version")?;
    let (mut draft, faults) = draft::read(&posted);
    let of = Some((id.as_str(), base));
    if posted.get("do") != "save" {
        return again(&door, &visit, &posted, &mut draft, faults, of).await;
    }
    drop_blank(&mut draft);
    if !faults.is_empty() {
        return refused(
            &door,
            &visit,
            &draft,
            of,
            Error::of(Code::InvalidInput).with_fields(faults),
        )
        .await;
    }
    match app::catalogue::edit(&door.app, &visit.op, &id, draft.clone(), base).await {
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
    of: Option<(&str, i64)>,
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
    of: Option<(&str, i64)>,
) -> Answer {
    let button = posted.get("do");
    let mut faults = faults;
    let mut checked = false;
    match button {
        "add5" => draft.items.extend(std::iter::repeat_with(draft::empty_item).take(5)),
        "check" => {
            drop_blank(draft);
            faults.extend(app::catalogue::check(&door.app, draft));
            checked = faults.is_empty();
        }
        _ => match button.strip_prefix("remove-").and_then(|n| n.parse::<usize>().ok()) {
            Some(n) if n < draft.items.len() => {
                draft.items.remove(n);
            }
            _ => draft.items.push(draft::empty_item()),
        },
    }
    show(door, visit, Shown { of, faults, checked, ..plain(draft) }).await
}

/// A new entry form from a file or from pasted text.
async fn draft_post(
    State(door): State<Arc<Door>>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    may_compile(&door, &visit)?;
    let most = door.app.rules.upload.max_bytes;
    let (posted, file) = form::upload(&visit, &mut multipart, |_, name, bytes| async move {
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
    let sniffed = app::collection::sniff(&door.app, &visit.op, file.path(), &name).await?;
    let mut draft = own_draft(&door, &visit).await?;
    draft.items = draft::items(&sniffed);
    draft.title = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned();
    let found = context! { name, sniffed => value(&sniffed) };
    let page = show(&door, &visit, Shown { found: Some(found), ..plain(&draft) }).await?;
    Ok(page.into_response())
}
