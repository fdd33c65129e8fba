//! Rules on the further fields of the catalogue schema (`Profile`, and the flags of items). Pure.

use model::FieldError;
use model::code::{DataType, Grade, OpenType, ShareType, UpdateCycle};
use model::entry::{EntryDraft, Link};

use super::rules::CatalogueRules;

/// Most links of one entry, and the longest address and format in characters.
const LINKS: usize = 200;
const ADDRESS: usize = 2000;
const FORMAT: usize = 100;

fn fault(field: String, zh: String, en: String) -> FieldError {
    FieldError { field, zh, en }
}

/// What contradicts itself.
pub(super) fn check(rules: &CatalogueRules, draft: &EntryDraft) -> Vec<FieldError> {
    let mut found = Vec::new();
    let most = rules.size.text;
    let p = &draft.profile;
    for (field, zh, text) in [
        ("theme", "主题", &p.theme),
        ("group", "分组", &p.group),
        ("source_department", "来源处室", &p.source_department),
        ("central_department", "中央业务指导部门", &p.central_department),
        ("update_cycle_other", "其他更新周期", &p.update_cycle_other),
        ("sync_frequency", "同步频率", &p.sync_frequency),
        ("business_matters", "业务事项", &p.business_matters),
        ("related_matters", "数据关联事项", &p.related_matters),
    ] {
        long(&mut found, field.to_owned(), zh, text, most);
    }
    links(&mut found, rules.size.title, &p.links);
    for (i, item) in draft.items.iter().enumerate() {
        for (field, zh, text) in [
            ("standard_code", "标准数据元", &item.standard_code),
            ("code_table", "引用代码表", &item.code_table),
            ("source_system", "来源系统", &item.source_system),
        ] {
            long(&mut found, format!("items[{i}].{field}"), zh, text, most);
        }
        if item.classified
            && (item.share_type != ShareType::None || item.open_type != OpenType::None)
        {
            let basis = &rules.classified.basis;
            found.push(fault(
                format!("items[{i}].classified"),
                format!(
                    "数据项 `{}` 标为涉密，只能不共享且禁止开放，也不应归集到本平台（{basis}）",
                    item.identifier
                ),
                format!(
                    "the item `{}` is marked as classified: it may be neither shared nor opened, and should not be collected here ({basis})",
                    item.identifier
                ),
            ));
        }
        if item.timestamp && !matches!(item.data_type, DataType::Date | DataType::DateTime) {
            found.push(fault(
                format!("items[{i}].timestamp"),
                format!("时间戳数据项 `{}` 应为日期或日期时间型", item.identifier),
                format!(
                    "the time-stamp item `{}` must be a date or a date and time",
                    item.identifier
                ),
            ));
        }
    }
    found
}

fn long(found: &mut Vec<FieldError>, field: String, zh: &str, text: &str, most: usize) {
    let length = text.chars().count();
    if length > most {
        let en = format!("`{field}` may have {most} characters at most, it has {length}");
        found.push(fault(field, format!("{zh}最多 {most} 个字，现有 {length} 个"), en));
    }
}

/// Links lead to the web and nowhere else: they are shown to anybody.
fn links(found: &mut Vec<FieldError>, title: usize, links: &[Link]) {
    if links.len() > LINKS {
        found.push(fault(
            "links".into(),
            format!("数据链接最多 {LINKS} 个，现有 {} 个", links.len()),
            format!("there may be {LINKS} links at most, there are {}", links.len()),
        ));
    }
    for (i, link) in links.iter().enumerate().take(LINKS) {
        if link.host().is_none() {
            let shown: String = link.url.chars().take(80).collect();
            found.push(fault(
                format!("links[{i}].url"),
                format!("数据链接 `{shown}` 应以 http:// 或 https:// 开头，不含用户名、口令和空格"),
                format!(
                    "the link `{shown}` must begin with http:// or https:// and hold no name, password or space"
                ),
            ));
        }
        long(found, format!("links[{i}].url"), "链接地址", &link.url, ADDRESS);
        long(found, format!("links[{i}].title"), "链接名称", &link.title, title);
        long(found, format!("links[{i}].format"), "链接格式", &link.format, FORMAT);
    }
}

/// What should be thought over.
pub(super) fn advise(draft: &EntryDraft) -> Vec<FieldError> {
    let mut found = Vec::new();
    if draft.update_cycle == UpdateCycle::Other && draft.profile.update_cycle_other.is_empty() {
        found.push(fault(
            "update_cycle_other".into(),
            "更新周期为“其他”时，请说明是怎样的周期".into(),
            "say what the update cycle is when it is `other`".into(),
        ));
    }
    if draft.profile.open_level.is_some() && draft.open_type != OpenType::Restricted {
        found.push(fault(
            "open_level".into(),
            "开放方式只对受限开放的目录起作用".into(),
            "the way of opening has effect on restricted-open entries only".into(),
        ));
    }
    for (i, item) in draft.items.iter().enumerate() {
        if item.sensitive && item.grade < Grade::L3 {
            found.push(fault(
                format!("items[{i}].grade"),
                format!("敏感个人信息 `{}` 建议不低于 L3，现为 {}", item.identifier, item.grade),
                format!(
                    "the item `{}` is sensitive personal information: L3 or higher is advised, it is {}",
                    item.identifier, item.grade
                ),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;

    fn faults(change: impl FnOnce(&mut EntryDraft)) -> Vec<String> {
        let rules = crate::rules::Rules::shipped().unwrap().catalogue;
        let mut draft = sample();
        change(&mut draft);
        check(&rules, &draft).into_iter().map(|f| f.field).collect()
    }

    #[test]
    fn flags_of_items_bind() {
        assert!(faults(|_| {}).is_empty());
        assert_eq!(faults(|d| d.items[0].classified = true), ["items[0].classified"]);
        assert!(
            faults(|d| {
                d.items[1].classified = true;
                d.items[1].share_type = ShareType::None;
            })
            .is_empty()
        );
        assert_eq!(faults(|d| d.items[0].timestamp = true), ["items[0].timestamp"]);
        assert_eq!(faults(|d| d.profile.theme = "长".repeat(4001)), ["theme"]);
    }

    #[test]
    fn links_lead_to_the_web() {
        let link = |url: &str| Link { url: url.into(), ..Link::default() };
        assert!(faults(|d| d.profile.links = vec![link("https://a.example/x.csv")]).is_empty());
        for bad in ["javascript:alert(1)", "ftp://a.example/", "https://u:p@a.example/", ""] {
            let told = faults(|d| d.profile.links = vec![link("http://a.example"), link(bad)]);
            assert_eq!(told, ["links[1].url"], "{bad}");
        }
        let far = format!("https://a.example/{}", "x".repeat(ADDRESS));
        assert_eq!(faults(|d| d.profile.links = vec![link(&far)]), ["links[0].url"]);
        assert_eq!(
            faults(|d| d.profile.links = vec![link("https://a.example/"); LINKS + 1]),
            ["links"]
        );
    }

    #[test]
    fn advice_names_what_is_missing() {
        let mut draft = sample();
        draft.update_cycle = UpdateCycle::Other;
        draft.items[2].sensitive = true;
        let told: Vec<String> = advise(&draft).into_iter().map(|f| f.field).collect();
        assert_eq!(told, ["update_cycle_other", "items[2].grade"]);
    }
}
