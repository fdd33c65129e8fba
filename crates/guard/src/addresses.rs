//! Lists of addresses and networks that somebody may call from.

use std::net::IpAddr;

use ipnet::IpNet;
use model::{Error, Result};

/// Networks, read once and asked often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<IpNet>);

impl Addresses {
    /// Reads addresses (`10.1.2.3`) and networks (`10.1.0.0/16`, `fd12::/48`); what cannot be read is named.
    pub fn parse(list: &[String]) -> Result<Self> {
        let read = |text: &String| {
            let text = text.trim();
            let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            net.map(|net| net.trunc()).map_err(|_| {
                Error::invalid(
                    format!("`{text}` 不是 IP 地址或网段（如 10.1.0.0/16）"),
                    format!("`{text}` is no address or network (as 10.1.0.0/16)"),
                )
                .field(
                    "addresses",
                    "IP 地址或网段，每行一个",
                    "an address or network a line",
                )
            })
        };
        list.iter().map(read).collect::<Result<_>>().map(Self)
    }

    /// Whether an address lies in one of them; an IPv4 address written inside an IPv6 one is that IPv4 address.
    #[must_use]
    pub fn hold(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_in_networks_however_they_are_written() {
        let list = |all: &[&str]| {
            Addresses::parse(&all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>())
        };
        let own = list(&["10.1.0.0/16", " 192.0.2.7 ", "fd12::/48"]).unwrap();
        for (address, inside) in [
            ("10.1.255.1", true),
            ("::ffff:10.1.0.9", true),
            ("10.2.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd12::1", true),
            ("fd13::1", false),
        ] {
            assert_eq!(own.hold(address.parse().unwrap()), inside, "{address}");
        }
        assert!(!list(&[]).unwrap().hold("10.1.0.1".parse().unwrap()));
        for wrong in ["10.1.0.0/33", "host", "10.1"] {
            assert!(list(&[wrong]).unwrap_err().zh().contains(wrong));
        }
    }
}
