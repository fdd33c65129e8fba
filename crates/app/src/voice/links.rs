//! Whether links of what is shown still lead anywhere: looked at by a recurring job, one after the other; a dead one is marked and
//! its writer is told. An address the platform may not connect to is left unlooked, and says so.

use model::voice::showcase::{LinkState, Showcase, ShowcaseState};
use model::{Code, Op, Result};
use policy::{Action, Permit, Target};
use store::voice::ShowcaseFilter;

use super::{showcase, tell};
use crate::App;

/// Showcases read together.
const TOGETHER: u32 = 100;

/// One round over all that is shown; answers how many links are newly dead.
pub async fn look_at_links(app: &App, system: &Op) -> Result<u64> {
    let platform = Target::plain("System", "platform");
    let permit = app.policy.permit(system, Action::SystemWork, &platform)?;
    let (mut dead, mut before) = (0, None::<String>);
    loop {
        let filter = ShowcaseFilter {
            state: Some(ShowcaseState::Public),
            before: before.as_deref(),
            limit: TOGETHER,
            ..ShowcaseFilter::default()
        };
        let all = app.store.showcase_list(&filter).await?;
        let Some(last) = all.last() else { return Ok(dead) };
        before = Some(last.id.clone());
        for showcase in all {
            dead += look(app, system, &permit, showcase).await?;
        }
    }
}

async fn look(app: &App, system: &Op, permit: &Permit, mut showcase: Showcase) -> Result<u64> {
    let seen = showcase.edit;
    let mut newly = Vec::new();
    for link in &mut showcase.links {
        let before = link.state;
        let answers = match app.voices.links.answers(&link.url).await {
            Ok(answers) => Some(answers),
            Err(e) if e.code() == Code::RuleBroken => None,
            Err(e) => return Err(e),
        };
        link.found(answers, &system.stamp(), app.rules.voice.links.dead_after);
        if link.state == LinkState::Dead && before != LinkState::Dead {
            newly.push(link.url.clone());
        }
    }
    showcase.edit += 1;
    // Somebody decided on it meanwhile: the next round looks again.
    if !app.store.showcase_update(permit, &showcase, seen).await? {
        return Ok(0);
    }
    if !newly.is_empty() {
        let told = showcase::told("showcase.link", &showcase, &newly.join(" "));
        tell::give(app, system, Ok(vec![showcase.writer.clone()]), told).await;
    }
    Ok(u64::try_from(newly.len()).unwrap_or(u64::MAX))
}
