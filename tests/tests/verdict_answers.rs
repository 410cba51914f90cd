//! Rows P2, G3 and G4: what is answered from the hook, with which octets, and what isn't answered.
//!
//! Each frame that the program sends is looked at twice: here, octet by octet against the RFCs, and by
//! scapy, which knows nothing of this program: it parses the frame, sums it anew and compares.

use icmp_common::{
    abi::local,
    classify::code_assigned,
    verdict::{Reason, Verdict},
};
use icmpgate::datapath::Endpoint;
use icmpgate_tests::{
    Extension, Frame, Gate, Ipv4, Ipv6, Message, Seen,
    frame::internet_checksum,
    gate::{check, hex},
    in_vm,
    message::{echo, error_v4, error_v6},
    netns::finish_as,
};
use std::{
    io::Write as _,
    net::IpAddr,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// This machine's addresses, and its neighbours'.
const HERE: &str = "198.51.100.1";
const HERE6: &str = "2001:db8:2::1";
const PEER: &str = "192.0.2.1";
const PEER6: &str = "2001:db8:1::1";
/// What it answers from where the packet wasn't for it.
const FROM: &str = "198.51.100.254";
const FROM6: &str = "2001:db8:2::fe";
/// Not here.
const BEYOND: &str = "203.0.113.9";
const BEYOND6: &str = "2001:db8:9::1";

/// As many answers as a test wants.
const PLENTY: &str = "limit = { rate = 1000000, burst = 1000000, random = false }";

/// Every type and code of ICMPv4 that can answer, and of ICMPv6.
fn errors() -> Vec<(bool, u8, u8)> {
    let of = |v6: bool, types: &[u8]| -> Vec<(bool, u8, u8)> {
        let family = if v6 { 2 } else { 1 };
        let codes = |ty| {
            (0..=u8::MAX)
                .filter(move |code| code_assigned(family, ty, *code))
                // The code of packet too big is ignored by all: only 0 is sent.
                .filter(move |code| !v6 || ty != 2 || *code == 0)
        };
        types.iter().flat_map(|ty| codes(*ty).map(|code| (v6, *ty, code))).collect()
    };
    [of(false, &[3, 11, 12]), of(true, &[1, 2, 3, 4])].concat()
}

/// The word behind the checksum of one of [`errors`], and how a rule asks for it.
fn word(v6: bool, ty: u8, code: u8) -> (u32, &'static str) {
    match (v6, ty, code) {
        (false, 3, 4) => (1400, ", mtu = 1400"),
        (false, 12, _) => (9 << 24, ", pointer = 9"),
        (true, 2, _) => (1400, ", mtu = 1400"),
        (true, 4, _) => (40, ", pointer = 40"),
        _ => (0, ""),
    }
}

fn rule(name: &str, lines: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\n{lines}\n")
}

/// A policy on the profile `host`.
fn policy(rules: &[String]) -> String {
    format!("profile = \"host\"\n{}", rules.concat())
}

/// Rejects each family, whatever it is.
fn rejecting() -> String {
    policy(&[rule("no", &format!("action = \"reject\"\n{PLENTY}"))])
}

/// Replies to each request that can be replied to.
fn replying() -> String {
    policy(&[
        rule(
            "v4",
            &format!("family = \"icmpv4\"\ntype = [8, 13, 17]\naction = \"reply\"\n{PLENTY}"),
        ),
        rule("v6", &format!("family = \"icmpv6\"\ntype = 128\naction = \"reply\"\n{PLENTY}")),
    ])
}

/// The interface of the gate: frames of the tests' builder go to it.
fn endpoint() -> Endpoint {
    let addresses = [&format!("{FROM}/24"), &format!("{FROM6}/64"), "fe80::fe/64", "10.0.0.254/8"];
    Endpoint {
        hardware: Some([2, 0, 0, 0, 0, 2]),
        mtu: 1500,
        addresses: addresses.map(|net| net.parse().expect("a network")).into(),
        ..Endpoint::default()
    }
}

fn gate(text: &str) -> Gate {
    let mut gate = Gate::new(text);
    gate.endpoint(&endpoint());
    gate.local(&[
        (HERE, local::UNICAST),
        (HERE6, local::UNICAST),
        ("fe80::1", local::UNICAST),
        ("198.51.100.255", local::BROADCAST),
        ("192.0.2.255", local::BROADCAST),
    ]);
    gate
}

/// Whether the `n`th of many like cases is run: all of them, but few inside an emulated machine.
fn is_run(n: usize) -> bool {
    !in_vm() || n.is_multiple_of(97) || (8..12).contains(&n)
}

/// What scapy is asked about: each answer beside its request.
#[derive(Default)]
struct Oracle {
    lines: String,
    count: usize,
}

impl Oracle {
    fn ask(&mut self, request: &[u8], answer: &[u8]) {
        self.lines.push_str(&format!("{} {}\n", whole_hex(request), whole_hex(answer)));
        self.count += 1;
    }

    /// Panics with what scapy finds wrong, and where it didn't look at all of them.
    fn verify(&self) {
        // The machines of `cargo xtask vm` have no python; the frames are those of outside.
        if in_vm() {
            return;
        }
        let mut input = tempfile::tempfile().expect("a file");
        input.write_all(self.lines.as_bytes()).expect("it can be written");
        std::io::Seek::rewind(&mut input).expect("it can be read");
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", ORACLE]).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = finish_as(&mut command, Duration::from_secs(300));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{error}");
        assert_eq!(said, format!("{} agree\n", self.count));
    }
}

fn whole_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// scapy takes the answer apart, drops its lengths and checksums, and builds it again: it must come
/// to the same octets. What an error quotes must be the request's, and whom it goes to its source.
const ORACLE: &str = r#"
import sys
from scapy.layers.l2 import Ether, Dot1Q
from scapy.layers.inet import IP, ICMP
from scapy.layers.inet6 import IPv6, ICMPv6EchoReply, _ICMPv6Error
from scapy.packet import Raw

def message(packet):
    return packet[ICMP] if ICMP in packet else packet[IPv6].payload

n = 0
for line in sys.stdin:
    request, answer = (bytes.fromhex(word) for word in line.split())
    asked, sent = Ether(request), Ether(answer)
    v6 = IPv6 in sent
    layer = IPv6 if v6 else IP
    assert (sent.src, sent.dst) == (asked.dst, asked.src), line
    # The tags of the request, in their order.
    a, s = asked, sent
    while Dot1Q in a:
        a, s = a[Dot1Q], s[Dot1Q]
        assert (a.vlan, a.prio, a.id) == (s.vlan, s.prio, s.id), line
        a, s = a.payload, s.payload
    assert Dot1Q not in s or not s.haslayer(Dot1Q), line
    assert sent[layer].dst == asked[layer].src, line
    assert (sent[layer].hlim if v6 else sent[layer].ttl) == 64, line
    body = bytes(sent[layer])[:sent[layer].plen + 40 if v6 else sent[layer].len]
    fresh = layer(body)
    head, inner = fresh, fresh.payload
    is_error = (isinstance(inner, _ICMPv6Error) if v6 else inner.type in (3, 11, 12))
    if is_error:
        assert not sent[layer].haslayer("Padding") and len(body) <= (1280 if v6 else 576), line
        quote = body[48:] if v6 else body[28:]
        whole = bytes(asked[layer].original)
        length = asked[layer].plen + 40 if v6 else asked[layer].len
        room = 1232 if v6 else 548
        assert quote == whole[:min(length, room)], line
        rest = bytes(inner)[:8]
    # Sum it anew, over what was sent.
    import struct
    raw = bytearray(body)
    if v6:
        raw[42:44] = b"\0\0"
        again = IPv6(src=fresh.src, dst=fresh.dst, tc=fresh.tc, fl=fresh.fl, hlim=64, nh=58)
        from scapy.layers.inet6 import in6_chksum
        check = in6_chksum(58, again, bytes(raw[40:]))
        assert struct.pack("!H", check) == body[42:44], (line, hex(check))
    else:
        from scapy.utils import checksum
        raw[22:24] = b"\0\0"
        check = checksum(bytes(raw[20:]))
        assert struct.pack("!H", check) == body[22:24], (line, hex(check))
        del fresh.chksum
        del fresh.len
        assert bytes(fresh)[:20] == body[:20], line
    n += 1
print(n, "agree")
"#;

/// The octets of an address.
fn octets(address: &str) -> Vec<u8> {
    match address.parse().expect("an address") {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The length of a frame's link-layer header.
fn link_of(frame: &[u8]) -> usize {
    let mut at = 12;
    while matches!(frame[at..at + 2], [0x81, 0] | [0x88, 0xa8]) {
        at += 4;
    }
    at + 2
}

/// What an answer's link-layer header is, given the request's.
fn link_header(request: &[u8]) -> Vec<u8> {
    let link = link_of(request);
    [&request[6..12], &request[..6], &request[12..link]].concat()
}

/// Asserts that a frame is the ICMPv4 error that answers another: from an address, of a type and code,
/// with a word behind the checksum.
#[track_caller]
fn assert_error_v4(request: &[u8], answer: &[u8], from: &str, (ty, code, word): (u8, u8, u32)) {
    let link = link_of(request);
    let (packet, sent) = (&request[link..], &answer[link..]);
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let quote = &packet[..total.min(548)];
    let what = || format!("{} answered by {}", hex(request), hex(answer));
    assert_eq!(answer[..link], link_header(request), "{}", what());
    // Version and length, service, total length; flags and offset, TTL, protocol.
    let service = packet[1] & 0x1e | 0xc0;
    let length = (28 + quote.len() as u16).to_be_bytes();
    assert_eq!(sent[..4], [0x45, service, length[0], length[1]], "{}", what());
    assert_eq!(sent[6..10], [0, 0, 64, 1], "{}", what());
    assert_eq!(sent[12..16], octets(from), "{}", what());
    assert_eq!(sent[16..20], packet[12..16], "{}", what());
    assert_eq!(sent[20..22], [ty, code], "{}", what());
    assert_eq!(sent[24..28], word.to_be_bytes(), "{}", what());
    assert_eq!(&sent[28..], quote, "{}", what());
    assert_eq!(
        (internet_checksum(&sent[..20]), internet_checksum(&sent[20..])),
        (0, 0),
        "{}",
        what()
    );
}

/// Asserts the same of an ICMPv6 error.
#[track_caller]
fn assert_error_v6(request: &[u8], answer: &[u8], from: &str, (ty, code, word): (u8, u8, u32)) {
    let link = link_of(request);
    let (packet, sent) = (&request[link..], &answer[link..]);
    let total = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
    let quote = &packet[..total.min(1232)];
    let what = || format!("{} answered by {}", hex(request), hex(answer));
    assert_eq!(answer[..link], link_header(request), "{}", what());
    let length = (8 + quote.len() as u16).to_be_bytes();
    assert_eq!(sent[..8], [0x60, 0, 0, 0, length[0], length[1], 58, 64], "{}", what());
    assert_eq!(sent[8..24], octets(from), "{}", what());
    assert_eq!(sent[24..40], packet[8..24], "{}", what());
    assert_eq!(sent[40..42], [ty, code], "{}", what());
    assert_eq!(sent[44..48], word.to_be_bytes(), "{}", what());
    assert_eq!(&sent[48..], quote, "{}", what());
    assert_eq!(sum_v6(sent), 0, "{}", what());
}

/// The checksum over an ICMPv6 message and its pseudo-header: 0 where it is right.
fn sum_v6(packet: &[u8]) -> u16 {
    let length = u32::from(u16::from_be_bytes([packet[4], packet[5]]));
    let message = &packet[40..40 + length as usize];
    let mut pseudo = packet[8..40].to_vec();
    pseudo.extend(length.to_be_bytes());
    pseudo.extend([0, 0, 0, 58]);
    internet_checksum(&[&pseudo, message].concat())
}

/// Asserts that a frame is the echo reply to another.
#[track_caller]
fn assert_echo_reply(request: &[u8], answer: &[u8]) {
    let link = link_of(request);
    let (packet, sent) = (&request[link..], &answer[link..]);
    let what = || format!("{} answered by {}", hex(request), hex(answer));
    assert_eq!(answer[..link], link_header(request), "{}", what());
    assert_eq!(answer.len(), request.len(), "{}", what());
    if packet[0] >> 4 == 6 {
        assert_eq!(sent[..4], [0x60 | packet[0] & 0xf, packet[1] & 0xf0, 0, 0], "{}", what());
        assert_eq!(sent[4..7], packet[4..7], "{}", what());
        assert_eq!(sent[7], 64, "{}", what());
        assert_eq!((&sent[8..24], &sent[24..40]), (&packet[24..40], &packet[8..24]), "{}", what());
        assert_eq!((sent[40], sent[41]), (129, packet[41]), "{}", what());
        assert_eq!(sent[44..], packet[44..], "{}", what());
        assert_eq!(sum_v6(sent), 0, "{}", what());
        return;
    }
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    assert_eq!(sent[..4], packet[..4], "{}", what());
    assert_eq!(sent[6..10], [0, 0, 64, 1], "{}", what());
    assert_eq!((&sent[12..16], &sent[16..20]), (&packet[16..20], &packet[12..16]), "{}", what());
    assert_eq!((sent[20], sent[21]), (0, packet[21]), "{}", what());
    assert_eq!(sent[24..], packet[24..], "{}", what());
    assert_eq!(internet_checksum(&sent[..20]), 0, "{}", what());
    // The very checksum, not one that verifies besides: 0 and 0xffff aren't the same.
    let mut message = sent[20..total].to_vec();
    message[2..4].fill(0);
    assert_eq!(sent[22..24], internet_checksum(&message).to_be_bytes(), "{}", what());
}

#[track_caller]
fn assert_seen(seen: &Seen, verdict: Verdict, reason: Reason, frame: &[u8]) {
    assert_eq!((seen.verdict(), seen.reason()), (verdict, reason), "{seen}: {}", hex(frame));
}

/// What identifier and sequence are made of a number.
type Numbers = fn(u16) -> (u16, u16);

/// Sends echo requests for each number.
fn sweep(family: &str, of: &[Numbers]) {
    let mut gate = gate(&replying());
    let mut oracle = Oracle::default();
    for n in (0..=u16::MAX).filter(|n| is_run((*n).into())) {
        for of in of {
            let (identifier, sequence) = of(n);
            let message = |ty| Message::new(ty, 0).half(identifier).half(sequence);
            let frame: Vec<u8> = match family {
                "icmpv6" => Ipv6::between(PEER6, HERE6).icmp(message(128)).into(),
                _ => Ipv4::between(PEER, HERE).icmp(message(8)).into(),
            };
            let (seen, answer) = gate.send_for_output(&frame);
            assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
            assert_echo_reply(&frame, &answer);
            if n % 251 == 0 {
                oracle.ask(&frame, &answer);
            }
        }
    }
    gate.settle();
    oracle.verify();
}

/// By themselves, and with what makes the words of the message sum to 0xffff.
#[test]
fn every_identifier_and_sequence_of_an_echo_is_answered_exactly() {
    sweep("icmpv4", &[|n| (n, 0), |n| (!n, n)]);
}

#[test]
fn every_identifier_and_sequence_of_an_icmpv6_echo_is_answered_exactly() {
    sweep("icmpv6", &[|n| (n, n.swap_bytes())]);
}

#[test]
fn replies_that_are_all_zeros_have_the_checksum_0xffff() {
    let mut gate = gate(&replying());
    for length in [8, 9, 64, 1000, 5000] {
        let message = Message::new(8, 0).zeros(length);
        let frame: Vec<u8> = Ipv4::between(PEER, HERE).icmp(message).into();
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        assert_eq!(answer[34..38], [0, 0, 0xff, 0xff], "{length}");
        assert_echo_reply(&frame, &answer);
    }
}

#[test]
fn echo_of_every_length_is_answered_in_place() {
    let mut gate = gate(&replying());
    let mut oracle = Oracle::default();
    // Up to a full frame, around the end of the linear area of a test run, and near its longest.
    let lengths = (8..=1480).chain(3400..3620).chain(8800..8860);
    for length in lengths.filter(|n| is_run(*n)) {
        for (n, frame) in [
            Ipv4::between(PEER, HERE).icmp(echo(8).length(length)).frame(),
            Ipv6::between(PEER6, HERE6).icmp(echo(128).length(length)).frame(),
            Ipv4::between(PEER, HERE).icmp(echo(8).length(length)).frame().tags(length % 3),
            Ipv6::between(PEER6, HERE6).icmp(echo(128).length(length)).frame().pad(length % 7),
        ]
        .into_iter()
        .enumerate()
        {
            let frame = frame.build();
            let (seen, answer) = gate.send_for_output(&frame);
            assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
            assert_echo_reply(&frame, &answer);
            if length % 31 == 0 && n < 3 {
                oracle.ask(&frame, &answer);
            }
        }
    }
    gate.settle();
    oracle.verify();
}

/// What isn't defined by a code is kept: RFC 792 has 0, and Linux copies what came.
#[test]
fn the_code_and_the_service_of_a_request_are_those_of_the_reply() {
    let mut gate = gate(&replying());
    for code in [0, 1, 255] {
        let mut frame: Vec<u8> =
            Ipv4::between(PEER, HERE).icmp(Message::new(8, code).word(7)).into();
        frame[15] = 0xb9;
        fix_header(&mut frame);
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        assert_echo_reply(&frame, &answer);
        let mut frame: Vec<u8> =
            Ipv6::between(PEER6, HERE6).icmp(Message::new(128, code).word(7)).into();
        // Traffic class 0xb9, and a flow label.
        frame[14..18].copy_from_slice(&[0x6b, 0x91, 0x23, 0x45]);
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        assert_echo_reply(&frame, &answer);
    }
}

/// Sums an IPv4 header without tags and options anew.
fn fix_header(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let sum = internet_checksum(&frame[14..34]).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
}

#[test]
fn a_timestamp_is_answered_with_the_time_of_day() {
    let mut gate = gate(&replying());
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        (since.as_millis() % 86_400_000) as u32
    };
    for (length, tags) in [(20, 0), (20, 2), (24, 1), (1000, 0)] {
        let message = Message::new(13, 0).word(0x1234_5678).word(0xdead_beef).word(7).word(8);
        let packet = Ipv4::between(PEER, HERE).icmp(message.length(length));
        let frame = packet.frame().tags(tags).build();
        let before = now();
        let (seen, answer) = gate.answer(&frame);
        let after = now();
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        let sent = &answer[link_of(&frame)..];
        assert_eq!(answer[..link_of(&frame)], link_header(&frame));
        // The message is of 20 octets, whatever followed in the request.
        assert_eq!(sent[2..4], [0, 40]);
        assert_eq!(internet_checksum(&sent[..20]), 0);
        assert_eq!(internet_checksum(&sent[20..40]), 0);
        assert_eq!(sent[20..22], [14, 0]);
        assert_eq!(sent[24..32], [0x12, 0x34, 0x56, 0x78, 0xde, 0xad, 0xbe, 0xef]);
        let [receive, transmit] = [32, 36]
            .map(|at| u32::from_be_bytes([sent[at], sent[at + 1], sent[at + 2], sent[at + 3]]));
        assert_eq!(receive, transmit);
        let is = receive >= before && receive <= after;
        // Midnight may lie between.
        assert!(is || after < before, "{before} <= {receive} <= {after}");
    }
}

#[test]
fn a_mask_is_that_of_the_network_which_the_request_came_from() {
    let mut gate = gate(&replying());
    let request = |from: &str| -> Vec<u8> {
        Ipv4::between(from, HERE).icmp(Message::new(17, 0).word(0x1234_5678).word(0)).into()
    };
    for (from, mask) in [("198.51.100.7", [255, 255, 255, 0]), ("10.3.2.1", [255, 0, 0, 0])] {
        let frame = request(from);
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REPLIED, &frame);
        let sent = &answer[14..];
        assert_eq!(sent[20..22], [18, 0]);
        assert_eq!((&sent[24..28], &sent[28..32]), (&[0x12, 0x34, 0x56, 0x78][..], &mask[..]));
        assert_eq!((internet_checksum(&sent[..20]), internet_checksum(&sent[20..32])), (0, 0));
        assert_eq!((&sent[12..16], &sent[16..20]), (&octets(HERE)[..], &octets(from)[..]));
    }
    // From a network that the interface isn't on, there is no mask to tell.
    check(&mut gate, [("elsewhere", request(PEER), "icmpv4 17/0 good -> drop denied by v4")]);
}

#[test]
fn every_code_of_every_error_is_sent_as_asked() {
    let mut rules = Vec::new();
    // A type that nothing else is said of; its codes stand for the errors.
    for (n, (v6, ty, code)) in errors().into_iter().enumerate() {
        let family = if v6 { "icmpv6" } else { "icmpv4" };
        let more = word(v6, ty, code).1;
        rules.push(rule(
            &format!("r{n}"),
            &format!(
                "family = \"{family}\"\ntype = 200\ncode = {n}\naction = \"reject\"\n\
                 reject = {{ type = {ty}, code = {code}{more} }}\n{PLENTY}"
            ),
        ));
    }
    let mut gate = gate(&policy(&rules));
    let mut oracle = Oracle::default();
    for (n, (v6, ty, code)) in errors().into_iter().enumerate() {
        let (word, _) = word(v6, ty, code);
        let message = || Message::new(200, n as u8).length(40);
        // For this machine, and through it: it answers from the address that was asked, or its own.
        for to in [true, false] {
            let (frame, from): (Vec<u8>, &str) = match (v6, to) {
                (false, true) => (Ipv4::between(PEER, HERE).icmp(message()).into(), HERE),
                (false, false) => (Ipv4::between(PEER, BEYOND).icmp(message()).into(), FROM),
                (true, true) => (Ipv6::between(PEER6, HERE6).icmp(message()).into(), HERE6),
                (true, false) => (Ipv6::between(PEER6, BEYOND6).icmp(message()).into(), FROM6),
            };
            let (seen, answer) = gate.answer(&frame);
            assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
            if v6 {
                assert_error_v6(&frame, &answer, from, (ty, code, word));
            } else {
                assert_error_v4(&frame, &answer, from, (ty, code, word));
            }
            oracle.ask(&frame, &answer);
        }
    }
    assert!(oracle.count > 80, "{}", oracle.count);
    oracle.verify();
}

#[test]
fn a_quote_is_what_there_is_room_for_at_every_length() {
    let mut gate = gate(&rejecting());
    let mut oracle = Oracle::default();
    let lengths = (4..=1500).chain(3400..3620).chain(8700..8760);
    for length in lengths.filter(|n| is_run(*n)) {
        let message = |v6: bool| {
            // Type 200 may have 4 octets.
            Message::new(
                if length < 8 {
                    200
                } else if v6 {
                    128
                } else {
                    8
                },
                0,
            )
            .length(length)
        };
        let (tags, padding) = (length % 3, length % 5 * 9);
        let v4 = Ipv4::between(PEER, HERE).icmp(message(false)).frame().tags(tags).pad(padding);
        let v6 = Ipv6::between(PEER6, HERE6).icmp(message(true)).frame().tags(tags).pad(padding);
        let (v4, v6) = (v4.build(), v6.build());
        let (seen, answer) = gate.send_for_output(&v4);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &v4);
        assert_error_v4(&v4, &answer, HERE, (3, 13, 0));
        let (seen6, answer6) = gate.send_for_output(&v6);
        assert_seen(&seen6, Verdict::Tx, Reason::REJECTED, &v6);
        assert_error_v6(&v6, &answer6, HERE6, (1, 1, 0));
        if length % 29 == 0 {
            oracle.ask(&v4, &answer);
            oracle.ask(&v6, &answer6);
        }
    }
    gate.settle();
    oracle.verify();
}

#[test]
fn an_error_is_no_longer_than_the_link_carries() {
    let mut gate = gate(&rejecting());
    let frame: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8).length(1000)).into();
    for (mtu, length) in [(296, 296), (575, 575), (576, 576), (1500, 576), (0, 576)] {
        gate.endpoint(&Endpoint { mtu, ..endpoint() });
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_eq!(answer.len(), 14 + length, "{mtu}");
        let sum = internet_checksum(&answer[34..]);
        assert_eq!(sum, 0, "{mtu}");
    }
}

#[test]
fn options_extension_headers_and_fragments_are_quoted_as_they_are() {
    let mut gate = gate(&rejecting());
    let mut oracle = Oracle::default();
    for options in (0..=40).step_by(4) {
        for tags in 0..3 {
            let packet = Ipv4::between(PEER, HERE).icmp(echo(8).length(100)).options(options);
            let frame = packet.frame().tags(tags).build();
            let (seen, answer) = gate.answer(&frame);
            assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
            assert_error_v4(&frame, &answer, HERE, (3, 13, 0));
            oracle.ask(&frame, &answer);
        }
    }
    let first: Vec<u8> =
        Ipv4::between(PEER, HERE).icmp(echo(8).length(1000)).fragment(0, true).into();
    let alert: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8)).router_alert().into();
    for frame in [first, alert] {
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_error_v4(&frame, &answer, HERE, (3, 13, 0));
    }
    let echo6 = || Ipv6::between(PEER6, HERE6).icmp(echo(128).length(100));
    for packet in [
        echo6().extensions(1),
        echo6().extensions(8),
        echo6().extension(Extension::hop_by_hop(3)),
        echo6().extension(Extension::fragment(0, false)),
        echo6().extension(Extension::fragment(0, true)),
        // RFC 4443 2.4(e) has no condition on fragments.
        echo6().extension(Extension::fragment(5, true)),
    ] {
        let frame: Vec<u8> = packet.into();
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_error_v6(&frame, &answer, HERE6, (1, 1, 0));
    }
    // IGMP is answered by ICMP.
    let frame: Vec<u8> = Ipv4::between(PEER, HERE).igmp(Message::new(0x13, 0).length(32)).into();
    let (seen, answer) = gate.answer(&frame);
    assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
    assert_error_v4(&frame, &answer, HERE, (3, 13, 0));
    oracle.verify();
}

/// An IPv4 packet with these octets of options.
fn with_options(options: &[u8]) -> Vec<u8> {
    let packet = Ipv4::between(PEER, HERE).icmp(echo(8)).options(options.len());
    let mut frame = packet.frame().build();
    frame[34..34 + options.len()].copy_from_slice(options);
    frame[24..26].fill(0);
    let sum = internet_checksum(&frame[14..34 + options.len()]).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
    frame
}

#[test]
fn a_source_route_is_not_answered_and_other_options_only_by_an_error() {
    let loose = [131, 7, 4, 10, 0, 0, 1, 0];
    let strict = [1, 1, 137, 7, 4, 10, 0, 0, 1, 0, 0, 0];
    let record = [7, 7, 4, 0, 0, 0, 0, 0];
    let timestamp = [68, 8, 5, 0, 0, 0, 0, 0];
    let cut = [7, 9, 4, 0, 0, 0, 0, 0];
    let denied = |rule: &str| format!("icmpv4 8/0 good -> drop denied by {rule}");
    let rejected = "icmpv4 8/0 good -> tx rejected by no".to_owned();
    check(
        &mut gate(&rejecting()),
        [
            ("loose source route", with_options(&loose), denied("no")),
            ("strict source route", with_options(&strict), denied("no")),
            ("options that can't be read", with_options(&cut), denied("no")),
            ("record route", with_options(&record), rejected.clone()),
            ("timestamps", with_options(&timestamp), rejected.clone()),
            ("no option", with_options(&[1, 1, 1, 0]), rejected),
        ],
    );
    check(
        &mut gate(&replying()),
        [
            ("loose source route", with_options(&loose), denied("v4")),
            ("record route", with_options(&record), denied("v4")),
            ("no option", with_options(&[1, 1, 1, 0]), denied("v4")),
        ],
    );
}

/// A frame to another link-layer address, or from one.
fn hardware(frame: impl Into<Vec<u8>>, to: Option<[u8; 6]>, from: Option<[u8; 6]>) -> Vec<u8> {
    let mut frame = frame.into();
    if let Some(to) = to {
        frame[..6].copy_from_slice(&to);
    }
    if let Some(from) = from {
        frame[6..12].copy_from_slice(&from);
    }
    frame
}

const ALL: [u8; 6] = [0xff; 6];
const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];

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
    let redirect = Ipv6::between("fe80::9", HERE6).hop_limit(255).icmp(echo(137).length(40));
    denied("a redirect", redirect.into(), "icmpv6 137/0 good");
    check(&mut gate(&rejecting()), cases);
}

/// RFC 4443 2.4(e.3): two errors may answer what was sent to a group.
#[test]
fn packet_too_big_and_unrecognized_options_answer_groups() {
    let with = |with: &str| {
        let lines = format!("family = \"icmpv6\"\naction = \"reject\"\nreject = {with}\n{PLENTY}");
        policy(&[rule("no", &lines)])
    };
    let frame: Vec<u8> = Ipv6::between(PEER6, "ff0e::5").icmp(echo(128)).into();
    let frame = hardware(frame, Some([0x33, 0x33, 0, 0, 0, 5]), None);
    let mut gate = gate(&with("{ type = 2, mtu = 1400 }"));
    for (text, error) in [
        (with("{ type = 2, mtu = 1400 }"), (2, 0, 1400)),
        (with("{ type = 4, code = 2, pointer = 42 }"), (4, 2, 42)),
    ] {
        gate.apply(&text);
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        // From the interface, not from the group, by both addresses.
        assert_eq!(answer[..6], frame[6..12]);
        assert_eq!(answer[6..12], [2, 0, 0, 0, 0, 2]);
        assert_eq!(answer[22..38], octets(FROM6));
        assert_eq!(answer[54..56], [error.0, error.1]);
        assert_eq!(answer[58..62], u32::to_be_bytes(error.2));
        assert_eq!(sum_v6(&answer[14..]), 0);
    }
    gate.apply(&with("{ type = 4, code = 1, pointer = 6 }"));
    check(&mut gate, [("another code", frame, "icmpv6 128/0 good -> drop denied by no")]);
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
fn an_answer_comes_from_the_address_that_suits_whom_it_goes_to() {
    let mut gate = gate(&rejecting());
    for (from, source) in [("10.9.9.9", "10.0.0.254"), (PEER, FROM), ("198.51.100.9", FROM)] {
        let frame: Vec<u8> = Ipv4::between(from, BEYOND).icmp(echo(8)).into();
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_error_v4(&frame, &answer, source, (3, 13, 0));
    }
    for (from, to, source) in [
        ("fe80::9", BEYOND6, "fe80::fe"),
        (PEER6, BEYOND6, FROM6),
        ("fe80::9", "fe80::1", "fe80::1"),
    ] {
        let frame: Vec<u8> = Ipv6::between(from, to).icmp(echo(128)).into();
        let (seen, answer) = gate.answer(&frame);
        assert_seen(&seen, Verdict::Tx, Reason::REJECTED, &frame);
        assert_error_v6(&frame, &answer, source, (1, 1, 0));
    }
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

/// What is answered of so many packets; the rest must be dropped for the one reason.
fn answered(gate: &mut Gate, frames: impl IntoIterator<Item = Vec<u8>>, beyond: Reason) -> usize {
    let mut answered = 0;
    for frame in frames {
        let seen = gate.send(&frame);
        match seen.verdict() {
            Verdict::Tx => answered += 1,
            _ => assert_seen(&seen, Verdict::Drop, beyond, &frame),
        }
    }
    gate.settle();
    answered
}

#[test]
fn answers_are_limited_by_whom_they_go_to_and_in_total() {
    let ping = |n: usize| -> Vec<u8> {
        let from = format!("192.0.{}.{}", 2 + n / 200, 1 + n % 200);
        Ipv4::between(&from, HERE).icmp(echo(8)).into()
    };
    let limits = "limits = [{ rate = 1, burst = 3, every = \"hour\", key = \"source\" }, \
                  { rate = 1, burst = 10, every = \"hour\", random = false }]";
    let reject = format!("family = \"icmpv4\"\naction = \"reject\"\n{limits}");
    let reply = format!("family = \"icmpv4\"\ntype = 8\naction = \"reply\"\n{limits}");
    for lines in [reject, reply] {
        let mut gate = gate(&policy(&[rule("limited", &lines)]));
        let times = |n: usize, times: usize| std::iter::repeat_n(ping(n), times);
        assert_eq!(answered(&mut gate, times(1, 8), Reason::OVER_LIMIT), 3);
        // What may not be answered at all draws on nothing.
        let unanswerable: Vec<u8> = Ipv4::between("192.0.2.3", "224.0.0.1").icmp(echo(8)).into();
        let never = std::iter::repeat_n(unanswerable, 5);
        assert_eq!(answered(&mut gate, never, Reason::DENIED), 0);
        assert_eq!(answered(&mut gate, times(2, 8), Reason::OVER_LIMIT), 3);
        // Of the four that are left, some are kept for who was answered before.
        let others = answered(&mut gate, (3..40).map(ping), Reason::OVER_LIMIT);
        assert!((1..=4).contains(&others), "{others}");
        let entries = gate.instance().maps().limits().expect("readable");
        let passed: Vec<u64> = entries
            .iter()
            .filter(|e| e.info.rule.starts_with(b"limited\0"))
            .map(|e| e.count.passed)
            .collect();
        assert_eq!(passed, [6 + others as u64; 2]);
    }
}

#[test]
fn a_reserve_that_is_spent_keeps_its_own_reason() {
    let lines = "family = \"icmpv4\"\naction = \"reject\"\nlimit = { rate = 1, burst = 2, \
                 every = \"hour\", reserve = true, random = false }";
    let mut gate = gate(&policy(&[rule("reserve", lines)]));
    let frame: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8)).into();
    let frames = std::iter::repeat_n(frame, 5);
    assert_eq!(answered(&mut gate, frames, Reason::RESERVE_EXCEEDED), 2);
}

/// RFC 1812 4.3.2.8, RFC 4443 2.4(f): 10 a second to one host, 20 at once, and 50 at once to all.
#[test]
fn errors_that_no_limit_is_written_for_are_limited_all_the_same() {
    let mut gate = gate(&policy(&[rule("no", "family = \"icmpv4\"\naction = \"reject\"")]));
    let ping = |from: &str| -> Vec<u8> { Ipv4::between(from, HERE).icmp(echo(8)).into() };
    let one = answered(&mut gate, std::iter::repeat_n(ping(PEER), 100), Reason::OVER_LIMIT);
    assert!((20..30).contains(&one), "{one}");
    let from = (0..2000).map(|n| ping(&format!("10.1.{}.{}", n / 250, 1 + n % 250)));
    let start = std::time::Instant::now();
    let all = answered(&mut gate, from, Reason::OVER_LIMIT);
    let most = 50 + (start.elapsed().as_secs_f64() * 1000.0) as usize;
    // What each is charged is random, 1 in the mean.
    assert!(all < most + 60 && all < 2000, "{all} of at most {most}");
}

#[test]
fn a_frame_of_three_tags_is_none_of_ours() {
    let frame = Ipv4::between(PEER, HERE).icmp(echo(8)).frame().tags(3);
    let cases: [(&str, Frame, &str); 1] =
        [("three tags", frame, "none -> pass vlan-tags-beyond-bound")];
    check(&mut gate(&rejecting()), cases);
}
