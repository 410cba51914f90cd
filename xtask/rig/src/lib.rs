//! What the bench and the story are made of: frames, counters read back, text on a terminal; and the real
//! program, started on a stage of its own.
//!
//! Both are programs of their own beside `xtask`, because they need the library of `icmpgate`:
//! xtask builds that, and the toolchain for it, and so can't wait for either.

pub mod apart;
pub mod frame;
pub mod gate;
pub mod metrics;
pub mod mounts;
pub mod netns;
pub mod signal;
pub mod stage;
pub mod text;
