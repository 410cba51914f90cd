//! Rows X1, X2 and O4: attaching, being killed, being taken up, ending, and interfaces that go away.

use crate::{assert_counted, counted, host, open_echo};
use icmpgate_tests::{
    Site,
    netns::{HOST_IF, HOST4, PATIENCE, PEER4, eventually, finish},
};
use serde_json::json;
use std::{process::Output, thread};

const DROP_PING: &str = r#"
    [[rule]]
    name = "no-ping"
    family = "icmpv4"
    type = 8
    action = "drop"
    "#;

/// What a command said on standard error.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ping(site: &Site, times: u32) -> Option<i32> {
    let words = format!("ping -n -c {times} -i 0.01 -W 0.3 {HOST4}");
    finish(&mut site.pair.peer.words(&words), PATIENCE).status.code()
}

fn ends_on(signal: i32, name: &str) {
    let site = Site::new();
    let mut daemon = site.start("");
    let status = daemon.signal(signal);
    assert_eq!(status.code(), Some(0), "{}", daemon.said());
    assert!(daemon.has_said(&format!("{name}: ending")), "{}", daemon.said());
    assert!(daemon.has_said("gate0: detached"), "{}", daemon.said());
    site.assert_nothing_left();
}

#[test]
fn sigint_detaches_all() {
    ends_on(libc::SIGINT, "SIGINT");
}

#[test]
fn sigterm_detaches_all() {
    ends_on(libc::SIGTERM, "SIGTERM");
}

#[test]
fn a_terminal_that_hangs_up_detaches_all() {
    ends_on(libc::SIGHUP, "SIGHUP");
}

#[test]
fn a_daemon_that_is_killed_leaves_the_filter_and_the_next_one_takes_it_up() {
    const PINGS: u32 = 150;
    let site = Site::new();
    let daemon = site.start_with(&host(DROP_PING));
    assert_eq!(ping(&site, 3), Some(1));
    let alive = site.stats();
    daemon.kill();
    assert_eq!(site.stats().packets("gate0 icmpv4"), alive.packets("gate0 icmpv4"));
    assert_eq!(site.json("status")["interfaces"][0]["daemon"], false);
    let stats = counted(&site, || assert_eq!(ping(&site, 3), Some(1)));
    assert_counted(&stats, &["gate0 icmpv4 8/0 drop denied: 3"]);

    // While one takes over from the dead, and then from one that is killed in its turn, not one
    // packet passes and each is counted.
    let stats = counted(&site, || {
        let words = format!("ping -n -q -c {PINGS} -i 0.005 -W 0.3 {HOST4}");
        thread::scope(|scope| {
            let pings = scope.spawn(|| finish(&mut site.pair.peer.words(&words), PATIENCE));
            for _ in 0..2 {
                let next = site.start_with(&host(DROP_PING));
                next.hear("gate0: taken up as a former run left it, in the driver (native)");
                next.kill();
            }
            let output = pings.join().expect("ping ends");
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(shown.contains(&format!("{PINGS} packets transmitted, 0 received")), "{shown}");
        });
    });
    assert_counted(&stats, &[&format!("gate0 icmpv4 8/0 drop denied: {PINGS}")]);
    // With its counters, and under another policy from its first packet.
    let total = site.stats().packets("gate0 icmpv4 8/0 drop denied");
    let last = site.start_with(&open_echo());
    assert_eq!(site.stats().packets("gate0 icmpv4 8/0 drop denied"), total);
    assert_eq!(ping(&site, 2), Some(0));
    last.stop();
}

#[test]
fn what_is_to_stay_attached_stays_and_is_freed_by_detach() {
    let site = Site::new();
    let mut daemon = site.start("--keep-attached");
    assert_eq!(ping(&site, 2), Some(0));
    assert_eq!(daemon.signal(libc::SIGTERM).code(), Some(0));
    assert!(daemon.has_said("gate0: stays attached and filters on"), "{}", daemon.said());
    let stats = counted(&site, || assert_eq!(ping(&site, 3), Some(0)));
    assert_counted(&stats, &["gate0 icmpv4 8/0 pass: 3"]);
    let output = site.icmpgate("detach");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    site.assert_nothing_left();
}

#[test]
fn attach_and_detach_leave_nothing_running_and_then_nothing_at_all() {
    let site = Site::new();
    let file = site.file("policy.toml", host(DROP_PING));
    let output = site.icmpgate(&format!("attach --iface {HOST_IF} --policy {file}"));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("gate0: attached in the driver (native)"), "{}", said(&output));
    assert_eq!(site.json("status")["interfaces"][0]["daemon"], false);
    assert_eq!(ping(&site, 2), Some(1));
    assert_counted(&site.stats(), &["gate0 icmpv4 8/0 drop denied enforce: 2"]);
    let output = site.icmpgate(&format!("detach --iface {HOST_IF}"));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(said(&output), "icmpgate: gate0: detached\n");
    site.assert_nothing_left();
    assert_eq!(ping(&site, 2), Some(0));
    let output = site.icmpgate(&format!("detach --iface {HOST_IF}"));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}

/// Whoever detaches in order to attach otherwise does it in one line.
#[test]
fn what_is_said_to_be_detached_is_free_at_once() {
    let site = Site::new();
    for round in 0..5 {
        site.done(&format!("attach --iface {HOST_IF}"));
        site.done(&format!("detach --iface {HOST_IF}"));
        assert_eq!(site.attached(), Vec::<String>::new(), "in round {round}");
    }
}

#[test]
fn detach_by_another_command_ends_the_daemon() {
    let site = Site::new();
    let mut daemon = site.start("");
    site.done("detach");
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(daemon.has_said("every interface was detached by another command: ending"));
    site.assert_nothing_left();
}

#[test]
fn status_says_what_there_is() {
    let site = Site::new();
    let file = site.file("policy.toml", open_echo());
    let daemon = site.start(&format!("--policy {file}"));
    ping(&site, 2);
    let status = site.json("status");
    assert_eq!(status["pin_dir"], json!(site.pins()));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["errors"], json!([]));
    let policy = &status["policy"];
    assert_eq!(
        [&policy["profile"], &policy["file"], &policy["mode"], &policy["generation"]],
        [&json!("host"), &json!(file), &json!("enforce"), &json!(1)]
    );
    assert_eq!(status["interfaces"].as_array().map(Vec::len), Some(1));
    let interface = &status["interfaces"][0];
    assert_eq!(
        [&interface["interface"], &interface["mode"], &interface["egress"], &interface["daemon"]],
        [&json!(HOST_IF), &json!("native"), &json!("tcx"), &json!(true)]
    );
    let all = site.stats().packets("gate0");
    assert!(interface["packets"].as_u64().is_some_and(|n| (2..=all).contains(&n)), "{status}");
    let shown = site.done("status");
    assert!(shown.contains("gate0      native  tcx     learnt  10 Gbit/s  running"), "{shown}");
    daemon.stop();
}

#[test]
fn generic_mode_filters_alike_and_is_shown() {
    let site = Site::new();
    let file = site.file("policy.toml", host(DROP_PING));
    let daemon = site.start(&format!("--mode generic --policy {file}"));
    assert!(daemon.has_said("gate0: attached in the stack (generic)"), "{}", daemon.said());
    assert_eq!(site.json("status")["interfaces"][0]["mode"], "generic");
    let stats = counted(&site, || assert_eq!(ping(&site, 3), Some(1)));
    assert_counted(&stats, &["gate0 icmpv4 8/0 drop denied: 3", "gate0 icmpv4: 3"]);
    daemon.stop();
}

#[test]
fn a_bridge_is_filtered_in_the_stack_and_the_reason_said() {
    let site = Site::new();
    let host_side = &site.pair.host;
    host_side.ip("link add br0 type bridge");
    host_side.ip(&format!("addr del {HOST4}/24 dev {HOST_IF}"));
    host_side.ip(&format!("link set {HOST_IF} master br0"));
    host_side.ip(&format!("addr add {HOST4}/24 dev br0"));
    host_side.ip("link set br0 up");
    let file = site.file("policy.toml", host(DROP_PING));
    let daemon = site.start_on(&format!("--iface br0 --policy {file}"));
    let why = "br0: attached in the stack (generic), since its driver refused (";
    assert!(daemon.has_said(why), "{}", daemon.said());
    // A bridge takes a moment to forward.
    let counted_it = || site.stats().packets("br0 icmpv4 8/0 drop denied") > 0;
    assert!(eventually(PATIENCE, || ping(&site, 1) == Some(1) && counted_it()));
    assert_eq!(site.stats().packets("br0 icmpv4 8/0 pass"), 0);
    daemon.stop();
}

#[test]
fn an_interface_that_comes_back_is_attached_again_with_its_counters() {
    let site = Site::new();
    let daemon = site.start_with(&host(DROP_PING));
    assert_eq!(ping(&site, 2), Some(1));
    site.pair.unplug();
    daemon.hear("gate0 went away; its counters are kept");
    assert_eq!(site.json("status")["interfaces"][0]["mode"], "detached");
    assert_counted(&site.stats(), &["gate0 icmpv4 8/0 drop denied: 2"]);
    site.pair.plug();
    daemon.hear("gate0: attached in the driver (native); its counters go on");
    assert_eq!(ping(&site, 3), Some(1));
    assert_counted(&site.stats(), &["gate0 icmpv4 8/0 drop denied: 5"]);
    daemon.stop();
}

#[test]
fn a_second_start_on_an_interface_that_is_looked_after_is_refused_and_harms_nothing() {
    let site = Site::new();
    let daemon = site.start_with(&host(DROP_PING));
    for command in ["run --metrics off", "attach"] {
        let output = site.icmpgate(&format!("{command} --iface {HOST_IF}"));
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(
            said(&output).contains("another `icmpgate run` looks after gate0"),
            "{command}: {}",
            said(&output)
        );
        assert_eq!(said(&output).lines().count(), 1, "{command}: {}", said(&output));
        assert_eq!(site.generation(), 1, "{command}");
    }
    let stats = counted(&site, || assert_eq!(ping(&site, 2), Some(1)));
    assert_counted(&stats, &["gate0 icmpv4 8/0 drop denied: 2"]);
    daemon.stop();
}

#[test]
fn what_is_not_ours_passes_and_is_counted_apart() {
    // A connection over TCP, made through the hook.
    let site = Site::new();
    let daemon = site.start_with(&host(DROP_PING));
    let stats = counted(&site, || {
        let listener = site.pair.host.run(|| std::net::TcpListener::bind((HOST4, 4477)));
        let listener = listener.expect("a listener");
        let stream = site.pair.peer.run(|| std::net::TcpStream::connect((HOST4, 4477)));
        let from = stream.expect("a connection").local_addr().expect("an address");
        assert_eq!(from.ip().to_string(), PEER4);
        drop(listener);
    });
    assert!(stats.packets("gate0 none none/none pass not-icmp") >= 2, "{stats:#?}");
    assert_counted(&stats, &["gate0 icmpv4: 0"]);
    daemon.stop();
}

/// Gives the protected interface another name. Its addresses of IPv4 outlive its being down.
fn rename(site: &Site, old: &str, new: &str) {
    site.pair.host.ip(&format!("link set {old} down"));
    site.pair.host.ip(&format!("link set {old} name {new}"));
    site.pair.host.ip(&format!("link set {new} up"));
}

/// The interfaces as `status` has them, each with whether a daemon looks after it.
fn interfaces(site: &Site) -> Vec<(String, bool)> {
    let status = site.json("status");
    let all = status["interfaces"].as_array().expect("a list").iter();
    all.map(|i| (i["interface"].as_str().expect("a name").to_owned(), i["daemon"] == true))
        .collect()
}

/// A cable more, with both ends in the protected namespace.
fn plug_more(site: &Site, name: &str) {
    site.pair.host.ip(&format!("link add {name} type veth peer name back-{name}"));
    site.pair.host.ip(&format!("link set {name} up"));
    site.pair.host.ip(&format!("link set back-{name} up"));
}

#[test]
fn an_interface_that_gets_another_name_is_filtered_and_shown_under_that() {
    let site = Site::new();
    let rules = r#"
        [[rule]]
        name = "no-ping-there"
        interface = "gate0"
        family = "icmpv4"
        type = 8
        action = "drop"
        "#;
    let file = site.file("policy.toml", host(rules));
    let daemon = site.start(&format!("--policy {file}"));
    assert_eq!(ping(&site, 2), Some(1));
    rename(&site, HOST_IF, "wan0");
    daemon.hear("gate0 is called wan0 now: it is filtered on under that name");
    daemon.hear("rules that name gate0 or wan0 hold as they did until the next `icmpgate apply`");
    assert_eq!(interfaces(&site), [("wan0".to_owned(), true)]);
    assert_eq!(site.json("status")["interfaces"][0]["mode"], "native");
    assert_counted(&site.stats(), &["wan0 icmpv4 8/0 drop denied: 2", "gate0: 0"]);
    // The rule holds for the interface until rules are read again.
    assert_eq!(ping(&site, 3), Some(1));
    assert_counted(&site.stats(), &["wan0 icmpv4 8/0 drop denied: 5"]);
    site.done(&format!("apply {file}"));
    assert_eq!(ping(&site, 1), Some(0));
    assert!(site.done("stats --prometheus").contains("iface=\"wan0\""));
    // Another one under the old name has nothing to do with it.
    plug_more(&site, HOST_IF);
    assert_eq!(interfaces(&site), [("wan0".to_owned(), true)]);
    assert_eq!(site.attached(), ["wan0"]);
    // Where it goes away and comes back, it is that name that counts.
    site.pair.host.ip("link del wan0");
    daemon.hear("wan0 went away; its counters are kept");
    plug_more(&site, "wan0");
    daemon.hear("wan0: attached in the driver (native); its counters go on");
    assert_counted(&site.stats(), &["wan0 icmpv4 8/0 drop denied: 5"]);
    daemon.stop();
}

#[test]
fn a_name_that_is_taken_here_is_left_and_two_that_move_up_both_move() {
    let site = Site::new();
    plug_more(&site, "gate1");
    let daemon = site.start_on(&format!("--iface {HOST_IF} --iface gate1"));
    // Each in the place of the next, between two looks or not.
    rename(&site, "gate1", "gate2");
    rename(&site, HOST_IF, "gate1");
    daemon.hear("gate0 is called gate1 now");
    let both = [("gate1".to_owned(), true), ("gate2".to_owned(), true)];
    assert_eq!(interfaces(&site), both);
    // What is kept for one that is gone is not given up for another.
    site.pair.host.ip("link del gate2");
    daemon.hear("gate2 went away");
    rename(&site, "gate1", "gate2");
    daemon.hear("gate1 is called gate2 now, and ");
    assert_eq!(interfaces(&site), both);
    assert!(!daemon.has_said("can't be attached"), "{}", daemon.said());
    // Until it is freed by hand.
    site.done("detach --iface gate2");
    let moved = || interfaces(&site) == [("gate2".to_owned(), true)];
    assert!(eventually(PATIENCE, moved), "{}", daemon.said());
    daemon.stop();
}

#[test]
fn a_name_that_changed_while_nobody_looked_is_shown_and_taken_up() {
    let site = Site::new();
    let file = site.file("policy.toml", host(DROP_PING));
    for command in ["run", "attach"] {
        site.start(&format!("--policy {file}")).kill();
        assert_eq!(ping(&site, 2), Some(1));
        rename(&site, HOST_IF, "wan0");
        let interface = site.json("status")["interfaces"][0].clone();
        assert_eq!([&interface["interface"], &interface["called"]], ["gate0", "wan0"]);
        let shown = site.done("status");
        assert!(shown.contains("gate0 is called wan0 now, and is filtered"), "{shown}");
        // In another namespace, that index is of another interface or of none.
        let mut elsewhere = site.command_in(&site.pair.peer, "status --json");
        let elsewhere = finish(&mut elsewhere, PATIENCE).stdout;
        let elsewhere: serde_json::Value = serde_json::from_slice(&elsewhere).expect("JSON");
        assert_eq!(elsewhere["interfaces"][0]["called"], json!(null));

        // With another one under the old name, which is not taken for it.
        plug_more(&site, HOST_IF);
        let words = format!("--iface wan0 --policy {file}");
        let taken = "wan0: taken up as a former run left it, in the driver (native)";
        if command == "run" {
            let daemon = site.start_on(&words);
            daemon.hear("gate0 is called wan0 now");
            daemon.hear(taken);
            daemon.kill();
        } else {
            let output = site.icmpgate(&format!("attach {words}"));
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            assert!(said(&output).contains(taken), "{}", said(&output));
        }
        assert_eq!(interfaces(&site), [("wan0".to_owned(), false)]);
        assert_eq!(site.json("status")["interfaces"][0]["called"], json!(null));
        assert_eq!(ping(&site, 1), Some(1));
        assert_counted(&site.stats(), &["wan0 icmpv4 8/0 drop denied: 3", "gate0: 0"]);
        site.done("detach --iface wan0");
        site.assert_nothing_left();
        site.pair.host.ip(&format!("link del {HOST_IF}"));
        rename(&site, "wan0", HOST_IF);
    }
}

#[test]
fn an_interface_under_the_name_of_one_that_was_renamed_is_attached_beside_it() {
    let site = Site::new();
    let file = site.file("policy.toml", host(DROP_PING));
    site.start(&format!("--policy {file}")).kill();
    rename(&site, HOST_IF, "wan0");
    plug_more(&site, HOST_IF);
    let daemon = site.start(&format!("--policy {file}"));
    daemon.hear("gate0 is called wan0 now");
    daemon.hear("gate0: attached in the driver (native)");
    assert_eq!(interfaces(&site), [(HOST_IF.to_owned(), true), ("wan0".to_owned(), false)]);
    assert_eq!(site.attached().len(), 2, "{:?}", site.attached());
    assert_eq!(ping(&site, 2), Some(1));
    assert_counted(&site.stats(), &["wan0 icmpv4 8/0 drop denied: 2"]);
    site.done("detach --iface wan0");
    daemon.stop();
}

#[test]
fn names_that_moved_up_are_told_apart_by_whoever_comes_next() {
    let site = Site::new();
    plug_more(&site, "gate1");
    let file = site.file("policy.toml", host(DROP_PING));
    site.start_on(&format!("--iface {HOST_IF} --iface gate1 --policy {file}")).kill();
    assert_eq!(ping(&site, 2), Some(1));
    rename(&site, "gate1", "gate2");
    rename(&site, HOST_IF, "gate1");
    // Under the name that another is pinned under.
    let daemon = site.start_on(&format!("--iface gate1 --iface gate2 --policy {file}"));
    daemon.hear("gate1: taken up as a former run left it");
    daemon.hear("gate2: taken up as a former run left it");
    let both = [("gate1".to_owned(), true), ("gate2".to_owned(), true)];
    assert_eq!(interfaces(&site), both);
    assert_eq!(ping(&site, 1), Some(1));
    assert_counted(&site.stats(), &["gate1 icmpv4 8/0 drop denied: 3", "gate2 icmpv4: 0"]);
    daemon.kill();
    // Freed by the name that it has, where nothing is pinned under that.
    rename(&site, "gate2", "lan0");
    let output = site.icmpgate("detach --iface lan0");
    assert_eq!(said(&output), "icmpgate: lan0, formerly gate2: detached\n");
    site.done("detach --iface gate1");
    site.assert_nothing_left();
}
