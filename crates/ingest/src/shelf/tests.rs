//! Folders as shelves, and what a bucket refuses before it connects anywhere.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use guard::OutgoingRules;
use guard::hash::sha256_hex;
use model::Code;
use policy::port::{Shelf, ShelfPlace};

use super::Shelves;
use crate::outgoing::Outgoing;

struct Ground {
    folder: tempfile::TempDir,
    shelves: Shelves,
    place: ShelfPlace,
}

fn ground() -> Ground {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("in")).unwrap();
    std::fs::write(folder.path().join("secret"), "geheim").unwrap();
    let shelves = Shelves::new(Outgoing::default(), vec![root.clone()]);
    let place = of(&root.join("in"));
    Ground { folder, shelves, place }
}

fn of(path: &Path) -> ShelfPlace {
    ShelfPlace { url: format!("file://{}/", path.display()), options: Vec::new() }
}

impl Ground {
    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join("root/in").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("root/in").join(path)).unwrap()
    }
    async fn names(&self, after: Option<&str>, limit: usize) -> Vec<String> {
        let found = self.shelves.list(&self.place, after, limit).await.unwrap();
        found.into_iter().map(|f| f.path).collect()
    }
}

#[tokio::test]
async fn files_are_paged_in_the_order_of_their_paths() {
    let g = ground();
    let mut all = Vec::new();
    for path in ["a-b.csv", "a/1.csv", "a/10.csv", "a/b/c.csv", "a.csv", "数据/一.csv", "z.csv"]
    {
        g.write(path, path);
        all.push(path.to_owned());
    }
    g.write(".hidden", "x");
    g.write("a/.1.csv.00.part", "x");
    all.sort();
    assert_eq!(g.names(None, 100).await, all);
    for size in 1..=3 {
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = g.names(after.as_deref(), size).await;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            seen.extend(page);
        }
        assert_eq!(seen, all, "pages of {size}");
    }
}

#[tokio::test]
async fn a_file_is_fetched_put_moved_and_removed() {
    let g = ground();
    g.write("a.csv", "编号\n1\n");
    let out = g.folder.path().join("out.csv");
    let (bytes, sum) = g.shelves.fetch(&g.place, "a.csv", &out).await.unwrap();
    assert_eq!((bytes, sum), (9, sha256_hex("编号\n1\n".as_bytes())));
    g.shelves.put(&g.place, "out/2026/b.csv", &out).await.unwrap();
    assert_eq!(g.text("out/2026/b.csv"), "编号\n1\n");
    let mark = g.shelves.look(&g.place, "a.csv").await.unwrap().unwrap().mark;
    g.shelves.shift(&g.place, "a.csv", "archive/2026/03/a.csv").await.unwrap();
    assert!(g.shelves.look(&g.place, "a.csv").await.unwrap().is_none());
    assert_eq!(
        g.shelves.look(&g.place, "archive/2026/03/a.csv").await.unwrap().unwrap().mark,
        mark
    );
    g.shelves.remove(&g.place, "archive/2026/03/a.csv").await.unwrap();
    g.shelves.remove(&g.place, "archive/2026/03/a.csv").await.unwrap();
    assert_eq!(g.names(None, 10).await, ["out/2026/b.csv"]);
    let gone = g.shelves.fetch(&g.place, "a.csv", &out).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let left = std::fs::read_dir(g.folder.path().join("root/in/out/2026")).unwrap().count();
    assert_eq!(left, 1, "no part of a file is left behind");
}

#[tokio::test]
async fn no_path_leads_out() {
    let g = ground();
    let inside = g.folder.path().join("root/in");
    symlink(g.folder.path().join("secret"), inside.join("link.csv")).unwrap();
    symlink(g.folder.path(), inside.join("up")).unwrap();
    symlink("../../secret", inside.join("relative.csv")).unwrap();
    g.write("fine.csv", "1");
    symlink("fine.csv", inside.join("same.csv")).unwrap();
    assert_eq!(g.names(None, 10).await, ["fine.csv", "same.csv"]);
    let out = g.folder.path().join("out");
    for path in [
        "link.csv",
        "up/secret",
        "relative.csv",
        "../secret",
        "../../secret",
        "/etc/passwd",
        "a/../../secret",
        "",
        ".",
        "a//b",
        "a\\..\\b",
        ".hidden",
    ] {
        assert!(g.shelves.fetch(&g.place, path, &out).await.is_err(), "{path}");
        assert!(!out.exists(), "{path}");
    }
    let from = inside.join("fine.csv");
    for path in ["up/new", "../new", "/tmp/new-of-shelves", "up/a/b"] {
        assert!(g.shelves.put(&g.place, path, &from).await.is_err(), "{path}");
        assert!(g.shelves.shift(&g.place, "fine.csv", path).await.is_err(), "{path}");
    }
    assert!(!g.folder.path().join("new").exists());
    assert_eq!(std::fs::read_to_string(g.folder.path().join("secret")).unwrap(), "geheim");
}

#[tokio::test]
async fn a_place_lies_under_a_root_of_the_operator() {
    let g = ground();
    let root = g.folder.path().join("root");
    symlink(g.folder.path(), root.join("up")).unwrap();
    for (path, why) in [
        (g.folder.path().to_owned(), Code::RuleBroken),
        (root.join("../root2"), Code::RuleBroken),
        ("/".into(), Code::RuleBroken),
        (root.join("missing"), Code::SourceUnavailable),
        (root.join("up"), Code::SourceUnavailable),
    ] {
        let refused = g.shelves.list(&of(&path), None, 1).await.unwrap_err();
        assert_eq!(refused.code(), why, "{path:?}: {refused}");
    }
    let outside = g.shelves.list(&of(g.folder.path()), None, 1).await.unwrap_err();
    assert!(outside.zh().contains("[exchange] folders"), "{outside}");
    for url in ["", "in", "http://h/x", "file://host/x", "file:///a?b", "s3://"] {
        let place = ShelfPlace { url: url.into(), options: Vec::new() };
        assert!(g.shelves.list(&place, None, 1).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn names_of_old_machines_are_read() {
    let g = ground();
    let (name, _, _) = encoding_rs::GB18030.encode("企业名单.csv");
    let path = g.folder.path().join("root/in").join(std::ffi::OsStr::from_bytes(&name));
    std::fs::write(&path, "x").unwrap();
    assert_eq!(g.names(None, 10).await, ["企业名单.csv"]);
    let out = g.folder.path().join("out");
    assert_eq!(g.shelves.fetch(&g.place, "企业名单.csv", &out).await.unwrap().0, 1);
    g.shelves.shift(&g.place, "企业名单.csv", "archive/企业名单.csv").await.unwrap();
    assert_eq!(g.names(None, 10).await, ["archive/企业名单.csv"]);
}

#[tokio::test]
async fn a_bucket_is_reached_only_where_the_list_lets_go_and_asks_nobody_else_for_keys() {
    let list = ["127.0.0.0/8".to_owned()];
    let here = Outgoing::new(OutgoingRules::parse(&list).unwrap());
    let with = |options: &[(&str, &str)]| ShelfPlace {
        url: "s3://bucket/in/".into(),
        options: options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    };
    let keys = [("access_key_id", "k"), ("secret_access_key", "s")];
    for (shelves, options, said) in [
        (Shelves::default(), vec![("endpoint", "http://127.0.0.1:9000")], "[outgoing] allow"),
        (Shelves::default(), vec![("endpoint", "http://169.254.169.254")], "元数据"),
        (
            Shelves::new(here.clone(), vec![]),
            vec![("metadata_endpoint", "http://127.0.0.1")],
            "metadata_endpoint",
        ),
        (Shelves::new(here.clone(), vec![]), vec![], "endpoint"),
    ] {
        let place = with(&[&keys[..], &options[..]].concat());
        let refused = shelves.list(&place, None, 1).await.unwrap_err();
        assert!(refused.zh().contains(said), "{options:?}: {refused}");
    }
    let unsigned = with(&[("endpoint", "http://127.0.0.1:9000")]);
    let refused = Shelves::new(here, vec![]).list(&unsigned, None, 1).await.unwrap_err();
    assert!(refused.en().contains("access_key_id"), "{refused}");
}
