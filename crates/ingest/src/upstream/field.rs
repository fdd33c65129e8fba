//! Where fields stand in an answer: texts in the order of `take`, row by row. Everything else of the answer is let go here.

use model::Result;
use model::interface::Upstream as Described;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use serde_json::Value as Json;

use super::malformed;

/// One row: what was found of each field.
pub(super) type Fields = Vec<Option<String>>;

/// Most elements within each other.
const DEEPEST: usize = 64;

/// Rows of an answer in JSON: an array of objects, or one object.
pub(super) fn of_json(text: &str, described: &Described) -> Result<Vec<Fields>> {
    let whole: Json = serde_json::from_str(text)
        .map_err(|e| malformed("不是合法的 JSON", "it is not JSON").caused_by(e))?;
    let at = &described.rows_at;
    let rows = whole
        .pointer(at)
        .ok_or_else(|| malformed(&format!("没有 `{at}`"), &format!("there is no `{at}`")))?;
    match rows {
        Json::Null => Ok(Vec::new()),
        Json::Array(all) => all.iter().map(|row| object(row, described)).collect(),
        one => Ok(vec![object(one, described)?]),
    }
}

fn object(row: &Json, described: &Described) -> Result<Fields> {
    if !row.is_object() {
        return Err(malformed("有的行不是对象", "a row is no object"));
    }
    described.take.iter().map(|take| cell(row, take.place())).collect()
}

fn cell(row: &Json, place: &str) -> Result<Option<String>> {
    let found = place.split('.').try_fold(row, |at, name| at.get(name));
    match found {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(Json::Number(n)) => Ok(Some(n.to_string())),
        Some(Json::Bool(b)) => Ok(Some(b.to_string())),
        Some(Json::Array(_) | Json::Object(_)) => Err(malformed(
            &format!("字段 `{place}` 不是单个值"),
            &format!("the field `{place}` is no single value"),
        )),
    }
}

/// An element with what is in it. Names are without their prefix.
#[derive(Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    text: String,
    attributes: Vec<(String, String)>,
    pub(crate) within: Vec<Element>,
}

impl Element {
    /// The elements in it of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.within.iter().filter(move |e| e.name == name)
    }
    pub(crate) fn first<'a>(&'a self, name: &'a str) -> Option<&'a Element> {
        self.all(name).next()
    }
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    /// The text in it, without white space around.
    pub(crate) fn words(&self) -> &str {
        self.text.trim()
    }
}

/// Rows of an answer in XML: the elements at a place.
pub(super) fn of_xml(text: &str, described: &Described) -> Result<Vec<Fields>> {
    let root = tree(text)?;
    let mut names = described.rows_at.split('/').filter(|n| !n.is_empty());
    let mut found = match names.next() {
        None => vec![&root],
        Some(first) if first == root.name => vec![&root],
        Some(first) => {
            return Err(malformed(&format!("没有 `{first}`"), &format!("there is no `{first}`")));
        }
    };
    for name in names {
        found = found.iter().flat_map(|e| e.all(name)).collect();
    }
    found
        .into_iter()
        .map(|row| described.take.iter().map(|take| inside(row, take.place())).collect())
        .collect()
}

fn inside(row: &Element, place: &str) -> Result<Option<String>> {
    let mut at = row;
    for name in place.split('.') {
        if let Some(name) = name.strip_prefix('@') {
            return Ok(at.attribute(name).map(str::to_owned));
        }
        match at.first(name) {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    if !at.within.is_empty() {
        return Err(malformed(
            &format!("字段 `{place}` 不是单个值"),
            &format!("the field `{place}` is no single value"),
        ));
    }
    let text = at.words();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn bad() -> model::Error {
    malformed("不是合法的 XML", "it is not XML")
}

/// The whole answer. Definitions of a document type (and with them entities of its own) are refused.
pub(crate) fn tree(text: &str) -> Result<Element> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|e| bad().caused_by(e))?;
        let ended = matches!(event, Event::End(_) | Event::Empty(_));
        match event {
            Event::Start(start) | Event::Empty(start) => {
                if open.len() > DEEPEST {
                    return Err(malformed("层次过深", "it is nested too deeply"));
                }
                open.push(begun(&start)?);
            }
            Event::Text(text) => add(&mut open, &text.xml10_content()),
            Event::CData(text) => add(&mut open, &text.xml10_content()),
            Event::GeneralRef(name) => {
                match name.resolve_char_ref().map_err(|e| bad().caused_by(e))? {
                    Some(c) => add(&mut open, c.encode_utf8(&mut [0; 4])),
                    None => add(&mut open, resolve_predefined_entity(&name).ok_or_else(bad)?),
                }
            }
            Event::DocType(_) => return Err(malformed("含有 DTD", "it brings a DTD")),
            Event::Eof => break,
            Event::End(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
        if ended && open.len() > 1 {
            let Some(done) = open.pop() else { return Err(bad()) };
            let Some(around) = open.last_mut() else { return Err(bad()) };
            around.within.push(done);
        }
    }
    match (open.len(), open.pop().and_then(|mut all| all.within.pop())) {
        (1, Some(root)) => Ok(root),
        _ => Err(bad()),
    }
}

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn begun(start: &BytesStart<'_>) -> Result<Element> {
    let mut element =
        Element { name: start.local_name().as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| bad().caused_by(e))?;
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|e| bad().caused_by(e))?;
        let name = attribute.key.local_name().as_ref().to_owned();
        element.attributes.push((name, value.into_owned()));
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use model::interface::InterfaceDraft;

    use super::*;

    fn described(rows_at: &str, form: &str, from: &[&str]) -> Described {
        let take: String = from
            .iter()
            .enumerate()
            .map(|(n, f)| format!("[[upstream.take]]\nitem = \"i{n}\"\nfrom = \"{f}\"\n"))
            .collect();
        let text = format!(
            "title = \"t\"\nentry = \"e\"\nkind = \"proxied\"\n[upstream]\nurl = \"http://a.example/\"\n\
             rows_at = \"{rows_at}\"\nform = \"{form}\"\n{take}"
        );
        InterfaceDraft::read(&text).unwrap().upstream.unwrap()
    }

    fn texts(rows: &[Fields]) -> Vec<String> {
        let cell = |c: &Option<String>| c.clone().unwrap_or_else(|| "-".into());
        rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join("|")).collect()
    }

    #[test]
    fn fields_of_json_stand_where_they_are_described() {
        let d = described("/data/list", "json", &["no", "holder.name", "n"]);
        let answer = r#"{"code":0,"data":{"list":[
            {"no":"A1","holder":{"name":"某公司","secret":"x"},"n":1.50,"more":[1]},
            {"no":null,"holder":{},"n":true}]}}"#;
        let rows = of_json(answer, &d).unwrap();
        assert_eq!(texts(&rows), ["A1|某公司|1.5", "-|-|true"]);
        let one = of_json(r#"{"data":{"list":{"no":"B"}}}"#, &d).unwrap();
        assert_eq!(texts(&one), ["B|-|-"]);
        assert!(of_json(r#"{"data":{"list":null}}"#, &d).unwrap().is_empty());
        for wrong in [
            "",
            "{",
            r#"{"data":{}}"#,
            r#"{"data":{"list":[1]}}"#,
            r#"{"data":{"list":[{"no":[1]}]}}"#,
        ] {
            let e = of_json(wrong, &d).unwrap_err();
            assert_eq!(e.code(), model::Code::SourceUnavailable, "{wrong}");
        }
        let deep = "[".repeat(100_000);
        assert!(of_json(&deep, &d).is_err());
    }

    #[test]
    fn fields_of_xml_stand_where_they_are_described() {
        let d = described("Reply/List/Item", "xml", &["No", "Holder.Name", "@state"]);
        let answer = "<?xml version=\"1.0\"?><r:Reply xmlns:r=\"u\"><List>\
            <Item state=\"a&amp;b\"><No> A&#49; </No><Holder><Name><![CDATA[某<公司>]]></Name></Holder></Item>\
            <Item><No/><!-- x --></Item></List><Other/></r:Reply>";
        assert_eq!(texts(&of_xml(answer, &d).unwrap()), ["A1|某<公司>|a&b", "-|-|-"]);
        assert!(of_xml("<Reply><List/></Reply>", &d).unwrap().is_empty());
        for wrong in [
            "",
            "<Reply>",
            "<Reply></List>",
            "<Other/>",
            "<!DOCTYPE r [<!ENTITY a \"aa\">]><Reply/>",
            "<Reply><List><Item><No>&a;</No></Item></List></Reply>",
            "<Reply><List><Item><No><Deep/></No></Item></List></Reply>",
        ] {
            assert!(of_xml(wrong, &d).is_err(), "{wrong}");
        }
        assert!(of_xml(&"<a>".repeat(1000), &d).is_err());
    }
}
