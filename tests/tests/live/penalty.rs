//! Row L3 on a wire: a neighbour that floods is put into the penalty box, others aren't, and no spoofer
//! puts anybody else there.

use crate::{assert_counted, counted, host};
use icmpgate_tests::{
    Ipv4, Ipv6, Namespace, Site,
    gate::unhex,
    message::echo,
    netns::{HOST_IF, HOST4, HOST6, PATIENCE, PEER_IF, PEER4, PEER6, Wire, eventually, finish},
};
use std::time::Duration;

/// A policy that boxes, for echo requests of both families: five in an hour pass, and the tenth beyond
/// that is one too many.
fn policy(penalty: &str) -> String {
    let rule = |family: &str| {
        format!(
            r#"
            [[rule]]
            name = "echo-{family}"
            family = "{family}"
            type = "echo-request"
            action = "limit"
            limit = {{ rate = 5, burst = 5, every = "hour", key = "source" }}
            penalty = {{ after = 10, {penalty} }}
            "#
        )
    };
    host(&(rule("icmpv4") + &rule("icmpv6")))
}

/// The hardware address of an interface.
fn hardware(namespace: &Namespace, interface: &str) -> [u8; 6] {
    let octets = unhex(&namespace.hardware(interface).replace(':', ""));
    octets.try_into().expect("six octets")
}

/// A frame from some hardware to another.
fn framed(mut frame: Vec<u8>, from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame
}

fn ping(from: &str) -> Vec<u8> {
    Ipv4::between(from, HOST4).icmp(echo(8)).into()
}

fn ping6(from: &str) -> Vec<u8> {
    Ipv6::between(from, HOST6).icmp(echo(128)).into()
}

/// The sources that `status` shows in the box.
fn boxed(site: &Site) -> Vec<String> {
    let sources = site.json("status --boxed")["sources"].clone();
    let sources = sources.as_array().expect("a list").iter();
    sources.map(|s| s["source"].as_str().expect("a source").to_owned()).collect()
}

/// Waits until the daemon mirrors the neighbours, these among them.
fn mirrored(site: &Site, neighbours: &[&str]) {
    let fresh = || site.json("status --boxed")["watching"] == true;
    assert!(eventually(PATIENCE, fresh), "nobody keeps up with the neighbours");
    let known = || {
        let table = site.pair.host.ip("neigh show");
        neighbours
            .iter()
            .all(|n| table.lines().any(|l| l.starts_with(&format!("{n} ")) && l.contains("lladdr")))
    };
    assert!(eventually(PATIENCE, known), "{}", site.pair.host.ip("neigh show"));
    // Changes gather for a tenth of a second.
    std::thread::sleep(Duration::from_millis(400));
}

/// A metric's value, 0 where it isn't there.
fn metric(site: &Site, series: &str) -> u64 {
    let text = site.done("stats --prometheus");
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().expect("a number"))
}

fn refused(site: &Site, why: &str) -> u64 {
    metric(site, &format!("icmpgate_penalty_box_refused_packets_total{{why=\"{why}\"}}"))
}

/// Sends a frame so many times.
fn send(wire: &Wire, frame: &[u8], times: usize) {
    wire.send(std::iter::repeat_n(frame, times), 20_000);
}

#[test]
fn a_neighbour_that_floods_is_boxed_and_released_and_others_are_not() {
    let site = Site::new();
    let daemon = site.start_with(&policy("time = \"60s\""));
    let peer = &site.pair.peer;
    peer.ip("addr add 10.77.0.3/24 dev peer0");
    let well_behaved = |from: &str| {
        let words = format!("ping -n -c 2 -i 0.01 -W 1 -I {from} {HOST4}");
        finish(&mut peer.words(&words), PATIENCE).status.code()
    };
    assert_eq!(well_behaved("10.77.0.3"), Some(0));
    peer.tool(&format!("ping -n -c 1 -I {PEER4} {HOST4}"));
    peer.tool(&format!("ping -n -6 -c 1 {HOST6}"));
    mirrored(&site, &[PEER4, "10.77.0.3", PEER6]);
    let flood = |words: &str| {
        // It isn't answered, and so ends with 1.
        let words = format!("ping -n -q -f -c 200 -W 0.2 {words}");
        assert_eq!(finish(&mut peer.words(&words), PATIENCE).status.code(), Some(0), "some were");
    };
    let stats = counted(&site, || {
        flood(&format!("-I {PEER4} {HOST4}"));
        flood(&format!("-6 -I {PEER6} {HOST6}"));
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 pass within-limit: 4",
            "gate0 icmpv4 8/0 drop over-limit: 10",
            "gate0 icmpv4 8/0 drop penalty-box: 186",
            "gate0 icmpv6 128/0 pass within-limit: 4",
            "gate0 icmpv6 128/0 drop over-limit: 10",
            "gate0 icmpv6 128/0 drop penalty-box: 186",
        ],
    );
    // What people and programs are shown.
    let status = site.json("status");
    let of = |source: &str| {
        let all = status["penalty_box"]["sources"].as_array().expect("a list").clone();
        all.into_iter().find(|s| s["source"] == source).unwrap_or_else(|| panic!("{status:#}"))
    };
    for (source, rule) in [(PEER4, "echo-icmpv4"), (PEER6, "echo-icmpv6")] {
        let shown = of(source);
        let words =
            ["interface", "rule"].map(|key| shown[key].as_str().expect("a word").to_owned());
        assert_eq!(words, [HOST_IF, rule]);
        assert_eq!(shown["dropped"], 186);
        let left = shown["left_s"].as_f64().expect("a number");
        assert!((40.0..=60.0).contains(&left), "{left}");
    }
    let text = site.done("status");
    assert!(
        text.contains("penalty box  2 sources; `icmpgate status --boxed` lists them"),
        "{text}"
    );
    let text = site.done("status --boxed");
    let line = text.lines().find(|l| l.starts_with(PEER4)).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, hardware_shown, "gate0", "echo-icmpv4", _, "s", "186"] = words[..] else {
        panic!("{text}")
    };
    let octets = hardware(peer, PEER_IF).map(|o| format!("{o:02x}")).join(":");
    assert_eq!(hardware_shown, octets);
    assert_eq!(metric(&site, "icmpgate_penalty_box_sources"), 2);
    assert_eq!(metric(&site, "icmpgate_penalty_box_boxed_total"), 2);
    // Who didn't flood is served, from the same hardware.
    assert_eq!(well_behaved("10.77.0.3"), Some(0));

    // Out by command, one and then the rest; who isn't in can't be let out.
    let output = site.icmpgate("status --release 10.77.0.3");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("10.77.0.3 is not in the penalty box"), "{said}");
    let said = site.done(&format!("status --release {PEER4}"));
    assert_eq!(
        said,
        format!("{PEER4} is released: rule echo-icmpv4, gate0, 186 packets dropped\n")
    );
    assert_eq!(boxed(&site), [PEER6]);
    let released = site.json("status --release all");
    assert_eq!(released[0]["source"], PEER6);
    assert_eq!(boxed(&site), [""; 0]);
    assert_eq!(site.done("status --release all"), "nobody is in the penalty box\n");
    // Its limit is as spent as before, and its offences begin anew.
    let stats = counted(&site, || {
        let words = format!("ping -n -q -c 3 -i 0.01 -W 0.2 -I {PEER4} {HOST4}");
        finish(&mut peer.words(&words), PATIENCE);
    });
    assert_counted(
        &stats,
        &["gate0 icmpv4 8/0 drop over-limit: 3", "gate0 icmpv4 8/0 drop penalty-box: 0"],
    );
    daemon.stop();
}

#[test]
fn who_is_boxed_is_out_when_the_time_is_over_with_the_daemon_dead() {
    let site = Site::new();
    let daemon = site.start_with(&policy("time = \"2s\""));
    let wire = site.pair.peer.wire(PEER_IF);
    let frame =
        framed(ping(PEER4), hardware(&site.pair.peer, PEER_IF), hardware(&site.pair.host, HOST_IF));
    site.pair.peer.tool(&format!("ping -n -c 1 {HOST4}"));
    mirrored(&site, &[PEER4]);
    let stats = counted(&site, || send(&wire, &frame, 20));
    assert_counted(&stats, &["gate0 icmpv4 8/0 drop penalty-box: 6"]);
    assert_eq!(boxed(&site), [PEER4]);
    daemon.kill();
    let empty = || boxed(&site).is_empty();
    assert!(eventually(Duration::from_secs(3), empty), "{:?}", boxed(&site));
    // Nobody says any more that the mirror is true, so nobody is boxed.
    let stale = || site.json("status --boxed")["watching"] == false;
    assert!(eventually(PATIENCE, stale), "its word is good for three seconds");
    let stats = counted(&site, || send(&wire, &frame, 30));
    assert_counted(
        &stats,
        &["gate0 icmpv4 8/0 drop over-limit: 30", "gate0 icmpv4 8/0 drop penalty-box: 0"],
    );
    assert_eq!(refused(&site, "mirror-stale"), 30);
    let text = site.done("status");
    assert!(text.contains("nobody is put into the penalty box now: no `icmpgate run`"), "{text}");
    // The next run takes it up.
    let file = site.file("policy.toml", policy("time = \"2s\""));
    let daemon = site.start(&format!("--policy {file}"));
    mirrored(&site, &[PEER4]);
    let stats = counted(&site, || send(&wire, &frame, 20));
    assert_counted(&stats, &["gate0 icmpv4 8/0 drop penalty-box: 10"]);
    daemon.stop();
}

/// An attacker and a victim on one link, a bridge; the protected machine is on it, too.
struct Link {
    victim: Namespace,
    attacker: Namespace,
}

const VICTIM4: &str = "10.77.0.7";
const VICTIM6: &str = "fd77::7";
const ATTACKER4: &str = "10.77.0.8";

impl Link {
    /// Makes of the peer's end a port of a bridge, with both on it.
    fn new(site: &Site) -> Self {
        let switch = &site.pair.peer;
        switch.ip(&format!("addr flush dev {PEER_IF}"));
        switch.ip("link add sw0 type bridge");
        switch.ip(&format!("link set {PEER_IF} master sw0"));
        switch.ip("link set sw0 up");
        let join = |name: &str, v4: &str, v6: &str| {
            let host = Namespace::new();
            let there = host.path();
            switch.ip(&format!("link add {name} type veth peer name eth0 netns {there}"));
            switch.ip(&format!("link set {name} master sw0"));
            switch.ip(&format!("link set {name} up"));
            host.ip(&format!("addr add {v4}/24 dev eth0"));
            host.ip(&format!("addr add {v6}/64 dev eth0 nodad"));
            host.ip("link set eth0 up");
            host
        };
        Self {
            victim: join("victim", VICTIM4, VICTIM6),
            attacker: join("attacker", ATTACKER4, "fd77::8"),
        }
    }

    /// Has both known to the protected machine.
    fn meet(&self, site: &Site) {
        for host in [&self.victim, &self.attacker] {
            let reached = || {
                let words = format!("ping -n -c 1 -W 1 {HOST4}");
                finish(&mut host.words(&words), PATIENCE).status.success()
            };
            assert!(eventually(PATIENCE, reached), "the bridge forwards");
            host.tool(&format!("ping -n -6 -c 1 -W 5 {HOST6}"));
        }
        mirrored(site, &[VICTIM4, VICTIM6, ATTACKER4]);
    }
}

#[test]
fn a_spoofer_on_the_link_puts_only_itself_into_the_box() {
    let site = Site::new();
    let link = Link::new(&site);
    let daemon = site.start_with(&policy("time = \"60s\""));
    link.meet(&site);
    let here = hardware(&site.pair.host, HOST_IF);
    let [attacker, victim] = [&link.attacker, &link.victim].map(|h| hardware(h, "eth0"));
    let wire = link.attacker.wire("eth0");

    // In the victim's name with its own hardware.
    let stats = counted(&site, || {
        send(&wire, &framed(ping(VICTIM4), attacker, here), 50);
        send(&wire, &framed(ping6(VICTIM6), attacker, here), 50);
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 pass within-limit: 4",
            "gate0 icmpv4 8/0 drop over-limit: 46",
            "gate0 icmpv6 128/0 drop over-limit: 46",
            "gate0 * * * drop penalty-box: 0",
        ],
    );
    assert_eq!(boxed(&site), [""; 0]);
    assert_eq!(refused(&site, "hardware-address"), 92);

    // Poisoning the neighbour table doesn't help: whoever is boxed by that is boxed as the attacker's
    // hardware, and the victim's frames are its own.
    site.pair.host.tool(&format!(
        "ip neigh replace {VICTIM4} lladdr {} dev {HOST_IF} nud permanent",
        attacker.map(|o| format!("{o:02x}")).join(":")
    ));
    std::thread::sleep(Duration::from_millis(400));
    let stats = counted(&site, || {
        send(&wire, &framed(ping(VICTIM4), attacker, here), 50);
        send(&link.victim.wire("eth0"), &framed(ping(VICTIM4), victim, here), 9);
    });
    assert_counted(
        &stats,
        &["gate0 icmpv4 8/0 drop over-limit: 19", "gate0 icmpv4 8/0 drop penalty-box: 40"],
    );
    let sources = site.json("status --boxed")["sources"].clone();
    let shown = sources[0]["hardware"].as_str().expect("an address").to_owned();
    assert_eq!(shown, attacker.map(|o| format!("{o:02x}")).join(":"));
    site.done("status --release all");
    site.pair.host.tool(&format!(
        "ip neigh replace {VICTIM4} lladdr {} dev {HOST_IF} nud reachable",
        victim.map(|o| format!("{o:02x}")).join(":")
    ));
    std::thread::sleep(Duration::from_millis(400));

    // With the victim's hardware as well it can't be told from the victim: whoever can send such frames
    // on the link is the victim there, and a switch that binds addresses to ports is what helps.
    send(&wire, &framed(ping(VICTIM4), victim, here), 50);
    assert_eq!(boxed(&site), [VICTIM4]);
    site.done("status --release all");

    // In its own name it is boxed.
    send(&wire, &framed(ping(ATTACKER4), attacker, here), 50);
    assert_eq!(boxed(&site), [ATTACKER4]);
    daemon.stop();
}

fn from_another_interface(forwarding: bool) {
    let site = Site::new();
    let pair = &site.pair;
    pair.host.sysctl("ipv4/conf/all/forwarding", if forwarding { "1" } else { "0" });
    pair.host.ip("link add gate1 type veth peer name back1");
    pair.host.ip("addr add 10.78.0.1/24 dev gate1");
    pair.host.ip("link set gate1 up");
    pair.host.ip("link set back1 up");
    let file = site.file("policy.toml", policy("time = \"60s\""));
    let daemon = site.start_on(&format!("--iface {HOST_IF} --iface gate1 --policy {file}"));
    pair.peer.tool(&format!("ping -n -c 1 {HOST4}"));
    mirrored(&site, &[PEER4]);
    let peer = hardware(&pair.peer, PEER_IF);
    // With the victim's address and hardware.
    let frame = framed(ping(PEER4), peer, hardware(&pair.host, "gate1"));
    let stats = counted(&site, || send(&pair.host.wire("back1"), &frame, 50));
    assert_counted(
        &stats,
        &["gate1 icmpv4 8/0 drop over-limit: 46", "gate1 icmpv4 8/0 drop penalty-box: 0"],
    );
    assert_eq!((boxed(&site), refused(&site, "reverse-path")), (vec![], 46));
    // On its own interface the same frame is the victim's.
    let frame = framed(ping(PEER4), peer, hardware(&pair.host, HOST_IF));
    let stats = counted(&site, || send(&pair.peer.wire(PEER_IF), &frame, 15));
    assert_counted(
        &stats,
        &["gate0 icmpv4 8/0 drop over-limit: 10", "gate0 icmpv4 8/0 drop penalty-box: 5"],
    );
    // Boxed there, it isn't here.
    let frame = framed(ping(PEER4), peer, hardware(&pair.host, "gate1"));
    let stats = counted(&site, || send(&pair.host.wire("back1"), &frame, 5));
    assert_counted(&stats, &["gate1 icmpv4 8/0 drop over-limit: 5"]);
    daemon.stop();
}

#[test]
fn from_another_interface_of_a_host_nobody_is_boxed() {
    from_another_interface(false);
}

#[test]
fn from_another_interface_of_a_router_nobody_is_boxed() {
    from_another_interface(true);
}

/// Behind a gateway, and from its address: on a host, whose mirror is asked, and on a router, where the
/// kernel's tables are.
fn behind_a_gateway(forwarding: bool) {
    let site = Site::new();
    let pair = &site.pair;
    let value = if forwarding { "1" } else { "0" };
    pair.host.sysctl("ipv4/conf/all/forwarding", value);
    pair.host.sysctl("ipv6/conf/all/forwarding", value);
    pair.host.ip(&format!("route add default via {PEER4}"));
    pair.host.ip(&format!("route add default via {PEER6}"));
    pair.host.ip("route add blackhole 198.51.100.0/24");
    // A second table, which only the kernel itself looks at.
    pair.host.ip("route add blackhole 203.0.113.0/24");
    pair.host.ip(&format!("route add 203.0.113.0/24 via {PEER4} table 100"));
    pair.host.ip("rule add to 203.0.113.0/24 lookup 100");
    let daemon = site.start_with(&policy("time = \"60s\""));
    pair.peer.tool(&format!("ping -n -c 1 {HOST4}"));
    pair.peer.tool(&format!("ping -n -6 -c 1 {HOST6}"));
    mirrored(&site, &[PEER4, PEER6]);
    let wire = pair.peer.wire(PEER_IF);
    let (gateway, here) = (hardware(&pair.peer, PEER_IF), hardware(&pair.host, HOST_IF));
    let stranger = [2, 0, 0, 0, 0, 0x77];

    // By default only neighbours are boxed, and the gateway never.
    let stats = counted(&site, || {
        send(&wire, &framed(ping("192.0.2.9"), gateway, here), 50);
        send(&wire, &framed(ping6("2001:db8::9"), gateway, here), 50);
        send(&wire, &framed(ping(PEER4), gateway, here), 50);
        send(&wire, &framed(ping("10.77.0.9"), stranger, here), 50);
    });
    assert_counted(
        &stats,
        &[
            "gate0 icmpv4 8/0 drop over-limit: 136",
            "gate0 icmpv6 128/0 drop over-limit: 45",
            "gate0 * * * drop penalty-box: 0",
        ],
    );
    assert_eq!(boxed(&site), [""; 0]);
    let why = ["off-link", "gateway", "neighbour-unknown"].map(|why| refused(&site, why));
    assert_eq!(why, [90, 46, 45]);

    // Where the rule says so, from the gateway that answers would go to, and from nobody else.
    let file = site.file("off-link.toml", policy("time = \"60s\", off-link = true"));
    site.done(&format!("apply {file}"));
    let stats = counted(&site, || {
        send(&wire, &framed(ping("192.0.2.9"), stranger, here), 20);
        send(&wire, &framed(ping("198.51.100.9"), gateway, here), 50);
        send(&wire, &framed(ping("203.0.113.9"), gateway, here), 20);
        send(&wire, &framed(ping("192.0.2.9"), gateway, here), 20);
        send(&wire, &framed(ping6("2001:db8::9"), gateway, here), 20);
    });
    let (v4, mut who) = if forwarding { (15, vec!["203.0.113.9"]) } else { (10, vec![]) };
    assert_counted(
        &stats,
        &[
            &format!("gate0 icmpv4 8/0 drop penalty-box: {v4}"),
            "gate0 icmpv6 128/0 drop penalty-box: 10",
        ],
    );
    who.splice(0..0, ["192.0.2.9"]);
    who.push("2001:db8::/64");
    assert_eq!(boxed(&site), who);
    assert_eq!(refused(&site, "hardware-address"), 20);
    assert_eq!(refused(&site, "reverse-path"), if forwarding { 45 } else { 45 + 15 });
    daemon.stop();
}

#[test]
fn behind_the_gateway_of_a_host() {
    behind_a_gateway(false);
}

#[test]
fn behind_the_gateway_of_a_router() {
    behind_a_gateway(true);
}
