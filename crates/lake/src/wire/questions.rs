//! Questions of clients about the catalogue, fitted to what the planner understands.
//!
//! Clients ask PostgreSQL's catalogue in PostgreSQL's own words. What the planner has no words for is written otherwise here, before
//! it sees the statement, so that the question is answered from the tables of `pg_catalog` all the same:
//!
//! ```text
//! x::regclass of a name             a function: a subquery, as the catalogue's crate writes it, cannot stand in the condition of a join
//! generate_subscripts(a, 1)         unnest of a list
//! (SELECT … of a row around it …)   nothing, in a column: what clients look up so are defaults, sequences, collations
//! x LIKE p ESCAPE '/'               the planner's own escape, a backslash
//! typinput = 0                      typinput = '-'
//! array(SELECT …), and texts of it   nothing: `\d+` asks for options, `\du` for memberships
//! ```
//!
//! A question that still cannot be planned and is about things that there are none of is answered by no row ([`nothing`]).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    self, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableFactor, Visit as _,
    VisitMut as _, Visitor, VisitorMut,
};

use super::firewall::TABLE_FUNCTIONS;
use super::functions::{NOTHING, RELATION, SUBSCRIPTS};

/// Columns of `pg_type` that name functions: PostgreSQL keeps numbers there, and 0 for none; ours keep names, and `-`.
const FUNCTION_COLUMNS: [&str; 6] =
    ["typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout"];

/// Writes a statement as the planner understands it.
pub(super) fn fit(statement: &mut Statement) {
    functions_by_name(statement);
    if !asks_catalogue(statement, &mut false) {
        return;
    }
    let _ = statement.visit(&mut Columns);
    let _ = ast::visit_expressions_mut(statement, |expr| {
        if let ast::Expr::Subquery(query) = expr
            && let Some(name) = named_relation(query)
        {
            *expr = call(RELATION, vec![name]);
        }
        if let ast::Expr::Like { pattern, escape_char, .. } = expr
            && let Some(own) = escape_char.take()
        {
            let own = ast::Expr::Value(own);
            let backslash = ast::Value::SingleQuotedString("\\".to_owned()).with_empty_span();
            let given = vec![pattern.as_ref().clone(), own, ast::Expr::Value(backslash)];
            **pattern = call("replace", given);
        }
        if let ast::Expr::Function(function) = expr
            && last(&function.name) == "generate_subscripts"
        {
            let mut list = function.clone();
            list.name = ObjectName::from(vec![Ident::new(SUBSCRIPTS)]);
            *expr = call("unnest", vec![ast::Expr::Function(list)]);
        }
        if let ast::Expr::Function(function) = expr
            && lists_rows(function)
        {
            *expr = call(NOTHING, Vec::new());
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Whether it makes a list of the rows of a query, or a text of such a list: options and memberships, of which there are none.
fn lists_rows(function: &Function) -> bool {
    match last(&function.name).as_str() {
        "array" => matches!(function.args, FunctionArguments::Subquery(_)),
        "array_to_string" => {
            let text = function.to_string().to_ascii_lowercase();
            text.contains(NOTHING) || text.contains("array(select")
        }
        _ => false,
    }
}

/// Has comparisons of such a column with 0, as drivers write them, compare with `-`.
fn functions_by_name(statement: &mut Statement) {
    let named = |side: &ast::Expr| match side {
        ast::Expr::Identifier(ident) => FUNCTION_COLUMNS.contains(&ident.value.as_str()),
        ast::Expr::CompoundIdentifier(path) => {
            path.last().is_some_and(|ident| FUNCTION_COLUMNS.contains(&ident.value.as_str()))
        }
        _ => false,
    };
    let _ = ast::visit_expressions_mut(statement, |expr| {
        if let ast::Expr::BinaryOp { left, right, .. } = expr
            && named(left)
            && let ast::Expr::Value(value) = right.as_mut()
            && matches!(&value.value, ast::Value::Number(number, _) if *number == "0")
        {
            value.value = ast::Value::SingleQuotedString("-".into());
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Whether a statement reads catalogues, and nothing else. `empty` tells whether one of them is a table in which there is nothing.
fn asks_catalogue(statement: &Statement, empty: &mut bool) -> bool {
    let mut any = false;
    let known = ast::visit_relations(statement, |name: &ObjectName| {
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|p| p.as_ident())
            .map(|i| i.value.to_ascii_lowercase())
            .collect();
        let last = parts.last().map(String::as_str).unwrap_or_default();
        *empty |= EMPTY.contains(&last);
        any = true;
        let system = parts.iter().any(|p| p == "pg_catalog" || p == "information_schema");
        match system || last.starts_with("pg_") || TABLE_FUNCTIONS.contains(&last) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    any && known.is_continue()
}

/// The name that a cast to `regclass` is of, if a subquery is what the catalogue's crate makes of one.
fn named_relation(query: &Query) -> Option<ast::Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(path))] =
        select.projection.as_slice()
    else {
        return None;
    };
    if path.last().is_none_or(|column| column.value != "oid") {
        return None;
    }
    let mut found = None;
    let _ = ast::visit_expressions(query, |expr| {
        if let ast::Expr::Function(function) = expr
            && last(&function.name) == "parse_ident"
            && let FunctionArguments::List(list) = &function.args
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(name))] = list.args.as_slice()
        {
            found = Some(name.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

/// Takes subqueries that look at the row around them out of what columns are computed by.
struct Columns;

impl VisitorMut for Columns {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            let (SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }) =
                item
            else {
                continue;
            };
            let _ = ast::visit_expressions_mut(column, |expr| {
                if let ast::Expr::Subquery(query) = expr
                    && looks_around(query)
                {
                    *expr = call(NOTHING, given(query.as_ref()));
                }
                ControlFlow::<()>::Continue(())
            });
        }
        ControlFlow::Continue(())
    }
}

/// Whether a query names a table that it does not read itself.
fn looks_around(query: &Query) -> bool {
    struct Names(Vec<String>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            let (name, alias) = match factor {
                TableFactor::Table { name, alias, .. } => (last(name), alias),
                TableFactor::Derived { alias, .. } | TableFactor::Function { alias, .. } => {
                    (String::new(), alias)
                }
                _ => return ControlFlow::Continue(()),
            };
            self.0.push(alias.as_ref().map_or(name, |alias| alias.name.value.clone()));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    let _ = query.visit(&mut names);
    ast::visit_expressions(query, |expr| match expr {
        ast::Expr::CompoundIdentifier(path) => {
            let table = path.iter().rev().nth(1);
            match table.is_none_or(|table| names.0.contains(&table.value)) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        }
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// The parameters in a query, with what they are said to be: a client sends them, whatever becomes of the question.
fn given(query: &Query) -> Vec<ast::Expr> {
    let mut found = BTreeMap::new();
    let _ = ast::visit_expressions(query, |expr| {
        if let Some((id, said)) = parameter(expr) {
            let known = found.entry(id).or_insert_with(|| said.clone());
            if !matches!(known, ast::Expr::Cast { .. }) {
                *known = said;
            }
        }
        ControlFlow::<()>::Continue(())
    });
    found.into_values().collect()
}

/// The parameter that an expression is, or casts.
fn parameter(expr: &ast::Expr) -> Option<(String, ast::Expr)> {
    let placeholder = |expr: &ast::Expr| match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Placeholder(id) => Some(id.clone()),
            _ => None,
        },
        _ => None,
    };
    let id = match expr {
        ast::Expr::Cast { expr, .. } => placeholder(expr),
        other => placeholder(other),
    };
    id.map(|id| (id, expr.clone()))
}

/// A call of a function by its name.
pub(super) fn call(name: &str, arguments: Vec<ast::Expr>) -> ast::Expr {
    let unnamed = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    ast::Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        args: FunctionArguments::List(FunctionArgumentList {
            args: arguments.into_iter().map(unnamed).collect(),
            duplicate_treatment: None,
            clauses: Vec::new(),
        }),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The last part of a name, in small letters.
pub(super) fn last(name: &ObjectName) -> String {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.map(|ident| ident.value.to_ascii_lowercase()).unwrap_or_default()
}

/// Tables of `pg_catalog` in which there is nothing here, or little that other words than the planner's ask for.
const EMPTY: &[&str] = &[
    "pg_constraint",
    "pg_index",
    "pg_sequence",
    "pg_trigger",
    "pg_policy",
    "pg_rewrite",
    "pg_inherits",
    "pg_statistic_ext",
    "pg_publication",
    "pg_publication_rel",
    "pg_foreign_table",
    "pg_enum",
    "pg_event_trigger",
];

/// The answer to a question of a client about things that there are none of, when its words are not the planner's: the
/// columns it asked for, and no row. Only questions that read catalogues alone are answered so.
pub(super) fn nothing(query: &Statement) -> Option<LogicalPlan> {
    let mut asked = false;
    let known = asks_catalogue(query, &mut asked);
    let Statement::Query(query) = query else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if !asked || !known {
        return None;
    }
    let names = select.projection.iter().map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(ast::Expr::Identifier(ident)) => Some(ident.value.clone()),
        SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(parts)) => {
            parts.last().map(|i| i.value.clone())
        }
        SelectItem::UnnamedExpr(other) => Some(other.to_string().chars().take(63).collect()),
        _ => None,
    });
    let names = names.collect::<Option<Vec<String>>>()?;
    let fields: Vec<Field> =
        names.into_iter().map(|name| Field::new(name, ArrowType::Utf8, true)).collect();
    let schema = DFSchema::try_from(Schema::new(fields)).ok()?;
    let empty = LogicalPlan::EmptyRelation(EmptyRelation {
        produce_one_row: false,
        schema: Arc::new(schema),
    });
    // The parameters of the question are those of its answer: clients send what they were told to.
    given(query).iter().filter_map(parameter).try_fold(empty, |plan, (id, said)| {
        let arrow = match said {
            ast::Expr::Cast { data_type, .. } => whole_number(&data_type),
            _ => None,
        };
        let field = Field::new("", arrow.unwrap_or(ArrowType::Utf8), true);
        let given = Expr::Placeholder(Placeholder::new_with_field(id, Some(field.into())));
        let given = given.is_not_null();
        LogicalPlanBuilder::from(plan).filter(given).and_then(LogicalPlanBuilder::build).ok()
    })
}

fn whole_number(said: &ast::DataType) -> Option<ArrowType> {
    match said {
        ast::DataType::SmallInt(_) | ast::DataType::Int2(_) => Some(ArrowType::Int16),
        ast::DataType::Int(_) | ast::DataType::Integer(_) | ast::DataType::Int4(_) => {
            Some(ArrowType::Int32)
        }
        ast::DataType::BigInt(_) | ast::DataType::Int8(_) => Some(ArrowType::Int64),
        other if other.to_string().eq_ignore_ascii_case("oid") => Some(ArrowType::Int32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

    use super::*;

    fn fitted(sql: &str) -> String {
        let mut statement = PostgresCompatibilityParser::new().parse(sql).unwrap().remove(0);
        fit(&mut statement);
        statement.to_string()
    }

    #[test]
    fn a_name_of_a_relation_is_asked_by_a_function() {
        let text = fitted(
            "select d.description from pg_catalog.pg_class c left join pg_catalog.pg_description d on d.objoid = c.oid and d.classoid = cast($1 as regclass)",
        );
        assert!(text.ends_with("d.classoid = qt_relation($1::TEXT)"), "{text}");
        let text = fitted("select 'pg_catalog.pg_class'::regclass from pg_catalog.pg_am");
        assert!(text.contains("qt_relation('pg_catalog.pg_class'::TEXT)"), "{text}");
    }

    #[test]
    fn what_looks_at_the_row_around_it_is_nothing_and_keeps_its_parameters() {
        let text = fitted(
            "select case when a.atthasdef then (select pg_get_expr(d.adbin, $2::VARCHAR) from pg_catalog.pg_attrdef d where d.adrelid = a.attrelid) else null end as x, (select max(oid) from pg_catalog.pg_am) as y from pg_catalog.pg_attribute a where a.attnum > $1::SMALLINT",
        );
        assert!(text.contains("THEN qt_nothing($2::VARCHAR) ELSE"), "{text}");
        assert!(text.contains("(SELECT max(oid) FROM pg_catalog.pg_am"), "{text}");
        // Not of the catalogue: left as it is.
        let text =
            fitted("select case when true then (select b from u where u.a = t.a) end from t");
        assert!(text.contains("(SELECT b FROM u WHERE u.a = t.a)"), "{text}");
    }

    #[test]
    fn an_escape_is_the_planners_own() {
        let text = fitted(
            "select nspname from pg_catalog.pg_namespace where nspname not like $1::VARCHAR || '%' escape '/'",
        );
        assert!(text.ends_with("NOT LIKE replace($1::VARCHAR || '%', '/', '\\')"), "{text}");
    }

    #[test]
    fn a_list_of_rows_is_nothing() {
        let text = fitted(
            "select c.relkind, pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from pg_catalog.unnest(tc.reloptions) x), ', ') from pg_catalog.pg_class c left join pg_catalog.pg_class tc on c.reltoastrelid = tc.oid",
        );
        assert!(text.starts_with("SELECT c.relkind, qt_nothing() FROM"), "{text}");
    }

    #[test]
    fn subscripts_are_a_list_that_is_unnested() {
        let text = fitted(
            "select unnest(i.indkey) as attnum, generate_subscripts(i.indkey, 1) as ord from pg_catalog.pg_index i",
        );
        assert!(text.contains("unnest(qt_subscripts(i.indkey, 1)) AS ord"), "{text}");
    }
}
