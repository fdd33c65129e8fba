//! What is written into the log.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogPart {
    /// `text` or `json`.
    pub format: LogFormat,
    /// `error warn info debug`, or a filter such as `info,lake=debug`.
    pub level: String,
    /// One line per call: door, route, method, state, time. No addresses, names, queries or values.
    pub access: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for LogPart {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info,tantivy=warn,deltalake_core=warn".into(),
            access: true,
        }
    }
}

/// Whether a part of `log.level` is a level or `module=level`.
pub(super) fn directive(part: &str) -> bool {
    let level = |word: &str| {
        ["error", "warn", "info", "debug", "trace", "off"]
            .contains(&word.trim().to_ascii_lowercase().as_str())
    };
    match part.split_once('=') {
        Some((module, word)) => {
            !module.trim().is_empty()
                && !module.contains(char::is_whitespace)
                && level(word)
                && tracing_subscriber::EnvFilter::try_new(part).is_ok()
        }
        None => level(part),
    }
}
