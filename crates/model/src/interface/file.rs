//! The description of an interface as text (TOML), and what can be checked of it without the catalogue.
//!
//! ```toml
//! title = "按统一社会信用代码查询"
//! kind = "query"                 # fuzzy list verify statistics batch incremental file composed proxied (`upstream`)
//! entry = "frdwjbxx"             # the resource; callers need a share application for it
//!
//! [[param]]
//! name = "uscc"
//! item = "tyshxydm"              # typed by this item of the catalogue
//! match = "equal"                # contains prefix from to
//! required = true
//!
//! [[return]]
//! item = "dwmc"
//! name = "company"               # optional
//! ```

use std::collections::HashSet;

use super::{How, InterfaceDraft, Kind, Match, upstream};
use crate::{Code, Error, FieldError, Result};

/// Longest description in bytes.
const LONGEST: usize = 64 * 1024;
/// Most parameters, answered items and joined resources.
const MOST_NAMES: usize = 200;
const MOST_PARTS: usize = 5;
/// Names that the call itself uses.
pub(super) const RESERVED: [&str; 5] = ["after", "limit", "page", "version", "wait"];

impl InterfaceDraft {
    /// Reads a description; a fault names its line or field.
    pub fn read(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(Error::new(
                Code::TooLarge,
                format!("接口描述最长 {LONGEST} 字节"),
                format!("the description has {LONGEST} bytes at most"),
            ));
        }
        let draft: Self = toml::from_str(text).map_err(|e| {
            Error::new(
                Code::InvalidInput,
                format!("接口描述有误：{e}"),
                format!("the description is wrong: {e}"),
            )
            .field("text", "请按所指的行修改", "mend the line that is named")
        })?;
        refuse(draft.faults())?;
        Ok(draft)
    }

    /// What contradicts itself.
    #[must_use]
    pub fn faults(&self) -> Vec<FieldError> {
        let mut faults = Faults::default();
        if self.title.trim().is_empty() || self.title.chars().count() > 100 {
            faults.add("title", "标题为 1 至 100 个字", "the title has 1 to 100 characters");
        }
        if self.entry.is_empty() {
            faults.add("entry", "请写明资源编码", "name the resource by its code");
        }
        if !(1..=10_000).contains(&self.page_rows) || !(1..=10_000).contains(&self.most_rows) {
            faults.add("most_rows", "行数为 1 至 10000", "rows are 1 to 10000");
        }
        if !(1..=1000).contains(&self.most_keys) {
            faults.add("most_keys", "批量的键数为 1 至 1000", "keys of a batch are 1 to 1000");
        }
        self.names(&mut faults);
        self.by_kind(&mut faults);
        faults.0
    }

    fn names(&self, faults: &mut Faults) {
        if self.param.len() > MOST_NAMES || self.returns.len() > MOST_NAMES {
            let zh = format!("参数和返回项最多 {MOST_NAMES} 个");
            faults.add("param", &zh, "too many parameters or answered items");
        }
        let mut seen = HashSet::new();
        for param in &self.param {
            let field = format!("param.{}", param.name);
            if !word(&param.name) || RESERVED.contains(&param.name.as_str()) {
                faults.add(
                    &field,
                    "参数名由字母、数字和下划线组成，且不能是 after、limit、page、version、wait",
                    "a parameter's name is letters, digits and _, and not one the call uses itself",
                );
            }
            if !seen.insert(param.name.as_str()) {
                faults.add(&field, "参数名重复", "the name of a parameter stands twice");
            }
        }
        let mut seen = HashSet::new();
        for item in &self.returns {
            let field = format!("return.{}", item.item);
            if !word(item.label()) {
                faults.add(
                    &field,
                    "返回名由字母、数字和下划线组成",
                    "names are letters, digits and _",
                );
            }
            if !seen.insert(item.label()) {
                faults.add(&field, "返回名重复", "the name of an answered item stands twice");
            }
            let (part, _) = item.place();
            if !part.is_empty() && !self.part.iter().any(|p| p.name == part) {
                faults.add(&field, "没有这个组成资源", "there is no such part");
            }
        }
    }

    fn by_kind(&self, faults: &mut Faults) {
        let equals = |p: &&super::Param| p.how == Match::Equal;
        match self.kind {
            Kind::Query | Kind::Composed => {
                if !self.param.iter().filter(equals).any(|p| p.required) {
                    faults.add(
                        "param",
                        "按键查询至少要有一个必填的等值参数",
                        "a query by keys needs a required parameter that is compared by equality",
                    );
                }
            }
            Kind::Fuzzy => {
                let fuzzy = |p: &super::Param| {
                    matches!(p.how, Match::Contains | Match::Prefix) && p.required
                };
                if !self.param.iter().any(fuzzy) {
                    faults.add(
                        "param",
                        "模糊查询至少要有一个必填的包含或开头参数",
                        "a fuzzy query needs a required parameter with match = contains or prefix",
                    );
                }
            }
            Kind::Verify => {
                if self.param.len() < 2
                    || !self.param.iter().all(|p| p.required && p.how == Match::Equal)
                {
                    faults.add(
                        "param",
                        "核验须有至少两个参数（键与待核验项），均为必填、等值",
                        "a verification needs two parameters at least (key and what is claimed), all required and \
                         compared by equality",
                    );
                }
                if !self.returns.is_empty() {
                    faults.add(
                        "return",
                        "核验只答是或否，不返回数据项",
                        "it answers yes or no and no item",
                    );
                }
            }
            Kind::Batch => {
                if self.param.len() != 1 || !self.param.iter().all(|p| p.how == Match::Equal) {
                    faults.add(
                        "param",
                        "批量查询有且只有一个等值参数",
                        "a batch look-up has exactly one parameter, compared by equality",
                    );
                }
            }
            Kind::Incremental | Kind::File => {
                if !self.param.is_empty() && self.kind == Kind::Incremental {
                    faults.add("param", "增量接口没有业务参数", "changes take no parameters");
                }
            }
            Kind::Statistics | Kind::List | Kind::Proxied => {}
        }
        match (&self.statistics, self.kind) {
            (None, Kind::Statistics) => {
                faults.add("statistics", "统计接口须有 [statistics]", "[statistics] is missing");
            }
            (Some(_), k) if k != Kind::Statistics => {
                faults.add("statistics", "只有统计接口可有 [statistics]", "not for this kind");
            }
            (Some(statistics), _) => {
                if statistics.measure.is_empty() {
                    faults.add("statistics.measure", "至少一个指标", "name one measure at least");
                }
                let mut seen: HashSet<String> = statistics.group_by.iter().cloned().collect();
                for measure in &statistics.measure {
                    let label = measure.label();
                    if !word(&label) || !seen.insert(label) {
                        faults.add(
                            "statistics.measure",
                            "指标名重复或有误",
                            "a name is wrong or twice",
                        );
                    }
                    if measure.item.is_empty() && measure.how != How::Count {
                        faults.add("statistics.measure", "请写明数据项", "name the item");
                    }
                }
            }
            (None, _) => {}
        }
        match (&self.upstream, self.kind) {
            (None, Kind::Proxied) => {
                faults.add("upstream", "代理接口须有 [upstream]", "[upstream] is missing");
            }
            (Some(_), k) if k != Kind::Proxied => {
                faults.add("upstream", "只有代理接口可有 [upstream]", "not for this kind");
            }
            (Some(up), _) => upstream::faults(self, up, faults),
            (None, _) => {}
        }
        match (self.part.is_empty(), self.kind) {
            (true, Kind::Composed) => {
                faults.add(
                    "part",
                    "组合接口至少再组合一个资源",
                    "a composed interface joins one more",
                );
            }
            (false, k) if k != Kind::Composed => {
                faults.add("part", "只有组合接口可有 [[part]]", "not for this kind");
            }
            _ => {}
        }
        if self.part.len() > MOST_PARTS {
            let zh = format!("最多组合 {MOST_PARTS} 个资源");
            faults.add("part", &zh, "too many resources are joined");
        }
        let mut before: HashSet<&str> = HashSet::from([""]);
        for part in &self.part {
            if !word(&part.name) || before.contains(part.name.as_str()) {
                faults.add(
                    "part",
                    "组成资源的名称有误或重复",
                    "a part's name is wrong or stands twice",
                );
            }
            if !before.contains(part.source().0) {
                faults.add(
                    &format!("part.{}", part.name),
                    "equals 只能引用前面的资源",
                    "`equals` names a resource that stands before it",
                );
            }
            before.insert(&part.name);
        }
    }
}

#[derive(Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, zh: &str, en: &str) {
        self.0.push(FieldError { field: field.into(), zh: zh.into(), en: en.into() });
    }
}

/// Letters, digits and `_`, in any script a caller's program can name a field by.
pub(super) fn word(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| !c.is_ascii_digit());
    first && text.len() <= 63 && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// All faults as one error.
pub fn refuse(faults: Vec<FieldError>) -> Result<()> {
    let Some(first) = faults.first() else { return Ok(()) };
    let n = faults.len();
    let error = Error::new(
        Code::InvalidInput,
        format!("接口描述有 {n} 处需要修改：{} {}", first.field, first.zh),
        format!("the description has {n} faults to mend: {}: {}", first.field, first.en),
    );
    Err(error.with_fields(faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        match InterfaceDraft::read(text) {
            Ok(_) => Vec::new(),
            Err(e) => e.fields().iter().map(|f| f.field.clone()).collect(),
        }
    }

    #[test]
    fn a_description_is_read_and_its_faults_are_named() {
        let head = "title = \"t\"\nentry = \"e\"\n";
        let param = "[[param]]\nname = \"id\"\nitem = \"id\"\nrequired = true\n";
        assert_eq!(faults(&format!("{head}kind = \"query\"\n{param}")), Vec::<String>::new());
        assert_eq!(faults(&format!("{head}kind = \"query\"\n")), ["param"]);
        assert_eq!(faults(&format!("{head}kind = \"nothing\"\n")), ["text"]);
        assert_eq!(faults(&format!("{head}kind = \"list\"\nextra = 1\n")), ["text"]);
        assert_eq!(faults(&format!("{head}kind = \"verify\"\n{param}")), ["param"]);
        assert_eq!(faults(&format!("{head}kind = \"fuzzy\"\n{param}")), ["param"]);
        assert_eq!(faults(&format!("{head}kind = \"statistics\"\n")), ["statistics"]);
        assert_eq!(faults(&format!("{head}kind = \"composed\"\n{param}")), ["part"]);
        let reserved = param.replace("name = \"id\"", "name = \"after\"");
        assert_eq!(faults(&format!("{head}kind = \"query\"\n{reserved}")), ["param.after"]);
        let part = "[[part]]\nname = \"b\"\nentry = \"f\"\nitem = \"id\"\nequals = \"c.id\"\n";
        assert_eq!(faults(&format!("{head}kind = \"composed\"\n{param}{part}")), ["part.b"]);
    }
}
