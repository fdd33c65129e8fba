//! Made-up sign-ups and real-name filings for their pages.

use app::realname::{DeskFiling, Standing};
use app::restricted::{UseOfAccount, UsesOfAccount};
use minijinja::{Value, context};
use model::identity::SubjectKind;
use model::org::{Org, OrgKind};
use model::realname::{
    RealNameFile, RealNameFiling, RealNameSeen, RealNameState, SignUp, SignUpKind,
};
use model::restricted::UseState;

use super::AT;
use crate::view::value;

fn filing(full: bool) -> RealNameFiling {
    let file = RealNameFile {
        id: "f1".into(),
        name: "停车场 <b>.pdf".into(),
        media: "application/pdf".into(),
        bytes: 2048,
        checksum: "0f".into(),
        at: AT.into(),
    };
    RealNameFiling {
        id: "r1".into(),
        account: "u1".into(),
        account_name: "停车场 <b>".into(),
        kind: if full { SubjectKind::Company } else { SubjectKind::Person },
        state: if full { RealNameState::Review } else { RealNameState::Refused },
        shown: "110*************2X".into(),
        mark: "0f".into(),
        filed_at: AT.into(),
        due: "2026-11-26".parse().unwrap_or_default(),
        files: if full { vec![file] } else { Vec::new() },
        decided_by: if full { String::new() } else { "li".into() },
        decided_at: if full { String::new() } else { AT.into() },
        reason: if full { String::new() } else { "停车场 <b>".into() },
        revoked_by: String::new(),
        revoked_at: String::new(),
        edit: 2,
    }
}

fn sign_up() -> SignUp {
    SignUp {
        account: "u1".into(),
        kind: SignUpKind::Enterprise,
        terms: "1".into(),
        company: "停车场 <b>".into(),
        uscc: "91330000".into(),
        at: AT.into(),
    }
}

/// What an administrator sees of who an account is.
pub(super) fn seen() -> Value {
    let seen = RealNameSeen {
        state: RealNameState::Verified,
        sign_up: Some(sign_up()),
        filing: "r1".into(),
    };
    value(&seen)
}

/// Where somebody stands: under review with an enterprise's account, or refused.
pub(super) fn standing(full: bool) -> Standing {
    let filing = filing(full);
    Standing {
        state: filing.state,
        kind: filing.kind,
        shown: filing.shown.clone(),
        due: full.then_some(filing.due),
        filing: Some(filing),
        sign_up: full.then(sign_up),
        of_org: false,
        may_file: !full,
    }
}

/// A filing that waits; or a verification that stands, whose agreements fall with it.
fn at_desk(full: bool) -> DeskFiling {
    let waiting = filing(full);
    let state = if full { waiting.state } else { RealNameState::Verified };
    let listed = UseOfAccount {
        number: "KF-20260302-000001".into(),
        title: "停车场 <b>".into(),
        state: UseState::InForce,
        until: "2026-12-31".parse().unwrap_or_default(),
    };
    DeskFiling {
        name: if full { "停车场 <b>".into() } else { String::new() },
        representative: if full { "停车场 <b>".into() } else { String::new() },
        overdue: full,
        other: full.then(|| "停车场 <b>".into()),
        org: full.then(|| Org {
            id: "o1".into(),
            uscc: "91330000".into(),
            name_cn: "停车场 <b>".into(),
            name_en: String::new(),
            kind: OrgKind::Enterprise,
            region: "330100".into(),
            parent: None,
            authority: false,
        }),
        region: "330100".into(),
        closed: full,
        uses: UsesOfAccount { listed: if full { Vec::new() } else { vec![listed] }, elsewhere: 2 },
        filing: RealNameFiling {
            state,
            revoked_by: if full { "li".into() } else { String::new() },
            revoked_at: if full { AT.into() } else { String::new() },
            ..waiting
        },
    }
}

/// What these pages show; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    Some(match template {
        "account/register.html" => context! {
            kinds => if full { vec!["citizen", "enterprise"] } else { Vec::new() }, chosen => "citizen",
            next => full.then_some("/developer"), least => 10, name_least => 4, name_most => 32,
            terms => vec!["停车场 <b>"], terms_version => "1",
            form => context! { name => "停车场 <b>", display_name => "停车场 <b>", company => "停车场 <b>", uscc => "" },
        },
        "account/realname.html" => context! {
            standing => value(standing(full)), days => 3, most => 4, bytes => 10_485_760,
            form => context! { name => "停车场 <b>", identifier => "", representative => "停车场 <b>" },
        },
        "console/realnames.html" => context! {
            rows => if full { vec![context! { filing => value(filing(full)), overdue => full }] } else { Vec::new() },
            state => if full { "review" } else { "all" }, next => full.then_some("?before=r1"),
        },
        "console/realname.html" => context! {
            v => value(at_desk(full)), number => full.then_some("11010519491231002X"), reason => "停车场 <b>",
            region => "330100", regions => vec![context! { code => "330100", level => "city" }],
        },
        _ => return None,
    })
}
