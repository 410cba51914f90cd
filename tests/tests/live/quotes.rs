//! Row V2 with Linux as the judge of it: errors that a kernel sends pass, and what a kernel sends no
//! error about is refused where an error quotes it.

use crate::{
    assert_counted, counted,
    python::{ASKING, python, python_within},
};
use icmp_common::{abi::local, verdict::Reason};
use icmpgate_tests::{
    Gate, Ipv4, Ipv6, Message, Site,
    gate::{hex, unhex},
    netns::{HOST4, HOST6, Namespace, PATIENCE, PEER4, PEER6, Pair, eventually, finish},
};

/// Sends packets that can't be delivered or forwarded to a kernel, one after the other, and prints
/// for each its name, its octets from IP on, and the error that came back or a hyphen.
const ASK: &str = r#"
from scapy.layers.inet import IP, ICMP, UDP, TCP, IPOption_NOP
from scapy.layers.inet6 import (IPv6, ICMPv6EchoRequest, ICMPv6EchoReply, ICMPv6Unknown,
    IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, ICMPv6DestUnreach,
    ICMPv6PacketTooBig, ICMPv6TimeExceeded, ICMPv6ParamProblem, HBHOptUnknown, PadN)
from scapy.packet import Raw

router = sys.argv[1]
def ask(name, packet, to=router):
    octets = bytes(packet)
    wire.send(bytes(Ether(src=mine, dst=to, type=0x86dd if octets[0] >> 4 == 6 else 0x800)) + octets)
    frame = answer(0.3, (3, 4, 5, 11, 12), range(128))
    print(name, octets.hex(), frame.hex() if frame else "-", sep="|")

def four(src="10.77.0.2", dst="203.0.113.9", ttl=1, **more):
    return IP(src=src, dst=dst, ttl=ttl, id=7, **more)

def six(src="fd77::2", dst="fd99::9", hlim=1, **more):
    return IPv6(src=src, dst=dst, hlim=hlim, **more)

udp = UDP(sport=40000, dport=40001) / b"12345678"
quoted = IP(src="203.0.113.9", dst="10.77.0.2") / udp
ask("v4 UDP", four() / udp)
ask("v4 UDP with options", four(options=[IPOption_NOP()] * 8) / udp)
ask("v4 TCP", four() / TCP(sport=40000, dport=80))
for ty in (0, 8, 13, 14, 15, 16, 17, 18):
    ask("v4 query %d" % ty, four() / ICMP(type=ty) / (b"x" * 24))
for ty in (30, 255):
    ask("v4 unknown %d" % ty, four() / ICMP(type=ty) / (b"x" * 24))
for ty in (3, 4, 5, 11, 12):
    ask("v4 error %d" % ty, four() / ICMP(type=ty) / quoted)
    ask("v4 first fragment of %d" % ty, four(flags="MF") / ICMP(type=ty) / quoted)
ask("v4 first fragment", four(flags="MF") / udp)
ask("v4 later fragment", four(frag=3, proto=17) / Raw(b"x" * 16))
ask("v4 later fragment of ICMP", four(frag=3, proto=1) / Raw(b"\x08" * 16))
ask("v4 to this host", four(dst="10.77.0.1", ttl=64) / udp)
everyone = "ff:ff:ff:ff:ff:ff"
ask("v4 to a broadcast", four(dst="10.77.0.255", ttl=64) / udp, everyone)
ask("v4 to the limited broadcast", four(dst="255.255.255.255", ttl=64) / udp, everyone)
ask("v4 to a group", four(dst="224.0.0.1", ttl=64) / udp, "01:00:5e:00:00:01")
for src in ("0.0.0.0", "0.1.2.3", "127.0.0.9", "224.0.0.9", "240.0.0.9", "255.255.255.255"):
    ask("v4 from " + src, four(src=src) / udp)
ask("v4 from a broadcast", four(src="10.77.0.255") / udp)

ask("v6 UDP", six() / udp)
ask("v6 echo", six() / ICMPv6EchoRequest(data=b"x"))
ask("v6 echo reply", six() / ICMPv6EchoReply(data=b"x"))
ask("v6 UDP behind headers", six() / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
    / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / udp)
body = bytes(IPv6(src="fd99::9", dst="fd77::2") / udp)
errors = [ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1280), ICMPv6TimeExceeded(),
    ICMPv6ParamProblem()]
for n, error in enumerate(errors, 1):
    ask("v6 error %d" % n, six() / error / body)
    ask("v6 error %d behind headers" % n,
        six() / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / error / body)
    ask("v6 first fragment of %d" % n, six() / IPv6ExtHdrFragment(m=1, id=5) / error / body)
ask("v6 error 100", six() / ICMPv6Unknown(type=100, msgbody=b"\0" * 4 + body))
ask("v6 redirect", six() / ICMPv6Unknown(type=137, msgbody=b"\0" * 36))
ask("v6 later fragment", six() / IPv6ExtHdrFragment(offset=3, nh=17, id=5) / Raw(b"x" * 16))
ask("v6 later fragment of an error", six() / IPv6ExtHdrFragment(offset=3, nh=58, id=5)
    / Raw(b"\x01" * 16))
ask("v6 to this host", six(dst="fd77::1", hlim=64) / udp)
group, mac = "ff02::1", "33:33:00:00:00:01"
ask("v6 to a group", six(dst=group, hlim=64) / udp, mac)
# The two highest bits of an option that a node doesn't know: 10 tells whoever sent it, 11 only
# where it wasn't sent to a group (RFC 8200 4.2).
for bits, option in (("10", 0x9e), ("11", 0xde)):
    unknown = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=option, optdata=b"\0" * 4)])
    ask("v6 option %s" % bits, six(dst="fd77::1", hlim=64) / unknown / udp)
    ask("v6 option %s to a group" % bits, six(dst=group, hlim=64) / unknown / udp, mac)
    ask("v6 option %s of an error" % bits, six(dst="fd77::1", hlim=64) / unknown / errors[0] / body)
for src in ("::", "ff02::9", "ff0e::9"):
    ask("v6 from " + src, six(src=src) / udp)
"#;

/// What Linux doesn't answer though an error may: types of ICMP that it doesn't know could be errors
/// to it (`icmp_send` in net/ipv4/icmp.c). RFC 1122 3.2.2 lists what an error is.
const LINUX_SPARES: [&str; 2] = ["v4 unknown 30", "v4 unknown 255"];
/// What Linux answers though no error may: redirects (RFC 4443 2.4(e.2)), which nobody forwards as
/// they are only good with a hop limit of 255.
const LINUX_ANSWERS: [&str; 1] = ["v6 redirect"];

/// A router: Linux, whose neighbour asks it for what it can't do.
fn router() -> Pair {
    let pair = Pair::new();
    let router = &pair.host;
    router.sysctl("ipv4/ip_forward", "1");
    router.sysctl("ipv6/conf/all/forwarding", "1");
    router.sysctl("ipv4/conf/gate0/rp_filter", "0");
    router.sysctl("ipv4/conf/all/rp_filter", "0");
    router.ip(&format!("route add 203.0.113.0/24 via {PEER4}"));
    router.ip(&format!("-6 route add fd99::/64 via {PEER6}"));
    // Both know each other, so that no answer waits for it.
    pair.peer.tool(&format!("ping -n -c 1 {HOST4}"));
    pair.peer.tool(&format!("ping -n -6 -c 1 {HOST6}"));
    pair
}

#[test]
fn what_linux_sends_an_error_about_passes_and_all_else_is_refused() {
    let pair = router();
    let (script, router) = ([ASKING, ASK].concat(), pair.host.hardware("gate0"));
    let text = python_within(PATIENCE * 3, &pair.peer, &script, &[&router]);

    let mut gate = Gate::open();
    gate.local(&[
        (PEER4, local::UNICAST),
        (PEER6, local::UNICAST),
        ("10.77.0.255", local::BROADCAST),
    ]);
    let (mut answered, mut spared, mut wrong) = (0, 0, Vec::new());
    for line in text.lines() {
        let mut parts = line.split('|');
        let (name, packet, answer) =
            (parts.next().unwrap(), unhex(parts.next().unwrap()), parts.next().unwrap());
        // The error that the kernel sent, or the one that it would have.
        let (frame, expected) = if answer == "-" {
            spared += 1;
            let error = |ty| Message::new(ty, 0).word(0).octets(&packet);
            let frame: Vec<u8> = match packet[0] >> 4 {
                4 => Ipv4::between(HOST4, PEER4).icmp(error(11)).into(),
                _ => Ipv6::between(HOST6, PEER6).icmp(error(3)).into(),
            };
            (
                frame,
                if LINUX_SPARES.contains(&name) { Reason::ACCEPTED } else { Reason::UNANSWERABLE },
            )
        } else {
            answered += 1;
            let reason =
                if LINUX_ANSWERS.contains(&name) { Reason::UNANSWERABLE } else { Reason::ACCEPTED };
            (unhex(answer), reason)
        };
        let seen = gate.run(&frame);
        println!("{name:<36} {:<8} {seen}", if answer == "-" { "silence" } else { "error" });
        if seen.reason() != expected {
            wrong.push(format!("{name}: {seen}, not {}: {}", expected.label(), hex(&frame)));
        }
    }
    gate.settle();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(answered >= 20 && spared >= 40, "{answered} answered, {spared} not:\n{text}");
}

/// A host, a router with a narrow link behind it, and somebody beyond.
#[test]
fn errors_of_routers_and_hosts_pass() {
    let site = Site::new();
    let (host, router) = (&site.pair.host, &site.pair.peer);
    let far = Namespace::new();
    router.ip(&format!(
        "link add far0 mtu 1280 type veth peer name near0 mtu 1280 netns {}",
        far.path()
    ));
    router.ip("addr add 10.78.0.1/24 dev far0");
    router.ip("addr add fd78::1/64 dev far0 nodad");
    router.ip("link set far0 up");
    router.sysctl("ipv4/ip_forward", "1");
    router.sysctl("ipv6/conf/all/forwarding", "1");
    far.ip("addr add 10.78.0.2/24 dev near0");
    far.ip("addr add fd78::2/64 dev near0 nodad");
    far.ip("link set near0 up");
    far.ip("route add default via 10.78.0.1");
    far.ip("-6 route add default via fd78::1");
    far.sysctl("ipv4/icmp_ratelimit", "0");
    far.sysctl("ipv6/icmp/ratelimit", "0");
    host.ip(&format!("route add default via {PEER4}"));
    host.ip(&format!("-6 route add default via {PEER6}"));
    // Link-local addresses are tried out for a second before a router asks for neighbours with them.
    for words in [format!("ping -n -c 1 -W 1 {HOST4}"), format!("ping -n -6 -c 1 -W 1 {HOST6}")] {
        let there = || finish(&mut far.words(&words), PATIENCE).status.success();
        assert!(eventually(PATIENCE, there), "{words}");
    }

    let daemon = site.start("");
    let fails = |words: &str| {
        let output = finish(&mut host.words(words), PATIENCE);
        assert!(!output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stdout));
    };
    let stats = counted(&site, || {
        // Nowhere; first, because any other error uses up the second that Linux wants to have passed
        // between two of these (ip_error in net/ipv4/route.c).
        fails("ping -n -c 1 -W 1 10.79.0.9");
        fails("ping -n -6 -c 1 -W 1 fd79::9");
        // Too large for the link behind the router, and in fragments that each are.
        fails("ping -n -M do -s 1400 -c 1 -W 1 10.78.0.2");
        fails("ping -n -6 -s 4000 -c 1 -W 1 fd78::2");
        // Too far.
        fails("ping -n -t 1 -c 2 -i 0.02 -W 1 10.78.0.2");
        fails("ping -n -6 -t 1 -c 2 -i 0.02 -W 1 fd78::2");
        let shown = host.tool("traceroute -n -q 1 -N 1 -w 3 10.78.0.2");
        assert!(
            shown.contains(&format!(" 1  {PEER4}  ")) && shown.contains(" 2  10.78.0.2  "),
            "{shown}"
        );
        let shown = host.tool("traceroute -n -6 -q 1 -N 1 -w 3 fd78::2");
        assert!(
            shown.contains(&format!(" 1  {PEER6}  ")) && shown.contains(" 2  fd78::2  "),
            "{shown}"
        );
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 3/4 pass: 1",
            "gate0 icmpv4 11/0 pass: 3",
            "gate0 icmpv4 3/0 pass: 1",
            "gate0 icmpv4 3/3 pass: 1",
            // 4,008 octets over 1,500 are three fragments, and the last of them is small.
            "gate0 icmpv6 2/0 pass: 2",
            "gate0 icmpv6 3/0 pass: 3",
            "gate0 icmpv6 1/0 pass: 1",
            "gate0 icmpv6 1/4 pass: 1",
            "gate0 icmpv4 * * drop: 0",
            "gate0 icmpv6 * * drop: 0",
        ],
    );
    daemon.stop();
}

#[test]
fn errors_that_no_kernel_sends_are_refused_counted_and_explained() {
    let site = Site::new();
    let daemon = site.start("");
    let script = r#"
import socket
from scapy.layers.l2 import Ether
from scapy.layers.inet import IP, ICMP, UDP
from scapy.layers.inet6 import (IPv6, ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded,
    ICMPv6ParamProblem, ICMPv6ND_Redirect, ICMPv6EchoRequest)

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("peer0", 0))

def send(packet, times=1):
    for _ in range(times):
        wire.send(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet))

ip = IP(src="10.77.0.2", dst="10.77.0.1")
ip6 = IPv6(src="fd77::2", dst="fd77::1")
udp = UDP(sport=5000, dport=53)
of = lambda dst, src="10.77.0.1", **more: bytes(IP(src=src, dst=dst, **more) / udp)
of6 = lambda dst, src="fd77::1", **more: bytes(IPv6(src=src, dst=dst, **more) / udp)

# The broadcast address of its own network it knows from its routes.
send(ip / ICMP(type=3, code=1) / of("10.77.0.255"), 2)
send(ip / ICMP(type=3, code=1) / of("10.77.1.255"))
send(ip / ICMP(type=3, code=3) / of("239.1.2.3"), 3)
send(ip / ICMP(type=11) / of("192.0.2.1", frag=100), 4)
send(ip / ICMP(type=12) / of("192.0.2.1", src="0.0.0.0"), 5)
send(ip / ICMP(type=3, code=1) / bytes(IP(src="10.77.0.1", dst="192.0.2.1") / ICMP(type=11) / of("192.0.2.1")), 6)
send(ip / ICMP(type=3, code=1) / bytes(IP(src="10.77.0.1", dst="192.0.2.1") / ICMP(type=8)))
send(ip6 / ICMPv6DestUnreach(code=4) / of6("ff02::1"), 2)
send(ip6 / ICMPv6PacketTooBig(mtu=1280) / of6("ff0e::1", plen=1460))
send(ip6 / ICMPv6ParamProblem(code=2) / of6("ff02::1"))
send(ip6 / ICMPv6ParamProblem(code=1) / of6("ff02::1"), 3)
send(ip6 / ICMPv6TimeExceeded() / bytes(IPv6(src="fd77::1", dst="fd99::1") / ICMPv6ND_Redirect()), 4)
send(ip6 / ICMPv6TimeExceeded() / bytes(IPv6(src="fd77::1", dst="fd99::1") / ICMPv6EchoRequest()))
"#;
    let stats = counted(&site, || _ = python(&site.pair.peer, script, &[]));
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 3/1 drop unanswerable enforce: 8",
            "gate0 icmpv4 3/1 pass: 2",
            "gate0 icmpv4 3/3 drop unanswerable: 3",
            "gate0 icmpv4 11/0 drop unanswerable: 4",
            "gate0 icmpv4 12/0 drop unanswerable: 5",
            "gate0 icmpv6 1/4 drop unanswerable: 2",
            "gate0 icmpv6 2/0 pass: 1",
            "gate0 icmpv6 4/2 pass: 1",
            "gate0 icmpv6 4/1 drop unanswerable: 3",
            "gate0 icmpv6 3/0 drop unanswerable: 4",
            "gate0 icmpv6 3/0 pass: 1",
        ],
    );
    daemon.stop();

    let quoted = Ipv4::between(HOST4, "10.77.0.255").payload(17, [0; 8]).packet();
    let error = |to| Ipv4::between(PEER4, to).icmp(Message::new(3, 1).word(0).octets(&quoted));
    let here = hex(&Vec::from(error(HOST4)));
    let line = site.json(&format!("explain --hex {here}"));
    let said =
        ["verdict", "reason", "rule"].map(|key| line[key].as_str().unwrap_or("-").to_owned());
    assert_eq!(said, ["drop", "unanswerable", "icmpv4/unreachable"], "{line}");
    let text = site.done(&format!("explain --hex {here}"));
    let meaning = "unanswerable: An error whose quote shows a packet that no error may answer";
    assert!(text.contains(meaning), "{text}");
    // In transit it is the rule's doing, and the profile's asks for it.
    let line = site.json(&format!("explain --hex {}", hex(&Vec::from(error("10.77.0.9")))));
    let said =
        ["verdict", "reason", "rule"].map(|key| line[key].as_str().unwrap_or("-").to_owned());
    assert_eq!(said, ["drop", "unanswerable", "icmpv4/unreachable"], "{line}");
    // Where a rule that asks only observes, it says so.
    let observe = site.file(
        "observe.toml",
        "profile = \"host\"\n[[rule]]\nname = \"o\"\nfamily = \"icmpv4\"\naction = \"pass\"\n\
         mode = \"observe\"\nchecks = [\"unanswerable\"]\n",
    );
    let away = hex(&Vec::from(error("10.77.0.9")));
    let text = site.done(&format!("explain --policy {observe} --hex {away}"));
    assert!(
        text.contains("pass") && text.contains("(observed)") && text.contains("would drop"),
        "{text}"
    );
    assert!(site.done("reasons").lines().any(|l| l.starts_with("unanswerable ")));
}
