//! Limits that are a share of the interface's speed: `icmp_common::share` over what the loader noted of
//! the interface.
//!
//! To those who draw on it a share is a total, peeked at first and charged last, at random: strangers
//! share it. Only its bucket is the interface's.

use crate::maps::{ENDPOINTS, INTERFACE_ID};
use icmp_common::{
    abi::{TotalLimit, bucket_of_share},
    share::{cost, depth_for, reach},
};

/// What a total asks of which bucket.
pub struct Draw {
    /// The index of the bucket.
    pub bucket: u32,
    /// What the packet costs.
    pub cost: u64,
    /// The depth of the bucket.
    pub depth: u64,
    /// How far ahead it can be.
    pub reach: u64,
}

/// What a packet of so many octets asks of a share; `None` where the interface's speed isn't known, so
/// that there is nothing to have a share of.
#[inline(always)]
pub fn draw(total: &TotalLimit, octets: u64) -> Option<Draw> {
    let cost = icmpgate_share_cost(total.cost, octets);
    if cost == 0 {
        return None;
    }
    let bucket = bucket_of_share(total.limit, INTERFACE_ID.load());
    Some(Draw { bucket, cost, depth: depth_for(total.depth, cost), reach: reach(total.depth) })
}

/// What a packet of so many octets costs under a share of this factor; 0 where the interface's speed
/// isn't known. A global function, which the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_share_cost(factor: u64, octets: u64) -> u64 {
    let Some(endpoint) = ENDPOINTS.get(INTERFACE_ID.load()) else { return 0 };
    cost(endpoint.octet_cost, factor, octets as u32)
}
