//! How soon a switch that one process turns is known in all: emergency stops, and interfaces that are new or changed.
//!
//! ```text
//! town     PostgreSQL, the demo province with its crowd in it, and a process for each role
//! callers  who calls without a pause, by every way out, and what each was answered when
//! stops    the officer's two buttons, and the first call that is refused, and served again, at each process
//! live     an interface published, changed, and given to other callers, beside those who call the others
//! ```

mod callers;
mod live;
mod stops;
mod town;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use self::callers::{Ask, Caller, Sql, Way, get};
use self::town::Town;
use crate::Outcome;
use crate::calls::lookup;
use crate::enrol::{AppKey, Enrolled, Interface, Person, RESOURCE, between, enrol};
use crate::plan::Crowd;

/// The key by which a row is looked up, and a column that everybody is told.
const KEY: &str = "tyshxydm";
const NAME: &str = "qymc";
/// From one call of a caller to its next: short beside what is measured, and long enough that calls do not queue for the processors.
const PACE: Duration = Duration::from_millis(5);
/// The same of a page, which costs more.
const PAGE_PACE: Duration = Duration::from_millis(25);

/// Fills a province, turns the switches `rounds` times, and writes what was seen to `switch.json` in the folder.
pub(crate) async fn run(qiantang: &Path, dir: &Path, rounds: usize) -> Outcome {
    std::fs::create_dir_all(dir)?;
    let town = Town::open(qiantang, dir).await?;
    match measure(&town, rounds).await {
        Ok(told) => Ok(std::fs::write(dir.join("switch.json"), serde_json::to_vec(&told)?)?),
        Err(why) => Err(format!("{why}\n{}", town.tails()).into()),
    }
}

async fn measure(town: &Town, rounds: usize) -> Outcome<Value> {
    let stage = Stage::set(town).await?;
    let stops = stops::measure(&stage, rounds).await?;
    let live = live::measure(&stage, rounds).await?;
    Ok(json!({ "rounds": rounds, "stops": stops, "live": live }))
}

/// Milliseconds, to a tenth.
pub(crate) fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Who does what to what.
pub(crate) struct Stage<'a> {
    pub(crate) town: &'a Town,
    pub(crate) client: reqwest::Client,
    /// The application that calls, approved for [`RESOURCE`] by every way.
    pub(crate) app: AppKey,
    pub(crate) id: String,
    sql_password: String,
    bearer: String,
    /// Of the resource in the application's share.
    schema: String,
    /// The row that is looked up, as the application is told it.
    pub(crate) row: Map<String, Value>,
    /// The interface that is stopped.
    pub(crate) interface: Interface,
    crowd: Crowd,
    pub(crate) security: Person,
    pub(crate) authority: Person,
}

impl<'a> Stage<'a> {
    async fn set(town: &'a Town) -> Outcome<Self> {
        let ready = &town.ready;
        let Enrolled { app, id } = enrol(ready, true).await?;
        let consumer = Person::sign_in(ready, "consumer").await?;
        let at = format!("/console/applications/{id}/sql");
        let (_, page) = consumer.post(&at, &format!("{at}/password"), &[]).await?;
        let password = between(&page, "id=\"secret\">", "<").ok_or("no SQL password was shown")?;
        let at = format!("/console/applications/{id}/delta");
        let (_, profile) = consumer.post(&at, &format!("{at}/token"), &[("days", "30")]).await?;
        let profile: Value = serde_json::from_str(&profile)?;
        let bearer = profile.get("bearerToken").and_then(Value::as_str);
        let bearer = bearer.ok_or("a profile without a token")?.to_owned();

        let client = reqwest::Client::new();
        let gate = town.gateways.first().ok_or("no gateway")?;
        let (_, text) = get(&client, gate, &app, &format!("/api/v1/{RESOURCE}"), "limit=1").await?;
        let rows: Vec<Map<String, Value>> =
            serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        let row = rows.into_iter().next().ok_or("no row to look up")?;
        let schema = schema(&client, gate, &bearer).await?;
        let fits =
            |i: &&Interface| i.kind == "query" && i.entry == RESOURCE && i.params == ["uscc"];
        let interface = ready.interfaces.iter().find(fits).cloned();
        Ok(Self {
            town,
            client,
            app,
            id,
            sql_password: password.trim().to_owned(),
            bearer,
            schema,
            row,
            interface: interface.ok_or("the demo has no interface that looks the row up")?,
            crowd: Crowd::read(ready.crowd.as_deref())?,
            security: Person::sign_in(ready, "security_officer").await?,
            authority: Person::sign_in(ready, "authority").await?,
        })
    }

    /// A value of the row.
    fn value(&self, column: &str) -> Outcome<&str> {
        let found = self.row.get(column).and_then(Value::as_str);
        Ok(found.ok_or_else(|| format!("the row has no text in `{column}`: {:?}", self.row))?)
    }

    /// Those who call by every way out, at every process that has a door.
    pub(crate) async fn callers(&self) -> Outcome<Vec<Caller>> {
        let (key, name) = (self.value(KEY)?, self.value(NAME)?);
        let right = format!("\"{name}\"");
        let mut all = Vec::new();
        for (process, gate) in self.gateways() {
            let by = |path: String, query: String| Ask::Get {
                client: self.client.clone(),
                gate: gate.to_owned(),
                app: self.app.clone(),
                path,
                query,
                right: right.clone(),
            };
            let rows = by(format!("/api/v1/{RESOURCE}"), lookup(KEY, key));
            let called =
                by(format!("/api/interface/{}", self.interface.code), format!("uscc={key}"));
            let delta = Ask::Delta {
                client: self.client.clone(),
                url: format!(
                    "{gate}/delta-sharing/shares/qiantang/schemas/{}/tables/{RESOURCE}/query",
                    self.schema
                ),
                bearer: self.bearer.clone(),
            };
            all.push(Caller::begin(&process, Way::Rows, rows, PACE));
            all.push(Caller::begin(&process, Way::Interface, called, PACE));
            all.push(Caller::begin(&process, Way::Delta, delta, PACE));
        }
        let sql = Sql::new(
            &self.town.sql,
            (self.app.key.as_str(), self.sql_password.as_str()),
            format!("select {NAME} from {RESOURCE} where {KEY} = '{key}'"),
            name,
        )?;
        all.push(Caller::begin("sql", Way::Sql, Ask::Sql(Box::new(sql)), PACE));
        let consumer = Person::sign_in(&self.town.ready, "consumer").await?;
        let page = format!("/console/interfaces/{}", self.interface.id);
        let token = consumer.token(&page).await?;
        let fields = [("csrf", token.as_str()), ("application", self.id.as_str()), ("p-uscc", key)];
        let tried = Ask::Console {
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            to: format!("{page}/try"),
            person: Box::new(consumer),
        };
        all.push(Caller::begin("portal", Way::Console, tried, PAGE_PACE));
        Ok(all)
    }

    /// Thousands of applications through hundreds of interfaces in turn, two callers at each gateway.
    pub(crate) fn others(&self) -> Outcome<Vec<Caller>> {
        let (key, name) = (self.value(KEY)?, self.value(NAME)?);
        let apps = Arc::new(self.crowd.apps.clone());
        let codes = Arc::new(self.crowd.lookups.clone());
        let mut all = Vec::new();
        for (process, gate) in self.gateways() {
            for _ in 0..2 {
                let ask = Ask::Others {
                    client: self.client.clone(),
                    gate: gate.to_owned(),
                    apps: Arc::clone(&apps),
                    codes: Arc::clone(&codes),
                    query: format!("uscc={key}"),
                    right: format!("\"{name}\""),
                    // Each begins elsewhere.
                    number: all.len() * 97,
                };
                all.push(Caller::begin(&process, Way::Others, ask, PACE));
            }
        }
        Ok(all)
    }

    /// Names and addresses of the gateways.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = (String, &str)> {
        let named = |(n, gate): (usize, &'a String)| (format!("gateway {}", n + 1), gate.as_str());
        self.town.gateways.iter().enumerate().map(named)
    }
}

/// The schema in which the application's share has the resource.
async fn schema(client: &reqwest::Client, gate: &str, bearer: &str) -> Outcome<String> {
    let url = format!("{gate}/delta-sharing/shares/qiantang/all-tables");
    let answer = client.get(url).bearer_auth(bearer).send().await?.error_for_status()?;
    let told: Value = answer.json().await?;
    let mut tables = told.get("items").and_then(Value::as_array).into_iter().flatten();
    let text = |table: &Value, name: &str| {
        table.get(name).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
    };
    let found = tables.find(|t| text(t, "name") == RESOURCE);
    let schema = found.map(|t| text(t, "schema"));
    schema.ok_or_else(|| format!("the share has no `{RESOURCE}`: {told}").into())
}
