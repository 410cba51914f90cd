//! Rows V6 to V8: what is for one link alone has the hop limit, the addresses and the options that its documents say,
//! or it is from elsewhere or from nobody who keeps to them. What a Linux sends of these, in `live`, passes all.

use icmp_common::{abi::local, verdict::Reason};
use icmpgate::{datapath::Endpoint, policy::Profile};
use icmpgate_tests::{
    Extension, Gate, Ipv4, Ipv6, Message, check,
    frame::C_TAG,
    gate::{Lease, OPEN},
    message::{igmp, igmp_query_v3, igmp_report, mld_report, record},
};

const HERE4: &str = "198.51.100.1";
const HERE6: &str = "2001:db8:2::1";
const NEIGHBOUR: &str = "fe80::9";
const BROADCAST: &str = "198.51.100.127";

/// Every check enforced: the profile only observes one of them.
fn open() -> Lease {
    let mut gate = Gate::open();
    gate.apply(&format!("{OPEN}[checks]\nrouter-alert = \"enforce\"\n"));
    gate.local(&[(HERE4, local::UNICAST), (HERE6, local::UNICAST), (BROADCAST, local::BROADCAST)]);
    gate
}

fn octets(address: &str) -> [u8; 16] {
    address.parse::<std::net::Ipv6Addr>().expect("an IPv6 address").octets()
}

type Case = (String, Vec<u8>, String);

/// A case of this type, which passes, or is dropped for a reason.
fn case(kind: &str, name: &str, frame: impl Into<Vec<u8>>, fault: Option<Reason>) -> Case {
    let rule = match kind.split_once(' ').map(|(family, _)| family) {
        Some("igmp") => "igmp",
        Some("icmpv4") => "v4",
        _ => "v6",
    };
    let fate = fault.map_or("pass accepted".to_owned(), |f| format!("drop {}", f.label()));
    (format!("{kind}: {name}"), frame.into(), format!("{kind} good -> {fate} by {rule}"))
}

/// A link-layer address as an option.
fn link_address(kind: u8) -> [u8; 8] {
    [kind, 1, 2, 0, 0, 0, 0, 9]
}

fn discovery(from: &str, to: &str, message: Message) -> Ipv6 {
    Ipv6::between(from, to).hop_limit(255).icmp(message)
}

fn solicitation(target: &str) -> Message {
    Message::new(135, 0).word(0).octets(octets(target))
}

fn advertisement(flags: u32, target: &str) -> Message {
    Message::new(136, 0).word(flags).octets(octets(target))
}

const SOLICITED: u32 = 0x4000_0000;

/// RFC 4861 6.1.1, 6.1.2.
#[test]
fn routers_and_those_who_ask_for_them() {
    let (message, address, hops) =
        (Reason::DISCOVERY_MESSAGE, Reason::DISCOVERY_ADDRESS, Reason::HOP_LIMIT);
    let asks = || Message::new(133, 0).word(0);
    let prefix = [3, 4, 64, 0xc0].into_iter().chain([0; 28]).collect::<Vec<u8>>();
    let says = || Message::new(134, 0).word(0x4000_0708).zeros(16);
    let (rs, ra) = ("icmpv6 133/0", "icmpv6 134/0");
    let mut cases = vec![
        case(
            rs,
            "from an address",
            discovery(NEIGHBOUR, "ff02::2", asks().octets(link_address(1))),
            None,
        ),
        case(rs, "from none", discovery("::", "ff02::2", asks()), None),
        case(
            rs,
            "from none, and says whose",
            discovery("::", "ff02::2", asks().octets(link_address(1))),
            Some(address),
        ),
        case(
            rs,
            "from none, with another option",
            discovery("::", "ff02::2", asks().octets(link_address(14))),
            None,
        ),
        case(
            ra,
            "from a router",
            discovery(NEIGHBOUR, "ff02::1", says().octets(link_address(1)).octets(&prefix)),
            None,
        ),
        case(ra, "without options", discovery(NEIGHBOUR, HERE6, says()), None),
        case(
            ra,
            "from no link-local address",
            discovery("2001:db8:2::9", "ff02::1", says()),
            Some(address),
        ),
        case(ra, "from none", discovery("::", "ff02::1", says()), Some(address)),
    ];
    for hop_limit in [0, 1, 64, 254] {
        for (kind, message) in [(rs, asks()), (ra, says())] {
            let packet = discovery(NEIGHBOUR, "ff02::1", message).hop_limit(hop_limit);
            cases.push(case(kind, &format!("hop limit {hop_limit}"), packet, Some(hops)));
        }
    }
    for (name, options, fault) in [
        ("an option without length", vec![1, 0, 0, 0, 0, 0, 0, 0], Some(message)),
        ("an option that runs past the end", vec![3, 2, 0, 0, 0, 0, 0, 0], Some(message)),
        ("an option that is cut", vec![1, 1, 0, 0], Some(message)),
        (
            "a length of zero behind others",
            [&prefix[..], &link_address(1), &[25, 0]].concat(),
            Some(message),
        ),
        ("an option of an unknown type", vec![253, 1, 0, 0, 0, 0, 0, 0], None),
        ("the longest", [&[253, 150][..], &[0; 1198]].concat(), None),
        ("as many as are walked", [253, 1, 0, 0, 0, 0, 0, 0].repeat(192), None),
    ] {
        cases.push(case(ra, name, discovery(NEIGHBOUR, "ff02::1", says().octets(options)), fault));
    }
    // The walk goes in parts of sixteen.
    let others = |n| [253, 1, 0, 0, 0, 0, 0, 0].repeat(n);
    for n in [15, 16, 17, 31, 32, 191] {
        let name = format!("from none, and says whose behind {n} others");
        let whose = asks().octets(others(n)).octets(link_address(1));
        cases.push(case(rs, &name, discovery("::", "ff02::2", whose), Some(address)));
        let name = format!("a length of zero behind {n} others");
        let none = says().octets(others(n)).octets([25, 0, 0, 0, 0, 0, 0, 0]);
        cases.push(case(ra, &name, discovery(NEIGHBOUR, "ff02::1", none), Some(message)));
        let name = format!("from none, and says whose before {n} others");
        let whose = asks().octets(link_address(1)).octets(others(n));
        cases.push(case(rs, &name, discovery("::", "ff02::2", whose), Some(address)));
    }
    check(&mut open(), cases);
    // That has the reason of what isn't walked, which no rule can ask for or relax.
    let more = says().octets([253, 1, 0, 0, 0, 0, 0, 0].repeat(193));
    let more = discovery(NEIGHBOUR, "ff02::1", more);
    check(&mut open(), [("one more", more, "icmpv6 134/0 good -> drop records-beyond-bound")]);
    let coded = discovery(NEIGHBOUR, "ff02::1", Message::new(134, 7).zeros(16));
    check(&mut open(), [("a code", coded, "icmpv6 134/7 good -> drop discovery-message by v6")]);
}

/// RFC 4861 7.1.1, 7.1.2; duplicate address detection is RFC 4862 5.4.
#[test]
fn neighbours() {
    let (address, hops) = (Reason::DISCOVERY_ADDRESS, Reason::HOP_LIMIT);
    let (ns, na) = ("icmpv6 135/0", "icmpv6 136/0");
    let node = "ff02::1:ff00:1";
    let cases = vec![
        case(
            ns,
            "to a node",
            discovery(NEIGHBOUR, HERE6, solicitation(HERE6).octets(link_address(1))),
            None,
        ),
        case(
            ns,
            "to the solicited-node address",
            discovery(NEIGHBOUR, node, solicitation(HERE6)),
            None,
        ),
        case(
            ns,
            "detection of duplicates",
            discovery("::", node, solicitation(HERE6).octets(link_address(14))),
            None,
        ),
        case(
            ns,
            "the same, and says whose",
            discovery("::", node, solicitation(HERE6).octets(link_address(1))),
            Some(address),
        ),
        case(
            ns,
            "the same to all nodes",
            discovery("::", "ff02::1", solicitation(HERE6)),
            Some(address),
        ),
        case(ns, "the same to a node", discovery("::", HERE6, solicitation(HERE6)), Some(address)),
        case(
            ns,
            "the same to nearly a solicited-node address",
            discovery("::", "ff02::1:fe00:1", solicitation(HERE6)),
            Some(address),
        ),
        case(
            ns,
            "about a group",
            discovery(NEIGHBOUR, HERE6, solicitation("ff02::1")),
            Some(address),
        ),
        case(
            ns,
            "from another link",
            discovery("2001:db8:77::1", HERE6, solicitation(HERE6)).hop_limit(64),
            Some(hops),
        ),
        case(
            na,
            "solicited",
            discovery(
                NEIGHBOUR,
                HERE6,
                advertisement(SOLICITED, NEIGHBOUR).octets(link_address(2)),
            ),
            None,
        ),
        case(
            na,
            "of itself, to all",
            discovery(
                NEIGHBOUR,
                "ff02::1",
                advertisement(0x2000_0000, NEIGHBOUR).octets(link_address(2)),
            ),
            None,
        ),
        case(
            na,
            "solicited, to all",
            discovery(NEIGHBOUR, "ff02::1", advertisement(SOLICITED, NEIGHBOUR)),
            Some(address),
        ),
        case(
            na,
            "about a group",
            discovery(NEIGHBOUR, HERE6, advertisement(SOLICITED, "ff02::9")),
            Some(address),
        ),
        case(
            na,
            "from another link",
            discovery("2001:db8:77::1", HERE6, advertisement(SOLICITED, "2001:db8:2::9"))
                .hop_limit(254),
            Some(hops),
        ),
        // RFC 3122 5.
        case(
            "icmpv6 141/0",
            "inverse",
            discovery(
                NEIGHBOUR,
                "ff02::1",
                Message::new(141, 0).word(0).octets(link_address(1)).octets(link_address(2)),
            ),
            None,
        ),
        case(
            "icmpv6 142/0",
            "inverse, from another link",
            discovery(NEIGHBOUR, HERE6, Message::new(142, 0).word(0).octets(link_address(1)))
                .hop_limit(9),
            Some(hops),
        ),
    ];
    check(&mut open(), cases);
}

/// RFC 4861 8.1, as far as no route is asked.
#[test]
fn redirects() {
    let address = Reason::DISCOVERY_ADDRESS;
    let redirect = |target: &str, about: &str| {
        Message::new(137, 0).word(0).octets(octets(target)).octets(octets(about))
    };
    let kind = "icmpv6 137/0";
    let far = "2001:db8:9::9";
    let cases = vec![
        case(kind, "to a router", discovery(NEIGHBOUR, HERE6, redirect("fe80::7", far)), None),
        case(kind, "to the destination", discovery(NEIGHBOUR, HERE6, redirect(far, far)), None),
        case(
            kind,
            "to neither",
            discovery(NEIGHBOUR, HERE6, redirect("2001:db8:2::7", far)),
            Some(address),
        ),
        case(
            kind,
            "about a group",
            discovery(NEIGHBOUR, HERE6, redirect("fe80::7", "ff0e::9")),
            Some(address),
        ),
        case(
            kind,
            "from no link-local address",
            discovery("2001:db8:2::9", HERE6, redirect("fe80::7", far)),
            Some(address),
        ),
        case(
            kind,
            "from another link",
            discovery(NEIGHBOUR, HERE6, redirect("fe80::7", far)).hop_limit(64),
            Some(Reason::HOP_LIMIT),
        ),
    ];
    check(&mut open(), cases);
}

/// RFC 6980 5: under any fragment header, an atomic fragment's too, wherever it stands in the chain.
#[test]
fn no_discovery_comes_in_fragments() {
    let fragmented = Some(Reason::FRAGMENTED_DISCOVERY);
    let mut cases = Vec::new();
    for (ty, length, fault) in [
        (133, 8, fragmented),
        (134, 16, fragmented),
        (135, 24, fragmented),
        (136, 24, fragmented),
        (148, 8, fragmented),
        (149, 12, fragmented),
        (141, 8, None),
        (128, 8, None),
    ] {
        let message = || discovery(NEIGHBOUR, HERE6, Message::new(ty, 0).zeros(length));
        let kind = format!("icmpv6 {ty}/0");
        let atomic = || Extension::fragment(0, false);
        let behind = message().extension(Extension::destination_options(0)).extension(atomic());
        cases.push(case(&kind, "whole", message(), None));
        cases.push(case(
            &kind,
            "behind options",
            message().extension(Extension::hop_by_hop(1)),
            None,
        ));
        cases.push(case(&kind, "atomic", message().extension(atomic()), fault));
        cases.push(case(&kind, "atomic, behind others", behind, fault));
    }
    check(&mut open(), cases);
}

/// RFC 1256 3.1.
#[test]
fn router_advertisements_of_icmpv4() {
    let says = |count: u32, words: u32, octets: usize| {
        let message = Message::new(9, 0).word(count << 24 | words << 16 | 1800).zeros(8 + octets);
        Ipv4::between("198.51.100.9", "224.0.0.1").ttl(1).icmp(message)
    };
    let (kind, bad) = ("icmpv4 9/0", Some(Reason::ROUTER_ADVERTISEMENT));
    let cases = vec![
        case(kind, "one entry", says(1, 2, 8), None),
        case(kind, "three", says(3, 2, 24), None),
        case(kind, "longer entries", says(2, 3, 24), None),
        case(kind, "data behind", says(1, 2, 40), None),
        case(kind, "no entry", says(0, 2, 8), bad),
        case(kind, "entries of a word", says(2, 1, 8), bad),
        case(kind, "entries of nothing", says(9, 0, 8), bad),
        case(kind, "an entry that is cut", says(2, 2, 12), bad),
        case(kind, "255 entries", says(255, 255, 64), bad),
    ];
    check(&mut open(), cases);
}

const GROUP: &str = "239.1.2.3";

fn membership(to: &str, message: Message) -> Ipv4 {
    Ipv4::between("198.51.100.9", to).ttl(1).router_alert().igmp(message)
}

/// RFC 1112, RFC 2236, RFC 9776 4.1.12, 4.2.14.
#[test]
fn igmp_goes_where_its_type_does() {
    let address = Some(Reason::GROUP_ADDRESS);
    let mut cases = Vec::new();
    let (query, v1, v2, leave, v3) =
        ("igmp 17/0", "igmp 18/0", "igmp 22/0", "igmp 23/0", "igmp 34/0");
    let of = |group: &str| igmp_report(1, &[record_of(group)]);
    for (kind, name, to, message, fault) in [
        (query, "general", "224.0.0.1", igmp(0x11, 100, "0.0.0.0"), None),
        (query, "general, version 1", "224.0.0.1", igmp(0x11, 0, "0.0.0.0"), None),
        (query, "general, version 3", "224.0.0.1", igmp_query_v3("0.0.0.0", 0, 0), None),
        (query, "general, to a host", HERE4, igmp(0x11, 100, "0.0.0.0"), None),
        (query, "general, to a group", GROUP, igmp(0x11, 100, "0.0.0.0"), address),
        (query, "of a group", GROUP, igmp(0x11, 10, GROUP), None),
        (query, "of a group and sources", GROUP, igmp_query_v3(GROUP, 2, 2), None),
        (query, "of a group, to another", "239.1.2.4", igmp(0x11, 10, GROUP), address),
        (query, "of a group, to all systems", "224.0.0.1", igmp(0x11, 10, GROUP), None),
        (
            query,
            "general, to all the network",
            "255.255.255.255",
            igmp(0x11, 100, "0.0.0.0"),
            address,
        ),
        (
            query,
            "general, to a broadcast by the routes",
            BROADCAST,
            igmp(0x11, 100, "0.0.0.0"),
            address,
        ),
        (v2, "report to a broadcast", BROADCAST, igmp(0x16, 0, GROUP), address),
        (query, "of no group", "224.0.0.1", igmp(0x11, 10, "198.51.100.9"), address),
        (v1, "report", GROUP, igmp(0x12, 0, GROUP), None),
        (v1, "report to another group", "224.0.0.1", igmp(0x12, 0, GROUP), address),
        (v2, "report", GROUP, igmp(0x16, 0, GROUP), None),
        (v2, "report of no group", HERE4, igmp(0x16, 0, "223.255.255.255"), address),
        (v2, "report of nothing", HERE4, igmp(0x16, 0, "0.0.0.0"), address),
        (v2, "report to another group", "224.0.0.2", igmp(0x16, 0, GROUP), address),
        (leave, "leave", "224.0.0.2", igmp(0x17, 0, GROUP), None),
        (leave, "leave, to the group", GROUP, igmp(0x17, 0, GROUP), None),
        (leave, "leave to all systems", "224.0.0.1", igmp(0x17, 0, GROUP), address),
        (leave, "leave of no group", "224.0.0.2", igmp(0x17, 0, "10.1.2.3"), address),
        (v3, "report", "224.0.0.22", of(GROUP), None),
        (v3, "report of nothing", "224.0.0.22", igmp_report(0, &[]), None),
        (v3, "report to a host", HERE4, of(GROUP), None),
        (v3, "report to all systems", "224.0.0.1", of(GROUP), address),
        (v3, "report of no group", "224.0.0.22", of("240.1.2.3"), address),
        (
            v3,
            "report of groups and one that is none",
            "224.0.0.22",
            igmp_report(3, &[record_of(GROUP), record_of("10.0.0.1"), record_of(GROUP)]),
            address,
        ),
    ] {
        cases.push(case(kind, name, membership(to, message), fault));
    }
    // The walk goes in parts of sixteen.
    for n in [0, 15, 16, 17, 31, 32, 191] {
        let mut records = vec![record_of(GROUP); 192];
        records[n] = record_of("240.1.2.3");
        let name = format!("report of 192 groups, of which one is none, behind {n}");
        let packet = membership("224.0.0.22", igmp_report(192, &records));
        cases.push(case(v3, &name, packet, address));
    }
    check(&mut open(), cases);
}

/// A record of a version 3 report: to be joined, without sources.
fn record_of(group: &str) -> Vec<u8> {
    let mut record = record(4, 0, 0);
    record[4..8]
        .copy_from_slice(&group.parse::<std::net::Ipv4Addr>().expect("an address").octets());
    record
}

/// TTL 1 and router alert (RFC 9776 4, RFC 4286 3 to 5); DVMRP, PIM and mtrace travel further.
#[test]
fn igmp_is_for_the_link() {
    let mut cases = Vec::new();
    let types: [(u8, &str, Message); 8] = [
        (0x11, "224.0.0.1", igmp(0x11, 100, "0.0.0.0")),
        (0x12, GROUP, igmp(0x12, 0, GROUP)),
        (0x16, GROUP, igmp(0x16, 0, GROUP)),
        (0x17, "224.0.0.2", igmp(0x17, 0, GROUP)),
        (0x22, "224.0.0.22", igmp_report(1, &[record_of(GROUP)])),
        (0x30, "224.0.0.106", Message::new(0x30, 20).half(125).half(2)),
        (0x31, "224.0.0.2", Message::new(0x31, 0)),
        (0x32, "224.0.0.106", Message::new(0x32, 0)),
    ];
    for (ty, to, message) in types {
        let kind = format!("igmp {ty}/0");
        let packet = || Ipv4::between("198.51.100.9", to).ttl(1).igmp(message.clone());
        // Version 1 knows no router alert; what it has in its place is nobody's business.
        let missing = (ty != 0x12).then_some(Reason::ROUTER_ALERT);
        cases.push(case(&kind, "alert", packet().router_alert(), None));
        cases.push(case(
            &kind,
            "alert behind others",
            packet().raw_options(&[1, 7, 3, 4, 1, 0x94, 4, 0, 0, 0, 0, 0]),
            None,
        ));
        cases.push(case(&kind, "no options", packet(), missing));
        cases.push(case(
            &kind,
            "other options",
            packet().raw_options(&[7, 7, 4, 0, 0, 0, 0, 0]),
            missing,
        ));
        cases.push(case(
            &kind,
            "an alert behind the end",
            packet().raw_options(&[0, 0, 0, 0, 0x94, 4, 0, 0]),
            missing,
        ));
        for ttl in [0, 2, 64, 255] {
            let packet = packet().router_alert().ttl(ttl);
            cases.push(case(&kind, &format!("TTL {ttl}"), packet, Some(Reason::HOP_LIMIT)));
        }
    }
    for (ty, message) in
        [(0x13, Message::new(0x13, 1).word(0)), (0x1f, Message::new(0x1f, 32).zeros(24))]
    {
        let packet = Ipv4::between("198.51.100.9", "224.0.0.4").ttl(64).igmp(message);
        cases.push(case(&format!("igmp {ty}/0"), "travels", packet, None));
    }
    // A query of version 1, too, has none.
    let query = Ipv4::between("198.51.100.9", "224.0.0.1").ttl(1).igmp(igmp(0x11, 0, "0.0.0.0"));
    cases.push(case("igmp 17/0", "version 1", query, None));
    check(&mut open(), cases);
}

/// RFC 9776 4.2.13: from a network of the interface's, or from 0.0.0.0; a querier without an address is a switch
/// (RFC 4541 2.1.1).
#[test]
fn igmp_is_from_the_link() {
    let from = |from: &str| {
        let packet = Ipv4::between(from, GROUP).ttl(1).router_alert();
        packet.igmp(igmp(0x16, 0, GROUP))
    };
    let leave = |from: &str| {
        let packet = Ipv4::between(from, "224.0.0.2").ttl(1).router_alert();
        packet.igmp(igmp(0x17, 0, GROUP))
    };
    let elsewhere = Some(Reason::GROUP_SOURCE);
    let (report, left) = ("igmp 22/0", "igmp 23/0");
    let query = |from: &str| {
        let packet = Ipv4::between(from, "224.0.0.1").ttl(1).router_alert();
        packet.igmp(igmp(0x11, 100, "0.0.0.0"))
    };
    let on = |addresses: &[&str]| Endpoint {
        addresses: addresses.iter().map(|a| a.parse().expect("a network")).collect(),
        ..Endpoint::default()
    };
    let mut gate = open();
    // Of an interface without addresses nothing is known.
    check(&mut gate, [case(report, "unknown", from("203.0.113.9"), None)]);
    gate.endpoint(&on(&["198.51.100.1/25", "192.0.2.1/24"]));
    let tagged = |vlan: Ipv4| vlan.frame().tags(1);
    let behind = |vlans: &[u16]| {
        let frame = from("198.51.100.129").frame();
        vlans.iter().fold(frame, |frame, vlan| frame.tag(C_TAG, 0xe000 | vlan))
    };
    let cases = vec![
        case(report, "a neighbour", from("198.51.100.9"), None),
        case(report, "a neighbour of the other network", from("192.0.2.200"), None),
        case(report, "without an address", from("0.0.0.0"), None),
        case(report, "of another network", from("198.51.100.129"), elsewhere),
        case(left, "of another network", leave("203.0.113.9"), elsewhere),
        case(left, "a neighbour", leave("198.51.100.9"), None),
        // The networks of a VLAN are another interface's, and a switch asks from wherever it has an address.
        case(report, "of another network, tagged", tagged(from("198.51.100.129")), None),
        case(report, "likewise, behind a priority", behind(&[0, 7]), None),
        // A tag of VLAN 0 says a priority alone.
        case(report, "of another network, with a priority", behind(&[0]), elsewhere),
        case(report, "of another network, with two", behind(&[0, 0]), elsewhere),
        case("igmp 17/0", "of a switch of another network", query("203.0.113.9"), None),
    ];
    check(&mut gate, cases);
    // An address that stands alone says nothing of who else is there.
    gate.endpoint(&on(&["198.51.100.1/32"]));
    check(&mut gate, [case(report, "beside a lone address", from("198.51.100.9"), None)]);
}

/// RFC 2710, RFC 9777 5: hop limit 1, router alert among the hop-by-hop options, from a link-local address, or a
/// report from none.
#[test]
fn mld_is_for_and_from_the_link() {
    let (hops, alert) = (Some(Reason::HOP_LIMIT), Some(Reason::ROUTER_ALERT));
    let (group, source) = (Some(Reason::GROUP_ADDRESS), Some(Reason::GROUP_SOURCE));
    let about = |ty: u8, group: &str| Message::new(ty, 0).word(0).octets(octets(group));
    let joins = |group: &str| {
        let record = [&[4, 0, 0, 0][..], &octets(group)].concat();
        Message::new(143, 0).word(1).octets(record)
    };
    let sent = |from: &str, message: Message| {
        let packet = Ipv6::between(from, "ff02::16").hop_limit(1);
        packet.extension(Extension::router_alert()).icmp(message)
    };
    let mut cases = Vec::new();
    for (ty, message, strange) in [
        (130, about(130, "::"), None),
        (130, about(130, "ff0e::9"), Some(about(130, "2001:db8::9"))),
        (131, about(131, "ff0e::9"), Some(about(131, "::"))),
        (132, about(132, "ff0e::9"), Some(about(132, "fe80::9"))),
        (143, joins("ff0e::9"), Some(joins("fe02::9"))),
        (151, Message::new(151, 20).half(125).half(2), None),
        (152, Message::new(152, 0), None),
        (153, Message::new(153, 0), None),
    ] {
        // A rule and a counter by code, which receivers ignore.
        let kind = &format!("icmpv6 {ty}/{}", if ty == 151 { 20 } else { 0 });
        let without = |options: &[u8]| {
            let header = Extension::raw(0, [&[0, 0][..], options].concat());
            Ipv6::between(NEIGHBOUR, "ff02::16")
                .hop_limit(1)
                .extension(header)
                .icmp(message.clone())
        };
        let reports = matches!(ty, 131 | 132 | 143);
        cases.extend([
            case(kind, "good", sent(NEIGHBOUR, message.clone()), None),
            case(kind, "hop limit 2", sent(NEIGHBOUR, message.clone()).hop_limit(2), hops),
            case(kind, "hop limit 255", sent(NEIGHBOUR, message.clone()).hop_limit(255), hops),
            case(kind, "alert behind padding", without(&[1, 0, 5, 2, 0, 0]), None),
            case(kind, "alert behind an octet of padding", without(&[0, 0, 5, 2, 0, 0]), None),
            case(kind, "padding alone", without(&[1, 4, 0, 0, 0, 0]), alert),
            case(kind, "another option", without(&[0xc, 4, 5, 2, 0, 0]), alert),
            case(
                kind,
                "from an address of wider scope",
                sent("2001:db8:2::9", message.clone()),
                source,
            ),
            case(
                kind,
                "from none",
                sent("::", message.clone()),
                if reports { None } else { source },
            ),
        ]);
        let bare = Ipv6::between(NEIGHBOUR, "ff02::16").hop_limit(1).icmp(message.clone());
        let other = Ipv6::between(NEIGHBOUR, "ff02::16").hop_limit(1);
        let other = other.extension(Extension::destination_options(0)).icmp(message);
        cases.push(case(kind, "no options", bare, alert));
        cases.push(case(kind, "other headers", other, alert));
        cases.extend(strange.map(|m| case(kind, "about no group", sent(NEIGHBOUR, m), group)));
    }
    // The walk goes in parts of sixteen.
    let about = |group: &str| [&[4, 0, 0, 0][..], &octets(group)].concat();
    for n in [0, 15, 16, 17, 31, 32, 149] {
        let mut records = vec![about("ff0e::9"); 150];
        records[n] = about("fe0e::9");
        let name = format!("150 groups, of which one is none, behind {n}");
        let packet = sent(NEIGHBOUR, mld_report(150, &records));
        cases.push(case("icmpv6 143/0", &name, packet, group));
    }
    let packet = sent(NEIGHBOUR, mld_report(150, &vec![about("ff0e::9"); 150]));
    cases.push(case("icmpv6 143/0", "150 groups", packet, None));
    check(&mut open(), cases);
}

/// What isn't there says nothing, and nothing is read behind the message.
#[test]
fn cut_anywhere() {
    let mut gate = Gate::open();
    gate.apply(&format!(
        "{OPEN}[checks]\nmessage-too-short = \"off\"\nrecords-overrun = \"off\"\n"
    ));
    gate.local(&[(HERE4, local::UNICAST), (HERE6, local::UNICAST)]);
    let whole = solicitation("ff02::1").octets([1, 0, 0, 0, 0, 0, 0, 0]);
    for n in 4..=32 {
        for behind in [0, 40] {
            let packet = discovery(NEIGHBOUR, HERE6, whole.clone().length(n));
            let mut frame = Vec::from(packet);
            frame.extend(vec![0xff; behind]);
            let seen = gate.run(&frame);
            // 24 octets have the target, and options follow.
            let is_bad = n >= 24;
            assert_eq!(seen.reason() == Reason::ACCEPTED, !is_bad, "{n} and {behind}: {seen}");
        }
    }
}

/// Missing router alert is counted, and dropped by `strict` alone; all else is enforced.
#[test]
fn each_profile_does_what_it_says() {
    for profile in [Profile::Host, Profile::Router, Profile::Strict] {
        let mut gate = Gate::profile(profile);
        gate.local(&[(HERE4, local::UNICAST), (HERE6, local::UNICAST)]);
        let bare = Ipv4::between("198.51.100.9", GROUP).ttl(1).igmp(igmp(0x16, 0, GROUP));
        let seen = gate.run(&Vec::from(bare.clone())).to_string();
        let expected = match profile {
            Profile::Strict => "igmp 22/0 good -> drop router-alert by igmp/membership",
            _ => "igmp 22/0 good -> pass (observed) router-alert by igmp/membership",
        };
        assert_eq!(seen, expected, "{profile:?}");
        let far = gate.run(&Vec::from(bare.ttl(2)));
        assert_eq!(far.reason(), Reason::HOP_LIMIT, "{profile:?}");
        let rogue = discovery("2001:db8:2::9", "ff02::1", Message::new(134, 0).zeros(16));
        assert_eq!(gate.run(&Vec::from(rogue)).reason(), Reason::DISCOVERY_ADDRESS, "{profile:?}");
    }
}

/// A router advertisement of each family, from this router.
fn advertised(router: &str) -> Vec<u8> {
    if router.contains(':') {
        return discovery(router, "ff02::1", Message::new(134, 0).zeros(16)).into();
    }
    let entry = Message::new(9, 0).word(0x0102_0708).octets([192, 0, 2, 9]).octets([0; 4]);
    Ipv4::between(router, "224.0.0.1").ttl(1).icmp(entry).into()
}

const ROUTER4: &str = "192.0.2.254";
const STRANGER4: &str = "192.0.2.253";
const ROUTER6: &str = "fe80::fe";
const STRANGER6: &str = "fe80::fd";

/// RA guard (RFC 6105) by a list: of each family of which a router is listed.
#[test]
fn only_listed_routers_advertise_where_some_are_listed() {
    let mut gate = open();
    for (routers, four, six) in [
        ("", true, true),
        ("routers = [\"192.0.2.254\", \"fe80::fe\"]", false, false),
        ("routers = \"fe80::fe\"", true, false),
        ("routers = \"192.0.2.254\"", false, true),
    ] {
        let text = match routers {
            "" => OPEN.to_owned(),
            _ => format!("{routers}\n{OPEN}"),
        };
        gate.apply(&text);
        for (router, kind, rule, passes) in [
            (ROUTER4, "icmpv4 9/0", "v4", true),
            (STRANGER4, "icmpv4 9/0", "v4", four),
            (ROUTER6, "icmpv6 134/0", "v6", true),
            (STRANGER6, "icmpv6 134/0", "v6", six),
        ] {
            let fate = if passes { "pass accepted" } else { "drop router-unlisted" };
            let seen = gate.run(&advertised(router)).to_string();
            assert_eq!(seen, format!("{kind} good -> {fate} by {rule}"), "{routers}");
        }
        // Who asks for routers, and neighbours, are none.
        for message in [Message::new(133, 0).word(0), solicitation(STRANGER6)] {
            let seen = gate.run(&Vec::from(discovery(STRANGER6, "ff02::2", message)));
            assert_eq!(seen.reason(), Reason::ACCEPTED, "{routers}: {seen}");
        }
    }
}

#[test]
fn the_list_of_routers_is_relaxed_by_rule_and_by_policy() {
    let mut gate = open();
    let both = "routers = [\"192.0.2.254\", \"fe80::fe\"]\n";
    for (mode, fate) in [
        ("enforce", "drop router-unlisted"),
        ("observe", "pass (observed) router-unlisted"),
        ("off", "pass accepted"),
    ] {
        let by_rule = OPEN.replace(
            "action = \"pass\"",
            &format!("action = \"pass\"\nchecks = {{ router-unlisted = \"{mode}\" }}"),
        );
        let by_policy = format!("{OPEN}[checks]\nrouter-unlisted = \"{mode}\"\n");
        for policy in [by_rule, by_policy] {
            gate.apply(&format!("{both}{policy}"));
            for (router, what) in [(STRANGER4, "icmpv4 9/0 good"), (STRANGER6, "icmpv6 134/0 good")]
            {
                let rule = if router == STRANGER4 { "v4" } else { "v6" };
                let seen = gate.run(&advertised(router)).to_string();
                assert_eq!(seen, format!("{what} -> {fate} by {rule}"), "{policy}");
            }
        }
    }
}

/// Those of ICMPv4 no profile takes but from listed routers (RFC 1256), and solicitations from nobody.
#[test]
fn a_profile_takes_router_discovery_of_icmpv4_from_listed_routers() {
    for profile in ["host", "strict", "router"] {
        let bare = format!("profile = \"{profile}\"\n");
        let listed = format!("{bare}routers = \"192.0.2.254\"\n");
        let mut gate = Gate::new(&bare);
        gate.local(&[(HERE4, local::UNICAST)]);
        let solicits: Vec<u8> =
            Ipv4::between(ROUTER4, "224.0.0.2").ttl(1).icmp(Message::new(10, 0).word(0)).into();
        for (text, router, expected) in [
            (&bare, ROUTER4, Reason::DENIED),
            (&listed, ROUTER4, Reason::ACCEPTED),
            (&listed, STRANGER4, Reason::DENIED),
        ] {
            gate.apply(text);
            assert_eq!(gate.run(&advertised(router)).reason(), expected, "{text}");
            assert_eq!(gate.run(&solicits).reason(), Reason::DENIED, "{text}");
            // What is wrong with it is, whoever sends it.
            let bad = Message::new(9, 0).word(0x0101_0708).zeros(16);
            let bad = Ipv4::between(router, "224.0.0.1").ttl(1).icmp(bad);
            assert_eq!(gate.run(&Vec::from(bad)).reason(), Reason::ROUTER_ADVERTISEMENT);
        }
    }
}
