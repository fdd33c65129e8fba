//! The entry's state machine (facts.md §2.2), pure:
//! publish: unpublished → pub-auditing → published | pub-reject; published → change-auditing → published | change-reject;
//! online: notline → up-auditing → online | up-reject; online → down-auditing → offline | down-reject;
//! offline → offline-up-auditing → online | offline-up-reject. One review at a time.

use model::code::{OnlineState, PublishState};
use model::{Code, Error, Result};

use super::Move;

/// The two halves of an entry's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) publish: PublishState,
    pub(super) online: OnlineState,
}

/// What a move does besides changing the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    /// The entry is published for the first time.
    Publish,
    /// The change under review comes into force.
    SwapIn,
    /// The change is given up.
    Drop,
}

/// Where a move leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) state: State,
    pub(super) effect: Effect,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
}

/// Whether anything of it is under review.
pub(super) fn auditing(state: State) -> bool {
    use OnlineState as O;
    use PublishState as P;
    matches!(state.publish, P::PubAuditing | P::ChangeAuditing)
        || matches!(state.online, O::UpAuditing | O::DownAuditing | O::OfflineUpAuditing)
}

/// The state a move leads to. `pending` tells whether a change waits; `origin` is the state from which the present
/// review was asked for (of the last step), which a withdrawal returns to.
pub(super) fn next(state: State, pending: bool, step: Move, origin: Option<&str>) -> Result<Next> {
    use OnlineState as O;
    use PublishState as P;
    let State { publish, online } = state;
    let to_publish = |to: P, effect| Next {
        state: State { publish: to, online },
        effect,
        from: publish.as_str(),
        to: to.as_str(),
    };
    let to_online = |to: O| Next {
        state: State { publish, online: to },
        effect: Effect::None,
        from: online.as_str(),
        to: to.as_str(),
    };
    let idle = !auditing(state);
    let published = matches!(publish, P::Published | P::ChangeReject);
    let came_from = |usual: O| origin.and_then(O::parse).unwrap_or(usual);
    Ok(match (step, publish, online) {
        (Move::Submit, P::Unpublished | P::PubReject, _) => {
            to_publish(P::PubAuditing, Effect::None)
        }
        (Move::Submit, P::ChangeReject, _) if pending && idle => {
            to_publish(P::ChangeAuditing, Effect::None)
        }
        (Move::Approve, P::PubAuditing, _) => to_publish(P::Published, Effect::Publish),
        (Move::Reject, P::PubAuditing, _) => to_publish(P::PubReject, Effect::None),
        (Move::Withdraw, P::PubAuditing, _) => to_publish(
            origin.and_then(P::parse).filter(|p| *p == P::PubReject).unwrap_or(P::Unpublished),
            Effect::None,
        ),
        (Move::Approve, P::ChangeAuditing, _) => to_publish(P::Published, Effect::SwapIn),
        (Move::Reject, P::ChangeAuditing, _) => to_publish(P::ChangeReject, Effect::None),
        // A change that was refused, mended and handed in again goes back to be mended: the work is kept.
        (Move::Withdraw, P::ChangeAuditing, _) if origin == Some(P::ChangeReject.as_str()) => {
            to_publish(P::ChangeReject, Effect::None)
        }
        (Move::Withdraw, P::ChangeAuditing, _) => to_publish(P::Published, Effect::Drop),
        (Move::Approve, _, O::UpAuditing | O::OfflineUpAuditing) => to_online(O::Online),
        (Move::Reject, _, O::UpAuditing) => to_online(O::UpReject),
        (Move::Reject, _, O::OfflineUpAuditing) => to_online(O::OfflineUpReject),
        (Move::Withdraw, _, O::UpAuditing) => to_online(came_from(O::Notline)),
        (Move::Withdraw, _, O::OfflineUpAuditing) => to_online(came_from(O::Offline)),
        (Move::Approve, _, O::DownAuditing) => to_online(O::Offline),
        (Move::Reject, _, O::DownAuditing) => to_online(O::DownReject),
        (Move::Withdraw, _, O::DownAuditing) => to_online(came_from(O::Online)),
        (Move::Withdraw, P::ChangeReject, _) if pending => to_publish(P::Published, Effect::Drop),
        (Move::PutOnline, _, O::Notline | O::UpReject) if published => to_online(O::UpAuditing),
        (Move::PutOnline, _, O::Offline | O::OfflineUpReject) if published => {
            to_online(O::OfflineUpAuditing)
        }
        (Move::TakeOffline, _, O::Online | O::DownReject) if published => {
            to_online(O::DownAuditing)
        }
        _ => return Err(refuse(state, step)),
    })
}

fn refuse(state: State, step: Move) -> Error {
    let hint = if auditing(state) {
        ("，请先等待审核结束或撤回", "; wait for the review to end or withdraw it")
    } else {
        ("", "")
    };
    Error::new(
        Code::WrongState,
        format!(
            "目录处于“{}、{}”，不能{}{}",
            state.publish.zh(),
            state.online.zh(),
            step.zh(),
            hint.0
        ),
        format!(
            "the entry is {}, {}: it cannot be moved by `{}`{}",
            state.publish,
            state.online,
            step.word(),
            hint.1
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOVES: [Move; 6] = [
        Move::Submit,
        Move::Approve,
        Move::Reject,
        Move::PutOnline,
        Move::TakeOffline,
        Move::Withdraw,
    ];

    /// Every edge of the machine that can be reached from a new entry, as `from -move-> to`.
    fn reachable() -> std::collections::BTreeSet<String> {
        let start = State { publish: PublishState::Unpublished, online: OnlineState::Notline };
        let (mut seen, mut todo) = (vec![start], vec![start]);
        let mut edges = std::collections::BTreeSet::new();
        while let Some(state) = todo.pop() {
            let mut nexts: Vec<State> = Vec::new();
            // An edit of a published entry opens a change.
            if !auditing(state)
                && matches!(state.publish, PublishState::Published | PublishState::ChangeReject)
            {
                edges.insert(format!("{} -edit-> change-auditing", state.publish));
                nexts.push(State { publish: PublishState::ChangeAuditing, ..state });
            }
            let pending =
                matches!(state.publish, PublishState::ChangeAuditing | PublishState::ChangeReject);
            for step in MOVES {
                if let Ok(n) = next(state, pending, step, None) {
                    edges.insert(format!("{} -{}-> {}", n.from, step.word(), n.to));
                    nexts.push(n.state);
                }
            }
            for n in nexts {
                if !seen.contains(&n) {
                    seen.push(n);
                    todo.push(n);
                }
            }
        }
        for state in &seen {
            let both =
                matches!(state.publish, PublishState::PubAuditing | PublishState::ChangeAuditing)
                    && matches!(
                        state.online,
                        OnlineState::UpAuditing
                            | OnlineState::DownAuditing
                            | OnlineState::OfflineUpAuditing
                    );
            assert!(!both, "two reviews at once: {state:?}");
        }
        edges
    }

    #[test]
    fn the_machine_is_that_of_the_catalogue_standard() {
        let expected = "
change-auditing -approve-> published
change-auditing -reject-> change-reject
change-auditing -withdraw-> published
change-reject -edit-> change-auditing
change-reject -submit-> change-auditing
change-reject -withdraw-> published
down-auditing -approve-> offline
down-auditing -reject-> down-reject
down-auditing -withdraw-> online
down-reject -down-> down-auditing
notline -up-> up-auditing
offline -up-> offline-up-auditing
offline-up-auditing -approve-> online
offline-up-auditing -reject-> offline-up-reject
offline-up-auditing -withdraw-> offline
offline-up-reject -up-> offline-up-auditing
online -down-> down-auditing
pub-auditing -approve-> published
pub-auditing -reject-> pub-reject
pub-auditing -withdraw-> unpublished
pub-reject -submit-> pub-auditing
published -edit-> change-auditing
unpublished -submit-> pub-auditing
up-auditing -approve-> online
up-auditing -reject-> up-reject
up-auditing -withdraw-> notline
up-reject -up-> up-auditing";
        let got: Vec<String> = reachable().into_iter().collect();
        assert_eq!(got.join("\n"), expected.trim());
    }

    #[test]
    fn a_withdrawn_change_goes_back_to_where_it_came_from() {
        let state = State { publish: PublishState::ChangeAuditing, online: OnlineState::Online };
        let back = |origin| next(state, true, Move::Withdraw, Some(origin)).unwrap();
        let first = back("published");
        assert_eq!((first.to, first.effect), ("published", Effect::Drop));
        let again = back("change-reject");
        assert_eq!((again.to, again.effect), ("change-reject", Effect::None));
    }

    #[test]
    fn a_refused_move_says_in_which_state_and_what_to_do() {
        let state = State { publish: PublishState::PubAuditing, online: OnlineState::Notline };
        let e = next(state, false, Move::PutOnline, None).unwrap_err();
        assert_eq!(e.code(), Code::WrongState);
        assert!(e.zh().contains("发布审核中") && e.zh().contains("撤回"), "{}", e.zh());
    }
}
