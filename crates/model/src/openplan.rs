//! Opening as a process (开放计划): what a department promises to open in a year, the risk check before anything is opened, and the
//! public note when something is withdrawn.
//!
//! Open attributes are those of 浙江省公共数据条例 art 27; the five grounds on which data are not opened are those known of it
//! (recalled, see the rule file), so that a plan says by which one.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::code::{Grade, OpenType, code_list};
use crate::entry::EntryDraft;
use crate::{Error, Result};

code_list! {
    /// Where a yearly plan stands.
    OpenPlanState {
        Draft = "draft", "编制中", "Being drawn up";
        Submitted = "submitted", "待主管部门同意", "Awaiting the authority";
        Agreed = "agreed", "已公布", "Published";
        Returned = "returned", "已退回", "Sent back";
    }
}

code_list! {
    /// On which ground data are not opened.
    Ground {
        Security = "security", "危害或可能危害国家安全", "National security";
        Interest = "interest", "可能损害公共利益", "The public interest";
        Privacy = "privacy", "涉及个人信息、商业秘密或保密商务信息", "Personal data, trade or business secrets";
        Agreement = "agreement", "数据获取协议约定不得开放", "The agreement by which the data were acquired";
        Law = "law", "法律、法规规定不得开放", "A law or regulation";
    }
}

code_list! {
    /// How far a line of a plan is.
    PlanLineState {
        Planned = "planned", "计划中", "Planned";
        Assessed = "assessed", "已评估", "Assessed";
        Reviewed = "reviewed", "已审核", "Reviewed";
        Open = "open", "已开放", "Open";
        Refused = "refused", "不予开放", "Not opened";
        Withdrawn = "withdrawn", "已停止开放", "Withdrawn";
    }
}

code_list! {
    /// Where a risk check stands.
    AssessmentState {
        Found = "found", "待说明", "To be explained";
        Submitted = "submitted", "待审核", "Awaiting review";
        Agreed = "agreed", "已同意", "Agreed";
        Refused = "refused", "未同意", "Refused";
    }
}

code_list! {
    /// What a finding means for opening.
    RiskWeight {
        Fine = "fine", "无碍", "Fine";
        Reason = "reason", "须说明理由", "Needs a reason";
        Block = "block", "不得开放", "Blocks it";
    }
}

/// Most lines of a plan.
pub const MOST_LINES: usize = 100;

/// What a department promises: one data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    /// Code of its entry; empty while it is still to be compiled.
    pub code: String,
    pub title: String,
    /// The open attribute wanted.
    pub attribute: OpenType,
    /// Why not, when it is not to be opened.
    pub ground: Option<Ground>,
    /// By which provision, in words.
    pub basis: String,
    pub due: NaiveDate,
}

/// A department's opening plan of a year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPlan {
    pub id: String,
    pub year: i32,
    pub org: String,
    pub region: String,
    pub state: OpenPlanState,
    pub lines: Vec<PlanLine>,
    pub writer: String,
    pub created_at: String,
    pub submitted_by: String,
    pub submitted_at: String,
    pub decided_by: String,
    pub decided_at: String,
    /// Why it was sent back.
    pub reason: String,
    /// Counts up with every change.
    pub edit: u64,
}

/// What is known of the data set of a line on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineFacts {
    pub open: bool,
    /// Was open and is not any more, with a public note.
    pub withdrawn: bool,
    pub assessment: Option<AssessmentState>,
}

impl PlanLine {
    /// How far it is, by what is known of its data set.
    #[must_use]
    pub fn state(&self, facts: LineFacts) -> PlanLineState {
        if facts.open {
            return PlanLineState::Open;
        }
        if facts.withdrawn {
            return PlanLineState::Withdrawn;
        }
        if self.attribute == OpenType::None {
            return PlanLineState::Refused;
        }
        match facts.assessment {
            Some(AssessmentState::Agreed) => PlanLineState::Reviewed,
            Some(AssessmentState::Refused) => PlanLineState::Refused,
            Some(AssessmentState::Submitted) => PlanLineState::Assessed,
            Some(AssessmentState::Found) | None => PlanLineState::Planned,
        }
    }

    /// Whether it was promised for an earlier day and is not done.
    #[must_use]
    pub fn late(&self, state: PlanLineState, today: NaiveDate) -> bool {
        self.due < today
            && matches!(
                state,
                PlanLineState::Planned | PlanLineState::Assessed | PlanLineState::Reviewed
            )
    }
}

/// Checks the lines of a plan of a year: a title or code each, a due day within the year, a ground and its basis where nothing is
/// to be opened, no code twice.
pub fn check_lines(year: i32, lines: &[PlanLine]) -> Result<()> {
    let wrong = |n: usize, zh: &str, en: &str| {
        Err(Error::invalid(format!("第 {} 行：{zh}", n + 1), format!("line {}: {en}", n + 1))
            .field(format!("lines[{n}]"), zh, en))
    };
    if lines.is_empty() || lines.len() > MOST_LINES {
        return Err(Error::invalid(
            format!("计划应有 1 至 {MOST_LINES} 行"),
            format!("a plan has 1 to {MOST_LINES} lines"),
        )
        .field("lines", "请增减", "add or take away"));
    }
    for (n, line) in lines.iter().enumerate() {
        let length = line.title.chars().count();
        if !(2..=100).contains(&length) {
            return wrong(n, "名称为 2 至 100 个字", "the title has 2 to 100 characters");
        }
        if chrono::Datelike::year(&line.due) != year {
            return wrong(n, "完成时间应在计划年度内", "it is due within the year of the plan");
        }
        if line.attribute == OpenType::None {
            if line.ground.is_none() {
                return wrong(n, "禁止开放的须选择情形", "what is not opened needs its ground");
            }
            if line.basis.chars().count() < 4 {
                return wrong(
                    n,
                    "禁止开放的须写明依据的条款",
                    "what is not opened needs the provision",
                );
            }
        }
        let again = |l: &PlanLine| {
            (!line.code.is_empty() && l.code == line.code)
                || (line.code.is_empty() && l.code.is_empty() && l.title == line.title)
        };
        if lines.iter().take(n).any(again) {
            return wrong(n, "与前面的行重复", "it repeats a line above");
        }
    }
    Ok(())
}

/// One thing a risk check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskFinding {
    /// Rule of the rule file, and the item it concerns (empty: the whole set).
    pub rule: String,
    pub item: String,
    pub weight: RiskWeight,
    pub zh: String,
    pub en: String,
    /// Why it may be opened all the same, as the department says.
    pub reason: String,
}

impl RiskFinding {
    /// What tells it from the others of a check.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", self.rule, self.item)
    }
}

/// A risk check of an entry, as it was when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    pub id: String,
    pub entry: String,
    pub code: String,
    pub title: String,
    pub org: String,
    pub region: String,
    /// Version of the declaration and of the rules, and what of the declaration matters ([`openness`]).
    pub version: i64,
    pub rules: String,
    pub openness: String,
    pub wanted: OpenType,
    pub grade: Grade,
    /// Rows that were read; `whole`: all there are.
    pub rows: u64,
    pub whole: bool,
    /// Smallest class, rows in classes below k, rows that stand alone; of the combination named.
    pub k: u64,
    pub smallest: u64,
    pub below: u64,
    pub unique: u64,
    pub columns: Vec<String>,
    pub findings: Vec<RiskFinding>,
    pub state: AssessmentState,
    pub at: String,
    pub by: String,
    pub by_name: String,
    pub submitted_by: String,
    pub submitted_at: String,
    pub decided_by: String,
    pub decided_at: String,
    pub decision: String,
    /// Counts up with every change.
    pub edit: u64,
}

impl Assessment {
    /// The heaviest of its findings.
    #[must_use]
    pub fn weight(&self) -> RiskWeight {
        self.findings.iter().map(|f| f.weight).max().unwrap_or(RiskWeight::Fine)
    }

    /// Findings that need a reason and have none.
    #[must_use]
    pub fn unexplained(&self) -> usize {
        let bare = |f: &&RiskFinding| f.weight == RiskWeight::Reason && f.reason.is_empty();
        self.findings.iter().filter(bare).count()
    }
}

/// What of a declaration decides whether a check still fits it: open attributes, grades, masks and types, item by item.
#[must_use]
pub fn openness(draft: &EntryDraft) -> String {
    let mut parts = vec![draft.open_type.as_str().to_owned()];
    parts.extend(draft.items.iter().map(|i| {
        let mask = i.mask.as_ref().map(crate::mask::Mask::label).unwrap_or_default();
        format!(
            "{}|{}|{}|{}|{mask}|{}",
            i.identifier,
            i.data_type.as_str(),
            i.grade,
            i.open_type,
            i.sensitive
        )
    }));
    parts.join("\n")
}

/// How open an attribute is: 0 not, 1 on conditions, 2 to everybody.
fn width(open: OpenType) -> u8 {
    match open {
        OpenType::None => 0,
        OpenType::Restricted => 1,
        OpenType::Unconditional => 2,
    }
}

/// Whether what would be in force shows more to the public than what is (`None`: nothing is shown).
#[must_use]
pub fn opens_more(before: Option<&EntryDraft>, after: &EntryDraft) -> bool {
    let seen = |draft: &EntryDraft, item: &crate::item::Item| {
        width(draft.open_type).min(width(item.open_type))
    };
    let Some(before) = before else { return after.items.iter().any(|i| seen(after, i) > 0) };
    if width(after.open_type) > width(before.open_type) {
        return true;
    }
    after.items.iter().any(|item| {
        let was = before.item(&item.identifier).map_or(0, |i| seen(before, i));
        seen(after, item) > was
    })
}

/// Why and when a set that was open is not open any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    pub entry: String,
    pub code: String,
    pub title: String,
    pub title_en: String,
    pub org: String,
    pub region: String,
    pub note: String,
    /// The same in English; empty when the department gave none.
    pub note_en: String,
    pub by: String,
    pub asked_at: String,
    /// When it left the site; empty while the authority has not agreed.
    pub since: String,
}

/// An entry whose check is due again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recheck {
    pub entry: String,
    pub code: String,
    pub title: String,
    pub org: String,
    pub region: String,
    /// When it was last assessed; empty: never.
    pub assessed_at: String,
    pub opened_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::DataType;
    use crate::item::Item;

    fn line(code: &str, attribute: OpenType) -> PlanLine {
        PlanLine {
            code: code.into(),
            title: format!("数据集 {code}"),
            attribute,
            ground: None,
            basis: String::new(),
            due: "2026-06-30".parse().unwrap(),
        }
    }

    #[test]
    fn a_line_is_as_far_as_its_data_set() {
        let promised = line("a", OpenType::Unconditional);
        let facts = LineFacts::default();
        let with = |state| LineFacts { assessment: Some(state), ..facts };
        for (facts, state) in [
            (facts, PlanLineState::Planned),
            (with(AssessmentState::Found), PlanLineState::Planned),
            (with(AssessmentState::Submitted), PlanLineState::Assessed),
            (with(AssessmentState::Agreed), PlanLineState::Reviewed),
            (with(AssessmentState::Refused), PlanLineState::Refused),
            (LineFacts { open: true, ..facts }, PlanLineState::Open),
            (LineFacts { withdrawn: true, ..facts }, PlanLineState::Withdrawn),
        ] {
            assert_eq!(promised.state(facts), state);
        }
        let day = |d: &str| d.parse().unwrap();
        assert!(promised.late(PlanLineState::Planned, day("2026-07-01")));
        assert!(!promised.late(PlanLineState::Planned, day("2026-06-30")));
        assert!(!promised.late(PlanLineState::Open, day("2026-07-01")));
        assert_eq!(line("b", OpenType::None).state(LineFacts::default()), PlanLineState::Refused);
    }

    #[test]
    fn what_is_not_opened_names_its_ground() {
        let mut closed = line("b", OpenType::None);
        assert!(check_lines(2026, std::slice::from_ref(&closed)).is_err());
        closed.ground = Some(Ground::Privacy);
        assert!(check_lines(2026, std::slice::from_ref(&closed)).is_err(), "and the provision");
        closed.basis = "条例第三十条".into();
        check_lines(2026, std::slice::from_ref(&closed)).unwrap();
        assert!(check_lines(2027, std::slice::from_ref(&closed)).is_err(), "due in another year");
        assert!(check_lines(2026, &[closed.clone(), closed]).is_err(), "twice");
        assert!(check_lines(2026, &[]).is_err());
    }

    #[test]
    fn only_what_shows_more_opens_more() {
        let mut draft: EntryDraft = serde_json::from_value(serde_json::json!({
            "code": "a", "title": "a", "description": "", "org": "o", "region": "330000", "domain": "27",
            "kind": "table", "update_cycle": "daily", "sync_mode": "full", "share_type": "unconditional",
            "open_type": "unconditional", "items": [],
        }))
        .unwrap();
        draft.items =
            vec![Item::new("x", "甲", DataType::Text), Item::new("y", "乙", DataType::Text)];
        draft.items[1].open_type = OpenType::None;
        assert!(opens_more(None, &draft), "nothing was shown before");
        assert!(!opens_more(Some(&draft), &draft));
        let mut wider = draft.clone();
        wider.items[1].open_type = OpenType::Restricted;
        assert!(opens_more(Some(&draft), &wider) && !opens_more(Some(&wider), &draft));
        let mut closed = draft.clone();
        closed.open_type = OpenType::None;
        assert!(!opens_more(Some(&draft), &closed) && !opens_more(None, &closed));
        assert!(opens_more(Some(&closed), &draft));
        assert_ne!(openness(&draft), openness(&wider));
        let mut renamed = draft.clone();
        renamed.title = "b".into();
        assert_eq!(openness(&draft), openness(&renamed), "a new title needs no new check");
    }
}
