//! End to end: the shipped program on a network of its own, with the clients that people use, and
//! what it counted of them.

mod answer;
mod clients;
mod egress;
mod flow;
mod frames;
mod groups;
mod kernel;
mod life;
mod limit;
mod link;
mod member;
mod multicast;
mod oracle;
mod penalty;
mod place;
mod policy;
mod python;
mod quotes;
mod redirect;
mod redirected;
mod share;
mod terminal;
mod traffic;

use icmpgate_tests::{Site, daemon::Stats};

/// A policy on the profile `host`.
fn host(rest: &str) -> String {
    format!("profile = \"host\"\n{rest}")
}

/// A policy that passes every echo request of both families, without a limit.
fn open_echo() -> String {
    host(
        r#"
        [[rule]]
        name = "ping"
        family = "icmpv4"
        type = "echo-request"
        action = "pass"
        [[rule]]
        name = "ping6"
        family = "icmpv6"
        type = "echo-request"
        action = "pass"
        "#,
    )
}

/// Does something, and returns what was counted meanwhile.
fn counted(site: &Site, what: impl FnOnce()) -> Stats {
    let before = site.stats();
    what();
    site.stats().since(&before)
}

/// Looks at counters: each line is labels and packets, as `gate0 icmpv4 8/0 pass within-limit: 3`.
fn assert_counted(stats: &Stats, lines: &[&str]) {
    for line in lines {
        let (labels, packets) = line.split_once(": ").expect("labels and packets");
        let packets: u64 = packets.parse().expect("a number");
        assert_eq!(stats.packets(labels), packets, "{labels} in {stats:#?}");
    }
}
