//! Rules between fields: expressions that are true when all is well, as `fulltime + parttime <= total`.
//!
//! Names are the fields' identifiers. Whole numbers and decimals are exact; dates and texts compare as written
//! (`2026-03-01`). A rule is asked of every row; one that names only fields filled once is asked once. `rows` is the number
//! of rows, `sum_<identifier>` the sum of a column: such rules are asked once, of the whole fill. A rule that names an empty
//! field is passed over, unless it asks `blank(name)`. There are no loops, files, clocks or functions of one's own.

use model::code::DataType;
use model::report::{Cells, Fault, FormDraft, FormField, FormRule};
use model::{Error, Result};
use rhai::{AST, Dynamic, Engine, Scope};
use rust_decimal::Decimal;

/// Names in sums.
const SUM: &str = "sum_";
const ROWS: &str = "rows";

/// Rules ready to be asked.
pub(super) struct Rules {
    engine: Engine,
    rules: Vec<Ready>,
}

struct Ready {
    rule: FormRule,
    ast: AST,
    /// Places of the fields named.
    uses: Vec<usize>,
    /// Names sums or the number of rows.
    whole: bool,
    /// Asks of blanks itself.
    blanks: bool,
}

fn engine(steps: u64) -> Engine {
    let mut engine = Engine::new();
    engine.set_max_operations(steps);
    engine.set_max_expr_depths(64);
    engine.set_max_string_size(100_000);
    engine.set_max_array_size(1_000);
    engine.set_max_map_size(1_000);
    engine.set_strict_variables(true);
    for word in ["eval", "print", "debug"] {
        engine.disable_symbol(word);
    }
    engine.on_print(|_| {}).on_debug(|_, _, _| {});
    engine.register_fn("blank", |value: Dynamic| value.is_unit());
    engine
}

/// The name of a field in expressions: its identifier, with `_` behind it when that is a word of the language.
fn name(engine: &Engine, identifier: &str) -> String {
    let mut scope = Scope::new();
    scope.push(identifier, 0_i64);
    match engine.compile_expression_with_scope(&scope, identifier) {
        Ok(_) => identifier.to_owned(),
        Err(_) => format!("{identifier}_"),
    }
}

impl Rules {
    /// Reads the rules of a form; a fault names the rule, counted from 1.
    pub(super) fn compile(draft: &FormDraft, steps: u64) -> Result<Self> {
        let engine = engine(steps);
        let names: Vec<String> = draft.fields.iter().map(|f| name(&engine, f.id())).collect();
        let sums: Vec<String> = draft.fields.iter().map(|f| format!("{SUM}{}", f.id())).collect();
        // All names but one, if one is to be left out.
        let scope = |without: Option<&str>| {
            let mut scope = Scope::new();
            let all = names.iter().chain(&sums).map(String::as_str).chain([ROWS]);
            for name in all.filter(|n| without != Some(*n)) {
                scope.push(name.to_owned(), 0_i64);
            }
            scope
        };
        let mut rules = Vec::new();
        let mut error = Error::invalid("字段间规则有误", "a rule between fields is wrong");
        for (n, rule) in draft.rules.iter().enumerate() {
            let at = format!("rules.{}", n + 1);
            let text = rule.expression.trim();
            let ast = match engine.compile_expression_with_scope(&scope(None), text) {
                Ok(ast) => ast,
                Err(e) => {
                    error = error.field(
                        at,
                        format!("第 {} 条规则 `{text}` 无法识别：{e}", n + 1),
                        format!("rule {} `{text}` cannot be read: {e}", n + 1),
                    );
                    continue;
                }
            };
            // A name that must not be missing is one that the rule uses.
            let uses = |name: &str| {
                engine.compile_expression_with_scope(&scope(Some(name)), text).is_err()
            };
            let named: Vec<usize> = names
                .iter()
                .enumerate()
                .filter(|(_, name)| text.contains(name.as_str()) && uses(name))
                .map(|(n, _)| n)
                .collect();
            let sum = |name: &String| text.contains(name.as_str()) && uses(name);
            let whole = uses(ROWS) || sums.iter().any(sum);
            let repeated =
                |n: &usize| draft.fields.get(*n).is_some_and(|f| f.typed() && f.repeated);
            if whole && named.iter().any(repeated) {
                error = error.field(
                    at,
                    format!("第 {} 条规则同时使用了明细字段和合计，请改用 `sum_字段`", n + 1),
                    format!(
                        "rule {} names a field of the rows beside sums: use `sum_<field>`",
                        n + 1
                    ),
                );
                continue;
            }
            let blanks = text.contains("blank(");
            rules.push(Ready { rule: rule.clone(), ast, uses: named, whole, blanks });
        }
        if error.fields().is_empty() { Ok(Self { engine, rules }) } else { Err(error) }
    }

    /// Whether there is nothing to ask.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Asks the rules of one record. `first`: those asked once are asked too. A rule that names a cell which is wrong by itself
    /// (`bad`: by row and place) is passed over.
    pub(super) fn ask(
        &self,
        draft: &FormDraft,
        n: u64,
        record: &Cells,
        first: bool,
        bad: &dyn Fn(u64, &FormField) -> bool,
    ) -> Vec<Fault> {
        let field = |n: &usize| draft.fields.get(*n);
        let once =
            |ready: &Ready| !ready.uses.iter().filter_map(field).any(|f| f.typed() && f.repeated);
        let row_of = |f: &FormField| if f.repeated { n } else { 0 };
        self.rules
            .iter()
            .filter(|ready| !ready.whole && (first || !once(ready)))
            .filter(|ready| !ready.uses.iter().filter_map(field).any(|f| bad(row_of(f), f)))
            .filter_map(|ready| {
                let row = if once(ready) { 0 } else { n };
                self.one(draft, ready, row, record, Scope::new())
            })
            .collect()
    }

    /// Asks the rules about the whole fill.
    pub(super) fn ask_whole(
        &self,
        draft: &FormDraft,
        head: &Cells,
        rows: u64,
        sums: &[Option<Decimal>],
    ) -> Vec<Fault> {
        self.rules
            .iter()
            .filter(|ready| ready.whole)
            .filter_map(|ready| {
                let mut scope = Scope::new();
                scope.push(ROWS, i64::try_from(rows).unwrap_or(i64::MAX));
                for (field, sum) in draft.fields.iter().zip(sums) {
                    let sum = sum.unwrap_or_default();
                    scope.push_dynamic(format!("{SUM}{}", field.id()), Dynamic::from_decimal(sum));
                }
                self.one(draft, ready, 0, head, scope)
            })
            .collect()
    }

    fn one(
        &self,
        draft: &FormDraft,
        ready: &Ready,
        row: u64,
        record: &Cells,
        mut scope: Scope<'_>,
    ) -> Option<Fault> {
        for n in &ready.uses {
            let field = draft.fields.get(*n)?;
            let cell = record.get(*n).cloned().flatten();
            if cell.is_none() && !ready.blanks {
                return None;
            }
            let value = value(field.item.data_type, cell.as_deref());
            scope.push_dynamic(name(&self.engine, field.id()), value);
        }
        let fault = |zh: String, en: String| {
            let first = ready.uses.first().and_then(|n| draft.fields.get(*n)).map(|f| f.id());
            let own = Some(ready.rule.field.as_str()).filter(|f| !f.is_empty());
            let field = own.or(first).unwrap_or_default().to_owned();
            Some(Fault { row, field, at: String::new(), zh, en })
        };
        let rule = &ready.rule;
        match self.engine.eval_ast_with_scope::<Dynamic>(&mut scope, &ready.ast) {
            Ok(answer) => match answer.as_bool() {
                Ok(true) => None,
                Ok(false) => {
                    let en = if rule.en.is_empty() { &rule.expression } else { &rule.en };
                    fault(rule.zh.clone(), en.clone())
                }
                Err(kind) => fault(
                    format!(
                        "规则 `{}` 的结果不是真假值（{kind}），请联系下发单位",
                        rule.expression
                    ),
                    format!(
                        "the rule `{}` answers {kind} instead of true or false: tell the issuer",
                        rule.expression
                    ),
                ),
            },
            Err(e) => fault(
                format!("规则 `{}` 无法计算：{e}；请核对各字段，或联系下发单位", rule.expression),
                format!(
                    "the rule `{}` cannot be worked out: {e}; check its fields or tell the issuer",
                    rule.expression
                ),
            ),
        }
    }
}

/// A cell as a value of the language.
fn value(data_type: DataType, cell: Option<&str>) -> Dynamic {
    let Some(text) = cell else { return Dynamic::UNIT };
    let as_text = || Dynamic::from(text.to_owned());
    match data_type {
        DataType::Integer => text.parse::<i64>().map_or_else(|_| as_text(), Dynamic::from_int),
        DataType::Decimal | DataType::Float => {
            let number = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text));
            number.map_or_else(|_| as_text(), Dynamic::from_decimal)
        }
        DataType::Boolean => text.parse::<bool>().map_or_else(|_| as_text(), Dynamic::from_bool),
        _ => as_text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::item::Item;

    fn draft(rules: &[&str]) -> FormDraft {
        let field = |id: &str, data_type, repeated| FormField {
            repeated,
            ..FormField::of(&Item::new(id, id, data_type))
        };
        FormDraft {
            fields: vec![
                field("total", DataType::Decimal, false),
                field("a", DataType::Decimal, true),
                field("b", DataType::Integer, true),
                field("day", DataType::Date, true),
                field("default", DataType::Text, true),
            ],
            rules: rules
                .iter()
                .map(|rule| FormRule {
                    expression: (*rule).to_owned(),
                    zh: "不符".into(),
                    ..FormRule::default()
                })
                .collect(),
            ..FormDraft::default()
        }
    }

    #[track_caller]
    fn ask(rule: &str, cells: [&str; 5]) -> Vec<Fault> {
        let draft = draft(&[rule]);
        let rules = Rules::compile(&draft, 10_000).unwrap();
        let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        rules.ask(&draft, 3, &cells.iter().map(|c| some(c)).collect(), true, &|_, _| false)
    }

    #[test]
    fn decimals_add_up_exactly() {
        assert!(ask("a + 0.2 == total", ["0.3", "0.1", "", "", ""]).is_empty());
        assert!(ask("a * b <= total && b >= 1", ["0.3", "0.1", "3", "", ""]).is_empty());
        let wrong = ask("a * b < total", ["0.3", "0.1", "3", "", ""]);
        assert_eq!(
            (wrong[0].row, wrong[0].zh.as_str(), wrong[0].field.as_str()),
            (3, "不符", "total")
        );
    }

    #[test]
    fn texts_dates_and_choices_are_compared() {
        assert!(ask("day >= \"2026-01-01\"", ["", "", "", "2026-03-01", ""]).is_empty());
        assert_eq!(ask("day >= \"2026-01-01\"", ["", "", "", "2025-12-31", ""]).len(), 1);
        // A word of the language gets a `_`.
        assert!(ask("default_ in [\"01\", \"02\"]", ["", "", "", "", "02"]).is_empty());
        assert_eq!(ask("default_ in [\"01\", \"02\"]", ["", "", "", "", "03"]).len(), 1);
    }

    #[test]
    fn an_empty_field_passes_unless_blanks_are_asked_of() {
        assert!(ask("a <= total", ["", "1", "", "", ""]).is_empty());
        assert_eq!(ask("!blank(day) || b < 5", ["", "", "7", "", ""]).len(), 1);
        assert!(ask("!blank(day) || b < 5", ["", "", "7", "2026-01-01", ""]).is_empty());
    }

    #[test]
    fn rules_of_the_whole_fill_see_sums() {
        let draft = draft(&["sum_a == total", "rows >= 2"]);
        let rules = Rules::compile(&draft, 10_000).unwrap();
        let head = vec![Some("3".to_owned()), None, None, None, None];
        let sums = [None, Some(Decimal::from(3)), None, None, None];
        assert!(rules.ask(&draft, 1, &head, true, &|_, _| false).is_empty());
        assert!(rules.ask_whole(&draft, &head, 2, &sums).is_empty());
        let told = rules.ask_whole(&draft, &head, 1, &[None, Some(Decimal::TWO), None, None, None]);
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn what_is_no_rule_is_told_with_its_number() {
        for wrong in [
            "a <",
            "unknown > 1",
            "let x = 1",
            "while true {}",
            "eval(\"1\")",
            "a > sum_b",
            "import \"x\"",
        ] {
            let error = Rules::compile(&draft(&["a > 0", wrong]), 10_000).err();
            let fields = error.map(|e| e.fields().to_vec()).unwrap_or_default();
            assert!(fields.iter().any(|f| f.field == "rules.2"), "{wrong}: {fields:?}");
        }
        // Steps are bounded, and a result that is no truth value is a fault.
        assert_eq!(ask("a + b", ["", "1", "1", "", ""]).len(), 1);
        assert_eq!(ask("9223372036854775807 + b > 0", ["", "", "1", "", ""]).len(), 1);
    }
}
