//! A description against the catalogue: the items it names, whether they may ever be granted, and whether its questions can be
//! answered by an index.

use model::FieldError;
use model::code::{DataType, OpenType, ShareType};
use model::entry::{Entry, EntryDraft};
use model::interface::{How, InterfaceDraft, Kind, Match, refuse};
use model::item::Item;
use model::{Error, Op, Result};

use crate::{App, catalogue, pipeline};

/// Most rows that a composed interface puts together: its keys are looked up at once.
const MOST_JOINED: u64 = 1000;

/// The entries of a description, the first being its own; refuses what they do not have.
pub(super) async fn check(app: &App, op: &Op, draft: &InterfaceDraft) -> Result<Vec<Entry>> {
    let mut entries = vec![known(app, op, "entry", &draft.entry).await?];
    for part in &draft.part {
        let field = format!("part.{}.entry", part.name);
        entries.push(known(app, op, &field, &part.entry).await?);
    }
    let mut check = Check { draft, entries: &entries, faults: Vec::new() };
    check.items();
    check.keys();
    check.figures();
    check.joins();
    check.upstream();
    refuse(check.faults)?;
    secrets(app, draft, &entries).await?;
    Ok(entries)
}

async fn known(app: &App, op: &Op, field: &str, code: &str) -> Result<Entry> {
    if code.trim().is_empty() {
        return Err(Error::invalid(
            format!("`{field}` 应为资源的编码"),
            format!("`{field}` names a resource by its code"),
        )
        .field(field, "请写明资源编码", "name the resource by its code"));
    }
    let entry = app.store.entry_get(code).await?.filter(|e| e.draft.code == code);
    entry.and_then(|e| catalogue::seen(app, op, e)).ok_or_else(|| {
        Error::not_found("资源", "resource", code).field(
            field,
            "没有这个资源",
            "there is no such resource",
        )
    })
}

/// The secrets that a service's headers name are the organisation's.
async fn secrets(app: &App, draft: &InterfaceDraft, entries: &[Entry]) -> Result<()> {
    let Some((up, entry)) = draft.upstream.as_ref().zip(entries.first()) else { return Ok(()) };
    for name in up.headers.values().flat_map(|text| pipeline::secrets_named(text)) {
        if app.store.pipeline_secret(&entry.draft.org, &name).await?.is_none() {
            return Err(pipeline::secret_missing(&name).field(
                "upstream.headers",
                "请先在“数据管道 · 密钥”中登记",
                "enter it under Pipelines, Secrets first",
            ));
        }
    }
    Ok(())
}

struct Check<'a> {
    draft: &'a InterfaceDraft,
    entries: &'a [Entry],
    faults: Vec<FieldError>,
}

impl<'a> Check<'a> {
    fn add(&mut self, field: &str, zh: impl Into<String>, en: impl Into<String>) {
        self.faults.push(FieldError { field: field.to_owned(), zh: zh.into(), en: en.into() });
    }

    fn entry(&self, part: &str) -> Option<&'a EntryDraft> {
        let n = match part {
            "" => 0,
            name => self.draft.part.iter().position(|p| p.name == name)? + 1,
        };
        self.entries.get(n).map(|e| &e.draft)
    }

    /// An item that is named; a fault when there is none, or it can be granted to nobody.
    fn item(&mut self, field: &str, part: &str, name: &str) -> Option<&'a Item> {
        let found = self.entry(part)?.item(name);
        match found {
            None => self.add(
                field,
                format!("资源没有数据项 `{name}`"),
                format!("the resource has no item `{name}`"),
            ),
            Some(i) if i.share_type == ShareType::None && i.open_type == OpenType::None => self
                .add(
                    field,
                    format!("数据项 `{name}` 不共享也不开放"),
                    format!("the item `{name}` is neither shared nor open"),
                ),
            Some(_) => {}
        }
        found
    }

    fn items(&mut self) {
        for param in &self.draft.param {
            let field = format!("param.{}", param.name);
            let Some(item) = self.item(&field, "", &param.item) else { continue };
            let fuzzy = matches!(param.how, Match::Contains | Match::Prefix);
            if fuzzy && item.data_type != DataType::Text {
                self.add(&field, "只有文本可模糊比较", "only a text is compared by a part of it");
            }
        }
        for returned in &self.draft.returns {
            let (part, name) = returned.place();
            self.item(&format!("return.{}", returned.item), part, name);
        }
        for order in self.draft.orders() {
            self.item("order", "", &order.column);
        }
    }

    /// What is asked by key must be found by one.
    fn keys(&mut self) {
        let Some(entry) = self.entry("") else { return };
        let named = |name: &str| {
            self.draft.param.iter().any(|p| {
                p.item == name
                    && p.how == Match::Equal
                    && (p.required || self.draft.kind == Kind::Batch)
            })
        };
        let key = entry.key();
        let by_key = !key.is_empty() && key.iter().all(|k| named(k));
        let by_lookup = entry.items.iter().any(|i| i.lookup && named(&i.identifier));
        let wanted =
            matches!(self.draft.kind, Kind::Query | Kind::Verify | Kind::Batch | Kind::Composed);
        if wanted && !by_key && !by_lookup {
            self.add(
                "param",
                "参数须包含完整的业务主键，或一个查询项（目录中标为“查询项”的数据项）",
                "the parameters must hold the whole business key, or an item the catalogue marks as a look-up item",
            );
        }
        if self.draft.kind == Kind::Incremental && key.is_empty() {
            self.add(
                "entry",
                "资源没有业务主键，不能按变化提供",
                "the resource has no business key: changes cannot be told",
            );
        }
    }

    fn figures(&mut self) {
        let Some(statistics) = &self.draft.statistics else { return };
        for name in &statistics.group_by {
            self.item("statistics.group_by", "", name);
        }
        for measure in statistics.measure.iter().filter(|m| !m.item.is_empty()) {
            let Some(item) = self.item("statistics.measure", "", &measure.item) else { continue };
            let number = match item.data_type {
                DataType::Integer | DataType::Float => true,
                // Longer ones are kept as text and cannot be added up by the database.
                DataType::Decimal => (1..=18).contains(&item.precision),
                _ => false,
            };
            if matches!(measure.how, How::Sum | How::Avg) && !number {
                self.add(
                    "statistics.measure",
                    format!("数据项 `{}` 不能求和或平均", measure.item),
                    format!("the item `{}` cannot be summed or averaged", measure.item),
                );
            }
        }
    }

    /// What a service brings are items of the resource, whether or not they are ever granted: a grant may decide by them.
    fn upstream(&mut self) {
        let Some(up) = &self.draft.upstream else { return };
        let missing =
            up.take.iter().find(|t| self.entry("").is_some_and(|e| e.item(&t.item).is_none()));
        if let Some(take) = missing {
            let name = &take.item;
            self.add(
                "upstream.take",
                format!("资源没有数据项 `{name}`"),
                format!("the resource has no item `{name}`"),
            );
        }
    }

    fn joins(&mut self) {
        if self.draft.kind != Kind::Composed {
            return;
        }
        if self.draft.most_rows > MOST_JOINED {
            self.add(
                "most_rows",
                format!("组合接口最多 {MOST_JOINED} 行"),
                format!("a composed interface answers {MOST_JOINED} rows at most"),
            );
        }
        if self.draft.returns.is_empty() {
            self.add("return", "组合接口须写明返回项", "name the items that are answered");
        }
        for part in &self.draft.part {
            let field = format!("part.{}", part.name);
            let (source, name) = part.source();
            let left = self.item(&field, source, name);
            let right = self.item(&field, &part.name, &part.item);
            if let (Some(left), Some(right)) = (left, right)
                && left.data_type != right.data_type
            {
                self.add(&field, "关联的两个数据项类型不同", "the two items joined differ in type");
            }
            let indexed = right.is_some_and(|item| {
                let key = self.entry(&part.name).map(EntryDraft::key).unwrap_or_default();
                item.lookup || key == [item.identifier.as_str()]
            });
            if right.is_some() && !indexed {
                self.add(
                    &field,
                    "被关联的数据项须为唯一主键或查询项",
                    "the item looked up must be the only key item, or a look-up item",
                );
            }
        }
    }
}
