//! Least privilege of sources on live servers: a too-powerful account is told with the SQL that mends it, and that SQL does mend it;
//! a right one is fine. And where the platform may connect to.

use app::collection::{privilege, source};
use model::schema::TableName;
use model::source::{CheckLevel, SourceCheck, SourceKind, SourceNew, SourceTls};
use model::{Code, Op};
use testkit::{House, MariaDb, Postgres};

fn new(kind: SourceKind, port: u16, database: &str, account: &str, password: &str) -> SourceNew {
    SourceNew {
        org: testkit::PROVIDER_ORG.into(),
        name: format!("{account} {database}"),
        kind,
        host: "127.0.0.1".into(),
        port,
        database: database.into(),
        account: account.into(),
        password: password.into(),
        tls: SourceTls::Prefer,
    }
}

async fn check(house: &House, op: &Op, new: SourceNew, tables: &[(&str, &str)]) -> SourceCheck {
    let made = source::create(&house.app, op, new).await.unwrap();
    again(house, op, &made.id, tables).await
}

async fn again(house: &House, op: &Op, id: &str, tables: &[(&str, &str)]) -> SourceCheck {
    let tables: Vec<TableName> = tables
        .iter()
        .map(|(schema, name)| TableName { schema: (*schema).into(), name: (*name).into() })
        .collect();
    privilege::check(&house.app, op, id, &tables).await.unwrap()
}

fn bad(check: &SourceCheck) -> Vec<&str> {
    check.findings.iter().filter(|f| f.level == CheckLevel::Bad).map(|f| f.what.as_str()).collect()
}

fn mending(check: &SourceCheck) -> String {
    check
        .findings
        .iter()
        .filter(|f| f.level == CheckLevel::Bad)
        .map(|f| f.sql.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn accounts_of_postgresql_are_looked_at_and_mended() {
    let cluster = Postgres::start();
    let _ = cluster.database("business");
    cluster.run_sql(
        "business",
        "CREATE TABLE firms (id int PRIMARY KEY); CREATE TABLE hidden (id int); REVOKE CREATE ON SCHEMA public FROM PUBLIC;
         CREATE ROLE strong LOGIN PASSWORD 'p' CREATEDB CREATEROLE REPLICATION; GRANT ALL ON firms TO strong; GRANT CREATE ON SCHEMA public TO strong;
         CREATE ROLE right_one LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA public TO right_one; GRANT SELECT ON firms TO right_one",
    );
    let house = House::new().await;
    let provider = house.person("provider").await;
    // Times are compared with the real clock only where the clock is real; the rehearsal's stands in March.
    let of = |account: &str| new(SourceKind::Postgres, cluster.port(), "business", account, "p");
    let all = check(&house, &provider, of("qiantang"), &[]).await;
    assert!(all.server.starts_with("PostgreSQL ") && all.tls.is_empty(), "{all:?}");
    assert!(bad(&all).contains(&"superuser"), "{all:?}");

    let strong = source::create(&house.app, &provider, of("strong")).await.unwrap();
    let found = again(&house, &provider, &strong.id, &[]).await;
    for what in ["createrole", "createdb", "replication", "write", "ddl"] {
        assert!(bad(&found).contains(&what), "{what}: {found:?}");
    }
    cluster.run_sql("business", &mending(&found));
    let found = again(&house, &provider, &strong.id, &[]).await;
    assert!(found.fine(), "the SQL told mends it: {found:?}");

    let right = check(&house, &provider, of("right_one"), &[("public", "firms")]).await;
    assert!(right.fine(), "{right:?}");
    let wanting = source::list(&house.app, &provider).await.unwrap();
    let id = &wanting.iter().find(|s| s.account == "right_one").unwrap().id;
    let missing = again(&house, &provider, id, &[("public", "firms"), ("public", "hidden")]).await;
    assert_eq!(bad(&missing), ["read"]);
    cluster.run_sql("business", &mending(&missing));
    assert!(again(&house, &provider, id, &[("public", "hidden")]).await.fine());
    let stranger = house.person("stranger").await;
    assert_eq!(
        privilege::check(&house.app, &stranger, id, &[]).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn accounts_of_mariadb_are_looked_at_and_mended() {
    let server = MariaDb::start();
    server.run_sql(
        "CREATE TABLE d.firms (id int PRIMARY KEY); CREATE TABLE source.other (id int);
         CREATE USER strong@'127.0.0.1' IDENTIFIED BY 'p'; GRANT ALL PRIVILEGES ON d.* TO strong@'127.0.0.1' WITH GRANT OPTION;
         GRANT FILE, REPLICATION SLAVE ON *.* TO strong@'127.0.0.1';
         CREATE USER strong@localhost IDENTIFIED BY 'p'; GRANT ALL PRIVILEGES ON d.* TO strong@localhost WITH GRANT OPTION;
         GRANT FILE, REPLICATION SLAVE ON *.* TO strong@localhost;",
    );
    let house = House::new().await;
    let provider = house.person("provider").await;
    let of =
        |account: &str, password: &str| new(SourceKind::Mysql, server.port, "d", account, password);
    let right = check(&house, &provider, of("reader", MariaDb::PASSWORD), &[("d", "firms")]).await;
    assert!(right.fine() && right.server.contains("MariaDB"), "{right:?}");
    let strong = source::create(&house.app, &provider, of("strong", "p")).await.unwrap();
    let found = again(&house, &provider, &strong.id, &[]).await;
    for what in ["write", "beyond", "replication", "grant-option"] {
        assert!(bad(&found).contains(&what), "{what}: {found:?}");
    }
    server.run_sql(&mending(&found));
    let found = again(&house, &provider, &strong.id, &[("d", "firms")]).await;
    assert!(found.fine(), "the SQL told mends it: {found:?}");
    let missing = again(&house, &provider, &strong.id, &[("source", "other")]).await;
    assert_eq!(bad(&missing), ["read"], "{missing:?}");
}

#[tokio::test]
async fn sources_are_reached_only_where_the_operator_lets_go() {
    let house = House::new().await;
    let provider = house.person("provider").await;
    for (host, said) in [("169.254.169.254", "元数据"), ("10.255.255.1", "[outgoing] allow")] {
        let made = SourceNew {
            host: host.into(),
            name: host.into(),
            ..new(SourceKind::Postgres, 5432, "d", "a", "p")
        };
        let made = source::create(&house.app, &provider, made).await.unwrap();
        let begun = std::time::Instant::now();
        let refused = source::test(&house.app, &provider, &made.id).await.unwrap_err();
        assert_eq!(refused.code(), Code::RuleBroken, "{refused}");
        assert!(refused.zh().contains(said), "{refused}");
        let looked = app::rail::survey(&house.app, &provider, &made.id).await.unwrap_err();
        assert!(looked.zh().contains(said), "{looked}");
        assert!(begun.elapsed().as_secs() < 5, "nothing was tried");
    }
}
