//! Row V3: what an error says of the packet that it quotes has to be able to be true of it. It is dropped where it
//! is addressed to this machine, in transit only where the rule asks, and a rule can relax each check by name.
//!
//! What can be true Linux decides first where it decides at all, see `live`; here is every edge.

use icmp_common::{abi::local, verdict::Reason};
use icmpgate::policy::Profile;
use icmpgate_tests::{
    Extension, Gate, Ipv4, Ipv6, Message, check,
    gate::{Lease, OPEN},
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// This machine, and another that it is between.
const HERE4: &str = "198.51.100.1";
const HERE6: &str = "2001:db8:2::1";
const AWAY4: &str = "198.51.100.2";
const AWAY6: &str = "2001:db8:2::2";

fn machine(gate: &mut Gate) {
    gate.local(&[(HERE4, local::UNICAST), (HERE6, local::UNICAST)]);
}

fn open() -> Lease {
    let mut gate = Gate::open();
    machine(&mut gate);
    gate
}

/// What this machine sent: UDP, in a packet of 1,500 octets.
fn sent4() -> Ipv4 {
    Ipv4::between(HERE4, "203.0.113.9")
        .payload(17, [0x82, 0x35, 0, 53, 0, 8, 0, 0])
        .total_length(1500)
}

fn sent6() -> Ipv6 {
    Ipv6::between(HERE6, "2001:db8:9::1")
        .payload(17, [0x82, 0x35, 0, 53, 0, 8, 0, 0])
        .payload_length(1460)
}

fn at4(text: &str) -> Ipv4Addr {
    text.parse().expect("an IPv4 address")
}

fn at6(text: &str) -> Ipv6Addr {
    text.parse().expect("an IPv6 address")
}

/// An error that says this about a packet, from a router to whoever is given.
fn error4(to: &str, (ty, code): (u8, u8), word: u32, quoted: Ipv4) -> Vec<u8> {
    let message = Message::new(ty, code).word(word).octets(quoted.packet());
    Ipv4::between("192.0.2.1", to).icmp(message).into()
}

fn error6(to: &str, (ty, code): (u8, u8), word: u32, quoted: Ipv6) -> Vec<u8> {
    let message = Message::new(ty, code).word(word).octets(quoted.packet());
    Ipv6::between("2001:db8::1", to).icmp(message).into()
}

/// One that is good, and the same with each single fault.
fn one_of_each(to4: &str, to6: &str) -> Vec<(&'static str, Vec<u8>, Option<Reason>)> {
    let (source, mtu, pointer) = (Reason::QUOTE_SOURCE, Reason::QUOTE_MTU, Reason::QUOTE_POINTER);
    let of4 = || sent4().from(at4(to4));
    let of6 = || sent6().from(at6(to6));
    let other4 = || of4().from(at4("198.51.100.77"));
    let other6 = || of6().from(at6("2001:db8:2::77"));
    vec![
        ("good", error4(to4, (3, 4), 1400, of4()), None),
        ("good", error6(to6, (2, 0), 1400, of6()), None),
        ("of another", error4(to4, (3, 1), 0, other4()), Some(source)),
        ("of another", error4(to4, (11, 0), 0, other4()), Some(source)),
        ("of another", error6(to6, (1, 4), 0, other6()), Some(source)),
        ("of another", error6(to6, (99, 3), 7, other6()), Some(source)),
        ("67 octets", error4(to4, (3, 4), 67, of4()), Some(mtu)),
        ("it had fitted", error4(to4, (3, 4), 1500, of4()), Some(mtu)),
        ("1279 octets", error6(to6, (2, 0), 1279, of6()), Some(mtu)),
        ("it had fitted", error6(to6, (2, 0), 1500, of6()), Some(mtu)),
        ("behind the header", error4(to4, (12, 0), 20 << 24, of4()), Some(pointer)),
        ("behind the header", error4(to4, (12, 2), 255 << 24, of4()), Some(pointer)),
        ("behind the packet", error6(to6, (4, 0), 1500, of6()), Some(pointer)),
    ]
}

/// What has to be seen of one of these frames that comes to this.
fn expected(frame: &[u8], fate: &str) -> String {
    let (family, at, rule) =
        if frame[12..14] == [8, 0] { ("icmpv4", 34, "v4") } else { ("icmpv6", 54, "v6") };
    format!("{family} {}/{} good -> {fate} by {rule}", frame[at], frame[at + 1])
}

#[test]
fn what_cannot_be_is_dropped_where_it_is_for_this_machine() {
    let mut gate = open();
    let cases = one_of_each(HERE4, HERE6).into_iter().map(|(name, frame, fault)| {
        let fate = fault.map_or("pass accepted".to_owned(), |f| format!("drop {}", f.label()));
        let expected = expected(&frame, &fate);
        (name, frame, expected)
    });
    check(&mut gate, cases.collect::<Vec<_>>());
}

#[test]
fn in_transit_only_a_rule_that_asks_drops_it() {
    let mut gate = open();
    for (asks, policy) in [
        (false, OPEN.to_owned()),
        (
            true,
            OPEN.replace(
                "= \"pass\"",
                "= \"pass\"\nchecks = [\"quote-source\", \"quote-mtu\", \"quote-pointer\"]",
            ),
        ),
        (false, OPEN.replace("= \"pass\"", "= \"pass\"\nchecks = [\"unanswerable\"]")),
    ] {
        gate.apply(&policy);
        let cases = one_of_each(AWAY4, AWAY6).into_iter().map(|(name, frame, fault)| {
            let fate = match fault {
                Some(fault) if asks => format!("drop {}", fault.label()),
                _ => "pass accepted".to_owned(),
            };
            let expected = expected(&frame, &fate);
            (name, frame, expected)
        });
        check(&mut gate, cases.collect::<Vec<_>>());
    }
}

/// A rule goes before `[checks]`, of what is for this machine as well, and leaves the other checks alone.
#[test]
fn a_rule_relaxes_each_by_name() {
    let mut gate = open();
    for (of_all, of_rule, fate) in [
        ("", "off", "pass accepted"),
        ("", "observe", "pass (observed) {}"),
        ("", "enforce", "drop {}"),
        ("off", "", "pass accepted"),
        ("off", "enforce", "drop {}"),
        ("off", "observe", "pass (observed) {}"),
        ("observe", "", "pass (observed) {}"),
        ("observe", "enforce", "drop {}"),
        ("observe", "off", "pass accepted"),
    ] {
        for relaxed in [Reason::QUOTE_SOURCE, Reason::QUOTE_MTU, Reason::QUOTE_POINTER] {
            let label = relaxed.label();
            let mut policy = OPEN.to_owned();
            if !of_rule.is_empty() {
                let checks = format!("= \"pass\"\nchecks = {{ {label} = \"{of_rule}\" }}");
                policy = policy.replace("= \"pass\"", &checks);
            }
            if !of_all.is_empty() {
                policy += &format!("[checks]\n{label} = \"{of_all}\"\n");
            }
            gate.apply(&policy);
            for (there, to4, to6) in [("here", HERE4, HERE6), ("in transit", AWAY4, AWAY6)] {
                let cases = one_of_each(to4, to6).into_iter().map(|(name, frame, fault)| {
                    let asked = matches!(of_rule, "enforce" | "observe");
                    let fate = match fault {
                        Some(f) if f == relaxed && (there == "here" || asked) => {
                            fate.replace("{}", label)
                        }
                        Some(f) if f != relaxed && there == "here" => format!("drop {}", f.label()),
                        _ => "pass accepted".to_owned(),
                    };
                    let expected = expected(&frame, &fate);
                    let name =
                        format!("{name}, {there}, {label} {of_all:?} and {of_rule:?} by the rule");
                    (name, frame, expected)
                });
                check(&mut gate, cases.collect::<Vec<_>>());
            }
        }
    }
}

/// Behind options, extension headers and tags, in a first fragment, with a quote that ends with its header.
#[test]
fn it_is_read_wherever_it_is() {
    let mut gate = open();
    let mtu = |word| Message::new(3, 4).word(word).octets(sent4().options(40).packet());
    let mtu6 = |word| {
        let quoted =
            sent6().extension(Extension::hop_by_hop(1)).extension(Extension::fragment(0, true));
        Message::new(2, 0).word(word).octets(quoted.payload_length(1460).packet())
    };
    let four = |word| Ipv4::between("192.0.2.1", HERE4).icmp(mtu(word));
    let six = |word| Ipv6::between("2001:db8::1", HERE6).icmp(mtu6(word));
    let pointer = |word: u32, options| {
        let quoted = sent4().options(options);
        Ipv4::between("192.0.2.1", HERE4)
            .icmp(Message::new(12, 0).word(word << 24).octets(quoted.packet()))
    };
    let (passes, drops) =
        ("icmpv4 3/4 good -> pass accepted by v4", "icmpv4 3/4 good -> drop quote-mtu by v4");
    let (passes6, drops6) =
        ("icmpv6 2/0 good -> pass accepted by v6", "icmpv6 2/0 good -> drop quote-mtu by v6");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("options", four(1400).options(40).frame().tags(2).into(), passes),
        ("options", four(60).options(40).frame().tags(2).into(), drops),
        ("headers", six(1400).extensions(8).frame().tags(2).into(), passes6),
        ("headers", six(1000).extensions(8).frame().tags(2).into(), drops6),
        (
            "a first fragment",
            four(60).fragment(0, true).into(),
            "icmpv4 3/4 unverified first -> drop quote-mtu by v4",
        ),
        ("a later one", four(60).fragment(1, false).into(), "icmpv4 later -> pass accepted by v4"),
        ("the last option", pointer(59, 40).into(), "icmpv4 12/0 good -> pass accepted by v4"),
        (
            "behind the options",
            pointer(60, 40).into(),
            "icmpv4 12/0 good -> drop quote-pointer by v4",
        ),
        ("no option", pointer(59, 0).into(), "icmpv4 12/0 good -> drop quote-pointer by v4"),
    ];
    check(&mut gate, cases);
}

/// What of a quote isn't there says nothing: with no whole header nothing is known, and a header is all that is needed.
#[test]
fn a_quote_cut_anywhere_is_judged_by_what_is_left() {
    let mut gate = open();
    gate.apply(&format!("{OPEN}[checks]\nmessage-too-short = \"off\"\n"));
    let other = sent4().from(at4("198.51.100.77")).options(8).packet();
    let other6 = sent6().from(at6("2001:db8:2::77"));
    let other6 = other6.extension(Extension::authentication(6)).packet();
    let mut cases = Vec::new();
    for n in 0..=other.len() {
        // What the frame has behind the message isn't of it.
        for behind in [&[][..], &other[n..]] {
            let error = Message::new(11, 0).word(0).octets(&other[..n]);
            let frame =
                [Ipv4::between("192.0.2.1", HERE4).icmp(error).into(), behind.to_vec()].concat();
            let fate = if n >= 20 { "drop quote-source" } else { "pass accepted" };
            cases.push((format!("{n}"), frame, format!("icmpv4 11/0 good -> {fate} by v4")));
        }
    }
    for n in 0..=other6.len() {
        for behind in [&[][..], &other6[n..]] {
            let error = Message::new(3, 0).word(0).octets(&other6[..n]);
            let frame =
                [Ipv6::between("2001:db8::1", HERE6).icmp(error).into(), behind.to_vec()].concat();
            let fate = if n >= 40 { "drop quote-source" } else { "pass accepted" };
            cases.push((format!("{n}"), frame, format!("icmpv6 3/0 good -> {fate} by v6")));
        }
    }
    check(&mut gate, cases);
}

/// What isn't a header of the error's family is no quote of a packet that was sent; stacks look for the flow all the
/// same.
#[test]
fn a_quote_without_a_header_of_its_family_is_nobodys() {
    let mut gate = open();
    let (four, six) = (sent4().packet(), sent6().packet());
    let altered = |mut quoted: Vec<u8>, first: u8| {
        quoted[0] = first;
        quoted
    };
    let of4 = |quoted: &[u8]| -> Vec<u8> {
        let message = Message::new(3, 4).word(1400).octets(quoted);
        Ipv4::between("192.0.2.1", HERE4).icmp(message).into()
    };
    let of6 = |quoted: &[u8]| -> Vec<u8> {
        let message = Message::new(2, 0).word(1400).octets(quoted);
        Ipv6::between("2001:db8::1", HERE6).icmp(message).into()
    };
    let (passes, drops) =
        ("icmpv4 3/4 good -> pass accepted by v4", "icmpv4 3/4 good -> drop quote-source by v4");
    let (passes6, drops6) =
        ("icmpv6 2/0 good -> pass accepted by v6", "icmpv6 2/0 good -> drop quote-source by v6");
    let cases = [
        ("as it was", of4(&four), passes),
        ("version 0", of4(&altered(four.clone(), 0x05)), drops),
        ("version 6", of4(&altered(four.clone(), 0x65)), drops),
        ("a header of 16 octets", of4(&altered(four.clone(), 0x44)), drops),
        ("zeros", of4(&[0; 28]), drops),
        ("as it was", of6(&six), passes6),
        ("version 4", of6(&altered(six.clone(), 0x45)), drops6),
        ("version 0", of6(&altered(six, 0)), drops6),
        ("zeros", of6(&[0; 48]), drops6),
    ];
    check(&mut gate, cases);
}

/// The profiles enforce it on what is for the machine; in transit only those that are a host's ask.
#[test]
fn each_profile_does_what_it_says() {
    for (profile, asks) in
        [(Profile::Host, true), (Profile::Strict, true), (Profile::Router, false)]
    {
        let mut gate = Gate::profile(profile);
        machine(&mut gate);
        for (here, to4, to6) in [(true, HERE4, HERE6), (false, AWAY4, AWAY6)] {
            for (name, frame, fault) in one_of_each(to4, to6) {
                let seen = gate.run(&frame);
                match fault {
                    Some(fault) if here || asks => {
                        assert_eq!(seen.reason(), fault, "{name}: {seen}")
                    }
                    // Nothing here has sent what they quote.
                    _ if here && profile == Profile::Strict => {
                        assert_eq!(seen.reason(), Reason::UNKNOWN_FLOW, "{name}: {seen}")
                    }
                    _ => assert!(
                        matches!(seen.reason(), Reason::ACCEPTED | Reason::WITHIN_LIMIT),
                        "{profile:?}, {name}: {seen}"
                    ),
                }
            }
        }
    }
}
