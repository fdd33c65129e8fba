//! Both sides must answer the same; ours masked, and refusing what it should.

use std::path::Path;

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::Outcome;
use crate::calls::{Callers, Scene, now};
use crate::plan::{Plan, masked};

type Rows = Vec<Map<String, Value>>;

/// Asks both for keys spread over all of them.
pub(crate) async fn check(dir: &Path, scene: Scene, address: &str) -> Outcome {
    let callers = Callers::new(Plan::read(dir)?, scene).await?;
    let plan = callers.plan();
    let client = reqwest::Client::new();
    let step = (plan.keys.len() / 50).max(1);
    for (number, key) in plan.keys.iter().enumerate().step_by(step) {
        let call = callers.call(now()?, number, key)?;
        let mut asked = client.get(format!("http://{}{}?{}", plan.host, call.path, call.query));
        for (name, value) in &call.headers {
            asked = asked.header(*name, value);
        }
        let ours = rows(scene, asked.send().await?.error_for_status()?.json().await?)?;
        let question = scene.question(plan, key);
        let bare = client.get(format!("http://{address}{}?{question}", plan.path));
        let bare: Rows = bare.send().await?.error_for_status()?.json().await?;
        let wanted = if scene == Scene::List { plan.page } else { 1 };
        if ours != bare || (ours.len() != wanted && number == 0) || ours.is_empty() {
            return Err(format!("row `{key}` differs:\n  {ours:?}\n  {bare:?}").into());
        }
        if ours.first().is_none_or(|row| masked(row).is_empty()) {
            return Err(format!("row `{key}` came without masks").into());
        }
    }
    if scene == Scene::Irs { Ok(()) } else { guarded(&client, &callers).await }
}

/// The rows of an answer.
fn rows(scene: Scene, answer: Value) -> Outcome<Rows> {
    match (scene, answer.get("rows")) {
        // An interface tells more than its rows.
        (Scene::Crowd, Some(rows)) => return Ok(serde_json::from_value(rows.clone())?),
        (Scene::Irs, _) => {}
        _ => return Ok(serde_json::from_value(answer)?),
    }
    if answer.get("code").and_then(Value::as_str) != Some("00") {
        return Err(format!("a call was refused: {answer}").into());
    }
    let text = answer.get("datas").and_then(Value::as_str).ok_or("an answer without `datas`")?;
    Ok(serde_json::from_str(text)?)
}

/// The gate was really there: the same call twice is refused, and so is a call without a signature.
async fn guarded(client: &reqwest::Client, callers: &Callers) -> Outcome {
    let plan = callers.plan();
    let call = callers.call(now()?, 1, plan.keys.first().ok_or("no rows")?)?;
    let url = format!("http://{}{}?{}", plan.host, call.path, call.query);
    for expected in [StatusCode::OK, StatusCode::UNAUTHORIZED] {
        let mut asked = client.get(&url);
        for (name, value) in &call.headers {
            asked = asked.header(*name, value);
        }
        let status = asked.send().await?.status();
        if status != expected {
            return Err(format!("a replay should end in {expected}, not {status}").into());
        }
    }
    let bare = client.get(url).send().await?.status();
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
    if refused.contains(&bare) {
        return Ok(());
    }
    Err(format!("a call without a signature was answered with {bare}").into())
}
