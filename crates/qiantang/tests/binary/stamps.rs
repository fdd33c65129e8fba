//! Time stamps from the configuration file to the offline check: a server that seals, a real authority, and the command that needs
//! neither of them.

use serde_json::Value;
use testkit::Tsa;

use crate::desk::{Desk, binary, listening, path_text, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_is_checked_without_platform_and_network() {
    let (tsa, other) = (Tsa::start().await, Tsa::start().await);
    let desk = Desk::with_config(&format!(
        "[data]\nfolder = \"data\"\n{}[tsa]\nurl = \"{}\"\nauthorities = \"tsa.pem\"\n[outgoing]\nallow = [\"127.0.0.1\"]\n",
        listening(&["portal", "gateway", "operation"]),
        tsa.url()
    ));
    let trusted = path_text(&desk.write("tsa.pem", &tsa.authorities()));
    let foreign = path_text(&desk.write("other.pem", &other.authorities()));
    desk.settle_in();
    let server = desk.serve();
    // The job takes its first turn when the server starts.
    let first = || {
        let seals = desk.json(&["evidence", "seals", "--as", "auditor"])[0].clone();
        seals.as_array().and_then(|all| all.last().cloned()).filter(|one| one["stamp"].is_object())
    };
    let seal = (0..100).find_map(|_| first()).expect("the first seal is stamped");
    let listed = desk.ok(&["evidence", "seals", "--as", "auditor"]);
    assert!(listed.contains("stamped"), "{listed}");
    let keys = path_text(&desk.write("keys.json", &desk.ok(&["evidence", "keys"])));
    let proof = path_text(
        &desk.write("proof.json", &desk.ok(&["evidence", "prove", "1", "--as", "auditor"])),
    );
    let verdict = desk.json(&["audit", "verify"])[0].clone();
    assert_eq!(verdict["intact"], true, "{verdict}");
    server.stop();

    let statement = path_text(&desk.write("seal.txt", seal["statement"].as_str().unwrap()));
    let token = path_text(&desk.write("seal.tst", seal["stamp"]["token"].as_str().unwrap()));
    let verify = |more: &[&str]| {
        let output =
            binary().args(["evidence", "verify", "--keys", &keys]).args(more).output().unwrap();
        (output.status.code(), text(&output.stdout) + text(&output.stderr).as_str())
    };
    let at = seal["stamp"]["at"].as_str().unwrap();
    let with_stamp = [statement.as_str(), "--stamp", &token, "--authorities", &trusted];
    let (code, told) = verify(&with_stamp);
    assert!(code == Some(0) && told.contains(at) && told.contains("Rehearsal rsa"), "{told}");
    let (code, told) = verify(&[&proof, "--authorities", &trusted, "--json"]);
    let told: Value = serde_json::from_str(told.trim()).unwrap();
    assert_eq!(
        (code, told["stamp"]["at"].as_str(), &told["stamp"]["checked"]),
        (Some(0), Some(at), &true.into())
    );

    let (code, told) = verify(&[&proof, "--authorities", &foreign]);
    assert!(code == Some(1) && told.contains("none of the authorities"), "{told}");
    let (code, told) = verify(&[&proof]);
    assert!(code == Some(0) && told.contains("not checked"), "{told}");
    // What was asked for and cannot be checked is no success.
    for more in
        [[statement.as_str(), "--authorities", &trusted], [proof.as_str(), "--stamp", &token]]
    {
        let (code, told) = verify(&more);
        assert!(code == Some(1) && !told.contains("属实"), "{told}");
    }
    // A file of authorities that is gone is told before a server starts without it.
    std::fs::remove_file(desk.path("tsa.pem")).unwrap();
    let refused = desk.run(&["config", "check"]);
    assert!(text(&refused.stderr).contains("tsa.pem"), "{}", text(&refused.stderr));
}
