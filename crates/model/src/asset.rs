//! Assets: what the ledgers hold beside catalogue entries (applications, components, cloud resources), the links
//! between all of them, and proposed applications (应用查重).
//!
//! Every asset has the same common columns; its own fields are words of a rule file (`app/rules/ledger.toml`), so that
//! a field list changes without a build.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The four ledgers (一本账). `Data` is the catalogue: its rows are entries, not assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ledger {
    Application,
    Data,
    Component,
    Cloud,
}

impl Ledger {
    pub const ALL: [Ledger; 4] =
        [Ledger::Application, Ledger::Data, Ledger::Component, Ledger::Cloud];
    /// The ledgers whose rows are assets.
    pub const ASSETS: [Ledger; 3] = [Ledger::Application, Ledger::Component, Ledger::Cloud];
    /// The word stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Ledger::Application => "application",
            Ledger::Data => "data",
            Ledger::Component => "component",
            Ledger::Cloud => "cloud",
        }
    }
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Ledger::Application => "应用",
            Ledger::Data => "数据",
            Ledger::Component => "组件",
            Ledger::Cloud => "云资源",
        }
    }
    #[must_use]
    pub fn en(self) -> &'static str {
        match self {
            Ledger::Application => "Application",
            Ledger::Data => "Data",
            Ledger::Component => "Component",
            Ledger::Cloud => "Cloud resource",
        }
    }
    /// The word as it is stored and sent by forms and addresses, and nothing else.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.as_str() == word)
    }
    /// The word, or its Chinese or English name, as people write it.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.trim();
        Self::ALL
            .into_iter()
            .find(|l| l.as_str() == word || l.zh() == word || l.en().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a person or a file says of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetDraft {
    pub ledger: Ledger,
    /// Unique within its ledger.
    pub code: String,
    pub name: String,
    /// Organisation id.
    pub org: String,
    /// GB/T 2260.
    pub region: String,
    /// Person answerable for it; empty: nobody (quality lists it).
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    pub description: String,
    /// The ledger's own fields by key. Several choices are joined by `、`; empty fields are left out.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

impl AssetDraft {
    /// A field's value, empty when there is none.
    #[must_use]
    pub fn field(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }
}

/// A row of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    pub id: String,
    #[serde(flatten)]
    pub draft: AssetDraft,
    /// Word of the ledger's life cycle.
    pub state: String,
    /// Counted from 1; guards against overwriting.
    pub version: i64,
    /// Completeness, 0 to 100.
    pub score: i64,
    pub created_at: String,
    pub created_by: String,
    pub updated_at: String,
    /// The asset it was merged into; it is then out of every list.
    pub merged_into: Option<String>,
}

/// One step of an asset's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetStep {
    pub asset: String,
    pub seq: i64,
    pub at: String,
    pub actor: String,
    pub actor_name: String,
    /// `create`, `edit`, `move`, `merge`, `import`
    pub action: String,
    pub from: String,
    pub to: String,
    pub reason: String,
}

/// Which assets a list shows; keyset by id, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetFilter {
    pub ledger: Option<Ledger>,
    pub org: Option<String>,
    /// The region and all below it.
    pub region: Option<String>,
    pub state: Option<String>,
    /// Part of name or code.
    pub text: Option<String>,
    /// Not changed since this stamp.
    pub stale_before: Option<String>,
    /// Without an answerable person.
    pub ownerless: bool,
    /// Without any link.
    pub orphan: bool,
    pub after: Option<String>,
    pub limit: u32,
}

/// Something a link may touch: an asset, an entry, or one item of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Node {
    pub ledger: Ledger,
    /// Asset or entry id.
    pub id: String,
    /// Item identifier, for one item of an entry.
    pub item: Option<String>,
}

impl Node {
    #[must_use]
    pub fn asset(ledger: Ledger, id: &str) -> Self {
        Self { ledger, id: id.to_owned(), item: None }
    }
    #[must_use]
    pub fn entry(id: &str) -> Self {
        Self::asset(Ledger::Data, id)
    }
    #[must_use]
    pub fn item(entry: &str, identifier: &str) -> Self {
        Self { item: Some(identifier.to_owned()), ..Self::entry(entry) }
    }
    /// The whole of which this is a part: the entry of an item.
    #[must_use]
    pub fn base(&self) -> Self {
        Self { item: None, ..self.clone() }
    }
    /// `cloud:ID`, `data:ID`, `data:ID#IDENTIFIER`: how the store writes it.
    #[must_use]
    pub fn key(&self) -> String {
        match &self.item {
            Some(item) => format!("{}:{}#{item}", self.ledger, self.id),
            None => format!("{}:{}", self.ledger, self.id),
        }
    }
    /// Reads what [`Node::key`] wrote.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (ledger, rest) = key.split_once(':')?;
        let ledger = Ledger::of_word(ledger)?;
        let (id, item) = match rest.split_once('#') {
            Some((id, item)) if ledger == Ledger::Data && !item.is_empty() => (id, Some(item)),
            Some(_) => return None,
            None => (rest, None),
        };
        (!id.is_empty()).then(|| Self { ledger, id: id.to_owned(), item: item.map(str::to_owned) })
    }
}

/// What a link says. Stored as dependent → what it depends on, so that “what fails” is one walk backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// An application uses a data item, a component, a cloud resource.
    Uses,
    /// A data set is produced by an application.
    ProducedBy,
    /// A component runs on a cloud resource.
    RunsOn,
}

impl LinkKind {
    pub const ALL: [LinkKind; 3] = [LinkKind::Uses, LinkKind::ProducedBy, LinkKind::RunsOn];
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LinkKind::Uses => "uses",
            LinkKind::ProducedBy => "produced_by",
            LinkKind::RunsOn => "runs_on",
        }
    }
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            LinkKind::Uses => "使用",
            LinkKind::ProducedBy => "产生自",
            LinkKind::RunsOn => "运行于",
        }
    }
    #[must_use]
    pub fn en(self) -> &'static str {
        match self {
            LinkKind::Uses => "uses",
            LinkKind::ProducedBy => "produced by",
            LinkKind::RunsOn => "runs on",
        }
    }
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.trim();
        Self::ALL.into_iter().find(|k| k.as_str() == word || k.zh() == word || k.en() == word)
    }
    /// Whether such a link may stand between these ledgers.
    #[must_use]
    pub fn fits(self, from: Ledger, to: Ledger) -> bool {
        match self {
            LinkKind::Uses => from == Ledger::Application,
            LinkKind::ProducedBy => from == Ledger::Data && to == Ledger::Application,
            LinkKind::RunsOn => {
                matches!(from, Ledger::Application | Ledger::Component) && to == Ledger::Cloud
            }
        }
    }
}

/// A link, from what depends to what it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub from: Node,
    pub to: Node,
    pub kind: LinkKind,
    pub at: String,
    pub actor_name: String,
}

/// Outcome of 应用查重, always decided by a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// 不予立项
    Refused,
    /// 预算核减
    Reduced,
    /// 通过
    Passed,
}

impl Verdict {
    pub const ALL: [Verdict; 3] = [Verdict::Refused, Verdict::Reduced, Verdict::Passed];
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Refused => "refused",
            Verdict::Reduced => "reduced",
            Verdict::Passed => "passed",
        }
    }
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Verdict::Refused => "不予立项",
            Verdict::Reduced => "预算核减",
            Verdict::Passed => "通过",
        }
    }
    #[must_use]
    pub fn en(self) -> &'static str {
        match self {
            Verdict::Refused => "not approved",
            Verdict::Reduced => "budget reduced",
            Verdict::Passed => "approved",
        }
    }
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == word.trim() || v.zh() == word.trim())
    }
}

/// A proposed application: what 应用查重 compares with the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalDraft {
    pub name: String,
    pub org: String,
    #[serde(default)]
    pub description: String,
    /// One function each.
    #[serde(default)]
    pub functions: Vec<String>,
    /// Names of the data it wants.
    #[serde(default)]
    pub data: Vec<String>,
}

/// A proposal with its decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    pub id: String,
    pub draft: ProposalDraft,
    pub created_at: String,
    pub created_by: String,
    pub verdict: Option<Verdict>,
    pub decided_at: Option<String>,
    pub decided_by: String,
    pub reason: String,
    /// What was found when it was decided (the matches the person saw), kept as evidence.
    pub matches: Vec<Match>,
}

/// An existing application that resembles a proposal, with the reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    pub asset: String,
    pub code: String,
    pub name: String,
    pub org: String,
    pub state: String,
    /// 0 to 100.
    pub score: u32,
    /// Likeness of names, of texts, share of functions covered, share of data covered; 0 to 100.
    pub name_like: u32,
    pub text_like: u32,
    pub functions_covered: u32,
    pub data_covered: u32,
    /// Each function of the proposal with the best matching text of the asset and its overlap.
    pub functions: Vec<FunctionMatch>,
    /// Data wanted that the application uses already.
    pub data: Vec<String>,
}

/// How one function of a proposal is covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionMatch {
    pub wanted: String,
    pub found: String,
    /// 0 to 100.
    pub overlap: u32,
}

/// A search a person keeps, and what they saw last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSearch {
    pub id: String,
    pub owner: String,
    pub name: String,
    /// Query string of the search page.
    pub query: String,
    pub created_at: String,
    /// Hits when it was last looked at: more of them is news.
    pub seen: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_as_it_was_written() {
        for node in [Node::asset(Ledger::Cloud, "c1"), Node::entry("e1"), Node::item("e1", "sfzh")]
        {
            assert_eq!(Node::parse(&node.key()), Some(node));
        }
        for wrong in ["", "cloud:", "moon:1", "cloud:1#x", "data:1#", "data"] {
            assert_eq!(Node::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn links_stand_where_they_make_sense() {
        assert!(LinkKind::Uses.fits(Ledger::Application, Ledger::Data));
        assert!(LinkKind::Uses.fits(Ledger::Application, Ledger::Component));
        assert!(!LinkKind::Uses.fits(Ledger::Cloud, Ledger::Application));
        assert!(LinkKind::ProducedBy.fits(Ledger::Data, Ledger::Application));
        assert!(!LinkKind::ProducedBy.fits(Ledger::Application, Ledger::Data));
        assert!(LinkKind::RunsOn.fits(Ledger::Component, Ledger::Cloud));
    }
}
