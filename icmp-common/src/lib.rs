//! What the kernel program and user space agree on.
//!
//! Everything here is `no_std`, knows no map, no clock and no aya, and is the same source on both
//! sides: the parser that runs at line rate is the one that `cargo test` and Miri run. The order of
//! the modules is the order in which a frame meets them.

#![cfg_attr(not(test), no_std)]
// For `opaque`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod abi;
pub mod answer;
pub mod answerable;
pub mod branchless;
pub mod bucket;
pub mod cells;
pub mod classify;
pub mod cursor;
pub mod flow;
pub mod link;
pub mod local;
pub mod member;
pub mod mirror;
pub mod opaque;
pub mod parse;
pub mod penalty;
pub mod plain;
pub mod plausible;
pub mod querier;
pub mod redirect;
pub mod share;
pub mod validate;
pub mod verdict;
pub mod walk;
pub mod wire;
pub mod zones;
