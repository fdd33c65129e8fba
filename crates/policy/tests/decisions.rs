//! Who may do what: each rule by name, and what it does not permit.

use model::account::{Application, Role};
use model::code::{OnlineState, OpenType, ShareType};
use model::request::RequestWay;
use model::{Actor, Code, Op};
use policy::{Action, Target};

use crate::house::{application, entry, op, people_items, person, person_in, policy, request};

/// Asserts the decision and the rule that made it.
#[track_caller]
fn check(op: &Op, action: Action, target: &Target, allowed: bool, reason: &str) {
    let decision = policy().decide(op, action, target);
    assert_eq!(decision.allowed, allowed, "{action:?} {decision:?}");
    assert!(decision.reasons.iter().any(|r| r == reason), "{action:?} {decision:?}");
}

const PROVIDER_ACTIONS: [Action; 7] = [
    Action::EntryCompile,
    Action::EntrySubmit,
    Action::EntryImport,
    Action::EntryExport,
    Action::DataCollect,
    Action::QuarantineRead,
    Action::QuarantineMend,
];

#[test]
fn a_provider_works_on_its_own_entries_only() {
    let target = Target::entry(&entry(people_items()));
    for action in PROVIDER_ACTIONS {
        check(
            &person("u", "provider-org", &[Role::Provider]),
            action,
            &target,
            true,
            "provider.own-entries",
        );
        check(&person("u", "other-org", &[Role::Provider]), action, &target, false, "default-deny");
        check(
            &person("u", "provider-org", &[Role::Reviewer]),
            action,
            &target,
            false,
            "default-deny",
        );
        check(&op(Actor::Nobody), action, &target, false, "default-deny");
        check(&application("app-1"), action, &target, false, "default-deny");
    }
    let no_org = op(Actor::User {
        id: "u".into(),
        name: "u".into(),
        org: None,
        region: None,
        roles: vec![Role::Provider],
    });
    let orphan = Target::plain("Entry", "e");
    check(&no_org, Action::EntryCompile, &orphan, false, "default-deny");
}

#[test]
fn quarantined_raw_values_are_for_the_owner_only() {
    let target = Target::entry(&entry(people_items()));
    for role in Role::ALL.into_iter().filter(|r| *r != Role::Provider) {
        for org in ["provider-org", "other-org"] {
            check(
                &person("u", org, &[role]),
                Action::QuarantineRead,
                &target,
                false,
                "default-deny",
            );
        }
    }
}

#[test]
fn the_authority_reviews_but_never_what_it_submitted() {
    let target = Target::entry(&entry(people_items()));
    check(
        &person("u", "bureau", &[Role::Authority]),
        Action::EntryReview,
        &target,
        true,
        "authority.review-entries",
    );
    check(
        &person("author", "bureau", &[Role::Authority]),
        Action::EntryReview,
        &target,
        false,
        "four-eyes",
    );
    check(
        &person("u", "provider-org", &[Role::Reviewer]),
        Action::EntryReview,
        &target,
        false,
        "default-deny",
    );
    let request = Target::request(&request());
    check(
        &person("u", "bureau", &[Role::Authority]),
        Action::RequestReviewAuthority,
        &request,
        true,
        "request.review-authority",
    );
    check(
        &person("applicant", "bureau", &[Role::Authority]),
        Action::RequestReviewAuthority,
        &request,
        false,
        "four-eyes",
    );
    check(
        &person("u", "provider-org", &[Role::Provider]),
        Action::RequestReviewAuthority,
        &request,
        false,
        "default-deny",
    );
}

#[test]
fn an_authority_reviews_its_own_region_and_below() {
    let target = Target::entry(&entry(people_items()));
    for (region, allowed) in
        [("330000", true), ("330100", true), ("330106", true), ("330200", false), ("330110", false)]
    {
        let reviewer = person_in("u", "bureau", region, &[Role::Authority]);
        let reason = if allowed { "authority.review-entries" } else { "review.outside-region" };
        check(&reviewer, Action::EntryReview, &target, allowed, reason);
    }
}

#[test]
fn entries_are_seen_by_those_who_may() {
    let live = entry(people_items());
    let mut draft = live.clone();
    draft.online_state = OnlineState::Notline;
    let mut open = live.clone();
    open.draft.open_type = OpenType::Restricted;
    let see = |who: &Op, e| policy().decide(who, Action::EntryRead, &Target::entry(e)).allowed;
    let table = [
        (op(Actor::Nobody), [false, false, true]),
        (person("u", "x", &[Role::Citizen]), [false, false, true]),
        (person("u", "x", &[Role::Enterprise]), [false, false, true]),
        (person("u", "x", &[Role::SystemAdministrator]), [false, false, true]),
        (person("u", "x", &[Role::Consumer]), [false, true, true]),
        (person("u", "x", &[Role::Provider]), [false, true, true]),
        (person("u", "x", &[Role::Auditor]), [false, true, true]),
        (person("u", "provider-org", &[Role::Provider]), [true, true, true]),
        (person("u", "provider-org", &[Role::Reviewer]), [true, true, true]),
        (person("u", "provider-org", &[Role::Consumer]), [false, true, true]),
        (person("u", "x", &[Role::Authority]), [true, true, true]),
        (person("u", "x", &[Role::SecurityOfficer]), [true, true, true]),
        (application("app-1"), [false, true, true]),
    ];
    for (who, expected) in table {
        assert_eq!([see(&who, &draft), see(&who, &live), see(&who, &open)], expected, "{who:?}");
    }
}

/// A calling application of organisation `org`, or (with none) of `owner` in person.
fn calling(org: &str, owner: &str) -> Application {
    Application {
        id: "a".into(),
        name: "应用".into(),
        description: String::new(),
        org: org.into(),
        key: "k".into(),
        active: true,
        owner: owner.into(),
        created_at: "2026-01-01T00:00:00.000Z".into(),
    }
}

#[test]
fn public_bodies_apply_by_the_share_attribute_for_their_own_applications() {
    let mut e = entry(people_items());
    let consumer = person("u", "user-org", &[Role::Consumer]);
    let submit = Action::RequestSubmit;
    let own = |e: &_| Target::apply(e, &calling("user-org", "x"), RequestWay::Share);
    let others = Target::apply(&e, &calling("other-org", "x"), RequestWay::Share);
    check(&consumer, submit, &own(&e), true, "request.submit-consumer");
    check(&consumer, submit, &others, false, "default-deny");
    check(&consumer, submit, &Target::entry(&e), false, "default-deny");
    check(
        &consumer,
        submit,
        &Target::of_org("Application", "a", "user-org"),
        true,
        "request.submit-consumer",
    );
    check(
        &consumer,
        submit,
        &Target::of_org("Application", "a", "other-org"),
        false,
        "default-deny",
    );
    check(&consumer, submit, &Target::request(&request()), true, "request.submit-consumer");
    e.draft.share_type = ShareType::None;
    e.draft.open_type = OpenType::Restricted;
    check(&consumer, submit, &own(&e), false, "request.not-shared");
    assert_eq!(policy().permit(&consumer, submit, &own(&e)).unwrap_err().code(), Code::RuleBroken);
    // The way of the public is not theirs.
    let open = Target::apply(&e, &calling("user-org", "x"), RequestWay::Open);
    check(&consumer, submit, &open, false, "default-deny");
    e.draft.share_type = ShareType::Restricted;
    e.online_state = OnlineState::Offline;
    check(&consumer, submit, &own(&e), false, "request.not-live");
}

#[test]
fn enterprises_and_citizens_apply_by_the_open_attribute_in_their_own_name() {
    let mut e = entry(people_items());
    let submit = Action::RequestSubmit;
    let enterprise = person("u", "user-org", &[Role::Enterprise]);
    let citizen = op(Actor::User {
        id: "c".into(),
        name: "c".into(),
        org: None,
        region: None,
        roles: vec![Role::Citizen],
    });
    let by = |e: &_, org, owner| Target::apply(e, &calling(org, owner), RequestWay::Open);
    for who in [&enterprise, &citizen] {
        check(who, submit, &by(&e, "user-org", "c"), false, "default-deny");
        check(who, submit, &by(&e, "", "c"), false, "default-deny");
    }
    // Not shared, but open under conditions: that is what they may apply for.
    e.draft.open_type = OpenType::Restricted;
    e.draft.share_type = ShareType::None;
    let reason = "request.submit-restricted-open";
    check(&enterprise, submit, &by(&e, "user-org", "x"), true, reason);
    check(&enterprise, submit, &by(&e, "other-org", "x"), false, "default-deny");
    check(&enterprise, submit, &by(&e, "", "u"), false, "default-deny");
    check(&citizen, submit, &by(&e, "", "c"), true, reason);
    check(&citizen, submit, &by(&e, "", "somebody"), false, "default-deny");
    check(&citizen, submit, &by(&e, "user-org", "c"), false, "default-deny");
    check(&citizen, submit, &Target::entry(&e), false, "request.not-shared");
    // By the way of public bodies they get nothing.
    let share = Target::apply(&e, &calling("", "c"), RequestWay::Share);
    check(&citizen, submit, &share, false, "request.not-shared");
    e.draft.share_type = ShareType::Restricted;
    let share = Target::apply(&e, &calling("user-org", "u"), RequestWay::Share);
    check(&enterprise, submit, &share, false, "default-deny");
    e.draft.open_type = OpenType::Unconditional;
    check(&citizen, submit, &by(&e, "", "c"), false, "default-deny");
}

#[test]
fn a_citizens_application_is_theirs_alone() {
    let own = Target::application(&calling("", "c"));
    for action in [Action::ApplicationManage, Action::ApplicationRead] {
        check(&person("c", "x", &[Role::Citizen]), action, &own, true, "application.own-citizen");
        check(&person("d", "x", &[Role::Citizen]), action, &own, false, "default-deny");
        check(&person("c", "x", &[Role::Consumer]), action, &own, false, "default-deny");
        // One that a citizen once registered for an organisation is the organisation's.
        let of_org = Target::application(&calling("x", "c"));
        check(&person("c", "x", &[Role::Citizen]), action, &of_org, false, "default-deny");
    }
}

#[test]
fn an_authority_decides_and_revokes_in_its_region_only() {
    let target = Target::request(&request());
    for (region, inside) in [("330000", true), ("330100", true), ("330200", false)] {
        let who = person_in("u", "bureau", region, &[Role::Authority]);
        let reason = if inside { "request.review-authority" } else { "request.outside-region" };
        check(&who, Action::RequestReviewAuthority, &target, inside, reason);
        let reason = if inside { "request.revoke-authority" } else { "default-deny" };
        check(&who, Action::RequestRevoke, &target, inside, reason);
    }
    // Where the region is not known, nobody with a region decides.
    let nowhere = Target { region: None, ..target };
    let who = person_in("u", "bureau", "330000", &[Role::Authority]);
    check(&who, Action::RequestReviewAuthority, &nowhere, false, "request.outside-region");
    check(&who, Action::RequestRevoke, &nowhere, false, "default-deny");
}

#[test]
fn an_application_from_outside_knows_of_open_data_only() {
    let mut e = entry(people_items());
    let outside = op(Actor::Application {
        id: "app-1".into(),
        key: "k".into(),
        name: "n".into(),
        org: String::new(),
        public_body: false,
    });
    check(&outside, Action::EntryRead, &Target::entry(&e), false, "default-deny");
    check(
        &application("app-1"),
        Action::EntryRead,
        &Target::entry(&e),
        true,
        "entry.read-shared-application",
    );
    e.draft.open_type = OpenType::Restricted;
    check(&outside, Action::EntryRead, &Target::entry(&e), true, "entry.read-open");
}

#[test]
fn the_provider_side_decides_and_revokes_requests_to_itself() {
    let target = Target::request(&request());
    for role in [Role::Provider, Role::Reviewer] {
        let own = person("u", "provider-org", &[role]);
        check(&own, Action::RequestReviewProvider, &target, true, "request.review-provider");
        check(&own, Action::RequestRevoke, &target, true, "request.revoke-provider");
        check(&own, Action::RequestRead, &target, true, "request.read-provider");
        let other = person("u", "other-org", &[role]);
        check(&other, Action::RequestReviewProvider, &target, false, "default-deny");
        check(&other, Action::RequestRevoke, &target, false, "default-deny");
        check(&other, Action::RequestRead, &target, false, "default-deny");
        let applicant = person("applicant", "provider-org", &[role]);
        check(&applicant, Action::RequestReviewProvider, &target, false, "four-eyes");
    }
    let consumer = person("u", "user-org", &[Role::Consumer]);
    check(&consumer, Action::RequestReviewProvider, &target, false, "default-deny");
    check(&consumer, Action::RequestRevoke, &target, false, "default-deny");
    check(
        &person("u", "x", &[Role::Authority]),
        Action::RequestRevoke,
        &target,
        true,
        "request.revoke-authority",
    );
}

#[test]
fn the_applicant_side_reads_and_withdraws() {
    let target = Target::request(&request());
    for action in [Action::RequestRead, Action::RequestUndo] {
        let allowed = |who: &Op| policy().decide(who, action, &target).allowed;
        assert!(allowed(&person("applicant", "elsewhere", &[Role::Citizen])));
        assert!(allowed(&person("u", "user-org", &[Role::Consumer])));
        assert!(!allowed(&person("u", "other-org", &[Role::Consumer])));
        assert!(!allowed(&person("u", "user-org", &[Role::Citizen])));
    }
    check(
        &person("u", "provider-org", &[Role::Provider]),
        Action::RequestUndo,
        &target,
        false,
        "default-deny",
    );
}

#[test]
fn applications_people_and_organisations_have_their_managers() {
    let app = Target::of_org("Application", "a", "user-org");
    for role in [Role::Consumer, Role::Enterprise] {
        check(
            &person("u", "user-org", &[role]),
            Action::ApplicationManage,
            &app,
            true,
            "application.own",
        );
        check(
            &person("u", "other-org", &[role]),
            Action::ApplicationManage,
            &app,
            false,
            "default-deny",
        );
    }
    check(
        &person("u", "x", &[Role::Authority]),
        Action::ApplicationRead,
        &app,
        true,
        "application.read-all",
    );
    check(
        &person("u", "x", &[Role::Authority]),
        Action::ApplicationManage,
        &app,
        false,
        "default-deny",
    );
    let admin = person("a", "x", &[Role::SystemAdministrator]);
    check(&admin, Action::UserManage, &Target::plain("User", "u"), true, "administrator.accounts");
    check(&admin, Action::OrgManage, &Target::plain("Org", "o"), true, "administrator.accounts");
    check(
        &admin,
        Action::SystemRead,
        &Target::plain("System", "metrics"),
        true,
        "administrator.accounts",
    );
    let citizen = person("c", "x", &[Role::Citizen]);
    check(&citizen, Action::UserRead, &Target::plain("User", "c"), true, "user.read-self");
    check(&citizen, Action::UserRead, &Target::plain("User", "d"), false, "default-deny");
    check(&citizen, Action::UserManage, &Target::plain("User", "c"), false, "default-deny");
}

#[test]
fn the_administrator_sees_no_data() {
    let admin = person("a", "provider-org", &[Role::SystemAdministrator]);
    let target = Target::entry(&entry(people_items()));
    for action in [
        Action::EntryRead,
        Action::EntryReview,
        Action::RunRead,
        Action::QuarantineRead,
        Action::RowsQuery,
        Action::RowsPreview,
        Action::RowsDownload,
    ] {
        assert!(!policy().decide(&admin, action, &target).allowed, "{action:?}");
    }
    check(&admin, Action::AuditRead, &Target::plain("Audit", "audit"), false, "default-deny");
}

#[test]
fn supervision_is_separate() {
    let audit = Target::plain("Audit", "audit");
    let auditor = person("u", "x", &[Role::Auditor]);
    let officer = person("u", "x", &[Role::SecurityOfficer]);
    check(&auditor, Action::AuditRead, &audit, true, "audit.read");
    check(&auditor, Action::AuditExport, &audit, true, "audit.export");
    check(&officer, Action::AuditRead, &audit, true, "audit.read");
    check(&officer, Action::AuditExport, &audit, false, "default-deny");
    let rules = Target::plain("System", "rules");
    check(&officer, Action::SecurityManage, &rules, true, "security.manage");
    check(&auditor, Action::SecurityManage, &rules, false, "default-deny");
}

#[test]
fn the_platform_itself_does_its_work_and_nothing_else() {
    let system = op(Actor::System);
    check(&system, Action::SystemWork, &Target::plain("System", "expiry"), true, "system.work");
    let target = Target::entry(&entry(people_items()));
    check(&system, Action::DataCollect, &target, true, "system.work");
    let mut open = entry(people_items());
    open.draft.open_type = OpenType::Unconditional;
    let mine = [
        Action::EntryRead,
        Action::DataCollect,
        Action::UserManage,
        Action::UserRead,
        Action::OrgManage,
        Action::AuditExport,
        Action::SystemWork,
        Action::AssetRead,
        Action::OutflowRead,
        Action::DeliveryRead,
        Action::HaltSet,
        Action::HaltRead,
        Action::HarvestRead,
        Action::HarvestKeep,
    ];
    for action in Action::ALL {
        for e in [&entry(people_items()), &open] {
            let allowed = policy().decide(&system, *action, &Target::entry(e)).allowed;
            assert_eq!(allowed, mine.contains(action), "{action:?}");
        }
    }
    for role in Role::ALL {
        let who = person("u", "provider-org", &[role]);
        check(&who, Action::SystemWork, &Target::plain("System", "x"), false, "default-deny");
    }
}

#[test]
fn nobody_may_only_look_at_what_is_open() {
    let nobody = op(Actor::Nobody);
    let mut e = entry(people_items());
    for action in Action::ALL {
        assert!(!policy().decide(&nobody, *action, &Target::entry(&e)).allowed, "{action:?}");
    }
    e.draft.open_type = OpenType::Unconditional;
    let allowed: Vec<_> = Action::ALL
        .iter()
        .filter(|a| policy().decide(&nobody, **a, &Target::entry(&e)).allowed)
        .collect();
    assert_eq!(
        allowed,
        [&Action::EntryRead, &Action::RowsQuery, &Action::RowsPreview, &Action::RowsDownload]
    );
}

#[test]
fn a_permit_names_what_it_is_for_and_a_refusal_who_may() {
    let provider = person("u", "provider-org", &[Role::Provider]);
    let target = Target::entry(&entry(people_items()));
    let permit = policy().permit(&provider, Action::EntryCompile, &target).unwrap();
    assert_eq!(
        (permit.action(), permit.actor(), permit.target()),
        (Action::EntryCompile, "u", "entry-1")
    );
    assert!(permit.require(&[Action::EntryReview]).is_err());
    let error = policy().permit(&provider, Action::EntryReview, &target).unwrap_err();
    assert_eq!(error.code(), Code::Denied);
    assert_eq!(error.reasons(), ["default-deny"]);
    assert!(
        error.zh().contains("主管部门审核目录")
            && error.en().contains("the authority reviews entries")
    );
    let author = person("author", "bureau", &[Role::Authority]);
    let error = policy().permit(&author, Action::EntryReview, &target).unwrap_err();
    assert_eq!(error.reasons(), ["four-eyes"]);
    assert!(error.zh().contains("不得审核本人提交的事项"));
}

#[test]
fn what_cannot_be_asked_is_denied() {
    let authority = person("u", "x", &[Role::Authority]);
    let unknown = Target::plain("Spaceship", "x");
    check(&authority, Action::EntryReview, &unknown, false, "default-deny");
    let nothing = Target::default();
    check(&authority, Action::EntryReview, &nothing, false, "default-deny");
}

#[test]
fn hostile_ids_are_only_texts() {
    let id = "\"}; permit(principal, action, resource); //\u{0}👾";
    let who = person(id, id, &[Role::Provider]);
    let own = Target::of_org("Entry", id, id);
    assert!(policy().decide(&who, Action::EntryCompile, &own).allowed);
    let other = Target::of_org("Entry", id, "other");
    assert!(!policy().decide(&who, Action::EntryCompile, &other).allowed);
}

#[test]
fn a_seat_is_answered_by_its_role_at_its_organisation_or_by_its_person() {
    let seat = |role, org: Option<&str>, person: Option<&str>, owner: &str| Target {
        org: Some("provider-org".into()),
        applicant_org: Some("user-org".into()),
        owner: Some(owner.into()),
        seat_role: role,
        seat_org: org.map(Into::into),
        seat_user: person.map(Into::into),
        ..Target::plain("Approval", "a")
    };
    let group = seat(Some(Role::Reviewer), Some("provider-org"), None, "applicant");
    let decide = |who: &Op, target: &Target, allowed, reason| {
        check(who, Action::ApprovalDecide, target, allowed, reason);
    };
    let reviewer = person("u", "provider-org", &[Role::Reviewer]);
    decide(&reviewer, &group, true, "approval.decide-seat");
    decide(&person("u", "other-org", &[Role::Reviewer]), &group, false, "default-deny");
    decide(&person("u", "provider-org", &[Role::Provider]), &group, false, "default-deny");
    decide(&person("u", "bureau", &[Role::Authority]), &group, false, "default-deny");
    // Nobody answers what they applied for, also where they sit on the seat.
    let own = seat(Some(Role::Reviewer), Some("provider-org"), None, "u");
    decide(&reviewer, &own, false, "approval.four-eyes");
    // But the applicant's own acceptance is the applicant's.
    let accept = seat(Some(Role::Consumer), Some("user-org"), None, "u");
    decide(&person("u", "user-org", &[Role::Consumer]), &accept, true, "approval.decide-seat");
    let named = seat(None, None, Some("u"), "applicant");
    decide(&person("u", "anywhere", &[Role::Consumer]), &named, true, "approval.decide-seat");
    decide(&person("v", "anywhere", &[Role::Consumer]), &named, false, "default-deny");
    decide(&op(Actor::Nobody), &named, false, "default-deny");
    decide(&application("u"), &named, false, "default-deny");
    // A seat of nobody is answered by nobody.
    let empty = seat(None, None, None, "applicant");
    decide(&person("u", "provider-org", &Role::ALL), &empty, false, "default-deny");
}

#[test]
fn the_platform_compiles_and_publishes_what_it_harvested_and_nothing_else() {
    let system = op(Actor::System);
    let (own, other) = (entry(people_items()), entry(people_items()));
    for action in [Action::EntryCompile, Action::EntrySubmit, Action::EntryReview] {
        check(&system, action, &Target::harvested(&own), true, "harvest.entries");
        check(&system, action, &Target::entry(&other), false, "default-deny");
        // The mark of a harvested entry opens nothing for people.
        let stranger = person("u", "other-org", &[Role::Provider]);
        assert!(!policy().decide(&stranger, action, &Target::harvested(&own)).allowed);
        assert!(!policy().decide(&op(Actor::Nobody), action, &Target::harvested(&own)).allowed);
    }
    let rows = Action::RowsDownload;
    assert!(!policy().decide(&system, rows, &Target::harvested(&own)).allowed);
}

#[test]
fn sources_of_harvest_are_the_authoritys_of_their_region() {
    let source = Target::harvest("s", "330106");
    let city = person_in("u", "bureau", "330100", &[Role::Authority]);
    let elsewhere = person_in("u", "bureau", "330200", &[Role::Authority]);
    for action in [Action::HarvestRead, Action::HarvestKeep] {
        check(&person("u", "x", &[Role::Authority]), action, &source, true, "harvest.bureau");
        check(&city, action, &source, true, "harvest.bureau");
        check(&elsewhere, action, &source, false, "default-deny");
        check(&person("u", "x", &[Role::Provider]), action, &source, false, "default-deny");
        check(&op(Actor::System), action, &source, true, "harvest.operator");
        check(&op(Actor::Nobody), action, &source, false, "default-deny");
    }
}
