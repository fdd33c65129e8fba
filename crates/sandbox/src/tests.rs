//! The shipped program does its work; every attack we know of ends with its reason, and the process lives.

use std::time::Duration;

use policy::port::{ProgramEnd, ProgramFault, ProgramLimits};
use proptest::prelude::*;

use crate::{GROUP_COUNT, module, run};

const LIMITS: ProgramLimits = ProgramLimits {
    fuel: 50_000_000,
    memory_bytes: 4 << 20,
    time: Duration::from_secs(20),
    output_bytes: 1 << 20,
    log_bytes: 100,
};

fn done(text: &str, tables: &[&str], limits: ProgramLimits) -> ProgramEnd {
    let read = module::read(text.as_bytes()).unwrap();
    let tables = tables.iter().map(|t| t.as_bytes().to_vec()).collect();
    run::run(&read, tables, &limits).unwrap()
}

fn fault(text: &str) -> ProgramFault {
    done(text, &["a\n1\n"], LIMITS).fault.unwrap()
}

/// A module whose `run` does this.
fn body(code: &str) -> String {
    format!(
        r#"(module
          (import "qiantang" "read" (func $read (param i32 i64 i32 i32) (result i32)))
          (import "qiantang" "write" (func $write (param i32 i32) (result i32)))
          (import "qiantang" "size" (func $size (param i32) (result i64)))
          (import "qiantang" "log" (func $log (param i32 i32)))
          (memory (export "memory") 1)
          (table $t 1 funcref)
          (func $self (result i32) (i32.add (call $self) (i32.const 1)))
          (func (export "run") (result i32) {code}))"#
    )
}

fn counted(table: &str) -> Vec<String> {
    let end = done(GROUP_COUNT, &[table], LIMITS);
    assert_eq!(end.fault, None);
    let text = String::from_utf8(end.output).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.remove(0), "value,count");
    lines.sort();
    lines
}

#[test]
fn the_shipped_program_counts() {
    let table = "区,企业\n西湖区,甲\n上城区,乙\n西湖区,丙\n";
    assert_eq!(counted(table), ["上城区,1", "西湖区,2"]);
    assert_eq!(counted("d\r\na\r\nb\r\na"), ["a,2", "b,1"]);
    assert!(counted("d\n").is_empty());
    let end = done(GROUP_COUNT, &[table], LIMITS);
    assert_eq!(end, ProgramEnd { millis: end.millis, ..done(GROUP_COUNT, &[table], LIMITS) });
    assert!(end.fuel > 100);
}

#[test]
fn a_module_says_what_it_calls() {
    let seen = module::read(GROUP_COUNT.as_bytes()).unwrap().seen;
    assert_eq!(seen.calls, ["log", "read", "size", "write"]);
    assert_eq!(seen.memory, 131_072);
}

#[test]
fn whatever_has_no_end_is_ended() {
    assert_eq!(fault(&body("(loop $l (br $l)) (i32.const 0)")), ProgramFault::Fuel);
    let short = ProgramLimits { fuel: u64::MAX, time: Duration::from_millis(100), ..LIMITS };
    let end = done(&body("(loop $l (br $l)) (i32.const 0)"), &[], short);
    assert_eq!(end.fault, Some(ProgramFault::Time));
    assert_eq!(fault(&body("(call $self)")), ProgramFault::Trap);
    let start = r#"(module (memory (export "memory") 1) (func $s (loop $l (br $l)))
        (func (export "run") (result i32) (i32.const 0)) (start $s))"#;
    assert_eq!(fault(start), ProgramFault::Fuel);
    // Copies for it are paid as well.
    let copies = "(loop $l (drop (call $write (i32.const 0) (i32.const 0))) (br $l)) (i32.const 0)";
    assert_eq!(fault(&body(copies)), ProgramFault::Fuel);
}

#[test]
fn memory_tables_and_output_are_bounded() {
    let grows =
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 8)) (i32.const -1)))) (i32.const 0)";
    assert_eq!(fault(&body(grows)), ProgramFault::Memory);
    let table = "(drop (table.grow $t (ref.null func) (i32.const 1000000))) (i32.const 0)";
    assert_eq!(fault(&body(table)), ProgramFault::Memory);
    let large = r#"(module (memory (export "memory") 60000)
        (func (export "run") (result i32) (i32.const 0)))"#;
    assert_eq!(fault(large), ProgramFault::Memory);
    let writes =
        "(loop $l (drop (call $write (i32.const 0) (i32.const 65536))) (br $l)) (i32.const 0)";
    let end = done(&body(writes), &[], LIMITS);
    assert_eq!(end.fault, Some(ProgramFault::Output));
    assert!(end.output.is_empty());
    let logs = "(call $log (i32.const 0) (i32.const 65536)) (i32.const 0)";
    assert_eq!(done(&body(logs), &[], LIMITS).log.len(), 100);
}

#[test]
fn pointers_are_held_against_the_memory() {
    for code in [
        "(call $read (i32.const 0) (i64.const 0) (i32.const 65530) (i32.const 100))",
        "(call $read (i32.const 0) (i64.const 0) (i32.const -1) (i32.const 2))",
        "(call $read (i32.const 0) (i64.const 0) (i32.const 0) (i32.const -1))",
        "(call $read (i32.const 7) (i64.const 0) (i32.const 0) (i32.const 1))",
        "(call $read (i32.const -1) (i64.const 0) (i32.const 0) (i32.const 1))",
        "(call $write (i32.const 65536) (i32.const 1))",
        "(call $log (i32.const -4) (i32.const 8)) (i32.const 0)",
        "(i32.wrap_i64 (call $size (i32.const 1)))",
    ] {
        assert_eq!(fault(&body(code)), ProgramFault::Pointer, "{code}");
    }
    // Beyond a table there is nothing.
    for offset in ["99", "-1", "9223372036854775807"] {
        let code =
            format!("(call $read (i32.const 0) (i64.const {offset}) (i32.const 0) (i32.const 9))");
        assert_eq!(done(&body(&code), &["a\n"], LIMITS).fault, None);
    }
    assert_eq!(fault(&body("(i32.load (i32.const 70000))")), ProgramFault::Trap);
    assert_eq!(fault(&body("(i32.const 3)")), ProgramFault::Code(3));
}

#[test]
fn only_the_interface_may_be_imported() {
    let run = r#"(memory (export "memory") 1) (func (export "run") (result i32) (i32.const 0))"#;
    for import in [
        r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#,
        r#"(import "qiantang" "connect" (func))"#,
        r#"(import "qiantang" "read" (func (param i32)))"#,
        r#"(import "qiantang" "memory" (memory 1))"#,
        r#"(import "env" "g" (global i32))"#,
    ] {
        assert!(module::read(format!("(module {import} {run})").as_bytes()).is_err(), "{import}");
    }
    for module in [
        "(module)",
        r#"(module (func (export "run") (result i32) (i32.const 0)))"#,
        r#"(module (memory (export "memory") 1) (func (export "run")))"#,
        r#"(module (memory (export "memory") 1 1 shared) (func (export "run") (result i32) (i32.const 0)))"#,
        r#"(module (memory (export "memory") i64 1) (func (export "run") (result i32) (i32.const 0)))"#,
        "",
        "\0asm",
    ] {
        assert!(module::read(module.as_bytes()).is_err(), "{module}");
    }
    assert!(module::read(&vec![b' '; crate::MODULE_BYTES + 1]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400), head in any::<bool>()) {
        let mut module = if head { b"\0asm\x01\0\0\0".to_vec() } else { Vec::new() };
        module.extend(bytes);
        let _ = module::read(&module);
    }

    #[test]
    fn it_counts_as_anybody_would(values in proptest::collection::vec("[a-d]{0,2}", 0..60)) {
        let mut table = "v,w\n".to_owned();
        let mut wanted = std::collections::BTreeMap::new();
        for value in &values {
            table.push_str(&format!("{value},x\n"));
            *wanted.entry(value.clone()).or_insert(0) += 1;
        }
        let mut lines: Vec<String> = wanted.into_iter().map(|(v, n)| format!("{v},{n}")).collect();
        lines.sort();
        prop_assert_eq!(counted(&table), lines);
    }
}
