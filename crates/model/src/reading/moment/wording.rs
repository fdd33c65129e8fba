//! Dates in Chinese words turned into digits and signs.

use crate::reading::number::half_width;

/// Half-width letters, Chinese words turned into signs, weekday names dropped.
pub(super) fn plain_form(text: &str) -> String {
    let text = half_width(text);
    if text.is_ascii() {
        return text.into_owned();
    }
    let chinese = ['〇', '零', '一', '二', '三', '四', '五', '六', '七', '八', '九', '十'];
    let text = match (text.contains('年'), text.contains(chinese)) {
        (true, true) => chinese_numerals(&text),
        _ => text.into_owned(),
    };
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '年' | '月' => out.push('-'),
            '日' | '号' => out.push(' '),
            '时' | '点' | '分' => {
                while chars.next_if_eq(&' ').is_some() {}
                if chars.peek().is_some_and(char::is_ascii_digit) || c != '分' {
                    out.push(':');
                    if !chars.peek().is_some_and(char::is_ascii_digit) {
                        out.push_str("00");
                    }
                }
            }
            '秒' => {}
            '上' | '下' | '中' if matches!(chars.peek(), Some('午')) => {
                chars.next();
                out.push_str(if c == '上' { " am " } else { " pm " });
            }
            '凌' | '早' if matches!(chars.peek(), Some('晨' | '上')) => {
                chars.next();
                out.push_str(" am ");
            }
            '晚' => {
                chars.next_if_eq(&'上');
                out.push_str(" pm ");
            }
            '星' | '周' => {
                if c == '星' {
                    chars.next_if_eq(&'期');
                }
                chars.next();
                out.push(' ');
            }
            other => out.push(other),
        }
    }
    // `2024年1月` leaves a trailing sign.
    if out.ends_with('-') {
        out.pop();
    }
    out
}

/// `二〇二四年十二月三十一日` with digits.
fn chinese_numerals(text: &str) -> String {
    let digit =
        |c: char| "零一二三四五六七八九".chars().position(|d| d == c).or((c == '〇').then_some(0));
    let mut out = String::with_capacity(text.len());
    let chars: Vec<char> = text.chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| chars.get(i)).copied().and_then(digit);
        let after = chars.get(at + 1).copied().and_then(digit);
        match (digit(c), c) {
            (Some(d), _) => out.push_str(&d.to_string()),
            // 十 alone is 10, 十二 is 12, 二十 is 20, 三十一 is 31.
            (None, '十') => out.push_str(match (before, after) {
                (None, None) => "10",
                (None, Some(_)) => "1",
                (Some(_), None) => "0",
                (Some(_), Some(_)) => "",
            }),
            _ => out.push(c),
        }
    }
    out
}
