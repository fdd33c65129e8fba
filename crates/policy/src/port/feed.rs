//! Sources of pipelines beside files and databases of the log: what they are, as the reading engine needs them.

use std::path::PathBuf;

/// Where the rows of a pipeline come from, with its secrets; watermarks are already filled in.
#[derive(Clone)]
pub enum Feed {
    /// One SELECT on a SQLite file of this machine, opened for reading only.
    Sqlite { path: PathBuf, sql: String },
    /// An interface that answers JSON.
    Http(HttpFeed),
    /// Messages of a topic, JSON objects, from where the group stood.
    Kafka(KafkaFeed),
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Feed::Sqlite { .. } => "Sqlite",
            Feed::Http(_) => "Http",
            Feed::Kafka(_) => "Kafka",
        })
    }
}

/// An interface that answers JSON, page by page.
#[derive(Clone, Default)]
pub struct HttpFeed {
    pub url: String,
    /// Headers, those that prove who asks among them.
    pub headers: Vec<(String, String)>,
    pub query: Vec<(String, String)>,
    /// JSON pointer (RFC 6901) to the array of rows; empty when the answer is the array.
    pub rows_at: String,
    pub paging: Paging,
}

impl std::fmt::Debug for HttpFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpFeed").field("rows_at", &self.rows_at).finish_non_exhaustive()
    }
}

/// How further pages are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Paging {
    #[default]
    Single,
    /// A page number that goes up from `first` until a page has fewer than `size` rows.
    Page { parameter: String, size_parameter: String, size: u64, first: u64 },
    /// A row number to begin at.
    Offset { parameter: String, size_parameter: String, size: u64 },
    /// A token in the answer, handed back in `parameter` until there is none.
    Token { at: String, parameter: String },
    /// The `Link` header with `rel="next"` (RFC 8288), on the same host only.
    Link,
}

/// A topic of messages.
#[derive(Clone, Debug, Default)]
pub struct KafkaFeed {
    /// `host:port`, several by commas.
    pub brokers: String,
    pub topic: String,
    /// Where to begin in each partition: `0:120,1:98`; empty for the beginning.
    pub from: String,
}
