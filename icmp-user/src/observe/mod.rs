//! What is shown of an instance: a snapshot of its maps, and what is made of one.
//!
//! Reading and rendering are apart. [`Snapshot::read`] is the only function here that touches a
//! map or asks the kernel; everything else works on a [`Snapshot`], which a test can write by hand.

mod groups;
pub mod metrics;
pub mod serve;
mod snapshot;

pub use groups::{GatedState, GroupState, MembershipState, QuerierState, groups, queriers};
pub use snapshot::{
    BoxedState, CounterLine, EgressLevel, Field, GroupLevel, InterfaceState, KernelState,
    KeysState, Level, LimitState, Pace, PenaltyState, PolicyState, Snapshot,
};
