//! Functions of SQL that make more than they are given, held within bounds.
//!
//! The engine counts what sorts, groups and joins hold; what a function makes it counts nowhere. `repeat('x', 2147483647)` would
//! take two gigabytes, and constants are computed while a statement is planned, before anything of it is counted. So wherever
//! somebody else's SELECT is planned (at the SQL door, in workspaces, in transformations) and run (here or by an executor of the
//! cluster), such functions stand in a shell:
//!
//! ```text
//! growth     which functions make how much, told from their arguments before they are called
//! function   the shell: asks before the call, measures after it
//! within     the same around the operator `||`, which is no function
//! room       what a session's functions have made and is still held by somebody
//! constants  constants that would be written out for every row
//! sides      rows that joins would repeat
//! ```
//!
//! What no shell stands around: CASE and conversions, which give about what they are given. The table functions `range` and `generate_series` give rows as they are asked for; they stay as they are.

mod constants;
mod function;
mod growth;
mod room;
mod sides;
mod within;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, ScalarUDF};

pub(crate) use self::constants::check as check_constants;
use self::function::Bounded;
use self::growth::Growth;
pub(crate) use self::room::Room;
pub(crate) use self::sides::watch as watch_sides;
pub(crate) use self::within::NAME as WITHIN;
use self::within::Within;

/// Longest value in bytes that a function makes out of a number: `repeat`, `lpad`, `range` and their like.
pub(crate) const MADE: usize = 64 << 10;
/// Longest value in bytes of any other function that may give more than it is given.
pub(crate) const VALUE: usize = 4 << 20;
/// Most bytes that one call makes for the rows of one batch.
pub(crate) const CALL: usize = 256 << 20;
/// Most bytes of constants that the steps of a statement write out for each row, together.
pub(crate) const CONSTANTS: usize = 32 << 10;
/// Widest row in bytes that goes into a join, which may repeat it for each row of a batch.
pub(crate) const WIDTH: usize = 128 << 10;
/// What functions may have made, in bytes, beyond what a statement's pool holds of it.
pub(crate) const UNDER_WAY: usize = 64 << 20;

/// The engine's scalar functions, those that grow in their shells.
pub(crate) fn functions(room: &Arc<Room>) -> Vec<Arc<ScalarUDF>> {
    let all = SessionStateDefaults::default_scalar_functions();
    all.into_iter().map(|function| held(function, room)).collect()
}

/// A function in its shell by its name, as an executor reads it from a plan; `None`: there is none.
pub(crate) fn named(name: &str, room: &Arc<Room>) -> Option<ScalarUDF> {
    static KNOWN: LazyLock<HashMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
        let all = SessionStateDefaults::default_scalar_functions();
        all.into_iter().map(|function| (function.name().to_owned(), function)).collect()
    });
    if name == WITHIN {
        return Some(within(room));
    }
    let growth = Growth::of(name)?;
    let inner = Arc::clone(KNOWN.get(name)?);
    Some(ScalarUDF::new_from_impl(Bounded::new(inner, growth, Arc::clone(room))))
}

/// The name of a function that stands in a shell.
pub(crate) fn shell(function: &ScalarUDF) -> Option<&str> {
    let any: &dyn Any = function.inner().as_ref();
    (any.is::<Bounded>() || any.is::<Within>()).then(|| function.name())
}

/// A plan with shells around what the planner made by itself: `ARRAY[…]`, `||`, and the like.
pub(crate) fn bind(plan: LogicalPlan, room: &Arc<Room>) -> PlanResult<LogicalPlan> {
    let bound = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| expr.transform_up(|inner| Ok(bound(inner, room))))
    })?;
    Ok(bound.data)
}

fn bound(expr: Expr, room: &Arc<Room>) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(call) if bare(&call.func) => {
            let shell = held(call.func, room);
            Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(shell, call.args)))
        }
        Expr::BinaryExpr(joined) if joined.op == Operator::StringConcat => {
            let arguments = vec![Expr::BinaryExpr(joined)];
            let shell = Arc::new(within(room));
            Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(shell, arguments)))
        }
        other => Transformed::no(other),
    }
}

fn bare(function: &ScalarUDF) -> bool {
    Growth::of(function.name()).is_some() && shell(function).is_none()
}

fn held(function: Arc<ScalarUDF>, room: &Arc<Room>) -> Arc<ScalarUDF> {
    match Growth::of(function.name()) {
        Some(growth) if shell(&function).is_none() => {
            let shell = Bounded::new(function, growth, Arc::clone(room));
            Arc::new(ScalarUDF::new_from_impl(shell))
        }
        _ => function,
    }
}

fn within(room: &Arc<Room>) -> ScalarUDF {
    ScalarUDF::new_from_impl(Within::new(Arc::clone(room)))
}
