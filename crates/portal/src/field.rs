//! Fields to mend, told by what the reader knows of them. A fault knows a field by the name that its form posts (`due-2`); a template
//! leaves a mark for it, and when the page is whole the mark becomes the label that stands on the form, in the page's own language,
//! with the way to the field. On a page without that form (an error's own page) it is a word of the list `form_field`.

use crate::label;
use crate::visit::Lang;

/// Begins a mark; the field's name follows, then [`MARK_END`]. No text of a visitor can hold it: such texts are escaped.
const MARK: &str = "<code data-field=\"";
const MARK_END: &str = "\"></code>";

/// What a label tells of a field.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    label: String,
    /// The field's place on the page.
    id: Option<String>,
}

/// The page with its marks told.
pub(crate) fn told(page: String, lang: Lang) -> String {
    if !page.contains(MARK) {
        return page;
    }
    let (mut out, mut rest) = (String::with_capacity(page.len()), page.as_str());
    while let Some((before, after)) = rest.split_once(MARK) {
        out.push_str(before);
        rest = after;
        if let Some((field, behind)) = after.split_once(MARK_END) {
            out.push_str(&shown(&page, field, lang));
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

/// A field as it is shown. Its name and the page's labels are escaped already.
fn shown(page: &str, field: &str, lang: Lang) -> String {
    if let Some(place) = of_table(field, lang) {
        return format!("<code>{place}</code>");
    }
    let path = field.contains(['[', ' ']);
    let mut found = if path { Vec::new() } else { labels(page, field) };
    // Fields of the ledgers are posted with their kind before their name.
    if found.is_empty() && !path {
        found = labels(page, &format!("field-{field}"));
    }
    let word = word(field, lang);
    // Several forms of a page may have a field of this name: under labels that differ nobody can tell which it was.
    let agreed = found.iter().all(|one| found.first().is_none_or(|f| f.label == one.label));
    match (found.into_iter().next(), word) {
        (Some(Told { label, id: Some(id) }), _) if agreed => {
            format!("<a href=\"#{id}\">{label}</a>")
        }
        (Some(Told { label, id: None }), _) if agreed => format!("<strong>{label}</strong>"),
        // A place in a list is told with its number.
        (_, Some(word)) if path => format!("<strong>{word}</strong> <code>{field}</code>"),
        (_, Some(word)) => format!("<strong>{word}</strong>"),
        (Some(Told { label, .. }), None) => format!("<strong>{label}</strong>"),
        (None, None) => format!("<code>{field}</code>"),
    }
}

/// A place in a table that was brought: a row, with the heading of a column as the file has it, or a heading.
fn of_table(field: &str, lang: Lang) -> Option<String> {
    let zh = lang == Lang::Zh;
    if let Some(heading) = field.strip_prefix("headings.") {
        return Some(format!("{} {heading}", if zh { "标题行" } else { "heading" }));
    }
    let (number, column) = field.strip_prefix("rows[")?.split_once(']')?;
    let number: u64 = number.parse().ok()?;
    let column = column.strip_prefix('.').map(|c| format!(" {c}")).unwrap_or_default();
    Some(if zh { format!("第 {number} 行{column}") } else { format!("row {number}{column}") })
}

/// The word for a field's name where no label tells it: for `due-2` that of `due`, for `items[2].grade` that of a data item's `grade`.
fn word(field: &str, lang: Lang) -> Option<&'static str> {
    let numbered = |(name, n): (&str, &str)| n.parse::<u32>().ok().map(|_| name.to_owned());
    let stem = field.rsplit_once('-').and_then(numbered).unwrap_or_else(|| field.to_owned());
    let last = stem.rsplit(['.', ' ']).next().unwrap_or_default();
    ["form_field", "entry_field"]
        .into_iter()
        .find_map(|kind| label::known(kind, &stem, lang).or_else(|| label::known(kind, last, lang)))
}

/// Labels of the visible controls of a page that post this name.
fn labels(page: &str, field: &str) -> Vec<Told> {
    let wanted = format!(" name=\"{field}\"");
    let controls: Vec<(usize, &str)> = page
        .match_indices(&wanted)
        .filter_map(|(at, _)| {
            let start = page.get(..at)?.rfind('<')?;
            let tag = page.get(start..)?.split_inclusive('>').next()?;
            let control = ["<input", "<select", "<textarea"].iter().any(|c| tag.starts_with(c));
            let hidden = attribute(tag, "type") == Some("hidden");
            (control && !hidden).then_some((start, tag))
        })
        .collect();
    let several = controls.len() > 1;
    let label = |(start, tag): &(usize, &str)| {
        let choice = match attribute(tag, "type") {
            Some("radio") => true,
            Some("checkbox") => several,
            _ => false,
        };
        let id = attribute(tag, "id");
        // One of several boxes is labelled by its answer; what is asked stands over them all.
        let label = match choice {
            true => legend(page, *start),
            false => attribute(tag, "aria-label")
                .and_then(text)
                .or_else(|| id.and_then(|id| label_for(page, id)))
                .or_else(|| label_around(page, *start)),
        }?;
        Some(Told { label, id: id.map(str::to_owned) })
    };
    controls.iter().filter_map(label).collect()
}

/// The value of an attribute of a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

/// The text of `<label for="id">`.
fn label_for(page: &str, id: &str) -> Option<String> {
    let wanted = format!(" for=\"{id}\"");
    page.match_indices(&wanted).find_map(|(at, _)| {
        let tag = page.get(page.get(..at)?.rfind('<')?..)?;
        let inner = tag.starts_with("<label").then(|| tag.split_once('>'))??.1;
        text(inner.split("</label>").next()?)
    })
}

/// The text of the label that a control stands in.
fn label_around(page: &str, control: usize) -> Option<String> {
    let tag = page.get(page.get(..control)?.rfind("<label")?..)?;
    let (inner, _) = tag.split_once('>')?.1.split_once("</label>")?;
    // It ends behind the control, or it is that of another one.
    let end = page.len() - tag.len() + tag.find("</label>")?;
    (end > control).then(|| text(inner))?
}

/// The legend of the set of fields that a control stands in.
fn legend(page: &str, control: usize) -> Option<String> {
    let before = page.get(..control)?;
    let set = before.get(before.rfind("<fieldset")?..)?;
    let open = !set.contains("</fieldset>");
    let (_, legend) = open.then(|| set.split_once("<legend"))??;
    let (inner, _) = legend.split_once('>')?.1.split_once("</legend>")?;
    text(inner)
}

/// What a piece of a page says, without tags and without what is chosen or typed in it; `None` when it says nothing.
fn text(html: &str) -> Option<String> {
    let (mut out, mut rest) = (String::new(), html);
    while let Some((before, tag)) = rest.split_once('<') {
        out.push_str(before);
        let filled = ["select", "textarea"].into_iter().find(|name| tag.starts_with(*name));
        let behind = match filled {
            Some(name) => tag.split_once(&format!("</{name}>")),
            None => tag.split_once('>'),
        };
        rest = behind.map_or("", |(_, behind)| behind);
    }
    out.push_str(rest);
    let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = words.trim_end_matches([' ', '*', ':', '：']);
    (!words.is_empty()).then(|| words.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sources;

    /// A form of every kind of label there is.
    const FORM: &str = r#"<form><input type="hidden" name="seen" value="1">
        <div class="field"><label for="d2">完成时间 <span>*</span></label><input type="date" id="d2" name="due-2"></div>
        <label>目的：<input name="purpose"></label>
        <label>级别 <select name="level"><option>甲</option></select></label>
        <input type="search" aria-label="检索 &lt;b&gt;" name="q">
        <fieldset><legend>方式</legend><label><input type="radio" name="way" value="a"> 密钥</label>
        <label><input type="radio" name="way" value="b"> 印章</label></fieldset>
        <label class="check"><input type="checkbox" name="agreed"> 我已阅读</label></form>"#;

    fn on(page: &str, field: &str) -> String {
        let whole = told(format!("{MARK}{field}{MARK_END}{page}"), Lang::Zh);
        whole.strip_suffix(page).unwrap().to_owned()
    }

    #[test]
    fn a_field_is_told_by_the_label_on_its_form() {
        for (field, shown) in [
            ("due-2", "<a href=\"#d2\">完成时间</a>"),
            ("purpose", "<strong>目的</strong>"),
            ("level", "<strong>级别</strong>"),
            ("q", "<strong>检索 &lt;b&gt;</strong>"),
            ("way", "<strong>方式</strong>"),
            ("agreed", "<strong>我已阅读</strong>"),
        ] {
            assert_eq!(on(FORM, field), shown, "{field}");
        }
    }

    #[test]
    fn without_its_form_a_field_is_told_by_a_word_and_a_place_with_its_number() {
        assert_eq!(on("", "confirm"), "<strong>确认语</strong>");
        assert_eq!(on("", "due-7"), "<strong>完成时间</strong>");
        assert_eq!(
            on(FORM, "items[2].grade"),
            "<strong>安全级别</strong> <code>items[2].grade</code>"
        );
        assert_eq!(on(FORM, "nowhere_known"), "<code>nowhere_known</code>");
        assert_eq!(told("<p>plain</p>".into(), Lang::Zh), "<p>plain</p>");
    }

    #[test]
    fn rows_of_a_file_are_told_in_the_pages_language() {
        for (field, zh, en) in [
            ("rows[3].标识符", "第 3 行 标识符", "row 3 标识符"),
            ("rows[12]", "第 12 行", "row 12"),
            ("headings.颜色", "标题行 颜色", "heading 颜色"),
            ("rows[x]", "rows[x]", "rows[x]"),
        ] {
            let told = |lang| told(format!("{MARK}{field}{MARK_END}"), lang);
            assert_eq!(told(Lang::Zh), format!("<code>{zh}</code>"));
            assert_eq!(told(Lang::En), format!("<code>{en}</code>"));
        }
    }

    #[test]
    fn labels_that_differ_tell_the_word_instead() {
        let two = r#"<form><label>驳回原因<input name="reason"></label></form>
            <form><label>停用原因<input name="reason"></label></form>"#;
        assert_eq!(on(two, "reason"), "<strong>理由</strong>");
        let same = r#"<form><label>驳回原因<input name="reason"></label><label>驳回原因 *<input name="reason"></label></form>"#;
        assert_eq!(on(same, "reason"), "<strong>驳回原因</strong>");
    }

    #[test]
    fn every_field_that_a_fault_of_the_rooms_or_pages_names_has_words() {
        let (mut fields, mut bare) = (BTreeSet::new(), BTreeSet::new());
        for text in sources::texts(&["app", "portal"]) {
            // A field that is read as a number may be a fault, too.
            let numbers = text.split(".number(\"").skip(1);
            fields.extend(numbers.filter_map(|n| n.split('"').next()).map(str::to_owned));
            // Of a fault alone: `.field("name", …`, not `.field("name")` of a table, nor of what is shown for debugging (`&self…`).
            for call in text.split(".field(").skip(1) {
                let Some(rest) = call.trim_start().strip_prefix('"') else { continue };
                let Some((name, behind)) = rest.split_once('"') else { continue };
                let told = behind.trim_start_matches([',', ' ', '\n']);
                if behind.starts_with(',') && !told.starts_with('&') {
                    fields.insert(name.to_owned());
                }
            }
        }
        assert!(fields.len() > 60 && fields.contains("confirm"), "{fields:?}");
        for field in &fields {
            if word(field, Lang::Zh).is_none() || word(field, Lang::En).is_none() {
                bare.insert(field);
            }
        }
        assert!(bare.is_empty(), "no words in `label/fields.rs` for {bare:?}");
    }
}
