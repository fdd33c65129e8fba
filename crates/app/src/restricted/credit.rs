//! The credit record of those who use data that are open on conditions: entered by the authority or with a breach, looked up when
//! somebody applies and at every use, repaired by the authority, and taken away when its time is over.

use chrono::Datelike as _;
use model::request::{Request, RequestWay};
use model::restricted::credit::{CreditNew, CreditRecord, subject_of_account, subject_of_org};
use model::voice::plain;
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use store::restricted::CreditFilter;

use super::{applicant, people, report, stale, tell};
use crate::{App, Page, account, audit, realname};

fn base() -> Target {
    Target::plain("Credit", "record")
}

fn unknown(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("信用记录", "credit record", &shown)
}

/// Whether the caller sees the credit record.
#[must_use]
pub fn may_read_credit(app: &App, op: &Op) -> bool {
    app.may(op, Action::CreditRead, &base())
}

/// Whether the caller enters into it and repairs it.
#[must_use]
pub fn may_keep_credit(app: &App, op: &Op) -> bool {
    app.may(op, Action::CreditKeep, &base())
}

/// Records that stand against a subject today.
pub(super) async fn standing(app: &App, op: &Op, subject: &str) -> Result<Vec<CreditRecord>> {
    let today = op.today().to_string();
    let filter = CreditFilter {
        subject: Some(subject),
        standing_on: Some(&today),
        limit: 20,
        ..CreditFilter::default()
    };
    app.store.credit_list(&filter).await
}

/// Refuses an application of a subject with a bad record; the refusal is recorded.
pub(super) async fn clean(app: &App, op: &Op, subject: &str, object: &str) -> Result<()> {
    let Some(record) = standing(app, op, subject).await?.pop() else { return Ok(()) };
    let refusal = Error::new(
        Code::RuleBroken,
        format!(
            "存在违反开放利用规定的信用记录（{}，保存至 {}），修复后方可申请",
            record.rule, record.until
        ),
        format!(
            "there is a credit record for breaking the rules of use ({}, kept until {}): apply again when it is repaired",
            record.rule, record.until
        ),
    )
    .with_reasons(vec!["credit".to_owned()]);
    audit::refused(app, op, "restricted.submit", object, &refusal).await?;
    Err(refusal)
}

/// Whether a grant for data that are open on conditions may be used: its agreement is not suspended, who applied is who they said (or
/// nobody has found otherwise), and the record of whom it was given to is clean. Asked whenever the gate decides anew; every suspension,
/// every revoked verification and every change of a record makes it do so.
pub(crate) async fn clean_use(app: &App, op: &Op, request: &Request) -> Result<()> {
    if request.way != RequestWay::Open {
        return Ok(());
    }
    if let Some(suspended) = app.store.restricted_held(&request.id).await? {
        return Err(report::refusal(&suspended));
    }
    realname::stands(app, &request.applicant, Code::NoGrant).await?;
    let subject = match request.org.as_str() {
        "" => subject_of_account(&request.applicant),
        id => match app.store.org_get(id).await? {
            Some(org) => subject_of_org(&org.uscc),
            None => return Err(Error::of(Code::NoGrant)),
        },
    };
    if standing(app, op, &subject).await?.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Code::NoGrant,
        "存在违反开放利用规定的信用记录，修复前不提供受限开放的数据；请联系公共数据主管部门",
        "there is a credit record for breaking the rules of use: no restricted-open data are given until it is repaired; ask the public-data authority",
    )
    .with_reasons(vec!["credit".to_owned()]))
}

/// Last day of a record that is entered today.
fn until(app: &App, op: &Op) -> chrono::NaiveDate {
    let today = op.today();
    let years = i32::try_from(app.rules.restricted.credit.years).unwrap_or(5);
    let year = today.year().saturating_add(years);
    // 29 February ends on the 28th.
    today.with_year(year).or_else(|| today.with_day(28)?.with_year(year)).unwrap_or(today)
}

/// A record of what was found (`application`: its number), to be kept.
pub(super) fn found(
    app: &App,
    op: &Op,
    whom: (&str, &str),
    what: (&str, &str),
    application: &str,
) -> CreditRecord {
    CreditRecord {
        id: op.new_id(),
        subject: whom.0.to_owned(),
        subject_name: whom.1.to_owned(),
        rule: what.0.to_owned(),
        facts: what.1.to_owned(),
        application: application.to_owned(),
        entered_at: op.stamp(),
        entered_by: op.actor.id().to_owned(),
        entered_by_name: op.actor.name().to_owned(),
        org: op.actor.org().unwrap_or_default().to_owned(),
        until: until(app, op),
        repaired_at: String::new(),
        repaired_by: String::new(),
        repair_reason: String::new(),
        objection: String::new(),
        objected_at: String::new(),
        edit: 1,
    }
}

/// What follows from a record that is kept: all grants are looked at anew, and whom it is about is told.
pub(super) async fn entered(app: &App, op: &Op, record: &CreditRecord) -> Result<()> {
    app.shares.forget();
    let mut event = audit::event(op, "credit.enter", &record.id);
    event.scope = format!("{} {}", record.subject, record.application);
    event.reason.clone_from(&record.rule);
    audit::record(app, event).await?;
    tell::subject(app, op, record).await;
    Ok(())
}

/// The authority enters a record about an organisation (by its credit code) or a citizen (by the user name).
pub async fn credit_enter(app: &App, op: &Op, new: CreditNew) -> Result<CreditRecord> {
    let permit = audit::permit(app, op, Action::CreditKeep, &base()).await?;
    let longest = app.rules.restricted.longest.text;
    let rule = plain("rule", ("违反的规定", "rule broken"), &new.rule, 2, 200)?;
    let facts = plain("facts", ("事实", "facts"), &new.facts, 2, longest)?;
    let whom = new.whom.trim();
    let org = match app.store.org_of_uscc(whom).await? {
        Some(id) => app.store.org_get(&id).await?,
        None => None,
    };
    let (subject, name) = match org {
        Some(org) => (subject_of_org(&org.uscc), org.name_cn),
        None => {
            let user = app.store.user_by_name(whom).await?.map(|found| found.user);
            let user = user.ok_or_else(|| {
                let shown: String = whom.chars().take(64).collect();
                Error::not_found("主体", "organisation or citizen", &shown).field(
                    "whom",
                    "填写统一社会信用代码或用户名",
                    "give a credit code or a user name",
                )
            })?;
            if user.org.is_some() {
                return Err(Error::new(
                    Code::RuleBroken,
                    format!("账号 `{}` 属于单位，请填写该单位的统一社会信用代码", user.name),
                    format!(
                        "the account `{}` is an organisation's: give the organisation's credit code",
                        user.name
                    ),
                )
                .field("whom", "请改填统一社会信用代码", "give the credit code"));
            }
            (subject_of_account(&user.id), user.display_name)
        }
    };
    let record = found(app, op, (&subject, &name), (&rule, &facts), "");
    app.store.credit_insert(&permit, &record).await?;
    entered(app, op, &record).await?;
    Ok(record)
}

/// The authority repairs a record (信用修复) with a reason; from then on it counts no more.
pub async fn credit_repair(app: &App, op: &Op, id: &str, reason: &str) -> Result<CreditRecord> {
    let permit = audit::permit(app, op, Action::CreditKeep, &base()).await?;
    let longest = app.rules.restricted.longest.text;
    let reason = plain("reason", ("修复理由", "reason of the repair"), reason, 2, longest)?;
    let mut record = app.store.credit_get(id).await?.ok_or_else(|| unknown(id))?;
    if !record.repaired_at.is_empty() {
        return Err(Error::of(Code::WrongState));
    }
    let seen = record.edit;
    record.edit += 1;
    record.repaired_at = op.stamp();
    record.repaired_by = account::shown(app, op).await?;
    record.repair_reason.clone_from(&reason);
    kept(app, op, &permit, &record, seen, "credit.repair", &reason).await?;
    tell::subject(app, op, &record).await;
    Ok(record)
}

/// Whom a record is about says something against it; it counts until it is repaired all the same.
pub async fn credit_object(app: &App, op: &Op, id: &str, text: &str) -> Result<CreditRecord> {
    let (permit, party) = applicant(app, op).await?;
    let longest = app.rules.restricted.longest.text;
    let text = plain("text", ("异议", "objection"), text, 2, longest)?;
    let found = app.store.credit_get(id).await?.filter(|r| r.subject == party.subject);
    let mut record = found.ok_or_else(|| unknown(id))?;
    if !record.counts(op.today()) {
        return Err(Error::of(Code::WrongState));
    }
    let seen = record.edit;
    record.edit += 1;
    record.objection.clone_from(&text);
    record.objected_at = op.stamp();
    kept(app, op, &permit, &record, seen, "credit.object", &text).await?;
    Ok(record)
}

async fn kept(
    app: &App,
    op: &Op,
    permit: &Permit,
    record: &CreditRecord,
    seen: u64,
    word: &str,
    reason: &str,
) -> Result<()> {
    if !app.store.credit_update(permit, record, seen).await? {
        return Err(stale());
    }
    app.shares.forget();
    let mut event = audit::event(op, word, &record.id);
    event.scope.clone_from(&record.subject);
    reason.clone_into(&mut event.reason);
    audit::record(app, event).await
}

/// A page of the credit record, newest first. *constant page*. Reading it is recorded.
pub async fn credit_list(
    app: &App,
    op: &Op,
    standing_only: bool,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<CreditRecord>> {
    audit::permit(app, op, Action::CreditRead, &base()).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let today = op.today().to_string();
    let filter = CreditFilter {
        standing_on: standing_only.then_some(today.as_str()),
        before,
        limit: limit + 1,
        ..CreditFilter::default()
    };
    let mut page = Page::cut(app.store.credit_list(&filter).await?, limit, |r| r.id.clone());
    people::name_records(app, &mut page.items).await?;
    audit::record(app, audit::event(op, "credit.read", "credit")).await?;
    Ok(page)
}

/// What stands in the record about the caller's organisation, or about the caller.
pub async fn credit_mine(app: &App, op: &Op) -> Result<Vec<CreditRecord>> {
    if !matches!(op.actor, Actor::User { .. }) || !super::may_file(app, op) {
        return Ok(Vec::new());
    }
    let (_, party) = applicant(app, op).await?;
    let filter =
        CreditFilter { subject: Some(&party.subject), limit: 50, ..CreditFilter::default() };
    app.store.credit_list(&filter).await
}
