//! IGMP, versions 0 (RFC 988), 1 (RFC 1112), 2 (RFC 2236) and 3 (RFC 9776), straight on IP.

/// A request of version 0 to join a group.
pub const JOIN_V0: u8 = 3;
/// Likewise to leave it.
pub const LEAVE_V0: u8 = 5;
/// Likewise to stay in it.
pub const CONFIRM_V0: u8 = 7;
/// Where their group stands: behind an identifier.
pub const GROUP_V0: u32 = 8;
/// A membership query, of any version.
pub const QUERY: u8 = 0x11;
/// A version 1 report.
pub const REPORT_V1: u8 = 0x12;
/// A version 2 report.
pub const REPORT_V2: u8 = 0x16;
/// A version 2 leave.
pub const LEAVE: u8 = 0x17;
/// A version 3 report.
pub const REPORT_V3: u8 = 0x22;
/// A multicast router says that it is there (RFC 4286).
pub const ROUTER_ADVERTISEMENT: u8 = 0x30;
/// Where general queries go, 224.0.0.1.
pub const ALL_SYSTEMS: u32 = 0xe000_0001;
/// Where leaves go, 224.0.0.2.
pub const ALL_ROUTERS: u32 = 0xe000_0002;
/// Where version 3 reports go, 224.0.0.22.
pub const ALL_V3_ROUTERS: u32 = 0xe000_0016;
/// The highest type of version 0, which is the only one whose second octet is a code.
pub const VERSION_0_LAST: u8 = 8;
/// A version 1 or 2 query has this length, to the octet (RFC 9776 7.1).
pub const QUERY_V2_LENGTH: u32 = 8;
/// A version 3 query has at least this length.
pub const QUERY_V3_LENGTH: u32 = 12;
/// Where a version 3 query's number of sources stands, and where they begin.
pub const QUERY_SOURCES: (u32, u32) = (10, 12);

/// The code that a message is classified by: 0 but for version 0 (RFC 988), where the second octet
/// is a code. Later versions use it for the maximum response time, or not at all.
#[must_use]
#[inline(always)]
pub const fn code(ty: u8, second: u8) -> u8 {
    if ty >= 1 && ty <= VERSION_0_LAST { second } else { 0 }
}

/// The version of a query, from its length and maximum response code (RFC 9776 7.1). `None` where
/// its length is none that a query may have.
#[must_use]
pub const fn query_version(length: u32, max_response_code: u8) -> Option<u8> {
    match length {
        QUERY_V2_LENGTH if max_response_code == 0 => Some(1),
        QUERY_V2_LENGTH => Some(2),
        QUERY_V3_LENGTH.. => Some(3),
        _ => None,
    }
}

/// The time that a code stands for (RFC 9776 4.1.1, 4.1.7): of the maximum response code in tenths of a second, of a
/// querier's query interval code in seconds. From 128 up it is a floating-point number.
#[must_use]
#[inline(always)]
pub const fn time_tenths(code: u8) -> u32 {
    if code < 128 { code as u32 } else { ((code & 0xf) as u32 | 0x10) << ((code >> 4 & 7) + 3) }
}

/// The octets of a group record's source address.
pub const ADDRESS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9776 7.1, in words of its own.
    #[test]
    fn a_query_has_the_version_that_its_length_and_time_say() {
        for length in 0..64 {
            for time in [0, 1, 100, 255] {
                let expected = match (length, time) {
                    (8, 0) => Some(1),
                    (8, _) => Some(2),
                    (n, _) if n >= 12 => Some(3),
                    _ => None,
                };
                assert_eq!(query_version(length, time), expected, "{length} octets, time {time}");
            }
        }
    }

    /// RFC 9776 4.1.1: the largest is 31744, and codes are in the order of their times.
    #[test]
    fn a_code_from_128_up_is_a_floating_point_number() {
        for code in 0..128 {
            assert_eq!(time_tenths(code), code.into());
        }
        assert_eq!((time_tenths(128), time_tenths(255)), (128, 31_744));
        assert!((1..=255).all(|code| time_tenths(code - 1) < time_tenths(code)));
    }

    #[test]
    fn only_version_0_has_codes() {
        for ty in 0..=255 {
            assert_eq!(code(ty, 7), if (1..=8).contains(&ty) { 7 } else { 0 }, "{ty:#x}");
        }
    }
}
