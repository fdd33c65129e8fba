//! The public's voice (互动交流): tickets to departments, ratings and comments on data sets, and what was made of open data.
//!
//! What people write is plain text: it is kept as typed, bounded in length, free of control characters, and escaped where it is
//! shown. What is public tells of nobody: [`personal`] finds what would.

pub mod comment;
pub mod showcase;
pub mod ticket;

use crate::{Error, Result, ident};

/// A text somebody wrote: trimmed, lines ended by `\n`, so many characters long. `name` is the field's, in both languages.
pub fn plain(
    field: &str,
    name: (&str, &str),
    text: &str,
    least: usize,
    most: usize,
) -> Result<String> {
    let text = text.replace("\r\n", "\n").trim().to_owned();
    let count = text.chars().count();
    if count < least || count > most {
        return Err(Error::invalid(
            format!("{}应为 {least} 至 {most} 个字，现为 {count} 个", name.0),
            format!("{}: {least} to {most} characters, not {count}", name.1),
        )
        .field(field, "请修改长度", "change its length"));
    }
    if text.chars().any(unseen) {
        return Err(Error::invalid(
            format!("{}含有看不见的控制字符，请重新输入", name.0),
            format!("{}: it holds control characters that nobody sees; type it anew", name.1),
        )
        .field(field, "请重新输入", "type it anew"));
    }
    Ok(text)
}

/// Characters that are not seen or turn the direction of what follows.
fn unseen(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// What a text tells of a person, in both languages: a citizen identity number or a mobile number, also when it is written
/// with gaps or in full-width digits.
#[must_use]
pub fn personal(text: &str) -> Option<(&'static str, &'static str)> {
    let narrow: String = text
        .chars()
        .map(|c| match c {
            '０'..='９' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            other => other,
        })
        .collect();
    let joined: String = narrow.chars().filter(|c| !matches!(c, ' ' | '-' | '\u{3000}')).collect();
    [narrow, joined].iter().find_map(|text| {
        text.split(|c: char| !c.is_ascii_digit() && !matches!(c, 'X' | 'x')).find_map(|run| {
            if ident::citizen_id(run).is_ok() {
                Some(("公民身份号码", "a citizen identity number"))
            } else if ident::mobile(run) {
                Some(("手机号码", "a mobile number"))
            } else {
                None
            }
        })
    })
}

/// Refuses a public text that tells of a person.
pub fn impersonal(field: &str, text: &str) -> Result<()> {
    let Some((zh, en)) = personal(text) else { return Ok(()) };
    Err(Error::invalid(
        format!("公开的文字中不能有{zh}，请删去后再提交"),
        format!("a public text must not hold {en}: take it out and send it again"),
    )
    .field(field, format!("请删去{zh}"), format!("take {en} out")))
}

/// A person's name as the public sees it: its first character.
#[must_use]
pub fn veiled(name: &str) -> String {
    let first: String = name.trim().chars().take(1).collect();
    format!("{first}**")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_a_person_is_found() {
        for text in [
            "我的身份证11010519491231002X有误",
            "号码 110105 19491231 002x",
            "请打13800138000",
            "电话：138-0013-8000。",
            "１３８００１３８０００",
        ] {
            assert!(personal(text).is_some(), "{text}");
        }
        for text in [
            "第 3 行泊位数应为 120",
            "0571-88888888",
            "2026 年 1380013800 件",
            "110105194912310021",
        ] {
            assert_eq!(personal(text), None, "{text}");
        }
        assert_eq!(impersonal("text", "13800138000").unwrap_err().fields()[0].field, "text");
    }

    #[test]
    fn texts_are_bounded_and_seen() {
        let check = |text: &str| plain("text", ("内容", "text"), text, 2, 5);
        assert_eq!(check("  甲\r\n乙 ").unwrap(), "甲\n乙");
        for wrong in ["", "甲", "一二三四五六", "甲\u{0}乙", "甲\u{202E}乙"] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(veiled("张三丰"), "张**");
    }
}
