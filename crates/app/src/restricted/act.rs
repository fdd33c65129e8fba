//! What applicant, providers and authority do to an application: one step of its life, with its event, its record, its notices and what
//! follows from it.

use model::op::day_of;
use model::restricted::{
    SignWay, UseApplication, UseDeed, UseReportNew, UseReview, UseSide, UseState,
};
use model::voice::plain;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};

use super::file::{applies, event};
use super::{credit, missing, people, provider_of, report, sign, stale, stand, tell, text};
use crate::{App, account, audit, realname};

/// What is to be done to an application.
#[derive(Clone, Debug)]
pub struct UseOrder {
    pub deed: UseDeed,
    /// The application's `edit` as the caller saw it; `None`: whatever it is.
    pub seen: Option<u64>,
    /// Why; of a breach the facts.
    pub text: String,
    /// The rule that was broken, of a breach.
    pub rule: String,
    /// How a paper is signed.
    pub way: Option<SignWay>,
    /// SM3 digest of the paper as the signer saw it.
    pub digest: String,
    /// Detached signature in hex, by key.
    pub signature: String,
    /// The phrase that confirms a scanned seal.
    pub confirm: String,
    /// What is reported on use.
    pub report: Option<UseReportNew>,
}

impl UseOrder {
    /// A deed with a text.
    #[must_use]
    pub fn new(deed: UseDeed, text: &str) -> Self {
        Self {
            deed,
            seen: None,
            text: text.to_owned(),
            rule: String::new(),
            way: None,
            digest: String::new(),
            signature: String::new(),
            confirm: String::new(),
            report: None,
        }
    }
}

/// In which part the caller acts, with the permit.
pub(super) struct Acting {
    pub(super) permit: Permit,
    pub(super) side: UseSide,
    /// Organisation it acts for.
    pub(super) org: String,
}

/// In which part the caller may do this to it. Who may not know of the application finds none.
pub(super) async fn enter(
    app: &App,
    op: &Op,
    application: &UseApplication,
    deed: UseDeed,
) -> Result<Acting> {
    let number = application.number.as_str();
    if applies(app, op, application) {
        let target = Target::restricted(application, None);
        let permit = audit::permit(app, op, Action::RestrictedApply, &target).await?;
        return Ok(Acting { permit, side: UseSide::Applicant, org: application.org.clone() });
    }
    let provider = provider_of(application, op);
    let target = Target::restricted(application, provider);
    if application.state == UseState::Draft {
        return Err(missing(number));
    }
    audit::permit_hidden(app, op, Action::RestrictedRead, &target, number, || missing(number))
        .await?;
    let org = op.actor.org().unwrap_or_default().to_owned();
    let as_provider = provider.is_some()
        && app.may(op, Action::RestrictedReview, &target)
        && (application.deeds(UseSide::Provider, &org).contains(&deed)
            || !application.deeds(UseSide::Authority, &org).contains(&deed));
    if as_provider || !app.may(op, Action::RestrictedOversee, &target) {
        let permit = audit::permit(app, op, Action::RestrictedReview, &target).await?;
        return Ok(Acting { permit, side: UseSide::Provider, org });
    }
    let permit = audit::permit(app, op, Action::RestrictedOversee, &target).await?;
    Ok(Acting { permit, side: UseSide::Authority, org })
}

/// Does it to the application of this id or number.
pub async fn act(app: &App, op: &Op, id: &str, order: UseOrder) -> Result<UseApplication> {
    let mut application = app.store.restricted_get(id).await?.ok_or_else(|| missing(id))?;
    let acting = enter(app, op, &application, order.deed).await?;
    let seen = application.edit;
    if order.seen.is_some_and(|e| e != seen) {
        return Err(stale());
    }
    if !application.deeds(acting.side, &acting.org).contains(&order.deed) {
        return Err(Error::new(
            Code::WrongState,
            format!("申请{}，不能{}", application.state.zh(), order.deed.zh()),
            format!(
                "the application is in the state `{}`: this cannot be done now ({})",
                application.state.en(),
                order.deed.en()
            ),
        ));
    }
    let was = application.state;
    let said = apply(app, op, &mut application, &acting, &order).await?;
    application.edit += 1;
    let event = event(op, &application, order.deed, acting.side, &acting.org, said.clone());
    // The record of a breach is written with it: from then on no grant of the subject is good, whatever else happens.
    let breach = (order.deed == UseDeed::Breach).then(|| {
        let whom = (application.subject.as_str(), application.party.as_str());
        let what = (order.rule.trim(), order.text.trim());
        credit::found(app, op, whom, what, &application.number)
    });
    let (store, permit) = (&app.store, &acting.permit);
    let done = match &breach {
        Some(found) => store.restricted_breach(permit, &application, &event, seen, found).await?,
        None => store.restricted_update(permit, &application, &event, seen).await?,
    };
    if !done {
        return Err(stale());
    }
    if (was == UseState::Suspended) != (application.state == UseState::Suspended) {
        app.shares.forget();
    }
    let mut record = audit::event(op, &format!("restricted.{}", order.deed), &application.number);
    record.scope = format!("{} {}", acting.side, acting.org);
    record.reason = said;
    audit::record(app, record).await?;
    if let Some(found) = &breach {
        credit::entered(app, op, found).await?;
    }
    follows(app, op, &application, order.deed, was).await?;
    tell::step(app, op, &application, order.deed).await;
    Ok(application)
}

/// Changes the application; answers what the time line says.
async fn apply(
    app: &App,
    op: &Op,
    a: &mut UseApplication,
    acting: &Acting,
    order: &UseOrder,
) -> Result<String> {
    let rules = &app.rules.restricted;
    let said = |least| plain("text", ("说明", "text"), &order.text, least, rules.longest.text);
    let day = |n| app.calendar.add_working_days(op.today(), n);
    match order.deed {
        UseDeed::Submit => {
            evidence(app, a)?;
            realname::stands(app, &a.applicant, Code::RuleBroken).await?;
            credit::clean(app, op, &a.subject, &a.number).await?;
            a.state = UseState::Reviewing;
            a.submitted_at = op.stamp();
            a.due = Some(day(rules.days.review));
            said(0)
        }
        UseDeed::Approve | UseDeed::Refuse => {
            let approve = order.deed == UseDeed::Approve;
            let text = said(if approve { 0 } else { 2 })?;
            other_eyes(app, op, a).await?;
            a.reviews.push(UseReview {
                side: acting.side,
                org: acting.org.clone(),
                approve,
                reason: text.clone(),
                by: op.actor.id().to_owned(),
                by_name: op.actor.name().to_owned(),
                at: op.stamp(),
            });
            if !approve {
                decided(app, op, a);
                a.state = UseState::Refused;
                a.reason.clone_from(&text);
                a.due = None;
                a.ended_at = op.stamp();
            } else if a.agreed() {
                decided(app, op, a);
                a.terms = rules.terms(op.today());
                people::name_party(app, a).await?;
                a.papers = text::papers(app, a).await?;
                a.state = UseState::Signing;
                a.due = Some(day(rules.days.sign));
            }
            Ok(text)
        }
        UseDeed::Extend => {
            let text = said(2)?;
            a.extended = true;
            let from = a.due.unwrap_or(op.today()).max(op.today());
            a.due = Some(app.calendar.add_working_days(from, rules.days.extension));
            Ok(text)
        }
        UseDeed::SignUndertaking | UseDeed::SignAgreement | UseDeed::Countersign => {
            realname::stands(app, &a.applicant, Code::RuleBroken).await?;
            if order.deed == UseDeed::Countersign {
                if a.until < op.today() {
                    return Err(Error::new(
                        Code::WrongState,
                        "约定的利用期限已过，请申请人重新申请",
                        "the term that was agreed is over: the applicant applies anew",
                    ));
                }
                credit::clean(app, op, &a.subject, &a.number).await?;
                not_suspended(app, a).await?;
            }
            let (kind, signature) = sign::signature(app, op, a, acting, order).await?;
            let way = signature.way;
            if let Some(paper) = a.papers.iter_mut().find(|p| p.kind == kind) {
                paper.signatures.push(signature);
            }
            match order.deed {
                UseDeed::Countersign => {
                    a.state = UseState::InForce;
                    a.in_force_at = op.stamp();
                    a.due = Some(a.until);
                    report::open_next(app, op, a);
                }
                UseDeed::SignAgreement => {
                    a.state = UseState::Countersigning;
                    a.due = Some(day(rules.days.sign));
                }
                _ => {}
            }
            Ok(format!("{} / {}", way.zh(), way.en()))
        }
        UseDeed::Breach => {
            let rule = plain("rule", ("违反的规定", "rule broken"), &order.rule, 2, 200)?;
            let facts = said(2)?;
            a.state = UseState::Stopped;
            a.reason = format!("{rule}：{facts}");
            ended(op, a);
            Ok(a.reason.clone())
        }
        UseDeed::Report => report::filed(app, op, a, order).await,
        UseDeed::AcceptReport | UseDeed::ReturnReport => {
            let accept = order.deed == UseDeed::AcceptReport;
            let text = said(if accept { 0 } else { 2 })?;
            let by = (acting.org.as_str(), account::shown(app, op).await?);
            Ok(report::decided(app, op, a, by, (accept, &text)))
        }
        UseDeed::Withdraw => {
            a.state = UseState::Withdrawn;
            a.reason = said(0)?;
            ended(op, a);
            Ok(a.reason.clone())
        }
        UseDeed::Renew => Err(Error::invalid(
            "请在受限开放申请页面填写续期申请",
            "fill in the application that renews it, on the page for applying",
        )),
        UseDeed::Edit | UseDeed::Discard => Err(Error::invalid(
            "请在草稿页面修改或删除",
            "change or discard the draft on its own page",
        )),
        UseDeed::File | UseDeed::Attach | UseDeed::Suspend | UseDeed::Lapse | UseDeed::Expire => {
            Err(Error::internal("not a deed of a person's order"))
        }
    }
}

pub(super) fn ended(op: &Op, a: &mut UseApplication) {
    a.ended_at = op.stamp();
    a.due = None;
}

/// A renewal leads around no report: what it renews is not suspended.
async fn not_suspended(app: &App, a: &UseApplication) -> Result<()> {
    if a.renews.is_empty() {
        return Ok(());
    }
    let old = app.store.restricted_get(&a.renews).await?;
    match old.filter(|old| old.state == UseState::Suspended) {
        Some(old) => Err(Error::new(
            Code::WrongState,
            format!("原协议 {} 因未提交使用情况报告已暂停，报告被接受后方可续期", old.number),
            format!(
                "the agreement {} that it renews is suspended for want of a report on use: it is renewed when the report is accepted",
                old.number
            ),
        )),
        None => Ok(()),
    }
}

/// Every question that must be proved has a file.
fn evidence(app: &App, a: &UseApplication) -> Result<()> {
    for question in app.rules.restricted.questions.iter().filter(|q| q.evidence) {
        if !a.files.iter().any(|f| f.of == question.id) {
            return Err(Error::invalid(
                format!("请上传证明材料：{}", question.zh),
                format!("bring a file that proves the answer: {}", question.en),
            )
            .field(
                format!("file-{}", question.id),
                "需要证明材料",
                "evidence is needed",
            ));
        }
    }
    Ok(())
}

/// Provider and authority are different people.
async fn other_eyes(app: &App, op: &Op, a: &UseApplication) -> Result<()> {
    if !a.reviews.iter().any(|r| r.by == op.actor.id()) {
        return Ok(());
    }
    let refusal = Error::new(
        Code::Denied,
        "您已审核过此申请，其余审核须由他人进行",
        "you decided this application already: someone else must decide the rest",
    )
    .with_reasons(vec!["four-eyes".into()]);
    audit::refused(app, op, "restricted.approve", &a.number, &refusal).await?;
    Err(refusal)
}

/// The decision is made: how many working days it took.
fn decided(app: &App, op: &Op, a: &mut UseApplication) {
    a.decided_at = op.stamp();
    let days = |from| app.calendar.working_days_between(from, op.today());
    a.days = i64::from(day_of(&a.submitted_at).map_or(0, days));
}

/// What a step brings about outside the application: grants are made or ended.
async fn follows(
    app: &App,
    op: &Op,
    a: &UseApplication,
    deed: UseDeed,
    was: UseState,
) -> Result<()> {
    match deed {
        UseDeed::Countersign => {
            stand::begin(app, op, a).await;
            Ok(())
        }
        UseDeed::Breach => stand::end_grants(app, op, a, &a.reason).await,
        UseDeed::Withdraw if was.agreed() => stand::end_grants(app, op, a, "利用方终止").await,
        _ => Ok(()),
    }
}
