//! What a program may call, and how far it may go: every pointer is held against its memory, every byte that is copied is paid.

use policy::port::{ProgramFault, ProgramLimits};
use wasmtime::{Caller, Extern, Linker, Memory, ResourceLimiter, Result, bail};

use crate::module::HOST;

/// Elements of a table of functions; more than any program needs.
const TABLE_MOST: usize = 10_000;
/// Steps of a call, and bytes that are copied for one more.
const STEPS_A_CALL: u64 = 100;
const BYTES_A_STEP: u64 = 8;

/// What a program is handed, and what it has made.
pub(crate) struct Host {
    tables: Vec<Vec<u8>>,
    pub(crate) output: Vec<u8>,
    pub(crate) log: Vec<u8>,
    pub(crate) fault: Option<ProgramFault>,
    memory_most: usize,
    output_most: usize,
    log_most: usize,
}

impl Host {
    pub(crate) fn new(tables: Vec<Vec<u8>>, limits: &ProgramLimits) -> Self {
        Self {
            tables,
            output: Vec::new(),
            log: Vec::new(),
            fault: None,
            memory_most: limits.memory_bytes,
            output_most: limits.output_bytes,
            log_most: limits.log_bytes,
        }
    }
}

impl ResourceLimiter for Host {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        if desired > self.memory_most {
            self.fault = Some(ProgramFault::Memory);
            bail!("more memory than the program may have");
        }
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        if desired > TABLE_MOST {
            self.fault = Some(ProgramFault::Memory);
            bail!("a larger table than the program may have");
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        4
    }

    fn memories(&self) -> usize {
        1
    }
}

/// The interface.
pub(crate) fn link(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(HOST, "table_count", |caller: Caller<'_, Host>| {
        i32::try_from(caller.data().tables.len()).unwrap_or(i32::MAX)
    })?;
    linker.func_wrap(HOST, "size", |mut caller: Caller<'_, Host>, table: i32| -> Result<i64> {
        match table_of(caller.data(), table) {
            Some(bytes) => Ok(i64::try_from(bytes.len()).unwrap_or(i64::MAX)),
            None => stop(&mut caller, ProgramFault::Pointer),
        }
    })?;
    linker.func_wrap(HOST, "read", read)?;
    linker.func_wrap(HOST, "write", write)?;
    linker.func_wrap(HOST, "log", log)?;
    Ok(())
}

fn read(mut caller: Caller<'_, Host>, table: i32, offset: i64, at: i32, len: i32) -> Result<i32> {
    let memory = memory(&mut caller)?;
    let (data, host) = memory.data_and_store_mut(&mut caller);
    let place = span(at, len).and_then(|span| data.get_mut(span));
    let (Some(place), Some(bytes)) = (place, table_of(host, table)) else {
        return stop(&mut caller, ProgramFault::Pointer);
    };
    let left = usize::try_from(offset).ok().and_then(|o| bytes.get(o..)).unwrap_or_default();
    let many = left.len().min(place.len());
    for (to, from) in place.iter_mut().zip(left) {
        *to = *from;
    }
    pay(&mut caller, many)?;
    Ok(i32::try_from(many).unwrap_or(i32::MAX))
}

fn write(mut caller: Caller<'_, Host>, at: i32, len: i32) -> Result<i32> {
    let memory = memory(&mut caller)?;
    let (data, host) = memory.data_and_store_mut(&mut caller);
    let Some(bytes) = span(at, len).and_then(|span| data.get(span)) else {
        return stop(&mut caller, ProgramFault::Pointer);
    };
    if host.output.len().saturating_add(bytes.len()) > host.output_most {
        return stop(&mut caller, ProgramFault::Output);
    }
    host.output.extend_from_slice(bytes);
    let many = bytes.len();
    pay(&mut caller, many)?;
    Ok(i32::try_from(many).unwrap_or(i32::MAX))
}

fn log(mut caller: Caller<'_, Host>, at: i32, len: i32) -> Result<()> {
    let memory = memory(&mut caller)?;
    let (data, host) = memory.data_and_store_mut(&mut caller);
    let Some(bytes) = span(at, len).and_then(|span| data.get(span)) else {
        return stop(&mut caller, ProgramFault::Pointer);
    };
    let many = bytes.len().min(host.log_most.saturating_sub(host.log.len()));
    host.log.extend(bytes.iter().take(many));
    pay(&mut caller, many)
}

fn table_of(host: &Host, table: i32) -> Option<&[u8]> {
    let at = usize::try_from(table).ok()?;
    host.tables.get(at).map(Vec::as_slice)
}

/// Addresses are unsigned in the program's machine.
fn span(at: i32, len: i32) -> Option<std::ops::Range<usize>> {
    let at = usize::try_from(at.cast_unsigned()).ok()?;
    let len = usize::try_from(len.cast_unsigned()).ok()?;
    Some(at..at.checked_add(len)?)
}

fn memory(caller: &mut Caller<'_, Host>) -> Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => stop(caller, ProgramFault::Trap),
    }
}

fn pay(caller: &mut Caller<'_, Host>, bytes: usize) -> Result<()> {
    let steps = STEPS_A_CALL + u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES_A_STEP;
    match caller.get_fuel()?.checked_sub(steps) {
        Some(left) => caller.set_fuel(left),
        None => {
            caller.set_fuel(0)?;
            stop(caller, ProgramFault::Fuel)
        }
    }
}

fn stop<T>(caller: &mut Caller<'_, Host>, fault: ProgramFault) -> Result<T> {
    caller.data_mut().fault = Some(fault);
    bail!("the program is stopped")
}
