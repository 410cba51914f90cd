//! What isn't answered.

use crate::{
    ALL, BEYOND, BEYOND6, GROUP, HERE, HERE6, OTHER, PEER, PEER6, endpoint, gate, hardware,
    rejecting, replying,
};
use icmpgate::datapath::Endpoint;
use icmpgate_tests::{
    Extension, Frame, Ipv4, Ipv6, Message,
    gate::check,
    message::{echo, error_v4, error_v6},
};

#[test]
fn what_no_error_may_answer_is_dropped_as_the_rule_says() {
    let ping = |from: &str, to: &str| Ipv4::between(from, to).icmp(echo(8));
    let ping6 = |from: &str, to: &str| Ipv6::between(from, to).icmp(echo(128));
    let mut cases: Vec<(String, Vec<u8>, String)> = Vec::new();
    let mut denied = |name: &str, frame: Vec<u8>, is: &str| {
        cases.push((name.to_owned(), frame, format!("{is} -> drop denied by no")));
    };
    for from in ["0.0.0.0", "127.0.0.1", "224.0.0.5", "240.0.0.1", "192.0.2.255", HERE] {
        denied(&format!("from {from}"), ping(from, HERE).into(), "icmpv4 8/0 good");
    }
    for to in ["255.255.255.255", "224.0.0.1", "198.51.100.255"] {
        denied(&format!("to {to}"), ping(PEER, to).into(), "icmpv4 8/0 good");
    }
    for ty in [3, 4, 5, 11, 12] {
        let frame = Ipv4::between(PEER, HERE).icmp(error_v4(ty, 0, 0)).into();
        denied("an error", frame, &format!("icmpv4 {ty}/0 good"));
    }
    let later = Ipv4::between(PEER, HERE).payload(1, [8; 100]).fragment(5, false);
    denied("a later fragment", later.into(), "icmpv4 later");
    for (name, to, from) in [
        ("to all of the link", Some(ALL), None),
        ("to a group of the link", Some(GROUP), None),
        ("to another host of the link", Some(OTHER), None),
        ("from a group of the link", None, Some(GROUP)),
    ] {
        denied(name, hardware(ping(PEER, HERE), to, from), "icmpv4 8/0 good");
        denied(name, hardware(ping6(PEER6, HERE6), to, from), "icmpv6 128/0 good");
    }
    for from in ["::", "ff02::1", "ff0e::5", HERE6] {
        denied(&format!("from {from}"), ping6(from, HERE6).into(), "icmpv6 128/0 good");
    }
    denied("to a group", ping6(PEER6, "ff02::1").into(), "icmpv6 128/0 good");
    for ty in [1, 2, 3, 4, 100, 127] {
        let frame = Ipv6::between(PEER6, HERE6).icmp(error_v6(ty, 0, 1300)).into();
        denied("an error", frame, &format!("icmpv6 {ty}/0 good"));
    }
    // To its own destination, which is how a neighbour is told of.
    let about = [0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let redirect = Message::new(137, 0).word(0).octets(about).octets(about);
    let redirect = Ipv6::between("fe80::9", HERE6).hop_limit(255).icmp(redirect);
    denied("a redirect", redirect.into(), "icmpv6 137/0 good");
    check(&mut gate(&rejecting()), cases);
}

#[test]
fn what_the_hook_does_not_reply_to_is_dropped_as_the_rule_says() {
    let mut gate = gate(&replying());
    let ping = |from: &str, to: &str| Ipv4::between(from, to).icmp(echo(8));
    let ping6 = |from: &str, to: &str| Ipv6::between(from, to).icmp(echo(128));
    let v4 = "icmpv4 8/0 good -> drop denied by v4";
    let v6 = "icmpv6 128/0 good -> drop denied by v6";
    check::<Vec<u8>, _>(
        &mut gate,
        [
            ("to all", ping(PEER, "255.255.255.255").into(), v4),
            ("to a broadcast", ping(PEER, "198.51.100.255").into(), v4),
            ("to a group", ping(PEER, "224.0.0.1").into(), v4),
            ("from nobody", ping("0.0.0.0", HERE).into(), v4),
            ("from a broadcast", ping("192.0.2.255", HERE).into(), v4),
            ("from here", ping(HERE, HERE).into(), v4),
            ("to all of the link", hardware(ping(PEER, HERE), Some(ALL), None), v4),
            ("to another of the link", hardware(ping(PEER, HERE), Some(OTHER), None), v4),
            ("options", ping(PEER, HERE).options(4).into(), v4),
            ("to a group", ping6(PEER6, "ff02::1").into(), v6),
            ("from nobody", ping6("::", HERE6).into(), v6),
            ("an extension header", ping6(PEER6, HERE6).extensions(1).into(), v6),
            (
                "an atomic fragment",
                ping6(PEER6, HERE6).extension(Extension::fragment(0, false)).into(),
                v6,
            ),
            (
                "a first fragment",
                ping(PEER, HERE).fragment(0, true).into(),
                "icmpv4 8/0 unverified first -> drop denied by v4",
            ),
            // In transit, a request meets what it would without the rule.
            (
                "transit",
                ping(PEER, BEYOND).into(),
                "icmpv4 8/0 good -> pass within-limit by icmpv4/echo-request",
            ),
        ],
    );
}

#[test]
fn where_the_interface_has_nothing_to_answer_from_it_only_drops() {
    let mut gate = gate(&rejecting());
    let local: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8)).into();
    let transit: Vec<u8> = Ipv4::between(PEER, BEYOND).icmp(echo(8)).into();
    let transit6: Vec<u8> = Ipv6::between(PEER6, BEYOND6).icmp(echo(128)).into();
    let denied = "icmpv4 8/0 good -> drop denied by no";
    let denied6 = "icmpv6 128/0 good -> drop denied by no";
    let rejected = "icmpv4 8/0 good -> tx rejected by no";
    gate.endpoint(&Endpoint { vlan_unknown: true, ..endpoint() });
    check(
        &mut gate,
        [
            ("VLAN unknown", local.clone(), denied),
            ("VLAN unknown", transit.clone(), denied),
            ("VLAN unknown", transit6.clone(), denied6),
        ],
    );
    gate.endpoint(&Endpoint { addresses: Vec::new(), ..endpoint() });
    check(
        &mut gate,
        [
            // It answers from the address that was asked.
            ("no address", local.clone(), rejected),
            ("no address", transit.clone(), denied),
            ("no address", transit6, denied6),
        ],
    );
    // Nothing is known of it.
    gate.endpoint(&Endpoint { hardware: Some([0; 6]), ..Endpoint::default() });
    check(&mut gate, [("unknown", local.clone(), denied)]);
    gate.apply(&replying());
    gate.endpoint(&Endpoint { vlan_unknown: true, ..endpoint() });
    check(&mut gate, [("VLAN unknown", local, "icmpv4 8/0 good -> drop denied by v4")]);
}

#[test]
fn what_has_a_fault_is_not_answered_whatever_is_made_of_the_fault() {
    for setting in ["observe", "off"] {
        let checks =
            format!("[checks]\nbad-checksum = \"{setting}\"\nip-bad-checksum = \"{setting}\"\n");
        let with = |text: String| text.replacen('\n', &format!("\n{checks}"), 1);
        let bad: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8).bad_checksum(1)).into();
        let bad_ip: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8)).bad_checksum(1).into();
        let bad6: Vec<u8> = Ipv6::between(PEER6, HERE6).icmp(echo(128).bad_checksum(1)).into();
        let mut gate = gate(&with(rejecting()));
        check(
            &mut gate,
            [
                ("checksum", bad.clone(), "icmpv4 8/0 bad -> drop denied by no"),
                ("IP checksum", bad_ip.clone(), "icmpv4 8/0 good -> drop denied by no"),
                ("checksum", bad6.clone(), "icmpv6 128/0 bad -> drop denied by no"),
            ],
        );
        gate.apply(&with(replying()));
        check(
            &mut gate,
            [
                ("checksum", bad, "icmpv4 8/0 bad -> drop denied by v4"),
                ("IP checksum", bad_ip, "icmpv4 8/0 good -> drop denied by v4"),
                ("checksum", bad6, "icmpv6 128/0 bad -> drop denied by v6"),
            ],
        );
    }
}

#[test]
fn what_is_only_observed_passes_as_it_came() {
    let observed = |text: &str| text.replace("action =", "mode = \"observe\"\naction =");
    let mut gate = gate(&observed(&rejecting()));
    let frame: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8)).into();
    let expected = "icmpv4 8/0 good -> pass (observed) rejected by no";
    check(&mut gate, [("reject", frame.clone(), expected)]);
    gate.apply(&observed(&replying()));
    let expected = "icmpv4 8/0 good -> pass (observed) replied by v4";
    check(&mut gate, [("reply", frame.clone(), expected)]);
    gate.apply(&replying().replacen('\n', "\nmode = \"observe\"\n", 1));
    check(&mut gate, [("a whole policy", frame, expected)]);
}

#[test]
fn a_frame_of_three_tags_is_none_of_ours() {
    let frame = Ipv4::between(PEER, HERE).icmp(echo(8)).frame().tags(3);
    let cases: [(&str, Frame, &str); 1] =
        [("three tags", frame, "none -> pass vlan-tags-beyond-bound")];
    check(&mut gate(&rejecting()), cases);
}
