//! The kernel's routing tables, as `bpf_fib_lookup` asks them.
//!
//! It looks at routes alone. What redirects taught Linux stands beside them, in exceptions that the
//! helper doesn't look at (`find_exception` in net/ipv4/route.c, `rt6_find_cached_rt` in
//! net/ipv6/route.c).

use aya_ebpf::{
    bindings::bpf_fib_lookup as FibLookup, cty::c_void, helpers::bpf_fib_lookup as lookup,
};
use icmp_common::{abi::family, wire::ipv6::Address};

// Results, linux/bpf.h.
/// A route, a next hop and its hardware address.
pub const SUCCESS: i64 = 0;
/// The interface doesn't forward, so the tables aren't asked.
pub const FWD_DISABLED: i64 = 5;
/// A route and a next hop, whose hardware address isn't known.
pub const NO_NEIGH: i64 = 7;
/// A route and a next hop, behind an interface that the frame at hand is too long for.
pub const FRAG_NEEDED: i64 = 8;

/// `AF_INET`.
const AF_INET: u8 = 2;
/// `AF_INET6`.
const AF_INET6: u8 = 10;

/// Where a packet of this family that arrives on an interface would go.
#[inline(always)]
pub fn question(family: u8, interface: u32, source: Address, destination: Address) -> FibLookup {
    // SAFETY: all zeros is a valid question.
    let mut ask: FibLookup = unsafe { core::mem::zeroed() };
    ask.ifindex = interface;
    if family == family::ICMPV6 {
        ask.family = AF_INET6;
        ask.__bindgen_anon_3.ipv6_src = words(source.0);
        ask.__bindgen_anon_4.ipv6_dst = words(destination.0);
    } else {
        ask.family = AF_INET;
        ask.__bindgen_anon_3.ipv4_src = source.v4().to_be();
        ask.__bindgen_anon_4.ipv4_dst = destination.v4().to_be();
    }
    ask
}

/// Asks. The result is one of those above, or another that says that there is no route.
#[inline(always)]
pub fn ask(ctx: *mut c_void, ask: &mut FibLookup) -> i64 {
    // SAFETY: the question is as long as is said, and the context is the program's own.
    unsafe { lookup(ctx, ask, size_of::<FibLookup>() as i32, 0) }
}

/// Whether the answer is that the next hop has this address, of this family.
#[inline(always)]
pub fn is_next_hop(answer: &FibLookup, family: u8, address: Address) -> bool {
    // SAFETY: every bit pattern is one of the unions' integers.
    unsafe {
        if family == family::ICMPV6 {
            let (a, b) = (answer.__bindgen_anon_4.ipv6_dst, words(address.0));
            // Without a call to `memcmp`, which isn't there.
            let same = a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
            answer.family == AF_INET6 && same
        } else {
            // An IPv4 route may have an IPv6 gateway (RFC 8950).
            answer.family == AF_INET && answer.__bindgen_anon_4.ipv4_dst == address.v4().to_be()
        }
    }
}

/// An address as the kernel's structures have it.
#[inline(always)]
pub fn words(address: [u64; 2]) -> [u32; 4] {
    // SAFETY: 16 octets either way.
    unsafe { core::mem::transmute(address) }
}
