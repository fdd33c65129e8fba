//! The operator `||` in a shell: what it has made is measured, so that nothing grows by being joined to itself again and again.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, FieldRef};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::VALUE;
use super::room::Room;

/// Name of the shell in plans. Columns are called as without it.
pub(crate) const NAME: &str = "qt_within";

/// Gives what it is given, if that is not too much.
#[derive(Debug)]
pub(super) struct Within {
    signature: Signature,
    room: Arc<Room>,
}

impl Within {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable), room }
    }
}

// It does the same in every session; only the counting is another.
impl PartialEq for Within {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Within {}

impl Hash for Within {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NAME.hash(state);
    }
}

fn alone() -> DataFusionError {
    DataFusionError::Internal("a joined value has one argument".into())
}

impl ScalarUDFImpl for Within {
    fn name(&self) -> &str {
        NAME
    }

    fn schema_name(&self, args: &[Expr]) -> PlanResult<String> {
        args.first().map(|joined| joined.schema_name().to_string()).ok_or_else(alone)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[ArrowType]) -> PlanResult<ArrowType> {
        given.first().cloned().ok_or_else(alone)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        args.arg_fields.first().cloned().ok_or_else(alone)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let joined = args.args.into_iter().next().ok_or_else(alone)?;
        self.room.take("||", VALUE, &joined)?;
        Ok(joined)
    }
}
