//! Channels (通道): every way by which rows come in or go back, as one list.

use serde::Serialize;

use crate::code::code_list;

code_list! {
    /// What a channel is.
    ChannelKind {
        Rail = "rail", "数据高铁", "Real-time rail";
        Pipeline = "pipeline", "数据管道", "Pipeline";
        Exchange = "exchange", "数据交换", "Exchange";
        Report = "report", "信息报送", "Reporting";
        Outflow = "outflow", "数据回流", "Return flow";
    }
}

code_list! {
    /// How a channel is.
    Health {
        Good = "good", "正常", "Well";
        Busy = "busy", "进行中", "At work";
        Paused = "paused", "已暂停", "Paused";
        Waiting = "waiting", "重试中", "Trying again";
        Bad = "bad", "需要处理", "Needs somebody";
    }
}

/// One way from a source into an entry, or from an entry to a receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Channel {
    pub kind: ChannelKind,
    pub id: String,
    pub org: String,
    pub name: String,
    /// Where rows come from, or go to: never with a secret.
    pub place: String,
    /// Table of a rail.
    pub table: String,
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    pub health: Health,
    /// State in the channel's own words.
    pub state_zh: String,
    pub state_en: String,
    /// From the source's commit to being visible, milliseconds; of channels that follow changes.
    pub lag_ms: Option<u64>,
    /// Rows a second, of channels that measure it.
    pub rate: Option<f64>,
    /// Rows that came (or went), and rows in quarantine.
    pub rows: Option<u64>,
    pub quarantined: u64,
    /// When rows last came (or went).
    pub last_at: Option<String>,
    /// What is wrong, in both languages; empty when nothing is.
    pub zh: String,
    pub en: String,
    /// Update cycle declared for the entry, and the day until which its data are fresh.
    pub cycle: String,
    pub fresh_until: Option<String>,
    pub overdue: bool,
    /// The last time source and lake were compared: which, when, and how it ended.
    pub compared: Option<Compared>,
}

/// A reconciliation, as the map of channels shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    pub id: String,
    pub at: String,
    pub state: crate::reconcile::ReconcileState,
    pub differences: u64,
}
