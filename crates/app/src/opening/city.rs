//! City sites: every city's share of what is open, on one store. Cities and the province's own sets add up to the whole.

use model::{Error, Op, Result};
use serde::Serialize;

use super::Figures;
use super::rules::City;
use crate::App;

/// Figures of a city, or of the province's own sets (`city` is then none).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CityFigures {
    /// GB/T 2260 code of the city or the province.
    pub region: String,
    pub slug: Option<String>,
    pub figures: Figures,
}

/// The site of a city by its word or code; others are not found.
pub fn city<'a>(app: &'a App, word: &str) -> Result<&'a City> {
    app.rules.site.city(word).ok_or_else(|| {
        let shown: String = word.chars().take(40).collect();
        Error::not_found("城市站点", "city site", &shown)
    })
}

/// Figures by city: the province's own sets first, then each city in the order of the rule file, also those without any.
pub async fn cities(app: &App, op: &Op) -> Result<Vec<CityFigures>> {
    let mut found = super::listing(app, op).await?.cities();
    let sites: Vec<CityFigures> = app
        .rules
        .site
        .city
        .iter()
        .map(|site| CityFigures {
            region: site.region.clone(),
            slug: Some(site.slug.clone()),
            figures: found.remove(site.region.get(..4).unwrap_or_default()).unwrap_or_default(),
        })
        .collect();
    // What lies in no city's region is the province's, or of a city without a site: each is told, so that all add up.
    let own = found.into_iter().map(|(prefix, figures)| CityFigures {
        region: format!("{prefix}00"),
        slug: None,
        figures,
    });
    Ok(own.chain(sites).collect())
}
