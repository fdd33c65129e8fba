//! The index from outside, through its port: each test names what it shows.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use model::search::{SearchDoc, SearchItem, SearchPage, SearchQuery};
use policy::port::Search;
use proptest::prelude::*;

use crate::Index;

fn doc(id: &str, title: &str) -> SearchDoc {
    SearchDoc {
        id: id.into(),
        ledger: "data".into(),
        code: format!("code_{id}"),
        title: title.into(),
        org: "org1".into(),
        org_name: "浙江省市场监督管理局".into(),
        region: "330000".into(),
        domain: "11".into(),
        formats: vec!["CSV".into(), "JSON".into(), "CSV".into()],
        update_cycle: "daily".into(),
        open_type: "unconditional".into(),
        share_type: "unconditional".into(),
        grade: "L1".into(),
        audience: vec!["public".into(), "staff".into()],
        published_at: "2026-01-01T00:00:00.000Z".into(),
        ..SearchDoc::default()
    }
}

fn item(identifier: &str, name: &str) -> SearchItem {
    SearchItem {
        identifier: identifier.into(),
        name_cn: name.into(),
        grade: "L2".into(),
        share_type: "restricted".into(),
        open_type: "none".into(),
        ..SearchItem::default()
    }
}

fn rebuild(index: &Index, docs: &[SearchDoc]) -> model::Result<()> {
    index.rebuild(&mut docs.chunks(100).map(|c| Ok(c.to_vec())))
}

fn ask(text: &str) -> SearchQuery {
    SearchQuery {
        text: text.into(),
        filters: vec![("ledger".into(), "data".into())],
        audience: vec!["public".into()],
        limit: 20,
        ..SearchQuery::default()
    }
}

fn ids(page: &SearchPage) -> Vec<&str> {
    page.hits.iter().map(|h| h.doc.id.as_str()).collect()
}

fn facet<'a>(page: &'a SearchPage, name: &str) -> Vec<(&'a str, u64)> {
    let (_, list) = page.facets.iter().find(|(n, _)| n == name).unwrap();
    list.iter().map(|(v, n)| (v.as_str(), *n)).collect()
}

/// A small catalogue with a doc for each way of being found.
fn catalogue() -> Index {
    let index = Index::in_memory().unwrap();
    index
        .put(&[
            SearchDoc {
                description: "全省企业的登记信息，含统一社会信用代码".into(),
                items: vec![item("tyshxydm", "统一社会信用代码"), item("qymc", "企业名称")],
                tags: vec!["法人".into()],
                region: "330100".into(),
                ..doc("qy", "杭州市企业信息")
            },
            SearchDoc {
                title_en: "Population basics".into(),
                items: vec![item("sfzh", "身份证号"), item("xm", "姓名")],
                grade: "L3".into(),
                org: "org2".into(),
                org_name: "浙江省公安厅".into(),
                domain: "19".into(),
                ..doc("rk", "人口基本信息")
            },
            SearchDoc {
                title_en: "Air quality daily report".into(),
                description: "各站点PM2.5、臭氧等<指标>的日均值".into(),
                domain: "13".into(),
                region: "330106".into(),
                rows: 500,
                ..doc("kq", "空气质量日报")
            },
            SearchDoc {
                description: "桃園市臨時暨短期照顧服務之委託單位名稱".into(),
                domain: "04".into(),
                region: "330203".into(),
                rows: 20,
                published_at: "2026-03-01T00:00:00.000Z".into(),
                ..doc("tw", "桃園市臨時暨短期照顧服務之委託單位")
            },
            SearchDoc {
                audience: vec!["org:o9".into()], ..doc("hid", "尚未发布的企业信息")
            },
        ])
        .unwrap();
    index
}

fn finds(index: &Index, text: &str) -> Vec<String> {
    ids(&index.search(&ask(text)).unwrap()).into_iter().map(str::to_owned).collect()
}

#[test]
fn words_substrings_and_unknown_words_are_found() {
    let index = catalogue();
    for (text, want) in [
        ("企业", "qy"),
        ("企业 杭州", "qy"),
        ("法人", "qy"),
        ("信用代码", "qy"),
        ("空气质量", "kq"),
        ("气质", "kq"),
        ("PM2.5", "kq"),
        ("臭", "kq"),
        ("公安厅", "rk"),
        ("空气质量怎么样", "kq"),
        ("code_rk", "rk"),
        ("ＳＦＺＨ", "rk"),
    ] {
        assert_eq!(finds(&index, text).first().map(String::as_str), Some(want), "{text}");
    }
    assert!(finds(&index, "量子纠缠").is_empty());
    assert!(finds(&index, "企业 空气质量").is_empty());
}

#[test]
fn pinyin_in_full_and_by_initials() {
    let index = catalogue();
    for (text, want) in [
        ("sfzh", "rk"),
        ("hzsqyxx", "qy"),
        ("qyxx", "qy"),
        ("kqzl", "kq"),
        ("kongqi", "kq"),
        ("renkoujiben", "rk"),
        ("shenfenzh", "rk"),
        ("杭州 qyxx", "qy"),
    ] {
        assert_eq!(finds(&index, text).first().map(String::as_str), Some(want), "{text}");
    }
}

#[test]
fn misspelt_latin_words_are_found_from_five_letters() {
    let index = catalogue();
    for text in ["qualty", "populaton", "Popluation", "qualit"] {
        assert_eq!(finds(&index, text).len(), 1, "{text}");
    }
    assert!(finds(&index, "aif").is_empty());
}

#[test]
fn both_scripts_find_each_other() {
    let index = catalogue();
    for text in ["臨時", "临时", "委託單位", "委托单位", "桃園市", "桃园市", "短期照顧服務"]
    {
        assert_eq!(finds(&index, text), ["tw"], "{text}");
    }
    assert_eq!(finds(&index, "企業"), ["qy"]);
}

#[test]
fn a_homophone_helps_only_when_nothing_else_is_found() {
    let index = catalogue();
    assert_eq!(finds(&index, "人口基本心系"), ["rk"]);
}

#[test]
fn only_the_audience_sees_a_document() {
    let index = catalogue();
    let mut q = ask("企业");
    assert_eq!(ids(&index.search(&q).unwrap()), ["qy"]);
    q.audience.push("org:o9".into());
    assert_eq!(index.search(&q).unwrap().total, 2);
    q.audience = vec!["org:o".into()];
    assert_eq!(index.search(&q).unwrap().total, 0);
    q.audience.clear();
    let page = index.search(&q).unwrap();
    assert!(page.total == 0 && page.facets.iter().all(|(_, l)| l.is_empty()));
}

#[test]
fn facets_roll_up_and_drill_sideways() {
    let index = catalogue();
    let page = index.search(&ask("")).unwrap();
    assert_eq!(page.total, 4);
    assert_eq!(
        facet(&page, "region"),
        [("330000", 4), ("330100", 2), ("330106", 1), ("330200", 1), ("330203", 1)]
    );
    assert_eq!(facet(&page, "format"), [("CSV", 4), ("JSON", 4)]);
    assert_eq!(facet(&page, "org"), [("org1", 3), ("org2", 1)]);

    let mut q = ask("");
    q.filters = vec![("ledger".into(), "data".into()), ("region".into(), "330100".into())];
    let page = index.search(&q).unwrap();
    assert_eq!(page.total, 2);
    // The region's own counts ignore the region filter, the others' follow it.
    assert_eq!(facet(&page, "region")[0], ("330000", 4));
    assert_eq!(facet(&page, "domain"), [("11", 1), ("13", 1)]);

    q.filters.push(("domain".into(), "13".into()));
    q.filters.push(("org".into(), String::new()));
    let page = index.search(&q).unwrap();
    assert_eq!(ids(&page), ["kq"]);
    assert_eq!(facet(&page, "domain"), [("11", 1), ("13", 1)]);
    assert_eq!(facet(&page, "region"), [("330000", 1), ("330100", 1), ("330106", 1)]);

    q.filters.push(("domain".into(), "11".into()));
    assert_eq!(index.search(&q).unwrap().total, 2, "the same facet twice is or");
    q.filters.push(("colour".into(), "red".into()));
    assert!(index.search(&q).is_err());
}

#[test]
fn pages_are_sorted_cut_and_complete() {
    let index = catalogue();
    let mut q = ask("");
    q.sort = "rows".into();
    assert_eq!(ids(&index.search(&q).unwrap())[..2], ["kq", "tw"]);
    q.sort = "published_at".into();
    assert_eq!(ids(&index.search(&q).unwrap())[0], "tw");
    q.limit = 1;
    let mut seen = Vec::new();
    for offset in 0..4 {
        q.offset = offset;
        let page = index.search(&q).unwrap();
        assert_eq!((page.total, page.hits.len()), (4, 1));
        seen.extend(ids(&page).into_iter().map(str::to_owned));
    }
    seen.sort();
    assert_eq!(seen, ["kq", "qy", "rk", "tw"]);
    q.offset = u32::MAX;
    q.limit = u32::MAX;
    assert!(index.search(&q).unwrap().hits.is_empty());
    q.offset = 0;
    q.limit = 0;
    assert_eq!(index.search(&q).unwrap().total, 4);
    q.sort = "size".into();
    assert!(index.search(&q).is_err());
}

#[test]
fn highlights_come_with_the_hits() {
    let index = catalogue();
    let hit = &index.search(&ask("日均值 空气")).unwrap().hits[0];
    assert_eq!(hit.title_html, "<mark>空气</mark>质量日报");
    assert_eq!(hit.description_html, "各站点PM2.5、臭氧等&lt;指标&gt;的<mark>日均值</mark>");
}

#[test]
fn writes_are_seen_when_they_return() {
    let index = Index::in_memory().unwrap();
    for n in 0..20 {
        index.put(&[doc("same", &format!("第{n}版标题"))]).unwrap();
        assert_eq!(finds(&index, &format!("第{n}版")), ["same"]);
        assert_eq!(index.count().unwrap(), 1);
    }
    assert!(finds(&index, "第3版").is_empty());
    index.put(&[doc("a", "甲"), doc("a", "乙")]).unwrap();
    assert_eq!(
        (index.count().unwrap(), finds(&index, "乙").len()),
        (2, 1),
        "the later of two wins"
    );
    index.remove(&["same".into(), "nobody".into()]).unwrap();
    assert_eq!(index.count().unwrap(), 1);
    index.put(&[]).unwrap();
    index.remove(&[]).unwrap();
}

#[test]
fn rebuild_has_no_gap_and_clears_the_flag() {
    let index = Arc::new(Index::in_memory().unwrap());
    assert!(index.needs_rebuild());
    let docs: Vec<SearchDoc> = (0..200).map(|n| doc(&n.to_string(), "企业信息")).collect();
    rebuild(&index, &docs).unwrap();
    assert!(!index.needs_rebuild());
    let watcher = Arc::clone(&index);
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = Arc::clone(&done);
    let watching = std::thread::spawn(move || {
        let mut least = u64::MAX;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            least = least.min(watcher.search(&ask("企业")).unwrap().total);
        }
        least
    });
    for _ in 0..3 {
        rebuild(&index, &docs).unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(watching.join().unwrap(), 200);
    rebuild(&index, &docs[..1]).unwrap();
    assert_eq!(index.count().unwrap(), 1);
}

#[test]
fn an_item_hit_names_its_entry_and_follows_it() {
    let index = catalogue();
    let mut q = ask("sfzh");
    q.filters = vec![("ledger".into(), "item".into())];
    let page = index.search(&q).unwrap();
    assert_eq!(page.total, 1);
    let hit = &page.hits[0];
    assert_eq!((hit.doc.id.as_str(), hit.doc.item.as_str()), ("rk", "sfzh"));
    assert_eq!((hit.doc.title.as_str(), hit.doc.parent.as_str()), ("身份证号", "人口基本信息"));
    assert_eq!(hit.doc.ledger, "item");
    assert_eq!(facet(&page, "org"), [("org2", 1)]);
    // Of several words one must be the item's own, the others may be its entry's.
    for (text, n) in
        [("身份证号 人口", 1), ("公安厅 姓名", 1), ("人口 公安厅", 0), ("公民身份号码", 1)]
    {
        q.text = text.into();
        assert_eq!(index.search(&q).unwrap().total, n, "{text}");
    }
    // An entry that loses an item, or goes, takes its items' hits along.
    index
        .put(&[SearchDoc { items: vec![item("xm", "姓名")], ..doc("rk", "人口基本信息") }])
        .unwrap();
    q.text = "身份证号".into();
    assert_eq!(index.search(&q).unwrap().total, 0);
    index.remove(&["rk".into(), "qy".into()]).unwrap();
    q.text = String::new();
    assert_eq!(index.search(&q).unwrap().total, 0);
}

#[test]
fn a_closed_item_is_not_found_by_the_public() {
    let index = Index::in_memory().unwrap();
    let closed = SearchItem { closed: true, ..item("sfzh", "身份证号") };
    index
        .put(&[SearchDoc { items: vec![closed, item("xm", "姓名")], ..doc("rk", "人口") }])
        .unwrap();
    let mut q = ask("身份证号");
    q.filters.clear();
    assert_eq!(index.search(&q).unwrap().total, 0);
    q.audience = vec!["staff".into()];
    assert_eq!(index.search(&q).unwrap().total, 1);
    q.audience = vec!["public".into()];
    q.text = String::new();
    let page = index.search(&q).unwrap();
    assert_eq!(facet(&page, "ledger"), [("data", 1), ("item", 1)]);
}

#[test]
fn pages_by_position_show_everything_once() {
    let index = Index::in_memory().unwrap();
    let docs: Vec<SearchDoc> =
        (0..137).map(|n| doc(&n.to_string(), &format!("企业信息{}", n % 7))).collect();
    rebuild(&index, &docs).unwrap();
    for sort in ["relevance", "rows"] {
        let mut q = ask("企业");
        q.sort = sort.into();
        q.limit = 10;
        let mut seen = Vec::new();
        loop {
            let page = index.search(&q).unwrap();
            assert_eq!(page.total, 137);
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            q.after = page.next.clone();
            if q.after.is_none() {
                break;
            }
        }
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        assert_eq!((seen.len(), once.len()), (137, 137), "{sort}");
    }
    let mut q = ask("企业");
    q.after = Some("nowhere".into());
    assert!(index.search(&q).is_err());
}

#[test]
fn synonyms_are_a_file() {
    let index = Index::in_memory().unwrap();
    index.put(&[doc("a", "公共停车泊位清单")]).unwrap();
    assert_eq!(finds(&index, "停车场"), ["a"]);
    index.set_synonyms("# none\n");
    assert!(finds(&index, "车位").is_empty());
    index.set_synonyms("车位 停车泊位");
    assert_eq!(finds(&index, "车位"), ["a"]);
}

#[test]
fn what_is_held_is_told_by_ledger_and_content() {
    let index = catalogue();
    let held = |index: &Index| index.holdings().unwrap();
    let before = held(&index);
    let counts: Vec<(&str, u64)> = before.iter().map(|(l, h)| (l.as_str(), h.documents)).collect();
    assert_eq!(counts, [("data", 5), ("item", 4)]);
    let mut other = doc("kq", "空气质量日报");
    other.rows = 501;
    index.put(&[other.clone()]).unwrap();
    assert_ne!(held(&index), before, "another content");
    let digest = |docs: &[SearchDoc]| docs.iter().fold(0, |d, x| d ^ x.fingerprint());
    let alone = Index::in_memory().unwrap();
    let docs = [other, doc("x", "y")];
    rebuild(&alone, &docs).unwrap();
    assert_eq!(held(&alone)[0].1.digest, digest(&docs));
}

#[test]
fn a_rebuild_that_fails_leaves_the_index_as_it_was() {
    let index = catalogue();
    let before = index.count().unwrap();
    let failed = index.rebuild(
        &mut [Ok(vec![doc("a", "新")]), Err(model::Error::internal("source"))].into_iter(),
    );
    assert!(failed.is_err());
    assert_eq!(index.count().unwrap(), before);
    assert_eq!(finds(&index, "空气质量"), ["kq"]);
    index.put(&[doc("a", "新来的")]).unwrap();
    assert_eq!(finds(&index, "新来"), ["a"]);
}

#[test]
fn completions_put_beginnings_first() {
    let index = catalogue();
    index.put(&[doc("x1", "重点企业信息名单"), doc("x2", "企业信息")]).unwrap();
    let staff = ["public".to_owned()];
    assert_eq!(index.suggest("企业", &staff, 2).unwrap(), ["企业信息", "杭州市企业信息"]);
    assert_eq!(index.suggest("qyxx", &staff, 1).unwrap(), ["企业信息"]);
    assert_eq!(index.suggest("hangz", &staff, 5).unwrap(), ["杭州市企业信息"]);
    assert_eq!(index.suggest("Air q", &staff, 5).unwrap(), ["空气质量日报"]);
    for nothing in ["", "  ", "\"", "尚未发布"] {
        assert!(index.suggest(nothing, &staff, 5).unwrap().is_empty(), "{nothing}");
    }
}

#[test]
fn a_folder_keeps_its_documents_and_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("search");
    let index = Index::open(&path).unwrap();
    assert!(index.needs_rebuild());
    rebuild(&index, &[doc("a", "企业信息")]).unwrap();
    let e = Index::open(&path).unwrap_err();
    assert!(e.en().contains("in use by another process"), "{e}");
    drop(index);
    let index = Index::open(&path).unwrap();
    assert!(!index.needs_rebuild());
    assert_eq!(finds(&index, "企业"), ["a"]);
}

#[test]
fn a_foreign_folder_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "mine").unwrap();
    let e = Index::open(dir.path()).unwrap_err();
    assert!(e.en().contains("letter.txt"), "{e}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn damage_and_other_versions_lead_to_a_rebuild() {
    type Harm = fn(&std::path::Path);
    let harms: [(&str, Harm); 6] = [
        ("other version", |p| {
            fs::write(
                p.join("qiantang-search.json"),
                r#"{"format":"qiantang-search","schema":9999}"#,
            )
            .unwrap();
        }),
        ("marker garbage", |p| fs::write(p.join("qiantang-search.json"), b"\xff\x00").unwrap()),
        ("meta garbage", |p| fs::write(p.join("index/meta.json"), "{").unwrap()),
        ("meta lost", |p| fs::remove_file(p.join("index/meta.json")).unwrap()),
        ("segments cut", |p| each_segment(p, |f| fs::write(f, b"short").unwrap())),
        ("segments lost", |p| each_segment(p, |f| fs::remove_file(f).unwrap())),
    ];
    for (name, harm) in harms {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap();
        rebuild(&index, &[doc("a", "企业信息")]).unwrap();
        drop(index);
        harm(dir.path());
        let index = Index::open(dir.path()).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert!(index.needs_rebuild(), "{name}");
        rebuild(&index, &[doc("b", "企业信息")]).unwrap();
        assert_eq!(finds(&index, "企业"), ["b"], "{name}");
    }
}

fn each_segment(path: &std::path::Path, harm: fn(&std::path::Path)) {
    for entry in fs::read_dir(path.join("index")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|e| e == "term" || e == "store") {
            harm(&file);
        }
    }
}

#[test]
fn a_whole_catalogue_goes_in_quickly() {
    let index = Index::in_memory().unwrap();
    let docs: Vec<SearchDoc> = (0..1500)
        .map(|n| SearchDoc {
            description: format!("第{n}号数据集，记录各县（市、区）养老机构与公共停车场的基本情况"),
            items: vec![
                item("jgmc", "机构名称"),
                item("tyshxydm", "统一社会信用代码"),
                item("lxdh", "联系电话"),
                item(&format!("l{n}"), &format!("列{n}")),
            ],
            region: ["330106", "330203", "331002"][n % 3].into(),
            ..doc(&n.to_string(), &format!("养老机构信息{n}"))
        })
        .collect();
    index.put(&[doc("warm", "词典")]).unwrap();
    let start = Instant::now();
    index.put(&docs).unwrap();
    let put = start.elapsed();
    let start = Instant::now();
    let page = index.search(&ask("养老机构")).unwrap();
    println!("put 1500 in {put:?}, one search {:?}", start.elapsed());
    assert_eq!(page.total, 1500);
    assert_eq!(facet(&page, "region")[0], ("330000", 1500));
    assert!(put.as_secs() < 60, "{put:?}");
}

#[test]
fn strange_documents_are_kept_as_they_are() {
    let index = Index::in_memory().unwrap();
    let strange = SearchDoc {
        title: "\u{0}<script>𠮷😀\u{202e}".into(),
        description: "字".repeat(50_000),
        items: vec![item("", ""), item(&"a".repeat(70_000), "")],
        region: "not a code".into(),
        rows: -5,
        published_at: "yesterday".into(),
        ..doc("odd", "")
    };
    index.put(std::slice::from_ref(&strange)).unwrap();
    let page = index.search(&ask("𠮷")).unwrap();
    assert_eq!(page.hits[0].doc, SearchDoc { items: Vec::new(), ..strange });
    assert!(page.hits[0].title_html.contains("&lt;script&gt;<mark>𠮷</mark>"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is typed is text: it neither fails nor panics, and the total agrees with the pages.
    #[test]
    fn any_text_can_be_typed(text in any_query(), sort in 0..4_usize) {
        thread_local!(static INDEX: Index = catalogue());
        INDEX.with(|index| {
            let mut q = ask(&text);
            q.sort = ["", "rows", "data_at", "published_at"][sort].to_owned();
            let page = index.search(&q).unwrap();
            prop_assert_eq!(page.total, page.hits.len() as u64);
            for hit in &page.hits {
                let plain = hit.title_html.replace("<mark>", "").replace("</mark>", "");
                prop_assert!(!plain.contains('<'));
            }
            index.suggest(&text, &q.audience, 5).unwrap();
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any substring of a title finds its document.
    #[test]
    fn a_substring_finds_its_title(title in "[一-龥]{4,12}", from in 0..4_usize, len in 1..8_usize) {
        let index = Index::in_memory().unwrap();
        index.put(&[doc("a", &title), doc("b", "无关")]).unwrap();
        let part: String = title.chars().skip(from).take(len).collect();
        prop_assume!(!part.is_empty());
        prop_assert!(finds(&index, &part).contains(&"a".to_owned()), "{} in {}", part, title);
    }
}

fn any_query() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[企业杭州空气質量 a-z0-9\"'*?~^+\\-:()\\[\\]{}/\\\\!&|<>,.]{0,40}",
        "(title:|NOT |AND |OR |\\*|~1|\\[a TO z\\]){1,6}",
        "[a-z]{1,300}",
        "[\u{4e00}-\u{9fff}]{1,200}",
    ]
}
