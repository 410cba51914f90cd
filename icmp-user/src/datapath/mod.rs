//! Load, attach, pin, swap, adopt: the side of user space that talks to the kernel.
//!
//! bpffs is the source of truth. What an instance is, is under its pin directory ([`PinDir`]): the
//! maps that all its interfaces share, and for each interface its counters, its program and its
//! link. There is no control socket: commands read and write pinned maps, and writers take the
//! directory's lock.

mod address;
mod attach;
mod btf;
mod cells;
mod counters;
mod egress;
mod elements;
mod endpoint;
mod error;
mod flood;
mod groups;
mod instance;
mod interface;
mod kept;
mod link;
mod log;
mod maps;
mod mirror;
mod mirror_maps;
mod netns;
mod object;
mod penalty;
mod pins;
mod rename;
mod snmp;
mod sysctl;
mod system;
mod zones;

pub use address::{LocalAddress, Surroundings, surroundings, watch as watch_addresses};
pub use attach::{AttachMode, Attached, attach, detach, detach_all, reattach};
pub use btf::tcp_sequence;
pub use counters::{CounterEntry, Counters};
pub use endpoint::{Endpoint, tai_offset};
pub use error::Error;
pub use groups::Groups;
pub use instance::{Instance, Program, Run, Runnable};
pub use interface::{ForeignXdp, Interface, interfaces, name_of};
pub use link::attached_index;
pub use log::KernelLog;
pub(crate) use maps::text;
pub use maps::{LimitEntry, Maps};
pub use mirror::{
    Entries, Neighbour, RouteLine, Tables, TooLarge, Version, tables, unforwarded,
    watch as watch_tables,
};
pub use mirror_maps::{MirrorMaps, Wanted};
pub use object::make_ready;
pub use penalty::{BoxedSource, PenaltyBox};
pub use pins::{DEFAULT_PIN_DIR, Lock, PinDir};
pub use rename::{Renamed, follow, renamed};
pub use snmp::{KernelCount, KernelCounter, kernel_counts};
pub use sysctl::{KernelSetting, kernel_settings};
pub use system::{Note, check as check_system, tick_units};
pub(crate) use system::{bucket_time, first_tick};
