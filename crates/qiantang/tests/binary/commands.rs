//! Commands alone, and beside a running server.

use serde_json::Value;

use crate::desk::{Desk, listening, path_text, text};

const FILE: &str = "编号,名称,金额,日期\n1,甲,1.50,2026-01-01\n2,乙,2.25,2026-01-02\n";

/// `sniff --draft` → `catalogue import` → `catalogue list`: nothing to be filled in by hand.
#[test]
fn a_sniffed_draft_is_imported_as_it_stands() {
    let desk = Desk::new();
    desk.settle_in();
    let file = path_text(&desk.write("湖泊水质.csv", FILE));
    for (ending, code) in [("csv", "lake_a"), ("xlsx", "lake_b")] {
        let out = path_text(&desk.path(&format!("draft.{ending}")));
        let sniff = [
            "sniff", &file, "--draft", "--org", "market", "--region", "330000", "--code", code,
            "--out", &out, "--json",
        ];
        let output = crate::desk::binary().args(sniff).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["draft"]["code"], code);
        assert_eq!(told["draft"]["items"].as_array().unwrap().len(), 4);
        let report = &desk.json(&["catalogue", "import", &out, "--as", "provider"])[0];
        assert_eq!(report["applied"], true, "{report}");
        assert_eq!(report["created"], serde_json::json!([code]));
        // What was written is what was meant: the second time nothing changes.
        let report = &desk.json(&["catalogue", "import", &out, "--as", "provider"])[0];
        assert_eq!(report["changed"], serde_json::json!([]), "{report}");
    }
    let listed = desk.json(&["catalogue", "list", "--as", "provider"]);
    let codes: Vec<&str> = listed.iter().map(|e| e["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"lake_a") && codes.contains(&"lake_b"), "{codes:?}");
    assert_eq!(listed[0]["title"], "湖泊水质");
    assert_eq!(listed[0]["items"].as_array().unwrap().len(), 4);
}

/// Commands that change something are run by the server that holds the folder; paths are meant where the person stands.
#[test]
fn changing_commands_are_run_by_the_server() {
    let desk = Desk::new();
    desk.settle_in();
    let server = desk.serve();
    desk.write("湖泊.csv", FILE);
    let draft = path_text(&desk.path("draft.csv"));
    let sniff =
        ["--draft", "--org", "market", "--region", "330000", "--code", "lake", "--out", &draft];
    let file = path_text(&desk.path("湖泊.csv"));
    let output = crate::desk::binary().args(["sniff", &file]).args(sniff).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report = &desk.json(&["catalogue", "import", &draft, "--as", "provider"])[0];
    assert_eq!(report["applied"], true, "{report}");

    let mut ingest = crate::desk::binary();
    ingest.args(["ingest", "湖泊.csv", "--entry", "lake", "--as", "provider", "--json"]);
    let output = desk.place_of(&mut ingest).current_dir(desk.path("")).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["read"], &told["accepted"]), (&2.into(), &2.into()), "{told}");
    // The server's refusal reads, and counts, as if it were said here.
    let refused = desk.run(&["ingest", &file, "--entry", "none", "--as", "provider", "--json"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stdout).contains("\"code\":\"not_found\""));

    let bad = desk.run(&["org", "create", "--id", "x", "--uscc", "1", "--name", "x"]);
    assert_eq!(bad.status.code(), Some(2), "{}", text(&bad.stderr));
    server.stop();
    let verdict = desk.json(&["audit", "verify"])[0].clone();
    assert_eq!(verdict["intact"], true, "{verdict}");
}

/// Reading commands run beside a server on SQLite.
#[test]
fn reading_commands_run_beside_a_server() {
    let desk = Desk::new();
    desk.settle_in();
    let server = desk.serve();
    assert_eq!(desk.json(&["org", "list"]).len(), 2);
    assert_eq!(desk.json(&["account", "list"]).len(), 3);
    assert_eq!(desk.json(&["catalogue", "list"]).len(), 0);
    let out = path_text(&desk.path("all.csv"));
    desk.ok(&["catalogue", "export", &out, "--as", "authority"]);
    desk.ok(&["config", "check"]);
    let before = desk.json(&["audit", "verify"])[0].clone();
    assert_eq!(before["intact"], true, "{before}");

    // What was read beside the server is in the chain once the server looks again, here at its next start.
    server.stop();
    let _again = desk.serve();
    let after = desk.json(&["audit", "verify"])[0].clone();
    assert_eq!(after["intact"], true, "{after}");
    let gained = after["records"].as_u64().unwrap() - before["records"].as_u64().unwrap();
    assert!(gained >= 2, "the export and the verification are recorded: {before} {after}");
}

/// S20: every process answers health, readiness and figures, whatever its roles.
#[tokio::test]
async fn the_operators_door_tells_how_it_is() {
    let desk = Desk::new();
    desk.settle_in();
    let server = desk.serve();
    let get = async |url: String| {
        let answer = reqwest::get(&url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (operation, portal) = (server.url("operation"), server.url("portal"));
    assert_eq!(get(format!("{operation}/health")).await.0, 200);
    assert_eq!(get(format!("{portal}/health")).await.0, 200);
    let (status, ready) = get(format!("{operation}/ready")).await;
    assert_eq!(status, 200, "{ready}");
    assert!(ready.contains("\"lake\":\"ok\""), "{ready}");
    let _ = get(format!("{portal}/about")).await;
    // A refused call leaves a record.
    let _ = get(format!("{}/api/v1/anything", server.url("gateway"))).await;
    let (_, figures) = get(format!("{operation}/metrics")).await;
    for figure in [
        "qt_store_up 1",
        "qt_audit_records",
        "qt_audit_append_seconds",
        "qt_search_documents",
        "qt_http_seconds_bucket{door=\"portal\",method=\"GET\",route=\"/about\"",
    ] {
        assert!(figures.contains(figure), "no {figure} in:\n{figures}");
    }
    // The lake goes away: not ready, and it says which part.
    std::fs::remove_dir_all(desk.path("data/lake")).unwrap();
    let (status, ready) = get(format!("{operation}/ready")).await;
    assert_eq!(status, 503, "{ready}");
    assert!(ready.contains("\"lake\":\"unavailable\""), "{ready}");
    assert!(ready.contains("\"store\":\"ok\""), "{ready}");
}

/// A13: behind a proxy of ours the records name the caller, not the proxy, and not what the caller claims to be.
#[tokio::test]
async fn behind_a_proxy_records_name_the_caller() {
    let desk = Desk::with_config(&format!(
        "[data]\nfolder = \"data\"\n{}",
        listening(&["portal", "gateway", "operation"])
            .replace("[gateway]\n", "[gateway]\nbehind_proxy = true\n")
    ));
    let server = desk.serve();
    let answer = reqwest::Client::new()
        .get(format!("{}/api/v1/anything", server.url("gateway")))
        .header("x-qt-key", "no-such-key")
        .header("x-qt-timestamp", "1")
        .header("x-qt-nonce", "n")
        .header("x-qt-signature", "s")
        .header("x-forwarded-for", "198.51.100.7, 203.0.113.9")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    let records = desk.ok(&["audit", "export"]);
    assert!(records.contains("203.0.113.9") && !records.contains("198.51.100.7"), "{records}");
    // The figures of the door are for this machine only, and such a caller is not on it.
    let figures = reqwest::Client::new()
        .get(format!("{}/metrics", server.url("gateway")))
        .header("x-forwarded-for", "203.0.113.9")
        .send()
        .await
        .unwrap();
    assert_eq!(figures.status(), 404);
}

#[test]
fn errors_are_told_in_json_and_by_the_exit_code() {
    let desk = Desk::new();
    let output = desk.run(&["account", "list", "--as", "nobody-here", "--json"]);
    assert!(!output.status.success());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["error"]["message_zh"].is_string() && told["error"]["code"].is_string());
    let bad = desk.write("bad.toml", "[log]\nlevel = \"inof\"\n");
    let output =
        crate::desk::binary().args(["config", "check", "--config"]).arg(bad).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("log.level"));
}

/// The desk of real-name verification is the authority's on the command line, too.
#[test]
fn the_real_name_desk_answers_the_authority_alone() {
    let desk = Desk::new();
    desk.settle_in();
    assert!(desk.json(&["realname", "list", "--as", "authority"]).is_empty());
    assert!(desk.json(&["realname", "list", "--state", "all", "--as", "authority"]).is_empty());
    let refused = |args: &[&str], exit: i32, code: &str| {
        let all: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let output = desk.run(&all);
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {told}{}", text(&output.stderr));
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["error"]["code"], code, "{told}");
        assert!(told["error"]["message_zh"].is_string() && told["error"]["message"].is_string());
    };
    refused(&["realname", "list", "--state", "lost", "--as", "authority"], 1, "invalid_input");
    refused(&["realname", "list", "--as", "provider"], 3, "denied");
    for verb in [&["show", "none"][..], &["number", "none"], &["approve", "none"]] {
        let args: Vec<&str> = [&["realname"][..], verb, &["--as", "authority"]].concat();
        refused(&args, 1, "not_found");
    }
    for verb in ["refuse", "revoke"] {
        let args = ["realname", verb, "none", "--reason", "核验材料系伪造", "--as", "authority"];
        refused(&args, 1, "not_found");
    }
    // Changing ones are run by a server that holds the folder, and told the same.
    let server = desk.serve();
    refused(
        &["realname", "revoke", "none", "--reason", "伪造", "--as", "authority"],
        1,
        "not_found",
    );
    server.stop();
}
