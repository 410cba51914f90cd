//! What the kernel program itself has to say: a line where something happened that cannot happen.

use aya::Ebpf;
use aya_log::EbpfLogger;
use std::sync::{Arc, Mutex, PoisonError};

/// The log of one copy of the program.
pub struct KernelLog {
    logger: EbpfLogger<Lines>,
    lines: Lines,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
    }

    fn flush(&self) {}
}

impl KernelLog {
    /// The log of a loaded copy; `None` where it has none.
    pub(super) fn of(ebpf: &mut Ebpf) -> Option<Self> {
        let lines = Lines::default();
        let logger = EbpfLogger::init_with_logger(ebpf, lines.clone()).ok()?;
        Some(Self { logger, lines })
    }

    /// What has been said since it was last asked.
    pub fn take(&mut self) -> Vec<String> {
        self.logger.flush();
        std::mem::take(&mut self.lines.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for KernelLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelLog").finish_non_exhaustive()
    }
}
