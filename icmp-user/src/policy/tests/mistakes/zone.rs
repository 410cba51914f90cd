//! Mistakes in zones, and too much of anything.

use super::*;

#[test]
fn prefixes_are_prefixes() {
    const EXPECTED: &str = "expected an IPv4 or IPv6 prefix like \"192.0.2.0/24\" or \
                            \"2001:db8::/32\", or an address";
    for (prefix, message) in [
        ("\"10.0.0/8\"", format!("`10.0.0/8` is not a prefix; {EXPECTED}")),
        ("\"eth0\"", format!("`eth0` is not a prefix; {EXPECTED}")),
        ("\"\"", format!("`` is not a prefix; {EXPECTED}")),
        ("\"fe80::1%eth0\"", format!("`fe80::1%eth0` is not a prefix; {EXPECTED}")),
        ("\"010.0.0.1\"", format!("`010.0.0.1` is not a prefix; {EXPECTED}")),
        ("\"2001:db8::/129\"", format!("`2001:db8::/129` is not a prefix; {EXPECTED}")),
        ("10", format!("a whole number does not belong here; {EXPECTED}")),
        (
            "\"2001:db8::1/32\"",
            "the prefix `2001:db8::1/32` has bits set behind its length; expected \
             \"2001:db8::/32\", or \"2001:db8::1/128\" for that one host"
                .to_owned(),
        ),
        (
            "\"::ffff:192.0.2.0/120\"",
            "`::ffff:192.0.2.0/120` is an IPv4-mapped prefix, which no packet has; expected \
             \"192.0.2.0/24\""
                .to_owned(),
        ),
    ] {
        assert_mistakes(
            &format!("{MINIMAL}[zones]\na = [\"192.0.2.7\", {prefix}]\n"),
            &[&format!("3:19: {message}")],
        );
    }
    assert_mistakes(
        &format!("{MINIMAL}[zones]\na = \"10.0.0.0/8\"\n\"A b\" = []\n"),
        &[
            "3:5: a string does not belong here; expected a list of prefixes: [\"192.0.2.0/24\", \
             \"2001:db8::/32\"]",
            "4:1: `A b` is no name for a zone; expected lower-case letters, digits and hyphens, at \
             most 64",
        ],
    );
}

#[test]
fn a_prefix_in_two_zones_names_both_lines() {
    let zones =
        "a = [\n  \"10.0.0.0/8\",\n  \"192.0.2.7\"]\nb = [\"10.0.0.0/8\",\"192.0.2.7/32\"]\n";
    assert_mistakes(
        &format!("{MINIMAL}[zones]\n{zones}"),
        &[
            "6:6: the prefix 10.0.0.0/8 is in zone `b` and in zone `a`; the other is on line 4; \
             expected a prefix in one zone only",
            "6:19: the prefix 192.0.2.7/32 is in zone `b` and in zone `a`; the other is on line 5; \
             expected a prefix in one zone only",
        ],
    );
    // Twice in one zone is idle.
    assert_mistakes(&format!("{MINIMAL}[zones]\na = [\"10.0.0.0/8\", \"10.0.0.0/8\"]\n"), &[]);
}

#[test]
fn too_many_prefixes_are_refused_where_they_become_too_many() {
    let mut text = format!("{MINIMAL}[zones]\na = [\n");
    for i in 0..=131_072_u32 {
        text.push_str(&format!("\"10.{}.{}.{}\",\n", i >> 16, (i >> 8) & 255, i & 255));
    }
    text.push_str("]\n");
    assert_mistakes(
        &text,
        &["131076:1: the zones have 131073 IPv4 prefixes; expected at most 131072"],
    );
}

#[test]
fn too_many_rules_are_refused_where_they_become_too_many() {
    let mut text = MINIMAL.to_owned();
    for i in 0..1024 {
        text.push_str(&format!(
            "[[rule]]\nname = \"r{i}\"\nfamily = \"icmpv4\"\ntype = {}\ncode = {}\naction = \"drop\"\n",
            i / 256,
            i % 256
        ));
    }
    let found = mistakes(&text);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains(":1: the policy has 1024 rules; expected at most "), "{found:?}");
}
