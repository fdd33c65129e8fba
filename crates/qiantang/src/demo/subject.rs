//! Whom and what synthetic rows speak of: persons, enterprises, places, days. Everything follows from an index,
//! so that tables agree with each other (the enterprise 17 of one table is the enterprise 17 of all).
//!
//! Identifiers pass their check digits and cannot belong to anyone: citizen numbers start with a city's code
//! (they are issued with county codes only), mobile numbers with 154 (not allocated), credit codes carry `DEM`.

use chrono::{Days, NaiveDate};
use model::ident;

use super::seeded::Seeded;

/// City code, name, longitude and latitude of its centre in 1/100000 degree.
pub(crate) const CITIES: [(&str, &str, i64, i64); 11] = [
    ("330100", "杭州市", 12_015_000, 3_027_000),
    ("330200", "宁波市", 12_155_000, 2_987_000),
    ("330300", "温州市", 12_070_000, 2_800_000),
    ("330400", "嘉兴市", 12_075_000, 3_075_000),
    ("330500", "湖州市", 12_009_000, 3_089_000),
    ("330600", "绍兴市", 12_058_000, 3_000_000),
    ("330700", "金华市", 11_965_000, 2_908_000),
    ("330800", "衢州市", 11_887_000, 2_894_000),
    ("330900", "舟山市", 12_220_000, 2_999_000),
    ("331000", "台州市", 12_142_000, 2_866_000),
    ("331100", "丽水市", 11_992_000, 2_845_000),
];

/// The city taken when an index has none.
pub(crate) const HANGZHOU: (&str, &str, i64, i64) = ("330100", "杭州市", 12_015_000, 3_027_000);

/// What the last cell of every row says (数据标注).
pub(crate) const MARK: &str = "合成数据";

/// A county with its city.
#[derive(Clone, Debug)]
pub(crate) struct County {
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) city: String,
    /// 1/100000 degree.
    pub(crate) longitude: i64,
    pub(crate) latitude: i64,
}

/// The 90 county units with an approximate position near their city's centre.
#[must_use]
pub(crate) fn counties() -> Vec<County> {
    model::region::zhejiang()
        .into_iter()
        .filter(|r| r.level == model::region::RegionLevel::County)
        .filter_map(|r| {
            let city = CITIES.iter().find(|c| c.0.get(..4) == r.code.get(..4))?;
            Some(County {
                name: r.name_cn,
                city: city.1.to_owned(),
                longitude: city.2,
                latitude: city.3,
                code: r.code,
            })
        })
        .collect()
}

/// What a row writer works with.
#[derive(Debug)]
pub(crate) struct Cast<'a> {
    /// Row number from 0.
    pub(crate) i: u64,
    /// Moves the subjects with the seed.
    pub(crate) shift: u64,
    pub(crate) rng: Seeded,
    pub(crate) counties: &'a [County],
}

/// A synthetic person.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) sex: &'static str,
    pub(crate) born: NaiveDate,
}

/// A synthetic enterprise.
#[derive(Clone, Debug)]
pub(crate) struct Firm {
    pub(crate) uscc: String,
    pub(crate) name: String,
}

const SURNAMES: &str = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜";
const GIVEN: &str = "安博晨达恩帆光浩嘉凯岚铭宁佩启荣书棠威欣雅泽子文武清云海山川";
const TRADES: [&str; 12] = [
    "数字科技",
    "智能制造",
    "纺织",
    "食品",
    "物流",
    "环保",
    "建材",
    "医药",
    "电子商务",
    "文化传媒",
    "农业发展",
    "机械",
];

fn nth(list: &str, i: u64) -> char {
    let count = list.chars().count() as u64;
    list.chars().nth(usize::try_from(i % count.max(1)).unwrap_or(0)).unwrap_or('测')
}

/// A day counted from 2026-01-01, the demo's fixed present.
#[must_use]
pub(crate) fn day(offset: i64) -> NaiveDate {
    let base = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap_or_default();
    let days = Days::new(offset.unsigned_abs());
    let moved = if offset < 0 { base.checked_sub_days(days) } else { base.checked_add_days(days) };
    moved.unwrap_or(base)
}

/// Person number `n`: unique for the first hundred million.
#[must_use]
pub(crate) fn person(n: u64) -> Person {
    let city = CITIES.get(usize::try_from(n % 11).unwrap_or(0)).map_or("330100", |c| c.0);
    // 27011 days (74 years) are walked in leaps, so that neighbours differ.
    let turn = n / 11;
    let born = day(-(6_000 + i64::try_from((turn % 27_011) * 7_919 % 27_011).unwrap_or(0)));
    let male = (n / 3).is_multiple_of(2);
    let sequence = (turn / 27_011) % 499 * 2 + if male { 1 } else { 2 };
    let first = format!("{city}{}{sequence:03}", born.format("%Y%m%d"));
    let check = ident::citizen_check(&first).unwrap_or('0');
    let mut name: String = [nth(SURNAMES, n / 2), nth(GIVEN, n * 7 + n / 31)].into_iter().collect();
    if !n.is_multiple_of(3) {
        name.push(nth(GIVEN, n * 13 + 5));
    }
    Person {
        id: format!("{first}{check}"),
        name: format!("{name}（测试）"),
        sex: if male { "男" } else { "女" },
        born,
    }
}

/// A credit code of registering authority and kind `head` (two digits) in `region`, for number `n`.
#[must_use]
pub(crate) fn credit_code(head: &str, region: &str, n: u64) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
    let mut serial = String::new();
    let mut rest = n;
    for _ in 0..5 {
        let at = usize::try_from(rest % 31).unwrap_or(0);
        serial.insert(0, DIGITS.get(at).copied().map_or('0', char::from));
        rest /= 31;
    }
    let body = format!("DEM{serial}");
    let inner = ident::org_code_check(&body).unwrap_or('0');
    let first = format!("{head}{region}{body}{inner}");
    let check = ident::uscc_check(&first).unwrap_or('0');
    format!("{first}{check}")
}

impl Cast<'_> {
    /// A number below `n` that walks through all of them and differs between tables of another seed.
    #[must_use]
    pub(crate) fn subject(&self) -> u64 {
        self.i + self.shift
    }

    /// The county of the row's subject.
    #[must_use]
    pub(crate) fn county(&self, n: u64) -> County {
        let at = usize::try_from(n % (self.counties.len().max(1) as u64)).unwrap_or(0);
        self.counties.get(at).cloned().unwrap_or_else(|| County {
            code: "330106".into(),
            name: "西湖区".into(),
            city: "杭州市".into(),
            longitude: 12_015_000,
            latitude: 3_027_000,
        })
    }

    /// Enterprise number `n`, seated in the county of the same number.
    #[must_use]
    pub(crate) fn firm(&self, n: u64) -> Firm {
        let county = self.county(n);
        let trade = TRADES.get(usize::try_from(n % 12).unwrap_or(0)).copied().unwrap_or("科技");
        let words: String = [nth(GIVEN, n / 7), nth(GIVEN, n / 11 + 9)].into_iter().collect();
        let city = county.city.trim_end_matches('市').to_owned();
        Firm {
            uscc: credit_code("91", &county.code, n),
            name: format!("{city}测试{words}{trade}{:04}有限公司", n % 10_000),
        }
    }

    /// Longitude and latitude in degrees with five digits, near a county's city.
    pub(crate) fn position(&mut self, county: &County) -> (String, String) {
        let x = county.longitude + self.rng.between(-12_000, 12_000);
        let y = county.latitude + self.rng.between(-9_000, 9_000);
        (super::seeded::decimal(x, 5), super::seeded::decimal(y, 5))
    }

    /// A made-up street address.
    pub(crate) fn address(&mut self, county: &County) -> String {
        const STREETS: [&str; 8] =
            ["示范路", "样例街", "演示大道", "模拟路", "合成巷", "钱塘测试路", "数据街", "目录路"];
        let street = self.rng.pick(&STREETS);
        format!("浙江省{}{}{street}{}号", county.city, county.name, self.rng.between(1, 999))
    }

    /// A mobile number of an unallocated block.
    pub(crate) fn mobile(&mut self) -> String {
        format!("154{:08}", self.rng.below(100_000_000))
    }

    /// A day up to `back` days before the demo's present.
    pub(crate) fn past(&mut self, back: i64) -> String {
        let offset = self.rng.between(1, back.max(1));
        day(-offset).format("%Y-%m-%d").to_string()
    }
}

/// GeoJSON point.
#[must_use]
pub(crate) fn point(longitude: &str, latitude: &str) -> String {
    format!(r#"{{"type":"Point","coordinates":[{longitude},{latitude}]}}"#)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn identifiers_are_valid_and_unique() {
        let counties = counties();
        assert_eq!(counties.len(), 90);
        let cast = Cast { i: 0, shift: 0, rng: Seeded::of(1, "x"), counties: &counties };
        let mut seen = BTreeSet::new();
        for n in (0..20_000).chain(297_000..300_000) {
            let person = person(n);
            ident::citizen_id(&person.id).unwrap_or_else(|e| panic!("{person:?}: {e}"));
            let odd = person.id.as_bytes()[16] % 2 == 1;
            assert_eq!(odd, person.sex == "男", "{person:?}");
            let firm = cast.firm(n);
            ident::uscc(&firm.uscc).unwrap_or_else(|e| panic!("{firm:?}: {e}"));
            assert!(seen.insert(person.id) && seen.insert(firm.uscc), "{n}");
        }
        let mut cast = cast;
        assert!(ident::mobile(&cast.mobile()));
    }
}
