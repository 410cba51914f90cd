//! What the maps are given besides decisions, and what people are shown.

use super::{super::*, rendered};
use icmp_common::abi::{
    CELL_SETS, CLASS_FIRST_PAIR, CLASSES, ClassKey, LIMITS, PREFIX_AUTO, TotalLimit, action,
    class_kind, class_other, family, hook, limit_flag, limit_key, policy_flag, rule_flag,
};
use icmp_common::bucket::{UNITS_PER_NS, UNITS_PER_S};
use icmp_common::penalty::{Penalty, flag};
use icmp_common::verdict::{Mode, Reason};
use std::collections::BTreeMap;

fn compile(text: &str) -> Compiled {
    from_str("f", text).unwrap().compile(&CompileContext::EMPTY).unwrap()
}

fn class(compiled: &Compiled, f: u8, ty: u8, code: u8) -> u16 {
    compiled.hook(Hook::Ingress).table.classes[decide::type_index(f, ty)][usize::from(code)].class
}

#[test]
fn assigned_and_named_pairs_are_counted_apart_and_ranges_mint_nothing() {
    let compiled = compile(
        "profile = \"host\"
[[rule]]
name = \"a\"
family = \"icmpv4\"
type = [201, \"202-210\"]
code = [7, \"8-9\", 10]
action = \"pass\"
",
    );
    let other = class_other(family::ICMPV4);
    for (ty, code, apart) in [
        (8, 0, true),
        (201, 7, true),
        (201, 10, true),
        (201, 8, false),
        (202, 7, false),
        (200, 7, false),
    ] {
        let class = class(&compiled, family::ICMPV4, ty, code);
        assert_eq!(class >= CLASS_FIRST_PAIR, apart, "{ty}/{code}");
        if apart {
            let key = ClassKey { kind: class_kind::PAIR, family: family::ICMPV4, ty, code };
            assert_eq!(compiled.class_keys[usize::from(class)], key);
        } else {
            assert_eq!(class, other);
        }
    }
}

#[test]
fn the_registry_of_classes_only_grows() {
    let rule = |ty: u8| {
        format!(
            "profile = \"host\"\n[[rule]]\nname = \"a\"\nfamily = \"igmp\"\ntype = {ty}\ncode = 3\n\
             action = \"drop\"\n"
        )
    };
    let first = compile(&rule(200));
    let mut held = first.class_keys.clone();
    // As the map has it: of its full length, the rest unused.
    held.resize(CLASSES, ClassKey::default());
    let context = CompileContext { class_keys: &held, ..CompileContext::EMPTY };
    let second = from_str("f", &rule(201)).unwrap().compile(&context).unwrap();
    assert_eq!(second.class_keys[..first.class_keys.len()], first.class_keys[..]);
    assert_eq!(second.class_keys.len(), first.class_keys.len() + 1);
    // What an earlier policy named stays counted apart.
    assert_ne!(class(&second, family::IGMP, 200, 3), class_other(family::IGMP));

    let strange = [ClassKey { kind: class_kind::PAIR, family: 1, ty: 0, code: 0 }];
    let context = CompileContext { class_keys: &strange, ..CompileContext::EMPTY };
    let error = profile(Profile::Host).compile(&context).unwrap_err();
    assert_eq!(error, CompileError::Registry);
}

#[test]
fn too_many_classes_are_refused() {
    let mut text =
        "profile = \"host\"\n[[rule]]\nname = \"a\"\nfamily = \"icmpv4\"\naction = \"pass\"\n\
                    type = [200, 201]\ncode = ["
            .to_owned();
    (0..=255).for_each(|code| text.push_str(&format!("{code},")));
    text.push(']');
    let error = from_str("f", &text).unwrap().compile(&CompileContext::EMPTY).unwrap_err();
    let CompileError::Classes { needed } = error else { panic!("{error}") };
    assert!(needed > CLASSES);
    assert!(error.to_string().contains("there is room for 512"), "{error}");
}

#[test]
fn a_table_too_large_says_which_dimension_is() {
    // Every zone inside the one before, and every one named: as many zone sets as zones.
    let mut text = "profile = \"router\"\n[zones]\n".to_owned();
    (0..33).for_each(|i| text.push_str(&format!("z{i} = [\"0.0.0.0/{i}\"]\n")));
    for i in 0..33 {
        for ty in 0..20 {
            text.push_str(&format!(
                "[[rule]]\nname = \"z{i}-{ty}\"\nfamily = \"icmpv4\"\ntype = {ty}\nzone = \"z{i}\"\n\
                 interface = \"eth{ty}\"\naction = \"pass\"\n"
            ));
        }
    }
    let names: Vec<Option<String>> = (0..20).map(|i| Some(format!("eth{i}"))).collect();
    let context = CompileContext { interface_names: &names, ..CompileContext::EMPTY };
    let policy = from_str("f", &text).unwrap();
    let error = policy.compile(&context).unwrap_err();
    assert!(matches!(error, CompileError::Decisions { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("34 zone sets x 21 interfaces")
            && error.contains("most come from its 34 zone sets"),
        "{error}"
    );
    // It can still be shown.
    assert!(policy.table().iter().all(|line| line.decides));
}

const LIMITED: &str = "profile = \"host\"
[[rule]]
name = \"a\"
family = \"icmpv4\"
type = 8
action = \"limit\"
limit = { rate = 5000, burst = 10 }
[[rule]]
name = \"b\"
family = \"icmpv6\"
type = 128
action = \"limit\"
limit = { rate = 1000000, burst = 3000, unit = \"octets\", every = \"minute\" }
mode = \"observe\"
";

/// What the map of limits holds once a policy is in force.
fn owners(compiled: &Compiled) -> Vec<u64> {
    let mut owners = vec![0; LIMITS];
    for used in &compiled.limits {
        owners[used.limit as usize] = used.info.fingerprint;
    }
    owners
}

fn limit_of(compiled: &Compiled, name: &str) -> LimitUse {
    let number = compiled.hook(Hook::Ingress).rule_names.iter().position(|n| n == name).unwrap();
    let of = |l: &&LimitUse| l.info.hook == hook::INGRESS && usize::from(l.rule) == number;
    *compiled.limits.iter().find(of).unwrap()
}

#[test]
fn a_rule_that_did_not_change_keeps_its_limits() {
    let before = compile(LIMITED);
    assert!(before.limits.iter().all(|l| !l.kept && l.info.fingerprint != 0));
    let owners = owners(&before);
    let context = CompileContext { limit_owners: &owners, ..CompileContext::EMPTY };
    // One rule more before the others, and one with another burst.
    let changed = LIMITED.replace("burst = 10 ", "burst = 11 ").replace(
        "[[rule]]\nname = \"a\"",
        "[[rule]]\nname = \"z\"\nfamily = \"igmp\"\naction = \"limit\"\n\
         limit = { rate = 1, burst = 1 }\n[[rule]]\nname = \"a\"",
    );
    let after = from_str("f", &changed).unwrap().compile(&context).unwrap();
    let (b, before_b) = (limit_of(&after, "b"), limit_of(&before, "b"));
    assert!(b.kept && b.limit == before_b.limit && b.info == before_b.info);
    for name in ["a", "z"] {
        let used = limit_of(&after, name);
        assert!(!used.kept, "{name}");
        // The old policy's limits are still in use while the new one is written.
        assert_eq!(owners[used.limit as usize], 0, "{name}");
    }
    let mut taken: Vec<u32> = after.limits.iter().map(|l| l.limit).collect();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), after.limits.len());
    for used in &after.limits {
        let rule = after.hooks[usize::from(used.info.hook)].table.rules[usize::from(used.rule)];
        let limit = match used.place {
            LimitPlace::Total(i) => rule.totals[i].limit,
            LimitPlace::Keyed(i) => rule.keyed[i].limit,
        };
        assert_eq!(limit, used.limit);
    }
}

#[test]
fn no_free_limit_is_an_error_and_fingerprints_are_the_same_in_every_version() {
    let owners = vec![1; LIMITS];
    let context = CompileContext { limit_owners: &owners, ..CompileContext::EMPTY };
    let error = profile(Profile::Host).compile(&context).unwrap_err();
    assert_eq!(error, CompileError::Limits);
    // Pinned maps hold these: a change of the hash would empty every bucket on an upgrade.
    assert_eq!(limit_of(&compile(LIMITED), "a").info.fingerprint, FINGERPRINT_OF_A);
}

const FINGERPRINT_OF_A: u64 = 5_988_711_863_789_244_854;

#[test]
fn a_rule_says_what_it_counts_and_which_clock_it_reads() {
    // HZ 250: a tick is 4 ms; 10 packets at 5,000 a second take 2 ms, 3,000 octets at a million a
    // minute take 180 ms.
    let context = CompileContext { tick_units: 4_000_000 * UNITS_PER_NS, ..CompileContext::EMPTY };
    let compiled = from_str("f", LIMITED).unwrap().compile(&context).unwrap();
    let rule = |name: &str| {
        let number =
            compiled.hook(Hook::Ingress).rule_names.iter().position(|n| n == name).unwrap();
        compiled.hook(Hook::Ingress).table.rules[number]
    };
    let (a, b) = (rule("a"), rule("b"));
    assert_eq!((a.action, a.flags, a.totals[0].flags), (action::LIMIT, 0, limit_flag::RANDOM));
    assert_eq!((b.action, b.flags), (action::LIMIT, rule_flag::OBSERVE));
    let all = limit_flag::OCTETS | limit_flag::TICKS | limit_flag::RANDOM;
    assert_eq!(b.totals[0].flags, all);
    assert_eq!(a.totals[0].cost, 51_200_000);
    assert_eq!(a.totals[0].depth, 512_000_000);
}

#[test]
fn limits_by_key_are_apart_from_those_in_total_and_have_secrets_of_their_own() {
    let text = |more: &str| {
        format!(
            "profile = \"host\"\n[[rule]]\nname = \"a\"\nfamily = \"icmpv6\"\naction = \"limit\"\n\
             limits = [{{ rate = 9, burst = 3, key = \"source\", prefix-v6 = 56 }}, \
             {{ rate = 10, burst = 4, random = false }}, {{ rate = 11, burst = 5, key = \"link\"{more} }}]"
        )
    };
    let context = CompileContext { secret: 7, ..CompileContext::EMPTY };
    let compiled = from_str("f", &text("")).unwrap().compile(&context).unwrap();
    let rule = compiled.hook(Hook::Ingress).table.rules[usize::from(limit_of(&compiled, "a").rule)];
    assert_eq!((rule.totals[0].cost, rule.totals[0].flags), (UNITS_PER_S / 10, 0));
    assert_eq!(rule.totals[1], TotalLimit::default());
    let [source, link] = rule.keyed;
    assert_eq!((source.key, source.prefix_v4, source.prefix_v6), (limit_key::SOURCE, 32, 56));
    assert_eq!((link.key, link.prefix_v6), (limit_key::LINK, PREFIX_AUTO));
    assert_ne!(source.secret, link.secret);
    let other = CompileContext { secret: 8, ..CompileContext::EMPTY };
    let other = from_str("f", &text("")).unwrap().compile(&other).unwrap();
    let number = usize::from(limit_of(&other, "a").rule);
    assert_ne!(other.hook(Hook::Ingress).table.rules[number].keyed[0].secret, source.secret);
}

#[test]
fn the_table_of_keys_has_the_size_that_is_asked_for_or_the_policy_does_not_fit() {
    let sets = |keys: u32| {
        from_str("f", &format!("profile = \"host\"\n[limits]\nkeys = {keys}")).unwrap().cell_sets()
    };
    assert_eq!((sets(1024), sets(1025), sets(1 << 20)), (256, 512, 1 << 18));
    assert_eq!(profile(Profile::Host).cell_sets(), CELL_SETS);
    let policy = from_str("f", "profile = \"host\"\n[limits]\nkeys = 4096").unwrap();
    let context = CompileContext { cell_sets: Some(CELL_SETS), ..CompileContext::EMPTY };
    let error = policy.compile(&context).unwrap_err();
    assert_eq!(error, CompileError::Keys { wanted: 4096, found: 65_536 });
    // A policy that says nothing takes what there is.
    let context = CompileContext { cell_sets: Some(1024), ..CompileContext::EMPTY };
    assert_eq!(
        profile(Profile::Host).compile(&context).unwrap().hook(Hook::Ingress).table.cell_mask,
        1023
    );
}

#[test]
fn flags_say_which_stages_a_policy_needs() {
    let zones = "[zones]\nmonitors = [\"192.0.2.0/24\"]\nidle = [\"2001:db8::/32\"]\n";
    let cases = [
        ("profile = \"host\"".to_owned(), 0),
        ("profile = \"router\"".to_owned(), policy_flag::DESTINATION),
        (format!("profile = \"strict\"\n{zones}"), policy_flag::ZONES_V4),
        ("profile = \"observe\"".to_owned(), policy_flag::OBSERVE),
        ("profile = \"observe\"\nmode = \"enforce\"".to_owned(), 0),
        (
            "profile = \"host\"\nmode = \"observe\"\n[zones]\nmonitors = [\"2001:db8::/32\"]"
                .to_owned(),
            policy_flag::OBSERVE | policy_flag::ZONES_V6,
        ),
    ];
    for (text, flags) in cases {
        let compiled = compile(&text);
        assert_eq!(compiled.hook(Hook::Ingress).table.flags, flags, "{text}");
        let table = &compiled.hook(Hook::Ingress).table;
        assert_eq!(table.destination_stride != 0, flags & policy_flag::DESTINATION != 0, "{text}");
        let zones = policy_flag::ZONES_V4 | policy_flag::ZONES_V6;
        assert_eq!(table.zone_stride != 0, flags & zones != 0, "{text}");
        assert_ne!(table.fragment_stride, 0);
    }
}

#[test]
fn checks_of_the_file_go_over_those_of_the_profile() {
    let policy = from_str(
        "f",
        "profile = \"router\"\n[checks]\nbad-checksum = \"observe\"\nerror-source = \"off\"\n\
         extension-headers-beyond-bound = \"enforce\"\n",
    )
    .unwrap();
    assert_eq!(policy.checks.bits(CheckMode::Off), Reason::ERROR_SOURCE.bit());
    let compiled = policy.compile(&CompileContext::EMPTY).unwrap();
    assert_eq!(compiled.hook(Hook::Ingress).table.checks_off, Reason::ERROR_SOURCE.bit());
    // The profile's own stay.
    let observed = Reason::BAD_CHECKSUM.bit() | Reason::ROUTER_ALERT.bit();
    assert_eq!(compiled.hook(Hook::Ingress).table.checks_observe, observed);
}

/// The checks of what errors quote.
const OF_ERRORS: u32 = Reason::UNANSWERABLE.bit()
    | Reason::QUOTE_SOURCE.bit()
    | Reason::QUOTE_MTU.bit()
    | Reason::QUOTE_POINTER.bit();

/// What a table line shows of these checks.
fn shown_checks(checks: &[(&'static str, &'static str)]) -> BTreeMap<&'static str, &'static str> {
    checks.iter().copied().collect()
}

#[test]
fn a_rule_has_the_checks_that_it_names_and_this_version_makes() {
    let policy = from_str(
        "f",
        "profile = \"host\"\n[[rule]]\nname = \"asks\"\nfamily = \"icmpv4\"\ntype = 11\n\
         action = \"pass\"\nchecks = [\"unanswerable\"]\n[[rule]]\nname = \"does-not\"\n\
         family = \"icmpv4\"\ntype = 12\naction = \"pass\"\n",
    )
    .unwrap();
    let compiled = policy.compile(&CompileContext::EMPTY).unwrap();
    let table = policy.table();
    let unanswerable = ("unanswerable", "enforce");
    let every = [
        ("quote-mtu", "enforce"),
        ("quote-pointer", "enforce"),
        ("quote-source", "enforce"),
        unanswerable,
    ];
    for (name, bits, checks, shown) in [
        ("asks", Reason::UNANSWERABLE.bit(), &[unanswerable][..], "pass, checks unanswerable"),
        ("does-not", 0, &[], "pass"),
        (
            "icmpv4/unreachable",
            OF_ERRORS,
            &every,
            "by source; unknown flows limit 10 packets per second, burst 20, by source, checks quote-mtu, \
             quote-pointer, quote-source, unanswerable",
        ),
        ("icmpv4/redirect", 0, &[], "verify-redirect, limit 10 packets per second"),
    ] {
        let number =
            compiled.hook(Hook::Ingress).rule_names.iter().position(|n| n == name).unwrap();
        assert_eq!(compiled.hook(Hook::Ingress).table.rules[number].checks, bits, "{name}");
        let line = table.iter().find(|l| l.rule == name).unwrap();
        assert_eq!(line.checks, shown_checks(checks), "{name}");
        let text = rendered(&table);
        let text = text.lines().find(|l| l.contains(&format!("  {name} "))).unwrap();
        assert!(text.contains(shown), "{text}");
    }
    // What is sent is held to it as well.
    let egress = table.iter().find(|l| l.rule == "egress/errors").unwrap();
    assert_eq!(egress.checks, shown_checks(&[("unanswerable", "enforce")]));
}

#[test]
fn an_interface_keeps_its_offset_by_its_stable_index() {
    let text = "profile = \"host\"
[[rule]]
name = \"a\"
family = \"icmpv4\"
type = 8
interface = \"eth1\"
action = \"drop\"
[[rule]]
name = \"b\"
family = \"icmpv4\"
type = 8
interface = \"gone\"
action = \"drop\"
";
    let names = [Some("eth0".to_owned()), None, Some("eth1".to_owned())];
    let context = CompileContext { interface_names: &names, ..CompileContext::EMPTY };
    let compiled = from_str("f", text).unwrap().compile(&context).unwrap();
    let rule = |id: usize| {
        let number =
            compiled.hook(Hook::Ingress).rule_for(id, family::ICMPV4, Some((8, 0)), 0, 0, 0);
        compiled.hook(Hook::Ingress).rule_names[usize::from(number)].as_str()
    };
    assert_eq!(
        [rule(0), rule(1), rule(2), rule(63)],
        ["icmpv4/echo-request", "icmpv4/echo-request", "a", "icmpv4/echo-request"]
    );
    assert_eq!(compiled.absent_interfaces, ["gone"]);
}

#[test]
fn what_is_known_of_a_policy_names_its_profile_and_file() {
    let mut policy = from_str("f", "profile = \"strict\"\nmode = \"observe\"").unwrap();
    policy.path = Some(std::path::PathBuf::from(format!("/{}/end", "x".repeat(300))));
    let info = policy.compile(&CompileContext::EMPTY).unwrap().info;
    assert_eq!(info.profile, *b"strict\0\0\0\0\0\0\0\0\0\0");
    assert_eq!((info.observe, info.prefixes), (1, 0));
    assert!(info.path.ends_with(b"x/end\0") && info.path.starts_with(b"xxx"));
    assert_eq!(profile(Profile::Host).compile(&CompileContext::EMPTY).unwrap().info.path, [0; 184]);
}

#[test]
fn the_table_shows_what_decides_and_what_never_does() {
    let policy = from_str(
        "p.toml",
        "profile = \"host\"
[[rule]]
name = \"echo\"
type = \"echo-request\"
family = \"icmpv4\"
interface = \"eth0\"
action = \"limit\"
limit = { rate = 10, burst = 20 }
[[rule]]
name = \"no-timestamps\"
type = \"timestamp\"
action = \"drop\"
",
    )
    .unwrap();
    let table = policy.table();
    let line = |rule: &str| table.iter().find(|l| l.rule == rule).unwrap();
    let echo = line("echo");
    assert_eq!((echo.family, echo.types.as_deref()), (Some("icmpv4"), Some("8 echo-request")));
    assert_eq!(echo.limit.as_deref(), Some("10 packets per second, burst 20"));
    assert_eq!((echo.interface.as_deref(), echo.from.as_str()), (Some("eth0"), "p.toml:2"));
    assert!(echo.decides && line("icmpv4/echo-request").decides);
    assert_eq!(line("no-timestamps").family, Some("icmpv4"));
    assert!(line("no-timestamps").decides && !line("icmpv4/timestamp").decides);
    assert!(line("icmpv4/timestamp").from.starts_with("profile host:"));
    // The operator's rule stands before the profile's of the same message.
    let place = |rule: &str| table.iter().position(|l| l.rule == rule).unwrap();
    assert!(place("echo") < place("icmpv4/echo-request"));
    assert!(place("icmpv4/echo-request") < place("icmpv6/unreachable"));
    let text = rendered(&table);
    let shown = text.lines().find(|l| l.contains(" icmpv4/timestamp ")).unwrap();
    assert!(shown.contains("never reached"), "{shown}");
}

#[test]
fn profiles_differ_where_they_say() {
    let host = profile(Profile::Host);
    let strict = diff(&host, &profile(Profile::Strict));
    let names: Vec<&str> = strict.iter().map(|d| d.rule.as_str()).collect();
    assert!(names.contains(&"icmpv4/echo-request") && names.contains(&"icmpv6/packet-too-big"));
    assert!(!names.contains(&"icmpv4/timestamp"));
    assert!(diff(&host, &profile(Profile::Router)).iter().all(|d| d.before.is_none()));
    assert!(diff(&host, &host).is_empty());
    let observe = diff(&host, &profile(Profile::Observe));
    assert!(observe.iter().all(|d| d.after.as_ref().is_some_and(|l| l.mode == "observe")));
    assert_eq!(profile(Profile::Observe).mode, Mode::Observe);
}

#[test]
fn a_penalty_is_of_its_rule_and_exempt_zones_have_the_rule_without_it() {
    let text = "profile = \"host\"\n[zones]\nz = [\"10.0.0.0/8\"]\n[[rule]]\nname = \"echo\"\n\
                type = \"echo-request\"\nfamily = \"icmpv4\"\naction = \"limit\"\nlimits = [{ rate = 9, \
                burst = 9 }, { rate = 1, burst = 1, key = \"link\" }, { rate = 1, burst = 1, key = \
                \"source\" }]\npenalty = { after = 7, time = \"30s\", off-link = true, exempt = \"z\" }\n";
    let compiled = compile(text);
    let rule_for = |zone: &[usize]| {
        let set = compiled.zone_sets.iter().position(|z| z == zone).unwrap();
        compiled.hook(Hook::Ingress).rule_for(0, family::ICMPV4, Some((8, 0)), 0, 0, set as u32)
    };
    let [boxing, exempt] = [&[][..], &[0]].map(rule_for);
    assert_ne!(boxing, exempt);
    for rule in [boxing, exempt].map(usize::from) {
        assert_eq!(
            (
                compiled.hook(Hook::Ingress).rule_names[rule].as_str(),
                compiled.hook(Hook::Ingress).rule_indices[rule]
            ),
            ("echo", 0)
        );
    }
    let [boxing, exempt] =
        [boxing, exempt].map(|rule| compiled.hook(Hook::Ingress).table.rules[usize::from(rule)]);
    let penalty = Penalty { after: 7, within_s: 10, time_s: 30, flags: flag::OFF_LINK, keyed: 1 };
    assert_eq!((boxing.penalty, exempt.penalty), (penalty, Penalty::default()));
    assert_eq!(
        (boxing.totals, boxing.keyed),
        (exempt.totals, exempt.keyed),
        "the limits are the same"
    );
    assert_eq!(boxing.keyed[1].key, limit_key::SOURCE);

    let shown = rendered(&from_str("f", text).unwrap().table());
    let penalty =
        "; penalty box for 30 s after 7 beyond the limit within 10 s, off-link too, not for z";
    let line = shown.lines().find(|l| l.contains(" echo ")).unwrap();
    assert!(line.contains(penalty), "{line}");
}

#[test]
fn a_rule_says_what_is_done_about_what_a_check_finds() {
    let policy = from_str(
        "f",
        "profile = \"host\"\n[checks]\nquote-source = \"off\"\nquote-mtu = \"observe\"\n\
         [[rule]]\nname = \"a\"\nfamily = \"icmpv4\"\ntype = 3\naction = \"pass\"\n\
         checks = { quote-source = \"observe\", quote-pointer = \"off\", unanswerable = \"enforce\" }\n\
         [[rule]]\nname = \"b\"\nfamily = \"icmpv4\"\ntype = 11\naction = \"pass\"\n",
    )
    .unwrap();
    let compiled = policy.compile(&CompileContext::EMPTY).unwrap();
    let hook = compiled.hook(Hook::Ingress);
    let rule =
        |name: &str| hook.table.rules[hook.rule_names.iter().position(|n| n == name).unwrap()];
    let (source, mtu) = (Reason::QUOTE_SOURCE.bit(), Reason::QUOTE_MTU.bit());
    // What the profile says of others.
    let alert = Reason::ROUTER_ALERT.bit();
    let (pointer, unanswerable) = (Reason::QUOTE_POINTER.bit(), Reason::UNANSWERABLE.bit());
    // What it sets to `off` it doesn't ask for in transit; what it doesn't name is as [checks] says.
    let a = rule("a");
    assert_eq!(
        (a.checks, a.checks_off, a.checks_observe),
        (source | unanswerable, pointer, source | mtu | alert)
    );
    let b = rule("b");
    assert_eq!((b.checks, b.checks_off, b.checks_observe), (0, source, mtu | alert));
    // What no rule decides, too.
    assert_eq!(
        hook.table.rules.last().map(|r| (r.checks_off, r.checks_observe)),
        Some((source, mtu | alert))
    );
    let table = policy.table();
    let line = table.iter().find(|l| l.rule == "a").unwrap();
    let shown =
        [("quote-pointer", "off"), ("quote-source", "observe"), ("unanswerable", "enforce")];
    assert_eq!(line.checks, shown_checks(&shown));
    let text = rendered(&table);
    assert!(
        text.contains("pass, checks quote-pointer off, quote-source observe, unanswerable"),
        "{text}"
    );
}
