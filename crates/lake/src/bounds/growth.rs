//! How much a function makes, told from its arguments: an estimate that is never much too small.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType as ArrowType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit,
};
use datafusion::common::{Result as PlanResult, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

use super::{CALL, MADE, VALUE};

/// Bytes of a number in a list.
const NUMBER: i128 = 8;
/// Bytes that a place in a list takes besides its value.
const PLACE: i128 = 16;
/// A list of the parts of a text, or of places in a list, becomes at most so many times as long.
const SPLIT: u128 = 8;
/// Longest letter of UTF-8.
const LETTER: i128 = 4;
/// A sign of a format of dates (`%c`) becomes at most so many times as long.
const SPELT: i128 = 16;
/// A number in a list becomes at most so many times as long as a text.
const WRITTEN: i128 = 3;
/// Nanoseconds of a day.
const DAY: i128 = 86_400_000_000_000;
/// Texts of a view that are so short lie in the view itself.
const IN_VIEW: u32 = 12;

/// What the size of an answer comes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// `repeat(text, times)`
    Repeats,
    /// `array_repeat(value, times)`
    Copies,
    /// `lpad(text, letters, …)`
    Pads,
    /// `range(from, to, step)`
    Series,
    /// `array_resize(list, length, value)`
    Resizes,
    /// `replace(text, part, by)`
    Replaces,
    /// `regexp_replace(text, pattern, by, flags)`
    Matches,
    /// `array_to_string(list, between, null)`
    Writes,
    /// `concat_ws(between, …)`
    Separates,
    /// `array_replace(list, part, by)`
    Substitutes,
    /// `to_char(time, format)`
    Spells,
    /// `arrays_zip(list, …)`: as many rows as the longest has
    Zips,
    /// `string_to_array(text, between)`
    Splits,
    /// `concat(…)`: what it is given, together
    Sums,
    /// `upper(text)`: hardly more than its first argument
    Takes,
}

/// What a call would make, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need {
    /// For all rows.
    pub(super) all: u128,
    /// For one.
    pub(super) longest: u128,
}

impl Growth {
    /// `None`: the function gives values of a fixed size, or hands on what it was given.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "repeat" => Self::Repeats,
            "array_repeat" => Self::Copies,
            "lpad" | "rpad" => Self::Pads,
            "range" | "generate_series" => Self::Series,
            "array_resize" => Self::Resizes,
            "replace" => Self::Replaces,
            "regexp_replace" => Self::Matches,
            "array_to_string" => Self::Writes,
            "concat_ws" => Self::Separates,
            "array_replace" | "array_replace_n" | "array_replace_all" => Self::Substitutes,
            "to_char" => Self::Spells,
            "arrays_zip" => Self::Zips,
            "string_to_array" | "regexp_match" | "array_positions" => Self::Splits,
            "concat" | "make_array" | "array_append" | "array_prepend" | "array_concat"
            | "array_union" | "map" | "overlay" | "translate" | "encode" | "decode" => Self::Sums,
            "upper" | "lower" | "initcap" | "reverse" | "substr" | "substr_index" | "left"
            | "right" | "btrim" | "ltrim" | "rtrim" | "split_part" | "array_slice"
            | "array_sort" | "array_reverse" | "array_distinct" | "array_except"
            | "array_intersect" | "array_compact" | "array_pop_back" | "array_pop_front"
            | "array_remove" | "array_remove_n" | "array_remove_all" | "array_add"
            | "array_subtract" | "array_scale" | "array_normalize" | "flatten" => Self::Takes,
            _ => return None,
        })
    }

    /// Longest value in bytes that it may give.
    pub(super) fn longest(self) -> usize {
        match self {
            Self::Repeats | Self::Copies | Self::Pads | Self::Series | Self::Resizes => MADE,
            _ => VALUE,
        }
    }

    /// What a call with these arguments makes for so many rows.
    pub(super) fn need(self, args: &[ColumnarValue], rows: usize) -> PlanResult<Need> {
        let bytes = |at: usize| sizes(args.get(at));
        let number = |at: usize| numbers(args.get(at));
        Ok(match self {
            Self::Repeats => {
                let (value, times) = (bytes(0), number(1)?);
                each(rows, |row| value.at(row).saturating_mul(times.at(row).max(0)))
            }
            Self::Copies => {
                let (value, times) = (bytes(0), number(1)?);
                each(rows, |row| {
                    value.at(row).saturating_add(PLACE).saturating_mul(times.at(row).max(0))
                })
            }
            Self::Pads => {
                let letters = number(1)?;
                each(rows, |row| letters.at(row).max(0).saturating_mul(LETTER))
            }
            Self::Series => series(args, rows)?,
            Self::Resizes => {
                let (list, length, value) = (bytes(0), number(1)?, bytes(2));
                each(rows, |row| {
                    let more = value.at(row).saturating_add(PLACE);
                    length.at(row).max(0).saturating_mul(more).saturating_add(list.at(row))
                })
            }
            Self::Replaces => replaces(args, rows),
            Self::Matches => matches(args, rows),
            Self::Writes => {
                let (list, between, null) = (bytes(0), bytes(1), bytes(2));
                all(each(rows, |row| {
                    let more = between.at(row).saturating_add(null.at(row)) + WRITTEN;
                    list.at(row).saturating_mul(more)
                }))
            }
            Self::Separates => {
                let between = bytes(0);
                let gaps = args.len().saturating_sub(2) as i128;
                let glue = each(rows, |row| between.at(row).saturating_mul(gaps));
                sum(args, rows, glue.all)
            }
            Self::Substitutes => {
                let (list, by) = (bytes(0), bytes(2));
                all(each(rows, |row| {
                    let list = list.at(row);
                    list.saturating_add((list / 4 + 1).saturating_mul(by.at(row)))
                }))
            }
            Self::Spells => {
                let format = bytes(1);
                all(each(rows, |row| format.at(row).saturating_mul(SPELT)))
            }
            Self::Zips => {
                let once = sum(args, rows, 0);
                Need { all: once.all.saturating_mul(args.len() as u128), longest: 0 }
            }
            Self::Splits => {
                let once = sum(args, rows, 0);
                Need { all: once.all.saturating_mul(SPLIT), longest: 0 }
            }
            Self::Sums => sum(args, rows, 0),
            Self::Takes => Need::default(),
        })
    }
}

/// A number for each row.
enum Per {
    Same(i128),
    Each(Vec<i128>),
}

impl Per {
    fn at(&self, row: usize) -> i128 {
        match self {
            Self::Same(number) => *number,
            Self::Each(numbers) => numbers.get(row).copied().unwrap_or(0),
        }
    }
}

fn each(rows: usize, of: impl Fn(usize) -> i128) -> Need {
    let mut need = Need::default();
    for row in 0..rows {
        let bytes = u128::try_from(of(row)).unwrap_or(0);
        need.all = need.all.saturating_add(bytes);
        need.longest = need.longest.max(bytes);
    }
    need
}

/// An estimate that is good for a batch, and too rough to refuse one value by.
fn all(need: Need) -> Need {
    Need { all: need.all, longest: 0 }
}

/// All arguments together, and so much besides.
fn sum(args: &[ColumnarValue], rows: usize, more: u128) -> Need {
    let bytes = |given: &ColumnarValue| match given {
        ColumnarValue::Scalar(value) => {
            (weigh_scalar(value) as u128 + PLACE.unsigned_abs()).saturating_mul(rows as u128)
        }
        ColumnarValue::Array(column) => weigh(column) as u128,
    };
    Need { all: args.iter().map(bytes).fold(more, u128::saturating_add), longest: 0 }
}

/// `replace`: by the length of what is replaced, and if that would be too much, by how often it stands there.
fn replaces(args: &[ColumnarValue], rows: usize) -> Need {
    let (text, part, by) = (sizes(args.first()), sizes(args.get(1)), sizes(args.get(2)));
    let most = |row: usize| match part.at(row) {
        // An empty part stands before each letter and at the end.
        0 => text.at(row) + 1,
        part => text.at(row) / part,
    };
    let made =
        |row: usize, times: i128| text.at(row).saturating_add(times.saturating_mul(by.at(row)));
    let rough = all(each(rows, |row| made(row, most(row))));
    if rough.all <= CALL as u128 {
        return rough;
    }
    let part = match args.get(1) {
        Some(ColumnarValue::Scalar(part)) => part.try_as_str().flatten(),
        _ => None,
    };
    match (args.first(), part) {
        (Some(ColumnarValue::Array(texts)), Some(part)) => match times(texts, part) {
            Some(times) => all(each(rows, |row| made(row, times.at(row)))),
            None => rough,
        },
        _ => rough,
    }
}

/// How often a part stands in each text.
fn times(texts: &ArrayRef, part: &str) -> Option<Per> {
    let count = |text: Option<&str>| text.map_or(0, |text| text.matches(part).count() as i128);
    Some(Per::Each(match texts.data_type() {
        ArrowType::Utf8 => texts.as_string::<i32>().iter().map(count).collect(),
        ArrowType::LargeUtf8 => texts.as_string::<i64>().iter().map(count).collect(),
        ArrowType::Utf8View => texts.as_string_view().iter().map(count).collect(),
        _ => return None,
    }))
}

/// `regexp_replace`: a replacement for each match, and each place in it (`\1`) at most the whole text over all matches.
fn matches(args: &[ColumnarValue], rows: usize) -> Need {
    let (text, by) = (sizes(args.first()), sizes(args.get(2)));
    let everywhere = match args.get(3) {
        None => false,
        Some(ColumnarValue::Scalar(flags)) => {
            flags.try_as_str().flatten().is_some_and(|flags| flags.contains('g'))
        }
        Some(ColumnarValue::Array(_)) => true,
    };
    let places = match args.get(2) {
        Some(ColumnarValue::Scalar(by)) => {
            let by = by.try_as_str().flatten().unwrap_or_default();
            Per::Same(by.matches(['\\', '$']).count() as i128)
        }
        _ => sizes(args.get(2)),
    };
    all(each(rows, |row| {
        let text = text.at(row);
        let matches = if everywhere { text + 1 } else { 1 };
        let put = matches.saturating_mul(by.at(row));
        text.saturating_add(put).saturating_add(places.at(row).saturating_mul(text))
    }))
}

/// `range` and `generate_series`: from, to and step, or the end alone.
fn series(args: &[ColumnarValue], rows: usize) -> PlanResult<Need> {
    let (from, to) = match args {
        [to] => (Per::Same(0), numbers(Some(to))?),
        _ => (numbers(args.first())?, numbers(args.get(1))?),
    };
    let unit = args.first().map_or(1, |given| unit(&given.data_type()));
    let step = args.get(2).map_or(Ok(Per::Same(1)), steps)?;
    Ok(each(rows, |row| {
        let span = (to.at(row) - from.at(row)).saturating_mul(unit).abs();
        match step.at(row).abs() {
            // The function itself refuses it.
            0 => 0,
            step => (span / step + 1).saturating_mul(NUMBER),
        }
    }))
}

/// What one of a kind of number is in the unit that steps are counted in: nanoseconds, or the number itself.
fn unit(kind: &ArrowType) -> i128 {
    match kind {
        ArrowType::Date32 => DAY,
        ArrowType::Date64 | ArrowType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        ArrowType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => 1000,
        _ => 1,
    }
}

fn steps(step: &ColumnarValue) -> PlanResult<Per> {
    if step.data_type() != ArrowType::Interval(IntervalUnit::MonthDayNano) {
        return numbers(Some(step));
    }
    Ok(match step {
        ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(step)) => {
            Per::Same(step.map_or(0, nanoseconds))
        }
        ColumnarValue::Scalar(_) => Per::Same(0),
        ColumnarValue::Array(steps) => {
            let steps = steps.as_primitive::<IntervalMonthDayNanoType>().iter();
            Per::Each(steps.map(|step| step.map_or(0, nanoseconds)).collect())
        }
    })
}

/// The least that a step may be.
fn nanoseconds(step: IntervalMonthDayNano) -> i128 {
    let (months, days) = (i128::from(step.months), i128::from(step.days));
    let rest = i128::from(step.nanoseconds);
    let parts = [months, days, rest];
    if parts.iter().any(|part| *part > 0) && parts.iter().any(|part| *part < 0) {
        // Forward and back: it may come to next to nothing.
        return 1;
    }
    months * 28 * DAY + days * DAY + rest
}

/// Whole numbers of an argument; 0 for NULL and where there is none.
fn numbers(given: Option<&ColumnarValue>) -> PlanResult<Per> {
    Ok(match given {
        None => Per::Same(0),
        Some(ColumnarValue::Scalar(value)) => match value.cast_to(&ArrowType::Int64)? {
            ScalarValue::Int64(Some(number)) => Per::Same(i128::from(number)),
            _ => Per::Same(0),
        },
        Some(ColumnarValue::Array(column)) => {
            let numbers = cast(column, &ArrowType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            Per::Each(numbers.iter().map(|n| n.map_or(0, i128::from)).collect())
        }
    })
}

/// Bytes of an argument in each row; of lists on an average.
fn sizes(given: Option<&ColumnarValue>) -> Per {
    let column = match given {
        None => return Per::Same(0),
        Some(ColumnarValue::Scalar(value)) => return Per::Same(weigh_scalar(value) as i128),
        Some(ColumnarValue::Array(column)) => column,
    };
    let rows = 0..column.len();
    let kind = column.data_type();
    match kind {
        ArrowType::Utf8 => {
            let texts = column.as_string::<i32>();
            Per::Each(rows.map(|row| i128::from(texts.value_length(row))).collect())
        }
        ArrowType::LargeUtf8 => {
            let texts = column.as_string::<i64>();
            Per::Each(rows.map(|row| i128::from(texts.value_length(row))).collect())
        }
        ArrowType::Utf8View => {
            Per::Each(column.as_string_view().lengths().map(i128::from).collect())
        }
        ArrowType::List(_) => {
            let lists = column.as_list::<i32>();
            let inside = lists.values();
            let unit = weigh(inside) / inside.len().max(1) + 1;
            let of = |row| i128::from(lists.value_length(row)).saturating_mul(unit as i128);
            Per::Each(rows.map(of).collect())
        }
        _ => match kind.primitive_width() {
            Some(width) => Per::Same(width as i128),
            // Not told apart by rows: each counts for all.
            None => Per::Same(weigh(column) as i128),
        },
    }
}

/// Bytes of a constant.
pub(super) fn weigh_scalar(value: &ScalarValue) -> usize {
    match value.try_as_str() {
        Some(text) => text.map_or(0, str::len),
        None => value.data_type().primitive_width().unwrap_or_else(|| value.size()),
    }
}

/// Bytes of a column's rows.
pub(super) fn weigh(column: &ArrayRef) -> usize {
    let data = column.to_data();
    let own = data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size());
    // What views point at is not among it.
    own + match column.data_type() {
        ArrowType::Utf8View => outside(column.as_string_view().lengths()),
        ArrowType::BinaryView => outside(column.as_binary_view().lengths()),
        _ => 0,
    }
}

fn outside(lengths: impl Iterator<Item = u32>) -> usize {
    lengths.filter(|length| *length > IN_VIEW).map(|length| length as usize).sum()
}

/// Bytes of the widest value of a column; of what is no text or list, on an average.
pub(super) fn widest(column: &ArrayRef) -> usize {
    match column.data_type() {
        ArrowType::Utf8 => column.as_string::<i32>().offsets().lengths().max().unwrap_or(0),
        ArrowType::LargeUtf8 => column.as_string::<i64>().offsets().lengths().max().unwrap_or(0),
        ArrowType::Utf8View => {
            column.as_string_view().lengths().max().map_or(0, |most| most as usize)
        }
        ArrowType::List(_) => {
            let lists = column.as_list::<i32>();
            let inside = lists.values();
            let unit = weigh(inside) / inside.len().max(1) + 1;
            lists.offsets().lengths().max().unwrap_or(0).saturating_mul(unit)
        }
        _ => weigh(column) / column.len().max(1),
    }
}

/// The longest text of a column; 0 for what is no text.
pub(super) fn longest(column: &ArrayRef) -> usize {
    match sizes(Some(&ColumnarValue::Array(ArrayRef::clone(column)))) {
        Per::Each(lengths) if !column.data_type().is_nested() => {
            lengths.into_iter().max().and_then(|most| usize::try_from(most).ok()).unwrap_or(0)
        }
        _ => 0,
    }
}
