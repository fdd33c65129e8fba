//! Rule files in a folder: they override the shipped ones, and faults are named.

use model::account::Role;
use policy::{Action, Policy, Target};

use crate::house::{person, policy};

/// Loads a folder with one file in it.
fn with(name: &str, text: &str) -> model::Result<Policy> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), text).unwrap();
    Policy::load(dir.path())
}

const POLICIES: &str = include_str!("../rules/policies.cedar");

#[test]
fn an_empty_folder_means_the_shipped_rules() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = Policy::load(dir.path()).unwrap();
    assert_eq!(loaded.version(), policy().version());
    assert_eq!(policy::matrix(&loaded), policy::matrix(&policy()));
    assert!(Policy::load(&dir.path().join("missing")).is_err());
}

#[test]
fn a_folder_overrides_rules_and_changes_the_version() {
    let extra = format!(
        "{POLICIES}\n@id(\"house.no-export\") @zh(\"暂停导出\") @en(\"exports are suspended\")\n\
         forbid (principal, action == Action::\"entry.export\", resource);"
    );
    let changed = with("policies.cedar", &extra).unwrap();
    assert_ne!(changed.version(), policy().version());
    let authority = person("u", "x", &[Role::Authority]);
    let target = Target::plain("Entry", "all");
    assert!(policy().decide(&authority, Action::EntryExport, &target).allowed);
    let decision = changed.decide(&authority, Action::EntryExport, &target);
    assert_eq!((decision.allowed, decision.reasons), (false, vec!["house.no-export".to_owned()]));
}

#[test]
fn a_rule_for_any_action_counts_everywhere() {
    let extra = format!("{POLICIES}\n@id(\"closed\") forbid (principal, action, resource);");
    let closed = with("policies.cedar", &extra).unwrap();
    let authority = person("u", "x", &[Role::Authority]);
    for action in Action::ALL {
        assert!(!closed.decide(&authority, *action, &Target::plain("Entry", "e")).allowed);
    }
}

#[track_caller]
fn check(name: &str, text: &str, said: &[&str]) {
    let error = with(name, text).expect_err("the file is broken");
    for word in [name].iter().chain(said) {
        assert!(error.en().contains(word), "`{word}` not in: {error}");
    }
    assert!(error.zh().contains(name));
}

#[test]
fn broken_rule_files_name_file_and_fault() {
    check("policies.cedar", "permit (", &["unexpected"]);
    check("policies.cedar", "permit (principal, action, resource);", &["@id"]);
    check(
        "policies.cedar",
        &POLICIES.replace("Role::\"auditor\"", "Role::\"auditer\""),
        &["auditer"],
    );
    check("policies.cedar", &POLICIES.replace("resource.live", "resource.alive"), &["alive"]);
    check(
        "policies.cedar",
        &POLICIES.replace("\"share.none\"", "\"entry.not-live\""),
        &["entry.not-live"],
    );
    check(
        "policies.cedar",
        &POLICIES.replace("@code(\"grant_expired\")", "@code(\"gone\")"),
        &["gone"],
    );
    check(
        "policies.cedar",
        &POLICIES.replace("Action::\"system.work\"", "Action::\"system.wrok\""),
        &["system.wrok"],
    );
    let schema = include_str!("../rules/schema.cedarschema");
    check("schema.cedarschema", &schema.replace("\"security.manage\", ", ""), &["security.manage"]);
    check("schema.cedarschema", "entity", &[]);
    check("masks.toml", "version = 1", &["line 1"]);
    check("limits.toml", "", &["version"]);
}
