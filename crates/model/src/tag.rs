//! Entity tags: whether a caller has already what it asks for. One reading of `If-None-Match` for every door.

/// Whether the lines of a header `If-None-Match` name `tag`, or anything at all (`*`). Compared weakly, as RFC 9110 (13.1.2) wants it:
/// `W/` counts for nothing; a comma within quotes parts no tags.
pub fn held<'a>(lines: impl IntoIterator<Item = &'a str>, tag: &str) -> bool {
    let own = opaque(tag);
    lines.into_iter().flat_map(tags).any(|one| one == "*" || one == own)
}

fn tags(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = line.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.map(|one| opaque(one.trim()))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_wherever_it_stands() {
        for lines in [
            &["\"a\""][..],
            &["W/\"a\""],
            &["\"b\", \"a\""],
            &["\"b\"", " W/\"a\" ,\"c\""],
            &["*"],
            &["\"x,y\",\"a\""],
        ] {
            assert!(held(lines.iter().copied(), "\"a\""), "{lines:?}");
            assert!(held(lines.iter().copied(), "W/\"a\""), "{lines:?}");
        }
        for lines in [&[][..], &[""], &["a"], &["\"b\""], &["\"x,\"a\",y\""], &["\"A\""]] {
            assert!(!held(lines.iter().copied(), "\"a\""), "{lines:?}");
        }
        assert!(held(["\"x,y\""], "\"x,y\""));
    }
}
