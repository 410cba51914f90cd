//! A filter before the map of this machine's addresses: most addresses are none of them, and a look into a hash map
//! is a call, and dear.
//!
//! It is a set of bits, one by hash for each address. Where an address has none, it isn't in the map.

/// The words of the filter. With as many addresses as the map holds, one of sixteen strangers is looked up for
/// nothing.
pub const FILTER_WORDS: usize = 1024;

/// The filter.
pub type Filter = [u64; FILTER_WORDS];

/// The place of an address, in two words as they lie in a packet: a word, and a bit of it.
#[must_use]
#[inline(always)]
pub const fn place([high, low]: [u64; 2]) -> (usize, u64) {
    let mixed = high.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ low;
    // Of a product, only the upper bits depend on all of a factor's.
    let hash = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    ((hash >> 58 << 4 | hash >> 54 & 0xf) as usize, 1 << (hash >> 48 & 0x3f))
}

/// Notes an address.
pub const fn add(filter: &mut Filter, address: [u64; 2]) {
    let (word, bit) = place(address);
    filter[word] |= bit;
}

/// Whether an address may have been noted.
#[must_use]
#[inline(always)]
pub const fn may_have(filter: &Filter, address: [u64; 2]) -> bool {
    let (word, bit) = place(address);
    // A mask, as the verifier wants to see it.
    filter[word & (FILTER_WORDS - 1)] & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::LOCAL_ADDRESSES;
    use crate::wire::ipv6::Address;

    #[test]
    fn what_was_noted_is_found_and_few_others_are() {
        let of_v4 = |n: u32| Address::mapped(0x0a00_0000 + n * 7).0;
        let of_v6 = |n: u32| {
            let mut octets = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            octets[12..].copy_from_slice(&n.to_be_bytes());
            Address::new(octets).0
        };
        let of_link = |n: u32| {
            let mut octets = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            octets[4..8].copy_from_slice(&n.to_be_bytes());
            Address::new(octets).0
        };
        for (name, of) in
            [("v4", &of_v4 as &dyn Fn(u32) -> [u64; 2]), ("v6", &of_v6), ("net", &of_link)]
        {
            let mut filter = [0; FILTER_WORDS];
            for n in 0..LOCAL_ADDRESSES as u32 {
                add(&mut filter, of(n));
            }
            assert!((0..LOCAL_ADDRESSES as u32).all(|n| may_have(&filter, of(n))), "{name}");
            let strangers = 100_000..200_000;
            let found = strangers.clone().filter(|n| may_have(&filter, of(*n))).count();
            assert!(found * 13 < strangers.len(), "{name}: {found} of {}", strangers.len());
        }
    }

    #[test]
    fn every_bit_is_some_address() {
        let mut filter = [0; FILTER_WORDS];
        (0..2_000_000).for_each(|n: u32| add(&mut filter, Address::mapped(n).0));
        assert!(filter.iter().all(|word| *word == u64::MAX));
    }
}
