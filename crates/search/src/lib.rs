//! Search: full text over the ledger, with Chinese words, pinyin, facets and highlights.
//!
//! One public thing: [`Index`], which keeps the port `policy::port::Search`. Inside, in reading order:
//! `text` (characters → runs → words and bigrams), `sound` (pinyin), `schema` (what is indexed), `query`
//! (what a person types → what is asked; user text is never parsed as query syntax), `synonym` (words that mean the
//! same), `within` (an expression
//! a question is narrowed by), `names` (names that many documents share), `columns` and `collect` (exact counts and one page in a single pass), `mark` (highlights and snippets),
//! `folder` and `place` (the index on disk), `index` (all together).
//!
//! The index is derived data: it can always be rebuilt from the ledger, so whatever is unreadable is thrown
//! away and [`Index::needs_rebuild`] says so.

mod collect;
mod columns;
mod folder;
mod index;
mod mark;
mod names;
mod place;
mod query;
mod schema;
mod sound;
mod synonym;
mod text;
mod within;
mod words;

pub use index::Index;

#[cfg(test)]
mod tests;
