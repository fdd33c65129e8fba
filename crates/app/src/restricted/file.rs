//! An application is filled in, its evidence is brought, and files of it are read.

use bytes::Bytes;
use chrono::TimeDelta;
use futures::stream::BoxStream;
use model::basket::Attachment;
use model::request::{Period, RequestNew, RequestWay};
use model::restricted::{
    UseAnswer, UseApplication, UseDeed, UseEntry, UseEvent, UseFile, UseNew, UseSide, UseState,
};
use model::voice::plain;
use model::{Code, Error, Op, Result, region};
use policy::{Action, Target};

use super::act::enter;
use super::{Party, applicant, credit, missing, own, stale};
use crate::{App, audit, basket, opening, realname, sharing, upload};

/// Fills in an application in the name of the caller's organisation or in the caller's own. A bad credit record refuses it here already.
pub async fn file(app: &App, op: &Op, new: UseNew) -> Result<UseApplication> {
    let (permit, party) = applicant(app, op).await?;
    credit::clean(app, op, &party.subject, "new").await?;
    let filed = drawn(app, op, &party, &new).await?;
    let event = event(op, &filed, UseDeed::File, UseSide::Applicant, &party.org, String::new());
    let kept = app.store.restricted_insert(&permit, filed, &event, op.today()).await?;
    written(app, op, "restricted.file", &kept).await?;
    Ok(kept)
}

/// The record of what somebody filled in.
pub(super) async fn written(app: &App, op: &Op, word: &str, a: &UseApplication) -> Result<()> {
    let mut record = audit::event(op, word, &a.number);
    record.scope = a.entries.iter().map(|e| e.code.as_str()).collect::<Vec<_>>().join(",");
    record.purpose.clone_from(&a.purpose);
    audit::record(app, record).await
}

/// The draft that a form makes, checked and not kept yet.
pub(super) async fn drawn(
    app: &App,
    op: &Op,
    party: &Party,
    new: &UseNew,
) -> Result<UseApplication> {
    let rules = &app.rules.restricted;
    let purpose =
        plain("purpose", ("利用目的", "purpose"), &new.purpose, 5, rules.longest.purpose)?;
    let scope = plain("scope", ("利用范围", "scope"), &new.scope, 5, rules.longest.scope)?;
    let method = rules.method(new.method.trim()).ok_or_else(|| {
        Error::invalid("请选择开放方式", "choose an opening method")
            .field("method", "必选", "required")
    })?;
    if method.sandbox && party.org.is_empty() {
        return Err(Error::new(
            Code::RuleBroken,
            "数据沙箱为单位设立，个人请选择其他开放方式",
            "a sandbox is an organisation's: choose another opening method",
        )
        .field("method", "请改选", "choose another"));
    }
    let until = until(app, op, new)?;
    if !(1..=1_000_000).contains(&new.calls_per_day) {
        return Err(Error::invalid("请填写每日调用次数", "say how many calls a day are wanted")
            .field("calls_per_day", "1 至 1000000", "1 to 1000000"));
    }
    let answers = answers(app, &new.answers)?;
    let application = calling(app, op, party, new.application.trim()).await?;
    let (entries, region) = entries(app, op, new).await?;
    let renews = renewed(app, op, new, party, &application.id).await?;
    let filed = UseApplication {
        id: op.new_id(),
        number: String::new(),
        state: UseState::Draft,
        entries,
        application: application.id,
        application_name: application.name,
        applicant: op.actor.id().to_owned(),
        org: party.org.clone(),
        party: party.name.clone(),
        subject: party.subject.clone(),
        region,
        purpose,
        scope,
        method: method.word.clone(),
        until,
        calls_per_day: new.calls_per_day,
        answers,
        files: Vec::new(),
        reviews: Vec::new(),
        extended: false,
        due: None,
        papers: Vec::new(),
        rules: rules.version.clone(),
        reason: String::new(),
        renews,
        created_at: op.stamp(),
        submitted_at: String::new(),
        decided_at: String::new(),
        in_force_at: String::new(),
        ended_at: String::new(),
        days: -1,
        terms: None,
        reports: Vec::new(),
        edit: 1,
    };
    if filed.renews.is_empty() {
        no_clash(app, op, &filed).await?;
    }
    Ok(filed)
}

/// The last day of use: after today, within the longest term.
fn until(app: &App, op: &Op, new: &UseNew) -> Result<chrono::NaiveDate> {
    let term = app.rules.restricted.longest.term_days;
    let fits = |until: &chrono::NaiveDate| {
        *until > op.today() && *until <= op.today() + TimeDelta::days(term)
    };
    new.until.filter(fits).ok_or_else(|| {
        Error::invalid(
            format!("截止日期应晚于今天，且在 {term} 天以内"),
            format!("the last day must be after today, within {term} days"),
        )
        .field("until", "请改选日期", "choose another day")
    })
}

/// Nothing asked for is granted to the calling application already.
async fn no_clash(app: &App, op: &Op, filed: &UseApplication) -> Result<()> {
    for entry in &filed.entries {
        let ask = RequestNew {
            entry: entry.id.clone(),
            application: filed.application.clone(),
            items: entry.items.clone(),
            scene: filed.purpose.clone(),
            legal_basis: String::new(),
            period: Period::Until { date: filed.until.to_string() },
            calls_per_day: filed.calls_per_day,
            area_range: String::new(),
            row_range: Default::default(),
            by_sql: false,
        };
        sharing::refuse_clash(app, op, &ask).await?;
    }
    Ok(())
}

/// The event of a step, numbered by the application's `edit` after it.
pub(super) fn event(
    op: &Op,
    application: &UseApplication,
    deed: UseDeed,
    side: UseSide,
    org: &str,
    text: String,
) -> UseEvent {
    UseEvent {
        seq: application.edit,
        at: op.stamp(),
        deed,
        side,
        actor: op.actor.id().to_owned(),
        actor_name: op.actor.name().to_owned(),
        org: org.to_owned(),
        text,
    }
}

/// All questions are answered, and none so that nobody could be let in.
fn answers(app: &App, given: &[UseAnswer]) -> Result<Vec<UseAnswer>> {
    let rules = &app.rules.restricted;
    let mut answers = Vec::new();
    for question in &rules.questions {
        let field = format!("answer-{}", question.id);
        let answer = given.iter().find(|a| a.question == question.id);
        let choice = answer.and_then(|a| question.choice(a.choice.trim()));
        let (Some(answer), Some(choice)) = (answer, choice) else {
            return Err(Error::invalid(
                format!("请回答：{}", question.zh),
                format!("please answer: {}", question.en),
            )
            .field(&field, "必选", "required"));
        };
        if choice.disqualifies {
            return Err(Error::new(
                Code::RuleBroken,
                format!("按此回答不符合受限开放的条件：{}（{}）", question.zh, choice.zh),
                format!(
                    "whoever answers so does not meet the conditions of restricted opening: {} ({})",
                    question.en, choice.en
                ),
            )
            .field(&field, "不符合条件", "the condition is not met"));
        }
        answers.push(UseAnswer {
            question: question.id.clone(),
            choice: choice.word.clone(),
            text: plain(&field, ("补充说明", "explanation"), &answer.text, 0, rules.longest.text)?,
        });
    }
    Ok(answers)
}

/// The application (应用) that will call: of the caller's organisation, or its own.
async fn calling(
    app: &App,
    op: &Op,
    party: &Party,
    id: &str,
) -> Result<model::account::Application> {
    let found = app.store.application_get(id).await?.filter(|a| party.owns(op, &a.org, &a.owner));
    let application = found.ok_or_else(|| {
        Error::not_found(
            "可用的应用",
            "application of yours",
            &id.chars().take(64).collect::<String>(),
        )
        .field(
            "application",
            "请先登记调用数据的应用",
            "register the application that will call first",
        )
    })?;
    if application.active {
        return Ok(application);
    }
    Err(Error::new(
        Code::WrongState,
        format!("应用 `{}` 已停用，请先启用", application.name),
        format!("the application `{}` is stopped: start it first", application.name),
    ))
}

/// The data sets asked for, each with the items that may be asked for, and the smallest region that holds them all: whose authority
/// reviews.
async fn entries(app: &App, op: &Op, new: &UseNew) -> Result<(Vec<UseEntry>, String)> {
    let most = app.rules.restricted.longest.entries;
    if new.entries.is_empty() || new.entries.len() > most {
        return Err(Error::invalid(
            format!("请选择 1 至 {most} 个数据集"),
            format!("choose 1 to {most} data sets"),
        )
        .field("code", "请填写数据集编码", "name data sets by their codes"));
    }
    let mut entries: Vec<UseEntry> = Vec::new();
    let mut over = String::new();
    for (code, wanted) in &new.entries {
        let entry = opening::dataset(app, op, code.trim()).await?.entry;
        if entry.freely_open() {
            return Err(Error::new(
                Code::RuleBroken,
                format!("《{}》无条件开放，无需申请，可直接下载或调用", entry.draft.title),
                format!(
                    "`{}` is open to everybody: there is nothing to apply for",
                    entry.draft.code
                ),
            )
            .field("code", "请去掉该数据集", "leave it out"));
        }
        realname::admit(app, op, &entry).await?;
        if entries.iter().any(|e| e.id == entry.id) {
            continue;
        }
        let offered: Vec<&str> = entry
            .draft
            .items
            .iter()
            .filter(|i| RequestWay::Open.offers(i))
            .map(|i| i.identifier.as_str())
            .collect();
        if let Some(closed) = wanted.iter().find(|w| !offered.contains(&w.as_str())) {
            let shown: String = closed.chars().take(60).collect();
            return Err(Error::new(
                Code::RuleBroken,
                format!("数据项 `{shown}` 不向社会开放，不能申请"),
                format!("the item `{shown}` is not open"),
            )
            .field("items", "请改选数据项", "choose other items"));
        }
        // In the order of the catalogue, each once.
        let items: Vec<String> = offered
            .iter()
            .filter(|i| wanted.is_empty() || wanted.iter().any(|w| w == *i))
            .map(|i| (*i).to_owned())
            .collect();
        let org = app.store.org_get(&entry.draft.org).await?;
        over = match over.is_empty() {
            true => entry.draft.region.clone(),
            false => common(&over, &entry.draft.region).ok_or_else(|| {
                Error::new(
                    Code::RuleBroken,
                    "所选数据集没有共同的主管部门，请分别申请",
                    "no authority is over all of these data sets: apply for them one by one",
                )
                .field("code", "请分别申请", "apply one by one")
            })?,
        };
        entries.push(UseEntry {
            provider_name: org.map(|o| o.name_cn).unwrap_or_default(),
            provider: entry.draft.org,
            id: entry.id,
            code: entry.draft.code,
            title: entry.draft.title,
            items,
            grant: op.new_id(),
        });
    }
    Ok((entries, over))
}

/// The smallest region that holds two.
fn common(one: &str, other: &str) -> Option<String> {
    let above = |of: &str| -> Vec<String> {
        std::iter::successors(Some(of.to_owned()), |r| region::parent_of(r)).collect()
    };
    let others = above(other);
    above(one).into_iter().find(|r| others.contains(r))
}

/// Id of the application that is renewed: the caller's own, in force or expired, of the same calling application.
async fn renewed(
    app: &App,
    op: &Op,
    new: &UseNew,
    party: &Party,
    application: &str,
) -> Result<String> {
    let number = new.renews.trim();
    if number.is_empty() {
        return Ok(String::new());
    }
    let old = app.store.restricted_get(number).await?;
    let old =
        old.filter(|a| party.owns(op, &a.org, &a.applicant)).ok_or_else(|| missing(number))?;
    if old.application != application
        || !old.deeds(UseSide::Applicant, "").contains(&UseDeed::Renew)
    {
        return Err(Error::new(
            Code::WrongState,
            format!("申请 {} 不能由此续期：须由同一应用、在生效中或到期后续期", old.number),
            format!(
                "{} cannot be renewed so: by the same application, while in force or when it has expired",
                old.number
            ),
        ));
    }
    Ok(old.id)
}

/// Takes a file in: evidence for a question (`of` its id) while the application is filled in, or the scan of a sealed paper
/// (`seal:undertaking`, `seal:agreement`) while it is to be signed by the caller.
pub async fn attach(
    app: &App,
    op: &Op,
    id: &str,
    of: &str,
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<UseApplication> {
    let mut application = app.store.restricted_get(id).await?.ok_or_else(|| missing(id))?;
    let (deed, fits) = match of {
        "seal:undertaking" => (UseDeed::SignUndertaking, true),
        "seal:agreement" if application.state == UseState::Countersigning => {
            (UseDeed::Countersign, true)
        }
        "seal:agreement" => (UseDeed::SignAgreement, true),
        question => (UseDeed::Attach, app.rules.restricted.question(question).is_some()),
    };
    let actor = enter(app, op, &application, deed).await?;
    if !fits || !application.deeds(actor.side, &actor.org).contains(&deed) {
        return Err(Error::new(
            Code::WrongState,
            "现在不能上传此材料",
            "this file is not taken now",
        ));
    }
    let seen = application.edit;
    let there = application.files.len();
    let file = basket::receive(app, op, Some(&application.id), there, name, bytes).await?;
    let kept = async {
        let sealed = of.starts_with("seal:");
        if sealed && !matches!(file.media.as_str(), "application/pdf" | "image/png" | "image/jpeg")
        {
            return Err(Error::invalid(
                "签章扫描件应为 PDF、PNG 或 JPG",
                "the scan of a sealed paper must be PDF, PNG or JPG",
            )
            .field("file", "请另选文件", "choose another file"));
        }
        application.files.push(UseFile {
            id: file.id.clone(),
            name: file.name.clone(),
            of: of.to_owned(),
            checksum: file.checksum.clone(),
            at: op.stamp(),
            by: op.actor.id().to_owned(),
        });
        application.edit += 1;
        let event =
            event(op, &application, UseDeed::Attach, actor.side, &actor.org, file.name.clone());
        app.store.attachment_insert(&actor.permit, &file).await?;
        if !app.store.restricted_update(&actor.permit, &application, &event, seen).await? {
            return Err(stale());
        }
        Ok(())
    };
    if let Err(e) = kept.await {
        upload::forget(app, &file.id).await;
        return Err(e);
    }
    // From here on the application has the file: whatever fails, its content stays.
    let mut record = audit::event(op, "restricted.attach", &application.number);
    record.scope = format!("{of} {} {}", file.bytes, file.checksum);
    audit::record(app, record).await?;
    Ok(application)
}

/// A file of an application with its content as a stream, for the parties.
pub async fn attachment(
    app: &App,
    op: &Op,
    id: &str,
    file: &str,
) -> Result<(Attachment, BoxStream<'static, std::io::Result<Bytes>>)> {
    let unknown = || Error::not_found("附件", "file", file);
    let application = super::look::visible(app, op, id).await?;
    if !application.files.iter().any(|f| f.id == file) {
        return Err(unknown());
    }
    let known = app.store.attachment_get(file).await?.ok_or_else(unknown)?;
    let pieces = upload::content(app, &known.id).await?;
    let mut record = audit::event(op, "restricted.attachment", &application.number);
    record.scope.clone_from(&known.checksum);
    audit::record(app, record).await?;
    Ok((known, pieces))
}

/// Whether the caller is the applicant's side of an application.
pub(super) fn applies(app: &App, op: &Op, application: &UseApplication) -> bool {
    let same = match application.org.is_empty() {
        true => application.applicant == op.actor.id(),
        false => own(op).applicant_org.as_deref() == Some(application.org.as_str()),
    };
    same && app.may(op, Action::RestrictedApply, &Target::restricted(application, None))
}

#[cfg(test)]
mod tests {
    use super::common;

    #[test]
    fn the_region_that_holds_both() {
        assert_eq!(common("330106", "330110").as_deref(), Some("330100"));
        assert_eq!(common("330106", "330100").as_deref(), Some("330100"));
        assert_eq!(common("330100", "330000").as_deref(), Some("330000"));
        assert_eq!(common("330000", "320000"), None);
    }
}
