//! Which token bucket each limited rule has.
//!
//! A bucket belongs to a fingerprint of the rule's name and limit. A rule that a new policy leaves
//! as it was finds its bucket again, as full or as spent as it is; any other takes one that neither
//! the new policy nor the old one uses, since the old one is still in force while the new one is
//! written.

use super::compile::CompileError;
use super::{RateLimit, Rule};
use icmp_common::abi::BUCKETS;
use icmp_common::bucket::Unit;
use std::collections::{HashMap, HashSet};

/// A token bucket that a policy uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketUse {
    /// The number of the rule, in the table.
    pub rule: u16,
    /// The index of the bucket.
    pub bucket: u32,
    /// Whose it is: what `BUCKET_OWNERS` holds for it. Never 0.
    pub fingerprint: u64,
    /// Whether it is kept from the policy before; else its state has to be set to 0 before the
    /// policy is put in force.
    pub kept: bool,
}

/// Finds a bucket for each limited rule, given by number. `owners` is what `BUCKET_OWNERS` holds;
/// what it is too short for is free.
pub(super) fn assign(
    limited: &[(u16, &Rule, &RateLimit)],
    owners: &[u64],
) -> Result<Vec<BucketUse>, CompileError> {
    let present: HashMap<u64, u32> = owners
        .iter()
        .take(BUCKETS)
        .zip(0..)
        .filter(|(owner, _)| **owner != 0)
        .map(|(owner, bucket)| (*owner, bucket))
        .collect();
    let mut free = (0..BUCKETS as u32)
        .filter(|bucket| owners.get(*bucket as usize).copied().unwrap_or(0) == 0);
    let mut taken = HashSet::new();
    limited
        .iter()
        .map(|(number, rule, limit)| {
            let mut fingerprint = fingerprint(rule, limit);
            // Two rules with one fingerprint would share a bucket. Names differ, so this takes an
            // accident of the hash; but it costs nothing to be sure.
            while !taken.insert(fingerprint) {
                fingerprint = fingerprint.wrapping_add(1).max(1);
            }
            let kept = present.get(&fingerprint).copied();
            let bucket = kept.or_else(|| free.next()).ok_or(CompileError::Buckets)?;
            Ok(BucketUse { rule: *number, bucket, fingerprint, kept: kept.is_some() })
        })
        .collect()
}

/// FNV-1a, 64 bits, of what makes a limit what it is. Its values stand in pinned maps, so it must
/// be the same in every version: no hasher of the standard library promises that.
fn fingerprint(rule: &Rule, limit: &RateLimit) -> u64 {
    let unit = match limit.unit {
        Unit::Packets => 1,
        Unit::Octets => 2,
    };
    let numbers = [limit.rate, limit.burst, limit.every.seconds(), unit];
    let octets = rule.name.bytes().chain([0]).chain(numbers.into_iter().flat_map(u64::to_le_bytes));
    let hash = octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.max(1)
}
