//! Words that mean the same, from a file of groups.

use std::collections::HashMap;

use crate::text::normalise;

/// Other words tried for one word.
const MOST: usize = 6;

/// The groups, by normal form of each word.
#[derive(Debug, Default)]
pub(crate) struct Synonyms {
    groups: HashMap<String, Vec<String>>,
}

impl Synonyms {
    /// Reads the file: a group a line, words separated by spaces, `#` begins a comment.
    pub(crate) fn read(text: &str) -> Self {
        let mut groups: HashMap<String, Vec<String>> = HashMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<String> = line
                .split_whitespace()
                .map(|w| normalise(w).into_iter().collect::<String>())
                .filter(|w| !w.is_empty())
                .collect();
            for word in &words {
                let others = groups.entry(word.clone()).or_default();
                for other in words.iter().filter(|o| *o != word) {
                    if !others.contains(other) {
                        others.push(other.clone());
                    }
                }
            }
        }
        Self { groups }
    }

    /// Other words for a normalised word.
    pub(crate) fn of(&self, word: &str) -> &[String] {
        let all = self.groups.get(word).map(Vec::as_slice).unwrap_or_default();
        all.get(..MOST).unwrap_or(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_names_each_word_by_the_others() {
        let s = Synonyms::read("# words\n停车场 車位 停车位 # three\n\n单独\n");
        assert_eq!(s.of("车位"), ["停车场", "停车位"]);
        assert!(s.of("单独").is_empty() && s.of("没有").is_empty());
    }
}
