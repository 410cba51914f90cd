//! Row X1 with the clients that people use: ping, traceroute and fping, and what was counted.

use crate::{assert_counted, counted, host};
use icmpgate_tests::{
    Site,
    netns::{HOST4, HOST6, PATIENCE, PEER4, PEER6, finish},
};

#[test]
fn ping_is_answered_and_each_request_counted_once_in_both_families() {
    let site = Site::new();
    let daemon = site.start("");
    let stats = counted(&site, || {
        site.pair.peer.tool(&format!("ping -n -c 7 -i 0.02 {HOST4}"));
        site.pair.peer.tool(&format!("ping -n -6 -c 5 -i 0.02 {HOST6}"));
        // Large enough for its checksum to take every size of block, and still one packet.
        site.pair.peer.tool(&format!("ping -n -c 3 -i 0.02 -s 1471 {HOST4}"));
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 pass within-limit enforce: 10",
            "gate0 icmpv6 128/0 pass within-limit enforce: 5",
            "gate0 icmpv4: 10",
        ],
    );
    daemon.stop();
}

#[test]
fn ping_from_the_protected_side_gets_its_replies() {
    let site = Site::new();
    let daemon = site.start("");
    let stats = counted(&site, || {
        site.pair.host.tool(&format!("ping -n -c 4 -i 0.02 {PEER4}"));
        site.pair.host.tool(&format!("ping -n -6 -c 4 -i 0.02 {PEER6}"));
    });
    assert_counted(&stats, &["gate0 icmpv4 0/0 pass: 4", "gate0 icmpv6 129/0 pass: 4"]);
    daemon.stop();
}

#[test]
fn a_ping_that_a_rule_drops_gets_no_answer() {
    let site = Site::new();
    let drop = host(
        r#"
        [[rule]]
        name = "no-ping"
        family = "icmpv4"
        type = 8
        action = "drop"
        "#,
    );
    let daemon = site.start_with(&drop);
    let stats = counted(&site, || {
        let words = format!("ping -n -c 3 -i 0.02 -W 0.5 {HOST4}");
        let output = finish(&mut site.pair.peer.words(&words), PATIENCE);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        site.pair.peer.tool(&format!("ping -n -6 -c 2 -i 0.02 {HOST6}"));
    });
    assert_counted(
        &stats,
        &["gate0 icmpv4 8/0 drop denied: 3", "gate0 icmpv4: 3", "gate0 icmpv6 128/0 pass: 2"],
    );
    daemon.stop();
}

#[test]
fn traceroute_works_in_both_directions_by_both_methods() {
    let site = Site::new();
    let daemon = site.start("");
    let stats = counted(&site, || {
        // One hop, three probes: towards the protected side, echo requests.
        let shown = site.pair.peer.tool(&format!("traceroute -n -I -q 3 -N 1 -w 3 {HOST4}"));
        assert!(shown.contains(&format!(" 1  {HOST4}  ")), "{shown}");
        let shown = site.pair.peer.tool(&format!("traceroute -n -6 -I -q 3 -N 1 -w 3 {HOST6}"));
        assert!(shown.contains(&format!(" 1  {HOST6}  ")), "{shown}");
        // From the protected side, datagrams: what comes back are errors.
        let shown = site.pair.host.tool(&format!("traceroute -n -q 3 -N 1 -w 3 {PEER4}"));
        assert!(shown.contains(&format!(" 1  {PEER4}  ")), "{shown}");
        let shown = site.pair.host.tool(&format!("traceroute -n -6 -q 3 -N 1 -w 3 {PEER6}"));
        assert!(shown.contains(&format!(" 1  {PEER6}  ")), "{shown}");
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 pass: 3",
            "gate0 icmpv6 128/0 pass: 3",
            "gate0 icmpv4 3/3 pass: 3",
            "gate0 icmpv6 1/4 pass: 3",
            "gate0 icmpv4: 6",
        ],
    );
    daemon.stop();
}

#[test]
fn fping_of_many_is_counted_as_many() {
    let site = Site::new();
    let daemon = site.start("");
    let stats = counted(&site, || {
        let shown = site.pair.peer.tool(&format!("fping -q -t 1000 -C 50 -p 10 -i 1 {HOST4}"));
        assert!(!shown.contains(" - "), "every one is answered: {shown}");
        site.pair.peer.tool(&format!("fping -6 -q -t 1000 -C 20 -p 10 -i 1 {HOST6}"));
    });
    assert_counted(
        &stats,
        &["gate0 icmpv4 8/0 pass within-limit: 50", "gate0 icmpv6 128/0 pass within-limit: 20"],
    );
    daemon.stop();
}
