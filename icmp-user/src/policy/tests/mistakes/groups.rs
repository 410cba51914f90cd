//! What `[groups]` can have wrong.

use super::*;
use icmp_common::{member::StaticKey, wire::ipv6::Address};

fn groups(lines: &str, expected: &[&str]) {
    assert_mistakes(&format!("{MINIMAL}[groups]\n{lines}\n"), expected);
}

#[test]
fn what_is_right_is_taken() {
    groups("", &[]);
    groups("learn = false", &[]);
    for gate in ["true", "false", "\"eth1\"", "[\"eth1\", \"eth2\"]"] {
        groups(&format!("gate = {gate}\nmode = \"observe\"\nunregistered = \"pass\""), &[]);
    }
    groups("other-routers = \"members\"\nmax-per-interface = 1\nmax-per-host = 65536", &[]);
    groups("joins-per-second = 1000000", &[]);
    for fixed in [
        "{ interface = \"eth1\", group = \"239.1.1.1\" }",
        "[{ interface = \"eth1\", group = \"ff3e::8000:1\", source = \"2001:db8::1\", vlan = 4094 }]",
    ] {
        groups(&format!("static = {fixed}"), &[]);
    }
}

/// IPv4 in mapped form means IPv4: no packet of IPv6 is to it.
#[test]
fn a_mapped_address_is_one_of_ipv4() {
    let fixed = |group: &str| {
        let text = format!("[groups]\nstatic = {{ interface = \"eth1\", group = \"{group}\" }}\n");
        from_str("test", &format!("profile = \"host\"\n{text}"))
            .expect("it holds")
            .groups
            .compile_fixed(&[Some("eth1".to_owned())])
    };
    assert_eq!(fixed("::ffff:239.1.1.1"), fixed("239.1.1.1"));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    const GATE: &str = "expected true, false, or the interfaces: [\"eth1\"]";
    const GROUP: &str = "expected a multicast address that isn't for all of a link: not of 224.0.0.0/24, nor of \
                         ff02::/16 or narrower";
    const SOURCE: &str = "expected the address of a host, of the group's family";
    let one = |rest: &str| format!("static = {{ interface = \"eth1\", {rest} }}");
    groups(
        "gates = true",
        &[
            "3:1: unknown key `gates` of [groups]; expected `learn`, `gate`, `mode`, `unregistered`, \
           `other-routers`, `max-per-interface`, `max-per-host`, `joins-per-second` or `static` (did you mean \
           `gate`?)",
        ],
    );
    groups("gate = 1", &[&format!("3:8: a whole number does not belong here; {GATE}")]);
    groups("gate = []", &[&format!("3:8: the list of interfaces is empty; {GATE}")]);
    groups(
        "gate = [\"eth1\", \"eth1\"]",
        &["3:17: the interface `eth1` is named twice; expected each interface once"],
    );
    groups(
        "learn = false\ngate = true",
        &[
            "3:1: without learning who is a member, nothing can be kept from who isn't; expected learn = true, \
           or gate = false",
        ],
    );
    groups(
        "unregistered = \"flood\"",
        &["3:16: unknown setting `flood`; expected `drop` or `pass`"],
    );
    groups("max-per-host = 0", &["3:16: 0 is out of range; expected a whole number, 1 to 65536"]);
    groups(
        "max-per-interface = 65537",
        &["3:21: 65537 is out of range; expected a whole number, 1 to 65536"],
    );
    groups(
        "joins-per-second = -1",
        &["3:20: -1 is out of range; expected a whole number, 1 to 1000000"],
    );
    groups(
        "static = 1",
        &[
            "3:10: a whole number does not belong here; expected a table: { interface = \"eth1\", group = \
         \"239.1.1.1\" }",
        ],
    );
    groups(
        "static = { group = \"239.1.1.1\" }",
        &["3:10: a static group has no `interface`; expected the name of an interface"],
    );
    groups(&one("vlan = 7"), &[&format!("3:10: a static group has no `group`; {GROUP}")]);
    for wrong in ["10.0.0.1", "224.0.0.251", "224.0.0.1", "ff02::fb", "ff01::1", "2001:db8::1", "x"]
    {
        let text = one(&format!("group = \"{wrong}\""));
        groups(&text, &[&format!("3:40: `{wrong}` does not belong here; {GROUP}")]);
    }
    for wrong in ["239.1.1.2", "0.0.0.0", "2001:db8::1"] {
        let text = one(&format!("group = \"239.1.1.1\", source = \"{wrong}\""));
        groups(&text, &[&format!("3:62: `{wrong}` does not belong here; {SOURCE}")]);
    }
    groups(
        &one("group = \"239.1.1.1\", vlan = 4095"),
        &["3:60: 4095 is out of range; expected a whole number, 1 to 4094"],
    );
    let many = vec!["{ interface = \"a\", group = \"239.1.1.1\" }"; 513].join(", ");
    groups(&format!("static = [{many}]"), &["3:10: 513 static groups; expected at most 512"]);
}

/// What the kernel program has of it.
#[test]
fn interfaces_are_bits_and_only_known_ones_have_groups() {
    let names = ["eth0", "eth1", "eth2"].map(|name| Some(name.to_owned()));
    let read = |lines: &str| {
        let policy = from_str("f", &format!("{MINIMAL}[groups]\n{lines}\n")).expect("it holds");
        (policy.groups.compile(&names), policy.groups.compile_fixed(&names))
    };
    assert_eq!(read("").0.gated, 0);
    assert_eq!(read("gate = true").0.gated, u64::MAX);
    assert_eq!(read("gate = [\"eth2\", \"eth0\", \"gone\"]").0.gated, 0b101);
    assert_eq!(read("learn = false").0, icmp_common::abi::GroupPolicy::default());
    let (policy, fixed) = read(
        "static = [{ interface = \"eth1\", group = \"239.1.1.1\", vlan = 7 }, \
         { interface = \"gone\", group = \"239.1.1.1\" }]",
    );
    assert_eq!(policy.flags, icmp_common::abi::group_flag::STATIC);
    assert_eq!((fixed[0].group.link.interface, fixed[0].group.link.outer), (1, 7));
    let anywhere = StaticKey::anywhere(Address(fixed[0].group.group));
    assert_eq!(fixed[1..], [anywhere], "and it is registered");
}
