//! ICMPv6 (RFC 4443): what stands behind type, code and checksum of its own messages. Neighbour
//! discovery and MLD have theirs.

use crate::cursor::Cursor;

/// Destination unreachable (RFC 4443 3.1).
pub const UNREACHABLE: u8 = 1;
/// Echo request (RFC 4443 4.1).
pub const ECHO: u8 = 128;
/// Echo reply (RFC 4443 4.2).
pub const ECHO_REPLY: u8 = 129;
/// Packet too big (RFC 4443 3.2).
pub const PACKET_TOO_BIG: u8 = 2;
/// Time exceeded (RFC 4443 3.3).
pub const TIME_EXCEEDED: u8 = 3;
/// Parameter problem (RFC 4443 3.4).
pub const PARAMETER_PROBLEM: u8 = 4;
/// Its code *unrecognized IPv6 option encountered*.
pub const UNRECOGNIZED_OPTION: u8 = 2;
/// A multicast router says that it is there (RFC 4286 3).
pub const MULTICAST_ROUTER: u8 = 151;
/// Redirect (RFC 4861 4.5), which is no error.
pub const REDIRECT: u8 = 137;

/// What a message says beyond its type and code. Numbers are in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Packet too big (RFC 4443 3.2).
    PacketTooBig {
        /// The MTU of the next hop, in octets.
        mtu: u32,
    },
    /// Parameter problem (RFC 4443 3.4).
    ParameterProblem {
        /// The octet of the quoted packet that is wrong; it may lie beyond the quote.
        pointer: u32,
    },
    /// Echo request and reply (RFC 4443 4).
    Echo {
        /// Tells the sender's sessions apart.
        identifier: u16,
        /// Counts the requests of one.
        sequence: u16,
    },
    /// A type whose word is unused, or is read elsewhere.
    Other {
        /// The word.
        word: u32,
    },
}

/// Reads what a message of this type says; `None` where it is too short for it.
#[must_use]
pub fn body(ty: u8, message: Cursor<'_>) -> Option<Body> {
    let mut message = message;
    message.take::<[u8; 4]>()?;
    let word = u32::from_be(message.take::<u32>()?);
    Some(match ty {
        PACKET_TOO_BIG => Body::PacketTooBig { mtu: word },
        PARAMETER_PROBLEM => Body::ParameterProblem { pointer: word },
        128 | 129 => Body::Echo { identifier: (word >> 16) as u16, sequence: word as u16 },
        _ => Body::Other { word },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_says_what_the_rfc_says() {
        let with = |ty| body(ty, Cursor::new(&[ty, 0, 0, 0, 0, 0, 5, 0xdc]));
        assert_eq!(with(2), Some(Body::PacketTooBig { mtu: 1500 }));
        assert_eq!(with(4), Some(Body::ParameterProblem { pointer: 1500 }));
        assert_eq!(with(128), Some(Body::Echo { identifier: 0, sequence: 1500 }));
        assert_eq!(with(1), Some(Body::Other { word: 1500 }));
        assert_eq!(body(2, Cursor::new(&[2, 0, 0, 0, 0, 0, 5])), None);
    }
}
