//! Frames that no well-behaved client sends, made by scapy and sent as they are; and the joins that
//! a kernel sends for a socket.

use crate::{assert_counted, counted, python::python};
use icmpgate_tests::{
    Site,
    netns::{HOST_IF, PATIENCE, PEER_IF, eventually},
};

#[test]
fn frames_made_by_scapy_meet_the_verdicts_of_the_profile() {
    let site = Site::new();
    let daemon = site.start("");
    let script = r#"
import socket
from scapy.layers.l2 import Ether, Dot1Q
from scapy.layers.inet import IP, ICMP, UDP, IPOption_Router_Alert, fragment
from scapy.layers.inet6 import (IPv6, ICMPv6EchoRequest, ICMPv6ND_Redirect, IPv6ExtHdrFragment,
    IPv6ExtHdrDestOpt, fragment6)
from scapy.packet import Raw

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("peer0", 0))

def send(packet, times=1):
    for _ in range(times):
        wire.send(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet))

ip = IP(src="10.77.0.2", dst="10.77.0.1")
ip6 = IPv6(src="fd77::2", dst="fd77::1")
quoted = IP(src="10.77.0.1", dst="192.0.2.1") / UDP(sport=5000, dport=53)

send(ip / ICMP(type=8, chksum=0xbad) / b"forged", 3)
send(ip6 / ICMPv6EchoRequest(cksum=0xbad), 2)
send(IP(src="10.77.0.2", dst="10.77.0.1", chksum=0xbad) / ICMP(type=8))
send(ip / ICMP(type=4) / quoted, 4)
send(ip / ICMP(type=5, code=1, gw="10.77.0.66") / quoted, 5)
send(IPv6(src="fe80::1", dst="fd77::1", hlim=255) / ICMPv6ND_Redirect(tgt="fe80::2", dst="fd99::1"))
send(ip / ICMP(type=13), 2)
send(IP(src="127.0.0.1", dst="10.77.0.1") / ICMP(type=3, code=1) / quoted)
send(Dot1Q(vlan=7) / ip / ICMP(type=8, id=1), 2)
send(IP(src="10.77.0.2", dst="10.77.0.1", options=[IPOption_Router_Alert()]) / ICMP(type=8))
for piece in fragment(IP(src="10.77.0.2", dst="10.77.0.1", id=7) / ICMP(type=8) / (b"x" * 3000), 1000):
    send(piece)
for piece in fragment6(ip6 / IPv6ExtHdrFragment(id=9) / ICMPv6EchoRequest(data=b"x" * 2500), 1280):
    send(piece)
send(IP(src="10.77.0.2", dst="10.77.0.1", proto=1) / Raw(b"\x08\x00\x00"))
"#;
    let stats = counted(&site, || _ = python(&site.pair.peer, script, &[]));
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 drop bad-checksum enforce: 3",
            "gate0 icmpv6 128/0 drop bad-checksum: 2",
            "gate0 icmpv4 * * drop ip-bad-checksum: 1",
            "gate0 icmpv4 4/0 drop denied: 4",
            "gate0 icmpv4 5/1 drop redirect-route: 5",
            "gate0 icmpv6 137/0 drop redirect-route: 1",
            "gate0 icmpv4 13/0 drop denied: 2",
            "gate0 icmpv4 3/1 drop error-source: 1",
            "gate0 icmpv4 none/none drop message-too-short: 1",
            // Two with a tag, one with an option, and the first of the fragments.
            "gate0 icmpv4 8/0 pass within-limit: 4",
            // 3,008 octets by 1,000 are four fragments, 2,508 by at most 1,232 are three.
            "gate0 icmpv4 none/none pass: 3",
            "gate0 icmpv6 128/0 pass within-limit: 1",
            "gate0 icmpv6 none/none pass: 2",
        ],
    );
    daemon.stop();
}

/// Up to the longest that IPv4 has, which lie in many pages of the frame.
#[test]
fn messages_of_every_length_are_verified_to_the_last_octet() {
    let site = Site::new();
    site.pair.host.ip(&format!("link set {HOST_IF} mtu 65535"));
    site.pair.peer.ip(&format!("link set {PEER_IF} mtu 65535"));
    let daemon = site.start("");
    let script = r#"
import socket
from scapy.layers.l2 import Ether
from scapy.layers.inet import IP, ICMP
from scapy.layers.inet6 import IPv6, ICMPv6EchoRequest

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("peer0", 0))
link = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
four = IP(src="10.77.0.2", dst="10.77.0.1") / ICMP(type=8)
six = IPv6(src="fd77::2", dst="fd77::1") / ICMPv6EchoRequest()

for header, longest in (link / four, 65515), (link / six, 65495):
    for length in 4096, 8191, 8192, 8193, 16383, 16384, 16385, 33001, 57345, longest:
        data = bytes(n * 7 & 255 for n in range(length - 8))
        good = bytearray(bytes(header / data))
        wire.send(good)
        # One bit of the last octet, and at both ends of what is summed by one call.
        for wrong in {length - 1, 8191, length // 8192 * 8192} - {0}:
            if wrong < length:
                bad = bytearray(good)
                bad[len(good) - length + wrong] ^= 4
                wire.send(bad)
"#;
    let stats = counted(&site, || _ = python(&site.pair.peer, script, &[]));
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 pass within-limit: 10",
            "gate0 icmpv4 8/0 drop bad-checksum enforce: 20",
            "gate0 icmpv6 128/0 pass within-limit: 10",
            "gate0 icmpv6 128/0 drop bad-checksum enforce: 20",
        ],
    );
    daemon.stop();
}

#[test]
fn joins_of_a_real_socket_are_seen_as_reports() {
    let site = Site::new();
    let daemon = site.start("");
    let script = r#"
import socket, struct, time
index = socket.if_nametoindex("peer0")
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
four.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
    socket.inet_aton("239.77.1.2") + socket.inet_aton("10.77.0.2"))
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
    socket.inet_pton(socket.AF_INET6, "ff15::77") + struct.pack("@I", index))
time.sleep(0.1)
"#;
    let before = site.stats();
    python(&site.pair.peer, script, &[]);
    // The kernel sends the first reports at once or a moment later, and leaves with the socket.
    let mut stats = before.clone();
    let seen = eventually(PATIENCE, || {
        stats = site.stats().since(&before);
        let pass = |what: &str| stats.packets(what);
        pass("gate0 igmp 34/0 pass") >= 1 && pass("gate0 icmpv6 143/0 pass") >= 1
    });
    assert!(seen, "an IGMPv3 report and an MLDv2 report: {stats:#?}");
    assert_counted(&stats, &["gate0 igmp * * drop: 0", "gate0 icmpv6 * * drop: 0"]);
    daemon.stop();
}

#[test]
fn no_number_of_priority_tags_leads_past_it() {
    let site = Site::new();
    let daemon = site.start("");
    // Without it, all are answered.
    let script = r#"
import socket, sys
from scapy.layers.l2 import Ether, Dot1Q
from scapy.layers.inet import IP, ICMP

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("peer0", 0))
for tags in range(11):
    frame = Ether(src=sys.argv[1], dst=sys.argv[2])
    for _ in range(tags):
        frame /= Dot1Q(vlan=0, prio=7)
    wire.send(bytes(frame / IP(src="10.77.0.2", dst="10.77.0.1") / ICMP(type=8, id=9)))
"#;
    let hardware = [site.pair.peer.hardware("peer0"), site.pair.host.hardware("gate0")];
    let stats = counted(&site, || {
        let _ = python(&site.pair.peer, script, &[&hardware[0], &hardware[1]]);
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 pass within-limit enforce: 3",
            "gate0 none * * drop priority-tags enforce: 8",
            "gate0:egress icmpv4 0/0 pass accepted: 3",
        ],
    );
    daemon.stop();
}
