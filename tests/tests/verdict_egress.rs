//! What this machine sends: the errors that it makes itself and those that it forwards, each by the
//! rules of its own hook.

use icmp_common::{
    abi::{
        local,
        origin::{FORWARDED, GENERATED},
    },
    verdict::{Reason, Verdict},
};
use icmpgate::policy::Profile;
use icmpgate_tests::{
    Extension, Gate, Ipv4, Ipv6, Message,
    gate::hex,
    message::{echo, error_v4, error_v6},
};
use std::time::Instant;

const HERE: &str = "198.51.100.1";
const HERE6: &str = "2001:db8:2::1";

fn error(to: &str, ty: u8, code: u8) -> Vec<u8> {
    Ipv4::between(HERE, to).icmp(error_v4(ty, code, 0)).into()
}

fn error6(to: &str, ty: u8, code: u8) -> Vec<u8> {
    Ipv6::between(HERE6, to).icmp(error_v6(ty, code, 1280)).into()
}

/// How many of so many frames pass; the rest must be dropped for this reason.
fn passed(gate: &mut Gate, from: u8, frame: &[u8], times: usize, beyond: Reason) -> usize {
    let mut passed = 0;
    for _ in 0..times {
        let seen = gate.send_egress(from, frame);
        match seen.verdict() {
            Verdict::Pass => passed += 1,
            _ => assert_eq!(seen.reason(), beyond, "{seen}"),
        }
    }
    gate.settle();
    passed
}

/// One of a table: what it is, the frame, and what becomes of it.
type Row<'a> = (&'a str, Vec<u8>, &'a str);

#[test]
fn what_is_sent_meets_the_rules_for_it_and_no_others() {
    let mut gate = Gate::profile(Profile::Host);
    let rows: Vec<Row<'_>> = vec![
        (
            "port unreachable",
            error("192.0.2.1", 3, 3),
            "icmpv4 3/3 -> pass within-limit by egress/errors",
        ),
        (
            "fragmentation needed",
            error("192.0.2.1", 3, 4),
            "icmpv4 3/4 -> pass within-limit by egress/fragmentation-needed",
        ),
        (
            "source quench",
            error("192.0.2.1", 4, 0),
            "icmpv4 4/0 -> drop denied by egress/source-quench",
        ),
        (
            "an echo, which would be limited where it arrives",
            Ipv4::between(HERE, "192.0.2.1").icmp(echo(8)).into(),
            "icmpv4 8/0 -> pass accepted by egress/rest",
        ),
        (
            "a timestamp, which would be dropped where it arrives",
            Ipv4::between(HERE, "192.0.2.1").icmp(Message::new(13, 0).zeros(16)).into(),
            "icmpv4 13/0 -> pass accepted by egress/rest",
        ),
        (
            "time exceeded",
            error6("2001:db8:1::1", 3, 0),
            "icmpv6 3/0 -> pass within-limit by egress/errors6",
        ),
        (
            "packet too big",
            error6("2001:db8:1::1", 2, 0),
            "icmpv6 2/0 -> pass within-limit by egress/packet-too-big",
        ),
        (
            "a bad checksum, which no stack makes",
            Ipv4::between(HERE, "192.0.2.1").icmp(echo(0).bad_checksum(1)).into(),
            "icmpv4 0/0 -> pass accepted by egress/rest",
        ),
        (
            "a later fragment",
            Ipv4::between(HERE, "192.0.2.1").fragment(8, false).payload(1, [0; 64]).into(),
            "icmpv4 later -> pass accepted by egress/rest",
        ),
        (
            "other traffic",
            Ipv4::between(HERE, "192.0.2.1").payload(17, [0; 64]).into(),
            "none -> pass not-icmp",
        ),
    ];
    for (name, frame, expected) in rows {
        for from in [GENERATED, FORWARDED] {
            let seen = gate.run_egress(from, &frame);
            assert_eq!(seen.to_string(), expected, "{name}: {}", hex(&frame));
        }
    }
}

/// Row G2: by destination first, then in total; each kind of error by a total of its own.
#[test]
fn errors_are_limited_by_destination_and_in_total() {
    let mut gate = Gate::profile(Profile::Host);
    let over = Reason::OVER_LIMIT;
    let one = error("192.0.2.1", 3, 3);
    // An emulated machine may take its time.
    let since = |start: Instant| (start.elapsed().as_secs_f64() * 10.0).ceil() as usize + 1;
    let start = Instant::now();
    let n = passed(&mut gate, GENERATED, &one, 200, over);
    assert!((20..=20 + since(start)).contains(&n), "a burst of 20, and 10 a second: {n}");
    // Another destination isn't touched by that, nor is path MTU discovery to the first.
    let n = passed(&mut gate, GENERATED, &error("192.0.2.2", 3, 3), 5, over);
    assert_eq!(n, 5);
    let reserved = Reason::RESERVE_EXCEEDED;
    let n = passed(&mut gate, GENERATED, &error("192.0.2.1", 3, 4), 20, reserved);
    assert_eq!(n, 20);
    // IPv6 destinations behind a router count by their /64.
    let start = Instant::now();
    let n = passed(&mut gate, GENERATED, &error6("2001:db8:1::1", 1, 4), 40, over);
    assert!((20..=20 + since(start)).contains(&n), "{n}");
    let same = passed(&mut gate, GENERATED, &error6("2001:db8:1::2", 1, 4), 40, over);
    assert!(n + same <= 20 + since(start), "the same /64: {same}");
    // The rest of the total goes to whoever comes: 50 at once, and 1,000 a second.
    let start = Instant::now();
    let n = (0..2000u32)
        .filter(|i| {
            let to = format!("10.0.{}.{}", i / 250, i % 250 + 1);
            let seen = gate.send_egress(GENERATED, &error(&to, 11, 0));
            assert!(matches!(seen.reason(), Reason::WITHIN_LIMIT | Reason::OVER_LIMIT), "{seen}");
            seen.verdict() == Verdict::Pass
        })
        .count();
    gate.settle();
    let most = 100.0 + start.elapsed().as_secs_f64() * 1100.0;
    assert!(n >= 20 && n as f64 <= most, "{n} of at most {most}");
}

#[test]
fn generated_and_forwarded_have_rules_and_buckets_of_their_own() {
    let text = r#"
        profile = "host"
        [[rule]]
        name = "ours"
        hook = "egress"
        origin = "generated"
        family = "icmpv4"
        type = "time-exceeded"
        action = "limit"
        limit = { rate = 1, burst = 3, every = "hour", key = "destination" }
        [[rule]]
        name = "theirs"
        hook = "egress"
        origin = "forwarded"
        family = "icmpv4"
        type = "time-exceeded"
        action = "limit"
        limit = { rate = 1, burst = 7, every = "hour", key = "destination" }
    "#;
    let mut gate = Gate::new(text);
    let frame = error("192.0.2.1", 11, 0);
    let seen = gate.run_egress(GENERATED, &frame).to_string();
    assert_eq!(seen, "icmpv4 11/0 -> pass within-limit by ours");
    let seen = gate.run_egress(FORWARDED, &frame).to_string();
    assert_eq!(seen, "icmpv4 11/0 -> pass within-limit by theirs");
    assert_eq!(passed(&mut gate, GENERATED, &frame, 20, Reason::OVER_LIMIT), 2);
    assert_eq!(passed(&mut gate, FORWARDED, &frame, 20, Reason::OVER_LIMIT), 6);
    // The same message, arriving, is the profile's, which asks whom it is about.
    let seen = gate.run(&frame).to_string();
    assert_eq!(seen, "icmpv4 11/0 good -> drop quote-source by icmpv4/time-exceeded");
}

/// A zone is whom a packet comes from where it arrives, and whom it is for where it is sent.
#[test]
fn a_zone_is_whom_it_is_for() {
    let text = r#"
        profile = "host"
        [zones]
        customers = ["192.0.2.0/24", "2001:db8:1::/48"]
        [[rule]]
        name = "to-customers"
        hook = "egress"
        zone = "customers"
        action = "drop"
    "#;
    let mut gate = Gate::new(text);
    for (frame, by) in [
        (error("192.0.2.77", 3, 3), "icmpv4 3/3 -> drop denied by to-customers"),
        (error("192.0.3.77", 3, 3), "icmpv4 3/3 -> pass within-limit by egress/errors"),
        (error6("2001:db8:1:9::1", 1, 4), "icmpv6 1/4 -> drop denied by to-customers"),
        (error6("2001:db8:3::1", 1, 4), "icmpv6 1/4 -> pass within-limit by egress/errors6"),
    ] {
        assert_eq!(gate.run_egress(GENERATED, &frame).to_string(), by);
    }
    let from_customer = Vec::from(Ipv4::between("192.0.2.77", HERE).icmp(echo(8)));
    let seen = gate.run(&from_customer).to_string();
    assert_eq!(seen, "icmpv4 8/0 good -> pass within-limit by icmpv4/echo-request");
}

#[test]
fn what_is_only_observed_is_sent() {
    let mut gate = Gate::profile(Profile::Observe);
    let seen = gate.run_egress(GENERATED, &error("192.0.2.1", 4, 0)).to_string();
    assert_eq!(seen, "icmpv4 4/0 -> pass (observed) denied by egress/source-quench");
}

/// Rules that name an interface hold where the packet leaves.
#[test]
fn a_rule_for_one_interface_holds_there() {
    let text = r#"
        profile = "host"
        [[rule]]
        name = "quiet"
        hook = "egress"
        interface = "wan0"
        family = "icmpv6"
        action = "drop"
    "#;
    for (index, expected) in [
        (0, "icmpv6 1/4 -> pass within-limit by egress/errors6"),
        (1, "icmpv6 1/4 -> drop denied by quiet"),
    ] {
        let mut gate = Gate::among(&["lan0", "wan0"], index, text);
        let seen = gate.run_egress(GENERATED, &error6("2001:db8:1::1", 1, 4)).to_string();
        assert_eq!(seen, expected);
    }
}

/// Extension headers and options, as where a packet arrives.
#[test]
fn messages_are_found_behind_options_extension_headers_and_tags() {
    let mut gate = Gate::profile(Profile::Host);
    let report = Ipv6::between("fe80::1", "ff02::16")
        .extension(Extension::router_alert())
        .icmp(Message::new(143, 0).zeros(4));
    let seen = gate.run_egress(GENERATED, &Vec::from(report)).to_string();
    assert_eq!(seen, "icmpv6 143/0 -> pass accepted by egress/rest");
    let tagged = Ipv4::between(HERE, "192.0.2.1").icmp(error_v4(4, 0, 0)).frame().tags(2);
    let seen = gate.run_egress(GENERATED, &Vec::from(tagged)).to_string();
    assert_eq!(seen, "icmpv4 4/0 -> drop denied by egress/source-quench");
    let options = Ipv4::between(HERE, "192.0.2.1").options(40).icmp(error_v4(4, 0, 0));
    let seen = gate.run_egress(GENERATED, &Vec::from(options)).to_string();
    assert_eq!(seen, "icmpv4 4/0 -> drop denied by egress/source-quench");
}

/// Rows V2 and G1: what no error may answer isn't answered, whatever made the error.
#[test]
fn errors_about_what_none_may_answer_do_not_leave() {
    let mut gate = Gate::profile(Profile::Host);
    gate.local(&[("192.0.2.255", local::BROADCAST), (HERE, local::UNICAST)]);
    let quoting = |quoted: Vec<u8>| -> Vec<u8> {
        Ipv4::between(HERE, "192.0.2.1").icmp(Message::new(3, 1).word(0).octets(quoted)).into()
    };
    let quoting6 = |ty, code, quoted: Vec<u8>| -> Vec<u8> {
        let message = Message::new(ty, code).word(1280).octets(quoted);
        Ipv6::between(HERE6, "2001:db8:1::1").icmp(message).into()
    };
    let datagram = |to: &str| Ipv4::between("192.0.2.1", to).payload(17, [0, 9, 0, 9, 0, 8, 0, 0]);
    let datagram6 =
        |to: &str| Ipv6::between("2001:db8:1::1", to).payload(17, [0, 9, 0, 9, 0, 8, 0, 0]);
    let icmp = |ty| Ipv4::between("192.0.2.1", HERE).icmp(Message::new(ty, 0).length(8)).packet();
    let icmp6 =
        |ty| Ipv6::between("2001:db8:1::1", HERE6).icmp(Message::new(ty, 0).length(8)).packet();
    let later6 = Ipv6::between("2001:db8:1::1", HERE6)
        .extension(Extension::fragment(64, true))
        .payload(17, [0; 8])
        .packet();
    let (errors, errors6) = ("by egress/errors", "by egress/errors6");
    let cases: Vec<(&str, Vec<u8>, Option<&str>)> = vec![
        ("a datagram", quoting(datagram(HERE).packet()), Some(errors)),
        ("an echo request", quoting(icmp(8)), Some(errors)),
        ("an error", quoting(icmp(3)), None),
        ("a redirect", quoting(icmp(5)), None),
        ("to all", quoting(datagram("255.255.255.255").packet()), None),
        ("to a network's broadcast", quoting(datagram("192.0.2.255").packet()), None),
        ("ends in 255, and is none", quoting(datagram("192.0.3.255").packet()), Some(errors)),
        ("to a group", quoting(datagram("224.0.0.251").packet()), None),
        ("a later fragment", quoting(datagram(HERE).fragment(8, false).packet()), None),
        ("from nobody", quoting(Ipv4::between("0.0.0.0", HERE).payload(17, [0; 8]).packet()), None),
        ("an IPv6 datagram", quoting6(1, 4, datagram6(HERE6).packet()), Some(errors6)),
        ("an IPv6 error", quoting6(1, 4, icmp6(1)), None),
        ("an IPv6 redirect", quoting6(1, 4, icmp6(137)), None),
        ("an IPv6 echo request", quoting6(1, 4, icmp6(128)), Some(errors6)),
        ("to an IPv6 group", quoting6(1, 4, datagram6("ff02::fb").packet()), None),
        (
            "to an IPv6 group, and too big",
            quoting6(2, 0, datagram6("ff02::fb").packet()),
            Some("by egress/packet-too-big"),
        ),
        (
            "a later IPv6 fragment that is too big",
            quoting6(2, 0, later6),
            Some("by egress/packet-too-big"),
        ),
    ];
    for (name, frame, passes_by) in cases {
        for from in [GENERATED, FORWARDED] {
            let seen = gate.run_egress(from, &frame).to_string();
            match passes_by {
                Some(rule) => assert!(
                    seen.ends_with(&format!("-> pass within-limit {rule}")),
                    "{name}: {seen}"
                ),
                None => assert!(seen.contains("-> drop unanswerable"), "{name}: {seen}"),
            }
        }
    }
    // What is forwarded isn't this machine's doing: a rule that doesn't ask lets it through.
    gate.apply("profile = \"host\"\n[[rule]]\nname = \"any\"\nhook = \"egress\"\nfamily = \"icmpv4\"\naction = \"pass\"\n");
    let frame = quoting(icmp(3));
    assert_eq!(
        gate.run_egress(FORWARDED, &frame).to_string(),
        "icmpv4 3/1 -> pass accepted by any"
    );
    assert_eq!(
        gate.run_egress(GENERATED, &frame).to_string(),
        "icmpv4 3/1 -> drop unanswerable by any"
    );
    gate.apply("profile = \"host\"\n[checks]\nunanswerable = \"observe\"\n");
    let seen = gate.run_egress(GENERATED, &frame).to_string();
    assert!(seen.starts_with("icmpv4 3/1 -> pass (observed) unanswerable"), "{seen}");
}
