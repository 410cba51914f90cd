//! Row G5 with Linux as the router: which of the redirects that it makes leave, and who heeds them.

use crate::{assert_counted, counted};
use icmpgate_tests::{
    Ipv4, Message, Namespace, Site,
    daemon::Stats,
    gate::{hex, unhex},
    netns::{HOST_IF, HOST4, PATIENCE, PEER4, PEER6, eventually, finish},
    tap::Tap,
};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// Behind the gateways.
pub const FAR: &str = "10.99.0.9";
/// Likewise.
pub const FAR6: &str = "fd99::9";
/// Likewise, and nobody has been told of a better way to it.
const FARTHER: &str = "10.99.0.8";
/// The gateway that the router's routes name.
pub const GATEWAY: &str = "10.77.0.3";
/// Likewise.
pub const GATEWAY6: &str = "fe80::3";
/// The one that its gateway forwards to.
pub const BETTER: &str = "10.77.0.4";
/// Likewise.
pub const BETTER6: &str = "fe80::4";

/// The router (the protected namespace), and a bridge with a host on it: the neighbour's namespace. Behind
/// two further ports are gateways.
pub struct Lan {
    pub site: Site,
    pub gateway: Namespace,
    pub better: Namespace,
}

impl Lan {
    pub fn new() -> Self {
        let lan = Self { site: Site::new(), gateway: Namespace::new(), better: Namespace::new() };
        let (router, host) = (&lan.site.pair.host, &lan.site.pair.peer);
        host.ip("addr flush dev peer0");
        host.ip("link add br0 type bridge mcast_snooping 0");
        host.ip("link set peer0 master br0");
        host.ip("link set br0 up");
        host.ip(&format!("addr add {PEER4}/24 dev br0"));
        host.ip(&format!("addr add {PEER6}/64 dev br0 nodad"));
        for (n, namespace) in [(3, &lan.gateway), (4, &lan.better)] {
            // No link-local addresses but those that are given.
            namespace.sysctl("ipv6/conf/default/addr_gen_mode", "1");
            host.join(namespace, &format!("port{n}"), "lan0");
            host.ip(&format!("link set port{n} master br0"));
            namespace.ip(&format!("addr add 10.77.0.{n}/24 dev lan0"));
            namespace.ip(&format!("addr add fd77::{n}/64 dev lan0 nodad"));
            namespace.ip(&format!("addr add fe80::{n}/64 dev lan0 nodad"));
        }
        router.sysctl("ipv4/ip_forward", "1");
        router.ip(&format!("route add 10.99.0.0/24 via {GATEWAY}"));
        router.ip(&format!("-6 route add fd99::/64 via {GATEWAY6} dev {HOST_IF}"));
        let own = lan.link_local();
        host.ip(&format!("route add 10.99.0.0/24 via {HOST4}"));
        host.ip(&format!("-6 route add fd99::/64 via {own} dev br0"));
        lan
    }

    /// Behind the gateway: these addresses are its own.
    pub fn ends_at(end: &Namespace) {
        for address in [FAR, FARTHER] {
            end.ip(&format!("addr add {address}/32 dev lo"));
        }
        end.ip(&format!("addr add {FAR6}/128 dev lo nodad"));
    }

    /// The router's link-local address, which it redirects from, once it is sure of it.
    pub fn link_local(&self) -> String {
        let mut own = None;
        let sure = eventually(PATIENCE, || {
            let text = self.site.pair.host.ip(&format!("-6 addr show dev {HOST_IF} scope link"));
            let line = text.lines().find(|l| l.contains("inet6") && !l.contains("tentative"));
            own =
                line.and_then(|l| Some(l.split_whitespace().nth(1)?.split('/').next()?.to_owned()));
            own.is_some()
        });
        assert!(sure, "no link-local address");
        own.expect("just found")
    }

    /// Pings from the host, which must be answered, and returns what was counted and how many redirects
    /// of the router it heard. To one source Linux makes each later than the one before (`ip_rt_send_redirect`
    /// in net/ipv4/route.c): three of them fit into these pings.
    fn pings(&self, words: &str, count: usize) -> (Stats, usize) {
        let host = &self.site.pair.peer;
        let is_v6 = words.contains("::");
        let router = unhex(&self.site.pair.host.hardware(HOST_IF).replace(':', ""));
        let tap = Tap::new(host, "br0", if is_v6 { 0x86dd } else { 0x800 });
        let stats = counted(&self.site, || {
            host.tool(&format!("ping -n -c {count} -i 0.3 -W 2 {words}"));
        });
        let until = Instant::now() + Duration::from_millis(100);
        let redirects = std::iter::from_fn(|| tap.next(until)).filter(|frame| {
            // None has options or extension headers.
            let (protocol, ty) = if is_v6 { (20, 54) } else { (23, 34) };
            let is = [frame[protocol], frame[ty]] == if is_v6 { [58, 137] } else { [1, 5] };
            is && frame[6..12] == router[..]
        });
        (stats, redirects.count())
    }

    /// The way that a namespace knows to an address.
    pub fn way(namespace: &Namespace, to: &str) -> String {
        namespace.ip(&format!("route get {to}"))
    }
}

/// A better gateway, and a better neighbour: told to the host, which goes the new way.
#[test]
fn a_redirect_by_the_routes_leaves_and_is_heeded() {
    let lan = Lan::new();
    lan.site.pair.host.sysctl("ipv6/conf/all/forwarding", "1");
    Lan::ends_at(&lan.gateway);
    let daemon = lan.site.start_with("profile = \"router\"\n");
    let host = &lan.site.pair.peer;
    // Linux heeds a redirect at once only where it knows the new hop's hardware address.
    for hop in [GATEWAY, BETTER] {
        host.tool(&format!("ping -n -c 1 -W 2 {hop}"));
    }
    host.ip(&format!("route add {BETTER}/32 via {HOST4}"));
    for (to, class, echo, hop) in [
        (FAR, "icmpv4 5/1", "icmpv4 8/0", format!("via {GATEWAY} ")),
        (BETTER, "icmpv4 5/1", "icmpv4 8/0", format!("{BETTER} dev ")),
        (FAR6, "icmpv6 137/0", "icmpv6 128/0", format!("via {GATEWAY6} ")),
    ] {
        let (stats, heard) = lan.pings(to, 1);
        assert_eq!(heard, 1, "{to}: {stats:#?}");
        assert_counted(
            &stats,
            &[
                &format!("gate0:egress {class}: 1"),
                &format!("gate0:egress {class} pass accepted enforce: 1"),
            ],
        );
        let way = Lan::way(host, to);
        assert!(way.contains(&hop), "{to}: not {hop}: {way}");
        assert_counted(&lan.pings(to, 2).0, &[&format!("gate0 {echo}: 0")]);
    }
    daemon.stop();
}

/// Linux takes the networks of one link for one (`shared_media`), and names a gateway of another one to
/// a host. RFC 1812 5.2.7.2 forbids it.
#[test]
fn a_redirect_to_another_network_of_the_link_does_not_leave() {
    let lan = Lan::new();
    Lan::ends_at(&lan.gateway);
    lan.site.pair.host.ip(&format!("addr add 10.79.0.1/24 dev {HOST_IF}"));
    let host = &lan.site.pair.peer;
    host.ip("addr add 10.79.0.2/24 dev br0");
    host.ip("addr add 10.77.0.20/24 dev br0");
    host.ip("addr add 10.77.0.21/24 dev br0");
    lan.gateway.ip("addr add 10.79.0.3/24 dev lan0");
    // Whoever heeds a redirect is sent no second one.
    host.sysctl("ipv4/conf/br0/accept_redirects", "0");
    host.sysctl("ipv4/conf/all/accept_redirects", "0");
    let assert_redirected = |source: &str, outcome: &str, leave: usize| {
        let (stats, heard) = lan.pings(&format!("-I {source} {FAR}"), 3);
        assert_counted(
            &stats,
            &["gate0:egress icmpv4 5/1: 3", &format!("gate0:egress icmpv4 5/1 {outcome}: 3")],
        );
        assert_eq!(heard, leave, "{source}: {outcome}");
    };
    let daemon = lan.site.start_with("profile = \"router\"\n");
    // The routes that `explain` asks are those of the interface that it is told.
    let of = |to: &str| {
        let quoted = Ipv4::between(to, FAR).payload(17, [0; 8]).packet();
        let gateway: Ipv4Addr = GATEWAY.parse().expect("IPv4");
        let message = Message::new(5, 1).word(gateway.into()).octets(quoted);
        hex(&Vec::from(Ipv4::between(HOST4, to).icmp(message)))
    };
    let explain = |words: &str, to| {
        let line = lan.site.json(&format!("explain --hook egress {words} --hex {}", of(to)));
        line["reason"].as_str().expect("a reason").to_owned()
    };
    let iface = format!("--iface {HOST_IF}");
    assert_eq!(explain(&iface, PEER4), "accepted");
    assert_eq!(explain(&iface, "10.79.0.2"), "redirect-unfounded");
    assert_eq!(explain("--origin forwarded", "10.79.0.2"), "accepted");
    assert_eq!(explain("", PEER4), "redirect-unfounded");
    let text = lan.site.done(&format!("explain --hook egress {iface} --hex {}", of("10.79.0.2")));
    let meaning = text.lines().find(|line| line.contains("redirect-unfounded: "));
    assert!(meaning.is_some_and(|line| !line.contains("(observed)")), "it is enforced: {text}");
    let unfounded = "drop redirect-unfounded enforce";
    assert_redirected("10.79.0.2", unfounded, 0);
    assert_redirected(PEER4, "pass accepted enforce", 3);
    lan.site.pair.host.ip("route change 10.99.0.0/24 via 10.79.0.3");
    assert_redirected("10.77.0.20", unfounded, 0);
    let policy = lan
        .site
        .file("observe.toml", "profile = \"router\"\n[checks]\nredirect-unfounded = \"observe\"\n");
    lan.site.done(&format!("apply {policy}"));
    assert_redirected("10.77.0.21", "pass redirect-unfounded observe", 3);
    daemon.stop();
}

/// What a redirect has taught the router itself isn't passed on. Linux would: its gateway forwards to a
/// better one and says so, and the router says so in turn.
#[test]
fn a_route_learnt_from_a_redirect_is_not_passed_on() {
    let lan = Lan::new();
    let (router, host) = (&lan.site.pair.host, &lan.site.pair.peer);
    Lan::ends_at(&lan.better);
    lan.gateway.sysctl("ipv4/ip_forward", "1");
    lan.gateway.sysctl("ipv6/conf/all/forwarding", "1");
    lan.gateway.ip(&format!("route add 10.99.0.0/24 via {BETTER}"));
    lan.gateway.ip(&format!("-6 route add fd99::/64 via {BETTER6} dev lan0"));
    for conf in ["all", HOST_IF] {
        router.sysctl(&format!("ipv4/conf/{conf}/accept_redirects"), "1");
    }
    for conf in ["all", "br0"] {
        host.sysctl(&format!("ipv4/conf/{conf}/accept_redirects"), "0");
        host.sysctl(&format!("ipv6/conf/{conf}/accept_redirects"), "0");
    }
    // The router learns before anything keeps redirects from it. For IPv6 that takes a host.
    router.tool(&format!("ping -n -c 1 -W 2 {BETTER}"));
    for (to, better) in [(FAR, BETTER), (FAR6, BETTER6)] {
        let learnt = || {
            let words = format!("ping -n -c 1 -W 1 {to}");
            let answered = finish(&mut router.words(&words), PATIENCE).status.success();
            answered && Lan::way(router, to).contains(better)
        };
        assert!(eventually(PATIENCE, learnt), "{}", Lan::way(router, to));
    }
    router.sysctl("ipv6/conf/all/forwarding", "1");
    let daemon = lan.site.start_with("profile = \"router\"\n");
    for (to, class, better) in [(FAR, "icmpv4 5/1", BETTER), (FAR6, "icmpv6 137/0", BETTER6)] {
        assert!(Lan::way(router, to).contains(better), "{}", Lan::way(router, to));
        let (stats, heard) = lan.pings(to, 3);
        assert_counted(
            &stats,
            &[
                &format!("gate0:egress {class}: 3"),
                &format!("gate0:egress {class} drop redirect-unfounded enforce: 3"),
            ],
        );
        assert_eq!(heard, 0, "{to}");
    }
    // By the same route, but nobody has told the router.
    let (stats, heard) = lan.pings(FARTHER, 1);
    assert_counted(&stats, &["gate0:egress icmpv4 5/1 pass accepted enforce: 1"]);
    assert_eq!(heard, 1);
    daemon.stop();
}
