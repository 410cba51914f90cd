//! The kernel's sockets, as `bpf_skc_lookup_tcp` and `bpf_sk_lookup_udp` find them.
//!
//! They are looked for in the network namespace of the interface, by the addresses and ports of a packet that was
//! sent, as if its answer arrived there: a connection before whoever listens. A socket that is bound to another
//! interface (to a bridge, a VRF, or the interface of a VLAN, while the program is on one below) isn't found.

use crate::{
    fib::words,
    maps::{SND_NXT, SND_UNA},
};
use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_tuple},
    cty::c_void,
    helpers::{bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp, bpf_skc_to_tcp_sock},
};
use icmp_common::{
    abi::family,
    flow::{Flow, is_in_flight, is_of_tunnel, state},
};

/// TCP_LISTEN (linux/net/tcp_states.h).
const LISTEN: u32 = 10;
/// BPF_F_CURRENT_NETNS (linux/bpf.h).
const CURRENT_NETNS: u64 = u64::MAX;

/// The state of a TCP connection's flow, one of [`state`]. Who listens has none: what he is said to have sent,
/// nobody asked him for.
#[inline(always)]
pub fn tcp(ctx: *mut c_void, family: u8, flow: &Flow) -> u8 {
    let (mut tuple, length) = tuple(family, flow, [flow.far_port, flow.near_port]);
    let asked: *mut bpf_sock_tuple = (&raw mut tuple).cast();
    // SAFETY: as many octets are there as is said, and the context is the program's own.
    let socket = unsafe { bpf_skc_lookup_tcp(ctx, asked, length, CURRENT_NETNS, 0) };
    if socket.is_null() {
        return state::UNKNOWN;
    }
    // SAFETY: a field of a socket that is held.
    let listens = unsafe { (*socket).state } == LISTEN;
    let found = if listens { state::UNKNOWN } else { sequence(socket, flow.sequence) };
    release(socket);
    found
}

/// Whether the octet that is quoted is one in flight, where the loader found out where the kernel keeps that. What
/// is no whole socket, as of a connection that is being made or is over, has nothing to ask.
#[inline(always)]
fn sequence(socket: *mut bpf_sock, sequence: u32) -> u8 {
    let (first, next) = (SND_UNA.load() as usize, SND_NXT.load() as usize);
    if first == 0 || next == 0 {
        return state::LIVE;
    }
    // SAFETY: of a socket that is held.
    let tcp: *const u8 = unsafe { bpf_skc_to_tcp_sock(socket.cast()) }.cast();
    if tcp.is_null() {
        return state::LIVE;
    }
    // SAFETY: both are fields of the kernel's structure, of 4 octets each, as its own BTF says.
    let read = |at| unsafe { tcp.add(at).cast::<u32>().read_volatile() };
    if is_in_flight(sequence, read(first), read(next)) { state::LIVE } else { state::CONTRADICTED }
}

/// The state of a UDP flow, one of [`state`]. A tunnel sends from any port, and has its socket on the other. Of other
/// services that would make live what anybody says was sent to their port.
#[inline(always)]
pub fn udp(ctx: *mut c_void, family: u8, flow: &Flow) -> u8 {
    let has = |ports| {
        let (mut tuple, length) = tuple(family, flow, ports);
        let asked: *mut bpf_sock_tuple = (&raw mut tuple).cast();
        // SAFETY: as above.
        let socket = unsafe { bpf_sk_lookup_udp(ctx, asked, length, CURRENT_NETNS, 0) };
        if socket.is_null() {
            return false;
        }
        release(socket);
        true
    };
    let is_live = has([flow.far_port, flow.near_port])
        || is_of_tunnel(flow.far_port) && has([flow.near_port, flow.far_port]);
    if is_live { state::LIVE } else { state::UNKNOWN }
}

#[inline(always)]
fn release(socket: *mut bpf_sock) {
    // SAFETY: a socket that was found here, and is let go once.
    unsafe { bpf_sk_release(socket.cast()) };
}

/// A `bpf_sock_tuple`, and how many of its octets the family has: who sent the answer, whom to, and their ports. An
/// IPv4 address is the last word of its mapped form. Whole words, so that no octet of the stack is left unwritten.
#[inline(always)]
fn tuple(family: u8, flow: &Flow, [from, to]: [u16; 2]) -> ([u32; 9], u32) {
    let ([a, b, c, d], [e, f, g, h]) = (words(flow.far.0), words(flow.near.0));
    let ports = u32::from(from) | u32::from(to) << 16;
    if family == family::ICMPV6 {
        ([a, b, c, d, e, f, g, h, ports], 36)
    } else {
        ([d, h, ports, 0, 0, 0, 0, 0, 0], 12)
    }
}
