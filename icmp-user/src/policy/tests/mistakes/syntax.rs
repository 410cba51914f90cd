//! Mistakes of the document: what is no TOML, what is missing, what is unknown.

use super::*;

#[test]
fn the_least_policy_is_one_line() {
    for text in [MINIMAL, "profile=\"router\"", "# x\r\nprofile = 'strict'\r\n"] {
        assert_mistakes(text, &[]);
    }
}

#[test]
fn the_whole_syntax_is_taken() {
    assert_mistakes(
        r#"
profile = "host"
mode = "enforce"
[checks]
bad-checksum = "observe"
error-source = "off"
message-length = "enforce"
[zones]
monitors = ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]
empty = []
[[rule]]
name = "timestamps-from-monitors"
family = "icmpv4"
type = "timestamp"
code = 0
zone = "monitors"
interface = "eth0"
destination = "local"
fragment = "none"
hook = "ingress"
action = "limit"
limit = { rate = 5000, burst = 5000, every = "minute", unit = "octets", key = "total" }
mode = "observe"
source = "ticket of the operator's"
[[rule]]
name = "ranges"
family = "icmpv6"
type = [200, "201-210", "0xf0-0xff", "echo-request"]
code = ["1-2", "9"]
action = "pass"
[[rule]]
name = "all-later-fragments"
fragment = "later"
action = "drop"
"#,
        &[],
    );
}

#[test]
fn an_empty_file_is_told_what_the_least_one_is() {
    for text in ["", "\n\n", "# nothing yet\n", "\u{feff}"] {
        assert_mistakes(
            text,
            &["1:1: the policy is empty; expected at least the line profile = \"host\""],
        );
    }
}

#[test]
fn a_profile_is_needed_and_must_be_one() {
    assert_mistakes(
        "mode = \"observe\"\n",
        &["1:1: the policy has no `profile`; expected profile = `host`, `router`, `strict` or \
           `observe`"],
    );
    assert_mistakes(
        "profile = \"hosts\"\n",
        &["1:11: unknown profile `hosts`; expected `host`, `router`, `strict` or `observe` (did \
           you mean `host`?)"],
    );
    assert_mistakes(
        "profile = 1\n",
        &["1:11: a whole number does not belong here; expected `host`, `router`, `strict` or \
           `observe`"],
    );
}

#[test]
fn every_mistake_is_reported_in_one_run_and_in_the_order_of_the_file() {
    let text = "profile = \"host\"
mdoe = \"observe\"
[zones]
a = [\"10.0.0.1/8\"]
[[rule]]
name = \"x\"
family = \"icmpv4\"
type = 256
action = \"pas\"
[[rule]]
name = \"x\"
action = \"limit\"
limit = { rate = 0, burst = 0 }
zone = \"b\"
";
    assert_mistakes(
        text,
        &[
            "2:1: unknown key `mdoe` of a policy; expected `profile`, `mode`, `checks`, `limits`, \
             `interfaces`, `routers`, `groups`, `zones` or `rule` (did you mean `mode`?)",
            "4:6: the prefix `10.0.0.1/8` has bits set behind its length; expected \
             \"10.0.0.0/8\", or \"10.0.0.1/32\" for that one host",
            "8:8: `256` is out of the range of a type; expected a type: a number from 0 to 255, a \
             range like \"13-14\", or a name",
            "9:10: unknown action `pas`; expected `pass`, `drop`, `limit`, `reject`, `reply` or `verify-redirect` (did you mean `pass`?)",
            "11:8: a second rule has the name `x`; the first is on line 6; expected a name of its \
             own",
            "13:18: a rate of 0 lets nothing pass; expected a whole number of 1 or more; for \
             nothing at all: action = \"drop\"",
            "13:29: a burst of 0 lets nothing pass; expected a whole number of 1 or more: what may \
             pass at once",
            "14:8: there is no zone `b`; expected `a`",
        ],
    );
}

#[test]
fn broken_syntax_is_told_with_what_was_expected() {
    assert_mistakes(
        "profile = host\n[zones\n",
        &[
            "1:11: string values must be quoted; expected literal string",
            "2:7: unclosed table; expected `]`",
        ],
    );
    assert_mistakes(
        "profile = \"host\"\n= 3\n[[rule]\nname = \"a\n",
        &[
            "2:1: unquoted keys cannot be empty; expected letters, numbers, `-`, `_`",
            "3:8: unclosed array table; expected `]`",
        ],
    );
}

#[test]
fn what_is_never_closed_is_told_where_it_was_opened_and_once() {
    let text = "profile = \"host\"
[zones]
a = [\"10.0.0.0/8\"
b = [\"192.0.2.0/24\"]
[[rule]]
name = \"a\"
type = \"timestmp\"
action = \"limit\"
limit = { rate = 5, burst = 5
[[rule]]
name = \"b\"
action = drop
[[rule]
name = \"b\"
action = \"pass\"
[[rule]]
name = \"c
action = \"pas\"
";
    assert_mistakes(
        text,
        &[
            "3:5: what is opened here is never closed; expected `]`",
            &format!("7:8: unknown type `timestmp`; {TYPE} (did you mean `timestamp`?)"),
            "9:9: what is opened here is never closed; expected `}`",
            "12:10: string values must be quoted; expected literal string",
            "13:8: unclosed array table; expected `]`",
            "17:10: invalid basic string; expected `\"`",
            "18:10: unknown action `pas`; expected `pass`, `drop`, `limit`, `reject`, `reply` or `verify-redirect` (did you mean `pass`?)",
        ],
    );
}

#[test]
fn broken_syntax_does_not_hide_other_mistakes() {
    assert_mistakes(
        "profile = \"host\"\nmode = observe\n[zones]\na = [\"10.0.0.0/33\"]\n",
        &[
            "2:8: string values must be quoted; expected literal string",
            "4:6: `10.0.0.0/33` is not a prefix; expected an IPv4 or IPv6 prefix like \
             \"192.0.2.0/24\" or \"2001:db8::/32\", or an address",
        ],
    );
}

#[test]
fn a_key_given_twice_names_both_lines() {
    assert_mistakes(
        "profile = \"host\"\n[zones]\na = [\"10.0.0.0/8\"]\nb = []\n\"a\" = [\"192.0.2.0/24\"]\n",
        &["5:1: `a` is given twice; first on line 3; expected each key once"],
    );
    assert_mistakes(
        "profile = \"host\"\n[zones]\n[[rule]]\nname = \"a\"\naction = \"pass\"\nname = \"b\"\n",
        &["6:1: `name` is given twice; first on line 4; expected each key once"],
    );
    assert_mistakes(
        "profile = \"host\"\n[zones]\na = []\n[zones]\nb = []\n",
        &["4:2: `zones` is given twice; first on line 2; expected each key once"],
    );
}

#[test]
fn a_nest_too_deep_is_refused() {
    let text = format!("profile = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let found = mistakes(&text);
    assert!(found[0].contains("max recursion depth"), "{found:?}");
    let text = format!("{}a = 1", "a.".repeat(10_000));
    assert!(!mistakes(&text).is_empty());
}

#[test]
fn no_cut_of_a_policy_makes_the_reader_fail() {
    let whole = "profile = \"host\"\n[zones]\nä = [\"10.0.0.0/8\", # ö\n]\n[[rule]]\nname = \"a\"\n\
                 limit = { rate = 5, burst = \"\"\"x\n\"\"\" }\n[checks]\n'quote' = \"off\"\n";
    let cuts = whole.char_indices().flat_map(|(at, c)| {
        let without = format!("{}{}", &whole[..at], &whole[at + c.len_utf8()..]);
        [whole[..at].to_owned(), whole[at..].to_owned(), without]
    });
    for cut in cuts {
        let shown = from_str("f", &cut).err().map(|e| e.to_string());
        assert!(shown.is_none_or(|s| s.starts_with("f:")), "{cut}");
    }
}

#[test]
fn checks_are_those_of_this_version() {
    let found = mistakes(
        "profile = \"host\"\n[checks]\nbad-checksums = \"off\"\nredirect = \"off\"\ndenied = \"off\"\n\
         error-source = \"of\"\nip-version = true\n",
    );
    let expected = [
        "3:1: unknown check `bad-checksums`; expected `ip-version`, ",
        "4:1: unknown check `redirect`; expected `ip-version`, ",
        "5:1: `denied` is a reason, but no check; expected `ip-version`, ",
        "6:16: unknown setting `of`; expected `enforce`, `observe` or `off` (did you mean `off`?)",
        "7:14: true or false does not belong here; expected `enforce`, `observe` or `off`",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
    assert!(found[0].ends_with("(did you mean `bad-checksum`?)"), "{}", found[0]);
    assert_mistakes(
        "profile = \"host\"\nchecks = \"off\"\n",
        &["2:10: a string does not belong here; expected a table: [checks]"],
    );
}

#[test]
fn a_byte_order_mark_and_what_stands_before_a_mistake_do_not_move_its_column() {
    for bom in ["", "\u{feff}"] {
        assert_mistakes(
            &format!("{bom}profil = \"host\"\r\n# ä\r\n'ö' = 1\r\n"),
            &[
                "1:1: unknown key `profil` of a policy; expected `profile`, `mode`, `checks`, \
                 `limits`, `interfaces`, `routers`, `groups`, `zones` or `rule` (did you mean `profile`?)",
                "1:1: the policy has no `profile`; expected profile = `host`, `router`, `strict` or \
                 `observe`",
                "3:1: unknown key `ö` of a policy; expected `profile`, `mode`, `checks`, `limits`, \
                 `interfaces`, `routers`, `groups`, `zones` or `rule`",
            ],
        );
        assert_mistakes(
            &format!("{bom}profile = \"host\"\nmode = \"öbserve\"  # ö\nx = \"ö\"; y = 1"),
            &[
                "2:8: unknown mode `öbserve`; expected `enforce` or `observe` (did you mean \
                 `observe`?)",
                "3:8: unexpected key or value; expected newline, `#`",
            ],
        );
    }
}
