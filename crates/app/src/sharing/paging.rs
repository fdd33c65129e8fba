//! Pages out of the lake, where the serving copy does not hold an entry.

use futures::StreamExt as _;
use model::entry::Entry;
use model::query::{Count, RowPage, RowQuery};
use model::{Code, Error, Result};
use policy::Grant;

use crate::App;

const PAGE_TOKEN: &str = "lake page";

/// A page of the lake: the position is a version and an offset, sealed, so that pages stay steady while data land.
pub(super) async fn from_lake(
    app: &App,
    grant: &Grant,
    entry: &Entry,
    mut query: RowQuery,
    limit: u64,
) -> Result<RowPage> {
    let vault = app.keys.vault();
    let bond = format!("{}\n{:?}\n{:?}", grant.code(), query.filter, query.order);
    let version = match query.after.take() {
        Some(token) => {
            let (version, offset) = open_token(&vault, &bond, &token)?;
            query.offset = offset;
            Some(version)
        }
        None => app.lake.versions(grant.code()).await?.first().map(|v| v.version),
    };
    let Some(version) = version else {
        // Nothing has landed yet.
        let columns = grant.columns().iter().map(|c| c.identifier.clone()).collect();
        return Ok(RowPage { columns, rows: Vec::new(), total: Some(0), next: None });
    };
    // One row more tells whether there is a next page (unless the cap of one answer forbids it).
    query.limit = Some(limit.saturating_add(1));
    let mut stream = app.lake.scan(grant, &query, Some(version)).await?;
    let mut page = RowPage { columns: Vec::new(), rows: Vec::new(), total: None, next: None };
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        page.columns = chunk.columns;
        page.rows.extend(chunk.rows);
    }
    if page.columns.is_empty() {
        page.columns = match query.select.is_empty() {
            true => grant.columns().iter().map(|c| c.identifier.clone()).collect(),
            false => {
                query.select.iter().map(|(c, alias)| alias.as_ref().unwrap_or(c).clone()).collect()
            }
        };
    }
    let full = u64::try_from(page.rows.len()).unwrap_or(u64::MAX);
    let whole = query.filter.is_none() && grant.row_filter().is_none();
    let total = u64::try_from(entry.rows).unwrap_or(0);
    let at_cap = limit >= grant.row_cap();
    let more = full > limit
        || (at_cap && full == limit && (!whole || query.offset.saturating_add(limit) < total));
    page.rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    if more && limit > 0 {
        page.next = Some(seal_token(&vault, &bond, version, query.offset.saturating_add(limit))?);
    }
    if query.count != Count::None && whole {
        page.total = Some(total);
    }
    Ok(page)
}

fn seal_token(vault: &guard::Vault, bond: &str, version: i64, offset: u64) -> Result<String> {
    vault.seal_with(
        guard::cipher::Cipher::Aes256Gcm,
        PAGE_TOKEN,
        format!("{version}\n{offset}\n{bond}").as_bytes(),
    )
}

fn open_token(vault: &guard::Vault, bond: &str, token: &str) -> Result<(i64, u64)> {
    let bad = || {
        Error::new(
            Code::InvalidQuery,
            "翻页标记 after 无效，或与当前的筛选、排序条件不一致，请从第一页重新开始",
            "the page token `after` is not valid for this filter and order; start again from the first page",
        )
    };
    let plain = vault.open(PAGE_TOKEN, token).map_err(|_| bad())?;
    let text = std::str::from_utf8(&plain).map_err(|_| bad())?;
    let mut parts = text.splitn(3, '\n');
    let version = parts.next().and_then(|v| v.parse().ok()).ok_or_else(bad)?;
    let offset = parts.next().and_then(|v| v.parse().ok()).ok_or_else(bad)?;
    if parts.next() == Some(bond) { Ok((version, offset)) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lake_page_token_works_only_for_its_query() {
        let vault = guard::KeyRing::from_bytes(&[7; 32]).unwrap().vault();
        let token = seal_token(&vault, "a", 3, 200).unwrap();
        assert_eq!(open_token(&vault, "a", &token).unwrap(), (3, 200));
        assert_eq!(open_token(&vault, "b", &token).unwrap_err().code(), Code::InvalidQuery);
        assert!(open_token(&vault, "a", "x").is_err());
    }
}
