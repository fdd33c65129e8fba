//! What a comparison found, in both languages.

use model::reconcile::{FeedKind, Reconciliation};

/// The figures as sentences, and what has to be said beside them.
pub(super) fn words(run: &Reconciliation, notes: &[(String, String)]) -> (String, String) {
    let place = &run.place;
    let (what, which) = match run.kind {
        FeedKind::Rail => ("表".to_owned(), place.clone()),
        kind => (kind.zh().to_owned(), format!("{} {place}", kind.en().to_lowercase())),
    };
    let (mut zh, mut en) = if run.differences() == 0 {
        (
            format!("{what} {place} 与湖中一致：{} 行", run.source_rows),
            format!("{which} and the lake are equal: {} rows", run.source_rows),
        )
    } else {
        (
            format!(
                "{what} {place} 与湖中不一致：缺少 {} 行，多出 {} 行，内容不同 {} 行",
                run.missing, run.extra, run.different
            ),
            format!(
                "{which} and the lake differ: {} rows missing, {} extra, {} different",
                run.missing, run.extra, run.different
            ),
        )
    };
    if !run.upto.is_empty() {
        zh.push_str(&format!("（核对到 {}）", run.upto));
        en.push_str(&format!(" (up to {})", run.upto));
    }
    if run.misfits > 0 {
        zh.push_str(&format!("；另有 {} 行不符合数据项", run.misfits));
        en.push_str(&format!("; {} rows do not fit the items", run.misfits));
    }
    if run.moving > 0 {
        zh.push_str(&format!("；{} 行一直在变更，未判定", run.moving));
        en.push_str(&format!("; {} rows kept changing and were not judged", run.moving));
    }
    if run.foreign > 0 {
        zh.push_str(&format!("；{} 行由其他途径提供，未判定", run.foreign));
        en.push_str(&format!("; {} rows came by other ways and were not judged", run.foreign));
    }
    for (note_zh, note_en) in notes {
        zh.push_str(&format!("；{note_zh}"));
        en.push_str(&format!("; {note_en}"));
    }
    (zh, en)
}
