//! Row O1: what a daemon serves to Prometheus, read from its network as a scraper does.

use icmpgate_tests::{
    Ipv4, Ipv6, Message, Site,
    daemon::METRICS,
    message::igmp,
    netns::{HOST4, HOST6, PATIENCE, PEER_IF, PEER4, PEER6},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
};

/// A request to the daemon, and its answer: status line and headers, then the body.
fn ask(site: &Site, request: &str) -> (String, String) {
    let answer = site.pair.host.run(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", METRICS)).expect("the daemon listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer in UTF-8");
        answer
    });
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_ascii_lowercase(), body.to_owned())
}

/// What is served under /metrics.
fn scrape(site: &Site) -> String {
    let (head, body) = ask(site, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    body
}

/// The samples of a text: name and labels as they are written, and the value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let found: Vec<_> = lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            (series.to_owned(), value.parse().expect("a number"))
        })
        .collect();
    let count = found.len();
    let samples: BTreeMap<_, _> = found.into_iter().collect();
    assert_eq!(samples.len(), count, "each series stands once: {text}");
    samples
}

/// The labels of a series.
fn labels(series: &str) -> BTreeMap<&str, &str> {
    let inside = series.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
    let pairs = inside.split(',').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').expect("a label"))
        .map(|(n, v)| (n, v.trim_matches('"')))
        .collect()
}

/// The sum of the samples of a metric whose labels have all of these values.
fn sum(samples: &BTreeMap<String, f64>, metric: &str, wanted: &[(&str, &str)]) -> f64 {
    let of = |series: &str| {
        let labels = labels(series);
        series.split('{').next() == Some(metric)
            && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
    };
    samples.iter().filter(|(series, _)| of(series)).map(|(_, value)| value).sum()
}

/// Puts a text through `promtool check metrics`, which must have nothing to say.
fn promtool(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("promtool: {error}; `cargo xtask test` has it in its path"));
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&said)), (Some(0), ""), "{text}");
}

/// A series that moves by itself: neighbours look for each other at any time, take keys as others do, and say which
/// groups they are members of.
fn moves(line: &str) -> bool {
    let parts = [
        "family=\"none\"",
        "family=\"icmpv6\"",
        "rule=\"icmpv6/",
        "_used",
        "icmpgate_keys_taken_total",
        "icmpgate_groups{",
        "icmpgate_group_",
    ];
    parts.iter().any(|part| line.contains(part))
}

#[test]
fn promtool_has_nothing_to_say_of_what_is_served() {
    let site = Site::new();
    let daemon = site.start("");
    promtool(&scrape(&site));
    site.pair.peer.tool(&format!("ping -n -c 3 -i 0.01 {HOST4}"));
    site.pair.peer.tool(&format!("ping -n -6 -c 3 -i 0.01 {HOST6}"));
    let text = scrape(&site);
    promtool(&text);
    let samples = samples(&text);
    for (family, ty) in [("icmpv4", "8"), ("icmpv6", "128")] {
        let wanted = [
            ("iface", "gate0"),
            ("hook", "ingress"),
            ("family", family),
            ("type", ty),
            ("code", "0"),
            ("verdict", "pass"),
            ("reason", "within-limit"),
            ("mode", "enforce"),
        ];
        assert_eq!(sum(&samples, "icmpgate_packets_total", &wanted), 3.0, "{text}");
        // 14 octets of Ethernet, 20 or 40 of IP, 8 of ICMP, 56 of data.
        let octets = if family == "icmpv4" { 3.0 * 98.0 } else { 3.0 * 118.0 };
        assert_eq!(sum(&samples, "icmpgate_bytes_total", &wanted), octets, "{text}");
    }
    daemon.stop();
}

#[test]
fn what_is_served_is_what_stats_prints_alive_and_dead() {
    let site = Site::new();
    let daemon = site.start("");
    site.pair.peer.tool(&format!("ping -n -c 5 -i 0.01 {HOST4}"));
    let still = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !moves(line)).map(str::to_owned).collect()
    };
    let served = scrape(&site);
    assert_eq!(still(&site.done("stats --prometheus")), still(&served));
    assert!(still(&served).iter().any(|line| line.contains("type=\"8\"")), "{served}");
    daemon.kill();
    let dead = site.done("stats --prometheus");
    assert_eq!(still(&dead), still(&served));
    promtool(&dead);
}

#[test]
fn the_answer_has_the_type_and_length_of_its_text_and_other_paths_are_none() {
    let site = Site::new();
    let daemon = site.start("");
    let (head, body) = ask(&site, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let lines: BTreeSet<&str> = head.lines().collect();
    assert!(lines.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(lines.contains(&*format!("content-length: {}", body.len())), "{head}");
    let (head, body) = ask(&site, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("http/1.1 200 ok\r\n") && body.is_empty(), "{head}");
    let (head, _) = ask(&site, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert!(head.starts_with("http/1.1 405 "), "{head}");
    let (head, _) = ask(&site, "GET /else HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("http/1.1 404 "), "{head}");
    let (head, body) = ask(&site, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("http/1.1 200 ok\r\n") && body.contains("/metrics"), "{head}");
    // Whoever isn't on this machine doesn't reach it.
    let refused = site.pair.peer.run(|| TcpStream::connect((HOST4, METRICS)));
    assert_eq!(refused.expect_err("refused").kind(), std::io::ErrorKind::ConnectionRefused);
    daemon.stop();
}

/// All 65,536 pairs of a family, in a frame each.
fn pairs(frame: impl Fn(u8, u8) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..=u16::MAX).map(|pair| frame((pair >> 8) as u8, pair as u8)).collect()
}

#[test]
fn a_sweep_of_every_type_and_code_mints_a_bounded_number_of_series() {
    let site = Site::new();
    let daemon = site.start("");
    let wire = site.pair.peer.wire(PEER_IF);
    let v4 = Ipv4::between(PEER4, HOST4);
    let v6 = Ipv6::between(PEER6, HOST6);
    let sweeps = [
        pairs(|ty, code| v4.clone().icmp(Message::new(ty, code).zeros(40)).into()),
        pairs(|ty, code| v6.clone().icmp(Message::new(ty, code).zeros(40)).into()),
        pairs(|ty, code| v4.clone().ttl(1).router_alert().igmp(igmp(ty, code, "239.1.1.1")).into()),
    ];
    let mut sent = 0;
    let mut series = Vec::new();
    // The second time nothing is new.
    for _ in 0..2 {
        for frames in &sweeps {
            wire.send(frames, 100_000);
            sent += frames.len();
        }
        let text = scrape(&site);
        promtool(&text);
        let samples = samples(&text);
        let gauge = |name: &str| samples[&format!("icmpgate_{name}{{iface=\"gate0\"}}")];
        assert!(gauge("counters_used") < gauge("counters_capacity"), "{text}");
        assert_eq!(gauge("overflow_packets_total"), 0.0);
        // The machines themselves add a few of their own to what was sent.
        let counted = sum(&samples, "icmpgate_packets_total", &[("iface", "gate0")]) as usize;
        assert!((sent..sent + 100).contains(&counted), "{sent} sent, {counted} counted");
        // Families 3, by type and code what is assigned, by what became of it at most three.
        let packets: BTreeSet<String> =
            samples.keys().filter(|s| s.starts_with("icmpgate_packets_total{")).cloned().collect();
        assert!((200..1000).contains(&packets.len()), "{} series", packets.len());
        series.push(packets);
    }
    // But what the machines say of themselves, and limits that the first sweep didn't meet.
    let own = |s: &str| {
        let labels = labels(s);
        labels["family"] == "none" || ["133", "134", "135", "136", "143"].contains(&labels["type"])
    };
    let new = series[1].difference(&series[0]).filter(|s| !own(s) && !s.contains("-limit"));
    assert_eq!(new.collect::<Vec<_>>(), Vec::<&String>::new());
    println!("{} series after {sent} frames", series[1].len());

    let reasons = site.json("reasons");
    let reasons: BTreeSet<&str> = reasons
        .as_array()
        .expect("a list of reasons")
        .iter()
        .map(|entry| entry["reason"].as_str().expect("a label"))
        .collect();
    for series in &series[1] {
        let labels = labels(series);
        let names: Vec<&str> = labels.keys().copied().collect();
        let all = ["code", "family", "hook", "iface", "mode", "reason", "type", "verdict"];
        assert_eq!(names, all, "{series}");
        assert!(["icmpv4", "icmpv6", "igmp", "none"].contains(&labels["family"]), "{series}");
        assert!(["pass", "drop"].contains(&labels["verdict"]), "{series}");
        assert!(["enforce", "observe"].contains(&labels["mode"]), "{series}");
        assert!(["ingress", "egress"].contains(&labels["hook"]), "{series}");
        assert!(reasons.contains(labels["reason"]), "{series}");
        for label in [labels["type"], labels["code"]] {
            let number = label.parse::<u8>().is_ok_and(|n| n.to_string() == label);
            assert!(number || ["other", "none"].contains(&label), "{series}");
        }
        // A stranger is one in both.
        assert_eq!(labels["type"] == "other", labels["code"] == "other", "{series}");
        let assigned = labels["family"] != "igmp" || labels["type"].parse::<u8>().is_err();
        let version_0 = labels["type"].parse::<u8>().is_ok_and(|ty| (1..=8).contains(&ty));
        assert!(assigned || version_0 || labels["code"] == "0", "IGMP has no codes: {series}");
    }
    daemon.stop();
}
