//! `config check` reads the files of TLS as `serve` does: what would keep a door shut is told before anything is started.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::desk::{Desk, binary, command, listening, text};

/// Makes a certificate by itself and its key, `{name}.crt` and `{name}.key`.
fn certify(desk: &Desk, name: &str, days: u32) {
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let args = format!(
        "{new} -keyout {name}.key -out {name}.crt -days {days} -subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
    );
    let mut openssl = command(Path::new("openssl"));
    let done = openssl.args(args.split(' ')).current_dir(desk.path("")).output().unwrap();
    assert!(done.status.success(), "{args}: {}", text(&done.stderr));
}

fn check(desk: &Desk, config: &str, json: bool) -> Output {
    let file = desk.write("tls.toml", config);
    let mut check = binary();
    check.args(["config", "check", "--config"]).arg(file);
    if json {
        check.arg("--json");
    }
    check.output().unwrap()
}

const ALL: &str = "roles = [\"portal\", \"gateway\", \"worker\", \"sql\"]\n";

/// The part of each door that names its files.
fn gateway(cert: &str, key: &str, more: &str) -> String {
    format!("{ALL}[tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n{more}")
}

fn sql(cert: &str, key: &str, more: &str) -> String {
    format!("{ALL}[sql]\ncertificate_file = \"{cert}\"\nkey_file = \"{key}\"\n{more}")
}

/// A key that lost its line ends is one line that begins and ends as the first of a key does.
#[test]
fn of_a_broken_key_nothing_is_told() {
    let desk = Desk::new();
    certify(&desk, "good", 365);
    let key = std::fs::read_to_string(desk.path("good.key")).unwrap();
    let line = key.replace('\n', "");
    let body = key.lines().nth(1).unwrap();
    for broken in [line.clone(), line.replacen("BEGIN", "BEGAN", 1)] {
        desk.write("flat.key", &broken);
        for config in [gateway("good.crt", "flat.key", ""), sql("good.crt", "flat.key", "")] {
            for json in [false, true] {
                let output = check(&desk, &config, json);
                assert_eq!(output.status.code(), Some(1), "{broken}");
                let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
                assert!(told.contains("flat.key"), "{told}");
                let bytes = format!("{:?}", body.as_bytes());
                let bytes = bytes.trim_matches(['[', ']']);
                assert!(!told.contains(body) && !told.contains(bytes), "the key is told");
            }
        }
    }
}

#[test]
fn a_file_of_tls_that_does_not_serve_is_told_with_its_key_and_remedy() {
    let desk = Desk::new();
    certify(&desk, "good", 365);
    certify(&desk, "other", 365);
    desk.write("torn.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    for (config, key, file, zh, en) in [
        (gateway("none.crt", "good.key", ""), "tls.cert", "none.crt", "检查路径", "check the path"),
        (
            gateway("good.key", "good.key", ""),
            "tls.cert",
            "good.key",
            "不含证书",
            "holds no certificate",
        ),
        (
            gateway("torn.crt", "good.key", ""),
            "tls.cert",
            "torn.crt",
            "重新复制",
            "copy the certificate anew",
        ),
        (gateway("good.crt", "none.key", ""), "tls.key", "none.key", "检查路径", "check the path"),
        (
            gateway("good.crt", "good.crt", ""),
            "tls.key",
            "good.crt",
            "不含私钥",
            "holds no private key",
        ),
        (
            gateway("good.crt", "other.key", ""),
            "tls.key",
            "other.key",
            "不配对",
            "does not belong to tls.cert",
        ),
        (
            gateway("good.crt", "good.key", "client_ca = \"good.key\"\n"),
            "tls.client_ca",
            "good.key",
            "不含证书",
            "holds no certificate",
        ),
        (
            sql("none.crt", "good.key", ""),
            "sql.certificate_file",
            "none.crt",
            "检查路径",
            "check the path",
        ),
        (
            sql("good.crt", "other.key", ""),
            "sql.key_file",
            "other.key",
            "不配对",
            "does not belong to sql.certificate_file",
        ),
        (
            sql("good.crt", "good.key", "client_ca_file = \"none.crt\"\n"),
            "sql.client_ca_file",
            "none.crt",
            "检查路径",
            "check the path",
        ),
    ] {
        let output = check(&desk, &config, true);
        assert_eq!(output.status.code(), Some(1), "{config}{}", text(&output.stdout));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        for (voice, remedy) in [("message_zh", zh), ("message", en)] {
            let told = told["error"][voice].as_str().unwrap();
            assert!(told.contains(key) && told.contains(file) && told.contains(remedy), "{told}");
        }
        // Both are told in words, too.
        let words = text(&check(&desk, &config, false).stderr);
        assert!(words.contains(zh) && words.contains(en), "{words}");
    }
    // A process that has no such door does not open its files.
    let elsewhere = gateway("none.crt", "none.key", "").replace(
        ALL,
        "roles = [\"worker\"]\nstore = { url = \"postgres://nobody@127.0.0.1:9/none\" }\n",
    );
    let output = check(&desk, &elsewhere, true);
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn what_the_check_refuses_keeps_the_server_from_starting() {
    let desk = Desk::new();
    certify(&desk, "good", 365);
    certify(&desk, "other", 365);
    let doors = listening(&["portal", "gateway", "operation"]);
    let config = format!(
        "[data]\nfolder = \"data\"\n{doors}[tls]\ncert = \"good.crt\"\nkey = \"other.key\"\n"
    );
    let checked = check(&desk, &config, true);
    let served = binary().args(["serve", "--json", "--config"]).arg(desk.path("tls.toml")).output();
    let served = served.unwrap();
    assert_eq!((checked.status.code(), served.status.code()), (Some(1), Some(1)));
    let told: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let said = text(&served.stdout);
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"], told["error"], "{said}");
}

#[test]
fn a_certificate_that_ends_soon_is_a_note() {
    let desk = Desk::new();
    certify(&desk, "good", 365);
    certify(&desk, "short", 3);
    let config = gateway("good.crt", "good.key", "client_ca = \"short.crt\"\n");
    let config =
        format!("{config}[sql]\ncertificate_file = \"short.crt\"\nkey_file = \"short.key\"\n");
    let output = check(&desk, &config, true);
    assert!(output.status.success(), "{}", text(&output.stdout));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let notes = told["advice"].as_array().unwrap();
    for (key, said) in
        [("tls.client_ca", true), ("sql.certificate_file", true), ("tls.cert", false)]
    {
        let about = |voice: &str, words: &str| {
            let note =
                |n: &Value| n[voice].as_str().is_some_and(|t| t.contains(key) && t.contains(words));
            notes.iter().filter(|n| note(n)).count()
        };
        let found = (about("zh", "将于"), about("en", "ends on"));
        assert_eq!(found, (usize::from(said), usize::from(said)), "{key}: {notes:?}");
    }
}
