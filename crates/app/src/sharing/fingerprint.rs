//! What the audit is told of a condition: which columns were compared and how, never with what.

use model::query::{Comparison, Condition};

/// Columns and operators of a condition, never values: `(sfzh eq & (age gt | age is_null))`.
pub(crate) fn fingerprint(condition: &Condition) -> String {
    let mut text = String::with_capacity(64);
    write_fingerprint(&mut text, condition);
    text
}

fn write_fingerprint(text: &mut String, condition: &Condition) {
    match condition {
        Condition::Column { column, comparison } => {
            text.push_str(column);
            text.push(' ');
            write_operator(text, comparison);
        }
        Condition::Not(inner) => {
            text.push('!');
            write_fingerprint(text, inner);
        }
        Condition::And(all) => write_joined(text, all, " & "),
        Condition::Or(all) => write_joined(text, all, " | "),
    }
}

fn write_joined(text: &mut String, all: &[Condition], with: &str) {
    text.push('(');
    for (n, condition) in all.iter().enumerate() {
        if n > 0 {
            text.push_str(with);
        }
        write_fingerprint(text, condition);
    }
    text.push(')');
}

fn write_operator(text: &mut String, comparison: &Comparison) {
    let word = match comparison {
        Comparison::Eq(_) => "eq",
        Comparison::Neq(_) => "neq",
        Comparison::Gt(_) => "gt",
        Comparison::Gte(_) => "gte",
        Comparison::Lt(_) => "lt",
        Comparison::Lte(_) => "lte",
        Comparison::Like(_) => "like",
        Comparison::Ilike(_) => "ilike",
        Comparison::In(values) => {
            text.push_str(&format!("in[{}]", values.len()));
            return;
        }
        Comparison::IsNull => "is_null",
        Comparison::IsTrue => "is_true",
        Comparison::IsFalse => "is_false",
    };
    text.push_str(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_columns_and_operators_but_no_value() {
        let is = |column: &str, comparison| Condition::Column { column: column.into(), comparison };
        let c = Condition::And(vec![
            is("sfzh", Comparison::Eq("330106199001011234".into())),
            Condition::Not(Box::new(Condition::Or(vec![
                is("xm", Comparison::In(vec!["张三".into(), "李四".into()])),
                is("age", Comparison::IsNull),
            ]))),
        ]);
        assert_eq!(fingerprint(&c), "(sfzh eq & !(xm in[2] | age is_null))");
    }
}
