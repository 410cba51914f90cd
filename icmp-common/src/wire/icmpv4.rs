//! ICMPv4 (RFC 792, 950, 1191, 1256, 8335): what stands behind type, code and checksum.
//!
//! The verdict needs none of these fields; who explains a message, and who answers one, does.

use crate::cursor::Cursor;

/// Type, code, checksum and the word behind them.
pub const HEADER: u32 = 8;
/// Echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Redirect.
pub const REDIRECT: u8 = 5;
/// Echo request.
pub const ECHO: u8 = 8;
/// Router advertisement (RFC 1256).
pub const ROUTER_ADVERTISEMENT: u8 = 9;
/// Time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// Timestamp request.
pub const TIMESTAMP: u8 = 13;
/// Timestamp reply.
pub const TIMESTAMP_REPLY: u8 = 14;
/// Address mask request (RFC 950).
pub const MASK: u8 = 17;
/// Address mask reply (RFC 950).
pub const MASK_REPLY: u8 = 18;
/// Parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;
/// Its code *pointer indicates the error*.
pub const POINTER_INDICATES_ERROR: u8 = 0;
/// Its code *bad length*.
pub const BAD_LENGTH: u8 = 2;
/// Destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// Its code *fragmentation needed*.
pub const FRAGMENTATION_NEEDED: u8 = 4;

/// What a message says beyond its type and code. Numbers are in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Echo and information, request and reply (RFC 792).
    Echo {
        /// Tells the sender's sessions apart.
        identifier: u16,
        /// Counts the requests of one.
        sequence: u16,
    },
    /// Timestamp and its reply (RFC 792): milliseconds since midnight UT.
    Timestamp {
        /// As in an echo.
        identifier: u16,
        /// As in an echo.
        sequence: u16,
        /// When the request was sent.
        originate: u32,
        /// When it was received.
        receive: u32,
        /// When the reply was sent.
        transmit: u32,
    },
    /// Address mask request and reply (RFC 950).
    Mask {
        /// As in an echo.
        identifier: u16,
        /// As in an echo.
        sequence: u16,
        /// The mask.
        mask: u32,
    },
    /// Fragmentation needed (RFC 1191 4): 0 where the router is older than that.
    FragmentationNeeded {
        /// The MTU of the next hop, in octets.
        next_hop_mtu: u16,
    },
    /// Redirect.
    Redirect {
        /// The better gateway.
        gateway: u32,
    },
    /// Parameter problem.
    ParameterProblem {
        /// The octet of the quoted header that is wrong.
        pointer: u8,
    },
    /// Router advertisement (RFC 1256 3).
    RouterAdvertisement {
        /// How many addresses it has.
        entries: u8,
        /// The length of an entry, in words of 4 octets.
        entry_words: u8,
        /// How long they are good for, in seconds.
        lifetime: u16,
    },
    /// Extended echo and its reply (RFC 8335).
    ExtendedEcho {
        /// As in an echo.
        identifier: u16,
        /// As in an echo, in one octet.
        sequence: u8,
        /// The last octet: the L bit of a request; state, A, 4 and 6 of a reply.
        flags: u8,
    },
    /// A type whose word is unused, which need not be zero, or is not known.
    Unused {
        /// The word.
        word: u32,
    },
}

/// Reads what a message of this type and code says; `None` where it is too short for it.
#[must_use]
pub fn body(ty: u8, code: u8, message: Cursor<'_>) -> Option<Body> {
    let mut message = message;
    message.take::<[u8; 4]>()?;
    let [a, b, c, d] = message.take::<[u8; 4]>()?;
    let (identifier, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let mut word = || message.take::<u32>().map(u32::from_be);
    Some(match (ty, code) {
        (0 | 8 | 15 | 16, _) => Body::Echo { identifier, sequence },
        (13 | 14, _) => Body::Timestamp {
            identifier,
            sequence,
            originate: word()?,
            receive: word()?,
            transmit: word()?,
        },
        (17 | 18, _) => Body::Mask { identifier, sequence, mask: word()? },
        (UNREACHABLE, FRAGMENTATION_NEEDED) => Body::FragmentationNeeded { next_hop_mtu: sequence },
        (REDIRECT, _) => Body::Redirect { gateway: u32::from_be_bytes([a, b, c, d]) },
        (9, _) => Body::RouterAdvertisement { entries: a, entry_words: b, lifetime: sequence },
        (12, _) => Body::ParameterProblem { pointer: a },
        (42 | 43, _) => Body::ExtendedEcho { identifier, sequence: c, flags: d },
        _ => Body::Unused { word: u32::from_be_bytes([a, b, c, d]) },
    })
}

/// The addresses of a router advertisement, each with its preference (RFC 1256 3), as far as they
/// lie within the message; an entry of less than two words has none.
pub fn router_addresses(message: Cursor<'_>) -> impl Iterator<Item = (u32, i32)> {
    let (entries, words) = match body(9, 0, message) {
        Some(Body::RouterAdvertisement { entries, entry_words, .. }) if entry_words >= 2 => {
            (entries, entry_words)
        }
        _ => (0, 2),
    };
    (0..u32::from(entries)).map_while(move |i| {
        let mut entry = message.skip(HEADER + i * u32::from(words) * 4);
        let address = u32::from_be(entry.take::<u32>()?);
        let preference = i32::from_be_bytes(entry.take::<[u8; 4]>()?);
        Some((address, preference))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Option<Body> {
        body(octets[0], octets[1], Cursor::new(octets))
    }

    #[test]
    fn each_type_says_what_its_rfc_says() {
        let with = |ty, code, rest: [u8; 4]| {
            let mut m = vec![ty, code, 0, 0];
            m.extend(rest);
            m.extend([0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 0]);
            read(&m).unwrap()
        };
        let echo = Body::Echo { identifier: 0x0102, sequence: 0x0304 };
        for ty in [0, 8, 15, 16] {
            assert_eq!(with(ty, 0, [1, 2, 3, 4]), echo);
        }
        let timestamp = Body::Timestamp {
            identifier: 0x0102,
            sequence: 0x0304,
            originate: 1,
            receive: 2,
            transmit: 0xffff_ff00,
        };
        assert_eq!(with(13, 0, [1, 2, 3, 4]), timestamp);
        assert_eq!(
            with(17, 0, [1, 2, 3, 4]),
            Body::Mask { identifier: 0x0102, sequence: 0x0304, mask: 1 }
        );
        // RFC 1191: the upper half is unused, and need not be zero.
        assert_eq!(
            with(3, 4, [9, 9, 0x05, 0xdc]),
            Body::FragmentationNeeded { next_hop_mtu: 1500 }
        );
        assert_eq!(with(3, 1, [9, 9, 0x05, 0xdc]), Body::Unused { word: 0x0909_05dc });
        assert_eq!(with(5, 1, [192, 0, 2, 1]), Body::Redirect { gateway: 0xc000_0201 });
        assert_eq!(with(12, 0, [20, 0, 0, 0]), Body::ParameterProblem { pointer: 20 });
        assert_eq!(
            with(9, 0, [1, 2, 7, 8]),
            Body::RouterAdvertisement { entries: 1, entry_words: 2, lifetime: 1800 }
        );
        assert_eq!(
            with(42, 0, [1, 2, 3, 1]),
            Body::ExtendedEcho { identifier: 0x0102, sequence: 3, flags: 1 }
        );
    }

    #[test]
    fn a_message_cut_anywhere_is_none_or_the_same() {
        let whole = [13, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        for n in 2..whole.len() {
            assert_eq!(body(13, 0, Cursor::new(&whole[..n])), None, "{n}");
        }
        assert!(read(&whole).is_some());
    }

    #[test]
    fn router_addresses_end_with_the_message() {
        let mut m = vec![9, 0, 0, 0, 3, 2, 0, 30];
        m.extend([192, 0, 2, 1, 0x80, 0, 0, 0]);
        m.extend([192, 0, 2, 2, 0, 0, 0, 5]);
        let found: Vec<_> = router_addresses(Cursor::new(&m)).collect();
        // The third of the three counted isn't there.
        assert_eq!(found, [(0xc000_0201, i32::MIN), (0xc000_0202, 5)]);
        m[5] = 1;
        assert_eq!(router_addresses(Cursor::new(&m)).count(), 0);
    }
}
