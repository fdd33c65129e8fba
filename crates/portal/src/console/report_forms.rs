//! The designer: an entry's items offered as fields, what is asked of each, rules between them; preview, publish.

use std::sync::Arc;

use app::report;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use minijinja::{Value, context};
use model::entry::EntryFilter;
use model::report::{
    Auto, CodeName, Form, FormDraft, FormField, FormFiles, FormGroup, FormRule, TotalRule,
};
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Entries offered.
const OFFERED: u32 = 500;
/// Empty lines for further rules.
const MORE_RULES: usize = 3;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/report-forms", get(list).post(create))
        .route("/console/report-forms/new", get(new_page))
        .route("/console/report-forms/{id}", get(one).post(save))
        .route("/console/report-forms/{id}/preview", get(preview))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let page = report::forms(app, op, visit.q("after"), PAGE).await?;
    let filter = EntryFilter {
        org: op.actor.org().map(str::to_owned),
        limit: OFFERED,
        ..EntryFilter::default()
    };
    let entries = app::catalogue::list(app, op, &filter).await?.items;
    let context = context! {
        forms => value(&page.items), done => visit.q("done"),
        entries => entries.iter().map(|e| context! { id => &e.id, code => &e.draft.code, title => &e.draft.title }).collect::<Vec<_>>(),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/report_forms.html", context).await
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let draft = report::offer(&door.app, &visit.op, visit.q("entry").unwrap_or_default()).await?;
    show(&door, &visit, &draft, &draft, None, None).await
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let form = report::form(&door.app, &visit.op, &id).await?;
    let offered = report::offer(&door.app, &visit.op, &form.draft.entry).await?;
    show(&door, &visit, &form.draft, &offered, Some(&form), None).await
}

/// The designer with every item of the entry; those in the form are ticked.
async fn show(
    door: &Door,
    visit: &Visit,
    draft: &FormDraft,
    offered: &FormDraft,
    form: Option<&Form>,
    error: Option<Error>,
) -> Answer {
    let known = |field: &FormField| draft.fields.iter().find(|f| f.id() == field.id());
    let fields: Vec<Value> = offered
        .fields
        .iter()
        .map(|offer| {
            let field = known(offer).unwrap_or(offer);
            let codes: Vec<String> = field
                .codes
                .iter()
                .map(|c| format!("{} {}", c.code, c.name).trim().to_owned())
                .collect();
            context! {
                field => value(field), chosen => known(offer).is_some(), codes => codes.join("\n"),
                needed => offer.item.primary || !offer.item.nullable, numeric => offer.numeric(),
                by => draft.total_by.iter().any(|id| id == offer.id()),
            }
        })
        .collect();
    let mut rules = draft.rules.clone();
    rules.resize(rules.len() + MORE_RULES, FormRule::default());
    let context = context! {
        form => form.map(value), draft => value(draft), fields, rules => value(&rules), done => visit.q("done"),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        faults => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/report_form.html", context, error).await
}

fn mendable(error: &Error) -> bool {
    matches!(error.kind(), Kind::Invalid | Kind::Conflict)
}

/// What the designer's page says, over what the entry offers.
fn drawn(posted: &Posted, offered: &FormDraft) -> FormDraft {
    let text = |name: &str| posted.get(name).to_owned();
    let number = |name: &str| posted.get(name).parse().unwrap_or(0);
    let mut total_by = Vec::new();
    let mut fields = Vec::new();
    for field in &offered.fields {
        let id = field.id();
        let of = |name: &str| posted.get(&format!("{name}-{id}"));
        let on = |name: &str| posted.ticked(&format!("{name}-{id}"));
        if !on("use") {
            continue;
        }
        if on("by") {
            total_by.push(id.to_owned());
        }
        let codes =
            of("codes").lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
                let (code, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                CodeName { code: code.to_owned(), name: name.trim().to_owned() }
            });
        fields.push(FormField {
            auto: Auto::parse(of("auto")).unwrap_or(Auto::Typed),
            repeated: !on("once"),
            required: on("required"),
            least: of("least").to_owned(),
            most: of("most").to_owned(),
            pattern: of("pattern").to_owned(),
            codes: codes.collect(),
            help: of("help").to_owned(),
            help_en: of("help_en").to_owned(),
            total: TotalRule::parse(of("total")).unwrap_or(TotalRule::None),
            item: field.item.clone(),
        });
    }
    let mut rules = Vec::new();
    for n in 0..posted.names().filter(|k| k.starts_with("rule-")).count() {
        let of = |name: &str| posted.get(&format!("{name}-{n}")).to_owned();
        rules.push(FormRule {
            expression: of("rule"),
            zh: of("rule_zh"),
            en: of("rule_en"),
            field: of("rule_field"),
        });
    }
    rules.retain(|rule| !rule.expression.is_empty());
    FormDraft {
        title: text("title"),
        title_en: text("title_en"),
        guide: text("guide"),
        guide_en: text("guide_en"),
        group: FormGroup {
            title: text("group_title"),
            title_en: text("group_title_en"),
            least: number("group_least"),
            most: number("group_most"),
        },
        files: FormFiles {
            least: number("files_least"),
            help: text("files_help"),
            help_en: text("files_help_en"),
        },
        fields,
        rules,
        total_by,
        ..offered.clone()
    }
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let offered = report::offer(&door.app, &visit.op, posted.get("entry")).await?;
    let draft = drawn(&posted, &offered);
    match report::create(&door.app, &visit.op, draft.clone()).await {
        Ok(form) => done(&format!("/console/report-forms/{}", encode(&form.id)), "created"),
        Err(e) if mendable(&e) => show(&door, &visit, &draft, &offered, None, Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

/// Saves the draft; `action` = publish makes a version of it.
async fn save(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let form = report::form(app, op, &id).await?;
    let offered = report::offer(app, op, &form.draft.entry).await?;
    let draft = drawn(&posted, &offered);
    let publish = posted.get("action") == "publish";
    let outcome = async {
        let saved = report::save(app, op, &id, posted.number("edit")?, draft.clone()).await?;
        if publish { report::publish(app, op, &id, saved.edit).await } else { Ok(saved) }
    };
    match outcome.await {
        Ok(_) => {
            let word = if publish { "published" } else { "saved" };
            done(&format!("/console/report-forms/{}", encode(&id)), word)
        }
        Err(e) if mendable(&e) => {
            let now = report::form(app, op, &id).await?;
            show(&door, &visit, &draft, &offered, Some(&now), Some(e)).await
        }
        Err(e) => Err(e.into()),
    }
}

/// The form as those who fill it will see it, with nothing in it.
async fn preview(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let form = report::form(&door.app, &visit.op, &id).await?;
    let shown: Vec<Value> = form
        .draft
        .fields
        .iter()
        .map(|f| {
            context! { field => value(f), typed => f.typed(), en => if f.item.name_en.is_empty() { f.id() } else { &f.item.name_en } }
        })
        .collect();
    door.page(
        &visit,
        "console/report_preview.html",
        context! { form => value(&form), fields => shown },
    )
    .await
}
