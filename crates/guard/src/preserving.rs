//! Format-preserving encryption by FF1 (NIST SP 800-38G) with AES-256, crate `fpe`.
//!
//! Each character belongs to a class with an alphabet of its own: digits, lower and upper case ASCII letters, CJK
//! unified ideographs (U+4E00..U+9FFF). Spaces and punctuation stay. The characters of a text are read as one number
//! in mixed radix; a text of one class is enciphered in the radix of that class (plain FF1), a mixed one as a bit
//! string with cycle walking, so the answer has the same classes in the same places. Two texts never share an answer.
//!
//! A citizen id number that ends in `X` keeps its `X`: only the 17 digits are enciphered. Other final capitals after
//! 17 digits are taken from the 25 letters without `X`, so that the way back stays unique.
//!
//! FF1 demands a domain of at least one million texts; smaller ones, and texts with characters of no class, are
//! answered with `None`, and the caller replaces the value whole.

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString, NumeralString, Operations};

use crate::keys::SecretKey;

/// Longest text of one class that is enciphered; more is not a code but prose.
const MAX_NUMERALS: usize = 256;
/// Largest domain done in machine words.
const WORD_LIMIT: u128 = 1 << 126;
const MIN_DOMAIN: u128 = 1_000_000;
/// A walk ends after two steps on average; this many would be a chance of 2^-256.
const MAX_WALK: usize = 256;

const CJK_FIRST: u32 = 0x4E00;
const CJK_RADIX: u32 = 0x9FFF - CJK_FIRST + 1;

/// Character class of one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Digit,
    Lower,
    Upper,
    /// Capitals without X.
    UpperNoX,
    Cjk,
    Literal(char),
}

impl Class {
    fn of(c: char) -> Option<Class> {
        Some(match c {
            '0'..='9' => Class::Digit,
            'a'..='z' => Class::Lower,
            'A'..='Z' => Class::Upper,
            '\u{4E00}'..='\u{9FFF}' => Class::Cjk,
            c if c.is_alphanumeric() || c.is_control() => return None,
            c => Class::Literal(c),
        })
    }
    fn radix(self) -> u32 {
        match self {
            Class::Digit => 10,
            Class::Lower | Class::Upper => 26,
            Class::UpperNoX => 25,
            Class::Cjk => CJK_RADIX,
            Class::Literal(_) => 1,
        }
    }
    fn numeral(self, c: char) -> u32 {
        let c = u32::from(c);
        match self {
            Class::Digit => c - 0x30,
            Class::Lower => c - 0x61,
            Class::Upper => c - 0x41,
            // X is the 24th letter: Y and Z move down.
            Class::UpperNoX => c - 0x41 - u32::from(c > 0x58),
            Class::Cjk => c - CJK_FIRST,
            Class::Literal(_) => 0,
        }
    }
    fn character(self, numeral: u32) -> Option<char> {
        char::from_u32(match self {
            Class::Digit => 0x30 + numeral,
            Class::Lower => 0x61 + numeral,
            Class::Upper => 0x41 + numeral,
            Class::UpperNoX => 0x41 + numeral + u32::from(numeral >= 23),
            Class::Cjk => CJK_FIRST + numeral,
            Class::Literal(c) => return Some(c),
        })
    }
}

/// Classes of a text, or `None` when a character has none.
fn shape(text: &str) -> Option<Vec<Class>> {
    let mut classes: Vec<Class> = text.chars().map(Class::of).collect::<Option<_>>()?;
    if let Some((last, head)) = classes.split_last_mut()
        && head.len() == 17
        && head.iter().all(|c| *c == Class::Digit)
        && *last == Class::Upper
    {
        *last = if text.ends_with('X') { Class::Literal('X') } else { Class::UpperNoX };
    }
    Some(classes)
}

/// Key schedules of the radices in use, made once.
pub(crate) struct Preserver {
    digits: FF1<Aes256>,
    letters: FF1<Aes256>,
    cjk: FF1<Aes256>,
    bits: FF1<Aes256>,
}

impl Preserver {
    /// `None` is never answered: all radices are within FF1's range.
    pub(crate) fn new(key: &SecretKey) -> Option<Self> {
        let with = |radix| FF1::<Aes256>::new(key.bytes(), radix).ok();
        Some(Self { digits: with(10)?, letters: with(26)?, cjk: with(CJK_RADIX)?, bits: with(2)? })
    }

    /// Enciphers (or deciphers) a text under a tweak; `None` when its domain is too small or not covered.
    pub(crate) fn turn(&self, tweak: &[u8], text: &str, forward: bool) -> Option<String> {
        let classes = shape(text)?;
        let numerals = classes.iter().filter(|c| c.radix() > 1).count();
        if numerals > MAX_NUMERALS {
            return None;
        }
        let domain = classes.iter().try_fold(1_u128, |n, c| {
            n.checked_mul(u128::from(c.radix())).filter(|n| *n < WORD_LIMIT)
        });
        let single = self.single(&classes);
        match (domain, single) {
            (Some(n), _) if n < MIN_DOMAIN => None,
            (Some(n), single) => {
                let rank = classes.iter().zip(text.chars()).fold(0, |r, (class, c)| {
                    r * u128::from(class.radix()) + u128::from(class.numeral(c))
                });
                let turned = match single {
                    Some((ff1, radix)) => {
                        let word = Word { value: rank, count: numerals, radix };
                        turn_word(ff1, tweak, &word, forward)?
                    }
                    None => self.walk(tweak, rank, n, forward)?,
                };
                spell(&classes, turned)
            }
            (None, Some((ff1, _))) => turn_long(ff1, tweak, &classes, text, forward),
            (None, None) => None,
        }
    }

    /// The cipher of a text whose characters are of one class only, besides literals.
    fn single(&self, classes: &[Class]) -> Option<(&FF1<Aes256>, u32)> {
        let mut kinds = classes.iter().filter(|c| c.radix() > 1);
        let first = *kinds.next()?;
        if !kinds.all(|c| *c == first) {
            return None;
        }
        let ff1 = match first {
            Class::Digit => &self.digits,
            Class::Lower | Class::Upper => &self.letters,
            Class::Cjk => &self.cjk,
            Class::UpperNoX | Class::Literal(_) => return None,
        };
        Some((ff1, first.radix()))
    }

    /// Cycle walking: enciphers the rank as a bit string until it falls into the domain again.
    fn walk(&self, tweak: &[u8], rank: u128, domain: u128, forward: bool) -> Option<u128> {
        let bits = usize::try_from(u128::BITS - (domain - 1).leading_zeros()).ok()?;
        let mut value = rank;
        for _ in 0..MAX_WALK {
            value = turn_word(&self.bits, tweak, &Word { value, count: bits, radix: 2 }, forward)?;
            if value < domain {
                return Some(value);
            }
        }
        None
    }
}

fn turn_word(ff1: &FF1<Aes256>, tweak: &[u8], word: &Word, forward: bool) -> Option<u128> {
    let turned = if forward { ff1.encrypt(tweak, word) } else { ff1.decrypt(tweak, word) };
    turned.ok().map(|w| w.value)
}

/// Text of a rank, by the classes from the last to the first.
fn spell(classes: &[Class], mut rank: u128) -> Option<String> {
    let mut chars = Vec::with_capacity(classes.len());
    for class in classes.iter().rev() {
        let radix = u128::from(class.radix());
        chars.push(class.character(u32::try_from(rank % radix).ok()?)?);
        rank /= radix;
    }
    Some(chars.into_iter().rev().collect())
}

/// A long text of one class.
fn turn_long(
    ff1: &FF1<Aes256>,
    tweak: &[u8],
    classes: &[Class],
    text: &str,
    forward: bool,
) -> Option<String> {
    let numerals: Vec<u16> = classes
        .iter()
        .zip(text.chars())
        .filter(|(class, _)| class.radix() > 1)
        .map(|(class, c)| u16::try_from(class.numeral(c)).ok())
        .collect::<Option<_>>()?;
    let string = FlexibleNumeralString::from(numerals);
    let turned = if forward { ff1.encrypt(tweak, &string) } else { ff1.decrypt(tweak, &string) };
    let mut numerals = Vec::<u16>::from(turned.ok()?).into_iter();
    classes
        .iter()
        .map(|class| match class {
            Class::Literal(c) => Some(*c),
            class => class.character(u32::from(numerals.next()?)),
        })
        .collect()
}

/// A numeral string held in one machine word: `count` numerals of `radix`, most significant first, below 2^126.
/// It gives FF1 the same numbers as `FlexibleNumeralString` without its big integers (a test compares them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    value: u128,
    count: usize,
    radix: u32,
}

fn power(radix: u32, count: usize) -> u128 {
    u128::from(radix).saturating_pow(u32::try_from(count).unwrap_or(u32::MAX))
}

impl NumeralString for Word {
    type Ops = Word;

    fn is_valid(&self, radix: u32) -> bool {
        self.radix == radix && self.value < power(radix, self.count)
    }
    fn numeral_count(&self) -> usize {
        self.count
    }
    fn split(&self) -> (Word, Word) {
        let head = self.count / 2;
        let tail = self.count - head;
        let unit = power(self.radix, tail);
        (
            Word { value: self.value / unit, count: head, radix: self.radix },
            Word { value: self.value % unit, count: tail, radix: self.radix },
        )
    }
    fn concat(a: Word, b: Word) -> Word {
        Word {
            value: a.value * power(b.radix, b.count) + b.value,
            count: a.count + b.count,
            radix: a.radix,
        }
    }
}

impl Word {
    /// The bytes as a number modulo `modulus` (< 2^68: half of a word).
    fn number(bytes: impl Iterator<Item = u8>, modulus: u128) -> u128 {
        let mut value = 0_u128;
        for byte in bytes {
            if value >> 119 != 0 {
                value %= modulus;
            }
            value = value << 8 | u128::from(byte);
        }
        value % modulus
    }
}

impl Operations for Word {
    type Bytes = Bytes;

    fn numeral_count(&self) -> usize {
        self.count
    }
    fn to_be_bytes(&self, _radix: u32, b: usize) -> Bytes {
        Bytes { all: self.value.to_be_bytes(), from: 16_usize.saturating_sub(b) }
    }
    fn add_mod_exp(self, other: impl Iterator<Item = u8>, radix: u32, m: usize) -> Self {
        let modulus = power(radix, m);
        let value = (self.value % modulus + Word::number(other, modulus)) % modulus;
        Word { value, count: m, radix }
    }
    fn sub_mod_exp(self, other: impl Iterator<Item = u8>, radix: u32, m: usize) -> Self {
        let modulus = power(radix, m);
        let value = (self.value % modulus + modulus - Word::number(other, modulus)) % modulus;
        Word { value, count: m, radix }
    }
}

/// The last bytes of a word.
#[derive(Clone, Copy, Debug)]
struct Bytes {
    all: [u8; 16],
    from: usize,
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.all.get(self.from..).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-38G FF1 samples 7, 8 (AES-256, radix 10) through the machine-word numerals.
    #[test]
    fn nist_samples() {
        let key: [u8; 32] =
            hex::decode("2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94")
                .unwrap()
                .try_into()
                .unwrap();
        let preserver = Preserver::new(&SecretKey::new(key)).unwrap();
        assert_eq!(preserver.turn(b"", "0123456789", true).unwrap(), "6657667009");
        let tweak = hex::decode("39383736353433323130").unwrap();
        assert_eq!(preserver.turn(&tweak, "0123456789", true).unwrap(), "1001623463");
        assert_eq!(preserver.turn(&tweak, "1001623463", false).unwrap(), "0123456789");
    }

    #[test]
    fn machine_words_and_big_integers_agree() {
        let ff1 = |radix| FF1::<Aes256>::new(&[9; 32], radix).unwrap();
        for (radix, count) in
            [(10, 6), (10, 18), (10, 37), (26, 11), (26, 26), (CJK_RADIX, 2), (CJK_RADIX, 8)]
        {
            let numerals: Vec<u16> =
                (0..count).map(|i| u16::try_from((i * 7919 + 12345) % radix).unwrap()).collect();
            let value = numerals.iter().fold(0, |v, n| v * u128::from(radix) + u128::from(*n));
            let cipher = ff1(radix);
            let word = Word { value, count: count as usize, radix };
            let ours = cipher.encrypt(b"tweak", &word).unwrap();
            let theirs: Vec<u16> =
                cipher.encrypt(b"tweak", &FlexibleNumeralString::from(numerals)).unwrap().into();
            let theirs = theirs.iter().fold(0, |v, n| v * u128::from(radix) + u128::from(*n));
            assert_eq!(ours.value, theirs, "radix {radix} count {count}");
            assert_eq!(cipher.decrypt(b"tweak", &ours).unwrap(), word);
        }
    }
}
