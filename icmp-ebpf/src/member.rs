//! Who is a member of what, learnt from the reports that pass: `icmp_common::member` over maps.
//!
//! What is true of a group is in one value of a map, which one CPU at a time changes: reports of a group come rarely,
//! and who finds it taken tries again for as long as the other may need. Who sends multicast only reads it, and each
//! word of it is whole.
//!
//! Nothing but what passed the hook comes here, and nothing pays for it but reports, and queries of both directions. A
//! global function for each step, which the verifier looks at once.

#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by value, keys are copied out of the map and on the stack first"
)]

use crate::{
    atomic,
    clock::Clock,
    frame::{Buffer, XdpFrame},
    maps::{
        EEXIST, EMPTY, GROUPS, GROUPS_HELD, INTERFACE_ID, LEARNING, LINKS, MEMBER_STATS, REGISTERED,
    },
    rule,
    skb::SkbFrame,
};
use aya_ebpf::{
    bindings::{__sk_buff, BPF_NOEXIST, xdp_md},
    programs::{TcContext, XdpContext},
};
use icmp_common::{
    abi::{GroupPolicy, family, group_flag, hook, host_word},
    bucket,
    link::{Kind, kind},
    member::{
        Group, GroupKey, LinkKey, Record, SOURCES, Standing, Stats, Step, Times, is_ahead, record,
        reporter,
    },
    opaque::opaque,
    parse::{Frame as _, Packet, stage},
    querier::{Link, Query, is_kept},
    verdict::Reason,
    wire::{
        ethernet, icmpv6, igmp, ipv4,
        ipv6::{self, Address},
        mld, pim,
    },
};
use zerocopy::FromZeros;

/// How often a group that another CPU has is tried again.
const TRIES: u32 = 128;
/// The octets of as many sources as are kept.
const ADDRESSES: usize = SOURCES * 16;
/// The furthest that a record begins.
const MAX_OFFSET: u32 = 0xffff;

/// What is known of the report at hand, while it is looked at.
#[repr(C)]
pub struct Learning {
    /// The group, and the link.
    key: GroupKey,
    /// The time.
    now: u64,
    /// See [`reporter`].
    reporter: u64,
    /// How long things last on the link.
    times: Times,
    /// What the policy says.
    policy: GroupPolicy,
    /// Its secret.
    secret: u64,
    /// The record at hand.
    record: Record,
    /// What goes on from it to its sources.
    step: Step,
    /// Octets of the frame: a record's header.
    header: [u8; 24],
    /// Its sources, as they lie in the packet.
    addresses: [u8; ADDRESSES],
}

/// Learns from a packet that passes, found to have these faults.
#[inline(always)]
pub fn learn<F: Buffer>(frame: &F, packet: &Packet, faults: u32) {
    if packet.stage == stage::LINK {
        learn_of_link(frame, packet, faults);
    }
}

#[inline(always)]
fn learn_of_link<F: Buffer>(frame: &F, packet: &Packet, faults: u32) {
    // Switches and old hosts leave it out; all else that is wrong with one says that it may not be of the link.
    let is_sound = faults & !Reason::ROUTER_ALERT.bit() == 0;
    let is_membership = matches!(kind(packet.family, packet.ty), Some(Kind::Membership));
    // Of what this machine sends, its queries: its reports are those of a member that is reached without the link.
    let counts = F::HOOK == hook::INGRESS || is_query(packet);
    if packet.is_whole() && is_sound && is_membership && counts {
        frame.learn(packet);
    }
}

/// Whether a frame is to a group of the link layer.
#[inline(always)]
fn is_to_many<F: Buffer>(frame: &F) -> bool {
    ethernet::take(&mut frame.cursor()).is_some_and(|ethernet| ethernet.to_group)
}

#[inline(always)]
fn is_query(packet: &Packet) -> bool {
    matches!((packet.family, packet.ty), (family::IGMP, igmp::QUERY) | (family::ICMPV6, mld::QUERY))
}

/// What [`icmpgate_learn`] says of a report whose records are still to be looked at: by the caller, so that the two
/// share the stack.
pub const RECORDS: u32 = 1;

/// What is learnt of a message that arrives: [`RECORDS`] where it has some, else 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_learn(ctx: *mut xdp_md, packet: *const Packet) -> u32 {
    // SAFETY: the only caller hands over a reference, and the verifier checks the size that BTF
    // says. It also wants to see that it isn't null.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    let Some(learning) = begin(&frame, version_of(packet), packet.source) else { return 0 };
    if is_query(packet) {
        return queried(&frame, packet, learning, false);
    }
    if let Some(link) = LINKS.get_ptr_mut(&learning.key.link) {
        // SAFETY: a word of an element of the map.
        unsafe { (*link).heard_until = learning.now.wrapping_add(learning.times.membership) };
    }
    let address = if packet.family == family::ICMPV6 { mld::ADDRESS } else { igmp::ADDRESS };
    let (kind, version) = match (packet.family, packet.ty) {
        (family::IGMP, igmp::REPORT_V3) | (family::ICMPV6, mld::REPORT_V2) => return RECORDS,
        (family::IGMP, igmp::REPORT_V1) => (record::REPORT, 1),
        (family::IGMP, igmp::REPORT_V2) | (family::ICMPV6, mld::REPORT_V1) => (record::REPORT, 2),
        (family::IGMP, igmp::LEAVE) | (family::ICMPV6, mld::DONE) => (record::LEAVE, 2),
        // Who speaks version 0 leaves as who speaks version 2 does, and knows no sources.
        (family::IGMP, igmp::JOIN_V0 | igmp::CONFIRM_V0) => (record::REPORT, 2),
        (family::IGMP, igmp::LEAVE_V0) => (record::LEAVE, 2),
        _ => return advertised(&frame, packet, learning),
    };
    // A group alone, behind what a report of its family has before it.
    let at = match address {
        mld::ADDRESS => 8,
        _ if packet.ty <= igmp::VERSION_0_LAST => igmp::GROUP_V0,
        _ => 4,
    };
    let Some(group) = group(&frame, packet.offset + at, address) else { return 0 };
    learning.key.group = group.0;
    let one = Record { kind, version, sources: 0, reporter: learning.reporter, now: learning.now };
    take(learning, &one);
    0
}

/// What is learnt of a query that this machine sends: it asks.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_skb_learn(skb: *mut __sk_buff, packet: *const Packet) -> u32 {
    // SAFETY: as above.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let ctx = TcContext::new(skb);
    let frame = SkbFrame::new(&ctx);
    let Some(learning) = begin(&frame, version_of(packet), packet.source) else { return 0 };
    queried(&frame, packet, learning, true)
}

/// What is learnt of other multicast that arrives: whether it is PIM's, and from a multicast router.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_learn_router(ctx: *mut xdp_md) -> u32 {
    let ctx = XdpContext::new(ctx);
    u32::from(router(&XdpFrame::new(&ctx)).is_some())
}

#[inline(always)]
fn router(frame: &XdpFrame<'_>) -> Option<()> {
    let mut cursor = frame.cursor();
    let ethernet = ethernet::take(&mut cursor)?;
    // What has options or extension headers is no hello that anybody sends.
    let (version, hold_s) = if ethernet.ether_type == ethernet::IPV4 {
        let ip = ipv4::take(&mut cursor)?;
        let is_plain = ip.protocol == pim::PROTOCOL
            && ip.header_length == ipv4::MIN_HEADER
            && ip.fragment_offset == 0;
        (4, if is_plain { pim::hello(cursor, ip.destination, ip.ttl) } else { None })
    } else if ethernet.ether_type == ethernet::IPV6 {
        let ip = ipv6::take(&mut cursor)?;
        let is_pim = ip.next_header == pim::PROTOCOL;
        (6, if is_pim { pim::hello(cursor, ip.destination, ip.hop_limit) } else { None })
    } else {
        return None;
    };
    let hold_s = hold_s?;
    let learning = begin(frame, version, Address::NONE)?;
    let link = link(&learning.key.link)?;
    // SAFETY: a word of an element of the map.
    unsafe {
        (*link).router_until = learning.now.wrapping_add(u64::from(hold_s) * bucket::UNITS_PER_S);
    }
    Some(())
}

/// Notes who, where and when. `None` where the policy learns nothing.
#[inline(always)]
fn begin<F: Buffer>(frame: &F, version: u16, source: Address) -> Option<&'static mut Learning> {
    let learning = learning()?;
    let policy = rule::policy(F::HOOK)?;
    if policy.groups.per_interface == 0 {
        return None;
    }
    // One by one: as a whole they are copied by a call, octet by octet.
    let GroupPolicy { gated, join_cost, join_depth, per_interface, per_host, flags, pad } =
        policy.groups;
    learning.policy =
        GroupPolicy { gated, join_cost, join_depth, per_interface, per_host, flags, pad };
    learning.secret = policy.secret;
    let [outer, inner] = frame.vlans()?;
    learning.key.link = LinkKey { interface: INTERFACE_ID.load() as u16, version, outer, inner };
    learning.now = Clock::new().now(0);
    learning.reporter = reporter(source);
    learning.times = match LINKS.get_ptr(&learning.key.link) {
        // SAFETY: an element of the map, its words read one by one.
        Some(link) => unsafe { &*link }.times(learning.now),
        None => Link::default().times(learning.now),
    };
    Some(learning)
}

/// The version of IP.
#[inline(always)]
fn version_of(packet: &Packet) -> u16 {
    if packet.family == family::ICMPV6 { 6 } else { 4 }
}

/// A group's address.
#[inline(always)]
fn group<F: Buffer>(frame: &F, at: u32, address: u32) -> Option<Address> {
    let cursor = frame.cursor().skip(at & 0x7fff);
    if address == mld::ADDRESS {
        Some(Address::new({ cursor }.take()?))
    } else {
        Some(Address::of_v4({ cursor }.take()?))
    }
}

/// A multicast router says that it is there (RFC 4286 3): for three times as long as until it says so again.
#[inline(always)]
fn advertised<F: Buffer>(frame: &F, packet: &Packet, learning: &mut Learning) -> u32 {
    let is_advertisement = matches!(
        (packet.family, packet.ty),
        (family::IGMP, igmp::ROUTER_ADVERTISEMENT) | (family::ICMPV6, icmpv6::MULTICAST_ROUTER)
    );
    let Some([_, seconds, _, _]) = packet.message(frame).take::<[u8; 4]>() else { return 0 };
    if is_advertisement && let Some(link) = link(&learning.key.link) {
        let lasts = (u64::from(seconds) * 3 + 1) * bucket::UNITS_PER_S;
        // SAFETY: a word of an element of the map.
        unsafe { (*link).router_until = learning.now.wrapping_add(lasts) };
    }
    0
}

/// The element of a link, which is made where there is none.
#[inline(always)]
fn link(key: &LinkKey) -> Option<*mut Link> {
    if let Some(link) = LINKS.get_ptr_mut(key) {
        return Some(link);
    }
    // Where another CPU was first, its element is as good.
    let _ = LINKS.insert(key, empty()?, BPF_NOEXIST.into());
    LINKS.get_ptr_mut(key)
}

/// A value of which every octet is 0.
#[inline(always)]
fn empty<T: FromZeros>() -> Option<&'static T> {
    const { assert!(size_of::<T>() <= size_of::<Group>() && align_of::<T>() <= align_of::<u64>()) };
    // SAFETY: as large and as aligned, and zeros are a value of it.
    Some(unsafe { &*core::ptr::from_ref(EMPTY.get(0)?).cast() })
}

/// Takes a query: who asks, and of which group who remains.
#[inline(always)]
fn queried<F: Buffer>(frame: &F, packet: &Packet, learning: &mut Learning, is_own: bool) -> u32 {
    // Whom nobody asked doesn't answer.
    if !is_to_many(frame) {
        return 0;
    }
    let Some(query) = Query::read(frame, packet) else { return 0 };
    let Some(link) = link(&learning.key.link) else { return 0 };
    // SAFETY: an element of the map. Two CPUs seldom have a query of one link at once; each of its words is one of
    // theirs then.
    let link = unsafe { &mut *link };
    let counts = link.queried(&query, packet.source, is_own, learning.now);
    if !counts || query.group == Address::NONE || query.suppresses {
        return 0;
    }
    let until = link.last_member(&query, learning.now);
    learning.key.group = query.group.0;
    let Some(found) = GROUPS.get_ptr_mut(&learning.key) else { return 0 };
    if !lock(found) {
        return 0;
    }
    // SAFETY: an element of the map that this CPU has to itself.
    unsafe { &mut *found }.queried(query.sources, until, learning.now, &mut learning.step);
    let (_, at) =
        if packet.family == family::ICMPV6 { mld::QUERY_SOURCES } else { igmp::QUERY_SOURCES };
    if query.sources > 0 {
        sources(frame, found, learning, packet.offset + at, query.sources.into());
    }
    unlock(found);
    0
}

/// Takes the records of a report.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_learn_records(ctx: *mut xdp_md, packet: *const Packet) -> u32 {
    // SAFETY: as above.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let context = XdpContext::new(ctx);
    let frame = XdpFrame::new(&context);
    let Some([_, _, _, _, _, _, high, low]) = packet.message(&frame).take::<[u8; 8]>() else {
        return 0;
    };
    let count = u32::from(u16::from_be_bytes([high, low]));
    let is_v6 = u32::from(packet.family == family::ICMPV6);
    let mut at = packet.offset + mld::REPORT_RECORDS;
    for i in 0..mld::MAX_RECORDS {
        if i >= count {
            break;
        }
        // How many, and that they lie within, was found before.
        match icmpgate_learn_record(ctx, at, is_v6) {
            0 => break,
            length => at = (at + length) & MAX_OFFSET,
        }
    }
    0
}

/// Takes a record; its length, or 0 where it can't be read.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_learn_record(ctx: *mut xdp_md, at: u32, is_v6: u32) -> u32 {
    let context = XdpContext::new(ctx);
    let frame = XdpFrame::new(&context);
    let Some(learning) = learning() else { return 0 };
    let address = if is_v6 != 0 { mld::ADDRESS } else { igmp::ADDRESS };
    if at > MAX_OFFSET || !frame.load(at, &mut learning.header, 4 + address) {
        return 0;
    }
    let [kind, aux, high, low, group @ ..] = learning.header;
    let [a, b, c, d, ..] = group;
    let group = if is_v6 != 0 {
        let mut octets = [0; 16];
        octets.copy_from_slice(&group[..16]);
        Address::new(octets)
    } else {
        Address::of_v4([a, b, c, d])
    };
    let sources = u16::from_be_bytes([high, low]);
    learning.key.group = group.0;
    let record =
        Record { kind, version: 3, sources, reporter: learning.reporter, now: learning.now };
    let begin = at + 4 + address;
    // What is no type of record says nothing (RFC 9776 4.2.12).
    if matches!(kind, record::IS_INCLUDE..=record::BLOCK)
        && let Some(found) = take_locked(learning, &record)
    {
        if learning.step.kind != 0 && sources > 0 {
            self::sources(&frame, found, learning, begin, sources.into());
        }
        conclude(found, learning);
    }
    4 + address + u32::from(sources) * address + u32::from(aux) * 4
}

/// Takes a record without sources.
#[inline(always)]
fn take(learning: &mut Learning, record: &Record) {
    if let Some(found) = take_locked(learning, record) {
        conclude(found, learning);
    }
}

/// Takes a record but for its sources. The group is then this CPU's, until [`conclude`].
#[inline(always)]
fn take_locked(learning: &mut Learning, record: &Record) -> Option<*mut Group> {
    if !is_kept(Address(learning.key.group)) {
        return None;
    }
    if icmpgate_learn_new(record.joins().into()) == 0 {
        return None;
    }
    let found = GROUPS.get_ptr_mut(&learning.key)?;
    if !lock(found) {
        count(|stats| &mut stats.contended);
        return None;
    }
    learning.record = *record;
    icmpgate_learn_group(found);
    Some(found)
}

/// Takes it. A function of its own, which the verifier looks at once for whatever record there is.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_learn_group(found: *mut Group) -> u32 {
    // SAFETY: as above; the caller has the group to itself.
    let Some(group) = (unsafe { found.as_mut() }) else { return 0 };
    let Some(learning) = learning() else { return 0 };
    let Learning { record, times, step, .. } = learning;
    group.record(record, times, step);
    0
}

/// What is known of the report at hand.
#[inline(always)]
fn learning() -> Option<&'static mut Learning> {
    // SAFETY: this CPU's own element, which nothing else uses while this packet is looked at.
    Some(unsafe { &mut *LEARNING.get_ptr_mut(0)? })
}

/// Whether there is the group of a record, 1 or 0: where its reporter may join, a new one is made. Its element is for
/// the caller to look up, since no such function hands over a pointer.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_learn_new(joins: u32) -> u32 {
    let Some(learning) = learning() else { return 0 };
    u32::from(admit(learning, joins != 0) == Some(true))
}

#[inline(always)]
fn admit(learning: &mut Learning, joins: bool) -> Option<bool> {
    let found = GROUPS.get_ptr_mut(&learning.key);
    let is_there = found.is_some();
    // SAFETY: an element of the map, of which each word is whole.
    let standing = found.map(|group| unsafe { &*group }.standing(learning.reporter, learning.now));
    let Standing { is_member, is_counted } = standing.unwrap_or_default();
    if !joins || is_member {
        return Some(is_there);
    }
    let has_host = learning.reporter != 0 && !is_counted;
    if has_host && held(host(learning, learning.reporter), 0)? >= learning.policy.per_host {
        count(|stats| &mut stats.host_full);
        return None;
    }
    if !may_join(learning)? {
        count(|stats| &mut stats.join_rate);
        return None;
    }
    if is_there {
        return Some(true);
    }
    let interface = u32::from(learning.key.link.interface);
    if held(interface, 1)? >= learning.policy.per_interface {
        held(interface, -1);
        count(|stats| &mut stats.interface_full);
        return None;
    }
    match GROUPS.insert(&learning.key, empty()?, BPF_NOEXIST.into()) {
        Ok(()) => Some(true),
        Err(error) => {
            held(interface, -1);
            let other_was_first = error == -EEXIST;
            if !other_was_first {
                count(|stats| &mut stats.table_full);
            }
            Some(other_was_first)
        }
    }
}

/// Whether the link has a new member to spare.
#[inline(always)]
fn may_join(learning: &Learning) -> Option<bool> {
    let link = link(&learning.key.link)?;
    // SAFETY: a word of an element of the map.
    let at = unsafe { &raw mut (*link).joins };
    // SAFETY: as above.
    let tat = unsafe { atomic::load(at) };
    let (cost, depth) = (learning.policy.join_cost, learning.policy.join_depth);
    let Some(next) = bucket::admit(tat, learning.now, cost, depth) else { return Some(false) };
    // SAFETY: as above. Where another CPU was first, one is let in without a charge.
    let _ = unsafe { atomic::compare_exchange(at, tat, next) };
    Some(true)
}

/// The sources of a record, as many as are kept.
#[inline(always)]
fn sources<F: Buffer>(frame: &F, found: *mut Group, learning: &mut Learning, at: u32, count: u32) {
    let is_v6 = learning.key.link.version == 6;
    let kept = if count > SOURCES as u32 { SOURCES as u32 } else { count };
    let octets = kept * if is_v6 { mld::ADDRESS } else { igmp::ADDRESS };
    // Of less than one octet there is nothing to copy, which the verifier wants to see (`R4 invalid zero-sized read`).
    let octets = (opaque(octets as usize - 1) & (ADDRESSES - 1)) as u32 + 1;
    if at > MAX_OFFSET || !frame.load(at, &mut learning.addresses, octets) {
        return;
    }
    for i in 0..SOURCES as u32 {
        if i >= kept {
            break;
        }
        icmpgate_learn_source(found, i);
    }
}

/// One of them.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_learn_source(found: *mut Group, i: u32) -> u32 {
    // SAFETY: as above; the caller has the group to itself.
    let Some(group) = (unsafe { found.as_mut() }) else { return 0 };
    let Some(learning) = learning() else { return 0 };
    let i = opaque(i as usize) & (SOURCES - 1);
    let base = learning.addresses.as_ptr();
    let address = if learning.key.link.version == 6 {
        // SAFETY: `i` is below as many addresses as there are.
        Address::new(unsafe { base.add(i * 16).cast::<[u8; 16]>().read() })
    } else {
        // SAFETY: as above.
        Address::of_v4(unsafe { base.add(i * 4).cast::<[u8; 4]>().read() })
    };
    group.source(&mut learning.step, address.0);
    0
}

/// Gives the group back, and counts what became of the record.
#[inline(always)]
fn conclude(found: *mut Group, learning: &mut Learning) {
    unlock(found);
    let step = &learning.step;
    if step.took != 0 {
        held(host(learning, learning.reporter), 1);
        if step.evicted != 0 {
            held(host(learning, step.evicted), -1);
        }
    }
    if step.left != 0 {
        held(host(learning, learning.reporter), -1);
        count(|stats| &mut stats.leaves);
    }
    if step.joined != 0 {
        count(|stats| &mut stats.joins);
    }
    if step.is_full != 0 {
        count(|stats| &mut stats.group_full);
    }
    if learning.policy.flags & group_flag::UNREGISTERED_GO != 0 && step.wanted_until != 0 {
        let until = step.wanted_until;
        // SAFETY: a word of an element of the map.
        let before = unsafe { REGISTERED.get(&learning.key.group) }.copied();
        // Another link may have members for longer.
        if before.is_none_or(|before| !is_ahead(before, until)) {
            let _ = REGISTERED.insert(&learning.key.group, until, 0);
        }
    }
}

#[inline(always)]
fn host(learning: &Learning, reporter: u64) -> u32 {
    host_word(learning.key.link, reporter, learning.secret)
}

/// Adds to a word of how many groups there are; what it was.
#[inline(always)]
fn held(word: u32, more: i32) -> Option<u32> {
    let at = GROUPS_HELD.get_ptr_mut(word)?;
    // SAFETY: an element of the map.
    Some(unsafe {
        if more == 0 { atomic::load(at) } else { atomic::fetch_add_u32(at, more as u32) }
    })
}

#[inline(always)]
fn count(which: impl FnOnce(&mut Stats) -> &mut u64) {
    if let Some(stats) = MEMBER_STATS.get_ptr_mut(0) {
        // SAFETY: this CPU's own element.
        *which(unsafe { &mut *stats }) += 1;
    }
}

/// Takes a group for this CPU. Whoever has it holds it for as long as one record takes, with softirqs off.
#[inline(always)]
fn lock(found: *mut Group) -> bool {
    // SAFETY: a word of an element of the map.
    let at = unsafe { &raw mut (*found).lock };
    for _ in 0..TRIES {
        // SAFETY: as above.
        if unsafe { atomic::compare_exchange(at, 0, 1) }.is_ok() {
            return true;
        }
    }
    false
}

/// Gives it back.
#[inline(always)]
fn unlock(found: *mut Group) {
    // SAFETY: as above. An exchange, so that what was written before is seen before.
    let _ = unsafe { atomic::compare_exchange(&raw mut (*found).lock, 1, 0) };
}
