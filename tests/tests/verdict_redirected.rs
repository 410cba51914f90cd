//! Row V5: redirects that arrive, against the routes in use, of an interface that doesn't forward: a mirror of the
//! kernel's that the test writes. How the kernel answers where it does, `live` shows.

use icmp_common::{abi::local, verdict::Reason};
use icmpgate::{
    datapath::{Endpoint, Neighbour, RouteLine, Tables},
    policy::Profile,
};
use icmpgate_tests::{Gate, Ipv4, Ipv6, Message, Namespace};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// This machine.
const HERE4: &str = "192.0.2.1";
const HERE6: &str = "fe80::1";
const GLOBAL6: &str = "2001:db8:1::1";
/// Its gateway, and a better one.
const GATEWAY4: &str = "192.0.2.254";
const BETTER4: &str = "192.0.2.253";
const GATEWAY6: &str = "fe80::fe";
const BETTER6: &str = "fe80::fd";
/// Behind them.
const FAR4: &str = "203.0.113.9";
const FAR6: &str = "2001:db8:9::9";

/// The interface of the instance, another of it, and the hardware address that frames come from.
const INDEX: u32 = 7;
const OTHER: u32 = 8;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// A redirect from somebody to a better gateway, about a packet from here.
#[derive(Clone, Copy)]
struct Redirect {
    from: &'static str,
    better: &'static str,
    about: &'static str,
}

const GOOD4: Redirect = Redirect { from: GATEWAY4, better: BETTER4, about: FAR4 };
const GOOD6: Redirect = Redirect { from: GATEWAY6, better: BETTER6, about: FAR6 };

impl Redirect {
    fn frame(self) -> Vec<u8> {
        if self.from.contains(':') {
            let address = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
            let message = Message::new(137, 0).word(0).octets(address(self.better));
            let message = message.octets(address(self.about));
            return Ipv6::between(self.from, HERE6).hop_limit(255).icmp(message).into();
        }
        let quoted = Ipv4::between(HERE4, self.about).payload(17, [0x12, 0x67, 0, 53, 0, 8, 0, 0]);
        let better: Ipv4Addr = self.better.parse().expect("an address");
        let message = Message::new(5, 1).octets(better.octets()).octets(quoted.packet());
        Ipv4::between(self.from, HERE4).icmp(message).into()
    }
}

fn line(prefix: &str, hops: &[(u32, Option<&str>)]) -> RouteLine {
    let address = |text: &&str| text.parse::<IpAddr>().expect("an address");
    let hops = hops.iter().map(|(i, g)| (*i, g.as_ref().map(address))).collect();
    RouteLine { prefix: prefix.parse().expect("a prefix"), metric: 0, hops }
}

fn neighbour(address: &str, hardware: [u8; 6]) -> Neighbour {
    Neighbour { address: address.parse().expect("an address"), interface: INDEX, hardware }
}

fn tables() -> Tables {
    Tables {
        neighbours: vec![
            neighbour(GATEWAY4, MAC),
            neighbour(GATEWAY6, MAC),
            neighbour("192.0.2.252", OTHER_MAC),
        ],
        routes: vec![
            line("192.0.2.0/24", &[(INDEX, None)]),
            line("0.0.0.0/0", &[(INDEX, Some(GATEWAY4))]),
            line("10.1.0.0/16", &[(INDEX, Some("192.0.2.252"))]),
            line("10.2.0.0/16", &[(OTHER, Some(GATEWAY4))]),
            line("10.3.0.0/16", &[(OTHER, Some("198.51.100.1")), (INDEX, Some(GATEWAY4))]),
            line("10.4.0.0/16", &[]),
            line("10.5.0.0/16", &[(INDEX, Some("192.0.2.251"))]),
            line("2001:db8:1::/64", &[(INDEX, None)]),
            line("::/0", &[(INDEX, Some(GATEWAY6))]),
            line("2001:db8:5::/64", &[(INDEX, Some("fe80::fc"))]),
        ],
    }
}

fn surround(gate: &mut Gate) {
    let unicast = |a| (a, local::UNICAST);
    gate.local(&[
        unicast(HERE4),
        unicast(HERE6),
        unicast(GLOBAL6),
        ("192.0.2.255", local::BROADCAST),
        (GATEWAY4, local::GATEWAY),
    ]);
    let addresses = ["192.0.2.1/24", "fe80::1/64", "2001:db8:1::1/64"];
    let addresses = addresses.map(|net| net.parse().expect("a network")).into();
    gate.endpoint(&Endpoint { addresses, index: INDEX, ..Endpoint::default() });
}

/// Calls this with a gate on a machine that doesn't forward, with a mirror that is true.
fn on_host(text: &str, test: impl FnOnce(&mut Gate) + Send) {
    let namespace = Namespace::new();
    namespace.sysctl("ipv4/ip_forward", "0");
    namespace.sysctl("ipv6/conf/all/forwarding", "0");
    let entries = tables().entries(&[(0, INDEX), (1, OTHER)]).expect("it fits");
    namespace.run(|| {
        let mut gate = Gate::among(&["test0", "test1"], 0, text);
        surround(&mut gate);
        let mirror = gate.instance().maps().mirror();
        assert!(mirror.wanted().expect("readable").redirects);
        mirror.set(&entries).expect("written");
        mirror.renew(Duration::from_secs(3600)).expect("written");
        test(&mut gate);
    });
}

/// Of redirects so many that no limit is in the way.
const VERIFIES: &str = r#"
profile = "host"
[[rule]]
name = "v4"
family = "icmpv4"
type = "redirect"
action = "verify-redirect"
[[rule]]
name = "v6"
family = "icmpv6"
type = "redirect"
action = "verify-redirect"
"#;

fn assert_reason(gate: &mut Gate, redirect: Redirect, reason: Reason, what: &str) {
    let seen = gate.run(&redirect.frame());
    assert_eq!(seen.reason(), reason, "{what}: {seen}");
    let rule = if redirect.from.contains(':') { "v6" } else { "v4" };
    assert_eq!(seen.rule.as_deref(), Some(rule), "{what}: {seen}");
}

/// What is true on a machine that doesn't forward, and each thing that makes it false.
fn cases() -> Vec<(&'static str, Redirect, Reason)> {
    let (sender, gateway, route) =
        (Reason::REDIRECT_SENDER, Reason::REDIRECT_GATEWAY, Reason::REDIRECT_ROUTE);
    let four = |better, about| Redirect { better, about, ..GOOD4 };
    let six = |better, about| Redirect { better, about, ..GOOD6 };
    vec![
        ("true", GOOD4, Reason::ACCEPTED),
        ("true", GOOD6, Reason::ACCEPTED),
        ("another sender", Redirect { from: "192.0.2.66", ..GOOD4 }, sender),
        ("another sender", Redirect { from: "fe80::66", ..GOOD6 }, sender),
        ("the better one itself", Redirect { from: BETTER4, ..GOOD4 }, sender),
        ("from elsewhere", Redirect { from: "198.51.100.7", ..GOOD4 }, sender),
        // The gateway of that destination has other hardware.
        ("as if from it", Redirect { from: "192.0.2.252", ..four(BETTER4, "10.1.0.9") }, sender),
        ("by another interface", four(BETTER4, "10.2.0.9"), sender),
        ("one of two ways", four(BETTER4, "10.3.0.9"), Reason::ACCEPTED),
        // Of hardware that isn't known, the address is all there is.
        (
            "unknown hardware",
            Redirect { from: "192.0.2.251", ..four(BETTER4, "10.5.0.9") },
            Reason::ACCEPTED,
        ),
        (
            "unknown hardware",
            Redirect { from: "fe80::fc", ..six(BETTER6, "2001:db8:5::9") },
            Reason::ACCEPTED,
        ),
        ("a gateway elsewhere", four("198.51.100.7", FAR4), gateway),
        ("itself", four(HERE4, FAR4), gateway),
        ("itself", six(HERE6, FAR6), gateway),
        ("itself", six(GLOBAL6, GLOBAL6), gateway),
        ("a broadcast", four("192.0.2.255", FAR4), gateway),
        ("of the link", four(BETTER4, "192.0.2.9"), route),
        ("of the link", six(BETTER6, "2001:db8:1::9"), route),
        ("no way", four(BETTER4, "10.4.0.9"), route),
        ("a neighbour after all", six(FAR6, FAR6), Reason::ACCEPTED),
    ]
}

#[test]
fn a_redirect_has_to_be_true_by_the_routes() {
    on_host(VERIFIES, |gate| {
        for (what, redirect, reason) in cases() {
            assert_reason(gate, redirect, reason, what);
        }
    });
}

#[test]
fn what_cannot_be_verified_is_dropped_and_only_by_who_verifies() {
    on_host(VERIFIES, |gate| {
        let both = [GOOD4, GOOD6];
        gate.instance().maps().mirror().expire().expect("written");
        both.iter().for_each(|r| assert_reason(gate, *r, Reason::REDIRECT_UNVERIFIED, "stale"));
        // What needs no route to be told is told.
        let itself = Redirect { better: HERE4, ..GOOD4 };
        assert_reason(gate, itself, Reason::REDIRECT_GATEWAY, "stale, itself");
        gate.apply(&VERIFIES.replace("verify-redirect", "pass"));
        both.iter().for_each(|r| assert_reason(gate, *r, Reason::ACCEPTED, "stale, passed"));
        gate.apply(VERIFIES);
        gate.instance().maps().mirror().renew(Duration::from_secs(3600)).expect("written");
        both.iter().for_each(|r| assert_reason(gate, *r, Reason::ACCEPTED, "fresh"));
        // Behind a tag it is another interface's.
        for redirect in both {
            let mut frame = redirect.frame();
            frame.splice(12..12, [0x81, 0, 0, 7]);
            assert_eq!(gate.run(&frame).reason(), Reason::REDIRECT_UNVERIFIED);
            // Not behind one that says a priority alone.
            frame[14..16].copy_from_slice(&[0xe0, 0]);
            assert_eq!(gate.run(&frame).reason(), Reason::ACCEPTED);
        }
        // Without networks of its own, none is known of the interface; with more than are kept, not each.
        let fill = (1..=8).map(|n| format!("10.{n}.0.1/24").parse().expect("a network")).collect();
        for addresses in [vec![], fill] {
            gate.endpoint(&Endpoint { addresses, index: INDEX, ..Endpoint::default() });
            assert_reason(gate, GOOD4, Reason::REDIRECT_UNVERIFIED, "networks");
        }
        surround(gate);
        // In transit it is nobody's here.
        gate.local(&[]);
        both.iter().for_each(|r| assert_reason(gate, *r, Reason::REDIRECT_UNVERIFIED, "transit"));
    });
}

#[test]
fn each_check_is_relaxed_by_name() {
    on_host(VERIFIES, |gate| {
        let faults = [
            (Redirect { from: "192.0.2.66", ..GOOD4 }, Reason::REDIRECT_SENDER),
            (Redirect { better: "198.51.100.7", ..GOOD4 }, Reason::REDIRECT_GATEWAY),
            (Redirect { about: "192.0.2.9", ..GOOD4 }, Reason::REDIRECT_ROUTE),
        ];
        for (redirect, fault) in faults {
            let label = fault.label();
            for by_rule in [true, false] {
                for (mode, expected) in [
                    ("enforce", format!("drop {label}")),
                    ("observe", format!("pass (observed) {label}")),
                    ("off", "pass accepted".to_owned()),
                ] {
                    let policy = match by_rule {
                        true => VERIFIES.replace(
                            "action =",
                            &format!("checks = {{ {label} = \"{mode}\" }}\naction ="),
                        ),
                        false => format!("{VERIFIES}[checks]\n{label} = \"{mode}\"\n"),
                    };
                    gate.apply(&policy);
                    let seen = gate.run(&redirect.frame()).to_string();
                    assert_eq!(seen, format!("icmpv4 5/1 good -> {expected} by v4"), "{policy}");
                }
            }
        }
        // A rule that passes holds them to it as well, and one that drops asks nothing.
        gate.apply(&VERIFIES.replace("verify-redirect", "pass"));
        for (redirect, fault) in faults {
            assert_reason(gate, redirect, fault, "passed");
        }
        gate.apply(&VERIFIES.replace("verify-redirect", "drop"));
        assert_reason(gate, faults[0].0, Reason::DENIED, "dropped");
    });
}

/// 10 at once, as `host` has it.
#[test]
fn true_redirects_are_limited() {
    on_host("profile = \"host\"\n", |gate| {
        for redirect in [GOOD4, GOOD6] {
            let reasons: Vec<Reason> =
                (0..20).map(|_| gate.send(&redirect.frame()).reason()).collect();
            assert!(reasons[..10].iter().all(|r| *r == Reason::WITHIN_LIMIT), "{reasons:?}");
            assert!(reasons[12..].iter().all(|r| *r == Reason::OVER_LIMIT), "{reasons:?}");
        }
        gate.settle();
    });
}

#[test]
fn quotes_and_messages_cut_anywhere() {
    on_host(VERIFIES, |gate| {
        let whole = GOOD4.frame();
        let message = &whole[34..];
        for length in 8..message.len() {
            let cut: Vec<u8> =
                Ipv4::between(GATEWAY4, HERE4).icmp(Message::raw(&message[..length])).into();
            let seen = gate.send(&cut);
            // The checksum is made anew; of a header that isn't there, nothing bears it out.
            let expected = match length {
                0..28 => [Reason::MESSAGE_TOO_SHORT, Reason::REDIRECT_ROUTE],
                _ => [Reason::ACCEPTED; 2],
            };
            assert!(expected.contains(&seen.reason()), "{length}: {seen}");
        }
        let whole = GOOD6.frame();
        for length in 8..40 {
            let message = Message::raw(&whole[54..54 + length]);
            let cut: Vec<u8> = Ipv6::between(GATEWAY6, HERE6).hop_limit(255).icmp(message).into();
            assert_eq!(gate.send(&cut).reason(), Reason::MESSAGE_TOO_SHORT, "{length}");
        }
        gate.settle();
    });
}

/// The profiles: a router takes none in transit, and all hold their own to the routes.
#[test]
fn each_profile_does_what_it_says() {
    for profile in [Profile::Host, Profile::Strict, Profile::Router] {
        on_host(&format!("profile = \"{}\"\n", profile.name()), |gate| {
            for redirect in [GOOD4, GOOD6] {
                assert_eq!(
                    gate.run(&redirect.frame()).reason(),
                    Reason::WITHIN_LIMIT,
                    "{profile:?}"
                );
                gate.local(&[]);
                let reason = gate.run(&redirect.frame()).reason();
                let expected = match profile {
                    Profile::Router => Reason::DENIED,
                    _ => Reason::REDIRECT_UNVERIFIED,
                };
                assert_eq!(reason, expected, "{profile:?}, in transit");
                surround(gate);
            }
        });
    }
}
