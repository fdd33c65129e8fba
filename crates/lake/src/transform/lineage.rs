//! Lineage of a result's columns, read off the logical plan.
//!
//! * `from`: input columns that a value is computed from, conditions of a CASE and partition and order of a window
//!   among them: whatever, changed in one row, may change the value.
//! * `through`: input columns that decide which rows there are: filters, joins, groups, DISTINCT, and the order under a
//!   LIMIT.
//! * `by`: functions and operators on the way, outermost first; empty when the value is copied.

use std::collections::BTreeSet;

use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::logical_expr::{
    Distinct, Expr, LogicalPlan, SortExpr, Subquery, WindowFunctionDefinition,
};
use model::{Error, Result};

use crate::bounds;

/// Lineage of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) from: Vec<String>,
    pub(crate) through: Vec<String>,
    pub(crate) by: Vec<String>,
}

/// What is known of a step's result.
#[derive(Clone, Debug, Default)]
struct Flow {
    columns: Vec<Trace>,
    through: BTreeSet<String>,
    /// Columns the rows are ordered by: they decide once rows are cut off.
    order: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Trace {
    from: BTreeSet<String>,
    by: Vec<String>,
}

impl Trace {
    fn add(&mut self, other: &Trace) {
        self.from.extend(other.from.iter().cloned());
        self.also(&other.by);
    }
    fn also(&mut self, by: &[String]) {
        for name in by {
            if !self.by.contains(name) {
                self.by.push(name.clone());
            }
        }
    }
}

/// Lineage of every column of a plan.
pub(crate) fn of(plan: &LogicalPlan) -> Result<Vec<Line>> {
    let flow = flow(plan, &[])?;
    let through: Vec<String> = flow.through.into_iter().collect();
    Ok(flow
        .columns
        .into_iter()
        .map(|trace| Line {
            from: trace.from.into_iter().collect(),
            through: through.clone(),
            by: trace.by,
        })
        .collect())
}

/// A schema around a subquery, with what is known of its columns.
type Outer<'a> = (&'a DFSchema, &'a Flow);

fn flow(plan: &LogicalPlan, outer: &[Outer<'_>]) -> Result<Flow> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.table();
            let columns = scan
                .projected_schema
                .fields()
                .iter()
                .map(|f| Trace {
                    from: BTreeSet::from([format!("{table}.{}", f.name())]),
                    by: Vec::new(),
                })
                .collect();
            Ok(Flow { columns, ..Flow::default() })
        }
        LogicalPlan::Projection(p) => {
            let input = flow(&p.input, outer)?;
            mapped(&p.expr, p.input.schema(), input, outer)
        }
        LogicalPlan::Filter(f) => {
            let input = flow(&f.input, outer)?;
            let condition = trace(&f.predicate, f.input.schema(), &input, outer)?;
            Ok(decided(input, condition))
        }
        LogicalPlan::Window(w) => {
            let input = flow(&w.input, outer)?;
            let more = mapped(&w.window_expr, w.input.schema(), input.clone(), outer)?;
            let mut all = input;
            all.columns.extend(more.columns);
            all.through.extend(more.through);
            Ok(all)
        }
        LogicalPlan::Aggregate(a) => {
            let input = flow(&a.input, outer)?;
            let schema = a.input.schema();
            let mut groups: Vec<Expr> = Vec::new();
            let mut grouping_sets = false;
            for expr in &a.group_expr {
                match expr {
                    Expr::GroupingSet(set) => {
                        grouping_sets = true;
                        groups.extend(set.distinct_expr().into_iter().cloned());
                    }
                    other => groups.push(other.clone()),
                }
            }
            let by_group = mapped(&groups, schema, input.clone(), outer)?;
            let values = mapped(&a.aggr_expr, schema, input, outer)?;
            let mut columns = by_group.columns;
            let mut through = by_group.through;
            through.extend(values.through);
            let all = columns.iter().fold(Trace::default(), |mut all, c| {
                all.add(c);
                all
            });
            through.extend(all.from.iter().cloned());
            if grouping_sets {
                // The engine's own column that tells the sets apart.
                columns.push(all);
            }
            columns.extend(values.columns);
            Ok(Flow { columns, through, order: BTreeSet::new() })
        }
        LogicalPlan::Sort(s) => {
            let mut input = flow(&s.input, outer)?;
            let order = sorted(&s.expr, s.input.schema(), &input, outer)?;
            if s.fetch.is_some() {
                input.through.extend(order.from.iter().cloned());
            }
            input.order = order.from;
            Ok(input)
        }
        LogicalPlan::Limit(l) => {
            let mut input = flow(&l.input, outer)?;
            input.through.extend(input.order.iter().cloned());
            Ok(input)
        }
        LogicalPlan::Join(join) => {
            let (left, right) = (flow(&join.left, outer)?, flow(&join.right, outer)?);
            let mut conditions = Trace::default();
            for (l, r) in &join.on {
                conditions.add(&trace(l, join.left.schema(), &left, outer)?);
                conditions.add(&trace(r, join.right.schema(), &right, outer)?);
            }
            let mut both = Flow::default();
            both.columns.extend(left.columns.iter().cloned());
            both.columns.extend(right.columns.iter().cloned());
            both.through.extend(left.through);
            both.through.extend(right.through);
            if let Some(filter) = &join.filter {
                let schema =
                    join.left.schema().join(join.right.schema()).map_err(|e| odd("join", e))?;
                conditions.add(&trace(filter, &schema, &both, outer)?);
            }
            let mut out = decided(both, conditions.clone());
            match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => out.columns = left.columns,
                JoinType::RightSemi | JoinType::RightAnti => out.columns = right.columns,
                JoinType::LeftMark => {
                    out.columns = left.columns;
                    out.columns.push(conditions);
                }
                JoinType::RightMark => {
                    out.columns = right.columns;
                    out.columns.push(conditions);
                }
                _ => {}
            }
            Ok(out)
        }
        LogicalPlan::Union(u) => {
            let mut out = Flow::default();
            for input in &u.inputs {
                let input = flow(input, outer)?;
                if out.columns.is_empty() {
                    out.columns = vec![Trace::default(); input.columns.len()];
                }
                for (sum, column) in out.columns.iter_mut().zip(&input.columns) {
                    sum.add(column);
                }
                out.through.extend(input.through);
            }
            Ok(out)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let mut input = flow(input, outer)?;
            let all: BTreeSet<String> =
                input.columns.iter().flat_map(|c| c.from.iter().cloned()).collect();
            input.through.extend(all);
            input.order.clear();
            Ok(input)
        }
        LogicalPlan::Distinct(Distinct::On(on)) => {
            let input = flow(&on.input, outer)?;
            let schema = on.input.schema();
            let mut out = mapped(&on.select_expr, schema, input.clone(), outer)?;
            for expr in &on.on_expr {
                out.through.extend(trace(expr, schema, &input, outer)?.from);
            }
            if let Some(order) = &on.sort_expr {
                out.through.extend(sorted(order, schema, &input, outer)?.from);
            }
            Ok(out)
        }
        LogicalPlan::SubqueryAlias(alias) => flow(&alias.input, outer),
        LogicalPlan::Subquery(subquery) => flow(&subquery.subquery, outer),
        LogicalPlan::Repartition(r) => flow(&r.input, outer),
        LogicalPlan::Unnest(u) => {
            let input = flow(&u.input, outer)?;
            let columns = u
                .dependency_indices
                .iter()
                .map(|at| input.columns.get(*at).cloned().unwrap_or_default())
                .collect();
            let mut through = input.through;
            for column in &u.exec_columns {
                if let Some(at) = u.input.schema().maybe_index_of_column(column)
                    && let Some(trace) = input.columns.get(at)
                {
                    through.extend(trace.from.iter().cloned());
                }
            }
            Ok(Flow { columns, through, order: BTreeSet::new() })
        }
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => Ok(Flow {
            columns: vec![Trace::default(); plan.schema().fields().len()],
            ..Flow::default()
        }),
        other => Err(Error::invalid(
            "这种查询不能用于转换",
            "this kind of query cannot be a transformation",
        )
        .detail(format!("lake: no lineage of {}", other.display()))),
    }
}

fn odd(what: &str, error: datafusion::common::DataFusionError) -> Error {
    Error::internal(format!("lake: lineage of a {what}")).caused_by(error)
}

/// Adds what decides the rows.
fn decided(mut flow: Flow, condition: Trace) -> Flow {
    flow.through.extend(condition.from);
    flow
}

/// Every expression over a step's input.
fn mapped(exprs: &[Expr], schema: &DFSchema, input: Flow, outer: &[Outer<'_>]) -> Result<Flow> {
    let mut through = input.through.clone();
    let mut columns = Vec::with_capacity(exprs.len());
    for expr in exprs {
        columns.push(traced(expr, schema, &input, outer, &mut through)?);
    }
    Ok(Flow { columns, through, order: input.order })
}

fn sorted(
    exprs: &[SortExpr],
    schema: &DFSchema,
    input: &Flow,
    outer: &[Outer<'_>],
) -> Result<Trace> {
    let mut all = Trace::default();
    for sort in exprs {
        all.add(&trace(&sort.expr, schema, input, outer)?);
    }
    Ok(all)
}

/// An expression in a condition: what decides the rows of its subqueries decides here too.
fn trace(expr: &Expr, schema: &DFSchema, input: &Flow, outer: &[Outer<'_>]) -> Result<Trace> {
    let mut through = BTreeSet::new();
    let mut out = traced(expr, schema, input, outer, &mut through)?;
    out.from.extend(through);
    Ok(out)
}

fn traced(
    expr: &Expr,
    schema: &DFSchema,
    input: &Flow,
    outer: &[Outer<'_>],
    through: &mut BTreeSet<String>,
) -> Result<Trace> {
    let mut out = Trace::default();
    out.also(&name_of(expr).into_iter().collect::<Vec<_>>());
    match expr {
        Expr::Column(column) => out.add(&column_of(column, schema, input)),
        Expr::OuterReferenceColumn(_, column) => {
            // The nearest query around that knows the column.
            let found = outer.iter().rev().find(|(s, _)| s.maybe_index_of_column(column).is_some());
            if let Some((schema, flow)) = found {
                out.add(&column_of(column, schema, flow));
            }
        }
        Expr::ScalarSubquery(s) => subquery(s, schema, input, outer, &mut out, through)?,
        Expr::Exists(e) => subquery(&e.subquery, schema, input, outer, &mut out, through)?,
        Expr::InSubquery(i) => {
            out.add(&traced(&i.expr, schema, input, outer, through)?);
            subquery(&i.subquery, schema, input, outer, &mut out, through)?;
        }
        Expr::SetComparison(s) => {
            out.add(&traced(&s.expr, schema, input, outer, through)?);
            subquery(&s.subquery, schema, input, outer, &mut out, through)?;
        }
        other => {
            for child in children(other)? {
                out.add(&traced(&child, schema, input, outer, through)?);
            }
        }
    }
    Ok(out)
}

fn subquery(
    subquery: &Subquery,
    schema: &DFSchema,
    input: &Flow,
    outer: &[Outer<'_>],
    out: &mut Trace,
    through: &mut BTreeSet<String>,
) -> Result<()> {
    let mut around = outer.to_vec();
    around.push((schema, input));
    let inner = flow(&subquery.subquery, &around)?;
    through.extend(inner.through);
    for column in &inner.columns {
        out.add(column);
    }
    Ok(())
}

fn column_of(column: &Column, schema: &DFSchema, input: &Flow) -> Trace {
    schema
        .maybe_index_of_column(column)
        .and_then(|at| input.columns.get(at))
        .cloned()
        .unwrap_or_default()
}

/// The expressions directly inside one.
fn children(expr: &Expr) -> Result<Vec<Expr>> {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut inside = Vec::new();
    expr.apply_children(|child| {
        inside.push(child.clone());
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|e| odd("expression", e))?;
    Ok(inside)
}

/// What an expression does to its values; `None` when it passes them on.
fn name_of(expr: &Expr) -> Option<String> {
    Some(match expr {
        // A shell only: what is inside tells its own name.
        Expr::ScalarFunction(f) if f.name() == bounds::WITHIN => return None,
        Expr::ScalarFunction(f) => f.name().to_owned(),
        Expr::AggregateFunction(f) => f.func.name().to_owned(),
        Expr::WindowFunction(f) => match &f.fun {
            WindowFunctionDefinition::AggregateUDF(f) => f.name().to_owned(),
            WindowFunctionDefinition::WindowUDF(f) => f.name().to_owned(),
        },
        Expr::HigherOrderFunction(f) => f.name().to_owned(),
        Expr::BinaryExpr(b) => b.op.to_string().to_lowercase(),
        Expr::Case(_) => "case".into(),
        Expr::Cast(_) => "cast".into(),
        Expr::TryCast(_) => "try_cast".into(),
        Expr::Like(_) => "like".into(),
        Expr::SimilarTo(_) => "similar to".into(),
        Expr::Not(_) => "not".into(),
        Expr::Negative(_) => "-".into(),
        Expr::Between(_) => "between".into(),
        Expr::InList(_) | Expr::InSubquery(_) => "in".into(),
        Expr::Exists(_) => "exists".into(),
        Expr::SetComparison(_) => "any".into(),
        Expr::IsNull(_) | Expr::IsUnknown(_) => "is null".into(),
        Expr::IsNotNull(_) | Expr::IsNotUnknown(_) => "is not null".into(),
        Expr::IsTrue(_) | Expr::IsNotTrue(_) => "is true".into(),
        Expr::IsFalse(_) | Expr::IsNotFalse(_) => "is false".into(),
        Expr::Unnest(_) => "unnest".into(),
        _ => return None,
    })
}
