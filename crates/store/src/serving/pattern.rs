//! LIKE patterns: matching as PostgreSQL reads them (for SQLite, whose own LIKE differs), and the bound of a literal
//! beginning.

/// The smallest text greater than every text that begins with `prefix`.
pub(crate) fn next_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            c => char::from_u32(u32::from(c) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// LIKE as PostgreSQL reads it: `%` any run, `_` one character, backslash takes the next literally.
pub(crate) fn like(text: &str, pattern: &str, fold: bool) -> bool {
    let lower = |s: &str| s.chars().flat_map(char::to_lowercase).collect::<String>();
    if fold { like_matches(&lower(text), &lower(pattern)) } else { like_matches(text, pattern) }
}

fn like_matches(text: &str, pattern: &str) -> bool {
    let (mut t, mut p) = (text.chars(), pattern.chars());
    // Where to resume when the part after the last `%` does not fit: pattern after it, text one further.
    let mut resume: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let before = (t.clone(), p.clone());
        let fits = match p.next() {
            Some('%') => {
                resume = Some((p.clone(), before.0));
                continue;
            }
            Some('_') => t.next().is_some(),
            Some('\\') => p.next().is_some_and(|want| t.next() == Some(want)),
            Some(want) => t.next() == Some(want),
            None => t.next().is_none(),
        };
        if fits {
            if before.1.as_str().is_empty() {
                return true;
            }
            continue;
        }
        match &mut resume {
            Some((pattern, text)) => {
                if text.next().is_none() {
                    return false;
                }
                t = text.clone();
                p = pattern.clone();
            }
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_reads_patterns_as_postgresql() {
        for (text, pattern, fold, expected) in [
            ("杭州市西湖区", "杭州%", false, true),
            ("杭州市西湖区", "%西_区", false, true),
            ("杭州市西湖区", "%西区", false, false),
            ("abc", "ABC", false, false),
            ("abc", "ABC", true, true),
            ("100%", "100\\%", false, true),
            ("1000", "100\\%", false, false),
            ("", "%", false, true),
            ("", "_", false, false),
            ("aXbXc", "a%b%c", false, true),
            ("ab", "a%b%c", false, false),
            ("abab", "%ab", false, true),
            ("a", "", false, false),
            ("", "", false, true),
        ] {
            assert_eq!(like(text, pattern, fold), expected, "{text} like {pattern}");
        }
    }

    #[test]
    fn the_next_prefix_bounds_all_continuations() {
        assert_eq!(next_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(next_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(next_prefix("\u{10ffff}"), None);
        assert_eq!(next_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
    }
}
