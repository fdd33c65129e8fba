//! Made-up exchanges for their pages.

use app::exchange::ExchangeView;
use minijinja::{Value, context};
use model::code::SyncMode;
use model::exchange::{
    Completeness, Count, Exchange, ExchangeCipher, ExchangeFigures, ExchangeFile, ExchangeFormat,
    ExchangeIncident, ExchangeSignature, ExchangeWay, ExchangeWish, FileState,
};

use super::AT;
use crate::view::value;

fn view(full: bool) -> ExchangeView {
    ExchangeView {
        exchange: Exchange {
            id: "x1".into(),
            org: "o1".into(),
            name: "停车场 <b>".into(),
            way: if full { ExchangeWay::In } else { ExchangeWay::Out },
            peer: "市交通局".into(),
            entry: "e1".into(),
            entry_code: "parking".into(),
            entry_title: "停车场 <b>".into(),
            place: "file:///srv/exchange/in/".into(),
            pattern: "*.csv".into(),
            completeness: Completeness::Done,
            quiet_seconds: 120,
            mode: SyncMode::Full,
            cipher: if full { ExchangeCipher::Sm4 } else { ExchangeCipher::None },
            signature: ExchangeSignature::None,
            signer: String::new(),
            format: ExchangeFormat::Csv,
            request: "q1".into(),
            wish: if full { ExchangeWish::Run } else { ExchangeWish::Pause },
            created_at: AT.into(),
            created_by: "li".into(),
        },
        figures: ExchangeFigures {
            looked_at: full.then(|| AT.into()),
            zh: if full { "目录不存在".into() } else { String::new() },
            en: if full { "there is no such folder".into() } else { String::new() },
            ..ExchangeFigures::default()
        },
        under_way: 1,
        waiting: u64::from(full),
    }
}

fn file() -> ExchangeFile {
    ExchangeFile {
        id: "f1".into(),
        exchange: "x1".into(),
        path: "停车场 <b>.csv".into(),
        state: FileState::Differs,
        outcome: None,
        mark: "m".into(),
        bytes: 9,
        seen_at: AT.into(),
        updated_at: AT.into(),
        sender: Count { rows: Some(3), sha256: Some("ab".repeat(32)), ..Count::default() },
        receiver: Count { rows: Some(2), sm3: Some("cd".repeat(32)), ..Count::default() },
        landed: 2,
        quarantined: 0,
        run: Some("n1".into()),
        copy: None,
        version: Some(1),
        archived: Some("archive/2026/03/a.csv".into()),
        receipt: None,
        due: None,
        zh: "两方不一致".into(),
        en: "the sides differ".into(),
    }
}

/// What a page of exchanges shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let row = context! { exchange => value(view(full)), waits => full, resumable => !full };
    let incident = ExchangeIncident {
        id: "i1".into(),
        exchange: "x1".into(),
        file: None,
        zh: "两方不一致".into(),
        en: "the sides differ".into(),
        at: AT.into(),
        open: full,
    };
    Some(match template {
        "console/exchanges.html" => context! { exchanges => if full { vec![row] } else { vec![] } },
        "console/exchange.html" => context! {
            compared => super::oversight::of_channel(full),
            row, key => full.then_some("00"), files => if full { vec![value(file())] } else { vec![] },
            incidents => if full { vec![value(incident)] } else { vec![] },
        },
        "console/exchange_new.html" => context! {
            offered => vec![context! { code => "parking", title => "停车场 <b>" }],
            form => context! {
                name => "n", way => "in", peer => "p", entry => "e", place => "file:///x/", pattern => "*",
                completeness => "done", quiet_seconds => "120", mode => "full", cipher => "none",
                signature => "none", signer => "", format => "csv", request => "", endpoint => "",
                region => "", access_key_id => "",
            },
        },
        _ => return None,
    })
}
