//! Pages of an interface: which address is asked next, and when it is over.

use model::{Code, Error, Result};
use policy::port::{HttpFeed, Paging};

use crate::json_scan;

/// What an answer says besides its rows.
#[derive(Debug, Default)]
pub(super) struct Turned<'a> {
    pub(super) rows: u64,
    /// The whole answer.
    pub(super) body: &'a str,
    /// Header `Link`.
    pub(super) link: Option<String>,
    /// The rows' text is the page before's.
    pub(super) same: bool,
}

/// The way through the pages.
#[derive(Debug)]
pub(super) struct Pages {
    paging: Paging,
    page: u64,
    offset: u64,
    token: Option<String>,
    next: Option<String>,
    /// The page before had fewer rows than were asked for: the next is asked for only to be sure, because an
    /// interface may give less than one asks for.
    short: bool,
}

impl Pages {
    pub(super) fn new(feed: &HttpFeed) -> Self {
        let page = match &feed.paging {
            Paging::Page { first, .. } => *first,
            _ => 0,
        };
        Self { paging: feed.paging.clone(), page, offset: 0, token: None, next: None, short: false }
    }

    /// Parameters of the next request besides the feed's own.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let sized = |name: &str, size: u64| {
            (!name.is_empty()).then(|| (name.to_owned(), size.to_string())).into_iter()
        };
        match &self.paging {
            Paging::Single | Paging::Link => Vec::new(),
            Paging::Page { parameter, size_parameter, size, .. } => {
                let page = (parameter.clone(), self.page.to_string());
                std::iter::once(page).chain(sized(size_parameter, *size)).collect()
            }
            Paging::Offset { parameter, size_parameter, size } => {
                let offset = (parameter.clone(), self.offset.to_string());
                std::iter::once(offset).chain(sized(size_parameter, *size)).collect()
            }
            Paging::Token { parameter, .. } => {
                self.token.iter().map(|t| (parameter.clone(), t.clone())).collect()
            }
        }
    }

    /// The address the answer gave for the next page, when it gives addresses.
    pub(super) fn address(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Whether a request may end with 404 because there is nothing beyond the last page.
    pub(super) fn to_be_sure(&self) -> bool {
        self.short
    }

    /// Takes an answer in; whether there may be another page.
    pub(super) fn turn(&mut self, page: &Turned<'_>) -> Result<bool> {
        if page.same && page.rows > 0 && !matches!(self.paging, Paging::Single) {
            // Some interfaces answer the last page for any number beyond it.
            return if self.short { Ok(false) } else { Err(repeats()) };
        }
        let rows = page.rows;
        Ok(match &self.paging {
            Paging::Single => false,
            Paging::Page { size, .. } => {
                self.page += 1;
                self.short = rows < *size;
                rows > 0
            }
            Paging::Offset { size, .. } => {
                self.offset += rows;
                self.short = rows < *size;
                rows > 0
            }
            Paging::Token { at, .. } => {
                let token = pointed(page.body, at)
                    .and_then(json_scan::cell_text)
                    .map(|t| t.into_owned())
                    .filter(|t| !t.is_empty() && t != "false");
                if token.is_some() && token == self.token {
                    return Err(repeats());
                }
                self.token = token;
                self.token.is_some()
            }
            Paging::Link => {
                let next = page.link.as_deref().and_then(next_link);
                if next.is_some() && next == self.next {
                    return Err(repeats());
                }
                self.next = next;
                self.next.is_some()
            }
        })
    }
}

fn repeats() -> Error {
    Error::new(
        Code::SourceUnavailable,
        "接口的下一页与上一页相同，翻页没有前进，已停止；请核对翻页方式与参数名",
        "the interface answers the same page again, so the pages lead nowhere and reading was stopped: check the way of paging and the parameter names",
    )
}

/// The value at a JSON pointer (RFC 6901), as it stands in the text.
pub(super) fn pointed<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    let start = json_scan::skip(text.as_bytes(), 0);
    let mut here = text.get(start..)?.trim_end();
    if pointer.is_empty() {
        return Some(here);
    }
    for part in pointer.strip_prefix('/')?.split('/') {
        let part = part.replace("~1", "/").replace("~0", "~");
        here = if here.starts_with('{') {
            json_scan::members(here).into_iter().find(|(name, _)| *name == part)?.1
        } else if here.starts_with('[') {
            json_scan::elements(here).get(part.parse::<usize>().ok()?).copied()?
        } else {
            return None;
        };
    }
    Some(here)
}

/// Address of `rel="next"` in a `Link` header (RFC 8288).
fn next_link(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (address, after) = after.split_once('>')?;
        let parameters = after.split('<').next().unwrap_or_default();
        let next = parameters.split([';', ',']).any(|p| {
            p.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value
                        .trim()
                        .trim_matches('"')
                        .split(' ')
                        .any(|r| r.eq_ignore_ascii_case("next"))
            })
        });
        if next {
            return Some(address.trim().to_owned());
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_links_lead_where_they_say() {
        let text = r#" {"data":{"a/b":[{"x":1},{"x":2}]},"n":null} "#;
        assert_eq!(pointed(text, "/data/a~1b/1/x"), Some("2"));
        assert_eq!(pointed(text, "/data/none"), None);
        assert_eq!(pointed("[1,2]", ""), Some("[1,2]"));
        let link = r#"</a?p=1>; rel="prev", <https://h/a?p=3>; title="x"; rel="next last""#;
        assert_eq!(next_link(link).as_deref(), Some("https://h/a?p=3"));
        assert_eq!(next_link(r#"</a>; rel="prev""#), None);
    }
}
