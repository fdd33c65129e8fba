//! Where a set comes from, in words of schema.org: for pages that search engines read, and for programs.

use model::harvest::HarvestOrigin;
use serde_json::{Value, json};

/// The set at its source (`isBasedOn`): its own identifier there, who publishes it, which catalogue tells of it, and its page where it has
/// one that may be shown as a link.
#[must_use]
pub fn based_on(origin: &HarvestOrigin) -> Value {
    let mut told = json!({
        "@type": "CreativeWork", "name": origin.record.title, "identifier": origin.foreign_id,
        "publisher": { "@type": "Organization", "name": origin.publisher() },
        "isPartOf": { "@type": "DataCatalog", "name": origin.source_name },
    });
    if let (Some(told), Some((url, _))) = (told.as_object_mut(), origin.page()) {
        told.insert("url".into(), url.into());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::harvest::{HarvestOutcome, Record};

    #[test]
    fn an_origin_is_told_without_what_is_no_address_of_the_web() {
        let mut origin = HarvestOrigin {
            source: "s".into(),
            source_name: "来源目录".into(),
            foreign_id: "a-1".into(),
            entry: "hv_1".into(),
            digest: String::new(),
            outcome: HarvestOutcome::New,
            first_turn: String::new(),
            seen_turn: String::new(),
            last_seen: String::new(),
            gone_at: String::new(),
            record: Record {
                title: "行道树".into(),
                address: "https://data.example/a-1".into(),
                publisher: "园林局".into(),
                ..Record::default()
            },
        };
        let want = json!({
            "@type": "CreativeWork", "name": "行道树", "identifier": "a-1", "url": "https://data.example/a-1",
            "publisher": { "@type": "Organization", "name": "园林局" },
            "isPartOf": { "@type": "DataCatalog", "name": "来源目录" },
        });
        assert_eq!(based_on(&origin), want);
        origin.record.publisher.clear();
        for bad in ["javascript:alert(1)", "https://user:word@data.example/", ""] {
            origin.record.address = bad.into();
            let told = based_on(&origin);
            assert!(told.get("url").is_none(), "{told}");
            assert_eq!(told["publisher"]["name"], "来源目录");
        }
    }
}
