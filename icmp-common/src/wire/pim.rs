//! PIM version 2 (RFC 7761), of which a switch only has to know who sends hellos: a multicast router (RFC 4541 2.1.1).

use crate::cursor::Cursor;
use crate::wire::ipv6::Address;

/// Its number as a protocol.
pub const PROTOCOL: u8 = 103;
/// How long a router counts as present that doesn't say, in seconds (RFC 7761 4.11).
pub const HOLD_S: u16 = 105;
/// Version 2, type 0.
const HELLO: u8 = 0x20;
/// The option that says how long (4.9.2), of two octets.
const HOLD_TIME: [u8; 4] = [0, 1, 0, 2];
/// All PIM routers, 224.0.0.13 and ff02::d.
const ALL_ROUTERS: [Address; 2] =
    [Address::mapped(0xe000_000d), Address([0xff02_0000_0000_0000_u64.to_be(), 0xd_u64.to_be()])];

/// For how many seconds whoever sent this is a router, where it is a hello: `message` stands behind the IP header.
/// The option is read where it is the first, as everybody sends it.
#[must_use]
#[inline(always)]
pub fn hello(message: Cursor<'_>, destination: Address, hop_limit: u8) -> Option<u16> {
    let [kind, ..] = { message }.take::<[u8; 4]>()?;
    let is_to_routers = ALL_ROUTERS.contains(&destination);
    if kind != HELLO || !is_to_routers || hop_limit != 1 {
        return None;
    }
    match message.skip(4).take::<[u8; 6]>() {
        Some([a, b, c, d, high, low]) if [a, b, c, d] == HOLD_TIME => {
            Some(u16::from_be_bytes([high, low]))
        }
        _ => Some(HOLD_S),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_says_for_how_long() {
        let to = ALL_ROUTERS[0];
        let read = |octets: &[u8], to, hops| hello(Cursor::new(octets), to, hops);
        let with = [0x20, 0, 0, 0, 0, 1, 0, 2, 0x01, 0x2c, 0, 20, 0, 4];
        assert_eq!(read(&with, to, 1), Some(300));
        assert_eq!(read(&with[..9], to, 1), Some(HOLD_S));
        assert_eq!(read(&[0x20, 0, 0, 0], ALL_ROUTERS[1], 1), Some(HOLD_S));
        assert_eq!(read(&[0x20, 0, 0, 0, 0, 20, 0, 4, 1, 2, 3, 4], to, 1), Some(HOLD_S));
        // A join, another version, from elsewhere, to one alone, cut.
        assert_eq!(read(&[0x23, 0, 0, 0], to, 1), None);
        assert_eq!(read(&[0x10, 0, 0, 0], to, 1), None);
        assert_eq!(read(&with, to, 64), None);
        assert_eq!(read(&with, Address::mapped(0x0a00_0001), 1), None);
        assert_eq!(read(&with[..3], to, 1), None);
    }
}
