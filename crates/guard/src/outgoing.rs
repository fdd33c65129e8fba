//! Where the platform may connect to: a list of the operator's, and addresses that no list opens.
//!
//! ```text
//! "10.0.0.0/8"          a network                    "10.1.2.3", "[fd12::7]:5432"   one address, with a port if wanted
//! "db.example:5432"     a name, with a port          "*.zj.gov.cn"                  every name below it
//! "*"                   any address that is neither loopback nor always refused
//! ```
//!
//! Nothing stands open by itself. A name that is allowed must still lead to an address that is not always refused, and
//! loopback is open only where an entry names loopback itself: neither `*` nor `0.0.0.0/0` nor a name that happens to lead
//! there opens it. Pure: whoever connects resolves the name once, asks here, and connects to the very address it asked about.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use model::{Error, Result};

/// Addresses that answer to the machine itself, tell a cloud's secrets, or are nobody's.
const NEVER: &[&str] = &[
    // This machine under another name, and nobody.
    "0.0.0.0/8",
    "::/128",
    // Link-local; most clouds' metadata services (169.254.169.254) among them.
    "169.254.0.0/16",
    "fe80::/10",
    // Metadata services elsewhere: Alibaba Cloud, Azure, Oracle Cloud, AWS over IPv6.
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::/32",
    // Many at once, and reserved.
    "224.0.0.0/4",
    "240.0.0.0/4",
    "ff00::/8",
];

/// Entries that open this very machine, for a demo and for tests.
pub const LOOPBACK: &[&str] = &["127.0.0.0/8", "::1", "localhost"];

/// The operator's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutgoingRules {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    place: Place,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Net(IpNet),
    Name(String),
    /// Every name below it.
    Below(String),
    Any,
}

/// Why a connection is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No list opens this address.
    Never,
    /// This very machine, which no entry names.
    Loopback,
    /// No entry allows it.
    NotListed,
}

impl OutgoingRules {
    /// Reads a list; what cannot be read is named.
    pub fn parse(list: &[String]) -> Result<Self> {
        let entries = list.iter().map(|text| entry(text)).collect::<Result<_>>()?;
        Ok(Self { entries })
    }

    /// Whether a connection to `address`, found by resolving `host`, may be made.
    pub fn allows(
        &self,
        host: &str,
        address: IpAddr,
        port: u16,
    ) -> std::result::Result<(), Refusal> {
        let address = meant(address);
        if never(address) {
            return Err(Refusal::Never);
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let loopback = address.is_loopback();
        let open =
            self.entries.iter().filter(|e| e.port.is_none_or(|p| p == port)).any(|e| {
                match &e.place {
                    Place::Net(net) => {
                        net.contains(&address) && (!loopback || net.network().is_loopback())
                    }
                    Place::Name(name) => *name == host && (!loopback || name == "localhost"),
                    Place::Below(end) => {
                        !loopback
                            && host.strip_suffix(end.as_str()).is_some_and(|left| {
                                left.len() > 1
                                    && left.ends_with('.')
                                    && host.parse::<IpAddr>().is_err()
                            })
                    }
                    Place::Any => !loopback,
                }
            });
        match (open, loopback) {
            (true, _) => Ok(()),
            (false, true) => Err(Refusal::Loopback),
            (false, false) => Err(Refusal::NotListed),
        }
    }
}

/// The address that a packet would go to: an IPv4 address may be written inside an IPv6 one.
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    if six.is_loopback() || six.is_unspecified() {
        return address;
    }
    let s = six.segments();
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // Mapped, compatible, translated (RFC 6052), 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => four(high, low),
        _ => IpAddr::V6(Ipv6Addr::from(s)),
    }
}

fn never(address: IpAddr) -> bool {
    NEVER.iter().any(|net| net.parse::<IpNet>().is_ok_and(|net| net.contains(&address)))
}

fn entry(text: &str) -> Result<Entry> {
    let text = text.trim();
    let wrong = || {
        let shown: String = text.chars().take(80).collect();
        Error::invalid(
            format!(
                "出站名单 [outgoing] allow 中的 `{shown}` 无法识别；可写 10.0.0.0/8、10.1.2.3:5432、[fd12::7]:5432、db.example:5432、*.zj.gov.cn 或 *"
            ),
            format!(
                "`{shown}` in [outgoing] allow cannot be read; write 10.0.0.0/8, 10.1.2.3:5432, [fd12::7]:5432, db.example:5432, *.zj.gov.cn or *"
            ),
        )
    };
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(Entry { place: Place::Net(net.trunc()), port: None });
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Entry { place: Place::Net(address.into()), port: None });
    }
    let (place, port) = match text.rsplit_once(':') {
        Some((place, port)) => (place, Some(port.parse::<u16>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    if port == Some(0) {
        return Err(wrong());
    }
    let bare = place.strip_prefix('[').and_then(|p| p.strip_suffix(']')).unwrap_or(place);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(Entry { place: Place::Net(address.into()), port });
    }
    if let Ok(net) = bare.parse::<IpNet>() {
        return Ok(Entry { place: Place::Net(net.trunc()), port });
    }
    if place == "*" {
        return Ok(Entry { place: Place::Any, port });
    }
    let (name, below) = match place.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (place, false),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let fine = !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        })
        // What looks like an address and is none is a slip.
        && !name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !fine {
        return Err(wrong());
    }
    let place = if below { Place::Below(name) } else { Place::Name(name) };
    Ok(Entry { place, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(list: &[&str]) -> OutgoingRules {
        OutgoingRules::parse(&list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn ask(list: &[&str], host: &str, address: &str, port: u16) -> Option<Refusal> {
        rules(list).allows(host, address.parse().unwrap(), port).err()
    }

    #[test]
    fn nothing_is_open_by_itself() {
        assert_eq!(ask(&[], "10.1.2.3", "10.1.2.3", 5432), Some(Refusal::NotListed));
        assert_eq!(ask(&[], "localhost", "127.0.0.1", 5432), Some(Refusal::Loopback));
        assert_eq!(ask(&["10.0.0.0/8"], "10.1.2.3", "10.1.2.3", 5432), None);
        assert_eq!(ask(&["10.0.0.0/8"], "11.1.2.3", "11.1.2.3", 5432), Some(Refusal::NotListed));
        assert_eq!(ask(&["10.1.2.3:5432"], "h", "10.1.2.3", 5433), Some(Refusal::NotListed));
        assert_eq!(ask(&["db.example:5432"], "DB.Example.", "10.9.9.9", 5432), None);
        assert_eq!(
            ask(&["db.example:5432"], "db.example", "10.9.9.9", 22),
            Some(Refusal::NotListed)
        );
    }

    #[test]
    fn a_wildcard_means_names_below_it_and_no_others() {
        let list = ["*.zj.gov.cn"];
        assert_eq!(ask(&list, "db.sjj.zj.gov.cn", "10.1.1.1", 1), None);
        for host in ["zj.gov.cn", "evilzj.gov.cn", ".zj.gov.cn", "zj.gov.cn.evil.com"] {
            assert_eq!(ask(&list, host, "10.1.1.1", 1), Some(Refusal::NotListed), "{host}");
        }
        assert_eq!(ask(&list, "rebound.zj.gov.cn", "127.0.0.1", 1), Some(Refusal::Loopback));
    }

    #[test]
    fn metadata_and_link_local_are_never_reached_however_they_are_written() {
        let wide = ["*", "0.0.0.0/0", "::/0", "169.254.169.254", "metadata.internal"];
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "100.100.100.200",
            "fe80::1",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert_eq!(
                ask(&wide, "metadata.internal", address, 80),
                Some(Refusal::Never),
                "{address}"
            );
        }
        assert_eq!(ask(&wide, "h", "10.0.0.1", 80), None);
        assert_eq!(ask(&wide, "h", "240e::1", 80), None);
    }

    #[test]
    fn loopback_is_open_only_where_it_is_named() {
        let wide = ["*", "0.0.0.0/0", "::/0", "db.example"];
        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(ask(&wide, "db.example", address, 1), Some(Refusal::Loopback), "{address}");
            assert_eq!(ask(LOOPBACK, "db.example", address, 1), None, "{address}");
        }
        assert_eq!(ask(&["localhost:5432"], "localhost", "::1", 5432), None);
        assert_eq!(ask(&["127.0.0.1:5432"], "x", "127.0.0.1", 5433), Some(Refusal::Loopback));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in
            ["", "10.0.0.0/33", "300.1.1.1", "a b", "h:0", "h:99999", "*.", "http://h", "**.x"]
        {
            let error = OutgoingRules::parse(&[text.to_owned()]).unwrap_err();
            assert!(error.zh().contains(&format!("`{text}`")), "{text}: {error}");
        }
    }
}
