//! An application for the use of data that are open on conditions (受限开放申请): its states, and who may do what to it in each.
//!
//! ```text
//! draft ─ submit (or discard: it is gone) ─► reviewing ─ approve by every provider and the authority ─► signing ─ undertaking, agreement ─► countersigning
//!                       └─ refuse by any ─► refused          └─ not in time ─► lapsed             └─ countersign ─► in_force
//! in_force ─ its last day ─► expired     ─ a renewal comes into force ─► renewed     ─ breach ─► stopped     ─ give up ─► withdrawn
//! in_force ─ a report on use was not filed ─► suspended ─ it is accepted ─► in_force
//! ```

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::paper::{PaperKind, PaperSigner, UsePaper};
use super::report::{UseReport, UseReportState, UseTerms};
use crate::code::code_list;

code_list! {
    /// Where an application stands.
    UseState {
        Draft = "draft", "填写中", "Being filled in";
        Reviewing = "reviewing", "审核中", "Under review";
        Signing = "signing", "待申请人签署", "To be signed by the applicant";
        Countersigning = "countersigning", "待对方签署", "To be counter-signed";
        InForce = "in_force", "生效中", "In force";
        Suspended = "suspended", "已暂停", "Suspended";
        Expired = "expired", "已到期", "Expired";
        Renewed = "renewed", "已续期", "Renewed";
        Stopped = "stopped", "因违约停止", "Stopped for a breach";
        Refused = "refused", "未通过", "Refused";
        Lapsed = "lapsed", "逾期未签署", "Not signed in time";
        Withdrawn = "withdrawn", "已撤回", "Withdrawn";
    }
}

code_list! {
    /// What is done to an application.
    UseDeed {
        File = "file", "填写申请", "Filled in";
        Edit = "edit", "修改申请", "Changed";
        Discard = "discard", "删除草稿", "Discard";
        Attach = "attach", "上传材料", "Evidence uploaded";
        Submit = "submit", "提交", "Submit";
        Approve = "approve", "同意", "Approve";
        Refuse = "refuse", "不同意", "Refuse";
        Extend = "extend", "延长审核期限", "Extend the review";
        SignUndertaking = "sign_undertaking", "签署安全承诺书", "Sign the undertaking";
        SignAgreement = "sign_agreement", "签署开放利用协议", "Sign the agreement";
        Countersign = "countersign", "签署开放利用协议（对方）", "Counter-sign the agreement";
        Breach = "breach", "认定违约并停止", "Record a breach and stop";
        Report = "report", "提交使用情况报告", "File the report on use";
        AcceptReport = "accept_report", "接受使用情况报告", "Accept the report on use";
        ReturnReport = "return_report", "退回使用情况报告", "Return the report on use";
        Suspend = "suspend", "逾期未报告，暂停提供数据", "Suspended for want of a report";
        Withdraw = "withdraw", "撤回", "Withdraw";
        Renew = "renew", "续期", "Renew";
        Lapse = "lapse", "逾期失效", "Lapsed";
        Expire = "expire", "到期终止", "Expired";
    }
}

code_list! {
    /// In which part somebody acts.
    UseSide {
        Applicant = "applicant", "申请人", "Applicant";
        Provider = "provider", "数据提供单位", "Provider";
        Authority = "authority", "公共数据主管部门", "Authority";
        Platform = "platform", "平台", "Platform";
    }
}

/// One data set that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseEntry {
    pub id: String,
    pub code: String,
    pub title: String,
    /// Organisation that provides it.
    pub provider: String,
    pub provider_name: String,
    /// Identifiers of the items asked for.
    pub items: Vec<String>,
    /// Id of the share application that comes of it when the agreement comes into force.
    pub grant: String,
}

/// The answer to a question of the rule file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseAnswer {
    /// Id of the question.
    pub question: String,
    /// Word of the choice.
    pub choice: String,
    /// What the applicant adds.
    pub text: String,
}

/// A file that goes with the application: evidence for a question, or the scan of a sealed paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseFile {
    /// Id of the attachment.
    pub id: String,
    pub name: String,
    /// Id of the question, or `seal:undertaking` and the like.
    pub of: String,
    /// SHA-256 of its content.
    pub checksum: String,
    pub at: String,
    /// Account that brought it.
    pub by: String,
}

/// What a provider or the authority decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseReview {
    pub side: UseSide,
    /// The providing organisation, or the authority's.
    pub org: String,
    pub approve: bool,
    pub reason: String,
    pub by: String,
    pub by_name: String,
    pub at: String,
}

/// What somebody fills in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseNew {
    /// Codes of the data sets with the items asked for; no items: all that may be asked for.
    pub entries: Vec<(String, Vec<String>)>,
    /// Application (应用) that will call.
    pub application: String,
    pub purpose: String,
    /// Within what the data will be used.
    pub scope: String,
    /// Word of an opening method of the rule file.
    pub method: String,
    /// Last day of use.
    pub until: Option<NaiveDate>,
    pub calls_per_day: u64,
    pub answers: Vec<UseAnswer>,
    /// Number of the application that this one renews; empty: none.
    pub renews: String,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseApplication {
    pub id: String,
    pub number: String,
    pub state: UseState,
    pub entries: Vec<UseEntry>,
    /// Application (应用) that will call.
    pub application: String,
    pub application_name: String,
    /// Account that fills it in.
    pub applicant: String,
    /// Organisation of the applicant; empty for a citizen.
    pub org: String,
    /// Name of the party: of the organisation, or the citizen's.
    pub party: String,
    /// Whom the credit record is about: `uscc:…` or `account:…`.
    pub subject: String,
    /// Region of the data: whose authority reviews.
    pub region: String,
    pub purpose: String,
    pub scope: String,
    pub method: String,
    /// Last day of use.
    pub until: NaiveDate,
    pub calls_per_day: u64,
    pub answers: Vec<UseAnswer>,
    pub files: Vec<UseFile>,
    pub reviews: Vec<UseReview>,
    /// The review was extended once.
    pub extended: bool,
    /// Day by which the next step is due; while in force the last day of use.
    pub due: Option<NaiveDate>,
    pub papers: Vec<UsePaper>,
    /// Version of the rule file by which it was filed.
    pub rules: String,
    /// Why it was refused, stopped or withdrawn.
    pub reason: String,
    /// Id of the application that this one renews; empty: none.
    pub renews: String,
    pub created_at: String,
    pub submitted_at: String,
    pub decided_at: String,
    pub in_force_at: String,
    pub ended_at: String,
    /// Working days from submission to decision; -1: not decided.
    pub days: i64,
    /// What was agreed about reports on use; nothing: none are filed.
    #[serde(default)]
    pub terms: Option<UseTerms>,
    /// Reports on use, oldest first; the last one is that of the present period until it is accepted.
    #[serde(default)]
    pub reports: Vec<UseReport>,
    /// Counts up with every change.
    pub edit: u64,
}

/// Something that happened to an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseEvent {
    /// The application's `edit` after it.
    pub seq: u64,
    pub at: String,
    pub deed: UseDeed,
    pub side: UseSide,
    pub actor: String,
    pub actor_name: String,
    pub org: String,
    pub text: String,
}

impl UseDeed {
    /// The paper that it signs.
    #[must_use]
    pub fn signs(self) -> Option<PaperKind> {
        match self {
            UseDeed::SignUndertaking => Some(PaperKind::Undertaking),
            UseDeed::SignAgreement | UseDeed::Countersign => Some(PaperKind::Agreement),
            _ => None,
        }
    }
}

impl UseApplication {
    /// `KF-20261126-000012`
    #[must_use]
    pub fn number_of(day: NaiveDate, n: i64) -> String {
        format!("KF-{}-{n:06}", day.format("%Y%m%d"))
    }

    /// Providing organisations, each once, in the order of the data sets.
    #[must_use]
    pub fn providers(&self) -> Vec<&str> {
        let mut providers: Vec<&str> = Vec::new();
        for entry in &self.entries {
            if !providers.contains(&entry.provider.as_str()) {
                providers.push(&entry.provider);
            }
        }
        providers
    }

    /// Who signs the agreement with the applicant: its one provider, or, of two or more, the authority.
    #[must_use]
    pub fn counterparty(&self) -> UseSide {
        if self.providers().len() > 1 { UseSide::Authority } else { UseSide::Provider }
    }

    /// Whether every provider and the authority have agreed.
    #[must_use]
    pub fn agreed(&self) -> bool {
        let said = |side: UseSide, org: Option<&str>| {
            self.reviews
                .iter()
                .any(|r| r.approve && r.side == side && org.is_none_or(|org| r.org == org))
        };
        said(UseSide::Authority, None)
            && self.providers().iter().all(|org| said(UseSide::Provider, Some(org)))
    }

    /// A paper by its kind.
    #[must_use]
    pub fn paper(&self, kind: PaperKind) -> Option<&UsePaper> {
        self.papers.iter().find(|p| p.kind == kind)
    }

    /// Whether the applicant has signed a paper.
    #[must_use]
    pub fn signed(&self, kind: PaperKind) -> bool {
        self.paper(kind).is_some_and(|p| p.by(PaperSigner::Applicant).is_some())
    }

    /// The due day is over.
    #[must_use]
    pub fn overdue(&self, today: NaiveDate) -> bool {
        !self.state.agreed() && self.due.is_some_and(|due| due < today)
    }

    /// The report on use that is not accepted yet.
    #[must_use]
    pub fn report(&self) -> Option<&UseReport> {
        let last = self.reports.last().filter(|_| self.state.agreed());
        last.filter(|r| r.state != UseReportState::Accepted)
    }

    /// The report on use that the party has to file.
    #[must_use]
    pub fn awaited(&self) -> Option<&UseReport> {
        self.report().filter(|r| r.awaited())
    }

    /// How many reports on use were accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.reports.iter().filter(|r| r.state == UseReportState::Accepted).count()
    }

    /// What one may do to it now. `org`: the organisation of a provider that acts.
    #[must_use]
    pub fn deeds(&self, side: UseSide, org: &str) -> Vec<UseDeed> {
        use UseDeed::{
            Approve, Attach, Breach, Countersign, Discard, Edit, Expire, Extend, Lapse, Refuse,
            Renew, SignAgreement, SignUndertaking, Submit, Suspend, Withdraw,
        };
        use UseState::{Countersigning, Draft, InForce, Reviewing, Signing, Suspended};
        let reviewed = |side: UseSide| {
            self.reviews
                .iter()
                .any(|r| r.side == side && (side == UseSide::Authority || r.org == org))
        };
        let provides = self.providers().contains(&org);
        match (side, self.state) {
            (UseSide::Applicant, Draft) => vec![Edit, Attach, Submit, Discard],
            (UseSide::Applicant, Reviewing | Countersigning) => vec![Withdraw],
            (UseSide::Applicant, Signing) if self.signed(PaperKind::Undertaking) => {
                vec![SignAgreement, Withdraw]
            }
            (UseSide::Applicant, Signing) => vec![SignUndertaking, Withdraw],
            (UseSide::Applicant, InForce) => self.with_report(side, vec![Renew, Withdraw]),
            (UseSide::Applicant, Suspended) => self.with_report(side, vec![Withdraw]),
            (UseSide::Applicant, UseState::Expired) => vec![Renew],
            (UseSide::Provider, _) if !provides => Vec::new(),
            (UseSide::Provider, Reviewing) if !reviewed(UseSide::Provider) => vec![Approve, Refuse],
            (UseSide::Authority, Reviewing) => {
                let mut deeds = Vec::new();
                if !reviewed(UseSide::Authority) {
                    deeds.extend([Approve, Refuse]);
                }
                if !self.extended {
                    deeds.push(Extend);
                }
                deeds
            }
            (UseSide::Provider | UseSide::Authority, Countersigning)
                if side == self.counterparty() =>
            {
                vec![Countersign]
            }
            (UseSide::Provider | UseSide::Authority, InForce | Suspended) => {
                self.with_report(side, vec![Breach])
            }
            (UseSide::Platform, Signing | Countersigning) => vec![Lapse],
            (UseSide::Platform, InForce) if self.awaited().is_some() => vec![Expire, Suspend],
            (UseSide::Platform, InForce | Suspended) => vec![Expire],
            _ => Vec::new(),
        }
    }

    /// These deeds, and what a side may do to the report on use.
    fn with_report(&self, side: UseSide, mut deeds: Vec<UseDeed>) -> Vec<UseDeed> {
        match (side, self.report().map(|r| r.state)) {
            (UseSide::Applicant, Some(UseReportState::Open | UseReportState::Returned)) => {
                deeds.push(UseDeed::Report);
            }
            (UseSide::Provider | UseSide::Authority, Some(UseReportState::Filed)) => {
                deeds.extend([UseDeed::AcceptReport, UseDeed::ReturnReport]);
            }
            _ => {}
        }
        deeds
    }
}

impl UseState {
    /// Both have signed, and it is not over.
    #[must_use]
    pub fn agreed(self) -> bool {
        matches!(self, UseState::InForce | UseState::Suspended)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn application(state: UseState, providers: &[&str]) -> UseApplication {
        UseApplication {
            id: "a".into(),
            number: "KF-20260302-000001".into(),
            state,
            entries: providers
                .iter()
                .map(|p| UseEntry {
                    id: format!("e-{p}"),
                    code: format!("c_{p}"),
                    title: "数据".into(),
                    provider: (*p).into(),
                    provider_name: (*p).into(),
                    items: vec!["id".into()],
                    grant: format!("g-{p}"),
                })
                .collect(),
            application: "app".into(),
            application_name: "应用".into(),
            applicant: "u".into(),
            org: "o".into(),
            party: "公司".into(),
            subject: "uscc:1".into(),
            region: "330000".into(),
            purpose: "研究".into(),
            scope: "内部".into(),
            method: "interface".into(),
            until: "2026-12-31".parse().unwrap(),
            calls_per_day: 100,
            answers: Vec::new(),
            files: Vec::new(),
            reviews: Vec::new(),
            extended: false,
            due: None,
            papers: Vec::new(),
            rules: "1".into(),
            reason: String::new(),
            renews: String::new(),
            created_at: String::new(),
            submitted_at: String::new(),
            decided_at: String::new(),
            in_force_at: String::new(),
            ended_at: String::new(),
            days: -1,
            terms: None,
            reports: Vec::new(),
            edit: 1,
        }
    }

    fn agrees(side: UseSide, org: &str) -> UseReview {
        UseReview {
            side,
            org: org.into(),
            approve: true,
            reason: String::new(),
            by: String::new(),
            by_name: String::new(),
            at: String::new(),
        }
    }

    fn words(a: &UseApplication, side: UseSide, org: &str) -> String {
        a.deeds(side, org).iter().map(|d| d.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_side_has_its_own_part_in_each_state() {
        let check = |state, side, expected: &str| {
            assert_eq!(words(&application(state, &["p"]), side, "p"), expected, "{state} {side}");
        };
        check(UseState::Draft, UseSide::Applicant, "edit attach submit discard");
        check(UseState::Draft, UseSide::Provider, "");
        check(UseState::Reviewing, UseSide::Applicant, "withdraw");
        check(UseState::Reviewing, UseSide::Provider, "approve refuse");
        check(UseState::Reviewing, UseSide::Authority, "approve refuse extend");
        check(UseState::Signing, UseSide::Applicant, "sign_undertaking withdraw");
        check(UseState::Signing, UseSide::Provider, "");
        check(UseState::Signing, UseSide::Platform, "lapse");
        check(UseState::Countersigning, UseSide::Provider, "countersign");
        check(UseState::Countersigning, UseSide::Authority, "");
        check(UseState::InForce, UseSide::Applicant, "renew withdraw");
        check(UseState::InForce, UseSide::Provider, "breach");
        check(UseState::InForce, UseSide::Authority, "breach");
        check(UseState::InForce, UseSide::Platform, "expire");
        for over in [UseState::Stopped, UseState::Refused, UseState::Lapsed, UseState::Withdrawn] {
            for side in UseSide::ALL {
                check(over, *side, "");
            }
        }
        let other = application(UseState::Reviewing, &["p"]);
        assert_eq!(words(&other, UseSide::Provider, "q"), "", "a stranger provides nothing");
    }

    #[test]
    fn a_report_is_filed_by_the_party_and_decided_by_the_other_side() {
        let check = |state, report, expected: [&str; 4]| {
            let mut a = application(state, &["p"]);
            let from = "2026-03-02".parse().unwrap();
            a.reports.push(UseReport { state: report, ..UseReport::open(1, from, from, from) });
            let told = UseSide::ALL.iter().map(|side| words(&a, *side, "p")).collect::<Vec<_>>();
            assert_eq!(told, expected, "{state} {report}");
        };
        let decide = "breach accept_report return_report";
        check(
            UseState::InForce,
            UseReportState::Open,
            ["renew withdraw report", "breach", "breach", "expire suspend"],
        );
        check(
            UseState::InForce,
            UseReportState::Filed,
            ["renew withdraw", decide, decide, "expire"],
        );
        check(UseState::Suspended, UseReportState::Filed, ["withdraw", decide, decide, "expire"]);
        check(
            UseState::Suspended,
            UseReportState::Returned,
            ["withdraw report", "breach", "breach", "expire"],
        );
        check(UseState::Expired, UseReportState::Open, ["renew", "", "", ""]);
    }

    #[test]
    fn two_providers_both_agree_and_the_authority_signs() {
        let mut a = application(UseState::Reviewing, &["p", "q", "p"]);
        assert_eq!(a.providers(), ["p", "q"]);
        assert_eq!(a.counterparty(), UseSide::Authority);
        a.reviews.push(agrees(UseSide::Provider, "p"));
        a.reviews.push(agrees(UseSide::Authority, "bureau"));
        assert!(!a.agreed(), "one provider has not spoken");
        assert_eq!(words(&a, UseSide::Provider, "p"), "");
        assert_eq!(words(&a, UseSide::Provider, "q"), "approve refuse");
        a.reviews.push(agrees(UseSide::Provider, "q"));
        assert!(a.agreed());
        a.state = UseState::Countersigning;
        assert_eq!(words(&a, UseSide::Provider, "p"), "");
        assert_eq!(words(&a, UseSide::Authority, ""), "countersign");
    }
}
