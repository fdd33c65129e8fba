//! Shells against the engine itself: what is small comes out as without them, what is large is refused before it is made.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::{SessionStateBuilder, SessionStateDefaults};
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::transform::words::{Refusal, root};

/// Functions whose values have a fixed or a small size, or which hand on a part of what they are given.
const HARMLESS: &str = "
    arrow_cast arrow_try_cast cast_to_type try_cast_to_type arrow_field arrow_metadata arrow_typeof coalesce nvl nvl2 nullif
    greatest least named_struct struct get_field union_extract union_tag version with_metadata input_file_name file_row_index
    current_date current_time date_bin date_part date_trunc from_unixtime make_date make_time now to_date to_local_time to_time
    to_timestamp to_timestamp_seconds to_timestamp_millis to_timestamp_micros to_timestamp_nanos to_unixtime
    digest md5 sha224 sha256 sha384 sha512
    ascii bit_length character_length chr contains ends_with find_in_set levenshtein octet_length regexp_count regexp_instr
    regexp_like starts_with strpos to_hex uuid
    abs acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh cot degrees exp factorial floor gcd isnan iszero lcm ln log log10
    log2 nanvl pi power radians random round signum sin sinh sqrt tan tanh trunc
    array_any_value array_avg array_dims array_distance array_element array_has array_has_all array_has_any array_length array_max
    array_min array_ndims array_position array_product array_sum cardinality cosine_distance empty inner_product map_entries
    map_extract map_keys map_values";

fn context(functions: Vec<Arc<ScalarUDF>>) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_config(SessionConfig::new().with_target_partitions(1))
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(functions)
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .build();
    SessionContext::new_with_state(state)
}

async fn bounded(sql: &str, room: &Arc<Room>) -> PlanResult<Vec<RecordBatch>> {
    let context = context(functions(room));
    let plan = bind(context.state().create_logical_plan(sql).await?, room)?;
    check_constants(&context.state().optimize(&plan)?)?;
    context.execute_logical_plan(plan).await?.collect().await
}

async fn plain(sql: &str) -> PlanResult<Vec<RecordBatch>> {
    let context = context(SessionStateDefaults::default_scalar_functions());
    context.sql(sql).await?.collect().await
}

fn refusal(error: &DataFusionError) -> Option<&Refusal> {
    match root(error) {
        DataFusionError::External(cause) => cause.downcast_ref::<Refusal>(),
        _ => None,
    }
}

#[test]
fn every_function_of_the_engine_is_known() {
    let harmless: Vec<&str> = HARMLESS.split_whitespace().collect();
    let all = SessionStateDefaults::default_scalar_functions();
    let unknown: Vec<&str> = all
        .iter()
        .map(|function| function.name())
        .filter(|name| Growth::of(name).is_none() && !harmless.contains(name))
        .collect();
    assert!(unknown.is_empty(), "may they grow? {unknown:?}");
    let both = harmless.iter().filter(|name| Growth::of(name).is_some());
    assert_eq!(both.count(), 0);
}

#[tokio::test]
async fn what_is_small_comes_out_as_ever() {
    let room = Room::beside(64 << 20);
    for sql in [
        "select repeat('ab', 3), lpad('7', 3, '0'), rpad('7', 3), replace('aXbX', 'X', '--'), concat('a', null, 1)",
        "select 'a' || 'b' || 'c', 'a' || 1, ['a'] || ['b'], [1, 2] || 3, array[1, 2], concat_ws('-', 'a', 'b')",
        "select range(3), generate_series(1, 9, 4), range(date '2026-01-01', date '2026-01-04', interval '1 day')",
        "select array_to_string([1, null, 3], ',', '?'), string_to_array('a,b', ','), array_repeat('x', 2), array_resize([1], 3, 7)",
        "select regexp_replace('a1b22', '[0-9]+', '<\\1>', 'g'), to_char(date '2026-03-02', '%Y/%m'), upper('ab'), substr('abc', 2)",
        "select n, repeat('x', n) || '!' as t, lpad(cast(n as varchar), 4, '0') from generate_series(1, 20) a(n) where n || '' <> '3' order by n",
        "select repeat(k, 2), count(*), string_agg(k || '.', '') from (select cast(n % 3 as varchar) k from generate_series(1, 9) a(n)) group by repeat(k, 2) order by 1",
        "select unnest(generate_series(1, 4)), arrays_zip([1], ['a'])",
        "select left(t, 2), reverse(t), split_part(t, '-', 2), translate(t, 'a', 'b') from (values ('aa-bb'), (null)) v(t)",
    ] {
        let (with, without) = (bounded(sql, &room).await, plain(sql).await);
        let without = without.unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(with.unwrap_or_else(|e| panic!("{sql}: {e}")), without, "{sql}");
    }
}

#[tokio::test]
async fn what_would_fill_memory_is_refused() {
    let room = Room::beside(64 << 20);
    for sql in [
        "select array_length(generate_series(1, 400000000))",
        "select array_length(range(0, 9223372036854775807, 3))",
        "select repeat('x', 2147483647), repeat('y', 2147483647)",
        "select length(repeat(repeat(repeat('x', 60000), 60000), 60000))",
        "select length(lpad('x', 2147483647, 'y'))",
        "select length(rpad(cast(n as varchar), 1000000)) from generate_series(1, 10) a(n)",
        "select array_length(array_repeat('', 1000000000))",
        "select array_length(array_resize([1], 1000000000, 2))",
        "select array_length(generate_series(timestamp '2000-01-01', timestamp '2026-01-01', interval '1 millisecond'))",
        "select array_length(range(date '2000-01-01', date '2026-01-01', interval '1 month -31 days'))",
        "select length(replace(repeat('x', 60000), 'x', repeat('y', 60000)))",
        "select length(regexp_replace(repeat('x', 60000), 'x', repeat('y', 60000), 'g'))",
        "select length(regexp_replace(t, '(.*)', repeat('\\1', 20000))) from (select repeat('x', 60000) t)",
        "select length(array_to_string(array_repeat('a', 2000), repeat('y', 60000)))",
        "select length(concat_ws(repeat('-', 60000), k, k, k)) from (select cast(n as varchar) k from generate_series(1, 8000) a(n))",
        "select * from generate_series(1, array_length(generate_series(1, 400000000)))",
        "select length(concat(t, t)) from (select repeat(cast(n as varchar), 10000) t from generate_series(1, 8000) a(n))",
    ] {
        let error = bounded(sql, &room).await.err().unwrap_or_else(|| panic!("{sql}"));
        // A table function tells in its own words that its argument is no number.
        let argument = sql.starts_with("select * from");
        assert!(argument || refusal(&error).is_some(), "{sql}: {error}");
    }
}

/// With the stack that threads of the server have: a chain of a hundred is planned one within the other.
#[test]
fn joining_to_itself_again_and_again_ends() {
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(joined());
    });
    thread.unwrap().join().unwrap();
}

async fn joined() {
    let room = Room::beside(64 << 20);
    let chained = |piece: &str, by: &str, count: usize| vec![piece; count].join(by);
    let from = "from (select repeat('x', 60000) s)";
    for sql in [
        format!("select length({}) {from}", chained("s", " || ", 100)),
        format!("select array_length([{}]) {from}", chained("s", ", ", 3000)),
        format!("select length(concat({})) {from}", chained("s", ", ", 100)),
        format!("select {} {from}", chained("upper(s)", " || ", 100)),
    ] {
        let error = bounded(&sql, &room).await.err().unwrap_or_else(|| panic!("{sql:.80}"));
        assert!(refusal(&error).is_some(), "{sql:.80}: {error}");
    }
}

#[tokio::test]
async fn columns_count_together_and_give_back_what_they_took() {
    let room = Room::beside(0);
    let columns = |count: usize| {
        let columns = (0..count).map(|n| format!("repeat(cast(n as varchar), {}) c{n}", 1000 + n));
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("select {columns} from generate_series(1, 4000) a(n)")
    };
    // Each alone would do.
    let error = bounded(&columns(20), &room).await.unwrap_err();
    assert!(refusal(&error).is_some_and(|r| r.zh.contains("列") && r.en.contains("columns")));
    for _ in 0..3 {
        let rows = bounded(&columns(2), &room).await.unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 4000);
    }
}

#[tokio::test]
async fn wide_rows_are_not_repeated() {
    let room = Room::beside(64 << 20);
    // Aggregates hold what they make in the pool; a join would make it again for each row that it meets.
    let wide = "(select string_agg(repeat(cast(n as varchar), 1000), '') s from generate_series(1, 500) a(n)) w";
    for sql in [
        format!("select s, m from {wide}, generate_series(1, 50) b(m)"),
        format!(
            "select length(s || m) from {wide} join generate_series(1, 50) b(m) on length(s) > m"
        ),
        format!("select s, unnest(range(0, 40)) from {wide}"),
    ] {
        let context = context(functions(&room));
        let plan = context.state().create_logical_plan(&sql).await.unwrap();
        let plan = context.state().create_physical_plan(&bind(plan, &room).unwrap()).await.unwrap();
        let plan = watch_sides(plan).unwrap();
        let found = collect(plan, context.task_ctx()).await;
        let error = found.err().unwrap_or_else(|| panic!("{sql}"));
        assert!(refusal(&error).is_some_and(|r| r.en.contains("join")), "{sql}: {error}");
    }
    let narrow = "select count(*), max(length(a.t)) from (select n, repeat('x', n) t from generate_series(1, 900) a(n)) a join generate_series(1, 900) b(m) on a.n = b.m";
    let context = context(functions(&room));
    let plan = context.state().create_logical_plan(narrow).await.unwrap();
    let plan = context.state().create_physical_plan(&bind(plan, &room).unwrap()).await.unwrap();
    let rows = collect(watch_sides(plan).unwrap(), context.task_ctx()).await.unwrap();
    assert_eq!(rows, plain(narrow).await.unwrap());
}

#[tokio::test]
async fn constants_are_not_written_out_for_every_row() {
    let room = Room::beside(64 << 20);
    let long = "y".repeat(CONSTANTS + 1);
    for (sql, taken) in [
        (format!("select '{long}'"), true),
        (format!("select '{long}', n from generate_series(1, 3) a(n)"), false),
        (
            format!("select case when n = 1 then '{long}' end from generate_series(1, 3) a(n)"),
            false,
        ),
        (
            format!("select n from generate_series(1, 3) a(n) where cast(n as varchar) = '{long}'"),
            true,
        ),
        ("select repeat('x', 40000), n from generate_series(1, 3) a(n)".to_owned(), false),
        ("select repeat('x', 4000), n from generate_series(1, 3) a(n)".to_owned(), true),
    ] {
        let found = bounded(&sql, &room).await;
        assert_eq!(found.is_ok(), taken, "{sql:.60}: {:?}", found.err().map(|e| e.to_string()));
    }
}

#[test]
fn a_shell_is_found_by_its_name() {
    let room = Room::beside(0);
    for name in ["repeat", "make_array", WITHIN] {
        let function = named(name, &room).unwrap();
        assert_eq!(shell(&function), Some(name));
    }
    assert!(named("abs", &room).is_none() && named("nothing", &room).is_none());
    for function in functions(&room) {
        assert_eq!(shell(&function).is_some(), Growth::of(function.name()).is_some());
    }
}
