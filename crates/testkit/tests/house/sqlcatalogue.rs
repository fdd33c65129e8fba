//! The catalogue over the PostgreSQL wire, asked as SQLAlchemy asks it when it reflects tables: granted columns with their types, the
//! business key as primary key where it is granted as it is, Chinese names as comments; nothing of what is not granted.

use app::sharing;
use model::code::{OpenType, ShareType, SyncMode};
use model::entry::EntryDraft;
use model::request::{Period, RequestNew};
use testkit::House;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::on_both;
use crate::sqlwire::rows;

on_both!(reflection_tells_what_was_granted);

/// Columns of a table, as SQLAlchemy 2.1 asks for them.
const COLUMNS: &str = "SELECT pg_catalog.pg_attribute.attname AS name, pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, \
    pg_catalog.pg_attribute.atttypmod) AS format_type, CASE WHEN pg_catalog.pg_attribute.atthasdef THEN (SELECT \
    pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1 FROM \
    pg_catalog.pg_attrdef WHERE pg_catalog.pg_attribute.atthasdef AND pg_catalog.pg_attrdef.adrelid = \
    pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attrdef.adnum = pg_catalog.pg_attribute.attnum) ELSE NULL END AS \
    \"default\", pg_catalog.pg_attribute.attnotnull AS not_null, pg_catalog.pg_class.relname AS table_name, \
    pg_catalog.pg_description.description AS comment, pg_catalog.pg_attribute.attgenerated AS generated, CASE WHEN \
    (pg_catalog.pg_attribute.attidentity != $1::VARCHAR) THEN (SELECT json_build_object($2::VARCHAR, \
    pg_catalog.pg_attribute.attidentity = $3::VARCHAR, $4::VARCHAR, pg_catalog.pg_sequence.seqstart, $5::VARCHAR, \
    pg_catalog.pg_sequence.seqincrement, $6::VARCHAR, pg_catalog.pg_sequence.seqmin, $7::VARCHAR, \
    pg_catalog.pg_sequence.seqmax, $8::VARCHAR, pg_catalog.pg_sequence.seqcache, $9::VARCHAR, \
    pg_catalog.pg_sequence.seqcycle) AS json_build_object_1 FROM pg_catalog.pg_sequence WHERE \
    pg_catalog.pg_attribute.attidentity != $10::VARCHAR AND pg_catalog.pg_sequence.seqrelid = \
    CAST(CAST(pg_catalog.pg_get_serial_sequence(CAST(CAST(pg_catalog.pg_attribute.attrelid AS REGCLASS) AS TEXT), \
    pg_catalog.pg_attribute.attname) AS REGCLASS) AS OID)) ELSE NULL END AS identity_options, CASE WHEN \
    (pg_catalog.pg_attribute.attcollation != $11::INTEGER AND (SELECT pg_catalog.pg_type.typcollation FROM \
    pg_catalog.pg_type WHERE pg_catalog.pg_type.oid = pg_catalog.pg_attribute.atttypid) != \
    pg_catalog.pg_attribute.attcollation) THEN (SELECT json_build_object($12::VARCHAR, pg_catalog.pg_collation.collname, \
    $13::VARCHAR, CASE WHEN pg_catalog.pg_collation_is_visible(pg_catalog.pg_collation.oid) THEN NULL ELSE \
    pg_catalog.pg_namespace.nspname END) AS json_build_object_9 FROM pg_catalog.pg_collation JOIN pg_catalog.pg_namespace \
    ON pg_catalog.pg_namespace.oid = pg_catalog.pg_collation.collnamespace WHERE pg_catalog.pg_collation.oid = \
    pg_catalog.pg_attribute.attcollation) ELSE NULL END AS collation FROM pg_catalog.pg_class LEFT OUTER JOIN \
    pg_catalog.pg_attribute ON pg_catalog.pg_class.oid = pg_catalog.pg_attribute.attrelid AND \
    pg_catalog.pg_attribute.attnum > $14::SMALLINT AND NOT pg_catalog.pg_attribute.attisdropped LEFT OUTER JOIN \
    pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_attribute.attrelid AND \
    pg_catalog.pg_description.objsubid = pg_catalog.pg_attribute.attnum JOIN pg_catalog.pg_namespace ON \
    pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relkind = ANY \
    (ARRAY[$15::VARCHAR, $16::VARCHAR, $17::VARCHAR]) AND pg_catalog.pg_class.relpersistence != $18::VARCHAR AND \
    pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $19::VARCHAR AND \
    pg_catalog.pg_class.relname IN ($20::VARCHAR) ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_attribute.attnum";

/// Numbers of tables.
const NUMBERS: &str = "SELECT pg_catalog.pg_class.oid, pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON \
    pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relkind = ANY \
    (ARRAY[$1::VARCHAR, $2::VARCHAR, $3::VARCHAR]) AND pg_catalog.pg_class.relpersistence != $4::VARCHAR AND \
    pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $5::VARCHAR AND \
    pg_catalog.pg_class.relname IN ($6::VARCHAR)";

/// Primary keys of a table of this number.
const KEYS: &str = "SELECT attr.conrelid, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) AS cols, attr.conname, \
    min(attr.description) AS description, min(attr.indnkeyatts) AS indnkeyatts, bool_and(attr.indnullsnotdistinct) AS \
    indnullsnotdistinct FROM (SELECT con.conrelid AS conrelid, con.conname AS conname, con.description AS description, \
    con.ord AS ord, con.indnkeyatts AS indnkeyatts, con.indnullsnotdistinct AS indnullsnotdistinct, \
    pg_catalog.pg_attribute.attname AS attname FROM pg_catalog.pg_attribute JOIN (SELECT pg_catalog.pg_constraint.conrelid \
    AS conrelid, pg_catalog.pg_constraint.conname AS conname, unnest(pg_catalog.pg_index.indkey) AS attnum, \
    generate_subscripts(pg_catalog.pg_index.indkey, $1::INTEGER) AS ord, pg_catalog.pg_index.indnkeyatts AS indnkeyatts, \
    pg_catalog.pg_index.indnullsnotdistinct AS indnullsnotdistinct, pg_catalog.pg_description.description AS description \
    FROM pg_catalog.pg_constraint JOIN pg_catalog.pg_index ON pg_catalog.pg_constraint.conindid = \
    pg_catalog.pg_index.indexrelid LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = \
    pg_catalog.pg_constraint.oid AND pg_catalog.pg_description.classoid = CAST($2 AS REGCLASS) WHERE \
    pg_catalog.pg_constraint.contype = $3::VARCHAR AND pg_catalog.pg_constraint.conrelid IN ($4)) AS con ON \
    pg_catalog.pg_attribute.attnum = con.attnum AND pg_catalog.pg_attribute.attrelid = con.conrelid WHERE con.conrelid IN \
    ($4)) AS attr GROUP BY attr.conrelid, attr.conname ORDER BY attr.conrelid, attr.conname";

/// Comment of a table.
const COMMENT: &str = "SELECT pg_catalog.pg_class.relname, pg_catalog.pg_description.description FROM pg_catalog.pg_class LEFT OUTER JOIN \
    pg_catalog.pg_description ON pg_catalog.pg_class.oid = pg_catalog.pg_description.objoid AND \
    pg_catalog.pg_description.objsubid = $1::INTEGER AND pg_catalog.pg_description.classoid = CAST($2 AS REGCLASS) JOIN \
    pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE \
    pg_catalog.pg_class.relkind = ANY (ARRAY[$3::VARCHAR, $4::VARCHAR, $5::VARCHAR]) AND \
    pg_catalog.pg_class.relpersistence != $6::VARCHAR AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND \
    pg_catalog.pg_namespace.nspname != $7::VARCHAR AND pg_catalog.pg_class.relname IN ($8::VARCHAR)";

const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n";

fn draft(code: &str) -> EntryDraft {
    let mut draft = testkit::draft(code);
    draft.share_type = ShareType::Restricted;
    draft.share_condition = "用于办理本单位法定职责事项".into();
    draft.share_basis = "涉及经营信息".into();
    draft.open_type = OpenType::None;
    draft.open_basis = draft.share_basis.clone();
    for item in &mut draft.items {
        item.share_type = ShareType::Restricted;
        item.share_condition = draft.share_condition.clone();
        item.open_type = OpenType::None;
        item.open_basis = draft.share_basis.clone();
    }
    draft
}

async fn agree(house: &House, application: &str, entry: &str, items: &[&str]) {
    let consumer = house.person("consumer").await;
    let wanted = RequestNew {
        entry: entry.into(),
        application: application.into(),
        items: items.iter().map(|item| (*item).to_owned()).collect(),
        scene: "批量核验".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10_000_000,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: true,
    };
    let request = sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        sharing::review(&house.app, &op, &request.id, true, "同意").await.unwrap();
    }
}

/// Asks with parameters of the types that a driver sends: texts, and small numbers for whole ones.
async fn asked(client: &Client, sql: &str, given: &[Given]) -> Vec<Row> {
    let types: Vec<Type> = given.iter().map(Given::kind).collect();
    let statement =
        client.prepare_typed(sql, &types).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let values: Vec<&(dyn ToSql + Sync)> = given
        .iter()
        .map(|one| match one {
            Given::Text(text) => text as &(dyn ToSql + Sync),
            Given::Small(n) => n,
            Given::Whole(n) => n,
        })
        .collect();
    client.query(&statement, &values).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
}

enum Given {
    Text(&'static str),
    Small(i16),
    Whole(i32),
}

impl Given {
    fn kind(&self) -> Type {
        match self {
            Self::Text(_) => Type::TEXT,
            Self::Small(_) => Type::INT2,
            Self::Whole(_) => Type::INT4,
        }
    }
}

async fn columns(client: &Client, table: &'static str) -> Vec<[String; 3]> {
    use Given::{Small, Text};
    let mut given: Vec<Given> =
        ["", "always", "a", "start", "increment", "minvalue", "maxvalue", "cache", "cycle", ""]
            .map(Text)
            .into_iter()
            .collect();
    given.push(Small(0));
    given.extend([Text("name"), Text("schema"), Small(0)]);
    given.extend(["r", "p", "f", "t", "pg_catalog", table].map(Text));
    let found = asked(client, COLUMNS, &given).await;
    let told = |row: &Row| {
        assert_eq!(row.get::<_, String>("table_name"), table);
        for none in ["default", "identity_options", "collation"] {
            assert_eq!(row.get::<_, Option<String>>(none), None, "{none}");
        }
        let must = if row.get("not_null") { " not null" } else { "" };
        let kind = row.get::<_, String>("format_type") + must;
        [row.get("name"), kind, row.get::<_, Option<String>>("comment").unwrap_or_default()]
    };
    found.iter().map(told).collect()
}

/// A table's number, if there is one.
async fn number(client: &Client, table: &'static str) -> Option<u32> {
    let given = ["r", "p", "f", "t", "pg_catalog", table].map(Given::Text);
    asked(client, NUMBERS, &given).await.first().map(|row| row.get::<_, u32>("oid"))
}

async fn reflection_tells_what_was_granted(house: House) {
    let (_, secret) = house.application("批量应用").await;
    let application = &secret.application.id;
    for code in ["lake_water", "lake_air", "lake_soil"] {
        house.publish(draft(code)).await;
        house.collect(code, "w.csv", ROWS, SyncMode::Full).await.unwrap();
    }
    agree(&house, application, "lake_water", &["id", "name", "amount", "day"]).await;
    agree(&house, application, "lake_air", &["name", "amount"]).await;
    let consumer = house.person("consumer").await;
    let made = app::wire::make_password(&house.app, &consumer, application).await.unwrap();
    let at = house.sql().await;
    let connect = async || {
        let mut config = Config::new();
        config.host("127.0.0.1").port(at.port()).dbname("qiantang");
        config.user(&made.user).password(&made.password);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let client = connect().await;

    let water = columns(&client, "lake_water").await;
    let names: Vec<&str> = water.iter().map(|c| c[0].as_str()).collect();
    assert_eq!(names, ["id", "name", "amount", "day"]);
    assert_eq!(water[0], ["id", "bigint not null", "编号"]);
    assert_eq!(water[1], ["name", "text", "名称"]);
    assert!(water[2][1].starts_with("numeric(") && water[2][1].ends_with(",2)"), "{water:?}");
    assert_eq!(water[3], ["day", "date", "日期"]);
    let air = columns(&client, "lake_air").await;
    assert_eq!(air.iter().map(|c| c[0].as_str()).collect::<Vec<_>>(), ["name", "amount"]);
    assert!(columns(&client, "lake_soil").await.is_empty());

    // Numbers are the same in every session: a client may ask on with another connection.
    let (water, air) =
        (number(&client, "lake_water").await.unwrap(), number(&client, "lake_air").await.unwrap());
    assert_eq!(number(&connect().await, "lake_water").await, Some(water));
    assert!(water != air && number(&client, "lake_soil").await.is_none());
    for (number, key) in [(water, Some("lake_water_pkey")), (air, None)] {
        let given = [
            Given::Small(1),
            Given::Text("pg_catalog.pg_constraint"),
            Given::Text("p"),
            Given::Whole(i32::try_from(number).unwrap()),
        ];
        let found = asked(&client, KEYS, &given).await;
        let told: Vec<(String, Vec<String>)> =
            found.iter().map(|row| (row.get("conname"), row.get("cols"))).collect();
        let wanted = key.map(|key| (key.to_owned(), vec!["id".to_owned()]));
        assert_eq!(told, Vec::from_iter(wanted), "the key is granted whole, or there is none");
    }
    let mut given = vec![Given::Small(0), Given::Text("pg_catalog.pg_class")];
    given.extend(["r", "p", "f", "t", "pg_catalog", "lake_water"].map(Given::Text));
    let found = asked(&client, COMMENT, &given).await;
    assert_eq!(found[0].get::<_, Option<String>>("description").unwrap(), "测试数据集 lake_water");

    // The same by functions, as psql asks; and nothing of what is not granted anywhere.
    let one = async |sql: &str| rows(&client, sql).await[0][0].clone().unwrap_or_default();
    let of = "'public.lake_water'::regclass";
    assert_eq!(
        one(&format!("select obj_description({of}, 'pg_class')")).await,
        "测试数据集 lake_water"
    );
    assert_eq!(one(&format!("select col_description({of}, 2)")).await, "名称");
    assert_eq!(
        one("select pg_get_constraintdef(oid, true) from pg_constraint").await,
        "PRIMARY KEY (id)"
    );
    let index = one("select pg_get_indexdef(indexrelid, 0, true) from pg_index").await;
    assert!(index.ends_with("ON public.lake_water USING btree (id)"), "{index}");
    let all =
        rows(&client, "select relname from pg_class where relnamespace = 2200 order by 1").await;
    let all: Vec<&str> = all.iter().map(|row| row[0].as_deref().unwrap()).collect();
    assert_eq!(all, ["lake_air", "lake_water", "lake_water_pkey"]);
    for hidden in [
        "select description from pg_description",
        "select attname from pg_attribute",
        "select relname from pg_class",
    ] {
        let told = format!("{:?}", rows(&client, hidden).await);
        assert!(!told.contains("soil"), "{told}");
    }
}
