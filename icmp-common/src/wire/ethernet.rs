//! Ethernet II with up to two VLAN tags (IEEE 802.1Q, 802.1ad).

use crate::cursor::Cursor;
use network_types::eth::EthHdr;

/// IPv4.
pub const IPV4: u16 = 0x0800;
/// IPv6.
pub const IPV6: u16 = 0x86dd;
/// A customer VLAN tag (IEEE 802.1Q).
pub const C_TAG: u16 = 0x8100;
/// A service VLAN tag (IEEE 802.1ad).
pub const S_TAG: u16 = 0x88a8;
/// How many tags are looked behind.
pub const MAX_TAGS: u32 = 2;
/// The least that a frame has: two addresses and an EtherType.
pub const HEADER: u32 = 14;
/// A tag's length.
pub const TAG: u32 = 4;
/// The longest header, tags included.
pub const LONGEST: u32 = HEADER + MAX_TAGS * TAG;
/// The shortest frame, without its check sequence (IEEE 802.3 3.2.8): what is shorter is padded to it.
pub const SHORTEST: u32 = 60;
/// The longest frame of an MTU of 1,500 octets, with two tags.
pub const USUAL: u32 = 1500 + LONGEST;

/// What the link-layer header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// The EtherType behind the tags, in host order.
    pub ether_type: u16,
    /// The octets of header and tags.
    pub length: u32,
}

#[inline(always)]
const fn is_tag(ether_type: u16) -> bool {
    ether_type == C_TAG || ether_type == S_TAG
}

/// Reads the link-layer header; where [`Ethernet::ether_type`] is still a tag, there were more
/// than [`MAX_TAGS`]. `None` where the frame ends first.
#[inline(always)]
pub fn take(cursor: &mut Cursor<'_>) -> Option<Ethernet> {
    let header = cursor.take::<EthHdr>()?;
    let mut ethernet = Ethernet { ether_type: u16::from_be(header.ether_type), length: HEADER };
    // Unrolled by hand: the offset behind it is then one of three constants to the verifier.
    if is_tag(ethernet.ether_type) {
        ethernet = tag(cursor, ethernet)?;
        if is_tag(ethernet.ether_type) {
            ethernet = tag(cursor, ethernet)?;
        }
    }
    Some(ethernet)
}

#[inline(always)]
fn tag(cursor: &mut Cursor<'_>, before: Ethernet) -> Option<Ethernet> {
    let [_, _, a, b] = cursor.take::<[u8; 4]>()?;
    Some(Ethernet { ether_type: u16::from_be_bytes([a, b]), length: before.length + TAG })
}

/// Whether a read header still ends in a tag: more than [`MAX_TAGS`].
#[must_use]
#[inline(always)]
pub const fn beyond_bound(ethernet: Ethernet) -> bool {
    is_tag(ethernet.ether_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tags_are_looked_behind_and_a_third_is_not() {
        for tags in 0..4usize {
            for tag in [C_TAG, S_TAG] {
                let mut frame = vec![0u8; 12];
                for _ in 0..tags {
                    frame.extend(tag.to_be_bytes());
                    frame.extend([0, 7]);
                }
                frame.extend(IPV4.to_be_bytes());
                let found = take(&mut Cursor::new(&frame)).unwrap();
                assert_eq!(beyond_bound(found), tags == 3, "{tags}");
                if tags < 3 {
                    assert_eq!(found.ether_type, IPV4);
                    assert_eq!(found.length as usize, 14 + 4 * tags);
                }
                for n in 0..14 + 4 * tags.min(2) {
                    assert_eq!(take(&mut Cursor::new(&frame[..n])), None, "{tags} at {n}");
                }
            }
        }
    }
}
