//! What only this machine knows of an address: whether it is its own, or a broadcast of a network
//! it is on. The loader keeps the map from rtnetlink.

use crate::maps::{ENDPOINTS, INTERFACE_ID, LOCAL, LOCAL_FILTER};
use icmp_common::{
    abi::{destination, family, local},
    flow::is_to_many,
    local as filter,
    parse::Packet,
    wire::ipv6::Address,
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

/// The same, mostly without a call: for who asks often, and is a global function himself.
#[inline(always)]
pub fn kind_at_once(address: Address) -> u32 {
    without_map(address).unwrap_or_else(|| kind(address))
}

/// The same of an address in two words as they lie in the packet. A global function, so that the key is
/// on no stack but its own.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_local(high: u64, low: u64) -> u32 {
    let address = Address([high, low]);
    if let Some(kind) = without_map(address) {
        return kind;
    }
    let key = Key(address.octets());
    // SAFETY: the loader replaces values as a whole, and a u32 is read at once.
    unsafe { LOCAL.get(key.0) }.copied().unwrap_or(0)
}

/// What can be told without a look into the map, which is a call, and dearer than all of this.
#[inline(always)]
fn without_map(address: Address) -> Option<u32> {
    if LOCAL_FILTER.get(0).is_some_and(|filter| !filter::may_have(filter, address.0)) {
        return Some(0);
    }
    is_of_interface(address).then_some(local::UNICAST)
}

/// Whether an address is one of the first that the interface itself has, as that of most of what it is sent.
#[inline(always)]
fn is_of_interface(address: Address) -> bool {
    let Some(endpoint) = ENDPOINTS.get(INTERFACE_ID.load()) else { return false };
    if address.is_mapped() {
        let [first, second, ..] = endpoint.v4;
        return matches!(address.v4().to_be(), v4 if v4 == first.address || v4 == second.address);
    }
    let is = |own: &[u64; 2]| own[0] == address.0[0] && own[1] == address.0[1];
    is(&endpoint.link_local) || is(&endpoint.v6[0]) || is(&endpoint.v6[1])
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
    destination_as(family, address, || kind(address))
}

/// The same where what [`kind`] says of the address is at hand.
#[inline(always)]
pub fn destination_as(family: u8, address: Address, kind: impl FnOnce() -> u32) -> u8 {
    let to_all = is_to_many(family, address);
    // An IPv6 address that has the form of a mapped IPv4 one is no address of ours, whatever the IPv4
    // one is: none is ever on the wire (RFC 4291 2.5.5.2 gives it to the API).
    let ours = || {
        let looks_mapped = family == family::ICMPV6 && address.is_mapped();
        !looks_mapped && matches!(kind(), local::UNICAST | local::BROADCAST)
    };
    if to_all || ours() { destination::LOCAL } else { destination::TRANSIT }
}
