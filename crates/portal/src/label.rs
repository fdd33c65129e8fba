//! Words of code lists as people read them, in both languages; and the choices of select boxes.

mod site;

use model::account::Role;
use model::bounds::BoundsKind;
use model::channel::{ChannelKind, Health};
use model::code::{
    AppScene, DataKind, DataLevel, DataRange, DataType, Domain, Grade, OnlineState, OpenLevel,
    OpenType, ProcessingLevel, ProviderChannel, PublishState, ResourceKind, ShareType, SharedMode,
    SyncMode, SystemLevel, TableType, UpdateCycle,
};
use model::contest::{ContestState, RoundPhase};
use model::delivery::{
    DeliveryCause, DeliveryKind, DeliveryPace, DeliveryState, DeliveryTurnState,
};
use model::dispatch::{HolderKind, IdleKind, Job, ReclaimState, Resource};
use model::exchange::{
    Completeness, ExchangeCipher, ExchangeFormat, ExchangeSignature, ExchangeWay, FileState,
};
use model::finding::Level;
use model::halt::HaltKind;
use model::harvest::{HarvestAs, HarvestKind, HarvestState, HarvestWish};
use model::identity::{AuthorisationState, Claim, ClientKind, Scope, SubjectKind};
use model::interface::{BreakerState, How, InterfaceState, Kind as InterfaceKind, Match};
use model::news::{NewsKind, NewsState};
use model::openplan::{AssessmentState, Ground, OpenPlanState, PlanLineState, RiskWeight};
use model::outflow::OutflowState;
use model::pipeline::{TurnKind, TurnState};
use model::project::job::{RunCause, RunStage, RunState};
use model::project::{ExportFormat, ProjectRole};
use model::rail::{IncidentKind, RailBasis, RailPolicy, RailState, TableState};
use model::realname::{RealNameState, SignUpKind};
use model::reconcile::{DifferenceKind, FeedKind, ReconcileState};
use model::report::{Auto, Every, Landing, PlanState, TaskEventKind, TaskState, TotalRule};
use model::restricted::{
    PaperKind, PaperSigner, SignWay, SigningAlgorithm, UseDeed, UseReportState, UseSide, UseState,
};
use model::sandbox::release::{Check as ReleaseCheck, ColumnPart, ReleaseState, ReleaseWay};
use model::sandbox::{ExtensionState, RunKind, RunState as SandboxRun, SandboxStage};
use model::schema::{ChangeKind, DriftState, RelationKind};
use model::source::{CheckLevel, SourceKind, SourceTls};
use model::voice::showcase::{LinkState, ShowcaseKind, ShowcaseState};
use model::voice::ticket::{Deed, Side, TicketKind, TicketState};

use crate::visit::Lang;

mod audit;
mod entry;
mod fields;
mod notices;

pub(crate) use audit::audit_action;
use entry::ENTRY_FIELDS;
use fields::FORM_FIELDS;
use notices::NOTICES;

macro_rules! code_kinds {
    ($($kind:literal => $type:ident),* $(,)?) => {
        /// The word's name in this language, `None` when the list does not hold it.
        fn listed(kind: &str, word: &str, lang: Lang) -> Option<&'static str> {
            match kind {
                $($kind => $type::ALL.iter().find(|v| v.as_str() == word).map(|v| lang.of(v.zh(), v.en())),)*
                _ => other(kind).iter().find(|(w, _, _)| *w == word).map(|(_, zh, en)| lang.of(zh, en)),
            }
        }
        /// All choices of a list, `(word, name)`.
        pub(crate) fn choices(kind: &str, lang: Lang) -> Vec<(&'static str, &'static str)> {
            match kind {
                $($kind => $type::ALL.iter().map(|v| (v.as_str(), lang.of(v.zh(), v.en()))).collect(),)*
                _ => other(kind).iter().map(|(w, zh, en)| (*w, lang.of(zh, en))).collect(),
            }
        }
        #[cfg(test)]
        const CODE_KINDS: &[&str] = &[$($kind),*];
    };
}

code_kinds! {
    "share_type" => ShareType,
    "open_type" => OpenType,
    "grade" => Grade,
    "update_cycle" => UpdateCycle,
    "kind" => ResourceKind,
    "domain" => Domain,
    "publish_state" => PublishState,
    "online_state" => OnlineState,
    "data_type" => DataType,
    "sync_mode" => SyncMode,
    "data_level" => DataLevel,
    "data_range" => DataRange,
    "data_kind" => DataKind,
    "processing_level" => ProcessingLevel,
    "provider_channel" => ProviderChannel,
    "shared_mode" => SharedMode,
    "open_level" => OpenLevel,
    "table_type" => TableType,
    "app_scene" => AppScene,
    "system_level" => SystemLevel,
    "source_kind" => SourceKind,
    "source_tls" => SourceTls,
    "resource" => Resource,
    "holder" => HolderKind,
    "job" => Job,
    "idle" => IdleKind,
    "reclaim_state" => ReclaimState,
    "level" => Level,
    "relation_kind" => RelationKind,
    "change_kind" => ChangeKind,
    "drift_state" => DriftState,
    "outflow_state" => OutflowState,
    "delivery_state" => DeliveryState,
    "delivery_kind" => DeliveryKind,
    "delivery_pace" => DeliveryPace,
    "delivery_turn" => DeliveryTurnState,
    "delivery_cause" => DeliveryCause,
    "interface_kind" => InterfaceKind,
    "harvest_kind" => HarvestKind,
    "harvest_as" => HarvestAs,
    "harvest_wish" => HarvestWish,
    "harvest_state" => HarvestState,
    "interface_state" => InterfaceState,
    "interface_match" => Match,
    "chart_how" => How,
    "breaker_state" => BreakerState,
    "halt_kind" => HaltKind,
    "bounds_kind" => BoundsKind,
    "client_kind" => ClientKind,
    "client_scope" => Scope,
    "client_claim" => Claim,
    "subject_kind" => SubjectKind,
    "authorisation_state" => AuthorisationState,
    "sign_up" => SignUpKind,
    "real_name" => RealNameState,
    "channel_kind" => ChannelKind,
    "channel_health" => Health,
    "rail_state" => RailState,
    "rail_basis" => RailBasis,
    "rail_policy" => RailPolicy,
    "table_state" => TableState,
    "incident_kind" => IncidentKind,
    "exchange_way" => ExchangeWay,
    "completeness" => Completeness,
    "exchange_cipher" => ExchangeCipher,
    "exchange_signature" => ExchangeSignature,
    "exchange_format" => ExchangeFormat,
    "file_state" => FileState,
    "check_level" => CheckLevel,
    "turn_state" => TurnState,
    "turn_kind" => TurnKind,
    "project_role" => ProjectRole,
    "export_format" => ExportFormat,
    "job_run" => RunState,
    "job_cause" => RunCause,
    "job_stage" => RunStage,
    "column_part" => ColumnPart,
    "release_check" => ReleaseCheck,
    "release_state" => ReleaseState,
    "release_way" => ReleaseWay,
    "sandbox_extension" => ExtensionState,
    "run_kind" => RunKind,
    "sandbox_run" => SandboxRun,
    "sandbox_stage" => SandboxStage,
    "report_auto" => Auto,
    "report_every" => Every,
    "report_landing" => Landing,
    "report_plan" => PlanState,
    "report_event" => TaskEventKind,
    "report_task" => TaskState,
    "report_total" => TotalRule,
    "reconcile_state" => ReconcileState,
    "feed_kind" => FeedKind,
    "difference_kind" => DifferenceKind,
    "ticket_kind" => TicketKind,
    "ticket_state" => TicketState,
    "deed" => Deed,
    "ticket_side" => Side,
    "showcase_kind" => ShowcaseKind,
    "showcase_state" => ShowcaseState,
    "link_state" => LinkState,
    "use_state" => UseState,
    "use_report_state" => UseReportState,
    "use_deed" => UseDeed,
    "use_side" => UseSide,
    "paper_kind" => PaperKind,
    "paper_signer" => PaperSigner,
    "sign_way" => SignWay,
    "signing_algorithm" => SigningAlgorithm,
    "open_plan" => OpenPlanState,
    "plan_line" => PlanLineState,
    "ground" => Ground,
    "assessment" => AssessmentState,
    "risk" => RiskWeight,
    "contest" => ContestState,
    "round" => RoundPhase,
    "news_kind" => NewsKind,
    "news_state" => NewsState,
}

type Words = &'static [(&'static str, &'static str, &'static str)];

/// Lists that are not code lists of the catalogue.
fn other(kind: &str) -> Words {
    match kind {
        "request_state" => REQUEST_STATES,
        "run_state" => RUN_STATES,
        "job_standing" => JOB_STANDINGS,
        "role" => ROLES,
        "org_kind" => ORG_KINDS,
        "region_level" => REGION_LEVELS,
        "move" => MOVES,
        "request_move" => REQUEST_MOVES,
        "step" => STEPS,
        "quarantine_state" => QUARANTINE_STATES,
        "channel" => CHANNELS,
        "sort" => SORTS,
        "facet" => FACETS,
        "ledger" => LEDGERS,
        "verdict" => VERDICTS,
        "mask" => MASKS,
        "audit_result" => AUDIT_RESULTS,
        "fault" => FAULTS,
        "period" => PERIODS,
        "comparison" => COMPARISONS,
        "chart_kind" => site::CHART_KINDS,
        "chart_step" => site::CHART_STEPS,
        "defect" => site::DEFECTS,
        "dimension" => site::DIMENSIONS,
        "format" => FORMATS,
        "want" => WANTS,
        "part_state" => PART_STATES,
        "bundle_state" => BUNDLE_STATES,
        "bundle_kind" => BUNDLE_KINDS,
        "phase" => PHASES,
        "how" => HOWS,
        "push" => PUSHES,
        "approval_event" => APPROVAL_EVENTS,
        "notice" => NOTICES,
        "quality" => QUALITY,
        "entry_field" => ENTRY_FIELDS,
        "form_field" => FORM_FIELDS,
        "figure" => FIGURES,
        "part" => PARTS,
        _ => &[],
    }
}

/// The word's name, or the word itself when no list holds it.
pub(crate) fn label(kind: &str, word: &str, lang: Lang) -> String {
    listed(kind, word, lang).unwrap_or(word).to_owned()
}

/// The word's name, where a list holds it.
pub(crate) fn known(kind: &str, word: &str, lang: Lang) -> Option<&'static str> {
    listed(kind, word, lang)
}

const REQUEST_STATES: Words = &[
    ("provider-auditing", "数源单位审核中", "Provider review"),
    ("authority-auditing", "主管部门审核中", "Authority review"),
    ("approved", "已通过", "Approved"),
    ("rejected", "已驳回", "Rejected"),
    ("undone", "已撤回", "Withdrawn"),
    ("revoked", "已撤销", "Revoked"),
    ("expired", "已到期", "Expired"),
];
const RUN_STATES: Words = &[
    ("queued", "排队中", "Queued"),
    ("running", "运行中", "Running"),
    ("succeeded", "成功", "Succeeded"),
    ("failed", "失败", "Failed"),
    ("unchanged", "无变化", "Unchanged"),
];
const ROLES: Words = &[
    ("system_administrator", "系统管理员", "System administrator"),
    ("authority", "主管部门", "Public-data authority"),
    ("provider", "数据提供单位", "Data provider"),
    ("reviewer", "审核人", "Reviewer"),
    ("consumer", "数据使用单位", "Data consumer"),
    ("security_officer", "安全管理员", "Security officer"),
    ("auditor", "审计员", "Auditor"),
    ("enterprise", "企业", "Enterprise"),
    ("citizen", "公众", "Citizen"),
];
const ORG_KINDS: Words = &[
    ("state_organ", "国家机关", "State organ"),
    ("authorised_org", "法律法规授权组织", "Authorised organisation"),
    ("utility_operator", "公共服务运营单位", "Utility operator"),
    ("national_stationed", "国家驻浙机构", "National body stationed here"),
    ("enterprise", "企业", "Enterprise"),
];
const JOB_STANDINGS: Words = &[
    ("ok", "正常", "Well"),
    ("running", "运行中", "Running"),
    ("failed", "失败", "Failed"),
    ("late", "未按时", "Late"),
    ("never", "未运行过", "Never ran"),
];
const REGION_LEVELS: Words =
    &[("province", "省级", "Province"), ("city", "市级", "City"), ("county", "县级", "County")];
const MOVES: Words = &[
    ("submit", "提交发布审核", "Submit for review"),
    ("approve", "通过", "Approve"),
    ("reject", "驳回", "Reject"),
    ("put_online", "申请上线", "Put online"),
    ("take_offline", "申请下线", "Take offline"),
    ("withdraw", "撤回", "Withdraw"),
];
const REQUEST_MOVES: Words = &[
    ("approve", "通过", "Approve"),
    ("reject", "驳回", "Reject"),
    ("undo", "撤回申请", "Withdraw"),
    ("revoke", "撤销授权", "Revoke"),
];
const STEPS: Words = &[
    ("limit", "限定行范围", "Rows limited"),
    ("create", "编制", "Compiled"),
    ("edit", "修改", "Edited"),
    ("submit", "提交", "Submitted"),
    ("approve", "通过", "Approved"),
    ("reject", "驳回", "Rejected"),
    ("up", "申请上线", "Asked to go online"),
    ("down", "申请下线", "Asked to go offline"),
    ("alter", "变更", "Changed"),
    ("withdraw", "撤回", "Withdrawn"),
    ("undo", "撤回", "Withdrawn"),
    ("revoke", "撤销", "Revoked"),
    ("expire", "到期", "Expired"),
    ("move", "变更状态", "Moved"),
    ("confirm", "核对", "Confirmed"),
    ("merge", "合并", "Merged"),
    ("import", "导入", "Imported"),
];
const QUARANTINE_STATES: Words = &[
    ("open", "待处理", "Open"),
    ("replayed", "已入湖", "Replayed"),
    ("dismissed", "已放弃", "Dismissed"),
    ("source", "在源头改正", "Mend at the source"),
];
const SORTS: Words = &[
    ("relevance", "相关度", "Relevance"),
    ("data_at", "最近更新", "Recently updated"),
    ("published_at", "最近发布", "Recently published"),
    ("rows", "数据量", "Rows"),
];
const FACETS: Words = &[
    ("region", "行政区划", "Region"),
    ("org", "数源单位", "Department"),
    ("domain", "数据领域", "Domain"),
    ("format", "格式", "Format"),
    ("update_cycle", "更新周期", "Update cycle"),
    ("open_type", "开放属性", "Open attribute"),
    ("share_type", "共享属性", "Share attribute"),
    ("grade", "安全级别", "Grade"),
    ("ledger", "台账", "Ledger"),
    ("state", "状态", "State"),
];
const LEDGERS: Words = &[
    ("application", "应用", "Application"),
    ("data", "数据目录", "Data set"),
    ("item", "数据项", "Data item"),
    ("component", "组件", "Component"),
    ("cloud", "云资源", "Cloud resource"),
];
const VERDICTS: Words = &[
    ("refused", "不予立项", "Not approved"),
    ("reduced", "预算核减", "Budget reduced"),
    ("passed", "通过", "Approved"),
];
/// Masks offered in the entry form; `keep` and `generalise` carry their numbers in the word.
const MASKS: Words = &[
    ("", "按级别默认", "Default of the grade"),
    ("keep-1-0", "保留首字", "Keep the first character"),
    ("keep-3-4", "保留前 3 后 4", "Keep first 3, last 4"),
    ("keep-6-4", "保留前 6 后 4", "Keep first 6, last 4"),
    ("hash", "哈希加盐", "Salted hash"),
    ("year", "泛化到年", "Generalise to year"),
    ("month", "泛化到月", "Generalise to month"),
    ("round-10", "取整到十", "Round to tens"),
    ("round-1000", "取整到千", "Round to thousands"),
    ("blank", "置空", "Blank"),
    ("replace", "整体替换", "Replace all"),
    ("format_preserving", "保格式加密", "Format-preserving"),
];
const AUDIT_RESULTS: Words =
    &[("ok", "成功", "OK"), ("denied", "拒绝", "Denied"), ("failed", "失败", "Failed")];
const FAULTS: Words = &[
    ("altered", "被篡改", "Altered"),
    ("removed", "被删除", "Removed"),
    ("reordered", "被调换", "Reordered"),
    ("stamp", "所在签章的时间戳无效", "The time stamp of its seal is not valid"),
];
const PERIODS: Words = &[
    ("30", "30 天", "30 days"),
    ("90", "90 天", "90 days"),
    ("180", "180 天", "180 days"),
    ("long", "长期", "Long term"),
    ("until", "截至指定日期", "Until a date"),
];
const COMPARISONS: Words = &[
    ("eq", "等于", "equals"),
    ("neq", "不等于", "is not"),
    ("ilike", "包含", "contains"),
    ("gte", "不小于", "at least"),
    ("lte", "不大于", "at most"),
    ("gt", "大于", "more than"),
    ("lt", "小于", "less than"),
    ("between", "介于（含两端）", "between (both included)"),
    ("is_null", "为空", "is empty"),
];
const FORMATS: Words = &[
    ("CSV", "CSV", "CSV"),
    ("JSON", "JSON", "JSON"),
    ("XLSX", "XLSX", "XLSX"),
    ("XML", "XML", "XML"),
    ("RDF", "RDF", "RDF"),
    ("GEOJSON", "GeoJSON", "GeoJSON"),
    ("GeoJSON", "GeoJSON", "GeoJSON"),
    ("API", "接口", "API"),
];

const WANTS: Words = &[
    ("api", "接口", "Interface"),
    ("batch", "批量", "Batch"),
    ("asset", "资源使用", "Use of a resource"),
    ("need", "未编目需求", "Demand"),
    ("objection", "异议", "Objection"),
];
/// Words of `Part::state`: the state machine of share applications in real products.
const PART_STATES: Words = &[
    ("report-auditing", "受理审核中", "Intake review"),
    ("analysing", "分析论证中", "In analysis"),
    ("confirm-auditing", "数源确认中", "With the provider"),
    ("authority-auditing", "主管部门审核中", "With the authority"),
    ("coordinating", "协调中", "In coordination"),
    ("implementing", "实施中", "Being implemented"),
    ("accepting", "待申请单位确认", "Awaiting acceptance"),
    ("returned", "待补正", "Returned to complete"),
    ("closed", "已办结", "Approved and done"),
    ("reject", "已驳回", "Refused"),
    ("undone", "已撤回", "Withdrawn"),
];
const BUNDLE_STATES: Words = &[
    ("running", "办理中", "Under way"),
    ("returned", "有事项待补正", "Something to complete"),
    ("feedback-pending", "成效待反馈", "Feedback awaited"),
    ("finished", "已完成", "Finished"),
    ("closed", "已关闭", "Closed"),
];
const BUNDLE_KINDS: Words = &[
    ("share", "一揽子申请", "Application"),
    ("demand", "未编目需求", "Demand"),
    ("objection", "异议", "Objection"),
];
const PHASES: Words = &[
    ("running", "办理中", "Running"),
    ("returned", "已退回补正", "Returned"),
    ("approved", "已通过", "Approved"),
    ("refused", "已驳回", "Refused"),
    ("withdrawn", "已撤回", "Withdrawn"),
];
const HOWS: Words = &[
    ("any", "或签", "any one decides"),
    ("all", "会签", "all must approve"),
    ("sequence", "依次", "one after the other"),
    ("vote", "票决", "vote"),
];
const PUSHES: Words = &[("full", "全量", "Full"), ("incremental", "增量", "Incremental")];
const QUALITY: Words = &[
    ("stale", "久未更新的资产", "stale assets"),
    ("ownerless", "无责任人的资产", "assets without an answerable person"),
    ("orphans", "无任何关联的资产", "assets linked with nothing"),
    ("entries", "久未更新的目录", "stale entries"),
];
const APPROVAL_EVENTS: Words = &[
    ("start", "提交", "Filed"),
    ("open", "进入环节", "Step begun"),
    ("choose", "条件判断", "Way chosen"),
    ("fork", "并行开始", "Side by side"),
    ("arrive", "分支完成", "Branch done"),
    ("join", "并行汇合", "Branches met"),
    ("approve", "同意", "Approved"),
    ("refuse", "不同意", "Refused"),
    ("close", "环节办结", "Step closed"),
    ("add", "加签", "Co-signer added"),
    ("transfer", "转办", "Handed on"),
    ("delegate", "委派", "Opinion asked"),
    ("answer", "给出意见", "Opinion given"),
    ("return", "退回", "Sent back"),
    ("take_back", "收回意见", "Answer taken back"),
    ("reseat", "席位无人，转主管部门", "Nobody held the seat: to the authority"),
    ("resubmit", "补正后重新提交", "Completed and filed again"),
    ("urge", "催办", "Urged"),
    ("remind", "系统提醒", "Reminder"),
    ("escalate", "超时升级", "Escalated"),
    ("act", "自动办理", "Done by the platform"),
    ("withdraw", "撤回", "Withdrawn"),
    ("end", "办结", "Ended"),
];

const FIGURES: Words = &[
    ("entries", "目录", "Entries"),
    ("items", "数据项", "Data items"),
    ("versions", "目录版本", "Versions of entries"),
    ("organisations", "机构", "Organisations"),
    ("users", "账号", "Accounts"),
    ("applications", "应用", "Applications"),
    ("requests", "共享申请", "Share applications"),
    ("sources", "数据源", "Data sources"),
    ("runs", "归集任务", "Collection runs"),
    ("parcels", "数据包", "Parcels"),
    ("quarantined", "隔离的行", "Quarantined rows"),
];
const CHANNELS: Words = &[
    ("file", "文件", "File"),
    ("query", "数据库查询", "Query"),
    ("rail", "数据高铁", "Rail"),
    ("replay", "重放", "Replay"),
];
const PARTS: Words = &[
    ("ready", "就绪", "Ready"),
    ("store", "控制库", "Control store"),
    ("search", "检索", "Search"),
    ("audit", "审计", "Audit"),
    ("lake", "数据湖", "Lake"),
    ("inbox", "收件目录", "Inbox"),
    ("spill", "临时溢出", "Spill"),
];

/// Name of a role, for places that hold the type.
pub(crate) fn role(role: Role, lang: Lang) -> String {
    label("role", role.as_str(), lang)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::parcel::RunState;
    use model::request::RequestState;

    #[test]
    fn every_word_of_the_model_has_a_name_in_both_languages() {
        for kind in CODE_KINDS {
            assert!(!choices(kind, Lang::Zh).is_empty());
        }
        for lang in [Lang::Zh, Lang::En] {
            for state in RequestState::ALL {
                assert!(listed("request_state", state.as_str(), lang).is_some(), "{state:?}");
            }
            for phase in model::flow::Phase::ALL {
                assert!(listed("phase", phase.as_str(), lang).is_some(), "{phase:?}");
            }
            for stage in model::flow::Stage::ALL {
                assert!(listed("part_state", stage.as_str(), lang).is_some(), "{stage:?}");
            }
            for ledger in model::asset::Ledger::ALL {
                assert!(listed("ledger", ledger.as_str(), lang).is_some(), "{ledger:?}");
            }
            for kind in model::notice::KINDS {
                assert!(listed("notice", kind, lang).is_some(), "{kind}");
            }
            for r in Role::ALL {
                assert!(listed("role", r.as_str(), lang).is_some(), "{r:?}");
            }
            for word in ["queued", "running", "succeeded", "failed", "unchanged"] {
                assert!(RunState::parse(word).is_some());
                assert!(listed("run_state", word, lang).is_some());
            }
        }
        assert_eq!(label("request_state", "approved", Lang::Zh), RequestState::Approved.zh());
        assert_eq!(label("domain", "09", Lang::En), "Geospatial");
        assert_eq!(label("domain", "unheard", Lang::En), "unheard");
    }
}
