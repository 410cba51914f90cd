//! Policies that don't hold: whichever command is given one says the same and changes nothing.

use crate::{WRONG, refused, said};
use icmpgate_tests::{Site, netns::HOST_IF};

/// The commands that take a policy, each with the words before its path.
fn commands() -> [String; 4] {
    [
        "check".to_owned(),
        format!("run --iface {HOST_IF} --metrics off --policy"),
        format!("attach --iface {HOST_IF} --policy"),
        "explain --hex 00 --policy".to_owned(),
    ]
}

/// A file with these mistakes, each a place and a message up to what was expected, must be refused
/// with a line for each and one that sums them up.
#[track_caller]
fn mistakes(content: &str, expected: &[&str]) {
    let site = Site::new();
    let file = site.file("policy.toml", content);
    for command in commands() {
        let output = site.icmpgate(&format!("{command} {file}"));
        assert_eq!(output.status.code(), Some(WRONG), "{command}: {}", said(&output));
        let text = said(&output);
        let found: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(&file)).collect();
        assert_eq!(found.len(), expected.len(), "{command}: {text}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(&format!(":{expected}")), "{command}: {text}");
            assert!(found.contains("; expected "), "{command}: {text}");
        }
        let n = expected.len();
        let plural = if n == 1 { "" } else { "s" };
        let changes = command.starts_with("run") || command.starts_with("attach");
        let unchanged = if changes { "; nothing was changed" } else { "" };
        let last = format!("icmpgate: {file} has {n} mistake{plural}{unchanged}");
        assert_eq!(text.lines().last(), Some(&last[..]), "{command}");
        assert!(output.stdout.is_empty(), "{command}");
        site.assert_nothing_left();
    }
}

#[test]
fn a_file_that_is_missing_is_one_line() {
    let site = Site::new();
    for command in commands() {
        let line = "/nowhere/p.toml: the policy file can't be read: No such file or directory (os \
                    error 2); expected the path of a policy file";
        refused(&site, &mut site.command(&format!("{command} /nowhere/p.toml")), WRONG, line);
    }
}

#[test]
fn a_file_that_is_none_is_one_line() {
    let site = Site::new();
    for command in commands() {
        let line = "/tmp: this is a directory; expected a policy file";
        refused(&site, &mut site.command(&format!("{command} /tmp")), WRONG, line);
    }
}

#[test]
fn a_file_of_10_mb_is_one_line() {
    let site = Site::new();
    let file = site.file("policy.toml", vec![b'#'; 10_000_000]);
    for command in commands() {
        let line = format!(
            "{file}: the file is larger than 8388608 octets (8 MiB); expected at most that; 100,000 \
             prefixes take about 3 MiB"
        );
        refused(&site, &mut site.command(&format!("{command} {file}")), WRONG, &line);
    }
}

#[test]
fn an_empty_file_is_told_the_line_that_it_lacks() {
    mistakes("", &["1:1: the policy is empty; expected at least the line profile = \"host\""]);
    mistakes("# nothing\n[zones]\n", &["1:1: the policy has no `profile`"]);
}

#[test]
fn a_byte_order_mark_is_read_past() {
    let site = Site::new();
    let good = site.file("good.toml", "\u{feff}profile = \"strict\"\n");
    let plain = site.file("plain.toml", "profile = \"strict\"\n");
    let table = |file: &str| site.done(&format!("check {file}")).replace(file, "FILE");
    assert_eq!(table(&good), table(&plain));
    // And it is no column.
    mistakes("\u{feff}profile = \"hots\"\n", &["1:11: unknown profile `hots`"]);
}

#[test]
fn names_that_stand_twice_name_the_other_line() {
    let twice = "profile = \"host\"\n\
        [[rule]]\nname = \"a\"\nfamily = \"igmp\"\naction = \"drop\"\n\
        [[rule]]\nname = \"a\"\nfamily = \"icmpv4\"\naction = \"drop\"\n";
    mistakes(twice, &["7:8: "]);
    mistakes("profile = \"host\"\nprofile = \"strict\"\n", &["2:1: "]);
    mistakes("profile = \"host\"\n[zones]\na = []\na = []\n", &["4:1: "]);
}

#[test]
fn a_prefix_in_two_zones_names_both() {
    mistakes(
        "profile = \"host\"\n[zones]\na = [\"10.0.0.0/8\"]\nb = [\"10.0.0.0/8\"]\n",
        &["4:6: the prefix 10.0.0.0/8 is in zone `b` and in zone `a`; the other is on line 3"],
    );
}

/// A policy of one rule, from whose fifth line on these stand.
fn rule(lines: &str) -> String {
    format!("profile = \"host\"\n[[rule]]\nname = \"a\"\nfamily = \"icmpv4\"\n{lines}\n")
}

#[test]
fn types_and_codes_that_there_are_not_are_marked() {
    mistakes(
        &rule("action = \"drop\"\ntype = \"ehco-request\""),
        &["6:8: unknown type `ehco-request`"],
    );
    mistakes(&rule("action = \"drop\"\ntype = 256"), &["6:8: `256` is out of the range of a type"]);
    mistakes(
        &rule("action = \"drop\"\ntype = 3\ncode = 256"),
        &["7:8: `256` is out of the range of a code"],
    );
    mistakes(
        &rule("action = \"drop\"\ntype = 3\ncode = \"no-such-code\""),
        &["7:8: unknown code `no-such-code`"],
    );
}

#[test]
fn rates_beyond_their_range_are_marked() {
    let limit =
        |rate: &str| rule(&format!("action = \"limit\"\nlimit = {{ rate = {rate}, burst = 5 }}"));
    mistakes(&limit("0"), &["6:18: a rate of 0 lets nothing pass"]);
    mistakes(&limit("-1"), &["6:18: a rate of -1 makes no limit"]);
    mistakes(&limit("1000000001"), &["6:18: a rate of 1000000001 packets per second is too high"]);
    mistakes(
        &limit("18446744073709551616"),
        &["6:18: a rate of 18446744073709551616 makes no limit"],
    );
}

#[test]
fn a_prefix_with_host_bits_is_marked_and_the_right_one_named() {
    mistakes(
        "profile = \"host\"\n[zones]\na = [\"192.0.2.1/24\", \"2001:db8::1/32\"]\n",
        &[
            "3:6: the prefix `192.0.2.1/24` has bits set behind its length; expected \
             \"192.0.2.0/24\"",
            "3:22: the prefix `2001:db8::1/32` has bits set behind its length; expected \
             \"2001:db8::/32\"",
        ],
    );
}

#[test]
fn every_mistake_is_shown_and_not_the_first() {
    mistakes(
        "profile = \"hots\"\n\
         [zones]\na = [\"10.0.0.1/8\"]\n\
         [[rule]]\nname = \"x\"\nfamily = \"icmpv4\"\ntype = 999\naction = \"pas\"\n",
        &["1:11: ", "3:6: ", "7:8: ", "8:10: "],
    );
}

#[test]
fn a_file_that_is_no_toml_is_marked() {
    mistakes("profile = \"host\"\n[[rule]\n", &["2:"]);
}
