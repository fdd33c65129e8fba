//! Made-up bounds and emergency stops for their pages.

use minijinja::{Value, context};

use super::AT;

/// What these pages show; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let halt = context! {
        id => "h1", kind => "entry", holder => "e1", code => "parking", title => "停车场 <b>", reason => "泄露 <b>", at => AT,
        by_name => "安全员", lifted_at => (!full).then_some(AT), lifted_by => "安全员", lift_reason => "已排查",
        in_force => full, href => "/console/entries/e1",
    };
    Some(match template {
        "console/bounds.html" => context! {
            b => context! {
                kind => if full { "entry" } else { "application" }, holder => "e1", title => "停车场 <b>", code => "parking",
                default => !full, set_at => AT, set_by => "安全员", may_set => full, may_halt => full,
            },
            form => context! {
                concurrency => "8", addresses => "10.0.0.0/8", windows => "1-5 08:30-17:30", subject_item => "id",
                subject_per_day => "5", purpose => full,
            },
            items => vec![context! { value => "id", name => "编号" }], here => "/console/bounds/entry/e1",
            halt => (!full).then_some(halt), halt_kind => "entry",
        },
        "console/halts.html" => context! {
            now => if full { vec![halt.clone()] } else { vec![] }, past => if full { vec![halt] } else { vec![] },
            kinds => vec![context! { value => "entry", name => "数据资源" }], may_halt => full, kind => "entry", name => "parking",
            reason => (),
        },
        "console/application_certificates.html" => context! {
            application => context! { id => "a1", name => "便民 <b>", key => "k" }, gateway => "https://gate",
            certificates => if full { vec![context! { thumbprint => "9f86", name => "生产 <b>", added_at => AT, added_by => "li" }] } else { vec![] },
            name => (), certificate => (),
        },
        _ => return None,
    })
}
