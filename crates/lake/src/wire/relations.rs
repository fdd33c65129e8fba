//! What `pg_catalog` says of granted tables: their columns with types, their business keys as primary keys, Chinese names as comments.
//!
//! The crate `datafusion-pg-catalog` numbers tables as a session meets them and knows neither keys nor comments. Here a table's number
//! is a hash of its name: the same in every session, so that a client may ask on another connection. A business key is a primary
//! key where every item of it is granted as it is; where one is masked or not granted, a table has none.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int16Array, Int32Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{DataType as ArrowType, Field, Int16Type, Int32Type, Schema, SchemaRef};
use arrow_pg::datatypes::into_pg_type;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::Result as PlanResult;
use datafusion_pg_catalog::pg_catalog::PG_CATALOG_TABLES;
use datafusion_pg_catalog::pg_catalog::oid_field::{self, kind};
use pgwire::api::Type;
use policy::port::{SqlTable, SqlTables};

use super::catalogue::{Granted, SCHEMA};

/// Name and number of the table of tables.
pub(super) const CLASS: &str = "pg_class";
const CLASS_NUMBER: i32 = 1259;
/// Numbers of schemas.
const PG_CATALOG: i32 = 11;
const PUBLIC: i32 = 2200;
const INFORMATION_SCHEMA: i32 = 13_000;
/// Tables of `pg_catalog` that other tables name by PostgreSQL's own number; the others are numbered from [`SHIPPED`].
const WELL_KNOWN: &[(&str, i32)] = &[
    ("pg_type", 1247),
    ("pg_attribute", 1249),
    ("pg_proc", 1255),
    (CLASS, CLASS_NUMBER),
    ("pg_attrdef", 2604),
    ("pg_constraint", 2606),
    ("pg_index", 2610),
    ("pg_namespace", 2615),
];
const SHIPPED: i32 = 10_000;
/// Granted tables are numbered from here.
const FIRST: i32 = 100_000;
/// Access methods.
const HEAP: i32 = 2;
const BTREE: i32 = 403;

/// Granted tables with their numbers.
pub(super) struct Relations {
    tables: Vec<Relation>,
}

/// A granted table.
pub(super) struct Relation {
    pub(super) code: String,
    number: i32,
    title: String,
    /// Names and Chinese names of its columns.
    columns: Vec<(String, String)>,
    key: Option<Key>,
}

/// A business key of which every item is granted as it is.
pub(super) struct Key {
    pub(super) index: i32,
    pub(super) constraint: i32,
    pub(super) columns: Vec<String>,
    /// Numbers of the columns, from 1.
    at: Vec<i16>,
}

impl Key {
    pub(super) fn definition(&self) -> String {
        format!("PRIMARY KEY ({})", self.columns.join(", "))
    }
}

/// The index that a key stands for, in PostgreSQL's words.
pub(super) fn index_definition(code: &str, key: &Key) -> String {
    let columns = key.columns.join(", ");
    format!("CREATE UNIQUE INDEX {} ON {SCHEMA}.{code} USING btree ({columns})", key_name(code))
}

fn key_name(code: &str) -> String {
    format!("{code}_pkey")
}

impl Relations {
    pub(super) fn of(granted: &SqlTables) -> Self {
        let mut tables: Vec<&SqlTable> = granted.tables.iter().collect();
        tables.sort_by(|a, b| a.grant.code().cmp(b.grant.code()));
        let mut taken = HashSet::new();
        let mut number = |name: &str| {
            let digits: String = guard::hash::sm3_hex(name.as_bytes()).chars().take(7).collect();
            let mut number = FIRST + i32::from_str_radix(&digits, 16).unwrap_or(0);
            while !taken.insert(number) {
                number += 1;
            }
            number
        };
        let tables = tables.into_iter().map(|table| {
            let (grant, code) = (&table.grant, table.grant.code());
            let plain = |name: &String| {
                let at = grant.columns().iter().position(|column| column.identifier == *name)?;
                grant.columns().get(at).filter(|column| column.mask.is_none())?;
                i16::try_from(at + 1).ok()
            };
            let at: Option<Vec<i16>> = grant.key().iter().map(plain).collect();
            let key = at.filter(|at| !at.is_empty()).map(|at| Key {
                index: number(&key_name(code)),
                constraint: number(&format!("{} constraint", key_name(code))),
                columns: grant.key().to_vec(),
                at,
            });
            let column = |c: &policy::GrantColumn| (c.identifier.clone(), c.name_cn.clone());
            Relation {
                code: code.to_owned(),
                number: number(code),
                title: table.title.clone(),
                columns: grant.columns().iter().map(column).collect(),
                key,
            }
        });
        Self { tables: tables.collect() }
    }

    /// Number of a relation by its name, with or without its schema, or by the number itself.
    pub(super) fn number(&self, name: &str) -> Option<i32> {
        if let Ok(number) = name.parse() {
            return Some(number);
        }
        let plain = name.replace('"', "");
        let (schema, name) = plain.rsplit_once('.').unwrap_or(("", &plain));
        let own = || self.tables.iter().find(|table| table.code == name).map(|table| table.number);
        match schema {
            "pg_catalog" => shipped(name),
            SCHEMA => own(),
            "" => own().or_else(|| shipped(name)),
            _ => None,
        }
    }

    pub(super) fn title(&self, number: i32) -> Option<String> {
        self.table(number).map(|table| table.title.clone()).filter(|title| !title.is_empty())
    }

    /// Chinese name of a column, by its number from 1.
    pub(super) fn column_title(&self, number: i32, column: i32) -> Option<String> {
        let at = usize::try_from(column.checked_sub(1)?).ok()?;
        let (_, title) = self.table(number)?.columns.get(at)?;
        Some(title.clone()).filter(|title| !title.is_empty())
    }

    /// The key that fits, with its table.
    pub(super) fn key(&self, fits: impl Fn(&Key) -> bool) -> Option<(&Relation, &Key)> {
        self.keys().find(|(_, key)| fits(key))
    }

    fn keys(&self) -> impl Iterator<Item = (&Relation, &Key)> {
        self.tables.iter().filter_map(|table| table.key.as_ref().map(|key| (table, key)))
    }

    fn table(&self, number: i32) -> Option<&Relation> {
        self.tables.iter().find(|table| table.number == number)
    }
}

/// Number of a table of `pg_catalog`.
fn shipped(name: &str) -> Option<i32> {
    if let Some((_, number)) = WELL_KNOWN.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let at = PG_CATALOG_TABLES.iter().position(|known| *known == name)?;
    i32::try_from(at).ok().map(|at| SHIPPED + at)
}

/// The schema `pg_catalog`: tables about granted ones are made here, the others are the crate's.
pub(super) struct PgCatalog {
    shipped: Arc<dyn SchemaProvider>,
    granted: Arc<Granted>,
}

impl std::fmt::Debug for PgCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgCatalog").finish_non_exhaustive()
    }
}

impl PgCatalog {
    pub(super) fn new(shipped: Arc<dyn SchemaProvider>, granted: &Arc<Granted>) -> Self {
        Self { shipped, granted: Arc::clone(granted) }
    }

    async fn own(&self, name: &str) -> PlanResult<Option<Sheet>> {
        let (granted, relations) = (self.granted.now(), self.granted.relations());
        Ok(Some(match name {
            "pg_namespace" => namespaces(),
            CLASS => classes(&relations),
            "pg_attribute" => {
                let mut schemas = Vec::with_capacity(relations.tables.len());
                for relation in &relations.tables {
                    let table = granted.tables.iter().find(|t| t.grant.code() == relation.code);
                    let Some(table) = table else { continue };
                    schemas.push((relation, self.granted.open(table).await?.schema()));
                }
                attributes(&schemas)
            }
            "pg_description" => descriptions(&relations),
            "pg_constraint" => constraints(&relations),
            "pg_index" => indexes(&relations),
            _ => return Ok(None),
        }))
    }
}

#[async_trait]
impl SchemaProvider for PgCatalog {
    fn table_names(&self) -> Vec<String> {
        self.shipped.table_names()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        match self.own(name).await? {
            Some(sheet) => Ok(Some(Arc::new(sheet.table()?))),
            None => self.shipped.table(name).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.shipped.table_exist(name)
    }
}

/// A table in the making. Columns have a value in every row; a value that is the same in all is given once.
struct Sheet {
    rows: usize,
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
}

impl Sheet {
    fn of(rows: usize) -> Self {
        Self { rows, fields: Vec::new(), columns: Vec::new() }
    }

    fn put(&mut self, field: Field, column: ArrayRef) {
        self.fields.push(field);
        self.columns.push(column);
    }

    /// Numbers of things; clients are told their type by `kind`.
    fn oids(&mut self, name: &str, kind: &str, values: Vec<i32>) {
        self.put(oid_field::oid_field(name, kind, true), Arc::new(Int32Array::from(values)));
    }

    fn ints(&mut self, name: &str, values: Vec<i32>) {
        self.put(Field::new(name, ArrowType::Int32, true), Arc::new(Int32Array::from(values)));
    }

    fn smalls(&mut self, name: &str, values: Vec<i16>) {
        self.put(Field::new(name, ArrowType::Int16, true), Arc::new(Int16Array::from(values)));
    }

    fn texts(&mut self, name: &str, values: Vec<String>) {
        self.put(Field::new(name, ArrowType::Utf8, true), Arc::new(StringArray::from(values)));
    }

    fn flags(&mut self, name: &str, values: Vec<bool>) {
        self.put(Field::new(name, ArrowType::Boolean, true), Arc::new(BooleanArray::from(values)));
    }

    /// Lists of small numbers, one a row.
    fn lists(&mut self, name: &str, values: &[&[i16]]) {
        let rows = values.iter().map(|list| Some(list.iter().map(|n| Some(*n))));
        let list = ListArray::from_iter_primitive::<Int16Type, _, _>(rows);
        self.put(Field::new(name, list_of(ArrowType::Int16), true), Arc::new(list));
    }

    /// Lists of numbers of things, as long as those of `like`, all the same number.
    fn all_oids(&mut self, name: &str, like: &[&[i16]], value: i32) {
        let rows = like.iter().map(|list| Some(list.iter().map(move |_| Some(value))));
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(rows);
        self.put(Field::new(name, list_of(ArrowType::Int32), true), Arc::new(list));
    }

    fn all_kinds(&mut self, name: &str, kind: &str, value: i32) {
        self.oids(name, kind, vec![value; self.rows]);
    }

    fn all_ints(&mut self, names: &[&str], value: i32) {
        names.iter().for_each(|name| self.ints(name, vec![value; self.rows]));
    }

    fn all_smalls(&mut self, names: &[&str], value: i16) {
        names.iter().for_each(|name| self.smalls(name, vec![value; self.rows]));
    }

    fn all_texts(&mut self, names: &[&str], value: &str) {
        names.iter().for_each(|name| self.texts(name, vec![value.to_owned(); self.rows]));
    }

    fn all_flags(&mut self, names: &[&str], value: bool) {
        names.iter().for_each(|name| self.flags(name, vec![value; self.rows]));
    }

    fn all_null(&mut self, names: &[&str]) {
        for name in names {
            let nulls = Arc::new(StringArray::new_null(self.rows));
            self.put(Field::new(*name, ArrowType::Utf8, true), nulls);
        }
    }

    fn table(self) -> PlanResult<MemTable> {
        let schema = Arc::new(Schema::new(self.fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), self.columns)?;
        MemTable::try_new(schema, vec![vec![batch]])
    }
}

fn list_of(item: ArrowType) -> ArrowType {
    ArrowType::List(Arc::new(Field::new_list_field(item, true)))
}

fn namespaces() -> Sheet {
    let mut sheet = Sheet::of(3);
    sheet.oids("oid", kind::OID, vec![PG_CATALOG, PUBLIC, INFORMATION_SCHEMA]);
    let names = ["pg_catalog", SCHEMA, "information_schema"];
    sheet.texts("nspname", names.map(str::to_owned).to_vec());
    sheet.all_ints(&["nspowner"], 0);
    sheet.all_null(&["nspacl", "options"]);
    sheet
}

/// One row of the table of tables.
struct Class {
    number: i32,
    name: String,
    schema: i32,
    kind: &'static str,
    columns: usize,
    keyed: bool,
}

fn classes(relations: &Relations) -> Sheet {
    let tables = relations.tables.iter().map(|table| Class {
        number: table.number,
        name: table.code.clone(),
        schema: PUBLIC,
        kind: "r",
        columns: table.columns.len(),
        keyed: table.key.is_some(),
    });
    let keys = relations.keys().map(|(table, key)| Class {
        number: key.index,
        name: key_name(&table.code),
        schema: PUBLIC,
        kind: "i",
        columns: key.at.len(),
        keyed: false,
    });
    let shipped = PG_CATALOG_TABLES.iter().filter_map(|name| {
        let number = shipped(name)?;
        let name = (*name).to_owned();
        Some(Class { number, name, schema: PG_CATALOG, kind: "r", columns: 0, keyed: false })
    });
    let all: Vec<Class> = tables.chain(keys).chain(shipped).collect();
    let mut sheet = Sheet::of(all.len());
    sheet.oids("oid", kind::OID, all.iter().map(|c| c.number).collect());
    sheet.texts("relname", all.iter().map(|c| c.name.clone()).collect());
    sheet.oids("relnamespace", kind::REGNAMESPACE, all.iter().map(|c| c.schema).collect());
    sheet.all_kinds("reltype", kind::REGTYPE, 0);
    sheet.all_kinds("reloftype", kind::REGTYPE, 0);
    sheet.all_ints(&["relowner"], 0);
    let method = |c: &Class| if c.kind == "i" { BTREE } else { HEAP };
    sheet.ints("relam", all.iter().map(method).collect());
    sheet.ints("relfilenode", all.iter().map(|c| c.number).collect());
    sheet.all_ints(&["reltablespace"], 0);
    sheet.all_ints(&["relpages"], 1);
    let unknown = Float64Array::from(vec![-1.0; all.len()]);
    sheet.put(Field::new("reltuples", ArrowType::Float64, true), Arc::new(unknown));
    sheet.all_ints(&["relallvisible"], 0);
    sheet.all_kinds("reltoastrelid", kind::REGCLASS, 0);
    sheet.flags("relhasindex", all.iter().map(|c| c.keyed).collect());
    sheet.all_flags(&["relisshared"], false);
    sheet.all_texts(&["relpersistence"], "p");
    sheet.texts("relkind", all.iter().map(|c| c.kind.to_owned()).collect());
    let columns = |c: &Class| i16::try_from(c.columns).unwrap_or(i16::MAX);
    sheet.smalls("relnatts", all.iter().map(columns).collect());
    sheet.all_smalls(&["relchecks"], 0);
    sheet.all_flags(
        &[
            "relhasrules",
            "relhastriggers",
            "relhassubclass",
            "relrowsecurity",
            "relforcerowsecurity",
        ],
        false,
    );
    sheet.all_flags(&["relispopulated"], true);
    sheet.all_texts(&["relreplident"], "d");
    sheet.all_flags(&["relispartition"], false);
    sheet.all_kinds("relrewrite", kind::REGCLASS, 0);
    sheet.all_ints(&["relfrozenxid", "relminmxid"], 0);
    sheet.all_null(&["relacl", "reloptions", "relpartbound"]);
    sheet
}

fn attributes(tables: &[(&Relation, SchemaRef)]) -> Sheet {
    let mut all = Vec::new();
    for (table, schema) in tables {
        for (at, field) in schema.fields().iter().enumerate() {
            let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
            let keyed = table.key.as_ref().is_some_and(|key| key.at.contains(&number));
            all.push((table.number, number, Arc::clone(field), keyed));
        }
    }
    let kinds: Vec<Type> = all
        .iter()
        .map(|(_, _, field, _)| into_pg_type(field.data_type()).unwrap_or(Type::TEXT))
        .collect();
    let forms: Vec<(i16, bool, &str, &str)> = kinds.iter().map(form).collect();
    let mut sheet = Sheet::of(all.len());
    sheet.oids("attrelid", kind::REGCLASS, all.iter().map(|a| a.0).collect());
    sheet.texts("attname", all.iter().map(|a| a.2.name().clone()).collect());
    let number = |kind: &Type| i32::try_from(kind.oid()).unwrap_or(0);
    sheet.oids("atttypid", kind::REGTYPE, kinds.iter().map(number).collect());
    sheet.all_ints(&["attstattarget"], -1);
    sheet.smalls("attlen", forms.iter().map(|f| f.0).collect());
    sheet.smalls("attnum", all.iter().map(|a| a.1).collect());
    sheet.all_ints(&["attndims"], 0);
    sheet.all_ints(&["attcacheoff"], -1);
    sheet.ints("atttypmod", all.iter().map(|a| modifier(a.2.data_type())).collect());
    sheet.flags("attbyval", forms.iter().map(|f| f.1).collect());
    sheet.texts("attalign", forms.iter().map(|f| f.2.to_owned()).collect());
    sheet.texts("attstorage", forms.iter().map(|f| f.3.to_owned()).collect());
    sheet.all_texts(&["attcompression"], "");
    sheet.flags("attnotnull", all.iter().map(|a| a.3).collect());
    sheet.all_flags(&["atthasdef", "atthasmissing"], false);
    sheet.all_texts(&["attidentity", "attgenerated"], "");
    sheet.all_flags(&["attisdropped"], false);
    sheet.all_flags(&["attislocal"], true);
    sheet.all_ints(&["attinhcount", "attcollation"], 0);
    sheet.all_null(&["attacl", "attoptions", "attfdwoptions", "attmissingval"]);
    sheet
}

/// Length, whether by value, alignment and storage of a type.
fn form(kind: &Type) -> (i16, bool, &'static str, &'static str) {
    match *kind {
        Type::BOOL => (1, true, "c", "p"),
        Type::INT2 => (2, true, "s", "p"),
        Type::INT4 | Type::FLOAT4 | Type::DATE => (4, true, "i", "p"),
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ => (8, true, "d", "p"),
        Type::NUMERIC => (-1, false, "i", "m"),
        _ => (-1, false, "i", "x"),
    }
}

/// Precision and scale as PostgreSQL keeps them; -1 for none.
fn modifier(arrow: &ArrowType) -> i32 {
    match arrow {
        ArrowType::Decimal128(precision, scale) => {
            (i32::from(*precision) << 16) + i32::from((*scale).max(0)) + 4
        }
        _ => -1,
    }
}

fn descriptions(relations: &Relations) -> Sheet {
    let mut all = Vec::new();
    for table in &relations.tables {
        let columns = (1..).zip(table.columns.iter().map(|(_, title)| title));
        for (at, title) in std::iter::once((0, &table.title)).chain(columns) {
            if !title.is_empty() {
                all.push((table.number, at, title.clone()));
            }
        }
    }
    let mut sheet = Sheet::of(all.len());
    sheet.ints("objoid", all.iter().map(|d| d.0).collect());
    sheet.all_ints(&["classoid"], CLASS_NUMBER);
    sheet.ints("objsubid", all.iter().map(|d| d.1).collect());
    sheet.texts("description", all.into_iter().map(|d| d.2).collect());
    sheet
}

fn constraints(relations: &Relations) -> Sheet {
    let all: Vec<(&Relation, &Key)> = relations.keys().collect();
    let keys: Vec<&[i16]> = all.iter().map(|(_, key)| key.at.as_slice()).collect();
    let mut sheet = Sheet::of(all.len());
    sheet.ints("oid", all.iter().map(|(_, key)| key.constraint).collect());
    sheet.texts("conname", all.iter().map(|(table, _)| key_name(&table.code)).collect());
    sheet.all_ints(&["connamespace"], PUBLIC);
    sheet.all_texts(&["contype"], "p");
    sheet.all_flags(&["condeferrable", "condeferred"], false);
    sheet.all_flags(&["convalidated"], true);
    sheet.ints("conrelid", all.iter().map(|(table, _)| table.number).collect());
    sheet.all_ints(&["contypid"], 0);
    sheet.ints("conindid", all.iter().map(|(_, key)| key.index).collect());
    sheet.all_ints(&["conparentid", "confrelid"], 0);
    sheet.all_texts(&["confupdtype", "confdeltype", "confmatchtype"], " ");
    sheet.all_flags(&["conislocal"], true);
    sheet.all_smalls(&["coninhcount"], 0);
    sheet.all_flags(&["connoinherit"], true);
    sheet.lists("conkey", &keys);
    sheet.all_null(&[
        "confkey",
        "conpfeqop",
        "conppeqop",
        "conffeqop",
        "confdelsetcols",
        "conexclop",
        "conbin",
    ]);
    sheet
}

fn indexes(relations: &Relations) -> Sheet {
    let all: Vec<(&Relation, &Key)> = relations.keys().collect();
    let keys: Vec<&[i16]> = all.iter().map(|(_, key)| key.at.as_slice()).collect();
    let zeros: Vec<Vec<i16>> = keys.iter().map(|key| vec![0; key.len()]).collect();
    let zeros: Vec<&[i16]> = zeros.iter().map(Vec::as_slice).collect();
    let count = |(_, key): &(&Relation, &Key)| i16::try_from(key.at.len()).unwrap_or(i16::MAX);
    let mut sheet = Sheet::of(all.len());
    sheet.ints("indexrelid", all.iter().map(|(_, key)| key.index).collect());
    sheet.ints("indrelid", all.iter().map(|(table, _)| table.number).collect());
    sheet.smalls("indnatts", all.iter().map(count).collect());
    sheet.smalls("indnkeyatts", all.iter().map(count).collect());
    sheet.all_flags(&["indisunique"], true);
    sheet.all_flags(&["indnullsnotdistinct"], false);
    sheet.all_flags(&["indisprimary"], true);
    sheet.all_flags(&["indisexclusion"], false);
    sheet.all_flags(&["indimmediate"], true);
    sheet.all_flags(&["indisclustered"], false);
    sheet.all_flags(&["indisvalid"], true);
    sheet.all_flags(&["indcheckxmin"], false);
    sheet.all_flags(&["indisready", "indislive"], true);
    sheet.all_flags(&["indisreplident"], false);
    sheet.lists("indkey", &keys);
    sheet.all_oids("indcollation", &keys, 0);
    sheet.all_oids("indclass", &keys, 0);
    sheet.lists("indoption", &zeros);
    sheet.all_null(&["indexprs", "indpred"]);
    sheet
}
