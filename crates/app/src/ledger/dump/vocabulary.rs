//! Words of the tables that DCAT-AP points to: the authority tables of the European Publications Office, IANA's media types, and the
//! built-in types of CSVW.

use model::code::{DataType, ShareType, UpdateCycle};

const AUTHORITY: &str = "http://publications.europa.eu/resource/authority/";
const MEDIA: &str = "https://www.iana.org/assignments/media-types/";

/// Formats that the authority table has a word for.
const FILE_TYPES: [(&str, &str); 13] = [
    ("CSV", "CSV"),
    ("JSON", "JSON"),
    ("JSON-LD", "JSON_LD"),
    ("GEOJSON", "GEOJSON"),
    ("XML", "XML"),
    ("RDF", "RDF"),
    ("TTL", "RDF_TURTLE"),
    ("XLSX", "XLSX"),
    ("XLS", "XLS"),
    ("PDF", "PDF"),
    ("ZIP", "ZIP"),
    ("HTML", "HTML"),
    ("TXT", "TXT"),
];

/// Who may reach a thing.
pub(super) fn access_right(access: ShareType) -> String {
    let word = match access {
        ShareType::Unconditional => "PUBLIC",
        ShareType::Restricted => "RESTRICTED",
        ShareType::None => "NON_PUBLIC",
    };
    format!("{AUTHORITY}access-right/{word}")
}

/// How often a thing is updated.
pub(super) fn frequency(cycle: UpdateCycle) -> String {
    let word = match cycle {
        UpdateCycle::RealTime => "UPDATE_CONT",
        UpdateCycle::Daily => "DAILY",
        UpdateCycle::Weekly => "WEEKLY",
        UpdateCycle::Monthly => "MONTHLY",
        UpdateCycle::Quarterly => "QUARTERLY",
        UpdateCycle::HalfYearly => "ANNUAL_2",
        UpdateCycle::Yearly => "ANNUAL",
        UpdateCycle::Irregular => "IRREG",
        UpdateCycle::Never => "NEVER",
        UpdateCycle::Other => "OTHER",
    };
    format!("{AUTHORITY}frequency/{word}")
}

/// A format that the authority table knows, whatever its case.
pub(super) fn file_type(word: &str) -> Option<String> {
    let found = FILE_TYPES.iter().find(|(known, _)| word.eq_ignore_ascii_case(known));
    found.map(|(_, table)| format!("{AUTHORITY}file-type/{table}"))
}

/// A media type by its place in IANA's registry, without its parameters; nothing of what is none.
pub(super) fn media_type(text: &str) -> Option<String> {
    let plain = text.split(';').next().unwrap_or_default().trim();
    let (kind, of) = plain.split_once('/')?;
    let named = |part: &str| {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b"!$&_.+-".contains(&b);
        !part.is_empty() && part.bytes().all(letter)
    };
    (named(kind) && named(of)).then(|| format!("{MEDIA}{plain}"))
}

/// A word of CSVW's built-in types.
pub(super) fn datatype(of: DataType) -> &'static str {
    match of {
        DataType::Text => "string",
        DataType::Integer => "integer",
        DataType::Decimal => "decimal",
        DataType::Float => "double",
        DataType::Boolean => "boolean",
        DataType::Date => "date",
        DataType::DateTime => "datetime",
        DataType::Geometry => "anyAtomicType",
        DataType::Json => "json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_asked_and_what_is_no_media_type_is_left_out() {
        assert_eq!(
            file_type("geojson").as_deref(),
            Some("http://publications.europa.eu/resource/authority/file-type/GEOJSON")
        );
        assert_eq!(file_type("API"), None);
        assert_eq!(
            media_type("text/csv; charset=utf-8").as_deref(),
            Some("https://www.iana.org/assignments/media-types/text/csv")
        );
        assert!(media_type("application/ld+json").is_some());
        for none in ["", "CSV", "text/", "/csv", "a b/c", "text/<b>", "文本/csv", "a/b/c"] {
            assert_eq!(media_type(none), None, "{none}");
        }
    }
}
