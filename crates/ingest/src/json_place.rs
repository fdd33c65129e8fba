//! Where the table lies in a JSON text, and the names that stand beside it.

use model::Result;
use policy::port::ReadOptions;

use crate::content::bad_file;
use crate::json_scan::{self, Kind, Site};
use crate::matching::Header;
use crate::why::cut;

/// The place of the table: the one asked for, else the largest array of objects, else of arrays, else a map.
pub(crate) fn choose(
    sites: &[Site],
    options: &ReadOptions,
    start: usize,
    text: &str,
    notes: &mut Vec<(String, String)>,
) -> Result<Site> {
    let name = |s: &Site| s.path.join(".");
    let list =
        |sites: &[&Site]| cut(&sites.iter().map(|s| name(s)).collect::<Vec<_>>().join("、"), 200);
    if let Some(wanted) = options.sheet.as_deref().filter(|s| !s.is_empty()) {
        let all: Vec<&Site> = sites.iter().collect();
        return sites.iter().find(|s| name(s) == wanted).cloned().ok_or_else(|| {
            bad_file(
                format!("JSON 中没有「{wanted}」这个数组；可选：{}", list(&all)),
                format!("the JSON has no array `{wanted}`; there are: {}", list(&all)),
            )
        });
    }
    if let Some(root) = sites.iter().find(|s| s.path.is_empty() && s.kind != Kind::Map) {
        return Ok(root.clone());
    }
    for kind in [Kind::Objects, Kind::Arrays] {
        let of_kind: Vec<&Site> = sites.iter().filter(|s| s.kind == kind && s.count > 0).collect();
        if let Some(best) = of_kind.iter().max_by_key(|s| s.bytes) {
            if of_kind.len() > 1 {
                notes.push((
                    format!("JSON 中有多个数组（{}），读取「{}」；可用「工作表」选项另选", list(&of_kind), name(best)),
                    format!("the JSON has several arrays ({}); `{}` is read; another can be chosen with the sheet option", list(&of_kind), name(best)),
                ));
            }
            return Ok((*best).clone());
        }
    }
    // An empty array under a usual name is a table without rows.
    if let Some(empty) = sites.iter().find(|s| {
        s.count == 0 && s.kind == Kind::Scalars && s.path.last().is_some_and(|n| usual(n))
    }) {
        return Ok(empty.clone());
    }
    let maps: Vec<&Site> = sites.iter().filter(|s| s.kind == Kind::Map).collect();
    if let Some(best) = maps
        .iter()
        .max_by_key(|s| (s.count, std::cmp::Reverse(s.path.len())))
        .filter(|s| !s.path.is_empty() || nested(text, start))
    {
        notes.push((
            format!(
                "JSON 对象「{}」按键值表读取（列 key）{}",
                name(best),
                if maps.len() > 1 { format!("；另有：{}", list(&maps)) } else { String::new() }
            ),
            format!(
                "the JSON object `{}` is read as a table by key (column key){}",
                name(best),
                if maps.len() > 1 {
                    format!("; there are also: {}", list(&maps))
                } else {
                    String::new()
                }
            ),
        ));
        return Ok((*best).clone());
    }
    if text.as_bytes().get(start) == Some(&b'{')
        && json_scan::value_end(text.as_bytes(), start).is_some()
    {
        notes.push((
            "JSON 是单个对象，按一条记录读取".to_owned(),
            "the JSON is one object and is read as one record".to_owned(),
        ));
        return Ok(Site { path: Vec::new(), kind: Kind::Sequence, start, count: 1, bytes: 0 });
    }
    Err(bad_file(
        "JSON 中没有找到由对象组成的数组，或文件不完整；请提供 [{…},{…}] 或 {\"data\":[{…}]} 形式的数据",
        "no array of objects was found in the JSON, or the file is incomplete; provide [{…},{…}] or {\"data\":[{…}]}",
    ))
}

fn usual(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "data", "datas", "records", "rows", "items", "list", "result", "results", "features",
        "values", "value", "content",
    ]
    .contains(&name.as_str())
}

/// Every member of the root object is itself an object.
fn nested(text: &str, start: usize) -> bool {
    let Some(end) = json_scan::value_end(text.as_bytes(), start) else { return false };
    let members = json_scan::members(text.get(start..end).unwrap_or_default());
    !members.is_empty() && members.iter().all(|(_, v)| v.starts_with('{'))
}

/// `{"columns":["a","b"],"data":[[1,2]]}`: names that stand beside array rows.
pub(crate) fn names_beside(sites: &[Site], table: &Site, text: &str) -> Option<Vec<Header>> {
    let words = ["columns", "fields", "header", "headers", "columnnames", "cols", "names"];
    let parent = table.path.split_last()?.1;
    let first_end =
        json_scan::value_end(text.as_bytes(), json_scan::skip(text.as_bytes(), table.start))?;
    let width = json_scan::elements(text.get(table.start..first_end)?.trim_start()).len();
    let site = sites.iter().find(|s| {
        s.path.split_last().is_some_and(|(last, above)| {
            above == parent && words.contains(&last.to_ascii_lowercase().as_str())
        }) && s.count == width
    })?;
    let array = text.get(site.start.checked_sub(1)?..)?;
    let end = json_scan::value_end(array.as_bytes(), 0)?;
    let names = json_scan::elements(array.get(..end)?)
        .into_iter()
        .map(|raw| {
            let named = raw.starts_with('{').then(|| {
                json_scan::members(raw)
                    .into_iter()
                    .find(|(k, _)| k == "name" || k == "field")
                    .and_then(|(_, v)| json_scan::cell_text(v))
            });
            Header::plain(
                named
                    .flatten()
                    .or_else(|| json_scan::cell_text(raw))
                    .unwrap_or_default()
                    .into_owned(),
            )
        })
        .collect();
    Some(names)
}
