//! Programs of the data sandbox that want out of it, brought by an applicant through the pages. What each does inside the engine is tried
//! in `sandbox/src/tests.rs`; here is that nothing of it reaches the platform.

use std::sync::Arc;

use app::project::sandbox;
use axum::body::Body;
use axum::http::{Request, header};
use model::sandbox::RunState;
use testkit::House;

use super::doors::{Answer, Doors, PARTED, Visitor};
use crate::railway::until;
use crate::sandbox::sandboxed;

async fn bring(visitor: &mut Visitor, path: &str, name: &str, text: &str) -> Answer {
    let token = visitor.token().await;
    let body: String = [("csrf", token.as_str()), ("name", name), ("text", text)]
        .iter()
        .map(|(k, v)| {
            format!("--XX\r\nContent-Disposition: form-data; name=\"{k}\"\r\n\r\n{v}\r\n")
        })
        .collect();
    let request = Request::post(path).header(header::CONTENT_TYPE, PARTED);
    visitor.send(request, Body::from(format!("{body}--XX--\r\n"))).await
}

fn doing(code: &str) -> String {
    format!(
        "(module (import \"qiantang\" \"read\" (func $read (param i32 i64 i32 i32) (result i32))) \
         (memory (export \"memory\") 1) (func $self (result i32) (i32.add (call $self) (i32.const 1))) \
         (func (export \"run\") (result i32) {code}))"
    )
}

/// Modules that ask for files, sockets, a host's memory, or are no modules, are not taken; nor is one of a hundred megabytes.
#[tokio::test]
async fn modules_that_want_more_are_not_taken() {
    let team = sandboxed(House::new().await).await;
    let path = format!("/console/sandboxes/{}/programs", team.id);
    let doors = Doors::of(team.house);
    let mut consumer = doors.person("consumer").await;
    let run = "(memory (export \"memory\") 1) (func (export \"run\") (result i32) (i32.const 0))";
    for import in [
        "(import \"wasi_snapshot_preview1\" \"path_open\" (func (param i32) (result i32)))",
        "(import \"env\" \"system\" (func (param i32) (result i32)))",
        "(import \"qiantang\" \"connect\" (func))",
        "(import \"qiantang\" \"memory\" (memory 1))",
        "(import \"qiantang\" \"read\" (func (param i32)))",
    ] {
        let page = bring(&mut consumer, &path, "evil", &format!("(module {import} {run})")).await;
        assert_eq!(page.status, 400, "{import}: {}", page.text());
    }
    for text in ["(module)", "no module", "\0asm\u{1}\0\0\0\u{1}"] {
        let page = bring(&mut consumer, &path, "evil", text).await;
        assert_eq!(page.status, 400, "{text}: {}", page.text());
    }
    let request = Request::post(&path)
        .header(header::CONTENT_TYPE, PARTED)
        .header(header::CONTENT_LENGTH, 100_u64 << 20);
    let silent = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let page = consumer.send(request, Body::from_stream(silent)).await;
    page.refused(413, "超过上限", "larger than the limit");
    let large = vec![b' '; 3 << 20];
    let page = consumer.upload(&path, &[("name", "large")], "m.wasm", &large).await;
    assert_eq!(page.status, 400, "{}", page.text());
    let op = doors.house.person("consumer").await;
    assert!(sandbox::get(&doors.house.app, &op, &team.id).await.unwrap().programs.is_empty());
}

/// A program that never ends, one that calls itself without end, one that points outside its memory: the run fails and says why, and
/// the platform answers all the while.
#[tokio::test]
async fn programs_that_break_out_end_themselves_alone() {
    let mut house = House::new().await;
    let app = Arc::get_mut(&mut house.app).unwrap();
    app.rules.sandbox.program.fuel = 50_000_000;
    app.rules.sandbox.program.memory_mib = 4;
    let team = sandboxed(house).await;
    let path = format!("/console/sandboxes/{}", team.id);
    let doors = Doors::of(team.house);
    let mut consumer = doors.person("consumer").await;
    let page = consumer.post(&format!("{path}/samples"), &[("code", "renkou")]).await;
    assert_eq!(page.status, 303, "{}", page.text());
    for (n, code) in [
        "(loop $l (br $l)) (i32.const 0)",
        "(call $self)",
        "(call $read (i32.const 0) (i64.const 0) (i32.const -1) (i32.const 2))",
        "(call $read (i32.const 99) (i64.const 0) (i32.const 0) (i32.const 2))",
        "(i32.load (i32.const 70000))",
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 8)) (i32.const -1)))) (i32.const 0)",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("evil{n}");
        let page = bring(&mut consumer, &format!("{path}/programs"), &name, &doing(code)).await;
        assert_eq!(page.status, 303, "{code}: {}", page.text());
        let op = doors.house.person("consumer").await;
        let seen = sandbox::get(&doors.house.app, &op, &team.id).await.unwrap();
        let program = seen.programs.iter().find(|p| p.name == name).unwrap().id.clone();
        let into = format!("out{n}");
        let form = [
            ("kind", "program"),
            ("stage", "development"),
            ("into", into.as_str()),
            ("program", program.as_str()),
            ("input", "_box_s_renkou"),
            ("reason", "试算"),
        ];
        let page = consumer.post(&format!("{path}/runs"), &form).await;
        assert_eq!(page.status, 303, "{code}: {}", page.text());
        let run = until("the end of a run", async || {
            let seen = sandbox::get(&doors.house.app, &op, &team.id).await.unwrap();
            let run = seen.runs.into_iter().find(|r| r.into == into).ok_or("not there")?;
            match run.state {
                RunState::Failed | RunState::Done => Ok(run),
                state => Err(format!("{state:?}")),
            }
        })
        .await;
        assert_eq!(run.state, RunState::Failed, "{code}: {run:?}");
        assert!(run.error.is_some(), "{code}: it says why");
        assert_eq!(doors.visitor().get("/").await.status, 200, "{code}");
    }
}
