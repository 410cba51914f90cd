//! Rows W1 to W9: what the program makes of every wire format, whole, cut and at its edges.
//!
//! The policy passes whatever the checks let through, so a verdict here is the parser's.

use icmp_common::abi::local;
use icmpgate_tests::{
    Extension, Frame, Gate, Ipv4, Ipv6, Message, check,
    frame::{C_TAG, ETHER_IPV4, S_TAG},
    gate::OPEN,
    message::{
        echo, error_v4, error_v6, igmp, igmp_query_v3, igmp_report, mld, mld_query_v2, mld_report,
        quote_v4, quote_v6, record, record6,
    },
};
use std::collections::BTreeMap;

const ECHO: &str = "icmpv4 8/0 good -> pass accepted by v4";
const ECHO6: &str = "icmpv6 128/0 good -> pass accepted by v6";
const NOT_OURS: &str = "none -> pass not-icmp";

fn ping() -> Ipv4 {
    Ipv4::default().icmp(echo(8).length(64))
}

fn ping6() -> Ipv6 {
    Ipv6::default().icmp(echo(128).length(64))
}

#[test]
fn ethernet_and_its_tags() {
    let third = "none -> pass vlan-tags-beyond-bound";
    let hidden = "none -> drop priority-tags";
    let cases: Vec<(&str, Frame, &str)> = vec![
        ("untagged", ping().frame(), ECHO),
        ("a customer tag", ping().frame().tag(C_TAG, 5), ECHO),
        ("a service tag", ping().frame().tag(S_TAG, 5), ECHO),
        ("service and customer tag", ping().frame().tag(S_TAG, 9).tag(C_TAG, 5), ECHO),
        ("two customer tags", ping().frame().tags(2), ECHO),
        ("priority only", ping().frame().tag(C_TAG, 0xe000), ECHO),
        ("two tags, IPv6", ping6().frame().tags(2), ECHO6),
        ("a third tag", ping().frame().tags(3), third),
        ("a third tag, IPv6", ping6().frame().tag(S_TAG, 1).tags(2), third),
        ("a fourth tag", ping().frame().tags(4), third),
        // Linux takes away any number of tags of VLAN 0.
        ("three of VLAN 0", ping().frame().tag(C_TAG, 0).tag(S_TAG, 0).tag(C_TAG, 0xe000), hidden),
        ("nine of VLAN 0", (0..9).fold(ping().frame(), |f, _| f.tag(C_TAG, 0)), hidden),
        ("a third of VLAN 0", ping6().frame().tags(2).tag(C_TAG, 0), hidden),
        ("a first of VLAN 0", ping6().frame().tag(C_TAG, 0).tags(2), hidden),
        ("a fourth of VLAN 0", ping().frame().tags(3).tag(C_TAG, 0), third),
        (
            "other traffic behind VLAN 0",
            Ipv4::default().payload(17, [0; 8]).frame().tag(C_TAG, 0).tags(2),
            third,
        ),
        ("ARP", Frame::new(0x0806, vec![0; 46]), NOT_OURS),
        ("a length and not a type", Frame::new(64, vec![0xaa; 64]), NOT_OURS),
        ("MPLS", ping().frame().ether_type(0x8847), NOT_OURS),
        ("a tag of the old 0x9100", ping().frame().tag(0x9100, 5), NOT_OURS),
        ("a tag and nothing behind", Frame::new(C_TAG, []), NOT_OURS),
        ("half a tag", Frame::new(C_TAG, [0, 5]), NOT_OURS),
        ("two tags and nothing behind", Frame::new(C_TAG, [0, 5, 0x88, 0xa8, 0]), NOT_OURS),
        ("a header alone", Frame::new(ETHER_IPV4, []), NOT_OURS),
    ];
    check(&mut Gate::open(), cases);
}

#[test]
fn ipv4_lengths_and_versions() {
    let mut gate = Gate::open();
    for options in 0..=10 {
        let name = format!("{options} words of options");
        check(&mut gate, [(name, ping().options(options * 4), ECHO)]);
    }
    for version in (0..16).filter(|v| *v != 4) {
        let expected = "icmpv4 8/0 good -> drop ip-version";
        check(&mut gate, [(format!("version {version}"), ping().version(version), expected)]);
    }
    for words in 0..5 {
        let expected = "icmpv4 -> drop ip-header-length";
        check(&mut gate, [(format!("{words} words"), ping().header_words(words), expected)]);
    }
    let past = "icmpv4 8/0 -> drop ip-total-length";
    let cases: Vec<(&str, Frame, &str)> = vec![
        ("router alert", ping().router_alert().frame(), ECHO),
        ("don't fragment", ping().dont_fragment().frame(), ECHO),
        ("the reserved flag", ping().fragment(0, false).frame(), ECHO),
        ("TTL 0", ping().ttl(0).frame(), ECHO),
        ("padding behind the packet", ping().frame().pad(13), ECHO),
        ("padding behind the packet and tags", ping().frame().tags(2).pad(200), ECHO),
        ("one octet less than stated", ping().frame().cut(1), past),
        ("one octet more stated", ping().total_length_off(1).frame(), past),
        ("65,535 octets stated", ping().total_length(65_535).frame(), past),
        (
            "one octet less stated, so that the message is another",
            ping().total_length_off(-1).frame(),
            "icmpv4 8/0 bad -> drop bad-checksum",
        ),
        ("total length 0", ping().total_length(0).frame(), "icmpv4 -> drop ip-total-length"),
        ("total length 19", ping().total_length(19).frame(), "icmpv4 -> drop ip-total-length"),
        (
            "the total length of a header",
            ping().total_length(20).frame(),
            "icmpv4 -> drop message-too-short",
        ),
        (
            "a header length beyond the total length",
            Ipv4::default().icmp(echo(8)).header_words(15).frame(),
            "icmpv4 -> drop ip-total-length",
        ),
        (
            "a header length that runs past the frame",
            Ipv4::default().icmp(echo(8)).header_words(15).total_length(68).frame(),
            "icmpv4 -> drop ip-total-length",
        ),
        (
            "a bad header checksum",
            ping().bad_checksum(1).frame(),
            "icmpv4 8/0 good -> drop ip-bad-checksum",
        ),
        (
            "a bad header checksum behind options",
            ping().options(40).bad_checksum(0x8000).frame(),
            "icmpv4 8/0 good -> drop ip-bad-checksum",
        ),
        ("UDP", Ipv4::default().payload(17, [0; 8]).frame(), NOT_OURS),
        (
            "UDP with a bad header",
            Ipv4::default().payload(17, [0; 8]).header_words(3).frame(),
            NOT_OURS,
        ),
        ("IPv6 inside IPv4", Ipv4::default().payload(58, [128, 0, 0, 0]).frame(), NOT_OURS),
        ("19 octets of a header", ping().frame().cut(65), NOT_OURS),
        ("20 octets of a header", ping().frame().cut(64), "icmpv4 -> drop ip-total-length"),
        (
            "IPv6 in a frame of IPv4, whose source looks like a protocol",
            ping6().frame().ether_type(ETHER_IPV4),
            "icmpv4 -> drop ip-version",
        ),
    ];
    check(&mut gate, cases);
}

#[test]
fn ipv6_and_its_extension_headers() {
    let mut gate = Gate::open();
    for n in 0..=8 {
        check(&mut gate, [(format!("{n} extension headers"), ping6().extensions(n), ECHO6)]);
    }
    for n in 9..=12 {
        let expected = "icmpv6 -> drop extension-headers-beyond-bound";
        check(&mut gate, [(format!("{n} extension headers"), ping6().extensions(n), expected)]);
    }
    for version in (0..16).filter(|v| *v != 6) {
        let expected = "icmpv6 128/0 good -> drop ip-version";
        check(&mut gate, [(format!("version {version}"), ping6().version(version), expected)]);
    }
    let past = "icmpv6 128/0 -> drop ipv6-payload-length";
    let udp = || Ipv6::default().payload(17, [0; 8]);
    let route = ["2001:db8:7::1", "2001:db8:8::1", "2001:db8:9::1"];
    let cases: Vec<(&str, Frame, &str)> = vec![
        ("hop-by-hop", ping6().extension(Extension::hop_by_hop(0)).frame(), ECHO6),
        ("a long hop-by-hop", ping6().extension(Extension::hop_by_hop(100)).frame(), ECHO6),
        ("router alert", ping6().extension(Extension::router_alert()).frame(), ECHO6),
        (
            "destination options",
            ping6().extension(Extension::destination_options(3)).frame(),
            ECHO6,
        ),
        ("authentication", ping6().extension(Extension::authentication(6)).frame(), ECHO6),
        (
            "authentication of 5 words",
            ping6().extension(Extension::authentication(5)).frame(),
            ECHO6,
        ),
        ("a route at its end", ping6().extension(Extension::routing(0, 0, &route)).frame(), ECHO6),
        ("a route, type 0", ping6().extension(Extension::routing(0, 2, &route)).frame(), ECHO6),
        (
            "a route, type 2",
            ping6().extension(Extension::routing(2, 1, &route[..1])).frame(),
            ECHO6,
        ),
        ("a segment route", ping6().extension(Extension::routing(4, 1, &route)).frame(), ECHO6),
        (
            "a compressed route, whose destination can't be told",
            ping6().extension(Extension::routing(3, 1, &route)).frame(),
            "icmpv6 128/0 unverified -> pass accepted by v6",
        ),
        (
            "a route that lists nothing",
            ping6().extension(Extension::routing(0, 1, &[])).frame(),
            "icmpv6 128/0 unverified -> pass accepted by v6",
        ),
        (
            "one of each",
            ping6()
                .extension(Extension::hop_by_hop(0))
                .extension(Extension::destination_options(1))
                .extension(Extension::routing(0, 1, &route))
                .extension(Extension::fragment(0, false))
                .extension(Extension::authentication(6))
                .extension(Extension::destination_options(0))
                .frame(),
            ECHO6,
        ),
        ("UDP", udp().frame(), NOT_OURS),
        ("UDP behind headers", udp().extensions(3).frame(), NOT_OURS),
        ("ESP", Ipv6::default().payload(50, [58; 32]).frame(), NOT_OURS),
        ("no next header", Ipv6::default().payload(59, [128, 0, 0, 0]).frame(), NOT_OURS),
        (
            "ICMPv4 inside IPv6",
            Ipv6::default().payload(1, [8, 0, 0, 0, 0, 0, 0, 0]).frame(),
            NOT_OURS,
        ),
        (
            "IGMP inside IPv6",
            Ipv6::default().payload(2, [0x11, 0, 0, 0, 0, 0, 0, 0]).frame(),
            NOT_OURS,
        ),
        ("39 octets of a header", ping6().frame().cut(65), NOT_OURS),
        ("40 octets of a header", ping6().frame().cut(64), "icmpv6 -> drop ipv6-payload-length"),
        ("one octet less than stated", ping6().frame().cut(1), past),
        ("one octet more stated", ping6().payload_length_off(1).frame(), past),
        ("65,535 octets stated", ping6().payload_length(65_535).frame(), past),
        ("padding behind the packet", ping6().frame().pad(7), ECHO6),
        (
            "no payload stated",
            ping6().payload_length(0).frame(),
            "icmpv6 -> drop message-too-short",
        ),
        (
            "a payload shorter than its extension headers",
            ping6().extensions(2).payload_length(15).frame(),
            "icmpv6 -> drop ipv6-payload-length",
        ),
        (
            "a chain that is longer than the packet",
            Ipv6::default()
                .extension(Extension::raw(60, [58, 9, 0, 0, 0, 0, 0, 0]))
                .icmp(echo(128))
                .frame(),
            "icmpv6 -> drop ipv6-payload-length",
        ),
        (
            "an extension header cut in its first octets",
            ping6().extensions(1).frame().cut(64 + 3),
            NOT_OURS,
        ),
    ];
    check(&mut gate, cases);
}

/// A jumbo frame on a driver with multi-buffer support lies in parts, and only the first of these
/// can be read in place. Headers that go on beyond it aren't followed: that is a bound like any
/// other, and what is behind it can't be said not to be ICMPv6.
#[test]
fn extension_headers_beyond_the_first_buffer_are_beyond_the_bound() {
    let beyond = "icmpv6 -> drop extension-headers-beyond-bound";
    let long = |n: usize| (0..n).map(|_| Extension::destination_options(255));
    let with = |n: usize| long(n).fold(ping6(), Ipv6::extension).frame();
    let cases = [
        ("2,048 octets, within it", with(1), ECHO6),
        ("4,096 octets: the message is in another buffer", with(2), beyond),
        ("6,144 octets: a header is in another buffer", with(3), beyond),
        (
            "a fragment header in another buffer",
            {
                let packet = long(2).fold(Ipv6::default(), Ipv6::extension);
                packet.extension(Extension::fragment(0, false)).icmp(echo(128)).frame()
            },
            beyond,
        ),
        (
            "a first fragment, whose chain is all there",
            {
                let packet = Ipv6::default().extension(Extension::fragment(0, true));
                long(3).fold(packet, Ipv6::extension).icmp(echo(128)).frame()
            },
            beyond,
        ),
    ];
    check(&mut Gate::open(), cases);
}

/// Where an error begins in the first buffer and the header that it quotes lies in another, nothing that it says could be
/// held against it.
#[test]
fn no_error_has_its_quote_beyond_the_first_buffer() {
    let mut gate = Gate::open();
    gate.local(&[("2001:db8:2::1", local::UNICAST)]);
    let foreign = Ipv6::between("2001:db8:66::1", "2001:db8:9::1").payload(17, [0; 1000]);
    let mut found = BTreeMap::new();
    for octets in (8..=2048).step_by(8) {
        // All headers have 1,536 to 3,576 octets, and the first buffer 3,520.
        let header = |n: usize| Extension::destination_options((n / 8 - 1) as u8);
        let message = Message::new(1, 0).word(0).octets(foreign.clone().packet());
        let packet = Ipv6::between("2001:db8::9", "2001:db8:2::1");
        let packet = packet.extension(header(1528)).extension(header(octets)).icmp(message);
        *found.entry(gate.run(&Vec::from(packet)).reason().label()).or_insert(0) += 1;
    }
    let labels: Vec<&str> = found.keys().copied().collect();
    assert_eq!(labels, ["extension-headers-beyond-bound", "quote-source"], "{found:?}");
}

/// What is in another buffer is summed all the same, and the frame may end in none of them.
#[test]
fn messages_beyond_the_first_buffer() {
    let v4 = |n: usize| Ipv4::default().icmp(echo(8).length(n)).frame();
    let v6 = |n: usize| Ipv6::default().icmp(echo(128).length(n)).frame();
    let cases = [
        ("4,000 octets", v4(4000), ECHO),
        ("8,900 octets", v4(8900), ECHO),
        ("8,880 octets of IPv6", v6(8880), ECHO6),
        ("padding in another buffer", v4(3000).pad(2000), ECHO),
        ("cut in another buffer", v4(8000).cut(1), "icmpv4 8/0 -> drop ip-total-length"),
        (
            "cut in another buffer, IPv6",
            v6(8000).cut(1),
            "icmpv6 128/0 -> drop ipv6-payload-length",
        ),
        ("cut to the first buffer", v4(8000).cut(5000), "icmpv4 8/0 -> drop ip-total-length"),
        (
            "a report whose records go on in another buffer",
            Ipv6::between("fe80::1", "ff02::16")
                .icmp(mld_report(190, &vec![record6(4, 0, 0); 190]))
                .frame(),
            "icmpv6 143/0 good -> drop records-beyond-bound",
        ),
        (
            "a report of one record with sources in another buffer",
            Ipv4::default().igmp(igmp_report(1, &[record(1, 0, 1500)])).frame(),
            "igmp 34/0 good -> pass accepted by igmp",
        ),
    ];
    check(&mut Gate::open(), cases);
}

#[test]
fn fragments_of_ipv4() {
    let later = "icmpv4 later -> pass accepted by v4";
    let first = "icmpv4 8/0 unverified first -> pass accepted by v4";
    let beyond = "icmpv4 later -> drop ip-total-length";
    let ending =
        |offset, octets, more| Ipv4::default().payload(1, vec![8; octets]).fragment(offset, more);
    let cases: Vec<(&str, Frame, &str)> = vec![
        ("first", ping().fragment(0, true).frame(), first),
        (
            "first, with a checksum that can't be verified",
            {
                Ipv4::default()
                    .icmp(echo(8).length(64).bad_checksum(0xffff))
                    .fragment(0, true)
                    .frame()
            },
            first,
        ),
        ("middle", ping().fragment(8, true).frame(), later),
        ("last", ping().fragment(8, false).frame(), later),
        ("the last place there is", ending(0x1fff, 7, false).frame(), later),
        ("one octet beyond it", ending(0x1fff, 8, false).frame(), beyond),
        ("one that ends with 65,535 octets", ending(0x1f49, 1463, false).frame(), later),
        ("one that ends an octet later", ending(0x1f49, 1464, false).frame(), beyond),
        ("and more follow", ending(0x1f49, 1464, true).frame(), beyond),
        (
            "with options, which are none of its octets",
            ending(0x1fff, 7, false).options(40).frame(),
            later,
        ),
        (
            "of IGMP that ends beyond",
            Ipv4::default().payload(2, [8; 8]).fragment(0x1fff, false).frame(),
            "igmp later -> drop ip-total-length",
        ),
        (
            "of UDP that ends beyond",
            Ipv4::default().payload(17, [8; 8]).fragment(0x1fff, false).frame(),
            NOT_OURS,
        ),
        (
            "a last one of one octet",
            Ipv4::default().payload(1, [8]).fragment(1, false).frame(),
            later,
        ),
        ("an empty one", Ipv4::default().payload(1, []).fragment(1, false).frame(), later),
        (
            "of IGMP",
            Ipv4::default().payload(2, [0x11; 8]).fragment(9, false).frame(),
            "igmp later -> pass accepted by igmp",
        ),
        (
            "first of IGMP",
            Ipv4::default().igmp(igmp(0x16, 0, "239.1.2.3")).fragment(0, true).frame(),
            "igmp 22/0 unverified first -> pass accepted by igmp",
        ),
        ("of UDP", Ipv4::default().payload(17, [8; 8]).fragment(9, false).frame(), NOT_OURS),
        (
            "a first one that is too short for type and code",
            Ipv4::default().payload(1, [8, 0, 0]).fragment(0, true).frame(),
            "icmpv4 first -> drop message-too-short",
        ),
        (
            "a later one with a bad IP header",
            ping().fragment(8, true).bad_checksum(4).frame(),
            "icmpv4 later -> drop ip-bad-checksum",
        ),
        (
            "a later one that the frame cuts",
            ping().fragment(8, true).frame().cut(1),
            "icmpv4 later -> drop ip-total-length",
        ),
        ("a first one with options", ping().options(24).fragment(0, true).frame().tags(2), first),
    ];
    check(&mut Gate::open(), cases);
}

#[test]
fn fragments_of_ipv6() {
    let later = "icmpv6 later -> pass accepted by v6";
    let first = "icmpv6 128/0 unverified first -> pass accepted by v6";
    let incomplete = "icmpv6 first -> drop first-fragment-incomplete";
    let beyond = "icmpv6 later -> drop ipv6-payload-length";
    let fragment = |offset, more| ping6().extension(Extension::fragment(offset, more));
    let ending = |offset, octets, headers| {
        let packet = Ipv6::default().extensions(headers);
        packet.extension(Extension::fragment(offset, false)).payload(58, vec![8; octets])
    };
    let raw = |next: u8, payload: &[u8]| {
        Ipv6::default().extension(Extension::fragment(0, true)).payload(next, payload)
    };
    let cases: Vec<(&str, Frame, &str)> = vec![
        ("atomic: a whole packet", fragment(0, false).frame(), ECHO6),
        (
            "atomic, with reserved bits set",
            { ping6().extension(Extension::raw(44, [0, 0xff, 0, 6, 1, 2, 3, 4])).frame() },
            ECHO6,
        ),
        (
            "atomic, with a bad checksum",
            {
                Ipv6::default()
                    .extension(Extension::fragment(0, false))
                    .icmp(echo(128).bad_checksum(1))
                    .frame()
            },
            "icmpv6 128/0 bad -> drop bad-checksum",
        ),
        (
            "two atomic headers",
            ping6()
                .extension(Extension::fragment(0, false))
                .extension(Extension::fragment(0, false))
                .frame(),
            ECHO6,
        ),
        ("first", fragment(0, true).frame(), first),
        (
            "first behind other headers",
            ping6().extensions(2).extension(Extension::fragment(0, true)).frame(),
            first,
        ),
        (
            "first with headers behind it",
            ping6().extension(Extension::fragment(0, true)).extensions(2).frame(),
            first,
        ),
        ("middle", fragment(8, true).frame(), later),
        ("last", fragment(8, false).frame(), later),
        ("the last place there is", ending(0x1fff, 7, 0).frame(), later),
        ("one octet beyond it", ending(0x1fff, 8, 0).frame(), beyond),
        ("one that ends with 65,535 octets", ending(0x1f49, 1463, 0).frame(), later),
        ("one that ends an octet later", ending(0x1f49, 1464, 0).frame(), beyond),
        ("behind other headers, which are none of its octets", ending(0x1fff, 7, 2).frame(), later),
        ("behind other headers, an octet later", ending(0x1fff, 8, 2).frame(), beyond),
        (
            "of UDP that ends beyond",
            Ipv6::default()
                .extension(Extension::fragment(0x1fff, false))
                .payload(17, [58; 8])
                .frame(),
            NOT_OURS,
        ),
        (
            "a later one of which nothing is read as a header",
            {
                // What is behind would be the first fragment header of a longer chain.
                ping6()
                    .extension(Extension::fragment(1, true))
                    .payload(58, [44, 0, 0, 1, 0, 0, 0, 0])
                    .frame()
            },
            later,
        ),
        (
            "a later one whose next header is another extension header",
            {
                Ipv6::default()
                    .extension(Extension::fragment(5, false))
                    .payload(60, [58, 0, 0, 0, 0, 0, 0, 0])
                    .frame()
            },
            NOT_OURS,
        ),
        (
            "a later one of UDP",
            Ipv6::default().extension(Extension::fragment(5, false)).payload(17, [58; 8]).frame(),
            NOT_OURS,
        ),
        ("a first one of UDP", raw(17, &[0; 8]).frame(), NOT_OURS),
        ("a first one that ends within its chain", raw(60, &[58, 0, 1, 4]).frame(), incomplete),
        ("a first one that ends before its chain", raw(60, &[]).frame(), incomplete),
        (
            "a first one of UDP that ends within its chain",
            raw(43, &[17, 3, 0, 0]).frame(),
            incomplete,
        ),
        ("a first one without a message", raw(58, &[]).frame(), incomplete),
        (
            "a first one with half a message header",
            Ipv6::default()
                .extension(Extension::fragment(0, true))
                .payload(58, [128, 0, 1, 2, 3])
                .frame(),
            "icmpv6 128/0 unverified first -> drop first-fragment-incomplete",
        ),
        (
            "a first one with a message header and nothing behind",
            Ipv6::default().extension(Extension::fragment(0, true)).icmp(echo(128)).frame(),
            first,
        ),
        (
            "a second fragment header, and it is a later one's",
            {
                ping6()
                    .extension(Extension::fragment(0, true))
                    .extension(Extension::fragment(3, true))
                    .frame()
            },
            later,
        ),
        (
            "a first one beyond the bound",
            ping6().extension(Extension::fragment(0, true)).extensions(8).frame(),
            "icmpv6 -> drop extension-headers-beyond-bound",
        ),
    ];
    check(&mut Gate::open(), cases);
}

/// RFC 7112: a header that goes on in the next fragment is as incomplete as one that begins there.
#[test]
fn a_first_fragment_whose_last_header_is_cut_is_incomplete() {
    let cut = |next: u8, payload: &[u8]| {
        Ipv6::default().extension(Extension::fragment(0, true)).payload(next, payload).frame()
    };
    let incomplete = "icmpv6 first -> drop first-fragment-incomplete";
    let cases = [
        ("within 8 octets", cut(60, &[58, 0, 1, 4]), incomplete),
        ("behind 8 octets", cut(60, &[58, 5, 1, 4, 0, 0, 0, 0]), incomplete),
    ];
    check(&mut Gate::open(), cases);
}

/// Any link takes more at once than an error up to the header that it quotes (RFC 791 3.2, RFC 8200 5), without which
/// nothing can be held against it. Of other messages the rest may follow.
#[test]
fn the_first_fragment_of_an_error_has_the_header_that_it_quotes() {
    let (mut cases, mut gate) = (Vec::new(), Gate::open());
    gate.apply(&format!("{OPEN}[checks]\nquote-source = \"off\"\n"));
    for (ty, least) in [(3, 28), (5, 28), (11, 28), (12, 28), (8, 8), (13, 8)] {
        for octets in [8, 16, 24, 32, 40] {
            let message = Message::new(ty, 0).length(octets);
            let packet = Ipv4::default().icmp(message).fragment(0, true);
            let fate =
                if octets < least { "drop message-too-short" } else { "pass accepted by v4" };
            let expected = format!("icmpv4 {ty}/0 unverified first -> {fate}");
            cases.push((format!("{ty} of {octets}"), packet.frame(), expected));
        }
    }
    for (ty, least) in [(1, 48), (2, 48), (3, 48), (4, 48), (128, 8)] {
        for octets in [8, 16, 40, 48, 56] {
            let message = Message::new(ty, 0).length(octets);
            let packet = Ipv6::default().extension(Extension::fragment(0, true)).icmp(message);
            let fate =
                if octets < least { "drop message-too-short" } else { "pass accepted by v6" };
            let expected = format!("icmpv6 {ty}/0 unverified first -> {fate}");
            cases.push((format!("{ty} of {octets}"), packet.frame(), expected));
        }
    }
    check(&mut gate, cases);
}

/// The least length of each type, from the documents that define them: row W5 and W7 to W9.
#[test]
fn messages_are_as_long_as_their_type_requires() {
    const V4: &[(&[u8], usize)] = &[
        (&[0, 8, 10, 15, 16, 42, 43], 8),
        (&[3, 4, 5, 11, 12], 28),
        (&[9], 8),
        (&[13, 14, 30], 20),
        (&[17, 18], 12),
        (&[1, 2, 7, 41, 200, 253, 255], 4),
    ];
    const V6: &[(&[u8], usize)] = &[
        (&[1, 2, 3, 4], 48),
        (&[128, 129, 133, 143], 8),
        (&[130, 131, 132, 135, 136], 24),
        (&[134, 138, 139, 140], 16),
        (&[137], 40),
        (&[152, 153], 4),
        (&[5, 99, 100, 127, 162, 200, 255], 4),
    ];
    const IGMP: &[(&[u8], usize)] = &[
        (&[1, 2, 3, 4, 5, 6, 7, 8], 20),
        (&[0x11, 0x12, 0x13, 0x14, 0x16, 0x17, 0x1e, 0x1f, 0x22, 0x30], 8),
        (&[0x31, 0x32], 4),
        (&[0, 9, 0x10, 0x99, 0xff], 4),
    ];
    let mut gate = Gate::open();
    let mut cases = Vec::new();
    for (family, table) in [("icmpv4", V4), ("icmpv6", V6), ("igmp", IGMP)] {
        let rule = if family == "igmp" { "igmp" } else { &family[4..] };
        for (ty, least) in
            table.iter().flat_map(|(types, least)| types.iter().map(|t| (*t, *least)))
        {
            for length in [0, 1, 3, 4, least - 1, least, least + 1] {
                // A query of 9 octets is none that there may be, which has another reason.
                if family == "igmp" && ty == 0x11 && length == 9
                    || family == "icmpv6" && ty == 130 && length == 25
                {
                    continue;
                }
                let message = if length < 4 {
                    Message::raw(vec![ty; length])
                } else {
                    Message::new(ty, 0).zeros(length)
                };
                let frame: Vec<u8> = match family {
                    "icmpv4" => Ipv4::default().icmp(message).into(),
                    "icmpv6" => Ipv6::default().icmp(message).into(),
                    _ => Ipv4::default().igmp(message).into(),
                };
                let expected = match length {
                    0..4 => format!("{family} -> drop message-too-short"),
                    _ if length < least => {
                        format!("{family} {ty}/0 good -> drop message-too-short")
                    }
                    _ => format!("{family} {ty}/0 good -> pass accepted by {rule}"),
                };
                cases.push((format!("{family} {ty} of {length} octets"), frame, expected));
            }
        }
    }
    assert!(cases.len() > 300);
    check(&mut gate, cases);
}

#[test]
fn messages_of_icmpv4() {
    let v4 = |message: Message| Ipv4::default().icmp(message).frame();
    let good = |ty: u8, code: u8| format!("icmpv4 {ty}/{code} good -> pass accepted by v4");
    let short = |ty: u8, code: u8| format!("icmpv4 {ty}/{code} good -> drop message-too-short");
    let options = Ipv4::default().options(40).payload(6, [1; 8]).packet();
    let cases: Vec<(&str, Frame, String)> = vec![
        ("echo reply", v4(echo(0)), good(0, 0)),
        ("echo request", v4(echo(8)), good(8, 0)),
        ("echo request with a code", v4(Message::new(8, 7).word(1)), good(8, 7)),
        ("port unreachable", v4(error_v4(3, 3, 0)), good(3, 3)),
        ("fragmentation needed", v4(error_v4(3, 4, 1400)), good(3, 4)),
        ("fragmentation needed, of no MTU", v4(error_v4(3, 4, 0)), good(3, 4)),
        ("an unused word that isn't zero", v4(error_v4(11, 0, 0xdead_beef)), good(11, 0)),
        ("a code that nobody assigned", v4(error_v4(3, 16, 0)), good(3, 16)),
        ("source quench", v4(error_v4(4, 0, 0)), good(4, 0)),
        ("redirect", v4(error_v4(5, 1, 0xc000_0201)), good(5, 1)),
        ("parameter problem", v4(error_v4(12, 0, 20 << 24)), good(12, 0)),
        ("a quote with options", v4(Message::new(11, 0).word(0).octets(options)), good(11, 0)),
        ("a quote of a header and nothing behind", v4(error_v4(11, 0, 0).length(28)), good(11, 0)),
        ("a quote cut within its header", v4(error_v4(11, 0, 0).length(27)), short(11, 0)),
        (
            "a quote whose header checksum is wrong",
            v4(Message::new(3, 1)
                .word(0)
                .octets(Ipv4::default().payload(17, [0; 8]).bad_checksum(9).packet())),
            good(3, 1),
        ),
        (
            "a length and extensions as RFC 4884 has them",
            v4(Message::new(11, 0)
                .word(32 << 16)
                .octets(quote_v4())
                .zeros(8 + 128)
                .octets([0x20, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0, 1])),
            good(11, 0),
        ),
        ("a long quote", v4(error_v4(3, 3, 0).length(576)), good(3, 3)),
        (
            "router advertisement",
            v4(Message::new(9, 0).octets([1, 2, 7, 8]).word(0xc000_0201).word(0)),
            good(9, 0),
        ),
        (
            "router advertisement of a mobility agent",
            v4(Message::new(9, 16).octets([0, 2, 7, 8])),
            good(9, 16),
        ),
        ("timestamp", v4(Message::new(13, 0).zeros(20)), good(13, 0)),
        ("timestamp with trailing data", v4(Message::new(13, 0).length(60)), good(13, 0)),
        ("mask request", v4(Message::new(17, 0).zeros(12)), good(17, 0)),
        (
            "extended echo",
            v4(Message::new(42, 0).word(1).octets([0, 8, 3, 1, 0x65, 0x74, 0x68, 0x30])),
            good(42, 0),
        ),
        ("a type that nobody assigned", v4(Message::new(99, 99)), good(99, 99)),
        ("type 0 is a type, and not any", v4(Message::new(0, 9).word(0)), good(0, 9)),
    ];
    check(&mut Gate::open(), cases);
}

#[test]
fn messages_of_icmpv6() {
    let v6 = |message: Message| Ipv6::default().icmp(message).frame();
    let good = |ty: u8, code: u8| format!("icmpv6 {ty}/{code} good -> pass accepted by v6");
    let cases: Vec<(&str, Frame, String)> = vec![
        ("no route", v6(error_v6(1, 0, 0)), good(1, 0)),
        ("packet too big", v6(error_v6(2, 0, 1400)), good(2, 0)),
        (
            "packet too big with a code, which receivers ignore",
            v6(error_v6(2, 9, 1400)),
            good(2, 9),
        ),
        ("hop limit exceeded", v6(error_v6(3, 0, 0)), good(3, 0)),
        ("parameter problem", v6(error_v6(4, 10, 40)), good(4, 10)),
        (
            "an error cut within its quote",
            v6(error_v6(1, 4, 0).length(47)),
            "icmpv6 1/4 good -> drop message-too-short".into(),
        ),
        (
            "an error with a length as RFC 4884 has it",
            v6(Message::new(3, 0)
                .word(16 << 24)
                .octets(quote_v6())
                .zeros(8 + 128)
                .octets([0x20, 0, 0, 0])),
            good(3, 0),
        ),
        ("an error that nobody knows", v6(Message::new(99, 0)), good(99, 0)),
        ("echo request", v6(echo(128)), good(128, 0)),
        ("echo reply", v6(echo(129)), good(129, 0)),
        ("router solicitation", v6(Message::new(133, 0).word(0)), good(133, 0)),
        ("router advertisement", v6(Message::new(134, 0).zeros(16)), good(134, 0)),
        (
            "neighbour solicitation",
            v6(Message::new(135, 0).zeros(24).octets([1, 1, 2, 0, 0, 0, 0, 1])),
            good(135, 0),
        ),
        ("redirect", v6(Message::new(137, 0).zeros(40)), good(137, 0)),
        ("private experiment", v6(Message::new(200, 0)), good(200, 0)),
        ("reserved", v6(Message::new(255, 255)), good(255, 255)),
        (
            "a pseudo-header of another destination",
            {
                Ipv6::default()
                    .icmp(echo(128))
                    .to("2001:db8:2::2".parse::<std::net::Ipv6Addr>().unwrap())
                    .frame()
            },
            good(128, 0),
        ),
        (
            "a checksum without a pseudo-header",
            { Ipv6::default().payload(58, echo(128).length(40).build(&[])).frame() },
            "icmpv6 128/0 bad -> drop bad-checksum".into(),
        ),
    ];
    check(&mut Gate::open(), cases);
}

#[test]
fn messages_of_igmp() {
    let to = |to: &str, message: Message| {
        Ipv4::between("192.0.2.1", to).ttl(1).router_alert().igmp(message).frame()
    };
    let ip = |message| to("224.0.0.22", message);
    let to_all = |message| to("224.0.0.1", message);
    let to_group = |message| to("239.1.2.3", message);
    let good = |ty: u8| format!("igmp {ty}/0 good -> pass accepted by igmp");
    let drop = |ty: u8, reason: &str| format!("igmp {ty}/0 good -> drop {reason}");
    let least = |n: usize| vec![record(4, 0, 0); n];
    let mut cases: Vec<(String, Frame, String)> = vec![
        ("query, version 1", to_all(igmp(0x11, 0, "0.0.0.0")), good(0x11)),
        ("query, version 2", to_all(igmp(0x11, 100, "0.0.0.0")), good(0x11)),
        ("query, version 3", to_all(igmp_query_v3("0.0.0.0", 0, 0)), good(0x11)),
        ("query with sources", to_group(igmp_query_v3("239.1.2.3", 3, 3)), good(0x11)),
        (
            "query with data behind its sources",
            to_group(igmp_query_v3("239.1.2.3", 3, 4)),
            good(0x11),
        ),
        (
            "query of more sources than it has",
            to_group(igmp_query_v3("239.1.2.3", 4, 3)),
            drop(0x11, "records-overrun"),
        ),
        (
            "query of 65,535 sources",
            to_group(igmp_query_v3("239.1.2.3", 65_535, 3)),
            drop(0x11, "records-overrun"),
        ),
        ("report, version 1", to_group(igmp(0x12, 0, "239.1.2.3")), good(0x12)),
        ("report, version 2", to_group(igmp(0x16, 0, "239.1.2.3")), good(0x16)),
        (
            "report, version 2, with data behind",
            to_group(igmp(0x16, 0, "239.1.2.3").length(50)),
            good(0x16),
        ),
        ("leave", to_group(igmp(0x17, 0, "239.1.2.3")), good(0x17)),
        ("report, version 3, of nothing", ip(igmp_report(0, &[])), good(0x22)),
        (
            "report of three records",
            ip(igmp_report(3, &[record(1, 0, 2), record(2, 0, 0), record(6, 0, 1)])),
            good(0x22),
        ),
        (
            "report with auxiliary data",
            ip(igmp_report(2, &[record(1, 2, 1), record(2, 255, 0)])),
            good(0x22),
        ),
        ("report with data behind", ip(igmp_report(1, &[record(1, 0, 1), vec![9; 5]])), good(0x22)),
        (
            "report with a record of an unknown type",
            ip(igmp_report(1, &[record(99, 0, 1)])),
            good(0x22),
        ),
        (
            "report of a record more than it has",
            ip(igmp_report(2, &[record(1, 0, 1)])),
            drop(0x22, "records-overrun"),
        ),
        (
            "report whose record is cut",
            ip(igmp_report(1, &[record(1, 0, 1)[..11].to_vec()])),
            drop(0x22, "records-overrun"),
        ),
        (
            "report whose record is cut within its header",
            ip(igmp_report(1, &[record(1, 0, 0)[..7].to_vec()])),
            drop(0x22, "records-overrun"),
        ),
        (
            "report whose auxiliary data is cut",
            ip(igmp_report(1, &[record(1, 9, 1)[..47].to_vec()])),
            drop(0x22, "records-overrun"),
        ),
        (
            "report of a record with 65,535 sources",
            ip(igmp_report(1, &[vec![1, 0, 255, 255, 239, 1, 2, 3]])),
            drop(0x22, "records-overrun"),
        ),
        ("report of as many records as are walked", ip(igmp_report(192, &least(192))), good(0x22)),
        (
            "report of one more",
            ip(igmp_report(193, &least(193))),
            drop(0x22, "records-beyond-bound"),
        ),
        (
            "report that counts one more than there are and than are walked",
            ip(igmp_report(193, &least(192))),
            drop(0x22, "records-beyond-bound"),
        ),
        (
            "report of 65,535 records that has three",
            ip(igmp_report(65_535, &least(3))),
            drop(0x22, "records-overrun"),
        ),
        ("router advertisement", ip(Message::new(0x30, 20).half(125).half(2)), good(0x30)),
        ("router solicitation of 4 octets", ip(Message::new(0x31, 0)), good(0x31)),
        ("router termination of 4 octets", ip(Message::new(0x32, 0)), good(0x32)),
        ("DVMRP", ip(Message::new(0x13, 1).word(0)), good(0x13)),
        ("PIM version 1", ip(Message::new(0x14, 1).word(0)), good(0x14)),
        ("mtrace", ip(Message::new(0x1f, 32).zeros(24)), good(0x1f)),
        (
            "a type that nobody assigned, whose second octet is no code",
            ip(Message::new(0x40, 0x77)),
            good(0x40),
        ),
    ]
    .into_iter()
    .map(|(name, frame, expected)| (name.to_owned(), frame, expected))
    .collect();
    // RFC 9776 7.1: 8, or 12 and more.
    for length in 9..12 {
        let expected = drop(0x11, "message-length");
        cases.push((
            format!("query of {length} octets"),
            to_all(Message::new(0x11, 0).zeros(length)),
            expected,
        ));
    }
    // RFC 988: in version 0 alone the second octet is a code.
    for ty in 1..=8 {
        for code in [0, 1, 5, 255] {
            let expected = format!("igmp {ty}/{code} good -> pass accepted by igmp");
            cases.push((
                format!("version 0, {ty}/{code}"),
                ip(Message::new(ty, code).zeros(20)),
                expected,
            ));
        }
    }
    check(&mut Gate::open(), cases);
}

#[test]
fn messages_of_mld() {
    let ip = |message: Message| {
        let packet = Ipv6::between("fe80::1", "ff02::16").hop_limit(1);
        packet.extension(Extension::router_alert()).icmp(message).frame()
    };
    let good = |ty: u8| format!("icmpv6 {ty}/0 good -> pass accepted by v6");
    let drop = |ty: u8, reason: &str| format!("icmpv6 {ty}/0 good -> drop {reason}");
    let mut cases: Vec<(String, Frame, String)> = vec![
        ("query, version 1", ip(mld(130, "::")), good(130)),
        ("query, version 2", ip(mld_query_v2("::", 0, 0)), good(130)),
        ("query with sources", ip(mld_query_v2("ff0e::1", 3, 3)), good(130)),
        (
            "query of more sources than it has",
            ip(mld_query_v2("ff0e::1", 4, 3)),
            drop(130, "records-overrun"),
        ),
        ("report, version 1", ip(mld(131, "ff0e::1")), good(131)),
        ("done", ip(mld(132, "ff0e::1")), good(132)),
        ("report, version 2, of nothing", ip(mld_report(0, &[])), good(143)),
        (
            "report of two records",
            ip(mld_report(2, &[record6(1, 0, 2), record6(2, 3, 0)])),
            good(143),
        ),
        ("report with data behind", ip(mld_report(1, &[record6(1, 0, 1), vec![9; 7]])), good(143)),
        (
            "report of a record more than it has",
            ip(mld_report(2, &[record6(1, 0, 1)])),
            drop(143, "records-overrun"),
        ),
        (
            "report whose record is cut",
            ip(mld_report(1, &[record6(1, 0, 1)[..35].to_vec()])),
            drop(143, "records-overrun"),
        ),
        (
            "report whose record is cut within its header",
            ip(mld_report(1, &[record6(1, 0, 0)[..19].to_vec()])),
            drop(143, "records-overrun"),
        ),
        (
            "report of as many records as a packet of 1,500 octets holds",
            ip(mld_report(72, &vec![record6(4, 0, 0); 72])),
            good(143),
        ),
        ("MRD solicitation of 4 octets", ip(Message::new(152, 0)), good(152)),
        ("MRD termination of 4 octets", ip(Message::new(153, 0)), good(153)),
        ("MRD advertisement", ip(Message::new(151, 0).word(0)), good(151)),
    ]
    .into_iter()
    .map(|(name, frame, expected)| (name.to_owned(), frame, expected))
    .collect();
    // RFC 9777 8.1: 24, or 28 and more.
    for length in 25..28 {
        let expected = drop(130, "message-length");
        cases.push((
            format!("query of {length} octets"),
            ip(Message::new(130, 0).zeros(length)),
            expected,
        ));
    }
    check(&mut Gate::open(), cases);
}
