//! Channels of the demo: a pipeline from a department's folder, an exchange of files, a monthly report of which one part is
//! accepted, one waits and one was returned, so that the pages of collection have something to show. Every step goes through the
//! rooms, by the person who may do it.

use std::path::Path;
use std::sync::Arc;

use app::report::{self, Typed};
use app::{App, exchange, pipeline};
use chrono::{Datelike, Days, NaiveDate};
use model::exchange::{ExchangeNew, ExchangeWay};
use model::report::{Every, PlanNew, Task, TotalRule};
use model::{Error, Op, Result};

use crate::demo::fed::{INSPECTIONS, PRICES, WATER};
use crate::demo::orgs::{AUTHORITY, CITY, MARKET, WATERWORKS};
use crate::demo::subject::MARK;
use crate::seed::op_of;

/// Makes the channels, once each.
pub(crate) async fn channels(app: &Arc<App>) -> Result<()> {
    inspections(app).await?;
    prices(app).await?;
    water(app).await
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::internal(format!("cannot write {}", path.display())).caused_by(e)
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

/// Three files a system leaves in its department's folder; the pipeline takes each once and tidies the results' words.
async fn inspections(app: &Arc<App>) -> Result<()> {
    let op = op_of(app, "provider").await?;
    if pipeline::named(app, &op, INSPECTIONS).await.is_ok() {
        return Ok(());
    }
    let folder = app.folders.exchange.join(MARKET).join("inspections");
    for back in 1_u64..=3 {
        let day = op.today() - Days::new(back);
        let mut text =
            String::from("检查编号,统一社会信用代码,检查日期,检查结果,行政区划代码,数据标注\n");
        for n in 0..40_u32 {
            let no = u64::from(n) + back * 40;
            let result = ["合格", "合格", "合格", " 责令改正", "立案查处 "];
            let result = result.get(n as usize % result.len()).copied().unwrap_or("合格");
            let firm = crate::demo::subject::credit_code("91", "330106", 700_000 + no);
            text.push_str(&format!(
                "JC{}{n:03},{firm},{day},{result},330106,合成数据\n",
                day.format("%Y%m%d")
            ));
        }
        write(&folder.join(format!("{day}.csv")), &text)?;
    }
    let file = format!(
        "name = \"{INSPECTIONS}\"\ntitle = \"双随机检查结果\"\nentry = \"{INSPECTIONS}\"\nmode = \"incremental\"\nempty = \"allow\"\n\
         max_bad_ratio = 0.01\n\n[source]\nkind = \"folder\"\nurl = \"file://{}/\"\npattern = \"*.csv\"\n\n\
         [transform]\nsql = \"\"\"\nSELECT jcbh, tyshxydm, jcrq, trim(jcjg) AS jcjg, xzqh, sjbz\nFROM source\n\"\"\"\n\n\
         [schedule]\ncron = \"*/10 * * * *\"\n",
        folder.display()
    );
    let made = pipeline::create(app, &op, &file).await?;
    pipeline::run_now(app, &op, &made.pipeline.id).await?;
    Ok(())
}

/// A market's daily file with its done-file; it is taken, receipted and archived.
async fn prices(app: &Arc<App>) -> Result<()> {
    let op = op_of(app, "provider").await?;
    if exchange::named(app, &op, "批发市场价格").await.is_ok() {
        return Ok(());
    }
    let folder = app.folders.exchange.join(MARKET).join("prices");
    for back in 1_u64..=2 {
        let day = op.today() - Days::new(back);
        let mut text = String::from("品种,价格日期,平均价格,交易量,数据标注\n");
        for (n, goods) in
            ["大米", "面粉", "青菜", "番茄", "土豆", "鸡蛋", "猪肉"].iter().enumerate()
        {
            text.push_str(&format!(
                "{goods},{day},{}.{}0,{},合成数据\n",
                3 + n * 2,
                back,
                900 + n * 130
            ));
        }
        let name = format!("prices-{day}.csv");
        write(&folder.join(&name), &text)?;
        let told =
            serde_json::json!({ "rows": 7, "sha256": guard::hash::sha256_hex(text.as_bytes()) });
        write(&folder.join(format!("{name}.done")), &told.to_string())?;
    }
    let new = ExchangeNew {
        name: "批发市场价格".into(),
        way: Some(ExchangeWay::In),
        peer: "杭州演示批发市场".into(),
        entry: PRICES.into(),
        place: folder.display().to_string(),
        pattern: "*.csv".into(),
        ..ExchangeNew::default()
    };
    exchange::create(app, &op, new).await?;
    exchange::tick(app).await?;
    Ok(())
}

/// The month's report: the waterworks has handed in, the city is typing.
async fn water(app: &Arc<App>) -> Result<()> {
    let op = op_of(app, AUTHORITY).await?;
    if !report::forms(app, &op, None, 1).await?.items.is_empty() {
        return Ok(());
    }
    let mut form = report::offer(app, &op, WATER).await?;
    form.guide = "数据填到用水类型；市级数应等于所属供水单位之和。".into();
    form.guide_en = "By kind of use; a city's figures are the sums of its waterworks'.".into();
    form.total_by = vec!["yslx".into()];
    for field in &mut form.fields {
        if let "gsl" | "yhs" = field.id() {
            (field.total, field.required, field.least) = (TotalRule::Sum, true, "0".into());
        }
    }
    let made = report::create(app, &op, form).await?;
    let made = report::publish(app, &op, &made.id, made.edit).await?;
    let new = PlanNew {
        form: made.id,
        title: "公共供水情况月报".into(),
        every: Every::Month,
        first: month_before(op.today()),
        due_days: 5,
        due: None,
        orgs: vec![CITY.into(), WATERWORKS.into()],
    };
    let plan = report::issue(app, &op, new).await?;
    let (_, _, rows) = report::roll_up(app, &op, &plan.id, None).await?;
    let task = |org: &str| rows.iter().map(|row| &row.task).find(|t| t.org == org);
    if let Some(task) = task(WATERWORKS) {
        let op = op_of(app, WATERWORKS).await?;
        let kept =
            fill(app, &op, task, &[("居民", "812.50", "310200"), ("工业", "455.20", "1890")])
                .await?;
        report::submit(app, &op, &kept.id, kept.version, &[]).await?;
    }
    if let Some(task) = task(CITY) {
        let op = op_of(app, "city").await?;
        fill(app, &op, task, &[("居民", "812.50", "310200"), ("工业", "", "1890")]).await?;
    }
    Ok(())
}

/// The month before a day's.
fn month_before(day: NaiveDate) -> String {
    let last = day.with_day(1).unwrap_or(day) - Days::new(1);
    last.format("%Y-%m").to_string()
}

/// Types rows of use, supply and households into a task.
async fn fill(app: &App, op: &Op, task: &Task, rows: &[(&str, &str, &str)]) -> Result<Task> {
    let view = report::task(app, op, &task.id).await?;
    let add = Typed { add: rows.len() as u64, ..Typed::default() };
    let saved = report::save_draft(app, op, &task.id, view.task.version, add).await?;
    let page = report::rows(app, op, &task.id, None, 1).await?;
    let place = |field: &str| view.form.draft.place(field).unwrap_or_default();
    let cells = page.rows.iter().zip(rows).flat_map(|((n, _), (kind, supply, households))| {
        [("yslx", kind), ("gsl", supply), ("yhs", households), ("sjbz", &MARK)]
            .map(|(field, text)| (*n, place(field), (*text).to_owned()))
    });
    let typed = Typed { cells: cells.collect(), ..Typed::default() };
    Ok(report::save_draft(app, op, &task.id, saved.task.version, typed).await?.task)
}
