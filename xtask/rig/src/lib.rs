//! What the bench and the story are made of: frames, counters read back, and text on a terminal.
//!
//! Both are programs of their own beside `xtask`, because they need the library of `icmpgate`:
//! xtask builds that, and the toolchain for it, and so can't wait for either.

pub mod frame;
pub mod metrics;
pub mod text;
