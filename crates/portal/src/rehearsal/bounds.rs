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
                concurrency => "8", rate => "20", burst => "", addresses => "10.0.0.0/8", windows => "1-5 08:30-17:30", subject_item => "id",
                subject_per_day => "5", authorised => "id", purpose => full,
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
        other => return identity(other, full),
    })
}

/// Pages of the identity and authorisation centre.
fn identity(template: &str, full: bool) -> Option<Value> {
    let authorisation = |state: &str| {
        context! {
            id => "u1", state, application => "a1", application_name => "便民 <b>", org => if full { "o1" } else { "" },
            entry_code => "parking", entry_title => "停车场 <b>", items => if full { vec!["id"] } else { vec![] },
            purpose => "办理贷款 <b>", days => 30, letter => if full { "1" } else { "" }, asked_at => AT,
            given_at => if full { AT } else { "" }, until => if full { AT } else { "" },
            ended_at => if full { AT } else { "" },
        }
    };
    let application = context! { id => "a1", name => "便民 <b>", key => "k" };
    let list = if full { vec![authorisation("standing"), authorisation("asked")] } else { vec![] };
    Some(match template {
        "account/consent.html" => context! {
            ask => context! {
                application => "便民 <b>", description => if full { "说明 <b>" } else { "" }, org => if full { "o1" } else { "" },
                scopes => vec![
                    context! { scope => "openid", claims => vec!["sub"] },
                    context! { scope => "profile", claims => vec!["name", "preferred_username", "updated_at", "locale"] },
                    context! { scope => "offline_access", claims => Vec::<String>::new() },
                    context! { scope => "x", claims => vec!["y"] },
                ],
                goal => "https://app.test",
            },
            query => "client_id=k&state=<b>",
        },
        "account/logout.html" => context! {
            ask => context! {
                application => if full { "便民 <b>" } else { "" }, org => if full { "o1" } else { "" }, signed_in => full,
                back => "https://app.test/out?state=<b>", goal => "https://app.test",
            },
            query => "client_id=k&state=<b>",
        },
        "account/outside.html" => context! { url => "https://id.test/authorize?a=<b>" },
        "account/consents.html" => context! {
            consents => if full { vec![context! {
                application => "a1", name => "便民 <b>", org => "", scopes => vec!["openid"], at => AT }] } else { vec![] },
            services => if full { vec![
                context! { name => "sso", title => "统一认证 <b>", linked => AT },
                context! { name => "two", title => "另一个", linked => () },
            ] } else { vec![] },
        },
        "account/tokens.html" => context! {
            tokens => if full { vec![
                context! { over => false, token => context! { id => "t1", name => "脚本 <b>", tail => "x9Az", created_at => AT, expires_at => AT, last_used_at => AT } },
                context! { over => true, token => context! { id => "t2", name => "旧", tail => "aaaa", created_at => AT, expires_at => AT, last_used_at => () } },
            ] } else { vec![] },
            may_make => full, most => 366, gateway => "http://api.test", code => "invalid_input",
            made => full.then(|| context! { name => "脚本 <b>", token => "qtp_x", until => AT }),
            form => full.then(|| context! { name => "<b>", days => "9" }),
        },
        "account/authorisations.html" => context! {
            subject => full.then(|| context! { kind => "person", shown => "110****2X", confirmed_by => "u9" }),
            authorisations => list, next => (), most => 365,
            form => context! { application => "k", entry => "parking", items => "id", purpose => "<b>", days => "30" },
        },
        "account/authorisation.html" => context! {
            v => context! {
                authorisation => authorisation(if full { "standing" } else { "asked" }), holds => !full,
                uses => if full { vec![context! { at => AT, items => "id,<b>", purpose => "", request_id => "r" }] } else { vec![] },
            },
            letter => "授权书 <b>",
        },
        "console/application_client.html" => context! {
            application, may_manage => full, issuer => "https://id.test", kind => "public", redirects => "https://app.test/<b>",
            logouts => "https://app.test/out", origins => "https://app.test",
            backchannel => "https://app.test/<b>ended", sid_required => full, untaken => if full { 2 } else { 0 }, scopes => vec!["profile"],
            offered => vec![
                context! { scope => "profile", claims => vec!["name", "locale"] },
                context! { scope => "offline_access", claims => Vec::<String>::new() },
            ],
        },
        "console/application_authorisations.html" => context! {
            application, may_manage => full, authorisations => list, next => (), most => 365, base => "https://site.test",
            form => context! { kind => "person", entry => "parking", items => "", purpose => "<b>", days => "30" },
        },
        _ => return None,
    })
}
