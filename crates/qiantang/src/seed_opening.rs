//! Opening as a process in the demo: a department's plan that is published, policies of the site, and a contest that is open for works.
//! Every step goes through the rooms, by the person who may do it.

use app::App;
use app::contest::{self, ContestNew};
use app::news::{self, NewsAsk};
use app::opening;
use model::code::OpenType;
use model::news::{NewsKind, NewsNew};
use model::openplan::{Ground, PlanLine};
use model::{Error, Result};

use crate::demo::orgs::MARKET;
use crate::seed::op_of;

/// Makes them, once.
pub(crate) async fn openings(app: &App) -> Result<()> {
    let authority = op_of(app, "authority").await?;
    if !news::news(app, &authority, &NewsAsk::default()).await?.items.is_empty() {
        return Ok(());
    }
    policies(app).await?;
    plan(app).await?;
    contest(app).await
}

async fn policies(app: &App) -> Result<()> {
    let authority = op_of(app, "authority").await?;
    let of = |kind, title: &str, title_en: &str, text: &str| NewsNew {
        kind: Some(kind),
        title: title.into(),
        title_en: title_en.into(),
        text: text.into(),
        ..NewsNew::default()
    };
    for new in [
        of(
            NewsKind::Notice,
            "关于编制本年度公共数据开放计划的通知",
            "Drawing up this year's opening plans",
            "各单位：\n## 编制要求\n- 逐项写明拟开放的数据集、开放属性和完成时间\n- 不予开放的，写明情形和依据\n计划经主管部门同意后向社会公布。",
        ),
        of(
            NewsKind::Interpretation,
            "开放风险评估怎么做",
            "How data are checked before they are opened",
            "数据开放前，按向公众开放时的样子读取实际数据行，检查分级、个人信息和重新识别的风险。\n## 看什么\n- 数据项的分级和脱敏\n- 值中的身份证号、手机号和银行卡号\n- 多个数据项组合后，是否有人能被单独认出",
        ),
    ] {
        let kept = news::write(app, &authority, &new).await?;
        news::publish(app, &authority, &kept.id).await?;
    }
    Ok(())
}

async fn plan(app: &App) -> Result<()> {
    let provider = op_of(app, "provider").await?;
    let year = provider.today().format("%Y").to_string();
    let due: chrono::NaiveDate =
        format!("{year}-12-31").parse().map_err(|_| Error::internal("a day of the demo"))?;
    let line = |code: &str, title: &str, attribute, ground, basis: &str| PlanLine {
        code: code.into(),
        title: title.into(),
        attribute,
        ground,
        basis: basis.into(),
        due,
    };
    let sets = opening::datasets(app, &provider, None, 999).await?.items;
    let own = provider.actor.org().unwrap_or(MARKET);
    let mut lines: Vec<PlanLine> = sets
        .iter()
        .filter(|d| d.entry.draft.org == own)
        .take(3)
        .map(|d| {
            let draft = &d.entry.draft;
            line(&draft.code, &draft.title, draft.open_type, None, "")
        })
        .collect();
    lines.push(line("", "检验检测机构名录", OpenType::Unconditional, None, ""));
    let basis = "《浙江省公共数据条例》关于禁止开放的规定";
    lines.push(line("", "投诉举报人信息", OpenType::None, Some(Ground::Privacy), basis));
    let year: i32 = year.parse().map_err(|_| Error::internal("a year of the demo"))?;
    let plan = opening::begin_plan(app, &provider, year).await?;
    opening::write_plan(app, &provider, &plan.id, lines, plan.edit).await?;
    opening::submit_plan(app, &provider, &plan.id).await?;
    let authority = op_of(app, "authority").await?;
    opening::decide_plan(app, &authority, &plan.id, true, "").await.map(|_| ())
}

async fn contest(app: &App) -> Result<()> {
    let authority = op_of(app, "authority").await?;
    let year = authority.today().format("%Y").to_string();
    let new = ContestNew {
        title: format!("{year} 年数据开放创新应用大赛"),
        title_en: format!("Open data contest {year}"),
        text: "面向社会征集用开放数据做成的应用。\n## 要求\n- 至少使用一个开放数据集\n- 作品可公开访问\n## 评审\n评委独立评分，按加权平均排名，并列的同名次。"
            .into(),
        text_en: "Applications made of open data.\n## Rules\n- use at least one open data set\n- the work can be seen by everybody"
            .into(),
        tracks: "民生服务|Living\n产业发展|Industry\n城市治理|City".into(),
        items: "创新性|Novelty|40|100\n应用价值|Use|40|100\n完成度|Completeness|20|100".into(),
        rounds: format!("初赛|First round|{year}-01-01|{year}-12-31|public"),
        judges: "provider".into(),
    };
    let contest = contest::set_up(app, &authority, new).await?;
    contest::publish(app, &authority, &contest.id).await.map(|_| ())
}
