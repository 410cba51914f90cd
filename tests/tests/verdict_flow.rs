//! Row V4: whether the flow that an error is about is this machine's. Sockets are the kernel's own, in a network
//! namespace of the test's.

use icmp_common::{
    abi::{local, origin},
    flow::state,
    verdict::Reason,
};
use icmpgate::{datapath::tcp_sequence, policy::Profile};
use icmpgate_tests::{
    Extension, Gate, Ipv4, Ipv6, Message, Namespace, Seen,
    gate::OPEN,
    message::echo,
    tcp::{connect, connection, deafen, send_next},
};
use std::{
    io::Write,
    net::{IpAddr, TcpListener, UdpSocket},
};

/// This machine, and another that its packets go to.
const HERE4: &str = "198.51.100.1";
const THERE4: &str = "198.51.100.2";
const HERE6: &str = "2001:db8:2::1";
const THERE6: &str = "2001:db8:2::2";
/// Through this machine.
const AWAY4: &str = "203.0.113.1";
const AWAY6: &str = "2001:db8:9::1";

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Errors of which known ones draw on one limit and others on another.
const TOLD_APART: &str = r#"
profile = "host"
[[rule]]
name = "v4"
family = "icmpv4"
action = "limit"
limit = { rate = 1000, burst = 1000, reserve = true }
unknown-flow = { rate = 1000, burst = 1000, key = "source" }
[[rule]]
name = "v6"
family = "icmpv6"
action = "limit"
limit = { rate = 1000, burst = 1000, reserve = true }
unknown-flow = { rate = 1000, burst = 1000, key = "source" }
"#;

/// Calls this on a machine that has the addresses of both ends.
fn on_machine(what: impl FnOnce() + Send) {
    let namespace = Namespace::new();
    for address in [HERE4, THERE4] {
        namespace.ip(&format!("addr add {address}/24 dev lo"));
    }
    for address in [HERE6, THERE6] {
        namespace.ip(&format!("addr add {address}/64 dev lo"));
    }
    namespace.run(what);
}

fn gate(policy: &str) -> Gate {
    let mut gate = Gate::new(policy);
    gate.local(&[(HERE4, local::UNICAST), (HERE6, local::UNICAST)]);
    gate
}

/// What was sent, from and to whom, as far as an error quotes it.
#[derive(Clone, Copy)]
struct Sent {
    from: (&'static str, u16),
    to: (&'static str, u16),
    protocol: u8,
    sequence: u32,
}

impl Sent {
    fn new(protocol: u8, from: (&'static str, u16), to: (&'static str, u16)) -> Self {
        Self { from, to, protocol, sequence: 0x0008_0000 }
    }

    fn first(self) -> Vec<u8> {
        let mut octets = self.from.1.to_be_bytes().to_vec();
        octets.extend(self.to.1.to_be_bytes());
        octets.extend(self.sequence.to_be_bytes());
        octets
    }

    /// The error of this type, code and second word about it.
    fn error(self, (ty, code): (u8, u8), word: u32) -> Vec<u8> {
        let message = Message::new(ty, code).word(word);
        if self.from.0.contains(':') {
            let quoted = Ipv6::between(self.from.0, self.to.0);
            let quoted = quoted.payload(self.protocol, self.first()).payload_length(1460);
            let message = message.octets(quoted.packet());
            return Ipv6::between("2001:db8::1", self.from.0).icmp(message).into();
        }
        let quoted = Ipv4::between(self.from.0, self.to.0);
        let quoted = quoted.payload(self.protocol, self.first()).total_length(1500);
        Ipv4::between("192.0.2.1", self.from.0).icmp(message.octets(quoted.packet())).into()
    }

    /// One of each kind of error about it.
    fn errors(self) -> Vec<Vec<u8>> {
        let kinds: &[((u8, u8), u32)] = if self.from.0.contains(':') {
            &[((1, 4), 0), ((2, 0), 1400), ((3, 0), 0), ((4, 1), 40), ((99, 7), 5)]
        } else {
            &[((3, 1), 0), ((3, 3), 0), ((3, 4), 1400), ((11, 0), 0), ((12, 0), 0)]
        };
        kinds.iter().map(|(kind, word)| self.error(*kind, *word)).collect()
    }
}

/// What an error comes to, by the state of its flow.
fn assert_state(seen: &Seen, expected: u8, what: &str) {
    assert_eq!(seen.trace.flow, expected, "{what}: {seen}");
    let reason = match expected {
        state::CONTRADICTED => Reason::FLOW_CONTRADICTED,
        _ => Reason::WITHIN_LIMIT,
    };
    assert_eq!(seen.reason(), reason, "{what}: {seen}");
}

/// That each error about it is of a flow in this state.
fn assert_all(gate: &mut Gate, sent: Sent, expected: u8, what: &str) {
    for error in sent.errors() {
        let seen = gate.run(&error);
        assert_state(&seen, expected, what);
    }
}

/// What each of the two limits of a rule let pass: of known flows, and of unknown ones.
fn drawn(gate: &mut Gate, rule: &str) -> (u64, u64) {
    let limits = gate.instance().maps().limits().expect("readable");
    let name = format!("{rule}\0");
    let of_rule = || limits.iter().filter(|l| l.info.rule.starts_with(name.as_bytes()));
    let passed = |unknown: bool| {
        let flag = icmp_common::abi::limit_flag::UNKNOWN_FLOW;
        let of = of_rule().filter(|l| (l.info.flags & flag != 0) == unknown);
        of.map(|l| l.count.passed).sum()
    };
    (passed(false), passed(true))
}

#[test]
fn udp_is_live_where_a_socket_has_its_port() {
    on_machine(|| {
        let mut gate = gate(TOLD_APART);
        for (here, there, any) in [(HERE4, THERE4, "0.0.0.0"), (HERE6, THERE6, "::")] {
            let open = |address: &str, port: u16| {
                UdpSocket::bind((address.parse::<IpAddr>().expect("an address"), port))
                    .expect("a port")
            };
            let bound = open(here, 0);
            let connected = open(here, 0);
            connected.connect((there, 53)).expect("connected");
            let wildcard = open(any, 0);
            let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
            let (a, b, c) = (port(&bound), port(&connected), port(&wildcard));
            let _tunnel = open(here, 4789);
            let free = (1024..).find(|p| ![a, b, c].contains(p)).expect("a port");
            for (from, to, expected, what) in [
                (a, (there, 53), state::LIVE, "bound"),
                (a, (there, 4711), state::LIVE, "bound, to any port"),
                (b, (there, 53), state::LIVE, "connected"),
                (b, (there, 54), state::UNKNOWN, "connected to another port"),
                (c, (there, 9), state::LIVE, "of any address"),
                (free, (there, 53), state::UNKNOWN, "no socket"),
                // What anybody can say of a service's port, nobody is believed.
                (free, (there, a), state::UNKNOWN, "the port of a service"),
                // RFC 7348 5: a tunnel's source port says which flow it is, and its socket has the other.
                (free, (there, 4789), state::LIVE, "the port of a tunnel"),
                (free, (there, 6081), state::UNKNOWN, "of a tunnel that there isn't"),
            ] {
                assert_all(&mut gate, Sent::new(UDP, (here, from), to), expected, what);
                // TCP has other ports.
                assert_all(&mut gate, Sent::new(TCP, (here, from), to), state::UNKNOWN, what);
            }
            let elsewhere = if here == HERE4 { "203.0.113.77" } else { "2001:db8:9::77" };
            let of_any = Sent::new(UDP, (here, a), (elsewhere, 53));
            assert_all(&mut gate, of_any, state::LIVE, "bound, to any address");
            let of_one = Sent::new(UDP, (here, b), (elsewhere, 53));
            assert_all(&mut gate, of_one, state::UNKNOWN, "connected to another address");
        }
        // Of UDP 6 live and 5 unknown, of TCP 9 unknown, five errors each.
        for rule in ["v4", "v6"] {
            assert_eq!(drawn(&mut gate, rule), (6 * 5, 14 * 5), "{rule}");
        }
        // A socket of both families.
        let dual = UdpSocket::bind(("::", 0)).expect("a port");
        let port = dual.local_addr().expect("bound").port();
        let of_dual = Sent::new(UDP, (HERE4, port), (THERE4, 53));
        assert_all(&mut gate, of_dual, state::LIVE, "of both families");
    });
}

#[test]
fn tcp_is_held_against_what_is_in_flight() {
    on_machine(|| {
        let mut gate = gate(TOLD_APART);
        let outside = match tcp_sequence() {
            Some(_) => state::CONTRADICTED,
            // Where the kernel doesn't say where it keeps them, the connection is all there is to ask for.
            None => state::LIVE,
        };
        for (here, there) in [(HERE4, THERE4), (HERE6, THERE6)] {
            let [mut near, far] = connection((here, 0), (there, 0));
            let address = |stream: &std::net::TcpStream| stream.local_addr().expect("bound").port();
            let of = Sent::new(TCP, (here, address(&near)), (there, address(&far)));
            let mut at = |sequence: u32, expected: u8, what: &str| {
                assert_all(&mut gate, Sent { sequence, ..of }, expected, what);
            };
            let next = send_next(&near);
            at(next, state::LIVE, "nothing in flight");
            at(next.wrapping_add(1), outside, "nothing in flight, the next");
            at(next.wrapping_sub(1), outside, "nothing in flight, the last");
            deafen(&far);
            near.write_all(&[7; 1000]).expect("it is sent");
            assert_eq!(send_next(&near), next.wrapping_add(1000));
            for (offset, expected) in [
                (-1, outside),
                (0, state::LIVE),
                (1, state::LIVE),
                (999, state::LIVE),
                (1000, state::LIVE),
                (1001, outside),
                (i32::MAX, outside),
                (i32::MIN, outside),
            ] {
                at(next.wrapping_add_signed(offset), expected, &format!("in flight, {offset}"));
            }
            // The other way round it is the other end's, which is here as well.
            let back = Sent { from: of.to, to: of.from, sequence: send_next(&far), ..of };
            gate.local(&[(THERE4, local::UNICAST), (THERE6, local::UNICAST)]);
            assert_all(&mut gate, back, state::LIVE, "the other end");
            gate.local(&[(HERE4, local::UNICAST), (HERE6, local::UNICAST)]);
        }
    });
}

#[test]
fn who_only_listens_has_no_flow() {
    on_machine(|| {
        let mut gate = gate(TOLD_APART);
        for (here, there) in [(HERE4, THERE4), (HERE6, THERE6)] {
            let listener = TcpListener::bind((here, 0)).expect("a port");
            let port = listener.local_addr().expect("bound").port();
            let of = Sent::new(TCP, (here, port), (there, 4711));
            assert_all(&mut gate, of, state::UNKNOWN, "listening");
            // The connection comes before him.
            let near = connect((there, 0), &listener);
            let to = near.local_addr().expect("bound").port();
            let (accepted, _) = listener.accept().expect("a connection");
            let of = Sent { to: (there, to), sequence: send_next(&accepted), ..of };
            assert_all(&mut gate, of, state::LIVE, "connected");
            let other = Sent { to: (there, to ^ 1), ..of };
            assert_all(&mut gate, other, state::UNKNOWN, "beside it");
            // Closed first by this end, it is kept for a while, without numbers.
            drop(accepted);
            drop(near);
            assert_all(&mut gate, of, state::LIVE, "over");
        }
    });
}

#[test]
fn sockets_of_other_networks_are_none() {
    let elsewhere = Namespace::new();
    elsewhere.ip(&format!("addr add {HERE4}/24 dev lo"));
    let socket = elsewhere.run(|| UdpSocket::bind((HERE4, 4711)).expect("a port"));
    on_machine(|| {
        let mut gate = gate(TOLD_APART);
        let of = Sent::new(UDP, (HERE4, 4711), (THERE4, 53));
        assert_all(&mut gate, of, state::UNKNOWN, "elsewhere");
        let own = UdpSocket::bind((HERE4, 4711)).expect("a port");
        assert_all(&mut gate, of, state::LIVE, "here");
        drop(own);
    });
    drop(socket);
}

#[test]
fn what_is_neither_tcp_nor_udp_nor_a_request_is_unknown() {
    on_machine(|| {
        let mut gate = gate(TOLD_APART);
        let _listening = UdpSocket::bind((HERE4, 4711)).expect("a port");
        for protocol in (0..=u8::MAX).filter(|p| ![1, TCP, UDP].contains(p)) {
            let of = Sent::new(protocol, (HERE4, 4711), (THERE4, 4711));
            let seen = gate.send(&of.error((3, 1), 0));
            assert_state(&seen, state::UNKNOWN, &protocol.to_string());
        }
        gate.settle();
    });
}

/// Of a quote that ends before the ports nothing is known, whatever is behind it.
#[test]
fn quotes_cut_anywhere() {
    on_machine(|| {
        let mut gate = gate(TOLD_APART);
        let _four = UdpSocket::bind((HERE4, 4711)).expect("a port");
        let _six = UdpSocket::bind((HERE6, 4711)).expect("a port");
        let of4 = |options: usize| {
            Ipv4::between(HERE4, THERE4)
                .options(options)
                .payload(UDP, [0x12, 0x67, 0, 53, 0, 8, 0, 0])
        };
        for options in [0, 4, 40] {
            let quoted = of4(options).packet();
            for length in 20..=quoted.len() {
                let message = Message::new(11, 0).word(0).octets(&quoted[..length]);
                let frame = Ipv4::between("192.0.2.1", HERE4).icmp(message).frame();
                for pad in [0, 8, 64] {
                    let seen = gate.send(&frame.clone().pad(pad).build());
                    let whole = length == quoted.len();
                    let expected = if whole { state::LIVE } else { state::UNKNOWN };
                    assert_state(&seen, expected, &format!("{options} {length} {pad}"));
                }
            }
        }
        for headers in [0, 1, 4, 8, 9] {
            let of = Ipv6::between(HERE6, THERE6).extensions(headers);
            let quoted = of.payload(UDP, [0x12, 0x67, 0, 53, 0, 8, 0, 0]).packet();
            for length in 40..=quoted.len() {
                let message = Message::new(3, 0).word(0).octets(&quoted[..length]);
                let seen = gate.send(&Vec::from(Ipv6::between("2001:db8::1", HERE6).icmp(message)));
                // Behind more headers than are walked nothing is known.
                let known = length == quoted.len() && headers <= 8;
                let expected = if known { state::LIVE } else { state::UNKNOWN };
                assert_state(&seen, expected, &format!("{headers} {length}"));
            }
        }
        // A later fragment has no ports, and a first one has.
        for (offset, expected) in [(0, state::LIVE), (1, state::UNKNOWN)] {
            let quoted = Ipv6::between(HERE6, THERE6).extension(Extension::fragment(offset, true));
            let quoted = quoted.payload(UDP, [0x12, 0x67, 0, 53, 0, 8, 0, 0]).packet();
            let message = Message::new(3, 0).word(0).octets(quoted);
            let seen = gate.send(&Vec::from(Ipv6::between("2001:db8::1", HERE6).icmp(message)));
            assert_state(&seen, expected, &format!("fragment {offset}"));
        }
        gate.settle();
    });
}

/// A quote of an error, which no error may answer, and what a quote that can't be read leaves of the one before.
#[test]
fn what_was_quoted_before_says_nothing() {
    on_machine(|| {
        let policy =
            format!("{TOLD_APART}[checks]\nunanswerable = \"off\"\nquote-source = \"off\"\n");
        let mut gate = gate(&policy);
        let _socket = UdpSocket::bind((HERE4, 4711)).expect("a port");
        let live = Sent::new(UDP, (HERE4, 4711), (THERE4, 53)).error((11, 0), 0);
        let quoted = Ipv4::between(HERE4, THERE4).icmp(Message::new(3, 3).word(0).octets([0; 28]));
        let of_error = Message::new(11, 0).word(0).octets(quoted.packet());
        let none = Message::new(11, 0).word(0).octets([0; 28]);
        for (what, message) in [("an error", of_error), ("no packet", none)] {
            assert_state(&gate.run(&live), state::LIVE, what);
            let frame: Vec<u8> = Ipv4::between("192.0.2.1", HERE4).icmp(message).into();
            assert_state(&gate.run(&frame), state::UNKNOWN, what);
        }
    });
}

#[test]
fn the_budget_of_unknown_flows_is_its_own_and_the_reserve_the_live_ones() {
    on_machine(|| {
        let mut gate = gate("profile = \"host\"\n");
        let socket = UdpSocket::bind((HERE4, 4711)).expect("a port");
        let live = Sent::new(UDP, (HERE4, 4711), (THERE4, 53));
        let unknown = Sent::new(UDP, (HERE4, 4712), (THERE4, 53));
        let too_big = ((3, 4), 1400);
        let passing = |gate: &mut Gate, frame: &[u8], times: usize| {
            let seen: Vec<Seen> = (0..times).map(|_| gate.send(frame)).collect();
            let refused = seen.iter().filter(|s| s.reason() != Reason::WITHIN_LIMIT);
            assert!(refused.clone().all(|s| s.reason() == Reason::OVER_LIMIT), "{seen:?}");
            times - refused.count()
        };
        // 100 at once, and those of one more source beside it.
        let frame = unknown.error(too_big.0, too_big.1);
        assert!((100..=103).contains(&passing(&mut gate, &frame, 300)));
        let from = |source: &str, of: Sent, ((ty, code), word): ((u8, u8), u32)| -> Vec<u8> {
            let quoted =
                Ipv4::between(of.from.0, of.to.0).payload(UDP, of.first()).total_length(1500);
            let message = Message::new(ty, code).word(word).octets(quoted.packet());
            Ipv4::between(source, of.from.0).icmp(message).into()
        };
        assert_eq!(passing(&mut gate, &from("192.0.2.99", unknown, too_big), 50), 50);
        // From everywhere, no more than a thousand and what comes back meanwhile; each packet is charged for none to
        // two, 150 have passed, and a quarter is kept for who was there before.
        let start = std::time::Instant::now();
        let spread = (0..4000).filter(|n| {
            let source = format!("203.0.{}.{}", n / 250, 1 + n % 250);
            gate.send(&from(&source, unknown, too_big)).reason() == Reason::WITHIN_LIMIT
        });
        let spread = spread.count() as f64;
        let most = 1000.0 * (1.0 + start.elapsed().as_secs_f64());
        assert!(spread >= 400.0 && spread <= 1.2 * most, "{spread} of {most}");
        // None of them drew on the reserve, from which live ones have a thousand.
        assert_eq!(drawn(&mut gate, "icmpv4/fragmentation-needed").0, 0);
        let frame = live.error(too_big.0, too_big.1);
        assert_eq!(passing(&mut gate, &frame, 900), 900);
        assert_eq!(drawn(&mut gate, "icmpv4/fragmentation-needed").0, 900);
        // Of other errors, twenty of unknown flows and a hundred of known ones.
        let frame = unknown.error((3, 1), 0);
        assert!((20..=21).contains(&passing(&mut gate, &frame, 100)));
        let frame = live.error((3, 1), 0);
        assert!((100..=102).contains(&passing(&mut gate, &frame, 300)));
        gate.settle();
        drop(socket);
    });
}

#[test]
fn strict_drops_what_is_unknown() {
    on_machine(|| {
        let mut gate = Gate::profile(Profile::Strict);
        gate.local(&[(HERE4, local::UNICAST), (HERE6, local::UNICAST)]);
        for (here, there) in [(HERE4, THERE4), (HERE6, THERE6)] {
            let socket = UdpSocket::bind((here, 4711)).expect("a port");
            let live = Sent::new(UDP, (here, 4711), (there, 53));
            for error in live.errors() {
                assert_eq!(gate.run(&error).reason(), Reason::WITHIN_LIMIT);
            }
            drop(socket);
            for error in live.errors() {
                assert_eq!(gate.run(&error).reason(), Reason::UNKNOWN_FLOW);
            }
        }
    });
}

/// An error that states no MTU is a router's that is older than RFC 1191: only of a flow of this machine's own, and
/// not of the reserve.
#[test]
fn an_error_without_an_mtu_is_of_a_live_flow_only() {
    on_machine(|| {
        let mut gate = gate(TOLD_APART);
        let _socket = UdpSocket::bind((HERE4, 4711)).expect("a port");
        let live = Sent::new(UDP, (HERE4, 4711), (THERE4, 53));
        let unknown = Sent::new(UDP, (HERE4, 4712), (THERE4, 53));
        let seen = gate.run(&live.error((3, 4), 0));
        assert_state(&seen, state::LIVE, "live");
        assert_eq!(drawn(&mut gate, "v4"), (0, 1));
        let seen = gate.run(&unknown.error((3, 4), 0));
        assert_eq!(seen.reason(), Reason::QUOTE_MTU, "{seen}");
        assert_eq!(seen.rule.as_deref(), Some("v4"));
        // Where there is no budget for them, it is the rule's own, and where they are dropped as well.
        for unknown_flow in ["", "unknown-flow = \"drop\""] {
            let policy = TOLD_APART.replace(
                "unknown-flow = { rate = 1000, burst = 1000, key = \"source\" }",
                unknown_flow,
            );
            gate.apply(&policy);
            let before = drawn(&mut gate, "v4").0;
            assert_state(&gate.run(&live.error((3, 4), 0)), state::LIVE, unknown_flow);
            assert_eq!(drawn(&mut gate, "v4").0, before + 1, "{unknown_flow}");
        }
    });
}

#[test]
fn in_transit_nothing_is_asked_unless_the_rule_says_so() {
    on_machine(|| {
        let mut gate = gate(TOLD_APART);
        for away in [AWAY4, AWAY6] {
            let of = Sent::new(UDP, (away, 4711), (away, 53));
            assert_all(&mut gate, of, state::NONE, "transit");
        }
        // Nor does it draw on what is kept for this machine's own flows.
        for rule in ["v4", "v6"] {
            assert!(matches!(drawn(&mut gate, rule), (0, 5)), "{rule}");
        }
        let asks = TOLD_APART.replace("action =", "checks = [\"flow-contradicted\"]\naction =");
        gate.apply(&asks);
        for away in [AWAY4, AWAY6] {
            let of = Sent::new(UDP, (away, 4711), (away, 53));
            assert_all(&mut gate, of, state::UNKNOWN, "transit, asked");
        }
        // Without an MTU it is of no flow of this machine's, which in transit says nothing.
        let seen = gate.run(&Sent::new(UDP, (AWAY4, 4711), (AWAY4, 53)).error((3, 4), 0));
        assert_state(&seen, state::UNKNOWN, "transit, asked, no MTU");
        // As if the connection were another machine's.
        let [near, far] = connection((HERE4, 0), (THERE4, 0));
        let port = |stream: &std::net::TcpStream| stream.local_addr().expect("bound").port();
        let of = Sent::new(TCP, (HERE4, port(&near)), (THERE4, port(&far)));
        let of = Sent { sequence: send_next(&near).wrapping_sub(1), ..of };
        gate.local(&[]);
        let outside = if tcp_sequence().is_some() { state::CONTRADICTED } else { state::LIVE };
        assert_all(&mut gate, of, outside, "transit, asked");
        gate.apply(TOLD_APART);
        assert_all(&mut gate, of, state::NONE, "transit");
    });
}

#[test]
fn the_check_is_relaxed_by_rule_and_by_policy() {
    if tcp_sequence().is_none() {
        return;
    }
    on_machine(|| {
        let mut gate = gate(OPEN);
        let [near, far] = connection((HERE4, 0), (THERE4, 0));
        let port = |stream: &std::net::TcpStream| stream.local_addr().expect("bound").port();
        let of = Sent::new(TCP, (HERE4, port(&near)), (THERE4, port(&far)));
        let error = Sent { sequence: send_next(&near).wrapping_sub(1), ..of }.error((3, 3), 0);
        let by_rule = |mode: &str| {
            OPEN.replacen(
                "= \"pass\"",
                &format!("= \"pass\"\nchecks = {{ flow-contradicted = \"{mode}\" }}"),
                1,
            )
        };
        let by_policy = |mode: &str| format!("{OPEN}[checks]\nflow-contradicted = \"{mode}\"\n");
        let both = |policy: &str, rule: &str| {
            format!("{}[checks]\nflow-contradicted = \"{policy}\"\n", by_rule(rule))
        };
        for (policy, expected, flow) in [
            (OPEN.to_owned(), "drop flow-contradicted", state::CONTRADICTED),
            (by_rule("enforce"), "drop flow-contradicted", state::CONTRADICTED),
            (by_rule("observe"), "pass (observed) flow-contradicted", state::CONTRADICTED),
            (by_rule("off"), "pass accepted", state::NONE),
            (by_policy("observe"), "pass (observed) flow-contradicted", state::CONTRADICTED),
            (by_policy("off"), "pass accepted", state::NONE),
            (both("off", "enforce"), "drop flow-contradicted", state::CONTRADICTED),
            (both("enforce", "off"), "pass accepted", state::NONE),
            (
                format!("mode = \"observe\"\n{OPEN}"),
                "pass (observed) flow-contradicted",
                state::CONTRADICTED,
            ),
        ] {
            gate.apply(&policy);
            let seen = gate.run(&error);
            assert_eq!(
                seen.to_string(),
                format!("icmpv4 3/3 good -> {expected} by v4"),
                "{policy}"
            );
            assert_eq!(seen.trace.flow, flow, "{policy}");
        }
        // What is dropped anyway isn't asked about.
        gate.apply(&OPEN.replace("\"pass\"", "\"drop\""));
        let seen = gate.run(&error);
        assert_eq!(seen.to_string(), "icmpv4 3/3 good -> drop denied by v4");
        assert_eq!(seen.trace.flow, state::NONE);
    });
}

/// An echo or timestamp request, and an error about it.
fn request(ty: u8, identifier: u16, far: &str) -> (Vec<u8>, Vec<u8>) {
    let message = Message::new(ty, 0).half(identifier).half(1).zeros(20);
    if far.contains(':') {
        let sent = Ipv6::between(HERE6, far).icmp(message);
        let error = Message::new(3, 0).word(0).octets(sent.packet());
        return (sent.into(), Ipv6::between("2001:db8::1", HERE6).icmp(error).into());
    }
    let sent = Ipv4::between(HERE4, far).icmp(message);
    let error = Message::new(11, 0).word(0).octets(sent.packet());
    (sent.into(), Ipv4::between("192.0.2.1", HERE4).icmp(error).into())
}

#[test]
fn requests_are_known_once_they_were_sent_from_here() {
    let mut gate = gate(TOLD_APART);
    // Where nobody looks at what is sent, nothing is known of it.
    let (_, error) = request(8, 0x1233, THERE4);
    assert_state(&gate.run(&error), state::NONE, "not noted");
    gate.instance().maps().note_requests(0, true).expect("written");
    for (ty, far) in [(8, THERE4), (13, THERE4), (8, "224.0.0.1"), (128, THERE6), (128, "ff02::1")]
    {
        let (sent, error) = request(ty, 0x1234, far);
        let other = request(ty, 0x1235, far).1;
        let elsewhere = request(ty, 0x1234, if far.contains(':') { AWAY6 } else { AWAY4 }).1;
        // What no error may answer is refused before anything is asked.
        let is_group = far == "224.0.0.1" || far == "ff02::1";
        let expected = |gate: &mut Gate, frame: &[u8], expected: u8| {
            let seen = gate.run(frame);
            if is_group && frame != elsewhere {
                assert_eq!(seen.reason(), Reason::UNANSWERABLE, "{seen}");
            } else {
                assert_state(&seen, expected, &format!("{ty} {far}"));
            }
        };
        expected(&mut gate, &error, state::UNKNOWN);
        // What goes through this machine is none of its own.
        gate.run_egress(origin::FORWARDED, &sent);
        expected(&mut gate, &error, state::UNKNOWN);
        gate.run_egress(origin::GENERATED, &sent);
        expected(&mut gate, &error, state::LIVE);
        expected(&mut gate, &other, state::UNKNOWN);
        expected(&mut gate, &elsewhere, state::UNKNOWN);
    }
    // A request that a rule keeps back was never sent.
    let drops = format!(
        "{TOLD_APART}[[rule]]\nname = \"kept\"\nhook = \"egress\"\nfamily = \"icmpv4\"\naction = \"drop\"\n"
    );
    gate.apply(&drops);
    let (sent, error) = request(8, 0x4321, THERE4);
    assert_eq!(gate.run_egress(origin::GENERATED, &sent).reason(), Reason::DENIED);
    assert_state(&gate.run(&error), state::UNKNOWN, "kept back");
    // Other messages are no requests.
    gate.apply(TOLD_APART);
    for ty in [0, 14, 15, 17, 42] {
        let (sent, error) = request(ty, 0x5555, THERE4);
        gate.run_egress(origin::GENERATED, &sent);
        assert_state(&gate.run(&error), state::UNKNOWN, &ty.to_string());
    }
}

/// Answers, where a rule asks for their requests: known to the sender's address, and from anybody where it went to
/// many.
#[test]
fn answers_are_to_requests_where_what_is_sent_is_seen() {
    let policy = TOLD_APART.replace(
        "unknown-flow = { rate = 1000, burst = 1000, key = \"source\" }",
        "unknown-flow = \"drop\"",
    );
    let mut gate = gate(&policy);
    let answer = |ty: u8, identifier: u16, from: &str| -> Vec<u8> {
        let message = Message::new(ty, 0).half(identifier).half(1).zeros(20);
        if from.contains(':') {
            Ipv6::between(from, HERE6).icmp(message).into()
        } else {
            Ipv4::between(from, HERE4).icmp(message).into()
        }
    };
    let cases = [(8, 0, THERE4, AWAY4), (13, 14, THERE4, AWAY4), (128, 129, THERE6, AWAY6)];
    // Nobody looks at what is sent: nothing is held against an answer.
    for (_, reply, from, _) in cases {
        let seen = gate.run(&answer(reply, 7, from));
        assert_eq!((seen.reason(), seen.trace.flow), (Reason::WITHIN_LIMIT, state::NONE), "{seen}");
    }
    gate.instance().maps().note_requests(0, true).expect("written");
    for (ty, reply, from, other) in cases {
        let is = |gate: &mut Gate, identifier: u16, from: &str, known: bool| {
            let seen = gate.run(&answer(reply, identifier, from));
            let expected = match known {
                true => (Reason::WITHIN_LIMIT, state::LIVE),
                false => (Reason::UNKNOWN_FLOW, state::UNKNOWN),
            };
            assert_eq!((seen.reason(), seen.trace.flow), expected, "{seen}");
        };
        is(&mut gate, 7, from, false);
        gate.run_egress(origin::GENERATED, &request(ty, 7, from).0);
        is(&mut gate, 7, from, true);
        is(&mut gate, 8, from, false);
        is(&mut gate, 7, other, false);
        let all = if from.contains(':') { "ff02::1" } else { "255.255.255.255" };
        gate.run_egress(origin::GENERATED, &request(ty, 8, all).0);
        is(&mut gate, 8, from, true);
        is(&mut gate, 8, other, true);
        if from.contains(':') {
            // The routers of a network answer from addresses of their own (RFC 4443 4.2).
            is(&mut gate, 9, other, false);
            gate.run_egress(origin::GENERATED, &request(ty, 9, "2001:db8:9::").0);
            is(&mut gate, 9, other, true);
        }
    }
    // A later fragment has no type; what follows its header is no identifier.
    let later = Ipv4::between(THERE4, HERE4).fragment(9, false).payload(1, [0; 40]);
    let seen = gate.run(&Vec::from(later));
    assert_eq!((seen.reason(), seen.trace.flow), (Reason::WITHIN_LIMIT, state::NONE), "{seen}");
    // Requests that arrive are no answers.
    let ask = Ipv4::between(THERE4, HERE4).icmp(echo(8));
    let seen = gate.run(&Vec::from(ask));
    assert_eq!((seen.reason(), seen.trace.flow), (Reason::WITHIN_LIMIT, state::NONE), "{seen}");
}

/// Of a reply nothing can be wrong: without a budget for unknown ones nobody asks.
#[test]
fn nothing_is_asked_where_nothing_depends_on_it() {
    let mut gate = Gate::profile(Profile::Host);
    gate.local(&[(HERE4, local::UNICAST), (HERE6, local::UNICAST)]);
    gate.instance().maps().note_requests(0, true).expect("written");
    for frame in [
        Vec::from(Ipv4::between(THERE4, HERE4).icmp(echo(0))),
        Vec::from(Ipv6::between(THERE6, HERE6).icmp(echo(129))),
        Vec::from(Ipv4::between(THERE4, HERE4).icmp(echo(8))),
    ] {
        let seen = gate.run(&frame);
        assert_eq!((seen.reason(), seen.trace.flow), (Reason::WITHIN_LIMIT, state::NONE), "{seen}");
    }
    gate.apply(OPEN);
    let seen = gate.run(&Vec::from(Ipv4::between(THERE4, HERE4).icmp(echo(0))));
    assert_eq!((seen.reason(), seen.trace.flow), (Reason::ACCEPTED, state::NONE), "{seen}");
}

/// The profiles: timestamp replies pass to who asked.
#[test]
fn an_answer_to_a_request_of_its_own_passes_where_others_are_dropped() {
    let mut gate = Gate::profile(Profile::Host);
    gate.local(&[(HERE4, local::UNICAST)]);
    let message = Message::new(14, 0).half(7).half(1).zeros(20);
    let reply: Vec<u8> = Ipv4::between(THERE4, HERE4).icmp(message).into();
    for (noted, sent, expected) in [
        (false, false, Reason::DENIED),
        (true, false, Reason::DENIED),
        (true, true, Reason::ACCEPTED),
        (false, true, Reason::DENIED),
    ] {
        gate.instance().maps().note_requests(0, noted).expect("written");
        if sent {
            gate.run_egress(origin::GENERATED, &request(13, 7, THERE4).0);
        }
        let seen = gate.run(&reply);
        assert_eq!(seen.reason(), expected, "{noted} {sent}: {seen}");
        assert_eq!(seen.rule.as_deref(), Some("icmpv4/timestamp-reply"));
    }
}
