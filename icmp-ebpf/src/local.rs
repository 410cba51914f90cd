//! What only this machine knows of an address: whether it is its own, or a broadcast of a network
//! it is on. The loader keeps the map from rtnetlink.

use crate::maps::LOCAL;
use icmp_common::{
    abi::{destination, family, local},
    parse::Packet,
    wire::{ipv4, ipv6::Address},
};

/// Octets are aligned to 1, but a helper's key must lie at 8 octets on the stack: otherwise it is
/// written by words that the verifier refuses (`misaligned stack access`).
#[repr(C, align(8))]
struct Key([u8; 16]);

/// One of [`local`], or 0 for an address of which nothing is known.
#[inline(always)]
pub fn kind(address: Address) -> u32 {
    let [high, low] = address.0;
    icmpgate_local(high, low)
}

/// The same of an address in two words as they lie in the packet. A global function, so that the key is
/// on no stack but its own.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_local(high: u64, low: u64) -> u32 {
    let key = Key(Address([high, low]).octets());
    // SAFETY: the loader replaces values as a whole, and a u32 is read at once.
    unsafe { LOCAL.get(key.0) }.copied().unwrap_or(0)
}

/// Whether an address is one that the routing tables call a broadcast.
#[inline(always)]
pub fn is_broadcast(address: Address) -> bool {
    kind(address) == local::BROADCAST
}

/// Whether an address is one of a gateway that this machine's routes name.
#[inline(always)]
pub fn is_gateway(address: Address) -> bool {
    kind(address) == local::GATEWAY
}

/// Whether a packet that arrives goes through this machine: see [`destination`].
#[inline(always)]
pub fn is_transit(packet: &Packet) -> bool {
    destination(packet.family, packet.destination) != destination::LOCAL
}

/// Whether a packet of this family that is sent to this address is for this machine or goes through
/// it.
#[inline(always)]
pub fn destination(family: u8, address: Address) -> u8 {
    let v4 = address.v4();
    let to_all = if family == family::ICMPV6 {
        address.is_multicast()
    } else {
        ipv4::is_multicast(v4) || ipv4::is_limited_broadcast(v4)
    };
    // An IPv6 address that has the form of a mapped IPv4 one is no address of ours, whatever the IPv4
    // one is: none is ever on the wire (RFC 4291 2.5.5.2 gives it to the API).
    let ours = || {
        let looks_mapped = family == family::ICMPV6 && address.is_mapped();
        !looks_mapped && matches!(kind(address), local::UNICAST | local::BROADCAST)
    };
    if to_all || ours() { destination::LOCAL } else { destination::TRANSIT }
}
