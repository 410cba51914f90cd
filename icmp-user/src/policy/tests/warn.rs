//! What holds and is worth a second look.

use crate::policy::{Profile, from_str, profile, warnings};

/// No warning.
const NONE: [&str; 0] = [];

/// The warnings about these rules on the profile `host`, each with its line.
fn of(rules: &str) -> Vec<String> {
    let policy = from_str("p", &format!("profile = \"host\"\n{rules}")).unwrap();
    warnings(&policy).into_iter().map(|w| format!("{}: {}", w.line, w.message)).collect()
}

fn rule(name: &str, rest: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\n{rest}\n")
}

#[test]
fn a_code_that_receivers_ignore_is_never_met() {
    let warned = |types: &str, codes: &str| {
        let what =
            format!("family = \"icmpv6\"\ntype = {types}\ncode = {codes}\naction = \"drop\"");
        of(&rule("a", &what))
    };
    assert_eq!(
        warned("2", "1"),
        [
            "2: rule `a` never matches: receivers ignore the code of type 2 (packet-too-big), so each \
          is taken as 0"
        ]
    );
    assert_eq!(warned("143", "[3, \"5-9\"]").len(), 1);
    assert_eq!(
        warned("[1, 130]", "3"),
        ["2: rule `a` never matches type 130 (multicast-listener-query): receivers ignore the \
          code, so each is taken as 0"]
    );
    // Code 0 stands for all of them, and other types have codes.
    for (types, codes) in [("2", "0"), ("2", "[0, 1]"), ("1", "3"), ("129", "3")] {
        assert_eq!(warned(types, codes), NONE, "{types}/{codes}");
    }
}

/// Who says how to gate means to gate.
#[test]
fn how_to_gate_comes_to_nothing_where_nothing_is_gated() {
    let idle = |line: usize, key: &str| {
        format!(
            "{line}: `{key}` of [groups] comes to nothing without `gate`: multicast leaves by every \
             interface"
        )
    };
    let groups = |lines: &str| of(&format!("[groups]\n{lines}\n"));
    assert_eq!(groups("mode = \"observe\""), [idle(3, "mode")]);
    assert_eq!(groups("gate = false\nmode = \"enforce\""), [idle(4, "mode")]);
    let fixed = "static = { interface = \"eth1\", group = \"239.1.1.1\" }";
    assert_eq!(
        groups(&format!("{fixed}\nother-routers = \"all\"\nunregistered = \"pass\"")),
        [idle(3, "static"), idle(4, "other-routers"), idle(5, "unregistered")]
    );
    for gate in ["true", "[\"eth1\"]"] {
        let all = "mode = \"observe\"\nother-routers = \"all\"\nunregistered = \"pass\"";
        assert_eq!(groups(&format!("gate = {gate}\n{all}\n{fixed}")), NONE);
    }
    assert_eq!(groups("max-per-host = 9\nmax-per-interface = 9\njoins-per-second = 9"), NONE);
}

#[test]
fn unknown_flows_in_transit_are_those_that_a_check_finds() {
    let of_errors = "family = \"icmpv4\"\ntype = 11\naction = \"pass\"\nunknown-flow = \"drop\"";
    let unknown = |what: &str| of(&rule("a", &format!("{of_errors}\n{what}")));
    let idle = "2: rule `a` says what becomes of unknown flows, and asks for none in transit: name the \
                check `flow-contradicted` for that";
    let transit = "destination = \"transit\"";
    assert_eq!(unknown(transit), [idle]);
    assert_eq!(unknown(&format!("{transit}\nchecks = {{ flow-contradicted = \"off\" }}")), [idle]);
    assert_eq!(unknown(&format!("{transit}\nchecks = [\"flow-contradicted\"]")), NONE);
    assert_eq!(unknown("destination = \"local\""), NONE);
    assert_eq!(unknown("checks = { flow-contradicted = \"off\" }"), NONE);
    // Path MTU discovery of what is translated, or has no sockets, breaks as well where those are dropped.
    let all =
        of(&rule("a", "family = \"icmpv4\"\ntype = 3\naction = \"pass\"\nunknown-flow = \"drop\""));
    assert_eq!(
        all,
        [
            "2: rule `a` drops, of unknown flows, `fragmentation-needed`, which the profile keeps apart: path MTU \
          discovery (RFC 1191, RFC 8201) breaks without it"
        ]
    );
}

#[test]
fn a_check_that_comes_to_nothing_says_why() {
    let asks =
        |what: &str| rule("a", &format!("{what}\nchecks = [\"unanswerable\"]\naction = \"pass\""));
    let off = "[checks]\nunanswerable = \"off\"\n";
    assert_eq!(
        of(&format!("{off}{}", asks("destination = \"transit\""))),
        ["4: rule `a` names the check `unanswerable`, which [checks] sets to `off`"]
    );
    let idle =
        ["2: rule `a` names the check `unanswerable`, which is about none of what it matches"];
    for what in [
        "family = \"icmpv4\"\ntype = 8",
        "family = \"icmpv6\"\ntype = \"128-255\"",
        "family = \"igmp\"",
        "fragment = \"later\"",
    ] {
        assert_eq!(of(&asks(what)), idle, "{what}");
    }
    for what in
        ["", "family = \"icmpv4\"\ntype = \"0-5\"", "family = \"icmpv6\"", "fragment = \"first\""]
    {
        assert_eq!(of(&asks(what)), NONE, "{what}");
    }
    // What a rule says of it goes before what all else has.
    let says = rule("a", "checks = { unanswerable = \"observe\" }\naction = \"pass\"");
    assert_eq!(of(&format!("{off}{says}")), NONE);
    let observe = "[checks]\nunanswerable = \"observe\"\n";
    assert_eq!(of(&format!("{observe}{}", asks(""))), NONE);
}

#[test]
fn a_rule_that_takes_in_what_others_break_without_is_told() {
    let broad = |what: &str| of(&rule("a", what));
    let limit = "action = \"limit\"\nlimits = [{ rate = 10, burst = 20, key = \"source\" }]";
    let unreachable = format!("family = \"icmpv4\"\ntype = 3\n{limit}");
    assert_eq!(
        broad(&unreachable),
        ["2: rule `a` limits along with others `fragmentation-needed`, which the profile keeps \
          apart: path MTU discovery (RFC 1191, RFC 8201) breaks without it"]
    );
    assert_eq!(broad(&format!("hook = \"egress\"\n{unreachable}")).len(), 1);
    let dropped = |what: &str| broad(&format!("{what}\naction = \"drop\""));
    let told = dropped("family = \"icmpv6\"\ntype = \"1-136\"");
    let of_each = ["drops `packet-too-big`", "drops `neighbor-solicitation`", "`neighbor-advert"];
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().zip(of_each).all(|(said, part)| said.contains(part)), "{told:?}");
    // Only for some is enough.
    let zone = format!(
        "[zones]\nlan = [\"10.0.0.0/8\"]\n{}",
        rule("a", &format!("zone = \"lan\"\n{unreachable}"))
    );
    assert_eq!(of(&zone).len(), 1);
    // What keeps it apart, names just that, observes, or leaves it to another rule, is meant so.
    let meant = [
        unreachable.replace("key = \"source\"", "reserve = true"),
        unreachable.replace("type = 3", "type = 3\ncode = 4"),
        unreachable.replace("type = 3", "type = 3\ncode = [\"0-3\", \"5-15\"]"),
        format!("{unreachable}\nmode = \"observe\""),
        "family = \"icmpv6\"\ntype = 2\naction = \"drop\"".to_owned(),
    ];
    for policy in meant {
        let told = broad(&policy);
        assert!(!told.iter().any(|said| said.contains("breaks without it")), "{policy}: {told:?}");
    }
    let apart = "family = \"icmpv4\"\ntype = 3\ncode = 4\naction = \"pass\"";
    assert_eq!(of(&[rule("a", &unreachable), rule("b", apart)].concat()), NONE);
}

#[test]
fn a_rule_that_observes_in_place_of_a_drop_names_both() {
    let observed = |name: &str, what: &str| {
        rule(name, &format!("family = \"icmpv4\"\n{what}\naction = \"drop\"\nmode = \"observe\""))
    };
    assert_eq!(
        of(&observed("a", "type = 4")),
        ["2: rule `a` only observes, and takes the place of rule `icmpv4/source-quench` of the \
          profile, which drops: what was dropped passes"]
    );
    let both = of(&observed("a", "type = [4, 13]"));
    assert_eq!(both.len(), 1);
    let names = "the place of rules `icmpv4/source-quench`, `icmpv4/timestamp` of the profile, \
                 which drop: ";
    assert!(both[0].contains(names), "{both:?}");
    // Only somewhere is enough.
    let zone = "[zones]\nlan = [\"10.0.0.0/8\"]\n";
    assert_eq!(of(&format!("{zone}{}", observed("a", "type = 4\nzone = \"lan\""))).len(), 1);
    assert_eq!(of(&observed("a", "type = 4\ninterface = \"eth0\"")).len(), 1);
    assert_eq!(of(&observed("a", "")).len(), 1);
}

#[test]
fn a_rule_that_observes_what_passed_anyway_is_no_wonder() {
    let observed = rule(
        "a",
        "family = \"icmpv4\"\ntype = \"echo-reply\"\naction = \"drop\"\nmode = \"observe\"",
    );
    assert_eq!(of(&observed), NONE);
    // A pass is a pass, whatever its mode; another rule of the operator's decides before the
    // profile; enforced, it drops; and where nothing is enforced, nothing is let through by it.
    let four = "family = \"icmpv4\"\ntype = 4\n";
    assert_eq!(of(&rule("a", &format!("{four}action = \"pass\"\nmode = \"observe\""))), NONE);
    let more = format!("{four}code = 0\naction = \"drop\"\nmode = \"observe\"");
    let own = [rule("a", &more), rule("b", &format!("{four}action = \"pass\""))].concat();
    assert_eq!(of(&own), NONE);
    assert_eq!(of(&rule("a", &format!("{four}action = \"drop\""))), NONE);
    let all = rule("a", &format!("{four}action = \"drop\"\nmode = \"observe\""));
    assert_eq!(of(&format!("mode = \"observe\"\n{all}")), NONE);
}

#[test]
fn profiles_give_no_warnings() {
    for name in Profile::ALL {
        assert_eq!(warnings(&profile(name)), [], "{name:?}");
    }
}
