//! A project of batch sharing in the demo: the service team's, over what its application is granted by SQL, with a scheduled job that
//! has run once. Every step goes through the rooms, by the person who may do it.

use std::sync::Arc;

use app::App;
use app::project;
use model::Result;
use model::project::ProjectNew;
use serde::Serialize;

use crate::seed::op_of;

/// A project as the ready file names it.
#[derive(Clone, Debug, Serialize)]
pub struct DemoProject {
    pub id: String,
    pub code: String,
    /// A job of its own.
    pub job: String,
}

const CODE: &str = "bianmin";
const JOB: &str = "by_state";
const TEXT: &str = "name = \"by_state\"\ntitle = \"企业按登记状态统计\"\nsql = \"\"\"\nselect djzt, count(*) as enterprises, min(clrq) as earliest\nfrom fr_jbxx\ngroup by djzt\n\"\"\"\nschedule = \"0 6 * * *\"\ntimeout = \"10m\"\n\n[retry]\ntimes = 2\nfirst = \"30s\"\nlongest = \"10m\"\n";

/// Opens the project and saves its job, once.
pub(crate) async fn project(app: &Arc<App>, application: &str) -> Result<()> {
    let consumer = op_of(app, "consumer").await?;
    let known = project::list(app, &consumer, None, 50).await?.items;
    if known.iter().any(|v| v.project.code == CODE) {
        return Ok(());
    }
    let offers = project::offers(app, &consumer).await?;
    let granted = offers.into_iter().find(|o| o.application.id == application);
    let entries = granted.map(|o| o.tables).unwrap_or_default();
    let new = ProjectNew {
        application: application.to_owned(),
        code: CODE.to_owned(),
        name: "便民办事分析".to_owned(),
        purpose: "分析企业与群众办事情况，改进便民服务".to_owned(),
        entries: entries.into_iter().map(|(code, _)| code).collect(),
    };
    let made = project::create(app, &consumer, new).await?;
    project::save(app, &consumer, &made.id, TEXT, 0).await?;
    project::run_now(app, &consumer, &made.id, JOB).await.map(|_| ())
}

/// The projects of the service team, for the ready file.
pub async fn listed(app: &App) -> Result<Vec<DemoProject>> {
    let consumer = op_of(app, "consumer").await?;
    let known = project::list(app, &consumer, None, 50).await?.items;
    let named = |view: project::ProjectView| DemoProject {
        id: view.project.id,
        code: view.project.code,
        job: JOB.to_owned(),
    };
    Ok(known.into_iter().map(named).collect())
}
