//! Parts of dates and moments without asking the calendar for every row.
//!
//! The engine makes a date of each row, with year and month and day, to say one number of it. A batch of eight thousand rows has the days of
//! a few years, and an hour needs no calendar:
//!
//! * `date_part` of the day (year, month, week, day and the like) and, of whole days, `date_trunc`: the engine's own function is given the
//!   days between the first and the last of a batch instead of its rows, and the answers are read from there. Where that would be more days
//!   than half the rows, it is given the rows.
//! * `date_part` of the time of the day (hour, minute, second): divided. The engine knows years to about 262,000 before and after ours and
//!   says nothing of moments beyond; such a batch is asked of it.
//!
//! Moments in a time zone, other parts and words it does not know stay the engine's. `EXTRACT` is planned as the same function ([`planners`]).
//! `date_trunc` of moments to hours, days, months and the like is left alone: the engine divides there itself.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::types::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::array::{Array, ArrayRef, AsArray, Int32Array, PrimitiveArray, UInt32Array};
use arrow::compute::kernels::cast_utils::IntervalUnit;
use arrow::compute::{max, min, take};
use arrow::datatypes::{DataType as ArrowType, FieldRef, TimeUnit};
use datafusion::common::{Result as PlanResult, ScalarValue};
use datafusion::execution::SessionStateDefaults;
use datafusion::functions::datetime::date_part;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult};
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};

/// Seconds of a day.
const DAY: i64 = 86_400;
/// Seconds before and after 1970 within which the engine knows every date: 36,500,000 days, about a hundred thousand years.
const NEAR: i64 = 36_500_000 * DAY;
/// Parts of a day in the three finer units.
const MILLI: i64 = 1000;
const MICRO: i64 = 1_000_000;
const NANO: i64 = 1_000_000_000;

/// The function in its shell, if it is one of these.
pub(crate) fn by_day(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match function.name() {
        "date_part" | "date_trunc" => Arc::new(ScalarUDF::new_from_impl(ByDay(function))),
        _ => function,
    }
}

/// The engine's planners of expressions, and before them one that plans `EXTRACT`: theirs takes the function without its shell, whatever a
/// session has under that name.
pub(crate) fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    let ours: Arc<dyn ExprPlanner> = Arc::new(Extracts(by_day(date_part())));
    std::iter::once(ours).chain(SessionStateDefaults::default_expr_planners()).collect()
}

#[derive(Debug)]
struct Extracts(Arc<ScalarUDF>);

impl ExprPlanner for Extracts {
    fn plan_extract(&self, args: Vec<Expr>) -> PlanResult<PlannerResult<Vec<Expr>>> {
        let call = ScalarFunction::new_udf(Arc::clone(&self.0), args);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ByDay(Arc<ScalarUDF>);

impl ScalarUDFImpl for ByDay {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, given: &[ArrowType]) -> PlanResult<ArrowType> {
        self.0.return_type(given)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        self.0.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let [ColumnarValue::Scalar(word), ColumnarValue::Array(moments)] = args.args.as_slice()
        else {
            return self.0.invoke_with_args(args);
        };
        let part = Part::of(self.name(), word);
        if let Some(Part::Clock(hand)) = part
            && let Some(told) = hand.shown(moments)
        {
            return Ok(ColumnarValue::Array(Arc::new(told)));
        }
        let Some(Days { all, places }) = Days::of(moments, part == Some(Part::Day)) else {
            return self.0.invoke_with_args(args);
        };
        let number_rows = all.len();
        let mut asked = args;
        if let Some(moments) = asked.args.get_mut(1) {
            *moments = ColumnarValue::Array(all);
        }
        asked.number_rows = number_rows;
        let told = self.0.invoke_with_args(asked)?.into_array(number_rows)?;
        Ok(ColumnarValue::Array(take(&told, &places, None)?))
    }

    fn preimage(
        &self,
        args: &[Expr],
        literal: &Expr,
        info: &SimplifyContext,
    ) -> PlanResult<PreimageResult> {
        self.0.preimage(args, literal, info)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> PlanResult<SortProperties> {
        self.0.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }
}

/// What a part of a moment hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Its day alone.
    Day,
    /// Its time of the day alone.
    Clock(Hand),
}

impl Part {
    /// By the words that the function itself goes by; `None`: it hangs on something else, or the function is to say what it is.
    fn of(function: &str, word: &ScalarValue) -> Option<Self> {
        let (ScalarValue::Utf8(Some(word)) | ScalarValue::Utf8View(Some(word))) = word else {
            return None;
        };
        if function != "date_part" {
            return None;
        }
        match IntervalUnit::from_str(word) {
            Ok(
                IntervalUnit::Year | IntervalUnit::Month | IntervalUnit::Week | IntervalUnit::Day,
            ) => Some(Part::Day),
            Ok(IntervalUnit::Hour) => Some(Part::Clock(Hand::Hour)),
            Ok(IntervalUnit::Minute) => Some(Part::Clock(Hand::Minute)),
            Ok(IntervalUnit::Second) => Some(Part::Clock(Hand::Second)),
            Ok(_) => None,
            Err(_) => match word.to_lowercase().as_str() {
                "isoyear" | "qtr" | "quarter" | "doy" | "dow" | "isodow" => Some(Part::Day),
                _ => None,
            },
        }
    }
}

/// The hands of a clock of twenty-four hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    Hour,
    Minute,
    Second,
}

impl Hand {
    /// Where it stands at each moment; `None` where that takes more than dividing.
    fn shown(self, moments: &ArrayRef) -> Option<Int32Array> {
        match moments.data_type() {
            ArrowType::Timestamp(TimeUnit::Second, None) => {
                self.at::<TimestampSecondType, 1>(moments)
            }
            ArrowType::Timestamp(TimeUnit::Millisecond, None) => {
                self.at::<TimestampMillisecondType, MILLI>(moments)
            }
            ArrowType::Timestamp(TimeUnit::Microsecond, None) => {
                self.at::<TimestampMicrosecondType, MICRO>(moments)
            }
            ArrowType::Timestamp(TimeUnit::Nanosecond, None) => {
                self.at::<TimestampNanosecondType, NANO>(moments)
            }
            _ => None,
        }
    }

    /// `SECOND`: how much a second is in the column's unit, a constant so that nothing is really divided.
    fn at<T: ArrowTimestampType, const SECOND: i64>(
        self,
        moments: &ArrayRef,
    ) -> Option<Int32Array> {
        let moments = moments.as_primitive::<T>();
        let near = |moment: i64| (-NEAR..=NEAR).contains(&(moment / SECOND));
        if !near(min(moments)?) || !near(max(moments)?) {
            return None;
        }
        // Before 1970, too, a day begins at its midnight: seconds are counted down to it. What stands where there is no value is divided
        // as well, and not looked at.
        let of_day = |moment: i64| {
            i32::try_from(moment.div_euclid(SECOND).rem_euclid(DAY)).unwrap_or_default()
        };
        Some(match self {
            Hand::Hour => moments.unary(|moment| of_day(moment) / 3600),
            Hand::Minute => moments.unary(|moment| of_day(moment) / 60 % 60),
            Hand::Second => moments.unary(|moment| of_day(moment) % 60),
        })
    }
}

/// The days of a column from the first to the last, and where each row's is among them.
struct Days {
    all: ArrayRef,
    places: UInt32Array,
}

impl Days {
    /// `within`: what is asked hangs on the day of a moment alone, and rows may hold any moment of it. `None` where rows hold more than is
    /// asked, or hardly two the same.
    fn of(moments: &ArrayRef, within: bool) -> Option<Self> {
        match moments.data_type() {
            ArrowType::Date32 => Self::among::<Date32Type, 1>(moments, within),
            ArrowType::Timestamp(TimeUnit::Second, None) => {
                Self::among::<TimestampSecondType, DAY>(moments, within)
            }
            ArrowType::Timestamp(TimeUnit::Millisecond, None) => {
                Self::among::<TimestampMillisecondType, { DAY * MILLI }>(moments, within)
            }
            ArrowType::Timestamp(TimeUnit::Microsecond, None) => {
                Self::among::<TimestampMicrosecondType, { DAY * MICRO }>(moments, within)
            }
            ArrowType::Timestamp(TimeUnit::Nanosecond, None) => {
                Self::among::<TimestampNanosecondType, { DAY * NANO }>(moments, within)
            }
            _ => None,
        }
    }

    /// `LONG`: how much a day is in the column's unit.
    fn among<T, const LONG: i64>(moments: &ArrayRef, within: bool) -> Option<Self>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i64> + TryFrom<i64>,
    {
        let moments = moments.as_primitive::<T>();
        let whole = |moment: T::Native| {
            let moment: i64 = moment.into();
            moment % LONG == 0
        };
        if LONG > 1 && !within && !moments.iter().flatten().all(whole) {
            return None;
        }
        let day = |moment: T::Native| {
            let moment: i64 = moment.into();
            moment.div_euclid(LONG)
        };
        let (first, last) = (day(min(moments)?), day(max(moments)?));
        let span = usize::try_from(last.checked_sub(first)?).ok()?;
        if span >= moments.len() / 2 {
            return None;
        }
        let all =
            (first..=last).map(|n| n.checked_mul(LONG).and_then(|m| T::Native::try_from(m).ok()));
        let all = PrimitiveArray::<T>::from_iter_values(all.collect::<Option<Vec<_>>>()?);
        // What stands where there is no value is no place, and is not looked up.
        let place = |moment| u32::try_from(day(moment).wrapping_sub(first)).unwrap_or_default();
        Some(Self { all: Arc::new(all), places: moments.unary(place) })
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;

    use arrow::array::{
        Date32Array, TimestampMicrosecondArray, TimestampMillisecondArray,
        TimestampNanosecondArray, TimestampSecondArray,
    };
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::Field;
    use datafusion::common::config::ConfigOptions;
    use datafusion::common::tree_node::TreeNode;
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::functions::datetime::date_trunc;

    use super::*;

    const UNITS: [(TimeUnit, i64); 4] = [
        (TimeUnit::Second, 1),
        (TimeUnit::Millisecond, MILLI),
        (TimeUnit::Microsecond, MICRO),
        (TimeUnit::Nanosecond, NANO),
    ];
    const ROWS: usize = 2000;

    /// Every part that `date_part` knows, some under other names, and words it does not know.
    fn parts() -> impl Iterator<Item = &'static str> {
        "year YEAR yrs month mon week w day days hour HOUR h minute m second secs millisecond microsecond nanosecond isoyear qtr Quarter \
         doy DOW isodow epoch 'hour' \"month\" century era"
            .split(' ')
            .chain([""])
    }

    /// What a function says of a column, or how it refuses.
    fn tried(
        function: &Arc<ScalarUDF>,
        word: &ScalarValue,
        moments: &ArrayRef,
    ) -> Result<ArrayRef, String> {
        let fields: Vec<FieldRef> = [word.data_type(), moments.data_type().clone()]
            .map(|of| Arc::new(Field::new("a", of, true)))
            .to_vec();
        let scalars = [Some(word), None];
        let asked = ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &scalars };
        let return_field = function.return_field_from_args(asked).map_err(|e| e.to_string())?;
        let args = ScalarFunctionArgs {
            args: vec![
                ColumnarValue::Scalar(word.clone()),
                ColumnarValue::Array(Arc::clone(moments)),
            ],
            arg_fields: fields,
            number_rows: moments.len(),
            return_field: Arc::clone(&return_field),
            config_options: Arc::new(ConfigOptions::default()),
        };
        let told = function.invoke_with_args(args).map_err(|e| e.to_string())?;
        let told = told.into_array(moments.len()).map_err(|e| e.to_string())?;
        assert_eq!(told.data_type(), return_field.data_type());
        Ok(told)
    }

    /// The shell says what the engine says, word for word.
    fn same(function: &Arc<ScalarUDF>, word: &str, moments: &ArrayRef) {
        let shell = by_day(Arc::clone(function));
        for word in [ScalarValue::from(word), ScalarValue::Utf8View(Some(word.to_owned()))] {
            let (ours, engine) = (tried(&shell, &word, moments), tried(function, &word, moments));
            assert_eq!(ours, engine, "{} {word} {}", function.name(), moments.data_type());
        }
    }

    /// Numbers without a pattern, the same at every run (SplitMix64).
    fn numbers(mut state: u64) -> impl Iterator<Item = i64> {
        std::iter::repeat_with(move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut n = state;
            n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (n ^ (n >> 31)).cast_signed()
        })
    }

    fn column(unit: TimeUnit, moments: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
        match unit {
            TimeUnit::Second => Arc::new(TimestampSecondArray::new(moments.into(), nulls)),
            TimeUnit::Millisecond => {
                Arc::new(TimestampMillisecondArray::new(moments.into(), nulls))
            }
            TimeUnit::Microsecond => {
                Arc::new(TimestampMicrosecondArray::new(moments.into(), nulls))
            }
            TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::new(moments.into(), nulls)),
        }
    }

    /// Moments between `from` and `to`, these two among them; with nulls, under which anything stands.
    fn between(unit: TimeUnit, from: i64, to: i64, nulls: bool) -> ArrayRef {
        let wide = i128::from(to) - i128::from(from) + 1;
        let within = |n: i64| i64::try_from(i128::from(from) + i128::from(n).rem_euclid(wide));
        let mut moments: Vec<i64> =
            numbers(from.cast_unsigned()).take(ROWS).map(|n| within(n).unwrap()).collect();
        (moments[1], moments[2]) = (from, to);
        if !nulls {
            return column(unit, moments, None);
        }
        let there: Vec<bool> = (0..ROWS).map(|row| row % 7 != 0).collect();
        for (row, garbage) in (0..ROWS).step_by(7).zip(numbers(7)) {
            moments[row] = garbage;
        }
        column(unit, moments, Some(NullBuffer::from(there)))
    }

    #[test]
    fn parts_of_moments_are_the_engine_s_in_every_unit_before_and_after_1970() {
        for (unit, second) in UNITS {
            let days = |n: i64| n.saturating_mul(DAY).saturating_mul(second);
            let spans = [
                (-1, 1),
                (days(-1), days(1)),
                (days(-2) - 1, days(2) + second - 1),
                (days(19_600), days(20_400)),
                (days(-400), days(400)),
                (days(-100_000), days(100_000)),
                (days(-3_000_000), days(3_000_000)),
                (days(-36_499_999), days(36_499_999)),
                (i64::MIN, i64::MIN.saturating_add(days(3))),
                (i64::MAX.saturating_sub(days(3)), i64::MAX),
                (i64::MIN, i64::MAX),
            ];
            for (from, to) in spans {
                for nulls in [false, true] {
                    let moments = between(unit, from, to, nulls);
                    for word in parts() {
                        same(&date_part(), word, &moments);
                    }
                }
            }
        }
    }

    /// Where dividing and the days are taken, and where the engine is asked.
    #[test]
    fn the_calendar_is_asked_where_it_must_be() {
        for (unit, second) in UNITS {
            let few = between(unit, -400 * DAY * second, 400 * DAY * second, true);
            assert!(Hand::Hour.shown(&few).is_some() && Days::of(&few, true).is_some(), "{unit:?}");
            assert!(Days::of(&few, false).is_none(), "{unit:?}: they are no whole days");
            let many = between(unit, -90_000 * DAY * second, 90_000 * DAY * second, true);
            assert!(Hand::Hour.shown(&many).is_some() && Days::of(&many, true).is_none());
            // Nanoseconds do not reach so far that the engine would not know the date.
            let far = between(unit, i64::MIN, i64::MAX, true);
            assert_eq!(Hand::Hour.shown(&far).is_some(), unit == TimeUnit::Nanosecond, "{unit:?}");
            assert!(Days::of(&far, true).is_none());
            let none = column(unit, vec![0; 9], Some(NullBuffer::new_null(9)));
            assert!(Hand::Hour.shown(&none).is_none() && Days::of(&none, true).is_none());
            let empty = column(unit, Vec::new(), None);
            for word in parts() {
                same(&date_part(), word, &none);
                same(&date_part(), word, &empty);
            }
        }
    }

    /// Two moments of the same instant have other hours in two places: that is the engine's to say.
    #[test]
    fn moments_in_a_time_zone_are_the_engine_s() {
        for zone in ["+08:00", "-03:30", "+00:00"] {
            let moments: Vec<i64> =
                numbers(1).take(ROWS).map(|n| n % (900 * DAY * MICRO)).collect();
            let moments = TimestampMicrosecondArray::from(moments).with_timezone(zone);
            let moments: ArrayRef = Arc::new(moments);
            assert!(Hand::Hour.shown(&moments).is_none() && Days::of(&moments, true).is_none());
            for word in parts() {
                same(&date_part(), word, &moments);
            }
            for word in ["hour", "day", "week", "month", "year"] {
                same(&date_trunc(), word, &moments);
            }
        }
    }

    #[test]
    fn truncated_moments_are_the_engine_s() {
        let words = ["year", "Quarter", "month", "week", "day", "hour", "minute", "second", "era"];
        for (unit, second) in UNITS {
            let moments = between(unit, -400 * DAY * second, 400 * DAY * second, false);
            let there: Vec<bool> = (0..ROWS).map(|row| row % 5 != 0).collect();
            for nulls in [None, Some(NullBuffer::from(there))] {
                let days = numbers(3).take(ROWS).map(|n| n % 400 * DAY * second).collect();
                let days = column(unit, days, nulls);
                assert!(
                    Days::of(&days, false).is_some(),
                    "{unit:?}: whole days are told once each"
                );
                for word in words {
                    same(&date_trunc(), word, &moments);
                    same(&date_trunc(), word, &days);
                }
            }
        }
    }

    #[test]
    fn the_calendar_says_the_same_of_each_day() {
        let some = |n: i32| (n % 7 != 0).then_some(n * 37 % 900 - 400);
        let days: ArrayRef = Arc::new((0..4000).map(some).collect::<Date32Array>());
        let moments = (0..4000).map(|n| some(n).map(|day| i64::from(day) * DAY * MICRO));
        let moments: ArrayRef = Arc::new(moments.collect::<TimestampMicrosecondArray>());
        assert!(Days::of(&days, false).is_some_and(|d| d.all.len() <= 900));
        assert!(Days::of(&moments, false).is_some());
        for word in parts() {
            same(&date_part(), word, &days);
            same(&date_part(), word, &moments);
        }
        for word in ["year", "quarter", "month", "week"] {
            same(&date_trunc(), word, &moments);
        }
    }

    #[test]
    fn what_is_more_than_days_is_asked_row_by_row() {
        let hours = (0..4000).map(|n| Some(n * DAY * MICRO / 24));
        let hours: ArrayRef = Arc::new(hours.collect::<TimestampMicrosecondArray>());
        assert!(Days::of(&hours, false).is_none());
        let far: ArrayRef = Arc::new(Date32Array::from(vec![i32::MIN, 0, i32::MAX, 1]));
        assert!(Days::of(&far, true).is_none());
        let none: ArrayRef = Arc::new(Date32Array::new_null(100));
        assert!(Days::of(&none, true).is_none());
        for word in parts() {
            same(&date_part(), word, &far);
            same(&date_part(), word, &none);
        }
    }

    fn shell(function: &ScalarUDF) -> bool {
        let any: &dyn Any = function.inner().as_ref();
        any.is::<ByDay>()
    }

    /// Written either way it is the function in its shell.
    #[tokio::test]
    async fn extract_is_planned_as_the_function_in_its_shell() {
        let functions = SessionStateDefaults::default_scalar_functions();
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_expr_planners(planners())
            .with_scalar_functions(functions.into_iter().map(by_day).collect())
            .build();
        for call in ["extract(hour from now())", "date_part('hour', now())"] {
            let plan = state.create_logical_plan(&format!("select {call} as h")).await.unwrap();
            let held = plan.expressions().iter().any(|expr| {
                expr.exists(|e| Ok(matches!(e, Expr::ScalarFunction(f) if shell(&f.func)))).unwrap()
            });
            assert!(held, "{call}: {plan}");
        }
    }
}
