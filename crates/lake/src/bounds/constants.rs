//! Constants that a plan writes out for every row of a batch: a text of 64 kB is half a gigabyte for 8192 rows.

use arrow::datatypes::DataType as ArrowType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as PlanResult, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

use super::{CONSTANTS, shell};
use crate::transform::words::Refusal;

/// Functions that hand their arguments on, constants among them.
const HANDED_ON: &[&str] = &["struct", "named_struct", "nullif", "greatest", "least"];

/// Refuses an optimised plan of many rows whose constants are too long.
pub(crate) fn check(plan: &LogicalPlan) -> PlanResult<()> {
    let (mut all, mut many) = (0_usize, false);
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(_) => {
                many = true;
                // The table compares its conditions itself and writes none of them.
                return Ok(TreeNodeRecursion::Continue);
            }
            LogicalPlan::Unnest(_) => many = true,
            // Written once, as they stand in the statement.
            LogicalPlan::Values(_) => return Ok(TreeNodeRecursion::Continue),
            _ => {}
        }
        node.apply_expressions(|expr| {
            all = all.saturating_add(weight(expr)?);
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if many && all > CONSTANTS {
        return Err(Refusal {
            zh: format!(
                "语句要为每一行写出约 {all} 字节的常量，至多 {CONSTANTS} 字节：请缩短常量，或在查询之后再拼接"
            ),
            en: format!(
                "the statement would write about {all} bytes of constants for each row, at most {CONSTANTS} are written: shorten them, or add them after the query"
            ),
        }
        .into());
    }
    Ok(())
}

/// Bytes of constants that an expression may write for a row.
fn weight(expr: &Expr) -> PlanResult<usize> {
    match expr {
        Expr::Literal(value, _) => Ok(length(value)),
        Expr::ScalarFunction(call) => {
            // What stands in a shell is measured when it is called.
            let counted = shell(&call.func).is_none() && HANDED_ON.contains(&call.func.name());
            sum(expr, counted)
        }
        Expr::BinaryExpr(both) => sum(expr, both.op == Operator::StringConcat),
        // One branch is written for a row.
        Expr::Case(case) => {
            let mut most = match &case.else_expr {
                Some(other) => weight(other)?,
                None => 0,
            };
            for (_, then) in &case.when_then_expr {
                most = most.max(weight(then)?);
            }
            Ok(most)
        }
        Expr::Alias(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_) => sum(expr, true),
        // The others compare: constants stay what they are.
        _ => sum(expr, false),
    }
}

/// The expressions directly inside one; constants among them if they are written.
fn sum(expr: &Expr, written: bool) -> PlanResult<usize> {
    let mut all = 0_usize;
    expr.apply_children(|inner| {
        if written || !matches!(inner, Expr::Literal(..)) {
            all = all.saturating_add(weight(inner)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(all)
}

fn length(value: &ScalarValue) -> usize {
    match value.try_as_str() {
        Some(text) => text.map_or(0, str::len),
        None => match value.data_type() {
            ArrowType::Binary
            | ArrowType::LargeBinary
            | ArrowType::BinaryView
            | ArrowType::List(_)
            | ArrowType::LargeList(_)
            | ArrowType::FixedSizeList(..)
            | ArrowType::Struct(_)
            | ArrowType::Map(..) => value.size(),
            _ => 0,
        },
    }
}
