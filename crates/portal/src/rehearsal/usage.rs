//! Made-up figures for the pages of use.

use minijinja::{Value, context};

/// What a page of use shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    if template != "console/usage.html" {
        return None;
    }
    let line = |word: &str, name: &str, link: Option<&str>| {
        context! {
            word, name, link, calls => 3, answered => 2, refused => 1, rows => 40, bytes => 4096,
            mean => if full { "1.250" } else { "" }, half => "1.000", most => "5.000", nearly => "5.000", slowest => "7.001",
        }
    };
    let option = |value: &str, name: &str| context! { value, name };
    Some(context! {
        rows => if full { vec![line("a1", "停车场 <b>", Some("/console/usage?by=entry")), line("", "公众", None)] } else { vec![] },
        application => (!full).then(|| context! { name => "便民" }),
        by => "application", heading => "应用",
        filter => context! { from => "2026-02-01", to => "2026-03-02", way => "api" },
        total => line("", "", None), days => vec![context! { word => "2026-03-02", calls => 3, answered => 2 }],
        kinds => vec![option("application", "应用")], ways => vec![option("api", "接口")],
        narrowed => vec![context! { what => "应用", field => "application", word => "a1", name => "停车场 <b>", without => "/console/usage?" }],
        whole => full, export => "/console/usage.csv?by=application", next => full.then_some("?after=3~a1"),
    })
}
