//! Organisations, applications, components and cloud resources with plausible, varied names.

use std::collections::BTreeMap;

use model::asset::{AssetDraft, Ledger};
use model::org::{Org, OrgKind};
use model::{ident, region};

use super::words::{AIMS, CLOUD, COMPONENTS, DEPARTMENTS, FAMILY, FUNCTIONS, GIVEN, SHAPES};
use crate::demo::seeded::Seeded;

/// The departments of every region of the province.
pub(super) fn orgs(_seed: u64) -> Vec<Org> {
    let mut out = Vec::new();
    for region in region::zhejiang() {
        for (n, (department, _)) in (0_u64..).zip(DEPARTMENTS) {
            let number = out.len();
            out.push(Org {
                id: format!("syn-{}-{n:02}", region.code),
                uscc: credit_code(number, &region.code),
                name_cn: format!("{}{department}", region.name_cn),
                name_en: String::new(),
                kind: OrgKind::StateOrgan,
                region: region.code.clone(),
                parent: None,
                authority: false,
            });
        }
    }
    out
}

/// A credit code with valid check digits that no real body has (numbers of a range of the generator).
fn credit_code(n: usize, region: &str) -> String {
    let body = format!("{:08}", 70_000_000 + n);
    let own = ident::org_code_check(&body).unwrap_or('0');
    let head = format!("11{region}{body}{own}");
    let check = ident::uscc_check(&head).unwrap_or('0');
    format!("{head}{check}")
}

/// Which application a cloud resource serves.
pub(super) fn application_of(cloud: u64, applications: u64) -> u64 {
    Seeded::of(cloud, "serves").below(applications)
}

/// The code of the `n`th application.
fn application_code(n: u64) -> String {
    format!("A{n:08}")
}

pub(super) struct Things {
    chance: Seeded,
    orgs: Vec<Org>,
}

impl Things {
    pub(super) fn new(seed: u64, orgs: Vec<Org>) -> Self {
        Self { chance: Seeded::of(seed, "assets"), orgs }
    }

    fn org(&mut self) -> (String, String, String) {
        let n = self.chance.below(u64::try_from(self.orgs.len()).unwrap_or(1));
        let org = usize::try_from(n).ok().and_then(|n| self.orgs.get(n));
        org.map_or_else(Default::default, |o| (o.id.clone(), o.name_cn.clone(), o.region.clone()))
    }

    /// Nine in ten have an answerable person.
    fn owner(&mut self) -> String {
        if self.chance.chance(90) {
            format!("{}{}", self.chance.pick(FAMILY), self.chance.pick(GIVEN))
        } else {
            String::new()
        }
    }

    fn one(&mut self, list: &[&str]) -> String {
        self.chance.pick(list).to_owned()
    }

    fn day(&mut self, from: i64, to: i64) -> String {
        let (y, m, d) =
            (self.chance.between(from, to), self.chance.between(1, 12), self.chance.between(1, 28));
        format!("{y:04}-{m:02}-{d:02}")
    }

    pub(super) fn application(&mut self, n: u64) -> (AssetDraft, String) {
        let (org, org_name, region) = self.org();
        let place = DEPARTMENTS
            .iter()
            .find_map(|(d, _)| org_name.strip_suffix(d))
            .unwrap_or(&org_name)
            .to_owned();
        let (aim, shape) = (self.one(AIMS), self.one(SHAPES));
        let mut functions: Vec<String> = Vec::new();
        for _ in 0..self.chance.between(3, 8) {
            let function = format!("{aim}{}", self.chance.pick(FUNCTIONS));
            if !functions.contains(&function) {
                functions.push(function);
            }
        }
        let field =
            ["党政机关整体智治", "数字政府", "数字经济", "数字社会", "数字法治", "数字文化"];
        let kind = ["办公类", "业务办理类", "门户网站", "硬件类", "工具类", "其他"];
        let ends = ["浙里办", "浙政钉", "数字化改革门户", "微信", "网页", "APP端"];
        let (first, second) = (self.one(&ends), self.one(&ends));
        let both = if first == second { first } else { format!("{first}、{second}") };
        let level = match region.as_str() {
            "330000" => "省级",
            r if r.ends_with("00") => "市级",
            _ => "县级",
        };
        let mut fields = BTreeMap::from([
            ("field".to_owned(), self.one(&field)),
            ("ends".to_owned(), both),
            ("type".to_owned(), self.one(&kind)),
            ("level".to_owned(), level.to_owned()),
            ("major".to_owned(), if self.chance.chance(8) { "是" } else { "否" }.to_owned()),
            ("functions".to_owned(), functions.join("\n")),
        ]);
        if self.chance.chance(70) {
            fields.insert("users".into(), self.chance.between(10, 500_000).to_string());
            fields.insert("online_day".into(), self.day(2016, 2026));
        }
        let draft = AssetDraft {
            ledger: Ledger::Application,
            code: application_code(n),
            name: format!("{place}{aim}{shape}"),
            org,
            region,
            owner: self.owner(),
            description: format!(
                "{org_name}建设的{aim}{shape}，提供{}等功能。",
                functions.join("、")
            ),
            fields,
        };
        let states = [
            "running", "running", "running", "running", "building", "planned", "applying",
            "changing", "stopped",
        ];
        (draft, self.one(&states))
    }

    pub(super) fn component(&mut self, n: u64) -> (AssetDraft, String) {
        let (org, org_name, region) = self.org();
        let at = self.chance.below(u64::try_from(COMPONENTS.len()).unwrap_or(1));
        let (name, kind) = usize::try_from(at)
            .ok()
            .and_then(|at| COMPONENTS.get(at))
            .copied()
            .unwrap_or(("全文检索", "其他"));
        let calls = ["REST", "SDK", "H5", "小程序插件", "RPC", "消息队列"];
        let version = format!(
            "{}.{}.{}",
            self.chance.between(1, 5),
            self.chance.between(0, 9),
            self.chance.between(0, 9)
        );
        let fields = BTreeMap::from([
            ("kind".to_owned(), kind.to_owned()),
            ("version".to_owned(), version),
            ("provider".to_owned(), org_name.clone()),
            ("call".to_owned(), self.one(&calls)),
            ("sla".to_owned(), self.one(&["99.9%", "99.95%", "99.99%", "工作日 5×8"])),
            ("users".to_owned(), self.chance.between(0, 900).to_string()),
        ]);
        let draft = AssetDraft {
            ledger: Ledger::Component,
            code: format!("C{n:06}"),
            name: format!(
                "{name}组件{}",
                if n < 35 { String::new() } else { format!("（{org_name}）") }
            ),
            org,
            region,
            owner: self.owner(),
            description: format!("{org_name}提供的{name}能力，供各应用调用。"),
            fields,
        };
        let states = ["listed", "listed", "listed", "registered", "upgrading", "delisted"];
        (draft, self.one(&states))
    }

    pub(super) fn cloud(&mut self, n: u64, applications: u64) -> (AssetDraft, String) {
        let (org, org_name, region) = self.org();
        let at = self.chance.below(u64::try_from(CLOUD.len()).unwrap_or(1));
        let (kind, names) = usize::try_from(at)
            .ok()
            .and_then(|at| CLOUD.get(at))
            .copied()
            .unwrap_or(("云服务器", &["应用服务器"]));
        let aim = self.one(AIMS);
        let name = self.one(names);
        let zones = ["政务外网区", "互联网区", "专有区"];
        let size = 1_i64 << self.chance.between(0, 5);
        let mut fields = BTreeMap::from([
            ("kind".to_owned(), kind.to_owned()),
            ("zone".to_owned(), self.one(&zones)),
            ("vcpu".to_owned(), size.to_string()),
            ("memory_gb".to_owned(), (size * 4).to_string()),
            ("disk_gb".to_owned(), (self.chance.between(1, 40) * 50).to_string()),
            ("expiry".to_owned(), self.day(2026, 2029)),
            ("project".to_owned(), format!("{aim}项目")),
        ]);
        if self.chance.chance(85) {
            fields.insert("utilisation".into(), self.chance.between(0, 98).to_string());
        }
        if applications > 0 {
            fields.insert("application".into(), application_code(application_of(n, applications)));
        }
        let draft = AssetDraft {
            ledger: Ledger::Cloud,
            code: format!("R{n:08}"),
            name: format!("{aim}{name}{:05}", n % 100_000),
            org,
            region,
            owner: self.owner(),
            description: format!("{org_name}{aim}所用的{kind}。"),
            fields,
        };
        let states = [
            "running", "running", "running", "running", "running", "halted", "expired", "applied",
            "released",
        ];
        (draft, self.one(&states))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisations_have_valid_codes_that_are_their_own() {
        let orgs = orgs(1);
        assert!(orgs.len() > 3000, "{}", orgs.len());
        let mut codes: Vec<&str> = orgs.iter().map(|o| o.uscc.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), orgs.len());
        for org in orgs.iter().step_by(97) {
            ident::uscc(&org.uscc).unwrap();
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_names() {
        let make = || {
            let mut things = Things::new(7, orgs(7));
            (0..50).map(|n| things.cloud(n, 10).0.name).collect::<Vec<_>>()
        };
        assert_eq!(make(), make());
    }
}
