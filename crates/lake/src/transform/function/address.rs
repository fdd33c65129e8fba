//! An address taken apart by the names of regions and by the words that end them.
//!
//! The province and city are the region table's where it knows them (Zhejiang), else what ends with 省, 自治区, 市 and the
//! like. 市辖区 and 县 of old lists stand for nothing. A name that the table knows is enough without what ends it:
//! `浙江杭州西湖区文三路`.

use std::collections::HashMap;
use std::sync::LazyLock;

use model::region::{Region, RegionLevel, parent_of, zhejiang};

use super::super::words::Refusal;
use super::{Books, Given, Told};

/// Parts of an address; what is not there is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) province: String,
    pub(super) city: String,
    pub(super) county: String,
    pub(super) town: String,
    pub(super) rest: String,
}

const MUNICIPAL: [&str; 4] = ["北京市", "上海市", "天津市", "重庆市"];
/// Names that hold an ending within them.
const TOWN_ENDS: [&str; 5] = ["街道", "镇", "民族乡", "乡", "苏木"];

static REGIONS: LazyLock<Vec<Region>> = LazyLock::new(zhejiang);
/// Name of a code.
static NAMES: LazyLock<HashMap<&'static str, &'static Region>> =
    LazyLock::new(|| REGIONS.iter().map(|r| (r.code.as_str(), r)).collect());

pub(super) fn address_part(_: &Books, given: &[Given<'_>]) -> Result<Told, Refusal> {
    let [address, part] = given else { return Ok(Told::Null) };
    let parts = split(address.text());
    let text = match part.text().trim() {
        "province" | "省" => parts.province,
        "city" | "市" => parts.city,
        "county" | "县" | "区" => parts.county,
        "town" | "镇" | "街道" => parts.town,
        "rest" | "余" => parts.rest,
        other => {
            return Err(Refusal {
                zh: format!(
                    "address_part 的第二个参数应为 province、city、county、town 或 rest，现为 `{other}`"
                ),
                en: format!(
                    "the second argument of address_part is province, city, county, town or rest, not `{other}`"
                ),
            });
        }
    };
    Ok(if text.is_empty() { Told::Null } else { Told::Text(text) })
}

/// Takes an address apart.
pub(super) fn split(address: &str) -> Address {
    let text: String = address.chars().filter(|c| !c.is_whitespace()).collect();
    let mut rest = text.as_str();
    let mut out = Address::default();
    for country in ["中华人民共和国", "中国"] {
        rest = rest.strip_prefix(country).unwrap_or(rest);
    }
    out.province = province(&mut rest);
    if MUNICIPAL.contains(&out.province.as_str()) {
        out.city.clone_from(&out.province);
        rest = rest.strip_prefix(out.city.as_str()).unwrap_or(rest);
        rest = rest.strip_prefix("市辖区").unwrap_or(rest);
    }
    let ours = out.province.is_empty() || out.province == "浙江省";
    let mut code = None;
    if out.city.is_empty() {
        if ours && let Some(region) = known(&mut rest, RegionLevel::City, None) {
            code = Some(region.code.clone());
            out.city.clone_from(&region.name_cn);
            rest = rest.strip_prefix("市辖区").unwrap_or(rest);
        } else if !out.province.is_empty() {
            out.city = ended(&mut rest, &["自治州", "地区", "盟", "市"], 8);
        }
    }
    if ours && let Some(region) = known(&mut rest, RegionLevel::County, code.as_deref()) {
        out.county.clone_from(&region.name_cn);
        code = Some(region.code.clone());
    } else if !out.city.is_empty() || !out.province.is_empty() {
        out.county =
            ended(&mut rest, &["自治县", "自治旗", "林区", "特区", "区", "县", "市", "旗"], 12);
    }
    // A county that the table knows says its city and province.
    if let Some(code) = code {
        fill(&mut out, &code);
    }
    out.town = town(&mut rest);
    out.rest = rest.to_owned();
    out
}

fn fill(out: &mut Address, code: &str) {
    let mut above = Some(code.to_owned());
    while let Some(code) = above {
        if let Some(region) = NAMES.get(code.as_str()) {
            match region.level {
                RegionLevel::Province => out.province.clone_from(&region.name_cn),
                RegionLevel::City if out.city.is_empty() => out.city.clone_from(&region.name_cn),
                _ => {}
            }
        }
        above = parent_of(&code);
    }
}

fn province(rest: &mut &str) -> String {
    for city in MUNICIPAL {
        if rest.starts_with(city) {
            *rest = rest.get(city.len()..).unwrap_or_default();
            return city.to_owned();
        }
    }
    if let Some(after) = rest.strip_prefix("浙江") {
        *rest = after.strip_prefix('省').unwrap_or(after);
        return "浙江省".to_owned();
    }
    ended(rest, &["特别行政区", "自治区", "省"], 9)
}

/// A region of the table at the start, its name whole or without what ends it.
fn known(rest: &mut &str, level: RegionLevel, under: Option<&str>) -> Option<&'static Region> {
    let mut best: Option<(&'static Region, usize)> = None;
    for region in REGIONS.iter().filter(|r| r.level == level) {
        if let Some(city) = under
            && region.parent.as_deref() != Some(city)
        {
            continue;
        }
        let whole = region.name_cn.as_str();
        let short = whole.trim_end_matches(['市', '县', '区']);
        let taken = if rest.starts_with(whole) {
            whole.len()
        } else if short.chars().count() > 1
            && rest.starts_with(short)
            // 西湖文化广场 is no district, 西湖区 was looked for above.
            && level == RegionLevel::City
        {
            short.len()
        } else {
            continue;
        };
        if best.is_none_or(|(_, length)| taken > length) {
            best = Some((region, taken));
        }
    }
    let (region, taken) = best?;
    *rest = rest.get(taken..).unwrap_or_default();
    Some(region)
}

/// What stands before the first of `ends`, with it, when that comes within `most` characters and after two at least.
fn ended(rest: &mut &str, ends: &[&str], most: usize) -> String {
    let mut found: Option<usize> = None;
    for end in ends {
        for (at, _) in rest.match_indices(end) {
            let stop = at + end.len();
            let characters = rest.get(..stop).map_or(0, |t| t.chars().count());
            if characters > most {
                break;
            }
            let enough = characters >= 2;
            if enough && found.is_none_or(|best| stop < best) {
                found = Some(stop);
            }
            if enough {
                break;
            }
        }
    }
    let Some(stop) = found else { return String::new() };
    let (name, after) = rest.split_at(stop);
    *rest = after;
    name.to_owned()
}

fn town(rest: &mut &str) -> String {
    let mut probe = *rest;
    let name = ended(&mut probe, &TOWN_ENDS, 10);
    // 路 or 号 before the ending: it belongs to a street or a house, not to a town.
    let street = |c: char| "路号弄幢巷".contains(c) || c.is_ascii_digit();
    if name.is_empty() || name.contains(street) {
        return String::new();
    }
    *rest = probe;
    name
}
