//! A thousand mutations of statements: the door answers every one, tells nothing that was not granted, and goes on.

use testkit::House;

use super::sqlwire::{granted, try_rows};

const SEEDS: &[&str] = &[
    "select xm, sfzh from renkou where region_code = '330106' order by xm limit 3",
    "select region_code, count(*) as n from renkou group by region_code having count(*) > 0",
    "with a as (select * from renkou) select a.xm, b.sfzh from a join renkou b on a.sfzh = b.sfzh",
    "select case when xm like '张%' then 1 else 0 end, upper(sfzh) from renkou union all select 2, 'x'",
    "select row_number() over (partition by region_code order by xm), substr(sfzh, 7, 8) from renkou",
    "select * from renkou where csrq in (select csrq from renkou) and exists (select 1)",
    "explain select * from renkou where xm between 'a' and 'z'",
    "select distinct on (region_code) region_code, length(sfzh) from renkou order by region_code",
    "select c.relname, a.attname from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid",
];

const WORDS: &[&str] = &[
    "fangchan",
    "renkou",
    "select",
    "from",
    "where",
    "union",
    "all",
    "*",
    "(",
    ")",
    ",",
    "'",
    "\"",
    "--",
    "/*",
    ";",
    "sjh",
    "dsc_parcel",
    "dsc_hash_unique",
    "null",
    "1/0",
    "cast",
    "as",
    "int",
    "information_schema.tables",
    "pg_catalog.pg_class",
    "lateral",
    "unnest",
    "array[1]",
    "$1",
    "::text",
    "||",
    "order by",
    "9223372036854775807",
    "-1",
    "' or '1'='1",
    "read_csv('x')",
    "generate_series(1,3)",
    "create",
    "drop",
    "intersect",
    "except",
    "with",
    "recursive",
    "\\",
    "\u{0}",
];

/// What nobody may see: plain values of masked columns, and rows outside the area.
const SECRETS: &[&str] = &[
    "11010519491231002X",
    "110105194912310038",
    "440524188001010014",
    "张三丰",
    "王小二",
    "李四",
    "13800138000",
    "13900139000",
    "340200",
    "1880-01-01",
];

/// A small generator of its own: the same statements at every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).unwrap()
    }
}

fn mutated(chance: &mut Chance) -> String {
    let seed = SEEDS[chance.below(SEEDS.len())];
    let mut words: Vec<String> = seed.split(' ').map(str::to_owned).collect();
    // A quarter stays as it is: what was asked before must not have hurt the session.
    for _ in 0..chance.below(4) {
        let at = chance.below(words.len());
        match chance.below(5) {
            0 if words.len() > 1 => {
                words.remove(at);
            }
            1 => {
                let other = chance.below(words.len());
                words.swap(at, other);
            }
            2 => words.insert(at, WORDS[chance.below(WORDS.len())].to_owned()),
            3 => words[at] = WORDS[chance.below(WORDS.len())].to_owned(),
            _ => {
                let word = words[at].clone();
                words.insert(at, word);
            }
        }
    }
    // A text of the protocol ends at its first zero.
    words.join(" ").replace('\u{0}', " ")
}

#[tokio::test]
async fn a_thousand_mutations_tell_nothing_and_break_nothing() {
    let g = granted(House::new().await).await;
    let client = g.connect().await;
    client.simple_query("set statement_timeout = '20s'").await.unwrap();
    let mut chance = Chance(0x5eed_2026);
    let (mut answered, mut refused) = (0, std::collections::BTreeMap::<String, u32>::new());
    for n in 0..1000 {
        let sql = mutated(&mut chance);
        // Every third by the extended protocol, which plans before it runs.
        let outcome = match n % 3 {
            0 => match client.prepare(&sql).await {
                Ok(_) => Ok(Vec::new()),
                Err(e) => Err(e),
            },
            _ => try_rows(&client, &sql).await,
        };
        match outcome {
            Ok(found) => {
                answered += 1;
                for cell in found.iter().flatten().flatten() {
                    let secret = SECRETS.iter().find(|s| cell.contains(**s));
                    // A constant of the statement itself is no secret.
                    assert!(secret.is_none_or(|s| sql.contains(*s)), "{sql}: {cell}");
                }
            }
            Err(e) => {
                let told = e.as_db_error().unwrap_or_else(|| panic!("{sql}: {e:?}"));
                *refused.entry(told.code().code().to_owned()).or_default() += 1;
                let text = format!("{} {:?}", told.message(), told.detail());
                let secret = SECRETS.iter().find(|s| text.contains(**s) && !sql.contains(**s));
                assert_eq!(secret, None, "{sql}: {text}");
                assert!(!text.contains("panicked") && !text.contains("parquet"), "{sql}: {text}");
            }
        }
        assert!(!client.is_closed(), "the door closed after: {sql}");
    }
    // Refused as syntax, as unknown or as not allowed; never for want of room, time or quota.
    let kinds: Vec<&str> = refused.keys().map(|code| code.get(..2).unwrap_or_default()).collect();
    assert!(kinds.iter().all(|kind| matches!(*kind, "42" | "22" | "0A" | "21")), "{refused:?}");
    assert!(answered > 200 && refused.values().sum::<u32>() > 100, "{answered}, {refused:?}");
}
