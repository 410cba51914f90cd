//! Row V2: an error that quotes a packet which no error may answer (RFC 1122 3.2.2, RFC 4443
//! 2.4(e)) is forged or faulty. It is dropped where it is addressed to this machine, in transit
//! only where the rule asks, and what of the quote isn't there is no fault.

use icmp_common::{abi::local, verdict::Reason};
use icmpgate::policy::Profile;
use icmpgate_tests::{
    Extension, Gate, Ipv4, Ipv6, Message, check,
    gate::{Lease, OPEN},
    message::echo,
    sampled,
};

/// This machine, and two networks' broadcast addresses.
const HERE4: &str = "198.51.100.1";
const HERE6: &str = "2001:db8:2::1";
const OWN_BROADCAST: &str = "198.51.100.127";
const OTHER_BROADCAST: &str = "203.0.113.63";
/// Others.
const AWAY4: &str = "198.51.100.2";
const AWAY6: &str = "2001:db8:2::2";

/// Each ICMPv4 error, and each ICMPv6 one with both sides of its exceptions; types that nobody
/// assigned are of the same format (RFC 4443 2.1, 2.4(a)).
const ERRORS4: [(u8, u8); 6] = [(3, 1), (3, 4), (4, 0), (5, 1), (11, 0), (12, 0)];
const ERRORS6: [(u8, u8); 9] =
    [(1, 4), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2), (5, 0), (99, 7), (127, 0)];

/// These rules, without the checks of what an error says of its quote (V3), and with these settings.
fn with(rules: &str, checks: &str) -> String {
    let off = ["quote-source", "quote-mtu", "quote-pointer"].map(|c| format!("{c} = \"off\"\n"));
    format!("{rules}[checks]\n{}{checks}\n", off.concat())
}

/// [`OPEN`], whose rules ask for the check in transit.
fn asking() -> String {
    OPEN.replace("action = \"pass\"", "action = \"pass\"\nchecks = [\"unanswerable\"]")
}

fn machine(gate: &mut Gate) {
    gate.local(&[
        (HERE4, local::UNICAST),
        (HERE6, local::UNICAST),
        (OWN_BROADCAST, local::BROADCAST),
        (OTHER_BROADCAST, local::BROADCAST),
        ("198.51.100.254", local::GATEWAY),
    ]);
}

fn open() -> Lease {
    let mut gate = Gate::open();
    gate.apply(&with(OPEN, ""));
    machine(&mut gate);
    gate
}

/// An error about this packet.
fn about(ty: u8, code: u8, quoted: impl AsRef<[u8]>) -> Message {
    Message::new(ty, code).word(0).octets(quoted)
}

/// The packet that this machine has sent, as a quote has it.
fn sent4() -> Ipv4 {
    Ipv4::between(HERE4, "203.0.113.9").payload(17, [0x82, 0x35, 0, 53, 0, 8, 0, 0])
}

fn sent6() -> Ipv6 {
    Ipv6::between(HERE6, "2001:db8:9::1").payload(17, [0x82, 0x35, 0, 53, 0, 8, 0, 0])
}

/// A message of 8 octets, as the first ones of any.
fn first_of(ty: u8) -> Message {
    Message::new(ty, 0).length(8)
}

/// Quotes of IPv4 packets, and whether an error may answer them.
fn quotes4() -> Vec<(String, Vec<u8>, bool)> {
    let icmp = |ty| sent4().icmp(first_of(ty));
    let mut cases: Vec<(String, Ipv4, bool)> = Vec::new();
    // Only these five types are errors; all others may be answered, queries and unknown ones alike.
    for ty in [3, 4, 5, 11, 12] {
        cases.push((format!("icmp {ty}"), icmp(ty), false));
        cases.push((format!("icmp {ty} behind options"), icmp(ty).options(24), false));
        cases.push((format!("first fragment of {ty}"), icmp(ty).fragment(0, true), false));
    }
    for ty in [0, 1, 2, 6, 8, 9, 10, 13, 14, 15, 16, 17, 18, 30, 40, 42, 43, 127, 128, 137, 255] {
        cases.push((format!("icmp {ty}"), icmp(ty), true));
    }
    for to in ["224.0.0.0", "224.0.0.251", "239.255.255.255", "255.255.255.255"] {
        cases.push((format!("to {to}"), sent4().to(at4(to)), false));
    }
    for to in [OWN_BROADCAST, OTHER_BROADCAST] {
        cases.push((format!("to {to}, a broadcast by the routes"), sent4().to(at4(to)), false));
    }
    for to in ["203.0.113.255", "10.255.255.255", "203.0.113.0", "240.0.0.1", "223.255.255.255"] {
        cases.push((format!("to {to}"), sent4().to(at4(to)), true));
    }
    for from in ["0.0.0.0", "0.9.9.9", "127.0.0.1", "127.9.9.9", "224.0.0.1", "240.0.0.1"] {
        cases.push((format!("from {from}"), sent4().from(at4(from)), false));
    }
    for from in ["255.255.255.255", OWN_BROADCAST, OTHER_BROADCAST] {
        cases.push((format!("from {from}"), sent4().from(at4(from)), false));
    }
    // Whether it is ours is not for this check to say.
    for from in ["10.0.0.1", "203.0.113.255", "1.0.0.0", "126.255.255.255", "223.255.255.255"] {
        cases.push((format!("from {from}"), sent4().from(at4(from)), true));
    }
    for (offset, more) in [(1, true), (1, false), (0x1fff, false)] {
        let name = format!("fragment at {offset}");
        cases.push((name.clone(), sent4().fragment(offset, more), false));
        cases.push((format!("{name} of echo"), icmp(8).fragment(offset, more), false));
    }
    cases.push(("first fragment".into(), sent4().fragment(0, true), true));
    cases.push(("which may not be fragmented".into(), sent4().dont_fragment(), true));
    // The number of an error is none where the protocol is another.
    for protocol in [2, 6, 17, 47, 50, 58, 132] {
        let packet = sent4().payload(protocol, [3; 8]);
        cases.push((format!("protocol {protocol} with 3 first"), packet, true));
    }
    // Routers change the header on the way; its checksum says nothing (W6).
    cases.push(("with a bad checksum".into(), sent4().bad_checksum(0x1234), true));
    cases.push(("error with a bad checksum".into(), icmp(3).bad_checksum(0x1234), false));
    let bytes = cases.into_iter().map(|(name, packet, may)| (name, packet.packet(), may));
    let mut cases: Vec<_> = bytes.collect();
    // No IPv4 header at all: nothing can be told.
    cases.push(("IPv6".into(), sent6().to(at6("ff02::1")).packet(), true));
    cases.push(("version 5".into(), sent4().to(at4("224.0.0.1")).version(5).packet(), true));
    let short = sent4().to(at4("224.0.0.1")).header_words(4).packet();
    cases.push(("header length 16".into(), short, true));
    cases.push(("nothing but zeros".into(), vec![0; 60], true));
    cases
}

/// Whom an IPv6 packet may be answered by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum May {
    /// Every error.
    All,
    /// Packet too big, and parameter problem with code 2.
    Two,
    /// None.
    None,
}

impl May {
    fn answer(self, (ty, code): (u8, u8)) -> bool {
        match self {
            Self::All => true,
            Self::Two => ty == 2 || (ty, code) == (4, 2),
            Self::None => false,
        }
    }
}

/// Quotes of IPv6 packets.
fn quotes6() -> Vec<(String, Vec<u8>, May)> {
    let icmp = |ty| sent6().icmp(first_of(ty));
    let mut cases: Vec<(String, Ipv6, May)> = Vec::new();
    for ty in [0, 1, 2, 3, 4, 5, 99, 100, 127, 137] {
        cases.push((format!("icmpv6 {ty}"), icmp(ty), May::None));
    }
    for ty in [128, 129, 130, 133, 134, 135, 136, 138, 143, 160, 255] {
        cases.push((format!("icmpv6 {ty}"), icmp(ty), May::All));
    }
    let headers = || {
        [
            ("hop-by-hop", Extension::hop_by_hop(2)),
            ("routing", Extension::routing(0, 0, &["2001:db8::7", "2001:db8::8"])),
            ("destination options", Extension::destination_options(0)),
            ("authentication", Extension::authentication(6)),
            ("atomic fragment", Extension::fragment(0, false)),
            ("first fragment", Extension::fragment(0, true)),
        ]
    };
    for (name, header) in headers() {
        let behind = |packet: Ipv6| {
            let packet = packet.extension(header.clone());
            packet.extension(Extension::destination_options(1))
        };
        cases.push((format!("icmpv6 1 behind {name}"), behind(icmp(1)), May::None));
        cases.push((format!("redirect behind {name}"), behind(icmp(137)), May::None));
        cases.push((format!("echo behind {name}"), behind(icmp(128)), May::All));
        cases.push((format!("UDP behind {name}"), behind(sent6()), May::All));
        let to = sent6().to(at6("ff0e::7"));
        cases.push((format!("to a group behind {name}"), behind(to), May::Two));
    }
    // A later fragment may be answered, and what it begins with is no type.
    for (offset, more) in [(1, true), (1, false), (0x1fff, false)] {
        let fragment = || Extension::fragment(offset, more);
        cases.push((format!("fragment at {offset}"), sent6().extension(fragment()), May::All));
        let of_error = icmp(1).extension(fragment());
        cases.push((format!("fragment at {offset} with 1 first"), of_error, May::All));
        let to = sent6().to(at6("ff02::1")).extension(fragment());
        cases.push((format!("fragment at {offset} to a group"), to, May::Two));
    }
    for to in ["ff02::1", "ff02::1:ff00:1", "ff0e::1:2:3", "ff00::"] {
        cases.push((format!("to {to}"), sent6().to(at6(to)), May::Two));
        let error = icmp(1).to(at6(to));
        cases.push((format!("icmpv6 1 to {to}"), error, May::None));
    }
    for to in ["fe80::1", "feff::1", "::1", "::", "2001:db8:9::"] {
        cases.push((format!("to {to}"), sent6().to(at6(to)), May::All));
    }
    for from in ["::", "ff02::1", "ff0e::1:2:3"] {
        cases.push((format!("from {from}"), sent6().from(at6(from)), May::None));
        let to_group = sent6().from(at6(from)).to(at6("ff02::1"));
        cases.push((format!("from {from} to a group"), to_group, May::None));
    }
    // A mapped address is none on the wire, and no broadcast either.
    for from in ["fe80::1", "fd00::1", "2001:db8:1::1", "::2", "::ffff:198.51.100.127"] {
        cases.push((format!("from {from}"), sent6().from(at6(from)), May::All));
    }
    for next in [1, 2, 6, 17, 50, 59, 132] {
        let packet = sent6().payload(next, [1; 8]);
        cases.push((format!("next header {next} with 1 first"), packet, May::All));
    }
    // What lies behind more headers than are walked isn't known.
    cases.push(("8 extension headers, then an error".into(), icmp(1).extensions(8), May::None));
    cases.push(("9 extension headers, then an error".into(), icmp(1).extensions(9), May::All));
    let to = sent6().to(at6("ff02::1")).extensions(9);
    cases.push(("9 extension headers to a group".into(), to, May::Two));
    let bytes = cases.into_iter().map(|(name, packet, may)| (name, packet.packet(), may));
    let mut cases: Vec<_> = bytes.collect();
    let mut four = sent4().to(at4("224.0.0.1")).packet();
    four.resize(60, 0);
    cases.push(("IPv4".into(), four, May::All));
    cases.push(("version 5".into(), sent6().to(at6("ff02::1")).version(5).packet(), May::All));
    cases.push(("nothing but zeros".into(), vec![0; 60], May::All));
    cases
}

fn at4(text: &str) -> std::net::Ipv4Addr {
    text.parse().expect("an IPv4 address")
}

fn at6(text: &str) -> std::net::Ipv6Addr {
    text.parse().expect("an IPv6 address")
}

/// Every error about every quote, sent to these two, and what has to be seen of those that may not
/// be: the others pass by the rule.
fn every(to4: &str, to6: &str, forbidden: impl Fn(&str) -> String) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name, frame: Vec<u8>, what: String, rule: &str, may: bool| {
        let passes = format!("{what} -> pass accepted by {rule}");
        let expected = if may { passes } else { format!("{what} -> {}", forbidden(rule)) };
        cases.push((name, frame, expected));
    };
    for (ty, code) in ERRORS4 {
        for (name, quoted, may) in quotes4() {
            let frame = Ipv4::default().to(at4(to4)).icmp(about(ty, code, quoted)).into();
            case(
                format!("{ty}/{code}: {name}"),
                frame,
                format!("icmpv4 {ty}/{code} good"),
                "v4",
                may,
            );
        }
    }
    for (ty, code) in ERRORS6 {
        for (name, quoted, may) in quotes6() {
            let frame = Ipv6::default().to(at6(to6)).icmp(about(ty, code, quoted)).into();
            let may = may.answer((ty, code));
            case(
                format!("{ty}/{code}: {name}"),
                frame,
                format!("icmpv6 {ty}/{code} good"),
                "v6",
                may,
            );
        }
    }
    cases.into_iter().enumerate().filter(|(n, _)| sampled(*n)).map(|(_, case)| case).collect()
}

type Case = (String, Vec<u8>, String);

#[test]
fn what_no_error_may_answer_is_dropped_where_it_is_for_this_machine() {
    let mut gate = open();
    let dropped = |rule: &str| format!("drop unanswerable by {rule}");
    check(&mut gate, every(HERE4, HERE6, dropped));
    // Asking for it changes nothing here: it is no rule's doing.
    gate.apply(&with(&asking(), ""));
    check(&mut gate, every(HERE4, HERE6, dropped));
    // A machine has its addresses from the kernel; one whose addresses aren't known is in transit.
    gate.apply(&with(OPEN, ""));
    gate.local(&[(OWN_BROADCAST, local::BROADCAST)]);
    let error = Ipv4::default().icmp(about(3, 1, sent4().to(at4("224.0.0.1")).packet()));
    check(&mut gate, [("no address", error, "icmpv4 3/1 good -> pass accepted by v4")]);
}

#[test]
fn in_transit_only_a_rule_that_asks_drops_it() {
    let mut gate = open();
    check(&mut gate, every(AWAY4, AWAY6, |rule| format!("pass accepted by {rule}")));
    gate.apply(&with(&asking(), ""));
    check(&mut gate, every(AWAY4, AWAY6, |rule| format!("drop unanswerable by {rule}")));
    // The gateway is another machine, and an IPv6 address in mapped form is nobody's.
    let error = || about(3, 1, sent4().to(at4("224.0.0.1")).packet());
    let error6 = || about(1, 4, sent6().to(at6("ff02::1")).packet());
    let cases = |fate: &str| {
        [
            (
                "to the gateway",
                Vec::from(Ipv4::default().to(at4("198.51.100.254")).icmp(error())),
                format!("icmpv4 3/1 good -> {fate} by v4"),
            ),
            (
                "to a mapped address",
                Ipv6::default().to(at6("::ffff:198.51.100.1")).icmp(error6()).into(),
                format!("icmpv6 1/4 good -> {fate} by v6"),
            ),
        ]
    };
    check(&mut gate, cases("drop unanswerable"));
    gate.apply(&with(OPEN, ""));
    check(&mut gate, cases("pass accepted"));
}

#[test]
fn the_rule_that_decides_is_the_one_that_asks() {
    let policy = r#"
        profile = "host"
        [[rule]]
        name = "asks"
        family = "icmpv4"
        type = 3
        destination = "transit"
        action = "pass"
        checks = ["unanswerable"]
        [[rule]]
        name = "asks-and-drops"
        family = "icmpv4"
        type = 11
        action = "drop"
        checks = ["unanswerable"]
        [[rule]]
        name = "asks-and-observes"
        family = "icmpv4"
        type = 12
        action = "drop"
        mode = "observe"
        checks = ["unanswerable"]
        [[rule]]
        name = "does-not-ask"
        family = "icmpv4"
        type = [4, 5]
        action = "pass"
        [[rule]]
        name = "limits"
        family = "icmpv6"
        action = "limit"
        limit = { rate = 1, burst = 1, every = "hour", random = false }
        checks = ["unanswerable"]
    "#;
    let mut gate = open();
    gate.apply(policy);
    let bad = |ty, to: &str| {
        let error = about(ty, 0, sent4().to(at4("224.0.0.1")).packet());
        Vec::from(Ipv4::default().to(at4(to)).icmp(error))
    };
    let good =
        |ty, to: &str| Vec::from(Ipv4::default().to(at4(to)).icmp(about(ty, 0, sent4().packet())));
    let cases = [
        ("asked", bad(3, AWAY4), "icmpv4 3/0 good -> drop unanswerable by asks"),
        ("asked, nothing wrong", good(3, AWAY4), "icmpv4 3/0 good -> pass accepted by asks"),
        ("check first", bad(11, AWAY4), "icmpv4 11/0 good -> drop unanswerable by asks-and-drops"),
        ("then the rule", good(11, AWAY4), "icmpv4 11/0 good -> drop denied by asks-and-drops"),
        (
            "what a rule asks for, it may only observe",
            bad(12, AWAY4),
            "icmpv4 12/0 good -> pass (observed) unanswerable by asks-and-observes",
        ),
        (
            "its own drop is observed likewise",
            good(12, AWAY4),
            "icmpv4 12/0 good -> pass (observed) denied by asks-and-observes",
        ),
        (
            "to this machine as well",
            bad(12, HERE4),
            "icmpv4 12/0 good -> pass (observed) unanswerable by asks-and-observes",
        ),
        ("not asked", bad(4, AWAY4), "icmpv4 4/0 good -> pass accepted by does-not-ask"),
        ("not asked", bad(5, AWAY4), "icmpv4 5/0 good -> pass accepted by does-not-ask"),
        ("to this machine", bad(4, HERE4), "icmpv4 4/0 good -> drop unanswerable by does-not-ask"),
    ];
    check(&mut gate, cases);
    // What is dropped for it draws on no limit.
    let bad =
        || Ipv6::default().to(at6(AWAY6)).icmp(about(1, 0, sent6().to(at6("ff02::1")).packet()));
    let good = || Ipv6::default().to(at6(AWAY6)).icmp(about(1, 0, sent6().packet()));
    let cases = [
        ("dropped", bad(), "icmpv6 1/0 good -> drop unanswerable by limits"),
        ("again", bad(), "icmpv6 1/0 good -> drop unanswerable by limits"),
        ("the first one", good(), "icmpv6 1/0 good -> pass within-limit by limits"),
        ("the second", good(), "icmpv6 1/0 good -> drop over-limit by limits"),
    ];
    check(&mut gate, cases);
}

#[test]
fn enforced_observed_or_off_by_name_or_for_the_whole_policy() {
    let bad = |to: &str| {
        let error = about(11, 0, sent4().icmp(first_of(3)).packet());
        Ipv4::default().to(at4(to)).icmp(error)
    };
    let mut gate = open();
    for (head, tail, here, asked) in [
        ("", "", "drop unanswerable by v4", "drop unanswerable by v4"),
        ("", "unanswerable = \"enforce\"", "drop unanswerable by v4", "drop unanswerable by v4"),
        (
            "",
            "unanswerable = \"observe\"",
            "pass (observed) unanswerable by v4",
            "pass (observed) unanswerable by v4",
        ),
        ("", "unanswerable = \"off\"", "pass accepted by v4", "pass accepted by v4"),
        (
            "mode = \"observe\"\n",
            "",
            "pass (observed) unanswerable by v4",
            "pass (observed) unanswerable by v4",
        ),
        // Off is off, whatever the mode.
        (
            "mode = \"observe\"\n",
            "unanswerable = \"off\"",
            "pass (observed) accepted by v4",
            "pass (observed) accepted by v4",
        ),
    ] {
        for (rules, away) in [(OPEN.to_owned(), None), (asking(), Some(asked))] {
            gate.apply(&format!("{head}{}", with(&rules, tail)));
            let what = "icmpv4 11/0 good";
            let unasked = if head.is_empty() {
                "pass accepted by v4"
            } else {
                "pass (observed) accepted by v4"
            };
            let cases = [
                ("to this machine", bad(HERE4), format!("{what} -> {here}")),
                ("in transit", bad(AWAY4), format!("{what} -> {}", away.unwrap_or(unasked))),
            ];
            check(&mut gate, cases);
        }
    }
}

#[test]
fn it_comes_behind_the_faults_of_the_message_itself() {
    let quoted = sent4().icmp(first_of(3)).packet();
    let error = || Ipv4::between("127.0.0.1", HERE4).icmp(about(3, 1, &quoted).bad_checksum(1));
    let mut gate = open();
    for (checks, expected) in [
        ("", "drop bad-checksum"),
        ("bad-checksum = \"off\"", "drop error-source"),
        ("bad-checksum = \"off\"\nerror-source = \"observe\"", "drop unanswerable by v4"),
    ] {
        gate.apply(&with(OPEN, checks));
        check(&mut gate, [(checks, error(), format!("icmpv4 3/1 bad -> {expected}"))]);
        let all =
            Reason::BAD_CHECKSUM.bit() | Reason::ERROR_SOURCE.bit() | Reason::UNANSWERABLE.bit();
        assert_eq!(gate.run(&Vec::from(error())).trace.faults, all, "explain tells all of them");
    }
    // In transit it is none, where nobody asks.
    let away = Ipv4::default().to(at4(AWAY4)).icmp(about(3, 1, &quoted));
    assert_eq!(gate.run(&Vec::from(away.clone())).trace.faults, 0);
    gate.apply(&with(&asking(), ""));
    assert_eq!(gate.run(&Vec::from(away)).trace.faults, Reason::UNANSWERABLE.bit());
    gate.settle();
}

/// Only what is there is looked at, and only what is of the message: a frame may have octets behind
/// it that would make an error of an echo.
#[test]
fn a_quote_cut_anywhere_is_judged_by_what_is_left() {
    let mut gate = open();
    gate.apply(&with(OPEN, "message-too-short = \"off\""));
    let mut cases = Vec::new();
    for options in [0usize, 4, 40] {
        for (name, quoted, known) in [
            ("error", sent4().options(options).icmp(first_of(3)).packet(), 20 + options + 1),
            ("group", sent4().options(options).to(at4("224.0.0.9")).packet(), 20),
            ("later fragment", sent4().options(options).fragment(9, false).packet(), 20),
            ("no host", sent4().options(options).from(at4("0.0.0.0")).packet(), 20),
            ("plain", sent4().options(options).packet(), usize::MAX),
        ] {
            for n in 0..=quoted.len() {
                for behind in [&[][..], &quoted[n..]] {
                    let error = Ipv4::default().icmp(about(11, 0, &quoted[..n]));
                    let frame = [Vec::from(error), behind.to_vec()].concat();
                    let fate =
                        if n >= known { "drop unanswerable by v4" } else { "pass accepted by v4" };
                    cases.push((
                        format!("{name}, {options} of options, {n} and {} behind", behind.len()),
                        frame,
                        format!("icmpv4 11/0 good -> {fate}"),
                    ));
                }
            }
        }
    }
    let chain = || {
        let packet = sent6().extension(Extension::hop_by_hop(1));
        packet.extension(Extension::fragment(0, false)).extension(Extension::authentication(6))
    };
    // 16 octets of hop-by-hop options, 8 of the fragment header, 24 of authentication.
    for (name, quoted, known) in [
        ("error", sent6().icmp(first_of(1)).packet(), 41),
        ("error behind headers", chain().icmp(first_of(137)).packet(), 40 + 48 + 1),
        ("group behind headers", chain().to(at6("ff02::9")).packet(), 40),
        ("no node", sent6().from(at6("::")).packet(), 40),
        ("plain behind headers", chain().packet(), usize::MAX),
    ] {
        for n in 0..=quoted.len() {
            for behind in [&[][..], &quoted[n..]] {
                let error = Ipv6::default().icmp(about(3, 0, &quoted[..n]));
                let frame = [Vec::from(error), behind.to_vec()].concat();
                let fate =
                    if n >= known { "drop unanswerable by v6" } else { "pass accepted by v6" };
                cases.push((
                    format!("{name}, {n} and {} behind", behind.len()),
                    frame,
                    format!("icmpv6 3/0 good -> {fate}"),
                ));
            }
        }
    }
    let sampled = cases.into_iter().enumerate().filter(|(n, _)| sampled(*n)).map(|(_, case)| case);
    check(&mut gate, sampled);
}

/// RFC 4884: the quote is padded with zeros to 128 octets, its length stands in the header, and
/// extensions follow. Zero is an error's type in ICMPv6.
#[test]
fn padding_and_extensions_behind_the_quote_are_not_of_it() {
    // Version 2, and an object of MPLS (RFC 4950).
    const EXTENSIONS: [u8; 16] = [0x20, 0, 0xdf, 0xef, 0, 8, 1, 1, 0x01, 0, 0x01, 1, 3, 3, 3, 3];
    let extended = |ty, code, word: u32, mut quoted: Vec<u8>| {
        quoted.resize(128, 0);
        Message::new(ty, code).word(word).octets(quoted).octets(EXTENSIONS)
    };
    let of4 = |quoted: Ipv4| Ipv4::default().icmp(extended(11, 0, 32 << 16, quoted.packet()));
    let of6 = |quoted: Ipv6| Ipv6::default().icmp(extended(3, 0, 16 << 24, quoted.packet()));
    let mut gate = open();
    let (four, six) = ("icmpv4 11/0 good -> ", "icmpv6 3/0 good -> ");
    let cases: Vec<(&str, Vec<u8>, String)> = vec![
        ("UDP", of4(sent4()).into(), format!("{four}pass accepted by v4")),
        ("error", of4(sent4().icmp(first_of(11))).into(), format!("{four}drop unanswerable by v4")),
        ("echo", of4(sent4().icmp(echo(8))).into(), format!("{four}pass accepted by v4")),
        (
            "ICMP of nothing",
            of4(sent4().payload(1, [])).into(),
            format!("{four}pass accepted by v4"),
        ),
        ("UDP", of6(sent6()).into(), format!("{six}pass accepted by v6")),
        ("error", of6(sent6().icmp(first_of(3))).into(), format!("{six}drop unanswerable by v6")),
        ("echo", of6(sent6().icmp(echo(128))).into(), format!("{six}pass accepted by v6")),
        (
            "ICMPv6 of nothing",
            of6(sent6().payload(58, [])).into(),
            format!("{six}pass accepted by v6"),
        ),
        // A payload length that doesn't reach behind the headers: no type is known.
        (
            "ICMPv6 that ends with its options",
            of6(sent6().extension(Extension::destination_options(1)).payload(58, [])).into(),
            format!("{six}pass accepted by v6"),
        ),
    ];
    check(&mut gate, cases);
}

/// A first fragment of an error has a quote; a later one has no header, and its octets are
/// anything's.
#[test]
fn fragments_of_errors_are_judged_by_the_quote_that_they_have() {
    let quoted = sent4().icmp(first_of(3)).packet();
    let error = || Ipv4::default().icmp(about(3, 1, &quoted));
    let quoted6 = sent6().icmp(first_of(1)).packet();
    let error6 = || Ipv6::default().icmp(about(1, 4, &quoted6));
    let mut gate = open();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "first",
            error().fragment(0, true).into(),
            "icmpv4 3/1 unverified first -> drop unanswerable by v4",
        ),
        ("later", error().fragment(1, false).into(), "icmpv4 later -> pass accepted by v4"),
        (
            "first",
            error6().extension(Extension::fragment(0, true)).into(),
            "icmpv6 1/4 unverified first -> drop unanswerable by v6",
        ),
        (
            "later",
            error6().extension(Extension::fragment(1, false)).into(),
            "icmpv6 later -> pass accepted by v6",
        ),
        (
            "atomic",
            error6().extension(Extension::fragment(0, false)).into(),
            "icmpv6 1/4 good -> drop unanswerable by v6",
        ),
        (
            "behind options and tags",
            error().options(40).frame().tags(2).into(),
            "icmpv4 3/1 good -> drop unanswerable by v4",
        ),
        (
            "behind the most extension headers",
            error6().extensions(8).frame().tags(2).into(),
            "icmpv6 1/4 good -> drop unanswerable by v6",
        ),
    ];
    check(&mut gate, cases);
}

/// What isn't an error quotes nothing, whatever stands where a quote would.
#[test]
fn other_messages_have_no_quote() {
    let mut gate = open();
    let quoted = sent4().icmp(first_of(3)).to(at4("224.0.0.1")).packet();
    let quoted6 = sent6().icmp(first_of(1)).from(at6("::")).packet();
    for ty in 0..=u8::MAX {
        let drops4 = matches!(ty, 3 | 4 | 5 | 11 | 12);
        let seen = gate.send(&Vec::from(Ipv4::default().icmp(about(ty, 0, &quoted))));
        assert_eq!(seen.reason() == Reason::UNANSWERABLE, drops4, "{ty}: {seen}");
        let seen = gate.send(&Vec::from(Ipv6::default().icmp(about(ty, 0, &quoted6))));
        assert_eq!(seen.reason() == Reason::UNANSWERABLE, ty < 128, "{ty}: {seen}");
        let igmp = Ipv4::default().to(at4(HERE4)).igmp(about(ty, 0, &quoted));
        assert_ne!(gate.send(&Vec::from(igmp)).reason(), Reason::UNANSWERABLE, "igmp {ty}");
    }
    gate.settle();
}

#[test]
fn each_profile_does_what_it_says() {
    let bad = |to: &str| {
        let error = about(11, 0, sent4().to(at4("224.0.0.1")).packet());
        Ipv4::default().to(at4(to)).icmp(error)
    };
    let bad6 = |to: &str| {
        let error = about(3, 0, sent6().to(at6("ff02::1")).packet());
        Ipv6::default().to(at6(to)).icmp(error)
    };
    for (profile, here, away4, away6) in [
        // A host's rules ask for it; a router's are about the host's own, and pass what is others'.
        (
            Profile::Host,
            (
                "drop unanswerable by icmpv4/time-exceeded",
                "drop unanswerable by icmpv6/time-exceeded",
            ),
            "drop unanswerable by icmpv4/time-exceeded",
            "drop unanswerable by icmpv6/time-exceeded",
        ),
        (
            Profile::Router,
            (
                "drop unanswerable by icmpv4/time-exceeded",
                "drop unanswerable by icmpv6/time-exceeded",
            ),
            "pass accepted by icmpv4/time-exceeded-transit",
            "pass accepted by icmpv6/time-exceeded-transit",
        ),
        (
            Profile::Strict,
            (
                "drop unanswerable by icmpv4/time-exceeded",
                "drop unanswerable by icmpv6/time-exceeded",
            ),
            "drop unanswerable by icmpv4/time-exceeded",
            "drop unanswerable by icmpv6/time-exceeded",
        ),
    ] {
        let mut gate = Gate::profile(profile);
        machine(&mut gate);
        let cases = [
            ("here", Vec::from(bad(HERE4)), format!("icmpv4 11/0 good -> {}", here.0)),
            ("here", bad6(HERE6).into(), format!("icmpv6 3/0 good -> {}", here.1)),
            ("away", bad(AWAY4).into(), format!("icmpv4 11/0 good -> {away4}")),
            ("away", bad6(AWAY6).into(), format!("icmpv6 3/0 good -> {away6}")),
        ];
        check(&mut gate, cases);
    }
    let mut gate = Gate::profile(Profile::Observe);
    machine(&mut gate);
    for seen in [gate.run(&Vec::from(bad(HERE4))), gate.run(&Vec::from(bad6(HERE6)))] {
        let seen = seen.to_string();
        assert!(seen.contains("-> pass (observed) unanswerable by "), "{seen}");
    }
}
