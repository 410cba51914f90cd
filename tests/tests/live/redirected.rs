//! Row V5 with Linux: forged redirects, which a bare Linux takes or refuses, against one that is protected; and the true
//! one of a true router, which changes the way.

use crate::{
    assert_counted, counted,
    python::python,
    redirect::{BETTER, BETTER6, FAR, FAR6, GATEWAY, GATEWAY6, Lan},
};
use icmpgate_tests::{
    daemon::Stats,
    netns::{HOST_IF, HOST4, PATIENCE, eventually},
};
use std::net::UdpSocket;

/// A redirect, as somebody in the bridge's namespace makes it.
struct Forged {
    /// What it is.
    what: &'static str,
    /// Who it says that it is from.
    from: &'static str,
    /// From whose hardware: the gateway's own, or the forger's.
    from_gateway: bool,
    /// The better gateway.
    better: &'static str,
    /// For which destination.
    about: &'static str,
    /// Whether its quote is of a flow that there is.
    live: bool,
    /// What it comes to where it is held against the routes.
    verdict: &'static str,
    /// Whether a bare Linux goes the new way.
    bare: bool,
}

/// The case of a true redirect, but for what makes each of these false.
const FOUR: Forged = Forged {
    what: "",
    from: GATEWAY,
    from_gateway: true,
    better: BETTER,
    about: FAR,
    live: true,
    verdict: "drop redirect-sender",
    bare: false,
};
const SIX: Forged = Forged { from: GATEWAY6, better: BETTER6, about: FAR6, ..FOUR };

/// On the link, and no gateway.
const NEIGHBOUR: &str = "10.77.0.2";
const NEIGHBOUR6: &str = "fd77::2";
/// Of this machine.
const OWN: &str = "10.77.0.1";
/// On no network of the link.
const ELSEWHERE: &str = "203.0.113.5";

const FORGED: &[Forged] = &[
    Forged { what: "from another", from: "10.77.0.66", from_gateway: false, ..FOUR },
    Forged { what: "as if from the gateway", from_gateway: false, bare: true, ..FOUR },
    Forged {
        what: "to a gateway elsewhere",
        better: ELSEWHERE,
        verdict: "drop redirect-gateway",
        bare: true,
        ..FOUR
    },
    Forged { what: "to itself", better: OWN, verdict: "drop redirect-gateway", ..FOUR },
    Forged { what: "about a neighbour", about: NEIGHBOUR, verdict: "drop redirect-route", ..FOUR },
    // What it quotes nobody here sent, and Linux finds nobody to tell.
    Forged { what: "of no flow", live: false, verdict: "pass within-limit", ..FOUR },
    // With the gateway's hardware address as well, it is what the gateway itself would send.
    Forged { what: "as the gateway sends it", verdict: "pass within-limit", bare: true, ..FOUR },
    Forged { what: "from another", from: "fe80::66", from_gateway: false, ..SIX },
    Forged { what: "as if from the gateway", from_gateway: false, bare: true, ..SIX },
    Forged {
        what: "to a gateway elsewhere",
        better: "fd99::5",
        verdict: "drop discovery-address",
        ..SIX
    },
    Forged { what: "about a neighbour", about: NEIGHBOUR6, verdict: "drop redirect-route", ..SIX },
    Forged { what: "as the gateway sends it", verdict: "pass within-limit", bare: true, ..SIX },
];

const FORGE: &str = r#"
import sys
from scapy.layers.l2 import Ether
from scapy.layers.inet import IP, ICMP, UDP
from scapy.layers.inet6 import (IPv6, ICMPv6EchoRequest, ICMPv6ND_Redirect, ICMPv6NDOptRedirectedHdr)
from scapy.sendrecv import sendp

source, hardware, better, about, near, mac, port = sys.argv[1:]
if ":" in source:
    # Whatever it quotes of ICMP, Linux takes it (`icmpv6_err` in net/ipv6/icmp.c).
    quoted = IPv6(src=near, dst=about) / ICMPv6EchoRequest(id=int(port), data=b"x")
    packet = (IPv6(src=source, dst=near, hlim=255) / ICMPv6ND_Redirect(tgt=better, dst=about)
        / ICMPv6NDOptRedirectedHdr(pkt=quoted))
else:
    quoted = IP(src=near, dst=about) / UDP(sport=int(port), dport=53) / b"x"
    packet = IP(src=source, dst=near) / ICMP(type=5, code=1, gw=better) / quoted
sendp(Ether(src=hardware, dst=mac) / packet, iface="br0", verbose=False)
"#;

/// A host between two gateways, with a flow to beyond them.
struct Host {
    lan: Lan,
    four: UdpSocket,
    six: UdpSocket,
}

impl Host {
    fn new() -> Self {
        let lan = Lan::new();
        let host = &lan.site.pair.host;
        host.sysctl("ipv4/ip_forward", "0");
        lan.better.sysctl("ipv4/ip_forward", "1");
        for namespace in [&lan.gateway, &lan.better] {
            namespace.ip(&format!("route add default via {HOST4}"));
        }
        let open = |from: &str, to: &str| {
            host.run(|| {
                let socket = UdpSocket::bind((from, 0)).expect("a port");
                socket.connect((to, 53)).expect("a way");
                socket
            })
        };
        // Whoever is asked for answers: with a way to everywhere, any address can be a neighbour to Linux.
        host.ip(&format!("route add default via {GATEWAY}"));
        lan.site.pair.peer.ip(&format!("addr add {ELSEWHERE}/32 dev br0"));
        let (four, six) = (open(HOST4, FAR), open("fd77::1", FAR6));
        // Both hops are known, as they are who uses them.
        for hop in [GATEWAY, BETTER] {
            host.tool(&format!("ping -n -c 1 -W 2 {hop}"));
        }
        for hop in [GATEWAY6, BETTER6] {
            host.tool(&format!("ping -n -c 1 -W 2 {hop}%{HOST_IF}"));
        }
        Self { lan, four, six }
    }

    fn forge(&self, forged: &Forged) {
        let host = &self.lan.site.pair.host;
        let is_v6 = forged.from.contains(':');
        let hardware = match forged.from_gateway {
            true => self.lan.gateway.hardware("lan0"),
            false => "02:00:00:00:00:66".to_owned(),
        };
        let (socket, near) = if is_v6 { (&self.six, "fd77::1") } else { (&self.four, HOST4) };
        let port = socket.local_addr().expect("bound").port() ^ u16::from(!forged.live);
        let mac = host.hardware(HOST_IF);
        let port = port.to_string();
        let words = [forged.from, &hardware, forged.better, forged.about, near, &mac, &port];
        python(&self.lan.site.pair.peer, FORGE, &words);
    }

    /// Whether the machine goes the way that a redirect names; it then forgets it.
    fn goes(&self, forged: &Forged) -> bool {
        let host = &self.lan.site.pair.host;
        let way = Lan::way(host, forged.about);
        host.ip("route flush cache");
        host.ip("-6 route flush cache");
        way.contains(&format!("via {} ", forged.better))
    }
}

#[test]
fn forged_redirects_are_dropped_where_a_bare_linux_takes_some() {
    let host = Host::new();
    for forged in FORGED {
        // Once to have Linux look for the new hop's hardware, and once to be heeded.
        host.forge(forged);
        host.forge(forged);
        let version = if forged.from.contains(':') { 6 } else { 4 };
        assert_eq!(host.goes(forged), forged.bare, "bare, IPv{version}, {}", forged.what);
    }
    let daemon = host.lan.site.start("");
    for forged in FORGED {
        let is_v6 = forged.from.contains(':');
        let message = if is_v6 { "icmpv6 137/0" } else { "icmpv4 5/1" };
        let stats = counted(&host.lan.site, || host.forge(forged));
        assert_counted(&stats, &[&format!("gate0 {message} {} enforce: 1", forged.verdict)]);
        let goes = forged.bare && forged.verdict.starts_with("pass");
        assert_eq!(host.goes(forged), goes, "protected, {message}, {}", forged.what);
    }
    daemon.kill();
    // Nobody keeps the routes any more: three seconds later none is believed.
    let stale = |host: &Host| -> Stats { counted(&host.lan.site, || host.forge(&FORGED[6])) };
    let dropped = "gate0 icmpv4 5/1 drop redirect-unverified enforce";
    assert!(eventually(PATIENCE, || stale(&host).packets(dropped) == 1));
    host.lan.site.done("detach");
}

/// The gateway's own, which has a better way: the host goes it. With the routes of a mirror, and where the host
/// forwards as well with the kernel's.
#[test]
fn the_true_redirect_of_the_true_router_changes_the_way() {
    for forwards in [false, true] {
        let host = Host::new();
        let (machine, gateway) = (&host.lan.site.pair.host, &host.lan.gateway);
        gateway.sysctl("ipv4/ip_forward", "1");
        gateway.sysctl("ipv6/conf/all/forwarding", "1");
        gateway.ip(&format!("route add 10.99.0.0/24 via {BETTER}"));
        gateway.ip(&format!("-6 route add fd99::/64 via {BETTER6} dev lan0"));
        Lan::ends_at(&host.lan.better);
        if forwards {
            machine.sysctl("ipv4/conf/gate0/forwarding", "1");
            machine.sysctl("ipv6/conf/gate0/forwarding", "1");
            // Linux takes none where it forwards, unless it is told to.
            machine.sysctl("ipv4/conf/all/accept_redirects", "1");
        }
        let daemon = host.lan.site.start("");
        for (to, better, message) in [(FAR, BETTER, "icmpv4 5/1"), (FAR6, BETTER6, "icmpv6 137/0")]
        {
            let stats = counted(&host.lan.site, || {
                machine.tool(&format!("ping -n -c 3 -i 0.3 -W 2 {to}"));
            });
            let passed = stats.packets(&format!("gate0 {message} pass within-limit enforce"));
            let all = stats.packets(&format!("gate0 {message}"));
            assert!(passed >= 1 && passed == all, "{forwards} {to}: {stats:#?}");
            let way = Lan::way(machine, to);
            // Of IPv6 no machine that forwards takes one (`ndisc_redirect_rcv` in net/ipv6/ndisc.c).
            let heeded = !(forwards && to == FAR6);
            assert_eq!(way.contains(&format!("via {better} ")), heeded, "{forwards} {to}: {way}");
        }
        daemon.stop();
    }
}

/// Where the routes refuse a destination, or know none, nobody's redirect is borne out: by the kernel's tables where the
/// host forwards, which answer each of these with another failure, and by the mirror.
#[test]
fn what_is_routed_nowhere_is_redirected_nowhere() {
    for forwards in [false, true] {
        let host = Host::new();
        let machine = &host.lan.site.pair.host;
        for (n, kind) in (1..).zip(["blackhole", "unreachable", "prohibit"]) {
            machine.ip(&format!("route add {kind} 10.98.{n}.0/24"));
            machine.ip(&format!("-6 route add {kind} fd98:{n}::/64"));
        }
        machine.ip("route del default");
        if forwards {
            machine.sysctl("ipv4/conf/gate0/forwarding", "1");
            machine.sysctl("ipv6/conf/gate0/forwarding", "1");
        }
        let daemon = host.lan.site.start("");
        let verdict = "drop redirect-route";
        for forged in [
            Forged { about: "10.98.1.9", verdict, ..FOUR },
            Forged { about: "10.98.2.9", verdict, ..FOUR },
            Forged { about: "10.98.3.9", verdict, ..FOUR },
            Forged { about: "203.0.113.9", verdict, ..FOUR },
            Forged { about: "fd98:1::9", verdict, ..SIX },
            Forged { about: "fd98:2::9", verdict, ..SIX },
            Forged { about: "fd98:3::9", verdict, ..SIX },
            Forged { about: "2001:db8::9", verdict, ..SIX },
        ] {
            let is_v6 = forged.from.contains(':');
            let message = if is_v6 { "icmpv6 137/0" } else { "icmpv4 5/1" };
            let stats = counted(&host.lan.site, || host.forge(&forged));
            let line = format!("gate0 {message} {} enforce: 1", forged.verdict);
            assert_counted(&stats, &[&line]);
        }
        daemon.stop();
    }
}
