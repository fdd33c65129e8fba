//! A WHERE clause put together from fixed pieces of SQL and bound text values. Values never enter the SQL text.

/// Conditions joined by AND, with their values in the order of `$1`, `$2`, …
#[derive(Clone, Debug, Default)]
pub(crate) struct Clause {
    sql: String,
    values: Vec<String>,
}

impl Clause {
    fn join(&mut self) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
    }
    /// A condition without a value.
    pub(crate) fn and(&mut self, condition: &str) {
        self.join();
        self.sql.push_str(condition);
    }
    /// `condition $n`, the value bound as text.
    pub(crate) fn and_text(&mut self, condition: &str, value: &str) {
        self.and(condition);
        self.values.push(value.to_owned());
        self.sql.push_str(&format!(" ${}", self.values.len()));
    }
    /// `OR condition $n`, inside a parenthesis that the condition before it opened.
    pub(crate) fn or_text(&mut self, condition: &str, value: &str) {
        self.values.push(value.to_owned());
        self.sql.push_str(&format!(" OR {condition} ${}", self.values.len()));
    }
    /// A further `condition $n` inside the present one.
    pub(crate) fn more(&mut self, condition: &str, value: &str) {
        self.values.push(value.to_owned());
        self.sql.push_str(&format!("{condition} ${}", self.values.len()));
    }
    /// The column holds one of the values.
    pub(crate) fn and_in<S: AsRef<str>>(&mut self, column: &str, values: &[S]) {
        let Some((first, rest)) = values.split_first() else { return self.and("1 = 0") };
        self.and_text(&format!("{column} IN ("), first.as_ref());
        for value in rest {
            self.more(",", value.as_ref());
        }
        self.close();
    }
    /// Of a region and those below it: `prefix` of their codes.
    pub(crate) fn and_below(&mut self, prefix: &str) {
        self.and_text("region LIKE", &format!("{prefix}%"));
    }
    /// Any of the columns holds `part`, upper or lower case.
    pub(crate) fn and_like(&mut self, columns: &[&str], part: &str) {
        let escaped =
            part.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        self.values.push(format!("%{escaped}%"));
        let mark = self.values.len();
        let any: Vec<String> =
            columns.iter().map(|c| format!("LOWER({c}) LIKE ${mark} ESCAPE '\\'")).collect();
        self.and(&format!("({})", any.join(" OR ")));
    }
    /// Closes a parenthesis that a condition opened.
    pub(crate) fn close(&mut self) {
        self.sql.push(')');
    }
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }
    pub(crate) fn values(&self) -> &[String] {
        &self.values
    }
}
