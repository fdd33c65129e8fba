//! Who is told of what happens to a sandbox: its members, and whoever sits where something waits. It is kept already: a notice that cannot
//! be given does not undo it.

use model::account::Role;
use model::project::Project;
use model::sandbox::Review;
use model::{Op, Result};

use crate::App;
use crate::notice::{self, Told};
use crate::restricted::authority_people;

/// People of one role at one organisation who are told at most.
const TOLD: u32 = 100;

fn told(project: &Project, kind: &'static str, mark: &str, words: &str, href: String) -> Told {
    Told {
        mark: format!("{kind}:{mark}"),
        kind,
        title: project.name.clone(),
        words: words.to_owned(),
        href,
    }
}

fn page(project: &Project) -> String {
    format!("/console/sandboxes/{}", project.id)
}

/// Tells all members; the same mark is told once.
pub(super) async fn members(
    app: &App,
    op: &Op,
    project: &Project,
    (kind, mark): (&'static str, &str),
    words: &str,
) {
    let told = told(project, kind, mark, words, page(project));
    notice::give(app, op, all(app, &project.id).await, &told).await;
}

async fn all(app: &App, project: &str) -> Result<Vec<String>> {
    let members = app.store.project_members(project).await?;
    Ok(members.into_iter().map(|m| m.user).collect())
}

/// Tells somebody that they were taken in.
pub(in crate::project) async fn invited(app: &App, op: &Op, project: &Project, user: &str) {
    let mark = format!("{}:{}", project.id, op.stamp());
    let words = project.sandbox.as_ref().map(|t| t.until.clone()).unwrap_or_default();
    let told = told(project, "sandbox.invited", &mark, &words, page(project));
    notice::give(app, op, Ok(vec![user.to_owned()]), &told).await;
}

/// Tells those who sit on the seats of something that waits.
pub(super) async fn seats(
    app: &App,
    op: &Op,
    project: &Project,
    reviews: &[Review],
    subject: &str,
    words: &str,
) {
    let told = told(project, "sandbox.asked", subject, words, "/console/releases".to_owned());
    notice::give(app, op, sitting(app, project, reviews).await, &told).await;
}

async fn sitting(app: &App, project: &Project, reviews: &[Review]) -> Result<Vec<String>> {
    let mut people = Vec::new();
    for review in reviews {
        if review.authority() {
            let region = app.store.org_require(&project.org).await?.region;
            people.extend(authority_people(app, &region).await?);
        } else {
            people.extend(app.store.holders(&review.org, Role::Reviewer, TOLD).await?);
        }
    }
    Ok(people)
}
