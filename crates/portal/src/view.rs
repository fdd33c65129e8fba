//! Templates: one environment per language, so that `t('中文', 'English')` picks the right voice everywhere.
//!
//! In debug the files are read from disk whenever they change; in other builds they are embedded.

use std::borrow::Borrow;
use std::sync::Arc;

use axum::http::header::{self, HeaderValue};
use axum::response::{Html, IntoResponse};
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use model::account::Role;
use model::news::{Block, blocks};
use model::{Error, Op};
use rust_embed::RustEmbed;
use serde::Serialize;

use crate::look::{Theme, View};
use crate::names::Names;
use crate::site::city;
use crate::visit::{Lang, Visit, encode};
use crate::{Answer, Door, assets, fault, field, label};

#[derive(RustEmbed)]
#[folder = "templates/"]
struct Files;

/// A value of the rooms as templates see it.
pub(crate) fn value(of: impl Serialize) -> Value {
    Value::from(Serde(of))
}

/// The templates in both languages.
pub(crate) struct Pages {
    zh: Environment<'static>,
    en: Environment<'static>,
}

impl Pages {
    pub(crate) fn new(names: &Arc<Names>) -> Self {
        Self { zh: environment(Lang::Zh, names), en: environment(Lang::En, names) }
    }
    pub(crate) fn of(&self, lang: Lang) -> &Environment<'static> {
        match lang {
            Lang::Zh => &self.zh,
            Lang::En => &self.en,
        }
    }
}

fn environment(lang: Lang, names: &Arc<Names>) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_loader(|name| {
        Ok(Files::get(name).map(|file| {
            let text = String::from_utf8_lossy(&file.data).into_owned();
            // In debug files are read anew for every page: editing one needs no build.
            minijinja::TemplateSource::from(text)
        }))
    });
    env.set_undefined_behavior(if cfg!(debug_assertions) {
        UndefinedBehavior::Lenient
    } else {
        UndefinedBehavior::Chainable
    });
    env.set_auto_escape_callback(|name| match name.rsplit('.').next() {
        Some("html" | "xml" | "atom") => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    env.add_function("t", move |zh: String, en: String| lang.of(&zh, &en).to_owned());
    env.add_function("label", move |kind: String, word: Option<String>| {
        word.map_or_else(String::new, |word| label::label(&kind, &word, lang))
    });
    env.add_function("audit_action", move |word: Option<String>| {
        word.map_or_else(String::new, |word| label::audit_action(&word, lang))
    });
    // `items.xm.grade` of a difference, in words: the item's identifier stays.
    env.add_function("field_label", move |path: String| {
        match path.strip_prefix("items.").map(|rest| rest.split_once('.')) {
            Some(Some((item, field))) => {
                format!("{item} · {}", label::label("entry_field", field, lang))
            }
            Some(None) => {
                let item = path.trim_start_matches("items.");
                format!("{} {item}", lang.of("数据项", "Item"))
            }
            None => label::label("entry_field", &path, lang),
        }
    });
    // A value of a difference: words of code lists by their names.
    env.add_function("field_value", move |path: String, word: Option<String>| {
        let word = word.unwrap_or_default();
        let field = path.rsplit('.').next().unwrap_or_default();
        let kind = match field {
            "raised_grade" => "grade",
            "source_system_level" => "system_level",
            other => other,
        };
        match (word.as_str(), field) {
            ("true", _) => lang.of("是", "yes").to_owned(),
            ("false", _) => lang.of("否", "no").to_owned(),
            (_, "data_kinds") => word
                .split(", ")
                .map(|w| label::label("data_kind", w, lang))
                .collect::<Vec<_>>()
                .join(lang.of("、", ", ")),
            _ => label::label(kind, &word, lang),
        }
    });
    // A step's word is of either half of an entry's state (`published`, `published/online`).
    env.add_function("state_label", move |word: Option<String>| {
        let word = word.unwrap_or_default();
        let parts = word.split(['/', ' ', ',']).filter(|p| !p.is_empty());
        let named = parts.map(|p| {
            let name = label::label("publish_state", p, lang);
            if name == p { label::label("online_state", p, lang) } else { name }
        });
        named.collect::<Vec<_>>().join(" · ")
    });
    env.add_function("choices", move |kind: String| {
        label::choices(&kind, lang)
            .into_iter()
            .map(|(word, name)| context! { value => word, name })
            .collect::<Vec<Value>>()
    });
    env.add_function("asset", |path: String| format!("/assets/{path}?v={}", assets::version()));
    env.add_function("has_asset", |name: String| assets::has(&name));
    let kept = Arc::clone(names);
    env.add_function("org_name", move |id: Option<String>| {
        id.map_or_else(String::new, |id| kept.get().org(&id, lang).to_owned())
    });
    let kept = Arc::clone(names);
    env.add_function("region_name", move |code: Option<String>| {
        code.map_or_else(String::new, |code| kept.get().region(&code, lang).to_owned())
    });
    env.add_filter("date", |text: Option<String>| civil(text.as_deref(), "%Y-%m-%d"));
    env.add_filter("time", |text: Option<String>| civil(text.as_deref(), "%Y-%m-%d %H:%M"));
    env.add_filter("second", |text: Option<String>| civil(text.as_deref(), "%Y-%m-%d %H:%M:%S"));
    env.add_filter("num", |n: Option<f64>| n.map_or_else(String::new, grouped));
    env.add_filter("bytes", |n: Option<f64>| n.map_or_else(String::new, bytes));
    // A text of several lines (a field of the ledgers) as its lines.
    env.add_filter("lines", |text: Option<String>| {
        text.unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>()
    });
    env.add_filter("enc", |text: String| encode(&text));
    env.add_filter("cut", |text: String, most: usize| cut(&text, most));
    env.add_filter("plain", move |text: Option<String>| plain(&text.unwrap_or_default(), lang));
    env
}

/// A text of headings, lists and paragraphs (`model::news::blocks`) in one line, without its marks.
fn plain(text: &str, lang: Lang) -> String {
    let parts = blocks(text).into_iter().map(|block| match block {
        Block::Heading { text } => format!("{text}{}", lang.of("：", ":")),
        Block::List { items } => items.join(lang.of("；", "; ")),
        Block::Paragraph { text } => text,
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// An RFC 3339 instant as civil time in China; other texts pass unchanged.
pub(crate) fn civil(text: Option<&str>, pattern: &str) -> String {
    text.map_or_else(String::new, |text| model::op::civil(text, pattern))
}

/// `1234567` → `1,234,567`
fn grouped(n: f64) -> String {
    let digits = format!("{:.0}", n.abs());
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if n < 0.0 { format!("-{out}") } else { out }
}

fn bytes(n: f64) -> String {
    let (mut n, mut unit) = (n, 0_usize);
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    while n >= 1024.0 && unit + 1 < UNITS.len() {
        n /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("B");
    if unit == 0 { format!("{n:.0} {name}") } else { format!("{n:.1} {name}") }
}

/// At most `most` characters, with an ellipsis when something is left off.
fn cut(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).collect();
    if text.chars().count() > most {
        out.push('…');
    }
    out
}

impl Door {
    /// Renders a page for a visit: the template's own context and what every page needs.
    pub(crate) async fn page(&self, visit: &Visit, template: &str, own: Value) -> Answer {
        let text = self.text(visit, template, own).await?;
        Ok(Html(text).into_response())
    }

    /// The same for a form that shows what was wrong with it, by that fault's status.
    pub(crate) async fn page_with(
        &self,
        visit: &Visit,
        template: &str,
        own: Value,
        wrong: Option<impl Borrow<Error>>,
    ) -> Answer {
        let status = wrong.map(|error| fault::status(error.borrow()));
        let mut response = self.page(visit, template, own).await?;
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        Ok(response)
    }

    /// Renders a template that is not HTML (feed, sitemap).
    pub(crate) async fn file(
        &self,
        visit: &Visit,
        template: &str,
        content_type: &'static str,
        own: Value,
    ) -> Answer {
        let text = self.text(visit, template, own).await?;
        let kind = HeaderValue::from_static(content_type);
        Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
    }

    async fn text(&self, visit: &Visit, template: &str, own: Value) -> Result<String, Error> {
        self.names.refresh(&self.app).await;
        let unread = match visit.session {
            // A page does not fail because the notices cannot be counted.
            Some(_) => app::notice::unread(&self.app, &visit.op).await.unwrap_or(0),
            None => 0,
        };
        let page = context! { unread, ..context! { ..own, ..self.every(visit) } };
        render(&self.pages, visit.lang, template, page)
    }

    /// What every page knows.
    fn every(&self, visit: &Visit) -> Value {
        let here = visit.here();
        let other = if visit.lang == Lang::Zh { "en" } else { "zh" };
        let glue = if here.contains('?') { '&' } else { '?' };
        let look = visit.look;
        let views: Vec<Value> = View::ALL
            .iter()
            .map(|v| {
                let (zh, en) = v.name();
                let word = v.as_str();
                context! { name => visit.t(zh, en), word, now => *v == look.view, href => format!("{here}{glue}look={word}") }
            })
            .collect();
        let themes: Vec<Value> = Theme::ALL
            .iter()
            .map(|v| {
                let (zh, en) = v.name();
                let word = v.as_str();
                context! { name => visit.t(zh, en), word, now => *v == look.theme, href => format!("{here}{glue}theme={word}") }
            })
            .collect();
        let user = visit.session.as_ref().map(|s| {
            context! {
                name => &s.user.name,
                display_name => &s.user.display_name,
                org => &s.user.org,
                roles => s.user.roles.iter().map(|&r| label::role(r, visit.lang)).collect::<Vec<_>>(),
            }
        });
        context! {
            lang => visit.lang.as_str(),
            html_lang => visit.lang.of("zh-CN", "en"),
            switch => format!("{here}{glue}lang={other}"),
            elder => look.view.elder(), look_classes => look.view.classes(), theme => look.theme.as_str(),
            views, themes, elder_switch => format!("{here}{glue}look={}", if look.view.elder() { "plain" } else { "elder" }),
            path => visit.uri.path(),
            here,
            base => &visit.base,
            gateway => self.gateway(visit),
            csrf => &visit.csrf,
            request_id => &visit.op.request_id,
            today => visit.op.today().to_string(),
            user,
            nav => self.nav(visit),
            staff => staff(&visit.op),
            ..city::face(self, visit)
        }
    }

    /// Address of the gateway; without one configured, this site's own.
    pub(crate) fn gateway(&self, visit: &Visit) -> String {
        let url = self.config.gateway_url.trim_end_matches('/');
        if url.is_empty() { visit.base.clone() } else { url.to_owned() }
    }
}

/// Names of all templates.
#[cfg(test)]
pub(crate) fn names_of_templates() -> Vec<String> {
    Files::iter().map(|n| n.to_string()).filter(|n| !n.ends_with(".py")).collect()
}

/// The text of a template.
#[cfg(test)]
pub(crate) fn source(name: &str) -> Option<String> {
    Files::get(name).map(|f| String::from_utf8_lossy(&f.data).into_owned())
}

/// Whether the caller works for a public body (sees the console's catalogue).
pub(crate) fn staff(op: &Op) -> bool {
    op.actor.roles().iter().any(|r| !matches!(r, Role::Enterprise | Role::Citizen))
}

/// Renders a template with a complete context.
pub(crate) fn render(
    pages: &Pages,
    lang: Lang,
    template: &str,
    context: Value,
) -> Result<String, Error> {
    let env = pages.of(lang);
    let told = |e: minijinja::Error| Error::internal(format!("template {template}: {e:#}"));
    let rendered = if cfg!(debug_assertions) {
        // A fresh set of templates per page, so that an edited file shows at once.
        let mut fresh = env.clone();
        fresh.clear_templates();
        fresh.get_template(template).and_then(|t| t.render(context))
    } else {
        env.get_template(template).and_then(|t| t.render(context))
    };
    Ok(field::told(rendered.map_err(told)?, lang))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_times_read_well() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(1234567.0), "1,234,567");
        assert_eq!(grouped(-1000.0), "-1,000");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(1_572_864.0), "1.5 MB");
        assert_eq!(civil(Some("2026-11-23T17:00:00.000Z"), "%Y-%m-%d %H:%M"), "2026-11-24 01:00");
        assert_eq!(civil(Some("2026-11-23"), "%Y-%m-%d"), "2026-11-23");
        assert_eq!(cut("公共数据平台", 4), "公共数据…");
    }
}
