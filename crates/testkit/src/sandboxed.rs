//! A data sandbox in the rehearsal house: rows to bring in, a question to ask of them, and a result that left as an interface.

use std::collections::BTreeMap;
use std::time::Duration;

use app::project::sandbox::{self, ReleaseAsk, RunAsk};
use app::sharing;
use chrono::TimeDelta;
use model::account::ApplicationSecret;
use model::code::{Grade, SyncMode};
use model::project::ProjectNew;
use model::request::{Period, RequestNew};
use model::sandbox::release::{ColumnPart, ReleaseState, ReleaseWay, SandboxRelease};
use model::sandbox::{RunKind, RunState, SandboxStage};

use crate::{House, person_draft};

/// How many people live in each district of [`sandbox_people`], with names for the districts.
pub const BY_AREA: &str = "select case region_code when '330106' then '西湖区' when '330102' then '上城区' else '宁波市' end as area, count(*) as n from renkou group by 1";

/// Looks at a run until it has ended, and the pause between two of them.
const LOOKS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// A result of a sandbox that is served.
#[derive(Clone, Debug)]
pub struct ServedRelease {
    /// The sandbox's application, which calls it.
    pub application: ApplicationSecret,
    /// The sandbox.
    pub project: String,
    pub release: SandboxRelease,
}

/// Six people in one district, five in another, two in a third, as a file for [`person_draft`].
#[must_use]
pub fn sandbox_people() -> String {
    let mut text = "sfzh,xm,sjh,csrq,region_code\n".to_owned();
    let mut number = 0;
    for (region, many) in [("330106", 6), ("330102", 5), ("330200", 2)] {
        for _ in 0..many {
            number += 1;
            let first = format!("33010619900101{number:03}");
            let check = model::ident::citizen_check(&first).unwrap();
            text.push_str(&format!(
                "{first}{check},张三,138001380{number:02},1990-01-01,{region}\n"
            ));
        }
    }
    text
}

impl House {
    /// Rows of `renkou` counted by district in a sandbox of the consumer's, reviewed, and released as an interface by both seats. A
    /// second has gone by since.
    pub async fn served_release(&self) -> ServedRelease {
        let application = self.brought_in().await;
        let owner = self.person("consumer").await;
        let new = ProjectNew {
            application: application.application.id.clone(),
            code: "box".into(),
            name: "人口研究".into(),
            purpose: "按区统计".into(),
            entries: vec!["renkou".into()],
        };
        let project = sandbox::create(&self.app, &owner, new, 20).await.unwrap().id;
        let ask = RunAsk {
            kind: RunKind::Sql,
            stage: SandboxStage::Production,
            into: "by_area".into(),
            sql: BY_AREA.into(),
            program: String::new(),
            inputs: Vec::new(),
            reason: "按区统计人口".into(),
        };
        let run = sandbox::ask_run(&self.app, &owner, &project, ask).await.unwrap();
        self.agreed_to(&run.id).await;
        sandbox::begin(&self.app, &owner, &project, &run.id).await.unwrap();
        self.run_done(&run.id).await;
        let ask = ReleaseAsk {
            result: run.into,
            parts: BTreeMap::from([("n".to_owned(), ColumnPart::Count)]),
            hide: true,
            way: ReleaseWay::Interface,
            reason: "用于研究报告".into(),
        };
        let asked = sandbox::ask_release(&self.app, &owner, &project, ask).await.unwrap();
        self.agreed_to(&asked.id).await;
        let release = self.app.store.sandbox_release_get(&asked.id).await.unwrap().unwrap().body;
        assert_eq!(release.state, ReleaseState::Served, "{:?}", release.findings);
        self.clock.forward(TimeDelta::seconds(1));
        ServedRelease { application, project, release }
    }

    /// `renkou` with rows, and an application that is granted it by SQL.
    async fn brought_in(&self) -> ApplicationSecret {
        let (_, application) = self.application("沙箱应用").await;
        let mut draft = person_draft("renkou");
        // Plain, so that it can be asked about.
        for item in draft.items.iter_mut().filter(|i| i.identifier == "region_code") {
            item.grade = Grade::L1;
        }
        self.publish(draft).await;
        let rows = sandbox_people();
        self.collect("renkou", "people.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
        let wanted = RequestNew {
            entry: "renkou".into(),
            application: application.application.id.clone(),
            items: ["sfzh", "xm", "csrq", "region_code"].map(str::to_owned).into(),
            scene: "研究".into(),
            legal_basis: "部门职责".into(),
            period: Period::Days { days: 30 },
            calls_per_day: 1000,
            area_range: "330000".into(),
            by_sql: true,
            row_range: model::request::RowRange::default(),
        };
        let consumer = self.person("consumer").await;
        let request = sharing::apply(&self.app, &consumer, wanted).await.unwrap();
        for who in ["provider", "authority"] {
            let op = self.person(who).await;
            sharing::review(&self.app, &op, &request.id, true, "同意").await.unwrap();
        }
        application
    }

    /// Both seats agree to a run or a release.
    async fn agreed_to(&self, subject: &str) {
        for who in ["reviewer", "authority"] {
            let op = self.person(who).await;
            sandbox::decide(&self.app, &op, subject, true, "已阅").await.unwrap();
        }
    }

    /// A run, done.
    async fn run_done(&self, run: &str) {
        for _ in 0..LOOKS {
            let found = self.app.store.sandbox_run_get(run).await.unwrap().unwrap().body;
            match found.state {
                RunState::Done => return,
                RunState::Failed => panic!("the run failed: {:?}", found.error),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        panic!("the run did not end");
    }
}
