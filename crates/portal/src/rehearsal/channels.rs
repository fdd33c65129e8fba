//! Made-up channels for their map.

use minijinja::{Value, context};
use model::channel::{Channel, ChannelKind, Compared, Health};
use model::reconcile::ReconcileState;

use super::AT;
use crate::view::value;

fn channel(kind: ChannelKind, full: bool) -> Channel {
    let some = |text: &str| if full { text.to_owned() } else { String::new() };
    Channel {
        kind,
        id: "c1".into(),
        org: "o1".into(),
        name: "停车场 <b>".into(),
        place: "db.example:5432/main".into(),
        table: some("public.parking"),
        entry: some("e1"),
        entry_code: some("parking"),
        entry_title: some("停车场 <b>"),
        health: if full { Health::Bad } else { Health::Good },
        state_zh: "结构变更暂挂".into(),
        state_en: "Held by a schema change".into(),
        lag_ms: full.then_some(587),
        rate: full.then_some(12.5),
        rows: full.then_some(1_234_567),
        quarantined: 3,
        last_at: full.then(|| AT.into()),
        zh: some("列 name 已删除"),
        en: some("column name was dropped"),
        cycle: "daily".into(),
        fresh_until: full.then(|| "2026-03-03".into()),
        overdue: kind == ChannelKind::Report,
        compared: full.then(|| Compared {
            id: "c1".into(),
            at: AT.into(),
            state: ReconcileState::Differs,
            differences: 3,
        }),
    }
}

/// What a template of this page is shown with.
pub(super) fn of(name: &str, full: bool) -> Option<Value> {
    let channels: Vec<Channel> = ChannelKind::ALL.iter().map(|kind| channel(*kind, full)).collect();
    (name == "console/channels.html")
        .then(|| context! { channels => value(&channels), next => Value::UNDEFINED })
}
