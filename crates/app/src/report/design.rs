//! Forms: drawn up from an entry of one's organisation, checked, published. A published version never changes.

use model::code::DataType;
use model::entry::Entry;
use model::report::{Auto, Form, FormDraft, FormField, FormGroup, FormVersion, TotalRule};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};

use super::check;
use super::rule::Rules;
use crate::{App, Page, account, audit, catalogue};

/// Longest title, characters.
const TITLE: usize = 100;

/// Forms of the caller's organisation.
pub async fn forms(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<Page<Form>> {
    let org = op.actor.org().unwrap_or_default();
    let target = Target::of_org("Report", "forms", org);
    audit::permit(app, op, Action::ReportDesign, &target).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let mut items = app.store.report_form_list(org, after, limit + 1).await?;
    account::logins_named(app, items.iter_mut().map(|f| &mut f.updated_by).collect()).await?;
    Ok(Page::cut(items, limit, |f| f.id.clone()))
}

/// One form. To other organisations it does not exist.
pub async fn form(app: &App, op: &Op, id: &str) -> Result<Form> {
    known(app, op, id).await.map(|(form, _)| form)
}

pub(super) async fn known(app: &App, op: &Op, id: &str) -> Result<(Form, Permit)> {
    let missing = || Error::not_found("报送表", "form", id);
    let form = app.store.report_form_get(id).await?.ok_or_else(missing)?;
    let target = Target::of_org("Report", id, &form.org);
    let permit = audit::permit_hidden(app, op, Action::ReportDesign, &target, id, missing).await?;
    Ok((form, permit))
}

/// A published version, for rooms that hold a task made with it.
pub async fn version(app: &App, form: &str, version: u64) -> Result<FormVersion> {
    let found = app.store.report_form_version(form, version).await?;
    found.ok_or_else(|| Error::not_found("报送表版本", "version of the form", &version.to_string()))
}

/// A draft with every item of an entry as a field.
pub async fn offer(app: &App, op: &Op, entry: &str) -> Result<FormDraft> {
    let entry = own_entry(app, op, entry).await?;
    Ok(FormDraft {
        title: format!("{}报送表", entry.draft.title),
        title_en: entry.draft.title_en.clone(),
        entry: entry.id.clone(),
        entry_code: entry.draft.code.clone(),
        entry_title: entry.draft.title.clone(),
        group: FormGroup::default(),
        fields: entry.draft.items.iter().map(FormField::of).collect(),
        ..FormDraft::default()
    })
}

/// An entry of the caller's organisation, which alone may ask for its rows.
async fn own_entry(app: &App, op: &Op, entry: &str) -> Result<Entry> {
    let own = op.actor.org().unwrap_or_default();
    let target = Target::of_org("Report", "forms", own);
    audit::permit(app, op, Action::ReportDesign, &target).await?;
    let entry = catalogue::get(app, op, entry).await?;
    if entry.draft.org != own {
        return Err(Error::new(
            Code::RuleBroken,
            "只能为本单位的目录设计报送表",
            "forms are drawn up for entries of one's own organisation only",
        )
        .field("entry", "请改选目录", "choose another entry"));
    }
    Ok(entry)
}

/// Keeps a new form.
pub async fn create(app: &App, op: &Op, mut draft: FormDraft) -> Result<Form> {
    let org = op.actor.org().unwrap_or_default().to_owned();
    let target = Target::of_org("Report", "forms", &org);
    let permit = audit::permit(app, op, Action::ReportDesign, &target).await?;
    let entry = own_entry(app, op, &draft.entry).await?;
    tidy(&mut draft, &entry);
    fit(app, &draft, &entry)?;
    let form = Form {
        id: op.new_id(),
        org,
        draft,
        version: 0,
        changed: true,
        edit: 1,
        updated_at: op.stamp(),
        updated_by: op.actor.name().to_owned(),
    };
    app.store.report_form_insert(&permit, &form).await?;
    audit::record(app, audit::event(op, "report.form_create", &form.id)).await?;
    Ok(form)
}

/// Writes a form's draft over the edit that was seen.
pub async fn save(app: &App, op: &Op, id: &str, seen: u64, mut draft: FormDraft) -> Result<Form> {
    let (form, permit) = known(app, op, id).await?;
    let entry = own_entry(app, op, &form.draft.entry).await?;
    draft.entry.clone_from(&form.draft.entry);
    tidy(&mut draft, &entry);
    fit(app, &draft, &entry)?;
    let form = Form {
        draft,
        changed: true,
        edit: seen + 1,
        updated_at: op.stamp(),
        updated_by: op.actor.name().to_owned(),
        ..form
    };
    app.store.report_form_update(&permit, &form, seen, None).await?;
    audit::record(app, audit::event(op, "report.form_save", id)).await?;
    Ok(form)
}

/// Publishes the draft as the next version. Tasks that were begun with another keep it.
pub async fn publish(app: &App, op: &Op, id: &str, seen: u64) -> Result<Form> {
    let (form, permit) = known(app, op, id).await?;
    if !form.changed {
        return Err(Error::new(
            Code::WrongState,
            "草稿与最新版本相同，无须发布",
            "the draft is the newest version already",
        ));
    }
    let entry = own_entry(app, op, &form.draft.entry).await?;
    let mut draft = form.draft.clone();
    tidy(&mut draft, &entry);
    fit(app, &draft, &entry)?;
    if let Some(rail) = app.store.rail_of_entry(&entry.id).await? {
        return Err(Error::new(
            Code::WrongState,
            format!("该目录由数据高铁「{rail}」实时供数，不能再报送"),
            format!("the rail `{rail}` feeds this entry: it cannot be reported too"),
        ));
    }
    let version = FormVersion {
        form: form.id.clone(),
        version: form.version + 1,
        draft: draft.clone(),
        published_at: op.stamp(),
        published_by: op.actor.name().to_owned(),
    };
    let form = Form {
        draft,
        version: version.version,
        changed: false,
        edit: seen + 1,
        updated_at: op.stamp(),
        updated_by: op.actor.name().to_owned(),
        ..form
    };
    app.store.report_form_update(&permit, &form, seen, Some(&version)).await?;
    let mut event = audit::event(op, "report.form_publish", id);
    event.scope = format!("version={}", version.version);
    audit::record(app, event).await?;
    Ok(form)
}

/// Takes over what the entry says; the designer's words are trimmed.
fn tidy(draft: &mut FormDraft, entry: &Entry) {
    draft.entry.clone_from(&entry.id);
    draft.entry_code.clone_from(&entry.draft.code);
    draft.entry_title.clone_from(&entry.draft.title);
    for text in [&mut draft.title, &mut draft.title_en, &mut draft.guide, &mut draft.guide_en] {
        *text = text.trim().to_owned();
    }
    for field in &mut draft.fields {
        if let Some(item) = entry.draft.item(field.id()) {
            field.item = item.clone();
        }
        for text in [&mut field.least, &mut field.most, &mut field.pattern] {
            *text = text.trim().to_owned();
        }
        // A key is never empty, nor is what the entry needs.
        field.required |= field.item.primary || !field.item.nullable;
    }
    draft.rules.retain(|rule| !rule.expression.trim().is_empty());
}

/// Says all that is wrong with a draft.
fn fit(app: &App, draft: &FormDraft, entry: &Entry) -> Result<()> {
    let rules = &app.rules.report;
    let mut error =
        Error::invalid("报送表有误，请改正后保存", "the form has faults: mend them and save again");
    let length = draft.title.chars().count();
    if length == 0 || length > TITLE || draft.title.chars().any(char::is_control) {
        error = error.field(
            "title",
            "请填写名称（最多 100 字）",
            "give a title (100 characters at most)",
        );
    }
    if draft.fields.is_empty() || draft.fields.len() > rules.fields_most {
        let most = rules.fields_most;
        error = error.field(
            "fields",
            format!("请选择 1 至 {most} 个字段"),
            format!("choose 1 to {most} fields"),
        );
    }
    if draft.rules.len() > rules.rules_most {
        let most = rules.rules_most;
        error =
            error.field("rules", format!("最多 {most} 条规则"), format!("{most} rules at most"));
    }
    if entry.draft.key().is_empty() {
        error = error.field(
            "entry",
            "目录没有主键，更正和作废无法对应到原来的行；请先在目录中指定主键",
            "the entry has no key, so that corrections could not find their rows: give it one first",
        );
    }
    for item in &entry.draft.items {
        let there = draft.fields.iter().filter(|f| f.id() == item.identifier).count();
        let needed = item.primary || !item.nullable;
        if there > 1 || (needed && there == 0) {
            error = error.field(
                item.identifier.clone(),
                format!("「{}」应在表中出现一次", item.name_cn),
                format!("`{}` must be in the form once", item.identifier),
            );
        }
    }
    for field in &draft.fields {
        for (zh, en) in wrong(field, entry) {
            error = error.field(field.id(), zh, en);
        }
    }
    let by = |id: &&String| draft.place(id).is_none();
    if let Some(unknown) = draft.total_by.iter().find(by) {
        error = error.field(
            "total_by",
            format!("没有字段 `{unknown}`"),
            format!("there is no field `{unknown}`"),
        );
    }
    if let Err(rules) = Rules::compile(draft, rules.expression_steps) {
        for fault in rules.fields() {
            error = error.field(fault.field.clone(), fault.zh.clone(), fault.en.clone());
        }
    }
    if error.fields().is_empty() { Ok(()) } else { Err(error) }
}

fn wrong(field: &FormField, entry: &Entry) -> Vec<(String, String)> {
    let name = &field.item.name_cn;
    let mut said = Vec::new();
    let mut say = |zh: String, en: &str| said.push((zh, en.to_owned()));
    if entry.draft.item(field.id()).is_none() {
        say(format!("目录中没有数据项 `{}`", field.id()), "the entry has no such item");
    }
    if field.auto != Auto::Typed && field.item.data_type != DataType::Text {
        say(
            format!("「{name}」不是文本，不能由平台填写"),
            "only a text can be filled in by the platform",
        );
    }
    if matches!(field.item.data_type, DataType::Geometry | DataType::Json)
        && !field.codes.is_empty()
    {
        say(format!("「{name}」不能有可选值"), "this type has no choices");
    }
    if field.total != TotalRule::None && !(field.numeric() && field.typed()) {
        say(
            format!("「{name}」不是填报的数值，不能汇总"),
            "only numbers that are filled in have totals",
        );
    }
    if check::pattern(field).is_err() {
        say(format!("「{name}」的格式表达式有误"), "the pattern is no regular expression");
    }
    for bound in [&field.least, &field.most] {
        let good = bound.is_empty()
            || if field.numeric() {
                bound.parse::<rust_decimal::Decimal>().is_ok()
            } else {
                let dated = matches!(field.item.data_type, DataType::Date | DataType::DateTime);
                dated && bound.parse::<chrono::NaiveDate>().is_ok()
            };
        if !good {
            say(
                format!("「{name}」的上下限 `{bound}` 应为数值，或日期 YYYY-MM-DD"),
                "bounds are numbers, or dates written YYYY-MM-DD",
            );
        }
    }
    let mut codes: Vec<&str> = field.codes.iter().map(|c| c.code.as_str()).collect();
    codes.sort_unstable();
    if codes.windows(2).any(|pair| pair.first() == pair.last()) {
        say(format!("「{name}」的可选值有重复"), "a choice stands twice");
    }
    said
}
