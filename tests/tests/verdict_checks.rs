//! Row V1, and every reason there is: what is malformed or forged is dropped under a reason of its
//! own, which a policy can observe or look away from by name.

use icmp_common::{
    abi::{hook, local},
    verdict::{BY_MACHINE, BY_ROUTES, BY_RULE, FAULTS, Reason, TABLE, enforceable},
};
use icmpgate::{datapath::Endpoint, policy::Profile};
use icmpgate_tests::{
    Extension, Gate, Ipv4, Ipv6, Message, check,
    frame::C_TAG,
    gate::{Lease, OPEN},
    in_vm,
    message::{echo, error_v4, error_v6, igmp, igmp_query_v3, igmp_report, record},
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

/// A packet whose only fault this is, what is read of it, and the rule of [`OPEN`] that is about it:
/// none where it can't be read as far as its type, so that a rule has nothing to match.
fn faulty(fault: Reason) -> (Vec<u8>, &'static str, Option<&'static str>) {
    let ping = || Ipv4::default().icmp(echo(8).length(64));
    let ping6 = || Ipv6::default().icmp(echo(128).length(64));
    let of_igmp =
        |message| Ipv4::between("192.0.2.1", "224.0.0.22").ttl(1).router_alert().igmp(message);
    match fault {
        Reason::IP_VERSION => (ping().version(5).into(), "icmpv4 8/0 good", Some("v4")),
        Reason::IP_HEADER_LENGTH => (ping().header_words(4).into(), "icmpv4", None),
        Reason::IP_TOTAL_LENGTH => (ping().total_length_off(1).into(), "icmpv4 8/0", Some("v4")),
        Reason::IP_BAD_CHECKSUM => {
            (ping().bad_checksum(0x100).into(), "icmpv4 8/0 good", Some("v4"))
        }
        Reason::IPV6_PAYLOAD_LENGTH => {
            (ping6().payload_length_off(1).into(), "icmpv6 128/0", Some("v6"))
        }
        Reason::EXTENSION_HEADERS_BEYOND_BOUND => (ping6().extensions(9).into(), "icmpv6", None),
        Reason::FIRST_FRAGMENT_INCOMPLETE => {
            let fragment = Extension::fragment(0, true);
            let packet = Ipv6::default().extension(fragment).payload(60, [58, 0]);
            (packet.into(), "icmpv6 first", None)
        }
        Reason::MESSAGE_TOO_SHORT => {
            (Ipv4::default().icmp(echo(8).length(7)).into(), "icmpv4 8/0 good", Some("v4"))
        }
        Reason::MESSAGE_LENGTH => (
            of_igmp(Message::new(0x11, 0).zeros(10)).to([224, 0, 0, 1]).into(),
            "igmp 17/0 good",
            Some("igmp"),
        ),
        Reason::BAD_CHECKSUM => {
            (Ipv4::default().icmp(echo(8).bad_checksum(1)).into(), "icmpv4 8/0 bad", Some("v4"))
        }
        Reason::RECORDS_OVERRUN => (
            of_igmp(igmp_query_v3("239.1.2.3", 2, 1)).to([239, 1, 2, 3]).into(),
            "igmp 17/0 good",
            Some("igmp"),
        ),
        Reason::RECORDS_BEYOND_BOUND => {
            let report = igmp_report(200, &vec![record(4, 0, 0); 200]);
            (of_igmp(report).into(), "igmp 34/0 good", Some("igmp"))
        }
        Reason::ERROR_SOURCE => (
            Ipv4::between("127.0.0.1", "198.51.100.1").icmp(error_v4(3, 3, 0)).into(),
            "icmpv4 3/3 good",
            Some("v4"),
        ),
        Reason::ERROR_DESTINATION => (
            // Its quote is another's in any case, since no source is a group.
            Ipv6::between("2001:db8::1", "ff02::1").icmp(error_v6(1, 4, 0)).into(),
            "icmpv6 1/4 good",
            Some("v6"),
        ),
        Reason::UNANSWERABLE => {
            let quoted = Ipv4::between("198.51.100.1", "224.0.0.5").payload(17, [0; 8]).packet();
            let error = Message::new(3, 1).word(0).octets(quoted);
            (Ipv4::default().icmp(error).into(), "icmpv4 3/1 good", Some("v4"))
        }
        Reason::QUOTE_SOURCE => {
            let error = about(3, 1, 0, Ipv4::between("198.51.100.9", "203.0.113.9"));
            (Ipv4::default().icmp(error).into(), "icmpv4 3/1 good", Some("v4"))
        }
        Reason::QUOTE_MTU => {
            let error = about(3, 4, 67, Ipv4::between("198.51.100.1", "203.0.113.9"));
            (Ipv4::default().icmp(error).into(), "icmpv4 3/4 good", Some("v4"))
        }
        Reason::QUOTE_POINTER => {
            let error = about(12, 0, 20 << 24, Ipv4::between("198.51.100.1", "203.0.113.9"));
            (Ipv4::default().icmp(error).into(), "icmpv4 12/0 good", Some("v4"))
        }
        Reason::HOP_LIMIT => (report(2).into(), "igmp 22/0 good", Some("igmp")),
        Reason::ROUTER_ALERT => {
            (report(1).raw_options(&[1, 1, 1, 0]).into(), "igmp 22/0 good", Some("igmp"))
        }
        Reason::GROUP_ADDRESS => {
            (report(1).to([239, 1, 2, 4]).into(), "igmp 22/0 good", Some("igmp"))
        }
        Reason::GROUP_SOURCE => {
            let report = Message::new(131, 0).word(0).octets(GROUP6);
            let packet = Ipv6::between("2001:db8::1", "ff0e::9").hop_limit(1);
            let packet = packet.extension(Extension::router_alert()).icmp(report);
            (packet.into(), "icmpv6 131/0 good", Some("v6"))
        }
        Reason::DISCOVERY_MESSAGE => (solicitation(1, &[]).into(), "icmpv6 135/1 good", Some("v6")),
        Reason::DISCOVERY_ADDRESS => {
            let packet = solicitation(0, &[]).from(Ipv6Addr::UNSPECIFIED);
            (packet.into(), "icmpv6 135/0 good", Some("v6"))
        }
        Reason::FRAGMENTED_DISCOVERY => {
            let packet = solicitation(0, &[]).extension(Extension::fragment(0, false));
            (packet.into(), "icmpv6 135/0 good", Some("v6"))
        }
        Reason::ROUTER_ADVERTISEMENT => {
            let advertisement = Message::new(9, 0).word(0x0101_0708).zeros(16);
            (Ipv4::default().icmp(advertisement).into(), "icmpv4 9/0 good", Some("v4"))
        }
        other => panic!("no packet has the fault {}: write one", other.label()),
    }
}

/// ff0e::9, in octets.
const GROUP6: [u8; 16] = [0xff, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

/// A report of membership in 239.1.2.3 with this TTL.
fn report(ttl: u8) -> Ipv4 {
    let report = igmp(0x16, 0, "239.1.2.3");
    Ipv4::between("192.0.2.1", "239.1.2.3").ttl(ttl).router_alert().igmp(report)
}

/// A neighbour solicitation of this code, with these options, for all nodes.
fn solicitation(code: u8, options: &[u8]) -> Ipv6 {
    let message = Message::new(135, code).zeros(24).octets(options);
    Ipv6::between("fe80::1", "ff02::1").hop_limit(255).icmp(message)
}

/// An error about a packet with this header.
fn about(ty: u8, code: u8, word: u32, quoted: Ipv4) -> Message {
    Message::new(ty, code).word(word).octets(quoted.payload(17, [0; 8]).packet())
}

/// [`OPEN`], where the packets of [`faulty`] are addressed to this machine.
fn open() -> Lease {
    let mut gate = Gate::open();
    gate.local(&[HERE]);
    gate
}

const HERE: (&str, u32) = ("198.51.100.1", local::UNICAST);

/// Every fault of what arrives and a frame alone can have. What only this machine's own messages have,
/// `verdict_redirects` is about; what takes a connection or routes, `verdict_flow` and
/// `verdict_redirected`.
fn faults() -> impl Iterator<Item = Reason> {
    let arriving = enforceable(hook::INGRESS) & !BY_MACHINE;
    TABLE.iter().map(|e| e.reason).filter(move |r| arriving & r.bit() != 0)
}

/// What becomes of a packet that has a fault which is set so, under [`OPEN`].
///
/// One that a rule can't match keeps its fault as the reason, and passes; `off` can't give it
/// another.
fn fate(fault: Reason, setting: &str) -> String {
    let (_, what, rule) = faulty(fault);
    let label = fault.label();
    match (setting, rule) {
        // What a rule could relax is of the packet's rule.
        ("enforce", Some(rule)) if BY_RULE & fault.bit() != 0 => {
            format!("{what} -> drop {label} by {rule}")
        }
        ("enforce", _) => format!("{what} -> drop {label}"),
        (_, None) => format!("{what} -> pass (observed) {label}"),
        ("observe", Some(rule)) => format!("{what} -> pass (observed) {label} by {rule}"),
        (_, Some(rule)) => format!("{what} -> pass accepted by {rule}"),
    }
}

/// [`OPEN`] with these faults set so.
fn set<'a>(faults: impl IntoIterator<Item = &'a Reason>, to: &str) -> String {
    // What the profile only observes would be no test.
    let mut settings = BTreeMap::from([(Reason::ROUTER_ALERT, "enforce")]);
    settings.extend(faults.into_iter().map(|fault| (*fault, to)));
    let lines = settings.iter().map(|(fault, to)| format!("{} = \"{to}\"\n", fault.label()));
    format!("{OPEN}[checks]\n{}", lines.collect::<String>())
}

#[test]
fn each_fault_is_enforced_observed_or_looked_away_from() {
    let mut gate = open();
    for setting in ["enforce", "observe", "off"] {
        gate.apply(&set(&faults().collect::<Vec<_>>(), setting));
        let cases = faults().map(|fault| {
            (format!("{} = {setting}", fault.label()), faulty(fault).0, fate(fault, setting))
        });
        check(&mut gate, cases.collect::<Vec<_>>());
    }
}

#[test]
fn a_fault_that_is_set_by_name_leaves_the_others_in_force() {
    let mut gate = open();
    for (n, fault) in faults().enumerate().filter(|(n, _)| !in_vm() || n % 5 == 0) {
        let setting = if n % 2 == 0 { "observe" } else { "off" };
        gate.apply(&set([&fault], setting));
        let cases = faults().map(|other| {
            let expected = match (other, other == fault) {
                // What goes to a group and quotes a host is left with that.
                (Reason::ERROR_DESTINATION, true) => {
                    "icmpv6 1/4 good -> drop quote-source by v6".to_owned()
                }
                (_, true) => fate(other, setting),
                _ => fate(other, "enforce"),
            };
            let name = format!("{} while {} is {setting}", other.label(), fault.label());
            (name, faulty(other).0, expected)
        });
        check(&mut gate, cases.collect::<Vec<_>>());
    }
}

#[test]
fn a_fault_that_is_observed_does_not_exempt_from_the_rule() {
    let mut gate = open();
    gate.apply(&set(&faults().collect::<Vec<_>>(), "observe").replace("\"pass\"", "\"drop\""));
    let cases = faults().map(|fault| {
        let (frame, what, rule) = faulty(fault);
        let expected = match rule {
            Some(rule) => format!("{what} -> drop denied by {rule}"),
            None => fate(fault, "observe"),
        };
        (fault.label(), frame, expected)
    });
    check(&mut gate, cases.collect::<Vec<_>>());
}

#[test]
fn of_several_faults_the_first_that_is_enforced_is_told() {
    let frame = || {
        let message = echo(8).length(6).bad_checksum(1);
        Ipv4::default().icmp(message).version(9).bad_checksum(1)
    };
    let what = "icmpv4 8/0 bad";
    let mut gate = open();
    for (checks, expected) in [
        ("", "drop ip-version"),
        ("ip-version = \"off\"", "drop ip-bad-checksum"),
        ("ip-version = \"observe\"", "drop ip-bad-checksum"),
        ("ip-version = \"off\"\nip-bad-checksum = \"off\"", "drop message-too-short"),
        (
            "ip-version = \"off\"\nip-bad-checksum = \"observe\"\nmessage-too-short = \"off\"",
            "drop bad-checksum",
        ),
        (
            "ip-version = \"off\"\nip-bad-checksum = \"observe\"\nmessage-too-short = \"off\"\nbad-checksum = \"observe\"",
            "pass (observed) ip-bad-checksum by v4",
        ),
        (
            "ip-version = \"off\"\nip-bad-checksum = \"off\"\nmessage-too-short = \"off\"\nbad-checksum = \"off\"",
            "pass accepted by v4",
        ),
    ] {
        gate.apply(&format!("{OPEN}[checks]\n{checks}\n"));
        check(&mut gate, [(checks, frame(), format!("{what} -> {expected}"))]);
    }
}

#[test]
fn a_policy_that_observes_drops_nothing_and_keeps_each_reason() {
    let mut gate = open();
    gate.apply(&format!("mode = \"observe\"\n{OPEN}"));
    for fault in faults() {
        check(&mut gate, [(fault.label(), faulty(fault).0, fate(fault, "observe"))]);
    }
    gate.apply(&format!("mode = \"observe\"\n{}", OPEN.replace("\"pass\"", "\"drop\"")));
    let cases = [
        (
            "a rule's drop",
            Ipv4::default().icmp(echo(8)),
            "icmpv4 8/0 good -> pass (observed) denied by v4",
        ),
        (
            "a fault comes before the rule",
            Ipv4::default().icmp(echo(8).bad_checksum(1)),
            "icmpv4 8/0 bad -> pass (observed) bad-checksum by v4",
        ),
    ];
    check(&mut gate, cases);
    let udp = Ipv4::default().payload(17, [0; 8]);
    check(&mut gate, [("what isn't ours", udp, "none -> pass not-icmp")]);
}

#[test]
fn who_can_send_an_ipv4_error() {
    let mut gate = Gate::open();
    gate.local(&[
        ("198.51.100.1", local::UNICAST),
        ("198.51.100.127", local::BROADCAST),
        ("192.0.2.64", local::BROADCAST),
    ]);
    let no_source = [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.254",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.254",
        "255.255.255.255",
        "198.51.100.127",
        "192.0.2.64",
    ];
    let source = [
        "1.0.0.0",
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.9.9",
        "100.64.0.1",
        "126.255.255.255",
        "128.0.0.0",
        "223.255.255.255",
        "192.0.2.255",
        "198.51.100.126",
        "198.51.100.1",
    ];
    let of = |text: &str| text.parse::<Ipv4Addr>().unwrap();
    let mut cases = Vec::new();
    for (ty, code) in [(3, 0), (3, 4), (4, 0), (5, 1), (11, 0), (12, 0)] {
        for from in no_source {
            let expected = format!("icmpv4 {ty}/{code} good -> drop error-source");
            cases.push((
                format!("{ty} from {from}"),
                Ipv4::default().from(of(from)).icmp(error_v4(ty, code, 1400)),
                expected,
            ));
        }
        for from in source {
            let expected = format!("icmpv4 {ty}/{code} good -> pass accepted by v4");
            cases.push((
                format!("{ty} from {from}"),
                Ipv4::default().from(of(from)).icmp(error_v4(ty, code, 1400)),
                expected,
            ));
        }
        for to in ["224.0.0.1", "239.9.9.9", "255.255.255.255", "198.51.100.127"] {
            let expected = format!("icmpv4 {ty}/{code} good -> drop error-destination");
            cases.push((
                format!("{ty} to {to}"),
                Ipv4::default().to(of(to)).icmp(error_v4(ty, code, 1400)),
                expected,
            ));
        }
        for to in ["198.51.100.255", "198.51.100.1", "10.255.255.255"] {
            let expected = format!("icmpv4 {ty}/{code} good -> pass accepted by v4");
            cases.push((
                format!("{ty} to {to}"),
                Ipv4::default().to(of(to)).icmp(error_v4(ty, code, 1400)),
                expected,
            ));
        }
    }
    // It is about errors only.
    for ty in [0, 8, 10, 13, 14, 42] {
        for from in no_source {
            let expected = format!("icmpv4 {ty}/0 good -> pass accepted by v4");
            let message = Message::new(ty, 0).zeros(40);
            let packet = Ipv4::between(from, "255.255.255.255").icmp(message);
            cases.push((format!("{ty} from {from}"), packet, expected));
        }
    }
    check(&mut gate, cases);
    // A first fragment of one has its addresses too; a later one might be of anything.
    let forged = || Ipv4::between("127.0.0.1", "198.51.100.1").icmp(error_v4(3, 3, 0));
    let cases = [
        ("first", forged().fragment(0, true), "icmpv4 3/3 unverified first -> drop error-source"),
        ("later", forged().fragment(2, false), "icmpv4 later -> pass accepted by v4"),
    ];
    check(&mut gate, cases);
    // Broadcast addresses come and go with the networks.
    gate.local(&[]);
    let from = Ipv4::between("198.51.100.127", "192.0.2.64").icmp(error_v4(3, 3, 0));
    check(&mut gate, [("no network", from, "icmpv4 3/3 good -> pass accepted by v4")]);
}

#[test]
fn who_can_send_an_ipv6_error() {
    let mut gate = Gate::open();
    let of = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    let mut cases = Vec::new();
    for ty in [1, 2, 3, 4, 5, 99, 127] {
        let error = |from: &str, to: &str| {
            Ipv6::default().from(of(from)).to(of(to)).icmp(error_v6(ty, 0, 0))
        };
        for from in ["::", "::1", "ff02::1", "ff0e::1:2"] {
            let expected = format!("icmpv6 {ty}/0 good -> drop error-source");
            cases.push((format!("{ty} from {from}"), error(from, "2001:db8::1"), expected));
        }
        for from in ["fe80::1", "fd00::1", "2001:db8::1", "::2", "1::", "feff::1"] {
            let expected = format!("icmpv6 {ty}/0 good -> pass accepted by v6");
            cases.push((format!("{ty} from {from}"), error(from, "fe80::9"), expected));
        }
        for to in ["ff02::1", "ff05::2", "ff02::1:ff00:1"] {
            let expected = format!("icmpv6 {ty}/0 good -> drop error-destination");
            cases.push((format!("{ty} to {to}"), error("2001:db8::1", to), expected));
        }
    }
    for ty in [128, 129, 138, 160] {
        let packet = Ipv6::between("::", "ff02::1").icmp(Message::new(ty, 0).zeros(40));
        let expected = format!("icmpv6 {ty}/0 good -> pass accepted by v6");
        cases.push((format!("{ty}, which is no error"), packet, expected));
    }
    check(&mut gate, cases);
}

/// Every line of the table of reasons has a packet that comes to it.
#[test]
fn every_reason_is_reached() {
    const LIMITED: &str = r#"
        profile = "host"
        [[rule]]
        name = "one"
        family = "icmpv4"
        type = 8
        action = "limit"
        limit = { rate = 1, burst = 1, every = "hour", random = false }
    "#;
    let mut gate = Gate::profile(Profile::Host);
    gate.local(&[HERE]);
    let mut reached: BTreeMap<Reason, String> = BTreeMap::new();
    let mut note = |gate: &mut Gate, frame: Vec<u8>| {
        let seen = gate.run(&frame);
        reached.entry(seen.reason()).or_insert_with(|| seen.to_string());
    };
    for fault in faults() {
        note(&mut gate, faulty(fault).0);
    }
    note(&mut gate, Ipv4::default().payload(17, [0; 8]).into());
    note(&mut gate, Ipv4::default().icmp(echo(8)).frame().tags(3).into());
    note(&mut gate, Ipv4::default().icmp(echo(8)).frame().tags(2).tag(C_TAG, 0).into());
    note(&mut gate, Ipv4::default().icmp(echo(0)).into());
    // Certification paths (RFC 3971) are all that the profile passes without a limit.
    note(&mut gate, Ipv6::default().icmp(Message::new(148, 0).zeros(8)).into());
    note(&mut gate, Ipv4::default().icmp(error_v4(4, 0, 0)).into());
    note(&mut gate, Ipv4::default().icmp(error_v4(5, 0, 0)).into());
    gate.apply_profile(Profile::Strict);
    note(&mut gate, Ipv4::default().icmp(error_v4(3, 1, 0)).into());
    for policy in [LIMITED.to_owned(), LIMITED.replace("random", "reserve = true, random")] {
        gate.apply(&policy);
        note(&mut gate, Ipv4::default().icmp(echo(8)).into());
        note(&mut gate, Ipv4::default().icmp(echo(8)).into());
    }
    gate.endpoint(&Endpoint::default());
    gate.local(&[("198.51.100.1", local::UNICAST)]);
    for action in ["reject", "reply"] {
        // By another name, a rule has a limit of its own.
        gate.apply(&LIMITED.replace("\"limit\"", &format!("\"{action}\"")).replace("one", action));
        note(&mut gate, Ipv4::default().icmp(echo(8)).into());
    }

    for entry in TABLE {
        let how = match (reached.get(&entry.reason), entry.reason) {
            (Some(how), _) => how.as_str(),
            // It stands for a map operation that can't fail; a gate panics where it is seen.
            (None, Reason::INTERNAL_ERROR) => "by no packet, which every test asserts",
            // It has no packet: the kernel takes none of these. `load` has it.
            (None, Reason::NOT_RUNNABLE) => "in `explain` alone",
            // Whom it may be held against takes the machine's neighbours.
            (None, Reason::PENALTY_BOX) => "in `verdict_penalty`",
            // It takes a list of routers.
            (None, Reason::ROUTER_UNLISTED) => "in `verdict_link`",
            // It takes a connection.
            (None, Reason::FLOW_CONTRADICTED) => "in `verdict_flow`",
            // They take the machine's routes.
            (None, reason) if BY_ROUTES & reason.bit() != 0 => "in `verdict_redirected`",
            (None, Reason::REDIRECT_UNFOUNDED) => "in `verdict_redirects`",
            // It takes a querier that all have had the time to answer.
            (None, Reason::NO_MEMBER) => "in `verdict_members`",
            (None, _) => panic!("no packet comes to {}", entry.label),
        };
        println!("{:<32} {how}", entry.label);
        assert_eq!(entry.reason.is_fault(), entry.reason.0 < FAULTS);
    }
}
