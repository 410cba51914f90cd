//! The mirror of the kernel's neighbour and routing tables that the daemon keeps, for interfaces that don't forward:
//! there the kernel answers no program's question about routes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many neighbours are mirrored.
pub const NEIGHBOURS: usize = 4096;
/// How many routes are mirrored.
pub const ROUTES: usize = 4096;
/// How many next hops of a route are mirrored.
pub const HOPS: usize = 4;

/// A neighbour of this machine, as the loader mirrors the kernel's table.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct NeighbourKey {
    /// Its address, as it lies in a packet; IPv4 in mapped form.
    pub address: [u64; 2],
    /// The stable index of the interface.
    pub interface: u64,
}

/// Where packets to a prefix go, as the loader mirrors the routing table. Without hops: nowhere that
/// this instance is attached to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Route {
    /// The version of IP: 4 or 6. The longest prefix of one family may be one of the other.
    pub version: u64,
    /// Its next hops; those behind the last have kind 0.
    pub hops: [Hop; HOPS],
}

/// A next hop.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Hop {
    /// The gateway's hardware address as a number of 48 bits; 0 where it isn't known.
    pub hardware: u64,
    /// The stable index of the interface.
    pub interface: u32,
    /// One of [`hop`].
    pub kind: u32,
    /// The gateway, as its address lies in a packet; IPv4 in mapped form.
    pub gateway: [u64; 2],
}

/// Kinds of next hop.
pub mod hop {
    /// There is none.
    pub const NONE: u32 = 0;
    /// The destination itself: it is on the link.
    pub const DIRECT: u32 = 1;
    /// A gateway.
    pub const GATEWAY: u32 = 2;
}

/// Words that the loader and commands leave for each other and for the program.
pub mod word {
    /// Until when the mirror is true, in nanoseconds of the monotonic clock: the daemon says so
    /// again and again, and dies.
    pub const FRESH_UNTIL: u32 = 0;
    /// Who in the policy in force asks it, so that it is worth keeping: a set of [`super::wanted`].
    pub const WANTED: u32 = 1;
    /// How many words there are.
    pub const COUNT: usize = 2;
}

/// Who asks the mirror.
pub mod wanted {
    /// A rule with a penalty.
    pub const PENALTY: u64 = 1;
    /// A rule for redirects that arrive.
    pub const REDIRECTS: u64 = 2;
}

/// A hardware address as a number.
#[must_use]
#[inline(always)]
pub const fn hardware(octets: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = octets;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_is_a_number_of_48_bits() {
        assert_eq!(hardware([0x02, 0, 0, 0, 0, 0x01]), 0x0200_0000_0001);
    }
}
