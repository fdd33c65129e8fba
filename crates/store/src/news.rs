//! Policies and notices of the site in the control store.

use model::Result;
use model::news::{News, NewsKind, NewsState};
use policy::{Action, Permit};

use crate::Store;
use crate::clause::Clause;
use crate::db::{changed, fail, page, signed, to_json};

/// Which ones a list wants, the newest day first. Empty fields do not filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewsFilter<'a> {
    pub kind: Option<NewsKind>,
    pub state: Option<NewsState>,
    /// Of the province or of this city: any of these regions.
    pub regions: &'a [&'a str],
    /// Prefix of the region's code: the region itself and those below.
    pub below: Option<&'a str>,
    /// Shown on this day at the latest (`YYYY-MM-DD`).
    pub until: Option<&'a str>,
    /// Part of the title, number or text.
    pub text: Option<&'a str>,
    /// Keyset position: day and id of the last one seen, `YYYY-MM-DD.id`.
    pub before: Option<&'a str>,
    pub limit: u32,
}

fn words(news: &News) -> String {
    [&news.title, &news.title_en, &news.number, &news.text, &news.text_en]
        .map(|t| t.to_lowercase())
        .join("\n")
}

impl Store {
    pub async fn news_insert(&self, permit: &Permit, news: &News) -> Result<()> {
        permit.require(&[Action::NewsKeep])?;
        sqlx::query(
            "INSERT INTO site_news (id, kind, state, region, org, day, edit, words, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(news.id.as_str())
        .bind(news.kind.as_str())
        .bind(news.state.as_str())
        .bind(news.region.as_str())
        .bind(news.org.as_str())
        .bind(news.day.to_string())
        .bind(signed(news.edit))
        .bind(words(news))
        .bind(to_json(news)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Writes a changed one, unless somebody changed it since it was read.
    pub async fn news_update(&self, permit: &Permit, news: &News, seen: u64) -> Result<()> {
        permit.require(&[Action::NewsKeep])?;
        let done = sqlx::query(
            "UPDATE site_news SET kind = $1, state = $2, region = $3, day = $4, edit = $5, words = $6, body = $7 WHERE id = $8 AND edit = $9",
        )
        .bind(news.kind.as_str())
        .bind(news.state.as_str())
        .bind(news.region.as_str())
        .bind(news.day.to_string())
        .bind(signed(news.edit))
        .bind(words(news))
        .bind(to_json(news)?)
        .bind(news.id.as_str())
        .bind(signed(seen))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        changed(done.rows_affected())
    }

    pub async fn news_get(&self, id: &str) -> Result<Option<News>> {
        self.db.body("site_news", id).await
    }

    /// A page of them, the newest day first.
    pub async fn news_list(&self, filter: &NewsFilter<'_>) -> Result<Vec<News>> {
        let mut clause = Clause::default();
        for (condition, value) in [
            ("kind =", filter.kind.map(NewsKind::as_str)),
            ("state =", filter.state.map(NewsState::as_str)),
            ("day <=", filter.until),
        ] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        if let Some(prefix) = filter.below {
            clause.and_below(prefix);
        }
        if !filter.regions.is_empty() {
            clause.and_in("region", filter.regions);
        }
        if let Some(text) = filter.text {
            clause.and_like(&["words"], text);
        }
        if let Some((day, id)) = filter.before.and_then(|b| b.split_once('.')) {
            clause.and_text("(day, id) < (", day);
            clause.more(",", id);
            clause.close();
        }
        let sql = format!(
            "SELECT body FROM site_news{} ORDER BY day DESC, id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.bodies(sql, &clause).await
    }
}
