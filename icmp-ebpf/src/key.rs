//! What makes packets share a bucket: the source or destination cut to a prefix, or the link.

use crate::maps::{INTERFACE_ID, ON_LINK};
use icmp_common::{
    abi::{self, KeyedLimit, PREFIX_AUTO, family, limit_key},
    cells::prefix,
    mirror,
    opaque::either,
    parse::{Frame, Packet},
    wire::{ethernet, ipv6::Address},
};

/// Two words that stand for a key.
pub type Key = [u64; 2];

/// Beside a hardware address: it is no neighbour's of the interface. Its frame has the tag of a VLAN, or it is
/// all zeros.
pub const OTHERS: u64 = 1 << 63;

/// The first octets of keys that are no addresses: no source is of ff00::/8, and no packet that is
/// sent to a link-layer address has its own.
const LINK: u64 = 0xff << 56;
/// Likewise.
const HARDWARE: u64 = 0xff << 56 | 0xff << 48;

/// The hardware address that a frame is from, as `icmp_common::penalty` has it as a number, and
/// [`OTHERS`].
#[inline(always)]
pub fn hardware<F: Frame + ?Sized>(frame: &F) -> u64 {
    // The frame has a link-layer header: its packet was parsed.
    let address = mirror::hardware(frame.cursor().skip(6).take().unwrap_or_default());
    let is_others = address == 0 || !ethernet::is_of_no_vlan(frame.cursor());
    address | u64::from(either(is_others)) << OTHERS.trailing_zeros()
}

/// The key of a packet under a limit. A source that has no address yet has only its hardware's (L1).
#[inline(always)]
pub fn of(packet: &Packet, hardware: u64, limit: &KeyedLimit) -> Key {
    match limit.key {
        limit_key::SOURCE if packet.source.is_unspecified() => [HARDWARE, hardware & !OTHERS],
        limit_key::SOURCE => by_address(packet.source, packet.family, limit),
        limit_key::DESTINATION => by_address(packet.destination, packet.family, limit),
        _ => [LINK, INTERFACE_ID.load().into()],
    }
}

#[inline(always)]
fn by_address(address: Address, family: u8, limit: &KeyedLimit) -> Key {
    cut(address, family, bits(address, family, limit))
}

/// How many bits of an address make its key.
#[inline(always)]
pub fn bits(address: Address, family: u8, limit: &KeyedLimit) -> u8 {
    if family != family::ICMPV6 {
        return limit.prefix_v4;
    }
    match limit.prefix_v6 {
        PREFIX_AUTO => icmpgate_auto_bits(address.0[0], address.0[1]) as u8,
        bits => bits,
    }
}

/// An address cut to so many bits.
#[inline(always)]
pub fn cut(address: Address, family: u8, bits: u8) -> Key {
    if family != family::ICMPV6 {
        return [0, u64::from(address.v4() & prefix::mask_v4(bits)) | 0xffff << 32];
    }
    let (words, mask) = (address.words(), prefix::mask_v6(bits));
    [words[0] & mask[0], words[1] & mask[1]]
}

/// How many bits of an address, in two words as they lie in the packet, make its key where the limit leaves
/// that open: all of a network that this machine is on, since one host has one address there, else the half that a
/// host doesn't choose. A global function, which the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn icmpgate_auto_bits(high: u64, low: u64) -> u32 {
    const HOST: u32 = 128;
    const NETWORK: u32 = 64;
    if Address([high, low]).is_link_local() {
        return HOST;
    }
    let Some(networks) = ON_LINK.get(0) else { return NETWORK };
    for i in 0..abi::ON_LINK {
        if i as u64 >= networks.count {
            break;
        }
        let p = &networks.prefixes[i];
        if high & p.mask[0] == p.network[0] && low & p.mask[1] == p.network[1] {
            return HOST;
        }
    }
    NETWORK
}
