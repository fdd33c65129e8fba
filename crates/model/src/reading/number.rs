//! Numbers as people write them: signs, thousands separators, decimal commas, percent signs, exponents.

use std::borrow::Cow;

use super::why::Why;

/// A number with every digit: `mantissa / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub mantissa: i128,
    pub scale: u32,
    pub percent: bool,
    /// Written with an exponent.
    pub exponent: bool,
    /// Digits were grouped by thousands.
    pub grouped: bool,
}

pub const NOT_A_NUMBER: Why = Why::plain("不是数字", "is not a number");
const TOO_LONG: Why = Why::plain("数字过长", "the number has too many digits");

/// Full-width digits, letters and signs as their ASCII forms; borrowed when there are none.
pub fn half_width(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let changed =
        |c: char| matches!(c, '\u{ff01}'..='\u{ff5e}' | '\u{3000}' | '\u{a0}' | '\u{2212}');
    if !text.chars().any(changed) {
        return Cow::Borrowed(text);
    }
    let to_half = |c: char| match c {
        '\u{3000}' | '\u{a0}' => ' ',
        '\u{2212}' => '-',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c).saturating_sub(0xfee0)).unwrap_or(c),
        other => other,
    };
    Cow::Owned(text.chars().map(to_half).collect())
}

/// Reads an integer. `1,234`, `+5`, `12.00` and `1e3` are integers; `1.5`, `5%` and `1,23` are not.
pub fn integer(text: &str) -> Result<i64, Why> {
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, bytes),
    };
    if (1..=18).contains(&digits.len()) {
        let mut value = 0_i64;
        if digits.iter().all(|&b| {
            value = value.wrapping_mul(10).wrapping_add(i64::from(b.wrapping_sub(b'0')));
            b.is_ascii_digit()
        }) {
            return Ok(if negative { -value } else { value });
        }
    }
    let number = number(text, false)?;
    if number.percent {
        return Err(Why::plain("是百分数，不是整数", "is a percentage, not an integer"));
    }
    let (mantissa, scale) = trimmed(number);
    if scale > 0 {
        return Err(Why::plain("有小数部分，不是整数", "has a fraction, is not an integer"));
    }
    i64::try_from(mantissa).map_err(|_| {
        Why::plain("超出整数范围（±9.2×10¹⁸）", "is outside the range of integers (±9.2×10^18)")
    })
}

/// Drops trailing zeros of the fraction.
pub fn trimmed(number: Number) -> (i128, u32) {
    let (mut mantissa, mut scale) = (number.mantissa, number.scale);
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    (mantissa, scale)
}

/// Reads a decimal into an unscaled value of `scale` digits after the point and at most `precision` digits.
///
/// `keep_percent`: the item's unit is percent, so `12.5%` is 12.5 and not 0.125. `comma`: the column writes `12,5`.
pub fn decimal(
    text: &str,
    precision: u8,
    scale: u8,
    comma: bool,
    keep_percent: bool,
) -> Result<i128, Why> {
    if let Some(value) = plain_decimal(text.as_bytes(), precision, scale) {
        return Ok(value);
    }
    let mut number = number(text, comma)?;
    if number.percent && !keep_percent {
        number.scale += 2;
    }
    let (mantissa, digits) = trimmed(number);
    let Some(missing) = u32::from(scale).checked_sub(digits) else {
        return Err(Why::told(
            format!("小数位数 {digits} 超过规定的 {scale} 位"),
            format!("has {digits} digits after the point, at most {scale} are allowed"),
        ));
    };
    let value =
        10_i128.checked_pow(missing).and_then(|p| mantissa.checked_mul(p)).ok_or(TOO_LONG)?;
    let limit = 10_i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    if value.unsigned_abs() >= limit.unsigned_abs() {
        return Err(Why::told(
            format!("整数部分过长：总位数不得超过 {precision}（其中小数 {scale} 位）"),
            format!("is too large: at most {precision} digits, {scale} of them after the point"),
        ));
    }
    Ok(value)
}

/// The common shape `-123.45`, quickly; `None` sends it to the careful way.
fn plain_decimal(bytes: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let (negative, rest) = match bytes.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, bytes),
    };
    if rest.is_empty() || rest.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    let mut point = None;
    for (at, &b) in rest.iter().enumerate() {
        if b.is_ascii_digit() {
            value = value * 10 + i64::from(b - b'0');
        } else if b == b'.' && point.is_none() && at > 0 {
            point = Some(at);
        } else {
            return None;
        }
    }
    let fraction = point.map_or(0, |p| rest.len() - p - 1);
    if point.is_some() && fraction == 0 {
        return None;
    }
    let missing = usize::from(scale).checked_sub(fraction)?;
    let digits = rest.len() - usize::from(point.is_some()) + missing;
    if digits > usize::from(precision) {
        // Too large, or zeros in front.
        return None;
    }
    let value = (0..missing).try_fold(i128::from(value), |value, _| value.checked_mul(10))?;
    Some(if negative { -value } else { value })
}

/// Reads a floating number.
pub fn float(text: &str, comma: bool, keep_percent: bool) -> Result<f64, Why> {
    let plain =
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    if plain {
        return match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => Err(Why::plain("超出浮点数范围", "is outside the range of floating numbers")),
            Err(_) => Err(NOT_A_NUMBER),
        };
    }
    let number = number(text, comma)?;
    let scale = number.scale + if number.percent && !keep_percent { 2 } else { 0 };
    // Through text: the nearest double of the exact decimal.
    format!("{}e-{scale}", number.mantissa).parse().map_err(|_| NOT_A_NUMBER)
}

/// Reads any written number with all its digits. `comma`: `,` is the decimal sign and `.` groups.
pub fn number(text: &str, comma: bool) -> Result<Number, Why> {
    let text = half_width(text);
    let text = text.trim();
    let (point, group) = if comma { (b',', b'.') } else { (b'.', b',') };
    let mut out = Number { mantissa: 0, scale: 0, percent: false, exponent: false, grouped: false };
    let mut negative = false;
    let mut seen_point = false;
    let mut digits = 0_u32;
    let mut since_group: Option<u32> = None;
    let mut run = 0_u32;
    let bytes = text.as_bytes();
    for (at, &b) in bytes.iter().enumerate() {
        match b {
            b'0'..=b'9' => {
                out.mantissa = out
                    .mantissa
                    .checked_mul(10)
                    .and_then(|m| m.checked_add(i128::from(b - b'0')))
                    .ok_or(TOO_LONG)?;
                digits += 1;
                run += 1;
                if seen_point {
                    out.scale += 1;
                }
                if let Some(n) = since_group.as_mut() {
                    *n += 1;
                }
            }
            b'-' | b'+' if at == 0 => negative = b == b'-',
            _ if b == point && !seen_point => {
                if since_group.is_some_and(|n| n != 3) {
                    return Err(NOT_A_NUMBER);
                }
                since_group = None;
                seen_point = true;
            }
            _ if b == group && !seen_point => {
                let sound = match since_group {
                    None => (1..=3).contains(&run),
                    Some(n) => n == 3,
                };
                if !sound {
                    return Err(NOT_A_NUMBER);
                }
                since_group = Some(0);
                out.grouped = true;
            }
            b'e' | b'E' if digits > 0 => {
                let exponent: i32 = bytes
                    .get(at + 1..)
                    .and_then(|b| std::str::from_utf8(b).ok())
                    .and_then(|t| t.parse().ok())
                    .filter(|e| (-300..=300).contains(e))
                    .ok_or(NOT_A_NUMBER)?;
                out.exponent = true;
                shift(&mut out, exponent)?;
                break;
            }
            b'%' if digits > 0 && at + 1 == bytes.len() => out.percent = true,
            b' ' if digits > 0 && bytes.get(at + 1..) == Some(b"%") => {}
            _ => return Err(NOT_A_NUMBER),
        }
    }
    if digits == 0 || since_group.is_some_and(|n| n != 3) {
        return Err(NOT_A_NUMBER);
    }
    if negative {
        out.mantissa = -out.mantissa;
    }
    Ok(out)
}

fn shift(number: &mut Number, exponent: i32) -> Result<(), Why> {
    let step = exponent.unsigned_abs();
    if exponent < 0 {
        number.scale += step;
        // 1e-300 has no place in a decimal: shorten while that loses nothing.
        let (mantissa, scale) = trimmed(*number);
        number.mantissa = mantissa;
        number.scale = scale;
        return Ok(());
    }
    let absorbed = step.min(number.scale);
    number.scale -= absorbed;
    number.mantissa = 10_i128
        .checked_pow(step - absorbed)
        .and_then(|p| number.mantissa.checked_mul(p))
        .ok_or(TOO_LONG)?;
    Ok(())
}

/// Reads a yes or no.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "true" | "是" | "Y" | "y" | "t" | "真" | "√" | "✓" => return Some(true),
        "0" | "false" | "否" | "N" | "n" | "f" | "假" | "×" | "✗" => return Some(false),
        _ => {}
    }
    let is = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if is(&["true", "yes", "t", "on", "1.0"]) {
        Some(true)
    } else if is(&["false", "no", "f", "off", "0.0"]) {
        Some(false)
    } else {
        match half_width(text).as_ref() {
            "1" | "Y" | "y" => Some(true),
            "0" | "N" | "n" => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_kind() {
        for (text, want) in [
            ("0", 0),
            ("-5", -5),
            ("+7", 7),
            ("007", 7),
            ("1,234,567", 1_234_567),
            ("12.00", 12),
            ("1e3", 1000),
            ("１２３", 123),
            ("９，８７６", 9876),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text), Ok(want), "{text}");
        }
        for bad in [
            "",
            "-",
            "1.5",
            "5%",
            "1,23",
            "12,34",
            ",123",
            "1,",
            "abc",
            "9223372036854775808",
            "1e999",
            "--1",
            "1-",
        ] {
            assert!(integer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(decimal("12.34", 18, 2, false, false), Ok(1234));
        assert_eq!(decimal("-0.5", 18, 2, false, false), Ok(-50));
        assert_eq!(decimal("1,234.5", 18, 2, false, false), Ok(123_450));
        assert_eq!(decimal("1.234,56", 18, 2, true, false), Ok(123_456));
        assert_eq!(decimal("12,5", 18, 2, true, false), Ok(1250));
        assert_eq!(decimal("12.5%", 18, 4, false, false), Ok(1250));
        assert_eq!(decimal("12.5 %", 18, 2, false, true), Ok(1250));
        assert_eq!(decimal("1.2300", 18, 2, false, false), Ok(123));
        assert_eq!(decimal("1.5E-1", 18, 2, false, false), Ok(15));
        assert_eq!(decimal(".5", 18, 2, false, false), Ok(50));
        assert_eq!(decimal("5.", 18, 2, false, false), Ok(500));
        assert!(decimal("1.234", 18, 2, false, false).is_err());
        assert!(decimal("12345.67", 6, 2, false, false).is_err());
        assert_eq!(decimal("1234.56", 6, 2, false, false), Ok(123_456));
        assert_eq!(
            decimal("12345678901234567890.12", 28, 2, false, false),
            Ok(1_234_567_890_123_456_789_012)
        );
    }

    #[test]
    fn floats_and_booleans() {
        assert_eq!(float("1.5e3", false, false), Ok(1500.0));
        assert_eq!(float("1,234.5", false, false), Ok(1234.5));
        assert_eq!(float("50%", false, false), Ok(0.5));
        assert!(float("inf", false, false).is_err() && float("1e999", false, false).is_err());
        assert_eq!(boolean("是"), Some(true));
        assert_eq!(boolean("No"), Some(false));
        assert_eq!(boolean("maybe"), None);
    }
}
