//! Restricted opening in the demo: an enterprise's agreement in force, and its renewal under review. Every step goes through the rooms, by
//! the person who may do it.

use app::App;
use app::restricted::{self, UseOrder};
use chrono::TimeDelta;
use futures::StreamExt as _;
use model::request::Period;
use model::restricted::{SignWay, UseAnswer, UseApplication, UseDeed, UseNew};
use model::{Op, Result};

use crate::demo::DemoRequest;
use crate::demo::orgs::reviewer_of;
use crate::seed::op_of;

/// A picture of one dot: what stands for scans and evidence in the demo.
const DOT: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\
      \x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0d\x49\x44\x41\
      \x54\x78\xda\x63\x64\xf8\xcf\x50\x0f\x00\x03\x86\x01\x80\x5a\x34\x7d\x6b\x00\x00\
      \x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

/// The agreement of a demo application by somebody from outside, once.
pub(crate) async fn agreed(app: &App, demo: &DemoRequest, application: &str) -> Result<()> {
    let op = op_of(app, demo.by).await?;
    if !restricted::mine(app, &op, None, 1).await?.items.is_empty() {
        return Ok(());
    }
    let days = match demo.new.period {
        Period::Days { days } => i64::from(days),
        _ => 90,
    };
    let new = UseNew {
        entries: vec![(demo.new.entry.clone(), demo.new.items.clone())],
        application: application.to_owned(),
        purpose: demo.new.scene.clone(),
        scope: "仅供本单位业务系统核验使用，不对外提供".into(),
        method: "interface".into(),
        until: Some(op.today() + TimeDelta::days(days)),
        calls_per_day: demo.new.calls_per_day,
        answers: answers(app),
        renews: String::new(),
    };
    let number = in_force(app, demo.by, new.clone()).await?;
    // Its renewal waits for the reviewers.
    let op = op_of(app, demo.by).await?;
    let renewal =
        UseNew { until: Some(op.today() + TimeDelta::days(days * 2)), renews: number, ..new };
    submitted(app, &op, renewal).await.map(|_| ())
}

/// Answers that let an applicant in.
pub(crate) fn answers(app: &App) -> Vec<UseAnswer> {
    let answer = |question: &str, choice: &str| UseAnswer {
        question: question.into(),
        choice: choice.into(),
        text: String::new(),
    };
    let questions = app.rules.restricted.questions.iter();
    questions
        .filter_map(|q| q.choices.iter().find(|c| !c.disqualifies).map(|c| answer(&q.id, &c.word)))
        .collect()
}

/// Applied for, reviewed together, signed by both sides; answers its number.
pub(crate) async fn in_force(app: &App, by: &str, new: UseNew) -> Result<String> {
    let op = op_of(app, by).await?;
    let a = submitted(app, &op, new).await?;
    let provider = a.entries.first().map(|e| e.provider.clone()).unwrap_or_default();
    let reviewer = reviewer_of(&provider).to_owned();
    for who in [reviewer.as_str(), "authority"] {
        let order = UseOrder::new(UseDeed::Approve, "符合受限开放条件");
        restricted::act(app, &op_of(app, who).await?, &a.number, order).await?;
    }
    for (deed, of) in
        [(UseDeed::SignUndertaking, "seal:undertaking"), (UseDeed::SignAgreement, "seal:agreement")]
    {
        attach(app, &op, &a.number, of).await?;
        sign(app, &op, &a.number, deed, SignWay::Seal).await?;
    }
    let reviewer = op_of(app, &reviewer).await?;
    sign(app, &reviewer, &a.number, UseDeed::Countersign, SignWay::Platform).await?;
    Ok(a.number)
}

/// Filled in, proved and submitted.
async fn submitted(app: &App, op: &Op, new: UseNew) -> Result<UseApplication> {
    let a = restricted::file(app, op, new).await?;
    for question in app.rules.restricted.questions.iter().filter(|q| q.evidence) {
        attach(app, op, &a.number, &question.id).await?;
    }
    restricted::act(app, op, &a.number, UseOrder::new(UseDeed::Submit, "")).await
}

async fn attach(app: &App, op: &Op, number: &str, of: &str) -> Result<()> {
    let piece: Result<bytes::Bytes> = Ok(bytes::Bytes::from_static(DOT));
    let content = futures::stream::iter([piece]).boxed();
    restricted::attach(app, op, number, of, "示例.png", content).await.map(|_| ())
}

async fn sign(app: &App, op: &Op, number: &str, deed: UseDeed, way: SignWay) -> Result<()> {
    let seen = restricted::open(app, op, number).await?;
    let order = UseOrder {
        way: Some(way),
        digest: deed
            .signs()
            .and_then(|kind| seen.application.paper(kind))
            .map(|p| p.sm3.clone())
            .unwrap_or_default(),
        confirm: app.rules.restricted.confirm.zh.clone(),
        ..UseOrder::new(deed, "")
    };
    restricted::act(app, op, number, order).await.map(|_| ())
}
