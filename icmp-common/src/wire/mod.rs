//! The wire formats, a file a protocol.
//!
//! What the kernel program needs of a header is taken by copy from a [`crate::cursor::Cursor`];
//! after that no accessor can fail. Every unknown value is kept.

pub mod checksum;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod mld;
pub mod nd;
pub mod pim;
pub mod quote;
