//! Harvest (采集目录): entries of other catalogues, known here by where they come from. Only what is said of data is taken, never rows.
//!
//! A source is kept by people ([`HarvestSource`]); a turn ([`HarvestTurn`]) goes through it page by page and leaves for each of its
//! records where it went ([`HarvestOrigin`]) or why it could not be taken ([`HarvestRefusal`]).

use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// What a source speaks.
    HarvestKind {
        Ckan = "ckan", "CKAN 操作接口", "CKAN Action API";
        Dcat = "dcat", "DCAT 目录", "DCAT catalogue";
        DataJson = "data_json", "data.json", "data.json";
        OaiPmh = "oai_pmh", "OAI-PMH", "OAI-PMH";
        Qiantang = "qiantang", "另一个钱塘平台", "Another Qiantang";
    }
}
code_list! {
    /// What becomes of what comes.
    HarvestAs {
        Draft = "draft", "草稿待审核", "Drafts for review";
        Published = "published", "直接发布", "Published at once";
    }
}
code_list! {
    /// What a person wants of a source.
    HarvestWish {
        Run = "run", "按计划采集", "By schedule";
        Pause = "pause", "已暂停", "Paused";
    }
}
code_list! {
    /// How a turn stands.
    HarvestState {
        Waiting = "waiting", "等待", "Waiting";
        Running = "running", "采集中", "Running";
        Done = "done", "已完成", "Done";
        Stopped = "stopped", "已停下，须人工确认", "Stopped for a person";
        Failed = "failed", "失败", "Failed";
    }
}
code_list! {
    /// What a turn made of a record.
    HarvestOutcome {
        New = "new", "新增", "New";
        Changed = "changed", "变更", "Changed";
        Unchanged = "unchanged", "未变", "Unchanged";
        Refused = "refused", "未采纳", "Refused";
    }
}

/// One record of another catalogue, in words of this one. What a source does not say is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// How the source knows it: stays the same when everything else changes.
    pub foreign_id: String,
    /// Page of it there.
    pub address: String,
    pub title: String,
    pub title_en: String,
    pub description: String,
    pub keywords: Vec<String>,
    pub theme: String,
    pub publisher: String,
    pub licence: String,
    /// As the source writes it.
    pub modified: String,
    pub frequency: String,
    pub spatial: String,
    pub distributions: Vec<Distribution>,
}

/// A way to its data there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Distribution {
    pub title: String,
    pub url: String,
    /// `CSV`, or a media type.
    pub format: String,
    /// Size in bytes, as the source tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Formats by their words, and their media types (IANA).
const MEDIA: &[(&str, &str)] = &[
    ("CSV", "text/csv"),
    ("JSON", "application/json"),
    ("GeoJSON", "application/geo+json"),
    ("XML", "application/xml"),
    ("RDF", "application/rdf+xml"),
    ("TTL", "text/turtle"),
    ("XLSX", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("XLS", "application/vnd.ms-excel"),
    ("PDF", "application/pdf"),
    ("PARQUET", "application/vnd.apache.parquet"),
    ("ZIP", "application/zip"),
    ("HTML", "text/html"),
    ("TXT", "text/plain"),
];

impl Distribution {
    /// Its format in a word: `CSV`, also where the source tells a media type. One that has no word is told as the source writes it.
    #[must_use]
    pub fn word(&self) -> &str {
        let told = self.format.trim();
        let plain = told.split(';').next().unwrap_or_default().trim_end();
        let found = MEDIA.iter().find(|(word, media)| {
            plain.eq_ignore_ascii_case(media) || plain.eq_ignore_ascii_case(word)
        });
        found.map_or(told, |(word, _)| *word)
    }

    /// The same as search counts it: one that has no word here is the same in capitals or not (`shp`, `SHP`).
    #[must_use]
    pub fn counted(&self) -> String {
        let word = self.word();
        let known = MEDIA.iter().any(|(own, _)| *own == word);
        if known || word.contains('/') { word.to_owned() } else { word.to_uppercase() }
    }

    /// Its media type where it is known; empty otherwise.
    #[must_use]
    pub fn media_type(&self) -> &str {
        let told = self.format.trim();
        if told.contains('/') {
            return told;
        }
        let found = MEDIA.iter().find(|(word, _)| told.eq_ignore_ascii_case(word));
        found.map_or("", |(_, media)| *media)
    }

    /// Whether a file of a known kind is said to be at the address. A page, an interface and what is not told are only reached there.
    #[must_use]
    pub fn is_file(&self) -> bool {
        !self.media_type().is_empty() && self.word() != "HTML"
    }
}

/// The host that an address of the web leads to, with its port. `None` for every other address, and for one that holds a name or a
/// password before its host.
#[must_use]
pub fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let letter = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let plain = !url.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"".contains(c));
    (plain && !host.is_empty() && host.bytes().all(letter)).then_some(host)
}

/// Why a record was not taken: which field, and what to mend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarvestRefusal {
    pub foreign_id: String,
    pub title: String,
    pub field: String,
    pub zh: String,
    pub en: String,
}

/// A source as decided by people, and what the last complete turn left for the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarvestSource {
    pub id: String,
    pub name: String,
    pub kind: HarvestKind,
    /// Address of the catalogue: `https://…`.
    pub url: String,
    /// Organisation that answers for what comes, and its name.
    pub org: String,
    pub org_name: String,
    /// GB/T 2260.
    pub region: String,
    /// Five fields, in the civil time of China.
    pub cron: String,
    pub becomes: HarvestAs,
    pub wish: HarvestWish,
    pub created_at: String,
    pub created_by: String,
    /// When the next turn is due; empty when there is none.
    #[serde(default)]
    pub due: String,
    /// From when on changes are asked for (RFC 3339); empty: the next turn looks at everything.
    #[serde(default)]
    pub since: String,
    /// When everything was last looked at.
    #[serde(default)]
    pub full_at: String,
    /// What the source said of the state it answered with (ETag or Last-Modified).
    #[serde(default)]
    pub mark: String,
}

/// What is needed to keep a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarvestNew {
    pub name: String,
    pub kind: HarvestKind,
    pub url: String,
    pub org: String,
    pub region: String,
    pub cron: String,
    pub becomes: HarvestAs,
}

/// What a turn made of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HarvestFigures {
    pub pages: u64,
    pub seen: u64,
    pub new: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub refused: u64,
    pub gone: u64,
}

/// One turn of a source. Its position is kept after each page, so that whoever takes it up goes on there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarvestTurn {
    pub id: String,
    pub source: String,
    pub state: HarvestState,
    /// All of the source is looked at, so that what is not seen is gone.
    pub full: bool,
    /// A person said that what is gone may be more than half.
    pub accepts_loss: bool,
    /// Where the next page is, in the reader's words; `None`: at the beginning.
    pub position: Option<String>,
    /// All pages were read; what is gone is being settled.
    pub read: bool,
    /// The source said that nothing has changed.
    pub untouched: bool,
    /// Records may have moved between pages while they were read: nothing is taken for gone.
    #[serde(default)]
    pub moved: bool,
    pub mark: String,
    pub since: String,
    pub failures: u32,
    pub figures: HarvestFigures,
    pub zh: String,
    pub en: String,
    pub created_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub by: String,
}

/// Where an entry comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarvestOrigin {
    pub source: String,
    pub source_name: String,
    pub foreign_id: String,
    /// Code of the entry here.
    pub entry: String,
    /// Of the record as last taken.
    pub digest: String,
    pub outcome: HarvestOutcome,
    pub first_turn: String,
    pub seen_turn: String,
    pub last_seen: String,
    /// When it was found to be gone; empty while it is there.
    pub gone_at: String,
    pub record: Record,
}

impl HarvestOrigin {
    /// Ways to the data at the source that may be shown as links, each with the host it leads to. What is no address of the web is
    /// left out here, whoever kept it.
    pub fn ways(&self) -> impl Iterator<Item = (&Distribution, &str)> {
        self.record.distributions.iter().filter_map(|d| Some((d, host(&d.url)?)))
    }

    /// The page of the record at the source, and its host.
    #[must_use]
    pub fn page(&self) -> Option<(&str, &str)> {
        Some((self.record.address.as_str(), host(&self.record.address)?))
    }

    /// Who publishes it there: as the source says, or the source itself.
    #[must_use]
    pub fn publisher(&self) -> &str {
        match self.record.publisher.trim() {
            "" => &self.source_name,
            publisher => publisher,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_older_version_is_read() {
        let record: Record = serde_json::from_str(r#"{"foreign_id":"a"}"#).unwrap();
        assert_eq!(record.foreign_id, "a");
        assert!(record.distributions.is_empty() && record.title.is_empty());
    }

    #[test]
    fn formats_have_words_and_media_types() {
        let of = |format: &str| Distribution { format: format.into(), ..Distribution::default() };
        for (told, word, media) in [
            ("csv", "CSV", "text/csv"),
            ("text/csv; charset=utf-8", "CSV", "text/csv; charset=utf-8"),
            ("application/geo+json", "GeoJSON", "application/geo+json"),
            ("shapefile", "shapefile", ""),
            ("image/tiff", "image/tiff", "image/tiff"),
            ("", "", ""),
        ] {
            assert_eq!((of(told).word(), of(told).media_type()), (word, media), "{told}");
        }
        for (told, file) in
            [("CSV", true), ("text/html; charset=utf-8", false), ("API", false), ("", false)]
        {
            assert_eq!(of(told).is_file(), file, "{told}");
        }
        for (told, counted) in [
            ("text/csv", "CSV"),
            ("geojson", "GeoJSON"),
            (" shp ", "SHP"),
            ("image/tiff", "image/tiff"),
            ("", ""),
        ] {
            assert_eq!(of(told).counted(), counted, "{told}");
        }
        // One without a size is kept as it was before there were sizes: it is known again.
        assert!(!serde_json::to_string(&of("csv")).unwrap().contains("bytes"));
    }

    #[test]
    fn only_addresses_of_the_web_have_a_host() {
        for (url, found) in [
            ("https://data.example/a.csv", Some("data.example")),
            ("http://data.example:8080?x=1", Some("data.example:8080")),
            ("https://[::1]/a", Some("[::1]")),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("//data.example/a", None),
            ("https://", None),
            ("https://data.example@evil.example/", None),
            ("https://evil.example\\@data.example/", Some("evil.example")),
            ("https://a b.example/", None),
            ("https://a.example/\"onclick=x", None),
        ] {
            assert_eq!(host(url), found, "{url}");
        }
    }

    #[test]
    fn every_kind_is_read_back() {
        for kind in HarvestKind::ALL {
            assert_eq!(HarvestKind::parse(kind.as_str()), Some(*kind));
        }
    }
}
