//! Things of the open site's pages: standing and citation, charts, versions, services, cities, the open index.

use minijinja::{Value, context};

use super::{AT, entry, hit};
use crate::view::value;

fn licence() -> Value {
    context! { name_zh => "许可", name_en => "licence", terms_zh => vec!["免费"], terms_en => vec!["free"] }
}

fn standing(full: bool) -> Value {
    let measured =
        context! { measured_at => AT, rows => 3, cells => 12, missing => 1, bytes => 5_000 };
    context! {
        fresh_until => full.then_some("2026-11-25"), stale => full,
        read => if full { 10 } else { 0 }, accepted => 9, quarantined => 1, checksum => if full { "0f" } else { "" },
        measured => full.then_some(measured), applications => 2, calls => 30, days => 30,
    }
}

fn figures() -> Value {
    context! { datasets => 1, interfaces => 2, items => 3, rows => 4_000_000, organisations => 5 }
}

fn scores(word: &str, full: bool) -> Value {
    let failing = if full {
        context! { late => 2, missing => 1 }
    } else {
        context! {}
    };
    context! {
        word, sets => 3, cells => 1000, total => 61.5, quantity => 30.0, capacity => 40.0, quality => 90.0,
        timeliness => 50.0, metadata => 70.1, coverage => 20.0, points => 284.0, failing,
        used => full.then_some(75.0), reply => full.then_some(90.5), reply_days => full.then_some(3),
    }
}

fn chart(full: bool) -> Value {
    match full {
        true => context! {
            still => "<svg class=\"still\"></svg>", kind => "row", groups => 40, left_out => 10, first_rows => 200_000,
            bars => vec![
                context! { name => "停车场 <b>", figure => "12.5", value => 12.5 },
                context! { name => (), figure => (), value => 0.0 },
            ],
        },
        false => context! {
            still => "<svg class=\"still\"></svg>", kind => "scatter", points => vec![vec![1.0, 2.0]], more => true,
        },
    }
}

pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let list = |v: Value| if full { vec![v] } else { Vec::new() };
    let point = context! { point => context! { longitude => "jd", latitude => "wd" } };
    let filter = context! { col => "id", op => "between", val => (), to => () };
    let pages = context! { q => full.then_some("停"), total => 3, page => 1, pages => 2, previous => full.then_some("?page=1"), next => full.then_some("?page=2") };
    Some(match template {
        "site/dataset.html" => context! {
            applies_inside => full,
            standing => standing(full), filled => full.then_some("91.7"), filter, quality => "88.5",
            quality_parts => ["filled", "accepted", "fresh", "described"].map(|word| context! { word, score => "90.0" }).to_vec(),
            origin => full.then(|| crate::site::dataset::told(&super::harvests::origin())),
            elsewhere => if full { crate::site::dataset::links(&super::entry().draft) } else { Vec::new() },
            files => list(context! { format => "csv", known => context! { bytes => 1024, sha256 => "0f" } }),
            by_item => list(context! { identifier => "id", percent => "100.0" }), licence => licence(),
            cite => context! { text => "某局. 停车场 <b>[DS/OL].", bibtex => "@misc{x}" },
        },
        "site/api.html" => context! { to => () },
        "site/chart.html" => context! {
            axes => vec![context! { value => "id", name => "停车场 <b>" }], numbers => Vec::<Value>::new(), filter,
            chosen => context! { kind => "bar", x => "id", y => "", how => "count", step => "each" },
            chart => chart(full), trouble => (), x_name => "编号", y_name => "行数", here_link => "http://site/data/x/chart",
        },
        "site/versions.html" => context! {
            trouble => full.then_some("有误"), from => 1, to => 2,
            versions => if full { vec![
                context! { version => 2, at => AT, mode => "full", brought => 4, rows => 4, parcel => "0f" },
                context! { version => 1, at => AT, mode => "incremental", brought => 3, rows => (), parcel => "0e" },
            ] } else { Vec::new() },
            difference => full.then(|| context! {
                from => 1, to => 2, inserted => 1, updated => 1, deleted => 1, more => true, columns => vec!["id", "name"],
                rows => vec![
                    context! { operation => "I", cells => vec![Some("1"), Some("停车场 <b>")] },
                    context! { operation => "U", cells => vec![Some("2"), None] },
                    context! { operation => "D", cells => vec![Some("3"), None] },
                ],
            }),
        },
        "site/apis.html" => {
            context! { docs => list(value(hit().doc)), figures => figures(), ..pages }
        }
        "site/maps.html" => context! {
            docs => list(value(hit().doc)), chosen => vec!["parking"], most => 4,
            area => full.then(|| context! { west => 120.0, south => 30.0, east => 121.0, north => 31.0 }),
            uncounted => full, within => full.then(|| vec![context! { doc => value(hit().doc), inside => context! { features => 3, more => true } }]),
            sources => if full { "/data/parking/map.geojson" } else { "" }, place => full.then_some("停车场 <b>"),
            ground => if full { "/data/zj_boundary_city/map.geojson" } else { "/maps/regions.geojson" }, grounded => 2,
            outlines => list(context! { code => "zj_boundary_city", title => "停车场 <b>", title_en => "", attribution => "停车场 <b>" }),
            places => if full { vec![
                context! { href => "/maps?bbox=120.00000,30.00000,121.00000,31.00000&place=x", place => context! {
                    kind => "region", name => "停车场 <b>", name_en => "", of => "浙江省", of_en => "", code => "330110", outlined => false } },
                context! { href => (), place => context! { kind => "region", name => "停车场 <b>", name_en => "", of => "", of_en => "", outlined => false, code => "330111" } },
                context! { href => "/maps?bbox=120.00000,30.00000,121.00000,31.00000", place => context! {
                    kind => "feature", name => "停车场 <b>", name_en => "", of => "停车场 <b>", of_en => "", code => "parking", outlined => true } },
            ] } else { Vec::new() },
            layers => if full { vec![
                context! { entry => value(entry()), geometry => context! { item => "wz" } },
                context! { entry => value(entry()), geometry => point },
            ] } else { Vec::new() }, ..pages
        },
        "site/developer.html" => context! {
            own => full.then_some(2), may_register => full, sql => full, sign_up => !full,
            real_name => full.then(|| value(super::realnames::standing(full))), staff => false,
            parts => ["gateway", "store", "lake", "search", "audit"].map(|part| context! { part, ok => full }).to_vec(),
            changes => if full { ["created", "changed", "retired"].map(|happened| context! {
                happened, at => AT, code => "parking", title => "停车场 <b>", title_en => "", version => 2,
            }).to_vec() } else { Vec::new() },
        },
        "site/city.html" => context! {
            site => context! { slug => "hangzhou", region => "330100" }, province => "钱塘", city_name => "杭州市",
            figures => figures(), counties => list(context! { name => "西湖区", count => 1, href => "/data?region=330106" }),
            notices => list(context! { day => "2026-01-01", text => "停车场 <b>" }),
        },
        "site/index.html" => context! {
            index => context! {
                at => AT, whole => scores("", full),
                cities => list(scores("330100", full)), orgs => list(scores("o1", full)),
                cover => list(context! { org => "o1", sets => vec![1, 0] }), themes => vec!["14", "11"],
            },
            rules => context! {
                effective => "2026-01-01", basis => "依据", full_sets => 100.0, full_cells => 1e7, fragments => 3, low_cells => 500,
                missing_percent => 50.0, stiff_percent => 80.0, use_days => 90,
                weight => context! {
                    quantity => 10.0, capacity => 10.0, quality => 25.0, timeliness => 20.0, metadata => 15.0, coverage => 10.0,
                    used => 5.0, reply => 5.0,
                },
            },
            defects => app::opening::DEFECTS.to_vec(), asks => value(app::opening::metadata::ASKS), most => 405,
        },
        "site/failing.html" => context! {
            defect => "late", city => full.then_some("330100"), org => full.then_some("o1"), most => 405,
            next => full.then_some("/index/failing?after=x"),
            rows => list(context! { defects => vec!["未按期更新"], failing => context! {
                code => "parking", title => "停车场 <b>", org => "o1", region => "330100", points => 300, fresh_until => full.then_some("2026-11-01"),
            } }),
        },
        "site/feed.atom" => context! { path => "" },
        other => return super::opening::of(other, full),
    })
}
