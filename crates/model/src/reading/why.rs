//! Why a value does not fit: one sentence in each language, without allocation for the common ones.

use std::borrow::Cow;

/// A reason in Chinese and English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    pub zh: Cow<'static, str>,
    pub en: Cow<'static, str>,
}

impl Why {
    /// A fixed reason.
    pub const fn plain(zh: &'static str, en: &'static str) -> Self {
        Self { zh: Cow::Borrowed(zh), en: Cow::Borrowed(en) }
    }
    /// A reason that quotes figures or values.
    pub fn told(zh: String, en: String) -> Self {
        Self { zh: Cow::Owned(zh), en: Cow::Owned(en) }
    }
}

/// First `limit` characters of a text, with a mark when something was cut.
pub fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
