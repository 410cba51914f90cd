//! Being stopped. A signal to stop only sets a flag; whatever waits looks at it and comes back with
//! an error, so that every way out of the story leads through the same clearing away.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::{
    fmt,
    sync::atomic::{AtomicI32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The signal that came, or 0.
static CAME: AtomicI32 = AtomicI32::new(0);

/// A signal asked the story to stop.
#[derive(Clone, Copy, Debug)]
pub struct Stopped(
    /// Its number.
    pub i32,
);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Signal::try_from(self.0).map_or("a signal", Signal::as_str);
        write!(f, "stopped by {name}")
    }
}

impl std::error::Error for Stopped {}

extern "C" fn note(signal: i32) {
    CAME.store(signal, Ordering::Relaxed);
}

/// From here on the signals that end a program are noted instead.
///
/// # Errors
/// Where the kernel refuses.
pub fn catch() -> nix::Result<()> {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// Whether the story may go on.
///
/// # Errors
/// The signal that came.
pub fn check() -> Result<(), Stopped> {
    match CAME.load(Ordering::Relaxed) {
        0 => Ok(()),
        signal => Err(Stopped(signal)),
    }
}

/// Waits until something is so, and says whether it came to be within this time.
///
/// # Errors
/// The signal that came meanwhile, and those of `so`.
pub fn wait<E: From<Stopped>>(
    most: Duration,
    mut so: impl FnMut() -> Result<bool, E>,
) -> Result<bool, E> {
    let end = Instant::now() + most;
    loop {
        check()?;
        if so()? {
            return Ok(true);
        }
        if Instant::now() > end {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
