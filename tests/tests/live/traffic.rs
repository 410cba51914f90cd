//! What hosts do of their own, by the profile `host` and without a single drop: routes that are recorded, a host that
//! configures itself and goes out, and a member of groups.

use crate::{
    counted,
    flow::{FAR4, FAR6, far},
    python::{ASKING, python},
};
use icmpgate_tests::{
    Site,
    daemon::Stats,
    netns::{HOST_IF, HOST4, PATIENCE, PEER_IF, PEER4, eventually},
};
use std::{net::UdpSocket, thread};

/// That nothing was dropped, at either hook, and these counters have counted.
fn assert_all_passed(stats: &Stats, counters: &[&str]) {
    assert_eq!(stats.packets("* * * * drop"), 0, "{stats:#?}");
    for labels in counters {
        assert!(stats.packets(labels) > 0, "{labels} in {stats:#?}");
    }
}

#[test]
fn routes_are_recorded_in_both_directions() {
    let site = Site::new();
    let far = far(&site);
    let daemon = site.start("");
    let stats = counted(&site, || {
        for (from, to, hops) in [
            (&site.pair.host, FAR4, [HOST4, "10.99.0.1", FAR4, PEER4]),
            (&far, HOST4, [FAR4, PEER4, HOST4, "10.99.0.1"]),
        ] {
            let shown = from.tool(&format!("ping -R -n -c 3 -i 0.05 -W 5 {to}"));
            assert!(shown.contains(" 0% packet loss"), "{shown}");
            for hop in hops {
                assert!(shown.contains(&format!("\t{hop}\n")), "{hop} in {shown}");
            }
        }
    });
    assert_all_passed(&stats, &["gate0 icmpv4 0/0 pass", "gate0 icmpv4 8/0 pass"]);
    assert_eq!(stats.packets("gate0 icmpv4 * * pass within-limit"), 6, "{stats:#?}");
    daemon.stop();
}

/// A router, as far as hosts ask for one: whoever solicits is told of it and of its prefix.
const ROUTER: &str = r#"
from scapy.layers.inet6 import IPv6, ICMPv6ND_RA, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo

own = sys.argv[1]
print("ready", flush=True)
asked = answer(15, (), (133,))
assert asked, "nobody solicits"
told = ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptMTU(mtu=1500)
told /= ICMPv6NDOptPrefixInfo(prefix="2001:db8:70::", prefixlen=64)
packet = IPv6(src=own, dst="ff02::1", hlim=255) / told
wire.send(bytes(Ether(src=mine, dst="33:33:00:00:00:01") / packet))
"#;

/// Nothing of IPv6 is written down on the host: it solicits, takes the prefix, sees to it that nobody has the address,
/// finds the router's hardware and goes beyond it.
#[test]
fn a_host_configures_itself_and_goes_beyond_the_router() {
    let site = Site::new();
    let _far = far(&site);
    let (host, peer) = (&site.pair.host, &site.pair.peer);
    peer.ip(&format!("addr add 2001:db8:70::1/64 dev {PEER_IF} nodad"));
    peer.ip(&format!("addr add fe80::70/64 dev {PEER_IF} nodad"));
    host.ip(&format!("link set {HOST_IF} down"));
    host.ip(&format!("-6 addr flush dev {HOST_IF}"));
    host.sysctl(&format!("ipv6/conf/{HOST_IF}/accept_ra"), "2");
    let addresses = || host.ip(&format!("-6 addr show dev {HOST_IF} scope global"));
    let daemon = site.start("");
    let stats = counted(&site, || {
        thread::scope(|scope| {
            let router = scope.spawn(|| python(peer, &format!("{ASKING}{ROUTER}"), &["fe80::70"]));
            // It hears from its socket on, which it has before it is ready; a host solicits three times.
            host.ip(&format!("link set {HOST_IF} up"));
            router.join().expect("the router has answered");
        });
        let has = || addresses().contains("2001:db8:70:") && !addresses().contains("tentative");
        assert!(eventually(PATIENCE, has), "{}", addresses());
        let routes = host.ip("-6 route show default");
        assert!(routes.contains("via fe80::70 "), "{routes}");
        let shown = host.tool(&format!("ping -n -c 5 -i 0.05 -W 5 {FAR6}"));
        assert!(shown.contains(" 0% packet loss"), "{shown}");
    });
    assert_all_passed(
        &stats,
        &[
            "gate0:egress icmpv6 133/0 pass",
            "gate0 icmpv6 134/0 pass within-limit",
            "gate0 icmpv6 136/0 pass within-limit",
            "gate0 icmpv6 129/0 pass within-limit",
        ],
    );
    daemon.stop();
}

/// The neighbour is a switch that asks for members, and sends a group only where there are some.
#[test]
fn a_member_of_groups_has_all_that_is_sent_there() {
    const DATAGRAMS: u32 = 300;
    let (group4, group6, source6) = ("239.7.7.8", "ff0e::7:8", "fd77::8");
    let site = Site::new();
    let (host, peer) = (&site.pair.host, &site.pair.peer);
    peer.ip(&format!("addr flush dev {PEER_IF}"));
    // In hundredths of a second: it asks each second, and has its answers within one.
    peer.ip("link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_igmp_version 3 \
         mcast_mld_version 2 mcast_query_interval 100 mcast_startup_query_interval 100 \
         mcast_query_response_interval 50");
    peer.ip(&format!("link set {PEER_IF} master br0"));
    // It asks from whatever address it has, and no query of MLD may be from another (RFC 9777 5.1.14).
    peer.sysctl("ipv6/conf/br0/addr_gen_mode", "1");
    peer.ip("addr add fe80::8/64 dev br0 nodad");
    let daemon = site.start("");
    // They stay to the end: who leaves is asked for by the switch from a global address, which no host takes.
    let mut receivers = Vec::new();
    let stats = counted(&site, || {
        peer.ip("link set br0 up");
        peer.ip(&format!("addr add {PEER4}/24 dev br0"));
        peer.ip(&format!("addr add {source6}/64 dev br0 nodad"));
        let (here, sender) = (host.index(HOST_IF), peer.index("br0"));
        receivers = host.run(|| {
            let four = UdpSocket::bind((group4, 5000)).expect("a port");
            let own = HOST4.parse().expect("an address");
            four.join_multicast_v4(&group4.parse().expect("a group"), &own).expect("a member");
            let six = UdpSocket::bind((group6, 5000)).expect("a port");
            six.join_multicast_v6(&group6.parse().expect("a group"), here).expect("a member");
            vec![four, six]
        });
        // Whoever asks first has no address yet (RFC 4541 2.1.1), then the switch's.
        for uses_address in [0, 1] {
            peer.ip(&format!("link set br0 type bridge mcast_query_use_ifaddr {uses_address}"));
            let asked = |stats: &Stats| {
                ["gate0 igmp 17/0", "gate0 icmpv6 130/0"].map(|query| stats.packets(query))
            };
            let before = asked(&site.stats());
            let is_asked = || asked(&site.stats()).iter().zip(before).all(|(n, b)| *n > b + 1);
            assert!(eventually(PATIENCE, is_asked), "{:#?}", site.stats());
        }
        let members = || peer.tool("bridge mdb show dev br0");
        let is_member = |group: &str| members().contains(&format!("port {PEER_IF} grp {group} "));
        assert!(eventually(PATIENCE, || is_member(group4) && is_member(group6)), "{}", members());
        for (receiver, (from, to)) in receivers
            .iter()
            .zip([(PEER4, group4.to_owned()), (source6, format!("{group6}%{sender}"))])
        {
            receiver.set_read_timeout(Some(PATIENCE)).expect("a time");
            let socket = peer.run(|| UdpSocket::bind((from, 0)).expect("a port"));
            for n in 0..DATAGRAMS {
                peer.run(|| socket.send_to(&n.to_be_bytes(), (to.as_str(), 5000)).expect("sent"));
                let mut octets = [0; 4];
                receiver.recv(&mut octets).unwrap_or_else(|error| panic!("{to} {n}: {error}"));
                assert_eq!(u32::from_be_bytes(octets), n, "{to}");
            }
        }
    });
    assert_all_passed(
        &stats,
        &[
            "gate0 igmp 17/0 pass within-limit",
            "gate0 icmpv6 130/0 pass within-limit",
            "gate0:egress igmp 34/0 pass",
            "gate0:egress icmpv6 143/0 pass",
        ],
    );
    assert_eq!(stats.packets("gate0 * * * pass router-alert"), 0, "{stats:#?}");
    daemon.stop();
}
