//! The risk check before opening: made over the real rows as the public would get them, explained by the department, agreed to by
//! the authority; and what the catalogue's review asks of it. Nothing of a row is kept or told, only figures and names of items.

use chrono::{Months, NaiveDate, TimeDelta};
use futures::StreamExt;
use guard::anonymity::{Hits, Table};
use model::audit::AuditEvent;
use model::code::{Grade, OnlineState, OpenType, PublishState};
use model::entry::{Entry, EntryDraft};
use model::item::Item;
use model::op::day_of;
use model::openplan::{Assessment, AssessmentState, RiskWeight, openness, opens_more};
use model::query::RowQuery;
use model::value::Value;
use model::voice::plain;
use model::{Code, Error, Op, Result};
use policy::{Action, Grant, Target};
use serde::Serialize;
use store::entry::Held;
use store::openplan::OpenPlanFilter;

use super::plan::desk;
use super::risk::{OpeningRules, Seen, findings};
use super::tell;
use crate::notice::Told;
use crate::{App, Page, account, audit, catalogue};

/// Longest reason, in characters.
const REASON: usize = 500;

/// A risk check with what the caller may do about it.
#[derive(Clone, Debug, Serialize)]
pub struct AssessmentSeen {
    pub assessment: Assessment,
    pub weight: RiskWeight,
    /// Whether the caller may explain it and hand it in; decide on it.
    pub may_submit: bool,
    pub may_decide: bool,
}

fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("风险评估", "risk check", &shown)
}

fn target(of: &Assessment) -> Target {
    Target::plan(&of.id, &of.org, &of.region, &of.submitted_by)
}

/// Checks an entry (by code) as it is declared now, a change under way included.
pub async fn assess(app: &App, op: &Op, code: &str) -> Result<Assessment> {
    let held = catalogue::visible(app, op, code.trim()).await?;
    let entry = &held.entry;
    let place = Target::plan(&entry.id, &entry.draft.org, &entry.draft.region, "");
    let permit = audit::permit(app, op, Action::PlanKeep, &place).await?;
    let draft = held.pending.clone().unwrap_or_else(|| entry.draft.clone());
    if draft.open_type == OpenType::None {
        return Err(Error::new(
            Code::RuleBroken,
            "该目录登记为禁止开放，请先把开放属性改为拟开放的方式，再做评估",
            "the entry is declared not to be opened: declare first how it is to be open, then have it checked",
        ));
    }
    let rules = &app.rules.opening;
    let known: Vec<&str> = entry.draft.items.iter().map(|i| i.identifier.as_str()).collect();
    let wanted = Entry { grade: draft.grade(), draft, ..entry.clone() };
    let grant = app.policy.grant_assess(op, &wanted, &known, rules.rows)?;
    let newest = app.lake.newest(&entry.draft.code).await?;
    let seen = match (&grant, &newest) {
        (Some(grant), Some(_)) => look(app, grant, &wanted.draft, entry.rows).await?,
        _ => Seen::default(),
    };
    let event = AuditEvent {
        columns: grant.as_ref().map(columns_of).unwrap_or_default(),
        level: wanted.grade.as_str().to_owned(),
        scope: newest.map(|v| format!("version {}", v.version)).unwrap_or_default(),
        purpose: "open-check".into(),
        masks: grant.as_ref().map(Grant::masks_text).unwrap_or_default(),
        rows: seen.rows,
        ..audit::event(op, "opening.assess", &entry.draft.code)
    };
    audit::record(app, event).await?;
    let found = assessment(op, rules, &wanted, &seen);
    app.store.assessment_insert(&permit, &found).await?;
    Ok(found)
}

fn columns_of(grant: &Grant) -> String {
    grant.columns().iter().map(|c| c.identifier.as_str()).collect::<Vec<_>>().join(",")
}

fn assessment(op: &Op, rules: &OpeningRules, wanted: &Entry, seen: &Seen) -> Assessment {
    let draft = &wanted.draft;
    let worst = seen.worst.clone().unwrap_or_default();
    Assessment {
        id: op.new_id(),
        entry: wanted.id.clone(),
        code: draft.code.clone(),
        title: draft.title.clone(),
        org: draft.org.clone(),
        region: draft.region.clone(),
        version: wanted.version,
        rules: rules.version.clone(),
        openness: openness(draft),
        wanted: draft.open_type,
        grade: wanted.grade,
        rows: seen.rows,
        whole: seen.whole,
        k: rules.k,
        smallest: worst.smallest,
        below: worst.below,
        unique: worst.unique,
        columns: worst.columns,
        findings: findings(rules, draft, seen),
        state: AssessmentState::Found,
        at: op.stamp(),
        by: op.actor.id().to_owned(),
        by_name: op.actor.name().to_owned(),
        submitted_by: String::new(),
        submitted_at: String::new(),
        decided_by: String::new(),
        decided_at: String::new(),
        decision: String::new(),
        edit: 1,
    }
}

/// Reads the rows through the grant, as many as the rules say, and keeps figures of them.
async fn look(app: &App, grant: &Grant, draft: &EntryDraft, held: i64) -> Result<Seen> {
    let rules = &app.rules.opening;
    let names: Vec<String> = grant.columns().iter().map(|c| c.identifier.clone()).collect();
    let released = draft.items.iter().filter(|i| grant.column(&i.identifier).is_some());
    let quasi: Vec<&Item> = rules.quasi(released);
    let places: Vec<usize> =
        quasi.iter().filter_map(|q| names.iter().position(|n| *n == q.identifier)).collect();
    let mut table = Table::new(quasi.iter().map(|q| q.identifier.clone()).collect());
    let mut hits: Vec<Hits> = names.iter().map(|n| Hits::of(n)).collect();
    let select = names.iter().map(|n| (n.clone(), None)).collect();
    let query = RowQuery { select, limit: Some(rules.rows), ..RowQuery::default() };
    let mut stream = app.lake.scan(grant, &query, None).await?;
    let mut rows = 0_u64;
    while let Some(chunk) = stream.next().await {
        for row in &chunk?.rows {
            rows += 1;
            for (hit, value) in hits.iter_mut().zip(row) {
                if let Some(text) = value.to_text() {
                    hit.look(&text);
                }
            }
            if !places.is_empty() {
                let values: Vec<Option<String>> =
                    places.iter().map(|p| row.get(*p).and_then(Value::to_text)).collect();
                table.push(&values);
            }
        }
    }
    let (k, most) = (rules.k, rules.columns);
    let (worst, all) = tokio::task::spawn_blocking(move || (table.worst(k, most), table.all(k)))
        .await
        .map_err(|e| Error::internal("the check's counting ended").caused_by(e))?;
    let there = u64::try_from(held).unwrap_or(0);
    let whole = rows < rules.rows || there <= rows;
    Ok(Seen { rows, whole, hits, worst, all })
}

/// A risk check: for the department and the authority that decides; people by the names shown. Others do not find it.
pub async fn assessment_get(app: &App, op: &Op, id: &str) -> Result<AssessmentSeen> {
    let mut seen = as_kept(app, op, id).await?;
    let of = &mut seen.assessment;
    account::named(app, vec![(of.by.as_str(), &mut of.by_name)]).await?;
    account::logins_named(app, vec![&mut of.decided_by]).await?;
    Ok(seen)
}

/// The same with the login names that are kept.
async fn as_kept(app: &App, op: &Op, id: &str) -> Result<AssessmentSeen> {
    let of = app.store.assessment_get(id).await?.ok_or_else(|| missing(id))?;
    let own = app.may(op, Action::PlanKeep, &target(&of));
    let nobody = Target { owner: None, ..target(&of) };
    if !own && !app.may(op, Action::PlanReview, &nobody) {
        return Err(missing(id));
    }
    Ok(AssessmentSeen {
        weight: of.weight(),
        may_submit: own && of.state == AssessmentState::Found,
        may_decide: of.state == AssessmentState::Submitted
            && app.may(op, Action::PlanReview, &target(&of)),
        assessment: of,
    })
}

/// A page of risk checks at the caller's desk, newest first. *constant page*.
pub async fn assessments(
    app: &App,
    op: &Op,
    state: Option<AssessmentState>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<Assessment>> {
    let desk = desk(app, op).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let filter = OpenPlanFilter {
        org: desk.org.as_deref(),
        region: desk.region.as_deref(),
        state: state.map(AssessmentState::as_str),
        before,
        limit: limit + 1,
        ..OpenPlanFilter::default()
    };
    Ok(Page::cut(app.store.assessment_list(&filter).await?, limit, |a| a.id.clone()))
}

/// The department says why each finding that needs a reason is no obstacle (`reasons`: key and text), and hands the check in.
pub async fn submit_assessment(
    app: &App,
    op: &Op,
    id: &str,
    reasons: &[(String, String)],
) -> Result<Assessment> {
    let mut of = as_kept(app, op, id).await?.assessment;
    let permit = audit::permit(app, op, Action::PlanKeep, &target(&of)).await?;
    if of.state != AssessmentState::Found {
        return Err(wrong_state(&of));
    }
    if let Some(block) = of.findings.iter().find(|f| f.weight == RiskWeight::Block) {
        return Err(Error::new(
            Code::RuleBroken,
            format!("存在不得开放的问题，请先处理后重新评估：{}", block.zh),
            format!("something found blocks opening: deal with it and check anew: {}", block.en),
        )
        .with_reasons(vec![block.key()]));
    }
    for (n, finding) in of.findings.iter_mut().enumerate() {
        let key = finding.key();
        let said = reasons.iter().find(|(k, _)| *k == key).map_or("", |(_, text)| text.as_str());
        let least = if finding.weight == RiskWeight::Reason { 4 } else { 0 };
        let name = ("理由", "reason");
        finding.reason = plain(&format!("reason-{n}"), name, said, least, REASON)?;
    }
    let seen = of.edit;
    of.edit += 1;
    of.state = AssessmentState::Submitted;
    op.actor.id().clone_into(&mut of.submitted_by);
    of.submitted_at = op.stamp();
    app.store.assessment_update(&permit, &of, seen).await?;
    audit::record(app, audit::event(op, "opening.assessment-submit", &of.code)).await?;
    tell::authorities(app, op, told("opening.filed", &of, "")).await;
    Ok(of)
}

/// The authority agrees or refuses, with a reason.
pub async fn decide_assessment(
    app: &App,
    op: &Op,
    id: &str,
    agree: bool,
    reason: &str,
) -> Result<Assessment> {
    let mut of = as_kept(app, op, id).await?.assessment;
    let permit = audit::permit(app, op, Action::PlanReview, &target(&of)).await?;
    if of.state != AssessmentState::Submitted {
        return Err(wrong_state(&of));
    }
    let least = if agree { 0 } else { 2 };
    of.decision = plain("reason", ("意见", "reason"), reason, least, REASON)?;
    let seen = of.edit;
    of.edit += 1;
    of.state = if agree { AssessmentState::Agreed } else { AssessmentState::Refused };
    op.actor.name().clone_into(&mut of.decided_by);
    of.decided_at = op.stamp();
    app.store.assessment_update(&permit, &of, seen).await?;
    if agree {
        app.store.recheck_remove(&permit, &of.entry).await?;
    }
    let word = if agree { "opening.assessment-agree" } else { "opening.assessment-refuse" };
    let event = AuditEvent { reason: of.decision.clone(), ..audit::event(op, word, &of.code) };
    audit::record(app, event).await?;
    let words = format!("{} {}", of.state.zh(), of.decision);
    tell::department(app, op, &of.org, told("opening.decided", &of, words.trim())).await;
    Ok(of)
}

fn told(kind: &'static str, of: &Assessment, words: &str) -> Told {
    Told {
        mark: format!("{kind}:{}:{}", of.id, of.edit),
        kind,
        title: of.title.clone(),
        words: words.to_owned(),
        href: format!("/console/assessments/{}", of.id),
    }
}

fn wrong_state(of: &Assessment) -> Error {
    Error::new(
        Code::WrongState,
        format!("风险评估处于“{}”，不能作此操作", of.state.zh()),
        format!("the risk check stands at `{}`", of.state.en()),
    )
}

/// Asked by the catalogue's review before it lets anything be seen by more people: a check of exactly this declaration, agreed to
/// and not too old, must stand, from the day on that the rules name.
pub(crate) async fn may_open(app: &App, op: &Op, held: &Held) -> Result<()> {
    let (rules, today) = (&app.rules.opening, op.today());
    if today < rules.required_from {
        return Ok(());
    }
    let entry = &held.entry;
    let after = match (entry.publish_state, entry.online_state) {
        (PublishState::ChangeAuditing, _) => held.pending.as_ref().filter(|_| entry.live()),
        (_, OnlineState::UpAuditing | OnlineState::OfflineUpAuditing) => Some(&entry.draft),
        _ => None,
    };
    let Some(after) = after else { return Ok(()) };
    let before = entry.live().then_some(&entry.draft);
    if !opens_more(before, after) {
        return Ok(());
    }
    let agreed = AssessmentState::Agreed.as_str();
    let newest = app.store.assessment_newest(&entry.id, Some(agreed)).await?;
    let why = match &newest {
        None => Some(("还没有经同意的评估", "there is none that was agreed to")),
        Some(of) => falls(rules, of, after, entry.data_at.as_deref(), today),
    };
    let Some((zh, en)) = why else { return Ok(()) };
    Err(Error::new(
        Code::RuleBroken,
        format!("开放或扩大开放前须有经主管部门同意的开放风险评估：{zh}。请数据提供单位在“开放计划”中评估"),
        format!("opening needs a risk check that the authority agreed to: {en}. The department has it made under Opening plans"),
    )
    .with_reasons(vec!["opening.assessment".into()]))
}

/// Why a check does not stand any more for a declaration on a day; `None` when it does.
fn falls(
    rules: &OpeningRules,
    of: &Assessment,
    draft: &EntryDraft,
    data_at: Option<&str>,
    today: NaiveDate,
) -> Option<(&'static str, &'static str)> {
    if of.openness != openness(draft) {
        return Some((
            "评估之后开放属性、分级、脱敏或数据项又有变化",
            "open attributes, grades, masks or items have changed since",
        ));
    }
    if expired(rules, of, today) {
        return Some(("评估已超过有效期", "it is too old"));
    }
    let landed = data_at.and_then(day_of).zip(day_of(&of.at));
    if landed.is_some_and(|(data, made)| data > made + TimeDelta::days(rules.data_days)) {
        return Some(("评估之后数据又有较大更新", "data landed long after it was made"));
    }
    None
}

/// Whether a check is older than the rules allow for its grade.
pub(super) fn expired(rules: &OpeningRules, of: &Assessment, today: NaiveDate) -> bool {
    day_of(&of.at).is_none_or(|made| too_old(rules, made, of.grade, today))
}

/// The same of the day on which it was made and a grade.
pub(super) fn too_old(
    rules: &OpeningRules,
    made: NaiveDate,
    grade: Grade,
    today: NaiveDate,
) -> bool {
    let months = Months::new(rules.again.of(grade));
    made.checked_add_months(months).is_none_or(|end| today > end)
}

#[cfg(test)]
mod tests {
    use model::code::DataType;

    use super::*;

    #[test]
    fn a_check_falls_with_its_declaration_its_age_and_its_data() {
        let rules = OpeningRules::read(None).unwrap();
        let op = Op::system("2026-03-02T01:00:00Z".parse().unwrap());
        let mut draft = catalogue::blank("o", "330000");
        draft.open_type = OpenType::Unconditional;
        draft.items = vec![Item::new("a", "甲", DataType::Text)];
        let entry = Entry {
            id: "e".into(),
            grade: draft.grade(),
            draft: draft.clone(),
            publish_state: PublishState::Published,
            online_state: OnlineState::Notline,
            version: 1,
            created_at: op.stamp(),
            created_by: "p".into(),
            updated_at: op.stamp(),
            published_at: None,
            rows: 0,
            data_at: None,
        };
        let of = assessment(&op, &rules, &entry, &Seen::default());
        assert_eq!(of.unexplained(), 1, "nothing has landed");
        let on = |day: &str, draft: &EntryDraft, data: Option<&str>| {
            falls(&rules, &of, draft, data, day.parse().unwrap()).is_none()
        };
        assert!(on("2026-03-02", &draft, None));
        assert!(on("2028-03-02", &draft, None) && !on("2028-03-03", &draft, None), "24 months");
        assert!(on("2026-12-01", &draft, Some("2026-08-29T01:00:00Z")));
        assert!(!on("2026-12-01", &draft, Some("2026-08-30T01:00:00Z")), "180 days");
        draft.items[0].grade = Grade::L2;
        assert!(!on("2026-03-02", &draft, None));
    }
}
