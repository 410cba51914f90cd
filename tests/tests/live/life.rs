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
        [&interface["interface"], &interface["mode"], &interface["daemon"]],
        [&json!(HOST_IF), &json!("native"), &json!(true)]
    );
    let all = site.stats().packets("gate0");
    assert!(interface["packets"].as_u64().is_some_and(|n| (2..=all).contains(&n)), "{status}");
    let shown = site.done("status");
    assert!(shown.contains("gate0      native  running"), "{shown}");
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
fn a_second_run_on_an_interface_that_is_looked_after_is_refused_and_harms_nothing() {
    let site = Site::new();
    let daemon = site.start_with(&host(DROP_PING));
    let output = site.icmpgate(&format!("run --iface {HOST_IF} --metrics off"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("another `icmpgate run` looks after gate0"),
        "{}",
        said(&output)
    );
    assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    assert_eq!(site.generation(), 1);
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
