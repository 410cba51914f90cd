//! The decision table, held against a slow reading of the rules of precedence: random policies are
//! written, compiled, and asked about packets, and every answer compared.

use super::super::*;
use icmp_common::abi::{destination, family, fragment};
use ipnet::IpNet;
use std::cmp::Reverse;
use std::fmt::Write;
use std::net::IpAddr;

/// A packet, as far as rules look at it.
#[derive(Clone, Copy, Debug)]
struct Packet {
    interface: usize,
    family: u8,
    message: Option<(u8, u8)>,
    fragment: u8,
    destination: u8,
    source: IpAddr,
}

const INTERFACES: [&str; 3] = ["eth0", "eth1", "wan"];

fn interface_names() -> Vec<Option<String>> {
    let mut names: Vec<Option<String>> = INTERFACES.iter().map(|n| Some((*n).to_owned())).collect();
    names.insert(1, None);
    names
}

/// The longest prefix of a zone that the source is in.
fn longest(zone: &Zone, source: IpAddr) -> Option<u8> {
    zone.prefixes.iter().filter(|p| p.contains(&source)).map(IpNet::prefix_len).max()
}

/// The name of the rule that decides, by going through all of them (row P1).
fn oracle<'p>(policy: &'p CheckedPolicy, names: &[Option<String>], packet: &Packet) -> &'p str {
    // C3, in words of its own: packet too big, MLD and multicast router discovery have no codes.
    let code = packet.message.map(|(ty, code)| match (packet.family, ty) {
        (family::ICMPV6, 2 | 130 | 131 | 132 | 143 | 151 | 152 | 153) => 0,
        _ => code,
    });
    let best = policy
        .rules
        .iter()
        .filter(|r| r.pattern.hook != Some(Hook::Egress))
        .filter(|r| {
            let p = &r.pattern;
            let has = |values: &Option<Values>, value: Option<u8>| match (values, value) {
                (None, _) => true,
                (Some(values), Some(value)) => values.contains(value),
                (Some(_), None) => false,
            };
            p.family.is_none_or(|f| f == packet.family)
                && has(&p.types, packet.message.map(|m| m.0))
                && has(&p.codes, code)
                && p.fragment.is_none_or(|f| f == packet.fragment)
                && p.destination.is_none_or(|d| d == packet.destination)
                && p.interface.as_ref().is_none_or(|i| names[packet.interface].as_ref() == Some(i))
                && p.zone.is_none_or(|z| longest(&policy.zones[z], packet.source).is_some())
        })
        .max_by_key(|r| {
            let p = &r.pattern;
            let width =
                |values: &Option<Values>| Reverse(values.as_ref().map_or(999, Values::count));
            let rest = u8::from(p.hook.is_some())
                + u8::from(p.destination.is_some())
                + u8::from(p.fragment.is_some());
            (
                r.layer == Layer::Operator,
                p.zone.and_then(|z| longest(&policy.zones[z], packet.source)),
                p.interface.is_some(),
                width(&p.codes),
                width(&p.types),
                p.family.is_some(),
                rest,
            )
        });
    &best.expect("every profile ends in rules that match all").name
}

/// What the kernel does: the longest prefix gives the zone set, the table the rule.
fn kernel<'c>(compiled: &'c Compiled, packet: &Packet) -> &'c str {
    let set = match packet.source {
        IpAddr::V4(source) => compiled
            .zones_v4
            .iter()
            .filter(|(net, _)| net.contains(&source))
            .max_by_key(|(net, _)| net.prefix_len())
            .map_or(0, |(_, set)| *set),
        IpAddr::V6(source) => compiled
            .zones_v6
            .iter()
            .filter(|(net, _)| net.contains(&source))
            .max_by_key(|(net, _)| net.prefix_len())
            .map_or(0, |(_, set)| *set),
    };
    let number = compiled.hook(Hook::Ingress).rule_for(
        packet.interface,
        packet.family,
        packet.message,
        packet.fragment,
        packet.destination,
        set,
    );
    &compiled.hook(Hook::Ingress).rule_names[usize::from(number)]
}

/// Splitmix64: the same policies in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

/// Types that profiles treat apart, and some that they don't.
const TYPES: [u8; 20] =
    [0, 1, 2, 3, 5, 8, 11, 13, 0x11, 0x13, 0x16, 0x22, 99, 100, 128, 130, 135, 137, 148, 255];
const CODES: [u8; 7] = [0, 1, 2, 4, 5, 9, 255];

fn random_values(random: &mut Random, from: &[u8]) -> String {
    match random.below(4) {
        0 => {
            let (a, b) = (random.pick(from), random.pick(from));
            format!("\"{}-{}\"", a.min(b), a.max(b))
        }
        1 => format!("[{}, \"{}\"]", random.pick(from), random.pick(from)),
        _ => random.pick(from).to_string(),
    }
}

fn random_rule(random: &mut Random, number: usize) -> String {
    let mut rule = format!("[[rule]]\nname = \"r{number}\"\naction = \"pass\"\n");
    let later = random.one_in(8);
    if !random.one_in(6) {
        let f = random.pick(&family::ALL);
        writeln!(rule, "family = \"{}\"", family::label(f)).unwrap();
        if !later && !random.one_in(4) {
            writeln!(rule, "type = {}", random_values(random, &TYPES)).unwrap();
            if random.one_in(2) {
                writeln!(rule, "code = {}", random_values(random, &CODES)).unwrap();
            }
        }
    }
    if random.one_in(3) {
        writeln!(rule, "zone = \"{}\"", random.pick(&["a", "b", "c", "monitors"])).unwrap();
    }
    if random.one_in(4) {
        writeln!(rule, "interface = \"{}\"", random.pick(&["eth0", "wan", "absent"])).unwrap();
    }
    if random.one_in(4) {
        writeln!(rule, "destination = \"{}\"", random.pick(&["local", "transit"])).unwrap();
    }
    if later {
        rule.push_str("fragment = \"later\"\n");
    } else if random.one_in(5) {
        writeln!(rule, "fragment = \"{}\"", random.pick(&["none", "first"])).unwrap();
    }
    if random.one_in(6) {
        rule.push_str("hook = \"ingress\"\n");
    }
    rule
}

const ZONES: &str = "
[zones]
a = [\"10.0.0.0/8\", \"10.1.2.0/24\", \"2001:db8::/32\"]
b = [\"10.1.0.0/16\", \"192.0.2.7\", \"2001:db8:1::/48\"]
c = [\"10.1.2.3\", \"2001:db8:1:2::/64\", \"0.0.0.0/0\"]
";

const SOURCES_V4: [&str; 6] =
    ["10.9.9.9", "10.1.9.9", "10.1.2.9", "10.1.2.3", "192.0.2.7", "198.51.100.1"];
const SOURCES_V6: [&str; 4] = ["2001:db8:9::9", "2001:db8:1:9::9", "2001:db8:1:2::9", "fe80::1"];

fn compare(policy: &CheckedPolicy, names: &[Option<String>], types: &[u8], codes: &[u8]) -> usize {
    let context = CompileContext { interface_names: names, ..CompileContext::EMPTY };
    let compiled = policy.compile(&context).unwrap();
    let mut compared = 0;
    let mut ask = |packet: Packet| {
        let (expected, found) = (oracle(policy, names, &packet), kernel(&compiled, &packet));
        assert_eq!(found, expected, "{packet:?}");
        compared += 1;
    };
    for family in family::ALL {
        let sources: &[&str] = if family == family::ICMPV6 { &SOURCES_V6 } else { &SOURCES_V4 };
        for source in sources.iter().map(|s| s.parse().unwrap()) {
            for interface in 0..names.len() {
                for destination in 0..destination::COUNT as u8 {
                    let packet = |message, fragment| Packet {
                        interface,
                        family,
                        message,
                        fragment,
                        destination,
                        source,
                    };
                    for fragment in 0..fragment::COUNT as u8 {
                        ask(packet(None, fragment));
                    }
                    for fragment in [fragment::NONE, fragment::FIRST] {
                        for ty in types {
                            for code in codes {
                                ask(packet(Some((*ty, *code)), fragment));
                            }
                        }
                    }
                }
            }
        }
    }
    compared
}

#[test]
fn the_table_of_each_profile_agrees_with_a_slow_reading_of_its_rules() {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    for name in Profile::ALL {
        let text = format!("profile = \"{}\"\n[zones]\nmonitors = [\"10.1.0.0/16\"]", name.name());
        let policy = from_str("f", &text).unwrap();
        assert!(compare(&policy, &[None], &all, &CODES) > 50_000);
    }
}

#[test]
fn the_tables_of_random_policies_agree_with_a_slow_reading_of_their_rules() {
    let names = interface_names();
    let mut random = Random(20_260_101);
    for round in 0..60 {
        let name = random.pick(&Profile::ALL);
        let mut text = format!("profile = \"{}\"\n{ZONES}", name.name());
        let mut policy = from_str("f", &text).unwrap();
        // Rules that tie with one before are refused, and left out.
        for number in 0..4 + random.below(12) as usize {
            let longer = format!("{text}{}", random_rule(&mut random, number));
            match from_str("f", &longer) {
                Ok(longer_policy) => (text, policy) = (longer, longer_policy),
                Err(errors) => assert!(
                    errors.iter().all(|e| e.message.contains("neither is more specific")),
                    "{errors}"
                ),
            }
        }
        assert!(policy.rules[0].layer == Layer::Operator, "round {round}");
        compare(&policy, &names, &TYPES, &CODES);
    }
}

#[test]
fn a_hundred_thousand_prefixes_are_numbered_right() {
    let mut text = "profile = \"host\"\n[zones]\n".to_owned();
    // An outer zone of /16s, and an inner one of /32s of which every third lies in one of them.
    text.push_str("outer = [");
    (0..85).for_each(|i| write!(text, "\"10.{}.0.0/16\",", 3 * i).unwrap());
    text.push_str("]\ninner = [");
    for i in 0..100_000_u32 {
        write!(text, "\"10.{}.{}.{}\",", i % 255, (i / 255) % 256, i / 65_280).unwrap();
    }
    text.push_str("]\nmonitors = [");
    (0..50_000).for_each(|i| write!(text, "\"2001:db8:{i:x}::/48\",").unwrap());
    text.push_str("]\n");
    for (name, zone) in [("a", "outer"), ("b", "inner")] {
        write!(
            text,
            "[[rule]]\nname = \"{name}\"\nfamily = \"icmpv4\"\nzone = \"{zone}\"\naction = \"drop\"\n"
        )
        .unwrap();
    }
    let policy = from_str("f", &text).unwrap();
    let compiled = policy.compile(&CompileContext::EMPTY).unwrap();
    let names = |set: u32| -> Vec<&str> {
        let zones = &compiled.zone_sets[set as usize];
        zones.iter().map(|z| policy.zones[*z].name.as_str()).collect()
    };
    assert_eq!(compiled.zones_v4.len(), 85 + 100_000);
    assert_eq!(compiled.zones_v6.len(), 50_000);
    for (net, set) in &compiled.zones_v4 {
        let inside = net.addr().octets()[1] % 3 == 0;
        let expected: &[&str] = match (net.prefix_len(), inside) {
            (16, _) => &["outer"],
            (_, true) => &["inner", "outer"],
            (_, false) => &["inner"],
        };
        assert_eq!(names(*set), expected, "{net}");
    }
    assert!(compiled.zones_v6.iter().all(|(_, set)| names(*set) == ["monitors"]));
    assert_eq!(compiled.info.prefixes, 150_085);
}
