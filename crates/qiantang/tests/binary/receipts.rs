//! What evidence is signed by, from the configuration file to the offline check: the command needs the keys and nothing else.

use guard::KeyRing;
use guard::evidence::{Notary, StatementKind};
use guard::hash::sm3_hex;
use model::evidence::Receipt;
use model::restricted::SigningAlgorithm;
use serde_json::Value;

use crate::desk::{Desk, binary, path_text, text};

const CALL: &str = "GET\n/api/v1/lake_water\nid=eq.1\n00\n\n";
const ANSWER: &str = r#"[{"id":1}]"#;

/// Exit code and what was printed, of a check without any platform.
fn verify(args: &[&str]) -> (Option<i32>, String) {
    let output = binary().args(["evidence", "verify"]).args(args).output().unwrap();
    (output.status.code(), text(&output.stdout) + text(&output.stderr).as_str())
}

#[test]
fn receipts_of_both_algorithms_are_checked_offline() {
    let desk = Desk::with_config("[data]\nfolder = \"data\"\n[evidence]\nsigning = \"ed25519\"\n");
    desk.settle_in();
    let printed = desk.ok(&["evidence", "keys"]);
    let keys = path_text(&desk.write("keys.json", &printed));
    let told: Value = serde_json::from_str(printed.trim()).unwrap();
    assert_eq!(told["keys"][0]["algorithm"], "SM2", "{told}");
    assert_eq!(told["keys"][1]["algorithm"], "Ed25519", "{told}");

    // The platform's own pair, from its master key.
    let master = std::fs::read_to_string(desk.path("data/master.key")).unwrap();
    let ring = KeyRing::from_text(&master).unwrap();
    let receipt = Receipt {
        platform: "http://gate.test".into(),
        request_hash: sm3_hex(CALL.as_bytes()),
        answer_hash: sm3_hex(ANSWER.as_bytes()),
        answer_bytes: ANSWER.len() as u64,
        status: 200,
        ..Receipt::default()
    };
    let receipt = serde_json::to_string(&receipt).unwrap();
    let (call, answer) = (desk.write("call.txt", CALL), desk.write("answer.json", ANSWER));
    let (call, answer) = (path_text(&call), path_text(&answer));
    let wrong = path_text(&desk.write("wrong.txt", "[{\"id\":2}]"));
    for algorithm in SigningAlgorithm::ALL.iter().copied() {
        let notary = Notary::new(&ring, algorithm).unwrap();
        let statement = notary.sign(StatementKind::Receipt, &receipt).unwrap();
        let file = path_text(&desk.write("receipt.txt", &statement));
        let of = |call: &str, answer: &str, more: &[&str]| {
            let args = [file.as_str(), "--keys", &keys, "--call", call, "--answer", answer];
            verify(&[args.as_slice(), more].concat())
        };
        let (code, told) = of(&call, &answer, &["--json"]);
        assert_eq!(code, Some(0), "{told}");
        let told: Value = serde_json::from_str(told.trim()).unwrap();
        assert_eq!(
            (&told["valid"], told["algorithm"].as_str()),
            (&true.into(), Some(algorithm.as_str()))
        );
        let (code, told) = of(&call, &answer, &[]);
        assert!(code == Some(0) && told.contains(algorithm.en()), "{told}");
        let (code, told) = of(&call, &wrong, &[]);
        assert!(code == Some(1) && told.contains("the answer is not the receipt's"), "{told}");
        let (code, told) = of(&wrong, &answer, &[]);
        assert!(code == Some(1) && told.contains("the call is not the receipt's"), "{told}");
        let (signed, signature) = statement.rsplit_once('.').unwrap();
        let turned: String = signature.chars().rev().collect();
        let torn = path_text(&desk.write("torn.txt", &format!("{signed}.{turned}")));
        let (code, told) = verify(&[&torn, "--keys", &keys]);
        assert!(code == Some(1) && !told.contains("属实"), "{told}");
    }

    // A key of an algorithm that is not known is told, and so is one that is none of its algorithm.
    let statement = path_text(&desk.path("receipt.txt"));
    for (name, zh) in [("RSA", "不支持签名算法"), ("SM2", "公钥与所标算法不符")] {
        let strange = printed.replace("\"Ed25519\"", &format!("\"{name}\""));
        let strange = path_text(&desk.write("strange.json", &strange));
        let (code, told) = verify(&[&statement, "--keys", &strange]);
        assert!(code == Some(1) && told.contains(zh) && told.contains("strange.json"), "{told}");
    }
    desk.write("qiantang.toml", "[evidence]\nsigning = \"rsa\"\n");
    let refused = desk.run(&["config", "check"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(told.contains("evidence.signing") && told.contains("不支持签名算法"), "{told}");
}
