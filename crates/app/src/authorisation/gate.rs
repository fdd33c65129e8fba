//! At the gate: rows of a subject leave only while its authorisation stands, which is looked up at every call, so that a revocation holds
//! from the next one. What is used is written down before it leaves.

use model::identity::{Authorisation, AuthorisationUse};
use model::{Code, Error, Op, Result};

use super::mark;
use crate::App;

/// The authorisations by which an application may ask about these subjects of an entry for these items; one for each subject.
pub(crate) async fn standing(
    app: &App,
    op: &Op,
    (application, entry): (&str, &str),
    subjects: &[&str],
    items: &[&str],
) -> Result<Vec<Authorisation>> {
    let at = op.stamp();
    let mut all = Vec::with_capacity(subjects.len());
    for subject in subjects {
        let mark = mark(app, subject);
        let found = app.store.authorisations_standing(application, entry, &mark, &at).await?;
        if found.is_empty() {
            return Err(refusal(
                "subject",
                "该主体没有授权本应用使用这些数据，或授权已到期、已撤回",
                "the subject has not authorised this application to use these data, or the authorisation is over or revoked",
            ));
        }
        let covering = found.into_iter().find(|a| items.iter().all(|i| a.covers(i)));
        all.push(covering.ok_or_else(|| {
            refusal(
                "items",
                "该主体的授权不含所请求的全部数据项",
                "the subject's authorisation does not hold every item that is asked for",
            )
        })?);
    }
    Ok(all)
}

/// *answer with reasons*: what is missing, and how to ask for it.
fn refusal(rule: &str, zh: &str, en: &str) -> Error {
    Error::new(
        Code::NoGrant,
        format!("{zh}。请在控制台“应用管理—主体授权”中向其请求授权，或请其在“我的授权”中主动授权"),
        format!(
            "{en}. Ask for it in the console (Applications, Authorisation by subjects), or let the subject give it under “My authorisations”"
        ),
    )
    .with_reasons(vec![format!("authorisation.{rule}")])
}

/// Writes the uses down; without it nothing may leave (*every-release-audited*).
pub(crate) async fn used(
    app: &App,
    op: &Op,
    standing: &[Authorisation],
    items: &[&str],
) -> Result<()> {
    if standing.is_empty() {
        return Ok(());
    }
    let uses: Vec<(String, AuthorisationUse)> = standing
        .iter()
        .map(|a| {
            let used = AuthorisationUse {
                authorisation: a.id.clone(),
                at: op.stamp(),
                items: items.join(","),
                purpose: op.purpose.clone(),
                request_id: op.request_id.clone(),
            };
            (op.new_id(), used)
        })
        .collect();
    app.store.authorisation_used(&uses).await
}
