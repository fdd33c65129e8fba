//! What a flow file must keep to. A flow that passes has no dead end: every step is reached, every way leads to an
//! end, no way goes in circles, parallel branches meet, and every test asks about a declared attribute.

use std::collections::{BTreeMap, BTreeSet};

use super::{AttributeKind, Choice, Fact, Flow, Fork, How, Review, SeatRule, Step, Test, TimerDo};
use crate::FieldError;

/// Most steps of a flow.
const MOST_STEPS: usize = 200;

impl Flow {
    /// Faults of the flow; empty = it may be published.
    #[must_use]
    pub fn check(&self) -> Vec<FieldError> {
        let mut book = Book { flow: self, faults: Vec::new() };
        book.words();
        book.targets();
        if book.faults.is_empty() {
            book.ways();
        }
        book.faults
    }
}

struct Book<'a> {
    flow: &'a Flow,
    faults: Vec<FieldError>,
}

impl<'a> Book<'a> {
    fn say(&mut self, field: impl Into<String>, zh: impl Into<String>, en: impl Into<String>) {
        self.faults.push(FieldError { field: field.into(), zh: zh.into(), en: en.into() });
    }

    /// Names, seats, tests: what each step says by itself.
    fn words(&mut self) {
        let flow = self.flow;
        if !good_id(&flow.id) {
            self.say(
                "id",
                "流程标识只能含小写字母、数字和 _",
                "the flow id may hold lower-case letters, digits and _",
            );
        }
        if flow.version == 0 {
            self.say("version", "版本从 1 开始", "versions start with 1");
        }
        if flow.basis.trim().is_empty() {
            self.say("basis", "请写明流程依据", "say what the flow rests on");
        }
        if flow.steps.is_empty() || flow.steps.len() > MOST_STEPS {
            self.say(
                "step",
                format!("流程应有 1 至 {MOST_STEPS} 个环节"),
                format!("a flow has 1 to {MOST_STEPS} steps"),
            );
        }
        let mut seen = BTreeSet::new();
        for attribute in &flow.attributes {
            if !seen.insert(attribute.id.as_str()) {
                let id = &attribute.id;
                self.say(format!("attribute {id}"), "属性重复", "the attribute is declared twice");
            }
        }
        let mut seen = BTreeSet::new();
        for step in &flow.steps {
            let place = format!("step {}", step.id());
            if !good_id(step.id()) {
                self.say(
                    &place,
                    "环节标识只能含小写字母、数字和 _",
                    "a step id may hold lower-case letters, digits and _",
                );
            }
            if !seen.insert(step.id()) {
                self.say(&place, "环节标识重复", "two steps have this id");
            }
            if step.zh().trim().is_empty() || step.en().trim().is_empty() {
                self.say(
                    &place,
                    "请写明环节的中英文名称",
                    "a step needs a Chinese and an English name",
                );
            }
            match step {
                Step::Review(r) => self.review(&place, r),
                Step::Choice(c) => self.choice(&place, c),
                Step::Fork(f) if f.branches.len() < 2 => {
                    self.say(&place, "并行至少有两个分支", "a fork has at least two branches");
                }
                _ => {}
            }
        }
    }

    fn review(&mut self, place: &str, r: &Review) {
        if r.seats.is_empty() {
            self.say(place, "审批环节至少有一个席位（seat）", "a review needs at least one seat");
        }
        match (r.how, r.pass) {
            (How::Vote, Some(1..=100)) => {}
            (How::Vote, _) => self.say(
                place,
                "票决须写明通过比例 pass（1 至 100）",
                "a vote needs `pass`, 1 to 100 per cent",
            ),
            (_, Some(_)) => {
                self.say(
                    place,
                    "pass 只用于票决（how = \"vote\"）",
                    "`pass` is for `how = \"vote\"` only",
                );
            }
            (_, None) => {}
        }
        if r.days == Some(0) {
            self.say(place, "时限 days 至少为 1 个工作日", "`days` is at least 1 working day");
        }
        for other in &r.other_than {
            if !matches!(self.flow.step(other), Some(Step::Review(_))) || *other == r.id {
                self.say(
                    place,
                    format!("other_than 中的 `{other}` 不是另一个审批环节"),
                    format!("`{other}` in `other_than` is not another review"),
                );
            }
        }
        for seat in &r.seats {
            self.seat(place, seat);
        }
        for timer in &r.timers {
            if timer.days == 0 {
                self.say(place, "定时 days 至少为 1 个工作日", "a timer's `days` is at least 1");
            }
            match (timer.what, &timer.seat) {
                (TimerDo::Add, Some(seat)) => self.seat(place, seat),
                (TimerDo::Add, None) => {
                    self.say(
                        place,
                        "升级（add）须写明由谁接手 seat",
                        "escalation (`add`) needs a `seat`",
                    );
                }
                (TimerDo::Remind, Some(_)) => {
                    self.say(place, "提醒（remind）不带 seat", "`remind` takes no `seat`");
                }
                (TimerDo::Remind, None) => {}
            }
        }
    }

    fn seat(&mut self, place: &str, seat: &SeatRule) {
        let good = match (&seat.role, &seat.at, &seat.user) {
            (Some(_), Some(at), None) => good_id(at),
            (None, None, Some(user)) => !user.trim().is_empty(),
            _ => false,
        };
        if !good {
            self.say(
                place,
                "席位须写 role 和 at（某单位的某角色），或只写 user（某个人）",
                "a seat is `role` with `at` (a role at a place), or `user` alone (one person)",
            );
        }
    }

    fn choice(&mut self, place: &str, choice: &Choice) {
        let last = choice.branches.len().saturating_sub(1);
        if choice.branches.len() < 2 {
            self.say(place, "条件环节至少有两个分支", "a choice has at least two branches");
        }
        for (n, branch) in choice.branches.iter().enumerate() {
            if branch.when.is_empty() != (n == last) {
                self.say(
                    place,
                    "只有最后一个分支不带条件（其余情形走它）",
                    "the last branch, and only it, has no `when` (all other cases take it)",
                );
            }
            for test in &branch.when {
                self.test(place, test);
            }
        }
    }

    fn test(&mut self, place: &str, test: &Test) {
        let name = &test.attribute;
        let Some(attribute) = self.flow.attributes.iter().find(|a| a.id == *name) else {
            self.say(
                place,
                format!("条件用到未声明的属性 `{name}`"),
                format!("a test asks about `{name}`, which no [[attribute]] declares"),
            );
            return;
        };
        let kind = attribute.kind;
        let asked = test.is.iter().chain(&test.not).chain(test.among.iter().flatten());
        let fits = |fact: &Fact| {
            matches!(
                (fact, kind),
                (Fact::Flag(_), AttributeKind::Flag)
                    | (Fact::Number(_), AttributeKind::Number)
                    | (Fact::Text(_), AttributeKind::Text)
            )
        };
        let known = |fact: &Fact| match fact {
            Fact::Text(t) => attribute.choices.is_empty() || attribute.choices.contains(t),
            _ => true,
        };
        if !asked.clone().all(|f| fits(f) && known(f)) {
            self.say(
                place,
                format!("条件中属性 `{name}` 的取值不在声明的类型或取值范围内"),
                format!("a value asked of `{name}` is not of its declared type or choices"),
            );
        }
        let bounds = test.at_least.is_some() || test.at_most.is_some();
        if bounds && kind != AttributeKind::Number {
            self.say(
                place,
                format!("at_least、at_most 只用于数值属性，`{name}` 不是"),
                format!("`at_least` and `at_most` are for numbers, `{name}` is none"),
            );
        }
        if !bounds && asked.count() == 0 {
            self.say(
                place,
                format!("条件对属性 `{name}` 没有要求"),
                format!("the test asks nothing of `{name}`"),
            );
        }
    }

    /// Every way names a step; joins belong to forks.
    fn targets(&mut self) {
        let flow = self.flow;
        let mut named: Vec<(String, &str)> = vec![("start".into(), flow.start.as_str())];
        for step in &flow.steps {
            let place = format!("step {}", step.id());
            named.extend(step.ways().into_iter().map(|(_, to)| (place.clone(), to)));
            if let Step::Fork(f) = step {
                named.push((place, f.join.as_str()));
            }
        }
        for (place, to) in named {
            if flow.step(to).is_none() {
                self.say(place, format!("没有环节 `{to}`"), format!("there is no step `{to}`"));
            }
        }
        let mut forks: BTreeMap<&str, usize> = BTreeMap::new();
        for step in &flow.steps {
            if let Step::Fork(f) = step {
                *forks.entry(f.join.as_str()).or_default() += 1;
                if !matches!(flow.step(&f.join), Some(Step::Join(_)) | None) {
                    let place = format!("step {}", f.id);
                    self.say(
                        place,
                        format!("`{}` 不是汇合环节", f.join),
                        format!("`{}` is not a join", f.join),
                    );
                }
            }
        }
        for step in &flow.steps {
            if let Step::Join(j) = step
                && forks.get(j.id.as_str()).copied().unwrap_or(0) != 1
            {
                let place = format!("step {}", j.id);
                self.say(
                    place,
                    "汇合环节须恰好属于一个并行环节",
                    "a join belongs to exactly one fork",
                );
            }
        }
    }

    /// Reached, ending, without circles, parallel branches meeting.
    fn ways(&mut self) {
        let flow = self.flow;
        let reached = self.reach(&[flow.start.as_str()], None);
        for step in &flow.steps {
            if !reached.contains(step.id()) {
                let place = format!("step {}", step.id());
                self.say(place, "没有路径到达此环节", "no way leads to this step");
            }
        }
        if let Some(step) = self.circle() {
            self.say(
                format!("step {step}"),
                "流程路径成环：须重做的事请用退回，而不是回到前面的环节",
                "the ways go in a circle: what must be done again is sent back (return), not led back",
            );
            return;
        }
        if !flow.steps.iter().any(|s| matches!(s, Step::End(e) if e.approved)) {
            self.say("step", "流程没有“通过”的结束环节", "the flow has no end that approves");
        }
        for step in &flow.steps {
            if let Step::Fork(fork) = step {
                self.fork(fork);
            }
        }
        self.strays();
    }

    /// Steps reached from `from`; the way stops at `stop`.
    fn reach(&self, from: &[&'a str], stop: Option<&str>) -> BTreeSet<&'a str> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = from.to_vec();
        while let Some(id) = next.pop() {
            if Some(id) == stop || !seen.insert(id) {
                continue;
            }
            if let Some(step) = self.flow.step(id) {
                next.extend(step.ways().into_iter().map(|(_, to)| to));
            }
        }
        seen
    }

    /// A step that can come back to itself.
    fn circle(&self) -> Option<&'a str> {
        self.flow.steps.iter().map(Step::id).find(|id| {
            let ways: Vec<&str> = self
                .flow
                .step(id)
                .map(|s| s.ways().into_iter().map(|(_, to)| to).collect())
                .unwrap_or_default();
            self.reach(&ways, None).contains(id)
        })
    }

    /// Each branch leads to the join or to a refusing end, and shares no other step with its neighbours.
    fn fork(&mut self, fork: &'a Fork) {
        let place = format!("step {}", fork.id);
        let mut owner: BTreeMap<&str, &str> = BTreeMap::new();
        for branch in &fork.branches {
            if *branch == fork.join {
                self.say(&place, "并行分支不能为空", "a branch of a fork must not be empty");
                continue;
            }
            let inside = self.reach(&[branch.as_str()], Some(&fork.join));
            let meets = inside.iter().any(|id| {
                self.flow.step(id).is_some_and(|s| s.ways().iter().any(|(_, to)| *to == fork.join))
            });
            if !meets {
                self.say(
                    &place,
                    format!("分支 `{branch}` 到不了汇合环节 `{}`", fork.join),
                    format!("the branch `{branch}` never reaches the join `{}`", fork.join),
                );
            }
            for id in inside {
                match self.flow.step(id) {
                    Some(Step::End(end)) if end.approved => self.say(
                        &place,
                        format!("分支 `{branch}` 在汇合前就以通过结束"),
                        format!("the branch `{branch}` ends approved before the join"),
                    ),
                    Some(Step::End(_)) | None => {}
                    Some(_) => {
                        if owner.insert(id, branch.as_str()).is_some_and(|b| b != branch) {
                            self.say(
                                &place,
                                format!("环节 `{id}` 属于两个并行分支"),
                                format!("the step `{id}` lies in two branches of the fork"),
                            );
                        }
                    }
                }
            }
        }
    }

    /// A join is entered only from inside its own fork.
    fn strays(&mut self) {
        let flow = self.flow;
        let forks: Vec<&Fork> = flow
            .steps
            .iter()
            .filter_map(|s| match s {
                Step::Fork(f) => Some(f),
                _ => None,
            })
            .collect();
        for fork in forks {
            let branches: Vec<&str> = fork.branches.iter().map(String::as_str).collect();
            let inside = self.reach(&branches, Some(&fork.join));
            for step in &flow.steps {
                let enters = step.ways().iter().any(|(_, to)| *to == fork.join);
                if enters && !inside.contains(step.id()) {
                    self.say(
                        format!("step {}", step.id()),
                        format!("从并行之外进入了汇合环节 `{}`", fork.join),
                        format!("it enters the join `{}` from outside its fork", fork.join),
                    );
                }
                let jumps =
                    step.ways().iter().any(|(_, to)| inside.contains(to) && !is_end(flow, to));
                if jumps && step.id() != fork.id && !inside.contains(step.id()) {
                    self.say(
                        format!("step {}", step.id()),
                        format!("从并行之外进入了 `{}` 的分支", fork.id),
                        format!("it enters a branch of `{}` from outside", fork.id),
                    );
                }
            }
        }
    }
}

fn is_end(flow: &Flow, id: &str) -> bool {
    matches!(flow.step(id), Some(Step::End(_)))
}

fn good_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 60
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
