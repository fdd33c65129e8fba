//! Dispatch (一平台调度): who may use how much, the recurring work of the platform, and what lies idle.

use serde::{Deserialize, Serialize};

use crate::code::code_list;
use crate::{Error, Result};

code_list! {
    /// What a quota is of.
    Resource {
        Calls = "calls", "调用次数（每日）", "Calls a day";
        Compute = "compute", "算力单元（每日）", "Compute units a day";
        Storage = "storage", "存储（GB）", "Storage (GB)";
    }
}

code_list! {
    /// Who holds a quota. A region's bounds those of its organisations, an organisation's those of its applications.
    HolderKind {
        Region = "region", "地区", "Region";
        Org = "org", "单位", "Organisation";
        Application = "application", "应用", "Application";
    }
}

/// Who holds a quota.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    pub kind: HolderKind,
    /// GB/T 2260 code, organisation id or application id.
    pub id: String,
}

impl Holder {
    #[must_use]
    pub fn new(kind: HolderKind, id: &str) -> Self {
        Self { kind, id: id.to_owned() }
    }
    /// `org:ID`
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", self.kind, self.id)
    }
    /// Reads what [`Holder::key`] wrote.
    pub fn parse(key: &str) -> Result<Self> {
        let parts = key.trim().split_once(':');
        let found = parts.and_then(|(kind, id)| {
            let kind = HolderKind::ALL.iter().copied().find(|k| k.as_str() == kind)?;
            (!id.is_empty() && id.len() <= 64).then(|| Self::new(kind, id))
        });
        found.ok_or_else(|| {
            let shown: String = key.chars().take(40).collect();
            Error::invalid(
                format!("`{shown}` 不是配额持有者，请写成 region:330100、org:单位编号 或 application:应用编号"),
                format!("`{shown}` is no holder of a quota: write region:330100, org:ID or application:ID"),
            )
        })
    }
}

code_list! {
    /// Recurring work of the platform.
    Job {
        Expiry = "expiry", "授权到期处理", "Expiry of grants";
        Approvals = "approvals", "审批计时与自动环节", "Timers and automatic steps of approvals";
        Notices = "notices", "订阅与提醒", "Subscriptions and reminders";
        Recovery = "recovery", "中断归集的恢复", "Recovery of interrupted collections";
        Pipelines = "pipelines", "数据管道调度", "Turns of pipelines";
        Projects = "projects", "批量共享作业", "Scheduled SQL of projects";
        Follow = "follow", "审计接收与检索同步", "Taking in of audit records, level of search";
        Exchanges = "exchanges", "文件数据交换", "Exchange of files";
        Deliveries = "deliveries", "推送任务", "Deliveries";
        Lake = "lake", "数据湖小文件整理", "Housekeeping of the lake";
        Ranking = "ranking", "台账质量月度排名", "Monthly ranking of ledgers";
        Figures = "figures", "用量与驾驶舱指标", "Use and figures of the dashboard";
        Freshness = "freshness", "目录更新时效检查", "Freshness of entries";
        Standards = "standards", "编目规范检查", "Rule packs asked of the catalogue";
        Resources = "resources", "闲置资源与存储盘点", "Idle resources and storage";
        Reconcile = "reconcile", "数据源与湖核对", "Sources compared with the lake";
        Chain = "chain", "审计链核验", "Verification of the audit chain";
        Seals = "seals", "审计链签章", "Seals over the audit chain";
        Openness = "openness", "开放数据质量测量", "Measuring of open sets' rows";
        Opening = "opening", "开放数据定期评估", "Checks of open sets that are due again";
        Reports = "reports", "报送任务的开启、催报与入湖", "Opening, reminding of and landing reports";
        Tickets = "tickets", "诉求催办与到期办结", "Reminding of tickets, closing those answered";
        Restricted = "restricted", "受限开放的时限、到期与信用记录", "Time limits and ends of restricted opening, credit record";
        Links = "links", "应用成果链接检查", "Links of what was made of open data";
        Harvests = "harvests", "目录采集", "Harvest of other catalogues";
        Logouts = "logouts", "退出登录通知应用", "Applications told that a session has ended";
    }
}

/// The last known state of a recurring job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobState {
    pub job: Job,
    pub started_at: String,
    /// `None` while it runs (or when its process died in it).
    pub ended_at: Option<String>,
    /// `ok` or `failed`; of the last one that ended.
    pub outcome: String,
    /// Things done.
    pub done: i64,
    pub note_zh: String,
    pub note_en: String,
    pub next_at: String,
    /// Failures in a row.
    pub failures: i64,
}

/// One run of a recurring job that did something, failed or was started by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobRun {
    pub id: String,
    pub job: Job,
    pub started_at: String,
    pub ended_at: String,
    pub outcome: String,
    pub done: i64,
    pub note_zh: String,
    pub note_en: String,
    pub by_name: String,
}

code_list! {
    /// What may lie idle.
    IdleKind {
        Cloud = "cloud", "云资源", "Cloud resource";
        Grant = "grant", "共享授权", "Share grant";
        Application = "application", "应用", "Application";
    }
}

/// Something that lies idle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Idle {
    pub kind: IdleKind,
    /// Asset, request or application id.
    pub thing: String,
    /// Organisation that has it.
    pub org: String,
    pub region: String,
    pub title: String,
    /// Utilisation in percent, of a cloud resource.
    pub percent: Option<i64>,
    /// Day since when (`YYYY-MM-DD`).
    pub since: String,
}

code_list! {
    /// Where a proposal to reclaim something stands.
    ReclaimState {
        Proposed = "proposed", "待确认", "Awaiting the owner";
        Confirmed = "confirmed", "已回收", "Reclaimed";
        Objected = "objected", "保留", "Kept on objection";
        Withdrawn = "withdrawn", "已撤回", "Withdrawn";
    }
}

/// A proposal to reclaim something idle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reclaim {
    pub id: String,
    pub kind: IdleKind,
    pub thing: String,
    pub org: String,
    pub region: String,
    pub title: String,
    pub percent: Option<i64>,
    pub since: String,
    pub state: ReclaimState,
    pub reason: String,
    pub proposed_by: String,
    pub proposed_by_name: String,
    pub proposed_at: String,
    /// Day by which the owner answers.
    pub due: String,
    pub answered_by_name: String,
    pub answered_at: Option<String>,
    pub answer: String,
    /// Of an objection: day until which it is kept.
    pub keep_until: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_was_written() {
        for holder in [
            Holder::new(HolderKind::Region, "330100"),
            Holder::new(HolderKind::Org, "o-1"),
            Holder::new(HolderKind::Application, "a"),
        ] {
            assert_eq!(Holder::parse(&holder.key()).unwrap(), holder);
        }
        for wrong in ["", "org", "org:", "moon:1", "地区:330100"] {
            assert!(Holder::parse(wrong).is_err(), "{wrong}");
        }
    }
}
