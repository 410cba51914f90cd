//! Rows V6 to V8 on a link: what Linux hosts send of their own passes, and what comes from elsewhere doesn't, whatever
//! Linux by itself makes of it.

use crate::{assert_counted, counted, python::python};
use icmpgate_tests::{
    Namespace, Site,
    netns::{HOST_IF, HOST6, PATIENCE, eventually},
};

/// Joins a group of each family, and leaves them.
const JOIN: &str = r#"
import socket, struct, sys, time
four, six = sys.argv[1:]
index = socket.if_nametoindex("peer0")
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
b = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
joined4 = struct.pack("4s4si", socket.inet_aton(four), bytes(4), index)
joined6 = struct.pack("16si", socket.inet_pton(socket.AF_INET6, six), index)
a.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined4)
b.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, joined6)
time.sleep(0.6)
a.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, joined4)
b.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, joined6)
time.sleep(0.3)
"#;

/// The IPv6 addresses of the host's interface.
fn addresses(site: &Site) -> String {
    site.pair.host.tool(&format!("ip -6 addr show dev {HOST_IF}"))
}

fn set(namespace: &Namespace, name: &str, value: u32) {
    namespace.tool(&format!("sysctl -qw net.{name}={value}"));
}

#[test]
fn members_of_every_version_are_heard() {
    let site = Site::new();
    let daemon = site.start("");
    let peer = &site.pair.peer;
    let stats = counted(&site, || {
        for (version, mld) in [(1, 1), (2, 1), (3, 2)] {
            set(peer, "ipv4.conf.peer0.force_igmp_version", version);
            set(peer, "ipv6.conf.peer0.force_mld_version", mld);
            python(peer, JOIN, &[&format!("239.7.7.{version}"), &format!("ff0e::7:{version}")]);
        }
    });
    // A leave of version 1 there is not; what is sent again and how often is the kernel's.
    for sent in [
        "igmp 18/0",
        "igmp 22/0",
        "igmp 23/0",
        "igmp 34/0",
        "icmpv6 131/0",
        "icmpv6 132/0",
        "icmpv6 143/0",
    ] {
        assert!(
            stats.packets(&format!("gate0 {sent} pass within-limit")) > 0,
            "{sent} in {stats:#?}"
        );
    }
    assert_counted(&stats, &["gate0 igmp * * drop: 0", "gate0 icmpv6 * * drop: 0"]);
    assert_counted(
        &stats,
        &["gate0 igmp * * pass router-alert: 0", "gate0 icmpv6 * * pass router-alert: 0"],
    );
    daemon.stop();
}

#[test]
fn neighbours_are_found_and_duplicates_detected() {
    for profile in PROFILES {
        neighbours_under(profile);
    }
}

/// For a machine that forwards nothing, and for one that does.
const PROFILES: [&str; 2] = ["host", "router"];

/// A machine that this profile is for.
fn machine(profile: &str) -> Site {
    let site = Site::new();
    if profile == "router" {
        site.pair.host.sysctl("ipv6/conf/all/forwarding", "1");
    }
    site
}

fn neighbours_under(profile: &str) {
    let site = machine(profile);
    let daemon = site.start_with(&format!("profile = \"{profile}\"\n"));
    let peer_addresses = || site.pair.peer.tool("ip -6 addr show dev peer0");
    let stats = counted(&site, || {
        // Detection of duplicates is a solicitation from `::`.
        site.pair.peer.tool("ip addr add fd77::77/64 dev peer0");
        assert!(
            eventually(PATIENCE, || !peer_addresses().contains("tentative")),
            "the address is good"
        );
        site.pair.peer.tool(&format!("ping -n -6 -c 2 -i 0.05 -I fd77::77 {HOST6}"));
        // The same address here is a duplicate, which the answer tells.
        site.pair.host.tool(&format!("ip addr add fd77::77/64 dev {HOST_IF}"));
        assert!(
            eventually(PATIENCE, || addresses(&site).contains("dadfailed")),
            "the duplicate is found"
        );
    });
    assert!(stats.packets("gate0 icmpv6 135/0 pass within-limit") > 0, "{stats:#?}");
    assert!(stats.packets("gate0 icmpv6 136/0 pass within-limit") > 0, "{stats:#?}");
    assert_counted(&stats, &["gate0 icmpv6 * * drop: 0"]);
    daemon.stop();
}

/// The first part of a script that advertises prefixes.
const ADVERTISING: &str = r#"
import socket
from scapy.layers.l2 import Ether
from scapy.layers.inet6 import IPv6, ICMPv6ND_RA, ICMPv6NDOptPrefixInfo
from scapy.packet import Raw

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("peer0", 0))

def send(prefix, source="fe80::77", hops=255, more=b"", lifetime=0):
    packet = Ether(src="02:00:00:00:00:01", dst="33:33:00:00:00:01") / IPv6(src=source, dst="ff02::1", hlim=hops)
    packet /= ICMPv6ND_RA(routerlifetime=lifetime) / ICMPv6NDOptPrefixInfo(prefix=prefix, prefixlen=64)
    wire.send(bytes(packet / Raw(more) if more else packet))
"#;

/// Router advertisements: a good one, and three that nobody may believe, each with a prefix of its own.
const ADVERTISE: &str = r#"
send("2001:db8:70::")
send("2001:db8:71::", hops=64)
send("2001:db8:72::", source="2001:db8::77")
send("2001:db8:73::", more=bytes(8))
"#;

#[test]
fn a_host_configures_itself_by_a_router_and_by_nobody_else() {
    let only_the_first = |site: &Site| {
        set(&site.pair.host, &format!("ipv6.conf.{HOST_IF}.accept_ra"), 2);
        python(&site.pair.peer, &format!("{ADVERTISING}{ADVERTISE}"), &[]);
        assert!(
            eventually(PATIENCE, || addresses(site).contains("2001:db8:70:")),
            "there is an address"
        );
        let has = addresses(site);
        assert!(
            ["71", "72", "73"].iter().all(|n| !has.contains(&format!("2001:db8:{n}:"))),
            "{has}"
        );
    };
    // Linux by itself believes none of the others either.
    only_the_first(&Site::new());
    for profile in PROFILES {
        let site = machine(profile);
        let daemon = site.start_with(&format!("profile = \"{profile}\"\n"));
        let stats = counted(&site, || only_the_first(&site));
        assert_counted(
            &stats,
            &[
                "gate0 icmpv6 134/0 pass within-limit: 1",
                "gate0 icmpv6 134/0 drop hop-limit enforce: 1",
                "gate0 icmpv6 134/0 drop discovery-address enforce: 1",
                "gate0 icmpv6 134/0 drop discovery-message enforce: 1",
            ],
        );
        daemon.stop();
    }
}

/// Two routers of which either could be the true one, each with a prefix of its own.
const TWO: &str = r#"
send("2001:db8:81::", source="fe80::66", lifetime=1800)
send("2001:db8:80::", lifetime=1800)
"#;

/// A rogue router on the link says nothing that is false in itself: only a list tells it apart.
#[test]
fn a_rogue_router_is_believed_unless_routers_are_listed() {
    let configures = |site: &Site| {
        set(&site.pair.host, &format!("ipv6.conf.{HOST_IF}.accept_ra"), 2);
        python(&site.pair.peer, &format!("{ADVERTISING}{TWO}"), &[]);
        assert!(
            eventually(PATIENCE, || addresses(site).contains("2001:db8:80:")),
            "there is an address"
        );
        let routes = site.pair.host.ip("-6 route show default");
        (addresses(site).contains("2001:db8:81:"), routes.contains("fe80::66"))
    };
    assert_eq!(configures(&Site::new()), (true, true), "a bare Linux");
    let site = Site::new();
    let daemon = site.start_with("profile = \"host\"\nrouters = \"fe80::77\"\n");
    let mut rogue = (true, true);
    let stats = counted(&site, || rogue = configures(&site));
    assert_eq!(rogue, (false, false));
    assert_counted(
        &stats,
        &[
            "gate0 icmpv6 134/0 pass within-limit enforce: 1",
            "gate0 icmpv6 134/0 drop router-unlisted enforce: 1",
        ],
    );
    daemon.stop();
}

/// A query of version 1 from another network, as it comes through routers.
const DOWNGRADE: &str = r#"
import socket
from scapy.layers.l2 import Ether
from scapy.layers.inet import IP
from scapy.contrib.igmp import IGMP

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("peer0", 0))
query = IP(src="203.0.113.9", dst="224.0.0.1", ttl=61) / IGMP(type=0x11, mrcode=0)
wire.send(bytes(Ether(src="02:00:00:00:00:01", dst="01:00:5e:00:00:01") / query))
"#;

/// One forged query makes a Linux report by version 1 for minutes, without leaves and without sources. It asks
/// neither where the query is from nor how far it came.
#[test]
fn no_query_from_elsewhere_makes_a_host_forget_its_version() {
    let querier = |site: &Site| {
        let groups = site.pair.host.tool("cat /proc/net/igmp");
        let line = groups.lines().find(|line| line.contains(HOST_IF)).expect("the interface");
        line.split_whitespace().last().expect("its querier").to_owned()
    };
    let bare = Site::new();
    assert_eq!(querier(&bare), "V3");
    python(&bare.pair.peer, DOWNGRADE, &[]);
    assert!(eventually(PATIENCE, || querier(&bare) == "V1"), "it believes it");

    let site = Site::new();
    let daemon = site.start("");
    let stats = counted(&site, || {
        python(&site.pair.peer, DOWNGRADE, &[]);
    });
    assert_counted(&stats, &["gate0 igmp 17/0 drop hop-limit enforce: 1"]);
    assert_eq!(querier(&site), "V3");
    daemon.stop();
}
