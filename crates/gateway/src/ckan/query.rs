//! Solr's language, as clients of CKAN write it, into what the search port is asked: `q`, `fq`, `fq_list` and `sort`. The grammar is
//! that of `tantivy-query-grammar` (Lucene's: fields, phrases, ranges, `AND OR NOT + -`, groups); each condition it finds
//! is translated or refused by name, never passed over.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use model::code::Domain;
use model::org::Org;
use model::search::{When, Within};
use tantivy_query_grammar::{Occur, UserInputAst, UserInputBound, UserInputLeaf, parse_query};

use super::fault::Fault;
use super::shape;

/// Longest expression in characters.
const LONGEST: usize = 8_000;
/// Deepest nesting of brackets.
const DEPTH: usize = 12;

/// What a query of the catalogue comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Words to be found, by which what is found is ranked.
    pub(super) text: String,
    pub(super) within: Option<Within>,
}

/// Reads `q` and the filters beside it.
pub(super) fn read(q: &str, filters: &[String], known: &[Org]) -> Result<Asked, Fault> {
    let mut all = Vec::new();
    let mut text = Vec::new();
    match one(q, known) {
        Ok(Within::And(parts)) => all.extend(parts),
        Ok(other) => all.push(other),
        // Plain words are no expression: brackets and dashes in them mean nothing.
        Err(_) if !q.contains(':') && q.chars().count() <= LONGEST => text.push(q.to_owned()),
        Err(fault) => return Err(fault),
    }
    // Words that must be found anyway rank what is found.
    let mut rest = Vec::new();
    for part in all {
        match part {
            Within::Words(words) => text.push(words),
            other => rest.push(other),
        }
    }
    for filter in filters.iter().filter(|f| !f.trim().is_empty()) {
        rest.push(one(filter, known)?);
    }
    Ok(Asked { text: text.join(" "), within: (!rest.is_empty()).then_some(Within::And(rest)) })
}

fn one(written: &str, known: &[Org]) -> Result<Within, Fault> {
    if written.chars().count() > LONGEST || deepest(written) > DEPTH {
        return Err(Fault::query(
            &format!("检索式过长或嵌套过深（最多 {LONGEST} 字、{DEPTH} 层括号）"),
            &format!(
                "the expression is too long or too deep ({LONGEST} characters, {DEPTH} brackets at most)"
            ),
        ));
    }
    // `*:*` is Solr's word for everything, and the grammar's is `*`.
    let plain = written.replace("*:*", "*");
    let ast = parse_query(plain.trim()).map_err(|_| {
        let shown: String = written.chars().take(200).collect();
        Fault::query(
            &format!("检索式 `{shown}` 无法识别，请检查引号、括号与 字段:值 的写法"),
            &format!("`{shown}` cannot be read: look at quotes, brackets and field:value"),
        )
    })?;
    tree(&ast, known)
}

/// How deep brackets stand in each other, those within quotes included: it only bounds what the parser is given.
fn deepest(written: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0_usize);
    for c in written.chars() {
        match c {
            '(' => now += 1,
            ')' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

fn tree(ast: &UserInputAst, known: &[Org]) -> Result<Within, Fault> {
    match ast {
        UserInputAst::Boost(inner, _) => tree(inner, known),
        UserInputAst::Leaf(leaf) => condition(leaf, known),
        UserInputAst::Clause(parts) => {
            let (mut all, mut any) = (Vec::new(), Vec::new());
            for (occur, part) in parts {
                let part = tree(part, known)?;
                match occur {
                    // What stands beside each other must all hold, as CKAN asks it of Solr.
                    Some(Occur::Must) | None => all.push(part),
                    Some(Occur::MustNot) => all.push(Within::Not(Box::new(part))),
                    Some(Occur::Should) => any.push(part),
                }
            }
            // Beside what must hold, what should only ranks.
            let must =
                parts.iter().any(|(o, _)| !matches!(o, Some(Occur::Should | Occur::MustNot)));
            if !any.is_empty() && !must {
                all.push(Within::Or(any));
            }
            Ok(match (all.pop(), all.is_empty()) {
                (Some(only), true) => only,
                (last, _) => {
                    all.extend(last);
                    Within::And(all)
                }
            })
        }
    }
}

fn condition(leaf: &UserInputLeaf, known: &[Org]) -> Result<Within, Fault> {
    match leaf {
        UserInputLeaf::All => Ok(everything()),
        UserInputLeaf::Literal(literal) => match &literal.field_name {
            None => Ok(Within::Words(words(&literal.phrase))),
            Some(field) => value(field, &literal.phrase, known),
        },
        UserInputLeaf::Exists { field } => {
            // Every data set has every field, if only an empty one.
            value(field, "", known).map(|_| everything())
        }
        UserInputLeaf::Set { field: Some(field), elements } => {
            let each = elements.iter().map(|e| value(field, e, known));
            each.collect::<Result<Vec<_>, _>>().map(Within::Or)
        }
        UserInputLeaf::Range { field: Some(field), lower, upper } => range(field, lower, upper),
        UserInputLeaf::Regex { .. } => {
            Err(Fault::query("不支持正则表达式", "regular expressions are not offered"))
        }
        UserInputLeaf::Set { field: None, .. } | UserInputLeaf::Range { field: None, .. } => {
            Err(Fault::query(
                "范围或集合前应写字段名，如 metadata_modified:[2026-01-01T00:00:00Z TO *]",
                "a range or set wants a field before it, as metadata_modified:[2026-01-01T00:00:00Z TO *]",
            ))
        }
    }
}

fn everything() -> Within {
    Within::And(Vec::new())
}

fn nothing() -> Within {
    Within::Or(Vec::new())
}

/// Beginnings of words are found anyway: the star after one says nothing more.
fn words(phrase: &str) -> String {
    phrase.trim_end_matches('*').to_owned()
}

/// Fields that can be asked for.
const FIELDS: &str = "title, text, name, id, tags, organization, owner_org, groups, res_format, region, update_cycle, \
                      open_type, grade, metadata_created, metadata_modified, state, type, dataset_type, private, capacity";

fn value(field: &str, phrase: &str, known: &[Org]) -> Result<Within, Fault> {
    let facet = |name: &str, value: String| Within::Facet { name: name.to_owned(), value };
    let is = |truth: bool| if truth { everything() } else { nothing() };
    Ok(match field.strip_prefix("extras_").unwrap_or(field) {
        "text" => Within::Words(words(phrase)),
        "title" | "title_string" => Within::Title(words(phrase)),
        "name" | "id" => {
            if phrase.ends_with('*') {
                return Err(Fault::query(
                    &format!("字段 {field} 只能精确匹配，不支持通配符"),
                    &format!("the field {field} is matched as a whole, without a wildcard"),
                ));
            }
            Within::Named(phrase.to_owned())
        }
        "tags" => Within::Tag(phrase.to_owned()),
        "organization" | "owner_org" => {
            // Names are those CKAN allows; the ledger's own may be others.
            let org = known.iter().find(|o| o.id == phrase || shape::name(&o.id) == phrase);
            org.map_or_else(nothing, |o| facet("org", o.id.clone()))
        }
        "groups" => {
            let domain = Domain::ALL.iter().find(|d| shape::is_group(**d, phrase));
            domain.map_or_else(nothing, |d| facet("domain", d.as_str().to_owned()))
        }
        "res_format" => {
            let format = shape::format(phrase);
            facet(shape::format_facet(&format), format)
        }
        "region" => facet("region", phrase.to_owned()),
        "update_cycle" => facet("update_cycle", phrase.to_owned()),
        "open_type" => facet("open_type", phrase.to_owned()),
        "grade" => facet("grade", phrase.to_owned()),
        "metadata_created" | "metadata_modified" => {
            let at = UserInputBound::Inclusive(phrase.to_owned());
            if phrase.is_empty() { everything() } else { range(field, &at, &at)? }
        }
        "state" => is(phrase == "active"),
        "type" | "dataset_type" => is(phrase == "dataset"),
        "private" => is(phrase == "false"),
        "capacity" => is(phrase == "public"),
        _ => {
            let shown: String = field.chars().take(60).collect();
            return Err(Fault::query(
                &format!("没有可检索的字段 `{shown}`，可用：{FIELDS}"),
                &format!("undefined field `{shown}`; use one of {FIELDS}"),
            ));
        }
    })
}

fn range(field: &str, lower: &UserInputBound, upper: &UserInputBound) -> Result<Within, Fault> {
    let when = match field {
        "metadata_created" => When::Published,
        "metadata_modified" => When::Changed,
        _ => {
            let shown: String = field.chars().take(60).collect();
            return Err(Fault::query(
                &format!("字段 `{shown}` 不支持范围，可用：metadata_created、metadata_modified"),
                &format!(
                    "the field `{shown}` takes no range; metadata_created and metadata_modified do"
                ),
            ));
        }
    };
    let thousandth = chrono::TimeDelta::milliseconds(1);
    let bound = |bound: &UserInputBound, aside: chrono::TimeDelta| match bound {
        UserInputBound::Unbounded => Ok(String::new()),
        UserInputBound::Inclusive(text) if text == "*" => Ok(String::new()),
        UserInputBound::Inclusive(text) => time(text).map(stamp),
        UserInputBound::Exclusive(text) => {
            let at = time(text)?;
            Ok(stamp(at.checked_add_signed(aside).unwrap_or(at)))
        }
    };
    Ok(Within::Time { when, from: bound(lower, thousandth)?, to: bound(upper, -thousandth)? })
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time as Solr writes it, with or without zone, or a date.
fn time(text: &str) -> Result<DateTime<Utc>, Fault> {
    let utc = |naive: NaiveDateTime| naive.and_utc();
    DateTime::parse_from_rfc3339(text)
        .map(|t| t.with_timezone(&Utc))
        .ok()
        .or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(utc))
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(utc))
        .ok_or_else(|| {
            let shown: String = text.chars().take(60).collect();
            Fault::query(
                &format!("时间 `{shown}` 应形如 2026-01-02T03:04:05Z"),
                &format!("the time `{shown}` must read like 2026-01-02T03:04:05Z"),
            )
        })
}

/// How a list is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// By the search port, in its own word.
    Port(&'static str),
    /// By a text that the port has no order of: put in order here, of as many as one page holds.
    Name { title: bool, descending: bool },
}

/// `metadata_modified desc, name asc`: the first decides; ties are in a fixed order.
pub(super) fn sort(written: &str) -> Result<Sort, Fault> {
    let first = written.split(',').next().unwrap_or_default().trim();
    let mut words = first.split_whitespace();
    let field = words.next().unwrap_or_default();
    let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(unsorted(first)),
    };
    Ok(match (field, descending) {
        ("" | "score" | "relevance", _) => Sort::Port("relevance"),
        ("metadata_modified" | "last_modified" | "data_modified", true) => Sort::Port("changed_at"),
        ("metadata_modified" | "last_modified" | "data_modified", false) => {
            Sort::Port("changed_at asc")
        }
        ("metadata_created", true) => Sort::Port("published_at"),
        ("metadata_created", false) => Sort::Port("published_at asc"),
        ("id", true) => Sort::Port("id"),
        ("id", false) => Sort::Port("id asc"),
        ("name", descending) => Sort::Name { title: false, descending },
        ("title" | "title_string", descending) => Sort::Name { title: true, descending },
        _ => return Err(unsorted(first)),
    })
}

fn unsorted(written: &str) -> Fault {
    let shown: String = written.chars().take(60).collect();
    Fault::query(
        &format!(
            "不能按 `{shown}` 排序，可用：score、metadata_modified、metadata_created、id、name、title，后接 asc 或 desc"
        ),
        &format!(
            "cannot sort by `{shown}`; use score, metadata_modified, metadata_created, id, name or title with asc or desc"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(q: &str) -> Asked {
        read(q, &[], &[]).unwrap()
    }

    fn refused(q: &str) -> String {
        format!("{:?}", read(q, &[], &[]).unwrap_err())
    }

    fn domain(value: &str) -> Within {
        Within::Facet { name: "domain".into(), value: value.into() }
    }

    #[test]
    fn words_rank_and_conditions_narrow() {
        for all in ["", "*:*", "*", "  "] {
            assert_eq!(asked(all).text, "", "{all}");
        }
        assert_eq!(asked("水质 监测").text, "水质 监测");
        assert_eq!(asked("水质").within, None);
        let both = asked("水质 AND groups:11");
        assert_eq!(
            (both.text.as_str(), both.within),
            ("水质", Some(Within::And(vec![domain("11")])))
        );
        let either = asked("groups:11 OR groups:market-regulation OR 水质");
        assert_eq!(either.text, "");
        let or = vec![domain("11"), domain("11"), Within::Words("水质".into())];
        assert_eq!(either.within, Some(Within::And(vec![Within::Or(or)])));
        // Brackets and dashes of plain words are no syntax.
        assert_eq!(asked("PM2.5 (日报").text, "PM2.5 (日报");
    }

    #[test]
    fn what_clients_send_is_understood() {
        let not = |within| Within::And(vec![Within::Not(Box::new(within))]);
        assert_eq!(asked("-groups:13").within, Some(not(domain("13"))));
        assert_eq!(asked("(groups:11 OR groups:13)").within, asked("groups:(11 OR 13)").within);
        let all = ["+state:active".to_owned(), "dataset_type:dataset".to_owned()];
        assert!(read("*:*", &all, &[]).unwrap().within.is_some());
        let since = asked("metadata_modified:[2026-01-02T03:04:05Z TO *]").within.unwrap();
        let time = Within::Time {
            when: When::Changed,
            from: "2026-01-02T03:04:05.000Z".into(),
            to: String::new(),
        };
        assert_eq!(since, Within::And(vec![time]));
        let open = asked("metadata_created:{2026-01-02T00:00:00Z TO 2026-01-03}").within.unwrap();
        assert!(format!("{open:?}").contains("2026-01-02T00:00:00.001Z"), "{open:?}");
    }

    #[test]
    fn what_cannot_be_translated_is_refused_by_name() {
        assert!(refused("colour:red").contains("colour"));
        assert!(refused("title:[a TO b]").contains("title"));
        assert!(refused("metadata_modified:[NOW-7DAYS TO *]").contains("Search Query Error"));
        assert!(refused("title:(a").contains("title:(a"));
        assert!(refused(&format!("title:{}a", "(".repeat(40))).contains("too deep"));
        assert!(refused("name:/a.*/").contains("regular"));
    }

    #[test]
    fn orders_are_those_of_the_port_or_refused() {
        assert_eq!(sort("score desc, metadata_modified desc").unwrap(), Sort::Port("relevance"));
        assert_eq!(sort("metadata_modified desc").unwrap(), Sort::Port("changed_at"));
        assert_eq!(sort("id asc").unwrap(), Sort::Port("id asc"));
        assert_eq!(sort("title_string").unwrap(), Sort::Name { title: true, descending: false });
        assert!(sort("views_recent desc").is_err() && sort("name sideways").is_err());
    }
}
