//! Row G5: a redirect that this machine makes is sent only where its own routes bear it out.
//!
//! The routes are real ones, of a namespace that forwards. Each condition fails alone: beside every
//! redirect that isn't sent stands the one that differs in nothing else, and is.

use icmp_common::abi::origin::{FORWARDED, GENERATED};
use icmpgate::datapath::Endpoint;
use icmpgate_tests::{Extension, Gate, Ipv4, Ipv6, Message, Namespace, gate::hex, in_vm};

/// The interface that redirects leave by, and another.
const NEAR: &str = "gate0";
/// Likewise.
const OTHER: &str = "other0";
/// The link of both, and what is behind it. The second network of `NEAR` is on the same link. What is
/// of `OTHER` lies within a network of `NEAR`, so that nothing but the interface differs.
const ADDRESSES: [(&str, &str); 5] = [
    (NEAR, "192.0.2.1/24"),
    (NEAR, "198.51.100.1/24"),
    (NEAR, "2001:db8:1::1/64"),
    (OTHER, "192.0.2.129/25"),
    (OTHER, "2001:db8:2::1/64"),
];
const ROUTES: [&str; 10] = [
    "blackhole 192.0.2.66/32",
    "10.1.0.0/16 via 192.0.2.2 dev gate0",
    "10.2.0.0/16 via 192.0.2.130 dev other0",
    "10.3.0.0/16 via 198.51.100.2 dev gate0",
    "10.4.0.0/16 via 192.0.2.2 dev gate0",
    "2001:db8:a::/48 via fe80::2 dev gate0",
    "2001:db8:b::/48 via fe80::2 dev other0",
    "2001:db8:c::/48 via 2001:db8:1::2 dev gate0",
    // To what isn't on the link, though it leaves by the same interface.
    "2001:db8:9::/48 via fe80::2 dev gate0",
    "2001:db8:d::/48 via fe80::2 dev gate0",
];
const HOST: &str = "192.0.2.9";
const GATEWAY: &str = "192.0.2.2";
const HOST6: &str = "2001:db8:1::9";
const GATEWAY6: &str = "fe80::2";
const ROUTER6: &str = "fe80::1";

/// A machine that forwards.
fn router() -> Namespace {
    let namespace = Namespace::new();
    namespace.sysctl("ipv4/ip_forward", "1");
    namespace.sysctl("ipv6/conf/all/forwarding", "1");
    for interface in [NEAR, OTHER] {
        namespace.ip(&format!("link add {interface} type veth"));
        // Addresses are in use at once.
        namespace.sysctl(&format!("ipv6/conf/{interface}/accept_dad"), "0");
        namespace.ip(&format!("link set {interface} up"));
    }
    for peer in ["veth0", "veth1"] {
        namespace.ip(&format!("link set {peer} up"));
    }
    for (interface, address) in ADDRESSES {
        namespace.ip(&format!("addr add {address} dev {interface}"));
    }
    for route in ROUTES {
        let family = if route.contains("::") { "-6" } else { "-4" };
        namespace.ip(&format!("{family} route add {route}"));
    }
    namespace
}

/// A gate on `NEAR` of this machine.
fn gate_on(namespace: &Namespace, text: &str) -> Gate {
    let mut gate = Gate::on(NEAR, text);
    gate.instance().leave_by(namespace.index(NEAR));
    let of_near = ADDRESSES.iter().filter(|(interface, _)| *interface == NEAR);
    let addresses = of_near.map(|(_, net)| net.parse().expect("a network")).collect();
    gate.endpoint(&Endpoint { addresses, ..Endpoint::default() });
    gate
}

const HOST_PROFILE: &str = "profile = \"host\"\n";
const PASSES: &str = "icmpv4 5/1 -> pass accepted by egress/rest";
const PASSES6: &str = "icmpv6 137/0 -> pass accepted by egress/rest";
const DROPS: &str = "icmpv4 5/1 -> drop redirect-unfounded by egress/rest";
const DROPS6: &str = "icmpv6 137/0 -> drop redirect-unfounded by egress/rest";

/// Some UDP.
const DATAGRAM: [u8; 8] = [0x82, 0x35, 0, 0x35, 0, 8, 0, 0];

fn about(source: &str, destination: &str) -> Ipv4 {
    Ipv4::between(source, destination).payload(17, DATAGRAM)
}

fn about6(source: &str, destination: &str) -> Ipv6 {
    Ipv6::between(source, destination).payload(17, DATAGRAM)
}

/// A redirect to a host, to a better gateway, about what is quoted.
fn quoting(to: &str, better: &str, quoted: &[u8]) -> Vec<u8> {
    let better: std::net::Ipv4Addr = better.parse().expect("IPv4");
    Ipv4::between("192.0.2.1", to)
        .icmp(Message::new(5, 1).word(better.into()).octets(quoted))
        .into()
}

/// That of this source's packet to this destination.
fn redirect(source: &str, better: &str, destination: &str) -> Vec<u8> {
    quoting(source, better, &about(source, destination).packet())
}

/// Likewise, as Linux makes it: with the hardware address of the target (RFC 4861 4.6.1), and the
/// quote cut to whole units.
fn quoting6(to: &str, better: &str, destination: &str, quoted: &[u8]) -> Vec<u8> {
    options6(
        to,
        better,
        destination,
        &[&[2, 1, 2, 0, 0, 0, 0, 1], &redirected(quoted)[..]].concat(),
    )
}

/// The option with the quote.
fn redirected(quoted: &[u8]) -> Vec<u8> {
    let units = quoted.len() / 8;
    let mut option = vec![4, units as u8 + 1, 0, 0, 0, 0, 0, 0];
    option.extend(&quoted[..units * 8]);
    option
}

/// With these options.
fn options6(to: &str, better: &str, destination: &str, options: &[u8]) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().expect("IPv6").octets();
    let message = Message::new(137, 0).word(0).octets(octets(better)).octets(octets(destination));
    Ipv6::between(ROUTER6, to).hop_limit(255).icmp(message.octets(options)).into()
}

fn redirect6(source: &str, better: &str, destination: &str) -> Vec<u8> {
    quoting6(source, better, destination, &about6(source, destination).packet())
}

/// One of a table: what it is, the frame, and whether it is sent.
type Row<'a> = (&'a str, Vec<u8>, bool);

/// Runs each as this machine's own, which is judged, and as another's, which is not.
fn check(gate: &mut Gate, rows: Vec<Row<'_>>) {
    let mut wrong = Vec::new();
    for (name, frame, sent) in rows {
        let is_v6 = frame[12..14] == [0x86, 0xdd];
        let (passes, drops) = if is_v6 { (PASSES6, DROPS6) } else { (PASSES, DROPS) };
        for (from, expected) in
            [(GENERATED, if sent { passes } else { drops }), (FORWARDED, passes)]
        {
            let seen = gate.run_egress(from, &frame).to_string();
            if seen != expected {
                wrong.push(format!("{name}: {seen}, not {expected}: {}", hex(&frame)));
            }
        }
    }
    gate.settle();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_condition_alone_keeps_a_redirect_back() {
    let namespace = router();
    let options = |octets: &[u8]| about(HOST, "10.1.0.9").raw_options(octets).packet();
    let behind =
        |extension: Extension| about6(HOST6, "2001:db8:a::9").extension(extension).packet();
    let quoting_a = |quoted: Vec<u8>| quoting6(HOST6, GATEWAY6, "2001:db8:a::9", &quoted);
    let rows: Vec<Row<'_>> = vec![
        ("a gateway of the network", redirect(HOST, GATEWAY, "10.1.0.9"), true),
        ("the destination itself", redirect(HOST, "192.0.2.7", "192.0.2.7"), true),
        // 1: out by the interface that it came in by.
        ("another interface", redirect(HOST, "192.0.2.130", "10.2.0.9"), false),
        ("a destination on another", redirect(HOST, "192.0.2.140", "192.0.2.140"), false),
        // 2: the source on the network of the next hop.
        ("a gateway of another network", redirect(HOST, "198.51.100.2", "10.3.0.9"), false),
        ("the same, from there", redirect("198.51.100.9", "198.51.100.2", "10.3.0.9"), true),
        ("a destination of another", redirect(HOST, "198.51.100.7", "198.51.100.7"), false),
        ("the same, from there", redirect("198.51.100.9", "198.51.100.7", "198.51.100.7"), true),
        ("a source of no network", redirect("203.0.113.9", GATEWAY, "10.1.0.9"), false),
        // 3: not source routed.
        ("a loose route", quoting(HOST, GATEWAY, &options(&[131, 7, 4, 10, 0, 0, 1, 0])), false),
        ("a strict route", quoting(HOST, GATEWAY, &options(&[1, 137, 3, 4])), false),
        ("a recorded route", quoting(HOST, GATEWAY, &options(&[7, 7, 4, 0, 0, 0, 0, 0])), true),
        ("a router alert", quoting(HOST, GATEWAY, &options(&[0x94, 4, 0, 0])), true),
        // 4: a route of the tables.
        ("a gateway learnt", redirect(HOST, "192.0.2.3", "10.1.0.9"), false),
        ("no gateway", redirect(HOST, "10.1.0.9", "10.1.0.9"), false),
        ("a gateway to a neighbour", redirect(HOST, "192.0.2.3", "192.0.2.7"), false),
        // The same of IPv6.
        ("v6 gateway", redirect6(HOST6, GATEWAY6, "2001:db8:a::9"), true),
        ("v6 destination", redirect6(HOST6, "2001:db8:1::7", "2001:db8:1::7"), true),
        ("v6 link-local source", redirect6("fe80::9", GATEWAY6, "2001:db8:a::9"), true),
        ("v6 another interface", redirect6(HOST6, GATEWAY6, "2001:db8:b::9"), false),
        ("v6 destination on another", redirect6(HOST6, "2001:db8:2::7", "2001:db8:2::7"), false),
        (
            "v6 source behind a gateway",
            redirect6("2001:db8:9::9", GATEWAY6, "2001:db8:a::9"),
            false,
        ),
        ("v6 source without a route", redirect6("2001:db8:f::9", GATEWAY6, "2001:db8:a::9"), false),
        ("v6 source on another link", redirect6("2001:db8:2::9", GATEWAY6, "2001:db8:a::9"), false),
        ("v6 route", quoting_a(behind(Extension::routing(0, 1, &["2001:db8::1"]))), false),
        (
            "v6 route at its end",
            quoting_a(behind(Extension::routing(4, 0, &["2001:db8::1"]))),
            false,
        ),
        ("v6 options", quoting_a(behind(Extension::hop_by_hop(1))), true),
        ("v6 gateway learnt", redirect6(HOST6, "fe80::3", "2001:db8:a::9"), false),
        ("v6 no gateway", redirect6(HOST6, "2001:db8:a::9", "2001:db8:a::9"), false),
        ("v6 a gateway to a neighbour", redirect6(HOST6, GATEWAY6, "2001:db8:1::7"), false),
        // RFC 4861 8.1: no receiver takes such a target.
        ("v6 global gateway", redirect6(HOST6, "2001:db8:1::2", "2001:db8:c::9"), false),
    ];
    namespace.run(|| check(&mut gate_on(&namespace, HOST_PROFILE), rows));
}

/// What no machine sends that forwards: not to the source, about nothing, or not about what it says.
#[test]
fn what_does_not_say_what_it_is_about_is_kept_back() {
    let namespace = router();
    let mut rows: Vec<Row<'_>> = vec![
        ("to another", quoting("192.0.2.8", GATEWAY, &about(HOST, "10.1.0.9").packet()), false),
        ("to a group", redirect(HOST, GATEWAY, "224.0.0.9"), false),
        ("to this machine", redirect(HOST, "192.0.2.1", "192.0.2.1"), false),
        ("nowhere", redirect(HOST, GATEWAY, "172.16.0.1"), false),
        ("into a black hole", redirect(HOST, "192.0.2.66", "192.0.2.66"), false),
        ("IPv6 in IPv4", quoting(HOST, GATEWAY, &about6(HOST6, "2001:db8:a::9").packet()), false),
        (
            "v6 to another",
            quoting6(
                "2001:db8:1::8",
                GATEWAY6,
                "2001:db8:a::9",
                &about6(HOST6, "2001:db8:a::9").packet(),
            ),
            false,
        ),
        (
            "v6 about another",
            quoting6(HOST6, GATEWAY6, "2001:db8:a::9", &about6(HOST6, "2001:db8:d::9").packet()),
            false,
        ),
        ("v6 to a link-local address", redirect6(HOST6, "fe80::7", "fe80::7"), false),
        ("v6 nowhere", redirect6(HOST6, GATEWAY6, "2001:db8:f::9"), false),
        (
            "v6 quote alone",
            options6(
                HOST6,
                GATEWAY6,
                "2001:db8:a::9",
                &redirected(&about6(HOST6, "2001:db8:a::9").packet()),
            ),
            true,
        ),
        ("v6 without options", options6(HOST6, GATEWAY6, "2001:db8:a::9", &[]), false),
        (
            "v6 an option without length",
            options6(HOST6, GATEWAY6, "2001:db8:a::9", &[2, 0, 0, 0, 0, 0, 0, 0]),
            false,
        ),
    ];
    // Of the quote, the header has to be there, options included.
    let whole = about(HOST, "10.1.0.9").raw_options(&[0x94, 4, 0, 0]).packet();
    for n in 0..=whole.len() {
        rows.push(("cut", quoting(HOST, GATEWAY, &whole[..n]), n >= 24));
    }
    let whole = about6(HOST6, "2001:db8:a::9").extension(Extension::hop_by_hop(0)).packet();
    for n in (0..=whole.len()).step_by(8) {
        rows.push(("v6 cut", quoting6(HOST6, GATEWAY6, "2001:db8:a::9", &whole[..n]), n >= 56));
    }
    namespace.run(|| {
        let mut gate = gate_on(&namespace, HOST_PROFILE);
        // A group's is unanswerable as well, which is found first.
        let group = rows.remove(1).1;
        let seen = gate.run_egress(GENERATED, &group).to_string();
        assert_eq!(seen, "icmpv4 5/1 -> drop unanswerable by egress/rest");
        check(&mut gate, rows);
    });
}

/// A redirect behind IP options, extension headers and tags, with other options before the quote.
#[test]
fn it_is_read_wherever_it_is() {
    let namespace = router();
    let good = about6(HOST6, "2001:db8:a::9").packet();
    let behind = |n: usize| {
        let mut options = [2, 1, 0, 0, 0, 0, 0, 0].repeat(n);
        options.extend(redirected(&good));
        options6(HOST6, GATEWAY6, "2001:db8:a::9", &options)
    };
    let mut rows: Vec<Row<'_>> =
        (0..6).map(|n| ("options before the quote", behind(n), n < 4)).collect();
    for (better, sent) in [(GATEWAY, true), ("192.0.2.3", false)] {
        let gateway: std::net::Ipv4Addr = better.parse().expect("IPv4");
        let message =
            Message::new(5, 1).word(gateway.into()).octets(about(HOST, "10.1.0.9").packet());
        for options in [4, 40] {
            let packet = Ipv4::between("192.0.2.1", HOST).options(options).icmp(message.clone());
            rows.push(("behind options", packet.clone().into(), sent));
            rows.push(("behind tags", packet.frame().tags(2).into(), sent));
        }
    }
    namespace.run(|| check(&mut gate_on(&namespace, HOST_PROFILE), rows));
}

/// Which way a packet goes may depend on where it is from, on its type of service, and on its ports.
#[test]
fn the_way_is_that_of_the_packet() {
    let namespace = router();
    namespace.ip("-4 route add 10.4.0.0/16 via 192.0.2.5 dev gate0 table 77");
    namespace.ip("-6 route add 2001:db8:d::/48 via fe80::5 dev gate0 table 77");
    namespace.ip("-4 rule add from 192.0.2.10 table 77");
    namespace.ip("-6 rule add from 2001:db8:1::10 table 77");
    namespace.ip("-4 rule add tos 0x10 table 77");
    namespace.ip("-6 rule add tos 0x10 table 77");
    // One way and the other: the second is that of the rules.
    let ways = |source: &str, change: &dyn Fn(&mut Vec<u8>), by_rule: bool| {
        let mut quoted = about(source, "10.4.0.9").packet();
        change(&mut quoted);
        [(GATEWAY, !by_rule), ("192.0.2.5", by_rule)]
            .map(|(better, sent)| ("IPv4", quoting(source, better, &quoted), sent))
    };
    let ways6 = |source: &str, change: &dyn Fn(&mut Vec<u8>), by_rule: bool| {
        let destination = "2001:db8:d::9";
        let mut quoted = about6(source, destination).packet();
        change(&mut quoted);
        [(GATEWAY6, !by_rule), ("fe80::5", by_rule)]
            .map(|(better, sent)| ("IPv6", quoting6(source, better, destination, &quoted), sent))
    };
    let mut rows: Vec<Row<'_>> = Vec::new();
    rows.extend(ways(HOST, &|_| {}, false));
    rows.extend(ways("192.0.2.10", &|_| {}, true));
    rows.extend(ways(HOST, &|quoted| quoted[1] = 0x10, true));
    rows.extend(ways6(HOST6, &|_| {}, false));
    rows.extend(ways6("2001:db8:1::10", &|_| {}, true));
    rows.extend(ways6(HOST6, &|quoted| quoted[..2].copy_from_slice(&[0x61, 0]), true));
    // The busybox of emulated machines has no such rules.
    if !in_vm() {
        for family in ["-4", "-6"] {
            namespace.ip(&format!("{family} rule add ipproto udp sport 7 dport 9 table 77"));
        }
        let ports = |at: usize| {
            move |quoted: &mut Vec<u8>| quoted[at..at + 4].copy_from_slice(&[0, 7, 0, 9])
        };
        rows.extend(ways(HOST, &ports(20), true));
        rows.extend(ways6(HOST6, &ports(40), true));
        let tcp = |quoted: &mut Vec<u8>| {
            quoted[9] = 6;
            ports(20)(quoted);
        };
        rows.extend(ways(HOST, &tcp, false));
    }
    namespace.run(|| check(&mut gate_on(&namespace, HOST_PROFILE), rows));
}

#[test]
fn a_machine_that_does_not_forward_has_nothing_to_redirect() {
    let namespace = router();
    namespace.sysctl("ipv4/ip_forward", "0");
    namespace.sysctl("ipv6/conf/all/forwarding", "0");
    let rows: Vec<Row<'_>> = vec![
        ("a redirect", redirect(HOST, GATEWAY, "10.1.0.9"), false),
        ("to a neighbour", redirect(HOST, "192.0.2.7", "192.0.2.7"), false),
        ("v6 redirect", redirect6(HOST6, GATEWAY6, "2001:db8:a::9"), false),
        ("v6 to a neighbour", redirect6(HOST6, "2001:db8:1::7", "2001:db8:1::7"), false),
    ];
    namespace.run(|| check(&mut gate_on(&namespace, HOST_PROFILE), rows));
}

#[test]
fn it_is_observed_or_looked_away_from_by_name() {
    let namespace = router();
    namespace.run(|| {
        let mut gate = gate_on(&namespace, HOST_PROFILE);
        let (frame, frame6) =
            (redirect(HOST, "192.0.2.3", "10.1.0.9"), redirect6(HOST6, "fe80::3", "2001:db8:a::9"));
        let settings = [
            ("", DROPS, DROPS6),
            ("[checks]\nredirect-unfounded = \"enforce\"\n", DROPS, DROPS6),
            (
                "[checks]\nredirect-unfounded = \"observe\"\n",
                "icmpv4 5/1 -> pass (observed) redirect-unfounded by egress/rest",
                "icmpv6 137/0 -> pass (observed) redirect-unfounded by egress/rest",
            ),
            ("[checks]\nredirect-unfounded = \"off\"\n", PASSES, PASSES6),
        ];
        for (text, four, six) in settings {
            gate.apply(&format!("{HOST_PROFILE}{text}"));
            assert_eq!(gate.run_egress(GENERATED, &frame).to_string(), four, "{text}");
            assert_eq!(gate.run_egress(GENERATED, &frame6).to_string(), six, "{text}");
        }
        // What arrives is no redirect of this machine's.
        gate.apply("profile = \"host\"\n[[rule]]\nname = \"in\"\nfamily = \"icmpv4\"\ntype = 5\naction = \"pass\"\n");
        assert_eq!(gate.run(&frame).to_string(), "icmpv4 5/1 good -> pass accepted by in");
        // Nothing is known of the interface, as before a daemon has looked.
        gate.endpoint(&Endpoint::default());
        let good = redirect(HOST, GATEWAY, "10.1.0.9");
        assert_eq!(gate.run_egress(GENERATED, &good).to_string(), DROPS);
    });
}
