//! Chinese text for engines that do not cut it: pairs of characters, and pinyin initials.

use pinyin::ToPinyin;

fn is_cjk(c: char) -> bool {
    ('\u{3400}'..='\u{9fff}').contains(&c)
}

/// Pairs of neighbouring Chinese characters and whole other words, separated by spaces: a phrase of pairs finds any
/// substring of two characters and more.
#[must_use]
pub fn grams(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    let mut push = |piece: &[char]| {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(piece);
    };
    while let Some(&c) = chars.get(at) {
        let end = (at..chars.len())
            .find(|i| chars.get(*i).is_none_or(|n| is_cjk(*n) != is_cjk(c) || !n.is_alphanumeric()))
            .unwrap_or(chars.len());
        let run = chars.get(at..end).unwrap_or_default();
        if is_cjk(c) && run.len() > 1 {
            run.windows(2).for_each(&mut push);
        } else if !run.is_empty() {
            push(run);
        }
        at = end.max(at + 1);
    }
    out.to_lowercase()
}

/// First letters of the pinyin of a text; letters and digits stay.
#[must_use]
pub fn initials(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c.to_pinyin() {
            Some(p) => p.plain().chars().next(),
            None => c.is_ascii_alphanumeric().then(|| c.to_ascii_lowercase()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_words() {
        assert_eq!(grams("空气质量PM2.5 日报"), "空气 气质 质量 pm2 5 日报");
        assert_eq!(grams("税"), "税");
        assert_eq!(initials("身份证号A1"), "sfzha1");
    }
}
