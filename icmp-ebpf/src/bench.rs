//! What only the bench runs: the floors that it measures from, and a front that gives each packet
//! another source. No copy of the program that is attached has them loaded.

use crate::{
    atomic, cells,
    clock::Clock,
    frame::XdpFrame,
    limit::charge_once,
    maps::{BUCKETS, COUNTERS, DROPPED, SWEEP, SWEEP_TO},
    share::Draw,
    skb::SkbFrame,
};
use aya_ebpf::{
    bindings::xdp_action,
    helpers::bpf_redirect,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use icmp_common::{
    abi::{CELL_SETS, limit_flag, tc_action},
    bucket::UNITS_PER_S,
    cells::tag,
    parse::Frame,
    wire::{checksum::verifies, ethernet, ipv4},
};

/// Only passes: the floor that the bench measures from.
#[xdp(frags)]
pub fn icmpgate_pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Only drops: likewise.
#[xdp(frags)]
pub fn icmpgate_drop(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Counts and drops: the least that a filter under a flood does, and so the most that it can have.
#[xdp(frags)]
pub fn icmpgate_counted_drop(_ctx: XdpContext) -> u32 {
    let Some(dropped) = DROPPED.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: an element of this CPU's own.
    unsafe { *dropped += 1 };
    xdp_action::XDP_DROP
}

/// The same once it has read the frame. What is added comes out of it (0x45 is how nearly all of IPv4 begins),
/// and atomically: a processor else goes on with the next packets meanwhile, which no filter lets it that
/// decides by what it reads.
#[xdp(frags)]
pub fn icmpgate_read_drop(ctx: XdpContext) -> u32 {
    let at = ctx.data() + 14;
    if at + 1 > ctx.data_end() {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: within the frame.
    let first = unsafe { (at as *const u8).read_volatile() };
    let Some(dropped) = DROPPED.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: an element of the map, aligned as its type is.
    unsafe { atomic::fetch_add_u64(dropped, u64::from(first & 1)) };
    xdp_action::XDP_DROP
}

/// The same of what is sent: goes on at once.
#[classifier]
pub fn icmpgate_egress_pass(_ctx: TcContext) -> i32 {
    tc_action::UNSPEC
}

/// What other traffic takes at least that is told from ours and counted: of IPv4 without a tag, by its protocol.
#[xdp(frags)]
pub fn icmpgate_other_floor(ctx: XdpContext) -> u32 {
    other_floor(&XdpFrame::new(&ctx)).map_or(xdp_action::XDP_ABORTED, |()| xdp_action::XDP_PASS)
}

/// The same of what is sent.
#[classifier]
pub fn icmpgate_egress_other_floor(ctx: TcContext) -> i32 {
    other_floor(&SkbFrame::new(&ctx)).map_or(tc_action::SHOT, |()| tc_action::UNSPEC)
}

#[inline(always)]
fn other_floor<F: Frame>(frame: &F) -> Option<()> {
    let cursor = frame.cursor();
    let ether_type = u16::from_be_bytes(cursor.skip(12).take()?);
    let [protocol] = cursor.skip(ETHERNET + 9).take()?;
    let is_other = ether_type == ethernet::IPV4
        && protocol != ipv4::PROTOCOL_ICMP
        && protocol != ipv4::PROTOCOL_IGMP;
    if !is_other {
        return None;
    }
    let length = u16::from_be_bytes(cursor.skip(ETHERNET + 2).take()?);
    count(ETHERNET + u32::from(length))
}

/// Counts a packet of so many octets.
#[inline(always)]
fn count(octets: u32) -> Option<()> {
    let counter = COUNTERS.get_ptr_mut(0)?;
    // SAFETY: this CPU's own element.
    unsafe {
        (*counter).packets += 1;
        (*counter).octets += u64::from(octets);
    }
    Some(())
}

/// What an echo request takes at least that is read, verified, charged to a bucket in total and counted, by
/// the same means: a program that knows no policy, no other message, no tag, option or fragment.
#[xdp(frags)]
pub fn icmpgate_echo_floor(ctx: XdpContext) -> u32 {
    echo_floor(&XdpFrame::new(&ctx)).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn echo_floor(frame: &XdpFrame<'_>) -> Option<u32> {
    let cursor = frame.cursor();
    let [high, low] = cursor.skip(12).take::<[u8; 2]>()?;
    let ip = ipv4::take(&mut cursor.skip(ETHERNET))?;
    let is_plain = ip.version == 4 && ip.header_length == ipv4::MIN_HEADER && !ip.more_fragments;
    let is_echo = u16::from_be_bytes([high, low]) == ethernet::IPV4
        && ip.protocol == ipv4::PROTOCOL_ICMP
        && ip.fragment_offset == 0;
    let start = ETHERNET + ipv4::MIN_HEADER;
    let length = ip.total_length.wrapping_sub(ipv4::MIN_HEADER);
    if !is_plain || !is_echo || !verifies(ip.sum) || !verifies(frame.sum(start, length)?) {
        return None;
    }
    let draw = Draw { bucket: 0, cost: 1, depth: u64::MAX >> 2, reach: u64::MAX >> 1 };
    let now = Clock::new().now(limit_flag::TICKS);
    if !charge_once(BUCKETS.get_ptr_mut(draw.bucket)?, &draw, 1, now)? {
        return None;
    }
    count(start + length)?;
    Some(xdp_action::XDP_PASS)
}

/// Where an untagged frame's packet begins.
const ETHERNET: u32 = 14;

/// What a limit by source takes at least, by the same means: the packet's source, the one line of the table of keys
/// where it may be, and a counter. One packet an hour is within it, so that hardly anything is written; what is made of
/// each is the same, so that no stack is behind it.
#[xdp(frags)]
pub fn icmpgate_source_floor(ctx: XdpContext) -> u32 {
    source_floor(&XdpFrame::new(&ctx)).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn source_floor(frame: &XdpFrame<'_>) -> Option<u32> {
    let cursor = frame.cursor();
    let [high, low] = cursor.skip(12).take::<[u8; 2]>()?;
    if u16::from_be_bytes([high, low]) != ethernet::IPV4 {
        return None;
    }
    let source = u32::from_be_bytes(cursor.skip(SOURCE).take()?);
    let now = Clock::new().now(limit_flag::TICKS);
    let tag = tag([0, 0], [u64::from(source), 0]);
    let _ = cells::charge_tag(CELL_SETS - 1, tag, now, HOUR, HOUR, true, false);
    let dropped = DROPPED.get_ptr_mut(0)?;
    // SAFETY: an element of this CPU's own.
    unsafe { *dropped += 1 };
    Some(xdp_action::XDP_DROP)
}

/// Where an untagged frame has its IPv4 source.
const SOURCE: u32 = ETHERNET + 12;
/// An hour, in the unit of buckets.
const HOUR: u64 = 3600 * UNITS_PER_S;

/// An odd number, so that its products go through every number below a power of two: 2^32 by the golden ratio.
const SCATTER: u32 = 0x9e37_79b1;

/// Writes the next source into the frame and goes on in the program of [`SWEEP_TO`]. A test run
/// repeats one frame, edits included; so a million sources take a program that edits it.
#[xdp(frags)]
pub fn icmpgate_sweep(ctx: XdpContext) -> u32 {
    if next_source(&ctx).is_some() {
        // SAFETY: nothing here is left to be dropped.
        unsafe { SWEEP_TO.tail_call(&ctx, 0) };
    }
    xdp_action::XDP_ABORTED
}

/// Writes the next source into the frame and sends it to the interface of [`SWEEP`]. A test run of live
/// frames takes its pages up again as the last packet left them, so the frame may have any former source.
#[xdp(frags)]
pub fn icmpgate_flood(ctx: XdpContext) -> u32 {
    let Some(interface) = next_source(&ctx) else { return xdp_action::XDP_ABORTED };
    // SAFETY: a helper that takes numbers.
    unsafe { bpf_redirect(interface, 0) as u32 }
}

/// Writes the next source into the frame, and gives the interface that a flood goes to.
#[inline(always)]
fn next_source(ctx: &XdpContext) -> Option<u32> {
    let sweep = SWEEP.get_ptr_mut(0)?;
    // SAFETY: an element of the map, which one test run at a time writes.
    let (source, interface) = unsafe {
        let next = (*sweep).next;
        (*sweep).next = next.wrapping_add(1);
        // Scattered, as a flood is: neighbours in number don't follow each other.
        (next.wrapping_mul(SCATTER) & (*sweep).mask, (*sweep).interface)
    };
    rewrite(ctx, source)?;
    Some(interface)
}

/// Where a number of a source goes, and the word that takes the opposite, so that no checksum
/// changes.
#[derive(Clone, Copy)]
struct Places {
    number: [usize; 2],
    opposite: usize,
}

/// The last 32 bits of the address, and the identification, which no message's checksum covers.
const V4: Places = Places { number: [28, 26], opposite: 18 };
/// Of the prefix of 64 bits the last 32, and the last word of the address.
const V6: Places = Places { number: [28, 26], opposite: 36 };

/// How many octets of a frame these are in: Ethernet and the fixed part of an IPv6 header up to the
/// end of its source.
const FRONT: usize = 38;

#[inline(always)]
fn rewrite(ctx: &XdpContext, source: u32) -> Option<()> {
    let data = ctx.data();
    if data + FRONT > ctx.data_end() {
        return None;
    }
    let word = |at: usize| (data + at) as *mut u16;
    // SAFETY: within those octets.
    let version = unsafe { ((data + 14) as *const u8).read() } >> 4;
    let places = if version == 6 { V6 } else { V4 };
    let all = [places.number[0], places.number[1], places.opposite];
    let mut sum = 0;
    for at in all {
        // SAFETY: as above.
        sum += u32::from(u16::from_be(unsafe { word(at).read_unaligned() }));
    }
    let number = [source as u16, (source >> 16) as u16 | 0x0a00];
    // What is as it should be isn't written: whoever else has read it needn't fetch it again.
    // SAFETY: as above.
    let there = places.number.map(|at| u16::from_be(unsafe { word(at).read_unaligned() }));
    if there == number {
        return Some(());
    }
    for value in number {
        sum += u32::from(!value);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    for (at, value) in all.into_iter().zip([number[0], number[1], sum as u16]) {
        // SAFETY: as above.
        unsafe { word(at).write_unaligned(value.to_be()) };
    }
    Some(())
}
