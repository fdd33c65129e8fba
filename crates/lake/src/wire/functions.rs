//! Functions that clients ask of a server, beyond what the catalogue's crate answers.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, new_empty_array};
use arrow::datatypes::{DataType as ArrowType, Field};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility, create_udf,
};
use datafusion::scalar::ScalarValue;

use super::catalogue::{Granted, VERSION};
use super::relations::{self, CLASS, Relations};
use super::settings::Settings;
use super::spelling;

/// Number of the relation of a name; NULL where there is none. A number stays what it is.
pub(super) const RELATION: &str = "qt_relation";
/// Places of a list, from 1.
pub(super) const SUBSCRIPTS: &str = "qt_subscripts";
/// NULL, whatever is given.
pub(super) const NOTHING: &str = "qt_nothing";

pub(super) fn all(user: &str, settings: &Arc<Settings>, granted: &Arc<Granted>) -> Vec<ScalarUDF> {
    let version = format!("PostgreSQL {VERSION} (钱塘 Qiantang {})", env!("CARGO_PKG_VERSION"));
    let mut all = vec![
        constant("version", &[], Some(version)),
        constant("session_user", &[], Some(user.to_owned())),
        current_setting(settings),
        constant("shobj_description", &[ArrowType::Int64, ArrowType::Utf8], None),
        constant("pg_get_viewdef", &[ArrowType::Int64], None),
        set_config(settings),
        empty("to_regtype", ArrowType::Utf8, ArrowType::Int32),
        not("pg_is_in_recovery"),
        spelling::patterns(),
        constant("pg_get_serial_sequence", &[ArrowType::Utf8, ArrowType::Utf8], None),
    ];
    all.extend(about_relations(granted));
    all
}

/// What is told of granted tables, by their numbers.
fn about_relations(granted: &Arc<Granted>) -> Vec<ScalarUDF> {
    let by_number =
        |name: &'static str, tell: fn(&Relations, i32, &[ScalarValue]) -> Option<String>| {
            let granted = Arc::clone(granted);
            told(name, ArrowType::Utf8, move |given| {
                let text = given.first().and_then(whole).and_then(|number| {
                    let rest = given.get(1..).unwrap_or_default();
                    tell(&granted.relations(), number, rest)
                });
                Ok(ScalarValue::Utf8(text))
            })
        };
    let named = |name: &'static str| {
        let granted = Arc::clone(granted);
        told(name, ArrowType::Int32, move |given| {
            let text = given.first().and_then(|name| name.try_as_str().flatten());
            let number = text.and_then(|text| granted.relations().number(text));
            Ok(ScalarValue::Int32(number))
        })
    };
    let visible = |name: &'static str| {
        told(name, ArrowType::Boolean, |_| Ok(ScalarValue::Boolean(Some(true))))
    };
    vec![
        named(RELATION),
        named("to_regclass"),
        told(NOTHING, ArrowType::Utf8, |_| Ok(ScalarValue::Utf8(None))),
        // How large the tables of all are is nobody's of a session.
        size("pg_table_size"),
        size("pg_relation_size"),
        size("pg_total_relation_size"),
        told("pg_size_pretty", ArrowType::Utf8, |_| Ok(ScalarValue::Utf8(None))),
        subscripts(),
        visible("pg_collation_is_visible"),
        visible("pg_type_is_visible"),
        by_number("obj_description", |all, number, rest| {
            let of = rest.first().and_then(|class| class.try_as_str().flatten());
            (of.is_none_or(|class| class == CLASS)).then(|| all.title(number)).flatten()
        }),
        by_number("col_description", |all, number, rest| {
            all.column_title(number, rest.first().and_then(whole)?)
        }),
        by_number("pg_get_constraintdef", |all, number, _| {
            all.key(|key| key.constraint == number).map(|(_, key)| key.definition())
        }),
        by_number("pg_get_indexdef", |all, number, rest| {
            let (table, key) = all.key(|key| key.index == number)?;
            match rest.first().and_then(whole).unwrap_or(0) {
                0 => Some(relations::index_definition(&table.code, key)),
                at => usize::try_from(at - 1).ok().and_then(|at| key.columns.get(at).cloned()),
            }
        }),
    ]
}

fn size(name: &'static str) -> ScalarUDF {
    told(name, ArrowType::Int64, |_| Ok(ScalarValue::Int64(None)))
}

fn subscripts() -> ScalarUDF {
    let list = ArrowType::List(Arc::new(Field::new_list_field(ArrowType::Int32, true)));
    told(SUBSCRIPTS, list, |given| {
        let count = match given.first() {
            Some(ScalarValue::List(list)) if !list.is_null(0) => list.value(0).len(),
            _ => 0,
        };
        let places = (1..).take(count).map(|at| ScalarValue::Int32(Some(at)));
        let places: Vec<ScalarValue> = places.collect();
        Ok(ScalarValue::List(ScalarValue::new_list_nullable(&places, &ArrowType::Int32)))
    })
}

/// A whole number, however it came.
fn whole(value: &ScalarValue) -> Option<i32> {
    match value {
        ScalarValue::Int16(n) => n.map(i32::from),
        ScalarValue::Int32(n) => *n,
        ScalarValue::Int64(n) => n.and_then(|n| i32::try_from(n).ok()),
        other => other.try_as_str().flatten().and_then(|text| text.parse().ok()),
    }
}

type Tell = dyn Fn(&[ScalarValue]) -> PlanResult<ScalarValue> + Send + Sync;

/// A function of any arguments, row by row.
fn told(
    name: &'static str,
    answer: ArrowType,
    tell: impl Fn(&[ScalarValue]) -> PlanResult<ScalarValue> + Send + Sync + 'static,
) -> ScalarUDF {
    let signature = Signature::one_of(
        vec![TypeSignature::VariadicAny, TypeSignature::Nullary],
        Volatility::Stable,
    );
    ScalarUDF::new_from_impl(Told { name, signature, answer, tell: Arc::new(tell) })
}

struct Told {
    name: &'static str,
    signature: Signature,
    answer: ArrowType,
    tell: Arc<Tell>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("name", &self.name).finish_non_exhaustive()
    }
}

// One name is one function in a session.
impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Told {}

impl Hash for Told {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Told {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[ArrowType]) -> PlanResult<ArrowType> {
        Ok(self.answer.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let scalars: Option<Vec<ScalarValue>> = args
            .args
            .iter()
            .map(|given| match given {
                ColumnarValue::Scalar(value) => Some(value.clone()),
                ColumnarValue::Array(_) => None,
            })
            .collect();
        if let Some(given) = scalars {
            return (self.tell)(&given).map(ColumnarValue::Scalar);
        }
        let rows = args.number_rows;
        let arrays = args.args.into_iter().map(|given| given.into_array(rows));
        let arrays = arrays.collect::<PlanResult<Vec<_>>>()?;
        let mut answers = Vec::with_capacity(rows);
        for row in 0..rows {
            let given = arrays.iter().map(|array| ScalarValue::try_from_array(array, row));
            answers.push((self.tell)(&given.collect::<PlanResult<Vec<_>>>()?)?);
        }
        Ok(ColumnarValue::Array(match answers.is_empty() {
            true => new_empty_array(&self.answer),
            false => ScalarValue::iter_to_array(answers)?,
        }))
    }
}

/// `current_setting(name)`: as SHOW tells it; NULL where there is none.
fn current_setting(settings: &Arc<Settings>) -> ScalarUDF {
    let settings = Arc::clone(settings);
    let look = move |given: &[ColumnarValue]| {
        let value = match given.first() {
            Some(ColumnarValue::Scalar(name)) => {
                name.try_as_str().flatten().and_then(|name| settings.get(name))
            }
            _ => None,
        };
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(value)))
    };
    let arguments = vec![ArrowType::Utf8];
    create_udf("current_setting", arguments, ArrowType::Utf8, Volatility::Stable, Arc::new(look))
}

/// `set_config(name, value, local)`: as SET does it.
fn set_config(settings: &Arc<Settings>) -> ScalarUDF {
    let settings = Arc::clone(settings);
    let set = move |given: &[ColumnarValue]| {
        let text = |at: usize| match given.get(at) {
            Some(ColumnarValue::Scalar(value)) => value.try_as_str().flatten().map(str::to_owned),
            _ => None,
        };
        let (Some(name), Some(value)) = (text(0), text(1)) else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
        };
        settings
            .set(&name, Some(value.clone()))
            .map_err(|e| DataFusionError::Execution(e.to_string()))?;
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(value))))
    };
    let arguments = vec![ArrowType::Utf8, ArrowType::Utf8, ArrowType::Boolean];
    create_udf("set_config", arguments, ArrowType::Utf8, Volatility::Volatile, Arc::new(set))
}

/// A function that finds nothing.
fn empty(name: &'static str, argument: ArrowType, answer: ArrowType) -> ScalarUDF {
    let null = answer.clone();
    let find = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::try_from(&null)?));
    create_udf(name, vec![argument], answer, Volatility::Stable, Arc::new(find))
}

/// A question whose answer is no.
fn not(name: &'static str) -> ScalarUDF {
    let no = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(false))));
    create_udf(name, Vec::new(), ArrowType::Boolean, Volatility::Stable, Arc::new(no))
}

/// A function of any of its arguments with one answer.
fn constant(name: &'static str, arguments: &[ArrowType], answer: Option<String>) -> ScalarUDF {
    let scalar =
        move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Utf8(answer.clone())));
    create_udf(name, arguments.to_vec(), ArrowType::Utf8, Volatility::Stable, Arc::new(scalar))
}
