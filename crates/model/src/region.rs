//! Regions: administrative divisions with GB/T 2260 codes (six digits: province 2, city 2, county 2).

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Level of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegionLevel {
    Province,
    City,
    County,
}

/// One region. `code` is its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    pub code: String,
    pub name_cn: String,
    pub name_en: String,
    pub level: RegionLevel,
    /// Code of the parent; `None` for the province.
    pub parent: Option<String>,
}

/// Level told by a GB/T 2260 code: `330000` province, `330100` city, `330106` county.
pub fn level_of(code: &str) -> Result<RegionLevel> {
    let bad = || {
        Error::invalid(
            format!("行政区划代码 `{code}` 应为 6 位数字（GB/T 2260）"),
            format!("region code `{code}` must be six digits (GB/T 2260)"),
        )
    };
    if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    Ok(match (code.ends_with("0000"), code.ends_with("00")) {
        (true, _) => RegionLevel::Province,
        (_, true) => RegionLevel::City,
        _ => RegionLevel::County,
    })
}

/// Code of the parent region by GB/T 2260 (`330106` → `330100` → `330000` → none).
#[must_use]
pub fn parent_of(code: &str) -> Option<String> {
    match level_of(code).ok()? {
        RegionLevel::Province => None,
        RegionLevel::City => code.get(..2).map(|p| format!("{p}0000")),
        RegionLevel::County => code.get(..4).map(|p| format!("{p}00")),
    }
}

/// Whether `outer` is `inner` or one of its ancestors.
#[must_use]
pub fn covers(outer: &str, inner: &str) -> bool {
    match level_of(outer) {
        Ok(RegionLevel::Province) => outer.get(..2) == inner.get(..2),
        Ok(RegionLevel::City) => outer.get(..4) == inner.get(..4),
        Ok(RegionLevel::County) => outer == inner,
        Err(_) => false,
    }
}

/// What the codes of a region and of those below it begin with: `330100` → `3301`.
#[must_use]
pub fn prefix(code: &str) -> &str {
    let city = code.strip_suffix("00").unwrap_or(code);
    city.strip_suffix("00").unwrap_or(city)
}

/// The same of a code that somebody typed; refuses what is no code of a region.
pub fn prefix_of(code: &str) -> Result<&str> {
    level_of(code)?;
    Ok(prefix(code))
}

/// Zhejiang: 1 province, 11 cities, 90 county units (GB/T 2260 as of 2023).
pub fn zhejiang() -> Vec<Region> {
    include_str!("../rules/regions_zhejiang.csv")
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut f = line.split(',');
            let code = f.next()?.to_owned();
            Some(Region {
                level: level_of(&code).ok()?,
                parent: parent_of(&code),
                name_cn: f.next()?.to_owned(),
                name_en: f.next().unwrap_or_default().to_owned(),
                code,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zhejiang_has_11_cities_and_90_counties() {
        let all = zhejiang();
        let count = |l| all.iter().filter(|r| r.level == l).count();
        assert_eq!(
            (count(RegionLevel::Province), count(RegionLevel::City), count(RegionLevel::County)),
            (1, 11, 90)
        );
        for r in &all {
            assert!(r.parent.as_ref().is_none_or(|p| all.iter().any(|x| &x.code == p)), "{r:?}");
        }
    }

    #[test]
    fn a_region_holds_those_below() {
        for (region, part) in [("330000", "33"), ("330100", "3301"), ("330106", "330106"), ("", "")]
        {
            assert_eq!(prefix(region), part);
        }
    }

    #[test]
    fn a_prefix_holds_what_is_below() {
        let found = ["330000", "330100", "330106"].map(|code| prefix_of(code).unwrap());
        assert_eq!(found, ["33", "3301", "330106"]);
        assert!(prefix_of("33%").is_err());
    }

    #[test]
    fn covering_follows_the_code() {
        assert!(covers("330000", "330106") && covers("330100", "330106"));
        assert!(!covers("330200", "330106") && !covers("330106", "330100"));
    }
}
