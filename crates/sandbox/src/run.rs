//! One run, in a store of its own, watched from outside.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

use model::{Error, Result};
use policy::port::{ProgramEnd, ProgramFault, ProgramLimits};
use wasmtime::{Linker, Store, Trap};

use crate::host::{self, Host};
use crate::module::{Read, internal};

pub(crate) fn run(read: &Read, tables: Vec<Vec<u8>>, limits: &ProgramLimits) -> Result<ProgramEnd> {
    let mut store = Store::new(&read.engine, Host::new(tables, limits));
    store.limiter(|host| host);
    store.set_fuel(limits.fuel).map_err(|e| internal("fuel of a program", &e))?;
    store.set_epoch_deadline(1);
    store.epoch_deadline_trap();
    let mut linker = Linker::new(&read.engine);
    host::link(&mut linker).map_err(|e| internal("the interface of programs", &e))?;

    // The watch ends with the run; when time is up first, it moves the epoch on, and the program traps.
    let (done, over) = channel::<()>();
    let (engine, time) = (read.engine.clone(), limits.time);
    let watch = std::thread::Builder::new()
        .name("program-watch".to_owned())
        .spawn(move || {
            if over.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        })
        .map_err(|e| Error::internal("the watch of a program").caused_by(e))?;
    let begun = Instant::now();
    // A start function runs while the instance is made: under the same limits.
    let answered = linker.instantiate(&mut store, &read.module).and_then(|instance| {
        let run = instance.get_typed_func::<(), i32>(&mut store, "run")?;
        run.call(&mut store, ())
    });
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    drop(done);
    let _ = watch.join();

    let left = store.get_fuel().unwrap_or(0);
    let host = store.into_data();
    let fault = match answered {
        Ok(0) => None,
        Ok(code) => Some(ProgramFault::Code(code)),
        Err(error) => Some(host.fault.unwrap_or_else(|| why(&error))),
    };
    Ok(ProgramEnd {
        output: if fault.is_none() { host.output } else { Vec::new() },
        log: String::from_utf8_lossy(&host.log).into_owned(),
        fuel: limits.fuel.saturating_sub(left),
        millis,
        fault,
    })
}

fn why(error: &wasmtime::Error) -> ProgramFault {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => ProgramFault::Fuel,
        Some(Trap::Interrupt) => ProgramFault::Time,
        _ => ProgramFault::Trap,
    }
}
