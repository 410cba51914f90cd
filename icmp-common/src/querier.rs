//! Who asks on a link, and how often: what queries say (RFC 9776 4.1, RFC 9777 5.1), whose of them count
//! (6.6.2, 7.6.2), and the times that follow from it (8, 9).

use crate::bucket::UNITS_PER_S;
use crate::member::{Times, is_ahead, reporter};
use crate::parse::{Frame, Packet};
use crate::wire::{igmp, ipv6::Address, mld};
use crate::{abi::family, wire::ipv4};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A millisecond, in the unit of [`crate::bucket`].
const MS: u64 = UNITS_PER_S / 1000;
/// How often a report may be lost where nobody says (robustness variable, RFC 9776 8.1).
pub const ROBUSTNESS: u8 = 2;
/// Seconds between general queries where nobody says (8.2).
pub const INTERVAL_S: u32 = 125;
/// How long members may take to answer one where nobody says (8.3).
pub const RESPONSE: u64 = 10 * UNITS_PER_S;
/// How long an answer may be under way, at the most.
const WAY: u64 = UNITS_PER_S;
/// The least that others have to say that they still are members, whatever a query says: two times 1 s (8.8).
pub const LEAST: u64 = 2 * UNITS_PER_S;

/// What is known of a link, of one version of IP. All zero: nothing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Link {
    /// The elected querier, as [`reporter`] has it; 0 where there is none, or it has no address.
    pub querier: u64,
    /// Until when it counts as present.
    pub querier_until: u64,
    /// Until when a multicast router counts as present, other than this machine.
    pub router_until: u64,
    /// Between its general queries, in units of time; 0 where it hasn't said.
    pub interval: u64,
    /// How long members may take to answer, likewise.
    pub response: u64,
    /// From when all members have had the time to answer it; 0 where it hasn't asked all.
    pub answered: u64,
    /// Until when a report that was heard says that reports come here at all.
    pub heard_until: u64,
    /// The bucket of new groups and members.
    pub joins: u64,
    /// Its robustness variable; 0 where it hasn't said.
    pub robustness: u8,
    /// The version that it asks in: 1 to 3; MLD's count as 2 and 3.
    pub version: u8,
    /// 1 where it is this machine.
    pub is_own: u8,
    /// Zero.
    pub pad: [u8; 5],
}

const _: () = assert!(size_of::<Link>() == 72);

/// A query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The version that it is in, as [`Link::version`].
    pub version: u8,
    /// The group that it asks about; [`Address::NONE`] where that is all.
    pub group: Address,
    /// How long members may take to answer, in units of time.
    pub response: u64,
    /// The robustness variable; 0 where it doesn't say.
    pub robustness: u8,
    /// Between general queries, in units of time; 0 where it doesn't say.
    pub interval: u64,
    /// Whether routers are told to leave their timers as they are (the S flag).
    pub suppresses: bool,
    /// How many sources it asks about.
    pub sources: u16,
}

impl Query {
    /// Reads one; `None` where it ends before it says, which other checks have found.
    #[must_use]
    #[inline(always)]
    pub fn read<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Option<Self> {
        let message = packet.message(frame);
        let is_v6 = packet.family == family::ICMPV6;
        let (group, response, second) = if is_v6 {
            let [_, _, _, _, high, low, _, _] = { message }.take::<[u8; 8]>()?;
            let group = Address::new(message.skip(8).take()?);
            let code = u16::from_be_bytes([high, low]);
            (group, u64::from(mld::time_ms(code)) * MS, 1)
        } else {
            let [_, code, _, _, group @ ..] = { message }.take::<[u8; 8]>()?;
            let group = u32::from_be_bytes(group);
            let group = if group == 0 { Address::NONE } else { Address::mapped(group) };
            (group, u64::from(igmp::time_tenths(code)) * 100 * MS, code)
        };
        let (count_at, _) = if is_v6 { mld::QUERY_SOURCES } else { igmp::QUERY_SOURCES };
        let query = Self {
            version: if second == 0 { 1 } else { 2 },
            group,
            // Version 1 states none.
            response: if second == 0 { RESPONSE } else { response },
            robustness: 0,
            interval: 0,
            suppresses: false,
            sources: 0,
        };
        if packet.length < count_at + 2 {
            return Some(query);
        }
        let [flags, interval, high, low] = message.skip(count_at - 2).take::<[u8; 4]>()?;
        Some(Self {
            version: 3,
            response,
            robustness: flags & 7,
            interval: u64::from(igmp::time_tenths(interval)) * UNITS_PER_S,
            suppresses: flags & 8 != 0,
            sources: u16::from_be_bytes([high, low]),
            ..query
        })
    }
}

impl Link {
    /// The times that its querier keeps.
    #[must_use]
    #[inline(always)]
    pub fn times(&self, now: u64) -> Times {
        let (mut robustness, mut interval, mut response) =
            (self.robustness, self.interval, self.response);
        if !self.has_querier(now) {
            (robustness, interval, response) = (0, 0, 0);
        }
        let robustness = if robustness == 0 { ROBUSTNESS } else { robustness };
        let interval = if interval == 0 { u64::from(INTERVAL_S) * UNITS_PER_S } else { interval };
        let response = if response == 0 { RESPONSE } else { response };
        let membership = u64::from(robustness) * interval + response;
        Times { membership: longest(membership, LEAST), last_member: LEAST }
    }

    /// Whether somebody asks.
    #[must_use]
    #[inline(always)]
    pub const fn has_querier(&self, now: u64) -> bool {
        is_ahead(self.querier_until, now)
    }

    /// Whether who listens is known: somebody asks, all have had the time to answer once, and where it isn't this machine
    /// that asks, somebody has: a switch that snoops hands reports only to where it takes a router to be.
    #[must_use]
    #[inline(always)]
    pub const fn is_known(&self, now: u64) -> bool {
        self.has_answers(now) && (self.is_own != 0 || is_ahead(self.heard_until, now))
    }

    /// Whether somebody asks, and all have had the time to answer.
    #[inline(always)]
    const fn has_answers(&self, now: u64) -> bool {
        self.has_querier(now) && self.answered != 0 && !is_ahead(self.answered, now)
    }

    /// Takes a query from a source; whether it is the elected querier's, whose queries alone set timers.
    ///
    /// The lowest address wins. 0.0.0.0 and `::`, from which switches without an address ask (RFC 4541 2.1.1), win
    /// against nobody; where nobody else asks, they are better than none.
    #[inline(always)]
    pub fn queried(&mut self, query: &Query, source: Address, is_own: bool, now: u64) -> bool {
        let id = reporter(source);
        let is_elected = !self.has_querier(now)
            || id == self.querier
            || id != 0 && (self.querier == 0 || order(source, id) < order(source, self.querier));
        let times = |link: &Self| {
            // Other querier present interval (RFC 9776 8.5).
            let times = link.times(now);
            now.wrapping_add(times.membership)
        };
        if is_elected {
            self.answered = self.answered(query, now);
            self.querier = id;
            self.version = query.version;
            self.is_own = is_own.into();
            self.robustness = query.robustness;
            self.interval = query.interval;
            if query.group == Address::NONE {
                self.response = query.response;
            }
            self.querier_until = now.wrapping_add(LEAST);
            self.querier_until = times(self);
        }
        // Who asks routes, but for switches without an address.
        if !is_own && id != 0 {
            self.router_until = times(self);
        }
        is_elected
    }

    /// From when all have answered, after this query.
    #[inline(always)]
    const fn answered(&self, query: &Query, now: u64) -> u64 {
        if self.has_answers(now) {
            // Later times look like those to come, once they wrap.
            return now;
        }
        let was_asked = self.has_querier(now) && self.answered != 0;
        match (was_asked, query.group.0) {
            (true, _) => self.answered,
            (false, [0, 0]) => now.wrapping_add(query.response).wrapping_add(WAY),
            (false, _) => 0,
        }
    }

    /// Until when those of whom a query about a group asks have to answer.
    #[must_use]
    #[inline(always)]
    pub fn last_member(&self, query: &Query, now: u64) -> u64 {
        let robustness = if self.robustness == 0 { ROBUSTNESS } else { self.robustness };
        now.wrapping_add(longest(u64::from(robustness) * query.response, LEAST))
    }
}

#[inline(always)]
const fn longest(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

/// What addresses are compared by: their octets in the order in which they are sent.
#[inline(always)]
const fn order(source: Address, id: u64) -> u64 {
    if source.is_mapped() { id } else { u64::from_be(id) }
}

/// Whether a group is one that is never asked about: all hosts, which is everybody (RFC 9776 6), and what stays on a
/// machine or has no scope (RFC 9777 6).
#[must_use]
#[inline(always)]
pub const fn is_kept(group: Address) -> bool {
    if group.is_mapped() {
        group.v4() != igmp::ALL_SYSTEMS && ipv4::is_multicast(group.v4())
    } else {
        let [first, second, ..] = group.octets();
        let all_nodes =
            group.0[0] == Address::ALL_NODES.0[0] && group.0[1] == Address::ALL_NODES.0[1];
        first == 0xff && second & 0xf > 1 && !all_nodes
    }
}

/// Whether what is sent to a group goes everywhere on a link, members or none: 224.0.0.0/24 and ff02::/16, and what is
/// narrower (RFC 4541 2.1.2, 3).
#[must_use]
#[inline(always)]
pub const fn is_for_all(group: Address) -> bool {
    if group.is_mapped() {
        group.v4() >> 8 == 0xe0_0000
    } else {
        let [_, second, ..] = group.octets();
        second & 0xf <= 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = UNITS_PER_S;

    fn general() -> Query {
        Query {
            version: 3,
            group: Address::NONE,
            response: 10 * S,
            robustness: 2,
            interval: 125 * S,
            suppresses: false,
            sources: 0,
        }
    }

    fn four(n: u32) -> Address {
        Address::mapped(0x0a00_0000 | n)
    }

    #[test]
    fn the_lowest_address_asks_until_it_is_silent() {
        let mut link = Link::default();
        assert!(!link.has_querier(1));
        assert!(link.queried(&general(), four(9), false, S));
        assert!(link.queried(&general(), four(3), true, 2 * S));
        assert!(!link.queried(&general(), four(5), false, 3 * S));
        assert!(!link.queried(&general(), Address::mapped(0), false, 3 * S), "it has no address");
        assert_eq!((link.querier, link.is_own), (0x0a00_0003, 1));
        assert!(link.has_querier(262 * S - 1) && !link.has_querier(262 * S));
        assert!(link.queried(&general(), four(5), false, 262 * S));
        let mut link = Link::default();
        assert!(link.queried(&general(), Address::mapped(0), false, S), "better than none");
        assert!(link.has_querier(2 * S) && !is_ahead(link.router_until, 2 * S));
        assert!(link.queried(&general(), four(9), false, S), "it wins against none");
        assert!(is_ahead(link.router_until, 2 * S), "who asks routes");
        // By octets as they are sent, whatever the machine's order.
        let six =
            |last| Address::new([0xfe, 0x80, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 0, 0, 0, 1 + last]);
        let mut link = Link::default();
        assert!(link.queried(&general(), six(2), false, S));
        assert!(link.queried(&general(), six(1), false, S));
        assert!(!link.queried(&general(), six(2), false, S));
    }

    #[test]
    fn times_are_the_elected_queriers_and_else_those_of_the_document() {
        let mut link = Link::default();
        assert_eq!(link.times(S), Times { membership: 260 * S, last_member: 2 * S });
        let fast = Query { robustness: 3, interval: 20 * S, response: S, ..general() };
        link.queried(&fast, four(3), false, S);
        link.queried(&general(), four(5), false, S);
        assert_eq!(link.times(2 * S).membership, 61 * S);
        assert_eq!(link.times(62 * S).membership, 260 * S, "it is silent");
        // None makes members run out at once.
        let hasty = Query { robustness: 1, interval: 0, response: 1, ..general() };
        let mut link = Link::default();
        link.queried(&hasty, four(3), false, S);
        assert!(link.times(S + 1).membership >= LEAST);
        assert_eq!(link.last_member(&hasty, S), 3 * S);
        assert_eq!(
            link.last_member(&Query { response: 3 * S, robustness: 1, ..general() }, S),
            4 * S
        );
    }

    /// Until they have answered, nobody knows who listens: neither when somebody begins to ask, nor when he does so again.
    #[test]
    fn who_listens_is_known_once_all_have_had_the_time_to_answer() {
        let mut link = Link { heard_until: u64::MAX >> 1, ..Link::default() };
        let one = Query { group: four(1), ..general() };
        link.queried(&one, four(3), false, S);
        assert!(link.has_querier(60 * S) && !link.is_known(60 * S), "others weren't asked");
        link.queried(&general(), four(3), false, 61 * S);
        assert!(!link.is_known(71 * S) && link.is_known(72 * S));
        // Whom no report comes to doesn't know, unless it is he who asks.
        assert!(!Link { heard_until: 0, ..link }.is_known(72 * S));
        assert!(Link { heard_until: 0, is_own: 1, ..link }.is_known(72 * S));
        // Who asks in between, or instead, puts nothing off.
        for (source, at) in [(3, 80 * S), (2, 81 * S)] {
            link.queried(&general(), four(source), false, at);
            assert!(link.is_known(at), "{at}");
        }
        let silent = 81 * S + link.times(81 * S).membership;
        assert!(link.is_known(silent - 1) && !link.is_known(silent));
        link.queried(&general(), four(2), false, silent);
        assert!(!link.is_known(silent + 10 * S) && link.is_known(silent + 11 * S));
        let mut link = Link { heard_until: u64::MAX >> 1, ..Link::default() };
        link.queried(&general(), four(3), false, S);
        link.queried(&general(), four(3), false, 9 * S);
        assert!(!link.is_known(11 * S) && link.is_known(12 * S));
    }

    fn read(octets: &[u8], is_v6: bool) -> Option<Query> {
        let family = if is_v6 { family::ICMPV6 } else { family::IGMP };
        let packet = Packet { family, length: octets.len() as u32, ..Packet::default() };
        Query::read(octets, &packet)
    }

    #[test]
    fn a_query_says_what_its_version_has() {
        let v1 = read(&[0x11, 0, 0, 0, 0, 0, 0, 0], false).expect("one");
        assert_eq!((v1.version, v1.response, v1.group), (1, 10 * S, Address::NONE));
        let v2 = read(&[0x11, 25, 0, 0, 239, 1, 2, 3], false).expect("one");
        assert_eq!((v2.version, v2.response), (2, 25 * S / 10));
        assert_eq!(v2.group, Address::mapped(0xef01_0203));
        let v3 = [0x11, 0x80, 0, 0, 0, 0, 0, 0, 0x0b, 0x90, 0, 3, 1, 2, 3, 4];
        let v3 = read(&v3, false).expect("one");
        assert_eq!((v3.version, v3.response, v3.robustness), (3, 128 * S / 10, 3));
        assert_eq!((v3.interval, v3.suppresses, v3.sources), (256 * S, true, 3));
        let mut six = vec![130, 0, 0, 0, 0x10, 0, 0, 0];
        six.extend([0xff, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        let v1 = read(&six, true).expect("one");
        assert_eq!((v1.version, v1.response), (2, 4096 * S / 1000));
        six.extend([2, 125, 0, 1]);
        let v2 = read(&six, true).expect("one");
        assert_eq!((v2.version, v2.interval, v2.robustness, v2.sources), (3, 125 * S, 2, 1));
        for n in 0..8 {
            assert_eq!(read(&six[..n], true), None);
        }
    }

    #[test]
    fn groups_for_all_are_told_from_those_that_have_members() {
        let six = |text: &str| Address::from(text.parse::<std::net::IpAddr>().expect("an address"));
        for (group, kept, for_all) in [
            ("224.0.0.1", false, true),
            ("224.0.0.251", true, true),
            ("224.0.1.1", true, false),
            ("239.255.255.250", true, false),
            ("ff02::1", false, true),
            ("ff02::fb", true, true),
            ("ff01::5", false, true),
            ("ff00::5", false, true),
            ("ff05::1", true, false),
            ("ff3e::8000:1", true, false),
        ] {
            assert_eq!((is_kept(six(group)), is_for_all(six(group))), (kept, for_all), "{group}");
        }
        assert!(!is_kept(six("10.0.0.1")) && !is_kept(six("2001:db8::1")));
    }
}
