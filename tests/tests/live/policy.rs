//! Rows P1, P2 and P5 on a wire: zones, interfaces, addresses, observing, and one policy after
//! another while packets come.

use crate::{assert_counted, counted, host, open_echo};
use icmpgate_tests::{
    Ipv4, Message, Site,
    message::echo,
    netns::{HOST_IF, HOST4, HOST6, PATIENCE, PEER_IF, PEER4, eventually, finish},
};
use std::thread;

/// Which passes echo requests within a limit that is never met: told from [`open_echo`] by its
/// reason.
fn roomy_echo() -> String {
    host(
        r#"
        [[rule]]
        name = "ping"
        family = "icmpv4"
        type = "echo-request"
        action = "limit"
        limit = { rate = 1000000, burst = 1000000 }
        "#,
    )
}

#[test]
fn each_ping_of_a_flood_is_counted_once_while_policies_follow_each_other() {
    const PINGS: u64 = 200_000;
    let site = Site::new();
    let daemon = site.start_with(&open_echo());
    let files = [site.file("roomy.toml", roomy_echo()), site.file("open.toml", open_echo())];
    let mut applied = 0;
    let stats = counted(&site, || {
        let ping = format!("ping -n -f -q -c {PINGS} {HOST4}");
        thread::scope(|scope| {
            let flood = scope.spawn(|| site.pair.peer.tool(&ping));
            // As often as possible, and at least twice.
            while applied < 2 || !flood.is_finished() {
                let shown = site.done(&format!("apply {}", files[applied % 2]));
                assert!(shown.contains(&format!("generation {} ", applied + 2)), "{shown}");
                applied += 1;
            }
            let shown = flood.join().expect("ping ends well");
            assert!(shown.contains(&format!(" {PINGS} received, 0% packet loss")), "{shown}");
        });
    });
    println!("{applied} policies during {PINGS} pings");
    assert_eq!(site.generation(), 1 + applied as u64);
    let by_either = ["accepted", "within-limit"]
        .map(|reason| stats.packets(&format!("gate0 icmpv4 8/0 pass {reason}")));
    assert_eq!(by_either.iter().sum::<u64>(), PINGS, "{stats:#?}");
    assert!(by_either.iter().all(|n| *n > 0), "both policies decided: {by_either:?}");
    assert_eq!(stats.packets("gate0 icmpv4"), PINGS, "{stats:#?}");
    daemon.stop();
}

#[test]
fn what_differs_is_told_of_a_file_that_is_edited_in_place() {
    let site = Site::new();
    // Longer than a page, so that all of them count.
    let long = |last: &str| {
        let rule = |n| {
            format!(
                "[[rule]]\nname = \"r{n}\"\nfamily = \"icmpv4\"\ntype = {n}\naction = \"pass\"\n"
            )
        };
        let rules: String = (200..256).map(rule).collect();
        host(&format!("{}{rules}[zones]\nlast = [\"{last}\"]\n", "# a comment\n".repeat(1000)))
    };
    let file = site.file("policy.toml", long("192.0.2.0/24"));
    site.done(&format!("attach --iface {HOST_IF} --policy {file}"));
    assert!(!site.json("profiles")["present"]["edited"].as_bool().expect("it is said"));
    site.file("policy.toml", long("192.0.2.0/25").replace("\"r255\"", "\"last\""));
    let present = site.json("profiles")["present"].clone();
    assert!(present["edited"].as_bool().expect("it is said"));
    let rules = present["differences"].to_string();
    assert!(rules.contains("\"r255\"") && !rules.contains("\"last\""), "{rules}");

    let shown = site.done(&format!("apply {file}"));
    let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with(['+', '-'])).collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(lines[0].starts_with("- ") && lines[0].contains(" r255 "), "{shown}");
    assert!(lines[1].starts_with("+ ") && lines[1].contains(" last "), "{shown}");
    assert!(shown.ends_with("  zone last: 1 prefixes added, 1 removed\n"), "{shown}");
    assert!(
        site.done(&format!("apply {file}")).ends_with(" says the same as the former policy.\n")
    );
    // One text is kept, that of the policy in force; of a bare profile none.
    let kept = || {
        let all = std::fs::read_dir(site.pins()).expect("pins");
        let names = all.map(|entry| entry.expect("a pin").file_name().into_string().expect("text"));
        names.filter(|name| name.starts_with("text-")).collect::<Vec<_>>()
    };
    assert_eq!(kept(), ["text-3"]);
    site.done(&format!("attach --iface {HOST_IF}"));
    assert_eq!(kept(), [""; 0]);
    site.done("detach");
    site.assert_nothing_left();
}

#[test]
fn a_bad_file_changes_nothing() {
    let site = Site::new();
    let daemon = site.start_with(&open_echo());
    let bad =
        site.file("bad.toml", host("[[rule]]\nname = \"x\"\nfamily = \"icmpv4\"\ntype = 300\n"));
    let before = site.json("status")["policy"].clone();
    let output = site.icmpgate(&format!("apply {bad}"));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("bad.toml:5:8: `300` is out of the range of a type"), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(site.json("status")["policy"], before);
    let stats =
        counted(&site, || drop(site.pair.peer.tool(&format!("ping -n -c 2 -i 0.01 {HOST4}"))));
    assert_counted(&stats, &["gate0 icmpv4 8/0 pass accepted: 2"]);
    daemon.stop();
}

#[test]
fn what_check_warns_of_holds_all_the_same() {
    let site = Site::new();
    let rules = host(
        r#"
        [[rule]]
        name = "quench"
        family = "icmpv4"
        type = 4
        action = "drop"
        mode = "observe"
        [[rule]]
        name = "never"
        family = "icmpv6"
        type = 2
        code = 1
        action = "drop"
        "#,
    );
    let file = site.file("policy.toml", rules);
    let output = site.icmpgate(&format!("check {file}"));
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let warnings: Vec<&str> = said.lines().filter(|l| l.contains("warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{said}");
    let start =
        |line: usize, rule: &str| format!("icmpgate: warning: {file}:{line}: rule `{rule}` ");
    assert!(warnings[0].starts_with(&start(3, "quench")), "{said}");
    assert!(warnings[0].contains("`icmpv4/source-quench`"), "{said}");
    assert!(warnings[1].starts_with(&start(9, "never")), "{said}");
    // All that a policy says is in force.
    assert!(!said.contains("note:"), "{said}");
    assert_eq!(said.lines().last(), Some(&format!("icmpgate: {file} holds")[..]));
    let warnings = site.json(&format!("check {file}"))["warnings"].clone();
    assert_eq!([&warnings[0]["rule"], &warnings[1]["rule"]], ["quench", "never"]);
    assert_eq!([&warnings[0]["line"], &warnings[1]["line"]], [3, 9]);

    let daemon = site.start(&format!("--policy {file}"));
    let output = site.icmpgate(&format!("apply {file}"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let stats = counted(&site, || {
        let quoted = Ipv4::between(HOST4, "203.0.113.9").payload(17, [0; 8]).packet();
        let quench = Message::new(4, 0).word(0).octets(quoted);
        let quench: Vec<u8> = Ipv4::between(PEER4, HOST4).icmp(quench).into();
        site.pair.peer.wire(PEER_IF).send([&quench; 2], 1000);
    });
    assert_counted(&stats, &["gate0 icmpv4 4/0 pass denied observe: 2"]);
    let shown = site.done("stats");
    let line = shown.lines().find(|l| l.contains("4 source-quench")).expect("it is counted");
    // How wide the columns are depends on what else came.
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(" pass (would drop) denied observe 2 "), "{shown}");
    daemon.stop();
}

#[test]
fn a_policy_from_a_file_is_not_replaced_without_a_word() {
    let site = Site::new();
    let file = site.file("policy.toml", open_echo());
    site.start(&format!("--policy {file}")).kill();
    let line = format!(
        "the policy in force came from {file}; as no --policy is named, the profile host takes its \
         place"
    );
    let daemon = site.start("");
    let said = daemon.said();
    let (before, after) = said.split_once(&line).unwrap_or_else(|| panic!("{said}"));
    assert!(!before.contains("policy: ") && after.contains("policy: profile host"), "{said}");
    daemon.kill();
    // From a profile to itself there is nothing to say.
    let daemon = site.start("");
    assert!(!daemon.has_said("takes its place"), "{}", daemon.said());
    daemon.stop();
}

#[test]
fn a_neighbour_in_a_zone_meets_the_rule_of_that_zone() {
    let site = Site::new();
    let zones = host(
        r#"
        [zones]
        neighbours = ["10.77.0.0/24", "fd77::/64"]
        this-one = ["10.77.0.2", "fd77::2"]
        [[rule]]
        name = "no-neighbour"
        zone = "neighbours"
        family = "icmpv4"
        type = 8
        action = "drop"
        [[rule]]
        name = "but-this"
        zone = "this-one"
        family = "icmpv4"
        type = 8
        action = "pass"
        [[rule]]
        name = "not-even-this"
        zone = "this-one"
        family = "icmpv6"
        type = 128
        action = "drop"
        "#,
    );
    let daemon = site.start_with(&zones);
    site.pair.peer.ip("addr add 10.77.0.3/24 dev peer0");
    site.pair.peer.ip("addr add fd77::3/64 dev peer0 nodad");
    let stats = counted(&site, || {
        let ping = |words: &str| {
            let words = format!("ping -n -c 2 -i 0.01 -W 0.3 {words}");
            finish(&mut site.pair.peer.words(&words), PATIENCE).status.code()
        };
        assert_eq!(ping(&format!("-I {PEER4} {HOST4}")), Some(0));
        assert_eq!(ping(&format!("-I 10.77.0.3 {HOST4}")), Some(1));
        assert_eq!(ping(&format!("-6 -I fd77::3 {HOST6}")), Some(0));
        assert_eq!(ping(&format!("-6 -I fd77::2 {HOST6}")), Some(1));
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 pass accepted: 2",
            "gate0 icmpv4 8/0 drop denied: 2",
            "gate0 icmpv6 128/0 pass within-limit: 2",
            "gate0 icmpv6 128/0 drop denied: 2",
        ],
    );
    daemon.stop();
}

#[test]
fn a_rule_of_an_interface_holds_on_that_one_and_each_has_counters_of_its_own() {
    let site = Site::new();
    let Site { pair, .. } = &site;
    // A second cable, between two interfaces of the protected side.
    pair.host.ip("link add gate1 type veth peer name back1");
    pair.host.ip("link set gate1 up");
    pair.host.ip("link set back1 up");
    let rule = r#"
        [[rule]]
        name = "here"
        interface = "gate1"
        family = "icmpv4"
        type = 8
        action = "drop"
        [[rule]]
        name = "not-here"
        interface = "gate7"
        family = "icmpv4"
        type = 8
        action = "drop"
        [groups]
        gate = ["gate1", "gate8"]
        "#;
    let file = site.file("policy.toml", host(rule));
    let daemon = site.start_on(&format!("--iface {HOST_IF} --iface gate1 --policy {file}"));
    daemon.hear("note: the policy names interfaces that are not attached here: gate7, gate8");
    assert_eq!(site.attached(), [HOST_IF, "gate1"]);
    let ping: Vec<u8> = Ipv4::between(PEER4, HOST4).icmp(echo(8)).into();
    let stats = counted(&site, || {
        pair.peer.wire(PEER_IF).send([&ping; 3], 1000);
        pair.host.wire("back1").send([&ping; 5], 1000);
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 pass within-limit: 3",
            "gate0 icmpv4: 3",
            "gate1 icmpv4 8/0 drop denied: 5",
            "gate1 icmpv4: 5",
        ],
    );
    daemon.stop();
}

#[test]
fn what_is_local_follows_the_addresses_of_the_machine() {
    let site = Site::new();
    let rule = r#"
        [[rule]]
        name = "to-us"
        destination = "local"
        family = "icmpv4"
        type = 8
        action = "drop"
        [[rule]]
        name = "to-others"
        destination = "transit"
        family = "icmpv4"
        type = 8
        action = "pass"
        "#;
    let daemon = site.start_with(&host(rule));
    let wire = site.pair.peer.wire(PEER_IF);
    let to = |address: &str| -> Vec<u8> { Ipv4::between(PEER4, address).icmp(echo(8)).into() };
    let denied = |address: &str| {
        let stats = counted(&site, || drop(wire.send([to(address)], 1000)));
        assert_eq!(stats.packets("gate0 icmpv4 8/0"), 1);
        stats.packets("gate0 icmpv4 8/0 drop denied") == 1
    };
    assert!(denied(HOST4) && denied("10.77.0.255") && denied("224.0.0.1"));
    assert!(!denied("10.77.0.9"));
    site.pair.host.ip("addr add 10.77.0.9/24 dev gate0");
    assert!(eventually(PATIENCE, || denied("10.77.0.9")), "a new address is local");
    site.pair.host.ip("addr del 10.77.0.9/24 dev gate0");
    assert!(eventually(PATIENCE, || !denied("10.77.0.9")), "an old one is transit");
    daemon.stop();
}

#[test]
fn a_policy_that_observes_drops_nothing_and_counts_what_it_would() {
    let site = Site::new();
    let observe = r#"
        profile = "observe"
        [[rule]]
        name = "no-ping"
        family = "icmpv4"
        type = 8
        action = "drop"
        "#;
    let daemon = site.start_with(observe);
    let bad: Vec<u8> = Ipv4::between(PEER4, HOST4).icmp(echo(0).bad_checksum(0x100)).into();
    let stats = counted(&site, || {
        site.pair.peer.tool(&format!("ping -n -c 4 -i 0.01 {HOST4}"));
        site.pair.peer.wire(PEER_IF).send([&bad; 2], 1000);
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 pass denied observe: 4",
            "gate0 icmpv4 0/0 pass bad-checksum observe: 2",
            "gate0 * * * drop: 0",
        ],
    );
    assert_eq!(site.json("status")["policy"]["mode"], "observe");
    daemon.stop();
}
