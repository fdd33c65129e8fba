//! From a department's PostgreSQL by the rail into the lake, and from there to a city's MariaDB: one change after the other.

use app::{outflow, rail};
use model::code::SyncMode;
use model::source::SourceKind;
use testkit::{House, MariaDb, Postgres};

use crate::outway::{agreed, at_mariadb, database, delivering, receiver, regional, settle};
use crate::railway::{Source, differs, stored, until, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_a_department_comes_to_the_city() {
    let (cluster, server) = (Postgres::start(), MariaDb::start());
    let _ = cluster.database("source");
    receiver(&server);
    let source = Source::open(cluster.port(), "source").await;
    source
        .run(
            "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date, region_code text);
             INSERT INTO firms SELECT n, '企业' || n, n, '2026-01-01', CASE WHEN n % 2 = 0 THEN '330106' ELSE '330203' END FROM generate_series(1, 1200) n",
        )
        .await;
    let house = House::new().await;
    settle(&house).await;
    let mut draft = regional("firms");
    draft.sync_mode = SyncMode::Incremental;
    house.publish(draft).await;
    let provider = house.person("provider").await;
    let kept = stored(&house.app, &provider, cluster.port(), "source").await;
    let asked = crate::railway::new(&kept, &[("public.firms", "firms")]);
    rail::create(&house.app, &provider, asked).await.unwrap();
    let items = ["id", "name", "amount", "day", "region_code"];
    let request = agreed(&house, "hangzhou", "firms", &items).await;
    let city = database(&house, "hangzhou", SourceKind::Mysql, server.port, "d").await;
    let hangzhou = house.person("hangzhou").await;
    outflow::create(&house.app, &hangzhou, &crate::outway::new(&request, &city)).await.unwrap();
    let working = [worker(&house.app), delivering(&house.app)];
    // What the city should hold, asked of the department itself.
    let level = async || {
        until("the city", async || {
            let there = source
                .table("SELECT id, left(name, 1) || repeat('*', length(name) - 1), amount, to_char(day, 'YYYY-MM-DD'), region_code FROM firms WHERE region_code LIKE '3301%'")
                .await;
            let sql =
                "SELECT id, name, amount, DATE_FORMAT(day, '%Y-%m-%d'), region_code FROM firms";
            let here = at_mariadb(server.port, sql).await?;
            differs(&there, &here).map_or(Ok(here.len()), Err)
        })
        .await
    };
    assert_eq!(level().await, 600);
    source.run("INSERT INTO firms VALUES (5000, '新企业', 1, '2026-02-01', '330110')").await;
    assert_eq!(level().await, 601);
    source.run("UPDATE firms SET region_code = '330203' WHERE id = 5000").await;
    assert_eq!(level().await, 600);
    source.run("UPDATE firms SET region_code = '330110' WHERE id IN (1, 3, 5)").await;
    assert_eq!(level().await, 603);
    source.run("UPDATE firms SET amount = amount + 1 WHERE id % 10 = 0; DELETE FROM firms WHERE id = 2").await;
    assert_eq!(level().await, 602);
    source.run("TRUNCATE firms; INSERT INTO firms VALUES (1, '甲乙', 1, NULL, '330106')").await;
    assert_eq!(level().await, 1);
    outflow::stop(&house.app).await;
    rail::stop(&house.app).await;
    for task in working {
        task.abort();
    }
}
