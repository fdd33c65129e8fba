//! Portal, gateway and worker as three processes on one PostgreSQL: what one publishes, the others find and serve.
//!
//! When this fails: `the server did not start` shows the server's own words; a missing PostgreSQL is installed by
//! `cargo xtask setup`; a page that answers otherwise is shown with its text.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Client, redirect};
use serde_json::Value;

use crate::desk::{Desk, PASSWORD, Server, listening, path_text, text};

const ROWS: &str = "编号,名称,金额,日期\n1,西湖,1.50,2026-01-01\n2,湘湖,2.25,2026-01-02\n";
const CODE: &str = "lake_water";

/// One signed-in person at the portal.
struct Browser {
    client: Client,
    portal: String,
}

impl Browser {
    async fn sign_in(portal: &str, name: &str) -> Self {
        let client = Client::builder()
            .cookie_store(true)
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        let this = Self { client, portal: portal.to_owned() };
        let csrf = this.csrf("/login").await;
        let form = [("name", name), ("password", PASSWORD), ("csrf", csrf.as_str()), ("next", "")];
        this.posted(this.client.post(this.url("/login")).form(&form)).await;
        this
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.portal)
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        let status = answer.status();
        let page = answer.text().await.unwrap();
        assert!(status.is_success(), "GET {path} answered {status}:\n{page}");
        page
    }

    /// The token in a page's forms.
    async fn csrf(&self, path: &str) -> String {
        let page = self.page(path).await;
        let after =
            page.split("name=\"csrf\"").nth(1).unwrap_or_else(|| panic!("no form:\n{page}"));
        after.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    /// Sends a form; the address it leads to, or the page itself.
    async fn posted(&self, request: reqwest::RequestBuilder) -> String {
        let answer = request.send().await.unwrap();
        let (status, to) = (answer.status(), answer.headers().get("location").cloned());
        let page = answer.text().await.unwrap();
        assert!(
            status.is_success() || status.is_redirection(),
            "the form was answered {status}:\n{page}"
        );
        to.map_or(page, |to| to.to_str().unwrap().to_owned())
    }

    async fn step(&self, entry: &str, step: &str) {
        let path = format!("/console/entries/{entry}");
        let csrf = self.csrf(&path).await;
        let form = [("move", step), ("reason", "三个进程的试运行"), ("csrf", csrf.as_str())];
        self.posted(self.client.post(self.url(&format!("{path}/moves"))).form(&form)).await;
    }

    /// Sends a file with the fields before it.
    async fn upload(&self, form_at: &str, to: &str, name: &str, bytes: Vec<u8>) -> String {
        let form = Form::new()
            .text("csrf", self.csrf(form_at).await)
            .part("file", Part::bytes(bytes).file_name(name.to_owned()));
        self.posted(self.client.post(self.url(to)).multipart(form)).await
    }
}

fn config(roles: &str, url: &str) -> String {
    format!(
        "roles = [\"{roles}\"]\n[data]\nfolder = \"data\"\n[store]\nurl = \"{url}\"\n{}",
        listening(&["portal", "gateway", "operation"])
    )
}

/// A draft as an operator gets it from the sample file, opened to everybody.
fn open_sheet(desk: &Desk, file: &str, code: &str, title: &str) -> String {
    let sheet = path_text(&desk.path(&format!("{code}.csv")));
    let output = crate::desk::binary()
        .args(["sniff", file, "--draft", "--org", "market", "--region", "330000"])
        .args(["--code", code, "--out", &sheet])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let drafted = std::fs::read_to_string(&sheet).unwrap();
    let open = drafted
        .replace(",禁止开放,", ",无条件开放,")
        .replace(",受限共享,", ",无条件共享,")
        .replace("rows", title);
    std::fs::write(&sheet, open).unwrap();
    sheet
}

#[tokio::test]
async fn what_one_process_publishes_the_others_find_and_serve() {
    let cluster = testkit::Postgres::start();
    let url = cluster.database("roles");
    let desk = Desk::with_config(&config("worker", &url));
    let places: Vec<Vec<String>> = ["portal", "gateway", "worker"]
        .iter()
        .map(|role| {
            let file = desk.write(&format!("{role}.toml"), &config(role, &url));
            vec!["--config".to_owned(), path_text(&file)]
        })
        .collect();
    // All at once, on an empty database and a new folder.
    let starting: Vec<_> =
        places.into_iter().map(|place| std::thread::spawn(move || Server::start(&place))).collect();
    let servers: Vec<Server> = starting.into_iter().map(|s| s.join().unwrap()).collect();
    let [portal, gateway, worker] = servers.as_slice() else { panic!("three were started") };

    for server in [portal, gateway, worker] {
        let ready = reqwest::get(format!("{}/ready", server.url("operation"))).await.unwrap();
        assert_eq!(ready.status(), 200, "{}: {}", server.told, ready.text().await.unwrap());
    }
    // People come by commands, beside the running processes.
    desk.settle_in();

    // The provider compiles and publishes through the portal's process.
    let file = path_text(&desk.write("rows.csv", ROWS));
    let sheet = open_sheet(&desk, &file, CODE, "湖泊水质");
    let provider = Browser::sign_in(&portal.url("portal"), "provider").await;
    let authority = Browser::sign_in(&portal.url("portal"), "authority").await;
    let bytes = std::fs::read(&sheet).unwrap();
    let report = provider.upload("/console/import", "/console/import", "draft.csv", bytes).await;
    let listed = desk.json(&["catalogue", "list", "--as", "provider"]);
    let entry = listed.first().unwrap_or_else(|| panic!("nothing was imported:\n{report}"));
    let id = entry["id"].as_str().unwrap();
    provider.step(id, "submit").await;
    authority.step(id, "approve").await;
    let run = provider
        .upload(
            &format!("/console/entries/{id}"),
            &format!("/console/entries/{id}/collect"),
            "rows.csv",
            ROWS.into(),
        )
        .await;
    assert!(run.starts_with("/console/runs/"), "{run}");
    provider.step(id, "put_online").await;
    authority.step(id, "approve").await;

    // It is found there, and the gateway's process serves its rows.
    let found = provider.page("/data?q=%E6%B9%96%E6%B3%8A%E6%B0%B4%E8%B4%A8").await;
    assert!(found.contains(CODE), "the published entry is not found:\n{found}");
    let rows = rows_of(&format!("{}/api/v1/{CODE}", gateway.url("gateway"))).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows}");

    // What yet another process enters is found through the portal's index.
    let second = open_sheet(&desk, &file, "lake_level", "湖泊水位");
    desk.ok(&["catalogue", "import", &second, "--as", "provider"]);
    for step in ["submit", "put_online"] {
        let listed = desk.json(&["catalogue", "list", "--text", "lake_level", "--as", "provider"]);
        let id = listed[0]["id"].as_str().unwrap();
        provider.step(id, step).await;
        authority.step(id, "approve").await;
    }
    desk.ok(&["catalogue", "import", &retitled(&desk, &second), "--as", "provider", "--dry-run"]);
    let found = provider.page("/data?q=%E6%B9%96%E6%B3%8A%E6%B0%B4%E4%BD%8D").await;
    assert!(found.contains("lake_level"), "an entry of another process is not found:\n{found}");

    // Figures come from the worker, too, and the chain holds what all processes wrote.
    let metrics = reqwest::get(format!("{}/metrics", worker.url("operation"))).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("qt_runs{state=\"succeeded\"} 1"), "{metrics}");
    let verdict = desk.json(&["audit", "verify"])[0].clone();
    assert_eq!(verdict["intact"], true, "{verdict}");
}

fn retitled(desk: &Desk, sheet: &str) -> String {
    let text = std::fs::read_to_string(sheet).unwrap().replace("湖泊水位", "湖泊水位（修订）");
    path_text(&desk.write("retitled.csv", &text))
}

/// Rows of a resource once its first collection has ended.
async fn rows_of(url: &str) -> Value {
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    let mut last = Value::Null;
    for _ in 0..150 {
        looks.tick().await;
        let answer = reqwest::get(url).await.unwrap();
        let status = answer.status();
        last = answer.json().await.unwrap_or(Value::Null);
        if status.is_success() && last.as_array().is_some_and(|rows| !rows.is_empty()) {
            return last;
        }
    }
    panic!("the gateway's process does not serve the rows; its last answer: {last}");
}

/// B6: a process with a key of its own is refused before it seals anything, and told what to do.
#[test]
fn a_process_with_another_master_key_is_refused() {
    let cluster = testkit::Postgres::start();
    let url = cluster.database("keys");
    let first = Desk::with_config(&config("worker", &url));
    first.settle_in();
    let second = Desk::with_config(&config("worker", &url));
    let refused = second.run(&["org", "list"]);
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("data.key_file"), "{told}");
    // With the first one's key a folder of its own will do.
    let key = path_text(&first.path("data/master.key"));
    let third = Desk::with_config(
        &config("worker", &url)
            .replace("folder = \"data\"", &format!("folder = \"data\"\nkey_file = \"{key}\"")),
    );
    assert_eq!(third.json(&["org", "list"]).len(), 2);
}
