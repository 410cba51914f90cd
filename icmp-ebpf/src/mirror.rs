//! The mirror of the kernel's neighbour and routing tables, which the daemon keeps for interfaces that don't forward.

use crate::maps::{MIRROR, NEIGHBOURS, ROUTES};
use aya_ebpf::{helpers::bpf_ktime_get_ns, maps::lpm_trie::Key};
use icmp_common::{
    abi::family,
    mirror::{NeighbourKey, Route, word},
    wire::ipv6::Address,
};

/// Whether the daemon says that it is true.
#[inline(always)]
pub fn is_fresh() -> bool {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    MIRROR.get(word::FRESH_UNTIL).copied().unwrap_or(0) > now
}

/// Where packets of this family go to an address.
#[inline(always)]
pub fn route(family: u8, address: Address) -> Option<&'static Route> {
    /// As in `local`: the trie's key is packed.
    #[repr(C, align(8))]
    struct Aligned {
        pad: u32,
        key: Key<[u8; 16]>,
    }
    let key = Aligned { pad: 0, key: Key::new(128, address.octets()) };
    let version = if family == family::ICMPV6 { 6 } else { 4 };
    ROUTES.get(&key.key).filter(|route| route.version == version)
}

/// The hardware address of a neighbour on an interface, by its stable index.
#[inline(always)]
pub fn hardware(interface: u32, address: Address) -> Option<u64> {
    let key = NeighbourKey { address: address.0, interface: interface.into() };
    // SAFETY: the loader replaces values as a whole, and a u64 is read at once.
    unsafe { NEIGHBOURS.get(key) }.copied()
}
