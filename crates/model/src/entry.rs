//! Catalogue entries (目录): what a department declares about one data resource.

use serde::{Deserialize, Serialize};

use crate::code::{
    AppScene, DataKind, DataLevel, DataRange, Domain, Grade, OnlineState, OpenLevel, OpenType,
    ProcessingLevel, ProviderChannel, PublishState, ResourceKind, ShareType, SharedMode, SyncMode,
    TableType, UpdateCycle,
};
use crate::harvest::Distribution;
use crate::item::Item;

/// What a department fills in (编目). `Entry` adds the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryDraft {
    /// 目录编码, `[a-z0-9_]`, unique; also the resource's name in calls (`/api/v1/{code}`).
    pub code: String,
    /// 名称 (≤ 500)
    pub title: String,
    #[serde(default)]
    pub title_en: String,
    /// 摘要 (≤ 1000)
    pub description: String,
    /// 数源单位: organisation id.
    pub org: String,
    /// 行政区划 of the data, GB/T 2260.
    pub region: String,
    /// 数据领域
    pub domain: Domain,
    /// 主题 / 标签
    #[serde(default)]
    pub tags: Vec<String>,
    pub kind: ResourceKind,
    pub update_cycle: UpdateCycle,
    pub sync_mode: SyncMode,
    pub share_type: ShareType,
    #[serde(default)]
    pub share_condition: String,
    /// 不予共享依据 / 受限共享理由
    #[serde(default)]
    pub share_basis: String,
    pub open_type: OpenType,
    #[serde(default)]
    pub open_condition: String,
    #[serde(default)]
    pub open_basis: String,
    /// 安全级别 raised by hand; the effective grade is never below the items' maximum.
    #[serde(default)]
    pub raised_grade: Option<Grade>,
    /// 时间范围
    #[serde(default)]
    pub time_range: String,
    /// 来源系统
    #[serde(default)]
    pub source_system: String,
    /// 许可 / licence of opened data.
    #[serde(default)]
    pub licence: String,
    /// Credit line and origin.
    #[serde(default)]
    pub attribution: String,
    /// What the national and provincial schema asks besides; all of it may be left out.
    #[serde(flatten)]
    pub profile: Profile,
    pub items: Vec<Item>,
}

/// Further fields of the national/provincial catalogue schema. In files and tables they stand beside the others;
/// what an older record lacks is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// 主题
    pub theme: String,
    /// 分组
    pub group: String,
    /// 来源处室 within the department
    pub source_department: String,
    /// 中央业务指导部门
    pub central_department: String,
    /// 数据层级
    pub data_level: Option<DataLevel>,
    /// 数据范围
    pub data_range: Option<DataRange>,
    /// 数据对象
    pub data_kinds: Vec<DataKind>,
    /// 加工程度
    pub processing_level: Option<ProcessingLevel>,
    /// 提供渠道
    pub provider_channel: Option<ProviderChannel>,
    /// 共享方式
    pub shared_mode: Option<SharedMode>,
    /// 开放方式 of restricted-open data
    pub open_level: Option<OpenLevel>,
    /// 其他更新周期: says it in words when the cycle is `other`
    pub update_cycle_other: String,
    /// 同步频率
    pub sync_frequency: String,
    /// 库表类型
    pub table_type: Option<TableType>,
    /// 物理删除: rows vanish from the source instead of being marked
    pub physical_deletion: bool,
    /// 电子证照
    pub electronic_proof: bool,
    /// 可授权运营
    pub operation_authorized: bool,
    /// 应用场景分类
    pub app_scene: Option<AppScene>,
    /// 业务事项 the data arise in
    pub business_matters: String,
    /// 数据关联事项
    pub related_matters: String,
    /// 数据链接: where else the data are had, as the department says; nothing behind them is held or fetched here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// A link to data of an entry elsewhere. It is part of the declaration: reviewed, versioned and compared with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    pub title: String,
    /// Address of the web.
    pub url: String,
    /// `CSV`, or as the department writes it.
    pub format: String,
}

impl Link {
    /// Links one a line, as forms and sheets write them: `address | format | title`.
    #[must_use]
    pub fn lines(links: &[Link]) -> String {
        // A bar would part what belongs together.
        let plain = |text: &str| text.replace(['|', '\n', '\r'], " ").trim().to_owned();
        let lines = links.iter().map(|link| {
            let parts = [plain(&link.url), plain(&link.format), plain(&link.title)];
            parts.join(" | ").trim_end_matches([' ', '|']).to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }
    /// Reads such lines; what an address is worth is asked with the other rules of compiling.
    #[must_use]
    pub fn read(text: &str) -> Vec<Link> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let mut parts = line.splitn(3, '|').map(|part| part.trim().to_owned());
                let mut next = || parts.next().unwrap_or_default();
                Link { url: next(), format: next(), title: next() }
            })
            .collect()
    }
    /// The same as a way to data, which knows the word and the media type of its format.
    #[must_use]
    pub fn way(&self) -> Distribution {
        Distribution {
            title: self.title.clone(),
            url: self.url.clone(),
            format: self.format.clone(),
            bytes: None,
        }
    }
    /// The host it leads to; `None` for what is no address of the web.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        crate::harvest::host(&self.url)
    }
}

impl Profile {
    /// Links as ways to the data, each with the host it leads to. What is no address of the web is left out here, whoever kept it.
    pub fn ways(&self) -> impl Iterator<Item = (Distribution, &str)> {
        self.links.iter().filter_map(|link| Some((link.way(), link.host()?)))
    }
}

impl EntryDraft {
    /// GB/T 43697-2024 6.6 d): the data set's level is the maximum of its items', raised further if declared.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.items.iter().map(|i| i.grade).chain(self.raised_grade).max().unwrap_or(Grade::L1)
    }
    /// The business key: identifiers of the primary items, in order.
    #[must_use]
    pub fn key(&self) -> Vec<&str> {
        self.items.iter().filter(|i| i.primary).map(|i| i.identifier.as_str()).collect()
    }
    #[must_use]
    pub fn item(&self, identifier: &str) -> Option<&Item> {
        self.items.iter().find(|i| i.identifier == identifier)
    }
    /// Whether the serving copy holds the rows (there is a key or a look-up item to find them by).
    #[must_use]
    pub fn served(&self) -> bool {
        self.items.iter().any(|i| i.primary || i.lookup)
    }
}

/// An entry of the ledger: what was declared, its state, its figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    #[serde(flatten)]
    pub draft: EntryDraft,
    /// Effective grade.
    pub grade: Grade,
    pub publish_state: PublishState,
    pub online_state: OnlineState,
    /// Version of the declaration, counted from 1.
    pub version: i64,
    pub created_at: String,
    pub created_by: String,
    pub updated_at: String,
    /// 目录发布时间
    pub published_at: Option<String>,
    /// Rows in the lake's current view.
    pub rows: i64,
    /// When data last landed.
    pub data_at: Option<String>,
}

impl Entry {
    /// Whether the public may see it: published, online and not prohibited from opening.
    #[must_use]
    pub fn open(&self) -> bool {
        self.live() && self.draft.open_type != OpenType::None
    }
    /// Whether its rows may be read by anyone without application.
    #[must_use]
    pub fn freely_open(&self) -> bool {
        self.live() && self.draft.open_type == OpenType::Unconditional
    }
    /// Freely open and known by links alone: the department says where the data are had, and none of them was collected here.
    #[must_use]
    pub fn linked_only(&self) -> bool {
        self.freely_open() && self.data_at.is_none() && !self.draft.profile.links.is_empty()
    }
    /// Published and online. It stays so while a change or its going offline is under review or was refused.
    #[must_use]
    pub fn live(&self) -> bool {
        Self::live_in(self.publish_state, self.online_state)
    }
    /// The same of a pair of states.
    #[must_use]
    pub fn live_in(publish: PublishState, online: OnlineState) -> bool {
        matches!(online, OnlineState::Online | OnlineState::DownAuditing | OnlineState::DownReject)
            && matches!(
                publish,
                PublishState::Published | PublishState::ChangeAuditing | PublishState::ChangeReject
            )
    }
}

/// One step of an entry's life: who, when, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryStep {
    pub entry: String,
    pub seq: i64,
    pub at: String,
    pub actor: String,
    pub actor_name: String,
    /// `create edit submit approve reject up down alter withdraw`
    pub action: String,
    pub from: String,
    pub to: String,
    pub reason: String,
}

/// A kept version of an entry's declaration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryVersion {
    pub entry: String,
    pub version: i64,
    pub at: String,
    pub actor: String,
    pub draft: EntryDraft,
}

/// One difference between two versions, by field path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `title`, `items.xm.grade`
    pub path: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// Which entries a list wants. Empty fields do not filter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EntryFilter {
    pub org: Option<String>,
    pub publish_state: Option<PublishState>,
    pub online_state: Option<OnlineState>,
    /// Entries awaiting a review (any `*-auditing` state).
    pub auditing: bool,
    /// Entries of which something was refused and waits to be mended (any `*-reject` state).
    #[serde(default)]
    pub refused: bool,
    /// Part of title or code.
    pub text: Option<String>,
    /// Keyset position: id of the last entry seen.
    pub after: Option<String>,
    /// Page size, at most 1000.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_written_one_a_line_and_read_back() {
        let link = |url: &str, format: &str, title: &str| Link {
            url: url.into(),
            format: format.into(),
            title: title.into(),
        };
        let links = [
            link("https://a.example/x.csv", "CSV", "全部数据"),
            link("https://a.example/y", "", "说明"),
            link("https://a.example/z", "", ""),
        ];
        let lines = Link::lines(&links);
        assert_eq!(lines.lines().last(), Some("https://a.example/z"));
        assert_eq!(Link::read(&lines), links);
        assert!(Link::read(" \n\n").is_empty());
        assert_eq!(links.iter().filter_map(Link::host).count(), 3);
        assert_eq!(link("javascript:alert(1)", "", "").host(), None);
        let profile = Profile {
            links: vec![link("file:///etc/passwd", "", ""), links[0].clone()],
            ..Profile::default()
        };
        let ways: Vec<_> = profile.ways().collect();
        assert_eq!((ways.len(), ways[0].0.media_type(), ways[0].1), (1, "text/csv", "a.example"));
        // A bar in a title parts nothing.
        let odd = [link("https://a.example/x", "CSV", "甲|乙")];
        assert_eq!(Link::read(&Link::lines(&odd))[0].title, "甲 乙");
    }

    #[test]
    fn an_entry_without_links_is_written_as_before() {
        let told = serde_json::to_value(Profile::default()).unwrap();
        assert!(told.get("links").is_none());
        let older: Profile = serde_json::from_str(r#"{"theme":"a"}"#).unwrap();
        assert!(older.links.is_empty());
    }
}
