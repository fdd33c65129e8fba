//! How pages look to a visitor: large type for the elderly (适老化), light or dark. Chosen by a link, kept in cookies as
//! the language is, so that it works without script.

/// Cookie of the chosen [`View`].
pub(crate) const VIEW_COOKIE: &str = "qt_look";
/// Cookie of the chosen [`Theme`].
pub(crate) const THEME_COOKIE: &str = "qt_theme";

/// Size of type and targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum View {
    #[default]
    Plain,
    /// 长者模式: large type, wide lines, high contrast, large targets and pointer.
    Elder,
    /// The same with the largest type.
    Largest,
}

/// Colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the visitor's system says.
    #[default]
    Auto,
    Light,
    Dark,
}

/// Both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) view: View,
    pub(crate) theme: Theme,
}

impl View {
    pub(crate) const ALL: [View; 3] = [View::Plain, View::Elder, View::Largest];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            View::Plain => "plain",
            View::Elder => "elder",
            View::Largest => "largest",
        }
    }
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == word)
    }
    /// Whether it is one of the elder mode's.
    pub(crate) fn elder(self) -> bool {
        self != View::Plain
    }
    /// Classes of the page's root.
    pub(crate) fn classes(self) -> &'static str {
        match self {
            View::Plain => "",
            View::Elder => "elder",
            View::Largest => "elder largest",
        }
    }
    pub(crate) fn name(self) -> (&'static str, &'static str) {
        match self {
            View::Plain => ("标准", "Standard"),
            View::Elder => ("大字", "Large"),
            View::Largest => ("特大字", "Largest"),
        }
    }
}

impl Theme {
    pub(crate) const ALL: [Theme; 3] = [Theme::Auto, Theme::Light, Theme::Dark];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == word)
    }
    pub(crate) fn name(self) -> (&'static str, &'static str) {
        match self {
            Theme::Auto => ("跟随系统", "As the system"),
            Theme::Light => ("浅色", "Light"),
            Theme::Dark => ("深色", "Dark"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_cookies_are_read_back_and_others_are_not() {
        for view in View::ALL {
            assert_eq!(View::parse(view.as_str()), Some(view));
        }
        for theme in Theme::ALL {
            assert_eq!(Theme::parse(theme.as_str()), Some(theme));
        }
        assert_eq!((View::parse("\" onload"), Theme::parse("")), (None, None));
        assert!(View::Largest.elder() && !View::Plain.elder());
    }
}
