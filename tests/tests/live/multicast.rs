//! Rows M1 and M2 on a machine between a source and three receivers: a bridge, whose own table the program's is held
//! against, and a router.

use crate::member::Member;
use icmpgate_tests::{
    Namespace, Site,
    daemon::Daemon,
    netns::{PATIENCE, eventually, wait},
    tap::Tap,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// The machine (the protected namespace) between a source and three receivers.
struct Rig {
    site: Site,
    source: Namespace,
    receivers: [Namespace; 3],
}

/// The machine's interface to a receiver.
fn port(n: usize) -> String {
    format!("port{n}")
}

impl Rig {
    fn new() -> Self {
        let site = Site::new();
        let source = Namespace::new();
        let receivers = [(); 3].map(|()| Namespace::new());
        let machine = &site.pair.host;
        machine.join(&source, "source0", "eth0");
        for (n, receiver) in receivers.iter().enumerate() {
            machine.join(receiver, &port(n), "eth0");
        }
        Self { site, source, receivers }
    }

    /// Attaches to the interfaces to the receivers.
    fn start(&self, groups: &str) -> Daemon<'_> {
        let policy = format!("profile = \"router\"\n[groups]\n{groups}");
        let file = self.site.file("policy.toml", policy);
        let all: String = (0..3).map(|n| format!("--iface {} ", port(n))).collect();
        self.site.start_on(&format!("{all}--policy {file}"))
    }
}

/// What a table has of a group at a port: `exclude` or `include`, and sources.
type Entry = (String, String, String, Vec<String>);

/// The program's table.
fn ours(site: &Site) -> BTreeSet<Entry> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let all = site.json("groups");
    let all = all.as_array().expect("a list").iter();
    all.map(|e| {
        let sources = e["sources"].as_array().expect("a list").iter().map(text).collect();
        (text(&e["interface"]), text(&e["group"]), text(&e["mode"]), sources)
    })
    // A bridge keeps no group that all of a link gets.
    .filter(|(_, group, ..)| !group.starts_with("224.0.0.") && !group.starts_with("ff02:"))
    .collect()
}

/// The bridge's.
fn bridges(machine: &Namespace) -> BTreeSet<Entry> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let shown = machine.tool("bridge -json -details mdb show dev br0");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let all = shown[0]["mdb"].as_array().cloned().unwrap_or_default();
    let is = |e: &&Value| {
        let group = text(&e["grp"]);
        // Those with a source are how it forwards, and the port `br0` is its own.
        e["src"].is_null() && text(&e["port"]) != "br0" && !group.starts_with("ff02:")
    };
    let entry = |e: &Value| {
        let mut sources: Vec<String> = Vec::new();
        for source in e["source_list"].as_array().into_iter().flatten() {
            sources.push(text(&source["address"]));
        }
        sources.sort();
        let mode = e["filter_mode"].as_str().unwrap_or("exclude").to_owned();
        (text(&e["port"]), text(&e["grp"]), mode, sources)
    };
    all.iter().filter(is).map(entry).collect()
}

/// Ten times somebody joins or leaves, by every version of both protocols; each time a bridge that snoops, and asks, has
/// the same table as the program beside it.
#[test]
fn the_table_is_that_of_a_bridge() {
    let rig = Rig::new();
    let machine = &rig.site.pair.host;
    machine
        .ip("link add br0 type bridge mcast_snooping 1 mcast_igmp_version 3 mcast_mld_version 2");
    for interface in ["source0", "port0", "port1", "port2"] {
        machine.ip(&format!("link set {interface} master br0"));
    }
    machine.ip("link set br0 up");
    machine.ip("addr add 10.79.0.1/24 dev br0");
    for (n, receiver) in rig.receivers.iter().enumerate() {
        receiver.ip(&format!("addr add 10.79.0.{}/24 dev eth0", n + 10));
    }
    // The first and the second speak older versions until they are told otherwise.
    let speak = |n: usize, igmp: u8, mld: u8| {
        rig.receivers[n].sysctl("ipv4/conf/eth0/force_igmp_version", &igmp.to_string());
        rig.receivers[n].sysctl("ipv6/conf/eth0/force_mld_version", &mld.to_string());
    };
    speak(0, 2, 1);
    let settled = || machine.ip("-6 addr show dev br0").contains("tentative");
    assert!(eventually(PATIENCE, || !settled()), "the bridge can ask by MLD");
    let daemon = rig.start("");
    machine.ip("link set br0 type bridge mcast_querier 1");
    let mut members = rig.receivers.each_ref().map(|r| Member::of(r, "eth0"));
    let steps: [&[(usize, &str)]; 10] = [
        &[(0, "join 239.1.1.1"), (0, "join ff0e::1:1")],
        &[(1, "join 239.1.1.1"), (1, "join ff0e::1:1"), (2, "join 239.1.1.2")],
        &[(1, "join 232.1.1.1 10.79.0.100"), (2, "join ff3e::8000:1 fd79::100")],
        &[(1, "join 232.1.1.1 10.79.0.101")],
        &[(1, "leave 232.1.1.1 10.79.0.100")],
        &[(1, "leave 239.1.1.1"), (1, "leave ff0e::1:1")],
        &[(2, "leave 239.1.1.2"), (2, "join 239.1.1.1"), (2, "join 239.1.1.3")],
        &[(0, "leave 239.1.1.1"), (0, "leave ff0e::1:1")],
        &[(1, "leave 232.1.1.1 10.79.0.101"), (2, "leave ff3e::8000:1 fd79::100")],
        &[(2, "leave 239.1.1.1"), (2, "leave 239.1.1.3")],
    ];
    // How many there are then, once what was left has gone: within the time that who is asked has to answer.
    let sizes = [2, 5, 7, 7, 7, 5, 6, 4, 2, 0];
    for (n, (step, size)) in steps.iter().zip(sizes).enumerate() {
        for (receiver, what) in *step {
            members[*receiver].tell(what);
        }
        let same = eventually(PATIENCE, || {
            let ours = ours(&rig.site);
            ours.len() == size && ours == bridges(machine)
        });
        let (ours, theirs) = (ours(&rig.site), bridges(machine));
        assert!(same, "step {n}, {step:?}, {size}: ours {ours:#?}, the bridge's {theirs:#?}");
    }
    let own = rig.site.json("groups --queriers");
    let own = own.as_array().expect("a list");
    assert_eq!(own.len(), 6, "{own:?}");
    assert!(own.iter().all(|q| q["own"] == true && q["other_router"] == false), "{own:?}");
    daemon.stop();
}

/// A router: what the source sends goes to all three links as far as Linux is concerned.
impl Rig {
    fn routed() -> Self {
        let rig = Self::new();
        let machine = &rig.site.pair.host;
        machine.sysctl("ipv4/ip_forward", "1");
        machine.sysctl("ipv4/conf/all/rp_filter", "0");
        machine.ip("addr add 10.79.9.1/24 dev source0");
        rig.source.ip("addr add 10.79.9.2/24 dev eth0");
        rig.source.ip("addr add 10.79.9.3/24 dev eth0");
        rig.source.ip("route add default via 10.79.9.1");
        for (n, receiver) in rig.receivers.iter().enumerate() {
            machine.ip(&format!("addr add 10.79.{n}.1/24 dev {}", port(n)));
            // Behind a switch, which can ask, and wants answers within a second.
            receiver.ip(
                "link add sw0 type bridge mcast_igmp_version 3 mcast_query_response_interval 100",
            );
            receiver.ip("link set eth0 master sw0");
            receiver.ip("link set sw0 up");
            receiver.ip(&format!("addr add 10.79.{n}.2/24 dev sw0"));
            receiver.ip(&format!("route add default via 10.79.{n}.1"));
            receiver.sysctl("ipv4/conf/all/rp_filter", "0");
            receiver.sysctl("ipv4/conf/sw0/rp_filter", "0");
        }
        rig
    }

    /// Counts what reaches each receiver's wire of these groups, for as long.
    fn counted(&self, groups: &[[u8; 4]], time: Duration) -> Vec<Vec<usize>> {
        // Of a bridge's port only who hears everything hears something.
        let taps = self.receivers.each_ref().map(|r| Tap::new(r, "eth0", libc::ETH_P_ALL as u16));
        let until = Instant::now() + time;
        sleep(time);
        let frames =
            taps.each_ref().map(|tap| std::iter::from_fn(|| tap.next(until)).collect::<Vec<_>>());
        let of = |frames: &[Vec<u8>], group: &[u8; 4]| {
            // UDP to it: reports go to it as well.
            frames.iter().filter(|f| f.len() > 60 && f[23] == 17 && f[30..34] == *group).count()
        };
        frames.iter().map(|frames| groups.iter().map(|group| of(frames, group)).collect()).collect()
    }
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn start(namespace: &Namespace, words: &str) -> Self {
        let mut command = namespace.words(words);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{words}: {error}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = wait(&mut self.0, PATIENCE);
    }
}

/// 1 Mbit/s in datagrams of 1,000 octets to a group, from an address.
fn stream(rig: &Rig, from: &str, group: &str) -> Running {
    let words = format!("iperf -c {group} -B {from} -u -b 1M -l 1000 -T 4 -t 120");
    Running::start(&rig.source, &words)
}

/// What sends to its groups what a network has asked for, and to no other: three receivers, two groups that all take
/// from anybody, and one that is taken from one source.
#[test]
fn a_stream_reaches_the_links_of_its_members_and_no_other() {
    let rig = Rig::routed();
    let machine = &rig.site.pair.host;
    // Routes that ask for no member: what keeps them from links is the gate.
    let groups = ["239.1.1.1", "239.1.1.2", "232.1.1.1"];
    let route = |group| format!("mroute from source0 group {group} to port0 port1 port2\n");
    let file = rig.site.file("smcroute.conf", groups.map(route).concat());
    let (socket, pid) = (file.replace(".conf", ".sock"), file.replace(".conf", ".pid"));
    let daemon = rig.start("gate = [\"port0\", \"port1\", \"port2\"]\n");
    let _router = Running::start(machine, &format!("smcrouted -n -f {file} -u {socket} -P {pid}"));
    let _streams = groups.map(|group| stream(&rig, "10.79.9.2", group));
    let _other = stream(&rig, "10.79.9.3", groups[2]);
    let reached = || rig.counted(&[[239, 1, 1, 1], [239, 1, 1, 2], [232, 1, 1, 1]], SECOND);
    // A stream has 125 datagrams a second; from two sources, there are two of the last.
    let becomes = |what: &str, streams: [[usize; 3]; 3]| {
        let mut seen = Vec::new();
        let is = eventually(PATIENCE, || {
            seen = reached();
            seen.iter()
                .flatten()
                .zip(streams.iter().flatten())
                .all(|(seen, streams)| (100 * streams..=150 * streams).contains(seen))
        });
        assert!(is, "{what}: {seen:?}, and should be as many times 125: {streams:?}");
    };
    becomes("nobody asks", [[1, 1, 2]; 3]);
    for receiver in &rig.receivers {
        receiver.ip("link set sw0 type bridge mcast_querier 1");
    }
    becomes("nobody has joined", [[0; 3]; 3]);
    let mut members = rig.receivers.each_ref().map(|r| Member::of(r, "sw0"));
    members[0].tell("join 239.1.1.1");
    becomes("one", [[1, 0, 0], [0; 3], [0; 3]]);
    members[1].tell("join 239.1.1.1");
    members[1].tell("join 239.1.1.2");
    members[2].tell("join 232.1.1.1 10.79.9.3");
    let all = [[1, 0, 0], [1, 1, 0], [0, 0, 1]];
    becomes("all three", all);
    // What its link is spared of a group: nothing while it has a member, whoever else comes and goes.
    let spared = || {
        let text = rig.site.done("stats --prometheus");
        let labels = "icmpgate_gated_packets_total{iface=\"port1\",group=\"239.1.1.1\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(labels)).map(str::to_owned);
        line.expect("it is counted")
    };
    let before = spared();
    let left = Instant::now();
    members[0].tell("leave 239.1.1.1");
    becomes("the first has left", [[0; 3], all[1], all[2]]);
    assert!(left.elapsed() < Duration::from_secs(8), "{:?}", left.elapsed());
    members[1].tell("leave 239.1.1.2");
    becomes("and half of the second", [[0; 3], [1, 0, 0], all[2]]);
    assert_eq!(spared(), before);
    members[2].tell("leave 232.1.1.1 10.79.9.3");
    members[1].tell("leave 239.1.1.1");
    becomes("nobody is left", [[0; 3]; 3]);
    let stats = rig.site.stats();
    for n in 0..3 {
        let kept = stats.packets(&format!("port{n}:egress none none/none drop no-member"));
        assert!(kept > 100, "{n}: {kept}");
    }
    daemon.stop();
}

const SECOND: Duration = Duration::from_secs(1);

/// A proxy that asks by itself (RFC 4605): what it forwards, the gate lets through, and the querier is this machine.
#[test]
fn what_a_proxy_forwards_to_members_reaches_them() {
    let rig = Rig::routed();
    let machine = &rig.site.pair.host;
    let ports = (0..3).map(|n| format!("phyint {} downstream ratelimit 0 threshold 1\n", port(n)));
    let others = "phyint lo disabled\nphyint gate0 disabled\n";
    let config = format!(
        "phyint source0 upstream ratelimit 0 threshold 1\naltnet 10.79.0.0/16\n{}{others}",
        ports.collect::<String>()
    );
    let file = rig.site.file("igmpproxy.conf", config);
    let daemon = rig.start("gate = true\n");
    let _proxy = Running::start(machine, &format!("igmpproxy -n {file}"));
    let _stream = stream(&rig, "10.79.9.2", "239.1.1.1");
    let reached = || rig.counted(&[[239, 1, 1, 1]], SECOND).concat();
    let becomes = |what: &str, streams: [bool; 3]| {
        let is = eventually(PATIENCE * 2, || {
            reached().iter().zip(streams).all(|(n, is)| if is { *n >= 100 } else { *n == 0 })
        });
        assert!(is, "{what}: {:?}", reached());
    };
    becomes("nobody", [false; 3]);
    let mut members = rig.receivers.each_ref().map(|r| Member::of(r, "sw0"));
    members[0].tell("join 239.1.1.1");
    members[2].tell("join 239.1.1.1");
    becomes("two", [true, false, true]);
    members[0].tell("leave 239.1.1.1");
    becomes("one", [false, false, true]);
    let queriers = rig.site.json("groups --queriers");
    let own = queriers.as_array().expect("a list").iter();
    assert_eq!(
        own.filter(|q| q["protocol"] == "igmp" && q["own"] == true).count(),
        3,
        "{queriers}"
    );
    daemon.stop();
}
