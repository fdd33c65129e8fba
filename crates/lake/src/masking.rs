//! Masks as functions inside the plan: a released plan holds no way to the plain value of a masked column.
//!
//! A masked column is text, except where blanking and rounding keep the type ([`output_type`]).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, StringBuilder, StringViewBuilder,
    new_null_array,
};
use arrow::datatypes::DataType as ArrowType;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::lit;
use datafusion::scalar::ScalarValue;
use guard::MaskKey;
use guard::mask::{Masker, output_type, write_kept};
use model::code::DataType;
use model::mask::Mask;
use model::value::Value;
use policy::GrantColumn;

use crate::cells::Cells;
use crate::schema::{Kind, Shape};
use crate::view::named;

/// The masks of one grantee.
pub(crate) struct Masking {
    /// `None` where there is no key: plans pass through, and no row does.
    masker: Option<Masker>,
    grantee: String,
    /// Tells the key apart from others, and nothing else of it.
    print: String,
}

impl Masking {
    pub(crate) fn new(key: &MaskKey, grantee: &str) -> Self {
        Self {
            masker: Some(Masker::new(key, grantee)),
            grantee: grantee.to_owned(),
            print: print(key),
        }
    }

    /// Of a plan that passes through.
    pub(crate) fn passing(grantee: &str, print: &str) -> Self {
        Self { masker: None, grantee: grantee.to_owned(), print: print.to_owned() }
    }
}

/// Print of a key: a hash under it that no grantee is given.
pub(crate) fn print(key: &MaskKey) -> String {
    let hash = Masker::new(key, "\u{0}print").apply(&Mask::Hash, "", &Value::Text("print".into()));
    hash.to_text().unwrap_or_default()
}

/// An expression that masks `column`'s values for one grantee.
pub(crate) fn masked(masking: &Arc<Masking>, mask: &Mask, column: &str, value: Expr) -> Expr {
    function(masking, mask, column).call(vec![value])
}

/// A granted column as the grantee is shown it, of rows whose columns are `stored`: masked, and empty where the table does not hold
/// it (yet).
pub(crate) fn shown(masking: &Arc<Masking>, column: &GrantColumn, stored: &[Shape]) -> Expr {
    let name = &column.identifier;
    let there = stored.iter().any(|c| c.name == *name);
    let plain = if there { named(name) } else { lit(ScalarValue::Utf8(None)) };
    match &column.mask {
        Some(mask) => masked(masking, mask, name, plain),
        None => plain,
    }
}

/// The function of such an expression.
pub(crate) fn function(masking: &Arc<Masking>, mask: &Mask, column: &str) -> ScalarUDF {
    ScalarUDF::new_from_impl(MaskFunction {
        name: format!("mask_{}_{column}", mask.label()),
        column: column.to_owned(),
        mask: mask.clone(),
        masking: Arc::clone(masking),
        signature: Signature::any(1, Volatility::Immutable),
    })
}

pub(crate) struct MaskFunction {
    name: String,
    column: String,
    mask: Mask,
    masking: Arc<Masking>,
    signature: Signature,
}

impl fmt::Debug for MaskFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for MaskFunction {
    fn eq(&self, other: &Self) -> bool {
        self.told() == other.told()
    }
}
impl Eq for MaskFunction {}
impl Hash for MaskFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl MaskFunction {
    /// What it does, without the key: rule, column, grantee, the key's print.
    pub(crate) fn told(&self) -> (&Mask, &str, &str, &str) {
        (&self.mask, &self.column, &self.masking.grantee, &self.masking.print)
    }

    fn mask(&self, array: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
        let becomes = self.becomes(array.data_type());
        if self.mask == Mask::Blank {
            return Ok(new_null_array(&becomes, array.len()));
        }
        let Some(masker) = &self.masking.masker else {
            return Err(DataFusionError::Internal("no key for masks here".into()));
        };
        let cells = Cells::of(array.as_ref()).map_err(|e| DataFusionError::External(e.into()))?;
        if let (Mask::Keep { head, tail }, true) = (&self.mask, cells.is_text()) {
            // Names and numbers of millions of rows: no value of its own for each.
            let (mut texts, mut kept) = (Texts::of(&becomes, array.len()), String::new());
            for row in 0..array.len() {
                let Some(text) = cells.text(row) else {
                    texts.push(None);
                    continue;
                };
                kept.clear();
                write_kept(text, *head, *tail, &mut kept)
                    .map_err(|e| DataFusionError::External(e.into()))?;
                texts.push(Some(&kept));
            }
            return Ok(texts.finish());
        }
        let values =
            (0..array.len()).map(|row| masker.apply(&self.mask, &self.column, &cells.value(row)));
        Ok(match becomes {
            ArrowType::Int64 => Arc::new(Int64Array::from_iter(values.map(|v| match v {
                Value::Integer(n) => Some(n),
                _ => None,
            }))),
            ArrowType::Float64 => Arc::new(Float64Array::from_iter(values.map(|v| match v {
                Value::Float(n) => Some(n),
                _ => None,
            }))),
            ArrowType::Decimal128(precision, scale) => {
                let unscaled = values.map(|v| match v {
                    Value::Decimal(mut n) => {
                        n.rescale(u32::try_from(scale).unwrap_or(0));
                        Some(n.mantissa())
                    }
                    _ => None,
                });
                let array = Decimal128Array::from_iter(unscaled);
                Arc::new(array.with_precision_and_scale(precision, scale)?)
            }
            _ => {
                let mut texts = Texts::of(&becomes, array.len());
                values.for_each(|v| texts.push(v.to_text().as_deref()));
                texts.finish()
            }
        })
    }

    /// Type of the masked column.
    fn becomes(&self, stored: &ArrowType) -> ArrowType {
        let data_type = match Kind::of_arrow(stored) {
            Some(Kind::Integer) => DataType::Integer,
            Some(Kind::Decimal { .. }) => DataType::Decimal,
            Some(Kind::Float) => DataType::Float,
            _ => DataType::Text,
        };
        match (output_type(&self.mask, data_type), stored) {
            (DataType::Text, ArrowType::Utf8View) => ArrowType::Utf8View,
            (DataType::Text, _) => ArrowType::Utf8,
            _ => stored.clone(),
        }
    }
}

/// Masked texts, of the type that is to come out.
enum Texts {
    Plain(StringBuilder),
    Views(StringViewBuilder),
}

impl Texts {
    fn of(becomes: &ArrowType, rows: usize) -> Self {
        match becomes {
            ArrowType::Utf8View => Texts::Views(StringViewBuilder::with_capacity(rows)),
            _ => Texts::Plain(StringBuilder::with_capacity(rows, rows * 16)),
        }
    }

    fn push(&mut self, text: Option<&str>) {
        match self {
            Texts::Plain(texts) => texts.append_option(text),
            Texts::Views(texts) => texts.append_option(text),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Texts::Plain(mut texts) => Arc::new(texts.finish()),
            Texts::Views(mut texts) => Arc::new(texts.finish()),
        }
    }
}

impl ScalarUDFImpl for MaskFunction {
    fn name(&self) -> &str {
        &self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
        Ok(arguments.first().map_or(ArrowType::Utf8, |stored| self.becomes(stored)))
    }
    fn invoke_with_args(
        &self,
        given: ScalarFunctionArgs,
    ) -> Result<ColumnarValue, DataFusionError> {
        let arrays = ColumnarValue::values_to_arrays(&given.args)?;
        match arrays.as_slice() {
            [array] => Ok(ColumnarValue::Array(self.mask(array)?)),
            _ => Err(DataFusionError::Internal("a mask takes one column".into())),
        }
    }
}
