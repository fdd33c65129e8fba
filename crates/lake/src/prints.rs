//! Prints of rows, for comparing the current view with a source: counts and sums of key ranges, prints of rows. No row
//! is told. And what mending late needs: landing only upon a known version, and the newest record of a key whatever has
//! been compacted since.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

use async_trait::async_trait;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::Expr;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use guard::print;
use model::batch::Batch;
use model::entry::Entry;
use model::item::Item;
use model::parcel::ParcelHead;
use model::reconcile::{Key, KeyOrder, KeyRange, KeySample, RangeSum, RowPrint, range_of};
use model::{Error, Op, Result};
use policy::port::{LandTarget, Landing, Prints};
use policy::{Action, Permit};

use crate::cells::{self, Cells};
use crate::lake::DeltaLake;
use crate::land::key_positions;
use crate::schema::{self, Kind, Shape};
use crate::system::key_hashes;
use crate::table::Loaded;
use crate::view::{named, view};
use crate::{fault, filter};

/// What tells who brought a row: its parcel, and what that called its source.
const BROUGHT: [&str; 2] = [schema::PARCEL, schema::ORG_TABLE];

/// Keys looked up by one plan.
const KEYS_AT_ONCE: usize = 2_000;

#[async_trait]
impl Prints for DeltaLake {
    async fn range_sums(
        &self,
        permit: &Permit,
        entry: &Entry,
        ranges: &[KeyRange],
    ) -> Result<Vec<RangeSum>> {
        check(permit, entry)?;
        let mut sums = vec![RangeSum::default(); ranges.len()];
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return Ok(sums) };
        let order = KeyOrder::of(&entry.draft.items);
        let hull = KeyRange { after: first.after.clone(), upto: last.upto.clone() };
        let mut scratch = String::new();
        self.each(entry, Some(&Wanted::Range(&hull)), |batch, row, key, _| {
            if let Some(sum) = range_of(&order, ranges, &key).and_then(|at| sums.get_mut(at)) {
                sum.add(print::row(batch, row, &mut scratch));
            }
            Ok(())
        })
        .await?;
        Ok(sums)
    }

    async fn range_prints(
        &self,
        permit: &Permit,
        entry: &Entry,
        range: &KeyRange,
        most: usize,
    ) -> Result<Vec<RowPrint>> {
        check(permit, entry)?;
        let order = KeyOrder::of(&entry.draft.items);
        let (mut found, mut scratch) = (Vec::new(), String::new());
        self.each(entry, Some(&Wanted::Range(range)), |batch, row, key, _| {
            if !range.holds(&order, &key) {
                return Ok(());
            }
            if found.len() >= most {
                return Err(too_many(most));
            }
            let print = print::row(batch, row, &mut scratch);
            found.push(RowPrint {
                key,
                print,
                cells: Vec::new(),
                parcel: String::new(),
                source: String::new(),
            });
            Ok(())
        })
        .await?;
        Ok(found)
    }

    async fn key_sample(&self, permit: &Permit, entry: &Entry, most: usize) -> Result<Vec<Key>> {
        check(permit, entry)?;
        let mut sample = KeySample::new(most);
        self.each(entry, None, |_, _, key, _| {
            sample.see(&key);
            Ok(())
        })
        .await?;
        Ok(sample.keys())
    }

    async fn prints_of(
        &self,
        permit: &Permit,
        entry: &Entry,
        keys: &[Key],
    ) -> Result<Vec<RowPrint>> {
        check(permit, entry)?;
        let (mut found, mut scratch) = (Vec::new(), String::new());
        for some in keys.chunks(KEYS_AT_ONCE) {
            let wanted: HashSet<&Key> = some.iter().collect();
            self.each(entry, Some(&Wanted::Keys(some)), |batch, row, key, brought| {
                if wanted.contains(&key) {
                    let print = print::row(batch, row, &mut scratch);
                    let text = |at: usize| {
                        let cells = brought.get(at);
                        cells.and_then(|c| c.text(row)).unwrap_or_default().to_owned()
                    };
                    let (parcel, source) = (text(0), text(1));
                    let cells = print::cells(batch, row);
                    found.push(RowPrint { key, print, cells, parcel, source });
                }
                Ok(())
            })
            .await?;
        }
        Ok(found)
    }

    async fn version_of(&self, code: &str) -> Result<Option<i64>> {
        let table = self.table(code).await?;
        Ok(table.and_then(|table| table.version()).and_then(|v| i64::try_from(v).ok()))
    }

    async fn land_upon(
        &self,
        permit: &Permit,
        op: &Op,
        parcel: &ParcelHead,
        target: &LandTarget,
        rows: BoxStream<'static, Result<Batch>>,
        version: i64,
    ) -> Result<Landing> {
        self.check_land(permit, target)?;
        self.land_parcel_upon(op, parcel, target, rows, Some(version)).await
    }

    async fn newest_records(
        &self,
        permit: &Permit,
        entry: &Entry,
        rows: &Batch,
        since: &str,
    ) -> Result<Vec<Option<u64>>> {
        self.check_keys(permit)?;
        self.find_newest_records(entry, rows, since).await
    }
}

/// Fails unless the permit is for work inside the house, on this entry.
fn check(permit: &Permit, entry: &Entry) -> Result<()> {
    permit.require(&[Action::SystemWork, Action::DataCollect])?;
    if permit.action() == Action::DataCollect && permit.target() != entry.id {
        return Err(Error::internal("lake: a permit for another entry"));
    }
    Ok(())
}

fn too_many(most: usize) -> Error {
    Error::new(
        model::Code::RuleBroken,
        format!("湖中该键段的行数超过 {most}，逐行核对不合算；请对该表执行“整表核补”"),
        format!(
            "the lake holds more than {most} rows in this key range, too many to compare one by one; read the table anew"
        ),
    )
}

/// Which rows of the view are looked at. The plan may let more through; the caller decides.
enum Wanted<'a> {
    Range(&'a KeyRange),
    Keys(&'a [Key]),
}

impl Wanted<'_> {
    /// What the plan can leave out by the first column of the key.
    fn narrowed(&self, rows: DataFrame, key: Option<&Shape>) -> Result<DataFrame> {
        let Some(shape) = key.filter(|shape| !matches!(shape.kind, Kind::Decimal { .. })) else {
            return Ok(rows);
        };
        let literal = |key: &Key| filter::literal(shape, key.first().map_or("", String::as_str));
        let mut conditions: Vec<Expr> = Vec::new();
        match self {
            Self::Range(range) => {
                if let Some(after) = &range.after {
                    conditions.push(named(&shape.name).gt_eq(literal(after)?));
                }
                if let Some(upto) = &range.upto {
                    conditions.push(named(&shape.name).lt_eq(literal(upto)?));
                }
            }
            Self::Keys(keys) => {
                // A key that is no value of the column is in no row.
                let all = keys.iter().filter_map(|key| literal(key).ok()).collect();
                conditions.push(named(&shape.name).in_list(all, false));
            }
        }
        conditions.into_iter().try_fold(rows, |rows, condition| {
            rows.filter(condition).map_err(|e| fault::plan("narrowing a comparison", e))
        })
    }
}

impl DeltaLake {
    /// Calls `seen` for each row of the current view, items as the entry has them now; with the columns of [`BROUGHT`].
    async fn each(
        &self,
        entry: &Entry,
        wanted: Option<&Wanted<'_>>,
        mut seen: impl FnMut(&Batch, usize, Key, &[Cells<'_>]) -> Result<()> + Send,
    ) -> Result<()> {
        let items = &entry.draft.items;
        let Some(table) = self.table(&entry.draft.code).await? else { return Ok(()) };
        let loaded = Loaded::of(&table)?;
        let stored = loaded.columns()?;
        let there = |item: &Item| stored.iter().any(|c| c.name == item.identifier);
        let key: Vec<usize> =
            (0..items.len()).filter(|at| items.get(*at).is_some_and(|item| item.primary)).collect();
        let first = key.first().and_then(|at| items.get(*at));
        let first = first.and_then(|item| stored.iter().find(|c| c.name == item.identifier));
        let session = self.session(true);
        let mut rows = view(&session, &loaded).await?;
        if let Some(wanted) = wanted {
            rows = wanted.narrowed(rows, first)?;
        }
        let mut columns: Vec<Expr> =
            items.iter().filter(|i| there(i)).map(|i| named(&i.identifier)).collect();
        let own = columns.len();
        columns.extend(BROUGHT.iter().map(|name| named(name)));
        let mut batches = rows
            .select(columns)
            .map_err(|e| fault::plan("comparing rows", e))?
            .execute_stream()
            .await
            .map_err(|e| fault::plan("comparing rows", e))?;
        let shapes: Vec<(&Item, bool)> = items.iter().map(|item| (item, there(item))).collect();
        while let Some(read) =
            batches.try_next().await.map_err(|e| fault::plan("comparing rows", e))?
        {
            {
                let batch = batch_of(&read, &shapes)?;
                let brought =
                    read.columns().iter().skip(own).map(|column| Cells::of(column.as_ref()));
                let brought = brought.collect::<Result<Vec<_>>>()?;
                for row in 0..read.num_rows() {
                    let key = print::key(&batch, row, &key);
                    seen(&batch, row, key, &brought)?;
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// See [`Prints::newest_records`].
    async fn find_newest_records(
        &self,
        entry: &Entry,
        rows: &Batch,
        since: &str,
    ) -> Result<Vec<Option<u64>>> {
        let code = &entry.draft.code;
        let key: Vec<String> = entry.draft.key().into_iter().map(str::to_owned).collect();
        let Some(newest) = self.table(code).await? else { return Ok(vec![None; rows.rows()]) };
        if key.is_empty() || Loaded::of(&newest)?.rules.key != key {
            return Ok(vec![None; rows.rows()]);
        }
        let hashes = key_hashes(rows, &key_positions(&entry.draft.items, &key)?)?;
        let mut found: HashMap<String, u64> = HashMap::new();
        let mut states = vec![newest.clone()];
        for version in self.compactions(code, since).await? {
            if let Some(before) = version.checked_sub(1) {
                let before = i64::try_from(before).unwrap_or(i64::MAX);
                states.extend(self.table_at(code, Some(before)).await?);
            }
        }
        for table in states {
            let loaded = Loaded::of(&table)?;
            if loaded.rules.key != key {
                continue;
            }
            let paths: Vec<String> = loaded.files()?.into_iter().map(|(path, _)| path).collect();
            if !paths.is_empty() {
                self.seek(&loaded, paths, &hashes, &mut found).await?;
            }
        }
        Ok(hashes.iter().map(|hash| found.get(hash).copied()).collect())
    }

    /// Versions made by no landing (compactions) that do not lie before a landing older than `since`.
    async fn compactions(&self, code: &str, since: &str) -> Result<Vec<u64>> {
        let landings = self.list_versions(code).await?;
        let older = landings.iter().filter(|v| v.at.as_str() < since).map(|v| v.version).max();
        let older = older.and_then(|v| u64::try_from(v).ok()).unwrap_or(0);
        let slot = self.slot(code);
        let told = slot.told.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(told.range(older..).filter(|(_, said)| said.is_none()).map(|(v, _)| *v).collect())
    }
}

fn batch_of(read: &arrow::array::RecordBatch, shapes: &[(&Item, bool)]) -> Result<Batch> {
    let (mut arrays, rows) = (read.columns().iter(), read.num_rows());
    let mut columns = Vec::with_capacity(shapes.len());
    for (item, there) in shapes {
        let kind = Kind::of_item(item);
        columns.push(if *there {
            let array =
                arrays.next().ok_or_else(|| Error::internal("lake: a column is missing"))?;
            cells::column(array.as_ref(), kind, &item.identifier)?
        } else {
            cells::empty_column(kind, rows)
        });
    }
    Ok(Batch { columns, records: vec![0; rows], operations: Vec::new() })
}
