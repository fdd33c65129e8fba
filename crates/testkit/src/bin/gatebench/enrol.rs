//! Enrolment: an application registered and approved by the pages of a demo, by the people who may.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::calls::now;

/// What is called: the largest governed resource of the demo, and columns of which some leave masked.
pub(crate) const RESOURCE: &str = "fr_jbxx";
const ITEMS: &[&str] = &["tyshxydm", "qymc", "fddbr", "djzt", "clrq"];
/// Calls per day that are applied for: the quota is metered but must not end the measurement.
const CALLS_PER_DAY: &str = "100000000000";

/// What the demo says of itself when it is ready (the parts needed here).
#[derive(Deserialize)]
pub(crate) struct Ready {
    pub(crate) portal: String,
    accounts: Vec<Account>,
    pub(crate) resources: Vec<Resource>,
    #[serde(default)]
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) crowd: Option<PathBuf>,
}

/// An interface of the demo.
#[derive(Clone, Deserialize)]
pub(crate) struct Interface {
    /// Of its page in the console.
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) kind: String,
    pub(crate) entry: String,
    pub(crate) params: Vec<String>,
}

/// An application that was registered, and its id in the console.
pub(crate) struct Enrolled {
    pub(crate) app: AppKey,
    pub(crate) id: String,
}

#[derive(Deserialize)]
struct Account {
    role: String,
    user: String,
    password: String,
}

/// An application's credential.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AppKey {
    pub(crate) key: String,
    pub(crate) secret: String,
}

#[derive(Deserialize)]
pub(crate) struct Resource {
    pub(crate) code: String,
    pub(crate) url: String,
}

/// A signed-in person of the demo, using its pages.
pub(crate) struct Person {
    pub(crate) client: reqwest::Client,
    pub(crate) portal: String,
}

impl Person {
    pub(crate) async fn sign_in(ready: &Ready, role: &str) -> Outcome<Self> {
        let found = ready.accounts.iter().find(|a| a.role == role);
        let account = found.ok_or_else(|| format!("the demo has no account of role {role}"))?;
        let client = reqwest::Client::builder().cookie_store(true).build()?;
        let person = Self { client, portal: ready.portal.trim_end_matches('/').to_owned() };
        let fields = [("name", account.user.as_str()), ("password", account.password.as_str())];
        person.post("/login", "/login", &fields).await?;
        Ok(person)
    }

    pub(crate) async fn page(&self, path: &str) -> Outcome<String> {
        let answer = self.client.get(format!("{}{path}", self.portal)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// The token of the forms of a page.
    pub(crate) async fn token(&self, at: &str) -> Outcome<String> {
        let page = self.page(at).await?;
        let csrf = between(&page, "name=\"csrf\" value=\"", "\"");
        Ok(csrf.ok_or_else(|| format!("a page without csrf: {at}"))?.to_owned())
    }

    /// Posts a form of the page `at`; answers where it led and the page there.
    pub(crate) async fn post(
        &self,
        at: &str,
        to: &str,
        fields: &[(&str, &str)],
    ) -> Outcome<(String, String)> {
        let token = self.token(at).await?;
        self.send(to, &token, fields).await
    }

    /// Sends a form with the token of its page; answers where it led and the page there.
    pub(crate) async fn send(
        &self,
        to: &str,
        token: &str,
        fields: &[(&str, &str)],
    ) -> Outcome<(String, String)> {
        let mut form = vec![("csrf", token)];
        form.extend_from_slice(fields);
        let answer = self.client.post(format!("{}{to}", self.portal)).form(&form).send().await?;
        let (status, path) = (answer.status(), answer.url().path().to_owned());
        let text = answer.text().await?;
        if status.is_success() {
            return Ok((path, text));
        }
        let why = between(&text, "<main", "</main>").unwrap_or_default();
        Err(format!("{to} answered {status}:\n{why}").into())
    }
}

/// What stands between two marks.
pub(crate) fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(found, _)| found)
}

/// Registers an application and has its request approved by all who must; `by_sql`: for batch use, too.
pub(crate) async fn enrol(ready: &Ready, by_sql: bool) -> Outcome<Enrolled> {
    let consumer = Person::sign_in(ready, "consumer").await?;
    let name = format!("gate bench {}", now()?);
    let fields = [("name", name.as_str()), ("description", "bench")];
    let (_, page) =
        consumer.post("/console/applications", "/console/applications", &fields).await?;
    let part =
        |id: &str| between(&page, &format!("id=\"{id}\">"), "<").map(|t| t.trim().to_owned());
    let app = AppKey {
        key: part("key").ok_or("no key was shown")?,
        secret: part("secret").ok_or("no secret was shown")?,
    };

    let apply = format!("/apply/{RESOURCE}");
    let page = consumer.page(&apply).await?;
    let id = page
        .split("<option value=\"")
        .filter_map(|rest| rest.split_once('"'))
        .find(|(_, rest)| between(rest, ">", "<") == Some(&name))
        .map(|(id, _)| id.to_owned())
        .ok_or("the application cannot be chosen")?;
    let mut fields = vec![
        ("application", id.as_str()),
        ("scene", "bench of the gate"),
        ("legal_basis", "bench"),
        ("period", "90"),
        ("calls_per_day", CALLS_PER_DAY),
    ];
    fields.extend(ITEMS.iter().map(|i| ("items", *i)));
    if by_sql {
        fields.push(("by_sql", "on"));
    }
    let (request, _) = consumer.post(&apply, &apply, &fields).await?;
    for role in ["reviewer", "authority"] {
        let person = Person::sign_in(ready, role).await?;
        if person.page(&request).await?.contains("value=\"approve\"") {
            let fields = [("do", "approve"), ("reason", "bench")];
            person.post(&request, &format!("{request}/decide"), &fields).await?;
        }
    }
    Ok(Enrolled { app, id })
}
