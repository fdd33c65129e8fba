//! What a plan asks for: its parameters, and the granted resources that it reads.

use std::collections::HashMap;

use arrow::datatypes::DataType as ArrowType;
use arrow_pg::datatypes::{PG_OID_ALIAS_KEY, into_pg_type, pg_type_for_alias_kind};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan};
use pgwire::api::Type;
use pgwire::error::PgWireResult;

use super::catalogue::{DATABASE, SCHEMA};
use super::table;
use super::words::{of_plan, told};

/// Parameters of a plan in their order.
pub(super) fn parameters(plan: &LogicalPlan) -> PgWireResult<Vec<(Option<ArrowType>, Type)>> {
    let mut found: HashMap<String, Option<ArrowType>> =
        plan.get_parameter_types().map_err(of_plan)?;
    let mut alias: HashMap<String, Type> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            expr.apply(|e| {
                if let Expr::Cast(cast) = e
                    && let Expr::Placeholder(p) = cast.expr.as_ref()
                {
                    let wanted = found.entry(p.id.clone()).or_default();
                    wanted.get_or_insert_with(|| cast.field.data_type().clone());
                }
                if let Expr::Placeholder(p) = e {
                    found.entry(p.id.clone()).or_default();
                    let kind = p.field.as_ref().and_then(|f| f.metadata().get(PG_OID_ALIAS_KEY));
                    if let Some(known) = kind.and_then(|k| pg_type_for_alias_kind(k)) {
                        let int =
                            p.field.as_ref().is_some_and(|f| f.data_type() == &ArrowType::Int32);
                        if int {
                            alias.insert(p.id.clone(), known);
                        }
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(of_plan)?;
    let count = found
        .keys()
        .map(|id| id.trim_start_matches('$').parse::<usize>().unwrap_or(0))
        .max()
        .unwrap_or(0);
    if count > 1000 || found.keys().any(|id| id.trim_start_matches('$').parse::<usize>().is_err()) {
        return Err(told(
            "42P02",
            "参数应写作 $1、$2 …，至多 1000 个",
            "parameters are written $1, $2 …, at most 1000",
        ));
    }
    (1..=count)
        .map(|n| {
            let id = format!("${n}");
            let arrow = found.get(&id).cloned().flatten();
            let wire = match (alias.get(&id), &arrow) {
                (Some(alias), _) => alias.clone(),
                (None, Some(arrow)) => into_pg_type(arrow)?,
                // A parameter that nothing says more of is a text.
                (None, None) => Type::TEXT,
            };
            Ok((arrow, wire))
        })
        .collect()
}

/// Granted resources that a plan reads, with their columns.
pub(super) fn tables(plan: &LogicalPlan) -> PgWireResult<Vec<(String, Vec<String>)>> {
    let mut tables: Vec<(String, Vec<String>)> = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let name = scan.table_name.clone().resolve(DATABASE, SCHEMA);
            if name.schema.as_ref() == SCHEMA {
                let provider = source_as_provider(&scan.source)?;
                if let Some(code) = table::granted(&provider) {
                    // Conditions that the table answers itself need no column of its answer, but read one.
                    let shown = scan.projected_schema.fields().iter().map(|f| f.name().clone());
                    let compared = scan.filters.iter().flat_map(|f| f.column_refs());
                    let columns = shown.chain(compared.into_iter().map(|c| c.name.clone()));
                    let known = tables.iter_mut().find(|(c, _)| c == code);
                    let mut there = known.map(|(_, t)| std::mem::take(t)).unwrap_or_default();
                    for column in columns {
                        if !there.contains(&column) {
                            there.push(column);
                        }
                    }
                    tables.retain(|(c, _)| c != code);
                    tables.push((code.to_owned(), there));
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(of_plan)?;
    Ok(tables)
}
