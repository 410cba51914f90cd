//! Row O2: the kernel's own counters beside ours, so that it shows who kept an error back.

use crate::{assert_counted, counted, egress::probes};
use icmpgate_tests::{
    Site,
    netns::{HOST4, HOST6, PATIENCE, finish},
};
use serde_json::Value;

/// A counter as `nstat` reads it in the protected namespace.
fn nstat(site: &Site, name: &str) -> u64 {
    let text = site.pair.host.tool("nstat --json --ignore --noupdate --zeros");
    let json: Value = serde_json::from_str(&text).expect("JSON of nstat");
    json["kernel"][name].as_u64().unwrap_or_else(|| panic!("{name} in {json}"))
}

/// The value of a series.
fn metric(site: &Site, series: &str) -> u64 {
    let text = site.done("stats --prometheus");
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{series} in {text}")).parse().expect("a whole number")
}

/// What Linux's own limits keep back never comes to the program for what is sent, and is in the
/// counter of the limit that did it, as `nstat` has it.
#[test]
fn what_linux_keeps_back_is_counted_beside_what_leaves() {
    const PROBES: u16 = 200;
    const IN_ALL: &str = "icmpgate_kernel_rate_limited_global_total";
    const BY_HOST: &str = "icmpgate_kernel_rate_limited_host_total";
    let v4 = format!("{BY_HOST}{{family=\"icmpv4\"}}");
    let v6 = format!("{BY_HOST}{{family=\"icmpv6\"}}");
    for (limit, value, to, name, series) in [
        ("ipv4/icmp_msgs_per_sec", "50", HOST4, "IcmpOutRateLimitGlobal", IN_ALL),
        ("ipv4/icmp_msgs_per_sec", "50", HOST6, "IcmpOutRateLimitGlobal", IN_ALL),
        ("ipv4/icmp_ratelimit", "1000", HOST4, "IcmpOutRateLimitHost", &v4),
        ("ipv6/icmp/ratelimit", "1000", HOST6, "Icmp6OutRateLimitHost", &v6),
    ] {
        let site = Site::new();
        let host = &site.pair.host;
        host.sysctl("ipv4/icmp_msgs_burst", "20");
        host.sysctl(limit, value);
        // Ours lets them all leave.
        let daemon = site.start_with("profile = \"observe\"\n");
        let before = (nstat(&site, name), metric(&site, series));
        let stats = counted(&site, || {
            probes(&site.pair.peer, to, PROBES);
        });
        let kept_back = nstat(&site, name) - before.0;
        assert_eq!(metric(&site, series) - before.1, kept_back, "{limit}, {to}");
        assert!((1..u64::from(PROBES)).contains(&kept_back), "{limit}, {to}: {kept_back}");
        let class = if to == HOST4 { "icmpv4 3/3" } else { "icmpv6 1/4" };
        let left = u64::from(PROBES) - kept_back;
        assert_counted(&stats, &[&format!("gate0:egress {class}: {left}")]);
        println!("{limit}={value}, {to}: {kept_back} of {PROBES} kept back, {left} left");
        daemon.stop();
    }
}

/// Every counter that is shown is the one that `nstat` has under that name, once the network is
/// silent.
#[test]
fn each_counter_is_the_kernels() {
    let site = Site::new();
    let daemon = site.start("");
    site.pair.peer.tool(&format!("ping -n -c 3 -i 0.01 {HOST4}"));
    // By loopback, which is of the namespace, too, and has no gate.
    site.pair.host.tool(&format!("ping -n -c 2 -i 0.01 {HOST6}"));
    let counters = site.json("stats")["kernel"]["counters"].clone();
    let counters = counters.as_array().expect("a list of counters");
    assert_eq!(counters.len(), 13, "{counters:?}");
    for shown in counters {
        let prefix = if shown["family"] == "icmpv6" { "Icmp6" } else { "Icmp" };
        let name = format!("{prefix}{}", shown["counter"].as_str().expect("a name"));
        // Neighbour discovery may go on meanwhile.
        let now = nstat(&site, &name);
        let then = shown["messages"].as_u64().expect("a number");
        assert!((then..then + 20).contains(&now), "{name}: {then} shown, {now} by nstat");
        let family = &shown["family"];
        if *family == "icmpv4" && ["InMsgs", "OutMsgs"].iter().any(|n| shown["counter"] == *n) {
            assert_eq!(then, 3, "{name}");
        }
    }
    daemon.stop();
}

/// Counters and settings are those of the network namespace that the command runs in.
#[test]
fn the_settings_of_the_namespace_are_shown() {
    let site = Site::new();
    let (host, peer) = (&site.pair.host, &site.pair.peer);
    // Linux keeps these in ticks, and seconds are whole ones at every frequency.
    host.sysctl("ipv4/icmp_ratelimit", "2000");
    host.sysctl("ipv6/icmp/ratelimit", "3000");
    let daemon = site.start("");
    for (namespace, v4, v6) in [(host, 2000, 3000), (peer, 0, 0)] {
        let output = finish(&mut site.command_in(namespace, "stats --json"), PATIENCE);
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let settings = &json["kernel"]["settings"];
        assert_eq!(settings["net.ipv4.icmp_ratelimit"], v4, "{json}");
        assert_eq!(settings["net.ipv6.icmp.ratelimit"], v6, "{json}");
        assert_eq!(settings["net.ipv4.icmp_msgs_per_sec"], 1_000_000, "{json}");
    }
    let text = site.done("stats");
    let words: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
    for line in [["net.ipv4.icmp_ratelimit", "2000"], ["net.ipv6.icmp.ratelimit", "3000"]] {
        assert!(words.iter().any(|words| words.starts_with(&line)), "{line:?} in {text}");
    }
    assert!(text.contains("\nLINUX COUNTED"), "{text}");
    daemon.stop();
}
