//! A data sandbox in the demo: an enterprise's agreement for use in one, the sandbox with a sample, a reviewed run and a result that is served
//! as an interface; beside it an enterprise with a bad credit record, and an application that is an OpenID Connect client and is authorised
//! by a company. Every step goes through the rooms, by the person who may do it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use app::project::sandbox::{self, ReleaseAsk, RunAsk, SandboxView};
use app::{App, authorisation, identity, restricted};
use chrono::TimeDelta;
use model::identity::{AuthorisationNew, ClientKind, ClientSettings};
use model::project::ProjectNew;
use model::restricted::UseNew;
use model::restricted::credit::CreditNew;
use model::sandbox::release::{ColumnPart, ReleaseState, ReleaseWay};
use model::sandbox::{RunKind, RunState, SandboxRun, SandboxStage};
use model::{Error, Op, Result};
use serde::Serialize;

use crate::demo::orgs::{DEBTOR, MARKET, reviewer_of};
use crate::seed::op_of;
use crate::seed_restricted;

/// A sandbox as the ready file names it.
#[derive(Clone, Debug, Serialize)]
pub struct DemoSandbox {
    pub id: String,
    pub code: String,
    /// What its released result is called by; empty where none is served.
    pub interface: String,
}

const BY: &str = "analyst";
const CODE: &str = "xuanzhi";
const ENTRY: &str = "fr_jbxx";
const ITEMS: [&str; 4] = ["tyshxydm", "qymc", "djzt", "qylx"];
const RESULT: &str = "by_state";
const SQL: &str = "select djzt, count(*) as enterprises from fr_jbxx group by djzt";
/// Days of the agreement and of the sandbox.
const AGREED: i64 = 180;
const TERM: u64 = 90;
/// A run over a few thousand rows is long over by then.
const LONGEST: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// The agreement, the sandbox and what is in it; each step is taken where it was not yet.
pub(crate) async fn sandbox(app: &Arc<App>, application: &str) -> Result<()> {
    let op = op_of(app, BY).await?;
    if restricted::mine(app, &op, None, 1).await?.items.is_empty() {
        let new = UseNew {
            entries: vec![(ENTRY.into(), ITEMS.map(str::to_owned).into())],
            application: application.to_owned(),
            purpose: "分析各类企业的分布，为商业选址提供参考".into(),
            scope: "仅在数据沙箱内使用，只取出汇总结果".into(),
            method: "sandbox".into(),
            until: Some(op.today() + TimeDelta::days(AGREED)),
            calls_per_day: 1000,
            answers: seed_restricted::answers(app),
            renews: String::new(),
        };
        seed_restricted::in_force(app, BY, new).await?;
    }
    let op = op_of(app, BY).await?;
    let id = opened(app, &op, application).await?;
    let seen = sandbox::get(app, &op, &id).await?;
    if !seen.results.iter().any(|v| v.result.name == format!("s_{ENTRY}")) {
        sandbox::sample(app, &op, &id, ENTRY).await?;
    }
    let run = match seen.runs.iter().find(|r| r.stage == SandboxStage::Production) {
        Some(run) => run.clone(),
        None => sandbox::ask_run(app, &op, &id, asked()).await?,
    };
    let run = done(app, &op, &id, run).await?;
    released(app, &op, &seen, &run.into).await
}

async fn opened(app: &Arc<App>, op: &Op, application: &str) -> Result<String> {
    let known = sandbox::list(app, op, None, 50).await?.items;
    if let Some(known) = known.into_iter().find(|line| line.code == CODE) {
        return Ok(known.id);
    }
    let new = ProjectNew {
        application: application.to_owned(),
        code: CODE.to_owned(),
        name: "商圈选址".to_owned(),
        purpose: "按登记状态统计企业，评估商圈活跃程度".to_owned(),
        entries: vec![ENTRY.to_owned()],
    };
    sandbox::create(app, op, new, TERM).await.map(|made| made.id)
}

fn asked() -> RunAsk {
    RunAsk {
        kind: RunKind::Sql,
        stage: SandboxStage::Production,
        into: RESULT.into(),
        sql: SQL.into(),
        program: String::new(),
        inputs: Vec::new(),
        reason: "需要全量企业的登记状态分布".into(),
    }
}

/// Both seats agree.
async fn agreed(app: &Arc<App>, subject: &str) -> Result<()> {
    for who in [reviewer_of(MARKET), "authority"] {
        sandbox::decide(app, &op_of(app, who).await?, subject, true, "同意").await?;
    }
    Ok(())
}

/// A run to its end.
async fn done(app: &Arc<App>, op: &Op, id: &str, mut run: SandboxRun) -> Result<SandboxRun> {
    if run.state == RunState::Asked {
        agreed(app, &run.id).await?;
        run.state = RunState::Ready;
    }
    if matches!(run.state, RunState::Ready | RunState::Failed) {
        run = sandbox::begin(app, op, id, &run.id).await?;
    }
    let begun = std::time::Instant::now();
    while run.state == RunState::Running && begun.elapsed() < LONGEST {
        tokio::time::sleep(LOOK).await;
        let runs = sandbox::get(app, op, id).await?.runs;
        run = runs.into_iter().find(|r| r.id == run.id).unwrap_or(run);
    }
    match run.state {
        RunState::Done => Ok(run),
        state => Err(Error::internal(format!("the run of the demo's sandbox: {state}"))),
    }
}

/// The result leaves as an interface of the application.
async fn released(app: &Arc<App>, op: &Op, seen: &SandboxView, result: &str) -> Result<()> {
    let id = &seen.view.project.id;
    let kept = seen.releases.iter().find(|r| r.state != ReleaseState::Stopped);
    let release = match kept {
        Some(release) => release.clone(),
        None => {
            let ask = ReleaseAsk {
                result: result.to_owned(),
                parts: BTreeMap::from([("enterprises".to_owned(), ColumnPart::Count)]),
                hide: true,
                way: ReleaseWay::Interface,
                reason: "供选址系统每日读取企业活跃程度".into(),
            };
            sandbox::ask_release(app, op, id, ask).await?
        }
    };
    match release.state {
        ReleaseState::Asked => agreed(app, &release.id).await,
        ReleaseState::Allowed => sandbox::publish(app, op, id, &release.id).await.map(|_| ()),
        ReleaseState::Stopped => {
            let found = release.findings.iter().map(|f| f.en.as_str()).collect::<Vec<_>>();
            Err(Error::internal(format!("a release of the demo was stopped: {}", found.join("; "))))
        }
        _ => Ok(()),
    }
}

/// An enterprise that broke the rules of use, once.
pub(crate) async fn credit(app: &App) -> Result<()> {
    let debtor = op_of(app, "debtor").await?;
    if !restricted::credit_mine(app, &debtor).await?.is_empty() {
        return Ok(());
    }
    let new = CreditNew {
        whom: app.store.org_require(DEBTOR).await?.uscc,
        rule: "超出约定的利用范围".into(),
        facts: "把获取的受限开放数据提供给第三方用于营销，经核查属实（演示）".into(),
    };
    restricted::credit_enter(app, &op_of(app, "authority").await?, new).await.map(|_| ())
}

/// The enterprise's application is a client of the identity centre, and a company has authorised it to use what is about itself.
pub(crate) async fn identity(app: &App, application: &str) -> Result<()> {
    let owner = op_of(app, "enterprise").await?;
    if identity::client_settings(app, &owner, application).await?.is_none() {
        let settings = ClientSettings {
            logouts: vec!["https://travel.example/signed-out".into()],
            ..ClientSettings::new(
                ClientKind::Confidential,
                vec!["https://travel.example/signed-in".into()],
            )
        };
        identity::set_client(app, &owner, application, settings).await?;
    }
    let subject = op_of(app, "operator").await?;
    if !authorisation::mine(app, &subject, None, 1).await?.items.is_empty() {
        return Ok(());
    }
    let new = AuthorisationNew {
        application: application.to_owned(),
        entry: ENTRY.into(),
        items: ["tyshxydm", "qymc", "djzt"].map(str::to_owned).into(),
        purpose: "核验合作商户资质".into(),
        days: 90,
    };
    authorisation::give(app, &subject, new).await.map(|_| ())
}

/// The sandboxes of the demo, for the ready file.
pub async fn listed(app: &Arc<App>) -> Result<Vec<DemoSandbox>> {
    let mut all = Vec::new();
    // In a folder of an older version there is nobody who has one.
    if app.store.user_by_name(BY).await?.is_none() {
        return Ok(all);
    }
    let op = op_of(app, BY).await?;
    for line in sandbox::list(app, &op, None, 50).await?.items {
        let releases = sandbox::get(app, &op, &line.id).await?.releases;
        let served = releases.into_iter().find(|r| r.state == ReleaseState::Served);
        let interface = served.and_then(|r| r.outlet).map(|o| o.interface).unwrap_or_default();
        all.push(DemoSandbox { id: line.id, code: line.code, interface });
    }
    Ok(all)
}
