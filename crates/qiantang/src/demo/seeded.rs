//! Chance that is the same every time: a small generator (SplitMix64) that no library update can change.
//! For synthetic data only, never for secrets.

/// A stream of numbers told by its seed alone.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// The stream of one table: seed of the province and name of the table (FNV-1a).
    #[must_use]
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(hash)
    }

    /// The next number.
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n` (0 when `n` is 0).
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.draw().checked_rem(n).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = u64::try_from(high.saturating_sub(low).max(0)).unwrap_or(0).saturating_add(1);
        low.saturating_add(i64::try_from(self.below(width)).unwrap_or(0))
    }

    /// One of a list; empty text when the list is empty.
    pub(crate) fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(list.len() as u64)).unwrap_or(0);
        list.get(at).copied().unwrap_or_default()
    }

    /// True in `percent` of the cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A decimal with `scale` digits after the point, from `low` to `high` counted in the last digit.
    pub(crate) fn decimal(&mut self, low: i64, high: i64, scale: u32) -> String {
        decimal(self.between(low, high), scale)
    }
}

/// `value` with its last `scale` digits after the point.
#[must_use]
pub(crate) fn decimal(value: i64, scale: u32) -> String {
    let unit = 10_i64.saturating_pow(scale);
    let sign = if value < 0 { "-" } else { "" };
    let value = value.saturating_abs();
    match scale {
        0 => format!("{sign}{value}"),
        _ => format!("{sign}{}.{:0width$}", value / unit, value % unit, width = scale as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_never_changes() {
        let mut s = Seeded::of(1, "rk_jbxx");
        let first: Vec<u64> = (0..2).map(|_| s.draw()).collect();
        let mut again = Seeded::of(1, "rk_jbxx");
        assert_eq!(first, (0..2).map(|_| again.draw()).collect::<Vec<_>>());
        assert_ne!(Seeded::of(2, "rk_jbxx").draw(), first[0]);
        assert_eq!(Seeded(0).draw(), 0xe220_a839_7b1d_cdaf, "reference value of SplitMix64");
    }

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(
            (decimal(-105, 2), decimal(7, 3), decimal(7, 0)),
            ("-1.05".into(), "0.007".into(), "7".into())
        );
    }
}
