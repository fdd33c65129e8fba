//! Reading a module: it is compiled, and refused with the reason unless it calls our interface only.

use model::{Error, Result};
use policy::port::ProgramSeen;
use wasmtime::{Config, Engine, ExternType, FuncType, Module, ValType};

use crate::MODULE_BYTES;

/// The only module that may be imported from.
pub(crate) const HOST: &str = "qiantang";

/// A compiled module with its engine.
pub(crate) struct Read {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
    pub(crate) seen: ProgramSeen,
}

/// Functions of the interface: name, parameters, result.
fn interface(name: &str) -> Option<(&'static [ValType], &'static [ValType])> {
    use ValType::{I32, I64};
    Some(match name {
        "table_count" => (&[], &[I32]),
        "size" => (&[I32], &[I64]),
        "read" => (&[I32, I64, I32, I32], &[I32]),
        "write" => (&[I32, I32], &[I32]),
        "log" => (&[I32, I32], &[]),
        _ => return None,
    })
}

pub(crate) fn read(bytes: &[u8]) -> Result<Read> {
    if bytes.len() > MODULE_BYTES {
        return Err(refused(
            &format!("模块超过 {MODULE_BYTES} 字节"),
            &format!("the module has more than {MODULE_BYTES} bytes"),
        ));
    }
    let engine = engine()?;
    let module = Module::new(&engine, bytes).map_err(|e| {
        let why: String = format!("{e:#}").chars().take(400).collect();
        refused(
            &format!("不是有效的 WebAssembly 模块（.wasm 或 .wat）：{why}"),
            &format!("no valid WebAssembly module (.wasm or .wat): {why}"),
        )
    })?;
    let calls = imports(&module)?;
    let memory = exports(&module)?;
    Ok(Read { engine, module, seen: ProgramSeen { calls, memory } })
}

fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_backtrace_max_frames(None)
        .max_wasm_stack(256 << 10)
        // Nothing is laid aside that a program may not use.
        .memory_reservation_for_growth(0);
    Engine::new(&config).map_err(|e| internal("the engine of programs", &e))
}

fn imports(module: &Module) -> Result<Vec<String>> {
    let mut calls = Vec::new();
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let known = if from == HOST { interface(name) } else { None };
        let Some((takes, gives)) = known else {
            return Err(refused(
                &format!(
                    "模块引用了 `{from}.{name}`：只能引用 `{HOST}` 提供的 table_count、size、read、write、log，不提供网络、文件、时钟与随机数"
                ),
                &format!(
                    "the module imports `{from}.{name}`: only table_count, size, read, write and log of `{HOST}` are there; no network, files, clock or chance"
                ),
            ));
        };
        let fits = matches!(import.ty(), ExternType::Func(of) if same(&of, takes, gives));
        if !fits {
            return Err(refused(
                &format!("`{HOST}.{name}` 的类型不符，请按接口说明声明"),
                &format!("`{HOST}.{name}` has another type: declare it as the interface says"),
            ));
        }
        if !calls.iter().any(|c| c == name) {
            calls.push(name.to_owned());
        }
    }
    calls.sort();
    Ok(calls)
}

/// Bytes of the memory at the beginning.
fn exports(module: &Module) -> Result<u64> {
    let run = module.get_export("run");
    if !matches!(run, Some(ExternType::Func(of)) if same(&of, &[], &[ValType::I32])) {
        return Err(refused(
            "模块须导出函数 `run`（无参数，返回 i32，0 表示成功）",
            "the module must export the function `run`, without parameters, giving an i32: 0 when done",
        ));
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(of)) if !of.is_shared() && !of.is_64() => {
            Ok(of.minimum().saturating_mul(of.page_size()))
        }
        _ => {
            Err(refused("模块须导出内存 `memory`", "the module must export its memory as `memory`"))
        }
    }
}

fn same(of: &FuncType, takes: &[ValType], gives: &[ValType]) -> bool {
    let all = |is: &mut dyn Iterator<Item = ValType>, wanted: &[ValType]| {
        let is: Vec<ValType> = is.collect();
        is.len() == wanted.len() && is.iter().zip(wanted).all(|(a, b)| ValType::eq(a, b))
    };
    all(&mut of.params(), takes) && all(&mut of.results(), gives)
}

fn refused(zh: &str, en: &str) -> Error {
    Error::invalid(zh, en).field("module", "请修改", "change it")
}

pub(crate) fn internal(what: &str, error: &wasmtime::Error) -> Error {
    Error::internal(format!("{what}: {error:#}"))
}
