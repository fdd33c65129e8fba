//! Completeness of metadata in points, after data.europa.eu's MQA (405 points): what can be computed from the ledger. Dimensions
//! and points are the MQA's; what each asks for is said in the words of our catalogue.

use model::code::OpenType;
use model::entry::Entry;

/// Points of all dimensions together.
pub const MOST: u32 = 405;

/// One thing asked: dimension, word, points, Chinese and English.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Ask {
    pub dimension: &'static str,
    pub word: &'static str,
    pub points: u32,
    pub zh: &'static str,
    pub en: &'static str,
}

macro_rules! asks {
    ($($dimension:literal { $($word:literal, $points:literal, $zh:literal, $en:literal;)* })*) => {
        /// All that is asked, by dimension.
        pub const ASKS: &[Ask] = &[$($(Ask { dimension: $dimension, word: $word, points: $points, zh: $zh, en: $en },)*)*];
    };
}

asks! {
    "findability" {
        "keywords", 30, "有标签", "has keywords";
        "category", 30, "有数据领域", "has a theme";
        "spatial", 20, "有行政区划", "has a place";
        "temporal", 20, "有时间范围", "has a time range";
    }
    "accessibility" {
        "access", 50, "有访问地址", "can be reached";
        "download", 20, "可下载", "can be downloaded";
        "download_reached", 30, "下载有数据", "the download holds rows";
    }
    "interoperability" {
        "format", 20, "给出格式", "names its formats";
        "media_type", 10, "给出媒体类型", "names its media types";
        "vocabulary", 10, "格式用受控词表", "formats by a vocabulary";
        "non_proprietary", 20, "非专有格式", "non-proprietary format";
        "machine_readable", 20, "机器可读", "machine-readable";
        "described_items", 30, "数据项有定义", "its items are defined";
    }
    "reusability" {
        "licence", 20, "有许可", "has a licence";
        "licence_vocabulary", 10, "许可为平台公布的许可", "the licence is the published one";
        "access_rights", 10, "给出开放属性", "says its open attribute";
        "access_rights_vocabulary", 5, "开放属性用受控词表", "open attribute by a vocabulary";
        "contact", 20, "有数源单位", "names its department";
        "publisher", 10, "有来源说明或来源系统", "says where it is from";
    }
    "contextuality" {
        "rights", 5, "有开放依据或开放条件", "says its basis or condition";
        "byte_size", 5, "有数据量", "says how large it is";
        "issued", 5, "有发布时间", "says when it was published";
        "modified", 5, "有更新时间", "says when it was updated";
    }
}

/// Whether an open entry has what is asked. `licence` is the published one, which stands where an unconditionally open
/// set names none.
#[must_use]
pub fn has(entry: &Entry, word: &str, licence: &str) -> bool {
    let d = &entry.draft;
    let free = d.open_type == OpenType::Unconditional;
    let there = |text: &str| !text.trim().is_empty();
    match word {
        "keywords" => !d.tags.is_empty(),
        "temporal" => there(&d.time_range),
        "spatial" => there(&d.region),
        // By the platform: every open entry has a page, a department, an attribute of the code list.
        "category" | "access" | "access_rights" | "access_rights_vocabulary" | "contact" => true,
        "download" => free,
        "download_reached" => free && entry.rows > 0,
        "format" | "media_type" | "vocabulary" | "non_proprietary" | "machine_readable" => free,
        "described_items" => {
            !d.items.is_empty()
                && d.items.iter().all(|i| there(&i.definition) || there(&i.value_domain))
        }
        "licence" => there(&d.licence) || free,
        "licence_vocabulary" => free && (!there(&d.licence) || d.licence.trim() == licence),
        "publisher" => there(&d.attribution) || there(&d.source_system),
        "rights" => there(&d.open_basis) || there(&d.open_condition),
        "byte_size" => entry.rows > 0,
        "issued" => entry.published_at.is_some(),
        "modified" => entry.data_at.is_some(),
        _ => false,
    }
}

/// Points of an open entry, of [`MOST`].
#[must_use]
pub fn points(entry: &Entry, licence: &str) -> u32 {
    ASKS.iter().filter(|ask| has(entry, ask.word, licence)).map(|ask| ask.points).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_add_up_to_the_points_of_the_model() {
        assert_eq!(ASKS.iter().map(|a| a.points).sum::<u32>(), MOST);
        let of = |d: &str| ASKS.iter().filter(|a| a.dimension == d).map(|a| a.points).sum::<u32>();
        let all =
            ["findability", "accessibility", "interoperability", "reusability", "contextuality"];
        assert_eq!(all.map(of), [100, 100, 110, 75, 20]);
    }
}
