//! What people think of a data set: stars, one rating an account, and comments with replies.

use serde::{Deserialize, Serialize};

/// Fewest and most stars.
pub const STARS: std::ops::RangeInclusive<u8> = 1..=5;

/// A comment on a data set, or a reply to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    pub id: String,
    /// Data set, by id and code.
    pub entry: String,
    pub entry_code: String,
    /// Provider of the data set.
    pub org: String,
    pub region: String,
    /// The comment it replies to; empty: none.
    pub parent: String,
    pub writer: String,
    /// Name as it is shown: veiled, or of the organisation that speaks.
    pub name: String,
    /// Somebody of the provider or of the authority speaks.
    pub official: bool,
    pub at: String,
    pub text: String,
    /// Why it is hidden; empty: it is not.
    pub hidden: String,
    pub hidden_by: String,
    /// How many have reported it; kept beside it.
    #[serde(skip)]
    pub reports: u64,
}

/// Ratings of a data set together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stars {
    pub count: u64,
    pub sum: u64,
}

impl Stars {
    /// The mean to one decimal: `4.3`; empty when nobody has rated.
    #[must_use]
    pub fn mean(&self) -> String {
        if self.count == 0 {
            return String::new();
        }
        let tenths = (self.sum * 20 + self.count) / (self.count * 2);
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_rounded_to_a_tenth() {
        let mean = |count, sum| Stars { count, sum }.mean();
        assert_eq!(mean(0, 0), "");
        assert_eq!(mean(2, 9), "4.5");
        assert_eq!(mean(3, 13), "4.3");
        assert_eq!(mean(3, 14), "4.7");
        assert_eq!(mean(1, 5), "5.0");
    }
}
