//! Rules of the site as data (`rules/site.toml`): licence, limits of charts and comparisons, city sites, the open index.

use model::region::{RegionLevel, level_of};
use model::{Error, Result};
use serde::{Deserialize, Serialize};

/// The file.
#[derive(Clone, Debug, Deserialize)]
pub struct SiteRules {
    pub effective: String,
    pub licence: Licence,
    pub chart: ChartRules,
    pub versions: VersionRules,
    pub index: IndexRules,
    /// Nothing is measured or named by a rule file that says nothing of it.
    #[serde(default)]
    pub map: MapRules,
    #[serde(default)]
    pub city: Vec<City>,
}

/// What the map is drawn on, and where names of places are looked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapRules {
    pub rows: u64,
    pub places: usize,
    pub sets: usize,
    pub region_items: Vec<String>,
    pub name_items: Vec<String>,
    #[serde(default)]
    pub outline: Vec<Outline>,
}

/// An open set whose rows are outlines of regions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outline {
    pub level: RegionLevel,
    /// Its code.
    pub set: String,
}

/// What unconditionally open data may be used for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Licence {
    pub name_zh: String,
    pub name_en: String,
    pub terms_zh: Vec<String>,
    pub terms_en: Vec<String>,
}

/// Limits of charts.
#[derive(Clone, Debug, Deserialize)]
pub struct ChartRules {
    pub groups: u64,
    pub words: usize,
    pub steps: usize,
    pub points: u64,
    pub rows: u64,
}

/// Limits of versions and their comparison.
#[derive(Clone, Debug, Deserialize)]
pub struct VersionRules {
    pub listed: usize,
    pub rows: i64,
    pub counted: usize,
    pub shown: usize,
}

/// How the open index is computed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct IndexRules {
    pub effective: String,
    pub basis: String,
    pub full_sets: f64,
    pub full_cells: f64,
    pub fragments: usize,
    pub low_cells: i64,
    pub missing_percent: f64,
    pub stiff_percent: f64,
    /// Days within which somebody must have had rows of a set that has been open longer than that.
    #[serde(default = "quarter")]
    pub use_days: u64,
    pub keep_seconds: i64,
    pub weight: Weights,
}

/// Weights of the parts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Weights {
    pub quantity: f64,
    pub capacity: f64,
    pub quality: f64,
    pub timeliness: f64,
    pub metadata: f64,
    pub coverage: f64,
    /// Not counted by a rule file that says nothing of them.
    #[serde(default)]
    pub used: f64,
    #[serde(default)]
    pub reply: f64,
}

fn quarter() -> u64 {
    90
}

/// The face of a city's site.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct City {
    pub region: String,
    /// Its word in addresses: `/city/{slug}`.
    pub slug: String,
    pub name_zh: String,
    pub name_en: String,
    /// Colours, `#rrggbb`.
    pub brand: String,
    pub deep: String,
    pub accent: String,
    #[serde(default)]
    pub notice: Vec<Notice>,
}

/// A notice of a city.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Notice {
    /// `YYYY-MM-DD`; a notice is shown from this day on.
    pub day: String,
    pub zh: String,
    pub en: String,
}

impl SiteRules {
    /// The rules as shipped, or the operator's own.
    pub(crate) fn read(own: Option<SiteRules>) -> Result<Self> {
        let rules = match own {
            Some(own) => own,
            None => toml::from_str(include_str!("../../rules/site.toml")).map_err(|e| {
                Error::invalid(format!("规则文件有误：{e}"), format!("the rule file is wrong: {e}"))
            })?,
        };
        rules.check()?;
        Ok(rules)
    }

    /// The site of a city by its word or its region code.
    #[must_use]
    pub fn city(&self, word: &str) -> Option<&City> {
        self.city.iter().find(|c| c.slug == word || c.region == word)
    }

    fn check(&self) -> Result<()> {
        let wrong = |zh: String, en: String| Err(Error::invalid(zh, en));
        for (n, city) in self.city.iter().enumerate() {
            let slug = &city.slug;
            if !matches!(level_of(&city.region), Ok(RegionLevel::City)) {
                return wrong(
                    format!("城市站点 `{slug}` 的行政区划 `{}` 不是设区市", city.region),
                    format!("the region `{}` of the city site `{slug}` is not a city", city.region),
                );
            }
            if slug.is_empty() || !slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
                return wrong(
                    format!("城市站点的地址 `{slug}` 应由小写字母组成"),
                    format!("the word `{slug}` of a city site must be of small letters"),
                );
            }
            if self.city.iter().take(n).any(|c| c.slug == *slug || c.region == city.region) {
                return wrong(
                    format!("城市站点 `{slug}` 重复"),
                    format!("the city site `{slug}` stands twice"),
                );
            }
            for (name, colour) in
                [("brand", &city.brand), ("deep", &city.deep), ("accent", &city.accent)]
            {
                match contrast_with_white(colour) {
                    Some(contrast) if contrast >= 4.5 => {}
                    Some(contrast) => {
                        return wrong(
                            format!(
                                "城市站点 `{slug}` 的颜色 {name} `{colour}` 与白字的对比度为 {contrast:.1}，应不低于 4.5"
                            ),
                            format!(
                                "white on the colour {name} `{colour}` of the city site `{slug}` has a contrast of {contrast:.1}, 4.5 is the least"
                            ),
                        );
                    }
                    None => {
                        return wrong(
                            format!("城市站点 `{slug}` 的颜色 {name} `{colour}` 应形如 #0b4a6f"),
                            format!(
                                "the colour {name} `{colour}` of the city site `{slug}` must read like #0b4a6f"
                            ),
                        );
                    }
                }
            }
        }
        let w = self.index.weight;
        let parts = [
            w.quantity,
            w.capacity,
            w.quality,
            w.timeliness,
            w.metadata,
            w.coverage,
            w.used,
            w.reply,
        ];
        if parts.iter().any(|p| !p.is_finite() || *p < 0.0) || parts.iter().sum::<f64>() <= 0.0 {
            return wrong(
                "开放指数的权重应为非负数且不全为零".into(),
                "the weights of the open index must not be negative, nor all nought".into(),
            );
        }
        Ok(())
    }
}

/// Contrast of white text on a colour, as WCAG computes it; `None` for what is no colour.
fn contrast_with_white(colour: &str) -> Option<f64> {
    let hex = colour.strip_prefix('#').filter(|h| h.len() == 6)?;
    let number = u32::from_str_radix(hex, 16).ok()?;
    let light = |shift: u32| {
        let part = f64::from((number >> shift) & 0xff) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = 0.2126 * light(16) + 0.7152 * light(8) + 0.0722 * light(0);
    Some(1.05 / (luminance + 0.05))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_name_eleven_cities_that_white_text_can_be_read_on() {
        let rules = SiteRules::read(None).unwrap();
        assert_eq!(rules.city.len(), 11);
        let cities: Vec<_> = model::region::zhejiang()
            .into_iter()
            .filter(|r| r.level == RegionLevel::City)
            .map(|r| r.code)
            .collect();
        for code in cities {
            assert!(rules.city(&code).is_some(), "{code}");
        }
        let mut brands: Vec<_> = rules.city.iter().map(|c| c.brand.clone()).collect();
        brands.sort();
        brands.dedup();
        assert_eq!(brands.len(), 11, "no two cities look the same");
    }

    #[test]
    fn a_colour_that_cannot_be_read_and_a_weight_below_nought_are_refused() {
        let mut rules = SiteRules::read(None).unwrap();
        rules.city[0].brand = "#e0e0e0".into();
        let e = rules.check().unwrap_err();
        assert!(e.en().contains("4.5") && e.zh().contains("对比度"), "{e}");
        rules.city[0].brand = "red".into();
        assert!(rules.check().is_err());
        rules.city[0].brand = "#000000".into();
        rules.check().unwrap();
        rules.index.weight.quality = -1.0;
        assert!(rules.check().is_err());
        let white = contrast_with_white("#ffffff").unwrap();
        assert!((white - 1.0).abs() < 0.01);
    }
}
