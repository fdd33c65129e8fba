//! Files as departments write them, right and wrong.

use super::*;

const GOOD: &str = r#"
name = "air_hourly"
title = "空气质量小时值"
entry = "air_quality"
mode = "incremental"
after = ["stations"]
max_bad_ratio = 0.01
max_bad_rows = 100

[source]
kind = "database"
source = "环境业务库"
sql = """
SELECT * FROM readings
WHERE updated_at >= {from} AND updated_at < {to}
"""
at_once = 1

[watermark]
column = "updated_at"
type = "datetime"
start = 2013-03-01
late = "2d"

[schedule]
cron = "15 2 * * *"

[retry]
times = 5
first = "30s"
longest = "15m"
"#;

fn faults(text: &str) -> Vec<(usize, String)> {
    PipelineFile::check(text).unwrap_err().into_iter().map(|f| (f.line, f.field)).collect()
}

#[test]
fn a_whole_file_is_read() {
    let file = PipelineFile::parse(GOOD).unwrap();
    assert_eq!((file.name.as_str(), file.mode), ("air_hourly", SyncMode::Incremental));
    assert_eq!(file.empty, EmptyRule::Warn);
    let mark = file.watermark.unwrap();
    assert_eq!(mark.start.text(), "2013-03-01T00:00:00");
    assert_eq!(mark.late, Step::Time(TimeDelta::days(2)));
    assert!(matches!(file.schedule, Some(Schedule::Cron(_))));
    assert_eq!(file.retry.times, Some(5));
    assert_eq!(file.budget.rows, Some(100));
}

#[test]
fn every_fault_names_its_line_and_field() {
    let text = GOOD
        .replace("max_bad_ratio = 0.01", "max_bad_ratio = 7.0")
        .replace("15 2 * * *", "15 26 * * *")
        .replace("\"datetime\"", "\"moment\"")
        .replace("late = \"2d\"", "late = \"2w\"")
        .replace("first = \"30s\"", "first = \"soon\"");
    let found = faults(&text);
    let field = |line: usize, name: &str| (line, name.to_owned());
    for expected in [
        field(7, "max_bad_ratio"),
        field(21, "watermark.type"),
        field(26, "schedule.cron"),
        field(30, "retry.first"),
    ] {
        assert!(found.contains(&expected), "{expected:?} of {found:?}");
    }
}

#[test]
fn unknown_and_missing_fields_are_told_with_their_line() {
    let [fault] =
        PipelineFile::check(&GOOD.replace("at_once", "at_onse")).unwrap_err().try_into().unwrap();
    let fault: Fault = fault;
    assert!(fault.line == 17 && fault.zh.contains("不认识的字段 `at_onse`"), "{fault:?}");
    let [fault] =
        PipelineFile::check(&GOOD.replace("mode = ", "# ")).unwrap_err().try_into().unwrap();
    let fault: Fault = fault;
    assert!(fault.zh.contains("缺少字段 `mode`"), "{fault:?}");
    let [fault] = PipelineFile::check("name = \"a\nentry").unwrap_err().try_into().unwrap();
    let fault: Fault = fault;
    // The parser names the place where it gave up: after the string that does not end.
    assert_eq!(fault.line, 2);
    assert!(PipelineFile::check(&"x".repeat(LONGEST + 1)).is_err());
}

#[test]
fn parts_must_agree() {
    let full = GOOD.replace("mode = \"incremental\"", "mode = \"full\"");
    assert_eq!(faults(&full), [(19, "watermark".to_owned())]);
    let unbound = GOOD.replace("{from}", "1").replace("{to}", "2");
    assert_eq!(faults(&unbound), [(13, "source.sql".to_owned())]);
    let quoted = GOOD.replace("{from}", "'{from}'");
    assert_eq!(faults(&quoted), [(13, "source.sql".to_owned())]);
    let both = GOOD.replace("at_once = 1", "table = \"x\"");
    assert_eq!(faults(&both), [(10, "source".to_owned())]);
    let other = GOOD.replace("at_once = 1", "topic = \"x\"");
    assert_eq!(faults(&other), [(17, "source.topic".to_owned())]);
    let table = |name: &str| {
        let begin = GOOD.find("sql = ").unwrap();
        let end = GOOD.find("at_once").unwrap();
        format!("{}table = \"{name}\"\n{}", GOOD.get(..begin).unwrap(), GOOD.get(end..).unwrap())
    };
    assert!(PipelineFile::parse(&table("public.readings")).is_ok());
    for wrong in ["a.b.c", "x`; drop", ""] {
        assert!(PipelineFile::parse(&table(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn a_budget_tells_when_it_is_used_up() {
    let budget = Budget { ratio: Some(0.1), rows: Some(50) };
    assert!(budget.beyond(100, 10).is_none());
    assert!(budget.beyond(100, 11).unwrap().0.contains("11.00%"));
    assert!(budget.beyond(10_000, 51).unwrap().1.contains("51 rows"));
    assert!(Budget::default().beyond(10, 10).is_none());
    assert!(Budget { ratio: Some(0.0), rows: None }.beyond(10, 1).is_some());
}
