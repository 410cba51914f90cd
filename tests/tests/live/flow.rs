//! Row V4 with Linux on both sides: errors about what this machine sends are known for that, with what clients do, and
//! forged ones about its connections are dropped.

use crate::{assert_counted, counted, host, python::python};
use icmpgate::datapath::tcp_sequence;
use icmpgate_tests::{
    Namespace, Site,
    daemon::Stats,
    netns::{HOST_IF, HOST4, HOST6, PEER4, PEER6},
    tcp::{connect, deafen, send_next},
};
use std::{io::Write, net::TcpListener};

/// Behind the neighbour, who is a router, and a link that carries no more than 1,300 octets.
pub const FAR4: &str = "10.99.0.9";
/// Likewise.
pub const FAR6: &str = "fd99::9";

/// Makes the neighbour a router to another machine.
pub fn far(site: &Site) -> Namespace {
    let far = Namespace::new();
    let (host, router) = (&site.pair.host, &site.pair.peer);
    router.join(&far, "narrow0", "far0");
    // Its other end takes any length, and says so, or TCP sent no segment that is too long.
    router.ip("link set narrow0 mtu 1300");
    router.sysctl("ipv4/ip_forward", "1");
    router.sysctl("ipv6/conf/all/forwarding", "1");
    router.ip("addr add 10.99.0.1/24 dev narrow0");
    router.ip("addr add fd99::1/64 dev narrow0 nodad");
    far.ip(&format!("addr add {FAR4}/24 dev far0"));
    far.ip(&format!("addr add {FAR6}/64 dev far0 nodad"));
    far.ip("route add default via 10.99.0.1");
    far.ip("-6 route add default via fd99::1");
    host.ip(&format!("route add 10.99.0.0/24 via {PEER4}"));
    host.ip(&format!("-6 route add fd99::/64 via {PEER6}"));
    // As segments of the size that the path carries: a veth hands larger ones on as one.
    host.tool(&format!("ethtool -K {HOST_IF} tso off gso off"));
    far
}

/// What the limits of rules let pass: of known flows, and of unknown ones.
fn drawn(site: &Site, rule: &str) -> (u64, u64) {
    let stats = site.json("stats");
    let limits = stats["limits"].as_array().expect("a list").clone();
    let of = |unknown: bool| {
        let own = limits.iter().filter(|l| l["rule"] == rule && l["unknown_flow"] == unknown);
        own.map(|l| l["passed"].as_u64().expect("a number")).sum()
    };
    (of(false), of(true))
}

/// How many messages were dropped.
fn dropped(stats: &Stats) -> u64 {
    let of = |family| stats.packets(&format!("gate0 {family} * * drop"));
    ["icmpv4", "icmpv6", "igmp"].into_iter().map(of).sum()
}

/// That nothing of ICMP was dropped.
fn assert_none_dropped(stats: &Stats) {
    assert_eq!(dropped(stats), 0, "{stats:#?}");
}

/// Sends a megabyte by TCP and large datagrams to an address and port, and prints what the kernel then takes for
/// the path's MTU.
const SEND: &str = r#"
import socket, sys, time
host, port = sys.argv[1], int(sys.argv[2])
v6 = ":" in host
family = socket.AF_INET6 if v6 else socket.AF_INET
stream = socket.create_connection((host, port), timeout=10)
stream.sendall(b"x" * (1 << 20))
stream.shutdown(socket.SHUT_WR)
assert stream.recv(1) == b"y"
print("tcp", stream.getsockopt(socket.IPPROTO_TCP, 2))
datagrams = socket.socket(family, socket.SOCK_DGRAM)
# IP_MTU_DISCOVER or IPV6_MTU_DISCOVER, to DO; IP_MTU or IPV6_MTU.
level, discover, mtu = (41, 23, 24) if v6 else (0, 10, 14)
datagrams.setsockopt(level, discover, 2)
datagrams.connect((host, port + 1))
for _ in range(20):
    try:
        datagrams.send(b"x" * 1400)
    except OSError:
        break
    time.sleep(0.1)
print("udp", datagrams.getsockopt(level, mtu))
"#;

/// Takes a megabyte, and says so.
const TAKE: &str = r#"
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.socket(family)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen()
print("ready", flush=True)
stream, _ = listener.accept()
got = 0
while block := stream.recv(65536):
    got += len(block)
assert got == 1 << 20, got
stream.sendall(b"y")
"#;

#[test]
fn path_mtu_is_discovered_by_tcp_and_udp_of_both_families() {
    let site = Site::new();
    let far = far(&site);
    let daemon = site.start("");
    for (address, error, rule) in [
        (FAR4, "icmpv4 3/4", "icmpv4/fragmentation-needed"),
        (FAR6, "icmpv6 2/0", "icmpv6/packet-too-big"),
    ] {
        let stats = counted(&site, || {
            let mut taker = far.command("/usr/bin/python3");
            let taker =
                taker.args(["-c", TAKE, address, "4711"]).stdout(std::process::Stdio::piped());
            let mut taker = taker.spawn().expect("python starts");
            let mut ready = [0; 6];
            let out = taker.stdout.as_mut().expect("piped");
            std::io::Read::read_exact(out, &mut ready).expect("it listens");
            let said = python(&site.pair.host, SEND, &[address, "4711"]);
            assert!(taker.wait().expect("it ends").success());
            let headers = if address == FAR4 { 52 } else { 72 };
            assert_eq!(said, format!("tcp {}\nudp 1300\n", 1300 - headers));
        });
        // What they are about may have been sent again and acknowledged by the time that the last ones come: Linux
        // counts those as OutOfWindowIcmps, and looks away from them.
        let late = stats.packets(&format!("gate0 {error} drop flow-contradicted enforce"));
        assert_eq!(dropped(&stats), late, "{stats:#?}");
        // One each at least; both may learn from the first.
        let passed = stats.packets(&format!("gate0 {error} pass within-limit enforce"));
        assert!(passed >= 1, "{stats:#?}");
        assert_eq!(drawn(&site, rule), (passed, 0), "all of them were of live flows");
    }
    daemon.stop();
}

#[test]
fn traceroutes_and_mtr_are_answered() {
    let site = Site::new();
    let _far = far(&site);
    let daemon = site.start("");
    let (host, hop) = (&site.pair.host, format!(" 1  {PEER4} "));
    for (words, error, rule, known) in [
        ("-U -q 3 -N 1", "icmpv4 11/0", "icmpv4/time-exceeded", true),
        ("-I -q 3 -N 1", "icmpv4 11/0", "icmpv4/time-exceeded", true),
        // Of raw segments the kernel has no socket.
        ("-T -q 3 -N 1", "icmpv4 11/0", "icmpv4/time-exceeded", false),
    ] {
        let before = drawn(&site, rule);
        let stats = counted(&site, || {
            let shown = host.tool(&format!("traceroute -n {words} -w 3 {FAR4}"));
            assert!(shown.contains(&hop) && shown.contains(&format!(" 2  {FAR4} ")), "{shown}");
        });
        assert_none_dropped(&stats);
        let passed = stats.packets(&format!("gate0 {error} pass within-limit enforce"));
        assert_eq!(passed, 3, "{words}: {stats:#?}");
        let after = drawn(&site, rule);
        let expected = if known { (3, 0) } else { (0, 3) };
        assert_eq!((after.0 - before.0, after.1 - before.1), expected, "{words}");
    }
    for (words, address) in [
        ("-4", FAR4),
        ("-6", FAR6),
        ("-4 --udp", FAR4),
        ("-6 --udp", FAR6),
        ("-4 --tcp -P 80", FAR4),
    ] {
        let stats = counted(&site, || {
            let shown = host.tool(&format!("mtr -n -r -c 3 -i 0.2 {words} {address}"));
            // Each hop has its loss in percent.
            let hops: Vec<&str> = shown.lines().filter(|l| l.contains("|--")).collect();
            assert_eq!(hops.len(), 2, "{shown}");
            assert!(hops.iter().all(|hop| hop.contains(" 0.0%")), "{shown}");
        });
        assert_none_dropped(&stats);
    }
    daemon.stop();
}

/// Behind the protected machine, with an address that is translated: whose flows they are it can't tell.
#[test]
fn errors_for_who_is_behind_a_translator_pass() {
    let site = Site::new();
    let _far = far(&site);
    let (host, inner) = (&site.pair.host, Namespace::new());
    host.join(&inner, "inside0", "eth0");
    host.ip("addr add 192.168.7.1/24 dev inside0");
    inner.ip("addr add 192.168.7.2/24 dev eth0");
    inner.ip("route add default via 192.168.7.1");
    inner.tool("ethtool -K eth0 tso off gso off");
    host.sysctl("ipv4/ip_forward", "1");
    host.tool("nft add table ip nat");
    host.tool("nft add chain ip nat out { type nat hook postrouting priority 100 ; }");
    host.tool(&format!("nft add rule ip nat out oif {HOST_IF} masquerade"));
    let daemon = site.start("");
    let stats = counted(&site, || {
        let shown = inner.tool(&format!("traceroute -n -q 3 -N 1 -w 3 {FAR4}"));
        assert!(shown.contains(&format!(" 2  {PEER4} ")), "{shown}");
        assert!(shown.contains(&format!(" 3  {FAR4} ")), "{shown}");
    });
    assert_none_dropped(&stats);
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 11/0 pass within-limit enforce: 3",
            "gate0 icmpv4 3/3 pass within-limit enforce: 3",
        ],
    );
    assert_eq!(drawn(&site, "icmpv4/time-exceeded"), (0, 3));
    // Path MTU discovery of a translated connection.
    let stats = counted(&site, || {
        let shown = inner.tool(&format!("traceroute -n --mtu -w 3 {FAR4}"));
        assert!(shown.contains("F=1300"), "{shown}");
    });
    assert_none_dropped(&stats);
    assert!(stats.packets("gate0 icmpv4 3/4 pass") >= 1, "{stats:#?}");
    daemon.stop();
}

/// Errors about what has no socket here, from routers with addresses that no internet has, some with the extensions
/// of RFC 4884.
const OTHERS: &str = r#"
import sys
from scapy.layers.l2 import Ether
from scapy.layers.inet import IP, ICMP, UDP
from scapy.layers.inet6 import IPv6, ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded
from scapy.packet import Raw
from scapy.sendrecv import sendp

here, here6, mac = sys.argv[1:4]
body = Raw(b"\x12\x67\x00\x35" + b"x" * 120)
frames = []
for n, protocol in enumerate((50, 47, 132, 51, 4, 33, 136)):
    quoted = IP(src=here, dst="203.0.113.9", proto=protocol, len=1500) / body
    for router in ("192.168.3.%d" % (n + 1), "10.3.4.%d" % (n + 1), "172.16.5.%d" % (n + 1), "100.64.0.%d" % (n + 1)):
        for error in (ICMP(type=3, code=1), ICMP(type=3, code=4, nexthopmtu=1300), ICMP(type=11)):
            frames.append(IP(src=router, dst=here) / error / quoted)
    quoted = IPv6(src=here6, dst="2001:db8::9", nh=protocol, plen=1460) / body
    router = "fd12::%x" % (n + 1)
    for error in (ICMPv6DestUnreach(code=1), ICMPv6PacketTooBig(mtu=1300), ICMPv6TimeExceeded()):
        frames.append(IPv6(src=router, dst=here6) / error / quoted)
# 128 octets of the packet, then a structure of RFC 4884 with a label of RFC 4950.
whole = bytes(IP(src=here, dst="203.0.113.9", proto=17, len=1500) / body)[:128].ljust(128, b"\0")
label = b"\x20\x00\x00\x00" + b"\x00\x08\x01\x01" + b"\x01\x86\xa1\x40"
def summed(octets):
    total = sum(int.from_bytes(octets[i:i+2], "big") for i in range(0, len(octets), 2))
    total = (total & 0xffff) + (total >> 16)
    return octets[:2] + (~total & 0xffff).to_bytes(2, "big") + octets[4:]

exceeded = summed(b"\x0b\x00\x00\x00\x00\x20\x00\x00" + whole + summed(label))
frames.append(IP(src="192.168.9.1", dst=here, proto=1) / Raw(exceeded))
sendp([Ether(dst=mac) / frame for frame in frames], iface="peer0", verbose=False)
print(len(frames))
"#;

#[test]
fn errors_about_what_has_no_socket_pass() {
    let site = Site::new();
    let daemon = site.start("");
    let mac = site.pair.host.hardware(HOST_IF);
    let mut sent = 0;
    let stats = counted(&site, || {
        let said = python(&site.pair.peer, OTHERS, &[HOST4, HOST6, &mac]);
        sent = said.trim().parse().expect("a number");
    });
    assert_none_dropped(&stats);
    let errors: u64 = ["icmpv4 3", "icmpv4 11", "icmpv6 1", "icmpv6 2", "icmpv6 3"]
        .iter()
        .map(|of| stats.packets(&format!("gate0 {of}")))
        .sum();
    assert_eq!(errors, sent, "{stats:#?}");
    daemon.stop();
}

/// Sends errors about a segment from here to there, with each of these sequence numbers.
const FORGE: &str = r#"
import sys
from scapy.layers.l2 import Ether
from scapy.layers.inet import IP, ICMP, TCP
from scapy.layers.inet6 import IPv6, ICMPv6DestUnreach, ICMPv6PacketTooBig
from scapy.sendrecv import sendp

here, there, mac, near, far = sys.argv[1:6]
frames = []
for sequence in map(int, sys.argv[6:]):
    segment = TCP(sport=int(near), dport=int(far), seq=sequence)
    if ":" in here:
        quoted = IPv6(src=here, dst=there, plen=1460) / segment
        for error in (ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1280)):
            frames.append(IPv6(src=there, dst=here) / error / quoted)
    else:
        quoted = IP(src=here, dst=there, len=1500, flags="DF") / segment
        for error in (ICMP(type=3, code=3), ICMP(type=3, code=4, nexthopmtu=1000)):
            frames.append(IP(src=there, dst=here) / error / quoted)
sendp([Ether(dst=mac) / frame for frame in frames], iface="peer0", verbose=False)
"#;

/// Who doesn't see a connection can't guess what is in flight of it (RFC 5927 4.1).
#[test]
fn forged_errors_about_a_connection_are_dropped() {
    assert!(tcp_sequence().is_some(), "this kernel has BTF");
    let site = Site::new();
    let daemon = site.start("");
    let mac = site.pair.host.hardware(HOST_IF);
    for (here, there, family, unreachable, too_big) in
        [(HOST4, PEER4, "icmpv4", "3/3", "3/4"), (HOST6, PEER6, "icmpv6", "1/4", "2/0")]
    {
        let listener = site.pair.peer.run(|| TcpListener::bind((there, 0)).expect("a port"));
        let mut near = site.pair.host.run(|| connect((here, 0), &listener));
        let (far, _) = listener.accept().expect("a connection");
        deafen(&far);
        near.write_all(&[7; 500]).expect("it is sent");
        let next = send_next(&near);
        let ports = [&near, &far].map(|s| s.local_addr().expect("bound").port().to_string());
        let forge = |sequences: &[u32]| {
            let sequences: Vec<String> = sequences.iter().map(u32::to_string).collect();
            let mut words = vec![here, there, &mac, &ports[0], &ports[1]];
            words.extend(sequences.iter().map(String::as_str));
            python(&site.pair.peer, FORGE, &words);
        };
        let mtu = || {
            let cached = site.pair.host.ip(&format!("route get {there}"));
            cached.contains("mtu 1000") || cached.contains("mtu 1280")
        };
        let stats = counted(&site, || {
            forge(&[next.wrapping_add(1), next.wrapping_sub(501), next ^ 0x8000_0000, 0]);
        });
        assert_counted(
            &stats,
            &[
                &format!("gate0 {family} {unreachable} drop flow-contradicted enforce: 4"),
                &format!("gate0 {family} {too_big} drop flow-contradicted enforce: 4"),
            ],
        );
        assert!(!mtu(), "no path is narrower");
        // Who sees it can, and is believed.
        let stats = counted(&site, || forge(&[next.wrapping_sub(500)]));
        assert_counted(
            &stats,
            &[&format!("gate0 {family} {too_big} pass within-limit enforce: 1")],
        );
        assert!(mtu(), "{}", site.pair.host.ip(&format!("route get {there}")));
    }
    daemon.stop();
}

/// A request is remembered for a minute, by an instance and not by who started it.
#[test]
fn a_request_is_remembered_for_a_minute() {
    let site = Site::new();
    let policy = host(
        "[[rule]]\nname = \"errors\"\nfamily = \"icmpv4\"\ntype = [0, 11]\naction = \"pass\"\n\
         unknown-flow = \"drop\"\n",
    );
    let daemon = site.start_with(&policy);
    let mac = site.pair.host.hardware(HOST_IF);
    let about = "import sys\nfrom scapy.layers.l2 import Ether\nfrom scapy.layers.inet import IP, ICMP\n\
                 from scapy.sendrecv import sendp\nhere, there, mac = sys.argv[1:]\n\
                 quoted = IP(src=here, dst=there) / ICMP(id=4660, seq=1)\n\
                 for message in (IP(src=there, dst=here) / ICMP(type=0, id=4660, seq=1),\n\
                 IP(src='10.77.0.66', dst=here) / ICMP(type=11) / quoted):\n    \
                 sendp(Ether(dst=mac) / message, iface='peer0', verbose=False)\n";
    let comes_to = |verdict: &str| {
        let stats = counted(&site, || {
            python(&site.pair.peer, about, &[HOST4, PEER4, &mac]);
        });
        let lines = [0, 11].map(|ty| format!("gate0 icmpv4 {ty}/0 {verdict} enforce: 1"));
        assert_counted(&stats, &[&lines[0], &lines[1]]);
    };
    comes_to("drop unknown-flow");
    // The neighbour answers; that is one more reply, before the others.
    site.pair.host.tool(&format!("ping -n -c 1 -e 4660 {PEER4}"));
    comes_to("pass accepted");
    daemon.kill();
    let daemon = site.start_with(&policy);
    comes_to("pass accepted");
    let map = format!("{}/REQUESTS", site.pins().display());
    let dump = site.pair.host.tool(&format!("bpftool --json map dump pinned {map}"));
    let dump: serde_json::Value = serde_json::from_str(&dump).expect("JSON");
    let entries = dump.as_array().expect("a list");
    assert_eq!(entries.len(), 1, "{dump}");
    let octets = |of: &str| -> Vec<u64> {
        let list = entries[0][of].as_array().expect("octets").iter();
        list.map(|o| u64::from_str_radix(&o.as_str().expect("hex")[2..], 16).expect("hex"))
            .collect()
    };
    let sent = octets("value").iter().rev().fold(0_u64, |n, octet| n << 8 | octet);
    let key: Vec<String> = octets("key").iter().map(|o| format!("{o:02x}")).collect();
    let second = icmp_common::bucket::UNITS_PER_S;
    for (age, verdict) in [(50, "pass accepted"), (61, "drop unknown-flow")] {
        let value: Vec<String> =
            (sent - age * second).to_le_bytes().iter().map(|o| format!("{o:02x}")).collect();
        let (key, value) = (key.join(" "), value.join(" "));
        site.pair
            .host
            .tool(&format!("bpftool map update pinned {map} key hex {key} value hex {value}"));
        comes_to(verdict);
    }
    daemon.stop();
}

/// Where the program takes a socket's numbers from is where the kernel's own tool says they are.
#[test]
fn the_numbers_of_tcp_are_where_bpftool_says() {
    let here = Namespace::new();
    let types = here.tool("bpftool btf dump file /sys/kernel/btf/vmlinux format raw");
    let own = types.lines().skip_while(|l| !l.contains("STRUCT 'tcp_sock' ")).skip(1);
    let members: Vec<&str> = own.take_while(|l| l.starts_with('\t')).collect();
    let at = |name: &str| {
        let member = members.iter().find(|l| l.contains(&format!("'{name}' "))).expect("a member");
        let bits = member.split("bits_offset=").nth(1).expect("an offset");
        bits.split(' ').next().expect("a number").parse::<u32>().expect("a number") / 8
    };
    assert_eq!(tcp_sequence(), Some([at("snd_una"), at("snd_nxt")]));
}
