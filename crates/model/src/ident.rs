//! Identifiers with check digits: validation and, for synthetic data, generation.
//!
//! GB 11643 公民身份号码, GB 32100 统一社会信用代码, GB 11714 组织机构代码, Luhn (bank cards), ISO 17442 LEI.

use chrono::NaiveDate;

use crate::{Error, Result};

/// Check character of the first 17 digits of a 公民身份号码 (GB 11643, ISO 7064 MOD 11-2).
#[must_use]
pub fn citizen_check(first17: &str) -> Option<char> {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let digits: Vec<u32> = first17.chars().map(|c| c.to_digit(10)).collect::<Option<_>>()?;
    if digits.len() != 17 {
        return None;
    }
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(d, w)| d * w).sum();
    "10X98765432".chars().nth(usize::try_from(sum % 11).ok()?)
}

/// Validates an 18-character 公民身份号码: shape, birth date, check character.
pub fn citizen_id(text: &str) -> Result<()> {
    let bad = |zh: &str, en: &str| {
        Err(Error::invalid(format!("公民身份号码{zh}"), format!("citizen id number: {en}")))
    };
    if text.len() != 18 || !text.is_ascii() {
        return bad("应为 18 位", "must have 18 characters");
    }
    let (Some(head), Some(birth), Some(last)) =
        (text.get(..17), text.get(6..14), text.chars().last())
    else {
        return bad("应为 18 位", "must have 18 characters");
    };
    if NaiveDate::parse_from_str(birth, "%Y%m%d").is_err() {
        return bad("中的出生日期不存在", "has no such birth date");
    }
    match citizen_check(head) {
        Some(c) if c == last.to_ascii_uppercase() => Ok(()),
        Some(_) => bad("校验位不正确", "has a wrong check character"),
        None => bad("前 17 位应为数字", "must start with 17 digits"),
    }
}

/// A 公民身份号码 of 18 characters: one of 15 (before 1999) gets the century 19 and its check character (GB 11643),
/// one of 18 must be right.
pub fn citizen_id_18(text: &str) -> Result<String> {
    let old = text.len() == 15 && text.bytes().all(|b| b.is_ascii_digit());
    let whole = match (old, text.get(..6), text.get(6..)) {
        (true, Some(region), Some(rest)) => {
            let head = format!("{region}19{rest}");
            let check = citizen_check(&head).unwrap_or('?');
            format!("{head}{check}")
        }
        _ => text.to_ascii_uppercase(),
    };
    if !old && text.len() == 15 {
        return Err(Error::invalid(
            "15 位公民身份号码应全为数字",
            "citizen id number: one of 15 must be digits only",
        ));
    }
    citizen_id(&whole)?;
    Ok(whole)
}

/// Birth date within an 18-character 公民身份号码.
#[must_use]
pub fn citizen_birthday(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text.get(6..14)?, "%Y%m%d").ok()
}

const USCC_ALPHABET: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";

/// Check character of the first 17 characters of a 统一社会信用代码 (GB 32100).
#[must_use]
pub fn uscc_check(first17: &str) -> Option<char> {
    let mut weight = 1_usize;
    let mut sum = 0_usize;
    let mut n = 0;
    for c in first17.chars() {
        sum += USCC_ALPHABET.find(c)? * weight;
        weight = weight * 3 % 31;
        n += 1;
    }
    (n == 17).then(|| USCC_ALPHABET.chars().nth((31 - sum % 31) % 31)).flatten()
}

/// Validates a 统一社会信用代码, including the embedded 组织机构代码's shape.
pub fn uscc(text: &str) -> Result<()> {
    let bad = |zh: &str, en: &str| {
        Err(Error::invalid(
            format!("统一社会信用代码 `{text}` {zh}"),
            format!("unified social credit code `{text}` {en}"),
        ))
    };
    let mut chars: Vec<char> = text.chars().collect();
    if chars.len() != 18 {
        return bad("应为 18 位", "must have 18 characters");
    }
    let last = chars.pop();
    let head: String = chars.into_iter().collect();
    match uscc_check(&head) {
        None => bad(
            "含有不允许的字符（不含 I O S V Z，字母须大写）",
            "holds a character that is not allowed (no I O S V Z, upper case only)",
        ),
        check if check != last => bad("校验位不正确", "has a wrong check character"),
        _ => Ok(()),
    }
}

/// Check character of the first 8 of a 组织机构代码 (GB 11714).
#[must_use]
pub fn org_code_check(first8: &str) -> Option<char> {
    const WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    let values: Vec<u32> = first8.chars().map(|c| c.to_digit(36)).collect::<Option<_>>()?;
    if values.len() != 8 {
        return None;
    }
    let sum: u32 = values.iter().zip(WEIGHTS).map(|(v, w)| v * w).sum();
    Some(match 11 - sum % 11 {
        10 => 'X',
        11 => '0',
        n => char::from_digit(n, 10)?,
    })
}

/// Luhn check of a card number.
#[must_use]
pub fn luhn(text: &str) -> bool {
    let digits: Option<Vec<u32>> = text.chars().rev().map(|c| c.to_digit(10)).collect();
    digits.is_some_and(|d| {
        d.len() >= 2
            && d.iter()
                .enumerate()
                .map(|(i, &n)| if i % 2 == 0 { n } else { (n * 2) / 10 + (n * 2) % 10 })
                .sum::<u32>()
                % 10
                == 0
    })
}

/// Number of a bank card: 16 to 19 digits that begin as those of UnionPay and the card networks do (ISO/IEC 7812: 3 to 6), with
/// their check digit.
#[must_use]
pub fn bank_card(text: &str) -> bool {
    (16..=19).contains(&text.len()) && text.starts_with(['3', '4', '5', '6']) && luhn(text)
}

/// Validates a Legal Entity Identifier (ISO 17442, ISO 7064 MOD 97-10).
#[must_use]
pub fn lei(text: &str) -> bool {
    if text.len() != 20 {
        return false;
    }
    let mut rest = 0_u32;
    for c in text.chars() {
        let Some(v) = c.to_digit(36) else { return false };
        rest = if v < 10 { (rest * 10 + v) % 97 } else { (rest * 100 + v) % 97 };
    }
    rest == 1
}

/// Mobile number of the mainland: `^1[3-9]\d{9}$`.
#[must_use]
pub fn mobile(text: &str) -> bool {
    let b = text.as_bytes();
    b.len() == 11
        && b.iter().all(u8::is_ascii_digit)
        && b.first() == Some(&b'1')
        && b.get(1).is_some_and(|d| (b'3'..=b'9').contains(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vectors_pass_and_their_neighbours_fail() {
        for good in ["11010519491231002X", "440524188001010014"] {
            assert!(citizen_id(good).is_ok(), "{good}");
        }
        for bad in
            ["110105194912310021", "11010519490231002X", "1101051949123100", "1101051949123100２X"]
        {
            assert!(citizen_id(bad).is_err(), "{bad}");
        }
        for good in [
            "91330100799655058B",
            "91330106673959654P",
            "91440300708461136T",
            "9144030071526726XG",
            "91110000802100433B",
        ] {
            assert!(uscc(good).is_ok(), "{good}");
        }
        for bad in
            ["91330100799655058C", "9133010079965505", "91330100I99655058B", "91330100799655058b"]
        {
            assert!(uscc(bad).is_err(), "{bad}");
        }
        assert_eq!(org_code_check("79965505"), Some('8'));
        assert_eq!(org_code_check("71526726"), Some('X'));
        assert!(luhn("4111111111111111") && !luhn("4111111111111112"));
        assert!(bank_card("4111111111111111") && !bank_card("4111111111111112"));
        assert!(!bank_card("1234567812345670") && !bank_card("411111111111111") && !bank_card(""));
        assert!(lei("5493001KJTIIGC8Y1R12") && !lei("5493001KJTIIGC8Y1R13"));
        assert!(mobile("13800138000") && !mobile("12800138000"));
    }
}
