//! What a column's values have in common: the narrowest type that holds them all, found without losing a digit.
//!
//! Codes stay text: values with leading zeros, 15 digits or more, or mobile numbers are identifiers, not quantities.

use model::code::DataType;
use model::parcel::SniffedColumn;

use crate::cell::nothing_word;
use crate::moment::{self, DateRule, Order};
use crate::number;
use crate::typing::{Hint, geometry};
use crate::why::cut;

/// What one cell looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Empty,
    /// `NA`, `-` and the like.
    Nothing,
    Number,
    Date,
    /// Leading zeros or very many digits.
    Code,
    Text,
}

impl Look {
    /// More than words: what stands in data and not in headers.
    pub(crate) fn typed(self) -> bool {
        matches!(self, Look::Number | Look::Date | Look::Code)
    }
}

/// Looks at one cell.
pub(crate) fn look(text: &str) -> Look {
    let text = text.trim();
    if text.is_empty() {
        return Look::Empty;
    }
    let starts = text.chars().next().unwrap_or(' ');
    if !(starts.is_ascii_digit()
        || matches!(starts, '-' | '+' | '.' | '０'..='９' | '民' | '二' | '一'))
        && !text.contains(|c: char| c.is_ascii_digit())
    {
        return if nothing_word(text) { Look::Nothing } else { Look::Text };
    }
    if code(text) {
        return Look::Code;
    }
    if number::number(text, false).is_ok() || number::number(text, true).is_ok() {
        return Look::Number;
    }
    if moment::moment(text, DateRule::default()).is_ok() || moment::slashed(text).is_some() {
        return Look::Date;
    }
    if nothing_word(text) { Look::Nothing } else { Look::Text }
}

/// Digits that name something: leading zeros, or more than fit a quantity.
fn code(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits
        && (text.len() >= 15 && moment_digits(text).is_none()
            || (text.len() > 1 && text.starts_with('0')))
}

fn moment_digits(text: &str) -> Option<()> {
    // `20240102030405` is a time; nothing longer is.
    (text.len() <= 14).then_some(())
}

/// Counts of what was seen in one column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) values: u64,
    empty: u64,
    nothing: u64,
    integers: u64,
    numbers: u64,
    comma_numbers: u64,
    certain_commas: u64,
    certain_points: u64,
    codes: u64,
    mobiles: u64,
    exponents: u64,
    percents: u64,
    booleans: u64,
    boolean_words: u64,
    truths: u64,
    dates: u64,
    times: u64,
    compact_dates: u64,
    slashed: u64,
    day_over: u64,
    month_over: u64,
    json: u64,
    geometries: u64,
    whole_digits: u32,
    scale: u32,
    comma_scale: u32,
    too_long: bool,
    pub(crate) longest: usize,
    pub(crate) examples: Vec<String>,
    /// The number with most digits after the point, and the one with most before it.
    deepest: String,
    widest: String,
    /// The first value that is not of the column's usual kind, for the note.
    odd: Option<(u64, String)>,
}

impl Shape {
    /// Takes one cell in. `line` is told when the cell spoils the column's type.
    pub(crate) fn see(&mut self, text: &str, exact_null: bool, line: u64) {
        let text = text.trim();
        if text.is_empty() || exact_null {
            self.empty += 1;
            return;
        }
        self.values += 1;
        self.longest = self.longest.max(text.len());
        if self.examples.len() < 5 && !self.examples.iter().any(|e| e == text) {
            self.examples.push(cut(text, 120));
        }
        if nothing_word(text) {
            self.nothing += 1;
            return;
        }
        let first = text.as_bytes().first().copied().unwrap_or(b' ');
        let numeric = first.is_ascii_digit()
            || matches!(first, b'-' | b'+' | b'.')
            || first == 0xef
            || first == 0xe2;
        let mut known = false;
        if numeric {
            known |= self.see_number(text);
        }
        if text.len() <= 5 || !text.is_ascii() && text.len() <= 9 {
            known |= self.see_boolean(text);
        }
        if numeric || (text.len() <= 64 && text.contains(|c: char| c.is_ascii_digit() || c == '年'))
        {
            known |= self.see_date(text);
        }
        if first == b'{' || first == b'[' {
            self.json += u64::from(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
            self.geometries += u64::from(geometry(text));
            known = true;
        }
        if !known && self.odd.is_none() {
            self.odd = Some((line, cut(text, 60)));
        }
    }

    fn see_number(&mut self, text: &str) -> bool {
        if code(text) {
            self.codes += 1;
        }
        if model::ident::mobile(text) {
            self.mobiles += 1;
        }
        let plain = number::number(text, false);
        if let Ok(n) = &plain {
            self.numbers += 1;
            let (mantissa, scale) = number::trimmed(*n);
            // `1.00` keeps its two digits: the column writes them.
            let written = n.scale;
            self.integers += u64::from(written == 0 && !n.percent && !n.exponent);
            self.percents += u64::from(n.percent);
            self.exponents += u64::from(n.exponent);
            self.certain_points += u64::from(text.contains('.') && !(n.scale == 3 && !n.grouped));
            let after = if n.exponent { scale } else { written };
            if after > self.scale {
                self.scale = after;
                self.deepest = cut(text, 120);
            }
            let digits = mantissa.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
            let whole = digits.saturating_sub(scale).max(1);
            if whole > self.whole_digits {
                self.whole_digits = whole;
                self.widest = cut(text, 120);
            }
            self.too_long |= digits > 28;
        }
        if text.contains(',') || (text.contains('.') && plain.is_err()) {
            if let Ok(n) = number::number(text, true) {
                self.comma_numbers += 1;
                if n.scale > self.comma_scale {
                    self.comma_scale = n.scale;
                    self.deepest = cut(text, 120);
                }
                let digits = n.mantissa.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
                let whole = digits.saturating_sub(n.scale).max(1);
                if whole > self.whole_digits {
                    self.whole_digits = whole;
                    self.widest = cut(text, 120);
                }
                self.certain_commas += u64::from(plain.is_err());
                return true;
            }
        } else if plain.is_ok() {
            self.comma_numbers += 1;
        }
        plain.is_ok()
    }

    fn see_boolean(&mut self, text: &str) -> bool {
        match number::boolean(text) {
            Some(value) => {
                self.booleans += 1;
                self.truths += u64::from(value);
                self.boolean_words += u64::from(!text.bytes().all(|b| b.is_ascii_digit()));
                true
            }
            None => false,
        }
    }

    fn see_date(&mut self, text: &str) -> bool {
        let rule = DateRule::default();
        if let Some((a, b)) = moment::slashed(text) {
            self.slashed += 1;
            self.day_over += u64::from(a > 12);
            self.month_over += u64::from(b > 12);
            let order = if a > 12 { Order::DayFirst } else { Order::MonthFirst };
            if let Ok(m) = moment::moment(text, DateRule { order: Some(order), ..rule }) {
                self.dates += u64::from(m.micros.is_none());
                self.times += u64::from(m.micros.is_some());
                return true;
            }
            return false;
        }
        match moment::moment(text, rule) {
            // Five digits could be a serial number of Excel, but they could be anything.
            Ok(_)
                if text.len() < 8
                    || (text.as_bytes().get(5) == Some(&b'.')
                        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')) =>
            {
                false
            }
            Ok(m) => {
                if m.compact {
                    // Eight digits are a date only in a plausible year.
                    if !(-36_525..=47_846).contains(&m.days) {
                        return false;
                    }
                    self.compact_dates += 1;
                }
                if m.micros.is_some() {
                    self.times += 1
                } else {
                    self.dates += 1
                }
                true
            }
            Err(_) => false,
        }
    }

    /// Whether empty or "nothing" cells were seen.
    pub(crate) fn nullable(&self) -> bool {
        self.empty > 0 || (self.nothing > 0 && self.data_type() != DataType::Text)
    }

    /// The narrowest type that loses nothing.
    pub(crate) fn data_type(&self) -> DataType {
        let meant = self.values - self.nothing;
        if meant == 0 {
            return DataType::Text;
        }
        if self.geometries == meant {
            return DataType::Geometry;
        }
        if self.json == meant {
            return DataType::Json;
        }
        if self.dates + self.times == meant && !self.ambiguous() && !self.both_orders() {
            // Digits alone are a date only when every one of them is.
            if self.compact_dates == 0 || self.compact_dates == meant || self.numbers < meant {
                return if self.times > 0 { DataType::DateTime } else { DataType::Date };
            }
        }
        if self.booleans == meant && self.boolean_words == meant {
            let both = self.truths > 0 && self.truths < meant;
            let long = self
                .examples
                .iter()
                .any(|e| e.chars().count() > 1 || matches!(e.as_str(), "是" | "否"));
            if both || long {
                return DataType::Boolean;
            }
        }
        if self.codes > 0 || (self.mobiles == meant && meant > 0) || self.too_long {
            return DataType::Text;
        }
        let comma = self.comma();
        let numeric = if comma { self.comma_numbers } else { self.numbers };
        if numeric != meant {
            return DataType::Text;
        }
        if !comma && self.integers == meant && self.whole_digits <= 18 {
            return DataType::Integer;
        }
        if self.exponents > 0 && self.scale > 6
            || self.scale > 12
            || self.whole_digits + self.digits_after() > 28
        {
            return DataType::Float;
        }
        DataType::Decimal
    }

    fn digits_after(&self) -> u32 {
        let scale = if self.comma() { self.comma_scale } else { self.scale };
        scale + if self.percents > 0 { 2 } else { 0 }
    }

    /// Whether the column writes decimals with a comma.
    fn comma(&self) -> bool {
        self.certain_commas > 0 && self.certain_points == 0
    }

    fn both_orders(&self) -> bool {
        self.day_over > 0 && self.month_over > 0
    }

    /// Dates such as 02/01/2024 whose order nothing in the column tells.
    pub(crate) fn ambiguous(&self) -> bool {
        self.slashed > 0 && self.day_over == 0 && self.month_over == 0
    }

    pub(crate) fn hint(&self) -> Hint {
        let order = match (self.day_over, self.month_over) {
            (0, 0) => None,
            (_, 0) => Some(Order::DayFirst),
            (0, _) => Some(Order::MonthFirst),
            _ => None,
        };
        Hint { comma: self.comma(), order }
    }

    /// Digits in all and after the point, for a decimal.
    pub(crate) fn decimal_size(&self) -> (u8, u8) {
        let scale = self.digits_after().min(12);
        let precision = (self.whole_digits + scale).clamp(scale + 1, 28);
        (u8::try_from(precision).unwrap_or(28), u8::try_from(scale).unwrap_or(12))
    }

    /// The column as told to the user. Examples of a decimal include its longest values, so that precision and scale
    /// can be drawn from them.
    pub(crate) fn column(&self, name: &str) -> SniffedColumn {
        let data_type = self.data_type();
        let mut examples = self.examples.clone();
        if data_type == DataType::Decimal {
            for longest in [&self.deepest, &self.widest] {
                if !longest.is_empty() && !examples.contains(longest) {
                    examples.push(longest.clone());
                }
            }
        }
        SniffedColumn {
            name: name.to_owned(),
            data_type,
            nullable: self.nullable() || self.values == 0,
            examples,
        }
    }

    /// What a person should know of this column.
    pub(crate) fn notes(&self, name: &str) -> Vec<(String, String)> {
        let mut notes = Vec::new();
        let meant = self.values - self.nothing;
        if self.slashed > 0 && self.slashed == meant && (self.ambiguous() || self.both_orders()) {
            notes.push((
                format!("列「{name}」的日期日月次序不明（如 {}），按文本读取；在数据项格式中注明 DD/MM/YYYY 或 MM/DD/YYYY 即可按日期读取", self.first_example()),
                format!("dates in column `{name}` (such as {}) could be day or month first and stay text; state DD/MM/YYYY or MM/DD/YYYY as the item's format to read them", self.first_example()),
            ));
        }
        let close = |n: u64| n < meant && meant >= 20 && n * 20 >= meant * 19;
        if self.data_type() == DataType::Text
            && self.codes == 0
            && (close(self.numbers) || close(self.dates + self.times))
            && let Some((line, odd)) = &self.odd
        {
            let usual = self.numbers.max(self.dates + self.times);
            notes.push((
                format!("列「{name}」有 {} 个值与其余 {usual} 个不同类（首见于第 {line} 行「{odd}」），按文本处理", meant - usual),
                format!("{} values of column `{name}` differ in kind from the other {usual} (first at line {line}: `{odd}`); it is taken as text", meant - usual),
            ));
        }
        if self.percents > 0 && self.data_type() == DataType::Decimal {
            notes.push((
                format!("列「{name}」含百分号，按小数读取（12.5% 为 0.125）；数据项计量单位写 % 时保留百分数值"),
                format!("column `{name}` holds percent signs and is read as a fraction (12.5% is 0.125); with the unit % the item keeps the percentage"),
            ));
        }
        notes
    }

    fn first_example(&self) -> &str {
        self.examples.first().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(values: &[&str]) -> Shape {
        let mut shape = Shape::default();
        for value in values {
            shape.see(value, false, 1);
        }
        shape
    }

    #[test]
    fn types_of_columns() {
        use DataType::*;
        for (values, want) in [
            (&["1", "2", "-3"][..], Integer),
            (&["1,234", "5"], Integer),
            (&["1.5", "2"], Decimal),
            (&["1.00", "2.00"], Decimal),
            (&["12,5", "1.234,56"], Decimal),
            (&["12.5%", "3%"], Decimal),
            (&["1.5e-10", "2e-20"], Float),
            (&["001", "002"], Text),
            (&["0", "1", "10"], Integer),
            (&["110105194912310021", "330106199001011234"], Text),
            (&["13800138000", "13900139000"], Text),
            (&["2024-01-02", "2024/1/3"], Date),
            (&["20240102", "20240103"], Date),
            (&["20240102", "99999999"], Integer),
            (&["2024-01-02 03:04:05", "2024-01-03"], DateTime),
            (&["2024年1月2日"], Date),
            (&["02/01/2024", "03/04/2024"], Text),
            (&["02/01/2024", "31/01/2024"], Date),
            (&["13/01/2024", "01/13/2024"], Text),
            (&["true", "false"], Boolean),
            (&["是", "否"], Boolean),
            (&["Y", "N"], Boolean),
            (&["N", "N"], Text),
            (&["1", "0"], Integer),
            (&["NA", "1", "-"], Integer),
            (&["NA", "DE"], Text),
            (&["{\"a\":1}", "[1]"], Json),
            (&["{\"type\":\"Point\",\"coordinates\":[1,2]}"], Geometry),
            (&["45293", "45294"], Integer),
            (&["45293.5"], Decimal),
            (&["0.5", "12.25"], Decimal),
            (&["06:00", "06:10"], Text),
            (&["", ""], Text),
            (&["2024-02-30"], Text),
            (&["192.168.1.1"], Text),
        ] {
            assert_eq!(shape(values).data_type(), want, "{values:?}");
        }
        assert_eq!(shape(&["123.45", "1.5"]).decimal_size(), (5, 2));
        assert!(shape(&["1", "NA"]).nullable() && !shape(&["NA", "DE"]).nullable());
        assert_eq!(shape(&["02/01/2024", "31/01/2024"]).hint().order, Some(Order::DayFirst));
        assert_eq!(shape(&["02/01/2024"]).notes("x").len(), 1);
    }

    #[test]
    fn looks() {
        for (text, want) in [
            ("", Look::Empty),
            ("NA", Look::Nothing),
            ("12", Look::Number),
            ("2024-01-02", Look::Date),
            ("007", Look::Code),
            ("PM2.5", Look::Text),
            ("姓名", Look::Text),
            ("1,5", Look::Number),
            ("第1季度", Look::Text),
        ] {
            assert_eq!(look(text), want, "{text}");
        }
    }
}
