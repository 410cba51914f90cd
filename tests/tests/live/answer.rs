//! Rows P2, G3 and G4 on a wire: what the hook sends is what Linux sends to the same packet, octet by
//! octet but for what is random or the sender's own choice; and real clients are content with it.

use crate::{
    assert_counted, counted, host,
    python::{ASKING, python_within},
};
use icmpgate_tests::{
    Daemon, Ipv4, Site,
    frame::internet_checksum,
    gate::{hex, unhex},
    message::echo,
    netns::{HOST_IF, HOST4, HOST6, PATIENCE, PEER_IF, PEER4, PEER6, eventually, finish},
};
use std::collections::BTreeMap;

/// Sends the packets of some groups, each of which has an answer, and prints for each its name and the
/// frame that came back, or a hyphen. The same packets each time.
const ASK: &str = r#"
from scapy.layers.inet import IP, ICMP, IPOption_NOP
from scapy.layers.inet6 import (IPv6, ICMPv6EchoRequest, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop,
    HBHOptUnknown, PadN, ICMPv6Unknown)
from scapy.packet import Raw

router, everything, groups = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]

def ask(group, name, packet, pad=0):
    octets = bytes(packet)
    kind = 0x86dd if octets[0] >> 4 == 6 else 0x800
    wire.send(bytes(Ether(src=mine, dst=router, type=kind)) + octets + b"\xaa" * pad)
    frame = answer(0.5, (0, 3, 11, 12, 14), (1, 2, 3, 4, 129))
    print(group, name, frame.hex() if frame else "-", sep="|")

# Linux limits what it says of some routes by whom it tells, whatever the sysctls: each packet of a group
# is from another host.
hosts = 0

def another():
    global hosts
    hosts += 1
    return "198.18.%d.%d" % (hosts // 250, hosts % 250 + 1)

SIZES = (0, 1, 7, 56, 100, 519, 520, 521, 600, 1000, 1203, 1204, 1400)

def four(group, dst, ttl=64, sizes=SIZES, **more):
    def ip(**other):
        src = "10.77.0.2" if dst == "10.77.0.1" or ttl == 1 else another()
        return IP(**{**dict(src=src, dst=dst, ttl=ttl, id=7), **more, **other})
    for n in sizes:
        ask(group, "%d octets" % n, ip() / ICMP(id=7, seq=n) / (b"x" * n))
    n = sizes[-1]
    for tos in (0x01, 0x1e, 0xb8, 0xff):
        ask(group, "service %#x" % tos, ip(tos=tos) / ICMP(id=7) / (b"y" * n))
    ask(group, "padding", ip() / ICMP(id=7) / (b"p" * n), pad=18)
    ask(group, "from elsewhere", ip(src=another()) / ICMP(id=7) / (b"z" * n))
    ask(group, "another code", ip() / ICMP(id=7, code=5) / (b"c" * n))

def six(group, dst, hlim=64, sizes=SIZES, middle=None, **more):
    def ip(**other):
        head = IPv6(**{**dict(src="fd77::2", dst=dst, hlim=hlim), **more, **other})
        return head / middle if middle else head
    for n in sizes:
        ask(group, "%d octets" % n, ip() / ICMPv6EchoRequest(id=7, seq=n, data=b"x" * n))
    n = sizes[-1]
    for tc in (0x01, 0xb8, 0xff):
        ask(group, "class %#x" % tc, ip(tc=tc) / ICMPv6EchoRequest(id=7, data=b"y" * n))
    ask(group, "padding", ip() / ICMPv6EchoRequest(id=7, data=b"p" * n), pad=18)
    ask(group, "from elsewhere", ip(src="fd98::5") / ICMPv6EchoRequest(id=7, data=b"z" * n))

for group in groups:
    hosts = 25 * everything.index(group)
    if group == "time-exceeded":
        four(group, "203.0.113.9", ttl=1)
        ask(group, "options", IP(src="10.77.0.2", dst="203.0.113.9", ttl=1,
            options=[IPOption_NOP()] * 8) / ICMP(id=7) / (b"o" * 100))
        ask(group, "first fragment", IP(src="10.77.0.2", dst="203.0.113.9", ttl=1, flags="MF")
            / ICMP(id=7) / (b"f" * 64))
        ask(group, "a reply", IP(src="10.77.0.2", dst="203.0.113.9", ttl=1)
            / ICMP(type=0, id=7) / (b"r" * 64))
    if group == "prohibited":
        four(group, "198.51.100.9")
    if group == "host-unreachable":
        four(group, "192.0.2.9")
    if group == "net-unreachable":
        four(group, "192.88.0.9")
    if group == "fragmentation-needed":
        four(group, "203.0.115.9", flags="DF", sizes=(1400, 1420))
    if group == "echo":
        four(group, "10.77.0.1")
        four(group + " not to be fragmented", "10.77.0.1", ttl=3, flags="DF", sizes=(2, 3))
        ask(group, "zeros", IP(src="10.77.0.2", dst="10.77.0.1") / ICMP(id=0, seq=0) / (b"\0" * 9))
        ask(group, "sum of all ones", IP(src="10.77.0.2", dst="10.77.0.1") / ICMP(id=0xff00, seq=0xff))
    if group == "timestamp":
        for n in (0, 4, 100):
            ask(group, "%d octets" % n, IP(src="10.77.0.2", dst="10.77.0.1", tos=0xb8)
                / ICMP(type=13, id=7, seq=9, ts_ori=0x123456, ts_rx=5, ts_tx=6) / (b"t" * n))
    if group == "time-exceeded6":
        six(group, "fd99::9", hlim=1)
        six(group + " options", "fd99::9", hlim=1, sizes=(40,),
            middle=IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]))
    if group == "prohibited6":
        six(group, "fd55::9")
    if group == "no-route6":
        six(group, "fd54::9")
    if group == "packet-too-big6":
        six(group, "fd53::9", sizes=(1390, 1430))
    if group == "option6":
        six(group, "fd77::1",
            middle=IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x9e, optdata=b"\0" * 4)]))
    if group == "echo6":
        six(group, "fd77::1")
        for code in (1, 255):
            ask(group, "code %d" % code, IPv6(src="fd77::2", dst="fd77::1")
                / ICMPv6EchoRequest(code=code, id=7, data=b"c" * 9))
"#;

/// The groups of [`ASK`], and the rule whose hook sends what Linux sends.
const GROUPS: [(&str, &str); 13] = [
    ("time-exceeded", "family = \"icmpv4\"\naction = \"reject\"\nreject = { type = 11, code = 0 }"),
    ("prohibited", "family = \"icmpv4\"\naction = \"reject\""),
    (
        "host-unreachable",
        "family = \"icmpv4\"\naction = \"reject\"\nreject = { code = \"host-unreachable\" }",
    ),
    (
        "net-unreachable",
        "family = \"icmpv4\"\naction = \"reject\"\nreject = { code = \"net-unreachable\" }",
    ),
    (
        "fragmentation-needed",
        "family = \"icmpv4\"\naction = \"reject\"\nreject = { code = 4, mtu = 1400 }",
    ),
    ("echo", "family = \"icmpv4\"\ntype = \"echo-request\"\naction = \"reply\""),
    ("timestamp", "family = \"icmpv4\"\ntype = \"timestamp\"\naction = \"reply\""),
    (
        "time-exceeded6",
        "family = \"icmpv6\"\ntype = 128\naction = \"reject\"\nreject = { type = 3, code = 0 }",
    ),
    ("prohibited6", "family = \"icmpv6\"\ntype = 128\naction = \"reject\""),
    (
        "no-route6",
        "family = \"icmpv6\"\ntype = 128\naction = \"reject\"\nreject = { code = \"no-route\" }",
    ),
    (
        "packet-too-big6",
        "family = \"icmpv6\"\ntype = 128\naction = \"reject\"\n\
         reject = { type = \"packet-too-big\", mtu = 1400 }",
    ),
    (
        "option6",
        "family = \"icmpv6\"\ntype = 128\naction = \"reject\"\n\
         reject = { type = 4, code = \"unrecognized-option\", pointer = 42 }",
    ),
    ("echo6", "family = \"icmpv6\"\ntype = 128\naction = \"reply\""),
];

/// A reply that is nothing but zeros, where Linux is wrong: it sends the checksum 0, and then nobody's
/// sum over the message comes to 0xffff (RFC 1071 1), Linux's neither.
const LINUX_SUMS: &str = "echo|zeros";

/// A policy with one rule, whose answers no limit keeps back.
fn answering(rule: &str) -> String {
    host(&format!(
        "[[rule]]\nname = \"answer\"\n{rule}\nlimit = {{ rate = 1000000, burst = 1000000 }}\n\
         [[rule]]\nname = \"sent\"\nhook = \"egress\"\naction = \"pass\"\n"
    ))
}

/// Both families' echo requests, answered from the hook.
fn reply() -> String {
    let rule = |name: &str, family: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\nfamily = \"{family}\"\ntype = \"echo-request\"\naction = \
             \"reply\"\n"
        )
    };
    host(&[rule("ping", "icmpv4"), rule("ping6", "icmpv6")].concat())
}

/// What came back, by group and name.
type Answers = BTreeMap<String, Vec<u8>>;

/// Sends the packets of groups, each of which must be answered.
fn ask(site: &Site, groups: &[&str]) -> Answers {
    let router = site.pair.host.hardware(HOST_IF);
    let everything = GROUPS.map(|(name, _)| name).join(",");
    let arguments = [&[router.as_str(), &everything], groups].concat();
    let script = [ASKING, ASK].concat();
    let text = python_within(PATIENCE * 6, &site.pair.peer, &script, &arguments);
    let mut answers = Answers::new();
    for line in text.lines() {
        let (name, frame) = line.rsplit_once('|').expect("a name and a frame");
        assert_ne!(frame, "-", "{name} was not answered");
        answers.insert(name.to_owned(), unhex(frame));
    }
    answers
}

/// What of an answer no choice is left for: the identification of an IPv4 packet is random, and with
/// it the header's checksum, which must be right; a flow label is the sender's; what pads a frame is no
/// answer. The times of a timestamp reply are taken out, and given back.
fn settled(frame: &[u8]) -> (Vec<u8>, Vec<u32>) {
    let mut frame = frame.to_vec();
    let mut times = Vec::new();
    if frame[14] >> 4 == 6 {
        frame.truncate(54 + usize::from(u16::from_be_bytes([frame[18], frame[19]])));
        frame[15] &= 0xf0;
        frame[16..18].fill(0);
        return (frame, times);
    }
    frame.truncate(14 + usize::from(u16::from_be_bytes([frame[16], frame[17]])));
    assert_eq!(internet_checksum(&frame[14..34]), 0, "{}", hex(&frame));
    frame[18..20].fill(0);
    frame[24..26].fill(0);
    if frame[34] == 14 {
        assert_eq!(internet_checksum(&frame[34..]), 0, "{}", hex(&frame));
        let time = |at: usize| u32::from_be_bytes(*frame[at..].first_chunk().expect("a word"));
        times = vec![time(46), time(50)];
        frame[36..38].fill(0);
        frame[46..54].fill(0);
    }
    (frame, times)
}

/// A neighbour whose interface has an XDP program, which a veth wants of the end that an answer is
/// sent to; and a protected interface whose driver leaves tags in frames.
struct Wired {
    site: Site,
    /// Its pins are the neighbour's.
    peer: Site,
}

impl Wired {
    fn new() -> Self {
        let wired = Self { site: Site::new(), peer: Site::new() };
        let policy = wired.peer.file("observe.toml", "profile = \"observe\"\n");
        let words = format!("attach --iface {PEER_IF} --policy {policy}");
        let output = finish(&mut wired.peer.command_in(&wired.site.pair.peer, &words), PATIENCE);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        wired.keep_tags();
        wired
    }

    fn keep_tags(&self) {
        self.site.pair.host.tool(&format!("ethtool -K {HOST_IF} rxvlan off"));
    }

    /// Linux answers no echo itself, so that every reply is the hook's.
    fn silence_linux(&self) {
        self.site.pair.host.sysctl("ipv4/icmp_echo_ignore_all", "1");
        self.site.pair.host.sysctl("ipv6/icmp/echo_ignore_all", "1");
    }

    fn apply(&self, policy: &str) {
        let file = self.site.file("next.toml", policy);
        self.site.done(&format!("apply {file}"));
    }
}

#[test]
fn what_the_hook_sends_is_what_linux_sends() {
    let wired = Wired::new();
    let router = &wired.site.pair.host;
    router.sysctl("ipv4/ip_forward", "1");
    router.sysctl("ipv6/conf/all/forwarding", "1");
    router.sysctl("ipv4/conf/gate0/rp_filter", "0");
    router.sysctl("ipv4/conf/all/rp_filter", "0");
    for route in [
        &format!("route add 203.0.113.0/24 via {PEER4}"),
        &format!("route add 203.0.115.0/24 via {PEER4} mtu lock 1400"),
        &format!("route add 198.18.0.0/16 via {PEER4}"),
        "route add prohibit 198.51.100.0/24",
        "route add unreachable 192.0.2.0/24",
        &format!("-6 route add fd99::/64 via {PEER6}"),
        &format!("-6 route add fd98::/64 via {PEER6}"),
        &format!("-6 route add fd53::/64 via {PEER6} mtu lock 1400"),
        "-6 route add prohibit fd55::/64",
    ] {
        router.ip(route);
    }
    // Both know each other, so that no answer waits for it.
    wired.site.pair.peer.tool(&format!("ping -n -c 1 {HOST4}"));
    wired.site.pair.peer.tool(&format!("ping -n -6 -c 1 {HOST6}"));
    let names: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
    let linux = ask(&wired.site, &names);

    let daemon = wired.site.start_with(&answering(GROUPS[0].1));
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (name, rule) in GROUPS {
        wired.apply(&answering(rule));
        let before = wired.site.stats();
        let ours = ask(&wired.site, &[name]);
        let stats = wired.site.stats().since(&before);
        let reason = if rule.contains("reply") { "replied" } else { "rejected" };
        let sent: u64 = stats
            .0
            .iter()
            .filter(|(labels, _)| labels[4..6] == ["tx".to_owned(), reason.to_owned()])
            .map(|(_, packets)| packets)
            .sum();
        assert_eq!(sent, ours.len() as u64, "{name}: all were the hook's: {stats:#?}");
        for (case, answer) in &ours {
            let ((is, times), (mut should, theirs)) = (settled(answer), settled(&linux[case]));
            if case == LINUX_SUMS {
                assert_eq!((internet_checksum(&is[34..]), &should[36..38]), (0, &[0, 0][..]));
                should[36..38].copy_from_slice(&[0xff, 0xff]);
            }
            if is != should {
                wrong.push(format!("{case}:\n  {}\n  {}", hex(&is), hex(&should)));
            }
            for (our, their) in times.iter().zip(&theirs) {
                // Linux was asked some seconds earlier; midnight may lie between.
                let later = (our + 86_400_000 - their) % 86_400_000;
                assert!(later < 300_000, "{case}: {our} and {their}");
            }
            compared += 1;
        }
    }
    let told = wrong[..wrong.len().min(9)].join("\n");
    assert!(wrong.is_empty(), "{} of {compared}, ours first:\n{told}", wrong.len());
    assert!(compared > 180, "{compared}");
    println!("{compared} answers are those of Linux");
    daemon.stop();
}

#[test]
fn ping_gets_its_replies_from_the_hook() {
    let wired = Wired::new();
    wired.silence_linux();
    for mode in ["native", "generic"] {
        let file = wired.site.file("reply.toml", reply());
        let daemon = wired.site.start(&format!("--mode {mode} --policy {file}"));
        let stats = counted(&wired.site, || {
            let peer = &wired.site.pair.peer;
            peer.tool(&format!("ping -n -c 7 -i 0.02 {HOST4}"));
            peer.tool(&format!("ping -n -6 -c 5 -i 0.02 {HOST6}"));
            // ping compares what it gets with what it sent.
            let shown = peer.tool(&format!("ping -n -c 3 -i 0.02 -s 1400 -p ff00 {HOST4}"));
            assert!(shown.contains("3 received") && !shown.contains("wrong data"), "{shown}");
            assert!(shown.contains("ttl=64"), "{shown}");
        });
        assert_counted(
            &stats,
            &[
                "gate0 icmpv4 8/0 tx replied enforce: 10",
                "gate0 icmpv6 128/0 tx replied enforce: 5",
                "gate0 icmpv4: 10",
            ],
        );
        daemon.stop();
    }
}

#[test]
fn a_client_is_told_that_it_is_refused() {
    let wired = Wired::new();
    let reject = host(
        r#"
        [[rule]]
        name = "no-ping"
        type = "echo-request"
        family = "icmpv4"
        action = "reject"
        reject = { code = "host-prohibited" }
        [[rule]]
        name = "no-ping6"
        type = "echo-request"
        family = "icmpv6"
        action = "reject"
        "#,
    );
    let daemon = wired.site.start_with(&reject);
    let stats = counted(&wired.site, || {
        for (words, told) in [
            (format!("ping -n -c 2 -i 0.02 -W 1 {HOST4}"), format!("From {HOST4} icmp_seq=1 ")),
            (format!("ping -n -6 -c 2 -i 0.02 -W 1 {HOST6}"), format!("From {HOST6} icmp_seq=1 ")),
        ] {
            let output = finish(&mut wired.site.pair.peer.words(&words), PATIENCE);
            let shown = String::from_utf8_lossy(&output.stdout);
            assert!(shown.contains(&told) && shown.contains("rohibited"), "{shown}");
            assert_eq!(output.status.code(), Some(1), "{shown}");
        }
    });
    assert_counted(
        &stats,
        &["gate0 icmpv4 8/0 tx rejected: 2", "gate0 icmpv6 128/0 tx rejected: 2"],
    );
    daemon.stop();
}

/// Whether the neighbour gets an answer.
fn is_answered(site: &Site) -> bool {
    let words = format!("ping -n -c 1 -W 1 {HOST4}");
    finish(&mut site.pair.peer.words(&words), PATIENCE).status.success()
}

#[test]
fn nothing_is_answered_while_the_vlan_is_unknown() {
    let wired = Wired::new();
    wired.silence_linux();
    let offload = |words: &str| {
        wired.site.pair.host.tool(&format!("ethtool -K {HOST_IF} rxvlan {words}"));
    };
    offload("on");
    let daemon: Daemon<'_> = wired.site.start_with(&reply());
    daemon.hear(
        "rx-vlan-offload is on for gate0, so the VLAN of a packet may be unknown to the program, and it \
         answers nothing: rules with action `reject` or `reply` only drop there; `ethtool -K gate0 rxvlan \
         off` shows it the tags",
    );
    let stats = counted(&wired.site, || assert!(!is_answered(&wired.site)));
    assert_counted(&stats, &["gate0 icmpv4 8/0 drop denied: 1", "gate0 icmpv4: 1"]);
    // The daemon hears of it from the kernel.
    offload("off");
    assert!(eventually(PATIENCE, || is_answered(&wired.site)), "{}", daemon.said());
    offload("on");
    assert!(eventually(PATIENCE, || !is_answered(&wired.site)), "{}", daemon.said());
    daemon.stop();
}

#[test]
fn an_interface_that_gets_another_address_answers_from_that() {
    let wired = Wired::new();
    wired.silence_linux();
    let daemon = wired.site.start_with(&reply());
    assert!(is_answered(&wired.site));
    wired.site.pair.host.ip(&format!("link set {HOST_IF} address 02:00:00:00:77:01"));
    wired.site.pair.peer.ip(&format!("neigh flush dev {PEER_IF}"));
    assert!(eventually(PATIENCE, || is_answered(&wired.site)), "{}", daemon.said());
    // An IP address that is new.
    wired.site.pair.host.ip(&format!("addr add 10.77.0.9/24 dev {HOST_IF}"));
    let answered = eventually(PATIENCE, || {
        let mut ping = wired.site.pair.peer.words("ping -n -c 1 -W 1 10.77.0.9");
        finish(&mut ping, PATIENCE).status.success()
    });
    assert!(answered, "{}", daemon.said());
    daemon.stop();
}

#[test]
fn explain_says_what_is_answered_with_and_without_an_interface() {
    let wired = Wired::new();
    let file = wired.site.file("reply.toml", reply());
    let mut frame: Vec<u8> = Ipv4::between(PEER4, HOST4).icmp(echo(8)).into();
    let digits = |frame: &[u8]| frame.iter().map(|o| format!("{o:02x}")).collect::<String>();
    let explain = |frame: &[u8], words: &str| {
        wired.site.json(&format!("explain --policy {file} {words} --hex {}", digits(frame)))
    };
    let said = explain(&frame, "");
    assert_eq!((&said["verdict"], &said["reason"]), (&"tx".into(), &"replied".into()), "{said}");
    assert_eq!(said["rule"], "ping");
    // Of an interface, its link-layer address counts.
    let said = explain(&frame, "--iface gate0");
    assert_eq!((&said["verdict"], &said["reason"]), (&"drop".into(), &"denied".into()), "{said}");
    frame[..6].copy_from_slice(&unhex(&wired.site.pair.host.hardware(HOST_IF).replace(':', "")));
    let said = explain(&frame, "--iface gate0");
    assert_eq!((&said["verdict"], &said["reason"]), (&"tx".into(), &"replied".into()), "{said}");
    let observed = wired.site.file("observed.toml", format!("mode = \"observe\"\n{}", reply()));
    let words = format!("explain --policy {observed} --hex {}", digits(&frame));
    let said = wired.site.json(&words);
    assert_eq!((&said["verdict"], &said["would"]), (&"pass".into(), &"tx".into()), "{said}");
}
