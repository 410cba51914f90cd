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
    /// Whether it goes to a group of stations, the broadcast included (IEEE 802 8.2).
    pub to_group: bool,
}

/// The bits of a tag's control information that are its VLAN.
pub const VLAN: u16 = 0xfff;

/// The VLANs of the outer and the inner tag, 0 where there is none. `None` where the frame ends first.
#[must_use]
#[inline(always)]
pub fn vlans(mut cursor: Cursor<'_>) -> Option<[u16; 2]> {
    let header = cursor.take::<EthHdr>()?;
    let mut vlans = [0; 2];
    let mut ether_type = u16::from_be(header.ether_type);
    for vlan in &mut vlans {
        if !is_tag(ether_type) {
            break;
        }
        let [a, b, c, d] = cursor.take::<[u8; 4]>()?;
        *vlan = u16::from_be_bytes([a, b]) & VLAN;
        ether_type = u16::from_be_bytes([c, d]);
    }
    // VLAN 0 is none.
    Some(if vlans[0] == 0 { [vlans[1], 0] } else { vlans })
}

/// Whether an EtherType says that a tag follows.
#[must_use]
#[inline(always)]
pub const fn is_tag(ether_type: u16) -> bool {
    ether_type == C_TAG || ether_type == S_TAG
}

/// Reads the link-layer header; where [`Ethernet::ether_type`] is still a tag, there were more
/// than [`MAX_TAGS`]. `None` where the frame ends first.
#[inline(always)]
pub fn take(cursor: &mut Cursor<'_>) -> Option<Ethernet> {
    let header = cursor.take::<EthHdr>()?;
    let mut ethernet = Ethernet {
        ether_type: u16::from_be(header.ether_type),
        length: HEADER,
        to_group: header.dst_addr[0] & 1 != 0,
    };
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
    let ether_type = u16::from_be_bytes([a, b]);
    Some(Ethernet { ether_type, length: before.length + TAG, ..before })
}

/// Whether a read header still ends in a tag: more than [`MAX_TAGS`].
#[must_use]
#[inline(always)]
pub const fn beyond_bound(ethernet: Ethernet) -> bool {
    is_tag(ethernet.ether_type)
}

/// Whether a tag is of VLAN 0: it says a priority alone (IEEE 802.1Q 9.6), and Linux takes it away.
#[inline(always)]
const fn is_priority(high: u8, low: u8) -> bool {
    high & 0xf | low == 0
}

/// Whether a frame of two tags at most has none of a VLAN, so that it is the interface's own.
#[must_use]
#[inline(always)]
pub fn is_of_no_vlan(frame: Cursor<'_>) -> bool {
    // Two types with their tags, as long as the shortest packet behind no tag makes the frame.
    let Some([a, b, c, d, e, f, g, h]) = frame.skip(HEADER - 2).take::<[u8; 8]>() else {
        return false;
    };
    if !is_tag(u16::from_be_bytes([a, b])) {
        return true;
    }
    is_priority(c, d) && (!is_tag(u16::from_be_bytes([e, f])) || is_priority(g, h))
}

/// How many tags in all are walked where a frame may reach the stack behind more than [`MAX_TAGS`].
const MOST_TAGS: u32 = 8;

/// Of a frame with more than [`MAX_TAGS`] tags: its EtherType behind all of them and what follows, where Linux may take
/// it in; after [`MOST_TAGS`] still a tag's. `None` where it doesn't, or the frame ends first.
///
/// Of tags of VLAN 0, Linux takes away as many as there are (`check_vlan_id` in net/core/dev.c); any other, an interface of
/// that VLAN. So where there are two of such on top of each other
/// at most, a third tag has one of VLAN 0 among the first three, or nobody takes the frame.
#[must_use]
#[inline(always)]
pub fn behind_priority(frame: Cursor<'_>) -> Option<(u16, Cursor<'_>)> {
    let mut cursor = frame.skip(HEADER);
    let [a, b, _, _, c, d, _, _, e, f, g, h] = cursor.take::<[u8; 12]>()?;
    if !(is_priority(a, b) || is_priority(c, d) || is_priority(e, f)) {
        return None;
    }
    let mut ether_type = u16::from_be_bytes([g, h]);
    for _ in MAX_TAGS + 1..MOST_TAGS {
        if !is_tag(ether_type) {
            break;
        }
        let [_, _, a, b] = cursor.take::<[u8; 4]>()?;
        ether_type = u16::from_be_bytes([a, b]);
    }
    Some((ether_type, cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_vlan_0_are_of_no_vlan() {
        let of_none = |vlans: &[u16]| {
            let mut frame = vec![0u8; 12];
            for vlan in vlans {
                frame.extend(S_TAG.to_be_bytes());
                frame.extend((vlan | 0xe000).to_be_bytes());
            }
            frame.extend(IPV4.to_be_bytes());
            frame.extend([0x45; 20]);
            is_of_no_vlan(Cursor::new(&frame))
        };
        assert!(of_none(&[]) && of_none(&[0]) && of_none(&[0, 0]));
        for vlans in [&[1][..], &[256], &[4095], &[0, 1], &[1, 0], &[2, 2]] {
            assert!(!of_none(vlans), "{vlans:?}");
        }
    }

    #[test]
    fn behind_tags_of_vlan_0_linux_takes_in_what_there_is() {
        let tags = |vlans: &[u16]| {
            let mut frame = vec![0u8; 12];
            for vlan in vlans {
                frame.extend(C_TAG.to_be_bytes());
                frame.extend((vlan | 0xe000).to_be_bytes());
            }
            frame.extend(IPV4.to_be_bytes());
            behind_priority(Cursor::new(&frame)).map(|(ether_type, _)| ether_type)
        };
        assert_eq!(tags(&[5, 6, 7]), None);
        assert_eq!(tags(&[5, 6, 7, 0]), None);
        for vlans in [&[0, 0, 0][..], &[0, 6, 7], &[5, 0, 7], &[5, 6, 0], &[5, 6, 0, 7, 0]] {
            assert_eq!(tags(vlans), Some(IPV4), "{vlans:?}");
        }
        for n in 3..=8 {
            assert_eq!(tags(&vec![0; n]), Some(IPV4), "{n}");
        }
        assert_eq!(tags(&[0; 9]), Some(C_TAG));
    }

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
                    let expected = [[0, 0], [7, 0], [7, 7]][tags];
                    assert_eq!(vlans(Cursor::new(&frame)), Some(expected));
                    if tags == 2 {
                        frame[15] = 0;
                        assert_eq!(vlans(Cursor::new(&frame)), Some([7, 0]));
                        frame[15] = 7;
                    }
                }
                for n in 0..14 + 4 * tags.min(2) {
                    assert_eq!(take(&mut Cursor::new(&frame[..n])), None, "{tags} at {n}");
                }
            }
        }
    }
}
