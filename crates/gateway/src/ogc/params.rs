//! Parameters of OGC API: what nobody knows is refused (Features, requirement 24), what is known is read strictly.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use model::{Code, Error, Result};

/// Items of a page where nothing is said.
const LIMIT: u64 = 10;

/// Name and value of each parameter.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn wrong(name: &str, zh: &str, en: &str) -> Error {
    let shown: String = name.chars().take(60).collect();
    Error::new(
        Code::InvalidQuery,
        format!("参数 `{shown}` {zh}"),
        format!("the parameter `{shown}` {en}"),
    )
}

pub(super) fn unknown(name: &str) -> Error {
    wrong(name, "不存在", "is not known here")
}

/// Only the format may be said, and there is one.
pub(super) fn none(query: &str) -> Result<()> {
    pairs(query).iter().try_for_each(|(name, value)| match name.as_str() {
        "f" => format(value),
        _ => Err(unknown(name)),
    })
}

pub(super) fn format(value: &str) -> Result<()> {
    match value {
        "json" | "geojson" => Ok(()),
        _ => Err(wrong("f", "只能为 json", "can only be json")),
    }
}

/// What can be asked of any list of items.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) limit: u64,
    pub(super) bbox: Option<[f64; 4]>,
    /// From and to, RFC 3339 in UTC; empty is open.
    pub(super) time: Option<(String, String)>,
}

impl Default for Window {
    fn default() -> Self {
        Self { limit: LIMIT, bbox: None, time: None }
    }
}

impl Window {
    /// Takes a parameter when it is one of these.
    pub(super) fn take(&mut self, name: &str, value: &str, most: u64) -> Result<bool> {
        match name {
            "f" => format(value)?,
            "limit" => {
                let limit: Option<u64> = value.trim().parse().ok().filter(|n| *n > 0);
                self.limit = limit
                    .ok_or_else(|| {
                        wrong(name, "应为正整数", "must be a whole number, one or more")
                    })?
                    .min(most);
            }
            "bbox" => self.bbox = Some(bbox(value)?),
            "crs" | "bbox-crs" if value.ends_with("/CRS84") => {}
            "crs" | "bbox-crs" => {
                return Err(wrong(name, "只支持 CRS84", "can only be CRS84"));
            }
            "datetime" => self.time = Some(interval(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Four numbers, or six with heights that do not matter.
fn bbox(value: &str) -> Result<[f64; 4]> {
    let bad = || {
        wrong(
            "bbox",
            "应为 西,南,东,北 四个数，如 120,30,121,31",
            "must be four numbers: west,south,east,north",
        )
    };
    let numbers: Vec<f64> = value
        .split(',')
        .map(|n| n.trim().parse::<f64>())
        .collect::<Result<_, _>>()
        .map_err(|_| bad())?;
    let box_of = match numbers.as_slice() {
        [west, south, east, north] => [*west, *south, *east, *north],
        [west, south, _, east, north, _] => [*west, *south, *east, *north],
        _ => return Err(bad()),
    };
    let [_, south, _, north] = box_of;
    if numbers.iter().all(|n| n.is_finite()) && south <= north { Ok(box_of) } else { Err(bad()) }
}

/// A moment, or two with `/` between them; `..` is open.
fn interval(value: &str) -> Result<(String, String)> {
    let bad = || {
        wrong(
            "datetime",
            "应为 RFC 3339 时间或区间，如 2026-01-01T00:00:00Z/..",
            "must be a time of RFC 3339 or an interval, as 2026-01-01T00:00:00Z/..",
        )
    };
    let one = |text: &str, end: bool| match text.trim() {
        "" | ".." => Ok(String::new()),
        text => moment(text, end).map(stamp).ok_or_else(bad),
    };
    match value.split_once('/') {
        Some((from, to)) => {
            let (from, to) = (one(from, false)?, one(to, true)?);
            let ordered = from.is_empty() || to.is_empty() || from <= to;
            if ordered && !(from.is_empty() && to.is_empty()) { Ok((from, to)) } else { Err(bad()) }
        }
        None => {
            let (from, to) = (one(value, false)?, one(value, true)?);
            if from.is_empty() { Err(bad()) } else { Ok((from, to)) }
        }
    }
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time, or the beginning or end of a day in China.
fn moment(text: &str, end: bool) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.with_timezone(&Utc));
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let at = if end { day.and_hms_milli_opt(23, 59, 59, 999) } else { day.and_hms_opt(0, 0, 0) };
    Some(at?.and_local_timezone(model::op::china()).single()?.with_timezone(&Utc))
}

/// An address with other parameters than it came with.
pub(super) fn with(pairs: &[(String, String)], set: &[(&str, String)]) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if !set.iter().any(|(n, _)| n == name) {
            out.append_pair(name, value);
        }
    }
    for (name, value) in set {
        out.append_pair(name, value);
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use app::opening::place;

    use super::*;

    #[test]
    fn boxes_are_read_strictly_and_touch() {
        assert_eq!(bbox("120,30,121,31").unwrap(), [120.0, 30.0, 121.0, 31.0]);
        assert_eq!(bbox("120,30,0,121,31,9").unwrap(), [120.0, 30.0, 121.0, 31.0]);
        for bad in ["", "1,2,3", "a,b,c,d", "0,5,1,4", "1,2,3,4,5", "0,0,inf,1"] {
            assert!(bbox(bad).is_err(), "{bad}");
        }
        let point = [120.5, 30.5, 120.5, 30.5];
        assert!(place::touches([120.0, 30.0, 121.0, 31.0], point));
        assert!(!place::touches([121.0, 30.0, 122.0, 31.0], point));
        assert!(place::touches([170.0, -10.0, -170.0, 10.0], [175.0, 0.0, 175.0, 0.0]));
    }

    #[test]
    fn times_are_moments_or_intervals() {
        let day = interval("2026-01-02").unwrap();
        assert_eq!(day, ("2026-01-01T16:00:00.000Z".into(), "2026-01-02T15:59:59.999Z".into()));
        assert_eq!(interval("../2026-01-02T00:00:00Z").unwrap().0, "");
        assert_eq!(interval("2026-01-02T08:00:00+08:00/").unwrap().0, "2026-01-02T00:00:00.000Z");
        for bad in ["", "yesterday", "../..", "2026-02-01/2026-01-01", "/"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
