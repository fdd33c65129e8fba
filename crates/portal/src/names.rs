//! Names of organisations and regions for showing beside their codes, kept for a short while.

use std::collections::HashMap;
use std::sync::Arc;

use app::App;
use chrono::{DateTime, TimeDelta, Utc};
use model::Op;
use model::org::Org;
use model::region::Region;
use parking_lot::RwLock;

use crate::visit::Lang;

/// Seconds after which names are read again.
const FRESH_SECONDS: i64 = 15;

/// The kept names.
#[derive(Default)]
pub(crate) struct Names(RwLock<Arc<Kept>>);

/// One reading of the names.
#[derive(Default)]
pub(crate) struct Kept {
    at: Option<DateTime<Utc>>,
    pub(crate) orgs: Vec<Org>,
    pub(crate) regions: Vec<Region>,
    org_index: HashMap<String, usize>,
    region_index: HashMap<String, usize>,
}

impl Names {
    /// Reads the names again when they are old. A failure keeps the old ones: codes are shown instead of names.
    pub(crate) async fn refresh(&self, app: &App) {
        let now = app.now();
        let fresh = |at: DateTime<Utc>| (now - at).abs() < TimeDelta::seconds(FRESH_SECONDS);
        if self.0.read().at.is_some_and(fresh) {
            return;
        }
        let op = Op::system(now);
        let (orgs, regions) = match (app::org::list(app, &op).await, app::org::regions(app).await) {
            (Ok(orgs), Ok(regions)) => (orgs, regions),
            (Err(e), _) | (_, Err(e)) => {
                tracing::warn!(error = e.operator_text(), "names could not be read");
                return;
            }
        };
        let org_index = orgs.iter().enumerate().map(|(i, o)| (o.id.clone(), i)).collect();
        let region_index = regions.iter().enumerate().map(|(i, r)| (r.code.clone(), i)).collect();
        *self.0.write() = Arc::new(Kept { at: Some(now), orgs, regions, org_index, region_index });
    }

    /// Reads anew at the next page (after a change).
    pub(crate) fn forget(&self) {
        let old = self.get();
        *self.0.write() = Arc::new(Kept {
            at: None,
            orgs: old.orgs.clone(),
            regions: old.regions.clone(),
            org_index: old.org_index.clone(),
            region_index: old.region_index.clone(),
        });
    }

    pub(crate) fn get(&self) -> Arc<Kept> {
        Arc::clone(&self.0.read())
    }
}

impl Kept {
    /// Name of an organisation, or its id when it is not known.
    pub(crate) fn org<'a>(&'a self, id: &'a str, lang: Lang) -> &'a str {
        let org = self.org_index.get(id).and_then(|&i| self.orgs.get(i));
        org.map_or(id, |o| pick(&o.name_cn, &o.name_en, lang))
    }
    /// The organisation above one.
    pub(crate) fn parent(&self, org: &str) -> Option<&str> {
        self.org_index.get(org).and_then(|&i| self.orgs.get(i))?.parent.as_deref()
    }
    /// Name of a region, or its code when it is not known.
    pub(crate) fn region<'a>(&'a self, code: &'a str, lang: Lang) -> &'a str {
        let region = self.region_index.get(code).and_then(|&i| self.regions.get(i));
        region.map_or(code, |r| pick(&r.name_cn, &r.name_en, lang))
    }
}

/// The English name when it is wanted and there is one.
fn pick<'a>(zh: &'a str, en: &'a str, lang: Lang) -> &'a str {
    if lang == Lang::En && !en.is_empty() { en } else { zh }
}
