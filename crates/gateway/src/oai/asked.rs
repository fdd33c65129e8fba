//! Verbs and their arguments, read as strictly as the protocol wants: what is repeated, unknown or missing is `badArgument`.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use model::change::Position;

use super::Fault;

/// In which form records are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Dc,
    Dcat,
}

impl Prefix {
    pub(super) const ALL: [Prefix; 2] = [Prefix::Dc, Prefix::Dcat];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Prefix::Dc => "oai_dc",
            Prefix::Dcat => "dcat",
        }
    }
    pub(super) fn schema(self) -> &'static str {
        match self {
            Prefix::Dc => "http://www.openarchives.org/OAI/2.0/oai_dc.xsd",
            Prefix::Dcat => "https://www.w3.org/TR/vocab-dcat-3/",
        }
    }
    pub(super) fn namespace(self) -> &'static str {
        match self {
            Prefix::Dc => "http://www.openarchives.org/OAI/2.0/oai_dc/",
            Prefix::Dcat => "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        }
    }
    fn parse(word: &str) -> Result<Self, Fault> {
        Self::ALL.into_iter().find(|p| p.as_str() == word).ok_or_else(|| {
            Fault::new(
                "cannotDisseminateFormat",
                "可用的元数据格式：oai_dc、dcat",
                "formats of metadata are oai_dc and dcat",
            )
        })
    }
}

/// A list of records or headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lot {
    pub(super) prefix: Prefix,
    /// Only headers are wanted.
    pub(super) headers: bool,
    /// Stamp to the second, both included; empty is open.
    pub(super) from: String,
    pub(super) until: String,
    /// Name of an organisation.
    pub(super) set: String,
    /// Where the list goes on.
    pub(super) after: Option<Position>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Identify,
    Formats { identifier: Option<String> },
    Sets,
    List(Lot),
    Get { identifier: String, prefix: Prefix },
}

/// Names of what each verb takes: what it must have, what it may have.
fn takes(verb: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match verb {
        "Identify" => (&[], &[]),
        "ListMetadataFormats" => (&[], &["identifier"]),
        "ListSets" => (&[], &["resumptionToken"]),
        "ListIdentifiers" | "ListRecords" => {
            (&["metadataPrefix"], &["from", "until", "set", "resumptionToken"])
        }
        "GetRecord" => (&["identifier", "metadataPrefix"], &[]),
        _ => return None,
    })
}

fn bad(zh: &str, en: &str) -> Fault {
    Fault::new("badArgument", zh, en)
}

pub(super) fn read(pairs: &[(String, String)]) -> Result<Asked, Fault> {
    let get = |name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let verbs = pairs.iter().filter(|(n, _)| n == "verb").count();
    let known = get("verb").filter(|_| verbs == 1).and_then(|v| Some((v, takes(v)?)));
    let Some((verb, (must, may))) = known else {
        return Err(Fault::new(
            "badVerb",
            "verb 应为 Identify、ListMetadataFormats、ListSets、ListIdentifiers、ListRecords、GetRecord 之一",
            "`verb` must be one of Identify, ListMetadataFormats, ListSets, ListIdentifiers, ListRecords, GetRecord",
        ));
    };
    for (n, (name, _)) in pairs.iter().enumerate() {
        let repeated = pairs.iter().take(n).any(|(other, _)| other == name);
        let fits = name == "verb" || must.contains(&name.as_str()) || may.contains(&name.as_str());
        if repeated || !fits {
            let shown: String = name.chars().take(40).collect();
            return Err(bad(
                &format!("参数 {shown} 重复，或不能用于 {verb}"),
                &format!("the argument {shown} is repeated, or does not go with {verb}"),
            ));
        }
    }
    let resumed = get("resumptionToken");
    if resumed.is_some() && pairs.len() > 2 {
        return Err(bad(
            "resumptionToken 不能与其他参数同用",
            "resumptionToken goes with no other argument",
        ));
    }
    if let Some(lacking) = must.iter().find(|name| resumed.is_none() && get(name).is_none()) {
        return Err(bad(
            &format!("缺少参数 {lacking}"),
            &format!("the argument {lacking} is missing"),
        ));
    }
    let text = |name: &str| get(name).unwrap_or_default().to_owned();
    Ok(match verb {
        "Identify" => Asked::Identify,
        "ListMetadataFormats" => {
            Asked::Formats { identifier: get("identifier").map(str::to_owned) }
        }
        "ListSets" => match resumed {
            // The list of sets is always whole.
            Some(_) => return Err(token()),
            None => Asked::Sets,
        },
        "GetRecord" => Asked::Get {
            identifier: text("identifier"),
            prefix: Prefix::parse(&text("metadataPrefix"))?,
        },
        _ => {
            let headers = verb == "ListIdentifiers";
            match resumed {
                Some(written) => Asked::List(resume(written, headers)?),
                None => Asked::List(Lot {
                    prefix: Prefix::parse(&text("metadataPrefix"))?,
                    headers,
                    set: text("set"),
                    after: None,
                    ..span(&text("from"), &text("until"))?
                }),
            }
        }
    })
}

/// From and until, of one granularity and in order.
fn span(from: &str, until: &str) -> Result<Lot, Fault> {
    let wrong = || {
        bad(
            "from、until 应为 YYYY-MM-DD 或 YYYY-MM-DDThh:mm:ssZ，粒度一致，且 from 不晚于 until",
            "from and until are YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ, both alike, from not after until",
        )
    };
    let both = !from.is_empty() && !until.is_empty();
    if both && from.len() != until.len() {
        return Err(wrong());
    }
    let one = |text: &str, end: bool| match text {
        "" => Ok(String::new()),
        _ => moment(text, end).map(seconds).ok_or_else(wrong),
    };
    let (from, until) = (one(from, false)?, one(until, true)?);
    if both && from > until {
        return Err(wrong());
    }
    Ok(Lot { prefix: Prefix::Dc, headers: false, from, until, set: String::new(), after: None })
}

fn moment(text: &str, end: bool) -> Option<DateTime<Utc>> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        && text.len() == 10
    {
        let at = if end { day.and_hms_opt(23, 59, 59) } else { day.and_hms_opt(0, 0, 0) };
        return at.map(|at| at.and_utc());
    }
    let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ").ok()?;
    (text.len() == 20).then(|| at.and_utc())
}

/// The protocol's stamp.
pub(super) fn seconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn token() -> Fault {
    Fault::new(
        "badResumptionToken",
        "resumptionToken 无效，请从头开始",
        "the resumptionToken is not valid: begin anew",
    )
}

/// Between the parts of a token.
const GLUE: char = '!';

/// The token by which a list goes on after a position.
pub(super) fn written(lot: &Lot, after: &str) -> String {
    [lot.prefix.as_str(), &lot.until, &lot.set, after].join(&GLUE.to_string())
}

fn resume(written: &str, headers: bool) -> Result<Lot, Fault> {
    let parts: Vec<&str> = written.splitn(4, GLUE).collect();
    let [prefix, until, set, after] = parts.as_slice() else { return Err(token()) };
    let prefix = Prefix::parse(prefix).map_err(|_| token())?;
    if !until.is_empty() && moment(until, true).is_none() {
        return Err(token());
    }
    Ok(Lot {
        prefix,
        headers,
        from: String::new(),
        until: (*until).to_owned(),
        set: (*set).to_owned(),
        after: Some(Position::parse(after).ok_or_else(token)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(query: &str) -> &'static str {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        match read(&pairs) {
            Ok(_) => "",
            Err(Fault::Told { code, .. }) => code,
            Err(Fault::Ours(_)) => "ours",
        }
    }

    #[test]
    fn arguments_are_read_strictly() {
        for (query, wanted) in [
            ("verb=Identify", ""),
            ("verb=ListSets", ""),
            ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-01&until=2026-01-02", ""),
            ("verb=ListIdentifiers&metadataPrefix=dcat&from=2026-01-01T00:00:00Z", ""),
            ("verb=GetRecord&identifier=a&metadataPrefix=oai_dc", ""),
            ("", "badVerb"),
            ("verb=Nothing", "badVerb"),
            ("verb=Identify&verb=Identify", "badVerb"),
            ("verb=Identify&set=a", "badArgument"),
            ("verb=ListRecords", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&metadataPrefix=oai_dc", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&from=2026", "badArgument"),
            (
                "verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-02&until=2026-01-01",
                "badArgument",
            ),
            (
                "verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-01&until=2026-01-02T00:00:00Z",
                "badArgument",
            ),
            ("verb=ListRecords&metadataPrefix=marc", "cannotDisseminateFormat"),
            ("verb=ListRecords&resumptionToken=a&metadataPrefix=oai_dc", "badArgument"),
            ("verb=ListRecords&resumptionToken=nonsense", "badResumptionToken"),
            ("verb=ListSets&resumptionToken=a", "badResumptionToken"),
            ("verb=GetRecord&identifier=a", "badArgument"),
        ] {
            assert_eq!(code(query), wanted, "{query}");
        }
    }

    #[test]
    fn a_token_goes_on_with_what_was_asked() {
        let lot = Lot {
            prefix: Prefix::Dcat,
            headers: true,
            from: String::new(),
            until: "2026-01-02T23:59:59Z".into(),
            set: "org-market".into(),
            after: Position::parse("2026-01-01T00:00:00.000Z~abc"),
        };
        let token = written(&lot, "2026-01-01T00:00:00.000Z~abc");
        assert_eq!(resume(&token, true).unwrap(), lot);
    }
}
