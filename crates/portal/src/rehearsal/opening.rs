//! Made-up plans, risk checks, contests and news for the pages that show them.

use app::contest::{ContestSeen, JudgedWork, MyTeam, RoundSeen, WorkSeen};
use app::opening::{LineSeen, PlanFigures, PlanSeen};
use minijinja::{Value, context};
use model::code::{Grade, OpenType};
use model::contest::{
    Award, Contest, ContestState, Place, Round, RoundPhase, Score, ScoreItem, Track, Work, WorkFile,
};
use model::news::{News, NewsKind, NewsNew, NewsState, blocks};
use model::openplan::{
    Assessment, AssessmentState, Ground, OpenPlan, OpenPlanState, PlanLine, PlanLineState, Recheck,
    RiskFinding, RiskWeight, Withdrawal,
};

use super::AT;
use crate::view::value;

const TEXT: &str = "## 停车场 <b>\n- 停车场 <b>\n<script>alert(1)</script>";

fn line(full: bool) -> PlanLine {
    PlanLine {
        code: if full { "parking".into() } else { String::new() },
        title: "停车场 <b>".into(),
        attribute: if full { OpenType::Unconditional } else { OpenType::None },
        ground: (!full).then_some(Ground::Privacy),
        basis: "停车场 <b>".into(),
        due: "2026-06-30".parse().unwrap_or_default(),
    }
}

fn plan(full: bool) -> PlanSeen {
    let lines = vec![line(true), line(false)];
    let seen = |line: &PlanLine| LineSeen {
        state: if full { PlanLineState::Open } else { PlanLineState::Planned },
        late: !full,
        assessment: full.then(|| "a1".into()),
        line: line.clone(),
    };
    PlanSeen {
        lines: lines.iter().map(seen).collect(),
        plan: OpenPlan {
            id: "p1".into(),
            year: 2026,
            org: "o1".into(),
            region: "330000".into(),
            state: OpenPlanState::Agreed,
            lines,
            writer: "u1".into(),
            created_at: AT.into(),
            submitted_by: "u1".into(),
            submitted_at: AT.into(),
            decided_by: "li".into(),
            decided_at: AT.into(),
            reason: if full { "停车场 <b>".into() } else { String::new() },
            edit: 3,
        },
        figures: PlanFigures { lines: 2, open: 1, late: usize::from(!full) },
        may_edit: full,
        may_decide: full,
    }
}

fn assessment(full: bool) -> Assessment {
    let finding = |weight, reason: &str| RiskFinding {
        rule: "grade".into(),
        item: "id".into(),
        weight,
        zh: "停车场 <b>".into(),
        en: "停车场 <b>".into(),
        reason: reason.into(),
    };
    Assessment {
        id: "a1".into(),
        entry: "e1".into(),
        code: "parking".into(),
        title: "停车场 <b>".into(),
        org: "o1".into(),
        region: "330000".into(),
        version: 2,
        rules: "2026-1".into(),
        openness: String::new(),
        wanted: OpenType::Unconditional,
        grade: Grade::L2,
        rows: 1_200,
        whole: full,
        k: 5,
        smallest: 1,
        below: 3,
        unique: 1,
        columns: if full { vec!["csrq".into()] } else { Vec::new() },
        findings: if full {
            vec![finding(RiskWeight::Reason, ""), finding(RiskWeight::Fine, TEXT)]
        } else {
            Vec::new()
        },
        state: AssessmentState::Found,
        at: AT.into(),
        by: "u1".into(),
        by_name: "李".into(),
        submitted_by: String::new(),
        submitted_at: String::new(),
        decided_by: "李".into(),
        decided_at: if full { AT.into() } else { String::new() },
        decision: TEXT.into(),
        edit: 1,
    }
}

fn withdrawal() -> Withdrawal {
    Withdrawal {
        entry: "e1".into(),
        code: "parking".into(),
        title: "停车场 <b>".into(),
        title_en: String::new(),
        org: "o1".into(),
        region: "330000".into(),
        note: TEXT.into(),
        note_en: String::new(),
        by: "李".into(),
        asked_at: AT.into(),
        since: AT.into(),
    }
}

fn recheck(full: bool) -> Recheck {
    Recheck {
        entry: "e1".into(),
        code: "parking".into(),
        title: "停车场 <b>".into(),
        org: "o1".into(),
        region: "330000".into(),
        assessed_at: if full { AT.into() } else { String::new() },
        opened_at: AT.into(),
    }
}

fn work(showcase: &str) -> Work {
    Work {
        id: if showcase.is_empty() { "w1".into() } else { "w2".into() },
        contest: "c1".into(),
        team: "t1".into(),
        team_name: "停车场 <b>".into(),
        round: 0,
        track: 0,
        title: "停车场 <b>".into(),
        text: TEXT.into(),
        link: "https://example.cn/?a=1&b=2".into(),
        sets: vec![("e1".into(), "parking".into())],
        at: AT.into(),
        advanced: !showcase.is_empty(),
        showcase: showcase.into(),
        files: vec![work_file()],
        shared: showcase.is_empty(),
        edit: 1,
    }
}

fn work_file() -> WorkFile {
    WorkFile {
        id: "f1".into(),
        name: "停车场 <b>.pdf".into(),
        media: "application/pdf".into(),
        bytes: 1_024,
        checksum: "0f".into(),
        at: AT.into(),
        by: "u1".into(),
    }
}

fn contest(full: bool) -> ContestSeen {
    let contest = Contest {
        id: "c1".into(),
        state: if full { ContestState::Public } else { ContestState::Draft },
        region: "330000".into(),
        title: "停车场 <b>".into(),
        title_en: "Contest".into(),
        text: TEXT.into(),
        text_en: String::new(),
        tracks: vec![Track { name: "民生".into(), name_en: "Living".into() }],
        items: vec![ScoreItem {
            name: "创新".into(), name_en: "New".into(), weight: 1, most: 100
        }],
        rounds: vec![Round {
            name: "初赛".into(),
            name_en: "First".into(),
            opens: "2026-03-01".parse().unwrap_or_default(),
            until: "2026-03-31".parse().unwrap_or_default(),
            public: true,
            closed_at: if full { AT.into() } else { String::new() },
        }],
        judges: vec![("u2".into(), "停车场 <b>".into())],
        awards: vec![Award {
            name: "一等奖".into(),
            name_en: "First prize".into(),
            work: "w1".into(),
            team: "t1".into(),
        }],
        writer: "u1".into(),
        created_at: AT.into(),
        edit: 2,
    };
    let place = Place { work: "w1".into(), rank: 1, tied: true, result: 7_501, judges: 2 };
    let seen = WorkSeen {
        work: work(""),
        sets: vec![("parking".into(), "停车场 <b>".into(), String::new())],
        place: full.then_some(place),
        awards: vec![("一等奖".into(), String::new())],
        words: vec![TEXT.into()],
        files: vec![work_file()],
    };
    ContestSeen {
        rounds: vec![RoundSeen {
            number: 0,
            phase: if full { RoundPhase::Closed } else { RoundPhase::Entering },
            entered: 1,
            works: if full { vec![seen] } else { Vec::new() },
        }],
        teams: 1,
        team: full.then(|| MyTeam {
            name: "停车场 <b>".into(),
            leads: true,
            members: vec!["停车场 <b>".into()],
            round: 0,
            works: vec![work(""), work("s1")],
        }),
        judges: full,
        keeps: full,
        entering: Some(0),
        may_form: !full,
        may_join: !full,
        contest,
    }
}

fn news(full: bool) -> News {
    News {
        id: "n1".into(),
        kind: NewsKind::Policy,
        state: if full { NewsState::Public } else { NewsState::Withdrawn },
        region: "330100".into(),
        org: "o1".into(),
        title: "停车场 <b>".into(),
        title_en: String::new(),
        text: TEXT.into(),
        text_en: String::new(),
        number: "停车场 <b>".into(),
        day: "2026-03-02".parse().unwrap_or_default(),
        files: if full {
            vec![("f1".into(), "停车场 <b>.pdf".into(), 1_024)]
        } else {
            Vec::new()
        },
        writer: "u1".into(),
        created_at: AT.into(),
        updated_at: AT.into(),
        reason: if full { String::new() } else { TEXT.into() },
        edit: 1,
    }
}

/// What a page of opening, contests or news shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let list = |v: Value| if full { vec![v] } else { Vec::new() };
    let orgs = || vec![context! { id => "o1" }];
    let regions = || vec![context! { code => "330100", level => "city" }];
    let form = || {
        context! {
            title => "停车场 <b>", title_en => "x", text => TEXT, text_en => "", tracks => TEXT,
            items => TEXT, rounds => TEXT, judges => TEXT,
        }
    };
    plans_of(template, full).or_else(|| {
        Some(match template {
            "site/contests.html" => context! {
                rows => list(value(contest(full).contest)), first => full, today => "2026-03-02",
            },
            "site/contest.html" => {
                let view = contest(full);
                context! {
                    view => value(&view), contest => value(&view.contest), blocks => value(blocks(TEXT)),
                    code => full.then_some("停车场 <b>"), most => 5, bytes => 20_971_520, kinds => "pdf、zip",
                }
            }
            "console/contests.html" => context! {
                rows => list(value(contest(full).contest)), keeps => full,
                judged => list(value(contest(full).contest)),
            },
            "console/contest_form.html" => context! {
                form => form(), action => "/console/contests/new", seen => (),
            },
            "console/contest.html" => {
                let view = contest(full);
                context! {
                    view => value(&view), contest => value(&view.contest), form => form(),
                    action => "/console/contests/c1", seen => 2,
                }
            }
            "console/contest_works.html" => {
                let score = Score {
                    work: "w1".into(),
                    judge: "u2".into(),
                    judge_name: "李".into(),
                    points: vec![80],
                    words: TEXT.into(),
                    at: AT.into(),
                };
                let judged = |may_score| JudgedWork {
                    work: work(""),
                    score: full.then(|| score.clone()),
                    may_score,
                };
                context! {
                    contest => value(contest(full).contest), works => value(vec![judged(true), judged(false)]),
                }
            }
            "site/policies.html" => context! {
                rows => list(value(news(true))), kind => (), q => full.then_some("停车"), city => full.then_some("hangzhou"),
                cities => vec![context! { value => "hangzhou", name => "杭州" }], first => full,
            },
            "site/policies.atom" => context! { rows => list(value(news(true))), updated => AT },
            "site/policy.html" => context! { news => value(news(full)), blocks => value(blocks(TEXT)) },
            "console/policies.html" => {
                context! { rows => list(value(news(full))), state => full.then_some("public") }
            }
            "console/policy_form.html" => {
                let new = NewsNew { title: "停车场 <b>".into(), text: TEXT.into(), ..NewsNew::default() };
                context! {
                    form => value(new), news => value(full.then(|| news(true))), sites => regions(),
                    action => "/console/policies/new", today => "2026-03-02",
                }
            }
            "site/search.html" => {
                let found = context! {
                    data => list(value(super::hit())), data_total => 1, data_partial => full, interfaces_partial => full,
                    interfaces => list(value(super::hit().doc)), interfaces_total => 1,
                    policies => list(value(news(true))), contests => list(value(contest(true).contest)),
                    showcases => list(context! { id => "s1", title => "停车场 <b>", text => TEXT }),
                };
                context! {
                    q => if full { "停车场 <b>" } else { "" }, only => (), found, orgs => orgs(),
                    regions => regions(), org => (), region => full.then_some("330100"),
                }
            }
            _ => return None,
        })
    })
}

fn plans_of(template: &str, full: bool) -> Option<Value> {
    let list = |v: Value| if full { vec![v] } else { Vec::new() };
    let seen = plan(full);
    Some(match template {
        "site/plans.html" => context! {
            rows => list(value(&seen)), years => vec![2026], year => full.then_some(2026), org => (), first => full,
            orgs => vec![context! { id => "o1" }], withdrawn => list(value(withdrawal())),
        },
        "site/plan.html" => context! {
            plan => value(&seen.plan), lines => value(&seen.lines), figures => value(seen.figures),
        },
        "site/withdrawn.html" => context! { of => value(withdrawal()) },
        "console/plans.html" => context! {
            rows => list(value(&seen.plan)), state => (), checks => (), keeps => full, year => "2026",
            assessments => list(value(assessment(full))), rechecks => value(vec![recheck(full)]),
            required => "2027-01-01", k => 5, older => (), partial => full,
            eligible => list(context! { code => "parking", title => "停车场 <b>", title_en => "", checks => true, withdraws => full }),
            written => full.then(|| context! { check => "<b>", withdraw => "<i>", note => "说明 <b>", note_en => "" }),
        },
        "console/plan.html" => context! {
            plan => value(&seen.plan), lines => value(&seen.lines), figures => value(seen.figures),
            may_edit => full, may_decide => full, rows => 3, written => value(&seen.plan.lines),
        },
        "console/assessment.html" => context! {
            of => value(assessment(full)), weight => if full { "reason" } else { "block" }, may_submit => true,
            may_decide => full, outdated => full, unexplained => 1,
        },
        _ => return None,
    })
}
