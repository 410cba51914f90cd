//! The cases: which frame, under which policy, and what must become of it. A bench that measures
//! another path than it says is worse than none, so each case states its action, reason and rule.

use anyhow::{Context, Result};
use icmp_common::abi::local;
use icmp_common::flow::state;
use icmp_common::verdict::Reason;
use icmpgate::datapath::{Endpoint, LocalAddress, Program};
use icmpgate::policy::Hook;
use icmpgate_rig::frame::{
    self, CUSTOMER_TAG, ICMP, ICMPV6, IGMP, IPV4, IPV6, Link, SERVICE_TAG, TCP, UDP, V4, counting,
};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt::IpFreebind,
};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// A policy that cases run under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Limits so high that nothing is beyond them: each packet is charged to a total bucket.
    Pass,
    /// A rule drops echo.
    Drop,
    /// A rule limits echo to one packet an hour.
    Limited,
    /// A rule passes echo, and errors whosever flow they are about: what a limit and a flow are compared with.
    Accept,
    /// A limit by source, so high that nothing is beyond it.
    Source,
    /// The same, for sources that all have a key already.
    SourceKnown,
    /// The same with a table of keys that no core's own cache holds.
    SourceLarge,
    /// The same of errors that are sent, by destination and in total.
    Sent,
    /// Rules pass echo from zones of so many prefixes.
    Zone(u32),
    /// Multicast that is sent leaves only to members, of whom there are so many before: a group each.
    Members(u32),
    /// The same, but what has none is only noted.
    Observed,
}

impl Policy {
    /// As an operator would write it: his rules over the profile `host`.
    pub(crate) fn text(self) -> String {
        if self == Self::Sent {
            return format!(
                "profile = \"host\"\n[[rule]]\nname = \"{SENT}\"\nhook = \"egress\"\n\
                 family = \"icmpv4\"\ntype = 3\naction = \"limit\"\n\
                 limits = [{{ rate = 1000000000, burst = 1000000000, key = \"destination\" }}, \
                 {{ rate = 1000000000, burst = 1000000000 }}]\n"
            );
        }
        if let Self::Zone(prefixes) = self {
            return zones(prefixes);
        }
        if matches!(self, Self::Members(_) | Self::Observed) {
            let mode = if self == Self::Observed { "observe" } else { "enforce" };
            return format!(
                "profile = \"host\"\n[[rule]]\nname = \"{REPORT}\"\nfamily = \"igmp\"\ntype = 0x22\n\
                 action = \"limit\"\nlimit = {{ rate = 1000000000, burst = 1000000000 }}\n\
                 [groups]\ngate = true\nmode = \"{mode}\"\njoins-per-second = 1000000\n\
                 max-per-interface = 65536\nmax-per-host = 65536\n"
            );
        }
        let echo = match self {
            Self::Pass => "action = \"limit\"\nlimit = { rate = 1000000000, burst = 1000000000 }",
            Self::Drop => "action = \"drop\"",
            Self::Accept | Self::Sent | Self::Zone(_) | Self::Members(_) | Self::Observed => {
                "action = \"pass\""
            }
            Self::Source | Self::SourceKnown | Self::SourceLarge => {
                "action = \"limit\"\n\
                 limit = { rate = 1000000000, burst = 1000000000, key = \"source\" }"
            }
            Self::Limited => {
                "action = \"limit\"\nlimit = { rate = 1, burst = 1, every = \"hour\", random = false }"
            }
        };
        let mut text = "profile = \"host\"\n".to_owned();
        if self == Self::SourceLarge {
            text += "[limits]\nkeys = 262144\n";
        }
        let ours = [
            (ECHO, "icmpv4", "\"echo-request\""),
            (ECHO6, "icmpv6", "\"echo-request\""),
            (REPORT, "igmp", "0x22"),
            (ERROR, "icmpv4", "\"time-exceeded\""),
        ];
        for (name, family, ty) in ours {
            text += &format!(
                "[[rule]]\nname = \"{name}\"\nfamily = \"{family}\"\ntype = {ty}\n{echo}\n"
            );
        }
        // The rule of errors is the last.
        if self == Self::Accept {
            text += "checks = { flow-contradicted = \"off\" }\n";
        }
        text
    }
}

/// Echo passes from two zones of so many prefixes of 8 addresses each, from 10.0.0.0 on, where the bench's
/// front takes its sources from. They take turns, so that no two neighbours are one range.
pub(crate) fn zones(prefixes: u32) -> String {
    let mut text = "profile = \"host\"\n".to_owned();
    for (zone, rule) in [("even", ECHO), ("odd", "bench-echo-odd")] {
        text += &format!(
            "[[rule]]\nname = \"{rule}\"\nfamily = \"icmpv4\"\ntype = 8\nzone = \"{zone}\"\n\
             action = \"pass\"\n"
        );
    }
    text += "[zones]\n";
    for (n, zone) in ["even", "odd"].iter().enumerate() {
        let prefix = |i: u32| format!("\"{}/29\"", Ipv4Addr::from_bits(0x0a00_0000 + 8 * i));
        let prefixes: Vec<_> = (0..prefixes).skip(n).step_by(2).map(prefix).collect();
        text += &format!("{zone} = [{}]\n", prefixes.join(", "));
    }
    text
}

const ECHO: &str = "bench-echo";
const ECHO6: &str = "bench-echo6";
const REPORT: &str = "bench-report";
const ERROR: &str = "bench-error";
const SENT: &str = "bench-sent";

/// A million, as the front counts.
pub(crate) const MILLION: u32 = 1 << 20;

/// One case.
pub(crate) struct Case {
    /// Its name, as the JSON has it.
    pub(crate) name: String,
    /// The frame, without its check sequence.
    pub(crate) frame: Vec<u8>,
    /// From how many sources it comes: where more than none, the bench's front writes them.
    pub(crate) sources: u32,
    /// Where it isn't ours that runs: the floor that knows nothing but it.
    pub(crate) floor: Option<Program>,
    /// Where it is met.
    pub(crate) hook: Hook,
    /// The policy it runs under.
    pub(crate) policy: Policy,
    /// The one reason it must have.
    pub(crate) reason: Reason,
    /// The rule that must decide, where one does.
    pub(crate) rule: Option<&'static str>,
    /// What must be found of its flow.
    pub(crate) flow: u8,
}

/// The UDP port of this machine whose flow errors are about.
const LIVE_PORT: u16 = 0xc001;

/// The socket of that flow, for as long as it is to be live: of an address that no interface has.
pub(crate) fn live_flow() -> Result<UdpSocket> {
    let open = || {
        let (family, kind) = (AddressFamily::Inet, SockType::Datagram);
        let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, IpFreebind, &true)?;
        bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(TO, LIVE_PORT)))?;
        Ok::<_, nix::Error>(UdpSocket::from(socket))
    };
    open().with_context(|| {
        format!("a socket of UDP port {LIVE_PORT}, of whose flow an error is measured")
    })
}

/// The interface that packets come to.
pub(crate) fn endpoint() -> Endpoint {
    let addresses = vec![format!("{TO}/24").parse().expect("a network")];
    Endpoint { addresses, ..Endpoint::default() }
}

/// The address that packets come to.
pub(crate) fn local() -> LocalAddress {
    LocalAddress::new(TO.into(), local::UNICAST)
}

/// Every case, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    use Policy::{Accept, Drop, Limited, Pass, Sent, Source, SourceKnown, SourceLarge, Zone};
    let case = |name: &str, frame, policy, reason, rule| Case {
        name: name.to_owned(),
        frame,
        sources: 0,
        floor: None,
        hook: Hook::Ingress,
        policy,
        reason,
        rule,
        flow: state::NONE,
    };
    let about = |name, port, flow| Case {
        flow,
        ..case(name, time_exceeded(port), Pass, Reason::WITHIN_LIMIT, Some(ERROR))
    };
    let mut bad = echo(98);
    bad[97] ^= 1;
    let within = Reason::WITHIN_LIMIT;
    let sent = |name, frame, reason, rule| Case {
        hook: Hook::Egress,
        ..case(name, frame, Sent, reason, rule)
    };
    let zone = |prefixes, sources, name| Case {
        sources,
        ..case(name, echo(98), Zone(prefixes), Reason::ACCEPTED, Some(ECHO))
    };
    let from = |sources, policy, name, frame, rule| Case {
        sources,
        ..case(name, frame, policy, within, Some(rule))
    };
    let floor = |program, case| Case { floor: Some(program), ..case };
    // Under a policy without a limit by source, whose keys would find its table full.
    let source_floor = |sources, name| {
        let one = case(name, echo(98), Accept, Reason::OVER_LIMIT, None);
        floor(Program::SourceFloor, Case { sources, ..one })
    };
    let gated = |name, policy, reason| Case {
        hook: Hook::Egress,
        ..case(name, stream(), policy, reason, None)
    };
    vec![
        case("tcp-syn", tcp_syn(), Pass, Reason::NOT_ICMP, None),
        case("udp-64", udp(64), Pass, Reason::NOT_ICMP, None),
        case("multicast-1358", stream(), Pass, Reason::NOT_ICMP, None),
        floor(Program::OtherFloor, case("tcp-syn-floor", tcp_syn(), Pass, Reason::NOT_ICMP, None)),
        case("echo-64-pass", echo(64), Pass, within, Some(ECHO)),
        case("echo-98-pass", echo(98), Pass, within, Some(ECHO)),
        floor(Program::EchoFloor, case("echo-98-floor", echo(98), Pass, within, None)),
        case("echo-1442-pass", echo(1442), Pass, within, Some(ECHO)),
        floor(Program::EchoFloor, case("echo-1442-floor", echo(1442), Pass, within, None)),
        case("echo-1514-pass", echo(1514), Pass, within, Some(ECHO)),
        case("echo-98-drop", echo(98), Drop, Reason::DENIED, Some(ECHO)),
        case("echo-98-limited", echo(98), Limited, Reason::OVER_LIMIT, Some(ECHO)),
        case("echo-98-bad-checksum", bad, Pass, Reason::BAD_CHECKSUM, None),
        case("echo6-98-pass", echo6(98), Pass, within, Some(ECHO6)),
        case("igmpv3-report", igmpv3_report(1), Pass, within, Some(REPORT)),
        case("igmpv3-report-8-records", igmpv3_report(8), Pass, within, Some(REPORT)),
        case("igmpv3-report-64-records", igmpv3_report(64), Pass, within, Some(REPORT)),
        case("error-no-flow", time_exceeded(LIVE_PORT), Accept, Reason::ACCEPTED, Some(ERROR)),
        about("error-flow-live", LIVE_PORT, state::LIVE),
        about("error-flow-unknown", LIVE_PORT + 1, state::UNKNOWN),
        case("vlan2-echo-98-pass", two_tags(), Pass, within, Some(ECHO)),
        case("echo-98-accept", echo(98), Accept, Reason::ACCEPTED, Some(ECHO)),
        case("source-limit-1", echo(98), Source, within, Some(ECHO)),
        from(1, Source, "source-limit-front-1", echo(98), ECHO),
        source_floor(1, "source-floor-front-1"),
        from(1 << 14, SourceKnown, "source-limit-16k", echo(98), ECHO),
        source_floor(1 << 14, "source-floor-16k"),
        from(MILLION, Source, "source-limit-1m", echo(98), ECHO),
        source_floor(MILLION, "source-floor-1m"),
        from(MILLION, SourceLarge, "source-limit-1m-large", echo(98), ECHO),
        from(1, Source, "source-limit6-front-1", echo6(98), ECHO6),
        from(MILLION, Source, "source-limit6-1m", echo6(98), ECHO6),
        Case { sources: 1, ..case("zone-none-1", echo(98), Accept, Reason::ACCEPTED, Some(ECHO)) },
        zone(100, 1, "zone-100-prefixes-1"),
        zone(100, 1 << 9, "zone-100-prefixes"),
        zone(10_000, 1, "zone-10000-prefixes-1"),
        zone(10_000, 1 << 16, "zone-10000-prefixes"),
        zone(100_000, 1, "zone-100000-prefixes-1"),
        zone(100_000, 1 << 19, "zone-100000-prefixes"),
        sent("egress-other", tcp_syn(), Reason::NOT_ICMP, None),
        floor(
            Program::EgressOtherFloor,
            sent("egress-other-floor", tcp_syn(), Reason::NOT_ICMP, None),
        ),
        sent("egress-error", unreachable(), within, Some(SENT)),
        gated("egress-gated", Policy::Members(1), Reason::NOT_ICMP),
        gated("egress-gated-observed", Policy::Observed, Reason::NO_MEMBER),
    ]
}

const LINK: Link = Link { destination: [2, 0, 0, 0, 0, 1], source: [2, 0, 0, 0, 0, 2] };
const FROM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const TO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FROM6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const TO6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const ETHERNET: usize = 14;

/// An ICMPv4 echo request in a frame of this many octets.
pub(crate) fn echo(octets: usize) -> Vec<u8> {
    let message = frame::icmp(8, 0, [0, 1, 0, 1], &counting(octets - ETHERNET - 20 - 8));
    LINK.frame(IPV4, &V4::new(FROM, TO, ICMP).packet(&message))
}

/// An ICMPv6 echo request in a frame of this many octets.
fn echo6(octets: usize) -> Vec<u8> {
    let body = counting(octets - ETHERNET - 40 - 8);
    let message = frame::icmpv6(FROM6, TO6, [128, 0], [0, 1, 0, 1], &body);
    LINK.frame(IPV6, &frame::v6(FROM6, TO6, ICMPV6, 64, &message))
}

/// A port unreachable as Linux sends it: it quotes a datagram of 8 octets.
fn unreachable() -> Vec<u8> {
    let quoted =
        V4::new(TO, FROM, UDP).packet(&[0xc0, 0, 0, 53, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    LINK.frame(IPV4, &V4::new(FROM, TO, ICMP).packet(&frame::icmp(3, 3, [0; 4], &quoted)))
}

/// A time exceeded as a router sends it about a datagram from this port.
fn time_exceeded(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let quoted = V4::new(TO, Ipv4Addr::new(198, 51, 100, 1), UDP);
    let quoted = quoted.packet(&[high, low, 0, 53, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    LINK.frame(IPV4, &V4::new(FROM, TO, ICMP).packet(&frame::icmp(11, 0, [0; 4], &quoted)))
}

/// A SYN as Linux sends it, with its usual options: 74 octets.
fn tcp_syn() -> Vec<u8> {
    let mut segment = vec![0xc0, 0, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0xa0, 2, 0xfa, 0xf0, 0, 0];
    segment.extend([0, 0]);
    segment.extend([2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]);
    LINK.frame(IPV4, &V4::new(FROM, TO, TCP).packet(&segment))
}

/// A UDP datagram, without a checksum of its own, in a frame of this many octets.
fn udp(octets: usize) -> Vec<u8> {
    let body = counting(octets - ETHERNET - 20 - 8);
    let [high, low] = ((body.len() + 8) as u16).to_be_bytes();
    let header = [[0xc0, 0, 0, 53], [high, low, 0, 0]].concat();
    LINK.frame(IPV4, &V4::new(FROM, TO, UDP).packet(&[header, body].concat()))
}

/// A datagram of a multicast stream: of video over IP, to the first group that has a member.
pub(crate) fn stream() -> Vec<u8> {
    let body = counting(1316);
    let [high, low] = ((body.len() + 8) as u16).to_be_bytes();
    let header = [[0xc0, 0, 0x13, 0x88], [high, low, 0, 0]].concat();
    let group = Ipv4Addr::from_bits(FIRST_GROUP);
    let [_, b, c, d] = group.octets();
    let link = Link { destination: [1, 0, 0x5e, b & 0x7f, c, d], ..LINK };
    link.frame(IPV4, &V4::new(FROM, group, UDP).packet(&[header, body].concat()))
}

/// The group of which the first is a member, 239.0.0.1, and behind it those of the others.
const FIRST_GROUP: u32 = 0xef00_0001;

/// How long after it all have had the time to answer.
pub(crate) const ANSWERED: Duration = Duration::from_millis(1_200);

/// What has to be met before, so that so many groups have a member: a query, by whom nobody's time runs out while the
/// bench runs, and a report of each group.
pub(crate) fn joined(groups: u32) -> Vec<Vec<u8>> {
    let igmp = |to: Ipv4Addr, message: &[u8]| {
        let header = V4 { ttl: 1, options: vec![0x94, 4, 0, 0], ..V4::new(FROM, to, IGMP) };
        let mut frame = LINK.frame(IPV4, &header.packet(message));
        frame.resize(frame.len().max(60), 0);
        frame
    };
    // From 0.0.0.0, as of a switch: it is no router, to which all goes.
    let query = V4 { ttl: 1, ..V4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(224, 0, 0, 1), IGMP) };
    let query = query.packet(&frame::icmp(0x11, 1, [0; 4], &[7, 255, 0, 0]));
    let link = Link { destination: [1, 0, 0x5e, 0, 0, 1], ..LINK };
    let mut frames = vec![link.frame(IPV4, &query)];
    frames.extend((0..groups).map(|n| {
        let [a, b, c, d] = (FIRST_GROUP + n).to_be_bytes();
        igmp(
            Ipv4Addr::new(224, 0, 0, 22),
            &frame::icmp(0x22, 0, [0, 0, 0, 1], &[4, 0, 0, 0, a, b, c, d]),
        )
    }));
    frames
}

/// A version 3 report of so many records without sources (joins), with router alert, padded to the
/// least that Ethernet carries.
fn igmpv3_report(records: u8) -> Vec<u8> {
    let joins: Vec<u8> = (0..records).flat_map(|n| [4, 0, 0, 0, 232, 1, 1, n]).collect();
    let message = frame::icmp(0x22, 0, [0, 0, 0, records], &joins);
    let to = Ipv4Addr::new(224, 0, 0, 22);
    let header = V4 { ttl: 1, options: vec![0x94, 4, 0, 0], ..V4::new(FROM, to, IGMP) };
    let link = Link { destination: [1, 0, 0x5e, 0, 0, 22], ..LINK };
    let mut frame = link.frame(IPV4, &header.packet(&message));
    frame.resize(frame.len().max(60), 0);
    frame
}

impl Case {
    /// An echo of so many octets under a limit by source, from so many sources.
    pub(crate) fn limited_by_source(name: String, octets: usize, sources: u32) -> Self {
        let (policy, reason) = (Policy::Source, Reason::WITHIN_LIMIT);
        Self { sources, ..Self::echo(name, octets, policy, reason) }
    }

    /// An echo of so many octets that passes under a policy.
    pub(crate) fn echo(name: String, octets: usize, policy: Policy, reason: Reason) -> Self {
        let frame = echo(octets);
        let (sources, floor, hook) = (0, None, Hook::Ingress);
        Self {
            name,
            frame,
            sources,
            floor,
            hook,
            policy,
            reason,
            rule: Some(ECHO),
            flow: state::NONE,
        }
    }

    /// A report of so many records.
    pub(crate) fn report(name: String, records: u8) -> Self {
        Self {
            frame: igmpv3_report(records),
            rule: Some(REPORT),
            ..Self::echo(name, 98, Policy::Pass, Reason::WITHIN_LIMIT)
        }
    }

    /// A report of one group that has a member, among so many.
    pub(crate) fn member(name: String, groups: u32) -> Self {
        let frame = joined(groups).pop().expect("a report");
        let policy = Policy::Members(groups);
        Self { frame, policy, ..Self::report(name, 1) }
    }

    /// A stream to a group that has a member, among so many.
    pub(crate) fn gated(name: String, groups: u32) -> Self {
        let (policy, reason) = (Policy::Members(groups), Reason::NOT_ICMP);
        let case = Self::echo(name, 98, policy, reason);
        Self { frame: stream(), hook: Hook::Egress, rule: None, ..case }
    }

    /// A datagram, which is no concern of the program's, in a frame of so many octets.
    pub(crate) fn other(octets: usize) -> Self {
        let (policy, reason) = (Policy::Pass, Reason::NOT_ICMP);
        let echo = Self::echo(format!("udp-{octets}"), octets, policy, reason);
        Self { frame: udp(octets), rule: None, ..echo }
    }

    /// The frame of an echo from another source: of a network of 256.
    pub(crate) fn with_source(&self, source: u8) -> Vec<u8> {
        let mut frame = self.frame.clone();
        let (last, checksum) = (ETHERNET + 15, ETHERNET + 10);
        // RFC 1624, with the octet in the lower half of its word.
        let was = u16::from_be_bytes([frame[checksum], frame[checksum + 1]]);
        let sum = u32::from(!was) + u32::from(!u16::from(frame[last])) + u32::from(source);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        frame[last] = source;
        frame[checksum..checksum + 2].copy_from_slice(&sum.to_be_bytes());
        frame
    }

    /// The one of [`all`] of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        all().into_iter().find(|case| case.name == name)
    }
}

/// An echo behind a service and a customer tag: 98 octets, the tags included.
fn two_tags() -> Vec<u8> {
    frame::tagged(&frame::tagged(&echo(90), CUSTOMER_TAG, 100), SERVICE_TAG, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_long_its_frame_is() {
        for case in all() {
            let octets = case.name.split('-').find_map(|word| word.parse::<usize>().ok());
            let is_of_octets = case.name.starts_with("echo") || case.name.starts_with("udp");
            let octets = octets.filter(|_| is_of_octets);
            assert!(octets.is_none_or(|n| n == case.frame.len()), "{}", case.name);
        }
        assert_eq!(all()[0].frame.len(), 74);
    }

    #[test]
    fn another_source_has_another_checksum() {
        let case = Case::echo(String::new(), 98, Policy::Pass, Reason::WITHIN_LIMIT);
        for source in [0, 2, 3, 200, 255] {
            let from = Ipv4Addr::new(192, 0, 2, source);
            let message = &case.frame[ETHERNET + 20..];
            let expected = LINK.frame(IPV4, &V4::new(from, TO, ICMP).packet(message));
            assert_eq!(case.with_source(source), expected, "{source}");
        }
    }

    #[test]
    fn the_policies_hold() {
        for case in all() {
            icmpgate::policy::from_str("bench", &case.policy.text()).unwrap();
        }
    }
}
