//! Masks as functions inside the plan: a released plan holds no way to the plain value of a masked column.
//!
//! A masked column is text, except where blanking and rounding keep the type ([`output_type`]).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, StringBuilder, new_null_array,
};
use arrow::datatypes::DataType as ArrowType;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use guard::mask::{Masker, output_type};
use model::code::DataType;
use model::mask::Mask;
use model::value::Value;

use crate::cells::Cells;
use crate::schema::Kind;

/// An expression that masks `column`'s values for one grantee.
pub(crate) fn masked(masker: &Arc<Masker>, mask: &Mask, column: &str, value: Expr) -> Expr {
    ScalarUDF::new_from_impl(MaskFunction {
        name: format!("mask_{}_{column}", mask.label()),
        column: column.to_owned(),
        mask: mask.clone(),
        masker: Arc::clone(masker),
        signature: Signature::any(1, Volatility::Immutable),
    })
    .call(vec![value])
}

struct MaskFunction {
    name: String,
    column: String,
    mask: Mask,
    masker: Arc<Masker>,
    signature: Signature,
}

impl fmt::Debug for MaskFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

// Within one plan there is one masker, so the name (mask and column) tells functions apart.
impl PartialEq for MaskFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.masker, &other.masker)
    }
}
impl Eq for MaskFunction {}
impl Hash for MaskFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl MaskFunction {
    fn mask(&self, array: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
        let becomes = self.becomes(array.data_type());
        if self.mask == Mask::Blank {
            return Ok(new_null_array(&becomes, array.len()));
        }
        let cells = Cells::of(array.as_ref()).map_err(|e| DataFusionError::External(e.into()))?;
        let values = (0..array.len())
            .map(|row| self.masker.apply(&self.mask, &self.column, &cells.value(row)));
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
                let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 16);
                values.for_each(|v| texts.append_option(v.to_text()));
                Arc::new(texts.finish())
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
        match output_type(&self.mask, data_type) {
            DataType::Text => ArrowType::Utf8,
            _ => stored.clone(),
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
