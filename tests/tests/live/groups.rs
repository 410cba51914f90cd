//! Rows M1 to M3 with Linux: hosts of every version join and leave, and the table has who they are; what is sent to a
//! group leaves only to who listens.

use crate::{assert_counted, counted, member::Member, python::python};
use icmpgate_tests::{
    Site,
    frame::{ETHER_IPV4, ETHER_IPV6},
    netns::{HOST_IF, HOST4, HOST6, PATIENCE, PEER_IF, PEER4, eventually},
    tap::Tap,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader},
    net::IpAddr,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

/// The entry of a group on the protected interface.
fn entry(site: &Site, group: &str) -> Option<Value> {
    let all = site.json("groups");
    let all = all.as_array().expect("a list").iter();
    let mut of_group = all.filter(|e| e["group"] == group && e["interface"] == HOST_IF);
    let found = of_group.next().cloned();
    assert!(of_group.next().is_none(), "each group stands once");
    found
}

/// Waits until the neighbour reports from an address of its own: before, it does from `::`, and nobody knows when it leaves.
fn has_address(site: &Site) {
    let shown = || site.pair.peer.ip(&format!("-6 addr show dev {PEER_IF} scope link"));
    let is = || shown().contains("fe80::") && !shown().contains("tentative");
    assert!(eventually(PATIENCE, is), "{}", shown());
}

#[test]
fn hosts_of_every_version_are_in_the_table_while_they_listen() {
    for (igmp, mld) in [(1, 1), (2, 1), (3, 2)] {
        let site = Site::new();
        let peer = &site.pair.peer;
        peer.sysctl("ipv4/conf/peer0/force_igmp_version", &igmp.to_string());
        peer.sysctl("ipv6/conf/peer0/force_mld_version", &mld.to_string());
        let daemon = site.start("");
        has_address(&site);
        let mut member = Member::of(peer, PEER_IF);
        for (group, version) in [("239.7.7.1", igmp), ("ff0e::7:1", mld)] {
            member.tell(&format!("join {group}"));
            assert!(eventually(PATIENCE, || entry(&site, group).is_some()), "{group} {version}");
            let joined = entry(&site, group).expect("it is there");
            assert_eq!(joined["version"], version, "{joined}");
            assert_eq!((&joined["mode"], &joined["vlan"]), (&"exclude".into(), &Value::Null));
            let expires = joined["expires_s"].as_f64().expect("a number");
            assert!((200.0..=260.0).contains(&expires), "{joined}");
            let reporters = joined["reporters"].as_array().expect("a list");
            assert_eq!(reporters.len(), 1, "{joined}");
            if group.starts_with("239") {
                assert_eq!(reporters[0], PEER4);
            }
            member.tell(&format!("leave {group}"));
            // By version 3 the last one who leaves says so; older ones are asked whether they are the last, which
            // nobody does here.
            let newest = if group.contains(':') { 2 } else { 3 };
            if version == newest {
                assert!(eventually(PATIENCE, || entry(&site, group).is_none()), "{group}");
            } else {
                sleep(Duration::from_secs(3));
                assert!(entry(&site, group).is_some(), "{group} {version}");
            }
        }
        daemon.stop();
    }
}

/// A general query as a switch without an address sends it (RFC 4541 2.1.1), and of MLD one from who has one, and the
/// answer of a member of another group; until all have had the time to answer.
const ASK: &str = r#"
import socket, sys, time
from scapy.layers.l2 import Ether
from scapy.layers.inet import IP, IPOption_Router_Alert
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop, RouterAlert, ICMPv6MLQuery2
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3mq
from scapy.contrib.igmp import IGMP
from scapy.layers.inet6 import ICMPv6MLReport

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("peer0", 0))
four = IP(src="0.0.0.0", dst="224.0.0.1", ttl=1, options=[IPOption_Router_Alert()])
four /= IGMPv3(type=0x11, mrcode=1) / IGMPv3mq(qrv=2, qqic=125)
six = IPv6(src="fe80::77", dst="ff02::1", hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert()])
six /= ICMPv6MLQuery2(mladdr="::", mrd=100)
if sys.argv[1] == "unanswered":
    wire.send(bytes(Ether(src="02:00:00:00:00:01", dst="01:00:5e:00:00:01") / four))
elif sys.argv[1] == "igmp":
    wire.send(bytes(Ether(src="02:00:00:00:00:01", dst="01:00:5e:00:00:01") / four))
    answer = IP(src="10.77.0.2", dst="239.99.0.1", ttl=1, options=[IPOption_Router_Alert()])
    answer /= IGMP(type=0x16, mrcode=0, gaddr="239.99.0.1")
    wire.send(bytes(Ether(src="02:00:00:00:00:02", dst="01:00:5e:63:00:01") / answer))
else:
    wire.send(bytes(Ether(src="02:00:00:00:00:01", dst="33:33:00:00:00:01") / six))
    answer = IPv6(src="fe80::78", dst="ff0e::99", hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    wire.send(bytes(Ether(src="02:00:00:00:00:02", dst="33:33:00:00:00:99") / (answer / ICMPv6MLReport(mladdr="ff0e::99"))))
time.sleep(1.2)
"#;

/// Sends this many datagrams to a group, from an address.
const SEND: &str = r#"
import socket, struct, sys
source, group, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
index = socket.if_nametoindex("gate0")
if ":" in group:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
else:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", bytes(4), bytes(4), index))
sock.bind((source, 0))
for n in range(count):
    try:
        sock.sendto(b"x" * 100, (group, 5000))
    except OSError:
        pass
"#;

/// Sends ten datagrams to a group; how many of them reached the neighbour's wire.
fn reach(site: &Site, source: &str, group: &str) -> usize {
    let (ether_type, to) = match group.parse().expect("an address") {
        IpAddr::V4(v4) => (ETHER_IPV4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (ETHER_IPV6, v6.octets().to_vec()),
    };
    let tap = Tap::new(&site.pair.peer, PEER_IF, ether_type);
    python(&site.pair.host, SEND, &[source, group, "10"]);
    let until = Instant::now() + Duration::from_millis(100);
    let frames = std::iter::from_fn(|| tap.next(until));
    let is = |f: &Vec<u8>| f.len() > 114 && f[14..54].windows(to.len()).any(|w| w == to);
    frames.filter(is).count()
}

/// How much was kept from the link so far.
fn kept(site: &Site) -> u64 {
    site.stats().packets("gate0:egress none none/none drop no-member enforce")
}

#[test]
fn multicast_leaves_only_to_who_listens() {
    let site = Site::new();
    let policy = "profile = \"host\"\n[groups]\ngate = true\nother-routers = \"members\"\n";
    let daemon = site.start_with(policy);
    has_address(&site);
    let mut member = Member::of(&site.pair.peer, PEER_IF);
    for (protocol, group, source, other) in
        [("igmp", "239.7.7.1", HOST4, "10.77.0.9"), ("mld", "ff0e::7:1", HOST6, "fd77::9")]
    {
        let length = if group.contains(':') { 64 } else { 24 };
        site.pair.host.ip(&format!("addr add {other}/{length} dev {HOST_IF}"));
        assert!(eventually(PATIENCE, || {
            !site.pair.host.ip("-6 addr show").contains("tentative")
        }));
        // Until somebody asks, nobody has to answer, and nothing is known.
        assert_eq!(reach(&site, source, group), 10, "{group}: nobody has asked");
        python(&site.pair.peer, ASK, &[protocol]);
        let before = kept(&site);
        assert_eq!(reach(&site, source, group), 0, "{group}: nobody has joined");
        assert_eq!(kept(&site) - before, 10, "{group}");

        member.tell(&format!("join {group}"));
        assert!(eventually(PATIENCE, || entry(&site, group).is_some()));
        assert_eq!(reach(&site, source, group), 10, "{group}: joined");
        assert_eq!(reach(&site, other, group), 10, "{group}: any source");
        member.tell(&format!("leave {group}"));
        assert!(eventually(PATIENCE, || entry(&site, group).is_none()));
        assert_eq!(reach(&site, source, group), 0, "{group}: left");

        // From one source alone.
        let before = kept(&site);
        member.tell(&format!("join {group} {source}"));
        assert!(eventually(PATIENCE, || entry(&site, group).is_some()));
        let joined = entry(&site, group).expect("it is there");
        assert_eq!((&joined["mode"], &joined["sources"]), (&"include".into(), &json!([source])));
        assert_eq!(reach(&site, source, group), 10, "{group}: its source");
        assert_eq!(reach(&site, other, group), 0, "{group}: another source");
        assert_eq!(kept(&site) - before, 10, "{group}");
        member.tell(&format!("leave {group} {source}"));
        assert!(eventually(PATIENCE, || entry(&site, group).is_none()));
    }
    // What is for all of the link goes.
    for (group, source) in [("224.0.0.251", HOST4), ("ff02::fb", HOST6)] {
        assert_eq!(reach(&site, source, group), 10, "{group}");
    }
    daemon.stop();
}

/// A switch that snoops hands reports only to ports of routers: who hears none isn't told who listens.
#[test]
fn where_no_report_comes_nothing_is_kept_back() {
    let site = Site::new();
    let daemon = site.start_with("profile = \"host\"\n[groups]\ngate = true\n");
    python(&site.pair.peer, ASK, &["unanswered"]);
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 10);
    python(&site.pair.peer, ASK, &["igmp"]);
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 0);
    daemon.stop();
}

/// Who asks from an address of its own is a router, and may have members behind it.
#[test]
fn another_router_gets_everything_unless_the_policy_says_otherwise() {
    for (rest, gets) in [("", 10), ("other-routers = \"members\"\n", 0)] {
        let site = Site::new();
        let policy = format!("profile = \"host\"\n[groups]\ngate = [\"gate0\"]\n{rest}");
        let daemon = site.start_with(&policy);
        python(&site.pair.peer, ASK, &["igmp"]);
        python(&site.pair.peer, ASK, &["mld"]);
        assert_eq!(reach(&site, HOST6, "ff0e::7:1"), gets, "{rest}");
        let queriers = site.json("groups --queriers");
        let of = |protocol: &str| {
            let all = queriers.as_array().expect("a list");
            all.iter().find(|q| q["protocol"] == protocol).cloned().expect("a querier")
        };
        assert_eq!(
            (&of("mld")["querier"], &of("mld")["other_router"]),
            (&"fe80::77".into(), &true.into())
        );
        assert_eq!(
            (&of("igmp")["querier"], &of("igmp")["other_router"]),
            (&Value::Null, &false.into())
        );
        assert_eq!((&of("igmp")["version"], &of("mld")["version"]), (&3.into(), &2.into()));
        daemon.stop();
    }
}

#[test]
fn a_policy_that_observes_says_what_it_would_keep_back() {
    let site = Site::new();
    let daemon = site.start_with("profile = \"host\"\n[groups]\ngate = true\nmode = \"observe\"\n");
    python(&site.pair.peer, ASK, &["igmp"]);
    let line = "groups: multicast leaves by every interface to members only (observe)";
    assert!(daemon.has_said(line), "{}", daemon.said());
    let level = || site.json("status")["interfaces"][0]["groups"].clone();
    assert_eq!(level(), "observed");
    let stats = counted(&site, || assert_eq!(reach(&site, HOST4, "239.7.7.1"), 10));
    assert_counted(&stats, &["gate0:egress none none/none pass no-member observe: 10"]);
    let other = site.file("other.toml", "profile = \"host\"\n[groups]\ngate = \"gate0\"\n");
    site.done(&format!("apply {other}"));
    assert_eq!(level(), "gated");
    daemon.stop();
}

/// A host on VLAN 7 joins 239.7.7.1.
const TAGGED: &str = r#"
import socket
from scapy.layers.l2 import Ether, Dot1Q
from scapy.layers.inet import IP, IPOption_Router_Alert
from scapy.contrib.igmp import IGMP

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("peer0", 0))
report = IP(src="10.78.0.2", dst="239.7.7.1", ttl=1, options=[IPOption_Router_Alert()])
report /= IGMP(type=0x16, mrcode=0, gaddr="239.7.7.1")
wire.send(bytes(Ether(src="02:00:00:00:00:01", dst="01:00:5e:07:07:01") / Dot1Q(vlan=7) / report))
"#;

/// What nobody has joined anywhere goes everywhere where the policy says so, and what somebody has joined, elsewhere as
/// well, only to him.
#[test]
fn what_is_registered_nowhere_may_go_everywhere() {
    let site = Site::new();
    let policy = "profile = \"host\"\n[groups]\ngate = true\nunregistered = \"pass\"\n";
    let daemon = site.start_with(policy);
    python(&site.pair.peer, ASK, &["igmp"]);
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 10);
    // Tags that a driver takes off the frame it couldn't see: veth does, of what the stack tags.
    python(&site.pair.peer, TAGGED, &[]);
    assert_eq!(entry(&site, "239.7.7.1").expect("it is there")["vlan"], 7);
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 0, "it has a member, and not here");
    assert_eq!(reach(&site, HOST4, "239.7.7.2"), 10, "it has none anywhere");
    // A static one is registered as well, as a permanent entry of a Linux bridge is.
    let fixed = "static = [{ interface = \"gate0\", group = \"239.7.7.2\", vlan = 9 }]\n";
    let other = site.file("other.toml", format!("{policy}{fixed}"));
    site.done(&format!("apply {other}"));
    assert_eq!(reach(&site, HOST4, "239.7.7.2"), 0, "it has a member, and not here");
    assert_eq!(reach(&site, HOST4, "239.7.7.3"), 10, "it has none anywhere");
    daemon.stop();
}

#[test]
fn a_static_group_has_a_member_whoever_reports() {
    let site = Site::new();
    let policy =
        |fixed: &str| format!("profile = \"host\"\n[groups]\ngate = true\nstatic = [{fixed}]\n");
    let daemon = site.start_with(&policy(&format!(
        "{{ interface = \"gate0\", group = \"239.7.7.1\" }}, \
         {{ interface = \"gate0\", group = \"232.7.7.1\", source = \"{HOST4}\" }}, \
         {{ interface = \"gate0\", group = \"239.7.7.3\", vlan = 9 }}"
    )));
    site.pair.host.ip(&format!("addr add 10.77.0.9/24 dev {HOST_IF}"));
    python(&site.pair.peer, ASK, &["igmp"]);
    for (source, group, gets) in [
        (HOST4, "239.7.7.1", 10),
        (HOST4, "239.7.7.2", 0),
        (HOST4, "232.7.7.1", 10),
        ("10.77.0.9", "232.7.7.1", 0),
        (HOST4, "239.7.7.3", 0),
    ] {
        assert_eq!(reach(&site, source, group), gets, "{source} to {group}");
    }
    let other = site.file("other.toml", policy("{ interface = \"gate0\", group = \"239.7.7.2\" }"));
    site.done(&format!("apply {other}"));
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 0, "not any more");
    assert_eq!(reach(&site, HOST4, "239.7.7.2"), 10);
    daemon.stop();
}

/// A hello of PIM, as a router sends it.
const HELLO: &str = r#"
import socket, sys
from scapy.layers.l2 import Ether
from scapy.layers.inet import IP
from scapy.packet import Raw

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("peer0", 0))
hello = b"\x20\0\0\0" + b"\0\x01\0\x02" + int(sys.argv[1]).to_bytes(2, "big")
hello = IP(src="10.77.0.2", dst="224.0.0.13", ttl=int(sys.argv[2]), proto=103) / Raw(hello)
wire.send(bytes(Ether(src="02:00:00:00:00:01", dst="01:00:5e:00:00:0d") / hello))
"#;

#[test]
fn a_router_that_says_hello_gets_everything_until_it_is_silent() {
    let site = Site::new();
    let daemon = site.start_with("profile = \"host\"\n[groups]\ngate = true\n");
    python(&site.pair.peer, ASK, &["igmp"]);
    python(&site.pair.peer, HELLO, &["30", "64"]);
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 0, "it may be from anywhere");
    python(&site.pair.peer, HELLO, &["3", "1"]);
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 10);
    assert!(eventually(PATIENCE, || reach(&site, HOST4, "239.7.7.1") == 0));
    daemon.stop();
}

/// The maps are pinned: who listens is known to the next daemon, and meanwhile.
#[test]
fn who_listens_is_remembered_while_no_daemon_lives() {
    let site = Site::new();
    let policy = "profile = \"host\"\n[groups]\ngate = true\n";
    let daemon = site.start_with(policy);
    python(&site.pair.peer, ASK, &["igmp"]);
    let mut member = Member::of(&site.pair.peer, PEER_IF);
    member.tell("join 239.7.7.1");
    assert!(eventually(PATIENCE, || entry(&site, "239.7.7.1").is_some()));
    let before = entry(&site, "239.7.7.1").expect("it is there");
    daemon.kill();
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 10);
    assert_eq!(reach(&site, HOST4, "239.7.7.2"), 0);
    member.tell("join 239.7.7.2");
    assert!(eventually(PATIENCE, || entry(&site, "239.7.7.2").is_some()), "it goes on learning");
    let daemon = site.start_with(policy);
    let after = entry(&site, "239.7.7.1").expect("it is there");
    assert_eq!((&after["reporters"], &after["joins"]), (&before["reporters"], &before["joins"]));
    assert!(after["since_s"].as_f64() > before["since_s"].as_f64());
    assert_eq!(reach(&site, HOST4, "239.7.7.2"), 10);
    daemon.stop();
}

/// What is known of a link ends with its interface: who joined meanwhile was heard by nobody.
#[test]
fn on_an_interface_that_comes_back_nobody_has_asked() {
    let site = Site::new();
    let daemon = site.start_with("profile = \"host\"\n[groups]\ngate = true\n");
    python(&site.pair.peer, ASK, &["igmp"]);
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 0);
    site.pair.unplug();
    daemon.hear("gate0 went away; its counters are kept");
    site.pair.plug();
    daemon.hear("gate0: attached in the driver (native); its counters go on");
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 10);
    python(&site.pair.peer, ASK, &["igmp"]);
    assert_eq!(reach(&site, HOST4, "239.7.7.1"), 0);
    daemon.stop();
}

/// Nobody hears who leaves there.
#[test]
fn what_is_detached_or_away_has_no_members() {
    let site = Site::new();
    site.pair.host.ip("link add gate2 type veth peer name back-gate2");
    let known = || {
        let count = |what: &str| site.json(what).as_array().expect("a list").len();
        (count("groups"), count("groups --queriers"))
    };
    let daemon = site.start_on(&format!("--iface {HOST_IF} --iface gate2"));
    python(&site.pair.peer, ASK, &["igmp"]);
    assert!(entry(&site, "239.99.0.1").is_some());
    site.done(&format!("detach --iface {HOST_IF}"));
    assert_eq!(known(), (0, 0), "detached");
    daemon.stop();

    let daemon = site.start("");
    python(&site.pair.peer, ASK, &["igmp"]);
    assert!(entry(&site, "239.99.0.1").is_some());
    site.pair.unplug();
    daemon.hear("gate0 went away; its counters are kept");
    // It is swept every ten seconds.
    assert!(eventually(Duration::from_secs(15), || known() == (0, 0)), "{:?}", known());
    daemon.stop();
}

/// What was learnt before stays until its time is out, and it is said that nothing is added.
#[test]
fn where_nothing_is_learnt_any_more_groups_says_so() {
    let site = Site::new();
    let daemon = site.start("");
    let mut member = Member::of(&site.pair.peer, PEER_IF);
    member.tell("join 239.7.7.1");
    assert!(eventually(PATIENCE, || entry(&site, "239.7.7.1").is_some()));
    let line = "nothing more is learnt: the policy in force says `learn = false`\n";
    assert!(!site.done("groups").contains(line));
    let file = site.file("other.toml", "profile = \"host\"\n[groups]\nlearn = false\n");
    let applied = site.icmpgate(&format!("apply {file}"));
    assert!(applied.status.success(), "{applied:?}");
    let shown = site.done("groups");
    assert!(shown.contains("239.7.7.1") && shown.ends_with(line), "{shown}");
    member.tell("join 239.7.7.2");
    site.pair.peer.tool(&format!("ping -n -c 3 -i 0.2 {HOST4}"));
    assert!(entry(&site, "239.7.7.2").is_none());
    daemon.stop();
}

/// What happens is told as it happens.
#[test]
fn joins_and_leaves_are_told_as_they_come() {
    let site = Site::new();
    let daemon = site.start("");
    let mut watch = site.command("groups --watch --json");
    watch.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watch = watch.spawn().expect("it starts");
    let mut says = BufReader::new(watch.stderr.take().expect("piped")).lines();
    let first = says.next().expect("a line").expect("text");
    assert!(first.starts_with("icmpgate: watching"), "{first}");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut member = Member::of(&site.pair.peer, PEER_IF);
    for (what, group) in [("join", "239.7.7.1"), ("leave", "239.7.7.1"), ("join", "239.7.7.2")] {
        member.tell(&format!("{what} {group}"));
        let told = lines
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("JSON"));
        // The neighbour itself joins groups of IPv6.
        let mut told = told.filter(|t| t["group"].as_str().is_some_and(|g| g.starts_with("239")));
        let told = told.next().expect("a line");
        assert_eq!(
            (&told["change"], &told["group"], &told["reporter"], &told["interface"]),
            (&what.into(), &group.into(), &PEER4.into(), &HOST_IF.into())
        );
        // The group goes after its only host, which isn't told again.
        let gone = || what == "join" || entry(&site, group).is_none();
        assert!(eventually(PATIENCE, gone), "{group} stays");
    }
    daemon.stop();
    // It ends with the instance.
    assert_eq!(watch.wait().expect("it ends").code(), Some(1));
}
