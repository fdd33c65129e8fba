//! Parts of dates, told once for each day: `date_part` and `date_trunc` over a column of days ask the calendar for every row, and a batch
//! of eight thousand rows has the days of a few years.
//!
//! The functions are the engine's own, in a shell that gives them the days between the first and the last of a batch instead of its rows,
//! and reads the answers from there. Where that would be more days than half the rows, they are given the rows.

use std::sync::Arc;

use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, UInt32Array};
use arrow::datatypes::{DataType as ArrowType, FieldRef, TimeUnit};
use datafusion::common::Result as PlanResult;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};

const MICROSECONDS: i64 = 86_400_000_000;
const NANOSECONDS: i64 = MICROSECONDS * 1000;

/// The function in its shell, if it is one of these.
pub(crate) fn by_day(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match function.name() {
        "date_part" | "date_trunc" => Arc::new(ScalarUDF::new_from_impl(ByDay(function))),
        _ => function,
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
        let days = match args.args.as_slice() {
            [ColumnarValue::Scalar(_), ColumnarValue::Array(moments)] => Days::of(moments),
            _ => None,
        };
        let Some(Days { all, places }) = days else { return self.0.invoke_with_args(args) };
        let number_rows = all.len();
        let mut asked = args;
        if let Some(moments) = asked.args.get_mut(1) {
            *moments = ColumnarValue::Array(all);
        }
        asked.number_rows = number_rows;
        let told = self.0.invoke_with_args(asked)?.into_array(number_rows)?;
        Ok(ColumnarValue::Array(arrow::compute::take(&told, &places, None)?))
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

/// The days of a column from the first to the last, and where each row's is among them.
struct Days {
    all: ArrayRef,
    places: UInt32Array,
}

impl Days {
    /// `None` where rows hold more than days, or hardly two the same.
    fn of(moments: &ArrayRef) -> Option<Self> {
        match moments.data_type() {
            ArrowType::Date32 => Self::among::<_, 1>(moments.as_primitive::<Date32Type>()),
            ArrowType::Timestamp(TimeUnit::Microsecond, None) => {
                Self::among::<_, MICROSECONDS>(moments.as_primitive::<TimestampMicrosecondType>())
            }
            ArrowType::Timestamp(TimeUnit::Nanosecond, None) => {
                Self::among::<_, NANOSECONDS>(moments.as_primitive::<TimestampNanosecondType>())
            }
            _ => None,
        }
    }

    /// `DAY`: how much a day is in the column's unit.
    fn among<T, const DAY: i64>(moments: &PrimitiveArray<T>) -> Option<Self>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i64> + TryFrom<i64>,
    {
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        for moment in moments.iter().flatten() {
            let moment: i64 = moment.into();
            if moment % DAY != 0 {
                return None;
            }
            (first, last) = (first.min(moment / DAY), last.max(moment / DAY));
        }
        let span = last.checked_sub(first)?;
        if span < 0 || usize::try_from(span).ok()? >= moments.len() / 2 {
            return None;
        }
        let all =
            (first..=last).map(|n| n.checked_mul(DAY).and_then(|m| T::Native::try_from(m).ok()));
        let all = PrimitiveArray::<T>::from_iter_values(all.collect::<Option<Vec<_>>>()?);
        let place = |moment: T::Native| {
            let moment: i64 = moment.into();
            // What stands where there is no value is no place, and is not looked up.
            u32::try_from((moment / DAY).wrapping_sub(first)).unwrap_or_default()
        };
        Some(Self { all: Arc::new(all), places: moments.unary(place) })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, TimestampMicrosecondArray};
    use arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::common::config::ConfigOptions;
    use datafusion::functions::datetime::{date_part, date_trunc};

    use super::*;

    fn called(function: &Arc<ScalarUDF>, word: &str, moments: &ArrayRef) -> ArrayRef {
        let word = ScalarValue::from(word);
        let fields: Vec<FieldRef> = [word.data_type(), moments.data_type().clone()]
            .map(|of| Arc::new(Field::new("a", of, true)))
            .to_vec();
        let scalars = [Some(&word), None];
        let return_field = function
            .return_field_from_args(ReturnFieldArgs {
                arg_fields: &fields,
                scalar_arguments: &scalars,
            })
            .unwrap();
        let args = ScalarFunctionArgs {
            args: vec![ColumnarValue::Scalar(word), ColumnarValue::Array(Arc::clone(moments))],
            arg_fields: fields,
            number_rows: moments.len(),
            return_field,
            config_options: Arc::new(ConfigOptions::default()),
        };
        function.invoke_with_args(args).unwrap().into_array(moments.len()).unwrap()
    }

    #[test]
    fn the_calendar_says_the_same_of_each_day() {
        let some = |n: i32| (n % 7 != 0).then_some(n * 37 % 900 - 400);
        let days: ArrayRef = Arc::new((0..4000).map(some).collect::<Date32Array>());
        let moments = (0..4000).map(|n| some(n).map(|day| i64::from(day) * MICROSECONDS));
        let moments: ArrayRef = Arc::new(moments.collect::<TimestampMicrosecondArray>());
        assert!(Days::of(&days).is_some_and(|d| d.all.len() <= 900));
        assert!(Days::of(&moments).is_some());
        for word in ["year", "month", "day", "doy", "week", "quarter"] {
            let shell = by_day(date_part());
            assert_eq!(&called(&shell, word, &days), &called(&date_part(), word, &days), "{word}");
        }
        for word in ["year", "quarter", "month", "week"] {
            let shell = by_day(date_trunc());
            assert_eq!(&called(&shell, word, &moments), &called(&date_trunc(), word, &moments));
        }
    }

    #[test]
    fn what_is_more_than_days_is_asked_row_by_row() {
        let hours = (0..4000).map(|n| Some(n * MICROSECONDS / 24));
        let hours: ArrayRef = Arc::new(hours.collect::<TimestampMicrosecondArray>());
        assert!(Days::of(&hours).is_none());
        let far: ArrayRef = Arc::new(Date32Array::from(vec![i32::MIN, 0, i32::MAX, 1]));
        assert!(Days::of(&far).is_none());
        let none: ArrayRef = Arc::new(Date32Array::new_null(100));
        assert!(Days::of(&none).is_none());
        let shell = by_day(date_part());
        assert_eq!(&called(&shell, "hour", &hours), &called(&date_part(), "hour", &hours));
    }
}
