//! Settings of a session: few may be set, those that clients ask for are shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use datafusion::sql::sqlparser::ast::{Expr, Set, Value};
use pgwire::error::PgWireResult;

use super::catalogue::VERSION;
use super::words::told;

/// `(name, as clients are told it, default, may be set, clients are told when it changes)`
const KNOWN: &[(&str, &str, &str, bool, bool)] = &[
    ("application_name", "application_name", "", true, true),
    ("bytea_output", "bytea_output", "hex", true, false),
    ("client_encoding", "client_encoding", "UTF8", true, true),
    ("client_min_messages", "client_min_messages", "notice", true, false),
    ("datestyle", "DateStyle", "ISO, YMD", true, true),
    (
        "default_transaction_isolation",
        "default_transaction_isolation",
        "read committed",
        true,
        false,
    ),
    ("default_transaction_read_only", "default_transaction_read_only", "on", true, false),
    ("extra_float_digits", "extra_float_digits", "1", true, false),
    (
        "idle_in_transaction_session_timeout",
        "idle_in_transaction_session_timeout",
        "0",
        true,
        false,
    ),
    ("intervalstyle", "IntervalStyle", "postgres", true, true),
    ("lock_timeout", "lock_timeout", "0", true, false),
    ("search_path", "search_path", "public", true, false),
    ("standard_conforming_strings", "standard_conforming_strings", "on", true, true),
    ("statement_timeout", "statement_timeout", "0", true, false),
    ("timezone", "TimeZone", "Etc/UTC", true, true),
    ("transaction_isolation", "transaction_isolation", "read committed", false, false),
    ("transaction_read_only", "transaction_read_only", "on", false, false),
    ("integer_datetimes", "integer_datetimes", "on", false, false),
    ("is_superuser", "is_superuser", "off", false, false),
    ("in_hot_standby", "in_hot_standby", "off", false, false),
    ("max_identifier_length", "max_identifier_length", "63", false, false),
    ("server_encoding", "server_encoding", "UTF8", false, false),
    ("server_version", "server_version", VERSION, false, false),
    ("server_version_num", "server_version_num", "160006", false, false),
    ("row_security", "row_security", "on", true, false),
    ("jit", "jit", "off", true, false),
];

/// Values as they are now.
#[derive(Debug, Default)]
pub(super) struct Settings(Mutex<BTreeMap<&'static str, String>>);

impl Settings {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a setting; `None`: there is none of this name.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        let (key, _, default, ..) = KNOWN.iter().find(|(k, ..)| *k == name)?;
        Some(self.lock().get(key).cloned().unwrap_or_else(|| (*default).to_owned()))
    }

    /// Sets a value; answers name and value when clients are told of it. `None` sets the default.
    pub(super) fn set(
        &self,
        name: &str,
        value: Option<String>,
    ) -> PgWireResult<Option<(&'static str, String)>> {
        let wanted = name.trim_matches('"').to_ascii_lowercase();
        let Some((key, shown, default, true, telling)) =
            KNOWN.iter().find(|(k, ..)| *k == wanted).copied()
        else {
            let names: Vec<&str> =
                KNOWN.iter().filter(|k| k.3).map(|(_, shown, ..)| *shown).collect();
            return Err(told(
                "42501",
                format!("不能设置 `{wanted}`；可设置：{}", names.join("、")),
                format!("`{wanted}` may not be set; these may: {}", names.join(", ")),
            ));
        };
        let value = value.unwrap_or_else(|| default.to_owned());
        let fits = match key {
            "client_encoding" => {
                matches!(value.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8" | "UNICODE")
            }
            "standard_conforming_strings" => matches!(value.as_str(), "on" | "true" | "1"),
            "statement_timeout" => duration(&value).is_some(),
            _ => value.len() <= 256,
        };
        if !fits {
            return Err(told(
                "22023",
                format!("`{shown}` 不能设为该值"),
                format!("`{shown}` cannot be set to this value"),
            ));
        }
        self.lock().insert(key, value.clone());
        Ok(telling.then_some((shown, value)))
    }

    /// Everything as it was.
    pub(super) fn reset(&self) {
        self.lock().clear();
    }

    /// Longest a statement may take, as far as the session says.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.lock().get("statement_timeout").and_then(|v| duration(v)).filter(|d| !d.is_zero())
    }
}

/// `1500`, `1500ms`, `2s`, `3min`, `1h`
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits)?;
    let number: u64 = digits.trim().parse().ok()?;
    let millis = match unit {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// What a SET statement sets: `(name, value)`, `None` for the default. An empty list is a statement without effect.
pub(super) fn assignments(set: &Set) -> PgWireResult<Vec<(String, Option<String>)>> {
    let refuse = || {
        told(
            "42501",
            "不允许的 SET 语句：只能设置会话参数",
            "this SET is not allowed: settings of the session only",
        )
    };
    Ok(match set {
        Set::SingleAssignment { variable, values, hivevar: false, .. } => {
            let values: Vec<String> = values.iter().map(word).collect();
            let value = values.join(", ");
            let default = value.eq_ignore_ascii_case("default");
            vec![(variable.to_string(), (!default).then_some(value))]
        }
        Set::SetTimeZone { value, .. } => {
            let value = word(value);
            let default = matches!(value.to_ascii_lowercase().as_str(), "default" | "local");
            vec![("timezone".to_owned(), (!default).then_some(value))]
        }
        Set::SetNames { charset_name, .. } => {
            vec![("client_encoding".to_owned(), Some(charset_name.value.clone()))]
        }
        Set::SetNamesDefault {} | Set::SetTransaction { .. } => Vec::new(),
        _ => return Err(refuse()),
    })
}

fn word(value: &Expr) -> String {
    match value {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(s) | Value::DoubleQuotedString(s) => s.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(ident) => ident.value.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_settings_may_be_set() {
        let settings = Settings::default();
        assert_eq!(settings.get("TimeZone").as_deref(), Some("Etc/UTC"));
        assert_eq!(
            settings.set("timezone", Some("Asia/Shanghai".into())).unwrap(),
            Some(("TimeZone", "Asia/Shanghai".into()))
        );
        assert!(settings.set("datafusion.execution.batch_size", Some("1".into())).is_err());
        assert!(settings.set("server_version", Some("1".into())).is_err());
        assert!(settings.set("client_encoding", Some("GBK".into())).is_err());
        settings.set("statement_timeout", Some("2s".into())).unwrap();
        assert_eq!(settings.timeout(), Some(Duration::from_secs(2)));
        settings.reset();
        assert_eq!(settings.timeout(), None);
    }
}
