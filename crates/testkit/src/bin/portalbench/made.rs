//! What is filled in and asked for, by number: the same rows and sets on every machine, so that each answer can be checked.

use std::io::Write as _;

use model::code::{DataType, Domain, UpdateCycle};
use model::entry::EntryDraft;
use model::item::Item;
use model::org::{Org, OrgKind};
use testkit::chance;

/// The large table, one that a sheet can hold, and one that is changed while the server runs.
pub(crate) const FLOW: &str = "bench_flow";
pub(crate) const SHEET: &str = "bench_sheet";
pub(crate) const SMALL: &str = "bench_small";
/// Rows of the sheet at most, and of the small table.
pub(crate) const SHEET_ROWS: u64 = 1_000_000;
pub(crate) const SMALL_ROWS: u64 = 100;
/// Values of the indexed item, and of the one that has no index.
pub(crate) const GATES: u64 = 5_000;
pub(crate) const DISTRICTS: u64 = 90;
/// Entries besides the sets.
pub(crate) const OTHERS: u64 = 3;
pub(crate) const HEADER: &str = "id,gate,district,hour,volume,speed,day,note\r\n";

pub(crate) fn gate(row: u64) -> u64 {
    chance(row, 1) % GATES
}

pub(crate) fn district(row: u64) -> u64 {
    chance(row, 2) % DISTRICTS
}

pub(crate) fn volume(row: u64) -> u64 {
    chance(row, 4) % 900
}

pub(crate) fn gate_text(gate: u64) -> String {
    format!("G{gate:05}")
}

pub(crate) fn district_text(district: u64) -> String {
    format!("33{district:04}")
}

/// A row as a line of CSV, as it is collected and as it is handed out again.
pub(crate) fn line(out: &mut Vec<u8>, row: u64) {
    let of = |salt, n: u64| chance(row, salt) % n;
    let speed = of(5, 1200);
    let note = match of(6, 50) {
        0 => "\"雨, 均速偏低\"",
        1 => "\"备注\"\"缺\"\"值\"",
        _ => "",
    };
    let written = write!(
        out,
        "{},G{:05},33{:04},{},{},{}.{},2024-{:02}-{:02},{note}\r\n",
        row + 1,
        gate(row),
        district(row),
        of(3, 24),
        volume(row),
        speed / 10,
        speed % 10,
        1 + of(7, 12),
        1 + of(8, 28),
    );
    written.unwrap();
}

/// The draft of a table of such rows.
pub(crate) fn table(code: &str, title: &str) -> EntryDraft {
    let mut id = Item::new("id", "编号", DataType::Integer);
    id.primary = true;
    id.nullable = false;
    let mut gate = Item::new("gate", "卡口", DataType::Text);
    gate.lookup = true;
    let mut speed = Item::new("speed", "均速", DataType::Decimal);
    (speed.precision, speed.scale) = (6, 1);
    EntryDraft {
        title: title.into(),
        title_en: String::new(),
        description: "合成，用于测量。".into(),
        tags: Vec::new(),
        items: vec![
            id,
            gate,
            Item::new("district", "所在", DataType::Text),
            Item::new("hour", "时段", DataType::Integer),
            Item::new("volume", "数值", DataType::Integer),
            speed,
            Item::new("day", "日期", DataType::Date),
            Item::new("note", "备注", DataType::Text),
        ],
        ..testkit::draft(code)
    }
}

/// Cities by the last two digits of their code (GB/T 2260, `33xx00`).
pub(crate) const CITIES: [&str; 11] = [
    "杭州市",
    "宁波市",
    "温州市",
    "嘉兴市",
    "湖州市",
    "绍兴市",
    "金华市",
    "衢州市",
    "舟山市",
    "台州市",
    "丽水市",
];
/// Departments of each city.
const DEPARTMENTS: u64 = 4;
/// No sign stands in two of them, nor in any other text of the sets: what a subject finds is known exactly.
pub(crate) const SUBJECTS: [&str; 24] = [
    "停车泊位",
    "图书馆藏",
    "古樟银杏",
    "充电桩",
    "气象预警",
    "食品抽检",
    "医院病床",
    "公园绿荫",
    "学校招生",
    "养老驿站",
    "河道断面",
    "桥梁隧洞",
    "消防栓",
    "垃圾厢房",
    "噪声传感",
    "路灯杆",
    "旅游景点",
    "博物展陈",
    "邮政网格",
    "税收票证",
    "农田墒情",
    "林权登记",
    "渔港码头",
    "快递柜",
];
const FORMS: [&str; 3] = ["明细", "汇总", "清册"];

/// What is known of the `n`th set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    pub(crate) n: u64,
    pub(crate) city: usize,
    department: u64,
    pub(crate) subject: usize,
    pub(crate) domain: Domain,
    pub(crate) cycle: UpdateCycle,
}

impl Set {
    pub(crate) fn of(n: u64) -> Self {
        let of = |salt, n: usize, row| (chance(row, salt) % n as u64) as usize;
        Self {
            n,
            city: of(21, CITIES.len(), n),
            department: chance(n, 22) % DEPARTMENTS,
            // Some subjects are common, some rare.
            subject: of(23, SUBJECTS.len(), n).min(of(24, SUBJECTS.len(), n)),
            domain: Domain::ALL[of(25, Domain::ALL.len(), n)],
            cycle: UpdateCycle::ALL[of(26, UpdateCycle::ALL.len(), n)],
        }
    }

    pub(crate) fn code(&self) -> String {
        format!("bs{:06}", self.n)
    }

    pub(crate) fn region(&self) -> String {
        format!("33{:02}00", self.city + 1)
    }

    pub(crate) fn org(&self) -> String {
        org_id(self.city, self.department)
    }

    pub(crate) fn title(&self) -> String {
        let form = FORMS[(chance(self.n, 27) % FORMS.len() as u64) as usize];
        format!("{}{}{form}", CITIES[self.city], SUBJECTS[self.subject])
    }

    pub(crate) fn draft(&self) -> EntryDraft {
        let mut id = Item::new("id", "编号", DataType::Integer);
        id.primary = true;
        id.nullable = false;
        let items = vec![
            id,
            Item::new("value", "数值", DataType::Integer),
            Item::new("day", "日期", DataType::Date),
        ];
        EntryDraft {
            title: self.title(),
            title_en: String::new(),
            description: format!("{}{}，用于测量。", CITIES[self.city], SUBJECTS[self.subject]),
            org: self.org(),
            region: self.region(),
            domain: self.domain,
            tags: vec![SUBJECTS[self.subject].into()],
            update_cycle: self.cycle,
            items,
            ..testkit::draft(&self.code())
        }
    }
}

fn org_id(city: usize, department: u64) -> String {
    format!("bench-{:02}-{department}", city + 1)
}

/// The departments of all cities, with credit codes that no real body has.
pub(crate) fn orgs() -> Vec<Org> {
    let mut all = Vec::new();
    for (city, name) in CITIES.iter().enumerate() {
        for department in 0..DEPARTMENTS {
            let region = format!("33{:02}00", city + 1);
            let body = format!("{:08}", 60_000_000 + all.len());
            let own = model::ident::org_code_check(&body).unwrap();
            let head = format!("11{region}{body}{own}");
            let check = model::ident::uscc_check(&head).unwrap();
            all.push(Org {
                id: org_id(city, department),
                uscc: format!("{head}{check}"),
                name_cn: format!("{name}开放测{department}局"),
                name_en: String::new(),
                kind: OrgKind::StateOrgan,
                region,
                parent: None,
                authority: false,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sign_of_a_subject_stands_in_another_text() {
        let mut other: String = CITIES.concat() + FORMS.concat().as_str();
        other.push_str("编号数值日期开放测局，用于测量。合成卡口所在时段均速备注流向");
        for subject in SUBJECTS {
            assert!(!subject.chars().any(|c| other.contains(c)), "{subject}");
            other.push_str(subject);
        }
    }

    #[test]
    fn a_line_has_the_columns_of_its_header() {
        for row in 0..500 {
            let mut text = HEADER.as_bytes().to_vec();
            line(&mut text, row);
            let mut reader = csv::Reader::from_reader(text.as_slice());
            let record = reader.records().next().unwrap().unwrap();
            assert_eq!(record.len(), 8);
            assert_eq!(record[0], (row + 1).to_string());
            assert_eq!(record[1], gate_text(gate(row)));
            assert_eq!(record[2], district_text(district(row)));
        }
    }
}
