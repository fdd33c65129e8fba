//! Rules of the business as data: time limits and defaults with an effective date and a basis.

use serde::Deserialize;

/// The rule file (`rules/limits.toml`), one version.
#[derive(Clone, Debug, Deserialize)]
pub struct Rules {
    /// Day from which the file holds, `YYYY-MM-DD`.
    pub effective: String,
    pub review: Review,
    pub sign_in: SignIn,
    pub call: Call,
    pub upload: Upload,
    /// Rules of compiling; the shipped `rules/catalogue.toml` when the file says nothing of them.
    pub catalogue: crate::catalogue::rules::CatalogueRules,
    /// Words and limits of the basket; the shipped `rules/basket.toml` when the file says nothing of them.
    pub basket: crate::basket::BasketRules,
}

/// Working days a reviewer has.
#[derive(Clone, Debug, Deserialize)]
pub struct Review {
    pub catalogue_days: u32,
    pub share_days: u32,
}

/// Sign-in protection.
#[derive(Clone, Debug, Deserialize)]
pub struct SignIn {
    /// Failures before the first lock-out.
    pub free_failures: u32,
    /// First lock-out in seconds; doubles each time.
    pub first_lock_seconds: u64,
    pub longest_lock_seconds: u64,
    pub session_hours: u32,
    pub password_min_length: usize,
}

/// Calls of applications.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// Seconds a signed request's time stamp may differ from ours.
    pub window_seconds: i64,
    pub default_rows: u64,
    pub max_rows: u64,
    /// Deepest `offset`; deeper pages are reached by `after`.
    pub max_offset: u64,
}

/// Uploads.
#[derive(Clone, Debug, Deserialize)]
pub struct Upload {
    pub max_bytes: u64,
}

impl Rules {
    /// The shipped rules.
    pub fn shipped() -> model::Result<Self> {
        Self::parse(include_str!("../rules/limits.toml"))
    }
    /// Reads a rule file; the error names line and key.
    pub fn parse(text: &str) -> model::Result<Self> {
        let wrong = |e: toml::de::Error| {
            model::Error::invalid(
                format!("规则文件有误：{e}"),
                format!("the rule file is wrong: {e}"),
            )
        };
        let mut table: toml::Table = toml::from_str(text).map_err(wrong)?;
        if !table.contains_key("catalogue") {
            let shipped = toml::from_str(include_str!("../rules/catalogue.toml")).map_err(wrong)?;
            table.insert("catalogue".into(), toml::Value::Table(shipped));
        }
        if !table.contains_key("basket") {
            let shipped = toml::from_str(include_str!("../rules/basket.toml")).map_err(wrong)?;
            table.insert("basket".into(), toml::Value::Table(shipped));
        }
        table.try_into().map_err(wrong)
    }
}
