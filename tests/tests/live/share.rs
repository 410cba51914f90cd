//! Row G2, as a share of bandwidth, on a wire: a veth says that it has 10 Gbit/s.

use crate::host;
use icmpgate_tests::{
    Ipv4, Message, Site,
    gate::{hex, unhex},
    netns::{HOST_IF, HOST4, Namespace, PATIENCE, PEER_IF, PEER4, Wire, eventually},
};
use std::{iter, thread, time::Instant};

/// The second cable of the protected namespace.
const HOST2_IF: &str = "gate1";
const HOST2: &str = "10.78.0.1";
const PEER2_IF: &str = "peer1";
const PEER2: &str = "10.78.0.2";

/// 5 Mbit/s of a veth's 10 Gbit/s, in octets a second, and the burst in seconds.
const RATE: f64 = 625_000.0;
const BURST_S: f64 = 0.1;

/// A policy that passes echo, and limits one type of it at a hook to a share.
fn limited(hook: &str, ty: u8, random: bool) -> String {
    let other = 8 - ty;
    host(&format!(
        r#"
        [[rule]]
        name = "limited"
        hook = "{hook}"
        family = "icmpv4"
        type = {ty}
        action = "limit"
        limit = {{ share = "0.05%", random = {random} }}
        [[rule]]
        name = "ping"
        family = "icmpv4"
        type = {other}
        action = "pass"
        "#
    ))
}

/// A site with a second cable.
fn two_cables() -> Site {
    let site = Site::new();
    let (host, peer) = (&site.pair.host, &site.pair.peer);
    host.join(peer, HOST2_IF, PEER2_IF);
    host.ip(&format!("addr add {HOST2}/24 dev {HOST2_IF}"));
    peer.ip(&format!("addr add {PEER2}/24 dev {PEER2_IF}"));
    site
}

/// An echo request of so many octets, from one end of a cable to the other.
fn ping(site: &Site, [near, far]: [&str; 2], [to, from]: [&str; 2], octets: usize) -> Vec<u8> {
    let address = |namespace: &Namespace, interface: &str| {
        unhex(&namespace.hardware(interface).replace(':', ""))
    };
    let message = Message::new(8, 0).zeros(octets - 14 - 20);
    let mut frame: Vec<u8> = Ipv4::between(from, to).icmp(message).into();
    frame[..6].copy_from_slice(&address(&site.pair.host, near));
    frame[6..12].copy_from_slice(&address(&site.pair.peer, far));
    frame
}

/// Octets and packets of one type that passed an interface at a hook.
fn passed(site: &Site, interface: &str, hook: &str, ty: u8) -> (u64, u64) {
    let stats = site.json("stats");
    let lines = stats["counters"].as_array().expect("a list of counters").iter();
    let of = |line: &&serde_json::Value| {
        let is = |name: &str, what: &str| line[name] == what;
        is("iface", interface)
            && is("hook", hook)
            && is("family", "icmpv4")
            && is("type", &ty.to_string())
            && is("verdict", "pass")
    };
    let number = |line: &serde_json::Value, name: &str| line[name].as_u64().expect("a number");
    lines.filter(of).fold((0, 0), |(octets, packets), line| {
        (octets + number(line, "octets"), packets + number(line, "packets"))
    })
}

/// Floods both interfaces at once, and compares what passed each with its share of the speed, times the
/// time, and the burst. Clock and kernel are not stopped together, so a machine that is busy with
/// something else may measure a flood wrongly; one of three counts.
fn flood(hook: &str, ty: u8, octets: usize, random: bool, most_off: f64) {
    let mut tries = Vec::new();
    while tries.len() < 3 {
        let off = flood_once(hook, ty, octets, random);
        if off.iter().all(|off| off.abs() <= most_off) {
            return;
        }
        tries.push(off);
    }
    panic!("what passed is off by {tries:.4?}");
}

/// By how much what passed each of two interfaces is off.
fn flood_once(hook: &str, ty: u8, octets: usize, random: bool) -> [f64; 2] {
    const FRAMES: usize = 15_000;
    const PER_SECOND: u32 = 7_500;
    let site = two_cables();
    let file = site.file("policy.toml", limited(hook, ty, random));
    let interfaces = format!("--iface {HOST_IF} --iface {HOST2_IF}");
    let daemon = site.start_on(&format!("{interfaces} --policy {file}"));
    assert!(!daemon.has_said("is not known"), "{}", daemon.said());
    let cables = [([HOST_IF, PEER_IF], [HOST4, PEER4]), ([HOST2_IF, PEER2_IF], [HOST2, PEER2])];
    // Who is where is known before.
    for (_, [to, _]) in cables {
        site.pair.peer.tool(&format!("ping -n -c 1 -s 8 {to}"));
    }
    let before = cables.map(|([near, _], _)| passed(&site, near, hook, ty));
    let wires = cables.map(|(ends, addresses)| {
        (site.pair.peer.wire(ends[1]), ping(&site, ends, addresses, octets))
    });
    let moments: Vec<Vec<Instant>> = thread::scope(|scope| {
        let send =
            |(wire, frame)| move || Wire::send(wire, iter::repeat_n(frame, FRAMES), PER_SECOND);
        let senders: Vec<_> = wires.iter().map(|(w, f)| scope.spawn(send((w, f)))).collect();
        senders.into_iter().map(|s| s.join().expect("frames are sent")).collect()
    });
    let mut off = [0.0; 2];
    for (i, ([near, _], _)) in cables.into_iter().enumerate() {
        let (after, packets) = passed(&site, near, hook, ty);
        let is = (after - before[i].0) as f64;
        assert!(packets < FRAMES as u64, "it is a flood");
        // While the sender itself is held up for longer than a bucket takes to fill, none gathers more.
        let gaps = moments[i].windows(2).map(|two| (two[1] - two[0]).as_secs_f64().min(BURST_S));
        let allowed = RATE * (gaps.sum::<f64>() + BURST_S);
        off[i] = is / allowed - 1.0;
        println!("{hook} {near}: {is} of {allowed:.0} octets, {:+.4}", off[i]);
    }
    let stats = site.done("stats");
    let line = stats.lines().find(|l| l.contains(" limited ")).expect("the limit");
    assert!(line.contains(" link ") && line.contains("0.05%") && line.contains("100 ms"), "{line}");
    daemon.stop();
    off
}

#[test]
fn each_interface_lets_its_own_share_in() {
    flood("ingress", 8, 1000, false, 0.02);
}

/// By random charges: of 6,600 packets that pass, the deviation is 1 %.
#[test]
fn each_interface_lets_its_own_share_out() {
    flood("egress", 0, 200, true, 0.05);
}

/// Whose speed isn't known is said, and when it comes to be known; then the share holds there.
#[test]
fn a_speed_that_is_not_known_is_said_and_learnt() {
    let site = Site::new();
    let host = &site.pair.host;
    // A bridge is as fast as its ports, and this one has none.
    host.ip("link add br0 type bridge");
    host.ip("link set br0 up");
    let file = site.file("policy.toml", limited("ingress", 8, false));
    let unknown = "warning: the speed of br0 is not known, so limits that are a share of it are not in \
                   force there; the policy can give it: [interfaces.br0] speed = \"1 Gbit/s\"";
    let said = |words: &str| {
        let output = site.icmpgate(words);
        assert!(output.status.success(), "{words}");
        String::from_utf8(output.stderr).expect("text")
    };
    let attached = said(&format!("attach --iface br0 --policy {file}"));
    assert!(attached.contains(unknown), "{attached}");
    said("detach --iface br0");

    let daemon = site.start_on(&format!("--iface br0 --iface {HOST_IF} --policy {file}"));
    daemon.hear(unknown);
    assert!(!daemon.has_said("the speed of gate0"), "{}", daemon.said());
    let speeds = || {
        let status = site.json("status");
        let of = |name: &str| {
            let list = status["interfaces"].as_array().expect("a list");
            let found = list.iter().find(|i| i["interface"] == name).expect("the interface");
            (found["speed_mbit"].as_u64(), found["speed_by"].as_str().map(str::to_owned))
        };
        let without = status["without_shares"].as_array().expect("a list").len();
        (of("br0"), of(HOST_IF), without)
    };
    let driver = |mbit| (Some(mbit), Some("driver".to_owned()));
    assert_eq!(speeds(), ((None, None), driver(10_000), 1));
    let shown = site.done("status");
    assert!(shown.contains(unknown.trim_start_matches("warning: ")), "{shown}");
    let metrics = site.done("stats --prometheus");
    let speed = "icmpgate_interface_speed_bytes_per_second{iface=";
    assert!(metrics.contains(&format!("{speed}\"gate0\"}} 1250000000\n")), "{metrics}");
    assert!(!metrics.contains(&format!("{speed}\"br0\"")), "{metrics}");
    let share = r#"{hook="ingress",rule="limited",key="link",flow="any",unit="octets",number="1"}"#;
    assert!(metrics.contains(&format!("icmpgate_limit_share_ratio{share} 0.0005\n")), "{metrics}");

    // The policy gives one.
    let with_speed = limited("ingress", 8, false) + "\n[interfaces.br0]\nspeed = \"1 Gbit/s\"\n";
    let with_speed = site.file("speed.toml", with_speed);
    assert!(!said(&format!("apply {with_speed}")).contains("is not known"));
    assert_eq!(speeds(), ((Some(1000), Some("policy".to_owned())), driver(10_000), 0));
    assert!(said(&format!("apply {file}")).contains(unknown));
    assert_eq!(speeds().2, 1);

    // It gets a port and loses it: the daemon finds out by itself, and says so. What it said last counts,
    // since it may have looked while the policy gave a speed.
    let comes_to = |last: &str, expected| {
        let so = eventually(PATIENCE, || {
            let said = daemon.said();
            let line = said.lines().rfind(|line| line.contains("that are a share of"));
            line.is_some_and(|line| line.ends_with(last)) && speeds() == expected
        });
        assert!(so, "{:?}, and said:\n{}", speeds(), daemon.said());
    };
    host.join(&site.pair.peer, "port0", "far0");
    host.ip("link set port0 master br0");
    let again = "br0: limits that are a share of its speed are in force again";
    comes_to(again, (driver(10_000), driver(10_000), 0));
    host.ip("link set port0 nomaster");
    comes_to(unknown, ((None, None), driver(10_000), 1));
    daemon.stop();
}

/// `explain` goes by the interface that is named, and says where there is none to go by.
#[test]
fn explain_says_where_a_share_does_not_apply() {
    let site = Site::new();
    let file = site.file("policy.toml", limited("ingress", 8, false));
    let frame = hex(&Vec::from(Ipv4::between(PEER4, HOST4).icmp(Message::new(8, 0).zeros(8))));
    let explained = |more: &str| site.done(&format!("explain --policy {file} --hex {frame}{more}"));
    let note = "Limits that are a share of the interface's speed did not apply";
    assert!(explained("").contains(note));
    assert!(!explained(&format!(" --iface {HOST_IF}")).contains(note));
    // Of what is sent no rule has one.
    assert!(!explained(" --hook egress").contains(note));
}
