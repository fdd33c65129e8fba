//! 政策动态: policies, notices, news and interpretations that an authority publishes on the site of its region. Texts are plain, with
//! a few marks of lines that [`blocks`] reads; nothing of them is markup.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// What it is.
    NewsKind {
        Policy = "policy", "政策文件", "Policy";
        Notice = "notice", "通知公告", "Notice";
        News = "news", "工作动态", "News";
        Interpretation = "interpretation", "政策解读", "Interpretation";
    }
}

code_list! {
    /// Where it stands.
    NewsState {
        Draft = "draft", "草稿", "Draft";
        Public = "public", "已发布", "Published";
        Withdrawn = "withdrawn", "已撤下", "Withdrawn";
    }
}

/// What an authority writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsNew {
    pub kind: Option<NewsKind>,
    pub title: String,
    pub title_en: String,
    pub text: String,
    /// The same in English; empty when there is none.
    pub text_en: String,
    /// Number of the document, where it has one.
    pub number: String,
    /// Day from which it is shown; empty: at once.
    pub day: String,
    /// Region whose site it is for (GB/T 2260): the province or a city.
    pub region: String,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    pub id: String,
    pub kind: NewsKind,
    pub state: NewsState,
    pub region: String,
    pub org: String,
    pub title: String,
    pub title_en: String,
    pub text: String,
    pub text_en: String,
    pub number: String,
    /// Day of publication.
    pub day: NaiveDate,
    /// Files that go with it: id, name, bytes.
    #[serde(default)]
    pub files: Vec<(String, String, u64)>,
    pub writer: String,
    pub created_at: String,
    pub updated_at: String,
    /// Why it was withdrawn.
    pub reason: String,
    /// Counts up with every change.
    pub edit: u64,
}

impl News {
    /// Whether everybody may read it on a day.
    #[must_use]
    pub fn shown(&self, today: NaiveDate) -> bool {
        self.state == NewsState::Public && self.day <= today
    }
}

/// A piece of a text as it is laid out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    Heading { text: String },
    Paragraph { text: String },
    List { items: Vec<String> },
}

/// Reads a plain text: a line that begins with `## ` is a heading, lines that begin with `- ` are a list, other lines are paragraphs.
/// Nothing else is a mark; what is shown is escaped by whoever shows it.
#[must_use]
pub fn blocks(text: &str) -> Vec<Block> {
    let mut all: Vec<Block> = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        if let Some(heading) = line.strip_prefix("## ") {
            all.push(Block::Heading { text: heading.trim().to_owned() });
        } else if let Some(item) = line.strip_prefix("- ") {
            let item = item.trim().to_owned();
            match all.last_mut() {
                Some(Block::List { items }) => items.push(item),
                _ => all.push(Block::List { items: vec![item] }),
            }
        } else {
            all.push(Block::Paragraph { text: line.to_owned() });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_are_marked() {
        let text = "第一条\n## 目的\n- 甲\n-  乙\n\n**不是** <b>标记</b>\n- 丙";
        let p = |text: &str| Block::Paragraph { text: text.into() };
        let list =
            |items: &[&str]| Block::List { items: items.iter().map(|i| (*i).into()).collect() };
        assert_eq!(
            blocks(text),
            [
                p("第一条"),
                Block::Heading { text: "目的".into() },
                list(&["甲", "乙"]),
                p("**不是** <b>标记</b>"),
                list(&["丙"]),
            ]
        );
        assert_eq!(blocks(" \n\n"), []);
    }
}
