//! Return flow by the console: from an approved share application to rows in a city's database, in a few clicks.

use std::time::Duration;

use app::sharing;
use axum::http::StatusCode;
use model::account::ApplicationNew;
use model::code::{DataType, SyncMode};
use model::item::Item;
use model::request::{Period, RequestNew};
use testkit::{COUNTY_ORG, House, Postgres, draft};

use crate::browser::Browser;

/// Rows of two regions in a house, a database of the county's, and what the county needs to have them sent there: its share
/// application (`by_sql`: for batch use) and, by the console, its stored data source.
pub(crate) struct Receiving {
    pub(crate) house: House,
    pub(crate) county: Browser,
    pub(crate) request: String,
    pub(crate) source: String,
    /// Runs as long as it is held.
    pub(crate) cluster: Postgres,
}

pub(crate) async fn receiving(scene: &str, by_sql: bool) -> Receiving {
    let cluster = Postgres::start();
    let _ = cluster.database("city");
    let house = House::new().await;
    let mut entry = draft("firms");
    entry.items.push(Item::new("region_code", "行政区划代码", DataType::Text));
    house.publish(entry).await;
    let rows = "id,name,amount,day,region_code\n1,甲,1,,330110\n2,乙,2,,330110\n3,丙,3,,330203\n";
    house.collect("firms", "f.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let op = house.person("county").await;
    let new = ApplicationNew {
        name: "县平台".into(),
        description: String::new(),
        org: COUNTY_ORG.into(),
    };
    let made = app::account::register_application(&house.app, &op, new).await.unwrap();
    let ask = RequestNew {
        entry: "firms".into(),
        application: made.application.id.clone(),
        items: ["id", "name"].map(str::to_owned).to_vec(),
        scene: scene.into(),
        legal_basis: "部门职责".into(),
        period: Period::Long,
        calls_per_day: 100,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql,
    };
    let request = sharing::apply(&house.app, &op, ask).await.unwrap().id;

    let mut county = Browser::of(&house, "county").await;
    let port = cluster.port().to_string();
    let fields = [
        ("name", "县库"),
        ("kind", "postgres"),
        ("host", "127.0.0.1"),
        ("port", port.as_str()),
        ("database", "city"),
        ("account", "qiantang"),
        ("password", "geheim"),
        ("tls", "prefer"),
    ];
    let page = county.post("/console/sources", &fields).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let source = page.location.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    Receiving { house, county, request, source, cluster }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outflow_is_made_watched_compared_and_removed() {
    let Receiving { house, mut county, request, source, cluster: _cluster } =
        receiving("回流", false).await;
    let list = county.get("/console/outflows").await.text();
    let form = format!("/console/outflows/new?request={request}");
    assert!(list.contains(&form), "{list}");
    assert!(county.get(&form).await.text().contains("id=\"target-form\""));
    let shown = county.get(&format!("{form}&source={source}&table=firms")).await.text();
    assert!(shown.contains("id=\"make-outflow\"") && shown.contains("330110"), "{shown}");
    let wrong = county.get(&format!("{form}&source={source}&table=a%20b")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("id=\"faults\"") && !wrong.text().contains("geheim"));
    let fields = [("request", request.as_str()), ("source", source.as_str()), ("table", "firms")];
    let made = county.post("/console/outflows", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let flow = made.location.split('?').next().unwrap().to_owned();
    let twice = county.post("/console/outflows", &fields).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "{}", twice.text());

    let app = house.app.clone();
    let working = tokio::spawn(async move {
        loop {
            app::outflow::tick(&app).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut shown = String::new();
    for _ in 0..300 {
        shown = county.get(&format!("{flow}/figures")).await.text();
        if shown.contains("s-level") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(shown.contains("s-level") && shown.contains("id=\"upserts\">2<"), "{shown}");
    let posted = county.post(&format!("{flow}/compare"), &[]).await;
    assert_eq!(posted.status, StatusCode::SEE_OTHER, "{}", posted.text());
    let page = county.get(&flow).await.text();
    assert!(page.contains("id=\"counted\"") && page.contains("id=\"pause\""), "{page}");
    assert!(!page.contains("geheim") && page.contains("id=\"days\""));

    for who in ["stranger", "consumer", "citizen", "auditor"] {
        let mut other = Browser::of(&house, who).await;
        let page = other.get(&flow).await;
        assert!(
            matches!(page.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN),
            "{who}: {}",
            page.status
        );
        let posted = other.post(&format!("{flow}/anew"), &[]).await;
        assert!(!posted.status.is_success() && !posted.status.is_redirection(), "{who}");
    }
    // Whose data flow sees where they go, and may not stop it here.
    let mut provider = Browser::of(&house, "provider").await;
    let page = provider.get(&flow).await.text();
    assert!(page.contains("id=\"figures\"") && !page.contains("id=\"pause\""), "{page}");
    for path in ["pause", "resume", "anew", "remove"] {
        let page = county.post(&format!("{flow}/{path}"), &[]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {}", page.text());
    }
    assert_eq!(county.get(&flow).await.status, StatusCode::NOT_FOUND);
    app::outflow::stop(&house.app).await;
    working.abort();
    let records = Browser::of(&house, "auditor").await.get("/console/audit.csv").await.text();
    for word in
        ["outflow.create", "rows.flow", "outflow.compare", "outflow.pause", "outflow.remove"]
    {
        assert!(records.contains(word), "{word}");
    }
}
