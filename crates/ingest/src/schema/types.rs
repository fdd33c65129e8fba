//! Types of PostgreSQL and of MySQL as types of data items.

use model::code::DataType;

/// How a type maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) data_type: DataType,
    pub(super) length: u32,
    pub(super) precision: u8,
    pub(super) scale: u8,
    /// What should be known of it; empty when it maps plainly.
    pub(super) note: (String, String),
}

impl Mapped {
    fn of(data_type: DataType) -> Self {
        Self { data_type, length: 0, precision: 0, scale: 0, note: Default::default() }
    }
    pub(super) fn text() -> Self {
        Self::of(DataType::Text)
    }
    fn long(length: u32) -> Self {
        Self { length, ..Self::text() }
    }
    fn noted(self, zh: &str, en: &str) -> Self {
        Self { note: (zh.to_owned(), en.to_owned()), ..self }
    }
}

/// Most digits of a decimal item.
const DIGITS: u32 = 28;

/// The item's type for a type as the database writes it; `None` where the catalogue has none.
pub(super) fn map(written: &str, mysql: bool) -> Option<Mapped> {
    let lower = written.trim().to_ascii_lowercase();
    let (head, rest) = lower.split_once('(').unwrap_or((lower.as_str(), ""));
    let (arguments, tail) = rest.split_once(')').unwrap_or(("", ""));
    let base = head.split_whitespace().collect::<Vec<_>>().join(" ");
    let numbers: Vec<u32> = arguments.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let first = numbers.first().copied().unwrap_or(0);
    let as_text = |zh: &str, en: &str| Some(Mapped::text().noted(zh, en));
    if lower.ends_with("[]") {
        return as_text("数组以文本归集", "an array is collected as text");
    }
    let unsigned = tail.contains("unsigned") || base.contains("unsigned");
    let base = base.trim_end_matches(" unsigned").trim_end_matches(" zerofill");
    Some(match base {
        "character varying" | "varchar" | "character" | "char" | "bpchar" | "nchar"
        | "nvarchar" => Mapped::long(first),
        "text" | "citext" | "name" | "tinytext" | "mediumtext" | "longtext" | "enum" | "set" => {
            Mapped::text()
        }
        "uuid" => Mapped::long(36),
        "\"char\"" => Mapped::long(1),
        "bigint" | "int8" if unsigned => Mapped { precision: 20, ..Mapped::of(DataType::Decimal) }
            .noted(
                "无符号长整数超出整数型范围，按小数型（20 位）编目",
                "an unsigned big integer exceeds the integer type: it is a decimal of 20 digits",
            ),
        "smallint" | "integer" | "bigint" | "int" | "int2" | "int4" | "int8" | "tinyint"
        | "mediumint" | "serial" | "bigserial" | "smallserial" | "oid" | "year" => {
            Mapped::of(DataType::Integer)
        }
        "numeric" | "decimal" | "dec" => {
            return Some(decimal(first, numbers.get(1).copied().unwrap_or(0)));
        }
        "real" | "double precision" | "double" | "float" | "float4" | "float8" => {
            Mapped::of(DataType::Float)
        }
        "boolean" | "bool" => Mapped::of(DataType::Boolean),
        "bit" if first <= 1 => Mapped::of(DataType::Boolean),
        "bit" | "bit varying" => {
            return as_text("位串以文本归集", "a bit string is collected as text");
        }
        "date" => Mapped::of(DataType::Date),
        "timestamp"
        | "datetime"
        | "timestamp without time zone"
        | "timestamp with time zone"
        | "timestamptz" => Mapped::of(DataType::DateTime),
        "time" | "time without time zone" | "time with time zone" | "interval" => {
            return as_text("时间或时长以文本归集", "a time or an interval is collected as text");
        }
        "json" | "jsonb" => Mapped::of(DataType::Json),
        "geometry" | "geography" | "point" | "linestring" | "polygon" | "multipoint"
        | "multilinestring" | "multipolygon" | "geometrycollection" => {
            Mapped::of(DataType::Geometry).noted(
                if mysql {
                    "空间型：归集查询中请写 ST_AsText(列)"
                } else {
                    "空间型：PostGIS 请在归集查询中写 ST_AsText(列)"
                },
                "a geometry: write ST_AsText(column) in the query that collects it",
            )
        }
        "inet" | "cidr" | "macaddr" | "macaddr8" | "money" | "xml" | "hstore" | "int4range"
        | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" | "inet4" | "inet6" => {
            return as_text(
                "数据库自有类型，以文本归集",
                "a type of the database's own, collected as text",
            );
        }
        _ => return None,
    })
}

fn decimal(digits: u32, after: u32) -> Mapped {
    let byte = |n: u32| u8::try_from(n.min(DIGITS)).unwrap_or(0);
    let mapped =
        Mapped { precision: byte(digits), scale: byte(after), ..Mapped::of(DataType::Decimal) };
    if digits > DIGITS || after > DIGITS {
        return mapped.noted(
            "小数型最多 28 位；超出的值归集时会进入隔离区",
            "a decimal has 28 digits at most; longer values are quarantined when collected",
        );
    }
    mapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_map_to_those_of_items() {
        let told = |written, mysql| match map(written, mysql) {
            Some(m) => format!(
                "{} {} {},{}{}",
                m.data_type,
                m.length,
                m.precision,
                m.scale,
                if m.note.0.is_empty() { "" } else { " !" }
            ),
            None => "-".to_owned(),
        };
        for (written, mysql, want) in [
            ("character varying(20)", false, "text 20 0,0"),
            ("varchar(20)", true, "text 20 0,0"),
            ("text", false, "text 0 0,0"),
            ("numeric(10,2)", false, "decimal 0 10,2"),
            ("numeric", false, "decimal 0 0,0"),
            ("decimal(38,10)", true, "decimal 0 28,10 !"),
            ("int(10) unsigned", true, "integer 0 0,0"),
            ("bigint(20) unsigned", true, "decimal 0 20,0 !"),
            ("bigint unsigned", true, "decimal 0 20,0 !"),
            ("timestamp(3) with time zone", false, "datetime 0 0,0"),
            ("timestamp without time zone", false, "datetime 0 0,0"),
            ("integer[]", false, "text 0 0,0 !"),
            ("bit(1)", true, "boolean 0 0,0"),
            ("bit(8)", true, "text 0 0,0 !"),
            ("geometry(Point,4490)", false, "geometry 0 0,0 !"),
            ("enum('a','b')", true, "text 0 0,0"),
            ("bytea", false, "-"),
            ("longblob", true, "-"),
            ("tsvector", false, "-"),
        ] {
            assert_eq!(told(written, mysql), want, "{written}");
        }
    }
}
