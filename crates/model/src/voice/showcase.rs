//! What was made of open data (应用成果): handed in, reviewed by the authority, shown, its links looked at now and then.

use serde::{Deserialize, Serialize};

use crate::code::code_list;
use crate::{Error, Result};

code_list! {
    /// What was made.
    ShowcaseKind {
        App = "app", "应用程序", "Application";
        Report = "report", "研究报告", "Report";
        Chart = "chart", "数据可视化", "Visualisation";
        Other = "other", "其他", "Other";
    }
}

code_list! {
    /// Where it stands.
    ShowcaseState {
        Waiting = "waiting", "待审核", "Awaiting review";
        Public = "public", "已展示", "Shown";
        Refused = "refused", "未通过", "Refused";
        Ended = "ended", "已撤下", "Taken down";
    }
}

code_list! {
    /// What was found when a link was looked at.
    LinkState {
        New = "new", "待检查", "Not looked at yet";
        Fine = "fine", "可访问", "Answers";
        Failing = "failing", "暂时无法访问", "Does not answer for now";
        Dead = "dead", "已失效", "Dead";
        Unlooked = "unlooked", "未检查", "Not looked at";
    }
}

/// Most links and data sets of one.
pub const MOST_LINKS: usize = 5;
pub const MOST_ENTRIES: usize = 20;

/// What somebody hands in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowcaseNew {
    pub kind: Option<ShowcaseKind>,
    pub title: String,
    pub text: String,
    /// By whom, as it is to be shown.
    pub author: String,
    pub links: Vec<String>,
    /// Codes of the data sets it uses.
    pub entries: Vec<String>,
}

/// A link with what was found there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub url: String,
    pub state: LinkState,
    /// When it was last looked at; empty: never.
    pub looked_at: String,
    /// Looks in a row that found nothing.
    pub failures: u32,
}

/// Something made of open data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Showcase {
    pub id: String,
    pub kind: ShowcaseKind,
    pub state: ShowcaseState,
    pub title: String,
    pub text: String,
    pub author: String,
    pub links: Vec<Link>,
    /// Data sets it uses, by id and code.
    pub entries: Vec<(String, String)>,
    pub writer: String,
    pub created_at: String,
    pub decided_at: String,
    pub decided_by: String,
    pub reason: String,
    /// Counts up with every change.
    pub edit: u64,
}

/// Reads an address as people may follow it: `http` or `https`, a host, nothing before the host, nothing unseen.
pub fn link(text: &str) -> Result<Link> {
    let url = text.trim();
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|r| r.split(['/', '?', '#']).next()).unwrap_or_default();
    let clean = url.len() <= 300
        && url.is_ascii()
        && !url.bytes().any(|b| b <= b' ' || b == 0x7f || b"\"'<>\\`{}|^".contains(&b));
    let named = !host.is_empty()
        && !host.starts_with(':')
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    if clean && named {
        let state = LinkState::New;
        return Ok(Link { url: url.to_owned(), state, looked_at: String::new(), failures: 0 });
    }
    let shown: String = url.chars().take(60).collect();
    Err(Error::invalid(
        format!("`{shown}` 不是可用的网址：请写 http:// 或 https:// 开头的完整网址，不含空格和账号，最长 300 个字符"),
        format!("`{shown}` is no address to follow: write it in full with http:// or https://, without spaces or account, 300 characters at most"),
    )
    .field("links", "请修改网址", "change the address"))
}

impl Link {
    /// What a look found: something answers, nothing does, or we may not look there.
    pub fn found(&mut self, answers: Option<bool>, at: &str, dead_after: u32) {
        at.clone_into(&mut self.looked_at);
        match answers {
            None => self.state = LinkState::Unlooked,
            Some(true) => (self.state, self.failures) = (LinkState::Fine, 0),
            Some(false) => {
                self.failures = self.failures.saturating_add(1);
                let dead = self.failures >= dead_after;
                self.state = if dead { LinkState::Dead } else { LinkState::Failing };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_where_they_say() {
        for good in ["https://example.cn/app?a=1#b", "http://127.0.0.1:8080/x", "http://[::1]/"] {
            assert_eq!(link(good).unwrap().url, good);
        }
        for wrong in [
            "",
            "example.cn",
            "javascript:alert(1)",
            "https://",
            "https://user@evil.example/",
            "https://a b.cn/",
            "https://x.cn/\"><script>",
            "ftp://x.cn/",
            "https://:80/",
        ] {
            assert!(link(wrong).is_err(), "{wrong}");
        }
        assert!(link(&format!("https://x.cn/{}", "a".repeat(300))).is_err());
    }

    #[test]
    fn a_link_is_dead_after_looks_in_a_row() {
        let mut l = link("https://x.cn/").unwrap();
        l.found(Some(false), "1", 2);
        assert_eq!(l.state, LinkState::Failing);
        l.found(None, "2", 2);
        assert_eq!((l.state, l.failures), (LinkState::Unlooked, 1));
        l.found(Some(false), "3", 2);
        assert_eq!(l.state, LinkState::Dead);
        l.found(Some(true), "4", 2);
        assert_eq!((l.state, l.failures, l.looked_at.as_str()), (LinkState::Fine, 0, "4"));
    }
}
