//! Which limit of the maps each limit of a rule has.
//!
//! A limit of the maps, with its bucket and counters, belongs to a fingerprint of the rule's name
//! and what the limit says. A rule that a new policy leaves as it was finds its limits again, as
//! full or as spent as they are; any other takes those that neither the new policy nor the old one
//! uses, since the old one is still in force while the new one is written.

use super::compile::CompileError;
use super::{Key, Pace, RateLimit, Rule};
use icmp_common::abi::{
    FIRST_SHARE, KeyedLimit, LIMITS, LimitInfo, PREFIX_AUTO, TotalLimit, limit_flag,
};
use icmp_common::bucket::Unit;
use icmp_common::cells;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use zerocopy::FromZeros;

/// Which of a rule's limits one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPlace {
    /// One in total, or a share, by its position.
    Total(usize),
    /// One by key, likewise.
    Keyed(usize),
}

/// A limit of the maps that a policy uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// The number of the rule, in the table of its hook.
    pub rule: u16,
    /// Which of its limits.
    pub place: LimitPlace,
    /// The index of the limit.
    pub limit: u32,
    /// What the map of limits holds for it.
    pub info: LimitInfo,
    /// Whether it is kept from the policy before; else its bucket and counters have to be set to 0
    /// before the policy is put in force.
    pub kept: bool,
}

/// Whose limits are given out.
#[derive(Clone, Copy)]
pub(super) struct Whose<'a> {
    /// The number in the table of its hook.
    pub number: u16,
    /// The rule.
    pub rule: &'a Rule,
    /// Whether they are of what its flow isn't known of.
    pub of_unknown: bool,
}

/// What is known when limits are given out.
pub(super) struct Assigner<'a> {
    present: HashMap<u64, u32>,
    owners: &'a [u64],
    /// Where the next free limit may be.
    free: Range<usize>,
    /// Likewise of those that are shares.
    free_shares: Range<usize>,
    taken: HashSet<u64>,
    tick_units: u64,
    secret: u64,
}

impl<'a> Assigner<'a> {
    /// `owners` are the fingerprints that the map of limits holds; what it is too short for is
    /// free. `secret` is the instance's.
    pub fn new(owners: &'a [u64], tick_units: u64, secret: u64) -> Self {
        let present = owners.iter().take(LIMITS).zip(0..).filter(|(owner, _)| **owner != 0);
        Self {
            present: present.map(|(owner, limit)| (*owner, limit)).collect(),
            owners,
            free: 0..FIRST_SHARE,
            free_shares: FIRST_SHARE..LIMITS,
            taken: HashSet::new(),
            tick_units,
            secret,
        }
    }

    /// Gives a rule's limits theirs, and writes them into the rule of the table.
    pub fn assign(
        &mut self,
        whose: Whose<'_>,
        limits: &[RateLimit],
        hook: u8,
        to: &mut icmp_common::abi::Rule,
    ) -> Result<Vec<LimitUse>, CompileError> {
        let mut uses = Vec::with_capacity(limits.len());
        let (mut totals, mut keyed) = (0, 0);
        for limit in limits {
            // Reading refused what has no bucket.
            let Some(units) = limit.bucket() else { continue };
            let mut info = self.info(whose, limit, hook);
            (info.cost, info.depth) = (units.cost, units.depth);
            if units.fits_ticks(self.tick_units) {
                info.flags |= limit_flag::TICKS;
            }
            let kept = self.present.get(&info.fingerprint).copied();
            let index = match kept {
                Some(index) => index,
                None => self.free(limit.is_share())?,
            };
            let place = if !limit.is_by_key() {
                to.totals[totals] = TotalLimit {
                    cost: info.cost,
                    depth: info.depth,
                    limit: index,
                    flags: info.flags,
                    pad: [0; 3],
                };
                totals += 1;
                LimitPlace::Total(totals - 1)
            } else {
                to.keyed[keyed] = KeyedLimit {
                    cost: info.cost,
                    depth: info.depth,
                    secret: cells::tag([self.secret, !self.secret], [info.fingerprint, 0]),
                    limit: index,
                    key: limit.key.code(),
                    flags: info.flags,
                    prefix_v4: limit.prefix_v4.unwrap_or(32),
                    prefix_v6: limit.prefix_v6.unwrap_or(PREFIX_AUTO),
                };
                keyed += 1;
                LimitPlace::Keyed(keyed - 1)
            };
            uses.push(LimitUse {
                rule: whose.number,
                place,
                limit: index,
                info,
                kept: kept.is_some(),
            });
        }
        Ok(uses)
    }

    fn free(&mut self, is_share: bool) -> Result<u32, CompileError> {
        let (range, full) = match is_share {
            true => (&mut self.free_shares, CompileError::Shares),
            false => (&mut self.free, CompileError::Limits),
        };
        let is_free = |limit: &usize| self.owners.get(*limit).copied().unwrap_or(0) == 0;
        Ok(range.find(is_free).ok_or(full)? as u32)
    }

    fn info(&mut self, whose: Whose<'_>, limit: &RateLimit, hook: u8) -> LimitInfo {
        let mut fingerprint = fingerprint(whose, limit, hook);
        let rule = whose.rule;
        // Two limits with one fingerprint would share a bucket. That takes a rule with twice the
        // same limit, or an accident of the hash.
        while !self.taken.insert(fingerprint) {
            fingerprint = fingerprint.wrapping_add(1).max(1);
        }
        let mut info = LimitInfo::new_zeroed();
        info.fingerprint = fingerprint;
        let pace = pace(limit);
        (info.rate, info.burst) = (pace.rate, pace.burst);
        info.period_s = pace.period_s as u32;
        (info.key, info.hook) = (limit.key.code(), hook);
        let by_link = limit.key == Key::Link;
        for (set, flag) in [
            (pace.unit != PACKETS, limit_flag::OCTETS),
            (limit.is_share(), limit_flag::SHARE),
            (limit.random, limit_flag::RANDOM),
            (limit.reserve, limit_flag::RESERVE),
            (whose.of_unknown, limit_flag::UNKNOWN_FLOW),
            (by_link && rule.excepts_gateway(), limit_flag::EXCEPT_GATEWAY),
        ] {
            if set {
                info.flags |= flag;
            }
        }
        let name = rule.name.as_bytes();
        let length = name.len().min(info.rule.len() - 1);
        info.rule[..length].copy_from_slice(&name[..length]);
        info
    }
}

/// Codes of units: part of fingerprints.
const PACKETS: u64 = 1;
const OCTETS: u64 = 2;
const SHARE: u64 = 3;

/// What a limit says, as numbers: see [`LimitInfo`].
struct PaceNumbers {
    rate: u64,
    burst: u64,
    period_s: u64,
    unit: u64,
}

fn pace(limit: &RateLimit) -> PaceNumbers {
    match limit.pace {
        Pace::Rate { rate, burst, every, unit } => {
            let unit = match unit {
                Unit::Packets => PACKETS,
                Unit::Octets => OCTETS,
            };
            PaceNumbers { rate, burst, period_s: every.seconds(), unit }
        }
        Pace::Share { share, burst_ms } => {
            PaceNumbers { rate: share.0.into(), burst: burst_ms.into(), period_s: 0, unit: SHARE }
        }
    }
}

/// FNV-1a, 64 bits, of what makes a limit what it is. Its values stand in pinned maps, so it must
/// be the same in every version: no hasher of the standard library promises that.
fn fingerprint(whose: Whose<'_>, limit: &RateLimit, hook: u8) -> u64 {
    let pace = pace(limit);
    let prefix = |bits: Option<u8>| bits.map_or(u64::MAX, u64::from);
    let numbers = [
        pace.rate,
        pace.burst,
        pace.period_s,
        pace.unit,
        limit.key.code().into(),
        prefix(limit.prefix_v4),
        prefix(limit.prefix_v6),
        u64::from(limit.random) | u64::from(limit.reserve) << 1 | u64::from(whose.of_unknown) << 2,
        hook.into(),
    ];
    let octets =
        whose.rule.name.bytes().chain([0]).chain(numbers.into_iter().flat_map(u64::to_le_bytes));
    let hash = octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.max(1)
}
