//! What a proxied interface says of the service behind it: where it is, what is sent, where the rows stand in its answer.
//!
//! ```toml
//! kind = "proxied"
//! [upstream]
//! url = "https://xk.example.gov.cn:8443/api/permits/{id}"
//! rows_at = "/data/list"              # JSON pointer; of XML: names from the root, as "Reply/List/Item"
//! cache_seconds = 60
//! [upstream.headers]
//! Authorization = "Bearer {secret:xk}"   # sealed, of the organisation
//! [[upstream.send]]
//! param = "id"
//! into = "path"                       # query header json
//! [[upstream.take]]
//! item = "xkbh"
//! from = "permit.no"                  # names parted by dots; of XML also `@attribute`
//! ```

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::InterfaceDraft;
use super::file::{Faults, word};
use crate::code::code_list;

code_list! {
    /// How the service is asked.
    Method {
        Get = "GET", "GET", "GET";
        Post = "POST", "POST", "POST";
    }
}
code_list! {
    /// In which form it answers.
    UpstreamForm {
        Json = "json", "JSON", "JSON";
        Xml = "xml", "XML", "XML";
    }
}
code_list! {
    /// Where a parameter goes.
    Into {
        Path = "path", "路径", "Path";
        Query = "query", "查询串", "Query";
        Header = "header", "请求头", "Header";
        Json = "json", "JSON 请求体", "JSON body";
    }
}

/// The service behind a proxied interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// `{param}` in its path is replaced by a parameter that goes into the path.
    pub url: String,
    #[serde(default = "get")]
    pub method: Method,
    #[serde(default = "json")]
    pub form: UpstreamForm,
    /// Where the rows stand; empty: the whole answer.
    #[serde(default)]
    pub rows_at: String,
    /// Asking twice changes nothing there (`GET` is taken to be so): it may be asked again.
    #[serde(default)]
    pub idempotent: bool,
    /// How often it is asked again, where that is safe.
    #[serde(default = "retries")]
    pub retries: u32,
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// Largest answer.
    #[serde(default = "most_bytes")]
    pub most_bytes: u64,
    /// How long an answer may be given again; 0: never.
    #[serde(default)]
    pub cache_seconds: u64,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub send: Vec<Send>,
    pub take: Vec<Take>,
}

fn get() -> Method {
    Method::Get
}
fn json() -> UpstreamForm {
    UpstreamForm::Json
}
fn retries() -> u32 {
    1
}
fn timeout_ms() -> u64 {
    5000
}
fn most_bytes() -> u64 {
    1 << 20
}

/// One parameter on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    pub param: String,
    pub into: Into,
    /// Its name there; the parameter's own when nothing is said. In a JSON body names parted by dots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Send {
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.param)
    }
}

/// One field of the answer that becomes an item. What is not named here never leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    pub item: String,
    /// Where it stands in a row; the item's name when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl Take {
    #[must_use]
    pub fn place(&self) -> &str {
        self.from.as_deref().unwrap_or(&self.item)
    }
}

impl Upstream {
    /// Whether it may be asked again.
    #[must_use]
    pub fn safe(&self) -> bool {
        self.idempotent || self.method == Method::Get
    }
}

/// What contradicts itself.
pub(super) fn faults(draft: &InterfaceDraft, up: &Upstream, faults: &mut Faults) {
    let address = up.url.strip_prefix("https://").or_else(|| up.url.strip_prefix("http://"));
    let host = address.and_then(|a| a.split(['/', '?', '#']).next()).unwrap_or_default();
    if host.is_empty() || host.contains(['{', '}', '@']) || up.url.contains(char::is_whitespace) {
        faults.add(
            "upstream.url",
            "应为 http:// 或 https:// 开头的完整网址，主机部分固定，账号放在请求头的密钥中",
            "a whole URL that starts with http:// or https://; the host is fixed, credentials go into headers as secrets",
        );
    }
    if up.timeout_ms == 0 || up.timeout_ms > 25_000 {
        faults.add("upstream.timeout_ms", "超时为 1 至 25000 毫秒", "1 to 25000 milliseconds");
    }
    if !(1..=16 << 20).contains(&up.most_bytes) {
        faults.add("upstream.most_bytes", "大小为 1 至 16777216 字节", "1 to 16777216 bytes");
    }
    if up.retries > 3 {
        faults.add("upstream.retries", "重试最多 3 次", "3 retries at most");
    }
    if up.cache_seconds > 86_400 {
        faults.add("upstream.cache_seconds", "缓存最长一天", "a day at most");
    }
    if up.take.is_empty() {
        faults.add(
            "upstream.take",
            "至少写明一个返回字段",
            "name one field of the answer at least",
        );
    }
    let mut seen = HashSet::new();
    for take in &up.take {
        if !seen.insert(take.item.as_str()) || take.place().is_empty() {
            faults.add(
                "upstream.take",
                "数据项重复或来源为空",
                "an item stands twice, or comes from nowhere",
            );
        }
    }
    for returned in &draft.returns {
        if !seen.contains(returned.item.as_str()) {
            let field = format!("return.{}", returned.item);
            faults.add(&field, "没有对应的 [[upstream.take]]", "no [[upstream.take]] brings it");
        }
    }
    let mut sent = HashSet::new();
    for send in &up.send {
        let field = format!("upstream.send.{}", send.param);
        if !draft.param.iter().any(|p| p.name == send.param) {
            faults.add(&field, "没有这个参数", "there is no such parameter");
        }
        if !sent.insert((send.into, send.label())) {
            faults.add(&field, "同一位置重复", "two go to the same place");
        }
        let plain = match send.into {
            Into::Path => up.url.contains(&format!("{{{}}}", send.label())),
            Into::Header => send.label().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            Into::Json => {
                up.method == Method::Post && send.label().split('.').all(|part| !part.is_empty())
            }
            Into::Query => !send.label().is_empty(),
        };
        if !plain {
            faults.add(
                &field,
                "路径参数须在网址中写作 {名称}；JSON 请求体只用于 POST；请求头名称只含字母、数字和连字符",
                "a path parameter stands as {name} in the URL; a JSON body is for POST; a header's name is letters, digits and -",
            );
        }
    }
    if let Some(open) = placeholders(&up.url).find(|name| !sent.contains(&(Into::Path, *name))) {
        let zh = format!("网址中的 {{{open}}} 没有对应的参数");
        faults.add(
            "upstream.url",
            &zh,
            "a name in braces has no parameter that goes into the path",
        );
    }
    if up.headers.keys().any(|name| !word(&name.replace('-', "_"))) {
        faults.add("upstream.headers", "请求头名称有误", "a header's name is wrong");
    }
    if !draft.order.is_empty() {
        faults.add("order", "代理接口不排序", "a proxied interface does not order");
    }
}

fn placeholders(url: &str) -> impl Iterator<Item = &str> {
    url.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "title = \"t\"\nentry = \"e\"\nkind = \"proxied\"\n\
        [[param]]\nname = \"id\"\nitem = \"id\"\nrequired = true\n[[return]]\nitem = \"id\"\n";
    const UP: &str = "[upstream]\nurl = \"https://a.example/x/{id}\"\n\
        [[upstream.send]]\nparam = \"id\"\ninto = \"path\"\n[[upstream.take]]\nitem = \"id\"\n";

    fn faults_of(text: &str) -> Vec<String> {
        match InterfaceDraft::read(text) {
            Ok(_) => Vec::new(),
            Err(e) => e.fields().iter().map(|f| f.field.clone()).collect(),
        }
    }

    #[test]
    fn what_is_sent_and_taken_must_fit_together() {
        assert_eq!(faults_of(&format!("{HEAD}{UP}")), Vec::<String>::new());
        assert_eq!(faults_of(HEAD), ["upstream"]);
        assert_eq!(faults_of(&format!("{HEAD}{UP}").replace("proxied", "query")), ["upstream"]);
        for (from, to, field) in [
            ("https://a.example", "ftp://a.example", "upstream.url"),
            ("https://a.example", "https://u:p@a.example", "upstream.url"),
            ("https://a.example", "https://{id}.example", "upstream.url"),
            ("/{id}\"", "/\"", "upstream.send.id"),
            ("/{id}\"", "/{id}/{other}\"", "upstream.url"),
            ("into = \"path\"", "into = \"json\"", "upstream.send.id"),
            ("[[upstream.take]]\nitem = \"id\"", "[[upstream.take]]\nitem = \"b\"", "return.id"),
            ("[[upstream.send]]", "timeout_ms = 0\n[[upstream.send]]", "upstream.timeout_ms"),
        ] {
            let text = format!("{HEAD}{UP}").replace(from, to);
            assert!(faults_of(&text).contains(&field.to_owned()), "{to}: {:?}", faults_of(&text));
        }
    }
}
