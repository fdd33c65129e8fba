//! Hashes of a stretch of the chain, and whether they stand behind each other.

use guard::chain::FIRST;
use model::audit::AuditFault;

use super::read::unsealed;

/// Hex digits of a hash.
const DIGITS: usize = 64;

/// Hashes of records that stand behind each other in the chain.
#[derive(Debug)]
pub struct Links {
    /// Number of the last of them; where there is none, of the record they would stand behind.
    pub last: i64,
    /// One behind the other.
    hashes: String,
}

impl Links {
    /// The hash of each record, 64 hex digits, in order.
    pub fn hashes(&self) -> impl DoubleEndedIterator<Item = &str> {
        (0..self.hashes.len() / DIGITS).filter_map(|i| hash(&self.hashes, i))
    }
}

/// What the table says of a record and those behind it.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) count: i64,
    pub(super) first: i64,
    pub(super) last: i64,
    /// The hash that each says to stand behind, and its own.
    pub(super) before: String,
    pub(super) own: String,
}

impl Piece {
    /// The hashes behind number `after`, which is `head`; it stands in the piece itself where it is a record.
    pub(super) fn behind(mut self, after: i64, head: &str) -> Result<Links, AuditFault> {
        let anchored = after >= FIRST;
        let from = if anchored { after } else { FIRST };
        if self.count == 0 && !anchored {
            return Ok(Links { last: after, hashes: String::new() });
        }
        let anchor = if anchored { &self.own } else { &self.before };
        if self.first != from || hash(anchor, 0) != Some(head) {
            return Err(unsealed(from));
        }
        if let Some(apart) = self.apart() {
            return Err(unsealed(from + apart));
        }
        if self.last != from + self.count - 1 {
            return Err(unsealed(self.last));
        }
        let hashes = if anchored { self.own.split_off(DIGITS) } else { self.own };
        Ok(Links { last: self.last, hashes })
    }

    /// Place of the first record that does not say it stands behind the one before it, or whose hashes are none.
    fn apart(&self) -> Option<i64> {
        let mut last = None;
        let mut places = 0..self.count;
        let apart = places.find(|place| {
            let Ok(i) = usize::try_from(*place) else { return true };
            let (before, own) = (hash(&self.before, i), hash(&self.own, i));
            let stands = before.is_some() && own.is_some() && (i == 0 || before == last);
            last = own;
            !stands
        });
        let whole = usize::try_from(self.count).is_ok_and(|n| self.own.len() == n * DIGITS);
        apart.or_else(|| (!whole).then_some(self.count))
    }
}

/// Number `i` of hashes one behind the other.
fn hash(hashes: &str, i: usize) -> Option<&str> {
    hashes.get(i * DIGITS..(i + 1) * DIGITS).filter(|hash| hash.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENESIS: &str = guard::chain::GENESIS;

    fn named(n: i64) -> String {
        if n == 0 { GENESIS.to_owned() } else { format!("{n:064x}") }
    }

    /// Records `numbers` as the table holds them: each stands behind the number before it.
    fn piece(numbers: &[i64]) -> Piece {
        Piece {
            count: i64::try_from(numbers.len()).unwrap(),
            first: numbers.first().copied().unwrap_or_default(),
            last: numbers.last().copied().unwrap_or_default(),
            before: numbers.iter().map(|n| named(n - 1)).collect(),
            own: numbers.iter().map(|n| named(*n)).collect(),
        }
    }

    #[test]
    fn hashes_behind_a_record_and_from_the_first_one() {
        let links = piece(&[1, 2, 3]).behind(0, GENESIS).unwrap();
        assert_eq!(links.hashes().collect::<Vec<_>>(), [named(1), named(2), named(3)]);
        assert_eq!(links.last, 3);
        let links = piece(&[4, 5, 6]).behind(4, &named(4)).unwrap();
        assert_eq!(links.hashes().collect::<Vec<_>>(), [named(5), named(6)]);
        assert_eq!(links.last, 6);
        for (behind, head) in
            [(piece(&[]).behind(0, GENESIS), 0), (piece(&[4]).behind(4, &named(4)), 4)]
        {
            let links = behind.unwrap();
            assert_eq!((links.last, links.hashes().next()), (head, None));
        }
    }

    #[test]
    fn what_does_not_stand_behind_each_other_is_told_by_its_number() {
        let apart = |piece: Piece, after, head: &str| piece.behind(after, head).unwrap_err().seq;
        // The record itself is gone, or is another one; so is the first of all.
        assert_eq!(apart(piece(&[]), 4, &named(4)), 4);
        assert_eq!(apart(piece(&[5, 6]), 4, &named(4)), 4);
        assert_eq!(apart(piece(&[4, 5]), 4, &named(9)), 4);
        assert_eq!(apart(piece(&[2, 3]), 0, GENESIS), 1);
        // One is missing between them; one has another hash; one names another before it.
        assert_eq!(apart(piece(&[4, 5, 7]), 4, &named(4)), 6);
        let changed = |part: fn(&mut Piece) -> &mut String| {
            let mut all = piece(&[4, 5, 6, 7]);
            part(&mut all).replace_range(DIGITS..DIGITS + 1, "f");
            apart(all, 4, &named(4))
        };
        assert_eq!(changed(|piece| &mut piece.own), 6);
        assert_eq!(changed(|piece| &mut piece.before), 5);
        // Hashes that are cut short or hold other letters, and numbers that leave one out, are none either.
        let mut short = piece(&[4, 5, 6]);
        short.own.pop();
        assert_eq!(apart(short, 4, &named(4)), 6);
        let mut strange = piece(&[4, 5, 6]);
        strange.own.replace_range(DIGITS..DIGITS + 3, "数");
        assert_eq!(apart(strange, 4, &named(4)), 5);
        let renamed = Piece { last: 9, ..piece(&[4, 5, 6]) };
        assert_eq!(apart(renamed, 4, &named(4)), 9);
    }
}
