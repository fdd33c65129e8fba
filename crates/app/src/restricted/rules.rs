//! The rule file of restricted opening: days, questions, and the templates of the papers.

use chrono::NaiveDate;
use model::restricted::UseTerms;
use model::{Error, Result};
use serde::{Deserialize, Serialize};

/// Rules of restricted opening (`rules/restricted.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct RestrictedRules {
    pub version: String,
    pub effective: String,
    pub days: RestrictedDays,
    /// Rules of reports on use, each in force from its day; none: no reports are asked for.
    #[serde(rename = "report", default)]
    pub reports: Vec<ReportRule>,
    pub credit: CreditRules,
    pub longest: RestrictedLongest,
    pub confirm: Phrase,
    #[serde(rename = "method")]
    pub methods: Vec<Method>,
    #[serde(rename = "question")]
    pub questions: Vec<Question>,
    pub undertaking: Template,
    pub agreement: Template,
}

/// Working days.
#[derive(Clone, Debug, Deserialize)]
pub struct RestrictedDays {
    pub review: u32,
    pub extension: u32,
    pub sign: u32,
    pub remind: u32,
}

/// Every how many months a report on use is filed, and what follows when it is not.
#[derive(Clone, Debug, Deserialize)]
pub struct ReportRule {
    pub effective: NaiveDate,
    #[serde(flatten)]
    pub terms: UseTerms,
}

/// How long records are kept.
#[derive(Clone, Debug, Deserialize)]
pub struct CreditRules {
    pub years: u32,
}

/// Longest texts in characters, longest term in days, most data sets.
#[derive(Clone, Debug, Deserialize)]
pub struct RestrictedLongest {
    pub purpose: usize,
    pub scope: usize,
    pub text: usize,
    pub term_days: i64,
    pub entries: usize,
}

/// Words in both languages.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Phrase {
    pub zh: String,
    pub en: String,
}

/// An opening method (开放方式).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Method {
    pub word: String,
    pub zh: String,
    pub en: String,
    /// The data are used in a data sandbox of the application, and in no other way.
    #[serde(default)]
    pub sandbox: bool,
}

/// A question about ability.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Question {
    pub id: String,
    pub zh: String,
    pub en: String,
    /// A file must prove the answer.
    pub evidence: bool,
    pub choices: Vec<Choice>,
}

/// One of the answers that may be given.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Choice {
    pub word: String,
    pub zh: String,
    pub en: String,
    /// Whoever answers so cannot apply.
    #[serde(default)]
    pub disqualifies: bool,
}

/// The template of a paper.
#[derive(Clone, Debug, Deserialize)]
pub struct Template {
    pub version: String,
    pub title: String,
    pub title_en: String,
    pub text: String,
    pub text_en: String,
}

/// Variables that a template may name.
const VARIABLES: &[&str] = &[
    "number",
    "party",
    "party_id",
    "counterparty",
    "providers",
    "entries",
    "items",
    "purpose",
    "scope",
    "method",
    "method_en",
    "calls",
    "until",
    "safeguards",
    "application",
    "version",
    "years",
    "reports",
    "reports_en",
];

impl RestrictedRules {
    /// Refuses a file by which nobody could apply, or whose templates name what is not there.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: String| {
            Err(Error::invalid(
                format!("受限开放规则有误：{what}"),
                format!("the rules of restricted opening are wrong: {what}"),
            ))
        };
        if self.methods.is_empty() {
            return wrong("method".to_owned());
        }
        if self.reports.iter().any(|r| !(1..=120).contains(&r.terms.months)) {
            return wrong("report: months 1-120".to_owned());
        }
        if self.reports.iter().any(|r| r.terms.days > 250 || r.terms.suspend > 250) {
            return wrong("report: days, suspend 0-250".to_owned());
        }
        for question in &self.questions {
            if question.choices.iter().all(|c| c.disqualifies) {
                return wrong(format!("question `{}`", question.id));
            }
        }
        for template in [&self.undertaking, &self.agreement] {
            for text in [&template.text, &template.text_en] {
                for name in names(text) {
                    if !VARIABLES.contains(&name) {
                        return wrong(format!("{{{name}}}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// What an agreement that is drawn up today says of reports on use.
    #[must_use]
    pub fn terms(&self, today: NaiveDate) -> Option<UseTerms> {
        let begun = self.reports.iter().filter(|r| r.effective <= today);
        begun.max_by_key(|r| r.effective).map(|r| r.terms)
    }

    /// A question by its id.
    #[must_use]
    pub fn question(&self, id: &str) -> Option<&Question> {
        self.questions.iter().find(|q| q.id == id)
    }

    /// An opening method by its word.
    #[must_use]
    pub fn method(&self, word: &str) -> Option<&Method> {
        self.methods.iter().find(|m| m.word == word)
    }
}

impl Question {
    /// A choice by its word.
    #[must_use]
    pub fn choice(&self, word: &str) -> Option<&Choice> {
        self.choices.iter().find(|c| c.word == word)
    }
}

/// Variables that a template names.
fn names(text: &str) -> Vec<&str> {
    text.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name)).collect()
}

/// The template's text with its variables replaced in one pass: what a value holds is never read as a variable.
pub(crate) fn fill(text: &str, values: &[(&str, String)]) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((name, rest)) = part.split_once('}') else {
            filled.push('{');
            filled.push_str(part);
            continue;
        };
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => filled.push_str(value),
            None => {
                filled.push('{');
                filled.push_str(name);
                filled.push('}');
            }
        }
        filled.push_str(rest);
    }
    filled.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> RestrictedRules {
        toml::from_str(include_str!("../../rules/restricted.toml")).unwrap()
    }

    #[test]
    fn the_shipped_rules_hold_and_unknown_variables_are_refused() {
        let mut rules = shipped();
        rules.check().unwrap();
        assert!(rules.questions.iter().any(|q| q.evidence) && rules.credit.years == 5);
        rules.agreement.text.push_str("{secret}");
        assert!(rules.check().unwrap_err().en().contains("{secret}"));
    }

    #[test]
    fn of_the_rules_on_reports_the_newest_that_has_begun_counts() {
        let mut rules = shipped();
        let later = ReportRule {
            effective: "2027-01-01".parse().unwrap(),
            terms: UseTerms { months: 3, days: 5, suspend: 5 },
        };
        rules.reports.push(later);
        rules.check().unwrap();
        let months = |day: &str| rules.terms(day.parse().unwrap()).map(|t| t.months);
        assert_eq!(months("2025-12-31"), None);
        assert_eq!((months("2026-12-31"), months("2027-01-01")), (Some(6), Some(3)));
        rules.reports[1].terms.months = 0;
        assert!(rules.check().is_err());
    }

    #[test]
    fn what_a_value_holds_is_no_variable() {
        let values = [("party", "{number}".to_owned()), ("number", "1".to_owned())];
        assert_eq!(fill("{party} {number} {x} {", &values), "{number} 1 {x} {");
    }

    proptest::proptest! {
        #[test]
        fn any_value_comes_out_as_it_went_in(value in "[^\\pC]{0,40}") {
            let values = [("party", value.clone()), ("number", "1".to_owned())];
            assert_eq!(fill("甲方：{party}（{number}）。", &values), format!("甲方：{value}（1）。"));
        }
    }
}
