//! What people say in the demo: tickets on the way and answered, ratings with a comment, and something made of open data, so that
//! the pages of 互动交流 and 应用成果 have something to show. Every step goes through the rooms, by the person who may do it.

use app::App;
use app::voice::{self, TicketOrder};
use model::Result;
use model::voice::showcase::{ShowcaseKind, ShowcaseNew};
use model::voice::ticket::{Deed, TicketKind, TicketNew};

use crate::demo::orgs::MARKET;
use crate::seed::op_of;

/// Says it, once.
pub(crate) async fn voice(app: &App) -> Result<()> {
    let citizen = op_of(app, "citizen").await?;
    if !voice::mine(app, &citizen, None, 1).await?.items.is_empty() {
        return Ok(());
    }
    let sets = app::opening::datasets(app, &citizen, None, 999).await?.items;
    let of_market = sets.iter().find(|d| d.entry.draft.org == MARKET);
    if let Some(code) = of_market.map(|d| d.entry.draft.code.clone()) {
        data_error(app, &code).await?;
        opinions(app, &code).await?;
        made_of_it(app, &code).await?;
    }
    let wish = TicketNew {
        title: "希望开放公共充电桩实时状态".into(),
        text: "出行前想知道附近充电桩是否空闲，建议开放位置、类型和空闲状态，每五分钟更新一次。"
            .into(),
        ..ticket(TicketKind::Request)
    };
    let wish = voice::file(app, &op_of(app, "citizen").await?, wish).await?;
    step(app, "authority", &wish.id, TicketOrder::new(Deed::Accept, "已受理，正在确定数源单位"))
        .await?;
    voice::support(app, &op_of(app, "enterprise").await?, &wish.number).await?;
    let question = TicketNew {
        title: "接口每天最多可以调用多少次".into(),
        text: "我们准备用开放接口做一个查询小程序，想了解调用次数的限制和申请更多次数的办法。"
            .into(),
        ..ticket(TicketKind::Question)
    };
    let question = voice::file(app, &op_of(app, "enterprise").await?, question).await?;
    let answer = TicketOrder {
        public_text:
            "无条件开放的数据可直接调用，限额见接口页面；需要更多次数的，登记应用后提出申请。"
                .into(),
        ..TicketOrder::new(Deed::Answer, "详见公开答复，如有疑问可再次提出。")
    };
    step(app, "authority", &question.id, answer).await?;
    let judged = TicketOrder { score: 5, satisfied: true, ..TicketOrder::new(Deed::Evaluate, "") };
    step(app, "enterprise", &question.id, judged).await
}

fn ticket(kind: TicketKind) -> TicketNew {
    TicketNew { kind: Some(kind), public: true, ..TicketNew::default() }
}

async fn step(app: &App, who: &str, id: &str, order: TicketOrder) -> Result<()> {
    voice::act(app, &op_of(app, who).await?, id, order).await.map(|_| ())
}

async fn data_error(app: &App, code: &str) -> Result<()> {
    let fault = TicketNew {
        entry: code.into(),
        row: "第 12 行".into(),
        title: "个别地址与实际不符".into(),
        text: "核对后发现有一条记录的地址仍是搬迁前的，请更正。".into(),
        contact: "可通过站内消息联系".into(),
        ..ticket(TicketKind::Fault)
    };
    let fault = voice::file(app, &op_of(app, "citizen").await?, fault).await?;
    let answer = TicketOrder {
        public_text: "经核实已更正，将随下一次更新发布。感谢指正。".into(),
        ..TicketOrder::new(Deed::Answer, "您反映的记录已核实更正，谢谢。")
    };
    step(app, "provider", &fault.id, answer).await
}

async fn opinions(app: &App, code: &str) -> Result<()> {
    for (who, stars) in [("citizen", 5), ("enterprise", 4)] {
        voice::rate(app, &op_of(app, who).await?, code, stars).await?;
    }
    let citizen = op_of(app, "citizen").await?;
    let said = voice::comment(app, &citizen, code, "", "字段说明清楚，下载很方便。").await?;
    let provider = op_of(app, "provider").await?;
    voice::comment(app, &provider, code, &said, "谢谢支持，我们会按周期更新。").await.map(|_| ())
}

async fn made_of_it(app: &App, code: &str) -> Result<()> {
    let new = ShowcaseNew {
        kind: Some(ShowcaseKind::Chart),
        title: "市场主体分布一张图".into(),
        text: "用开放数据绘制的市场主体分布图，按区县和行业查看数量变化，可下载汇总表。".into(),
        author: "演示科技有限公司".into(),
        links: vec!["https://example.org/market-map".into()],
        entries: vec![code.into()],
    };
    let made = voice::submit(app, &op_of(app, "enterprise").await?, new).await?;
    voice::review(app, &op_of(app, "authority").await?, &made.id, true, "").await.map(|_| ())
}
