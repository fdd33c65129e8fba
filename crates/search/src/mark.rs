//! Highlights: `<mark>` around what was found, all else HTML-escaped, descriptions cut around the first match.

use crate::query::{Asked, Piece};
use crate::sound;
use crate::text::{Script, normalise, runs};

/// Longest snippet in characters, ellipses included.
pub(crate) const SNIPPET: usize = 160;
/// Characters shown before the first match of a cut snippet.
const LEAD: usize = 30;

/// The whole text with its matches marked.
pub(crate) fn whole(text: &str, asked: &Asked) -> String {
    let marked = marked(text, asked);
    render(text, &marked, 0, marked.len())
}

/// At most [`SNIPPET`] characters of the text, around its first match.
pub(crate) fn snippet(text: &str, asked: &Asked) -> String {
    let marked = marked(text, asked);
    if marked.len() <= SNIPPET {
        return render(text, &marked, 0, marked.len());
    }
    let first = marked.iter().position(|m| *m).unwrap_or(0);
    // Two characters are kept for the ellipses.
    let width = SNIPPET - 2;
    let start = first.saturating_sub(LEAD).min(marked.len() - width);
    let end = start + width;
    let mut out = String::new();
    if start > 0 {
        out.push('…');
    }
    out.push_str(&render(text, &marked, start, end));
    if end < marked.len() {
        out.push('…');
    }
    out
}

/// For each character of the text whether it belongs to a match.
fn marked(text: &str, asked: &Asked) -> Vec<bool> {
    let chars = normalise(text);
    let mut marks = vec![false; chars.len()];
    if let Asked::Pieces(pieces) = asked {
        for piece in pieces {
            mark_piece(&chars, piece, &mut marks);
        }
    }
    marks
}

fn mark_piece(chars: &[char], piece: &Piece, marks: &mut [bool]) {
    let found = if piece.script == Script::Cjk {
        let whole = mark_all(chars, &piece.text, marks);
        // Every word is marked, so no stopping at the first.
        whole || piece.words.iter().filter(|w| mark_all(chars, w, marks)).count() > 0
    } else {
        mark_words(chars, &piece.text, marks)
    };
    let found = piece.others.iter().filter(|o| mark_all(chars, o, marks)).count() > 0 || found;
    if found {
        return;
    }
    let heard = match piece.script {
        Script::Cjk => sound::spelling(&normalise(&piece.text)),
        _ => piece.text.clone(),
    };
    if heard.len() < 2 || !heard.is_ascii() {
        return;
    }
    if let Some(positions) = sound::find(&sound::cells(chars), &heard) {
        for at in positions {
            set(marks, at, at + 1);
        }
    }
}

fn set(marks: &mut [bool], start: usize, end: usize) {
    for m in marks.iter_mut().take(end).skip(start) {
        *m = true;
    }
}

/// Marks every occurrence of a substring; says whether there was one.
fn mark_all(chars: &[char], needle: &str, marks: &mut [bool]) -> bool {
    let needle: Vec<char> = needle.chars().collect();
    let mut found = false;
    for (at, window) in chars.windows(needle.len().max(1)).enumerate() {
        if window == needle {
            set(marks, at, at + needle.len());
            found = true;
        }
    }
    found
}

/// Marks words that start with the needle, else words one letter away from it.
fn mark_words(chars: &[char], needle: &str, marks: &mut [bool]) -> bool {
    let needle: Vec<char> = needle.chars().collect();
    let words: Vec<_> = runs(chars)
        .into_iter()
        .filter(|r| r.script == Script::Word)
        .filter_map(|r| chars.get(r.start..r.end).map(|w| (r.start, w)))
        .collect();
    let mut found = false;
    for (start, word) in &words {
        if word.starts_with(&needle) {
            set(marks, *start, start + needle.len());
            found = true;
        }
    }
    if found || needle.len() < 5 {
        return found;
    }
    for (start, word) in &words {
        if one_edit(word, &needle) {
            set(marks, *start, start + word.len());
            found = true;
        }
    }
    found
}

/// Whether two words differ by one letter added, lost, changed, or by two neighbours swapped.
fn one_edit(a: &[char], b: &[char]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let same = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let rest = |s: &[char], skip: usize| s.iter().skip(same + skip).copied().collect::<Vec<_>>();
    if long.len() == short.len() + 1 {
        return rest(short, 0) == rest(long, 1);
    }
    long.len() == short.len()
        && (rest(short, 1) == rest(long, 1)
            || (rest(short, 2) == rest(long, 2)
                && short.get(same) == long.get(same + 1)
                && short.get(same + 1) == long.get(same)))
}

fn render(text: &str, marks: &[bool], start: usize, end: usize) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut open = false;
    for (c, &mark) in text.chars().zip(marks).take(end).skip(start) {
        if mark != open {
            out.push_str(if mark { "<mark>" } else { "</mark>" });
            open = mark;
        }
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    if open {
        out.push_str("</mark>");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::asked;
    use crate::synonym::Synonyms;

    fn title(text: &str, query: &str) -> String {
        whole(text, &asked(query, &Synonyms::default()))
    }

    #[test]
    fn matches_are_marked_and_the_rest_escaped() {
        assert_eq!(
            title("<b>空气质量</b>日报", "空气"),
            "&lt;b&gt;<mark>空气</mark>质量&lt;/b&gt;日报"
        );
        assert_eq!(title("a\"'&", ""), "a&quot;&#39;&amp;");
        assert_eq!(title("Air Quality daily", "qualit"), "Air <mark>Qualit</mark>y daily");
        assert_eq!(title("Air Quality daily", "qualtiy"), "Air <mark>Quality</mark> daily");
        assert_eq!(title("空气质量日报", "日报空气"), "<mark>空气</mark>质量<mark>日报</mark>");
    }

    #[test]
    fn sound_and_traditional_matches_mark_the_original() {
        assert_eq!(title("公民身份证号码", "sfzh"), "公民<mark>身份证号</mark>码");
        assert_eq!(title("桃園市臨時托育", "临时"), "桃園市<mark>臨時</mark>托育");
        assert_eq!(title("桃园市临时托育", "臨時"), "桃园市<mark>临时</mark>托育");
    }

    #[test]
    fn a_snippet_is_short_and_holds_the_match() {
        let text = format!("{}空气质量{}", "前".repeat(500), "后&".repeat(300));
        let s = snippet(&text, &asked("空气质量", &Synonyms::default()));
        assert!(s.contains("<mark>空气质量</mark>") && s.starts_with('…') && s.ends_with('…'));
        let plain = s.replace("<mark>", "").replace("</mark>", "").replace("&amp;", "&");
        assert_eq!(plain.chars().count(), SNIPPET);
        assert_eq!(snippet("短", &asked("", &Synonyms::default())), "短");
    }

    #[test]
    fn one_edit_is_one_edit() {
        let c = |s: &str| s.chars().collect::<Vec<_>>();
        for (a, b) in
            [("abcde", "abde"), ("abcde", "abxde"), ("abcde", "abced"), ("abcde", "xabcde")]
        {
            assert!(one_edit(&c(a), &c(b)), "{a} {b}");
        }
        for (a, b) in [("abcde", "abc"), ("abcde", "axcxe")] {
            assert!(!one_edit(&c(a), &c(b)), "{a} {b}");
        }
    }
}
