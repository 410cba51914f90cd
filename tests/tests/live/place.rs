//! What an interface sees, where interfaces lie on each other.

use crate::{assert_counted, counted};
use icmpgate_tests::{
    Namespace, Site,
    netns::{HOST_IF, HOST4, PATIENCE, PEER_IF, eventually, finish},
};

/// Attaches to one interface alone, and looks at what was counted of three pings from the peer.
fn assert_seen(site: &Site, interface: &str, to: &str, lines: &[&str], icmpv4: u64) {
    let file = site.file("policy.toml", "profile = \"observe\"\n");
    site.done(&format!("attach --iface {interface} --policy {file}"));
    let pinged = || drop(site.pair.peer.tool(&format!("ping -n -c 3 -i 0.05 -W 5 {to}")));
    let stats = counted(site, pinged);
    assert_counted(&stats, lines);
    let all = ["", ":egress"].map(|hook| stats.packets(&format!("{interface}{hook} icmpv4")));
    assert_eq!(all.iter().sum::<u64>(), icmpv4, "{interface}: {stats:#?}");
    site.done("detach");
}

/// Moves the address of the protected side to another interface, which is up.
fn move_address(site: &Site, to: &str) {
    let host = &site.pair.host;
    host.ip(&format!("addr flush dev {HOST_IF}"));
    host.ip(&format!("link set {to} up"));
    host.ip(&format!("addr add {HOST4}/24 dev {to}"));
    // The address was another interface's, which still takes what is sent to its hardware address, and would
    // answer who asks for it.
    host.sysctl("ipv4/conf/all/arp_ignore", "1");
    site.pair.peer.ip(&format!("neigh flush dev {PEER_IF}"));
    let ping = format!("ping -n -c 1 -W 1 {HOST4}");
    let answered = || finish(&mut site.pair.peer.words(&ping), PATIENCE).status.success();
    assert!(eventually(PATIENCE, answered), "it is answered by {to}");
}

#[test]
fn ports_see_what_is_bridged_and_the_bridge_what_is_for_this_machine() {
    const THIRD4: &str = "10.77.0.3";
    let site = Site::new();
    let host = &site.pair.host;
    let third = Namespace::new();
    host.join(&third, "gate1", "peer1");
    third.ip(&format!("addr add {THIRD4}/24 dev peer1"));
    host.ip("link add br0 type bridge");
    host.ip(&format!("link set {HOST_IF} master br0"));
    host.ip("link set gate1 master br0");
    move_address(&site, "br0");

    let arrives = |name: &str| format!("{name} icmpv4 8/0: 3");
    let answers = |name: &str| format!("{name}:egress icmpv4 0/0: 3");
    for name in [HOST_IF, "br0"] {
        assert_seen(&site, name, HOST4, &[&arrives(name), &answers(name)], 6);
    }
    assert_seen(&site, HOST_IF, THIRD4, &[&arrives(HOST_IF), &answers(HOST_IF)], 6);
    let there = ["gate1:egress icmpv4 8/0: 3", "gate1 icmpv4 0/0: 3"];
    assert_seen(&site, "gate1", THIRD4, &there, 6);
    assert_seen(&site, "br0", THIRD4, &[], 0);
}

#[test]
fn what_a_macvlan_receives_the_interface_below_sees_as_well() {
    let site = Site::new();
    site.pair.host.ip(&format!("link add link {HOST_IF} name mac0 type macvlan mode bridge"));
    move_address(&site, "mac0");
    for name in [HOST_IF, "mac0"] {
        let lines = [" icmpv4 8/0", ":egress icmpv4 0/0"].map(|l| format!("{name}{l}: 3"));
        assert_seen(&site, name, HOST4, &[&lines[0], &lines[1]], 6);
    }
}

#[test]
fn what_is_in_a_vxlan_is_seen_there_and_not_below() {
    let site = Site::new();
    let ends = [(&site.pair.host, HOST_IF, "10.78.0"), (&site.pair.peer, PEER_IF, "10.78.0")];
    for ((namespace, below, net), (own, other)) in ends.into_iter().zip([(1, 2), (2, 1)]) {
        let remote = format!("10.77.0.{other}");
        namespace
            .ip(&format!("link add vx0 type vxlan id 7 remote {remote} dstport 4789 dev {below}"));
        namespace.ip("link set vx0 up");
        namespace.ip(&format!("addr add {net}.{own}/24 dev vx0"));
    }
    let inside = ["vx0 icmpv4 8/0: 3", "vx0:egress icmpv4 0/0: 3"];
    assert_seen(&site, "vx0", "10.78.0.1", &inside, 6);
    assert_seen(&site, HOST_IF, "10.78.0.1", &[], 0);
}

#[test]
fn a_tunnel_of_packets_has_no_ethernet_header() {
    let site = Site::new();
    site.pair.host.ip("tuntap add tun0 mode tun");
    let output = site.icmpgate("attach --iface tun0");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("tun0 has no Ethernet header (its link type is 65534)"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    site.assert_nothing_left();
}
