//! Helpers of the tests of reporting: a tree of organisations, a form, typing and workbooks.

use app::report::{self, Typed};
use model::account::{Role, UserNew};
use model::code::DataType;
use model::entry::{Entry, EntryDraft};
use model::item::Item;
use model::op::china;
use model::org::{Org, OrgKind};
use model::report::{Every, FormDraft, FormRule, FormVersion, PlanNew, Task, TotalRule};
use model::{Op, ident};
use rust_xlsxwriter::{Workbook, Worksheet};
use testkit::{CITY_ORG, COUNTY_ORG, House, PASSWORD, PROVIDER_ORG, draft};

/// 临平区数据局, a second county.
pub(crate) const SECOND_ORG: &str = "org-linping";
/// A credit code that is right.
pub(crate) const USCC: &str = "91330100799655058B";

/// Puts the organisations into a tree (province → Hangzhou → Yuhang, Linping) and lets people of the second county in.
pub(crate) async fn tree(house: &House) {
    let admin = house.person("admin").await;
    let app = &house.app;
    for (org, parent) in [(CITY_ORG, PROVIDER_ORG), (COUNTY_ORG, CITY_ORG)] {
        let org = app.store.org_require(org).await.unwrap();
        app::org::change(app, &admin, Org { parent: Some(parent.into()), ..org }).await.unwrap();
    }
    let head = format!("1133011310000009{}", ident::org_code_check("10000009").unwrap());
    let uscc = format!("{head}{}", ident::uscc_check(&head).unwrap());
    let second = Org {
        id: SECOND_ORG.into(),
        uscc,
        name_cn: "临平区数据局".into(),
        name_en: "Linping Data Bureau".into(),
        kind: OrgKind::StateOrgan,
        region: "330113".into(),
        parent: Some(CITY_ORG.into()),
        authority: false,
    };
    app::org::create(app, &admin, second).await.unwrap();
    let person = UserNew {
        name: "linping".into(),
        display_name: "linping".into(),
        org: Some(SECOND_ORG.into()),
        roles: vec![Role::Provider],
        password: PASSWORD.into(),
    };
    app::account::create_user(app, &admin, person).await.unwrap();
}

/// Firms by region, period and kind.
pub(crate) fn firms(code: &str) -> EntryDraft {
    let mut region = Item::new("region_code", "行政区划代码", DataType::Text);
    let mut period = Item::new("period", "报送期", DataType::Text);
    let mut kind = Item::new("kind", "行业", DataType::Text);
    for item in [&mut region, &mut period, &mut kind] {
        (item.primary, item.nullable) = (true, false);
    }
    kind.value_domain = "01|02|03".into();
    let mut uscc = Item::new("uscc", "牵头单位", DataType::Text);
    (uscc.format, uscc.length) = ("uscc".into(), 18);
    let count = Item::new("firms", "企业数", DataType::Integer);
    let mut amount = Item::new("amount", "产值", DataType::Decimal);
    (amount.precision, amount.scale, amount.unit) = (18, 2, "万元".into());
    let day = Item::new("day", "统计日期", DataType::Date);
    let note = Item::new("note", "备注", DataType::Text);
    EntryDraft { items: vec![region, period, kind, uscc, count, amount, day, note], ..draft(code) }
}

/// The form of it: one line about the whole fill, rows with totals, two rules.
pub(crate) async fn form(house: &House, entry: &Entry) -> FormDraft {
    let provider = house.person("provider").await;
    let mut form = report::offer(&house.app, &provider, &entry.id).await.unwrap();
    form.title = format!("企业情况表 {}", entry.draft.code);
    form.title_en = "Firms".into();
    form.total_by = vec!["kind".into()];
    for field in &mut form.fields {
        match field.item.identifier.as_str() {
            "day" => {
                (field.repeated, field.required, field.most) = (false, true, "2026-12-31".into())
            }
            "firms" => {
                (field.total, field.required) = (TotalRule::Sum, true);
                (field.least, field.most) = ("0".into(), "100000".into());
            }
            "amount" => field.total = TotalRule::Sum,
            "kind" => {
                for (code, name) in field.codes.iter_mut().zip(["工业", "农业", "服务业"]) {
                    code.name = name.into();
                }
            }
            "note" => (field.total, field.pattern) = (TotalRule::None, "[^<>]*".into()),
            _ => {}
        }
    }
    form.rules = vec![FormRule {
        expression: "firms > 0 || amount == 0".into(),
        zh: "没有企业时产值应为零".into(),
        en: "without firms there is no output".into(),
        field: "amount".into(),
    }];
    form
}

/// A published form, issued; the tasks by organisation.
pub(crate) async fn issued(
    house: &House,
    entry: &Entry,
    form: FormDraft,
    every: Every,
) -> (String, Vec<Task>) {
    let (app, provider) = (&house.app, house.person("provider").await);
    let made = report::create(app, &provider, form).await.unwrap();
    let made = report::publish(app, &provider, &made.id, made.edit).await.unwrap();
    let new = PlanNew {
        form: made.id,
        title: format!("企业情况 {}", entry.draft.code),
        every,
        first: "2026-02".into(),
        due_days: 5,
        due: None,
        orgs: [CITY_ORG, COUNTY_ORG, SECOND_ORG].map(str::to_owned).to_vec(),
    };
    let plan = report::issue(app, &provider, new).await.unwrap();
    let (_, _, rows) = report::roll_up(app, &provider, &plan.id, None).await.unwrap();
    (plan.id, rows.into_iter().map(|row| row.task).collect())
}

pub(crate) fn of<'a>(tasks: &'a [Task], org: &str) -> &'a Task {
    tasks.iter().find(|t| t.org == org).unwrap()
}

/// A task as it is now.
pub(crate) async fn now(house: &House, op: &Op, id: &str) -> Task {
    report::task(&house.app, op, id).await.unwrap().task
}

/// What a person types into rows: `(row, identifier, text)`.
pub(crate) fn typed(form: &FormVersion, cells: &[(u64, &str, &str)], add: u64) -> Typed {
    let cells = cells
        .iter()
        .map(|(row, field, text)| (*row, form.draft.place(field).unwrap(), (*text).to_owned()))
        .collect();
    Typed { cells, drop: Vec::new(), add }
}

/// Fills a task by hand: a day and rows of kind, firms, amount.
pub(crate) async fn fill(house: &House, op: &Op, id: &str, rows: &[(&str, &str, &str)]) -> Task {
    let view = report::task(&house.app, op, id).await.unwrap();
    let (_, _, have) = {
        let page = report::rows(&house.app, op, id, None, 1).await.unwrap();
        (page.next, page.count, page.rows)
    };
    let drop: Vec<u64> = have.iter().map(|(n, _)| *n).collect();
    let add = Typed { drop, add: rows.len() as u64, ..Typed::default() };
    let saved = report::save_draft(&house.app, op, id, view.task.version, add).await.unwrap();
    let page = report::rows(&house.app, op, id, None, 1).await.unwrap();
    let mut cells = vec![(0, "day", "2026-02-28")];
    for ((n, _), (kind, firms, amount)) in page.rows.iter().zip(rows) {
        cells.extend([(*n, "kind", *kind), (*n, "firms", *firms), (*n, "amount", *amount)]);
    }
    let typed = typed(&view.form, &cells, 0);
    report::save_draft(&house.app, op, id, saved.task.version, typed).await.unwrap().task
}

/// A workbook as somebody fills it in: one sheet of rows under the codes, one of what is filled once.
pub(crate) fn workbook(columns: &[&str], rows: &[Vec<&str>], once: &[(&str, &str)]) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet: &mut Worksheet = book.add_worksheet();
    sheet.set_name("明细").unwrap();
    for (n, code) in (0_u16..).zip(columns) {
        sheet.write_string(0, n, format!("第 {n} 列")).unwrap();
        sheet.write_string(1, n, *code).unwrap();
    }
    for (row, cells) in (2_u32..).zip(rows) {
        for (n, text) in (0_u16..).zip(cells) {
            match text.strip_prefix('#').and_then(|number| number.parse::<f64>().ok()) {
                Some(number) => sheet.write_number(row, n, number).unwrap(),
                None => sheet.write_string(row, n, *text).unwrap(),
            };
        }
    }
    if !once.is_empty() {
        let sheet = book.add_worksheet();
        sheet.set_name("表头").unwrap();
        for (row, (code, text)) in (1_u32..).zip(once) {
            sheet.write_string(row, 1, *code).unwrap();
            sheet.write_string(row, 2, *text).unwrap();
        }
    }
    book.save_to_buffer().unwrap()
}

/// Bytes as a file that goes away with its handle.
pub(crate) fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

/// All rows of an open entry in the lake, as text, in the order of its key.
pub(crate) async fn lake(house: &House, code: &str) -> Vec<Vec<String>> {
    use futures::StreamExt;
    let mut download =
        app::opening::download(&house.app, &house.nobody(), code, None).await.unwrap();
    let mut rows = Vec::new();
    while let Some(chunk) = download.rows.next().await {
        for row in chunk.unwrap().rows {
            rows.push(row.iter().map(|v| v.to_text().unwrap_or_default()).collect());
        }
    }
    rows.sort();
    rows
}

/// The civil day of the house.
pub(crate) fn today(house: &House) -> chrono::NaiveDate {
    house.app.now().with_timezone(&china()).date_naive()
}
