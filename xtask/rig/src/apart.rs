//! A thread of its own for what changes the thread that does it: its network, its files, its processor.

use std::{panic::resume_unwind, thread};

/// Calls this in a thread that ends with it. Where it panics, so does the caller.
pub fn run<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(what).join().unwrap_or_else(|panic| resume_unwind(panic)))
}
