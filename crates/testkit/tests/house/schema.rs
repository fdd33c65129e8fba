//! Entries drafted from real databases, and what happens when their tables change.

use std::collections::BTreeMap;

use app::catalogue::schema::{self, DraftOrder};
use app::catalogue::{self, Move};
use app::collection::source;
use model::asset::{AssetDraft, Ledger};
use model::code::{DataType, Grade, OpenType, PublishState, ShareType, UpdateCycle};
use model::schema::{DriftState, TableName};
use model::source::{SourceKind, SourceNew, SourceTls};
use model::{Code, Op};
use testkit::{House, MariaDb, PROVIDER_ORG, Postgres};

async fn stored(
    house: &House,
    op: &Op,
    kind: SourceKind,
    port: u16,
    database: &str,
    account: &str,
) -> String {
    let new = SourceNew {
        org: PROVIDER_ORG.into(),
        name: "业务库".into(),
        kind,
        host: "127.0.0.1".into(),
        port,
        database: database.into(),
        account: account.into(),
        password: MariaDb::PASSWORD.into(),
        tls: SourceTls::Prefer,
    };
    source::create(&house.app, op, new).await.unwrap().id
}

fn order(source: &str, schema: &str, tables: &[&str]) -> DraftOrder {
    DraftOrder {
        source: source.into(),
        tables: tables
            .iter()
            .map(|t| TableName { schema: schema.into(), name: (*t).into() })
            .collect(),
        region: "330000".into(),
        update_cycle: UpdateCycle::Daily,
        share_condition: "经审核后共享".into(),
        application: None,
    }
}

const POSTGRES: &str = "
    CREATE TYPE stage AS ENUM ('在营', '注销');
    CREATE DOMAIN uscc AS varchar(18);
    CREATE TABLE region (code char(6) PRIMARY KEY);
    CREATE TABLE ent_base (
        id bigint PRIMARY KEY, code uscc NOT NULL UNIQUE, ent_name varchar(200) NOT NULL, capital numeric(18,2), opened date,
        stage stage, legal_id varchar(18), photo bytea, tags text[], region char(6) REFERENCES region (code), updated timestamptz);
    COMMENT ON TABLE ent_base IS '企业登记基本信息';
    COMMENT ON COLUMN ent_base.code IS '统一社会信用代码';
    COMMENT ON COLUMN ent_base.ent_name IS '企业名称：营业执照上的名称';
    COMMENT ON COLUMN ent_base.capital IS '注册资本（万元）';
    COMMENT ON COLUMN ent_base.legal_id IS '法定代表人身份证号';
    CREATE TABLE part (d date) PARTITION BY RANGE (d);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE VIEW ent_view AS SELECT id FROM ent_base;
    CREATE MATERIALIZED VIEW ent_snapshot AS SELECT id FROM ent_base;
    CREATE SCHEMA other; CREATE TABLE other.ent_base (id int);";

async fn a_postgresql_schema_becomes_drafts(house: House) {
    let cluster = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let url = cluster.database("business");
    cluster.run_sql("business", POSTGRES);
    let port: u16 = url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let app = &house.app;
    let (provider, stranger) = (house.person("provider").await, house.person("stranger").await);
    let id = stored(&house, &provider, SourceKind::Postgres, port, "business", "qiantang").await;

    let survey = schema::survey(app, &provider, &id, None, None).await.unwrap();
    assert!(survey.product.starts_with("PostgreSQL "), "{}", survey.product);
    let names: Vec<(String, bool)> =
        survey.tables.iter().map(|f| (f.table.of.dotted(), f.offered)).collect();
    let want = [
        ("other.ent_base", true),
        ("public.ent_base", true),
        ("public.ent_snapshot", false),
        ("public.ent_view", false),
        ("public.part", true),
        ("public.region", true),
    ];
    assert_eq!(names, want.map(|(n, o)| (n.to_owned(), o)));
    let left: Vec<(String, bool)> =
        survey.left_out.iter().map(|l| (l.what.clone(), l.count > 0)).collect();
    let want = ["view", "snapshot", "partitions", "pg_catalog, information_schema, pg_*"];
    assert_eq!(left, want.map(|w| (w.to_owned(), true)));
    assert_eq!(schema::survey(app, &provider, &id, Some("登记"), None).await.unwrap().total, 1);
    assert_eq!(
        schema::survey(app, &stranger, &id, None, None).await.unwrap_err().code(),
        Code::NotFound
    );

    let made = app::ledger::create(
        app,
        &provider,
        AssetDraft {
            ledger: Ledger::Application,
            code: "APP-1".into(),
            name: "企业登记系统".into(),
            org: PROVIDER_ORG.into(),
            region: "330000".into(),
            owner: "张三".into(),
            description: "登记企业，提供查询和办理。".into(),
            fields: BTreeMap::from(
                [
                    ("field", "数字政府"),
                    ("ends", "浙政钉"),
                    ("type", "业务办理类"),
                    ("level", "省级"),
                    ("major", "否"),
                    ("functions", "企业登记"),
                ]
                .map(|(k, v)| (k.to_owned(), v.to_owned())),
            ),
        },
        true,
    )
    .await
    .unwrap();
    let mut asked = order(&id, "public", &["ent_base", "ent_view", "no_such"]);
    asked.application = Some("APP-1".into());
    asked.tables.push(TableName { schema: "other".into(), name: "ent_base".into() });
    let drafted = schema::draft(app, &provider, &asked).await.unwrap();
    let told: Vec<(bool, usize)> = drafted.iter().map(|d| (d.done, d.items)).collect();
    assert_eq!(told, [(true, 10), (false, 0), (false, 0), (true, 1)], "{drafted:?}");
    assert!(drafted[1].zh.contains("视图") && drafted[2].zh.contains("不存在"));
    assert_eq!(drafted[3].entry.as_ref().unwrap().1, "other_ent_base", "the code was taken");
    let notes: Vec<&str> = drafted[0].notes.iter().map(|(c, _, _)| c.as_str()).collect();
    assert_eq!(notes, ["photo", "tags"], "a type that is left out, and one that is bent, are told");

    let entry = catalogue::get(app, &provider, "ent_base").await.unwrap();
    let d = &entry.draft;
    assert_eq!(
        (d.title.as_str(), d.source_system.as_str(), entry.publish_state),
        ("企业登记基本信息", "企业登记系统", PublishState::Unpublished)
    );
    assert_eq!((d.share_type, d.open_type), (ShareType::Restricted, OpenType::None));
    assert_eq!(d.key(), ["id"]);
    let item = |id: &str| d.item(id).unwrap();
    assert_eq!(
        (item("code").name_cn.as_str(), item("code").length, item("code").lookup),
        ("统一社会信用代码", 18, true)
    );
    assert_eq!(
        (
            item("ent_name").name_cn.as_str(),
            item("ent_name").definition.as_str(),
            item("ent_name").nullable
        ),
        ("企业名称", "企业名称：营业执照上的名称", false)
    );
    assert_eq!(
        (item("capital").data_type, item("capital").precision, item("capital").scale),
        (DataType::Decimal, 18, 2)
    );
    assert_eq!(
        (item("stage").data_type, item("stage").value_domain.as_str()),
        (DataType::Text, "在营|注销")
    );
    assert_eq!(
        (item("legal_id").grade, item("updated").data_type),
        (Grade::L3, DataType::DateTime)
    );
    assert!(d.items.iter().all(|i| i.open_type == OpenType::None) && d.item("photo").is_none());
    let node = model::asset::Node::entry(&entry.id);
    let (linked, _) = app::ledger::links(app, &provider, &node, false).await.unwrap();
    assert_eq!(linked[0].node.id, made.id, "the entry is produced by the application");
    let again = schema::draft(app, &provider, &order(&id, "public", &["ent_base"])).await.unwrap();
    assert!(!again[0].done && again[0].zh.contains("已编目"), "{again:?}");
    assert_eq!(
        schema::draft(app, &provider, &order(&id, "public", &[])).await.unwrap_err().code(),
        Code::InvalidInput
    );
    drift_is_told_taken_and_dismissed(&house, &cluster, &id).await;
}

async fn drift_is_told_taken_and_dismissed(house: &House, cluster: &Postgres, id: &str) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let looked = schema::look(app, &provider, id).await.unwrap();
    assert_eq!((looked.tables, looked.same, looked.open.len()), (2, 2, 0));
    assert_eq!(looked.uncatalogued, ["public.part", "public.region"]);
    cluster.run_sql("business", "ALTER TABLE ent_base ADD COLUMN scale varchar(20); COMMENT ON COLUMN ent_base.scale IS '企业规模';
        ALTER TABLE ent_base DROP COLUMN tags; ALTER TABLE ent_base ALTER COLUMN capital TYPE numeric(20,4);
        ALTER TABLE ent_base RENAME COLUMN ent_name TO name; COMMENT ON COLUMN ent_base.code IS '社会信用代码';
        DROP TABLE other.ent_base;");
    let looked = schema::look(app, &provider, id).await.unwrap();
    assert_eq!(looked.open.len(), 2, "{looked:?}");
    let drift = looked.open.iter().find(|d| d.table.schema == "public").unwrap();
    let told: Vec<String> =
        drift.changes.iter().map(|c| format!("{} {}", c.kind, c.column)).collect();
    assert_eq!(
        told,
        ["renamed ent_name", "dropped tags", "added scale", "comment code", "retyped capital"]
    );
    assert_eq!(schema::count(app, &provider).await.unwrap(), 2);
    // A second look opens no second task.
    schema::look(app, &provider, id).await.unwrap();
    let open = schema::drifts(app, &provider, Some(DriftState::Open), None, 50).await.unwrap();
    assert_eq!(open.items.len(), 2);
    for name in ["stranger", "consumer"] {
        let other = house.person(name).await;
        assert_eq!(
            schema::drift(app, &other, &drift.id).await.unwrap_err().code(),
            Code::NotFound,
            "{name}"
        );
    }
    let authority = house.person("authority").await;
    assert!(
        !schema::drift(app, &authority, &drift.id).await.unwrap().mine,
        "seen, but the owner's to decide"
    );

    // What a person has written meanwhile stays; what is not ticked stays as it was.
    let entry = catalogue::get(app, &provider, "ent_base").await.unwrap();
    let mut own = entry.draft.clone();
    own.items.iter_mut().find(|i| i.identifier == "code").unwrap().name_cn = "信用代码".into();
    catalogue::edit(app, &provider, &entry.id, own, entry.version).await.unwrap();
    let stale = schema::take(app, &provider, &drift.id, &[0], "long ago").await.unwrap_err();
    assert_eq!(stale.code(), Code::Stale);
    let none = schema::take(app, &provider, &drift.id, &[], &drift.updated_at).await.unwrap_err();
    assert_eq!(none.code(), Code::InvalidInput);
    let taken =
        schema::take(app, &provider, &drift.id, &[0, 2, 3, 4], &drift.updated_at).await.unwrap();
    let item = |id: &str| taken.draft.item(id);
    assert_eq!(item("name").unwrap().name_cn, "企业名称");
    assert!(item("ent_name").is_none() && item("tags").is_some());
    assert_eq!(
        (item("scale").unwrap().name_cn.as_str(), item("scale").unwrap().open_type),
        ("企业规模", OpenType::None)
    );
    assert_eq!(
        (item("capital").unwrap().precision, item("code").unwrap().name_cn.as_str()),
        (20, "信用代码")
    );
    let again = schema::take(app, &provider, &drift.id, &[0], &drift.updated_at).await.unwrap_err();
    assert_eq!(again.code(), Code::WrongState);

    let gone = looked.open.iter().find(|d| d.table.schema == "other").unwrap();
    assert!(schema::take(app, &provider, &gone.id, &[0], &gone.updated_at).await.is_err());
    assert_eq!(
        schema::dismiss(app, &provider, &gone.id, " ", &gone.updated_at).await.unwrap_err().code(),
        Code::InvalidInput
    );
    schema::dismiss(app, &provider, &gone.id, "旧表已停用", &gone.updated_at).await.unwrap();
    let kept = schema::drift(app, &provider, &gone.id).await.unwrap().drift;
    assert_eq!(
        (kept.state, kept.reason.as_str(), kept.by.as_str()),
        (DriftState::Dismissed, "旧表已停用", "provider")
    );
    assert_eq!(schema::count(app, &provider).await.unwrap(), 0);

    // Level again; a change that is taken back ends its task by itself; a renamed table is known again.
    cluster.run_sql("business", "ALTER TABLE ent_base ADD COLUMN x int");
    assert_eq!(
        schema::look(app, &provider, id)
            .await
            .unwrap()
            .open
            .iter()
            .filter(|d| d.table.schema == "public")
            .count(),
        1
    );
    cluster.run_sql("business", "ALTER TABLE ent_base DROP COLUMN x");
    assert_eq!(schema::look(app, &provider, id).await.unwrap().gone, 1);
    cluster.run_sql("business", "ALTER TABLE ent_base RENAME TO enterprise");
    let looked = schema::look(app, &provider, id).await.unwrap();
    let drift = looked.open.iter().find(|d| d.table.schema == "public").unwrap();
    assert_eq!(
        (drift.changes[0].kind.as_str(), drift.changes[0].after.as_str()),
        ("table_renamed", "public.enterprise")
    );
}

/// A published entry gets a change under review, never a silent one.
async fn taking_over_goes_through_review(house: House) {
    let cluster = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let url = cluster.database("business");
    cluster.run_sql("business", "CREATE TABLE permit (id int PRIMARY KEY, mc varchar(20));
        COMMENT ON TABLE permit IS '行政许可信息'; COMMENT ON COLUMN permit.id IS '许可编号'; COMMENT ON COLUMN permit.mc IS '许可名称'");
    let port: u16 = url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let app = &house.app;
    let (provider, authority) = (house.person("provider").await, house.person("authority").await);
    let id = stored(&house, &provider, SourceKind::Postgres, port, "business", "qiantang").await;
    let drafted = schema::draft(app, &provider, &order(&id, "public", &["permit"])).await.unwrap();
    let entry = drafted[0].entry.clone().unwrap().0;
    catalogue::step(app, &provider, &entry, Move::Submit, "").await.unwrap();
    catalogue::step(app, &authority, &entry, Move::Approve, "").await.unwrap();
    cluster.run_sql(
        "business",
        "ALTER TABLE permit ADD COLUMN d date; COMMENT ON COLUMN permit.d IS '许可日期'",
    );
    let drift = schema::look(app, &provider, &id).await.unwrap().open.remove(0);
    let taken = schema::take(app, &provider, &drift.id, &[0], &drift.updated_at).await.unwrap();
    assert_eq!((taken.publish_state, taken.draft.items.len()), (PublishState::ChangeAuditing, 2));
    let approved = catalogue::step(app, &authority, &entry, Move::Approve, "").await.unwrap();
    assert_eq!(approved.draft.items.len(), 3);
    // Without its source an entry stands; nothing compares it any more.
    source::remove(app, &provider, &id).await.unwrap();
    let seen = schema::of_entry(app, &provider, &approved).await.unwrap();
    assert!(seen.is_none());
}

crate::on_both!(a_postgresql_schema_becomes_drafts, taking_over_goes_through_review);

#[tokio::test]
async fn a_mariadb_schema_becomes_drafts_and_drifts() {
    let server = tokio::task::spawn_blocking(MariaDb::start).await.unwrap();
    server.run_sql("use d; create table ent_base (id bigint unsigned primary key comment '编号', name varchar(100) not null comment '企业名称，全称',
        capital decimal(18,2) comment '注册资本', kind enum('内资','外资') comment '类型', photo longblob comment '照片', opened date comment '成立日期',
        unique key (name)) comment='企业登记基本信息'; create view v as select id from ent_base;
        create table ent_child (id int primary key, ent bigint unsigned, foreign key (ent) references ent_base (id));");
    let house = House::new().await;
    let (app, provider) = (&house.app, house.person("provider").await);
    let id = stored(&house, &provider, SourceKind::Mysql, server.port, "d", "reader").await;
    let survey = schema::survey(app, &provider, &id, None, None).await.unwrap();
    assert!(survey.product.starts_with("MariaDB "), "{}", survey.product);
    let names: Vec<(String, bool)> =
        survey.tables.iter().map(|f| (f.table.of.dotted(), f.offered)).collect();
    assert_eq!(
        names,
        [
            ("d.ent_base".to_owned(), true),
            ("d.ent_child".to_owned(), true),
            ("d.v".to_owned(), false)
        ]
    );
    assert!(survey.left_out.iter().any(|l| l.what.contains("performance_schema") && l.count > 0));
    let drafted =
        schema::draft(app, &provider, &order(&id, "d", &["ent_base", "ent_child"])).await.unwrap();
    assert!(drafted.iter().all(|d| d.done), "{drafted:?}");
    let notes: Vec<&str> = drafted[0].notes.iter().map(|(c, _, _)| c.as_str()).collect();
    assert_eq!(notes, ["id", "photo"]);
    let entry = catalogue::get(app, &provider, "ent_base").await.unwrap();
    let item = |id: &str| entry.draft.item(id).unwrap();
    assert_eq!((entry.draft.title.as_str(), entry.draft.key()), ("企业登记基本信息", vec!["id"]));
    assert_eq!((item("id").data_type, item("id").precision), (DataType::Decimal, 20));
    assert_eq!(
        (item("name").name_cn.as_str(), item("name").length, item("name").lookup),
        ("企业名称", 100, true)
    );
    assert_eq!(item("kind").value_domain, "内资|外资");
    let child = catalogue::get(app, &provider, "ent_child").await.unwrap();
    let (origin, _) = schema::of_entry(app, &provider, &child).await.unwrap().unwrap();
    assert_eq!(origin.table.foreign, [(vec!["ent".to_owned()], "d.ent_base".to_owned())]);
    assert_eq!(schema::look(app, &provider, &id).await.unwrap().same, 2);
    server.run_sql("use d; alter table ent_base add column area decimal(10,2) comment '面积', modify kind varchar(10) comment '企业类型', drop key name;
        alter table ent_base comment='企业基本信息';");
    let looked = schema::look(app, &provider, &id).await.unwrap();
    let told: Vec<String> =
        looked.open[0].changes.iter().map(|c| format!("{} {}", c.kind, c.column)).collect();
    assert_eq!(told, ["table_comment ", "added area", "retyped kind", "comment kind", "unique "]);
    let drift = &looked.open[0];
    let taken =
        schema::take(app, &provider, &drift.id, &[0, 1, 2, 3, 4], &drift.updated_at).await.unwrap();
    let item = |id: &str| taken.draft.item(id).unwrap();
    assert_eq!(taken.draft.title, "企业基本信息");
    assert_eq!(
        (item("kind").name_cn.as_str(), item("kind").value_domain.as_str(), item("name").lookup),
        ("企业类型", "", false)
    );
    assert_eq!(item("area").scale, 2);
    drop(server);
    assert_eq!(
        schema::look(app, &provider, &id).await.unwrap_err().code(),
        Code::SourceUnavailable
    );
}
