//! `help_show`: what each action is for and takes, in both languages.

use serde_json::Value;

use super::fault::Fault;
use super::params::Params;

/// Actions that read, with what they take.
pub(super) const ACTIONS: &[(&str, &str)] = &[
    ("status_show", "版本与站点 / version and site."),
    ("site_read", "总为真 / always true."),
    ("help_show", "某个动作的说明 / what an action is for. name"),
    ("package_list", "全部数据集名称 / names of all data sets. limit, offset"),
    (
        "current_package_list_with_resources",
        "数据集及其资源 / data sets with their resources. limit, offset",
    ),
    (
        "package_search",
        "检索数据集，Solr 语法 / searches data sets in Solr's language. q, fq, fq_list, sort (score, metadata_modified, \
         metadata_created, id, name, title), rows (≤ 1000), start, facet, facet.field, facet.limit, facet.mincount",
    ),
    ("package_show", "一个数据集 / one data set. id (id or name)"),
    ("package_autocomplete", "按名称补全 / completions by name or title. q, limit"),
    ("resource_show", "一个资源 / one resource. id"),
    (
        "resource_search",
        "检索资源 / searches resources. query (name:…, description:…, format:…), limit, offset",
    ),
    ("resource_view_list", "资源的视图（无）/ views of a resource (none). id"),
    ("group_list", "分组（数据领域）/ groups, which are domains. all_fields, sort, limit, offset"),
    ("group_show", "一个分组 / one group. id, include_datasets"),
    ("group_package_show", "分组中的数据集 / data sets of a group. id, limit"),
    (
        "organization_list",
        "有开放数据的机构 / organisations with open data. all_fields, sort, limit, offset",
    ),
    ("organization_list_for_user", "令牌所有人的单位 / the organisation of a token's owner."),
    ("organization_show", "一个机构 / one organisation. id, include_datasets"),
    ("tag_list", "标签 / tags. query, all_fields"),
    ("tag_show", "一个标签 / one tag. id, include_datasets"),
    ("license_list", "许可 / licences."),
    ("user_list", "不提供用户 / no users are told."),
    ("vocabulary_list", "没有词表 / there are no vocabularies."),
    ("format_autocomplete", "按格式名补全 / completions of formats. q, limit"),
    (
        "datastore_search",
        "按条件取行 / rows of a table. resource_id, filters (values, lists, {\"gte\": …, \"lt\": …}, $and, $or), q, \
         sort, fields, distinct, limit (default 100), offset, include_total, records_format (objects, lists, csv, tsv). `_id` is \
         the place of a row in the answer's order, counted from 1",
    ),
    ("datastore_info", "表的字段与行数 / fields and rows of a table. id"),
    (
        "datastore_search_sql",
        "以一条 SELECT 语句取行，运营方开启后可用 / rows by one SELECT, where the operator has switched it on. sql: SELECT [DISTINCT] \
         columns, COUNT, SUM, AVG, MIN, MAX FROM \"resource_id\" [WHERE …] [GROUP BY …] [ORDER BY …] [LIMIT n] [OFFSET n]",
    ),
];

pub(super) fn show(params: &Params) -> Result<Value, Fault> {
    let name = params.wanted("name")?;
    let found = ACTIONS.iter().find(|(known, _)| *known == name);
    let text = found
        .map(|(_, text)| *text)
        .or_else(|| super::write::is_write(&name).then(|| super::write::help(&name)));
    text.map(|t| Value::String(t.to_owned())).ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        Fault::not_found(&format!("没有动作 `{shown}`"), &format!("action `{shown}` was not found"))
    })
}
