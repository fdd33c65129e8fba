//! The whole permission matrix as a text table: evidence for an auditor, and a diff in review when a rule changes.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use model::account::Role;
use model::{Actor, Op};

use crate::cedar::Release;
use crate::{Action, Policy, Target};

/// Who is tried: every role in an organisation of its own, nobody, the platform, an application, and a stranger who
/// holds every working role, but in another organisation.
fn people() -> Vec<(&'static str, Actor)> {
    let user = |id: &str, org: &str, roles: &[Role]| Actor::User {
        id: id.to_owned(),
        name: id.to_owned(),
        org: Some(org.to_owned()),
        region: Some("330000".to_owned()),
        roles: roles.to_vec(),
    };
    let short = |role: Role| match role {
        Role::SystemAdministrator => "admin",
        Role::SecurityOfficer => "security",
        other => other.as_str(),
    };
    let mut people: Vec<_> =
        Role::ALL.into_iter().map(|role| (short(role), user("me", "own", &[role]))).collect();
    let working = [Role::Provider, Role::Reviewer, Role::Consumer, Role::Enterprise];
    people.push(("stranger", user("me", "stranger", &working)));
    // An application of a public body, and one of an enterprise or a citizen.
    for (name, public_body) in [("application", true), ("outside-app", false)] {
        let (id, key) = ("me".to_owned(), "key".to_owned());
        let (app, org) = ("app".to_owned(), "own".to_owned());
        people.push((name, Actor::Application { id, key, name: app, org, public_body }));
    }
    people.push(("nobody", Actor::Nobody));
    people.push(("system", Actor::System));
    people
}

/// One row of the matrix: an action in one circumstance.
struct Row {
    action: Action,
    circumstance: &'static str,
    release: Release<'static>,
    target: Target,
    /// The thing belongs to a person, not to an organisation.
    personal: bool,
}

/// The thing an action is naturally done to, of organisation `org`.
fn natural(action: Action) -> Target {
    let entry = Target {
        kind: "Entry",
        id: "thing".to_owned(),
        owner: Some("someone".to_owned()),
        region: Some("330106".to_owned()),
        grade: Some("L2".to_owned()),
        share_type: Some("restricted".to_owned()),
        open_type: Some("none".to_owned()),
        ..Target::default()
    };
    let of = |kind| Target { kind, id: "thing".to_owned(), ..Target::default() };
    match action {
        Action::RequestSubmit => Target { live: true, ..entry },
        Action::RequestRead
        | Action::RequestReviewProvider
        | Action::RequestReviewAuthority
        | Action::RequestUndo
        | Action::RequestRevoke => Target {
            owner: Some("someone".to_owned()),
            region: Some("330106".to_owned()),
            ..of("Request")
        },
        Action::BasketFile | Action::ApprovalRead | Action::ApprovalFollow => {
            Target { owner: Some("someone".to_owned()), ..of("Approval") }
        }
        Action::ApprovalDecide => Target {
            owner: Some("someone".to_owned()),
            applicant_org: Some("elsewhere".to_owned()),
            seat_role: Some(Role::Reviewer),
            ..of("Approval")
        },
        Action::ApprovalLend => Target { owner: Some("me".to_owned()), ..of("Approval") },
        Action::FlowPublish => of("Flow"),
        Action::OutflowRead | Action::OutflowKeep => of("Outflow"),
        Action::DeliveryRead | Action::DeliveryKeep => of("Delivery"),
        Action::InterfaceRead | Action::InterfaceKeep => {
            Target { region: Some("330106".to_owned()), ..of("Interface") }
        }
        Action::NoticeKeep => Target { owner: Some("me".to_owned()), ..of("Notice") },
        Action::ApplicationManage | Action::ApplicationRead => of("Application"),
        Action::UserManage | Action::UserRead => of("User"),
        Action::OrgManage => of("Org"),
        Action::AuditRead | Action::AuditExport => of("Audit"),
        Action::AssetRead | Action::AssetCompile | Action::AssetImport | Action::AssetExport => {
            Target { region: Some("330106".to_owned()), ..of("Asset") }
        }
        Action::ProposalSubmit | Action::ProposalRead | Action::ProposalDecide => Target {
            owner: Some("someone".to_owned()),
            region: Some("330106".to_owned()),
            ..of("Proposal")
        },
        Action::DispatchRead | Action::QuotaSet | Action::QuotaAsk => {
            Target { region: Some("330106".to_owned()), ..of("Quota") }
        }
        Action::ReclaimPropose | Action::ReclaimAnswer => Target {
            owner: Some("someone".to_owned()),
            region: Some("330106".to_owned()),
            ..of("Reclaim")
        },
        Action::ReportDesign | Action::ReportRead | Action::ReportFill => of("Report"),
        Action::ReportAccept => Target {
            owner: Some("someone".to_owned()),
            seat_role: Some(Role::Reviewer),
            ..of("Report")
        },
        Action::ProjectRead | Action::ProjectWork | Action::ProjectKeep => {
            Target { live: true, ..of("Project") }
        }
        Action::VoiceWrite => Target { owner: Some("me".to_owned()), ..of("Ticket") },
        Action::TicketRead | Action::TicketHandle | Action::TicketOversee => Target {
            owner: Some("someone".to_owned()),
            region: Some("330106".to_owned()),
            ..of("Ticket")
        },
        Action::CommentModerate => Target {
            owner: Some("someone".to_owned()),
            region: Some("330106".to_owned()),
            ..of("Comment")
        },
        Action::ShowcaseReview => Target { owner: Some("someone".to_owned()), ..of("Showcase") },
        Action::SandboxReview => Target { owner: Some("someone".to_owned()), ..of("Sandbox") },
        Action::RestrictedApply
        | Action::RestrictedRead
        | Action::RestrictedReview
        | Action::RestrictedOversee => Target {
            owner: Some("someone".to_owned()),
            region: Some("330106".to_owned()),
            ..of("Restricted")
        },
        Action::CreditRead | Action::CreditKeep => {
            Target { region: Some("330106".to_owned()), ..of("Credit") }
        }
        Action::AuthorisationGive => Target { owner: Some("me".to_owned()), ..of("Authorisation") },
        Action::SubjectConfirm | Action::RealNameReview => {
            Target { owner: Some("someone".to_owned()), ..of("User") }
        }
        Action::RealNameFile => Target { owner: Some("me".to_owned()), ..of("User") },
        Action::PlanKeep | Action::PlanReview => Target {
            owner: Some("someone".to_owned()),
            region: Some("330106".to_owned()),
            ..of("Plan")
        },
        Action::ContestKeep => Target { region: Some("330106".to_owned()), ..of("Contest") },
        Action::ContestJudge => Target { owners: vec!["me".to_owned()], ..of("Contest") },
        Action::NewsKeep => Target { region: Some("330106".to_owned()), ..of("News") },
        Action::HarvestRead | Action::HarvestKeep => {
            Target { region: Some("330106".to_owned()), ..of("Harvest") }
        }
        Action::HaltSet => of("Application"),
        Action::SecurityManage
        | Action::HaltRead
        | Action::SystemRead
        | Action::SystemWork
        | Action::JobRead
        | Action::JobRun
        | Action::ControlRead
        | Action::ConventionSet => of("System"),
        _ => entry,
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for &action in Action::ALL {
        let mut add = |circumstance: &'static str, via, target: Target| {
            let release = Release {
                via,
                application: Some("me"),
                entry: Some("thing"),
                state: Some("approved"),
                way: target.way.as_deref().map(|w| if w == "open" { "open" } else { "share" }),
                expired: false,
                // What is open on conditions is agreed for SQL for use in a sandbox only.
                sql: target.way.as_deref() != Some("open")
                    || circumstance.ends_with("in a sandbox"),
            };
            let personal = circumstance.ends_with("of one's own");
            rows.push(Row { action, circumstance, release, target, personal });
        };
        let target = natural(action);
        let live = Target { live: true, ..target.clone() };
        let open = Target { open_type: Some("unconditional".to_owned()), ..live.clone() };
        let restricted = Target { open_type: Some("restricted".to_owned()), ..live.clone() };
        let mine = Target { owner: Some("me".to_owned()), ..target.clone() };
        let elsewhere = Target { region: Some("320000".to_owned()), ..target.clone() };
        let none = || Some("none".to_owned());
        let by =
            |way: &str, target: &Target| Target { way: Some(way.to_owned()), ..target.clone() };
        match action {
            Action::EntryRead => {
                add("draft", "open", target);
                add("live", "open", live);
                add("live, open", "open", open);
            }
            Action::VoiceWrite => {
                add("", "open", target.clone());
                add(
                    "in another's name",
                    "open",
                    Target { owner: Some("someone".into()), ..target },
                );
            }
            Action::TicketRead | Action::TicketOversee => {
                add("", "open", target);
                add("written by oneself", "open", mine);
                add("of another region", "open", elsewhere);
            }
            Action::RestrictedReview | Action::RestrictedOversee => {
                add("", "open", target);
                add("applied for by oneself", "open", mine);
                add("of another region", "open", elsewhere);
            }
            Action::AuthorisationGive => {
                add("", "open", target.clone());
                add(
                    "of another's data",
                    "open",
                    Target { owner: Some("someone".into()), ..target },
                );
            }
            Action::SubjectConfirm | Action::RealNameReview => {
                add("", "open", target);
                add("of one's own account", "open", mine);
            }
            Action::RealNameFile => {
                add("", "open", target.clone());
                add(
                    "of another's account",
                    "open",
                    Target { owner: Some("someone".into()), ..target },
                );
            }
            Action::TicketHandle | Action::ShowcaseReview => {
                add("", "open", target);
                add("written by oneself", "open", mine);
            }
            Action::PlanReview => {
                add("", "open", target);
                add("handed in by oneself", "open", mine);
                add("of another region", "open", elsewhere);
            }
            Action::ContestKeep | Action::NewsKeep => {
                add("", "open", target);
                add("of another region", "open", elsewhere);
            }
            Action::ContestJudge => {
                add("as a judge", "open", target.clone());
                let team = vec!["me".to_owned()];
                add("of one's own team", "open", Target { viewers: team, ..target.clone() });
                add("no judge", "open", Target { owners: Vec::new(), ..target });
            }
            Action::CommentModerate => {
                add("", "open", target);
                add("of another region", "open", elsewhere);
            }
            Action::EntryReview
            | Action::ProposalDecide
            | Action::RequestReviewProvider
            | Action::RequestReviewAuthority => {
                add("", "open", target);
                add("submitted by oneself", "open", mine);
                add("of another region", "open", elsewhere);
            }
            Action::QuotaSet
            | Action::QuotaAsk
            | Action::ReclaimPropose
            | Action::RequestRevoke => {
                add("", "open", target);
                add("of another region", "open", elsewhere);
            }
            Action::ApplicationManage | Action::ApplicationRead => {
                add("", "open", target);
                add("of one's own", "open", mine);
            }
            Action::ApprovalDecide => {
                let person =
                    Target { seat_role: None, seat_user: Some("me".to_owned()), ..target.clone() };
                add("a reviewer's seat", "open", target);
                add("a reviewer's seat, filed by oneself", "open", mine);
                add("a seat of one's own", "open", person);
            }
            Action::BasketFile => {
                add("", "open", target);
                add("of one's own", "open", mine);
            }
            Action::RequestRead
            | Action::RequestUndo
            | Action::ApprovalRead
            | Action::ApprovalFollow => {
                add("", "open", target);
                add("made by oneself", "open", mine);
            }
            Action::RequestSubmit => {
                let own = Target { owner: Some("me".to_owned()), ..restricted.clone() };
                add("shared", "open", by("share", &live));
                add(
                    "not shared",
                    "open",
                    by("share", &Target { share_type: none(), ..live.clone() }),
                );
                add("restricted-open", "open", by("open", &restricted));
                add("restricted-open, of one's own", "open", by("open", &own));
                let unshared = Target { share_type: none(), ..restricted };
                add("restricted-open, not shared", "open", by("open", &unshared));
                add("not open", "open", by("open", &live));
            }
            Action::ProjectRead | Action::ProjectWork | Action::ProjectKeep => {
                let me = || vec!["me".to_owned()];
                add("no member", "open", target.clone());
                add("as viewer", "open", Target { viewers: me(), ..target.clone() });
                add("as developer", "open", Target { developers: me(), ..target.clone() });
                let owned = Target { owners: me(), ..target };
                add("as owner", "open", owned.clone());
                add("as owner, closed", "open", Target { live: false, ..owned });
            }
            Action::SandboxReview => {
                add("a provider's seat", "open", target.clone());
                add("a provider's seat, asked by oneself", "open", mine);
                add("the authority's seat", "open", Target { org: None, ..target });
            }
            Action::InterfaceRead => {
                add("in test", "open", target);
                add("live", "open", live);
            }
            Action::UserRead => {
                add("", "open", target.clone());
                add("oneself", "open", Target { id: "me".to_owned(), ..target });
            }
            action if action.is_release() => {
                add("open", "open", open);
                add(
                    "open, offline",
                    "open",
                    Target { open_type: Some("unconditional".to_owned()), ..target.clone() },
                );
                add("restricted-open", "open", restricted.clone());
                add("by approved request", "request", by("share", &live));
                let unshared = Target { share_type: none(), ..restricted };
                add("by approved request, not shared", "request", by("share", &unshared));
                add("by approved open request", "request", by("open", &unshared));
                add("by approved open request, not open", "request", by("open", &live));
                let unshared = by("open", &unshared);
                add("by approved open request, in a sandbox", "request", unshared);
                add("as owner", "owner", target.clone());
                if action == Action::RowsSql {
                    let mine =
                        Target { owner: Some("me".to_owned()), live: true, ..target.clone() };
                    add("made by a job of the application's project", "made", mine);
                    let other = Target { live: true, ..target };
                    add("made by a job of another's project", "made", other);
                }
            }
            _ => add("", "open", target),
        }
    }
    rows
}

/// What one person may do: with things of the own organisation, of others, of both, or not at all.
fn cell(policy: &Policy, op: &Op, row: &Row) -> &'static str {
    let may = |org: &str| {
        let applicant = matches!(row.target.kind, "Request" | "Approval" | "Outflow" | "Delivery")
            || row.action == Action::RequestSubmit;
        let owned = !(row.personal && row.target.kind == "Application");
        let target = Target {
            org: owned.then(|| org.to_owned()),
            applicant_org: row
                .target
                .applicant_org
                .clone()
                .or_else(|| (applicant && !row.personal).then(|| org.to_owned())),
            seat_org: row.target.seat_role.map(|_| org.to_owned()),
            ..row.target.clone()
        };
        policy.ask(op, row.action, &target, &row.release).allowed
    };
    // The stranger is shown things of the house only: its organisation owns none of them.
    match (may("own"), may("other")) {
        (true, true) => "all",
        (true, false) => "own",
        (false, true) => "other",
        (false, false) => "-",
    }
}

/// Every action in its circumstances × every role, nobody, a stranger, an application, the platform. `own`: things
/// of the own organisation; `all`: of any; `-`: denied.
#[must_use]
pub fn matrix(policy: &Policy) -> String {
    let people = people();
    let rows = rows();
    let label = |row: &Row| match row.circumstance {
        "" => row.action.as_str().to_owned(),
        circumstance => format!("{} ({circumstance})", row.action.as_str()),
    };
    let first = rows.iter().map(|r| label(r).len()).max().unwrap_or(0);
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write!(out, "{:first$}", "action");
    for (name, _) in &people {
        let _ = write!(out, "  {name}");
    }
    out.push('\n');
    for row in &rows {
        let _ = write!(out, "{:first$}", label(row));
        for (name, actor) in &people {
            let op = Op::new(
                actor.clone(),
                "matrix".to_owned(),
                "-".to_owned(),
                DateTime::<Utc>::UNIX_EPOCH,
            );
            let _ = write!(out, "  {:width$}", cell(policy, &op, row), width = name.len());
        }
        while out.ends_with(' ') {
            out.pop();
        }
        out.push('\n');
    }
    out
}
