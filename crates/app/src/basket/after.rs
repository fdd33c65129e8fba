//! What follows a decision: delivery of what was approved, completion of what was returned, feedback, disputes, and
//! the decisions of before as advice to whoever decides next.

use model::basket::{AssetRef, Bundle, Feedback, Part, Precedent, Want};
use model::flow::{Fact, Facts, Phase, Subject, What};
use model::request::RequestWay;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;

use super::file::{VIA, facts, start, wanted};
use super::look::part;
use crate::approval::{self, Beginning, Held};
use crate::sharing::{self, Agreed};
use crate::{App, account, audit};

/// Does what an automatic step of a part's flow asks for; answers what was done.
pub(crate) async fn deliver(
    app: &App,
    system: &Op,
    permit: &Permit,
    held: &Held,
) -> Result<String> {
    let missing = || Error::internal(format!("no part behind the approval `{}`", held.id));
    let part = app.store.part_get(&held.state.subject.id).await?.ok_or_else(missing)?;
    let bundle = app.store.bundle_get(&part.bundle).await?.ok_or_else(missing)?;
    let Want::Api { .. } = part.want else {
        return Err(Error::new(
            Code::RuleBroken,
            "只有接口方式的数据可以自动授权，请改流程由数源单位实施",
            "only data wanted by interface can be granted automatically: let the flow have it implemented",
        ));
    };
    let agreed = Agreed {
        id: part.id.clone(),
        new: wanted(&bundle.form, &part.asset, &part.want),
        applicant: bundle.applicant.clone(),
        applicant_org: bundle.org.clone(),
        way: way(&held.state.facts),
        approval: held.id.clone(),
    };
    let request = sharing::grant_agreed(app, system, permit, agreed).await?;
    Ok(format!("request {}", request.id))
}

/// By which way the data were asked for.
fn way(facts: &Facts) -> RequestWay {
    match facts.get(VIA) {
        Some(Fact::Text(word)) if word == RequestWay::Open.as_str() => RequestWay::Open,
        _ => RequestWay::Share,
    }
}

/// What the applicant changes in a part that came back (缺项补正).
#[derive(Clone, Debug)]
pub struct Amend {
    pub want: Want,
    pub opinion: String,
}

/// Completes a part that was returned, and hands it in again: the flow begins anew with what is wanted now.
pub async fn amend(app: &App, op: &Op, id: &str, amend: Amend) -> Result<Bundle> {
    let (bundle, part) = part(app, op, id).await?;
    let permit = follow(app, op, &bundle, &part).await?;
    if part.phase != Phase::Returned {
        return Err(wrong_phase(&part));
    }
    if amend.opinion.trim().is_empty() {
        return Err(Error::invalid("请写明补正的内容", "say what you have added or changed")
            .field("opinion", "必填", "required"));
    }
    if std::mem::discriminant(&amend.want) != std::mem::discriminant(&part.want) {
        return Err(Error::invalid(
            "补正不能改变申请方式，请撤回后另行申请",
            "the way of sharing cannot be changed here: withdraw it and apply anew",
        ));
    }
    let facts = match part.flow.as_str() {
        "share" | "asset" => facts(app, op, &bundle.form, &part.asset, &amend.want).await?.1,
        _ => approval::facts_of(app, &part.approval).await?,
    };
    app.store.part_want(&permit, &part.id, &amend.want).await?;
    approval::resubmit_with(app, op, &part.approval, facts, &amend.opinion).await?;
    super::bundle(app, op, &bundle.id).await
}

/// 成效反馈: once, when every part has been decided and something was approved.
pub async fn feedback(
    app: &App,
    op: &Op,
    id: &str,
    effect: &str,
    score: u8,
    solved: bool,
) -> Result<Bundle> {
    let bundle = super::bundle(app, op, id).await?;
    let target = Target {
        owner: Some(bundle.applicant.clone()),
        applicant_org: Some(bundle.org.clone()).filter(|o| !o.is_empty()),
        ..Target::plain("Approval", &bundle.id)
    };
    let permit = audit::permit(app, op, Action::ApprovalFollow, &target).await?;
    if bundle.progress().state != "feedback-pending" {
        return Err(Error::new(
            Code::WrongState,
            "全部办结且有通过的事项后，才能反馈成效（只反馈一次）",
            "feedback is given once, when every part is decided and something was approved",
        ));
    }
    let effect = effect.trim();
    let most = app.rules.basket.limit.text;
    if effect.is_empty() || effect.chars().count() > most {
        return Err(Error::invalid(
            format!("请填写成效（最多 {most} 字）"),
            format!("say what was achieved ({most} characters at most)"),
        )
        .field("effect", "必填", "required"));
    }
    if !(1..=5).contains(&score) {
        return Err(Error::invalid("评分为 1 至 5", "the score is 1 to 5").field(
            "score",
            "请选择",
            "choose",
        ));
    }
    let feedback = Feedback {
        effect: effect.to_owned(),
        score,
        solved,
        at: op.stamp(),
        by: account::shown(app, op).await?,
    };
    app.store.bundle_feedback(&permit, op, &bundle.id, &feedback).await?;
    let mut event = audit::event(op, "basket.feedback", &bundle.id);
    event.scope = format!("score {score} solved {solved}");
    audit::record(app, event).await?;
    super::bundle(app, op, id).await
}

/// Withdraws every part of a form that is not decided yet.
pub async fn withdraw(app: &App, op: &Op, id: &str, opinion: &str) -> Result<Bundle> {
    let bundle = super::bundle(app, op, id).await?;
    let open: Vec<&Part> = bundle.parts.iter().filter(|p| !p.phase.over()).collect();
    if open.is_empty() {
        return Err(Error::new(
            Code::WrongState,
            "各项均已办结，无可撤回",
            "every part is decided: there is nothing to withdraw",
        ));
    }
    for part in open {
        approval::withdraw(app, op, &part.approval, opinion).await?;
    }
    super::bundle(app, op, id).await
}

/// Disputes a refusal: the part goes through the three layers. A decision of the last layer stands.
pub async fn dispute(app: &App, op: &Op, id: &str, detail: &str) -> Result<Bundle> {
    let (bundle, part) = part(app, op, id).await?;
    let permit = follow(app, op, &bundle, &part).await?;
    if part.phase != Phase::Refused {
        return Err(wrong_phase(&part));
    }
    if !matches!(part.flow.as_str(), "share" | "asset") {
        return Err(Error::new(
            Code::WrongState,
            "争议已经三层处理，决定为最终决定",
            "the dispute went through its three layers: the decision stands",
        ));
    }
    let detail = detail.trim();
    if detail.is_empty() || detail.chars().count() > app.rules.basket.limit.text {
        return Err(Error::invalid("请写明争议的理由", "say why the refusal is disputed")
            .field("detail", "必填", "required"));
    }
    let mut facts = approval::facts_of(app, &part.approval).await?;
    facts.insert("way".into(), Fact::Text(part.want.word().to_owned()));
    let beginning = Beginning {
        flow: "dispute",
        subject: Subject { kind: "part".into(), id: part.id.clone() },
        title: format!("{}：{detail}", part.asset.title),
        applicant_org: bundle.org.clone(),
        owner_org: part.asset.org.clone(),
        more: approval::Places::new(),
        facts,
    };
    let begun = approval::begin(app, op, &permit, beginning).await?;
    let from = part.approval.clone();
    let part = Part { approval: begun.id.clone(), flow: "dispute".into(), ..part };
    app.store.part_follow(&permit, &from, &start(&part, &begun)).await?;
    approval::started(app, op, &begun).await?;
    approval::settle(app, op, &begun.id).await?;
    super::bundle(app, op, &bundle.id).await
}

async fn follow(app: &App, op: &Op, bundle: &Bundle, part: &Part) -> Result<Permit> {
    let target = Target {
        org: Some(part.asset.org.clone()),
        owner: Some(bundle.applicant.clone()),
        applicant_org: Some(bundle.org.clone()).filter(|o| !o.is_empty()),
        ..Target::plain("Approval", &part.id)
    };
    audit::permit(app, op, Action::ApprovalFollow, &target).await
}

fn wrong_phase(part: &Part) -> Error {
    Error::new(
        Code::WrongState,
        format!("《{}》处于“{}”，不能进行此操作", part.asset.title, part.phase.zh()),
        format!("`{}` is `{}`: this cannot be done", part.asset.title, part.phase.as_str()),
    )
}

/// Advice from the decisions of before.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Advice {
    pub precedents: Vec<Precedent>,
    pub approved: usize,
    pub refused: usize,
    /// So many earlier approvals of at least the same items, none refused: approval is suggested. A refusal never is.
    pub approve: bool,
}

/// Who decided what before on the same thing, for readers of the approval.
pub async fn advice(app: &App, op: &Op, part: &Part) -> Result<Advice> {
    approval::as_kept(app, op, &part.approval).await?;
    let AssetRef { ledger, id, .. } = &part.asset;
    let limit = &app.rules.basket.limit;
    let decided = app.store.parts_decided(*ledger, id, &part.id, limit.precedents).await?;
    let mut advice = Advice::default();
    let mut same = 0;
    for (earlier, applicant_org, title) in decided {
        let approved = earlier.phase == Phase::Approved;
        if approved {
            advice.approved += 1;
        } else {
            advice.refused += 1;
        }
        let covers = earlier.want.word() == part.want.word()
            && part.want.items().iter().all(|i| earlier.want.items().contains(i));
        if approved && covers {
            same += 1;
        }
        let answers = approval::events_of(app, &earlier.approval)
            .await?
            .into_iter()
            .filter_map(|e| match e.what {
                What::Decided { approve, .. } => Some((e.by_name, approve)),
                _ => None,
            })
            .collect();
        advice.precedents.push(Precedent {
            part: earlier.id,
            applicant_org,
            title,
            way: earlier.want.word().to_owned(),
            items: earlier.want.items().to_vec(),
            phase: earlier.phase,
            at: earlier.updated_at,
            answers,
        });
    }
    advice.approve = advice.refused == 0 && same >= limit.advice_least;
    Ok(advice)
}
