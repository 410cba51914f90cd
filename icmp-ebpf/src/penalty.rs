//! The penalty box, in the kernel: `icmp_common::penalty` over a map, and whom it may be held against.
//!
//! A packet's source is whatever its sender wrote. So an offence counts only where this machine's own
//! idea of the source agrees: its packets to that address leave by the interface that the frame came
//! in by, and to the hardware address that the frame came from. Where the interface forwards, the
//! kernel's routing and neighbour tables are asked; where it doesn't, they don't answer, and the
//! mirror of them that the daemon keeps is.
//!
//! Only rules with a penalty come here, and only their offences beyond the first lookup.

#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by value, keys are copied on the stack once more: `combined stack size of 3 calls is 528`"
)]

use crate::{
    atomic, fib, key, local,
    maps::{EEXIST, INTERFACE_ID, PENALTY_BOX, PENALTY_STATS},
    mirror,
};
use aya_ebpf::{
    bindings::{BPF_NOEXIST, xdp_md},
    helpers::bpf_ktime_get_ns,
};
use core::hint::black_box;
use icmp_common::{
    abi::{self, Rule, family},
    mirror::{HOPS, hardware as number, hop},
    parse::Packet,
    penalty::{self, Source, SourceKey, Step, end, flag, refusal},
    wire::ipv6::Address,
};

/// Whether a packet's source is in the box of its rule: 1, or 0. If so, it is counted there. A global
/// function, which the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_is_boxed(
    rule: *const Rule,
    packet: *const Packet,
    hardware: u64,
) -> u32 {
    // SAFETY: the only caller hands over references, and the verifier checks the sizes that BTF
    // says. It also wants to see that they aren't null.
    let (Some(rule), Some(packet)) = (unsafe { rule.as_ref() }, unsafe { packet.as_ref() }) else {
        return 0;
    };
    let Some(key) = key_of(rule, packet, hardware) else { return 0 };
    let Some(source) = PENALTY_BOX.get_ptr_mut(&key) else { return 0 };
    // SAFETY: an element of the map, its words read one by one.
    let until = unsafe { atomic::load(&raw const (*source).until) };
    // A prefix of many hosts may have a gateway among them.
    if until <= now() || local::kind(packet.source) != 0 {
        return 0;
    }
    // SAFETY: as above.
    unsafe { atomic::fetch_add_u64(&raw mut (*source).dropped, 1) };
    1
}

/// What stands for the source of a packet in the box; `None` for what is never in it.
#[inline(always)]
fn key_of(rule: &Rule, packet: &Packet, hardware: u64) -> Option<SourceKey> {
    if hardware & key::OTHERS != 0 || packet.source.is_unspecified() {
        return None;
    }
    let limit = if rule.penalty.keyed == 0 { &rule.keyed[0] } else { &rule.keyed[1] };
    let bits = key::bits(packet.source, packet.family, limit);
    Some(SourceKey {
        address: key::cut(packet.source, packet.family, bits),
        hardware,
        limit: limit.limit,
        interface: INTERFACE_ID.load() as u16,
        version: if is_v6(packet) { 6 } else { 4 },
        bits,
    })
}

#[inline(always)]
fn is_v6(packet: &Packet) -> bool {
    packet.family == family::ICMPV6
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// Looks at an offence: a packet that its rule's limit by source refused. A global function, as
/// above; so is what it asks, whose structures would be too much for one stack.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_offence(
    ctx: *mut xdp_md,
    rule: *const Rule,
    packet: *const Packet,
    hardware: u64,
) -> u32 {
    // SAFETY: as in `icmpgate_is_boxed`.
    let (Some(rule), Some(packet)) = (unsafe { rule.as_ref() }, unsafe { packet.as_ref() }) else {
        return 0;
    };
    let why = refusal(ctx, rule, packet, hardware);
    if why == refusal::NONE {
        hold(rule, packet, hardware);
    } else if let Some(stats) = PENALTY_STATS.get_ptr_mut(0) {
        // Opaque: the compiler knows its range from the function that gives it and takes away the
        // mask, and the verifier misses it (`R0 unbounded memory access`).
        let why = black_box(why) as usize & (refusal::COUNT - 1);
        // SAFETY: this CPU's own element, and an index below its length.
        unsafe { *(&raw mut (*stats).refused).cast::<u64>().add(why) += 1 };
    }
    0
}

/// Why an offence isn't held against its source, if so.
#[inline(always)]
fn refusal(ctx: *mut xdp_md, rule: &Rule, packet: &Packet, hardware: u64) -> u32 {
    if hardware & key::OTHERS != 0 {
        return refusal::VLAN;
    }
    if packet.source.is_unspecified() {
        return refusal::NO_ADDRESS;
    }
    match local::kind(packet.source) {
        0 => {}
        abi::local::GATEWAY => return refusal::GATEWAY,
        _ => return refusal::OWN_ADDRESS,
    }
    // Without the daemon it isn't known either who the gateways are now.
    if !mirror::is_fresh() {
        return refusal::STALE;
    }
    // Linux doesn't look a link-local address up for a packet that it forwards.
    if is_v6(packet) && packet.source.is_link_local() {
        return neighbour(packet, hardware);
    }
    let off_link = u32::from(rule.penalty.flags & flag::OFF_LINK);
    match icmpgate_ask_fib(ctx, packet, hardware, off_link) {
        DOES_NOT_SAY => by_mirror(packet, hardware, off_link != 0),
        why => why,
    }
}

/// What [`icmpgate_ask_fib`] says where the interface doesn't forward: no [`refusal`].
const DOES_NOT_SAY: u32 = u32::MAX;

/// What the kernel's tables say of a source: a [`refusal`], or [`DOES_NOT_SAY`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_ask_fib(
    ctx: *mut xdp_md,
    packet: *const Packet,
    hardware: u64,
    off_link: u32,
) -> u32 {
    // SAFETY: as in `icmpgate_is_boxed`.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return DOES_NOT_SAY };
    // SAFETY: the context is the program's own.
    let interface = unsafe { (*ctx).ingress_ifindex };
    let (source, destination) = (packet.source, packet.destination);
    // From the address that it was sent to, where rules of the routing look at that: a group is none.
    let asker = if is_v6(packet) && (destination.is_multicast() || destination.is_link_local()) {
        Address([0; 2])
    } else {
        destination
    };
    let mut ask = fib::question(packet.family, interface, asker, source);
    let result = fib::ask(ctx.cast(), &mut ask);
    if result == fib::FWD_DISABLED {
        return DOES_NOT_SAY;
    }
    if !matches!(result, fib::SUCCESS | fib::NO_NEIGH) || ask.ifindex != interface {
        return refusal::REVERSE_PATH;
    }
    // Where the next hop isn't the source itself, its address stands there now.
    let same = fib::is_next_hop(&ask, packet.family, source);
    if !same && off_link == 0 {
        return refusal::OFF_LINK;
    }
    if result == fib::NO_NEIGH {
        return refusal::NEIGHBOUR_UNKNOWN;
    }
    if number(ask.dmac) != hardware {
        return refusal::HARDWARE_ADDRESS;
    }
    refusal::NONE
}

/// What the mirror of the kernel's tables says of a source: a [`refusal`].
#[inline(always)]
fn by_mirror(packet: &Packet, hardware: u64, off_link: bool) -> u32 {
    let Some(route) = mirror::route(packet.family, packet.source) else {
        return refusal::REVERSE_PATH;
    };
    let mut why = refusal::REVERSE_PATH;
    for i in 0..HOPS {
        let hop = &route.hops[i];
        if hop.kind == hop::NONE {
            break;
        }
        if hop.interface != INTERFACE_ID.load() {
            continue;
        }
        if hop.kind == hop::DIRECT {
            return neighbour(packet, hardware);
        }
        if !off_link {
            return refusal::OFF_LINK;
        }
        if hop.hardware == hardware {
            return refusal::NONE;
        }
        why =
            if hop.hardware == 0 { refusal::NEIGHBOUR_UNKNOWN } else { refusal::HARDWARE_ADDRESS };
    }
    why
}

/// Whether a frame is from the hardware that its source is known to have: a [`refusal`].
#[inline(always)]
fn neighbour(packet: &Packet, hardware: u64) -> u32 {
    match mirror::hardware(INTERFACE_ID.load(), packet.source) {
        None => refusal::NEIGHBOUR_UNKNOWN,
        Some(known) if known == hardware => refusal::NONE,
        Some(_) => refusal::HARDWARE_ADDRESS,
    }
}

/// Holds an offence against its source.
#[inline(always)]
fn hold(rule: &Rule, packet: &Packet, hardware: u64) {
    let Some(key) = key_of(rule, packet, hardware) else { return };
    let (now, penalty) = (now(), &rule.penalty);
    // Once more where another CPU comes first.
    for _ in 0..2 {
        if let Some(source) = PENALTY_BOX.get_ptr_mut(&key) {
            return count(source, now, penalty);
        }
        let first = Source::first(now, penalty);
        match PENALTY_BOX.insert(&key, &first, BPF_NOEXIST.into()) {
            Ok(()) if first.until != 0 => return stat(1, 0),
            Ok(()) => return,
            Err(error) if error == -EEXIST => {}
            Err(_) => return stat(0, 1),
        }
    }
}

/// Counts an offence of a source that is known. Of two CPUs that begin its new window at once, one
/// does, and of those that see it reach the number, one boxes it.
#[inline(always)]
fn count(source: *mut Source, now: u64, penalty: &penalty::Penalty) {
    // SAFETY: fields of an element of the map, read and written one by one.
    unsafe {
        let was = Source {
            until: atomic::load(&raw const (*source).until),
            since: atomic::load(&raw const (*source).since),
            offences: 0,
            dropped: 0,
        };
        let step = was.step(now, penalty);
        if step == Step::Boxed {
            return;
        }
        if step == Step::Restart
            && atomic::compare_exchange(&raw mut (*source).since, was.since, now).is_ok()
        {
            (&raw mut (*source).offences).write_volatile(0);
            (&raw mut (*source).until).write_volatile(0);
        }
        let offences = atomic::fetch_add_u64(&raw mut (*source).offences, 1) + 1;
        if offences < u64::from(penalty.after) {
            return;
        }
        let until = end(now, penalty);
        if atomic::compare_exchange(&raw mut (*source).until, 0, until).is_ok() {
            (&raw mut (*source).since).write_volatile(now);
            (&raw mut (*source).dropped).write_volatile(0);
            stat(1, 0);
        }
    }
}

#[inline(always)]
fn stat(boxed: u64, full: u64) {
    let Some(stats) = PENALTY_STATS.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own element.
    unsafe {
        (*stats).boxed += boxed;
        (*stats).full += full;
    }
}
