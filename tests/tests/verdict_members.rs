//! Rows M1 and M3 by frames: what reports and queries make of the table, and what is no report makes nothing of it.
//! What a router has to make of reports, the documents' tables, stands beside `icmp_common::member`; here is that the
//! program reads them from the wire, and keeps to its bounds. Linux hosts and bridges are in `live`.

use icmp_common::{
    abi::{GROUPS, LINKS, origin},
    member::{REPORTERS, SOURCES, Stats},
    verdict::Verdict,
};
use icmpgate::{
    datapath::Endpoint,
    observe::{GroupState, groups, queriers},
};
use icmpgate_tests::{
    Gate, Ipv4, Ipv6, Message,
    gate::OPEN,
    message::{igmp, igmp_report, mld, mld_report},
};
use std::{collections::BTreeMap, net::IpAddr};

const GROUP: &str = "239.1.1.1";
const GROUP6: &str = "ff0e::1:1";

/// A gate that has learnt nothing yet, under this `[groups]`.
fn gate(rest: &str) -> Gate {
    Gate::new(&format!("{OPEN}[groups]\n{rest}\n"))
}

fn four(from: &str, to: &str, message: Message) -> Vec<u8> {
    Ipv4::between(from, to).ttl(1).igmp(message).frame().to_many().build()
}

fn six(from: &str, to: &str, message: Message) -> Vec<u8> {
    Ipv6::between(from, to).hop_limit(1).icmp(message).frame().to_many().build()
}

fn octets(address: &str) -> Vec<u8> {
    match address.parse().expect("an address") {
        IpAddr::V4(v4) => v4.octets().into(),
        IpAddr::V6(v6) => v6.octets().into(),
    }
}

/// A record: its type, group, sources, and octets behind them.
fn record(kind: u8, group: &str, sources: &[&str], auxiliary: u8) -> Vec<u8> {
    let mut record = vec![kind, auxiliary];
    record.extend((sources.len() as u16).to_be_bytes());
    record.extend(octets(group));
    sources.iter().for_each(|source| record.extend(octets(source)));
    record.extend(vec![0xaa; usize::from(auxiliary) * 4]);
    record
}

/// A report of version 3, or of MLD version 2, from a host.
fn report(from: &str, records: &[Vec<u8>]) -> Vec<u8> {
    let count = records.len() as u16;
    if from.contains(':') {
        six(from, "ff02::16", mld_report(count, records))
    } else {
        four(from, "224.0.0.22", igmp_report(count, records))
    }
}

fn joined(gate: &mut Gate) -> BTreeMap<String, GroupState> {
    let all = groups(gate.instance().maps()).expect("readable");
    all.into_iter().map(|state| (state.group.to_string(), state)).collect()
}

/// What the table has of a group: its mode, sources and reporters.
fn told(gate: &mut Gate, group: &str) -> Option<(&'static str, Vec<String>, Vec<String>)> {
    let text = |all: &[IpAddr]| all.iter().map(IpAddr::to_string).collect();
    joined(gate).get(group).map(|s| (s.mode, text(&s.sources), text(&s.reporters)))
}

fn stats(gate: &mut Gate) -> Stats {
    gate.instance().maps().groups().stats().expect("readable")
}

#[test]
fn every_type_of_record_is_read_in_both_families() {
    for (host, group, one, two) in [
        ("192.0.2.7", GROUP, "10.0.0.1", "10.0.0.2"),
        ("fe80::7", GROUP6, "2001:db8::1", "2001:db8::2"),
    ] {
        let mut gate = gate("");
        // Each tells of a host that it has joined, or not, and what of: the type, sources, and what the table has then.
        for (kind, sources, expected) in [
            (6, vec![one], None::<(&str, Vec<&str>)>),
            (3, vec![], None),
            (1, vec![], None),
            (5, vec![one], Some(("include", vec![one]))),
            (5, vec![two], Some(("include", vec![one, two]))),
            (4, vec![one], Some(("exclude", vec![]))),
            (2, vec![two], Some(("exclude", vec![]))),
            (4, vec![], Some(("exclude", vec![]))),
        ] {
            let seen = gate.run(&report(host, &[record(kind, group, &sources, 0)]));
            assert_eq!(seen.verdict(), Verdict::Pass);
            let found = told(&mut gate, group);
            let found = found.map(|(mode, sources, reporters)| {
                assert_eq!(reporters, [host]);
                (mode, sources)
            });
            let expected =
                expected.map(|(mode, s)| (mode, s.iter().map(|s| (*s).to_owned()).collect()));
            assert_eq!(found, expected, "record {kind} of {sources:?}");
        }
        // Excluded at once, where nobody had asked for it.
        let other = if host.contains(':') { "ff0e::1:2" } else { "239.1.1.2" };
        gate.run(&report(host, &[record(4, other, &[one], 0)]));
        assert_eq!(told(&mut gate, other), Some(("exclude", vec![one.into()], vec![host.into()])));
    }
}

#[test]
fn records_behind_others_are_read_whatever_the_others_have() {
    for (host, groups, source) in [
        ("192.0.2.7", ["239.1.1.1", "239.1.1.2", "239.1.1.3"], "10.0.0.1"),
        ("fe80::7", ["ff0e::1", "ff0e::2", "ff0e::3"], "2001:db8::1"),
    ] {
        let mut gate = gate("");
        let many = vec![source; 40];
        gate.run(&report(
            host,
            &[
                record(4, groups[0], &[], 3),
                // More sources than are kept, in a list of those that aren't wanted.
                record(2, groups[1], &many, 2),
                record(5, groups[2], &[source], 0),
            ],
        ));
        let all: Vec<String> = joined(&mut gate).into_keys().collect();
        assert_eq!(all, groups);
        assert_eq!(told(&mut gate, groups[2]).expect("it is there").0, "include");
        // An unknown type says nothing (RFC 9776 4.2.12), and what stands behind it is read.
        gate.run(&report(host, &[record(7, groups[2], &[], 0), record(3, groups[0], &[], 0)]));
        assert_eq!(
            told(&mut gate, groups[0]).expect("until its time is out").2,
            Vec::<String>::new()
        );
    }
}

#[test]
fn older_versions_join_and_leave() {
    let mut gate = gate("");
    gate.run(&four("192.0.2.7", GROUP, igmp(0x16, 0, GROUP)));
    gate.run(&four("192.0.2.8", "239.1.1.2", igmp(0x12, 0, "239.1.1.2")));
    gate.run(&six("fe80::7", GROUP6, mld(131, GROUP6)));
    let all = joined(&mut gate);
    let versions: Vec<(&str, u8)> = all.iter().map(|(g, s)| (g.as_str(), s.version)).collect();
    assert_eq!(versions, [(GROUP, 2), ("239.1.1.2", 1), (GROUP6, 1)]);
    // Others may have kept silent, so it stays until somebody has asked.
    gate.run(&four("192.0.2.7", "224.0.0.2", igmp(0x17, 0, GROUP)));
    gate.run(&six("fe80::7", "ff02::2", mld(132, GROUP6)));
    assert_eq!(joined(&mut gate).len(), 3);
    assert_eq!((stats(&mut gate).joins, stats(&mut gate).leaves), (3, 2));
    gate.run(&four("192.0.2.1", GROUP, igmp(0x11, 10, GROUP)));
    gate.run(&six("fe80::1", GROUP6, mld(130, GROUP6)));
    let mut expires = |group: &str| joined(&mut gate)[group].expires_s;
    assert!(
        expires(GROUP) <= 2.0 && expires(GROUP6) <= 20.0,
        "{} {}",
        expires(GROUP),
        expires(GROUP6)
    );
    assert!(expires("239.1.1.2") > 250.0);
}

/// RFC 988: requests to an agent, with an identifier before the group and an access key behind it.
#[test]
fn version_0_joins_confirms_and_leaves() {
    let mut gate = gate("");
    let request = |ty: u8, group: &str| {
        let message = Message::new(ty, 0).word(7).octets(octets(group)).octets([0; 8]);
        Ipv4::between("192.0.2.7", "192.0.2.1").ttl(9).igmp(message).frame().build()
    };
    gate.run(&request(3, GROUP));
    gate.run(&request(7, "239.1.1.2"));
    for group in [GROUP, "239.1.1.2"] {
        let expected = Some(("exclude", vec![], vec!["192.0.2.7".to_owned()]));
        assert_eq!(told(&mut gate, group), expected, "{group}");
        assert_eq!(joined(&mut gate)[group].version, 2);
    }
    gate.run(&request(5, GROUP));
    assert_eq!(told(&mut gate, GROUP), Some(("exclude", vec![], vec![])));
    assert_eq!((stats(&mut gate).joins, stats(&mut gate).leaves), (2, 1));
    // Its other requests, and replies, say nothing of who listens; nor does one about what is no group.
    for ty in [1, 2, 4, 6, 8] {
        gate.run(&request(ty, "239.1.1.3"));
    }
    gate.run(&request(3, "192.0.2.9"));
    assert_eq!(joined(&mut gate).len(), 2);
}

/// All the room that there is.
#[test]
fn a_table_that_is_full_takes_no_more() {
    let most = u32::try_from(GROUPS).expect("it fits");
    let mut gate = gate(&format!(
        "max-per-interface = {most}\nmax-per-host = {most}\njoins-per-second = 1000000"
    ));
    let group = |n: u32| record(4, &std::net::Ipv4Addr::from(0xef01_0000 + n).to_string(), &[], 0);
    let all: Vec<Vec<u8>> = (0..most).map(group).collect();
    for records in all.chunks(180) {
        gate.send(&report("192.0.2.7", records));
    }
    gate.settle();
    assert_eq!(joined(&mut gate).len(), GROUPS);
    assert_eq!(stats(&mut gate), Stats { joins: most.into(), ..Stats::default() });
    // By another host, on another link, of which the interface has its own count.
    gate.run(&report("fe80::7", &[record(4, GROUP6, &[], 0)]));
    let after = stats(&mut gate);
    assert_eq!((joined(&mut gate).len(), after.table_full + after.interface_full), (GROUPS, 1));
    // Who is a member stays one.
    gate.run(&report("192.0.2.7", &[record(2, "239.1.0.0", &[], 0)]));
    assert_eq!(stats(&mut gate), after);
}

/// What isn't to be believed, or says nothing, leaves no trace.
#[test]
fn what_is_no_report_makes_no_member() {
    let join = |group| [record(4, group, &[], 0)];
    // Two records are counted, and one is there.
    let lies = four("192.0.2.7", "224.0.0.22", igmp_report(2, &join(GROUP)));
    let mut bad = report("192.0.2.7", &join(GROUP));
    *bad.last_mut().expect("octets") ^= 1;
    for (what, frame, drops) in [
        ("no group", report("192.0.2.7", &join("192.0.2.9")), true),
        ("a count that lies", lies, true),
        ("a bad checksum", bad, true),
        ("no records", report("192.0.2.7", &[]), false),
        ("everybody's group", report("192.0.2.7", &join("224.0.0.1")), false),
        ("all nodes", report("fe80::7", &join("ff02::1")), false),
        ("a group of one machine", report("fe80::7", &join("ff01::9")), false),
        ("from another link", report("2001:db8::7", &join(GROUP6)), true),
        (
            "a leave of what nobody joined",
            four("192.0.2.7", "224.0.0.2", igmp(0x17, 0, GROUP)),
            false,
        ),
        (
            "a hop limit of 64",
            {
                Ipv4::between("192.0.2.7", GROUP).ttl(64).igmp(igmp(0x16, 0, GROUP)).frame().build()
            },
            true,
        ),
    ] {
        let mut gate = gate("");
        let verdict = gate.run(&frame).verdict();
        assert_eq!(verdict, if drops { Verdict::Drop } else { Verdict::Pass }, "{what}");
        assert!(joined(&mut gate).is_empty(), "{what}: {:?}", joined(&mut gate));
        assert_eq!(stats(&mut gate), Stats::default(), "{what}");
    }
    // Looking away from a check doesn't make what it finds true.
    let checks = "[checks]\nhop-limit = \"observe\"\ngroup-source = \"observe\"\n";
    let mut gate = Gate::new(&format!("{OPEN}{checks}"));
    let far = Ipv4::between("192.0.2.7", GROUP).ttl(64).igmp(igmp(0x16, 0, GROUP)).frame().build();
    for frame in [far, report("2001:db8::7", &join(GROUP6))] {
        assert_eq!(gate.run(&frame).verdict(), Verdict::Pass);
    }
    assert!(joined(&mut gate).is_empty());
}

#[test]
fn what_a_rule_drops_makes_no_member() {
    let mut gate = Gate::new(
        "profile = \"host\"\n[[rule]]\nname = \"none\"\nfamily = \"igmp\"\naction = \"drop\"\n",
    );
    gate.run(&report("192.0.2.7", &[record(4, GROUP, &[], 0)]));
    assert!(joined(&mut gate).is_empty());
    gate.apply(&format!("{OPEN}[groups]\nlearn = false\n"));
    gate.run(&report("192.0.2.7", &[record(4, GROUP, &[], 0)]));
    assert!(joined(&mut gate).is_empty());
}

/// Who has no address yet is a member as well, though nobody knows when he leaves.
#[test]
fn a_reporter_without_an_address_joins_and_is_not_kept_apart() {
    for (host, group) in [("0.0.0.0", GROUP), ("::", GROUP6)] {
        let mut gate = gate("");
        gate.run(&report(host, &[record(4, group, &[], 0)]));
        assert_eq!(told(&mut gate, group), Some(("exclude", vec![], vec![])));
        gate.run(&report(host, &[record(3, group, &[], 0)]));
        assert!(joined(&mut gate)[group].expires_s > 250.0, "others may be as nameless");
    }
}

#[test]
fn bounds_are_kept_and_counted() {
    // Groups of an interface.
    let mut first = gate("max-per-interface = 3\n");
    for n in 1..=5 {
        first.run(&report("192.0.2.7", &[record(4, &format!("239.1.1.{n}"), &[], 0)]));
    }
    assert_eq!((joined(&mut first).len(), stats(&mut first).interface_full), (3, 2));
    // A leave makes room once it is swept.
    first.run(&report("192.0.2.7", &[record(3, "239.1.1.1", &[], 0)]));
    drop(first);

    // Groups of a host.
    let mut second = gate("max-per-host = 2\n");
    for host in ["192.0.2.7", "192.0.2.8"] {
        for n in 1..=4 {
            second.run(&report(host, &[record(4, &format!("239.1.1.{n}"), &[], 0)]));
        }
    }
    assert_eq!((joined(&mut second).len(), stats(&mut second).host_full), (2, 4));
    // What it leaves, it may join again, or another.
    second.run(&report("192.0.2.7", &[record(3, "239.1.1.1", &[], 0)]));
    second.run(&report("192.0.2.7", &[record(4, "239.1.1.9", &[], 0)]));
    assert_eq!(told(&mut second, "239.1.1.9").expect("it is there").2, ["192.0.2.7"]);
    drop(second);

    // New members a second.
    let mut third = gate("joins-per-second = 2\n");
    for n in 1..=100 {
        third.run(&report("192.0.2.7", &[record(4, &format!("239.1.1.{n}"), &[], 0)]));
    }
    let (in_table, refused) = (joined(&mut third).len(), stats(&mut third).join_rate);
    assert!((2..100).contains(&in_table), "{in_table}");
    assert_eq!(in_table as u64 + refused, 100);
    // Who is a member already is none that is new.
    let before = stats(&mut third).join_rate;
    for _ in 0..50 {
        third.run(&report("192.0.2.7", &[record(4, "239.1.1.1", &[], 0)]));
    }
    assert_eq!(stats(&mut third).join_rate, before);
    drop(third);

    // Sources and reporters of a group.
    let mut fourth = gate("");
    let sources: Vec<String> = (1..=SOURCES + 1).map(|n| format!("10.0.0.{n}")).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    fourth.run(&report("192.0.2.7", &[record(5, GROUP, &sources[..SOURCES], 0)]));
    assert_eq!(
        (told(&mut fourth, GROUP).expect("one").0, stats(&mut fourth).group_full),
        ("include", 0)
    );
    fourth.run(&report("192.0.2.7", &[record(5, GROUP, &sources[SOURCES..], 0)]));
    assert_eq!(
        (told(&mut fourth, GROUP).expect("one").0, stats(&mut fourth).group_full),
        ("exclude", 1)
    );
    fourth.run(&report("192.0.2.7", &[record(5, "239.1.1.2", &sources, 0)]));
    assert_eq!(told(&mut fourth, "239.1.1.2").expect("one").0, "exclude");
    for n in 1..=REPORTERS + 2 {
        fourth.run(&report(&format!("192.0.2.{n}"), &[record(4, "239.1.1.3", &[], 0)]));
    }
    let reporters = told(&mut fourth, "239.1.1.3").expect("one").2.len();
    assert_eq!((reporters, stats(&mut fourth).group_full), (REPORTERS, 4));
}

#[test]
fn what_has_run_out_is_swept_and_makes_room() {
    let mut gate = gate("max-per-interface = 2\nmax-per-host = 2\n");
    for n in 1..=2 {
        gate.run(&report("192.0.2.7", &[record(4, &format!("239.1.1.{n}"), &[], 0)]));
    }
    gate.run(&report("192.0.2.7", &[record(3, "239.1.1.1", &[], 0)]));
    assert_eq!(joined(&mut gate).len(), 2, "until its time is out");
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    assert_eq!(joined(&mut gate).len(), 1);
    gate.run(&report("192.0.2.8", &[record(4, "239.1.1.3", &[], 0)]));
    assert_eq!(joined(&mut gate).len(), 1, "it still has its place");
    let secret = gate.instance().maps().policy_info().expect("readable").secret;
    assert_eq!(gate.instance().maps().groups_mut().sweep(secret).expect("swept"), 1);
    gate.run(&report("192.0.2.8", &[record(4, "239.1.1.3", &[], 0)]));
    assert_eq!(joined(&mut gate).len(), 2, "and then it hasn't");
}

/// What it was in before is counted among its own until it is swept, so to be in it again takes no more room.
#[test]
fn a_host_at_its_bound_comes_back_to_what_it_was_in() {
    let mut gate = gate("max-per-host = 1");
    gate.run(&hasty().frame().to_many().build());
    let join = |group| report("192.0.2.7", &[record(4, group, &[], 0)]);
    gate.run(&join(GROUP));
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    assert!(joined(&mut gate).is_empty(), "its time is out");
    gate.run(&join("239.1.1.2"));
    assert_eq!((joined(&mut gate).len(), stats(&mut gate).host_full), (0, 1));
    gate.run(&join(GROUP));
    assert_eq!(told(&mut gate, GROUP).expect("it is there").2, ["192.0.2.7"]);
    // It counts once: a leave gives back all that it took.
    gate.run(&report("192.0.2.7", &[record(3, GROUP, &[], 0)]));
    gate.run(&join("239.1.1.2"));
    assert_eq!(told(&mut gate, "239.1.1.2").expect("it is there").2, ["192.0.2.7"]);
    gate.run(&join("239.1.1.3"));
    assert_eq!(
        (joined(&mut gate).contains_key("239.1.1.3"), stats(&mut gate).host_full),
        (false, 2)
    );
}

/// VLANs are links of their own.
#[test]
fn a_group_belongs_to_the_vlan_that_it_was_joined_on() {
    let mut gate = gate("");
    let packet = Ipv4::between("192.0.2.7", GROUP).ttl(1).igmp(igmp(0x16, 0, GROUP));
    for tags in 0..=2 {
        gate.run(&packet.clone().frame().tags(tags).build());
    }
    let all = groups(gate.instance().maps()).expect("readable");
    let vlans: Vec<_> = all.iter().map(|s| (s.vlan, s.inner_vlan)).collect();
    assert_eq!(vlans, [(None, None), (Some(100), None), (Some(100), Some(101))]);
}

#[test]
fn the_lowest_querier_is_elected_and_sets_the_times() {
    let mut gate = gate("");
    let query = |from: &str, tenths: u8, robustness: u8, seconds: u8| {
        let message = igmp(0x11, tenths, "0.0.0.0").octets([robustness, seconds, 0, 0]);
        four(from, "224.0.0.1", message)
    };
    let asks = |gate: &mut Gate| {
        let all = queriers(gate.instance().maps()).expect("readable");
        all.first().and_then(|q| q.querier).map(|q| q.to_string())
    };
    // For how long a member counts as one, to what a slow machine may take to look.
    let lasts = |gate: &mut Gate, seconds: f64| {
        gate.run(&report("192.0.2.7", &[record(4, GROUP, &[], 0)]));
        let expires = joined(gate)[GROUP].expires_s;
        assert!((seconds - 5.0..=seconds).contains(&expires), "{expires} of {seconds}");
    };
    assert_eq!(asks(&mut gate), None);
    lasts(&mut gate, 260.0);
    gate.run(&query("192.0.2.9", 100, 2, 60));
    assert_eq!(asks(&mut gate).as_deref(), Some("192.0.2.9"));
    lasts(&mut gate, 130.0);
    gate.run(&query("192.0.2.3", 50, 3, 20));
    for other in ["192.0.2.4", "0.0.0.0"] {
        gate.run(&query(other, 100, 2, 125));
        assert_eq!(asks(&mut gate).as_deref(), Some("192.0.2.3"), "{other}");
        lasts(&mut gate, 65.0);
    }
    // A storm of queries that demand haste makes members run out no sooner than in 2 s.
    for _ in 0..200 {
        gate.run(&query("192.0.2.1", 1, 1, 1));
    }
    gate.run(&report("192.0.2.7", &[record(4, "239.1.1.2", &[], 0)]));
    assert!(joined(&mut gate).contains_key("239.1.1.2"));
    assert_eq!(queriers(gate.instance().maps()).expect("readable").len(), 1);
}

/// A general query of version 3 from a switch without an address, which wants answers within a tenth of a second.
fn asked() -> Ipv4 {
    let message = igmp(0x11, 1, "0.0.0.0").octets([2, 125, 0, 0]);
    Ipv4::between("0.0.0.0", "224.0.0.1").ttl(1).igmp(message)
}

/// One whose times are the shortest that there are.
fn hasty() -> Ipv4 {
    let message = igmp(0x11, 1, "0.0.0.0").octets([1, 1, 0, 0]);
    Ipv4::between("0.0.0.0", "224.0.0.1").ttl(1).igmp(message)
}

/// A datagram to a group, as it is sent on a link.
fn datagram(group: &str, tags: usize) -> Vec<u8> {
    Ipv4::between("192.0.2.1", group).payload(17, [0; 8]).frame().tags(tags).to_many().build()
}

/// Whether it leaves.
fn leaves(gate: &mut Gate, group: &str, tags: usize) -> bool {
    gate.run_egress(origin::FORWARDED, &datagram(group, tags)).verdict() == Verdict::Pass
}

/// Until all have answered.
fn wait_for_answers() {
    std::thread::sleep(std::time::Duration::from_millis(1_200));
}

/// Who has listened for longer than somebody asks has to be asked before it is known.
#[test]
fn nothing_is_kept_back_until_all_have_had_the_time_to_answer() {
    let mut gate = gate("gate = true");
    assert!(leaves(&mut gate, GROUP, 0), "nobody has asked");
    gate.run(&asked().frame().to_many().build());
    assert!(leaves(&mut gate, GROUP, 0), "its members are about to answer");
    gate.run(&report("192.0.2.7", &[record(2, GROUP, &[], 0)]));
    wait_for_answers();
    assert!(leaves(&mut gate, GROUP, 0));
    assert!(!leaves(&mut gate, "239.1.1.2", 0), "nobody has answered");
    gate.run(&asked().frame().to_many().build());
    assert!(!leaves(&mut gate, "239.1.1.2", 0), "and it stays known");
}

/// What was joined while nobody learnt it is asked for before anything is kept back.
#[test]
fn what_was_joined_while_nothing_was_learnt_is_not_kept_back() {
    let mut gate = gate("gate = true");
    gate.run(&asked().frame().to_many().build());
    wait_for_answers();
    assert!(leaves(&mut gate, GROUP, 0), "no report comes here");
    gate.run(&report("192.0.2.8", &[record(2, "239.1.1.9", &[], 0)]));
    assert!(!leaves(&mut gate, GROUP, 0));
    gate.apply(&format!("{OPEN}[groups]\nlearn = false\n"));
    gate.run(&report("192.0.2.7", &[record(4, GROUP, &[], 0)]));
    gate.apply(&format!("{OPEN}[groups]\ngate = true\n"));
    assert!(leaves(&mut gate, GROUP, 0));
}

/// Where tags are taken off, reports of a VLAN are learnt as of none; own queries are seen with theirs.
#[test]
fn nothing_of_a_vlan_is_kept_back_where_tags_may_be_taken_off() {
    for vlan_unknown in [true, false] {
        let mut gate = gate("gate = true");
        gate.endpoint(&Endpoint { vlan_unknown, ..Endpoint::default() });
        let query = asked();
        gate.run_egress(origin::GENERATED, &query.frame().tags(1).to_many().build());
        gate.run_egress(origin::GENERATED, &query.frame().to_many().build());
        wait_for_answers();
        assert_eq!(leaves(&mut gate, GROUP, 1), vlan_unknown);
        assert!(!leaves(&mut gate, GROUP, 0));
    }
}

/// A report on one link takes nothing from what another has said.
#[test]
fn a_group_is_registered_for_as_long_as_on_any_link() {
    let mut gate = gate("gate = true\nunregistered = \"pass\"");
    gate.run(&asked().frame().tags(2).to_many().build());
    let other = Ipv4::between("192.0.2.8", "239.1.1.9").ttl(1).igmp(igmp(0x16, 0, "239.1.1.9"));
    gate.run(&other.frame().tags(2).build());
    let joins = Ipv4::between("192.0.2.7", GROUP).ttl(1).igmp(igmp(0x16, 0, GROUP));
    gate.run(&joins.frame().build());
    // In VLAN 100 alone.
    gate.run(&hasty().frame().tags(1).to_many().build());
    gate.run(&joins.frame().tags(1).build());
    std::thread::sleep(std::time::Duration::from_millis(2_200));
    assert!(!leaves(&mut gate, GROUP, 2), "it has a member elsewhere");
    assert!(leaves(&mut gate, "239.1.1.2", 2));
}

/// Who sends tags can name more VLANs than there is room for links: those that nobody asks on make room.
#[test]
fn links_where_nobody_is_make_room() {
    let mut gate = gate("max-per-interface = 4096");
    let joins = Ipv4::between("192.0.2.7", GROUP).ttl(1).igmp(igmp(0x16, 0, GROUP));
    for vlan in 0..LINKS as u16 {
        gate.send(&joins.frame().tag(0x8100, vlan).build());
    }
    gate.settle();
    let known = |gate: &mut Gate| queriers(gate.instance().maps()).expect("readable").len();
    gate.run(&asked().frame().tags(2).to_many().build());
    assert_eq!(known(&mut gate), LINKS, "all are taken");
    wait_for_answers();
    let secret = gate.instance().maps().policy_info().expect("readable").secret;
    gate.instance().maps().groups_mut().sweep(secret).expect("swept");
    gate.run(&asked().frame().tags(2).to_many().build());
    assert_eq!(known(&mut gate), 1);
}

/// Of a query to this machine alone nobody else knows, so nobody answers.
#[test]
fn a_query_that_others_could_not_hear_is_none() {
    let mut gate = gate("gate = true");
    gate.run(&asked().frame().build());
    wait_for_answers();
    assert!(leaves(&mut gate, GROUP, 0));
    assert!(queriers(gate.instance().maps()).expect("readable").is_empty());
    // Nor does one of a group make its members answer.
    gate.run(&asked().frame().to_many().build());
    gate.run(&report("192.0.2.7", &[record(4, GROUP, &[], 0)]));
    let about = Ipv4::between("0.0.0.0", GROUP).ttl(1).igmp(igmp(0x11, 10, GROUP));
    gate.run(&about.frame().build());
    assert!(joined(&mut gate)[GROUP].expires_s > 250.0);
}

/// A multicast router is known by its hello, of either family; what only looks like one is no packet of PIM.
#[test]
fn a_hello_is_pims_and_of_ip() {
    const PIM: u8 = 103;
    let hello = [0x20, 0, 0, 0, 0, 1, 0, 2, 0, 30];
    let of_v4 = |protocol| {
        let packet = Ipv4::between("192.0.2.7", "224.0.0.13").ttl(1).payload(protocol, hello);
        packet.frame().to_many()
    };
    let of_v6 = |protocol| {
        let packet = Ipv6::between("fe80::7", "ff02::d").hop_limit(1).payload(protocol, hello);
        packet.frame().to_many()
    };
    let mut gate = gate("");
    let known = |gate: &mut Gate| -> Vec<(&'static str, bool)> {
        let links = queriers(gate.instance().maps()).expect("readable");
        links.iter().map(|link| (link.protocol, link.other_router)).collect()
    };
    for other in [
        of_v4(17),
        of_v6(17),
        of_v4(PIM).ether_type(0x88b5),
        of_v6(PIM).ether_type(0x88b5),
        of_v6(PIM).ether_type(0x0806),
        of_v6(PIM).tags(3),
    ] {
        gate.run(&other.build());
        assert_eq!(known(&mut gate), [], "{other:?}");
    }
    gate.run(&of_v4(PIM).build());
    assert_eq!(known(&mut gate), [("igmp", true)]);
    gate.run(&of_v6(PIM).tags(2).build());
    assert_eq!(known(&mut gate), [("igmp", true), ("mld", true)]);
}
