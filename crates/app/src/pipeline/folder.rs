//! Turns of a folder: its files one after the other.

use model::code::SyncMode;
use model::pipeline::{EmptyRule, Pipeline, Turn, TurnFigures};
use model::{Code, Error, Op, Result};
use policy::port::{ShelfFile, ShelfPlace, Source};

use super::turn::{Done, Job, no_rows};
use super::{check, secret};
use crate::App;

impl Job<'_> {
    /// Files of a folder in the order of their paths: each its own parcel, with its path as the position; all anew takes
    /// the last one.
    pub(super) async fn folder(&self, turn: &mut Turn, url: &str, pattern: &str) -> Result<Done> {
        let app = self.app;
        let place = shelf_place(app, self.pipeline, url).await?;
        let position = app.lake.position(&self.entry.draft.code, &self.track()).await?;
        let full = self.file.mode == SyncMode::Full;
        let after = position.filter(|_| !full);
        let mut files = matching(app, &place, pattern, after.as_deref(), full).await?;
        if full {
            files = files.split_off(files.len().saturating_sub(1));
        }
        let mut done = Done::Empty;
        for file in files {
            let begun = turn.figures.clone();
            turn.figures = TurnFigures::default();
            let outcome = self.file(turn, &place, &file).await;
            turn.figures.add(&begun);
            if outcome? == Done::Well {
                done = Done::Well;
            }
        }
        match (done, self.file.empty) {
            (Done::Empty, EmptyRule::Allow) => Ok(Done::Well),
            (Done::Empty, EmptyRule::Fail) if turn.attempts.is_empty() => {
                let (zh, en) = no_rows();
                Err(Error::new(Code::RuleBroken, zh, en))
            }
            _ => Ok(done),
        }
    }

    async fn file(&self, turn: &mut Turn, place: &ShelfPlace, file: &ShelfFile) -> Result<Done> {
        let app = self.app;
        let name = file.path.rsplit('/').next().unwrap_or_default().to_owned();
        let fetched = app.folders.inbox.join(format!("{}.fetched", Op::system(app.now()).new_id()));
        app.shelf.fetch(place, &file.path, &fetched).await?;
        let source = Source::File { path: fetched.clone(), name };
        let full = self.file.mode == SyncMode::Full;
        let path = file.path.clone();
        let done =
            self.bring(turn, &source, self.file.mode, |_| (!full).then(|| path.clone())).await;
        if let Err(e) = tokio::fs::remove_file(&fetched).await {
            tracing::warn!(error = %e, "a fetched file could not be taken away");
        }
        done
    }
}

/// A folder with the secrets its address names; one of this machine must be allowed.
pub(super) async fn shelf_place(app: &App, pipeline: &Pipeline, url: &str) -> Result<ShelfPlace> {
    if let Some(path) = url.strip_prefix("file://") {
        check::allowed(app, &pipeline.org, std::path::Path::new(path.trim_end_matches('/')))?;
    }
    let url = secret::filled(app, &pipeline.org, url).await?;
    Ok(ShelfPlace { url: url.to_string(), options: Vec::new() })
}

/// Files that match, by their path: those after `after`, no more than a turn takes; the last ones when `last`.
pub(super) async fn matching(
    app: &App,
    place: &ShelfPlace,
    pattern: &str,
    after: Option<&str>,
    last: bool,
) -> Result<Vec<ShelfFile>> {
    let most = app.rules.pipeline.files_most.max(1);
    let (mut found, mut at): (Vec<ShelfFile>, Option<String>) =
        (Vec::new(), after.map(str::to_owned));
    loop {
        let page = app.shelf.list(place, at.as_deref(), most).await?;
        let Some(end) = page.last().map(|f| f.path.clone()) else { return Ok(found) };
        found.extend(page.into_iter().filter(|f| matches(pattern, &f.path)));
        if last {
            found = found.split_off(found.len().saturating_sub(1));
        } else if found.len() >= most {
            found.truncate(most);
            return Ok(found);
        }
        at = Some(end);
    }
}

/// `*` is any part of a name, `?` one letter; a pattern with `/` is of the whole path, else of the file's own name.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let text = if pattern.contains('/') { path } else { path.rsplit('/').next().unwrap_or(path) };
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // The usual walk with one way back: to the last star.
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' && text.get(t) != Some(&'/') || Some(c) == text.get(t) => {
                (p, t) = (p + 1, t + 1);
            }
            _ => match back {
                Some((star, from)) if text.get(from) != Some(&'/') => {
                    back = Some((star, from + 1));
                    (p, t) = (star + 1, from + 1);
                }
                _ => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_names_or_paths() {
        for (pattern, path) in [
            ("*.csv", "in/2026/a.csv"),
            ("a?.csv", "ab.csv"),
            ("in/*/a*.csv", "in/2026/a-1.csv"),
            ("*", "x"),
            ("数据*.xlsx", "数据-一月.xlsx"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("*.csv", "a.csv.gz"), ("in/*.csv", "in/2026/a.csv"), ("a?.csv", "a.csv"), ("", "x")]
        {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }
}
