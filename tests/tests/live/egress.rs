//! What Linux itself sends, and what of it leaves.

use crate::{assert_counted, counted, host};
use icmpgate_tests::{
    Site,
    netns::{HOST4, HOST6, Namespace, PATIENCE, PEER6, eventually},
};
use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// Sends datagrams to closed ports of an address, and counts the errors that come back.
pub fn probes(from: &Namespace, to: &str, count: u16) -> usize {
    let to: IpAddr = to.parse().expect("an address");
    from.run(|| {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let mut refused = 0;
        for n in 0..count {
            let socket = UdpSocket::bind(any).expect("bound");
            socket.connect(SocketAddr::new(to, 40_000 + n)).expect("connected");
            socket.send(&[0; 8]).expect("sent");
            socket.set_read_timeout(Some(Duration::from_millis(1))).expect("set");
            // Linux hands an error on to the socket whose datagram it quotes.
            match socket.recv(&mut [0; 8]) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => refused += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => panic!("{other:?}"),
            }
        }
        refused
    })
}

/// Rows G1 and G2: one destination gets a burst of 20 errors and 10 a second, of both families.
#[test]
fn linux_answers_all_and_the_limit_of_the_destination_leaves() {
    let site = Site::new();
    let daemon = site.start("");
    daemon.hear("what is sent goes through a program of its own (TCX)");
    for (to, class) in [(HOST4, "icmpv4 3/3"), (HOST6, "icmpv6 1/4")] {
        let mut came = 0;
        let started = Instant::now();
        let stats = counted(&site, || came = probes(&site.pair.peer, to, 200));
        let most = 21 + started.elapsed().as_millis() as usize / 100;
        assert!((20..=most).contains(&came), "{class}: {came} of 200 came, at most {most}");
        assert_counted(
            &stats,
            &[
                &format!("gate0:egress {class}: 200"),
                &format!("gate0:egress {class} pass within-limit enforce: {came}"),
                &format!("gate0:egress {class} drop over-limit enforce: {}", 200 - came),
            ],
        );
    }
    // What isn't an error leaves as before.
    let stats = counted(&site, || {
        site.pair.peer.tool(&format!("ping -n -c 30 -i 0.01 {HOST4}"));
    });
    assert_counted(&stats, &["gate0:egress icmpv4 0/0 pass accepted: 30"]);
    daemon.stop();
    site.assert_nothing_left();
    // Nothing is left on the way out either.
    assert_eq!(probes(&site.pair.peer, HOST4, 100), 100);
}

/// Without the limit they are all sent, so it is the limit that the test above measures.
#[test]
fn a_policy_that_observes_lets_every_error_leave() {
    let site = Site::new();
    let daemon = site.start_with("profile = \"observe\"\n");
    let mut came = 0;
    let stats = counted(&site, || came = probes(&site.pair.peer, HOST4, 100));
    assert_eq!(came, 100);
    let would = stats.packets("gate0:egress icmpv4 3/3 pass over-limit observe");
    assert!((70..=80).contains(&would), "{would}");
    daemon.stop();
}

/// An error that another machine made and this one forwards is told from its own.
#[test]
fn forwarded_errors_have_a_rule_of_their_own() {
    let site = Site::new();
    // A third machine behind the protected one, which forwards.
    let third = Namespace::new();
    site.pair.host.sysctl("ipv4/ip_forward", "1");
    site.pair.host.join(&third, "inner0", "third0");
    site.pair.host.ip("address add 10.78.0.1/24 dev inner0");
    third.ip("address add 10.78.0.2/24 dev third0");
    third.ip("route add default via 10.78.0.1");
    third.send_all_errors();
    site.pair.peer.ip(&format!("route add 10.78.0.0/24 via {HOST4}"));
    let rule = |name: &str, origin: &str, burst: u32| {
        format!(
            "[[rule]]\nname = \"{name}\"\nhook = \"egress\"\norigin = \"{origin}\"\n\
             family = \"icmpv4\"\ntype = 3\naction = \"limit\"\n\
             limit = {{ rate = 1, burst = {burst}, every = \"hour\", key = \"destination\" }}\n"
        )
    };
    let policy = host(&(rule("ours", "generated", 5) + &rule("theirs", "forwarded", 9)));
    // On a router, what comes in for others has its own rules.
    let daemon = site.start_with(&policy.replace("\"host\"", "\"router\""));
    assert_eq!(probes(&site.pair.peer, "10.78.0.2", 60), 9);
    assert_eq!(probes(&site.pair.peer, HOST4, 60), 5);
    let shown = site.json("stats");
    let limits = shown["limits"].as_array().expect("a list");
    let of = |rule: &str| {
        let limit = limits.iter().find(|l| l["rule"] == rule).expect("the limit of the rule");
        assert_eq!(limit["hook"], "egress");
        (limit["passed"].as_u64(), limit["refused"].as_u64())
    };
    assert_eq!(of("theirs"), (Some(9), Some(51)));
    assert_eq!(of("ours"), (Some(5), Some(55)));
    daemon.stop();
}

/// The link of what is sent is pinned like the other: a daemon that is killed leaves it, and the next
/// one goes on.
#[test]
fn a_killed_daemon_leaves_it_in_force_and_the_next_takes_it_up() {
    let site = Site::new();
    let policy = host(
        "[[rule]]\nname = \"few\"\nhook = \"egress\"\nfamily = \"icmpv4\"\ntype = 3\n\
         action = \"limit\"\n\
         limit = { rate = 1, burst = 6, every = \"hour\", key = \"destination\" }\n",
    );
    let file = site.file("policy.toml", &policy);
    let daemon = site.start(&format!("--policy {file}"));
    assert_eq!(probes(&site.pair.peer, HOST4, 4), 4);
    daemon.kill();
    assert_eq!(probes(&site.pair.peer, HOST4, 10), 2, "in force, with what was spent");
    let daemon = site.start(&format!("--policy {file}"));
    assert_eq!(probes(&site.pair.peer, HOST4, 10), 0, "and after it was taken up");
    assert_eq!(site.stats().packets("gate0:egress icmpv4 3/3"), 24);
    assert_eq!(site.json("status")["interfaces"][0]["egress"], "tcx");
    daemon.stop();
    site.assert_nothing_left();
}

/// What others have at the same place stays: a queueing discipline with a filter of its own.
#[test]
fn what_others_have_at_the_hook_stays() {
    let site = Site::new();
    let host = &site.pair.host;
    host.tool("tc qdisc add dev gate0 clsact");
    let filter = "egress protocol ip prio 10 u32 match ip protocol 1 0xff flowid 1:1";
    host.tool(&format!("tc filter add dev gate0 {filter}"));
    let daemon = site.start("");
    let stats = counted(&site, || {
        site.pair.peer.tool(&format!("ping -n -c 3 -i 0.02 {HOST4}"));
    });
    assert_counted(&stats, &["gate0:egress icmpv4 0/0 pass accepted: 3"]);
    daemon.stop();
    assert!(host.tool("tc filter show dev gate0 egress").contains("u32"), "it is still there");
}

/// Neighbour discovery, and replies to large pings, which are sent in fragments.
#[test]
fn fragments_and_neighbour_discovery_leave() {
    let site = Site::new();
    let daemon = site.start("");
    let stats = counted(&site, || {
        site.pair.peer.tool(&format!("ping -n -6 -c 2 -i 0.05 {HOST6}"));
        site.pair.peer.tool(&format!("ping -n -c 2 -i 0.05 -s 4000 {HOST4}"));
    });
    // 4,008 octets in three fragments each.
    assert_counted(
        &stats,
        &[
            "gate0:egress icmpv6 129/0 pass accepted: 2",
            "gate0:egress icmpv4 0/0 pass accepted: 2",
            "gate0:egress icmpv4 none/none pass accepted: 4",
        ],
    );
    assert!(eventually(PATIENCE, || {
        site.pair.host.tool(&format!("ping -n -6 -c 1 -W 1 {PEER6}"));
        site.stats().packets("gate0:egress icmpv6 135/0 pass accepted") > 0
    }));
    daemon.stop();
}
