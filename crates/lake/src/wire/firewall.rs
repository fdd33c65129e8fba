//! Which statements are taken at all. Asked of the parsed text before anything is planned.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CopyTarget, ObjectName, Query, SetExpr, Statement, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use pgwire::error::{PgWireError, PgWireResult};

use super::words::told;

/// Functions that may stand where a table does.
pub(super) const TABLE_FUNCTIONS: &[&str] = &[
    "generate_series",
    "range",
    "unnest",
    "pg_get_keywords",
    "generate_subscripts",
    "string_to_array",
];

/// Refuses everything but reading.
pub(super) fn check(statement: &Statement) -> PgWireResult<()> {
    let taken = match statement {
        Statement::Query(_)
        | Statement::Set(_)
        | Statement::Reset(_)
        | Statement::ShowVariable { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::StartTransaction { .. }
        | Statement::Savepoint { .. }
        | Statement::ReleaseSavepoint { .. }
        | Statement::Fetch { .. }
        | Statement::Close { .. }
        | Statement::Deallocate { .. }
        | Statement::Discard { .. } => true,
        Statement::Commit { chain, .. } => !chain,
        Statement::Rollback { chain, .. } => !chain,
        Statement::Explain { analyze, statement, .. } => {
            !analyze && matches!(statement.as_ref(), Statement::Query(_))
        }
        Statement::Declare { stmts } => matches!(
            stmts.as_slice(),
            [ast::Declare { for_query: Some(_), declare_type: Some(ast::DeclareType::Cursor), .. }]
        ),
        Statement::Copy { to: true, target: CopyTarget::Stdout, .. } => true,
        _ => false,
    };
    if !taken {
        return Err(refused(&verb(statement)));
    }
    match statement.visit(&mut Inside) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => Err(refused(&what)),
    }
}

fn refused(what: &str) -> PgWireError {
    told(
        "42501",
        format!(
            "不允许的语句：{what}。只能查询：SELECT、WITH、VALUES、EXPLAIN（不含 ANALYZE）、SHOW、SET（部分）、BEGIN、COMMIT、ROLLBACK、SAVEPOINT、DECLARE CURSOR、FETCH、CLOSE、DEALLOCATE、DISCARD、COPY … TO STDOUT"
        ),
        format!(
            "not allowed: {what}. Reading only: SELECT, WITH, VALUES, EXPLAIN (without ANALYZE), SHOW, SET (some), BEGIN, COMMIT, ROLLBACK, SAVEPOINT, DECLARE CURSOR, FETCH, CLOSE, DEALLOCATE, DISCARD, COPY … TO STDOUT"
        ),
    )
}

/// The first words of a statement: nothing that somebody typed as a value.
fn verb(statement: &Statement) -> String {
    let text = statement.to_string();
    let words = text.split_whitespace().take(2);
    let plain = |w: &&str| w.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    words.take_while(plain).collect::<Vec<_>>().join(" ").to_uppercase()
}

/// Looks into every subquery.
struct Inside;

impl Visitor for Inside {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if !query.locks.is_empty() {
            return ControlFlow::Break("SELECT … FOR UPDATE".to_owned());
        }
        body(&query.body)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<String> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                function(name)
            }
            TableFactor::Table { name, .. } => table(name),
            TableFactor::TableFunction { expr, .. } => match expr {
                ast::Expr::Function(call) => function(&call.name),
                _ => ControlFlow::Break("TABLE(…)".to_owned()),
            },
            TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => ControlFlow::Break("a table of another kind".to_owned()),
        }
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<String> {
        match statement {
            Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Merge(_) => ControlFlow::Break(verb(statement)),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn body(set: &SetExpr) -> ControlFlow<String> {
    match set {
        SetExpr::Select(select) if select.into.is_some() => {
            ControlFlow::Break("SELECT INTO".to_owned())
        }
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            body(left)?;
            body(right)
        }
        SetExpr::Table(_) => ControlFlow::Continue(()),
        SetExpr::Insert(s) | SetExpr::Update(s) | SetExpr::Delete(s) | SetExpr::Merge(s) => {
            ControlFlow::Break(verb(s))
        }
    }
}

/// Tables go by names; a name with a path or address in it is no table.
fn table(name: &ObjectName) -> ControlFlow<String> {
    let file = |part: &ast::ObjectNamePart| {
        part.as_ident().is_some_and(|ident| {
            ident.quote_style == Some('\'') || ident.value.contains(['/', '\\', ':'])
        })
    };
    if name.0.iter().any(file) {
        return ControlFlow::Break("FROM a file or an address".to_owned());
    }
    ControlFlow::Continue(())
}

fn function(name: &ObjectName) -> ControlFlow<String> {
    let last = name.0.last().and_then(|part| part.as_ident());
    let known = last
        .is_some_and(|ident| TABLE_FUNCTIONS.contains(&ident.value.to_ascii_lowercase().as_str()));
    if known {
        return ControlFlow::Continue(());
    }
    let told: String = name.to_string().chars().take(60).collect();
    ControlFlow::Break(format!("the table function `{told}`"))
}

/// The text without its constants and comments, for the record.
pub(super) fn shape(sql: &str) -> String {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else {
        return format!("(unreadable, {} bytes)", sql.len());
    };
    let mut shape = String::with_capacity(sql.len());
    for token in tokens {
        match token {
            Token::Whitespace(_) => {
                if !shape.ends_with(' ') && !shape.is_empty() {
                    shape.push(' ');
                }
            }
            Token::Number(..) => shape.push('?'),
            token if is_text(&token) => shape.push('?'),
            other => shape.push_str(&other.to_string()),
        }
    }
    shape.trim_end().to_owned()
}

fn is_text(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::TripleSingleQuotedByteStringLiteral(_)
            | Token::TripleDoubleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
            | Token::DoubleQuotedRawStringLiteral(_)
            | Token::TripleSingleQuotedRawStringLiteral(_)
            | Token::TripleDoubleQuotedRawStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
}

#[cfg(test)]
mod tests {
    use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

    use super::*;

    fn taken(sql: &str) -> bool {
        let parsed = PostgresCompatibilityParser::new().parse(sql);
        parsed.is_ok_and(|all| all.iter().all(|s| check(s).is_ok()))
    }

    #[test]
    fn reading_is_taken() {
        for sql in [
            "select * from t where a = 'x'",
            "with x as (select 1 as a) select * from x",
            "values (1), (2)",
            "explain select * from t",
            "show server_version",
            "set statement_timeout = 1000",
            "begin",
            "commit",
            "rollback",
            "savepoint a",
            "rollback to savepoint a",
            "release savepoint a",
            "declare c cursor for select 1",
            "fetch 10 from c",
            "close c",
            "deallocate all",
            "discard all",
            "copy (select * from t) to stdout",
            "copy t to stdout with (format csv, header)",
            "select * from generate_series(1, 3)",
        ] {
            assert!(taken(sql), "{sql}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for sql in [
            "insert into t values (1)",
            "update t set a = 1",
            "delete from t",
            "truncate t",
            "create table x (a int)",
            "create table x as select * from t",
            "create view v as select * from t",
            "drop table t",
            "alter table t add column b int",
            "grant select on t to public",
            "copy t from stdin",
            "copy t to '/tmp/x'",
            "copy (select 1) to program 'sh'",
            "create external table x stored as csv location '/etc/passwd'",
            "select * into x from t",
            "with x as (insert into t values (1) returning *) select * from x",
            "select * from t for update",
            "select * from '/etc/passwd'",
            "select * from \"file:///etc/passwd\"",
            "select * from read_csv('/etc/passwd')",
            "select * from (select * from read_parquet('x')) y",
            "explain analyze select * from t",
            "explain insert into t values (1)",
            "call f()",
            "vacuum",
            "do $$ begin end $$",
            "listen x",
            "prepare p as select 1",
        ] {
            assert!(!taken(sql), "{sql}");
        }
    }

    #[test]
    fn the_record_holds_no_constants() {
        let shape = shape(
            "select a, 'x''y' from t -- 330106\n where sfzh = '330106199001011234' and n > 17 /* 张三 */ and e = E'\\n'",
        );
        assert_eq!(shape, "select a, ? from t where sfzh = ? and n > ? and e = ?");
    }
}
