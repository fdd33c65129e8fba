//! Standard functions of the field, as functions of SQL. docs/transform-functions.md lists them.
//!
//! Null in, null out. A value that a function refuses takes its row out of the flow (see `careful`).

mod address;
mod book;
mod rule;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Date32Builder, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType as ArrowType, Int64Type};
use datafusion::common::{DataFusionError, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use model::{Error, Result};

pub(super) use self::book::Books;
use super::input::Input;
use super::words::{Refusal, bad_sql};

/// One argument's value in one row.
#[derive(Clone, Copy, Debug)]
enum Given<'a> {
    Text(&'a str),
    Integer(i64),
}

impl<'a> Given<'a> {
    fn text(self) -> &'a str {
        match self {
            Given::Text(text) => text,
            Given::Integer(_) => "",
        }
    }
}

/// What a function answers for one row.
enum Told {
    Null,
    Text(String),
    Truth(bool),
    Day(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Takes {
    Text,
    Integer,
}

impl Takes {
    fn arrow(self) -> ArrowType {
        match self {
            Takes::Text => ArrowType::Utf8,
            Takes::Integer => ArrowType::Int64,
        }
    }
}

type Work = fn(&Books, &[Given<'_>]) -> std::result::Result<Told, Refusal>;

/// A function as it is known.
struct Known {
    name: &'static str,
    takes: &'static [Takes],
    /// How many of the arguments must be there.
    least: usize,
    gives: ArrowType,
    usage: &'static str,
    work: Work,
}

use Takes::{Integer, Text};

static KNOWN: [Known; 11] = [
    Known {
        name: "code_map",
        takes: &[Text, Text, Text, Text],
        least: 2,
        gives: ArrowType::Utf8,
        usage: "code_map(list, value[, 'name'|'code'[, otherwise]])",
        work: book::code_map,
    },
    Known {
        name: "region_as_of",
        takes: &[Text, Integer, Text],
        least: 2,
        gives: ArrowType::Utf8,
        usage: "region_as_of(code, year[, table])",
        work: book::region_as_of,
    },
    Known {
        name: "id15_to_18",
        takes: &[Text],
        least: 1,
        gives: ArrowType::Utf8,
        usage: "id15_to_18(id)",
        work: rule::id15_to_18,
    },
    Known {
        name: "id_valid",
        takes: &[Text],
        least: 1,
        gives: ArrowType::Boolean,
        usage: "id_valid(id)",
        work: rule::id_valid,
    },
    Known {
        name: "id_birthday",
        takes: &[Text],
        least: 1,
        gives: ArrowType::Date32,
        usage: "id_birthday(id)",
        work: rule::id_birthday,
    },
    Known {
        name: "id_sex",
        takes: &[Text],
        least: 1,
        gives: ArrowType::Utf8,
        usage: "id_sex(id)",
        work: rule::id_sex,
    },
    Known {
        name: "uscc_valid",
        takes: &[Text],
        least: 1,
        gives: ArrowType::Boolean,
        usage: "uscc_valid(uscc)",
        work: rule::uscc_valid,
    },
    Known {
        name: "uscc_org_code",
        takes: &[Text],
        least: 1,
        gives: ArrowType::Utf8,
        usage: "uscc_org_code(uscc)",
        work: rule::uscc_org_code,
    },
    Known {
        name: "address_part",
        takes: &[Text, Text],
        least: 2,
        gives: ArrowType::Utf8,
        usage: "address_part(address, 'province'|'city'|'county'|'town'|'rest')",
        work: address::address_part,
    },
    Known {
        name: "date_of",
        takes: &[Text, Text],
        least: 1,
        gives: ArrowType::Date32,
        usage: "date_of(text[, 'DD/MM/YYYY'|'MM/DD/YYYY'])",
        work: rule::date_of,
    },
    Known {
        name: "half_width",
        takes: &[Text],
        least: 1,
        gives: ArrowType::Utf8,
        usage: "half_width(text)",
        work: rule::half_width,
    },
];

/// All functions, sharing the lists they look things up in.
pub(super) fn all(books: &Arc<Books>) -> Vec<Arc<ScalarUDF>> {
    (0..KNOWN.len())
        .map(|at| {
            Arc::new(ScalarUDF::new_from_impl(Function {
                at,
                books: Arc::clone(books),
                signature: Signature::user_defined(Volatility::Immutable),
            }))
        })
        .collect()
}

/// The list a call looks things up in, when it is one that does.
pub(super) fn book_of(call: &ScalarFunction) -> Option<Result<String>> {
    let (at, default) = match call.name() {
        "code_map" => (0, None),
        "region_as_of" => (2, Some(book::HISTORY)),
        _ => return None,
    };
    let Some(argument) = call.args.get(at) else {
        return default.map(|name| Ok(name.to_owned()));
    };
    Some(literal(argument).ok_or_else(|| {
        bad_sql(
            format!("`{}` 的代码表名应直接写成文字，如 'gender'", call.name()),
            format!("`{}` takes the list's name as a plain text, as in 'gender'", call.name()),
        )
    }))
}

fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(Some(t))
            | ScalarValue::Utf8View(Some(t))
            | ScalarValue::LargeUtf8(Some(t)),
            _,
        ) => Some(t.clone()),
        Expr::Cast(cast) => literal(&cast.expr),
        _ => None,
    }
}

/// Whether an input has the columns that the functions of a plan need of it.
pub(super) fn check_book(plan: &LogicalPlan, input: &Input) -> Result<()> {
    let mut history = false;
    super::each_expression(plan, |expr| {
        if let Expr::ScalarFunction(call) = expr
            && call.name() == "region_as_of"
            && matches!(book_of(call), Some(Ok(name)) if name == input.name())
        {
            history = true;
        }
        Ok(())
    })
    .map_err(|e| Error::internal("lake: walking a plan").caused_by(e))?;
    book::check(input, history)
}

/// One function in one session.
#[derive(Debug, Clone)]
struct Function {
    at: usize,
    books: Arc<Books>,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at && Arc::ptr_eq(&self.books, &other.books)
    }
}
impl Eq for Function {}
impl std::hash::Hash for Function {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.at.hash(state);
    }
}

impl Function {
    fn known(&self) -> &'static Known {
        KNOWN.get(self.at).unwrap_or(&KNOWN[0])
    }
}

/// A column of arguments.
enum Lane {
    Texts(StringArray),
    Integers(arrow::array::Int64Array),
}

impl Lane {
    fn of(array: &ArrayRef, takes: Takes) -> PlanResult<Self> {
        let array = arrow::compute::cast(array, &takes.arrow())?;
        Ok(match takes {
            Text => Lane::Texts(array.as_string::<i32>().clone()),
            Integer => Lane::Integers(array.as_primitive::<Int64Type>().clone()),
        })
    }
    fn get(&self, row: usize) -> Option<Given<'_>> {
        match self {
            Lane::Texts(a) => a.is_valid(row).then(|| Given::Text(a.value(row))),
            Lane::Integers(a) => a.is_valid(row).then(|| Given::Integer(a.value(row))),
        }
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.known().name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[ArrowType]) -> PlanResult<ArrowType> {
        Ok(self.known().gives.clone())
    }
    fn coerce_types(&self, given: &[ArrowType]) -> PlanResult<Vec<ArrowType>> {
        let known = self.known();
        if given.len() < known.least || given.len() > known.takes.len() {
            return Err(Refusal {
                zh: format!("函数用法为 {}，现有 {} 个参数", known.usage, given.len()),
                en: format!(
                    "the function is {}, it was given {} arguments",
                    known.usage,
                    given.len()
                ),
            }
            .into());
        }
        Ok(known.takes.iter().take(given.len()).map(|t| t.arrow()).collect())
    }
    fn invoke_with_args(&self, given: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let known = self.known();
        let single = given.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&given.args)?;
        let rows = arrays.first().map_or(given.number_rows, |a| a.len());
        let lanes = arrays
            .iter()
            .zip(known.takes)
            .map(|(array, takes)| Lane::of(array, *takes))
            .collect::<PlanResult<Vec<_>>>()?;
        let answer = answer(known, &self.books, &lanes, rows)?;
        if single {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?));
        }
        Ok(ColumnarValue::Array(answer))
    }
}

fn answer(known: &Known, books: &Books, lanes: &[Lane], rows: usize) -> PlanResult<ArrayRef> {
    let mut told = Vec::with_capacity(rows);
    let mut arguments = Vec::with_capacity(lanes.len());
    for row in 0..rows {
        arguments.clear();
        arguments.extend(lanes.iter().map_while(|lane| lane.get(row)));
        // Null in, null out.
        if arguments.len() < lanes.len() {
            told.push(Told::Null);
            continue;
        }
        told.push((known.work)(books, &arguments).map_err(DataFusionError::from)?);
    }
    Ok(match known.gives {
        ArrowType::Boolean => {
            let mut out = BooleanBuilder::with_capacity(rows);
            told.iter().for_each(|t| {
                out.append_option(if let Told::Truth(b) = t { Some(*b) } else { None })
            });
            Arc::new(out.finish())
        }
        ArrowType::Date32 => {
            let mut out = Date32Builder::with_capacity(rows);
            told.iter().for_each(|t| {
                out.append_option(if let Told::Day(d) = t { Some(*d) } else { None })
            });
            Arc::new(out.finish())
        }
        _ => {
            let mut out = StringBuilder::with_capacity(rows, rows * 12);
            told.iter().for_each(|t| {
                out.append_option(if let Told::Text(s) = t { Some(s.as_str()) } else { None })
            });
            Arc::new(out.finish())
        }
    })
}
