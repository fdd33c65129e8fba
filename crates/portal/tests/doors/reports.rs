//! Reporting by the console: drawn up, issued, filled without script, faults at their cells, two people at once, returned,
//! accepted; and what nobody else may see.

use axum::http::StatusCode;
use model::code::DataType;
use model::item::Item;
use model::org::Org;
use rust_xlsxwriter::Workbook;
use testkit::{CITY_ORG, COUNTY_ORG, House, PROVIDER_ORG, draft};

use crate::browser::Browser;

async fn tree(house: &House) {
    let admin = house.person("admin").await;
    for (org, parent) in [(CITY_ORG, PROVIDER_ORG), (COUNTY_ORG, CITY_ORG)] {
        let org = house.app.store.org_require(org).await.unwrap();
        let org = Org { parent: Some(parent.into()), ..org };
        app::org::change(&house.app, &admin, org).await.unwrap();
    }
}

/// Name of the input of a field in a row.
fn input(page: &str, row: u64, label: &str) -> String {
    // Inputs of rows carry their label; those filled once stand behind a label for them.
    let once = page
        .split("<label for=\"")
        .find(|p| row == 0 && p.contains(label) && p.starts_with("c-0-"));
    if let Some(once) = once {
        return once.split('"').next().unwrap().to_owned();
    }
    let before = format!("name=\"c-{row}-");
    page.split(before.as_str())
        .skip(1)
        .find(|p| p.split('>').next().unwrap().contains(label))
        .map(|p| format!("c-{row}-{}", p.split('"').next().unwrap()))
        .unwrap_or_else(|| panic!("no input of {label} in row {row}"))
}

#[tokio::test]
async fn a_report_is_drawn_up_filled_returned_and_accepted() {
    let house = House::new().await;
    tree(&house).await;
    let mut entry = draft("report_pages");
    let mut region = Item::new("region_code", "区划", DataType::Text);
    let mut code = Item::new("code", "企业代码", DataType::Text);
    for item in [&mut region, &mut code] {
        (item.primary, item.nullable) = (true, false);
    }
    let mut count = Item::new("firms", "企业数", DataType::Integer);
    count.name_en = "Firms".into();
    entry.items = vec![region, code, count, Item::new("day", "统计日期", DataType::Date)];
    let entry = house.publish(entry).await;

    let mut provider = Browser::of(&house, "provider").await;
    assert!(provider.get("/console/report-forms").await.text().contains("report_pages"));
    let designer =
        provider.get(&format!("/console/report-forms/new?entry={}", entry.id)).await.text();
    assert!(designer.contains("id=\"designer\"") && designer.contains("use-firms"), "{designer}");
    let fields = |rule: &'static str| {
        vec![
            ("entry", entry.id.as_str()),
            ("title", "企业数月报"),
            ("group_title", "明细"),
            ("group_least", "1"),
            ("group_most", "0"),
            ("use-region_code", "on"),
            ("auto-region_code", "region"),
            ("use-code", "on"),
            ("auto-code", "typed"),
            ("pattern-code", "[0-9]{4}"),
            ("use-firms", "on"),
            ("auto-firms", "typed"),
            ("required-firms", "on"),
            ("total-firms", "sum"),
            ("least-firms", "0"),
            ("use-day", "on"),
            ("auto-day", "typed"),
            ("once-day", "on"),
            ("required-day", "on"),
            ("rule-0", rule),
            ("rule_zh-0", "企业数应小于一千"),
        ]
    };
    let wrong = provider.post("/console/report-forms", &fields("firms <")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("rules.1") && wrong.text().contains("企业数月报"));
    let made = provider.post("/console/report-forms", &fields("firms < 1000")).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let form = made.location.split('?').next().unwrap().to_owned();
    let mut again = fields("firms < 1000");
    again.extend([("edit", "1"), ("action", "publish")]);
    let published = provider.post(&form, &again).await;
    assert_eq!(published.status, StatusCode::SEE_OTHER, "{}", published.text());
    assert!(provider.get(&format!("{form}/preview")).await.text().contains("企业数应小于一千"));
    let stale = provider.post(&form, &again).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);

    let id = form.rsplit('/').next().unwrap();
    let plans = provider.get(&format!("/console/report-plans?form={id}")).await.text();
    assert!(plans.contains(COUNTY_ORG) && !plans.contains("org-ecology"), "{plans}");
    let issue = |org: &'static str| {
        vec![("form", id), ("every", "once"), ("due_days", "5"), ("org", CITY_ORG), ("org", org)]
    };
    let refused = provider.post("/console/report-plans", &issue("org-ecology")).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let issued = provider.post("/console/report-plans", &issue(COUNTY_ORG)).await;
    assert_eq!(issued.status, StatusCode::SEE_OTHER, "{}", issued.text());
    let plan = issued.location.split('?').next().unwrap().to_owned();

    // The county fills it, first with faults.
    let mut county = Browser::of(&house, "county").await;
    let desk = county.get("/console/reports").await;
    let task = format!("/console/reports/{}", desk.after("<a href=\"/console/reports/"));
    let page = county.get(&task).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let version = |page: &str| {
        page.split("name=\"version\" value=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    let day = input(&page.text(), 0, "统计日期");
    let add = county
        .post(
            &format!("{task}/save"),
            &[("version", &version(&page.text())), (&day, "三月一日"), ("action", "add")],
        )
        .await;
    assert_eq!(add.status, StatusCode::SEE_OTHER, "{}", add.text());
    let page = county.get(&task).await.text();
    // What was typed is there, right or wrong, with its fault beside it.
    assert!(page.contains("三月一日") && page.contains(&format!("{day}-fault")), "{page}");
    let (code, firms) = (input(&page, 1, "企业代码"), input(&page, 1, "企业数"));
    let seen = version(&page);
    let submit = [
        ("version", seen.as_str()),
        (&day, "2026-02-28"),
        (&code, "12"),
        (&firms, "5000"),
        ("action", "submit"),
    ];
    let page = county.post(&format!("{task}/save"), &submit).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    for text in ["aria-invalid=\"true\"", "企业数应小于一千", "[0-9]{4}", "value=\"5000\""]
    {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
    let english = county.get(&format!("{task}?lang=en")).await.text();
    assert!(
        english.contains("Firms") && english.contains("does not match the pattern"),
        "{english}"
    );
    county.get("/?lang=zh").await;

    // Two at once: the later one is told, and what they typed is still there.
    let seen = version(&page.text());
    let ok = county
        .post(&format!("{task}/save"), &[("version", &seen), (&firms, "7"), ("action", "save")])
        .await;
    assert_eq!(ok.status, StatusCode::SEE_OTHER);
    let late = county
        .post(&format!("{task}/save"), &[("version", &seen), (&firms, "8"), ("action", "save")])
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(
        late.text().contains("value=\"8\"") && late.text().contains("现已保存的值"),
        "{}",
        late.text()
    );

    // A workbook with a wrong cell is not taken in; told by its cell.
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.set_name("明细").unwrap();
    for (n, (head, text)) in [("code", "0001"), ("firms", "many")].into_iter().enumerate() {
        let column = u16::try_from(n).unwrap();
        sheet.write_string(1, column, head).unwrap();
        sheet.write_string(2, column, text).unwrap();
    }
    let sheet = book.add_worksheet();
    sheet.set_name("表头").unwrap();
    sheet.write_string(1, 1, "day").unwrap();
    sheet.write_string(1, 2, "2026-02-28").unwrap();
    let bytes = book.save_to_buffer().unwrap();
    let seen = version(&late.text());
    let page =
        county.upload(&format!("{task}/import"), &[("version", &seen)], "a.xlsx", &bytes).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text().contains("明细!B3"), "{}", page.text());
    let template = county.get(&format!("{task}/template.xlsx")).await;
    assert!(template.bytes.starts_with(b"PK") && template.content_type.contains("spreadsheetml"));
    let file = county.upload(&format!("{task}/files"), &[], "函.pdf", b"%PDF-1.7 letter").await;
    assert_eq!(file.status, StatusCode::SEE_OTHER, "{}", file.text());

    let good = [
        ("version", seen.as_str()),
        (&day, "2026-02-28"),
        (&code, "0012"),
        (&firms, "7"),
        ("action", "submit"),
    ];
    let sent = county.post(&format!("{task}/save"), &good).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
    assert!(county.get(&task).await.text().contains("id=\"take-back\""));

    // The city returns it, gets it again, accepts it; its own figures must agree.
    let mut city = Browser::of(&house, "city").await;
    assert!(city.get("/console/reports?view=waiting").await.text().contains(&task));
    let no_reason = city.post(&format!("{task}/decide"), &[("action", "return")]).await;
    assert_eq!(no_reason.status, StatusCode::BAD_REQUEST);
    let back = city
        .post(&format!("{task}/decide"), &[("action", "return"), ("reason", "请核实 <b>")])
        .await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text());
    let page = county.get(&task).await.text();
    assert!(page.contains("请核实 &lt;b&gt;"), "{page}");
    let seen = version(&page);
    let again = county
        .post(&format!("{task}/save"), &[("version", &seen), (&firms, "9"), ("action", "submit")])
        .await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text());
    let own = county.post(&format!("{task}/decide"), &[("action", "accept")]).await;
    assert_eq!(own.status, StatusCode::FORBIDDEN);
    let accepted = city.post(&format!("{task}/decide"), &[("action", "accept")]).await;
    assert_eq!(accepted.status, StatusCode::SEE_OTHER, "{}", accepted.text());
    let data = Browser::new(&house).get("/data/report_pages/download.csv?bom=0").await.text();
    assert!(data.contains("330110,0012,9,2026-02-28"), "{data}");
    let top = format!(
        "/console/reports/{}",
        city.get("/console/reports").await.after("<a href=\"/console/reports/")
    );
    let page = city.get(&top).await.text();
    let add = city
        .post(
            &format!("{top}/save"),
            &[("version", &version(&page)), (&day, "2026-02-28"), ("action", "add")],
        )
        .await;
    assert_eq!(add.status, StatusCode::SEE_OTHER);
    let seen = version(&city.get(&top).await.text());
    let differs = city
        .post(
            &format!("{top}/save"),
            &[("version", &seen), (&code, "9999"), (&firms, "10"), ("action", "submit")],
        )
        .await;
    assert_eq!(differs.status, StatusCode::BAD_REQUEST);
    let text = differs.text();
    assert!(text.contains("id=\"agreement\"") && text.contains("余杭区数据局 9"), "{text}");
    let seen = version(&text);
    let explained = city
        .post(
            &format!("{top}/save"),
            &[
                ("version", &seen),
                (&firms, "10"),
                ("cell-0", "firms\u{1f}"),
                ("why-0", "直管一家"),
                ("action", "submit"),
            ],
        )
        .await;
    assert_eq!(explained.status, StatusCode::SEE_OTHER, "{}", explained.text());
    assert!(provider.get(&top).await.text().contains("直管一家"));
    let roll = provider.get(&plan).await.text();
    assert!(roll.contains("1 / 2") && roll.contains("不一致"), "{roll}");
    assert!(provider.get(&format!("{plan}/overview.xlsx")).await.bytes.starts_with(b"PK"));

    for who in ["stranger", "consumer", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        for path in
            [&task, &format!("{task}/template.xlsx"), &format!("{task}/filled.xlsx"), &plan, &form]
        {
            assert_eq!(other.get(path).await.status, StatusCode::NOT_FOUND, "{who} {path}");
        }
        for path in ["save", "decide"] {
            let posted = other
                .post(&format!("{task}/{path}"), &[("version", "1"), ("action", "accept")])
                .await;
            assert_eq!(posted.status, StatusCode::NOT_FOUND, "{who} {path}");
        }
    }
}
