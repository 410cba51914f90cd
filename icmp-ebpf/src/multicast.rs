//! Multicast that is sent, ours or not: it leaves only by where its group has a member (row M2, RFC 4541 2.1.2, 3).
//!
//! Only while somebody asks on the link, so that members report, and once they have had the time to: else nothing is
//! known of it, and all goes. Where another router is, all goes as well, since it may have members behind it.

use crate::{
    atomic,
    clock::Clock,
    frame::Buffer as _,
    maps::{ENDPOINTS, GATED, GROUPS, INTERFACE_ID, LINKS, REGISTERED, STATIC_GROUPS},
    rule,
    skb::SkbFrame,
};
use aya_ebpf::{bindings::__sk_buff, programs::TcContext};
use icmp_common::{
    abi::{Counter, Endpoint, endpoint_flag, group_flag, hook, limit_flag},
    bucket::UNITS_PER_S,
    member::{GroupKey, LinkKey, StaticKey, is_ahead},
    parse::Frame,
    querier::is_for_all,
    wire::{
        ethernet, ipv4,
        ipv6::{self, Address},
    },
};

/// More than ticks are behind the clock that members' times are of: the kernel begins to count them later, by a quarter
/// of a second on some machines.
const TICKS_BEHIND: u64 = 10 * UNITS_PER_S;

/// What becomes of multicast.
pub mod fate {
    /// It goes.
    pub const GOES: u32 = 0;
    /// It has no member, and stays.
    pub const STAYS: u32 = 1;
    /// It has none, which is noted.
    pub const NOTED: u32 = 2;
}

/// What becomes of a frame: one of [`fate`]. A global function, which nothing but multicast pays for.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_skb_multicast(skb: *mut __sk_buff) -> u32 {
    let ctx = TcContext::new(skb);
    judge(&SkbFrame::new(&ctx)).unwrap_or(fate::GOES)
}

#[inline(always)]
fn judge(frame: &SkbFrame<'_>) -> Option<u32> {
    let policy = &rule::policy(hook::EGRESS)?.groups;
    let interface = INTERFACE_ID.load();
    if policy.gated >> (interface & 63) & 1 == 0 {
        return None;
    }
    let mut cursor = frame.cursor();
    let (version, source, group) = match ethernet::take(&mut cursor)?.ether_type {
        ethernet::IPV4 => {
            let ip = ipv4::take(&mut cursor)?;
            (4, ip.source, ip.destination)
        }
        ethernet::IPV6 => {
            let ip = ipv6::take(&mut cursor)?;
            (6, ip.source, ip.destination)
        }
        _ => return None,
    };
    let is_group = if version == 4 { ipv4::is_multicast(group.v4()) } else { group.is_multicast() };
    if !is_group || is_for_all(group) {
        return None;
    }
    let [outer, inner] = frame.vlans()?;
    let link = LinkKey { interface: interface as u16, version, outer, inner };
    let key = GroupKey { link, group: group.0 };
    let mut clock = Clock::new();
    // First, since most of what is sent has a member, and goes whoever asks. What will still be wanted in a while is
    // wanted now, so that ticks will do, which cost nothing to read.
    // SAFETY: an element of the map, of which each word is whole.
    let members = unsafe { GROUPS.get(key) };
    let soon = clock.now(limit_flag::TICKS).wrapping_add(TICKS_BEHIND);
    if members.is_some_and(|members| members.takes(source.0, soon)) {
        return None;
    }
    let now = clock.now(0);
    if members.is_some_and(|members| members.takes(source.0, now)) {
        return None;
    }
    // SAFETY: as above.
    let known = unsafe { LINKS.get(link) }?;
    let is_for_routers =
        is_ahead(known.router_until, now) && policy.flags & group_flag::IGNORE_ROUTERS == 0;
    if !known.is_known(now) || is_for_routers {
        return None;
    }
    // Its members may have been heard as if they were of none.
    let strips = |endpoint: &Endpoint| endpoint.flags & endpoint_flag::VLAN_UNKNOWN != 0;
    if outer != 0 && ENDPOINTS.get(interface).is_some_and(strips) {
        return None;
    }
    if policy.flags & group_flag::STATIC != 0 && is_static(key, source) {
        return None;
    }
    let is_registered =
        || policy.flags & group_flag::STATIC != 0 && is_listed(group) || is_joined(group, now);
    if policy.flags & group_flag::UNREGISTERED_GO != 0 && !is_registered() {
        return None;
    }
    count(&key, frame);
    Some(if policy.flags & group_flag::OBSERVE != 0 { fate::NOTED } else { fate::STAYS })
}

/// Whether the policy says that a group has a member, of any source or of this one.
#[inline(always)]
fn is_static(group: GroupKey, source: Address) -> bool {
    let any = StaticKey { group, source: [0; 2] };
    let this = StaticKey { group, source: source.0 };
    STATIC_GROUPS.get_ptr(any).is_some() || STATIC_GROUPS.get_ptr(this).is_some()
}

/// Whether the policy says that a group has a member on some link.
#[inline(always)]
fn is_listed(group: Address) -> bool {
    STATIC_GROUPS.get_ptr(StaticKey::anywhere(group)).is_some()
}

/// Whether a group has members on some link.
#[inline(always)]
fn is_joined(group: Address, now: u64) -> bool {
    // SAFETY: a word of an element of the map.
    unsafe { REGISTERED.get(group.0) }.is_some_and(|until| is_ahead(*until, now))
}

/// Counts what a link is spared of a group.
#[inline(always)]
fn count(key: &GroupKey, frame: &SkbFrame<'_>) {
    let octets = frame.whole();
    match GATED.get_ptr_mut(key) {
        // SAFETY: an element of the map.
        Some(counter) => unsafe {
            atomic::fetch_add_u64(&raw mut (*counter).packets, 1);
            atomic::fetch_add_u64(&raw mut (*counter).octets, octets);
        },
        // Where another CPU was first, its count is one short.
        None => drop(GATED.insert(key, Counter { packets: 1, octets }, 0)),
    }
}
