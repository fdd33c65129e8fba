//! Contests: set up by the authority, entered by teams with open data, scored apart, advanced and awarded; who sees what when.

use app::contest::{self, ContestNew, WorkNew};
use bytes::Bytes;
use chrono::TimeDelta;
use futures::StreamExt;
use guard::hash::sha256_hex;
use model::contest::{Contest, ContestState, RoundPhase, Work};
use model::{Code, Op, Result};
use testkit::House;

fn new() -> ContestNew {
    ContestNew {
        title: "数据开放创新应用大赛".into(),
        title_en: "Open data contest".into(),
        text: "## 要求\n- 使用开放数据\n作品应能公开访问。".into(),
        tracks: "民生服务|Living\n产业发展|Industry".into(),
        items: "创新性|Novelty|60|100\n完成度|Completeness|40|10".into(),
        rounds: "初赛|First|2026-03-02|2026-03-10|public\n决赛|Final|2026-03-20|2026-03-25|public"
            .into(),
        judges: "reviewer\nstranger\nconsumer".into(),
        ..ContestNew::default()
    }
}

fn work(title: &str, set: &str) -> WorkNew {
    WorkNew {
        track: 0,
        title: title.into(),
        text: "用开放数据做的停车导航应用。".into(),
        link: "https://example.cn/app".into(),
        sets: vec![set.into()],
    }
}

async fn public(house: &House) -> Contest {
    let authority = house.person("authority").await;
    let contest = contest::set_up(&house.app, &authority, new()).await.unwrap();
    contest::publish(&house.app, &authority, &contest.id).await.unwrap()
}

/// Only the authority of the region sets one up; what is wrong is told by its field; a draft is seen by nobody else.
async fn setup(house: House) {
    let app = &house.app;
    for who in ["citizen", "provider", "enterprise"] {
        let op = house.person(who).await;
        let e = contest::set_up(app, &op, new()).await.unwrap_err();
        assert_eq!(e.code(), Code::Denied, "{who}");
    }
    let authority = house.person("authority").await;
    for (field, wrong) in [
        ("rounds", ContestNew { rounds: "初赛|First|2026-03-10|2026-03-02".into(), ..new() }),
        ("rounds", ContestNew { rounds: "初赛|First|下周|2026-03-02".into(), ..new() }),
        ("judges", ContestNew { judges: "nobody-at-all".into(), ..new() }),
        ("items", ContestNew { items: "创新性|Novelty|0|100".into(), ..new() }),
        ("tracks", ContestNew { tracks: String::new(), ..new() }),
    ] {
        let e = contest::set_up(app, &authority, wrong).await.unwrap_err();
        assert_eq!(e.fields()[0].field, field);
    }
    let draft = contest::set_up(app, &authority, new()).await.unwrap();
    let nobody = house.nobody();
    let e = contest::contest(app, &nobody, &draft.id, false).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    assert!(contest::contests(app, &nobody, None, 10).await.unwrap().items.is_empty());
    let city = house.person("city").await;
    let e = contest::publish(app, &city, &draft.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "the province's is not the city's");
    contest::publish(app, &authority, &draft.id).await.unwrap();
    assert_eq!(contest::contests(app, &nobody, None, 10).await.unwrap().items.len(), 1);
    let other = ContestNew { items: "创新性|Novelty|1|100".into(), ..new() };
    let e = contest::edit(app, &authority, &draft.id, other, 2).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken, "scoring items stay once it is public");
    let renamed = ContestNew { title: "创新大赛".into(), ..new() };
    contest::edit(app, &authority, &draft.id, renamed, 2).await.unwrap();
}

/// Teams are formed and joined by invitation, one a person; works use open data only and are entered in time.
async fn teams(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tingche")).await;
    house.publish(testkit::person_draft("renkou")).await;
    let of = public(&house).await;
    let e = contest::form(app, &house.nobody(), &of.id, "甲队").await.unwrap_err();
    assert_eq!(e.code(), Code::SignInRequired);
    let (citizen, enterprise) = (house.person("citizen").await, house.person("enterprise").await);
    let (team, code) = contest::form(app, &citizen, &of.id, "甲队").await.unwrap();
    assert!(!team.invitation.contains(&code), "the code itself is not kept");
    let e = contest::form(app, &citizen, &of.id, "又一队").await.unwrap_err();
    assert_eq!(e.code(), Code::Duplicate);
    let e = contest::join(app, &enterprise, &of.id, "wrong").await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput);
    contest::join(app, &enterprise, &of.id, &code).await.unwrap();
    let (_, fresh) = contest::renew(app, &citizen, &of.id).await.unwrap();
    let county = house.person("county").await;
    assert!(contest::join(app, &county, &of.id, &code).await.is_err(), "the old code is void");
    contest::join(app, &county, &of.id, &fresh).await.unwrap();
    assert_eq!(contest::renew(app, &county, &of.id).await.unwrap_err().code(), Code::Denied);
    contest::leave(app, &county, &of.id).await.unwrap();
    assert_eq!(contest::leave(app, &citizen, &of.id).await.unwrap_err().code(), Code::RuleBroken);

    for set in ["renkou", "never"] {
        let e = contest::enter(app, &citizen, &of.id, work("导航", set)).await.unwrap_err();
        assert_eq!((e.code(), e.fields()[0].field.as_str()), (Code::InvalidInput, "sets"));
    }
    let e = contest::enter(app, &county, &of.id, work("导航", "tingche")).await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState, "in no team");
    let first = contest::enter(app, &citizen, &of.id, work("导航", "tingche")).await.unwrap();
    let again =
        contest::enter(app, &enterprise, &of.id, work("停车导航", "tingche")).await.unwrap();
    assert_eq!((again.id == first.id, again.edit), (true, 2), "the last one counts");
    // The team sees its own work; everybody else only that there is one.
    let seen = contest::contest(app, &citizen, &of.id, false).await.unwrap();
    assert_eq!(seen.rounds[0].works[0].work.title, "停车导航");
    let seen = contest::contest(app, &house.nobody(), &of.id, false).await.unwrap();
    assert_eq!((seen.rounds[0].entered, seen.rounds[0].works.len(), seen.teams), (1, 0, 1));
    house.clock.forward(TimeDelta::days(10));
    let citizen = house.person("citizen").await;
    let late = contest::enter(app, &citizen, &of.id, work("太晚", "tingche")).await.unwrap_err();
    assert_eq!(late.code(), Code::WrongState);
}

/// Judges see their own scores only until the round is closed; nobody scores the own team; ties are told; the best go on.
async fn judging(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tingche")).await;
    let of = public(&house).await;
    let mut works = Vec::new();
    for (who, title) in [("citizen", "甲作品"), ("enterprise", "乙作品"), ("consumer", "丙作品")]
    {
        let op = house.person(who).await;
        contest::form(app, &op, &of.id, title).await.unwrap();
        works.push(contest::enter(app, &op, &of.id, work(title, "tingche")).await.unwrap().id);
    }
    let reviewer = house.person("reviewer").await;
    let (_, none) = contest::works_to_judge(app, &reviewer, &of.id).await.unwrap();
    assert!(none.is_empty(), "works are still entered");
    let e = contest::score(app, &reviewer, &of.id, &works[0], vec![1, 1], "").await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState);
    house.clock.forward(TimeDelta::days(9));
    let (reviewer, stranger) = (house.person("reviewer").await, house.person("stranger").await);
    let (consumer, authority) = (house.person("consumer").await, house.person("authority").await);
    let e = contest::score(app, &consumer, &of.id, &works[2], vec![100, 10], "").await.unwrap_err();
    assert_eq!((e.code(), e.reasons()), (Code::Denied, &["contest.own-team".to_owned()][..]));
    let citizen = house.person("citizen").await;
    let e = contest::score(app, &citizen, &of.id, &works[1], vec![1, 1], "").await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "no judge");
    assert!(contest::works_to_judge(app, &citizen, &of.id).await.is_err());
    let e = contest::score(app, &reviewer, &of.id, &works[0], vec![101, 10], "").await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput);
    let e = contest::close_round(app, &authority, &of.id).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken, "nobody has scored");

    contest::score(app, &reviewer, &of.id, &works[0], vec![80, 10], "很好").await.unwrap();
    contest::score(app, &stranger, &of.id, &works[0], vec![90, 10], "").await.unwrap();
    contest::score(app, &reviewer, &of.id, &works[1], vec![85, 10], "").await.unwrap();
    contest::score(app, &reviewer, &of.id, &works[2], vec![10, 1], "").await.unwrap();
    let (_, seen) = contest::works_to_judge(app, &stranger, &of.id).await.unwrap();
    let own = |n: usize| seen.iter().find(|w| w.work.id == works[n]).unwrap().score.clone();
    assert_eq!(own(0).unwrap().points, [90, 10]);
    assert!(own(1).is_none(), "others' scores are not seen");
    let nobody = house.nobody();
    let open = contest::contest(app, &nobody, &of.id, false).await.unwrap();
    assert!(open.rounds[0].phase == RoundPhase::Judging && open.rounds[0].works.is_empty());

    contest::close_round(app, &authority, &of.id).await.unwrap();
    let e = contest::score(app, &reviewer, &of.id, &works[0], vec![1, 1], "").await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState, "scores stay as they were closed");
    let open = contest::contest(app, &nobody, &of.id, false).await.unwrap();
    let places: Vec<_> = open.rounds[0]
        .works
        .iter()
        .map(|w| w.place.as_ref().map(|p| (p.rank, p.tied, p.result)).unwrap())
        .collect();
    assert_eq!(places, [(1, true, 9_100), (1, true, 9_100), (3, false, 1_000)]);
    assert!(open.rounds[0].works.iter().all(|w| w.words.is_empty()), "words are the team's");
    let mine = contest::contest(app, &citizen, &of.id, false).await.unwrap();
    assert!(mine.rounds[0].works.iter().any(|w| w.words == ["很好"]));

    let e = contest::advance(app, &authority, &of.id, &["nothing".into()]).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let best = works[..2].to_vec();
    assert_eq!(contest::advance(app, &authority, &of.id, &best).await.unwrap(), 2);
    assert_eq!(contest::advance(app, &authority, &of.id, &best).await.unwrap(), 0, "once");
    let of =
        contest::award(app, &authority, &of.id, &works[0], "一等奖", "First prize").await.unwrap();
    let e = contest::award(app, &authority, &of.id, &works[0], "一等奖", "").await.unwrap_err();
    assert_eq!((e.code(), of.awards.len()), (Code::Duplicate, 1));
    house.clock.forward(TimeDelta::days(10));
    let (citizen, consumer) = (house.person("citizen").await, house.person("consumer").await);
    contest::enter(app, &citizen, &of.id, work("甲作品二版", "tingche")).await.unwrap();
    let e = contest::enter(app, &consumer, &of.id, work("丙", "tingche")).await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState, "it did not advance");

    // A work of a closed public round becomes a showcase, linked both ways.
    let e = contest::to_showcase(app, &consumer, &of.id, &works[0]).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "another team's");
    let showcase = contest::to_showcase(app, &citizen, &of.id, &works[0]).await.unwrap();
    let from = contest::contest_of_showcase(app, &nobody, &showcase.id).await.unwrap().unwrap();
    assert_eq!(from.0, of.id);
    assert!(contest::to_showcase(app, &citizen, &of.id, &works[0]).await.is_err(), "once");
    let authority = house.person("authority").await;
    let ended = contest::end(app, &authority, &of.id).await.unwrap();
    assert_eq!(ended.state, ContestState::Ended);
    assert!(contest::enter(app, &citizen, &of.id, work("再来", "tingche")).await.is_err());
}

const PDF: &[u8] = b"%PDF-1.7 a description of the work";

async fn attach(house: &House, op: &Op, work: &Work, name: &str, bytes: &[u8]) -> Result<Work> {
    let pieces: Vec<Result<Bytes>> =
        bytes.chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let stream = futures::stream::iter(pieces).boxed();
    contest::attach(&house.app, op, &work.contest, &work.id, name, stream).await
}

/// What somebody gets of a file: its content, or the refusal.
async fn fetched(house: &House, op: &Op, work: &Work, file: &str) -> Result<Vec<u8>> {
    let (_, mut pieces) = contest::file(&house.app, op, &work.contest, &work.id, file).await?;
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    Ok(all)
}

/// Files lying in the inbox.
fn lying(house: &House) -> usize {
    let folder = house.app.folders.inbox.join("attachments");
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Files are told by their content, within limits, changed by their team while works are entered, and go with the work.
async fn files(mut house: House) {
    std::sync::Arc::get_mut(&mut house.app).unwrap().rules.contest.file.bytes = 1_000;
    let app = &house.app;
    house.publish(testkit::draft("tingche")).await;
    let of = public(&house).await;
    let (citizen, enterprise) = (house.person("citizen").await, house.person("enterprise").await);
    let (_, code) = contest::form(app, &citizen, &of.id, "甲队").await.unwrap();
    contest::join(app, &enterprise, &of.id, &code).await.unwrap();
    let entered = contest::enter(app, &citizen, &of.id, work("导航", "tingche")).await.unwrap();
    // What is no document is refused, whatever it is called; nothing of it stays.
    for (name, bytes) in [
        ("报告.pdf", &b"<html><script>alert(1)</script>"[..]),
        ("报告.pdf", b"MZ\x90\0 a program"),
        ("报告.pdf", b""),
        ("图.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("报告.pdf", &[b'%'; 2_000]),
        ("bad\u{7}.pdf", PDF),
    ] {
        let refused = attach(&house, &citizen, &entered, name, bytes).await.unwrap_err();
        assert!(
            matches!(refused.code(), Code::InvalidInput | Code::TooLarge),
            "{name}: {refused:?}"
        );
        assert_eq!(lying(&house), 0, "{name}");
    }
    let with = attach(&house, &enterprise, &entered, "../../etc/报告.exe", PDF).await.unwrap();
    let file = with.files[0].clone();
    assert_eq!((file.name.as_str(), file.media.as_str()), ("报告.exe.pdf", "application/pdf"));
    assert_eq!((file.bytes, file.checksum), (PDF.len() as u64, sha256_hex(PDF)));
    assert_eq!(fetched(&house, &citizen, &with, &file.id).await.unwrap(), PDF);
    // Entered again, the work keeps them.
    let again = contest::enter(app, &citizen, &of.id, work("停车导航", "tingche")).await.unwrap();
    assert_eq!(again.files.len(), 1);
    // Another team finds neither the work nor its files.
    let stranger = house.person("consumer").await;
    contest::form(app, &stranger, &of.id, "乙队").await.unwrap();
    let refused = attach(&house, &stranger, &again, "a.pdf", PDF).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let refused = contest::detach(app, &stranger, &of.id, &again.id, &file.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    for n in 1..app.rules.contest.file.most {
        attach(&house, &citizen, &again, &format!("{n}.pdf"), PDF).await.unwrap();
    }
    let full = attach(&house, &citizen, &again, "more.pdf", PDF).await.unwrap_err();
    assert_eq!(full.code(), Code::RuleBroken);
    assert_eq!(lying(&house), app.rules.contest.file.most);
    let left = contest::detach(app, &citizen, &of.id, &again.id, &file.id).await.unwrap();
    assert!(left.files.iter().all(|f| f.id != file.id));
    assert_eq!(lying(&house), app.rules.contest.file.most - 1);
    let gone = fetched(&house, &citizen, &left, &file.id).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    // The leader takes the whole work back: nothing of it lies about.
    let refused = contest::take_back(app, &enterprise, &of.id, &again.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::Denied, "only the leader");
    contest::take_back(app, &citizen, &of.id, &again.id).await.unwrap();
    assert_eq!(lying(&house), 0);
    let seen = contest::contest(app, &citizen, &of.id, false).await.unwrap();
    assert!(seen.team.unwrap().works.is_empty());
    // It can be entered anew; after the last day nothing is changed any more.
    let anew = contest::enter(app, &citizen, &of.id, work("导航", "tingche")).await.unwrap();
    let with = attach(&house, &citizen, &anew, "a.pdf", PDF).await.unwrap();
    house.clock.forward(TimeDelta::days(9));
    let citizen = house.person("citizen").await;
    let late = attach(&house, &citizen, &with, "b.pdf", PDF).await.unwrap_err();
    assert_eq!(late.code(), Code::WrongState);
    let id = &with.files[0].id;
    for refused in [
        contest::detach(app, &citizen, &of.id, &with.id, id).await.unwrap_err(),
        contest::take_back(app, &citizen, &of.id, &with.id).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::WrongState);
    }
}

/// Who may have a file when: the team and the organiser always, judges once their work has begun, everybody after an award and only
/// while the team agrees.
async fn who_has_files(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tingche")).await;
    let of = public(&house).await;
    let citizen = house.person("citizen").await;
    contest::form(app, &citizen, &of.id, "甲队").await.unwrap();
    let entered = contest::enter(app, &citizen, &of.id, work("导航", "tingche")).await.unwrap();
    let with = attach(&house, &citizen, &entered, "说明.pdf", PDF).await.unwrap();
    let file = with.files[0].id.clone();
    // Each by name, and whether the file is had and told of on the page.
    let may = async |who: &str| {
        let op = match who {
            "nobody" => house.nobody(),
            name => house.person(name).await,
        };
        let had = fetched(&house, &op, &with, &file).await;
        if let Err(e) = &had {
            assert_eq!(e.code(), Code::NotFound, "{who}");
        }
        let seen = contest::contest(&house.app, &op, &of.id, false).await.unwrap();
        let told = seen.rounds[0].works.iter().any(|w| !w.files.is_empty());
        assert!(!told || had.is_ok(), "{who} is told of what cannot be had");
        assert!(seen.rounds[0].works.iter().all(|w| w.work.files.is_empty()), "told in one place");
        had.is_ok()
    };
    let all = ["citizen", "authority", "reviewer", "enterprise", "city", "nobody"];
    let those = async || {
        let mut found = Vec::new();
        for who in all {
            if may(who).await {
                found.push(who);
            }
        }
        found
    };
    assert_eq!(those().await, ["citizen", "authority"], "works are still entered");
    house.clock.forward(TimeDelta::days(9));
    assert_eq!(those().await, ["citizen", "authority", "reviewer"], "they are judged");
    let (reviewer, authority) = (house.person("reviewer").await, house.person("authority").await);
    contest::score(app, &reviewer, &of.id, &with.id, vec![90, 9], "").await.unwrap();
    contest::close_round(app, &authority, &of.id).await.unwrap();
    let citizen = house.person("citizen").await;
    contest::consent(app, &citizen, &of.id, &with.id, true).await.unwrap();
    assert_eq!(those().await, ["citizen", "authority", "reviewer"], "no award yet");
    contest::consent(app, &citizen, &of.id, &with.id, false).await.unwrap();
    contest::award(app, &authority, &of.id, &with.id, "一等奖", "").await.unwrap();
    assert_eq!(those().await, ["citizen", "authority", "reviewer"], "the team has not agreed");
    let enterprise = house.person("enterprise").await;
    let refused = contest::consent(app, &enterprise, &of.id, &with.id, true).await.unwrap_err();
    assert_eq!(refused.code(), Code::WrongState, "in no team");
    contest::consent(app, &citizen, &of.id, &with.id, true).await.unwrap();
    assert_eq!(those().await, all);
    contest::consent(app, &citizen, &of.id, &with.id, false).await.unwrap();
    assert_eq!(those().await, ["citizen", "authority", "reviewer"], "agreed to no more");
}

crate::on_both!(setup, teams, judging, files, who_has_files);
