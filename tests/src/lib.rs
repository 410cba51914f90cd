//! What the tests that need root and a kernel share: frames built octet by octet, the real program
//! in a private instance that they are run through, and the shipped one on namespaces of its own.
//!
//! Nothing here takes a shape, a constant or a sum from the code under test where it can be had
//! otherwise: [`frame`] has its own checksum and its own idea of every header.

pub mod attack;
pub mod daemon;
pub mod frame;
pub mod gate;
pub mod message;
pub mod netns;
pub mod odds;
pub mod random;
pub mod tap;
pub mod tcp;

pub use daemon::{Daemon, Site};
pub use frame::{Extension, Frame, Ipv4, Ipv6};
pub use gate::{Gate, Seen, check};
pub use message::Message;
pub use netns::Namespace;

/// Panics, with the command that helps, where this process isn't root.
pub fn require_root() {
    // SAFETY: a call without arguments that can't fail.
    let euid = unsafe { libc::geteuid() };
    assert!(euid == 0, "this test needs root: sudo -E env PATH=\"$PATH\" cargo xtask test");
}

/// Whether this runs inside one of the machines of `cargo xtask vm`, which are emulated and some
/// 30 times slower.
#[must_use]
pub fn in_vm() -> bool {
    std::env::var_os("ICMPGATE_VM").is_some_and(|value| value == "1")
}

/// A number of repetitions, a twentieth of it inside an emulated machine.
#[must_use]
pub fn repetitions(n: usize) -> usize {
    if in_vm() { n.div_ceil(20) } else { n }
}

/// Whether the `n`th of many like cases is to be run: all of them, but inside an emulated machine
/// only each seventh, which are of every remainder by the powers of two.
#[must_use]
pub fn sampled(n: usize) -> bool {
    !in_vm() || n.is_multiple_of(7)
}
