//! Words of opening as a process, of contests and of the site's news: lists of the model, by the name under which pages ask for them.

use std::sync::LazyLock;

use model::contest::{ContestState, RoundPhase};
use model::news::{NewsKind, NewsState};
use model::openplan::{AssessmentState, Ground, OpenPlanState, PlanLineState, RiskWeight};

use super::Words;

type List = (&'static str, Vec<(&'static str, &'static str, &'static str)>);

macro_rules! lists {
    ($($kind:literal => $type:ident),* $(,)?) => {
        vec![$(($kind, $type::ALL.iter().map(|v| (v.as_str(), v.zh(), v.en())).collect())),*]
    };
}

static LISTS: LazyLock<Vec<List>> = LazyLock::new(|| {
    lists! {
        "open_plan" => OpenPlanState,
        "plan_line" => PlanLineState,
        "ground" => Ground,
        "assessment" => AssessmentState,
        "risk" => RiskWeight,
        "contest" => ContestState,
        "round" => RoundPhase,
        "news_kind" => NewsKind,
        "news_state" => NewsState,
    }
});

/// The words of a list; none of one that is not here.
pub(super) fn words(kind: &str) -> Words {
    LISTS
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, words)| words.as_slice())
        .unwrap_or_default()
}
